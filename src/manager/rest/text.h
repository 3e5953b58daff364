/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * text: the body of a long answer as a list of texts that it shares with the
 * cache.  A list of a thousand virtual machines is seven megabytes; they are
 * copied once, piece by piece, when the server encrypts them.
 */

#include "base/base.h"

#include <sys/types.h>

/* Never changes; any thread. */
struct vr_text {
    gint refs; /* atomic */
    size_t length;
    char bytes[];
};

struct vr_text *vr_text_new(const char *bytes, size_t length); /* one reference; a copy */
struct vr_text *vr_text_ref(struct vr_text *text);
void vr_text_unref(struct vr_text *text); /* takes NULL */

struct vr_texts;

/* Empty; @expected is a hint. */
struct vr_texts *vr_texts_new(unsigned expected);
void vr_texts_free(struct vr_texts *texts); /* takes NULL */
/* Takes the reference. */
void vr_texts_add(struct vr_texts *texts, struct vr_text *text);
void vr_texts_add_copy(struct vr_texts *texts, const char *text);
size_t vr_texts_length(const struct vr_texts *texts);
/* Copies what begins at @at, of the whole, to @out; returns how much, 0 at the end.  Quick when it
 * goes on from where the last call ended.  One thread at a time. */
size_t vr_texts_read(struct vr_texts *texts, uint64_t at, char *out, size_t size);
