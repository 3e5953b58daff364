/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * qcow2: what the header of an image says about other files.
 *
 * Whoever uploads an image writes its header, so the backing and data files
 * it names are checked here before any program that would open them sees it.
 */

#include "base/base.h"

/* Enough for every header: the backing name ends within the first cluster. */
#define VR_QCOW2_HEAD_MAX KiB(64)

struct vr_qcow2 {
    unsigned version; /* 2 or 3 */
    unsigned cluster_bits;
    uint64_t size;           /* virtual, bytes */
    char backing[1024];      /* as written; empty without one */
    char backing_format[32]; /* empty when the header does not say */
    bool data_file;          /* the data is in another file */
    bool encrypted;
};

/* Whether the bytes begin a qcow2 image. */
bool vr_qcow2_probe(const uint8_t *head, size_t length);
/* Reads the first bytes of an image.  False and 202 when it is no qcow2 or contradicts itself. */
bool vr_qcow2_parse(struct vr_qcow2 *image, const uint8_t *head, size_t length,
                    struct vr_error **error);
/* The last path component of the backing name: a volume's UUID in a sane image. */
const char *vr_qcow2_backing_volume(const struct vr_qcow2 *image);
