/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "vms"
#include "manager/vms/internal.h"

#include "codec/codec.h"
#include "manager/console/console.h"
#include "manager/hosts/hosts.h"
#include "manager/vms/launch.h"

/*
 * Starting a virtual machine.  The host is chosen and recorded, in one
 * transaction with the status, before the host hears of it: whatever crashes
 * afterwards, the Manager knows the only host that may run it.  Another host
 * is tried only after the first has said no; silence is never taken for a no.
 */

/* MaxRerunVmOnVdsCount. */
#define MAX_HOSTS 3
/* A host that lost power after it took the machine says nothing of it: so it is asked again. */
#define AGAIN_MS 15000

static struct vr_vm *parse_vm(const char *json)
{
    vr_auto_error struct vr_error *error = NULL;
    return json ? vr_json_read(&vr_type_vm, json, strlen(json), VR_JSON_STORE, &vr_codec_caps_api,
                               &error)
                : NULL;
}

/* The machine with the members that a run once replaces; owned. */
static struct vr_vm *effective(const struct vr_vm *vm)
{
    struct vr_vm *copy = vr_copy(vm);
    vr_auto struct vr_vm *once = parse_vm(vm->run_once_config);
    if (once) {
        VR_CLEAR(once, id);
        VR_CLEAR(once, name);
        VR_CLEAR(once, status);
        VR_CLEAR(once, cluster);
        vr_console_choose(once);
        vr_merge(copy, once);
    }
    return copy;
}

/* --- the domain's document --- */

struct parts {
    struct vr_objects attachments, nics;
    GArray *disks, *launch_nics;
};

static bool gather_disks(struct vr_engine *engine, const struct vr_vm *vm, struct parts *parts,
                         struct vr_error **error) VR_REQUIRES(vr_role_engine);
static bool gather_disks(struct vr_engine *engine, const struct vr_vm *vm, struct parts *parts,
                         struct vr_error **error)
{
    struct vr_inventory *head = vr_engine_head(engine);
    vr_inventory_list_by(head, VR_KIND_DISK_ATTACHMENT, "vm", vm->id, &parts->attachments);
    VR_OBJECTS (struct vr_disk_attachment, attachment, &parts->attachments) {
        const struct vr_disk *disk = VR_PEEK(head, DISK, disk, VR_LINK_ID(attachment, disk));
        if (!disk || !VR_GET(attachment, active, true))
            continue;
        const struct vr_storage_domain *domain =
            VR_PEEK(head, STORAGE_DOMAIN, storage_domain, VR_LINK_ID(disk, storage_domain));
        if (VR_GET(disk, status, VR_DISK_STATUS_OK) != VR_DISK_STATUS_OK) {
            vr_error_set(error, &vr_fault_disk_is_locked, "Disk %s is in status %s.", disk->alias,
                         vr_enum_word(&vr_enum_disk_status, (int)disk->status));
            return false;
        }
        if (!domain || !VR_LINK_ID(domain, data_center) ||
            VR_GET(domain, pool_status, VR_STORAGE_DOMAIN_STATUS_UNKNOWN) !=
                VR_STORAGE_DOMAIN_STATUS_ACTIVE) {
            vr_error_set(error, &vr_fault_domain_not_active,
                         "The storage domain of disk %s is not active.", disk->alias);
            return false;
        }
        struct vr_launch_disk d = { .attachment = attachment,
                                    .disk = disk,
                                    .pool_id = VR_LINK_ID(domain, data_center),
                                    .domain_id = domain->id,
                                    .volume_id = disk->image_id };
        g_array_append_val(parts->disks, d);
    }
    return true;
}

static void gather_nics(struct vr_engine *engine, const struct vr_vm *vm, struct parts *parts)
    VR_REQUIRES(vr_role_engine);
static void gather_nics(struct vr_engine *engine, const struct vr_vm *vm, struct parts *parts)
{
    struct vr_inventory *head = vr_engine_head(engine);
    vr_inventory_list_by(head, VR_KIND_NIC, "vm", vm->id, &parts->nics);
    VR_OBJECTS (struct vr_nic, nic, &parts->nics) {
        if (!VR_GET(nic, plugged, true))
            continue;
        const struct vr_vnic_profile *profile =
            VR_PEEK(head, VNIC_PROFILE, vnic_profile, VR_LINK_ID(nic, vnic_profile));
        const struct vr_network *network =
            profile ? VR_PEEK(head, NETWORK, network, VR_LINK_ID(profile, network)) : NULL;
        const struct vr_network_filter *filter =
            profile ? VR_PEEK(head, NETWORK_FILTER, network_filter,
                              VR_LINK_ID(profile, network_filter))
                    : NULL;
        struct vr_launch_nic n = { .nic = nic,
                                   .profile = profile,
                                   .bridge = !network            ? NULL
                                             : network->host_name ? network->host_name
                                                                  : network->name,
                                   .filter = filter ? filter->name : NULL };
        g_array_append_val(parts->launch_nics, n);
    }
}

static const char *machine_of(const struct vr_vm *vm, const struct vr_cluster *cluster)
{
    if (vm->custom_emulated_machine && vm->custom_emulated_machine[0])
        return vm->custom_emulated_machine;
    enum vr_bios_type bios =
        vm->bios ? VR_GET(vm->bios, type, VR_BIOS_TYPE_CLUSTER_DEFAULT) : VR_BIOS_TYPE_CLUSTER_DEFAULT;
    if (bios == VR_BIOS_TYPE_CLUSTER_DEFAULT)
        bios = VR_GET(cluster, bios_type, VR_BIOS_TYPE_Q35_SEA_BIOS);
    if (bios == VR_BIOS_TYPE_I440FX_SEA_BIOS)
        return "pc";
    return cluster->emulated_machine ? cluster->emulated_machine : "q35";
}

static const char *cpu_model_of(const struct vr_vm *vm, const struct vr_cluster *cluster)
{
    if (vm->custom_cpu_model && vm->custom_cpu_model[0])
        return vm->custom_cpu_model;
    if (vm->cpu && VR_HAS(vm->cpu, mode)) {
        if (vm->cpu->mode == VR_CPU_MODE_HOST_PASSTHROUGH)
            return "host-passthrough";
        if (vm->cpu->mode == VR_CPU_MODE_HOST_MODEL)
            return "host-model";
    }
    return "host-model";
}

bool vm_is_q35(struct vr_engine *engine, const struct vr_vm *stored)
{
    vr_auto struct vr_vm *vm = effective(stored);
    const struct vr_cluster *cluster =
        VR_PEEK(vr_engine_head(engine), CLUSTER, cluster, VR_LINK_ID(vm, cluster));
    return cluster && strstr(machine_of(vm, cluster), "q35");
}

/* The network of the cluster that viewers reach hosts on; NULL: any. */
static const char *display_network(struct vr_inventory *head, const struct vr_cluster *cluster)
{
    vr_auto_objects struct vr_objects links = { 0 };
    vr_inventory_list_by(head, VR_KIND_CLUSTER_NETWORK, "cluster", cluster->id, &links);
    VR_OBJECTS (struct vr_cluster_network, link, &links) {
        const struct vr_network *network =
            VR_GET(link, display, false)
                ? VR_PEEK(head, NETWORK, network, VR_LINK_ID(link, network))
                : NULL;
        if (network)
            return network->host_name ? network->host_name : network->name;
    }
    return NULL;
}

char *vm_domain_xml(struct vr_engine *engine, const struct vr_vm *stored, struct vr_error **error)
{
    struct vr_inventory *head = vr_engine_head(engine);
    vr_auto struct vr_vm *vm = effective(stored);
    const struct vr_cluster *cluster = VR_PEEK(head, CLUSTER, cluster, VR_LINK_ID(vm, cluster));
    struct parts parts = { .disks = g_array_new(FALSE, FALSE, sizeof(struct vr_launch_disk)),
                           .launch_nics = g_array_new(FALSE, FALSE, sizeof(struct vr_launch_nic)) };
    char *xml = NULL;

    if (gather_disks(engine, vm, &parts, error)) {
        gather_nics(engine, vm, &parts);
        struct vr_launch launch = {
            .vm = vm,
            .cluster = cluster,
            .machine = machine_of(vm, cluster),
            .cpu_model = cpu_model_of(vm, cluster),
            .manager_name = "Vireo",
            .manager_version = "0.1",
            .disks = (const struct vr_launch_disk *)(void *)parts.disks->data,
            .disk_count = parts.disks->len,
            .nics = (const struct vr_launch_nic *)(void *)parts.launch_nics->data,
            .nic_count = parts.launch_nics->len,
            .vnc = vr_console_has(vm, VR_GRAPHICS_TYPE_VNC),
            .spice = vr_console_has(vm, VR_GRAPHICS_TYPE_SPICE),
            .display_network = display_network(head, cluster),
            .paused = VR_GET(stored, start_paused, false),
        };
        if (vm_medium_find(engine, vm, stored->current_cdrom_file, &launch.cdrom, error))
            xml = vr_launch_xml(&launch);
    }
    g_array_free(parts.disks, TRUE);
    g_array_free(parts.launch_nics, TRUE);
    vr_objects_clear(&parts.attachments);
    vr_objects_clear(&parts.nics);
    return xml;
}

/* --- the job: one step, which asks a host, waits for the outcome, and may ask another --- */

static void not_started(struct vr_job_run *run, struct vr_error **error)
    VR_REQUIRES(vr_role_engine);
/* The next host, or the end of the attempts. */
static void try_elsewhere(struct vr_job_run *run, struct vr_error **error)
    VR_REQUIRES(vr_role_engine);
static void create(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
static bool look(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
static void ask_host_to_create(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);

/* Its end was noted or asked for: the host is being cleared of it, and nothing else is done. */
static bool is_ending(const struct vr_vm *vm)
{
    return !vm || VR_HAS(vm, exit_code) || VR_GET(vm, initiated_stop, false);
}

static void created(struct vr_job_run *run, const void *result, int code, const char *message)
    VR_REQUIRES(vr_role_engine);
static void created(struct vr_job_run *run, const void *result, int code, const char *message)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_run_vm_context *context = run->context;
    if (is_ending(vr_txn_peek(run->txn, VR_KIND_VM, context->vm_id)))
        return;
    switch (code) {
    case 0:
    case 4: /* it exists; an earlier attempt's answer was lost */
        vr_job_after(run, AGAIN_MS, ask_host_to_create);
        return;
    case VR_RPC_NETWORK_ERROR:
    case VR_RPC_RECOVERING:
        /* The host may have heard.  It is asked again when it answers; it is never passed over. */
        vr_job_after(run, 3000, ask_host_to_create);
        return;
    default:
        vr_job_host_error(&error, "VM.create", code, message);
        try_elsewhere(run, &error);
    }
}

static void ask_host_to_create(struct vr_job_run *run)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_run_vm_context *context = run->context;
    const struct vr_vm *vm = vr_txn_peek(run->txn, VR_KIND_VM, context->vm_id);
    if (is_ending(vm))
        return;
    g_autofree char *xml = vm_domain_xml(run->engine, vm, &error);
    if (!xml) {
        not_started(run, &error);
        return;
    }
    vr_auto struct vr_rpc_vm_create_params *params = VR_NEW(rpc_vm_create_params);
    VR_SET_STRING(params, vm_id, vm->id);
    struct vr_rpc_vm_parameters *inner = VR_SUB(params, vm_params, rpc_vm_parameters);
    VR_SET_STRING(inner, vm_id, vm->id);
    VR_SET_STRING(inner, xml, xml);
    vr_job_call(run, context->host_id, &vr_verb_vm_create, params, 0, created);
}

static void noticed(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
static void noticed(struct vr_job_run *run)
{
    look(run);
}

static void create(struct vr_job_run *run)
{
    /* Whatever hosts and clients do to the machine meanwhile is looked at in their transactions. */
    vr_job_on_change(run, noticed);
    if (!look(run))
        ask_host_to_create(run);
}

/* Nothing runs and nothing can: the machine is down again, and the job ends. */
static void not_started(struct vr_job_run *run, struct vr_error **error)
{
    struct vr_run_vm_context *context = run->context;
    struct vr_vm *vm = VR_EDIT(run->txn, VM, vm, context->vm_id);
    if (vm) {
        g_autofree char *text = vr_error_text(*error);
        vm_set_down(run->txn, vm, 1, EXIT_START_FAILED, text);
    }
    vr_job_fail(run, error);
}

static void try_elsewhere(struct vr_job_run *run, struct vr_error **error)
{
    vr_auto_error struct vr_error *nowhere = NULL;
    struct vr_run_vm_context *context = run->context;
    struct vms *vms = vms_state(run->engine);
    const struct vr_vm *vm = vr_txn_peek(run->txn, VR_KIND_VM, context->vm_id);
    VR_APPEND(context, tried, g_strdup(context->host_id));
    g_autofree char *next = context->tried.len < MAX_HOSTS
                                ? placement_choose(vms->placement, vm, &context->tried, &nowhere)
                                : NULL;
    if (!next) {
        not_started(run, error);
        return;
    }
    vr_log_info("VM %s did not start on host %s and is tried on host %s.", vm->name,
                context->host_id, next);
    struct vr_vm *edit = VR_EDIT(run->txn, VM, vm, context->vm_id);
    vm_clear_exit(edit);
    vm_set_status(run->txn, edit, VR_VM_STATUS_WAIT_FOR_LAUNCH);
    VR_SET_LINK(edit, host, host, next);
    VR_SET_LINK(edit, run_host, host, next);
    VR_SET_STRING(context, host_id, next);
    /* A crash must not forget which host was asked first, nor which is asked now. */
    vr_job_record(run, create);
}

/* --- down before it was up --- */

/* The host has no part of it any more, so it may be started elsewhere. */
static void down_for_good(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
static void down_for_good(struct vr_job_run *run)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_run_vm_context *context = run->context;
    struct vr_vm *vm = VR_EDIT(run->txn, VM, vm, context->vm_id);
    if (vm && VR_GET(vm, initiated_stop, false)) {
        vm_set_down(run->txn, vm, 0, EXIT_ADMIN, STOPPED_BY_ADMIN);
        vr_event_add(run->txn, VR_EVENT_VM_DOWN,
                     &(struct vr_event_about){ .vm = vm, .correlation_id = run->correlation_id },
                     "ExitMessage", vm->exit_message, NULL);
        vr_error_set(&error, &vr_fault_vm_create_failed, "It was stopped while it was started.");
        vr_job_fail(run, &error);
        return;
    }
    vr_error_set(&error, &vr_fault_vm_create_failed, "%s",
                 vm && vm->exit_message && vm->exit_message[0] ? vm->exit_message
                                                               : "The host gave no reason.");
    if (vm && VR_GET(vm, exit_code, 1) != 0) {
        try_elsewhere(run, &error);
        return;
    }
    if (vm)
        vm_set_down(run->txn, vm, 0, VR_GET(vm, exit_reason, 0), vm->exit_message);
    vr_job_fail(run, &error);
}

/*
 * It was stopped, or died, while this job was asking for it.  A request to
 * create it may still be on its way to the host, behind the one that stopped
 * it; the machine stays in hand until the host has none.
 */
static void clear_host(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
static void host_cleared(struct vr_job_run *run, const void *result, int code, const char *message)
    VR_REQUIRES(vr_role_engine);
static void host_cleared(struct vr_job_run *run, const void *result, int code, const char *message)
{
    if (code == 0 || code == 1) /* 1: it has no such machine */
        down_for_good(run);
    else
        vr_job_after(run, 3000, clear_host);
}

static void clear_host(struct vr_job_run *run)
{
    const struct vr_run_vm_context *context = run->context;
    const struct vr_vm *vm = vr_txn_peek(run->txn, VR_KIND_VM, context->vm_id);
    if (!vm || !VR_LINK_ID(vm, host)) {
        down_for_good(run); /* the host was restarted */
        return;
    }
    vr_auto struct vr_rpc_vm_destroy_params *params = VR_NEW(rpc_vm_destroy_params);
    VR_SET_STRING(params, vm_id, context->vm_id);
    vr_job_call(run, context->host_id, &vr_verb_vm_destroy, params, 0, host_cleared);
}

/* What became of the machine; true when that decides how the job goes on. */
static bool look(struct vr_job_run *run)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_run_vm_context *context = run->context;
    const struct vr_vm *vm = vr_txn_peek(run->txn, VR_KIND_VM, context->vm_id);
    if (!vm) {
        vr_error_set(&error, &vr_fault_vm_no_such, NULL);
        vr_job_fail(run, &error);
        return true;
    }
    switch (vm_status(vm)) {
    case VR_VM_STATUS_WAIT_FOR_LAUNCH:
        if (!is_ending(vm))
            return false;
        vr_job_on_change(run, NULL);
        clear_host(run);
        return true;
    case VR_VM_STATUS_UNKNOWN:
        vr_error_set(&error, &vr_fault_host_unreachable,
                     "The host fell silent while it started the virtual machine.");
        vr_job_fail(run, &error);
        return true;
    default:
        /* It runs, so whoever could not run it was at fault itself. */
        for (unsigned i = 0; i < context->tried.len; i++)
            vr_hosts_failed_to_run(run->txn, context->tried.items[i]);
        vr_hosts_ran(run->txn, context->host_id);
        vr_job_done(run);
        return true;
    }
}

static void ended(struct vr_job_run *run, bool failed, const struct vr_error *error)
    VR_REQUIRES(vr_role_engine);
static void ended(struct vr_job_run *run, bool failed, const struct vr_error *error)
{
    const struct vr_run_vm_context *context = run->context;
    struct vr_vm *vm = VR_EDIT(run->txn, VM, vm, context->vm_id);
    if (!vm)
        return;
    VR_CLEAR(vm, job);
    if (!failed)
        return;
    g_autofree char *text = error ? vr_error_text(error) : g_strdup("");
    vr_event_add(run->txn, VR_EVENT_USER_FAILED_RUN_VM,
                 &(struct vr_event_about){
                     .user = vr_job_user(run),
                     .vm = vm,
                     .host = vr_txn_peek(run->txn, VR_KIND_HOST, context->host_id),
                     .correlation_id = run->correlation_id },
                 "Reason", text, NULL);
}

static const struct vr_job_step run_vm_steps[] = {
    { "start", create, NULL },
};

const struct vr_job_type vr_job_run_vm = {
    .name = "RunVm",
    .context = &vr_type_run_vm_context,
    .steps = run_vm_steps,
    .step_count = G_N_ELEMENTS(run_vm_steps),
    .ended = ended,
};
