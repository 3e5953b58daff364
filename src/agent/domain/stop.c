/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "domain"
#include "agent/domain/vm.h"

#include <errno.h>

/*
 * Ending machines: destroy, the shutdown chain (guest agent, then ACPI, then
 * force), and what the clock changes by itself.
 */

enum { STAGE_AGENT, STAGE_ACPI, STAGE_FORCE, STAGE_END };

#define AGENT_TIMEOUT_S 5
#define DESTROY_WAIT_MS (30 * 1000)

static bool wait_down(struct vr_domains *domains, struct vr_vm *vm, unsigned ms)
{
    gint64 until = g_get_monotonic_time() + (gint64)ms * 1000;
    vr_mutex_lock(&domains->lock);
    while (vm->state != VR_STATE_DOWN && !domains->stopping) {
        if (!g_cond_wait_until(&domains->changed, &domains->lock.mutex, until))
            break;
    }
    bool down = vm->state == VR_STATE_DOWN;
    vr_mutex_unlock(&domains->lock);
    return down;
}

static bool kill_domain(struct vr_domains *domains, struct vr_vm *vm, struct vr_error **error)
{
    vr_auto_conn virConnectPtr conn = vr_connection_get(domains, error);
    if (!conn)
        return false;
    vr_auto_dom virDomainPtr dom = virDomainLookupByUUIDString(conn, vm->id);
    if (!dom && virGetLastErrorCode() == VIR_ERR_NO_DOMAIN)
        return true;
    if (dom && (virDomainDestroyFlags(dom, VIR_DOMAIN_DESTROY_GRACEFUL) == 0 ||
                virDomainDestroy(dom) == 0 || virGetLastErrorCode() == VIR_ERR_OPERATION_INVALID ||
                virGetLastErrorCode() == VIR_ERR_NO_DOMAIN))
        return true;
    vr_connection_error(error, &vr_agent_fault_destroy);
    return false;
}

bool vr_domain_destroy(struct vr_domains *domains, const char *id, struct vr_error **error)
{
    vr_auto_vm struct vr_vm *vm = vr_vm_find(domains, id, error);
    if (!vm)
        return false;
    vr_mutex_lock(&domains->lock);
    bool down = vm->state == VR_STATE_DOWN;
    bool creating = vm->creating;
    vm->destroy_asked |= !down;
    vr_mutex_unlock(&domains->lock);

    if (!down) {
        vr_record_write(domains, vm);
        /* A creator may be between two steps: it sees destroy_asked, or its domain is killed. */
        if (!kill_domain(domains, vm, error))
            return false;
        if (!wait_down(domains, vm, creating ? DESTROY_WAIT_MS : 2000)) {
            if (creating) {
                vr_agent_error(error, destroy, "VM %s is still being started.", vm->id);
                return false;
            }
            /* The event is late or lost; the domain is gone all the same. */
            vr_event_ended(domains, vm, VR_ENDING_DESTROYED);
        }
    }
    vr_record_forget(domains, vm);
    return true;
}

static void run_stage(struct vr_domains *domains, struct vr_vm *vm, void *arg)
{
    unsigned stage = GPOINTER_TO_UINT(arg);
    vr_auto_error struct vr_error *error = NULL;
    vr_mutex_lock(&domains->lock);
    bool reboot = vm->shutdown_how.reboot;
    bool agent = vm->agent_connected, acpi = vm->acpi, ends = vm->reboot_ends;
    vr_mutex_unlock(&domains->lock);
    vr_auto_dom virDomainPtr dom = vr_connection_domain(domains, vm->id, &error);
    if (!dom)
        return;
    bool asked = false;
    switch (stage) {
    case STAGE_AGENT:
        if (agent) {
            virDomainAgentSetResponseTimeout(dom, AGENT_TIMEOUT_S, 0);
            asked = (reboot ? virDomainReboot(dom, VIR_DOMAIN_REBOOT_GUEST_AGENT)
                            : virDomainShutdownFlags(dom, VIR_DOMAIN_SHUTDOWN_GUEST_AGENT)) == 0;
        }
        break;
    case STAGE_ACPI:
        if (acpi)
            asked = (reboot ? virDomainReboot(dom, VIR_DOMAIN_REBOOT_ACPI_POWER_BTN)
                            : virDomainShutdownFlags(dom, VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN)) == 0;
        break;
    case STAGE_FORCE:
        asked = (reboot && !ends ? virDomainReset(dom, 0) : virDomainDestroy(dom)) == 0;
        break;
    default:
        break;
    }
    vr_log_info("VM %s is asked to %s (stage %u): %s.", vm->id, reboot ? "reboot" : "shut down",
                stage, asked ? "sent" : "not possible");
    if (asked)
        return;
    /* The next stage need not wait. */
    vr_mutex_lock(&domains->lock);
    if (vm->shutdown_next)
        vm->shutdown_next = 1;
    g_cond_broadcast(&domains->changed);
    vr_mutex_unlock(&domains->lock);
}

/* Starts the stage that is due. */
static void next_stage(struct vr_domains *domains, struct vr_vm *vm, int64_t now)
    VR_REQUIRES(domains->lock)
{
    unsigned stage = vm->shutdown_stage++;
    if (stage >= STAGE_END || (stage == STAGE_FORCE && !vm->shutdown_how.force)) {
        vm->shutdown_next = 0;
        return;
    }
    int64_t wait = vm->shutdown_how.timeout;
    vm->shutdown_next = now + MAX(wait, 1) * G_USEC_PER_SEC;
    vr_chore_push(domains, vm, run_stage, GUINT_TO_POINTER(stage));
}

bool vr_domain_shutdown(struct vr_domains *domains, const char *id,
                        const struct vr_domain_shutdown *how, struct vr_error **error)
{
    vr_auto_vm struct vr_vm *vm = vr_vm_find(domains, id, error);
    if (!vm)
        return false;
    vr_mutex_lock(&domains->lock);
    bool runs = vm->state != VR_STATE_DOWN && !vm->creating;
    bool possible = vm->agent_connected || vm->acpi || how->force;
    if (runs && possible) {
        int64_t now = g_get_monotonic_time();
        vm->shutdown_how = *how;
        vm->shutdown_how.timeout = CLAMP(how->timeout, 1, 3600);
        vm->shutdown_stage = STAGE_AGENT;
        vm->shutdown_asked = !how->reboot;
        vm->down_deadline = now + VR_POWERING_DOWN_MS * 1000;
        vr_vm_set_state(domains, vm, how->reboot ? VR_STATE_REBOOTING : VR_STATE_POWERING_DOWN);
        vm->guest_deadline = now + VR_GUEST_WAIT_MS * 1000;
        next_stage(domains, vm, now);
    }
    vr_mutex_unlock(&domains->lock);
    if (!runs) {
        vr_agent_error(error, vm_not_running, "%s", vm->id);
        return false;
    }
    if (!possible) {
        vr_agent_error(error, no_guest_agent, "The machine has neither an agent nor ACPI.");
        return false;
    }
    vr_record_write(domains, vm);
    vr_vm_announce(domains, vm);
    return true;
}

static bool tick(struct vr_domains *domains, struct vr_vm *vm, int64_t now)
    VR_REQUIRES(domains->lock)
{
    if (vm->shutdown_next && vm->shutdown_next <= now)
        next_stage(domains, vm, now);
    vr_console_tick(domains, vm, now);
    switch (vm->state) {
    case VR_STATE_POWERING_UP:
    case VR_STATE_REBOOTING:
        if (vm->agent_answered && vm->state == VR_STATE_POWERING_UP)
            return vr_vm_set_state(domains, vm, VR_STATE_UP);
        return vm->guest_deadline <= now && vr_vm_set_state(domains, vm, VR_STATE_UP);
    case VR_STATE_POWERING_DOWN:
        if (vm->down_deadline <= now && !vm->shutdown_next) {
            vm->shutdown_asked = false;
            return vr_vm_set_state(domains, vm, VR_STATE_UP);
        }
        return false;
    default:
        return false;
    }
}

void vr_stop_tick(struct vr_domains *domains)
{
    g_autoptr(GPtrArray) all = vr_vm_all(domains);
    int64_t now = g_get_monotonic_time();
    for (unsigned i = 0; i < all->len; i++) {
        vr_mutex_lock(&domains->lock);
        bool changed = tick(domains, all->pdata[i], now);
        vr_mutex_unlock(&domains->lock);
        if (changed)
            vr_vm_announce(domains, all->pdata[i]);
    }
}
