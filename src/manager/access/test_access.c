/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/access/access.h"

/*
 * Data center dc holds cluster c1 with machine v1 and host h1, and cluster c2
 * with machine v2; disk d1 is attached to v1.
 *
 *     ann   may run machines in c1
 *     bob   may run machine v2
 *     cat   is an administrator who sees the system and may change nothing
 *     dan   is in group g, which may run machines in dc
 *     eve   has nothing but what everyone has: she may edit her profile
 */

static void put(struct vr_inventory *inventory, int kind, void *object)
{
    struct vr_change change = { kind, g_strdup(vr_id(object)), object, 1 };
    vr_inventory_apply(inventory, &change, 1);
    g_free(change.id);
    vr_unref(object);
}

static void put_role(struct vr_inventory *inventory, const char *id, bool administrative,
                     bool views, unsigned permit)
{
    struct vr_role *role = VR_NEW(role);
    vr_set_id(role, id);
    VR_SET(role, administrative, administrative);
    VR_SET(role, allows_viewing_children, views);
    VR_APPEND(role, permit_numbers, GSIZE_TO_POINTER(permit));
    put(inventory, VR_KIND_ROLE, role);
}

static struct vr_permission *permission(const char *id, const char *role, const char *user,
                                        const char *group)
{
    struct vr_permission *given = VR_NEW(permission);
    vr_set_id(given, id);
    VR_SET_LINK(given, role, role, role);
    VR_SET_LINK(given, user, user, user);
    VR_SET_LINK(given, group, group, group);
    return given;
}

static void put_vm(struct vr_inventory *inventory, const char *id, const char *cluster)
{
    struct vr_vm *vm = VR_NEW(vm);
    vr_set_id(vm, id);
    VR_SET_LINK(vm, cluster, cluster, cluster);
    put(inventory, VR_KIND_VM, vm);
}

static void put_cluster(struct vr_inventory *inventory, const char *id)
{
    struct vr_cluster *cluster = VR_NEW(cluster);
    vr_set_id(cluster, id);
    VR_SET_STRING(cluster, name, id);
    VR_SET_LINK(cluster, data_center, data_center, "dc");
    put(inventory, VR_KIND_CLUSTER, cluster);
}

static struct vr_inventory *make_site(void)
{
    struct vr_inventory *inventory = vr_inventory_new(false);
    struct vr_data_center *dc = VR_NEW(data_center);
    vr_set_id(dc, "dc");
    put(inventory, VR_KIND_DATA_CENTER, dc);
    put_cluster(inventory, "c1");
    put_cluster(inventory, "c2");
    put_vm(inventory, "v1", "c1");
    put_vm(inventory, "v2", "c2");
    struct vr_host *host = VR_NEW(host);
    vr_set_id(host, "h1");
    VR_SET_LINK(host, cluster, cluster, "c1");
    put(inventory, VR_KIND_HOST, host);
    struct vr_disk *disk = VR_NEW(disk);
    vr_set_id(disk, "d1");
    put(inventory, VR_KIND_DISK, disk);
    struct vr_disk_attachment *attachment = VR_NEW(disk_attachment);
    vr_set_id(attachment, "d1");
    VR_SET_LINK(attachment, disk, disk, "d1");
    VR_SET_LINK(attachment, vm, vm, "v1");
    put(inventory, VR_KIND_DISK_ATTACHMENT, attachment);

    struct vr_user *dan = VR_NEW(user);
    vr_set_id(dan, "dan");
    VR_APPEND(dan, groups, VR_STUB(group, "g"));
    put(inventory, VR_KIND_USER, dan);

    put_role(inventory, "runner", false, true, 22);
    put_role(inventory, "reader", true, true, 1300);
    put_role(inventory, "editor", false, false, 504);
    struct vr_permission *given = permission("p1", "runner", "ann", NULL);
    VR_SET_LINK(given, cluster, cluster, "c1");
    put(inventory, VR_KIND_PERMISSION, given);
    given = permission("p2", "runner", "bob", NULL);
    VR_SET_LINK(given, vm, vm, "v2");
    put(inventory, VR_KIND_PERMISSION, given);
    put(inventory, VR_KIND_PERMISSION, permission("p3", "reader", "cat", NULL));
    given = permission("p4", "runner", NULL, "g");
    VR_SET_LINK(given, data_center, data_center, "dc");
    put(inventory, VR_KIND_PERMISSION, given);
    put(inventory, VR_KIND_PERMISSION, permission("p5", "editor", NULL, VR_ACCESS_EVERYONE));
    return inventory;
}

static const struct {
    const char *what, *user, *permit;
    int kind;
    const char *id;
    bool allowed, visible;
} rows[] = {
    { "in his cluster", "ann", "run_vm", VR_KIND_VM, "v1", true, true },
    { "not in the other one", "ann", "run_vm", VR_KIND_VM, "v2", false, false },
    { "what hangs on his machine", "ann", "run_vm", VR_KIND_DISK, "d1", true, true },
    { "another permit", "ann", "delete_vm", VR_KIND_VM, "v1", false, true },
    { "a permit that there is not", "ann", "fly", VR_KIND_VM, "v1", false, true },
    { "an object that there is not", "ann", "run_vm", VR_KIND_VM, "v9", false, false },
    { "on the machine alone", "bob", "run_vm", VR_KIND_VM, "v2", true, true },
    { "not upwards", "bob", "run_vm", VR_KIND_CLUSTER, "c2", false, false },
    { "the system is above all", "cat", "login", VR_KIND_HOST, "h1", true, true },
    { "and reading is not writing", "cat", "run_vm", VR_KIND_VM, "v1", false, true },
    { "through a group, two levels up", "dan", "run_vm", VR_KIND_VM, "v1", true, true },
    { "everyone", "eve", "edit_profile", VR_KIND_VM, "v1", true, false },
    { "nobody", "eve", "run_vm", VR_KIND_VM, "v1", false, false },
    { "a user who is gone", "zoe", "run_vm", VR_KIND_VM, "v1", false, false },
};

static void test_rows(void)
{
    struct vr_inventory *inventory = make_site();
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        const struct vr_caller caller = { .user_id = rows[i].user };
        g_test_message("%s", rows[i].what);
        g_assert_cmpint(vr_access_allowed(inventory, &caller, rows[i].permit, rows[i].kind,
                                          rows[i].id), ==, rows[i].allowed);
        vr_auto void *object = vr_inventory_get(inventory, rows[i].kind, rows[i].id);
        if (object)
            g_assert_cmpint(vr_access_visible(inventory, &caller, rows[i].kind, object), ==,
                            rows[i].visible);
    }
    vr_inventory_free(inventory);
}

static void test_additions(void)
{
    struct vr_inventory *inventory = make_site();
    const struct vr_caller ann = { .user_id = "ann" }, bob = { .user_id = "bob" };
    vr_auto struct vr_vm *by_id = VR_NEW(vm);
    vr_auto struct vr_vm *by_name = VR_NEW(vm);
    vr_auto struct vr_vm *nowhere = VR_NEW(vm);
    VR_SET_LINK(by_id, cluster, cluster, "c1");
    VR_SET_STRING(VR_SUB(by_name, cluster, cluster), name, "c1");
    g_assert_true(vr_access_allowed_new(inventory, &ann, "run_vm", by_id));
    g_assert_true(vr_access_allowed_new(inventory, &ann, "run_vm", by_name));
    g_assert_false(vr_access_allowed_new(inventory, &ann, "run_vm", nowhere));
    g_assert_false(vr_access_allowed_new(inventory, &ann, "run_vm", NULL));
    g_assert_false(vr_access_allowed_new(inventory, &bob, "run_vm", by_id));
    vr_inventory_free(inventory);
}

static void test_administrators(void)
{
    struct vr_inventory *inventory = make_site();
    g_assert_true(vr_access_is_admin(inventory, "cat"));
    g_assert_false(vr_access_is_admin(inventory, "ann"));
    g_assert_false(vr_access_is_admin(inventory, NULL));
    vr_inventory_free(inventory);
}

static void test_permits(void)
{
    for (const struct vr_access_permit *permit = vr_access_permits; permit->name; permit++) {
        g_assert_true(vr_access_permit_find(permit->name) == permit);
        g_assert_true(vr_access_permit_number(permit->number) == permit);
        g_assert_true(permit == vr_access_permits || permit[-1].number < permit->number);
    }
    g_assert_null(vr_access_permit_find("fly"));
    g_assert_null(vr_access_permit_number(4));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/access/a permission holds below its object", test_rows);
    g_test_add_func("/access/an addition needs one on what it is added to", test_additions);
    g_test_add_func("/access/who is an administrator", test_administrators);
    g_test_add_func("/access/permits are found by name and number", test_permits);
    return g_test_run();
}
