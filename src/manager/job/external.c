/* SPDX-License-Identifier: Apache-2.0 */
#include "gen/routes.h"
#include "manager/engine/call.h"
#include "manager/job/job.h"

/* Jobs that clients run themselves and only show here (facts/rest-api.md 7.1). */

static const struct vr_job *find_job(struct vr_call *call, const char *id, struct vr_error **error)
    VR_REQUIRES(vr_role_engine)
{
    const struct vr_job *job = VR_PEEK(vr_engine_head(call->engine), JOB, job, id);
    if (!job)
        vr_error_set(error, &vr_fault_not_found, NULL);
    else if (!job->external)
        vr_error_set(error, &vr_fault_conflict, "Job %s is the Manager's own.", id);
    else
        return job;
    return NULL;
}

/* The action's parameter; a body without it means success. */
static bool succeeded(const struct vr_call *call)
{
    const struct vr_action *action = call->body;
    return !action || VR_GET(action, succeeded, true);
}

void vr_jobs_add(struct vr_call *call) VR_NO_THREAD_SAFETY
{
    struct vr_txn *txn = vr_txn_new(call->engine);
    const struct vr_job *body = call->body;
    int64_t now = vr_engine_wall_ms(call->engine);
    struct vr_job *job = VR_NEW(job); /* of the body only what a client may say */
    VR_SET_STRING(job, description, body->description);
    VR_SET(job, auto_cleared, VR_GET(body, auto_cleared, true));
    VR_SET(job, external, true);
    VR_SET(job, status, VR_JOB_STATUS_STARTED);
    VR_SET(job, start_time, now);
    VR_SET(job, last_updated, now);
    VR_SET_STRING(job, correlation_id, call->correlation_id);
    if (call->caller)
        VR_SET_LINK(job, owner, user, call->caller->user_id);
    vr_txn_add(txn, VR_KIND_JOB, job);
    vr_call_commit(call, txn, VR_KIND_JOB, job->id);
}

static void end_steps(struct vr_txn *txn, const char *job_id, bool good, int64_t now)
    VR_REQUIRES(vr_role_engine)
{
    vr_auto_objects struct vr_objects steps = { 0 };
    vr_inventory_list_by(vr_engine_head(vr_txn_engine(txn)), VR_KIND_STEP, "job", job_id, &steps);
    VR_OBJECTS(struct vr_step, step, &steps)
    {
        if (step->status != VR_STEP_STATUS_STARTED)
            continue;
        struct vr_step *edit = VR_EDIT(txn, STEP, step, step->id);
        VR_SET(edit, status, good ? VR_STEP_STATUS_FINISHED : VR_STEP_STATUS_FAILED);
        VR_SET(edit, end_time, now);
    }
}

void vr_job_end(struct vr_call *call) VR_NO_THREAD_SAFETY
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_job *job = find_job(call, vr_call_id(call), &error);
    if (!job) {
        vr_call_fail(call, &error);
        return;
    }
    struct vr_txn *txn = vr_txn_new(call->engine);
    if (job->status == VR_JOB_STATUS_STARTED) {
        int64_t now = vr_engine_wall_ms(call->engine);
        struct vr_job *edit = VR_EDIT(txn, JOB, job, job->id);
        VR_SET(edit, status, succeeded(call) ? VR_JOB_STATUS_FINISHED : VR_JOB_STATUS_FAILED);
        VR_SET(edit, end_time, now);
        VR_SET(edit, last_updated, now);
        end_steps(txn, edit->id, succeeded(call), now);
    }
    vr_call_commit_action(call, txn, NULL);
}

void vr_job_clear(struct vr_call *call) VR_NO_THREAD_SAFETY
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_job *job = find_job(call, vr_call_id(call), &error);
    if (!job) {
        vr_call_fail(call, &error);
        return;
    }
    struct vr_txn *txn = vr_txn_new(call->engine);
    vr_auto_objects struct vr_objects steps = { 0 };
    vr_inventory_list_by(vr_engine_head(call->engine), VR_KIND_STEP, "job", job->id, &steps);
    VR_OBJECTS(struct vr_step, step, &steps)
        vr_txn_remove(txn, VR_KIND_STEP, step->id);
    vr_txn_remove(txn, VR_KIND_JOB, job->id);
    vr_call_commit_action(call, txn, NULL);
}

void vr_steps_add(struct vr_call *call) VR_NO_THREAD_SAFETY
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_step *body = call->body;
    const struct vr_job *job = find_job(call, vr_call_id(call), &error);
    const struct vr_step *parent = NULL;
    if (job && body->parent_step) {
        parent = VR_RESOLVE(call->engine, STEP, step, body->parent_step, "Step", &error);
        if (parent && g_strcmp0(VR_LINK_ID(parent, job), job->id) != 0)
            vr_error_set(&error, &vr_fault_bad_request, "The parent step belongs to another job.");
    }
    if (job && !error && job->status != VR_JOB_STATUS_STARTED)
        vr_error_set(&error, &vr_fault_conflict, "Job %s has ended.", job->id);
    if (error) {
        vr_call_fail(call, &error);
        return;
    }
    struct vr_txn *txn = vr_txn_new(call->engine);
    struct vr_step *step = VR_NEW(step);
    VR_SET_STRING(step, description, body->description);
    VR_SET(step, type, body->type);
    VR_SET(step, external, true);
    VR_SET(step, status, VR_STEP_STATUS_STARTED);
    VR_SET(step, start_time, vr_engine_wall_ms(call->engine));
    VR_SET(step, number,
           vr_inventory_count_by(vr_engine_head(call->engine), VR_KIND_STEP, "job", job->id));
    VR_SET_LINK(step, job, job, job->id);
    if (parent)
        VR_SET_LINK(step, parent_step, step, parent->id);
    vr_txn_add(txn, VR_KIND_STEP, step);
    vr_call_commit(call, txn, VR_KIND_STEP, step->id);
}

void vr_step_end(struct vr_call *call) VR_NO_THREAD_SAFETY
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_step *step = vr_call_target(call, VR_KIND_STEP, &error);
    if (!step || !find_job(call, VR_LINK_ID(step, job), &error)) {
        vr_call_fail(call, &error);
        return;
    }
    struct vr_txn *txn = vr_txn_new(call->engine);
    if (step->status == VR_STEP_STATUS_STARTED) {
        struct vr_step *edit = VR_EDIT(txn, STEP, step, step->id);
        VR_SET(edit, status, succeeded(call) ? VR_STEP_STATUS_FINISHED : VR_STEP_STATUS_FAILED);
        VR_SET(edit, end_time, vr_engine_wall_ms(call->engine));
    }
    vr_call_commit_action(call, txn, NULL);
}
