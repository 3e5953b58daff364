/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/search/query.h"

#include <stdlib.h>

static bool text_visit(const struct vr_search_value *value, void *arg)
{
    return !vr_search_pattern_matches(arg, value->text);
}

/* Free text is a part of any text of the object that a query can name. */
static bool text_matches(const struct vr_search *search, const struct vr_search_node *node,
                         struct vr_search_run *run, const void *object)
{
    const struct vr_kind_info *info = &vr_kinds[search->kind];
    for (const struct vr_search_word *word = info->search; word && word->word; word++) {
        struct vr_search_path path = { .count = 0 };
        if (strcmp(word->word, "apps") == 0 || strcmp(word->word, "os") == 0)
            continue;
        if (vr_search_path_add(&path, info->type, word->path) &&
            path.leaf->kind == VR_FIELD_STRING &&
            vr_search_path_walk(run, &path, object, text_visit, (void *)&node->text))
            return true;
    }
    return false;
}

static bool node_matches(const struct vr_search *search, const struct vr_search_node *node,
                         struct vr_search_run *run, const void *object)
{
    switch (node->kind) {
    case VR_SEARCH_AND:
        return node_matches(search, node->left, run, object) &&
               node_matches(search, node->right, run, object);
    case VR_SEARCH_OR:
        return node_matches(search, node->left, run, object) ||
               node_matches(search, node->right, run, object);
    case VR_SEARCH_CONDITION:
        return vr_search_condition_matches(node->condition, run, object);
    case VR_SEARCH_TEXT:
        return text_matches(search, node, run, object);
    }
    return false;
}

void vr_search_filter(const struct vr_search *search, struct vr_inventory *inventory,
                      struct vr_objects *objects)
{
    if (!search || !search->root)
        return;
    struct vr_search_run run;
    vr_search_run_init(&run, inventory);
    unsigned kept = 0;
    for (unsigned i = 0; i < objects->count; i++) {
        void *object = objects->items[i];
        if (node_matches(search, search->root, &run, object))
            objects->items[kept++] = object;
        else
            vr_unref(object);
    }
    objects->count = kept;
    vr_search_run_done(&run);
}

/* --- order --- */

struct key {
    void *object;
    bool set;
    enum vr_field_kind kind;
    int64_t number;
    double real;
    char *text;
    unsigned place; /* before, so that equal ones stay as they were */
};

static bool first_value(const struct vr_search_value *value, void *arg)
{
    struct key *key = arg;
    key->set = true;
    key->kind = (enum vr_field_kind)value->field->kind;
    if (key->kind == VR_FIELD_STRING)
        key->text = g_strdup(value->text ? value->text : "");
    else if (key->kind == VR_FIELD_DOUBLE)
        key->real = value->real;
    else
        key->number = value->number;
    return false;
}

static int compare_keys(const struct key *a, const struct key *b)
{
    if (!a->set || !b->set)
        return (int)a->set - (int)b->set; /* what is not set comes first */
    switch (a->kind) {
    case VR_FIELD_STRING: {
        int order = g_ascii_strcasecmp(a->text, b->text);
        return order ? order : strcmp(a->text, b->text);
    }
    case VR_FIELD_DOUBLE:
        return (a->real > b->real) - (a->real < b->real);
    default:
        return (a->number > b->number) - (a->number < b->number);
    }
}

static int ascending(const void *a, const void *b)
{
    const struct key *left = a, *right = b;
    int order = compare_keys(left, right);
    return order ? order : (left->place > right->place) - (left->place < right->place);
}

static int descending(const void *a, const void *b)
{
    const struct key *left = a, *right = b;
    int order = compare_keys(right, left);
    return order ? order : (left->place > right->place) - (left->place < right->place);
}

static void sort_by(struct vr_search_run *run, const struct vr_search_path *path, bool reverse,
                    struct vr_objects *objects)
{
    g_autofree struct key *keys = g_new0(struct key, objects->count);
    for (unsigned i = 0; i < objects->count; i++) {
        keys[i].object = objects->items[i];
        keys[i].place = i;
        vr_search_path_walk(run, path, objects->items[i], first_value, &keys[i]);
    }
    qsort(keys, objects->count, sizeof(*keys), reverse ? descending : ascending);
    for (unsigned i = 0; i < objects->count; i++) {
        objects->items[i] = keys[i].object;
        g_free(keys[i].text);
    }
}

void vr_search_sort(const struct vr_search *search, struct vr_inventory *inventory, int kind,
                    struct vr_objects *objects)
{
    if (objects->count < 2)
        return;
    struct vr_search_run run;
    vr_search_run_init(&run, inventory);
    const struct vr_kind_info *info = &vr_kinds[kind];
    struct vr_search_path path = { .count = 0 };
    if (info->order && vr_search_path_add(&path, info->type, info->order))
        sort_by(&run, &path, info->newest_first, objects);
    if (search && search->sorted)
        sort_by(&run, &search->order, search->descending, objects);
    vr_search_run_done(&run);
}

void vr_search_page(const struct vr_search *search, int64_t max, struct vr_objects *objects)
{
    uint64_t size = max < 0 ? objects->count : (uint64_t)max;
    uint64_t page = search && search->page ? (uint64_t)search->page - 1 : 0;
    uint64_t first = MIN(page * size, objects->count);
    if (max < 0 && page > 0)
        first = objects->count;
    uint64_t count = MIN(size, objects->count - first);
    for (uint64_t i = 0; i < objects->count; i++)
        if (i < first || i >= first + count)
            vr_unref(objects->items[i]);
    if (count)
        memmove(objects->items, objects->items + first, count * sizeof(*objects->items));
    objects->count = (unsigned)count;
}
