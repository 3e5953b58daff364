/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/fence/internal.h"

#include "manager/hosts/hosts.h"

GPtrArray *fence_agents_of(struct vr_engine *engine, const char *host_id, int64_t group)
{
    GPtrArray *found = g_ptr_array_new_with_free_func((GDestroyNotify)vr_unref);
    vr_auto_objects struct vr_objects all = { 0 };
    vr_inventory_list_by(vr_engine_head(engine), VR_KIND_AGENT, "host", host_id, &all);
    VR_OBJECTS (struct vr_agent, agent, &all)
        if (VR_GET(agent, order, 1) == group)
            g_ptr_array_add(found, vr_ref(agent));
    return found;
}

int64_t fence_next_group(struct vr_engine *engine, const char *host_id, int64_t after)
{
    vr_auto_objects struct vr_objects all = { 0 };
    int64_t next = -1;
    vr_inventory_list_by(vr_engine_head(engine), VR_KIND_AGENT, "host", host_id, &all);
    VR_OBJECTS (struct vr_agent, agent, &all) {
        int64_t order = VR_GET(agent, order, 1);
        if (order > after && (next < 0 || order < next))
            next = order;
    }
    return next;
}

bool vr_fence_has_agent(struct vr_engine *engine, const char *host_id, const char *except)
{
    vr_auto_objects struct vr_objects all = { 0 };
    vr_inventory_list_by(vr_engine_head(engine), VR_KIND_AGENT, "host", host_id, &all);
    VR_OBJECTS (struct vr_agent, agent, &all)
        if (g_strcmp0(agent->id, except) != 0)
            return true;
    return false;
}

/* 2: up; 1: reachable, though unfit for virtual machines; 0: cannot be asked. */
static int fitness(const struct vr_host *host)
{
    switch (VR_GET(host, status, VR_HOST_STATUS_UNASSIGNED)) {
    case VR_HOST_STATUS_UP:
        return 2;
    case VR_HOST_STATUS_NON_OPERATIONAL:
        return g_strcmp0(host->non_operational_reason, "network_unreachable") != 0;
    default:
        return 0;
    }
}

/* The best host of one cluster; the one to avoid only where there is no other. */
static void best_of(struct vr_engine *engine, const char *cluster_id, const char *own_id,
                    const char *avoid, const struct vr_host **best, int *score)
    VR_REQUIRES(vr_role_engine);
static void best_of(struct vr_engine *engine, const char *cluster_id, const char *own_id,
                    const char *avoid, const struct vr_host **best, int *score)
{
    struct vr_inventory *head = vr_engine_head(engine);
    vr_auto_objects struct vr_objects hosts = { 0 };
    vr_inventory_list_by(head, VR_KIND_HOST, "cluster", cluster_id, &hosts);
    VR_OBJECTS (struct vr_host, host, &hosts) {
        int mine = strcmp(host->id, own_id) == 0 ? 0 : fitness(host) * 2;
        if (mine && g_strcmp0(host->id, avoid) == 0)
            mine = 1;
        if (mine > *score) {
            *score = mine;
            *best = VR_PEEK(head, HOST, host, host->id);
        }
    }
}

const struct vr_host *fence_proxy(struct vr_engine *engine, const struct vr_host *host,
                                  const char *avoid)
{
    const char *cluster_id = VR_LINK_ID(host, cluster);
    const struct vr_data_center *dc = vr_hosts_data_center(engine, host);
    const struct vr_host *best = NULL;
    int score = 0;
    if (cluster_id)
        best_of(engine, cluster_id, host->id, avoid, &best, &score);
    if (score > 1 || !dc)
        return best;
    vr_auto_objects struct vr_objects clusters = { 0 };
    vr_inventory_list_by(vr_engine_head(engine), VR_KIND_CLUSTER, "data_center", dc->id, &clusters);
    VR_OBJECTS (struct vr_cluster, cluster, &clusters)
        best_of(engine, cluster->id, host->id, avoid, &best, &score);
    return best;
}
