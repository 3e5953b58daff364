/* SPDX-License-Identifier: Apache-2.0 */
#include "net/rpc.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "model/host.h"
#include "net/broker.h"

/* A server and clients that speak raw bytes, all on one loop in this thread. */
enum { WATCHDOG_MS = 20000 };

struct fixture {
    struct vr_loop *loop;
    struct vr_timer *watchdog;
    struct vr_rpc_server *server;
    GPtrArray *held; /* requests without an answer */
    GString *http;   /* what came by HTTP */
    struct vr_stream *http_stream;
    bool visitors; /* all clients are */
};

struct client {
    struct fixture *f;
    struct vr_stream *stream;
    GString *got;
    size_t want; /* bytes that end the loop */
    bool closed, want_closed;
};

static void handle(struct vr_rpc_request *request, const struct vr_verb *verb, void *params,
                   void *arg)
{
    struct fixture *f = arg;
    if (verb == &vr_verb_host_ping) {
        vr_rpc_request_reply(request, NULL);
    } else if (verb == &vr_verb_host_echo) {
        const struct vr_rpc_host_echo_params *echo = params;
        vr_auto struct vr_rpc_host_echo_result *result = VR_NEW(rpc_host_echo_result);
        VR_SET_STRING(result, value, echo->message);
        if (strcmp(echo->message, "hold") == 0)
            g_ptr_array_add(f->held, request);
        else
            vr_rpc_request_reply(request, result);
    } else {
        vr_rpc_request_fail(request, 4, "Virtual machine already exists");
    }
}

static size_t http_data(struct vr_stream *stream, const uint8_t *data, size_t len, void *arg)
    VR_REQUIRES(vr_role_io);
static size_t http_data(struct vr_stream *stream, const uint8_t *data, size_t len, void *arg)
{
    struct fixture *f = arg;
    g_string_append_len(f->http, (const char *)data, (gssize)len);
    if (g_str_has_suffix(f->http->str, "\r\n\r\n")) {
        vr_stream_write(stream, "HTTP/1.1 400 \r\n\r\n", 17);
        f->http_stream = NULL;
        vr_stream_finish(stream);
    }
    return len;
}

static const struct vr_stream_ops http_ops = { .data = http_data };

static void on_http(struct vr_stream *stream, void *arg) VR_REQUIRES(vr_role_io);
static void on_http(struct vr_stream *stream, void *arg)
{
    struct fixture *f = arg;
    f->http_stream = stream;
    vr_stream_set_ops(stream, &http_ops, f);
}

static bool is_visitor(const struct vr_tls_peer *peer, void *arg)
{
    struct fixture *f = arg;
    g_assert_null(peer); /* without TLS */
    return f->visitors;
}

static const char *refuse(const struct vr_verb *verb, const struct vr_tls_peer *peer,
                          const char *address, void *arg)
{
    return verb == &vr_verb_host_ping ? NULL : "Ask the Manager.";
}

static const struct vr_rpc_server_ops server_ops = {
    .handle = handle, .http = on_http, .is_visitor = is_visitor, .refuse = refuse
};

static void bark(void *arg)
{
    g_error("the test waits for something that does not come");
}

static void setup_with(struct fixture *f, struct vr_rpc_server_options options)
{
    vr_auto_error struct vr_error *error = NULL;
    *f = (struct fixture){ .loop = vr_loop_new("test") };
    f->held = g_ptr_array_new();
    f->http = g_string_new(NULL);
    f->watchdog = vr_timer_new(f->loop, bark, NULL);
    vr_timer_arm(f->watchdog, WATCHDOG_MS, 0);
    f->server = vr_rpc_server_new(f->loop, &options, &server_ops, f, &error);
    g_assert_null(error);
}

static void setup(struct fixture *f)
{
    setup_with(f, (struct vr_rpc_server_options){ 0 });
}

static void teardown(struct fixture *f) VR_REQUIRES(vr_role_io);
static void teardown(struct fixture *f)
{
    for (unsigned i = 0; i < f->held->len; i++)
        vr_rpc_request_fail(f->held->pdata[i], 1, "over");
    g_ptr_array_free(f->held, TRUE);
    vr_stream_free(f->http_stream);
    vr_rpc_server_free(f->server);
    vr_timer_free(f->watchdog);
    g_string_free(f->http, TRUE);
    vr_loop_unref(f->loop);
}

static size_t client_data(struct vr_stream *stream, const uint8_t *data, size_t len, void *arg)
{
    struct client *c = arg;
    g_string_append_len(c->got, (const char *)data, (gssize)len);
    if (c->want && c->got->len >= c->want) {
        c->want = 0;
        vr_loop_exit(c->f->loop);
    }
    return len;
}

static void client_closed(struct vr_stream *stream, const struct vr_error *reason, void *arg)
{
    struct client *c = arg;
    c->closed = true;
    if (c->want_closed)
        vr_loop_exit(c->f->loop);
    else if (c->want)
        g_error("the server closed the connection: %s (%.300s)", reason->detail, c->got->str);
}

static const struct vr_stream_ops client_ops = { .data = client_data, .closed = client_closed };

static void client_open(struct client *c, struct fixture *f) VR_REQUIRES(vr_role_io);
static void client_open(struct client *c, struct fixture *f)
{
    static const struct vr_stream_options options = { 0 };
    *c = (struct client){ .f = f, .got = g_string_new(NULL) };
    c->stream = vr_stream_connect(f->loop, "127.0.0.1", vr_rpc_server_port(f->server), &options,
                                  &client_ops, c);
}

static void client_done(struct client *c) VR_REQUIRES(vr_role_io);
static void client_done(struct client *c)
{
    vr_stream_free(c->stream);
    g_string_free(c->got, TRUE);
}

/* `@` stands for NUL in both directions. */
static void say(struct client *c, const char *text) VR_REQUIRES(vr_role_io);
static void say(struct client *c, const char *text)
{
    g_autofree char *bytes = g_strdelimit(g_strdup(text), "@", '\0');
    g_assert_true(vr_stream_write(c->stream, bytes, strlen(text)));
}

static void hear(struct client *c, const char *what, const char *text)
{
    c->want = strlen(text);
    if (c->got->len < c->want)
        vr_loop_run(c->f->loop);
    for (size_t i = 0; i < c->got->len; i++)
        if (!c->got->str[i])
            c->got->str[i] = '@';
    if (strcmp(c->got->str, text) != 0)
        g_error("%s: heard '%s', not '%s'", what, c->got->str, text);
    g_string_truncate(c->got, 0);
    c->want = 0;
}

static void hear_end(struct client *c, const char *what)
{
    c->want_closed = true;
    if (!c->closed)
        vr_loop_run(c->f->loop);
    if (c->got->len)
        g_error("%s: heard '%s' before the end", what, c->got->str);
}

#define CONNECT "CONNECT\naccept-version:1.2\nheart-beat:0,0\n\n@"
#define CONNECTED "CONNECTED\nversion:1.2\nheart-beat:0,0\n\n@"
/* A DISCONNECT with a receipt shows that nothing else was answered. */
#define END "DISCONNECT\nreceipt:end\n\n@"
#define ENDED "RECEIPT\nreceipt-id:end\n\n@"
#define ERROR(length, text) "ERROR\ncontent-length:" length "\n\n" text "@"

static const struct {
    const char *what, *say, *hear; /* hear NULL: the connection is closed without a word */
} rows[] = {
    { "a session", CONNECT END, CONNECTED ENDED },
    { "the manager's heart-beat",
      "CONNECT\naccept-version:1.2\nhost:null\nheart-beat:0,15000\n\n@" END,
      "CONNECTED\nversion:1.2\nheart-beat:15000,0\n\n@" ENDED },
    { "small heart-beats are raised", "CONNECT\naccept-version:1.2\nheart-beat:1,999\n\n@" END,
      "CONNECTED\nversion:1.2\nheart-beat:1000,1000\n\n@" ENDED },
    { "no heart-beat", "CONNECT\naccept-version:1.2\n\n@" END, CONNECTED ENDED },
    { "an odd heart-beat", "CONNECT\naccept-version:1.2\nheart-beat:5000\n\n@" END,
      CONNECTED ENDED },
    { "a negative heart-beat", "CONNECT\naccept-version:1.2\nheart-beat:-1,5000\n\n@" END,
      CONNECTED ENDED },
    { "a list of versions", "CONNECT\naccept-version:1.1,1.2\n\n@" END,
      ERROR("19", "Version unsupported") ENDED },
    { "no version", "CONNECT\nhost:x\n\n@" END, ERROR("19", "Version unsupported") ENDED },
    { "a subscription is not acknowledged", CONNECT "SUBSCRIBE\nid:1\ndestination:a\n\n@" END,
      CONNECTED ENDED },
    { "a subscription without id", "SUBSCRIBE\ndestination:a\n\n@" END,
      ERROR("45", "Missing destination or subscription id header") ENDED },
    { "a subscription without destination", "SUBSCRIBE\nid:1\n\n@" END,
      ERROR("45", "Missing destination or subscription id header") ENDED },
    { "the same id again",
      "SUBSCRIBE\nid:1\ndestination:a\n\n@SUBSCRIBE\nid:1\ndestination:b\n\n@" END,
      ERROR("30", "Subscription id already exists") ENDED },
    { "an id is free after UNSUBSCRIBE",
      "SUBSCRIBE\nid:1\ndestination:a\n\n@UNSUBSCRIBE\nid:1\n\n@SUBSCRIBE\nid:1\ndestination:"
      "a\n\n@" END,
      ENDED },
    { "an unknown id", "UNSUBSCRIBE\nid:7\n\n@" END, ENDED },
    { "UNSUBSCRIBE without id", "UNSUBSCRIBE\nxx:y\n\n@" END,
      ERROR("17", "Missing id header") ENDED },
    { "a plain publish",
      "SUBSCRIBE\nid:1\ndestination:a.b\n\n@SEND\ndestination:a.b\nx:y\ncontent-length:"
      "2\n\nhi@" END,
      "MESSAGE\ndestination:a.b\nx:y\nsubscription:1\ncontent-length:2\n\nhi@" ENDED },
    { "a plain publish to a parent",
      "SUBSCRIBE\nid:1\ndestination:a\n\n@SUBSCRIBE\nid:2\ndestination:a.bc\n\n@"
      "SEND\ndestination:a.bc.d\n\nhi@SEND\ndestination:ab\n\nhi@" END,
      "MESSAGE\ndestination:a.bc.d\nsubscription:2\ncontent-length:2\n\nhi@"
      "MESSAGE\ndestination:a.bc.d\nsubscription:1\ncontent-length:2\n\nhi@" ERROR(
          "26", "Subscription not available") ENDED },
    { "escapes survive a publish",
      "SUBSCRIBE\nid:1\ndestination:a\n\n@SEND\ndestination:a\nk\\c:\\n\\\\\n\n@" END,
      "MESSAGE\ndestination:a\nk\\c:\\n\\\\\nsubscription:1\ncontent-length:0\n\n@" ENDED },
    { "nobody subscribed", "SEND\ndestination:nobody\n\nhi@" END,
      ERROR("26", "Subscription not available") ENDED },
    { "no destination", "SEND\nx:y\nabc:\n\nhi@" END,
      ERROR("26", "Subscription not available") ENDED },
    { "ACK", "ACK\nid:1\nxxxx:y\n\n@", NULL },
    { "BEGIN", "SUBSCRIBE\nid:1\ndestination:a\n\n@BEGIN\n\n@" CONNECT, NULL },
    { "a server's frame", "CONNECTED\nversion:1.2\n\n@", NULL },
    { "DISCONNECT without receipt", "DISCONNECT\nxxx:y\n\n@" CONNECT, NULL },
    { "a broken frame", "SUBSCRIBE\nid\n\n@", NULL },
    { "1.2's other name of CONNECT", "STOMP\naccept-version:1.2\n\n@", NULL },
    { "another protocol", "POST / HTTP/1.1\r\n\r\n", NULL },
    { "TLS where none is spoken", "\x16\x03\x01\x02@\x01@\x01\xfc\x03\x03\x01", NULL },
};

static void test_frames_are_answered_as_hosts_do(void) VR_NO_THREAD_SAFETY
{
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct fixture f;
        struct client c;
        setup(&f);
        client_open(&c, &f);
        say(&c, rows[i].say);
        if (rows[i].hear) {
            hear(&c, rows[i].what, rows[i].hear);
        }
        hear_end(&c, rows[i].what);
        client_done(&c);
        teardown(&f);
    }
}

/* All over one connection, which is still good at the end.  */
static const struct {
    const char *what, *say, *hear;
} requests[] = {
    { "a verb without a result",
      "{\"jsonrpc\":\"2.0\",\"method\":\"Host.ping\",\"params\":{},\"id\":\"1\"}",
      "{\"jsonrpc\":\"2.0\",\"id\":\"1\",\"result\":true}" },
    { "a verb with a result",
      "{\"jsonrpc\":\"2.0\",\"method\":\"Host.echo\",\"params\":{\"message\":\"x\\\"y\"},\"id\":"
      "\"2\"}",
      "{\"jsonrpc\":\"2.0\",\"id\":\"2\",\"result\":\"x\\\"y\"}" },
    { "parameters by position, and one too many",
      "{\"jsonrpc\":\"2.0\",\"method\":\"Host.echo\",\"params\":[\"x\",1],\"id\":3}",
      "{\"jsonrpc\":\"2.0\",\"id\":3,\"result\":\"x\"}" },
    { "no parameters at all", "{\"jsonrpc\":\"2.0\",\"method\":\"Host.ping\",\"id\":\"4\"}",
      "{\"jsonrpc\":\"2.0\",\"id\":\"4\",\"result\":true}" },
    { "an unknown parameter",
      "{\"jsonrpc\":\"2.0\",\"method\":\"Host.echo\",\"params\":{\"new\":{\"a\":[]},\"message\":"
      "\"x\"},\"id\":\"5\"}",
      "{\"jsonrpc\":\"2.0\",\"id\":\"5\",\"result\":\"x\"}" },
    { "members in another order, with spaces",
      " { \"id\" : \"6\" , \"params\" : { } ,\n \"method\" : \"Host.ping\" , \"jsonrpc\" : \"2.0\" "
      "} ",
      "{\"jsonrpc\":\"2.0\",\"id\":\"6\",\"result\":true}" },
    { "a verb that fails",
      "{\"jsonrpc\":\"2.0\",\"method\":\"VM.destroy\",\"params\":{\"vmID\":\"x\"},\"id\":\"7\"}",
      "{\"jsonrpc\":\"2.0\",\"id\":\"7\",\"error\":{\"code\":4,\"message\":\"Virtual machine "
      "already exists\"}}" },
    { "an unknown verb", "{\"jsonrpc\":\"2.0\",\"method\":\"Host.fly\",\"params\":{},\"id\":\"8\"}",
      "{\"jsonrpc\":\"2.0\",\"id\":\"8\",\"error\":{\"code\":-32601,\"message\":\"There is no such "
      "verb.\"}}" },
    { "a parameter that is missing",
      "{\"jsonrpc\":\"2.0\",\"method\":\"Host.echo\",\"params\":{},\"id\":\"9\"}",
      "{\"jsonrpc\":\"2.0\",\"id\":\"9\",\"error\":{\"code\":-32602,\"message\":\"The parameters "
      "do not fit the verb. The parameter 'message' is missing or cannot be read.\"}}" },
    { "parameters that are a number",
      "{\"jsonrpc\":\"2.0\",\"method\":\"Host.echo\",\"params\":7,\"id\":\"10\"}",
      "{\"jsonrpc\":\"2.0\",\"id\":\"10\",\"error\":{\"code\":-32602,\"message\":\"The parameters "
      "do not fit the verb. Expected '{' at line 1, byte 1.\"}}" },
    { "another version",
      "{\"jsonrpc\":\"1.0\",\"method\":\"Host.ping\",\"params\":{},\"id\":\"11\"}",
      "{\"jsonrpc\":\"2.0\",\"id\":\"11\",\"error\":{\"code\":-32600,\"message\":\"The message is "
      "no request.\"}}" },
    { "no method", "{\"jsonrpc\":\"2.0\",\"params\":{},\"id\":\"12\"}",
      "{\"jsonrpc\":\"2.0\",\"id\":\"12\",\"error\":{\"code\":-32600,\"message\":\"The message is "
      "no request.\"}}" },
    { "an array is answered by an array",
      "[{\"jsonrpc\":\"2.0\",\"method\":\"Host.fly\",\"id\":\"13\"},17,{\"jsonrpc\":\"2.0\","
      "\"method\":\"Host.ping\"},"
      "{\"jsonrpc\":\"2.0\",\"method\":\"Host.ping\",\"id\":\"14\"}]",
      "[{\"jsonrpc\":\"2.0\",\"id\":\"13\",\"error\":{\"code\":-32601,\"message\":\"There is no "
      "such verb.\"}},"
      "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32600,\"message\":\"The message is no "
      "request.\"}},"
      "{\"jsonrpc\":\"2.0\",\"id\":\"14\",\"result\":true}]" },
    { "no answer to a notification, not even a bad one",
      "[{\"jsonrpc\":\"2.0\",\"method\":\"Host.ping\"},{\"jsonrpc\":\"2.0\",\"method\":\"Host."
      "fly\"}]",
      NULL },
};

/* Answers that nobody can be told to have asked for go to the well-known destination. */
static const struct {
    const char *what, *say, *hear;
} strays[] = {
    { "no JSON", "{\"jsonrpc\":",
      "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32700,\"message\":\"The message is no "
      "JSON. Unexpected end at line 1, byte 12.\"}}" },
    { "an empty body", "",
      "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32700,\"message\":\"The message is no "
      "JSON. Unexpected end at line 1, byte 1.\"}}" },
    { "an empty array", "[]",
      "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32600,\"message\":\"The message is no "
      "request. An array has no messages.\"}}" },
    { "a number", "1",
      "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32600,\"message\":\"The message is no "
      "request.\"}}" },
    { "an id that is an object", "{\"jsonrpc\":\"2.0\",\"method\":\"Host.ping\",\"id\":{}}",
      "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32600,\"message\":\"The message is no "
      "request.\"}}" },
};

static char *frame(const char *head, const char *body)
{
    return g_strdup_printf("%s\ncontent-length:%zu\n\n%s@", head, strlen(body), body);
}

static void test_requests_are_answered(void) VR_NO_THREAD_SAFETY
{
    struct fixture f;
    struct client c;
    setup(&f);
    client_open(&c, &f);
    say(&c, CONNECT "SUBSCRIBE\nid:r\ndestination:R\n\n@"
                    "SUBSCRIBE\nid:d\ndestination:jms.topic.vdsm_responses\n\n@");
    hear(&c, "connect", CONNECTED);
    for (size_t i = 0; i < G_N_ELEMENTS(requests); i++) {
        g_autofree char *in =
            frame("SEND\ndestination:jms.topic.vdsm_requests\nreply-to:R", requests[i].say);
        say(&c, in);
        if (!requests[i].hear)
            continue;
        g_autofree char *out =
            frame("MESSAGE\ndestination:R\ncontent-type:application/json\nsubscription:r",
                  requests[i].hear);
        hear(&c, requests[i].what, out);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(strays); i++) {
        g_autofree char *in =
            frame("SEND\ndestination:jms.topic.vdsm_irs_requests.x\nreply-to:R", strays[i].say);
        g_autofree char *out = frame("MESSAGE\ndestination:jms.topic.vdsm_responses\n"
                                     "content-type:application/json\nsubscription:d",
                                     strays[i].hear);
        say(&c, in);
        hear(&c, strays[i].what, out);
    }
    client_done(&c);
    teardown(&f);
}

#define PING                                                                                       \
    "SEND\ndestination:jms.topic.vdsm_requests\nreply-to:R\n\n"                                    \
    "{\"jsonrpc\":\"2.0\",\"method\":\"Host.ping\",\"id\":\"p\"}@"
#define PONG(id)                                                                                   \
    "MESSAGE\ndestination:R\ncontent-type:application/json\nsubscription:" id                      \
    "\ncontent-length:40\n\n{\"jsonrpc\":\"2.0\",\"id\":\"p\",\"result\":true}@"

static void test_an_answer_reaches_every_subscriber_of_its_destination(void) VR_NO_THREAD_SAFETY
{
    struct fixture f;
    struct client a, b;
    setup(&f);
    client_open(&a, &f);
    say(&a, CONNECT "SUBSCRIBE\nid:a\ndestination:R\n\n@");
    hear(&a, "a connects", CONNECTED);
    client_open(&b, &f);
    say(&b, CONNECT "SUBSCRIBE\nid:b\ndestination:R\n\n@" PING);
    hear(&b, "b connects and calls", CONNECTED PONG("b"));
    hear(&a, "a hears b's answer", PONG("a"));
    /* An eavesdropper on the request queue sees requests, which are answered all the same. */
    say(&a, "SUBSCRIBE\nid:q\ndestination:jms.topic.vdsm_requests\n\n@" PING);
    hear(&a, "the request, then its answer",
         "MESSAGE\ndestination:jms.topic.vdsm_requests\nreply-to:R\nsubscription:q\n"
         "content-length:47\n\n{\"jsonrpc\":\"2.0\",\"method\":\"Host.ping\",\"id\":\"p\"}@" PONG(
             "a"));
    client_done(&a);
    client_done(&b);
    teardown(&f);
}

static void test_a_request_without_reply_to_is_carried_out(void) VR_NO_THREAD_SAFETY
{
    struct fixture f;
    struct client c;
    setup(&f);
    client_open(&c, &f);
    say(&c,
        "SUBSCRIBE\nid:a\ndestination:R\n\n@"
        "SEND\ndestination:jms.topic.vdsm_requests\n\n"
        "{\"jsonrpc\":\"2.0\",\"method\":\"Host.echo\",\"params\":[\"hold\"],\"id\":\"1\"}@" PING);
    hear(&c, "only the second answer", PONG("a"));
    g_assert_cmpuint(f.held->len, ==, 1);
    client_done(&c);
    teardown(&f);
}

static void test_too_many_requests_are_refused_until_one_is_answered(void) VR_NO_THREAD_SAFETY
{
    struct fixture f;
    struct client c;
    setup_with(&f, (struct vr_rpc_server_options){ .max_outstanding = 2 });
    client_open(&c, &f);
    say(&c,
        "SUBSCRIBE\nid:a\ndestination:R\n\n@"
        "SEND\ndestination:jms.topic.vdsm_requests\n\n"
        "[{\"jsonrpc\":\"2.0\",\"method\":\"Host.echo\",\"params\":[\"hold\"],\"id\":\"1\"},"
        "{\"jsonrpc\":\"2.0\",\"method\":\"Host.echo\",\"params\":[\"hold\"],\"id\":\"2\"}]@" PING);
    g_autofree char *busy =
        frame("MESSAGE\ndestination:R\ncontent-type:application/json\nsubscription:a",
              "{\"jsonrpc\":\"2.0\",\"id\":\"p\",\"error\":{\"code\":1100,"
              "\"message\":\"Not enough resources\"}}");
    hear(&c, "busy", busy);
    vr_rpc_request_fail(g_ptr_array_steal_index(f.held, 0), 1, "over");
    say(&c, PING);
    hear(&c, "free again", PONG("a"));
    client_done(&c);
    teardown(&f);
}

static void test_heart_beats_go_out_when_nothing_else_does(void) VR_NO_THREAD_SAFETY
{
    struct fixture f;
    struct client c;
    setup_with(&f, (struct vr_rpc_server_options){ .min_heartbeat_ms = 20 });
    client_open(&c, &f);
    gint64 begin = g_get_monotonic_time();
    say(&c, "CONNECT\naccept-version:1.2\nheart-beat:0,20\n\n@");
    hear(&c, "three of them", "CONNECTED\nversion:1.2\nheart-beat:20,0\n\n@\n\n\n");
    g_assert_cmpint(g_get_monotonic_time() - begin, >=, 59000);
    client_done(&c);
    teardown(&f);
}

static void beat(void *arg) VR_REQUIRES(vr_role_io);
struct beater {
    struct client *c;
    struct vr_timer *timer;
    unsigned left;
};
static void beat(void *arg)
{
    struct beater *b = arg;
    if (!b->left--)
        return;
    vr_stream_write(b->c->stream, "\n", 1);
    vr_timer_arm(b->timer, 10, 0);
}

static void test_a_client_that_falls_silent_is_closed(void) VR_NO_THREAD_SAFETY
{
    struct fixture f;
    struct client c;
    setup_with(&f, (struct vr_rpc_server_options){ .min_heartbeat_ms = 50 });
    client_open(&c, &f);
    say(&c, "CONNECT\naccept-version:1.2\nheart-beat:50,0\n\n@SUBSCRIBE\nid:e\ndestination:"
            "jms.queue.events\n\n@");
    hear(&c, "connect", "CONNECTED\nversion:1.2\nheart-beat:0,50\n\n@");
    struct beater b = { &c, vr_timer_new(f.loop, beat, &b), 12 };
    gint64 begin = g_get_monotonic_time();
    beat(&b);
    hear_end(&c, "silence");
    /* The beats kept it for longer than one silence, by far. */
    g_assert_cmpint(g_get_monotonic_time() - begin, >=, 160000);
    vr_timer_free(b.timer);
    client_done(&c);
    teardown(&f);
}

static void test_http_is_handed_over_with_its_first_bytes(void) VR_NO_THREAD_SAFETY
{
    static const char *const requests_[] = { "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
                                             "PUT /x HTTP/1.1\r\n\r\n" };
    for (size_t i = 0; i < G_N_ELEMENTS(requests_); i++) {
        struct fixture f;
        struct client c;
        setup(&f);
        client_open(&c, &f);
        say(&c, requests_[i]);
        hear(&c, requests_[i], "HTTP/1.1 400 \r\n\r\n");
        g_assert_cmpstr(f.http->str, ==, requests_[i]);
        hear_end(&c, "end");
        client_done(&c);
        teardown(&f);
    }
}

struct dripper {
    struct client *c;
    struct vr_timer *timer;
    const char *rest;
};

static void drip(void *arg) VR_REQUIRES(vr_role_io);
static void drip(void *arg)
{
    struct dripper *d = arg;
    char byte = *d->rest++;
    if (byte == '@')
        byte = '\0';
    vr_stream_write(d->c->stream, &byte, 1);
    if (*d->rest)
        vr_timer_arm(d->timer, 1, 0);
}

static void test_a_slow_client_is_recognized_and_one_that_says_too_little_is_not(void)
    VR_NO_THREAD_SAFETY
{
    struct fixture f;
    struct client slow, mute;
    setup_with(&f, (struct vr_rpc_server_options){ .detect_ms = 300 });
    client_open(&mute, &f);
    say(&mute, "DISCONNECT"); /* ten bytes */
    client_open(&slow, &f);
    struct dripper d = { &slow, vr_timer_new(f.loop, drip, &d), CONNECT END };
    vr_timer_arm(d.timer, 1, 0);
    hear(&slow, "slow", CONNECTED ENDED);
    hear_end(&mute, "mute");
    vr_timer_free(d.timer);
    client_done(&slow);
    client_done(&mute);
    teardown(&f);
}

static void exit_loop(void *arg)
{
    vr_loop_exit(arg);
}

static void test_a_subscriber_that_does_not_read_hurts_nobody_else(void) VR_NO_THREAD_SAFETY
{
    struct fixture f;
    struct client good, bad;
    setup_with(&f, (struct vr_rpc_server_options){ .stall_ms = 800 });
    client_open(&bad, &f);
    say(&bad, CONNECT "SUBSCRIBE\nid:e\ndestination:jms.queue.events\n\n@");
    hear(&bad, "connect", CONNECTED);
    client_open(&good, &f);
    say(&good, CONNECT "SUBSCRIBE\nid:e\ndestination:jms.queue.events\n\n@");
    hear(&good, "connect", CONNECTED);
    vr_stream_set_reading(bad.stream, false);

    g_autofree char *filler = g_strnfill(MiB(1), 'x');
    g_autofree char *params = g_strdup_printf("{\"f\":\"%s\",\"notify_time\":1}", filler);
    for (int i = 0; i < 20; i++)
        vr_rpc_server_event(f.server, "|virt|VM_status|x", params);
    good.want = 20 * strlen(params);
    vr_loop_run(f.loop);
    g_assert_cmpuint(good.got->len, >=, 20 * strlen(params));
    good.want = 0;
    /* The stalled one ends by itself; what it reads then is less than was sent. */
    struct vr_timer *timer = vr_timer_new(f.loop, exit_loop, f.loop);
    vr_timer_arm(timer, 1200, 0);
    vr_loop_run(f.loop);
    vr_timer_free(timer);
    bad.want_closed = true;
    vr_stream_set_reading(bad.stream, true);
    vr_loop_run(f.loop);
    g_assert_true(bad.closed);
    g_assert_cmpuint(bad.got->len, <, 20 * strlen(params));
    g_assert_false(good.closed);
    client_done(&good);
    client_done(&bad);
    teardown(&f);
}

static void test_the_number_of_connections_is_limited(void) VR_NO_THREAD_SAFETY
{
    struct fixture f;
    struct client a, b;
    setup_with(&f, (struct vr_rpc_server_options){ .max_connections = 1 });
    client_open(&a, &f);
    say(&a, CONNECT);
    hear(&a, "the first", CONNECTED);
    client_open(&b, &f);
    say(&b, CONNECT);
    hear_end(&b, "the second");
    g_assert_false(a.closed);
    client_done(&a);
    client_done(&b);
    teardown(&f);
}

static void test_strangers_do_not_keep_clients_out(void) VR_NO_THREAD_SAFETY
{
    enum { STRANGERS = 20 };
    struct fixture f;
    struct client strangers[STRANGERS], good;
    setup_with(&f, (struct vr_rpc_server_options){ .max_newcomers = 4 });
    for (unsigned i = 0; i < STRANGERS; i++) {
        client_open(&strangers[i], &f);
        say(&strangers[i], "CONN");
    }
    client_open(&good, &f);
    say(&good, CONNECT);
    hear(&good, "connect", CONNECTED);
    hear_end(&strangers[0], "the first stranger");
    g_assert_false(strangers[STRANGERS - 1].closed);
    client_done(&good);
    for (unsigned i = 0; i < STRANGERS; i++)
        client_done(&strangers[i]);
    teardown(&f);
}

/* What a visitor asks for is answered to a name of its own; nothing else reaches anybody. */
static void test_a_visitor_asks_and_is_answered_and_no_more(void) VR_NO_THREAD_SAFETY
{
#define NO ERROR("22", "Not permitted to hosts")
#define ECHO(reply_to)                                                                             \
    "SEND\ndestination:jms.topic.vdsm_requests\nreply-to:" reply_to "\n\n"                         \
    "{\"jsonrpc\":\"2.0\",\"method\":\"Host.echo\",\"params\":[\"hold\"],\"id\":\"p\"}@"
#define REFUSED                                                                                    \
    "MESSAGE\ndestination:R\ncontent-type:application/json\nsubscription:r\ncontent-length:118\n\n"  \
    "{\"jsonrpc\":\"2.0\",\"id\":\"p\",\"error\":{\"code\":-32001,\"message\":"                    \
    "\"This is not permitted to another host. Ask the Manager.\"}}@"
    static const struct {
        const char *what, *say, *hear;
    } visits[] = {
        { "its own name", "SUBSCRIBE\nid:r\ndestination:R\n\n@" PING, PONG("r") },
        { "events", "SUBSCRIBE\nid:1\ndestination:jms.queue.events\n\n@", NO },
        { "answers", "SUBSCRIBE\nid:1\ndestination:jms.topic.vdsm_responses\n\n@", NO },
        { "requests", "SUBSCRIBE\nid:1\ndestination:jms.topic.vdsm_requests.x\n\n@", NO },
        { "all of them", "SUBSCRIBE\nid:1\ndestination:jms\n\n@", NO },
        { "an event of its own", "SEND\ndestination:jms.queue.events\n\nhi@", NO },
        { "an answer of its own", "SEND\ndestination:R\n\nhi@", NO },
        { "what it may not", ECHO("R"), REFUSED },
        { "an answer that others would hear",
          "SEND\ndestination:jms.topic.vdsm_requests\nreply-to:jms.queue.events\n\n"
          "{\"jsonrpc\":\"2.0\",\"method\":\"Host.ping\",\"id\":\"q\"}@" PING,
          PONG("r") },
        { "what is no JSON, told to all", "SEND\ndestination:jms.topic.vdsm_requests\n\n}@" PING,
          PONG("r") },
    };
    struct fixture f;
    struct client visitor, old;
    setup(&f);
    client_open(&old, &f); /* came before it was a visitor */
    say(&old, CONNECT "SUBSCRIBE\nid:e\ndestination:jms.queue.events\n\n@"
                      "SUBSCRIBE\nid:q\ndestination:jms.topic.vdsm_responses\n\n@"
                      "SUBSCRIBE\nid:j\ndestination:jms\n\n@SEND\ndestination:jms.x\n\nhi@");
    hear(&old, "what everybody hears",
         CONNECTED "MESSAGE\ndestination:jms.x\nsubscription:j\ncontent-length:2\n\nhi@");
    f.visitors = true;
    client_open(&visitor, &f);
    say(&visitor, CONNECT);
    hear(&visitor, "connect", CONNECTED);
    for (unsigned i = 0; i < G_N_ELEMENTS(visits); i++) {
        say(&visitor, visits[i].say);
        hear(&visitor, visits[i].what, visits[i].hear);
    }
    g_assert_cmpuint(f.held->len, ==, 0);
    vr_rpc_server_event(f.server, "|x|y|z", "{}");
    say(&old, END);
    hear(&old, "nothing of all that", ENDED);
    client_done(&visitor);
    client_done(&old);
    teardown(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    vr_log_set_level(VR_LOG_ERROR);
    g_test_add_func("/broker/frames are answered as hosts do",
                    test_frames_are_answered_as_hosts_do);
    g_test_add_func("/broker/requests are answered", test_requests_are_answered);
    g_test_add_func("/broker/an answer reaches every subscriber of its destination",
                    test_an_answer_reaches_every_subscriber_of_its_destination);
    g_test_add_func("/broker/a request without reply-to is carried out",
                    test_a_request_without_reply_to_is_carried_out);
    g_test_add_func("/broker/too many requests are refused until one is answered",
                    test_too_many_requests_are_refused_until_one_is_answered);
    g_test_add_func("/broker/heart-beats go out when nothing else does",
                    test_heart_beats_go_out_when_nothing_else_does);
    g_test_add_func("/broker/a client that falls silent is closed",
                    test_a_client_that_falls_silent_is_closed);
    g_test_add_func("/broker/HTTP is handed over with its first bytes",
                    test_http_is_handed_over_with_its_first_bytes);
    g_test_add_func("/broker/a slow client is recognized and one that says too little is not",
                    test_a_slow_client_is_recognized_and_one_that_says_too_little_is_not);
    g_test_add_func("/broker/a subscriber that does not read hurts nobody else",
                    test_a_subscriber_that_does_not_read_hurts_nobody_else);
    g_test_add_func("/broker/the number of connections is limited",
                    test_the_number_of_connections_is_limited);
    g_test_add_func("/broker/strangers do not keep clients out",
                    test_strangers_do_not_keep_clients_out);
    g_test_add_func("/broker/a visitor asks and is answered and no more",
                    test_a_visitor_asks_and_is_answered_and_no_more);
    return g_test_run();
}
