/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files of `job` share.  Engine thread alone. */

#include "manager/engine/internal.h"
#include "manager/job/job.h"

struct job;

struct watcher {
    vr_job_ended *fn;
    void *arg;
};

/* One go of one step or undo. */
struct run {
    struct vr_job_run base; /* first: steps see only this */
    struct job *job;
    vr_step_fn *changed; /* vr_job_on_change(); or NULL */
    uint64_t serial; /* late answers carry it, and are dropped when the run is over */
};

/* An unfinished job, or one that ended and whose end is not yet durable. */
struct job {
    struct jobs *jobs;
    char *id;
    char *correlation_id;
    char *description;
    const struct vr_job_type *type;
    void *context;
    unsigned position;
    bool undoing;
    bool ended;
    bool resumed; /* read from the database, to be gone on with */
    bool astray;  /* its type lost the step it was in: it fails and is undone */
    struct vr_error *error; /* the first failure */
    char *step_id;          /* of the step entity that runs; may be NULL */
    struct run *run;        /* NULL between two steps */
    vr_step_fn *next;       /* what the next run calls in place of the step: vr_job_record() */
    unsigned attempts;      /* of this undo */
    GArray *locks;          /* struct vr_lock, ids owned; sorted, no entity twice */
    GArray *watchers;       /* struct watcher */
};

struct jobs {
    struct vr_engine *engine;
    GHashTable *active;  /* id -> struct job, in flight or ending */
    GHashTable *locked;  /* "kind id" -> struct held */
    GHashTable *pending; /* set of struct pending: what answers and timers will find */
    uint64_t last_serial;
    unsigned listening; /* runs with `changed` */
    bool closing;
};

/* locks.c */
void locks_init(struct jobs *jobs);
void locks_done(struct jobs *jobs);
/* Copies @locks into @job: sorted, the stronger of two on one entity. */
void locks_assign(struct job *job, const struct vr_lock *locks, unsigned count);
void locks_take(struct job *job);
void locks_release(struct job *job);
void locks_clear(struct job *job);
/* The lock that a record means; kind -1: of no kind that this Manager has. */
struct vr_lock locks_of_record(const struct vr_job_lock *record);
bool locks_can_take(const struct job *job);
/* "VM web1, disk boot": what a recorded job had locked; owned. */
char *locks_names(struct vr_engine *engine, const struct vr_job *entity)
    VR_REQUIRES(vr_role_engine);
/* The job that holds the entity exclusively, or NULL. */
struct job *locks_holder(const struct jobs *jobs, int kind, const char *id);

/* record.c: the entities of a job */
void record_start(struct vr_txn *txn, const struct job *job, const char *user_id)
    VR_REQUIRES(vr_role_engine);
/* Ends the running step's entity. */
void record_step_end(struct vr_txn *txn, struct job *job, bool failed) VR_REQUIRES(vr_role_engine);
/* Writes position, context and error, and begins the entity of the step that comes next. */
void record_next(struct vr_txn *txn, struct job *job) VR_REQUIRES(vr_role_engine);
void record_context(struct vr_txn *txn, struct job *job) VR_REQUIRES(vr_role_engine);
void record_end(struct vr_txn *txn, struct job *job) VR_REQUIRES(vr_role_engine);
/* An unfinished job from its entity, or NULL and why this Manager cannot even undo it. */
struct job *record_read(struct jobs *jobs, const struct vr_job *entity, struct vr_error **error)
    VR_REQUIRES(vr_role_engine);
/* Ends the record of a job that cannot be read, as failed by @error. */
void record_lost(struct vr_txn *txn, const char *job_id, const struct vr_error *error)
    VR_REQUIRES(vr_role_engine);
/* The recorded failure of a job; never leaves *@error NULL. */
void record_error(const struct vr_job *entity, struct vr_error **error);
/* Removes jobs that ended long ago and their steps; runs again later. */
void record_clean(struct vr_engine *engine, void *nothing) VR_REQUIRES(vr_role_engine);

/* wait.c: of `pending`. */
void pending_free(gpointer data);

void job_free(struct job *job);
