/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The host protocol over loopback TLS: calls a second over one connection,
 * and what an idle connection costs each end.  Server and clients have a loop
 * and a thread each, in this one process.  Prints `what | budget | measured`.
 *
 *     bench_rpc --smoke     the same, a few calls of each
 */

#include <malloc.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "model/host.h"
#include "net/rpc.h"
#include "net/test_pki.h"

enum { IN_FLIGHT = 64, MAX_IDLE = 300 };

static unsigned calls_wanted = 50000, turns_wanted = 10000, idle_wanted = MAX_IDLE;

struct bench {
    struct vr_loop *clients, *hosts;
    struct vr_tls *client_tls, *host_tls;
    struct vr_rpc_server *server;
    uint16_t port;
    /* touched on the clients' thread */
    struct vr_rpc_client *caller, *idle[MAX_IDLE];
    const struct vr_verb *verb;
    unsigned to_start, to_finish, ups, wanted_ups;
    /* between that thread and main() */
    GMutex lock;
    GCond changed;
    unsigned done;
};

static struct vr_rpc_host_stats *stats;

static void handle(struct vr_rpc_request *request, const struct vr_verb *verb, void *params,
                   void *arg)
{
    vr_rpc_request_reply(request, verb == &vr_verb_host_get_stats ? stats : NULL);
}

static const struct vr_rpc_server_ops server_ops = { .handle = handle };

static void finish(struct bench *b)
{
    g_mutex_lock(&b->lock);
    b->done++;
    g_cond_signal(&b->changed);
    g_mutex_unlock(&b->lock);
}

static void run(struct bench *b, vr_loop_fn *fn)
{
    g_mutex_lock(&b->lock);
    unsigned before = b->done;
    vr_loop_post(b->clients, fn, b);
    while (b->done == before)
        g_cond_wait(&b->changed, &b->lock);
    g_mutex_unlock(&b->lock);
}

static void call(struct bench *b) VR_REQUIRES(vr_role_io);

static void on_reply(void *result, int code, const struct vr_error *error, void *arg)
    VR_REQUIRES(vr_role_io);
static void on_reply(void *result, int code, const struct vr_error *error, void *arg)
{
    struct bench *b = arg;
    if (code)
        g_error("%d %s", code, error->detail);
    if (b->to_start)
        call(b);
    if (!--b->to_finish)
        finish(b);
}

static void call(struct bench *b)
{
    b->to_start--;
    vr_rpc_client_call(b->caller, b->verb, NULL, 0, NULL, on_reply, b);
}

static void many(struct bench *b, unsigned calls, unsigned in_flight) VR_REQUIRES(vr_role_io);
static void many(struct bench *b, unsigned calls, unsigned in_flight)
{
    b->to_start = b->to_finish = calls;
    for (unsigned i = 0; i < in_flight; i++)
        call(b);
}

static void many_pings(void *arg) VR_REQUIRES(vr_role_io);
static void many_pings(void *arg)
{
    struct bench *b = arg;
    b->verb = &vr_verb_host_ping;
    many(b, calls_wanted, IN_FLIGHT);
}

static void many_turns(void *arg) VR_REQUIRES(vr_role_io);
static void many_turns(void *arg)
{
    struct bench *b = arg;
    b->verb = &vr_verb_host_ping;
    many(b, turns_wanted, 1);
}

static void many_stats(void *arg) VR_REQUIRES(vr_role_io);
static void many_stats(void *arg)
{
    struct bench *b = arg;
    b->verb = &vr_verb_host_get_stats;
    many(b, calls_wanted, IN_FLIGHT);
}

static void on_state(struct vr_rpc_client *client, enum vr_rpc_state state,
                     const struct vr_error *reason, void *arg)
{
    struct bench *b = arg;
    if (state != VR_RPC_UP)
        g_error("lost: %s", reason->detail);
    if (++b->ups == b->wanted_ups)
        finish(b);
}

static const struct vr_rpc_client_ops client_ops = { .state = on_state };

static struct vr_rpc_client *connect_one(struct bench *b) VR_REQUIRES(vr_role_io);
static struct vr_rpc_client *connect_one(struct bench *b)
{
    const struct vr_rpc_client_options options = {
        .host = "127.0.0.1", .port = b->port, .tls = b->client_tls, .connect_ms = 120000
    };
    struct vr_rpc_client *client = vr_rpc_client_new(b->clients, &options, &client_ops, b);
    vr_rpc_client_connect(client);
    return client;
}

static void connect_caller(void *arg) VR_REQUIRES(vr_role_io);
static void connect_caller(void *arg)
{
    struct bench *b = arg;
    b->wanted_ups = 1;
    b->caller = connect_one(b);
}

static void connect_idle(void *arg) VR_REQUIRES(vr_role_io);
static void connect_idle(void *arg)
{
    struct bench *b = arg;
    b->wanted_ups += idle_wanted;
    for (unsigned i = 0; i < idle_wanted; i++)
        b->idle[i] = connect_one(b);
}

static void free_clients(void *arg) VR_REQUIRES(vr_role_io);
static void free_clients(void *arg)
{
    struct bench *b = arg;
    vr_rpc_client_free(b->caller);
    for (unsigned i = 0; i < idle_wanted; i++)
        vr_rpc_client_free(b->idle[i]);
    finish(b);
}

static void free_server(void *arg) VR_REQUIRES(vr_role_io);
static void free_server(void *arg)
{
    struct bench *b = arg;
    vr_rpc_server_free(b->server);
}

static double seconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void report_calls(struct bench *b, const char *what, const char *budget, unsigned calls,
                         vr_loop_fn *fn)
{
    double begin = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    run(b, fn);
    double took = seconds(CLOCK_MONOTONIC) - begin;
    cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    printf("%s | %s | %.0f a second, %.1f us of CPU a call, both ends\n", what, budget,
           calls / took, cpu / calls * 1e6);
}

static size_t in_use(void)
{
    malloc_trim(0);
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static void *must(void *pointer, struct vr_error *error)
{
    if (!pointer)
        g_error("%s", error->detail);
    return pointer;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--smoke") == 0) {
        calls_wanted = 500;
        turns_wanted = 100;
        idle_wanted = 10;
    }
    static struct bench b;
    struct vr_error *error = NULL;
    struct test_pki *pki = test_pki_new();
    b.clients = vr_loop_new("clients");
    b.hosts = vr_loop_new("hosts");
    b.client_tls =
        must(vr_tls_new(pki->ca, pki->cert[PKI_CLIENT], pki->key[PKI_CLIENT], &error), error);
    b.host_tls =
        must(vr_tls_new(pki->ca, pki->cert[PKI_SERVER], pki->key[PKI_SERVER], &error), error);
    static const char text[] =
        "{\"cpuIdle\":\"97.50\",\"cpuUser\":\"1.20\",\"cpuSys\":\"0.40\",\"memFree\":40960,"
        "\"memUsed\":\"31\",\"vmCount\":3,\"vmActive\":3,\"netConfigDirty\":\"False\","
        "\"storageDomains\":{\"5f0e1b0c-3a5b-4a5e-9d2e-5b1d0a44c001\":{\"code\":0,"
        "\"lastCheck\":\"4.2\",\"delay\":\"0.000412\",\"valid\":true,\"version\":5,"
        "\"acquired\":true,\"actual\":true}}}";
    stats = must(vr_json_read(&vr_type_rpc_host_stats, text, sizeof(text) - 1, VR_JSON_HOST,
                              &vr_codec_caps_host, &error),
                 error);
    const struct vr_rpc_server_options options = { .tls = b.host_tls,
                                                   .max_connections = idle_wanted + 1,
                                                   .max_newcomers = idle_wanted,
                                                   .handshake_ms = 120000 };
    b.server = must(vr_rpc_server_new(b.hosts, &options, &server_ops, NULL, &error), error);
    b.port = vr_rpc_server_port(b.server);
    vr_loop_start_thread(b.hosts, "hosts");
    vr_loop_start_thread(b.clients, "clients");

    run(&b, connect_caller);
    report_calls(&b, "Host.ping over one connection, 64 in flight", "-", calls_wanted, many_pings);
    report_calls(&b, "Host.getStats over one connection, 64 in flight", "-", calls_wanted, many_stats);
    report_calls(&b, "Host.ping over one connection, one by one", "-", turns_wanted, many_turns);

    size_t before = in_use();
    double begin = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    run(&b, connect_idle);
    printf("%d hosts connected, TLS handshakes and all | - | %.1f s, %.1f ms of CPU each, both "
           "ends\n",
           idle_wanted, seconds(CLOCK_MONOTONIC) - begin,
           (seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu) * 1e3 / idle_wanted);
    printf("idle connection, memory | < 64 KiB | %.1f KiB, both ends\n",
           (double)(in_use() - before) / idle_wanted / 1024);

    run(&b, free_clients);
    vr_loop_stop_thread(b.clients);
    vr_loop_post(b.hosts, free_server, &b);
    vr_loop_stop_thread(b.hosts);
    vr_loop_unref(b.clients);
    vr_loop_unref(b.hosts);
    vr_tls_unref(b.client_tls);
    vr_tls_unref(b.host_tls);
    vr_unref(stats);
    test_pki_free(pki);
    return 0;
}
