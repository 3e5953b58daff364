/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/vms/internal.h"

#include <json-c/json.h>

/* Discs: where their images are, and the job that changes the one in a running machine's drive. */

/* --- media --- */

bool vm_medium_find(struct vr_engine *engine, const struct vr_vm *vm, const char *file,
                    struct vr_launch_medium *ret_medium, struct vr_error **error)
{
    struct vr_inventory *head = vr_engine_head(engine);
    *ret_medium = (struct vr_launch_medium){ 0 };
    if (!file || !file[0])
        return true;
    const struct vr_disk *iso = VR_PEEK(head, DISK, disk, file);
    if (!iso || VR_GET(iso, content_type, VR_DISK_CONTENT_TYPE_DATA) != VR_DISK_CONTENT_TYPE_ISO) {
        vr_error_set(error, &vr_fault_iso_not_found,
                     "There is no ISO image \"%s\": upload it as a disk of content type iso and give "
                     "that disk's id.", file);
        return false;
    }
    if (VR_GET(iso, status, VR_DISK_STATUS_OK) != VR_DISK_STATUS_OK) {
        vr_error_set(error, &vr_fault_disk_is_locked, "ISO image %s is in status %s.", iso->alias,
                     vr_enum_word(&vr_enum_disk_status, (int)iso->status));
        return false;
    }
    const struct vr_storage_domain *domain =
        VR_PEEK(head, STORAGE_DOMAIN, storage_domain, VR_LINK_ID(iso, storage_domain));
    const struct vr_cluster *cluster = VR_PEEK(head, CLUSTER, cluster, VR_LINK_ID(vm, cluster));
    if (!domain || VR_GET(domain, pool_status, VR_STORAGE_DOMAIN_STATUS_UNKNOWN) !=
                       VR_STORAGE_DOMAIN_STATUS_ACTIVE) {
        vr_error_set(error, &vr_fault_domain_not_active,
                     "The storage domain of ISO image %s is not active.", iso->alias);
        return false;
    }
    if (!cluster ||
        g_strcmp0(VR_LINK_ID(domain, data_center), VR_LINK_ID(cluster, data_center)) != 0) {
        vr_error_set(error, &vr_fault_validation_failed,
                     "ISO image %s is in another data center than the virtual machine.", iso->alias);
        return false;
    }
    *ret_medium = (struct vr_launch_medium){ .pool_id = VR_LINK_ID(domain, data_center),
                                             .domain_id = domain->id,
                                             .image_id = iso->id,
                                             .volume_id = iso->image_id };
    return true;
}

const struct vr_vm *vr_vms_with_disc(struct vr_engine *engine, const char *file)
{
    struct vr_inventory *head = vr_engine_head(engine);
    const struct vr_vm *found = NULL;
    vr_auto_objects struct vr_objects all = { 0 };
    vr_inventory_list(head, VR_KIND_VM, &all);
    VR_OBJECTS (struct vr_vm, vm, &all)
        if (!found && g_strcmp0(vm->current_cdrom_file, file) == 0 &&
            vm_is_running(vm_status(vm)))
            found = VR_PEEK(head, VM, vm, vm->id);
    return found;
}

const char *vm_boot_disc(const struct vr_vm *vm, const struct vr_vm *run_once)
{
    const struct vr_cdrom *disc =
        run_once && run_once->cdroms.len > 0 ? run_once->cdroms.items[0] : NULL;
    return disc && disc->file ? disc->file->id : vm->cdrom_file;
}

/* --- the job: another disc in the drive of a running machine --- */

static void change(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);

static void changed(struct vr_job_run *run, const void *result, int code, const char *message)
    VR_REQUIRES(vr_role_engine);
static void changed(struct vr_job_run *run, const void *result, int code, const char *message)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_change_disc_context *context = run->context;
    const char *file = context->file ? context->file : "";
    if (code == VR_RPC_NETWORK_ERROR || code == VR_RPC_RECOVERING) {
        /* The host may have done it: it is asked again until it says so or the machine is gone. */
        vr_job_after(run, 3000, change);
        return;
    }
    if (code != 0) {
        vr_error_set(&error, &vr_fault_change_disk_failed, "%s (code %d)",
                     message && *message ? message : "The host gave no reason.", code);
        vr_job_fail(run, &error);
        return;
    }
    struct vr_vm *vm = VR_EDIT(run->txn, VM, vm, context->vm_id);
    if (vm && vm_is_running(vm_status(vm))) {
        VR_SET_STRING(vm, current_cdrom_file, file[0] ? file : NULL);
        vr_event_add(run->txn,
                     file[0] ? VR_EVENT_USER_CHANGE_DISK_VM : VR_EVENT_USER_EJECT_VM_DISK,
                     &(struct vr_event_about){
                         .vm = vm,
                         .user = vr_txn_peek(run->txn, VR_KIND_USER, context->user_id),
                         .correlation_id = run->correlation_id },
                     NULL);
    }
    vr_job_done(run);
}

/* What VM.changeCD calls drive_spec: an object, or an empty text for an empty drive. */
static char *drive_spec(const struct vr_launch_medium *medium)
{
    if (!medium->image_id)
        return g_strdup("\"\"");
    struct json_object *spec = json_object_new_object();
    const struct {
        const char *name, *value;
    } rows[] = { { "device", "cdrom" },
                 { "poolID", medium->pool_id },
                 { "domainID", medium->domain_id },
                 { "imageID", medium->image_id },
                 { "volumeID", medium->volume_id } };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++)
        json_object_object_add(spec, rows[i].name, json_object_new_string(rows[i].value));
    char *text = g_strdup(json_object_to_json_string_ext(spec, JSON_C_TO_STRING_PLAIN));
    json_object_put(spec);
    return text;
}

static void change(struct vr_job_run *run)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_change_disc_context *context = run->context;
    const struct vr_vm *vm = vr_txn_peek(run->txn, VR_KIND_VM, context->vm_id);
    struct vr_launch_medium medium;
    if (!vm || !vm_is_running(vm_status(vm)) || !VR_LINK_ID(vm, host))
        vr_error_set(&error, &vr_fault_vm_is_not_running, "The virtual machine ended meanwhile.");
    else
        vm_medium_find(run->engine, vm, context->file, &medium, &error);
    if (error) {
        vr_job_fail(run, &error);
        return;
    }
    bool ide = !vm_is_q35(run->engine, vm);
    vr_auto struct vr_rpc_vm_change_cd_params *params = VR_NEW(rpc_vm_change_cd_params);
    VR_SET_STRING(params, vm_id, vm->id);
    struct vr_rpc_drive_spec *drive = VR_SUB(params, drive_spec, rpc_drive_spec);
    VR_SET_STRING(drive, iface, ide ? "ide" : "sata");
    VR_SET(drive, index, VR_LAUNCH_CDROM_INDEX);
    VR_TAKE_STRING(drive, drive_spec, drive_spec(&medium));
    vr_job_call(run, VR_LINK_ID(vm, host), &vr_verb_vm_change_cd, params, 0, changed);
}

static const struct vr_job_step change_steps[] = {
    { "change disc", change, NULL },
};
const struct vr_job_type vr_job_change_disc = { .name = "ChangeDisc",
                                                .context = &vr_type_change_disc_context,
                                                .steps = change_steps,
                                                .step_count = G_N_ELEMENTS(change_steps) };
