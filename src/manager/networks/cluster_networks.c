/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/networks/internal.h"

#include "gen/routes.h"
#include "manager/rest/reading.h"

/* /clusters/{c}/networks: a network as one cluster uses it.  The attachment is an entity of its own
 * (cluster_network); what is shown is the network with the attachment's members. */

static bool has_usage(const struct vr_list *usages, enum vr_network_usage usage)
{
    for (unsigned i = 0; i < usages->len; i++)
        if ((enum vr_network_usage)GPOINTER_TO_SIZE(usages->items[i]) == usage)
            return true;
    return false;
}

static struct vr_network *shown(struct vr_inventory *inventory, const struct vr_cluster_network *link)
{
    vr_auto struct vr_network *stored =
        vr_inventory_get(inventory, VR_KIND_NETWORK, VR_LINK_ID(link, network));
    if (!stored)
        return NULL;
    struct vr_network *network = vr_copy(stored);
    VR_SET_LINK(network, cluster, cluster, VR_LINK_ID(link, cluster));
    VR_SET(network, required, VR_GET(link, required, true));
    VR_SET(network, display, VR_GET(link, display, false));
    VR_SET(network, status, VR_GET(link, status, VR_NETWORK_STATUS_OPERATIONAL));
    if (VR_HAS(link, usages))
        vr_copy_field(network, vr_type_field(&vr_type_network, "usages"), link,
                      vr_type_field(&vr_type_cluster_network, "usages"));
    return network;
}

void vr_cluster_networks_list(struct vr_reading *reading)
{
    vr_auto_objects struct vr_objects links = { 0 };
    vr_inventory_list_by(reading->inventory, VR_KIND_CLUSTER_NETWORK, "cluster", reading->ids[0],
                         &links);
    VR_OBJECTS (struct vr_cluster_network, link, &links) {
        struct vr_network *network = shown(reading->inventory, link);
        if (network)
            vr_list_append(&reading->list, network);
    }
}

void vr_cluster_network_get(struct vr_reading *reading)
{
    vr_auto_objects struct vr_objects links = { 0 };
    vr_inventory_list_by(reading->inventory, VR_KIND_CLUSTER_NETWORK, "cluster", reading->ids[0],
                         &links);
    VR_OBJECTS (struct vr_cluster_network, link, &links)
        if (g_strcmp0(VR_LINK_ID(link, network), reading->ids[1]) == 0 && !reading->object)
            reading->object = shown(reading->inventory, link);
}

static const struct vr_cluster_network *link_of(struct vr_engine *engine, const char *cluster_id,
                                                const char *network_id)
    VR_REQUIRES(vr_role_engine);
static const struct vr_cluster_network *link_of(struct vr_engine *engine, const char *cluster_id,
                                                const char *network_id)
{
    struct vr_inventory *head = vr_engine_head(engine);
    vr_auto_objects struct vr_objects links = { 0 };
    vr_inventory_list_by(head, VR_KIND_CLUSTER_NETWORK, "cluster", cluster_id, &links);
    VR_OBJECTS (struct vr_cluster_network, link, &links)
        if (g_strcmp0(VR_LINK_ID(link, network), network_id) == 0)
            return VR_PEEK(head, CLUSTER_NETWORK, cluster_network, link->id);
    return NULL;
}

static void set_members(struct vr_cluster_network *link, const struct vr_network *wanted)
{
    if (VR_HAS(wanted, required))
        VR_SET(link, required, wanted->required);
    if (VR_HAS(wanted, display))
        VR_SET(link, display, wanted->display);
    if (VR_HAS(wanted, usages)) {
        vr_copy_field(link, vr_type_field(&vr_type_cluster_network, "usages"), wanted,
                      vr_type_field(&vr_type_network, "usages"));
        VR_SET(link, display, has_usage(&wanted->usages, VR_NETWORK_USAGE_DISPLAY));
        VR_SET(link, migration, has_usage(&wanted->usages, VR_NETWORK_USAGE_MIGRATION));
    }
}

void vr_cluster_networks_add(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_cluster *cluster = vr_call_target(call, VR_KIND_CLUSTER, &error);
    const struct vr_network *network =
        cluster ? VR_RESOLVE(call->engine, NETWORK, network, call->body, "Network", &error) : NULL;
    if (network && g_strcmp0(VR_LINK_ID(network, data_center), VR_LINK_ID(cluster, data_center)) != 0)
        vr_error_set(&error, &vr_fault_validation_failed,
                     "The network belongs to another data center.");
    else if (network && link_of(call->engine, cluster->id, network->id))
        vr_error_set(&error, &vr_fault_already_exists,
                     "The network is attached to the cluster already.");
    if (error) {
        vr_call_fail(call, &error);
        return;
    }
    struct vr_txn *txn = vr_txn_new(call->engine);
    struct vr_cluster_network *link = VR_NEW(cluster_network);
    VR_SET_LINK(link, cluster, cluster, cluster->id);
    VR_SET_LINK(link, network, network, network->id);
    VR_SET(link, required, true);
    VR_SET(link, display, false);
    VR_SET(link, management, false);
    /* Operational once every up host has it; required ones start as not operational (6.1). */
    VR_SET(link, status, VR_NETWORK_STATUS_NON_OPERATIONAL);
    set_members(link, call->body);
    if (!VR_GET(link, required, true))
        VR_SET(link, status, VR_NETWORK_STATUS_OPERATIONAL);
    vr_txn_add(txn, VR_KIND_CLUSTER_NETWORK, link);
    g_autofree char *id = g_strdup(network->id);
    vr_call_commit(call, txn, VR_KIND_NETWORK, id);
}

void vr_cluster_network_update(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_cluster_network *link =
        link_of(call->engine, vr_call_parent_id(call), vr_call_id(call));
    if (!link) {
        vr_error_set(&error, &vr_fault_not_found, NULL);
        vr_call_fail(call, &error);
        return;
    }
    const struct vr_network *wanted = call->body;
    if (VR_GET(link, management, false) && VR_HAS(wanted, required) && !wanted->required) {
        vr_error_set(&error, &vr_fault_network_in_use, "The management network is always required.");
        vr_call_fail(call, &error);
        return;
    }
    struct vr_txn *txn = vr_txn_new(call->engine);
    set_members(VR_EDIT(txn, CLUSTER_NETWORK, cluster_network, link->id), wanted);
    g_autofree char *id = g_strdup(VR_LINK_ID(link, network));
    vr_call_commit(call, txn, VR_KIND_NETWORK, id);
}

void vr_cluster_network_remove(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_cluster_network *link =
        link_of(call->engine, vr_call_parent_id(call), vr_call_id(call));
    if (!link)
        vr_error_set(&error, &vr_fault_not_found, NULL);
    else if (VR_GET(link, management, false))
        vr_error_set(&error, &vr_fault_network_in_use,
                     "The management network is not detached from its cluster.");
    if (error) {
        vr_call_fail(call, &error);
        return;
    }
    struct vr_txn *txn = vr_txn_new(call->engine);
    vr_txn_remove(txn, VR_KIND_CLUSTER_NETWORK, link->id);
    vr_call_commit_remove(call, txn, NULL);
}
