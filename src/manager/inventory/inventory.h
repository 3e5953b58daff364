/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * inventory: every entity the Manager knows, as immutable reference-counted
 * versions, by kind and id, with an index for each link that the schema marks
 * `indexed` and one by name.
 *
 * There are two of them.  The *head* belongs to the engine thread and shows
 * every change the engine has decided.  The *committed* one shows what
 * PostgreSQL has acknowledged; readers on any thread use it, under a lock
 * that is held only while references are taken.  A change goes to the head at
 * once and to the committed one when its transaction is acknowledged, so the
 * engine never waits and a reader never sees what a crash could take back.
 */

#include "model/api.h"

struct vr_inventory;

/* @shared: readers on other threads exist, so take the lock. */
struct vr_inventory *vr_inventory_new(bool shared);
void vr_inventory_free(struct vr_inventory *inventory);

/* The object, or NULL.  A reference that the caller gives back with vr_unref(). */
void *vr_inventory_get(struct vr_inventory *inventory, int kind, const char *id);
/* The same without a reference: engine thread and head only; valid until the engine's next change. */
const void *vr_inventory_peek(struct vr_inventory *inventory, int kind, const char *id);
#define VR_PEEK(inventory, KIND, t, id)                                                            \
    ((const struct vr_##t *)vr_inventory_peek((inventory), VR_KIND_##KIND, (id)))

/* A set of references. */
struct vr_objects {
    void **items;
    unsigned count;
};
void vr_objects_clear(struct vr_objects *objects);
#define vr_auto_objects __attribute__((cleanup(vr_objects_clear)))
/* VR_OBJECTS(struct vr_nic, nic, &nics) { ... }: borrowed items. */
#define VR_OBJECTS(ctype, name, set)                                                               \
    for (unsigned name##_i_ = 0; name##_i_ < (set)->count; name##_i_++)                            \
        for (const ctype *name = (set)->items[name##_i_]; name; name = NULL)

/* All objects of a kind, ordered by id. */
void vr_inventory_list(struct vr_inventory *inventory, int kind, struct vr_objects *ret_objects);
/* Those whose indexed link @wire_name points at @target_id, ordered by id. */
void vr_inventory_list_by(struct vr_inventory *inventory, int kind, const char *wire_name,
                          const char *target_id, struct vr_objects *ret_objects);
unsigned vr_inventory_count(struct vr_inventory *inventory, int kind);
unsigned vr_inventory_count_by(struct vr_inventory *inventory, int kind, const char *wire_name,
                               const char *target_id);
/* One of the objects with exactly that name (the lowest id), or NULL.  A reference. */
void *vr_inventory_get_named(struct vr_inventory *inventory, int kind, const char *name);
void vr_inventory_list_named(struct vr_inventory *inventory, int kind, const char *name,
                             struct vr_objects *ret_objects);

/* One change: @after NULL removes. */
struct vr_change {
    int kind;
    char *id;
    void *after; /* the new version, or NULL */
    int64_t rev; /* of the new version: counts up per entity */
};
/* Applies changes, taking references of its own.  Engine thread, or the store while it loads. */
void vr_inventory_apply(struct vr_inventory *inventory, const struct vr_change *changes,
                        unsigned count);
