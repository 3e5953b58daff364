/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "domain"
#include "agent/domain/vm.h"

#include <stdlib.h>

static void nic_free(gpointer data)
{
    struct vr_vm_nic *nic = data;
    g_free(nic->target);
    g_free(nic->mac);
    g_free(nic->model);
    g_free(nic);
}

static void drive_free(gpointer data)
{
    struct vr_vm_drive *drive = data;
    g_free(drive->target);
    g_free(drive->image);
    g_free(drive->guid);
    g_free(drive);
}

static void display_free(gpointer data)
{
    struct vr_vm_display *display = data;
    g_free(display->type);
    g_free(display->address);
    g_free(display);
}

struct vr_vm *vr_vm_new(const char *id)
{
    struct vr_vm *vm = g_new0(struct vr_vm, 1);
    vm->refs = 1;
    g_strlcpy(vm->id, id, sizeof(vm->id));
    g_mutex_init(&vm->op);
    vm->changed = vr_domain_clock();
    vm->pause_code = g_strdup("NOERR");
    vm->time_offset = g_strdup("0");
    vm->acpi = true;
    vm->nics = g_ptr_array_new_with_free_func(nic_free);
    vm->drives = g_ptr_array_new_with_free_func(drive_free);
    vm->displays = g_ptr_array_new_with_free_func(display_free);
    vm->viewers = g_ptr_array_new_with_free_func(g_free);
    return vm;
}

struct vr_vm *vr_vm_ref(struct vr_vm *vm)
{
    g_atomic_int_inc(&vm->refs);
    return vm;
}

void vr_vm_unref(struct vr_vm *vm)
{
    if (!vm || !g_atomic_int_dec_and_test(&vm->refs))
        return;
    g_mutex_clear(&vm->op);
    g_free(vm->name);
    g_free(vm->exit_message);
    g_free(vm->pause_code);
    g_free(vm->time_offset);
    g_free(vm->client_ip);
    g_free(vm->ioerror_alias);
    g_free(vm->ioerror_name);
    g_free(vm->ioerror_path);
    g_free(vm->xml_record);
    g_free(vm->hash);
    g_ptr_array_unref(vm->nics);
    g_ptr_array_unref(vm->drives);
    g_ptr_array_unref(vm->displays);
    g_ptr_array_unref(vm->viewers);
    vr_sample_free(vm->last);
    vr_sample_free(vm->before);
    vr_guest_free(vm->guest);
    g_free(vm);
}

uint64_t vr_domain_clock(void)
{
    /* Older Managers mis-parse values below INT_MAX (facts/host-rpc.md 6). */
    return 2147483647ULL + (uint64_t)(g_get_monotonic_time() / 1000);
}

struct vr_vm *vr_vm_find(struct vr_domains *domains, const char *id, struct vr_error **error)
{
    vr_mutex_lock(&domains->lock);
    struct vr_vm *vm = id ? g_hash_table_lookup(domains->vms, id) : NULL;
    if (vm)
        vr_vm_ref(vm);
    vr_mutex_unlock(&domains->lock);
    if (!vm)
        vr_agent_error(error, no_vm, "%s", id ? id : "");
    return vm;
}

GPtrArray *vr_vm_all(struct vr_domains *domains)
{
    GPtrArray *all = g_ptr_array_new_with_free_func((GDestroyNotify)vr_vm_unref);
    vr_mutex_lock(&domains->lock);
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, domains->vms);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        g_ptr_array_add(all, vr_vm_ref(value));
    vr_mutex_unlock(&domains->lock);
    return all;
}

bool vr_vm_set_state(struct vr_domains *domains, struct vr_vm *vm, enum vr_vm_state state)
{
    if (vm->state == state)
        return false;
    /* Nothing comes back from Down. */
    if (vm->state == VR_STATE_DOWN)
        return false;
    vr_log_info("VM %s (%s) went from %s to %s.", vm->id, vm->name ? vm->name : "",
                vr_state_word(vm->state), vr_state_word(state));
    vm->state = state;
    vm->changed = vr_domain_clock();
    if (state == VR_STATE_POWERING_UP)
        vm->guest_deadline = g_get_monotonic_time() + VR_GUEST_WAIT_MS * 1000;
    if (state != VR_STATE_PAUSED) {
        g_free(vm->pause_code);
        vm->pause_code = g_strdup("NOERR");
        g_clear_pointer(&vm->ioerror_alias, g_free);
        g_clear_pointer(&vm->ioerror_name, g_free);
        g_clear_pointer(&vm->ioerror_path, g_free);
    }
    g_cond_broadcast(&domains->changed);
    return true;
}

void vr_vm_set_down(struct vr_domains *domains, struct vr_vm *vm, enum vr_exit_reason reason,
                    const char *message)
{
    g_autofree char *xml = NULL;
    bool first;
    vr_mutex_lock(&domains->lock);
    first = vr_vm_set_state(domains, vm, VR_STATE_DOWN);
    if (first) {
        vm->exit_reason = reason;
        vm->exit_code = vr_exit_code(reason);
        g_free(vm->exit_message);
        vm->exit_message = g_strdup(message ? message : vr_exit_message(reason));
        xml = g_steal_pointer(&vm->xml_record);
        vm->shutdown_next = 0;
        g_clear_pointer(&vm->last, vr_sample_free);
        g_clear_pointer(&vm->before, vr_sample_free);
        g_clear_pointer(&vm->guest, vr_guest_free);
        vr_log_info("VM %s is down: %s", vm->id, vm->exit_message);
    }
    vr_mutex_unlock(&domains->lock);
    if (!first)
        return;
    vr_record_write(domains, vm);
    vr_vm_release_images(domains, xml);
    vr_payload_remove(domains->payload_dir, vm->id);
    vr_vm_announce(domains, vm);
}

void vr_vm_release_images(struct vr_domains *domains, const char *xml)
{
    if (!xml || !domains->hooks->teardown)
        return;
    g_autoptr(GPtrArray) disks = vr_domain_disks_of_text(xml);
    for (unsigned i = 0; i < disks->len; i++) {
        const struct vr_domain_disk *disk = disks->pdata[i];
        if (disk->image && disk->volume && disk->domain)
            domains->hooks->teardown(disk->pool, disk->domain, disk->image, disk->volume,
                                     domains->hooks->arg);
    }
}

void vr_vm_announce(struct vr_domains *domains, struct vr_vm *vm)
{
    vr_mutex_lock(&domains->lock);
    bool ready = domains->ready;
    vr_auto struct vr_rpc_vm_stats *stats = vr_report(domains, vm);
    uint64_t now = vr_domain_clock();
    vr_mutex_unlock(&domains->lock);
    /* No events before recovery is over (facts/host-rpc.md 4). */
    if (!ready || !domains->hooks->status)
        return;
    VR_SET_STRING(stats, status_time, NULL);
    domains->hooks->status(vm->id, stats, now, domains->hooks->arg);
}

static void learn_nics(struct vr_vm *vm, xmlNode *devices)
{
    g_ptr_array_set_size(vm->nics, 0);
    VR_TREE_EACH (node, devices, "interface") {
        struct vr_vm_nic *nic = g_new0(struct vr_vm_nic, 1);
        nic->target = vr_tree_attr(vr_tree_child(node, "target"), "dev");
        nic->mac = vr_tree_attr(vr_tree_child(node, "mac"), "address");
        nic->model = vr_tree_attr(vr_tree_child(node, "model"), "type");
        nic->link_up = !vr_tree_attr_is(vr_tree_child(node, "link"), "state", "down");
        g_ptr_array_add(vm->nics, nic);
    }
}

static void learn_drives(struct vr_vm *vm, xmlNode *root, xmlNode *devices)
{
    g_autoptr(GPtrArray) disks = vr_domain_disks(root);
    g_ptr_array_set_size(vm->drives, 0);
    VR_TREE_EACH (node, devices, "disk") {
        struct vr_vm_drive *drive = g_new0(struct vr_vm_drive, 1);
        drive->target = vr_tree_attr(vr_tree_child(node, "target"), "dev");
        for (unsigned i = 0; i < disks->len; i++) {
            const struct vr_domain_disk *disk = disks->pdata[i];
            if (g_strcmp0(disk->name, drive->target))
                continue;
            drive->image = g_strdup(disk->image);
            drive->guid = g_strdup(disk->guid);
        }
        g_ptr_array_add(vm->drives, drive);
    }
}

static void learn_displays(struct vr_vm *vm, xmlNode *devices)
{
    g_ptr_array_set_size(vm->displays, 0);
    VR_TREE_EACH (node, devices, "graphics") {
        struct vr_vm_display *display = g_new0(struct vr_vm_display, 1);
        display->type = vr_tree_attr(node, "type");
        g_autofree char *port = vr_tree_attr(node, "port");
        g_autofree char *tls_port = vr_tree_attr(node, "tlsPort");
        display->port = port ? atoi(port) : -1;
        display->tls_port = tls_port ? atoi(tls_port) : -1;
        display->address = vr_tree_attr(vr_tree_child(node, "listen"), "address");
        if (!display->address)
            display->address = vr_tree_attr(node, "listen");
        g_ptr_array_add(vm->displays, display);
    }
}

static void learn_channels(struct vr_vm *vm, xmlNode *devices)
{
    vm->has_agent_channel = false;
    VR_TREE_EACH (node, devices, "channel") {
        xmlNode *target = vr_tree_child(node, "target");
        if (!vr_tree_attr_is(target, "name", "org.qemu.guest_agent.0"))
            continue;
        vm->has_agent_channel = true;
        if (vr_tree_attr_is(target, "state", "connected"))
            vm->agent_connected = true;
    }
}

static void learn_metadata(struct vr_vm *vm, xmlNode *root)
{
    g_autofree char *started = vr_domain_metadata_get(root, "startTime");
    if (started)
        vm->started = (int64_t)g_ascii_strtod(started, NULL);
    g_autofree char *ends = vr_domain_metadata_get(root, "destroy_on_reboot");
    vm->reboot_ends = ends && !g_ascii_strcasecmp(ends, "true");
    g_autofree char *minimum = vr_domain_metadata_get(root, "minGuaranteedMemoryMb");
    vm->min_memory = minimum ? g_ascii_strtoull(minimum, NULL, 10) * 1024 : 0;
    g_autofree char *target = vr_domain_metadata_get(root, "balloonTarget");
    vm->balloon_target = target ? g_ascii_strtoull(target, NULL, 10) : 0;
}

void vr_vm_learn(struct vr_domains *domains, struct vr_vm *vm, const char *xml)
{
    vr_auto_error struct vr_error *error = NULL;
    vr_auto_tree xmlDoc *doc = vr_tree_parse(xml, strlen(xml), &error);
    if (!doc)
        return;
    xmlNode *root = xmlDocGetRootElement(doc);
    xmlNode *devices = vr_tree_child(root, "devices");
    char *hash = vr_domain_devices_hash(xml);

    vr_mutex_lock(&domains->lock);
    char *name = vr_tree_value(root, "name");
    if (name) {
        g_free(vm->name);
        vm->name = name;
    }
    g_free(vm->hash);
    vm->hash = hash;
    vm->kvm = vr_tree_attr_is(root, "type", "kvm");
    vm->acpi = vr_tree_at(root, "features/acpi") != NULL;
    xmlNode *balloon = vr_tree_child(devices, "memballoon");
    vm->balloon = balloon && !vr_tree_attr_is(balloon, "model", "none");
    xmlNode *clock = vr_tree_child(root, "clock");
    char *offset = vr_tree_attr(clock, "adjustment");
    if (offset && g_strcmp0(offset, "reset")) {
        g_free(vm->time_offset);
        vm->time_offset = offset;
    } else {
        g_free(offset);
    }
    learn_nics(vm, devices);
    learn_drives(vm, root, devices);
    learn_displays(vm, devices);
    learn_channels(vm, devices);
    learn_metadata(vm, root);
    vr_mutex_unlock(&domains->lock);
}

void vr_vm_refresh(struct vr_domains *domains, struct vr_vm *vm, virDomainPtr dom)
{
    char *xml = virDomainGetXMLDesc(dom, 0);
    if (!xml)
        return;
    vr_vm_learn(domains, vm, xml);
    vr_mutex_lock(&domains->lock);
    g_free(vm->xml_record);
    vm->xml_record = g_strdup(xml);
    vr_mutex_unlock(&domains->lock);
    vr_record_write(domains, vm);
    free(xml);
}
