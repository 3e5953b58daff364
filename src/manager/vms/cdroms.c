/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/vms/internal.h"

#include "gen/routes.h"
#include "manager/rest/reading.h"

/*
 * The CD drive that every machine has (facts/rest-api.md 5.3).  What it holds
 * is named by a file's id: that of a disk of content type iso.  A machine
 * keeps two: what the next start inserts (`cdrom_file`), and what is in the
 * drive while it runs (`current_cdrom_file`).
 */

/* The only drive's id. */
#define DRIVE_ID VR_UUID_ZERO

/* --- what clients see --- */

static struct vr_cdrom *drive_new(const char *vm_id, const char *file)
{
    struct vr_cdrom *drive = VR_NEW(cdrom);
    VR_SET_STRING(drive, id, DRIVE_ID);
    if (file && file[0])
        VR_SET_STRING(VR_SUB(drive, file, file), id, file);
    VR_SET_LINK(drive, vm, vm, vm_id);
    return drive;
}

void vr_vm_cdroms_list(struct vr_reading *reading)
{
    vr_auto struct vr_vm *vm = vr_inventory_get(reading->inventory, VR_KIND_VM, reading->ids[0]);
    if (!vm)
        return;
    bool current = vr_reading_flag(reading, "current", false);
    vr_list_append(&reading->list,
                   drive_new(vm->id, current ? vm->current_cdrom_file : vm->cdrom_file));
}

void vr_vm_cdrom_get(struct vr_reading *reading)
{
    vr_vm_cdroms_list(reading);
    vr_reading_choose(reading, reading->ids[reading->id_count - 1]);
}

/* --- changing it --- */

#define IN(status) (1U << VR_VM_STATUS_##status)
#define RUNNING (IN(UP) | IN(POWERING_UP) | IN(PAUSED) | IN(REBOOT_IN_PROGRESS))

/* The machine of the path in a status that allows the change, and not locked. */
static const struct vr_vm *target(struct vr_call *call, bool current, struct vr_error **error)
    VR_REQUIRES(vr_role_engine);
static const struct vr_vm *target(struct vr_call *call, bool current, struct vr_error **error)
{
    const struct vr_vm *vm = VR_PEEK(vr_engine_head(call->engine), VM, vm, call->ids[0]);
    if (!vm || (call->id_count > 1 && strcmp(call->ids[1], DRIVE_ID) != 0)) {
        vr_error_set(error, &vr_fault_not_found, NULL);
        return NULL;
    }
    enum vr_vm_status status = vm_status(vm);
    unsigned allowed = current ? RUNNING : RUNNING | IN(DOWN);
    if (!(allowed & 1U << status)) {
        if (current && !vm_is_running(status))
            vr_error_set(error, &vr_fault_vm_is_not_running,
                         "Cannot change CD. VM is not running.");
        else
            vr_error_set(error, &vr_fault_vm_wrong_state,
                         "Cannot change CD because the VM is in %s status.",
                         vr_enum_word(&vr_enum_vm_status, (int)status));
        return NULL;
    }
    struct vr_lock lock = { VR_KIND_VM, vm->id, true };
    return vr_locks_free(call->engine, &lock, 1, error) ? vm : NULL;
}

/* What the next start inserts. */
static void keep(struct vr_call *call, const struct vr_vm *vm, const char *file)
    VR_REQUIRES(vr_role_engine);
static void keep(struct vr_call *call, const struct vr_vm *vm, const char *file)
{
    struct vr_txn *txn = vr_txn_new(call->engine);
    struct vr_vm *edit = VR_EDIT(txn, VM, vm, vm->id);
    VR_SET_STRING(edit, cdrom_file, file && file[0] ? file : NULL);
    vr_event_add(txn, VR_EVENT_USER_UPDATE_VM,
                 &(struct vr_event_about){ .user = vr_call_user(call),
                                           .vm = edit,
                                           .correlation_id = call->correlation_id },
                 NULL);
    vr_call_commit_object(call, txn, NULL, drive_new(vm->id, file));
}

static void insert(struct vr_call *call, const struct vr_vm *vm, const char *file)
    VR_REQUIRES(vr_role_engine);
static void insert(struct vr_call *call, const struct vr_vm *vm, const char *file)
{
    vr_auto_error struct vr_error *error = NULL;
    bool empty = !file || !file[0];
    /* An image in the drive is not removed; two machines may have the same one in theirs. */
    struct vr_lock locks[] = { { VR_KIND_VM, vm->id, true }, { VR_KIND_DISK, file, false } };
    unsigned count = empty ? 1 : 2;
    if (!vr_locks_free(call->engine, locks, count, &error)) {
        vr_call_fail(call, &error);
        return;
    }
    const char *user_id = call->caller ? call->caller->user_id : NULL;
    struct vr_change_disc_context *context = VR_NEW(change_disc_context);
    VR_SET_STRING(context, vm_id, vm->id);
    VR_SET_STRING(context, file, empty ? NULL : file);
    VR_SET_STRING(context, user_id, user_id);
    g_autofree char *description = g_strdup_printf(empty ? "Ejecting CD from VM %s"
                                                         : "Changing CD of VM %s", vm->name);
    struct vr_txn *txn = vr_txn_new(call->engine);
    const char *job = vr_job_start(txn, &(struct vr_job_start){
                                            .type = &vr_job_change_disc,
                                            .context = context,
                                            .description = description,
                                            .locks = locks,
                                            .lock_count = count,
                                            .user_id = user_id,
                                            .correlation_id = call->correlation_id });
    vr_call_commit_object(call, txn, job, drive_new(vm->id, file));
}

static void set_file(struct vr_call *call, bool current) VR_REQUIRES(vr_role_engine);
static void set_file(struct vr_call *call, bool current)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_cdrom *wanted = call->body;
    const char *file = wanted && wanted->file ? wanted->file->id : NULL;
    const struct vr_vm *vm = target(call, current, &error);
    struct vr_launch_medium medium;
    if (!vm || !vm_medium_find(call->engine, vm, file, &medium, &error))
        vr_call_fail(call, &error);
    else if (current)
        insert(call, vm, file);
    else
        keep(call, vm, file);
}

void vr_vm_cdrom_update(struct vr_call *call)
{
    set_file(call, vr_call_flag(call, "current", false));
}

void vr_vm_cdroms_add(struct vr_call *call)
{
    set_file(call, false);
}
