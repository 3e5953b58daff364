/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * netconf: the host's networks: what there is (facts/host-rpc.md 9.1) and what
 * the Manager wants there to be (9.2).
 *
 * A network is a Linux bridge of its name.  What was set up is kept in
 * STATE/networks, one file a network, and made again after a boot.  A change
 * that loses the Manager's connection is rolled back.
 */

#include "agent/config.h"
#include "model/host.h"

struct vr_netconf;

/* Restores what was made persistent.  @config is borrowed. */
struct vr_netconf *vr_netconf_new(const struct vr_agent_config *config, struct vr_error **error);
void vr_netconf_free(struct vr_netconf *netconf); /* takes NULL */

/* The report; a reference for the caller.  Any thread. */
struct vr_rpc_vdsm_network_capabilities *vr_netconf_report(struct vr_netconf *netconf);
/* "True" when there are changes that a boot would undo. */
bool vr_netconf_is_dirty(struct vr_netconf *netconf);
/* The first IPv4 address of a network's bridge, else its first IPv6 address that is not of the link
 * alone; owned, or NULL. */
char *vr_netconf_address(const char *network);

/* A client used this address of ours, which may be NULL.  Any thread. */
void vr_netconf_client(struct vr_netconf *netconf, const char *address);
/* The device that has the address of the last client; owned, "" when there is none. */
char *vr_netconf_client_device(struct vr_netconf *netconf);

/* Makes VR_NETCONF_DUMMY, the bridge of interfaces without a network, when @bridge names it. */
#define VR_NETCONF_DUMMY ";vdsmdummy;"
bool vr_netconf_need_bridge(const char *bridge, struct vr_error **error);

/* Without an agent, for who looks for faults: every network that a boot restores; @fault is NULL
 * when the kernel agrees.  vr_netconf_mend() makes one again. */
typedef void vr_netconf_found(const char *network, const char *fault, void *arg);
void vr_netconf_look(const struct vr_agent_config *config, vr_netconf_found *found, void *arg);
bool vr_netconf_mend(const struct vr_agent_config *config, const char *network,
                     struct vr_error **error);

/* Blocks, at most the connectivity timeout and some seconds. */
bool vr_netconf_setup(struct vr_netconf *netconf,
                      const struct vr_rpc_host_setup_networks_params *want,
                      struct vr_error **error);
/* The Manager was heard: Host.ping or Host.confirmConnectivity. */
void vr_netconf_confirm(struct vr_netconf *netconf);
bool vr_netconf_save(struct vr_netconf *netconf, struct vr_error **error);
