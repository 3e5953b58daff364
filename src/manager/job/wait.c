/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/job/internal.h"

/*
 * What a run waits for.  A run may be over when the answer comes (another
 * answer failed it), and its job gone: the answer then finds nothing.
 */
struct pending {
    struct jobs *jobs;
    char job_id[37];
    uint64_t serial;
    vr_job_answer *answer;
    struct held *held; /* a call that waits for its host; or NULL */
    vr_job_errand_done *errand;
    vr_step_fn *step;
    vr_job_ended *ended;
    vr_job_awaited *awaited;
    void *arg;
};

/* What is to be asked of a host that is expected. */
struct held {
    char *host_id;
    const struct vr_verb *verb;
    void *params;
    unsigned timeout_ms;
};

static void held_free(struct held *held)
{
    if (!held)
        return;
    g_free(held->host_id);
    vr_unref(held->params);
    g_free(held);
}

void pending_free(gpointer data)
{
    struct pending *pending = data;
    held_free(pending->held);
    g_free(pending);
}

static struct pending *pending_new(struct jobs *jobs, const char *job_id)
{
    struct pending *pending = g_new0(struct pending, 1);
    pending->jobs = jobs;
    g_strlcpy(pending->job_id, job_id, sizeof(pending->job_id));
    g_hash_table_add(jobs->pending, pending);
    return pending;
}

/* Gives @pending back; the run that it belongs to, or NULL. */
static struct run *take(struct pending *pending, struct pending *ret_copy)
{
    *ret_copy = *pending;
    pending->held = NULL; /* the caller's now */
    g_hash_table_remove(pending->jobs->pending, pending); /* frees it */
    struct job *job = g_hash_table_lookup(ret_copy->jobs->active, ret_copy->job_id);
    return job && job->run && job->run->serial == ret_copy->serial ? job->run : NULL;
}

static void answered(struct vr_engine *engine, const void *result, int code, const char *message,
                     void *arg)
{
    struct pending pending;
    struct run *run = take(arg, &pending);
    if (run)
        pending.answer(&run->base, result, code, message);
}

static void send_held(struct vr_engine *engine, void *arg) VR_REQUIRES(vr_role_engine);
static void send_held(struct vr_engine *engine, void *arg)
{
    struct pending pending;
    struct run *run = take(arg, &pending);
    struct held *held = pending.held;
    if (run) /* else it is over: what nobody wants any more is never sent */
        vr_job_call(&run->base, held->host_id, held->verb, held->params, held->timeout_ms,
                    pending.answer);
    held_free(held);
}

void vr_job_call(struct vr_job_run *base, const char *host_id, const struct vr_verb *verb,
                 const void *params, unsigned timeout_ms, vr_job_answer *done)
{
    struct run *run = (struct run *)(uintptr_t)base;
    struct pending *pending = pending_new(run->job->jobs, base->job_id);
    pending->serial = run->serial;
    pending->answer = done;
    if (vr_engine_host_wait(base->engine, host_id, send_held, pending)) {
        pending->held = g_new(struct held, 1);
        *pending->held = (struct held){ g_strdup(host_id), verb, vr_ref(params), timeout_ms };
        return;
    }
    vr_engine_host_call(base->engine, host_id, verb, params, timeout_ms, base->correlation_id,
                        answered, pending);
}

static void came_back(struct vr_engine *engine, struct vr_errand *errand, void *arg)
{
    struct pending pending;
    struct run *run = take(arg, &pending);
    if (run)
        pending.errand(&run->base, errand);
}

void vr_job_errand(struct vr_job_run *base, struct vr_errand *errand, vr_job_errand_done *done)
{
    struct run *run = (struct run *)(uintptr_t)base;
    struct pending *pending = pending_new(run->job->jobs, base->job_id);
    pending->serial = run->serial;
    pending->errand = done;
    vr_engine_errand(base->engine, errand, came_back, pending);
}

static void woken(struct vr_engine *engine, void *arg)
{
    struct pending pending;
    struct run *run = take(arg, &pending);
    if (run)
        pending.step(&run->base);
}

void vr_job_after(struct vr_job_run *base, int64_t ms, vr_step_fn *fn)
{
    struct run *run = (struct run *)(uintptr_t)base;
    struct pending *pending = pending_new(run->job->jobs, base->job_id);
    pending->serial = run->serial;
    pending->step = fn;
    vr_engine_after(base->engine, ms, woken, pending);
}

void vr_job_host_error(struct vr_error **error, const char *what, int code, const char *message)
{
    const struct vr_fault *fault = code == VR_RPC_NETWORK_ERROR ? &vr_fault_host_unreachable
                                                                : &vr_fault_host_rpc;
    vr_error_set(error, fault, "%s: %s (code %d).", what, message && *message ? message : "no reason",
                 code);
}

const struct vr_user *vr_job_user(const struct vr_job_run *run)
{
    struct vr_inventory *head = run->engine->head;
    const struct vr_job *job = VR_PEEK(head, JOB, job, run->job_id);
    const char *owner = job ? VR_LINK_ID(job, owner) : NULL;
    return owner ? VR_PEEK(head, USER, user, owner) : NULL;
}

/* --- who waits for a job --- */

const struct vr_job_type *vr_job_running(struct vr_engine *engine, const char *job_id)
{
    const struct job *job = job_id ? g_hash_table_lookup(engine->jobs->active, job_id) : NULL;
    return job && !job->ended ? job->type : NULL;
}

static void already_ended(struct vr_engine *engine, void *arg)
{
    struct pending pending;
    take(arg, &pending);
    const struct vr_job *entity = VR_PEEK(engine->head, JOB, job, pending.job_id);
    vr_auto_error struct vr_error *error = NULL;
    bool failed = entity && entity->status != VR_JOB_STATUS_FINISHED;
    if (failed)
        record_error(entity, &error);
    pending.ended(engine, pending.job_id, failed, error, pending.arg);
}

void vr_job_watch(struct vr_engine *engine, const char *job_id, vr_job_ended *fn, void *arg)
{
    struct job *job = g_hash_table_lookup(engine->jobs->active, job_id);
    if (job) {
        const struct watcher watcher = { fn, arg };
        g_array_append_val(job->watchers, watcher);
        return;
    }
    struct pending *pending = pending_new(engine->jobs, job_id);
    pending->ended = fn;
    pending->arg = arg;
    vr_engine_after(engine, 0, already_ended, pending);
}

static void awaited(struct vr_engine *engine, const char *job_id, bool failed,
                    const struct vr_error *error, void *arg) VR_REQUIRES(vr_role_engine);
static void awaited(struct vr_engine *engine, const char *job_id, bool failed,
                    const struct vr_error *error, void *arg)
{
    struct pending pending;
    struct run *run = take(arg, &pending);
    if (run)
        pending.awaited(&run->base, failed, error);
}

void vr_job_await(struct vr_job_run *base, const char *job_id, vr_job_awaited *done)
{
    struct run *run = (struct run *)(uintptr_t)base;
    struct pending *pending = pending_new(run->job->jobs, base->job_id);
    pending->serial = run->serial;
    pending->awaited = done;
    vr_job_watch(base->engine, job_id, awaited, pending);
}
