/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/networks/internal.h"

#include "gen/routes.h"
#include "manager/site/site.h"

/* vNIC profiles (facts/rest-api.md 8.3). */

void vnic_profile_fill(struct vr_vnic_profile *profile)
{
    VR_SET(profile, port_mirroring, VR_GET(profile, port_mirroring, false));
    struct vr_vnic_pass_through *pass = VR_SUB(profile, pass_through, vnic_pass_through);
    VR_SET(pass, mode, VR_GET(pass, mode, VR_VNIC_PASS_THROUGH_MODE_DISABLED));
    /* Absent means the usual filter; an element without an id means none. */
    if (!profile->network_filter)
        VR_SET_LINK(profile, network_filter, network_filter, VR_ID_NO_MAC_SPOOFING);
    else if (!profile->network_filter->id && !profile->network_filter->name)
        VR_CLEAR(profile, network_filter);
    if (!profile->description)
        VR_SET_STRING(profile, description, "");
}

static bool check_profile(struct vr_call *call, struct vr_vnic_profile *profile,
                          const char *network_id, const char *own_id, struct vr_error **error)
    VR_REQUIRES(vr_role_engine);
static bool check_profile(struct vr_call *call, struct vr_vnic_profile *profile,
                          const char *network_id, const char *own_id, struct vr_error **error)
{
    if (profile->name && !vr_check_name("VNIC profile", profile->name, VR_NAME_FREE, 256, error))
        return false;
    if (profile->network_filter && (profile->network_filter->id || profile->network_filter->name)) {
        const struct vr_network_filter *filter =
            VR_RESOLVE(call->engine, NETWORK_FILTER, network_filter, profile->network_filter,
                       "Network filter", error);
        if (!filter)
            return false;
        VR_SET_LINK(profile, network_filter, network_filter, filter->id);
    }
    vr_auto_objects struct vr_objects others = { 0 };
    vr_inventory_list_by(vr_engine_head(call->engine), VR_KIND_VNIC_PROFILE, "network", network_id,
                         &others);
    VR_OBJECTS (struct vr_vnic_profile, other, &others)
        if (profile->name && g_strcmp0(other->id, own_id) != 0 &&
            strcmp(other->name, profile->name) == 0) {
            vr_error_set(error, &vr_fault_name_in_use,
                         "The network has a vNIC profile with the name %s.", profile->name);
            return false;
        }
    return true;
}

static void add_profile(struct vr_call *call, const struct vr_network *network)
    VR_REQUIRES(vr_role_engine);
static void add_profile(struct vr_call *call, const struct vr_network *network)
{
    vr_auto_error struct vr_error *error = NULL;
    if (!check_profile(call, call->body, network->id, NULL, &error)) {
        vr_call_fail(call, &error);
        return;
    }
    struct vr_vnic_profile *profile = vr_call_take_body(call);
    struct vr_txn *txn = vr_txn_new(call->engine);
    VR_CLEAR(profile, id);
    VR_SET_LINK(profile, network, network, network->id);
    vnic_profile_fill(profile);
    vr_txn_add(txn, VR_KIND_VNIC_PROFILE, profile);
    g_autofree char *id = g_strdup(profile->id);
    vr_call_commit(call, txn, VR_KIND_VNIC_PROFILE, id);
}

void vr_vnic_profiles_add(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    struct vr_vnic_profile *body = call->body;
    const struct vr_network *network =
        VR_RESOLVE(call->engine, NETWORK, network, body->network, "Network", &error);
    if (!network)
        vr_call_fail(call, &error);
    else
        add_profile(call, network);
}

void vr_assigned_vnic_profiles_add(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_network *network = vr_call_target(call, VR_KIND_NETWORK, &error);
    if (!network)
        vr_call_fail(call, &error);
    else
        add_profile(call, network);
}

void vr_vnic_profile_update(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    struct vr_vnic_profile *wanted = call->body;
    const struct vr_vnic_profile *profile = vr_call_target(call, VR_KIND_VNIC_PROFILE, &error);
    if (!profile ||
        !check_profile(call, wanted, VR_LINK_ID(profile, network), profile->id, &error)) {
        vr_call_fail(call, &error);
        return;
    }
    struct vr_txn *txn = vr_txn_new(call->engine);
    g_autofree char *id = g_strdup(profile->id);
    struct vr_vnic_profile *edit = VR_EDIT(txn, VNIC_PROFILE, vnic_profile, id);
    VR_CLEAR(wanted, id);
    VR_CLEAR(wanted, network);
    vr_merge(edit, wanted);
    if (edit->network_filter && !edit->network_filter->id)
        VR_CLEAR(edit, network_filter);
    vr_call_commit(call, txn, VR_KIND_VNIC_PROFILE, id);
}

static void remove_profile(struct vr_call *call) VR_REQUIRES(vr_role_engine);
static void remove_profile(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_vnic_profile *profile = vr_call_target(call, VR_KIND_VNIC_PROFILE, &error);
    vr_auto_objects struct vr_objects nics = { 0 };
    vr_inventory_list(vr_engine_head(call->engine), VR_KIND_NIC, &nics);
    VR_OBJECTS (struct vr_nic, nic, &nics)
        if (profile && !error && g_strcmp0(VR_LINK_ID(nic, vnic_profile), profile->id) == 0)
            vr_error_set(&error, &vr_fault_network_in_use,
                         "Cannot remove VNIC profile. NIC %s uses it.", nic->name);
    if (error) {
        vr_call_fail(call, &error);
        return;
    }
    struct vr_txn *txn = vr_txn_new(call->engine);
    vr_txn_remove(txn, VR_KIND_VNIC_PROFILE, profile->id);
    vr_call_commit_remove(call, txn, NULL);
}

void vr_vnic_profile_remove(struct vr_call *call)
{
    remove_profile(call);
}

void vr_assigned_vnic_profile_remove(struct vr_call *call)
{
    remove_profile(call);
}
