/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "disks"
#include "manager/disks/internal.h"

/* What a disk takes of its storage: asked for when its volume was made, grown or written by a client,
 * and told by the host while a machine writes it. */

/* A change that is worth a commit: with it, a disk that fills up costs at most this many. */
#define STEPS 128
#define LEAST_CHANGE ((int64_t)MiB(1))
/* More than any storage has; what a host says beyond is not believed. */
#define MAX_TRUE_SIZE ((int64_t)1 << 60)

static bool is_size(int64_t size)
{
    return size >= 0 && size <= MAX_TRUE_SIZE;
}

static void set(struct vr_txn *txn, const char *disk_id, int64_t size) VR_REQUIRES(vr_role_engine);
static void set(struct vr_txn *txn, const char *disk_id, int64_t size)
{
    const struct vr_disk *disk = vr_txn_peek(txn, VR_KIND_DISK, disk_id);
    if (!disk || !is_size(size) || VR_GET(disk, actual_size, -1) == size)
        return;
    struct vr_disk *edit = VR_EDIT(txn, DISK, disk, disk_id);
    VR_SET(edit, actual_size, size);
    VR_SET(edit, total_size, size); /* without snapshots the active volume is all there is */
}

/* --- asked --- */

struct question {
    char *disk_id;
    disk_measured *done;
    void *arg;
};

static void answered(struct vr_engine *engine, const void *result, int code, const char *message,
                     void *arg) VR_REQUIRES(vr_role_engine);
static void answered(struct vr_engine *engine, const void *result, int code, const char *message,
                     void *arg)
{
    struct question *question = arg;
    const struct vr_rpc_volume_size_info *sizes = result;
    if (code == 0 && sizes) {
        struct vr_txn *txn = vr_txn_new(engine);
        set(txn, question->disk_id, VR_GET(sizes, truesize, -1));
        vr_txn_commit(txn, NULL, NULL);
    } else {
        vr_log_info("The size of disk %s is not known: %s (%d)", question->disk_id,
                    message ? message : "", code);
    }
    if (question->done)
        question->done(engine, question->arg);
    g_free(question->disk_id);
    g_free(question);
}

void disk_measure(struct vr_engine *engine, const char *host_id, const struct vr_disk *disk,
                  disk_measured *done, void *arg)
{
    const struct vr_storage_domain *domain =
        VR_PEEK(vr_engine_head(engine), STORAGE_DOMAIN, storage_domain, VR_LINK_ID(disk, storage_domain));
    struct question *question = g_new0(struct question, 1);
    *question = (struct question){ g_strdup(disk->id), done, arg };
    vr_auto struct vr_rpc_volume_get_size_params *params = VR_NEW(rpc_volume_get_size_params);
    VR_SET_STRING(params, volume_id, disk->image_id);
    VR_SET_STRING(params, storagepool_id, domain ? VR_LINK_ID(domain, data_center) : NULL);
    VR_SET_STRING(params, storagedomain_id, domain ? domain->id : NULL);
    VR_SET_STRING(params, image_id, disk->id);
    vr_engine_host_call(engine, host_id, &vr_verb_volume_get_size, params, 0, NULL, answered,
                        question);
}

/* --- told --- */

void vr_disks_report(struct vr_txn *txn, const struct vr_vm *vm, const struct vr_map *reported)
{
    if (reported->len == 0)
        return;
    vr_auto_objects struct vr_objects attachments = { 0 };
    vr_inventory_list_by(vr_engine_head(vr_txn_engine(txn)), VR_KIND_DISK_ATTACHMENT, "vm", vm->id,
                         &attachments);
    for (unsigned i = 0; i < reported->len; i++) {
        const struct vr_rpc_vm_disk_stats *stats = reported->values[i];
        if (!stats->image_id || !stats->truesize)
            continue;
        int64_t size = g_ascii_strtoll(stats->truesize, NULL, 10);
        if (!is_size(size))
            continue;
        VR_OBJECTS (struct vr_disk_attachment, attachment, &attachments) {
            const char *disk_id = VR_LINK_ID(attachment, disk);
            const struct vr_disk *disk =
                g_strcmp0(disk_id, stats->image_id) == 0
                    ? vr_txn_peek(txn, VR_KIND_DISK, disk_id)
                    : NULL;
            if (!disk)
                continue;
            int64_t step = MAX(LEAST_CHANGE, VR_GET(disk, provisioned_size, 0) / STEPS);
            if (ABS(size - VR_GET(disk, actual_size, 0)) >= step)
                set(txn, disk_id, size);
        }
    }
}
