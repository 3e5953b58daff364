/* SPDX-License-Identifier: Apache-2.0 */
#include "net/buffer.h"

static void make_room(struct vr_buffer *buffer, size_t len)
{
    size_t used = vr_buffer_len(buffer);
    g_assert(len <= SIZE_MAX / 4 - used);
    if (buffer->allocated - buffer->end >= len)
        return;

    /* Moving is worth it only when it frees at least half: else a slow reader costs n^2. */
    if (buffer->start >= used && buffer->allocated - used >= len) {
        memmove(buffer->data, vr_buffer_data(buffer), used);
    } else {
        size_t allocated = MAX(buffer->allocated, 256);
        while (allocated < used + len)
            allocated *= 2;
        uint8_t *data = g_malloc(allocated);
        if (used)
            memcpy(data, vr_buffer_data(buffer), used);
        g_free(buffer->data);
        buffer->data = data;
        buffer->allocated = allocated;
    }
    buffer->start = 0;
    buffer->end = used;
}

void vr_buffer_append(struct vr_buffer *buffer, const void *data, size_t len)
{
    if (!len)
        return;
    make_room(buffer, len);
    memcpy(buffer->data + buffer->end, data, len);
    buffer->end += len;
}

void vr_buffer_append_text(struct vr_buffer *buffer, const char *text)
{
    vr_buffer_append(buffer, text, strlen(text));
}

void vr_buffer_append_byte(struct vr_buffer *buffer, uint8_t byte)
{
    vr_buffer_append(buffer, &byte, 1);
}

void vr_buffer_consume(struct vr_buffer *buffer, size_t len)
{
    g_assert(len <= vr_buffer_len(buffer));
    buffer->start += len;
    if (buffer->start == buffer->end)
        vr_buffer_done(buffer);
}

void vr_buffer_done(struct vr_buffer *buffer)
{
    g_free(buffer->data);
    *buffer = (struct vr_buffer){ 0 };
}
