/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/console/internal.h"

#include "gen/routes.h"
#include "manager/job/job.h"
#include "manager/vms/vms.h"

/* Consoles in the interface, of machines, templates and instance types alike. */

/* --- reading --- */

static struct vr_graphics_console *console_new(const struct vr_type *owner, const char *owner_id,
                                               enum vr_graphics_type type)
{
    struct vr_graphics_console *console = VR_NEW(graphics_console);
    VR_SET_STRING(console, id, console_id(type));
    VR_SET(console, protocol, type);
    if (owner == &vr_type_vm)
        VR_SET_LINK(console, vm, vm, owner_id);
    else if (owner == &vr_type_template)
        VR_SET_LINK(console, template, template, owner_id);
    else
        VR_SET_LINK(console, instance_type, instance_type, owner_id);
    return console;
}

/* The running consoles of a machine, or those that it is configured to have, which have an address
 * while they run. */
static void gather(struct vr_list *list, const void *owner, bool current)
{
    const struct vr_type *type = ((const struct vr_object *)owner)->type;
    for (int i = 0; i < VR_CONSOLE_TYPES; i++) {
        enum vr_graphics_type protocol = (enum vr_graphics_type)i;
        const struct vr_graphics_console *live =
            type == &vr_type_vm ? console_live(owner, protocol) : NULL;
        if (current ? !live : !vr_console_has(owner, protocol))
            continue;
        struct vr_graphics_console *console = console_new(type, vr_id(owner), protocol);
        if (live)
            vr_merge(console, live);
        vr_list_append(list, console);
    }
}

static void list(struct vr_reading *reading, int kind)
{
    vr_auto void *owner = vr_inventory_get(reading->inventory, kind, reading->ids[0]);
    if (owner)
        gather(&reading->list, owner, vr_reading_flag(reading, "current", false));
}

static void get(struct vr_reading *reading, int kind)
{
    list(reading, kind);
    int type = console_type(reading->ids[1]);
    vr_reading_choose(reading, type < 0 ? NULL : console_id((enum vr_graphics_type)type));
}

void vr_vm_graphics_consoles_list(struct vr_reading *reading)
{
    list(reading, VR_KIND_VM);
}

void vr_vm_graphics_console_get(struct vr_reading *reading)
{
    get(reading, VR_KIND_VM);
}

void vr_template_graphics_consoles_list(struct vr_reading *reading)
{
    list(reading, VR_KIND_TEMPLATE);
}

void vr_template_graphics_console_get(struct vr_reading *reading)
{
    get(reading, VR_KIND_TEMPLATE);
}

void vr_instance_type_graphics_consoles_list(struct vr_reading *reading)
{
    list(reading, VR_KIND_INSTANCE_TYPE);
}

void vr_instance_type_graphics_console_get(struct vr_reading *reading)
{
    get(reading, VR_KIND_INSTANCE_TYPE);
}

void vr_console_view(struct vr_reading *reading, void *copy)
{
    struct vr_vm *vm = copy;
    if (vr_reading_wants_consoles(reading)) {
        VR_CLEAR(vm, graphics_consoles);
        gather(&vm->graphics_consoles, vm, true);
        vm->has.graphics_consoles = true;
        vr_reading_show(reading, &vr_type_vm, "graphics_consoles");
    }
    /* What a viewer checks the host by; of encrypted consoles. */
    if (vr_reading_flag(reading, "all_content", false) && vm->display &&
        VR_HAS(vm->display, secure_port) && *reading->config->CertificateAuthority) {
        struct vr_certificate *certificate = VR_SUB(vm->display, certificate, certificate);
        VR_SET_STRING(certificate, content, reading->config->CertificateAuthority);
        vr_auto struct vr_host *host =
            vr_inventory_get(reading->inventory, VR_KIND_HOST, VR_LINK_ID(vm, host));
        if (host && host->certificate)
            VR_SET_STRING(certificate, subject, host->certificate->subject);
    }
}

/* --- adding and removing --- */

/* Changes what a machine's next start has.  Takes the call. */
static void change_vm(struct vr_call *call, const struct vr_vm *vm, struct vr_txn *txn,
                      enum vr_graphics_type type, bool has) VR_REQUIRES(vr_role_engine);
static void change_vm(struct vr_call *call, const struct vr_vm *vm, struct vr_txn *txn,
                      enum vr_graphics_type type, bool has)
{
    struct vr_vm *edit = VR_EDIT(txn, VM, vm, vm->id);
    if (vr_vm_runs(vm)) {
        vr_auto struct vr_vm *next = vr_vm_next_run(vm);
        vr_auto struct vr_vm *later = VR_NEW(vm);
        for (int i = 0; i < VR_CONSOLE_TYPES; i++)
            vr_console_set(later, (enum vr_graphics_type)i,
                           i == (int)type ? has : vr_console_has(next, (enum vr_graphics_type)i));
        vr_vm_keep_for_next_run(edit, later);
    } else {
        vr_console_set(edit, type, has);
    }
    vr_event_add(txn, VR_EVENT_USER_UPDATE_VM,
                 &(struct vr_event_about){ .user = vr_call_user(call),
                                           .vm = edit,
                                           .correlation_id = call->correlation_id },
                 NULL);
}

/* What a change applies to: the machine of its next run, or the object itself.  A reference. */
static void *subject_of(const void *owner)
{
    return ((const struct vr_object *)owner)->type == &vr_type_vm ? vr_vm_next_run(owner)
                                                                  : vr_ref(owner);
}

static const void *owner_of(struct vr_call *call, int kind, struct vr_error **error)
    VR_REQUIRES(vr_role_engine);
static const void *owner_of(struct vr_call *call, int kind, struct vr_error **error)
{
    const void *owner = vr_inventory_peek(vr_engine_head(call->engine), kind, call->ids[0]);
    struct vr_lock lock = { kind, call->ids[0], true };
    if (!owner)
        vr_error_set(error, &vr_fault_not_found, NULL);
    return owner && vr_locks_free(call->engine, &lock, 1, error) ? owner : NULL;
}

static void change(struct vr_call *call, int kind, const void *owner, struct vr_txn *txn,
                   enum vr_graphics_type type, bool has) VR_REQUIRES(vr_role_engine);
static void change(struct vr_call *call, int kind, const void *owner, struct vr_txn *txn,
                   enum vr_graphics_type type, bool has)
{
    if (kind == VR_KIND_VM)
        change_vm(call, owner, txn, type, has);
    else
        vr_console_set(vr_txn_edit(txn, kind, vr_id(owner)), type, has);
}

static void add(struct vr_call *call, int kind) VR_REQUIRES(vr_role_engine);
static void add(struct vr_call *call, int kind)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_graphics_console *wanted = call->body;
    enum vr_graphics_type type = wanted->protocol;
    const void *owner = owner_of(call, kind, &error);
    vr_auto void *subject = owner ? subject_of(owner) : NULL;
    if (subject && vr_console_has(subject, type))
        vr_error_set(&error, &vr_fault_already_exists, "There is a %s console already.",
                     vr_enum_word(&vr_enum_graphics_type, (int)type));
    if (error) {
        vr_call_fail(call, &error);
        return;
    }
    struct vr_graphics_console *console =
        console_new(((const struct vr_object *)owner)->type, vr_id(owner), type);
    struct vr_txn *txn = vr_txn_new(call->engine);
    change(call, kind, owner, txn, type, true);
    vr_call_commit_object(call, txn, NULL, console);
}

static void take_away(struct vr_call *call, int kind) VR_REQUIRES(vr_role_engine);
static void take_away(struct vr_call *call, int kind)
{
    vr_auto_error struct vr_error *error = NULL;
    int type = console_type(call->ids[1]);
    const void *owner = owner_of(call, kind, &error);
    vr_auto void *subject = owner ? subject_of(owner) : NULL;
    if (subject && (type < 0 || !vr_console_has(subject, (enum vr_graphics_type)type)))
        vr_error_set(&error, &vr_fault_not_found, NULL);
    if (error) {
        vr_call_fail(call, &error);
        return;
    }
    struct vr_txn *txn = vr_txn_new(call->engine);
    change(call, kind, owner, txn, (enum vr_graphics_type)type, false);
    vr_call_commit_remove(call, txn, NULL);
}

void vr_vm_graphics_consoles_add(struct vr_call *call)
{
    add(call, VR_KIND_VM);
}

void vr_vm_graphics_console_remove(struct vr_call *call)
{
    take_away(call, VR_KIND_VM);
}

void vr_template_graphics_consoles_add(struct vr_call *call)
{
    add(call, VR_KIND_TEMPLATE);
}

void vr_template_graphics_console_remove(struct vr_call *call)
{
    take_away(call, VR_KIND_TEMPLATE);
}

void vr_instance_type_graphics_consoles_add(struct vr_call *call)
{
    add(call, VR_KIND_INSTANCE_TYPE);
}

void vr_instance_type_graphics_console_remove(struct vr_call *call)
{
    take_away(call, VR_KIND_INSTANCE_TYPE);
}
