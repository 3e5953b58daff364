/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * limits: how often somebody without a login may ask for something.  A bucket
 * of permits for each address and one for all of them, which fill up again
 * with time.  Any thread.
 */

#include "base/base.h"

struct vr_limits;

struct vr_limits_options {
    unsigned burst;      /* permits of one address */
    unsigned refill_ms;  /* until it has another one */
    unsigned all_burst;  /* the same for everybody together */
    unsigned all_refill_ms;
    unsigned addresses; /* that are remembered; the ones with the most permits go first */
};

struct vr_limits *vr_limits_new(const struct vr_limits_options *options);
void vr_limits_free(struct vr_limits *limits); /* takes NULL */
/* Takes a permit; 0, or the milliseconds until there is one. */
int64_t vr_limits_take(struct vr_limits *limits, const char *address, int64_t now_ms);
