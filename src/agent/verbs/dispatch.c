/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "verbs"
#include "agent/verbs/verbs.h"

#include "codec/codec.h"

/* Workers and waiting requests of each lane.  The reference has 8 workers and 10 waiting each
 * (facts/host-rpc.md 4); a lane of its own a kind keeps one kind's share from the others. */
static const struct {
    const char *name;
    unsigned threads, waiting;
} lanes[] = {
    [VR_LANE_HOST] = { "host", 4, 160 },
    [VR_LANE_VIRT] = { "virt", 8, 160 },
    [VR_LANE_NETWORK] = { "network", 2, 16 },
    [VR_LANE_FENCE] = { "fence", 8, 32 },
};

/* Slower than that is worth a line: the Manager gives up after 180 s. */
#define SLOW_US (10 * G_USEC_PER_SEC)

struct work {
    struct vr_agent *agent;
    struct vr_rpc_request *request;
    const struct vr_verb_row *row;
};

void vr_agent_add(struct vr_agent *agent, const struct vr_verb_row *rows)
{
    for (; rows->verb; rows++)
        g_hash_table_insert(agent->table, (gpointer)rows->verb, (gpointer)rows);
}

void vr_agent_init(struct vr_agent *agent)
{
    agent->table = g_hash_table_new(NULL, NULL);
    vr_agent_add(agent, vr_verbs_host);
    vr_agent_add(agent, vr_verbs_vm);
    for (unsigned i = 0; i < G_N_ELEMENTS(lanes); i++)
        agent->lanes[i] = vr_lane_new(lanes[i].name, lanes[i].threads, lanes[i].waiting);
}

void vr_agent_done(struct vr_agent *agent)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(lanes); i++)
        vr_lane_free(agent->lanes[i]);
    g_hash_table_unref(agent->table);
}

static void run(void *arg)
{
    struct work *work = arg;
    const struct vr_verb *verb = work->row->verb;
    vr_auto_error struct vr_error *error = NULL;
    vr_auto void *result = NULL;
    gint64 begin = g_get_monotonic_time();
    if (work->row->run(work->agent, vr_rpc_request_params(work->request), &result, &error)) {
        vr_rpc_request_reply(work->request, result);
    } else {
        g_autofree char *text = vr_error_text(error);
        vr_log_info("%s failed with %d: %s", verb->name, error->fault->rpc, text);
        vr_rpc_request_fail_error(work->request, error);
    }
    gint64 took = g_get_monotonic_time() - begin;
    if (took > SLOW_US)
        vr_log_info("%s took %.1f s.", verb->name, (double)took / G_USEC_PER_SEC);
    g_free(work);
}

/* On the loop's thread. */
static void storage_done(void *result, int code, const char *message, void *arg)
{
    struct vr_rpc_request *request = arg;
    if (!code) {
        vr_rpc_request_reply(request, result);
        return;
    }
    vr_log_info("%s failed with %d: %s", vr_rpc_request_verb(request)->name, code, message);
    vr_rpc_request_fail(request, code, message);
}

bool vr_agent_is_visitor(const struct vr_tls_peer *peer, void *arg)
{
    struct vr_agent *agent = arg;
    return vr_access_is_visitor(agent->access, peer);
}

const char *vr_agent_refuse(const struct vr_verb *verb, const struct vr_tls_peer *peer,
                            const char *address, void *arg)
{
    struct vr_agent *agent = arg;
    const char *why = vr_access_refusal(verb);
    if (why)
        vr_access_tell(agent->access, verb, peer, address, g_get_monotonic_time());
    return why;
}

void vr_agent_handle(struct vr_rpc_request *request, const struct vr_verb *verb, void *params,
                     void *arg)
{
    struct vr_agent *agent = arg;
    const struct vr_verb_row *row = g_hash_table_lookup(agent->table, verb);
    vr_log_debug("%s (flow %s) from %s", verb->name, vr_rpc_request_correlation_id(request),
                 vr_rpc_request_peer(request));
    if (!vr_rpc_request_is_of_visitor(request)) {
        vr_netconf_client(agent->netconf, vr_rpc_request_local(request));
    } else if (verb == &vr_verb_host_ping) {
        /* While networks change this means that the Manager is heard, and another host is not it. */
        vr_rpc_request_reply(request, NULL);
        return;
    }
    if (agent->storage && vr_storage_handles(verb)) {
        vr_storage_call(agent->storage, verb, params, storage_done, request);
        return;
    }
    if (!row) {
        vr_rpc_request_fail(request, vr_agent_fault_not_implemented.rpc,
                            vr_agent_fault_not_implemented.text);
        return;
    }
    struct work *work = g_new(struct work, 1);
    *work = (struct work){ agent, request, row };
    if (vr_lane_push(agent->lanes[row->lane], run, work))
        return;
    g_free(work);
    vr_rpc_request_fail(request, vr_agent_fault_exhausted.rpc, vr_agent_fault_exhausted.text);
}

void vr_agent_job_changed(const char *job_id, const char *json, void *arg)
{
    struct vr_agent *agent = arg;
    g_autofree char *method = g_strdup_printf("|jobs|status|%s", job_id);
    vr_rpc_server_event(agent->server, method, json);
}

void vr_agent_vm_status(const char *vm_id, const struct vr_rpc_vm_stats *stats,
                        uint64_t notify_time, void *arg)
{
    struct vr_agent *agent = arg;
    g_autofree char *method = g_strdup_printf("|virt|VM_status|%s", vm_id);
    g_autoptr(GString) json = g_string_new("{");
    vr_json_quote(json, vm_id);
    g_string_append_c(json, ':');
    vr_json_write(json, stats, VR_JSON_HOST, NULL);
    g_string_append_printf(json, ",\"notify_time\":%" G_GUINT64_FORMAT "}", notify_time);
    vr_rpc_server_event(agent->server, method, json->str);
}
