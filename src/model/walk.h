/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * walk: what the walkers of model and codec share.  Private to the two.
 */

#include "model/model.h"

enum vr_shape { VR_SHAPE_ONE, VR_SHAPE_LIST, VR_SHAPE_MAP };

static inline enum vr_shape vr_field_shape(const struct vr_field *field)
{
    if (field->flags & VR_FIELD_IS_LIST)
        return VR_SHAPE_LIST;
    return field->flags & VR_FIELD_IS_MAP ? VR_SHAPE_MAP : VR_SHAPE_ONE;
}

static inline bool vr_kind_is_text(uint8_t kind)
{
    return kind == VR_FIELD_STRING || kind == VR_FIELD_JSON;
}

static inline bool vr_kind_is_object(uint8_t kind)
{
    return kind == VR_FIELD_STRUCT || kind == VR_FIELD_LINK;
}

/* The presence bits as bytes: bit N of byte B belongs to field 8 * B + N (docs/model.md). */
static inline uint8_t *vr_has_bytes(const void *object)
{
    const struct vr_object *head = object;
    return (uint8_t *)(uintptr_t)object + head->type->has_offset;
}

static inline bool vr_has_bit(const void *object, const struct vr_field *field)
{
    return vr_has_bytes(object)[field->bit / 8] >> (field->bit % 8) & 1;
}

static inline void *vr_member_at(const void *object, const struct vr_field *field)
{
    return (uint8_t *)(uintptr_t)object + field->offset;
}

/*
 * The first set field at or after *@next, or NULL; moves *@next behind it.
 *
 *     unsigned next = 0;
 *     for (const struct vr_field *f; (f = vr_next_set(object, &next));)
 *
 * Absent fields cost nothing: an entity has a hundred and sets a dozen or two.
 */
static inline const struct vr_field *vr_next_set(const void *object, unsigned *next)
{
    const struct vr_type *type = ((const struct vr_object *)object)->type;
    const uint8_t *has = vr_has_bytes(object);
    unsigned at = *next;
    while (at < type->field_count) {
        unsigned rest = has[at / 8] >> (at % 8);
        if (rest) {
            at += (unsigned)__builtin_ctz(rest);
            if (at >= type->field_count)
                break;
            *next = at + 1;
            return &type->fields[at];
        }
        at = (at / 8 + 1) * 8;
    }
    *next = at;
    return NULL;
}

/* A double as a list item and back. */
static inline void *vr_item_from_double(double number)
{
    void *item = NULL;
    memcpy(&item, &number, MIN(sizeof(item), sizeof(number)));
    return item;
}

static inline double vr_item_to_double(const void *item)
{
    double number = 0;
    memcpy(&number, &item, MIN(sizeof(item), sizeof(number)));
    return number;
}

/* One list item or map value of @field: freed, copied, compared. */
void vr_item_free(const struct vr_field *field, void *item);
void *vr_item_copy(const struct vr_field *field, const void *item);
bool vr_item_equal(const struct vr_field *field, const void *a, const void *b);

/* One field of two objects of a type, set in both. */
bool vr_field_equal(const void *a, const void *b, const struct vr_field *field);
/* Sets one field of @into to a copy of the one in @from, where it is set. */
void vr_field_copy(void *into, const void *from, const struct vr_field *field);
/* Replaces a struct member that another object refers to as well by a copy. */
void vr_own_sole(void **member);

/* Takes a part that nobody refers to any more out of the table of share.c. */
void vr_unshare(const void *object);
/* How many different parts there are. */
unsigned vr_shared_count(void);

/* Readers add @key (taken) and @value in whatever order they come, then call vr_map_settle()
 * once: it sorts, and of entries with the same key keeps the last. */
void vr_map_add(struct vr_map *map, char *key, void *value);
void vr_map_settle(struct vr_map *map, const struct vr_field *field);
