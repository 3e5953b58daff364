/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/rest/reading.h"

#include "gen/routes.h"

/* The statistics of hosts and virtual machines, from their latest reports (facts/rest-api.md 8.6).
 * An id belongs to object and name: the same at every reading. */

struct making {
    struct vr_reading *reading;
    const char *owner; /* id of the host or machine */
    bool is_host;
};

static void add(const struct making *making, const char *name, enum vr_statistic_unit unit,
                double datum)
{
    struct vr_statistic *statistic = VR_NEW(statistic);
    VR_TAKE_STRING(statistic, id, vr_reading_id(making->owner, name));
    VR_SET_STRING(statistic, name, name);
    VR_SET_STRING(statistic, description, "");
    VR_SET(statistic, kind, VR_STATISTIC_KIND_GAUGE);
    VR_SET(statistic, type,
           unit == VR_STATISTIC_UNIT_BYTES ? VR_VALUE_TYPE_INTEGER : VR_VALUE_TYPE_DECIMAL);
    VR_SET(statistic, unit, unit);
    struct vr_value *value = VR_NEW(value);
    VR_SET(value, datum, datum);
    VR_APPEND(statistic, values, value);
    if (making->is_host)
        VR_SET_LINK(statistic, host, host, making->owner);
    else
        VR_SET_LINK(statistic, vm, vm, making->owner);
    vr_list_append(&making->reading->list, statistic);
}

static double number(const char *text)
{
    return text ? g_ascii_strtod(text, NULL) : 0;
}

static void host_statistics(const struct making *making, const struct vr_host *host)
{
    vr_auto struct vr_rpc_host_stats *stats =
        vr_statistics_get(making->reading->statistics, VR_KIND_HOST, host->id);
    double total = (double)VR_GET(host, memory, 0);
    if (!stats)
        return;
    double used = total * number(stats->mem_used) / 100;
    add(making, "memory.total", VR_STATISTIC_UNIT_BYTES, total);
    add(making, "memory.used", VR_STATISTIC_UNIT_BYTES, used);
    add(making, "memory.free", VR_STATISTIC_UNIT_BYTES, total - used);
    add(making, "memory.shared", VR_STATISTIC_UNIT_BYTES,
        (double)VR_GET(stats, mem_shared, 0) * (double)MiB(1));
    double swap = (double)VR_GET(stats, swap_total, 0) * (double)MiB(1);
    double swap_free = (double)VR_GET(stats, swap_free, 0) * (double)MiB(1);
    add(making, "swap.total", VR_STATISTIC_UNIT_BYTES, swap);
    add(making, "swap.free", VR_STATISTIC_UNIT_BYTES, swap_free);
    add(making, "swap.used", VR_STATISTIC_UNIT_BYTES, swap - swap_free);
    add(making, "ksm.cpu.current", VR_STATISTIC_UNIT_PERCENT, (double)VR_GET(stats, ksm_cpu, 0));
    add(making, "cpu.current.user", VR_STATISTIC_UNIT_PERCENT, number(stats->cpu_user));
    add(making, "cpu.current.system", VR_STATISTIC_UNIT_PERCENT, number(stats->cpu_sys));
    add(making, "cpu.current.idle", VR_STATISTIC_UNIT_PERCENT, number(stats->cpu_idle));
    add(making, "cpu.load.avg.5m", VR_STATISTIC_UNIT_PERCENT, number(stats->cpu_load));
    add(making, "boot.time", VR_STATISTIC_UNIT_NONE, number(stats->boot_time));
}

/* cpuUser and cpuSys are percent of one core, summed over the vCPUs (facts/host-rpc.md 10.4). */
static void vm_statistics(const struct making *making, const struct vr_vm *vm)
{
    vr_auto struct vr_rpc_vm_stats *stats =
        vr_statistics_get(making->reading->statistics, VR_KIND_VM, vm->id);
    double installed = (double)VR_GET(vm, memory, 0);
    const struct vr_cpu_topology *topology = vm->cpu ? vm->cpu->topology : NULL;
    double vcpus = topology ? (double)(VR_GET(topology, sockets, 1) * VR_GET(topology, cores, 1) *
                                       VR_GET(topology, threads, 1))
                            : 1;
    double used = stats ? installed * number(stats->mem_usage) / 100 : 0;
    double user = stats ? number(stats->cpu_user) / vcpus : 0;
    double system = stats ? number(stats->cpu_sys) / vcpus : 0;
    add(making, "memory.installed", VR_STATISTIC_UNIT_BYTES, installed);
    add(making, "memory.used", VR_STATISTIC_UNIT_BYTES, used);
    add(making, "memory.free", VR_STATISTIC_UNIT_BYTES, installed - used);
    add(making, "cpu.current.guest", VR_STATISTIC_UNIT_PERCENT, user);
    add(making, "cpu.current.hypervisor", VR_STATISTIC_UNIT_PERCENT, system);
    add(making, "cpu.current.total", VR_STATISTIC_UNIT_PERCENT, user + system);
    add(making, "migration.progress", VR_STATISTIC_UNIT_PERCENT,
        stats ? (double)VR_GET(stats, migration_progress, 0) : 0);
    add(making, "elapsed.time", VR_STATISTIC_UNIT_SECONDS, stats ? number(stats->elapsed_time) : 0);
}

/* The owner's id is the last of the path, or the last but one before a statistic's own. */
static bool gather(struct vr_reading *reading, const char *owner)
{
    vr_auto struct vr_host *host = vr_inventory_get(reading->inventory, VR_KIND_HOST, owner);
    vr_auto struct vr_vm *vm = vr_inventory_get(reading->inventory, VR_KIND_VM, owner);
    struct making making = { reading, owner, host != NULL };
    if (host)
        host_statistics(&making, host);
    else if (vm)
        vm_statistics(&making, vm);
    else
        return false;
    return true;
}

void vr_statistics_list(struct vr_reading *reading)
{
    /* Disks, NICs and steps have statistics of their own, which are not kept yet: an empty list. */
    gather(reading, reading->ids[reading->id_count - 1]);
}

void vr_statistic_get(struct vr_reading *reading)
{
    if (reading->id_count < 2 || !gather(reading, reading->ids[reading->id_count - 2]))
        return;
    vr_reading_choose(reading, reading->ids[reading->id_count - 1]);
}
