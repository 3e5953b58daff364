/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "iod"
#include "agent/storage/iod.h"

#include <errno.h>
#include <fcntl.h>

/*
 * What a crash can leave, and what is done about it (facts 12):
 *
 *     data or lease without a record   creation cut short: removed
 *     record without data, illegal     deletion cut short: removed
 *     illegal COW, parent blanked      deletion cut short before the data: removed
 *       but header still backed
 *     *.new                            a record not yet renamed: removed
 *     internal without a child         the leaf again
 *     link to another image's volume   a clone cut short: the link is removed
 *       without a child
 *     _remove_me_<img>                 deletion of an image cut short: finished
 *
 * A volume's record is written last and its data removed first, so a volume
 * with a record and data is always whole.
 */

#define NAMES_MAX 100000
#define REMOVE_ME "_remove_me_"

bool iod_volume_unlink(int dir, const char *vol, struct vr_error **error)
{
    g_autofree char *meta = g_strconcat(vol, ".meta", NULL);
    g_autofree char *lease = g_strconcat(vol, ".lease", NULL);
    return vr_fs_unlink(dir, vol, error) && vr_fs_unlink(dir, meta, error) &&
           vr_fs_unlink(dir, lease, error);
}

/* Whether the record shows a deletion that had begun. */
static bool half_deleted(int dir, const char *vol, const struct vr_volume_meta *meta)
{
    if (meta->legality != VR_VOLUME_ILLEGAL || strcmp(meta->parent, VR_BLANK_UUID) != 0)
        return false;
    if (!vr_fs_exists(dir, vol))
        return true;
    struct vr_qcow2 image;
    vr_auto_error struct vr_error *ignored = NULL;
    return meta->format == VR_VOLUME_COW && iod_qcow2_read(dir, vol, &image, &ignored) &&
           *image.backing;
}

static bool remove_leftovers(int dir, struct vr_error **error)
{
    g_autoptr(GPtrArray) names = vr_fs_list(dir, NAMES_MAX, error);
    for (unsigned i = 0; names && i < names->len; i++) {
        const char *name = names->pdata[i];
        g_autofree char *vol = g_strndup(name, MIN(strlen(name), 36));
        const char *suffix = name + strlen(vol);
        g_autofree char *meta = g_strconcat(vol, ".meta", NULL);
        if (!vr_format_uuid_valid(vol))
            continue;
        bool orphan =
            (*suffix == '\0' || strcmp(suffix, ".lease") == 0) && !vr_fs_exists(dir, meta);
        if (orphan || strcmp(suffix, ".meta.new") == 0) {
            vr_log_info("Removing %s, left by an operation that was cut short.", name);
            if (!vr_fs_unlink(dir, name, error))
                return false;
        }
    }
    return names != NULL;
}

/* A template's link that no volume of this image stands on. */
static bool idle_link(int dir, const char *img, const char *vol, const struct vr_volume_meta *meta)
{
    return meta->role == VR_VOLUME_SHARED && g_ascii_strcasecmp(meta->image, img) != 0 &&
           !iod_has_children(dir, vol);
}

static bool finish_deletions(int dir, const char *img, struct vr_error **error)
{
    g_autoptr(GPtrArray) volumes = iod_volume_names(dir, error);
    for (unsigned i = 0; volumes && i < volumes->len; i++) {
        struct vr_volume_meta meta;
        vr_auto_error struct vr_error *unreadable = NULL;
        if (!iod_meta_read(dir, volumes->pdata[i], &meta, &unreadable) ||
            (!half_deleted(dir, volumes->pdata[i], &meta) &&
             !idle_link(dir, img, volumes->pdata[i], &meta)))
            continue;
        vr_log_info("Finishing the deletion of volume %s.", (char *)volumes->pdata[i]);
        if (!iod_volume_unlink(dir, volumes->pdata[i], error))
            return false;
    }
    return volumes != NULL;
}

static bool mend_roles(int dir, struct vr_error **error)
{
    g_autoptr(GPtrArray) volumes = iod_volume_names(dir, error);
    g_autoptr(GHashTable) parents = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (unsigned i = 0; volumes && i < volumes->len; i++) {
        struct vr_volume_meta meta;
        vr_auto_error struct vr_error *unreadable = NULL;
        /* A child whose record cannot be read may be anybody's: then nothing is judged. */
        if (!iod_meta_read(dir, volumes->pdata[i], &meta, &unreadable))
            return true;
        g_hash_table_add(parents, g_strdup(meta.parent));
    }
    for (unsigned i = 0; volumes && i < volumes->len; i++) {
        const char *vol = volumes->pdata[i];
        struct vr_volume_meta meta;
        if (!iod_meta_read(dir, vol, &meta, error))
            return false;
        if (meta.role != VR_VOLUME_INTERNAL || g_hash_table_contains(parents, vol))
            continue;
        meta.role = VR_VOLUME_LEAF;
        if (!iod_meta_write(dir, vol, &meta, error))
            return false;
    }
    return volumes != NULL;
}

bool iod_image_heal(struct iod_domain *domain, const char *img, struct vr_error **error)
{
    vr_auto_fd int dir = vr_fs_open(domain->images, img, O_RDONLY | O_DIRECTORY, 0);
    if (dir == -ENOENT)
        return true;
    if (dir < 0) {
        vr_fs_error(error, -dir, "%s", img);
        return false;
    }
    if (!remove_leftovers(dir, error) || !finish_deletions(dir, img, error) ||
        !mend_roles(dir, error))
        return false;
    g_autoptr(GPtrArray) names = vr_fs_list(dir, NAMES_MAX, error);
    return names && (names->len || vr_fs_rmdir(domain->images, img, error));
}

bool iod_domain_heal(struct iod_domain *domain, struct vr_error **error)
{
    g_autoptr(GPtrArray) names = vr_fs_list(domain->images, NAMES_MAX, error);
    for (unsigned i = 0; names && i < names->len; i++) {
        const char *name = names->pdata[i];
        if (g_str_has_prefix(name, REMOVE_ME)) {
            if (!vr_fs_remove_tree(domain->images, name, error))
                return false;
        } else if (vr_format_uuid_valid(name)) {
            iod_auto_guard struct iod_guard guard = iod_lock("img", name);
            if (!iod_image_heal(domain, name, error))
                return false;
        }
    }
    return names != NULL;
}

json_object *iod_op_domain_heal(struct iod_request *request, struct vr_error **error)
{
    iod_auto_domain struct iod_domain domain = IOD_DOMAIN_NONE;
    if (!iod_domain_open(request, &domain, error))
        return NULL;
    /* ISO domains hold plain files. */
    if (strcmp(vr_keys_get(domain.keys, "CLASS"), "Iso") == 0)
        return iod_true();
    return iod_domain_heal(&domain, error) ? iod_true() : NULL;
}
