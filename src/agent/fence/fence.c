/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "fence"
#include "agent/fence/fence.h"

#include <inttypes.h>

#include "agent/fault.h"
#include "agent/helper/run.h"
#include "model/fence.h"

/* An agent that waits for a slow device gives up by itself (power_timeout, 20 s by default, twice
 * for a reboot); this ends one that hangs. */
#define DEADLINE_MS 120000
#define ANSWER_MS 20000
/* Programs that go on behind answered requests. */
#define RUNNING_MAX 32
#define VALUE_MAX 4096
#define OPTIONS_MAX 64

/* Exit status of fence agents: 0 done (status: on), 1 error, 2 off. */
enum { FENCE_DONE = 0, FENCE_OFF = 2 };

/* One run of a program.  Shared by its thread and the request, freed by the last of them. */
struct attempt {
    char *program; /* "fence_ipmilan" */
    char *where;   /* for log lines: no secrets */
    char *input;
    struct vr_mutex lock; /* over what follows; a leaf */
    GCond ended_cond;
    bool ended;
    int status;
    char *why;
    gint refs;
};

static gint running; /* atomic */

static void attempt_unref(struct attempt *attempt)
{
    if (!g_atomic_int_dec_and_test(&attempt->refs))
        return;
    vr_mutex_done(&attempt->lock);
    g_cond_clear(&attempt->ended_cond);
    g_free(attempt->program);
    g_free(attempt->where);
    if (attempt->input)
        explicit_bzero(attempt->input, strlen(attempt->input));
    g_free(attempt->input);
    g_free(attempt->why);
    g_free(attempt);
}

static gpointer run_program(gpointer data)
{
    struct attempt *attempt = data;
    const char *argv[] = { attempt->program, NULL };
    struct vr_run run = { .argv = argv, .input = attempt->input, .deadline_ms = DEADLINE_MS };
    vr_auto_error struct vr_error *error = NULL;
    bool good = vr_run(&run, &error);
    vr_mutex_lock(&attempt->lock);
    attempt->status = good ? FENCE_DONE : run.output && run.status ? run.status : 1;
    attempt->why = good ? NULL : g_strdup(error->detail);
    attempt->ended = true;
    g_cond_broadcast(&attempt->ended_cond);
    vr_mutex_unlock(&attempt->lock);
    if (good || run.status == FENCE_OFF)
        vr_log_info("%s ended with status %d.", attempt->where, attempt->status);
    else
        vr_log_warning("%s: %s", attempt->where, error->detail);
    vr_run_done(&run);
    attempt_unref(attempt);
    g_atomic_int_add(&running, -1);
    return NULL;
}

/* --- what the program is told --- */

static bool is_word(const char *text)
{
    return text[0] && strlen(text) <= 64 && strspn(text, "abcdefghijklmnopqrstuvwxyz"
                                                         "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                                         "0123456789_-") == strlen(text);
}

/* A value that is one line.  Longer ones, and ones with control characters, would be read as
 * something else than was meant. */
static bool add(GString *input, const char *name, const char *value, struct vr_error **error)
{
    if (!value)
        return true;
    size_t length = strlen(value);
    bool plain = length <= VALUE_MAX;
    for (size_t i = 0; plain && i < length; i++)
        plain = (unsigned char)value[i] >= 0x20 && value[i] != 0x7f;
    if (!plain) {
        vr_agent_error(error, invalid_parameter, "%s is not one line of text.", name);
        return false;
    }
    g_string_append_printf(input, "%s=%s\n", name, value);
    return true;
}

/* "name=value" a line, of what a power agent may be told. */
static bool add_options(GString *input, const char *options, struct vr_error **error)
{
    g_auto(GStrv) lines = g_strsplit(options, "\n", OPTIONS_MAX + 1);
    if (g_strv_length(lines) > OPTIONS_MAX) {
        vr_agent_error(error, invalid_parameter, "There are more than %d options.", OPTIONS_MAX);
        return false;
    }
    for (char **line = lines; *line; line++) {
        g_strstrip(*line);
        if (!**line)
            continue;
        char *value = strchr(*line, '=');
        if (value)
            *value++ = '\0';
        g_autofree char *problem = vr_fence_option_problem(*line, value);
        if (problem) {
            vr_agent_error(error, invalid_parameter, "%s", problem);
            return false;
        }
        if (!add(input, *line, value, error))
            return false;
    }
    return true;
}

/* Other members than the options, which the programs put into command lines, too. */
static bool check_peer(const struct vr_rpc_host_fence_node_params *params, struct vr_error **error)
{
    g_autofree char *address = vr_fence_address_problem(params->addr);
    g_autofree char *login = params->username ? vr_fence_login_problem(params->username) : NULL;
    if (address || login)
        vr_agent_error(error, invalid_parameter, "%s", address ? address : login);
    return !address && !login;
}

/* Names as every version of the agents takes them; a later line wins, so ours come last. */
static char *write_input(const struct vr_rpc_host_fence_node_params *params,
                         const char *program, struct vr_error **error)
{
    static const char *const actions[] = {
        [VR_RPC_FENCE_NODE_ACTION_OFF] = "off",
        [VR_RPC_FENCE_NODE_ACTION_ON] = "on",
        [VR_RPC_FENCE_NODE_ACTION_REBOOT] = "reboot",
        [VR_RPC_FENCE_NODE_ACTION_STATUS] = "status",
    };
    g_autofree char *port = VR_GET(params, port, 0) > 0
                                ? g_strdup_printf("%" PRIi64, params->port)
                                : NULL;
    GString *input = g_string_new(NULL);
    if ((!params->options || add_options(input, params->options, error)) &&
        add(input, "agent", program, error) && add(input, "ipaddr", params->addr, error) &&
        add(input, "login", params->username, error) &&
        add(input, "action", actions[params->action], error) &&
        add(input, "passwd", params->password, error) && add(input, "port", port, error) &&
        (!VR_GET(params, secure, false) || add(input, "secure", "yes", error)))
        return g_string_free(input, FALSE);
    explicit_bzero(input->str, input->len);
    g_string_free(input, TRUE);
    return NULL;
}

/* --- the answer --- */

/* Until the program ended; for an action not for ever.  True when it ended. */
static bool wait_for(struct attempt *attempt, bool status)
{
    gint64 end = g_get_monotonic_time() + (gint64)ANSWER_MS * 1000;
    vr_mutex_lock(&attempt->lock);
    while (!attempt->ended)
        if (status)
            g_cond_wait(&attempt->ended_cond, &attempt->lock.mutex);
        else if (!g_cond_wait_until(&attempt->ended_cond, &attempt->lock.mutex, end))
            break;
    bool ended = attempt->ended;
    vr_mutex_unlock(&attempt->lock);
    return ended;
}

static struct vr_rpc_fence_node_result *answer(struct attempt *attempt, bool status,
                                               struct vr_error **error)
{
    bool ended = wait_for(attempt, status);
    struct vr_rpc_fence_node_result *result = VR_NEW(rpc_fence_node_result);
    VR_SET(result, power, VR_RPC_FENCE_NODE_POWER_STATUS_RESULT_UNKNOWN);
    if (status) {
        if (attempt->status == FENCE_DONE)
            VR_SET(result, power, VR_RPC_FENCE_NODE_POWER_STATUS_RESULT_ON);
        else if (attempt->status == FENCE_OFF)
            VR_SET(result, power, VR_RPC_FENCE_NODE_POWER_STATUS_RESULT_OFF);
        return result;
    }
    if (ended && attempt->status != FENCE_DONE) {
        vr_agent_error(error, general, "%s", attempt->why);
        vr_unref(result);
        return NULL;
    }
    VR_SET(result, operation_status, VR_RPC_FENCE_NODE_OPERATION_STATUS_RESULT_INITIATED);
    return result;
}

struct vr_rpc_fence_node_result *
vr_fence_node(const struct vr_rpc_host_fence_node_params *params, struct vr_error **error)
{
    if (!params->agent || !is_word(params->agent) || !params->addr || !params->addr[0] ||
        !VR_HAS(params, action)) {
        vr_agent_error(error, invalid_parameter, "An agent, an address and an action are needed.");
        return NULL;
    }
    if (params->policy && params->policy->storage_domain_host_id_map.len > 0) {
        vr_agent_error(error, not_implemented,
                       "This host cannot tell whether the other one still renews its leases.");
        return NULL;
    }
    g_autofree char *program = g_strdup_printf("fence_%s", params->agent);
    g_autofree char *path = g_find_program_in_path(program);
    if (!path) {
        vr_agent_error(error, fence_agent, "This host has no program %s; install the package "
                       "fence-agents on it.", program);
        return NULL;
    }
    char *input = check_peer(params, error) ? write_input(params, program, error) : NULL;
    if (!input)
        return NULL;

    struct attempt *attempt = g_new0(struct attempt, 1);
    attempt->refs = 2;
    vr_mutex_init(&attempt->lock);
    g_cond_init(&attempt->ended_cond);
    attempt->input = input;
    attempt->where = g_strdup_printf(
        "%s %s at %s", program,
        vr_enum_word(&vr_enum_rpc_fence_node_action, (int)params->action), params->addr);
    attempt->program = g_steal_pointer(&program);
    if (g_atomic_int_add(&running, 1) >= RUNNING_MAX) {
        g_atomic_int_add(&running, -1);
        vr_agent_error(error, exhausted, "%d power operations run already.", RUNNING_MAX);
        attempt->refs = 1;
        attempt_unref(attempt);
        return NULL;
    }
    g_thread_unref(g_thread_new("fence", run_program, attempt));
    struct vr_rpc_fence_node_result *result =
        answer(attempt, params->action == VR_RPC_FENCE_NODE_ACTION_STATUS, error);
    attempt_unref(attempt);
    return result;
}
