/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/json_scan.h"

#include "codec/bytes.h"

bool vr_json_fail(struct vr_json_scan *scan, const char *what)
{
    unsigned line = 1;
    const char *line_start = scan->start;
    for (const char *at = scan->start; at < scan->at; at++) {
        if (*at == '\n') {
            line++;
            line_start = at + 1;
        }
    }
    vr_error_set(scan->error, scan->fault, "%s at line %u, byte %zu.", what, line,
                 (size_t)(scan->at - line_start) + 1);
    return false;
}

static bool expect(struct vr_json_scan *scan, char c)
{
    if (vr_json_peek(scan) != (unsigned char)c) {
        char what[] = "Expected ' '";
        what[sizeof(what) - 3] = c;
        return vr_json_fail(scan, what);
    }
    scan->at++;
    return true;
}

bool vr_json_charge(struct vr_json_scan *scan, size_t items)
{
    if (items > scan->items)
        return vr_json_fail(scan, "Too many members and items");
    scan->items -= items;
    return true;
}

static int hex_digit(char c)
{
    return g_ascii_xdigit_value(c);
}

/* The four digits of \uXXXX at scan->at; -1 when malformed. */
static int take_unit(struct vr_json_scan *scan)
{
    int unit = 0;
    if (scan->end - scan->at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(scan->at[i]);
        if (digit < 0)
            return -1;
        unit = unit << 4 | digit;
    }
    scan->at += 4;
    return unit;
}

/* After `\u`: one character, of a surrogate pair where it takes two; no NUL, no half pair. */
static bool take_unicode(struct vr_json_scan *scan)
{
    int unit = take_unit(scan);
    if (unit <= 0)
        return vr_json_fail(scan, unit ? "Malformed \\u escape" : "NUL in a string");
    gunichar c = (gunichar)unit;
    if (unit >= 0xd800 && unit <= 0xdfff) {
        int low = -1;
        if (unit <= 0xdbff && scan->end - scan->at >= 2 && scan->at[0] == '\\' &&
            scan->at[1] == 'u') {
            scan->at += 2;
            low = take_unit(scan);
        }
        if (low < 0xdc00 || low > 0xdfff)
            return vr_json_fail(scan, "Half of a surrogate pair");
        c = 0x10000 + ((gunichar)(unit - 0xd800) << 10) + (gunichar)(low - 0xdc00);
    }
    g_string_append_unichar(scan->decoded, c);
    return true;
}

static bool take_escape(struct vr_json_scan *scan)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    scan->at++;
    if (scan->at == scan->end)
        return vr_json_fail(scan, "Unfinished string");
    char c = *scan->at++;
    if (c == 'u')
        return take_unicode(scan);
    const char *place = memchr(from, c, sizeof(from) - 1);
    if (!place) {
        scan->at--;
        return vr_json_fail(scan, "Unknown escape");
    }
    g_string_append_c(scan->decoded, to[place - from]);
    return true;
}

/* Up to a quote, a backslash, a control character or the end; UTF-8 has been checked. */
static void pass_plain(struct vr_json_scan *scan)
{
    for (;;) {
        scan->at += vr_bytes_plain_json(scan->at, (size_t)(scan->end - scan->at));
        if (scan->at == scan->end || (unsigned char)*scan->at < 0x80)
            return;
        scan->at++;
    }
}

/* The rest of a string with escapes; what came before them is from @run on. */
static bool take_escaped(struct vr_json_scan *scan, const char *run, struct vr_json_token *token)
{
    g_string_truncate(scan->decoded, 0);
    for (;;) {
        pass_plain(scan);
        g_string_append_len(scan->decoded, run, scan->at - run);
        if (scan->at == scan->end)
            return vr_json_fail(scan, "Unfinished string");
        if (*scan->at == '"')
            break;
        if (*scan->at != '\\')
            return vr_json_fail(scan, "Control character in a string");
        if (!take_escape(scan))
            return false;
        run = scan->at;
    }
    scan->at++;
    token->text = scan->decoded->str;
    token->length = scan->decoded->len;
    return true;
}

/* At a quote. */
static bool take_string(struct vr_json_scan *scan, struct vr_json_token *token)
{
    const char *run = ++scan->at;
    token->kind = VR_JSON_STRING;
    pass_plain(scan);
    if (scan->at == scan->end || *scan->at != '"')
        return take_escaped(scan, run, token);
    token->text = run;
    token->length = (size_t)(scan->at - run);
    scan->at++;
    return true;
}

static bool take_digits(struct vr_json_scan *scan)
{
    if (scan->at == scan->end || !g_ascii_isdigit(*scan->at))
        return vr_json_fail(scan, "Malformed number");
    while (scan->at < scan->end && g_ascii_isdigit(*scan->at))
        scan->at++;
    return true;
}

/* What is passed through unread must not upset who reads it later: PostgreSQL's numbers end at
 * 131,072 digits. */
enum { LONGEST_NUMBER = 1024, LONGEST_EXPONENT = 4 };

static bool take_number(struct vr_json_scan *scan, struct vr_json_token *token)
{
    const char *start = scan->at, *exponent = NULL;
    if (*scan->at == '-')
        scan->at++;
    if (scan->at < scan->end && *scan->at == '0')
        scan->at++;
    else if (!take_digits(scan))
        return false;
    if (scan->at < scan->end && *scan->at == '.') {
        scan->at++;
        if (!take_digits(scan))
            return false;
    }
    if (scan->at < scan->end && (*scan->at == 'e' || *scan->at == 'E')) {
        scan->at++;
        if (scan->at < scan->end && (*scan->at == '+' || *scan->at == '-'))
            scan->at++;
        exponent = scan->at;
        if (!take_digits(scan))
            return false;
    }
    if (scan->at - start > LONGEST_NUMBER || (exponent && scan->at - exponent > LONGEST_EXPONENT))
        return vr_json_fail(scan, "Number too long");
    *token = (struct vr_json_token){ VR_JSON_NUMBER, start, (size_t)(scan->at - start) };
    return true;
}

static bool take_literal(struct vr_json_scan *scan, const char *word, struct vr_json_token *token)
{
    size_t length = strlen(word);
    if ((size_t)(scan->end - scan->at) < length || memcmp(scan->at, word, length) != 0)
        return vr_json_fail(scan, "Unexpected character");
    token->text = scan->at;
    token->length = length;
    scan->at += length;
    return true;
}

bool vr_json_take_token(struct vr_json_scan *scan, struct vr_json_token *token)
{
    int c = vr_json_peek(scan);
    switch (c) {
    case '"':
        return take_string(scan, token);
    case 't':
        token->kind = VR_JSON_TRUE;
        return take_literal(scan, "true", token);
    case 'f':
        token->kind = VR_JSON_FALSE;
        return take_literal(scan, "false", token);
    case 'n':
        token->kind = VR_JSON_NULL;
        return take_literal(scan, "null", token);
    case -1:
        return vr_json_fail(scan, "Unexpected end");
    default:
        if (c == '-' || g_ascii_isdigit(c))
            return take_number(scan, token);
        return vr_json_fail(scan, "Unexpected character");
    }
}

bool vr_json_walk_next(struct vr_json_scan *scan, struct vr_json_walk *walk, unsigned depth)
{
    if (!walk->begun) {
        if (depth > scan->caps->depth)
            return vr_json_fail(scan, "Nested too deep");
        if (!expect(scan, walk->close == '}' ? '{' : '['))
            return false;
        walk->begun = true;
        if (vr_json_peek(scan) == walk->close) {
            scan->at++;
            walk->done = true;
            return false;
        }
    } else if (vr_json_peek(scan) == walk->close) {
        scan->at++;
        walk->done = true;
        return false;
    } else if (!expect(scan, ',')) {
        return false;
    }
    return vr_json_charge(scan, 1);
}

/* A member's name and the colon. */
bool vr_json_take_name(struct vr_json_scan *scan, struct vr_json_token *name)
{
    if (vr_json_peek(scan) != '"')
        return vr_json_fail(scan, "Expected a member's name");
    return take_string(scan, name) && expect(scan, ':');
}

bool vr_json_skip(struct vr_json_scan *scan, unsigned depth)
{
    int c = vr_json_peek(scan);
    struct vr_json_token token;
    if (c != '{' && c != '[')
        return vr_json_take_token(scan, &token);
    struct vr_json_walk walk = { .close = c == '{' ? '}' : ']' };
    while (vr_json_walk_next(scan, &walk, depth + 1)) {
        if (c == '{' && !vr_json_take_name(scan, &token))
            return false;
        if (!vr_json_skip(scan, depth + 1))
            return false;
    }
    return walk.done;
}

bool vr_json_begin(struct vr_json_scan *scan)
{
    size_t length = (size_t)(scan->end - scan->start);
    if (length > scan->caps->bytes) {
        vr_error_set(scan->error, scan->fault, "The text is longer than %zu bytes.",
                     scan->caps->bytes);
        return false;
    }
    size_t valid = vr_bytes_valid_utf8(scan->start, length);
    if (valid < length) {
        scan->at = scan->start + valid;
        return vr_json_fail(scan, "Invalid UTF-8");
    }
    return true;
}

bool vr_json_finish(struct vr_json_scan *scan)
{
    return vr_json_peek(scan) == -1 || vr_json_fail(scan, "Unexpected text after the end");
}
