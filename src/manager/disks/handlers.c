/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/disks/internal.h"

#include "gen/routes.h"

/* Disks and their attachments to virtual machines (facts/rest-api.md 8.2). */

/* --- disks --- */

void vr_disks_add(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    struct vr_txn *txn = vr_txn_new(call->engine);
    struct vr_disk *disk = vr_call_take_body(call);
    vr_auto struct vr_disk *kept = vr_ref(disk);
    g_autofree char *job = disk_make(txn, call, disk, NULL, &error);
    if (!job) {
        vr_txn_abandon(txn);
        vr_call_fail(call, &error);
        return;
    }
    g_autofree char *id = g_strdup(kept->id);
    vr_call_commit_job(call, txn, job, VR_KIND_DISK, id);
}

static void update_disk(struct vr_call *call, const struct vr_disk *disk,
                        const struct vr_disk *wanted) VR_REQUIRES(vr_role_engine);
static void update_disk(struct vr_call *call, const struct vr_disk *disk,
                        const struct vr_disk *wanted)
{
    vr_auto_error struct vr_error *error = NULL;
    g_autofree char *job = NULL, *id = g_strdup(disk->id);
    bool grows = VR_HAS(wanted, provisioned_size) &&
                 wanted->provisioned_size != VR_GET(disk, provisioned_size, 0);
    struct vr_txn *txn = vr_txn_new(call->engine);
    if (!disk_is_free(call->engine, disk, "edit", &error))
        goto fail;
    if (grows && disk_user(call->engine, disk->id, true)) {
        vr_error_set(&error, &vr_fault_not_built,
                     "Disks of running machines do not grow in this version; shut the virtual "
                     "machine down first.");
        goto fail;
    }
    if (grows && !(job = disk_extend(txn, call, disk, wanted->provisioned_size, &error)))
        goto fail;
    struct vr_disk *edit = VR_EDIT(txn, DISK, disk, disk->id);
    const char *alias = wanted->alias ? wanted->alias : wanted->name;
    if (alias) {
        VR_SET_STRING(edit, alias, alias);
        VR_SET_STRING(edit, name, alias);
    }
    if (wanted->description)
        VR_SET_STRING(edit, description, wanted->description);
    if (VR_HAS(wanted, wipe_after_delete))
        VR_SET(edit, wipe_after_delete, wanted->wipe_after_delete);
    if (VR_HAS(wanted, propagate_errors))
        VR_SET(edit, propagate_errors, wanted->propagate_errors);
    if (VR_HAS(wanted, backup))
        VR_SET(edit, backup, wanted->backup);
    vr_event_add(txn, VR_EVENT_USER_UPDATE_VM_DISK,
                 &(struct vr_event_about){ .user = vr_call_user(call),
                                           .correlation_id = call->correlation_id },
                 "DiskAlias", edit->alias, NULL);
    vr_call_commit(call, txn, call->operation->kind,
                   call->operation->kind == VR_KIND_DISK ? id : vr_call_id(call));
    return;
fail:
    vr_txn_abandon(txn);
    vr_call_fail(call, &error);
}

void vr_disk_update(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_disk *disk = vr_call_target(call, VR_KIND_DISK, &error);
    if (!disk)
        vr_call_fail(call, &error);
    else
        update_disk(call, disk, call->body);
}

/* The memory of a suspended machine goes when the machine goes on, or is stopped. */
static bool holds_memory(struct vr_engine *engine, const struct vr_disk *disk,
                         struct vr_error **error) VR_REQUIRES(vr_role_engine);
static bool holds_memory(struct vr_engine *engine, const struct vr_disk *disk,
                         struct vr_error **error)
{
    const struct vr_vm *vm =
        VR_PEEK(vr_engine_head(engine), VM, vm, VR_LINK_ID(disk, memory_of));
    if (!vm || (g_strcmp0(VR_LINK_ID(vm, memory_disk), disk->id) != 0 &&
                g_strcmp0(VR_LINK_ID(vm, metadata_disk), disk->id) != 0))
        return false;
    vr_error_set(error, &vr_fault_disk_in_use,
                 "Cannot remove Virtual Disk. It holds the memory of the suspended virtual machine "
                 "%s.", vm->name);
    return true;
}

static void remove_disk(struct vr_call *call, const struct vr_disk *disk)
    VR_REQUIRES(vr_role_engine);
static void remove_disk(struct vr_call *call, const struct vr_disk *disk)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_vm *vm = disk_user(call->engine, disk->id, true);
    struct vr_txn *txn = vr_txn_new(call->engine);
    g_autofree char *job = NULL;
    if (vm)
        vr_error_set(&error, &vr_fault_disk_in_use,
                     "Cannot remove Virtual Disk. Virtual machine %s runs with it.", vm->name);
    else if (holds_memory(call->engine, disk, &error))
        ; /* the error says whose */
    else if (disk_is_free(call->engine, disk, "remove", &error))
        job = disk_remove(txn, call, disk, NULL, &error);
    if (!job) {
        vr_txn_abandon(txn);
        vr_call_fail(call, &error);
        return;
    }
    vr_call_commit_remove(call, txn, job);
}

void vr_disk_remove(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_disk *disk = vr_call_target(call, VR_KIND_DISK, &error);
    if (!disk)
        vr_call_fail(call, &error);
    else
        remove_disk(call, disk);
}

/* --- attachments --- */

static bool check_attachment(struct vr_engine *engine, const struct vr_vm *vm,
                             const struct vr_disk_attachment *wanted, const char *own_id,
                             struct vr_error **error) VR_REQUIRES(vr_role_engine);
static bool check_attachment(struct vr_engine *engine, const struct vr_vm *vm,
                             const struct vr_disk_attachment *wanted, const char *own_id,
                             struct vr_error **error)
{
    vr_auto_objects struct vr_objects others = { 0 };
    vr_inventory_list_by(vr_engine_head(engine), VR_KIND_DISK_ATTACHMENT, "vm", vm->id, &others);
    unsigned ide = 0;
    VR_OBJECTS (struct vr_disk_attachment, other, &others) {
        if (g_strcmp0(other->id, own_id) == 0)
            continue;
        ide += VR_GET(other, interface, VR_DISK_INTERFACE_VIRTIO) == VR_DISK_INTERFACE_IDE;
        if (VR_GET(wanted, bootable, false) && VR_GET(other, bootable, false)) {
            vr_error_set(error, &vr_fault_two_bootable_disks, NULL);
            return false;
        }
    }
    if (VR_GET(wanted, interface, VR_DISK_INTERFACE_VIRTIO) == VR_DISK_INTERFACE_IDE && ide >= 3) {
        vr_error_set(error, &vr_fault_validation_failed,
                     "A virtual machine has at most three IDE disks beside its CD-ROM.");
        return false;
    }
    return true;
}

/* An attachment has the id of its disk on the interface; the same disk may be attached to several
 * machines when it is shareable, so its key is made of both. */
static struct vr_disk_attachment *attach(struct vr_txn *txn, const struct vr_vm *vm,
                                         const char *disk_id,
                                         const struct vr_disk_attachment *wanted, bool active)
    VR_REQUIRES(vr_role_engine);
static struct vr_disk_attachment *attach(struct vr_txn *txn, const struct vr_vm *vm,
                                         const char *disk_id,
                                         const struct vr_disk_attachment *wanted, bool active)
{
    struct vr_disk_attachment *attachment = VR_NEW(disk_attachment);
    VR_SET_STRING(attachment, id, disk_id);
    VR_SET_LINK(attachment, disk, disk, disk_id);
    VR_SET_LINK(attachment, vm, vm, vm->id);
    VR_SET(attachment, interface, VR_GET(wanted, interface, VR_DISK_INTERFACE_VIRTIO));
    VR_SET(attachment, bootable, VR_GET(wanted, bootable, false));
    VR_SET(attachment, active, VR_GET(wanted, active, active));
    VR_SET(attachment, read_only, VR_GET(wanted, read_only, false));
    VR_SET(attachment, pass_discard, VR_GET(wanted, pass_discard, false));
    VR_SET(attachment, uses_scsi_reservation, VR_GET(wanted, uses_scsi_reservation, false));
    vr_txn_add(txn, VR_KIND_DISK_ATTACHMENT, attachment);
    return attachment;
}

static bool check_attachable(struct vr_engine *engine, const struct vr_disk *disk,
                             struct vr_error **error) VR_REQUIRES(vr_role_engine);
static bool check_attachable(struct vr_engine *engine, const struct vr_disk *disk,
                             struct vr_error **error)
{
    if (VR_LINK_ID(disk, memory_of)) {
        vr_error_set(error, &vr_fault_disk_in_use, "The disk holds memory, not a file system.");
        return false;
    }
    if (vr_inventory_count_by(vr_engine_head(engine), VR_KIND_DISK_ATTACHMENT, "disk", disk->id) == 0)
        return true;
    if (VR_GET(disk, shareable, false))
        vr_error_set(error, &vr_fault_not_built,
                     "A disk is attached to one virtual machine at a time by this version.");
    else
        vr_error_set(error, &vr_fault_disk_already_attached, NULL);
    return false;
}

bool vr_disks_attach_existing(struct vr_txn *txn, const struct vr_vm *vm,
                              const struct vr_vm *wanted, struct vr_error **error)
{
    struct vr_engine *engine = vr_txn_engine(txn);
    unsigned bootable = 0;
    VR_EACH (struct vr_disk_attachment, entry, &wanted->disk_attachments) {
        if (!entry->disk || (!entry->disk->id && !entry->disk->name)) {
            vr_error_set(error, &vr_fault_not_built,
                         "A new machine takes existing disks, by id; make new ones with "
                         "/vms/{id}/diskattachments.");
            return false;
        }
        const struct vr_disk *disk = VR_RESOLVE(engine, DISK, disk, entry->disk, "Disk", error);
        bootable += VR_GET(entry, bootable, false);
        if (!disk || !check_attachable(engine, disk, error))
            return false;
        if (bootable > 1) {
            vr_error_set(error, &vr_fault_two_bootable_disks, NULL);
            return false;
        }
        attach(txn, vm, disk->id, entry, true);
    }
    return true;
}

static const struct vr_vm *vm_down(struct vr_call *call, const char *vm_id, struct vr_error **error)
    VR_REQUIRES(vr_role_engine);
static const struct vr_vm *vm_down(struct vr_call *call, const char *vm_id, struct vr_error **error)
{
    const struct vr_vm *vm = VR_PEEK(vr_engine_head(call->engine), VM, vm, vm_id);
    struct vr_lock lock = { VR_KIND_VM, vm_id, true };
    if (!vm)
        vr_error_set(error, &vr_fault_not_found, NULL);
    else if (VR_GET(vm, status, VR_VM_STATUS_DOWN) == VR_VM_STATUS_UP)
        vr_error_set(error, &vr_fault_not_built,
                     "Disks are not plugged into running machines by this version; shut the virtual "
                     "machine down first.");
    else if (VR_GET(vm, status, VR_VM_STATUS_DOWN) != VR_VM_STATUS_DOWN)
        vr_error_set(error, &vr_fault_vm_wrong_state, "The virtual machine is in status %s.",
                     vr_enum_word(&vr_enum_vm_status, (int)vm->status));
    if (*error || !vr_locks_free(call->engine, &lock, 1, error))
        return NULL;
    return vm;
}

static void note(struct vr_call *call, struct vr_txn *txn, enum vr_event_code code,
                 const struct vr_vm *vm, const struct vr_disk *disk) VR_REQUIRES(vr_role_engine);
static void note(struct vr_call *call, struct vr_txn *txn, enum vr_event_code code,
                 const struct vr_vm *vm, const struct vr_disk *disk)
{
    vr_event_add(txn, code,
                 &(struct vr_event_about){ .user = vr_call_user(call),
                                           .vm = vm,
                                           .correlation_id = call->correlation_id },
                 "DiskAlias", disk && disk->alias ? disk->alias : "", NULL);
}

static void attach_existing(struct vr_call *call, const struct vr_vm *vm) VR_REQUIRES(vr_role_engine);
static void attach_existing(struct vr_call *call, const struct vr_vm *vm)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_disk_attachment *wanted = call->body;
    const struct vr_disk *disk = VR_RESOLVE(call->engine, DISK, disk, wanted->disk, "Disk", &error);
    if (!disk || !check_attachable(call->engine, disk, &error) ||
        !check_attachment(call->engine, vm, wanted, NULL, &error)) {
        vr_call_fail(call, &error);
        return;
    }
    struct vr_txn *txn = vr_txn_new(call->engine);
    struct vr_disk_attachment *attachment = attach(txn, vm, disk->id, wanted, false);
    note(call, txn, VR_EVENT_USER_ATTACH_DISK_TO_VM, vm, disk);
    g_autofree char *id = g_strdup(attachment->id);
    vr_call_commit(call, txn, VR_KIND_DISK_ATTACHMENT, id);
}

static void attach_new(struct vr_call *call, const struct vr_vm *vm) VR_REQUIRES(vr_role_engine);
static void attach_new(struct vr_call *call, const struct vr_vm *vm)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_disk_attachment *wanted = call->body;
    if (!wanted->disk || !VR_HAS(wanted->disk, provisioned_size)) {
        vr_error_set(&error, &vr_fault_incomplete_parameters,
                     "DiskAttachment [disk.id|disk.provisionedSize] required for add");
        vr_call_fail(call, &error);
        return;
    }
    if (!check_attachment(call->engine, vm, wanted, NULL, &error)) {
        vr_call_fail(call, &error);
        return;
    }
    struct vr_disk *disk = vr_copy(wanted->disk);
    vr_auto struct vr_disk *kept = vr_ref(disk);
    if (!disk->alias && !disk->name) {
        unsigned n = vr_inventory_count_by(vr_engine_head(call->engine), VR_KIND_DISK_ATTACHMENT,
                                           "vm", vm->id);
        VR_TAKE_STRING(disk, alias, g_strdup_printf("%s_Disk%u", vm->name, n + 1));
    }
    struct vr_txn *txn = vr_txn_new(call->engine);
    g_autofree char *job = disk_make(txn, call, disk, vm, &error);
    if (!job) {
        vr_txn_abandon(txn);
        vr_call_fail(call, &error);
        return;
    }
    struct vr_disk_attachment *attachment = attach(txn, vm, kept->id, wanted, true);
    g_autofree char *id = g_strdup(attachment->id);
    vr_call_commit_job(call, txn, job, VR_KIND_DISK_ATTACHMENT, id);
}

void vr_disk_attachments_add(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_disk_attachment *wanted = call->body;
    const struct vr_vm *vm = vm_down(call, vr_call_id(call), &error);
    if (!vm)
        vr_call_fail(call, &error);
    else if (wanted->disk && (wanted->disk->id || !VR_HAS(wanted->disk, provisioned_size)) &&
             (wanted->disk->id || wanted->disk->name))
        attach_existing(call, vm);
    else
        attach_new(call, vm);
}

static const struct vr_disk_attachment *attachment_of(struct vr_call *call,
                                                      struct vr_error **error)
    VR_REQUIRES(vr_role_engine);
static const struct vr_disk_attachment *attachment_of(struct vr_call *call,
                                                      struct vr_error **error)
{
    const struct vr_disk_attachment *attachment =
        vr_call_target(call, VR_KIND_DISK_ATTACHMENT, error);
    if (attachment && g_strcmp0(VR_LINK_ID(attachment, vm), vr_call_parent_id(call)) != 0) {
        vr_error_set(error, &vr_fault_not_found, NULL);
        return NULL;
    }
    return attachment;
}

void vr_disk_attachment_update(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    struct vr_disk_attachment *wanted = call->body;
    const struct vr_disk_attachment *attachment = attachment_of(call, &error);
    const struct vr_vm *vm = attachment ? vm_down(call, VR_LINK_ID(attachment, vm), &error) : NULL;
    if (!vm || !check_attachment(call->engine, vm, wanted, attachment->id, &error)) {
        vr_call_fail(call, &error);
        return;
    }
    const struct vr_disk *disk = VR_PEEK(vr_engine_head(call->engine), DISK, disk, attachment->id);
    g_autofree char *id = g_strdup(attachment->id);
    struct vr_txn *txn = vr_txn_new(call->engine);
    struct vr_disk_attachment *edit = VR_EDIT(txn, DISK_ATTACHMENT, disk_attachment, id);
    vr_auto struct vr_disk *inner = vr_ref(wanted->disk);
    static const char *const fixed[] = { "id", "disk", "vm", "template" };
    for (unsigned i = 0; i < G_N_ELEMENTS(fixed); i++)
        vr_clear_named(wanted, fixed[i]);
    vr_merge(edit, wanted);
    if (inner && disk) {
        /* The disk's own members: committed with their job, after the attachment's. */
        vr_txn_commit(txn, NULL, NULL);
        update_disk(call, VR_PEEK(vr_engine_head(call->engine), DISK, disk, id), inner);
        return;
    }
    vr_call_commit(call, txn, VR_KIND_DISK_ATTACHMENT, id);
}

void vr_disk_attachment_remove(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_disk_attachment *attachment = attachment_of(call, &error);
    if (attachment && disk_user(call->engine, attachment->id, true))
        vr_error_set(&error, &vr_fault_disk_in_use,
                     "Cannot detach Virtual Disk. The virtual machine is not down.");
    const struct vr_vm *vm =
        attachment && !error ? vm_down(call, VR_LINK_ID(attachment, vm), &error) : NULL;
    if (!vm) {
        vr_call_fail(call, &error);
        return;
    }
    const struct vr_disk *disk = VR_PEEK(vr_engine_head(call->engine), DISK, disk, attachment->id);
    if (disk && !vr_call_flag(call, "detach_only", false)) {
        remove_disk(call, disk);
        return;
    }
    struct vr_txn *txn = vr_txn_new(call->engine);
    note(call, txn, VR_EVENT_USER_DETACH_DISK_FROM_VM, vm, disk);
    vr_txn_remove(txn, VR_KIND_DISK_ATTACHMENT, attachment->id);
    vr_call_commit_remove(call, txn, NULL);
}

/* --- a machine goes --- */

bool vr_disks_leave_vm(struct vr_txn *txn, const struct vr_vm *vm, bool remove,
                       const struct vr_call *call, char **ret_job_id, struct vr_error **error)
{
    struct vr_engine *engine = vr_txn_engine(txn);
    struct vr_inventory *head = vr_engine_head(engine);
    vr_auto_objects struct vr_objects attachments = { 0 };
    vr_inventory_list_by(head, VR_KIND_DISK_ATTACHMENT, "vm", vm->id, &attachments);
    const struct vr_disk *first = NULL;
    struct vr_list more = { 0 };
    bool well = true;

    *ret_job_id = NULL;
    VR_OBJECTS (struct vr_disk_attachment, attachment, &attachments) {
        const struct vr_disk *disk = VR_PEEK(head, DISK, disk, VR_LINK_ID(attachment, disk));
        if (remove && disk && well && !VR_GET(disk, shareable, false)) {
            well = disk_is_free(engine, disk, "remove", error);
            if (!first)
                first = disk;
            else
                vr_list_append(&more, disk->id);
        }
        vr_txn_remove(txn, VR_KIND_DISK_ATTACHMENT, attachment->id);
    }
    if (well && first)
        well = (*ret_job_id = disk_remove(txn, call, first, &more, error)) != NULL;
    g_free(more.items); /* the ids are the inventory's */
    return well;
}

static void begin(void *state) VR_REQUIRES(vr_role_engine);
static void begin(void *state)
{
    transfers_begin(state);
}

static void *start_module(struct vr_engine *engine)
{
    return engine;
}

const struct vr_module vr_disks_module = { .name = "disks", .start = start_module, .begin = begin };
