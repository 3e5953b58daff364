/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/vms/internal.h"

#include "codec/codec.h"
#include "gen/routes.h"
#include "manager/console/console.h"
#include "manager/disks/disks.h"
#include "manager/networks/networks.h"

/* --- add --- */

static const struct vr_template *template_of(struct vr_call *call, const struct vr_vm *wanted,
                                             struct vr_error **error) VR_REQUIRES(vr_role_engine);
static const struct vr_template *template_of(struct vr_call *call, const struct vr_vm *wanted,
                                             struct vr_error **error)
{
    if (!wanted->template) {
        vr_error_set(error, &vr_fault_incomplete_parameters,
                     "Vm [template.id|name] required for add");
        return NULL;
    }
    return VR_RESOLVE(call->engine, TEMPLATE, template, wanted->template, "Template", error);
}

/* Links of the body that name other entities are replaced by their ids, so that nothing is kept
 * that leads nowhere. */
static bool settle_links(struct vr_call *call, struct vr_vm *vm, struct vr_error **error)
    VR_REQUIRES(vr_role_engine);
static bool settle_links(struct vr_call *call, struct vr_vm *vm, struct vr_error **error)
{
    if (vm->cpu_profile) {
        const struct vr_cpu_profile *profile =
            VR_RESOLVE(call->engine, CPU_PROFILE, cpu_profile, vm->cpu_profile, "CPU profile", error);
        if (!profile)
            return false;
        VR_SET_LINK(vm, cpu_profile, cpu_profile, profile->id);
    }
    struct vr_vm_placement_policy *policy = vm->placement_policy;
    for (unsigned i = 0; policy && i < policy->hosts.len; i++) {
        const struct vr_host *host =
            VR_RESOLVE(call->engine, HOST, host, policy->hosts.items[i], "Host", error);
        if (!host)
            return false;
        struct vr_host *stub = VR_STUB(host, host->id);
        vr_unref(policy->hosts.items[i]);
        policy->hosts.items[i] = stub;
    }
    if (vm->quota && (!vm->quota->id || !vm->quota->id[0]))
        VR_CLEAR(vm, quota);
    return true;
}

/* What a client may not say about a machine that does not exist yet. */
static void drop_reported(struct vr_vm *vm)
{
    static const char *const names[] = { "status",      "status_detail", "host",
                                         "start_time",  "stop_time",     "fqdn",
                                         "guest_operating_system",       "guest_time_zone",
                                         "has_illegal_images",           "original_template",
                                         "creation_time" };
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++)
        vr_clear_named(vm, names[i]);
    /* Sub-collections are entities of their own. */
    for (unsigned i = 0; i < vr_type_vm.field_count; i++)
        if (vr_type_vm.fields[i].flags & VR_FIELD_COLLECTION)
            vr_clear(vm, &vr_type_vm.fields[i]);
}

void vr_vms_add(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    struct vr_engine *engine = call->engine;
    struct vr_vm *body = call->body;

    if (body->initialization && body->initialization->configuration &&
        body->initialization->configuration->data) {
        vr_error_set(&error, &vr_fault_not_built,
                     "Machines are not made from an OVF configuration by this version.");
        vr_call_fail(call, &error);
        return;
    }
    const struct vr_cluster *cluster =
        VR_RESOLVE(engine, CLUSTER, cluster, body->cluster, "Cluster", &error);
    const struct vr_template *template_ = cluster ? template_of(call, body, &error) : NULL;
    if (!template_) {
        vr_call_fail(call, &error);
        return;
    }
    if (strcmp(template_->id, VR_UUID_ZERO) != 0) {
        vr_error_set(&error, &vr_fault_not_built,
                     "Machines are made from the template Blank only by this version.");
        vr_call_fail(call, &error);
        return;
    }

    vr_auto struct vr_vm *wanted = vr_copy(body); /* its disk attachments, which the entity loses */
    struct vr_vm *vm = vr_call_take_body(call);
    drop_reported(vm);
    VR_SET_LINK(vm, cluster, cluster, cluster->id);
    VR_SET_LINK(vm, template, template, template_->id);
    VR_SET_LINK(vm, original_template, template, template_->id);
    vm_fill_defaults(engine, vm, template_, cluster);

    struct vr_txn *txn = vr_txn_new(engine);
    if (vm->id && !vr_uuid_valid(vm->id))
        VR_CLEAR(vm, id);
    if (vm->id && vr_txn_peek(txn, VR_KIND_VM, vm->id))
        vr_error_set(&error, &vr_fault_already_exists, "A VM with the id %s exists.", vm->id);
    if (error || !settle_links(call, vm, &error) || !vm_check(engine, vm, &error)) {
        vr_unref(vm);
        vr_txn_abandon(txn);
        vr_call_fail(call, &error);
        return;
    }
    vr_txn_add(txn, VR_KIND_VM, vm);
    vm_set_status(txn, vm, VR_VM_STATUS_DOWN);
    VR_SET_LINK(vm, created_by, user, call->caller ? call->caller->user_id : NULL);
    if (!vr_networks_add_blank_nics(txn, vm, wanted, &error) ||
        !vr_disks_attach_existing(txn, vm, wanted, &error)) {
        vr_txn_abandon(txn);
        vr_call_fail(call, &error);
        return;
    }
    vr_event_add(txn, VR_EVENT_USER_ADD_VM,
                 &(struct vr_event_about){ .user = vr_call_user(call),
                                           .vm = vm,
                                           .cluster = cluster,
                                           .vm_template = template_,
                                           .correlation_id = call->correlation_id },
                 NULL);
    g_autofree char *id = g_strdup(vm->id);
    vr_call_commit(call, txn, VR_KIND_VM, id);
}

/* --- update --- */

/* facts/manager-behaviour.md 2.7: what a running machine takes at once; the rest waits for its next
 * start. */
static const char *const live_members[] = {
    "description",   "comment",          "high_availability", "delete_protected",
    "migration",     "placement_policy", "quota",             "cpu_profile",
    "small_icon",    "large_icon",       "initialization",    "migration_downtime",
    "storage_error_resume_behaviour",    "lease",            "start_paused",
};

static bool is_live(const char *name)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(live_members); i++)
        if (strcmp(live_members[i], name) == 0)
            return true;
    return false;
}

/* Of the display these members wait for nothing, the others do.  Owned; NULL when there are none. */
static struct vr_display *take_live_display(struct vr_vm *wanted)
{
    static const char *const names[] = { "allow_override", "disconnect_action",
                                         "disconnect_action_delay" };
    vr_auto struct vr_display *live = VR_NEW(display);
    bool any = false;
    for (unsigned i = 0; wanted->display && i < G_N_ELEMENTS(names); i++) {
        const struct vr_field *field = vr_type_field(&vr_type_display, names[i]);
        if (!vr_has(wanted->display, field))
            continue;
        vr_copy_field(live, field, wanted->display, field);
        vr_clear(wanted->display, field);
        any = true;
    }
    return any ? vr_ref(live) : NULL;
}

/* Moves the members that must wait from @wanted into a new object; NULL when there are none that
 * differ from what is there. */
static struct vr_vm *split_next_run(struct vr_vm *wanted, const struct vr_vm *now)
{
    vr_auto struct vr_vm *later = VR_NEW(vm);
    vr_auto struct vr_vm *after = vr_copy(now);
    struct vr_display *display = take_live_display(wanted);
    for (unsigned i = 0; i < vr_type_vm.field_count; i++) {
        const struct vr_field *field = &vr_type_vm.fields[i];
        if (!vr_has(wanted, field) || is_live(field->name))
            continue;
        vr_copy_field(later, field, wanted, field);
        vr_clear(wanted, field);
    }
    if (display)
        VR_TAKE(wanted, display, display);
    vr_merge(after, later);
    return vr_equal(after, now) ? NULL : vr_ref(later);
}

static bool move_cluster(struct vr_call *call, struct vr_vm *edit, const struct vr_vm *wanted,
                         struct vr_error **error) VR_REQUIRES(vr_role_engine);
static bool move_cluster(struct vr_call *call, struct vr_vm *edit, const struct vr_vm *wanted,
                         struct vr_error **error)
{
    struct vr_inventory *head = vr_engine_head(call->engine);
    if (!wanted->cluster)
        return true;
    const struct vr_cluster *to =
        VR_RESOLVE(call->engine, CLUSTER, cluster, wanted->cluster, "Cluster", error);
    const struct vr_cluster *from = VR_PEEK(head, CLUSTER, cluster, VR_LINK_ID(edit, cluster));
    if (!to)
        return false;
    if (from && strcmp(to->id, from->id) == 0)
        return true;
    if (vm_status(edit) != VR_VM_STATUS_DOWN) {
        vr_error_set(error, &vr_fault_vm_wrong_state,
                     "Cannot edit VM. Its cluster changes only while it is down.");
        return false;
    }
    if (from && g_strcmp0(VR_LINK_ID(to, data_center), VR_LINK_ID(from, data_center)) != 0) {
        vr_error_set(error, &vr_fault_validation_failed,
                     "Cannot edit VM. The cluster belongs to another data center.");
        return false;
    }
    VR_SET_LINK(edit, cluster, cluster, to->id);
    return true;
}

static bool check_immutable(const struct vr_vm *vm, const struct vr_vm *wanted,
                            struct vr_error **error)
{
    if (wanted->id && g_ascii_strcasecmp(wanted->id, vm->id) != 0) {
        vr_error_set(error, &vr_fault_immutable_field, "Attempt to set immutable field: id");
        return false;
    }
    if (VR_LINK_ID(wanted, template) &&
        g_strcmp0(VR_LINK_ID(wanted, template), VR_LINK_ID(vm, template)) != 0) {
        vr_error_set(error, &vr_fault_validation_failed,
                     "Cannot edit VM. The template of a VM does not change.");
        return false;
    }
    switch (vm_status(vm)) {
    case VR_VM_STATUS_IMAGE_LOCKED:
    case VR_VM_STATUS_SAVING_STATE:
    case VR_VM_STATUS_RESTORING_STATE:
    case VR_VM_STATUS_UNKNOWN:
        vr_error_set(error, &vr_fault_vm_wrong_state,
                     "Cannot edit VM because the VM is in %s status.",
                     vr_enum_word(&vr_enum_vm_status, (int)vm_status(vm)));
        return false;
    default:
        return true;
    }
}

void vr_vm_update(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    struct vr_engine *engine = call->engine;
    struct vr_vm *wanted = call->body;
    const struct vr_vm *vm = vr_call_target(call, VR_KIND_VM, &error);
    struct vr_lock lock = { VR_KIND_VM, vm ? vm->id : "", true };
    if (!vm || !check_immutable(vm, wanted, &error) ||
        !vr_locks_free(engine, &lock, 1, &error)) {
        vr_call_fail(call, &error);
        return;
    }
    g_autofree char *id = g_strdup(vm->id);
    vr_auto struct vr_vm *later = NULL, *checked = NULL;
    struct vr_txn *txn = vr_txn_new(engine);
    struct vr_vm *edit = VR_EDIT(txn, VM, vm, vm->id);
    bool moved = move_cluster(call, edit, wanted, &error);
    drop_reported(wanted);
    vr_console_choose(wanted);
    VR_CLEAR(wanted, id);
    VR_CLEAR(wanted, cluster);
    VR_CLEAR(wanted, template);
    if (!moved || !settle_links(call, wanted, &error))
        goto fail;
    later = vm_status(vm) != VR_VM_STATUS_DOWN ? split_next_run(wanted, vm) : NULL;
    checked = vr_copy(edit);
    vr_merge(checked, wanted);
    if (later)
        vr_merge(checked, later);
    /* A smaller or larger machine brings its limits along when they were not given. */
    if (checked->memory_policy && wanted->memory > 0 &&
        !(wanted->memory_policy && VR_HAS(wanted->memory_policy, max)) &&
        checked->memory_policy->max < checked->memory)
        checked->memory_policy->max = checked->memory;
    if (!vm_check(engine, checked, &error))
        goto fail;
    vr_merge(edit, wanted);
    if (edit->memory_policy && edit->memory_policy->max < edit->memory)
        edit->memory_policy->max = edit->memory;
    if (later)
        vr_vm_keep_for_next_run(edit, later);
    vr_event_add(txn, VR_EVENT_USER_UPDATE_VM,
                 &(struct vr_event_about){ .user = vr_call_user(call),
                                           .vm = edit,
                                           .correlation_id = call->correlation_id },
                 NULL);
    vr_call_commit(call, txn, VR_KIND_VM, id);
    return;
fail:
    vr_txn_abandon(txn);
    vr_call_fail(call, &error);
}

/* --- remove --- */

void vr_vm_remove(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    struct vr_engine *engine = call->engine;
    const struct vr_vm *vm = vr_call_target(call, VR_KIND_VM, &error);
    struct vr_lock lock = { VR_KIND_VM, vm ? vm->id : "", true };
    g_autofree char *job_id = NULL;
    if (!vm)
        goto fail;
    if (VR_GET(vm, delete_protected, false)) {
        vr_error_set(&error, &vr_fault_vm_delete_protected, NULL);
        goto fail;
    }
    if (vm_status(vm) != VR_VM_STATUS_DOWN) {
        if (vm_status(vm) == VR_VM_STATUS_UP)
            vr_error_set(&error, &vr_fault_vm_is_running, "Cannot remove VM. VM is running.");
        else
            vr_error_set(&error, &vr_fault_vm_wrong_state,
                         "Cannot remove VM because the VM is in %s status.",
                         vr_enum_word(&vr_enum_vm_status, (int)vm_status(vm)));
        goto fail;
    }
    if (!vr_locks_free(engine, &lock, 1, &error))
        goto fail;
    /* The machine goes in one transaction; its disks go with it or after it, by a job of theirs. */
    bool detach = vr_call_flag(call, "detach_only", false);
    struct vr_txn *txn = vr_txn_new(engine);
    if (!vr_disks_leave_vm(txn, vm, !detach, call, &job_id, &error)) {
        vr_txn_abandon(txn);
        goto fail;
    }
    vr_networks_remove_nics(txn, vm->id);
    vr_event_add(txn, VR_EVENT_USER_REMOVE_VM_FINISHED,
                 &(struct vr_event_about){ .user = vr_call_user(call),
                                           .vm = vm,
                                           .correlation_id = call->correlation_id },
                 NULL);
    vr_vm_forget(txn, vm->id);
    vr_call_commit_remove(call, txn, job_id);
    return;
fail:
    vr_call_fail(call, &error);
}

/* Everything that hangs on the machine alone. */
void vr_vm_forget(struct vr_txn *txn, const char *vm_id)
{
    static const struct {
        int kind;
        const char *link;
    } owned[] = {
        { VR_KIND_SNAPSHOT, "vm" },
        { VR_KIND_PERMISSION, "vm" },
        { VR_KIND_WATCHDOG, "vm" },
    };
    struct vr_inventory *head = vr_engine_head(vr_txn_engine(txn));
    for (unsigned i = 0; i < G_N_ELEMENTS(owned); i++) {
        vr_auto_objects struct vr_objects objects = { 0 };
        vr_inventory_list_by(head, owned[i].kind, owned[i].link, vm_id, &objects);
        for (unsigned n = 0; n < objects.count; n++)
            vr_txn_remove(txn, owned[i].kind, vr_id(objects.items[n]));
    }
    vr_txn_remove(txn, VR_KIND_VM, vm_id);
}
