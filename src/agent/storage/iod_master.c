/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/storage/iod.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>

/* Our records lie beside those of other implementations, which look at directories only. */
#define TASK_SUFFIX ".vireo"
#define TASK_MAX KiB(64)
#define TASKS_MAX 10000
#define ISO_IMAGE "images/11111111-1111-1111-1111-111111111111"
#define FILES_MAX 10000
#define ISO_DEPTH 8

json_object *iod_op_master_make(struct iod_request *request, struct vr_error **error)
{
    iod_auto_domain struct iod_domain domain = IOD_DOMAIN_NONE;
    if (!iod_domain_open(request, &domain, error) ||
        !vr_fs_mkdir(domain.dir, "master", 0755, error))
        return NULL;
    vr_auto_fd int master = vr_fs_open_dir(domain.dir, "master", error);
    if (master < 0 || !vr_fs_mkdir(master, "vms", 0755, error) ||
        !vr_fs_mkdir(master, "tasks", 0755, error))
        return NULL;
    return iod_true();
}

static int open_tasks(struct iod_request *request, struct iod_domain *domain,
                      struct vr_error **error)
{
    if (!iod_domain_open(request, domain, error))
        return -1;
    return vr_fs_open_dir(domain->dir, "master/tasks", error);
}

json_object *iod_op_task_save(struct iod_request *request, struct vr_error **error)
{
    iod_auto_domain struct iod_domain domain = IOD_DOMAIN_NONE;
    const char *task = iod_uuid(request, "task", error);
    const char *text = task ? iod_string(request, "text", error) : NULL;
    vr_auto_fd int tasks = text ? open_tasks(request, &domain, error) : -1;
    if (tasks < 0)
        return NULL;
    g_autofree char *name = g_strconcat(task, TASK_SUFFIX, NULL);
    return vr_fs_write(tasks, name, text, strlen(text), error) ? iod_true() : NULL;
}

json_object *iod_op_task_remove(struct iod_request *request, struct vr_error **error)
{
    iod_auto_domain struct iod_domain domain = IOD_DOMAIN_NONE;
    const char *task = iod_uuid(request, "task", error);
    vr_auto_fd int tasks = task ? open_tasks(request, &domain, error) : -1;
    if (tasks < 0)
        return NULL;
    g_autofree char *name = g_strconcat(task, TASK_SUFFIX, NULL);
    return vr_fs_unlink(tasks, name, error) ? iod_true() : NULL;
}

/* The records' texts.  One that cannot be read is left out: a bad sector must not lose the rest. */
json_object *iod_op_task_list(struct iod_request *request, struct vr_error **error)
{
    iod_auto_domain struct iod_domain domain = IOD_DOMAIN_NONE;
    vr_auto_fd int tasks = open_tasks(request, &domain, error);
    g_autoptr(GPtrArray) names = tasks >= 0 ? vr_fs_list(tasks, TASKS_MAX * 2, error) : NULL;
    if (!names)
        return NULL;
    json_object *list = json_object_new_array();
    for (unsigned i = 0; i < names->len && i < TASKS_MAX; i++) {
        if (!g_str_has_suffix(names->pdata[i], TASK_SUFFIX))
            continue;
        vr_auto_error struct vr_error *ignored = NULL;
        size_t length;
        g_autofree char *text = vr_fs_read(tasks, names->pdata[i], TASK_MAX, &length, &ignored);
        if (text && g_utf8_validate(text, (gssize)length, NULL))
            json_object_array_add(list, json_object_new_string(text));
    }
    return list;
}

struct listing {
    json_object *files;
    const char *pattern;
    int flags;
    unsigned count;
};

static void add_file(struct listing *l, const char *path, const struct stat *st)
{
    json_object *item = json_object_new_object();
    g_autofree char *ctime =
        g_strdup_printf("%lld.%09ld", (long long)st->st_ctim.tv_sec, st->st_ctim.tv_nsec);
    iod_put_number(item, "size", (uint64_t)st->st_size);
    iod_put(item, "ctime", ctime);
    /* QEMU reads through the group. */
    iod_put_integer(item, "status", st->st_mode & 0040 ? 0 : vr_storage_fault_domain_access.rpc);
    json_object_object_add(l->files, path, item);
    l->count++;
}

static bool walk(struct listing *l, int dir, const char *prefix, unsigned depth,
                 struct vr_error **error)
{
    g_autoptr(GPtrArray) names = vr_fs_list(dir, FILES_MAX, error);
    for (unsigned i = 0; names && i < names->len && l->count < FILES_MAX; i++) {
        const char *name = names->pdata[i];
        g_autofree char *path = g_strconcat(prefix, *prefix ? "/" : "", name, NULL);
        struct stat st;
        if (!g_utf8_validate(path, -1, NULL) || !vr_fs_stat(dir, name, &st))
            continue;
        if (S_ISDIR(st.st_mode) && depth < ISO_DEPTH) {
            vr_auto_fd int sub = vr_fs_open(dir, name, O_RDONLY | O_DIRECTORY, 0);
            if (sub >= 0 && !walk(l, sub, path, depth + 1, error))
                return false;
        } else if (S_ISREG(st.st_mode) && fnmatch(l->pattern, name, l->flags) == 0) {
            add_file(l, path, &st);
        }
    }
    return names != NULL;
}

json_object *iod_op_file_stats(struct iod_request *request, struct vr_error **error)
{
    iod_auto_domain struct iod_domain domain = IOD_DOMAIN_NONE;
    const char *pattern = iod_string(request, "pattern", error);
    if (!pattern || !iod_domain_open(request, &domain, error))
        return NULL;
    if (strcmp(vr_keys_get(domain.keys, "CLASS"), "Iso") != 0) {
        vr_storage_error(error, domain_file_stats, "The domain is not of class Iso.");
        return NULL;
    }
    vr_auto_fd int dir = vr_fs_open_dir(domain.dir, ISO_IMAGE, error);
    if (dir < 0)
        return NULL;
    struct listing l = { json_object_new_object(), pattern,
                         iod_bool(request, "case_sensitive") ? 0 : FNM_CASEFOLD, 0 };
    if (walk(&l, dir, "", 0, error))
        return l.files;
    json_object_put(l.files);
    return NULL;
}
