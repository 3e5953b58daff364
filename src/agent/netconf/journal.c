/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "netconf"
#include "agent/netconf/private.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <unistd.h>

/* STATE/networks.change/{before,after}/<name>; written aside and renamed, so it is there whole or
 * not at all. */
static const char *const sides[] = { "before", "after" };

void vr_net_change_free(gpointer data)
{
    struct vr_net_change *change = data;
    vr_network_free(change->before);
    vr_network_free(change->after);
    g_free(change);
}

static void remove_tree(const char *root)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(sides); i++) {
        g_autofree char *folder = g_build_filename(root, sides[i], NULL);
        g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
        const char *name;
        while (dir && (name = g_dir_read_name(dir))) {
            g_autofree char *path = g_build_filename(folder, name, NULL);
            g_unlink(path);
        }
        g_rmdir(folder);
    }
    g_rmdir(root);
}

static void sync_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
}

static bool write_side(const char *root, unsigned side, GPtrArray *changes, struct vr_error **error)
{
    g_autofree char *folder = g_build_filename(root, sides[side], NULL);
    if (g_mkdir_with_parents(folder, 0700) < 0) {
        vr_error_set(error, &vr_fault_system, "%s: %s", folder, g_strerror(errno));
        return false;
    }
    for (unsigned i = 0; i < changes->len; i++) {
        const struct vr_net_change *change = changes->pdata[i];
        const struct vr_network *network = side == 0 ? change->before : change->after;
        if (network && !vr_network_write(folder, network, false, error))
            return false;
    }
    return true;
}

bool vr_net_journal_write(const char *state, GPtrArray *changes, struct vr_error **error)
{
    g_autofree char *fresh = g_build_filename(state, "networks.change.new", NULL);
    g_autofree char *root = g_build_filename(state, "networks.change", NULL);
    remove_tree(fresh);
    remove_tree(root);
    if (!write_side(fresh, 0, changes, error) || !write_side(fresh, 1, changes, error)) {
        remove_tree(fresh);
        return false;
    }
    if (g_rename(fresh, root) < 0) {
        vr_error_set(error, &vr_fault_system, "%s: %s", root, g_strerror(errno));
        return false;
    }
    sync_folder(state);
    return true;
}

static struct vr_net_change *change_of(GPtrArray *changes, const char *name)
{
    for (unsigned i = 0; i < changes->len; i++) {
        struct vr_net_change *change = changes->pdata[i];
        if ((change->before && !strcmp(change->before->name, name)) ||
            (change->after && !strcmp(change->after->name, name)))
            return change;
    }
    struct vr_net_change *change = g_new0(struct vr_net_change, 1);
    g_ptr_array_add(changes, change);
    return change;
}

GPtrArray *vr_net_journal_read(const char *state)
{
    g_autofree char *root = g_build_filename(state, "networks.change", NULL);
    if (!g_file_test(root, G_FILE_TEST_IS_DIR))
        return NULL;
    GPtrArray *changes = g_ptr_array_new_with_free_func(vr_net_change_free);
    for (unsigned side = 0; side < G_N_ELEMENTS(sides); side++) {
        g_autofree char *folder = g_build_filename(root, sides[side], NULL);
        g_autoptr(GPtrArray) networks = vr_networks_read(folder);
        while (networks->len) {
            struct vr_network *network = g_ptr_array_steal_index_fast(networks, 0);
            struct vr_net_change *change = change_of(changes, network->name);
            if (side == 0)
                change->before = network;
            else
                change->after = network;
        }
    }
    return changes;
}

void vr_net_journal_clear(const char *state)
{
    g_autofree char *old = g_build_filename(state, "networks.change.old", NULL);
    g_autofree char *root = g_build_filename(state, "networks.change", NULL);
    remove_tree(old);
    /* Gone at once: half a journal would undo half a change. */
    if (g_rename(root, old) == 0)
        sync_folder(state);
    remove_tree(old);
}
