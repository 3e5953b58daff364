/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/engine/internal.h"

/* Hosts that are expected, and who waits for them to come. */

struct waiter {
    vr_timer_fn *fn;
    void *arg;
};

static void waiters_free(gpointer waiters)
{
    g_array_free(waiters, TRUE);
}

void awaited_init(struct vr_engine *engine)
{
    engine->expected = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, waiters_free);
}

void awaited_done(struct vr_engine *engine)
{
    g_hash_table_destroy(engine->expected);
}

void vr_engine_host_expect(struct vr_engine *engine, const char *host_id, bool expected)
{
    GArray *waiters = g_hash_table_lookup(engine->expected, host_id);
    if (expected == (waiters != NULL))
        return;
    if (expected) {
        g_hash_table_insert(engine->expected, g_strdup(host_id),
                            g_array_new(FALSE, FALSE, sizeof(struct waiter)));
        return;
    }
    for (unsigned i = 0; i < waiters->len; i++) {
        const struct waiter *waiter = &g_array_index(waiters, struct waiter, i);
        vr_engine_after(engine, 0, waiter->fn, waiter->arg); /* in the order they came */
    }
    g_hash_table_remove(engine->expected, host_id);
}

bool vr_engine_host_wait(struct vr_engine *engine, const char *host_id, vr_timer_fn *fn, void *arg)
{
    GArray *waiters = host_id ? g_hash_table_lookup(engine->expected, host_id) : NULL;
    if (!waiters)
        return false;
    const struct waiter waiter = { fn, arg };
    g_array_append_val(waiters, waiter);
    return true;
}
