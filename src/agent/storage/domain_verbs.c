/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/storage/storage_private.h"

/* typeArgs is the connection as a plain string; some clients send {"remotePath": ...}. */
static char *remote_path(const char *type_args)
{
    json_object *value = type_args ? json_tokener_parse(type_args) : NULL;
    char *path = NULL;
    if (json_object_is_type(value, json_type_string))
        path = g_strdup(json_object_get_string(value));
    else if (json_object_is_type(value, json_type_object))
        path = g_strdup(vr_st_member(value, "remotePath"));
    json_object_put(value);
    return path;
}

char *vr_st_storage_domain_create(struct vr_storage *s, const void *params, struct vr_error **error)
{
    const struct vr_rpc_storage_domain_create_params *p = params;
    static const char *const classes[] = { NULL, "Data", "Iso", "Backup" };
    const struct vr_storage_driver *driver = vr_storage_driver_by_type((int)p->domain_type);
    const char *class =
        p->domain_class > 0 && p->domain_class < 4 ? classes[p->domain_class] : NULL;
    g_autofree char *remote = remote_path(p->type_args);
    if (!vr_st_uuid(p->storagedomain_id, "storagedomainID", error))
        return NULL;
    if (!driver || !class || !remote || !*remote) {
        vr_storage_error(error, invalid_parameter,
                         "domainType, domainClass or typeArgs is missing.");
        return NULL;
    }
    g_autofree char *name = vr_format_path_transform(remote);
    g_autofree char *target = g_build_filename(s->mnt, name, NULL);
    struct vr_st_domain domain = { 0 };
    g_mutex_lock(&s->lock);
    domain.connection = g_hash_table_lookup(s->connections, target);
    if (domain.connection)
        g_atomic_int_inc(&domain.connection->refs);
    g_mutex_unlock(&s->lock);
    if (!domain.connection || domain.connection->driver != driver) {
        vr_storage_error(error, domain_not_mounted, "%s is not connected.", remote);
        vr_st_domain_done(&domain);
        return NULL;
    }
    g_strlcpy(domain.sd, p->storagedomain_id, sizeof(domain.sd));
    json_object *args = vr_st_args(&domain, "driver", driver->name, "name", p->name, "class", class,
                                   "remote_path", remote, NULL);
    json_object_object_add(
        args, "version", json_object_new_int64(VR_GET(p, version, strcmp(class, "Data") ? 0 : 5)));
    json_object_object_add(args, "block_size", json_object_new_int64(VR_GET(p, block_size, 512)));
    json_object_object_add(args, "max_hosts", json_object_new_int64(VR_GET(p, max_hosts, 250)));
    char *text = vr_st_ask_text(s, &domain, "domain_create", args, NULL, error);
    vr_st_domain_done(&domain);
    return text;
}

static json_object *number_or(json_object *info, const char *key, int64_t otherwise)
{
    const char *text = vr_st_member(info, key);
    return json_object_new_int64(*text ? g_ascii_strtoll(text, NULL, 10) : otherwise);
}

char *vr_st_storage_domain_get_info(struct vr_storage *s, const void *params,
                                    struct vr_error **error)
{
    const struct vr_rpc_storage_domain_get_info_params *p = params;
    vr_auto_domain struct vr_st_domain domain = { 0 };
    if (!vr_st_find(s, p->storagedomain_id, &domain, error))
        return NULL;
    json_object *meta =
        vr_st_ask(s, domain.connection, "domain_info", vr_st_args(&domain, NULL), NULL, error);
    if (!meta)
        return NULL;
    static const struct {
        const char *wire, *key;
    } words[] = {
        { "uuid", "SDUUID" }, { "name", "DESCRIPTION" }, { "type", "TYPE" },
        { "class", "CLASS" }, { "role", "ROLE" },        { "remotePath", "REMOTE_PATH" }
    };
    json_object *info = json_object_new_object(), *pools = json_object_new_array();
    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++)
        json_object_object_add(info, words[i].wire,
                               json_object_new_string(vr_st_member(meta, words[i].key)));
    g_auto(GStrv) ids = g_strsplit(vr_st_member(meta, "POOL_UUID"), ",", 16);
    for (unsigned i = 0; ids[i]; i++)
        if (*ids[i])
            json_object_array_add(pools, json_object_new_string(ids[i]));
    json_object_object_add(info, "pool", pools);
    json_object_object_add(info, "version", number_or(meta, "VERSION", 0));
    json_object_object_add(info, "block_size", number_or(meta, "BLOCK_SIZE", 512));
    json_object_object_add(info, "alignment", number_or(meta, "ALIGNMENT", (int64_t)MiB(1)));
    json_object_object_add(info, "master_ver", number_or(meta, "MASTER_VERSION", 0));
    json_object_object_add(info, "lver", number_or(meta, "POOL_SPM_LVER", -1));
    json_object_object_add(info, "spm_id", number_or(meta, "POOL_SPM_ID", -1));
    json_object_object_add(info, "state", json_object_new_string("OK"));
    char *text = g_strdup(json_object_to_json_string_ext(info, JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(info);
    json_object_put(meta);
    return text;
}

/* Asks one thing of a domain and passes the answer on. */
static char *ask_domain(struct vr_storage *s, const char *sd, const char *op,
                        struct vr_error **error)
{
    vr_auto_domain struct vr_st_domain domain = { 0 };
    if (!vr_st_find(s, sd, &domain, error))
        return NULL;
    return vr_st_ask_text(s, &domain, op, vr_st_args(&domain, NULL), NULL, error);
}

char *vr_st_storage_domain_get_stats(struct vr_storage *s, const void *params,
                                     struct vr_error **error)
{
    const struct vr_rpc_storage_domain_get_stats_params *p = params;
    vr_auto_domain struct vr_st_domain domain = { 0 };
    if (!vr_st_find(s, p->storagedomain_id, &domain, error))
        return NULL;
    json_object *stats =
        vr_st_ask(s, domain.connection, "domain_stats", vr_st_args(&domain, NULL), NULL, error);
    if (!stats)
        return NULL;
    char *text =
        g_strdup_printf("{\"disktotal\":\"%s\",\"diskfree\":\"%s\",\"mdasize\":0,\"mdafree\":0,"
                        "\"mdavalid\":true,\"mdathreshold\":true}",
                        vr_st_member(stats, "disktotal"), vr_st_member(stats, "diskfree"));
    json_object_put(stats);
    return text;
}

char *vr_st_storage_domain_validate(struct vr_storage *s, const void *params,
                                    struct vr_error **error)
{
    const struct vr_rpc_storage_domain_validate_params *p = params;
    g_autofree char *text = ask_domain(s, p->storagedomain_id, "domain_check", error);
    return text ? vr_st_true() : NULL;
}

char *vr_st_storage_domain_get_images(struct vr_storage *s, const void *params,
                                      struct vr_error **error)
{
    const struct vr_rpc_storage_domain_get_images_params *p = params;
    return ask_domain(s, p->storagedomain_id, "image_list", error);
}

char *vr_st_storage_domain_get_volumes(struct vr_storage *s, const void *params,
                                       struct vr_error **error)
{
    const struct vr_rpc_storage_domain_get_volumes_params *p = params;
    vr_auto_domain struct vr_st_domain domain = { 0 };
    if (!vr_st_find(s, p->storagedomain_id, &domain, error))
        return NULL;
    const char *img = p->image_id && *p->image_id ? p->image_id : VR_BLANK_UUID;
    return vr_st_ask_text(s, &domain, "volume_list", vr_st_args(&domain, "img", img, NULL), NULL,
                          error);
}

char *vr_st_storage_domain_get_file_stats(struct vr_storage *s, const void *params,
                                          struct vr_error **error)
{
    const struct vr_rpc_storage_domain_get_file_stats_params *p = params;
    vr_auto_domain struct vr_st_domain domain = { 0 };
    if (!vr_st_find(s, p->storagedomain_id, &domain, error))
        return NULL;
    json_object *args =
        vr_st_args(&domain, "pattern", p->pattern && *p->pattern ? p->pattern : "*", NULL);
    json_object_object_add(args, "case_sensitive", json_object_new_boolean(p->case_sensitive));
    return vr_st_ask_text(s, &domain, "file_stats", args, NULL, error);
}

char *vr_st_storage_domain_set_description(struct vr_storage *s, const void *params,
                                           struct vr_error **error)
{
    const struct vr_rpc_storage_domain_set_description_params *p = params;
    vr_auto_domain struct vr_st_domain domain = { 0 };
    if (!p->description || !vr_domain_description_valid(p->description)) {
        vr_storage_error(error, invalid_parameter, "The name is too long or no text.");
        return NULL;
    }
    if (!vr_st_find(s, p->storagedomain_id, &domain, error))
        return NULL;
    json_object *args = vr_st_args(&domain, NULL), *set = json_object_new_object();
    json_object_object_add(set, "DESCRIPTION", json_object_new_string(p->description));
    json_object_object_add(args, "set", set);
    return vr_st_ask_text(s, &domain, "domain_set", args, NULL, error);
}

char *vr_st_storage_domain_format(struct vr_storage *s, const void *params, struct vr_error **error)
{
    const struct vr_rpc_storage_domain_format_params *p = params;
    vr_auto_domain struct vr_st_domain domain = { 0 };
    if (!vr_st_find(s, p->storagedomain_id, &domain, error))
        return NULL;
    g_mutex_lock(&s->lock);
    bool used = s->pool && g_hash_table_contains(s->pool->domains, domain.sd);
    g_mutex_unlock(&s->lock);
    if (used) {
        vr_storage_error(error, domain_format_attached, NULL);
        return NULL;
    }
    json_object *args = vr_st_args(&domain, NULL);
    json_object_object_add(args, "auto_detach", json_object_new_boolean(p->auto_detach));
    const struct vr_st_request how = { .no_deadline = true };
    char *text = vr_st_ask_text(s, &domain, "domain_format", args, &how, error);
    if (text) {
        g_mutex_lock(&s->lock);
        g_hash_table_remove(s->where, domain.sd);
        g_mutex_unlock(&s->lock);
    }
    return text;
}

char *vr_st_storage_pool_get_domains_containing_image(struct vr_storage *s, const void *params,
                                                      struct vr_error **error)
{
    const struct vr_rpc_storage_pool_get_domains_containing_image_params *p = params;
    if (!vr_st_uuid(p->image_id, "imageID", error))
        return NULL;
    g_mutex_lock(&s->lock);
    g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func(g_free);
    GHashTableIter iter;
    gpointer sd;
    if (s->pool) {
        g_hash_table_iter_init(&iter, s->pool->domains);
        while (g_hash_table_iter_next(&iter, &sd, NULL))
            g_ptr_array_add(all, g_strdup(sd));
    }
    g_mutex_unlock(&s->lock);
    GString *text = g_string_new("[");
    for (unsigned i = 0; i < all->len; i++) {
        vr_auto_domain struct vr_st_domain domain = { 0 };
        vr_auto_error struct vr_error *absent = NULL;
        if (!vr_st_find(s, all->pdata[i], &domain, &absent))
            continue;
        json_object *list = vr_st_ask(s, domain.connection, "volume_list",
                                      vr_st_args(&domain, "img", p->image_id, NULL), NULL, &absent);
        if (list)
            g_string_append_printf(text, "%s\"%s\"", text->len > 1 ? "," : "", domain.sd);
        json_object_put(list);
    }
    g_string_append_c(text, ']');
    return g_string_free(text, FALSE);
}
