/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the sources of netconf share. */

#include "agent/fault.h"
#include "agent/netconf/netconf.h"
#include "agent/stats/proc.h"

#define VR_NET_NAME_MAX 15 /* IFNAMSIZ without its NUL; facts/host-rpc.md 9.1 */

/* One network as it shall be.  Plain text values; NULL or "" are absent. */
struct vr_network {
    char *name;
    char *nic;     /* the interface below the bridge, or NULL */
    char *bonding; /* the bond below, or NULL */
    unsigned vlan; /* 0: none */
    unsigned mtu;  /* 0: the default, 1500 */
    bool stp;
    char *address; /* "192.0.2.1/24", or NULL */
    char *gateway;
    bool default_route;
    bool own_bridge; /* we made the bridge, so we may remove it */
};
void vr_network_free(struct vr_network *network);
struct vr_network *vr_network_copy(const struct vr_network *network);
/* What setupNetworks asks for; NULL and @error (21, 22, 26) when it makes no sense. */
struct vr_network *vr_network_of_request(const char *name,
                                         const struct vr_rpc_setup_network_net_attributes *want,
                                         struct vr_error **error);
bool vr_network_name_valid(const char *name);
/* "255.255.255.0" is 24; -1 when it is no mask. */
int vr_network_prefix(const char *netmask);

/* STATE/networks/<name>; the running set is STATE/networks.new until it is saved. */
bool vr_network_write(const char *dir, const struct vr_network *network, struct vr_error **error);
struct vr_network *vr_network_read(const char *dir, const char *name);

/* Makes the kernel agree; each is complete or says why not. */
bool vr_network_apply(struct vr_network *network, struct vr_error **error);
bool vr_network_remove(const struct vr_network *network, struct vr_error **error);

/* Where the kernel does not agree; owned, or NULL when it does. */
char *vr_network_fault(const struct vr_network *network);

/* Whether the bridge counts as a network of its name. */
bool vr_netconf_is_network(struct vr_netconf *netconf, const char *bridge);
