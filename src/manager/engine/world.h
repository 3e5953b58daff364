/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * world: everything that the engine asks of what is outside it, in one narrow
 * table.  The real world (engine/real.c) hands work to I/O threads; the
 * simulated one (tests/simulation) is a whole site in one process.  No other
 * code of the Manager that runs on the engine thread may read a clock, a
 * random source, a socket or a file.
 *
 * Nothing here blocks, and nothing calls back before it has returned: answers
 * come as vr_engine_…() calls on the engine thread.
 */

#include "manager/engine/errand.h"
#include "manager/inventory/inventory.h"
#include "model/host.h"

struct vr_world;

/* One transaction on its way to the database. */
struct vr_change_set {
    uint64_t sequence; /* 1, 2, 3 … in the order the engine decided */
    struct vr_change *changes;
    unsigned count;
};

struct vr_host_target {
    const char *host_id; /* the entity's id */
    const char *address;
    unsigned port;
};

struct vr_world_ops {
    int64_t (*wall_ms)(struct vr_world *world);      /* epoch; for dates that people see */
    int64_t (*monotonic_ms)(struct vr_world *world); /* for every interval */
    void (*random)(struct vr_world *world, void *out, size_t size);

    /* Wake the engine (vr_engine_tick()) no later than this; the last call counts. */
    void (*wake_at)(struct vr_world *world, int64_t monotonic_ms);

    /* Make durable, in this order; answered by vr_engine_committed(sequence), cumulative.  @set is
     * borrowed: the world takes the references it needs. */
    void (*commit)(struct vr_world *world, const struct vr_change_set *set);

    /* A connection that the engine wants open; the world reports vr_engine_host_state() once it is
     * up, and once when it fails or is lost; the engine asks again when it wants another try. */
    void (*host_connect)(struct vr_world *world, const struct vr_host_target *target);
    void (*host_disconnect)(struct vr_world *world, const char *host_id);
    /* Answered exactly once by vr_engine_host_answer(call), also when the connection is lost. */
    void (*host_call)(struct vr_world *world, uint64_t call, const char *host_id,
                      const struct vr_verb *verb, const void *params, unsigned timeout_ms,
                      const char *correlation_id);
    /* Work that blocks.  Takes @errand; answered exactly once by vr_engine_errand_done(number). */
    void (*errand)(struct vr_world *world, uint64_t number, struct vr_errand *errand);
    /* Latest statistics for readers; not durable.  Takes a reference; NULL forgets. */
    void (*statistics)(struct vr_world *world, int kind, const char *id, const void *object);
};

struct vr_world {
    const struct vr_world_ops *ops;
};

/* RPC code of "no answer: connection lost, refused or timed out" (facts/host-rpc.md 3.1). */
#define VR_RPC_NETWORK_ERROR 5022
/* RPC code of an agent that is recovering. */
#define VR_RPC_RECOVERING 99
