/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/engine/internal.h"

static bool earlier(const struct timer *a, const struct timer *b)
{
    return a->at != b->at ? a->at < b->at : a->id < b->id;
}

static struct timer *heap_at(GPtrArray *heap, unsigned place)
{
    return g_ptr_array_index(heap, place);
}

static void heap_set(GPtrArray *heap, unsigned place, struct timer *timer)
{
    g_ptr_array_index(heap, place) = timer;
    timer->place = place;
}

static void sift_up(GPtrArray *heap, unsigned place)
{
    struct timer *timer = heap_at(heap, place);
    while (place > 0 && earlier(timer, heap_at(heap, (place - 1) / 2))) {
        heap_set(heap, place, heap_at(heap, (place - 1) / 2));
        place = (place - 1) / 2;
    }
    heap_set(heap, place, timer);
}

static void sift_down(GPtrArray *heap, unsigned place)
{
    struct timer *timer = heap_at(heap, place);
    for (;;) {
        unsigned child = place * 2 + 1;
        if (child >= heap->len)
            break;
        if (child + 1 < heap->len && earlier(heap_at(heap, child + 1), heap_at(heap, child)))
            child++;
        if (!earlier(heap_at(heap, child), timer))
            break;
        heap_set(heap, place, heap_at(heap, child));
        place = child;
    }
    heap_set(heap, place, timer);
}

static void heap_remove(GPtrArray *heap, unsigned place)
{
    struct timer *last = heap_at(heap, heap->len - 1);
    g_ptr_array_set_size(heap, (int)heap->len - 1);
    if (place == heap->len)
        return;
    heap_set(heap, place, last);
    sift_up(heap, place);
    sift_down(heap, last->place);
}

static void timer_free(void *data)
{
    struct timer *timer = data;
    if (timer->release)
        timer->release(timer->arg);
    g_free(timer);
}

void timers_init(struct vr_engine *engine)
{
    engine->heap = g_ptr_array_new();
    engine->timers = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, timer_free);
    engine->wake_asked = INT64_MAX;
}

void timers_done(struct vr_engine *engine)
{
    g_ptr_array_free(engine->heap, TRUE);
    g_hash_table_destroy(engine->timers);
}

/* Tells the world when the first timer is due, unless it knows an earlier time already. */
static void ask_to_wake(struct vr_engine *engine)
{
    if (engine->heap->len == 0)
        return;
    int64_t at = heap_at(engine->heap, 0)->at;
    if (at >= engine->wake_asked)
        return;
    engine->wake_asked = at;
    engine->world->ops->wake_at(engine->world, at);
}

uint64_t vr_engine_after_with(struct vr_engine *engine, int64_t ms, vr_timer_fn *fn, void *arg,
                              GDestroyNotify release)
{
    struct timer *timer = g_new0(struct timer, 1);
    timer->id = ++engine->last_timer;
    timer->at = engine->world->ops->monotonic_ms(engine->world) + MAX(0, ms);
    timer->fn = fn;
    timer->arg = arg;
    timer->release = release;
    g_hash_table_insert(engine->timers, &timer->id, timer);
    g_ptr_array_add(engine->heap, timer);
    sift_up(engine->heap, engine->heap->len - 1);
    ask_to_wake(engine);
    return timer->id;
}

uint64_t vr_engine_after(struct vr_engine *engine, int64_t ms, vr_timer_fn *fn, void *arg)
{
    return vr_engine_after_with(engine, ms, fn, arg, NULL);
}

void vr_engine_cancel(struct vr_engine *engine, uint64_t id)
{
    struct timer *timer = g_hash_table_lookup(engine->timers, &id);
    if (!timer)
        return;
    heap_remove(engine->heap, timer->place);
    g_hash_table_remove(engine->timers, &id);
}

/* Timers that the ones run here start with 0 ms run in the next tick: nobody starves the mailbox. */
void timers_run(struct vr_engine *engine)
{
    int64_t now = engine->world->ops->monotonic_ms(engine->world);
    uint64_t last = engine->last_timer;
    engine->wake_asked = INT64_MAX;
    while (engine->heap->len > 0) {
        struct timer *timer = heap_at(engine->heap, 0);
        if (timer->at > now || timer->id > last)
            break;
        heap_remove(engine->heap, 0);
        g_hash_table_steal(engine->timers, &timer->id);
        timer->fn(engine, timer->arg);
        timer_free(timer);
    }
    ask_to_wake(engine);
}
