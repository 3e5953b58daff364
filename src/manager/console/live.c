/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/console/internal.h"

/* What hosts say of the consoles of running machines. */

const struct vr_graphics_console *console_live(const struct vr_vm *vm, enum vr_graphics_type type)
{
    VR_EACH (const struct vr_graphics_console, console, &vm->live_consoles)
        if (console->protocol == type)
            return console;
    return NULL;
}

/* An address that says "all of them" is of no use to a client. */
static bool is_concrete(const char *address)
{
    static const char *const all[] = { "", "0", "0.0.0.0", "::", "*", NULL };
    return address && !g_strv_contains(all, address);
}

/* The console address of the host overrides what QEMU listens on; where that is everything, the host
 * is reached as the Manager reaches it (facts/manager-behaviour.md 5). */
static const char *address_of(const struct vr_host *host, const char *listens)
{
    if (host && host->display && is_concrete(host->display->address))
        return host->display->address;
    return is_concrete(listens) ? listens : host ? host->address : NULL;
}

static struct vr_graphics_console *console_of(const struct vr_rpc_vm_display_info *info,
                                              const struct vr_host *host)
{
    int type = info->type ? vr_enum_parse(&vr_enum_graphics_type, info->type) : -1;
    int64_t port = VR_GET(info, port, 0), tls_port = VR_GET(info, tls_port, 0);
    if (type < 0 || (port <= 0 && tls_port <= 0) || port > 65535 || tls_port > 65535)
        return NULL;
    struct vr_graphics_console *console = VR_NEW(graphics_console);
    VR_SET_STRING(console, id, console_id((enum vr_graphics_type)type));
    VR_SET(console, protocol, (enum vr_graphics_type)type);
    VR_SET_STRING(console, address, address_of(host, info->ip_address));
    if (port > 0)
        VR_SET(console, port, port);
    if (tls_port > 0)
        VR_SET(console, tls_port, tls_port);
    return console;
}

/* The display of a running machine is its first console: SPICE before VNC. */
static void show(struct vr_vm *vm)
{
    const struct vr_graphics_console *console = console_live(vm, VR_GRAPHICS_TYPE_SPICE);
    if (!console)
        console = console_live(vm, VR_GRAPHICS_TYPE_VNC);
    struct vr_display *display = VR_SUB(vm, display, display);
    VR_CLEAR(display, address);
    VR_CLEAR(display, port);
    VR_CLEAR(display, secure_port);
    if (!console)
        return;
    VR_SET(display, type, console->protocol == VR_GRAPHICS_TYPE_SPICE ? VR_DISPLAY_TYPE_SPICE
                                                                      : VR_DISPLAY_TYPE_VNC);
    VR_SET_STRING(display, address, console->address);
    if (VR_HAS(console, port))
        VR_SET(display, port, console->port);
    if (VR_HAS(console, tls_port))
        VR_SET(display, secure_port, console->tls_port);
}

/* Who looks, by what the host says of viewers that showed their ticket. */
static void report_viewer(struct vr_txn *txn, struct vr_vm *vm, const struct vr_host *host,
                          const char *address) VR_REQUIRES(vr_role_engine);
static void report_viewer(struct vr_txn *txn, struct vr_vm *vm, const struct vr_host *host,
                          const char *address)
{
    if (!*address)
        address = NULL;
    if (g_strcmp0(address, vm->console_address) == 0)
        return;
    const struct vr_user *user = vr_txn_peek(txn, VR_KIND_USER, VR_LINK_ID(vm, console_user)
                                                                    ? VR_LINK_ID(vm, console_user)
                                                                    : VR_UUID_ZERO);
    vr_event_add(txn, address ? VR_EVENT_VM_CONSOLE_CONNECTED : VR_EVENT_VM_CONSOLE_DISCONNECTED,
                 &(struct vr_event_about){ .user = user, .vm = vm, .host = host }, NULL);
    VR_SET_STRING(vm, console_address, address);
    if (!address)
        VR_CLEAR(vm, console_user);
}

void vr_console_report(struct vr_txn *txn, struct vr_vm *vm, const struct vr_host *host,
                       const struct vr_rpc_vm_stats *stats)
{
    if (VR_HAS(stats, display_info)) {
        VR_CLEAR(vm, live_consoles);
        VR_EACH (const struct vr_rpc_vm_display_info, info, &stats->display_info) {
            struct vr_graphics_console *console = console_of(info, host);
            if (console && !console_live(vm, console->protocol))
                VR_APPEND(vm, live_consoles, console);
            else
                vr_unref(console);
        }
        show(vm);
    }
    if (stats->client_ip)
        report_viewer(txn, vm, host, stats->client_ip);
}

void vr_console_down(struct vr_vm *vm)
{
    VR_CLEAR(vm, live_consoles);
    VR_CLEAR(vm, console_user);
    VR_CLEAR(vm, console_address);
    VR_CLEAR(vm, ticket_expires);
    show(vm);
    vr_console_fill(vm);
}
