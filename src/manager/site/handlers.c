/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/site/site.h"

#include "gen/routes.h"

/* Data centres and clusters (facts/rest-api.md 8.1, limits in 8.4). */

#define MAX_NAME 40

static bool unique_name(struct vr_call *call, int kind, const char *what, const char *name,
                        const char *own_id, struct vr_error **error) VR_REQUIRES(vr_role_engine);
static bool unique_name(struct vr_call *call, int kind, const char *what, const char *name,
                        const char *own_id, struct vr_error **error)
{
    vr_auto_objects struct vr_objects same = { 0 };
    vr_inventory_list_named(vr_engine_head(call->engine), kind, name, &same);
    for (unsigned i = 0; i < same.count; i++)
        if (g_strcmp0(vr_id(same.items[i]), own_id) != 0) {
            vr_error_set(error, &vr_fault_name_in_use,
                         "Cannot add %s. The name %s is already in use.", what, name);
            return false;
        }
    return true;
}

static void remove_all(struct vr_txn *txn, int kind, const char *link, const char *id)
    VR_REQUIRES(vr_role_engine);
static void remove_all(struct vr_txn *txn, int kind, const char *link, const char *id)
{
    vr_auto_objects struct vr_objects objects = { 0 };
    vr_inventory_list_by(vr_engine_head(vr_txn_engine(txn)), kind, link, id, &objects);
    for (unsigned i = 0; i < objects.count; i++)
        vr_txn_remove(txn, kind, vr_id(objects.items[i]));
}

/* --- data centres --- */

void vr_data_centers_add(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    struct vr_data_center *body = call->body;
    if (!vr_check_name("Data Center", body->name, VR_NAME_SIMPLE, MAX_NAME, &error) ||
        !unique_name(call, VR_KIND_DATA_CENTER, "Data Center", body->name, NULL, &error)) {
        vr_call_fail(call, &error);
        return;
    }
    struct vr_data_center *dc = vr_call_take_body(call);
    struct vr_txn *txn = vr_txn_new(call->engine);
    VR_CLEAR(dc, id);
    vr_txn_add(txn, VR_KIND_DATA_CENTER, dc);
    VR_SET(dc, status, VR_DATA_CENTER_STATUS_UNINITIALIZED);
    VR_SET(dc, local, VR_GET(dc, local, false));
    VR_SET(dc, quota_mode, VR_GET(dc, quota_mode, VR_QUOTA_MODE_TYPE_DISABLED));
    VR_SET(dc, storage_format, VR_STORAGE_FORMAT_V5);
    if (!dc->description)
        VR_SET_STRING(dc, description, "");
    if (!dc->comment)
        VR_SET_STRING(dc, comment, "");
    struct vr_version *version = VR_SUB(dc, version, version);
    VR_SET(version, major, VR_GET(version, major, 4));
    VR_SET(version, minor, VR_GET(version, minor, 7));
    vr_site_equip_data_center(txn, dc);
    vr_event_add(txn, VR_EVENT_USER_ADD_STORAGE_POOL,
                 &(struct vr_event_about){ .user = vr_call_user(call),
                                           .data_center = dc,
                                           .correlation_id = call->correlation_id },
                 NULL);
    g_autofree char *id = g_strdup(dc->id);
    vr_call_commit(call, txn, VR_KIND_DATA_CENTER, id);
}

void vr_data_center_update(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    struct vr_data_center *wanted = call->body;
    const struct vr_data_center *dc = vr_call_target(call, VR_KIND_DATA_CENTER, &error);
    if (!dc || (wanted->name &&
                (!vr_check_name("Data Center", wanted->name, VR_NAME_SIMPLE, MAX_NAME, &error) ||
                 !unique_name(call, VR_KIND_DATA_CENTER, "Data Center", wanted->name, dc->id,
                              &error)))) {
        vr_call_fail(call, &error);
        return;
    }
    if (VR_HAS(wanted, local) && wanted->local != VR_GET(dc, local, false)) {
        vr_error_set(&error, &vr_fault_validation_failed,
                     "Cannot edit Data Center. Whether its storage is local does not change.");
        vr_call_fail(call, &error);
        return;
    }
    struct vr_txn *txn = vr_txn_new(call->engine);
    struct vr_data_center *edit = VR_EDIT(txn, DATA_CENTER, data_center, dc->id);
    if (wanted->name)
        VR_SET_STRING(edit, name, wanted->name);
    if (wanted->description)
        VR_SET_STRING(edit, description, wanted->description);
    if (wanted->comment)
        VR_SET_STRING(edit, comment, wanted->comment);
    if (VR_HAS(wanted, quota_mode))
        VR_SET(edit, quota_mode, wanted->quota_mode);
    vr_event_add(txn, VR_EVENT_USER_UPDATE_STORAGE_POOL,
                 &(struct vr_event_about){ .user = vr_call_user(call),
                                           .data_center = edit,
                                           .correlation_id = call->correlation_id },
                 NULL);
    g_autofree char *id = g_strdup(dc->id);
    vr_call_commit(call, txn, VR_KIND_DATA_CENTER, id);
}

void vr_data_center_remove(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_data_center *dc = vr_call_target(call, VR_KIND_DATA_CENTER, &error);
    struct vr_inventory *head = vr_engine_head(call->engine);
    if (dc && vr_inventory_count_by(head, VR_KIND_STORAGE_DOMAIN, "data_center", dc->id) > 0)
        vr_error_set(&error, &vr_fault_has_dependants,
                     "Cannot remove Data Center. Storage domains are attached to it.");
    else if (dc && vr_inventory_count_by(head, VR_KIND_CLUSTER, "data_center", dc->id) > 0)
        vr_error_set(&error, &vr_fault_has_dependants,
                     "Cannot remove Data Center. It has clusters.");
    if (error) {
        vr_call_fail(call, &error);
        return;
    }
    struct vr_txn *txn = vr_txn_new(call->engine);
    vr_auto_objects struct vr_objects networks = { 0 };
    vr_inventory_list_by(head, VR_KIND_NETWORK, "data_center", dc->id, &networks);
    VR_OBJECTS (struct vr_network, network, &networks) {
        remove_all(txn, VR_KIND_VNIC_PROFILE, "network", network->id);
        vr_txn_remove(txn, VR_KIND_NETWORK, network->id);
    }
    vr_event_add(txn, VR_EVENT_USER_REMOVE_STORAGE_POOL,
                 &(struct vr_event_about){ .user = vr_call_user(call),
                                           .data_center = dc,
                                           .correlation_id = call->correlation_id },
                 NULL);
    vr_txn_remove(txn, VR_KIND_DATA_CENTER, dc->id);
    vr_call_commit_remove(call, txn, NULL);
}

/* --- clusters --- */

static bool settle_links(struct vr_call *call, struct vr_cluster *cluster, struct vr_error **error)
    VR_REQUIRES(vr_role_engine);
static bool settle_links(struct vr_call *call, struct vr_cluster *cluster, struct vr_error **error)
{
    if (cluster->scheduling_policy) {
        const struct vr_scheduling_policy *policy =
            VR_RESOLVE(call->engine, SCHEDULING_POLICY, scheduling_policy,
                       cluster->scheduling_policy, "Scheduling policy", error);
        if (!policy)
            return false;
        VR_SET_LINK(cluster, scheduling_policy, scheduling_policy, policy->id);
    }
    if (cluster->mac_pool) {
        const struct vr_mac_pool *pool =
            VR_RESOLVE(call->engine, MAC_POOL, mac_pool, cluster->mac_pool, "MAC pool", error);
        if (!pool)
            return false;
        VR_SET_LINK(cluster, mac_pool, mac_pool, pool->id);
    }
    if (cluster->management_network) {
        const struct vr_network *network = VR_RESOLVE(
            call->engine, NETWORK, network, cluster->management_network, "Network", error);
        if (!network)
            return false;
        VR_SET_LINK(cluster, management_network, network, network->id);
    }
    const struct vr_memory_over_commit *over =
        cluster->memory_policy ? cluster->memory_policy->over_commit : NULL;
    if (over && VR_HAS(over, percent) && (over->percent < 1 || over->percent > 1000)) {
        vr_error_set(error, &vr_fault_invalid_value,
                     "memory_policy.over_commit.percent must be from 1 to 1000.");
        return false;
    }
    return true;
}

void vr_clusters_add(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    struct vr_cluster *body = call->body;
    const struct vr_data_center *dc = NULL;
    if (!vr_check_name("Cluster", body->name, VR_NAME_HOST, MAX_NAME, &error) ||
        !unique_name(call, VR_KIND_CLUSTER, "Cluster", body->name, NULL, &error) ||
        !(dc = VR_RESOLVE(call->engine, DATA_CENTER, data_center, body->data_center, "Data Center",
                          &error)) ||
        !settle_links(call, body, &error)) {
        vr_call_fail(call, &error);
        return;
    }
    struct vr_cluster *cluster = vr_call_take_body(call);
    struct vr_txn *txn = vr_txn_new(call->engine);
    VR_CLEAR(cluster, id);
    VR_SET_LINK(cluster, data_center, data_center, dc->id);
    vr_site_fill_cluster(cluster, dc);
    vr_txn_add(txn, VR_KIND_CLUSTER, cluster);
    vr_site_equip_cluster(txn, cluster);
    vr_event_add(txn, VR_EVENT_USER_ADD_CLUSTER,
                 &(struct vr_event_about){ .user = vr_call_user(call),
                                           .cluster = cluster,
                                           .correlation_id = call->correlation_id },
                 NULL);
    g_autofree char *id = g_strdup(cluster->id);
    vr_call_commit(call, txn, VR_KIND_CLUSTER, id);
}

/* The level of a cluster rises, and never below its hosts or above what is known. */
static bool check_version(const struct vr_cluster *now, const struct vr_cluster *wanted,
                          struct vr_error **error)
{
    if (!wanted->version || !now->version)
        return true;
    int64_t from = VR_GET(now->version, major, 4) * 100 + VR_GET(now->version, minor, 7);
    int64_t to = VR_GET(wanted->version, major, 4) * 100 + VR_GET(wanted->version, minor, 7);
    if (to >= from && to <= 407)
        return true;
    vr_error_set(error, &vr_fault_validation_failed,
                 "Cannot edit Cluster. Its compatibility version only rises, up to 4.7.");
    return false;
}

void vr_cluster_update(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    struct vr_cluster *wanted = call->body;
    const struct vr_cluster *cluster = vr_call_target(call, VR_KIND_CLUSTER, &error);
    if (!cluster ||
        (wanted->name && (!vr_check_name("Cluster", wanted->name, VR_NAME_HOST, MAX_NAME, &error) ||
                          !unique_name(call, VR_KIND_CLUSTER, "Cluster", wanted->name, cluster->id,
                                       &error))) ||
        !settle_links(call, wanted, &error) || !check_version(cluster, wanted, &error)) {
        vr_call_fail(call, &error);
        return;
    }
    if (VR_LINK_ID(wanted, data_center) &&
        g_strcmp0(VR_LINK_ID(wanted, data_center), VR_LINK_ID(cluster, data_center)) != 0) {
        vr_error_set(&error, &vr_fault_validation_failed,
                     "Cannot edit Cluster. It does not move to another data center.");
        vr_call_fail(call, &error);
        return;
    }
    struct vr_txn *txn = vr_txn_new(call->engine);
    struct vr_cluster *edit = VR_EDIT(txn, CLUSTER, cluster, cluster->id);
    VR_CLEAR(wanted, id);
    VR_CLEAR(wanted, data_center);
    for (unsigned i = 0; i < vr_type_cluster.field_count; i++)
        if (vr_type_cluster.fields[i].flags & VR_FIELD_COLLECTION)
            vr_clear(wanted, &vr_type_cluster.fields[i]);
    vr_merge(edit, wanted);
    vr_event_add(txn, VR_EVENT_USER_UPDATE_CLUSTER,
                 &(struct vr_event_about){ .user = vr_call_user(call),
                                           .cluster = edit,
                                           .correlation_id = call->correlation_id },
                 NULL);
    g_autofree char *id = g_strdup(edit->id);
    vr_call_commit(call, txn, VR_KIND_CLUSTER, id);
}

void vr_cluster_remove(struct vr_call *call)
{
    static const struct {
        int kind;
        const char *what;
    } users[] = {
        { VR_KIND_HOST, "hosts" },
        { VR_KIND_VM, "virtual machines" },
        { VR_KIND_VM_POOL, "pools of virtual machines" },
    };
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_cluster *cluster = vr_call_target(call, VR_KIND_CLUSTER, &error);
    struct vr_inventory *head = vr_engine_head(call->engine);
    for (unsigned i = 0; cluster && !error && i < G_N_ELEMENTS(users); i++)
        if (vr_inventory_count_by(head, users[i].kind, "cluster", cluster->id) > 0)
            vr_error_set(&error, &vr_fault_cluster_not_empty,
                         "Cannot remove Cluster. It has %s.", users[i].what);
    if (error) {
        vr_call_fail(call, &error);
        return;
    }
    struct vr_txn *txn = vr_txn_new(call->engine);
    remove_all(txn, VR_KIND_CPU_PROFILE, "cluster", cluster->id);
    remove_all(txn, VR_KIND_CLUSTER_NETWORK, "cluster", cluster->id);
    remove_all(txn, VR_KIND_AFFINITY_GROUP, "cluster", cluster->id);
    vr_event_add(txn, VR_EVENT_USER_REMOVE_CLUSTER,
                 &(struct vr_event_about){ .user = vr_call_user(call),
                                           .cluster = cluster,
                                           .correlation_id = call->correlation_id },
                 NULL);
    vr_txn_remove(txn, VR_KIND_CLUSTER, cluster->id);
    vr_call_commit_remove(call, txn, NULL);
}
