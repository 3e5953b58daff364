/* SPDX-License-Identifier: Apache-2.0 */
/* The screen of a machine: the Manager's file for remote-viewer, which holds a one-time password. */
#include <errno.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/output.h"

#define VIEWER "remote-viewer"

static char *viewer_file(struct vr_client *client, const struct vr_cli *cli,
                         struct vr_error **error)
{
    const char *wanted = vr_cli_value(cli, VR_CLI_TYPE);
    vr_auto_json json_object *vm = vr_client_find(client, "vms", vr_cli_arg(cli, 0), error);
    if (!vm)
        return NULL;
    g_autofree char *consoles =
        g_strdup_printf("vms/%s/graphicsconsoles", vr_cli_text(vm, "id"));
    vr_auto_json json_object *items = vr_client_list(client, consoles, "current=true", error);
    const char *id = NULL;
    for (size_t i = 0; items && i < json_object_array_length(items) && !id; i++) {
        json_object *item = json_object_array_get_idx(items, i);
        if (!wanted || g_strcmp0(vr_cli_text(item, "protocol"), wanted) == 0)
            id = vr_cli_text(item, "id");
    }
    if (!items)
        return NULL;
    if (!id) {
        vr_error_set(error, &vr_cli_conflict, "The machine shows no %s screen now; start it first.",
                     wanted ? wanted : "graphical");
        return NULL;
    }
    g_autofree char *escaped = g_uri_escape_string(id, NULL, FALSE);
    g_autofree char *path = g_strdup_printf("/%s/%s/remoteviewerconnectionfile", consoles, escaped);
    vr_auto_json json_object *empty = json_object_new_object(), *answer = NULL;
    if (!vr_client_call(client, "POST", path, empty, &answer, error))
        return NULL;
    const char *text = vr_cli_text(answer, "remote_viewer_connection_file");
    if (!text)
        vr_error_set(error, &vr_cli_failed, "The Manager's answer has no viewer file.");
    return g_strdup(text);
}

static bool write_all(int fd, const char *text)
{
    for (size_t left = strlen(text); left;) {
        ssize_t wrote = write(fd, text, left);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return false;
        text += wrote;
        left -= (size_t)wrote;
    }
    return true;
}

/* A file of the user alone, whatever was there before; whole or not at all. */
static bool save(const char *path, const char *text, struct vr_error **error)
{
    g_autofree char *part = g_strdup_printf("%s.XXXXXX", path);
    int fd = g_mkstemp(part); /* mode 0600 */
    bool written = fd >= 0 && write_all(fd, text);
    int why = errno;
    if (fd >= 0 && close(fd) < 0 && written) {
        written = false;
        why = errno;
    }
    if (written && g_rename(part, path) < 0) {
        written = false;
        why = errno;
    }
    if (written)
        return true;
    if (fd >= 0)
        unlink(part);
    vr_error_set(error, &vr_cli_failed, "Cannot write %s: %s.", path, g_strerror(why));
    return false;
}

/* Replaces this program; returns only when it could not.  The viewer removes the file. */
static bool start_viewer(const char *viewer, const char *text, struct vr_error **error)
{
    g_autofree char *path = NULL;
    g_autoptr(GError) failure = NULL;
    int fd = g_file_open_tmp("vireo-XXXXXX.vv", &path, &failure); /* mode 0600 */
    bool written = fd >= 0 && write_all(fd, text);
    if (fd >= 0)
        close(fd);
    if (written) {
        fflush(stdout);
        execl(viewer, VIEWER, "--", path, (char *)NULL);
    }
    vr_error_set(error, &vr_cli_failed, "Cannot start " VIEWER ": %s.",
                 failure ? failure->message : g_strerror(errno));
    if (path)
        unlink(path);
    return false;
}

/* Said before a password is asked for that nobody would use. */
static bool check_viewer(const char *viewer, struct vr_error **error)
{
    if (!viewer)
        vr_error_set(error, &vr_cli_failed,
                     VIEWER " is not installed (package virt-viewer). Install it, or take its file "
                     "with --print or --file.");
    else if (!g_getenv("DISPLAY") && !g_getenv("WAYLAND_DISPLAY"))
        vr_error_set(error, &vr_cli_failed,
                     "There is no graphical display here for " VIEWER ". Take its file with --print "
                     "or --file, and open it where there is one.");
    return !*error;
}

bool vr_cli_vm_console(struct vr_cli *cli, struct vr_error **error)
{
    const char *file = vr_cli_value(cli, VR_CLI_FILE);
    bool print = vr_cli_value(cli, VR_CLI_PRINT);
    if (file && print) {
        vr_error_set(error, &vr_cli_usage, "--print and --file exclude each other.");
        return false;
    }
    if (g_strcmp0(file, "-") == 0) { /* as everywhere: standard output */
        file = NULL;
        print = true;
    }
    /* In a pipe the file is what the next program wants. */
    bool start = !file && !print && isatty(STDOUT_FILENO);
    g_autofree char *viewer = start ? g_find_program_in_path(VIEWER) : NULL;
    if (start && !check_viewer(viewer, error))
        return false;
    struct vr_client *client = vr_client_open(cli, error);
    char *text = client ? viewer_file(client, cli, error) : NULL;
    /* Here, because the viewer takes this program's place. */
    vr_client_close(client);
    bool done = text && (start  ? start_viewer(viewer, text, error)
                         : file ? save(file, text, error)
                                : fputs(text, stdout) >= 0);
    vr_client_wipe(text);
    return done;
}
