/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/output.h"

/* Words and numbers that YAML readers of either version would not take as text. */
static bool is_plain(const char *text)
{
    static const char *const words[] = { "true", "false", "yes", "no", "on", "off", "y", "n",
                                         "null", "nan", "inf", NULL };
    if (!g_ascii_isalpha(text[0]) && text[0] != '/')
        return false;
    for (const char *c = text; *c; c++)
        if (!g_ascii_isalnum(*c) && !strchr("_-./@", *c))
            return false;
    g_autofree char *lower = g_ascii_strdown(text, -1);
    return !g_strv_contains(words, lower);
}

static void put_text(GString *out, const char *text, size_t length)
{
    if (strlen(text) == length && is_plain(text)) {
        g_string_append(out, text);
        return;
    }
    /* A JSON string is a YAML double-quoted scalar, if its control characters are escaped. */
    g_string_append_c(out, '"');
    for (const char *c = text, *end = text + length; c < end;) {
        gunichar code = g_utf8_get_char_validated(c, end - c);
        if (code == (gunichar)-1 || code == (gunichar)-2) {
            g_string_append_printf(out, "\\x%02x", (unsigned char)*c++);
            continue;
        }
        size_t width = (size_t)g_unichar_to_utf8(code, NULL);
        if (code == '"' || code == '\\')
            g_string_append_printf(out, "\\%c", (char)code);
        else if (code == '\n')
            g_string_append(out, "\\n");
        else if (code == '\t')
            g_string_append(out, "\\t");
        else if (code < 0x20 || code == 0x7f || (code >= 0x80 && code < 0xa0) || code == 0x2028 ||
                 code == 0x2029 || code == 0xfeff)
            g_string_append_printf(out, "\\u%04x", code);
        else
            g_string_append_len(out, c, (gssize)width);
        c += width;
    }
    g_string_append_c(out, '"');
}

static void indent(GString *out, unsigned depth)
{
    for (unsigned i = 0; i < depth; i++)
        g_string_append(out, "  ");
}

static bool is_empty(json_object *value)
{
    return (json_object_is_type(value, json_type_object) && !json_object_object_length(value)) ||
           (json_object_is_type(value, json_type_array) && !json_object_array_length(value));
}

static void put(GString *out, json_object *value, unsigned depth, bool in_line);

static void put_scalar(GString *out, json_object *value)
{
    if (json_object_is_type(value, json_type_string))
        put_text(out, json_object_get_string(value), (size_t)json_object_get_string_len(value));
    else if (json_object_is_type(value, json_type_object))
        g_string_append(out, "{}");
    else if (json_object_is_type(value, json_type_array))
        g_string_append(out, "[]");
    else
        g_string_append(out, value ? json_object_to_json_string(value) : "null");
    g_string_append_c(out, '\n');
}

/* @in_line: the first member follows "- " on the same line. */
static void put_members(GString *out, json_object *object, unsigned depth, bool in_line)
{
    json_object_object_foreach(object, key, value)
    {
        if (!in_line)
            indent(out, depth);
        in_line = false;
        put_text(out, key, strlen(key));
        g_string_append_c(out, ':');
        if (is_empty(value) || (!json_object_is_type(value, json_type_object) &&
                                !json_object_is_type(value, json_type_array))) {
            g_string_append_c(out, ' ');
            put_scalar(out, value);
        } else {
            g_string_append_c(out, '\n');
            put(out, value, depth + 1, false);
        }
    }
}

static void put(GString *out, json_object *value, unsigned depth, bool in_line)
{
    if (is_empty(value)) {
        if (!in_line)
            indent(out, depth);
        put_scalar(out, value);
    } else if (json_object_is_type(value, json_type_object)) {
        put_members(out, value, depth, in_line);
    } else if (json_object_is_type(value, json_type_array)) {
        for (size_t i = 0; i < json_object_array_length(value); i++) {
            if (!in_line)
                indent(out, depth);
            in_line = false;
            g_string_append(out, "- ");
            put(out, json_object_array_get_idx(value, i), depth + 1, true);
        }
    } else {
        if (!in_line)
            indent(out, depth);
        put_scalar(out, value);
    }
}

void vr_cli_yaml(GString *out, json_object *value)
{
    put(out, value, 0, false);
}
