/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "domain"
#include "agent/domain/xml.h"

#include "agent/fault.h"

/*
 * A processor that TCG can be on any host, and that today's distributions
 * still accept (x86-64-v2).
 */
#define TCG_MODEL "Nehalem"

static void fill_placeholders(xmlNode *root, const struct vr_domain_host *host)
{
    const struct {
        const char *mark, *value;
    } rows[] = {
        { "OS-NAME:", host->os_name },
        { "OS-VERSION:", host->os_version },
        { "HOST-SERIAL:", host->serial },
    };
    VR_TREE_EACH (sysinfo, root, "sysinfo") {
        VR_TREE_EACH (group, sysinfo, NULL) {
            VR_TREE_EACH (entry, group, "entry") {
                g_autofree char *text = vr_tree_content(entry);
                for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++)
                    if (g_str_has_prefix(text, rows[i].mark)) {
                        if (rows[i].value && *rows[i].value)
                            vr_tree_set_content(entry, rows[i].value);
                        else
                            vr_tree_remove(entry);
                        break;
                    }
            }
        }
    }
}

/* Under TCG no model of the host can be passed through, and few named ones are complete. */
static void fit_cpu(xmlNode *root)
{
    xmlNode *cpu = vr_tree_ensure(root, "cpu");
    for (xmlNode *child = vr_tree_child(cpu, NULL), *next; child; child = next) {
        next = vr_tree_next(child, NULL);
        const char *name = (const char *)child->name;
        if (strcmp(name, "topology") && strcmp(name, "numa"))
            vr_tree_remove(child);
    }
    vr_tree_set_attr(cpu, "match", "exact");
    vr_tree_set_attr(cpu, "mode", "custom");
    vr_tree_set_attr(cpu, "check", "none");
    vr_tree_set_attr(cpu, "migratable", NULL);
    xmlNode *model = xmlNewChild(cpu, NULL, (const xmlChar *)"model", (const xmlChar *)TCG_MODEL);
    vr_tree_set_attr(model, "fallback", "allow");
}

static void fit_accelerator(xmlNode *root)
{
    if (!vr_tree_attr_is(root, "type", "kvm"))
        return;
    vr_tree_set_attr(root, "type", "qemu");
    fit_cpu(root);
    xmlNode *features = vr_tree_child(root, "features");
    vr_tree_remove(vr_tree_child(features, "hyperv"));
    vr_tree_remove(vr_tree_child(features, "kvm"));
    vr_tree_remove(vr_tree_child(features, "pmu"));
    VR_TREE_EACH (timer, vr_tree_child(root, "clock"), "timer") {
        g_autofree char *name = vr_tree_attr(timer, "name");
        if (!g_strcmp0(name, "kvmclock") || !g_strcmp0(name, "hypervclock") ||
            !g_strcmp0(name, "tsc"))
            vr_tree_remove(timer);
    }
}

/* A machine type of another distribution becomes this QEMU's newest of the same chip set. */
static void fit_machine(xmlNode *root, const char *const *machines)
{
    xmlNode *type = vr_tree_at(root, "os/type");
    g_autofree char *machine = vr_tree_attr(type, "machine");
    if (!machine || !machines || g_strv_contains(machines, machine))
        return;
    const char *family = strstr(machine, "q35") ? "q35" : strstr(machine, "i440fx") ? "pc" : NULL;
    if (!family)
        return;
    vr_log_info("Machine type %s is not known to this QEMU; %s takes its place.", machine, family);
    vr_tree_set_attr(type, "machine", family);
}

/* A machine that asked for SPICE alone would have no console at all. */
static bool drop_spice_graphics(xmlNode *devices, struct vr_error **error)
{
    unsigned others = 0, dropped = 0;
    VR_TREE_EACH (graphics, devices, "graphics") {
        if (!vr_tree_attr_is(graphics, "type", "spice")) {
            others++;
            continue;
        }
        vr_tree_remove(graphics);
        dropped++;
    }
    if (!dropped || others)
        return true;
    vr_agent_error(error, vm_create,
                   "QEMU on this host has no SPICE. Give the machine a VNC console instead.");
    return false;
}

static bool fit_graphics(xmlNode *devices, const struct vr_domain_host *host,
                         struct vr_error **error)
{
    if (!host->spice) {
        if (!drop_spice_graphics(devices, error))
            return false;
        VR_TREE_EACH (channel, devices, "channel")
            if (vr_tree_attr_is(channel, "type", "spicevmc"))
                vr_tree_remove(channel);
        VR_TREE_EACH (redir, devices, "redirdev")
            vr_tree_remove(redir);
        VR_TREE_EACH (audio, devices, "audio")
            if (vr_tree_attr_is(audio, "type", "spice"))
                vr_tree_remove(audio);
        VR_TREE_EACH (card, devices, "smartcard")
            vr_tree_remove(card);
    }
    VR_TREE_EACH (video, devices, "video") {
        xmlNode *model = vr_tree_child(video, "model");
        if (model && !host->qxl && vr_tree_attr_is(model, "type", "qxl")) {
            /* ram, vram and vgamem are qxl's own. */
            g_autofree char *heads = vr_tree_attr(model, "heads");
            while (model->properties)
                xmlRemoveProp(model->properties);
            vr_tree_set_attr(model, "type", "vga");
            vr_tree_set_attr(model, "heads", heads);
        }
    }
    return true;
}

static void fit_graphics_device(xmlNode *graphics, const struct vr_domain_host *host)
{
    if (vr_tree_attr_is(graphics, "type", "spice") && !host->spice_tls) {
        vr_tree_set_attr(graphics, "tlsPort", NULL);
        vr_tree_set_attr(graphics, "defaultMode", NULL);
        VR_TREE_EACH (channel, graphics, "channel")
            vr_tree_remove(channel);
    }
    VR_TREE_EACH (listen, graphics, "listen") {
        if (!vr_tree_attr_is(listen, "type", "network"))
            continue;
        g_autofree char *network = vr_tree_attr(listen, "network");
        const char *name = network ? network : "";
        if (g_str_has_prefix(name, "vdsm-"))
            name += strlen("vdsm-");
        g_autofree char *address =
            host->display_address ? host->display_address(name, host->arg) : NULL;
        vr_tree_set_attr(listen, "type", "address");
        vr_tree_set_attr(listen, "network", NULL);
        vr_tree_set_attr(listen, "address", address ? address : "0.0.0.0");
        vr_tree_set_attr(graphics, "listen", NULL);
    }
}

/* libvirt makes sockets of its own in a place that exists; ours would need its directory. */
static void fit_channel(xmlNode *channel)
{
    if (!vr_tree_attr_is(channel, "type", "unix"))
        return;
    xmlNode *source = vr_tree_child(channel, "source");
    g_autofree char *path = vr_tree_attr(source, "path");
    if (path && g_str_has_prefix(path, "/var/lib/libvirt/qemu/channels/"))
        vr_tree_remove(source);
}

static bool fit_interface(xmlNode *interface, const struct vr_domain_host *host,
                          struct vr_error **error)
{
    g_autofree char *bridge = vr_tree_attr(vr_tree_child(interface, "source"), "bridge");
    return !bridge || !host->bridge || host->bridge(bridge, host->arg, error);
}

bool vr_domain_xml_prepare_device(xmlNode *node, const struct vr_domain_host *host,
                                  struct vr_error **error)
{
    const char *name = (const char *)node->name;
    if (!strcmp(name, "graphics"))
        fit_graphics_device(node, host);
    else if (!strcmp(name, "channel"))
        fit_channel(node);
    else if (!strcmp(name, "interface"))
        return fit_interface(node, host, error);
    return true;
}

static void fit_serial(xmlNode *devices, const char *id, const struct vr_domain_host *host)
{
    if (host->console_dir) {
        static const char *const names[] = { "console", "serial" };
        for (unsigned i = 0; i < G_N_ELEMENTS(names); i++)
            VR_TREE_EACH (port, devices, names[i]) {
                xmlNode *source = vr_tree_child(port, "source");
                g_autofree char *path = vr_tree_attr(source, "path");
                if (!path || !strstr(path, "/ovirt-vmconsole-console/"))
                    continue;
                g_autofree char *moved = g_strdup_printf("%s/%s.sock", host->console_dir, id);
                vr_tree_set_attr(source, "path", moved);
            }
    }
    if (!host->serial_log_dir)
        return;
    xmlNode *port = vr_tree_child(devices, "serial");
    if (!port)
        port = vr_tree_child(devices, "console");
    if (!port) {
        port = xmlNewChild(devices, NULL, (const xmlChar *)"serial", NULL);
        vr_tree_set_attr(port, "type", "pty");
    }
    g_autofree char *path = g_strdup_printf("%s/%s.log", host->serial_log_dir, id);
    xmlNode *log = vr_tree_ensure(port, "log");
    vr_tree_set_attr(log, "file", path);
    vr_tree_set_attr(log, "append", "on");
}

static xmlNode *find_disk(xmlNode *devices, const char *target)
{
    VR_TREE_EACH (node, devices, "disk") {
        g_autofree char *dev = vr_tree_attr(vr_tree_child(node, "target"), "dev");
        if (dev && !strcmp(dev, target))
            return node;
    }
    return NULL;
}

static void set_source(xmlNode *node, const char *path, bool block)
{
    xmlNode *source = vr_tree_ensure(node, "source");
    vr_tree_set_attr(node, "type", block ? "block" : "file");
    static const char *const others[] = {
        "file", "dev", "name", "protocol", "volume", "pool", "dir"
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(others); i++)
        vr_tree_set_attr(source, others[i], NULL);
    vr_tree_set_attr(source, block ? "dev" : "file", path);
    VR_TREE_EACH (item, source, "host")
        vr_tree_remove(item);
}

bool vr_domain_xml_prepare_disk(xmlNode *node, const struct vr_domain_disk *disk, const char *vm_id,
                                const struct vr_domain_host *host, struct vr_error **error)
{
    g_autofree char *path = NULL;
    bool block = false;
    if (disk->image && disk->volume && disk->domain) {
        path = host->prepare(disk, &block, host->arg, error);
    } else if (disk->payload) {
        path =
            host->payload(vm_id, disk, vr_tree_attr_is(node, "device", "floppy"), host->arg, error);
    } else if (disk->guid) {
        path = g_strdup_printf("/dev/mapper/%s", disk->guid);
        block = true;
        if (strchr(disk->guid, '/')) {
            vr_agent_error(error, invalid_parameter, "\"%s\" is not a device.", disk->guid);
            return false;
        }
    } else {
        return true;
    }
    if (!path) {
        vr_error_prefix(error, "disk %s", disk->name);
        return false;
    }
    set_source(node, path, block);
    return true;
}

static bool prepare_disks(xmlNode *root, const char *id, const struct vr_domain_host *host,
                          struct vr_error **error)
{
    xmlNode *devices = vr_tree_child(root, "devices");
    g_autoptr(GPtrArray) disks = vr_domain_disks(root);
    for (unsigned i = 0; i < disks->len; i++) {
        const struct vr_domain_disk *disk = disks->pdata[i];
        xmlNode *node = disk->name ? find_disk(devices, disk->name) : NULL;
        if (!node) {
            vr_agent_error(error, invalid_parameter,
                           "Metadata names a disk \"%s\" that is not there.",
                           disk->name ? disk->name : "");
            return false;
        }
        if (!vr_domain_xml_prepare_disk(node, disk, id, host, error))
            return false;
    }
    return true;
}

/* The guest's reboot ends the machine when its owner says so; libvirt shall not act by itself. */
static void move_on_reboot(xmlNode *root)
{
    xmlNode *node = vr_tree_child(root, "on_reboot");
    g_autofree char *action = vr_tree_content(node);
    vr_tree_remove(node);
    if (!g_strcmp0(action, "destroy"))
        vr_domain_metadata_set(root, "destroy_on_reboot", "bool", "True");
}

bool vr_domain_xml_prepare(xmlDoc *doc, const struct vr_domain_host *host, struct vr_error **error)
{
    xmlNode *root = xmlDocGetRootElement(doc);
    xmlNode *devices = vr_tree_child(root, "devices");
    g_autofree char *id = vr_tree_value(root, "uuid");
    if (strcmp((const char *)root->name, "domain") || !id || !devices) {
        vr_agent_error(error, invalid_parameter, "The XML is not a domain with uuid and devices.");
        return false;
    }
    if (vr_tree_child(devices, "lease")) {
        vr_agent_error(error, not_implemented, "This host cannot hold leases of virtual machines.");
        return false;
    }
    fill_placeholders(root, host);
    if (host->tcg)
        fit_accelerator(root);
    fit_machine(root, host->machines);
    if (!fit_graphics(devices, host, error))
        return false;
    VR_TREE_EACH (device, devices, NULL)
        if (!vr_domain_xml_prepare_device(device, host, error))
            return false;
    fit_serial(devices, id, host);
    move_on_reboot(root);
    return prepare_disks(root, id, host, error);
}
