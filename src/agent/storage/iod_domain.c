/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "iod"
#include "agent/storage/iod.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/statvfs.h>

#define ENTRIES_MAX 100000
#define CHECK_SIZE 4096 /* of the monitoring read (facts 17) */

void iod_domain_close(struct iod_domain *domain)
{
    if (domain->dir >= 0)
        close(domain->dir);
    if (domain->images >= 0)
        close(domain->images);
    vr_keys_free(domain->keys);
    g_free(domain->root);
    g_free(domain->sd);
}

static struct vr_keys *read_metadata(int dir, struct vr_error **error)
{
    vr_auto_fd int dom_md = vr_fs_open(dir, "dom_md", O_RDONLY | O_DIRECTORY, 0);
    if (dom_md < 0) {
        if (dom_md == -ENOENT)
            vr_storage_error(error, domain_missing, "It has no dom_md.");
        else
            vr_fs_error(error, -dom_md, "dom_md");
        return NULL;
    }
    size_t length;
    g_autofree char *text = vr_fs_read(dom_md, "metadata", VR_DOMAIN_META_MAX, &length, error);
    if (!text) {
        if (!*error)
            vr_storage_error(error, domain_missing, "It has no metadata.");
        return NULL;
    }
    struct vr_keys *keys = vr_domain_meta_parse(text, length, error);
    if (keys && !vr_domain_meta_check(keys, error)) {
        vr_keys_free(keys);
        return NULL;
    }
    return keys;
}

bool iod_domain_open(struct iod_request *request, struct iod_domain *domain,
                     struct vr_error **error)
{
    const char *root = iod_string(request, "root", error);
    const char *sd = root ? iod_uuid(request, "sd", error) : NULL;
    if (!sd)
        return false;
    vr_auto_fd int root_dir = vr_fs_open_root(root, error);
    if (root_dir < 0)
        return false;
    domain->root = g_strdup(root);
    domain->sd = g_strdup(sd);
    domain->dir = vr_fs_open(root_dir, sd, O_RDONLY | O_DIRECTORY, 0);
    if (domain->dir == -ENOENT)
        vr_storage_error(error, domain_missing, "%s", sd);
    else if (domain->dir < 0)
        vr_fs_error(error, -domain->dir, "%s", sd);
    if (domain->dir < 0) {
        domain->dir = -1;
        return false;
    }
    domain->keys = read_metadata(domain->dir, error);
    if (!domain->keys)
        return false;
    if (g_ascii_strcasecmp(vr_keys_get(domain->keys, "SDUUID"), sd) != 0) {
        vr_storage_error(error, meta_value, "The metadata of %s is of another domain.", sd);
        return false;
    }
    domain->version = (int)vr_keys_get_integer(domain->keys, "VERSION", -1);
    domain->images = vr_fs_open_dir(domain->dir, "images", error);
    return domain->images >= 0;
}

static bool write_metadata(int dir, const struct vr_keys *keys, struct vr_error **error)
{
    g_autofree char *text = vr_domain_meta_format(keys, error);
    vr_auto_fd int dom_md = text ? vr_fs_open_dir(dir, "dom_md", error) : -1;
    return dom_md >= 0 && vr_fs_write(dom_md, "metadata", text, strlen(text), error);
}

/* What create and format leave behind when they are cut short begins with these. */
#define CREATING ".creating-"
#define REMOVING ".removing-"

static bool sweep_root(int root, struct vr_error **error)
{
    g_autoptr(GPtrArray) names = vr_fs_list(root, ENTRIES_MAX, error);
    for (unsigned i = 0; names && i < names->len; i++) {
        const char *name = names->pdata[i];
        bool ours =
            (g_str_has_prefix(name, CREATING) && vr_format_uuid_valid(name + strlen(CREATING))) ||
            (g_str_has_prefix(name, REMOVING) && vr_format_uuid_valid(name + strlen(REMOVING)));
        if (ours && !vr_fs_remove_tree(root, name, error))
            return false;
    }
    return names != NULL;
}

/* The first domain below a mount (facts 2: there is one at most), or NULL. */
static char *find_domain(int root, struct vr_error **error)
{
    g_autoptr(GPtrArray) names = vr_fs_list(root, ENTRIES_MAX, error);
    for (unsigned i = 0; names && i < names->len; i++) {
        const char *name = names->pdata[i];
        if (!vr_format_uuid_valid(name))
            continue;
        vr_auto_fd int dir = vr_fs_open(root, name, O_RDONLY | O_DIRECTORY, 0);
        if (dir >= 0 && vr_fs_exists(dir, "dom_md"))
            return g_strdup(name);
    }
    return NULL;
}

json_object *iod_op_probe(struct iod_request *request, struct vr_error **error)
{
    const char *path = iod_string(request, "root", error);
    vr_auto_fd int root = path ? vr_fs_open_root(path, error) : -1;
    if (root < 0)
        return NULL;
    g_autofree char *sd = find_domain(root, error);
    if (*error)
        return NULL;
    json_object *list = json_object_new_array();
    if (sd)
        json_object_array_add(list, json_object_new_string(sd));
    return list;
}

/* Whether the file system takes direct writes of 512 bytes; otherwise its sector is 4096. */
static int detect_block_size(int dir)
{
    static const char name[] = ".block-size";
    void *buffer = NULL;
    g_assert(posix_memalign(&buffer, CHECK_SIZE, CHECK_SIZE) == 0);
    memset(buffer, 0, CHECK_SIZE);
    int fd = vr_fs_open(dir, name, O_WRONLY | O_CREAT | O_DIRECT, 0660);
    /* A file system without direct I/O has no sector to respect. */
    bool small = fd < 0 || pwrite(fd, buffer, 512, 0) == 512;
    if (fd >= 0)
        close(fd);
    unlinkat(dir, name, 0);
    free(buffer);
    return small ? 512 : 4096;
}

/* facts 1: the slot that holds max_hosts leases of that sector. */
static int64_t alignment_for(int block_size, int64_t max_hosts)
{
    if (block_size == 512)
        return (int64_t)MiB(1);
    return (int64_t)(max_hosts <= 250    ? MiB(1)
                     : max_hosts <= 500  ? MiB(2)
                     : max_hosts <= 1000 ? MiB(4)
                                         : MiB(8));
}

struct creation {
    const struct vr_storage_driver *driver;
    const char *sd, *name, *class, *remote_path;
    int64_t version, block_size, max_hosts;
};

static bool read_creation(struct iod_request *request, struct creation *c, struct vr_error **error)
{
    c->driver = vr_storage_driver_by_name(iod_string_or(request, "driver", ""));
    c->sd = iod_uuid(request, "sd", error);
    c->name = c->sd ? iod_string(request, "name", error) : NULL;
    c->class = c->name ? iod_string(request, "class", error) : NULL;
    c->remote_path = iod_string_or(request, "remote_path", "");
    c->version = iod_integer(request, "version", 5);
    c->block_size = iod_integer(request, "block_size", 512);
    c->max_hosts = iod_integer(request, "max_hosts", 250);
    if (!c->class)
        return false;
    bool data = strcmp(c->class, "Data") == 0;
    if (!c->driver || (!data && strcmp(c->class, "Iso") != 0 && strcmp(c->class, "Backup") != 0))
        vr_storage_error(error, invalid_parameter, "The domain's type or class is not known.");
    else if (!vr_domain_description_valid(c->name))
        vr_storage_error(error, invalid_parameter, "The domain's name is too long or no text.");
    else if (data ? c->version != 5 : c->version != 0 && c->version != 5)
        vr_storage_error(error, domain_version, "New domains have version 5.");
    else if (c->max_hosts < 1 || c->max_hosts > 2000)
        vr_storage_error(error, invalid_parameter, "maxHosts is out of range.");
    else if (c->block_size != 512 &&
             !(c->driver->any_block_size && (c->block_size == 0 || c->block_size == 4096)))
        vr_storage_error(error, domain_block_size, "%" G_GINT64_FORMAT, c->block_size);
    return !*error;
}

static struct vr_keys *first_metadata(const struct creation *c, int block_size)
{
    struct vr_keys *keys = vr_keys_new();
    vr_keys_set(keys, "CLASS", c->class);
    vr_keys_set(keys, "DESCRIPTION", c->name);
    vr_keys_set(keys, "IOOPTIMEOUTSEC", "10");
    vr_keys_set(keys, "LEASERETRIES", "3");
    vr_keys_set(keys, "LEASETIMESEC", "60");
    vr_keys_set(keys, "LOCKPOLICY", "");
    vr_keys_set(keys, "LOCKRENEWALINTERVALSEC", "5");
    vr_keys_set(keys, "POOL_UUID", "");
    vr_keys_set(keys, "REMOTE_PATH", c->remote_path);
    vr_keys_set(keys, "ROLE", "Regular");
    vr_keys_set(keys, "SDUUID", c->sd);
    vr_keys_set(keys, "TYPE", c->driver->type_word);
    vr_keys_set_integer(keys, "VERSION", c->version);
    if (c->version >= 5) {
        vr_keys_set_integer(keys, "BLOCK_SIZE", block_size);
        vr_keys_set_integer(keys, "ALIGNMENT", alignment_for(block_size, c->max_hosts));
    }
    return keys;
}

/* The whole tree, in a directory that no reader looks at. */
static bool build(int dir, const struct creation *c, const struct vr_keys *keys,
                  struct vr_error **error)
{
    if (!vr_fs_mkdir(dir, "dom_md", 0775, error) || !vr_fs_mkdir(dir, "images", 0755, error))
        return false;
    vr_auto_fd int dom_md = vr_fs_open_dir(dir, "dom_md", error);
    if (dom_md < 0 || !vr_fs_make(dom_md, "ids", 0, error) ||
        !vr_fs_make(dom_md, "leases", 0, error) || !vr_fs_make(dom_md, "inbox", MiB(16), error) ||
        !vr_fs_make(dom_md, "outbox", MiB(16), error))
        return false;
    if (c->version >= 4 && !vr_fs_make(dom_md, "xleases", 0, error))
        return false;
    if (strcmp(c->class, "Iso") == 0) {
        vr_auto_fd int images = vr_fs_open_dir(dir, "images", error);
        if (images < 0 || !vr_fs_mkdir(images, "11111111-1111-1111-1111-111111111111", 0755, error))
            return false;
    }
    return write_metadata(dir, keys, error);
}

json_object *iod_op_domain_create(struct iod_request *request, struct vr_error **error)
{
    struct creation c;
    const char *path = iod_string(request, "root", error);
    if (!path || !read_creation(request, &c, error))
        return NULL;
    iod_auto_guard struct iod_guard guard = iod_lock("dom", path);
    vr_auto_fd int root = vr_fs_open_root(path, error);
    if (root < 0 || !sweep_root(root, error))
        return NULL;
    g_autofree char *there = find_domain(root, error);
    if (there && strcmp(there, c.sd) == 0) {
        /* Asked again after a crash, the answer is that it is done. */
        if (iod_bool(request, "again"))
            return iod_true();
        vr_storage_error(error, domain_exists, "%s", c.sd);
    } else if (there) {
        vr_storage_error(error, domain_not_empty, "It holds domain %s.", there);
    }
    g_autofree char *name = g_strconcat(CREATING, c.sd, NULL);
    if (*error || !vr_fs_mkdir(root, name, 0775, error))
        return NULL;
    vr_auto_fd int dir = vr_fs_open_dir(root, name, error);
    if (dir < 0)
        return NULL;
    int detected = detect_block_size(dir);
    int block_size = c.block_size ? (int)c.block_size : detected;
    if (block_size < detected) {
        vr_storage_error(error, domain_block_size, "The storage needs %d.", detected);
        return NULL;
    }
    vr_auto_keys struct vr_keys *keys = first_metadata(&c, block_size);
    if (!build(dir, &c, keys, error) || !vr_fs_rename(root, name, root, c.sd, error))
        return NULL;
    return iod_true();
}

json_object *iod_op_domain_info(struct iod_request *request, struct vr_error **error)
{
    iod_auto_domain struct iod_domain domain = IOD_DOMAIN_NONE;
    if (!iod_domain_open(request, &domain, error))
        return NULL;
    static const char *const keys[] = {
        "CLASS",          "DESCRIPTION", "POOL_UUID",     "REMOTE_PATH",  "ROLE",
        "SDUUID",         "TYPE",        "VERSION",       "BLOCK_SIZE",   "ALIGNMENT",
        "MASTER_VERSION", "POOL_SPM_ID", "POOL_SPM_LVER", "POOL_DOMAINS", "POOL_DESCRIPTION",
    };
    json_object *result = json_object_new_object();
    for (unsigned i = 0; i < G_N_ELEMENTS(keys); i++)
        iod_put(result, keys[i], vr_keys_get(domain.keys, keys[i]));
    return result;
}

json_object *iod_op_domain_stats(struct iod_request *request, struct vr_error **error)
{
    iod_auto_domain struct iod_domain domain = IOD_DOMAIN_NONE;
    struct statvfs st;
    if (!iod_domain_open(request, &domain, error))
        return NULL;
    if (fstatvfs(domain.dir, &st) < 0) {
        vr_fs_error(error, errno, "statvfs");
        return NULL;
    }
    json_object *result = json_object_new_object();
    iod_put_number(result, "disktotal", (uint64_t)st.f_blocks * st.f_frsize);
    iod_put_number(result, "diskfree", (uint64_t)st.f_bavail * st.f_frsize);
    return result;
}

json_object *iod_op_domain_set(struct iod_request *request, struct vr_error **error)
{
    const char *path = iod_string(request, "root", error);
    if (!path)
        return NULL;
    iod_auto_guard struct iod_guard guard = iod_lock("dom", path);
    iod_auto_domain struct iod_domain domain = IOD_DOMAIN_NONE;
    if (!iod_domain_open(request, &domain, error))
        return NULL;
    json_object *expect = NULL, *set = NULL;
    json_object_object_get_ex(request->args, "expect", &expect);
    json_object_object_get_ex(request->args, "set", &set);
    if (expect && json_object_is_type(expect, json_type_object)) {
        json_object_object_foreach(expect, key, value)
        {
            const char *now = vr_keys_get(domain.keys, key);
            if (g_strcmp0(now ? now : "", json_object_get_string(value)) != 0) {
                vr_storage_error(error, domain_illegal, "%s is %.64s.", key, now ? now : "not set");
                return NULL;
            }
        }
    }
    bool changed = false;
    if (set && json_object_is_type(set, json_type_object)) {
        json_object_object_foreach(set, key, value)
        {
            const char *now = vr_keys_get(domain.keys, key);
            const char *text = value ? json_object_get_string(value) : NULL;
            if (g_strcmp0(now, text) != 0) {
                vr_keys_set(domain.keys, key, text);
                changed = true;
            }
        }
    }
    if (changed && (!vr_domain_meta_check(domain.keys, error) ||
                    !write_metadata(domain.dir, domain.keys, error)))
        return NULL;
    return iod_true();
}

json_object *iod_op_domain_format(struct iod_request *request, struct vr_error **error)
{
    const char *path = iod_string(request, "root", error);
    const char *sd = path ? iod_uuid(request, "sd", error) : NULL;
    if (!sd)
        return NULL;
    iod_auto_guard struct iod_guard guard = iod_lock("dom", path);
    vr_auto_fd int root = vr_fs_open_root(path, error);
    if (root < 0)
        return NULL;
    g_autofree char *name = g_strconcat(REMOVING, sd, NULL);
    bool removing = vr_fs_exists(root, name);
    if (!removing || vr_fs_exists(root, sd)) {
        iod_auto_domain struct iod_domain domain = IOD_DOMAIN_NONE;
        if (!iod_domain_open(request, &domain, error)) {
            if (!iod_bool(request, "again") || (*error)->fault != &vr_storage_fault_domain_missing)
                return NULL;
            vr_error_free(g_steal_pointer(error));
            return iod_true();
        }
        const char *pool = vr_keys_get(domain.keys, "POOL_UUID");
        if (pool && *pool && !iod_bool(request, "auto_detach")) {
            vr_storage_error(error, domain_format_attached, "It is attached to %.64s.", pool);
            return NULL;
        }
        if (!sweep_root(root, error) || !vr_fs_rename(root, sd, root, name, error))
            return NULL;
    }
    return sweep_root(root, error) ? iod_true() : NULL;
}

/* The two monitoring checks of facts 17: a direct read that is timed, and a self test. */
json_object *iod_op_domain_check(struct iod_request *request, struct vr_error **error)
{
    iod_auto_domain struct iod_domain domain = IOD_DOMAIN_NONE;
    if (!iod_domain_open(request, &domain, error))
        return NULL;
    struct statvfs st;
    if (fstatvfs(domain.dir, &st) < 0) {
        vr_fs_error(error, errno, "statvfs");
        return NULL;
    }
    int fd = vr_fs_open(domain.dir, "dom_md/metadata", O_RDONLY | O_DIRECT, 0);
    if (fd == -EINVAL)
        fd = vr_fs_open(domain.dir, "dom_md/metadata", O_RDONLY, 0);
    void *buffer = NULL;
    g_assert(posix_memalign(&buffer, CHECK_SIZE, CHECK_SIZE) == 0);
    gint64 start = g_get_monotonic_time();
    ssize_t n = fd < 0 ? fd : pread(fd, buffer, CHECK_SIZE, 0);
    int saved = fd < 0 ? -fd : errno;
    gint64 took = g_get_monotonic_time() - start;
    if (fd >= 0)
        close(fd);
    free(buffer);
    if (n < 0) {
        vr_storage_error(error, read_failed, "dom_md/metadata: %s", g_strerror(saved));
        return NULL;
    }
    json_object *result = json_object_new_object();
    iod_put_integer(result, "delay_us", took);
    iod_put_integer(result, "version", domain.version);
    iod_put(result, "role", vr_keys_get(domain.keys, "ROLE"));
    iod_put(result, "pool", vr_keys_get(domain.keys, "POOL_UUID"));
    iod_put_number(result, "disktotal", (uint64_t)st.f_blocks * st.f_frsize);
    iod_put_number(result, "diskfree", (uint64_t)st.f_bavail * st.f_frsize);
    return result;
}
