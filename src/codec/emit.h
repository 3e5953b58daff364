/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * emit: appending to a GString without a function call for the usual case.
 * A list of 1,000 virtual machines is some hundred thousand appends of a few
 * bytes.  Private to codec.
 */

#include "base/base.h"

/* Makes the text longer by @length bytes, which the caller fills: where they begin. */
static inline char *vr_emit_space(GString *out, size_t length)
{
    size_t len = out->len;
    if (G_UNLIKELY(len + length >= out->allocated_len)) {
        g_string_set_size(out, len + length);
        return out->str + len;
    }
    out->len = len + length;
    out->str[len + length] = '\0';
    return out->str + len;
}

static inline void vr_emit(GString *out, const char *text, size_t length)
{
    memcpy(vr_emit_space(out, length), text, length);
}

static inline void vr_emit_text(GString *out, const char *text)
{
    vr_emit(out, text, strlen(text));
}

static inline void vr_emit_char(GString *out, char c)
{
    *vr_emit_space(out, 1) = c;
}

#define VR_EMIT_LITERAL(out, literal) vr_emit((out), "" literal, sizeof(literal) - 1)

void vr_emit_integer(GString *out, int64_t number);
/* The shortest decimal text that reads back as the same finite number. */
void vr_emit_double(GString *out, double number);
