/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "storage"
#include "manager/storage/internal.h"

/* A host that comes up is connected to every storage server of its data centre's domains, then to
 * the pool; where there is no SPM, it becomes one (facts/manager-behaviour.md 1.3, step 5). */

struct link {
    struct vr_engine *engine;
    char *host_id, *data_center_id;
    GPtrArray *domains; /* ids still to be connected */
    GString *unreachable;
    vr_storage_ready *done;
    void *arg;
};

static void next(struct link *link) VR_REQUIRES(vr_role_engine);

static bool is_unfit(struct link *link) VR_REQUIRES(vr_role_engine);
static bool is_unfit(struct link *link)
{
    const struct vr_host *host = VR_PEEK(vr_engine_head(link->engine), HOST, host, link->host_id);
    return host && VR_GET(host, status, VR_HOST_STATUS_UNASSIGNED) == VR_HOST_STATUS_NON_OPERATIONAL;
}

/* An SPM that still does not reach its storage, while another host does. */
static void pass_role_on(struct link *link) VR_REQUIRES(vr_role_engine);
static void pass_role_on(struct link *link)
{
    const struct vr_data_center *dc =
        VR_PEEK(vr_engine_head(link->engine), DATA_CENTER, data_center, link->data_center_id);
    if (dc && g_strcmp0(VR_LINK_ID(dc, spm_host), link->host_id) == 0 && is_unfit(link) &&
        vr_hosts_pick(link->engine, dc->id))
        spm_give_back(link->engine, link->data_center_id, link->host_id);
}

static void answer(struct link *link) VR_REQUIRES(vr_role_engine);
static void answer(struct link *link)
{
    if (link->unreachable->len)
        pass_role_on(link);
    link->done(link->engine, link->host_id, link->unreachable->len ? link->unreachable->str : NULL,
               link->arg);
    g_ptr_array_unref(link->domains);
    g_string_free(link->unreachable, TRUE);
    g_free(link->host_id);
    g_free(link->data_center_id);
    g_free(link);
}

static void blame(struct link *link, const char *what, const char *why)
{
    g_string_append_printf(link->unreachable, "%s%s%s%s", link->unreachable->len ? ", " : "", what,
                           why ? ": " : "", why ? why : "");
}

static void nothing(struct vr_engine *engine, void *arg) VR_REQUIRES(vr_role_engine);
static void nothing(struct vr_engine *engine, void *arg)
{
    answer(arg);
}

static void spm_ready(struct vr_engine *engine, bool ok, const char *why, void *arg)
    VR_REQUIRES(vr_role_engine);
static void spm_ready(struct vr_engine *engine, bool ok, const char *why, void *arg)
{
    struct link *link = arg;
    if (!ok)
        vr_log_warning("Host %s did not become SPM: %s", link->host_id, why ? why : "");
    answer(link);
}

static void pool_answer(struct vr_engine *engine, const void *result, int code,
                        const char *message, void *arg) VR_REQUIRES(vr_role_engine);
static void pool_answer(struct vr_engine *engine, const void *result, int code,
                        const char *message, void *arg)
{
    struct link *link = arg;
    const struct vr_data_center *dc =
        VR_PEEK(vr_engine_head(engine), DATA_CENTER, data_center, link->data_center_id);
    if (code != 0)
        blame(link, "the data center's pool", message);
    const char *spm = dc ? VR_LINK_ID(dc, spm_host) : NULL;
    bool mine = spm && strcmp(spm, link->host_id) == 0;
    /* One that is not fit takes the role when it is up again, if nobody has it then. */
    if (code == 0 && dc && ((!spm && !is_unfit(link)) || mine))
        spm_start(engine, dc->id, link->host_id, spm_ready, link);
    else
        answer(link);
}

static void connect_pool(struct link *link) VR_REQUIRES(vr_role_engine);
static void connect_pool(struct link *link)
{
    struct vr_inventory *head = vr_engine_head(link->engine);
    const struct vr_data_center *dc = VR_PEEK(head, DATA_CENTER, data_center, link->data_center_id);
    const struct vr_host *host = VR_PEEK(head, HOST, host, link->host_id);
    vr_auto struct vr_rpc_storage_pool_connect_params *params =
        dc && host ? pool_params(NULL, link->engine, dc, host) : NULL;
    if (!params || link->unreachable->len)
        answer(link);
    else
        vr_engine_host_call(link->engine, link->host_id, &vr_verb_storage_pool_connect, params, 0,
                            NULL, pool_answer, link);
}

static void server_answer(struct vr_engine *engine, const void *result, int code,
                          const char *message, void *arg) VR_REQUIRES(vr_role_engine);
static void server_answer(struct vr_engine *engine, const void *result, int code,
                          const char *message, void *arg)
{
    struct link *link = arg;
    g_autofree char *id = g_ptr_array_steal_index(link->domains, link->domains->len - 1);
    const struct vr_storage_domain *domain =
        VR_PEEK(vr_engine_head(engine), STORAGE_DOMAIN, storage_domain, id);
    int status = code ? code : connect_status(result);
    if (status != 0 && domain) {
        g_autofree char *why = g_strdup_printf("%s (%d)", message ? message : "storage error", status);
        blame(link, domain->name, why);
    }
    next(link);
}

static void next(struct link *link)
{
    struct vr_inventory *head = vr_engine_head(link->engine);
    while (link->domains->len > 0) {
        const char *id = link->domains->pdata[link->domains->len - 1];
        const struct vr_storage_domain *domain = VR_PEEK(head, STORAGE_DOMAIN, storage_domain, id);
        if (!domain || !domain->storage) {
            g_free(g_ptr_array_steal_index(link->domains, link->domains->len - 1));
            continue;
        }
        vr_auto struct vr_rpc_storage_pool_connect_storage_server_params *params =
            connect_params(link->data_center_id, domain);
        vr_engine_host_call(link->engine, link->host_id,
                            &vr_verb_storage_pool_connect_storage_server, params, 0, NULL,
                            server_answer, link);
        return;
    }
    connect_pool(link);
}

static bool wanted(const struct vr_storage_domain *domain)
{
    switch (VR_GET(domain, pool_status, VR_STORAGE_DOMAIN_STATUS_UNKNOWN)) {
    case VR_STORAGE_DOMAIN_STATUS_ACTIVE:
    case VR_STORAGE_DOMAIN_STATUS_INACTIVE:
    case VR_STORAGE_DOMAIN_STATUS_ACTIVATING:
        return true;
    default:
        return false;
    }
}

void vr_storage_connect_host(struct vr_engine *engine, const char *host_id, vr_storage_ready *done,
                             void *arg)
{
    struct vr_inventory *head = vr_engine_head(engine);
    const struct vr_host *host = VR_PEEK(head, HOST, host, host_id);
    const struct vr_data_center *dc = host ? vr_hosts_data_center(engine, host) : NULL;
    struct link *link = g_new0(struct link, 1);
    link->engine = engine;
    link->host_id = g_strdup(host_id);
    link->data_center_id = g_strdup(dc ? dc->id : VR_UUID_ZERO);
    link->domains = g_ptr_array_new_with_free_func(g_free);
    link->unreachable = g_string_new(NULL);
    link->done = done;
    link->arg = arg;
    if (dc && VR_GET(dc, pool_created, false) &&
        VR_GET(dc, status, VR_DATA_CENTER_STATUS_UNINITIALIZED) !=
            VR_DATA_CENTER_STATUS_MAINTENANCE) {
        vr_auto_objects struct vr_objects domains = { 0 };
        vr_inventory_list_by(head, VR_KIND_STORAGE_DOMAIN, "data_center", dc->id, &domains);
        VR_OBJECTS (struct vr_storage_domain, domain, &domains)
            if (wanted(domain))
                g_ptr_array_add(link->domains, g_strdup(domain->id));
    }
    if (link->domains->len > 0)
        next(link);
    else
        vr_engine_after(engine, 0, nothing, link); /* never from inside */
}

/* --- leaving --- */

static void left(struct vr_engine *engine, const void *result, int code, const char *message,
                 void *arg)
{
}

static void disconnect_pool(struct vr_engine *engine, const char *data_center_id,
                            const char *host_id) VR_REQUIRES(vr_role_engine);
static void disconnect_pool(struct vr_engine *engine, const char *data_center_id,
                            const char *host_id)
{
    const struct vr_host *host = VR_PEEK(vr_engine_head(engine), HOST, host, host_id);
    vr_auto struct vr_rpc_storage_pool_disconnect_params *params =
        pool_disconnect_params(data_center_id, host);
    vr_engine_host_call(engine, host_id, &vr_verb_storage_pool_disconnect, params, 0, NULL, left,
                        NULL);
}

void vr_storage_disconnect_host(struct vr_engine *engine, const char *host_id)
{
    struct vr_inventory *head = vr_engine_head(engine);
    const struct vr_host *host = VR_PEEK(head, HOST, host, host_id);
    const struct vr_data_center *dc = host ? vr_hosts_data_center(engine, host) : NULL;
    if (!dc || !VR_GET(dc, pool_created, false))
        return;
    g_autofree char *dc_id = g_strdup(dc->id);
    if (g_strcmp0(VR_LINK_ID(dc, spm_host), host_id) == 0) {
        vr_auto struct vr_rpc_storage_pool_spm_stop_params *params =
            VR_NEW(rpc_storage_pool_spm_stop_params);
        VR_SET_STRING(params, storagepool_id, dc->id);
        vr_engine_host_call(engine, host_id, &vr_verb_storage_pool_spm_stop, params, 0, NULL, left,
                            NULL);
        struct vr_txn *txn = vr_txn_new(engine);
        struct vr_data_center *edit = VR_EDIT(txn, DATA_CENTER, data_center, dc_id);
        VR_CLEAR(edit, spm_host);
        VR_SET(edit, status, VR_DATA_CENTER_STATUS_NOT_OPERATIONAL);
        vr_txn_commit(txn, NULL, NULL);
    }
    disconnect_pool(engine, dc_id, host_id);
}

void vr_storage_host_gone(struct vr_engine *engine, const char *host_id)
{
    struct vr_inventory *head = vr_engine_head(engine);
    const struct vr_host *host = VR_PEEK(head, HOST, host, host_id);
    const struct vr_data_center *dc = host ? vr_hosts_data_center(engine, host) : NULL;
    if (!dc || g_strcmp0(VR_LINK_ID(dc, spm_host), host_id) != 0)
        return;
    /* It keeps the role on paper: nobody else takes it while it may still act. */
    struct vr_txn *txn = vr_txn_new(engine);
    VR_SET(VR_EDIT(txn, DATA_CENTER, data_center, dc->id), status,
           VR_DATA_CENTER_STATUS_NOT_OPERATIONAL);
    vr_txn_commit(txn, NULL, NULL);
}

static void elect_another(struct vr_engine *engine, void *arg) VR_REQUIRES(vr_role_engine);
static void elect_another(struct vr_engine *engine, void *arg)
{
    spm_elect(engine, arg);
}

void vr_storage_host_dead(struct vr_txn *txn, const char *host_id)
{
    struct vr_engine *engine = vr_txn_engine(txn);
    const struct vr_host *host = vr_txn_peek(txn, VR_KIND_HOST, host_id);
    const struct vr_data_center *dc = host ? vr_hosts_data_center(engine, host) : NULL;
    if (!dc || g_strcmp0(VR_LINK_ID(dc, spm_host), host_id) != 0)
        return;
    struct vr_data_center *edit = VR_EDIT(txn, DATA_CENTER, data_center, dc->id);
    VR_CLEAR(edit, spm_host);
    VR_SET(edit, status, VR_DATA_CENTER_STATUS_NOT_OPERATIONAL);
    struct vr_host *dead = VR_EDIT(txn, HOST, host, host_id);
    VR_SET(VR_SUB(dead, spm, spm), status, VR_SPM_STATUS_NONE);
    /* After the caller's commit: whoever is elected must find the role free. */
    vr_engine_after_with(engine, 0, elect_another, g_strdup(dc->id), g_free);
}
