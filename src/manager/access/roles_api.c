/* SPDX-License-Identifier: Apache-2.0 */
/* Operations on roles and their permits. */
#include "manager/access/roles.h"
#include "manager/rest/reading.h"

#include "gen/faults.h"
#include "gen/routes.h"

static struct vr_permit *make_permit(const struct vr_access_permit *known, const char *role)
{
    struct vr_permit *permit = VR_NEW(permit);
    g_autofree char *id = g_strdup_printf("%u", known->number);
    vr_set_id(permit, id);
    VR_SET_STRING(permit, name, known->name);
    VR_SET(permit, administrative, known->administrative);
    VR_SET_LINK(permit, role, role, role);
    return permit;
}

static struct vr_role *role_of(struct vr_reading *reading)
{
    return vr_inventory_get(reading->inventory, VR_KIND_ROLE, reading->ids[0]);
}

static bool has_number(const struct vr_role *role, int64_t number)
{
    for (unsigned i = 0; i < role->permit_numbers.len; i++)
        if ((int64_t)GPOINTER_TO_SIZE(role->permit_numbers.items[i]) == number)
            return true;
    return false;
}

void vr_access_permits_list(struct vr_reading *reading)
{
    vr_auto struct vr_role *role = role_of(reading);
    for (const struct vr_access_permit *known = vr_access_permits; role && known->name; known++)
        if (has_number(role, known->number))
            vr_list_append(&reading->list, make_permit(known, role->id));
}

static const struct vr_access_permit *permit_of(const char *id)
{
    guint64 number = 0;
    return g_ascii_string_to_unsigned(id, 10, 0, 100000, &number, NULL)
               ? vr_access_permit_number((int64_t)number)
               : NULL;
}

void vr_access_permit_get(struct vr_reading *reading)
{
    vr_auto struct vr_role *role = role_of(reading);
    const struct vr_access_permit *known = permit_of(reading->ids[reading->id_count - 1]);
    if (role && known && has_number(role, known->number))
        reading->object = make_permit(known, role->id);
}

/* --- writes --- */

/* Adds what @permit (id or name) means to @role; administrators' permits go into their roles only. */
static bool add_permit(struct vr_role *role, const struct vr_permit *permit,
                       struct vr_error **error)
{
    const struct vr_access_permit *known = permit->id     ? permit_of(permit->id)
                                           : permit->name ? vr_access_permit_find(permit->name)
                                                          : NULL;
    if (!known) {
        vr_error_set(error, &vr_fault_invalid_value, "There is no permit '%s'.",
                     permit->id     ? permit->id
                     : permit->name ? permit->name
                                    : "");
        return false;
    }
    if (known->administrative && !VR_GET(role, administrative, false)) {
        vr_error_set(error, &vr_fault_bad_request,
                     "The permit %s is for administrator roles only.", known->name);
        return false;
    }
    if (!has_number(role, known->number)) {
        vr_list_append(&role->permit_numbers, GSIZE_TO_POINTER(known->number));
        role->has.permit_numbers = true;
    }
    return true;
}

static bool check_role_name(struct vr_call *call, const char *name, const char *own_id,
                            struct vr_error **error) VR_REQUIRES(vr_role_engine)
{
    if (!vr_check_name("Role", name, VR_NAME_FREE, 126, error))
        return false;
    vr_auto_objects struct vr_objects same = { 0 };
    vr_inventory_list_named(vr_engine_head(call->engine), VR_KIND_ROLE, name, &same);
    VR_OBJECTS(struct vr_role, role, &same)
    {
        if (g_strcmp0(role->id, own_id) == 0)
            continue;
        vr_error_set(error, &vr_fault_name_in_use, NULL);
        vr_error_prefix(error, "Role %s", name);
        return false;
    }
    return true;
}

static void tell(struct vr_call *call, struct vr_txn *txn, enum vr_event_code code,
                 const char *name) VR_REQUIRES(vr_role_engine)
{
    const struct vr_event_about about = { .user = vr_call_user(call),
                                          .correlation_id = call->correlation_id };
    vr_event_add(txn, code, &about, "RoleName", name, NULL);
}

void vr_access_role_add(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_role *body = call->body;
    vr_auto struct vr_role *role = VR_NEW(role);
    bool ok = check_role_name(call, body->name, NULL, &error);
    VR_SET_STRING(role, name, body->name);
    VR_SET_STRING(role, description, body->description ? body->description : "");
    VR_SET(role, administrative, VR_GET(body, administrative, false));
    VR_SET(role, mutable, true);
    VR_SET(role, allows_viewing_children, true);
    for (unsigned i = 0; ok && i < body->permits.len; i++)
        ok = add_permit(role, body->permits.items[i], &error);
    if (!ok) {
        vr_call_fail(call, &error);
        return;
    }
    struct vr_txn *txn = vr_txn_new(call->engine);
    struct vr_role *added = vr_txn_add(txn, VR_KIND_ROLE, g_steal_pointer(&role));
    tell(call, txn, VR_EVENT_ROLE_ADDED, added->name);
    vr_call_commit(call, txn, VR_KIND_ROLE, added->id);
}

/* The role behind the first id of the path, which may be changed; or NULL and @error. */
static const struct vr_role *mutable_role(struct vr_call *call, struct vr_error **error)
    VR_REQUIRES(vr_role_engine)
{
    const struct vr_role *role = VR_PEEK(vr_engine_head(call->engine), ROLE, role, call->ids[0]);
    if (!role)
        vr_error_set(error, &vr_fault_not_found, NULL);
    else if (VR_GET(role, predefined, false))
        vr_error_set(error, &vr_fault_predefined, NULL);
    else
        return role;
    return NULL;
}

void vr_access_role_update(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_role *body = call->body;
    const struct vr_role *role = mutable_role(call, &error);
    if (!role || (body->name && !check_role_name(call, body->name, role->id, &error))) {
        vr_call_fail(call, &error);
        return;
    }
    struct vr_txn *txn = vr_txn_new(call->engine);
    struct vr_role *edit = VR_EDIT(txn, ROLE, role, role->id);
    if (body->name)
        VR_SET_STRING(edit, name, body->name);
    if (body->has.description)
        VR_SET_STRING(edit, description, body->description);
    tell(call, txn, VR_EVENT_ROLE_CHANGED, edit->name);
    vr_call_commit(call, txn, VR_KIND_ROLE, call->ids[0]);
}

void vr_access_role_remove(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_role *role = mutable_role(call, &error);
    if (role && vr_inventory_count_by(vr_engine_head(call->engine), VR_KIND_PERMISSION, "role",
                                      role->id) > 0)
        vr_error_set(&error, &vr_fault_has_dependants, "The role is assigned.");
    if (error) {
        vr_call_fail(call, &error);
        return;
    }
    struct vr_txn *txn = vr_txn_new(call->engine);
    tell(call, txn, VR_EVENT_ROLE_REMOVED, role->name);
    vr_txn_remove(txn, VR_KIND_ROLE, call->ids[0]);
    vr_call_commit_remove(call, txn, NULL);
}

void vr_access_permit_add(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_role *role = mutable_role(call, &error);
    struct vr_txn *txn = role ? vr_txn_new(call->engine) : NULL;
    struct vr_role *edit = role ? VR_EDIT(txn, ROLE, role, role->id) : NULL;
    if (!edit || !add_permit(edit, call->body, &error)) {
        if (txn)
            vr_txn_abandon(txn);
        vr_call_fail(call, &error);
        return;
    }
    const struct vr_permit *body = call->body;
    vr_auto struct vr_permit *shown =
        make_permit(body->id ? permit_of(body->id) : vr_access_permit_find(body->name), edit->id);
    vr_txn_commit(txn, NULL, NULL);
    vr_call_answer(call, 201, vr_ref(shown));
}

void vr_access_permit_remove(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_role *role = mutable_role(call, &error);
    const struct vr_access_permit *known = permit_of(vr_call_id(call));
    if (role && (!known || !has_number(role, known->number)))
        vr_error_set(&error, &vr_fault_not_found, NULL);
    if (error) {
        vr_call_fail(call, &error);
        return;
    }
    struct vr_txn *txn = vr_txn_new(call->engine);
    struct vr_role *edit = VR_EDIT(txn, ROLE, role, role->id);
    vr_auto struct vr_role *before = vr_copy(edit);
    VR_CLEAR(edit, permit_numbers);
    for (unsigned i = 0; i < before->permit_numbers.len; i++)
        if (GPOINTER_TO_SIZE(before->permit_numbers.items[i]) != known->number)
            VR_APPEND(edit, permit_numbers, before->permit_numbers.items[i]);
    vr_call_commit_remove(call, txn, NULL);
}
