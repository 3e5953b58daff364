/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * stomp: frames of STOMP 1.2, as the host protocol uses them (facts/host-rpc.md 3).
 *
 *     COMMAND\n  name:value\n ...  \n  body  NUL
 *
 * The parser takes bytes in any portions and calls back once a whole frame.
 * It is liberal where peers are known to differ: a CR at the end of a line,
 * blank lines between frames (heart-beats), an unescaped colon in a value.
 * It never allocates by what a length announces, only by what was received.
 */

#include "net/buffer.h"

enum {
    VR_STOMP_MAX_HEADERS = 64,
    VR_STOMP_MAX_LINE = 8 * 1024,  /* without its end */
    VR_STOMP_MAX_HEAD = 64 * 1024, /* command and headers */
};
#define VR_STOMP_MAX_BODY ((size_t)MiB(64))

struct vr_stomp_header {
    const char *name, *value; /* unescaped */
};

/* One received frame; everything is borrowed and gone when the callback returns. */
struct vr_stomp_frame {
    const char *command;
    const struct vr_stomp_header *headers;
    unsigned header_count;
    const char *body; /* a NUL follows; may hold NULs when a length was announced */
    size_t body_len;
};

/* The value of a header, of the first when it is repeated, or NULL. */
const char *vr_stomp_get(const struct vr_stomp_frame *frame, const char *name);

/* Returns whether to go on: false drops what else was fed.  Must not free the parser. */
typedef bool vr_stomp_fn(const struct vr_stomp_frame *frame, void *arg);

struct vr_stomp_parser;
struct vr_stomp_parser *vr_stomp_parser_new(size_t max_body, vr_stomp_fn *fn, void *arg);
void vr_stomp_parser_free(struct vr_stomp_parser *parser); /* takes NULL */

/* Returns false and @error (vr_fault_rpc_protocol) when the peer broke the format; nothing
 * more may be fed then.  Also returns false, without an error, when the callback did. */
bool vr_stomp_parser_feed(struct vr_stomp_parser *parser, const uint8_t *data, size_t len,
                          struct vr_error **error);

/* Writing: begin, headers, end.  Frames are contiguous, and every body has a content-length. */
void vr_stomp_begin(struct vr_buffer *out, const char *command);
void vr_stomp_header(struct vr_buffer *out, const char *name, const char *value);
/* Instead of vr_stomp_end(), for a body that the caller appends himself, with a NUL behind it. */
void vr_stomp_end_head(struct vr_buffer *out, size_t body_len);
/* @body is NULL for frames that have none; else content-length is written, 0 included. */
void vr_stomp_end(struct vr_buffer *out, const char *body, size_t body_len);
