/* SPDX-License-Identifier: Apache-2.0 */
#include "model/walk.h"

bool vr_item_equal(const struct vr_field *field, const void *a, const void *b)
{
    if (vr_kind_is_text(field->kind))
        return g_strcmp0(a, b) == 0;
    if (vr_kind_is_object(field->kind))
        return vr_equal(a, b);
    return a == b;
}

static bool equal_lists(const struct vr_field *field, const struct vr_list *a,
                        const struct vr_list *b)
{
    if (a->len != b->len)
        return false;
    for (unsigned i = 0; i < a->len; i++) {
        if (!vr_item_equal(field, a->items[i], b->items[i]))
            return false;
    }
    return true;
}

/* Both are sorted by key, so equal maps run in step. */
static bool equal_maps(const struct vr_field *field, const struct vr_map *a, const struct vr_map *b)
{
    if (a->len != b->len)
        return false;
    for (unsigned i = 0; i < a->len; i++) {
        if (strcmp(a->keys[i], b->keys[i]) != 0 ||
            !vr_item_equal(field, a->values[i], b->values[i]))
            return false;
    }
    return true;
}

static bool equal_ones(const struct vr_field *field, const void *a, const void *b)
{
    switch ((enum vr_field_kind)field->kind) {
    case VR_FIELD_BOOLEAN:
        return *(const bool *)a == *(const bool *)b;
    case VR_FIELD_INTEGER:
    case VR_FIELD_DATE:
        return *(const int64_t *)a == *(const int64_t *)b;
    case VR_FIELD_DOUBLE:
        return *(const double *)a == *(const double *)b;
    case VR_FIELD_ENUM:
        return *(const int *)a == *(const int *)b;
    case VR_FIELD_STRING:
    case VR_FIELD_JSON:
    case VR_FIELD_STRUCT:
    case VR_FIELD_LINK:
        return vr_item_equal(field, *(void *const *)a, *(void *const *)b);
    }
    g_assert_not_reached();
}

static bool equal_members(const struct vr_field *field, const void *a, const void *b)
{
    switch (vr_field_shape(field)) {
    case VR_SHAPE_LIST:
        return equal_lists(field, a, b);
    case VR_SHAPE_MAP:
        return equal_maps(field, a, b);
    case VR_SHAPE_ONE:
        return equal_ones(field, a, b);
    }
    g_assert_not_reached();
}

bool vr_field_equal(const void *a, const void *b, const struct vr_field *field)
{
    return equal_members(field, vr_member_at(a, field), vr_member_at(b, field));
}

bool vr_equal(const void *a, const void *b)
{
    if (a == b)
        return true;
    if (!a || !b)
        return false;
    const struct vr_object *head_a = a, *head_b = b;
    const struct vr_type *type = head_a->type;
    if (type != head_b->type ||
        memcmp(vr_has_bytes(a), vr_has_bytes(b), (type->field_count + 7u) / 8) != 0)
        return false;
    unsigned next = 0;
    for (const struct vr_field *field; (field = vr_next_set(a, &next));) {
        if (!equal_members(field, vr_member_at(a, field), vr_member_at(b, field)))
            return false;
    }
    return true;
}
