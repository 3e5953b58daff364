/* SPDX-License-Identifier: Apache-2.0 */
#include "sim.h"

/* What the threads for blocking work would have brought back. */
void sim_errand_run(struct sim *sim, struct vr_errand *errand)
{
    vr_errand_refuse(errand, "not simulated");
}
