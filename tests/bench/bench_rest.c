/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The REST server over an inventory of 1,000 virtual machines, asked over TLS on connections that
 * are kept alive.  Client and server share the processors.
 *
 *     bench_rest            prints `what | budget | measured`
 *     bench_rest --serve    prints the port and a token, and serves until it is killed
 */

#include "manager/access/access.h"
#include "manager/rest/rest.h"
#include "manager/session/password.h"

#include <arpa/inet.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { VMS = 1000, CLIENTS = 8, REQUESTS = 10000, LISTS = 40 };

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
    g_autofree char *hash = vr_password_hash("secret");
    vr_set_id(user, ADMIN);
    VR_SET_STRING(user, name, "admin");
    VR_SET_STRING(user, user_name, VR_ACCESS_ADMIN);
    VR_SET_STRING(user, password_hash, hash);
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

/* --- a client --- */

struct client {
    int fd;
    gnutls_session_t tls;
    gnutls_certificate_credentials_t credentials;
    GString *in; /* read and not yet used */
};

static void client_open(struct client *client, unsigned port)
{
    const struct sockaddr_in address = { .sin_family = AF_INET,
                                         .sin_port = htons((uint16_t)port),
                                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    const int on = 1;
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert(connect(client->fd, (const struct sockaddr *)&address, sizeof(address)) == 0);
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    gnutls_certificate_allocate_credentials(&client->credentials);
    gnutls_init(&client->tls, GNUTLS_CLIENT);
    gnutls_set_default_priority(client->tls);
    gnutls_credentials_set(client->tls, GNUTLS_CRD_CERTIFICATE, client->credentials);
    gnutls_transport_set_int(client->tls, client->fd);
    int result;
    do
        result = gnutls_handshake(client->tls);
    while (result < 0 && !gnutls_error_is_fatal(result));
    g_assert_cmpint(result, ==, 0);
    client->in = g_string_new(NULL);
}

static void client_close(struct client *client)
{
    gnutls_deinit(client->tls);
    gnutls_certificate_free_credentials(client->credentials);
    close(client->fd);
    g_string_free(client->in, TRUE);
}

/* One exchange; returns the status and the length of the body. */
static int client_ask(struct client *client, const char *request, size_t *ret_length)
{
    char buffer[65536];
    size_t sent = 0, length = strlen(request), head = 0, body = 0;
    while (sent < length) {
        ssize_t n = gnutls_record_send(client->tls, request + sent, length - sent);
        g_assert(n > 0);
        sent += (size_t)n;
    }
    for (;;) {
        if (!head) {
            const char *end = strstr(client->in->str, "\r\n\r\n");
            const char *field = end ? strcasestr(client->in->str, "content-length:") : NULL;
            if (field) {
                head = (size_t)(end - client->in->str) + 4;
                body = strtoul(field + 15, NULL, 10);
            }
        }
        if (head && client->in->len >= head + body)
            break;
        ssize_t n = gnutls_record_recv(client->tls, buffer, sizeof(buffer));
        if (n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED)
            continue;
        g_assert(n > 0);
        g_string_append_len(client->in, buffer, n);
    }
    int status = atoi(client->in->str + strlen("HTTP/1.1 "));
    g_string_erase(client->in, 0, (gssize)(head + body));
    *ret_length = body;
    return status;
}

static char *log_in(unsigned port)
{
    struct client client;
    client_open(&client, port);
    const char form[] = "grant_type=password&scope=ovirt-app-api&username=admin%40internal"
                        "&password=secret";
    g_autofree char *request = g_strdup_printf(
        "POST /ovirt-engine/sso/oauth/token HTTP/1.1\r\nHost: localhost\r\n"
        "Accept: application/json\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        "Content-Length: %zu\r\n\r\n%s", sizeof(form) - 1, form);
    gnutls_record_send(client.tls, request, strlen(request));
    char answer[4096];
    size_t length = 0;
    char *token = NULL;
    while (!token) {
        ssize_t n = gnutls_record_recv(client.tls, answer + length, sizeof(answer) - 1 - length);
        if (n < 0 && !gnutls_error_is_fatal((int)n))
            continue;
        g_assert(n > 0);
        length += (size_t)n;
        answer[length] = '\0';
        const char *start = strstr(answer, "\"access_token\":\"");
        const char *end = start ? strchr(start + 16, '"') : NULL;
        if (end)
            token = g_strndup(start + 16, (gsize)(end - start - 16));
    }
    client_close(&client);
    return token;
}

static char *get(const char *path, const char *token)
{
    return g_strdup_printf("GET /ovirt-engine/api%s HTTP/1.1\r\nHost: localhost\r\n"
                           "Authorization: Bearer %s\r\nAccept: application/xml\r\n\r\n",
                           path, token);
}

/* --- the measurements --- */

struct load {
    unsigned port;
    const char *request;
};

static gpointer load_one(gpointer arg)
{
    const struct load *load = arg;
    struct client client;
    size_t length;
    client_open(&client, load->port);
    for (unsigned i = 0; i < REQUESTS; i++)
        g_assert_cmpint(client_ask(&client, load->request, &length), ==, 200);
    client_close(&client);
    return NULL;
}

static void measure_one(unsigned port, const char *token)
{
    g_autofree char *request = get("/vms/0f1f7a52-5a6e-4b0b-9a55-000000000500", token);
    struct load load = { port, request };
    GThread *threads[CLIENTS];
    int64_t start = g_get_monotonic_time();
    for (unsigned i = 0; i < CLIENTS; i++)
        threads[i] = g_thread_new("client", load_one, &load);
    for (unsigned i = 0; i < CLIENTS; i++)
        g_thread_join(threads[i]);
    double seconds = (double)(g_get_monotonic_time() - start) / 1e6;
    printf("GET /vms/{id}, kept alive, client on the same cores | > 20,000/s | %.0f/s\n",
           CLIENTS * REQUESTS / seconds);
}

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static void measure_list(unsigned port, const char *token, const char *path, const char *what,
                         const char *budget)
{
    g_autofree char *request = get(path, token);
    struct client client;
    double times[LISTS];
    size_t length = 0;
    client_open(&client, port);
    for (unsigned i = 0; i < LISTS; i++) {
        int64_t start = g_get_monotonic_time();
        g_assert_cmpint(client_ask(&client, request, &length), ==, 200);
        times[i] = (double)(g_get_monotonic_time() - start) / 1e3;
    }
    client_close(&client);
    qsort(times, LISTS, sizeof(*times), compare);
    printf("%s, median (%zu KiB) | %s | %.1f ms\n", what, length / 1024, budget,
           times[LISTS / 2]);
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
    unsigned port = vr_rest_port(rest);
    g_autofree char *token = log_in(port);
    if (argc > 1 && strcmp(argv[1], "--serve") == 0) {
        printf("%u %s\n", port, token);
        fflush(stdout);
        pause();
    }
    measure_one(port, token);
    measure_list(port, token, "/vms", "GET /vms with 1,000 VMs, XML", "< 15 ms");
    measure_list(port, token, "/vms?search=name%3Dweb0500", "search among 1,000 VMs", "-");
    measure_list(port, token, "/vms?search=cluster%3DDefault+page+2&max=20",
                 "a page of 20 by cluster", "-");
    return 0;
}
