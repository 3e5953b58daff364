/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/storage/storage_private.h"

#include <glib/gstdio.h>
#include <unistd.h>

/* The wire's numbers (facts/host-rpc.md 15.5). */
static const char *format_word(int64_t format)
{
    return format == 4 ? "COW" : format == 5 ? "RAW" : "";
}

static const char *allocation_word(int64_t preallocate)
{
    return preallocate == 1 ? "PREALLOCATED" : preallocate == 2 ? "SPARSE" : "";
}

/* A decimal text of bytes, as a number for iod. */
static bool put_bytes(json_object *args, const char *key, const char *text, struct vr_error **error)
{
    char *end = NULL;
    guint64 value = text ? g_ascii_strtoull(text, &end, 10) : 0;
    if (!text || !*text || *end || *text == '-' || value > INT64_MAX) {
        vr_storage_error(error, invalid_parameter, "%s is not a number of bytes.", key);
        return false;
    }
    json_object_object_add(args, key, json_object_new_int64((int64_t)value));
    return true;
}

/* Asks about one volume and passes the answer on. */
static char *ask_volume(struct vr_storage *s, const char *sd, const char *img, const char *vol,
                        const char *op, struct vr_error **error)
{
    vr_auto_domain struct vr_st_domain domain = { 0 };
    if (!vr_st_find(s, sd, &domain, error))
        return NULL;
    return vr_st_ask_text(s, &domain, op, vr_st_args(&domain, "img", img, "vol", vol, NULL), NULL,
                          error);
}

/* ---- tasks of the SPM ---- */

/* A task's only request: it may take as long as it takes, and can be cancelled. */
static char *work_ask(struct vr_storage *s, struct vr_st_work *work,
                      const struct vr_st_domain *domain, const char *op, json_object *args,
                      struct vr_error **error)
{
    const struct vr_st_request how = { .no_deadline = true, .work = work };
    return vr_st_ask_text(s, domain, op, args, &how, error);
}

static char *create_volume(struct vr_storage *s, struct vr_st_work *work, struct vr_error **error)
{
    const struct vr_rpc_volume_create_params *p = work->params;
    vr_auto_domain struct vr_st_domain domain = { 0 };
    if (!vr_st_find(s, p->storagedomain_id, &domain, error))
        return NULL;
    json_object *args =
        vr_st_args(&domain, "img", p->image_id, "vol", p->volume_id, "format",
                   format_word(p->vol_format), "type", allocation_word(p->preallocate), "disktype",
                   p->disk_type && vr_volume_disktype_valid(p->disk_type) ? p->disk_type : "DATA",
                   "description", p->desc ? p->desc : "", NULL);
    if (p->src_img_uuid && vr_format_uuid_valid(p->src_img_uuid))
        json_object_object_add(args, "src_img", json_object_new_string(p->src_img_uuid));
    if (p->src_vol_uuid && vr_format_uuid_valid(p->src_vol_uuid))
        json_object_object_add(args, "src_vol", json_object_new_string(p->src_vol_uuid));
    if (p->has.legal)
        json_object_object_add(args, "legal", json_object_new_boolean(p->legal));
    json_object_object_add(args, "sequence", json_object_new_int64(VR_GET(p, sequence, 0)));
    if (!put_bytes(args, "size", p->size, error)) {
        json_object_put(args);
        return NULL;
    }
    return work_ask(s, work, &domain, "volume_create", args, error);
}

char *vr_st_volume_create(struct vr_storage *s, const void *params, struct vr_error **error)
{
    const struct vr_rpc_volume_create_params *p = params;
    if (!vr_st_need_spm(s, p->storagepool_id, error) ||
        !vr_st_uuid(p->storagedomain_id, "storagedomainID", error) ||
        !vr_st_uuid(p->image_id, "imageID", error) || !vr_st_uuid(p->volume_id, "volumeID", error))
        return NULL;
    return vr_st_task(s, "createVolume", create_volume, params, error);
}

static char *extend_volume(struct vr_storage *s, struct vr_st_work *work, struct vr_error **error)
{
    const struct vr_rpc_volume_extend_size_params *p = work->params;
    vr_auto_domain struct vr_st_domain domain = { 0 };
    if (!vr_st_find(s, p->storagedomain_id, &domain, error))
        return NULL;
    json_object *args = vr_st_args(&domain, "img", p->image_id, "vol", p->volume_id, NULL);
    if (!put_bytes(args, "size", p->new_size, error)) {
        json_object_put(args);
        return NULL;
    }
    return work_ask(s, work, &domain, "volume_extend", args, error);
}

char *vr_st_volume_extend_size(struct vr_storage *s, const void *params, struct vr_error **error)
{
    const struct vr_rpc_volume_extend_size_params *p = params;
    if (!vr_st_need_spm(s, p->storagepool_id, error))
        return NULL;
    return vr_st_task(s, "extendVolumeSize", extend_volume, params, error);
}

static char *delete_volumes(struct vr_storage *s, struct vr_st_work *work, const char *sd,
                            const char *img, const struct vr_list *volumes, const char *one,
                            bool force, struct vr_error **error)
{
    vr_auto_domain struct vr_st_domain domain = { 0 };
    if (!vr_st_find(s, sd, &domain, error))
        return NULL;
    json_object *args = vr_st_args(&domain, "img", img, NULL), *list = json_object_new_array();
    for (unsigned i = 0; volumes && i < volumes->len; i++)
        json_object_array_add(list, json_object_new_string(volumes->items[i]));
    if (one)
        json_object_array_add(list, json_object_new_string(one));
    json_object_object_add(args, "volumes", list);
    json_object_object_add(args, "force", json_object_new_boolean(force));
    return work_ask(s, work, &domain, "volume_delete", args, error);
}

static char *run_volume_delete(struct vr_storage *s, struct vr_st_work *work,
                               struct vr_error **error)
{
    const struct vr_rpc_volume_delete_params *p = work->params;
    return delete_volumes(s, work, p->storagedomain_id, p->image_id, NULL, p->volume_id, p->force,
                          error);
}

static char *run_delete_volumes(struct vr_storage *s, struct vr_st_work *work,
                                struct vr_error **error)
{
    const struct vr_rpc_image_delete_volumes_params *p = work->params;
    return delete_volumes(s, work, p->storagedomain_id, p->image_id, &p->volume_list, NULL,
                          p->force, error);
}

static char *run_image_delete(struct vr_storage *s, struct vr_st_work *work,
                              struct vr_error **error)
{
    const struct vr_rpc_image_delete_params *p = work->params;
    vr_auto_domain struct vr_st_domain domain = { 0 };
    if (!vr_st_find(s, p->storagedomain_id, &domain, error))
        return NULL;
    json_object *args = vr_st_args(&domain, "img", p->image_id, NULL);
    json_object_object_add(args, "force", json_object_new_boolean(p->force));
    return work_ask(s, work, &domain, "image_delete", args, error);
}

/* facts/storage-format.md 3: discard is refused on file domains, wiping only warned of. */
static bool deletable(struct vr_storage *s, const char *sp, const char *img, bool discard,
                      bool post_zero, struct vr_error **error)
{
    if (!vr_st_need_spm(s, sp, error) || !vr_st_uuid(img, "imageID", error))
        return false;
    if (discard)
        vr_storage_error(error, domain_no_discard, NULL);
    else if (post_zero)
        vr_log_warning("Image %s is not wiped before it is deleted: file storage cannot.", img);
    return !discard;
}

char *vr_st_volume_delete(struct vr_storage *s, const void *params, struct vr_error **error)
{
    const struct vr_rpc_volume_delete_params *p = params;
    if (!deletable(s, p->storagepool_id, p->image_id, p->discard, p->post_zero, error))
        return NULL;
    return vr_st_task(s, "deleteVolume", run_volume_delete, params, error);
}

char *vr_st_image_delete_volumes(struct vr_storage *s, const void *params, struct vr_error **error)
{
    const struct vr_rpc_image_delete_volumes_params *p = params;
    if (!deletable(s, p->storagepool_id, p->image_id, p->discard, p->post_zero, error))
        return NULL;
    return vr_st_task(s, "deleteVolume", run_delete_volumes, params, error);
}

char *vr_st_image_delete(struct vr_storage *s, const void *params, struct vr_error **error)
{
    const struct vr_rpc_image_delete_params *p = params;
    vr_auto_domain struct vr_st_domain domain = { 0 };
    if (!deletable(s, p->storagepool_id, p->image_id, p->discard, p->post_zero, error) ||
        !vr_st_find(s, p->storagedomain_id, &domain, error))
        return NULL;
    /* An image that is not there is told at once, as clients expect, not by a failed task. */
    json_object *list = vr_st_ask(s, domain.connection, "volume_list",
                                  vr_st_args(&domain, "img", p->image_id, NULL), NULL, error);
    if (!list)
        return NULL;
    json_object_put(list);
    return vr_st_task(s, "deleteImage", run_image_delete, params, error);
}

static char *run_merge_step(struct vr_storage *s, struct vr_st_work *work, const char *op,
                            const struct vr_rpc_subchain_info *chain, struct vr_error **error)
{
    vr_auto_domain struct vr_st_domain domain = { 0 };
    if (!chain) {
        vr_storage_error(error, invalid_parameter, "The chain is missing.");
        return NULL;
    }
    if (!vr_st_find(s, chain->sd_id, &domain, error))
        return NULL;
    json_object *args = vr_st_args(&domain, "img", chain->img_id, "base", chain->base_id, "top",
                                   chain->top_id, NULL);
    if (chain->has.base_generation)
        json_object_object_add(args, "generation", json_object_new_int64(chain->base_generation));
    const struct vr_st_request how = { .no_deadline = true, .work = work, .once = true };
    return vr_st_ask_text(s, &domain, op, args, &how, error);
}

static char *run_prepare_merge(struct vr_storage *s, struct vr_st_work *work,
                               struct vr_error **error)
{
    const struct vr_rpc_storage_pool_prepare_merge_params *p = work->params;
    return run_merge_step(s, work, "merge_prepare", p->subchain_info, error);
}

static char *run_finalize_merge(struct vr_storage *s, struct vr_st_work *work,
                                struct vr_error **error)
{
    const struct vr_rpc_storage_pool_finalize_merge_params *p = work->params;
    return run_merge_step(s, work, "merge_finalize", p->subchain_info, error);
}

char *vr_st_storage_pool_prepare_merge(struct vr_storage *s, const void *params,
                                       struct vr_error **error)
{
    const struct vr_rpc_storage_pool_prepare_merge_params *p = params;
    if (!vr_st_need_spm(s, p->storagepool_id, error))
        return NULL;
    return vr_st_task(s, "prepareMerge", run_prepare_merge, params, error);
}

char *vr_st_storage_pool_finalize_merge(struct vr_storage *s, const void *params,
                                        struct vr_error **error)
{
    const struct vr_rpc_storage_pool_finalize_merge_params *p = params;
    if (!vr_st_need_spm(s, p->storagepool_id, error))
        return NULL;
    return vr_st_task(s, "finalizeMerge", run_finalize_merge, params, error);
}

static char *nothing(struct vr_storage *s VR_UNUSED, struct vr_st_work *work VR_UNUSED,
                     struct vr_error **error VR_UNUSED)
{
    return vr_st_true();
}

/* A file has no extents to give back. */
char *vr_st_storage_pool_reduce_volume(struct vr_storage *s, const void *params,
                                       struct vr_error **error)
{
    const struct vr_rpc_storage_pool_reduce_volume_params *p = params;
    if (!vr_st_need_spm(s, p->storagepool_id, error))
        return NULL;
    return vr_st_task(s, "reduceVolume", nothing, params, error);
}

/* ---- volumes ---- */

char *vr_st_volume_get_info(struct vr_storage *s, const void *params, struct vr_error **error)
{
    const struct vr_rpc_volume_get_info_params *p = params;
    return ask_volume(s, p->storagedomain_id, p->image_id, p->volume_id, "volume_info", error);
}

char *vr_st_volume_get_size(struct vr_storage *s, const void *params, struct vr_error **error)
{
    const struct vr_rpc_volume_get_size_params *p = params;
    return ask_volume(s, p->storagedomain_id, p->image_id, p->volume_id, "volume_size", error);
}

char *vr_st_volume_get_qemu_image_info(struct vr_storage *s, const void *params,
                                       struct vr_error **error)
{
    const struct vr_rpc_volume_get_qemu_image_info_params *p = params;
    return ask_volume(s, p->storagedomain_id, p->image_id, p->volume_id, "qemu_info", error);
}

char *vr_st_volume_verify_untrusted(struct vr_storage *s, const void *params,
                                    struct vr_error **error)
{
    const struct vr_rpc_volume_verify_untrusted_params *p = params;
    return ask_volume(s, p->storagedomain_id, p->image_id, p->volume_id, "verify", error);
}

char *vr_st_volume_measure(struct vr_storage *s, const void *params, struct vr_error **error)
{
    const struct vr_rpc_volume_measure_params *p = params;
    vr_auto_domain struct vr_st_domain domain = { 0 };
    if (!vr_st_find(s, p->storagedomain_id, &domain, error))
        return NULL;
    json_object *args = vr_st_args(&domain, "img", p->image_id, "vol", p->volume_id, "format",
                                   format_word(p->dst_vol_format), NULL);
    json_object_object_add(args, "backing_chain",
                           json_object_new_boolean(VR_GET(p, backing_chain, true)));
    return vr_st_ask_text(s, &domain, "measure", args, NULL, error);
}

/* Nothing to refresh: files grow by themselves. */
char *vr_st_volume_refresh(struct vr_storage *s, const void *params, struct vr_error **error)
{
    const struct vr_rpc_volume_refresh_params *p = params;
    g_autofree char *text =
        ask_volume(s, p->storagedomain_id, p->image_id, p->volume_id, "volume_size", error);
    return text ? vr_st_true() : NULL;
}

static char *update_volume(struct vr_storage *s, const char *sp, const char *sd, const char *img,
                           const char *vol, const char *key, const char *value,
                           struct vr_error **error)
{
    vr_auto_domain struct vr_st_domain domain = { 0 };
    if (!vr_st_need_spm(s, sp, error) || !vr_st_find(s, sd, &domain, error))
        return NULL;
    return vr_st_ask_text(s, &domain, "volume_update",
                          vr_st_args(&domain, "img", img, "vol", vol, key, value, NULL), NULL,
                          error);
}

char *vr_st_volume_set_description(struct vr_storage *s, const void *params,
                                   struct vr_error **error)
{
    const struct vr_rpc_volume_set_description_params *p = params;
    return update_volume(s, p->storagepool_id, p->storagedomain_id, p->image_id, p->volume_id,
                         "description", p->description, error);
}

char *vr_st_volume_set_legality(struct vr_storage *s, const void *params, struct vr_error **error)
{
    const struct vr_rpc_volume_set_legality_params *p = params;
    return update_volume(s, p->storagepool_id, p->storagedomain_id, p->image_id, p->volume_id,
                         "legality", p->legality, error);
}

/* ---- images ---- */

static char *link_path(struct vr_storage *s, const char *sd, const char *img)
{
    return g_build_filename(s->o.link_root, sd, img, NULL);
}

char *vr_st_image_prepare(struct vr_storage *s, const void *params, struct vr_error **error)
{
    const struct vr_rpc_image_prepare_params *p = params;
    vr_auto_domain struct vr_st_domain domain = { 0 };
    if (!vr_st_find(s, p->storagedomain_id, &domain, error))
        return NULL;
    json_object *args = vr_st_args(&domain, "img", p->image_id, "vol", p->volume_id, NULL);
    json_object_object_add(args, "allow_illegal", json_object_new_boolean(p->allow_illegal));
    json_object *prepared = vr_st_ask(s, domain.connection, "image_prepare", args, NULL, error);
    if (!prepared)
        return NULL;
    json_object *info = json_object_new_object(), *result = json_object_new_object(), *chain = NULL;
    const char *path = vr_st_member(prepared, "path");
    json_object_object_add(info, "type", json_object_new_string("file"));
    json_object_object_add(info, "path", json_object_new_string(path));
    json_object_object_add(result, "path", json_object_new_string(path));
    json_object_object_add(result, "format",
                           json_object_new_string(vr_st_member(prepared, "format")));
    json_object_object_add(result, "info", info);
    json_object_object_get_ex(prepared, "chain", &chain);
    json_object_object_add(result, "imgVolumesInfo", json_object_get(chain));
    /* facts/storage-format.md 2: the run link of a prepared image. */
    g_autofree char *link = link_path(s, domain.sd, p->image_id);
    g_autofree char *parent = g_path_get_dirname(link), *to = g_path_get_dirname(path);
    g_autofree char *fresh = g_strconcat(link, ".new", NULL);
    (void)g_unlink(fresh);
    if (g_mkdir_with_parents(parent, 0755) < 0 || symlink(to, fresh) < 0 ||
        g_rename(fresh, link) < 0)
        vr_log_warning("%s cannot be linked.", link);
    char *text = g_strdup(json_object_to_json_string_ext(result, JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(result);
    json_object_put(prepared);
    return text;
}

static char *teardown(struct vr_storage *s, const char *sd, const char *img,
                      struct vr_error **error)
{
    if (!vr_st_uuid(sd, "storagedomainID", error) || !vr_st_uuid(img, "imageID", error))
        return NULL;
    g_autofree char *link = link_path(s, sd, img);
    (void)g_unlink(link);
    return vr_st_true();
}

char *vr_st_image_teardown(struct vr_storage *s, const void *params, struct vr_error **error)
{
    const struct vr_rpc_image_teardown_params *p = params;
    return teardown(s, p->storagedomain_id, p->image_id, error);
}

char *vr_st_volume_teardown(struct vr_storage *s, const void *params, struct vr_error **error)
{
    const struct vr_rpc_volume_teardown_params *p = params;
    return teardown(s, p->storagedomain_id, p->image_id, error);
}

char *vr_st_image_get_volumes(struct vr_storage *s, const void *params, struct vr_error **error)
{
    const struct vr_rpc_image_get_volumes_params *p = params;
    return ask_volume(s, p->storagedomain_id, p->image_id, NULL, "volume_list", error);
}

char *vr_st_image_reconcile_volume_chain(struct vr_storage *s, const void *params,
                                         struct vr_error **error)
{
    const struct vr_rpc_image_reconcile_volume_chain_params *p = params;
    return ask_volume(s, p->storagedomain_id, p->image_id, p->leaf_vol_id, "image_chain", error);
}

/* ---- jobs: on any host ---- */

static bool same_word(const char *text, const char *word)
{
    return text && g_ascii_strcasecmp(text, word) == 0;
}

/* Where a copy reads from: the path or URL, its format, and whether the domain was prepared. */
static bool copy_source(struct vr_storage *s, const struct vr_rpc_copy_data_endpoint *from,
                        char **path, char **format, struct vr_error **error)
{
    if (same_word(from->endpoint_type, "external")) {
        *path = g_strdup(from->url);
        *format = g_strdup(from->format ? from->format : "raw");
        if (!*path || !g_str_has_prefix(*path, "nbd:")) {
            vr_storage_error(error, invalid_parameter, "An external end needs an nbd: URL.");
            return false;
        }
        return true;
    }
    vr_auto_domain struct vr_st_domain domain = { 0 };
    if (!vr_st_find(s, from->sd_id, &domain, error))
        return false;
    json_object *prepared =
        vr_st_ask(s, domain.connection, "image_prepare",
                  vr_st_args(&domain, "img", from->img_id, "vol", from->vol_id, NULL), NULL, error);
    *path = g_strdup(vr_st_member(prepared, "path"));
    *format = g_strdup(vr_st_member(prepared, "format"));
    json_object_put(prepared);
    return *error == NULL;
}

static char *copy_out(struct vr_storage *s, struct vr_st_work *work,
                      const struct vr_rpc_copy_data_endpoint *from,
                      const struct vr_rpc_copy_data_endpoint *to, struct vr_error **error)
{
    vr_auto_domain struct vr_st_domain domain = { 0 };
    if (same_word(from->endpoint_type, "external") || !to->url ||
        !g_str_has_prefix(to->url, "nbd:")) {
        vr_storage_error(error, invalid_parameter, "An external end needs an nbd: URL.");
        return NULL;
    }
    if (!vr_st_find(s, from->sd_id, &domain, error))
        return NULL;
    json_object *args = vr_st_args(&domain, "img", from->img_id, "vol", from->vol_id, "to", to->url,
                                   "to_format", to->format ? to->format : "raw", NULL);
    json_object_object_add(args, "is_zero", json_object_new_boolean(to->is_zero));
    return work_ask(s, work, &domain, "copy_out", args, error);
}

static char *copy_data(struct vr_storage *s, struct vr_st_work *work, struct vr_error **error)
{
    const struct vr_rpc_sdm_copy_data_params *p = work->params;
    const struct vr_rpc_copy_data_endpoint *from = p->source, *to = p->destination;
    if (same_word(to->endpoint_type, "external"))
        return copy_out(s, work, from, to, error);
    g_autofree char *path = NULL, *format = NULL;
    vr_auto_domain struct vr_st_domain domain = { 0 };
    if (!copy_source(s, from, &path, &format, error) || !vr_st_find(s, to->sd_id, &domain, error))
        return NULL;
    json_object *args = vr_st_args(&domain, "img", to->img_id, "vol", to->vol_id, "from", path,
                                   "from_format", format, NULL);
    if (to->has.generation)
        json_object_object_add(args, "generation", json_object_new_int64(to->generation));
    json_object_object_add(args, "bitmaps", json_object_new_boolean(p->copy_bitmaps));
    json_object_object_add(args, "is_zero", json_object_new_boolean(to->is_zero));
    /* A copy cut short leaves the volume illegal; whether to try again is the client's to say. */
    const struct vr_st_request how = { .no_deadline = true, .work = work, .once = true };
    return vr_st_ask_text(s, &domain, "copy_in", args, &how, error);
}

char *vr_st_sdm_copy_data(struct vr_storage *s, const void *params, struct vr_error **error)
{
    const struct vr_rpc_sdm_copy_data_params *p = params;
    if (!p->source || !p->destination) {
        vr_storage_error(error, invalid_parameter, "source or destination is missing.");
        return NULL;
    }
    return vr_st_job(s, p->job_id, "copy_data", copy_data, params, error);
}

static char *merge(struct vr_storage *s, struct vr_st_work *work, struct vr_error **error)
{
    const struct vr_rpc_sdm_merge_params *p = work->params;
    return run_merge_step(s, work, "merge", p->subchain_info, error);
}

char *vr_st_sdm_merge(struct vr_storage *s, const void *params, struct vr_error **error)
{
    const struct vr_rpc_sdm_merge_params *p = params;
    return vr_st_job(s, p->job_id, "merge_subchain", merge, params, error);
}

static char *update(struct vr_storage *s, struct vr_st_work *work, struct vr_error **error)
{
    const struct vr_rpc_sdm_update_volume_params *p = work->params;
    const struct vr_rpc_volume_attributes *v = p->vol_attr;
    vr_auto_domain struct vr_st_domain domain = { 0 };
    if (!vr_st_find(s, p->vol_info->sd_id, &domain, error))
        return NULL;
    json_object *args =
        vr_st_args(&domain, "img", p->vol_info->img_id, "vol", p->vol_info->vol_id, NULL);
    const struct {
        const char *key, *value;
    } rows[] = { { "legality", v->legality },
                 { "description", v->description },
                 { "role", v->type } };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++)
        if (rows[i].value)
            json_object_object_add(args, rows[i].key, json_object_new_string(rows[i].value));
    if (p->vol_info->has.generation)
        json_object_object_add(args, "generation", json_object_new_int64(p->vol_info->generation));
    if (v->has.generation)
        json_object_object_add(args, "new_generation", json_object_new_int64(v->generation));
    else
        json_object_object_add(args, "bump", json_object_new_boolean(1));
    const struct vr_st_request how = { .work = work, .once = true };
    return vr_st_ask_text(s, &domain, "volume_update", args, &how, error);
}

char *vr_st_sdm_update_volume(struct vr_storage *s, const void *params, struct vr_error **error)
{
    const struct vr_rpc_sdm_update_volume_params *p = params;
    if (!p->vol_info || !p->vol_attr) {
        vr_storage_error(error, invalid_parameter, "vol_info or vol_attr is missing.");
        return NULL;
    }
    return vr_st_job(s, p->job_id, "update_volume", update, params, error);
}
