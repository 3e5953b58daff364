/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/storage/driver.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/storage/fault.h"
#include "agent/storage/format.h"

void vr_mount_plan_clear(struct vr_mount_plan *plan)
{
    g_clear_pointer(&plan->source, g_free);
    g_clear_pointer(&plan->fstype, g_free);
    g_clear_pointer(&plan->options, g_free);
    g_clear_pointer(&plan->name, g_free);
}

static bool refuse(struct vr_error **error, const char *why)
{
    vr_storage_error(error, connection_invalid, "%s", why);
    return false;
}

static bool plain_text(const char *text)
{
    for (const char *c = text; c && *c; c++)
        if (g_ascii_iscntrl(*c))
            return false;
    return true;
}

/* Rules that hold for every connection string: it becomes one path component below mnt. */
static bool check(const struct vr_connection *c, struct vr_error **error)
{
    if (!c->connection || !*c->connection || strlen(c->connection) > 1024)
        return refuse(error, "The connection is empty or too long.");
    if (!plain_text(c->connection) || !plain_text(c->mnt_options) || !plain_text(c->vfs_type))
        return refuse(error, "The connection has control characters.");
    g_autofree char *name = vr_format_path_transform(c->connection);
    if (strlen(name) > 255 || g_str_equal(name, ".") || g_str_equal(name, "..") ||
        g_str_equal(name, "glusterSD") || g_str_equal(name, "blockSD"))
        return refuse(error, "The connection cannot be named below mnt.");
    return true;
}

/* The next option of a comma list is @word or begins with "@word=". */
static bool has_option(const char *options, const char *word)
{
    g_auto(GStrv) items = g_strsplit(options ? options : "", ",", 256);
    for (unsigned i = 0; items[i]; i++) {
        g_strstrip(items[i]);
        size_t length = strlen(word);
        if (strncmp(items[i], word, length) == 0 &&
            (items[i][length] == '\0' || items[i][length] == '='))
            return true;
    }
    return false;
}

static bool nfs_version(const char *version, GString *options, bool *locks, struct vr_error **error)
{
    *locks = false;
    if (!version || !*version)
        version = "3";
    if (g_str_equal(version, "auto")) {
        *locks = true;
        return true;
    }
    if (g_str_equal(version, "3")) {
        *locks = true;
        g_string_append(options, ",nfsvers=3");
        return true;
    }
    if (g_str_equal(version, "4")) {
        g_string_append(options, ",nfsvers=4");
        return true;
    }
    if (version[0] == '4' && version[1] == '.' && version[2] >= '0' && version[2] <= '2' &&
        !version[3]) {
        g_string_append_printf(options, ",nfsvers=4,minorversion=%c", version[2]);
        return true;
    }
    return refuse(error, "The NFS version is not known.");
}

/* facts/storage-format.md 18.  timeo must not be below sanlock's I/O timeout of 10 s. */
static bool nfs_plan(const struct vr_connection *c, struct vr_mount_plan *plan,
                     struct vr_error **error)
{
    if (!check(c, error))
        return false;
    const char *colon = strstr(c->connection, ":/");
    if (!colon || colon == c->connection)
        return refuse(error, "An NFS connection is written server:/export.");
    if (c->timeout < 0 || c->timeout > 6000 || c->retrans < 0 || c->retrans > 100)
        return refuse(error, "timeout or retrans is out of range.");
    g_autoptr(GString) options = g_string_new(NULL);
    g_string_append_printf(options, "soft,nosharecache,timeo=%d,retrans=%d",
                           c->timeout ? c->timeout : 100, c->retrans ? c->retrans : 3);
    bool locks;
    if (!nfs_version(c->protocol_version, options, &locks, error))
        return false;
    if (c->mnt_options && *c->mnt_options)
        g_string_append_printf(options, ",%s", c->mnt_options);
    if (locks && !has_option(c->mnt_options, "lock") && !has_option(c->mnt_options, "nolock"))
        g_string_append(options, ",nolock");
    plan->source = g_strdup(c->connection);
    plan->fstype = g_strdup("nfs");
    plan->options = g_string_free(g_steal_pointer(&options), FALSE);
    plan->name = vr_format_path_transform(c->connection);
    return true;
}

static bool posixfs_plan(const struct vr_connection *c, struct vr_mount_plan *plan,
                         struct vr_error **error)
{
    if (!check(c, error))
        return false;
    if (!c->vfs_type || !*c->vfs_type)
        return refuse(error, "A POSIX connection needs vfs_type.");
    bool none = g_str_equal(c->vfs_type, "none");
    if (none && !g_path_is_absolute(c->connection))
        return refuse(error, "A bind mount needs an absolute directory.");
    plan->source = g_strdup(c->connection);
    plan->fstype = g_strdup(c->vfs_type);
    plan->options = g_strdup(c->mnt_options ? c->mnt_options : "");
    /* Without a file system type of its own, a directory can only be bound. */
    if (none && !has_option(plan->options, "bind") && !has_option(plan->options, "rbind")) {
        char *old = plan->options;
        plan->options = g_strconcat("bind", *old ? "," : "", old, NULL);
        g_free(old);
    }
    plan->name = vr_format_path_transform(c->connection);
    return true;
}

static bool localfs_plan(const struct vr_connection *c, struct vr_mount_plan *plan,
                         struct vr_error **error)
{
    if (!check(c, error))
        return false;
    if (!g_path_is_absolute(c->connection))
        return refuse(error, "A local connection is an absolute directory.");
    plan->source = g_strdup(c->connection);
    plan->name = vr_format_path_transform(c->connection);
    return true;
}

static bool mount_attach(const struct vr_mount_plan *plan, const char *target,
                         const struct vr_mounter *mounter, struct vr_error **error)
{
    if (mounter->mounted(target))
        return true;
    if (g_mkdir_with_parents(target, 0755) < 0) {
        vr_storage_error(error, mount, "%s: %s", target, g_strerror(errno));
        return false;
    }
    if (mounter->mount(plan->source, target, plan->fstype, plan->options, error))
        return true;
    (void)rmdir(target);
    return false;
}

static bool mount_detach(const char *target, const struct vr_mounter *mounter,
                         struct vr_error **error)
{
    if (mounter->mounted(target) && !mounter->unmount(target, error))
        return false;
    (void)rmdir(target);
    return true;
}

static bool localfs_attach(const struct vr_mount_plan *plan, const char *target,
                           const struct vr_mounter *mounter VR_UNUSED, struct vr_error **error)
{
    struct stat st;
    if (stat(plan->source, &st) < 0 || !S_ISDIR(st.st_mode)) {
        vr_storage_error(error, connection, "%s is not a directory.", plan->source);
        return false;
    }
    g_autofree char *now = g_file_read_link(target, NULL);
    if (now && g_str_equal(now, plan->source))
        return true;
    g_autofree char *parent = g_path_get_dirname(target);
    g_autofree char *new_link = g_strconcat(target, ".new", NULL);
    (void)unlink(new_link);
    if (g_mkdir_with_parents(parent, 0755) < 0 || symlink(plan->source, new_link) < 0 ||
        rename(new_link, target) < 0) {
        vr_storage_error(error, connection, "%s: %s", target, g_strerror(errno));
        return false;
    }
    return true;
}

static bool localfs_detach(const char *target, const struct vr_mounter *mounter VR_UNUSED,
                           struct vr_error **error)
{
    if (unlink(target) == 0 || errno == ENOENT)
        return true;
    vr_storage_error(error, connection, "%s: %s", target, g_strerror(errno));
    return false;
}

static const struct vr_storage_driver nfs = {
    .name = "nfs",
    .type = 1,
    .type_word = "NFS",
    .shared = true,
    .plan = nfs_plan,
    .attach = mount_attach,
    .detach = mount_detach,
};

static const struct vr_storage_driver localfs = {
    .name = "localfs",
    .type = 4,
    .type_word = "LOCALFS",
    .any_block_size = true,
    .plan = localfs_plan,
    .attach = localfs_attach,
    .detach = localfs_detach,
};

static const struct vr_storage_driver posixfs = {
    .name = "posixfs",
    .type = 6,
    .type_word = "POSIXFS",
    .shared = true,
    .plan = posixfs_plan,
    .attach = mount_attach,
    .detach = mount_detach,
};

const struct vr_storage_driver *const vr_storage_drivers[] = { &nfs, &localfs, &posixfs, NULL };

const struct vr_storage_driver *vr_storage_driver_by_type(int type)
{
    for (unsigned i = 0; vr_storage_drivers[i]; i++)
        if (vr_storage_drivers[i]->type == type)
            return vr_storage_drivers[i];
    return NULL;
}

const struct vr_storage_driver *vr_storage_driver_by_word(const char *type_word)
{
    for (unsigned i = 0; vr_storage_drivers[i]; i++)
        if (type_word && strcmp(vr_storage_drivers[i]->type_word, type_word) == 0)
            return vr_storage_drivers[i];
    return NULL;
}

const struct vr_storage_driver *vr_storage_driver_by_name(const char *name)
{
    for (unsigned i = 0; vr_storage_drivers[i]; i++)
        if (name && strcmp(vr_storage_drivers[i]->name, name) == 0)
            return vr_storage_drivers[i];
    return NULL;
}
