/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "rpc"
#include "net/rpc.h"

#include <stdio.h>

#include "gen/faults.h"
#include "net/broker.h"
#include "net/stomp.h"

/* facts/host-rpc.md 3.1 */
#define CONNECT_MS 20000
#define HEARTBEAT_MS 15000
#define CALL_MS 180000
#define MAX_OUTSTANDING 10000
#define SUSPECT_MS 100

struct vr_rpc_client {
    struct vr_loop *loop;
    const struct vr_rpc_client_ops *ops;
    void *arg;
    unsigned refs; /* the owner, a queued deferral, a callback that is running */
    enum vr_rpc_state state;
    bool freed, warned;
    bool suspect; /* silent for too long, if nothing lies in the socket */
    struct vr_stream *stream;
    struct vr_stomp_parser *parser;
    GHashTable *calls; /* id -> struct call, owned */
    GQueue refused;    /* calls that fail after the callback they were made in */
    struct vr_deferred deferred;
    struct vr_timer *timer;  /* NULL while down */
    uint64_t armed;          /* when it will run */
    uint64_t since;          /* started to connect */
    uint64_t last_in;        /* when bytes came */
    struct vr_error *broken; /* why the connection must be given up, from within the parser */
    /* options */
    char *host, *peer_name, *reply_to;
    uint8_t *pin;
    struct vr_tls *tls;
    uint16_t port;
    bool events;
    unsigned connect_ms, heartbeat_ms, silence_ms;
    size_t max_body;
};

struct call {
    char id[37];
    const struct vr_verb *verb;
    uint64_t deadline;
    vr_rpc_reply_fn *reply;
    void *arg;
    int refusal; /* code of a call that was refused */
};

static void on_timer(void *arg) VR_REQUIRES(vr_role_io);

static void release(struct vr_rpc_client *client)
{
    if (--client->refs)
        return;
    g_hash_table_destroy(client->calls);
    vr_tls_unref(client->tls);
    g_free(client->host);
    g_free(client->peer_name);
    g_free(client->reply_to);
    g_free(client->pin);
    g_free(client);
}

/* --- the end of calls --- */

static const struct vr_fault *fault_of(int code)
{
    switch (code) {
    case VR_RPC_CODE_NETWORK:
        return &vr_fault_host_unreachable;
    case VR_RPC_CODE_RECOVERING:
        return &vr_fault_host_recovering;
    case VR_RPC_CODE_EXHAUSTED:
        return &vr_fault_host_busy;
    case VR_RPC_CODE_INTERNAL:
        return &vr_fault_rpc_protocol;
    default:
        return &vr_fault_host_rpc;
    }
}

static void fail_call(struct call *call, int code, const struct vr_fault *fault, const char *detail)
{
    vr_auto_error struct vr_error *error = NULL;
    vr_error_set(&error, fault, "%s: %s", call->verb->name, detail);
    call->reply(NULL, code, error, call->arg);
    g_free(call);
}

/* Fails every call: the callbacks may make new ones, which find the client down. */
static void fail_calls(struct vr_rpc_client *client, const char *why)
{
    g_autoptr(GList) calls = g_hash_table_get_values(client->calls);
    g_hash_table_steal_all(client->calls);
    for (GList *l = calls; l; l = l->next)
        fail_call(l->data, VR_RPC_CODE_NETWORK, &vr_fault_host_unreachable, why);
}

/* Only those of now: a callback that at once calls again must not keep us here. */
static void fail_refused(struct vr_rpc_client *client)
{
    for (unsigned left = g_queue_get_length(&client->refused); left; left--) {
        struct call *call = g_queue_pop_head(&client->refused);
        fail_call(call, call->refusal, fault_of(call->refusal),
                  call->refusal == VR_RPC_CODE_NETWORK ? "There is no connection."
                                                       : "Too many calls wait for their answers.");
    }
}

static void on_deferred(struct vr_deferred *self)
{
    struct vr_rpc_client *client =
        (struct vr_rpc_client *)((char *)self - offsetof(struct vr_rpc_client, deferred));
    fail_refused(client);
    release(client);
}

static void refuse_call(struct vr_rpc_client *client, struct call *call, int code)
{
    call->refusal = code;
    g_queue_push_tail(&client->refused, call);
    if (!client->deferred.queued)
        client->refs++;
    vr_loop_defer(client->loop, &client->deferred);
}

/* --- the connection --- */

static void close_connection(struct vr_rpc_client *client) VR_REQUIRES(vr_role_io);
static void close_connection(struct vr_rpc_client *client)
{
    client->state = VR_RPC_DOWN;
    vr_timer_free(g_steal_pointer(&client->timer));
    vr_stream_free(g_steal_pointer(&client->stream));
    g_clear_pointer(&client->parser, vr_stomp_parser_free);
    g_clear_pointer(&client->broken, vr_error_free);
}

/* Nobody may use the client after this without a reference of his own. */
static void lose(struct vr_rpc_client *client, const struct vr_fault *fault, const char *detail)
    VR_REQUIRES(vr_role_io);
static void lose(struct vr_rpc_client *client, const struct vr_fault *fault, const char *detail)
{
    vr_auto_error struct vr_error *reason = NULL;
    vr_error_set(&reason, fault, "%s", detail);
    client->refs++;
    close_connection(client);
    fail_calls(client, reason->detail);
    if (!client->freed && client->state == VR_RPC_DOWN)
        client->ops->state(client, VR_RPC_DOWN, reason, client->arg);
    release(client);
}

/* What stops the parser is told when it has returned. */
static bool give_up(struct vr_rpc_client *client, const char *format, ...) VR_PRINTF(2, 3);
static bool give_up(struct vr_rpc_client *client, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *detail = g_strdup_vprintf(format, args);
    va_end(args);
    vr_error_set(&client->broken, &vr_fault_rpc_protocol, "%s", detail);
    return false;
}

static void arm(struct vr_rpc_client *client, uint64_t when)
{
    uint64_t now = vr_loop_now_ms(client->loop);
    uint64_t ms = when > now ? when - now : 0;
    client->armed = when;
    vr_timer_arm(client->timer, ms, MIN(ms / 20, 500));
}

static uint64_t connection_deadline(const struct vr_rpc_client *client)
{
    return client->state == VR_RPC_UP ? client->last_in + client->silence_ms
                                      : client->since + client->connect_ms;
}

/* Fails the calls whose time is over, and says when to look again. */
static uint64_t expire_calls(struct vr_rpc_client *client, uint64_t now)
{
    g_autoptr(GPtrArray) expired = g_ptr_array_new();
    uint64_t next = UINT64_MAX;
    GHashTableIter iter;
    void *value;
    g_hash_table_iter_init(&iter, client->calls);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        struct call *call = value;
        if (call->deadline > now) {
            next = MIN(next, call->deadline);
            continue;
        }
        g_hash_table_iter_steal(&iter);
        g_ptr_array_add(expired, call);
    }
    for (unsigned i = 0; i < expired->len; i++)
        fail_call(expired->pdata[i], VR_RPC_CODE_NETWORK, &vr_fault_host_unreachable,
                  "There was no answer in time.");
    return next;
}

/* One timer serves silence and every call; it is late by design: it is not moved when bytes come,
 * but looks, when it runs, at when it ought to run. */
static void on_timer(void *arg)
{
    struct vr_rpc_client *client = arg;
    uint64_t now = vr_loop_now_ms(client->loop);
    if (now >= connection_deadline(client) &&
        (!client->suspect || vr_stream_has_input(client->stream))) {
        /* A process that was stopped, or has much to do, finds its timers due before it has read
         * what came meanwhile: the silence is its own. */
        client->suspect = true;
        arm(client, now + SUSPECT_MS);
        return;
    }
    if (now >= connection_deadline(client)) {
        lose(client, &vr_fault_host_unreachable,
             client->state == VR_RPC_UP ? "The host fell silent."
                                        : "The host did not answer in time.");
        return;
    }
    client->refs++;
    client->armed = UINT64_MAX;
    uint64_t next = expire_calls(client, now);
    /* The callbacks may have closed it, or made calls that are due even sooner. */
    if (client->timer)
        arm(client, MIN(MIN(next, connection_deadline(client)), client->armed));
    release(client);
}

/* --- frames --- */

static void finish_call(struct call *call, const struct vr_jsonrpc_message *message)
{
    vr_auto_error struct vr_error *error = NULL;
    if (message->error.text && message->error.text[0] != 'n') {
        g_autofree char *text = NULL;
        int code = vr_jsonrpc_read_error(message->error, &text);
        fail_call(call, code, fault_of(code), text);
        return;
    }
    vr_auto void *result = NULL;
    if (!message->result.text)
        vr_error_set(&error, &vr_fault_rpc_protocol, "The answer has neither result nor error.");
    else
        result = vr_jsonrpc_read_result(call->verb, message->result, &vr_codec_caps_host, &error);
    if (error) {
        fail_call(call, VR_RPC_CODE_INTERNAL, &vr_fault_rpc_protocol, error->detail);
        return;
    }
    call->reply(result, 0, NULL, call->arg);
    g_free(call);
}

static void on_answer(struct vr_rpc_client *client, const struct vr_jsonrpc_message *message)
{
    g_autofree char *id = vr_json_span_string(message->id);
    void *call = NULL;
    /* Late, somebody else's, or made up: not ours. */
    if (id && g_hash_table_steal_extended(client->calls, id, NULL, &call))
        finish_call(call, message);
}

static void on_notification(struct vr_rpc_client *client, const struct vr_jsonrpc_message *message)
{
    g_autofree char *params =
        message->params.text ? g_strndup(message->params.text, message->params.length) : NULL;
    if (client->ops->event)
        client->ops->event(client, message->method, params, client->arg);
}

static bool on_message(struct vr_rpc_client *client, const struct vr_stomp_frame *frame)
{
    struct vr_jsonrpc rpc;
    vr_auto_error struct vr_error *error = NULL;
    if (!vr_jsonrpc_parse(frame->body, frame->body_len, &vr_codec_caps_host, &rpc, &error)) {
        if (!client->warned)
            vr_log_warning("%s sent a message that is dropped: %s", client->host, error->detail);
        client->warned = true;
        return true;
    }
    for (unsigned i = 0; i < rpc.count && client->stream; i++) {
        const struct vr_jsonrpc_message *message = &rpc.messages[i];
        if (message->method && !message->id.text)
            on_notification(client, message);
        else if (!message->method)
            on_answer(client, message);
    }
    vr_jsonrpc_done(&rpc);
    return client->stream != NULL;
}

static bool on_error(struct vr_rpc_client *client, const struct vr_stomp_frame *frame)
{
    g_autofree char *valid = g_utf8_make_valid(frame->body, (gssize)MIN(frame->body_len, 200));
    g_autofree char *text = g_strescape(valid, NULL);
    if (client->state == VR_RPC_CONNECTING)
        return give_up(client, "The host refused the session: %s.", text);
    if (!client->warned)
        vr_log_warning("%s sent an error frame: %s", client->host, text);
    client->warned = true;
    return true;
}

static bool on_connected(struct vr_rpc_client *client, const struct vr_stomp_frame *frame)
    VR_REQUIRES(vr_role_io);
static bool on_connected(struct vr_rpc_client *client, const struct vr_stomp_frame *frame)
{
    const char *version = vr_stomp_get(frame, "version");
    if (client->state != VR_RPC_CONNECTING)
        return true;
    if (g_strcmp0(version, "1.2") != 0)
        return give_up(client, "The host speaks no STOMP 1.2.");
    client->state = VR_RPC_UP;
    arm(client, connection_deadline(client));
    client->ops->state(client, VR_RPC_UP, NULL, client->arg);
    return client->stream != NULL;
}

/* The callbacks within may close the connection: then the parser's rest is of no interest. */
static bool on_frame(const struct vr_stomp_frame *frame, void *arg) VR_REQUIRES(vr_role_io);
static bool on_frame(const struct vr_stomp_frame *frame, void *arg)
{
    struct vr_rpc_client *client = arg;
    const struct vr_stream *stream = client->stream;
    bool go_on = true;
    if (strcmp(frame->command, "MESSAGE") == 0)
        go_on = on_message(client, frame);
    else if (strcmp(frame->command, "CONNECTED") == 0)
        go_on = on_connected(client, frame);
    else if (strcmp(frame->command, "ERROR") == 0)
        go_on = on_error(client, frame);
    else if (strcmp(frame->command, "RECEIPT") != 0)
        go_on = give_up(client, "The host sent a frame of an unknown kind.");
    return go_on && client->stream == stream;
}

/* --- the stream --- */

static void write_opening(struct vr_rpc_client *client, struct vr_buffer *out)
{
    char beat[24];
    snprintf(beat, sizeof(beat), "0,%u", client->heartbeat_ms);
    vr_stomp_begin(out, "CONNECT");
    vr_stomp_header(out, "accept-version", "1.2");
    vr_stomp_header(out, "host", "null");
    vr_stomp_header(out, "heart-beat", beat);
    vr_stomp_end(out, NULL, 0);

    const char *destinations[] = { client->events ? VR_BROKER_EVENTS : NULL, client->reply_to };
    for (size_t i = 0; i < G_N_ELEMENTS(destinations); i++) {
        if (!destinations[i])
            continue;
        g_autofree char *id = vr_uuid_new();
        vr_stomp_begin(out, "SUBSCRIBE");
        vr_stomp_header(out, "id", id);
        vr_stomp_header(out, "destination", destinations[i]);
        vr_stomp_end(out, NULL, 0);
    }
}

static void on_ready(struct vr_stream *stream, void *arg) VR_REQUIRES(vr_role_io);
static void on_ready(struct vr_stream *stream, void *arg)
{
    struct vr_rpc_client *client = arg;
    struct vr_buffer out = { 0 };
    client->since = vr_loop_now_ms(client->loop);
    arm(client, connection_deadline(client));
    write_opening(client, &out);
    vr_stream_write(stream, vr_buffer_data(&out), vr_buffer_len(&out));
    vr_buffer_done(&out);
}

static size_t on_data(struct vr_stream *stream, const uint8_t *data, size_t len, void *arg)
    VR_REQUIRES(vr_role_io);
static size_t on_data(struct vr_stream *stream, const uint8_t *data, size_t len, void *arg)
{
    struct vr_rpc_client *client = arg;
    vr_auto_error struct vr_error *error = NULL;
    client->last_in = vr_loop_now_ms(client->loop);
    client->suspect = false;
    client->refs++;
    /* A callback may close the connection, and even open the next: this parser is ours till then.
     */
    struct vr_stomp_parser *parser = g_steal_pointer(&client->parser);
    bool ok = vr_stomp_parser_feed(parser, data, len, &error);
    if (client->stream == stream && ok) {
        client->parser = parser;
    } else {
        vr_stomp_parser_free(parser);
        if (!error && client->broken)
            vr_error_move(&error, &client->broken);
        if (client->stream == stream)
            lose(client, &vr_fault_rpc_protocol, error ? error->detail : "The connection ended.");
    }
    release(client);
    return len;
}

static void on_closed(struct vr_stream *stream, const struct vr_error *reason, void *arg)
    VR_REQUIRES(vr_role_io);
static void on_closed(struct vr_stream *stream, const struct vr_error *reason, void *arg)
{
    bool trust = reason->fault == &vr_fault_peer_not_trusted;
    lose(arg, trust ? reason->fault : &vr_fault_host_unreachable, reason->detail);
}

static const struct vr_stream_ops stream_ops = {
    .ready = on_ready,
    .data = on_data,
    .closed = on_closed,
};

/* --- public --- */

struct vr_rpc_client *vr_rpc_client_new(struct vr_loop *loop,
                                        const struct vr_rpc_client_options *options,
                                        const struct vr_rpc_client_ops *ops, void *arg)
{
    struct vr_rpc_client *client = g_new0(struct vr_rpc_client, 1);
    client->loop = loop;
    client->refs = 1;
    client->ops = ops;
    client->arg = arg;
    client->calls = g_hash_table_new(g_str_hash, g_str_equal);
    client->deferred.fn = on_deferred;
    client->host = g_strdup(options->host);
    client->port = options->port;
    client->tls = options->tls ? vr_tls_ref(options->tls) : NULL;
    client->pin = options->pin ? g_memdup2(options->pin, 32) : NULL;
    client->peer_name = g_strdup(options->peer_name);
    client->reply_to = options->reply_to ? g_strdup(options->reply_to) : vr_uuid_new();
    client->events = !options->no_events;
    client->connect_ms = options->connect_ms ? options->connect_ms : CONNECT_MS;
    client->heartbeat_ms = options->heartbeat_ms ? options->heartbeat_ms : HEARTBEAT_MS;
    client->silence_ms =
        options->silence_ms ? options->silence_ms : client->heartbeat_ms + client->heartbeat_ms / 2;
    client->max_body = options->max_body ? options->max_body : VR_STOMP_MAX_BODY;
    return client;
}

void vr_rpc_client_free(struct vr_rpc_client *client)
{
    if (!client)
        return;
    client->freed = true;
    vr_rpc_client_disconnect(client);
    fail_refused(client);
    release(client);
}

void vr_rpc_client_connect(struct vr_rpc_client *client)
{
    g_assert(client->state == VR_RPC_DOWN && !client->freed);
    const struct vr_stream_options options = {
        .tls = client->tls,
        .pin = client->pin,
        .peer_name = client->peer_name,
        .connect_ms = client->connect_ms,
    };
    client->state = VR_RPC_CONNECTING;
    client->warned = client->suspect = false;
    client->parser = vr_stomp_parser_new(client->max_body, on_frame, client);
    client->stream =
        vr_stream_connect(client->loop, client->host, client->port, &options, &stream_ops, client);
    client->timer = vr_timer_new(client->loop, on_timer, client);
}

void vr_rpc_client_disconnect(struct vr_rpc_client *client)
{
    client->refs++;
    close_connection(client);
    fail_calls(client, "The connection was closed.");
    release(client);
}

enum vr_rpc_state vr_rpc_client_state(const struct vr_rpc_client *client)
{
    return client->state;
}

static void write_request(struct vr_rpc_client *client, const struct call *call, const void *params,
                          const char *correlation_id) VR_REQUIRES(vr_role_io);
static void write_request(struct vr_rpc_client *client, const struct call *call, const void *params,
                          const char *correlation_id)
{
    g_autoptr(GString) body = g_string_new(NULL);
    struct vr_buffer head = { 0 };
    vr_jsonrpc_write_request(body, call->verb, params, call->id);
    vr_stomp_begin(&head, "SEND");
    vr_stomp_header(&head, "destination", VR_BROKER_REQUESTS);
    vr_stomp_header(&head, "reply-to", client->reply_to);
    if (correlation_id)
        vr_stomp_header(&head, "ovirtCorrelationId", correlation_id);
    vr_stomp_header(&head, "content-type", "application/json");
    vr_stomp_end_head(&head, body->len);
    vr_stream_write(client->stream, vr_buffer_data(&head), vr_buffer_len(&head));
    vr_stream_write(client->stream, body->str, body->len + 1); /* with its NUL */
    vr_buffer_done(&head);
}

void vr_rpc_client_call(struct vr_rpc_client *client, const struct vr_verb *verb,
                        const void *params, unsigned timeout_ms, const char *correlation_id,
                        vr_rpc_reply_fn *reply, void *arg)
{
    struct call *call = g_new0(struct call, 1);
    g_autofree char *id = vr_uuid_new();
    memcpy(call->id, id, sizeof(call->id));
    call->verb = verb;
    call->reply = reply;
    call->arg = arg;
    call->deadline = vr_loop_now_ms(client->loop) + (timeout_ms ? timeout_ms : CALL_MS);
    if (client->state != VR_RPC_UP) {
        refuse_call(client, call, VR_RPC_CODE_NETWORK);
    } else if (g_hash_table_size(client->calls) >= MAX_OUTSTANDING) {
        refuse_call(client, call, VR_RPC_CODE_EXHAUSTED);
    } else {
        g_hash_table_insert(client->calls, call->id, call);
        write_request(client, call, params, correlation_id);
        if (call->deadline < client->armed)
            arm(client, call->deadline);
    }
}

unsigned vr_rpc_client_outstanding(const struct vr_rpc_client *client)
{
    return g_hash_table_size(client->calls) + g_queue_get_length((GQueue *)&client->refused);
}
