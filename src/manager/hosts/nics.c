/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/hosts/internal.h"

#define MAX_SPEED_MBIT INT64_C(1000000000) /* a host says what it likes */

/* What all the reported devices have in common, by kind. */
struct device {
    const char *name, *mac, *address, *netmask, *gateway, *mtu;
    int64_t speed;
    const char *base;             /* of a VLAN */
    int64_t vlan;                 /* -1: none */
    const struct vr_list *slaves; /* of a bond */
    bool dhcp;
};

char *nic_id(const char *host_id, const char *name)
{
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    uint8_t digest[32];
    gsize length = sizeof(digest);
    g_checksum_update(sum, (const guchar *)host_id, -1);
    g_checksum_update(sum, (const guchar *)"/", 1);
    g_checksum_update(sum, (const guchar *)name, -1);
    g_checksum_get_digest(sum, digest, &length);
    char uuid[37];
    vr_uuid_format(uuid, digest);
    return g_strdup(uuid);
}

/* The logical network whose VLAN, bridge or interface is this device. */
static const struct vr_network *network_on(struct vr_txn *txn, const struct vr_host *host,
                                           const struct vr_rpc_vdsm_capabilities *caps,
                                           const char *device) VR_REQUIRES(vr_role_engine);
static const struct vr_network *network_on(struct vr_txn *txn, const struct vr_host *host,
                                           const struct vr_rpc_vdsm_capabilities *caps,
                                           const char *device)
{
    struct vr_inventory *head = vr_engine_head(vr_txn_engine(txn));
    vr_auto_objects struct vr_objects attached = { 0 };
    vr_inventory_list_by(head, VR_KIND_CLUSTER_NETWORK, "cluster", VR_LINK_ID(host, cluster),
                         &attached);
    VR_OBJECTS (struct vr_cluster_network, link, &attached) {
        const struct vr_network *network =
            VR_PEEK(head, NETWORK, network, VR_LINK_ID(link, network));
        if (!network)
            continue;
        const char *name = network->host_name ? network->host_name : network->name;
        const struct vr_rpc_net_info_network *reported = vr_map_get(&caps->networks, name);
        if (!reported)
            continue;
        if (g_strcmp0(reported->interface, device) == 0)
            return network;
        for (unsigned i = 0; i < reported->ports.len; i++)
            if (strcmp(reported->ports.items[i], device) == 0)
                return network;
    }
    return NULL;
}

static void fill(struct vr_host_nic *nic, const struct vr_host *host, const struct device *device,
                 const struct vr_network *network, const struct vr_rpc_vdsm_capabilities *caps)
{
    VR_SET_STRING(nic, name, device->name);
    VR_SET_LINK(nic, host, host, host->id);
    VR_SET_LINK(nic, network, network, network ? network->id : NULL);
    if (device->mac)
        VR_SET_STRING(VR_SUB(nic, mac, mac), address, device->mac);
    const char *address = device->address, *netmask = device->netmask, *gateway = device->gateway;
    const char *host_name = network ? network->host_name ? network->host_name : network->name : NULL;
    const struct vr_rpc_net_info_network *carried =
        host_name ? vr_map_get(&caps->networks, host_name) : NULL;
    if (carried && carried->addr && carried->addr[0]) {
        address = carried->addr;
        netmask = carried->netmask;
        gateway = carried->gateway;
    }
    struct vr_ip *ip = VR_SUB(nic, ip, ip);
    VR_SET_STRING(ip, address, address ? address : "");
    VR_SET_STRING(ip, netmask, netmask);
    VR_SET_STRING(ip, gateway, gateway);
    VR_SET(ip, version, VR_IP_VERSION_V4);
    VR_SET(nic, boot_protocol,
           device->dhcp                ? VR_BOOT_PROTOCOL_DHCP
           : address && address[0]     ? VR_BOOT_PROTOCOL_STATIC
                                       : VR_BOOT_PROTOCOL_NONE);
    VR_SET(nic, mtu, device->mtu ? g_ascii_strtoll(device->mtu, NULL, 10) : 1500);
    VR_SET(nic, speed, CLAMP(device->speed, 0, MAX_SPEED_MBIT) * 1000 * 1000);
    VR_SET(nic, bridged, network != NULL && carried && VR_GET(carried, bridged, true));
    VR_SET(nic, custom_configuration, false);
    if (device->vlan >= 0) {
        VR_SET(VR_SUB(nic, vlan, vlan), id, device->vlan);
        VR_SET_STRING(nic, base_interface, device->base);
    }
    if (device->slaves) {
        struct vr_bonding *bonding = VR_SUB(nic, bonding, bonding);
        VR_CLEAR(bonding, slaves);
        for (unsigned i = 0; i < device->slaves->len; i++) {
            g_autofree char *slave = nic_id(host->id, device->slaves->items[i]);
            VR_APPEND(bonding, slaves, VR_STUB(host_nic, slave));
        }
    }
}

static void apply_device(struct vr_txn *txn, const struct vr_host *host,
                         const struct vr_rpc_vdsm_capabilities *caps, const struct device *device,
                         GHashTable *seen) VR_REQUIRES(vr_role_engine);
static void apply_device(struct vr_txn *txn, const struct vr_host *host,
                         const struct vr_rpc_vdsm_capabilities *caps, const struct device *device,
                         GHashTable *seen)
{
    char *id = nic_id(host->id, device->name);
    struct vr_host_nic *nic = VR_EDIT(txn, HOST_NIC, host_nic, id);
    if (!nic) {
        nic = VR_NEW(host_nic);
        VR_SET_STRING(nic, id, id);
        vr_txn_add(txn, VR_KIND_HOST_NIC, nic);
    }
    fill(nic, host, device, network_on(txn, host, caps, device->name), caps);
    g_hash_table_add(seen, id);
}

void nics_apply(struct vr_txn *txn, const struct vr_host *host,
                const struct vr_rpc_vdsm_capabilities *caps)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (unsigned i = 0; i < caps->nics.len; i++) {
        const struct vr_rpc_net_info_nic *n = caps->nics.values[i];
        struct device d = { .name = caps->nics.keys[i], .mac = n->hwaddr, .address = n->addr,
                            .netmask = n->netmask, .gateway = n->gateway, .mtu = n->mtu,
                            .speed = VR_GET(n, speed, 0), .vlan = -1,
                            .dhcp = VR_GET(n, dhcpv4, false) };
        apply_device(txn, host, caps, &d, seen);
    }
    for (unsigned i = 0; i < caps->bondings.len; i++) {
        const struct vr_rpc_net_info_bond *n = caps->bondings.values[i];
        struct device d = { .name = caps->bondings.keys[i], .mac = n->hwaddr, .address = n->addr,
                            .netmask = n->netmask, .gateway = n->gateway, .mtu = n->mtu,
                            .vlan = -1, .slaves = &n->slaves, .dhcp = VR_GET(n, dhcpv4, false) };
        apply_device(txn, host, caps, &d, seen);
    }
    for (unsigned i = 0; i < caps->vlans.len; i++) {
        const struct vr_rpc_net_info_vlan *n = caps->vlans.values[i];
        struct device d = { .name = caps->vlans.keys[i], .address = n->addr,
                            .netmask = n->netmask, .base = n->iface,
                            .vlan = VR_GET(n, vlanid, 0), .dhcp = VR_GET(n, dhcpv4, false) };
        apply_device(txn, host, caps, &d, seen);
    }

    vr_auto_objects struct vr_objects known = { 0 };
    vr_inventory_list_by(vr_engine_head(vr_txn_engine(txn)), VR_KIND_HOST_NIC, "host", host->id,
                         &known);
    VR_OBJECTS (struct vr_host_nic, nic, &known)
        if (!g_hash_table_contains(seen, nic->id))
            vr_txn_remove(txn, VR_KIND_HOST_NIC, nic->id);
}

void nics_remove_all(struct vr_txn *txn, const char *host_id)
{
    vr_auto_objects struct vr_objects known = { 0 };
    vr_inventory_list_by(vr_engine_head(vr_txn_engine(txn)), VR_KIND_HOST_NIC, "host", host_id,
                         &known);
    VR_OBJECTS (struct vr_host_nic, nic, &known)
        vr_txn_remove(txn, VR_KIND_HOST_NIC, nic->id);
}
