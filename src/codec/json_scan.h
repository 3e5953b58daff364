/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * json_scan: the grammar of JSON (RFC 8259), strictly, over a text that is
 * known to be UTF-8 without NUL.  Knows nothing of fields.  For codec, and for
 * the envelope of net/jsonrpc.c.
 *
 * A false answer means that *scan->error is set.
 */

#include "codec/codec.h"

struct vr_json_scan {
    const char *start, *at, *end;
    const struct vr_codec_caps *caps;
    size_t items;                 /* how many more may come */
    GString *decoded;             /* the last string that had escapes in it */
    const struct vr_fault *fault; /* of a text that breaks the grammar or a cap */
    struct vr_error **error;
};

/* Any value but an object or array.  @text lies in the input, or in scan->decoded until the next
 * string is taken. */
struct vr_json_token {
    enum { VR_JSON_STRING, VR_JSON_NUMBER, VR_JSON_TRUE, VR_JSON_FALSE, VR_JSON_NULL } kind;
    const char *text;
    size_t length;
};

/*
 * Walks the entries of an object or array, whose opening bracket comes next;
 * @depth is its own level, 1 for the outermost.
 *
 *     struct vr_json_walk walk = { .close = '}' };
 *     while (vr_json_walk_next(scan, &walk, depth)) { ...one entry, or `return false`... }
 *     return walk.done;
 */
struct vr_json_walk {
    char close;
    bool begun, done;
};

/* The next character that is no white space, or -1 at the end. */
static inline int vr_json_peek(struct vr_json_scan *scan)
{
    while (scan->at < scan->end &&
           (*scan->at == ' ' || *scan->at == '\n' || *scan->at == '\t' || *scan->at == '\r'))
        scan->at++;
    return scan->at < scan->end ? (unsigned char)*scan->at : -1;
}

/* Sets the error to @what and the place; returns false. */
bool vr_json_fail(struct vr_json_scan *scan, const char *what);
/* Charges for members, items and objects, so that a small text cannot become a large heap. */
bool vr_json_charge(struct vr_json_scan *scan, size_t items);
bool vr_json_take_token(struct vr_json_scan *scan, struct vr_json_token *token);
/* A member's name and the colon. */
bool vr_json_take_name(struct vr_json_scan *scan, struct vr_json_token *name);
bool vr_json_walk_next(struct vr_json_scan *scan, struct vr_json_walk *walk, unsigned depth);
/* Passes over one value of any kind inside level @depth. */
bool vr_json_skip(struct vr_json_scan *scan, unsigned depth);
/* The whole text: within the cap and UTF-8, before; nothing but white space left, after. */
bool vr_json_begin(struct vr_json_scan *scan);
bool vr_json_finish(struct vr_json_scan *scan);
