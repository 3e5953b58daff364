/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "netconf"
#include "agent/netconf/private.h"

#include <stdarg.h>

#include "agent/helper/run.h"

/*
 * Making the kernel agree, by ip(8): the interface that distributions and
 * administrators share.  Every step may be repeated.
 */
#define IP_MS (10 * 1000)
#define ARGS_MAX 16

static bool ip(struct vr_error **error, ...)
{
    const char *argv[ARGS_MAX + 1] = { "ip" };
    va_list args;
    va_start(args, error);
    for (unsigned i = 1; i < ARGS_MAX && (argv[i] = va_arg(args, const char *)); i++) {
    }
    va_end(args);
    struct vr_run run = { .argv = argv, .deadline_ms = IP_MS };
    bool good = vr_run(&run, error);
    vr_run_done(&run);
    return good;
}

static bool exists(const char *device)
{
    g_autofree char *path = g_strdup_printf("/sys/class/net/%s", device);
    return g_file_test(path, G_FILE_TEST_EXISTS);
}

static bool is_bridge(const char *device)
{
    g_autofree char *path = g_strdup_printf("/sys/class/net/%s/bridge", device);
    return g_file_test(path, G_FILE_TEST_EXISTS);
}

/* The device below the bridge, made when it is a VLAN; owned, or NULL when there is none. */
static char *make_lower(const struct vr_network *network, struct vr_error **error)
{
    const char *lower = network->nic ? network->nic : network->bonding;
    if (!lower)
        return NULL;
    if (!exists(lower)) {
        vr_agent_error(error, network_nic, "%s", lower);
        return NULL;
    }
    if (!network->vlan)
        return g_strdup(lower);
    g_autofree char *vlan = g_strdup_printf("%s.%u", lower, network->vlan);
    g_autofree char *id = g_strdup_printf("%u", network->vlan);
    if (strlen(vlan) > VR_NET_NAME_MAX) {
        vr_agent_error(error, network_vlan, "%s is too long a name.", vlan);
        return NULL;
    }
    if (!exists(vlan) &&
        !ip(error, "link", "add", "link", lower, "name", vlan, "type", "vlan", "id", id, NULL))
        return NULL;
    if (!ip(error, "link", "set", lower, "up", NULL))
        return NULL;
    return g_steal_pointer(&vlan);
}

static char *master_of(const char *device)
{
    g_autofree char *link = g_strdup_printf("/sys/class/net/%s/master", device);
    g_autofree char *target = g_file_read_link(link, NULL);
    return target ? g_path_get_basename(target) : NULL;
}

static bool has_address(const char *device, const char *address)
{
    struct vr_run run = { .argv = (const char *const[]){ "ip", "-o", "-4", "addr", "show", "dev",
                                                         device, NULL },
                          .deadline_ms = IP_MS };
    vr_auto_error struct vr_error *error = NULL;
    g_autofree char *wanted = g_strdup_printf("inet %s ", address);
    bool has = vr_run(&run, &error) && strstr(run.output, wanted);
    vr_run_done(&run);
    return has;
}

static bool set_address(const struct vr_network *network, const char *lower,
                        struct vr_error **error)
{
    const char *bridge = network->name;
    if (!network->address)
        return true;
    /* The address moves from the interface to its bridge. */
    if (lower && has_address(lower, network->address) &&
        !ip(error, "addr", "del", network->address, "dev", lower, NULL))
        return false;
    if (!has_address(bridge, network->address) &&
        !ip(error, "addr", "add", network->address, "dev", bridge, NULL))
        return false;
    if (network->gateway && network->default_route)
        return ip(error, "route", "replace", "default", "via", network->gateway, "dev", bridge,
                  NULL);
    return true;
}

static bool attach(const char *bridge, const char *lower, struct vr_error **error)
{
    g_autofree char *master = master_of(lower);
    if (master && !strcmp(master, bridge))
        return true;
    if (master) {
        vr_agent_error(error, network_nic_used, "%s is below %s.", lower, master);
        return false;
    }
    return ip(error, "link", "set", lower, "master", bridge, NULL);
}

bool vr_network_apply(struct vr_network *network, struct vr_error **error)
{
    const char *bridge = network->name;
    g_autofree char *lower = make_lower(network, error);
    if (*error)
        return false;
    if (exists(bridge) && !is_bridge(bridge)) {
        vr_agent_error(error, network_bridge, "%s is an interface of another kind.", bridge);
        return false;
    }
    if (!exists(bridge)) {
        if (!ip(error, "link", "add", "name", bridge, "type", "bridge", NULL))
            return false;
        network->own_bridge = true;
    }
    g_autofree char *mtu = g_strdup_printf("%u", network->mtu ? network->mtu : 1500);
    bool good = ip(error, "link", "set", bridge, "type", "bridge", "stp_state",
                   network->stp ? "1" : "0", "forward_delay", network->stp ? "1500" : "0", NULL);
    if (good && lower)
        good = attach(bridge, lower, error) && ip(error, "link", "set", lower, "up", NULL);
    /* The MTU is the network's, so its own devices follow; an interface may carry a larger one. */
    if (good && lower &&
        network->mtu > (unsigned)vr_proc_number(1500, "/sys/class/net/%s/mtu", lower))
        good = ip(error, "link", "set", lower, "mtu", mtu, NULL);
    if (good && (!lower || network->mtu))
        good = ip(error, "link", "set", bridge, "mtu", mtu, NULL);
    if (good)
        good = ip(error, "link", "set", bridge, "up", NULL) && set_address(network, lower, error);
    if (!good)
        vr_error_prefix(error, "network %s", bridge);
    return good;
}

bool vr_network_remove(const struct vr_network *network, struct vr_error **error)
{
    const char *bridge = network->name;
    const char *lower = network->nic ? network->nic : network->bonding;
    if (is_bridge(bridge) && network->own_bridge &&
        !ip(error, "link", "del", bridge, "type", "bridge", NULL))
        return false;
    if (lower && network->vlan) {
        g_autofree char *vlan = g_strdup_printf("%s.%u", lower, network->vlan);
        if (exists(vlan) && !ip(error, "link", "del", vlan, NULL))
            return false;
    } else if (lower && network->own_bridge && network->address && exists(lower)) {
        /* What the bridge took from the interface goes back, or the host would fall silent. */
        if (!has_address(lower, network->address) &&
            !ip(error, "addr", "add", network->address, "dev", lower, NULL))
            return false;
        if (network->gateway && network->default_route)
            return ip(error, "route", "replace", "default", "via", network->gateway, "dev", lower,
                      NULL);
    }
    return true;
}

bool vr_netconf_need_bridge(const char *bridge, struct vr_error **error)
{
    if (strcmp(bridge, VR_NETCONF_DUMMY) || is_bridge(bridge))
        return true;
    return ip(error, "link", "add", "name", bridge, "type", "bridge", NULL);
}

static bool is_up(const char *device)
{
    g_autofree char *flags = vr_proc_read("/sys/class/net/%s/flags", device);
    return flags && (g_ascii_strtoull(flags, NULL, 0) & 1); /* IFF_UP */
}

char *vr_network_fault(const struct vr_network *network)
{
    const char *bridge = network->name;
    const char *lower = network->nic ? network->nic : network->bonding;
    if (!exists(bridge))
        return g_strdup_printf("The bridge %s is missing.", bridge);
    if (!is_bridge(bridge))
        return g_strdup_printf("%s is an interface of another kind than a bridge.", bridge);
    if (!is_up(bridge))
        return g_strdup_printf("The bridge %s is down.", bridge);
    if (lower) {
        g_autofree char *device =
            network->vlan ? g_strdup_printf("%s.%u", lower, network->vlan) : g_strdup(lower);
        if (!exists(device))
            return g_strdup_printf("The interface %s below %s is missing.", device, bridge);
        g_autofree char *master = master_of(device);
        if (g_strcmp0(master, bridge) != 0)
            return g_strdup_printf("The interface %s is not below %s.", device, bridge);
        if (!is_up(device))
            return g_strdup_printf("The interface %s below %s is down.", device, bridge);
    }
    if (network->address && !has_address(bridge, network->address))
        return g_strdup_printf("%s lacks the address %s.", bridge, network->address);
    return NULL;
}
