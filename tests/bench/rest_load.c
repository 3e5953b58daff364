/* SPDX-License-Identifier: Apache-2.0 */

/*
 * rest_load: asks an HTTPS server for the same thing over and over, on connections that are kept
 * alive, from one thread, so that it takes as little as it can of the processors that the server
 * is measured on.
 *
 *     rest_load --port N --path /ovirt-engine/api/vms [--token T] [--accept TYPE]
 *               [--connections N] [--requests N]
 *
 * Prints `RATE CLIENT_US MEDIAN_MS BYTES`: requests a second, CPU of this program a request, the
 * median time from a request to the end of its answer, the bytes of a body.  Anything but 200 ends it.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/base.h"

#define HEAD_MAX 8192
#define LENGTH "content-length:"

struct load {
    char *request;
    size_t request_length;
    unsigned to_start, to_finish, requests;
    double *times; /* ms, of the requests that are done */
    size_t bytes;
};

struct client {
    int fd;
    gnutls_session_t tls;
    gnutls_certificate_credentials_t credentials;
    int64_t asked;
    char head[HEAD_MAX + 1];
    size_t head_length;
    size_t left; /* of the body */
    bool in_body;
};

static void client_open(struct client *client, unsigned port)
{
    const struct sockaddr_in address = { .sin_family = AF_INET,
                                         .sin_port = htons((uint16_t)port),
                                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    const int on = 1;
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(client->fd, (const struct sockaddr *)&address, sizeof(address)) != 0)
        g_error("rest_load: port %u: %s", port, g_strerror(errno));
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    gnutls_certificate_allocate_credentials(&client->credentials);
    gnutls_init(&client->tls, GNUTLS_CLIENT);
    gnutls_set_default_priority(client->tls);
    gnutls_credentials_set(client->tls, GNUTLS_CRD_CERTIFICATE, client->credentials);
    gnutls_transport_set_int(client->tls, client->fd);
    int result;
    do
        result = gnutls_handshake(client->tls);
    while (result < 0 && !gnutls_error_is_fatal(result));
    if (result < 0)
        g_error("rest_load: %s", gnutls_strerror(result));
    fcntl(client->fd, F_SETFL, O_NONBLOCK);
}

static void client_close(struct client *client)
{
    gnutls_deinit(client->tls);
    gnutls_certificate_free_credentials(client->credentials);
    close(client->fd);
}

static void ask(struct load *load, struct client *client)
{
    if (load->to_start == 0)
        return;
    load->to_start--;
    client->asked = g_get_monotonic_time();
    /* A few hundred bytes on a connection that waits: they always fit. */
    if (gnutls_record_send(client->tls, load->request, load->request_length) !=
        (ssize_t)load->request_length)
        g_error("rest_load: cannot send");
}

static void answered(struct load *load, struct client *client)
{
    load->times[--load->to_finish] = (double)(g_get_monotonic_time() - client->asked) / 1e3;
    client->in_body = false;
    client->head_length = 0;
    ask(load, client);
}

/* Headers, as far as they came; returns what of @size was theirs. */
static size_t take_head(struct load *load, struct client *client, const char *data, size_t size)
{
    size_t before = client->head_length, take = MIN(size, HEAD_MAX - before);
    memcpy(client->head + before, data, take);
    client->head[before + take] = '\0';
    char *end = strstr(client->head, "\r\n\r\n");
    if (!end) {
        client->head_length += take;
        if (client->head_length == HEAD_MAX)
            g_error("rest_load: endless headers");
        return take;
    }
    end[2] = '\0';
    const char *length = strcasestr(client->head, LENGTH);
    if (strncmp(client->head, "HTTP/1.1 200", 12) != 0 || !length)
        g_error("rest_load: %s", client->head);
    client->in_body = true;
    load->bytes = client->left = strtoul(length + strlen(LENGTH), NULL, 10);
    return (size_t)(end + 4 - client->head) - before;
}

static void receive(struct load *load, struct client *client)
{
    static char buffer[65536];
    for (;;) {
        ssize_t got = gnutls_record_recv(client->tls, buffer, sizeof(buffer));
        if (got == GNUTLS_E_AGAIN)
            return;
        if (got == 0 || (got < 0 && gnutls_error_is_fatal((int)got)))
            g_error("rest_load: the server hung up: %s", gnutls_strerror((int)got));
        for (size_t at = 0; got > 0 && at < (size_t)got;) {
            if (!client->in_body)
                at += take_head(load, client, buffer + at, (size_t)got - at);
            size_t body = client->in_body ? MIN(client->left, (size_t)got - at) : 0;
            client->left -= body;
            at += body;
            if (client->in_body && client->left == 0)
                answered(load, client);
        }
        if (gnutls_record_check_pending(client->tls) == 0)
            return;
    }
}

static void run(struct load *load, struct client *clients, unsigned count)
{
    int poll = epoll_create1(EPOLL_CLOEXEC);
    for (unsigned i = 0; i < count; i++) {
        struct epoll_event event = { .events = EPOLLIN, .data.ptr = &clients[i] };
        epoll_ctl(poll, EPOLL_CTL_ADD, clients[i].fd, &event);
        ask(load, &clients[i]);
    }
    while (load->to_finish) {
        struct epoll_event events[64];
        int got = epoll_wait(poll, events, G_N_ELEMENTS(events), 60000);
        if (got == 0)
            g_error("rest_load: no answer for a minute");
        for (int i = 0; i < got; i++)
            receive(load, events[i].data.ptr);
    }
    close(poll);
}

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static double cpu_us(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

int main(int argc, char **argv)
{
    g_autofree char *path = NULL, *token = NULL, *accept = NULL;
    gint port = 0, connections = 1, requests = 1;
    const GOptionEntry entries[] = {
        { "port", 0, 0, G_OPTION_ARG_INT, &port, "of the server on this machine", "N" },
        { "path", 0, 0, G_OPTION_ARG_STRING, &path, "what to ask for", "PATH" },
        { "token", 0, 0, G_OPTION_ARG_STRING, &token, "bearer token", "TOKEN" },
        { "accept", 0, 0, G_OPTION_ARG_STRING, &accept, "media type", "TYPE" },
        { "connections", 0, 0, G_OPTION_ARG_INT, &connections, "how many at once", "N" },
        { "requests", 0, 0, G_OPTION_ARG_INT, &requests, "how many in all", "N" },
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(GOptionContext) context = g_option_context_new("- ask for one thing many times");
    g_autoptr(GError) wrong = NULL;
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &wrong) || !path || connections < 1 ||
        requests < 1) {
        fprintf(stderr, "rest_load: %s\n", wrong ? wrong->message : "--path is missing");
        return 2;
    }
    g_autofree char *bearer = token ? g_strdup_printf("Authorization: Bearer %s\r\n", token) : NULL;
    struct load load = { .to_start = (unsigned)requests, .to_finish = (unsigned)requests };
    load.request = g_strdup_printf("GET %s HTTP/1.1\r\nHost: localhost\r\n%sAccept: %s\r\n\r\n", path,
                                   bearer ? bearer : "", accept ? accept : "application/xml");
    load.request_length = strlen(load.request);
    load.times = g_new(double, requests);
    struct client *clients = g_new0(struct client, connections);
    for (gint i = 0; i < connections; i++)
        client_open(&clients[i], (unsigned)port);
    double cpu = cpu_us();
    int64_t begin = g_get_monotonic_time();
    run(&load, clients, (unsigned)connections);
    double seconds = (double)(g_get_monotonic_time() - begin) / 1e6;
    cpu = cpu_us() - cpu;
    qsort(load.times, (size_t)requests, sizeof(double), compare);
    printf("%.1f %.2f %.3f %zu\n", requests / seconds, cpu / requests, load.times[requests / 2],
           load.bytes);
    for (gint i = 0; i < connections; i++)
        client_close(&clients[i]);
    g_free(clients);
    g_free(load.times);
    g_free(load.request);
    return 0;
}
