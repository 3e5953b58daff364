/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "vms"
#include "manager/vms/internal.h"

#include "gen/routes.h"

/*
 * Suspending a virtual machine: volumes for its memory are made, its host
 * saves it to them and is cleared of it (facts/manager-behaviour.md 2.4,
 * facts/host-rpc.md 10.2).
 *
 * The host is asked what became of the machine until it says: saved, running
 * (it could not be saved), or gone.  Nothing but "saved" makes it suspended,
 * and the host keeps what it knows until that is on record.
 */

#define POLL_MS 1000
#define AGAIN_MS 3000
/* Requests that got lost are sent again, but not for ever. */
#define MAX_ATTEMPTS 5

static const struct vr_vm *machine(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
static const struct vr_vm *machine(struct vr_job_run *run)
{
    const struct vr_suspend_vm_context *context = run->context;
    return vr_txn_peek(run->txn, VR_KIND_VM, context->vm_id);
}

static bool is_saved(const struct vr_vm *vm)
{
    return VR_GET(vm, exit_reason, 0) == EXIT_SAVED && VR_GET(vm, exit_code, 1) == 0;
}

static void fail(struct vr_job_run *run, const char *why) VR_REQUIRES(vr_role_engine);
static void fail(struct vr_job_run *run, const char *why)
{
    vr_auto_error struct vr_error *error = NULL;
    vr_error_set(&error, &vr_fault_vm_suspend_failed, "%s", why);
    vr_job_fail(run, &error);
}

/* --- the volumes --- */

static void make_volumes(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);

static void made(struct vr_job_run *run, bool failed, const struct vr_error *error)
    VR_REQUIRES(vr_role_engine);
static void made(struct vr_job_run *run, bool failed, const struct vr_error *error)
{
    vr_auto_error struct vr_error *why = failed && error ? vr_error_copy(error) : NULL;
    if (!failed)
        make_volumes(run);
    else if (why)
        vr_job_fail(run, &why);
    else
        fail(run, "The volumes for its memory could not be made.");
}

static void make_volumes(struct vr_job_run *run)
{
    struct vr_suspend_vm_context *context = run->context;
    vr_auto_error struct vr_error *error = NULL;
    struct vm_memory memory;
    const struct vr_vm *vm = machine(run);
    for (unsigned i = 0; i < context->makers.len; i++) {
        if (vr_job_running(run->engine, context->makers.items[i])) {
            vr_job_await(run, context->makers.items[i], made);
            return;
        }
    }
    if (vm && memory_find(run->engine, vm, &memory, &error))
        vr_job_done(run);
    else if (error)
        vr_job_fail(run, &error);
    else
        fail(run, "The virtual machine is gone.");
}

/* --- saving --- */

static void probe(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);

/* What is on record of the machine's end; true when that decides how the job goes on. */
static bool look(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
static bool look(struct vr_job_run *run)
{
    const struct vr_vm *vm = machine(run);
    if (!vm)
        fail(run, "The virtual machine is gone.");
    else if (VR_HAS(vm, exit_code) && is_saved(vm))
        vr_job_done(run);
    else if (VR_HAS(vm, exit_code))
        fail(run, vm->exit_message && vm->exit_message[0] ? vm->exit_message
                                                          : "The virtual machine went down.");
    else
        return false;
    return true;
}

static void noticed(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
static void noticed(struct vr_job_run *run)
{
    look(run);
}

static void asked(struct vr_job_run *run, const void *result, int code, const char *message)
    VR_REQUIRES(vr_role_engine);
static void asked(struct vr_job_run *run, const void *result, int code, const char *message)
{
    struct vr_suspend_vm_context *context = run->context;
    if (code == VR_RPC_NETWORK_ERROR || code == VR_RPC_RECOVERING) {
        vr_job_after(run, AGAIN_MS, probe);
        return;
    }
    /* It has heard: a machine that runs on was not saved.  A refusal may be because an earlier
     * request, whose answer was lost, is being served. */
    VR_SET(context, attempts, MAX_ATTEMPTS);
    if (code != 0)
        VR_TAKE_STRING(context, refusal,
                       g_strdup_printf("Its host refused: %s (code %d).", message ? message : "", code));
    vr_job_after(run, POLL_MS, probe);
}

static void hibernate(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
static void hibernate(struct vr_job_run *run)
{
    struct vr_suspend_vm_context *context = run->context;
    vr_auto_error struct vr_error *error = NULL;
    struct vm_memory memory;
    vr_job_on_change(run, noticed);
    if (look(run))
        return;
    if (!memory_find(run->engine, machine(run), &memory, &error)) {
        vr_job_fail(run, &error);
        return;
    }
    VR_SET(context, attempts, VR_GET(context, attempts, 0) + 1);
    g_autofree char *handle = memory_handle(&memory);
    vr_auto struct vr_rpc_vm_hibernate_params *params = VR_NEW(rpc_vm_hibernate_params);
    VR_SET_STRING(params, vm_id, context->vm_id);
    VR_SET_STRING(params, hibernation_vol_handle, handle);
    vr_job_call(run, context->host_id, &vr_verb_vm_hibernate, params, 0, asked);
}

/* The machine's end as the host tells it to this job; the monitor may not have heard of it. */
static void note_end(struct vr_job_run *run, int64_t code, int64_t reason, const char *message)
    VR_REQUIRES(vr_role_engine);
static void note_end(struct vr_job_run *run, int64_t code, int64_t reason, const char *message)
{
    struct vr_suspend_vm_context *context = run->context;
    vm_note_exit(VR_EDIT(run->txn, VM, vm, context->vm_id), code, reason, message);
    look(run);
}

static void answered(struct vr_job_run *run, const void *result, int code, const char *message)
    VR_REQUIRES(vr_role_engine);
static void answered(struct vr_job_run *run, const void *result, int code, const char *message)
{
    const struct vr_suspend_vm_context *context = run->context;
    const struct vr_rpc_vm_get_stats_result *answer = result;
    const struct vr_rpc_vm_stats *stats =
        code == 0 && answer->value.len > 0 ? answer->value.items[0] : NULL;
    if (code == 1) {
        note_end(run, 1, EXIT_MISSING, "Its host does not know the virtual machine any more.");
        return;
    }
    if (!stats || !VR_HAS(stats, status)) {
        vr_job_after(run, AGAIN_MS, probe);
        return;
    }
    switch (stats->status) {
    case VR_RPC_VM_STATUS_SAVING_STATE:
        vr_job_after(run, POLL_MS, probe);
        return;
    case VR_RPC_VM_STATUS_DOWN:
        note_end(run, VR_GET(stats, exit_code, 1), VR_GET(stats, exit_reason, EXIT_GENERIC_ERROR),
                 stats->exit_message);
        return;
    default:
        if (VR_GET(context, attempts, 0) < MAX_ATTEMPTS)
            hibernate(run); /* the host may not have heard */
        else
            fail(run, context->refusal ? context->refusal
                                       : "Its host could not save it: the log of the host's agent says "
                                         "why. Often the storage is full.");
    }
}

static void probe(struct vr_job_run *run)
{
    const struct vr_suspend_vm_context *context = run->context;
    vr_auto struct vr_rpc_vm_get_stats_params *params = VR_NEW(rpc_vm_get_stats_params);
    VR_SET_STRING(params, vm_id, context->vm_id);
    vr_job_call(run, context->host_id, &vr_verb_vm_get_stats, params, 0, answered);
}

static void save(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
static void save(struct vr_job_run *run)
{
    struct vr_suspend_vm_context *context = run->context;
    if (!VR_GET(context, asked, false)) {
        VR_SET(context, asked, true);
        vr_job_record(run, hibernate);
        return;
    }
    vr_job_on_change(run, noticed); /* after a crash: what became of it? */
    if (!look(run))
        probe(run);
}

/* --- the host --- */

static void release(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);

static void released(struct vr_job_run *run, const void *result, int code, const char *message)
    VR_REQUIRES(vr_role_engine);
static void released(struct vr_job_run *run, const void *result, int code, const char *message)
{
    if (code == 0 || code == 1) /* 1: it has no such machine */
        vr_job_done(run);
    else
        vr_job_after(run, AGAIN_MS, release);
}

/* Until it forgets the machine it would refuse to start it again. */
static void release(struct vr_job_run *run)
{
    const struct vr_suspend_vm_context *context = run->context;
    const struct vr_vm *vm = machine(run);
    if (!vm || !VR_LINK_ID(vm, host)) {
        vr_job_done(run); /* the host was restarted */
        return;
    }
    vr_auto struct vr_rpc_vm_destroy_params *params = VR_NEW(rpc_vm_destroy_params);
    VR_SET_STRING(params, vm_id, context->vm_id);
    vr_job_call(run, context->host_id, &vr_verb_vm_destroy, params, 0, released);
}

/* --- the end --- */

/* It goes on as if nothing had been, or is down when its host says so. */
static void not_suspended(struct vr_job_run *run, struct vr_vm *vm, const struct vr_error *error)
    VR_REQUIRES(vr_role_engine);
static void not_suspended(struct vr_job_run *run, struct vr_vm *vm, const struct vr_error *error)
{
    g_autofree char *text = error ? vr_error_text(error) : g_strdup("");
    struct vr_event_about who = { .vm = vm, .correlation_id = run->correlation_id };
    memory_drop(run->txn, vm);
    vr_event_add(run->txn, VR_EVENT_USER_FAILED_SUSPEND_VM, &who, "Reason", text, NULL);
    if (VR_HAS(vm, exit_code)) {
        bool well = vm->exit_code == 0;
        vm_set_down(run->txn, vm, vm->exit_code, VR_GET(vm, exit_reason, EXIT_GENERIC_ERROR),
                    vm->exit_message);
        vr_event_add(run->txn, well ? VR_EVENT_VM_DOWN : VR_EVENT_VM_DOWN_ERROR, &who,
                     "ExitMessage", vm->exit_message ? vm->exit_message : "", NULL);
    } else if (vm_status(vm) == VR_VM_STATUS_SAVING_STATE) {
        vm_set_status(run->txn, vm, VR_VM_STATUS_UP);
    }
}

static void ended(struct vr_job_run *run, bool failed, const struct vr_error *error)
    VR_REQUIRES(vr_role_engine);
static void ended(struct vr_job_run *run, bool failed, const struct vr_error *error)
{
    const struct vr_suspend_vm_context *context = run->context;
    struct vr_vm *vm = VR_EDIT(run->txn, VM, vm, context->vm_id);
    if (!vm)
        return;
    if (failed) {
        not_suspended(run, vm, error);
        return;
    }
    vm_set_suspended(run->txn, vm);
    vr_event_add(run->txn, VR_EVENT_USER_SUSPEND_VM_OK,
                 &(struct vr_event_about){ .vm = vm, .correlation_id = run->correlation_id }, NULL);
}

static const struct vr_job_step suspend_vm_steps[] = {
    { "make volumes", make_volumes, NULL },
    { "save", save, NULL },
    { "release host", release, NULL },
};

const struct vr_job_type vr_job_suspend_vm = {
    .name = "SuspendVm",
    .context = &vr_type_suspend_vm_context,
    .steps = suspend_vm_steps,
    .step_count = G_N_ELEMENTS(suspend_vm_steps),
    .ended = ended,
};

/* --- the request --- */

static bool check_disks(struct vr_engine *engine, const struct vr_vm *vm, struct vr_error **error)
    VR_REQUIRES(vr_role_engine);
static bool check_disks(struct vr_engine *engine, const struct vr_vm *vm, struct vr_error **error)
{
    struct vr_inventory *head = vr_engine_head(engine);
    vr_auto_objects struct vr_objects attachments = { 0 };
    vr_inventory_list_by(head, VR_KIND_DISK_ATTACHMENT, "vm", vm->id, &attachments);
    VR_OBJECTS (struct vr_disk_attachment, attachment, &attachments) {
        const struct vr_disk *disk = VR_PEEK(head, DISK, disk, VR_LINK_ID(attachment, disk));
        if (!disk || VR_GET(disk, status, VR_DISK_STATUS_OK) != VR_DISK_STATUS_LOCKED)
            continue;
        vr_error_set(error, &vr_fault_disk_is_locked,
                     "Cannot hibernate VM. Disk %s is locked. Please try again later.", disk->alias);
        return false;
    }
    return true;
}

static const struct vr_vm *check(struct vr_call *call, struct vr_error **error)
    VR_REQUIRES(vr_role_engine);
static const struct vr_vm *check(struct vr_call *call, struct vr_error **error)
{
    const struct vr_vm *vm = vm_target(call, "hibernate", VM_IN(VR_VM_STATUS_UP), error);
    if (!vm)
        return NULL;
    const struct vr_lock lock = { VR_KIND_VM, vm->id, true };
    const struct vr_host *host =
        VR_PEEK(vr_engine_head(call->engine), HOST, host, VR_LINK_ID(vm, host));
    if (VR_LINK_ID(vm, vm_pool))
        vr_error_set(error, &vr_fault_vm_wrong_state,
                     "Cannot hibernate VM. Machines of a pool are not suspended.");
    else if (VR_GET(vm, stateless, false))
        vr_error_set(error, &vr_fault_vm_wrong_state,
                     "Cannot hibernate VM. A stateless virtual machine has nothing to go back to.");
    else if (!host || VR_GET(host, status, VR_HOST_STATUS_UNASSIGNED) != VR_HOST_STATUS_UP)
        vr_error_set(error, &vr_fault_host_not_up, "Cannot hibernate VM. Its host is not up.");
    else if (vr_locks_free(call->engine, &lock, 1, error) && check_disks(call->engine, vm, error))
        return vm;
    return NULL;
}

void vr_vm_suspend(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    g_autofree char *domain_id = NULL;
    const struct vr_vm *vm = check(call, &error);
    if (!vm) {
        vr_call_fail(call, &error);
        return;
    }
    struct vr_txn *txn = vr_txn_new(call->engine);
    struct vr_vm *edit = VR_EDIT(txn, VM, vm, vm->id);
    struct vr_suspend_vm_context *context = VR_NEW(suspend_vm_context);
    VR_SET_STRING(context, vm_id, vm->id);
    VR_SET_STRING(context, host_id, VR_LINK_ID(vm, host));
    if (!memory_make(txn, call, edit, context, &domain_id, &error)) {
        vr_unref(context);
        vr_txn_abandon(txn);
        vr_call_fail(call, &error);
        return;
    }
    vm_clear_exit(edit);
    vm_set_status(txn, edit, VR_VM_STATUS_SAVING_STATE);
    vr_event_add(txn, VR_EVENT_USER_SUSPEND_VM,
                 &(struct vr_event_about){ .user = vr_call_user(call),
                                           .vm = edit,
                                           .host = VR_PEEK(vr_engine_head(call->engine), HOST, host,
                                                           context->host_id),
                                           .correlation_id = call->correlation_id },
                 NULL);
    const struct vr_lock locks[] = { { VR_KIND_VM, vm->id, true },
                                     { VR_KIND_STORAGE_DOMAIN, domain_id, false } };
    g_autofree char *description = g_strdup_printf("Hibernating VM %s", vm->name);
    g_autofree char *job_id = g_strdup(vr_job_start(
        txn, &(struct vr_job_start){ .type = &vr_job_suspend_vm,
                                     .context = context,
                                     .description = description,
                                     .locks = locks,
                                     .lock_count = G_N_ELEMENTS(locks),
                                     .user_id = call->caller ? call->caller->user_id : NULL,
                                     .correlation_id = call->correlation_id }));
    VR_SET_LINK(edit, job, job, job_id);
    vr_call_commit_action(call, txn, job_id);
}
