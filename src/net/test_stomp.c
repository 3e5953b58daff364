/* SPDX-License-Identifier: Apache-2.0 */
#include "net/stomp.h"

#include "gen/faults.h"

/* What a frame says, as one line: COMMAND name=value ... <body>. */
static bool note_frame(const struct vr_stomp_frame *frame, void *arg)
{
    GString *seen = arg;
    g_string_append(seen, frame->command);
    for (unsigned i = 0; i < frame->header_count; i++)
        g_string_append_printf(seen, " %s=%s", frame->headers[i].name, frame->headers[i].value);
    g_string_append_c(seen, '<');
    for (size_t i = 0; i < frame->body_len; i++)
        g_string_append_c(seen, frame->body[i] ? frame->body[i] : '@');
    g_assert_cmpint(frame->body[frame->body_len], ==, '\0');
    g_string_append(seen, ">;");
    return true;
}

/* Feeds @len bytes in portions of @step; the seen frames, and "!" when the parser refused. */
static char *parse(const char *bytes, size_t len, size_t step, size_t max_body)
{
    GString *seen = g_string_new(NULL);
    struct vr_stomp_parser *parser = vr_stomp_parser_new(max_body, note_frame, seen);
    for (size_t at = 0; at < len; at += step) {
        vr_auto_error struct vr_error *error = NULL;
        /* A copy of the exact size, so that a read beyond the portion is found. */
        size_t n = MIN(step, len - at);
        g_autofree uint8_t *portion = g_memdup2(bytes + at, n);
        if (!vr_stomp_parser_feed(parser, portion, n, &error)) {
            g_assert_true(error->fault == &vr_fault_rpc_protocol);
            g_string_append_c(seen, '!');
            break;
        }
    }
    vr_stomp_parser_free(parser);
    return g_string_free(seen, FALSE);
}

/* `@` stands for NUL in what comes in and in what is seen. */
static const struct {
    const char *what, *in, *want;
} rows[] = {
    { "a frame without headers", "DISCONNECT\n\n@", "DISCONNECT<>;" },
    { "headers keep their order", "CONNECT\nb:1\na:2\n\n@", "CONNECT b=1 a=2<>;" },
    { "a counted body may hold NUL", "SEND\ncontent-length:5\n\nab@cd@",
      "SEND content-length=5<ab@cd>;" },
    { "an uncounted body ends at NUL", "SEND\nd:x\n\nabc@", "SEND d=x<abc>;" },
    { "an empty counted body", "SEND\ncontent-length:0\n\n@", "SEND content-length=0<>;" },
    { "heart-beats between frames", "\n\n\r\nSEND\n\n@\n\nSEND\n\n@\n", "SEND<>;SEND<>;" },
    { "a CR before the line end is dropped", "SEND\r\na:b\r\n\r\nx@", "SEND a=b<x>;" },
    { "a CR elsewhere is kept", "SEND\na:b\rc\n\n@", "SEND a=b\rc<>;" },
    { "escapes", "SEND\na\\cb:\\\\\\n\\r\\c\n\n@", "SEND a:b=\\\n\r:<>;" },
    { "a backslash is not read twice", "SEND\na:\\\\n\n\n@", "SEND a=\\n<>;" },
    { "an unescaped colon stays in the value", "CONNECT\nhost:[::1]\n\n@",
      "CONNECT host=[::1]<>;" },
    { "an empty value", "SEND\na:\n\n@", "SEND a=<>;" },
    { "every repeated header is shown", "SEND\na:1\na:2\n\n@", "SEND a=1 a=2<>;" },
    { "the first content-length counts", "SEND\ncontent-length:1\ncontent-length:3\n\nx@",
      "SEND content-length=1 content-length=3<x>;" },
    { "a frame that is not whole is not seen", "SEND\ncontent-length:4\n\nabc", "" },
    { "frames before a bad one are seen", "SEND\n\n@send\n\n@", "SEND<>;!" },
    { "a command in small letters", "send\n\n@", "!" },
    { "a NUL instead of a command", "@\n", "!" },
    { "a command with a colon", "SEND:x\n\n@", "!" },
    { "a header without a colon", "SEND\nabc\n\n@", "!" },
    { "a header without a name", "SEND\n:abc\n\n@", "!" },
    { "an unknown escape", "SEND\na:\\t\n\n@", "!" },
    { "an escape that ends too early", "SEND\na:\\\n\n@", "!" },
    { "a NUL within the headers", "SEND\na:b@c\n\n@", "!" },
    { "a length that is no number", "SEND\ncontent-length:1x\n\na@", "!" },
    { "a negative length", "SEND\ncontent-length:-1\n\na@", "!" },
    { "an empty length", "SEND\ncontent-length:\n\na@", "!" },
    { "a length beyond the limit", "SEND\ncontent-length:101\n\n", "!" },
    { "a length that would wrap", "SEND\ncontent-length:18446744073709551617\n\na@", "!" },
    { "a body longer than its length", "SEND\ncontent-length:1\n\nab@", "!" },
    { "a body of exactly the limit",
      "SEND\n\n012345678901234567890123456789012345678901234567890123456789012345678901234567890123"
      "4567"
      "890123456789@",
      "SEND<"
      "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567"
      "890123456789>;" },
    { "an uncounted body over the limit",
      "SEND\n\n012345678901234567890123456789012345678901234567890123456789012345678901234567890123"
      "4567"
      "8901234567890@",
      "!" },
};

static void test_frames_are_read_the_same_in_every_portion(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        size_t len = strlen(rows[i].in);
        g_autofree char *bytes = g_strdelimit(g_strdup(rows[i].in), "@", '\0');
        for (size_t step = 1; step <= len; step++) {
            g_autofree char *seen = parse(bytes, len, step, 100);
            if (strcmp(seen, rows[i].want) != 0)
                g_error("%s, %zu bytes a time: '%s', not '%s'", rows[i].what, step, seen,
                        rows[i].want);
        }
    }
}

static void test_the_first_of_repeated_headers_is_the_one_that_counts(void)
{
    const struct vr_stomp_header headers[] = { { "id", "first" }, { "id", "second" } };
    const struct vr_stomp_frame frame = { .headers = headers, .header_count = 2 };
    g_assert_cmpstr(vr_stomp_get(&frame, "id"), ==, "first");
    g_assert_null(vr_stomp_get(&frame, "ID"));
}

struct cap {
    const char *what;
    unsigned headers, value; /* that many headers with values of that length */
    bool fits;
};
static const struct cap caps[] = {
    { "64 headers", 64, 1, true },
    { "65 headers", 65, 1, false },
    { "a line of 8 KiB", 1, VR_STOMP_MAX_LINE - 2, true },
    { "a line of 8 KiB and 1", 1, VR_STOMP_MAX_LINE - 1, false },
    { "headers of nearly 64 KiB", 8, VR_STOMP_MAX_LINE - 4, true },
    { "headers of over 64 KiB", 8, VR_STOMP_MAX_LINE - 2, false },
};

static void test_headers_have_limits(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(caps); i++) {
        g_autoptr(GString) in = g_string_new("SEND\n");
        g_autofree char *value = g_strnfill(caps[i].value, 'x');
        for (unsigned n = 0; n < caps[i].headers; n++)
            g_string_append_printf(in, "a:%s\n", value);
        g_string_append_len(in, "\n\0", 2);
        for (size_t step = 1; step <= in->len; step += 1 + in->len / 3) {
            g_autofree char *seen = parse(in->str, in->len, step, 100);
            if (g_str_has_prefix(seen, "SEND a=") != caps[i].fits)
                g_error("%s: %.20s", caps[i].what, seen);
        }
    }
}

static void test_an_endless_line_is_refused_before_it_ends(void)
{
    g_autofree char *line = g_strnfill(VR_STOMP_MAX_LINE + 1, 'A');
    g_autofree char *seen = parse(line, VR_STOMP_MAX_LINE + 1, 7, 100);
    g_assert_cmpstr(seen, ==, "!");
}

static bool stop_at_once(const struct vr_stomp_frame *frame, void *arg)
{
    ++*(unsigned *)arg;
    return false;
}

static void test_a_callback_can_stop_the_parser(void)
{
    unsigned frames = 0;
    struct vr_stomp_parser *parser = vr_stomp_parser_new(10, stop_at_once, &frames);
    vr_auto_error struct vr_error *error = NULL;
    g_assert_false(vr_stomp_parser_feed(parser, (const uint8_t *)"A\n\n\0B\n\n\0", 8, &error));
    g_assert_null(error);
    g_assert_cmpuint(frames, ==, 1);
    vr_stomp_parser_free(parser);
}

static void test_what_is_written_is_what_is_read(void)
{
    struct vr_buffer out = { 0 };
    vr_stomp_begin(&out, "MESSAGE");
    vr_stomp_header(&out, "destination", "a:b\\c\r\nd");
    vr_stomp_header(&out, "na:me", "");
    vr_stomp_end(&out, "x\0y", 3);
    vr_stomp_begin(&out, "CONNECTED");
    vr_stomp_header(&out, "version", "1.2");
    vr_stomp_end(&out, NULL, 0);
    vr_stomp_begin(&out, "MESSAGE");
    vr_stomp_end(&out, "", 0);
    static const char want[] =
        "MESSAGE\ndestination:a\\cb\\\\c\\r\\nd\nna\\cme:\ncontent-length:3\n\nx\0y\0"
        "CONNECTED\nversion:1.2\n\n\0"
        "MESSAGE\ncontent-length:0\n\n";
    g_assert_cmpmem(vr_buffer_data(&out), vr_buffer_len(&out), want, sizeof(want));
    g_autofree char *seen = parse((const char *)vr_buffer_data(&out), vr_buffer_len(&out), 5, 100);
    g_assert_cmpstr(seen, ==,
                    "MESSAGE destination=a:b\\c\r\nd na:me= content-length=3<x@y>;"
                    "CONNECTED version=1.2<>;MESSAGE content-length=0<>;");
    vr_buffer_done(&out);
}

static void test_a_buffer_gives_back_what_was_put_in(void)
{
    struct vr_buffer buffer = { 0 };
    g_autoptr(GRand) random = g_rand_new_with_seed(1);
    uint8_t next_in = 0, next_out = 0;
    for (unsigned round = 0; round < 20000; round++) {
        unsigned in = (unsigned)g_rand_int_range(random, 0, 200);
        for (unsigned i = 0; i < in; i++)
            vr_buffer_append_byte(&buffer, next_in++);
        size_t out = (size_t)g_rand_int_range(random, 0, 201);
        out = MIN(out, vr_buffer_len(&buffer));
        for (size_t i = 0; i < out; i++)
            g_assert_cmpint(vr_buffer_data(&buffer)[i], ==, next_out++);
        vr_buffer_consume(&buffer, out);
        g_assert_true(vr_buffer_len(&buffer) || !buffer.data);
    }
    vr_buffer_done(&buffer);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/stomp/frames are read the same in every portion",
                    test_frames_are_read_the_same_in_every_portion);
    g_test_add_func("/stomp/the first of repeated headers is the one that counts",
                    test_the_first_of_repeated_headers_is_the_one_that_counts);
    g_test_add_func("/stomp/headers have limits", test_headers_have_limits);
    g_test_add_func("/stomp/an endless line is refused before it ends",
                    test_an_endless_line_is_refused_before_it_ends);
    g_test_add_func("/stomp/a callback can stop the parser", test_a_callback_can_stop_the_parser);
    g_test_add_func("/stomp/what is written is what is read", test_what_is_written_is_what_is_read);
    g_test_add_func("/stomp/a buffer gives back what was put in",
                    test_a_buffer_gives_back_what_was_put_in);
    return g_test_run();
}
