/* SPDX-License-Identifier: Apache-2.0 */
/* The administrator's password at the start of the Manager. */
#include "manager/access/access.h"

static const struct vr_user *find(const struct vr_objects *users)
{
    VR_OBJECTS(struct vr_user, user, users)
        if (g_strcmp0(user->user_name, VR_ACCESS_ADMIN) == 0)
            return user;
    return NULL;
}

bool vr_access_admin_has_password(struct vr_inventory *inventory)
{
    vr_auto_objects struct vr_objects users = { 0 };
    vr_inventory_list(inventory, VR_KIND_USER, &users);
    const struct vr_user *admin = find(&users);
    return admin && admin->password_hash && *admin->password_hash;
}

void vr_access_set_admin_password(struct vr_engine *engine, const char *hash, vr_commit_fn *done,
                                  void *arg)
{
    vr_auto_objects struct vr_objects users = { 0 };
    vr_inventory_list(vr_engine_head(engine), VR_KIND_USER, &users);
    const struct vr_user *admin = find(&users);
    struct vr_txn *txn = vr_txn_new(engine);
    struct vr_user *edit = admin ? VR_EDIT(txn, USER, user, admin->id) : NULL;
    if (edit) {
        VR_SET_STRING(edit, password_hash, hash);
        VR_SET(edit, password_changed, vr_engine_wall_ms(engine));
        VR_CLEAR(edit, locked_until);
    }
    vr_txn_commit(txn, done, arg);
}
