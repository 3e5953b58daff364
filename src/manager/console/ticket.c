/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/console/internal.h"

#include "gen/routes.h"
#include "manager/access/access.h"
#include "manager/console/viewer_file.h"
#include "manager/job/job.h"

/*
 * Tickets: a one-time password for a console, set on the host and told once
 * (facts/rest-api.md 5.3).  A password is in the memory of one call only.
 */

/* SPICE takes 60 characters; VNC looks at 8. */
#define PASSWORD_MAX 60
#define VNC_RANDOM_BYTES 6    /* 8 characters of Base64: all that the protocol takes */
#define SPICE_RANDOM_BYTES 9  /* 12 characters */

struct ticket {
    struct vr_call *call;
    char *vm_id;
    enum vr_graphics_type type;
    char *password;
    int64_t seconds;
    bool file; /* the answer is remote-viewer's file */
};

static void ticket_free(struct ticket *ticket)
{
    explicit_bzero(ticket->password, strlen(ticket->password));
    g_free(ticket->password);
    g_free(ticket->vm_id);
    g_free(ticket);
}

/* --- what must hold --- */

/* facts/manager-behaviour.md 2.1: console allowed. */
static bool check_state(const struct vr_vm *vm, struct vr_error **error)
{
    switch (VR_GET(vm, status, VR_VM_STATUS_DOWN)) {
    case VR_VM_STATUS_UP:
    case VR_VM_STATUS_POWERING_UP:
    case VR_VM_STATUS_POWERING_DOWN:
    case VR_VM_STATUS_REBOOT_IN_PROGRESS:
    case VR_VM_STATUS_PAUSED:
    case VR_VM_STATUS_MIGRATING:
    case VR_VM_STATUS_SAVING_STATE:
        if (VR_LINK_ID(vm, host))
            return true;
        vr_error_set(error, &vr_fault_vm_wrong_state, "The virtual machine is on no host.");
        return false;
    case VR_VM_STATUS_DOWN:
    case VR_VM_STATUS_SUSPENDED:
        vr_error_set(error, &vr_fault_vm_is_not_running,
                     "Cannot open the console of the VM. VM is not running.");
        return false;
    default:
        vr_error_set(error, &vr_fault_vm_wrong_state,
                     "Cannot open the console of the VM because the VM is in %s status.",
                     vr_enum_word(&vr_enum_vm_status, (int)vm->status));
        return false;
    }
}

/* Who takes the console from somebody who looks at it needs a permit of its own, unless the machine
 * lets everybody do so. */
static bool check_reconnect(struct vr_call *call, const struct vr_vm *vm, struct vr_error **error)
    VR_REQUIRES(vr_role_engine);
static bool check_reconnect(struct vr_call *call, const struct vr_vm *vm, struct vr_error **error)
{
    const char *who = VR_LINK_ID(vm, console_user);
    if (!vm->console_address || !who || !call->caller ||
        g_strcmp0(who, call->caller->user_id) == 0 ||
        (vm->display && VR_GET(vm->display, allow_override, false)) ||
        vr_access_allowed(vr_engine_head(call->engine), call->caller, "reconnect_to_vm", VR_KIND_VM,
                          vm->id))
        return true;
    vr_error_set(error, &vr_fault_not_authorized,
                 "Another user is at the console, and taking it over needs the permit "
                 "reconnect_to_vm.");
    return false;
}

static bool check_password(const char *password, struct vr_error **error)
{
    size_t length = strlen(password);
    for (const char *c = password; *c; c++)
        if (!g_ascii_isprint(*c)) {
            vr_error_set(error, &vr_fault_invalid_value,
                         "A ticket's value has printable ASCII characters only.");
            return false;
        }
    if (length <= PASSWORD_MAX)
        return true;
    vr_error_set(error, &vr_fault_invalid_value, "A ticket's value has at most %d characters.",
                 PASSWORD_MAX);
    return false;
}

static bool check_seconds(int64_t seconds, int64_t most, struct vr_error **error)
{
    if (seconds >= 1 && seconds <= most)
        return true;
    vr_error_set(error, &vr_fault_value_out_of_range,
                 "The expiry of a ticket is from 1 to %" G_GINT64_FORMAT " seconds, not %"
                 G_GINT64_FORMAT ".", most, seconds);
    return false;
}

/* --- setting it --- */

static char *random_password(struct vr_engine *engine, enum vr_graphics_type type)
    VR_REQUIRES(vr_role_engine);
static char *random_password(struct vr_engine *engine, enum vr_graphics_type type)
{
    uint8_t bytes[SPICE_RANDOM_BYTES];
    size_t size = type == VR_GRAPHICS_TYPE_VNC ? VNC_RANDOM_BYTES : SPICE_RANDOM_BYTES;
    vr_engine_random(engine, bytes, size);
    char *text = g_base64_encode(bytes, size);
    explicit_bzero(bytes, sizeof(bytes));
    return text;
}

/* NULL when the machine's host is unknown or its console cannot be written in lines. */
static char *file_text(const struct ticket *ticket, const struct vr_vm *vm)
    VR_REQUIRES(vr_role_engine);
static char *file_text(const struct ticket *ticket, const struct vr_vm *vm)
{
    struct vr_engine *engine = ticket->call->engine;
    struct vr_inventory *head = vr_engine_head(engine);
    const struct vr_graphics_console *console = console_live(vm, ticket->type);
    const struct vr_host *host = VR_PEEK(head, HOST, host, VR_LINK_ID(vm, host));
    const struct vr_cluster *cluster = VR_PEEK(head, CLUSTER, cluster, VR_LINK_ID(vm, cluster));
    const char *ca = vr_engine_config(engine)->CertificateAuthority;
    if (!console || !console->address || !vm->name)
        return NULL;
    const struct vr_viewer_file file = {
        .spice = ticket->type == VR_GRAPHICS_TYPE_SPICE,
        .host = console->address,
        .port = VR_GET(console, port, 0),
        .tls_port = VR_GET(console, tls_port, 0),
        .password = ticket->password,
        .seconds = ticket->seconds,
        .vm_name = vm->name,
        .smartcard = vm->display && VR_GET(vm->display, smartcard_enabled, false),
        .usb = vm->usb && VR_GET(vm->usb, enabled, false),
        .host_subject = host && host->certificate ? host->certificate->subject : NULL,
        .ca = *ca ? ca : NULL,
        .proxy = vm->display && vm->display->proxy        ? vm->display->proxy
                 : cluster && cluster->display             ? cluster->display->proxy
                                                           : NULL,
    };
    return vr_viewer_file_text(&file);
}

/* Puts the answer into the echoed action. */
static bool fill_answer(const struct ticket *ticket, const struct vr_vm *vm,
                        struct vr_error **error) VR_REQUIRES(vr_role_engine);
static bool fill_answer(const struct ticket *ticket, const struct vr_vm *vm,
                        struct vr_error **error)
{
    struct vr_action *action = ticket->call->body;
    if (!ticket->file) {
        struct vr_ticket *shown = VR_SUB(action, ticket, ticket);
        VR_SET_STRING(shown, value, ticket->password);
        VR_SET(shown, expiry, ticket->seconds);
        return true;
    }
    VR_CLEAR(action, ticket);
    VR_TAKE_STRING(action, remote_viewer_connection_file, file_text(ticket, vm));
    if (action->remote_viewer_connection_file)
        return true;
    vr_error_set(error, &vr_fault_ticket_failed, "The console ended meanwhile.");
    return false;
}

static void was_set(struct vr_engine *engine, const void *result, int code, const char *message,
                    void *arg) VR_REQUIRES(vr_role_engine);
static void was_set(struct vr_engine *engine, const void *result, int code, const char *message,
                    void *arg)
{
    struct ticket *ticket = arg;
    struct vr_call *call = ticket->call;
    vr_auto_error struct vr_error *error = NULL;
    struct vr_txn *txn = vr_txn_new(engine);
    struct vr_vm *vm = VR_EDIT(txn, VM, vm, ticket->vm_id);
    if (code != 0)
        vr_job_host_error(&error, "VM.updateDevice", code, message);
    else if (!vm)
        vr_error_set(&error, &vr_fault_not_found, NULL);
    if (error || !fill_answer(ticket, vm, &error)) {
        vr_txn_abandon(txn);
        vr_call_fail(call, &error);
    } else {
        VR_SET_LINK(vm, console_user, user, call->caller ? call->caller->user_id : NULL);
        VR_SET(vm, ticket_expires, vr_engine_wall_ms(engine) + ticket->seconds * 1000);
        vr_event_add(txn, VR_EVENT_VM_SET_TICKET,
                     &(struct vr_event_about){ .user = vr_call_user(call),
                                               .vm = vm,
                                               .correlation_id = call->correlation_id },
                     NULL);
        vr_call_commit_action(call, txn, NULL);
    }
    ticket_free(ticket);
}

static void ask_host(struct ticket *ticket, const struct vr_vm *vm) VR_REQUIRES(vr_role_engine);
static void ask_host(struct ticket *ticket, const struct vr_vm *vm)
{
    struct vr_call *call = ticket->call;
    const struct vr_user *user = vr_call_user(call);
    bool spice = ticket->type == VR_GRAPHICS_TYPE_SPICE;
    vr_auto struct vr_rpc_vm_update_device_params *params = VR_NEW(rpc_vm_update_device_params);
    VR_SET_STRING(params, vm_id, vm->id);
    struct vr_rpc_vm_device_update *update = VR_SUB(params, params, rpc_vm_device_update);
    VR_SET_STRING(update, device_type, "graphics");
    VR_SET_STRING(update, graphics_type, spice ? "spice" : "vnc");
    VR_SET_STRING(update, password, ticket->password);
    VR_SET(update, ttl, ticket->seconds);
    if (spice)
        VR_SET(update, existing_conn_action, VR_RPC_VM_TICKET_CONFLICT_ACTION_DISCONNECT);
    const struct vr_display *display = vm->display;
    if (display && display->disconnect_action)
        VR_TAKE_STRING(update, disconnect_action, g_ascii_strup(display->disconnect_action, -1));
    if (display && VR_HAS(display, disconnect_action_delay))
        VR_SET(update, console_disconnect_action_delay, display->disconnect_action_delay);
    update->has.params = true;
    vr_map_set(&update->params, "userName", g_strdup(user && user->user_name ? user->user_name : ""));
    vr_map_set(&update->params, "userId", g_strdup(user ? user->id : ""));
    vr_map_set(&update->params, "fips", g_strdup("false"));
    vr_engine_host_call(call->engine, VR_LINK_ID(vm, host), &vr_verb_vm_update_device, params, 0,
                        call->correlation_id, was_set, ticket);
}

/* --- the actions --- */

static const struct vr_vm *target(struct vr_call *call, struct vr_error **error)
    VR_REQUIRES(vr_role_engine);
static const struct vr_vm *target(struct vr_call *call, struct vr_error **error)
{
    const struct vr_vm *vm =
        VR_PEEK(vr_engine_head(call->engine), VM, vm, call->ids[0]);
    if (!vm)
        vr_error_set(error, &vr_fault_not_found, NULL);
    return vm;
}

/* The running console that the path names; -1 and an error. */
static int running_console(struct vr_call *call, const struct vr_vm *vm, struct vr_error **error)
{
    int type = console_type(call->ids[1]);
    bool live = type >= 0 && console_live(vm, (enum vr_graphics_type)type);
    if (type < 0 || (!live && !vr_console_has(vm, (enum vr_graphics_type)type))) {
        vr_error_set(error, &vr_fault_not_found, NULL);
        return -1;
    }
    if (!check_state(vm, error))
        return -1;
    if (!live) {
        vr_error_set(error, &vr_fault_vm_wrong_state,
                     "The virtual machine runs without this console; it has it from its next start.");
        return -1;
    }
    return type;
}

static void set_ticket(struct vr_call *call, const struct vr_vm *vm, int type, bool file)
    VR_REQUIRES(vr_role_engine);
static void set_ticket(struct vr_call *call, const struct vr_vm *vm, int type, bool file)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_config *config = vr_engine_config(call->engine);
    const struct vr_action *action = call->body;
    const struct vr_ticket *wanted = file ? NULL : action->ticket;
    int64_t seconds = file ? config->ConsoleFileValiditySeconds
                           : config->ConsoleTicketValiditySeconds;
    if (wanted && VR_HAS(wanted, expiry))
        seconds = wanted->expiry;
    const char *password = wanted && wanted->value && *wanted->value ? wanted->value : NULL;
    if (!check_reconnect(call, vm, &error) ||
        !check_seconds(seconds, config->ConsoleTicketMaximumValiditySeconds, &error) ||
        (password && !check_password(password, &error))) {
        vr_call_fail(call, &error);
        return;
    }
    struct ticket *ticket = g_new0(struct ticket, 1);
    ticket->call = call;
    ticket->vm_id = g_strdup(vm->id);
    ticket->type = (enum vr_graphics_type)type;
    ticket->password =
        password ? g_strdup(password) : random_password(call->engine, ticket->type);
    ticket->seconds = seconds;
    ticket->file = file;
    ask_host(ticket, vm);
}

/* Of a machine: its display, which is SPICE where it has both. */
void vr_vm_ticket(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_vm *vm = target(call, &error);
    int type = -1;
    if (vm && check_state(vm, &error)) {
        type = console_live(vm, VR_GRAPHICS_TYPE_SPICE) ? VR_GRAPHICS_TYPE_SPICE
               : console_live(vm, VR_GRAPHICS_TYPE_VNC) ? VR_GRAPHICS_TYPE_VNC
                                                        : -1;
        if (type < 0)
            vr_error_set(&error, &vr_fault_vm_wrong_state,
                         "The virtual machine runs without a console.");
    }
    if (error)
        vr_call_fail(call, &error);
    else
        set_ticket(call, vm, type, false);
}

static void console_action(struct vr_call *call, bool file) VR_REQUIRES(vr_role_engine);
static void console_action(struct vr_call *call, bool file)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_vm *vm = target(call, &error);
    int type = vm ? running_console(call, vm, &error) : -1;
    if (type < 0)
        vr_call_fail(call, &error);
    else
        set_ticket(call, vm, type, file);
}

void vr_vm_graphics_console_ticket(struct vr_call *call)
{
    console_action(call, false);
}

void vr_vm_graphics_console_remote_viewer_connection_file(struct vr_call *call)
{
    console_action(call, true);
}

/* A console in a browser goes through a proxy that turns web sockets into connections to hosts. */
void vr_vm_graphics_console_proxy_ticket(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_vm *vm = target(call, &error);
    if (vm && running_console(call, vm, &error) >= 0) {
        if (strcmp(vr_engine_config(call->engine)->WebSocketProxy, "Off") == 0)
            vr_error_set(&error, &vr_fault_wrong_state,
                         "There is no console proxy for browsers: the option WebSocketProxy is Off.  "
                         "Take the console's remoteviewerconnectionfile instead.");
        else
            vr_error_set(&error, &vr_fault_not_built,
                         "Tickets for console proxies are not signed by this version.");
    }
    vr_call_fail(call, &error);
}

/* Logging a user on inside the guest takes his password, which no session keeps. */
void vr_vm_logon(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_vm *vm = target(call, &error);
    if (vm && check_state(vm, &error))
        vr_error_set(&error, &vr_fault_not_supported,
                     "The Manager keeps no password that the guest could be given.  Log on at the "
                     "machine's console.");
    vr_call_fail(call, &error);
}
