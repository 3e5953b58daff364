/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/vms/internal.h"

#include "gen/routes.h"

/* The actions of a virtual machine that change what runs (facts/rest-api.md 5.3 and 8.1). */

static struct vr_event_about about(struct vr_call *call, const struct vr_vm *vm)
    VR_REQUIRES(vr_role_engine);
static struct vr_event_about about(struct vr_call *call, const struct vr_vm *vm)
{
    /* Where it runs, or ran: it may be down by the time that a stop is answered. */
    const char *host = VR_LINK_ID(vm, host) ? VR_LINK_ID(vm, host) : VR_LINK_ID(vm, run_host);
    return (struct vr_event_about){ .user = vr_call_user(call),
                                    .vm = vm,
                                    .host = VR_PEEK(vr_engine_head(call->engine), HOST, host, host),
                                    .correlation_id = call->correlation_id };
}

/* --- one host call, then one transaction --- */

/* What a simple action does when its host has said yes. */
typedef void apply_fn(struct vr_txn *txn, struct vr_call *call, struct vr_vm *vm);

struct simple {
    struct vr_call *call;
    char *vm_id;
    char *run; /* the job that started the machine; another start has another */
    apply_fn *apply;
    const char *what;
    int harmless; /* an RPC code that means it was so already, or 0 */
};

static void simple_free(struct simple *simple)
{
    g_free(simple->vm_id);
    g_free(simple->run);
    g_free(simple);
}

static void simple_end(struct vr_engine *engine, const char *job_id, bool failed,
                       const struct vr_error *why, void *arg) VR_REQUIRES(vr_role_engine);
static void simple_end(struct vr_engine *engine, const char *job_id, bool failed,
                       const struct vr_error *why, void *arg)
{
    struct simple *simple = arg;
    struct vr_txn *txn = vr_txn_new(engine);
    struct vr_vm *vm = VR_EDIT(txn, VM, vm, simple->vm_id);
    /* An answer may be so late that the machine was started again: that run was not meant. */
    if (vm && g_strcmp0(VR_LINK_ID(vm, job), simple->run) == 0)
        simple->apply(txn, simple->call, vm);
    vr_call_commit_action(simple->call, txn, NULL);
    simple_free(simple);
}

static void simple_answer(struct vr_engine *engine, const void *result, int code,
                          const char *message, void *arg) VR_REQUIRES(vr_role_engine);
static void simple_answer(struct vr_engine *engine, const void *result, int code,
                          const char *message, void *arg)
{
    struct simple *simple = arg;
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_vm *vm = VR_PEEK(vr_engine_head(engine), VM, vm, simple->vm_id);
    if (code == 0 || code == simple->harmless) {
        /* The job that has the machine in hand ends with it; who hears of it then can go on. */
        if (vm && vm_job(engine, vm) && g_strcmp0(VR_LINK_ID(vm, job), simple->run) == 0)
            vr_job_watch(engine, simple->run, simple_end, simple);
        else
            simple_end(engine, NULL, false, NULL, simple);
        return;
    }
    vr_job_host_error(&error, simple->what, code, message);
    vr_call_fail(simple->call, &error);
    simple_free(simple);
}

/* Takes the call; @params is borrowed. */
static void ask_host(struct vr_call *call, const struct vr_vm *vm, const struct vr_verb *verb,
                     const void *params, const char *what, int harmless, apply_fn *apply)
    VR_REQUIRES(vr_role_engine);
static void ask_host(struct vr_call *call, const struct vr_vm *vm, const struct vr_verb *verb,
                     const void *params, const char *what, int harmless, apply_fn *apply)
{
    struct simple *simple = g_new0(struct simple, 1);
    simple->call = call;
    simple->vm_id = g_strdup(vm->id);
    simple->run = g_strdup(VR_LINK_ID(vm, job));
    simple->apply = apply;
    simple->what = what;
    simple->harmless = harmless;
    vr_engine_host_call(call->engine, VR_LINK_ID(vm, host), verb, params, 0, call->correlation_id,
                        simple_answer, simple);
}

const struct vr_vm *vm_target(struct vr_call *call, const char *verb, unsigned allowed,
                              struct vr_error **error)
{
    const struct vr_vm *vm = vr_call_target(call, VR_KIND_VM, error);
    if (!vm)
        return NULL;
    enum vr_vm_status status = vm_status(vm);
    if (!(allowed & VM_IN(status))) {
        if (!vm_is_running(status) && status != VR_VM_STATUS_IMAGE_LOCKED)
            vr_error_set(error, &vr_fault_vm_is_not_running, "Cannot %s VM. VM is not running.",
                         verb);
        else
            vr_error_set(error, &vr_fault_vm_wrong_state,
                         "Cannot %s VM because the VM is in %s status.", verb,
                         vr_enum_word(&vr_enum_vm_status, (int)status));
        return NULL;
    }
    if (vm_is_running(status) && !VR_LINK_ID(vm, host)) {
        vr_error_set(error, &vr_fault_vm_wrong_state, "The virtual machine is on no host.");
        return NULL;
    }
    return vm;
}

#define RUNNING                                                                                    \
    (VM_IN(VR_VM_STATUS_UP) | VM_IN(VR_VM_STATUS_POWERING_UP) | VM_IN(VR_VM_STATUS_POWERING_DOWN) |         \
     VM_IN(VR_VM_STATUS_REBOOT_IN_PROGRESS) | VM_IN(VR_VM_STATUS_PAUSED) |                               \
     VM_IN(VR_VM_STATUS_NOT_RESPONDING) | VM_IN(VR_VM_STATUS_MIGRATING) |                                \
     VM_IN(VR_VM_STATUS_WAIT_FOR_LAUNCH))

/* --- start --- */

static void resumed(struct vr_txn *txn, struct vr_call *call, struct vr_vm *vm)
    VR_REQUIRES(vr_role_engine);
static void resumed(struct vr_txn *txn, struct vr_call *call, struct vr_vm *vm)
{
    struct vr_event_about who = about(call, vm);
    vm_set_status(txn, vm, VR_VM_STATUS_UP);
    vr_event_add(txn, VR_EVENT_USER_RESUME_VM, &who, NULL);
}

void vr_vm_start(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_action *action = call->body;
    const struct vr_vm *vm = vr_call_target(call, VR_KIND_VM, &error);
    if (!vm) {
        vr_call_fail(call, &error);
        return;
    }
    unsigned inits = (VR_GET(action, use_cloud_init, false) ? 1 : 0) +
                     (VR_GET(action, use_sysprep, false) ? 1 : 0) +
                     (VR_GET(action, use_ignition, false) ? 1 : 0);
    if (inits > 1) {
        vr_error_set(&error, &vr_fault_conflict,
                     "Only one of use_cloud_init, use_sysprep and use_ignition can be true.");
        vr_call_fail(call, &error);
        return;
    }
    if (vm_status(vm) == VR_VM_STATUS_PAUSED && VR_LINK_ID(vm, host)) {
        vr_auto struct vr_rpc_vm_cont_params *params = VR_NEW(rpc_vm_cont_params);
        VR_SET_STRING(params, vm_id, vm->id);
        ask_host(call, vm, &vr_verb_vm_cont, params, "VM.cont", 0, resumed);
        return;
    }
    struct vr_txn *txn = vr_txn_new(call->engine);
    const char *job = vm_start(txn, vm, action->vm, VR_GET(action, pause, false),
                               vr_call_user(call), call->correlation_id, &error);
    if (!job) {
        vr_txn_abandon(txn);
        vr_call_fail(call, &error);
        return;
    }
    g_autofree char *job_id = g_strdup(job);
    vr_call_commit_action(call, txn, job_id);
}

/* --- stop and its gentler kin --- */

static void stopped(struct vr_txn *txn, struct vr_call *call, struct vr_vm *vm)
    VR_REQUIRES(vr_role_engine);
static void stopped(struct vr_txn *txn, struct vr_call *call, struct vr_vm *vm)
{
    const struct vr_action *action = call->body;
    struct vr_event_about who = about(call, vm);
    if (vm_is_running(vm_status(vm))) {
        vm_set_down(txn, vm, 0, EXIT_ADMIN, STOPPED_BY_ADMIN);
        vr_event_add(txn, VR_EVENT_VM_DOWN, &who, "ExitMessage", vm->exit_message, NULL);
    }
    if (action && action->reason)
        VR_SET_STRING(vm, stop_reason, action->reason);
    vr_event_add(txn, VR_EVENT_USER_STOP_VM, &who, "Reason",
                 action && action->reason ? action->reason : "", NULL);
}

static void discard_memory(struct vr_call *call, const struct vr_vm *vm)
    VR_REQUIRES(vr_role_engine);
static void discard_memory(struct vr_call *call, const struct vr_vm *vm)
{
    struct vr_txn *txn = vr_txn_new(call->engine);
    const struct vr_action *action = call->body;
    struct vr_event_about who = about(call, vm);
    struct vr_vm *edit = VR_EDIT(txn, VM, vm, vm->id);
    vm_set_down(txn, edit, 0, EXIT_ADMIN, "The saved state was discarded.");
    memory_drop(txn, edit);
    vr_event_add(txn, VR_EVENT_USER_STOP_VM, &who, "Reason",
                 action && action->reason ? action->reason : "", NULL);
    vr_call_commit_action(call, txn, NULL);
}

/* That it was asked for is recorded first: an end that comes by another way is then no crash. */
static void mark_stop(struct vr_engine *engine, const char *vm_id) VR_REQUIRES(vr_role_engine);
static void mark_stop(struct vr_engine *engine, const char *vm_id)
{
    struct vr_txn *txn = vr_txn_new(engine);
    struct vr_vm *vm = VR_EDIT(txn, VM, vm, vm_id);
    VR_SET(vm, initiated_stop, true);
    vr_txn_commit(txn, NULL, NULL);
}

void vr_vm_stop(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_vm *vm =
        vm_target(call, "stop", RUNNING | VM_IN(VR_VM_STATUS_SUSPENDED), &error);
    if (!vm) {
        vr_call_fail(call, &error);
        return;
    }
    if (vm_status(vm) == VR_VM_STATUS_SUSPENDED) {
        discard_memory(call, vm);
        return;
    }
    g_autofree char *vm_id = g_strdup(vm->id);
    mark_stop(call->engine, vm_id);
    vm = VR_PEEK(vr_engine_head(call->engine), VM, vm, vm_id);
    vr_auto struct vr_rpc_vm_destroy_params *params = VR_NEW(rpc_vm_destroy_params);
    VR_SET_STRING(params, vm_id, vm->id);
    /* 1: no such machine: it is gone already. */
    ask_host(call, vm, &vr_verb_vm_destroy, params, "VM.destroy", 1, stopped);
}

static void shutting_down(struct vr_txn *txn, struct vr_call *call, struct vr_vm *vm)
    VR_REQUIRES(vr_role_engine);
static void shutting_down(struct vr_txn *txn, struct vr_call *call, struct vr_vm *vm)
{
    const struct vr_action *action = call->body;
    struct vr_event_about who = about(call, vm);
    if (vm_is_running(vm_status(vm)))
        vm_set_status(txn, vm, VR_VM_STATUS_POWERING_DOWN);
    if (action && action->reason)
        VR_SET_STRING(vm, stop_reason, action->reason);
    vr_event_add(txn, VR_EVENT_USER_INITIATED_SHUTDOWN_VM, &who, "Reason",
                 action && action->reason ? action->reason : "", NULL);
}

/* VmGracefulShutdownTimeout is 30 s; the agent tries guest agent, then ACPI. */
void vr_vm_shutdown(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_vm *vm =
        vm_target(call, "shutdown",
               VM_IN(VR_VM_STATUS_UP) | VM_IN(VR_VM_STATUS_POWERING_UP) |
                   VM_IN(VR_VM_STATUS_REBOOT_IN_PROGRESS) | VM_IN(VR_VM_STATUS_POWERING_DOWN),
               &error);
    if (!vm) {
        vr_call_fail(call, &error);
        return;
    }
    const struct vr_action *action = call->body;
    vr_auto struct vr_rpc_vm_shutdown_params *params = VR_NEW(rpc_vm_shutdown_params);
    VR_SET_STRING(params, vm_id, vm->id);
    VR_SET(params, delay, 30);
    VR_SET_STRING(params, message, "System going down");
    VR_SET(params, force, VR_GET(action, force, false));
    ask_host(call, vm, &vr_verb_vm_shutdown, params, "VM.shutdown", 0, shutting_down);
}

static void rebooting(struct vr_txn *txn, struct vr_call *call, struct vr_vm *vm)
    VR_REQUIRES(vr_role_engine);
static void rebooting(struct vr_txn *txn, struct vr_call *call, struct vr_vm *vm)
{
    struct vr_event_about who = about(call, vm);
    if (vm_is_running(vm_status(vm)))
        vm_set_status(txn, vm, VR_VM_STATUS_REBOOT_IN_PROGRESS);
    vr_event_add(txn, VR_EVENT_USER_REBOOT_VM, &who, NULL);
}

void vr_vm_reboot(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_vm *vm =
        vm_target(call, "reboot", VM_IN(VR_VM_STATUS_UP) | VM_IN(VR_VM_STATUS_POWERING_UP), &error);
    if (!vm) {
        vr_call_fail(call, &error);
        return;
    }
    const struct vr_action *action = call->body;
    vr_auto struct vr_rpc_vm_shutdown_params *params = VR_NEW(rpc_vm_shutdown_params);
    VR_SET_STRING(params, vm_id, vm->id);
    VR_SET(params, delay, 30);
    VR_SET_STRING(params, message, "System going down");
    VR_SET(params, reboot, true);
    VR_SET(params, force, VR_GET(action, force, false));
    ask_host(call, vm, &vr_verb_vm_shutdown, params, "VM.shutdown", 0, rebooting);
}

static void was_reset(struct vr_txn *txn, struct vr_call *call, struct vr_vm *vm)
    VR_REQUIRES(vr_role_engine);
static void was_reset(struct vr_txn *txn, struct vr_call *call, struct vr_vm *vm)
{
    struct vr_event_about who = about(call, vm);
    vr_event_add(txn, VR_EVENT_USER_REBOOT_VM, &who, NULL);
}

void vr_vm_reset(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_vm *vm = vm_target(call, "reset",
                                    VM_IN(VR_VM_STATUS_UP) | VM_IN(VR_VM_STATUS_POWERING_UP) |
                                        VM_IN(VR_VM_STATUS_REBOOT_IN_PROGRESS) |
                                        VM_IN(VR_VM_STATUS_POWERING_DOWN),
                                    &error);
    if (!vm) {
        vr_call_fail(call, &error);
        return;
    }
    vr_auto struct vr_rpc_vm_reset_params *params = VR_NEW(rpc_vm_reset_params);
    VR_SET_STRING(params, vm_id, vm->id);
    ask_host(call, vm, &vr_verb_vm_reset, params, "VM.reset", 0, was_reset);
}
