/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/vms/internal.h"

#include "manager/console/console.h"

/* Values of facts/rest-api.md 8.1 and limits of facts/manager-behaviour.md 11. */
#define MAX_VM_NAME 64
#define MAX_DESCRIPTION 255
#define MAX_SOCKETS 16
#define MAX_CORES 254
#define MAX_THREADS 8
#define MAX_VCPUS 288
#define MAX_MEMORY ((int64_t)GiB(4096)) /* VM64BitMaxMemorySizeInMB */

static void fill_from_template(struct vr_vm *vm, const struct vr_template *template_)
{
    /* The members that a template and a machine share have the same names and types. */
    for (unsigned i = 0; template_ && i < vr_type_vm_base.field_count; i++) {
        const char *name = vr_type_vm_base.fields[i].name;
        const struct vr_field *to = vr_type_field(&vr_type_vm, name);
        const struct vr_field *from = vr_type_field(&vr_type_template, name);
        if (!to || !from || vr_has(vm, to) || !vr_has(template_, from) ||
            strcmp(name, "id") == 0 || strcmp(name, "name") == 0 ||
            strcmp(name, "description") == 0 || strcmp(name, "comment") == 0 ||
            strcmp(name, "cluster") == 0 || strcmp(name, "creation_time") == 0)
            continue;
        vr_copy_field(vm, to, template_, from);
    }
}

static void fill_cpu(struct vr_vm *vm)
{
    struct vr_cpu *cpu = VR_SUB(vm, cpu, cpu);
    struct vr_cpu_topology *topology = VR_SUB(cpu, topology, cpu_topology);
    VR_SET(topology, sockets, VR_GET(topology, sockets, 1));
    VR_SET(topology, cores, VR_GET(topology, cores, 1));
    VR_SET(topology, threads, VR_GET(topology, threads, 1));
    if (!VR_HAS(cpu, architecture) || cpu->architecture == VR_ARCHITECTURE_UNDEFINED)
        VR_SET(cpu, architecture, VR_ARCHITECTURE_X86_64);
    VR_SET(vm, cpu_shares, VR_GET(vm, cpu_shares, 0));
}

static void fill_memory(struct vr_vm *vm, const struct vr_cluster *cluster)
{
    struct vr_memory_policy *policy;
    VR_SET(vm, memory, VR_GET(vm, memory, (int64_t)GiB(1)));
    policy = VR_SUB(vm, memory_policy, memory_policy);
    if (!VR_HAS(policy, max))
        VR_SET(policy, max, MIN(vm->memory * 4, MAX_MEMORY));
    if (!VR_HAS(policy, guaranteed)) {
        int64_t percent = 100;
        if (cluster->memory_policy && cluster->memory_policy->over_commit)
            percent = MAX(100, VR_GET(cluster->memory_policy->over_commit, percent, 100));
        int64_t guaranteed = vm->memory / percent * 100;
        VR_SET(policy, guaranteed, guaranteed / (int64_t)MiB(1) * (int64_t)MiB(1));
    }
    VR_SET(policy, ballooning, VR_GET(policy, ballooning, true));
}

static void fill_os(struct vr_vm *vm)
{
    struct vr_operating_system *os = VR_SUB(vm, os, operating_system);
    struct vr_boot *boot = VR_SUB(os, boot, boot);
    if (!os->type || strcmp(os->type, "unassigned") == 0)
        VR_SET_STRING(os, type, "other");
    if (!VR_HAS(boot, devices))
        VR_APPEND(boot, devices, GSIZE_TO_POINTER((gsize)VR_BOOT_DEVICE_HD));
    struct vr_bios *bios = VR_SUB(vm, bios, bios);
    struct vr_boot_menu *menu = VR_SUB(bios, boot_menu, boot_menu);
    VR_SET(menu, enabled, VR_GET(menu, enabled, false));
    if (!VR_HAS(bios, type) || bios->type == VR_BIOS_TYPE_CLUSTER_DEFAULT)
        VR_SET(bios, type, VR_BIOS_TYPE_Q35_SEA_BIOS);
}

static void fill_display(struct vr_vm *vm)
{
    struct vr_display *display = VR_SUB(vm, display, display);
    vr_console_fill(vm);
    VR_SET(display, monitors, VR_GET(display, monitors, 1));
    VR_SET(display, allow_override, VR_GET(display, allow_override, false));
    VR_SET(display, copy_paste_enabled, VR_GET(display, copy_paste_enabled, true));
    VR_SET(display, file_transfer_enabled, VR_GET(display, file_transfer_enabled, true));
    VR_SET(display, smartcard_enabled, VR_GET(display, smartcard_enabled, false));
    VR_SET(display, single_qxl_pci, VR_GET(display, single_qxl_pci, false));
    if (!display->disconnect_action)
        VR_SET_STRING(display, disconnect_action, "LOCK_SCREEN");
}

static void fill_policies(struct vr_vm *vm)
{
    struct vr_high_availability *ha = VR_SUB(vm, high_availability, high_availability);
    VR_SET(ha, enabled, VR_GET(ha, enabled, false));
    VR_SET(ha, priority, VR_GET(ha, priority, 1));
    struct vr_migration_options *migration = VR_SUB(vm, migration, migration_options);
    VR_SET(migration, auto_converge, VR_GET(migration, auto_converge, VR_INHERITABLE_BOOLEAN_INHERIT));
    VR_SET(migration, compressed, VR_GET(migration, compressed, VR_INHERITABLE_BOOLEAN_INHERIT));
    VR_SET(migration, encrypted, VR_GET(migration, encrypted, VR_INHERITABLE_BOOLEAN_INHERIT));
    struct vr_vm_placement_policy *placement =
        VR_SUB(vm, placement_policy, vm_placement_policy);
    VR_SET(placement, affinity, VR_GET(placement, affinity, VR_VM_AFFINITY_MIGRATABLE));
    VR_SET(vm, migration_downtime, VR_GET(vm, migration_downtime, -1));
    struct vr_usb *usb = VR_SUB(vm, usb, usb);
    VR_SET(usb, enabled, VR_GET(usb, enabled, false));
    struct vr_sso *sso = VR_SUB(vm, sso, sso);
    if (!VR_HAS(sso, methods)) {
        struct vr_method *method = VR_NEW(method);
        VR_SET(method, id, VR_SSO_METHOD_GUEST_AGENT);
        VR_APPEND(sso, methods, method);
    }
    struct vr_io *io = VR_SUB(vm, io, io);
    VR_SET(io, threads, VR_GET(io, threads, 1));
    struct vr_virtio_scsi *scsi = VR_SUB(vm, virtio_scsi, virtio_scsi);
    VR_SET(scsi, enabled, VR_GET(scsi, enabled, true));
    struct vr_time_zone *zone = VR_SUB(vm, time_zone, time_zone);
    if (!zone->name)
        VR_SET_STRING(zone, name, "Etc/GMT");
    struct vr_console *console = VR_SUB(vm, console, console);
    VR_SET(console, enabled, VR_GET(console, enabled, false));
}

void vm_fill_defaults(struct vr_engine *engine, struct vr_vm *vm,
                      const struct vr_template *template_, const struct vr_cluster *cluster)
{
    vr_console_choose(vm);
    fill_from_template(vm, template_);
    fill_cpu(vm);
    fill_memory(vm, cluster);
    fill_os(vm);
    fill_display(vm);
    fill_policies(vm);
    VR_SET(vm, type, VR_GET(vm, type, VR_VM_TYPE_SERVER));
    VR_SET(vm, stateless, VR_GET(vm, stateless, false));
    VR_SET(vm, delete_protected, VR_GET(vm, delete_protected, false));
    VR_SET(vm, start_paused, VR_GET(vm, start_paused, false));
    VR_SET(vm, run_once, false);
    VR_SET(vm, next_run_configuration_exists, false);
    VR_SET(vm, multi_queues_enabled, VR_GET(vm, multi_queues_enabled, true));
    VR_SET(vm, use_latest_template_version, false);
    VR_SET(vm, tpm_enabled, VR_GET(vm, tpm_enabled, false));
    VR_SET(vm, soundcard_enabled, VR_GET(vm, soundcard_enabled, false));
    VR_SET(vm, storage_error_resume_behaviour,
           VR_GET(vm, storage_error_resume_behaviour,
                  VR_VM_STORAGE_ERROR_RESUME_BEHAVIOUR_AUTO_RESUME));
    if (!vm->origin)
        VR_SET_STRING(vm, origin, "ovirt");
    if (!vm->description)
        VR_SET_STRING(vm, description, "");
    if (!vm->comment)
        VR_SET_STRING(vm, comment, "");
    if (!VR_HAS(vm, creation_time))
        VR_SET(vm, creation_time, vr_engine_wall_ms(engine));
}

static bool within(const char *what, int64_t value, int64_t low, int64_t high,
                   struct vr_error **error)
{
    if (value >= low && value <= high)
        return true;
    vr_error_set(error, &vr_fault_invalid_value,
                 "%s must be from %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT
                 ", not %" G_GINT64_FORMAT ".",
                 what, low, high, value);
    return false;
}

static bool check_size(const struct vr_vm *vm, struct vr_error **error)
{
    const struct vr_cpu_topology *t = vm->cpu->topology;
    if (!within("The number of sockets", t->sockets, 1, MAX_SOCKETS, error) ||
        !within("The number of cores per socket", t->cores, 1, MAX_CORES, error) ||
        !within("The number of threads per core", t->threads, 1, MAX_THREADS, error) ||
        !within("The number of virtual CPUs", t->sockets * t->cores * t->threads, 1, MAX_VCPUS,
                error) ||
        !within("The memory size in bytes", vm->memory, (int64_t)MiB(1), MAX_MEMORY, error))
        return false;
    if (vm->memory % (int64_t)MiB(1) != 0) {
        vr_error_set(error, &vr_fault_invalid_value, "The memory size must be whole MiB.");
        return false;
    }
    if (vm->memory_policy->guaranteed > vm->memory) {
        vr_error_set(error, &vr_fault_memory_guaranteed_exceeds, NULL);
        return false;
    }
    if (vm->memory_policy->max < vm->memory || vm->memory_policy->max > MAX_MEMORY) {
        vr_error_set(error, &vr_fault_invalid_value,
                     "The maximum memory must be at least the memory and at most %" G_GINT64_FORMAT
                     " bytes.", MAX_MEMORY);
        return false;
    }
    return true;
}

/* Unique per data centre (facts/rest-api.md 8.4). */
static bool check_unique(struct vr_engine *engine, const struct vr_vm *vm, struct vr_error **error)
    VR_REQUIRES(vr_role_engine);
static bool check_unique(struct vr_engine *engine, const struct vr_vm *vm, struct vr_error **error)
{
    struct vr_inventory *head = vr_engine_head(engine);
    const struct vr_cluster *cluster = VR_PEEK(head, CLUSTER, cluster, VR_LINK_ID(vm, cluster));
    vr_auto_objects struct vr_objects same = { 0 };
    vr_inventory_list_named(head, VR_KIND_VM, vm->name, &same);
    VR_OBJECTS (struct vr_vm, other, &same) {
        const struct vr_cluster *theirs =
            VR_PEEK(head, CLUSTER, cluster, VR_LINK_ID(other, cluster));
        if (g_strcmp0(other->id, vm->id) != 0 && cluster && theirs &&
            g_strcmp0(VR_LINK_ID(theirs, data_center), VR_LINK_ID(cluster, data_center)) == 0) {
            vr_error_set(error, &vr_fault_name_in_use,
                         "Cannot add VM. The VM name is already in use, please choose a unique name "
                         "and try again.");
            return false;
        }
    }
    return true;
}

bool vm_check(struct vr_engine *engine, const struct vr_vm *vm, struct vr_error **error)
{
    if (!vr_check_name("VM", vm->name, VR_NAME_VM, MAX_VM_NAME, error))
        return false;
    if (vm->description && g_utf8_strlen(vm->description, -1) > MAX_DESCRIPTION) {
        vr_error_set(error, &vr_fault_invalid_value,
                     "The description of a VM has at most %d characters.", MAX_DESCRIPTION);
        return false;
    }
    if (vm->custom_properties.len > 64) {
        vr_error_set(error, &vr_fault_invalid_value, "A VM has at most 64 custom properties.");
        return false;
    }
    return check_size(vm, error) && vr_console_check(vm, error) && check_unique(engine, vm, error);
}
