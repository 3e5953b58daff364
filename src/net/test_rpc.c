/* SPDX-License-Identifier: Apache-2.0 */
#include "net/rpc.h"

#include <gnutls/gnutls.h>

#include "gen/faults.h"
#include "model/host.h"
#include "net/test_pki.h"

/* A server on a loop and thread of its own, and clients on a loop in this thread, over TLS. */
enum { WATCHDOG_MS = 60000 };

static struct test_pki *pki;

struct host {
    struct vr_loop *loop;
    struct vr_tls *tls;
    struct vr_rpc_server *server;
    struct vr_rpc_server_options options;
    GPtrArray *held; /* requests to answer later; the loop's thread */
    unsigned hold;   /* answer when so many are held, last one first, from another thread */
    uint16_t port;
};

struct test {
    struct vr_loop *loop;
    struct vr_timer *watchdog;
    struct host host;
};

struct client {
    struct test *t;
    struct vr_tls *tls;
    struct vr_rpc_client *rpc;
    unsigned ups, downs, answers, events, wanted_events;
    struct vr_error *reason; /* of the last end */
    GString *seen;           /* events */
};

static void bark(void *arg)
{
    g_error("the test waits for something that does not come");
}

/* --- the host --- */

static void answer_echo(struct vr_rpc_request *request)
{
    const struct vr_rpc_host_echo_params *echo = vr_rpc_request_params(request);
    vr_auto struct vr_rpc_host_echo_result *result = VR_NEW(rpc_host_echo_result);
    if (g_str_has_prefix(echo->message, "big:"))
        VR_TAKE_STRING(result, value, g_strnfill(strtoul(echo->message + 4, NULL, 10), 'x'));
    else
        VR_SET_STRING(result, value, echo->message);
    vr_rpc_request_reply(request, result);
}

static void *answer_in_thread(void *data)
{
    GPtrArray *requests = data;
    vr_thread_acquire(requests);
    for (unsigned i = requests->len; i > 0; i--)
        answer_echo(requests->pdata[i - 1]);
    g_ptr_array_free(requests, TRUE);
    return NULL;
}

static void handle(struct vr_rpc_request *request, const struct vr_verb *verb, void *params,
                   void *arg)
{
    struct host *host = arg;
    if (verb == &vr_verb_host_echo) {
        const struct vr_rpc_host_echo_params *echo = params;
        if (strcmp(echo->message, "hold") != 0) {
            answer_echo(request);
            return;
        }
        g_ptr_array_add(host->held, request);
        if (host->held->len == host->hold) {
            vr_thread_release(host->held);
            g_thread_unref(g_thread_new("answers", answer_in_thread, host->held));
            host->held = g_ptr_array_new();
        }
    } else if (verb == &vr_verb_host_get_hardware_info) {
        vr_auto struct vr_rpc_hardware_information *info = VR_NEW(rpc_hardware_information);
        VR_SET_STRING(info, system_manufacturer, "Test");
        vr_rpc_request_reply(request, info);
    } else if (verb == &vr_verb_host_ping) {
        vr_rpc_request_reply(request, NULL);
    } else {
        g_autofree char *text = g_strdup_printf("flow %s", vr_rpc_request_correlation_id(request));
        vr_rpc_request_fail(request, 82, text);
    }
}

static const struct vr_rpc_server_ops server_ops = { .handle = handle };

static void host_listen(void *arg)
{
    struct host *host = arg;
    vr_auto_error struct vr_error *error = NULL;
    host->server = vr_rpc_server_new(host->loop, &host->options, &server_ops, host, &error);
    g_assert_null(error);
    host->port = vr_rpc_server_port(host->server);
}

static void host_close(void *arg) VR_REQUIRES(vr_role_io);
static void host_close(void *arg)
{
    struct host *host = arg;
    vr_rpc_server_free(g_steal_pointer(&host->server));
}

static void drop_held(void *arg)
{
    struct host *host = arg;
    for (unsigned i = 0; i < host->held->len; i++)
        answer_echo(host->held->pdata[i]);
    g_ptr_array_set_size(host->held, 0);
}

/* Runs @fn on the host's thread and waits for it. */
static void on_host(struct host *host, vr_loop_fn *fn)
{
    vr_loop_start_thread(host->loop, "host");
    vr_loop_post(host->loop, fn, host);
    vr_loop_stop_thread(host->loop);
}

static void setup_with(struct test *t, int certificate, struct vr_rpc_server_options options)
{
    vr_auto_error struct vr_error *error = NULL;
    *t = (struct test){ .loop = vr_loop_new("test") };
    t->watchdog = vr_timer_new(t->loop, bark, NULL);
    vr_timer_arm(t->watchdog, WATCHDOG_MS, 0);
    t->host.loop = vr_loop_new("host");
    t->host.held = g_ptr_array_new();
    t->host.tls = vr_tls_new(certificate == PKI_STRANGER ? pki->other_ca : pki->ca,
                             pki->cert[certificate], pki->key[certificate], &error);
    g_assert_null(error);
    options.tls = t->host.tls;
    t->host.options = options;
    on_host(&t->host, host_listen);
    vr_loop_start_thread(t->host.loop, "host");
}

static void setup(struct test *t)
{
    setup_with(t, PKI_SERVER, (struct vr_rpc_server_options){ .max_outstanding = 2000 });
}

static void teardown(struct test *t)
{
    vr_loop_stop_thread(t->host.loop);
    on_host(&t->host, drop_held);
    if (t->host.server)
        on_host(&t->host, host_close);
    g_ptr_array_free(t->host.held, TRUE);
    vr_tls_unref(t->host.tls);
    vr_loop_unref(t->host.loop);
    vr_timer_free(t->watchdog);
    vr_loop_unref(t->loop);
}

/* --- clients --- */

static void on_state(struct vr_rpc_client *rpc, enum vr_rpc_state state,
                     const struct vr_error *reason, void *arg)
{
    struct client *c = arg;
    g_assert_cmpint(state, ==, vr_rpc_client_state(rpc));
    if (state == VR_RPC_UP) {
        g_assert_null(reason);
        c->ups++;
    } else {
        c->downs++;
        vr_error_free(c->reason);
        c->reason = vr_error_copy(reason);
        g_assert_cmpuint(vr_rpc_client_outstanding(rpc), ==, 0);
    }
    vr_loop_exit(c->t->loop);
}

static void on_event(struct vr_rpc_client *rpc, const char *method, const char *params, void *arg)
{
    struct client *c = arg;
    g_string_append_printf(c->seen, "%s %s;", method, params);
    if (++c->events == c->wanted_events)
        vr_loop_exit(c->t->loop);
}

static const struct vr_rpc_client_ops client_ops = { .state = on_state, .event = on_event };

static void client_new(struct client *c, struct test *t, int certificate,
                       struct vr_rpc_client_options options)
{
    vr_auto_error struct vr_error *error = NULL;
    *c = (struct client){ .t = t, .seen = g_string_new(NULL) };
    c->tls = vr_tls_new(certificate == PKI_STRANGER ? pki->other_ca : pki->ca,
                        pki->cert[certificate], pki->key[certificate], &error);
    g_assert_null(error);
    options.host = "127.0.0.1";
    options.port = t->host.port;
    options.tls = c->tls;
    c->rpc = vr_rpc_client_new(t->loop, &options, &client_ops, c);
}

static void client_connect(struct client *c) VR_REQUIRES(vr_role_io);
static void client_connect(struct client *c)
{
    unsigned before = c->ups + c->downs;
    vr_rpc_client_connect(c->rpc);
    while (c->ups + c->downs == before)
        vr_loop_run(c->t->loop);
}

static void client_up(struct client *c, struct test *t) VR_REQUIRES(vr_role_io);
static void client_up(struct client *c, struct test *t)
{
    client_new(c, t, PKI_CLIENT, (struct vr_rpc_client_options){ .pin = pki->pin[PKI_SERVER] });
    client_connect(c);
    g_assert_cmpint(vr_rpc_client_state(c->rpc), ==, VR_RPC_UP);
}

static void client_done(struct client *c) VR_REQUIRES(vr_role_io);
static void client_done(struct client *c)
{
    vr_rpc_client_free(c->rpc);
    vr_tls_unref(c->tls);
    vr_error_free(c->reason);
    g_string_free(c->seen, TRUE);
}

struct answer {
    struct client *c;
    bool done;
    void *result;
    int code;
    char *detail;
    const struct vr_fault *fault;
};

static void on_answer(void *result, int code, const struct vr_error *error, void *arg)
{
    struct answer *a = arg;
    g_assert_false(a->done);
    g_assert_true((code != 0) == (error != NULL));
    a->done = true;
    a->result = vr_ref(result);
    a->code = code;
    a->fault = error ? error->fault : NULL;
    a->detail = error ? g_strdup(error->detail) : NULL;
    a->c->answers++;
    vr_loop_exit(a->c->t->loop);
}

static void ask(struct answer *a, struct client *c, const struct vr_verb *verb, const void *params,
                unsigned timeout_ms) VR_REQUIRES(vr_role_io);
static void ask(struct answer *a, struct client *c, const struct vr_verb *verb, const void *params,
                unsigned timeout_ms)
{
    *a = (struct answer){ .c = c };
    vr_rpc_client_call(c->rpc, verb, params, timeout_ms, "5e0d1c33", on_answer, a);
    g_assert_false(a->done);
}

static void wait_answer(struct answer *a)
{
    while (!a->done)
        vr_loop_run(a->c->t->loop);
}

static void answer_done(struct answer *a)
{
    vr_unref(a->result);
    g_free(a->detail);
}

static struct vr_rpc_host_echo_params *echo_params(const char *message)
{
    struct vr_rpc_host_echo_params *params = VR_NEW(rpc_host_echo_params);
    VR_SET_STRING(params, message, message);
    return params;
}

static void check_echo(struct client *c, const char *message) VR_REQUIRES(vr_role_io);
static void check_echo(struct client *c, const char *message)
{
    vr_auto struct vr_rpc_host_echo_params *params = echo_params(message);
    struct answer a;
    ask(&a, c, &vr_verb_host_echo, params, 0);
    wait_answer(&a);
    g_assert_cmpint(a.code, ==, 0);
    g_assert_cmpstr(((struct vr_rpc_host_echo_result *)a.result)->value, ==, message);
    answer_done(&a);
}

/* --- tests --- */

static void test_calls_are_answered(void) VR_NO_THREAD_SAFETY
{
    struct test t;
    struct client c;
    struct answer a;
    setup(&t);
    client_up(&c, &t);
    check_echo(&c, "hello \"world\"\n");

    ask(&a, &c, &vr_verb_host_ping, NULL, 0);
    wait_answer(&a);
    g_assert_cmpint(a.code, ==, 0);
    g_assert_null(a.result);
    answer_done(&a);

    ask(&a, &c, &vr_verb_host_get_hardware_info, NULL, 0);
    wait_answer(&a);
    g_assert_cmpint(a.code, ==, 0);
    const struct vr_rpc_hardware_information *info = a.result;
    g_assert_cmpstr(info->system_manufacturer, ==, "Test");
    answer_done(&a);
    client_done(&c);
    teardown(&t);
}

static void test_errors_keep_their_code_and_text(void) VR_NO_THREAD_SAFETY
{
    static const struct vr_verb unknown = { "Host.fly", &vr_type_rpc_host_ping_params, NULL,
                                            VR_RESULT_VOID, 0 };
    const struct {
        const struct vr_verb *verb;
        int code;
        const char *detail;
    } rows[] = {
        { &vr_verb_host_get_stats, 82, "Host.getStats: flow 5e0d1c33" },
        { &unknown, VR_RPC_CODE_NO_METHOD, "Host.fly: There is no such verb." },
        { &vr_verb_host_echo, VR_RPC_CODE_BAD_PARAMS, "Host.echo: The parameters do not fit" },
    };
    struct test t;
    struct client c;
    setup(&t);
    client_up(&c, &t);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct answer a;
        ask(&a, &c, rows[i].verb, NULL, 0);
        wait_answer(&a);
        g_assert_cmpint(a.code, ==, rows[i].code);
        g_assert_true(a.fault == &vr_fault_host_rpc);
        g_assert_true(g_str_has_prefix(a.detail, rows[i].detail));
        g_assert_null(a.result);
        answer_done(&a);
    }
    client_done(&c);
    teardown(&t);
}

static void test_a_thousand_calls_are_in_flight(void) VR_NO_THREAD_SAFETY
{
    enum { CALLS = 1000 };
    struct test t;
    struct client c;
    setup(&t);
    t.host.hold = CALLS; /* all wait for the last; the answers come in the opposite order */
    client_up(&c, &t);
    g_autofree struct answer *answers = g_new0(struct answer, CALLS);
    vr_auto struct vr_rpc_host_echo_params *params = echo_params("hold");
    for (unsigned i = 0; i < CALLS; i++)
        ask(&answers[i], &c, &vr_verb_host_echo, params, 0);
    g_assert_cmpuint(vr_rpc_client_outstanding(c.rpc), ==, CALLS);
    while (c.answers < CALLS)
        vr_loop_run(t.loop);
    for (unsigned i = 0; i < CALLS; i++) {
        g_assert_cmpint(answers[i].code, ==, 0);
        g_assert_cmpstr(((struct vr_rpc_host_echo_result *)answers[i].result)->value, ==, "hold");
        answer_done(&answers[i]);
    }
    g_assert_cmpuint(vr_rpc_client_outstanding(c.rpc), ==, 0);
    client_done(&c);
    teardown(&t);
}

static void test_a_recovering_host_answers_99_and_tells_nothing(void) VR_NO_THREAD_SAFETY
{
    struct test t;
    struct client c;
    struct answer a;
    setup(&t);
    client_up(&c, &t);
    vr_rpc_server_set_recovering(t.host.server, true);
    ask(&a, &c, &vr_verb_host_ping, NULL, 0);
    wait_answer(&a);
    g_assert_cmpint(a.code, ==, VR_RPC_CODE_RECOVERING);
    g_assert_true(a.fault == &vr_fault_host_recovering);
    answer_done(&a);
    vr_rpc_server_event(t.host.server, "|virt|VM_status|a", "{\"notify_time\":1}");
    vr_rpc_server_set_recovering(t.host.server, false);
    vr_rpc_server_event(t.host.server, "|virt|VM_status|b", "{\"notify_time\":2}");
    c.wanted_events = 1;
    vr_loop_run(t.loop);
    g_assert_cmpstr(c.seen->str, ==, "|virt|VM_status|b {\"notify_time\":2};");
    check_echo(&c, "back");
    client_done(&c);
    teardown(&t);
}

static void test_events_reach_every_subscriber(void) VR_NO_THREAD_SAFETY
{
    enum { CLIENTS = 5, EVENTS = 20 };
    struct test t;
    struct client clients[CLIENTS], storage;
    g_autoptr(GString) want = g_string_new(NULL);
    setup(&t);
    for (unsigned i = 0; i < CLIENTS; i++) {
        client_up(&clients[i], &t);
        clients[i].wanted_events = EVENTS;
    }
    client_new(&storage, &t, PKI_CLIENT, (struct vr_rpc_client_options){ .no_events = true });
    client_connect(&storage);
    for (unsigned i = 0; i < EVENTS; i++) {
        g_autofree char *params = g_strdup_printf("{\"notify_time\":%u}", i);
        vr_rpc_server_event(t.host.server, "|net|host_conn|no_id", params);
        g_string_append_printf(want, "|net|host_conn|no_id %s;", params);
    }
    for (unsigned i = 0; i < CLIENTS; i++) {
        while (clients[i].events < EVENTS)
            vr_loop_run(t.loop);
        g_assert_cmpstr(clients[i].seen->str, ==, want->str);
        client_done(&clients[i]);
    }
    check_echo(&storage, "still here");
    g_assert_cmpuint(storage.events, ==, 0);
    client_done(&storage);
    teardown(&t);
}

static void test_a_call_without_an_answer_ends_and_a_late_answer_is_dropped(void)
    VR_NO_THREAD_SAFETY
{
    struct test t;
    struct client c;
    struct answer late, quick;
    setup(&t);
    t.host.hold = 2;
    client_up(&c, &t);
    vr_auto struct vr_rpc_host_echo_params *params = echo_params("hold");
    ask(&late, &c, &vr_verb_host_echo, params, 30);
    wait_answer(&late);
    g_assert_cmpint(late.code, ==, VR_RPC_CODE_NETWORK);
    g_assert_true(late.fault == &vr_fault_host_unreachable);
    answer_done(&late);
    /* The second lets both be answered. */
    ask(&quick, &c, &vr_verb_host_echo, params, 0);
    wait_answer(&quick);
    g_assert_cmpint(quick.code, ==, 0);
    answer_done(&quick);
    check_echo(&c, "and on");
    g_assert_cmpuint(c.downs, ==, 0);
    client_done(&c);
    teardown(&t);
}

static void test_a_lost_host_fails_its_calls_and_can_be_reached_again(void) VR_NO_THREAD_SAFETY
{
    enum { ROUNDS = 10 };
    struct test t;
    struct client c;
    struct answer answers[3];
    setup(&t);
    client_up(&c, &t);
    vr_auto struct vr_rpc_host_echo_params *params = echo_params("hold");
    for (unsigned round = 1; round <= ROUNDS; round++) {
        for (unsigned i = 0; i < 3; i++)
            ask(&answers[i], &c, &vr_verb_host_echo, params, 0);
        vr_loop_post(t.host.loop, host_close, &t.host);
        while (c.downs < round)
            vr_loop_run(t.loop);
        for (unsigned i = 0; i < 3; i++) {
            g_assert_true(answers[i].done);
            g_assert_cmpint(answers[i].code, ==, VR_RPC_CODE_NETWORK);
            g_assert_true(answers[i].fault == &vr_fault_host_unreachable);
            answer_done(&answers[i]);
        }
        g_assert_true(c.reason->fault == &vr_fault_host_unreachable);

        /* A call to a host that is known to be away fails by itself. */
        ask(&answers[0], &c, &vr_verb_host_ping, NULL, 0);
        wait_answer(&answers[0]);
        g_assert_cmpint(answers[0].code, ==, VR_RPC_CODE_NETWORK);
        answer_done(&answers[0]);

        vr_loop_stop_thread(t.host.loop);
        on_host(&t.host, drop_held);
        t.host.options.port = t.host.port;
        on_host(&t.host, host_listen);
        vr_loop_start_thread(t.host.loop, "host");
        client_connect(&c);
        check_echo(&c, "again");
    }
    g_assert_cmpuint(c.ups, ==, ROUNDS + 1);
    client_done(&c);
    teardown(&t);
}

static void test_nobody_of_another_ca_gets_through(void) VR_NO_THREAD_SAFETY
{
    const struct {
        int host, client;
        bool pinned;
    } rows[] = {
        { PKI_STRANGER, PKI_CLIENT, false },
        { PKI_SERVER, PKI_STRANGER, false },
        { PKI_SERVER, PKI_OLD, false },
        { PKI_CLIENT, PKI_CLIENT, true }, /* the right CA, but not the certificate that is pinned */
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct test t;
        struct client c;
        setup_with(&t, rows[i].host, (struct vr_rpc_server_options){ 0 });
        client_new(
            &c, &t, rows[i].client,
            (struct vr_rpc_client_options){ .pin = rows[i].pinned ? pki->pin[PKI_SERVER] : NULL });
        client_connect(&c);
        g_assert_cmpuint(c.ups, ==, 0);
        g_assert_cmpint(vr_rpc_client_state(c.rpc), ==, VR_RPC_DOWN);
        g_assert_true(c.reason->fault == &vr_fault_peer_not_trusted ||
                      c.reason->fault == &vr_fault_host_unreachable);
        client_done(&c);
        teardown(&t);
    }
}

static void test_large_answers_arrive_and_too_large_ones_end_the_connection(void)
    VR_NO_THREAD_SAFETY
{
    struct test t;
    struct client c;
    struct answer a;
    setup(&t);
    client_new(&c, &t, PKI_CLIENT, (struct vr_rpc_client_options){ .max_body = MiB(4) });
    client_connect(&c);
    vr_auto struct vr_rpc_host_echo_params *fits = echo_params("big:4000000");
    ask(&a, &c, &vr_verb_host_echo, fits, 0);
    wait_answer(&a);
    g_assert_cmpint(a.code, ==, 0);
    g_assert_cmpuint(strlen(((struct vr_rpc_host_echo_result *)a.result)->value), ==, 4000000);
    answer_done(&a);

    vr_auto struct vr_rpc_host_echo_params *large = echo_params("big:4194304");
    ask(&a, &c, &vr_verb_host_echo, large, 0);
    wait_answer(&a);
    g_assert_cmpint(a.code, ==, VR_RPC_CODE_NETWORK);
    answer_done(&a);
    g_assert_true(c.reason->fault == &vr_fault_rpc_protocol);
    client_done(&c);
    teardown(&t);
}

static void test_a_client_that_is_freed_fails_its_calls(void) VR_NO_THREAD_SAFETY
{
    struct test t;
    struct client c;
    struct answer a, b;
    setup(&t);
    client_up(&c, &t);
    vr_auto struct vr_rpc_host_echo_params *params = echo_params("hold");
    ask(&a, &c, &vr_verb_host_echo, params, 0);
    vr_rpc_client_disconnect(c.rpc);
    g_assert_true(a.done);
    g_assert_cmpint(a.code, ==, VR_RPC_CODE_NETWORK);
    g_assert_cmpuint(c.downs, ==, 0);
    client_connect(&c);
    ask(&b, &c, &vr_verb_host_echo, params, 0);
    client_done(&c);
    g_assert_true(b.done);
    g_assert_cmpint(b.code, ==, VR_RPC_CODE_NETWORK);
    answer_done(&a);
    answer_done(&b);
    teardown(&t);
}

static void on_first_answer(void *result, int code, const struct vr_error *error, void *arg)
    VR_REQUIRES(vr_role_io);
static void on_first_answer(void *result, int code, const struct vr_error *error, void *arg)
{
    struct client *c = arg;
    c->answers++;
    if (code == 0)
        vr_rpc_client_free(g_steal_pointer(&c->rpc)); /* fails the second */
    vr_loop_exit(c->t->loop);
}

static void test_a_client_may_be_freed_by_an_answer(void) VR_NO_THREAD_SAFETY
{
    struct test t;
    struct client c;
    setup(&t);
    client_up(&c, &t);
    vr_auto struct vr_rpc_host_echo_params *params = echo_params("hold");
    vr_rpc_client_call(c.rpc, &vr_verb_host_ping, NULL, 0, NULL, on_first_answer, &c);
    vr_rpc_client_call(c.rpc, &vr_verb_host_echo, params, 0, NULL, on_first_answer, &c);
    while (c.answers < 2)
        vr_loop_run(t.loop);
    g_assert_null(c.rpc);
    client_done(&c);
    teardown(&t);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    vr_log_set_level(VR_LOG_ERROR);
    pki = test_pki_new();
    g_test_add_func("/rpc/calls are answered", test_calls_are_answered);
    g_test_add_func("/rpc/errors keep their code and text", test_errors_keep_their_code_and_text);
    g_test_add_func("/rpc/a thousand calls are in flight", test_a_thousand_calls_are_in_flight);
    g_test_add_func("/rpc/a recovering host answers 99 and tells nothing",
                    test_a_recovering_host_answers_99_and_tells_nothing);
    g_test_add_func("/rpc/events reach every subscriber", test_events_reach_every_subscriber);
    g_test_add_func("/rpc/a call without an answer ends, and a late answer is dropped",
                    test_a_call_without_an_answer_ends_and_a_late_answer_is_dropped);
    g_test_add_func("/rpc/a lost host fails its calls and can be reached again",
                    test_a_lost_host_fails_its_calls_and_can_be_reached_again);
    g_test_add_func("/rpc/nobody of another CA gets through",
                    test_nobody_of_another_ca_gets_through);
    g_test_add_func("/rpc/large answers arrive, and too large ones end the connection",
                    test_large_answers_arrive_and_too_large_ones_end_the_connection);
    g_test_add_func("/rpc/a client that is freed fails its calls",
                    test_a_client_that_is_freed_fails_its_calls);
    g_test_add_func("/rpc/a client may be freed by an answer",
                    test_a_client_may_be_freed_by_an_answer);
    int r = g_test_run();
    test_pki_free(pki);
    return r;
}
