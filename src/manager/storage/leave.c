/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "storage"
#include "manager/storage/internal.h"

/*
 * A domain that goes into maintenance is let go of by every host of its data
 * centre that is up (facts/manager-behaviour.md 5.5):
 *
 *     another one        StoragePool.connect, with a list in which it is not active (the SPM knows)
 *     the last one       StoragePool.disconnect
 *     then, of both      StoragePool.disconnectStorageServer, unless another domain is there too
 *
 * All hosts at a time.  One that does not do it holds nothing up: it is told what is active when it
 * comes up again, and a mount that stays does no harm.
 */

#define HOST_MS (60 * 1000) /* for each call */

struct leave {
    struct vr_engine *engine;
    char *data_center_id, *domain_id;
    bool last, shared;
    unsigned hosts; /* that have not ended */
    vr_timer_fn *done;
    void *arg;
};

struct leaver {
    struct leave *leave;
    char *host_id;
    bool is_spm;
};

static void leave_end(struct vr_engine *engine, void *arg) VR_REQUIRES(vr_role_engine);
static void leave_end(struct vr_engine *engine, void *arg)
{
    struct leave *leave = arg;
    if (--leave->hosts > 0)
        return;
    leave->done(engine, leave->arg);
    g_free(leave->data_center_id);
    g_free(leave->domain_id);
    g_free(leave);
}

static void leaver_end(struct leaver *leaver, int code, const char *message)
    VR_REQUIRES(vr_role_engine);
static void leaver_end(struct leaver *leaver, int code, const char *message)
{
    struct leave *leave = leaver->leave;
    if (code != 0)
        vr_log_warning("Host %s does not let go of storage domain %s: %s (%d)", leaver->host_id,
                       leave->domain_id, message ? message : "storage error", code);
    g_free(leaver->host_id);
    g_free(leaver);
    leave_end(leave->engine, leave);
}

static void server_answer(struct vr_engine *engine, const void *result, int code,
                          const char *message, void *arg) VR_REQUIRES(vr_role_engine);
static void server_answer(struct vr_engine *engine, const void *result, int code,
                          const char *message, void *arg)
{
    leaver_end(arg, code, message);
}

static void leave_server(struct leaver *leaver) VR_REQUIRES(vr_role_engine);
static void leave_server(struct leaver *leaver)
{
    struct leave *leave = leaver->leave;
    const struct vr_storage_domain *domain = VR_PEEK(vr_engine_head(leave->engine), STORAGE_DOMAIN,
                                                     storage_domain, leave->domain_id);
    if (!domain || !domain->storage || leave->shared) {
        leaver_end(leaver, 0, NULL);
        return;
    }
    vr_auto struct vr_rpc_storage_pool_disconnect_storage_server_params *params =
        disconnect_params(leave->data_center_id, domain);
    vr_engine_host_call(leave->engine, leaver->host_id,
                        &vr_verb_storage_pool_disconnect_storage_server, params, HOST_MS, NULL,
                        server_answer, leaver);
}

static void pool_answer(struct vr_engine *engine, const void *result, int code,
                        const char *message, void *arg) VR_REQUIRES(vr_role_engine);
static void pool_answer(struct vr_engine *engine, const void *result, int code,
                        const char *message, void *arg)
{
    if (code != 0) /* it may still be at work there: its mount is not taken away */
        leaver_end(arg, code, message);
    else
        leave_server(arg);
}

/* A timer's function, so that a host that is expected is waited for: after a start of the Manager. */
static void leave_pool(struct vr_engine *engine, void *arg) VR_REQUIRES(vr_role_engine);
static void leave_pool(struct vr_engine *engine, void *arg)
{
    struct leaver *leaver = arg;
    const char *dc_id = leaver->leave->data_center_id;
    struct vr_inventory *head = vr_engine_head(engine);
    const struct vr_data_center *dc = VR_PEEK(head, DATA_CENTER, data_center, dc_id);
    const struct vr_host *host = VR_PEEK(head, HOST, host, leaver->host_id);
    if (!dc || !host) {
        leaver_end(leaver, 0, NULL);
    } else if (leaver->leave->last) {
        vr_auto struct vr_rpc_storage_pool_disconnect_params *params =
            pool_disconnect_params(dc_id, host);
        vr_engine_host_call(engine, host->id, &vr_verb_storage_pool_disconnect, params, HOST_MS,
                            NULL, pool_answer, leaver);
    } else if (leaver->is_spm) {
        leave_server(leaver);
    } else {
        vr_auto struct vr_rpc_storage_pool_connect_params *params =
            pool_params(NULL, engine, dc, host);
        if (params)
            vr_engine_host_call(engine, host->id, &vr_verb_storage_pool_connect, params, HOST_MS,
                                NULL, pool_answer, leaver);
        else
            leaver_end(leaver, 0, NULL);
    }
}

/* Whether another domain that hosts may be at work on lies at the same place: they share a mount. */
static bool is_shared(struct vr_inventory *head, const struct vr_storage_domain *domain)
    VR_REQUIRES(vr_role_engine);
static bool is_shared(struct vr_inventory *head, const struct vr_storage_domain *domain)
{
    g_autofree char *place = connection_text(domain->storage);
    vr_auto_objects struct vr_objects all = { 0 };
    vr_inventory_list(head, VR_KIND_STORAGE_DOMAIN, &all);
    VR_OBJECTS (struct vr_storage_domain, other, &all) {
        bool attached = g_strcmp0(VR_LINK_ID(other, data_center), VR_LINK_ID(domain, data_center)) == 0 &&
                        VR_GET(other, pool_status, VR_STORAGE_DOMAIN_STATUS_UNKNOWN) !=
                            VR_STORAGE_DOMAIN_STATUS_MAINTENANCE;
        if (strcmp(other->id, domain->id) == 0 || !other->storage ||
            (!attached && !VR_LINK_ID(other, job)))
            continue;
        g_autofree char *there = connection_text(other->storage);
        if (strcmp(place, there) == 0)
            return true;
    }
    return false;
}

void storage_leave(struct vr_engine *engine, const char *domain_id, const char *spm_host_id,
                   bool last, vr_timer_fn *done, void *arg)
{
    struct vr_inventory *head = vr_engine_head(engine);
    const struct vr_storage_domain *domain =
        VR_PEEK(head, STORAGE_DOMAIN, storage_domain, domain_id);
    struct leave *leave = g_new0(struct leave, 1);
    *leave = (struct leave){ .engine = engine,
                             .data_center_id = g_strdup(domain ? VR_LINK_ID(domain, data_center) : NULL),
                             .domain_id = g_strdup(domain_id),
                             .last = last,
                             .shared = domain && domain->storage && is_shared(head, domain),
                             .hosts = 1, /* until all were asked */
                             .done = done,
                             .arg = arg };
    vr_auto_objects struct vr_objects hosts = { 0 };
    vr_inventory_list(head, VR_KIND_HOST, &hosts);
    VR_OBJECTS (struct vr_host, host, &hosts) {
        const struct vr_data_center *dc = vr_hosts_data_center(engine, host);
        if (!dc || g_strcmp0(dc->id, leave->data_center_id) != 0 ||
            VR_GET(host, status, VR_HOST_STATUS_UNASSIGNED) != VR_HOST_STATUS_UP)
            continue;
        struct leaver *leaver = g_new(struct leaver, 1);
        *leaver = (struct leaver){ leave, g_strdup(host->id), strcmp(host->id, spm_host_id) == 0 };
        leave->hosts++;
        if (!vr_engine_host_wait(engine, leaver->host_id, leave_pool, leaver))
            leave_pool(engine, leaver);
    }
    vr_engine_after(engine, 0, leave_end, leave); /* never from inside */
}
