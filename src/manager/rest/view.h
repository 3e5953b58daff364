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
    unsigned when; /* enum vr_view_when, or'ed: a request of one of these; 0: every one */
    void (*decorate)(struct vr_reading *reading, void *copy);
};

/* What costs much, or shows up for few, is added for requests that ask for it. */
enum vr_view_when {
    VR_VIEW_CONSOLES = 1 << 0,    /* detail=current_graphics_consoles */
    VR_VIEW_ALL_CONTENT = 1 << 1, /* all_content=true */
};

/* kind < 0 ends.  views.c lists them. */
extern const struct vr_view vr_views[];
