/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "rpc"
#include "net/rpc.h"

#include <unistd.h>

#include "gen/faults.h"
#include "net/broker.h"

#define MAX_OUTSTANDING 80
#define MAX_CONNECTIONS 256
#define MAX_NEWCOMERS 64
#define DETECT_MS 10000
#define DETECT_BYTES 11 /* the longest STOMP command, UNSUBSCRIBE (facts/host-rpc.md 2) */

struct vr_rpc_server {
    gint refs; /* atomic: the owner, every request, everything posted */
    struct vr_loop *loop;
    const struct vr_rpc_server_ops *ops;
    void *arg;
    struct vr_rpc_server_options options;
    gint recovering;      /* atomic */
    struct vr_mutex lock; /* before the loop's own */
    bool stopped;         /* guarded by lock: nothing may be posted any more */
    /* The rest belongs to the loop's thread. */
    struct vr_listener *listener;
    struct vr_broker *broker;
    GQueue newcomers; /* of struct newcomer, the oldest first */
    unsigned outstanding;
};

/* A connection whose first bytes are awaited. */
struct newcomer {
    struct vr_rpc_server *server;
    GList link;
    struct vr_stream *stream;
    struct vr_timer *timer; /* NULL until the stream is open */
};

/* The requests of one array, which are answered together. */
struct batch {
    char *reply_to;
    GString *answers; /* touched by the loop's thread alone */
    gint waiting;     /* atomic: for so many; the last one sends */
};

struct vr_rpc_request {
    struct vr_rpc_server *server;
    const struct vr_verb *verb;
    void *params;
    char *id; /* JSON text; NULL: the answer is not wanted */
    char *reply_to, *correlation_id, *peer, *local;
    struct batch *batch; /* NULL when it came alone */
    bool of_visitor;
    GString *answer;
};

static void server_unref(struct vr_rpc_server *server)
{
    if (!g_atomic_int_dec_and_test(&server->refs))
        return;
    vr_tls_unref(server->options.tls);
    vr_mutex_done(&server->lock);
    g_free(server);
}

/* Posts to the loop of a server that lives; false when it does not, and @arg stays the caller's. */
static bool post(struct vr_rpc_server *server, vr_loop_fn *fn, void *arg)
{
    vr_mutex_lock(&server->lock);
    bool alive = !server->stopped;
    if (alive)
        vr_loop_post(server->loop, fn, arg);
    vr_mutex_unlock(&server->lock);
    return alive;
}

/* --- answers --- */

static void request_free(struct vr_rpc_request *request)
{
    vr_unref(request->params);
    g_free(request->id);
    g_free(request->reply_to);
    g_free(request->correlation_id);
    g_free(request->peer);
    g_free(request->local);
    if (request->answer)
        g_string_free(request->answer, TRUE);
    server_unref(request->server);
    g_free(request);
}

/* The answer of one message goes to where its sender listens, or into its batch's. */
static void give_answer(struct vr_rpc_server *server, struct batch *batch, const char *reply_to,
                        const GString *answer) VR_REQUIRES(vr_role_io);
static void give_answer(struct vr_rpc_server *server, struct batch *batch, const char *reply_to,
                        const GString *answer)
{
    if (batch) {
        g_string_append_c(batch->answers, batch->answers->len ? ',' : '[');
        g_string_append_len(batch->answers, answer->str, (gssize)answer->len);
    } else if (reply_to && server->broker) {
        vr_broker_publish(server->broker, reply_to, answer->str, answer->len);
    }
}

static void batch_free(struct batch *batch)
{
    g_string_free(batch->answers, TRUE);
    g_free(batch->reply_to);
    g_free(batch);
}

static void batch_done_one(struct vr_rpc_server *server, struct batch *batch)
    VR_REQUIRES(vr_role_io);
static void batch_done_one(struct vr_rpc_server *server, struct batch *batch)
{
    if (!batch || !g_atomic_int_dec_and_test(&batch->waiting))
        return;
    if (batch->answers->len) {
        g_string_append_c(batch->answers, ']');
        give_answer(server, NULL, batch->reply_to, batch->answers);
    }
    batch_free(batch);
}

static void deliver(void *arg) VR_REQUIRES(vr_role_io);
static void deliver(void *arg)
{
    struct vr_rpc_request *request = arg;
    struct vr_rpc_server *server = request->server;
    server->outstanding--;
    if (request->id)
        give_answer(server, request->batch, request->reply_to, request->answer);
    batch_done_one(server, request->batch);
    request_free(request);
}

static void send_answer(struct vr_rpc_request *request)
{
    if (post(request->server, deliver, request))
        return;
    /* The server is gone: nobody waits. */
    if (request->batch && g_atomic_int_dec_and_test(&request->batch->waiting))
        batch_free(request->batch);
    request_free(request);
}

void vr_rpc_request_reply(struct vr_rpc_request *request, const void *result)
{
    request->answer = g_string_new(NULL);
    vr_jsonrpc_write_result(request->answer, request->verb, result, request->id);
    send_answer(request);
}

void vr_rpc_request_fail(struct vr_rpc_request *request, int code, const char *message)
{
    request->answer = g_string_new(NULL);
    vr_jsonrpc_write_error(request->answer, code, message, request->id);
    send_answer(request);
}

void vr_rpc_request_fail_error(struct vr_rpc_request *request, const struct vr_error *error)
{
    g_autofree char *text = vr_error_text(error);
    int code = error->fault->rpc;
    vr_rpc_request_fail(request, code ? code : VR_RPC_CODE_GENERAL, text);
}

const struct vr_verb *vr_rpc_request_verb(const struct vr_rpc_request *request)
{
    return request->verb;
}

void *vr_rpc_request_params(const struct vr_rpc_request *request)
{
    return request->params;
}

const char *vr_rpc_request_correlation_id(const struct vr_rpc_request *request)
{
    return request->correlation_id ? request->correlation_id : "";
}

const char *vr_rpc_request_peer(const struct vr_rpc_request *request)
{
    return request->peer;
}

bool vr_rpc_request_is_of_visitor(const struct vr_rpc_request *request)
{
    return request->of_visitor;
}

const char *vr_rpc_request_local(const struct vr_rpc_request *request)
{
    return request->local;
}

/* --- requests --- */

/* What is wrong with a message as such; NULL and the verb when nothing is. */
static const struct vr_fault *check_message(const struct vr_rpc_server *server,
                                            const struct vr_jsonrpc_message *message,
                                            const struct vr_verb **verb)
{
    if (!message->valid || !message->method)
        return &vr_fault_rpc_invalid_request;
    *verb = server->options.find_verb(message->method);
    if (!*verb)
        return &vr_fault_rpc_no_method;
    if (g_atomic_int_get(&server->recovering))
        return &vr_fault_host_recovering;
    if (server->outstanding >= server->options.max_outstanding)
        return &vr_fault_host_busy;
    return NULL;
}

static void answer_error(struct vr_rpc_server *server, struct batch *batch,
                         const struct vr_broker_request *frame, const char *id,
                         const struct vr_error *error) VR_REQUIRES(vr_role_io);
static void answer_error(struct vr_rpc_server *server, struct batch *batch,
                         const struct vr_broker_request *frame, const char *id,
                         const struct vr_error *error)
{
    g_autoptr(GString) answer = g_string_new(NULL);
    g_autofree char *text = vr_error_text(error);
    vr_jsonrpc_write_error(answer, error->fault->rpc, text, id);
    /* Without an id nobody can tell whose it is: it goes to where such answers always went. */
    bool known = id || batch || frame->of_visitor;
    give_answer(server, batch, known ? frame->reply_to : VR_BROKER_RESPONSES, answer);
}

static void on_message(struct vr_rpc_server *server, struct batch *batch,
                       const struct vr_broker_request *frame,
                       const struct vr_jsonrpc_message *message) VR_REQUIRES(vr_role_io);
static void on_message(struct vr_rpc_server *server, struct batch *batch,
                       const struct vr_broker_request *frame,
                       const struct vr_jsonrpc_message *message)
{
    vr_auto_error struct vr_error *error = NULL;
    vr_auto void *params = NULL;
    const struct vr_verb *verb = NULL;
    g_autofree char *id = message->id.text ? g_strndup(message->id.text, message->id.length) : NULL;
    const struct vr_fault *fault = check_message(server, message, &verb);
    const char *why = NULL;
    if (verb && frame->of_visitor)
        why = server->ops->refuse(verb, frame->who, frame->peer, server->arg);
    if (why)
        vr_error_set(&error, &vr_fault_rpc_not_permitted, "%s", why);
    else if (fault)
        vr_error_set(&error, fault, NULL);
    else
        params = vr_jsonrpc_read_params(verb, message->params, &vr_codec_caps_host, &error);
    if (error) {
        /* A notification that cannot be carried out gets no answer either. */
        if (id || fault == &vr_fault_rpc_invalid_request)
            answer_error(server, batch, frame, id, error);
        batch_done_one(server, batch);
        return;
    }

    struct vr_rpc_request *request = g_new0(struct vr_rpc_request, 1);
    g_atomic_int_inc(&server->refs);
    request->server = server;
    request->verb = verb;
    request->params = g_steal_pointer(&params);
    request->id = g_steal_pointer(&id);
    request->reply_to = g_strdup(frame->reply_to);
    request->correlation_id = g_strdup(frame->correlation_id);
    request->peer = g_strdup(frame->peer);
    request->local = vr_stream_local_address(frame->stream);
    request->batch = batch;
    request->of_visitor = frame->of_visitor;
    server->outstanding++;
    vr_log_debug("%s calls %s, flow %s.", request->peer, verb->name,
                 vr_rpc_request_correlation_id(request));
    server->ops->handle(request, verb, request->params, server->arg);
}

static bool is_visitor(const struct vr_tls_peer *peer, void *arg)
{
    struct vr_rpc_server *server = arg;
    return server->ops->is_visitor(peer, server->arg);
}

static void on_request(const struct vr_broker_request *frame, void *arg) VR_REQUIRES(vr_role_io);
static void on_request(const struct vr_broker_request *frame, void *arg)
{
    struct vr_rpc_server *server = arg;
    vr_auto_error struct vr_error *error = NULL;
    struct vr_jsonrpc rpc;
    if (!vr_jsonrpc_parse(frame->body, frame->body_len, &vr_codec_caps_host, &rpc, &error)) {
        answer_error(server, NULL, frame, NULL, error);
        return;
    }
    struct batch *batch = NULL;
    if (rpc.batch) {
        batch = g_new0(struct batch, 1);
        batch->reply_to = g_strdup(frame->reply_to);
        batch->answers = g_string_new(NULL);
        batch->waiting = (gint)rpc.count;
    }
    for (unsigned i = 0; i < rpc.count; i++)
        on_message(server, batch, frame, &rpc.messages[i]);
    vr_jsonrpc_done(&rpc);
}

/* --- newcomers --- */

/* The stream stays, or goes with its newcomer. */
static void newcomer_free(struct newcomer *newcomer, bool with_stream) VR_REQUIRES(vr_role_io);
static void newcomer_free(struct newcomer *newcomer, bool with_stream)
{
    g_queue_unlink(&newcomer->server->newcomers, &newcomer->link);
    vr_timer_free(newcomer->timer);
    if (with_stream)
        vr_stream_free(newcomer->stream);
    g_free(newcomer);
}

static bool starts_with_any(const char *start, const char *const *words)
{
    for (; *words; words++)
        if (strncmp(start, *words, strlen(*words)) == 0)
            return true;
    return false;
}

static size_t detect(struct vr_stream *stream, const uint8_t *data, size_t len, void *arg)
    VR_REQUIRES(vr_role_io);
static size_t detect(struct vr_stream *stream, const uint8_t *data, size_t len, void *arg)
{
    static const char *const http[] = { "GET /", "PUT /", NULL };
    static const char *const stomp[] = { "MESSAGE",     "SEND",       "SUBSCRIBE",
                                         "UNSUBSCRIBE", "CONNECT",    "ERROR",
                                         "RECEIPT",     "DISCONNECT", NULL };
    struct newcomer *newcomer = arg;
    struct vr_rpc_server *server = newcomer->server;
    if (len < DETECT_BYTES)
        return 0;
    char start[DETECT_BYTES + 1] = "";
    memcpy(start, data, DETECT_BYTES);
    bool full = vr_broker_connections(server->broker) >= server->options.max_connections;
    if (full) {
        vr_log_warning("There are %u connections: that of %s is turned away.",
                       server->options.max_connections, vr_stream_peer(stream));
        newcomer_free(newcomer, true);
    } else if (starts_with_any(start, stomp)) {
        newcomer_free(newcomer, false);
        vr_broker_add(server->broker, stream);
    } else if (starts_with_any(start, http) && server->ops->http) {
        newcomer_free(newcomer, false);
        server->ops->http(stream, server->arg);
    } else {
        vr_log_info("%s speaks no protocol that is known here.", vr_stream_peer(stream));
        newcomer_free(newcomer, true);
    }
    return 0;
}

static void detect_too_long(void *arg) VR_REQUIRES(vr_role_io);
static void detect_too_long(void *arg)
{
    struct newcomer *newcomer = arg;
    vr_log_info("%s connected and said nothing.", vr_stream_peer(newcomer->stream));
    newcomer_free(newcomer, true);
}

static void newcomer_ready(struct vr_stream *stream, void *arg)
{
    struct newcomer *newcomer = arg;
    newcomer->timer = vr_timer_new(newcomer->server->loop, detect_too_long, newcomer);
    vr_timer_arm(newcomer->timer, newcomer->server->options.detect_ms, 100);
}

static void newcomer_closed(struct vr_stream *stream, const struct vr_error *reason, void *arg)
    VR_REQUIRES(vr_role_io);
static void newcomer_closed(struct vr_stream *stream, const struct vr_error *reason, void *arg)
{
    vr_log_info("%s was turned away: %s", vr_stream_peer(stream), reason->detail);
    newcomer_free(arg, true);
}

static const struct vr_stream_ops newcomer_ops = {
    .ready = newcomer_ready,
    .data = detect,
    .closed = newcomer_closed,
};

static void on_accept(int fd, void *arg) VR_REQUIRES(vr_role_io);
static void on_accept(int fd, void *arg)
{
    struct vr_rpc_server *server = arg;
    const struct vr_stream_options options = {
        .tls = server->options.tls,
        .handshake_ms = server->options.handshake_ms,
        .stall_ms = server->options.stall_ms,
    };
    /* Nobody has shown a certificate yet.  A flood of strangers costs the oldest of them their
     * place, and not those who come in good faith, who are through within moments. */
    if (g_queue_get_length(&server->newcomers) >= server->options.max_newcomers)
        newcomer_free(server->newcomers.head->data, true);
    struct newcomer *newcomer = g_new0(struct newcomer, 1);
    newcomer->server = server;
    newcomer->link.data = newcomer;
    g_queue_push_tail_link(&server->newcomers, &newcomer->link);
    newcomer->stream = vr_stream_accept(server->loop, fd, &options, &newcomer_ops, newcomer);
}

/* --- events --- */

struct event {
    struct vr_rpc_server *server;
    GString *text;
};

static void publish_event(void *arg) VR_REQUIRES(vr_role_io);
static void publish_event(void *arg)
{
    struct event *event = arg;
    if (event->server->broker)
        vr_broker_publish(event->server->broker, VR_BROKER_EVENTS, event->text->str,
                          event->text->len);
    g_string_free(event->text, TRUE);
    server_unref(event->server);
    g_free(event);
}

void vr_rpc_server_event(struct vr_rpc_server *server, const char *method, const char *params)
{
    if (g_atomic_int_get(&server->recovering))
        return;
    struct event *event = g_new(struct event, 1);
    *event = (struct event){ server, g_string_new(NULL) };
    g_atomic_int_inc(&server->refs);
    vr_jsonrpc_write_event(event->text, method, params);
    if (post(server, publish_event, event))
        return;
    g_string_free(event->text, TRUE);
    server_unref(event->server);
    g_free(event);
}

/* --- life --- */

static void set_defaults(struct vr_rpc_server_options *options)
{
    if (!options->find_verb)
        options->find_verb = vr_verb_find;
    if (!options->max_outstanding)
        options->max_outstanding = MAX_OUTSTANDING;
    if (!options->max_connections)
        options->max_connections = MAX_CONNECTIONS;
    if (!options->max_newcomers)
        options->max_newcomers = MAX_NEWCOMERS;
    if (!options->detect_ms)
        options->detect_ms = DETECT_MS;
}

struct vr_rpc_server *vr_rpc_server_new(struct vr_loop *loop,
                                        const struct vr_rpc_server_options *options,
                                        const struct vr_rpc_server_ops *ops, void *arg,
                                        struct vr_error **error)
{
    struct vr_rpc_server *server = g_new0(struct vr_rpc_server, 1);
    server->refs = 1;
    server->loop = loop;
    server->ops = ops;
    server->arg = arg;
    server->options = *options;
    server->options.tls = options->tls ? vr_tls_ref(options->tls) : NULL;
    server->recovering = options->recovering;
    vr_mutex_init(&server->lock);
    set_defaults(&server->options);
    server->listener =
        vr_listener_new(loop, options->address, options->port, on_accept, server, error);
    if (!server->listener) {
        server_unref(server);
        return NULL;
    }
    const struct vr_broker_options broker = {
        .is_visitor = ops->is_visitor ? is_visitor : NULL,
        .max_body = options->max_body,
        .min_heartbeat_ms = options->min_heartbeat_ms,
    };
    server->broker = vr_broker_new(loop, &broker, on_request, server);
    return server;
}

void vr_rpc_server_free(struct vr_rpc_server *server)
{
    if (!server)
        return;
    vr_mutex_lock(&server->lock);
    server->stopped = true;
    vr_mutex_unlock(&server->lock);
    g_clear_pointer(&server->listener, vr_listener_free);
    while (server->newcomers.head)
        newcomer_free(server->newcomers.head->data, true);
    vr_broker_free(g_steal_pointer(&server->broker));
    server_unref(server);
}

uint16_t vr_rpc_server_port(const struct vr_rpc_server *server)
{
    return vr_listener_port(server->listener);
}

void vr_rpc_server_set_recovering(struct vr_rpc_server *server, bool recovering)
{
    g_atomic_int_set(&server->recovering, recovering);
}
