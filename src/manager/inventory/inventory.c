/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/inventory/inventory.h"

#include "manager/inventory/sorted.h"

/* The objects that share one name, or whose link points at one target, when there are several. */
struct bucket {
    char *key;
    struct vr_sorted set;
};

/*
 * Most names belong to one object and most links are the only one to their target: such an object
 * is the value itself, and the key is its own text.  Only where there are several is there a
 * bucket, which has a mark in the lowest bit of the value.
 */
struct index {
    const struct vr_field *link; /* NULL: by name */
    GHashTable *values;          /* key -> object, or marked struct bucket, which owns the key */
};

struct table {
    GHashTable *by_id; /* id inside the object -> object, one reference */
    struct vr_sorted all;
    const struct vr_field *name; /* NULL: objects of this kind have no names */
    struct index *indexes;
    unsigned index_count;
};

struct vr_inventory {
    bool shared;
    GRWLock lock; /* docs/threads.md: a leaf, nothing is taken inside it */
    struct table tables[VR_KIND_COUNT];
};

static void *mark(struct bucket *bucket)
{
    return (void *)((uintptr_t)bucket | 1);
}

/* The bucket behind a value, or NULL when that is the object itself. */
static struct bucket *bucket_of(void *value)
{
    return (uintptr_t)value & 1 ? (struct bucket *)((uintptr_t)value & ~(uintptr_t)1) : NULL;
}

static void value_free(gpointer value)
{
    struct bucket *bucket = bucket_of(value);
    if (!bucket)
        return;
    vr_sorted_done(&bucket->set);
    g_free(bucket->key);
    g_free(bucket);
}

static void add_index(struct table *table, const struct vr_field *link)
{
    table->indexes[table->index_count++] = (struct index){
        .link = link,
        .values = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, value_free),
    };
}

static void table_init(struct table *table, const struct vr_kind_info *kind)
{
    unsigned links = 0;
    while (kind->indexes && kind->indexes[links])
        links++;
    table->by_id = g_hash_table_new(g_str_hash, g_str_equal);
    table->indexes = g_new0(struct index, links + 1);
    table->name = vr_type_field(kind->type, "name");
    if (table->name && table->name->kind == VR_FIELD_STRING && !(table->name->flags & VR_FIELD_IS_LIST))
        add_index(table, NULL);
    for (unsigned i = 0; i < links; i++)
        add_index(table, kind->indexes[i]);
}

static void table_done(struct table *table)
{
    for (unsigned i = 0; i < table->index_count; i++)
        g_hash_table_destroy(table->indexes[i].values);
    g_free(table->indexes);
    g_hash_table_destroy(table->by_id);
    void **objects = g_new(void *, table->all.count);
    vr_sorted_copy(&table->all, objects);
    for (unsigned i = 0; i < table->all.count; i++)
        vr_unref(objects[i]);
    g_free(objects);
    vr_sorted_done(&table->all);
}

struct vr_inventory *vr_inventory_new(bool shared)
{
    struct vr_inventory *inventory = g_new0(struct vr_inventory, 1);
    inventory->shared = shared;
    g_rw_lock_init(&inventory->lock);
    for (int kind = 0; kind < VR_KIND_COUNT; kind++)
        table_init(&inventory->tables[kind], &vr_kinds[kind]);
    return inventory;
}

void vr_inventory_free(struct vr_inventory *inventory)
{
    if (!inventory)
        return;
    for (int kind = 0; kind < VR_KIND_COUNT; kind++)
        table_done(&inventory->tables[kind]);
    g_rw_lock_clear(&inventory->lock);
    g_free(inventory);
}

/* --- change --- */

/* What @object is filed under in @index, or NULL.  Borrowed from the object. */
static const char *key_of(const struct table *table, const struct index *index, const void *object)
{
    if (!object)
        return NULL;
    if (!index->link)
        return *(char **)vr_member(object, table->name);
    const void *stub = *(void **)vr_member(object, index->link);
    return stub ? vr_id(stub) : NULL;
}

static void unfile(struct index *index, const char *key, const char *id)
{
    void *value = g_hash_table_lookup(index->values, key);
    struct bucket *bucket = bucket_of(value);
    if (bucket)
        vr_sorted_remove(&bucket->set, id);
    if (value && (!bucket || bucket->set.count == 0))
        g_hash_table_remove(index->values, key);
}

/* Makes a bucket of what has been alone. */
static struct bucket *gather(struct index *index, const char *key, void *alone)
{
    struct bucket *bucket = g_new0(struct bucket, 1);
    bucket->key = g_strdup(key);
    vr_sorted_put(&bucket->set, alone);
    g_hash_table_replace(index->values, bucket->key, mark(bucket));
    return bucket;
}

/* @key is the object's own text. */
static void file(struct index *index, const char *key, void *object)
{
    void *value = g_hash_table_lookup(index->values, key);
    struct bucket *bucket = bucket_of(value);
    if (value && !bucket && strcmp(vr_id(value), vr_id(object)) != 0)
        bucket = gather(index, key, value);
    if (bucket)
        vr_sorted_put(&bucket->set, object);
    else /* also in place of its last version, whose text the key was */
        g_hash_table_replace(index->values, (char *)(uintptr_t)key, object);
}

static void refile(struct table *table, const void *before, void *after, const char *id)
{
    for (unsigned i = 0; i < table->index_count; i++) {
        struct index *index = &table->indexes[i];
        const char *old = key_of(table, index, before), *new = key_of(table, index, after);
        if (old && g_strcmp0(old, new) != 0)
            unfile(index, old, id);
        if (new)
            file(index, new, after); /* also where the key is the same: the version is new */
    }
}

static void apply_one(struct table *table, const struct vr_change *change)
{
    void *before = g_hash_table_lookup(table->by_id, change->id);
    void *after = vr_ref(change->after);
    g_assert(!after || g_strcmp0(vr_id(after), change->id) == 0);

    refile(table, before, after, change->id);
    if (after) {
        g_hash_table_replace(table->by_id, (char *)(uintptr_t)vr_id(after), after);
        vr_sorted_put(&table->all, after);
    } else if (before) {
        g_hash_table_remove(table->by_id, change->id);
        vr_sorted_remove(&table->all, change->id);
    }
    vr_unref(before);
}

void vr_inventory_apply(struct vr_inventory *inventory, const struct vr_change *changes,
                        unsigned count)
{
    if (inventory->shared)
        g_rw_lock_writer_lock(&inventory->lock);
    for (unsigned i = 0; i < count; i++) {
        g_assert(changes[i].kind >= 0 && changes[i].kind < VR_KIND_COUNT);
        apply_one(&inventory->tables[changes[i].kind], &changes[i]);
    }
    if (inventory->shared)
        g_rw_lock_writer_unlock(&inventory->lock);
}

/* --- reading --- */

static const struct table *read_begin(struct vr_inventory *inventory, int kind)
{
    g_assert(kind >= 0 && kind < VR_KIND_COUNT);
    if (inventory->shared)
        g_rw_lock_reader_lock(&inventory->lock);
    return &inventory->tables[kind];
}

static void read_end(struct vr_inventory *inventory)
{
    if (inventory->shared)
        g_rw_lock_reader_unlock(&inventory->lock);
}

const void *vr_inventory_peek(struct vr_inventory *inventory, int kind, const char *id)
{
    g_assert(!inventory->shared && kind >= 0 && kind < VR_KIND_COUNT);
    return id ? g_hash_table_lookup(inventory->tables[kind].by_id, id) : NULL;
}

void *vr_inventory_get(struct vr_inventory *inventory, int kind, const char *id)
{
    if (!id)
        return NULL;
    const struct table *table = read_begin(inventory, kind);
    void *object = vr_ref(g_hash_table_lookup(table->by_id, id));
    read_end(inventory);
    return object;
}

void vr_objects_clear(struct vr_objects *objects)
{
    for (unsigned i = 0; i < objects->count; i++)
        vr_unref(objects->items[i]);
    g_free(objects->items);
    *objects = (struct vr_objects){ 0 };
}

/* @set may be NULL. */
static void take_all(const struct vr_sorted *set, struct vr_objects *ret_objects)
{
    *ret_objects = (struct vr_objects){ 0 };
    if (!set || set->count == 0)
        return;
    ret_objects->count = set->count;
    ret_objects->items = g_new(void *, set->count);
    vr_sorted_copy(set, ret_objects->items);
    for (unsigned i = 0; i < set->count; i++)
        vr_ref(ret_objects->items[i]);
}

/* What is filed under @key.  Aborts when there is no such index: a misspelt name must not look like
 * an empty answer. */
static void *find_value(const struct table *table, const char *wire_name, const char *key)
{
    for (unsigned i = 0; i < table->index_count; i++) {
        const struct vr_field *link = table->indexes[i].link;
        if (wire_name ? link && strcmp(link->name, wire_name) == 0 : !link)
            return key ? g_hash_table_lookup(table->indexes[i].values, key) : NULL;
    }
    if (wire_name)
        g_error("inventory: no index by %s", wire_name);
    return NULL;
}

static void take_value(void *value, struct vr_objects *ret_objects)
{
    struct bucket *bucket = bucket_of(value);
    *ret_objects = (struct vr_objects){ 0 };
    if (bucket) {
        take_all(&bucket->set, ret_objects);
    } else if (value) {
        ret_objects->items = g_new(void *, 1);
        ret_objects->items[0] = vr_ref(value);
        ret_objects->count = 1;
    }
}

void vr_inventory_list(struct vr_inventory *inventory, int kind, struct vr_objects *ret_objects)
{
    const struct table *table = read_begin(inventory, kind);
    take_all(&table->all, ret_objects);
    read_end(inventory);
}

void vr_inventory_list_by(struct vr_inventory *inventory, int kind, const char *wire_name,
                          const char *target_id, struct vr_objects *ret_objects)
{
    const struct table *table = read_begin(inventory, kind);
    take_value(find_value(table, wire_name, target_id), ret_objects);
    read_end(inventory);
}

unsigned vr_inventory_count(struct vr_inventory *inventory, int kind)
{
    const struct table *table = read_begin(inventory, kind);
    unsigned count = table->all.count;
    read_end(inventory);
    return count;
}

unsigned vr_inventory_count_by(struct vr_inventory *inventory, int kind, const char *wire_name,
                               const char *target_id)
{
    const struct table *table = read_begin(inventory, kind);
    void *value = find_value(table, wire_name, target_id);
    const struct bucket *bucket = bucket_of(value);
    unsigned count = bucket ? bucket->set.count : value ? 1 : 0;
    read_end(inventory);
    return count;
}

void *vr_inventory_get_named(struct vr_inventory *inventory, int kind, const char *name)
{
    const struct table *table = read_begin(inventory, kind);
    void *value = find_value(table, NULL, name);
    const struct bucket *bucket = bucket_of(value);
    void *object = vr_ref(bucket ? vr_sorted_first(&bucket->set) : value);
    read_end(inventory);
    return object;
}

void vr_inventory_list_named(struct vr_inventory *inventory, int kind, const char *name,
                             struct vr_objects *ret_objects)
{
    const struct table *table = read_begin(inventory, kind);
    take_value(find_value(table, NULL, name), ret_objects);
    read_end(inventory);
}
