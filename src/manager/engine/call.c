/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/engine/internal.h"
#include "manager/job/job.h"
#include "model/api.h"

enum state {
    FRESH,      /* not begun: perhaps parked for want of a database */
    RUNNING,    /* its handler has it */
    COMMITTING, /* ended; the database does not have it yet */
    WAITING,    /* for its job */
    REPLYING,   /* the reply is decided and goes out with the next message */
    ANSWERED,   /* answered early; kept until nobody refers to it */
};

struct call {
    struct vr_call base; /* first: handlers see only this */
    enum state state;
    GList link; /* in engine->calls */
    char **params;
    char *owned_ids[VR_PATH_IDS];
    char *owned_correlation_id;
    vr_call_replied *replied;
    void *arg;
    uint64_t timer; /* while the database is down */

    /* the reply in the making */
    struct vr_call_reply reply;
    struct vr_error *error;
    char *id, *job_id;
    void *object;
    bool wait;      /* for the job */
    bool wait_told; /* vr_call_wait_by_default() */
};

static struct call *of(const struct vr_call *call)
{
    return (struct call *)(uintptr_t)call;
}

struct vr_call *vr_call_new(const struct vr_operation *operation, const char *const *ids,
                            unsigned id_count, void *body, const struct vr_caller *caller,
                            const char *correlation_id, const char *const *params,
                            vr_call_replied *replied, void *arg)
{
    g_assert(id_count <= VR_PATH_IDS && replied);
    struct call *call = g_new0(struct call, 1);
    call->base.operation = operation;
    call->base.id_count = id_count;
    for (unsigned i = 0; i < id_count; i++)
        call->base.ids[i] = call->owned_ids[i] = g_strdup(ids[i]);
    call->base.body = body;
    call->base.caller = caller;
    call->base.correlation_id = call->owned_correlation_id = g_strdup(correlation_id);
    call->params = g_strdupv((char **)(uintptr_t)params);
    call->replied = replied;
    call->arg = arg;
    call->link.data = call;
    call->reply.kind = -1;
    return &call->base;
}

static void call_free(struct call *call)
{
    for (unsigned i = 0; i < VR_PATH_IDS; i++)
        g_free(call->owned_ids[i]);
    vr_unref(call->base.body);
    g_free(call->owned_correlation_id);
    g_strfreev(call->params);
    vr_error_free(call->error);
    g_free(call->id);
    g_free(call->job_id);
    vr_unref(call->object);
    g_free(call);
}

/* Out of the engine's list and gone. */
static void finish(struct call *call) VR_REQUIRES(vr_role_engine)
{
    g_queue_unlink(&call->base.engine->calls, &call->link);
    vr_engine_cancel(call->base.engine, call->timer);
    call_free(call);
}

static void reply_with(struct call *call, const struct vr_error *error)
{
    struct vr_call_reply reply = call->reply;
    reply.error = error;
    reply.id = call->id;
    reply.job_id = call->job_id;
    reply.object = call->object;
    if (error) {
        reply.status = error->fault->http;
        reply.kind = -1;
        reply.id = NULL;
        reply.created = false;
        if (reply.action_status)
            reply.action_status = "failed";
    }
    call->replied(&reply, call->arg);
}

/* --- the database is down --- */

static void waited_long_enough(struct vr_engine *engine, void *arg)
    VR_REQUIRES(vr_role_engine)
{
    struct call *call = arg;
    vr_auto_error struct vr_error *error = NULL;
    call->timer = 0;
    if (call->state == FRESH) {
        vr_error_set(&error, &vr_fault_database_unavailable, "Nothing was changed.");
        reply_with(call, error);
        finish(call);
        return;
    }
    vr_error_set(&error, &vr_fault_database_unavailable,
                 "The change takes effect when the database is back.");
    reply_with(call, error);
    call->state = ANSWERED; /* its transaction still refers to it */
}

static void watch_database(struct call *call) VR_REQUIRES(vr_role_engine)
{
    struct vr_engine *engine = call->base.engine;
    if (call->timer == 0)
        call->timer = vr_engine_after(engine, engine->config->CommitTimeoutInSeconds * 1000,
                                      waited_long_enough, call);
}

static void begin(struct call *call) VR_REQUIRES(vr_role_engine)
{
    call->state = RUNNING;
    vr_engine_cancel(call->base.engine, call->timer);
    call->timer = 0;
    call->base.operation->write(&call->base);
}

void vr_call_begin(struct vr_engine *engine, struct vr_call *base)
{
    struct call *call = of(base);
    call->base.engine = engine;
    g_queue_push_tail_link(&engine->calls, &call->link);
    if (engine->database_up)
        begin(call);
    else
        watch_database(call);
}

void calls_database(struct vr_engine *engine)
{
    GList *next;
    for (GList *link = engine->calls.head; link; link = next) {
        struct call *call = link->data;
        next = link->next;
        if (call->state == FRESH && engine->database_up) {
            begin(call);
        } else if (call->state == COMMITTING && !engine->database_up) {
            watch_database(call);
        } else if (call->state == COMMITTING) {
            vr_engine_cancel(engine, call->timer);
            call->timer = 0;
        }
    }
}

void calls_done(struct vr_engine *engine)
{
    GList *link;
    while ((link = g_queue_pop_head_link(&engine->calls)))
        call_free(link->data);
}

/* --- what handlers ask --- */

void *vr_call_take_body(struct vr_call *call)
{
    return g_steal_pointer(&call->body);
}

const char *vr_call_param(const struct vr_call *base, const char *name)
{
    char **params = of(base)->params;
    for (unsigned i = 0; params && params[i] && params[i + 1]; i += 2) {
        if (strcmp(params[i], name) == 0)
            return params[i + 1];
    }
    return NULL;
}

/* facts/rest-api.md 1.8; a bare name means true. */
bool vr_call_flag(const struct vr_call *call, const char *name, bool otherwise)
{
    static const char *const yes[] = { "", "t", "true", "y", "yes", "1", NULL };
    static const char *const no[] = { "f", "false", "n", "no", "0", NULL };
    const char *word = vr_call_param(call, name);
    if (!word)
        return otherwise;
    g_autofree char *lower = g_ascii_strdown(word, -1);
    if (g_strv_contains(yes, lower))
        return true;
    return g_strv_contains(no, lower) ? false : otherwise;
}

const struct vr_user *vr_call_user(const struct vr_call *call)
{
    return call->caller ? VR_PEEK(call->engine->head, USER, user, call->caller->user_id) : NULL;
}

/* --- endings --- */

static void reply_now(struct vr_engine *engine, void *arg) VR_REQUIRES(vr_role_engine)
{
    struct call *call = arg;
    reply_with(call, call->error);
    finish(call);
}

/* A reply never comes from inside a handler. */
static void reply_soon(struct call *call) VR_REQUIRES(vr_role_engine)
{
    call->state = REPLYING;
    vr_engine_after(call->base.engine, 0, reply_now, call);
}

static void job_ended(struct vr_engine *engine, const char *job_id, bool failed,
                      const struct vr_error *error, void *arg) VR_REQUIRES(vr_role_engine)
{
    struct call *call = arg;
    vr_auto_error struct vr_error *failure = failed ? vr_error_copy(error) : NULL;
    if (failed && !failure)
        vr_error_set(&failure, &vr_fault_internal, "The job failed.");
    reply_with(call, failure);
    finish(call);
}

static void committed(struct vr_engine *engine, void *arg) VR_REQUIRES(vr_role_engine)
{
    struct call *call = arg;
    if (call->state == ANSWERED) {
        finish(call);
        return;
    }
    vr_engine_cancel(engine, call->timer);
    call->timer = 0;
    if (call->wait) {
        call->state = WAITING;
        vr_job_watch(engine, call->job_id, job_ended, call);
        return;
    }
    reply_with(call, NULL);
    finish(call);
}

static void commit(struct call *call, struct vr_txn *txn) VR_REQUIRES(vr_role_engine)
{
    g_assert(call->state == RUNNING);
    if (!txn && !call->wait) {
        reply_soon(call);
        return;
    }
    call->state = COMMITTING;
    if (!call->base.engine->database_up)
        watch_database(call);
#ifdef VR_BREAK_ANSWER_BEFORE_COMMIT
    vr_txn_commit(txn ? txn : vr_txn_new(call->base.engine), NULL, NULL);
    vr_engine_after(call->base.engine, 0, committed, call);
#else
    vr_txn_commit(txn ? txn : vr_txn_new(call->base.engine), committed, call);
#endif
}

void vr_call_fail(struct vr_call *base, struct vr_error **error)
{
    struct call *call = of(base);
    g_assert(call->state == RUNNING && *error);
    call->error = g_steal_pointer(error);
    if (base->operation && base->operation->is_action)
        call->reply.action_status = "failed";
    reply_soon(call);
}

void vr_call_answer(struct vr_call *base, int status, void *object)
{
    struct call *call = of(base);
    g_assert(call->state == RUNNING);
    call->reply.status = status;
    call->object = object;
    reply_soon(call);
}

void vr_call_wait_by_default(struct vr_call *base)
{
    of(base)->wait_told = true;
}

static bool expects(const struct vr_call *call, const char *token)
{
    const char *expect = vr_call_param(call, "expect");
    return expect && strstr(expect, token);
}

/* Query before body, both optional (facts/rest-api.md 5.1). */
static bool async_flag(const struct vr_call *call, bool otherwise)
{
    if (vr_call_param(call, "async"))
        return vr_call_flag(call, "async", otherwise);
    const struct vr_object *body = call->body;
    const struct vr_field *field = body ? vr_type_field(body->type, "async") : NULL;
    if (field && field->kind == VR_FIELD_BOOLEAN && vr_has(body, field))
        return *(bool *)vr_member(body, field);
    return otherwise;
}

void vr_call_commit(struct vr_call *base, struct vr_txn *txn, int kind, const char *id)
{
    struct call *call = of(base);
    call->reply.created = base->operation->method == VR_METHOD_POST && !base->operation->is_action;
    call->reply.status = call->reply.created ? 201 : 200;
    call->reply.kind = kind;
    call->id = g_strdup(id);
    commit(call, txn);
}

void vr_call_commit_job(struct vr_call *base, struct vr_txn *txn, const char *job_id, int kind,
                        const char *id)
{
    struct call *call = of(base);
    call->wait =
        job_id && (expects(base, "201-created") || !async_flag(base, !call->wait_told));
    call->reply.created = base->operation->method == VR_METHOD_POST;
    call->reply.status = !call->reply.created ? 200 : job_id && !call->wait ? 202 : 201;
    call->reply.creation_status = job_id && !call->wait ? "pending" : NULL;
    call->reply.kind = kind;
    call->id = g_strdup(id);
    call->job_id = g_strdup(job_id);
    commit(call, txn);
}

void vr_call_commit_remove(struct vr_call *base, struct vr_txn *txn, const char *job_id)
{
    struct call *call = of(base);
    bool given = vr_call_param(base, "async");
    bool async = async_flag(base, false) || expects(base, "202-accepted");
    call->wait = job_id && (given || call->wait_told) && !async;
    call->reply.status = async ? 202 : 200;
    call->reply.action_status = job_id && !call->wait ? "in_progress" : "complete";
    call->job_id = g_strdup(job_id);
    commit(call, txn);
}

void vr_call_commit_action(struct vr_call *base, struct vr_txn *txn, const char *job_id)
{
    struct call *call = of(base);
    call->wait = job_id && !async_flag(base, !call->wait_told);
    bool running = job_id && !call->wait;
    call->reply.status = running ? 202 : 200;
    call->reply.action_status = running ? "in_progress" : "complete";
    call->job_id = g_strdup(job_id);
    call->object = g_steal_pointer(&base->body);
    commit(call, txn);
}

void vr_call_commit_object(struct vr_call *base, struct vr_txn *txn, const char *job_id,
                           void *object)
{
    struct call *call = of(base);
    call->wait = job_id != NULL;
    call->reply.created = base->operation->method == VR_METHOD_POST;
    call->reply.status = call->reply.created ? 201 : 200;
    call->job_id = g_strdup(job_id);
    call->object = object;
    commit(call, txn);
}
