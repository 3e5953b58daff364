/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/rest/exchange.h"

/*
 * Two generations: texts go into the young one, which becomes the old one when it has half of the
 * bytes; then what nobody has asked for since goes.  So a list of everything, larger than the
 * cache, costs what is asked for often its place once and not every time.
 */

struct key {
    const void *object;
    const char *prefix; /* one of two constants */
    enum vr_media media;
};

struct entry {
    struct key key;
    struct vr_text *text;
};

struct vr_cache {
    GRWLock lock;            /* a leaf */
    GHashTable *young, *old; /* the key inside an entry → the entry */
    size_t young_bytes, max;
};

static guint key_hash(gconstpointer pointer)
{
    const struct key *key = pointer;
    uint64_t mixed = ((uintptr_t)key->object >> 4) * UINT64_C(0x9E3779B97F4A7C15);
    return (guint)(mixed >> 32) ^ (guint)key->media ^ g_direct_hash(key->prefix);
}

static gboolean key_equal(gconstpointer a, gconstpointer b)
{
    const struct key *left = a, *right = b;
    return left->object == right->object && left->prefix == right->prefix &&
           left->media == right->media;
}

static void entry_free(gpointer pointer)
{
    struct entry *entry = pointer;
    vr_unref(entry->key.object);
    vr_text_unref(entry->text);
    g_free(entry);
}

static GHashTable *generation_new(void)
{
    return g_hash_table_new_full(key_hash, key_equal, NULL, entry_free);
}

struct vr_cache *vr_cache_new(size_t bytes)
{
    struct vr_cache *cache = g_new0(struct vr_cache, 1);
    g_rw_lock_init(&cache->lock);
    cache->young = generation_new();
    cache->old = generation_new();
    cache->max = bytes;
    return cache;
}

void vr_cache_free(struct vr_cache *cache)
{
    if (!cache)
        return;
    g_hash_table_unref(cache->young);
    g_hash_table_unref(cache->old);
    g_rw_lock_clear(&cache->lock);
    g_free(cache);
}

void vr_cache_get(struct vr_cache *cache, void *const *objects, unsigned count, const char *prefix,
                  enum vr_media media, struct vr_text **ret_texts)
{
    g_autofree bool *is_old = g_new0(bool, count);
    bool any_old = false;
    g_rw_lock_reader_lock(&cache->lock);
    for (unsigned i = 0; i < count; i++) {
        const struct key key = { objects[i], prefix, media };
        const struct entry *entry = g_hash_table_lookup(cache->young, &key);
        if (!entry) {
            entry = g_hash_table_lookup(cache->old, &key);
            any_old |= is_old[i] = entry != NULL;
        }
        ret_texts[i] = entry ? vr_text_ref(entry->text) : NULL;
    }
    g_rw_lock_reader_unlock(&cache->lock);
    for (unsigned i = 0; any_old && i < count; i++)
        if (is_old[i])
            vr_cache_put(cache, objects[i], prefix, media, ret_texts[i]);
}

void vr_cache_put(struct vr_cache *cache, const void *object, const char *prefix,
                  enum vr_media media, struct vr_text *text)
{
    if (text->length > cache->max / 64)
        return;
    struct entry *entry = g_new(struct entry, 1);
    *entry = (struct entry){ { vr_ref(object), prefix, media }, vr_text_ref(text) };
    GHashTable *gone = NULL;
    g_rw_lock_writer_lock(&cache->lock);
    if (cache->young_bytes + text->length > cache->max / 2) {
        gone = cache->old;
        cache->old = cache->young;
        cache->young = generation_new();
        cache->young_bytes = 0;
    }
    /* Two threads may have rendered the same; the second text takes the first one's place. */
    if (g_hash_table_replace(cache->young, &entry->key, entry))
        cache->young_bytes += text->length;
    g_rw_lock_writer_unlock(&cache->lock);
    if (gone)
        g_hash_table_unref(gone);
}
