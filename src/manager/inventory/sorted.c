/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/inventory/sorted.h"

static uint64_t prefix_of(const char *id)
{
    uint8_t bytes[8] = { 0 };
    memcpy(bytes, id, strnlen(id, sizeof(bytes)));
    uint64_t prefix;
    memcpy(&prefix, bytes, sizeof(prefix));
    return GUINT64_FROM_BE(prefix);
}

static int compare(const struct vr_sorted_item *item, uint64_t prefix, const char *id)
{
    if (item->prefix != prefix)
        return item->prefix < prefix ? -1 : 1;
    return strcmp(vr_id(item->object), id);
}

/* The last chunk whose first id is not above @id, or the first one. */
static unsigned find_chunk(const struct vr_sorted *set, uint64_t prefix, const char *id)
{
    unsigned low = 0, high = set->chunk_count;
    while (high - low > 1) {
        unsigned middle = low + (high - low) / 2;
        if (compare(&set->chunks[middle].items[0], prefix, id) <= 0)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* The place of the first id that is not below @id. */
static unsigned find_item(const struct vr_sorted_chunk *chunk, uint64_t prefix, const char *id,
                          bool *ret_found)
{
    unsigned low = 0, high = chunk->count;
    *ret_found = false;
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        int order = compare(&chunk->items[middle], prefix, id);
        if (order == 0)
            *ret_found = true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct vr_sorted_chunk *insert_chunk(struct vr_sorted *set, unsigned at)
{
    if (set->chunk_count == set->chunks_allocated) {
        set->chunks_allocated = MAX(1, set->chunks_allocated * 2);
        set->chunks = g_renew(struct vr_sorted_chunk, set->chunks, set->chunks_allocated);
    }
    memmove(&set->chunks[at + 1], &set->chunks[at],
            (set->chunk_count - at) * sizeof(set->chunks[0]));
    set->chunk_count++;
    set->chunks[at] = (struct vr_sorted_chunk){ 0 };
    return &set->chunks[at];
}

/* Moves the upper half of a full chunk into a new one behind it; when ids arrive in order (a load
 * does that) only the last item moves, so that chunks stay full. */
static void split_chunk(struct vr_sorted *set, unsigned at, bool appending)
{
    struct vr_sorted_chunk *right = insert_chunk(set, at + 1);
    struct vr_sorted_chunk *left = &set->chunks[at];
    unsigned keep = appending ? left->count - 1 : left->count / 2;
    right->count = left->count - keep;
    right->allocated = VR_SORTED_CHUNK;
    right->items = g_new(struct vr_sorted_item, VR_SORTED_CHUNK);
    memcpy(right->items, left->items + keep, right->count * sizeof(right->items[0]));
    left->count = keep;
}

void vr_sorted_put(struct vr_sorted *set, void *object)
{
    const char *id = vr_id(object);
    if (set->chunk_count == 0)
        insert_chunk(set, 0);
    uint64_t prefix = prefix_of(id);
    unsigned c = find_chunk(set, prefix, id);
    bool found;
    unsigned at = find_item(&set->chunks[c], prefix, id, &found);
    if (found) {
        set->chunks[c].items[at].object = object;
        return;
    }
    if (set->chunks[c].count == VR_SORTED_CHUNK) {
        split_chunk(set, c, c + 1 == set->chunk_count && at == VR_SORTED_CHUNK);
        if (at > set->chunks[c].count) {
            at -= set->chunks[c].count;
            c++;
        }
    }
    struct vr_sorted_chunk *chunk = &set->chunks[c];
    if (chunk->count == chunk->allocated) {
        chunk->allocated = MAX(1, chunk->allocated * 2);
        chunk->items = g_renew(struct vr_sorted_item, chunk->items, chunk->allocated);
    }
    memmove(chunk->items + at + 1, chunk->items + at,
            (chunk->count - at) * sizeof(chunk->items[0]));
    chunk->items[at] = (struct vr_sorted_item){ prefix, object };
    chunk->count++;
    set->count++;
}

void vr_sorted_remove(struct vr_sorted *set, const char *id)
{
    if (set->chunk_count == 0)
        return;
    uint64_t prefix = prefix_of(id);
    unsigned c = find_chunk(set, prefix, id);
    struct vr_sorted_chunk *chunk = &set->chunks[c];
    bool found;
    unsigned at = find_item(chunk, prefix, id, &found);
    if (!found)
        return;
    memmove(chunk->items + at, chunk->items + at + 1,
            (chunk->count - at - 1) * sizeof(chunk->items[0]));
    chunk->count--;
    set->count--;
    if (chunk->count)
        return;
    g_free(chunk->items);
    memmove(chunk, chunk + 1, (set->chunk_count - c - 1) * sizeof(*chunk));
    set->chunk_count--;
}

void vr_sorted_copy(const struct vr_sorted *set, void **out)
{
    for (unsigned c = 0; c < set->chunk_count; c++) {
        for (unsigned i = 0; i < set->chunks[c].count; i++)
            *out++ = set->chunks[c].items[i].object;
    }
}

void *vr_sorted_first(const struct vr_sorted *set)
{
    return set->chunk_count ? set->chunks[0].items[0].object : NULL;
}

void vr_sorted_done(struct vr_sorted *set)
{
    for (unsigned c = 0; c < set->chunk_count; c++)
        g_free(set->chunks[c].items);
    g_free(set->chunks);
    *set = (struct vr_sorted){ 0 };
}
