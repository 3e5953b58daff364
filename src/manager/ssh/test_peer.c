/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hosts that break off, flood, or say what makes no sense: a server of libssh's own, a process a
 * connection, which does what the command is called.  None of it may wait for the silence to end.
 */
#include <fcntl.h>
#include <libssh/server.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "manager/ssh/ssh.h"

#define SILENCE_S 40 /* far longer than all of a row takes */

static struct {
    int listener;
    unsigned port;
    ssh_key key;
    int cancel_fd;
    bool own_network;
} site;

/* A peer that is always faster than its reader: the linker puts this before libssh's. */
static bool always, stops;
int __real_ssh_channel_read_nonblocking(ssh_channel channel, void *dest, uint32_t count,
                                        int is_stderr);
int __wrap_ssh_channel_read_nonblocking(ssh_channel channel, void *dest, uint32_t count,
                                        int is_stderr);
int __wrap_ssh_channel_read_nonblocking(ssh_channel channel, void *dest, uint32_t count,
                                        int is_stderr)
{
    if (!always || !is_stderr)
        return __real_ssh_channel_read_nonblocking(channel, dest, count, is_stderr);
    if (stops)
        eventfd_write(site.cancel_fd, 1);
    memset(dest, 'x', count);
    return (int)count;
}

/* --- the server --- */

struct peer {
    ssh_session session;
    ssh_channel channel;
};

static void say(struct peer *peer, const char *text)
{
    ssh_channel_write(peer->channel, text, (uint32_t)strlen(text));
    ssh_blocking_flush(peer->session, -1);
}

/* Waits until the other side hangs up. */
static void wait_end(struct peer *peer)
{
    char buffer[4096];
    while (read(ssh_get_fd(peer->session), buffer, sizeof(buffer)) > 0)
        ;
}

static void cut(struct peer *peer)
{
    say(peer, "half a w");
    shutdown(ssh_get_fd(peer->session), SHUT_RDWR);
}

static void reset(struct peer *peer)
{
    struct linger at_once = { .l_onoff = 1 };
    say(peer, "half a w");
    setsockopt(ssh_get_fd(peer->session), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    close(ssh_get_fd(peer->session));
}

static void end_output_and_cut(struct peer *peer)
{
    ssh_channel_send_eof(peer->channel);
    ssh_blocking_flush(peer->session, -1);
    cut(peer);
}

/* Nothing of libssh's would say it: no packet looks like this. */
static void garble(struct peer *peer)
{
    char noise[4096];
    ssh_channel_send_eof(peer->channel);
    ssh_blocking_flush(peer->session, -1);
    memset(noise, 0xa5, sizeof(noise));
    if (write(ssh_get_fd(peer->session), noise, sizeof(noise)) > 0)
        wait_end(peer);
}

static void take_leave(struct peer *peer)
{
    ssh_channel_send_eof(peer->channel);
    ssh_disconnect(peer->session);
}

static void close_channel(struct peer *peer)
{
    say(peer, "half a w");
    ssh_channel_close(peer->channel);
    ssh_blocking_flush(peer->session, -1);
    wait_end(peer);
}

static void die_of_a_signal(struct peer *peer)
{
    say(peer, "last words");
    ssh_channel_request_send_exit_signal(peer->channel, "KILL", 0, "", "");
    close_channel(peer);
}

/* Takes none of what it is given. */
static void end_early(struct peer *peer)
{
    ssh_channel_request_send_exit_status(peer->channel, 3);
    ssh_channel_close(peer->channel);
    ssh_blocking_flush(peer->session, -1);
    wait_end(peer);
}

static void pull_cable(struct peer *peer)
{
    say(peer, "half a w");
    if (system("ip link set lo down") == 0)
        pause();
}

static void flood_noise(struct peer *peer)
{
    char noise[16384];
    memset(noise, 'x', sizeof(noise));
    while (ssh_channel_write_stderr(peer->channel, noise, sizeof(noise)) > 0)
        ;
}

static void flood_nothing(struct peer *peer)
{
    while (ssh_send_ignore(peer->session, "") == SSH_OK && ssh_blocking_flush(peer->session, -1) == SSH_OK)
        ;
}

/* Each wants an answer and a place in a table. */
static void flood_channels(struct peer *peer)
{
    ssh_set_blocking(peer->session, 0);
    while (ssh_is_connected(peer->session)) {
        ssh_channel channel = ssh_channel_new(peer->session);
        ssh_channel_open_x11(channel, "127.0.0.1", 6000);
        ssh_set_blocking(peer->session, 1);
        ssh_blocking_flush(peer->session, -1);
        ssh_set_blocking(peer->session, 0);
    }
}

static void serve(struct peer *peer, const char *name);

static int take_message(struct peer *peer, ssh_message message)
{
    int type = ssh_message_type(message), kind = ssh_message_subtype(message);
    if (type == SSH_REQUEST_AUTH && kind == SSH_AUTH_METHOD_PASSWORD) {
        ssh_message_auth_reply_success(message, 0);
    } else if (type == SSH_REQUEST_AUTH) {
        ssh_message_auth_set_methods(message, SSH_AUTH_METHOD_PASSWORD);
        ssh_message_reply_default(message);
    } else if (type == SSH_REQUEST_CHANNEL_OPEN) {
        peer->channel = ssh_message_channel_request_open_reply_accept(message);
    } else if (type == SSH_REQUEST_CHANNEL && kind == SSH_CHANNEL_REQUEST_EXEC) {
        g_autofree char *name = g_strdup(ssh_message_channel_request_command(message));
        ssh_message_channel_request_reply_success(message);
        serve(peer, name);
        return 0;
    } else {
        ssh_message_reply_default(message);
    }
    return 1;
}

/* One connection, in a process of its own. */
static _Noreturn void talk(int fd)
{
    struct peer peer = { .session = ssh_new() };
    ssh_bind bind = ssh_bind_new();
    ssh_message message;
    ssh_bind_options_set(bind, SSH_BIND_OPTIONS_IMPORT_KEY, site.key);
    signal(SIGPIPE, SIG_IGN);
    if (ssh_bind_accept_fd(bind, peer.session, fd) == SSH_OK &&
        ssh_handle_key_exchange(peer.session) == SSH_OK)
        while ((message = ssh_message_get(peer.session))) {
            int more = take_message(&peer, message);
            ssh_message_free(message);
            if (!more)
                break;
        }
    _exit(0);
}

static pid_t accept_one(void)
{
    pid_t child = fork();
    if (child == 0)
        talk(accept(site.listener, NULL, NULL));
    return child;
}

/* --- what is looked for --- */

static const struct {
    const char *name;
    void (*behave)(struct peer *peer);
    enum vr_ssh_outcome want;
    int status;
    const char *says;                       /* is part of the message */
    unsigned connect_s, silence_s, limit_s; /* 0: SILENCE_S */
    size_t input_size, bytes_max;
    bool always, stops; /* there is always noise to read; the Manager stops then */
} rows[] = {
    { "cut", cut, VR_SSH_LOST, -1, "broke" },
    { "cut while it takes input", cut, VR_SSH_LOST, -1, "broke", .input_size = MiB(8) },
    { "reset", reset, VR_SSH_LOST, -1, "broke" },
    { "cut behind the end of output", end_output_and_cut, VR_SSH_LOST, -1, "broke" },
    { "garbage behind the end of output", garble, VR_SSH_LOST, -1, "broke" },
    { "a farewell behind the end of output", take_leave, VR_SSH_LOST, -1, "broke" },
    { "a pulled cable", pull_cable, VR_SSH_LOST, -1, "broke", .connect_s = 5 },
    { "a channel without a result", close_channel, VR_SSH_LOST, -1, "no result" },
    { "a signal", die_of_a_signal, VR_SSH_DONE, -1, NULL },
    { "a command that leaves its input", end_early, VR_SSH_DONE, 3, NULL, .input_size = MiB(8) },
    { "noise without end", wait_end, VR_SSH_TIMED_OUT, -1, "too long", .limit_s = 1,
      .always = true },
    { "noise without end while the Manager stops", wait_end, VR_SSH_CANCELLED, -1, "stops",
      .always = true, .stops = true },
    { "more noise than may be", flood_noise, VR_SSH_LOST, -1, "bytes", .bytes_max = MiB(32) },
    { "packets without content", flood_nothing, VR_SSH_TIMED_OUT, -1, "nothing", .silence_s = 2,
      .bytes_max = SIZE_MAX },
    { "channels that nobody asked for", flood_channels, VR_SSH_LOST, -1, "bytes",
      .bytes_max = MiB(8) },
};

static void serve(struct peer *peer, const char *name)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++)
        if (strcmp(rows[i].name, name) == 0)
            rows[i].behave(peer);
}

static long peak_kib(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

static void test_row(gconstpointer data)
{
    unsigned i = GPOINTER_TO_UINT(data);
    g_autofree char *input = g_strnfill(rows[i].input_size, 'x');
    struct vr_ssh_order order = {
        .address = "127.0.0.1",
        .port = site.port,
        .user = "root",
        .password = "secret",
        .command = rows[i].name,
        .input = input,
        .input_size = rows[i].input_size,
        .connect_s = rows[i].connect_s ? rows[i].connect_s : SILENCE_S,
        .silence_s = rows[i].silence_s ? rows[i].silence_s : SILENCE_S,
        .limit_s = rows[i].limit_s ? rows[i].limit_s : SILENCE_S,
        .output_max = KiB(64),
        .noise_max = 100,
        .bytes_max = rows[i].bytes_max ? rows[i].bytes_max : MiB(1),
        .cancel_fd = rows[i].stops ? site.cancel_fd : -1,
    };
    struct vr_ssh_answer answer;
    if (rows[i].behave == pull_cable && !site.own_network) {
        g_test_skip("needs a network of its own");
        return;
    }
    pid_t server = accept_one();
    int64_t begin = g_get_monotonic_time();
    long before = peak_kib();
    always = rows[i].always;
    stops = rows[i].stops;
    vr_ssh_run(&order, &answer);
    always = false;
    int64_t took_s = (g_get_monotonic_time() - begin) / G_USEC_PER_SEC;
    long grown = peak_kib() - before;
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
    if (rows[i].behave == pull_cable)
        g_assert_cmpint(system("ip link set lo up"), ==, 0);
    g_test_message("%d %s; %d s, %ld KiB", answer.outcome, answer.message ? answer.message : "",
                   (int)took_s, grown);
    g_assert_cmpint(answer.outcome, ==, rows[i].want);
    g_assert_cmpint(answer.exit_status, ==, rows[i].status);
    g_assert_cmpint(!answer.message, ==, !rows[i].says);
    if (rows[i].says)
        g_assert_nonnull(strstr(answer.message, rows[i].says));
    g_assert_cmpint(took_s, <, SILENCE_S / 2);
#ifndef __SANITIZE_ADDRESS__
    g_assert_cmpint(grown, <, 16 << 10);
#endif
    vr_ssh_answer_clear(&answer);
}

static void start_site(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof(address);
    if (geteuid() == 0 && unshare(CLONE_NEWNET) == 0)
        site.own_network = system("ip link set lo up") == 0;
    g_assert_cmpint(ssh_pki_generate(SSH_KEYTYPE_ED25519, 0, &site.key), ==, SSH_OK);
    site.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(site.listener, (struct sockaddr *)&address, size), ==, 0);
    g_assert_cmpint(listen(site.listener, 8), ==, 0);
    g_assert_cmpint(getsockname(site.listener, (struct sockaddr *)&address, &size), ==, 0);
    site.port = ntohs(address.sin_port);
    site.cancel_fd = eventfd(0, EFD_CLOEXEC);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    start_site();
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *path = g_strconcat("/ssh-peer/", rows[i].name, NULL);
        g_test_add_data_func(path, GUINT_TO_POINTER(i), test_row);
    }
    int failed = g_test_run();
    ssh_key_free(site.key);
    close(site.listener);
    close(site.cancel_fd);
    return failed;
}
