/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * emit: appending to a GString without a function call for the usual case.
 * A list of 1,000 virtual machines is some hundred thousand appends of a few
 * bytes.  Private to codec.
 */

#include "base/base.h"

static inline void vr_emit(GString *out, const char *text, size_t length)
{
    if (G_UNLIKELY(out->len + length >= out->allocated_len)) {
        g_string_append_len(out, text, (gssize)length);
        return;
    }
    memcpy(out->str + out->len, text, length);
    out->len += length;
    out->str[out->len] = '\0';
}

static inline void vr_emit_text(GString *out, const char *text)
{
    vr_emit(out, text, strlen(text));
}

static inline void vr_emit_char(GString *out, char c)
{
    vr_emit(out, &c, 1);
}

#define VR_EMIT_LITERAL(out, literal) vr_emit((out), "" literal, sizeof(literal) - 1)

void vr_emit_integer(GString *out, int64_t number);
/* The shortest decimal text that reads back as the same finite number. */
void vr_emit_double(GString *out, double number);
