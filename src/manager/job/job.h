/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * job: whatever takes longer than one transaction.
 *
 * A job type is a constant table of steps in the order they run.  A step gets
 * a run: its context (an object of the type's context type, editable) and an
 * open transaction.  When it calls vr_job_done(), the transaction, the
 * context and the step's record are committed together and the next step
 * starts; a failure runs the undo of the finished steps from the last to the
 * first.
 *
 * After a crash a job goes on with the step that had not been recorded as
 * finished, which therefore runs again: a step is idempotent, or first finds
 * out what became of it.  An undo that fails is tried again with growing
 * delays.
 *
 * Locks on entities belong to jobs: taken when the job is started, recorded
 * with it, rebuilt from unfinished jobs at start, gone when it ends.
 */

#include "manager/engine/engine.h"

struct vr_job_run {
    struct vr_engine *engine;
    const char *job_id;
    const char *correlation_id;
    void *context;      /* edits are recorded with the step */
    struct vr_txn *txn; /* open; committed by vr_job_done() and vr_job_fail() */
};

typedef void vr_step_fn(struct vr_job_run *run);

struct vr_job_step {
    const char *name;
    vr_step_fn *run;  /* ends with vr_job_done() or vr_job_fail(), now or later */
    vr_step_fn *undo; /* the same; NULL: nothing to undo */
};

struct vr_job_type {
    const char *name;              /* "AddDisk": recorded; once released it keeps its name */
    const struct vr_type *context; /* recorded before and after every step */
    const struct vr_job_step *steps;
    unsigned step_count;
    /* Inside the last transaction of a job: what else ends with it (an event, a status).  May be
     * NULL.  @failed: after the last undo; @error is the first failure. */
    void (*ended)(struct vr_job_run *run, bool failed, const struct vr_error *error);
};
/* All job types, NULL ended: job/types.c lists them. */
extern const struct vr_job_type *const vr_job_types[];

struct vr_lock {
    int kind;
    const char *id;
    bool exclusive;
};

/* Whether the locks could be taken now.  Otherwise a 409 fault "Related operation is currently in
 * progress." with who holds what and why. */
bool vr_locks_free(struct vr_engine *engine, const struct vr_lock *locks, unsigned count,
                   struct vr_error **error) VR_REQUIRES(vr_role_engine);

struct vr_job_start {
    const struct vr_job_type *type;
    void *context;           /* taken */
    const char *description; /* for people: "Creating VM web1 in Cluster Default" */
    const struct vr_lock *locks;
    unsigned lock_count;
    const char *user_id;        /* or NULL */
    const char *correlation_id; /* or NULL: a random one */
};
/* Adds the job to @txn; it starts when @txn is committed and holds its locks from now on (the
 * caller has checked vr_locks_free()).  Returns the job's id, borrowed, valid until the job is
 * removed from the inventory. */
const char *vr_job_start(struct vr_txn *txn, const struct vr_job_start *start)
    VR_REQUIRES(vr_role_engine);

void vr_job_done(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
/* Takes *@error. */
void vr_job_fail(struct vr_job_run *run, struct vr_error **error) VR_REQUIRES(vr_role_engine);
/* Commits the transaction and the context inside a step, then goes on with @next and a new
 * transaction: for a decision that a crash must not forget in mid-step. */
void vr_job_record(struct vr_job_run *run, vr_step_fn *next) VR_REQUIRES(vr_role_engine);
void vr_job_progress(struct vr_job_run *run, unsigned percent) VR_REQUIRES(vr_role_engine);

/* A host call that belongs to the run.  @code as in world.h; @result is borrowed.  A host that is
 * expected (vr_engine_host_expect()) is waited for: the request is sent once it serves, in the order
 * of the calls; when its grace is over instead, the call fails as to any host that is not there. */
typedef void vr_job_answer(struct vr_job_run *run, const void *result, int code,
                           const char *message);
void vr_job_call(struct vr_job_run *run, const char *host_id, const struct vr_verb *verb,
                 const void *params, unsigned timeout_ms, vr_job_answer *done)
    VR_REQUIRES(vr_role_engine);
/* An errand that belongs to the run; takes @errand.  In @done it is borrowed, as everywhere. */
typedef void vr_job_errand_done(struct vr_job_run *run, struct vr_errand *errand);
void vr_job_errand(struct vr_job_run *run, struct vr_errand *errand, vr_job_errand_done *done)
    VR_REQUIRES(vr_role_engine);
/* Calls @fn after @ms: polling, retry. */
void vr_job_after(struct vr_job_run *run, int64_t ms, vr_step_fn *fn) VR_REQUIRES(vr_role_engine);
/* Waits for another job, which this one started or knows of; one that is long gone ended well. */
typedef void vr_job_awaited(struct vr_job_run *run, bool failed, const struct vr_error *error);
void vr_job_await(struct vr_job_run *run, const char *job_id, vr_job_awaited *done)
    VR_REQUIRES(vr_role_engine);
/*
 * From now on until the run is over: calls @fn inside every transaction of others that changes an
 * entity which the job holds exclusively, before it is committed, with that transaction in run->txn.
 * Whoever sees the change sees at the same moment what @fn made of it: a job that ends there frees
 * its locks with it.  A run that listens keeps no edits open while it waits.  @fn NULL: no more.
 */
void vr_job_on_change(struct vr_job_run *run, vr_step_fn *fn) VR_REQUIRES(vr_role_engine);
/* An error from a host's answer: fault host_rpc (host_unreachable for 5022) with code and message. */
void vr_job_host_error(struct vr_error **error, const char *what, int code, const char *message);

/* Who started the job, for its events; NULL when it was nobody or he is gone.  Borrowed. */
const struct vr_user *vr_job_user(const struct vr_job_run *run) VR_REQUIRES(vr_role_engine);

/* The type of a job that still runs, else NULL; and a callback when it has ended (never from
 * inside). */
const struct vr_job_type *vr_job_running(struct vr_engine *engine, const char *job_id)
    VR_REQUIRES(vr_role_engine);
typedef void vr_job_ended(struct vr_engine *engine, const char *job_id, bool failed,
                          const struct vr_error *error, void *arg);
void vr_job_watch(struct vr_engine *engine, const char *job_id, vr_job_ended *fn, void *arg)
    VR_REQUIRES(vr_role_engine);

/* For tests: every lock in memory belongs to an unfinished job.  @ret_what is owned by the caller. */
bool vr_locks_check(struct vr_engine *engine, char **ret_what) VR_REQUIRES(vr_role_engine);
