/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The REST server over an inventory of 1,000 virtual machines, asked over TLS on connections that
 * are kept alive, beside libmicrohttpd alone with as long an answer that never changes.  The
 * client, rest_load, shares the processors.
 *
 *     bench_rest            prints `what | budget | measured | beside`
 *     bench_rest --smoke    the same, a few requests of each
 *     bench_rest --serve    prints the port and a token, and serves until it is killed
 */

#include "manager/access/access.h"
#include "manager/rest/rest.h"
#include "manager/session/login.h"

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <microhttpd.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

enum { VMS = 1000, CLIENTS = 8, LISTS = 60 };

#define API "/ovirt-engine/api"
#define PRIORITIES "NORMAL:-VERS-TLS1.0:-VERS-TLS1.1"

#define CLUSTER "58cfb470-03b9-01d0-03b9-0000000001e7"
#define ADMIN "0f1f7a52-5a6e-4b0b-9a55-000000000001"

/* --- a certificate --- */

static char *export_pem(int (*export)(void *object, gnutls_datum_t *out), void *object)
{
    gnutls_datum_t out = { 0 };
    g_assert(export(object, &out) == 0);
    char *text = g_strndup((const char *)out.data, out.size);
    gnutls_free(out.data);
    return text;
}

static int export_key(void *key, gnutls_datum_t *out)
{
    return gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, out);
}

static int export_certificate(void *certificate, gnutls_datum_t *out)
{
    return gnutls_x509_crt_export2(certificate, GNUTLS_X509_FMT_PEM, out);
}

static void make_certificate(char **certificate, char **key)
{
    gnutls_x509_privkey_t k;
    gnutls_x509_crt_t c;
    gnutls_x509_privkey_init(&k);
    gnutls_x509_privkey_generate(k, GNUTLS_PK_RSA, 2048, 0);
    gnutls_x509_crt_init(&c);
    gnutls_x509_crt_set_version(c, 3);
    gnutls_x509_crt_set_serial(c, "\1", 1);
    gnutls_x509_crt_set_dn(c, "CN=localhost", NULL);
    gnutls_x509_crt_set_activation_time(c, time(NULL) - 60);
    gnutls_x509_crt_set_expiration_time(c, time(NULL) + 86400);
    gnutls_x509_crt_set_key(c, k);
    g_assert(gnutls_x509_crt_sign2(c, c, k, GNUTLS_DIG_SHA256, 0) == 0);
    *certificate = export_pem(export_certificate, c);
    *key = export_pem(export_key, k);
    gnutls_x509_crt_deinit(c);
    gnutls_x509_privkey_deinit(k);
}

/* --- what there is to serve --- */

static void put(struct vr_inventory *inventory, int kind, void *object)
{
    struct vr_change change = { kind, g_strdup(vr_id(object)), object, 1 };
    vr_inventory_apply(inventory, &change, 1);
    g_free(change.id);
    vr_unref(object);
}

static void *make_vm(unsigned number)
{
    struct vr_vm *vm = VR_NEW(vm);
    g_autofree char *id = g_strdup_printf("0f1f7a52-5a6e-4b0b-9a55-%012u", number);
    g_autofree char *name = g_strdup_printf("web%04u", number);
    vr_set_id(vm, id);
    VR_SET_STRING(vm, name, name);
    VR_SET_STRING(vm, description, "one of many");
    VR_SET_STRING(vm, comment, "");
    VR_SET(vm, memory, (int64_t)GiB(2));
    VR_SET(vm, status, VR_VM_STATUS_UP);
    VR_SET(vm, type, VR_VM_TYPE_SERVER);
    VR_SET(vm, creation_time, 1714559696789);
    VR_SET(vm, start_time, 1714559697001);
    VR_SET(vm, delete_protected, false);
    VR_SET(vm, stateless, false);
    VR_SET(vm, start_paused, false);
    VR_SET(vm, cpu_shares, 0);
    VR_SET(vm, next_run_configuration_exists, false);
    VR_SET_STRING(vm, fqdn, "web.example.com");
    VR_SET_LINK(vm, cluster, cluster, CLUSTER);
    VR_SET_LINK(vm, template, template, VR_UUID_ZERO);
    VR_SET_LINK(vm, host, host, "2f7b6d0e-3a5b-4a5e-9d2e-5b1d0a44c001");
    struct vr_cpu *cpu = VR_SUB(vm, cpu, cpu);
    struct vr_cpu_topology *topology = VR_SUB(cpu, topology, cpu_topology);
    VR_SET(cpu, architecture, VR_ARCHITECTURE_X86_64);
    VR_SET(topology, cores, 2);
    VR_SET(topology, sockets, 1);
    VR_SET(topology, threads, 1);
    struct vr_memory_policy *policy = VR_SUB(vm, memory_policy, memory_policy);
    VR_SET(policy, ballooning, true);
    VR_SET(policy, guaranteed, (int64_t)GiB(1));
    VR_SET(policy, max, (int64_t)GiB(8));
    struct vr_display *display = VR_SUB(vm, display, display);
    VR_SET(display, type, VR_DISPLAY_TYPE_VNC);
    VR_SET(display, monitors, 1);
    VR_SET(display, allow_override, false);
    struct vr_high_availability *ha = VR_SUB(vm, high_availability, high_availability);
    VR_SET(ha, enabled, false);
    VR_SET(ha, priority, 0);
    return vm;
}

static void fill(struct vr_inventory *inventory)
{
    struct vr_cluster *cluster = VR_NEW(cluster);
    vr_set_id(cluster, CLUSTER);
    VR_SET_STRING(cluster, name, "Default");
    put(inventory, VR_KIND_CLUSTER, cluster);
    for (unsigned i = 0; i < VMS; i++)
        put(inventory, VR_KIND_VM, make_vm(i));

    struct vr_user *user = VR_NEW(user);
    vr_set_id(user, ADMIN);
    VR_SET_STRING(user, name, "admin");
    VR_SET_STRING(user, user_name, VR_ACCESS_ADMIN);
    put(inventory, VR_KIND_USER, user);
    struct vr_role *role = VR_NEW(role);
    vr_set_id(role, VR_ACCESS_SUPER_USER);
    VR_SET(role, administrative, true);
    put(inventory, VR_KIND_ROLE, role);
    struct vr_permission *permission = VR_NEW(permission);
    vr_set_id(permission, "0f1f7a52-5a6e-4b0b-9a55-000000000002");
    VR_SET_LINK(permission, user, user, ADMIN);
    VR_SET_LINK(permission, role, role, VR_ACCESS_SUPER_USER);
    put(inventory, VR_KIND_PERMISSION, permission);
}

static struct vr_credential *make_session(void)
{
    struct vr_credential *session = g_new0(struct vr_credential, 1);
    session->refs = 1;
    session->user_id = g_strdup(ADMIN);
    session->user_name = g_strdup(VR_ACCESS_ADMIN);
    session->scope = g_strdup("ovirt-app-api");
    session->created_ms = session->last_use_ms = vr_login_now_ms();
    session->idle_ms = 3600 * 1000;
    return session;
}

/* --- the limit: libmicrohttpd with an answer that never changes --- */

struct peer {
    struct MHD_Daemon *daemon;
    struct MHD_Response *response;
    unsigned port;
};

static enum MHD_Result answer_always(void *arg, struct MHD_Connection *connection, const char *url,
                                     const char *method, const char *version, const char *data,
                                     size_t *size, void **state)
{
    struct peer *peer = arg;
    if (!*state) { /* the headers; the answer comes with the next call, as everybody does it */
        *state = peer;
        return MHD_YES;
    }
    return MHD_queue_response(connection, 200, peer->response);
}

static struct peer peer_start(const char *certificate, const char *key, size_t bytes)
{
    struct peer peer = { 0 };
    char *body = g_malloc(bytes);
    memset(body, 'x', bytes);
    peer.response = MHD_create_response_from_buffer(bytes, body, MHD_RESPMEM_MUST_COPY);
    g_free(body);
    static struct peer running; /* what the daemon's threads look at */
    running = peer;
    running.daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_TLS, 0, NULL, NULL, answer_always, &running,
        MHD_OPTION_THREAD_POOL_SIZE, MAX(2, g_get_num_processors()), MHD_OPTION_HTTPS_MEM_CERT,
        certificate, MHD_OPTION_HTTPS_MEM_KEY, key, MHD_OPTION_HTTPS_PRIORITIES, PRIORITIES,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)32768, MHD_OPTION_END);
    g_assert(running.daemon);
    running.port = MHD_get_daemon_info(running.daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
    return running;
}

static void peer_stop(struct peer *peer)
{
    MHD_stop_daemon(peer->daemon);
    MHD_destroy_response(peer->response);
}

/* --- the client, a process of its own --- */

struct figures {
    double rate, client_us, median_ms, server_us;
    size_t bytes;
};

static double cpu_us(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static struct figures load(unsigned port, const char *path, const char *token,
                           unsigned connections, unsigned requests)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *folder = g_path_get_dirname(self);
    g_autofree char *program = g_build_filename(folder, "rest_load", NULL);
    g_autofree char *port_text = g_strdup_printf("%u", port);
    g_autofree char *connections_text = g_strdup_printf("%u", connections);
    g_autofree char *requests_text = g_strdup_printf("%u", requests);
    const char *argv[] = { program,           "--port",      port_text,       "--path", path,
                           "--token",         token,         "--connections", connections_text,
                           "--requests",      requests_text, NULL };
    g_autofree char *out = NULL;
    g_autoptr(GError) error = NULL;
    struct figures figures = { 0 };
    int status = 0;
    double cpu = cpu_us();
    if (!g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, &out, NULL, &status, &error))
        g_error("%s", error->message);
    figures.server_us = (cpu_us() - cpu) / requests;
    if (sscanf(out, "%lf %lf %lf %zu", &figures.rate, &figures.client_us, &figures.median_ms,
               &figures.bytes) != 4)
        g_error("rest_load failed");
    return figures;
}

/* --- the measurements --- */

struct site {
    const char *certificate, *key, *token;
    unsigned port;
    bool smoke;
};

static void measure_one(const struct site *site)
{
    unsigned requests = site->smoke ? 500 : 100000;
    const char *path = API "/vms/0f1f7a52-5a6e-4b0b-9a55-000000000500";
    struct figures ours = load(site->port, path, site->token, CLIENTS, requests);
    struct peer peer = peer_start(site->certificate, site->key, ours.bytes);
    struct figures bare = load(peer.port, path, site->token, CLIENTS, requests);
    peer_stop(&peer);
    printf("GET /vms/{id}, kept alive (%.1f KiB) | > 20,000/s | %.0f/s, %.1f us of CPU"
           " | bare libmicrohttpd: %.0f/s, %.1f us: %.2fx; the client %.1f us\n",
           (double)ours.bytes / 1024, ours.rate, ours.server_us, bare.rate, bare.server_us,
           ours.server_us / bare.server_us, ours.client_us);
}

static void measure_list(const struct site *site, const char *path, const char *what,
                         const char *budget, unsigned requests)
{
    requests = site->smoke ? 4 : requests;
    struct figures ours = load(site->port, path, site->token, 1, requests);
    struct peer peer = peer_start(site->certificate, site->key, ours.bytes);
    struct figures bare = load(peer.port, path, site->token, 1, requests);
    peer_stop(&peer);
    printf("%s (%zu KiB) | %s | %.1f ms, %.1f ms of CPU | bare libmicrohttpd: %.1f ms, %.1f ms:"
           " %.2fx; the client %.1f ms\n",
           what, ours.bytes / 1024, budget, ours.median_ms, ours.server_us / 1e3, bare.median_ms,
           bare.server_us / 1e3, ours.median_ms / bare.median_ms, ours.client_us / 1e3);
}

/* Every object is another version, so that no text is known. */
static void measure_changed(const struct site *site, struct vr_inventory *inventory)
{
    enum { ROUNDS = 15 };
    unsigned rounds = site->smoke ? 1 : ROUNDS;
    double best = 1e9;
    for (unsigned round = 0; round < rounds; round++) {
        for (unsigned i = 0; i < VMS; i++)
            put(inventory, VR_KIND_VM, make_vm(i));
        best = MIN(best, load(site->port, API "/vms", site->token, 1, 1).median_ms);
    }
    printf("the same, all of them changed since | - | %.1f ms, best of %u | \n", best, rounds);
}

static void no_engine(struct vr_call *call, void *arg)
{
    g_error("the benchmark writes nothing");
}

int main(int argc, char **argv)
{
    g_autofree char *certificate = NULL;
    g_autofree char *key = NULL;
    vr_auto_error struct vr_error *error = NULL;
    make_certificate(&certificate, &key);
    struct vr_inventory *inventory = vr_inventory_new(true);
    fill(inventory);
    const struct vr_sessions_options sessions = { .inventory = inventory };
    const struct vr_rest_options options = {
        .server = { .address = "127.0.0.1", .certificate = certificate, .key = key },
        .inventory = inventory,
        .statistics = vr_statistics_new(),
        .sessions = vr_sessions_new(&sessions),
        .ca = certificate,
        .certificate = certificate,
        .instance_id = VR_UUID_ZERO,
        .version = "4.5.6",
        .post = no_engine,
    };
    struct vr_rest *rest = vr_rest_start(&options, &error);
    if (!rest) {
        g_autofree char *text = vr_error_text(error);
        fprintf(stderr, "bench_rest: %s\n", text);
        return 1;
    }
    char token[VR_TOKEN_SIZE];
    struct vr_credential *session = make_session();
    g_assert(vr_tokens_add(options.sessions->tokens, session, token, vr_login_now_ms()));
    const struct site site = { certificate, key, token, vr_rest_port(rest),
                               argc > 1 && strcmp(argv[1], "--smoke") == 0 };
    if (argc > 1 && strcmp(argv[1], "--serve") == 0) {
        printf("%u %s\n", site.port, token);
        fflush(stdout);
        pause();
    }
    measure_one(&site);
    measure_list(&site, API "/vms", "GET /vms with 1,000 VMs, XML", "< 15 ms", LISTS);
    measure_changed(&site, inventory);
    measure_list(&site, API "/vms?search=name%3Dweb0500", "search among 1,000 VMs", "-", 2000);
    measure_list(&site, API "/vms?search=cluster%3DDefault+page+2&max=20", "a page of 20 by cluster",
                 "-", 1000);
    return 0;
}
