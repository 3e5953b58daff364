/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * sorted: a set of entities in the order of their ids, in chunks of at most
 * VR_SORTED_CHUNK.  A find is two binary searches, which look at the first
 * eight bytes of ids kept beside the pointers and only in a tie at the ids
 * themselves; an insert moves at most one chunk; a walk reads memory in
 * order.  One small allocation for the many sets of one or two.
 *
 * Private to the inventory.  Holds no references; ids are read through
 * vr_id(), so an object in a set must have one and keep it.
 */

#include "model/model.h"

#define VR_SORTED_CHUNK 128

struct vr_sorted_item {
    uint64_t prefix; /* the first eight bytes of the id, big-endian */
    void *object;
};

struct vr_sorted_chunk {
    struct vr_sorted_item *items;
    unsigned count, allocated;
};

/* All zero is an empty set. */
struct vr_sorted {
    struct vr_sorted_chunk *chunks; /* none of them empty */
    unsigned chunk_count, chunks_allocated;
    unsigned count;
};

/* Puts @object in, in place of the one with the same id when there is one. */
void vr_sorted_put(struct vr_sorted *set, void *object);
/* Does nothing when no object has that id. */
void vr_sorted_remove(struct vr_sorted *set, const char *id);
/* Copies all items, in order, to @out, which has room for set->count. */
void vr_sorted_copy(const struct vr_sorted *set, void **out);
/* The item with the lowest id; NULL when the set is empty. */
void *vr_sorted_first(const struct vr_sorted *set);
void vr_sorted_done(struct vr_sorted *set);
