/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * checksum: the checksum of an image's content, block by block.
 *
 * It is the digest of the concatenated digests of the blocks, the last one as
 * short as it is, so that blocks of zeroes cost nothing to hash.
 */

#include "agent/image/ticket.h"

#define VR_CHECKSUM_BLOCK_SIZE MiB(4)

/* NULL ended names; the first is the default. */
extern const char *const vr_checksum_algorithms[];

/* The digest in hex, owned.  Stops when the ticket is cancelled. */
char *vr_checksum(struct vr_ticket_use *use, const char *algorithm, size_t block_size,
                  struct vr_error **error);
