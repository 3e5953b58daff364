/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/storage/iod.h"

#include <errno.h>
#include <fcntl.h>

#define NAMES_MAX 100000
#define CHAIN_MAX 1024

bool iod_meta_read(int dir, const char *vol, struct vr_volume_meta *meta, struct vr_error **error)
{
    g_autofree char *name = g_strconcat(vol, ".meta", NULL);
    size_t length;
    g_autofree char *text = vr_fs_read(dir, name, VR_VOLUME_META_READ_MAX, &length, error);
    if (!text) {
        if (!*error)
            vr_storage_error(error, volume_missing, "%s", vol);
        return false;
    }
    if (vr_volume_meta_parse(meta, text, length, error))
        return true;
    vr_error_prefix(error, "%s", vol);
    return false;
}

bool iod_meta_write(int dir, const char *vol, const struct vr_volume_meta *meta,
                    struct vr_error **error)
{
    g_autofree char *name = g_strconcat(vol, ".meta", NULL);
    g_autofree char *text = vr_volume_meta_format(meta, error);
    return text && vr_fs_write(dir, name, text, strlen(text), error);
}

int iod_image_open(struct iod_domain *domain, const char *img, struct vr_error **error)
{
    int dir = vr_fs_open(domain->images, img, O_RDONLY | O_DIRECTORY, 0);
    if (dir >= 0)
        return dir;
    if (dir == -ENOENT)
        vr_storage_error(error, image_missing, "%s", img);
    else
        vr_fs_error(error, -dir, "%s", img);
    return -1;
}

GPtrArray *iod_volume_names(int dir, struct vr_error **error)
{
    g_autoptr(GPtrArray) names = vr_fs_list(dir, NAMES_MAX, error);
    if (!names)
        return NULL;
    GPtrArray *volumes = g_ptr_array_new_with_free_func(g_free);
    for (unsigned i = 0; i < names->len; i++) {
        const char *name = names->pdata[i];
        if (!g_str_has_suffix(name, ".meta"))
            continue;
        g_autofree char *vol = g_strndup(name, strlen(name) - strlen(".meta"));
        if (vr_format_uuid_valid(vol))
            g_ptr_array_add(volumes, g_steal_pointer(&vol));
    }
    return volumes;
}

/* The volumes of an image whose parent is @vol; @children may be NULL. */
static unsigned children_of(int dir, const char *vol, json_object *children)
{
    vr_auto_error struct vr_error *ignored = NULL;
    g_autoptr(GPtrArray) volumes = iod_volume_names(dir, &ignored);
    unsigned count = 0;
    for (unsigned i = 0; volumes && i < volumes->len; i++) {
        struct vr_volume_meta meta;
        vr_auto_error struct vr_error *unreadable = NULL;
        if (iod_meta_read(dir, volumes->pdata[i], &meta, &unreadable) &&
            strcmp(meta.parent, vol) == 0) {
            count++;
            if (children)
                json_object_array_add(children, json_object_new_string(volumes->pdata[i]));
        }
    }
    return count;
}

bool iod_has_children(int dir, const char *vol)
{
    return children_of(dir, vol, NULL) > 0;
}

bool iod_qcow2_read(int dir, const char *vol, struct vr_qcow2 *image, struct vr_error **error)
{
    vr_auto_fd int fd = vr_fs_open(dir, vol, O_RDONLY | O_NONBLOCK, 0);
    if (fd < 0) {
        if (fd == -ENOENT)
            vr_storage_error(error, volume_missing, "%s", vol);
        else
            vr_fs_error(error, -fd, "%s", vol);
        return false;
    }
    g_autofree uint8_t *head = g_malloc(VR_QCOW2_HEAD_MAX);
    ssize_t n = pread(fd, head, VR_QCOW2_HEAD_MAX, 0);
    if (n < 0) {
        vr_fs_error(error, errno, "%s", vol);
        return false;
    }
    return vr_qcow2_parse(image, head, (size_t)n, error);
}

/* Opens the image directory of the request's domain, image and volume. */
static int open_volume(struct iod_request *request, struct iod_domain *domain, const char **img,
                       const char **vol, struct vr_error **error)
{
    *img = iod_uuid(request, "img", error);
    *vol = *img ? iod_uuid(request, "vol", error) : NULL;
    if (!*vol || !iod_domain_open(request, domain, error))
        return -1;
    return iod_image_open(domain, *img, error);
}

json_object *iod_op_image_list(struct iod_request *request, struct vr_error **error)
{
    iod_auto_domain struct iod_domain domain = IOD_DOMAIN_NONE;
    if (!iod_domain_open(request, &domain, error))
        return NULL;
    g_autoptr(GPtrArray) names = vr_fs_list(domain.images, NAMES_MAX, error);
    if (!names)
        return NULL;
    json_object *list = json_object_new_array();
    for (unsigned i = 0; i < names->len; i++)
        if (vr_format_uuid_valid(names->pdata[i]))
            json_object_array_add(list, json_object_new_string(names->pdata[i]));
    return list;
}

static bool list_image(struct iod_domain *domain, const char *img, json_object *list,
                       struct vr_error **error)
{
    vr_auto_fd int dir = iod_image_open(domain, img, error);
    g_autoptr(GPtrArray) volumes = dir >= 0 ? iod_volume_names(dir, error) : NULL;
    for (unsigned i = 0; volumes && i < volumes->len; i++)
        json_object_array_add(list, json_object_new_string(volumes->pdata[i]));
    return volumes != NULL;
}

json_object *iod_op_volume_list(struct iod_request *request, struct vr_error **error)
{
    iod_auto_domain struct iod_domain domain = IOD_DOMAIN_NONE;
    const char *img = iod_string_or(request, "img", VR_BLANK_UUID);
    if (!vr_format_uuid_valid(img)) {
        vr_storage_error(error, invalid_parameter, "img is not a UUID.");
        return NULL;
    }
    if (!iod_domain_open(request, &domain, error))
        return NULL;
    json_object *list = json_object_new_array();
    bool good = true;
    if (strcmp(img, VR_BLANK_UUID) != 0) {
        good = list_image(&domain, img, list, error);
    } else {
        g_autoptr(GPtrArray) names = vr_fs_list(domain.images, NAMES_MAX, error);
        good = names != NULL;
        for (unsigned i = 0; good && i < names->len; i++) {
            vr_auto_error struct vr_error *gone = NULL;
            if (vr_format_uuid_valid(names->pdata[i]))
                (void)list_image(&domain, names->pdata[i], list, &gone);
        }
    }
    if (good)
        return list;
    json_object_put(list);
    return NULL;
}

/* Sizes in the wire's form: strings of bytes. */
static bool put_sizes(json_object *object, int dir, const char *vol, struct vr_error **error)
{
    struct stat st;
    if (!vr_fs_stat(dir, vol, &st)) {
        vr_storage_error(error, volume_missing, "%s has no data.", vol);
        return false;
    }
    iod_put_number(object, "apparentsize", (uint64_t)st.st_size);
    iod_put_number(object, "truesize", (uint64_t)st.st_blocks * 512);
    return true;
}

json_object *iod_op_volume_info(struct iod_request *request, struct vr_error **error)
{
    iod_auto_domain struct iod_domain domain = IOD_DOMAIN_NONE;
    const char *img, *vol;
    struct vr_volume_meta meta;
    vr_auto_fd int dir = open_volume(request, &domain, &img, &vol, error);
    if (dir < 0 || !iod_meta_read(dir, vol, &meta, error))
        return NULL;
    json_object *result = json_object_new_object();
    if (!put_sizes(result, dir, vol, error)) {
        json_object_put(result);
        return NULL;
    }
    g_autofree char *ctime = g_strdup_printf("%" G_GINT64_FORMAT, meta.ctime);
    g_autofree char *lease = g_strconcat(vol, ".lease", NULL);
    json_object *children = json_object_new_array();
    children_of(dir, vol, children);
    iod_put(result, "uuid", vol);
    iod_put(result, "type", vr_volume_allocation_word(meta.type));
    iod_put(result, "format", vr_volume_format_word(meta.format));
    iod_put(result, "disktype", meta.disktype);
    iod_put(result, "voltype", vr_volume_role_word(meta.role));
    iod_put_number(result, "capacity", meta.capacity);
    iod_put(result, "parent", meta.parent);
    iod_put(result, "description", meta.description);
    iod_put(result, "domain", meta.domain);
    iod_put(result, "image", meta.image);
    iod_put(result, "pool", "");
    iod_put(result, "ctime", ctime);
    iod_put(result, "mtime", "0");
    iod_put(result, "legality", vr_volume_legality_word(meta.legality));
    iod_put_integer(result, "generation", meta.generation);
    iod_put_integer(result, "sequence", meta.sequence);
    iod_put(result, "status", meta.legality == VR_VOLUME_ILLEGAL ? "ILLEGAL" : "OK");
    json_object_object_add(result, "children", children);
    if (vr_fs_exists(dir, lease)) {
        json_object *object = json_object_new_object();
        g_autofree char *path =
            g_build_filename(domain.root, domain.sd, "images", img, lease, NULL);
        iod_put(object, "path", path);
        iod_put_integer(object, "offset", 0);
        json_object_object_add(object, "owners", json_object_new_array());
        json_object_object_add(result, "lease", object);
    }
    return result;
}

json_object *iod_op_volume_size(struct iod_request *request, struct vr_error **error)
{
    iod_auto_domain struct iod_domain domain = IOD_DOMAIN_NONE;
    const char *img, *vol;
    vr_auto_fd int dir = open_volume(request, &domain, &img, &vol, error);
    json_object *result = json_object_new_object();
    if (dir >= 0 && put_sizes(result, dir, vol, error))
        return result;
    json_object_put(result);
    return NULL;
}

/* One volume of a chain: data there, legal, and its header in step with the record. */
static bool check_link(int dir, const char *vol, const struct vr_volume_meta *meta,
                       bool allow_illegal, struct vr_error **error)
{
    struct stat st;
    if (meta->legality != VR_VOLUME_LEGAL && !allow_illegal) {
        vr_storage_error(error, volume_illegal, "%s", vol);
        return false;
    }
    if (!vr_fs_stat(dir, vol, &st) || !S_ISREG(st.st_mode)) {
        vr_storage_error(error, volume_missing, "%s has no data.", vol);
        return false;
    }
    if (meta->format == VR_VOLUME_RAW)
        return true;
    struct vr_qcow2 image;
    if (!iod_qcow2_read(dir, vol, &image, error))
        return false;
    bool base = strcmp(meta->parent, VR_BLANK_UUID) == 0;
    const char *backing = vr_qcow2_backing_volume(&image);
    if (image.data_file || (base ? *backing != '\0' : strcmp(backing, meta->parent) != 0)) {
        vr_storage_error(error, volume_format, "%s names another file than its parent.", vol);
        return false;
    }
    return true;
}

/* The chain below @vol, the base last, as {volume, format, path}; NULL and @error otherwise. */
static json_object *walk_chain(struct iod_domain *domain, int dir, const char *img, const char *vol,
                               bool allow_illegal, struct vr_error **error)
{
    json_object *chain = json_object_new_array();
    char now[37];
    g_strlcpy(now, vol, sizeof(now));
    for (unsigned i = 0; i < CHAIN_MAX && strcmp(now, VR_BLANK_UUID) != 0; i++) {
        struct vr_volume_meta meta;
        if (!iod_meta_read(dir, now, &meta, error) ||
            !check_link(dir, now, &meta, allow_illegal, error)) {
            json_object_put(chain);
            return NULL;
        }
        json_object *item = json_object_new_object();
        g_autofree char *path =
            g_build_filename(domain->root, domain->sd, "images", img, now, NULL);
        g_autofree char *lease = g_strconcat(path, ".lease", NULL);
        iod_put(item, "volumeID", now);
        iod_put(item, "imageID", img);
        iod_put(item, "domainID", domain->sd);
        iod_put(item, "format", meta.format == VR_VOLUME_RAW ? "raw" : "qcow2");
        iod_put(item, "path", path);
        iod_put(item, "leasePath", lease);
        iod_put_integer(item, "leaseOffset", 0);
        json_object_array_add(chain, item);
        g_strlcpy(now, meta.parent, sizeof(now));
    }
    if (strcmp(now, VR_BLANK_UUID) == 0)
        return chain;
    vr_storage_error(error, image_path, "The chain of %s has no end.", vol);
    json_object_put(chain);
    return NULL;
}

/* facts 6.2: any illegal volume of the image counts, not only those of the chain. */
static bool all_legal(int dir, struct vr_error **error)
{
    g_autoptr(GPtrArray) volumes = iod_volume_names(dir, error);
    for (unsigned i = 0; volumes && i < volumes->len; i++) {
        struct vr_volume_meta meta;
        if (!iod_meta_read(dir, volumes->pdata[i], &meta, error))
            return false;
        if (meta.legality == VR_VOLUME_ILLEGAL) {
            vr_storage_error(error, volume_illegal, "%s", (char *)volumes->pdata[i]);
            return false;
        }
    }
    return volumes != NULL;
}

json_object *iod_op_image_prepare(struct iod_request *request, struct vr_error **error)
{
    iod_auto_domain struct iod_domain domain = IOD_DOMAIN_NONE;
    const char *img, *vol;
    bool allow_illegal = iod_bool(request, "allow_illegal");
    vr_auto_fd int dir = open_volume(request, &domain, &img, &vol, error);
    struct vr_volume_meta meta;
    if (dir < 0 || !iod_meta_read(dir, vol, &meta, error) ||
        (!allow_illegal && !all_legal(dir, error)))
        return NULL;
    json_object *chain = walk_chain(&domain, dir, img, vol, allow_illegal, error);
    if (!chain)
        return NULL;
    json_object *result = json_object_new_object();
    g_autofree char *path = g_build_filename(domain.root, domain.sd, "images", img, vol, NULL);
    iod_put(result, "path", path);
    iod_put(result, "format", meta.format == VR_VOLUME_RAW ? "raw" : "qcow2");
    iod_put_integer(result, "capacity", (int64_t)meta.capacity);
    iod_put(result, "parent", meta.parent);
    iod_put(result, "role", vr_volume_role_word(meta.role));
    json_object_object_add(result, "chain", chain);
    return result;
}

/* The chain as the headers tell it, base first (Image.reconcileVolumeChain). */
json_object *iod_op_image_chain(struct iod_request *request, struct vr_error **error)
{
    iod_auto_domain struct iod_domain domain = IOD_DOMAIN_NONE;
    const char *img, *vol;
    vr_auto_fd int dir = open_volume(request, &domain, &img, &vol, error);
    if (dir < 0)
        return NULL;
    g_autoptr(GPtrArray) chain = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(chain, g_strdup(vol));
    while (chain->len <= CHAIN_MAX) {
        const char *now = chain->pdata[chain->len - 1];
        struct vr_volume_meta meta;
        struct vr_qcow2 image;
        if (!iod_meta_read(dir, now, &meta, error))
            return NULL;
        if (meta.format == VR_VOLUME_RAW)
            break;
        if (!iod_qcow2_read(dir, now, &image, error))
            return NULL;
        const char *backing = vr_qcow2_backing_volume(&image);
        if (!*backing)
            break;
        if (!vr_format_uuid_valid(backing)) {
            vr_storage_error(error, volume_format, "%s is backed by no volume.", now);
            return NULL;
        }
        g_ptr_array_add(chain, g_strdup(backing));
    }
    if (chain->len > CHAIN_MAX) {
        vr_storage_error(error, image_path, "The chain of %s has no end.", vol);
        return NULL;
    }
    json_object *list = json_object_new_array();
    for (unsigned i = chain->len; i-- > 0;)
        json_object_array_add(list, json_object_new_string(chain->pdata[i]));
    return list;
}
