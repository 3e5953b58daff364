/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/storage/pool_private.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <unistd.h>

/* ---- verbs: a domain's place in the pool ---- */

static bool set_status(struct vr_storage *s, const char *sd, const char *status,
                       struct vr_error **error)
{
    g_mutex_lock(&s->lock);
    if (status)
        g_hash_table_replace(s->pool->domains, g_strdup(sd), g_strdup(status));
    else
        g_hash_table_remove(s->pool->domains, sd);
    g_mutex_unlock(&s->lock);
    return vr_st_write_domains(s, error);
}

static const char *status_of(struct vr_storage *s, const char *sd)
{
    g_mutex_lock(&s->lock);
    const char *status = g_hash_table_lookup(s->pool->domains, sd);
    const char *word = status ? vr_st_status_word(status) : NULL;
    g_mutex_unlock(&s->lock);
    return word;
}

char *vr_st_storage_domain_attach(struct vr_storage *s, const void *params, struct vr_error **error)
{
    const struct vr_rpc_storage_domain_attach_params *p = params;
    if (!vr_st_need_spm(s, p->storagepool_id, error))
        return NULL;
    g_mutex_lock(&s->pool_lock);
    json_object *info = vr_st_info(s, p->storagedomain_id, error);
    const char *pool = vr_st_member(info, "POOL_UUID");
    if (info && *pool && strcmp(pool, p->storagepool_id) != 0)
        vr_storage_error(error, domain_attached, "It is in pool %s.", pool);
    else if (info && g_hash_table_size(s->pool->domains) >= VR_ST_DOMAINS_MAX)
        vr_storage_error(error, pool_too_many, NULL);
    else if (info &&
             vr_st_set_keys(s, p->storagedomain_id, error, "POOL_UUID", p->storagepool_id, NULL) &&
             !status_of(s, p->storagedomain_id))
        (void)set_status(s, p->storagedomain_id, "Attached", error);
    json_object_put(info);
    if (!*error)
        vr_st_pool_links(s);
    g_mutex_unlock(&s->pool_lock);
    return *error ? NULL : vr_st_true();
}

char *vr_st_storage_domain_activate(struct vr_storage *s, const void *params,
                                    struct vr_error **error)
{
    const struct vr_rpc_storage_domain_activate_params *p = params;
    if (!vr_st_need_spm(s, p->storagepool_id, error))
        return NULL;
    g_mutex_lock(&s->pool_lock);
    vr_auto_domain struct vr_st_domain domain = { 0 };
    if (!status_of(s, p->storagedomain_id)) {
        vr_storage_error(error, domain_not_in_pool, "%s", p->storagedomain_id);
    } else if (vr_st_find(s, p->storagedomain_id, &domain, error)) {
        json_object *healed =
            vr_st_ask(s, domain.connection, "domain_heal", vr_st_args(&domain, NULL), NULL, error);
        json_object_put(healed);
        if (healed && set_status(s, p->storagedomain_id, "Active", error)) {
            vr_st_pool_links(s);
            vr_st_watch_domains(s);
        }
    }
    g_mutex_unlock(&s->pool_lock);
    return *error ? NULL : vr_st_true();
}

/* facts/storage-format.md 13: the new master first, so that a crash leaves one of a higher version.
 */
static bool hand_over(struct vr_storage *s, const char *sd, const char *master, int64_t version,
                      struct vr_error **error)
{
    json_object *info = vr_st_info(s, sd, error);
    g_autofree char *name = g_strdup(vr_st_member(info, "POOL_DESCRIPTION"));
    json_object_put(info);
    if (!info)
        return false;
    g_mutex_lock(&s->lock);
    g_autofree char *domains = vr_st_domains_text(s->pool);
    g_mutex_unlock(&s->lock);
    if (!vr_st_make_master(s, s->pool->id, name, master, version, domains, error) ||
        !vr_st_set_keys(s, sd, error, "ROLE", "Regular", NULL))
        return false;
    s->o.lease->release_spm(sd);
    if (!s->o.lease->acquire_spm(master, NULL, s->pool->host_id, error))
        return false;
    g_mutex_lock(&s->lock);
    g_strlcpy(s->pool->master, master, sizeof(s->pool->master));
    s->pool->master_version = version;
    g_mutex_unlock(&s->lock);
    return true;
}

char *vr_st_storage_domain_deactivate(struct vr_storage *s, const void *params,
                                      struct vr_error **error)
{
    const struct vr_rpc_storage_domain_deactivate_params *p = params;
    if (!vr_st_need_spm(s, p->storagepool_id, error))
        return NULL;
    g_mutex_lock(&s->pool_lock);
    const char *sd = p->storagedomain_id;
    bool new_master = p->master_sd_uuid && vr_format_uuid_valid(p->master_sd_uuid) &&
                      strcmp(p->master_sd_uuid, VR_BLANK_UUID) != 0 &&
                      strcmp(p->master_sd_uuid, sd) != 0;
    if (!status_of(s, sd))
        vr_storage_error(error, domain_not_in_pool, "%s", sd);
    else if (strcmp(s->pool->master, sd) == 0 && new_master)
        (void)hand_over(s, sd, p->master_sd_uuid, p->master_version, error);
    if (!*error && set_status(s, sd, "Attached", error)) {
        vr_st_monitor_stop(s, sd);
        s->o.lease->release_host_id(sd);
        vr_st_pool_links(s);
    }
    g_mutex_unlock(&s->pool_lock);
    return *error ? NULL : vr_st_true();
}

char *vr_st_storage_domain_detach(struct vr_storage *s, const void *params, struct vr_error **error)
{
    const struct vr_rpc_storage_domain_detach_params *p = params;
    if (!vr_st_need_spm(s, p->storagepool_id, error))
        return NULL;
    g_mutex_lock(&s->pool_lock);
    const char *sd = p->storagedomain_id, *status = sd ? status_of(s, sd) : NULL;
    if (!status)
        vr_storage_error(error, domain_not_in_pool, "%s", sd ? sd : "?");
    else if (strcmp(s->pool->master, sd) == 0)
        vr_storage_error(error, domain_detach_master, NULL);
    else if (strcmp(status, "Active") == 0 && !p->force)
        vr_storage_error(error, domain_active, NULL);
    if (!*error) {
        vr_auto_error struct vr_error *unreachable = NULL;
        if (!vr_st_set_keys(s, sd, &unreachable, "POOL_UUID", "", "ROLE", "Regular", NULL) &&
            !p->force)
            vr_error_move(error, &unreachable);
        else if (set_status(s, sd, NULL, error))
            vr_st_monitor_stop(s, sd);
    }
    if (!*error) {
        g_autofree char *dir = vr_st_pool_dir(s, s->pool->id);
        g_autofree char *link = g_build_filename(dir, sd, NULL);
        (void)g_unlink(link);
    }
    g_mutex_unlock(&s->pool_lock);
    return *error ? NULL : vr_st_true();
}
