/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "netconf"
#include "agent/netconf/private.h"

#include "agent/helper/run.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/stat.h>

#define IP_MS (10 * 1000)

/* One interface as the kernel shows it. */
struct device {
    char name[IF_NAMESIZE];
    GPtrArray *ipv4, *ipv6; /* "address/prefix", owned */
    char *address, *netmask;
    char *gateway4, *gateway6;
    bool leased, autoconf6; /* an address that ends: from a DHCP server, from a router */
};

static void device_free(gpointer data)
{
    struct device *device = data;
    g_ptr_array_unref(device->ipv4);
    g_ptr_array_unref(device->ipv6);
    g_free(device->address);
    g_free(device->netmask);
    g_free(device->gateway4);
    g_free(device->gateway6);
    g_free(device);
}

static unsigned prefix_of(const uint8_t *mask, unsigned bytes)
{
    unsigned bits = 0;
    for (unsigned i = 0; i < bytes; i++)
        bits += (unsigned)__builtin_popcount(mask[i]);
    return bits;
}

static void add_address(struct device *device, const struct ifaddrs *entry)
{
    char text[INET6_ADDRSTRLEN];
    if (entry->ifa_addr->sa_family == AF_INET) {
        const struct sockaddr_in *address = (const void *)entry->ifa_addr;
        const struct sockaddr_in *mask = (const void *)entry->ifa_netmask;
        inet_ntop(AF_INET, &address->sin_addr, text, sizeof(text));
        unsigned prefix = mask ? prefix_of((const uint8_t *)&mask->sin_addr, 4) : 32;
        g_ptr_array_add(device->ipv4, g_strdup_printf("%s/%u", text, prefix));
        if (!device->address) {
            device->address = g_strdup(text);
            if (mask)
                inet_ntop(AF_INET, &mask->sin_addr, text, sizeof(text));
            device->netmask = g_strdup(mask ? text : "255.255.255.255");
        }
    } else if (entry->ifa_addr->sa_family == AF_INET6) {
        const struct sockaddr_in6 *address = (const void *)entry->ifa_addr;
        const struct sockaddr_in6 *mask = (const void *)entry->ifa_netmask;
        if (IN6_IS_ADDR_LINKLOCAL(&address->sin6_addr))
            return;
        inet_ntop(AF_INET6, &address->sin6_addr, text, sizeof(text));
        unsigned prefix = mask ? prefix_of((const uint8_t *)&mask->sin6_addr, 16) : 128;
        g_ptr_array_add(device->ipv6, g_strdup_printf("%s/%u", text, prefix));
    }
}

/* The default routes: /proc/net/route has little-endian hex. */
static void add_gateways(GHashTable *devices)
{
    g_autofree char *text = vr_proc_read("/proc/net/route");
    g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", -1);
    for (char **line = lines; *line; line++) {
        char name[IF_NAMESIZE];
        unsigned destination, gateway, flags;
        unsigned mask;
        if (sscanf(*line, "%15s %x %x %x %*d %*d %*d %x", name, &destination, &gateway, &flags,
                   &mask) != 5 ||
            destination || mask || !gateway)
            continue;
        struct device *device = g_hash_table_lookup(devices, name);
        if (!device || device->gateway4)
            continue;
        char address[INET_ADDRSTRLEN];
        inet_ntop(AF_INET, &gateway, address, sizeof(address));
        device->gateway4 = g_strdup(address);
    }
}

/* "2: eth0    inet 192.0.2.11/24 ... dynamic ...": those with an end. */
static void add_leases(GHashTable *devices)
{
    struct vr_run run = { .argv = (const char *const[]){ "ip", "-o", "addr", "show", "scope",
                                                         "global", "dynamic", NULL },
                          .deadline_ms = IP_MS };
    vr_auto_error struct vr_error *error = NULL;
    g_auto(GStrv) lines = g_strsplit(vr_run(&run, &error) ? run.output : "", "\n", -1);
    for (char **line = lines; *line; line++) {
        char name[IF_NAMESIZE + 4], family[8];
        if (sscanf(*line, "%*d: %19s %7s", name, family) != 2)
            continue;
        name[strcspn(name, "@:")] = '\0';
        struct device *device = g_hash_table_lookup(devices, name);
        if (device && !strcmp(family, "inet"))
            device->leased = true;
        else if (device)
            device->autoconf6 = true;
    }
    vr_run_done(&run);
}

static GHashTable *read_devices(void)
{
    GHashTable *devices = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, device_free);
    g_autoptr(GDir) dir = g_dir_open("/sys/class/net", 0, NULL);
    const char *name;
    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *flags = g_strdup_printf("/sys/class/net/%s/flags", name);
        if (!g_file_test(flags, G_FILE_TEST_EXISTS))
            continue; /* bonding_masters */
        struct device *device = g_new0(struct device, 1);
        g_strlcpy(device->name, name, sizeof(device->name));
        device->ipv4 = g_ptr_array_new_with_free_func(g_free);
        device->ipv6 = g_ptr_array_new_with_free_func(g_free);
        g_hash_table_insert(devices, device->name, device);
    }
    struct ifaddrs *list = NULL;
    if (getifaddrs(&list) == 0) {
        for (const struct ifaddrs *entry = list; entry; entry = entry->ifa_next) {
            struct device *device = g_hash_table_lookup(devices, entry->ifa_name);
            if (device && entry->ifa_addr)
                add_address(device, entry);
        }
        freeifaddrs(list);
    }
    add_gateways(devices);
    add_leases(devices);
    return devices;
}

static bool has(const char *device, const char *entry)
{
    g_autofree char *path = g_strdup_printf("/sys/class/net/%s/%s", device, entry);
    return g_file_test(path, G_FILE_TEST_EXISTS);
}

/* The members that all kinds of devices share. */
#define COMMON(out, device)                                                                        \
    do {                                                                                           \
        VR_SET_STRING(out, addr, (device)->address ? (device)->address : "");                      \
        VR_SET_STRING(out, netmask, (device)->netmask ? (device)->netmask : "");                   \
        VR_SET_STRING(out, ipv6gateway, (device)->gateway6 ? (device)->gateway6 : "::");           \
        VR_SET(out, ipv4defaultroute, (device)->gateway4 != NULL);                                 \
        VR_SET(out, dhcpv4, (device)->leased);                                                     \
        VR_SET(out, dhcpv6, false);                                                                \
        (out)->has.ipv4addrs = (out)->has.ipv6addrs = true;                                        \
        for (unsigned i_ = 0; i_ < (device)->ipv4->len; i_++)                                      \
            vr_list_append(&(out)->ipv4addrs, g_strdup((device)->ipv4->pdata[i_]));                \
        for (unsigned i_ = 0; i_ < (device)->ipv6->len; i_++)                                      \
            vr_list_append(&(out)->ipv6addrs, g_strdup((device)->ipv6->pdata[i_]));                \
    } while (0)
#define GATEWAY(out, device)                                                                       \
    VR_SET_STRING(out, gateway, (device)->gateway4 ? (device)->gateway4 : "")
#define MTU_TEXT(out, name)                                                                        \
    VR_TAKE_STRING(                                                                                \
        out, mtu,                                                                                  \
        g_strdup_printf("%" G_GINT64_FORMAT, vr_proc_number(1500, "/sys/class/net/%s/mtu", name)))

static void list_ports(const char *bridge, struct vr_list *ports)
{
    g_autofree char *path = g_strdup_printf("/sys/class/net/%s/brif", bridge);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;
    while (dir && (name = g_dir_read_name(dir)))
        vr_list_append(ports, g_strdup(name));
}

/* The port that is not a machine's: eth0, bond0 or eth0.10. */
static char *uplink_of(const char *bridge)
{
    struct vr_list ports = { 0 };
    char *uplink = NULL;
    list_ports(bridge, &ports);
    for (unsigned i = 0; i < ports.len; i++) {
        char *name = ports.items[i];
        if (!uplink && !g_str_has_prefix(name, "vnet") && !g_str_has_prefix(name, "tap"))
            uplink = g_strdup(name);
        g_free(name);
    }
    g_free(ports.items);
    return uplink;
}

static const char *stp_of(const char *bridge)
{
    return vr_proc_number(0, "/sys/class/net/%s/bridge/stp_state", bridge) ? "on" : "off";
}

static void report_bridge(struct vr_netconf *netconf, const struct device *device,
                          struct vr_rpc_vdsm_network_capabilities *out)
{
    struct vr_rpc_net_info_bridged_network *bridge = VR_NEW(rpc_net_info_bridged_network);
    COMMON(bridge, device);
    GATEWAY(bridge, device);
    MTU_TEXT(bridge, device->name);
    VR_SET(bridge, ipv6autoconf, device->autoconf6);
    bridge->has.ports = bridge->has.opts = true;
    list_ports(device->name, &bridge->ports);
    VR_SET_STRING(bridge, stp, stp_of(device->name));
    vr_map_set(&out->bridges, device->name, bridge);
    if (!vr_netconf_is_network(netconf, device->name))
        return;

    struct vr_rpc_net_info_network *network = VR_NEW(rpc_net_info_network);
    COMMON(network, device);
    GATEWAY(network, device);
    MTU_TEXT(network, device->name);
    VR_SET(network, ipv6autoconf, device->autoconf6);
    VR_SET(network, bridged, true);
    VR_SET_STRING(network, iface, device->name);
    VR_SET_STRING(network, stp, stp_of(device->name));
    VR_SET_STRING(network, switch_, "legacy");
    network->has.ports = true;
    list_ports(device->name, &network->ports);
    g_autofree char *uplink = uplink_of(device->name);
    VR_SET_STRING(network, southbound, uplink ? uplink : "");
    const char *dot = uplink ? strrchr(uplink, '.') : NULL;
    if (dot)
        VR_SET(network, vlanid, g_ascii_strtoll(dot + 1, NULL, 10));
    vr_map_set(&out->networks, device->name, network);
}

static void report_bond(const struct device *device, struct vr_rpc_vdsm_network_capabilities *out)
{
    struct vr_rpc_net_info_bond *bond = VR_NEW(rpc_net_info_bond);
    COMMON(bond, device);
    GATEWAY(bond, device);
    MTU_TEXT(bond, device->name);
    VR_SET(bond, ipv6autoconf, device->autoconf6);
    VR_TAKE_STRING(bond, hwaddr, vr_proc_read("/sys/class/net/%s/address", device->name));
    g_autofree char *slaves = vr_proc_read("/sys/class/net/%s/bonding/slaves", device->name);
    g_auto(GStrv) names = g_strsplit(slaves ? slaves : "", " ", -1);
    bond->has.slaves = bond->has.opts = true;
    for (char **name = names; *name; name++)
        if (**name)
            vr_list_append(&bond->slaves, g_strdup(*name));
    g_autofree char *active = vr_proc_read("/sys/class/net/%s/bonding/active_slave", device->name);
    VR_SET_STRING(bond, active_slave, active ? active : "");
    /* "802.3ad 4" */
    g_autofree char *mode = vr_proc_read("/sys/class/net/%s/bonding/mode", device->name);
    const char *number = mode ? strchr(mode, ' ') : NULL;
    vr_map_set(&bond->opts, "mode", g_strdup(number ? number + 1 : "0"));
    g_autofree char *miimon = vr_proc_read("/sys/class/net/%s/bonding/miimon", device->name);
    vr_map_set(&bond->opts, "miimon", g_strdup(miimon ? miimon : "0"));
    VR_SET(bond, speed, MAX(vr_proc_number(0, "/sys/class/net/%s/speed", device->name), 0));
    VR_SET_STRING(bond, switch_, "legacy");
    vr_map_set(&out->bondings, device->name, bond);
}

/* /proc/net/vlan/<device> says "VID: 10" and "Device: eth0". */
static bool report_vlan(const struct device *device, struct vr_rpc_vdsm_network_capabilities *out)
{
    g_autofree char *text = vr_proc_read("/proc/net/vlan/%s", device->name);
    const char *vid = text ? strstr(text, "VID:") : NULL;
    const char *parent = text ? strstr(text, "Device:") : NULL;
    if (!vid || !parent)
        return false;
    char lower[IF_NAMESIZE];
    if (sscanf(parent, "Device: %15s", lower) != 1)
        return false;
    struct vr_rpc_net_info_vlan *vlan = VR_NEW(rpc_net_info_vlan);
    COMMON(vlan, device);
    VR_SET(vlan, mtu, vr_proc_number(1500, "/sys/class/net/%s/mtu", device->name));
    VR_SET_STRING(vlan, iface, lower);
    VR_SET(vlan, vlanid, g_ascii_strtoll(vid + strlen("VID:"), NULL, 10));
    vr_map_set(&out->vlans, device->name, vlan);
    return true;
}

static void report_nic(const struct device *device, struct vr_rpc_vdsm_network_capabilities *out)
{
    struct vr_rpc_net_info_nic *nic = VR_NEW(rpc_net_info_nic);
    COMMON(nic, device);
    GATEWAY(nic, device);
    MTU_TEXT(nic, device->name);
    VR_SET(nic, ipv6autoconf, device->autoconf6);
    VR_TAKE_STRING(nic, hwaddr, vr_proc_read("/sys/class/net/%s/address", device->name));
    if (has(device->name, "bonding_slave"))
        VR_TAKE_STRING(nic, permhwaddr,
                       vr_proc_read("/sys/class/net/%s/bonding_slave/perm_hwaddr", device->name));
    VR_SET(nic, speed, MAX(vr_proc_number(0, "/sys/class/net/%s/speed", device->name), 0));
    vr_map_set(&out->nics, device->name, nic);
}

/* Interfaces that are hardware, or stand for it in a guest or a lab (veth, dummy). */
static bool is_nic(const char *name)
{
    static const char *const virtual[] = { "vnet", "tap", "tun", "ifb",    "docker", "virbr",
                                           "ovs",  "br-", "sit", "ip6tnl", "gre",    "macvtap" };
    if (has(name, "device"))
        return true;
    for (unsigned i = 0; i < G_N_ELEMENTS(virtual); i++)
        if (g_str_has_prefix(name, virtual[i]))
            return false;
    return strcmp(name, "lo") && vr_proc_number(0, "/sys/class/net/%s/type", name) == 1;
}

static void report_name_servers(struct vr_rpc_vdsm_network_capabilities *out)
{
    g_autofree char *text = vr_proc_read("/etc/resolv.conf");
    g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", -1);
    out->has.nameservers = true;
    for (char **line = lines; *line; line++) {
        char server[64];
        if (sscanf(*line, "nameserver %63s", server) == 1 && out->nameservers.len < 8)
            vr_list_append(&out->nameservers, g_strdup(server));
    }
}

struct vr_rpc_vdsm_network_capabilities *vr_netconf_report(struct vr_netconf *netconf)
{
    struct vr_rpc_vdsm_network_capabilities *out = VR_NEW(rpc_vdsm_network_capabilities);
    out->has.networks = out->has.nics = out->has.bondings = out->has.vlans = out->has.bridges =
        true;
    g_autoptr(GHashTable) devices = read_devices();
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, devices);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const struct device *device = value;
        if (!strcmp(device->name, VR_NETCONF_DUMMY))
            continue;
        if (has(device->name, "bridge"))
            report_bridge(netconf, device, out);
        else if (has(device->name, "bonding"))
            report_bond(device, out);
        else if (!report_vlan(device, out) && is_nic(device->name))
            report_nic(device, out);
    }
    report_name_servers(out);
    VR_SET(out, supports_ipv6, g_file_test("/proc/net/if_inet6", G_FILE_TEST_EXISTS));
    VR_SET_STRING(out, net_config_dirty, vr_netconf_is_dirty(netconf) ? "True" : "False");
    return out;
}

char *vr_netconf_address(const char *network)
{
    g_autoptr(GHashTable) devices = read_devices();
    const struct device *device = g_hash_table_lookup(devices, network);
    if (!device)
        return NULL;
    if (device->address || !device->ipv6->len)
        return g_strdup(device->address);
    const char *six = device->ipv6->pdata[0];
    return g_strndup(six, strcspn(six, "/"));
}

char *vr_netconf_device_of(const char *address)
{
    struct ifaddrs *list = NULL;
    char *found = NULL;
    if (getifaddrs(&list) < 0)
        return g_strdup("");
    for (const struct ifaddrs *entry = list; entry && !found; entry = entry->ifa_next) {
        char text[INET6_ADDRSTRLEN] = "";
        if (!entry->ifa_addr)
            continue;
        if (entry->ifa_addr->sa_family == AF_INET)
            inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)entry->ifa_addr)->sin_addr,
                      text, sizeof(text));
        else if (entry->ifa_addr->sa_family == AF_INET6)
            inet_ntop(AF_INET6,
                      &((const struct sockaddr_in6 *)(const void *)entry->ifa_addr)->sin6_addr, text,
                      sizeof(text));
        if (!strcmp(text, address))
            found = g_strdup(entry->ifa_name);
    }
    freeifaddrs(list);
    return found ? found : g_strdup("");
}
