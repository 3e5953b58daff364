/* SPDX-License-Identifier: Apache-2.0 */
#include "net/linger.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

/* A connection over loopback: Unix sockets know no reset. */
static void connect_pair(int *client, int *server)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t size = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(listener, (struct sockaddr *)&address, size), ==, 0);
    g_assert_cmpint(listen(listener, 1), ==, 0);
    g_assert_cmpint(getsockname(listener, (struct sockaddr *)&address, &size), ==, 0);
    *client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(connect(*client, (struct sockaddr *)&address, size), ==, 0);
    *server = accept(listener, NULL, NULL);
    g_assert_cmpint(*server, >=, 0);
    close(listener);
}

/* Sends up to @size bytes; how many went out before the connection broke. */
static uint64_t send_many(int fd, uint64_t size)
{
    static char piece[MiB(1)];
    uint64_t sent = 0;
    while (sent < size) {
        ssize_t n = send(fd, piece, MIN(sizeof(piece), size - sent), MSG_NOSIGNAL);
        if (n <= 0)
            break;
        sent += (uint64_t)n;
    }
    return sent;
}

static void answer_and_close(struct vr_linger *linger, int fd)
{
    g_assert_cmpint(send(fd, "no", 2, MSG_NOSIGNAL), ==, 2);
    vr_linger_take(linger, fd);
    close(fd);
}

static void test_a_client_that_still_sends_gets_the_answer(void)
{
    struct vr_linger *linger = vr_linger_new("linger");
    int client, server;
    char answer[8];
    connect_pair(&client, &server);
    g_assert_cmpint(send(client, "unread", 6, 0), ==, 6);
    answer_and_close(linger, server);
    g_assert_cmpuint(send_many(client, MiB(32)), ==, MiB(32));
    g_assert_cmpint(recv(client, answer, sizeof(answer), 0), ==, 2);
    g_assert_cmpint(recv(client, answer, sizeof(answer), 0), ==, 0);
    close(client);
    vr_linger_free(linger);
}

static void test_a_client_that_sends_without_end_is_cut_off(void)
{
    struct vr_linger *linger = vr_linger_new("linger");
    int client, server;
    connect_pair(&client, &server);
    answer_and_close(linger, server);
    /* What the kernel's buffers hold comes on top. */
    g_assert_cmpuint(send_many(client, VR_LINGER_BYTES + MiB(64)), <, VR_LINGER_BYTES + MiB(64));
    close(client);
    vr_linger_free(linger);
}

static void test_what_lingers_ends_with_the_lingerer(void)
{
    struct vr_linger *linger = vr_linger_new("linger");
    enum { COUNT = 20 };
    int clients[COUNT];
    for (int i = 0; i < COUNT; i++) {
        int server;
        connect_pair(&clients[i], &server);
        answer_and_close(linger, server);
    }
    vr_linger_free(linger);
    for (int i = 0; i < COUNT; i++) {
        char answer[8];
        g_assert_cmpint(recv(clients[i], answer, sizeof(answer), 0), ==, 2);
        /* Nobody reads any more: the second piece at the latest meets a reset. */
        g_assert_cmpuint(send_many(clients[i], MiB(64)), <, MiB(64));
        close(clients[i]);
    }
}

static void test_too_many_at_once_are_closed_as_ever(void)
{
    struct vr_linger *linger = vr_linger_new("linger");
    int clients[VR_LINGER_CONNECTIONS + 1];
    for (int i = 0; i <= VR_LINGER_CONNECTIONS; i++) {
        int server;
        connect_pair(&clients[i], &server);
        answer_and_close(linger, server);
    }
    g_assert_cmpuint(send_many(clients[VR_LINGER_CONNECTIONS], MiB(64)), <, MiB(64));
    g_assert_cmpuint(send_many(clients[0], MiB(16)), ==, MiB(16));
    for (int i = 0; i <= VR_LINGER_CONNECTIONS; i++)
        close(clients[i]);
    vr_linger_free(linger);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/linger/a client that still sends gets the answer",
                    test_a_client_that_still_sends_gets_the_answer);
    g_test_add_func("/linger/a client that sends without end is cut off",
                    test_a_client_that_sends_without_end_is_cut_off);
    g_test_add_func("/linger/what lingers ends with the lingerer",
                    test_what_lingers_ends_with_the_lingerer);
    g_test_add_func("/linger/too many at once are closed as ever",
                    test_too_many_at_once_are_closed_as_ever);
    return g_test_run();
}
