/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Machines and their domain XML: tests/golden/launch/<case>.xml.  With
 * VIREO_GOLDEN=write the files are written anew; review them as a diff.
 */
#include "manager/vms/launch.h"

#include <stdlib.h>

#include "codec/codec.h"

#define VM_ID "00000000-0000-4000-8000-0000000000a1"
#define POOL "00000000-0000-4000-8000-0000000000b1"
#define DOMAIN "00000000-0000-4000-8000-0000000000c1"

static void *read_object(const struct vr_type *type, const char *json)
{
    vr_auto_error struct vr_error *error = NULL;
    void *object = vr_json_read(type, json, strlen(json), VR_JSON_STORE, &vr_codec_caps_api, &error);
    if (!object)
        g_error("%s: %s", json, error->detail ? error->detail : error->fault->text);
    return object;
}

/* A machine with up to this many devices, as JSON; the id of disk and NIC n ends with n. */
#define DEVICES 6
struct machine {
    const char *vm;
    const char *machine;
    const char *attachments[DEVICES];
    const char *nics[DEVICES];
    struct vr_launch rest; /* members that need no object */
};

struct made {
    struct vr_launch launch;
    struct vr_launch_disk disks[DEVICES];
    struct vr_launch_nic nics[DEVICES];
    void *objects[3 * DEVICES + 2];
    unsigned object_count;
};

static void *keep(struct made *made, void *object)
{
    return made->objects[made->object_count++] = object;
}

static void make(struct made *made, const struct machine *from)
{
    static const char *const volume = "00000000-0000-4000-8000-0000000000f1";
    made->launch = from->rest;
    made->launch.vm = keep(made, read_object(&vr_type_vm, from->vm));
    made->launch.cluster = keep(made, VR_NEW(cluster));
    made->launch.machine = from->machine;
    made->launch.manager_name = "Vireo";
    made->launch.manager_version = "0.1";
    for (unsigned i = 0; i < DEVICES && from->attachments[i]; i++) {
        g_autofree char *disk =
            g_strdup_printf("{\"id\":\"00000000-0000-4000-8000-00000000d00%u\"}", i);
        made->disks[i] = (struct vr_launch_disk){
            .attachment = keep(made, read_object(&vr_type_disk_attachment, from->attachments[i])),
            .disk = keep(made, read_object(&vr_type_disk, disk)),
            .pool_id = POOL,
            .domain_id = DOMAIN,
            .volume_id = volume,
        };
        made->launch.disk_count++;
    }
    for (unsigned i = 0; i < DEVICES && from->nics[i]; i++) {
        struct vr_nic *nic = keep(made, read_object(&vr_type_nic, from->nics[i]));
        VR_TAKE_STRING(nic, id, g_strdup_printf("00000000-0000-4000-8000-00000000e00%u", i));
        made->nics[i] = (struct vr_launch_nic){ .nic = nic,
                                                .bridge = nic->description,
                                                .filter = "vdsm-no-mac-spoofing" };
        made->launch.nic_count++;
    }
    made->launch.disks = made->disks;
    made->launch.nics = made->nics;
}

static void made_done(struct made *made)
{
    for (unsigned i = 0; i < made->object_count; i++)
        vr_unref(made->objects[i]);
}

static void compare(const char *name, const char *text)
{
    g_autofree char *path = g_strdup_printf("%s/%s.xml", getenv("VIREO_GOLDEN_DIR"), name);
    g_autofree char *want = NULL;
    if (!g_strcmp0(getenv("VIREO_GOLDEN"), "write"))
        g_assert_true(g_file_set_contents(path, text, -1, NULL));
    g_assert_true(g_file_get_contents(path, &want, NULL, NULL));
    g_assert_cmpstr(text, ==, want);
}

#define VM(more) "{\"id\":\"" VM_ID "\",\"name\":\"web & co\",\"memory\":268435456" more "}"
#define NIC(mac, bridge, more)                                                                     \
    "{\"mac\":{\"address\":\"" mac "\"},\"description\":\"" bridge "\"" more "}"

/* Every row is a machine and what libvirt shall make of it. */
static const struct {
    const char *name;
    struct machine machine;
} rows[] = {
    { "plain",
      { .vm = VM(),
        .machine = "pc-q35-7.2",
        .attachments = { "{\"interface\":\"virtio\",\"bootable\":true}" },
        .nics = { NIC("52:54:00:00:00:01", "ovirtmgmt", "") },
        .rest = { .vnc = true } } },
    { "many-disks",
      { .vm = VM(),
        .machine = "pc-q35-7.2",
        .attachments = { "{\"interface\":\"virtio\",\"target\":\"vdb\"}",
                         "{\"interface\":\"virtio\"}",
                         "{\"interface\":\"virtio_scsi\",\"pass_discard\":true}",
                         "{\"interface\":\"sata\",\"read_only\":true}",
                         "{\"interface\":\"ide\"}",
                         "{\"interface\":\"virtio\",\"target\":\"sda\",\"bootable\":true}" },
        .rest = { .vnc = true } } },
    { "old-chip-set",
      { .vm = VM(",\"os\":{\"boot\":{\"devices\":[\"cdrom\",\"network\",\"hd\"]}}"),
        .machine = "pc",
        .attachments = { "{\"interface\":\"ide\",\"bootable\":true}", "{\"interface\":\"ide\"}",
                         "{\"interface\":\"ide\"}" },
        .nics = { NIC("52:54:00:00:00:01", "ovirtmgmt", ",\"interface\":\"e1000\""),
                  "{\"mac\":{\"address\":\"52:54:00:00:00:02\"},\"linked\":true}" },
        .rest = { .cdrom = { POOL, DOMAIN, "00000000-0000-4000-8000-00000000d0ff",
                             "00000000-0000-4000-8000-0000000000f2" } } } },
    { "consoles",
      { .vm = VM(",\"display\":{\"keyboard_layout\":\"de\\\"><x\",\"copy_paste_enabled\":false,"
                 "\"file_transfer_enabled\":false}"),
        .machine = "pc-q35-7.2",
        .rest = { .vnc = true, .spice = true, .display_network = "display" } } },
    { "no-console", { .vm = VM(), .machine = "pc-q35-7.2" } },
};

static void test_golden(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct made made = { 0 };
        make(&made, &rows[i].machine);
        g_autofree char *xml = vr_launch_xml(&made.launch);
        compare(rows[i].name, xml);
        made_done(&made);
    }
}

static void test_plugs(void)
{
    static const struct machine machine = {
        .vm = VM(",\"os\":{\"boot\":{\"devices\":[\"hd\",\"network\"]}}"),
        .machine = "pc-q35-7.2",
        .attachments = { "{\"interface\":\"virtio\",\"target\":\"vda\"}",
                         "{\"interface\":\"virtio\",\"bootable\":true}" },
        .nics = { NIC("52:54:00:00:00:01", "ovirtmgmt", ",\"linked\":false") },
    };
    struct made made = { 0 };
    make(&made, &machine);
    char names[2][VR_LAUNCH_TARGET];
    vr_launch_targets(&made.launch, names);
    g_autofree char *disk = vr_launch_plug_disk(&made.launch, 1, names[1]);
    g_autofree char *nic = vr_launch_plug_nic(&made.launch, 0);
    compare("plug-disk", disk);
    compare("plug-nic", nic);
    made_done(&made);
}

/* A machine with more disks than the alphabet has letters: names go on, and none is given twice. */
static void test_names(void)
{
    enum { MANY = 60 };
    struct vr_launch_disk disks[MANY];
    char names[MANY][VR_LAUNCH_TARGET];
    vr_auto struct vr_disk_attachment *attachment = VR_NEW(disk_attachment);
    vr_auto struct vr_disk_attachment *kept = VR_NEW(disk_attachment);
    VR_SET(attachment, interface, VR_DISK_INTERFACE_VIRTIO_SCSI);
    VR_SET(kept, interface, VR_DISK_INTERFACE_VIRTIO_SCSI);
    VR_SET_STRING(kept, target, "sdaa");
    for (unsigned i = 0; i < MANY; i++)
        disks[i] = (struct vr_launch_disk){ .attachment = i == MANY - 1 ? kept : attachment };
    const struct vr_launch launch = { .machine = "q35", .disks = disks, .disk_count = MANY };
    vr_launch_targets(&launch, names);
    g_assert_cmpstr(names[0], ==, "sda");
    g_assert_cmpstr(names[2], ==, "sdd"); /* sdc is the CD drive */
    g_assert_cmpstr(names[24], ==, "sdz");
    g_assert_cmpstr(names[25], ==, "sdab"); /* sdaa is kept */
    g_assert_cmpstr(names[MANY - 1], ==, "sdaa");
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    for (unsigned i = 0; i < MANY; i++)
        g_assert_true(g_hash_table_add(seen, names[i]));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/launch/the domain of a machine", test_golden);
    g_test_add_func("/launch/what is plugged in later", test_plugs);
    g_test_add_func("/launch/names of disks", test_names);
    return g_test_run();
}
