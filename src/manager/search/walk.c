/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/search/path.h"

void vr_search_run_init(struct vr_search_run *run, struct vr_inventory *inventory)
{
    run->inventory = inventory;
    run->backwards = NULL;
}

void vr_search_run_done(struct vr_search_run *run)
{
    g_clear_pointer(&run->backwards, g_hash_table_unref);
}

static void free_objects(void *array)
{
    g_ptr_array_unref(array);
}

/* id → objects whose link leads there, for a link that has no index. */
static GHashTable *reverse_table(struct vr_search_run *run, int kind, const struct vr_field *link)
{
    if (!run->backwards)
        run->backwards = g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify)g_hash_table_unref);
    GHashTable *table = g_hash_table_lookup(run->backwards, link);
    if (table)
        return table;
    table = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, free_objects);
    vr_auto_objects struct vr_objects all = { 0 };
    vr_inventory_list(run->inventory, kind, &all);
    VR_OBJECTS(void, object, &all)
    {
        if (!vr_has(object, link) || link->flags & VR_FIELD_IS_LIST)
            continue;
        void *const *member = vr_member(object, link);
        const char *id = vr_id(*member);
        if (!id)
            continue;
        GPtrArray *array = g_hash_table_lookup(table, id);
        if (!array) {
            array = g_ptr_array_new_with_free_func((GDestroyNotify)vr_unref);
            g_hash_table_insert(table, g_strdup(id), array);
        }
        g_ptr_array_add(array, vr_ref(object));
    }
    /* `link` belongs to one type, and a type to one kind. */
    g_hash_table_insert(run->backwards, (void *)link, table);
    return table;
}

struct walk {
    struct vr_search_run *run;
    const struct vr_search_path *path;
    vr_search_visit *visit;
    void *arg;
};

static bool walk_from(const struct walk *walk, const void *object, unsigned step);

static bool walk_back(const struct walk *walk, const void *object, unsigned step)
{
    const struct vr_search_step *s = &walk->path->steps[step];
    const char *id = vr_id(object);
    if (!id)
        return false;
    bool stopped = false;
    if (s->field->flags & VR_FIELD_INDEXED) {
        vr_auto_objects struct vr_objects found = { 0 };
        vr_inventory_list_by(walk->run->inventory, s->from, s->field->name, id, &found);
        for (unsigned i = 0; i < found.count && !stopped; i++)
            stopped = walk_from(walk, found.items[i], step + 1);
        return stopped;
    }
    GPtrArray *found = g_hash_table_lookup(reverse_table(walk->run, s->from, s->field), id);
    for (unsigned i = 0; found && i < found->len && !stopped; i++)
        stopped = walk_from(walk, found->pdata[i], step + 1);
    return stopped;
}

/* Into a struct, or through a link; a link's id needs no look at the inventory. */
static bool walk_into(const struct walk *walk, const struct vr_field *field, const void *item,
                      unsigned step)
{
    const struct vr_type *type = field->sub;
    const struct vr_search_path *path = walk->path;
    bool only_id = step + 1 < path->count && type->id_field >= 0 &&
                   path->steps[step + 1].field == &type->fields[type->id_field];
    const char *id = field->kind == VR_FIELD_LINK ? vr_id(item) : NULL;
    if (only_id || field->kind == VR_FIELD_STRUCT || type->kind < 0 || !id)
        return walk_from(walk, item, step + 1);
    vr_auto void *target = vr_inventory_get(walk->run->inventory, type->kind, id);
    return target && walk_from(walk, target, step + 1);
}

static bool give(const struct walk *walk, const struct vr_field *field, const void *address)
{
    struct vr_search_value value = { .field = field };
    switch ((enum vr_field_kind)field->kind) {
    case VR_FIELD_BOOLEAN:
        value.number = *(const bool *)address;
        break;
    case VR_FIELD_INTEGER:
    case VR_FIELD_DATE:
        value.number = *(const int64_t *)address;
        break;
    case VR_FIELD_ENUM:
        value.number = *(const int *)address;
        break;
    case VR_FIELD_DOUBLE:
        value.real = *(const double *)address;
        break;
    case VR_FIELD_STRING:
        value.text = *(char *const *)address;
        break;
    default:
        return false;
    }
    return !walk->visit(&value, walk->arg);
}

static bool walk_list(const struct walk *walk, const struct vr_field *field,
                      const struct vr_list *list, unsigned step)
{
    bool nested = field->kind == VR_FIELD_STRUCT || field->kind == VR_FIELD_LINK;
    bool stopped = false;
    for (unsigned i = 0; i < list->len && !stopped; i++) {
        if (nested) {
            stopped = walk_into(walk, field, list->items[i], step);
        } else if (field->kind != VR_FIELD_DOUBLE && field->kind != VR_FIELD_JSON) {
            struct vr_search_value value = { .field = field };
            if (field->kind == VR_FIELD_STRING)
                value.text = list->items[i];
            else
                value.number = (int64_t)GPOINTER_TO_SIZE(list->items[i]);
            stopped = !walk->visit(&value, walk->arg);
        }
    }
    return stopped;
}

static bool walk_from(const struct walk *walk, const void *object, unsigned step)
{
    if (step == walk->path->count)
        return false;
    const struct vr_field *field = walk->path->steps[step].field;
    if (walk->path->steps[step].from >= 0)
        return walk_back(walk, object, step);
    if (!vr_has(object, field))
        return false;
    const void *member = vr_member(object, field);
    if (field->flags & VR_FIELD_IS_LIST)
        return walk_list(walk, field, member, step);
    if (field->flags & VR_FIELD_IS_MAP)
        return false;
    if (field->kind == VR_FIELD_STRUCT || field->kind == VR_FIELD_LINK) {
        void *const *item = member;
        return *item && walk_into(walk, field, *item, step);
    }
    return give(walk, field, member);
}

bool vr_search_path_walk(struct vr_search_run *run, const struct vr_search_path *path,
                         const void *object, vr_search_visit *visit, void *arg)
{
    const struct walk walk = { run, path, visit, arg };
    return walk_from(&walk, object, 0);
}
