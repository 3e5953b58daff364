/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "hosts"
#include "manager/hosts/internal.h"

#include "manager/deploy/deploy.h"
#include "manager/engine/reduce.h"
#include "manager/storage/storage.h"
#include "manager/vms/vms.h"

/* Statistics every NumberVmRefreshesBeforeSave polls of VdsRefreshRate seconds: 15 s. */
#define TICK_MS(config) ((int64_t)(config)->VdsRefreshRate * 1000)

static void tick(struct vr_engine *engine, void *arg) VR_REQUIRES(vr_role_engine);
static void ask_capabilities(struct monitor *monitor) VR_REQUIRES(vr_role_engine);

static struct monitor *monitor_ref(struct monitor *monitor)
{
    monitor->refs++;
    return monitor;
}

void monitor_unref(struct monitor *monitor)
{
    if (!monitor || --monitor->refs > 0)
        return;
    vr_unref(monitor->stats);
    g_free(monitor->host_id);
    g_free(monitor);
}

struct monitor *monitor_find(struct vr_engine *engine, const char *host_id)
{
    struct hosts *hosts = vr_engine_module(engine, &vr_hosts_module);
    return hosts ? g_hash_table_lookup(hosts->monitors, host_id) : NULL;
}

const struct vr_host *monitor_host(struct monitor *monitor)
{
    return VR_PEEK(vr_engine_head(monitor->engine), HOST, host, monitor->host_id);
}

static void forget_answers(struct monitor *monitor)
{
    monitor->connected = monitor->connecting = monitor->linked = false;
    monitor->asking = monitor->polling = false;
}

/* --- from reachable to up --- */

static void come_up(struct monitor *monitor) VR_REQUIRES(vr_role_engine);
static void come_up(struct monitor *monitor)
{
    struct vr_txn *txn = vr_txn_new(monitor->engine);
    vr_hosts_set_status(txn, monitor->host_id, VR_HOST_STATUS_UP);
    vr_event_add(txn, VR_EVENT_VDS_DETECTED,
                 &(struct vr_event_about){ .host = monitor_host(monitor) }, "HostStatus", "Up", NULL);
    vr_txn_commit(txn, NULL, NULL);
    monitor->ticks = 0; /* statistics at the next tick */
    vr_vms_host_changed(monitor->engine, monitor->host_id);
}

static void ask_host_stats(struct monitor *monitor, vr_host_answer *done)
    VR_REQUIRES(vr_role_engine);
static void ask_host_stats(struct monitor *monitor, vr_host_answer *done)
{
    vr_auto struct vr_rpc_host_get_stats_params *none = VR_NEW(rpc_host_get_stats_params);
    vr_engine_host_call(monitor->engine, monitor->host_id, &vr_verb_host_get_stats, none, 0, NULL,
                        done, monitor_ref(monitor));
}

static void first_stats_answer(struct vr_engine *engine, const void *result, int code,
                               const char *message, void *arg) VR_REQUIRES(vr_role_engine);

/* Whether a look at it leaves its status alone; one in Error stays so for its time. */
static bool serves(enum vr_host_status status)
{
    return status == VR_HOST_STATUS_UP || status == VR_HOST_STATUS_PREPARING_FOR_MAINTENANCE ||
           status == VR_HOST_STATUS_MAINTENANCE || status == VR_HOST_STATUS_ERROR;
}

static void storage_ready(struct vr_engine *engine, const char *host_id, const char *unreachable,
                          void *arg) VR_REQUIRES(vr_role_engine);
static void storage_ready(struct vr_engine *engine, const char *host_id, const char *unreachable,
                          void *arg)
{
    struct monitor *monitor = arg;
    const struct vr_host *host = monitor_host(monitor);
    if (!monitor->dead && monitor->connected && host) {
        enum vr_host_status status = VR_GET(host, status, VR_HOST_STATUS_UNASSIGNED);
        monitor->linked = !unreachable;
        vr_engine_host_expect(engine, host_id, false); /* jobs go on with it */
        if (!unreachable) {
            ask_host_stats(monitor, first_stats_answer);
        } else {
            monitor->asking = false;
            if (status != VR_HOST_STATUS_PREPARING_FOR_MAINTENANCE) {
                struct vr_txn *txn = vr_txn_new(engine);
                vr_hosts_set_unfit(txn, host_id, VR_UNFIT_STORAGE, unreachable);
                vr_txn_commit(txn, NULL, NULL);
            }
        }
    }
    monitor_unref(monitor);
}

static void recovering(struct monitor *monitor) VR_REQUIRES(vr_role_engine);
static void recovering(struct monitor *monitor)
{
    struct vr_engine *engine = monitor->engine;
    const struct vr_config *config = vr_engine_config(engine);
    const struct vr_host *host = monitor_host(monitor);
    int64_t now = vr_engine_monotonic_ms(engine);

    if (!monitor->recovering_since)
        monitor->recovering_since = now;
    monitor_success(monitor);
    if (!host)
        return;
    enum vr_host_status status = VR_GET(host, status, VR_HOST_STATUS_UNASSIGNED);
    bool too_long = now - monitor->recovering_since >
                    (int64_t)config->VdsRecoveryTimeoutInMinutes * 60 * 1000;
    vr_engine_host_expect(engine, monitor->host_id, !too_long);
    if (too_long && status != VR_HOST_STATUS_NON_OPERATIONAL) {
        struct vr_txn *txn = vr_txn_new(engine);
        vr_hosts_set_unfit(txn, monitor->host_id, VR_UNFIT_RECOVERY_TIMEOUT, NULL);
        vr_txn_commit(txn, NULL, NULL);
    } else if (!too_long && status != VR_HOST_STATUS_INITIALIZING) {
        struct vr_txn *txn = vr_txn_new(engine);
        vr_hosts_set_status(txn, monitor->host_id, VR_HOST_STATUS_INITIALIZING);
        vr_event_add(txn, VR_EVENT_VDS_INITIALIZING, &(struct vr_event_about){ .host = host },
                     "ErrorMessage", "its agent recovers what it knew", NULL);
        vr_txn_commit(txn, NULL, NULL);
    }
}

/* A failed answer: true when there is nothing more to do with it. */
static bool failed(struct monitor *monitor, int code, const char *message)
    VR_REQUIRES(vr_role_engine);
static bool failed(struct monitor *monitor, int code, const char *message)
{
    if (code == 0) {
        monitor->recovering_since = 0;
        monitor_success(monitor);
        return false;
    }
    if (code == VR_RPC_RECOVERING)
        recovering(monitor);
    else if (code == VR_RPC_NETWORK_ERROR)
        monitor_network_error(monitor, message);
    else
        vr_log_warning("Host %s answered error %d: %s", monitor->host_id, code,
                       message ? message : "");
    if (code != VR_RPC_RECOVERING && code != VR_RPC_NETWORK_ERROR)
        vr_engine_host_expect(monitor->engine, monitor->host_id, false); /* it is there */
    return true;
}

static void hardware_answer(struct vr_engine *engine, const void *result, int code,
                            const char *message, void *arg) VR_REQUIRES(vr_role_engine);
static void hardware_answer(struct vr_engine *engine, const void *result, int code,
                            const char *message, void *arg)
{
    struct monitor *monitor = arg;
    if (!monitor->dead && code == 0 && monitor_host(monitor)) {
        struct vr_txn *txn = vr_txn_new(engine);
        hardware_apply(VR_EDIT(txn, HOST, host, monitor->host_id), result);
        vr_txn_commit(txn, NULL, NULL);
    }
    monitor_unref(monitor);
}

static void capabilities_answer(struct vr_engine *engine, const void *result, int code,
                                const char *message, void *arg) VR_REQUIRES(vr_role_engine);
static void capabilities_answer(struct vr_engine *engine, const void *result, int code,
                                const char *message, void *arg)
{
    struct monitor *monitor = arg;
    vr_auto struct vr_rpc_host_get_hardware_info_params *none = NULL;
    g_autofree char *detail = NULL; /* above the jumps, which would skip its being NULL */
    if (monitor->dead || !monitor_host(monitor))
        goto out;
    if (failed(monitor, code, message)) {
        monitor->asking = false;
        goto out;
    }

    struct vr_txn *txn = vr_txn_new(engine);
    struct vr_host *host = VR_EDIT(txn, HOST, host, monitor->host_id);
    enum vr_unfit unfit = capabilities_apply(txn, host, result, &detail);
    nics_apply(txn, host, result);
    enum vr_host_status status = VR_GET(host, status, VR_HOST_STATUS_UNASSIGNED);
    bool was_up = serves(status);
    /* It is not recovered while a required NIC is down (5.3); who activates it tries all the same. */
    if (!unfit && status == VR_HOST_STATUS_NON_OPERATIONAL &&
        (detail = links_down(engine, host)) != NULL)
        unfit = VR_UNFIT_NIC_DOWN;
    /* One that leaves goes on into maintenance: it takes no more machines as it is. */
    if (unfit && status != VR_HOST_STATUS_PREPARING_FOR_MAINTENANCE)
        vr_hosts_set_unfit(txn, monitor->host_id, unfit, detail);
    vr_txn_commit(txn, NULL, NULL);
    vr_vms_host_changed(engine, monitor->host_id);

    /* One that was up when the Manager went away may have lost its storage and its role since. */
    if (unfit || (was_up && monitor->linked)) {
        monitor->asking = false;
        vr_engine_host_expect(engine, monitor->host_id, false);
        goto out;
    }
    none = VR_NEW(rpc_host_get_hardware_info_params);
    vr_engine_host_call(engine, monitor->host_id, &vr_verb_host_get_hardware_info, none, 0, NULL,
                        hardware_answer, monitor_ref(monitor));
    vr_storage_connect_host(engine, monitor->host_id, storage_ready, monitor_ref(monitor));
out:
    monitor_unref(monitor);
}

static void ask_capabilities(struct monitor *monitor)
{
    if (monitor->asking || !monitor->connected)
        return;
    monitor->asking = true;
    vr_auto struct vr_rpc_host_get_capabilities_params *none =
        VR_NEW(rpc_host_get_capabilities_params);
    vr_engine_host_call(monitor->engine, monitor->host_id, &vr_verb_host_get_capabilities, none, 0,
                        NULL, capabilities_answer, monitor_ref(monitor));
}

void monitor_refresh(struct monitor *monitor)
{
    ask_capabilities(monitor);
}

/* --- statistics of a host that is up --- */

struct poll {
    struct monitor *monitor;
    int64_t asked;
};

static void vms_answer(struct vr_engine *engine, const void *result, int code, const char *message,
                       void *arg) VR_REQUIRES(vr_role_engine);
static void vms_answer(struct vr_engine *engine, const void *result, int code, const char *message,
                       void *arg)
{
    struct poll *poll = arg;
    struct monitor *monitor = poll->monitor;
    if (!monitor->dead && monitor_host(monitor)) {
        monitor->polling = false;
        if (!failed(monitor, code, message)) {
            const struct vr_rpc_host_get_all_vm_stats_result *stats = result;
            vr_vms_host_report(engine, monitor->host_id, &stats->value, poll->asked);
        }
    }
    monitor_unref(monitor);
    g_free(poll);
}

static void watch_load(struct monitor *monitor, const struct vr_rpc_host_stats *stats)
    VR_REQUIRES(vr_role_engine);
static void watch_load(struct monitor *monitor, const struct vr_rpc_host_stats *stats)
{
    double idle = stats->cpu_idle ? g_ascii_strtod(stats->cpu_idle, NULL) : 100;
    if (100 - idle < 75)
        monitor->overload_since = 0;
    else if (!monitor->overload_since)
        monitor->overload_since = vr_engine_monotonic_ms(monitor->engine);
}

static void keep_stats(struct monitor *monitor, const struct vr_rpc_host_stats *stats)
    VR_REQUIRES(vr_role_engine);
static void keep_stats(struct monitor *monitor, const struct vr_rpc_host_stats *stats)
{
    struct vr_world *world = vr_engine_world(monitor->engine);
    load_report(monitor, stats);
    vr_unref(monitor->stats);
    monitor->stats = vr_reduce_report(stats);
    world->ops->statistics(world, VR_KIND_HOST, monitor->host_id, monitor->stats);
    watch_load(monitor, stats);
    links_report(monitor, stats);
}

/* A host that is up can be given machines at once, so its free memory is known before. */
static void first_stats_answer(struct vr_engine *engine, const void *result, int code,
                               const char *message, void *arg)
{
    struct monitor *monitor = arg;
    const struct vr_host *host = monitor_host(monitor);
    if (!monitor->dead && host) {
        enum vr_host_status status = VR_GET(host, status, VR_HOST_STATUS_UNASSIGNED);
        monitor->asking = false;
        if (!failed(monitor, code, message)) {
            keep_stats(monitor, result);
            if (!serves(status))
                come_up(monitor);
        }
    }
    monitor_unref(monitor);
}

static void stats_answer(struct vr_engine *engine, const void *result, int code,
                         const char *message, void *arg) VR_REQUIRES(vr_role_engine);
static void stats_answer(struct vr_engine *engine, const void *result, int code,
                         const char *message, void *arg)
{
    struct monitor *monitor = arg;
    vr_auto struct vr_rpc_host_get_all_vm_stats_params *none = NULL;
    if (monitor->dead || !monitor_host(monitor))
        goto out;
    if (failed(monitor, code, message)) {
        monitor->polling = false;
        goto out;
    }
    keep_stats(monitor, result);
    vr_storage_host_report(engine, monitor->host_id, result);
    vr_vms_host_changed(engine, monitor->host_id);

    struct poll *poll = g_new0(struct poll, 1);
    poll->monitor = monitor_ref(monitor);
    poll->asked = vr_engine_monotonic_ms(engine);
    none = VR_NEW(rpc_host_get_all_vm_stats_params);
    vr_engine_host_call(engine, monitor->host_id, &vr_verb_host_get_all_vm_stats, none, 0, NULL,
                        vms_answer, poll);
out:
    monitor_unref(monitor);
}

static void ask_statistics(struct monitor *monitor) VR_REQUIRES(vr_role_engine);
static void ask_statistics(struct monitor *monitor)
{
    if (monitor->polling)
        return;
    monitor->polling = true;
    ask_host_stats(monitor, stats_answer);
}

static void finish_maintenance(struct monitor *monitor) VR_REQUIRES(vr_role_engine);
static void finish_maintenance(struct monitor *monitor)
{
    struct vr_engine *engine = monitor->engine;
    g_autofree char *host_id = g_strdup(monitor->host_id);
    vr_storage_disconnect_host(engine, host_id);
    struct vr_txn *txn = vr_txn_new(engine);
    vr_hosts_set_status(txn, host_id, VR_HOST_STATUS_MAINTENANCE);
    vr_event_add(txn, VR_EVENT_VDS_MAINTENANCE,
                 &(struct vr_event_about){ .host = monitor_host(monitor) }, NULL);
    vr_txn_commit(txn, NULL, NULL);
    vr_hosts_unwatch(engine, host_id);
}

/* --- the clock of one host --- */

/* A host that failed to start machines gets another chance after a while (1.1, Error). */
static void forgive(struct monitor *monitor) VR_REQUIRES(vr_role_engine);
static void forgive(struct monitor *monitor)
{
    struct vr_engine *engine = monitor->engine;
    const struct vr_host *host = monitor_host(monitor);
    int64_t sentence = vr_engine_config(engine)->TimeToReduceFailedRunOnVdsInMinutes * 60 * 1000;
    int64_t served = vr_engine_wall_ms(engine) - VR_GET(host, error_since, 0);
    if (served >= 0 && served < sentence) /* a clock that was set back ends it early */
        return;
    struct vr_txn *txn = vr_txn_new(engine);
    vr_hosts_set_status(txn, monitor->host_id, VR_HOST_STATUS_UP);
    struct vr_host *edit = VR_EDIT(txn, HOST, host, monitor->host_id);
    VR_SET(edit, failed_runs, 0);
    VR_CLEAR(edit, error_since);
    vr_event_add(txn, VR_EVENT_VDS_DETECTED, &(struct vr_event_about){ .host = edit }, "HostStatus",
                 "Up", NULL);
    vr_txn_commit(txn, NULL, NULL);
    vr_vms_host_changed(engine, monitor->host_id);
}

static void ask_statistics_in_turn(struct monitor *monitor) VR_REQUIRES(vr_role_engine);
static void ask_statistics_in_turn(struct monitor *monitor)
{
    int64_t turn = vr_engine_config(monitor->engine)->NumberVmRefreshesBeforeSave;
    if (monitor->ticks++ % MAX(1, turn) == 0)
        ask_statistics(monitor);
}

static void connected_tick(struct monitor *monitor, enum vr_host_status status)
    VR_REQUIRES(vr_role_engine);
static void connected_tick(struct monitor *monitor, enum vr_host_status status)
{
    switch (status) {
    case VR_HOST_STATUS_PREPARING_FOR_MAINTENANCE:
        if (vr_vms_count_on(monitor->engine, monitor->host_id) == 0)
            finish_maintenance(monitor);
        else
            ask_statistics(monitor);
        break;
    case VR_HOST_STATUS_ERROR:
        forgive(monitor);
        __attribute__((fallthrough));
    case VR_HOST_STATUS_UP:
        ask_statistics_in_turn(monitor);
        break;
    case VR_HOST_STATUS_NON_OPERATIONAL:
        /* Autorecovery: every five minutes in the product, every minute here; it costs one call. */
        if (monitor->ticks % 20 == 19)
            ask_capabilities(monitor);
        ask_statistics_in_turn(monitor);
        break;
    default:
        ask_capabilities(monitor);
    }
}

/* A host that was restarted is silent for a while by its nature; then it is lost (1.1, Reboot). */
static bool reboot_is_over(struct monitor *monitor, const struct vr_host *host)
    VR_REQUIRES(vr_role_engine);
static bool reboot_is_over(struct monitor *monitor, const struct vr_host *host)
{
    return VR_GET(host, status, VR_HOST_STATUS_UNASSIGNED) == VR_HOST_STATUS_REBOOT &&
           vr_engine_monotonic_ms(monitor->engine) >
               monitor->last_success +
                   vr_engine_config(monitor->engine)->ServerRebootTimeout * 1000;
}

static void tick(struct vr_engine *engine, void *arg)
{
    struct monitor *monitor = arg;
    const struct vr_host *host = monitor_host(monitor);
    monitor->timer = 0;
    if (!host) {
        vr_hosts_unwatch(engine, monitor->host_id);
        return;
    }
    monitor->timer =
        vr_engine_after(engine, TICK_MS(vr_engine_config(engine)), tick, monitor);
    if (reboot_is_over(monitor, host)) {
        monitor_lost(monitor, host);
    } else if (monitor->connected) {
        connected_tick(monitor, VR_GET(host, status, VR_HOST_STATUS_UNASSIGNED));
    } else if (!monitor->connecting) {
        struct vr_world *world = vr_engine_world(engine);
        monitor->connecting = true;
        world->ops->host_connect(world,
                                 &(struct vr_host_target){ .host_id = monitor->host_id,
                                                           .address = host->address,
                                                           .port = (unsigned)VR_GET(
                                                               host, port, 54321) });
    }
}

void vr_hosts_watch(struct vr_engine *engine, const char *host_id)
{
    struct hosts *hosts = vr_engine_module(engine, &vr_hosts_module);
    if (g_hash_table_contains(hosts->monitors, host_id))
        return;
    struct monitor *monitor = g_new0(struct monitor, 1);
    monitor->refs = 1;
    monitor->engine = engine;
    monitor->host_id = g_strdup(host_id);
    monitor->last_success = vr_engine_monotonic_ms(engine);
    g_hash_table_insert(hosts->monitors, monitor->host_id, monitor);
    vr_engine_host_expect(engine, host_id, true);
    /* Spread over one interval, so that thousands of hosts are not asked at the same moment. */
    uint16_t chance = 0;
    vr_engine_random(engine, &chance, sizeof(chance));
    bool many = g_hash_table_size(hosts->monitors) > 16;
    int64_t delay = many ? chance % TICK_MS(vr_engine_config(engine)) : 0;
    monitor->timer = vr_engine_after(engine, delay, tick, monitor);
}

void vr_hosts_unwatch(struct vr_engine *engine, const char *host_id)
{
    struct hosts *hosts = vr_engine_module(engine, &vr_hosts_module);
    struct monitor *monitor = g_hash_table_lookup(hosts->monitors, host_id);
    if (!monitor)
        return;
    struct vr_world *world = vr_engine_world(engine);
    monitor->dead = true;
    vr_engine_cancel(engine, monitor->timer);
    vr_engine_host_expect(engine, host_id, false);
    world->ops->host_disconnect(world, monitor->host_id);
    world->ops->statistics(world, VR_KIND_HOST, monitor->host_id, NULL);
    g_hash_table_remove(hosts->monitors, host_id);
    monitor_unref(monitor);
}

const struct vr_rpc_host_stats *vr_hosts_stats(struct vr_engine *engine, const char *host_id)
{
    struct monitor *monitor = monitor_find(engine, host_id);
    return monitor ? monitor->stats : NULL;
}

int64_t vr_hosts_overload_since(struct vr_engine *engine, const char *host_id)
{
    struct monitor *monitor = monitor_find(engine, host_id);
    return monitor ? monitor->overload_since : 0;
}

/* --- what the world tells --- */

static void host_state(void *state, const char *host_id, bool connected, const char *reason)
    VR_REQUIRES(vr_role_engine);
static void host_state(void *state, const char *host_id, bool connected, const char *reason)
{
    struct hosts *hosts = state;
    struct monitor *monitor = g_hash_table_lookup(hosts->monitors, host_id);
    if (!monitor)
        return;
    forget_answers(monitor);
    monitor->connected = connected;
    vr_engine_host_expect(hosts->engine, host_id, true);
    if (!connected) {
        monitor_network_error(monitor, reason);
        return;
    }
    /* Whatever it was before: know it anew, so that a reinstalled host is noticed. */
    ask_capabilities(monitor);
}

static void host_event(void *state, const char *host_id, const char *method, const char *params)
    VR_REQUIRES(vr_role_engine);
static void host_event(void *state, const char *host_id, const char *method, const char *params)
{
    struct hosts *hosts = state;
    struct monitor *monitor = g_hash_table_lookup(hosts->monitors, host_id);
    if (!monitor)
        return;
    if (g_str_has_prefix(method, "|net|")) {
        /* One in Error stays so for its time, whatever its network does. */
        const struct vr_host *host = monitor_host(monitor);
        if (host && VR_GET(host, status, VR_HOST_STATUS_UNASSIGNED) != VR_HOST_STATUS_ERROR)
            ask_capabilities(monitor);
    } else if (g_str_has_prefix(method, "|virt|"))
        vr_vms_host_event(hosts->engine, host_id, method, params);
}

static bool monitored(enum vr_host_status status)
{
    switch (status) {
    case VR_HOST_STATUS_MAINTENANCE:
    case VR_HOST_STATUS_INSTALL_FAILED:
    case VR_HOST_STATUS_INSTALLING_OS:
    case VR_HOST_STATUS_PENDING_APPROVAL:
    case VR_HOST_STATUS_DOWN:
        return false;
    default:
        return true;
    }
}

static void *start(struct vr_engine *engine) VR_REQUIRES(vr_role_engine);
static void *start(struct vr_engine *engine)
{
    struct hosts *hosts = g_new0(struct hosts, 1);
    hosts->engine = engine;
    hosts->monitors = g_hash_table_new(g_str_hash, g_str_equal);
    return hosts;
}

static void begin(void *state) VR_REQUIRES(vr_role_engine);
static void begin(void *state)
{
    struct hosts *hosts = state;
    vr_auto_objects struct vr_objects all = { 0 };
    vr_inventory_list(vr_engine_head(hosts->engine), VR_KIND_HOST, &all);
    VR_OBJECTS (struct vr_host, host, &all)
        if (monitored(VR_GET(host, status, VR_HOST_STATUS_UNASSIGNED)) &&
            !vr_deploy_is_running(hosts->engine, host))
            vr_hosts_watch(hosts->engine, host->id);
}

static void stop(void *state)
{
    struct hosts *hosts = state;
    GHashTableIter iter;
    void *monitor;
    g_hash_table_iter_init(&iter, hosts->monitors);
    while (g_hash_table_iter_next(&iter, NULL, &monitor)) {
        ((struct monitor *)monitor)->dead = true;
        monitor_unref(monitor);
    }
    g_hash_table_destroy(hosts->monitors);
    g_free(hosts);
}

const struct vr_module vr_hosts_module = {
    .name = "hosts",
    .start = start,
    .begin = begin,
    .stop = stop,
    .host_state = host_state,
    .host_event = host_event,
};
