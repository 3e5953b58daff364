/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/rest/reading.h"

#include "codec/codec.h"
#include "gen/routes.h"

#include <math.h>

/* The statistics of hosts, virtual machines, their disks and NICs, from the latest reports of hosts
 * (facts/rest-api.md 8.6).  An id belongs to object and name: the same at every reading. */

struct making {
    struct vr_reading *reading;
    int kind;          /* of the owner */
    const char *owner; /* its id */
};

enum form { GAUGE, COUNTER };

static struct vr_statistic *add_value(const struct making *making, const char *name,
                                      const char *description, enum form form,
                                      enum vr_statistic_unit unit, struct vr_value *value)
{
    struct vr_statistic *statistic = VR_NEW(statistic);
    VR_TAKE_STRING(statistic, id, vr_reading_id(making->owner, name));
    VR_SET_STRING(statistic, name, name);
    VR_SET_STRING(statistic, description, description);
    VR_SET(statistic, kind,
           form == COUNTER ? VR_STATISTIC_KIND_COUNTER : VR_STATISTIC_KIND_GAUGE);
    VR_SET(statistic, type,
           unit == VR_STATISTIC_UNIT_BYTES || form == COUNTER ? VR_VALUE_TYPE_INTEGER
                                                              : VR_VALUE_TYPE_DECIMAL);
    VR_SET(statistic, unit, unit);
    VR_APPEND(statistic, values, value);
    switch (making->kind) {
    case VR_KIND_HOST:
        VR_SET_LINK(statistic, host, host, making->owner);
        break;
    case VR_KIND_HOST_NIC:
        VR_SET_LINK(statistic, host_nic, host_nic, making->owner);
        break;
    case VR_KIND_NIC:
        VR_SET_LINK(statistic, nic, nic, making->owner);
        break;
    case VR_KIND_DISK:
        VR_SET_LINK(statistic, disk, disk, making->owner);
        break;
    default:
        VR_SET_LINK(statistic, vm, vm, making->owner);
    }
    vr_list_append(&making->reading->list, statistic);
    return statistic;
}

static void add(const struct making *making, const char *name, const char *description,
                enum form form, enum vr_statistic_unit unit, double datum)
{
    struct vr_value *value = VR_NEW(value);
    VR_SET(value, datum, datum);
    add_value(making, name, description, form, unit, value);
}

/* Hosts write numbers as texts; what is none, or has no end, is nothing. */
static double number(const char *text)
{
    double value = text ? g_ascii_strtod(text, NULL) : 0;
    return isfinite(value) ? value : 0;
}

/* --- hosts --- */

static void host_statistics(const struct making *making, const void *owner)
{
    const struct vr_host *host = owner;
    vr_auto struct vr_rpc_host_stats *stats =
        vr_statistics_get(making->reading->statistics, VR_KIND_HOST, host->id);
    double total = (double)VR_GET(host, memory, 0);
    if (!stats)
        return;
    double used = total * number(stats->mem_used) / 100;
    double shared = (double)VR_GET(stats, mem_shared, 0) * (double)MiB(1);
    double swap = (double)VR_GET(stats, swap_total, 0) * (double)MiB(1);
    double swap_free = (double)VR_GET(stats, swap_free, 0) * (double)MiB(1);
    const struct {
        const char *name, *description;
        enum vr_statistic_unit unit;
        double datum;
    } rows[] = {
        { "memory.total", "Total memory", VR_STATISTIC_UNIT_BYTES, total },
        { "memory.used", "Used memory", VR_STATISTIC_UNIT_BYTES, used },
        { "memory.free", "Free memory", VR_STATISTIC_UNIT_BYTES, total - used },
        { "memory.shared", "Shared memory", VR_STATISTIC_UNIT_BYTES, shared },
        { "swap.total", "Total swap", VR_STATISTIC_UNIT_BYTES, swap },
        { "swap.free", "Free swap", VR_STATISTIC_UNIT_BYTES, swap_free },
        { "swap.used", "Used swap", VR_STATISTIC_UNIT_BYTES, swap - swap_free },
        { "ksm.cpu.current", "KSM CPU usage", VR_STATISTIC_UNIT_PERCENT,
          (double)VR_GET(stats, ksm_cpu, 0) },
        { "cpu.current.user", "User CPU usage", VR_STATISTIC_UNIT_PERCENT,
          number(stats->cpu_user) },
        { "cpu.current.system", "System CPU usage", VR_STATISTIC_UNIT_PERCENT,
          number(stats->cpu_sys) },
        { "cpu.current.idle", "Idle CPU usage", VR_STATISTIC_UNIT_PERCENT,
          number(stats->cpu_idle) },
        { "cpu.load.avg.5m", "CPU 5 minute load average", VR_STATISTIC_UNIT_PERCENT,
          number(stats->cpu_load) },
        { "boot.time", "Boot time of the machine", VR_STATISTIC_UNIT_NONE,
          number(stats->boot_time) },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++)
        add(making, rows[i].name, rows[i].description, GAUGE, rows[i].unit, rows[i].datum);
}

/* --- network interfaces --- */

struct traffic {
    const char *rx, *tx, *rx_errors, *tx_errors; /* totals; NULL: none */
    double in, out;                              /* bytes a second */
};

static void traffic_statistics(const struct making *making, const struct traffic *traffic)
{
    add(making, "data.current.rx", "Receive data rate", GAUGE, VR_STATISTIC_UNIT_BYTES_PER_SECOND,
        traffic->in);
    add(making, "data.current.tx", "Transmit data rate", GAUGE, VR_STATISTIC_UNIT_BYTES_PER_SECOND,
        traffic->out);
    add(making, "data.current.rx.bps", "Receive data rate", GAUGE,
        VR_STATISTIC_UNIT_BITS_PER_SECOND, traffic->in * 8);
    add(making, "data.current.tx.bps", "Transmit data rate", GAUGE,
        VR_STATISTIC_UNIT_BITS_PER_SECOND, traffic->out * 8);
    add(making, "errors.total.rx", "Total errors from receiving data", COUNTER,
        VR_STATISTIC_UNIT_NONE, number(traffic->rx_errors));
    add(making, "errors.total.tx", "Total errors from transmitting data", COUNTER,
        VR_STATISTIC_UNIT_NONE, number(traffic->tx_errors));
    add(making, "data.total.rx", "Total received data", COUNTER, VR_STATISTIC_UNIT_BYTES,
        number(traffic->rx));
    add(making, "data.total.tx", "Total transmitted data", COUNTER, VR_STATISTIC_UNIT_BYTES,
        number(traffic->tx));
}

static void host_nic_statistics(const struct making *making, const void *owner)
{
    const struct vr_host_nic *nic = owner;
    const char *host_id = VR_LINK_ID(nic, host);
    vr_auto struct vr_rpc_host_stats *stats =
        host_id ? vr_statistics_get(making->reading->statistics, VR_KIND_HOST, host_id) : NULL;
    const struct vr_rpc_host_network_interface_stats *device =
        stats && nic->name ? vr_map_get(&stats->network, nic->name) : NULL;
    struct traffic traffic = { 0 };
    if (device)
        traffic = (struct traffic){ device->rx, device->tx, device->rx_errors, device->tx_errors,
                                    0, 0 };
    vr_statistics_rate(making->reading->statistics, VR_KIND_HOST, host_id, nic->name, &traffic.in,
                       &traffic.out);
    traffic_statistics(making, &traffic);
}

/* The machine's device with the NIC's address; *@ret_name borrows from @stats. */
static const struct vr_rpc_network_interface_stats *
device_of(const struct vr_rpc_vm_stats *stats, const struct vr_nic *nic, const char **ret_name)
{
    const char *mac = nic->mac ? nic->mac->address : NULL;
    for (unsigned i = 0; stats && mac && i < stats->network.len; i++) {
        const struct vr_rpc_network_interface_stats *device = stats->network.values[i];
        if (device && device->mac_addr && g_ascii_strcasecmp(device->mac_addr, mac) == 0) {
            *ret_name = stats->network.keys[i];
            return device;
        }
    }
    return NULL;
}

static void nic_statistics(const struct making *making, const void *owner)
{
    const struct vr_nic *nic = owner;
    const char *vm_id = VR_LINK_ID(nic, vm), *name = NULL;
    vr_auto struct vr_rpc_vm_stats *stats =
        vm_id ? vr_statistics_get(making->reading->statistics, VR_KIND_VM, vm_id) : NULL;
    const struct vr_rpc_network_interface_stats *device = device_of(stats, nic, &name);
    struct traffic traffic = { 0 };
    if (device)
        traffic = (struct traffic){ device->rx, device->tx, device->rx_errors, device->tx_errors,
                                    0, 0 };
    if (name)
        vr_statistics_rate(making->reading->statistics, VR_KIND_VM, vm_id, name, &traffic.in,
                           &traffic.out);
    traffic_statistics(making, &traffic);
}

/* --- disks --- */

/* The report of a machine that runs with the disk.  References for the caller. */
static struct vr_rpc_vm_stats *user_of(struct vr_reading *reading, const char *disk_id,
                                       char **ret_vm_id)
{
    vr_auto_objects struct vr_objects attachments = { 0 };
    vr_inventory_list_by(reading->inventory, VR_KIND_DISK_ATTACHMENT, "disk", disk_id,
                         &attachments);
    VR_OBJECTS (struct vr_disk_attachment, attachment, &attachments) {
        const char *vm_id = VR_LINK_ID(attachment, vm);
        struct vr_rpc_vm_stats *stats =
            vm_id ? vr_statistics_get(reading->statistics, VR_KIND_VM, vm_id) : NULL;
        if (stats) {
            *ret_vm_id = g_strdup(vm_id);
            return stats;
        }
    }
    return NULL;
}

/* Latencies are nanoseconds (facts/host-rpc.md 10.4). */
static double seconds(const char *nanoseconds)
{
    return number(nanoseconds) / 1e9;
}

static void disk_statistics(const struct making *making, const void *owner)
{
    const struct vr_disk *disk = owner;
    g_autofree char *vm_id = NULL;
    vr_auto struct vr_rpc_vm_stats *stats = user_of(making->reading, disk->id, &vm_id);
    vr_auto struct vr_rpc_vm_disk_stats *found = NULL;
    double reads = 0, writes = 0;
    for (unsigned i = 0; stats && i < stats->disks.len && !found; i++) {
        struct vr_rpc_vm_disk_stats *device = stats->disks.values[i];
        if (!device || g_strcmp0(device->image_id, disk->id) != 0)
            continue;
        found = vr_ref(device);
        vr_statistics_rate(making->reading->statistics, VR_KIND_VM, vm_id, stats->disks.keys[i],
                           &reads, &writes);
    }
    if (!found)
        found = VR_NEW(rpc_vm_disk_stats);
    add(making, "data.current.read", "Read data rate", GAUGE, VR_STATISTIC_UNIT_BYTES_PER_SECOND,
        number(found->read_rate));
    add(making, "data.current.write", "Write data rate", GAUGE, VR_STATISTIC_UNIT_BYTES_PER_SECOND,
        number(found->write_rate));
    add(making, "data.current.read.ops", "Read operations", GAUGE,
        VR_STATISTIC_UNIT_COUNT_PER_SECOND, reads);
    add(making, "data.current.write.ops", "Write operations", GAUGE,
        VR_STATISTIC_UNIT_COUNT_PER_SECOND, writes);
    add(making, "disk.read.latency", "Read latency", GAUGE, VR_STATISTIC_UNIT_SECONDS,
        seconds(found->read_latency));
    add(making, "disk.write.latency", "Write latency", GAUGE, VR_STATISTIC_UNIT_SECONDS,
        seconds(found->write_latency));
    add(making, "disk.flush.latency", "Flush latency", GAUGE, VR_STATISTIC_UNIT_SECONDS,
        seconds(found->flush_latency));
}

/* --- virtual machines --- */

/* The busiest of its interfaces, in percent of that one's speed. */
static double network_usage(const struct making *making, const struct vr_rpc_vm_stats *stats)
{
    double most = 0;
    for (unsigned i = 0; stats && i < stats->network.len; i++) {
        const struct vr_rpc_network_interface_stats *device = stats->network.values[i];
        double in, out, speed = device ? number(device->speed) * 1e6 / 8 : 0;
        if (speed <= 0 || !vr_statistics_rate(making->reading->statistics, VR_KIND_VM,
                                              making->owner, stats->network.keys[i], &in, &out))
            continue;
        most = MAX(most, MIN(100, MAX(in, out) / speed * 100));
    }
    return most;
}

/* What the guest says of its file systems, as JSON in the value's detail. */
static void usage_of_disks(const struct making *making, const struct vr_rpc_vm_stats *stats)
{
    g_autoptr(GString) json = g_string_new(NULL);
    if (stats && VR_HAS(stats, disks_usage))
        vr_json_write_field(json, stats, vr_type_field(&vr_type_rpc_vm_stats, "disksUsage"),
                            VR_JSON_HOST);
    struct vr_value *value = VR_NEW(value);
    VR_SET_STRING(value, detail, json->len ? json->str : "[]");
    struct vr_statistic *statistic =
        add_value(making, "disks.usage", "Disk usage, in bytes, per file system as JSON", GAUGE,
                  VR_STATISTIC_UNIT_NONE, value);
    VR_SET(statistic, type, VR_VALUE_TYPE_STRING);
}

/* cpuUser and cpuSys are percent of one core, summed over the vCPUs (facts/host-rpc.md 10.4). */
static void vm_statistics(const struct making *making, const void *owner)
{
    const struct vr_vm *vm = owner;
    vr_auto struct vr_rpc_vm_stats *stats =
        vr_statistics_get(making->reading->statistics, VR_KIND_VM, vm->id);
    const struct vr_rpc_guest_memory_stats *memory = stats ? stats->memory_stats : NULL;
    double installed = (double)VR_GET(vm, memory, 0);
    const struct vr_cpu_topology *topology = vm->cpu ? vm->cpu->topology : NULL;
    double vcpus = topology ? (double)(VR_GET(topology, sockets, 1) * VR_GET(topology, cores, 1) *
                                       VR_GET(topology, threads, 1))
                            : 1;
    double used = stats ? installed * number(stats->mem_usage) / 100 : 0;
    double user = stats ? number(stats->cpu_user) / vcpus : 0;
    double system = stats ? number(stats->cpu_sys) / vcpus : 0;
    const struct {
        const char *name, *description;
        enum vr_statistic_unit unit;
        double datum;
    } rows[] = {
        { "memory.installed", "Total memory configured", VR_STATISTIC_UNIT_BYTES, installed },
        { "memory.used", "Memory used (agent)", VR_STATISTIC_UNIT_BYTES, used },
        { "memory.free", "Memory free (agent)", VR_STATISTIC_UNIT_BYTES, installed - used },
        { "memory.buffered", "Memory buffered (agent)", VR_STATISTIC_UNIT_BYTES,
          memory ? number(memory->mem_buffers) * 1024 : 0 },
        { "memory.cached", "Memory cached (agent)", VR_STATISTIC_UNIT_BYTES,
          memory ? number(memory->mem_cached) * 1024 : 0 },
        { "memory.unused", "Memory unused (agent)", VR_STATISTIC_UNIT_BYTES,
          memory ? number(memory->mem_unused) * 1024 : 0 },
        { "cpu.current.guest", "CPU used by guest", VR_STATISTIC_UNIT_PERCENT, user },
        { "cpu.current.hypervisor", "CPU overhead", VR_STATISTIC_UNIT_PERCENT, system },
        { "cpu.current.total", "Total CPU used", VR_STATISTIC_UNIT_PERCENT, user + system },
        { "network.current.total", "Total network used", VR_STATISTIC_UNIT_PERCENT,
          network_usage(making, stats) },
        { "migration.progress", "Migration Progress", VR_STATISTIC_UNIT_PERCENT,
          stats ? (double)VR_GET(stats, migration_progress, 0) : 0 },
        { "elapsed.time", "Elapsed VM runtime", VR_STATISTIC_UNIT_SECONDS,
          stats ? number(stats->elapsed_time) : 0 },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++)
        add(making, rows[i].name, rows[i].description, GAUGE, rows[i].unit, rows[i].datum);
    usage_of_disks(making, stats);
}

/* --- whose they are --- */

/* The parent's id that an object's link must have, where it stands in the path. */
static bool belongs(const struct vr_reading *reading, unsigned owner_index, int kind,
                    const void *owner)
{
    const char *parent = owner_index > 0 ? reading->ids[owner_index - 1] : NULL;
    if (kind == VR_KIND_NIC)
        return g_strcmp0(VR_LINK_ID((const struct vr_nic *)owner, vm), parent) == 0;
    if (kind == VR_KIND_HOST_NIC)
        return g_strcmp0(VR_LINK_ID((const struct vr_host_nic *)owner, host), parent) == 0;
    return true;
}

/* The owner's id is the last of the path, or the last but one before a statistic's own.  Steps have
 * none: an empty list. */
static bool gather(struct vr_reading *reading, unsigned owner_index)
{
    static const struct {
        int kind;
        void (*make)(const struct making *making, const void *owner);
    } rows[] = {
        { VR_KIND_HOST, host_statistics }, { VR_KIND_HOST_NIC, host_nic_statistics },
        { VR_KIND_VM, vm_statistics },     { VR_KIND_NIC, nic_statistics },
        { VR_KIND_DISK, disk_statistics },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        vr_auto void *owner =
            vr_inventory_get(reading->inventory, rows[i].kind, reading->ids[owner_index]);
        if (!owner || !belongs(reading, owner_index, rows[i].kind, owner))
            continue;
        rows[i].make(&(struct making){ reading, rows[i].kind, reading->ids[owner_index] }, owner);
        return true;
    }
    return false;
}

void vr_statistics_list(struct vr_reading *reading)
{
    gather(reading, reading->id_count - 1);
}

void vr_statistic_get(struct vr_reading *reading)
{
    if (reading->id_count >= 2 && gather(reading, reading->id_count - 2))
        vr_reading_choose(reading, reading->ids[reading->id_count - 1]);
}
