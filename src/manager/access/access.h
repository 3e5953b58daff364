/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * access: users, groups, roles and permissions, and the one question they are
 * for: may this caller do that to this object?
 *
 * A permission gives a role to a user or a group on an object, or on the
 * system when it names none; it holds for the objects below as well
 * (facts/manager-behaviour.md 7.1).
 */

#include "manager/engine/call.h"

/* Well-known objects (facts/rest-api.md 8.5). */
#define VR_ACCESS_EVERYONE "eee00000-0000-0000-0000-123456789eee"
#define VR_ACCESS_DOMAIN "696E7465726E616C2D617574687A"
#define VR_ACCESS_SUPER_USER "00000000-0000-0000-0000-000000000001"
#define VR_ACCESS_ADMIN "admin@internal-authz"

/* --- checks; any inventory --- */

/* Whether the user, or a group that he is in, holds an administrator role on anything. */
bool vr_access_is_admin(struct vr_inventory *inventory, const char *user_id);
/* Whether @caller may do what @permit ("run_vm") names to the object. */
bool vr_access_allowed(struct vr_inventory *inventory, const struct vr_caller *caller,
                       const char *permit, int kind, const char *id);
/* The same for an object that does not exist yet: on what its body says it will be below. */
bool vr_access_allowed_new(struct vr_inventory *inventory, const struct vr_caller *caller,
                           const char *permit, const void *body);
/* Whether a caller who sees only what he has permissions on sees @object. */
bool vr_access_visible(struct vr_inventory *inventory, const struct vr_caller *caller, int kind,
                       const void *object);

/* Whether @permission holds on the object: it names it, something above it, or nothing at all.
 * @kind -1: the system. */
bool vr_access_holds(struct vr_inventory *inventory, const struct vr_permission *permission,
                     int kind, const char *id);

/* --- permits --- */

struct vr_access_permit {
    unsigned number;
    const char *name; /* "create_vm" */
    bool administrative;
};
/* Sorted by number; name NULL ends. */
extern const struct vr_access_permit vr_access_permits[];
const struct vr_access_permit *vr_access_permit_find(const char *name);
const struct vr_access_permit *vr_access_permit_number(int64_t number);

/* --- life --- */

/* Whether the administrator can log in with a password. */
bool vr_access_admin_has_password(struct vr_inventory *inventory);
/* Gives him the one that @hash is of, and unlocks him.  @done as of vr_txn_commit(). */
void vr_access_set_admin_password(struct vr_engine *engine, const char *hash, vr_commit_fn *done,
                                  void *arg) VR_REQUIRES(vr_role_engine);
extern const struct vr_module vr_module_access;
