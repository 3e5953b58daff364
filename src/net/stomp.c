/* SPDX-License-Identifier: Apache-2.0 */
#include "net/stomp.h"

#include <stdio.h>

#include "gen/faults.h"

enum phase {
    BETWEEN,     /* frames: only line ends */
    COMMAND,     /* its line */
    HEADERS,     /* a line each, up to the empty one */
    COUNTED,     /* body, `left` bytes to come */
    COUNTED_END, /* the NUL after a counted body */
    TO_NUL,      /* body without a length */
    BROKEN,
};

struct vr_stomp_parser {
    vr_stomp_fn *fn;
    void *arg;
    size_t max_body;
    enum phase phase;
    struct vr_buffer frame; /* the frame so far, headers unescaped in place */
    size_t line;            /* where the current line starts in `frame` */
    size_t body;            /* where the body starts */
    size_t left;
    unsigned header_count;
    /* Offsets in `frame`, which moves as it grows. */
    struct {
        uint32_t name, value;
    } headers[VR_STOMP_MAX_HEADERS];
};

const char *vr_stomp_get(const struct vr_stomp_frame *frame, const char *name)
{
    for (unsigned i = 0; i < frame->header_count; i++)
        if (strcmp(frame->headers[i].name, name) == 0)
            return frame->headers[i].value;
    return NULL;
}

struct vr_stomp_parser *vr_stomp_parser_new(size_t max_body, vr_stomp_fn *fn, void *arg)
{
    struct vr_stomp_parser *parser = g_new0(struct vr_stomp_parser, 1);
    parser->max_body = max_body;
    parser->fn = fn;
    parser->arg = arg;
    return parser;
}

void vr_stomp_parser_free(struct vr_stomp_parser *parser)
{
    if (!parser)
        return;
    vr_buffer_done(&parser->frame);
    g_free(parser);
}

static bool refuse(struct vr_stomp_parser *parser, const char *why, struct vr_error **error)
{
    parser->phase = BROKEN;
    vr_buffer_done(&parser->frame);
    vr_error_set(error, &vr_fault_rpc_protocol, "%s", why);
    return false;
}

/* In place; false for an escape that STOMP 1.2 does not have. */
static bool unescape(char *text)
{
    char *to = text;
    for (const char *from = text; *from; from++) {
        char c = *from;
        if (c == '\\') {
            switch (*++from) {
            case 'c':
                c = ':';
                break;
            case 'n':
                c = '\n';
                break;
            case 'r':
                c = '\r';
                break;
            case '\\':
                break;
            default:
                return false;
            }
        }
        *to++ = c;
    }
    *to = '\0';
    return true;
}

static bool take_command(struct vr_stomp_parser *parser, const char *line, struct vr_error **error)
{
    for (const char *c = line; *c; c++)
        if (*c < 'A' || *c > 'Z')
            return refuse(parser, "A STOMP command is not a word of capitals.", error);
    parser->phase = HEADERS;
    return true;
}

static bool take_header(struct vr_stomp_parser *parser, char *line, struct vr_error **error)
{
    if (parser->header_count == VR_STOMP_MAX_HEADERS)
        return refuse(parser, "A STOMP frame has too many headers.", error);
    char *colon = strchr(line, ':');
    if (!colon || colon == line)
        return refuse(parser, "A STOMP header has no name or no colon.", error);
    *colon = '\0';
    char *value = colon + 1;
    if (!unescape(line) || !unescape(value))
        return refuse(parser, "A STOMP header has an unknown escape.", error);
    const char *start = (const char *)vr_buffer_data(&parser->frame);
    parser->headers[parser->header_count].name = (uint32_t)(line - start);
    parser->headers[parser->header_count].value = (uint32_t)(value - start);
    parser->header_count++;
    return true;
}

static void describe(const struct vr_stomp_parser *parser, struct vr_stomp_header *headers,
                     struct vr_stomp_frame *ret_frame)
{
    const char *start = (const char *)vr_buffer_data(&parser->frame);
    for (unsigned i = 0; i < parser->header_count; i++) {
        headers[i].name = start + parser->headers[i].name;
        headers[i].value = start + parser->headers[i].value;
    }
    *ret_frame = (struct vr_stomp_frame){
        .command = start,
        .headers = headers,
        .header_count = parser->header_count,
    };
}

/* The empty line came: is the body counted or does it end with NUL? */
static bool start_body(struct vr_stomp_parser *parser, struct vr_error **error)
{
    struct vr_stomp_header headers[VR_STOMP_MAX_HEADERS];
    struct vr_stomp_frame frame;
    describe(parser, headers, &frame);
    parser->body = vr_buffer_len(&parser->frame);
    const char *length = vr_stomp_get(&frame, "content-length");
    if (!length) {
        parser->phase = TO_NUL;
        return true;
    }

    size_t n = 0;
    bool digits = *length != '\0';
    for (const char *c = length; *c && digits; c++) {
        digits = g_ascii_isdigit(*c);
        if (digits && n <= parser->max_body)
            n = n * 10 + (size_t)(*c - '0');
    }
    if (!digits)
        return refuse(parser, "A STOMP content-length is not a number.", error);
    if (n > parser->max_body)
        return refuse(parser, "A STOMP frame is larger than allowed.", error);
    parser->left = n;
    parser->phase = n ? COUNTED : COUNTED_END;
    return true;
}

/* `frame` ends with a whole line and its LF. */
static bool take_line(struct vr_stomp_parser *parser, struct vr_error **error)
{
    char *line = (char *)vr_buffer_data(&parser->frame) + parser->line;
    size_t len = vr_buffer_len(&parser->frame) - parser->line - 1;
    if (memchr(line, '\0', len))
        return refuse(parser, "A STOMP header holds a NUL.", error);
    if (len && line[len - 1] == '\r')
        len--;
    line[len] = '\0';
    parser->line = vr_buffer_len(&parser->frame);
    if (parser->phase == COMMAND)
        return take_command(parser, line, error);
    return len ? take_header(parser, line, error) : start_body(parser, error);
}

/* Takes up to the end of the current line.  The limits hold for a line that is not whole yet. */
static bool feed_line(struct vr_stomp_parser *parser, const uint8_t **data, size_t *len,
                      struct vr_error **error)
{
    const uint8_t *end = memchr(*data, '\n', *len);
    size_t take = end ? (size_t)(end - *data) + 1 : *len;
    size_t line = vr_buffer_len(&parser->frame) - parser->line + take - (end ? 1 : 0);
    if (line > VR_STOMP_MAX_LINE)
        return refuse(parser, "A STOMP header line is too long.", error);
    if (parser->line + line > VR_STOMP_MAX_HEAD)
        return refuse(parser, "The headers of a STOMP frame are too long.", error);
    vr_buffer_append(&parser->frame, *data, take);
    *data += take;
    *len -= take;
    return !end || take_line(parser, error);
}

static bool finish_frame(struct vr_stomp_parser *parser)
{
    struct vr_stomp_header headers[VR_STOMP_MAX_HEADERS];
    struct vr_stomp_frame frame;
    describe(parser, headers, &frame);
    frame.body = (const char *)vr_buffer_data(&parser->frame) + parser->body;
    frame.body_len = vr_buffer_len(&parser->frame) - parser->body - 1;
    bool go_on = parser->fn(&frame, parser->arg);
    vr_buffer_done(&parser->frame);
    parser->header_count = 0;
    parser->line = 0;
    parser->phase = go_on ? BETWEEN : BROKEN;
    return go_on;
}

static bool feed_to_nul(struct vr_stomp_parser *parser, const uint8_t **data, size_t *len,
                        struct vr_error **error)
{
    const uint8_t *end = memchr(*data, '\0', *len);
    size_t take = end ? (size_t)(end - *data) : *len;
    if (vr_buffer_len(&parser->frame) - parser->body + take > parser->max_body)
        return refuse(parser, "A STOMP frame is larger than allowed.", error);
    if (end)
        take++;
    vr_buffer_append(&parser->frame, *data, take);
    *data += take;
    *len -= take;
    return !end || finish_frame(parser);
}

/* One step: takes at least one byte, or fails. */
static bool step(struct vr_stomp_parser *parser, const uint8_t **data, size_t *len,
                 struct vr_error **error)
{
    size_t take = MIN(*len, parser->left);
    switch (parser->phase) {
    case BETWEEN:
        if (**data != '\n' && **data != '\r') {
            parser->phase = COMMAND;
            return true;
        }
        (*data)++;
        (*len)--;
        return true;
    case COMMAND:
    case HEADERS:
        return feed_line(parser, data, len, error);
    case COUNTED:
        vr_buffer_append(&parser->frame, *data, take);
        *data += take;
        *len -= take;
        parser->left -= take;
        if (!parser->left)
            parser->phase = COUNTED_END;
        return true;
    case COUNTED_END:
        if (**data != '\0')
            return refuse(parser, "A STOMP body does not end where its content-length says.",
                          error);
        vr_buffer_append_byte(&parser->frame, '\0');
        (*data)++;
        (*len)--;
        return finish_frame(parser);
    case TO_NUL:
        return feed_to_nul(parser, data, len, error);
    case BROKEN:
        break;
    }
    g_assert_not_reached();
}

bool vr_stomp_parser_feed(struct vr_stomp_parser *parser, const uint8_t *data, size_t len,
                          struct vr_error **error)
{
    while (len)
        if (!step(parser, &data, &len, error))
            return false;
    return true;
}

void vr_stomp_begin(struct vr_buffer *out, const char *command)
{
    vr_buffer_append_text(out, command);
    vr_buffer_append_byte(out, '\n');
}

static void append_escaped(struct vr_buffer *out, const char *text)
{
    while (*text) {
        size_t plain = strcspn(text, ":\\\r\n");
        vr_buffer_append(out, text, plain);
        text += plain;
        if (!*text)
            break;
        vr_buffer_append_byte(out, '\\');
        vr_buffer_append_byte(out, (uint8_t)(*text == ':'    ? 'c'
                                             : *text == '\r' ? 'r'
                                             : *text == '\n' ? 'n'
                                                             : '\\'));
        text++;
    }
}

void vr_stomp_header(struct vr_buffer *out, const char *name, const char *value)
{
    append_escaped(out, name);
    vr_buffer_append_byte(out, ':');
    append_escaped(out, value);
    vr_buffer_append_byte(out, '\n');
}

void vr_stomp_end_head(struct vr_buffer *out, size_t body_len)
{
    char length[24];
    snprintf(length, sizeof(length), "%zu", body_len);
    vr_stomp_header(out, "content-length", length);
    vr_buffer_append_byte(out, '\n');
}

void vr_stomp_end(struct vr_buffer *out, const char *body, size_t body_len)
{
    if (body)
        vr_stomp_end_head(out, body_len);
    else
        vr_buffer_append_byte(out, '\n');
    vr_buffer_append(out, body, body_len);
    vr_buffer_append_byte(out, '\0');
}
