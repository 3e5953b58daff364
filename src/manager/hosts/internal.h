/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files of `hosts` share. */

#include "manager/hosts/hosts.h"

/* One watched host.  Reference counted, because answers may come after the watching ended. */
struct monitor {
    gint refs;
    struct vr_engine *engine;
    char *host_id;
    bool dead; /* no longer watched: late answers are dropped */
    uint64_t timer;

    bool connecting, connected;
    bool linked;  /* its storage was seen to over this connection */
    bool asking;  /* for capabilities: one chain of questions at a time */
    bool polling; /* for statistics */
    unsigned ticks;
    unsigned failures;         /* in a row */
    int64_t last_success;      /* monotonic ms */
    int64_t recovering_since;  /* monotonic ms; 0: the agent is not recovering */
    int64_t overload_since;    /* of the scheduler's CPU filter */
    int64_t nic_down_since;    /* of a required network; 0: none, or the host is not up */
    struct vr_rpc_host_stats *stats; /* the latest, or NULL */
};

struct hosts {
    struct vr_engine *engine;
    GHashTable *monitors; /* host id → struct monitor */
};

struct monitor *monitor_find(struct vr_engine *engine, const char *host_id)
    VR_REQUIRES(vr_role_engine);
void monitor_unref(struct monitor *monitor);
/* The host's entity in the head, or NULL.  Borrowed. */
const struct vr_host *monitor_host(struct monitor *monitor) VR_REQUIRES(vr_role_engine);
/* Asks for the capabilities again, now. */
void monitor_refresh(struct monitor *monitor) VR_REQUIRES(vr_role_engine);

/* --- silence.c --- */

/* It answered. */
void monitor_success(struct monitor *monitor) VR_REQUIRES(vr_role_engine);
/* It did not, or its connection was lost. */
void monitor_network_error(struct monitor *monitor, const char *reason) VR_REQUIRES(vr_role_engine);
/* Non-responsive, with all that follows. */
void monitor_lost(struct monitor *monitor, const struct vr_host *host) VR_REQUIRES(vr_role_engine);

/* Copies what a host says of itself into @host; reports whether it can serve in its cluster. */
enum vr_unfit capabilities_apply(struct vr_txn *txn, struct vr_host *host,
                                 const struct vr_rpc_vdsm_capabilities *caps, char **ret_detail)
    VR_REQUIRES(vr_role_engine);
void hardware_apply(struct vr_host *host, const struct vr_rpc_hardware_information *hardware);
/* A stable id from host and device name, so that a NIC keeps its id and tags over reports.  Owned. */
char *nic_id(const char *host_id, const char *name);
/* Brings the host's NIC entities in line with its report. */
void nics_apply(struct vr_txn *txn, const struct vr_host *host,
                const struct vr_rpc_vdsm_capabilities *caps) VR_REQUIRES(vr_role_engine);
/* Removes everything that belongs to a host alone. */
void nics_remove_all(struct vr_txn *txn, const char *host_id) VR_REQUIRES(vr_role_engine);

/* --- links.c --- */

/* Takes over what @stats says of the links of the host's NICs, and sets a host that is up to
 * non-operational when a required network was without its NIC for NicDHCPDelayGraceInMS. */
void links_report(struct monitor *monitor, const struct vr_rpc_host_stats *stats)
    VR_REQUIRES(vr_role_engine);
/* The NICs that are down and carry required networks, "eth0 (red, blue), eth1 (green)"; NULL: there
 * is none.  Owned. */
char *links_down(struct vr_engine *engine, const struct vr_host *host) VR_REQUIRES(vr_role_engine);

/* --- load.c --- */

/* Tells what the host is short of.  monitor->stats is the report before @stats. */
void load_report(struct monitor *monitor, const struct vr_rpc_host_stats *stats)
    VR_REQUIRES(vr_role_engine);
