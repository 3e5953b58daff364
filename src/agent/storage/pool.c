/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/storage/pool_private.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <unistd.h>

void vr_st_pool_free(struct vr_st_pool *pool)
{
    if (!pool)
        return;
    g_hash_table_unref(pool->domains);
    g_free(pool);
}

struct vr_st_pool *vr_st_pool_new(const char *id, int host_id, const char *master,
                                  int64_t master_version)
{
    struct vr_st_pool *pool = g_new0(struct vr_st_pool, 1);
    g_strlcpy(pool->id, id, sizeof(pool->id));
    g_strlcpy(pool->master, master, sizeof(pool->master));
    pool->host_id = host_id;
    pool->master_version = master_version;
    pool->domains = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    return pool;
}

const char *vr_st_status_word(const char *wire)
{
    return g_ascii_strcasecmp(wire, "active") == 0 ? "Active" : "Attached";
}

char *vr_st_pool_dir(struct vr_storage *s, const char *id)
{
    return g_build_filename(s->o.run_root, id, NULL);
}

/* ---- what a restarted agent finds again ---- */

static char *boot_id(void)
{
    char *text = NULL;
    if (!g_file_get_contents("/proc/sys/kernel/random/boot_id", &text, NULL, NULL))
        text = g_strdup("unknown");
    return g_strstrip(text);
}

/* "sd:Active,sd:Attached", sorted.  Lock held. */
char *vr_st_domains_text(const struct vr_st_pool *pool)
{
    g_autoptr(GList) keys = g_list_sort(g_hash_table_get_keys(pool->domains), (GCompareFunc)strcmp);
    GString *text = g_string_new(NULL);
    for (GList *i = keys; i; i = i->next)
        g_string_append_printf(text, "%s%s:%s", text->len ? "," : "", (char *)i->data,
                               (char *)g_hash_table_lookup(pool->domains, i->data));
    return g_string_free(text, FALSE);
}

bool vr_st_pool_remember(struct vr_storage *s, struct vr_error **error)
{
    g_mutex_lock(&s->lock);
    vr_auto_keys struct vr_keys *keys = vr_keys_new();
    g_autofree char *dir = NULL;
    if (s->pool) {
        g_autofree char *boot = boot_id(), *domains = vr_st_domains_text(s->pool);
        dir = vr_st_pool_dir(s, s->pool->id);
        vr_keys_set(keys, "BOOT", boot);
        vr_keys_set(keys, "DOMAINS", domains);
        vr_keys_set(keys, "MASTER", s->pool->master);
        vr_keys_set_integer(keys, "HOST_ID", s->pool->host_id);
        vr_keys_set_integer(keys, "MASTER_VERSION", s->pool->master_version);
    }
    g_mutex_unlock(&s->lock);
    if (!dir)
        return true;
    g_autofree char *text = vr_domain_meta_format(keys, error);
    g_autofree char *path = g_build_filename(dir, ".pool", NULL);
    g_autoptr(GError) failed = NULL;
    if (!text)
        return false;
    if (g_mkdir_with_parents(dir, 0755) == 0 && g_file_set_contents(path, text, -1, &failed))
        return true;
    vr_error_set(error, &vr_fault_system, "%s: %s", path,
                 failed ? failed->message : "no directory");
    return false;
}

static struct vr_st_pool *read_pool(struct vr_storage *s, const char *id)
{
    g_autofree char *dir = vr_st_pool_dir(s, id);
    g_autofree char *path = g_build_filename(dir, ".pool", NULL), *boot = boot_id(), *text = NULL;
    size_t length;
    vr_auto_error struct vr_error *error = NULL;
    if (!g_file_get_contents(path, &text, &length, NULL))
        return NULL;
    vr_auto_keys struct vr_keys *keys = vr_domain_meta_parse(text, length, &error);
    const char *master = keys ? vr_keys_get(keys, "MASTER") : NULL;
    /* A pool of before a reboot is nobody's any more. */
    if (!master || g_strcmp0(vr_keys_get(keys, "BOOT"), boot) != 0 || !vr_format_uuid_valid(master))
        return NULL;
    struct vr_st_pool *pool =
        vr_st_pool_new(id, (int)vr_keys_get_integer(keys, "HOST_ID", 0), master,
                       vr_keys_get_integer(keys, "MASTER_VERSION", 0));
    g_autoptr(GArray) domains = vr_pool_domains_parse(vr_keys_get(keys, "DOMAINS"));
    for (unsigned i = 0; i < domains->len; i++) {
        const struct vr_pool_domain *d = &g_array_index(domains, struct vr_pool_domain, i);
        g_hash_table_insert(pool->domains, g_strdup(d->sd), g_strdup(d->status));
    }
    return pool;
}

/* Starts what a connected pool needs: host ids and monitoring of its active domains. */
void vr_st_watch_domains(struct vr_storage *s)
{
    g_mutex_lock(&s->lock);
    int host_id = s->pool->host_id;
    g_autoptr(GPtrArray) active = g_ptr_array_new_with_free_func(g_free);
    GHashTableIter iter;
    gpointer sd, status;
    g_hash_table_iter_init(&iter, s->pool->domains);
    while (g_hash_table_iter_next(&iter, &sd, &status))
        if (strcmp(status, "Active") == 0)
            g_ptr_array_add(active, g_strdup(sd));
    g_mutex_unlock(&s->lock);
    for (unsigned i = 0; i < active->len; i++) {
        vr_auto_error struct vr_error *error = NULL;
        if (!s->o.lease->acquire_host_id(active->pdata[i], NULL, host_id, &error))
            vr_log_warning("No host id on domain %s yet.", (char *)active->pdata[i]);
        vr_st_monitor_start(s, active->pdata[i]);
    }
}

void vr_st_pool_restore(struct vr_storage *s)
{
    g_autoptr(GDir) dir = g_dir_open(s->o.run_root, 0, NULL);
    for (const char *name; dir && !s->pool && (name = g_dir_read_name(dir));)
        if (vr_format_uuid_valid(name))
            s->pool = read_pool(s, name);
    if (s->pool) {
        vr_log_info("Pool %s is connected as before.", s->pool->id);
        vr_st_watch_domains(s);
    }
}

/* ---- links: <run_root>/<sp>/<sd> and mastersd ---- */

static void put_link(const char *dir, const char *name, const char *to)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);
    g_autofree char *fresh = g_strconcat(path, ".new", NULL);
    (void)g_unlink(fresh);
    if (symlink(to, fresh) < 0 || g_rename(fresh, path) < 0)
        vr_log_warning("%s cannot be linked: %s", path, g_strerror(errno));
}

void vr_st_pool_links(struct vr_storage *s)
{
    g_mutex_lock(&s->lock);
    if (!s->pool) {
        g_mutex_unlock(&s->lock);
        return;
    }
    g_autofree char *dir = vr_st_pool_dir(s, s->pool->id), *master = g_strdup(s->pool->master);
    g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func(g_free);
    GHashTableIter iter;
    gpointer sd;
    g_hash_table_iter_init(&iter, s->pool->domains);
    while (g_hash_table_iter_next(&iter, &sd, NULL))
        g_ptr_array_add(all, g_strdup(sd));
    g_mutex_unlock(&s->lock);
    if (g_mkdir_with_parents(dir, 0755) < 0)
        vr_log_warning("%s: %s", dir, g_strerror(errno));
    for (unsigned i = 0; i < all->len; i++) {
        vr_auto_domain struct vr_st_domain domain = { 0 };
        vr_auto_error struct vr_error *absent = NULL;
        if (!vr_st_find(s, all->pdata[i], &domain, &absent))
            continue;
        g_autofree char *to = vr_st_domain_dir(&domain);
        put_link(dir, all->pdata[i], to);
        if (strcmp(all->pdata[i], master) == 0)
            put_link(dir, "mastersd", to);
    }
}

void vr_st_remove_links(struct vr_storage *s, const char *id)
{
    g_autofree char *path = vr_st_pool_dir(s, id);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    for (const char *name; dir && (name = g_dir_read_name(dir));) {
        g_autofree char *entry = g_build_filename(path, name, NULL);
        (void)g_unlink(entry);
    }
    (void)g_rmdir(path);
}

/* ---- master ---- */

bool vr_st_need_spm(struct vr_storage *s, const char *sp, struct vr_error **error)
{
    g_mutex_lock(&s->lock);
    bool known = s->pool && sp && strcmp(s->pool->id, sp) == 0, spm = known && s->pool->spm;
    g_mutex_unlock(&s->lock);
    if (!known)
        vr_storage_error(error, pool_unknown, "%s", sp ? sp : "?");
    else if (!spm)
        vr_storage_error(error, not_spm, NULL);
    return spm;
}

bool vr_st_master(struct vr_storage *s, struct vr_st_domain *domain)
{
    g_mutex_lock(&s->lock);
    g_autofree char *sd = s->pool && s->pool->spm ? g_strdup(s->pool->master) : NULL;
    g_mutex_unlock(&s->lock);
    vr_auto_error struct vr_error *absent = NULL;
    return sd && vr_st_find(s, sd, domain, &absent);
}

bool vr_st_set_keys(struct vr_storage *s, const char *sd, struct vr_error **error, ...)
{
    vr_auto_domain struct vr_st_domain domain = { 0 };
    if (!vr_st_find(s, sd, &domain, error))
        return false;
    json_object *args = vr_st_args(&domain, NULL), *set = json_object_new_object();
    va_list list;
    va_start(list, error);
    for (const char *key; (key = va_arg(list, const char *));)
        json_object_object_add(set, key, json_object_new_string(va_arg(list, const char *)));
    va_end(list);
    json_object_object_add(args, "set", set);
    json_object *result = vr_st_ask(s, domain.connection, "domain_set", args, NULL, error);
    json_object_put(result);
    return result != NULL;
}

json_object *vr_st_info(struct vr_storage *s, const char *sd, struct vr_error **error)
{
    vr_auto_domain struct vr_st_domain domain = { 0 };
    if (!vr_st_find(s, sd, &domain, error))
        return NULL;
    return vr_st_ask(s, domain.connection, "domain_info", vr_st_args(&domain, NULL), NULL, error);
}

/* 304 when it cannot be found, 324 when storage says otherwise. */
bool vr_st_check_master(struct vr_storage *s, const char *sp, const char *master, int64_t version,
                        struct vr_error **error)
{
    vr_auto_error struct vr_error *why = NULL;
    json_object *info = vr_st_info(s, master, &why);
    if (!info) {
        vr_storage_error(error, master_not_found, "%s: %s", master,
                         why->detail ? why->detail : why->fault->text);
        return false;
    }
    bool right = strcmp(vr_st_member(info, "ROLE"), "Master") == 0 &&
                 strcmp(vr_st_member(info, "POOL_UUID"), sp) == 0 &&
                 g_ascii_strtoll(vr_st_member(info, "MASTER_VERSION"), NULL, 10) == version;
    if (!right)
        vr_storage_error(error, pool_wrong_master, "%s is %s, version %s, of pool %s.", master,
                         vr_st_member(info, "ROLE"), vr_st_member(info, "MASTER_VERSION"),
                         vr_st_member(info, "POOL_UUID"));
    json_object_put(info);
    return right;
}

bool vr_st_make_master(struct vr_storage *s, const char *sp, const char *name, const char *master,
                       int64_t version, const char *domains, struct vr_error **error)
{
    g_autofree char *number = g_strdup_printf("%" G_GINT64_FORMAT, version);
    vr_auto_domain struct vr_st_domain domain = { 0 };
    if (!vr_st_find(s, master, &domain, error))
        return false;
    json_object *made =
        vr_st_ask(s, domain.connection, "master_make", vr_st_args(&domain, NULL), NULL, error);
    json_object_put(made);
    return made && vr_st_set_keys(s, master, error, "ROLE", "Master", "MASTER_VERSION", number,
                                  "POOL_UUID", sp, "POOL_DOMAINS", domains, "POOL_DESCRIPTION",
                                  name, "POOL_SPM_ID", "-1", "POOL_SPM_LVER", "-1", NULL);
}

/* The pool's own list of domains, written on its master (SPM only). */
bool vr_st_write_domains(struct vr_storage *s, struct vr_error **error)
{
    g_mutex_lock(&s->lock);
    g_autofree char *text = vr_st_domains_text(s->pool), *master = g_strdup(s->pool->master);
    g_mutex_unlock(&s->lock);
    return vr_st_set_keys(s, master, error, "POOL_DOMAINS", text, NULL) &&
           vr_st_pool_remember(s, error);
}
