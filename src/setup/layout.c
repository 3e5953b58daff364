/* SPDX-License-Identifier: Apache-2.0 */
#include "setup/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

#include "base/mark.h"
#include "setup/file.h"
#include "setup/pgcluster.h"
#include "setup/pki.h"

#define ORGANIZATION "Vireo"
/* 20 of 55 letters: 115 bits. */
#define PASSWORD_LETTERS 20
#define CONFIG_LIMIT (256 * 1024)

static const struct vr_fault fault_setup = {
    .name = "setup", .http = 500, .exit = 1, .text = "The state folder cannot be set up."
};

/* Two runs at once take turns. */
static int lock_state(const char *state, struct vr_error **error)
{
    g_autofree char *path = g_build_filename(state, ".setup.lock", NULL);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || flock(fd, LOCK_EX) < 0) {
        vr_error_set(error, &fault_setup, "Cannot lock %s: %s.", path, g_strerror(errno));
        if (fd >= 0)
            close(fd);
        return -1;
    }
    return fd;
}

/* The first is what a Manager needs that has its configuration and logs elsewhere. */
static bool make_folders(const char *state, bool alone, struct vr_error **error)
{
    static const char *const folders[] = { "pki", "agent", "agent/pki", "run", "log", "storage" };
    if (g_mkdir_with_parents(state, 0755) < 0) {
        vr_error_set(error, &fault_setup, "Cannot make %s: %s.", state, g_strerror(errno));
        return false;
    }
    for (size_t i = 0; i < (alone ? 1 : G_N_ELEMENTS(folders)); i++) {
        g_autofree char *path = g_build_filename(state, folders[i], NULL);
        if (!vr_file_make_folder(path, 0755, error))
            return false;
    }
    return true;
}

static bool make_password(const char *state, struct vr_error **error)
{
    /* Without letters that a person takes for another: 0O 1lI. */
    static const char letters[] = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    g_autofree char *path = g_build_filename(state, "admin-password", NULL);
    g_autofree char *old = vr_file_read(path, 4096, NULL, error);
    if (*error)
        return false;
    if (old && old[0] && old[0] != '\n')
        return true;

    char password[PASSWORD_LETTERS + 1];
    size_t made = 0;
    while (made < PASSWORD_LETTERS) {
        unsigned char byte;
        if (gnutls_rnd(GNUTLS_RND_KEY, &byte, 1) < 0) {
            vr_error_set(error, &fault_setup, "No random numbers.");
            return false;
        }
        /* Bytes beyond the last whole multiple would favour the first letters. */
        size_t count = sizeof(letters) - 1;
        if (byte < 256 / count * count)
            password[made++] = letters[byte % count];
    }
    password[made] = '\n';
    bool good = vr_file_replace(path, password, sizeof(password), 0600, error);
    gnutls_memset(password, 0, sizeof(password));
    return good;
}

static void set_path(GKeyFile *config, const char *section, const char *key, const char *state,
                     const char *relative)
{
    g_autofree char *path = g_build_filename(state, relative, NULL);
    g_key_file_set_string(config, section, key, path);
}

static void default_manager(GKeyFile *config, const char *state)
{
    g_key_file_set_string(config, "database", "url", "");
    set_path(config, "database", "dir", state, "db");
    g_key_file_set_comment(config, "database", "url",
                           " A libpq connection string; empty for the embedded database in dir.",
                           NULL);
    g_key_file_set_integer(config, "https", "port", 8443);
    set_path(config, "https", "certificate", state, "pki/https.pem");
    set_path(config, "https", "key", state, "pki/https.key");
    set_path(config, "https", "ca", state, "pki/ca.pem");
    set_path(config, "hosts", "ca", state, "pki/ca.pem");
    set_path(config, "hosts", "certificate", state, "pki/manager.pem");
    set_path(config, "hosts", "key", state, "pki/manager.key");
    set_path(config, "admin", "password-file", state, "admin-password");
    g_key_file_set_string(config, "log", "level", "info");
}

static void default_agent(GKeyFile *config, const char *state)
{
    g_autofree char *uuid = g_uuid_string_random();
    g_key_file_set_integer(config, "agent", "port", 54321);
    g_key_file_set_integer(config, "agent", "image-port", 54322);
    set_path(config, "agent", "state", state, "agent");
    set_path(config, "agent", "run-root", state, "agent/data-center");
    set_path(config, "agent", "ca", state, "agent/pki/cacert.pem");
    set_path(config, "agent", "certificate", state, "agent/pki/vdsmcert.pem");
    set_path(config, "agent", "key", state, "agent/pki/vdsmkey.pem");
    g_key_file_set_string(config, "agent", "manager", "OU=" VR_MANAGER_UNIT);
    g_key_file_set_string(config, "agent", "uuid", uuid);
    g_key_file_set_comment(config, "agent", "run-root",
                           " Where storage domains are mounted: /rhev/data-center of a real host.",
                           NULL);
    g_key_file_set_string(config, "libvirt", "uri", "qemu:///system");
    g_key_file_set_string(config, "libvirt", "accel", "auto");
    g_key_file_set_comment(config, "libvirt", "accel",
                           " auto, kvm or tcg; auto is TCG where the processor shows no vmx or svm"
                           " flag.",
                           NULL);
    g_key_file_set_string(config, "agent", "log", "info");
}

/* Reads @path, or the defaults when it is missing, applies @settings, writes what changed. */
static bool make_config(const char *state, const char *name,
                        void (*defaults)(GKeyFile *, const char *), const char *const *settings,
                        struct vr_error **error)
{
    g_autofree char *path = g_build_filename(state, name, NULL);
    g_autofree char *old = vr_file_read(path, CONFIG_LIMIT, NULL, error);
    if (*error)
        return false;
    g_autoptr(GKeyFile) config = g_key_file_new();
    g_autoptr(GError) parse = NULL;
    if (!old)
        defaults(config, state);
    else if (!g_key_file_load_from_data(config, old, (gsize)-1,
                                        G_KEY_FILE_KEEP_COMMENTS | G_KEY_FILE_KEEP_TRANSLATIONS,
                                        &parse)) {
        vr_error_set(error, &fault_setup, "%s: %s.", path, parse->message);
        return false;
    }
    for (const char *const *setting = settings; setting && *setting; setting++) {
        const char *dot = strchr(*setting, '.');
        const char *equals = dot ? strchr(dot, '=') : NULL;
        if (!equals || dot == *setting || equals == dot + 1) {
            vr_error_set(error, &vr_fault_bad_request, "%s is not section.key=value.", *setting);
            return false;
        }
        g_autofree char *section = g_strndup(*setting, (gsize)(dot - *setting));
        g_autofree char *key = g_strndup(dot + 1, (gsize)(equals - dot - 1));
        g_key_file_set_string(config, section, key, equals + 1);
    }
    gsize size = 0;
    g_autofree char *text = g_key_file_to_data(config, &size, NULL);
    return (old && strcmp(old, text) == 0) || vr_file_replace(path, text, size, 0644, error);
}

static bool make_manager_certificates(const struct vr_layout_options *options, const char *pki,
                                      struct vr_error **error)
{
    static const char *const always[] = { "localhost", "127.0.0.1", "::1" };
    g_autofree char *certificate = g_build_filename(pki, "https.pem", NULL);
    g_autofree char *key = g_build_filename(pki, "https.key", NULL);
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    for (const char *const *name = options->host_names; *name; name++)
        g_ptr_array_add(names, (char *)*name);
    for (size_t i = 0; i < G_N_ELEMENTS(always); i++)
        if (!g_strv_contains(options->host_names, always[i]))
            g_ptr_array_add(names, (char *)always[i]);
    g_ptr_array_add(names, NULL);

    struct vr_pki_request request = {
        .ca_folder = pki,
        .certificate = certificate,
        .key = key,
        .common_name = options->host_names[0],
        .names = (const char *const *)names->pdata,
        .use = VR_PKI_SERVER,
        .days = VR_PKI_HTTPS_DAYS,
        .key_bits = options->key_bits,
    };
    if (!vr_pki_ensure_certificate(&request, NULL, error))
        return false;
    g_autofree char *client_certificate = g_build_filename(pki, "manager.pem", NULL);
    g_autofree char *client_key = g_build_filename(pki, "manager.key", NULL);
    request.certificate = client_certificate;
    request.key = client_key;
    request.use = VR_PKI_CLIENT | VR_PKI_SERVER | VR_PKI_MANAGER;
    request.days = VR_PKI_HOST_DAYS;
    return vr_pki_ensure_certificate(&request, NULL, error);
}

/* The authority's certificate beside the host's own; called with the state locked. */
static bool enrol(const char *state, const char *name, const char *const *addresses,
                  const char *out, unsigned key_bits, struct vr_error **error)
{
    g_autofree char *pki = g_build_filename(state, "pki", NULL);
    g_autofree char *ca = g_build_filename(pki, "ca.pem", NULL);
    g_autofree char *copy = g_build_filename(out, "cacert.pem", NULL);
    g_autofree char *certificate = g_build_filename(out, "vdsmcert.pem", NULL);
    g_autofree char *key = g_build_filename(out, "vdsmkey.pem", NULL);

    if (!vr_file_make_folder(out, 0755, error))
        return false;
    g_autofree char *pem = vr_file_read(ca, CONFIG_LIMIT, NULL, error);
    if (*error)
        return false;
    if (!pem) {
        vr_error_set(error, &fault_setup, "%s is missing; run vireo-setup init first.", ca);
        return false;
    }
    g_autofree char *old = vr_file_read(copy, CONFIG_LIMIT, NULL, error);
    if (*error)
        return false;
    if ((!old || strcmp(old, pem) != 0) &&
        !vr_file_replace(copy, pem, strlen(pem), 0644, error))
        return false;

    g_autoptr(GPtrArray) names = g_ptr_array_new();
    g_ptr_array_add(names, (char *)name);
    for (const char *const *address = addresses; address && *address; address++)
        if (strcmp(*address, name) != 0)
            g_ptr_array_add(names, (char *)*address);
    g_ptr_array_add(names, NULL);
    const struct vr_pki_request request = {
        .ca_folder = pki,
        .certificate = certificate,
        .key = key,
        .common_name = name,
        .names = (const char *const *)names->pdata,
        /* A host is the client when it migrates or reaches another host's images. */
        .use = VR_PKI_SERVER | VR_PKI_CLIENT,
        .days = VR_PKI_HOST_DAYS,
        .key_bits = key_bits,
    };
    return vr_pki_ensure_certificate(&request, NULL, error);
}

/* This machine as a host, and both configuration files. */
static bool make_host(const struct vr_layout_options *options, struct vr_error **error)
{
    static const char *const here[] = { "localhost", "127.0.0.1", "::1", NULL };
    g_autofree char *agent = g_build_filename(options->state, "agent", "pki", NULL);
    return enrol(options->state, options->host_names[0], here, agent, options->key_bits, error) &&
           make_config(options->state, "manager.conf", default_manager, options->manager_set,
                       error) &&
           make_config(options->state, "agent.conf", default_agent, options->agent_set, error);
}

static bool init_locked(const struct vr_layout_options *options, struct vr_error **error)
{
    g_autofree char *pki = g_build_filename(options->state, "pki", NULL);
    g_autofree char *db = g_build_filename(options->state, "db", NULL);

    if (!vr_pki_ensure_ca(pki, ORGANIZATION, options->key_bits, error) ||
        !make_manager_certificates(options, pki, error) || !make_password(options->state, error) ||
        (!options->manager_alone && !make_host(options, error)))
        return false;
    if (!options->database)
        return true;
    const struct vr_pgcluster_options cluster = { .directory = db };
    return vr_pgcluster_prepare(&cluster, error);
}

bool vr_layout_init(const struct vr_layout_options *options, struct vr_error **error)
{
    g_assert(g_path_is_absolute(options->state) && options->host_names && options->host_names[0]);
    if (!make_folders(options->state, options->manager_alone, error))
        return false;
    int lock = lock_state(options->state, error);
    if (lock < 0)
        return false;
    bool good = init_locked(options, error);
    close(lock);
    return good;
}

bool vr_layout_enrol_host(const char *state, const char *name, const char *const *addresses,
                          const char *out, unsigned key_bits, struct vr_error **error)
{
    int lock = lock_state(state, error);
    if (lock < 0)
        return false;
    bool good = enrol(state, name, addresses, out, key_bits, error);
    close(lock);
    return good;
}
