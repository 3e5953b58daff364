/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "devices"
#include "agent/devices/devices.h"

#include <errno.h>
#include <stdio.h>

#include "agent/stats/proc.h"

/* DMI's text, or NULL when it is missing or a vendor's filler. */
static char *dmi(const char *name)
{
    static const char *const fillers[] = {
        "", "None", "Not Specified", "To Be Filled By O.E.M.", "Default string", "0"
    };
    char *text = vr_proc_read("/sys/class/dmi/id/%s", name);
    for (unsigned i = 0; text && i < G_N_ELEMENTS(fillers); i++)
        if (!strcmp(text, fillers[i]))
            g_clear_pointer(&text, g_free);
    return text;
}

char *vr_devices_uuid(const struct vr_agent_config *config)
{
    if (config->uuid)
        return g_strdup(config->uuid);
    g_autofree char *path = g_build_filename(config->state, "uuid", NULL);
    char *kept = vr_proc_read("%s", path);
    if (kept && vr_uuid_valid(kept))
        return kept;
    g_free(kept);
    char *uuid = dmi("product_uuid");
    if (uuid && vr_uuid_valid(uuid)) {
        char *lower = g_ascii_strdown(uuid, -1);
        g_free(uuid);
        return lower;
    }
    g_free(uuid);
    uuid = vr_uuid_new();
    g_autoptr(GError) failure = NULL;
    if (!g_file_set_contents(path, uuid, -1, &failure))
        vr_log_error("The host's identity cannot be kept: %s", failure->message);
    return uuid;
}

struct vr_rpc_hardware_information *vr_devices_hardware(const struct vr_agent_config *config)
{
    struct vr_rpc_hardware_information *out = VR_NEW(rpc_hardware_information);
    VR_TAKE_STRING(out, system_manufacturer, dmi("sys_vendor"));
    VR_TAKE_STRING(out, system_product_name, dmi("product_name"));
    VR_TAKE_STRING(out, system_version, dmi("product_version"));
    VR_TAKE_STRING(out, system_serial_number, dmi("product_serial"));
    VR_TAKE_STRING(out, system_family, dmi("product_family"));
    VR_TAKE_STRING(out, system_uuid, vr_devices_uuid(config));
    return out;
}

static bool wanted(const struct vr_list *capabilities, const char *name)
{
    if (!capabilities || !capabilities->len)
        return true;
    for (unsigned i = 0; i < capabilities->len; i++)
        if (!strcmp(capabilities->items[i], name))
            return true;
    return false;
}

static char *hex(const char *device, const char *entry)
{
    return vr_proc_read("/sys/bus/pci/devices/%s/%s", device, entry);
}

static char *link_name(const char *device, const char *entry)
{
    g_autofree char *path = g_strdup_printf("/sys/bus/pci/devices/%s/%s", device, entry);
    g_autofree char *target = g_file_read_link(path, NULL);
    return target ? g_path_get_basename(target) : NULL;
}

static void list_pci(struct vr_map *into)
{
    g_autoptr(GDir) dir = g_dir_open("/sys/bus/pci/devices", 0, NULL);
    const char *name;
    while (dir && (name = g_dir_read_name(dir))) {
        unsigned domain, bus, slot, function;
        if (sscanf(name, "%x:%x:%x.%x", &domain, &bus, &slot, &function) != 4)
            continue;
        struct vr_rpc_host_device_params *params = VR_NEW(rpc_host_device_params);
        struct vr_rpc_host_device_address *address = VR_NEW(rpc_host_device_address);
        VR_TAKE_STRING(address, domain, g_strdup_printf("%u", domain));
        VR_TAKE_STRING(address, bus, g_strdup_printf("%u", bus));
        VR_TAKE_STRING(address, slot, g_strdup_printf("%u", slot));
        VR_TAKE_STRING(address, function, g_strdup_printf("%u", function));
        VR_TAKE(params, address, address);
        VR_SET_STRING(params, capability, "pci");
        VR_SET_STRING(params, parent, "computer");
        VR_TAKE_STRING(params, vendor_id, hex(name, "vendor"));
        VR_TAKE_STRING(params, product_id, hex(name, "device"));
        VR_TAKE_STRING(params, driver, link_name(name, "driver"));
        VR_TAKE_STRING(params, iommu_group, link_name(name, "iommu_group"));
        VR_TAKE_STRING(params, numa_node, hex(name, "numa_node"));
        /* class 0x06: bridges, which no guest can have */
        g_autofree char *class = hex(name, "class");
        bool bridge = class && g_str_has_prefix(class, "0x06");
        VR_SET_STRING(params, is_assignable, bridge ? "false" : "true");
        int64_t functions = vr_proc_number(-1, "/sys/bus/pci/devices/%s/sriov_totalvfs", name);
        if (functions >= 0)
            VR_SET(params, totalvfs, functions);
        struct vr_rpc_host_device *device = VR_NEW(rpc_host_device);
        VR_TAKE(device, params, params);
        g_autofree char *key =
            g_strdup_printf("pci_%04x_%02x_%02x_%x", domain, bus, slot, function);
        vr_map_set(into, key, device);
    }
}

static void list_usb(struct vr_map *into)
{
    g_autoptr(GDir) dir = g_dir_open("/sys/bus/usb/devices", 0, NULL);
    const char *name;
    while (dir && (name = g_dir_read_name(dir))) {
        /* "1-2.3" is a device; "1-2:1.0" one of its interfaces; "usb1" a root hub */
        if (strchr(name, ':') || !g_ascii_isdigit(*name))
            continue;
        struct vr_rpc_host_device_params *params = VR_NEW(rpc_host_device_params);
        struct vr_rpc_host_device_address *address = VR_NEW(rpc_host_device_address);
        VR_TAKE_STRING(address, bus, vr_proc_read("/sys/bus/usb/devices/%s/busnum", name));
        VR_TAKE_STRING(address, device, vr_proc_read("/sys/bus/usb/devices/%s/devnum", name));
        VR_TAKE(params, address, address);
        VR_SET_STRING(params, capability, "usb_device");
        VR_SET_STRING(params, parent, "computer");
        VR_SET_STRING(params, is_assignable, "true");
        VR_TAKE_STRING(params, vendor_id, vr_proc_read("/sys/bus/usb/devices/%s/idVendor", name));
        VR_TAKE_STRING(params, product_id, vr_proc_read("/sys/bus/usb/devices/%s/idProduct", name));
        VR_TAKE_STRING(params, vendor, vr_proc_read("/sys/bus/usb/devices/%s/manufacturer", name));
        VR_TAKE_STRING(params, product, vr_proc_read("/sys/bus/usb/devices/%s/product", name));
        struct vr_rpc_host_device *device = VR_NEW(rpc_host_device);
        VR_TAKE(device, params, params);
        g_autofree char *key = g_strdup_printf("usb_%s", name);
        g_strdelimit(key, "-.", '_');
        vr_map_set(into, key, device);
    }
}

void vr_devices_list(const struct vr_list *capabilities, struct vr_map *into)
{
    if (wanted(capabilities, "system")) {
        struct vr_rpc_host_device_params *params = VR_NEW(rpc_host_device_params);
        VR_SET_STRING(params, capability, "system");
        VR_SET_STRING(params, is_assignable, "true");
        VR_TAKE_STRING(params, product, dmi("product_name"));
        struct vr_rpc_host_device *device = VR_NEW(rpc_host_device);
        VR_TAKE(device, params, params);
        vr_map_set(into, "computer", device);
    }
    if (wanted(capabilities, "pci"))
        list_pci(into);
    if (wanted(capabilities, "usb_device"))
        list_usb(into);
}
