/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/storage/driver.h"
#include "agent/storage/fault.h"

#include <glib/gstdio.h>
#include <unistd.h>

/* The mounter that writes down what it is asked, so that NFS needs no server here. */
static GString *record;
static bool is_mounted, refuse;

static bool fake_mount(const char *source, const char *target, const char *fstype,
                       const char *options, struct vr_error **error)
{
    g_autofree char *name = g_path_get_basename(target);
    g_string_append_printf(record, "mount -t %s -o %s %s %s;", fstype, options, source, name);
    if (refuse)
        vr_storage_error(error, mount, "The server is away.");
    else
        is_mounted = true;
    return !refuse;
}

static bool fake_unmount(const char *target VR_UNUSED, struct vr_error **error VR_UNUSED)
{
    g_string_append(record, "umount;");
    is_mounted = false;
    return true;
}

static bool fake_mounted(const char *target VR_UNUSED)
{
    return is_mounted;
}

static const struct vr_mounter fake = { fake_mount, fake_unmount, fake_mounted };

#define NFS(version, options)                                                                      \
    {                                                                                              \
        "srv:/exports/my_data", NULL, options, version, 0, 0                                       \
    }
#define BASE "mount -t nfs -o soft,nosharecache,timeo=100,retrans=3"
#define END " srv:/exports/my_data srv:_exports_my__data;"

/* What each connection mounts; NULL: refused with 453. */
static const struct {
    const char *what, *driver;
    struct vr_connection connection;
    const char *want;
} rows[] = {
    { "version 3 is the default", "nfs", NFS(NULL, NULL), BASE ",nfsvers=3,nolock" END },
    { "auto names no version", "nfs", NFS("auto", NULL), BASE ",nolock" END },
    { "version 4 locks by itself", "nfs", NFS("4", NULL), BASE ",nfsvers=4" END },
    { "4.2 has a minor version", "nfs", NFS("4.2", NULL), BASE ",nfsvers=4,minorversion=2" END },
    { "extra options come before nolock", "nfs", NFS("3", "rsize=65536"),
      BASE ",nfsvers=3,rsize=65536,nolock" END },
    { "an own lock option stands", "nfs", NFS("3", "lock"), BASE ",nfsvers=3,lock" END },
    { "timeout and retrans are taken",
      "nfs",
      { "s:/x", NULL, NULL, "4", 600, 6 },
      "mount -t nfs -o soft,nosharecache,timeo=600,retrans=6,nfsvers=4 s:/x s:_x;" },
    { "an unknown version", "nfs", NFS("5", NULL), NULL },
    { "a version that smuggles options", "nfs", NFS("4.1,exec", NULL), NULL },
    { "no server", "nfs", { "/exports", NULL, NULL, NULL, 0, 0 }, NULL },
    { "nothing", "nfs", { NULL, NULL, NULL, NULL, 0, 0 }, NULL },
    { "POSIX uses what it is given",
      "posixfs",
      { "/dev/vdb", "xfs", "noatime", NULL, 0, 0 },
      "mount -t xfs -o noatime /dev/vdb _dev_vdb;" },
    { "a directory without a type is bound",
      "posixfs",
      { "/srv/data", "none", NULL, NULL, 0, 0 },
      "mount -t none -o bind /srv/data _srv_data;" },
    { "bind is not doubled",
      "posixfs",
      { "/srv/data", "none", "bind,noexec", NULL, 0, 0 },
      "mount -t none -o bind,noexec /srv/data _srv_data;" },
    { "POSIX needs a type", "posixfs", { "/dev/vdb", NULL, NULL, NULL, 0, 0 }, NULL },
    { "a relative bind", "posixfs", { "srv", "none", NULL, NULL, 0, 0 }, NULL },
    { "a line break", "posixfs", { "/dev/vdb\n", "xfs", NULL, NULL, 0, 0 }, NULL },
    { "a name that climbs", "posixfs", { "..", "xfs", NULL, NULL, 0, 0 }, NULL },
    { "a reserved name", "posixfs", { "blockSD", "xfs", NULL, NULL, 0, 0 }, NULL },
};

static char *temporary;

static void test_connections_become_mounts(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        const struct vr_storage_driver *driver = vr_storage_driver_by_name(rows[i].driver);
        vr_auto_plan struct vr_mount_plan plan = { 0 };
        vr_auto_error struct vr_error *error = NULL;
        g_string_truncate(record, 0);
        is_mounted = false;
        g_test_message("%s", rows[i].what);
        if (!driver->plan(&rows[i].connection, &plan, &error)) {
            g_assert_null(rows[i].want);
            g_assert_cmpint(error->fault->rpc, ==, 453);
            continue;
        }
        g_assert_nonnull(rows[i].want);
        g_autofree char *target = g_build_filename(temporary, plan.name, NULL);
        g_assert_true(driver->attach(&plan, target, &fake, &error));
        g_assert_cmpstr(record->str, ==, rows[i].want);
        g_assert_true(driver->attach(&plan, target, &fake, &error));
        g_assert_cmpstr(record->str, ==, rows[i].want); /* connected already: no second mount */
        g_assert_true(driver->detach(target, &fake, &error));
        g_assert_true(g_str_has_suffix(record->str, ";umount;"));
        g_assert_false(g_file_test(target, G_FILE_TEST_EXISTS));
    }
}

static void test_a_failed_mount_leaves_no_directory(void)
{
    const struct vr_storage_driver *driver = vr_storage_driver_by_name("nfs");
    vr_auto_plan struct vr_mount_plan plan = { 0 };
    vr_auto_error struct vr_error *error = NULL;
    g_assert_true(driver->plan(&rows[0].connection, &plan, &error));
    g_autofree char *target = g_build_filename(temporary, plan.name, NULL);
    is_mounted = false;
    refuse = true;
    g_assert_false(driver->attach(&plan, target, &fake, &error));
    refuse = false;
    g_assert_cmpint(error->fault->rpc, ==, 477);
    g_assert_false(g_file_test(target, G_FILE_TEST_EXISTS));
}

static void test_local_storage_is_a_link(void)
{
    const struct vr_storage_driver *driver = vr_storage_driver_by_type(4);
    vr_auto_plan struct vr_mount_plan plan = { 0 };
    vr_auto_error struct vr_error *error = NULL, *missing = NULL;
    struct vr_connection connection = { .connection = temporary };
    g_assert_true(driver->plan(&connection, &plan, &error));
    g_autofree char *target = g_build_filename(temporary, "mnt", plan.name, NULL);
    for (unsigned i = 0; i < 2; i++)
        g_assert_true(driver->attach(&plan, target, &fake, &error));
    g_autofree char *points = g_file_read_link(target, NULL);
    g_assert_cmpstr(points, ==, temporary);
    g_assert_true(driver->detach(target, &fake, &error));
    g_assert_true(driver->detach(target, &fake, &error));
    connection.connection = "/no/such/directory";
    vr_auto_plan struct vr_mount_plan none = { 0 };
    g_assert_true(driver->plan(&connection, &none, &error));
    g_assert_false(driver->attach(&none, target, &fake, &missing));
    g_assert_cmpint(missing->fault->rpc, ==, 451);
    g_autofree char *mnt = g_path_get_dirname(target);
    g_assert_cmpint(g_rmdir(mnt), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    temporary = g_dir_make_tmp("vireo-driver-XXXXXX", NULL);
    record = g_string_new(NULL);
    g_test_add_func("/storage/driver/connections_become_mounts", test_connections_become_mounts);
    g_test_add_func("/storage/driver/a_failed_mount_leaves_no_directory",
                    test_a_failed_mount_leaves_no_directory);
    g_test_add_func("/storage/driver/local_storage_is_a_link", test_local_storage_is_a_link);
    int rc = g_test_run();
    g_assert_cmpint(g_rmdir(temporary), ==, 0);
    g_string_free(record, TRUE);
    g_free(temporary);
    return rc;
}
