/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * view: what an entity shows beyond what is stored: the status of something
 * else, sizes and statistics of the moment.  A feature names its function in
 * views.c; it gets a copy that it may change.
 */

#include "manager/rest/reading.h"

struct vr_view {
    int kind;
    void (*decorate)(struct vr_reading *reading, void *copy);
};

/* kind < 0 ends.  views.c lists them. */
extern const struct vr_view vr_views[];
