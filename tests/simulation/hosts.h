/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The rows of the simulated world's table that concern hosts. */

#include "sim.h"

void sim_host_connect(struct vr_world *world, const struct vr_host_target *target);
void sim_host_disconnect(struct vr_world *world, const char *host_id);
void sim_host_call(struct vr_world *world, uint64_t call, const char *host_id,
                   const struct vr_verb *verb, const void *params, unsigned timeout_ms,
                   const char *correlation_id);
