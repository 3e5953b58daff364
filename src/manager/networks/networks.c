/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/networks/internal.h"

#include "gen/routes.h"

/* Logical networks and their attachment to clusters (facts/rest-api.md 8.3, limits in 8.4). */

#define MAX_NAME 256
#define MAX_DEVICE_NAME 15 /* of a Linux bridge */

/* The bridge of a network carries its name when that fits a device, else a name made from its id
 * (facts/host-rpc.md 9.1). */
static char *device_name(const struct vr_network *network)
{
    size_t length = strlen(network->name);
    bool plain = length <= MAX_DEVICE_NAME;
    for (size_t i = 0; plain && i < length; i++)
        plain = g_ascii_isalnum(network->name[i]) || strchr("._-", network->name[i]);
    if (plain && strcmp(network->name, "lo") != 0)
        return g_strdup(network->name);
    char digits[14];
    unsigned n = 0;
    for (const char *c = network->id; *c && n < 13; c++)
        if (*c != '-')
            digits[n++] = *c;
    digits[n] = '\0';
    return g_strdup_printf("on%s", digits);
}

static bool check_network(struct vr_engine *engine, const struct vr_network *wanted,
                          const char *data_center_id, const char *own_id, struct vr_error **error)
    VR_REQUIRES(vr_role_engine);
static bool check_network(struct vr_engine *engine, const struct vr_network *wanted,
                          const char *data_center_id, const char *own_id, struct vr_error **error)
{
    if (wanted->name && !vr_check_name("Network", wanted->name, VR_NAME_FREE, MAX_NAME, error))
        return false;
    bool has_vlan = wanted->vlan && VR_HAS(wanted->vlan, id);
    if (has_vlan && (wanted->vlan->id < 0 || wanted->vlan->id > 4094)) {
        vr_error_set(error, &vr_fault_invalid_value, "The VLAN id must be from 0 to 4094.");
        return false;
    }
    if (VR_HAS(wanted, mtu) && wanted->mtu != 0 && (wanted->mtu < 68 || wanted->mtu > 65535)) {
        vr_error_set(error, &vr_fault_invalid_value,
                     "The MTU must be 0 (the default) or from 68 to 65535.");
        return false;
    }
    vr_auto_objects struct vr_objects others = { 0 };
    vr_inventory_list_by(vr_engine_head(engine), VR_KIND_NETWORK, "data_center", data_center_id,
                         &others);
    VR_OBJECTS (struct vr_network, other, &others) {
        if (g_strcmp0(other->id, own_id) == 0)
            continue;
        if (wanted->name && strcmp(other->name, wanted->name) == 0) {
            vr_error_set(error, &vr_fault_name_in_use,
                         "The data center has a network with the name %s.", wanted->name);
            return false;
        }
        if (has_vlan && other->vlan && VR_HAS(other->vlan, id) &&
            other->vlan->id == wanted->vlan->id) {
            vr_error_set(error, &vr_fault_conflict, "Network %s has the VLAN id %d.", other->name,
                         (int)wanted->vlan->id);
            return false;
        }
    }
    return true;
}

static void add_profile(struct vr_txn *txn, const struct vr_network *network)
    VR_REQUIRES(vr_role_engine);
static void add_profile(struct vr_txn *txn, const struct vr_network *network)
{
    struct vr_vnic_profile *profile = VR_NEW(vnic_profile);
    VR_SET_STRING(profile, name, network->name);
    VR_SET_STRING(profile, description, "");
    VR_SET_LINK(profile, network, network, network->id);
    vnic_profile_fill(profile);
    vr_txn_add(txn, VR_KIND_VNIC_PROFILE, profile);
}

static void add_network(struct vr_call *call, const struct vr_data_center *dc)
    VR_REQUIRES(vr_role_engine);
static void add_network(struct vr_call *call, const struct vr_data_center *dc)
{
    vr_auto_error struct vr_error *error = NULL;
    if (!check_network(call->engine, call->body, dc->id, NULL, &error)) {
        vr_call_fail(call, &error);
        return;
    }
    struct vr_network *network = vr_call_take_body(call);
    struct vr_txn *txn = vr_txn_new(call->engine);
    bool profile_required = VR_GET(network, profile_required, true);
    VR_CLEAR(network, id);
    VR_CLEAR(network, cluster);
    vr_txn_add(txn, VR_KIND_NETWORK, network);
    VR_SET_LINK(network, data_center, data_center, dc->id);
    VR_SET(network, mtu, VR_GET(network, mtu, 0));
    VR_SET(network, stp, VR_GET(network, stp, false));
    VR_SET(network, port_isolation, VR_GET(network, port_isolation, false));
    VR_SET(network, management, false);
    VR_CLEAR(network, profile_required);
    if (!VR_HAS(network, usages))
        VR_APPEND(network, usages, GSIZE_TO_POINTER((gsize)VR_NETWORK_USAGE_VM));
    if (!network->description)
        VR_SET_STRING(network, description, "");
    if (!network->comment)
        VR_SET_STRING(network, comment, "");
    VR_TAKE_STRING(network, vdsm_name, device_name(network));
    VR_SET_STRING(network, host_name, network->vdsm_name);
    if (profile_required)
        add_profile(txn, network);
    vr_event_add(txn, VR_EVENT_NETWORK_ADD_NETWORK,
                 &(struct vr_event_about){ .user = vr_call_user(call),
                                           .data_center = dc,
                                           .correlation_id = call->correlation_id },
                 "NetworkName", network->name, NULL);
    g_autofree char *id = g_strdup(network->id);
    vr_call_commit(call, txn, VR_KIND_NETWORK, id);
}

void vr_networks_add(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    struct vr_network *body = call->body;
    const struct vr_data_center *dc = VR_RESOLVE(call->engine, DATA_CENTER, data_center,
                                                 body->data_center, "Data Center", &error);
    if (!dc)
        vr_call_fail(call, &error);
    else
        add_network(call, dc);
}

void vr_data_center_networks_add(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_data_center *dc = vr_call_target(call, VR_KIND_DATA_CENTER, &error);
    if (!dc)
        vr_call_fail(call, &error);
    else
        add_network(call, dc);
}

static void update_network(struct vr_call *call) VR_REQUIRES(vr_role_engine);
static void update_network(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    struct vr_network *wanted = call->body;
    const struct vr_network *network = vr_call_target(call, VR_KIND_NETWORK, &error);
    if (!network || !check_network(call->engine, wanted, VR_LINK_ID(network, data_center),
                                   network->id, &error)) {
        vr_call_fail(call, &error);
        return;
    }
    bool renamed = wanted->name && strcmp(wanted->name, network->name) != 0;
    if (renamed && VR_GET(network, management, false)) {
        vr_error_set(&error, &vr_fault_network_in_use,
                     "The management network does not change its name.");
        vr_call_fail(call, &error);
        return;
    }
    struct vr_txn *txn = vr_txn_new(call->engine);
    g_autofree char *id = g_strdup(network->id);
    struct vr_network *edit = VR_EDIT(txn, NETWORK, network, id);
    static const char *const fixed[] = { "id", "data_center", "cluster", "vdsm_name", "status",
                                         "profile_required" };
    for (unsigned i = 0; i < G_N_ELEMENTS(fixed); i++)
        vr_clear_named(wanted, fixed[i]);
    vr_merge(edit, wanted);
    vr_event_add(txn, VR_EVENT_NETWORK_UPDATE_NETWORK,
                 &(struct vr_event_about){ .user = vr_call_user(call),
                                           .data_center = VR_PEEK(vr_engine_head(call->engine), DATA_CENTER,
                                                                  data_center,
                                                                  VR_LINK_ID(edit, data_center)),
                                           .correlation_id = call->correlation_id },
                 "NetworkName", edit->name, NULL);
    vr_call_commit(call, txn, VR_KIND_NETWORK, id);
}

void vr_network_update(struct vr_call *call)
{
    update_network(call);
}

void vr_data_center_network_update(struct vr_call *call)
{
    update_network(call);
}

/* A machine's NIC on one of the network's profiles, or NULL. */
static const struct vr_nic *user_of(struct vr_engine *engine, const char *network_id)
    VR_REQUIRES(vr_role_engine);
static const struct vr_nic *user_of(struct vr_engine *engine, const char *network_id)
{
    struct vr_inventory *head = vr_engine_head(engine);
    vr_auto_objects struct vr_objects nics = { 0 };
    vr_inventory_list(head, VR_KIND_NIC, &nics);
    VR_OBJECTS (struct vr_nic, nic, &nics) {
        const struct vr_vnic_profile *profile =
            VR_PEEK(head, VNIC_PROFILE, vnic_profile, VR_LINK_ID(nic, vnic_profile));
        if (profile && g_strcmp0(VR_LINK_ID(profile, network), network_id) == 0)
            return VR_PEEK(head, NIC, nic, nic->id);
    }
    return NULL;
}

static void remove_network(struct vr_call *call) VR_REQUIRES(vr_role_engine);
static void remove_network(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_network *network = vr_call_target(call, VR_KIND_NETWORK, &error);
    if (network && VR_GET(network, management, false))
        vr_error_set(&error, &vr_fault_network_in_use, "The management network does not go.");
    else if (network && user_of(call->engine, network->id))
        vr_error_set(&error, &vr_fault_network_in_use,
                     "Cannot remove Network. NIC %s of a virtual machine uses it.",
                     user_of(call->engine, network->id)->name);
    if (error) {
        vr_call_fail(call, &error);
        return;
    }
    struct vr_txn *txn = vr_txn_new(call->engine);
    static const int dependants[] = { VR_KIND_VNIC_PROFILE, VR_KIND_CLUSTER_NETWORK };
    for (unsigned i = 0; i < G_N_ELEMENTS(dependants); i++) {
        vr_auto_objects struct vr_objects objects = { 0 };
        vr_inventory_list_by(vr_engine_head(call->engine), dependants[i], "network", network->id,
                             &objects);
        for (unsigned n = 0; n < objects.count; n++)
            vr_txn_remove(txn, dependants[i], vr_id(objects.items[n]));
    }
    vr_event_add(txn, VR_EVENT_NETWORK_REMOVE_NETWORK,
                 &(struct vr_event_about){ .user = vr_call_user(call),
                                           .data_center = VR_PEEK(vr_engine_head(call->engine), DATA_CENTER,
                                                                  data_center,
                                                                  VR_LINK_ID(network, data_center)),
                                           .correlation_id = call->correlation_id },
                 "NetworkName", network->name, NULL);
    vr_txn_remove(txn, VR_KIND_NETWORK, network->id);
    vr_call_commit_remove(call, txn, NULL);
}

void vr_network_remove(struct vr_call *call)
{
    remove_network(call);
}

void vr_data_center_network_remove(struct vr_call *call)
{
    remove_network(call);
}
