/* SPDX-License-Identifier: Apache-2.0 */
#include "model/model.h"

#include "model/walk.h"

/* A reference count is the one thing that changes in a shared object. */
static gint *refs_of(const void *object)
{
    return &((struct vr_object *)(uintptr_t)object)->refs;
}

static const struct vr_type *type_of(const void *object)
{
    return ((const struct vr_object *)object)->type;
}

void *vr_object_new(const struct vr_type *type)
{
    struct vr_object *object = g_malloc0(type->size);
    object->type = type;
    object->refs = 1;
    return object;
}

void *vr_ref(const void *object)
{
    if (object)
        g_atomic_int_inc(refs_of(object));
    return (void *)(uintptr_t)object;
}

static void free_list(const struct vr_field *field, struct vr_list *list)
{
    if (vr_kind_is_text(field->kind) || vr_kind_is_object(field->kind)) {
        for (unsigned i = 0; i < list->len; i++)
            vr_item_free(field, list->items[i]);
    }
    g_free(list->items);
}

static void free_map(const struct vr_field *field, struct vr_map *map)
{
    for (unsigned i = 0; i < map->len; i++) {
        g_free(map->keys[i]);
        vr_item_free(field, map->values[i]);
    }
    g_free(map->keys);
    g_free(map->values);
}

/* Frees what the member owns and leaves it dangling: the caller zeroes it or drops it. */
static void free_member(void *object, const struct vr_field *field)
{
    void *member = vr_member_at(object, field);
    switch (vr_field_shape(field)) {
    case VR_SHAPE_LIST:
        free_list(field, member);
        break;
    case VR_SHAPE_MAP:
        free_map(field, member);
        break;
    case VR_SHAPE_ONE:
        if (vr_kind_is_text(field->kind) || vr_kind_is_object(field->kind))
            vr_item_free(field, *(void **)member);
        break;
    }
}

void vr_unref(const void *object)
{
    if (!object || !g_atomic_int_dec_and_test(refs_of(object)))
        return;
    void *mine = (void *)(uintptr_t)object;
    if (((struct vr_object *)mine)->shared)
        vr_unshare(mine);
    unsigned next = 0;
    for (const struct vr_field *field; (field = vr_next_set(mine, &next));)
        free_member(mine, field);
    g_free(mine);
}

void vr_item_free(const struct vr_field *field, void *item)
{
    if (vr_kind_is_text(field->kind))
        g_free(item);
    else if (vr_kind_is_object(field->kind))
        vr_unref(item);
}

void *vr_item_copy(const struct vr_field *field, const void *item)
{
    if (vr_kind_is_text(field->kind))
        return g_strdup(item);
    if (vr_kind_is_object(field->kind))
        return vr_copy(item);
    return (void *)(uintptr_t)item;
}

static void copy_list(const struct vr_field *field, struct vr_list *list)
{
    void *const *from = list->items;
    list->items = list->len ? g_new(void *, list->len) : NULL;
    list->allocated = list->len;
    for (unsigned i = 0; i < list->len; i++)
        list->items[i] = vr_item_copy(field, from[i]);
}

static void copy_map(const struct vr_field *field, struct vr_map *map)
{
    char *const *keys = map->keys;
    void *const *values = map->values;
    map->keys = map->len ? g_new(char *, map->len) : NULL;
    map->values = map->len ? g_new(void *, map->len) : NULL;
    map->allocated = map->len;
    for (unsigned i = 0; i < map->len; i++) {
        map->keys[i] = g_strdup(keys[i]);
        map->values[i] = vr_item_copy(field, values[i]);
    }
}

/* The member holds a bitwise copy of another object's; makes what it points to its own. */
static void own_member(void *object, const struct vr_field *field)
{
    void *member = vr_member_at(object, field);
    switch (vr_field_shape(field)) {
    case VR_SHAPE_LIST:
        copy_list(field, member);
        break;
    case VR_SHAPE_MAP:
        copy_map(field, member);
        break;
    case VR_SHAPE_ONE:
        if (vr_kind_is_text(field->kind) || vr_kind_is_object(field->kind))
            *(void **)member = vr_item_copy(field, *(void **)member);
        break;
    }
}

void *vr_copy(const void *object)
{
    if (!object)
        return NULL;
    struct vr_object *copy = g_memdup2(object, type_of(object)->size);
    copy->refs = 1;
    copy->shared = 0;
    unsigned next = 0;
    for (const struct vr_field *field; (field = vr_next_set(copy, &next));)
        own_member(copy, field);
    return copy;
}

static size_t member_size(const struct vr_field *field)
{
    switch (vr_field_shape(field)) {
    case VR_SHAPE_LIST:
        return sizeof(struct vr_list);
    case VR_SHAPE_MAP:
        return sizeof(struct vr_map);
    case VR_SHAPE_ONE:
        break;
    }
    switch ((enum vr_field_kind)field->kind) {
    case VR_FIELD_BOOLEAN:
        return sizeof(bool);
    case VR_FIELD_INTEGER:
    case VR_FIELD_DATE:
        return sizeof(int64_t);
    case VR_FIELD_DOUBLE:
        return sizeof(double);
    case VR_FIELD_ENUM:
        return sizeof(int);
    case VR_FIELD_STRING:
    case VR_FIELD_JSON:
    case VR_FIELD_STRUCT:
    case VR_FIELD_LINK:
        return sizeof(void *);
    }
    g_assert_not_reached();
}

void vr_clear(void *object, const struct vr_field *field)
{
    if (vr_has_bit(object, field))
        free_member(object, field);
    memset(vr_member_at(object, field), 0, member_size(field));
    vr_set_has(object, field, false);
}

void vr_clear_named(void *object, const char *wire_name)
{
    const struct vr_field *field = vr_type_field(type_of(object), wire_name);
    g_assert(field);
    vr_clear(object, field);
}

bool vr_has(const void *object, const struct vr_field *field)
{
    return vr_has_bit(object, field);
}

void vr_set_has(void *object, const struct vr_field *field, bool has)
{
    uint8_t *byte = vr_has_bytes(object) + field->bit / 8;
    uint8_t mask = (uint8_t)(1u << (field->bit % 8));
    *byte = has ? *byte | mask : *byte & (uint8_t)~mask;
}

void *vr_member(const void *object, const struct vr_field *field)
{
    return vr_member_at(object, field);
}

const struct vr_field *vr_type_field(const struct vr_type *type, const char *name)
{
    for (unsigned i = 0; i < type->field_count; i++) {
        if (strcmp(type->fields[i].name, name) == 0)
            return &type->fields[i];
    }
    return NULL;
}

/* A struct member that another object refers to as well is replaced by a copy to be changed. */
void vr_own_sole(void **member)
{
    if (g_atomic_int_get(refs_of(*member)) == 1)
        return;
    void *copy = vr_copy(*member);
    vr_unref(*member);
    *member = copy;
}

void vr_field_copy(void *into, const void *from, const struct vr_field *field)
{
    if (vr_has_bit(into, field))
        free_member(into, field);
    memcpy(vr_member_at(into, field), vr_member_at(from, field), member_size(field));
    own_member(into, field);
    vr_set_has(into, field, true);
}

void vr_copy_field(void *into, const struct vr_field *to, const void *source,
                   const struct vr_field *from)
{
    g_assert(to->kind == from->kind && vr_field_shape(to) == vr_field_shape(from));
    vr_clear(into, to);
    memcpy(vr_member_at(into, to), vr_member_at(source, from), member_size(from));
    own_member(into, to);
    vr_set_has(into, to, true);
}

void vr_merge(void *into, const void *from)
{
    g_assert(into != from && type_of(into) == type_of(from));
    unsigned next = 0;
    for (const struct vr_field *field; (field = vr_next_set(from, &next));) {
        void *old = vr_member_at(into, field);
        const void *new = vr_member_at(from, field);
        if (field->kind == VR_FIELD_STRUCT && vr_field_shape(field) == VR_SHAPE_ONE &&
            *(void **)old && *(void *const *)new) {
            vr_own_sole(old);
            vr_merge(*(void **)old, *(void *const *)new);
            continue;
        }
        vr_field_copy(into, from, field);
    }
}

/* The field that holds the id as text; some types (an SSO method) have an enum for an id. */
static const struct vr_field *id_field(const struct vr_type *type)
{
    if (type->id_field < 0)
        return NULL;
    const struct vr_field *field = &type->fields[type->id_field];
    return field->kind == VR_FIELD_STRING && vr_field_shape(field) == VR_SHAPE_ONE ? field : NULL;
}

const char *vr_id(const void *object)
{
    const struct vr_field *field = id_field(type_of(object));
    return field ? *(char **)vr_member_at(object, field) : NULL;
}

void vr_set_id(void *object, const char *id)
{
    const struct vr_field *field = id_field(type_of(object));
    g_assert(field);
    char *copy = g_strdup(id);
    vr_clear(object, field);
    *(char **)vr_member_at(object, field) = copy;
    vr_set_has(object, field, copy != NULL);
}

void *vr_stub(const struct vr_type *type, const char *id)
{
    if (!id)
        return NULL;
    void *stub = vr_object_new(type);
    vr_set_id(stub, id);
    return stub;
}
