/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "engine"
#include "manager/engine/real_private.h"
#include "net/rpc.h"

/*
 * One connection to a host.  The engine thread owns the entry in the table;
 * the I/O thread of its loop owns the client.  Everything between the two
 * goes by messages, each of which holds a reference.
 */
struct host {
    gint refs;
    struct vr_real *real;
    char *id;
    struct vr_loop *loop;
    bool gone;                    /* engine thread: no longer in the table, tell the engine nothing */
    struct vr_rpc_client *client; /* I/O thread */
    char *address;                /* I/O thread: of the client */
    unsigned port;
};

static struct host *host_ref(struct host *host)
{
    g_atomic_int_inc(&host->refs);
    return host;
}

static void host_unref(struct host *host)
{
    if (!g_atomic_int_dec_and_test(&host->refs))
        return;
    g_assert(!host->client);
    g_free(host->address);
    g_free(host->id);
    g_free(host);
}

/* --- I/O thread to engine thread --- */

struct told {
    struct host *host;
    bool connected;
    char *reason;         /* of a state */
    char *method, *params; /* of an event */
    uint64_t call;        /* of an answer */
    void *result;
    int code;
    char *message;
};

static void told_free(struct told *told)
{
    host_unref(told->host);
    g_free(told->reason);
    g_free(told->method);
    g_free(told->params);
    vr_unref(told->result);
    g_free(told->message);
    g_free(told);
}

static struct told *told_new(struct host *host)
{
    struct told *told = g_new0(struct told, 1);
    told->host = host_ref(host);
    return told;
}

static void deliver_state(struct vr_engine *engine, void *arg) VR_REQUIRES(vr_role_engine)
{
    struct told *told = arg;
    if (engine && !told->host->gone)
        vr_engine_host_state(engine, told->host->id, told->connected, told->reason);
    told_free(told);
}

static void deliver_event(struct vr_engine *engine, void *arg) VR_REQUIRES(vr_role_engine)
{
    struct told *told = arg;
    if (engine && !told->host->gone)
        vr_engine_host_event(engine, told->host->id, told->method, told->params);
    told_free(told);
}

static void deliver_answer(struct vr_engine *engine, void *arg) VR_REQUIRES(vr_role_engine)
{
    struct told *told = arg;
    if (engine)
        vr_engine_host_answer(engine, told->call, told->result, told->code,
                              told->message);
    told_free(told);
}

/* --- I/O thread --- */

static void client_state(struct vr_rpc_client *client, enum vr_rpc_state state,
                         const struct vr_error *reason, void *arg)
{
    struct host *host = arg;
    struct told *told = told_new(host);
    told->connected = state == VR_RPC_UP;
    told->reason = reason ? vr_error_text(reason) : NULL;
    real_post(host->real, deliver_state, told);
}

static void client_event(struct vr_rpc_client *client, const char *method, const char *params,
                         void *arg)
{
    struct host *host = arg;
    struct told *told = told_new(host);
    told->method = g_strdup(method);
    told->params = g_strdup(params);
    real_post(host->real, deliver_event, told);
}

static const struct vr_rpc_client_ops client_ops = { .state = client_state, .event = client_event };

struct connect_order {
    struct host *host;
    char *address;
    unsigned port;
};

static void make_client(struct host *host)
{
    const struct vr_config *config = host->real->config;
    const struct vr_rpc_client_options options = {
        .host = host->address,
        .port = (uint16_t)host->port,
        .tls = host->real->tls,
        /* All hosts have certificates of one authority: without this each could be any other. */
        .peer_name = host->address,
        .connect_ms = (unsigned)config->vdsConnectionTimeout * 1000,
        .heartbeat_ms = (unsigned)config->vdsHeartbeatInSeconds * 500,
        .silence_ms = (unsigned)config->vdsHeartbeatInSeconds * 750,
    };
    host->client = vr_rpc_client_new(host->loop, &options, &client_ops, host);
}

static void do_connect(void *arg)
{
    struct connect_order *order = arg;
    struct host *host = order->host;
    vr_role_enter(&vr_role_io);
    if (host->client && (host->port != order->port || strcmp(host->address, order->address) != 0))
        g_clear_pointer(&host->client, vr_rpc_client_free);
    if (!host->client) {
        g_free(host->address);
        host->address = g_steal_pointer(&order->address);
        host->port = order->port;
        make_client(host);
    }
    if (vr_rpc_client_state(host->client) == VR_RPC_DOWN)
        vr_rpc_client_connect(host->client);
    else if (vr_rpc_client_state(host->client) == VR_RPC_UP)
        client_state(host->client, VR_RPC_UP, NULL, host);
    vr_role_leave(&vr_role_io);
    g_free(order->address);
    g_free(order);
    host_unref(host);
}

static void do_disconnect(void *arg)
{
    struct host *host = arg;
    vr_role_enter(&vr_role_io);
    if (host->client)
        vr_rpc_client_free(g_steal_pointer(&host->client));
    vr_role_leave(&vr_role_io);
    host_unref(host);
}

struct call_order {
    struct host *host;
    uint64_t call;
    const struct vr_verb *verb;
    void *params;
    unsigned timeout_ms;
    char *correlation_id;
};

static void answer(struct host *host, uint64_t call, void *result, int code, const char *message)
{
    struct told *told = told_new(host);
    told->call = call;
    told->result = vr_ref(result);
    told->code = code;
    told->message = g_strdup(message);
    real_post(host->real, deliver_answer, told);
}

static void call_order_free(struct call_order *order)
{
    host_unref(order->host);
    vr_unref(order->params);
    g_free(order->correlation_id);
    g_free(order);
}

static void call_answered(void *result, int code, const struct vr_error *error, void *arg)
{
    struct call_order *order = arg;
    /* The host's own words where it said any. */
    const char *message = !error ? NULL : error->detail ? error->detail : error->fault->text;
    answer(order->host, order->call, result, code, message);
    call_order_free(order);
}

static void do_call(void *arg)
{
    struct call_order *order = arg;
    struct vr_rpc_client *client = order->host->client;
    vr_role_enter(&vr_role_io);
    if (client && vr_rpc_client_state(client) == VR_RPC_UP) {
        vr_rpc_client_call(client, order->verb, order->params, order->timeout_ms,
                           order->correlation_id, call_answered, order);
    } else {
        answer(order->host, order->call, NULL, VR_RPC_NETWORK_ERROR, "not connected");
        call_order_free(order);
    }
    vr_role_leave(&vr_role_io);
}

/* --- engine thread --- */

void real_host_connect(struct vr_world *world, const struct vr_host_target *target)
{
    struct vr_real *real = real_of(world);
    struct host *host = g_hash_table_lookup(real->hosts, target->host_id);
    if (!host) {
        host = g_new0(struct host, 1);
        host->refs = 1;
        host->real = real;
        host->id = g_strdup(target->host_id);
        host->loop = real->io_loops[real->next_io++ % real->io_count];
        g_hash_table_insert(real->hosts, host->id, host);
    }
    struct connect_order *order = g_new(struct connect_order, 1);
    *order = (struct connect_order){ host_ref(host), g_strdup(target->address), target->port };
    vr_loop_post(host->loop, do_connect, order);
}

void real_host_disconnect(struct vr_world *world, const char *host_id)
{
    struct vr_real *real = real_of(world);
    struct host *host = g_hash_table_lookup(real->hosts, host_id);
    if (!host)
        return;
    g_hash_table_remove(real->hosts, host_id);
    host->gone = true;
    vr_loop_post(host->loop, do_disconnect, host); /* with the table's reference */
}

struct unknown_call {
    uint64_t call;
};

static void deliver_unknown(struct vr_engine *engine, void *arg) VR_REQUIRES(vr_role_engine)
{
    struct unknown_call *unknown = arg;
    if (engine)
        vr_engine_host_answer(engine, unknown->call, NULL, VR_RPC_NETWORK_ERROR, "not connected");
    g_free(unknown);
}

void real_host_call(struct vr_world *world, uint64_t call, const char *host_id,
                    const struct vr_verb *verb, const void *params, unsigned timeout_ms,
                    const char *correlation_id)
{
    struct vr_real *real = real_of(world);
    struct host *host = g_hash_table_lookup(real->hosts, host_id);
    if (!host) {
        struct unknown_call *unknown = g_new(struct unknown_call, 1);
        unknown->call = call;
        real_post(real, deliver_unknown, unknown);
        return;
    }
    struct call_order *order = g_new(struct call_order, 1);
    *order = (struct call_order){ host_ref(host), call, verb, vr_ref(params), timeout_ms,
                                  g_strdup(correlation_id) };
    vr_loop_post(host->loop, do_call, order);
}

/* --- life --- */

void real_hosts_init(struct vr_real *real, unsigned io_threads)
{
    real->hosts = g_hash_table_new(g_str_hash, g_str_equal);
    real->io_count = io_threads;
    real->io_loops = g_new(struct vr_loop *, io_threads);
    for (unsigned i = 0; i < io_threads; i++)
        real->io_loops[i] = vr_loop_new("hosts");
}

void real_hosts_start(struct vr_real *real)
{
    for (unsigned i = 0; i < real->io_count; i++)
        vr_loop_start_thread(real->io_loops[i], "hosts");
}

void real_hosts_stop(struct vr_real *real, bool started)
{
    GHashTableIter iter;
    gpointer host;
    g_hash_table_iter_init(&iter, real->hosts);
    while (g_hash_table_iter_next(&iter, NULL, &host))
        vr_loop_post(((struct host *)host)->loop, do_disconnect, host); /* with its reference */
    g_hash_table_destroy(real->hosts);
    for (unsigned i = 0; i < real->io_count; i++) {
        if (started)
            vr_loop_stop_thread(real->io_loops[i]);
        vr_loop_unref(real->io_loops[i]);
    }
    g_free(real->io_loops);
}
