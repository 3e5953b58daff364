/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "engine"
#include "manager/engine/internal.h"

struct host_call {
    uint64_t call;
    vr_host_answer *done;
    void *arg;
};

struct vr_engine *vr_engine_new(struct vr_world *world, const struct vr_config *config,
                                struct vr_inventory *committed)
{
    struct vr_engine *engine = g_new0(struct vr_engine, 1);
    engine->world = world;
    engine->config = config;
    engine->committed = committed;
    engine->head = vr_inventory_new(false);
    engine->database_up = true;
    engine->host_calls = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
    unsigned modules = 0;
    while (vr_modules[modules])
        modules++;
    engine->module_states = g_new0(void *, modules + 1);
    awaited_init(engine);
    errands_init(engine);
    timers_init(engine);
    return engine;
}

/* Crash-only: what was under way is dropped, not ended.  The modules let go of their memory. */
void vr_engine_free(struct vr_engine *engine)
{
    if (!engine)
        return;
    while (engine->modules_started > 0) {
        unsigned i = --engine->modules_started;
        if (vr_modules[i]->stop)
            vr_modules[i]->stop(engine->module_states[i]);
    }
    vr_jobs_free(engine);
    calls_done(engine);
    events_done(engine);
    commits_done(engine);
    timers_done(engine);
    errands_done(engine);
    awaited_done(engine);
    g_hash_table_destroy(engine->host_calls);
    g_free(engine->module_states);
    vr_inventory_free(engine->head);
    g_free(engine);
}

void vr_engine_load(struct vr_engine *engine, const struct vr_change *changes, unsigned count)
{
    g_assert(!engine->started);
    vr_inventory_apply(engine->head, changes, count);
    vr_inventory_apply(engine->committed, changes, count);
    for (unsigned i = 0; i < count; i++)
        engine->last_rev = MAX(engine->last_rev, changes[i].rev);
}

static void create_defaults(struct vr_engine *engine) VR_REQUIRES(vr_role_engine)
{
    struct vr_txn *txn = vr_txn_new(engine);
    for (unsigned i = 0; vr_modules[i]; i++) {
        if (vr_modules[i]->defaults)
            vr_modules[i]->defaults(txn);
    }
    vr_txn_commit(txn, NULL, NULL);
}

void vr_engine_start(struct vr_engine *engine)
{
    g_assert(!engine->started);
    engine->started = true;
    events_start(engine);
    vr_jobs_load(engine); /* the locks, before anything can ask for one */
    create_defaults(engine);
    for (unsigned i = 0; vr_modules[i]; i++) {
        if (vr_modules[i]->start)
            engine->module_states[i] = vr_modules[i]->start(engine);
        engine->modules_started = i + 1;
    }
    vr_jobs_start(engine);
    for (unsigned i = 0; vr_modules[i]; i++) {
        if (vr_modules[i]->begin)
            vr_modules[i]->begin(engine->module_states[i]);
    }
}

struct vr_inventory *vr_engine_head(struct vr_engine *engine)
{
    return engine->head;
}

const struct vr_config *vr_engine_config(struct vr_engine *engine)
{
    return engine->config;
}

struct vr_world *vr_engine_world(struct vr_engine *engine)
{
    return engine->world;
}

void *vr_engine_module(struct vr_engine *engine, const struct vr_module *module)
{
    for (unsigned i = 0; vr_modules[i]; i++) {
        if (vr_modules[i] == module)
            return engine->module_states[i];
    }
    g_error("engine: module %s is not listed in engine/modules.c", module->name);
}

/* --- clock and chance --- */

void vr_engine_tick(struct vr_engine *engine)
{
    timers_run(engine);
}

int64_t vr_engine_wall_ms(struct vr_engine *engine)
{
    return engine->world->ops->wall_ms(engine->world);
}

int64_t vr_engine_monotonic_ms(struct vr_engine *engine)
{
    return engine->world->ops->monotonic_ms(engine->world);
}

void vr_engine_random(struct vr_engine *engine, void *out, size_t size)
{
    engine->world->ops->random(engine->world, out, size);
}

char *vr_engine_uuid(struct vr_engine *engine)
{
    uint8_t random[16];
    vr_engine_random(engine, random, sizeof(random));
    char *text = g_malloc(37);
    vr_uuid_format(text, random);
    return text;
}

/* --- database --- */

void vr_engine_database(struct vr_engine *engine, bool up)
{
    if (engine->database_up == up)
        return;
    engine->database_up = up;
    if (!engine->started)
        return;
    calls_database(engine);
    struct vr_txn *txn = vr_txn_new(engine);
    vr_event_add(txn, up ? VR_EVENT_DATABASE_RECOVERED : VR_EVENT_DATABASE_LOST, NULL, NULL);
    vr_txn_commit(txn, NULL, NULL);
}

bool vr_engine_database_up(struct vr_engine *engine)
{
    return engine->database_up;
}

/* --- hosts --- */

void vr_engine_host_call(struct vr_engine *engine, const char *host_id, const struct vr_verb *verb,
                         const void *params, unsigned timeout_ms, const char *correlation_id,
                         vr_host_answer *done, void *arg)
{
    struct host_call *call = g_new(struct host_call, 1);
    *call = (struct host_call){ ++engine->last_host_call, done, arg };
    g_hash_table_insert(engine->host_calls, &call->call, call);
    if (timeout_ms == 0)
        timeout_ms = (unsigned)(engine->config->vdsTimeout * 1000);
    engine->world->ops->host_call(engine->world, call->call, host_id, verb, params, timeout_ms,
                                  correlation_id);
}

void vr_engine_host_answer(struct vr_engine *engine, uint64_t call_id, const void *result, int code,
                           const char *message)
{
    struct host_call *call = g_hash_table_lookup(engine->host_calls, &call_id);
    if (!call)
        g_error("engine: host call %" G_GUINT64_FORMAT " is answered twice", call_id);
    const struct host_call copy = *call;
    g_hash_table_remove(engine->host_calls, &call_id);
    if (copy.done)
        copy.done(engine, code == 0 ? result : NULL, code, message, copy.arg);
}

void vr_engine_host_state(struct vr_engine *engine, const char *host_id, bool connected,
                          const char *reason)
{
    for (unsigned i = 0; i < engine->modules_started; i++) {
        if (vr_modules[i]->host_state)
            vr_modules[i]->host_state(engine->module_states[i], host_id, connected, reason);
    }
}

void vr_engine_host_event(struct vr_engine *engine, const char *host_id, const char *method,
                          const char *params)
{
    for (unsigned i = 0; i < engine->modules_started; i++) {
        if (vr_modules[i]->host_event)
            vr_modules[i]->host_event(engine->module_states[i], host_id, method, params);
    }
}
