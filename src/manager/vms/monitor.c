/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "vms"
#include "manager/vms/internal.h"

#include <json-c/json.h>

#include "codec/codec.h"
#include "manager/console/console.h"
#include "manager/disks/disks.h"
#include "manager/engine/reduce.h"

/*
 * What hosts say about virtual machines, by report and by event, becomes
 * their status (facts/manager-behaviour.md 2.2).  Only the host that a machine
 * is assigned to is believed about its end; a machine that another host
 * reports running is never started a second time.
 */

static int status_from_host(const char *word)
{
    static const struct {
        const char *word;
        enum vr_vm_status status;
    } rows[] = {
        { "Up", VR_VM_STATUS_UP },
        { "Powering up", VR_VM_STATUS_POWERING_UP },
        { "Powering down", VR_VM_STATUS_POWERING_DOWN },
        { "Paused", VR_VM_STATUS_PAUSED },
        { "RebootInProgress", VR_VM_STATUS_REBOOT_IN_PROGRESS },
        { "WaitForLaunch", VR_VM_STATUS_WAIT_FOR_LAUNCH },
        { "Restoring state", VR_VM_STATUS_RESTORING_STATE },
        { "Saving State", VR_VM_STATUS_SAVING_STATE },
        { "Migration Source", VR_VM_STATUS_MIGRATING },
        { "Migration Destination", VR_VM_STATUS_MIGRATING },
        { "Down", VR_VM_STATUS_DOWN },
    };
    for (unsigned i = 0; word && i < G_N_ELEMENTS(rows); i++)
        if (strcmp(rows[i].word, word) == 0)
            return (int)rows[i].status;
    return -1;
}

/* The host's clock (10.4): an older report than the newest seen is dropped.  Equal ones pass. */
static bool is_news(struct vms *vms, const char *host_id, const char *vm_id, int64_t clock)
{
    if (clock <= 0)
        return true;
    GHashTable *clocks = g_hash_table_lookup(vms->clocks, host_id);
    if (!clocks) {
        clocks = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        g_hash_table_insert(vms->clocks, g_strdup(host_id), clocks);
    }
    int64_t *known = g_hash_table_lookup(clocks, vm_id);
    if (known && *known > clock)
        return false;
    if (!known) {
        known = g_new(int64_t, 1);
        g_hash_table_insert(clocks, g_strdup(vm_id), known);
    }
    *known = clock;
    return true;
}

/* --- changes of status --- */

struct news {
    struct vr_txn *txn;
    struct vr_vm *vm; /* the edit */
    const struct vr_host *host;
    const struct vr_rpc_vm_stats *stats;
};

static struct vr_event_about about(const struct news *news)
{
    return (struct vr_event_about){ .vm = news->vm, .host = news->host };
}

static void went_down(const struct news *news) VR_REQUIRES(vr_role_engine);
static void went_down(const struct news *news)
{
    struct vr_vm *vm = news->vm;
    const struct vr_rpc_vm_stats *stats = news->stats;
    int64_t code = stats ? VR_GET(stats, exit_code, 0) : 1;
    int64_t reason = stats ? VR_GET(stats, exit_reason, 0) : EXIT_MISSING;
    const char *message = stats && stats->exit_message ? stats->exit_message : "";
    enum vr_vm_status before = vm_status(vm);
    struct vr_event_about who = about(news);

    if (vm_job(vr_txn_engine(news->txn), vm)) {
        vm_note_exit(vm, code, reason, message);
        return;
    }
    bool asked = VR_GET(vm, initiated_stop, false) || before == VR_VM_STATUS_POWERING_DOWN;
    vm_set_down(news->txn, vm, code, reason, message);
    if (code == 0 || asked)
        vr_event_add(news->txn, VR_EVENT_VM_DOWN, &who, "ExitMessage", message, NULL);
    else
        vr_event_add(news->txn, VR_EVENT_VM_DOWN_ERROR, &who, "ExitMessage", message, NULL);
}

static const struct {
    const char *code;
    enum vr_event_code event;
} pause_rows[] = {
    { "ENOSPC", VR_EVENT_VM_PAUSED_ENOSPC },
    { "EIO", VR_EVENT_VM_PAUSED_EIO },
    { "EPERM", VR_EVENT_VM_PAUSED_EPERM },
};

static void paused(const struct news *news) VR_REQUIRES(vr_role_engine);
static void paused(const struct news *news)
{
    const char *code = news->stats && news->stats->pause_code ? news->stats->pause_code : "NOERR";
    struct vr_event_about who = about(news);
    g_autofree char *lower = g_ascii_strdown(strcmp(code, "NOERR") == 0 ? "none" : code, -1);
    vm_set_status(news->txn, news->vm, VR_VM_STATUS_PAUSED);
    VR_SET_STRING(news->vm, pause_code, code);
    VR_SET_STRING(news->vm, status_detail, lower);
    for (unsigned i = 0; i < G_N_ELEMENTS(pause_rows); i++)
        if (strcmp(pause_rows[i].code, code) == 0)
            vr_event_add(news->txn, pause_rows[i].event, &who, NULL);
}

static void changed(const struct news *news, enum vr_vm_status now) VR_REQUIRES(vr_role_engine);
static void changed(const struct news *news, enum vr_vm_status now)
{
    struct vr_vm *vm = news->vm;
    enum vr_vm_status before = vm_status(vm);
    const struct vr_job_type *job = vm_job(vr_txn_engine(news->txn), vm);
    struct vr_event_about who = about(news);

    /* The job knows best what the host is about with it. */
    if (job == &vr_job_suspend_vm && now != VR_VM_STATUS_DOWN)
        now = VR_VM_STATUS_SAVING_STATE;
    if (now == before || (before == VR_VM_STATUS_RESTORING_STATE && now == VR_VM_STATUS_WAIT_FOR_LAUNCH))
        return;
    if (now == VR_VM_STATUS_DOWN) {
        went_down(news);
        return;
    }
    /* Its end is noted or asked for: the job that has it in hand sees to it. */
    if ((VR_HAS(vm, exit_code) || VR_GET(vm, initiated_stop, false)) && job)
        return;
    if (now == VR_VM_STATUS_PAUSED) {
        paused(news);
        return;
    }
    if (before == VR_VM_STATUS_UNKNOWN)
        vr_event_add(news->txn, VR_EVENT_VM_STATUS_RESTORED, &who, "VmStatus",
                     vr_enum_word(&vr_enum_vm_status, (int)now), NULL);
    if (before == VR_VM_STATUS_POWERING_DOWN && now == VR_VM_STATUS_UP)
        vr_event_add(news->txn, VR_EVENT_VM_POWER_DOWN_FAILED, &who, NULL);
    if (before == VR_VM_STATUS_PAUSED && now == VR_VM_STATUS_UP && vm->pause_code &&
        strcmp(vm->pause_code, "NOERR") != 0)
        vr_event_add(news->txn, VR_EVENT_VM_RECOVERED_FROM_PAUSE_ERROR, &who, NULL);
    vm_set_status(news->txn, vm, now);
    if (now == VR_VM_STATUS_UP &&
        (before == VR_VM_STATUS_WAIT_FOR_LAUNCH || before == VR_VM_STATUS_POWERING_UP ||
         before == VR_VM_STATUS_RESTORING_STATE))
        vr_event_add(news->txn, VR_EVENT_USER_RUN_VM, &who, NULL);
}

/* elapsedTime tells since when it runs, in the Manager's clock, even after a lost start. */
static void note_start(struct vr_engine *engine, struct vr_vm *vm,
                       const struct vr_rpc_vm_stats *stats) VR_REQUIRES(vr_role_engine);
static void note_start(struct vr_engine *engine, struct vr_vm *vm,
                       const struct vr_rpc_vm_stats *stats)
{
    if (VR_HAS(vm, start_time) || !stats->elapsed_time)
        return;
    int64_t elapsed = g_ascii_strtoll(stats->elapsed_time, NULL, 10) * 1000;
    VR_SET(vm, start_time, vr_engine_wall_ms(engine) - MAX(0, elapsed));
}

/* True when this host may speak about the machine. */
static bool believe(const struct vr_vm *vm, const char *host_id, int status)
{
    const char *assigned = VR_LINK_ID(vm, host);
    /* Its host was cleared of it before it became suspended, and a start is recorded before another
     * host hears of it: whoever reports it says what was before. */
    if (vm_status(vm) == VR_VM_STATUS_SUSPENDED)
        return false;
    if (!assigned)
        return status != VR_VM_STATUS_DOWN && status != VR_VM_STATUS_WAIT_FOR_LAUNCH;
    return strcmp(assigned, host_id) == 0;
}

static void acknowledge_down(struct vr_engine *engine, const void *result, int code,
                             const char *message, void *arg)
{
}

/* A host keeps a machine that is down until it is destroyed (facts/host-rpc.md 18.13). */
static void destroy_remains(struct vr_engine *engine, const char *host_id, const char *vm_id)
    VR_REQUIRES(vr_role_engine);
static void destroy_remains(struct vr_engine *engine, const char *host_id, const char *vm_id)
{
    vr_auto struct vr_rpc_vm_destroy_params *params = VR_NEW(rpc_vm_destroy_params);
    VR_SET_STRING(params, vm_id, vm_id);
    vr_engine_host_call(engine, host_id, &vr_verb_vm_destroy, params, 0, NULL, acknowledge_down,
                        NULL);
}

static void apply_one(struct vms *vms, struct vr_txn *txn, const char *host_id,
                      const struct vr_rpc_vm_stats *stats, int64_t clock)
    VR_REQUIRES(vr_role_engine);
static void apply_one(struct vms *vms, struct vr_txn *txn, const char *host_id,
                      const struct vr_rpc_vm_stats *stats, int64_t clock)
{
    struct vr_engine *engine = vms->engine;
    const char *vm_id = stats->vm_id;
    int status = VR_HAS(stats, status)
                     ? status_from_host(vr_enum_word(&vr_enum_rpc_vm_status, (int)stats->status))
                     : -1;
    const struct vr_vm *known = vm_id ? vr_txn_peek(txn, VR_KIND_VM, vm_id) : NULL;
    if (!known) {
        if (vm_id && status == VR_VM_STATUS_DOWN)
            destroy_remains(engine, host_id, vm_id);
        return;
    }
    if (!believe(known, host_id, status)) {
        if (status == VR_VM_STATUS_DOWN)
            destroy_remains(engine, host_id, vm_id);
        return;
    }
    if (!is_news(vms, host_id, vm_id, clock))
        return;
    struct vr_vm *vm = VR_EDIT(txn, VM, vm, vm_id);
    struct news news = { txn, vm, VR_PEEK(vr_engine_head(engine), HOST, host, host_id), stats };
    if (!VR_LINK_ID(vm, host)) {
        VR_SET_LINK(vm, host, host, host_id);
        vr_vms_host_changed(engine, host_id);
    }
    if (status >= 0)
        changed(&news, (enum vr_vm_status)status);
    if (status == VR_VM_STATUS_DOWN) {
        if (!vm_job(engine, vm)) /* which still has questions, and clears the host itself */
            destroy_remains(engine, host_id, vm_id);
        return;
    }
    note_start(engine, vm, stats);
    vm_apply_guest(vm, stats);
    vr_disks_report(txn, vm, &stats->disks);
    vr_console_report(txn, vm, news.host, stats);
    if (stats->hash)
        VR_SET_STRING(vm, domain_xml_hash, stats->hash);
}

/* Machines that should be on the host and were not in its report. */
static void missing(struct vr_txn *txn, const char *host_id, const struct vr_list *reported,
                    int64_t asked) VR_REQUIRES(vr_role_engine);
static void missing(struct vr_txn *txn, const char *host_id, const struct vr_list *reported,
                    int64_t asked)
{
    struct vr_engine *engine = vr_txn_engine(txn);
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    VR_EACH (struct vr_rpc_vm_stats, stats, reported)
        if (stats->vm_id)
            g_hash_table_add(seen, stats->vm_id);

    vr_auto_objects struct vr_objects here = { 0 };
    vr_inventory_list_by(vr_engine_head(engine), VR_KIND_VM, "host", host_id, &here);
    int64_t now = vr_engine_wall_ms(engine);
    int64_t asked_wall = now - (vr_engine_monotonic_ms(engine) - asked);
    VR_OBJECTS (struct vr_vm, known, &here) {
        /* One that was assigned after the question was asked could not be in the answer.  A date
         * that is yet to come was written before the clock was set back, so it is old. */
        int64_t since = VR_GET(known, status_since, 0);
        if (g_hash_table_contains(seen, known->id) || !vm_is_running(vm_status(known)) ||
            (since >= asked_wall && since <= now))
            continue;
        if (vm_job(engine, known))
            continue; /* the host may not have heard of it yet; the job asks by itself */
        struct vr_vm *vm = VR_EDIT(txn, VM, vm, known->id);
        struct news news = { txn, vm, VR_PEEK(vr_engine_head(engine), HOST, host, host_id), NULL };
        bool asked_to_stop = VR_GET(vm, initiated_stop, false) ||
                             vm_status(vm) == VR_VM_STATUS_POWERING_DOWN;
        struct vr_event_about who = about(&news);
        vm_set_down(txn, vm, asked_to_stop ? 0 : 1, asked_to_stop ? EXIT_ADMIN : EXIT_MISSING,
                    "The host does not report the virtual machine any more.");
        vr_event_add(txn, asked_to_stop ? VR_EVENT_VM_DOWN : VR_EVENT_VM_DOWN_ERROR, &who,
                     "ExitMessage", vm->exit_message, NULL);
    }
}

void vr_vms_host_report(struct vr_engine *engine, const char *host_id,
                        const struct vr_list *vm_stats, int64_t asked)
{
    struct vms *vms = vms_state(engine);
    struct vr_world *world = vr_engine_world(engine);
    struct vr_txn *txn = vr_txn_new(engine);
    VR_EACH (struct vr_rpc_vm_stats, stats, vm_stats) {
        int64_t clock = stats->status_time ? g_ascii_strtoll(stats->status_time, NULL, 10) : 0;
        apply_one(vms, txn, host_id, stats, clock);
        if (!stats->vm_id || !vr_txn_peek(txn, VR_KIND_VM, stats->vm_id))
            continue;
        vr_auto struct vr_rpc_vm_stats *kept = vr_reduce_report(stats);
        world->ops->statistics(world, VR_KIND_VM, stats->vm_id, kept);
    }
    missing(txn, host_id, vm_stats, asked);
    vr_txn_commit(txn, NULL, NULL);
}

/* --- events --- */

/* {"<vm id>": {"status": …, …}, "notify_time": n}; several machines in one event are legal. */
static void apply_event(struct vms *vms, struct vr_txn *txn, const char *host_id,
                        struct json_object *params) VR_REQUIRES(vr_role_engine);
static void apply_event(struct vms *vms, struct vr_txn *txn, const char *host_id,
                        struct json_object *params)
{
    struct json_object *time;
    int64_t clock = json_object_object_get_ex(params, "notify_time", &time)
                        ? json_object_get_int64(time)
                        : 0;
    json_object_object_foreach(params, vm_id, value)
    {
        if (!vr_uuid_valid(vm_id) || !json_object_is_type(value, json_type_object))
            continue;
        const char *text = json_object_to_json_string(value);
        vr_auto_error struct vr_error *error = NULL;
        vr_auto struct vr_rpc_vm_stats *stats =
            vr_json_read(&vr_type_rpc_vm_stats, text, strlen(text), VR_JSON_HOST,
                         &vr_codec_caps_host, &error);
        if (!stats)
            continue;
        VR_SET_STRING(stats, vm_id, vm_id);
        apply_one(vms, txn, host_id, stats, clock);
    }
}

void vr_vms_host_event(struct vr_engine *engine, const char *host_id, const char *method,
                       const char *params)
{
    if (!g_str_has_prefix(method, "|virt|VM_status|"))
        return;
    struct json_object *object = json_tokener_parse(params);
    if (object && json_object_is_type(object, json_type_object)) {
        struct vr_txn *txn = vr_txn_new(engine);
        apply_event(vms_state(engine), txn, host_id, object);
        vr_txn_commit(txn, NULL, NULL);
    }
    json_object_put(object);
}

void vr_vms_host_lost(struct vr_txn *txn, const char *host_id)
{
    struct vr_engine *engine = vr_txn_engine(txn);
    vr_auto_objects struct vr_objects here = { 0 };
    vr_inventory_list_by(vr_engine_head(engine), VR_KIND_VM, "host", host_id, &here);
    VR_OBJECTS (struct vr_vm, known, &here) {
        if (!vm_is_running(vm_status(known)) || vm_status(known) == VR_VM_STATUS_UNKNOWN)
            continue;
        struct vr_vm *vm = VR_EDIT(txn, VM, vm, known->id);
        vm_set_status(txn, vm, VR_VM_STATUS_UNKNOWN);
        vr_event_add(txn, VR_EVENT_VM_SET_TO_UNKNOWN_STATUS,
                     &(struct vr_event_about){
                         .vm = vm, .host = VR_PEEK(vr_engine_head(engine), HOST, host, host_id) },
                     NULL);
    }
}

void vr_vms_host_restarted(struct vr_txn *txn, const char *host_id)
{
    struct vr_engine *engine = vr_txn_engine(txn);
    vr_auto_objects struct vr_objects here = { 0 };
    vr_inventory_list_by(vr_engine_head(engine), VR_KIND_VM, "host", host_id, &here);
    VR_OBJECTS (struct vr_vm, known, &here) {
        struct vr_vm *vm = VR_EDIT(txn, VM, vm, known->id);
        if (vm_job(engine, vm)) {
            vm_note_exit(vm, 1, EXIT_GENERIC_ERROR, "The host was restarted.");
            VR_CLEAR(vm, host); /* it has no part of it any more */
            continue;
        }
        vm_set_down(txn, vm, 1, EXIT_GENERIC_ERROR, "The host was restarted.");
        vr_event_add(txn, VR_EVENT_VM_WAS_SET_DOWN_DUE_TO_HOST_REBOOT_OR_MANUAL_FENCE,
                     &(struct vr_event_about){
                         .vm = vm, .host = VR_PEEK(vr_engine_head(engine), HOST, host, host_id) },
                     NULL);
    }
}

unsigned vr_vms_count_on(struct vr_engine *engine, const char *host_id)
{
    return vr_inventory_count_by(vr_engine_head(engine), VR_KIND_VM, "host", host_id);
}
