/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/vms/launch.h"

#include "codec/codec.h"

/* A small XML writer: names are ours, values are escaped. */
struct xml {
    GString *out;
    unsigned depth;
};

static void indent(struct xml *x)
{
    for (unsigned i = 0; i < x->depth; i++)
        g_string_append(x->out, "  ");
}

/* Attributes come as pairs ended by NULL; a pair whose value is NULL is left out. */
static void attributes(struct xml *x, va_list args)
{
    for (const char *name; (name = va_arg(args, const char *));) {
        const char *value = va_arg(args, const char *);
        if (!value)
            continue;
        g_string_append_printf(x->out, " %s=\"", name);
        vr_xml_escape(x->out, value);
        g_string_append_c(x->out, '"');
    }
}

static void open_tag(struct xml *x, const char *tag, ...) G_GNUC_NULL_TERMINATED;
static void open_tag(struct xml *x, const char *tag, ...)
{
    va_list args;
    va_start(args, tag);
    indent(x);
    g_string_append_printf(x->out, "<%s", tag);
    attributes(x, args);
    g_string_append(x->out, ">\n");
    x->depth++;
    va_end(args);
}

static void close_tag(struct xml *x, const char *tag)
{
    x->depth--;
    indent(x);
    g_string_append_printf(x->out, "</%s>\n", tag);
}

static void empty_tag(struct xml *x, const char *tag, ...) G_GNUC_NULL_TERMINATED;
static void empty_tag(struct xml *x, const char *tag, ...)
{
    va_list args;
    va_start(args, tag);
    indent(x);
    g_string_append_printf(x->out, "<%s", tag);
    attributes(x, args);
    g_string_append(x->out, "/>\n");
    va_end(args);
}

static void text_tag(struct xml *x, const char *tag, const char *text, ...) G_GNUC_NULL_TERMINATED;
static void text_tag(struct xml *x, const char *tag, const char *text, ...)
{
    va_list args;
    va_start(args, text);
    indent(x);
    g_string_append_printf(x->out, "<%s", tag);
    attributes(x, args);
    g_string_append_c(x->out, '>');
    vr_xml_escape(x->out, text ? text : "");
    g_string_append_printf(x->out, "</%s>\n", tag);
    va_end(args);
}

static const char *number(char buffer[32], uint64_t value)
{
    g_snprintf(buffer, 32, "%" G_GUINT64_FORMAT, value);
    return buffer;
}

static bool is_q35(const struct vr_launch *launch)
{
    return launch->machine && strstr(launch->machine, "q35");
}

/* --- sizes and shape --- */

struct shape {
    uint64_t memory, maximum; /* KiB */
    unsigned sockets, cores, threads, maximum_vcpus;
    bool hot_memory; /* memory slots exist, so NUMA is needed */
};

/* MaxMemorySlots, and 16 sockets for hot plug of vCPUs (facts/manager-behaviour.md 11). */
#define MEMORY_SLOTS 16
#define MAX_SOCKETS 16

static struct shape shape_of(const struct vr_vm *vm)
{
    const struct vr_cpu_topology *topology = vm->cpu ? vm->cpu->topology : NULL;
    struct shape s = {
        .memory = (uint64_t)VR_GET(vm, memory, (int64_t)GiB(1)) / 1024,
        .sockets = topology ? (unsigned)VR_GET(topology, sockets, 1) : 1,
        .cores = topology ? (unsigned)VR_GET(topology, cores, 1) : 1,
        .threads = topology ? (unsigned)VR_GET(topology, threads, 1) : 1,
    };
    s.maximum = s.memory;
    if (vm->memory_policy && VR_HAS(vm->memory_policy, max))
        s.maximum = MAX(s.memory, (uint64_t)vm->memory_policy->max / 1024);
    s.hot_memory = s.maximum > s.memory;
    s.maximum_vcpus = s.cores * s.threads * MAX(MAX_SOCKETS, s.sockets);
    return s;
}

static void write_metadata(struct xml *x, const struct vr_launch *launch, const struct shape *shape)
{
    const struct vr_vm *vm = launch->vm;
    char buffer[32];
    const struct vr_memory_policy *policy = vm->memory_policy;
    uint64_t guaranteed = policy && VR_HAS(policy, guaranteed)
                              ? (uint64_t)policy->guaranteed / 1024
                              : shape->memory;

    open_tag(x, "metadata", NULL);
    empty_tag(x, "ovirt-tune:qos", NULL);
    open_tag(x, "ovirt-vm:vm", NULL);
    text_tag(x, "ovirt-vm:clusterVersion", "4.7", NULL);
    text_tag(x, "ovirt-vm:minGuaranteedMemoryMb", number(buffer, guaranteed / 1024), "type", "int",
             NULL);
    text_tag(x, "ovirt-vm:launchPaused", launch->paused ? "true" : "false", "type", "bool", NULL);
    text_tag(x, "ovirt-vm:resumeBehavior",
             vr_enum_word(&vr_enum_vm_storage_error_resume_behaviour,
                          VR_GET(vm, storage_error_resume_behaviour,
                                 VR_VM_STORAGE_ERROR_RESUME_BEHAVIOUR_AUTO_RESUME)),
             NULL);
    text_tag(x, "ovirt-vm:ballooningEnabled",
             policy && VR_GET(policy, ballooning, true) ? "true" : "false", "type", "bool", NULL);
    if (VR_HAS(vm, custom_properties)) {
        open_tag(x, "ovirt-vm:custom", NULL);
        VR_EACH (struct vr_custom_property, property, &vm->custom_properties)
            text_tag(x, "ovirt-vm:property", property->value, "name", property->name, NULL);
        close_tag(x, "ovirt-vm:custom");
    }
    for (unsigned i = 0; i < launch->nic_count; i++) {
        const struct vr_nic *nic = launch->nics[i].nic;
        if (nic->mac && nic->mac->address) {
            open_tag(x, "ovirt-vm:device", "mac_address", nic->mac->address, "alias", NULL, NULL);
            empty_tag(x, "ovirt-vm:custom", NULL);
            close_tag(x, "ovirt-vm:device");
        }
    }
}

/* --- devices --- */

static void write_pdiv(struct xml *x, const char *target, const char *pool, const char *domain,
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

struct target {
    char name[16];
    const char *bus;
};

/* vda, vdb … vdz, vdaa …: one sequence a prefix, as the kernel names them. */
static void target_name(char out[16], const char *prefix, unsigned index)
{
    char letters[8];
    unsigned n = 0;
    for (unsigned rest = index + 1; rest > 0 && n < sizeof(letters); rest = (rest - 1) / 26)
        letters[n++] = (char)('a' + (rest - 1) % 26);
    size_t length = g_strlcpy(out, prefix, 16);
    while (n > 0 && length < 15)
        out[length++] = letters[--n];
    out[length] = '\0';
}

/* sdc is the CD-ROM's on SATA and hdc on IDE, whatever else there is. */
static void assign_targets(const struct vr_launch *launch, struct target *targets)
{
    unsigned virtio = 0, sd = 0, hd = 0;
    for (unsigned i = 0; i < launch->disk_count; i++) {
        const struct vr_disk_attachment *attachment = launch->disks[i].attachment;
        enum vr_disk_interface interface =
            VR_GET(attachment, interface, VR_DISK_INTERFACE_VIRTIO);
        switch (interface) {
        case VR_DISK_INTERFACE_IDE:
        case VR_DISK_INTERFACE_SATA:
            if (is_q35(launch) || interface == VR_DISK_INTERFACE_SATA) {
                sd += sd == VR_LAUNCH_CDROM_INDEX; /* the CD-ROM's */
                target_name(targets[i].name, "sd", sd++);
                targets[i].bus = "sata";
            } else {
                hd += hd == VR_LAUNCH_CDROM_INDEX;
                target_name(targets[i].name, "hd", hd++);
                targets[i].bus = "ide";
            }
            break;
        case VR_DISK_INTERFACE_VIRTIO_SCSI:
            sd += sd == VR_LAUNCH_CDROM_INDEX;
            target_name(targets[i].name, "sd", sd++);
            targets[i].bus = "scsi";
            break;
        default:
            target_name(targets[i].name, "vd", virtio++);
            targets[i].bus = "virtio";
        }
    }
}

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

static void write_disk(struct xml *x, const struct vr_launch *launch, unsigned index,
                       const struct target *target, unsigned *boot_nth)
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
    empty_tag(x, "target", "dev", target->name, "bus", target->bus, NULL);
    if (VR_GET(d->attachment, read_only, false))
        empty_tag(x, "readonly", NULL);
    if (VR_GET(disk, shareable, false))
        empty_tag(x, "shareable", NULL);
    text_tag(x, "serial", disk->id, NULL);
    if (bootable) {
        const char *value = boot_order(order, launch->vm, VR_BOOT_DEVICE_HD, *boot_nth);
        if (value)
            empty_tag(x, "boot", "order", value, NULL);
        ++*boot_nth;
    }
    empty_tag(x, "alias", "name", alias, NULL);
    close_tag(x, "disk");
}

static void write_cdrom(struct xml *x, const struct vr_launch *launch)
{
    const char *dev = is_q35(launch) ? "sdc" : "hdc";
    char order[32];

    open_tag(x, "disk", "type", "file", "device", "cdrom", "snapshot", "no", NULL);
    empty_tag(x, "driver", "name", "qemu", "type", "raw", "error_policy", "report", NULL);
    /* The host puts the image's path there, or leaves the drive empty. */
    open_tag(x, "source", "file", "", "startupPolicy", "optional", NULL);
    empty_tag(x, "seclabel", "model", "dac", "type", "none", "relabel", "no", NULL);
    close_tag(x, "source");
    empty_tag(x, "target", "dev", dev, "bus", is_q35(launch) ? "sata" : "ide", NULL);
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

static void write_nic(struct xml *x, const struct vr_launch *launch, unsigned index)
{
    const struct vr_launch_nic *n = &launch->nics[index];
    char order[32];
    g_autofree char *alias = g_strdup_printf("ua-%s", n->nic->id);
    bool linked = n->bridge && VR_GET(n->nic, linked, true);

    open_tag(x, "interface", "type", "bridge", NULL);
    if (n->nic->mac && n->nic->mac->address)
        empty_tag(x, "mac", "address", n->nic->mac->address, NULL);
    empty_tag(x, "source", "bridge", n->bridge ? n->bridge : ";vdsmdummy;", NULL);
    empty_tag(x, "model", "type", nic_model(n->nic), NULL);
    empty_tag(x, "link", "state", linked ? "up" : "down", NULL);
    if (n->filter)
        empty_tag(x, "filterref", "filter", n->filter, NULL);
    const char *value = boot_order(order, launch->vm, VR_BOOT_DEVICE_NETWORK, index);
    if (value)
        empty_tag(x, "boot", "order", value, NULL);
    empty_tag(x, "alias", "name", alias, NULL);
    close_tag(x, "interface");
}

/* A password nobody has and an end of validity in the past: a ticket opens the console. */
static void write_graphics(struct xml *x, const struct vr_launch *launch, const char *type)
{
    const struct vr_display *display = launch->vm->display;
    bool spice = strcmp(type, "spice") == 0;
    open_tag(x, "graphics", "type", type, "port", "-1", "autoport", "yes", "tlsPort",
             spice ? "-1" : NULL, "passwd", "*****", "passwdValidTo", "1970-01-01T00:00:01",
             "keymap", display ? display->keyboard_layout : NULL, "defaultMode",
             spice ? "secure" : NULL, NULL);
    if (launch->display_network) {
        g_autofree char *network = g_strdup_printf("vdsm-%s", launch->display_network);
        empty_tag(x, "listen", "type", "network", "network", network, NULL);
    } else {
        empty_tag(x, "listen", "type", "address", "address", "0", NULL);
    }
    if (spice && display && !VR_GET(display, copy_paste_enabled, true))
        empty_tag(x, "clipboard", "copypaste", "no", NULL);
    if (spice && display && !VR_GET(display, file_transfer_enabled, true))
        empty_tag(x, "filetransfer", "enable", "no", NULL);
    close_tag(x, "graphics");
}

static void write_video(struct xml *x, const struct vr_launch *launch)
{
    const struct vr_display *display = launch->vm->display;
    const char *model = launch->spice ? "qxl" : "vga";
    if (display && VR_HAS(display, video_type))
        switch (display->video_type) {
        case VR_VIDEO_TYPE_QXL:
            model = "qxl";
            break;
        case VR_VIDEO_TYPE_VGA:
            model = "vga";
            break;
        case VR_VIDEO_TYPE_CIRRUS:
            model = "cirrus";
            break;
        case VR_VIDEO_TYPE_BOCHS:
            model = "bochs";
            break;
        default:
            break;
        }
    open_tag(x, "video", NULL);
    empty_tag(x, "model", "type", model, "vram", strcmp(model, "qxl") == 0 ? "32768" : "16384",
              "heads", "1", NULL);
    empty_tag(x, "alias", "name", "ua-video", NULL);
    close_tag(x, "video");
}

static void write_channel(struct xml *x, const char *vm_id, const char *name)
{
    g_autofree char *path =
        g_strdup_printf("/var/lib/libvirt/qemu/channels/%s.%s", vm_id, name);
    open_tag(x, "channel", "type", "unix", NULL);
    empty_tag(x, "source", "mode", "bind", "path", path, NULL);
    empty_tag(x, "target", "type", "virtio", "name", name, NULL);
    close_tag(x, "channel");
}

static void write_simple_devices(struct xml *x, const struct vr_launch *launch)
{
    const struct vr_vm *vm = launch->vm;
    const struct vr_memory_policy *policy = vm->memory_policy;

    empty_tag(x, "input", "type", "tablet", "bus", "usb", NULL);
    empty_tag(x, "controller", "type", "usb", "model",
              is_q35(launch) ? "qemu-xhci" : "piix3-uhci", "index", "0", NULL);
    empty_tag(x, "controller", "type", "virtio-serial", "index", "0", "ports", "16", NULL);
    if (!vm->virtio_scsi || VR_GET(vm->virtio_scsi, enabled, true))
        empty_tag(x, "controller", "type", "scsi", "model", "virtio-scsi", "index", "0", NULL);
    empty_tag(x, "memballoon", "model",
              !policy || VR_GET(policy, ballooning, true) ? "virtio" : "none", NULL);
    open_tag(x, "rng", "model", "virtio", NULL);
    text_tag(x, "backend", "/dev/urandom", "model", "random", NULL);
    close_tag(x, "rng");
    if (VR_GET(vm, soundcard_enabled, false))
        empty_tag(x, "sound", "model", "ich6", NULL);
    if (launch->watchdog_model)
        empty_tag(x, "watchdog", "model", launch->watchdog_model, "action",
                  launch->watchdog_action ? launch->watchdog_action : "none", NULL);
    if (vm->console && VR_GET(vm->console, enabled, false)) {
        g_autofree char *path =
            g_strdup_printf("/var/run/ovirt-vmconsole-console/%s.sock", vm->id);
        open_tag(x, "serial", "type", "unix", NULL);
        empty_tag(x, "source", "mode", "bind", "path", path, NULL);
        empty_tag(x, "target", "port", "0", NULL);
        close_tag(x, "serial");
    }
    if (launch->spice) { /* of the guest's SPICE agent: sizes, copy and paste */
        open_tag(x, "channel", "type", "spicevmc", NULL);
        empty_tag(x, "target", "type", "virtio", "name", "com.redhat.spice.0", NULL);
        close_tag(x, "channel");
    }
    write_channel(x, vm->id, "ovirt-guest-agent.0");
    write_channel(x, vm->id, "org.qemu.guest_agent.0");
}

static void write_devices(struct xml *x, const struct vr_launch *launch,
                          const struct target *targets)
{
    unsigned boot_nth = 0;
    open_tag(x, "devices", NULL);
    for (unsigned i = 0; i < launch->disk_count; i++)
        write_disk(x, launch, i, &targets[i], &boot_nth);
    write_cdrom(x, launch);
    for (unsigned i = 0; i < launch->nic_count; i++)
        write_nic(x, launch, i);
    if (launch->spice)
        write_graphics(x, launch, "spice");
    if (launch->vnc)
        write_graphics(x, launch, "vnc");
    if (launch->spice || launch->vnc)
        write_video(x, launch);
    write_simple_devices(x, launch);
    close_tag(x, "devices");
}

static void write_cpu(struct xml *x, const struct vr_launch *launch, const struct shape *shape)
{
    char sockets[32], cores[32], threads[32], memory[32], last[32];
    const char *model = launch->cpu_model ? launch->cpu_model : "host-model";
    bool host = g_str_has_prefix(model, "host-");

    open_tag(x, "cpu", "mode", host ? model : "custom", "match", host ? NULL : "exact", "check",
             host ? NULL : "partial", NULL);
    if (!host)
        text_tag(x, "model", model, "fallback", "allow", NULL);
    empty_tag(x, "topology", "sockets",
              number(sockets, shape->maximum_vcpus / shape->cores / shape->threads), "cores",
              number(cores, shape->cores), "threads", number(threads, shape->threads), NULL);
    if (shape->hot_memory) {
        g_snprintf(last, sizeof(last), "0-%u", shape->maximum_vcpus - 1);
        open_tag(x, "numa", NULL);
        empty_tag(x, "cell", "id", "0", "cpus", last, "memory", number(memory, shape->memory), NULL);
        close_tag(x, "numa");
    }
    close_tag(x, "cpu");
}

static void write_os(struct xml *x, const struct vr_launch *launch)
{
    const struct vr_vm *vm = launch->vm;
    open_tag(x, "os", NULL);
    text_tag(x, "type", "hvm", "arch", "x86_64", "machine",
             launch->machine ? launch->machine : "q35", NULL);
    if (vm->os && vm->os->kernel && vm->os->kernel[0]) {
        text_tag(x, "kernel", vm->os->kernel, NULL);
        if (vm->os->initrd && vm->os->initrd[0])
            text_tag(x, "initrd", vm->os->initrd, NULL);
        if (vm->os->cmdline && vm->os->cmdline[0])
            text_tag(x, "cmdline", vm->os->cmdline, NULL);
    }
    empty_tag(x, "smbios", "mode", "sysinfo", NULL);
    if (vm->bios && vm->bios->boot_menu && VR_GET(vm->bios->boot_menu, enabled, false))
        empty_tag(x, "bootmenu", "enable", "yes", "timeout", "30000", NULL);
    close_tag(x, "os");
}

static void write_sysinfo(struct xml *x, const struct vr_launch *launch)
{
    const struct vr_serial_number *serial = launch->vm->serial_number;
    const char *serial_text = "HOST-SERIAL:";
    if (serial && VR_HAS(serial, policy)) {
        if (serial->policy == VR_SERIAL_NUMBER_POLICY_VM)
            serial_text = launch->vm->id;
        else if (serial->policy == VR_SERIAL_NUMBER_POLICY_CUSTOM && serial->value)
            serial_text = serial->value;
    }
    open_tag(x, "sysinfo", "type", "smbios", NULL);
    open_tag(x, "system", NULL);
    text_tag(x, "entry", launch->manager_name, "name", "manufacturer", NULL);
    text_tag(x, "entry", "OS-NAME:", "name", "product", NULL);
    text_tag(x, "entry", "OS-VERSION:", "name", "version", NULL);
    text_tag(x, "entry", serial_text, "name", "serial", NULL);
    text_tag(x, "entry", launch->vm->id, "name", "uuid", NULL);
    text_tag(x, "entry", launch->manager_version, "name", "sku", NULL);
    close_tag(x, "system");
    close_tag(x, "sysinfo");
}

static void write_clock(struct xml *x, const struct vr_launch *launch)
{
    char offset[32];
    open_tag(x, "clock", "offset", "variable", "adjustment",
             number(offset, launch->guest_time_offset), NULL);
    empty_tag(x, "timer", "name", "rtc", "tickpolicy", "catchup", NULL);
    empty_tag(x, "timer", "name", "pit", "tickpolicy", "delay", NULL);
    empty_tag(x, "timer", "name", "hpet", "present", "no", NULL);
    close_tag(x, "clock");
}

static void write_size(struct xml *x, const struct vr_launch *launch, const struct shape *shape)
{
    char buffer[32], current[32];
    text_tag(x, "name", launch->vm->name, NULL);
    text_tag(x, "uuid", launch->vm->id, NULL);
    text_tag(x, "memory", number(buffer, shape->memory), "unit", "KiB", NULL);
    text_tag(x, "currentMemory", number(buffer, shape->memory), "unit", "KiB", NULL);
    if (shape->hot_memory)
        text_tag(x, "maxMemory", number(buffer, shape->maximum), "slots", "16", "unit", "KiB",
                 NULL);
    text_tag(x, "vcpu", number(buffer, shape->maximum_vcpus), "current",
             number(current, shape->sockets * shape->cores * shape->threads), NULL);
    if (VR_HAS(launch->vm, cpu_shares) && launch->vm->cpu_shares > 0) {
        open_tag(x, "cputune", NULL);
        text_tag(x, "shares", number(buffer, (uint64_t)launch->vm->cpu_shares), NULL);
        close_tag(x, "cputune");
    }
}

char *vr_launch_xml(const struct vr_launch *launch)
{
    struct shape shape = shape_of(launch->vm);
    struct xml x = { .out = g_string_new(vr_xml_prolog) };
    g_autofree struct target *targets = g_new0(struct target, launch->disk_count + 1);
    assign_targets(launch, targets);

    open_tag(&x, "domain", "type", "kvm", "xmlns:ovirt-tune", "http://ovirt.org/vm/tune/1.0",
             "xmlns:ovirt-vm", "http://ovirt.org/vm/1.0", NULL);
    write_size(&x, launch, &shape);
    write_os(&x, launch);
    write_sysinfo(&x, launch);
    open_tag(&x, "features", NULL);
    empty_tag(&x, "acpi", NULL);
    close_tag(&x, "features");
    write_cpu(&x, launch, &shape);
    write_clock(&x, launch);
    write_devices(&x, launch, targets);
    open_tag(&x, "pm", NULL);
    empty_tag(&x, "suspend-to-disk", "enabled", "no", NULL);
    empty_tag(&x, "suspend-to-mem", "enabled", "no", NULL);
    close_tag(&x, "pm");

    write_metadata(&x, launch, &shape);
    for (unsigned i = 0; i < launch->disk_count; i++)
        write_pdiv(&x, targets[i].name, launch->disks[i].pool_id, launch->disks[i].domain_id,
                   launch->disks[i].disk->id, launch->disks[i].volume_id,
                   VR_GET(launch->disks[i].disk, shareable, false));
    if (launch->cdrom.image_id)
        write_pdiv(&x, is_q35(launch) ? "sdc" : "hdc", launch->cdrom.pool_id,
                   launch->cdrom.domain_id, launch->cdrom.image_id, launch->cdrom.volume_id, false);
    close_tag(&x, "ovirt-vm:vm");
    close_tag(&x, "metadata");
    close_tag(&x, "domain");
    return g_string_free(x.out, FALSE);
}
