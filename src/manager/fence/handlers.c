/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/fence/internal.h"

#include "manager/engine/call.h"
#include "manager/hosts/hosts.h"
#include "manager/vms/vms.h"

#include "gen/routes.h"

/* POST /hosts/{id}/fence (facts/manager-behaviour.md 1.4 and 4.3). */

/* --- status: asked at once, no job --- */

struct question {
    struct vr_call *call;
    char *host_id;
    int64_t group;
    unsigned index;
};

static void ask(struct vr_engine *engine, struct question *question) VR_REQUIRES(vr_role_engine);

static void answer(struct question *question, enum vr_power_management_status status)
    VR_REQUIRES(vr_role_engine);
static void answer(struct question *question, enum vr_power_management_status status)
{
    struct vr_action *action = question->call->body;
    VR_SET(VR_SUB(action, power_management, power_management), status, status);
    vr_call_commit_action(question->call, NULL, NULL);
    g_free(question->host_id);
    g_free(question);
}

static void asked(struct vr_engine *engine, const void *result, int code, const char *message,
                  void *arg) VR_REQUIRES(vr_role_engine);
static void asked(struct vr_engine *engine, const void *result, int code, const char *message,
                  void *arg)
{
    struct question *question = arg;
    const struct vr_rpc_fence_node_result *power = result;
    if (code == 0 && VR_GET(power, power, VR_RPC_FENCE_NODE_POWER_STATUS_RESULT_UNKNOWN) ==
                         VR_RPC_FENCE_NODE_POWER_STATUS_RESULT_ON) {
        answer(question, VR_POWER_MANAGEMENT_STATUS_ON);
        return;
    }
    if (code == 0 && VR_GET(power, power, VR_RPC_FENCE_NODE_POWER_STATUS_RESULT_UNKNOWN) ==
                         VR_RPC_FENCE_NODE_POWER_STATUS_RESULT_OFF) {
        answer(question, VR_POWER_MANAGEMENT_STATUS_OFF);
        return;
    }
    question->index++;
    ask(engine, question);
}

/* The first agent that can tell; "unknown" when none can. */
static void ask(struct vr_engine *engine, struct question *question)
{
    const struct vr_host *host = VR_PEEK(vr_engine_head(engine), HOST, host, question->host_id);
    const struct vr_host *proxy = host ? fence_proxy(engine, host, NULL) : NULL;
    g_autoptr(GPtrArray) agents = fence_agents_of(engine, question->host_id, question->group);
    while (question->group >= 0 && question->index >= agents->len) {
        question->group = fence_next_group(engine, question->host_id, question->group);
        question->index = 0;
        g_ptr_array_unref(agents);
        agents = fence_agents_of(engine, question->host_id, question->group);
    }
    if (!proxy || question->group < 0) {
        answer(question, VR_POWER_MANAGEMENT_STATUS_UNKNOWN);
        return;
    }
    vr_auto struct vr_rpc_host_fence_node_params *params =
        fence_params(agents->pdata[question->index], VR_RPC_FENCE_NODE_ACTION_STATUS);
    vr_engine_host_call(engine, proxy->id, &vr_verb_host_fence_node, params, 0,
                        question->call->correlation_id, asked, question);
}

static void begin_question(struct vr_call *call, const struct vr_host *host)
    VR_REQUIRES(vr_role_engine);
static void begin_question(struct vr_call *call, const struct vr_host *host)
{
    struct question *question = g_new0(struct question, 1);
    question->call = call;
    question->host_id = g_strdup(host->id);
    question->group = fence_next_group(call->engine, host->id, -1);
    ask(call->engine, question);
}

/* --- manual: a person confirms that the host was restarted --- */

static void confirm(struct vr_call *call, const struct vr_host *host) VR_REQUIRES(vr_role_engine);
static void confirm(struct vr_call *call, const struct vr_host *host)
{
    vr_auto_error struct vr_error *error = NULL;
    enum vr_host_status status = VR_GET(host, status, VR_HOST_STATUS_UNASSIGNED);
    switch (status) {
    case VR_HOST_STATUS_DOWN:
    case VR_HOST_STATUS_INSTALL_FAILED:
    case VR_HOST_STATUS_MAINTENANCE:
    case VR_HOST_STATUS_NON_OPERATIONAL:
    case VR_HOST_STATUS_NON_RESPONSIVE:
    case VR_HOST_STATUS_REBOOT:
    case VR_HOST_STATUS_INSTALLING:
    case VR_HOST_STATUS_CONNECTING:
    case VR_HOST_STATUS_KDUMPING:
        break;
    default:
        vr_error_set(&error, &vr_fault_host_wrong_state,
                     "The host is in status %s and answers; only a host that does not can be "
                     "confirmed to be restarted.",
                     vr_enum_word(&vr_enum_host_status, (int)status));
        vr_call_fail(call, &error);
        return;
    }
    struct vr_txn *txn = vr_txn_new(call->engine);
    vr_fence_confirmed(txn, host->id);
    vr_event_add(txn, VR_EVENT_VDS_MANUAL_FENCE_STATUS,
                 &(struct vr_event_about){ .user = vr_call_user(call),
                                           .host = host,
                                           .correlation_id = call->correlation_id },
                 NULL);
    vr_call_commit_action(call, txn, NULL);
}

/* --- start, stop, restart --- */

static bool state_allows(const char *goal, enum vr_host_status status, struct vr_error **error)
{
    bool allowed;
    if (strcmp(goal, "start") == 0)
        allowed = status == VR_HOST_STATUS_NON_RESPONSIVE || status == VR_HOST_STATUS_DOWN ||
                  status == VR_HOST_STATUS_REBOOT || status == VR_HOST_STATUS_MAINTENANCE;
    else if (strcmp(goal, "stop") == 0)
        allowed = status == VR_HOST_STATUS_MAINTENANCE;
    else
        allowed = status == VR_HOST_STATUS_UP || status == VR_HOST_STATUS_NON_RESPONSIVE ||
                  status == VR_HOST_STATUS_NON_OPERATIONAL || status == VR_HOST_STATUS_ERROR ||
                  status == VR_HOST_STATUS_MAINTENANCE || status == VR_HOST_STATUS_DOWN ||
                  status == VR_HOST_STATUS_INSTALL_FAILED || status == VR_HOST_STATUS_KDUMPING;
    if (!allowed)
        vr_error_set(error, &vr_fault_host_wrong_state, "Cannot %s Host. The host is in status %s.%s",
                     goal, vr_enum_word(&vr_enum_host_status, (int)status),
                     strcmp(goal, "stop") == 0 ? " Only a host in maintenance is powered off." : "");
    return allowed;
}

/* A person who presses twice must not cut the power of a host that is just booting. */
static bool quiet(struct vr_call *call, const struct vr_host *host, const char *goal,
                  struct vr_error **error) VR_REQUIRES(vr_role_engine);
static bool quiet(struct vr_call *call, const struct vr_host *host, const char *goal,
                  struct vr_error **error)
{
    int64_t quiet_ms = vr_engine_config(call->engine)->FenceQuietTimeBetweenOperationsInSec * 1000;
    int64_t last = strcmp(goal, "start") == 0  ? VR_GET(host, last_power_stop, 0)
                   : strcmp(goal, "stop") == 0 ? VR_GET(host, last_power_start, 0)
                                               : VR_GET(host, last_power_restart, 0);
    int64_t left = last ? last + quiet_ms - vr_engine_wall_ms(call->engine) : 0;
    if (left <= 0 || left > quiet_ms) /* a clock that was set back must not lock for long */
        return true;
    vr_error_set(error, &vr_fault_conflict,
                 "The power of the host was switched a moment ago; try again in %d seconds.",
                 (int)((left + 999) / 1000));
    return false;
}

static void begin_power(struct vr_call *call, const struct vr_host *host, const char *goal)
    VR_REQUIRES(vr_role_engine);
static void begin_power(struct vr_call *call, const struct vr_host *host, const char *goal)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_action *action = call->body;
    struct vr_engine *engine = call->engine;
    enum vr_host_status status = VR_GET(host, status, VR_HOST_STATUS_UNASSIGNED);
    struct vr_lock lock = { VR_KIND_HOST, host->id, true };
    if (!state_allows(goal, status, &error) || !vr_locks_free(engine, &lock, 1, &error) ||
        !quiet(call, host, goal, &error)) {
        vr_call_fail(call, &error);
        return;
    }
    struct vr_fence_job_context *context = VR_NEW(fence_job_context);
    VR_SET_STRING(context, host_id, host->id);
    VR_SET_STRING(context, goal, goal);
    VR_SET_STRING(context, user_id, call->caller->user_id);
    VR_SET(context, to_maintenance,
           status == VR_HOST_STATUS_MAINTENANCE && strcmp(goal, "start") != 0 &&
               (strcmp(goal, "stop") == 0 ||
                VR_GET(action, maintenance_after_restart, true)));

    struct vr_txn *txn = vr_txn_new(engine);
    struct vr_host *edit = VR_EDIT(txn, HOST, host, host->id);
    int64_t now = vr_engine_wall_ms(engine);
    if (strcmp(goal, "start") == 0)
        VR_SET(edit, last_power_start, now);
    else if (strcmp(goal, "stop") == 0)
        VR_SET(edit, last_power_stop, now);
    else
        VR_SET(edit, last_power_restart, now);
    g_autofree char *description = g_strdup_printf("%s Host %s by power management", goal, host->name);
    const char *job = vr_job_start(txn, &(struct vr_job_start){
                                            .type = &vr_job_fence_host,
                                            .context = context,
                                            .description = description,
                                            .locks = &lock,
                                            .lock_count = 1,
                                            .user_id = call->caller->user_id,
                                            .correlation_id = call->correlation_id,
                                        });
    g_autofree char *job_id = g_strdup(job);
    vr_call_commit_action(call, txn, job_id);
}

void vr_host_fence(struct vr_call *call)
{
    static const char *const goals[] = { "start", "stop", "restart", "status", "manual", NULL };
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_action *action = call->body;
    const struct vr_host *host = vr_call_target(call, VR_KIND_HOST, &error);
    g_autofree char *goal = action->fence_type ? g_ascii_strdown(action->fence_type, -1) : NULL;
    if (host && (!goal || !g_strv_contains(goals, goal)))
        vr_error_set(&error, &vr_fault_invalid_value,
                     "fence_type must be start, stop, restart, status or manual.");
    bool manual = !error && strcmp(goal, "manual") == 0;
    if (!error && !manual &&
        (!host->power_management || !VR_GET(host->power_management, enabled, false) ||
         !vr_fence_has_agent(call->engine, host->id, NULL)))
        vr_error_set(&error, &vr_fault_host_no_fence_agent,
                     "Add a fence agent to the host and enable its power management.");
    if (!error && !manual && !fence_proxy(call->engine, host, NULL))
        vr_error_set(&error, &vr_fault_fence_proxy_missing,
                     "No other host of the data center is up.");
    if (error)
        vr_call_fail(call, &error);
    else if (manual)
        confirm(call, host);
    else if (strcmp(goal, "status") == 0)
        begin_question(call, host);
    else
        begin_power(call, host, goal);
}
