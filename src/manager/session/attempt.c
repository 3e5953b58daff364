/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/session/attempt.h"

/* Names and addresses that are remembered; beyond this the oldest knowledge goes. */
#define ENTRIES_MAX 50000
#define DELAY_MAX_MS 32000
#define FORGET_MS (60 * 60 * 1000)
#define FREE_ATTEMPTS 3

struct count {
    unsigned failures;
    unsigned pending; /* begun and not ended */
    int64_t last_ms;
    int64_t locked_until_ms;
};

struct vr_attempts {
    GMutex mutex;
    GHashTable *pairs; /* "user\naddress" → struct count */
    GHashTable *users; /* user → struct count */
    unsigned failures;
    int64_t lock_ms;
};

struct vr_attempts *vr_attempts_new(unsigned failures, int64_t lock_ms)
{
    struct vr_attempts *attempts = g_new0(struct vr_attempts, 1);
    g_mutex_init(&attempts->mutex);
    attempts->pairs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    attempts->users = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    attempts->failures = failures;
    attempts->lock_ms = lock_ms;
    return attempts;
}

void vr_attempts_free(struct vr_attempts *attempts)
{
    g_hash_table_unref(attempts->pairs);
    g_hash_table_unref(attempts->users);
    g_mutex_clear(&attempts->mutex);
    g_free(attempts);
}

static gboolean stale(gpointer key, gpointer value, gpointer now_ms)
{
    const struct count *count = value;
    return *(int64_t *)now_ms - count->last_ms > FORGET_MS &&
           *(int64_t *)now_ms >= count->locked_until_ms;
}

static struct count *entry(GHashTable *table, const char *key, int64_t now_ms)
{
    struct count *count = g_hash_table_lookup(table, key);
    if (count && stale(NULL, count, &now_ms))
        *count = (struct count){ .last_ms = now_ms };
    if (count)
        return count;
    if (g_hash_table_size(table) >= ENTRIES_MAX)
        g_hash_table_foreach_remove(table, stale, &now_ms);
    if (g_hash_table_size(table) >= ENTRIES_MAX)
        g_hash_table_remove_all(table);
    count = g_new0(struct count, 1);
    count->last_ms = now_ms;
    g_hash_table_insert(table, g_strdup(key), count);
    return count;
}

static char *pair_key(const char *user, const char *address)
{
    g_autofree char *lower = g_utf8_strdown(user, -1);
    return g_strconcat(lower, "\n", address, NULL);
}

int64_t vr_attempts_begin(struct vr_attempts *attempts, const char *user, const char *address,
                          int64_t now_ms)
{
    g_autofree char *key = pair_key(user, address);
    g_mutex_lock(&attempts->mutex);
    struct count *count = entry(attempts->pairs, key, now_ms);
    unsigned before = count->failures + count->pending++;
    bool blameless = count->failures == 0;
    count->last_ms = now_ms;
    g_mutex_unlock(&attempts->mutex);
    if (before < FREE_ATTEMPTS)
        return 0;
    unsigned doublings = blameless ? 0 : MIN(before - FREE_ATTEMPTS, 10);
    return MIN((int64_t)1000 << doublings, DELAY_MAX_MS);
}

void vr_attempts_dropped(struct vr_attempts *attempts, const char *user, const char *address)
{
    g_autofree char *key = pair_key(user, address);
    g_mutex_lock(&attempts->mutex);
    struct count *count = g_hash_table_lookup(attempts->pairs, key);
    if (count && count->pending)
        count->pending--;
    g_mutex_unlock(&attempts->mutex);
}

void vr_attempts_succeeded(struct vr_attempts *attempts, const char *user, const char *address)
{
    g_autofree char *key = pair_key(user, address);
    g_autofree char *lower = g_utf8_strdown(user, -1);
    g_mutex_lock(&attempts->mutex);
    g_hash_table_remove(attempts->pairs, key);
    g_hash_table_remove(attempts->users, lower);
    g_mutex_unlock(&attempts->mutex);
}

bool vr_attempts_failed(struct vr_attempts *attempts, const char *user, const char *address,
                        int64_t now_ms)
{
    g_autofree char *key = pair_key(user, address);
    g_autofree char *lower = g_utf8_strdown(user, -1);
    g_mutex_lock(&attempts->mutex);
    struct count *pair = entry(attempts->pairs, key, now_ms);
    pair->failures++;
    pair->pending -= pair->pending ? 1 : 0;
    pair->last_ms = now_ms;
    struct count *count = entry(attempts->users, lower, now_ms);
    if (count->locked_until_ms && now_ms >= count->locked_until_ms)
        *count = (struct count){ 0 };
    count->last_ms = now_ms;
    bool locks = ++count->failures >= attempts->failures && !count->locked_until_ms;
    if (locks)
        count->locked_until_ms = now_ms + attempts->lock_ms;
    g_mutex_unlock(&attempts->mutex);
    return locks;
}

bool vr_attempts_locked(struct vr_attempts *attempts, const char *user, int64_t now_ms)
{
    g_autofree char *lower = g_utf8_strdown(user, -1);
    g_mutex_lock(&attempts->mutex);
    struct count *count = g_hash_table_lookup(attempts->users, lower);
    bool locked = count && now_ms < count->locked_until_ms;
    g_mutex_unlock(&attempts->mutex);
    return locked;
}
