/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * file: small files that are whole or absent, whatever kills the writer.
 */

#include <sys/types.h>

#include "base/base.h"

/*
 * Makes @path hold exactly @size bytes of @data with permissions @mode: written beside it, synced
 * to the disk, renamed over it, and the folder synced.  A crash leaves the old file or the new one.
 */
bool vr_file_replace(const char *path, const void *data, size_t size, mode_t mode,
                     struct vr_error **error);

/*
 * Reads at most @limit bytes; a larger file is an error.  Returns an owned, zero-ended buffer and
 * sets *@ret_size when not NULL.  A missing file returns NULL without an error.
 */
char *vr_file_read(const char *path, size_t limit, size_t *ret_size, struct vr_error **error);

/* Makes the folder @path with @mode unless it exists; its parent must exist. */
bool vr_file_make_folder(const char *path, mode_t mode, struct vr_error **error);

/* Syncs the names in folder @path to the disk. */
bool vr_file_sync_folder(const char *path, struct vr_error **error);
