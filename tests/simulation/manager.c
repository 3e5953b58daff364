/* SPDX-License-Identifier: Apache-2.0 */
#include "sim.h"

#include "hosts.h"

static struct sim *of(struct vr_world *world)
{
    return (struct sim *)(void *)((char *)world - offsetof(struct sim, world));
}

static int64_t wall_ms(struct vr_world *world)
{
    /* 2024-01-01 */
    return of(world)->now + of(world)->wall_offset + INT64_C(1704067200000);
}

static int64_t monotonic_ms(struct vr_world *world)
{
    return of(world)->now + of(world)->monotonic_offset;
}

static void fill_random(struct vr_world *world, void *out, size_t size)
{
    uint8_t *bytes = out;
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(sim_random(of(world)) >> 24);
}

static void tick(struct sim *sim, void *arg) VR_REQUIRES(vr_role_engine)
{
    if (*(uint64_t *)arg == sim->wake)
        vr_engine_tick(sim->engine);
}

static void wake_at(struct vr_world *world, int64_t at)
{
    struct sim *sim = of(world);
    sim->wake++;
    sim_after(sim, at - monotonic_ms(world), sim->incarnation, "tick", tick,
              g_memdup2(&sim->wake, sizeof(sim->wake)), g_free);
}

static void commit(struct vr_world *world, const struct vr_change_set *set)
{
    sim_database_commit(of(world)->database, set);
}

static void put_statistics(struct vr_world *world, int kind, const char *id, const void *object)
{
}

/* Lost between the threads and the engine when the Manager is killed; otherwise it comes back. */
struct sim_errand {
    uint64_t number;
    struct vr_errand *errand;
};

static void errand_free(gpointer data)
{
    struct sim_errand *out = data;
    vr_errand_free(out->errand);
    g_free(out);
}

static void errand_back(struct sim *sim, void *arg) VR_REQUIRES(vr_role_engine)
{
    struct sim_errand *out = arg;
    vr_engine_errand_done(sim->engine, out->number, g_steal_pointer(&out->errand));
}

static void run_errand(struct vr_world *world, uint64_t number, struct vr_errand *errand)
{
    struct sim *sim = of(world);
    struct sim_errand *out = g_new(struct sim_errand, 1);
    *out = (struct sim_errand){ number, errand };
    sim_errand_run(sim, errand);
    sim_after(sim, 1 + sim_below(sim, 3000), sim->incarnation, "errand", errand_back, out,
              errand_free);
}

static const struct vr_world_ops ops = {
    .wall_ms = wall_ms,
    .monotonic_ms = monotonic_ms,
    .random = fill_random,
    .wake_at = wake_at,
    .commit = commit,
    .host_connect = sim_host_connect,
    .host_disconnect = sim_host_disconnect,
    .host_call = sim_host_call,
    .errand = run_errand,
    .statistics = put_statistics,
};

void sim_manager_start(struct sim *sim)
{
    sim->incarnation++;
    sim->world.ops = &ops;
    sim->monotonic_offset = (int64_t)sim_below(sim, 1000000);
    if (sim_fault(sim, 20))
        sim->wall_offset += (int64_t)sim_below(sim, 7200000) - 3600000;
    sim->committed = vr_inventory_new(false);
    sim->engine = vr_engine_new(&sim->world, sim->config, sim->committed);
    vr_role_enter(&vr_role_engine);
    sim_database_load(sim->database, sim->engine);
    vr_engine_start(sim->engine);
    sim_clients_restarted(sim);
    vr_role_leave(&vr_role_engine);
}

void sim_manager_done(struct sim *sim)
{
    g_clear_pointer(&sim->engine, vr_engine_free);
    g_clear_pointer(&sim->committed, vr_inventory_free);
}

static void start_again(struct sim *sim, void *nothing) VR_NO_THREAD_SAFETY
{
    sim_manager_start(sim);
}

void sim_manager_kill(struct sim *sim)
{
    sim_note(sim, "the Manager is killed");
    sim_database_crash(sim->database);
    sim_hosts_crash(sim);
    sim_clients_killed(sim);
    sim_manager_done(sim);
    sim->incarnation++; /* nothing on its way to the old one arrives */
    sim_after(sim, 1 + sim_below(sim, 3000), 0, "the Manager starts", start_again, NULL, NULL);
}

struct vr_engine *sim_engine(struct sim *sim)
{
    return sim->engine;
}

struct vr_inventory *sim_committed(struct sim *sim)
{
    return sim->committed;
}

uint64_t sim_incarnation(const struct sim *sim)
{
    return sim->incarnation;
}
