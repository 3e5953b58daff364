/* SPDX-License-Identifier: Apache-2.0 */
#include "net/stream.h"

#include <arpa/inet.h>
#include <gnutls/gnutls.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gen/faults.h"
#include "net/test_pki.h"

/* Client and server live on one loop, in this thread; a test ends the loop when it has seen what it
 * waits for, and a watchdog ends the test when that never comes. */
enum { WATCHDOG_MS = 20000 };

static struct test_pki *pki;

struct end {
    struct vr_stream *stream;
    unsigned ready, drained;
    GByteArray *got;
    struct vr_error *closed;
};

struct fixture {
    struct vr_loop *loop;
    struct vr_listener *listener;
    struct vr_timer *watchdog;
    struct vr_tls *server_tls, *client_tls;
    struct vr_stream_options server_options, client_options;
    const struct vr_stream_ops *server_ops;
    struct end server, client;
    size_t want; /* bytes at one end, or both, that end the test */
    int accepted_fd;
};

static struct end *end_of(struct fixture *f, const struct vr_stream *stream)
{
    return stream == f->server.stream ? &f->server : &f->client;
}

static void on_ready(struct vr_stream *stream, void *arg)
{
    end_of(arg, stream)->ready++;
}

static void on_drained(struct vr_stream *stream, void *arg)
{
    end_of(arg, stream)->drained++;
}

static size_t on_data(struct vr_stream *stream, const uint8_t *data, size_t len, void *arg)
{
    struct fixture *f = arg;
    g_byte_array_append(end_of(f, stream)->got, data, (guint)len);
    if (f->want && f->server.got->len + f->client.got->len >= f->want)
        vr_loop_exit(f->loop);
    return len;
}

static void on_closed(struct vr_stream *stream, const struct vr_error *reason, void *arg)
{
    struct fixture *f = arg;
    struct end *end = end_of(f, stream);
    g_assert_null(end->closed);
    end->closed = vr_error_copy(reason);
    if (f->client.closed && (f->server.closed || !f->server.stream))
        vr_loop_exit(f->loop);
}

static const struct vr_stream_ops plain_ops = { on_ready, on_data, on_drained, on_closed };

static void on_accept(int fd, void *arg) VR_REQUIRES(vr_role_io);
static void on_accept(int fd, void *arg)
{
    struct fixture *f = arg;
    g_assert_null(f->server.stream);
    f->server.stream = vr_stream_accept(f->loop, fd, &f->server_options, f->server_ops, f);
}

static void bark(void *arg)
{
    g_error("the test waits for something that does not come");
}

static void setup(struct fixture *f, bool tls)
{
    vr_auto_error struct vr_error *error = NULL;
    *f = (struct fixture){ .loop = vr_loop_new("test"), .server_ops = &plain_ops };
    f->server.got = g_byte_array_new();
    f->client.got = g_byte_array_new();
    f->listener = vr_listener_new(f->loop, NULL, 0, on_accept, f, &error);
    g_assert_null(error);
    f->watchdog = vr_timer_new(f->loop, bark, NULL);
    vr_timer_arm(f->watchdog, WATCHDOG_MS, 0);
    if (!tls)
        return;
    f->server_tls = vr_tls_new(pki->ca, pki->cert[PKI_SERVER], pki->key[PKI_SERVER], &error);
    g_assert_null(error);
    f->client_tls = vr_tls_new(pki->ca, pki->cert[PKI_CLIENT], pki->key[PKI_CLIENT], &error);
    g_assert_null(error);
    f->server_options.tls = f->server_tls;
    f->client_options.tls = f->client_tls;
}

static void end_done(struct end *end) VR_REQUIRES(vr_role_io);
static void end_done(struct end *end)
{
    vr_stream_free(end->stream);
    vr_error_free(end->closed);
    g_byte_array_free(end->got, TRUE);
}

static void teardown(struct fixture *f) VR_REQUIRES(vr_role_io);
static void teardown(struct fixture *f)
{
    end_done(&f->server);
    end_done(&f->client);
    vr_timer_free(f->watchdog);
    vr_listener_free(f->listener);
    vr_tls_unref(f->server_tls);
    vr_tls_unref(f->client_tls);
    vr_loop_unref(f->loop);
}

static void connect_client(struct fixture *f, const char *host) VR_REQUIRES(vr_role_io);
static void connect_client(struct fixture *f, const char *host)
{
    f->client.stream = vr_stream_connect(f->loop, host, vr_listener_port(f->listener),
                                         &f->client_options, &plain_ops, f);
}

/* Bytes that show a lost, doubled or misplaced portion. */
static uint8_t *pattern(size_t len)
{
    uint8_t *bytes = g_malloc(len);
    uint32_t x = 1;
    for (size_t i = 0; i < len; i++) {
        x = x * 1664525 + 1013904223;
        bytes[i] = (uint8_t)(x >> 24);
    }
    return bytes;
}

static void run_bulk(bool tls, const char *host) VR_REQUIRES(vr_role_io);
static void run_bulk(bool tls, const char *host)
{
    enum { LEN = 5000001 };
    struct fixture f;
    setup(&f, tls);
    connect_client(&f, host);
    g_autofree uint8_t *bytes = pattern(LEN);
    /* In portions that fit no record size, from before the connection is there. */
    for (size_t at = 0; at < LEN; at += 70007)
        g_assert_true(vr_stream_write(f.client.stream, bytes + at, MIN(70007, LEN - at)));
    f.want = LEN;
    vr_loop_run(f.loop);
    g_assert_cmpmem(f.server.got->data, f.server.got->len, bytes, LEN);
    g_assert_cmpuint(f.client.ready, ==, 1);
    g_assert_cmpuint(f.server.ready, ==, 1);
    g_assert_cmpuint(f.client.drained, >=, 1);

    f.want = 2 * LEN;
    g_assert_true(vr_stream_write(f.server.stream, bytes, LEN));
    vr_loop_run(f.loop);
    g_assert_cmpmem(f.client.got->data, f.client.got->len, bytes, LEN);
    struct vr_tls_peer *peer = vr_stream_tls_peer(f.server.stream);
    g_assert_cmpstr(peer ? peer->name : NULL, ==, tls ? "client.test" : NULL);
    g_assert_cmpstr(peer ? peer->unit : NULL, ==, NULL);
    g_assert_cmpint(peer && peer->has_our_key, ==, tls); /* the test's authority has one key */
    vr_tls_peer_free(peer);
    g_assert_true(g_str_has_prefix(vr_stream_peer(f.server.stream), "127.0.0.1:") ||
                  g_str_has_prefix(vr_stream_peer(f.server.stream), "[::1]:"));
    teardown(&f);
}

static bool has_ipv6(void)
{
    struct sockaddr_in6 address = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool has = fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
    if (fd >= 0)
        close(fd);
    return has;
}

static void test_bytes_arrive_whole_and_in_order(void) VR_NO_THREAD_SAFETY
{
    run_bulk(false, "127.0.0.1");
    run_bulk(true, "127.0.0.1");
    if (has_ipv6())
        run_bulk(true, "::1");
}

static void test_names_are_resolved_on_a_worker(void) VR_NO_THREAD_SAFETY
{
    run_bulk(true, "localhost");
}

static const struct {
    const char *what;
    int server, client;              /* whose certificate */
    bool server_other, client_other; /* which CA they trust */
    const char *name;
    int pin;            /* PKI_COUNT: none */
    const char *detail; /* of the client's failure; NULL: trusted */
} trust[] = {
    { "the right ones", PKI_SERVER, PKI_CLIENT, false, false, NULL, PKI_COUNT, NULL },
    { "an address of the SAN", PKI_SERVER, PKI_CLIENT, false, false, "127.0.0.1", PKI_COUNT, NULL },
    { "a name of the SAN", PKI_SERVER, PKI_CLIENT, false, false, "LOCALHOST", PKI_COUNT, NULL },
    { "the common name", PKI_SERVER, PKI_CLIENT, false, false, "Server.test", PKI_COUNT, NULL },
    { "another name", PKI_SERVER, PKI_CLIENT, false, false, "other.test", PKI_COUNT, "not for" },
    { "the pinned one", PKI_SERVER, PKI_CLIENT, false, false, NULL, PKI_SERVER, NULL },
    { "not the pinned one", PKI_SERVER, PKI_CLIENT, false, false, NULL, PKI_CLIENT, "pinned" },
    { "the server's CA is unknown", PKI_STRANGER, PKI_CLIENT, false, false, NULL, PKI_COUNT, "" },
    { "the client's CA is unknown", PKI_SERVER, PKI_STRANGER, false, false, NULL, PKI_COUNT, "" },
    { "the server trusts others", PKI_SERVER, PKI_CLIENT, true, false, NULL, PKI_COUNT, "" },
    { "the client trusts others", PKI_SERVER, PKI_CLIENT, false, true, NULL, PKI_COUNT, "" },
    { "the server's is expired", PKI_OLD, PKI_CLIENT, false, false, NULL, PKI_COUNT, "expired" },
    { "the client's is expired", PKI_SERVER, PKI_OLD, false, false, NULL, PKI_COUNT, "" },
};

static void test_only_the_right_peer_is_trusted(void) VR_NO_THREAD_SAFETY
{
    for (size_t i = 0; i < G_N_ELEMENTS(trust); i++) {
        vr_auto_error struct vr_error *error = NULL;
        struct fixture f;
        setup(&f, false);
        f.server_tls = vr_tls_new(trust[i].server_other ? pki->other_ca : pki->ca,
                                  pki->cert[trust[i].server], pki->key[trust[i].server], &error);
        g_assert_null(error);
        f.client_tls = vr_tls_new(trust[i].client_other ? pki->other_ca : pki->ca,
                                  pki->cert[trust[i].client], pki->key[trust[i].client], &error);
        g_assert_null(error);
        f.server_options.tls = f.server_tls;
        f.client_options.tls = f.client_tls;
        f.client_options.peer_name = trust[i].name;
        f.client_options.pin = trust[i].pin < PKI_COUNT ? pki->pin[trust[i].pin] : NULL;
        connect_client(&f, "127.0.0.1");
        g_assert_true(vr_stream_write(f.client.stream, "x", 1));
        f.want = 1;
        vr_loop_run(f.loop);
        if (trust[i].detail) {
            if (!f.client.closed || f.server.got->len)
                g_error("%s: was accepted", trust[i].what);
            if (!strstr(f.client.closed->detail, trust[i].detail))
                g_error("%s: %s", trust[i].what, f.client.closed->detail);
            g_assert_true(f.client.closed->fault == &vr_fault_peer_not_trusted ||
                          !trust[i].detail[0]);
        } else if (f.client.closed) {
            g_error("%s: %s", trust[i].what, f.client.closed->detail);
        }
        teardown(&f);
    }
}

static void test_certificates_are_read_again(void) VR_NO_THREAD_SAFETY
{
    vr_auto_error struct vr_error *error = NULL;
    g_autofree char *content = NULL;
    gsize len;
    struct fixture f;
    setup(&f, true);
    g_autofree char *copy = g_build_filename(pki->folder, "reload.crt", NULL);
    g_assert_true(g_file_get_contents(pki->cert[PKI_OLD], &content, &len, NULL));
    g_assert_true(g_file_set_contents(copy, content, (gssize)len, NULL));
    struct vr_tls *tls = vr_tls_new(pki->ca, copy, pki->key[PKI_CLIENT], &error);
    g_assert_null(error);

    /* A broken file changes nothing. */
    g_assert_true(g_file_set_contents(copy, "no certificate", -1, NULL));
    g_assert_false(vr_tls_reload(tls, &error));
    g_assert_true(error->fault == &vr_fault_peer_not_trusted);
    g_assert_nonnull(strstr(error->detail, "reload.crt"));
    vr_error_free(g_steal_pointer(&error));

    g_clear_pointer(&content, g_free);
    g_assert_true(g_file_get_contents(pki->cert[PKI_CLIENT], &content, &len, NULL));
    g_assert_true(g_file_set_contents(copy, content, (gssize)len, NULL));
    g_assert_true(vr_tls_reload(tls, &error));
    f.client_options.tls = tls;
    connect_client(&f, "127.0.0.1");
    vr_stream_write(f.client.stream, "x", 1);
    f.want = 1;
    vr_loop_run(f.loop);
    g_assert_null(f.client.closed);
    g_assert_cmpuint(f.server.got->len, ==, 1);
    unlink(copy);
    vr_tls_unref(tls);
    teardown(&f);
}

static void test_a_key_that_does_not_fit_is_refused(void)
{
    vr_auto_error struct vr_error *error = NULL;
    g_assert_null(vr_tls_new(pki->ca, pki->cert[PKI_CLIENT], pki->key[PKI_STRANGER], &error));
    g_assert_true(error->fault == &vr_fault_peer_not_trusted);
    vr_error_free(g_steal_pointer(&error));
    g_assert_null(vr_tls_new("/nowhere", pki->cert[PKI_CLIENT], pki->key[PKI_CLIENT], &error));
    g_assert_true(error->fault == &vr_fault_peer_not_trusted);
}

static void expect_client_failure(struct fixture *f, const struct vr_fault *fault,
                                  const char *detail)
{
    vr_loop_run(f->loop);
    g_assert_nonnull(f->client.closed);
    g_assert_true(f->client.closed->fault == fault);
    if (!strstr(f->client.closed->detail, detail))
        g_error("'%s' does not say '%s'", f->client.closed->detail, detail);
    g_assert_cmpuint(f->client.ready, ==, 0);
}

static void test_who_does_not_listen_is_not_reached(void) VR_NO_THREAD_SAFETY
{
    struct fixture f;
    setup(&f, false);
    uint16_t port = vr_listener_port(f.listener);
    vr_listener_free(g_steal_pointer(&f.listener));
    f.client.stream =
        vr_stream_connect(f.loop, "127.0.0.1", port, &f.client_options, &plain_ops, &f);
    expect_client_failure(&f, &vr_fault_peer_unreachable, "refused");
    teardown(&f);
}

static void test_a_name_that_does_not_exist_is_an_error(void) VR_NO_THREAD_SAFETY
{
    struct fixture f;
    setup(&f, false);
    /* A label of more than 63 letters is refused without asking a server. */
    connect_client(&f,
                   "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    expect_client_failure(&f, &vr_fault_peer_unreachable, "resolve");
    teardown(&f);
}

/* A listener whose backlog nobody empties: TCP connects, and then nothing is said. */
static int silent_listener(uint16_t *port)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t len = sizeof(address);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&address, len), ==, 0);
    g_assert_cmpint(listen(fd, 8), ==, 0);
    getsockname(fd, (struct sockaddr *)&address, &len);
    *port = ntohs(address.sin_port);
    return fd;
}

static void test_a_handshake_has_a_limit(void) VR_NO_THREAD_SAFETY
{
    struct fixture f;
    uint16_t port;
    setup(&f, true);
    int fd = silent_listener(&port);
    f.client_options.handshake_ms = 50;
    f.client.stream =
        vr_stream_connect(f.loop, "127.0.0.1", port, &f.client_options, &plain_ops, &f);
    expect_client_failure(&f, &vr_fault_peer_unreachable, "too long");
    close(fd);
    teardown(&f);
}

static int raw_client(struct fixture *f)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons(vr_listener_port(f->listener)) };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(connect(fd, (struct sockaddr *)&address, sizeof(address)), ==, 0);
    return fd;
}

static void on_server_closed(struct vr_stream *stream, const struct vr_error *reason, void *arg)
{
    struct fixture *f = arg;
    f->server.closed = vr_error_copy(reason);
    vr_loop_exit(f->loop);
}

static const struct vr_stream_ops server_end_ops = { on_ready, on_data, on_drained,
                                                     on_server_closed };

static const struct {
    const char *what, *sent;
    const struct vr_fault *fault;
} strangers[] = {
    { "a client that says nothing", "", &vr_fault_peer_unreachable },
    { "a client that speaks no TLS", "CONNECT\naccept-version:1.2\n\n",
      &vr_fault_peer_not_trusted },
};

static void test_strangers_are_turned_away(void) VR_NO_THREAD_SAFETY
{
    for (size_t i = 0; i < G_N_ELEMENTS(strangers); i++) {
        struct fixture f;
        setup(&f, true);
        f.server_ops = &server_end_ops;
        f.server_options.handshake_ms = 50;
        int fd = raw_client(&f);
        size_t len = strlen(strangers[i].sent);
        g_assert_cmpint(send(fd, strangers[i].sent, len, 0), ==, (ssize_t)len);
        vr_loop_run(f.loop);
        if (f.server.closed->fault != strangers[i].fault)
            g_error("%s: %s", strangers[i].what, f.server.closed->detail);
        g_assert_cmpuint(f.server.ready, ==, 0);
        close(fd);
        teardown(&f);
    }
}

static void on_ready_flood(struct vr_stream *stream, void *arg) VR_REQUIRES(vr_role_io);
static void on_ready_flood(struct vr_stream *stream, void *arg)
{
    g_autofree uint8_t *bytes = pattern(MiB(8));
    while (vr_stream_queued(stream) < MiB(64) && vr_stream_write(stream, bytes, MiB(8)))
        ;
}

static const struct vr_stream_ops flood_ops = { on_ready_flood, on_data, on_drained,
                                                on_server_closed };

static void test_a_peer_that_does_not_read_is_closed(void) VR_NO_THREAD_SAFETY
{
    /* By size: more waits than may; by time: nothing is taken for a while. */
    for (int by_time = 0; by_time < 2; by_time++) {
        struct fixture f;
        setup(&f, false);
        f.server_ops = &flood_ops;
        f.server_options.max_queued = by_time ? MiB(100) : MiB(20);
        f.server_options.stall_ms = 50;
        int fd = raw_client(&f);
        vr_loop_run(f.loop);
        g_assert_true(f.server.closed->fault == &vr_fault_peer_unreachable);
        g_assert_nonnull(strstr(f.server.closed->detail, by_time ? "no data" : "bytes wait"));
        g_assert_cmpuint(vr_stream_queued(f.server.stream), ==, 0);
        close(fd);
        teardown(&f);
    }
}

/* Reads eleven bytes without taking them, then hands over to plain_ops. */
static size_t on_peek(struct vr_stream *stream, const uint8_t *data, size_t len, void *arg)
    VR_REQUIRES(vr_role_io);
static size_t on_peek(struct vr_stream *stream, const uint8_t *data, size_t len, void *arg)
{
    struct fixture *f = arg;
    f->server.drained++;
    if (len >= 11)
        vr_stream_set_ops(stream, &plain_ops, f);
    return 0;
}

static const struct vr_stream_ops peek_ops = { on_ready, on_peek, NULL, on_closed };

struct drip {
    struct fixture *f;
    const char *rest;
    struct vr_timer *timer;
};

static void drip(void *arg) VR_REQUIRES(vr_role_io);
static void drip(void *arg)
{
    struct drip *d = arg;
    vr_stream_write(d->f->client.stream, d->rest, 1);
    if (*++d->rest)
        vr_timer_arm(d->timer, 1, 0);
}

static void test_what_was_only_looked_at_is_shown_to_the_next_reader(void) VR_NO_THREAD_SAFETY
{
    struct fixture f;
    setup(&f, true);
    f.server_ops = &peek_ops;
    connect_client(&f, "127.0.0.1");
    struct drip d = { &f, "SUBSCRIBE\nid:1\n", vr_timer_new(f.loop, drip, &d) };
    size_t len = strlen(d.rest);
    vr_timer_arm(d.timer, 1, 0);
    f.want = len;
    vr_loop_run(f.loop);
    g_assert_cmpmem(f.server.got->data, f.server.got->len, "SUBSCRIBE\nid:1\n", len);
    g_assert_cmpuint(f.server.drained, >, 1);
    vr_timer_free(d.timer);
    teardown(&f);
}

static void on_ready_say_goodbye(struct vr_stream *stream, void *arg) VR_REQUIRES(vr_role_io);
static void on_ready_say_goodbye(struct vr_stream *stream, void *arg)
{
    struct fixture *f = arg;
    g_autofree uint8_t *bytes = pattern(MiB(3));
    vr_stream_write(stream, bytes, MiB(3));
    f->server.stream = NULL;
    vr_stream_finish(stream);
}

static const struct vr_stream_ops goodbye_ops = { on_ready_say_goodbye, NULL, NULL, NULL };

static void test_what_was_written_before_the_end_arrives(void) VR_NO_THREAD_SAFETY
{
    for (int tls = 0; tls < 2; tls++) {
        struct fixture f;
        setup(&f, tls);
        f.server_ops = &goodbye_ops;
        connect_client(&f, "127.0.0.1");
        /* The server never reads this: it must not cost the client the answer. */
        vr_stream_write(f.client.stream, "unread", 6);
        vr_loop_run(f.loop);
        g_autofree uint8_t *bytes = pattern(MiB(3));
        g_assert_cmpmem(f.client.got->data, f.client.got->len, bytes, MiB(3));
        g_assert_nonnull(strstr(f.client.closed->detail, "closed the connection"));
        teardown(&f);
    }
}

static size_t on_data_pause(struct vr_stream *stream, const uint8_t *data, size_t len, void *arg)
    VR_REQUIRES(vr_role_io);
static size_t on_data_pause(struct vr_stream *stream, const uint8_t *data, size_t len, void *arg)
{
    struct fixture *f = arg;
    vr_stream_set_reading(stream, false);
    g_byte_array_append(f->server.got, data, 1);
    vr_loop_exit(f->loop);
    return 1;
}

static const struct vr_stream_ops pause_ops = { on_ready, on_data_pause, NULL, on_closed };

static void test_a_paused_reader_gets_what_it_left_when_it_goes_on(void) VR_NO_THREAD_SAFETY
{
    struct fixture f;
    setup(&f, true);
    f.server_ops = &pause_ops;
    connect_client(&f, "127.0.0.1");
    vr_stream_write(f.client.stream, "abc", 3);
    for (unsigned i = 1; i <= 3; i++) {
        vr_loop_run(f.loop);
        g_assert_cmpuint(f.server.got->len, ==, i);
        vr_stream_set_reading(f.server.stream, true);
    }
    g_assert_cmpmem(f.server.got->data, f.server.got->len, "abc", 3);
    teardown(&f);
}

/* Which callback of the server frees its stream. */
static enum { IN_READY, IN_DATA, IN_DRAINED, IN_CLOSED, PLACES } place;

static void drop_server(struct vr_stream *stream, struct fixture *f) VR_REQUIRES(vr_role_io);
static void drop_server(struct vr_stream *stream, struct fixture *f)
{
    f->server.stream = NULL;
    vr_stream_free(stream);
}

static void drop_ready(struct vr_stream *stream, void *arg) VR_REQUIRES(vr_role_io);
static void drop_ready(struct vr_stream *stream, void *arg)
{
    vr_stream_write(stream, "x", 1);
    if (place == IN_READY)
        drop_server(stream, arg);
}

static size_t drop_data(struct vr_stream *stream, const uint8_t *data, size_t len, void *arg)
    VR_REQUIRES(vr_role_io);
static size_t drop_data(struct vr_stream *stream, const uint8_t *data, size_t len, void *arg)
{
    struct fixture *f = arg;
    if (place == IN_DATA)
        drop_server(stream, f);
    else if (place == IN_CLOSED)
        vr_stream_free(g_steal_pointer(&f->client.stream));
    g_assert_cmpint(data[len - 1], ==, 'y');
    return 0;
}

static void drop_drained(struct vr_stream *stream, void *arg) VR_REQUIRES(vr_role_io);
static void drop_drained(struct vr_stream *stream, void *arg)
{
    if (place == IN_DRAINED)
        drop_server(stream, arg);
}

static void drop_closed(struct vr_stream *stream, const struct vr_error *reason, void *arg)
    VR_REQUIRES(vr_role_io);
static void drop_closed(struct vr_stream *stream, const struct vr_error *reason, void *arg)
{
    struct fixture *f = arg;
    g_assert_cmpint(place, ==, IN_CLOSED);
    drop_server(stream, f);
    vr_loop_exit(f->loop);
}

static const struct vr_stream_ops drop_ops = { drop_ready, drop_data, drop_drained, drop_closed };

static void test_a_stream_may_be_freed_in_each_of_its_callbacks(void) VR_NO_THREAD_SAFETY
{
    for (int tls = 0; tls < 2; tls++) {
        for (int p = 0; p < PLACES; p++) {
            struct fixture f;
            place = p;
            setup(&f, tls);
            f.server_ops = &drop_ops;
            connect_client(&f, "127.0.0.1");
            vr_stream_write(f.client.stream, "y", 1);
            vr_loop_run(f.loop);
            g_assert_null(f.server.stream);
            g_assert_true(p == IN_CLOSED || f.client.closed);
            teardown(&f);
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    pki = test_pki_new();
    g_test_add_func("/stream/bytes arrive whole and in order",
                    test_bytes_arrive_whole_and_in_order);
    g_test_add_func("/stream/names are resolved on a worker", test_names_are_resolved_on_a_worker);
    g_test_add_func("/stream/only the right peer is trusted", test_only_the_right_peer_is_trusted);
    g_test_add_func("/stream/certificates are read again", test_certificates_are_read_again);
    g_test_add_func("/stream/a key that does not fit is refused",
                    test_a_key_that_does_not_fit_is_refused);
    g_test_add_func("/stream/who does not listen is not reached",
                    test_who_does_not_listen_is_not_reached);
    g_test_add_func("/stream/a name that does not exist is an error",
                    test_a_name_that_does_not_exist_is_an_error);
    g_test_add_func("/stream/a handshake has a limit", test_a_handshake_has_a_limit);
    g_test_add_func("/stream/strangers are turned away", test_strangers_are_turned_away);
    g_test_add_func("/stream/a peer that does not read is closed",
                    test_a_peer_that_does_not_read_is_closed);
    g_test_add_func("/stream/what was only looked at is shown to the next reader",
                    test_what_was_only_looked_at_is_shown_to_the_next_reader);
    g_test_add_func("/stream/what was written before the end arrives",
                    test_what_was_written_before_the_end_arrives);
    g_test_add_func("/stream/a paused reader gets what it left when it goes on",
                    test_a_paused_reader_gets_what_it_left_when_it_goes_on);
    g_test_add_func("/stream/a stream may be freed in each of its callbacks",
                    test_a_stream_may_be_freed_in_each_of_its_callbacks);
    int r = g_test_run();
    test_pki_free(pki);
    return r;
}
