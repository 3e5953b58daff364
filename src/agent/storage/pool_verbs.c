/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/storage/pool_private.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <unistd.h>

/* ---- verbs: pools ---- */

char *vr_st_storage_pool_create(struct vr_storage *s, const void *params, struct vr_error **error)
{
    const struct vr_rpc_storage_pool_create_params *p = params;
    if (!vr_st_uuid(p->storagepool_id, "storagepoolID", error) ||
        !vr_st_uuid(p->master_sd_uuid, "masterSdUUID", error))
        return NULL;
    if (p->domain_list.len > VR_ST_DOMAINS_MAX) {
        vr_storage_error(error, pool_too_many, NULL);
        return NULL;
    }
    g_mutex_lock(&s->pool_lock);
    g_autoptr(GString) domains = g_string_new(NULL);
    for (unsigned i = 0; i < p->domain_list.len && !*error; i++) {
        const char *sd = p->domain_list.items[i];
        json_object *info = vr_st_info(s, sd, error);
        const char *pool = vr_st_member(info, "POOL_UUID");
        if (info && *pool && strcmp(pool, p->storagepool_id) != 0)
            vr_storage_error(error, domain_attached, "%s is in pool %s.", sd, pool);
        json_object_put(info);
        g_string_append_printf(domains, "%s%s:Active", i ? "," : "", sd);
    }
    for (unsigned i = 0; i < p->domain_list.len && !*error; i++)
        (void)vr_st_set_keys(s, p->domain_list.items[i], error, "POOL_UUID", p->storagepool_id,
                             NULL);
    if (!*error)
        (void)vr_st_make_master(s, p->storagepool_id, p->name ? p->name : "", p->master_sd_uuid,
                                p->master_version, domains->str, error);
    g_mutex_unlock(&s->pool_lock);
    return *error ? NULL : vr_st_true();
}

char *vr_st_storage_pool_reconstruct_master(struct vr_storage *s, const void *params,
                                            struct vr_error **error)
{
    const struct vr_rpc_storage_pool_reconstruct_master_params *p = params;
    if (!vr_st_uuid(p->storagepool_id, "storagepoolID", error) ||
        !vr_st_uuid(p->master_sd_uuid, "masterSdUUID", error))
        return NULL;
    g_mutex_lock(&s->pool_lock);
    g_autoptr(GString) domains = g_string_new(NULL);
    for (unsigned i = 0; i < p->domain_dict.len; i++)
        g_string_append_printf(domains, "%s%s:%s", i ? "," : "", p->domain_dict.keys[i],
                               vr_st_status_word(p->domain_dict.values[i]));
    if (vr_st_make_master(s, p->storagepool_id, p->name ? p->name : "", p->master_sd_uuid,
                          p->master_version, domains->str, error)) {
        /* The former master, where it can be reached: the higher version wins anyway. */
        for (unsigned i = 0; i < p->domain_dict.len; i++) {
            vr_auto_error struct vr_error *unreachable = NULL;
            if (strcmp(p->domain_dict.keys[i], p->master_sd_uuid) != 0)
                (void)vr_st_set_keys(s, p->domain_dict.keys[i], &unreachable, "ROLE", "Regular",
                                     NULL);
        }
    }
    g_mutex_unlock(&s->pool_lock);
    return *error ? NULL : vr_st_true();
}

char *vr_st_storage_pool_connect(struct vr_storage *s, const void *params, struct vr_error **error)
{
    const struct vr_rpc_storage_pool_connect_params *p = params;
    if (!vr_st_uuid(p->storagepool_id, "storagepoolID", error) ||
        !vr_st_uuid(p->master_sd_uuid, "masterSdUUID", error))
        return NULL;
    if (p->host_id < 1 || p->host_id > 2000 || p->domain_dict.len > VR_ST_DOMAINS_MAX) {
        vr_storage_error(error, invalid_parameter, "hostID or domainDict is out of range.");
        return NULL;
    }
    g_mutex_lock(&s->pool_lock);
    g_mutex_lock(&s->lock);
    bool other = s->pool && (strcmp(s->pool->id, p->storagepool_id) != 0 ||
                             s->pool->host_id != (int)p->host_id);
    g_mutex_unlock(&s->lock);
    if (other)
        vr_storage_error(error, pool_connected, "%s", s->pool->id);
    if (!*error &&
        vr_st_check_master(s, p->storagepool_id, p->master_sd_uuid, p->master_version, error)) {
        struct vr_st_pool *pool = vr_st_pool_new(p->storagepool_id, (int)p->host_id,
                                                 p->master_sd_uuid, p->master_version);
        for (unsigned i = 0; i < p->domain_dict.len; i++)
            if (vr_format_uuid_valid(p->domain_dict.keys[i]))
                g_hash_table_replace(pool->domains, g_strdup(p->domain_dict.keys[i]),
                                     g_strdup(vr_st_status_word(p->domain_dict.values[i])));
        if (p->domain_dict.len == 0)
            g_hash_table_replace(pool->domains, g_strdup(pool->master), g_strdup("Active"));
        g_mutex_lock(&s->lock);
        struct vr_st_pool *old = s->pool;
        pool->spm = old && old->spm;
        s->pool = pool;
        g_mutex_unlock(&s->lock);
        /* What the new list no longer has active is watched no longer, and has no lease. */
        GHashTableIter iter;
        gpointer sd;
        if (old)
            g_hash_table_iter_init(&iter, old->domains);
        while (old && g_hash_table_iter_next(&iter, &sd, NULL))
            if (g_strcmp0(g_hash_table_lookup(pool->domains, sd), "Active") != 0) {
                vr_st_monitor_stop(s, sd);
                s->o.lease->release_host_id(sd);
            }
        vr_st_pool_free(old);
        (void)vr_st_pool_remember(s, error);
        vr_st_pool_links(s);
        vr_st_watch_domains(s);
    }
    g_mutex_unlock(&s->pool_lock);
    return *error ? NULL : vr_st_true();
}

/* Pool lock held. */
static void leave(struct vr_storage *s)
{
    vr_st_monitor_stop(s, NULL);
    g_mutex_lock(&s->lock);
    struct vr_st_pool *pool = g_steal_pointer(&s->pool);
    g_mutex_unlock(&s->lock);
    GHashTableIter iter;
    gpointer sd;
    g_hash_table_iter_init(&iter, pool->domains);
    while (g_hash_table_iter_next(&iter, &sd, NULL))
        s->o.lease->release_host_id(sd);
    vr_st_remove_links(s, pool->id);
    vr_st_pool_free(pool);
}

char *vr_st_storage_pool_disconnect(struct vr_storage *s, const void *params,
                                    struct vr_error **error)
{
    const struct vr_rpc_storage_pool_disconnect_params *p = params;
    g_mutex_lock(&s->pool_lock);
    /* Not connected is what was asked for. */
    bool here = s->pool && g_strcmp0(s->pool->id, p->storagepool_id) == 0;
    if (here && s->pool->spm)
        vr_storage_error(error, is_spm, NULL);
    else if (here)
        leave(s);
    g_mutex_unlock(&s->pool_lock);
    return *error ? NULL : vr_st_true();
}

char *vr_st_storage_pool_destroy(struct vr_storage *s, const void *params, struct vr_error **error)
{
    const struct vr_rpc_storage_pool_destroy_params *p = params;
    if (!vr_st_need_spm(s, p->storagepool_id, error))
        return NULL;
    if (vr_st_tasks_running(s)) {
        vr_storage_error(error, spm_stop, NULL);
        return NULL;
    }
    g_mutex_lock(&s->pool_lock);
    if (vr_st_set_keys(s, s->pool->master, error, "POOL_UUID", "", "ROLE", "Regular",
                       "POOL_DOMAINS", "", NULL)) {
        s->o.lease->release_spm(s->pool->master);
        leave(s);
    }
    g_mutex_unlock(&s->pool_lock);
    return *error ? NULL : vr_st_true();
}

char *vr_st_storage_pool_refresh(struct vr_storage *s, const void *params, struct vr_error **error)
{
    const struct vr_rpc_storage_pool_refresh_params *p = params;
    g_mutex_lock(&s->pool_lock);
    if (!s->pool || g_strcmp0(s->pool->id, p->storagepool_id) != 0) {
        vr_storage_error(error, pool_unknown, NULL);
    } else if (vr_st_uuid(p->master_sd_uuid, "masterSdUUID", error) &&
               vr_st_check_master(s, p->storagepool_id, p->master_sd_uuid, p->master_version,
                                  error)) {
        g_mutex_lock(&s->lock);
        g_strlcpy(s->pool->master, p->master_sd_uuid, sizeof(s->pool->master));
        s->pool->master_version = p->master_version;
        g_mutex_unlock(&s->lock);
        (void)vr_st_pool_remember(s, error);
        vr_st_pool_links(s);
    }
    g_mutex_unlock(&s->pool_lock);
    return *error ? NULL : vr_st_true();
}

char *vr_st_storage_pool_set_description(struct vr_storage *s, const void *params,
                                         struct vr_error **error)
{
    const struct vr_rpc_storage_pool_set_description_params *p = params;
    if (!vr_st_need_spm(s, p->storagepool_id, error))
        return NULL;
    g_mutex_lock(&s->pool_lock);
    bool good = vr_st_set_keys(s, s->pool->master, error, "POOL_DESCRIPTION",
                               p->description ? p->description : "", NULL);
    g_mutex_unlock(&s->pool_lock);
    return good ? vr_st_true() : NULL;
}

static bool inquire(struct vr_storage *s, const char *sp, struct vr_lease_spm *spm, char master[37],
                    struct vr_error **error)
{
    g_mutex_lock(&s->lock);
    bool here = s->pool && g_strcmp0(s->pool->id, sp) == 0;
    if (here)
        g_strlcpy(master, s->pool->master, 37);
    g_mutex_unlock(&s->lock);
    if (!here) {
        vr_storage_error(error, pool_unknown, "%s", sp ? sp : "?");
        return false;
    }
    return s->o.lease->inquire_spm(master, NULL, spm, error);
}

char *vr_st_storage_pool_get_spm_status(struct vr_storage *s, const void *params,
                                        struct vr_error **error)
{
    const struct vr_rpc_storage_pool_get_spm_status_params *p = params;
    struct vr_lease_spm spm;
    char master[37];
    if (!inquire(s, p->storagepool_id, &spm, master, error))
        return NULL;
    return g_strdup_printf("{\"spmStatus\":\"%s\",\"spmLver\":%" G_GINT64_FORMAT ",\"spmId\":%d}",
                           spm.held ? "SPM" : "Free", spm.version, spm.owner);
}

/* Lock held.  Answers from what monitoring knows: this is polled and must not wait. */
static json_object *domain_infos(struct vr_storage *s)
{
    json_object *all = json_object_new_object();
    GHashTableIter iter;
    gpointer sd, status;
    g_hash_table_iter_init(&iter, s->pool->domains);
    while (g_hash_table_iter_next(&iter, &sd, &status)) {
        const struct vr_st_monitor *m = g_hash_table_lookup(s->monitors, sd);
        json_object *item = json_object_new_object();
        json_object_object_add(item, "status", json_object_new_string(status));
        json_object_object_add(item, "alerts", json_object_new_array());
        json_object_object_add(item, "isoprefix", json_object_new_string(""));
        json_object_object_add(item, "version",
                               json_object_new_int(m && m->version >= 0 ? m->version : -1));
        if (m && m->valid) {
            g_autofree char *total = g_strdup_printf("%" G_GUINT64_FORMAT, m->total);
            g_autofree char *free_ = g_strdup_printf("%" G_GUINT64_FORMAT, m->free);
            json_object_object_add(item, "disktotal", json_object_new_string(total));
            json_object_object_add(item, "diskfree", json_object_new_string(free_));
        }
        json_object_object_add(all, sd, item);
    }
    return all;
}

char *vr_st_storage_pool_get_info(struct vr_storage *s, const void *params, struct vr_error **error)
{
    const struct vr_rpc_storage_pool_get_info_params *p = params;
    struct vr_lease_spm spm;
    char master[37];
    if (!inquire(s, p->storagepool_id, &spm, master, error))
        return NULL;
    vr_auto_error struct vr_error *unreachable = NULL;
    json_object *meta = vr_st_info(s, master, &unreachable);
    json_object *info = json_object_new_object(), *root = json_object_new_object();
    g_mutex_lock(&s->lock);
    if (s->pool) {
        g_autofree char *domains = vr_st_domains_text(s->pool);
        json_object_object_add(info, "domains", json_object_new_string(domains));
        json_object_object_add(info, "master_ver", json_object_new_int64(s->pool->master_version));
        json_object_object_add(root, "dominfo", domain_infos(s));
    }
    g_mutex_unlock(&s->lock);
    json_object_object_add(info, "name",
                           json_object_new_string(vr_st_member(meta, "POOL_DESCRIPTION")));
    json_object_object_add(info, "type", json_object_new_string(vr_st_member(meta, "TYPE")));
    json_object_object_add(info, "version", json_object_new_string(vr_st_member(meta, "VERSION")));
    json_object_object_add(info, "master_uuid", json_object_new_string(master));
    json_object_object_add(info, "pool_status", json_object_new_string("connected"));
    json_object_object_add(info, "isoprefix", json_object_new_string(""));
    json_object_object_add(info, "spm_id", json_object_new_int(spm.owner));
    json_object_object_add(info, "lver", json_object_new_int64(spm.version));
    json_object_object_add(root, "info", info);
    char *text = g_strdup(json_object_to_json_string_ext(root, JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(root);
    json_object_put(meta);
    return text;
}

char *vr_st_host_get_connected_storage_pools(struct vr_storage *s, const void *params VR_UNUSED,
                                             struct vr_error **error VR_UNUSED)
{
    g_mutex_lock(&s->lock);
    char *text = s->pool ? g_strdup_printf("[\"%s\"]", s->pool->id) : g_strdup("[]");
    g_mutex_unlock(&s->lock);
    return text;
}

/* ---- SPM ---- */

static char *start_spm(struct vr_storage *s, struct vr_st_work *work, struct vr_error **error)
{
    const struct vr_rpc_storage_pool_spm_start_params *p = work->params;
    vr_auto_domain struct vr_st_domain master = { 0 };
    g_mutex_lock(&s->pool_lock);
    bool here = s->pool && g_strcmp0(s->pool->id, p->storagepool_id) == 0;
    bool good = here && !s->pool->spm;
    if (!here)
        vr_storage_error(error, pool_unknown, NULL);
    good = good &&
           vr_st_check_master(s, s->pool->id, s->pool->master, s->pool->master_version, error) &&
           vr_st_find(s, s->pool->master, &master, error);
    g_autofree char *dir = good ? vr_st_domain_dir(&master) : NULL;
    if (good && s->o.lease->acquire_host_id(master.sd, dir, s->pool->host_id, error) &&
        s->o.lease->acquire_spm(master.sd, dir, s->pool->host_id, error)) {
        json_object *made =
            vr_st_ask(s, master.connection, "master_make", vr_st_args(&master, NULL), NULL, error);
        json_object *healed = made ? vr_st_ask(s, master.connection, "domain_heal",
                                               vr_st_args(&master, NULL), NULL, error)
                                   : NULL;
        if (healed) {
            vr_st_tasks_load(s, &master);
            g_mutex_lock(&s->lock);
            s->pool->spm = true;
            g_mutex_unlock(&s->lock);
        } else {
            s->o.lease->release_spm(master.sd);
        }
        json_object_put(made);
        json_object_put(healed);
    }
    g_mutex_unlock(&s->pool_lock);
    return *error ? NULL : vr_st_true();
}

char *vr_st_storage_pool_spm_start(struct vr_storage *s, const void *params,
                                   struct vr_error **error)
{
    const struct vr_rpc_storage_pool_spm_start_params *p = params;
    g_mutex_lock(&s->lock);
    bool here = s->pool && g_strcmp0(s->pool->id, p->storagepool_id) == 0;
    g_mutex_unlock(&s->lock);
    if (here)
        return vr_st_task(s, "spmStart", start_spm, params, error);
    vr_storage_error(error, pool_unknown, NULL);
    return NULL;
}

char *vr_st_storage_pool_spm_stop(struct vr_storage *s, const void *params, struct vr_error **error)
{
    const struct vr_rpc_storage_pool_spm_stop_params *p = params;
    if (!vr_st_need_spm(s, p->storagepool_id, error))
        return NULL;
    if (vr_st_tasks_running(s)) {
        vr_storage_error(error, spm_stop, NULL);
        return NULL;
    }
    g_mutex_lock(&s->pool_lock);
    g_mutex_lock(&s->lock);
    s->pool->spm = false;
    g_mutex_unlock(&s->lock);
    s->o.lease->release_spm(s->pool->master);
    g_mutex_unlock(&s->pool_lock);
    return vr_st_true();
}
