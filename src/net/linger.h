/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * linger: the end of connections whose peer may still be sending.
 *
 * A server that refuses a request before it has read its body answers and closes.  When bytes of
 * the body arrive after that, or lie unread at that moment, the kernel resets the connection, and
 * a client that is still busy sending never gets to see why.  So the socket is kept for a while
 * behind the server's back: our direction is shut, what still comes is read and dropped, until the
 * peer closes, falls silent, or has used up its bounds.
 */

#include "base/base.h"

/* Bounds of one connection: it is reset when it goes on beyond them. */
#define VR_LINGER_SILENCE_MS 5000
#define VR_LINGER_MS 30000
#define VR_LINGER_BYTES MiB(256)
/* Of all of one lingerer; a connection more is closed at once. */
#define VR_LINGER_CONNECTIONS 256

struct vr_linger;

/* Starts the thread, called @name, that reads and drops. */
struct vr_linger *vr_linger_new(const char *name);
/* Takes over the end of the connected socket @fd, which stays the caller's to close: call this
 * right before that.  Any thread; does not block.  Nothing happens for a peer that is gone. */
void vr_linger_take(struct vr_linger *linger, int fd);
/* Closes what lingers and ends the thread.  No vr_linger_take() may be under way.  Takes NULL. */
void vr_linger_free(struct vr_linger *linger);
