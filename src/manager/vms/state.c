/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "vms"
#include "manager/vms/internal.h"

#include "codec/codec.h"
#include "manager/console/console.h"

bool vm_is_running(enum vr_vm_status status)
{
    switch (status) {
    case VR_VM_STATUS_DOWN:
    case VR_VM_STATUS_SUSPENDED:
    case VR_VM_STATUS_IMAGE_LOCKED:
    case VR_VM_STATUS_UNASSIGNED:
        return false;
    default:
        return true;
    }
}

enum vr_vm_status vm_status(const struct vr_vm *vm)
{
    return VR_GET(vm, status, VR_VM_STATUS_DOWN);
}

const struct vr_job_type *vm_job(struct vr_engine *engine, const struct vr_vm *vm)
{
    return vr_job_running(engine, VR_LINK_ID(vm, job));
}

void vm_note_exit(struct vr_vm *vm, int64_t exit_code, int64_t exit_reason, const char *message)
{
    VR_SET(vm, exit_code, exit_code);
    VR_SET(vm, exit_reason, exit_reason);
    VR_SET_STRING(vm, exit_message, message);
}

void vm_clear_exit(struct vr_vm *vm)
{
    VR_CLEAR(vm, exit_code);
    VR_CLEAR(vm, exit_reason);
    VR_CLEAR(vm, exit_message);
}

void vm_set_status(struct vr_txn *txn, struct vr_vm *vm, enum vr_vm_status status)
{
    struct vr_engine *engine = vr_txn_engine(txn);
    enum vr_vm_status before = vm_status(vm);
    if (VR_HAS(vm, status) && before == status)
        return;
    VR_SET(vm, status, status);
    VR_SET(vm, status_since, vr_engine_wall_ms(engine));
    if (status != VR_VM_STATUS_PAUSED) {
        VR_CLEAR(vm, status_detail);
        VR_CLEAR(vm, pause_code);
    }
    if (VR_LINK_ID(vm, host))
        vr_vms_host_changed(engine, VR_LINK_ID(vm, host));
}

bool vr_vm_runs(const struct vr_vm *vm)
{
    return vm_is_running(vm_status(vm));
}

/* --- what waits for the next start --- */

/* Owned; NULL when nothing waits. */
static struct vr_vm *read_next_run(const struct vr_vm *vm)
{
    if (!vm->next_run)
        return NULL;
    vr_auto_error struct vr_error *error = NULL;
    struct vr_vm *next = vr_json_read(&vr_type_vm, vm->next_run, strlen(vm->next_run),
                                      VR_JSON_STORE, &vr_codec_caps_api, &error);
    if (!next)
        vr_log_error("The next run's configuration of VM %s cannot be read and is dropped: %s",
                     vm->id, error->detail ? error->detail : error->fault->text);
    return next;
}

struct vr_vm *vr_vm_next_run(const struct vr_vm *vm)
{
    struct vr_vm *copy = vr_copy(vm);
    vr_auto struct vr_vm *next = read_next_run(vm);
    if (next)
        vr_merge(copy, next);
    return copy;
}

void vr_vm_keep_for_next_run(struct vr_vm *edit, const struct vr_vm *later)
{
    vr_auto struct vr_vm *all = read_next_run(edit);
    if (!all)
        all = VR_NEW(vm);
    vr_merge(all, later);
    g_autoptr(GString) json = g_string_new(NULL);
    vr_json_write(json, all, VR_JSON_STORE, NULL);
    VR_SET_STRING(edit, next_run, json->str);
    VR_SET(edit, next_run_configuration_exists, true);
}

/* It becomes the configuration. */
static void apply_next_run(struct vr_vm *vm)
{
    if (!vm->next_run)
        return;
    vr_auto struct vr_vm *next = read_next_run(vm);
    if (next)
        vr_merge(vm, next);
    VR_CLEAR(vm, next_run);
    VR_SET(vm, next_run_configuration_exists, false);
}

/* What was true of the run that is over. */
static void forget_run(struct vr_txn *txn, struct vr_vm *vm) VR_REQUIRES(vr_role_engine);
static void forget_run(struct vr_txn *txn, struct vr_vm *vm)
{
    struct vr_world *world = vr_engine_world(vr_txn_engine(txn));
    VR_CLEAR(vm, host);
    VR_CLEAR(vm, migrating_to);
    VR_CLEAR(vm, fqdn);
    VR_CLEAR(vm, guest_operating_system);
    VR_CLEAR(vm, guest_time_zone);
    VR_CLEAR(vm, guest_addresses);
    VR_CLEAR(vm, guest_report);
    VR_CLEAR(vm, initiated_stop);
    vr_console_down(vm);
    world->ops->statistics(world, VR_KIND_VM, vm->id, NULL);
}

void vm_set_suspended(struct vr_txn *txn, struct vr_vm *vm)
{
    vm_set_status(txn, vm, VR_VM_STATUS_SUSPENDED);
    VR_SET(vm, stop_time, vr_engine_wall_ms(vr_txn_engine(txn)));
    vm_clear_exit(vm);
    forget_run(txn, vm);
}

void vm_set_down(struct vr_txn *txn, struct vr_vm *vm, int64_t exit_code, int64_t exit_reason,
                 const char *message)
{
    vm_set_status(txn, vm, VR_VM_STATUS_DOWN);
    VR_SET(vm, stop_time, vr_engine_wall_ms(vr_txn_engine(txn)));
    vm_note_exit(vm, exit_code, exit_reason, message);
    forget_run(txn, vm);
    VR_CLEAR(vm, current_cdrom_file);
    VR_CLEAR(vm, run_once_config);
    VR_SET(vm, run_once, false);
    apply_next_run(vm);
}
