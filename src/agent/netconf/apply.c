/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "netconf"
#include "agent/netconf/private.h"

#include <stdarg.h>
#include <stdio.h>

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

/* Lines of ip's own language in one go, so that nothing is half done for longer than it must be. */
static bool batch(const char *text, bool whole, struct vr_error **error)
{
    if (!*text)
        return true;
    const char *const strict[] = { "ip", "-batch", "-", NULL };
    const char *const lenient[] = { "ip", "-force", "-batch", "-", NULL };
    struct vr_run run = { .argv = whole ? strict : lenient, .input = text, .deadline_ms = IP_MS };
    vr_log_debug("ip -batch: %s", text);
    vr_auto_error struct vr_error *failure = NULL;
    bool good = vr_run(&run, &failure);
    /* Its last line only says which line failed. */
    if (!good && run.errors && *run.errors)
        vr_error_set(error, &vr_agent_fault_network_ifup, "ip: %s",
                     g_strdelimit(g_strchomp(run.errors), "\n", ' '));
    else if (!good)
        *error = g_steal_pointer(&failure);
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

static char *master_of(const char *device)
{
    g_autofree char *link = g_strdup_printf("/sys/class/net/%s/master", device);
    g_autofree char *target = g_file_read_link(link, NULL);
    return target ? g_path_get_basename(target) : NULL;
}

static const char *lower_of(const struct vr_network *network)
{
    return network->nic ? network->nic : network->bonding;
}

/* The device of a VLAN, whatever its name is: "vlan10 | 10 | eth0" in /proc/net/vlan/config. */
static char *vlan_device(const char *lower, unsigned id)
{
    g_autofree char *text = vr_proc_read("/proc/net/vlan/config");
    g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", -1);
    for (char **line = lines; *line; line++) {
        char name[VR_NET_NAME_MAX + 1], below[VR_NET_NAME_MAX + 1];
        unsigned number;
        if (sscanf(*line, "%15s | %u | %15s", name, &number, below) == 3 && number == id &&
            !strcmp(below, lower))
            return g_strdup(name);
    }
    return g_strdup_printf("%s.%u", lower, id);
}

/* The port of the bridge; owned, or NULL when the network has none. */
static char *port_of(const struct vr_network *network)
{
    const char *lower = lower_of(network);
    if (!lower)
        return NULL;
    return network->vlan ? vlan_device(lower, network->vlan) : g_strdup(lower);
}

/* Whether a bridge goes before this network comes. */
static bool leaves(const GPtrArray *leaving, const char *bridge)
{
    for (unsigned i = 0; leaving && i < leaving->len; i++) {
        const struct vr_network *network = leaving->pdata[i];
        if (!strcmp(network->name, bridge))
            return true;
    }
    return false;
}

static bool check(const struct vr_network *network, const GPtrArray *leaving,
                  struct vr_error **error)
{
    const char *bridge = network->name, *lower = lower_of(network);
    g_autofree char *port = port_of(network);
    if (exists(bridge) && !is_bridge(bridge)) {
        vr_agent_error(error, network_bridge, "%s is an interface of another kind.", bridge);
        return false;
    }
    if (!lower)
        return true;
    if (!exists(lower)) {
        vr_agent_error(error, network_nic, "%s", lower);
        return false;
    }
    if (strlen(port) > VR_NET_NAME_MAX) {
        vr_agent_error(error, network_vlan, "%s is too long a name.", port);
        return false;
    }
    g_autofree char *master = master_of(port);
    if (master && strcmp(master, bridge) != 0 && !leaves(leaving, master)) {
        vr_agent_error(error, network_nic_used, "%s is below %s.", port, master);
        return false;
    }
    return true;
}

static bool has_paths(const GPtrArray *routes)
{
    for (unsigned i = 0; i < routes->len; i++)
        if (strstr(routes->pdata[i], "nexthop"))
            return true;
    return false;
}

bool vr_network_check(struct vr_network *network, const GPtrArray *leaving, struct vr_error **error)
{
    if (!check(network, leaving, error))
        return false;
    g_autofree char *port = port_of(network);
    network->own_vlan = network->vlan && !exists(port);
    for (unsigned i = 0; network->vlan && leaving && i < leaving->len; i++) {
        const struct vr_network *before = leaving->pdata[i];
        g_autofree char *goes = before->own_vlan ? port_of(before) : NULL;
        network->own_vlan |= !g_strcmp0(goes, port);
    }
    return true;
}

bool vr_network_prepare(struct vr_network *network, const GPtrArray *leaving,
                        struct vr_error **error)
{
    if (!vr_network_check(network, leaving, error))
        return false;
    g_autofree char *port = port_of(network);
    network->own_bridge = !exists(network->name);
    if (!port || network->own_vlan || !vr_network_has_address(network))
        return true;
    struct vr_carried carried;
    if (!vr_carried_read(port, &carried, error))
        return false;
    if (has_paths(carried.routes)) {
        vr_agent_error(error, network_nic_used, "A route over %s has several ways (nexthop), which "
                       "cannot be moved to a bridge.", port);
        vr_carried_done(&carried);
        return false;
    }
    network->addresses = carried.addresses;
    network->routes = carried.routes;
    return true;
}

/* --- lines of ip --- */

/* The card's own MAC address, so that neighbours and DHCP servers see who they saw before. */
static void add_bridge(GString *text, const struct vr_network *network, const char *port)
{
    const char *bridge = network->name;
    if (!exists(bridge)) {
        g_autofree char *mac =
            port && exists(port) ? vr_proc_read("/sys/class/net/%s/address", port) : NULL;
        g_string_append_printf(text, "link add name %s", bridge);
        if (mac && *mac)
            g_string_append_printf(text, " address %s", g_strstrip(mac));
        g_string_append(text, " type bridge\n");
    }
    g_string_append_printf(text, "link set %s type bridge stp_state %d forward_delay %s\n", bridge,
                           network->stp, network->stp ? "1500" : "0");
}

static void add_port(GString *text, const struct vr_network *network, const char *port)
{
    const char *bridge = network->name, *lower = lower_of(network);
    if (!port)
        return;
    if (network->vlan && !exists(port))
        g_string_append_printf(text, "link add link %s name %s type vlan id %u\n", lower, port,
                               network->vlan);
    g_string_append_printf(text, "link set %s up\n", lower);
    if (network->vlan)
        g_string_append_printf(text, "link set %s up\n", port);
    /* The MTU is the network's, so its own devices follow; an interface may carry a larger one. */
    if (network->mtu > (unsigned)vr_proc_number(1500, "/sys/class/net/%s/mtu", lower))
        g_string_append_printf(text, "link set %s mtu %u\n", lower, network->mtu);
    if (network->vlan && network->mtu)
        g_string_append_printf(text, "link set %s mtu %u\n", port, network->mtu);
    g_autofree char *master = master_of(port);
    if (g_strcmp0(master, bridge) != 0)
        g_string_append_printf(text, "link set %s master %s\n", port, bridge);
}

static void add_addresses(GString *text, const GPtrArray *addresses, const char *device)
{
    for (unsigned i = 0; addresses && i < addresses->len; i++)
        g_string_append_printf(text, "addr replace %s dev %s\n", (const char *)addresses->pdata[i],
                               device);
}

/* Those that lead to gateways before those that need them. */
static void add_routes(GString *text, const GPtrArray *routes, const char *device)
{
    for (int gateways = 0; gateways < 2; gateways++)
        for (unsigned i = 0; routes && i < routes->len; i++) {
            const char *route = routes->pdata[i];
            if ((strstr(route, " via ") != NULL) == (gateways == 1))
                g_string_append_printf(text, "route replace %s dev %s\n", route, device);
        }
}

/* Over @gateway, or (NULL) over any. */
static bool leads_out(const GPtrArray *routes, const char *everywhere, const char *gateway)
{
    g_autofree char *wanted = gateway ? g_strdup_printf("%s via %s", everywhere, gateway)
                                      : g_strdup(everywhere);
    return vr_carried_has(routes, wanted);
}

/*
 * The addresses and gateways of the network itself, as far as none of @there carries them.
 * @whole: the gateway is that one and no other; else any will do: at a boot an administrator's
 * newer one may be there.
 */
static void add_own(GString *links, GString *routes, const struct vr_network *network,
                    const struct vr_carried *there, unsigned count, bool whole, const char *device)
{
    const struct {
        const char *address, *gateway, *everywhere;
    } families[] = { { network->address, network->gateway, "0.0.0.0/0" },
                     { network->address6, network->gateway6, "::/0" } };
    for (unsigned f = 0; f < G_N_ELEMENTS(families); f++) {
        const char *gateway = families[f].gateway, *everywhere = families[f].everywhere;
        bool has = !families[f].address, out = !gateway || !network->default_route;
        for (unsigned i = 0; i < count; i++) {
            has = has || vr_carried_has(there[i].addresses, families[f].address);
            out = out || leads_out(there[i].routes, everywhere, whole ? gateway : NULL);
        }
        if (!has)
            g_string_append_printf(links, "addr replace %s dev %s%s\n", families[f].address, device,
                                   f ? " nodad" : "");
        if (!out)
            g_string_append_printf(routes, "route replace %s via %s dev %s\n", everywhere, gateway,
                                   device);
    }
}

/* What of the noted is neither here nor there. */
static GPtrArray *missing(const GPtrArray *noted, const GPtrArray *here, const GPtrArray *there)
{
    GPtrArray *left = g_ptr_array_new_with_free_func(g_free);
    for (unsigned i = 0; noted && i < noted->len; i++) {
        g_autofree char *first = g_strndup(noted->pdata[i], strcspn(noted->pdata[i], " "));
        if (!vr_carried_has(there, first) && !vr_carried_has(here, noted->pdata[i]))
            g_ptr_array_add(left, g_strdup(noted->pdata[i]));
    }
    return left;
}

static bool add_all(GString *links, GString *routes, const struct vr_network *network,
                    const char *port, bool whole, struct vr_error **error)
{
    const char *bridge = network->name;
    /* On the port, on the bridge, and noted. */
    struct vr_carried there[3] = { { .addresses = NULL } };
    bool good = (!port || !exists(port) || vr_carried_read(port, &there[0], error)) &&
                (!is_bridge(bridge) || vr_carried_read(bridge, &there[1], error));
    if (good) {
        there[2].addresses = missing(network->addresses, there[0].addresses, there[1].addresses);
        there[2].routes = missing(network->routes, there[0].routes, there[1].routes);
        /* What somebody set on the port since (an administrator, at a boot) is newer than what is
         * noted, so it comes last. */
        if (there[0].addresses && there[0].addresses->len)
            g_string_append_printf(links, "addr flush dev %s scope global\n", port);
        for (unsigned i = 3; i-- > 0;)
            if (i != 1) {
                add_addresses(links, there[i].addresses, bridge);
                add_routes(routes, there[i].routes, bridge);
            }
        add_own(links, routes, network, there, G_N_ELEMENTS(there), whole, bridge);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(there); i++)
        vr_carried_done(&there[i]);
    return good;
}

/* --- the changes --- */

/* A route that cannot be made again must not keep a host from the rest of its network. */
static bool set_routes(const char *text, bool whole, struct vr_error **error)
{
    vr_auto_error struct vr_error *failure = NULL;
    if (batch(text, whole, &failure))
        return true;
    if (whole) {
        *error = g_steal_pointer(&failure);
        return false;
    }
    g_autofree char *words = vr_error_text(failure);
    vr_log_warning("A route could not be made: %s", words);
    return true;
}

bool vr_network_apply(const struct vr_network *network, bool whole, struct vr_error **error)
{
    const char *bridge = network->name;
    g_autofree char *port = port_of(network);
    g_autoptr(GString) links = g_string_new(NULL);
    g_autoptr(GString) routes = g_string_new(NULL);
    bool good = check(network, NULL, error);
    if (good) {
        add_bridge(links, network, port);
        add_port(links, network, port);
        if (!port || network->mtu)
            g_string_append_printf(links, "link set %s mtu %u\n", bridge,
                                   network->mtu ? network->mtu : 1500);
        g_string_append_printf(links, "link set %s up\n", bridge);
        good = !vr_network_has_address(network) ||
               add_all(links, routes, network, port, whole, error);
    }
    good = good && batch(links->str, true, error) && set_routes(routes->str, whole, error);
    if (!good)
        vr_error_prefix(error, "network %s", bridge);
    return good;
}

/* Without what the bridge carries: it goes elsewhere. */
bool vr_network_take_down(const struct vr_network *network, struct vr_error **error)
{
    g_autofree char *port = port_of(network);
    g_autoptr(GString) text = g_string_new(NULL);
    if (is_bridge(network->name) && network->own_bridge)
        g_string_append_printf(text, "link del %s type bridge\n", network->name);
    if (port && network->own_vlan && exists(port))
        g_string_append_printf(text, "link del %s\n", port);
    return batch(text->str, true, error);
}

bool vr_network_remove(const struct vr_network *network, struct vr_error **error)
{
    g_autofree char *port = port_of(network);
    struct vr_carried carried = { 0 };
    g_autoptr(GString) links = g_string_new(NULL);
    g_autoptr(GString) routes = g_string_new(NULL);
    bool back = port && network->own_bridge && !network->own_vlan && exists(port) &&
                vr_network_has_address(network);
    if (back && is_bridge(network->name) && !vr_carried_read(network->name, &carried, error))
        return false;
    if (is_bridge(network->name) && network->own_bridge)
        g_string_append_printf(links, "link del %s type bridge\n", network->name);
    if (port && network->own_vlan && exists(port))
        g_string_append_printf(links, "link del %s\n", port);
    if (back) {
        /* What the bridge took from the interface goes back, or the host would fall silent. */
        const struct vr_carried there[] = {
            { missing(network->addresses, carried.addresses, NULL),
              missing(network->routes, carried.routes, NULL) },
            carried,
        };
        for (unsigned i = 0; i < G_N_ELEMENTS(there); i++) {
            add_addresses(links, there[i].addresses, port);
            add_routes(routes, there[i].routes, port);
        }
        add_own(links, routes, network, there, G_N_ELEMENTS(there), false, port);
        g_ptr_array_unref(there[0].addresses);
        g_ptr_array_unref(there[0].routes);
    }
    vr_carried_done(&carried);
    return batch(links->str, true, error) && set_routes(routes->str, false, error);
}

bool vr_network_drop(const struct vr_network *network, const char *address, struct vr_error **error)
{
    struct vr_carried carried;
    if (!is_bridge(network->name))
        return true;
    if (!vr_carried_read(network->name, &carried, error))
        return false;
    bool there = vr_carried_has(carried.addresses, address);
    vr_carried_done(&carried);
    return !there || ip(error, "addr", "del", address, "dev", network->name, NULL);
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
    g_autofree char *port = port_of(network);
    struct vr_carried carried;
    vr_auto_error struct vr_error *error = NULL;
    if (!exists(bridge))
        return g_strdup_printf("The bridge %s is missing.", bridge);
    if (!is_bridge(bridge))
        return g_strdup_printf("%s is an interface of another kind than a bridge.", bridge);
    if (!is_up(bridge))
        return g_strdup_printf("The bridge %s is down.", bridge);
    if (port) {
        if (!exists(port))
            return g_strdup_printf("The interface %s below %s is missing.", port, bridge);
        g_autofree char *master = master_of(port);
        if (g_strcmp0(master, bridge) != 0)
            return g_strdup_printf("The interface %s is not below %s.", port, bridge);
        if (!is_up(port))
            return g_strdup_printf("The interface %s below %s is down.", port, bridge);
    }
    if (!vr_network_has_address(network))
        return NULL;
    if (port && vr_carried_read(port, &carried, &error)) {
        g_autofree char *first =
            carried.addresses->len ? g_strdup(carried.addresses->pdata[0]) : NULL;
        vr_carried_done(&carried);
        if (first) {
            first[strcspn(first, " ")] = '\0';
            return g_strdup_printf("The address %s is on %s and not on %s above it.", first, port,
                                   bridge);
        }
    }
    if (!vr_carried_read(bridge, &carried, &error))
        return NULL;
    g_autoptr(GString) links = g_string_new(NULL);
    g_autoptr(GString) routes = g_string_new(NULL);
    add_own(links, routes, network, &carried, 1, false, bridge);
    vr_carried_done(&carried);
    if (links->len)
        return g_strdup_printf("%s lacks the address %s.", bridge,
                               network->address ? network->address : network->address6);
    return routes->len ? g_strdup_printf("%s lacks the route to its gateway.", bridge) : NULL;
}
