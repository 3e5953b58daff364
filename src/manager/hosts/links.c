/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/hosts/internal.h"

/*
 * The links of a host's NICs (facts/manager-behaviour.md 1.2, 1.3).  A report
 * of statistics says which are up; that becomes their status, with an event
 * where networks depend on them.  A VLAN's network depends on the NIC or bond
 * below, a bond's state is its own: with one slave of two it is up.
 */

/* The NIC or bond that must be up for what @nic carries: of a VLAN the device below. */
static const char *base_of(const struct vr_host_nic *nic)
{
    return nic->base_interface && nic->base_interface[0] ? nic->base_interface : nic->name;
}

/* --- status and events --- */

static bool carries(const struct vr_objects *nics, const struct vr_host_nic *base)
{
    VR_OBJECTS (struct vr_host_nic, nic, nics)
        if (VR_LINK_ID(nic, network) && g_strcmp0(base_of(nic), base->name) == 0)
            return true;
    return false;
}

static const struct vr_host_nic *bond_of(const struct vr_objects *nics,
                                         const struct vr_host_nic *slave)
{
    VR_OBJECTS (struct vr_host_nic, nic, nics)
        for (unsigned i = 0; nic->bonding && i < nic->bonding->slaves.len; i++)
            if (strcmp(vr_id(nic->bonding->slaves.items[i]), slave->id) == 0)
                return nic;
    return NULL;
}

static void tell(struct vr_txn *txn, const struct vr_host *host, const struct vr_objects *nics,
                 const struct vr_host_nic *nic, bool up) VR_REQUIRES(vr_role_engine);
static void tell(struct vr_txn *txn, const struct vr_host *host, const struct vr_objects *nics,
                 const struct vr_host_nic *nic, bool up)
{
    const struct vr_event_about about = { .host = host };
    const struct vr_host_nic *bond = bond_of(nics, nic);
    if (bond && carries(nics, bond))
        vr_event_add(txn,
                     up ? VR_EVENT_HOST_BOND_SLAVE_STATE_UP : VR_EVENT_HOST_BOND_SLAVE_STATE_DOWN,
                     &about, "SlaveName", nic->name, "BondName", bond->name, NULL);
    else if (carries(nics, nic))
        vr_event_add(txn, up ? VR_EVENT_HOST_INTERFACE_STATE_UP : VR_EVENT_HOST_INTERFACE_STATE_DOWN,
                     &about, "InterfaceName", nic->name, NULL);
}

static void take_over(struct vr_engine *engine, const struct vr_host *host,
                      const struct vr_rpc_host_stats *stats) VR_REQUIRES(vr_role_engine);
static void take_over(struct vr_engine *engine, const struct vr_host *host,
                      const struct vr_rpc_host_stats *stats)
{
    vr_auto_objects struct vr_objects nics = { 0 };
    vr_inventory_list_by(vr_engine_head(engine), VR_KIND_HOST_NIC, "host", host->id, &nics);
    struct vr_txn *txn = vr_txn_new(engine);
    VR_OBJECTS (struct vr_host_nic, nic, &nics) {
        const struct vr_rpc_host_network_interface_stats *link =
            vr_map_get(&stats->network, nic->name);
        if (!link || !VR_HAS(link, state))
            continue;
        bool up = link->state == VR_RPC_NETWORK_INTERFACE_STATE_UP;
        enum vr_nic_status status = up ? VR_NIC_STATUS_UP : VR_NIC_STATUS_DOWN;
        if (VR_HAS(nic, status) && nic->status == status)
            continue;
        VR_SET(VR_EDIT(txn, HOST_NIC, host_nic, nic->id), status, status);
        if (VR_HAS(nic, status)) /* else it is new, and did not change */
            tell(txn, host, &nics, nic, up);
    }
    vr_txn_commit(txn, NULL, NULL);
}

/* --- required networks --- */

/* Its name when the network @id is required by the cluster and in operation, else NULL.  Borrowed. */
static const char *required(struct vr_inventory *head, const char *cluster_id, const char *id)
    VR_REQUIRES(vr_role_engine);
static const char *required(struct vr_inventory *head, const char *cluster_id, const char *id)
{
    const struct vr_network *network = VR_PEEK(head, NETWORK, network, id);
    vr_auto_objects struct vr_objects attached = { 0 };
    vr_inventory_list_by(head, VR_KIND_CLUSTER_NETWORK, "cluster", cluster_id, &attached);
    VR_OBJECTS (struct vr_cluster_network, link, &attached)
        if (network && g_strcmp0(VR_LINK_ID(link, network), id) == 0)
            return VR_GET(link, required, true) &&
                           VR_GET(link, status, VR_NETWORK_STATUS_OPERATIONAL) ==
                               VR_NETWORK_STATUS_OPERATIONAL
                       ? network->name
                       : NULL;
    return NULL;
}

/* A network without its NIC; both names borrowed. */
struct loss {
    const char *nic, *network;
};

static gint compare_losses(gconstpointer a, gconstpointer b)
{
    const struct loss *left = a, *right = b;
    int order = strcmp(left->nic, right->nic);
    return order ? order : strcmp(left->network, right->network);
}

char *links_down(struct vr_engine *engine, const struct vr_host *host)
{
    struct vr_inventory *head = vr_engine_head(engine);
    g_autoptr(GArray) losses = g_array_new(FALSE, FALSE, sizeof(struct loss));
    vr_auto_objects struct vr_objects nics = { 0 };
    vr_inventory_list_by(head, VR_KIND_HOST_NIC, "host", host->id, &nics);
    VR_OBJECTS (struct vr_host_nic, nic, &nics) {
        if (!VR_LINK_ID(nic, network))
            continue;
        g_autofree char *id = nic_id(host->id, base_of(nic));
        const struct vr_host_nic *base = VR_PEEK(head, HOST_NIC, host_nic, id);
        if (!base || VR_GET(base, status, VR_NIC_STATUS_UP) != VR_NIC_STATUS_DOWN)
            continue;
        struct loss loss = { base->name,
                             required(head, VR_LINK_ID(host, cluster), VR_LINK_ID(nic, network)) };
        if (loss.network)
            g_array_append_val(losses, loss);
    }
    if (losses->len == 0)
        return NULL;
    g_array_sort(losses, compare_losses);
    GString *text = g_string_new(NULL);
    for (unsigned i = 0; i < losses->len; i++) {
        const struct loss *loss = &g_array_index(losses, struct loss, i);
        if (i > 0 && strcmp(loss[-1].nic, loss->nic) == 0)
            g_string_append_printf(text, ", %s", loss->network);
        else
            g_string_append_printf(text, "%s%s (%s", i > 0 ? "), " : "", loss->nic, loss->network);
    }
    g_string_append_c(text, ')');
    return g_string_free(text, FALSE);
}

static void judge(struct monitor *monitor, const struct vr_host *host) VR_REQUIRES(vr_role_engine);
static void judge(struct monitor *monitor, const struct vr_host *host)
{
    struct vr_engine *engine = monitor->engine;
    bool up = VR_GET(host, status, VR_HOST_STATUS_UNASSIGNED) == VR_HOST_STATUS_UP;
    g_autofree char *down = up ? links_down(engine, host) : NULL;
    int64_t now = vr_engine_monotonic_ms(engine);
    if (!down) {
        monitor->nic_down_since = 0;
        return;
    }
    if (!monitor->nic_down_since)
        monitor->nic_down_since = now;
    /* Its name says ms, its value are seconds: as long as a NIC may wait for its DHCP server. */
    if (now - monitor->nic_down_since < vr_engine_config(engine)->NicDHCPDelayGraceInMS * 1000)
        return;
    monitor->nic_down_since = 0;
    struct vr_txn *txn = vr_txn_new(engine);
    vr_hosts_set_unfit(txn, monitor->host_id, VR_UNFIT_NIC_DOWN, down);
    vr_txn_commit(txn, NULL, NULL);
}

void links_report(struct monitor *monitor, const struct vr_rpc_host_stats *stats)
{
    take_over(monitor->engine, monitor_host(monitor), stats);
    judge(monitor, monitor_host(monitor));
}
