/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What 10,000 hosts and 100,000 virtual machines with a NIC and a disk each take in memory, as
 * they are loaded from the database, and how long a list and a change take.  `--smoke`: a
 * hundredth of them.
 */

#include "codec/codec.h"
#include "manager/inventory/inventory.h"

#include <malloc.h>
#include <stdio.h>

enum { HOSTS = 10000, VMS = 100000 };

struct bench {
    struct vr_inventory *head, *committed;
    size_t json; /* bytes of the documents */
};

static size_t in_use(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static char *id_of(const char *kind, unsigned number)
{
    g_autofree char *text = g_strdup_printf("%s:%u", kind, number);
    g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_MD5, text, -1);
    return g_strdup_printf("%.8s-%.4s-%.4s-%.4s-%.12s", sum, sum + 8, sum + 12, sum + 16, sum + 20);
}

/* As a start does: from the text of the document. */
static void load(struct bench *bench, int kind, const char *document)
{
    struct vr_error *error = NULL;
    size_t length = strlen(document);
    void *object = vr_json_read(vr_kinds[kind].type, document, length, VR_JSON_STORE,
                                &vr_codec_caps_host, &error);
    if (!object)
        g_error("%s", error->detail);
    bench->json += length;
    vr_share_parts(object, NULL);
    const struct vr_change change = { kind, (char *)(uintptr_t)vr_id(object), object, 1 };
    vr_inventory_apply(bench->head, &change, 1);
    vr_inventory_apply(bench->committed, &change, 1);
    vr_unref(object);
}

/* The documents that the interface makes (tests/bench/population.py makes the same). */
#define HOST                                                                                       \
    "{\"id\":\"%s\",\"spm\":{\"status\":\"none\",\"priority\":5},\"ssh\":{\"port\":22},"           \
    "\"name\":\"host%u\",\"port\":54321,\"type\":\"rhel\",\"status\":\"up\","                      \
    "\"address\":\"host%u.example.com\",\"cluster\":{\"id\":\"%s\"},\"host_id\":%u,"               \
    "\"protocol\":\"stomp\",\"external_status\":\"ok\",\"power_management\":{\"enabled\":false,"   \
    "\"kdump_detection\":true,\"automatic_pm_enabled\":true},\"update_available\":false}"
#define VM                                                                                         \
    "{\"id\":\"%s\",\"io\":{\"threads\":1},\"os\":{\"boot\":{\"devices\":[\"hd\"]},"               \
    "\"type\":\"rhel_9x64\"},\"cpu\":{\"topology\":{\"cores\":1,\"sockets\":2,\"threads\":1},"     \
    "\"architecture\":\"x86_64\"},\"sso\":{\"methods\":[{\"id\":\"guest_agent\"}]},"               \
    "\"usb\":{\"enabled\":false},\"bios\":{\"type\":\"q35_sea_bios\",\"boot_menu\":"               \
    "{\"enabled\":false}},\"name\":\"vm%06u\",\"type\":\"desktop\",\"memory\":4294967296,"         \
    "\"origin\":\"ovirt\",\"status\":\"up\",\"cluster\":{\"id\":\"%s\"},\"host\":{\"id\":\"%s\"}," \
    "\"comment\":\"\",\"console\":{\"enabled\":false},\"display\":{\"type\":\"vnc\","              \
    "\"monitors\":1,\"allow_override\":false,\"single_qxl_pci\":false,"                            \
    "\"disconnect_action\":\"LOCK_SCREEN\",\"smartcard_enabled\":false,"                           \
    "\"copy_paste_enabled\":true,\"file_transfer_enabled\":true},\"run_once\":false,"              \
    "\"template\":{\"id\":\"" VR_UUID_ZERO "\"},\"migration\":{\"encrypted\":\"inherit\","         \
    "\"compressed\":\"inherit\",\"auto_converge\":\"inherit\"},\"stateless\":false,"               \
    "\"time_zone\":{\"name\":\"Etc/GMT\"},\"cpu_shares\":0,\"description\":\"\","                  \
    "\"tpm_enabled\":false,\"virtio_scsi\":{\"enabled\":true},\"start_paused\":false,"             \
    "\"status_since\":1795864281571,\"creation_time\":1795864281571,\"memory_policy\":"            \
    "{\"max\":4294967296,\"ballooning\":true,\"guaranteed\":1073741824},"                          \
    "\"delete_protected\":false,\"placement_policy\":{\"affinity\":\"migratable\"},"               \
    "\"high_availability\":{\"enabled\":false,\"priority\":0},\"original_template\":{\"id\":\""    \
    VR_UUID_ZERO "\"},\"soundcard_enabled\":false,\"migration_downtime\":-1,"                      \
    "\"multi_queues_enabled\":true}"
#define NIC                                                                                        \
    "{\"id\":\"%s\",\"vm\":{\"id\":\"%s\"},\"mac\":{\"address\":\"02:00:00:%02x:%02x:%02x\"},"     \
    "\"name\":\"nic1\",\"linked\":true,\"synced\":true,\"plugged\":true,"                          \
    "\"interface\":\"virtio\",\"pooled_mac\":true,\"description\":\"\"}"
#define DISK                                                                                       \
    "{\"id\":\"%s\",\"name\":\"vm%06u_disk1\",\"alias\":\"vm%06u_disk1\",\"format\":\"cow\","      \
    "\"status\":\"ok\",\"sparse\":true,\"content_type\":\"data\",\"description\":\"\","            \
    "\"storage_type\":\"image\",\"provisioned_size\":21474836480,\"actual_size\":4294967296,"      \
    "\"image_id\":\"%s\",\"storage_domain\":{\"id\":\"%s\"}}"
#define ATTACHMENT                                                                                 \
    "{\"id\":\"%s\",\"vm\":{\"id\":\"%s\"},\"disk\":{\"id\":\"%s\"},\"active\":true,"              \
    "\"bootable\":true,\"interface\":\"virtio_scsi\",\"read_only\":false}"

static void load_host(struct bench *bench, unsigned i)
{
    g_autofree char *id = id_of("host", i), *cluster = id_of("cluster", i / 250);
    g_autofree char *host = g_strdup_printf(HOST, id, i, i, cluster, i % 250 + 1);
    load(bench, VR_KIND_HOST, host);
}

static void load_vm(struct bench *bench, unsigned i)
{
    g_autofree char *id = id_of("vm", i), *host = id_of("host", i / 10);
    g_autofree char *cluster = id_of("cluster", i / 2500), *domain = id_of("sd", i / 2500);
    g_autofree char *nic_id = id_of("nic", i), *disk_id = id_of("disk", i);
    g_autofree char *vm = g_strdup_printf(VM, id, i, cluster, host);
    g_autofree char *nic = g_strdup_printf(NIC, nic_id, id, i >> 16, i >> 8 & 255, i & 255);
    g_autofree char *disk = g_strdup_printf(DISK, disk_id, i, i, disk_id, domain);
    g_autofree char *attachment = g_strdup_printf(ATTACHMENT, disk_id, id, disk_id);
    load(bench, VR_KIND_VM, vm);
    load(bench, VR_KIND_NIC, nic);
    load(bench, VR_KIND_DISK, disk);
    load(bench, VR_KIND_DISK_ATTACHMENT, attachment);
}

static unsigned list_by_host(struct bench *bench, unsigned hosts)
{
    unsigned found = 0;
    g_autoptr(GPtrArray) ids = g_ptr_array_new_with_free_func(g_free);
    for (unsigned i = 0; i < hosts; i++)
        g_ptr_array_add(ids, id_of("host", i));
    gint64 begin = g_get_monotonic_time();
    for (unsigned i = 0; i < hosts; i++) {
        vr_auto_objects struct vr_objects vms = { 0 };
        vr_inventory_list_by(bench->committed, VR_KIND_VM, "host", ids->pdata[i], &vms);
        found += vms.count;
    }
    printf("the VMs of a host, listed | - | %.2f us\n",
           (double)(g_get_monotonic_time() - begin) / hosts);
    return found;
}

/* What a report that tells something new costs: a copy, its parts, both inventories. */
static void change_all(struct bench *bench, unsigned vms)
{
    gint64 begin = g_get_monotonic_time();
    for (unsigned i = 0; i < vms; i++) {
        g_autofree char *id = id_of("vm", i);
        vr_auto struct vr_vm *vm = vr_copy(vr_inventory_peek(bench->head, VR_KIND_VM, id));
        VR_SET(vm, status, VR_VM_STATUS_PAUSED);
        vr_share_parts(vm, NULL);
        const struct vr_change change = { VR_KIND_VM, vm->id, vm, 2 };
        vr_inventory_apply(bench->head, &change, 1);
        vr_inventory_apply(bench->committed, &change, 1);
    }
    printf("a VM changed, in memory | - | %.2f us\n",
           (double)(g_get_monotonic_time() - begin) / vms);
}

int main(int argc, char **argv)
{
    unsigned share = argc > 1 && strcmp(argv[1], "--smoke") == 0 ? 100 : 1;
    unsigned hosts = HOSTS / share, vms = VMS / share;
    struct bench bench = { vr_inventory_new(false), vr_inventory_new(true), 0 };
    size_t empty = in_use();
    gint64 begin = g_get_monotonic_time();
    for (unsigned i = 0; i < hosts; i++)
        load_host(&bench, i);
    for (unsigned i = 0; i < vms; i++)
        load_vm(&bench, i);
    double seconds = (double)(g_get_monotonic_time() - begin) / 1e6;
    double memory = (double)(in_use() - empty), json = (double)bench.json;
    printf("inventory of %u hosts and %u VMs | - | %.0f MiB, loaded in %.2f s | the text of their"
           " documents: %.0f MiB, %.1fx\n",
           hosts, vms, memory / (double)MiB(1), seconds, json / (double)MiB(1), memory / json);
    unsigned found = list_by_host(&bench, hosts);
    change_all(&bench, vms);
    vr_inventory_free(bench.head);
    vr_inventory_free(bench.committed);
    return found == vms ? 0 : 1;
}
