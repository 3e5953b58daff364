/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "domain"
#include "agent/domain/vm.h"

#include <stdlib.h>

/*
 * VM.create answers at once with WaitForLaunch; a creator then prepares the
 * disks and starts the domain.  The outcome is an event.
 */
struct vr_creation {
    struct vr_vm *vm; /* owned */
    char *xml;
    bool paused;
    /* restoring: the volume that holds the memory, or NULL */
    struct vr_rpc_drive_spec_volume *memory;
};

static void creation_free(struct vr_creation *creation)
{
    vr_vm_unref(creation->vm);
    g_free(creation->xml);
    vr_unref(creation->memory);
    g_free(creation);
}

static bool is_true(const char *text)
{
    return text && !g_ascii_strcasecmp(text, "true");
}

/* Makes the XML fit for this host; owned. */
static char *fit_xml(struct vr_domains *domains, struct vr_creation *creation,
                     struct vr_error **error)
{
    vr_auto_tree xmlDoc *doc = vr_tree_parse(creation->xml, strlen(creation->xml), error);
    if (!doc)
        return NULL;
    xmlNode *root = xmlDocGetRootElement(doc);
    struct vr_domain_host *view = vr_host_view_new(domains);
    bool good = vr_domain_xml_prepare(doc, view, error);
    vr_host_view_free(view);
    if (!good)
        return NULL;
    g_autofree char *started =
        g_strdup_printf("%" G_GINT64_FORMAT, g_get_real_time() / G_USEC_PER_SEC);
    vr_domain_metadata_set(root, "startTime", "float", started);
    g_autofree char *paused = vr_domain_metadata_get(root, "launchPaused");
    creation->paused |= is_true(paused);
    return vr_tree_text(doc, root);
}

/* The saved image's own XML, with the disks and metadata of the new one: QEMU's state fits only
 * the hardware it was saved with. */
static char *merge_saved(const char *saved, const char *wanted, struct vr_error **error)
{
    vr_auto_tree xmlDoc *old = vr_tree_parse(saved, strlen(saved), error);
    vr_auto_tree xmlDoc *new = old ? vr_tree_parse(wanted, strlen(wanted), error) : NULL;
    if (!new)
        return NULL;
    xmlNode *old_root = xmlDocGetRootElement(old), *new_root = xmlDocGetRootElement(new);
    xmlNode *metadata = vr_tree_child(new_root, "metadata");
    if (metadata) {
        vr_tree_remove(vr_tree_child(old_root, "metadata"));
        xmlAddChild(old_root, xmlDocCopyNode(metadata, old, 1));
    }
    VR_TREE_EACH (disk, vr_tree_child(old_root, "devices"), "disk") {
        g_autofree char *target = vr_tree_attr(vr_tree_child(disk, "target"), "dev");
        VR_TREE_EACH (other, vr_tree_child(new_root, "devices"), "disk") {
            xmlNode *source = vr_tree_child(other, "source");
            if (!source || !vr_tree_attr_is(vr_tree_child(other, "target"), "dev", target))
                continue;
            g_autofree char *type = vr_tree_attr(other, "type");
            vr_tree_remove(vr_tree_child(disk, "source"));
            vr_tree_remove(vr_tree_child(disk, "backingStore"));
            vr_tree_set_attr(disk, "type", type);
            xmlAddChild(disk, xmlDocCopyNode(source, old, 1));
        }
    }
    return vr_tree_text(old, old_root);
}

static bool restore(struct vr_domains *domains, virConnectPtr conn, struct vr_creation *creation,
                    const char *xml, struct vr_error **error)
{
    bool block = false;
    const struct vr_domains_hooks *hooks = domains->hooks;
    const struct vr_rpc_drive_spec_volume *memory = creation->memory;
    g_autofree char *path = hooks->prepare(memory->pool_id, memory->domain_id, memory->image_id,
                                           memory->volume_id, &block, hooks->arg, error);
    if (!path)
        return false;
    bool good = false;
    char *saved = virDomainSaveImageGetXMLDesc(conn, path, VIR_DOMAIN_SAVE_IMAGE_XML_SECURE);
    g_autofree char *merged = saved ? merge_saved(saved, xml, error) : NULL;
    if (merged)
        good = virDomainRestoreFlags(conn, path, merged,
                                     creation->paused ? VIR_DOMAIN_SAVE_PAUSED
                                                      : VIR_DOMAIN_SAVE_RUNNING) == 0;
    free(saved);
    if (!good && !*error)
        vr_connection_error(error, &vr_agent_fault_vm_create);
    if (hooks->teardown)
        hooks->teardown(memory->pool_id, memory->domain_id, memory->image_id, memory->volume_id,
                        hooks->arg);
    return good;
}

static bool start(struct vr_domains *domains, struct vr_creation *creation, const char *xml,
                  struct vr_error **error)
{
    vr_auto_conn virConnectPtr conn = vr_connection_get(domains, error);
    if (!conn)
        return false;
    if (creation->memory)
        return restore(domains, conn, creation, xml, error);
    virDomainPtr dom =
        virDomainCreateXML(conn, xml, creation->paused ? VIR_DOMAIN_START_PAUSED : 0);
    if (!dom) {
        vr_connection_error(error, &vr_agent_fault_vm_create);
        return false;
    }
    virDomainFree(dom);
    return true;
}

/* Whether it has ended.  Where libvirt does not say, the next connection will (recover.c). */
static bool is_gone(struct vr_domains *domains, const struct vr_vm *vm)
{
    vr_auto_error struct vr_error *error = NULL;
    vr_auto_conn virConnectPtr conn = vr_connection_get(domains, &error);
    vr_auto_dom virDomainPtr dom = conn ? virDomainLookupByUUIDString(conn, vm->id) : NULL;
    if (dom)
        return virDomainIsActive(dom) == 0;
    return conn && virGetLastErrorCode() == VIR_ERR_NO_DOMAIN;
}

static void launched(struct vr_domains *domains, struct vr_creation *creation)
{
    struct vr_vm *vm = creation->vm;
    vr_auto_error struct vr_error *error = NULL;
    vr_auto_dom virDomainPtr dom = vr_connection_domain(domains, vm->id, &error);
    if (dom)
        vr_vm_refresh(domains, vm, dom);
    vr_mutex_lock(&domains->lock);
    vm->creating = false;
    bool destroy = vm->destroy_asked;
    /* Without an agent's channel there is nothing to wait for. */
    if (creation->paused)
        vr_vm_set_state(domains, vm, VR_STATE_PAUSED);
    else if (creation->memory || !vm->has_agent_channel)
        vr_vm_set_state(domains, vm, VR_STATE_UP);
    else
        vr_vm_set_state(domains, vm, VR_STATE_POWERING_UP);
    vr_mutex_unlock(&domains->lock);
    vr_record_write(domains, vm);
    /* Whoever heard of its end before now left it to its creator to tell. */
    if (is_gone(domains, vm))
        vr_event_ended(domains, vm, VR_ENDING_FAILED);
    else if (!destroy)
        vr_vm_announce(domains, vm);
    else if (dom)
        virDomainDestroy(dom);
}

static void failed(struct vr_domains *domains, struct vr_vm *vm, const struct vr_error *error)
{
    vr_mutex_lock(&domains->lock);
    bool destroyed = vm->destroy_asked;
    vm->creating = false;
    vr_mutex_unlock(&domains->lock);
    vr_vm_set_down(domains, vm, destroyed ? VR_EXIT_DESTROYED_STARTING : VR_EXIT_START,
                   destroyed || !error ? NULL : error->detail);
}

void vr_create_run(gpointer data, gpointer user)
{
    struct vr_creation *creation = data;
    struct vr_domains *domains = user;
    struct vr_vm *vm = creation->vm;
    vr_auto_error struct vr_error *error = NULL;
    vr_role_enter(&vr_role_worker);
    g_mutex_lock(&vm->op);
    vr_mutex_lock(&domains->lock);
    bool cancelled = vm->destroy_asked;
    vr_mutex_unlock(&domains->lock);
    g_autofree char *xml = cancelled ? NULL : fit_xml(domains, creation, &error);
    if (xml && start(domains, creation, xml, &error))
        launched(domains, creation);
    else
        failed(domains, vm, error);
    g_mutex_unlock(&vm->op);
    vr_role_leave(&vr_role_worker);
    creation_free(creation);
}

/* VNC needs a password or SASL (facts/host-rpc.md 10.1). */
static bool check_graphics(xmlNode *root, struct vr_error **error)
{
    VR_TREE_EACH (graphics, vr_tree_child(root, "devices"), "graphics") {
        if (!vr_tree_attr_is(graphics, "type", "vnc"))
            continue;
        g_autofree char *password = vr_tree_attr(graphics, "passwd");
        if (!password || !*password) {
            vr_agent_error(error, vm_create, "VNC without a password is not allowed.");
            return false;
        }
    }
    return true;
}

/* "sd,pool,image1,volume1,image2,volume2" */
static struct vr_rpc_drive_spec_volume *volume_of_handle(const char *handle)
{
    g_auto(GStrv) parts = g_strsplit(handle, ",", -1);
    if (g_strv_length(parts) < 4)
        return NULL;
    struct vr_rpc_drive_spec_volume *volume = VR_NEW(rpc_drive_spec_volume);
    VR_SET_STRING(volume, domain_id, parts[0]);
    VR_SET_STRING(volume, pool_id, parts[1]);
    VR_SET_STRING(volume, image_id, parts[2]);
    VR_SET_STRING(volume, volume_id, parts[3]);
    return volume;
}

static struct vr_creation *check(const char *id, const struct vr_rpc_vm_parameters *parameters,
                                 struct vr_error **error)
{
    if (!parameters || !parameters->xml) {
        vr_agent_error(error, missing_parameter, "xml");
        return NULL;
    }
    vr_auto_tree xmlDoc *doc = vr_tree_parse(parameters->xml, strlen(parameters->xml), error);
    if (!doc)
        return NULL;
    xmlNode *root = xmlDocGetRootElement(doc);
    g_autofree char *uuid = vr_tree_value(root, "uuid");
    if (!uuid || !vr_uuid_valid(uuid)) {
        vr_agent_error(error, vm_create, "The XML has no valid uuid.");
        return NULL;
    }
    if (id && *id && g_ascii_strcasecmp(id, uuid)) {
        vr_agent_error(error, vm_create, "The XML is of VM %s, not %s.", uuid, id);
        return NULL;
    }
    if (!check_graphics(root, error))
        return NULL;
    struct vr_creation *creation = g_new0(struct vr_creation, 1);
    g_autofree char *lower = g_ascii_strdown(uuid, -1);
    creation->vm = vr_vm_new(lower);
    creation->vm->name = vr_tree_value(root, "name");
    creation->xml = g_strdup(parameters->xml);
    creation->paused = VR_GET(parameters, launch_paused, false);
    if (parameters->memory_dump_volume)
        creation->memory = vr_ref(parameters->memory_dump_volume);
    else if (parameters->hiber_vol_handle)
        creation->memory = volume_of_handle(parameters->hiber_vol_handle);
    return creation;
}

bool vr_domain_create(struct vr_domains *domains, const char *id,
                      const struct vr_rpc_vm_parameters *parameters,
                      struct vr_rpc_vm_definition **ret, struct vr_error **error)
{
    struct vr_creation *creation = check(id, parameters, error);
    if (!creation)
        return false;
    struct vr_vm *vm = creation->vm;
    vm->state = creation->memory ? VR_STATE_RESTORING : VR_STATE_WAIT_FOR_LAUNCH;
    vm->creating = true;
    vm->started = g_get_real_time() / G_USEC_PER_SEC;
    vm->xml_record = g_strdup(parameters->xml);
    vm->log_start = vr_log_size(domains, vm->name);

    vr_mutex_lock(&domains->lock);
    bool exists = g_hash_table_contains(domains->vms, vm->id);
    if (!exists)
        g_hash_table_insert(domains->vms, vm->id, vr_vm_ref(vm));
    vr_mutex_unlock(&domains->lock);
    if (exists) {
        vr_agent_error(error, vm_exists, "%s", vm->id);
        creation_free(creation);
        return false;
    }

    vr_record_write(domains, vm);

    struct vr_rpc_vm_definition *result = VR_NEW(rpc_vm_definition);
    g_autofree char *clock = g_strdup_printf("%" G_GUINT64_FORMAT, vm->changed);
    VR_SET_STRING(result, vm_id, vm->id);
    VR_SET(result, status, VR_RPC_VM_STATUS_WAITFORLAUNCH);
    VR_SET_STRING(result, status_time, clock);
    VR_SET_STRING(result, xml, parameters->xml);
    *ret = result;
    g_thread_pool_push(domains->creators, creation, NULL);
    return true;
}
