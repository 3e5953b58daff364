/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/storage/storage_private.h"

#include <errno.h>
#include <unistd.h>

static struct vr_st_connection *connection_new(struct vr_storage *s,
                                               const struct vr_storage_driver *driver,
                                               const char *target)
{
    g_autofree char *uid = g_strdup_printf("%u", s->o.uid);
    g_autofree char *gid = g_strdup_printf("%u", s->o.gid);
    const char *const argv[] = { "--uid", uid, "--gid", gid, NULL };
    struct vr_st_connection *c = g_new0(struct vr_st_connection, 1);
    c->refs = 1;
    c->driver = driver;
    c->target = g_strdup(target);
    c->helper = vr_helper_new(&(struct vr_helper_options){ .program = s->o.iod_program,
                                                           .argv = argv,
                                                           .name = target,
                                                           .fault = vr_storage_fault_by_code,
                                                           .hung = &vr_storage_fault_general });
    return c;
}

void vr_st_connection_unref(struct vr_st_connection *c)
{
    if (!c || !g_atomic_int_dec_and_test(&c->refs))
        return;
    vr_helper_free(c->helper);
    g_free(c->target);
    g_free(c);
}

/* The connection at @target with a reference, made when there is none. */
static struct vr_st_connection *take(struct vr_storage *s, const struct vr_storage_driver *driver,
                                     const char *target, bool make)
{
    g_mutex_lock(&s->lock);
    struct vr_st_connection *c = g_hash_table_lookup(s->connections, target);
    if (!c && make) {
        c = connection_new(s, driver, target);
        g_hash_table_insert(s->connections, c->target, c);
    }
    if (c)
        g_atomic_int_inc(&c->refs);
    g_mutex_unlock(&s->lock);
    return c;
}

static void drop(struct vr_storage *s, struct vr_st_connection *c)
{
    g_mutex_lock(&s->lock);
    bool ours = g_hash_table_lookup(s->connections, c->target) == c;
    if (ours)
        g_hash_table_remove(s->connections, c->target);
    g_mutex_unlock(&s->lock);
    if (ours)
        vr_st_connection_unref(c);
}

/* Reads our own directory and the mount table; touches no mount. */
void vr_st_adopt(struct vr_storage *s)
{
    g_autoptr(GDir) dir = g_dir_open(s->mnt, 0, NULL);
    g_autofree char *real = realpath(s->mnt, NULL);
    g_autofree char *table = NULL;
    if (!dir || !real || !g_file_get_contents("/proc/self/mountinfo", &table, NULL, NULL))
        return;
    g_auto(GStrv) lines = g_strsplit(table, "\n", -1);
    for (const char *name; (name = g_dir_read_name(dir));) {
        g_autofree char *target = g_build_filename(s->mnt, name, NULL);
        g_autofree char *mounted = g_build_filename(real, name, NULL);
        const struct vr_storage_driver *driver = NULL;
        for (unsigned i = 0; lines[i] && !driver; i++) {
            g_auto(GStrv) fields = g_strsplit(lines[i], " ", 64);
            if (g_strv_length(fields) < 10)
                continue;
            g_autofree char *path = g_strcompress(fields[4]); /* \040 is a space */
            const char *dash = strstr(lines[i], " - ");
            if (strcmp(path, mounted) == 0)
                driver =
                    vr_storage_driver_by_type(dash && g_str_has_prefix(dash, " - nfs") ? 1 : 6);
        }
        g_autofree char *link = driver ? NULL : g_file_read_link(target, NULL);
        if (link)
            driver = vr_storage_driver_by_type(4);
        if (!driver || g_str_has_suffix(name, ".new"))
            continue;
        vr_log_info("Found %s connected.", target);
        vr_st_connection_unref(take(s, driver, target, true));
    }
}

void vr_st_domain_done(struct vr_st_domain *domain)
{
    vr_st_connection_unref(domain->connection);
}

char *vr_st_domain_dir(const struct vr_st_domain *domain)
{
    return g_build_filename(domain->connection->target, domain->sd, NULL);
}

/* Whether the domain of this connection is @sd. */
static bool probe(struct vr_storage *s, struct vr_st_connection *c, const char *sd)
{
    vr_auto_error struct vr_error *error = NULL;
    json_object *args = json_object_new_object();
    json_object_object_add(args, "root", json_object_new_string(c->target));
    json_object *list = vr_st_ask(s, c, "probe", args, NULL, &error);
    bool found = false;
    for (size_t i = 0; list && i < json_object_array_length(list); i++) {
        const char *there = json_object_get_string(json_object_array_get_idx(list, i));
        found = found || strcmp(there, sd) == 0;
        g_mutex_lock(&s->lock);
        g_hash_table_replace(s->where, g_strdup(there), g_strdup(c->target));
        g_mutex_unlock(&s->lock);
    }
    json_object_put(list);
    return found;
}

/* References to all connections; owned array. */
static GPtrArray *all_connections(struct vr_storage *s)
{
    GPtrArray *all = g_ptr_array_new_with_free_func((GDestroyNotify)vr_st_connection_unref);
    GHashTableIter iter;
    gpointer value;
    g_mutex_lock(&s->lock);
    g_hash_table_iter_init(&iter, s->connections);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        struct vr_st_connection *c = value;
        g_atomic_int_inc(&c->refs);
        g_ptr_array_add(all, c);
    }
    g_mutex_unlock(&s->lock);
    return all;
}

bool vr_st_find(struct vr_storage *s, const char *sd, struct vr_st_domain *domain,
                struct vr_error **error)
{
    if (!vr_st_uuid(sd, "The storage domain's id", error))
        return false;
    g_strlcpy(domain->sd, sd, sizeof(domain->sd));
    g_mutex_lock(&s->lock);
    const char *target = g_hash_table_lookup(s->where, sd);
    struct vr_st_connection *c = target ? g_hash_table_lookup(s->connections, target) : NULL;
    if (c)
        g_atomic_int_inc(&c->refs);
    g_mutex_unlock(&s->lock);
    if (c) {
        domain->connection = c;
        return true;
    }
    g_autoptr(GPtrArray) all = all_connections(s);
    for (unsigned i = 0; i < all->len; i++) {
        c = all->pdata[i];
        if (g_atomic_int_get(&c->hung) || !probe(s, c, sd))
            continue;
        g_atomic_int_inc(&c->refs);
        domain->connection = c;
        return true;
    }
    vr_storage_error(error, domain_missing, "%s", sd);
    return false;
}

static json_object *connect_args(struct vr_storage *s, const struct vr_storage_driver *driver,
                                 const struct vr_connection *v)
{
    json_object *args = json_object_new_object();
    const struct {
        const char *key, *value;
    } rows[] = { { "driver", driver->name },        { "mnt", s->mnt },
                 { "connection", v->connection },   { "vfs_type", v->vfs_type },
                 { "mnt_options", v->mnt_options }, { "protocol_version", v->protocol_version } };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++)
        if (rows[i].value)
            json_object_object_add(args, rows[i].key, json_object_new_string(rows[i].value));
    json_object_object_add(args, "timeout", json_object_new_int(v->timeout));
    json_object_object_add(args, "retrans", json_object_new_int(v->retrans));
    return args;
}

static bool connect_one(struct vr_storage *s, const struct vr_storage_driver *driver,
                        const struct vr_connection *v, bool connect, struct vr_error **error)
{
    vr_auto_plan struct vr_mount_plan plan = { 0 };
    if (!driver->plan(v, &plan, error))
        return false;
    g_autofree char *target = g_build_filename(s->mnt, plan.name, NULL);
    struct vr_st_connection *c = take(s, driver, target, true);
    json_object *args = connect_args(s, driver, v);
    if (!connect)
        json_object_object_add(args, "target", json_object_new_string(target));
    const struct vr_st_request how = { .even_when_hung = true };
    json_object *result = vr_st_ask(s, c, connect ? "connect" : "disconnect", args, &how, error);
    if (result && connect)
        g_atomic_int_set(&c->hung, 0);
    /* A connection that never came to be, or is gone, leaves nothing behind. */
    if (connect ? !result && !g_file_test(target, G_FILE_TEST_IS_SYMLINK) : result != NULL)
        drop(s, c);
    json_object_put(result);
    vr_st_connection_unref(c);
    return *error == NULL;
}

static char *serve(struct vr_storage *s, int64_t type, const struct vr_list *params, bool connect)
{
    const struct vr_storage_driver *driver = vr_storage_driver_by_type((int)type);
    json_object *list = json_object_new_array();
    VR_EACH (struct vr_rpc_connection_ref_parameters, p, params) {
        vr_auto_error struct vr_error *error = NULL;
        const struct vr_connection v = {
            .connection = p->connection ? p->connection
                          : p->path     ? p->path
                          : p->export   ? p->export
                                        : p->spec,
            .vfs_type = p->vfs_type ? p->vfs_type : p->vfstype,
            .mnt_options = p->mnt_options ? p->mnt_options : p->options,
            .protocol_version = p->protocol_version ? p->protocol_version : p->version,
            .timeout = (int)CLAMP(p->timeout, 0, 100000),
            .retrans = (int)CLAMP(p->retrans, 0, 100000),
        };
        if (!driver)
            vr_storage_error(&error, connection, "Storage of type %d is not supported.", (int)type);
        else
            connect_one(s, driver, &v, connect, &error);
        if (error) {
            g_autofree char *text = vr_error_text(error);
            vr_log_warning("Storage %s: %s", v.connection ? v.connection : "?", text);
        }
        json_object *item = json_object_new_object();
        json_object_object_add(item, "id", json_object_new_string(p->id ? p->id : VR_BLANK_UUID));
        json_object_object_add(item, "status", json_object_new_int(error ? error->fault->rpc : 0));
        json_object_array_add(list, item);
    }
    char *text = g_strdup(json_object_to_json_string(list));
    json_object_put(list);
    return text;
}

char *vr_st_storage_pool_connect_storage_server(struct vr_storage *s, const void *params,
                                                struct vr_error **error VR_UNUSED)
{
    const struct vr_rpc_storage_pool_connect_storage_server_params *p = params;
    return serve(s, p->domain_type, &p->connection_params, true);
}

char *vr_st_storage_pool_disconnect_storage_server(struct vr_storage *s, const void *params,
                                                   struct vr_error **error VR_UNUSED)
{
    const struct vr_rpc_storage_pool_disconnect_storage_server_params *p = params;
    return serve(s, p->domain_type, &p->connection_params, false);
}

/* facts/host-rpc.md 15.4: how an import scans a connection. */
char *vr_st_host_get_storage_domains(struct vr_storage *s, const void *params,
                                     struct vr_error **error VR_UNUSED)
{
    const struct vr_rpc_host_get_storage_domains_params *p = params;
    static const char *const classes[] = { NULL, "Data", "Iso", "Backup" };
    const char *class =
        p->domain_class > 0 && p->domain_class < 4 ? classes[p->domain_class] : NULL;
    g_autofree char *name =
        p->remote_path && *p->remote_path ? vr_format_path_transform(p->remote_path) : NULL;
    g_autoptr(GPtrArray) all = all_connections(s);
    json_object *list = json_object_new_array();
    for (unsigned i = 0; i < all->len; i++) {
        struct vr_st_connection *c = all->pdata[i];
        g_autofree char *base = g_path_get_basename(c->target);
        if ((name && strcmp(base, name) != 0) ||
            (p->storage_type > 0 && p->storage_type != c->driver->type))
            continue;
        vr_auto_error struct vr_error *ignored = NULL;
        json_object *args = json_object_new_object();
        json_object_object_add(args, "root", json_object_new_string(c->target));
        json_object *found = vr_st_ask(s, c, "probe", args, NULL, &ignored);
        for (size_t j = 0; found && j < json_object_array_length(found); j++) {
            json_object *sd = json_object_array_get_idx(found, j);
            vr_auto_error struct vr_error *unreadable = NULL;
            const struct vr_st_domain domain = { c, "" };
            json_object *ask = vr_st_args(&domain, NULL);
            json_object_object_add(ask, "sd", json_object_get(sd));
            json_object *info = vr_st_ask(s, c, "domain_info", ask, NULL, &unreadable);
            const char *pool = vr_st_member(info, "POOL_UUID");
            bool wanted = info && (!class || strcmp(vr_st_member(info, "CLASS"), class) == 0) &&
                          (!p->storagepool_id || strcmp(p->storagepool_id, VR_BLANK_UUID) == 0 ||
                           !*p->storagepool_id || strcmp(pool, p->storagepool_id) == 0);
            if (wanted)
                json_object_array_add(list, json_object_get(sd));
            json_object_put(info);
        }
        json_object_put(found);
    }
    char *text = g_strdup(json_object_to_json_string(list));
    json_object_put(list);
    return text;
}
