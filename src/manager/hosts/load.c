/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/hosts/internal.h"

#include "manager/engine/rates.h"

/*
 * What a host is short of (facts/manager-behaviour.md 1.2): an event for each
 * report that is beyond a limit.  How often one is seen is the flood interval
 * of its code, a host and, where it has several, the part: nothing else keeps
 * a value that goes to and fro from being told again.
 */

struct load {
    struct vr_txn *txn;
    const struct vr_config *config;
    const struct vr_host *host;
    const struct vr_rpc_host_stats *stats;
};

/* @value and @threshold under the names that the text of @code has for them. */
static void tell(struct load *load, enum vr_event_code code, const char *name, double value,
                 int64_t threshold) VR_REQUIRES(vr_role_engine);
static void tell(struct load *load, enum vr_event_code code, const char *name, double value,
                 int64_t threshold)
{
    g_autofree char *is = g_strdup_printf("%.0f", value);
    g_autofree char *limit = g_strdup_printf("%" G_GINT64_FORMAT, threshold);
    vr_event_add(load->txn, code, &(struct vr_event_about){ .host = load->host }, name, is,
                 "Threshold", limit, NULL);
}

/* A host that never had as much as should be left is judged by its share alone. */
static void tell_memory(struct load *load) VR_REQUIRES(vr_role_engine);
static void tell_memory(struct load *load)
{
    const struct vr_rpc_host_stats *stats = load->stats;
    int64_t least = load->config->LogPhysicalMemoryThresholdInMB;
    int64_t most = load->config->LogMaxPhysicalMemoryUsedThresholdInPercentage;
    double used = stats->mem_used ? g_ascii_strtod(stats->mem_used, NULL) : 0;
    if (VR_HAS(stats, mem_free) && stats->mem_free < least &&
        VR_GET(load->host, memory, 0) / (int64_t)MiB(1) > least)
        tell(load, VR_EVENT_VDS_LOW_MEM, "AvailableMemory", (double)stats->mem_free, least);
    if (used > (double)most)
        tell(load, VR_EVENT_VDS_HIGH_MEM_USE, "UsedMemory", used, most);
}

static void tell_cpu(struct load *load) VR_REQUIRES(vr_role_engine);
static void tell_cpu(struct load *load)
{
    int64_t most = load->config->LogMaxCpuUsedThresholdInPercentage;
    double used = load->stats->cpu_idle ? 100 - g_ascii_strtod(load->stats->cpu_idle, NULL) : 0;
    if (used > (double)most)
        tell(load, VR_EVENT_VDS_HIGH_CPU_USE, "UsedCpu", used, most);
}

/* Two percent less than the limit is well: a swap of that size is never quite free. */
static void tell_swap(struct load *load) VR_REQUIRES(vr_role_engine);
static void tell_swap(struct load *load)
{
    const struct vr_rpc_host_stats *stats = load->stats;
    int64_t least = load->config->LogSwapMemoryThresholdInMB;
    if (VR_HAS(stats, swap_free) && VR_GET(stats, swap_total, 0) > 0 &&
        (double)stats->swap_free < 0.98 * (double)least)
        tell(load, VR_EVENT_VDS_LOW_SWAP, "AvailableSwap", (double)stats->swap_free, least);
}

static void tell_disks_from(struct load *load, enum vr_event_code code, int64_t above,
                            int64_t limit) VR_REQUIRES(vr_role_engine);
static void tell_disks_from(struct load *load, enum vr_event_code code, int64_t above, int64_t limit)
{
    const struct vr_map *disks = &load->stats->disk_stats;
    g_autoptr(GString) names = g_string_new(NULL);
    int64_t least = G_MAXINT64;
    for (unsigned i = 0; i < disks->len; i++) {
        const struct vr_rpc_path_stats *disk = disks->values[i];
        int64_t free = disk && disk->free ? g_ascii_strtoll(disk->free, NULL, 10) : G_MAXINT64;
        if (free <= above || free > limit)
            continue;
        g_string_append_printf(names, "%s%s", names->len ? ", " : "", disks->keys[i]);
        least = MIN(least, free);
    }
    if (names->len == 0)
        return;
    g_autofree char *left = g_strdup_printf("%" G_GINT64_FORMAT, least);
    vr_event_add(load->txn, code, &(struct vr_event_about){ .host = load->host }, "DiskSpace", left,
                 "Disks", names->str, NULL);
}

static void tell_disks(struct load *load) VR_REQUIRES(vr_role_engine);
static void tell_disks(struct load *load)
{
    int64_t low = load->config->VdsLocalDisksLowFreeSpace;
    int64_t critical = load->config->VdsLocalDisksCriticallyLowFreeSpace;
    tell_disks_from(load, VR_EVENT_VDS_LOW_DISK_SPACE_ERROR, -1, critical);
    tell_disks_from(load, VR_EVENT_VDS_LOW_DISK_SPACE, critical, low);
}

/* In percent of the speed that the host says (Mbit/s), of the busier direction.  VLANs have none of
 * their own. */
static void tell_nics(struct load *load, const struct vr_rpc_host_stats *before)
    VR_REQUIRES(vr_role_engine);
static void tell_nics(struct load *load, const struct vr_rpc_host_stats *before)
{
    GArray *rates = vr_rates_between(before, load->stats, NULL);
    vr_auto_objects struct vr_objects nics = { 0 };
    if (!rates)
        return;
    vr_inventory_list_by(vr_engine_head(vr_txn_engine(load->txn)), VR_KIND_HOST_NIC, "host",
                         load->host->id, &nics);
    VR_OBJECTS (struct vr_host_nic, nic, &nics) {
        const struct vr_rpc_host_network_interface_stats *stats =
            vr_map_get(&load->stats->network, nic->name);
        double in, out, speed = stats && stats->speed ? g_ascii_strtod(stats->speed, NULL) : 0;
        if (nic->vlan || !(speed > 0) || !vr_rates_find(rates, nic->name, &in, &out))
            continue;
        double used = MAX(in, out) * 8 / (speed * 1e6) * 100;
        if (!(used > (double)load->config->LogMaxNetworkUsedThresholdInPercentage))
            continue;
        g_autofree char *percent = g_strdup_printf("%.0f", MIN(used, 100));
        vr_event_add(load->txn, VR_EVENT_HOST_INTERFACE_HIGH_NETWORK_USE,
                     &(struct vr_event_about){ .host = load->host, .subject = nic->name },
                     "InterfaceName", nic->name, "NetworkUsage", percent, NULL);
    }
    g_array_unref(rates);
}

void load_report(struct monitor *monitor, const struct vr_rpc_host_stats *stats)
{
    struct load load = { .txn = vr_txn_new(monitor->engine),
                         .config = vr_engine_config(monitor->engine),
                         .host = monitor_host(monitor),
                         .stats = stats };
    tell_memory(&load);
    tell_cpu(&load);
    tell_swap(&load);
    tell_disks(&load);
    tell_nics(&load, monitor->stats);
    vr_txn_commit(load.txn, NULL, NULL);
}
