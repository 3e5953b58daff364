/* SPDX-License-Identifier: Apache-2.0 */
/* The users, groups, roles and permissions that every Manager has (facts/rest-api.md 8.5). */
#include "manager/access/roles.h"

static void add_domain(struct vr_txn *txn) VR_REQUIRES(vr_role_engine)
{
    if (vr_txn_peek(txn, VR_KIND_DOMAIN, VR_ACCESS_DOMAIN))
        return;
    struct vr_domain *domain = VR_NEW(domain);
    vr_set_id(domain, VR_ACCESS_DOMAIN);
    VR_SET_STRING(domain, name, "internal-authz");
    vr_txn_add(txn, VR_KIND_DOMAIN, domain);
}

static void add_everyone(struct vr_txn *txn) VR_REQUIRES(vr_role_engine)
{
    if (vr_txn_peek(txn, VR_KIND_GROUP, VR_ACCESS_EVERYONE))
        return;
    struct vr_group *group = VR_NEW(group);
    vr_set_id(group, VR_ACCESS_EVERYONE);
    VR_SET_STRING(group, name, "Everyone");
    VR_SET_STRING(group, namespace, "*");
    VR_SET_LINK(group, domain, domain, VR_ACCESS_DOMAIN);
    vr_txn_add(txn, VR_KIND_GROUP, group);
}

static void add_number(struct vr_role *role, unsigned number)
{
    vr_list_append(&role->permit_numbers, GSIZE_TO_POINTER(number));
    role->has.permit_numbers = true;
}

static void add_role(struct vr_txn *txn, const struct vr_access_role *shipped)
    VR_REQUIRES(vr_role_engine)
{
    if (vr_txn_peek(txn, VR_KIND_ROLE, shipped->id))
        return;
    struct vr_role *role = VR_NEW(role);
    vr_set_id(role, shipped->id);
    VR_SET_STRING(role, name, shipped->name);
    VR_SET_STRING(role, description, shipped->name);
    VR_SET(role, administrative, shipped->administrative);
    VR_SET(role, mutable, false);
    VR_SET(role, predefined, true);
    VR_SET(role, allows_viewing_children, shipped->allows_viewing_children);
    for (const uint16_t *number = shipped->permits; number && *number; number++)
        add_number(role, *number);
    for (const struct vr_access_permit *permit = vr_access_permits;
         !shipped->permits && permit->name; permit++)
        if (permit->number != 16 && permit->number != 504)
            add_number(role, permit->number);
    vr_txn_add(txn, VR_KIND_ROLE, role);
}

/* The administrator's id, of the user that is or becomes one. */
static char *add_admin(struct vr_txn *txn) VR_REQUIRES(vr_role_engine)
{
    struct vr_engine *engine = vr_txn_engine(txn);
    vr_auto_objects struct vr_objects users = { 0 };
    vr_inventory_list(vr_engine_head(engine), VR_KIND_USER, &users);
    VR_OBJECTS(struct vr_user, user, &users)
    {
        if (g_strcmp0(user->user_name, VR_ACCESS_ADMIN) == 0)
            return g_strdup(user->id);
    }
    struct vr_user *user = VR_NEW(user);
    g_autofree char *id = vr_engine_uuid(engine);
    vr_set_id(user, id);
    VR_SET_STRING(user, name, "admin");
    VR_SET_STRING(user, user_name, VR_ACCESS_ADMIN);
    VR_SET_STRING(user, principal, "admin");
    VR_SET_STRING(user, last_name, "");
    VR_SET_STRING(user, email, "");
    VR_SET_STRING(user, department, "");
    VR_SET_STRING(user, namespace, "*");
    GString *entry = g_string_new(NULL);
    for (const char *c = id; *c; c++)
        g_string_append_printf(entry, "%02X", (unsigned char)*c);
    VR_TAKE_STRING(user, domain_entry_id, g_string_free(entry, FALSE));
    VR_SET_LINK(user, domain, domain, VR_ACCESS_DOMAIN);
    VR_SET(user, local, true);
    vr_txn_add(txn, VR_KIND_USER, user);
    return g_steal_pointer(&id);
}

static bool has_super_user(struct vr_inventory *head, const char *user_id)
{
    vr_auto_objects struct vr_objects permissions = { 0 };
    vr_inventory_list_by(head, VR_KIND_PERMISSION, "user", user_id, &permissions);
    VR_OBJECTS(struct vr_permission, permission, &permissions)
        if (g_strcmp0(VR_LINK_ID(permission, role), VR_ACCESS_SUPER_USER) == 0)
            return true;
    return false;
}

static void add_permission(struct vr_txn *txn, const char *role, const char *user,
                           const char *group) VR_REQUIRES(vr_role_engine)
{
    struct vr_permission *permission = VR_NEW(permission);
    VR_SET_LINK(permission, role, role, role);
    VR_SET_LINK(permission, user, user, user);
    VR_SET_LINK(permission, group, group, group);
    vr_txn_add(txn, VR_KIND_PERMISSION, permission);
}

static void defaults(struct vr_txn *txn) VR_REQUIRES(vr_role_engine)
{
    struct vr_inventory *head = vr_engine_head(vr_txn_engine(txn));
    bool first = vr_inventory_count(head, VR_KIND_ROLE) == 0;
    add_domain(txn);
    add_everyone(txn);
    for (const struct vr_access_role *role = vr_access_roles; role->name; role++)
        add_role(txn, role);
    g_autofree char *admin = add_admin(txn);
    if (!has_super_user(head, admin))
        add_permission(txn, VR_ACCESS_SUPER_USER, admin, NULL);
    if (first)
        add_permission(txn, "def00021-0000-0000-0000-def000000015", NULL, VR_ACCESS_EVERYONE);
}

const struct vr_module vr_module_access = {
    .name = "access",
    .defaults = defaults,
};
