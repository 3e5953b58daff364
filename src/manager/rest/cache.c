/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/rest/exchange.h"

struct key {
    const void *object;
    const char *prefix; /* one of two constants */
    enum vr_media media;
};

struct text {
    struct key key;
    size_t length;
    char bytes[];
};

struct vr_cache {
    GRWLock lock; /* a leaf */
    GHashTable *texts; /* the key inside a text → the text */
    size_t bytes, max;
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

static void text_free(gpointer pointer)
{
    struct text *text = pointer;
    vr_unref(text->key.object);
    g_free(text);
}

struct vr_cache *vr_cache_new(size_t bytes)
{
    struct vr_cache *cache = g_new0(struct vr_cache, 1);
    g_rw_lock_init(&cache->lock);
    cache->texts = g_hash_table_new_full(key_hash, key_equal, NULL, text_free);
    cache->max = bytes;
    return cache;
}

void vr_cache_free(struct vr_cache *cache)
{
    if (!cache)
        return;
    g_hash_table_unref(cache->texts);
    g_rw_lock_clear(&cache->lock);
    g_free(cache);
}

bool vr_cache_append(struct vr_cache *cache, const void *object, const char *prefix,
                     enum vr_media media, GString *out)
{
    const struct key key = { object, prefix, media };
    g_rw_lock_reader_lock(&cache->lock);
    const struct text *text = g_hash_table_lookup(cache->texts, &key);
    if (text)
        g_string_append_len(out, text->bytes, (gssize)text->length);
    g_rw_lock_reader_unlock(&cache->lock);
    return text != NULL;
}

void vr_cache_put(struct vr_cache *cache, const void *object, const char *prefix,
                  enum vr_media media, const char *bytes, size_t length)
{
    if (length > cache->max / 64)
        return;
    struct text *text = g_malloc(sizeof(*text) + length);
    text->key = (struct key){ vr_ref(object), prefix, media };
    text->length = length;
    memcpy(text->bytes, bytes, length);
    GHashTable *old = NULL;
    g_rw_lock_writer_lock(&cache->lock);
    if (cache->bytes + length > cache->max) { /* rare; versions that are gone go with it */
        old = cache->texts;
        cache->texts = g_hash_table_new_full(key_hash, key_equal, NULL, text_free);
        cache->bytes = 0;
    }
    /* Two threads may have rendered the same; the second text takes the first one's place. */
    g_hash_table_replace(cache->texts, &text->key, text);
    cache->bytes += length;
    g_rw_lock_writer_unlock(&cache->lock);
    if (old)
        g_hash_table_unref(old);
}
