/* SPDX-License-Identifier: Apache-2.0 */
/* Operations on permissions: at an object, at a user or group, at the system. */
#include "manager/access/access.h"
#include "manager/rest/reading.h"

#include "gen/faults.h"
#include "gen/routes.h"

/* Those that hold on the object: its own and those of what it stands below; or those that a user or
 * a group has. */
void vr_access_permissions_list(struct vr_reading *reading)
{
    const struct vr_field *by = reading->operation->by;
    vr_auto_objects struct vr_objects all = { 0 };
    if (by && (strcmp(by->name, "user") == 0 || strcmp(by->name, "group") == 0)) {
        vr_inventory_list_by(reading->inventory, VR_KIND_PERMISSION, by->name,
                             reading->ids[reading->id_count - 1], &all);
        VR_OBJECTS(struct vr_permission, permission, &all)
            vr_list_append(&reading->list, vr_ref(permission));
        return;
    }
    int kind = by ? ((const struct vr_type *)by->sub)->kind : -1;
    vr_inventory_list(reading->inventory, VR_KIND_PERMISSION, &all);
    VR_OBJECTS(struct vr_permission, permission, &all)
        if (vr_access_holds(reading->inventory, permission, kind,
                            by ? reading->ids[reading->id_count - 1] : NULL))
            vr_list_append(&reading->list, vr_ref(permission));
}

/* Points the link of @permission to the object in the address, when it is one. */
static bool set_object(struct vr_call *call, struct vr_permission *permission,
                       struct vr_error **error) VR_REQUIRES(vr_role_engine)
{
    const struct vr_field *by = call->operation->by;
    if (!by)
        return true;
    const struct vr_type *type = by->sub;
    const char *id = call->ids[call->id_count - 1];
    if (!vr_inventory_peek(vr_engine_head(call->engine), type->kind, id)) {
        vr_error_set(error, &vr_fault_not_found, NULL);
        return false;
    }
    void **member = vr_member(permission, by);
    vr_unref(*member);
    *member = vr_stub(type, id);
    vr_set_has(permission, by, true);
    return true;
}

static bool same_permission(const struct vr_permission *a, const struct vr_permission *b)
{
    vr_auto struct vr_permission *left = vr_copy(a);
    vr_auto struct vr_permission *right = vr_copy(b);
    VR_CLEAR(left, id);
    VR_CLEAR(right, id);
    return vr_equal(left, right);
}

/* Every link as a stub of its id, which must lead somewhere. */
static bool resolve_links(struct vr_call *call, struct vr_permission *permission,
                          struct vr_error **error) VR_REQUIRES(vr_role_engine)
{
    const struct vr_type *type = &vr_type_permission;
    for (unsigned i = 0; i < type->field_count; i++) {
        const struct vr_field *field = &type->fields[i];
        if (field->kind != VR_FIELD_LINK || !vr_has(permission, field))
            continue;
        const struct vr_type *target = field->sub;
        void **member = vr_member(permission, field);
        const void *found =
            vr_resolve(call->engine, target->kind, *member, target->name, error);
        if (!found)
            return false;
        vr_unref(*member);
        *member = vr_stub(target, vr_id(found));
    }
    return true;
}

void vr_access_permission_add(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    vr_auto struct vr_permission *permission = vr_copy(call->body);
    struct vr_inventory *head = vr_engine_head(call->engine);
    bool ok = set_object(call, permission, &error) && resolve_links(call, permission, &error);
    if (ok && (!permission->role || (!permission->user && !permission->group))) {
        vr_error_set(&error, &vr_fault_incomplete_parameters,
                     "Permission [role.id|name, user.id|group.id] required for add");
        ok = false;
    }
    const struct vr_role *role =
        ok ? VR_PEEK(head, ROLE, role, permission->role->id) : NULL;
    if (ok && role && VR_GET(role, administrative, false) && !call->caller->admin) {
        vr_error_set(&error, &vr_fault_not_authorized, NULL);
        ok = false;
    }
    if (!ok) {
        vr_call_fail(call, &error);
        return;
    }
    VR_CLEAR(permission, id);
    const char *link = permission->user ? "user" : "group";
    const char *subject = permission->user ? permission->user->id : permission->group->id;
    vr_auto_objects struct vr_objects others = { 0 };
    vr_inventory_list_by(head, VR_KIND_PERMISSION, link, subject, &others);
    VR_OBJECTS(struct vr_permission, other, &others)
    {
        if (same_permission(other, permission)) {
            vr_call_commit(call, NULL, VR_KIND_PERMISSION, other->id);
            return;
        }
    }
    struct vr_txn *txn = vr_txn_new(call->engine);
    struct vr_permission *added =
        vr_txn_add(txn, VR_KIND_PERMISSION, g_steal_pointer(&permission));
    vr_call_commit(call, txn, VR_KIND_PERMISSION, added->id);
}

void vr_access_permission_remove(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_permission *permission =
        vr_call_target(call, VR_KIND_PERMISSION, &error);
    if (permission && g_strcmp0(VR_LINK_ID(permission, role), VR_ACCESS_SUPER_USER) == 0 &&
        vr_access_holds(vr_engine_head(call->engine), permission, -1, NULL)) {
        unsigned others = 0;
        vr_auto_objects struct vr_objects all = { 0 };
        vr_inventory_list_by(vr_engine_head(call->engine), VR_KIND_PERMISSION, "role",
                             VR_ACCESS_SUPER_USER, &all);
        VR_OBJECTS(struct vr_permission, other, &all)
            others += other != permission &&
                      vr_access_holds(vr_engine_head(call->engine), other, -1, NULL);
        if (others == 0)
            vr_error_set(&error, &vr_fault_predefined,
                         "The last SuperUser of the system cannot be removed.");
    }
    if (error) {
        vr_call_fail(call, &error);
        return;
    }
    struct vr_txn *txn = vr_txn_new(call->engine);
    vr_txn_remove(txn, VR_KIND_PERMISSION, vr_call_id(call));
    vr_call_commit_remove(call, txn, NULL);
}
