/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/vms/writer.h"

/* Disks, the CD drive and NICs, in a machine's own document and in those of a hot plug
 * (facts/host-rpc.md 10.1 and 12). */

/* --- names of disks --- */

static const char *bus_of(const struct vr_launch *launch, unsigned index)
{
    switch (VR_GET(launch->disks[index].attachment, interface, VR_DISK_INTERFACE_VIRTIO)) {
    case VR_DISK_INTERFACE_IDE:
        return is_q35(launch) ? "sata" : "ide";
    case VR_DISK_INTERFACE_SATA:
        return "sata";
    case VR_DISK_INTERFACE_VIRTIO_SCSI:
        return "scsi";
    default:
        return "virtio";
    }
}

static const char *prefix_of(const char *bus)
{
    return strcmp(bus, "virtio") == 0 ? "vd" : strcmp(bus, "ide") == 0 ? "hd" : "sd";
}

/* vda, vdb … vdz, vdaa …: one sequence a prefix, as the kernel names them. */
static void target_name(char out[VR_LAUNCH_TARGET], const char *prefix, unsigned index)
{
    char letters[8];
    unsigned n = 0;
    for (unsigned rest = index + 1; rest > 0 && n < sizeof(letters); rest = (rest - 1) / 26)
        letters[n++] = (char)('a' + (rest - 1) % 26);
    size_t length = g_strlcpy(out, prefix, VR_LAUNCH_TARGET);
    while (n > 0 && length < VR_LAUNCH_TARGET - 1)
        out[length++] = letters[--n];
    out[length] = '\0';
}

const char *launch_cdrom_target(const struct vr_launch *launch)
{
    return is_q35(launch) ? "sdc" : "hdc";
}

/* The name that the attachment is to keep, unless it is another bus's or taken. */
static bool keep_name(const struct vr_launch *launch, unsigned index, GHashTable *taken,
                      char out[VR_LAUNCH_TARGET])
{
    const char *kept = launch->disks[index].attachment->target;
    if (!kept || strlen(kept) >= VR_LAUNCH_TARGET ||
        !g_str_has_prefix(kept, prefix_of(bus_of(launch, index))) ||
        g_hash_table_contains(taken, kept))
        return false;
    g_strlcpy(out, kept, VR_LAUNCH_TARGET);
    g_hash_table_add(taken, g_strdup(kept));
    return true;
}

void vr_launch_targets(const struct vr_launch *launch, char (*names)[VR_LAUNCH_TARGET])
{
    g_autoptr(GHashTable) taken = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    /* The CD drive's, whatever else there is. */
    g_hash_table_add(taken, g_strdup("sdc"));
    g_hash_table_add(taken, g_strdup("hdc"));
    for (unsigned i = 0; i < launch->disk_count; i++)
        if (!keep_name(launch, i, taken, names[i]))
            names[i][0] = '\0';
    for (unsigned i = 0; i < launch->disk_count; i++) {
        const char *prefix = prefix_of(bus_of(launch, i));
        for (unsigned n = 0; !names[i][0]; n++) {
            target_name(names[i], prefix, n);
            if (g_hash_table_contains(taken, names[i]))
                names[i][0] = '\0';
        }
        g_hash_table_add(taken, g_strdup(names[i]));
    }
}

/* --- metadata --- */

void launch_write_image(struct xml *x, const char *target, const char *pool, const char *domain,
                        const char *image, const char *volume, bool shared)
{
    open_tag(x, "ovirt-vm:device", "devtype", "disk", "name", target, NULL);
    text_tag(x, "ovirt-vm:poolID", pool, NULL);
    text_tag(x, "ovirt-vm:domainID", domain, NULL);
    text_tag(x, "ovirt-vm:imageID", image, NULL);
    text_tag(x, "ovirt-vm:volumeID", volume, NULL);
    text_tag(x, "ovirt-vm:shared", shared ? "shared" : "false", NULL);
    close_tag(x, "ovirt-vm:device");
}

void launch_write_disk_metadata(struct xml *x, const struct vr_launch *launch, unsigned index,
                                const char *target)
{
    const struct vr_launch_disk *d = &launch->disks[index];
    launch_write_image(x, target, d->pool_id, d->domain_id, d->disk->id, d->volume_id,
                       VR_GET(d->disk, shareable, false));
}

void launch_write_nic_metadata(struct xml *x, const struct vr_launch *launch, unsigned index)
{
    const struct vr_nic *nic = launch->nics[index].nic;
    if (!nic->mac || !nic->mac->address)
        return;
    open_tag(x, "ovirt-vm:device", "mac_address", nic->mac->address, NULL);
    empty_tag(x, "ovirt-vm:custom", NULL);
    close_tag(x, "ovirt-vm:device");
}

/* --- the boot order --- */

static bool boots_from(const struct vr_vm *vm, enum vr_boot_device device, unsigned *ret_position)
{
    const struct vr_boot *boot = vm->os ? vm->os->boot : NULL;
    if (!boot || boot->devices.len == 0) {
        *ret_position = 0;
        return device == VR_BOOT_DEVICE_HD;
    }
    for (unsigned i = 0; i < boot->devices.len; i++)
        if ((enum vr_boot_device)GPOINTER_TO_SIZE(boot->devices.items[i]) == device) {
            *ret_position = i;
            return true;
        }
    return false;
}

/* libvirt wants unique boot orders: a hundred for each device class, in the VM's order. */
static const char *boot_order(char buffer[32], const struct vr_vm *vm, enum vr_boot_device device,
                              unsigned nth)
{
    unsigned position;
    if (!boots_from(vm, device, &position))
        return NULL;
    return number(buffer, position * 100 + nth + 1);
}

/* --- devices --- */

void launch_write_disk(struct xml *x, const struct vr_launch *launch, unsigned index,
                       const char *target, unsigned *boot_nth)
{
    const struct vr_launch_disk *d = &launch->disks[index];
    const struct vr_disk *disk = d->disk;
    char order[32];
    g_autofree char *path = g_strdup_printf("/rhev/data-center/%s/%s/images/%s/%s", d->pool_id,
                                            d->domain_id, disk->id, d->volume_id);
    g_autofree char *alias = g_strdup_printf("ua-%s", disk->id);
    bool raw = VR_GET(disk, format, VR_DISK_FORMAT_COW) == VR_DISK_FORMAT_RAW;
    bool bootable = VR_GET(d->attachment, bootable, false);

    open_tag(x, "disk", "type", "file", "device", "disk", "snapshot", "no", NULL);
    empty_tag(x, "driver", "name", "qemu", "type", raw ? "raw" : "qcow2", "cache", "none",
              "error_policy", VR_GET(disk, propagate_errors, false) ? "enospace" : "stop", "io",
              "threads", "discard", VR_GET(d->attachment, pass_discard, false) ? "unmap" : NULL,
              NULL);
    open_tag(x, "source", "file", path, NULL);
    empty_tag(x, "seclabel", "model", "dac", "type", "none", "relabel", "no", NULL);
    close_tag(x, "source");
    empty_tag(x, "target", "dev", target, "bus", bus_of(launch, index), NULL);
    if (VR_GET(d->attachment, read_only, false))
        empty_tag(x, "readonly", NULL);
    if (VR_GET(disk, shareable, false))
        empty_tag(x, "shareable", NULL);
    text_tag(x, "serial", disk->id, NULL);
    if (bootable && boot_nth) {
        const char *value = boot_order(order, launch->vm, VR_BOOT_DEVICE_HD, *boot_nth);
        if (value)
            empty_tag(x, "boot", "order", value, NULL);
        ++*boot_nth;
    }
    empty_tag(x, "alias", "name", alias, NULL);
    close_tag(x, "disk");
}

void launch_write_cdrom(struct xml *x, const struct vr_launch *launch)
{
    char order[32];

    open_tag(x, "disk", "type", "file", "device", "cdrom", "snapshot", "no", NULL);
    empty_tag(x, "driver", "name", "qemu", "type", "raw", "error_policy", "report", NULL);
    /* The host puts the image's path there, or leaves the drive empty. */
    open_tag(x, "source", "file", "", "startupPolicy", "optional", NULL);
    empty_tag(x, "seclabel", "model", "dac", "type", "none", "relabel", "no", NULL);
    close_tag(x, "source");
    empty_tag(x, "target", "dev", launch_cdrom_target(launch), "bus",
              is_q35(launch) ? "sata" : "ide", NULL);
    empty_tag(x, "readonly", NULL);
    const char *value = boot_order(order, launch->vm, VR_BOOT_DEVICE_CDROM, 0);
    if (value)
        empty_tag(x, "boot", "order", value, NULL);
    empty_tag(x, "alias", "name", "ua-cdrom", NULL);
    close_tag(x, "disk");
}

static const char *nic_model(const struct vr_nic *nic)
{
    switch (VR_GET(nic, interface, VR_NIC_INTERFACE_VIRTIO)) {
    case VR_NIC_INTERFACE_E1000:
        return "e1000";
    case VR_NIC_INTERFACE_E1000E:
        return "e1000e";
    case VR_NIC_INTERFACE_RTL8139:
        return "rtl8139";
    default:
        return "virtio";
    }
}

void launch_write_nic(struct xml *x, const struct vr_launch *launch, unsigned index, bool boots)
{
    const struct vr_launch_nic *n = &launch->nics[index];
    char order[32];
    g_autofree char *alias = vr_launch_nic_alias(n->nic->id);

    open_tag(x, "interface", "type", "bridge", NULL);
    if (n->nic->mac && n->nic->mac->address)
        empty_tag(x, "mac", "address", n->nic->mac->address, NULL);
    empty_tag(x, "source", "bridge", n->bridge ? n->bridge : VR_LAUNCH_NO_BRIDGE, NULL);
    empty_tag(x, "model", "type", nic_model(n->nic), NULL);
    empty_tag(x, "link", "state", vr_launch_nic_linked(n) ? "up" : "down", NULL);
    if (n->filter)
        empty_tag(x, "filterref", "filter", n->filter, NULL);
    const char *value =
        boots ? boot_order(order, launch->vm, VR_BOOT_DEVICE_NETWORK, index) : NULL;
    if (value)
        empty_tag(x, "boot", "order", value, NULL);
    empty_tag(x, "alias", "name", alias, NULL);
    close_tag(x, "interface");
}

char *vr_launch_nic_alias(const char *nic_id)
{
    return g_strdup_printf("ua-%s", nic_id);
}

bool vr_launch_nic_linked(const struct vr_launch_nic *n)
{
    return n->bridge && VR_GET(n->nic, linked, true);
}

/* --- hot plug --- */

static void open_plug(struct xml *x)
{
    x->out = g_string_new(vr_xml_prolog);
    open_tag(x, "hotplug", "xmlns:ovirt-vm", "http://ovirt.org/vm/1.0", NULL);
    open_tag(x, "devices", NULL);
}

static void open_plug_metadata(struct xml *x)
{
    close_tag(x, "devices");
    open_tag(x, "metadata", NULL);
    open_tag(x, "ovirt-vm:vm", NULL);
}

static char *close_plug(struct xml *x)
{
    close_tag(x, "ovirt-vm:vm");
    close_tag(x, "metadata");
    close_tag(x, "hotplug");
    return g_string_free(x->out, FALSE);
}

char *vr_launch_plug_disk(const struct vr_launch *launch, unsigned index, const char *target)
{
    struct xml x = { 0 };
    open_plug(&x);
    launch_write_disk(&x, launch, index, target, NULL);
    open_plug_metadata(&x);
    launch_write_disk_metadata(&x, launch, index, target);
    return close_plug(&x);
}

char *vr_launch_plug_nic(const struct vr_launch *launch, unsigned index)
{
    struct xml x = { 0 };
    open_plug(&x);
    launch_write_nic(&x, launch, index, false);
    open_plug_metadata(&x);
    launch_write_nic_metadata(&x, launch, index);
    return close_plug(&x);
}
