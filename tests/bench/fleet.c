/* SPDX-License-Identifier: Apache-2.0 */

/*
 * fleet: thousands of simulated hosts in one process, for bench_site.  Each listens on a port of
 * its own and speaks the whole host protocol (TLS, STOMP, JSON-RPC); what it says is canned
 * (answers.py) but for ids and counters, so that it costs little of the processors that the
 * Manager is measured on.
 *
 *     fleet --answers FOLDER --ca F --certificate F --key F --port P --first N --hosts N --vms N
 *     fleet --answers FOLDER --vms N --limit
 *
 * The first says "ready", then obeys lines of standard input, and ends with it:
 *
 *     count     prints `POLLS` (answers to Host.getAllVmStats), `CALLS`, and of how many `HOSTS`
 *               there have been polls, since the start or the last
 *     forget
 *
 * The second prints the microseconds of CPU that decrypting and parsing the two answers of one
 * poll takes with GnuTLS and json-c alone: less nobody can do.
 */

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "model/host.h"
#include "net/rpc.h"

/* As many as a data center takes (MaxNumberOfHostsInStoragePool). */
#define HOSTS_PER_DATA_CENTER 250

struct fleet {
    struct vr_loop *loop;
    unsigned vms; /* a host */
    unsigned polls, calls, polled;
    unsigned round; /* of counting */
    struct vr_rpc_vdsm_capabilities *capabilities;
    struct vr_rpc_hardware_information *hardware;
    struct vr_rpc_host_stats *stats;
    struct vr_rpc_host_get_all_vm_stats_result *vm_stats;
    char line[256];
    size_t length;
};

struct host {
    struct fleet *fleet;
    unsigned number;
    unsigned polled; /* in which round last */
    char (*vm_ids)[37];
};

/* What bench_site asks of the database: md5('vm:7')::uuid. */
static void make_id(char out[37], const char *kind, unsigned number)
{
    g_autofree char *text = g_strdup_printf("%s:%u", kind, number);
    g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_MD5, text, -1);
    g_snprintf(out, 37, "%.8s-%.4s-%.4s-%.4s-%.12s", sum, sum + 8, sum + 12, sum + 16, sum + 20);
}

/* --- answers --- */

static void answer_capabilities(struct host *host, struct vr_rpc_request *request)
{
    char id[37];
    make_id(id, "host", host->number);
    VR_SET_STRING(host->fleet->capabilities, uuid, id);
    vr_rpc_request_reply(request, host->fleet->capabilities);
}

static void answer_hardware(struct host *host, struct vr_rpc_request *request)
{
    vr_rpc_request_reply(request, host->fleet->hardware);
}

static void answer_stats(struct host *host, struct vr_rpc_request *request)
{
    struct vr_rpc_host_stats *stats = host->fleet->stats;
    char id[37];
    make_id(id, "sd", host->number / HOSTS_PER_DATA_CENTER);
    g_free(stats->storage_domains.keys[0]);
    stats->storage_domains.keys[0] = g_strdup(id);
    VR_TAKE_STRING(stats, cpu_idle, g_strdup_printf("%.2f", 60 + g_random_double() * 30));
    VR_SET(stats, mem_free, 200000 + (int64_t)g_random_int_range(0, 60000));
    vr_rpc_request_reply(request, stats);
}

static void count_up(char **text, unsigned most)
{
    uint64_t value = g_ascii_strtoull(*text, NULL, 10) + g_random_int() % most;
    g_free(*text);
    *text = g_strdup_printf("%" G_GUINT64_FORMAT, value);
}

static void answer_vm_stats(struct host *host, struct vr_rpc_request *request)
{
    struct fleet *fleet = host->fleet;
    int64_t now = g_get_monotonic_time() / 1000;
    fleet->polls++;
    fleet->polled += host->polled != fleet->round;
    host->polled = fleet->round;
    for (unsigned i = 0; i < fleet->vms; i++) {
        struct vr_rpc_vm_stats *vm = fleet->vm_stats->value.items[i];
        memcpy(vm->vm_id, host->vm_ids[i], sizeof(host->vm_ids[i]));
        VR_TAKE_STRING(vm, vm_name, g_strdup_printf("vm%06u", host->number * fleet->vms + i));
        VR_TAKE_STRING(vm, status_time, g_strdup_printf("%" G_GINT64_FORMAT, now));
        VR_TAKE_STRING(vm, elapsed_time, g_strdup_printf("%" G_GINT64_FORMAT, now / 1000));
        VR_TAKE_STRING(vm, cpu_user, g_strdup_printf("%.2f", g_random_double() * 100));
        count_up(&vm->cpu_usage, 1000000);
        struct vr_rpc_network_interface_stats *nic = vm->network.values[0];
        count_up(&nic->rx, 65536);
        count_up(&nic->tx, 65536);
        struct vr_rpc_vm_disk_stats *disk = vm->disks.values[0];
        count_up(&disk->written_bytes, 65536);
    }
    vr_rpc_request_reply(request, fleet->vm_stats);
}

static void answer_nothing(struct host *host, struct vr_rpc_request *request)
{
    vr_rpc_request_reply(request, NULL);
}

static void answer_connect_server(struct host *host, struct vr_rpc_request *request)
{
    const struct vr_rpc_storage_pool_connect_storage_server_params *params =
        vr_rpc_request_params(request);
    vr_auto struct vr_rpc_storage_pool_connect_storage_server_result *result =
        VR_NEW(rpc_storage_pool_connect_storage_server_result);
    VR_EACH (struct vr_rpc_connection_ref_parameters, connection, &params->connection_params) {
        struct vr_rpc_connect_storage_server_status *status =
            VR_NEW(rpc_connect_storage_server_status);
        VR_SET_STRING(status, id, connection->id);
        VR_SET(status, status, 0);
        VR_APPEND(result, value, status);
    }
    vr_rpc_request_reply(request, result);
}

/* Whoever is asked has the role: the Manager asks one host a data center. */
static void answer_spm_status(struct host *host, struct vr_rpc_request *request)
{
    vr_auto struct vr_rpc_spm_status *status = VR_NEW(rpc_spm_status);
    VR_SET(status, spm_id, host->number % HOSTS_PER_DATA_CENTER + 1);
    VR_SET(status, spm_lver, 1);
    VR_SET(status, spm_status, VR_RPC_SPM_ROLE_SPM);
    vr_rpc_request_reply(request, status);
}

static void answer_pool_info(struct host *host, struct vr_rpc_request *request)
{
    char id[37];
    make_id(id, "sd", host->number / HOSTS_PER_DATA_CENTER);
    vr_auto struct vr_rpc_storage_pool_full_info *info = VR_NEW(rpc_storage_pool_full_info);
    struct vr_rpc_storage_pool_domain_info *domain = VR_NEW(rpc_storage_pool_domain_info);
    VR_SET_STRING(domain, disktotal, "109951162777600");
    VR_SET_STRING(domain, diskfree, "54975581388800");
    VR_SET_STRING(domain, status, "Active");
    info->has.dominfo = true;
    vr_map_set(&info->dominfo, id, domain);
    vr_rpc_request_reply(request, info);
}

static const struct {
    const struct vr_verb *verb;
    void (*answer)(struct host *host, struct vr_rpc_request *request);
} rows[] = {
    { &vr_verb_host_get_all_vm_stats, answer_vm_stats },
    { &vr_verb_host_get_stats, answer_stats },
    { &vr_verb_host_get_capabilities, answer_capabilities },
    { &vr_verb_host_get_hardware_info, answer_hardware },
    { &vr_verb_host_ping2, answer_nothing },
    { &vr_verb_storage_pool_connect_storage_server, answer_connect_server },
    { &vr_verb_storage_pool_connect, answer_nothing },
    { &vr_verb_storage_pool_get_spm_status, answer_spm_status },
    { &vr_verb_storage_pool_get_info, answer_pool_info },
};

static void handle(struct vr_rpc_request *request, const struct vr_verb *verb, void *params,
                   void *arg)
{
    struct host *host = arg;
    host->fleet->calls++;
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++)
        if (rows[i].verb == verb) {
            rows[i].answer(host, request);
            return;
        }
    vr_rpc_request_fail(request, 44, "Not implemented");
}

/* --- what it is told --- */

static void obey(uint32_t events, void *arg)
{
    struct fleet *fleet = arg;
    ssize_t got = read(STDIN_FILENO, fleet->line + fleet->length,
                       sizeof(fleet->line) - fleet->length);
    if (got <= 0) {
        vr_loop_exit(fleet->loop);
        return;
    }
    fleet->length += (size_t)got;
    for (char *end; (end = memchr(fleet->line, '\n', fleet->length));) {
        size_t used = (size_t)(end - fleet->line) + 1;
        if (strncmp(fleet->line, "count\n", used) == 0)
            printf("%u %u %u\n", fleet->polls, fleet->calls, fleet->polled);
        else if (strncmp(fleet->line, "forget\n", used) == 0)
            fleet->round++, fleet->polls = fleet->calls = fleet->polled = 0;
        fflush(stdout);
        memmove(fleet->line, fleet->line + used, fleet->length - used);
        fleet->length -= used;
    }
    g_assert(fleet->length < sizeof(fleet->line));
}

/* --- beginning --- */

static void *read_answer(const char *folder, const char *name, const struct vr_type *type)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    g_autofree char *text = NULL;
    gsize length = 0;
    g_autoptr(GError) failure = NULL;
    struct vr_error *error = NULL;
    if (!g_file_get_contents(path, &text, &length, &failure))
        g_error("%s", failure->message);
    void *object = vr_json_read(type, text, length, VR_JSON_HOST, &vr_codec_caps_host, &error);
    if (!object)
        g_error("%s: %s", path, error->detail);
    return object;
}

static void read_answers(struct fleet *fleet, const char *folder)
{
    char id[37];
    make_id(id, "vm", 0);
    fleet->capabilities =
        read_answer(folder, "capabilities.json", &vr_type_rpc_vdsm_capabilities);
    fleet->hardware = read_answer(folder, "hardware.json", &vr_type_rpc_hardware_information);
    fleet->stats = read_answer(folder, "host_stats.json", &vr_type_rpc_host_stats);
    fleet->vm_stats = VR_NEW(rpc_host_get_all_vm_stats_result);
    fleet->vm_stats->has.value = true;
    for (unsigned i = 0; i < fleet->vms; i++) {
        struct vr_rpc_vm_stats *vm = read_answer(folder, "vm_stats.json", &vr_type_rpc_vm_stats);
        VR_SET_STRING(vm, vm_id, id); /* to be overwritten in place */
        VR_APPEND(fleet->vm_stats, value, vm);
    }
}

static void listen_all(struct fleet *fleet, struct vr_tls *tls, unsigned port, unsigned first,
                       unsigned count)
{
    static const struct vr_rpc_server_ops ops = { .handle = handle };
    for (unsigned i = 0; i < count; i++) {
        struct host *host = g_new0(struct host, 1);
        struct vr_error *error = NULL;
        host->fleet = fleet;
        host->number = first + i;
        host->vm_ids = g_malloc_n(fleet->vms + 1, sizeof(*host->vm_ids));
        for (unsigned k = 0; k < fleet->vms; k++)
            make_id(host->vm_ids[k], "vm", host->number * fleet->vms + k);
        const struct vr_rpc_server_options options = { .address = "127.0.0.1",
                                                       .port = (uint16_t)(port + i),
                                                       .tls = tls,
                                                       .handshake_ms = 120000 };
        if (!vr_rpc_server_new(fleet->loop, &options, &ops, host, &error))
            g_error("port %u: %s", port + i, error->detail);
    }
}

/* --- the limit --- */

static double cpu_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* As TLS 1.3 does it: records of 16 KiB with AES-256-GCM. */
static void decrypt(gnutls_aead_cipher_hd_t cipher, const GString *sealed, char *out)
{
    static const uint8_t nonce[12];
    for (size_t at = 0; at < sealed->len; at += 16384 + 16) {
        size_t length = MIN(sealed->len - at, 16384 + 16), size = 16384;
        g_assert(gnutls_aead_cipher_decrypt(cipher, nonce, sizeof(nonce), NULL, 0, 16,
                                            sealed->str + at, length, out, &size) == 0);
    }
}

static GString *encrypt(gnutls_aead_cipher_hd_t cipher, const GString *text)
{
    static const uint8_t nonce[12];
    GString *sealed = g_string_new(NULL);
    char record[16384 + 16];
    for (size_t at = 0; at < text->len; at += 16384) {
        size_t length = MIN(text->len - at, 16384), size = sizeof(record);
        g_assert(gnutls_aead_cipher_encrypt(cipher, nonce, sizeof(nonce), NULL, 0, 16,
                                            text->str + at, length, record, &size) == 0);
        g_string_append_len(sealed, record, (gssize)size);
    }
    return sealed;
}

static int print_limit(const struct fleet *fleet)
{
    enum { ROUNDS = 1000 };
    uint8_t bytes[32] = { 1 };
    const gnutls_datum_t key = { bytes, sizeof(bytes) };
    gnutls_aead_cipher_hd_t cipher;
    GString *texts[2] = { g_string_new(NULL), g_string_new(NULL) };
    g_assert(gnutls_aead_cipher_init(&cipher, GNUTLS_CIPHER_AES_256_GCM, &key) == 0);
    vr_jsonrpc_write_result(texts[0], &vr_verb_host_get_stats, fleet->stats, "\"1\"");
    vr_jsonrpc_write_result(texts[1], &vr_verb_host_get_all_vm_stats, fleet->vm_stats, "\"1\"");
    GString *sealed[2] = { encrypt(cipher, texts[0]), encrypt(cipher, texts[1]) };
    char out[16384];
    double begin = cpu_us();
    for (unsigned i = 0; i < ROUNDS; i++)
        for (unsigned k = 0; k < 2; k++) {
            decrypt(cipher, sealed[k], out);
            json_object_put(json_tokener_parse(texts[k]->str));
        }
    printf("%.1f %zu\n", (cpu_us() - begin) / ROUNDS, texts[0]->len + texts[1]->len);
    for (unsigned k = 0; k < 2; k++) {
        g_string_free(texts[k], TRUE);
        g_string_free(sealed[k], TRUE);
    }
    gnutls_aead_cipher_deinit(cipher);
    return 0;
}

int main(int argc, char **argv)
{
    static struct fleet fleet;
    g_autofree char *folder = NULL, *ca = NULL, *certificate = NULL, *key = NULL;
    gint port = 0, first = 0, hosts = 0, vms = 0;
    gboolean limit = FALSE;
    const GOptionEntry entries[] = {
        { "answers", 0, 0, G_OPTION_ARG_FILENAME, &folder, "what to say", "FOLDER" },
        { "ca", 0, 0, G_OPTION_ARG_FILENAME, &ca, "whom to trust", "FILE" },
        { "certificate", 0, 0, G_OPTION_ARG_FILENAME, &certificate, "who we are", "FILE" },
        { "key", 0, 0, G_OPTION_ARG_FILENAME, &key, "its key", "FILE" },
        { "port", 0, 0, G_OPTION_ARG_INT, &port, "of the first host", "N" },
        { "first", 0, 0, G_OPTION_ARG_INT, &first, "number of the first host", "N" },
        { "hosts", 0, 0, G_OPTION_ARG_INT, &hosts, "how many", "N" },
        { "vms", 0, 0, G_OPTION_ARG_INT, &vms, "virtual machines a host", "N" },
        { "limit", 0, 0, G_OPTION_ARG_NONE, &limit, "measure what nobody can undercut", NULL },
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(GOptionContext) context = g_option_context_new("- simulated hosts");
    g_autoptr(GError) wrong = NULL;
    struct vr_error *error = NULL;
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &wrong) || !folder) {
        fprintf(stderr, "fleet: %s\n", wrong ? wrong->message : "--answers is missing");
        return 2;
    }
    vr_log_set_level(VR_LOG_WARNING);
    fleet.vms = (unsigned)vms;
    fleet.round = 1;
    read_answers(&fleet, folder);
    if (limit)
        return print_limit(&fleet);
    fleet.loop = vr_loop_new("fleet");
    struct vr_tls *tls = vr_tls_new(ca, certificate, key, &error);
    if (!tls)
        g_error("%s", error->detail);
    listen_all(&fleet, tls, (unsigned)port, (unsigned)first, (unsigned)hosts);
    vr_watch_new(fleet.loop, STDIN_FILENO, EPOLLIN, obey, &fleet);
    puts("ready");
    fflush(stdout);
    vr_loop_run(fleet.loop);
    /* Crash-only: the kernel closes the connections. */
    fflush(NULL);
    _exit(0);
}
