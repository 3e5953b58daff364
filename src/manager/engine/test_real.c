/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/engine/real.h"
#include "manager/job/job.h"
#include "net/rpc.h"
#include "net/test_pki.h"
#include "setup/pgcluster.h"

#include <poll.h>
#include <stdlib.h>

#define LIMIT_MS 60000

/* --- things that threads wait for --- */

struct signal {
    GMutex lock;
    GCond cond;
    unsigned count;
};

static void signal_add(struct signal *signal)
{
    g_mutex_lock(&signal->lock);
    signal->count++;
    g_cond_broadcast(&signal->cond);
    g_mutex_unlock(&signal->lock);
}

static void signal_wait(struct signal *signal, unsigned count)
{
    gint64 until = g_get_monotonic_time() + LIMIT_MS * G_TIME_SPAN_MILLISECOND;
    g_mutex_lock(&signal->lock);
    while (signal->count < count)
        g_assert_true(g_cond_wait_until(&signal->cond, &signal->lock, until));
    g_mutex_unlock(&signal->lock);
}

/* --- a module that records what becomes of a host --- */

static struct signal ups, downs, events, answers, begun, signed_;
static gint last_code;
static char *last_reason; /* of a host that is down; written before the signal */

static void seen_state(void *state, const char *host_id, bool connected, const char *reason)
{
    g_assert_cmpstr(host_id, ==, "host-1");
    g_assert_cmpint(connected, ==, reason == NULL);
    if (reason) {
        g_free(last_reason);
        last_reason = g_strdup(reason);
    }
    signal_add(connected ? &ups : &downs);
}

static void seen_event(void *state, const char *host_id, const char *method, const char *params)
{
    g_assert_cmpstr(method, ==, "|virt|VM_status|some");
    signal_add(&events);
}

static const struct vr_module test_module = { .name = "test", .host_state = seen_state,
                                              .host_event = seen_event };
const struct vr_module *const vr_modules[] = { &test_module, NULL };
const struct vr_job_type *const vr_job_types[] = { NULL };

/* --- a Manager --- */

static char *folder;
static struct vr_pgcluster *cluster;

/* Signs at once; a script runs until the Manager stops. */
static void run_errand(struct vr_errand *errand, int cancel_fd, void *arg)
{
    struct pollfd cancel = { .fd = cancel_fd, .events = POLLIN };
    if (errand->kind == VR_ERRAND_SSH) {
        signal_add(&begun);
        g_assert_cmpint(poll(&cancel, 1, LIMIT_MS), ==, 1);
        vr_errand_refuse(errand, "cancelled");
    } else {
        errand->sign.certificate = g_strdup(errand->sign.request);
    }
}

struct manager {
    struct vr_config *config;
    struct vr_inventory *committed;
    struct vr_statistics *statistics;
    struct vr_real *real;
};

static void manager_start(struct manager *manager, struct vr_tls *tls)
{
    vr_auto_error struct vr_error *error = NULL;
    g_autofree char *conninfo = vr_pgcluster_conninfo(cluster);
    manager->config = vr_config_new();
    manager->committed = vr_inventory_new(true);
    manager->statistics = vr_statistics_new();
    const struct vr_real_options options = { .config = manager->config,
                                             .committed = manager->committed,
                                             .statistics = manager->statistics,
                                             .database = conninfo,
                                             .tls = tls,
                                             .errand = run_errand };
    manager->real = vr_real_new(&options, &error);
    if (!manager->real)
        g_error("%s: %s", error->fault->name, error->detail);
    vr_real_start(manager->real);
}

static void manager_stop(struct manager *manager)
{
    vr_real_free(manager->real);
    vr_statistics_free(manager->statistics);
    vr_inventory_free(manager->committed);
    vr_config_free(manager->config);
}

/* --- many threads call --- */

#define CALLERS 4
#define CALLS 300

struct waiting {
    struct manager *manager;
    GMutex lock;
    GCond cond;
    char *id;
    bool done;
};

static void write_add(struct vr_call *call) VR_REQUIRES(vr_role_engine)
{
    struct vr_txn *txn = vr_txn_new(call->engine);
    struct vr_tag *tag = vr_txn_add(txn, VR_KIND_TAG, VR_NEW(tag));
    vr_call_commit(call, txn, VR_KIND_TAG, tag->id);
}

static const struct vr_operation add = { .name = "add", .method = VR_METHOD_POST,
                                         .write = write_add };

static void replied(const struct vr_call_reply *reply, void *arg)
{
    struct waiting *waiting = arg;
    g_mutex_lock(&waiting->lock);
    g_assert_cmpint(reply->status, ==, 201);
    waiting->id = g_strdup(reply->id);
    waiting->done = true;
    g_cond_signal(&waiting->cond);
    g_mutex_unlock(&waiting->lock);
}

static void begin_call(struct vr_engine *engine, void *call) VR_REQUIRES(vr_role_engine)
{
    vr_call_begin(engine, call);
}

static gpointer call_often(gpointer data)
{
    struct manager *manager = data;
    for (unsigned i = 0; i < CALLS; i++) {
        struct waiting waiting = { .manager = manager };
        g_mutex_init(&waiting.lock);
        g_cond_init(&waiting.cond);
        vr_engine_post(vr_real_engine(manager->real), begin_call,
                       vr_call_new(&add, NULL, 0, NULL, NULL, NULL, NULL, replied, &waiting));
        g_mutex_lock(&waiting.lock);
        while (!waiting.done)
            g_cond_wait(&waiting.cond, &waiting.lock);
        g_mutex_unlock(&waiting.lock);
        vr_auto struct vr_tag *tag = vr_inventory_get(manager->committed, VR_KIND_TAG, waiting.id);
        g_assert_nonnull(tag);
        g_free(waiting.id);
        g_mutex_clear(&waiting.lock);
        g_cond_clear(&waiting.cond);
    }
    return NULL;
}

static void test_callers(void)
{
    struct manager manager;
    GThread *callers[CALLERS];
    manager_start(&manager, NULL);
    for (unsigned i = 0; i < CALLERS; i++)
        callers[i] = g_thread_new("caller", call_often, &manager);
    for (unsigned i = 0; i < CALLERS; i++)
        g_thread_join(callers[i]);
    manager_stop(&manager);

    manager_start(&manager, NULL);
    g_assert_cmpuint(vr_inventory_count(manager.committed, VR_KIND_TAG), ==, CALLERS * CALLS);
    manager_stop(&manager);
}

/* --- a host --- */

static void handle(struct vr_rpc_request *request, const struct vr_verb *verb, void *params,
                   void *arg)
{
    if (verb == &vr_verb_host_ping2)
        vr_rpc_request_reply(request, NULL);
    else
        vr_rpc_request_fail(request, 100, "no");
}

static const struct vr_rpc_server_ops server_ops = { .handle = handle };

static void answered(struct vr_engine *engine, const void *result, int code, const char *message,
                     void *arg)
{
    g_atomic_int_set(&last_code, code);
    signal_add(&answers);
}

static void connect_host(struct vr_engine *engine, void *port) VR_REQUIRES(vr_role_engine)
{
    struct vr_world *world = vr_engine_world(engine);
    const struct vr_host_target target = { "host-1", "127.0.0.1", GPOINTER_TO_UINT(port) };
    world->ops->host_connect(world, &target);
}

static void call_ping(struct vr_engine *engine, void *host_id) VR_REQUIRES(vr_role_engine)
{
    vr_auto void *params = vr_object_new(vr_verb_host_ping2.params);
    vr_engine_host_call(engine, host_id, &vr_verb_host_ping2, params, 5000, "c", answered, NULL);
}

static void call_capabilities(struct vr_engine *engine, void *host_id) VR_REQUIRES(vr_role_engine)
{
    vr_auto void *params = vr_object_new(vr_verb_host_get_capabilities.params);
    vr_engine_host_call(engine, host_id, &vr_verb_host_get_capabilities, params, 5000, "c",
                        answered, NULL);
}

static void ask(struct manager *manager, vr_timer_fn *fn, const char *host_id, int code)
{
    static unsigned asked;
    vr_engine_post(vr_real_engine(manager->real), fn, (char *)(uintptr_t)host_id);
    signal_wait(&answers, ++asked);
    g_assert_cmpint(g_atomic_int_get(&last_code), ==, code);
}

struct server {
    struct vr_loop *loop;
    struct vr_rpc_server *server;
};

static void close_server(void *arg)
{
    struct server *server = arg;
    vr_role_enter(&vr_role_io);
    vr_rpc_server_free(server->server);
    vr_role_leave(&vr_role_io);
}

static void test_host(void)
{
    vr_auto_error struct vr_error *error = NULL;
    struct manager manager;
    struct server server = { .loop = vr_loop_new("host") };
    const struct vr_rpc_server_options options = { .address = "127.0.0.1" };
    server.server = vr_rpc_server_new(server.loop, &options, &server_ops, NULL, &error);
    g_assert_nonnull(server.server);
    vr_loop_start_thread(server.loop, "host");
    manager_start(&manager, NULL);
    struct vr_engine *engine = vr_real_engine(manager.real);

    ask(&manager, call_ping, "host-1", VR_RPC_NETWORK_ERROR); /* nobody asked for a connection */
    vr_engine_post(engine, connect_host, GUINT_TO_POINTER(vr_rpc_server_port(server.server)));
    signal_wait(&ups, 1);
    ask(&manager, call_ping, "host-1", 0);
    ask(&manager, call_capabilities, "host-1", 100);
    ask(&manager, call_ping, "host-2", VR_RPC_NETWORK_ERROR);
    vr_rpc_server_event(server.server, "|virt|VM_status|some", "{\"notify_time\": 1}");
    signal_wait(&events, 1);

    vr_loop_post(server.loop, close_server, &server);
    signal_wait(&downs, 1);
    ask(&manager, call_ping, "host-1", VR_RPC_NETWORK_ERROR);
    manager_stop(&manager);
    vr_loop_stop_thread(server.loop);
    vr_loop_unref(server.loop);
}

/* Every host has a certificate of the one authority: that alone must not make it another host. */
static void test_host_is_who_it_should_be(void)
{
    static const struct {
        int certificate;
        bool trusted;
    } rows[] = { { PKI_CLIENT, false }, { PKI_SERVER, true } };
    struct test_pki *pki = test_pki_new();
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        vr_auto_error struct vr_error *error = NULL;
        const int which = rows[i].certificate;
        struct vr_tls *ours = vr_tls_new(pki->ca, pki->cert[PKI_CLIENT], pki->key[PKI_CLIENT], &error);
        struct vr_tls *its = vr_tls_new(pki->ca, pki->cert[which], pki->key[which], &error);
        g_assert_true(ours && its);
        const struct vr_rpc_server_options options = { .address = "127.0.0.1", .tls = its };
        struct server server = { .loop = vr_loop_new("host") };
        server.server = vr_rpc_server_new(server.loop, &options, &server_ops, NULL, &error);
        g_assert_nonnull(server.server);
        vr_loop_start_thread(server.loop, "host");
        struct manager manager;
        manager_start(&manager, ours);
        const unsigned up = ups.count, down = downs.count;
        vr_engine_post(vr_real_engine(manager.real), connect_host,
                       GUINT_TO_POINTER(vr_rpc_server_port(server.server)));
        signal_wait(rows[i].trusted ? &ups : &downs, (rows[i].trusted ? up : down) + 1);
        g_assert_cmpuint(ups.count, ==, rows[i].trusted ? up + 1 : up);
        if (!rows[i].trusted)
            g_assert_nonnull(strstr(last_reason, "not for '127.0.0.1'"));
        manager_stop(&manager);
        vr_loop_post(server.loop, close_server, &server);
        vr_loop_stop_thread(server.loop);
        vr_loop_unref(server.loop);
        vr_tls_unref(ours);
        vr_tls_unref(its);
    }
    test_pki_free(pki);
}

static void signed_one(struct vr_engine *engine, struct vr_errand *errand, void *arg)
{
    g_assert_cmpstr(errand->sign.certificate, ==, "request");
    signal_add(&signed_);
}

static void never(struct vr_engine *engine, struct vr_errand *errand, void *arg)
{
    g_assert_not_reached();
}

/* More scripts than there are threads for them, then a signature. */
static void send_errands(struct vr_engine *engine, void *arg) VR_REQUIRES(vr_role_engine)
{
    for (unsigned i = 0; i < 20; i++)
        vr_engine_errand(engine, vr_errand_new(VR_ERRAND_SSH), never, NULL);
    struct vr_errand *errand = vr_errand_new(VR_ERRAND_SIGN);
    errand->sign.request = g_strdup("request");
    vr_engine_errand(engine, errand, signed_one, NULL);
}

static void test_errands(void)
{
    struct manager manager;
    manager_start(&manager, NULL);
    vr_engine_post(vr_real_engine(manager.real), send_errands, NULL);
    signal_wait(&begun, 1);
    signal_wait(&signed_, 1);
    manager_stop(&manager); /* with errands that run and errands that wait */
}

static void start_cluster(void)
{
    vr_auto_error struct vr_error *error = NULL;
    folder = g_strdup("/tmp/vireo-real-XXXXXX");
    g_assert_nonnull(mkdtemp(folder));
    g_autofree char *directory = g_build_filename(folder, "db", NULL);
    const struct vr_pgcluster_options options = { .directory = directory, .fast = true };
    cluster = vr_pgcluster_start(&options, &error);
    if (!cluster || !vr_pgcluster_wait_ready(cluster, 0, LIMIT_MS, &error))
        g_error("%s: %s", error->fault->name, error->detail);
}

static void stop_cluster(void)
{
    const char *argv[] = { "rm", "-rf", folder, NULL };
    vr_pgcluster_stop(cluster);
    g_spawn_sync(NULL, (char **)(uintptr_t)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL,
                 NULL, NULL);
    g_free(folder);
}

int main(int argc, char **argv)
{
    vr_log_set_level(VR_LOG_ERROR);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/real/many threads call, and see what they were told", test_callers);
    g_test_add_func("/real/a host connects, answers, tells and is lost", test_host);
    g_test_add_func("/real/a host with another's certificate is not connected",
                    test_host_is_who_it_should_be);
    g_test_add_func("/real/errands never wait behind scripts, and all end with the Manager",
                    test_errands);
    start_cluster();
    int code = g_test_run();
    stop_cluster();
    return code;
}
