/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/output.h"

#include <stdio.h>

#include "cli/client.h"

#define JSON_FLAGS \
    (JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE)
#define LINE_FLAGS JSON_C_TO_STRING_NOSLASHESCAPE
#define COLUMNS_MAX 8

char *vr_cli_clean(const char *text)
{
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    GString *out = g_string_new(NULL);
    for (const char *c = valid; *c; c = g_utf8_next_char(c)) {
        gunichar code = g_utf8_get_char(c);
        /* Also what turns the direction of text around. */
        bool bad = g_unichar_iscntrl(code) || (code >= 0x202a && code <= 0x202e) ||
                   (code >= 0x2066 && code <= 0x2069);
        if (code == '\n' || code == '\t' || code == '\r')
            g_string_append_c(out, ' ');
        else if (bad)
            g_string_append_c(out, '?');
        else
            g_string_append_unichar(out, code);
    }
    return g_string_free(out, FALSE);
}

json_object *vr_cli_member(json_object *object, const char *path)
{
    g_auto(GStrv) parts = g_strsplit(path, ".", -1);
    for (unsigned i = 0; parts[i]; i++) {
        json_object *next = NULL;
        if (!json_object_is_type(object, json_type_object) ||
            !json_object_object_get_ex(object, parts[i], &next))
            return NULL;
        object = next;
    }
    return object;
}

const char *vr_cli_text(json_object *object, const char *path)
{
    json_object *value = vr_cli_member(object, path);
    return value ? json_object_get_string(value) : NULL;
}

const char *vr_cli_name_of(json_object *object)
{
    static const char *const members[] = { "name", "alias", "id" };
    for (unsigned i = 0; i < G_N_ELEMENTS(members); i++) {
        const char *text = vr_cli_text(object, members[i]);
        if (text && text[0])
            return text;
    }
    return "";
}

static char *format_time(const char *text)
{
    gint64 milliseconds = g_ascii_strtoll(text, NULL, 10);
    g_autoptr(GDateTime) time = g_date_time_new_from_unix_local(milliseconds / 1000);
    return time ? g_date_time_format(time, "%Y-%m-%d %H:%M:%S") : g_strdup(text);
}

static unsigned count_of(json_object *object, const char *path)
{
    const char *text = vr_cli_text(object, path);
    guint64 count = text ? g_ascii_strtoull(text, NULL, 10) : 1;
    return (unsigned)CLAMP(count, 1, 65536);
}

/* What stands in the table; owned by the caller. */
static char *cell(json_object *item, const struct vr_cli_column *column, GHashTable *names)
{
    json_object *value = vr_cli_member(item, column->path);
    if (!value)
        return g_strdup("-");
    if (column->format == VR_CLI_THREADS) {
        uint64_t count = (uint64_t)count_of(value, "sockets") * count_of(value, "cores") *
                         count_of(value, "threads");
        return g_strdup_printf("%" G_GUINT64_FORMAT, count);
    }
    const char *text = json_object_get_string(value);
    if (column->format == VR_CLI_BYTES)
        return g_format_size_full(g_ascii_strtoull(text, NULL, 10), G_FORMAT_SIZE_IEC_UNITS);
    if (column->format == VR_CLI_TIME)
        return format_time(text);
    const char *name = names ? g_hash_table_lookup(names, text) : NULL;
    char *clean = vr_cli_clean(name ? name : text);
    if (!clean[0]) {
        g_free(clean);
        return g_strdup("-");
    }
    return clean;
}

/* id -> name of a whole collection; NULL when it cannot be had. */
static GHashTable *load_names(struct vr_client *client, const char *collection)
{
    vr_auto_error struct vr_error *error = NULL;
    vr_auto_json json_object *items = vr_client_list(client, collection, NULL, &error);
    if (!items)
        return NULL;
    GHashTable *names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    for (size_t i = 0; i < json_object_array_length(items); i++) {
        json_object *item = json_object_array_get_idx(items, i);
        const char *id = vr_cli_text(item, "id"), *name = vr_cli_text(item, "name");
        if (id && name)
            g_hash_table_insert(names, g_strdup(id), g_strdup(name));
    }
    return names;
}

static void print_row(char **cells, const int *widths, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        int pad = widths[i] - (int)g_utf8_strlen(cells[i], -1);
        if (i + 1 == count)
            printf("%s\n", cells[i]);
        else
            printf("%s%*s  ", cells[i], pad > 0 ? pad : 0, "");
    }
}

static void print_table(struct vr_client *client, json_object *items,
                        const struct vr_cli_column *columns)
{
    GHashTable *names[COLUMNS_MAX] = { NULL };
    int widths[COLUMNS_MAX] = { 0 };
    unsigned count = 0;
    size_t rows = json_object_array_length(items);
    char *titles[COLUMNS_MAX];

    for (; columns[count].title && count < COLUMNS_MAX; count++) {
        titles[count] = (char *)columns[count].title;
        widths[count] = (int)strlen(titles[count]);
        if (columns[count].names && rows)
            names[count] = load_names(client, columns[count].names);
    }
    char **cells = g_new0(char *, rows * count + 1);
    for (size_t i = 0; i < rows * count; i++) {
        unsigned at = (unsigned)(i % count);
        cells[i] = cell(json_object_array_get_idx(items, i / count), &columns[at], names[at]);
        widths[at] = MAX(widths[at], (int)g_utf8_strlen(cells[i], -1));
    }
    print_row(titles, widths, count);
    for (size_t i = 0; i < rows; i++)
        print_row(cells + i * count, widths, count);
    for (size_t i = 0; i < rows * count; i++)
        g_free(cells[i]);
    g_free(cells);
    for (unsigned i = 0; i < count; i++)
        if (names[i])
            g_hash_table_unref(names[i]);
}

static void print_name(json_object *item)
{
    g_autofree char *clean = vr_cli_clean(vr_cli_name_of(item));
    printf("%s\n", clean);
}

/* JSON and YAML; false: the format is another one. */
static bool print_data(const char *format, json_object *value)
{
    if (g_strcmp0(format, "json") == 0) {
        printf("%s\n", json_object_to_json_string_ext(value, JSON_FLAGS));
        return true;
    }
    if (g_strcmp0(format, "yaml") == 0) {
        g_autoptr(GString) text = g_string_new(NULL);
        vr_cli_yaml(text, value);
        printf("%s", text->str);
        return true;
    }
    return false;
}

bool vr_cli_print_list(const struct vr_cli *cli, struct vr_client *client, json_object *items,
                       const struct vr_cli_column *columns, struct vr_error **error)
{
    (void)error;
    const char *format = vr_cli_value(cli, VR_CLI_OUTPUT);
    if (print_data(format, items))
        return true;
    if (g_strcmp0(format, "name") == 0) {
        for (size_t i = 0; i < json_object_array_length(items); i++)
            print_name(json_object_array_get_idx(items, i));
        return true;
    }
    print_table(client, items, columns);
    return true;
}

void vr_cli_print_item(const struct vr_cli *cli, json_object *item,
                       const struct vr_cli_column *columns)
{
    const char *format = vr_cli_value(cli, VR_CLI_OUTPUT);
    if (g_strcmp0(format, "json") == 0) {
        printf("%s\n", json_object_to_json_string_ext(item, LINE_FLAGS));
    } else if (g_strcmp0(format, "yaml") == 0) {
        printf("---\n");
        print_data(format, item);
    } else if (g_strcmp0(format, "name") == 0) {
        print_name(item);
    } else {
        for (unsigned i = 0; columns[i].title; i++) {
            g_autofree char *text = cell(item, &columns[i], NULL);
            printf("%s%s", text, columns[i + 1].title ? "  " : "\n");
        }
    }
}

static void print_flat(const char *prefix, json_object *value)
{
    if (json_object_is_type(value, json_type_object)) {
        json_object_object_foreach(value, key, member)
        {
            if (strcmp(key, "link") == 0 || strcmp(key, "actions") == 0 || strcmp(key, "href") == 0)
                continue;
            g_autofree char *path = prefix ? g_strdup_printf("%s.%s", prefix, key) : g_strdup(key);
            print_flat(path, member);
        }
    } else if (json_object_is_type(value, json_type_array)) {
        for (size_t i = 0; i < json_object_array_length(value); i++) {
            g_autofree char *path = g_strdup_printf("%s[%zu]", prefix ? prefix : "", i);
            print_flat(path, json_object_array_get_idx(value, i));
        }
    } else {
        g_autofree char *name = vr_cli_clean(prefix ? prefix : "");
        g_autofree char *text = vr_cli_clean(value ? json_object_get_string(value) : "");
        if (text[0])
            printf("%-36s %s\n", name, text);
    }
}

void vr_cli_print_object(const struct vr_cli *cli, json_object *object)
{
    const char *format = vr_cli_value(cli, VR_CLI_OUTPUT);
    if (print_data(format, object))
        return;
    if (g_strcmp0(format, "name") == 0)
        print_name(object);
    else
        print_flat(NULL, object);
}
