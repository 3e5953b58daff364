/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/networks/internal.h"

#include "gen/routes.h"
#include "manager/job/job.h"

#include <stdio.h>

/* NICs of virtual machines and their MAC addresses (facts/rest-api.md 8.3). */

#define MAX_NAME 50

/* --- MAC addresses --- */

static bool parse_mac(const char *text, uint64_t *ret_number)
{
    unsigned b[6];
    char end;
    if (!text || strlen(text) != 17 ||
        sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%c", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5], &end) != 6)
        return false;
    *ret_number = 0;
    for (unsigned i = 0; i < 6; i++)
        *ret_number = *ret_number << 8 | b[i];
    return true;
}

static GHashTable *taken_macs(struct vr_txn *txn) VR_REQUIRES(vr_role_engine);
static GHashTable *taken_macs(struct vr_txn *txn)
{
    GHashTable *taken = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    vr_auto_objects struct vr_objects nics = { 0 };
    vr_inventory_list(vr_engine_head(vr_txn_engine(txn)), VR_KIND_NIC, &nics);
    VR_OBJECTS (struct vr_nic, nic, &nics) {
        uint64_t number;
        if (nic->mac && parse_mac(nic->mac->address, &number))
            g_hash_table_add(taken, g_memdup2(&number, sizeof(number)));
    }
    return taken;
}

char *mac_take(struct vr_txn *txn, const struct vr_cluster *cluster, struct vr_error **error)
{
    struct vr_engine *engine = vr_txn_engine(txn);
    const struct vr_mac_pool *pool = VR_PEEK(vr_engine_head(engine), MAC_POOL, mac_pool,
                                             VR_LINK_ID(cluster, mac_pool));
    g_autoptr(GHashTable) taken = taken_macs(txn);
    for (unsigned r = 0; pool && r < pool->ranges.len; r++) {
        const struct vr_range *range = pool->ranges.items[r];
        uint64_t from, to;
        if (!parse_mac(range->from, &from) || !parse_mac(range->to, &to) || to < from)
            continue;
        /* At a random place first: addresses that were freed are not given out again at once. */
        uint64_t chance, span = to - from + 1;
        vr_engine_random(engine, &chance, sizeof(chance));
        for (uint64_t i = 0; i < span && i <= g_hash_table_size(taken); i++) {
            uint64_t number = from + (chance % span + i) % span;
            if (!g_hash_table_contains(taken, &number))
                return g_strdup_printf("%02x:%02x:%02x:%02x:%02x:%02x", (unsigned)(number >> 40) & 255,
                                       (unsigned)(number >> 32) & 255, (unsigned)(number >> 24) & 255,
                                       (unsigned)(number >> 16) & 255, (unsigned)(number >> 8) & 255,
                                       (unsigned)number & 255);
        }
    }
    vr_error_set(error, &vr_fault_mac_pool_exhausted, NULL);
    return NULL;
}

bool mac_is_taken(struct vr_txn *txn, const char *address, const char *own_nic)
{
    vr_auto_objects struct vr_objects nics = { 0 };
    vr_inventory_list(vr_engine_head(vr_txn_engine(txn)), VR_KIND_NIC, &nics);
    VR_OBJECTS (struct vr_nic, nic, &nics)
        if (nic->mac && nic->mac->address && g_strcmp0(nic->id, own_nic) != 0 &&
            g_ascii_strcasecmp(nic->mac->address, address) == 0)
            return true;
    return false;
}

/* --- making one --- */

static bool check_name(struct vr_engine *engine, const char *vm_id, const char *name,
                       const char *own_id, struct vr_error **error) VR_REQUIRES(vr_role_engine);
static bool check_name(struct vr_engine *engine, const char *vm_id, const char *name,
                       const char *own_id, struct vr_error **error)
{
    if (!vr_check_name("Network interface", name, VR_NAME_FREE, MAX_NAME, error))
        return false;
    vr_auto_objects struct vr_objects nics = { 0 };
    vr_inventory_list_by(vr_engine_head(engine), VR_KIND_NIC, "vm", vm_id, &nics);
    VR_OBJECTS (struct vr_nic, nic, &nics)
        if (g_strcmp0(nic->id, own_id) != 0 && g_strcmp0(nic->name, name) == 0) {
            vr_error_set(error, &vr_fault_name_in_use,
                         "The virtual machine has a network interface with the name %s.", name);
            return false;
        }
    return true;
}

/* A profile of a network that the machine's cluster has. */
static bool settle_profile(struct vr_engine *engine, struct vr_nic *nic,
                           const struct vr_cluster *cluster, struct vr_error **error)
    VR_REQUIRES(vr_role_engine);
static bool settle_profile(struct vr_engine *engine, struct vr_nic *nic,
                           const struct vr_cluster *cluster, struct vr_error **error)
{
    struct vr_inventory *head = vr_engine_head(engine);
    if (!nic->vnic_profile || (!nic->vnic_profile->id && !nic->vnic_profile->name)) {
        VR_CLEAR(nic, vnic_profile);
        return true;
    }
    const struct vr_vnic_profile *profile =
        VR_RESOLVE(engine, VNIC_PROFILE, vnic_profile, nic->vnic_profile, "VNIC profile", error);
    if (!profile)
        return false;
    vr_auto_objects struct vr_objects links = { 0 };
    vr_inventory_list_by(head, VR_KIND_CLUSTER_NETWORK, "cluster", cluster->id, &links);
    VR_OBJECTS (struct vr_cluster_network, link, &links)
        if (g_strcmp0(VR_LINK_ID(link, network), VR_LINK_ID(profile, network)) == 0) {
            VR_SET_LINK(nic, vnic_profile, vnic_profile, profile->id);
            return true;
        }
    vr_error_set(error, &vr_fault_validation_failed,
                 "The network of vNIC profile %s is not attached to the virtual machine's cluster.",
                 profile->name);
    return false;
}

static bool settle_mac(struct vr_txn *txn, struct vr_nic *nic, const struct vr_cluster *cluster,
                       struct vr_error **error) VR_REQUIRES(vr_role_engine);
static bool settle_mac(struct vr_txn *txn, struct vr_nic *nic, const struct vr_cluster *cluster,
                       struct vr_error **error)
{
    struct vr_mac *mac = VR_SUB(nic, mac, mac);
    uint64_t number;
    if (!mac->address || !mac->address[0]) {
        char *address = mac_take(txn, cluster, error);
        if (!address)
            return false;
        VR_TAKE_STRING(mac, address, address);
        VR_SET(nic, pooled_mac, true);
        return true;
    }
    if (!parse_mac(mac->address, &number) || (number >> 40 & 1)) {
        vr_error_set(error, &vr_fault_invalid_value, "%s is not a unicast MAC address.",
                     mac->address);
        return false;
    }
    if (mac_is_taken(txn, mac->address, nic->id)) {
        vr_error_set(error, &vr_fault_mac_in_use, "The MAC address %s is in use.", mac->address);
        return false;
    }
    return true;
}

/* Adds @nic, which it takes, to a machine. */
static bool add_nic(struct vr_txn *txn, const struct vr_vm *vm, struct vr_nic *nic,
                    struct vr_error **error) VR_REQUIRES(vr_role_engine);
static bool add_nic(struct vr_txn *txn, const struct vr_vm *vm, struct vr_nic *nic,
                    struct vr_error **error)
{
    struct vr_engine *engine = vr_txn_engine(txn);
    const struct vr_cluster *cluster = vr_txn_peek(txn, VR_KIND_CLUSTER, VR_LINK_ID(vm, cluster));
    VR_CLEAR(nic, id);
    if (!cluster || !check_name(engine, vm->id, nic->name, NULL, error) ||
        !settle_profile(engine, nic, cluster, error) || !settle_mac(txn, nic, cluster, error)) {
        vr_unref(nic);
        return false;
    }
    VR_SET_LINK(nic, vm, vm, vm->id);
    VR_CLEAR(nic, network);
    VR_SET(nic, interface, VR_GET(nic, interface, VR_NIC_INTERFACE_VIRTIO));
    VR_SET(nic, linked, VR_GET(nic, linked, true));
    VR_SET(nic, plugged, VR_GET(nic, plugged, true));
    VR_SET(nic, synced, true);
    if (!nic->description)
        VR_SET_STRING(nic, description, "");
    vr_txn_add(txn, VR_KIND_NIC, nic);
    return true;
}

bool vr_networks_add_blank_nics(struct vr_txn *txn, const struct vr_vm *vm,
                                const struct vr_vm *wanted, struct vr_error **error)
{
    VR_EACH (struct vr_nic, nic, &wanted->nics)
        if (!add_nic(txn, vm, vr_copy(nic), error))
            return false;
    return true;
}

void vr_networks_remove_nics(struct vr_txn *txn, const char *vm_id)
{
    vr_auto_objects struct vr_objects nics = { 0 };
    vr_inventory_list_by(vr_engine_head(vr_txn_engine(txn)), VR_KIND_NIC, "vm", vm_id, &nics);
    VR_OBJECTS (struct vr_nic, nic, &nics)
        vr_txn_remove(txn, VR_KIND_NIC, nic->id);
}

/* --- handlers --- */

/* Devices change while the machine is down; a machine that runs would need a hot plug. */
static bool check_down(const struct vr_vm *vm, struct vr_error **error)
{
    enum vr_vm_status status = VR_GET(vm, status, VR_VM_STATUS_DOWN);
    if (status == VR_VM_STATUS_DOWN)
        return true;
    if (status == VR_VM_STATUS_UP)
        vr_error_set(error, &vr_fault_not_built,
                     "Network interfaces are not plugged into running machines by this version; "
                     "shut the virtual machine down first.");
    else
        vr_error_set(error, &vr_fault_vm_wrong_state,
                     "The virtual machine is in status %s.",
                     vr_enum_word(&vr_enum_vm_status, (int)status));
    return false;
}

static const struct vr_vm *vm_of(struct vr_call *call, const char *vm_id, struct vr_error **error)
    VR_REQUIRES(vr_role_engine);
static const struct vr_vm *vm_of(struct vr_call *call, const char *vm_id, struct vr_error **error)
{
    const struct vr_vm *vm = VR_PEEK(vr_engine_head(call->engine), VM, vm, vm_id);
    struct vr_lock lock = { VR_KIND_VM, vm_id, true };
    if (!vm) {
        vr_error_set(error, &vr_fault_not_found, NULL);
        return NULL;
    }
    return vr_locks_free(call->engine, &lock, 1, error) ? vm : NULL;
}

static void note(struct vr_call *call, struct vr_txn *txn, enum vr_event_code code,
                 const struct vr_vm *vm, const struct vr_nic *nic) VR_REQUIRES(vr_role_engine);
static void note(struct vr_call *call, struct vr_txn *txn, enum vr_event_code code,
                 const struct vr_vm *vm, const struct vr_nic *nic)
{
    vr_event_add(txn, code,
                 &(struct vr_event_about){ .user = vr_call_user(call),
                                           .vm = vm,
                                           .correlation_id = call->correlation_id },
                 "InterfaceName", nic->name, NULL);
}

void vr_vm_nics_add(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_vm *vm = vm_of(call, vr_call_id(call), &error);
    if (!vm || !check_down(vm, &error)) {
        vr_call_fail(call, &error);
        return;
    }
    struct vr_txn *txn = vr_txn_new(call->engine);
    struct vr_nic *nic = vr_call_take_body(call);
    if (!add_nic(txn, vm, nic, &error)) {
        vr_txn_abandon(txn);
        vr_call_fail(call, &error);
        return;
    }
    note(call, txn, VR_EVENT_NETWORK_ADD_VM_INTERFACE, vm, nic);
    g_autofree char *id = g_strdup(nic->id);
    vr_call_commit(call, txn, VR_KIND_NIC, id);
}

/* The NIC of the path, of the machine of the path. */
static const struct vr_nic *nic_of(struct vr_call *call, struct vr_error **error)
    VR_REQUIRES(vr_role_engine);
static const struct vr_nic *nic_of(struct vr_call *call, struct vr_error **error)
{
    const struct vr_nic *nic = vr_call_target(call, VR_KIND_NIC, error);
    if (nic && g_strcmp0(VR_LINK_ID(nic, vm), vr_call_parent_id(call)) != 0) {
        vr_error_set(error, &vr_fault_not_found, NULL);
        return NULL;
    }
    return nic;
}

void vr_vm_nic_update(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    struct vr_nic *wanted = call->body;
    const struct vr_nic *nic = nic_of(call, &error);
    const struct vr_vm *vm = nic ? vm_of(call, VR_LINK_ID(nic, vm), &error) : NULL;
    const struct vr_cluster *cluster =
        vm ? VR_PEEK(vr_engine_head(call->engine), CLUSTER, cluster, VR_LINK_ID(vm, cluster)) : NULL;
    if (!cluster || !check_down(vm, &error) ||
        (wanted->name && !check_name(call->engine, vm->id, wanted->name, nic->id, &error)) ||
        (wanted->vnic_profile && !settle_profile(call->engine, wanted, cluster, &error))) {
        vr_call_fail(call, &error);
        return;
    }
    struct vr_txn *txn = vr_txn_new(call->engine);
    g_autofree char *id = g_strdup(nic->id);
    bool empty_profile = wanted->has.vnic_profile && !wanted->vnic_profile;
    VR_SET_STRING(wanted, id, id);
    if (wanted->mac && !settle_mac(txn, wanted, cluster, &error)) {
        vr_txn_abandon(txn);
        vr_call_fail(call, &error);
        return;
    }
    struct vr_nic *edit = VR_EDIT(txn, NIC, nic, id);
    VR_CLEAR(wanted, vm);
    VR_CLEAR(wanted, network);
    vr_merge(edit, wanted);
    if (empty_profile)
        VR_CLEAR(edit, vnic_profile);
    note(call, txn, VR_EVENT_NETWORK_UPDATE_VM_INTERFACE, vm, edit);
    vr_call_commit(call, txn, VR_KIND_NIC, id);
}

void vr_vm_nic_remove(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_nic *nic = nic_of(call, &error);
    const struct vr_vm *vm = nic ? vm_of(call, VR_LINK_ID(nic, vm), &error) : NULL;
    if (!vm || !check_down(vm, &error)) {
        vr_call_fail(call, &error);
        return;
    }
    struct vr_txn *txn = vr_txn_new(call->engine);
    note(call, txn, VR_EVENT_NETWORK_REMOVE_VM_INTERFACE, vm, nic);
    vr_txn_remove(txn, VR_KIND_NIC, nic->id);
    vr_call_commit_remove(call, txn, NULL);
}

static void set_plugged(struct vr_call *call, bool plugged) VR_REQUIRES(vr_role_engine);
static void set_plugged(struct vr_call *call, bool plugged)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_nic *nic = nic_of(call, &error);
    const struct vr_vm *vm = nic ? vm_of(call, VR_LINK_ID(nic, vm), &error) : NULL;
    if (!vm || !check_down(vm, &error)) {
        vr_call_fail(call, &error);
        return;
    }
    struct vr_txn *txn = vr_txn_new(call->engine);
    struct vr_nic *edit = VR_EDIT(txn, NIC, nic, nic->id);
    VR_SET(edit, plugged, plugged);
    note(call, txn, VR_EVENT_NETWORK_UPDATE_VM_INTERFACE, vm, edit);
    vr_call_commit_action(call, txn, NULL);
}

void vr_vm_nic_activate(struct vr_call *call)
{
    set_plugged(call, true);
}

void vr_vm_nic_deactivate(struct vr_call *call)
{
    set_plugged(call, false);
}

const struct vr_module vr_networks_module = { .name = "networks" };
