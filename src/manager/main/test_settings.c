/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/main/settings.h"

#include <glib/gstdio.h>

/* manager.conf: what is read, what stands in for what is absent, and what is refused. */

#define HTTPS "[https]\ncertificate=%1$s/x.pem\nkey=%1$s/x.pem\nca=%1$s/x.pem\n"
#define DATABASE "[database]\ndir=/db\n"

struct folder {
    char *path;
};

static void set_up(struct folder *folder, const void *arg)
{
    folder->path = g_dir_make_tmp("settings-XXXXXX", NULL);
    g_autofree char *pem = g_build_filename(folder->path, "x.pem", NULL);
    g_assert_true(g_file_set_contents(pem, "-----BEGIN-----\n", -1, NULL));
}

static void tear_down(struct folder *folder, const void *arg)
{
    static const char *const names[] = { "x.pem", "manager.conf", "run/manager.port", "run" };
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = g_build_filename(folder->path, names[i], NULL);
        (void)g_remove(path);
    }
    g_assert_cmpint(g_rmdir(folder->path), ==, 0);
    g_free(folder->path);
}

/* @text with %1$s for the folder. */
static struct vr_settings *read_text(struct folder *folder, const char *text,
                                     struct vr_error **error)
{
    g_autofree char *path = g_build_filename(folder->path, "manager.conf", NULL);
    g_auto(GStrv) parts = g_strsplit(text, "%1$s", -1);
    g_autofree char *whole = g_strjoinv(folder->path, parts);
    g_assert_true(g_file_set_contents(path, whole, -1, NULL));
    return vr_settings_read(path, error);
}

static void defaults(struct folder *folder, const void *arg)
{
    vr_auto_error struct vr_error *error = NULL;
    struct vr_settings *settings = read_text(folder, DATABASE HTTPS, &error);
    g_assert_null(error);
    g_autofree char *port_file = g_build_filename(folder->path, "run", "manager.port", NULL);
    g_assert_cmpuint(settings->https_port, ==, 8443);
    g_assert_cmpstr(settings->port_file, ==, port_file);
    g_assert_cmpstr(settings->packages_dir, ==, "/usr/share/vireo/packages");
    g_assert_true(vr_settings_write_port(settings, 4711, &error));
    g_autofree char *text = NULL;
    g_assert_true(g_file_get_contents(port_file, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, "4711\n");
    vr_settings_free(settings);
}

static void moved(struct folder *folder, const void *arg)
{
    vr_auto_error struct vr_error *error = NULL;
    struct vr_settings *settings =
        read_text(folder, DATABASE HTTPS "port-file=/run/x/port\n[packages]\ndir=/srv/debs\n",
                  &error);
    g_assert_null(error);
    g_assert_cmpstr(settings->port_file, ==, "/run/x/port");
    g_assert_cmpstr(settings->packages_dir, ==, "/srv/debs");
    vr_settings_free(settings);
}

static void refused(struct folder *folder, const void *arg)
{
    static const struct {
        const char *text, *names;
    } rows[] = {
        { HTTPS, "[database] url" },
        { DATABASE HTTPS "port=70000\n", "[https] port" },
        { DATABASE "[https]\ncertificate=%1$s/none\n", "[https] certificate" },
        { DATABASE HTTPS "[hosts]\nca=/x\n", "[hosts] ca" },
        { DATABASE HTTPS "[log]\nlevel=loud\n", "[log] level" },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        vr_auto_error struct vr_error *error = NULL;
        g_assert_null(read_text(folder, rows[i].text, &error));
        g_autofree char *text = vr_error_text(error);
        g_assert_nonnull(strstr(text, rows[i].names));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/settings/defaults", struct folder, NULL, set_up, defaults, tear_down);
    g_test_add("/settings/moved", struct folder, NULL, set_up, moved, tear_down);
    g_test_add("/settings/refused", struct folder, NULL, set_up, refused, tear_down);
    return g_test_run();
}
