/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "iod"
#include "agent/storage/iod.h"

#include <errno.h>
#include <fcntl.h>

#include "agent/storage/qemu_img.h"

/* Everything one creation needs to know. */
struct create {
    struct iod_request *request;
    struct iod_domain *domain;
    const char *img, *vol, *src_img, *src_vol;
    int dir;     /* of the image */
    bool cloned; /* the parent is another image's */
    struct vr_volume_meta meta, parent;
};

static bool has_parent(const struct create *c)
{
    return strcmp(c->src_vol, VR_BLANK_UUID) != 0;
}

static bool read_request(struct create *c, struct vr_error **error)
{
    struct iod_request *r = c->request;
    uint64_t size;
    c->img = iod_uuid(r, "img", error);
    c->vol = c->img ? iod_uuid(r, "vol", error) : NULL;
    c->src_vol = iod_string_or(r, "src_vol", VR_BLANK_UUID);
    c->src_img = iod_string_or(r, "src_img", VR_BLANK_UUID);
    const char *disktype = iod_string_or(r, "disktype", "DATA");
    int format = vr_volume_format_parse(iod_string_or(r, "format", ""));
    int type = vr_volume_allocation_parse(iod_string_or(r, "type", ""));
    int64_t sequence = iod_integer(r, "sequence", 0);
    if (!c->vol || !iod_size(r, "size", &size, error))
        return false;
    if (format < 0)
        vr_storage_error(error, volume_format, NULL);
    else if (type < 0)
        vr_storage_error(error, volume_allocation, NULL);
    else if (size == 0)
        vr_storage_error(error, invalid_parameter, "A volume of no size.");
    else if (!vr_format_uuid_valid(c->src_vol) || !vr_format_uuid_valid(c->src_img) ||
             !vr_volume_disktype_valid(disktype) || sequence < 0 || sequence > UINT32_MAX ||
             strcmp(c->vol, VR_BLANK_UUID) == 0 || strcmp(c->img, VR_BLANK_UUID) == 0)
        vr_storage_error(error, invalid_parameter,
                         "The parent, disk type or sequence is not valid.");
    else if (has_parent(c) && format == VR_VOLUME_RAW)
        vr_storage_error(error, volume_format, "Only COW volumes have a parent.");
    if (*error)
        return false;
    if (strcmp(c->src_img, VR_BLANK_UUID) == 0)
        c->src_img = c->img;
    c->cloned = has_parent(c) && strcmp(c->src_img, c->img) != 0;
    c->meta = (struct vr_volume_meta){
        .capacity = (size + 4095) & ~(uint64_t)4095, /* facts 6.2 */
        .ctime = g_get_real_time() / G_USEC_PER_SEC,
        .format = (enum vr_volume_format)format,
        .type = (enum vr_volume_allocation)type,
        .legality = json_object_object_get(r->args, "legal") && !iod_bool(r, "legal")
                        ? VR_VOLUME_ILLEGAL
                        : VR_VOLUME_LEGAL,
        .sequence = (uint32_t)sequence,
    };
    g_strlcpy(c->meta.disktype, disktype, sizeof(c->meta.disktype));
    g_strlcpy(c->meta.image, c->img, 37);
    g_strlcpy(c->meta.domain, c->domain->sd, 37);
    g_strlcpy(c->meta.parent, c->src_vol, 37);
    vr_volume_meta_set_description(&c->meta, iod_string_or(r, "description", ""));
    return true;
}

/* The same request again after a crash whose outcome nobody saw: done counts as done. */
static bool exists_already(struct create *c, bool *done, struct vr_error **error)
{
    struct vr_volume_meta now;
    vr_auto_error struct vr_error *missing = NULL;
    g_autofree char *name = g_strconcat(c->vol, ".meta", NULL);
    *done = false;
    if (!vr_fs_exists(c->dir, name))
        return true;
    bool same = iod_meta_read(c->dir, c->vol, &now, &missing) && now.capacity == c->meta.capacity &&
                now.format == c->meta.format && now.type == c->meta.type &&
                strcmp(now.parent, c->meta.parent) == 0;
    *done = same && iod_bool(c->request, "again");
    if (!*done)
        vr_storage_error(error, volume_exists, "%s", c->vol);
    return *done;
}

static bool link_parent(struct create *c, int from, struct vr_error **error)
{
    static const char *const suffixes[] = { ".lease", "", ".meta" };
    for (unsigned i = 0; i < G_N_ELEMENTS(suffixes); i++) {
        g_autofree char *name = g_strconcat(c->src_vol, suffixes[i], NULL);
        if ((*suffixes[i] == '\0' || vr_fs_exists(from, name)) &&
            !vr_fs_link(from, name, c->dir, name, error))
            return false;
    }
    return true;
}

/* Makes the parent a proper one: internal in its own image, shared for another's. */
static bool prepare_parent(struct create *c, struct vr_error **error)
{
    vr_auto_fd int other = c->cloned ? iod_image_open(c->domain, c->src_img, error) : -1;
    int from = c->cloned ? other : c->dir;
    if (from < 0 || !iod_meta_read(from, c->src_vol, &c->parent, error))
        return false;
    if (c->parent.legality != VR_VOLUME_LEGAL) {
        vr_storage_error(error, volume_illegal, "%s", c->src_vol);
        return false;
    }
    if (c->meta.capacity < c->parent.capacity) {
        vr_storage_error(error, invalid_parameter, "The volume is smaller than its parent.");
        return false;
    }
    if (c->cloned) {
        if (c->parent.role == VR_VOLUME_LEAF) {
            c->parent.role = VR_VOLUME_SHARED;
            if (!iod_meta_write(from, c->src_vol, &c->parent, error))
                return false;
        } else if (c->parent.role != VR_VOLUME_SHARED) {
            vr_storage_error(error, volume_internal, "%s has children.", c->src_vol);
            return false;
        }
        return link_parent(c, from, error);
    }
    if (c->parent.role == VR_VOLUME_INTERNAL && iod_has_children(c->dir, c->src_vol)) {
        vr_storage_error(error, volume_children, "%s is not the leaf.", c->src_vol);
        return false;
    }
    if (c->parent.role != VR_VOLUME_LEAF)
        return true;
    c->parent.role = VR_VOLUME_INTERNAL;
    return iod_meta_write(c->dir, c->src_vol, &c->parent, error);
}

static bool make_raw(struct create *c, struct vr_error **error)
{
    vr_auto_fd int fd = vr_fs_create(c->dir, c->vol, error);
    if (fd < 0)
        return false;
    g_autofree char *block = g_malloc0(4096);
    vr_fs_step();
    /* The first block is written so that programs can tell the file's alignment from it. */
    if (ftruncate(fd, (off_t)c->meta.capacity) < 0 || pwrite(fd, block, 4096, 0) != 4096) {
        vr_fs_error(error, errno, "%s", c->vol);
        return false;
    }
    if (c->meta.type == VR_VOLUME_PREALLOCATED &&
        !vr_fs_allocate(fd, 4096, c->meta.capacity, &c->request->cancel, error))
        return false;
    if (fsync(fd) == 0)
        return true;
    vr_fs_error(error, errno, "%s", c->vol);
    return false;
}

static bool make_cow(struct create *c, struct vr_error **error)
{
    vr_auto_fd int fd = vr_fs_create(c->dir, c->vol, error);
    if (fd < 0)
        return false;
    const char *backing_format = c->parent.format == VR_VOLUME_RAW ? "raw" : "qcow2";
    vr_fs_step();
    if (!vr_qemu_img_create(c->request, c->dir, c->vol, c->meta.capacity,
                            c->domain->version >= 4 ? "1.1" : "0.10",
                            has_parent(c) ? c->src_vol : NULL, backing_format, error))
        return false;
    struct stat st;
    if (c->meta.type == VR_VOLUME_PREALLOCATED && fstat(fd, &st) == 0 &&
        !vr_fs_allocate(fd, (uint64_t)st.st_size, c->meta.capacity, &c->request->cancel, error))
        return false;
    if (fsync(fd) == 0)
        return true;
    vr_fs_error(error, errno, "%s", c->vol);
    return false;
}

/* Takes back what a failed creation made; healing knows how. */
static void undo(struct create *c)
{
    vr_auto_error struct vr_error *ignored = NULL, *more = NULL;
    if (c->dir >= 0)
        (void)iod_volume_unlink(c->dir, c->vol, &ignored);
    if (c->cloned && c->dir >= 0 && !iod_has_children(c->dir, c->src_vol))
        (void)iod_volume_unlink(c->dir, c->src_vol, &ignored);
    (void)iod_image_heal(c->domain, c->img, &more);
}

static bool create(struct create *c, struct vr_error **error)
{
    g_autofree char *lease = g_strconcat(c->vol, ".lease", NULL);
    if (has_parent(c) && !prepare_parent(c, error))
        return false;
    if (!(c->meta.format == VR_VOLUME_RAW ? make_raw(c, error) : make_cow(c, error)))
        return false;
    if (c->domain->version >= 3 && !vr_fs_make(c->dir, lease, 0, error))
        return false;
    return iod_meta_write(c->dir, c->vol, &c->meta, error);
}

json_object *iod_op_volume_create(struct iod_request *request, struct vr_error **error)
{
    iod_auto_domain struct iod_domain domain = IOD_DOMAIN_NONE;
    struct create c = { .request = request, .domain = &domain, .dir = -1 };
    if (!iod_domain_open(request, &domain, error) || !read_request(&c, error))
        return NULL;
    /* In order of their names, so that two clones of each other's images cannot wait in a ring. */
    const char *first = strcmp(c.img, c.src_img) < 0 ? c.img : c.src_img;
    const char *second = first == c.img ? c.src_img : c.img;
    iod_auto_guard struct iod_guard one = iod_lock("img", first);
    iod_auto_guard struct iod_guard two =
        c.cloned ? iod_lock("img", second) : (struct iod_guard){ NULL };
    if (!iod_image_heal(&domain, c.img, error) || !vr_fs_mkdir(domain.images, c.img, 0755, error))
        return NULL;
    vr_auto_fd int dir = iod_image_open(&domain, c.img, error);
    c.dir = dir;
    bool done = false;
    if (dir < 0 || !exists_already(&c, &done, error))
        return NULL;
    if (done)
        return iod_true();
    if (create(&c, error))
        return iod_true();
    undo(&c);
    return NULL;
}
