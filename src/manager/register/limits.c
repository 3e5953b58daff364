/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/register/limits.h"

struct bucket {
    double permits;
    int64_t since_ms;
};

struct vr_limits {
    struct vr_limits_options options;
    struct vr_mutex lock; /* a leaf */
    struct bucket all;
    GHashTable *buckets; /* address -> struct bucket */
};

struct vr_limits *vr_limits_new(const struct vr_limits_options *options)
{
    struct vr_limits *limits = g_new0(struct vr_limits, 1);
    limits->options = *options;
    limits->all.permits = options->all_burst;
    limits->buckets = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    vr_mutex_init(&limits->lock);
    return limits;
}

void vr_limits_free(struct vr_limits *limits)
{
    if (!limits)
        return;
    g_hash_table_destroy(limits->buckets);
    vr_mutex_done(&limits->lock);
    g_free(limits);
}

static void fill(struct bucket *bucket, unsigned burst, unsigned refill_ms, int64_t now_ms)
{
    double more = (double)MAX(0, now_ms - bucket->since_ms) / refill_ms;
    bucket->permits = MIN((double)burst, bucket->permits + more);
    bucket->since_ms = now_ms;
}

/* Who has all permits again is not worth remembering; when that is not enough, all start anew. */
static void make_room(struct vr_limits *limits, int64_t now_ms)
{
    GHashTableIter iter;
    gpointer value;
    if (g_hash_table_size(limits->buckets) < limits->options.addresses)
        return;
    g_hash_table_iter_init(&iter, limits->buckets);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        fill(value, limits->options.burst, limits->options.refill_ms, now_ms);
        if (((struct bucket *)value)->permits >= limits->options.burst)
            g_hash_table_iter_remove(&iter);
    }
    if (g_hash_table_size(limits->buckets) >= limits->options.addresses)
        g_hash_table_remove_all(limits->buckets);
}

static struct bucket *bucket_of(struct vr_limits *limits, const char *address, int64_t now_ms)
{
    struct bucket *bucket = g_hash_table_lookup(limits->buckets, address);
    if (bucket) {
        fill(bucket, limits->options.burst, limits->options.refill_ms, now_ms);
        return bucket;
    }
    make_room(limits, now_ms);
    bucket = g_new(struct bucket, 1);
    *bucket = (struct bucket){ limits->options.burst, now_ms };
    g_hash_table_insert(limits->buckets, g_strdup(address), bucket);
    return bucket;
}

static int64_t wait_of(const struct bucket *bucket, unsigned refill_ms)
{
    return bucket->permits >= 1 ? 0 : (int64_t)((1 - bucket->permits) * refill_ms) + 1;
}

int64_t vr_limits_take(struct vr_limits *limits, const char *address, int64_t now_ms)
{
    vr_mutex_lock(&limits->lock);
    struct bucket *own = bucket_of(limits, address, now_ms);
    fill(&limits->all, limits->options.all_burst, limits->options.all_refill_ms, now_ms);
    int64_t wait = MAX(wait_of(own, limits->options.refill_ms),
                       wait_of(&limits->all, limits->options.all_refill_ms));
    if (wait == 0) {
        own->permits -= 1;
        limits->all.permits -= 1;
    }
    vr_mutex_unlock(&limits->lock);
    return wait;
}
