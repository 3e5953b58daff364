/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * frame: one JSON text at a time over a stream socket, its length before it
 * as four bytes, most significant first.
 */

#include "base/base.h"

/* What one frame may hold: the largest is a listing of a full domain. */
#define VR_FRAME_MAX MiB(16)

/* Blocking, whole frame or error.  Returns 0 or a negative errno (-EMSGSIZE for a frame too big,
 * -ECONNRESET for an end inside a frame). */
int vr_frame_write(int fd, const char *text, size_t length);
/* Blocking.  An owned, NUL ended text; 1 for a frame, 0 at a clean end, or a negative errno. */
int vr_frame_read(int fd, char **text, size_t *length);
