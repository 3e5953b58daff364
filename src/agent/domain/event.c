/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "domain"
#include "agent/domain/vm.h"

/*
 * What libvirt reports, on its event thread.  Nothing here may wait for
 * libvirt: whatever needs a question becomes a chore.
 */

static struct vr_vm *find(struct vr_domains *domains, virDomainPtr dom)
{
    char id[VIR_UUID_STRING_BUFLEN];
    vr_auto_error struct vr_error *error = NULL;
    if (virDomainGetUUIDString(dom, id) < 0)
        return NULL;
    return vr_vm_find(domains, id, &error);
}

static void refresh_and_announce(struct vr_domains *domains, struct vr_vm *vm, void *arg)
{
    vr_auto_error struct vr_error *error = NULL;
    vr_auto_dom virDomainPtr dom = vr_connection_domain(domains, vm->id, &error);
    if (!dom)
        return;
    vr_vm_refresh(domains, vm, dom);
    vr_vm_announce(domains, vm);
}

static void announce(struct vr_domains *domains, struct vr_vm *vm, void *arg)
{
    vr_vm_announce(domains, vm);
}

void vr_event_ended(struct vr_domains *domains, struct vr_vm *vm, enum vr_ending ending)
{
    vr_mutex_lock(&domains->lock);
    struct vr_ended ended = {
        .ending = ending,
        .by_destroy = vm->destroy_asked,
        .by_shutdown = vm->shutdown_asked,
        .by_reboot = vm->rebooted_away,
        .starting = vm->creating || vm->state == VR_STATE_WAIT_FOR_LAUNCH ||
                    vm->state == VR_STATE_RESTORING,
    };
    bool creating = vm->creating;
    vr_mutex_unlock(&domains->lock);
    /* The creator tells how a start ended; it knows libvirt's message. */
    if (creating)
        return;
    vr_vm_set_down(domains, vm, vr_exit_reason_of(&ended), NULL);
}

/* Tearing images down may block: not on the event thread. */
static void end(struct vr_domains *domains, struct vr_vm *vm, void *arg)
{
    vr_event_ended(domains, vm, (enum vr_ending)GPOINTER_TO_INT(arg));
}

static enum vr_ending ending_of_event(int detail)
{
    switch ((virDomainEventStoppedDetailType)detail) {
    case VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN:
        return VR_ENDING_SHUTDOWN;
    case VIR_DOMAIN_EVENT_STOPPED_DESTROYED:
        return VR_ENDING_DESTROYED;
    case VIR_DOMAIN_EVENT_STOPPED_CRASHED:
        return VR_ENDING_CRASHED;
    case VIR_DOMAIN_EVENT_STOPPED_MIGRATED:
        return VR_ENDING_MIGRATED;
    case VIR_DOMAIN_EVENT_STOPPED_SAVED:
        return VR_ENDING_SAVED;
    case VIR_DOMAIN_EVENT_STOPPED_FAILED:
        return VR_ENDING_FAILED;
    default:
        return VR_ENDING_UNKNOWN;
    }
}

void vr_event_set_paused(struct vr_domains *domains, struct vr_vm *vm, const char *code)
{
    vr_mutex_lock(&domains->lock);
    bool changed = false;
    if (vm->state != VR_STATE_SAVING && vm->state != VR_STATE_MIGRATION_SOURCE &&
        vm->state != VR_STATE_RESTORING && !vm->creating) {
        changed = vr_vm_set_state(domains, vm, VR_STATE_PAUSED);
        if (code && g_strcmp0(vm->pause_code, code)) {
            g_free(vm->pause_code);
            vm->pause_code = g_strdup(code);
            changed = true;
        }
    }
    vr_mutex_unlock(&domains->lock);
    if (changed)
        vr_chore_push(domains, vm, announce, NULL);
}

void vr_event_set_saving(struct vr_domains *domains, struct vr_vm *vm)
{
    vr_mutex_lock(&domains->lock);
    bool changed = !vm->creating && vr_vm_set_state(domains, vm, VR_STATE_SAVING);
    vr_mutex_unlock(&domains->lock);
    if (changed)
        vr_chore_push(domains, vm, announce, NULL);
}

/* The event does not say that it is paused to be saved, as an earlier agent may have asked. */
static void look_at_pause(struct vr_domains *domains, struct vr_vm *vm, void *arg)
{
    int state, reason;
    vr_auto_error struct vr_error *error = NULL;
    vr_auto_dom virDomainPtr dom = vr_connection_domain(domains, vm->id, &error);
    if (!dom || virDomainGetState(dom, &state, &reason, 0) < 0 || state != VIR_DOMAIN_PAUSED)
        return;
    if (reason == VIR_DOMAIN_PAUSED_SAVE)
        vr_event_set_saving(domains, vm);
    else
        vr_event_set_paused(domains, vm, NULL);
}

/* Also the end of a save that failed, and of a start or a restore that an earlier agent began. */
static void resumed(struct vr_domains *domains, struct vr_vm *vm)
{
    vr_mutex_lock(&domains->lock);
    bool waits = vm->state == VR_STATE_PAUSED || vm->state == VR_STATE_SAVING ||
                 vm->state == VR_STATE_RESTORING || vm->state == VR_STATE_WAIT_FOR_LAUNCH;
    bool changed = waits && !vm->creating && vr_vm_set_state(domains, vm, VR_STATE_UP);
    vr_mutex_unlock(&domains->lock);
    if (changed)
        vr_chore_push(domains, vm, announce, NULL);
}

static int on_lifecycle(virConnectPtr conn, virDomainPtr dom, int event, int detail, void *arg)
{
    struct vr_domains *domains = arg;
    vr_auto_vm struct vr_vm *vm = find(domains, dom);
    if (!vm)
        return 0;
    switch (event) {
    case VIR_DOMAIN_EVENT_STOPPED:
        vr_chore_push(domains, vm, end, GINT_TO_POINTER(ending_of_event(detail)));
        break;
    case VIR_DOMAIN_EVENT_SUSPENDED:
        /* The I/O error event, which comes beside this one, carries the code. */
        vr_chore_push(domains, vm, look_at_pause, NULL);
        break;
    case VIR_DOMAIN_EVENT_RESUMED:
        resumed(domains, vm);
        break;
    case VIR_DOMAIN_EVENT_SHUTDOWN:
        vr_mutex_lock(&domains->lock);
        if (detail == VIR_DOMAIN_EVENT_SHUTDOWN_HOST && !vm->destroy_asked)
            vm->shutdown_asked = true;
        vr_mutex_unlock(&domains->lock);
        break;
    default:
        break;
    }
    return 0;
}

static void end_rebooted(struct vr_domains *domains, struct vr_vm *vm, void *arg)
{
    vr_auto_error struct vr_error *error = NULL;
    vr_auto_dom virDomainPtr dom = vr_connection_domain(domains, vm->id, &error);
    if (dom)
        virDomainDestroy(dom);
}

static void on_reboot(virConnectPtr conn, virDomainPtr dom, void *arg)
{
    struct vr_domains *domains = arg;
    vr_auto_vm struct vr_vm *vm = find(domains, dom);
    if (!vm)
        return;
    vr_mutex_lock(&domains->lock);
    bool ends = vm->reboot_ends;
    vm->rebooted_away = ends;
    vm->shutdown_next = 0;
    vm->shutdown_asked = false;
    if (!ends && (vm->state == VR_STATE_UP || vm->state == VR_STATE_POWERING_UP ||
                  vm->state == VR_STATE_POWERING_DOWN))
        vr_vm_set_state(domains, vm, vm->has_agent_channel ? VR_STATE_REBOOTING : VR_STATE_UP);
    vm->guest_deadline = g_get_monotonic_time() + VR_GUEST_WAIT_MS * 1000;
    vr_mutex_unlock(&domains->lock);
    vr_chore_push(domains, vm, ends ? end_rebooted : announce, NULL);
}

static void on_io_error(virConnectPtr conn, virDomainPtr dom, const char *path, const char *alias,
                        int action, const char *reason, void *arg)
{
    struct vr_domains *domains = arg;
    vr_auto_vm struct vr_vm *vm = find(domains, dom);
    if (!vm || action != VIR_DOMAIN_EVENT_IO_ERROR_PAUSE)
        return;
    static const struct {
        const char *reason, *code;
    } codes[] = { { "enospc", "ENOSPC" }, { "eio", "EIO" }, { "eperm", "EPERM" } };
    const char *code = "EOTHER";
    for (unsigned i = 0; i < G_N_ELEMENTS(codes); i++)
        if (!g_strcmp0(reason, codes[i].reason))
            code = codes[i].code;
    vr_log_warning("VM %s is paused by %s on %s.", vm->id, code, path ? path : "a disk");
    vr_mutex_lock(&domains->lock);
    g_free(vm->ioerror_alias);
    g_free(vm->ioerror_path);
    g_free(vm->ioerror_name);
    vm->ioerror_alias = g_strdup(alias);
    vm->ioerror_path = g_strdup(path);
    vm->ioerror_name = g_strdup(alias);
    vr_mutex_unlock(&domains->lock);
    vr_event_set_paused(domains, vm, code);
}

static void on_agent(virConnectPtr conn, virDomainPtr dom, int state, int reason, void *arg)
{
    struct vr_domains *domains = arg;
    vr_auto_vm struct vr_vm *vm = find(domains, dom);
    if (!vm)
        return;
    vr_mutex_lock(&domains->lock);
    vm->agent_connected = state == VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_STATE_CONNECTED;
    vm->guest_next = 0;
    vm->guest_round = 0;
    if (!vm->agent_connected) {
        vm->agent_answered = false;
        g_clear_pointer(&vm->guest, vr_guest_free);
    }
    g_cond_broadcast(&domains->changed);
    vr_mutex_unlock(&domains->lock);
    vr_chore_push(domains, vm, refresh_and_announce, NULL);
}

static void on_device(virConnectPtr conn, virDomainPtr dom, const char *alias, void *arg)
{
    struct vr_domains *domains = arg;
    vr_auto_vm struct vr_vm *vm = find(domains, dom);
    if (!vm)
        return;
    /* The guest has other interfaces or disks than it told of. */
    vr_mutex_lock(&domains->lock);
    vm->guest_round = 0;
    vr_mutex_unlock(&domains->lock);
    vr_chore_push(domains, vm, refresh_and_announce, NULL);
}

static void on_clock(virConnectPtr conn, virDomainPtr dom, long long offset, void *arg)
{
    struct vr_domains *domains = arg;
    vr_auto_vm struct vr_vm *vm = find(domains, dom);
    if (!vm)
        return;
    vr_mutex_lock(&domains->lock);
    g_free(vm->time_offset);
    vm->time_offset = g_strdup_printf("%lld", offset);
    vr_mutex_unlock(&domains->lock);
}

static void on_graphics(virConnectPtr conn, virDomainPtr dom, int phase,
                        const virDomainEventGraphicsAddress *local,
                        const virDomainEventGraphicsAddress *remote, const char *scheme,
                        const virDomainEventGraphicsSubject *subject, void *arg)
{
    struct vr_domains *domains = arg;
    vr_auto_vm struct vr_vm *vm = find(domains, dom);
    if (!vm)
        return;
    if (!remote)
        return;
    /* Who has only connected has not shown a ticket yet. */
    vr_mutex_lock(&domains->lock);
    bool changed = false;
    if (phase == VIR_DOMAIN_EVENT_GRAPHICS_INITIALIZE)
        changed = vr_viewer_came(vm, remote->node, remote->service);
    else if (phase == VIR_DOMAIN_EVENT_GRAPHICS_DISCONNECT)
        changed = vr_viewer_left(vm, remote->node, remote->service);
    vr_mutex_unlock(&domains->lock);
    if (changed)
        vr_chore_push(domains, vm, announce, NULL);
}

bool vr_event_register(struct vr_domains *domains, virConnectPtr conn)
{
    const struct {
        int id;
        virConnectDomainEventGenericCallback call;
    } rows[] = {
        { VIR_DOMAIN_EVENT_ID_LIFECYCLE, VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle) },
        { VIR_DOMAIN_EVENT_ID_REBOOT, VIR_DOMAIN_EVENT_CALLBACK(on_reboot) },
        { VIR_DOMAIN_EVENT_ID_IO_ERROR_REASON, VIR_DOMAIN_EVENT_CALLBACK(on_io_error) },
        { VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE, VIR_DOMAIN_EVENT_CALLBACK(on_agent) },
        { VIR_DOMAIN_EVENT_ID_DEVICE_ADDED, VIR_DOMAIN_EVENT_CALLBACK(on_device) },
        { VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, VIR_DOMAIN_EVENT_CALLBACK(on_device) },
        { VIR_DOMAIN_EVENT_ID_RTC_CHANGE, VIR_DOMAIN_EVENT_CALLBACK(on_clock) },
        { VIR_DOMAIN_EVENT_ID_GRAPHICS, VIR_DOMAIN_EVENT_CALLBACK(on_graphics) },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++)
        if (virConnectDomainEventRegisterAny(conn, NULL, rows[i].id, rows[i].call, domains, NULL) <
            0)
            return false;
    return true;
}
