/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "domain"
#include "agent/domain/vm.h"

#include <stdlib.h>

/* Changes of a running machine's devices: interfaces, hot plug (facts/host-rpc.md 12). */

#define UNPLUG_WAIT_MS (30 * 1000)
#define UNPLUG_STEP_MS 1000

void vr_change_done(struct vr_change *change)
{
    if (change->doc)
        xmlFreeDoc(change->doc);
    if (change->dom)
        virDomainFree(change->dom);
    if (change->vm) {
        g_mutex_unlock(&change->vm->op);
        vr_vm_unref(change->vm);
    }
}

bool vr_change_begin(struct vr_domains *domains, const char *id, unsigned flags,
                     struct vr_change *change, struct vr_error **error)
{
    change->vm = vr_vm_find(domains, id, error);
    if (!change->vm)
        return false;
    g_mutex_lock(&change->vm->op);
    change->dom = vr_connection_domain(domains, change->vm->id, error);
    if (!change->dom)
        return false;
    char *xml = virDomainGetXMLDesc(change->dom, flags);
    if (!xml) {
        vr_connection_error(error, &vr_agent_fault_general);
        return false;
    }
    change->doc = vr_tree_parse(xml, strlen(xml), error);
    free(xml);
    if (!change->doc)
        return false;
    change->root = xmlDocGetRootElement(change->doc);
    change->devices = vr_tree_child(change->root, "devices");
    return true;
}

bool vr_change_device(struct vr_change *change, xmlNode *node, const struct vr_fault *fault,
                      struct vr_error **error)
{
    g_autofree char *xml = vr_tree_text(change->doc, node);
    if (virDomainUpdateDeviceFlags(change->dom, xml, VIR_DOMAIN_AFFECT_LIVE) == 0)
        return true;
    vr_connection_error(error, fault);
    return false;
}

static xmlNode *find_nic(struct vr_change *change, const char *mac, const char *alias)
{
    VR_TREE_EACH (node, change->devices, "interface") {
        g_autofree char *address = vr_tree_attr(vr_tree_child(node, "mac"), "address");
        if (mac && address && !g_ascii_strcasecmp(mac, address))
            return node;
        if (alias && vr_tree_attr_is(vr_tree_child(node, "alias"), "name", alias))
            return node;
    }
    return NULL;
}

bool vr_domain_update_nic(struct vr_domains *domains, const char *id,
                          const struct vr_rpc_vm_device_update *want, struct vr_error **error)
{
    vr_auto_change struct vr_change change = { 0 };
    if (!vr_change_begin(domains, id, 0, &change, error))
        return false;
    xmlNode *nic = find_nic(&change, want->mac_addr, want->alias);
    if (!nic) {
        vr_agent_error(error, update_device, "The machine has no such network interface.");
        return false;
    }
    if (VR_HAS(want, network)) {
        /* An interface without a network keeps its cable out. */
        const char *bridge = want->network && *want->network ? want->network : ";vdsmdummy;";
        if (domains->hooks->bridge && !domains->hooks->bridge(bridge, domains->hooks->arg, error))
            return false;
        vr_tree_set_attr(vr_tree_ensure(nic, "source"), "bridge", bridge);
    }
    if (VR_HAS(want, link_active))
        vr_tree_set_attr(vr_tree_ensure(nic, "link"), "state", want->link_active ? "up" : "down");
    if (VR_HAS(want, filter)) {
        vr_tree_remove(vr_tree_child(nic, "filterref"));
        if (want->filter && *want->filter)
            vr_tree_set_attr(vr_tree_ensure(nic, "filterref"), "filter", want->filter);
    }
    if (!vr_change_device(&change, nic, &vr_agent_fault_update_device, error))
        return false;
    vr_vm_refresh(domains, change.vm, change.dom);
    return true;
}

bool vr_domain_update_xml(struct vr_domains *domains, const char *id, const char *xml,
                          struct vr_error **error)
{
    vr_auto_tree xmlDoc *doc = vr_tree_parse(xml, strlen(xml), error);
    if (!doc)
        return false;
    vr_auto_change struct vr_change change = { 0 };
    if (!vr_change_begin(domains, id, 0, &change, error))
        return false;
    xmlNode *root = xmlDocGetRootElement(doc);
    xmlNode *devices = vr_tree_child(root, "devices");
    xmlNode *device = devices ? vr_tree_child(devices, NULL) : root;
    g_autofree char *text = device ? vr_tree_text(doc, device) : g_strdup("");
    if (virDomainUpdateDeviceFlags(change.dom, text, VIR_DOMAIN_AFFECT_LIVE) < 0) {
        vr_connection_error(error, &vr_agent_fault_update_device);
        return false;
    }
    vr_vm_refresh(domains, change.vm, change.dom);
    return true;
}

bool vr_change_store_metadata(struct vr_change *change)
{
    g_autofree char *text = vr_domain_metadata_text(change->root);
    return virDomainSetMetadata(change->dom, VIR_DOMAIN_METADATA_ELEMENT, text, "ovirt-vm",
                                VR_METADATA_URI, VIR_DOMAIN_AFFECT_LIVE) == 0;
}

/* Puts the metadata of plugged devices into the domain's, or takes it out. */
bool vr_change_metadata(struct vr_change *change, xmlNode *from, bool add)
{
    xmlNode *mine = vr_domain_metadata(change->root);
    if (!mine || !from)
        return true;
    VR_TREE_EACH (device, from, "device") {
        g_autofree char *name = vr_tree_attr(device, "name");
        g_autofree char *mac = vr_tree_attr(device, "mac_address");
        VR_TREE_EACH (old, mine, "device") {
            bool same = (name && vr_tree_attr_is(old, "name", name)) ||
                        (mac && vr_tree_attr_is(old, "mac_address", mac));
            if (same)
                vr_tree_remove(old);
        }
        if (add)
            xmlAddChild(mine, xmlDocCopyNode(device, change->doc, 1));
    }
    return vr_change_store_metadata(change);
}

static xmlNode *first_device(xmlNode *root)
{
    return vr_tree_child(vr_tree_child(root, "devices"), NULL);
}

static bool prepare_plugged(struct vr_domains *domains, const char *vm_id, xmlNode *root,
                            xmlNode *device, struct vr_error **error)
{
    struct vr_domain_host *view = vr_host_view_new(domains);
    bool good = vr_domain_xml_prepare_device(device, view, error);
    if (good && !strcmp((const char *)device->name, "disk")) {
        g_autoptr(GPtrArray) disks = vr_domain_disks(root);
        for (unsigned i = 0; i < disks->len && good; i++) {
            const struct vr_domain_disk *disk = disks->pdata[i];
            if (vr_tree_attr_is(vr_tree_child(device, "target"), "dev", disk->name))
                good = vr_domain_xml_prepare_disk(device, disk, vm_id, view, error);
        }
    }
    vr_host_view_free(view);
    return good;
}

static void release_disks(struct vr_domains *domains, xmlNode *root)
{
    g_autoptr(GPtrArray) disks = vr_domain_disks(root);
    for (unsigned i = 0; i < disks->len && domains->hooks->teardown; i++) {
        const struct vr_domain_disk *disk = disks->pdata[i];
        if (disk->image && disk->volume && disk->domain)
            domains->hooks->teardown(disk->pool, disk->domain, disk->image, disk->volume,
                                     domains->hooks->arg);
    }
}

static struct vr_rpc_vm_definition *plug_result(struct vr_change *change)
{
    struct vr_rpc_vm_definition *result = VR_NEW(rpc_vm_definition);
    char *xml = virDomainGetXMLDesc(change->dom, 0);
    VR_SET_STRING(result, vm_id, change->vm->id);
    VR_SET_STRING(result, xml, xml);
    result->has.devices = true;
    vr_auto_error struct vr_error *ignored = NULL;
    vr_auto_tree xmlDoc *doc = xml ? vr_tree_parse(xml, strlen(xml), &ignored) : NULL;
    free(xml);
    xmlNode *devices = doc ? vr_tree_child(xmlDocGetRootElement(doc), "devices") : NULL;
    VR_TREE_EACH (nic, devices, "interface") {
        struct vr_rpc_vm_device *device = VR_NEW(rpc_vm_device);
        VR_TAKE_STRING(device, mac_addr, vr_tree_attr(vr_tree_child(nic, "mac"), "address"));
        VR_TAKE_STRING(device, alias, vr_tree_attr(vr_tree_child(nic, "alias"), "name"));
        VR_SET_STRING(device, device_type, "interface");
        VR_APPEND(result, devices, device);
    }
    return result;
}

/* What names the device in the live XML: its alias, MAC address or target. */
static xmlNode *find_live(struct vr_change *change, const xmlNode *device)
{
    const char *kind = (const char *)device->name;
    g_autofree char *alias = vr_tree_attr(vr_tree_child(device, "alias"), "name");
    g_autofree char *mac = vr_tree_attr(vr_tree_child(device, "mac"), "address");
    g_autofree char *target = vr_tree_attr(vr_tree_child(device, "target"), "dev");
    VR_TREE_EACH (node, change->devices, kind) {
        g_autofree char *address = vr_tree_attr(vr_tree_child(node, "mac"), "address");
        if ((alias && vr_tree_attr_is(vr_tree_child(node, "alias"), "name", alias)) ||
            (mac && address && !g_ascii_strcasecmp(mac, address)) ||
            (target && vr_tree_attr_is(vr_tree_child(node, "target"), "dev", target)))
            return node;
    }
    return NULL;
}

/* A Manager that lost the first answer asks again. */
static bool is_plugged(struct vr_change *change, xmlNode *device)
{
    g_autofree char *alias = vr_tree_attr(vr_tree_child(device, "alias"), "name");
    xmlNode *live = alias ? find_live(change, device) : NULL;
    return live && vr_tree_attr_is(vr_tree_child(live, "alias"), "name", alias);
}

bool vr_domain_plug(struct vr_domains *domains, const char *id, const char *xml,
                    const struct vr_fault *fault, struct vr_rpc_vm_definition **ret,
                    struct vr_error **error)
{
    vr_auto_tree xmlDoc *doc = vr_tree_parse(xml ? xml : "", xml ? strlen(xml) : 0, error);
    if (!doc)
        return false;
    xmlNode *root = xmlDocGetRootElement(doc);
    xmlNode *device = first_device(root);
    if (!device) {
        vr_error_set(error, fault, "The XML has no device.");
        return false;
    }
    vr_auto_change struct vr_change change = { 0 };
    if (!vr_change_begin(domains, id, VIR_DOMAIN_XML_SECURE, &change, error))
        return false;
    if (is_plugged(&change, device)) {
        if (ret)
            *ret = plug_result(&change);
        return true;
    }
    if (!prepare_plugged(domains, change.vm->id, root, device, error))
        return false;
    g_autofree char *text = vr_tree_text(doc, device);
    if (virDomainAttachDeviceFlags(change.dom, text, VIR_DOMAIN_AFFECT_LIVE) < 0) {
        vr_connection_error(error, fault);
        release_disks(domains, root);
        return false;
    }
    if (!vr_change_metadata(&change, vr_domain_metadata(root), true))
        vr_log_warning("The metadata of a device plugged into VM %s could not be kept.",
                       change.vm->id);
    vr_vm_refresh(domains, change.vm, change.dom);
    if (ret)
        *ret = plug_result(&change);
    return true;
}

static bool is_gone(struct vr_change *change, const xmlNode *device)
{
    vr_auto_error struct vr_error *error = NULL;
    char *xml = virDomainGetXMLDesc(change->dom, 0);
    if (!xml) /* with the machine, everything in it is gone */
        return virDomainIsActive(change->dom) != 1;
    vr_auto_tree xmlDoc *doc = vr_tree_parse(xml, strlen(xml), &error);
    free(xml);
    if (!doc)
        return false;
    struct vr_change now = { .devices = vr_tree_child(xmlDocGetRootElement(doc), "devices") };
    return !find_live(&now, device);
}

static bool wait_gone(struct vr_domains *domains, struct vr_change *change, const xmlNode *device)
{
    gint64 until = g_get_monotonic_time() + UNPLUG_WAIT_MS * 1000;
    while (!is_gone(change, device)) {
        gint64 now = g_get_monotonic_time();
        if (now >= until)
            return false;
        vr_mutex_lock(&domains->lock);
        g_cond_wait_until(&domains->changed, &domains->lock.mutex,
                          MIN(until, now + UNPLUG_STEP_MS * 1000));
        vr_mutex_unlock(&domains->lock);
    }
    return true;
}

bool vr_domain_unplug(struct vr_domains *domains, const char *id, const char *xml,
                      const struct vr_fault *fault, struct vr_rpc_vm_definition **ret,
                      struct vr_error **error)
{
    vr_auto_tree xmlDoc *doc = vr_tree_parse(xml ? xml : "", xml ? strlen(xml) : 0, error);
    if (!doc)
        return false;
    xmlNode *root = xmlDocGetRootElement(doc);
    xmlNode *device = first_device(root);
    if (!device) {
        vr_error_set(error, fault, "The XML has no device.");
        return false;
    }
    vr_auto_change struct vr_change change = { 0 };
    if (!vr_change_begin(domains, id, VIR_DOMAIN_XML_SECURE, &change, error))
        return false;
    xmlNode *live = find_live(&change, device);
    if (live) {
        g_autofree char *text = vr_tree_text(change.doc, live);
        if (virDomainDetachDeviceFlags(change.dom, text, VIR_DOMAIN_AFFECT_LIVE) < 0 &&
            virGetLastErrorCode() != VIR_ERR_DEVICE_MISSING) {
            vr_connection_error(error, fault);
            return false;
        }
        bool gone = wait_gone(domains, &change, live);
        if (!gone) {
            vr_error_set(error, fault, "The guest did not let go of the device in %u s.",
                         UNPLUG_WAIT_MS / 1000);
            return false;
        }
        release_disks(domains, root);
    }
    vr_change_metadata(&change, vr_domain_metadata(root), false);
    vr_vm_refresh(domains, change.vm, change.dom);
    if (ret)
        *ret = plug_result(&change);
    return true;
}

bool vr_domain_set_cpus(struct vr_domains *domains, const char *id, unsigned count,
                        struct vr_error **error)
{
    vr_auto_change struct vr_change change = { 0 };
    if (!vr_change_begin(domains, id, 0, &change, error))
        return false;
    if (virDomainSetVcpusFlags(change.dom, count, VIR_DOMAIN_AFFECT_LIVE) < 0) {
        vr_connection_error(error, &vr_agent_fault_set_cpus);
        return false;
    }
    vr_vm_refresh(domains, change.vm, change.dom);
    return true;
}

bool vr_domain_set_balloon(struct vr_domains *domains, const char *id, uint64_t kib,
                           struct vr_error **error)
{
    vr_auto_change struct vr_change change = { 0 };
    if (!vr_change_begin(domains, id, 0, &change, error))
        return false;
    if (virDomainSetMemory(change.dom, kib) < 0) {
        vr_connection_error(error, &vr_agent_fault_balloon);
        return false;
    }
    g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT, kib);
    vr_domain_metadata_set(change.root, "balloonTarget", "int", text);
    vr_change_store_metadata(&change);
    vr_vm_refresh(domains, change.vm, change.dom);
    return true;
}
