/* SPDX-License-Identifier: Apache-2.0 */
/* Operations on users and groups, and on what a user keeps here: keys and options. */
#include "manager/access/access.h"
#include "manager/rest/reading.h"

#include "gen/faults.h"
#include "gen/routes.h"

/* --- users --- */

/* The internal directory is the only one; its users are those that there are. */
void vr_access_user_add(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_user *body = call->body;
    const char *domain = body->domain && body->domain->name ? body->domain->name : "internal-authz";
    const char *at = strrchr(body->user_name, '@');
    g_autofree char *principal =
        at ? g_strndup(body->user_name, (gsize)(at - body->user_name)) : g_strdup(body->user_name);
    g_autofree char *whole = g_strconcat(principal, "@", domain, NULL);
    vr_auto_objects struct vr_objects users = { 0 };
    vr_inventory_list(vr_engine_head(call->engine), VR_KIND_USER, &users);
    VR_OBJECTS(struct vr_user, user, &users)
    {
        if (g_strcmp0(user->user_name, whole) == 0 ||
            g_strcmp0(user->user_name, body->user_name) == 0) {
            vr_call_commit(call, NULL, VR_KIND_USER, user->id);
            return;
        }
    }
    vr_error_set(&error, &vr_fault_bad_request, "No such user: %s in domain %s", principal, domain);
    vr_call_fail(call, &error);
}

static void remove_permissions(struct vr_call *call, struct vr_txn *txn, const char *link)
    VR_REQUIRES(vr_role_engine)
{
    vr_auto_objects struct vr_objects permissions = { 0 };
    vr_inventory_list_by(vr_engine_head(call->engine), VR_KIND_PERMISSION, link, vr_call_id(call),
                         &permissions);
    VR_OBJECTS(struct vr_permission, permission, &permissions)
        vr_txn_remove(txn, VR_KIND_PERMISSION, permission->id);
}

void vr_access_user_remove(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_user *user = vr_call_target(call, VR_KIND_USER, &error);
    if (user && g_strcmp0(user->user_name, VR_ACCESS_ADMIN) == 0)
        vr_error_set(&error, &vr_fault_predefined, "The administrator cannot be removed.");
    if (error) {
        vr_call_fail(call, &error);
        return;
    }
    struct vr_txn *txn = vr_txn_new(call->engine);
    const struct vr_event_about about = { .user = vr_call_user(call),
                                          .correlation_id = call->correlation_id };
    vr_event_add(txn, VR_EVENT_USER_REMOVED, &about, "SubjectName", user->user_name, NULL);
    remove_permissions(call, txn, "user");
    vr_txn_remove(txn, VR_KIND_USER, vr_call_id(call));
    vr_call_commit_remove(call, txn, NULL);
}

void vr_access_group_add(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_group *body = call->body;
    vr_auto struct vr_group *known =
        vr_inventory_get_named(vr_engine_head(call->engine), VR_KIND_GROUP, body->name);
    if (known) {
        vr_call_commit(call, NULL, VR_KIND_GROUP, known->id);
        return;
    }
    vr_error_set(&error, &vr_fault_bad_request, "No such group: %s in domain %s", body->name,
                 body->domain && body->domain->name ? body->domain->name : "internal-authz");
    vr_call_fail(call, &error);
}

void vr_access_group_remove(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_group *group = vr_call_target(call, VR_KIND_GROUP, &error);
    if (group && g_strcmp0(group->id, VR_ACCESS_EVERYONE) == 0)
        vr_error_set(&error, &vr_fault_predefined, "Everyone cannot be removed.");
    if (error) {
        vr_call_fail(call, &error);
        return;
    }
    struct vr_txn *txn = vr_txn_new(call->engine);
    remove_permissions(call, txn, "group");
    vr_txn_remove(txn, VR_KIND_GROUP, vr_call_id(call));
    vr_call_commit_remove(call, txn, NULL);
}

/* --- what belongs to a user --- */

void vr_access_user_groups_list(struct vr_reading *reading)
{
    vr_auto struct vr_user *user =
        vr_inventory_get(reading->inventory, VR_KIND_USER, reading->ids[0]);
    vr_auto void *everyone =
        vr_inventory_get(reading->inventory, VR_KIND_GROUP, VR_ACCESS_EVERYONE);
    if (user && everyone)
        vr_list_append(&reading->list, vr_ref(everyone));
}

void vr_access_assigned_roles_list(struct vr_reading *reading)
{
    vr_auto void *user = vr_inventory_get(reading->inventory, VR_KIND_USER, reading->ids[0]);
    vr_auto_objects struct vr_objects permissions = { 0 };
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    vr_inventory_list_by(reading->inventory, VR_KIND_PERMISSION, user ? "user" : "group",
                         reading->ids[0], &permissions);
    VR_OBJECTS(struct vr_permission, permission, &permissions)
    {
        const char *id = VR_LINK_ID(permission, role);
        vr_auto void *role = id ? vr_inventory_get(reading->inventory, VR_KIND_ROLE, id) : NULL;
        if (role && g_hash_table_add(seen, (void *)(uintptr_t)id))
            vr_list_append(&reading->list, vr_ref(role));
    }
}

void vr_access_domain_users_list(struct vr_reading *reading)
{
    vr_auto_objects struct vr_objects users = { 0 };
    vr_inventory_list_by(reading->inventory, VR_KIND_USER, "domain", reading->ids[0], &users);
    VR_OBJECTS(struct vr_user, user, &users)
        vr_list_append(&reading->list, vr_ref(user));
}

void vr_access_domain_user_get(struct vr_reading *reading)
{
    reading->object = vr_inventory_get(reading->inventory, VR_KIND_USER,
                                       reading->ids[reading->id_count - 1]);
}

void vr_access_domain_groups_list(struct vr_reading *reading)
{
    vr_auto_objects struct vr_objects groups = { 0 };
    vr_inventory_list_by(reading->inventory, VR_KIND_GROUP, "domain", reading->ids[0], &groups);
    VR_OBJECTS(struct vr_group, group, &groups)
        vr_list_append(&reading->list, vr_ref(group));
}

void vr_access_domain_group_get(struct vr_reading *reading)
{
    reading->object = vr_inventory_get(reading->inventory, VR_KIND_GROUP,
                                       reading->ids[reading->id_count - 1]);
}

/* A user changes his own; others need to manage users. */
static bool may_edit(struct vr_call *call, struct vr_error **error) VR_REQUIRES(vr_role_engine)
{
    if (!vr_inventory_peek(vr_engine_head(call->engine), VR_KIND_USER, call->ids[0]))
        vr_error_set(error, &vr_fault_not_found, NULL);
    else if (strcmp(call->ids[0], call->caller->user_id) != 0 && !call->caller->admin)
        vr_error_set(error, &vr_fault_not_authorized, NULL);
    return *error == NULL;
}

void vr_access_ssh_key_add(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_ssh_public_key *body = call->body;
    if (may_edit(call, &error) && !g_str_has_prefix(body->content, "ssh-") &&
        !g_str_has_prefix(body->content, "ecdsa-"))
        vr_error_set(&error, &vr_fault_bad_request, "The content is no SSH public key.");
    if (error) {
        vr_call_fail(call, &error);
        return;
    }
    struct vr_ssh_public_key *key = VR_NEW(ssh_public_key);
    VR_SET_STRING(key, content, body->content);
    VR_SET_LINK(key, user, user, call->ids[0]);
    struct vr_txn *txn = vr_txn_new(call->engine);
    vr_txn_add(txn, VR_KIND_SSH_PUBLIC_KEY, key);
    vr_call_commit(call, txn, VR_KIND_SSH_PUBLIC_KEY, key->id);
}

void vr_access_ssh_key_update(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_ssh_public_key *body = call->body;
    if (may_edit(call, &error))
        vr_call_target(call, VR_KIND_SSH_PUBLIC_KEY, &error);
    if (error) {
        vr_call_fail(call, &error);
        return;
    }
    struct vr_txn *txn = vr_txn_new(call->engine);
    struct vr_ssh_public_key *edit =
        VR_EDIT(txn, SSH_PUBLIC_KEY, ssh_public_key, vr_call_id(call));
    if (body->content)
        VR_SET_STRING(edit, content, body->content);
    vr_call_commit(call, txn, VR_KIND_SSH_PUBLIC_KEY, vr_call_id(call));
}

static void remove_owned(struct vr_call *call, int kind) VR_REQUIRES(vr_role_engine)
{
    vr_auto_error struct vr_error *error = NULL;
    if (may_edit(call, &error))
        vr_call_target(call, kind, &error);
    if (error) {
        vr_call_fail(call, &error);
        return;
    }
    struct vr_txn *txn = vr_txn_new(call->engine);
    vr_txn_remove(txn, kind, vr_call_id(call));
    vr_call_commit_remove(call, txn, NULL);
}

void vr_access_ssh_key_remove(struct vr_call *call)
{
    remove_owned(call, VR_KIND_SSH_PUBLIC_KEY);
}

void vr_access_user_option_remove(struct vr_call *call)
{
    remove_owned(call, VR_KIND_USER_OPTION);
}

/* An option of that name is written over: clients keep their settings here. */
void vr_access_user_option_add(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_user_option *body = call->body;
    if (may_edit(call, &error))
        vr_check_name("User option", body->name, VR_NAME_FREE, 255, &error);
    if (error) {
        vr_call_fail(call, &error);
        return;
    }
    struct vr_txn *txn = vr_txn_new(call->engine);
    vr_auto_objects struct vr_objects same = { 0 };
    vr_inventory_list_named(vr_engine_head(call->engine), VR_KIND_USER_OPTION, body->name, &same);
    VR_OBJECTS(struct vr_user_option, old, &same)
        if (g_strcmp0(VR_LINK_ID(old, user), call->ids[0]) == 0)
            vr_txn_remove(txn, VR_KIND_USER_OPTION, old->id);
    struct vr_user_option *option = VR_NEW(user_option);
    VR_SET_STRING(option, name, body->name);
    VR_SET_STRING(option, content, body->content);
    VR_SET_LINK(option, user, user, call->ids[0]);
    vr_txn_add(txn, VR_KIND_USER_OPTION, option);
    vr_call_commit(call, txn, VR_KIND_USER_OPTION, option->id);
}
