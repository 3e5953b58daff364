/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * lane: worker threads for verbs of one kind, so that a slow one never delays
 * another kind.  Its queue is bounded; what does not fit is refused.
 */

#include "base/base.h"

struct vr_lane;

/* @threads workers, at most @waiting jobs that none of them has taken. */
struct vr_lane *vr_lane_new(const char *name, unsigned threads, unsigned waiting);
/* Waits for the running jobs; drops nothing.  Takes NULL. */
void vr_lane_free(struct vr_lane *lane);
/* Any thread.  False, and @run is never called, when the queue is full. */
bool vr_lane_push(struct vr_lane *lane, void (*run)(void *arg), void *arg);
