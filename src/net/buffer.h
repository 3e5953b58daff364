/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * buffer: bytes that are appended at one end and taken from the other.  An
 * empty buffer holds no memory, so that ten thousand idle connections hold
 * none.  The owner sets the limit; a buffer itself has none.
 */

#include "base/base.h"

/* All zero is an empty buffer. */
struct vr_buffer {
    uint8_t *data; /* allocated bytes; the content is data[start] to data[end - 1] */
    size_t start, end, allocated;
};

static inline size_t vr_buffer_len(const struct vr_buffer *buffer)
{
    return buffer->end - buffer->start;
}

static inline uint8_t *vr_buffer_data(const struct vr_buffer *buffer)
{
    return buffer->data + buffer->start;
}

/* Appends @len bytes; amortized constant time, at most twice the content is allocated. */
void vr_buffer_append(struct vr_buffer *buffer, const void *data, size_t len);
void vr_buffer_append_text(struct vr_buffer *buffer, const char *text);
void vr_buffer_append_byte(struct vr_buffer *buffer, uint8_t byte);

/* Takes @len bytes, at most what is there, from the front. */
void vr_buffer_consume(struct vr_buffer *buffer, size_t len);

/* Empties the buffer and gives its memory back. */
void vr_buffer_done(struct vr_buffer *buffer);
