/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/vms/internal.h"

#include "gen/routes.h"
#include "manager/rest/reading.h"

/*
 * What guests say of themselves: kept with the machine while it runs, shown
 * as members of it and in its sub-collections.  A guest may say anything; the
 * host caps it, and so do we.
 */
#define ITEMS_MAX 64

/* --- what a host reports --- */

static void apply_addresses(struct vr_vm *vm, const struct vr_rpc_vm_stats *stats)
{
    g_auto(GStrv) words = g_strsplit_set(stats->guest_ips, " ", ITEMS_MAX);
    VR_CLEAR(vm, guest_addresses);
    for (unsigned i = 0; words[i]; i++)
        if (words[i][0])
            VR_APPEND(vm, guest_addresses, g_strdup(words[i]));
}

static void append_addresses(struct vr_guest_interface *interface, const struct vr_list *from)
{
    for (unsigned i = 0; i < from->len && interface->addresses.len < ITEMS_MAX; i++)
        VR_APPEND(interface, addresses, g_strdup(from->items[i]));
}

static void apply_report(struct vr_vm *vm, const struct vr_rpc_vm_stats *stats)
{
    vr_auto struct vr_guest_report *report = VR_NEW(guest_report);
    VR_EACH (struct vr_rpc_guest_network_device_info, nic, &stats->net_ifaces) {
        if (report->interfaces.len >= ITEMS_MAX)
            break;
        struct vr_guest_interface *interface = VR_NEW(guest_interface);
        VR_SET_STRING(interface, name, nic->name);
        VR_SET_STRING(interface, mac, nic->hw);
        append_addresses(interface, &nic->inet);
        append_addresses(interface, &nic->inet6);
        VR_APPEND(report, interfaces, interface);
    }
    for (unsigned i = 0; i < stats->apps_list.len && i < ITEMS_MAX; i++)
        VR_APPEND(report, applications, g_strdup(stats->apps_list.items[i]));
    VR_TAKE(vm, guest_report,
            report->interfaces.len + report->applications.len > 0 ? vr_ref(report) : NULL);
}

/* "7.9.2009" is major 7, minor 9, build 2009; what is no number ends it. */
static void set_version(struct vr_version *version, const char *text)
{
    int64_t numbers[3];
    unsigned count = 0;
    VR_SET_STRING(version, full_version, text);
    for (const char *c = text; count < G_N_ELEMENTS(numbers) && g_ascii_isdigit(*c);) {
        char *end;
        guint64 number = g_ascii_strtoull(c, &end, 10);
        if (number > G_MAXINT32)
            break;
        numbers[count++] = (int64_t)number;
        if (*end != '.')
            break;
        c = end + 1;
    }
    if (count > 0)
        VR_SET(version, major, numbers[0]);
    if (count > 1)
        VR_SET(version, minor, numbers[1]);
    if (count > 2)
        VR_SET(version, build, numbers[2]);
}

static void apply_system(struct vr_vm *vm, const struct vr_rpc_vm_guest_os_info *info)
{
    static const struct {
        const char *from, *family;
    } families[] = { { "linux", "Linux" }, { "windows", "Windows" } };
    vr_auto struct vr_guest_operating_system *os = VR_NEW(guest_operating_system);
    VR_SET_STRING(os, distribution, info->distribution);
    VR_SET_STRING(os, codename, info->codename);
    VR_SET_STRING(os, architecture, info->arch);
    VR_SET_STRING(os, family, "Other");
    for (unsigned i = 0; i < G_N_ELEMENTS(families); i++)
        if (info->type && g_ascii_strcasecmp(info->type, families[i].from) == 0)
            VR_SET_STRING(os, family, families[i].family);
    if (info->version)
        set_version(VR_SUB(os, version, version), info->version);
    if (info->kernel)
        set_version(VR_SUB(VR_SUB(os, kernel, kernel), version, version), info->kernel);
    VR_TAKE(vm, guest_operating_system, vr_ref(os));
}

/* Minutes east of Greenwich as "+05:30". */
static void apply_time_zone(struct vr_vm *vm, const struct vr_rpc_vm_guest_timezone *from)
{
    struct vr_time_zone *zone = VR_SUB(vm, guest_time_zone, time_zone);
    int64_t offset = CLAMP(VR_GET(from, offset, 0), -24 * 60, 24 * 60);
    int minutes = (int)ABS(offset);
    VR_SET_STRING(zone, name, from->zone);
    VR_TAKE_STRING(zone, utc_offset, g_strdup_printf("%c%02d:%02d", offset < 0 ? '-' : '+',
                                                     minutes / 60, minutes % 60));
}

void vm_apply_guest(struct vr_vm *vm, const struct vr_rpc_vm_stats *stats)
{
    if (stats->guest_fqdn && stats->guest_fqdn[0])
        VR_SET_STRING(vm, fqdn, stats->guest_fqdn);
    if (stats->guest_os_info)
        apply_system(vm, stats->guest_os_info);
    if (stats->guest_timezone)
        apply_time_zone(vm, stats->guest_timezone);
    /* A report that tells of the guest always has this member; without it, it says nothing. */
    if (stats->guest_ips) {
        apply_addresses(vm, stats);
        apply_report(vm, stats);
    }
}

/* --- what clients see --- */

static struct vr_ip *ip_new(const char *text)
{
    struct vr_ip *ip = VR_NEW(ip);
    VR_TAKE_STRING(ip, address, g_strndup(text, strcspn(text, "/")));
    VR_SET(ip, version, strchr(text, ':') ? VR_IP_VERSION_V6 : VR_IP_VERSION_V4);
    return ip;
}

static struct vr_reported_device *device_new(const char *vm_id,
                                             const struct vr_guest_interface *interface)
{
    struct vr_reported_device *device = VR_NEW(reported_device);
    const char *name = interface->name ? interface->name : "";
    g_autofree char *key = g_strdup_printf("%s %s", name, interface->mac ? interface->mac : "");
    VR_TAKE_STRING(device, id, vr_reading_id(vm_id, key));
    VR_SET_STRING(device, name, name);
    VR_SET_STRING(device, description, "guest reported data");
    VR_SET(device, type, VR_REPORTED_DEVICE_TYPE_NETWORK);
    if (interface->mac && interface->mac[0])
        VR_SET_STRING(VR_SUB(device, mac, mac), address, interface->mac);
    for (unsigned i = 0; i < interface->addresses.len; i++)
        VR_APPEND(device, ips, ip_new(interface->addresses.items[i]));
    VR_SET_LINK(device, vm, vm, vm_id);
    return device;
}

/* Of a machine, or of one of its NICs: that which has its MAC address. */
static void gather_devices(struct vr_reading *reading, const char *nic_id)
{
    const char *vm_id = reading->ids[0];
    vr_auto struct vr_vm *vm = vr_inventory_get(reading->inventory, VR_KIND_VM, vm_id);
    vr_auto struct vr_nic *nic =
        nic_id ? vr_inventory_get(reading->inventory, VR_KIND_NIC, nic_id) : NULL;
    if (nic_id && (!nic || g_strcmp0(VR_LINK_ID(nic, vm), vm_id) != 0)) {
        vr_error_set(&reading->error, &vr_fault_not_found, NULL);
        return;
    }
    if (!vm || !vm->guest_report)
        return;
    const char *mac = nic && nic->mac ? nic->mac->address : NULL;
    VR_EACH (struct vr_guest_interface, interface, &vm->guest_report->interfaces)
        if (!nic || (mac && interface->mac && g_ascii_strcasecmp(mac, interface->mac) == 0))
            vr_list_append(&reading->list, device_new(vm_id, interface));
}

void vr_vm_reported_devices_list(struct vr_reading *reading)
{
    gather_devices(reading, reading->id_count > 1 ? reading->ids[1] : NULL);
}

void vr_vm_reported_device_get(struct vr_reading *reading)
{
    gather_devices(reading, reading->id_count > 2 ? reading->ids[1] : NULL);
    vr_reading_choose(reading, reading->ids[reading->id_count - 1]);
}

void vr_vm_applications_list(struct vr_reading *reading)
{
    vr_auto struct vr_vm *vm =
        vr_inventory_get(reading->inventory, VR_KIND_VM, reading->ids[0]);
    const struct vr_guest_report *report = vm ? vm->guest_report : NULL;
    for (unsigned i = 0; report && i < report->applications.len; i++) {
        const char *name = report->applications.items[i];
        struct vr_application *application = VR_NEW(application);
        VR_TAKE_STRING(application, id, vr_reading_id(vm->id, name));
        VR_SET_STRING(application, name, name);
        VR_SET_LINK(application, vm, vm, vm->id);
        vr_list_append(&reading->list, application);
    }
}

void vr_vm_application_get(struct vr_reading *reading)
{
    vr_vm_applications_list(reading);
    vr_reading_choose(reading, reading->ids[reading->id_count - 1]);
}
