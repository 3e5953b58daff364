/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/fence/internal.h"

#include "manager/engine/call.h"
#include "model/fence.h"

#include "gen/routes.h"

/* The power agents of a host (facts/rest-api.md 8.3, fenceagents). */

#define MAX_AGENTS 8
#define MAX_TEXT 255
#define MAX_OPTIONS 32

static bool one_line(const char *what, const char *text, struct vr_error **error)
{
    size_t length = strlen(text);
    bool plain = length > 0 && length <= MAX_TEXT;
    for (size_t i = 0; plain && i < length; i++)
        plain = (unsigned char)text[i] >= 0x20 && text[i] != 0x7f;
    if (!plain)
        vr_error_set(error, &vr_fault_invalid_value,
                     "The power agent's %s must be one line of 1 to %d characters.", what, MAX_TEXT);
    return plain;
}

static bool check_options(const struct vr_agent *wanted, struct vr_error **error)
{
    if (wanted->options.len > MAX_OPTIONS) {
        vr_error_set(error, &vr_fault_invalid_value, "A power agent has at most %d options.",
                     MAX_OPTIONS);
        return false;
    }
    VR_EACH (struct vr_option, option, &wanted->options) {
        const char *value = option->value ? option->value : "";
        /* An empty value leaves the option out, whatever it is; its name must be good anyway. */
        g_autofree char *problem =
            vr_fence_option_problem(option->name, *value ? value : "1");
        if (problem) {
            vr_error_set(error, &vr_fault_invalid_value, "%s", problem);
            return false;
        }
        if (*value && !one_line("option", value, error))
            return false;
    }
    return true;
}

static bool check(const struct vr_agent *wanted, struct vr_error **error)
{
    const struct {
        const char *what, *text;
    } texts[] = {
        { "address", wanted->address },
        { "user name", wanted->username },
        { "password", wanted->password },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++)
        if (texts[i].text && !one_line(texts[i].what, texts[i].text, error))
            return false;
    g_autofree char *address = wanted->address ? vr_fence_address_problem(wanted->address) : NULL;
    g_autofree char *login = wanted->username ? vr_fence_login_problem(wanted->username) : NULL;
    if (address || login) {
        vr_error_set(error, &vr_fault_invalid_value, "%s", address ? address : login);
        return false;
    }
    if (wanted->type && !fence_kind_check(wanted->type, error))
        return false;
    if (VR_HAS(wanted, order) && (wanted->order < 1 || wanted->order > 100)) {
        vr_error_set(error, &vr_fault_invalid_value,
                     "The order of a power agent is a number from 1 to 100.");
        return false;
    }
    if (VR_HAS(wanted, port) && (wanted->port < 1 || wanted->port > 65535)) {
        vr_error_set(error, &vr_fault_invalid_value,
                     "The port of a power agent must be from 1 to 65535.");
        return false;
    }
    return check_options(wanted, error);
}

void vr_fence_agents_add(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_host *host = vr_call_target(call, VR_KIND_HOST, &error);
    struct vr_lock lock = { VR_KIND_HOST, host ? host->id : NULL, true };
    if (host && check(call->body, &error) &&
        vr_inventory_count_by(vr_engine_head(call->engine), VR_KIND_AGENT, "host", host->id) >=
            MAX_AGENTS)
        vr_error_set(&error, &vr_fault_conflict, "The host has %d power agents already.",
                     MAX_AGENTS);
    if (error || !vr_locks_free(call->engine, &lock, 1, &error)) {
        vr_call_fail(call, &error);
        return;
    }
    struct vr_agent *agent = vr_call_take_body(call);
    struct vr_txn *txn = vr_txn_new(call->engine);
    VR_CLEAR(agent, id);
    VR_SET_LINK(agent, host, host, host->id);
    VR_SET(agent, encrypt_options, VR_GET(agent, encrypt_options, false));
    VR_SET(agent, concurrent, VR_GET(agent, concurrent, false));
    vr_txn_add(txn, VR_KIND_AGENT, agent);
    g_autofree char *id = g_strdup(agent->id);
    vr_call_commit(call, txn, VR_KIND_AGENT, id);
}

void vr_fence_forget(struct vr_txn *txn, const char *host_id)
{
    vr_auto_objects struct vr_objects all = { 0 };
    vr_inventory_list_by(vr_engine_head(vr_txn_engine(txn)), VR_KIND_AGENT, "host", host_id, &all);
    VR_OBJECTS (struct vr_agent, agent, &all)
        vr_txn_remove(txn, VR_KIND_AGENT, agent->id);
}

/* The agent in the address, of the host in the address, which no job works on. */
static const struct vr_agent *target(struct vr_call *call, struct vr_error **error)
    VR_REQUIRES(vr_role_engine);
static const struct vr_agent *target(struct vr_call *call, struct vr_error **error)
{
    const struct vr_agent *agent = vr_call_target(call, VR_KIND_AGENT, error);
    struct vr_lock lock = { VR_KIND_HOST, vr_call_parent_id(call), true };
    if (agent && g_strcmp0(VR_LINK_ID(agent, host), lock.id) != 0) {
        vr_error_set(error, &vr_fault_not_found, NULL);
        return NULL;
    }
    return agent && vr_locks_free(call->engine, &lock, 1, error) ? agent : NULL;
}

void vr_fence_agent_update(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    struct vr_agent *wanted = call->body;
    const struct vr_agent *agent = target(call, &error);
    if (!agent || !check(wanted, &error)) {
        vr_call_fail(call, &error);
        return;
    }
    g_autofree char *id = g_strdup(agent->id);
    struct vr_txn *txn = vr_txn_new(call->engine);
    VR_CLEAR(wanted, id);
    VR_CLEAR(wanted, host);
    vr_merge(VR_EDIT(txn, AGENT, agent, id), wanted);
    vr_call_commit(call, txn, VR_KIND_AGENT, id);
}

void vr_fence_agent_remove(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_agent *agent = target(call, &error);
    const struct vr_host *host =
        VR_PEEK(vr_engine_head(call->engine), HOST, host, vr_call_parent_id(call));
    if (agent && host && host->power_management &&
        VR_GET(host->power_management, enabled, false) &&
        !vr_fence_has_agent(call->engine, host->id, agent->id))
        vr_error_set(&error, &vr_fault_host_no_fence_agent,
                     "This is the host's last power agent; disable its power management first.");
    if (error) {
        vr_call_fail(call, &error);
        return;
    }
    struct vr_txn *txn = vr_txn_new(call->engine);
    vr_txn_remove(txn, VR_KIND_AGENT, agent->id);
    vr_call_commit_remove(call, txn, NULL);
}
