/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/disks/internal.h"
#include "manager/engine/fake_site.h"

/* What hosts say of the size of disks: believed for the disks of the machine alone, and kept when it
 * is worth a commit. */

const struct vr_module *const vr_modules[] = { NULL };
const struct vr_job_type *const vr_job_types[] = { NULL };

#define MIB ((int64_t)1 << 20)
#define GIB (1024 * MIB)

static void add_disk(GArray *changes, const char *id, const char *vm_id)
{
    struct vr_disk *disk = VR_NEW(disk);
    VR_SET_STRING(disk, id, id);
    VR_SET_STRING(disk, image_id, "i");
    VR_SET(disk, provisioned_size, 16 * GIB);
    VR_SET(disk, actual_size, 2 * GIB);
    VR_SET(disk, total_size, 2 * GIB);
    site_add(changes, VR_KIND_DISK, disk);
    struct vr_disk_attachment *attachment = VR_NEW(disk_attachment);
    VR_SET_STRING(attachment, id, id);
    VR_SET_LINK(attachment, disk, disk, id);
    VR_SET_LINK(attachment, vm, vm, vm_id);
    site_add(changes, VR_KIND_DISK_ATTACHMENT, attachment);
}

static struct fake *site(void) VR_REQUIRES(vr_role_engine);
static struct fake *site(void)
{
    GArray *changes = site_new();
    static const char *const vms[] = { "mine", "other" };
    for (unsigned i = 0; i < G_N_ELEMENTS(vms); i++) {
        struct vr_vm *vm = VR_NEW(vm);
        VR_SET_STRING(vm, id, vms[i]);
        site_add(changes, VR_KIND_VM, vm);
    }
    add_disk(changes, "d", "mine");
    add_disk(changes, "foreign", "other");
    return site_start(changes);
}

static const struct row {
    const char *what, *disk_id, *truesize;
    int64_t kept;
} rows[] = {
    { "it grew by a step", "d", "2281701376", 2 * GIB + 128 * MIB },
    { "by less", "d", "2281701375", 2 * GIB },
    { "it shrank", "d", "1073741824", GIB },
    { "it is empty", "d", "0", 0 },
    { "the disk of another machine", "foreign", "9663676416", 2 * GIB },
    { "no disk", "nobody", "9663676416", 2 * GIB },
    { "no disk is named", NULL, "9663676416", 2 * GIB },
    { "no size", "d", NULL, 2 * GIB },
    { "less than nothing", "d", "-1099511627776", 2 * GIB },
    { "more than there is", "d", "9223372036854775807", 2 * GIB },
    { "the lowest number", "d", "-9223372036854775808", 2 * GIB },
};

static void test_report(void) VR_NO_THREAD_SAFETY
{
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_test_message("%s", rows[i].what);
        struct fake *fake = site();
        vr_auto struct vr_rpc_vm_stats *stats = VR_NEW(rpc_vm_stats);
        stats->has.disks = true;
        struct vr_rpc_vm_disk_stats *device = VR_NEW(rpc_vm_disk_stats);
        VR_SET_STRING(device, image_id, rows[i].disk_id);
        VR_SET_STRING(device, truesize, rows[i].truesize);
        vr_map_set(&stats->disks, "vda", device);
        struct vr_txn *txn = vr_txn_new(fake->engine);
        vr_disks_report(txn, VR_PEEK(vr_engine_head(fake->engine), VM, vm, "mine"), &stats->disks);
        vr_txn_commit(txn, NULL, NULL);
        fake_settle(fake);
        static const char *const ids[] = { "d", "foreign" };
        for (unsigned d = 0; d < G_N_ELEMENTS(ids); d++) {
            const struct vr_disk *disk = VR_PEEK(vr_engine_head(fake->engine), DISK, disk, ids[d]);
            g_assert_cmpint(disk->actual_size, ==, d == 0 ? rows[i].kept : 2 * GIB);
            g_assert_cmpint(disk->total_size, ==, disk->actual_size);
        }
        fake_free(fake);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/disks/report", test_report);
    return g_test_run();
}
