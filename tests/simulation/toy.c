/* SPDX-License-Identifier: Apache-2.0 */
#include "toy.h"

#include "hosts.h"

/*
 * Machines in the small: a tag is one; its `description` names the host that
 * runs it (or is about to), its `comment` says "up" once it does.  Enough to
 * have everything that jobs, locks, transactions and host calls can get wrong.
 */

#define TRIES 4

struct watched {
    struct module *module;
    char *host_id;
    bool connected;
    bool polling; /* one question at a time: `asked` is of the answer that comes */
    int64_t asked;
};

struct module {
    struct vr_engine *engine;
    struct watched hosts[SIM_HOSTS];
    GHashTable *ended; /* machine -> when its last job ended, monotonic ms */
};

static const struct vr_module toy_module;

static char *toy_host_id(unsigned index)
{
    return g_strdup_printf("00000000-0000-4000-8000-00000000000%u", index + 1);
}

static const struct vr_tag *machine(struct vr_engine *engine, const char *id)
    VR_REQUIRES(vr_role_engine)
{
    return VR_PEEK(vr_engine_head(engine), TAG, tag, id);
}

static struct vr_property *context_of(struct vr_job_run *run)
{
    return run->context;
}

static void call_vm(struct vr_job_run *run, const struct vr_verb *verb, vr_job_answer *done)
    VR_REQUIRES(vr_role_engine)
{
    const char *host_id = context_of(run)->value;
    /* Both kinds of parameters begin with the machine's id. */
    vr_auto void *params = vr_object_new(verb->params);
    const struct vr_field *field = vr_type_field(verb->params, "vmID");
    *(char **)vr_member(params, field) = g_strdup(context_of(run)->name);
    vr_set_has(params, field, true);
    vr_job_call(run, host_id, verb, params, 10000, done);
}

static void remember_end(struct vr_job_run *run, bool failed, const struct vr_error *error)
    VR_REQUIRES(vr_role_engine)
{
    struct module *module = vr_engine_module(run->engine, &toy_module);
    int64_t now = vr_engine_monotonic_ms(run->engine);
    g_hash_table_replace(module->ended, g_strdup(context_of(run)->name),
                         g_memdup2(&now, sizeof(now)));
}

/* --- start: choose a host, create there, publish --- */

static void choose(struct vr_job_run *run) VR_REQUIRES(vr_role_engine)
{
    struct vr_property *context = run->context;
    uint8_t chance;
    vr_engine_random(run->engine, &chance, sizeof(chance));
    g_autofree char *host_id = toy_host_id(chance % SIM_HOSTS);
    VR_SET_STRING(context, value, host_id);
    VR_SET_STRING(VR_EDIT(run->txn, TAG, tag, context->name), description, host_id);
    vr_job_done(run);
}

static void create(struct vr_job_run *run);

static void created(struct vr_job_run *run, const void *result, int code, const char *message)
    VR_REQUIRES(vr_role_engine)
{
    vr_auto_error struct vr_error *error = NULL;
    if (code == 0 || code == 4) {
        vr_job_done(run);
        return;
    }
    uint8_t chance;
    vr_engine_random(run->engine, &chance, sizeof(chance));
    if (code == VR_RPC_NETWORK_ERROR && chance % TRIES) {
        vr_job_after(run, 2000, create);
        return;
    }
    vr_job_host_error(&error, "VM.create", code, message);
    vr_job_fail(run, &error);
}

static void create(struct vr_job_run *run) VR_REQUIRES(vr_role_engine)
{
    call_vm(run, &vr_verb_vm_create, created);
}

static void publish(struct vr_job_run *run) VR_REQUIRES(vr_role_engine)
{
    uint8_t chance;
    vr_engine_random(run->engine, &chance, sizeof(chance));
    if (chance < 25) {
        vr_auto_error struct vr_error *error = NULL;
        vr_error_set(&error, &vr_fault_vm_is_running, "Bad luck.");
        vr_job_fail(run, &error);
        return;
    }
    VR_SET_STRING(VR_EDIT(run->txn, TAG, tag, context_of(run)->name), comment, "up");
    vr_job_done(run);
}

static void destroyed(struct vr_job_run *run, const void *result, int code, const char *message)
    VR_REQUIRES(vr_role_engine)
{
    vr_auto_error struct vr_error *error = NULL;
    if (code == 0 || code == 1) {
        struct vr_tag *tag = VR_EDIT(run->txn, TAG, tag, context_of(run)->name);
        VR_CLEAR(tag, description);
        VR_CLEAR(tag, comment);
        vr_job_done(run);
        return;
    }
    vr_job_host_error(&error, "VM.destroy", code, message);
    vr_job_fail(run, &error);
}

/* Also where `create` failed: nobody knows whether the host had heard of it. */
static void unchoose(struct vr_job_run *run) VR_REQUIRES(vr_role_engine)
{
    call_vm(run, &vr_verb_vm_destroy, destroyed);
}

static const struct vr_job_step start_steps[] = {
    { "choose a host", choose, unchoose },
    { "create", create, NULL },
    { "publish", publish, NULL },
};

static const struct vr_job_type toy_start_job = {
    .name = "ToyStart",
    .context = &vr_type_property,
    .steps = start_steps,
    .step_count = G_N_ELEMENTS(start_steps),
    .ended = remember_end,
};

/* --- stop: destroy, until the host says so --- */

static void stop(struct vr_job_run *run);

static void stopped(struct vr_job_run *run, const void *result, int code, const char *message)
    VR_REQUIRES(vr_role_engine)
{
    if (code == VR_RPC_NETWORK_ERROR)
        vr_job_after(run, 3000, stop);
    else
        destroyed(run, result, code, message);
}

static void half(struct vr_job_run *run) VR_REQUIRES(vr_role_engine)
{
    vr_job_progress(run, 50);
    call_vm(run, &vr_verb_vm_destroy, stopped);
}

static void stop(struct vr_job_run *run) VR_REQUIRES(vr_role_engine)
{
    vr_job_record(run, half);
}

static const struct vr_job_step stop_steps[] = {
    { "destroy", stop, NULL },
};

static const struct vr_job_type toy_stop_job = {
    .name = "ToyStop",
    .context = &vr_type_property,
    .steps = stop_steps,
    .step_count = G_N_ELEMENTS(stop_steps),
    .ended = remember_end,
};

const struct vr_job_type *const vr_job_types[] = { &toy_start_job, &toy_stop_job, NULL };

/* --- handlers --- */

static void add_machine(struct vr_call *call) VR_REQUIRES(vr_role_engine)
{
    struct vr_txn *txn = vr_txn_new(call->engine);
    struct vr_tag *tag = vr_call_take_body(call);
    vr_txn_add(txn, VR_KIND_TAG, tag);
    vr_call_commit(call, txn, VR_KIND_TAG, tag->id);
}

static bool check(struct vr_call *call, bool running, struct vr_error **error)
    VR_REQUIRES(vr_role_engine)
{
    const struct vr_lock lock = { VR_KIND_TAG, vr_call_id(call), true };
    const struct vr_tag *tag = vr_call_target(call, VR_KIND_TAG, error);
    if (!tag || !vr_locks_free(call->engine, &lock, 1, error))
        return false;
    if (running == (tag->description != NULL))
        return true;
    vr_error_set(error, &vr_fault_conflict, NULL);
    return false;
}

static const char *start_job(struct vr_call *call, struct vr_txn *txn,
                             const struct vr_job_type *type) VR_REQUIRES(vr_role_engine)
{
    const struct vr_lock locks[] = { { VR_KIND_TAG, vr_call_id(call), true },
                                     { VR_KIND_TAG, "everything", false } };
    const struct vr_tag *tag = machine(call->engine, vr_call_id(call));
    struct vr_property *context = VR_NEW(property);
    VR_SET_STRING(context, name, tag->id);
    VR_SET_STRING(context, value, tag->description);
    return vr_job_start(txn, &(struct vr_job_start){ .type = type,
                                                     .context = context,
                                                     .description = type->name,
                                                     .locks = locks,
                                                     .lock_count = G_N_ELEMENTS(locks) });
}

static void act(struct vr_call *call, bool running, const struct vr_job_type *type)
    VR_REQUIRES(vr_role_engine)
{
    vr_auto_error struct vr_error *error = NULL;
    if (!check(call, running, &error)) {
        vr_call_fail(call, &error);
        return;
    }
    struct vr_txn *txn = vr_txn_new(call->engine);
    vr_call_commit_action(call, txn, start_job(call, txn, type));
}

static void start_machine(struct vr_call *call) VR_REQUIRES(vr_role_engine)
{
    act(call, false, &toy_start_job);
}

static void stop_machine(struct vr_call *call) VR_REQUIRES(vr_role_engine)
{
    act(call, true, &toy_stop_job);
}

static void remove_machine(struct vr_call *call) VR_REQUIRES(vr_role_engine)
{
    vr_auto_error struct vr_error *error = NULL;
    if (!check(call, false, &error)) {
        vr_call_fail(call, &error);
        return;
    }
    struct vr_txn *txn = vr_txn_new(call->engine);
    vr_txn_remove(txn, VR_KIND_TAG, vr_call_id(call));
    vr_call_commit_remove(call, txn, NULL);
}

const struct vr_operation toy_operations[] = {
    [TOY_ADD] = { .name = "add", .method = VR_METHOD_POST, .write = add_machine },
    [TOY_START] = { .name = "start", .method = VR_METHOD_POST, .is_action = true,
                    .write = start_machine },
    [TOY_STOP] = { .name = "stop", .method = VR_METHOD_POST, .is_action = true,
                   .write = stop_machine },
    [TOY_REMOVE] = { .name = "remove", .method = VR_METHOD_DELETE, .write = remove_machine },
};

/* --- the module: keeps the connections, and finds machines that died with their host --- */

static void poll(struct vr_engine *engine, void *arg);

/* Whether a job of the machine ended after @asked: what a host said before that is old. */
static bool changed_since(const struct module *module, const char *id, int64_t asked)
{
    const int64_t *ended = g_hash_table_lookup(module->ended, id);
    return ended && *ended >= asked;
}


static bool is_listed(const struct vr_rpc_host_get_vm_list_result *list, const char *id)
{
    for (unsigned i = 0; i < list->value.len; i++) {
        const struct vr_rpc_vm_info *info = list->value.items[i];
        if (g_strcmp0(info->vm_id, id) == 0)
            return true;
    }
    return false;
}

static void polled(struct vr_engine *engine, const void *result, int code, const char *message,
                   void *arg) VR_REQUIRES(vr_role_engine)
{
    struct watched *host = arg;
    host->polling = false;
    if (code != 0)
        return;
    struct vr_txn *txn = vr_txn_new(engine);
    vr_auto_objects struct vr_objects tags = { 0 };
    vr_inventory_list(vr_engine_head(engine), VR_KIND_TAG, &tags);
    VR_OBJECTS(struct vr_tag, tag, &tags)
    {
        const struct vr_lock lock = { VR_KIND_TAG, tag->id, true };
        vr_auto_error struct vr_error *error = NULL;
        if (g_strcmp0(tag->description, host->host_id) != 0 || !tag->comment ||
            is_listed(result, tag->id) || !vr_locks_free(engine, &lock, 1, &error) ||
            changed_since(host->module, tag->id, host->asked))
            continue;
        struct vr_tag *edit = VR_EDIT(txn, TAG, tag, tag->id);
        VR_CLEAR(edit, description);
        VR_CLEAR(edit, comment);
    }
    vr_txn_commit(txn, NULL, NULL);
}

static void poll(struct vr_engine *engine, void *arg) VR_REQUIRES(vr_role_engine)
{
    struct watched *host = arg;
    struct vr_world *world = vr_engine_world(engine);
    vr_engine_after(engine, 5000, poll, host);
    if (!host->connected) {
        const struct vr_host_target target = { host->host_id, "sim", 54321 };
        world->ops->host_connect(world, &target);
        return;
    }
    if (host->polling)
        return;
    vr_auto struct vr_rpc_host_get_vm_list_params *params = VR_NEW(rpc_host_get_vm_list_params);
    host->polling = true;
    host->asked = vr_engine_monotonic_ms(engine);
    vr_engine_host_call(engine, host->host_id, &vr_verb_host_get_vm_list, params, 0, NULL, polled,
                        host);
}

static void *module_start(struct vr_engine *engine) VR_REQUIRES(vr_role_engine)
{
    struct module *module = g_new0(struct module, 1);
    module->engine = engine;
    module->ended = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    for (unsigned i = 0; i < SIM_HOSTS; i++) {
        module->hosts[i].module = module;
        module->hosts[i].host_id = toy_host_id(i);
        poll(engine, &module->hosts[i]);
    }
    return module;
}

static void module_stop(void *state)
{
    struct module *module = state;
    for (unsigned i = 0; i < SIM_HOSTS; i++)
        g_free(module->hosts[i].host_id);
    g_hash_table_destroy(module->ended);
    g_free(module);
}

static void module_host_state(void *state, const char *host_id, bool connected, const char *reason)
{
    struct module *module = state;
    for (unsigned i = 0; i < SIM_HOSTS; i++) {
        if (strcmp(module->hosts[i].host_id, host_id) == 0)
            module->hosts[i].connected = connected;
    }
}

static const struct vr_module toy_module = {
    .name = "toy",
    .start = module_start,
    .stop = module_stop,
    .host_state = module_host_state,
};

const struct vr_module *const vr_modules[] = { &toy_module, NULL };
