/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * resolve: host names to addresses without blocking a loop.  A numeric
 * address is answered without a thread; getaddrinfo(3) of anything else runs
 * on one of a few worker threads.
 */

#include <netdb.h>

#include "net/loop.h"

struct vr_resolve;

/* @addresses is NULL with @error set; else the callback owns it (freeaddrinfo). */
typedef void vr_resolve_fn(struct addrinfo *addresses, const struct vr_error *error, void *arg);

/* Calls @fn once on the loop's thread, never from inside this call, unless it is cancelled. */
struct vr_resolve *vr_resolve_start(struct vr_loop *loop, const char *host, uint16_t port,
                                    vr_resolve_fn *fn, void *arg);
/* Before the callback ran; @resolve is gone after either. */
void vr_resolve_cancel(struct vr_resolve *resolve);
