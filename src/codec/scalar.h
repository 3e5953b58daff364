/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * scalar: one value of a field on its way between text and member.  Private
 * to codec.
 */

#include "model/walk.h"

/* Which member counts is what the field's kind says. */
struct vr_scalar {
    int64_t integer; /* boolean, integer, date, enum */
    double real;
    void *owned; /* string, json, object */
};

struct vr_scalar vr_scalar_of_member(const struct vr_field *field, const void *member);
struct vr_scalar vr_scalar_of_item(const struct vr_field *field, const void *item);
/* Whether there is something to write: no NULL, no word outside the enumeration, no infinity. */
bool vr_scalar_is_writable(const struct vr_field *field, const struct vr_scalar *scalar);

/* Stores into a member that is clear, and sets its presence bit; what is owned moves. */
void vr_scalar_to_member(void *object, const struct vr_field *field, const struct vr_scalar *from);
void *vr_scalar_to_item(const struct vr_field *field, const struct vr_scalar *from);

/* How a text becomes a value. */
enum vr_scalar_rules {
    VR_SCALAR_API_XML,  /* 32 bits unless wide; dates as text */
    VR_SCALAR_API_JSON, /* the same; dates also as milliseconds */
    VR_SCALAR_OTHER,    /* store and host protocol: 64 bits, dates as milliseconds */
};

/*
 * Reads @text (UTF-8, no NUL inside, not terminated) as a boolean, integer,
 * double, date, enum or string, as the field's kind says.  @error may be
 * NULL; else it gets vr_fault_invalid_value.
 */
bool vr_scalar_parse(const struct vr_field *field, const char *text, size_t length,
                     enum vr_scalar_rules rules, struct vr_scalar *value, struct vr_error **error);

/* Of readers: an object costs one of caps->items for each 64 bytes of its struct, so that a
 * small text cannot become a large heap. */
static inline size_t vr_object_cost(const struct vr_type *type)
{
    return type->size / 64;
}
