/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * qemu_img: the runs of qemu-img that volumes need (facts/storage-format.md 7).
 *
 * Every run happens inside an image's directory, so that the relative backing
 * names of a chain resolve, with the rights of the storage's identity, always
 * with explicit formats: a format is never guessed from what a guest wrote.
 */

#include "base/base.h"

struct iod_request;

/* An empty image over an existing file; @backing is a volume of the same directory or NULL. */
bool vr_qemu_img_create(struct iod_request *request, int dir, const char *vol, uint64_t size,
                        const char *compat, const char *backing, const char *backing_format,
                        struct vr_error **error);

struct vr_qemu_img_convert {
    const char *from, *from_format; /* path or URL */
    const char *to, *to_format;
    const char *backing; /* of the target: copy only what is above it; or NULL */
    bool unordered;      /* -W: preallocated raw targets */
    bool bitmaps;
    bool target_is_zero;
    bool create; /* the target does not exist yet */
};
/* Copies with progress; 411 when the request was cancelled, 261 when it failed. */
bool vr_qemu_img_convert(struct iod_request *request, int dir,
                         const struct vr_qemu_img_convert *convert, struct vr_error **error);

bool vr_qemu_img_resize(struct iod_request *request, int dir, const char *vol, uint64_t size,
                        struct vr_error **error);
bool vr_qemu_img_commit(struct iod_request *request, int dir, const char *base, const char *top,
                        struct vr_error **error);
bool vr_qemu_img_rebase(struct iod_request *request, int dir, const char *vol, const char *backing,
                        const char *backing_format, struct vr_error **error);
/* The JSON texts of `info` and `measure`; owned. */
char *vr_qemu_img_info(struct iod_request *request, int dir, const char *vol, const char *format,
                       struct vr_error **error);
char *vr_qemu_img_measure(struct iod_request *request, int dir, const char *vol, const char *format,
                          bool with_backing, const char *to_format, struct vr_error **error);
