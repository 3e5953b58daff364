/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/storage/format_keys.h"

#include <errno.h>

/* Keys sorted by byte value, values in step: tables are small and read more than written. */
struct vr_keys {
    GPtrArray *names;
    GPtrArray *values;
};

struct vr_keys *vr_keys_new(void)
{
    struct vr_keys *keys = g_new0(struct vr_keys, 1);
    keys->names = g_ptr_array_new_with_free_func(g_free);
    keys->values = g_ptr_array_new_with_free_func(g_free);
    return keys;
}

void vr_keys_free(struct vr_keys *keys)
{
    if (!keys)
        return;
    g_ptr_array_unref(keys->names);
    g_ptr_array_unref(keys->values);
    g_free(keys);
}

/* The index of @key, or where it would be inserted. */
static unsigned place(const struct vr_keys *keys, const char *key, bool *found)
{
    unsigned low = 0, high = keys->names->len;
    *found = false;
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        int order = strcmp(keys->names->pdata[middle], key);
        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct vr_keys *vr_keys_copy(const struct vr_keys *keys)
{
    struct vr_keys *copy = vr_keys_new();
    for (unsigned i = 0; i < keys->names->len; i++)
        vr_keys_set(copy, keys->names->pdata[i], keys->values->pdata[i]);
    return copy;
}

const char *vr_keys_get(const struct vr_keys *keys, const char *key)
{
    bool found;
    unsigned i = place(keys, key, &found);
    return found ? keys->values->pdata[i] : NULL;
}

static bool parse_integer(const char *text, int64_t *value)
{
    char *end;
    if (!text || !*text)
        return false;
    errno = 0;
    *value = g_ascii_strtoll(text, &end, 10);
    return errno == 0 && !*end && end != text;
}

int64_t vr_keys_get_integer(const struct vr_keys *keys, const char *key, int64_t otherwise)
{
    int64_t value;
    return parse_integer(vr_keys_get(keys, key), &value) ? value : otherwise;
}

void vr_keys_set(struct vr_keys *keys, const char *key, const char *value)
{
    bool found;
    unsigned i = place(keys, key, &found);
    if (!value) {
        if (found) {
            g_ptr_array_remove_index(keys->names, i);
            g_ptr_array_remove_index(keys->values, i);
        }
        return;
    }
    char *copy = g_strdup(value);
    if (found) {
        g_free(keys->values->pdata[i]);
        keys->values->pdata[i] = copy;
        return;
    }
    g_ptr_array_insert(keys->names, (int)i, g_strdup(key));
    g_ptr_array_insert(keys->values, (int)i, copy);
}

void vr_keys_set_integer(struct vr_keys *keys, const char *key, int64_t value)
{
    g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT, value);
    vr_keys_set(keys, key, text);
}

unsigned vr_keys_count(const struct vr_keys *keys)
{
    return keys->names->len;
}

void vr_keys_at(const struct vr_keys *keys, unsigned i, const char **name, const char **value)
{
    *name = keys->names->pdata[i];
    *value = keys->values->pdata[i];
}

char *vr_format_path_transform(const char *remote)
{
    g_autoptr(GString) flat = g_string_new(NULL);
    for (const char *c = remote; *c; c++)
        if (*c != '/' || flat->len == 0 || flat->str[flat->len - 1] != '/')
            g_string_append_c(flat, *c);
    /* The root of a server, "host:/", is a whole path and keeps its slash. */
    if (flat->len > 1 && flat->str[flat->len - 1] == '/' && flat->str[flat->len - 2] != ':')
        g_string_truncate(flat, flat->len - 1);
    GString *out = g_string_new(NULL);
    for (const char *c = flat->str; *c; c++) {
        if (*c == '_')
            g_string_append(out, "__");
        else
            g_string_append_c(out, *c == '/' ? '_' : *c);
    }
    return g_string_free(out, FALSE);
}

bool vr_format_uuid_valid(const char *text)
{
    if (!text || strlen(text) != 36)
        return false;
    for (unsigned i = 0; i < 36; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? text[i] != '-' : !g_ascii_isxdigit(text[i]))
            return false;
    }
    return true;
}
