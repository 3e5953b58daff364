/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/vms/internal.h"

#include "codec/codec.h"

/* What must hold before a machine is started (facts/manager-behaviour.md 2.3). */

static bool check_disks(struct vr_engine *engine, const struct vr_vm *vm, bool *ret_bootable,
                        struct vr_error **error) VR_REQUIRES(vr_role_engine);
static bool check_disks(struct vr_engine *engine, const struct vr_vm *vm, bool *ret_bootable,
                        struct vr_error **error)
{
    struct vr_inventory *head = vr_engine_head(engine);
    vr_auto_objects struct vr_objects attachments = { 0 };
    vr_inventory_list_by(head, VR_KIND_DISK_ATTACHMENT, "vm", vm->id, &attachments);
    *ret_bootable = false;
    VR_OBJECTS (struct vr_disk_attachment, attachment, &attachments) {
        if (!VR_GET(attachment, active, true))
            continue;
        const struct vr_disk *disk = VR_PEEK(head, DISK, disk, VR_LINK_ID(attachment, disk));
        if (!disk)
            continue;
        enum vr_disk_status status = VR_GET(disk, status, VR_DISK_STATUS_OK);
        if (status != VR_DISK_STATUS_OK) {
            vr_error_set(error, status == VR_DISK_STATUS_LOCKED ? &vr_fault_disk_is_locked
                                                                : &vr_fault_disk_illegal,
                         "Cannot run VM. Disk %s is %s.", disk->alias ? disk->alias : disk->id,
                         vr_enum_word(&vr_enum_disk_status, (int)status));
            return false;
        }
        *ret_bootable |= VR_GET(attachment, bootable, false);
    }
    return true;
}

/* Only disks in the boot order, and none to boot from. */
static bool check_boot(struct vr_engine *engine, const struct vr_vm *vm, bool bootable_disk,
                       struct vr_error **error) VR_REQUIRES(vr_role_engine);
static bool check_boot(struct vr_engine *engine, const struct vr_vm *vm, bool bootable_disk,
                       struct vr_error **error)
{
    const struct vr_boot *boot = vm->os ? vm->os->boot : NULL;
    if (vm->os && vm->os->kernel && vm->os->kernel[0])
        return true;
    bool disk_only = true, network = false;
    for (unsigned i = 0; boot && i < boot->devices.len; i++) {
        enum vr_boot_device device = (enum vr_boot_device)GPOINTER_TO_SIZE(boot->devices.items[i]);
        disk_only &= device == VR_BOOT_DEVICE_HD;
        network |= device == VR_BOOT_DEVICE_NETWORK;
    }
    if (disk_only && !bootable_disk) {
        vr_error_set(error, &vr_fault_vm_no_bootable_disk, NULL);
        return false;
    }
    if (network && boot->devices.len == 1 &&
        vr_inventory_count_by(vr_engine_head(engine), VR_KIND_NIC, "vm", vm->id) == 0) {
        vr_error_set(error, &vr_fault_validation_failed,
                     "Cannot run VM without network interfaces while it boots from the network.");
        return false;
    }
    return true;
}

static bool check_data_center(struct vr_engine *engine, const struct vr_vm *vm,
                              struct vr_error **error) VR_REQUIRES(vr_role_engine);
static bool check_data_center(struct vr_engine *engine, const struct vr_vm *vm,
                              struct vr_error **error)
{
    struct vr_inventory *head = vr_engine_head(engine);
    if (vr_inventory_count_by(head, VR_KIND_DISK_ATTACHMENT, "vm", vm->id) == 0)
        return true;
    const struct vr_cluster *cluster = VR_PEEK(head, CLUSTER, cluster, VR_LINK_ID(vm, cluster));
    const struct vr_data_center *dc =
        cluster ? VR_PEEK(head, DATA_CENTER, data_center, VR_LINK_ID(cluster, data_center)) : NULL;
    if (dc && VR_GET(dc, status, VR_DATA_CENTER_STATUS_UNINITIALIZED) == VR_DATA_CENTER_STATUS_UP)
        return true;
    vr_error_set(error, &vr_fault_data_center_not_up, "Cannot run VM. Its data center is not up.");
    return false;
}

static bool check_state(const struct vr_vm *vm, const struct vr_vm *run_once,
                        struct vr_error **error)
{
    enum vr_vm_status status = vm_status(vm);
    if (status == VR_VM_STATUS_SUSPENDED && run_once) {
        vr_error_set(error, &vr_fault_vm_wrong_state,
                     "Cannot run VM. A suspended virtual machine goes on as it was; it cannot be run "
                     "once.");
        return false;
    }
    if (status == VR_VM_STATUS_DOWN || status == VR_VM_STATUS_SUSPENDED)
        return true;
    if (status == VR_VM_STATUS_IMAGE_LOCKED)
        vr_error_set(error, &vr_fault_vm_is_locked, "Cannot run VM. VM is locked.");
    else if (status == VR_VM_STATUS_UP)
        vr_error_set(error, &vr_fault_vm_is_running, NULL);
    else
        vr_error_set(error, &vr_fault_vm_wrong_state,
                     "Cannot run VM because the VM is in %s status.",
                     vr_enum_word(&vr_enum_vm_status, (int)status));
    return false;
}

/* What a suspended machine goes on from, with the lock that keeps it where it is. */
static bool check_memory(struct vr_engine *engine, const struct vr_vm *vm, struct vr_lock *ret_lock,
                         struct vr_error **error) VR_REQUIRES(vr_role_engine);
static bool check_memory(struct vr_engine *engine, const struct vr_vm *vm, struct vr_lock *ret_lock,
                         struct vr_error **error)
{
    struct vm_memory memory;
    if (!memory_find(engine, vm, &memory, error))
        return false;
    *ret_lock = (struct vr_lock){ VR_KIND_STORAGE_DOMAIN, memory.domain_id, false };
    return vr_locks_free(engine, ret_lock, 1, error);
}

static void keep_run_once(struct vr_vm *edit, const struct vr_vm *run_once)
{
    g_autoptr(GString) json = g_string_new(NULL);
    vr_json_write(json, run_once, VR_JSON_STORE, NULL);
    VR_SET_STRING(edit, run_once_config, json->str);
    VR_SET(edit, run_once, true);
}

/* The machine is on its way to @host_id. */
static void set_starting(struct vr_txn *txn, struct vr_vm *edit, const char *host_id, bool restoring)
    VR_REQUIRES(vr_role_engine);
static void set_starting(struct vr_txn *txn, struct vr_vm *edit, const char *host_id, bool restoring)
{
    vm_set_status(txn, edit, restoring ? VR_VM_STATUS_RESTORING_STATE : VR_VM_STATUS_WAIT_FOR_LAUNCH);
    VR_SET_LINK(edit, host, host, host_id);
    VR_SET_LINK(edit, run_host, host, host_id);
    VR_CLEAR(edit, start_time);
    VR_CLEAR(edit, stop_reason);
    vm_clear_exit(edit);
    vr_vms_host_changed(vr_txn_engine(txn), host_id);
}

const char *vm_start(struct vr_txn *txn, const struct vr_vm *vm, const struct vr_vm *run_once,
                     bool paused, const struct vr_user *user, const char *correlation_id,
                     struct vr_error **error)
{
    struct vr_engine *engine = vr_txn_engine(txn);
    struct vms *vms = vms_state(engine);
    struct vr_lock locks[2] = { { VR_KIND_VM, vm->id, true } };
    struct vr_launch_medium medium;
    bool restoring = vm_status(vm) == VR_VM_STATUS_SUSPENDED;
    const char *disc = restoring ? vm->current_cdrom_file : vm_boot_disc(vm, run_once);
    bool bootable;

    if (!check_state(vm, run_once, error) || !vr_locks_free(engine, locks, 1, error) ||
        !check_disks(engine, vm, &bootable, error) || !check_data_center(engine, vm, error) ||
        !vm_medium_find(engine, vm, disc, &medium, error) ||
        (restoring && !check_memory(engine, vm, &locks[1], error)))
        return NULL;
    vr_auto struct vr_vm *merged = vr_copy(vm);
    if (run_once)
        vr_merge(merged, run_once);
    if (!restoring && !check_boot(engine, merged, bootable, error))
        return NULL;
    g_autofree char *host_id = placement_choose(vms->placement, merged, NULL, error);
    if (!host_id)
        return NULL;

    struct vr_vm *edit = VR_EDIT(txn, VM, vm, vm->id);
    if (run_once)
        keep_run_once(edit, run_once);
    VR_SET_STRING(edit, current_cdrom_file, disc && disc[0] ? disc : NULL);
    set_starting(txn, edit, host_id, restoring);
    const struct vr_host *host = VR_PEEK(vr_engine_head(engine), HOST, host, host_id);
    vr_event_add(txn, VR_EVENT_USER_STARTED_VM,
                 &(struct vr_event_about){ .user = user, .vm = edit, .host = host,
                                           .correlation_id = correlation_id },
                 NULL);

    struct vr_run_vm_context *context = VR_NEW(run_vm_context);
    VR_SET_STRING(context, vm_id, vm->id);
    VR_SET_STRING(context, host_id, host_id);
    VR_SET(context, restoring, restoring);
    VR_SET(context, paused, paused);
    g_autofree char *description =
        g_strdup_printf("%s VM %s", restoring ? "Restoring" : "Launching", vm->name);
    const char *job_id =
        vr_job_start(txn, &(struct vr_job_start){ .type = &vr_job_run_vm,
                                                  .context = context,
                                                  .description = description,
                                                  .locks = locks,
                                                  .lock_count = restoring ? 2 : 1,
                                                  .user_id = user ? user->id : NULL,
                                                  .correlation_id = correlation_id });
    VR_SET_LINK(edit, job, job, job_id);
    return job_id;
}
