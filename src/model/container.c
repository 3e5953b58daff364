/* SPDX-License-Identifier: Apache-2.0 */
#include "model/walk.h"

#include <stdlib.h>

/* Doubles; lists start small because an entity has many and most hold one to four items. */
static unsigned next_size(unsigned allocated)
{
    g_assert(allocated <= G_MAXUINT / 2);
    return allocated ? allocated * 2 : 4;
}

void vr_list_append(struct vr_list *list, void *item)
{
    if (list->len == list->allocated) {
        list->allocated = next_size(list->allocated);
        list->items = g_renew(void *, list->items, list->allocated);
    }
    list->items[list->len++] = item;
}

void vr_list_clear_objects(struct vr_list *list)
{
    for (unsigned i = 0; i < list->len; i++)
        vr_unref(list->items[i]);
    g_free(list->items);
    *list = (struct vr_list){ 0 };
}

/* Where @key is or belongs; *@found says which. */
static unsigned map_place(const struct vr_map *map, const char *key, bool *found)
{
    unsigned low = 0, high = map->len;
    *found = false;
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        int order = strcmp(map->keys[middle], key);
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

static void map_insert(struct vr_map *map, unsigned place, char *key, void *value)
{
    if (map->len == map->allocated) {
        map->allocated = next_size(map->allocated);
        map->keys = g_renew(char *, map->keys, map->allocated);
        map->values = g_renew(void *, map->values, map->allocated);
    }
    size_t behind = (map->len - place) * sizeof(void *);
    memmove(map->keys + place + 1, map->keys + place, behind);
    memmove(map->values + place + 1, map->values + place, behind);
    map->keys[place] = key;
    map->values[place] = value;
    map->len++;
}

void *vr_map_set(struct vr_map *map, const char *key, void *value)
{
    bool found;
    unsigned place = map_place(map, key, &found);
    if (!found) {
        map_insert(map, place, g_strdup(key), value);
        return NULL;
    }
    void *old = map->values[place];
    map->values[place] = value;
    return old;
}

void *vr_map_get(const struct vr_map *map, const char *key)
{
    bool found;
    unsigned place = map_place(map, key, &found);
    return found ? map->values[place] : NULL;
}

void vr_map_add(struct vr_map *map, char *key, void *value)
{
    map_insert(map, map->len, key, value);
}

struct entry {
    char *key;
    void *value;
    unsigned came; /* keeps the sort stable */
};

static int compare_entries(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int order = strcmp(x->key, y->key);
    return order ? order : (x->came > y->came) - (x->came < y->came);
}

static bool map_is_settled(const struct vr_map *map)
{
    for (unsigned i = 1; i < map->len; i++) {
        if (strcmp(map->keys[i - 1], map->keys[i]) >= 0)
            return false;
    }
    return true;
}

void vr_map_settle(struct vr_map *map, const struct vr_field *field)
{
    if (map_is_settled(map))
        return;
    g_autofree struct entry *entries = g_new(struct entry, map->len);
    for (unsigned i = 0; i < map->len; i++)
        entries[i] = (struct entry){ map->keys[i], map->values[i], i };
    qsort(entries, map->len, sizeof(*entries), compare_entries);
    unsigned len = 0;
    for (unsigned i = 0; i < map->len; i++) {
        if (i + 1 < map->len && strcmp(entries[i].key, entries[i + 1].key) == 0) {
            g_free(entries[i].key);
            vr_item_free(field, entries[i].value);
            continue;
        }
        map->keys[len] = entries[i].key;
        map->values[len++] = entries[i].value;
    }
    map->len = len;
}
