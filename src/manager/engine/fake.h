/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * fake: a world for unit tests, moved by hand.  Nothing happens by itself:
 * the clock stands, commits and host calls queue up until the test lets them
 * through.  Include it once, in the test's source.
 */

#include "manager/engine/call.h"

struct fake_call {
    uint64_t call;
    char *host_id;
    const struct vr_verb *verb;
    void *params;
    unsigned timeout_ms;
};

struct fake_errand {
    uint64_t number;
    struct vr_errand *errand;
};

struct fake {
    struct vr_world world; /* first */
    struct vr_engine *engine;
    struct vr_inventory *committed;
    struct vr_config *config;
    int64_t now;
    int64_t wake;
    uint64_t random;
    uint64_t sent, acknowledged; /* sequence numbers */
    unsigned last_count;         /* changes of the last set */
    GQueue calls;                /* struct fake_call */
    GQueue connects;             /* host ids, owned */
    GQueue errands;              /* struct fake_errand */
};

static struct fake *fake_of(struct vr_world *world)
{
    return (struct fake *)(void *)world;
}

static int64_t fake_wall(struct vr_world *world)
{
    return INT64_C(1700000000000) + fake_of(world)->now;
}

static int64_t fake_monotonic(struct vr_world *world)
{
    return fake_of(world)->now;
}

static void fake_random(struct vr_world *world, void *out, size_t size)
{
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)out)[i] =
            (uint8_t)((fake_of(world)->random = fake_of(world)->random * 6364136223846793005u + 1) >>
                      33);
}

static void fake_wake(struct vr_world *world, int64_t at)
{
    fake_of(world)->wake = at;
}

static void fake_commit(struct vr_world *world, const struct vr_change_set *set)
{
    struct fake *fake = fake_of(world);
    g_assert_cmpuint(set->sequence, ==, fake->sent + 1);
    fake->sent = set->sequence;
    fake->last_count = set->count;
}

static void fake_connect(struct vr_world *world, const struct vr_host_target *target)
{
    g_queue_push_tail(&fake_of(world)->connects, g_strdup(target->host_id));
}

static void fake_disconnect(struct vr_world *world, const char *host_id)
{
}

static void fake_host_call(struct vr_world *world, uint64_t call, const char *host_id,
                           const struct vr_verb *verb, const void *params, unsigned timeout_ms,
                           const char *correlation_id)
{
    struct fake_call *fake = g_new(struct fake_call, 1);
    *fake = (struct fake_call){ call, g_strdup(host_id), verb, vr_ref(params), timeout_ms };
    g_queue_push_tail(&fake_of(world)->calls, fake);
}

static void fake_errand(struct vr_world *world, uint64_t number, struct vr_errand *errand)
{
    struct fake_errand *fake = g_new(struct fake_errand, 1);
    *fake = (struct fake_errand){ number, errand };
    g_queue_push_tail(&fake_of(world)->errands, fake);
}

static void fake_statistics(struct vr_world *world, int kind, const char *id, const void *object)
{
}

static const struct vr_world_ops fake_ops = {
    .wall_ms = fake_wall,
    .monotonic_ms = fake_monotonic,
    .random = fake_random,
    .wake_at = fake_wake,
    .commit = fake_commit,
    .host_connect = fake_connect,
    .host_disconnect = fake_disconnect,
    .host_call = fake_host_call,
    .errand = fake_errand,
    .statistics = fake_statistics,
};

static void fake_call_free(gpointer data)
{
    struct fake_call *call = data;
    g_free(call->host_id);
    vr_unref(call->params);
    g_free(call);
}

static void fake_errand_free(gpointer data)
{
    struct fake_errand *errand = data;
    vr_errand_free(errand->errand);
    g_free(errand);
}

/* An engine that has loaded @changes (may be NULL) and started. */
static struct fake *fake_new(const GArray *changes) VR_REQUIRES(vr_role_engine)
{
    struct fake *fake = g_new0(struct fake, 1);
    fake->world.ops = &fake_ops;
    fake->wake = INT64_MAX;
    fake->committed = vr_inventory_new(false);
    fake->config = vr_config_new();
    fake->engine = vr_engine_new(&fake->world, fake->config, fake->committed);
    if (changes)
        vr_engine_load(fake->engine, (const struct vr_change *)(void *)changes->data, changes->len);
    vr_engine_start(fake->engine);
    return fake;
}

static void fake_free(struct fake *fake)
{
    vr_engine_free(fake->engine);
    vr_inventory_free(fake->committed);
    vr_config_free(fake->config);
    g_queue_clear_full(&fake->calls, fake_call_free);
    g_queue_clear_full(&fake->connects, g_free);
    g_queue_clear_full(&fake->errands, fake_errand_free);
    g_free(fake);
}

/* Acknowledges everything that was sent. */
static void fake_acknowledge(struct fake *fake) VR_REQUIRES(vr_role_engine)
{
    fake->acknowledged = fake->sent;
    vr_engine_committed(fake->engine, fake->sent);
}

/* Moves the clock, running the timers that are due on the way at their times. */
static void fake_advance(struct fake *fake, int64_t ms) VR_REQUIRES(vr_role_engine)
{
    int64_t end = fake->now + ms;
    while (fake->wake <= end) {
        fake->now = MAX(fake->now, fake->wake);
        fake->wake = INT64_MAX;
        vr_engine_tick(fake->engine);
    }
    fake->now = end;
}

/* Acknowledges and ticks until nothing more happens now. */
static void fake_settle(struct fake *fake) VR_REQUIRES(vr_role_engine)
{
    for (unsigned i = 0; i < 100 && (fake->sent > fake->acknowledged || fake->wake <= fake->now);
         i++) {
        fake_acknowledge(fake);
        fake_advance(fake, 0);
    }
}

/* Answers the oldest host call; @result may be NULL and is borrowed. */
static inline void fake_answer(struct fake *fake, const void *result, int code, const char *message)
    VR_REQUIRES(vr_role_engine)
{
    struct fake_call *call = g_queue_pop_head(&fake->calls);
    g_assert_nonnull(call);
    vr_engine_host_answer(fake->engine, call->call, result, code, message);
    fake_call_free(call);
}
