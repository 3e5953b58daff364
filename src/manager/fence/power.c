/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "fence"
#include "manager/fence/internal.h"

#include "manager/hosts/hosts.h"
#include "manager/storage/storage.h"
#include "manager/vms/vms.h"

/*
 * The job that switches a host's power.  One switch is rounds through the
 * agents of a group:
 *
 *     query -> is it so already? -> done
 *       no: switch, wait, query, wait, query, ...  -> done, or the next group
 *
 * A step that a crash repeats begins with a query, so nothing is switched twice
 * without need.  Nothing is undone: what was switched off stays off, and the
 * host's status says so.
 */

#define SETTLE_MS 5000     /* from the switch to the first query */
#define UNKNOWN_MAX 3      /* queries in a row that nobody could answer */
#define SWITCHES_ON_MAX 2  /* a power supply that misses the first "on" gets another */

static void next_agent(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
static void query(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);

static const struct vr_host *host_of(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
static const struct vr_host *host_of(struct vr_job_run *run)
{
    const struct vr_fence_job_context *context = run->context;
    return vr_txn_peek(run->txn, VR_KIND_HOST, context->host_id);
}

static bool goal_is(struct vr_job_run *run, const char *goal)
{
    const struct vr_fence_job_context *context = run->context;
    return strcmp(context->goal, goal) == 0;
}

static void fail(struct vr_job_run *run, const struct vr_fault *fault, const char *detail)
    VR_REQUIRES(vr_role_engine);
static void fail(struct vr_job_run *run, const struct vr_fault *fault, const char *detail)
{
    vr_auto_error struct vr_error *error = NULL;
    vr_error_set(&error, fault, "%s", detail);
    vr_job_fail(run, &error);
}

/* --- rounds through the agents of a group --- */

static void begin_round(struct vr_job_run *run, bool asking) VR_REQUIRES(vr_role_engine);
static void begin_round(struct vr_job_run *run, bool asking)
{
    struct vr_fence_job_context *context = run->context;
    VR_SET(context, asking, asking);
    VR_SET(context, index, 0);
    VR_SET(context, seen_on, 0);
    VR_SET(context, seen_off, 0);
    VR_SET(context, seen_unknown, 0);
    next_agent(run);
}

static void query(struct vr_job_run *run)
{
    begin_round(run, true);
}

static void begin_group(struct vr_job_run *run, int64_t group) VR_REQUIRES(vr_role_engine);
static void begin_group(struct vr_job_run *run, int64_t group)
{
    struct vr_fence_job_context *context = run->context;
    if (group < 0) {
        g_autofree char *why = g_strdup_printf(
            "The power state \"%s\" was never confirmed: %s", context->on ? "on" : "off",
            context->reason ? context->reason : "the power agents report another state.");
        vr_event_add(run->txn, VR_EVENT_VDS_ALERT_FENCE_STATUS_VERIFICATION_FAILED,
                     &(struct vr_event_about){ .host = host_of(run),
                                               .correlation_id = run->correlation_id },
                     "Status", context->on ? "on" : "off", NULL);
        fail(run, &vr_fault_host_fence_failed, why);
        return;
    }
    VR_SET(context, group, group);
    VR_SET(context, switched, 0);
    VR_SET(context, polls, 0);
    VR_SET(context, unknown_polls, 0);
    query(run);
}

static void give_up_group(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
static void give_up_group(struct vr_job_run *run)
{
    const struct vr_fence_job_context *context = run->context;
    begin_group(run, fence_next_group(run->engine, context->host_id, context->group));
}

/* After a round of queries whose answer is not what is wanted. */
static void not_yet(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
static void not_yet(struct vr_job_run *run)
{
    struct vr_fence_job_context *context = run->context;
    const struct vr_config *config = vr_engine_config(run->engine);
    int64_t retries = context->on ? config->FenceStartStatusRetries : config->FenceStopStatusRetries;
    int64_t delay = context->on ? config->FenceStartStatusDelayBetweenRetriesInSec
                                : config->FenceStopStatusDelayBetweenRetriesInSec;
    bool nobody_knows = context->seen_on == 0 && context->seen_off == 0;
    VR_SET(context, unknown_polls, nobody_knows ? context->unknown_polls + 1 : 0);
    if (context->switched == 0) {
        VR_SET(context, switched, 1);
        begin_round(run, false);
    } else if (context->unknown_polls > UNKNOWN_MAX) {
        give_up_group(run);
    } else if (context->polls < retries) {
        VR_SET(context, polls, context->polls + 1);
        vr_job_after(run, delay * 1000, query);
    } else if (context->on && context->switched < SWITCHES_ON_MAX) {
        VR_SET(context, switched, context->switched + 1);
        VR_SET(context, polls, 0);
        begin_round(run, false);
    } else {
        give_up_group(run);
    }
}

static void round_ended(struct vr_job_run *run, unsigned agents) VR_REQUIRES(vr_role_engine);
static void round_ended(struct vr_job_run *run, unsigned agents)
{
    const struct vr_fence_job_context *context = run->context;
    if (context->asking) {
        /* Two agents are two feeds: dead means that both say so, alive that one does. */
        bool reached = context->on ? context->seen_on > 0 : context->seen_off == agents;
        if (reached)
            vr_job_done(run);
        else
            not_yet(run);
    } else if (context->seen_unknown == agents) {
        give_up_group(run); /* no agent took the order */
    } else {
        vr_job_after(run, SETTLE_MS, query);
    }
}

/* --- one agent --- */

static void answered(struct vr_job_run *run, const void *result, int code, const char *message)
    VR_REQUIRES(vr_role_engine);
static void answered(struct vr_job_run *run, const void *result, int code, const char *message)
{
    struct vr_fence_job_context *context = run->context;
    const struct vr_rpc_fence_node_result *answer = result;
    if (code != 0)
        VR_SET_STRING(context, reason, message && *message ? message : "no answer");
    const struct vr_host *host = host_of(run);
    if ((code == VR_RPC_NETWORK_ERROR || code == VR_RPC_RECOVERING) && !context->avoid_proxy && host) {
        /* Once more through another host, or through the same where there is no other. */
        const struct vr_host *proxy = fence_proxy(run->engine, host, NULL);
        VR_SET_STRING(context, avoid_proxy, proxy ? proxy->id : "none");
        next_agent(run);
        return;
    }
    VR_CLEAR(context, avoid_proxy);
    VR_SET(context, index, context->index + 1);
    enum vr_rpc_fence_node_power_status_result power =
        answer ? VR_GET(answer, power, VR_RPC_FENCE_NODE_POWER_STATUS_RESULT_UNKNOWN)
               : VR_RPC_FENCE_NODE_POWER_STATUS_RESULT_UNKNOWN;
    if (code != 0 ||
        (context->asking && power == VR_RPC_FENCE_NODE_POWER_STATUS_RESULT_UNKNOWN))
        VR_SET(context, seen_unknown, context->seen_unknown + 1);
    else if (power == VR_RPC_FENCE_NODE_POWER_STATUS_RESULT_ON)
        VR_SET(context, seen_on, context->seen_on + 1);
    else if (power == VR_RPC_FENCE_NODE_POWER_STATUS_RESULT_OFF)
        VR_SET(context, seen_off, context->seen_off + 1);
    next_agent(run);
}

static void no_proxy(struct vr_job_run *run, const struct vr_host *host)
    VR_REQUIRES(vr_role_engine);
static void no_proxy(struct vr_job_run *run, const struct vr_host *host)
{
    struct vr_fence_job_context *context = run->context;
    const struct vr_config *config = vr_engine_config(run->engine);
    VR_SET(context, no_proxy, VR_GET(context, no_proxy, 0) + 1);
    if (context->no_proxy <= config->FindFenceProxyRetries) {
        vr_job_after(run, config->FindFenceProxyDelayBetweenRetriesInSec * 1000, next_agent);
        return;
    }
    vr_event_add(run->txn, VR_EVENT_VDS_ALERT_FENCE_NO_PROXY_HOST,
                 &(struct vr_event_about){ .host = host, .correlation_id = run->correlation_id },
                 NULL);
    fail(run, &vr_fault_fence_proxy_missing,
         "No other host of the data center is up; bring one up and try again.");
}

static void tell_agent(struct vr_job_run *run, const struct vr_host *host,
                       const struct vr_host *proxy, const struct vr_agent *agent)
    VR_REQUIRES(vr_role_engine);
static void tell_agent(struct vr_job_run *run, const struct vr_host *host,
                       const struct vr_host *proxy, const struct vr_agent *agent)
{
    const struct vr_fence_job_context *context = run->context;
    struct vr_txn *txn = vr_txn_new(run->engine); /* seen while the step still waits */
    vr_event_add(txn, VR_EVENT_FENCE_OPERATION_USING_AGENT_AND_PROXY_STARTED,
                 &(struct vr_event_about){ .host = host, .correlation_id = run->correlation_id },
                 "Action", context->on ? "start" : "stop", "AgentType", agent->type,
                 "AgentAddress", agent->address, "ProxyHost", proxy->name, NULL);
    vr_txn_commit(txn, NULL, NULL);
}

static void next_agent(struct vr_job_run *run)
{
    struct vr_fence_job_context *context = run->context;
    const struct vr_host *host = host_of(run);
    g_autoptr(GPtrArray) agents = fence_agents_of(run->engine, context->host_id, context->group);
    if (!host || agents->len == 0) {
        fail(run, &vr_fault_host_no_fence_agent, "The power agents were removed.");
        return;
    }
    if (context->index >= agents->len) {
        round_ended(run, agents->len);
        return;
    }
    const struct vr_host *proxy = fence_proxy(run->engine, host, context->avoid_proxy);
    if (!proxy) {
        no_proxy(run, host);
        return;
    }
    VR_CLEAR(context, no_proxy);
    const struct vr_agent *agent = agents->pdata[context->index];
    if (!context->asking)
        tell_agent(run, host, proxy, agent);
    vr_auto struct vr_rpc_host_fence_node_params *params =
        fence_params(agent, context->asking ? VR_RPC_FENCE_NODE_ACTION_STATUS
                            : context->on   ? VR_RPC_FENCE_NODE_ACTION_ON
                                            : VR_RPC_FENCE_NODE_ACTION_OFF);
    vr_job_call(run, proxy->id, &vr_verb_host_fence_node, params, 0, answered);
}

/* --- the steps --- */

static void begin_power(struct vr_job_run *run, bool on) VR_REQUIRES(vr_role_engine);
static void begin_power(struct vr_job_run *run, bool on)
{
    struct vr_fence_job_context *context = run->context;
    VR_SET(context, on, on);
    VR_CLEAR(context, avoid_proxy);
    VR_CLEAR(context, no_proxy);
    VR_CLEAR(context, reason);
    int64_t group = fence_next_group(run->engine, context->host_id, -1);
    if (group < 0)
        fail(run, &vr_fault_host_no_fence_agent, "The power agents were removed.");
    else
        begin_group(run, group);
}

static void announce(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
static void announce(struct vr_job_run *run)
{
    const struct vr_fence_job_context *context = run->context;
    struct vr_host *host = VR_EDIT(run->txn, HOST, host, context->host_id);
    if (!host) {
        fail(run, &vr_fault_not_found, "The host was removed.");
        return;
    }
    vr_event_add(run->txn, VR_EVENT_FENCE_OPERATION_STARTED,
                 &(struct vr_event_about){ .host = host, .correlation_id = run->correlation_id },
                 "Action", context->goal, NULL);
    if (!goal_is(run, "start")) {
        /* Its last answers would bring it up again while it goes down. */
        vr_hosts_unwatch(run->engine, context->host_id);
        vr_hosts_set_status(run->txn, context->host_id,
                            goal_is(run, "restart") ? VR_HOST_STATUS_REBOOT : VR_HOST_STATUS_DOWN);
    }
    vr_job_done(run);
}

static void switch_off(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
static void switch_off(struct vr_job_run *run)
{
    if (goal_is(run, "start"))
        vr_job_done(run);
    else
        begin_power(run, false);
}

void vr_fence_confirmed(struct vr_txn *txn, const char *host_id)
{
    vr_vms_host_restarted(txn, host_id);
    vr_storage_host_dead(txn, host_id);
}

static void bury(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
static void bury(struct vr_job_run *run)
{
    const struct vr_fence_job_context *context = run->context;
    struct vr_host *host = VR_EDIT(run->txn, HOST, host, context->host_id);
    if (host && !goal_is(run, "start")) {
        vr_fence_confirmed(run->txn, context->host_id);
        VR_SET(host, power_on, false);
        VR_SET(host, last_fenced, vr_engine_wall_ms(run->engine));
    }
    vr_job_done(run);
}

static void switch_on(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
static void switch_on(struct vr_job_run *run)
{
    if (goal_is(run, "stop"))
        vr_job_done(run);
    else
        begin_power(run, true);
}

/* The end, one way or the other: the host's status tells what is known of it. */
static void ended(struct vr_job_run *run, bool failed, const struct vr_error *error)
    VR_REQUIRES(vr_role_engine);
static void ended(struct vr_job_run *run, bool failed, const struct vr_error *error)
{
    static const struct {
        const char *goal;
        enum vr_event_code code;
    } done[] = {
        { "start", VR_EVENT_USER_VDS_START },
        { "stop", VR_EVENT_USER_VDS_STOP },
        { "restart", VR_EVENT_USER_VDS_RESTART },
    };
    const struct vr_fence_job_context *context = run->context;
    struct vr_host *host = VR_EDIT(run->txn, HOST, host, context->host_id);
    if (!host)
        return;
    const struct vr_event_about about = {
        .user = context->user_id ? vr_txn_peek(run->txn, VR_KIND_USER, context->user_id) : NULL,
        .host = host,
        .correlation_id = run->correlation_id,
    };
    bool to_maintenance = VR_GET(context, to_maintenance, false);
    if (failed) {
        g_autofree char *reason = vr_error_text(error);
        vr_event_add(run->txn, VR_EVENT_FENCE_OPERATION_FAILED, &about, "Action", context->goal, NULL);
        vr_event_add(run->txn, VR_EVENT_VDS_ALERT_FENCE_OPERATION_FAILED, &about, "Reason", reason,
                     NULL);
        vr_hosts_set_status(run->txn, context->host_id,
                            to_maintenance ? VR_HOST_STATUS_MAINTENANCE
                                           : VR_HOST_STATUS_NON_RESPONSIVE);
        if (!to_maintenance)
            vr_hosts_watch(run->engine, context->host_id);
        return;
    }
    vr_event_add(run->txn, VR_EVENT_FENCE_OPERATION_SUCCEEDED, &about, "Action", context->goal, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(done); i++)
        if (goal_is(run, done[i].goal))
            vr_event_add(run->txn, done[i].code, &about, NULL);
    if (goal_is(run, "stop"))
        return;
    VR_SET(host, power_on, true);
    vr_hosts_set_status(run->txn, context->host_id,
                        to_maintenance ? VR_HOST_STATUS_MAINTENANCE : VR_HOST_STATUS_REBOOT);
    if (!to_maintenance)
        vr_hosts_watch(run->engine, context->host_id);
}

static const struct vr_job_step steps[] = {
    { "announce", announce, NULL },
    { "switch power off", switch_off, NULL },
    { "count what it ran as down", bury, NULL },
    { "switch power on", switch_on, NULL },
};

const struct vr_job_type vr_job_fence_host = {
    .name = "FenceHost",
    .context = &vr_type_fence_job_context,
    .steps = steps,
    .step_count = G_N_ELEMENTS(steps),
    .ended = ended,
};
