/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/rest/reading.h"

struct vr_statistics {
    struct vr_mutex lock; /* docs/threads.md: a leaf */
    GHashTable *tables[VR_KIND_COUNT]; /* id -> object; NULL: none of that kind yet */
};

struct vr_statistics *vr_statistics_new(void)
{
    struct vr_statistics *statistics = g_new0(struct vr_statistics, 1);
    vr_mutex_init(&statistics->lock);
    return statistics;
}

void vr_statistics_free(struct vr_statistics *statistics)
{
    if (!statistics)
        return;
    for (unsigned kind = 0; kind < VR_KIND_COUNT; kind++)
        g_clear_pointer(&statistics->tables[kind], g_hash_table_destroy);
    vr_mutex_done(&statistics->lock);
    g_free(statistics);
}

static void unref(gpointer object)
{
    vr_unref(object);
}

void vr_statistics_put(struct vr_statistics *statistics, int kind, const char *id,
                       const void *object)
{
    g_assert(kind >= 0 && kind < VR_KIND_COUNT);
    vr_mutex_lock(&statistics->lock);
    GHashTable **table = &statistics->tables[kind];
    if (!*table && object)
        *table = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, unref);
    if (object)
        g_hash_table_insert(*table, g_strdup(id), vr_ref(object));
    else if (*table)
        g_hash_table_remove(*table, id);
    vr_mutex_unlock(&statistics->lock);
}

void *vr_statistics_get(struct vr_statistics *statistics, int kind, const char *id)
{
    g_assert(kind >= 0 && kind < VR_KIND_COUNT);
    vr_mutex_lock(&statistics->lock);
    GHashTable *table = statistics->tables[kind];
    void *object = table && id ? vr_ref(g_hash_table_lookup(table, id)) : NULL;
    vr_mutex_unlock(&statistics->lock);
    return object;
}
