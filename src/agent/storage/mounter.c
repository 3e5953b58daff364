/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/storage/driver.h"

#include <libmount.h>
#include <stdlib.h>

#include "agent/storage/fault.h"

static bool real_mounted(const char *target)
{
    struct libmnt_table *table = mnt_new_table_from_file("/proc/self/mountinfo");
    /* The table lists canonical paths; @target's own directory is never a link of the storage. */
    g_autofree char *path = realpath(target, NULL);
    bool found = table && path && mnt_table_find_target(table, path, MNT_ITER_BACKWARD);
    mnt_unref_table(table);
    return found;
}

static bool real_mount(const char *source, const char *target, const char *fstype,
                       const char *options, struct vr_error **error)
{
    struct libmnt_context *context = mnt_new_context();
    mnt_context_set_source(context, source);
    mnt_context_set_target(context, target);
    if (strcmp(fstype, "none") != 0)
        mnt_context_set_fstype(context, fstype);
    mnt_context_set_options(context, options);
    /* No entry in /etc/mtab, no look into /etc/fstab. */
    mnt_context_disable_mtab(context, TRUE);
    mnt_context_set_optsmode(context, MNT_OMODE_NOTAB);
    int rc = mnt_context_mount(context);
    char text[512] = "";
    int code = mnt_context_get_excode(context, rc, text, sizeof(text));
    mnt_free_context(context);
    if (code == 0)
        return true;
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    vr_storage_error(error, mount, "%s: %s", source, valid);
    return false;
}

static bool real_unmount(const char *target, struct vr_error **error)
{
    struct libmnt_context *context = mnt_new_context();
    mnt_context_set_target(context, target);
    mnt_context_enable_force(context, TRUE);
    mnt_context_enable_lazy(context, TRUE);
    mnt_context_disable_mtab(context, TRUE);
    int rc = mnt_context_umount(context);
    char text[512] = "";
    int code = mnt_context_get_excode(context, rc, text, sizeof(text));
    mnt_free_context(context);
    if (code == 0)
        return true;
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    vr_storage_error(error, connection, "%s: %s", target, valid);
    return false;
}

const struct vr_mounter vr_mounter_real = { real_mount, real_unmount, real_mounted };
