/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * waiter: requests that wait for another thread or for time to pass, and the
 * one thread that wakes those whose time has run out.
 */

#include "manager/rest/request.h"

struct vr_waiters;

struct vr_waiters *vr_waiters_new(void);
/* Wakes whoever still waits; the wakers must not come any more. */
void vr_waiters_free(struct vr_waiters *waiters);

/* Suspends the connection of @request. */
struct vr_waiter *vr_waiter_new(struct vr_waiters *waiters, struct vr_request *request,
                                int64_t timeout_ms);
/* Moves what the waker brought into the request and gives back its reference. */
void vr_waiter_collect(struct vr_request *request);
/* Gives back the waker's reference: only time will wake this one. */
void vr_waiter_forget(struct vr_waiter *waiter);
