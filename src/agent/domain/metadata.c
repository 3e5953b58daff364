/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/domain/xml.h"

xmlNode *vr_domain_metadata(xmlNode *root)
{
    xmlNode *metadata = vr_tree_child(root, "metadata");
    VR_TREE_EACH (item, metadata, "vm")
        if (item->ns && !strcmp((const char *)item->ns->href, VR_METADATA_URI))
            return item;
    return NULL;
}

char *vr_domain_metadata_text(xmlNode *root)
{
    vr_auto_tree xmlDoc *doc = xmlNewDoc((const xmlChar *)"1.0");
    xmlNode *mine = vr_domain_metadata(root);
    if (!mine)
        return g_strdup("");
    /* A copy brings the name spaces along that were declared above it. */
    xmlNode *copy = xmlDocCopyNode(mine, doc, 1);
    xmlDocSetRootElement(doc, copy);
    xmlReconciliateNs(doc, copy);
    return vr_tree_text(doc, copy);
}

char *vr_domain_metadata_get(xmlNode *root, const char *name)
{
    return vr_tree_value(vr_domain_metadata(root), name);
}

static xmlNode *ensure_metadata(xmlNode *root)
{
    xmlNode *vm = vr_domain_metadata(root);
    if (vm)
        return vm;
    xmlNode *metadata = vr_tree_ensure(root, "metadata");
    vm = xmlNewChild(metadata, NULL, (const xmlChar *)"vm", NULL);
    xmlSetNs(vm, xmlNewNs(vm, (const xmlChar *)VR_METADATA_URI, (const xmlChar *)"ovirt-vm"));
    return vm;
}

void vr_domain_metadata_set(xmlNode *root, const char *name, const char *type, const char *value)
{
    xmlNode *vm = ensure_metadata(root);
    xmlNode *item = vr_tree_child(vm, name);
    if (!value) {
        vr_tree_remove(item);
        return;
    }
    if (!item)
        item = xmlNewChild(vm, vm->ns, (const xmlChar *)name, NULL);
    vr_tree_set_attr(item, "type", type);
    vr_tree_set_content(item, value);
}

void vr_domain_disk_free(struct vr_domain_disk *disk)
{
    if (!disk)
        return;
    g_free(disk->name);
    g_free(disk->pool);
    g_free(disk->domain);
    g_free(disk->image);
    g_free(disk->volume);
    g_free(disk->guid);
    g_free(disk);
}

GPtrArray *vr_domain_disks(xmlNode *root)
{
    GPtrArray *disks = g_ptr_array_new_with_free_func((GDestroyNotify)vr_domain_disk_free);
    VR_TREE_EACH (device, vr_domain_metadata(root), "device") {
        if (!vr_tree_attr_is(device, "devtype", "disk"))
            continue;
        struct vr_domain_disk *disk = g_new0(struct vr_domain_disk, 1);
        disk->name = vr_tree_attr(device, "name");
        disk->pool = vr_tree_value(device, "poolID");
        disk->domain = vr_tree_value(device, "domainID");
        disk->image = vr_tree_value(device, "imageID");
        disk->volume = vr_tree_value(device, "volumeID");
        disk->guid = vr_tree_value(device, "GUID");
        disk->payload = vr_tree_child(device, "payload");
        g_ptr_array_add(disks, disk);
    }
    return disks;
}

GPtrArray *vr_domain_disks_of_text(const char *xml)
{
    vr_auto_error struct vr_error *error = NULL;
    vr_auto_tree xmlDoc *doc = xml ? vr_tree_parse(xml, strlen(xml), &error) : NULL;
    GPtrArray *disks = vr_domain_disks(doc ? xmlDocGetRootElement(doc) : NULL);
    /* The document goes away; nobody prepares a payload from here. */
    for (unsigned i = 0; i < disks->len; i++)
        ((struct vr_domain_disk *)disks->pdata[i])->payload = NULL;
    return disks;
}

char *vr_domain_devices_hash(const char *xml)
{
    const char *begin = strstr(xml, "<devices>");
    const char *end = begin ? strstr(begin, "</devices>") : NULL;
    if (!end)
        return g_strdup("0");
    /* FNV-1a, 64 bits: cheap, and any change shows. */
    uint64_t hash = 0xcbf29ce484222325ULL;
    for (; begin < end; begin++)
        hash = (hash ^ (uint8_t)*begin) * 0x100000001b3ULL;
    return g_strdup_printf("%" G_GINT64_FORMAT, (gint64)hash);
}
