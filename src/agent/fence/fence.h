/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * fence: the power of another host, controlled through its power device by a
 * fence agent of this host (reference, "Power Management"; facts/host-rpc.md,
 * Host.fenceNode).
 */

#include "base/base.h"

#include "model/host.h"

/*
 * Runs fence_<agent> for @params.  Returns the answer to the Manager, owned;
 * NULL and @error (agent fault 43 for an agent that is not installed, 91 for a
 * parameter that cannot be told to one, 100 for an action that failed).
 * Blocks until the program ended, for an action at most 20 s.
 */
struct vr_rpc_fence_node_result *
vr_fence_node(const struct vr_rpc_host_fence_node_params *params, struct vr_error **error);
