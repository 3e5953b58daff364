/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "iod"
#include "agent/storage/iod.h"

#include "agent/storage/qemu_img.h"

static const char *image_format(const struct vr_volume_meta *meta)
{
    return meta->format == VR_VOLUME_RAW ? "raw" : "qcow2";
}

static int open_volume(struct iod_request *request, struct iod_domain *domain, const char *key,
                       const char **vol, struct vr_volume_meta *meta, struct vr_error **error)
{
    const char *img = iod_uuid(request, "img", error);
    *vol = img ? iod_uuid(request, key, error) : NULL;
    if (!*vol || (domain->dir < 0 && !iod_domain_open(request, domain, error)))
        return -1;
    int dir = iod_image_open(domain, img, error);
    if (dir >= 0 && !iod_meta_read(dir, *vol, meta, error)) {
        close(dir);
        return -1;
    }
    return dir;
}

json_object *iod_op_qemu_info(struct iod_request *request, struct vr_error **error)
{
    iod_auto_domain struct iod_domain domain = IOD_DOMAIN_NONE;
    const char *vol;
    struct vr_volume_meta meta;
    vr_auto_fd int dir = open_volume(request, &domain, "vol", &vol, &meta, error);
    g_autofree char *text =
        dir >= 0 ? vr_qemu_img_info(request, dir, vol, image_format(&meta), error) : NULL;
    if (!text)
        return NULL;
    json_object *info = json_tokener_parse(text), *value, *specific, *data;
    json_object *result = json_object_new_object();
    iod_put(result, "format", image_format(&meta));
    if (json_object_object_get_ex(info, "virtual-size", &value))
        iod_put_integer(result, "virtualsize", json_object_get_int64(value));
    if (json_object_object_get_ex(info, "cluster-size", &value))
        iod_put_integer(result, "clustersize", json_object_get_int64(value));
    if (json_object_object_get_ex(info, "backing-filename", &value))
        iod_put(result, "backingfile", json_object_get_string(value));
    if (json_object_object_get_ex(info, "format-specific", &specific) &&
        json_object_object_get_ex(specific, "data", &data)) {
        if (json_object_object_get_ex(data, "compat", &value))
            iod_put(result, "compat", json_object_get_string(value));
        if (json_object_object_get_ex(data, "bitmaps", &value))
            json_object_object_add(result, "bitmaps", json_object_get(value));
    }
    json_object_put(info);
    return result;
}

json_object *iod_op_measure(struct iod_request *request, struct vr_error **error)
{
    iod_auto_domain struct iod_domain domain = IOD_DOMAIN_NONE;
    const char *vol;
    struct vr_volume_meta meta;
    const char *to = strcmp(iod_string_or(request, "format", "COW"), "RAW") == 0 ? "raw" : "qcow2";
    vr_auto_fd int dir = open_volume(request, &domain, "vol", &vol, &meta, error);
    g_autofree char *text = dir >= 0
                                ? vr_qemu_img_measure(request, dir, vol, image_format(&meta),
                                                      iod_bool(request, "backing_chain"), to, error)
                                : NULL;
    if (!text)
        return NULL;
    json_object *measured = json_tokener_parse(text), *value = NULL;
    json_object_object_get_ex(measured, "required", &value);
    json_object *result = json_object_new_object();
    iod_put_integer(result, "required", json_object_get_int64(value));
    json_object_put(measured);
    return result;
}

/*
 * Volume.verify_untrusted: the image that a client wrote must be what the
 * record says and must not reach for other files.
 */
json_object *iod_op_verify(struct iod_request *request, struct vr_error **error)
{
    iod_auto_domain struct iod_domain domain = IOD_DOMAIN_NONE;
    const char *vol;
    struct vr_volume_meta meta;
    vr_auto_fd int dir = open_volume(request, &domain, "vol", &vol, &meta, error);
    if (dir < 0)
        return NULL;
    if (meta.format == VR_VOLUME_RAW)
        return iod_true();
    struct vr_qcow2 image;
    if (!iod_qcow2_read(dir, vol, &image, error))
        return NULL;
    bool base = strcmp(meta.parent, VR_BLANK_UUID) == 0;
    if (image.data_file)
        vr_storage_error(error, volume_format, "The image keeps its data in another file.");
    else if (base ? *image.backing != '\0' : strcmp(image.backing, meta.parent) != 0)
        vr_storage_error(error, volume_format, "The image's backing file is not its parent.");
    else if (image.size > meta.capacity)
        vr_storage_error(error, volume_format, "The image is larger than its volume.");
    if (*error)
        return NULL;
    /* And the program that will open it must be able to. */
    g_autofree char *text = vr_qemu_img_info(request, dir, vol, "qcow2", error);
    return text ? iod_true() : NULL;
}

/* Records a job's beginning: GEN compared, the content no longer valid (facts 6.3). */
static bool begin_write(struct iod_request *request, int dir, const char *vol,
                        struct vr_volume_meta *meta, struct vr_error **error)
{
    int64_t expected = iod_integer(request, "generation", -1);
    if (expected >= 0 && (unsigned)expected != meta->generation) {
        vr_storage_error(error, generation, "It is %u, not %" G_GINT64_FORMAT ".", meta->generation,
                         expected);
        return false;
    }
    if (meta->role == VR_VOLUME_SHARED) {
        vr_storage_error(error, volume_shared, "%s", vol);
        return false;
    }
    meta->legality = VR_VOLUME_ILLEGAL;
    return iod_meta_write(dir, vol, meta, error);
}

static bool end_write(int dir, const char *vol, struct vr_volume_meta *meta,
                      struct vr_error **error)
{
    meta->legality = VR_VOLUME_LEGAL;
    meta->generation = (meta->generation + 1) % (VR_VOLUME_GENERATION_MAX + 1);
    return iod_meta_write(dir, vol, meta, error);
}

/* SDM.copy_data into a volume of this domain, from a path or URL that the agent prepared. */
json_object *iod_op_copy_in(struct iod_request *request, struct vr_error **error)
{
    iod_auto_guard struct iod_guard guard = iod_lock("img", iod_string_or(request, "img", ""));
    iod_auto_domain struct iod_domain domain = IOD_DOMAIN_NONE;
    const char *vol, *from = iod_string(request, "from", error);
    const char *from_format = from ? iod_string(request, "from_format", error) : NULL;
    struct vr_volume_meta meta;
    vr_auto_fd int dir =
        from_format ? open_volume(request, &domain, "vol", &vol, &meta, error) : -1;
    if (dir < 0 || !begin_write(request, dir, vol, &meta, error))
        return NULL;
    struct vr_qemu_img_convert convert = {
        .from = from,
        .from_format = from_format,
        .to = vol,
        .to_format = image_format(&meta),
        .backing = strcmp(meta.parent, VR_BLANK_UUID) != 0 ? meta.parent : NULL,
        .unordered = meta.format == VR_VOLUME_RAW && meta.type == VR_VOLUME_PREALLOCATED,
        .bitmaps = iod_bool(request, "bitmaps") && meta.format == VR_VOLUME_COW,
        .target_is_zero = iod_bool(request, "is_zero"),
    };
    vr_fs_step();
    if (!vr_qemu_img_convert(request, dir, &convert, error) || !end_write(dir, vol, &meta, error))
        return NULL;
    return iod_true();
}

/* SDM.copy_data from a volume of this domain to a URL. */
json_object *iod_op_copy_out(struct iod_request *request, struct vr_error **error)
{
    iod_auto_domain struct iod_domain domain = IOD_DOMAIN_NONE;
    const char *vol, *to = iod_string(request, "to", error);
    struct vr_volume_meta meta;
    vr_auto_fd int dir = to ? open_volume(request, &domain, "vol", &vol, &meta, error) : -1;
    if (dir < 0)
        return NULL;
    struct vr_qemu_img_convert convert = {
        .from = vol,
        .from_format = image_format(&meta),
        .to = to,
        .to_format = iod_string_or(request, "to_format", "raw"),
        .create = iod_bool(request, "create"),
        .target_is_zero = iod_bool(request, "is_zero"),
    };
    return vr_qemu_img_convert(request, dir, &convert, error) ? iod_true() : NULL;
}

/* Both ends of a merge; the base's record in @base_meta, the top's in @top_meta. */
static int open_pair(struct iod_request *request, struct iod_domain *domain, const char **base,
                     const char **top, struct vr_volume_meta *base_meta,
                     struct vr_volume_meta *top_meta, struct vr_error **error)
{
    vr_auto_fd int dir = open_volume(request, domain, "base", base, base_meta, error);
    *top = dir >= 0 ? iod_uuid(request, "top", error) : NULL;
    if (!*top || !iod_meta_read(dir, *top, top_meta, error))
        return -1;
    if (base_meta->role == VR_VOLUME_SHARED) {
        vr_storage_error(error, volume_shared, "%s", *base);
        return -1;
    }
    if (strcmp(top_meta->parent, *base) != 0) {
        vr_storage_error(error, chain_member, "%s does not stand on %s.", *top, *base);
        return -1;
    }
    int keep = dir;
    dir = -1;
    return keep;
}

json_object *iod_op_merge_prepare(struct iod_request *request, struct vr_error **error)
{
    iod_auto_guard struct iod_guard guard = iod_lock("img", iod_string_or(request, "img", ""));
    iod_auto_domain struct iod_domain domain = IOD_DOMAIN_NONE;
    const char *base, *top;
    struct vr_volume_meta base_meta, top_meta;
    vr_auto_fd int dir = open_pair(request, &domain, &base, &top, &base_meta, &top_meta, error);
    if (dir < 0)
        return NULL;
    if (base_meta.capacity < top_meta.capacity) {
        base_meta.capacity = top_meta.capacity;
        if (!iod_meta_write(dir, base, &base_meta, error))
            return NULL;
    }
    return iod_true();
}

json_object *iod_op_merge(struct iod_request *request, struct vr_error **error)
{
    iod_auto_guard struct iod_guard guard = iod_lock("img", iod_string_or(request, "img", ""));
    iod_auto_domain struct iod_domain domain = IOD_DOMAIN_NONE;
    const char *base, *top;
    struct vr_volume_meta base_meta, top_meta;
    vr_auto_fd int dir = open_pair(request, &domain, &base, &top, &base_meta, &top_meta, error);
    if (dir < 0)
        return NULL;
    int64_t expected = iod_integer(request, "generation", -1);
    if (expected >= 0 && (unsigned)expected != base_meta.generation) {
        vr_storage_error(error, generation, "It is %u.", base_meta.generation);
        return NULL;
    }
    vr_fs_step();
    if (!vr_qemu_img_commit(request, dir, base, top, error))
        return NULL;
    base_meta.generation = (base_meta.generation + 1) % (VR_VOLUME_GENERATION_MAX + 1);
    return iod_meta_write(dir, base, &base_meta, error) ? iod_true() : NULL;
}

/* The one child of @vol in its image, or NULL; owned. */
static char *child_of(int dir, const char *vol, struct vr_volume_meta *meta)
{
    vr_auto_error struct vr_error *ignored = NULL;
    g_autoptr(GPtrArray) volumes = iod_volume_names(dir, &ignored);
    for (unsigned i = 0; volumes && i < volumes->len; i++) {
        vr_auto_error struct vr_error *unreadable = NULL;
        if (iod_meta_read(dir, volumes->pdata[i], meta, &unreadable) &&
            strcmp(meta->parent, vol) == 0)
            return g_strdup(volumes->pdata[i]);
    }
    return NULL;
}

/* Takes the merged top out of the chain; its data is in the base by now (facts 12). */
json_object *iod_op_merge_finalize(struct iod_request *request, struct vr_error **error)
{
    iod_auto_guard struct iod_guard guard = iod_lock("img", iod_string_or(request, "img", ""));
    iod_auto_domain struct iod_domain domain = IOD_DOMAIN_NONE;
    const char *base, *top;
    struct vr_volume_meta base_meta, top_meta, child_meta;
    vr_auto_fd int dir = open_pair(request, &domain, &base, &top, &base_meta, &top_meta, error);
    if (dir < 0)
        return NULL;
    top_meta.legality = VR_VOLUME_ILLEGAL;
    if (!iod_meta_write(dir, top, &top_meta, error))
        return NULL;
    g_autofree char *child = child_of(dir, top, &child_meta);
    if (!child)
        return iod_true();
    vr_fs_step();
    if (!vr_qemu_img_rebase(request, dir, child, base, image_format(&base_meta), error)) {
        vr_auto_error struct vr_error *ignored = NULL;
        top_meta.legality = VR_VOLUME_LEGAL;
        (void)iod_meta_write(dir, top, &top_meta, &ignored);
        return NULL;
    }
    g_strlcpy(child_meta.parent, base, 37);
    return iod_meta_write(dir, child, &child_meta, error) ? iod_true() : NULL;
}
