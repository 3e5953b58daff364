/* SPDX-License-Identifier: Apache-2.0 */
/* follow: references and sub-collections in place of their links (facts/rest-api.md 4.5). */
#include "manager/rest/exchange.h"

#include "gen/faults.h"

#define PATHS 32
#define DEPTH 6
/* Objects put in place in one answer: a whole data center's worth. */
#define OBJECTS 200000

struct follower {
    struct vr_exchange *x;
    unsigned objects;
};

/* What to follow below one object. */
struct branch {
    const struct vr_field *field;
    struct branch *below; /* of the items */
    struct branch *next;
};

static void branch_free(struct branch *branch)
{
    while (branch) {
        struct branch *next = branch->next;
        branch_free(branch->below);
        g_free(branch);
        branch = next;
    }
}

/* Names are compared without regard to case and underscores. */
static bool same_name(const char *a, const char *b)
{
    for (;; a++, b++) {
        while (*a == '_')
            a++;
        while (*b == '_')
            b++;
        if (g_ascii_tolower(*a) != g_ascii_tolower(*b))
            return false;
        if (!*a)
            return true;
    }
}

static const struct vr_field *find_field(const struct vr_type *type, const char *name)
{
    for (unsigned i = 0; i < type->field_count; i++) {
        const struct vr_field *field = &type->fields[i];
        if ((field->kind == VR_FIELD_LINK || field->kind == VR_FIELD_STRUCT) &&
            !(field->flags & (VR_FIELD_INTERNAL | VR_FIELD_SECRET)) && same_name(field->name, name))
            return field;
    }
    return NULL;
}

static bool add_path(struct branch **tree, const struct vr_type *type, const char *path,
                     struct vr_error **error)
{
    g_auto(GStrv) names = g_strsplit(path, ".", DEPTH + 1);
    if (g_strv_length(names) > DEPTH) {
        vr_error_set(error, &vr_fault_bad_request, "The path '%s' to follow is too deep.", path);
        return false;
    }
    for (unsigned i = 0; names[i]; i++) {
        const struct vr_field *field = find_field(type, g_strstrip(names[i]));
        if (!field) {
            vr_error_set(error, &vr_fault_bad_request,
                         "There is no '%s' to follow in the type '%s'.", names[i], type->name);
            return false;
        }
        struct branch **place = tree;
        while (*place && (*place)->field != field)
            place = &(*place)->next;
        if (!*place) {
            *place = g_new0(struct branch, 1);
            (*place)->field = field;
        }
        tree = &(*place)->below;
        type = field->sub;
    }
    return true;
}

static bool follow_object(struct follower *f, const struct branch *tree, void *object,
                          struct vr_error **error);

/* Takes @object; a copy with what is below it, or NULL. */
static void *follow_copy(struct follower *f, const struct branch *tree, void *object,
                         struct vr_error **error)
{
    if (!tree)
        return object;
    void *copy = vr_copy(object);
    vr_unref(object);
    if (follow_object(f, tree, copy, error))
        return copy;
    vr_unref(copy);
    return NULL;
}

/* The whole object in place of a stub; what leads nowhere stays a stub. */
static bool follow_stub(struct follower *f, const struct branch *branch, void **stub,
                        struct vr_error **error)
{
    const struct vr_type *type = branch->field->sub;
    const char *id = vr_id(*stub);
    if (type->kind < 0 || !id)
        return true;
    vr_auto void *found = vr_inventory_get(f->x->rest->options.inventory, type->kind, id);
    if (!found)
        return true;
    if (++f->objects > OBJECTS) {
        vr_error_set(error, &vr_fault_bad_request, "There is too much to follow.");
        return false;
    }
    void *whole = follow_copy(f, branch->below, vr_read_decorate(f->x, found), error);
    if (!whole)
        return false;
    vr_unref(*stub);
    *stub = whole;
    return true;
}

static char *segment_of(const struct vr_field *field)
{
    GString *segment = g_string_new(NULL);
    for (const char *c = field->name; *c; c++)
        if (*c != '_')
            g_string_append_c(segment, *c);
    return g_string_free(segment, FALSE);
}

static bool follow_collection(struct follower *f, const struct branch *branch, void *object,
                              struct vr_error **error)
{
    const struct vr_field *field = branch->field;
    const struct vr_route *route = NULL;
    const char *ids[VR_PATH_IDS];
    unsigned id_count = 0;
    bool is_id = false;
    if (!f->x->shown)
        f->x->shown = g_hash_table_new(NULL, NULL);
    g_hash_table_add(f->x->shown, (void *)field);
    if (!vr_href_ids(f->x->rest->options.inventory, object, ids, &id_count, &route))
        return true;
    g_autofree char *segment = segment_of(field);
    const struct vr_route *child = vr_route_child(route, segment, strlen(segment), &is_id);
    const struct vr_operation *list = child && !is_id ? child->operations[VR_METHOD_GET] : NULL;
    if (!list)
        return true;
    vr_auto_objects struct vr_objects objects = { 0 };
    if (list->way != VR_WAY_MISSING &&
        !vr_read_collection(f->x, list, ids, id_count, &objects, error))
        return false;
    f->objects += objects.count;
    if (f->objects > OBJECTS) {
        vr_error_set(error, &vr_fault_bad_request, "There is too much to follow.");
        return false;
    }
    vr_clear(object, field);
    struct vr_list *items = vr_member(object, field);
    vr_set_has(object, field, true);
    for (unsigned i = 0; i < objects.count; i++) {
        void *item = follow_copy(f, branch->below, vr_ref(objects.items[i]), error);
        if (!item)
            return false;
        vr_list_append(items, item);
    }
    return true;
}

static bool follow_object(struct follower *f, const struct branch *tree, void *object,
                          struct vr_error **error)
{
    for (const struct branch *branch = tree; branch; branch = branch->next) {
        const struct vr_field *field = branch->field;
        if (field->flags & VR_FIELD_COLLECTION) {
            if (!follow_collection(f, branch, object, error))
                return false;
            continue;
        }
        if (!vr_has(object, field))
            continue;
        void *member = vr_member(object, field);
        struct vr_list one = { .items = member, .len = 1 };
        struct vr_list *list = field->flags & VR_FIELD_IS_LIST ? member : &one;
        for (unsigned i = 0; i < list->len; i++) {
            bool ok = field->kind == VR_FIELD_STRUCT
                          ? follow_object(f, branch->below, list->items[i], error)
                          : follow_stub(f, branch, &list->items[i], error);
            if (!ok)
                return false;
        }
    }
    return true;
}

bool vr_follow(struct vr_exchange *x, const char *follow, const struct vr_type *type,
               void **objects, unsigned count, struct vr_error **error)
{
    struct branch *tree = NULL;
    struct follower f = { x, 0 };
    g_auto(GStrv) paths = g_strsplit(follow, ",", PATHS + 1);
    bool ok = g_strv_length(paths) <= PATHS;
    if (!ok)
        vr_error_set(error, &vr_fault_bad_request, "There are too many paths to follow.");
    for (unsigned i = 0; ok && paths[i]; i++)
        ok = !*g_strstrip(paths[i]) || add_path(&tree, type, paths[i], error);
    for (unsigned i = 0; ok && tree && i < count; i++) {
        void *copy = follow_copy(&f, tree, vr_ref(objects[i]), error);
        ok = copy != NULL;
        if (ok) {
            vr_unref(objects[i]);
            objects[i] = copy;
        }
    }
    branch_free(tree);
    return ok;
}
