/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files of `engine` and `job` share. */

#include "manager/engine/call.h"
#include "manager/engine/engine.h"

struct pending_commit;
struct jobs;
struct flood;

struct timer {
    uint64_t id;
    int64_t at; /* monotonic ms */
    vr_timer_fn *fn;
    void *arg;
    GDestroyNotify release; /* of @arg; may be NULL */
    unsigned place;         /* in the heap */
};

struct vr_engine {
    struct vr_world *world;
    const struct vr_config *config;
    struct vr_inventory *head;
    struct vr_inventory *committed;
    bool started;

    /* timers: a heap by time, then id, so that equal times run in the order they were asked for */
    GPtrArray *heap;
    GHashTable *timers; /* id -> struct timer, which it owns */
    uint64_t last_timer;
    int64_t wake_asked; /* the last wake_at() not yet due, or INT64_MAX */

    /* transactions */
    GQueue pending; /* struct pending_commit, oldest first: decided, not yet acknowledged */
    uint64_t last_sequence;
    int64_t last_rev;
    bool database_up;

    /* host calls */
    GHashTable *host_calls; /* call -> struct host_call */
    uint64_t last_host_call;
    GHashTable *expected; /* host id -> who waits for it (awaited.c) */

    /* errands that are out */
    GHashTable *errands; /* number -> struct pending_errand */
    uint64_t last_errand;

    /* calls of REST that have not ended; parked: not begun, for want of a database */
    GQueue calls;

    struct jobs *jobs;
    struct flood *flood;
    int64_t last_event;

    void **module_states; /* as vr_modules[] */
    unsigned modules_started;
};

/* awaited.c */
void awaited_init(struct vr_engine *engine);
void awaited_done(struct vr_engine *engine);

/* errand.c */
void errands_init(struct vr_engine *engine);
void errands_done(struct vr_engine *engine);

/* timers.c */
void timers_init(struct vr_engine *engine);
void timers_done(struct vr_engine *engine);
void timers_run(struct vr_engine *engine) VR_REQUIRES(vr_role_engine);

/* txn.c */
void commits_done(struct vr_engine *engine);
/* Called once when the transaction ends: committed (the head shows it) or abandoned. */
typedef void txn_end_fn(struct vr_engine *engine, bool committed, void *arg);
void txn_at_end(struct vr_txn *txn, txn_end_fn *fn, void *arg);
/* As the callback of vr_txn_commit(), any number of them; never called when it is abandoned. */
void txn_when_durable(struct vr_txn *txn, vr_commit_fn *fn, void *arg);

/* The @n-th entity that the transaction touches, in the order they came; false when there is none. */
bool txn_touches(struct vr_txn *txn, unsigned n, int *ret_kind, const char **ret_id);

/* call.c (calls of REST) */
void calls_database(struct vr_engine *engine) VR_REQUIRES(vr_role_engine);
void calls_done(struct vr_engine *engine);

/* events.c */
void events_start(struct vr_engine *engine) VR_REQUIRES(vr_role_engine);
void events_done(struct vr_engine *engine);

/* job/job.c: load rebuilds the table of locks, start goes on with what had not ended. */
void vr_jobs_load(struct vr_engine *engine) VR_REQUIRES(vr_role_engine);
void vr_jobs_start(struct vr_engine *engine) VR_REQUIRES(vr_role_engine);
void vr_jobs_free(struct vr_engine *engine);
/* @txn is about to be committed: jobs that wait for what others do to their entities look at it. */
void jobs_notice(struct vr_engine *engine, struct vr_txn *txn) VR_REQUIRES(vr_role_engine);
