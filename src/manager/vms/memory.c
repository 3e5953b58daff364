/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "vms"
#include "manager/vms/internal.h"

#include "manager/disks/disks.h"
#include "manager/storage/storage.h"

/*
 * Where the memory of suspended machines lies: two disks that no machine
 * attaches, made by the jobs of `disks`, named by the machine's links.  A disk
 * of this kind that its machine does not name is garbage: it is removed as
 * soon as its storage allows, now or by the sweep, whatever crashed in between.
 */

/* facts/manager-behaviour.md 2.4: beside the memory, what QEMU and its devices need. */
#define STATE_BYTES MiB(200)
#define VIDEO_BYTES MiB(64) /* a monitor */
#define METADATA_BYTES MiB(1)
#define SWEEP_MS 60000

/* --- making --- */

static int64_t dump_size(const struct vr_vm *vm)
{
    int64_t monitors = vm->display ? VR_GET(vm->display, monitors, 1) : 1;
    return VR_GET(vm, memory, 0) + (int64_t)STATE_BYTES + CLAMP(monitors, 1, 16) * (int64_t)VIDEO_BYTES;
}

static const char *data_center_of(struct vr_engine *engine, const struct vr_vm *vm)
    VR_REQUIRES(vr_role_engine);
static const char *data_center_of(struct vr_engine *engine, const struct vr_vm *vm)
{
    const struct vr_cluster *cluster =
        VR_PEEK(vr_engine_head(engine), CLUSTER, cluster, VR_LINK_ID(vm, cluster));
    return cluster ? VR_LINK_ID(cluster, data_center) : NULL;
}

/* What may still be written to it before actions on it are blocked (critical_space_action_blocker). */
static int64_t room(struct vr_engine *engine, const struct vr_storage_domain *domain)
    VR_REQUIRES(vr_role_engine);
static int64_t room(struct vr_engine *engine, const struct vr_storage_domain *domain)
{
    return vr_storage_available(engine, domain->id) -
           VR_GET(domain, critical_space_action_blocker, 5) * (int64_t)GiB(1);
}

/* The active data domain of the machine's data centre with the most room, when that is enough. */
static const struct vr_storage_domain *choose_domain(struct vr_engine *engine,
                                                     const struct vr_vm *vm, int64_t need,
                                                     struct vr_error **error)
    VR_REQUIRES(vr_role_engine);
static const struct vr_storage_domain *choose_domain(struct vr_engine *engine,
                                                     const struct vr_vm *vm, int64_t need,
                                                     struct vr_error **error)
{
    struct vr_inventory *head = vr_engine_head(engine);
    const struct vr_storage_domain *best = NULL;
    unsigned active = 0;
    vr_auto_objects struct vr_objects domains = { 0 };
    vr_inventory_list_by(head, VR_KIND_STORAGE_DOMAIN, "data_center", data_center_of(engine, vm),
                         &domains);
    VR_OBJECTS (struct vr_storage_domain, domain, &domains) {
        vr_auto_error struct vr_error *busy = NULL;
        const struct vr_lock lock = { VR_KIND_STORAGE_DOMAIN, domain->id, false };
        if (VR_GET(domain, type, VR_STORAGE_DOMAIN_TYPE_DATA) != VR_STORAGE_DOMAIN_TYPE_DATA ||
            VR_GET(domain, pool_status, VR_STORAGE_DOMAIN_STATUS_UNKNOWN) !=
                VR_STORAGE_DOMAIN_STATUS_ACTIVE ||
            !vr_locks_free(engine, &lock, 1, &busy))
            continue;
        active++;
        if (!best || room(engine, domain) > room(engine, best))
            best = VR_PEEK(head, STORAGE_DOMAIN, storage_domain, domain->id);
    }
    if (!active) {
        vr_error_set(error, &vr_fault_domain_not_active,
                     "Cannot hibernate VM. The data center has no active data storage domain.");
    } else if (room(engine, best) < need) {
        vr_error_set(error, &vr_fault_domain_full,
                     "Cannot hibernate VM. Its memory needs %" G_GINT64_FORMAT " MiB, and the storage "
                     "domain with the most room, %s, has %" G_GINT64_FORMAT " MiB above its critical "
                     "limit. Free some space, or add a storage domain.",
                     need >> 20, best->name, MAX(0, room(engine, best)) >> 20);
        best = NULL;
    }
    return best;
}

static char *add_disk(struct vr_txn *txn, const struct vr_call *call, const struct vr_vm *vm,
                      const struct vr_storage_domain *domain, const char *suffix,
                      enum vr_disk_content_type type, int64_t size, char **ret_id,
                      struct vr_error **error) VR_REQUIRES(vr_role_engine);
static char *add_disk(struct vr_txn *txn, const struct vr_call *call, const struct vr_vm *vm,
                      const struct vr_storage_domain *domain, const char *suffix,
                      enum vr_disk_content_type type, int64_t size, char **ret_id,
                      struct vr_error **error)
{
    struct vr_disk *disk = VR_NEW(disk);
    *ret_id = vr_engine_uuid(call->engine);
    vr_set_id(disk, *ret_id);
    VR_TAKE_STRING(disk, alias, g_strdup_printf("%s_%s", vm->name, suffix));
    VR_TAKE_STRING(disk, description, g_strdup_printf("Memory of the suspended VM %s", vm->name));
    VR_SET(disk, content_type, type);
    VR_SET(disk, provisioned_size, size);
    VR_SET_LINK(disk, memory_of, vm, vm->id);
    return vr_disks_make_memory(txn, call, disk, domain, error);
}

bool memory_make(struct vr_txn *txn, const struct vr_call *call, struct vr_vm *vm,
                 struct vr_suspend_vm_context *context, char **ret_domain_id,
                 struct vr_error **error)
{
    int64_t size = dump_size(vm);
    const struct vr_storage_domain *domain =
        choose_domain(call->engine, vm, size + (int64_t)METADATA_BYTES, error);
    if (!domain)
        return false;
    g_autofree char *dump = NULL, *metadata = NULL;
    char *job = add_disk(txn, call, vm, domain, "hibernation_memory",
                         VR_DISK_CONTENT_TYPE_MEMORY_DUMP_VOLUME, size, &dump, error);
    if (!job)
        return false;
    VR_APPEND(context, makers, job);
    job = add_disk(txn, call, vm, domain, "hibernation_metadata",
                   VR_DISK_CONTENT_TYPE_MEMORY_METADATA_VOLUME, (int64_t)METADATA_BYTES, &metadata,
                   error);
    if (!job)
        return false;
    VR_APPEND(context, makers, job);
    VR_SET_LINK(vm, memory_disk, disk, dump);
    VR_SET_LINK(vm, metadata_disk, disk, metadata);
    *ret_domain_id = g_strdup(domain->id);
    return true;
}

/* --- using --- */

static const struct vr_disk *usable_disk(struct vr_engine *engine, const char *id,
                                         struct vr_error **error) VR_REQUIRES(vr_role_engine);
static const struct vr_disk *usable_disk(struct vr_engine *engine, const char *id,
                                         struct vr_error **error)
{
    const struct vr_disk *disk = VR_PEEK(vr_engine_head(engine), DISK, disk, id);
    if (disk && VR_GET(disk, status, VR_DISK_STATUS_OK) == VR_DISK_STATUS_OK)
        return disk;
    vr_error_set(error, &vr_fault_disk_illegal, "The disk with the machine's memory is %s.",
                 disk ? vr_enum_word(&vr_enum_disk_status, (int)disk->status) : "gone");
    return NULL;
}

bool memory_find(struct vr_engine *engine, const struct vr_vm *vm, struct vm_memory *ret,
                 struct vr_error **error)
{
    const struct vr_disk *dump = usable_disk(engine, VR_LINK_ID(vm, memory_disk), error);
    const struct vr_disk *metadata =
        dump ? usable_disk(engine, VR_LINK_ID(vm, metadata_disk), error) : NULL;
    if (!metadata)
        return false;
    const struct vr_storage_domain *domain =
        VR_PEEK(vr_engine_head(engine), STORAGE_DOMAIN, storage_domain,
                VR_LINK_ID(dump, storage_domain));
    if (!domain || !VR_LINK_ID(domain, data_center) ||
        VR_GET(domain, pool_status, VR_STORAGE_DOMAIN_STATUS_UNKNOWN) !=
            VR_STORAGE_DOMAIN_STATUS_ACTIVE) {
        vr_error_set(error, &vr_fault_domain_not_active,
                     "The storage domain %s, which holds the machine's memory, is not active.",
                     domain ? domain->name : "");
        return false;
    }
    *ret = (struct vm_memory){ .domain_id = domain->id,
                               .pool_id = VR_LINK_ID(domain, data_center),
                               .dump = dump,
                               .metadata = metadata };
    return true;
}

static struct vr_rpc_drive_spec_volume *volume(const struct vm_memory *memory,
                                               const struct vr_disk *disk)
{
    struct vr_rpc_drive_spec_volume *volume = VR_NEW(rpc_drive_spec_volume);
    VR_SET_STRING(volume, device, "disk");
    VR_SET_STRING(volume, pool_id, memory->pool_id);
    VR_SET_STRING(volume, domain_id, memory->domain_id);
    VR_SET_STRING(volume, image_id, disk->id);
    VR_SET_STRING(volume, volume_id, disk->image_id);
    return volume;
}

void memory_describe(const struct vm_memory *memory, struct vr_rpc_vm_parameters *parameters)
{
    VR_TAKE(parameters, memory_dump_volume, volume(memory, memory->dump));
    VR_TAKE(parameters, memory_conf_volume, volume(memory, memory->metadata));
}

char *memory_handle(const struct vm_memory *memory)
{
    return g_strdup_printf("%s,%s,%s,%s,%s,%s", memory->domain_id, memory->pool_id, memory->dump->id,
                           memory->dump->image_id, memory->metadata->id, memory->metadata->image_id);
}

/* --- giving up --- */

/* Whether a disk of memory is named by its machine. */
static bool is_named(struct vr_txn *txn, const struct vr_disk *disk) VR_REQUIRES(vr_role_engine);
static bool is_named(struct vr_txn *txn, const struct vr_disk *disk)
{
    const struct vr_vm *vm = vr_txn_peek(txn, VR_KIND_VM, VR_LINK_ID(disk, memory_of));
    return vm && (g_strcmp0(VR_LINK_ID(vm, memory_disk), disk->id) == 0 ||
                  g_strcmp0(VR_LINK_ID(vm, metadata_disk), disk->id) == 0);
}

static void drop(struct vr_txn *txn, const char *disk_id) VR_REQUIRES(vr_role_engine);
static void drop(struct vr_txn *txn, const char *disk_id)
{
    struct vms *vms = vms_state(vr_txn_engine(txn));
    vr_auto_error struct vr_error *error = NULL;
    if (!disk_id)
        return;
    g_hash_table_add(vms->garbage, g_strdup(disk_id)); /* until the sweep finds it gone */
    vr_disks_drop(txn, disk_id, &error);
}

void memory_drop(struct vr_txn *txn, struct vr_vm *vm)
{
    g_autofree char *dump = g_strdup(VR_LINK_ID(vm, memory_disk));
    g_autofree char *metadata = g_strdup(VR_LINK_ID(vm, metadata_disk));
    VR_CLEAR(vm, memory_disk);
    VR_CLEAR(vm, metadata_disk);
    drop(txn, dump);
    drop(txn, metadata);
}

static void sweep(struct vr_engine *engine, void *nothing) VR_REQUIRES(vr_role_engine);
static void sweep(struct vr_engine *engine, void *nothing)
{
    struct vms *vms = vms_state(engine);
    struct vr_txn *txn = vr_txn_new(engine);
    GHashTableIter iter;
    gpointer id;
    g_hash_table_iter_init(&iter, vms->garbage);
    while (g_hash_table_iter_next(&iter, &id, NULL)) {
        vr_auto_error struct vr_error *error = NULL;
        const struct vr_disk *disk = vr_txn_peek(txn, VR_KIND_DISK, id);
        if (!disk || is_named(txn, disk))
            g_hash_table_iter_remove(&iter);
        else if (!vr_disks_drop(txn, id, &error))
            vr_log_info("Memory disk %s is not needed and cannot be removed now: %s", disk->alias,
                        error->detail ? error->detail : error->fault->text);
    }
    vr_txn_commit(txn, NULL, NULL);
    vr_engine_after(engine, SWEEP_MS, sweep, NULL);
}

void memory_begin(struct vr_engine *engine)
{
    struct vms *vms = vms_state(engine);
    struct vr_txn *txn = vr_txn_new(engine);
    vr_auto_objects struct vr_objects disks = { 0 };
    vr_inventory_list(vr_engine_head(engine), VR_KIND_DISK, &disks);
    VR_OBJECTS (struct vr_disk, disk, &disks)
        if (VR_LINK_ID(disk, memory_of) && !is_named(txn, disk))
            g_hash_table_add(vms->garbage, g_strdup(disk->id));
    vr_txn_abandon(txn);
    vr_engine_after(engine, SWEEP_MS, sweep, NULL);
}
