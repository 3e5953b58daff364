/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/deploy/internal.h"

#include <arpa/inet.h>
#include <string.h>

/* What is to be made of a host's report: which device has its address, and what a network over it
 * has to look like. */

/* What the kinds of devices have in common. */
struct device {
    const char *name;
    const char *address, *netmask, *gateway;
    const struct vr_list *addresses4, *addresses6;
    const char *mtu;
    int64_t mtu_number;
    bool leased, autoconf6;
    const char *below; /* of a VLAN */
    int64_t vlan;      /* 0: none */
    bool bond;
};

#define COMMON(from)                                                                               \
    .address = (from)->addr, .netmask = (from)->netmask, .addresses4 = &(from)->ipv4addrs,         \
    .addresses6 = &(from)->ipv6addrs, .leased = VR_GET(from, dhcpv4, false)

static bool has_address(const struct device *device, const char *address)
{
    if (!g_strcmp0(device->address, address))
        return true;
    size_t length = strlen(address);
    const struct vr_list *lists[] = { device->addresses4, device->addresses6 };
    for (unsigned l = 0; l < G_N_ELEMENTS(lists); l++)
        for (unsigned i = 0; i < lists[l]->len; i++) {
            const char *one = lists[l]->items[i];
            if (!strncmp(one, address, length) && (one[length] == '/' || !one[length]))
                return true;
        }
    return false;
}

/* The device that the host says the Manager's connection goes over, else the one with the address
 * that the Manager knows. */
static bool is_it(const struct device *device, const struct vr_host *host,
                  const struct vr_rpc_vdsm_capabilities *caps)
{
    const char *said = caps->last_client_iface;
    if (said && *said)
        return !strcmp(device->name, said);
    return has_address(device, host->address);
}

static bool find_device(const struct vr_host *host, const struct vr_rpc_vdsm_capabilities *caps,
                        struct device *ret)
{
    for (unsigned i = 0; i < caps->nics.len; i++) {
        const struct vr_rpc_net_info_nic *n = caps->nics.values[i];
        const struct device d = { COMMON(n), .name = caps->nics.keys[i], .gateway = n->gateway,
                                  .mtu = n->mtu,
                                  .autoconf6 = VR_GET(n, ipv6autoconf, false) };
        *ret = d;
        if (is_it(&d, host, caps))
            return true;
    }
    for (unsigned i = 0; i < caps->bondings.len; i++) {
        const struct vr_rpc_net_info_bond *n = caps->bondings.values[i];
        const struct device d = { COMMON(n), .name = caps->bondings.keys[i], .gateway = n->gateway,
                                  .mtu = n->mtu, .bond = true,
                                  .autoconf6 = VR_GET(n, ipv6autoconf, false) };
        *ret = d;
        if (is_it(&d, host, caps))
            return true;
    }
    for (unsigned i = 0; i < caps->vlans.len; i++) {
        const struct vr_rpc_net_info_vlan *n = caps->vlans.values[i];
        if (!n->iface || VR_GET(n, vlanid, 0) == 0)
            continue; /* nothing that could be asked for */
        const struct device d = { COMMON(n), .name = caps->vlans.keys[i],
                                  .mtu_number = VR_GET(n, mtu, 0), .below = n->iface,
                                  .vlan = VR_GET(n, vlanid, 0),
                                  .bond = vr_map_get(&caps->bondings, n->iface) != NULL };
        *ret = d;
        if (is_it(&d, host, caps))
            return true;
    }
    return false;
}

static const struct vr_network *management_network(struct vr_engine *engine,
                                                   const struct vr_host *host)
    VR_REQUIRES(vr_role_engine);
static const struct vr_network *management_network(struct vr_engine *engine,
                                                   const struct vr_host *host)
{
    struct vr_inventory *head = vr_engine_head(engine);
    const struct vr_network *found = NULL;
    vr_auto_objects struct vr_objects links = { 0 };
    vr_inventory_list_by(head, VR_KIND_CLUSTER_NETWORK, "cluster", VR_LINK_ID(host, cluster),
                         &links);
    VR_OBJECTS (struct vr_cluster_network, link, &links)
        if (VR_GET(link, management, false))
            found = VR_PEEK(head, NETWORK, network, VR_LINK_ID(link, network));
    return found;
}

/* Bridges are for networks of machines. */
static bool is_bridged(const struct vr_network *network)
{
    if (!VR_HAS(network, usages))
        return true;
    for (unsigned i = 0; i < network->usages.len; i++)
        if ((enum vr_network_usage)GPOINTER_TO_SIZE(network->usages.items[i]) ==
            VR_NETWORK_USAGE_VM)
            return true;
    return false;
}

/* "192.0.2.11/24" of the address that the Manager uses, else of the device's first one. */
static const char *chosen(const struct vr_list *addresses, const char *wanted)
{
    size_t length = strlen(wanted);
    for (unsigned i = 0; i < addresses->len; i++) {
        const char *one = addresses->items[i];
        if (!strncmp(one, wanted, length) && one[length] == '/')
            return one;
    }
    return addresses->len ? addresses->items[0] : NULL;
}

static void fill(struct vr_rpc_setup_network_net_attributes *wanted, const struct vr_host *host,
                 const struct vr_network *network, const struct device *device)
{
    const char *below = device->vlan ? device->below : device->name;
    if (device->bond)
        VR_SET_STRING(wanted, bonding, below);
    else
        VR_SET_STRING(wanted, nic, below);
    if (device->vlan)
        VR_TAKE_STRING(wanted, vlan, g_strdup_printf("%" G_GINT64_FORMAT, device->vlan));
    VR_SET(wanted, bridged, true);
    VR_SET_STRING(wanted, stp, VR_GET(network, stp, false) ? "yes" : "no");
    VR_SET_STRING(wanted, switch_, "legacy");
    VR_SET(wanted, default_route, true);
    int64_t now = device->mtu ? g_ascii_strtoll(device->mtu, NULL, 10) : device->mtu_number;
    int64_t mtu = VR_GET(network, mtu, 0);
    VR_SET(wanted, mtu, mtu ? mtu : now ? now : 1500);

    const char *four = chosen(device->addresses4, host->address);
    if (four) {
        const char *slash = strchr(four, '/');
        VR_TAKE_STRING(wanted, ipaddr, g_strndup(four, slash ? (size_t)(slash - four) : strlen(four)));
        if (slash && g_strcmp0(wanted->ipaddr, device->address) != 0)
            VR_SET_STRING(wanted, prefix, slash + 1);
        else
            VR_SET_STRING(wanted, netmask, device->netmask);
        if (device->gateway && *device->gateway)
            VR_SET_STRING(wanted, gateway, device->gateway);
    }
    const char *six = chosen(device->addresses6, host->address);
    if (device->autoconf6)
        VR_SET(wanted, ipv6autoconf, true);
    else if (six)
        VR_SET_STRING(wanted, ipv6addr, six);
}

static void say(struct deploy_network *ret, enum deploy_network_outcome outcome, const char *format,
                ...) VR_PRINTF(3, 4);
static void say(struct deploy_network *ret, enum deploy_network_outcome outcome, const char *format,
                ...)
{
    va_list args;
    va_start(args, format);
    ret->outcome = outcome;
    ret->reason = g_strdup_vprintf(format, args);
    va_end(args);
}

/* No device that a bridge can be made over. */
static void say_no_device(const struct vr_host *host, const struct vr_rpc_vdsm_capabilities *caps,
                          struct deploy_network *ret)
{
    const char *said = caps->last_client_iface ? caps->last_client_iface : "";
    if (!strcmp(said, "lo"))
        say(ret, DEPLOY_NETWORK_NONE, "its address %s is its own loopback, so it gets no bridge %s",
            host->address, ret->name);
    else if (vr_map_get(&caps->bridges, said))
        say(ret, DEPLOY_NETWORK_REFUSED,
            "The address of the host is on its bridge %s; its management network is called %s. Name the "
            "bridge so in the host's configuration of networks, or put the address on the card below "
            "it; then install again.", said, ret->name);
    else
        say(ret, DEPLOY_NETWORK_REFUSED,
            "The address %s is on no network card, bond or VLAN of the host%s%s, so that no bridge %s can "
            "be made. Give the host an address of its own, or make the bridge on it by hand, and "
            "install again.", host->address, *said ? " but on " : "", said, ret->name);
}

void deploy_network_plan(struct vr_job_run *run, const struct vr_host *host,
                         const struct vr_rpc_vdsm_capabilities *caps, struct deploy_network *ret)
{
    const struct vr_network *network = management_network(run->engine, host);
    struct device device;
    ret->outcome = DEPLOY_NETWORK_NONE;
    if (!network || !is_bridged(network))
        return;
    ret->name = g_strdup(network->host_name ? network->host_name : network->name);
    if (vr_map_get(&caps->networks, ret->name)) {
        ret->outcome = DEPLOY_NETWORK_THERE;
        return;
    }
    if (!find_device(host, caps, &device)) {
        say_no_device(host, caps, ret);
        return;
    }
    int64_t vlan = network->vlan ? VR_GET(network->vlan, id, 0) : 0;
    if (vlan != device.vlan) {
        say(ret, DEPLOY_NETWORK_REFUSED,
            "The address of the host is on %s with VLAN %" G_GINT64_FORMAT "; the management network %s "
            "has VLAN %" G_GINT64_FORMAT " (0: none). Make them the same and install again.",
            device.name, device.vlan, network->name, vlan);
        return;
    }
    if (device.leased) {
        say(ret, DEPLOY_NETWORK_NONE,
            "its address on %s is leased by DHCP, which its agent cannot move to a bridge: it stays "
            "without the bridge %s. For machines with NICs on %s give it a fixed address (for instance "
            "\"iface %s inet static\" in /etc/network/interfaces), put it into maintenance, and install "
            "it again", device.name, ret->name, network->name, device.name);
        return;
    }
    ret->outcome = DEPLOY_NETWORK_WANTED;
    ret->device = g_strdup(device.name);
    ret->wanted = VR_NEW(rpc_setup_network_net_attributes);
    fill(ret->wanted, host, network, &device);
}

void deploy_network_done(struct deploy_network *network)
{
    g_clear_pointer(&network->name, g_free);
    g_clear_pointer(&network->device, g_free);
    g_clear_pointer(&network->reason, g_free);
    if (network->wanted)
        vr_unref(g_steal_pointer(&network->wanted));
}
