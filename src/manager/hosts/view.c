/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/hosts/view.h"

#include "base/base.h"

/* How many machines it has, and the memory that it has left for more (facts/rest-api.md 7.2,
 * facts/manager-behaviour.md 3.1). */

/* In MiB: `free = overcommit % of physical - committed - reserved - pending`, never below 0. */
static int64_t memory_left(struct vr_inventory *inventory, const struct vr_host *host,
                           int64_t of_vms)
{
    vr_auto struct vr_cluster *cluster =
        VR_LINK_ID(host, cluster)
            ? vr_inventory_get(inventory, VR_KIND_CLUSTER, VR_LINK_ID(host, cluster))
            : NULL;
    int64_t percent = 100;
    if (cluster && cluster->memory_policy && cluster->memory_policy->over_commit)
        percent = VR_GET(cluster->memory_policy->over_commit, percent, 100);
    int64_t physical = VR_GET(host, memory, 0) >> 20;
    int64_t left = physical / 100 * percent + physical % 100 * percent / 100 - of_vms -
                   VR_GET(host, guest_overhead, 65) - VR_GET(host, reserved_memory, 0);
    return MAX(0, left);
}

void vr_host_view(struct vr_reading *reading, void *copy)
{
    struct vr_host *host = copy;
    struct vr_vm_summary *summary = VR_SUB(host, summary, vm_summary);
    int64_t active = 0, migrating = 0, total = 0, memory = 0;
    vr_auto_objects struct vr_objects vms = { 0 };
    vr_inventory_list_by(reading->inventory, VR_KIND_VM, "host", host->id, &vms);
    VR_OBJECTS (struct vr_vm, vm, &vms) {
        enum vr_vm_status status = VR_GET(vm, status, VR_VM_STATUS_DOWN);
        active += status == VR_VM_STATUS_UP;
        migrating += status == VR_VM_STATUS_MIGRATING;
        total++;
        memory += (VR_GET(vm, memory, 0) >> 20) + VR_GET(host, guest_overhead, 65);
    }
    VR_SET(summary, active, active);
    VR_SET(summary, migrating, migrating);
    VR_SET(summary, total, total);
    if (VR_HAS(host, memory))
        VR_SET(host, max_scheduling_memory,
               memory_left(reading->inventory, host, memory) * (int64_t)MiB(1));
    vr_auto struct vr_rpc_host_stats *stats =
        vr_statistics_get(reading->statistics, VR_KIND_HOST, host->id);
    if (stats && VR_HAS(stats, ksm_state))
        VR_SET(VR_SUB(host, ksm, ksm), enabled, stats->ksm_state);
}
