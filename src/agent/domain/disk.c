/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "domain"
#include "agent/domain/vm.h"

#include <json-c/json.h>
#include <stdlib.h>

/* Media and sizes of a running machine's disks. */

/* Where the new medium is: PDIV members of the drive_spec object, or of the call itself. */
struct medium {
    const char *pool, *domain, *image, *volume, *path;
};

static const char *member(json_object *object, const char *name)
{
    json_object *value;
    return json_object_object_get_ex(object, name, &value) ? json_object_get_string(value) : NULL;
}

static void read_medium(const struct vr_rpc_drive_spec *spec, json_object *object,
                        struct medium *medium)
{
    *medium = (struct medium){ spec->pool_id, spec->domain_id, spec->image_id, spec->volume_id,
                               spec->path };
    if (json_object_is_type(object, json_type_string))
        medium->path = json_object_get_string(object);
    if (!json_object_is_type(object, json_type_object))
        return;
    medium->pool = member(object, "poolID");
    medium->domain = member(object, "domainID");
    medium->image = member(object, "imageID");
    medium->volume = member(object, "volumeID");
    medium->path = member(object, "path");
}

/* hdc for ide 2, sdc for sata and scsi, fda for floppies. */
static char *target_of(const char *iface, int64_t index)
{
    if (index < 0 || index > 25)
        return NULL;
    const char *prefix = !g_strcmp0(iface, "ide")      ? "hd"
                         : !g_strcmp0(iface, "virtio") ? "vd"
                         : !g_strcmp0(iface, "fdc")    ? "fd"
                                                       : "sd";
    return g_strdup_printf("%s%c", prefix, (char)('a' + index));
}

static xmlNode *find_drive(struct vr_change *change, const char *target, const char *device)
{
    VR_TREE_EACH (disk, change->devices, "disk") {
        if (device && !vr_tree_attr_is(disk, "device", device))
            continue;
        if (!target || vr_tree_attr_is(vr_tree_child(disk, "target"), "dev", target))
            return disk;
    }
    return NULL;
}

/* The path of the medium; NULL without an error: the drive is emptied. */
static char *medium_path(struct vr_domains *domains, const struct medium *medium, bool *block,
                         struct vr_error **error)
{
    const struct vr_domains_hooks *hooks = domains->hooks;
    *block = false;
    if (medium->image && *medium->image) {
        if (!hooks->prepare || !medium->domain || !medium->volume) {
            vr_agent_error(error, missing_parameter, "domainID, imageID and volumeID");
            return NULL;
        }
        return hooks->prepare(medium->pool, medium->domain, medium->image, medium->volume, block,
                              hooks->arg, error);
    }
    if (!medium->path || !*medium->path)
        return NULL;
    /* The older form names a file; only those below our storage may be handed to a guest. */
    g_autofree char *real = g_canonicalize_filename(medium->path, "/");
    g_autofree char *root = g_strdup_printf("%s/", domains->config->run_root);
    if (!g_str_has_prefix(real, root)) {
        vr_agent_error(error, change_disk, "%s is not on this host's storage.", medium->path);
        return NULL;
    }
    return g_steal_pointer(&real);
}

/* What the domain's metadata says about the drive from now on. */
static void note_medium(struct vr_change *change, const char *target, const struct medium *medium)
{
    xmlNode *vm = vr_domain_metadata(change->root);
    if (!vm)
        return;
    VR_TREE_EACH (device, vm, "device")
        if (vr_tree_attr_is(device, "devtype", "disk") && vr_tree_attr_is(device, "name", target))
            vr_tree_remove(device);
    if (medium->image && *medium->image) {
        const struct {
            const char *name, *value;
        } rows[] = { { "poolID", medium->pool },
                     { "domainID", medium->domain },
                     { "imageID", medium->image },
                     { "volumeID", medium->volume } };
        xmlNode *device = xmlNewChild(vm, vm->ns, (const xmlChar *)"device", NULL);
        vr_tree_set_attr(device, "devtype", "disk");
        vr_tree_set_attr(device, "name", target);
        for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++)
            if (rows[i].value)
                xmlNewTextChild(device, vm->ns, (const xmlChar *)rows[i].name,
                                (const xmlChar *)rows[i].value);
    }
    if (!vr_change_store_metadata(change))
        vr_log_warning("The metadata of VM %s could not be changed.", change->vm->id);
}

static void teardown_old(struct vr_domains *domains, GPtrArray *disks, const char *target)
{
    for (unsigned i = 0; i < disks->len && domains->hooks->teardown; i++) {
        const struct vr_domain_disk *disk = disks->pdata[i];
        if (!g_strcmp0(disk->name, target) && disk->image && disk->volume && disk->domain)
            domains->hooks->teardown(disk->pool, disk->domain, disk->image, disk->volume,
                                     domains->hooks->arg);
    }
}

/*
 * As the Manager has it in the disks of a domain: the file keeps its owner.  libvirt would give it
 * to QEMU's user, and to root when the disc is taken out; other hosts have it in use.
 */
static void keep_owner(xmlNode *source)
{
    xmlNode *label = xmlNewChild(source, NULL, (const xmlChar *)"seclabel", NULL);
    vr_tree_set_attr(label, "model", "dac");
    vr_tree_set_attr(label, "relabel", "no");
}

bool vr_domain_change_cd(struct vr_domains *domains, const char *id,
                         const struct vr_rpc_drive_spec *spec, struct vr_error **error)
{
    vr_auto_change struct vr_change change = { 0 };
    if (!vr_change_begin(domains, id, VIR_DOMAIN_XML_SECURE, &change, error))
        return false;
    g_autofree char *wanted = VR_HAS(spec, index) ? target_of(spec->iface, spec->index) : NULL;
    xmlNode *disk = find_drive(&change, wanted, "cdrom");
    if (!disk) {
        vr_agent_error(error, change_disk, "The machine has no CD drive %s.", wanted ? wanted : "");
        return false;
    }
    g_autofree char *target = vr_tree_attr(vr_tree_child(disk, "target"), "dev");
    json_object *object = spec->drive_spec ? json_tokener_parse(spec->drive_spec) : NULL;
    struct medium medium;
    read_medium(spec, object, &medium);

    bool block;
    bool good = false;
    g_autoptr(GPtrArray) before = vr_domain_disks(change.root);
    g_autofree char *path = medium_path(domains, &medium, &block, error);
    if (!*error) {
        xmlNode *source = vr_tree_child(disk, "source");
        vr_tree_remove(source);
        vr_tree_remove(vr_tree_child(disk, "backingStore"));
        if (path) {
            vr_tree_set_attr(disk, "type", block ? "block" : "file");
            source = vr_tree_ensure(disk, "source");
            vr_tree_set_attr(source, block ? "dev" : "file", path);
            keep_owner(source);
        }
        /* By force: a guest that has the old disc mounted keeps the tray shut. */
        g_autofree char *text = vr_tree_text(change.doc, disk);
        good = virDomainUpdateDeviceFlags(change.dom, text,
                                          VIR_DOMAIN_AFFECT_LIVE |
                                              VIR_DOMAIN_DEVICE_MODIFY_FORCE) == 0;
        if (!good)
            vr_connection_error(error, &vr_agent_fault_change_disk);
    }
    if (good) {
        note_medium(&change, target, &medium);
        teardown_old(domains, before, target);
        vr_vm_refresh(domains, change.vm, change.dom);
    }
    json_object_put(object);
    return good;
}

char *vr_domain_extend_disk(struct vr_domains *domains, const char *id,
                            const struct vr_rpc_drive_spec *spec, uint64_t size,
                            struct vr_error **error)
{
    vr_auto_change struct vr_change change = { 0 };
    if (!vr_change_begin(domains, id, 0, &change, error))
        return NULL;
    const char *target = NULL;
    g_autoptr(GPtrArray) disks = vr_domain_disks(change.root);
    for (unsigned i = 0; i < disks->len && !target; i++) {
        const struct vr_domain_disk *disk = disks->pdata[i];
        if ((spec->image_id && !g_strcmp0(disk->image, spec->image_id)) ||
            (spec->guid && !g_strcmp0(disk->guid, spec->guid)))
            target = disk->name;
    }
    if (!target) {
        vr_agent_error(error, resize_disk, "The machine has no such disk.");
        return NULL;
    }
    if (virDomainBlockResize(change.dom, target, size, VIR_DOMAIN_BLOCK_RESIZE_BYTES) < 0) {
        vr_connection_error(error, &vr_agent_fault_resize_disk);
        return NULL;
    }
    return g_strdup_printf("%" G_GUINT64_FORMAT, size);
}

#define SCREENSHOT_MAX MiB(64)

static bool receive(virStreamPtr stream, GByteArray *into)
{
    char buffer[64 * 1024];
    for (;;) {
        int got = virStreamRecv(stream, buffer, sizeof(buffer));
        if (got == 0)
            return virStreamFinish(stream) == 0;
        if (got < 0 || into->len + (uint64_t)got > SCREENSHOT_MAX)
            return false;
        g_byte_array_append(into, (const guint8 *)buffer, (guint)got);
    }
}

struct vr_rpc_screenshot_response *vr_domain_screenshot(struct vr_domains *domains, const char *id,
                                                        struct vr_error **error)
{
    vr_auto_vm struct vr_vm *vm = vr_vm_find(domains, id, error);
    vr_auto_dom virDomainPtr dom = vm ? vr_connection_domain(domains, vm->id, error) : NULL;
    if (!dom)
        return NULL;
    virStreamPtr stream = virStreamNew(virDomainGetConnect(dom), 0);
    char *type = stream ? virDomainScreenshot(dom, stream, 0, 0) : NULL;
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    struct vr_rpc_screenshot_response *result = NULL;
    if (type && receive(stream, bytes)) {
        result = VR_NEW(rpc_screenshot_response);
        VR_TAKE_STRING(result, data, g_base64_encode(bytes->data, bytes->len));
        VR_SET_STRING(result, encoding, "base64");
        VR_SET_STRING(result, mime_type, type);
    } else {
        vr_connection_error(error, &vr_agent_fault_general);
        if (type)
            virStreamAbort(stream);
    }
    free(type);
    if (stream)
        virStreamFree(stream);
    return result;
}
