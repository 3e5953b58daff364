/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files of `fence` share. */

#include "manager/fence/fence.h"

/* --- kinds.c: the types of power agents --- */

/* Whether @type is a type that there is; the error names those. */
bool fence_kind_check(const char *type, struct vr_error **error);
/* The verb's parameters for one agent.  Owned. */
struct vr_rpc_host_fence_node_params *fence_params(const struct vr_agent *agent,
                                                   enum vr_rpc_fence_node_action action);

/* --- proxy.c --- */

/* The agents of @host_id whose order is @group: references of struct vr_agent, owned. */
GPtrArray *fence_agents_of(struct vr_engine *engine, const char *host_id, int64_t group)
    VR_REQUIRES(vr_role_engine);
/* The lowest order above @after (-1: the lowest), or -1 when there is none. */
int64_t fence_next_group(struct vr_engine *engine, const char *host_id, int64_t after)
    VR_REQUIRES(vr_role_engine);
/* A host that can reach the power agents of @host, other than @avoid (may be NULL) where there is
 * another.  Borrowed from the head; NULL when there is none. */
const struct vr_host *fence_proxy(struct vr_engine *engine, const struct vr_host *host,
                                  const char *avoid) VR_REQUIRES(vr_role_engine);
