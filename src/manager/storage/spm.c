/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "storage"
#include "manager/storage/internal.h"

/*
 * The storage pool manager of a data centre: the one host that changes
 * metadata.  The role is given to another host only when the one that has it
 * has given it back or is known not to run: without leases that a host loses
 * by itself, silence alone is no proof.
 */

#define POLL_MS 500
#define ATTEMPTS 240 /* two minutes of polls */

struct start {
    struct vr_engine *engine;
    char *data_center_id, *host_id, *task_id;
    spm_done *done;
    void *arg;
    unsigned polls;
};

static void finish(struct start *start, bool ok, const char *why) VR_REQUIRES(vr_role_engine);
static void finish(struct start *start, bool ok, const char *why)
{
    struct vr_engine *engine = start->engine;
    struct vr_inventory *head = vr_engine_head(engine);
    if (ok && VR_PEEK(head, DATA_CENTER, data_center, start->data_center_id) &&
        VR_PEEK(head, HOST, host, start->host_id)) {
        struct vr_txn *txn = vr_txn_new(engine);
        struct vr_data_center *dc = VR_EDIT(txn, DATA_CENTER, data_center, start->data_center_id);
        struct vr_host *host = VR_EDIT(txn, HOST, host, start->host_id);
        VR_SET_LINK(dc, spm_host, host, start->host_id);
        VR_SET(dc, status, VR_DATA_CENTER_STATUS_UP);
        VR_SET(VR_SUB(host, spm, spm), status, VR_SPM_STATUS_SPM);
        vr_event_add(txn, VR_EVENT_IRS_HOSTED_ON_VDS,
                     &(struct vr_event_about){ .host = host, .data_center = dc }, "ServerIp",
                     host->address, NULL);
        vr_txn_commit(txn, NULL, NULL);
    }
    if (start->done)
        start->done(engine, ok, why, start->arg);
    g_free(start->data_center_id);
    g_free(start->host_id);
    g_free(start->task_id);
    g_free(start);
}

static void cleared(struct vr_engine *engine, const void *result, int code, const char *message,
                    void *arg) VR_REQUIRES(vr_role_engine);
static void cleared(struct vr_engine *engine, const void *result, int code, const char *message,
                    void *arg)
{
    finish(arg, true, NULL);
}

static void ask_task(struct vr_engine *engine, void *arg) VR_REQUIRES(vr_role_engine);

static void task_answer(struct vr_engine *engine, const void *result, int code,
                        const char *message, void *arg) VR_REQUIRES(vr_role_engine);
static void task_answer(struct vr_engine *engine, const void *result, int code,
                        const char *message, void *arg)
{
    struct start *start = arg;
    const struct vr_rpc_task_status *status = result;
    if (code != 0) {
        finish(start, false, message);
        return;
    }
    if (VR_GET(status, task_state, VR_RPC_TASK_STATE_RUNNING) != VR_RPC_TASK_STATE_FINISHED) {
        if (++start->polls < ATTEMPTS)
            vr_engine_after(engine, POLL_MS, ask_task, start);
        else
            finish(start, false, "the SPM did not start within two minutes");
        return;
    }
    if (g_strcmp0(status->task_result, "success") != 0 || VR_GET(status, code, 0) != 0) {
        finish(start, false, status->message);
        return;
    }
    vr_auto struct vr_rpc_task_clear_params *params = VR_NEW(rpc_task_clear_params);
    VR_SET_STRING(params, task_id, start->task_id);
    vr_engine_host_call(engine, start->host_id, &vr_verb_task_clear, params, 0, NULL, cleared,
                        start);
}

static void ask_task(struct vr_engine *engine, void *arg)
{
    struct start *start = arg;
    vr_auto struct vr_rpc_task_get_status_params *params = VR_NEW(rpc_task_get_status_params);
    VR_SET_STRING(params, task_id, start->task_id);
    vr_engine_host_call(engine, start->host_id, &vr_verb_task_get_status, params, 0, NULL,
                        task_answer, start);
}

static void started(struct vr_engine *engine, const void *result, int code, const char *message,
                    void *arg) VR_REQUIRES(vr_role_engine);
static void started(struct vr_engine *engine, const void *result, int code, const char *message,
                    void *arg)
{
    struct start *start = arg;
    const struct vr_rpc_storage_pool_spm_start_result *answer = result;
    if (code == 656) { /* it is the SPM already */
        finish(start, true, NULL);
        return;
    }
    if (code != 0 || !answer->value) {
        finish(start, false, message);
        return;
    }
    start->task_id = g_strdup(answer->value);
    ask_task(engine, start);
}

static void status_answer(struct vr_engine *engine, const void *result, int code,
                          const char *message, void *arg) VR_REQUIRES(vr_role_engine);
static void status_answer(struct vr_engine *engine, const void *result, int code,
                          const char *message, void *arg)
{
    struct start *start = arg;
    const struct vr_rpc_spm_status *status = result;
    if (code != 0) {
        finish(start, false, message);
        return;
    }
    if (VR_GET(status, spm_status, VR_RPC_SPM_ROLE_FREE) == VR_RPC_SPM_ROLE_SPM) {
        finish(start, true, NULL);
        return;
    }
    vr_auto struct vr_rpc_storage_pool_spm_start_params *params =
        VR_NEW(rpc_storage_pool_spm_start_params);
    VR_SET_STRING(params, storagepool_id, start->data_center_id);
    VR_SET(params, prev_id, -1);
    VR_SET_STRING(params, prev_lver, "-1");
    VR_SET_STRING(params, enable_scsi_fencing, "false");
    VR_SET(params, max_host_id, MAX_HOST_ID);
    VR_SET_STRING(params, dom_version, "5");
    vr_engine_host_call(engine, start->host_id, &vr_verb_storage_pool_spm_start, params, 0, NULL,
                        started, start);
}

static void ask_status(struct vr_engine *engine, void *arg) VR_REQUIRES(vr_role_engine);
static void ask_status(struct vr_engine *engine, void *arg)
{
    struct start *start = arg;
    vr_auto struct vr_rpc_storage_pool_get_spm_status_params *params =
        VR_NEW(rpc_storage_pool_get_spm_status_params);
    VR_SET_STRING(params, storagepool_id, start->data_center_id);
    vr_engine_host_call(engine, start->host_id, &vr_verb_storage_pool_get_spm_status, params, 0,
                        NULL, status_answer, start);
}

static struct start *start_new(struct vr_engine *engine, const char *data_center_id,
                               const char *host_id, spm_done *done, void *arg)
{
    struct start *start = g_new0(struct start, 1);
    start->engine = engine;
    start->data_center_id = g_strdup(data_center_id);
    start->host_id = g_strdup(host_id);
    start->done = done;
    start->arg = arg;
    return start;
}

void spm_start(struct vr_engine *engine, const char *data_center_id, const char *host_id,
               spm_done *done, void *arg)
{
    ask_status(engine, start_new(engine, data_center_id, host_id, done, arg));
}

void spm_start_when_there(struct vr_engine *engine, const char *data_center_id, const char *host_id,
                          spm_done *done, void *arg)
{
    struct start *start = start_new(engine, data_center_id, host_id, done, arg);
    if (!vr_engine_host_wait(engine, host_id, ask_status, start))
        ask_status(engine, start);
}

static void elected(struct vr_engine *engine, bool ok, const char *why, void *arg)
    VR_REQUIRES(vr_role_engine);
static void elected(struct vr_engine *engine, bool ok, const char *why, void *arg)
{
    g_autofree char *dc_id = arg;
    if (ok)
        return;
    const struct vr_data_center *dc =
        VR_PEEK(vr_engine_head(engine), DATA_CENTER, data_center, dc_id);
    if (!dc)
        return;
    struct vr_txn *txn = vr_txn_new(engine);
    struct vr_data_center *edit = VR_EDIT(txn, DATA_CENTER, data_center, dc_id);
    VR_SET(edit, status, VR_DATA_CENTER_STATUS_NOT_OPERATIONAL);
    vr_event_add(txn, VR_EVENT_IRS_FAILURE, &(struct vr_event_about){ .data_center = edit },
                 "Reason", why ? why : "no reason given", NULL);
    vr_txn_commit(txn, NULL, NULL);
}

void spm_elect(struct vr_engine *engine, const char *data_center_id)
{
    const struct vr_data_center *dc =
        VR_PEEK(vr_engine_head(engine), DATA_CENTER, data_center, data_center_id);
    if (!dc || VR_LINK_ID(dc, spm_host) || !VR_GET(dc, pool_created, false) ||
        VR_GET(dc, status, VR_DATA_CENTER_STATUS_UNINITIALIZED) ==
            VR_DATA_CENTER_STATUS_MAINTENANCE)
        return;
    const struct vr_host *host = vr_hosts_pick(engine, data_center_id);
    if (host)
        spm_start(engine, data_center_id, host->id, elected, g_strdup(data_center_id));
}

/* --- giving the role back --- */

#define CODE_NOT_SPM 654 /* facts/host-rpc.md 5 */

struct stop {
    char *data_center_id, *host_id;
};

static void given_back(struct vr_engine *engine, const void *result, int code, const char *message,
                       void *arg) VR_REQUIRES(vr_role_engine);
static void given_back(struct vr_engine *engine, const void *result, int code, const char *message,
                       void *arg)
{
    struct stop *stop = arg;
    const struct vr_data_center *dc =
        VR_PEEK(vr_engine_head(engine), DATA_CENTER, data_center, stop->data_center_id);
    bool its = dc && g_strcmp0(VR_LINK_ID(dc, spm_host), stop->host_id) == 0;
    if (its && (code == 0 || code == CODE_NOT_SPM)) {
        struct vr_txn *txn = vr_txn_new(engine);
        struct vr_data_center *edit =
            VR_EDIT(txn, DATA_CENTER, data_center, stop->data_center_id);
        VR_CLEAR(edit, spm_host);
        VR_SET(edit, status, VR_DATA_CENTER_STATUS_NOT_OPERATIONAL);
        vr_txn_commit(txn, NULL, NULL);
        spm_elect(engine, stop->data_center_id);
    } else if (its) {
        vr_log_warning("Host %s does not give the role of the SPM back: %s", stop->host_id,
                       message ? message : "no reason given");
    }
    g_free(stop->data_center_id);
    g_free(stop->host_id);
    g_free(stop);
}

void spm_give_back(struct vr_engine *engine, const char *data_center_id, const char *host_id)
{
    struct stop *stop = g_new(struct stop, 1);
    stop->data_center_id = g_strdup(data_center_id);
    stop->host_id = g_strdup(host_id);
    vr_auto struct vr_rpc_storage_pool_spm_stop_params *params =
        VR_NEW(rpc_storage_pool_spm_stop_params);
    VR_SET_STRING(params, storagepool_id, data_center_id);
    vr_engine_host_call(engine, host_id, &vr_verb_storage_pool_spm_stop, params, 0, NULL, given_back,
                        stop);
}
