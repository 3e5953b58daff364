/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "netconf"
#include "agent/netconf/private.h"

#include <arpa/inet.h>
#include <errno.h>

void vr_network_free(struct vr_network *network)
{
    if (!network)
        return;
    g_free(network->name);
    g_free(network->nic);
    g_free(network->bonding);
    g_free(network->address);
    g_free(network->gateway);
    g_free(network->address6);
    g_free(network->gateway6);
    g_clear_pointer(&network->addresses, g_ptr_array_unref);
    g_clear_pointer(&network->routes, g_ptr_array_unref);
    g_free(network);
}

struct vr_network *vr_network_copy(const struct vr_network *network)
{
    struct vr_network *copy = g_new(struct vr_network, 1);
    *copy = *network;
    copy->name = g_strdup(network->name);
    copy->nic = g_strdup(network->nic);
    copy->bonding = g_strdup(network->bonding);
    copy->address = g_strdup(network->address);
    copy->gateway = g_strdup(network->gateway);
    copy->address6 = g_strdup(network->address6);
    copy->gateway6 = g_strdup(network->gateway6);
    /* Replaced as a whole, never changed. */
    copy->addresses = network->addresses ? g_ptr_array_ref(network->addresses) : NULL;
    copy->routes = network->routes ? g_ptr_array_ref(network->routes) : NULL;
    return copy;
}

bool vr_network_name_valid(const char *name)
{
    if (!name || !*name || strlen(name) > VR_NET_NAME_MAX || !strcmp(name, ".") ||
        !strcmp(name, ".."))
        return false;
    for (const char *c = name; *c; c++)
        if (!g_ascii_isalnum(*c) && !strchr("_-.", *c))
            return false;
    return name[0] != '-';
}

int vr_network_prefix(const char *netmask)
{
    struct in_addr mask;
    if (!netmask || inet_pton(AF_INET, netmask, &mask) != 1)
        return -1;
    uint32_t bits = ntohl(mask.s_addr);
    int prefix = __builtin_popcount(bits);
    uint32_t whole = prefix ? 0xffffffffu << (32 - prefix) : 0;
    return bits == whole ? prefix : -1;
}

/* "address/prefix" of an IPv4 request; NULL without an error when it asks for none. */
static char *address_of_request(const struct vr_rpc_setup_network_net_attributes *want,
                                struct vr_error **error)
{
    struct in_addr address;
    if (!want->ipaddr || !*want->ipaddr)
        return NULL;
    if (inet_pton(AF_INET, want->ipaddr, &address) != 1) {
        vr_agent_error(error, network_address, "%s", want->ipaddr);
        return NULL;
    }
    int prefix = vr_network_prefix(want->netmask);
    guint64 number;
    if (prefix < 0 && want->prefix &&
        g_ascii_string_to_unsigned(want->prefix, 10, 1, 32, &number, NULL))
        prefix = (int)number;
    if (prefix < 1) {
        vr_agent_error(error, network_address, "The netmask is not valid.");
        return NULL;
    }
    return g_strdup_printf("%s/%d", want->ipaddr, prefix);
}

static bool check_lower(const struct vr_network *network, struct vr_error **error)
{
    const char *lower = network->nic ? network->nic : network->bonding;
    if (network->nic && network->bonding) {
        vr_agent_error(error, network_parameter, "A network has a nic or a bonding, not both.");
        return false;
    }
    if (lower && !vr_network_name_valid(lower)) {
        vr_agent_error(error, network_nic, "%s", lower);
        return false;
    }
    if (network->vlan && !lower) {
        vr_agent_error(error, network_vlan, "A VLAN needs a nic or a bonding.");
        return false;
    }
    return true;
}

/* "2001:db8::1/64"; facts/host-rpc.md 9.2. */
static void read_ipv6(struct vr_network *network,
                      const struct vr_rpc_setup_network_net_attributes *want,
                      struct vr_error **error)
{
    struct in6_addr address;
    guint64 prefix;
    network->autoconf6 = VR_GET(want, ipv6autoconf, false);
    if (want->ipv6addr && *want->ipv6addr) {
        g_auto(GStrv) parts = g_strsplit(want->ipv6addr, "/", 2);
        if (inet_pton(AF_INET6, parts[0], &address) != 1 || !parts[1] ||
            !g_ascii_string_to_unsigned(parts[1], 10, 1, 128, &prefix, NULL)) {
            vr_agent_error(error, network_address, "%s", want->ipv6addr);
            return;
        }
        network->address6 = g_strdup(want->ipv6addr);
    }
    if (want->ipv6gateway && *want->ipv6gateway && strcmp(want->ipv6gateway, "::") != 0) {
        if (inet_pton(AF_INET6, want->ipv6gateway, &address) != 1)
            vr_agent_error(error, network_address, "%s", want->ipv6gateway);
        else
            network->gateway6 = g_strdup(want->ipv6gateway);
    }
}

static void read_ipv4(struct vr_network *network,
                      const struct vr_rpc_setup_network_net_attributes *want,
                      struct vr_error **error)
{
    struct in_addr gateway;
    if (want->bootproto && !g_ascii_strcasecmp(want->bootproto, "dhcp")) {
        vr_agent_error(error, network_parameter, "This host's networks have static addresses.");
        return;
    }
    network->address = address_of_request(want, error);
    if (*error || !want->gateway || !*want->gateway)
        return;
    network->gateway = g_strdup(want->gateway);
    if (inet_pton(AF_INET, want->gateway, &gateway) != 1)
        vr_agent_error(error, network_address, "%s", want->gateway);
}

struct vr_network *vr_network_of_request(const char *name,
                                         const struct vr_rpc_setup_network_net_attributes *want,
                                         struct vr_error **error)
{
    if (!vr_network_name_valid(name)) {
        vr_agent_error(error, network_bridge, "\"%s\" cannot be a network's name.", name);
        return NULL;
    }
    struct vr_network *network = g_new0(struct vr_network, 1);
    network->name = g_strdup(name);
    network->nic = want->nic && *want->nic ? g_strdup(want->nic) : NULL;
    network->bonding = want->bonding && *want->bonding ? g_strdup(want->bonding) : NULL;
    network->mtu = (unsigned)CLAMP(VR_GET(want, mtu, 0), 0, 65535);
    network->stp = want->stp &&
                   (!g_ascii_strcasecmp(want->stp, "yes") ||
                    !g_ascii_strcasecmp(want->stp, "true") || !g_ascii_strcasecmp(want->stp, "on"));
    network->default_route = VR_GET(want, default_route, false);
    guint64 vlan;
    if (want->vlan && *want->vlan) {
        if (g_ascii_string_to_unsigned(want->vlan, 10, 1, 4094, &vlan, NULL))
            network->vlan = (unsigned)vlan;
        else
            vr_agent_error(error, network_vlan, "%s", want->vlan);
    }
    if (!*error && !VR_GET(want, bridged, true))
        vr_agent_error(error, network_parameter, "This host has bridged networks only.");
    if (!*error)
        read_ipv4(network, want, error);
    if (!*error)
        read_ipv6(network, want, error);
    if (*error || !check_lower(network, error))
        g_clear_pointer(&network, vr_network_free);
    return network;
}

static void put(GKeyFile *file, const char *key, const char *value)
{
    if (value)
        g_key_file_set_string(file, "network", key, value);
}

static void put_list(GKeyFile *file, const char *key, const GPtrArray *list, bool lasting)
{
    g_autoptr(GPtrArray) kept = g_ptr_array_new();
    for (unsigned i = 0; list && i < list->len; i++)
        if (!lasting || vr_carried_is_lasting(list->pdata[i]))
            g_ptr_array_add(kept, list->pdata[i]);
    if (kept->len)
        g_key_file_set_string_list(file, "network", key, (const char *const *)kept->pdata,
                                   kept->len);
}

bool vr_network_write(const char *dir, const struct vr_network *network, bool lasting,
                      struct vr_error **error)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    put(file, "nic", network->nic);
    put(file, "bonding", network->bonding);
    put(file, "address", network->address);
    put(file, "gateway", network->gateway);
    put(file, "address6", network->address6);
    put(file, "gateway6", network->gateway6);
    g_key_file_set_integer(file, "network", "vlan", (int)network->vlan);
    g_key_file_set_integer(file, "network", "mtu", (int)network->mtu);
    g_key_file_set_boolean(file, "network", "stp", network->stp);
    g_key_file_set_boolean(file, "network", "default-route", network->default_route);
    g_key_file_set_boolean(file, "network", "dhcp", network->dhcp);
    g_key_file_set_boolean(file, "network", "autoconf6", network->autoconf6);
    g_key_file_set_boolean(file, "network", "own-bridge", network->own_bridge);
    g_key_file_set_boolean(file, "network", "own-vlan", network->own_vlan);
    put_list(file, "addresses", network->addresses, lasting);
    put_list(file, "routes", network->routes, lasting);
    g_autofree char *text = g_key_file_to_data(file, NULL, NULL);
    g_autofree char *path = g_build_filename(dir, network->name, NULL);
    g_autoptr(GError) failure = NULL;
    /* A host without its network after the loss of power is one that nobody can reach. */
    if (g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT |
                                     G_FILE_SET_CONTENTS_DURABLE, 0644, &failure))
        return true;
    vr_error_set(error, &vr_fault_system, "%s", failure->message);
    return false;
}

static char *get(GKeyFile *file, const char *key)
{
    return g_key_file_get_string(file, "network", key, NULL);
}

static GPtrArray *get_list(GKeyFile *file, const char *key)
{
    g_auto(GStrv) values = g_key_file_get_string_list(file, "network", key, NULL, NULL);
    GPtrArray *list = g_ptr_array_new_with_free_func(g_free);
    for (char **value = values; value && *value; value++)
        if (!strchr(*value, '\n')) /* they become lines of ip's input */
            g_ptr_array_add(list, g_strdup(*value));
    return list;
}

struct vr_network *vr_network_read(const char *dir, const char *name)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autofree char *path = g_build_filename(dir, name, NULL);
    if (!vr_network_name_valid(name) ||
        !g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, NULL))
        return NULL;
    struct vr_network *network = g_new0(struct vr_network, 1);
    network->name = g_strdup(name);
    network->nic = get(file, "nic");
    network->bonding = get(file, "bonding");
    network->address = get(file, "address");
    network->gateway = get(file, "gateway");
    network->address6 = get(file, "address6");
    network->gateway6 = get(file, "gateway6");
    network->vlan = (unsigned)g_key_file_get_integer(file, "network", "vlan", NULL);
    network->mtu = (unsigned)g_key_file_get_integer(file, "network", "mtu", NULL);
    network->stp = g_key_file_get_boolean(file, "network", "stp", NULL);
    network->default_route = g_key_file_get_boolean(file, "network", "default-route", NULL);
    network->dhcp = g_key_file_get_boolean(file, "network", "dhcp", NULL);
    network->autoconf6 = g_key_file_get_boolean(file, "network", "autoconf6", NULL);
    network->own_bridge = g_key_file_get_boolean(file, "network", "own-bridge", NULL);
    network->own_vlan = g_key_file_get_boolean(file, "network", "own-vlan", NULL);
    network->addresses = get_list(file, "addresses");
    network->routes = get_list(file, "routes");
    return network;
}

GPtrArray *vr_networks_read(const char *dir)
{
    GPtrArray *networks = g_ptr_array_new_with_free_func((GDestroyNotify)vr_network_free);
    g_autoptr(GDir) folder = g_dir_open(dir, 0, NULL);
    const char *name;
    while (folder && (name = g_dir_read_name(folder))) {
        struct vr_network *network = vr_network_read(dir, name);
        if (network)
            g_ptr_array_add(networks, network);
    }
    return networks;
}
