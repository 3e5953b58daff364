/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/storage/storage_private.h"

#include "codec/codec.h"
#include "net/loop.h"

/*
 * Tasks belong to the SPM and stay, once finished, until the client clears
 * them; they are recorded on the master domain, so that the next SPM (or this
 * agent, restarted) still knows how they ended.  Jobs belong to this host
 * alone and are forgotten an hour after their end (facts/host-rpc.md 15.6, 15.7).
 */

#define WORKS_MAX 1000
#define JOB_KEPT_S 3600

static const char *task_state(const struct vr_st_work *w)
{
    return w->state == VR_ST_RUNNING    ? "running"
           : w->state == VR_ST_ABORTING ? "aborting"
                                        : "finished";
}

static const char *task_result(const struct vr_st_work *w)
{
    if (w->state != VR_ST_FINISHED)
        return "";
    if (w->recovered)
        return w->code ? "cleanFailure" : "cleanSuccess";
    return w->code ? "cleanFailure" : "success";
}

static const char *job_status(const struct vr_st_work *w)
{
    if (w->state == VR_ST_FINISHED)
        return !w->code                                       ? "done"
               : w->code == vr_storage_fault_task_aborted.rpc ? "aborted"
                                                              : "failed";
    return w->state == VR_ST_ABORTING ? "aborting" : "running";
}

/* Lock held. */
static char *job_json(const struct vr_st_work *w)
{
    json_object *o = json_object_new_object();
    json_object_object_add(o, "id", json_object_new_string(w->id));
    json_object_object_add(o, "job_type", json_object_new_string("storage"));
    json_object_object_add(o, "description", json_object_new_string(w->what));
    json_object_object_add(o, "status", json_object_new_string(job_status(w)));
    json_object_object_add(
        o, "progress", json_object_new_int(g_atomic_int_get(&((struct vr_st_work *)w)->progress)));
    if (w->state == VR_ST_FINISHED && w->code) {
        json_object *e = json_object_new_object();
        json_object_object_add(e, "code", json_object_new_int(w->code));
        json_object_object_add(e, "message", json_object_new_string(w->message ? w->message : ""));
        json_object_object_add(o, "error", e);
    }
    char *text = g_strdup(json_object_to_json_string_ext(o, JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(o);
    return text;
}

/* Stands by itself: the storage may be gone when it is delivered. */
struct event {
    void (*changed)(const char *job_id, const char *json, void *arg);
    void *arg;
    char id[37];
    char *json;
};

static void deliver_event(void *data)
{
    struct event *e = data;
    e->changed(e->id, e->json, e->arg);
    g_free(e->json);
    g_free(e);
}

/* Lock held. */
static void tell(struct vr_storage *s, const struct vr_st_work *w)
{
    if (!w->job || !s->o.job_changed)
        return;
    struct event *e = g_new0(struct event, 1);
    e->changed = s->o.job_changed;
    e->arg = s->o.arg;
    g_strlcpy(e->id, w->id, sizeof(e->id));
    e->json = job_json(w);
    vr_loop_post(s->o.loop, deliver_event, e);
}

/* ---- records on the master domain ---- */

/* True when it need not be, or was, recorded. */
static bool record(struct vr_storage *s, struct vr_st_work *w, struct vr_error **error)
{
    vr_auto_domain struct vr_st_domain master = { 0 };
    if (w->job || !vr_st_master(s, &master))
        return true;
    json_object *o = json_object_new_object();
    g_mutex_lock(&s->lock);
    json_object_object_add(o, "id", json_object_new_string(w->id));
    json_object_object_add(o, "verb", json_object_new_string(w->what));
    json_object_object_add(o, "finished", json_object_new_boolean(w->state == VR_ST_FINISHED));
    json_object_object_add(o, "code", json_object_new_int(w->code));
    json_object_object_add(o, "message", json_object_new_string(w->message ? w->message : ""));
    g_mutex_unlock(&s->lock);
    g_autofree char *text = g_strdup(json_object_to_json_string(o));
    json_object_put(o);
    json_object *saved =
        vr_st_ask(s, master.connection, "task_save",
                  vr_st_args(&master, "task", w->id, "text", text, NULL), NULL, error);
    json_object_put(saved);
    w->kept = w->kept || saved;
    return saved != NULL;
}

static void forget(struct vr_storage *s, const char *id)
{
    vr_auto_domain struct vr_st_domain master = { 0 };
    vr_auto_error struct vr_error *error = NULL;
    if (!vr_st_master(s, &master))
        return;
    json_object *gone = vr_st_ask(s, master.connection, "task_remove",
                                  vr_st_args(&master, "task", id, NULL), NULL, &error);
    json_object_put(gone);
}

/* One record of a former SPM.  What it had not finished, it never will: the domain was healed. */
static void load_one(struct vr_storage *s, const char *text)
{
    json_object *o = json_tokener_parse(text), *finished = NULL;
    const char *id = vr_st_member(o, "id");
    if (vr_format_uuid_valid(id) && json_object_object_get_ex(o, "finished", &finished)) {
        g_mutex_lock(&s->lock);
        if (!g_hash_table_contains(s->works, id) && g_hash_table_size(s->works) < WORKS_MAX) {
            struct vr_st_work *w = g_new0(struct vr_st_work, 1);
            w->storage = s;
            w->refs = 1;
            g_strlcpy(w->id, id, sizeof(w->id));
            w->what = g_intern_string(vr_st_member(o, "verb"));
            w->state = VR_ST_FINISHED;
            w->kept = true;
            w->recovered = !json_object_get_boolean(finished);
            w->code = (int)g_ascii_strtoll(vr_st_member(o, "code"), NULL, 10);
            w->message = g_strdup(vr_st_member(o, "message"));
            if (w->recovered) {
                w->code = vr_storage_fault_task_aborted.rpc;
                g_free(w->message);
                w->message = g_strdup("The host stopped while the task ran.");
            }
            g_hash_table_insert(s->works, w->id, w);
        }
        g_mutex_unlock(&s->lock);
    }
    json_object_put(o);
}

void vr_st_tasks_load(struct vr_storage *s, struct vr_st_domain *master)
{
    vr_auto_error struct vr_error *error = NULL;
    json_object *list =
        vr_st_ask(s, master->connection, "task_list", vr_st_args(master, NULL), NULL, &error);
    for (size_t i = 0; list && i < json_object_array_length(list); i++)
        load_one(s, json_object_get_string(json_object_array_get_idx(list, i)));
    json_object_put(list);
}

/* ---- running ---- */

/* Lock held. */
static void unref_locked(struct vr_st_work *w)
{
    if (--w->refs > 0)
        return;
    vr_unref(w->params);
    g_free(w->message);
    g_free(w);
}

void vr_st_work_unref(struct vr_st_work *w)
{
    struct vr_storage *s = w->storage;
    g_mutex_lock(&s->lock);
    unref_locked(w);
    g_mutex_unlock(&s->lock);
}

/* Lock held. */
static void drop_old_jobs(struct vr_storage *s)
{
    gint64 old = g_get_monotonic_time() - (gint64)JOB_KEPT_S * G_USEC_PER_SEC;
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, s->works);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        struct vr_st_work *w = value;
        if (w->job && w->state == VR_ST_FINISHED && w->ended < old) {
            g_hash_table_iter_remove(&iter);
            unref_locked(w);
        }
    }
}

static struct vr_st_work *start(struct vr_storage *s, const char *id, bool job, const char *what,
                                vr_st_work_fn *run, const void *params, struct vr_error **error)
{
    struct vr_st_work *w = g_new0(struct vr_st_work, 1);
    w->storage = s;
    w->refs = 2; /* the table's and the runner's */
    g_strlcpy(w->id, id, sizeof(w->id));
    w->job = job;
    w->what = what;
    w->run = run;
    w->params = vr_ref(params);
    g_mutex_lock(&s->lock);
    drop_old_jobs(s);
    if (g_hash_table_contains(s->works, id))
        vr_storage_error(error, job_exists, "%s", id);
    else if (g_hash_table_size(s->works) >= WORKS_MAX || s->closing)
        vr_storage_error(error, general, "Too many tasks are kept; clear some.");
    else
        g_hash_table_insert(s->works, w->id, w);
    g_mutex_unlock(&s->lock);
    if (*error) {
        vr_unref(w->params);
        g_free(w);
        return NULL;
    }
    /* On record before it begins: a task that nobody remembers must not change storage. */
    if (!record(s, w, error)) {
        g_mutex_lock(&s->lock);
        g_hash_table_remove(s->works, w->id);
        w->refs = 1;
        unref_locked(w);
        g_mutex_unlock(&s->lock);
        return NULL;
    }
    return w;
}

char *vr_st_task(struct vr_storage *s, const char *what, vr_st_work_fn *run, const void *params,
                 struct vr_error **error)
{
    g_autofree char *id = vr_uuid_new();
    struct vr_st_work *w = start(s, id, false, what, run, params, error);
    if (!w)
        return NULL;
    g_thread_pool_push(s->tasks, w, NULL);
    return g_strdup_printf("\"%s\"", id);
}

char *vr_st_job(struct vr_storage *s, const char *id, const char *what, vr_st_work_fn *run,
                const void *params, struct vr_error **error)
{
    struct vr_st_work *w =
        vr_st_uuid(id, "job_id", error) ? start(s, id, true, what, run, params, error) : NULL;
    if (!w)
        return NULL;
    g_thread_pool_push(s->tasks, w, NULL);
    return vr_st_true();
}

void vr_st_work_run(gpointer data, gpointer storage)
{
    struct vr_st_work *w = data;
    struct vr_storage *s = storage;
    vr_auto_error struct vr_error *error = NULL, *unrecorded = NULL;
    g_autofree char *result = NULL;
    if (g_atomic_int_get(&w->cancel))
        vr_storage_error(&error, task_aborted, NULL);
    else
        result = w->run(s, w, &error);
    g_mutex_lock(&s->lock);
    if (error) {
        w->code = error->fault->rpc ? error->fault->rpc : vr_storage_fault_general.rpc;
        w->message = vr_error_text(error);
        vr_log_warning("%s %s failed with %d: %s", w->what, w->id, w->code, w->message);
    } else {
        w->message = g_strdup("1 jobs completed successfully");
    }
    w->ended = g_get_monotonic_time();
    /* The record first: what a client has seen finished must be found finished after a crash. */
    struct vr_st_work ended = *w;
    g_mutex_unlock(&s->lock);
    ended.state = VR_ST_FINISHED;
    if (!record(s, &ended, &unrecorded))
        vr_log_warning("The end of task %s could not be recorded.", w->id);
    g_mutex_lock(&s->lock);
    w->kept = ended.kept;
    w->state = VR_ST_FINISHED;
    tell(s, w);
    unref_locked(w);
    g_cond_broadcast(&s->changed);
    g_mutex_unlock(&s->lock);
}

bool vr_st_tasks_running(struct vr_storage *s)
{
    bool running = false;
    GHashTableIter iter;
    gpointer value;
    g_mutex_lock(&s->lock);
    g_hash_table_iter_init(&iter, s->works);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        struct vr_st_work *w = value;
        running = running || (!w->job && w->state != VR_ST_FINISHED);
    }
    g_mutex_unlock(&s->lock);
    return running;
}

/* ---- verbs ---- */

/* Lock held on success: the task, or NULL, 401 and no lock. */
static struct vr_st_work *find_task(struct vr_storage *s, const char *id, struct vr_error **error)
{
    g_mutex_lock(&s->lock);
    struct vr_st_work *w = id ? g_hash_table_lookup(s->works, id) : NULL;
    if (w && !w->job)
        return w;
    g_mutex_unlock(&s->lock);
    vr_storage_error(error, task_unknown, "%s", id ? id : "?");
    return NULL;
}

/* Lock held. */
static json_object *status_object(const struct vr_st_work *w)
{
    json_object *o = json_object_new_object();
    const char *message = w->state == VR_ST_FINISHED ? w->message : "running job 1 of 1";
    json_object_object_add(o, "taskID", json_object_new_string(w->id));
    json_object_object_add(o, "taskState", json_object_new_string(task_state(w)));
    json_object_object_add(o, "taskResult", json_object_new_string(task_result(w)));
    json_object_object_add(o, "code",
                           json_object_new_int(w->state == VR_ST_FINISHED ? w->code : 0));
    json_object_object_add(o, "message", json_object_new_string(message ? message : ""));
    return o;
}

static json_object *info_object(const struct vr_st_work *w)
{
    json_object *o = json_object_new_object();
    json_object_object_add(o, "id", json_object_new_string(w->id));
    json_object_object_add(o, "verb", json_object_new_string(w->what));
    return o;
}

static json_object *details_object(const struct vr_st_work *w)
{
    json_object *o = info_object(w);
    const char *message = w->state == VR_ST_FINISHED ? w->message : "running job 1 of 1";
    json_object_object_add(o, "state", json_object_new_string(task_state(w)));
    json_object_object_add(o, "taskResult", json_object_new_string(task_result(w)));
    json_object_object_add(o, "tag", json_object_new_string("spm"));
    json_object_object_add(o, "code",
                           json_object_new_int(w->state == VR_ST_FINISHED ? w->code : 0));
    json_object_object_add(o, "message", json_object_new_string(message ? message : ""));
    return o;
}

static char *take_text(json_object *o)
{
    char *text = g_strdup(json_object_to_json_string_ext(o, JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(o);
    return text;
}

char *vr_st_task_get_status(struct vr_storage *s, const void *params, struct vr_error **error)
{
    const struct vr_rpc_task_get_status_params *p = params;
    struct vr_st_work *w = find_task(s, p->task_id, error);
    if (!w)
        return NULL;
    json_object *o = status_object(w);
    g_mutex_unlock(&s->lock);
    return take_text(o);
}

char *vr_st_task_get_info(struct vr_storage *s, const void *params, struct vr_error **error)
{
    const struct vr_rpc_task_get_info_params *p = params;
    struct vr_st_work *w = find_task(s, p->task_id, error);
    if (!w)
        return NULL;
    json_object *o = info_object(w);
    g_mutex_unlock(&s->lock);
    return take_text(o);
}

static char *stop(struct vr_storage *s, const char *id, struct vr_error **error)
{
    struct vr_st_work *w = find_task(s, id, error);
    if (!w)
        return NULL;
    if (w->state == VR_ST_RUNNING) {
        w->state = VR_ST_ABORTING;
        g_atomic_int_set(&w->cancel, 1);
    }
    g_mutex_unlock(&s->lock);
    return vr_st_true();
}

char *vr_st_task_stop(struct vr_storage *s, const void *params, struct vr_error **error)
{
    return stop(s, ((const struct vr_rpc_task_stop_params *)params)->task_id, error);
}

/* Every step undoes itself when it fails, so that to revert is to stop. */
char *vr_st_task_revert(struct vr_storage *s, const void *params, struct vr_error **error)
{
    return stop(s, ((const struct vr_rpc_task_revert_params *)params)->task_id, error);
}

char *vr_st_task_clear(struct vr_storage *s, const void *params, struct vr_error **error)
{
    const struct vr_rpc_task_clear_params *p = params;
    struct vr_st_work *w = find_task(s, p->task_id, error);
    if (!w)
        return NULL;
    bool finished = w->state == VR_ST_FINISHED, kept = w->kept;
    if (finished) {
        g_hash_table_remove(s->works, w->id);
        unref_locked(w);
    }
    g_mutex_unlock(&s->lock);
    if (!finished) {
        vr_storage_error(error, task_running, NULL);
        return NULL;
    }
    if (kept)
        forget(s, p->task_id);
    return vr_st_true();
}

static char *all_tasks(struct vr_storage *s, json_object *(*make)(const struct vr_st_work *),
                       struct vr_error **error)
{
    g_mutex_lock(&s->lock);
    bool spm = s->pool && s->pool->spm;
    json_object *all = json_object_new_object();
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, s->works);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const struct vr_st_work *w = value;
        if (!w->job)
            json_object_object_add(all, w->id, make(w));
    }
    g_mutex_unlock(&s->lock);
    if (spm)
        return take_text(all);
    json_object_put(all);
    vr_storage_error(error, not_spm, NULL);
    return NULL;
}

char *vr_st_host_get_all_tasks_statuses(struct vr_storage *s, const void *params VR_UNUSED,
                                        struct vr_error **error)
{
    return all_tasks(s, status_object, error);
}

char *vr_st_host_get_all_tasks_info(struct vr_storage *s, const void *params VR_UNUSED,
                                    struct vr_error **error)
{
    return all_tasks(s, info_object, error);
}

char *vr_st_host_get_all_tasks(struct vr_storage *s, const void *params VR_UNUSED,
                               struct vr_error **error)
{
    return all_tasks(s, details_object, error);
}

static bool listed(const struct vr_list *ids, const char *id)
{
    for (unsigned i = 0; i < ids->len; i++)
        if (g_strcmp0(ids->items[i], id) == 0)
            return true;
    return ids->len == 0;
}

char *vr_st_host_get_jobs(struct vr_storage *s, const void *params,
                          struct vr_error **error VR_UNUSED)
{
    const struct vr_rpc_host_get_jobs_params *p = params;
    bool storage = !p->job_type || !*p->job_type || strcmp(p->job_type, "storage") == 0;
    GString *text = g_string_new("{");
    GHashTableIter iter;
    gpointer value;
    g_mutex_lock(&s->lock);
    drop_old_jobs(s);
    g_hash_table_iter_init(&iter, s->works);
    while (storage && g_hash_table_iter_next(&iter, NULL, &value)) {
        const struct vr_st_work *w = value;
        if (!w->job || !listed(&p->job_ids, w->id))
            continue;
        g_autofree char *json = job_json(w);
        g_string_append_printf(text, "%s\"%s\":%s", text->len > 1 ? "," : "", w->id, json);
    }
    g_mutex_unlock(&s->lock);
    g_string_append_c(text, '}');
    return g_string_free(text, FALSE);
}
