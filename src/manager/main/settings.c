/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/main/settings.h"

#include <glib/gstdio.h>
#include <string.h>

#include "model/config.h"

#define FILE_MAX (1 << 20)
/* Where the package vireo-manager has the agent's package for hosts. */
#define PACKAGES_DIR "/usr/share/vireo/packages"

static bool wrong(const struct vr_settings *settings, const char *section, const char *key,
                  const char *why, struct vr_error **error)
{
    vr_error_set(error, &vr_fault_bad_request, "%s: [%s] %s: %s", settings->path, section, key,
                 why);
    return false;
}

/* The value without blanks around it, or NULL when it is absent or empty. */
static char *text_of(const struct vr_settings *settings, const char *section, const char *key)
{
    char *value = g_key_file_get_string(settings->file, section, key, NULL);
    if (value && !*g_strstrip(value))
        g_clear_pointer(&value, g_free);
    return value;
}

/* The contents of the file that a key names. */
static char *contents_of(const struct vr_settings *settings, const char *section, const char *key,
                         struct vr_error **error)
{
    g_autofree char *path = text_of(settings, section, key);
    if (!path) {
        wrong(settings, section, key, "a file name is missing", error);
        return NULL;
    }
    g_autoptr(GError) failure = NULL;
    char *text = NULL;
    gsize length = 0;
    if (!g_file_get_contents(path, &text, &length, &failure)) {
        wrong(settings, section, key, failure->message, error);
        return NULL;
    }
    if (length > FILE_MAX || memchr(text, '\0', length)) {
        g_free(text);
        wrong(settings, section, key, "the file is no PEM text", error);
        return NULL;
    }
    return text;
}

static bool read_database(struct vr_settings *settings, struct vr_error **error)
{
    settings->database_url = text_of(settings, "database", "url");
    settings->database_dir = text_of(settings, "database", "dir");
    if (settings->database_url || settings->database_dir)
        return true;
    return wrong(settings, "database", "url", "neither a url nor a dir is given", error);
}

static bool read_https(struct vr_settings *settings, struct vr_error **error)
{
    g_autofree char *port = text_of(settings, "https", "port");
    guint64 number = 8443;
    if (port && !g_ascii_string_to_unsigned(port, 10, 0, 65535, &number, NULL))
        return wrong(settings, "https", "port", "it is no number from 0 to 65535", error);
    settings->https_port = (unsigned)number;
    settings->port_file = text_of(settings, "https", "port-file");
    if (!settings->port_file) {
        g_autofree char *beside = g_path_get_dirname(settings->path);
        settings->port_file = g_build_filename(beside, "run", "manager.port", NULL);
    }
    settings->https_address = text_of(settings, "https", "address");
    settings->https_name = text_of(settings, "https", "name");
    settings->https_certificate = contents_of(settings, "https", "certificate", error);
    if (!settings->https_certificate)
        return false;
    settings->https_key = contents_of(settings, "https", "key", error);
    if (!settings->https_key)
        return false;
    settings->https_ca = contents_of(settings, "https", "ca", error);
    return settings->https_ca != NULL;
}

static bool read_hosts(struct vr_settings *settings, struct vr_error **error)
{
    settings->host_ca = text_of(settings, "hosts", "ca");
    settings->host_certificate = text_of(settings, "hosts", "certificate");
    settings->host_key = text_of(settings, "hosts", "key");
    unsigned given = !!settings->host_ca + !!settings->host_certificate + !!settings->host_key;
    if (given != 0 && given != 3)
        return wrong(settings, "hosts", "ca", "ca, certificate and key go together", error);
    settings->host_authority = text_of(settings, "hosts", "authority");
    if (!settings->host_authority && settings->host_ca)
        settings->host_authority = g_path_get_dirname(settings->host_ca);
    return true;
}

static bool read_level(struct vr_settings *settings, struct vr_error **error)
{
    static const struct {
        const char *word;
        enum vr_log_level level;
    } levels[] = {
        { "error", VR_LOG_ERROR },
        { "warning", VR_LOG_WARNING },
        { "info", VR_LOG_INFO },
        { "debug", VR_LOG_DEBUG },
    };
    g_autofree char *word = text_of(settings, "log", "level");
    settings->log_level = VR_LOG_INFO;
    if (!word)
        return true;
    for (unsigned i = 0; i < G_N_ELEMENTS(levels); i++) {
        if (strcmp(word, levels[i].word) == 0) {
            settings->log_level = levels[i].level;
            return true;
        }
    }
    return wrong(settings, "log", "level", "it is none of error, warning, info, debug", error);
}

struct vr_settings *vr_settings_read(const char *path, struct vr_error **error)
{
    struct vr_settings *settings = g_new0(struct vr_settings, 1);
    g_autoptr(GError) failure = NULL;
    settings->path = g_strdup(path);
    settings->file = g_key_file_new();
    if (!g_key_file_load_from_file(settings->file, path, G_KEY_FILE_NONE, &failure)) {
        vr_error_set(error, &vr_fault_bad_request, "%s: %s", path, failure->message);
        g_clear_pointer(&settings, vr_settings_free);
        return NULL;
    }
    settings->password_file = text_of(settings, "admin", "password-file");
    settings->packages_dir = text_of(settings, "packages", "dir");
    if (!settings->packages_dir)
        settings->packages_dir = g_strdup(PACKAGES_DIR);
    if (settings->password_file)
        settings->password_reset = g_strconcat(settings->password_file, ".reset", NULL);
    if (!read_database(settings, error) || !read_https(settings, error) ||
        !read_hosts(settings, error) || !read_level(settings, error))
        g_clear_pointer(&settings, vr_settings_free);
    return settings;
}

void vr_settings_free(struct vr_settings *settings)
{
    if (!settings)
        return;
    g_key_file_free(settings->file);
    g_free(settings->path);
    g_free(settings->database_url);
    g_free(settings->database_dir);
    g_free(settings->https_address);
    g_free(settings->port_file);
    g_free(settings->https_certificate);
    g_free(settings->https_key);
    g_free(settings->https_ca);
    g_free(settings->host_ca);
    g_free(settings->host_certificate);
    g_free(settings->host_key);
    g_free(settings->https_name);
    g_free(settings->host_authority);
    g_free(settings->password_file);
    g_free(settings->password_reset);
    g_free(settings->packages_dir);
    g_free(settings);
}

bool vr_settings_apply(const struct vr_settings *settings, struct vr_config *config,
                       struct vr_error **error)
{
    if (!vr_config_set(config, "CertificateAuthority", settings->https_ca ? settings->https_ca : "",
                       error))
        return false;
    g_auto(GStrv) names = g_key_file_get_keys(settings->file, "options", NULL, NULL);
    for (unsigned i = 0; names && names[i]; i++) {
        g_autofree char *value = g_key_file_get_string(settings->file, "options", names[i], NULL);
        if (!vr_config_set(config, names[i], value ? value : "", error)) {
            vr_error_prefix(error, "%s: [options] %s", settings->path, names[i]);
            return false;
        }
    }
    return true;
}

bool vr_settings_host_identity(const struct vr_settings *settings, char **ret_certificate,
                               char **ret_key, struct vr_error **error)
{
    *ret_certificate = *ret_key = NULL;
    if (!settings->host_certificate)
        return true;
    *ret_certificate = contents_of(settings, "hosts", "certificate", error);
    if (*ret_certificate)
        *ret_key = contents_of(settings, "hosts", "key", error);
    return *ret_key != NULL;
}

char *vr_settings_password(const struct vr_settings *settings, struct vr_error **error)
{
    g_autoptr(GError) failure = NULL;
    char *text = NULL;
    if (!g_file_get_contents(settings->password_file, &text, NULL, &failure)) {
        wrong(settings, "admin", "password-file", failure->message, error);
        return NULL;
    }
    text[strcspn(text, "\r\n")] = '\0';
    if (!*text) {
        wrong(settings, "admin", "password-file", "its first line is empty", error);
        g_clear_pointer(&text, g_free);
    }
    return text;
}

bool vr_settings_write_port(const struct vr_settings *settings, unsigned port,
                            struct vr_error **error)
{
    g_autofree char *run = g_path_get_dirname(settings->port_file);
    g_autofree char *text = g_strdup_printf("%u\n", port);
    g_autoptr(GError) failure = NULL;
    g_mkdir_with_parents(run, 0755);
    if (g_file_set_contents(settings->port_file, text, -1, &failure))
        return true;
    vr_error_set(error, &vr_fault_system, "%s", failure->message);
    return false;
}
