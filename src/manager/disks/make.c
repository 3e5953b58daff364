/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/disks/internal.h"

#include "manager/vms/vms.h"

/* Making, growing and removing disks: what is checked, and the jobs that do it (facts/rest-api.md
 * 8.2). */

#define MAX_SIZE ((int64_t)GiB(64 * 1024)) /* far above what a file system takes; no overflow below */
#define MAX_DESCRIPTION 500

static int64_t whole_blocks(int64_t size)
{
    return (size + DISK_BLOCK - 1) / DISK_BLOCK * DISK_BLOCK;
}

bool disk_place(struct vr_engine *engine, const struct vr_disk *disk, struct disk_place *ret_place,
                struct vr_error **error)
{
    const struct vr_storage_domain *domain =
        VR_PEEK(vr_engine_head(engine), STORAGE_DOMAIN, storage_domain,
                VR_LINK_ID(disk, storage_domain));
    if (!domain || !VR_LINK_ID(domain, data_center) ||
        VR_GET(domain, pool_status, VR_STORAGE_DOMAIN_STATUS_UNKNOWN) !=
            VR_STORAGE_DOMAIN_STATUS_ACTIVE) {
        vr_error_set(error, &vr_fault_domain_not_active, "Storage domain %s is not active.",
                     domain ? domain->name : "of the disk");
        return false;
    }
    const struct vr_host *host = vr_hosts_pick(engine, VR_LINK_ID(domain, data_center));
    if (!host) {
        vr_error_set(error, &vr_fault_no_host_available,
                     "No host of the storage domain's data center is up.");
        return false;
    }
    ret_place->domain = domain;
    ret_place->host = host;
    return true;
}

const struct vr_vm *disk_user(struct vr_engine *engine, const char *disk_id, bool running_only)
{
    struct vr_inventory *head = vr_engine_head(engine);
    vr_auto_objects struct vr_objects attachments = { 0 };
    vr_inventory_list_by(head, VR_KIND_DISK_ATTACHMENT, "disk", disk_id, &attachments);
    VR_OBJECTS (struct vr_disk_attachment, attachment, &attachments) {
        const struct vr_vm *vm = VR_PEEK(head, VM, vm, VR_LINK_ID(attachment, vm));
        if (vm && (!running_only || (VR_GET(vm, status, VR_VM_STATUS_DOWN) != VR_VM_STATUS_DOWN &&
                                     VR_GET(attachment, active, true))))
            return vm;
    }
    const struct vr_disk *disk = VR_PEEK(head, DISK, disk, disk_id);
    bool iso = disk && VR_GET(disk, content_type, VR_DISK_CONTENT_TYPE_DATA) ==
                           VR_DISK_CONTENT_TYPE_ISO;
    return iso ? vr_vms_with_disc(engine, disk_id) : NULL;
}

bool disk_is_free(struct vr_engine *engine, const struct vr_disk *disk, const char *verb,
                  struct vr_error **error)
{
    struct vr_lock lock = { VR_KIND_DISK, disk->id, true };
    if (VR_GET(disk, status, VR_DISK_STATUS_OK) == VR_DISK_STATUS_LOCKED) {
        vr_error_set(error, &vr_fault_disk_is_locked,
                     "Cannot %s Virtual Disk. Disk %s is locked. Please try again later.", verb,
                     disk->alias ? disk->alias : disk->id);
        return false;
    }
    return vr_locks_free(engine, &lock, 1, error);
}

/* @call: who asked for it; NULL: the Manager itself. */
static char *start(struct vr_txn *txn, const struct vr_call *call, const struct vr_job_type *type,
                   struct vr_disk_job_context *context, const char *what, const char *alias)
    VR_REQUIRES(vr_role_engine);
static char *start(struct vr_txn *txn, const struct vr_call *call, const struct vr_job_type *type,
                   struct vr_disk_job_context *context, const char *what, const char *alias)
{
    unsigned count = 1 + context->more.len;
    g_autofree struct vr_lock *locks = g_new0(struct vr_lock, count + 1);
    locks[0] = (struct vr_lock){ VR_KIND_DISK, context->disk_id, true };
    for (unsigned i = 0; i < context->more.len; i++)
        locks[1 + i] = (struct vr_lock){ VR_KIND_DISK, context->more.items[i], true };
    /* The domain stays where it is meanwhile. */
    locks[count++] = (struct vr_lock){ VR_KIND_STORAGE_DOMAIN, context->domain_id, false };
    g_autofree char *description = g_strdup_printf("%s Disk %s", what, alias ? alias : "");
    return g_strdup(vr_job_start(
        txn, &(struct vr_job_start){ .type = type,
                                     .context = context,
                                     .description = description,
                                     .locks = locks,
                                     .lock_count = count,
                                     .user_id = call && call->caller ? call->caller->user_id : NULL,
                                     .correlation_id = call ? call->correlation_id : NULL }));
}

static struct vr_disk_job_context *context_new(const struct vr_disk *disk,
                                               const struct disk_place *place)
{
    struct vr_disk_job_context *context = VR_NEW(disk_job_context);
    VR_SET_STRING(context, disk_id, disk->id);
    VR_SET_STRING(context, domain_id, place->domain->id);
    VR_SET_STRING(context, pool_id, VR_LINK_ID(place->domain, data_center));
    VR_SET_STRING(context, host_id, place->host->id);
    VR_SET_STRING(context, volume_id, disk->image_id);
    return context;
}

/* --- making --- */

static bool check_shape(struct vr_disk *disk, struct vr_error **error)
{
    if (VR_HAS(disk, lun_storage) ||
        VR_GET(disk, storage_type, VR_DISK_STORAGE_TYPE_IMAGE) != VR_DISK_STORAGE_TYPE_IMAGE) {
        vr_error_set(error, &vr_fault_not_built,
                     "This version makes disks that are images, not LUNs or volumes of others.");
        return false;
    }
    if (!VR_HAS(disk, provisioned_size)) {
        vr_error_set(error, &vr_fault_incomplete_parameters,
                     "Disk [provisionedSize] required for add");
        return false;
    }
    if (!VR_HAS(disk, format)) {
        vr_error_set(error, &vr_fault_incomplete_parameters, "Disk [format] required for add");
        return false;
    }
    if (disk->provisioned_size < 1 || disk->provisioned_size > MAX_SIZE) {
        vr_error_set(error, &vr_fault_invalid_value,
                     "provisioned_size must be from 1 byte to %" G_GINT64_FORMAT ".", MAX_SIZE);
        return false;
    }
    bool cow = disk->format == VR_DISK_FORMAT_COW;
    bool incremental = VR_GET(disk, backup, VR_DISK_BACKUP_NONE) == VR_DISK_BACKUP_INCREMENTAL;
    if ((cow && !VR_GET(disk, sparse, true) && !incremental) || (!cow && incremental)) {
        vr_error_set(error, &vr_fault_disk_format_incompatible,
                     "Disk configuration (%s %s backup-%s) is incompatible with the storage domain "
                     "type.",
                     cow ? "COW" : "RAW", VR_GET(disk, sparse, true) ? "Sparse" : "Preallocated",
                     incremental ? "Incremental" : "None");
        return false;
    }
    if (cow && VR_GET(disk, shareable, false)) {
        vr_error_set(error, &vr_fault_validation_failed, "Only a raw disk can be shareable.");
        return false;
    }
    if (disk->description && g_utf8_strlen(disk->description, -1) > MAX_DESCRIPTION) {
        vr_error_set(error, &vr_fault_invalid_value,
                     "The description of a disk has at most %d characters.", MAX_DESCRIPTION);
        return false;
    }
    return true;
}

/* The domain that the body names, or the only active one of the machine's data centre. */
static const struct vr_storage_domain *choose_domain(struct vr_engine *engine,
                                                     const struct vr_disk *disk,
                                                     const struct vr_vm *vm,
                                                     struct vr_error **error)
    VR_REQUIRES(vr_role_engine);
static const struct vr_storage_domain *choose_domain(struct vr_engine *engine,
                                                     const struct vr_disk *disk,
                                                     const struct vr_vm *vm,
                                                     struct vr_error **error)
{
    struct vr_inventory *head = vr_engine_head(engine);
    const void *named = disk->storage_domains.len > 0 ? disk->storage_domains.items[0]
                                                      : disk->storage_domain;
    if (named)
        return VR_RESOLVE(engine, STORAGE_DOMAIN, storage_domain, named, "Storage Domain", error);
    const struct vr_cluster *cluster =
        vm ? VR_PEEK(head, CLUSTER, cluster, VR_LINK_ID(vm, cluster)) : NULL;
    const struct vr_storage_domain *found = NULL;
    if (cluster) {
        vr_auto_objects struct vr_objects domains = { 0 };
        vr_inventory_list_by(head, VR_KIND_STORAGE_DOMAIN, "data_center",
                             VR_LINK_ID(cluster, data_center), &domains);
        VR_OBJECTS (struct vr_storage_domain, domain, &domains)
            if (!found && VR_GET(domain, pool_status, VR_STORAGE_DOMAIN_STATUS_UNKNOWN) ==
                              VR_STORAGE_DOMAIN_STATUS_ACTIVE)
                found = VR_PEEK(head, STORAGE_DOMAIN, storage_domain, domain->id);
    }
    if (!found)
        vr_error_set(error, &vr_fault_incomplete_parameters,
                     "Disk [storageDomains.storageDomain] required for add");
    return found;
}

static void fill(struct vr_disk *disk, const struct vr_storage_domain *domain)
{
    VR_SET_LINK(disk, storage_domain, storage_domain, domain->id);
    VR_CLEAR(disk, storage_domains);
    VR_APPEND(disk, storage_domains, VR_STUB(storage_domain, domain->id));
    if (!disk->alias)
        VR_SET_STRING(disk, alias, disk->name ? disk->name : "");
    VR_SET_STRING(disk, name, disk->alias);
    VR_SET(disk, provisioned_size, whole_blocks(disk->provisioned_size));
    VR_SET(disk, actual_size, 0);
    VR_SET(disk, total_size, 0);
    VR_SET(disk, status, VR_DISK_STATUS_LOCKED);
    VR_SET(disk, sparse, VR_GET(disk, sparse, true));
    VR_SET(disk, shareable, VR_GET(disk, shareable, false));
    VR_SET(disk, wipe_after_delete, VR_GET(disk, wipe_after_delete, false));
    VR_SET(disk, propagate_errors, VR_GET(disk, propagate_errors, false));
    VR_SET(disk, backup, VR_GET(disk, backup, VR_DISK_BACKUP_NONE));
    VR_SET(disk, storage_type, VR_DISK_STORAGE_TYPE_IMAGE);
    VR_SET(disk, content_type, VR_GET(disk, content_type, VR_DISK_CONTENT_TYPE_DATA));
    if (disk->format == VR_DISK_FORMAT_COW)
        VR_SET(disk, qcow_version, VR_QCOW_VERSION_QCOW2_V3);
    if (!disk->description)
        VR_SET_STRING(disk, description, "");
    static const char *const attachment_members[] = { "interface", "bootable", "active", "read_only",
                                                      "logical_name", "initial_size" };
    for (unsigned i = 0; i < G_N_ELEMENTS(attachment_members); i++)
        vr_clear_named(disk, attachment_members[i]);
}

static bool check_ids(struct vr_txn *txn, const struct vr_disk *disk, struct vr_error **error)
    VR_REQUIRES(vr_role_engine);
static bool check_ids(struct vr_txn *txn, const struct vr_disk *disk, struct vr_error **error)
{
    if ((disk->id && !vr_uuid_valid(disk->id)) ||
        (disk->image_id && !vr_uuid_valid(disk->image_id)))
        vr_error_set(error, &vr_fault_invalid_value, "A disk's id and image_id must be UUIDs.");
    else if (disk->id && vr_txn_peek(txn, VR_KIND_DISK, disk->id))
        vr_error_set(error, &vr_fault_already_exists, "A disk with the id %s exists.", disk->id);
    return *error == NULL;
}

char *disk_make(struct vr_txn *txn, const struct vr_call *call, struct vr_disk *disk,
                const struct vr_vm *vm, struct vr_error **error)
{
    struct vr_engine *engine = vr_txn_engine(txn);
    const struct vr_storage_domain *domain = NULL;
    struct disk_place place = { 0 };
    if (!check_shape(disk, error) || !check_ids(txn, disk, error) ||
        !(domain = choose_domain(engine, disk, vm, error))) {
        vr_unref(disk);
        return NULL;
    }
    fill(disk, domain);
    if (!disk_place(engine, disk, &place, error)) {
        vr_unref(disk);
        return NULL;
    }
    if (!disk->image_id)
        VR_TAKE_STRING(disk, image_id, vr_engine_uuid(engine));
    vr_txn_add(txn, VR_KIND_DISK, disk);
    struct vr_disk_job_context *context = context_new(disk, &place);
    VR_SET_STRING(context, vm_id, vm ? vm->id : NULL);
    return start(txn, call, &vr_job_add_disk, context, "Adding", disk->alias);
}

char *disk_extend(struct vr_txn *txn, const struct vr_call *call, const struct vr_disk *disk,
                  int64_t size, struct vr_error **error)
{
    struct disk_place place = { 0 };
    size = whole_blocks(size);
    if (size < VR_GET(disk, provisioned_size, 0) || size > MAX_SIZE) {
        vr_error_set(error, &vr_fault_disk_shrink, "A disk only grows, from %" G_GINT64_FORMAT
                     " to at most %" G_GINT64_FORMAT " bytes.",
                     VR_GET(disk, provisioned_size, 0), MAX_SIZE);
        return NULL;
    }
    if (!disk_place(vr_txn_engine(txn), disk, &place, error))
        return NULL;
    VR_SET(VR_EDIT(txn, DISK, disk, disk->id), status, VR_DISK_STATUS_LOCKED);
    struct vr_disk_job_context *context = context_new(disk, &place);
    VR_SET(context, size, size);
    return start(txn, call, &vr_job_extend_disk, context, "Extending", disk->alias);
}

char *disk_remove(struct vr_txn *txn, const struct vr_call *call, const struct vr_disk *disk,
                  const struct vr_list *more, struct vr_error **error)
{
    struct disk_place place = { 0 };
    if (!disk_place(vr_txn_engine(txn), disk, &place, error))
        return NULL;
    struct vr_disk_job_context *context = context_new(disk, &place);
    VR_SET(context, removing, true);
    VR_SET(VR_EDIT(txn, DISK, disk, disk->id), status, VR_DISK_STATUS_LOCKED);
    for (unsigned i = 0; more && i < more->len; i++) {
        VR_APPEND(context, more, g_strdup(more->items[i]));
        VR_SET(VR_EDIT(txn, DISK, disk, more->items[i]), status, VR_DISK_STATUS_LOCKED);
    }
    return start(txn, call, &vr_job_remove_disk, context, "Removing", disk->alias);
}

/* --- the memory of suspended machines --- */

char *vr_disks_make_memory(struct vr_txn *txn, const struct vr_call *call, struct vr_disk *disk,
                           const struct vr_storage_domain *domain, struct vr_error **error)
{
    enum vr_storage_type type = domain->storage ? VR_GET(domain->storage, type, VR_STORAGE_TYPE_NFS)
                                                : VR_STORAGE_TYPE_NFS;
    VR_SET(disk, format, VR_DISK_FORMAT_RAW);
    VR_SET(disk, sparse, type != VR_STORAGE_TYPE_ISCSI && type != VR_STORAGE_TYPE_FCP);
    VR_SET_LINK(disk, storage_domain, storage_domain, domain->id);
    return disk_make(txn, call, disk, NULL, error);
}

bool vr_disks_drop(struct vr_txn *txn, const char *disk_id, struct vr_error **error)
{
    const struct vr_disk *disk = vr_txn_peek(txn, VR_KIND_DISK, disk_id);
    if (!disk)
        return true;
    if (!disk_is_free(vr_txn_engine(txn), disk, "remove", error))
        return false;
    g_autofree char *job = disk_remove(txn, NULL, disk, NULL, error);
    return job != NULL;
}
