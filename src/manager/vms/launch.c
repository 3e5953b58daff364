/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/vms/writer.h"

/* --- sizes and shape --- */

struct shape {
    uint64_t memory, maximum; /* KiB */
    unsigned sockets, cores, threads, maximum_vcpus;
    bool hot_memory; /* memory slots exist, so NUMA is needed */
};

/* MaxMemorySlots, and 16 sockets for hot plug of vCPUs (facts/manager-behaviour.md 11). */
#define MEMORY_SLOTS 16
#define MAX_SOCKETS 16
/* NumOfPciExpressPorts: what a machine has from the start and what is plugged in later. */
#define PCIE_PORTS 16

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
    for (unsigned i = 0; i < launch->nic_count; i++)
        launch_write_nic_metadata(x, launch, i);
}

/* --- devices --- */

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

/* A PCI Express port takes one device, and a running machine can have no more of them. */
static void write_ports(struct xml *x)
{
    char index[32];
    for (unsigned i = 1; i <= PCIE_PORTS; i++)
        empty_tag(x, "controller", "type", "pci", "model", "pcie-root-port", "index",
                  number(index, i), NULL);
}

static void write_devices(struct xml *x, const struct vr_launch *launch,
                          char (*targets)[VR_LAUNCH_TARGET])
{
    unsigned boot_nth = 0;
    open_tag(x, "devices", NULL);
    if (is_q35(launch))
        write_ports(x);
    for (unsigned i = 0; i < launch->disk_count; i++)
        launch_write_disk(x, launch, i, targets[i], &boot_nth);
    launch_write_cdrom(x, launch);
    for (unsigned i = 0; i < launch->nic_count; i++)
        launch_write_nic(x, launch, i, true);
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
    g_autofree char(*targets)[VR_LAUNCH_TARGET] =
        g_malloc0_n(launch->disk_count + 1, VR_LAUNCH_TARGET);
    vr_launch_targets(launch, targets);

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
        launch_write_disk_metadata(&x, launch, i, targets[i]);
    if (launch->cdrom.image_id)
        launch_write_image(&x, launch_cdrom_target(launch), launch->cdrom.pool_id,
                           launch->cdrom.domain_id, launch->cdrom.image_id,
                           launch->cdrom.volume_id, false);
    close_tag(&x, "ovirt-vm:vm");
    close_tag(&x, "metadata");
    close_tag(&x, "domain");
    return g_string_free(x.out, FALSE);
}
