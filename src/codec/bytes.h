/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * bytes: how far a text goes on without a byte that needs a look, eight
 * bytes at a time.  Most of what a list of virtual machines consists of is
 * addresses and names in which nothing is to be escaped.  Private to codec.
 */

#include "base/base.h"

#define VR_BYTES(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Not 0 when one of the eight bytes is below @limit (at most 0x80) or from 0x80 on.  Bytes behind
 * a hit may be counted wrongly, which only costs a look. */
static inline uint64_t vr_bytes_outside(uint64_t word, uint8_t limit)
{
    return ((word - VR_BYTES(limit)) | word) & VR_BYTES(0x80);
}

/* Not 0 when one of the eight bytes, all below 0x80, is @byte. */
static inline uint64_t vr_bytes_equal(uint64_t word, uint8_t byte)
{
    uint64_t rest = word ^ VR_BYTES(byte);
    return (rest - VR_BYTES(1)) & ~rest & VR_BYTES(0x80);
}

static inline uint64_t vr_bytes_load(const char *text)
{
    uint64_t word;
    memcpy(&word, text, sizeof(word));
    return word;
}

/* Not 0 when one of the eight bytes cannot stand for itself in a JSON string, or is from 0x80 on.
 */
static inline uint64_t vr_bytes_special_json(uint64_t word)
{
    return vr_bytes_outside(word, 0x20) | vr_bytes_equal(word, '"') | vr_bytes_equal(word, '\\');
}

/* The same for XML, in text as in an attribute.  '&' and ''' differ in their last bit alone, '<'
 * and '>' in the one before. */
static inline uint64_t vr_bytes_special_xml(uint64_t word)
{
    return vr_bytes_outside(word, 0x20) | vr_bytes_equal(word, '"') |
           vr_bytes_equal(word | VR_BYTES(1), '\'') | vr_bytes_equal(word | VR_BYTES(2), '>');
}

/*
 * How many bytes at the start of @text are not special.  The last eight
 * overlap those before, so that only a text with special bytes, or a shorter
 * one, is looked at byte by byte.
 */
static inline size_t vr_bytes_plain(const char *text, size_t length,
                                    uint64_t (*special)(uint64_t word))
{
    size_t i = 0;
    while (length - i >= 8 && !special(vr_bytes_load(text + i)))
        i += 8;
    if (i && length - i < 8 && !special(vr_bytes_load(text + length - 8)))
        return length;
    while (i < length && !special(VR_BYTES((unsigned char)text[i]))) /* eight times the same */
        i++;
    return i;
}

static inline size_t vr_bytes_plain_json(const char *text, size_t length)
{
    return vr_bytes_plain(text, length, vr_bytes_special_json);
}

static inline size_t vr_bytes_plain_xml(const char *text, size_t length)
{
    return vr_bytes_plain(text, length, vr_bytes_special_xml);
}

/* How many bytes at the start of @text are UTF-8 without NUL. */
static inline size_t vr_bytes_valid_utf8(const char *text, size_t length)
{
    size_t i = 0;
    while (i < length) {
        for (; length - i >= 8 && !vr_bytes_outside(vr_bytes_load(text + i), 1); i += 8)
            ;
        for (; i < length && text[i] > 0; i++)
            ;
        if (i == length || !text[i])
            break;
        gunichar c = g_utf8_get_char_validated(text + i, (gssize)(length - i));
        if (c == (gunichar)-1 || c == (gunichar)-2)
            break;
        i += (size_t)(g_utf8_next_char(text + i) - (text + i));
    }
    return i;
}
