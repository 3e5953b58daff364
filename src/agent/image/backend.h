/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * backend: where the bytes of a ticket are.
 *
 * One backend is one open file or one NBD connection; it is used by one
 * request at a time, and every call may block.
 */

#include "base/base.h"

struct vr_backend;

/* One piece of an image: `zero` reads as zeroes, `hole` has no space behind it. */
typedef void vr_extent_fn(uint64_t start, uint64_t length, bool zero, bool hole, void *arg);

/* A badly fragmented image has millions of extents, and nobody is to hold them all. */
#define VR_EXTENTS_MAX 16384

struct vr_backend_driver {
    const char *prefix; /* of the URL */
    bool (*open)(struct vr_backend *backend, const char *url, bool write, struct vr_error **error);
    void (*close)(struct vr_backend *backend);
    /* Reads all of it; bytes beyond the end are zeroes. */
    bool (*read)(struct vr_backend *backend, void *buffer, size_t length, uint64_t offset,
                 struct vr_error **error);
    bool (*write)(struct vr_backend *backend, const void *buffer, size_t length, uint64_t offset,
                  struct vr_error **error);
    bool (*zero)(struct vr_backend *backend, uint64_t length, uint64_t offset,
                 struct vr_error **error);
    bool (*flush)(struct vr_backend *backend, struct vr_error **error);
    /* Calls @extent for the next part of [*at, size), in order and without a gap, and moves *@at to
     * its end: at least one, at most VR_EXTENTS_MAX extents; neighbours may be alike. *@at < @size. */
    bool (*extents)(struct vr_backend *backend, uint64_t *at, uint64_t size, vr_extent_fn *extent,
                    void *arg, struct vr_error **error);
};

struct vr_backend {
    const struct vr_backend_driver *driver;
    bool sparse; /* zeroing may give space back */
    int fd;
    void *handle;
};

extern const struct vr_backend_driver vr_backend_file, vr_backend_nbd;

/* Whether some driver knows the URL. */
bool vr_backend_known(const char *url);
/* NULL and @error when it cannot be opened. */
struct vr_backend *vr_backend_open(const char *url, bool write, bool sparse,
                                   struct vr_error **error);
void vr_backend_close(struct vr_backend *backend); /* takes NULL */
