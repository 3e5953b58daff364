/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/domain/pickle.h"

#define BLOCK 4096

static void put_text(GByteArray *out, const char *text)
{
    /* BINUNICODE: 'X', four bytes of length, least significant first, UTF-8 */
    uint32_t length = (uint32_t)strlen(text);
    const guint8 head[5] = { 'X', length & 0xff, (length >> 8) & 0xff, (length >> 16) & 0xff,
                             (length >> 24) & 0xff };
    g_byte_array_append(out, head, sizeof(head));
    g_byte_array_append(out, (const guint8 *)text, length);
}

GByteArray *vr_pickle_dict(const char *const *pairs)
{
    GByteArray *out = g_byte_array_new();
    static const guint8 head[] = { 0x80, 2, '}', '(' }; /* PROTO 2, EMPTY_DICT, MARK */
    g_byte_array_append(out, head, sizeof(head));
    for (; pairs[0] && pairs[1]; pairs += 2) {
        put_text(out, pairs[0]);
        put_text(out, pairs[1]);
    }
    g_byte_array_append(out, (const guint8 *)"u.", 2); /* SETITEMS, STOP */
    guint padded = (out->len + BLOCK - 1) / BLOCK * BLOCK;
    guint from = out->len;
    g_byte_array_set_size(out, padded);
    memset(out->data + from, 0, padded - from);
    return out;
}
