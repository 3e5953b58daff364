/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "iod"
#include "agent/storage/iod.h"

#include <errno.h>
#include <fcntl.h>

#include "agent/storage/qemu_img.h"

#define REMOVE_ME "_remove_me_"
#define NAMES_MAX 100000

/* The request's image, locked by the caller, and a volume's record. */
static int open_record(struct iod_request *request, struct iod_domain *domain, const char **vol,
                       struct vr_volume_meta *meta, struct vr_error **error)
{
    const char *img = iod_uuid(request, "img", error);
    *vol = img ? iod_uuid(request, "vol", error) : NULL;
    if (!*vol || !iod_domain_open(request, domain, error))
        return -1;
    vr_auto_fd int dir = iod_image_open(domain, img, error);
    if (dir < 0 || !iod_meta_read(dir, *vol, meta, error))
        return -1;
    int64_t expected = iod_integer(request, "generation", -1);
    if (expected >= 0 && (unsigned)expected != meta->generation) {
        vr_storage_error(error, generation, "It is %u, not %" G_GINT64_FORMAT ".", meta->generation,
                         expected);
        return -1;
    }
    int keep = dir;
    dir = -1;
    return keep;
}

/* setLegality, setDescription and SDM.update_volume: what is given is changed, in one write. */
json_object *iod_op_volume_update(struct iod_request *request, struct vr_error **error)
{
    iod_auto_guard struct iod_guard guard = iod_lock("img", iod_string_or(request, "img", ""));
    iod_auto_domain struct iod_domain domain = IOD_DOMAIN_NONE;
    const char *vol;
    struct vr_volume_meta meta;
    vr_auto_fd int dir = open_record(request, &domain, &vol, &meta, error);
    if (dir < 0)
        return NULL;
    const char *legality = iod_string_or(request, "legality", NULL);
    const char *role = iod_string_or(request, "role", NULL);
    const char *description = iod_string_or(request, "description", NULL);
    int64_t generation = iod_integer(request, "new_generation", -1);
    int64_t capacity = iod_integer(request, "capacity", -1);
    const char *parent = iod_string_or(request, "parent", NULL);
    int value;
    if (legality && (value = vr_volume_legality_parse(legality)) >= 0)
        meta.legality = (enum vr_volume_legality)value;
    else if (legality)
        vr_storage_error(error, invalid_parameter, "The legality is not known.");
    if (role && (value = vr_volume_role_parse(role)) >= 0)
        meta.role = (enum vr_volume_role)value;
    else if (role && !*error)
        vr_storage_error(error, invalid_parameter, "The role is not known.");
    if (parent && vr_format_uuid_valid(parent))
        g_strlcpy(meta.parent, parent, 37);
    if (generation > VR_VOLUME_GENERATION_MAX && !*error)
        vr_storage_error(error, invalid_parameter, "The generation is out of range.");
    if (*error)
        return NULL;
    if (generation >= 0)
        meta.generation = (unsigned)generation;
    else if (iod_bool(request, "bump"))
        meta.generation = (meta.generation + 1) % (VR_VOLUME_GENERATION_MAX + 1);
    if (capacity >= 0)
        meta.capacity = (uint64_t)capacity;
    if (description)
        vr_volume_meta_set_description(&meta, description);
    return iod_meta_write(dir, vol, &meta, error) ? iod_true() : NULL;
}

static bool grow_raw(struct iod_request *request, int dir, const char *vol,
                     const struct vr_volume_meta *meta, uint64_t size, struct vr_error **error)
{
    vr_auto_fd int fd = vr_fs_open(dir, vol, O_RDWR, 0);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0) {
        vr_fs_error(error, fd < 0 ? -fd : errno, "%s", vol);
        return false;
    }
    vr_fs_step();
    if ((uint64_t)st.st_size < size && ftruncate(fd, (off_t)size) < 0) {
        vr_fs_error(error, errno, "%s", vol);
        return false;
    }
    if (meta->type == VR_VOLUME_PREALLOCATED && meta->capacity < size &&
        !vr_fs_allocate(fd, meta->capacity, size, &request->cancel, error))
        return false;
    if (fsync(fd) == 0)
        return true;
    vr_fs_error(error, errno, "%s", vol);
    return false;
}

json_object *iod_op_volume_extend(struct iod_request *request, struct vr_error **error)
{
    iod_auto_guard struct iod_guard guard = iod_lock("img", iod_string_or(request, "img", ""));
    iod_auto_domain struct iod_domain domain = IOD_DOMAIN_NONE;
    const char *vol;
    struct vr_volume_meta meta;
    uint64_t size;
    vr_auto_fd int dir = open_record(request, &domain, &vol, &meta, error);
    if (dir < 0 || !iod_size(request, "size", &size, error))
        return NULL;
    size = (size + 4095) & ~(uint64_t)4095;
    if (meta.role == VR_VOLUME_SHARED)
        vr_storage_error(error, volume_shared, "%s", vol);
    else if (meta.role == VR_VOLUME_INTERNAL)
        vr_storage_error(error, volume_internal, "%s", vol);
    else if (size < meta.capacity)
        vr_storage_error(error, invalid_parameter, "A volume does not shrink.");
    if (*error)
        return NULL;
    if (meta.format == VR_VOLUME_RAW) {
        if (!grow_raw(request, dir, vol, &meta, size, error))
            return NULL;
    } else {
        vr_fs_step();
        if (!vr_qemu_img_resize(request, dir, vol, size, error))
            return NULL;
    }
    /* The record last: a crash before it leaves more room than said, never less. */
    meta.capacity = size;
    return iod_meta_write(dir, vol, &meta, error) ? iod_true() : NULL;
}

/* Removes one volume that is a leaf now.  One that is gone counts as removed. */
static bool delete_one(struct iod_domain *domain, int dir, const char *img, const char *vol,
                       bool force, struct vr_error **error)
{
    struct vr_volume_meta meta;
    if (!iod_meta_read(dir, vol, &meta, error)) {
        if ((*error)->fault != &vr_storage_fault_volume_missing)
            return false;
        vr_error_free(g_steal_pointer(error));
        return true;
    }
    if (iod_has_children(dir, vol) && !force) {
        vr_storage_error(error, volume_children, "%s", vol);
        return false;
    }
    if (g_ascii_strcasecmp(meta.image, img) != 0) {
        vr_storage_error(error, volume_shared, "%s belongs to image %s.", vol, meta.image);
        return false;
    }
    struct stat st;
    if (meta.role == VR_VOLUME_SHARED && vr_fs_stat(dir, vol, &st) && st.st_nlink > 1 && !force) {
        vr_storage_error(error, volume_children, "Other images stand on %s.", vol);
        return false;
    }
    /* From here on healing finishes it, whatever happens to us. */
    meta.legality = VR_VOLUME_ILLEGAL;
    g_strlcpy(meta.parent, VR_BLANK_UUID, 37);
    return iod_meta_write(dir, vol, &meta, error) && iod_volume_unlink(dir, vol, error);
}

json_object *iod_op_volume_delete(struct iod_request *request, struct vr_error **error)
{
    iod_auto_domain struct iod_domain domain = IOD_DOMAIN_NONE;
    const char *img = iod_uuid(request, "img", error);
    json_object *volumes = NULL;
    if (!img || !iod_domain_open(request, &domain, error))
        return NULL;
    json_object_object_get_ex(request->args, "volumes", &volumes);
    if (!json_object_is_type(volumes, json_type_array)) {
        vr_storage_error(error, invalid_parameter, "volumes is missing.");
        return NULL;
    }
    iod_auto_guard struct iod_guard guard = iod_lock("img", img);
    if (!iod_image_heal(&domain, img, error))
        return NULL;
    vr_auto_fd int dir = iod_image_open(&domain, img, error);
    if (dir < 0)
        return NULL;
    /* Leaves first: the list comes in any order, and each round takes what has no child. */
    size_t count = json_object_array_length(volumes);
    for (size_t round = 0; round < count; round++) {
        for (size_t i = 0; i < count; i++) {
            const char *vol = json_object_get_string(json_object_array_get_idx(volumes, i));
            if (!vr_format_uuid_valid(vol)) {
                vr_storage_error(error, invalid_parameter, "A volume's name is not a UUID.");
                return NULL;
            }
            bool last = round == count - 1;
            if (!last && iod_has_children(dir, vol))
                continue;
            if (!delete_one(&domain, dir, img, vol, iod_bool(request, "force"), error))
                return NULL;
        }
    }
    return iod_image_heal(&domain, img, error) ? iod_true() : NULL;
}

/* A template's own image must stay while other images link to its volumes. */
static bool in_use(int dir, const char *img, struct vr_error **error)
{
    g_autoptr(GPtrArray) volumes = iod_volume_names(dir, error);
    for (unsigned i = 0; volumes && i < volumes->len; i++) {
        struct vr_volume_meta meta;
        struct stat st;
        vr_auto_error struct vr_error *unreadable = NULL;
        if (iod_meta_read(dir, volumes->pdata[i], &meta, &unreadable) &&
            meta.role == VR_VOLUME_SHARED && g_ascii_strcasecmp(meta.image, img) == 0 &&
            vr_fs_stat(dir, volumes->pdata[i], &st) && st.st_nlink > 1) {
            vr_storage_error(error, volume_children, "Other images stand on %s.",
                             (char *)volumes->pdata[i]);
            return true;
        }
    }
    return !volumes;
}

json_object *iod_op_image_delete(struct iod_request *request, struct vr_error **error)
{
    iod_auto_domain struct iod_domain domain = IOD_DOMAIN_NONE;
    const char *img = iod_uuid(request, "img", error);
    if (!img || !iod_domain_open(request, &domain, error))
        return NULL;
    iod_auto_guard struct iod_guard guard = iod_lock("img", img);
    g_autofree char *removed = g_strconcat(REMOVE_ME, img, NULL);
    bool leftover = vr_fs_exists(domain.images, removed);
    /* An earlier attempt got this far: finish it, then look whether there is anything new. */
    if (leftover && !vr_fs_remove_tree(domain.images, removed, error))
        return NULL;
    vr_auto_fd int dir = iod_image_open(&domain, img, error);
    if (dir < 0) {
        bool gone = (*error)->fault == &vr_storage_fault_image_missing;
        if (!gone || (!leftover && !iod_bool(request, "again")))
            return NULL;
        vr_error_free(g_steal_pointer(error));
        return iod_true();
    }
    if ((!iod_bool(request, "force") && in_use(dir, img, error)) ||
        !vr_fs_rename(domain.images, img, domain.images, removed, error) ||
        !vr_fs_remove_tree(domain.images, removed, error))
        return NULL;
    return iod_true();
}
