/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * fitness: whether a host that answers can serve in its cluster
 * (facts/manager-behaviour.md 1.3).  Pure: looks at what it is given.
 */

#include "manager/hosts/hosts.h"

/*
 * The first reason why a host with these capabilities does not fit @cluster;
 * VR_UNFIT_NONE when there is none.  *@ret_detail, NULL before, gets what a
 * person wants to know of the reason; owned by the caller.
 */
enum vr_unfit vr_host_fitness(const struct vr_cluster *cluster,
                              const struct vr_rpc_vdsm_capabilities *caps, char **ret_detail);
