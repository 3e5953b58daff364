/* SPDX-License-Identifier: Apache-2.0 */
#include "sim.h"

#include <stdarg.h>
#include <stdio.h>

struct event {
    int64_t at;
    uint64_t number; /* events of one time run in the order they were made */
    uint64_t incarnation;
    const char *what;
    sim_fn *fn;
    void *arg;
    GDestroyNotify done;
};

static void event_free(gpointer data)
{
    struct event *event = data;
    if (event->done)
        event->done(event->arg);
    g_free(event);
}

static gint compare_events(gconstpointer a, gconstpointer b, gpointer nothing)
{
    const struct event *x = a, *y = b;
    if (x->at != y->at)
        return x->at < y->at ? -1 : 1;
    return x->number < y->number ? -1 : x->number > y->number;
}

void sim_after(struct sim *sim, int64_t ms, uint64_t incarnation, const char *what, sim_fn *fn,
               void *arg, GDestroyNotify done)
{
    struct event *event = g_new(struct event, 1);
    *event = (struct event){ sim->now + MAX(0, ms), ++sim->last_event, incarnation, what, fn, arg,
                             done };
    g_sequence_insert_sorted(sim->queue, event, compare_events, NULL);
}

bool sim_step(struct sim *sim)
{
    GSequenceIter *first = g_sequence_get_begin_iter(sim->queue);
    if (g_sequence_iter_is_end(first))
        return false;
    struct event *event = g_sequence_get(first);
    g_sequence_set(first, NULL); /* keeps remove from freeing it */
    g_sequence_remove(first);
    sim->now = event->at;
    if (event->incarnation == 0 || event->incarnation == sim->incarnation) {
        sim->events++;
        sim_note(sim, "%s", event->what);
        vr_role_enter(&vr_role_engine);
        event->fn(sim, event->arg);
        sim_check(sim);
        vr_role_leave(&vr_role_engine);
    }
    event_free(event);
    return true;
}

int64_t sim_now(const struct sim *sim)
{
    return sim->now;
}

bool sim_calm(const struct sim *sim)
{
    return sim->calm;
}

/* xorshift128+ (Vigna 2014): small, fast and the same everywhere. */
uint64_t sim_random(struct sim *sim)
{
    uint64_t x = sim->state[0];
    const uint64_t y = sim->state[1];
    sim->state[0] = y;
    x ^= x << 23;
    sim->state[1] = x ^ y ^ (x >> 17) ^ (y >> 26);
    return sim->state[1] + y;
}

unsigned sim_below(struct sim *sim, unsigned limit)
{
    return (unsigned)((sim_random(sim) >> 11) % limit);
}

bool sim_fault(struct sim *sim, double percent)
{
    /* The number is drawn in any case, so that a calm history stays comparable. */
    bool hit = (double)(sim_random(sim) >> 11) / (double)(UINT64_C(1) << 53) * 100 < percent;
    return hit && !sim->calm;
}

void sim_note(struct sim *sim, const char *format, ...)
{
    char line[512];
    va_list args;
    va_start(args, format);
    g_vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    for (const char *c = line; *c; c++)
        sim->hash = (sim->hash ^ (uint8_t)*c) * UINT64_C(1099511628211); /* FNV-1a */
    sim->hash = (sim->hash ^ (uint64_t)sim->now) * UINT64_C(1099511628211);
    if (sim->options.trace)
        fprintf(stderr, "%9" G_GINT64_FORMAT " %s\n", sim->now, line);
}

void sim_broken(struct sim *sim, const char *format, ...)
{
    if (sim->broken)
        return;
    va_list args;
    va_start(args, format);
    sim->broken = g_strdup_vprintf(format, args);
    va_end(args);
    sim_note(sim, "BROKEN: %s", sim->broken);
}

struct sim *sim_new(const struct sim_options *options)
{
    struct sim *sim = g_new0(struct sim, 1);
    sim->options = *options;
    sim->state[0] = options->seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    sim->state[1] = options->seed ^ UINT64_C(0xd1b54a32d192ed03);
    for (unsigned i = 0; i < 16; i++)
        sim_random(sim);
    sim->hash = UINT64_C(14695981039346656037);
    sim->queue = g_sequence_new(NULL);
    sim->config = vr_config_new();
    sim->database = sim_database_new(sim);
    sim_hosts_init(sim);
    return sim;
}

void sim_free(struct sim *sim)
{
    sim_manager_done(sim);
    for (GSequenceIter *i = g_sequence_get_begin_iter(sim->queue); !g_sequence_iter_is_end(i);
         i = g_sequence_iter_next(i))
        event_free(g_sequence_get(i));
    g_sequence_free(sim->queue);
    sim_clients_done(sim);
    sim_hosts_done(sim);
    sim_database_free(sim->database);
    vr_config_free(sim->config);
    g_free(sim->broken);
    g_free(sim);
}
