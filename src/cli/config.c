/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/config.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"

#define GROUP "vireo"
/* Four short values and a few certificates. */
#define FILE_MAX 262144

char *vr_cli_config_path(void)
{
    const char *own = g_getenv("VIREO_CONFIG");
    if (own && own[0])
        return g_strdup(own);
    return g_build_filename(g_get_user_config_dir(), "vireo", "config", NULL);
}

void vr_cli_config_done(struct vr_cli_config *config)
{
    g_clear_pointer(&config->url, g_free);
    g_clear_pointer(&config->user, g_free);
    g_clear_pointer(&config->token, g_free);
    g_clear_pointer(&config->ca, g_free);
}

/* The file's text, "" when there is none, NULL with an error. */
static char *read_private(const char *path, struct vr_error **error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT)
        return g_strdup("");
    struct stat status;
    if (fd < 0 || fstat(fd, &status) < 0) {
        vr_error_set(error, &vr_cli_failed, "Cannot read %s: %s.", path, g_strerror(errno));
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    char *text = NULL;
    if (!S_ISREG(status.st_mode) || status.st_uid != geteuid() || (status.st_mode & 077)) {
        vr_error_set(error, &vr_cli_failed,
                     "%s holds a secret but is not a file of yours alone; run 'chmod 600 %s'.",
                     path, path);
    } else if (status.st_size > FILE_MAX) {
        vr_error_set(error, &vr_cli_failed, "%s is too large; remove it and log in again.", path);
    } else {
        text = g_malloc0((size_t)status.st_size + 1);
        ssize_t got = read(fd, text, (size_t)status.st_size);
        if (got < 0) {
            vr_error_set(error, &vr_cli_failed, "Cannot read %s: %s.", path, g_strerror(errno));
            g_clear_pointer(&text, g_free);
        }
    }
    close(fd);
    return text;
}

bool vr_cli_config_load(struct vr_cli_config *config, struct vr_error **error)
{
    vr_cli_config_done(config);
    g_autofree char *path = vr_cli_config_path();
    g_autofree char *text = read_private(path, error);
    if (!text)
        return false;
    if (!text[0])
        return true;
    g_autoptr(GKeyFile) file = g_key_file_new();
    if (!g_key_file_load_from_data(file, text, (gsize)-1, G_KEY_FILE_NONE, NULL)) {
        vr_error_set(error, &vr_cli_failed, "%s is damaged; remove it and log in again.", path);
        return false;
    }
    config->url = g_key_file_get_string(file, GROUP, "url", NULL);
    config->user = g_key_file_get_string(file, GROUP, "user", NULL);
    config->token = g_key_file_get_string(file, GROUP, "token", NULL);
    config->ca = g_key_file_get_string(file, GROUP, "ca", NULL);
    return true;
}

bool vr_cli_config_save(const struct vr_cli_config *config, struct vr_error **error)
{
    g_autofree char *path = vr_cli_config_path();
    g_autofree char *folder = g_path_get_dirname(path);
    g_autoptr(GKeyFile) file = g_key_file_new();
    const struct {
        const char *key, *value;
    } rows[] = { { "url", config->url }, { "user", config->user }, { "token", config->token },
                 { "ca", config->ca } };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++)
        if (rows[i].value)
            g_key_file_set_string(file, GROUP, rows[i].key, rows[i].value);
    gsize size = 0;
    g_autofree char *text = g_key_file_to_data(file, &size, NULL);
    g_autoptr(GError) failure = NULL;
    if (g_mkdir_with_parents(folder, 0700) < 0) {
        vr_error_set(error, &vr_cli_failed, "Cannot make %s: %s.", folder, g_strerror(errno));
        return false;
    }
    if (!g_file_set_contents_full(path, text, (gssize)size,
                                  G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE,
                                  0600, &failure)) {
        vr_error_set(error, &vr_cli_failed, "%s.", failure->message);
        return false;
    }
    /* An older file keeps its mode otherwise. */
    if (chmod(path, 0600) < 0) {
        vr_error_set(error, &vr_cli_failed, "Cannot protect %s: %s.", path, g_strerror(errno));
        return false;
    }
    return true;
}
