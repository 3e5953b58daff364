/* SPDX-License-Identifier: Apache-2.0 */
#include "model/walk.h"

/* Whether the field is the same in both, presence included. */
static bool same(const void *a, const void *b, const struct vr_field *field)
{
    bool has_a = vr_has_bit(a, field), has_b = vr_has_bit(b, field);
    return has_a == has_b && (!has_a || vr_field_equal(a, b, field));
}

static void rebase_field(void *mine, const void *base, const void *theirs,
                         const struct vr_field *field)
{
    if (same(base, theirs, field))
        return; /* they left it alone: mine is right */
    if (same(base, mine, field)) {
        if (vr_has_bit(theirs, field))
            vr_field_copy(mine, theirs, field);
        else
            vr_clear(mine, field);
        return;
    }
    /* Both changed it: member by member where that is possible, else mine, which is the later. */
    if (field->kind != VR_FIELD_STRUCT || vr_field_shape(field) != VR_SHAPE_ONE)
        return;
    void **part = vr_member_at(mine, field);
    const void *old = *(void **)vr_member_at(base, field);
    const void *other = *(void **)vr_member_at(theirs, field);
    if (!*part || !old || !other)
        return;
    vr_own_sole(part);
    vr_rebase(*part, old, other);
}

void vr_rebase(void *mine, const void *base, const void *theirs)
{
    const struct vr_type *type = ((const struct vr_object *)mine)->type;
    g_assert(((const struct vr_object *)base)->type == type &&
             ((const struct vr_object *)theirs)->type == type);
    for (unsigned i = 0; i < type->field_count; i++)
        rebase_field(mine, base, theirs, &type->fields[i]);
}
