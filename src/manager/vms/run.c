/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "vms"
#include "manager/vms/internal.h"

#include "codec/codec.h"
#include "manager/console/console.h"
#include "manager/vms/launch.h"

/* What a machine is started with: its effective configuration becomes the domain's document. */

static struct vr_vm *parse_vm(const char *json)
{
    vr_auto_error struct vr_error *error = NULL;
    return json ? vr_json_read(&vr_type_vm, json, strlen(json), VR_JSON_STORE, &vr_codec_caps_api,
                               &error)
                : NULL;
}

/* The machine with the members that a run once replaces; owned. */
static struct vr_vm *effective(const struct vr_vm *vm)
{
    struct vr_vm *copy = vr_copy(vm);
    vr_auto struct vr_vm *once = parse_vm(vm->run_once_config);
    if (once) {
        VR_CLEAR(once, id);
        VR_CLEAR(once, name);
        VR_CLEAR(once, status);
        VR_CLEAR(once, cluster);
        vr_console_choose(once);
        vr_merge(copy, once);
    }
    return copy;
}

/* --- the domain's document --- */

struct parts {
    struct vr_objects attachments, nics;
    GArray *disks, *launch_nics;
};

static bool gather_disks(struct vr_engine *engine, const struct vr_vm *vm, struct parts *parts,
                         struct vr_error **error) VR_REQUIRES(vr_role_engine);
static bool gather_disks(struct vr_engine *engine, const struct vr_vm *vm, struct parts *parts,
                         struct vr_error **error)
{
    struct vr_inventory *head = vr_engine_head(engine);
    vr_inventory_list_by(head, VR_KIND_DISK_ATTACHMENT, "vm", vm->id, &parts->attachments);
    VR_OBJECTS (struct vr_disk_attachment, attachment, &parts->attachments) {
        const struct vr_disk *disk = VR_PEEK(head, DISK, disk, VR_LINK_ID(attachment, disk));
        if (!disk || !VR_GET(attachment, active, true))
            continue;
        const struct vr_storage_domain *domain =
            VR_PEEK(head, STORAGE_DOMAIN, storage_domain, VR_LINK_ID(disk, storage_domain));
        if (VR_GET(disk, status, VR_DISK_STATUS_OK) != VR_DISK_STATUS_OK) {
            vr_error_set(error, &vr_fault_disk_is_locked, "Disk %s is in status %s.", disk->alias,
                         vr_enum_word(&vr_enum_disk_status, (int)disk->status));
            return false;
        }
        if (!domain || !VR_LINK_ID(domain, data_center) ||
            VR_GET(domain, pool_status, VR_STORAGE_DOMAIN_STATUS_UNKNOWN) !=
                VR_STORAGE_DOMAIN_STATUS_ACTIVE) {
            vr_error_set(error, &vr_fault_domain_not_active,
                         "The storage domain of disk %s is not active.", disk->alias);
            return false;
        }
        struct vr_launch_disk d = { .attachment = attachment,
                                    .disk = disk,
                                    .pool_id = VR_LINK_ID(domain, data_center),
                                    .domain_id = domain->id,
                                    .volume_id = disk->image_id };
        g_array_append_val(parts->disks, d);
    }
    return true;
}

static void gather_nics(struct vr_engine *engine, const struct vr_vm *vm, struct parts *parts)
    VR_REQUIRES(vr_role_engine);
static void gather_nics(struct vr_engine *engine, const struct vr_vm *vm, struct parts *parts)
{
    struct vr_inventory *head = vr_engine_head(engine);
    vr_inventory_list_by(head, VR_KIND_NIC, "vm", vm->id, &parts->nics);
    VR_OBJECTS (struct vr_nic, nic, &parts->nics) {
        if (!VR_GET(nic, plugged, true))
            continue;
        const struct vr_vnic_profile *profile =
            VR_PEEK(head, VNIC_PROFILE, vnic_profile, VR_LINK_ID(nic, vnic_profile));
        const struct vr_network *network =
            profile ? VR_PEEK(head, NETWORK, network, VR_LINK_ID(profile, network)) : NULL;
        const struct vr_network_filter *filter =
            profile ? VR_PEEK(head, NETWORK_FILTER, network_filter,
                              VR_LINK_ID(profile, network_filter))
                    : NULL;
        struct vr_launch_nic n = { .nic = nic,
                                   .profile = profile,
                                   .bridge = !network            ? NULL
                                             : network->host_name ? network->host_name
                                                                  : network->name,
                                   .filter = filter ? filter->name : NULL };
        g_array_append_val(parts->launch_nics, n);
    }
}

static const char *machine_of(const struct vr_vm *vm, const struct vr_cluster *cluster)
{
    if (vm->custom_emulated_machine && vm->custom_emulated_machine[0])
        return vm->custom_emulated_machine;
    enum vr_bios_type bios =
        vm->bios ? VR_GET(vm->bios, type, VR_BIOS_TYPE_CLUSTER_DEFAULT) : VR_BIOS_TYPE_CLUSTER_DEFAULT;
    if (bios == VR_BIOS_TYPE_CLUSTER_DEFAULT)
        bios = VR_GET(cluster, bios_type, VR_BIOS_TYPE_Q35_SEA_BIOS);
    if (bios == VR_BIOS_TYPE_I440FX_SEA_BIOS)
        return "pc";
    return cluster->emulated_machine ? cluster->emulated_machine : "q35";
}

static const char *cpu_model_of(const struct vr_vm *vm, const struct vr_cluster *cluster)
{
    if (vm->custom_cpu_model && vm->custom_cpu_model[0])
        return vm->custom_cpu_model;
    if (vm->cpu && VR_HAS(vm->cpu, mode)) {
        if (vm->cpu->mode == VR_CPU_MODE_HOST_PASSTHROUGH)
            return "host-passthrough";
        if (vm->cpu->mode == VR_CPU_MODE_HOST_MODEL)
            return "host-model";
    }
    return "host-model";
}

bool vm_is_q35(struct vr_engine *engine, const struct vr_vm *stored)
{
    vr_auto struct vr_vm *vm = effective(stored);
    const struct vr_cluster *cluster =
        VR_PEEK(vr_engine_head(engine), CLUSTER, cluster, VR_LINK_ID(vm, cluster));
    return cluster && strstr(machine_of(vm, cluster), "q35");
}

/* The network of the cluster that viewers reach hosts on; NULL: any. */
static const char *display_network(struct vr_inventory *head, const struct vr_cluster *cluster)
{
    vr_auto_objects struct vr_objects links = { 0 };
    vr_inventory_list_by(head, VR_KIND_CLUSTER_NETWORK, "cluster", cluster->id, &links);
    VR_OBJECTS (struct vr_cluster_network, link, &links) {
        const struct vr_network *network =
            VR_GET(link, display, false)
                ? VR_PEEK(head, NETWORK, network, VR_LINK_ID(link, network))
                : NULL;
        if (network)
            return network->host_name ? network->host_name : network->name;
    }
    return NULL;
}

char *vm_domain_xml(struct vr_engine *engine, const struct vr_vm *stored, bool paused,
                    struct vr_error **error)
{
    struct vr_inventory *head = vr_engine_head(engine);
    vr_auto struct vr_vm *vm = effective(stored);
    const struct vr_cluster *cluster = VR_PEEK(head, CLUSTER, cluster, VR_LINK_ID(vm, cluster));
    struct parts parts = { .disks = g_array_new(FALSE, FALSE, sizeof(struct vr_launch_disk)),
                           .launch_nics = g_array_new(FALSE, FALSE, sizeof(struct vr_launch_nic)) };
    char *xml = NULL;

    if (gather_disks(engine, vm, &parts, error)) {
        gather_nics(engine, vm, &parts);
        struct vr_launch launch = {
            .vm = vm,
            .cluster = cluster,
            .machine = machine_of(vm, cluster),
            .cpu_model = cpu_model_of(vm, cluster),
            .manager_name = "Vireo",
            .manager_version = "0.1",
            .disks = (const struct vr_launch_disk *)(void *)parts.disks->data,
            .disk_count = parts.disks->len,
            .nics = (const struct vr_launch_nic *)(void *)parts.launch_nics->data,
            .nic_count = parts.launch_nics->len,
            .vnc = vr_console_has(vm, VR_GRAPHICS_TYPE_VNC),
            .spice = vr_console_has(vm, VR_GRAPHICS_TYPE_SPICE),
            .display_network = display_network(head, cluster),
            .paused = paused || VR_GET(stored, start_paused, false),
        };
        if (vm_medium_find(engine, vm, stored->current_cdrom_file, &launch.cdrom, error))
            xml = vr_launch_xml(&launch);
    }
    g_array_free(parts.disks, TRUE);
    g_array_free(parts.launch_nics, TRUE);
    vr_objects_clear(&parts.attachments);
    vr_objects_clear(&parts.nics);
    return xml;
}
