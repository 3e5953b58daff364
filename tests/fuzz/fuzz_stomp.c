/* SPDX-License-Identifier: Apache-2.0 */

/*
 * STOMP frames from outside: the input is parsed whole and in portions whose
 * sizes its first bytes choose; both must see the same.  What was read, written
 * again and read again, must be the same too.
 */

#include "net/stomp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_BODY = 4096 };

struct seen {
    GByteArray *text;        /* every frame, with lengths so that nothing can hide */
    struct vr_buffer *again; /* the frames written again, or NULL */
    bool full;               /* a frame has no room for a content-length of its own */
};

static void note(GByteArray *text, const char *bytes, size_t len)
{
    uint64_t n = len;
    g_byte_array_append(text, (const uint8_t *)&n, sizeof(n));
    g_byte_array_append(text, (const uint8_t *)bytes, (guint)len);
}

static bool note_frame(const struct vr_stomp_frame *frame, void *arg)
{
    struct seen *seen = arg;
    note(seen->text, frame->command, strlen(frame->command));
    seen->full |= frame->header_count == VR_STOMP_MAX_HEADERS;
    if (seen->again)
        vr_stomp_begin(seen->again, frame->command);
    for (unsigned i = 0; i < frame->header_count; i++) {
        const struct vr_stomp_header *header = &frame->headers[i];
        if (strcmp(header->name, "content-length") == 0)
            continue;
        note(seen->text, header->name, strlen(header->name));
        note(seen->text, header->value, strlen(header->value));
        if (seen->again)
            vr_stomp_header(seen->again, header->name, header->value);
    }
    note(seen->text, frame->body, frame->body_len);
    g_assert(frame->body[frame->body_len] == '\0');
    if (seen->again)
        vr_stomp_end(seen->again, frame->body, frame->body_len);
    return true;
}

/* Returns whether the parser took everything. */
static bool parse(struct seen *seen, const uint8_t *data, size_t size, const uint8_t *steps,
                  size_t step_count)
{
    struct vr_stomp_parser *parser = vr_stomp_parser_new(MAX_BODY, note_frame, seen);
    bool good = true;
    for (size_t at = 0, i = 0; at < size && good; i++) {
        size_t n = step_count ? (size_t)steps[i % step_count] + 1 : size;
        n = MIN(n, size - at);
        g_autofree uint8_t *portion = g_memdup2(data + at, n);
        vr_auto_error struct vr_error *error = NULL;
        good = vr_stomp_parser_feed(parser, portion, n, &error);
        g_assert(good == !error);
        at += n;
    }
    vr_stomp_parser_free(parser);
    return good;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t step_count = size ? MIN((size_t)data[0] % 8 + 1, size) : 0;
    const uint8_t *bytes = data + step_count;
    size_t len = size - step_count;

    struct vr_buffer written = { 0 };
    struct seen whole = { g_byte_array_new(), &written, false },
                parts = { g_byte_array_new(), NULL, false };
    bool good = parse(&whole, bytes, len, NULL, 0);
    g_assert(parse(&parts, bytes, len, data, step_count) == good);
    g_assert(whole.text->len == parts.text->len);
    g_assert(!whole.text->len || memcmp(whole.text->data, parts.text->data, whole.text->len) == 0);

    struct seen again = { g_byte_array_new(), NULL, false };
    /* Growing by escapes or by a content-length may break a limit; nothing else may differ. */
    if (parse(&again, vr_buffer_data(&written), vr_buffer_len(&written), NULL, 0)) {
        g_assert(whole.text->len == again.text->len);
        g_assert(!whole.text->len ||
                 memcmp(whole.text->data, again.text->data, whole.text->len) == 0);
    } else {
        g_assert(whole.full || vr_buffer_len(&written) > VR_STOMP_MAX_LINE);
    }

    g_byte_array_free(whole.text, TRUE);
    g_byte_array_free(parts.text, TRUE);
    g_byte_array_free(again.text, TRUE);
    vr_buffer_done(&written);
    return 0;
}
