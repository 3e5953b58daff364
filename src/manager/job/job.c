/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "job"
#include "manager/job/internal.h"

/* The longest pause before an undo that failed is tried again; the first is one second. */
#define UNDO_PAUSE_MAX_MS 60000

static void run_next(struct vr_engine *engine, void *arg) VR_REQUIRES(vr_role_engine);

static struct run *of(const struct vr_job_run *run)
{
    return (struct run *)(uintptr_t)run;
}

void job_free(struct job *job) VR_NO_THREAD_SAFETY /* also when the engine is freed */
{
    if (!job)
        return;
    if (job->run) {
        vr_txn_abandon(job->run->base.txn);
        g_free(job->run);
    }
    vr_unref(job->context);
    vr_error_free(job->error);
    if (job->locks)
        locks_clear(job);
    g_array_free(job->watchers, TRUE);
    g_free(job->step_id);
    g_free(job->id);
    g_free(job->correlation_id);
    g_free(job->description);
    g_free(job);
}

/* --- starting --- */

/* The starting transaction ended. */
static void start_decided(struct vr_engine *engine, bool committed, void *arg)
{
    struct job *job = arg;
    if (committed || job->jobs->closing)
        return;
    g_hash_table_remove(engine->jobs->active, job->id);
    locks_release(job);
    job_free(job);
}

/* Runs @job on when what @txn decides is durable: what a host is asked to do is always on record. */
static void go_on_after(struct vr_txn *txn, struct job *job) VR_REQUIRES(vr_role_engine)
{
#ifdef VR_BREAK_ACT_BEFORE_COMMIT
    vr_engine_after(vr_txn_engine(txn), 0, run_next, job);
#else
    txn_when_durable(txn, run_next, job);
#endif
}

const char *vr_job_start(struct vr_txn *txn, const struct vr_job_start *start)
{
    struct vr_engine *engine = vr_txn_engine(txn);
    g_assert(start->type->step_count > 0 && start->context);
    struct job *job = g_new0(struct job, 1);
    job->jobs = engine->jobs;
    job->id = vr_engine_uuid(engine);
    job->type = start->type;
    job->context = start->context;
    job->description = g_strdup(start->description);
    job->correlation_id = start->correlation_id ? g_strdup(start->correlation_id)
                                                : vr_engine_uuid(engine);
    job->watchers = g_array_new(FALSE, FALSE, sizeof(struct watcher));
    locks_assign(job, start->locks, start->lock_count);
    locks_take(job);
    g_hash_table_insert(engine->jobs->active, job->id, job);
    record_start(txn, job, start->user_id);
    record_next(txn, job);
    txn_at_end(txn, start_decided, job);
    go_on_after(txn, job);
    return job->id;
}

/* --- running --- */

static struct run *begin_run(struct job *job) VR_REQUIRES(vr_role_engine)
{
    struct run *run = g_new0(struct run, 1);
    struct vr_engine *engine = job->jobs->engine;
    run->job = job;
    run->serial = ++job->jobs->last_serial;
    run->base.engine = engine;
    run->base.job_id = job->id;
    run->base.correlation_id = job->correlation_id;
    run->base.context = job->context;
    run->base.txn = vr_txn_new(engine);
    job->run = run;
    return run;
}

static void run_next(struct vr_engine *engine, void *arg)
{
    struct job *job = arg;
    const struct vr_job_step *row = &job->type->steps[job->position];
    vr_step_fn *fn = job->next ? job->next : job->undoing ? row->undo : row->run;
    job->next = NULL;
    job->resumed = false;
    g_assert(!job->run);
    if (fn)
        fn(&begin_run(job)->base);
    else /* a table that lost an undo since this job was recorded */
        vr_job_done(&begin_run(job)->base);
}

/* The run is over: its transaction for the caller to commit, its answers and timers find nothing. */
static struct vr_txn *end_run(struct job *job)
{
    struct vr_txn *txn = job->run->base.txn;
    job->context = job->run->base.context; /* a step may have put another object there */
    if (job->run->changed)
        job->jobs->listening--;
    g_clear_pointer(&job->run, g_free);
    return txn;
}

/* --- changes by others --- */

void vr_job_on_change(struct vr_job_run *base, vr_step_fn *fn)
{
    struct run *run = of(base);
    struct jobs *jobs = run->job->jobs;
    jobs->listening += (fn != NULL) - (run->changed != NULL);
    run->changed = fn;
}

static void notice(struct job *job, struct vr_txn *txn) VR_REQUIRES(vr_role_engine)
{
    struct run *run = job->run;
    struct vr_txn *own = run->base.txn;
    int kind;
    const char *id;
    if (txn_touches(own, 0, &kind, &id))
        g_error("job: %s listens and keeps %s %s open", job->type->name, vr_kinds[kind].name, id);
    run->base.txn = txn;
    run->changed(&run->base);
    if (job->run == run)
        run->base.txn = own;
    else /* it went on or ended, with the transaction of the other */
        vr_txn_abandon(own);
}

void jobs_notice(struct vr_engine *engine, struct vr_txn *txn)
{
    int kind;
    const char *id;
    /* What a job does to other entities is looked at as well: it comes after what it noticed. */
    for (unsigned n = 0; engine->jobs && engine->jobs->listening && txn_touches(txn, n, &kind, &id);
         n++) {
        struct job *job = locks_holder(engine->jobs, kind, id);
        if (job && job->run && job->run->changed)
            notice(job, txn);
    }
}

/* Moves to the next undo from @from downwards; false when none is left. */
static bool find_undo(struct job *job, unsigned from)
{
    for (unsigned i = from; i-- > 0;) {
        if (job->type->steps[i].undo) {
            job->position = i;
            return true;
        }
    }
    return false;
}

/* The end is durable. */
static void ended(struct vr_engine *engine, void *arg)
{
    struct job *job = arg;
    g_hash_table_remove(engine->jobs->active, job->id);
    for (unsigned i = 0; i < job->watchers->len; i++) {
        const struct watcher watcher = g_array_index(job->watchers, struct watcher, i);
        watcher.fn(engine, job->id, job->error != NULL, job->error, watcher.arg);
    }
    job_free(job);
}

static void tell_unwound(struct vr_txn *txn, const struct job *job) VR_REQUIRES(vr_role_engine)
{
    g_autofree char *reason = vr_error_text(job->error);
    const struct vr_event_about about = { .correlation_id = job->correlation_id };
    vr_event_add(txn, VR_EVENT_JOB_UNWOUND, &about, "JobDescription",
                 job->description ? job->description : job->type->name, "Reason", reason, NULL);
}

/* Inside the run that was the last one. */
static void end_job(struct job *job) VR_REQUIRES(vr_role_engine)
{
    struct vr_txn *txn = job->run->base.txn;
    job->ended = true;
    locks_release(job); /* before `ended`, which may start the job that follows */
    if (job->type->ended)
        job->type->ended(&job->run->base, job->error != NULL, job->error);
    else if (job->error)
        tell_unwound(txn, job);
    record_end(txn, job);
    end_run(job);
    txn_when_durable(txn, ended, job);
    vr_txn_commit(txn, NULL, NULL);
}

static void next_or_end(struct job *job, bool more) VR_REQUIRES(vr_role_engine)
{
    if (!more) {
        end_job(job);
        return;
    }
    struct vr_txn *txn = end_run(job);
    record_next(txn, job);
    go_on_after(txn, job);
    vr_txn_commit(txn, NULL, NULL);
}

void vr_job_done(struct vr_job_run *base)
{
    struct job *job = of(base)->job;
    g_assert(job->run == of(base));
    job->attempts = 0;
    record_step_end(base->txn, job, false);
    if (job->undoing)
        next_or_end(job, find_undo(job, job->position));
    else
        next_or_end(job, ++job->position < job->type->step_count);
}

void vr_job_record(struct vr_job_run *base, vr_step_fn *next)
{
    struct job *job = of(base)->job;
    g_assert(job->run == of(base));
    job->next = next;
    struct vr_txn *txn = end_run(job);
    record_context(txn, job);
    go_on_after(txn, job);
    vr_txn_commit(txn, NULL, NULL);
}

/* Nothing may be left half undone, so an undo never gives up; a person is told once. */
static void undo_failed(struct job *job, struct vr_error *error) VR_REQUIRES(vr_role_engine)
{
    struct vr_engine *engine = job->jobs->engine;
    struct vr_txn *txn = end_run(job);
    g_autofree char *reason = vr_error_text(error);
    if (job->attempts == 0) {
        const struct vr_event_about about = { .correlation_id = job->correlation_id };
        vr_event_add(txn, VR_EVENT_JOB_FAILED_TO_UNWIND, &about, "JobDescription",
                     job->description ? job->description : job->type->name, "StepName",
                     job->type->steps[job->position].name, "Reason", reason, NULL);
    }
    int64_t pause = MIN(UNDO_PAUSE_MAX_MS, (int64_t)1000 << MIN(job->attempts, 10));
    job->attempts++;
    record_context(txn, job);
    vr_txn_commit(txn, NULL, NULL);
    vr_engine_after(engine, pause, run_next, job);
}

void vr_job_fail(struct vr_job_run *base, struct vr_error **error)
{
    struct job *job = of(base)->job;
    g_assert(job->run == of(base) && *error);
    vr_auto_error struct vr_error *taken = g_steal_pointer(error);
    vr_log_info("job %s (%s): %s \"%s\" failed: %s %s", job->id, job->type->name,
                job->undoing ? "undo of step" : "step", job->type->steps[job->position].name,
                taken->fault->text, taken->detail ? taken->detail : "");
    if (job->undoing) {
        undo_failed(job, taken);
        return;
    }
    record_step_end(base->txn, job, true);
    job->error = g_steal_pointer(&taken);
    job->undoing = true;
    next_or_end(job, find_undo(job, job->position));
}

void vr_job_progress(struct vr_job_run *base, unsigned percent)
{
    struct job *job = of(base)->job;
    const struct vr_step *now = VR_PEEK(base->engine->head, STEP, step, job->step_id);
    percent = MIN(percent, 100);
    if (!now || VR_GET(now, progress, 0) == (int64_t)percent)
        return;
    struct vr_txn *txn = vr_txn_new(base->engine);
    VR_SET(VR_EDIT(txn, STEP, step, job->step_id), progress, (int64_t)percent);
    vr_txn_commit(txn, NULL, NULL);
}

/* --- life of the table of jobs --- */

void vr_jobs_load(struct vr_engine *engine)
{
    struct jobs *jobs = engine->jobs = g_new0(struct jobs, 1);
    jobs->engine = engine;
    jobs->active = g_hash_table_new(g_str_hash, g_str_equal);
    jobs->pending = g_hash_table_new_full(g_direct_hash, g_direct_equal, pending_free, NULL);
    locks_init(jobs);
    vr_auto_objects struct vr_objects all = { 0 };
    vr_inventory_list(engine->head, VR_KIND_JOB, &all);
    VR_OBJECTS(struct vr_job, entity, &all)
    {
        if (!entity->job_type || entity->status != VR_JOB_STATUS_STARTED)
            continue; /* ended, or a client's own */
        vr_auto_error struct vr_error *error = NULL;
        struct job *job = record_read(jobs, entity, &error);
        if (!job)
            continue; /* vr_jobs_start() ends it */
        if (!locks_can_take(job))
            g_error("job %s and another unfinished one hold the same lock", job->id);
        locks_take(job);
        g_hash_table_insert(jobs->active, job->id, job);
    }
}

/* A job that this Manager cannot run must neither look alive nor hold anything for ever. */
static void give_up(struct vr_txn *txn, const struct vr_job *entity) VR_REQUIRES(vr_role_engine);
static void give_up(struct vr_txn *txn, const struct vr_job *entity)
{
    struct vr_engine *engine = vr_txn_engine(txn);
    vr_auto_error struct vr_error *error = NULL;
    struct job *job = record_read(engine->jobs, entity, &error);
    g_assert(!job);
    g_autofree char *reason = vr_error_text(error);
    g_autofree char *locked = locks_names(engine, entity);
    vr_log_error("job %s cannot go on: %s", entity->id, reason);
    vr_event_add(txn, VR_EVENT_JOB_GIVEN_UP,
                 &(struct vr_event_about){ .correlation_id = entity->correlation_id },
                 "JobDescription", entity->description ? entity->description : entity->job_type,
                 "Reason", reason, "Entities", *locked ? locked : "nothing", NULL);
    record_lost(txn, entity->id, error);
}

/* Goes on with what was read back. */
static void resume(struct vr_txn *txn, struct job *job) VR_REQUIRES(vr_role_engine);
static void resume(struct vr_txn *txn, struct job *job)
{
    if (!job->astray) {
        vr_engine_after(job->jobs->engine, 0, run_next, job);
        return;
    }
    record_step_end(txn, job, true);
    record_next(txn, job);
    go_on_after(txn, job);
}

void vr_jobs_start(struct vr_engine *engine)
{
    struct jobs *jobs = engine->jobs;
    struct vr_txn *txn = vr_txn_new(engine);
    vr_auto_objects struct vr_objects all = { 0 };
    vr_inventory_list(engine->head, VR_KIND_JOB, &all);
    VR_OBJECTS(struct vr_job, entity, &all) /* in the order of ids: the same at every start */
    {
        struct job *job = g_hash_table_lookup(jobs->active, entity->id);
        if (job && entity->status == VR_JOB_STATUS_STARTED && !job->run && job->resumed)
            resume(txn, job);
        else if (!job && entity->job_type && entity->status == VR_JOB_STATUS_STARTED)
            give_up(txn, entity);
    }
    vr_txn_commit(txn, NULL, NULL);
    record_clean(engine, NULL);
}

void vr_jobs_free(struct vr_engine *engine)
{
    struct jobs *jobs = engine->jobs;
    if (!jobs)
        return;
    GHashTableIter iter;
    gpointer job;
    jobs->closing = true; /* abandoned transactions leave the jobs they started to this loop */
    g_hash_table_iter_init(&iter, jobs->active);
    while (g_hash_table_iter_next(&iter, NULL, &job))
        job_free(job);
    g_hash_table_destroy(jobs->active);
    g_hash_table_destroy(jobs->pending);
    locks_done(jobs);
    g_free(jobs);
    engine->jobs = NULL;
}
