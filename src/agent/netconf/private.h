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
    char *address6, *gateway6;
    bool default_route;
    bool dhcp;       /* the address comes from a server: dhcp.c */
    bool autoconf6;  /* and the IPv6 one from a router */
    bool own_bridge; /* we made the bridge, so we may remove it */
    bool own_vlan;   /* we made the VLAN's device */
    /* What the interface below carried when the network was made, in the words of carried.c: all of
     * it moves to the bridge, and back when the bridge goes.  May be NULL. */
    GPtrArray *addresses, *routes;
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

/* DIR/<name>, on the disk when it returns; @lasting: without what a boot must not bring back
 * (addresses that were leased). */
bool vr_network_write(const char *dir, const struct vr_network *network, bool lasting,
                      struct vr_error **error);
struct vr_network *vr_network_read(const char *dir, const char *name);
/* All networks that are saved in @dir, in no order; what cannot be read is left out.  Owned; freeing
 * the array frees those that are still in it. */
GPtrArray *vr_networks_read(const char *dir);

/* Whether the address of the interface below is the network's. */
static inline bool vr_network_has_address(const struct vr_network *network)
{
    return network->address || network->address6 || network->dhcp || network->autoconf6;
}
/* Checks what can be checked before anything is changed, and notes in @network whether the VLAN's
 * device will be ours.  @leaving: networks (borrowed; NULL: none) that are taken down before it. */
bool vr_network_check(struct vr_network *network, const GPtrArray *leaving,
                      struct vr_error **error);
/* The same for one that is new; also notes whether the bridge will be ours, and what the interface
 * carries. */
bool vr_network_prepare(struct vr_network *network, const GPtrArray *leaving,
                        struct vr_error **error);
/* Makes the kernel agree; may be repeated.  @whole: every route must move, or it fails; otherwise
 * one that cannot be made is warned of. */
bool vr_network_apply(const struct vr_network *network, bool whole, struct vr_error **error);
/* Gives the interface below what the bridge carries, and what is noted in @network. */
bool vr_network_remove(const struct vr_network *network, struct vr_error **error);
/* Only takes away what was made: the addresses go to another interface. */
bool vr_network_take_down(const struct vr_network *network, struct vr_error **error);
/* The network's bridge carries the address "a/p" no more. */
bool vr_network_drop(const struct vr_network *network, const char *address,
                     struct vr_error **error);

/* --- carried.c --- */

struct vr_carried {
    GPtrArray *addresses, *routes; /* owned texts */
};
/* Addresses and routes of an interface but for those that the kernel makes by itself. */
bool vr_carried_read(const char *device, struct vr_carried *ret, struct vr_error **error);
void vr_carried_done(struct vr_carried *carried);
/* A line of `ip -o addr` or `ip -o route`; owned, NULL when it is none that moves. */
char *vr_carried_address(const char *line);
char *vr_carried_route(const char *line, bool six);
/* Not leased, not from a router. */
bool vr_carried_is_lasting(const char *text);
/* Whether "a/p" is among @addresses, which may be NULL. */
bool vr_carried_has(const GPtrArray *addresses, const char *address);

/* --- journal.c --- */

/* One change of a network and what undoes it. */
struct vr_net_change {
    struct vr_network *before, *after; /* NULL: is not there */
};
void vr_net_change_free(gpointer change);
/* Checks all of them before the first is made, and notes what there is (vr_network_prepare()). */
bool vr_net_changes_prepare(GPtrArray *changes, struct vr_error **error);
/* What is under way is on the disk from before the first step until it is kept or undone, so that
 * an agent that was killed in between undoes it when it starts. */
bool vr_net_journal_write(const char *state, GPtrArray *changes, struct vr_error **error);
/* NULL when nothing was under way; owned. */
GPtrArray *vr_net_journal_read(const char *state);
void vr_net_journal_clear(const char *state);

/* --- watch.c --- */

/* Calls @changed on a thread of its own when links or addresses of the host changed, some time
 * after the last change; and once at the start. @changed returns false to be called again later. */
struct vr_net_watch;
struct vr_net_watch *vr_net_watch_start(bool (*changed)(void *arg), void *arg,
                                        struct vr_error **error);
void vr_net_watch_stop(struct vr_net_watch *watch); /* takes NULL */

/* Where the kernel does not agree; owned, or NULL when it does. */
char *vr_network_fault(const struct vr_network *network);

/* The device that has the address "192.0.2.11"; owned, "" when none has it. */
char *vr_netconf_device_of(const char *address);
/* Whether the bridge counts as a network of its name. */
bool vr_netconf_is_network(struct vr_netconf *netconf, const char *bridge);
