/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "vms"
#include "manager/vms/internal.h"

#include "manager/hosts/hosts.h"

/*
 * Starting a virtual machine.  The host is chosen and recorded, in one
 * transaction with the status, before the host hears of it: whatever crashes
 * afterwards, the Manager knows the only host that may run it.  Another host
 * is tried only after the first has said no; silence is never taken for a no.
 *
 * A suspended machine goes on from its saved memory, which fits its disks
 * only as long as nothing has run since.  So it is given to a host once: when
 * an answer is lost, the host is asked whether it has the machine, and is
 * given it again only in the same boot of its, in which it would know.
 */

/* MaxRerunVmOnVdsCount. */
#define MAX_HOSTS 3
/* A host that lost power after it took the machine says nothing of it: so it is asked again. */
#define AGAIN_MS 15000
#define LOST_MS 3000

static bool is_restoring(struct vr_job_run *run)
{
    const struct vr_run_vm_context *context = run->context;
    return VR_GET(context, restoring, false);
}

static const struct vr_vm *machine(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
static const struct vr_vm *machine(struct vr_job_run *run)
{
    const struct vr_run_vm_context *context = run->context;
    return vr_txn_peek(run->txn, VR_KIND_VM, context->vm_id);
}

/* Nothing runs and nothing can: the machine is as it was, and the job ends. */
static void not_started(struct vr_job_run *run, struct vr_error **error)
    VR_REQUIRES(vr_role_engine);
/* The next host, or the end of the attempts. */
static void try_elsewhere(struct vr_job_run *run, struct vr_error **error)
    VR_REQUIRES(vr_role_engine);
static void down_for_good(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
static bool look(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
static void ask_again(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);

/* --- asking a host --- */

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
    if (is_ending(machine(run)))
        return;
    switch (code) {
    case 0:
    case 4: /* it exists; an earlier attempt's answer was lost */
        vr_job_after(run, AGAIN_MS, ask_again);
        return;
    case VR_RPC_NETWORK_ERROR:
    case VR_RPC_RECOVERING:
        /* The host may have heard.  It is asked again when it answers; it is never passed over. */
        vr_job_after(run, LOST_MS, ask_again);
        return;
    default:
        vr_job_host_error(&error, "VM.create", code, message);
        try_elsewhere(run, &error);
    }
}

static void ask_host_to_create(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
static void ask_host_to_create(struct vr_job_run *run)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_run_vm_context *context = run->context;
    struct vm_memory memory;
    const struct vr_vm *vm = machine(run);
    g_autofree char *xml = vm_domain_xml(run->engine, vm, VR_GET(context, paused, false), &error);
    if (!xml || (is_restoring(run) && !memory_find(run->engine, vm, &memory, &error))) {
        not_started(run, &error);
        return;
    }
    vr_auto struct vr_rpc_vm_create_params *params = VR_NEW(rpc_vm_create_params);
    VR_SET_STRING(params, vm_id, vm->id);
    struct vr_rpc_vm_parameters *inner = VR_SUB(params, vm_params, rpc_vm_parameters);
    VR_SET_STRING(inner, vm_id, vm->id);
    VR_SET_STRING(inner, xml, xml);
    if (is_restoring(run))
        memory_describe(&memory, inner);
    vr_job_call(run, context->host_id, &vr_verb_vm_create, params, 0, created);
}

static void noticed(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
static void noticed(struct vr_job_run *run)
{
    look(run);
}

static void ask_now(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
static void ask_now(struct vr_job_run *run)
{
    /* Whatever hosts and clients do to the machine meanwhile is looked at in their transactions. */
    vr_job_on_change(run, noticed);
    if (!look(run))
        ask_host_to_create(run);
}

/* --- a machine that may have been restored already --- */

static void boot_answer(struct vr_job_run *run, const void *result, int code, const char *message)
    VR_REQUIRES(vr_role_engine);
static void boot_answer(struct vr_job_run *run, const void *result, int code, const char *message)
{
    const struct vr_run_vm_context *context = run->context;
    const struct vr_rpc_vdsm_capabilities *capabilities = result;
    if (is_ending(machine(run)))
        return;
    if (code != 0) {
        vr_job_after(run, LOST_MS, ask_again);
        return;
    }
    if (context->boot_id && g_strcmp0(context->boot_id, capabilities->boot_uuid) == 0) {
        ask_host_to_create(run); /* it would know the machine if it had ever had it */
        return;
    }
    /* It may have run there, so what is saved may not fit its disks any more. */
    vm_note_exit(VR_EDIT(run->txn, VM, vm, context->vm_id), 1, EXIT_MISSING,
                 "The host was restarted while it restored the virtual machine.");
    down_for_good(run);
}

static void known_answer(struct vr_job_run *run, const void *result, int code, const char *message)
    VR_REQUIRES(vr_role_engine);
static void known_answer(struct vr_job_run *run, const void *result, int code, const char *message)
{
    const struct vr_run_vm_context *context = run->context;
    if (is_ending(machine(run)))
        return;
    if (code != 1) { /* it has it, or cannot say */
        vr_job_after(run, code == 0 ? AGAIN_MS : LOST_MS, ask_again);
        return;
    }
    vr_auto struct vr_rpc_host_get_capabilities_params *none =
        VR_NEW(rpc_host_get_capabilities_params);
    vr_job_call(run, context->host_id, &vr_verb_host_get_capabilities, none, 0, boot_answer);
}

static void ask_whether_known(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
static void ask_whether_known(struct vr_job_run *run)
{
    const struct vr_run_vm_context *context = run->context;
    vr_auto struct vr_rpc_vm_get_stats_params *params = VR_NEW(rpc_vm_get_stats_params);
    VR_SET_STRING(params, vm_id, context->vm_id);
    vr_job_call(run, context->host_id, &vr_verb_vm_get_stats, params, 0, known_answer);
}

static void ask_again(struct vr_job_run *run)
{
    if (is_ending(machine(run)))
        return;
    if (is_restoring(run))
        ask_whether_known(run);
    else
        ask_host_to_create(run);
}

static void create(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
static void create(struct vr_job_run *run)
{
    struct vr_run_vm_context *context = run->context;
    if (!is_restoring(run)) {
        ask_now(run);
        return;
    }
    if (!VR_GET(context, asked, false)) {
        const struct vr_host *host = vr_txn_peek(run->txn, VR_KIND_HOST, context->host_id);
        VR_SET(context, asked, true);
        VR_SET_STRING(context, boot_id, host ? host->boot_id : NULL);
        vr_job_record(run, ask_now);
        return;
    }
    vr_job_on_change(run, noticed); /* after a crash */
    if (!look(run))
        ask_whether_known(run);
}

/* --- no --- */

static void not_started(struct vr_job_run *run, struct vr_error **error)
{
    struct vr_run_vm_context *context = run->context;
    struct vr_vm *vm = VR_EDIT(run->txn, VM, vm, context->vm_id);
    g_autofree char *text = vr_error_text(*error);
    if (vm && is_restoring(run))
        vm_set_suspended(run->txn, vm);
    else if (vm)
        vm_set_down(run->txn, vm, 1, EXIT_START_FAILED, text);
    vr_job_fail(run, error);
}

static void try_elsewhere(struct vr_job_run *run, struct vr_error **error)
{
    vr_auto_error struct vr_error *nowhere = NULL;
    struct vr_run_vm_context *context = run->context;
    struct vms *vms = vms_state(run->engine);
    const struct vr_vm *vm = machine(run);
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
    vm_set_status(run->txn, edit,
                  is_restoring(run) ? VR_VM_STATUS_RESTORING_STATE : VR_VM_STATUS_WAIT_FOR_LAUNCH);
    VR_SET_LINK(edit, host, host, next);
    VR_SET_LINK(edit, run_host, host, next);
    VR_SET_STRING(context, host_id, next);
    VR_SET(context, asked, false);
    /* A crash must not forget which host was asked first, nor which is asked now. */
    vr_job_record(run, create);
}

/* --- down before it was up --- */

/* The guest has not run: what was saved still fits its disks. */
static bool never_ran(const struct vr_vm *vm)
{
    int64_t reason = VR_GET(vm, exit_reason, EXIT_GENERIC_ERROR);
    return reason == EXIT_START_FAILED || reason == EXIT_DESTROYED_STARTING;
}

/* The host has no part of it any more, so it may be started elsewhere. */
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
    if (vm && VR_GET(vm, exit_code, 1) != 0 && (!is_restoring(run) || never_ran(vm))) {
        try_elsewhere(run, &error);
        return;
    }
    if (vm)
        vm_set_down(run->txn, vm, VR_GET(vm, exit_code, 0), VR_GET(vm, exit_reason, 0),
                    vm->exit_message);
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
        vr_job_after(run, LOST_MS, clear_host);
}

static void clear_host(struct vr_job_run *run)
{
    const struct vr_run_vm_context *context = run->context;
    const struct vr_vm *vm = machine(run);
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
    const struct vr_vm *vm = machine(run);
    if (!vm) {
        vr_error_set(&error, &vr_fault_vm_no_such, NULL);
        vr_job_fail(run, &error);
        return true;
    }
    switch (vm_status(vm)) {
    case VR_VM_STATUS_WAIT_FOR_LAUNCH:
    case VR_VM_STATUS_RESTORING_STATE:
        break;
    case VR_VM_STATUS_UNKNOWN:
        if (is_restoring(run))
            break; /* only its host can say what became of it */
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
    if (!is_ending(vm))
        return false;
    vr_job_on_change(run, NULL);
    clear_host(run);
    return true;
}

static void ended(struct vr_job_run *run, bool failed, const struct vr_error *error)
    VR_REQUIRES(vr_role_engine);
static void ended(struct vr_job_run *run, bool failed, const struct vr_error *error)
{
    const struct vr_run_vm_context *context = run->context;
    struct vr_vm *vm = VR_EDIT(run->txn, VM, vm, context->vm_id);
    if (!vm)
        return;
    if (is_restoring(run) && vm_status(vm) != VR_VM_STATUS_SUSPENDED)
        memory_drop(run->txn, vm); /* it runs, or has run */
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
