/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "storage"
#include "manager/storage/internal.h"

/* A domain's way into its data centre's pool and out of it.  Every step can run again (jobs_domain.c). */

#define CODE_ALREADY_ATTACHED 380
#define CODE_NOT_ATTACHED 353
#define CODE_POOL_EXISTS 316

/* --- the pool --- */

static void pool_created(struct vr_job_run *run, const void *result, int code,
                         const char *message) VR_REQUIRES(vr_role_engine);
static void pool_created(struct vr_job_run *run, const void *result, int code,
                         const char *message)
{
    const struct vr_storage_job_context *context = run->context;
    if (code != 0 && code != CODE_POOL_EXISTS && code != CODE_ALREADY_ATTACHED) {
        storage_job_fail(run, "StoragePool.create", code, message);
        return;
    }
    struct vr_data_center *dc = VR_EDIT(run->txn, DATA_CENTER, data_center, context->data_center_id);
    VR_SET(dc, pool_created, true);
    VR_SET_LINK(dc, master_storage_domain, storage_domain, context->domain_id);
    VR_SET(dc, master_version, 1);
    VR_SET(storage_job_edit(run), master, true);
    vr_job_done(run);
}

static void create_pool(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
static void create_pool(struct vr_job_run *run)
{
    const struct vr_storage_job_context *context = run->context;
    const struct vr_data_center *dc =
        vr_txn_peek(run->txn, VR_KIND_DATA_CENTER, context->data_center_id);
    if (!VR_GET(context, first, false) || VR_GET(dc, pool_created, false)) {
        vr_job_done(run);
        return;
    }
    vr_auto struct vr_rpc_storage_pool_create_params *params =
        VR_NEW(rpc_storage_pool_create_params);
    VR_SET_STRING(params, storagepool_id, dc->id);
    VR_SET_STRING(params, name, dc->name);
    VR_SET_STRING(params, master_sd_uuid, context->domain_id);
    VR_SET(params, master_version, 1);
    VR_APPEND(params, domain_list, g_strdup(context->domain_id));
    VR_SET(params, lock_renewal_interval_sec, 5);
    VR_SET(params, lease_time_sec, 60);
    VR_SET(params, io_op_timeout_sec, 10);
    VR_SET(params, lease_retries, 3);
    vr_job_call(run, context->host_id, &vr_verb_storage_pool_create, params, 0, pool_created);
}

static void pool_connected(struct vr_job_run *run, const void *result, int code,
                           const char *message) VR_REQUIRES(vr_role_engine);
static void pool_connected(struct vr_job_run *run, const void *result, int code,
                           const char *message)
{
    if (code != 0)
        storage_job_fail(run, "StoragePool.connect", code, message);
    else
        vr_job_done(run);
}

static void connect_pool(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
static void connect_pool(struct vr_job_run *run)
{
    const struct vr_storage_job_context *context = run->context;
    const struct vr_data_center *dc =
        vr_txn_peek(run->txn, VR_KIND_DATA_CENTER, context->data_center_id);
    const struct vr_host *host = vr_txn_peek(run->txn, VR_KIND_HOST, context->host_id);
    vr_auto struct vr_rpc_storage_pool_connect_params *params =
        dc && host ? pool_params(run->txn, run->engine, dc, host) : NULL;
    if (!params)
        vr_job_done(run);
    else
        vr_job_call(run, context->host_id, &vr_verb_storage_pool_connect, params, 0,
                    pool_connected);
}

static void spm_is_up(struct vr_engine *engine, bool ok, const char *why, void *arg)
    VR_REQUIRES(vr_role_engine);
static void spm_is_up(struct vr_engine *engine, bool ok, const char *why, void *arg)
{
    struct vr_job_run *run = arg;
    if (ok)
        vr_job_done(run);
    else
        storage_job_fail(run, "The storage pool manager did not start", 650, why);
}

static void start_spm(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
static void start_spm(struct vr_job_run *run)
{
    struct vr_storage_job_context *context = run->context;
    const struct vr_data_center *dc =
        vr_txn_peek(run->txn, VR_KIND_DATA_CENTER, context->data_center_id);
    const char *spm = VR_LINK_ID(dc, spm_host);
    if (spm && strcmp(spm, context->host_id) != 0) {
        VR_SET_STRING(context, host_id, spm); /* the rest is the SPM's work */
        vr_job_done(run);
        return;
    }
    spm_start_when_there(run->engine, context->data_center_id, context->host_id, spm_is_up, run);
}

/* --- one domain in the pool --- */

static void attached(struct vr_job_run *run, const void *result, int code, const char *message)
    VR_REQUIRES(vr_role_engine);
static void attached(struct vr_job_run *run, const void *result, int code, const char *message)
{
    if (code != 0 && code != CODE_ALREADY_ATTACHED)
        storage_job_fail(run, "StorageDomain.attach", code, message);
    else
        vr_job_done(run);
}

static void attach(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
static void attach(struct vr_job_run *run)
{
    const struct vr_storage_job_context *context = run->context;
    if (VR_GET(context, first, false)) {
        vr_job_done(run);
        return;
    }
    vr_auto struct vr_rpc_storage_domain_attach_params *params =
        VR_NEW(rpc_storage_domain_attach_params);
    VR_SET_STRING(params, storagedomain_id, context->domain_id);
    VR_SET_STRING(params, storagepool_id, context->data_center_id);
    vr_job_call(run, context->host_id, &vr_verb_storage_domain_attach, params, 0, attached);
}

static void activated(struct vr_job_run *run, const void *result, int code, const char *message)
    VR_REQUIRES(vr_role_engine);
static void activated(struct vr_job_run *run, const void *result, int code, const char *message)
{
    if (code != 0)
        storage_job_fail(run, "StorageDomain.activate", code, message);
    else
        vr_job_done(run);
}

static void activate(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
static void activate(struct vr_job_run *run)
{
    const struct vr_storage_job_context *context = run->context;
    if (VR_GET(context, first, false)) {
        vr_job_done(run); /* the master is active with the pool */
        return;
    }
    vr_auto struct vr_rpc_storage_domain_activate_params *params =
        VR_NEW(rpc_storage_domain_activate_params);
    VR_SET_STRING(params, storagedomain_id, context->domain_id);
    VR_SET_STRING(params, storagepool_id, context->data_center_id);
    vr_job_call(run, context->host_id, &vr_verb_storage_domain_activate, params, 0, activated);
}

static void others_connected(struct vr_engine *engine, const char *host_id,
                             const char *unreachable, void *arg)
{
    if (unreachable)
        vr_log_warning("Host %s does not reach the new domain: %s", host_id, unreachable);
}

struct news {
    char *data_center_id, *but;
};

static void news_free(void *data)
{
    struct news *news = data;
    g_free(news->data_center_id);
    g_free(news->but);
    g_free(news);
}

static void tell_others(struct vr_engine *engine, void *arg) VR_REQUIRES(vr_role_engine);
static void tell_others(struct vr_engine *engine, void *arg)
{
    const struct news *news = arg;
    vr_auto_objects struct vr_objects hosts = { 0 };
    vr_inventory_list(vr_engine_head(engine), VR_KIND_HOST, &hosts);
    VR_OBJECTS (struct vr_host, host, &hosts) {
        const struct vr_data_center *dc = vr_hosts_data_center(engine, host);
        if (dc && strcmp(dc->id, news->data_center_id) == 0 && strcmp(host->id, news->but) != 0 &&
            VR_GET(host, status, VR_HOST_STATUS_UNASSIGNED) == VR_HOST_STATUS_UP)
            vr_storage_connect_host(engine, host->id, others_connected, NULL);
    }
}

/* Hosts of the data centre that are up learn of the domain; they do not hold up the job.  Not before
 * its last change is committed: until then the domain is not one to connect to. */
static void tell_others_soon(struct vr_engine *engine, const char *data_center_id, const char *but)
    VR_REQUIRES(vr_role_engine);
static void tell_others_soon(struct vr_engine *engine, const char *data_center_id, const char *but)
{
    struct news *news = g_new0(struct news, 1);
    news->data_center_id = g_strdup(data_center_id);
    news->but = g_strdup(but);
    vr_engine_after_with(engine, 0, tell_others, news, news_free);
}

static void make_active(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
static void make_active(struct vr_job_run *run)
{
    const struct vr_storage_job_context *context = run->context;
    struct vr_storage_domain *domain = storage_job_edit(run);
    VR_SET(domain, pool_status, VR_STORAGE_DOMAIN_STATUS_ACTIVE);
    VR_CLEAR(domain, status);
    VR_SET(VR_EDIT(run->txn, DATA_CENTER, data_center, context->data_center_id), status,
           VR_DATA_CENTER_STATUS_UP);
    vr_event_add(run->txn, VR_EVENT_USER_ACTIVATED_STORAGE_DOMAIN,
                 &(struct vr_event_about){ .user = vr_job_user(run),
                                           .storage_domain = domain,
                                           .data_center = storage_job_center(run),
                                           .correlation_id = run->correlation_id },
                 NULL);
    tell_others_soon(run->engine, context->data_center_id, context->host_id);
    storage_ask_sizes(run->engine, context->data_center_id, context->host_id);
}

static void attach_ended(struct vr_job_run *run, bool failed, const struct vr_error *error)
    VR_REQUIRES(vr_role_engine);
static void attach_ended(struct vr_job_run *run, bool failed, const struct vr_error *error)
{
    const struct vr_storage_job_context *context = run->context;
    struct vr_storage_domain *domain = storage_job_peek(run) ? storage_job_edit(run) : NULL;
    if (!domain)
        return;
    if (!failed) {
        make_active(run);
        return;
    }
    const struct vr_data_center *dc =
        vr_txn_peek(run->txn, VR_KIND_DATA_CENTER, context->data_center_id);
    if (dc && VR_GET(dc, pool_created, false) &&
        g_strcmp0(VR_LINK_ID(dc, master_storage_domain), domain->id) == 0) {
        /* The pool was made with it: it is attached, and can be activated later. */
        VR_SET(domain, pool_status, VR_STORAGE_DOMAIN_STATUS_INACTIVE);
        return;
    }
    VR_CLEAR(domain, data_center);
    VR_CLEAR(domain, pool_status);
    VR_SET(domain, status, VR_STORAGE_DOMAIN_STATUS_UNATTACHED);
}

static const struct vr_job_step attach_steps[] = {
    { "connect", storage_connect_server, NULL }, { "create pool", create_pool, NULL },
    { "connect pool", connect_pool, NULL }, { "start SPM", start_spm, NULL },
    { "attach", attach, NULL },          { "activate", activate, NULL },
};
const struct vr_job_type vr_job_attach_storage_domain = { .name = "AttachStorageDomain",
                                                          .context = &vr_type_storage_job_context,
                                                          .steps = attach_steps,
                                                          .step_count = G_N_ELEMENTS(attach_steps),
                                                          .ended = attach_ended };

static void activate_ended(struct vr_job_run *run, bool failed, const struct vr_error *error)
    VR_REQUIRES(vr_role_engine);
static void activate_ended(struct vr_job_run *run, bool failed, const struct vr_error *error)
{
    if (!storage_job_peek(run))
        return;
    if (failed)
        VR_SET(storage_job_edit(run), pool_status, VR_STORAGE_DOMAIN_STATUS_INACTIVE);
    else
        make_active(run);
}

static const struct vr_job_step activate_steps[] = {
    { "connect", storage_connect_server, NULL },
    { "connect pool", connect_pool, NULL },
    { "start SPM", start_spm, NULL },
    { "activate", activate, NULL },
};
const struct vr_job_type vr_job_activate_storage_domain = {
    .name = "ActivateStorageDomain",
    .context = &vr_type_storage_job_context,
    .steps = activate_steps,
    .step_count = G_N_ELEMENTS(activate_steps),
    .ended = activate_ended,
};

/* --- deactivating and detaching --- */

static void spm_stopped(struct vr_job_run *run, const void *result, int code, const char *message)
    VR_REQUIRES(vr_role_engine);
static void spm_stopped(struct vr_job_run *run, const void *result, int code, const char *message)
{
    const struct vr_storage_job_context *context = run->context;
    if (code != 0 && code != 654) { /* 654: it is not the SPM any more */
        storage_job_fail(run, "StoragePool.spmStop", code, message);
        return;
    }
    struct vr_data_center *dc = VR_EDIT(run->txn, DATA_CENTER, data_center, context->data_center_id);
    struct vr_host *host = VR_EDIT(run->txn, HOST, host, context->host_id);
    VR_CLEAR(dc, spm_host);
    VR_SET(dc, status, VR_DATA_CENTER_STATUS_MAINTENANCE);
    if (host && host->spm)
        VR_SET(host->spm, status, VR_SPM_STATUS_NONE);
    vr_job_done(run);
}

static void deactivated(struct vr_job_run *run, const void *result, int code, const char *message)
    VR_REQUIRES(vr_role_engine);
static void deactivated(struct vr_job_run *run, const void *result, int code, const char *message)
{
    if (code != 0)
        storage_job_fail(run, "StorageDomain.deactivate", code, message);
    else
        vr_job_done(run);
}

/* The last domain goes with the pool's activity; another one is deactivated by the SPM. */
static void deactivate(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
static void deactivate(struct vr_job_run *run)
{
    const struct vr_storage_job_context *context = run->context;
    if (VR_GET(context, first, false)) {
        vr_auto struct vr_rpc_storage_pool_spm_stop_params *stop =
            VR_NEW(rpc_storage_pool_spm_stop_params);
        VR_SET_STRING(stop, storagepool_id, context->data_center_id);
        vr_job_call(run, context->host_id, &vr_verb_storage_pool_spm_stop, stop, 0, spm_stopped);
        return;
    }
    vr_auto struct vr_rpc_storage_domain_deactivate_params *params =
        VR_NEW(rpc_storage_domain_deactivate_params);
    VR_SET_STRING(params, storagedomain_id, context->domain_id);
    VR_SET_STRING(params, storagepool_id, context->data_center_id);
    VR_SET_STRING(params, master_sd_uuid, VR_UUID_ZERO);
    VR_SET(params, master_version, 0);
    vr_job_call(run, context->host_id, &vr_verb_storage_domain_deactivate, params, 0, deactivated);
}

static void all_left(struct vr_engine *engine, void *arg) VR_REQUIRES(vr_role_engine);
static void all_left(struct vr_engine *engine, void *arg)
{
    vr_job_done(arg);
}

/* While the job holds the domain: who activates it must not meet a host that is on its way out. */
static void leave(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
static void leave(struct vr_job_run *run)
{
    const struct vr_storage_job_context *context = run->context;
    storage_leave(run->engine, context->domain_id, context->host_id, VR_GET(context, first, false),
                  all_left, run);
}

static void in_maintenance(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
static void in_maintenance(struct vr_job_run *run)
{
    struct vr_storage_domain *domain = storage_job_edit(run);
    VR_SET(domain, pool_status, VR_STORAGE_DOMAIN_STATUS_MAINTENANCE);
    vr_event_add(run->txn, VR_EVENT_USER_DEACTIVATED_STORAGE_DOMAIN,
                 &(struct vr_event_about){ .user = vr_job_user(run),
                                           .storage_domain = domain,
                                           .data_center = storage_job_center(run),
                                           .correlation_id = run->correlation_id },
                 NULL);
}

static void deactivate_ended(struct vr_job_run *run, bool failed, const struct vr_error *error)
    VR_REQUIRES(vr_role_engine);
static void deactivate_ended(struct vr_job_run *run, bool failed, const struct vr_error *error)
{
    if (!storage_job_peek(run))
        return;
    if (failed)
        VR_SET(storage_job_edit(run), pool_status, VR_STORAGE_DOMAIN_STATUS_ACTIVE);
    else
        in_maintenance(run);
}

static const struct vr_job_step deactivate_steps[] = {
    { "deactivate", deactivate, NULL },
    { "disconnect hosts", leave, NULL },
};
const struct vr_job_type vr_job_deactivate_storage_domain = {
    .name = "DeactivateStorageDomain",
    .context = &vr_type_storage_job_context,
    .steps = deactivate_steps,
    .step_count = G_N_ELEMENTS(deactivate_steps),
    .ended = deactivate_ended,
};

static void detached(struct vr_job_run *run, const void *result, int code, const char *message)
    VR_REQUIRES(vr_role_engine);
static void detached(struct vr_job_run *run, const void *result, int code, const char *message)
{
    if (code != 0 && code != CODE_NOT_ATTACHED)
        storage_job_fail(run, "StorageDomain.detach", code, message);
    else
        vr_job_done(run);
}

static void detach(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
static void detach(struct vr_job_run *run)
{
    const struct vr_storage_job_context *context = run->context;
    if (VR_GET(context, first, false)) {
        vr_auto struct vr_rpc_storage_pool_destroy_params *destroy =
            VR_NEW(rpc_storage_pool_destroy_params);
        const struct vr_host *host = vr_txn_peek(run->txn, VR_KIND_HOST, context->host_id);
        VR_SET_STRING(destroy, storagepool_id, context->data_center_id);
        VR_SET(destroy, host_id, host ? VR_GET(host, host_id, 1) : 1);
        VR_SET_STRING(destroy, scsi_key, context->data_center_id);
        vr_job_call(run, context->host_id, &vr_verb_storage_pool_destroy, destroy, 0, detached);
        return;
    }
    vr_auto struct vr_rpc_storage_domain_detach_params *params =
        VR_NEW(rpc_storage_domain_detach_params);
    VR_SET_STRING(params, storagedomain_id, context->domain_id);
    VR_SET_STRING(params, storagepool_id, context->data_center_id);
    VR_SET_STRING(params, master_sd_uuid, VR_UUID_ZERO);
    VR_SET(params, master_version, 0);
    VR_SET(params, force, false);
    vr_job_call(run, context->host_id, &vr_verb_storage_domain_detach, params, 0, detached);
}

static void unattached(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
static void unattached(struct vr_job_run *run)
{
    const struct vr_storage_job_context *context = run->context;
    struct vr_storage_domain *domain = storage_job_edit(run);
    VR_CLEAR(domain, data_center);
    VR_CLEAR(domain, pool_status);
    VR_SET(domain, status, VR_STORAGE_DOMAIN_STATUS_UNATTACHED);
    VR_SET(domain, master, false);
    if (VR_GET(context, first, false)) {
        struct vr_data_center *dc =
            VR_EDIT(run->txn, DATA_CENTER, data_center, context->data_center_id);
        struct vr_host *host = VR_EDIT(run->txn, HOST, host, context->host_id);
        VR_SET(dc, status, VR_DATA_CENTER_STATUS_UNINITIALIZED);
        VR_SET(dc, pool_created, false);
        VR_CLEAR(dc, master_storage_domain);
        VR_CLEAR(dc, master_version);
        VR_CLEAR(dc, spm_host);
        if (host && host->spm)
            VR_SET(host->spm, status, VR_SPM_STATUS_NONE);
    }
    vr_event_add(run->txn, VR_EVENT_USER_DETACH_STORAGE_DOMAIN_FROM_POOL,
                 &(struct vr_event_about){ .user = vr_job_user(run),
                                           .storage_domain = domain,
                                           .data_center = storage_job_center(run),
                                           .correlation_id = run->correlation_id },
                 NULL);
}

static void detach_ended(struct vr_job_run *run, bool failed, const struct vr_error *error)
    VR_REQUIRES(vr_role_engine);
static void detach_ended(struct vr_job_run *run, bool failed, const struct vr_error *error)
{
    if (!storage_job_peek(run))
        return;
    if (failed)
        VR_SET(storage_job_edit(run), pool_status, VR_STORAGE_DOMAIN_STATUS_MAINTENANCE);
    else
        unattached(run);
}

static const struct vr_job_step detach_steps[] = {
    { "connect", storage_connect_server, NULL }, { "connect pool", connect_pool, NULL },
    { "start SPM", start_spm, NULL },    { "detach", detach, NULL },
};
const struct vr_job_type vr_job_detach_storage_domain = { .name = "DetachStorageDomain",
                                                          .context = &vr_type_storage_job_context,
                                                          .steps = detach_steps,
                                                          .step_count = G_N_ELEMENTS(detach_steps),
                                                          .ended = detach_ended };
