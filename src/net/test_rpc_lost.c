/* SPDX-License-Identifier: Apache-2.0 */
#include "net/rpc.h"

#include <string.h>

#include "gen/faults.h"
#include "model/host.h"

/* A client and a host that misbehaves, both on one loop in this thread. */
enum { WATCHDOG_MS = 20000 };

#define CONNECTED "CONNECTED\nversion:1.2\nheart-beat:40,0\n\n@"
#define MESSAGE "MESSAGE\ndestination:R\nsubscription:1\n"

struct test {
    struct vr_loop *loop;
    struct vr_timer *watchdog, *beat;
    struct vr_listener *listener;
    struct vr_stream *host; /* the host's side of the last connection */
    const char *opening;    /* what the host says at once; `@` is NUL, "ID" the last request's id */
    const char *answer;     /* what it says to a request, or NULL */
    bool hang_up;           /* after what it says */
    bool mute;              /* reads nothing at all */
    unsigned beats;         /* heart-beats still to send */
    GString *heard;
    struct vr_rpc_client *rpc;
    unsigned ups, downs, connections, answers;
    int code;
    struct vr_error *reason;
    GString *events;
};

static void bark(void *arg)
{
    g_error("the test waits for something that does not come");
}

static void host_say(struct test *t, const char *text, const char *id) VR_REQUIRES(vr_role_io);
static void host_say(struct test *t, const char *text, const char *id)
{
    g_autoptr(GString) bytes = g_string_new(text);
    if (id)
        g_string_replace(bytes, "ID", id, 0);
    size_t len = bytes->len;
    g_strdelimit(bytes->str, "@", '\0');
    vr_stream_write(t->host, bytes->str, len);
    if (t->hang_up)
        vr_stream_finish(g_steal_pointer(&t->host));
}

static void beat(void *arg) VR_REQUIRES(vr_role_io);
static void beat(void *arg)
{
    struct test *t = arg;
    if (!t->beats || !t->host)
        return;
    t->beats--;
    vr_stream_write(t->host, "\n", 1);
    vr_timer_arm(t->beat, 10, 0);
}

static size_t host_data(struct vr_stream *stream, const uint8_t *data, size_t len, void *arg)
    VR_REQUIRES(vr_role_io);
static size_t host_data(struct vr_stream *stream, const uint8_t *data, size_t len, void *arg)
{
    struct test *t = arg;
    bool opened = t->heard->len > 0;
    for (size_t i = 0; i < len; i++)
        g_string_append_c(t->heard, data[i] ? (char)data[i] : '@');
    if (!opened && t->opening) {
        host_say(t, t->opening, NULL);
        beat(t);
    } else if (opened && t->answer) {
        const char *id = strstr(t->heard->str, "\"id\":\"");
        g_assert_nonnull(id);
        g_autofree char *uuid = g_strndup(id + 6, 36);
        host_say(t, t->answer, uuid);
    }
    return len;
}

static void host_closed(struct vr_stream *stream, const struct vr_error *reason, void *arg)
    VR_REQUIRES(vr_role_io);
static void host_closed(struct vr_stream *stream, const struct vr_error *reason, void *arg)
{
    struct test *t = arg;
    vr_stream_free(stream);
    t->host = NULL;
}

static const struct vr_stream_ops host_ops = { .data = host_data, .closed = host_closed };

static void on_accept(int fd, void *arg) VR_REQUIRES(vr_role_io);
static void on_accept(int fd, void *arg)
{
    static const struct vr_stream_options options = { 0 };
    struct test *t = arg;
    t->connections++;
    g_string_truncate(t->heard, 0);
    vr_stream_free(t->host);
    t->host = vr_stream_accept(t->loop, fd, &options, &host_ops, t);
    if (t->mute)
        vr_stream_set_reading(t->host, false);
}

static void on_state(struct vr_rpc_client *rpc, enum vr_rpc_state state,
                     const struct vr_error *reason, void *arg)
{
    struct test *t = arg;
    if (state == VR_RPC_UP) {
        t->ups++;
    } else {
        t->downs++;
        vr_error_free(t->reason);
        t->reason = vr_error_copy(reason);
    }
    vr_loop_exit(t->loop);
}

static void on_event(struct vr_rpc_client *rpc, const char *method, const char *params, void *arg)
{
    struct test *t = arg;
    g_string_append_printf(t->events, "%s %s;", method, params ? params : "-");
}

static const struct vr_rpc_client_ops client_ops = { .state = on_state, .event = on_event };

static void on_answer(void *result, int code, const struct vr_error *error, void *arg)
{
    struct test *t = arg;
    t->answers++;
    t->code = code;
    vr_loop_exit(t->loop);
}

static void setup(struct test *t, const char *opening)
{
    vr_auto_error struct vr_error *error = NULL;
    *t = (struct test){ .loop = vr_loop_new("test"), .opening = opening };
    t->heard = g_string_new(NULL);
    t->events = g_string_new(NULL);
    t->watchdog = vr_timer_new(t->loop, bark, NULL);
    vr_timer_arm(t->watchdog, WATCHDOG_MS, 0);
    t->beat = vr_timer_new(t->loop, beat, t);
    t->listener = vr_listener_new(t->loop, "127.0.0.1", 0, on_accept, t, &error);
    g_assert_null(error);
    const struct vr_rpc_client_options options = {
        .host = "127.0.0.1",
        .port = vr_listener_port(t->listener),
        .reply_to = "jms.topic.vdsm_responses",
        .connect_ms = 500,
        .heartbeat_ms = 40,
        .silence_ms = 60,
        .max_body = 1000,
    };
    t->rpc = vr_rpc_client_new(t->loop, &options, &client_ops, t);
}

static void teardown(struct test *t) VR_REQUIRES(vr_role_io);
static void teardown(struct test *t)
{
    vr_rpc_client_free(t->rpc);
    vr_stream_free(t->host);
    vr_listener_free(t->listener);
    vr_timer_free(t->beat);
    vr_timer_free(t->watchdog);
    vr_error_free(t->reason);
    g_string_free(t->heard, TRUE);
    g_string_free(t->events, TRUE);
    vr_loop_unref(t->loop);
}

static void connect_client(struct test *t) VR_REQUIRES(vr_role_io);
static void connect_client(struct test *t)
{
    vr_rpc_client_connect(t->rpc);
    vr_loop_run(t->loop);
}

static void wait_down(struct test *t)
{
    while (!t->downs)
        vr_loop_run(t->loop);
}

/* --- before it is up --- */

static const struct {
    const char *what, *opening;
    bool hang_up, mute;
    const struct vr_fault *fault;
    const char *detail;
} openings[] = {
    { "it says nothing", NULL, false, false, &vr_fault_host_unreachable, "in time" },
    { "it reads nothing", NULL, false, true, &vr_fault_host_unreachable, "in time" },
    { "it sends heart-beats alone", "\n\n\n", false, false, &vr_fault_host_unreachable, "in time" },
    { "it hangs up", "", true, false, &vr_fault_host_unreachable, "closed" },
    { "it hangs up within the answer", "CONNECTED\nver", true, false, &vr_fault_host_unreachable,
      "closed" },
    { "it refuses the version", "ERROR\ncontent-length:19\n\nVersion unsupported@", false, false,
      &vr_fault_rpc_protocol, "refused the session: Version unsupported" },
    { "it speaks another version", "CONNECTED\nversion:1.1\n\n@", false, false,
      &vr_fault_rpc_protocol, "1.2" },
    { "it speaks HTTP", "HTTP/1.1 400 Bad Request\r\n\r\n", false, false, &vr_fault_rpc_protocol,
      "STOMP" },
    { "it speaks SSH", "SSH-2.0-OpenSSH_9.2\r\n", false, false, &vr_fault_rpc_protocol, "STOMP" },
    { "it is a client", "CONNECT\naccept-version:1.2\n\n@", false, false, &vr_fault_rpc_protocol,
      "unknown kind" },
};

static void test_what_is_no_host_is_given_up(void) VR_NO_THREAD_SAFETY
{
    for (size_t i = 0; i < G_N_ELEMENTS(openings); i++) {
        struct test t;
        setup(&t, openings[i].opening);
        t.hang_up = openings[i].hang_up;
        t.mute = openings[i].mute;
        connect_client(&t);
        g_assert_cmpuint(t.ups, ==, 0);
        g_assert_cmpuint(t.downs, ==, 1);
        if (t.reason->fault != openings[i].fault || !strstr(t.reason->detail, openings[i].detail))
            g_error("%s: %s %s", openings[i].what, t.reason->fault->name, t.reason->detail);
        g_assert_cmpint(vr_rpc_client_state(t.rpc), ==, VR_RPC_DOWN);
        teardown(&t);
    }
}

/* --- while a call waits --- */

static const struct {
    const char *what, *answer;
    bool hang_up;
    int code;           /* of the call */
    bool down;          /* whether the connection ends */
    const char *detail; /* of that end */
} answers[] = {
    { "an answer", MESSAGE "\n{\"jsonrpc\":\"2.0\",\"id\":\"ID\",\"result\":true}@", false, 0,
      false, NULL },
    { "an answer without version", MESSAGE "\n{\"id\":\"ID\",\"result\":7}@", false, 0, false,
      NULL },
    { "an error", MESSAGE "\n{\"id\":\"ID\",\"error\":{\"code\":4,\"message\":\"x\"}}@", false, 4,
      false, NULL },
    { "an error whose code is text", MESSAGE "\n{\"id\":\"ID\",\"error\":{\"code\":\"99\"}}@",
      false, 99, false, NULL },
    { "an error without a code", MESSAGE "\n{\"id\":\"ID\",\"error\":{\"message\":7}}@", false,
      VR_RPC_CODE_INTERNAL, false, NULL },
    { "an error that is text", MESSAGE "\n{\"id\":\"ID\",\"error\":\"x\"}@", false,
      VR_RPC_CODE_INTERNAL, false, NULL },
    { "an error of null beside a result",
      MESSAGE "\n{\"id\":\"ID\",\"error\":null,\"result\":true}@", false, 0, false, NULL },
    { "neither result nor error", MESSAGE "\n{\"id\":\"ID\"}@", false, VR_RPC_CODE_INTERNAL, false,
      NULL },
    { "the second of two answers is dropped",
      MESSAGE "\n{\"id\":\"ID\",\"error\":{\"code\":1}}@" MESSAGE
              "\n{\"id\":\"ID\",\"result\":true}@",
      false, 1, false, NULL },
    { "others' answers come first",
      MESSAGE "\n{\"id\":\"0a7e2f52-1c9b-4d8e-9b21-0d5b1a2c3d4e\",\"result\":{}}@" MESSAGE
              "\n{\"id\":7,\"result\":{}}@" MESSAGE "\n{\"id\":null,\"result\":{}}@" MESSAGE
              "\nno json@" MESSAGE "\n[]@" MESSAGE
              "\n3@ERROR\nx:y\n\noops@RECEIPT\nreceipt-id:1\n\n@" MESSAGE
              "\n{\"id\":\"ID\",\"error\":{\"code\":1}}@",
      false, 1, false, NULL },
    { "an answer in an array", MESSAGE "\n[{\"id\":\"x\"},{\"id\":\"ID\",\"error\":{\"code\":1}}]@",
      false, 1, false, NULL },
    { "it hangs up", "", true, VR_RPC_CODE_NETWORK, true, "closed" },
    { "it is killed within a frame", MESSAGE "content-length:900\n\n{\"id\":\"ID\",\"res", true,
      VR_RPC_CODE_NETWORK, true, "closed" },
    { "a frame that is too large", MESSAGE "content-length:1001\n\n{", false, VR_RPC_CODE_NETWORK,
      true, "larger" },
    { "a frame of another length than it says", MESSAGE "content-length:2\n\n{}}@", false,
      VR_RPC_CODE_NETWORK, true, "content-length" },
    { "garbage", "\x01\x02\x03", false, VR_RPC_CODE_NETWORK, true, "silent" },
    { "garbage in lines", "\x01\x02\n\x03", false, VR_RPC_CODE_NETWORK, true, "capitals" },
    { "silence", "", false, VR_RPC_CODE_NETWORK, true, "silent" },
    { "a frame that never ends", MESSAGE, false, VR_RPC_CODE_NETWORK, true, "silent" },
};

static void test_a_call_ends_whatever_the_host_says(void) VR_NO_THREAD_SAFETY
{
    for (size_t i = 0; i < G_N_ELEMENTS(answers); i++) {
        struct test t;
        setup(&t, CONNECTED);
        connect_client(&t);
        g_assert_cmpuint(t.ups, ==, 1);
        t.answer = answers[i].answer;
        t.hang_up = answers[i].hang_up;
        vr_rpc_client_call(t.rpc, &vr_verb_host_ping, NULL, 0, NULL, on_answer, &t);
        while (!t.answers)
            vr_loop_run(t.loop);
        if (t.code != answers[i].code || (t.downs > 0) != answers[i].down)
            g_error("%s: code %d, %s", answers[i].what, t.code, t.downs ? t.reason->detail : "up");
        if (answers[i].down && !strstr(t.reason->detail, answers[i].detail))
            g_error("%s: %s", answers[i].what, t.reason->detail);
        g_assert_cmpuint(t.answers, ==, 1);
        g_assert_cmpuint(vr_rpc_client_outstanding(t.rpc), ==, 0);
        teardown(&t);
    }
}

static void test_the_session_opens_as_managers_do(void) VR_NO_THREAD_SAFETY
{
    struct test t;
    setup(&t, CONNECTED);
    connect_client(&t);
    static const char want[] = "CONNECT\naccept-version:1.2\nhost:null\nheart-beat:0,40\n\n@"
                               "SUBSCRIBE\nid:####\ndestination:jms.queue.events\n\n@"
                               "SUBSCRIBE\nid:####\ndestination:jms.topic.vdsm_responses\n\n@";
    g_autoptr(GRegex) uuid = g_regex_new("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", 0, 0, NULL);
    g_autofree char *heard = g_regex_replace_literal(uuid, t.heard->str, -1, 0, "####", 0, NULL);
    g_assert_cmpstr(heard, ==, want);

    g_string_truncate(t.heard, 0);
    g_string_append_c(t.heard, ' ');
    t.answer = MESSAGE "\n{\"id\":\"ID\",\"result\":true}@";
    vr_rpc_client_call(t.rpc, &vr_verb_host_ping, NULL, 0, "5e0d1c33", on_answer, &t);
    vr_loop_run(t.loop);
    g_autofree char *request = g_regex_replace_literal(uuid, t.heard->str, -1, 0, "####", 0, NULL);
    g_assert_cmpstr(
        request, ==,
        " SEND\ndestination:jms.topic.vdsm_requests\nreply-to:jms.topic.vdsm_responses\n"
        "ovirtCorrelationId:5e0d1c33\ncontent-type:application/json\ncontent-length:94\n\n"
        "{\"jsonrpc\":\"2.0\",\"method\":\"Host.ping\",\"params\":{},\"id\":\"####\"}@");
    teardown(&t);
}

static void test_heart_beats_keep_a_connection_and_their_end_ends_it(void) VR_NO_THREAD_SAFETY
{
    struct test t;
    setup(&t, CONNECTED);
    t.beats = 20; /* 200 ms, three silences */
    gint64 begin = g_get_monotonic_time();
    connect_client(&t);
    g_assert_cmpuint(t.ups, ==, 1);
    wait_down(&t);
    g_assert_cmpint(g_get_monotonic_time() - begin, >=, 250000);
    g_assert_cmpuint(t.beats, ==, 0);
    g_assert_nonnull(strstr(t.reason->detail, "silent"));
    teardown(&t);
}

static void test_events_are_told_as_they_came(void) VR_NO_THREAD_SAFETY
{
    struct test t;
    setup(&t, CONNECTED
          "MESSAGE\ndestination:jms.queue.events\nsubscription:1\n\n"
          "{\"jsonrpc\":\"2.0\",\"method\":\"|virt|VM_status|d3a1\",\"params\":{\"d3a1\":{"
          "\"status\":\"Up\"} ,"
          "\"notify_time\":4296440130}}@"
          "MESSAGE\ndestination:jms.queue.events\nsubscription:1\n\n"
          "{\"jsonrpc\":\"2.0\",\"method\":\"|net|host_conn|no_id\"}@"
          "MESSAGE\nx:y\n\n{\"jsonrpc\":\"2.0\",\"method\":\"x\",\"id\":\"a request?\"}@");
    connect_client(&t);
    wait_down(&t);
    g_assert_cmpstr(
        t.events->str, ==,
        "|virt|VM_status|d3a1 {\"d3a1\":{\"status\":\"Up\"} ,\"notify_time\":4296440130};"
        "|net|host_conn|no_id -;");
    teardown(&t);
}

static void test_a_host_that_comes_and_goes_costs_nothing(void) VR_NO_THREAD_SAFETY
{
    enum { ROUNDS = 50 };
    struct test t;
    setup(&t, CONNECTED);
    t.hang_up = true;
    for (unsigned i = 1; i <= ROUNDS; i++) {
        vr_rpc_client_connect(t.rpc);
        while (t.downs < i)
            vr_loop_run(t.loop);
        g_assert_cmpint(vr_rpc_client_state(t.rpc), ==, VR_RPC_DOWN);
    }
    g_assert_cmpuint(t.ups, ==, ROUNDS);
    g_assert_cmpuint(t.connections, ==, ROUNDS);
    teardown(&t);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    vr_log_set_level(VR_LOG_ERROR);
    g_test_add_func("/rpc lost/what is no host is given up", test_what_is_no_host_is_given_up);
    g_test_add_func("/rpc lost/a call ends whatever the host says",
                    test_a_call_ends_whatever_the_host_says);
    g_test_add_func("/rpc lost/the session opens as managers do",
                    test_the_session_opens_as_managers_do);
    g_test_add_func("/rpc lost/heart-beats keep a connection, and their end ends it",
                    test_heart_beats_keep_a_connection_and_their_end_ends_it);
    g_test_add_func("/rpc lost/events are told as they came", test_events_are_told_as_they_came);
    g_test_add_func("/rpc lost/a host that comes and goes costs nothing",
                    test_a_host_that_comes_and_goes_costs_nothing);
    return g_test_run();
}
