/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * engine: the one thread that decides and changes things.
 *
 * Commands (calls from REST), answers from hosts, timers and commit
 * acknowledgements are messages; each runs to its end without blocking.  A
 * change is a transaction (struct vr_txn): versions are copied, edited, put
 * into the head inventory at once, sent to the database, and shown to readers
 * when the database has them.
 */

#include "manager/engine/world.h"
#include "manager/inventory/inventory.h"
#include "gen/config.h"
#include "gen/events.h"

struct vr_engine;
struct vr_txn;

/* --- life --- */

/* @world, @config and @committed are borrowed and outlive the engine. */
struct vr_engine *vr_engine_new(struct vr_world *world, const struct vr_config *config,
                                struct vr_inventory *committed);
void vr_engine_free(struct vr_engine *engine);
/* Puts loaded entities in place (head and committed).  Then vr_engine_start() rebuilds the locks,
 * creates the default objects, starts the modules and goes on with unfinished jobs. */
void vr_engine_load(struct vr_engine *engine, const struct vr_change *changes, unsigned count)
    VR_REQUIRES(vr_role_engine);
void vr_engine_start(struct vr_engine *engine) VR_REQUIRES(vr_role_engine);

struct vr_inventory *vr_engine_head(struct vr_engine *engine) VR_REQUIRES(vr_role_engine);
const struct vr_config *vr_engine_config(struct vr_engine *engine);
struct vr_world *vr_engine_world(struct vr_engine *engine);

/* --- what the world tells (engine thread) --- */

void vr_engine_tick(struct vr_engine *engine) VR_REQUIRES(vr_role_engine);
void vr_engine_committed(struct vr_engine *engine, uint64_t sequence) VR_REQUIRES(vr_role_engine);
/* @result is borrowed, NULL when @code is not 0 or the verb answers nothing. */
void vr_engine_host_answer(struct vr_engine *engine, uint64_t call, const void *result, int code,
                           const char *message) VR_REQUIRES(vr_role_engine);
void vr_engine_host_state(struct vr_engine *engine, const char *host_id, bool connected,
                          const char *reason) VR_REQUIRES(vr_role_engine);
/* Takes @errand. */
void vr_engine_errand_done(struct vr_engine *engine, uint64_t number, struct vr_errand *errand)
    VR_REQUIRES(vr_role_engine);
/* @method "|virt|VM_status|<id>", @params raw JSON. */
void vr_engine_host_event(struct vr_engine *engine, const char *host_id, const char *method,
                          const char *params) VR_REQUIRES(vr_role_engine);
/* Whether the database answers.  While it does not, new calls of REST wait (call.h), and a module
 * decides only what cannot wait. */
void vr_engine_database(struct vr_engine *engine, bool up) VR_REQUIRES(vr_role_engine);
bool vr_engine_database_up(struct vr_engine *engine) VR_REQUIRES(vr_role_engine);

/* --- clock, chance, timers --- */

int64_t vr_engine_wall_ms(struct vr_engine *engine) VR_REQUIRES(vr_role_engine);
int64_t vr_engine_monotonic_ms(struct vr_engine *engine) VR_REQUIRES(vr_role_engine);
char *vr_engine_uuid(struct vr_engine *engine) VR_REQUIRES(vr_role_engine);
void vr_engine_random(struct vr_engine *engine, void *out, size_t size)
    VR_REQUIRES(vr_role_engine);

typedef void vr_timer_fn(struct vr_engine *engine, void *arg);
/* Runs @fn once after @ms.  The id cancels it; 0 is never given. */
uint64_t vr_engine_after(struct vr_engine *engine, int64_t ms, vr_timer_fn *fn, void *arg)
    VR_REQUIRES(vr_role_engine);
/* The same, and the timer owns @arg: it is released after @fn ran, when the timer is cancelled and
 * when the engine ends before. */
uint64_t vr_engine_after_with(struct vr_engine *engine, int64_t ms, vr_timer_fn *fn, void *arg,
                              GDestroyNotify release) VR_REQUIRES(vr_role_engine);
/* Takes 0 and ids that have run. */
void vr_engine_cancel(struct vr_engine *engine, uint64_t timer) VR_REQUIRES(vr_role_engine);

/* --- hosts --- */

/* @result is borrowed, NULL on error; @code is the RPC code (world.h), 0 for success. */
typedef void vr_host_answer(struct vr_engine *engine, const void *result, int code,
                            const char *message, void *arg);
/* @params is borrowed (the engine takes a reference).  @timeout_ms 0: option vdsTimeout.  @done NULL:
 * nobody needs the answer. */
void vr_engine_host_call(struct vr_engine *engine, const char *host_id, const struct vr_verb *verb,
                         const void *params, unsigned timeout_ms, const char *correlation_id,
                         vr_host_answer *done, void *arg) VR_REQUIRES(vr_role_engine);

/*
 * Says that a host does not serve at present and is expected to, or (false) that it serves, or that
 * nobody waits for it any longer.  `hosts` says so: true from the start, or the loss of a connection,
 * until the host is at work or its grace is over.  Said twice it is as good as once.
 */
void vr_engine_host_expect(struct vr_engine *engine, const char *host_id, bool expected)
    VR_REQUIRES(vr_role_engine);
/* True: the host is expected, and @fn runs when it is not any more, never from inside; it looks again
 * then.  False: it is not expected, there is nothing to wait for, and @fn is not called. */
bool vr_engine_host_wait(struct vr_engine *engine, const char *host_id, vr_timer_fn *fn, void *arg)
    VR_REQUIRES(vr_role_engine);

/* --- errands --- */

/* @errand is borrowed; what is taken out of it is replaced by NULL. */
typedef void vr_errand_done(struct vr_engine *engine, struct vr_errand *errand, void *arg);
/* Takes @errand.  @done is never called from inside. */
void vr_engine_errand(struct vr_engine *engine, struct vr_errand *errand, vr_errand_done *done,
                      void *arg) VR_REQUIRES(vr_role_engine);

/* --- transactions --- */

struct vr_txn *vr_txn_new(struct vr_engine *engine) VR_REQUIRES(vr_role_engine);
void vr_txn_abandon(struct vr_txn *txn) VR_REQUIRES(vr_role_engine);
struct vr_engine *vr_txn_engine(struct vr_txn *txn);

/* The version to read inside this transaction: its own edit, else the head's.  Borrowed; NULL when
 * there is none. */
const void *vr_txn_peek(struct vr_txn *txn, int kind, const char *id) VR_REQUIRES(vr_role_engine);
/* A copy to edit in place, owned by the transaction; the same copy every time.  NULL when there is
 * no such entity. */
void *vr_txn_edit(struct vr_txn *txn, int kind, const char *id) VR_REQUIRES(vr_role_engine);
#define VR_EDIT(txn, KIND, t, id) ((struct vr_##t *)vr_txn_edit((txn), VR_KIND_##KIND, (id)))
/* A new entity.  Takes @object, which stays editable until the commit; gives it an id when it has
 * none.  Returns @object. */
void *vr_txn_add(struct vr_txn *txn, int kind, void *object) VR_REQUIRES(vr_role_engine);
void vr_txn_remove(struct vr_txn *txn, int kind, const char *id) VR_REQUIRES(vr_role_engine);

typedef void vr_commit_fn(struct vr_engine *engine, void *arg);
/* Consumes @txn.  The head shows the changes on return; edits that changed nothing are dropped.
 * @done (may be NULL) runs on the engine thread when the database has them, never from inside. */
void vr_txn_commit(struct vr_txn *txn, vr_commit_fn *done, void *arg) VR_REQUIRES(vr_role_engine);

/* --- events (audit log) --- */

/* Who and what an event is about; any member may be NULL.  Sets the event's references and the
 * variables UserName VmName VdsName ClusterName StoragePoolName StorageDomainName VmTemplateName. */
struct vr_event_about {
    const struct vr_user *user;
    const struct vr_vm *vm;
    const struct vr_host *host;
    const struct vr_cluster *cluster;
    const struct vr_data_center *data_center;
    const struct vr_storage_domain *storage_domain;
    const struct vr_template *vm_template;
    const char *correlation_id;
    const char *subject; /* which of several parts (an interface's name): for flood control alone */
};
/* Adds an event to @txn.  Then pairs of variable name and value, ended by NULL:
 *     vr_event_add(txn, VR_EVENT_USER_ADD_DISK, &about, "DiskAlias", alias, NULL);
 * Flood control drops it silently when one of its code, entities and subject is younger
 * than its rate. */
void vr_event_add(struct vr_txn *txn, enum vr_event_code code, const struct vr_event_about *about,
                  ...) VR_REQUIRES(vr_role_engine) G_GNUC_NULL_TERMINATED;

/* Gives an event that was not made by vr_event_add() its number, id and time. */
void vr_event_number(struct vr_txn *txn, struct vr_event *event) VR_REQUIRES(vr_role_engine);

/* --- modules --- */

/* A part of the Manager that lives on the engine thread.  engine/modules.c lists them. */
struct vr_module {
    const char *name;
    /* Creates what must exist (default objects); runs inside one transaction at every start. */
    void (*defaults)(struct vr_txn *txn);
    /* Returns the module's state. */
    void *(*start)(struct vr_engine *engine);
    /* After every module's start and after unfinished jobs went on: first work (may be NULL). */
    void (*begin)(void *state);
    void (*stop)(void *state);
    void (*host_state)(void *state, const char *host_id, bool connected, const char *reason);
    void (*host_event)(void *state, const char *host_id, const char *method, const char *params);
};
extern const struct vr_module *const vr_modules[]; /* NULL ended */
/* The state that @module's start returned. */
void *vr_engine_module(struct vr_engine *engine, const struct vr_module *module)
    VR_REQUIRES(vr_role_engine);
