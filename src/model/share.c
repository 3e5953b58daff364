/* SPDX-License-Identifier: Apache-2.0 */
#include "model/walk.h"

/*
 * What is equal is kept once.  A virtual machine has some thirty parts: links to its cluster,
 * template, host and owner, its topology, display, time zone; a hundred thousand of them have a few
 * hundred different ones among them.  (Measured: 6.5 KiB a virtual machine without, 2 KiB with.)
 *
 * The table holds no references: the last vr_unref() of a part takes it out.  Until it has the
 * lock, the part is found with a count of nothing, and is then not used any more.
 */

static struct vr_mutex lock; /* over the table alone; taken inside of any other (docs/threads.md) */
static GHashTable *table;    /* set of objects by content */

static guint content_hash(gconstpointer object)
{
    return ((const struct vr_object *)object)->shared;
}

static gboolean same_content(gconstpointer a, gconstpointer b)
{
    return vr_equal(a, b);
}

/* --- hash --- */

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * UINT64_C(0x9E3779B97F4A7C15);
    return hash ^ hash >> 32;
}

static uint64_t hash_object(const void *object);

static uint64_t hash_item(const struct vr_field *field, const void *item)
{
    if (!item)
        return 1;
    if (vr_kind_is_text(field->kind))
        return g_str_hash(item);
    if (vr_kind_is_object(field->kind))
        return hash_object(item);
    return (uintptr_t)item;
}

static uint64_t hash_one(const struct vr_field *field, const void *member)
{
    uint64_t bits;
    switch ((enum vr_field_kind)field->kind) {
    case VR_FIELD_BOOLEAN:
        return *(const bool *)member;
    case VR_FIELD_INTEGER:
    case VR_FIELD_DATE:
        return (uint64_t) * (const int64_t *)member;
    case VR_FIELD_DOUBLE:
        memcpy(&bits, member, sizeof(bits));
        return bits;
    case VR_FIELD_ENUM:
        return (uint64_t) * (const int *)member;
    case VR_FIELD_STRING:
    case VR_FIELD_JSON:
    case VR_FIELD_STRUCT:
    case VR_FIELD_LINK:
        return hash_item(field, *(void *const *)member);
    }
    g_assert_not_reached();
}

static uint64_t hash_member(const struct vr_field *field, const void *member)
{
    uint64_t hash = field->bit + 1u;
    if (vr_field_shape(field) == VR_SHAPE_ONE)
        return mix(hash, hash_one(field, member));
    if (vr_field_shape(field) == VR_SHAPE_MAP) {
        const struct vr_map *map = member;
        for (unsigned i = 0; i < map->len; i++)
            hash = mix(mix(hash, g_str_hash(map->keys[i])), hash_item(field, map->values[i]));
        return hash;
    }
    const struct vr_list *list = member;
    for (unsigned i = 0; i < list->len; i++)
        hash = mix(hash, hash_item(field, list->items[i]));
    return hash;
}

static uint64_t hash_object(const void *object)
{
    const struct vr_object *head = object;
    if (head->shared)
        return head->shared;
    uint64_t hash = (uintptr_t)head->type;
    unsigned next = 0;
    for (const struct vr_field *field; (field = vr_next_set(object, &next));)
        hash = mix(hash, hash_member(field, vr_member_at(object, field)));
    return hash;
}

/* --- sharing --- */

/* One more reference, unless the last one is gone. */
static bool revive(struct vr_object *object)
{
    gint refs = g_atomic_int_get(&object->refs);
    while (refs > 0 && !g_atomic_int_compare_and_exchange(&object->refs, refs, refs + 1))
        refs = g_atomic_int_get(&object->refs);
    return refs > 0;
}

/* Takes the reference to @object and gives one to what stands for it. */
static void *share(struct vr_object *object, GPtrArray *dropped)
{
    /* What others hold may be seen by other threads: it is left as it is. */
    if (!object || object->shared || g_atomic_int_get(&object->refs) != 1)
        return object;
    vr_share_parts(object, dropped);
    uint32_t hash = (uint32_t)hash_object(object);
    object->shared = hash ? hash : 1;
    vr_mutex_lock(&lock);
    if (!table)
        table = g_hash_table_new(content_hash, same_content);
    struct vr_object *known = g_hash_table_lookup(table, object);
    if (known && revive(known)) {
        object->shared = 0;
    } else {
        g_hash_table_add(table, object); /* also in place of one that is going */
        known = NULL;
    }
    vr_mutex_unlock(&lock);
    if (!known)
        return object;
    if (dropped)
        g_ptr_array_add(dropped, object);
    else
        vr_unref(object);
    return known;
}

void vr_share_parts(void *object, GPtrArray *dropped)
{
    unsigned next = 0;
    for (const struct vr_field *field; (field = vr_next_set(object, &next));) {
        void *member = vr_member_at(object, field);
        if (!vr_kind_is_object(field->kind) || vr_field_shape(field) == VR_SHAPE_MAP)
            continue;
        if (vr_field_shape(field) == VR_SHAPE_ONE) {
            *(void **)member = share(*(void **)member, dropped);
            continue;
        }
        struct vr_list *list = member;
        for (unsigned i = 0; i < list->len; i++)
            list->items[i] = share(list->items[i], dropped);
    }
}

void vr_unshare(const void *object)
{
    vr_mutex_lock(&lock);
    if (g_hash_table_lookup(table, object) == object)
        g_hash_table_remove(table, object);
    vr_mutex_unlock(&lock);
}

unsigned vr_shared_count(void)
{
    vr_mutex_lock(&lock);
    unsigned count = table ? g_hash_table_size(table) : 0;
    vr_mutex_unlock(&lock);
    return count;
}
