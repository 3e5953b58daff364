/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * fence: the power of hosts, through their power agents and a proxy host.
 */

#include "manager/engine/engine.h"
#include "manager/job/job.h"

/* The job that switches a host's power; context fence_job_context. */
extern const struct vr_job_type vr_job_fence_host;

/* Inside @txn: the host surely does not run (its power is off, or a person has seen to it): its
 * machines are down, and it is SPM no more. */
void vr_fence_confirmed(struct vr_txn *txn, const char *host_id) VR_REQUIRES(vr_role_engine);
/* Inside @txn: the power agents of a host that is being removed. */
void vr_fence_forget(struct vr_txn *txn, const char *host_id) VR_REQUIRES(vr_role_engine);
/* Whether any power agent of the host is left, @except (may be NULL) not counted. */
bool vr_fence_has_agent(struct vr_engine *engine, const char *host_id, const char *except)
    VR_REQUIRES(vr_role_engine);
