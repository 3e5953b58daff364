/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/engine/rates.h"
#include "manager/rest/reading.h"

struct vr_statistics {
    struct vr_mutex lock; /* docs/threads.md: a leaf */
    GHashTable *tables[VR_KIND_COUNT]; /* id -> struct entry; NULL: none of that kind yet */
};

struct entry {
    void *object;
    GArray *rates; /* or NULL */
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

static void entry_free(gpointer data)
{
    struct entry *entry = data;
    vr_unref(entry->object);
    if (entry->rates)
        g_array_unref(entry->rates);
    g_free(entry);
}

void vr_statistics_put(struct vr_statistics *statistics, int kind, const char *id,
                       const void *object)
{
    g_assert(kind >= 0 && kind < VR_KIND_COUNT);
    vr_mutex_lock(&statistics->lock);
    GHashTable **table = &statistics->tables[kind];
    if (!*table && object)
        *table = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, entry_free);
    struct entry *entry = *table ? g_hash_table_lookup(*table, id) : NULL;
    if (object) {
        if (!entry) {
            entry = g_new0(struct entry, 1);
            g_hash_table_insert(*table, g_strdup(id), entry);
        }
        entry->rates = vr_rates_between(entry->object, object, entry->rates);
        vr_unref(entry->object);
        entry->object = vr_ref(object);
    } else if (entry) {
        g_hash_table_remove(*table, id);
    }
    vr_mutex_unlock(&statistics->lock);
}

static const struct entry *find(struct vr_statistics *statistics, int kind, const char *id)
{
    g_assert(kind >= 0 && kind < VR_KIND_COUNT);
    GHashTable *table = statistics->tables[kind];
    return table && id ? g_hash_table_lookup(table, id) : NULL;
}

void *vr_statistics_get(struct vr_statistics *statistics, int kind, const char *id)
{
    vr_mutex_lock(&statistics->lock);
    const struct entry *entry = find(statistics, kind, id);
    void *object = entry ? vr_ref(entry->object) : NULL;
    vr_mutex_unlock(&statistics->lock);
    return object;
}

bool vr_statistics_rate(struct vr_statistics *statistics, int kind, const char *id,
                        const char *device, double *ret_in, double *ret_out)
{
    vr_mutex_lock(&statistics->lock);
    const struct entry *entry = find(statistics, kind, id);
    bool found = vr_rates_find(entry ? entry->rates : NULL, device, ret_in, ret_out);
    vr_mutex_unlock(&statistics->lock);
    return found;
}
