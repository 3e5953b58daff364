/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "broker"
#include "net/broker.h"

#include <stdio.h>

#define MIN_HEARTBEAT_MS 1000
#define SUSPECT_MS 100
#define MAX_SUBSCRIPTIONS 128 /* of one connection */
#define SHARED "jms"          /* names below it are known to everybody */

struct vr_broker {
    struct vr_loop *loop;
    struct vr_broker_options options;
    vr_broker_request_fn *request;
    void *arg;
    GHashTable *connections;  /* set of struct connection */
    GHashTable *destinations; /* name -> GPtrArray of struct subscription, in order of arrival */
};

struct connection {
    struct vr_broker *broker;
    struct vr_stream *stream;
    struct vr_tls_peer *peer; /* NULL without TLS */
    struct vr_stomp_parser *parser;
    GHashTable *subscriptions; /* id -> struct subscription, owned */
    struct vr_timer *timer;    /* of the heart-beats; NULL without any */
    unsigned in_ms, out_ms;    /* negotiated; 0: none */
    uint64_t last_in, last_out;
    bool over;    /* goes as soon as its parser returned */
    bool suspect; /* silent for too long, if nothing lies in the socket */
};

struct subscription {
    struct connection *connection;
    char *id, *destination;
};

/* --- visitors --- */

static bool is_visitor(const struct connection *connection)
{
    const struct vr_broker *broker = connection->broker;
    return broker->options.is_visitor && broker->options.is_visitor(connection->peer, broker->arg);
}

static bool is_or_below(const char *destination, const char *name)
{
    size_t len = strlen(name);
    return strncmp(destination, name, len) == 0 &&
           (destination[len] == '\0' || destination[len] == '.');
}

/* Also for who subscribed before it was a visitor. */
static bool may_hear(const struct subscription *subscription)
{
    return !is_or_below(subscription->destination, SHARED) || !is_visitor(subscription->connection);
}

/* --- subscriptions --- */

static GPtrArray *subscribers(const struct vr_broker *broker, const char *destination)
{
    return g_hash_table_lookup(broker->destinations, destination);
}

static void subscribe(struct connection *connection, const char *id, const char *destination)
{
    struct vr_broker *broker = connection->broker;
    struct subscription *subscription = g_new(struct subscription, 1);
    *subscription = (struct subscription){ connection, g_strdup(id), g_strdup(destination) };
    g_hash_table_insert(connection->subscriptions, subscription->id, subscription);

    GPtrArray *list = subscribers(broker, destination);
    if (!list) {
        list = g_ptr_array_new();
        g_hash_table_insert(broker->destinations, g_strdup(destination), list);
    }
    g_ptr_array_add(list, subscription);
}

/* Value destructor of connection->subscriptions. */
static void unsubscribe(void *data)
{
    struct subscription *subscription = data;
    struct vr_broker *broker = subscription->connection->broker;
    GPtrArray *list = subscribers(broker, subscription->destination);
    g_ptr_array_remove(list, subscription);
    if (!list->len)
        g_hash_table_remove(broker->destinations, subscription->destination);
    g_free(subscription->id);
    g_free(subscription->destination);
    g_free(subscription);
}

/* --- connections --- */

static void connection_free(struct connection *connection, bool in_order) VR_REQUIRES(vr_role_io);
static void connection_free(struct connection *connection, bool in_order)
{
    g_hash_table_remove(connection->broker->connections, connection);
    g_hash_table_destroy(connection->subscriptions);
    vr_stomp_parser_free(connection->parser);
    vr_timer_free(connection->timer);
    vr_tls_peer_free(connection->peer);
    if (in_order)
        vr_stream_finish(connection->stream);
    else
        vr_stream_free(connection->stream);
    g_free(connection);
}

static void send_buffer(struct connection *connection, struct vr_buffer *frame)
    VR_REQUIRES(vr_role_io);
static void send_buffer(struct connection *connection, struct vr_buffer *frame)
{
    /* A stream that cannot take it tells of its end by itself. */
    vr_stream_write(connection->stream, vr_buffer_data(frame), vr_buffer_len(frame));
    connection->last_out = vr_loop_now_ms(connection->broker->loop);
    vr_buffer_done(frame);
}

static void send_error(struct connection *connection, const char *text) VR_REQUIRES(vr_role_io);
static void send_error(struct connection *connection, const char *text)
{
    struct vr_buffer frame = { 0 };
    vr_stomp_begin(&frame, "ERROR");
    vr_stomp_end(&frame, text, strlen(text));
    send_buffer(connection, &frame);
}

/* --- heart-beats --- */

/* Looks at both clocks, and comes back when the next one can be due. */
static void tend(void *arg) VR_REQUIRES(vr_role_io);
static void tend(void *arg)
{
    struct connection *connection = arg;
    uint64_t now = vr_loop_now_ms(connection->broker->loop), next = UINT64_MAX, slack = 500;
    if (connection->in_ms) {
        bool silent = now >= connection->last_in + connection->in_ms;
        if (silent && (!connection->suspect || vr_stream_has_input(connection->stream))) {
            /* A process that was stopped, or has much to do, finds its timers due before it has
             * read what came meanwhile: the silence is its own. */
            connection->suspect = true;
            vr_timer_arm(connection->timer, SUSPECT_MS, 0);
            return;
        }
        if (silent) {
            vr_log_info("%s fell silent for %u ms: its connection is closed.",
                        vr_stream_peer(connection->stream), connection->in_ms);
            connection_free(connection, false);
            return;
        }
        next = connection->last_in + connection->in_ms - now;
        slack = MIN(slack, connection->in_ms / 20);
    }
    if (connection->out_ms) {
        if (now >= connection->last_out + connection->out_ms) {
            vr_stream_write(connection->stream, "\n", 1);
            connection->last_out = now;
        }
        next = MIN(next, connection->last_out + connection->out_ms - now);
        slack = MIN(slack, connection->out_ms / 20);
    }
    vr_timer_arm(connection->timer, next, slack);
}

static unsigned negotiate(const struct vr_broker *broker, uint64_t wanted)
{
    unsigned least =
        broker->options.min_heartbeat_ms ? broker->options.min_heartbeat_ms : MIN_HEARTBEAT_MS;
    return wanted ? MAX((unsigned)wanted, least) : 0;
}

/* "cx,cy"; both 0 when it is missing or something else. */
static void parse_heartbeat(const char *text, uint64_t *cx, uint64_t *cy)
{
    g_auto(GStrv) parts = g_strsplit(text ? text : "", ",", 3);
    if (g_strv_length(parts) == 2 &&
        g_ascii_string_to_unsigned(g_strstrip(parts[0]), 10, 0, INT_MAX, cx, NULL) &&
        g_ascii_string_to_unsigned(g_strstrip(parts[1]), 10, 0, INT_MAX, cy, NULL))
        return;
    *cx = *cy = 0;
}

/* --- frames --- */

static void on_connect(struct connection *connection, const struct vr_stomp_frame *frame)
    VR_REQUIRES(vr_role_io);
static void on_connect(struct connection *connection, const struct vr_stomp_frame *frame)
{
    if (g_strcmp0(vr_stomp_get(frame, "accept-version"), "1.2") != 0) {
        send_error(connection, "Version unsupported");
        return;
    }
    uint64_t cx = 0, cy = 0;
    parse_heartbeat(vr_stomp_get(frame, "heart-beat"), &cx, &cy);
    connection->in_ms = negotiate(connection->broker, cx);
    connection->out_ms = negotiate(connection->broker, cy);

    char beat[32];
    snprintf(beat, sizeof(beat), "%u,%u", connection->out_ms, connection->in_ms);
    struct vr_buffer reply = { 0 };
    vr_stomp_begin(&reply, "CONNECTED");
    vr_stomp_header(&reply, "version", "1.2");
    vr_stomp_header(&reply, "heart-beat", beat);
    vr_stomp_end(&reply, NULL, 0);
    send_buffer(connection, &reply);

    vr_timer_free(g_steal_pointer(&connection->timer));
    if (connection->in_ms || connection->out_ms) {
        connection->timer = vr_timer_new(connection->broker->loop, tend, connection);
        tend(connection);
    }
}

static void on_subscribe(struct connection *connection, const struct vr_stomp_frame *frame)
    VR_REQUIRES(vr_role_io);
static void on_subscribe(struct connection *connection, const struct vr_stomp_frame *frame)
{
    const char *id = vr_stomp_get(frame, "id");
    const char *destination = vr_stomp_get(frame, "destination");
    if (!id || !*id || !destination || !*destination)
        send_error(connection, "Missing destination or subscription id header");
    else if (g_hash_table_contains(connection->subscriptions, id))
        send_error(connection, "Subscription id already exists");
    else if (is_or_below(destination, SHARED) && is_visitor(connection))
        send_error(connection, "Not permitted to hosts");
    else if (g_hash_table_size(connection->subscriptions) == MAX_SUBSCRIPTIONS)
        send_error(connection, "Too many subscriptions");
    else
        subscribe(connection, id, destination);
}

static void on_unsubscribe(struct connection *connection, const struct vr_stomp_frame *frame)
    VR_REQUIRES(vr_role_io);
static void on_unsubscribe(struct connection *connection, const struct vr_stomp_frame *frame)
{
    const char *id = vr_stomp_get(frame, "id");
    if (!id || !*id)
        send_error(connection, "Missing id header");
    else
        g_hash_table_remove(connection->subscriptions, id);
}

/* The frame as it came, but for what the broker itself has to say. */
static void forward(const struct vr_stomp_frame *frame, const struct subscription *to)
    VR_REQUIRES(vr_role_io);
static void forward(const struct vr_stomp_frame *frame, const struct subscription *to)
{
    struct vr_buffer message = { 0 };
    vr_stomp_begin(&message, "MESSAGE");
    for (unsigned i = 0; i < frame->header_count; i++) {
        const struct vr_stomp_header *header = &frame->headers[i];
        if (strcmp(header->name, "content-length") != 0 &&
            strcmp(header->name, "subscription") != 0)
            vr_stomp_header(&message, header->name, header->value);
    }
    vr_stomp_header(&message, "subscription", to->id);
    vr_stomp_end(&message, frame->body, frame->body_len);
    send_buffer(to->connection, &message);
}

/* To the subscribers of the destination and of its parents: a.b.c, a.b, a. */
static unsigned forward_to_all(struct vr_broker *broker, const struct vr_stomp_frame *frame,
                               const char *destination) VR_REQUIRES(vr_role_io);
static unsigned forward_to_all(struct vr_broker *broker, const struct vr_stomp_frame *frame,
                               const char *destination)
{
    unsigned count = 0;
    g_autofree char *name = g_strdup(destination);
    for (;;) {
        const GPtrArray *list = subscribers(broker, name);
        for (unsigned i = 0; list && i < list->len; i++) {
            if (!may_hear(list->pdata[i]))
                continue;
            forward(frame, list->pdata[i]);
            count++;
        }
        char *dot = strrchr(name, '.');
        if (!dot)
            return count;
        *dot = '\0';
    }
}

static void on_send(struct connection *connection, const struct vr_stomp_frame *frame)
    VR_REQUIRES(vr_role_io);
static void on_send(struct connection *connection, const struct vr_stomp_frame *frame)
{
    struct vr_broker *broker = connection->broker;
    const char *destination = vr_stomp_get(frame, "destination");
    if (!destination)
        destination = "";
    bool is_request = is_or_below(destination, VR_BROKER_REQUESTS) ||
                      is_or_below(destination, VR_BROKER_IRS_REQUESTS);
    bool visitor = is_visitor(connection);
    if (visitor && !is_request) {
        send_error(connection, "Not permitted to hosts");
        return;
    }
    unsigned count = visitor ? 0 : forward_to_all(broker, frame, destination);
    const char *reply_to = vr_stomp_get(frame, "reply-to");
    if (visitor && reply_to && is_or_below(reply_to, SHARED))
        reply_to = NULL; /* nobody is told what a visitor wants to have said */
    if (is_request) {
        const struct vr_broker_request request = {
            .reply_to = reply_to,
            .who = connection->peer,
            .of_visitor = visitor,
            .correlation_id = vr_stomp_get(frame, "ovirtCorrelationId"),
            .peer = vr_stream_peer(connection->stream),
            .stream = connection->stream,
            .body = frame->body,
            .body_len = frame->body_len,
        };
        broker->request(&request, broker->arg);
    } else if (!count) {
        send_error(connection, "Subscription not available");
    }
}

static void on_disconnect(struct connection *connection, const struct vr_stomp_frame *frame)
    VR_REQUIRES(vr_role_io);
static void on_disconnect(struct connection *connection, const struct vr_stomp_frame *frame)
{
    const char *receipt = vr_stomp_get(frame, "receipt");
    if (receipt) {
        struct vr_buffer reply = { 0 };
        vr_stomp_begin(&reply, "RECEIPT");
        vr_stomp_header(&reply, "receipt-id", receipt);
        vr_stomp_end(&reply, NULL, 0);
        send_buffer(connection, &reply);
    }
    connection->over = true;
}

static bool on_frame(const struct vr_stomp_frame *frame, void *arg) VR_REQUIRES(vr_role_io);
static bool on_frame(const struct vr_stomp_frame *frame, void *arg)
{
    static const struct {
        const char *command;
        void (*handle)(struct connection *connection, const struct vr_stomp_frame *frame);
    } handlers[] = {
        { "SEND", on_send },
        { "CONNECT", on_connect },
        { "SUBSCRIBE", on_subscribe },
        { "UNSUBSCRIBE", on_unsubscribe },
        { "DISCONNECT", on_disconnect },
    };
    struct connection *connection = arg;
    for (size_t i = 0; i < G_N_ELEMENTS(handlers); i++) {
        if (strcmp(frame->command, handlers[i].command) == 0) {
            handlers[i].handle(connection, frame);
            return !connection->over;
        }
    }
    vr_log_warning("%s sent an unsupported %s frame: its connection is closed.",
                   vr_stream_peer(connection->stream), frame->command);
    connection->over = true;
    return false;
}

/* --- the stream --- */

static size_t on_data(struct vr_stream *stream, const uint8_t *data, size_t len, void *arg)
    VR_REQUIRES(vr_role_io);
static size_t on_data(struct vr_stream *stream, const uint8_t *data, size_t len, void *arg)
{
    struct connection *connection = arg;
    vr_auto_error struct vr_error *error = NULL;
    connection->last_in = vr_loop_now_ms(connection->broker->loop);
    connection->suspect = false;
    if (!vr_stomp_parser_feed(connection->parser, data, len, &error)) {
        if (error)
            vr_log_warning("%s: %s", vr_stream_peer(stream), error->detail);
        connection_free(connection, true);
    }
    return len;
}

static void on_closed(struct vr_stream *stream, const struct vr_error *reason, void *arg)
    VR_REQUIRES(vr_role_io);
static void on_closed(struct vr_stream *stream, const struct vr_error *reason, void *arg)
{
    vr_log_debug("%s: %s", vr_stream_peer(stream), reason->detail);
    connection_free(arg, false);
}

static const struct vr_stream_ops connection_ops = { .data = on_data, .closed = on_closed };

void vr_broker_add(struct vr_broker *broker, struct vr_stream *stream)
{
    struct connection *connection = g_new0(struct connection, 1);
    size_t max_body = broker->options.max_body ? broker->options.max_body : VR_STOMP_MAX_BODY;
    connection->broker = broker;
    connection->stream = stream;
    if (broker->options.is_visitor)
        connection->peer = vr_stream_tls_peer(stream);
    connection->parser = vr_stomp_parser_new(max_body, on_frame, connection);
    connection->subscriptions = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, unsubscribe);
    connection->last_in = connection->last_out = vr_loop_now_ms(broker->loop);
    g_hash_table_add(broker->connections, connection);
    vr_stream_set_ops(stream, &connection_ops, connection);
}

unsigned vr_broker_connections(const struct vr_broker *broker)
{
    return g_hash_table_size(broker->connections);
}

unsigned vr_broker_publish(struct vr_broker *broker, const char *destination, const char *body,
                           size_t body_len)
{
    const GPtrArray *list = subscribers(broker, destination);
    unsigned count = 0;
    for (unsigned i = 0; list && i < list->len; i++) {
        const struct subscription *subscription = list->pdata[i];
        struct connection *to = subscription->connection;
        if (!may_hear(subscription))
            continue;
        count++;
        struct vr_buffer head = { 0 };
        vr_stomp_begin(&head, "MESSAGE");
        vr_stomp_header(&head, "destination", destination);
        vr_stomp_header(&head, "content-type", "application/json");
        vr_stomp_header(&head, "subscription", subscription->id);
        vr_stomp_end_head(&head, body_len);
        send_buffer(to, &head);
        vr_stream_write(to->stream, body, body_len);
        vr_stream_write(to->stream, "", 1); /* the NUL */
    }
    return count;
}

struct vr_broker *vr_broker_new(struct vr_loop *loop, const struct vr_broker_options *options,
                                vr_broker_request_fn *request, void *arg)
{
    struct vr_broker *broker = g_new0(struct vr_broker, 1);
    broker->loop = loop;
    broker->options = *options;
    broker->request = request;
    broker->arg = arg;
    broker->connections = g_hash_table_new(NULL, NULL);
    broker->destinations =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_ptr_array_unref);
    return broker;
}

void vr_broker_free(struct vr_broker *broker)
{
    if (!broker)
        return;
    g_autoptr(GList) list = g_hash_table_get_keys(broker->connections);
    for (GList *l = list; l; l = l->next)
        connection_free(l->data, false);
    g_hash_table_destroy(broker->connections);
    g_hash_table_destroy(broker->destinations);
    g_free(broker);
}
