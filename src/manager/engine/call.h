/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * call: one write request of REST while the engine works on it.
 *
 * A `write` handler of the schema gets a call on the engine thread and ends
 * it exactly once with one of the functions below, at once or later.
 * Mandatory members and the caller's permission have been checked.  A typical
 * handler:
 *
 *     void vr_tags_add(struct vr_call *call)
 *     {
 *         vr_auto_error struct vr_error *error = NULL;
 *         struct vr_tag *tag = call->body;
 *         if (!check_tag(call, tag, &error)) {
 *             vr_call_fail(call, &error);
 *             return;
 *         }
 *         struct vr_txn *txn = vr_txn_new(call->engine);
 *         vr_txn_add(txn, VR_KIND_TAG, vr_call_take_body(call));
 *         vr_call_commit(call, txn, VR_KIND_TAG, tag->id);
 *     }
 */

#include "manager/engine/engine.h"
#include "model/route.h"

#define VR_PATH_IDS 8

/* What REST knows of the caller; outlives the call. */
struct vr_caller {
    const char *user_id;   /* entity id of the user */
    const char *user_name; /* admin@internal-authz */
    bool admin;            /* has an administrator role somewhere */
    bool filtered;         /* sees only what he has permissions on */
};

struct vr_call {
    struct vr_engine *engine;
    const struct vr_operation *operation;
    const char *ids[VR_PATH_IDS]; /* ids of the path, outermost first */
    unsigned id_count;
    void *body; /* entity (add, update), struct vr_action (actions), or NULL; owned by the call */
    const struct vr_caller *caller;
    const char *correlation_id;
};

/* The last and the last but one id of the path. */
static inline const char *vr_call_id(const struct vr_call *call)
{
    return call->ids[call->id_count - 1];
}
static inline const char *vr_call_parent_id(const struct vr_call *call)
{
    return call->ids[call->id_count - 2];
}

/* --- what REST gives and gets --- */

/* How a call ended.  Everything is borrowed and valid inside the callback only. */
struct vr_call_reply {
    int status; /* of HTTP */
    const struct vr_error *error; /* NULL: it succeeded */
    /* An entity to show from the committed inventory; -1 and NULL: none. */
    int kind;
    const char *id;
    bool created;               /* add: Location is wanted */
    const void *object;         /* shown as it is (vr_call_answer), or the echoed body of an action */
    const char *action_status;  /* actions and removals: "complete", "in_progress", "failed" */
    const char *creation_status; /* adds with a job: "pending"; or NULL */
    const char *job_id;         /* or NULL */
};
/* Engine thread; must not block.  Called exactly once, never from inside vr_call_begin(). */
typedef void vr_call_replied(const struct vr_call_reply *reply, void *arg);

/*
 * A call to be begun.  Any thread.  @ids are copied, @body (may be NULL) is taken, @caller and
 * @operation are borrowed and outlive the call, @params are pairs of name and value, NULL ended, and
 * copied: query parameters before matrix parameters before headers, names in lower case; a header
 * `Expect` or `X-Ovirt-Expect` comes as "expect".
 */
struct vr_call *vr_call_new(const struct vr_operation *operation, const char *const *ids,
                            unsigned id_count, void *body, const struct vr_caller *caller,
                            const char *correlation_id, const char *const *params,
                            vr_call_replied *replied, void *arg);
/* Runs the operation's `write` handler, at once or when the database is back; 503 when it stays away
 * for longer than the option CommitTimeoutInSeconds.  Takes @call. */
void vr_call_begin(struct vr_engine *engine, struct vr_call *call) VR_REQUIRES(vr_role_engine);

/* --- what handlers ask --- */

void *vr_call_take_body(struct vr_call *call);
/* A parameter of the query, the last path segment's matrix, or a header; NULL when absent. */
const char *vr_call_param(const struct vr_call *call, const char *name);
/* facts/rest-api.md 1.8: words of truth; an unknown word or none gives @otherwise. */
bool vr_call_flag(const struct vr_call *call, const char *name, bool otherwise);
/* The caller as an entity of the head, for events; may be NULL. */
const struct vr_user *vr_call_user(const struct vr_call *call) VR_REQUIRES(vr_role_engine);

/* --- endings --- */

/* Takes *@error and answers with its fault. */
void vr_call_fail(struct vr_call *call, struct vr_error **error) VR_REQUIRES(vr_role_engine);
/* Commits, then answers with the entity: 201 and Location for add, 200 for update. */
void vr_call_commit(struct vr_call *call, struct vr_txn *txn, int kind, const char *id)
    VR_REQUIRES(vr_role_engine);
/* The same while a job goes on: 202 with creation_status; 201 when the caller awaits the job. */
void vr_call_commit_job(struct vr_call *call, struct vr_txn *txn, const char *job_id, int kind,
                        const char *id) VR_REQUIRES(vr_role_engine);
/* Commits (@txn may be NULL) and answers a removal: 200 (clients want exactly that), 202 with
 * `async=true`; waits for the job (may be NULL) with `async=false`. */
void vr_call_commit_remove(struct vr_call *call, struct vr_txn *txn, const char *job_id)
    VR_REQUIRES(vr_role_engine);
/* Commits (@txn may be NULL) and answers an action: the body echoed, `status`, the job (may be NULL).
 * With `async=false` it waits for the job. */
void vr_call_commit_action(struct vr_call *call, struct vr_txn *txn, const char *job_id)
    VR_REQUIRES(vr_role_engine);
/* Commits (@txn may be NULL), waits for the job (may be NULL), then answers with @object (taken): for
 * what is no entity of its own. */
void vr_call_commit_object(struct vr_call *call, struct vr_txn *txn, const char *job_id,
                           void *object) VR_REQUIRES(vr_role_engine);
/* Before one of the endings above with a job: a caller that does not say `async` waits, because how
 * the job ends is what it asked for. */
void vr_call_wait_by_default(struct vr_call *call) VR_REQUIRES(vr_role_engine);
/* Answers with @object (taken) and this HTTP status, without a commit. */
void vr_call_answer(struct vr_call *call, int status, void *object) VR_REQUIRES(vr_role_engine);

/* --- checks that handlers share --- */

/* The entity that a body's link (id or name) means, in the head; borrowed.  A link without either,
 * or one that leads nowhere, is an error that names @what ("Cluster"). */
const void *vr_resolve(struct vr_engine *engine, int kind, const void *link, const char *what,
                       struct vr_error **error) VR_REQUIRES(vr_role_engine);
#define VR_RESOLVE(engine, KIND, t, link, what, error)                                             \
    ((const struct vr_##t *)vr_resolve((engine), VR_KIND_##KIND, (link), (what), (error)))
/* The entity of @kind behind the last id of the path, or a 404 error without a detail. */
const void *vr_call_target(struct vr_call *call, int kind, struct vr_error **error)
    VR_REQUIRES(vr_role_engine);

/* facts/rest-api.md 8.4.  HOST: [0-9A-Za-z._-]; SIMPLE: [0-9A-Za-z_-]; VM: letters of any script,
 * digits, . _ -; FREE: anything printable.  400 with the rule when @name does not fit. */
enum vr_name_rule { VR_NAME_HOST, VR_NAME_SIMPLE, VR_NAME_VM, VR_NAME_FREE };
bool vr_check_name(const char *what, const char *name, enum vr_name_rule rule, unsigned max_length,
                   struct vr_error **error);
