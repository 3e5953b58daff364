/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "job"
#include "codec/codec.h"
#include "manager/job/internal.h"

static void write_context(struct vr_job *entity, const struct job *job)
{
    GString *text = g_string_new(NULL);
    vr_json_write(text, job->context, VR_JSON_STORE, NULL);
    VR_TAKE_STRING(entity, context, g_string_free(text, FALSE));
}

/* The entity of the step that comes next: number counts up, undone steps included. */
static void begin_step(struct vr_txn *txn, struct job *job) VR_REQUIRES(vr_role_engine)
{
    struct vr_engine *engine = vr_txn_engine(txn);
    const char *row = job->type->steps[job->position].name;
    struct vr_step *step = VR_NEW(step);
    VR_TAKE_STRING(step, description,
                   job->undoing ? g_strdup_printf("Undoing: %s", row) : g_strdup(row));
    VR_SET(step, number,
           vr_inventory_count_by(engine->head, VR_KIND_STEP, "job", job->id));
    VR_SET(step, type, VR_STEP_ENUM_EXECUTING);
    VR_SET(step, status, VR_STEP_STATUS_STARTED);
    VR_SET(step, start_time, vr_engine_wall_ms(engine));
    VR_SET(step, external, false);
    VR_SET_LINK(step, job, job, job->id);
    vr_txn_add(txn, VR_KIND_STEP, step);
    g_free(job->step_id);
    job->step_id = g_strdup(step->id);
}

static void add_locks(struct vr_job *entity, const struct job *job)
{
    for (unsigned i = 0; i < job->locks->len; i++) {
        const struct vr_lock *lock = &g_array_index(job->locks, struct vr_lock, i);
        struct vr_job_lock *record = VR_NEW(job_lock);
        VR_SET_STRING(record, kind, vr_kinds[lock->kind].name);
        VR_SET_STRING(record, target, lock->id);
        VR_SET(record, exclusive, lock->exclusive);
        VR_APPEND(entity, locks, record);
    }
}

void record_start(struct vr_txn *txn, const struct job *job, const char *user_id)
{
    struct vr_engine *engine = vr_txn_engine(txn);
    struct vr_job *entity = VR_NEW(job);
    int64_t now = vr_engine_wall_ms(engine);
    vr_set_id(entity, job->id);
    VR_SET_STRING(entity, description, job->description);
    VR_SET_STRING(entity, correlation_id, job->correlation_id);
    VR_SET_STRING(entity, job_type, job->type->name);
    VR_SET(entity, status, VR_JOB_STATUS_STARTED);
    VR_SET(entity, start_time, now);
    VR_SET(entity, last_updated, now);
    VR_SET(entity, external, false);
    VR_SET(entity, auto_cleared, true);
    VR_SET_LINK(entity, owner, user, user_id);
    add_locks(entity, job);
    vr_txn_add(txn, VR_KIND_JOB, entity);
}

void record_step_end(struct vr_txn *txn, struct job *job, bool failed)
{
    struct vr_step *step = VR_EDIT(txn, STEP, step, job->step_id);
    if (!step)
        return;
    VR_SET(step, status, failed ? VR_STEP_STATUS_FAILED : VR_STEP_STATUS_FINISHED);
    VR_SET(step, end_time, vr_engine_wall_ms(vr_txn_engine(txn)));
    if (!failed)
        VR_SET(step, progress, 100);
    g_clear_pointer(&job->step_id, g_free);
}

void record_context(struct vr_txn *txn, struct job *job)
{
    struct vr_job *entity = VR_EDIT(txn, JOB, job, job->id);
    g_assert(entity);
    write_context(entity, job);
    VR_SET(entity, position, (int64_t)job->position);
    VR_SET(entity, undoing, job->undoing);
    VR_SET(entity, last_updated, vr_engine_wall_ms(vr_txn_engine(txn)));
    if (job->error) {
        VR_SET_STRING(entity, fault, job->error->fault->name);
        VR_SET_STRING(entity, fault_detail, job->error->detail);
    }
}

void record_next(struct vr_txn *txn, struct job *job)
{
    record_context(txn, job);
    begin_step(txn, job);
}

static void end_entity(struct vr_txn *txn, const char *job_id, const struct vr_error *error)
    VR_REQUIRES(vr_role_engine);
static void end_entity(struct vr_txn *txn, const char *job_id, const struct vr_error *error)
{
    struct vr_job *entity = VR_EDIT(txn, JOB, job, job_id);
    int64_t now = vr_engine_wall_ms(vr_txn_engine(txn));
    g_assert(entity);
    VR_SET(entity, status, error ? VR_JOB_STATUS_FAILED : VR_JOB_STATUS_FINISHED);
    VR_SET(entity, end_time, now);
    VR_SET(entity, last_updated, now);
    VR_CLEAR(entity, context); /* it may hold a password */
    VR_CLEAR(entity, locks);
    if (error) {
        VR_SET_STRING(entity, fault, error->fault->name);
        VR_SET_STRING(entity, fault_detail, error->detail);
    }
}

void record_end(struct vr_txn *txn, struct job *job)
{
    end_entity(txn, job->id, job->error);
}

void record_lost(struct vr_txn *txn, const char *job_id, const struct vr_error *error)
{
    struct vr_engine *engine = vr_txn_engine(txn);
    vr_auto_objects struct vr_objects steps = { 0 };
    vr_inventory_list_by(engine->head, VR_KIND_STEP, "job", job_id, &steps);
    VR_OBJECTS(struct vr_step, step, &steps)
    {
        if (step->status != VR_STEP_STATUS_STARTED)
            continue;
        struct vr_step *edit = VR_EDIT(txn, STEP, step, step->id);
        VR_SET(edit, status, VR_STEP_STATUS_FAILED);
        VR_SET(edit, end_time, vr_engine_wall_ms(engine));
    }
    end_entity(txn, job_id, error);
}

/* --- reading back --- */

static const struct vr_job_type *find_type(const char *name)
{
    for (unsigned i = 0; name && vr_job_types[i]; i++) {
        if (strcmp(vr_job_types[i]->name, name) == 0)
            return vr_job_types[i];
    }
    return NULL;
}

static const struct vr_fault *find_fault(const char *name)
{
    for (unsigned i = 0; vr_faults[i]; i++) {
        if (strcmp(vr_faults[i]->name, name) == 0)
            return vr_faults[i];
    }
    return &vr_fault_internal;
}

void record_error(const struct vr_job *entity, struct vr_error **error)
{
    const struct vr_fault *fault = find_fault(entity->fault ? entity->fault : "internal");
    if (entity->fault_detail)
        vr_error_set(error, fault, "%s", entity->fault_detail);
    else
        vr_error_set(error, fault, NULL);
}

static void read_locks(struct job *job, const struct vr_job *entity)
{
    g_autoptr(GArray) locks = g_array_new(FALSE, FALSE, sizeof(struct vr_lock));
    VR_EACH(const struct vr_job_lock, record, &entity->locks)
    {
        const struct vr_lock lock = locks_of_record(record);
        if (lock.kind >= 0 && lock.id)
            g_array_append_val(locks, lock);
    }
    locks_assign(job, (const struct vr_lock *)(void *)locks->data, locks->len);
}

static char *find_running_step(struct vr_engine *engine, const char *job_id)
    VR_REQUIRES(vr_role_engine)
{
    vr_auto_objects struct vr_objects steps = { 0 };
    vr_inventory_list_by(engine->head, VR_KIND_STEP, "job", job_id, &steps);
    VR_OBJECTS(struct vr_step, step, &steps)
    {
        if (VR_HAS(step, status) && step->status == VR_STEP_STATUS_STARTED)
            return g_strdup(step->id);
    }
    return NULL;
}

/* The table of its type is shorter than it was: what was done is undone, and it fails. */
static void go_astray(struct job *job, int64_t position)
{
    job->astray = true;
    job->undoing = true;
    job->position = position < 0 ? 0 : job->type->step_count - 1;
    if (!job->error)
        vr_error_set(&job->error, &vr_fault_internal, "Jobs of type %s have no step %" G_GINT64_FORMAT
                     " in this version.", job->type->name, position);
}

struct job *record_read(struct jobs *jobs, const struct vr_job *entity, struct vr_error **error)
{
    vr_auto_error struct vr_error *unreadable = NULL;
    const struct vr_job_type *type = find_type(entity->job_type);
    if (!type) {
        vr_error_set(error, &vr_fault_internal, "There are no jobs of type %s in this version.",
                     entity->job_type);
        return NULL;
    }
    const char *text = entity->context ? entity->context : "{}";
    vr_auto void *context = vr_json_read(type->context, text, strlen(text), VR_JSON_STORE,
                                         &vr_codec_caps_host, &unreadable);
    if (!context) {
        vr_error_set(error, &vr_fault_internal, "Its record does not read: %s",
                     unreadable->detail ? unreadable->detail : unreadable->fault->text);
        return NULL;
    }
    struct job *job = g_new0(struct job, 1);
    job->jobs = jobs;
    job->id = g_strdup(entity->id);
    job->correlation_id = g_strdup(entity->correlation_id);
    job->description = g_strdup(entity->description);
    job->type = type;
    job->context = g_steal_pointer(&context);
    job->position = (unsigned)entity->position;
    job->undoing = entity->undoing;
    job->resumed = true;
    if (entity->fault)
        record_error(entity, &job->error);
    if (entity->position < 0 || entity->position >= type->step_count)
        go_astray(job, entity->position);
    job->step_id = find_running_step(jobs->engine, job->id);
    job->watchers = g_array_new(FALSE, FALSE, sizeof(struct watcher));
    read_locks(job, entity);
    return job;
}

/* --- retention (facts/manager-behaviour.md 10) --- */

static bool is_old(const struct vr_job *job, const struct vr_config *config, int64_t now)
{
    if (!job->has.end_time || job->status == VR_JOB_STATUS_STARTED ||
        (job->external && !job->auto_cleared)) /* a client's own, which the client clears */
        return false;
    int64_t minutes = job->status == VR_JOB_STATUS_FINISHED ? config->SucceededJobCleanupTimeInMinutes
                                                           : config->FailedJobCleanupTimeInMinutes;
    return job->end_time + minutes * 60 * 1000 <= now;
}

static void remove_job(struct vr_txn *txn, const char *job_id) VR_REQUIRES(vr_role_engine)
{
    vr_auto_objects struct vr_objects steps = { 0 };
    vr_inventory_list_by(vr_txn_engine(txn)->head, VR_KIND_STEP, "job", job_id, &steps);
    VR_OBJECTS(struct vr_step, step, &steps)
        vr_txn_remove(txn, VR_KIND_STEP, step->id);
    vr_txn_remove(txn, VR_KIND_JOB, job_id);
}

void record_clean(struct vr_engine *engine, void *nothing)
{
    const struct vr_config *config = vr_engine_config(engine);
    int64_t now = vr_engine_wall_ms(engine);
    struct vr_txn *txn = vr_txn_new(engine);
    vr_auto_objects struct vr_objects all = { 0 };
    vr_inventory_list(engine->head, VR_KIND_JOB, &all);
    VR_OBJECTS(struct vr_job, job, &all)
    {
        if (is_old(job, config, now) && !g_hash_table_contains(engine->jobs->active, job->id))
            remove_job(txn, job->id);
    }
    vr_txn_commit(txn, NULL, NULL);
    vr_engine_after(engine, MAX(1, config->JobCleanupRateInMinutes) * 60 * 1000, record_clean, NULL);
}
