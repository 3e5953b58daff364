/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "deploy"
#include "manager/deploy/site.h"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mark.h"
#include "gen/config.h"
#include "gen/faults.h"
#include "setup/pki.h"

/* A download begins right after its URL was made; the tool that fetches tries again on errors. */
#define TOKEN_LIFE_US (15 * 60 * G_USEC_PER_SEC)
#define TOKEN_USES 4
/* Between the engine's start and that of the HTTPS server. */
#define START_US (60 * G_USEC_PER_SEC)
#define TOKENS_MAX 256
#define TOKEN_BYTES 24
#define PACKAGE_MAX MiB(512)
#define CONNECT_S 30
#define OUTPUT_MAX KiB(256)
#define NOISE_MAX KiB(8)
#define TRAFFIC_MAX MiB(64) /* apt says a few MiB at the most */

struct token {
    char *path;
    int64_t expires_us;
    unsigned uses;
};

struct vr_deploy_site {
    const struct vr_config *config;
    char *authority, *ca, *https_certificate, *certificate, *key, *packages, *name;
    char *ssh_key, *known_by;
    struct vr_mutex lock; /* a leaf; over what follows */
    GCond told;
    unsigned port;        /* 0: not known yet */
    GHashTable *tokens;   /* text -> struct token */
    /* Of the package that was summed last: a file is read once, not for every host. */
    char *summed_path, *sum;
    struct timespec summed_mtime;
};

static void token_free(gpointer data)
{
    struct token *token = data;
    g_free(token->path);
    g_free(token);
}

/* By what hosts tell our certificate from theirs: its mark, else its name, which no host's may have.
 * Owned. */
static char *known_by(const char *pem)
{
    struct vr_pki_certificate certificate = { 0 };
    vr_auto_error struct vr_error *error = NULL;
    char *text = NULL;
    if (pem && vr_pki_describe(pem, &certificate, &error)) {
        if (g_strcmp0(certificate.unit, VR_MANAGER_UNIT) == 0)
            text = g_strconcat("OU=", certificate.unit, NULL);
        else if (certificate.common_name)
            text = g_strconcat("CN=", certificate.common_name, NULL);
    }
    vr_pki_certificate_clear(&certificate);
    return text ? text : g_strdup("");
}

struct vr_deploy_site *vr_deploy_site_new(const struct vr_deploy_site_options *options)
{
    struct vr_deploy_site *site = g_new0(struct vr_deploy_site, 1);
    site->config = options->config;
    site->authority = g_strdup(options->authority);
    site->ca = g_strdup(options->ca);
    site->https_certificate = g_strdup(options->https_certificate);
    site->certificate = g_strdup(options->certificate);
    site->key = g_strdup(options->key);
    site->packages = g_strdup(options->packages);
    site->name = g_strdup(options->name);
    if (options->certificate)
        site->ssh_key = vr_pki_openssh_key(options->certificate);
    if (site->ssh_key)
        g_strchomp(site->ssh_key);
    site->known_by = known_by(options->certificate);
    vr_mutex_init(&site->lock);
    g_cond_init(&site->told);
    site->tokens = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, token_free);
    return site;
}

void vr_deploy_site_free(struct vr_deploy_site *site)
{
    if (!site)
        return;
    if (site->key)
        explicit_bzero(site->key, strlen(site->key));
    g_free(site->authority);
    g_free(site->ca);
    g_free(site->https_certificate);
    g_free(site->certificate);
    g_free(site->key);
    g_free(site->packages);
    g_free(site->name);
    g_free(site->ssh_key);
    g_free(site->known_by);
    g_free(site->summed_path);
    g_free(site->sum);
    g_hash_table_destroy(site->tokens);
    g_cond_clear(&site->told);
    vr_mutex_done(&site->lock);
    g_free(site);
}

void vr_deploy_site_set_port(struct vr_deploy_site *site, unsigned port)
{
    vr_mutex_lock(&site->lock);
    site->port = port;
    g_cond_broadcast(&site->told);
    vr_mutex_unlock(&site->lock);
}

const char *vr_deploy_site_ssh_key(const struct vr_deploy_site *site)
{
    return site->ssh_key;
}

char *vr_deploy_site_url(struct vr_deploy_site *site)
{
    int64_t until = g_get_monotonic_time() + START_US;
    vr_mutex_lock(&site->lock);
    /* Jobs go on before the interface is there. */
    while (!site->port && g_cond_wait_until(&site->told, &site->lock.mutex, until))
        ;
    unsigned port = site->port;
    vr_mutex_unlock(&site->lock);
    if (!port || !site->name)
        return NULL;
    bool v6 = strchr(site->name, ':') != NULL;
    return g_strdup_printf("https://%s%s%s:%u", v6 ? "[" : "", site->name, v6 ? "]" : "", port);
}

/* --- packages --- */

static gboolean is_old(gpointer key, gpointer value, gpointer now)
{
    return ((struct token *)value)->expires_us < *(int64_t *)now;
}

/* "" when there are too many hosts being installed at once. */
static char *make_token(struct vr_deploy_site *site, const char *path)
{
    unsigned char bytes[TOKEN_BYTES];
    int64_t now = g_get_monotonic_time();
    GString *text = g_string_new(NULL);
    if (gnutls_rnd(GNUTLS_RND_KEY, bytes, sizeof(bytes)) < 0)
        return g_string_free(text, FALSE);
    vr_mutex_lock(&site->lock);
    g_hash_table_foreach_remove(site->tokens, is_old, &now);
    if (g_hash_table_size(site->tokens) < TOKENS_MAX) {
        for (unsigned i = 0; i < sizeof(bytes); i++)
            g_string_append_printf(text, "%02x", bytes[i]);
        struct token *token = g_new(struct token, 1);
        *token = (struct token){ g_strdup(path), now + TOKEN_LIFE_US, TOKEN_USES };
        g_hash_table_insert(site->tokens, g_strdup(text->str), token);
    }
    vr_mutex_unlock(&site->lock);
    return g_string_free(text, FALSE);
}

char *vr_deploy_site_package(struct vr_deploy_site *site, const char *text)
{
    char *path = NULL;
    vr_mutex_lock(&site->lock);
    struct token *token = g_hash_table_lookup(site->tokens, text);
    if (token && token->expires_us >= g_get_monotonic_time()) {
        path = g_strdup(token->path);
        if (--token->uses == 0)
            g_hash_table_remove(site->tokens, text);
    }
    vr_mutex_unlock(&site->lock);
    return path;
}

/* The newest package of the agent, or NULL.  Owned. */
static char *find_package(const char *folder)
{
    g_autoptr(GDir) dir = folder ? g_dir_open(folder, 0, NULL) : NULL;
    char *best = NULL;
    struct timespec best_time = { 0 };
    for (const char *name; dir && (name = g_dir_read_name(dir));) {
        struct stat st;
        g_autofree char *path = g_build_filename(folder, name, NULL);
        if (!g_str_has_prefix(name, "vireo-agent_") || !g_str_has_suffix(name, ".deb") ||
            stat(path, &st) < 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size > PACKAGE_MAX)
            continue;
        if (best && (st.st_mtim.tv_sec < best_time.tv_sec ||
                     (st.st_mtim.tv_sec == best_time.tv_sec &&
                      st.st_mtim.tv_nsec <= best_time.tv_nsec)))
            continue;
        best_time = st.st_mtim;
        g_free(best);
        best = g_steal_pointer(&path);
    }
    return best;
}

static char *sum_file(const char *path)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return NULL;
    GChecksum *sum = g_checksum_new(G_CHECKSUM_SHA256);
    guchar buffer[65536];
    size_t got;
    while ((got = fread(buffer, 1, sizeof(buffer), file)) > 0)
        g_checksum_update(sum, buffer, (gssize)got);
    char *text = ferror(file) ? NULL : g_strdup(g_checksum_get_string(sum));
    g_checksum_free(sum);
    fclose(file);
    return text;
}

static char *package_sum(struct vr_deploy_site *site, const char *path)
{
    struct stat st;
    char *text = NULL;
    if (stat(path, &st) < 0)
        return NULL;
    vr_mutex_lock(&site->lock);
    if (g_strcmp0(site->summed_path, path) == 0 &&
        memcmp(&site->summed_mtime, &st.st_mtim, sizeof(st.st_mtim)) == 0)
        text = g_strdup(site->sum);
    vr_mutex_unlock(&site->lock);
    if (text || !(text = sum_file(path)))
        return text;
    vr_mutex_lock(&site->lock);
    g_free(site->summed_path);
    g_free(site->sum);
    site->summed_path = g_strdup(path);
    site->sum = g_strdup(text);
    site->summed_mtime = st.st_mtim;
    vr_mutex_unlock(&site->lock);
    return text;
}

static void offer_package(struct vr_deploy_site *site, struct vr_errand_offer *offer)
{
    g_autofree char *path = find_package(site->packages);
    if (!path) {
        vr_error_set(&offer->error, &vr_fault_host_install_failed,
                     "The Manager has no package of the agent: %s%s holds no vireo-agent_*.deb; set "
                     "dir in the section packages of manager.conf.",
                     site->packages ? "the folder " : "no folder is configured, so it",
                     site->packages ? site->packages : "");
        return;
    }
    g_autofree char *name = g_path_get_basename(path);
    g_auto(GStrv) parts = g_strsplit(name, "_", 3); /* vireo-agent_VERSION_ARCHITECTURE.deb */
    g_autofree char *token = make_token(site, path);
    offer->version = g_strdup(parts[1] && parts[2] ? parts[1] : "");
    offer->sha256 = package_sum(site, path);
    offer->url = g_strdup_printf("%s/%s/%s/%s", offer->manager_url, VR_DEPLOY_PACKAGE_PATH, token,
                                 "vireo-agent.deb");
    if (!offer->sha256)
        vr_error_set(&offer->error, &vr_fault_host_install_failed, "%s cannot be read.", path);
    else if (!*token)
        vr_error_set(&offer->error, &vr_fault_host_install_failed,
                     "Too many hosts are being installed at once; try again later.");
}

static void make_offer(struct vr_deploy_site *site, struct vr_errand_offer *offer)
{
    offer->manager_url = vr_deploy_site_url(site);
    offer->authority = g_strdup(site->ca);
    offer->ssh_key = g_strdup(site->ssh_key);
    offer->known_by = g_strdup(site->known_by);
    if (!offer->manager_url)
        vr_error_set(&offer->error, &vr_fault_host_install_failed,
                     "The Manager is still starting; try again.");
    else if (!offer->ssh_key)
        vr_error_set(&offer->error, &vr_fault_host_install_failed,
                     "The Manager has no SSH key: the section hosts of manager.conf names no RSA "
                     "certificate and key; vireo-setup init makes them.");
    else if (offer->package)
        offer_package(site, offer);
}

/* --- the other errands --- */

static void run_ssh(struct vr_deploy_site *site, struct vr_errand_ssh *ssh, int cancel_fd)
{
    const struct vr_ssh_order order = {
        .address = ssh->address,
        .port = ssh->port,
        .user = ssh->user,
        .password = ssh->password,
        .key = site->key,
        .fingerprint = ssh->fingerprint,
        .command = "exec /bin/sh -s",
        .input = ssh->script,
        .input_size = strlen(ssh->script),
        .connect_s = CONNECT_S,
        .silence_s = (unsigned)site->config->SSHInactivityTimeoutSeconds,
        .limit_s = (unsigned)site->config->SSHInactivityHardTimeoutSeconds,
        .output_max = OUTPUT_MAX,
        .noise_max = NOISE_MAX,
        .bytes_max = TRAFFIC_MAX,
        .cancel_fd = cancel_fd,
    };
    vr_ssh_run(&order, &ssh->answer);
}

static void run_sign(struct vr_deploy_site *site, struct vr_errand_sign *sign)
{
    struct vr_pki_certificate made = { 0 };
    const struct vr_pki_request wanted = {
        .ca_folder = site->authority,
        .common_name = sign->common_name,
        .names = (const char *const *)sign->names,
        .use = VR_PKI_SERVER | VR_PKI_CLIENT,
        .days = sign->days,
    };
    if (!site->authority) {
        vr_error_set(&sign->error, &vr_fault_host_install_failed,
                     "The Manager has no certificate authority: the section hosts of manager.conf "
                     "names none; vireo-setup init makes it.");
        return;
    }
    if (!vr_pki_sign(sign->request, &wanted, &made, &sign->error))
        return;
    sign->certificate = g_steal_pointer(&made.pem);
    sign->subject = g_steal_pointer(&made.subject);
    sign->organization = g_steal_pointer(&made.organization);
    sign->fingerprint = g_steal_pointer(&made.fingerprint);
    sign->key_id = g_steal_pointer(&made.key_id);
    sign->expires = made.expires * 1000;
    g_autofree char *path = g_build_filename(site->authority, "ca.pem", NULL);
    g_file_get_contents(path, &sign->authority, NULL, NULL);
    vr_pki_certificate_clear(&made);
}

static int64_t end_of(const char *pem)
{
    struct vr_pki_certificate certificate = { 0 };
    vr_auto_error struct vr_error *error = NULL;
    int64_t end = 0;
    if (pem && vr_pki_describe(pem, &certificate, &error))
        end = certificate.expires * 1000;
    vr_pki_certificate_clear(&certificate);
    return end;
}

void vr_deploy_site_run(struct vr_errand *errand, int cancel_fd, void *arg)
{
    struct vr_deploy_site *site = arg;
    switch (errand->kind) {
    case VR_ERRAND_SSH:
        run_ssh(site, &errand->ssh, cancel_fd);
        break;
    case VR_ERRAND_SIGN:
        run_sign(site, &errand->sign);
        break;
    case VR_ERRAND_OFFER:
        make_offer(site, &errand->offer);
        break;
    case VR_ERRAND_EXPIRY:
        errand->expiry.https = end_of(site->https_certificate);
        errand->expiry.manager = end_of(site->certificate);
        errand->expiry.authority = end_of(site->ca);
        break;
    case VR_ERRAND_KINDS:
        break;
    }
}
