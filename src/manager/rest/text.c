/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/rest/text.h"

struct vr_texts {
    GPtrArray *items; /* struct vr_text */
    size_t length;
    /* where the last read ended */
    unsigned item;
    uint64_t item_begins;
};

struct vr_text *vr_text_new(const char *bytes, size_t length)
{
    struct vr_text *text = g_malloc(sizeof(*text) + length);
    text->refs = 1;
    text->length = length;
    memcpy(text->bytes, bytes, length);
    return text;
}

struct vr_text *vr_text_ref(struct vr_text *text)
{
    g_atomic_int_inc(&text->refs);
    return text;
}

void vr_text_unref(struct vr_text *text)
{
    if (text && g_atomic_int_dec_and_test(&text->refs))
        g_free(text);
}

static void unref_item(gpointer item)
{
    vr_text_unref(item);
}

struct vr_texts *vr_texts_new(unsigned expected)
{
    struct vr_texts *texts = g_new0(struct vr_texts, 1);
    texts->items = g_ptr_array_new_full(expected, unref_item);
    return texts;
}

void vr_texts_free(struct vr_texts *texts)
{
    if (!texts)
        return;
    g_ptr_array_unref(texts->items);
    g_free(texts);
}

void vr_texts_add(struct vr_texts *texts, struct vr_text *text)
{
    texts->length += text->length;
    g_ptr_array_add(texts->items, text);
}

void vr_texts_add_copy(struct vr_texts *texts, const char *text)
{
    vr_texts_add(texts, vr_text_new(text, strlen(text)));
}

size_t vr_texts_length(const struct vr_texts *texts)
{
    return texts->length;
}

size_t vr_texts_read(struct vr_texts *texts, uint64_t at, char *out, size_t size)
{
    size_t done = 0;
    if (at < texts->item_begins)
        texts->item = 0, texts->item_begins = 0;
    while (done < size && texts->item < texts->items->len) {
        const struct vr_text *text = texts->items->pdata[texts->item];
        uint64_t skip = at + done - texts->item_begins;
        if (skip >= text->length) {
            texts->item_begins += text->length;
            texts->item++;
            continue;
        }
        size_t part = MIN(size - done, text->length - (size_t)skip);
        memcpy(out + done, text->bytes + skip, part);
        done += part;
    }
    return done;
}
