/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * hosts: the life of a host: added, connected, watched, put into maintenance,
 * lost and found again (facts/manager-behaviour.md 1).
 *
 * One monitor a host asks for capabilities until the host is up and for
 * statistics from then on; what it learns about virtual machines goes to
 * `vms`, what it learns about storage to `storage`.
 */

#include "manager/engine/engine.h"

extern const struct vr_module vr_hosts_module;

/* Begins to watch a host that is in a monitored status.  Does nothing when it is watched. */
void vr_hosts_watch(struct vr_engine *engine, const char *host_id) VR_REQUIRES(vr_role_engine);
/* Stops watching and closes the connection. */
void vr_hosts_unwatch(struct vr_engine *engine, const char *host_id) VR_REQUIRES(vr_role_engine);

/* Sets the status with all that belongs to it; setting the same again does nothing. */
void vr_hosts_set_status(struct vr_txn *txn, const char *host_id, enum vr_host_status status)
    VR_REQUIRES(vr_role_engine);

/* facts/manager-behaviour.md 1.3. */
enum vr_unfit {
    VR_UNFIT_NONE = 0,
    VR_UNFIT_GENERAL = 1,
    VR_UNFIT_CPU_TYPE = 2,
    VR_UNFIT_STORAGE = 3,
    VR_UNFIT_NETWORK = 4,
    VR_UNFIT_VERSION = 5,
    VR_UNFIT_KVM = 6,
    VR_UNFIT_RECOVERY_TIMEOUT = 7,
    VR_UNFIT_BRIDGELESS = 8,
    VR_UNFIT_MACHINE = 11,
    VR_UNFIT_CLUSTER_LEVEL = 14,
    VR_UNFIT_ARCHITECTURE = 16,
    VR_UNFIT_NIC_DOWN = 17,
    VR_UNFIT_RANDOM = 18,
};
/* --- for what adds hosts --- */

/* The id on storage (1 to 250) that @host (NULL: a new one) has in @cluster's data centre: its own
 * when it is there already, else the lowest free one; 0 and a 409 fault when none is left. */
int64_t vr_hosts_id_in(struct vr_engine *engine, const struct vr_host *host,
                       const struct vr_cluster *cluster, struct vr_error **error)
    VR_REQUIRES(vr_role_engine);
/* Everything that a new host has besides what its maker says.  @host_id 0: it gets one later. */
void vr_hosts_set_defaults(struct vr_host *host, const struct vr_cluster *cluster, int64_t host_id);

/* Up, or what it is, to non-operational with that reason and its event. */
void vr_hosts_set_unfit(struct vr_txn *txn, const char *host_id, enum vr_unfit reason,
                        const char *detail) VR_REQUIRES(vr_role_engine);

/* Inside @txn: the host could not start a machine that another one then could; after
 * NumberOfFailedRunsOnVds of them in a row it is set to Error for TimeToReduceFailedRunOnVdsInMinutes. */
void vr_hosts_failed_to_run(struct vr_txn *txn, const char *host_id) VR_REQUIRES(vr_role_engine);
/* Inside @txn: it started one. */
void vr_hosts_ran(struct vr_txn *txn, const char *host_id) VR_REQUIRES(vr_role_engine);

/* An up host of the data centre for work that any host can do: the SPM when it is up, else the one
 * with the lowest id; NULL when there is none.  Borrowed from the head. */
const struct vr_host *vr_hosts_pick(struct vr_engine *engine, const char *data_center_id)
    VR_REQUIRES(vr_role_engine);
/* The data centre of a host's cluster, or NULL.  Borrowed. */
const struct vr_data_center *vr_hosts_data_center(struct vr_engine *engine,
                                                  const struct vr_host *host)
    VR_REQUIRES(vr_role_engine);

/* The latest statistics of a watched host, or NULL; borrowed until the next message. */
const struct vr_rpc_host_stats *vr_hosts_stats(struct vr_engine *engine, const char *host_id)
    VR_REQUIRES(vr_role_engine);
/* Since when its CPU is above the policy's band (monotonic ms), 0: it is not. */
int64_t vr_hosts_overload_since(struct vr_engine *engine, const char *host_id)
    VR_REQUIRES(vr_role_engine);
