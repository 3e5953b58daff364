/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "storage"
#include "manager/storage/internal.h"

#include "manager/rest/view.h"
#include "manager/storage/view.h"

/*
 * What up hosts report of their domains (facts/manager-behaviour.md 5.3), and
 * the sizes that the SPM knows.  Sizes change with every write of a guest:
 * they are kept beside the entities, never committed.
 */

#define CODE_NO_ACCESS 200           /* facts/host-rpc.md 5 */
#define CODE_DOMAIN_MISSING 358
/* A host that was silent for so long is heard anew; longer than one of its answers is waited for. */
#define AWAY_MS (5 * 60 * 1000)

struct watch {
    struct vr_engine *engine;
    GHashTable *trouble; /* domain id → struct trouble * */
    GHashTable *free;    /* domain id → int64_t *: bytes */
    GHashTable *joined;  /* host id → int64_t *: when it was last connected anew, monotonic ms */
};

/* --- sizes --- */

static void info_answer(struct vr_engine *engine, const void *result, int code,
                        const char *message, void *arg) VR_REQUIRES(vr_role_engine);
static void info_answer(struct vr_engine *engine, const void *result, int code,
                        const char *message, void *arg)
{
    struct watch *watch = vr_engine_module(engine, &vr_storage_module);
    const struct vr_rpc_storage_pool_full_info *info = result;
    struct vr_world *world = vr_engine_world(engine);
    for (unsigned i = 0; code == 0 && i < info->dominfo.len; i++) {
        const struct vr_rpc_storage_pool_domain_info *domain = info->dominfo.values[i];
        int64_t total = domain->disktotal ? g_ascii_strtoll(domain->disktotal, NULL, 10) : -1;
        int64_t free = domain->diskfree ? g_ascii_strtoll(domain->diskfree, NULL, 10) : -1;
        if (total < 0 || free < 0 || free > total)
            continue;
        vr_auto struct vr_storage_domain *sizes = VR_NEW(storage_domain);
        VR_SET(sizes, available, free);
        VR_SET(sizes, used, total - free);
        world->ops->statistics(world, VR_KIND_STORAGE_DOMAIN, info->dominfo.keys[i], sizes);
        g_hash_table_replace(watch->free, g_strdup(info->dominfo.keys[i]),
                             g_memdup2(&free, sizeof(free)));
    }
}

int64_t vr_storage_available(struct vr_engine *engine, const char *domain_id)
{
    const struct watch *watch = vr_engine_module(engine, &vr_storage_module);
    const int64_t *free = g_hash_table_lookup(watch->free, domain_id);
    return free ? *free : INT64_MAX;
}

void storage_ask_sizes(struct vr_engine *engine, const char *data_center_id, const char *host_id)
{
    vr_auto struct vr_rpc_storage_pool_get_info_params *params =
        VR_NEW(rpc_storage_pool_get_info_params);
    VR_SET_STRING(params, storagepool_id, data_center_id);
    vr_engine_host_call(engine, host_id, &vr_verb_storage_pool_get_info, params, 0, NULL,
                        info_answer, NULL);
}

/* --- trouble --- */

/* A domain that some hosts do not reach. */
struct trouble {
    int64_t since;     /* monotonic ms */
    GHashTable *hosts; /* host id → int64_t *: its latest complaint, monotonic ms */
};

static void trouble_free(void *pointer)
{
    struct trouble *trouble = pointer;
    g_hash_table_destroy(trouble->hosts);
    g_free(trouble);
}

/* What is not checked yet says nothing; what is not reported is not well (facts/manager-behaviour.md
 * 5.3). */
static bool is_actual(const struct vr_rpc_storage_domain_vitals *vitals)
{
    return !vitals || VR_GET(vitals, actual, true);
}

static bool is_well(struct vr_engine *engine, const struct vr_rpc_storage_domain_vitals *vitals)
{
    if (!vitals)
        return false;
    double last = vitals->last_check ? g_ascii_strtod(vitals->last_check, NULL) : 0;
    return VR_GET(vitals, code, 0) == 0 &&
           last <= (double)vr_engine_config(engine)->MaxStorageVdsTimeoutCheckSec;
}

static void set_pool_status(struct vr_engine *engine, const char *domain_id,
                            enum vr_storage_domain_status status, enum vr_event_code event)
    VR_REQUIRES(vr_role_engine);
static void set_pool_status(struct vr_engine *engine, const char *domain_id,
                            enum vr_storage_domain_status status, enum vr_event_code event)
{
    struct vr_txn *txn = vr_txn_new(engine);
    struct vr_storage_domain *domain = VR_EDIT(txn, STORAGE_DOMAIN, storage_domain, domain_id);
    VR_SET(domain, pool_status, status);
    vr_event_add(txn, event, &(struct vr_event_about){ .storage_domain = domain }, NULL);
    vr_txn_commit(txn, NULL, NULL);
}

/* The time is over: what no host reaches is out of order; what some reach is, and the others are not
 * fit to run machines. */
static void blame(struct watch *watch, const struct vr_storage_domain *domain,
                  const struct trouble *trouble) VR_REQUIRES(vr_role_engine);
static void blame(struct watch *watch, const struct vr_storage_domain *domain,
                  const struct trouble *trouble)
{
    struct vr_engine *engine = watch->engine;
    const char *center = VR_LINK_ID(domain, data_center);
    g_autoptr(GPtrArray) complaining = g_ptr_array_new();
    g_autofree char *spm = NULL; /* when it is one of them */
    bool all = true;
    vr_auto_objects struct vr_objects hosts = { 0 };
    vr_inventory_list(vr_engine_head(engine), VR_KIND_HOST, &hosts);
    VR_OBJECTS (struct vr_host, host, &hosts) {
        const struct vr_data_center *dc = vr_hosts_data_center(engine, host);
        if (!dc || g_strcmp0(dc->id, center) != 0 ||
            VR_GET(host, status, VR_HOST_STATUS_UNASSIGNED) != VR_HOST_STATUS_UP)
            continue;
        if (!g_hash_table_contains(trouble->hosts, host->id)) {
            all = false;
            continue;
        }
        g_ptr_array_add(complaining, host->id);
        if (g_strcmp0(VR_LINK_ID(dc, spm_host), host->id) == 0)
            spm = g_strdup(host->id);
    }
    if (all) {
        set_pool_status(engine, domain->id, VR_STORAGE_DOMAIN_STATUS_INACTIVE,
                        VR_EVENT_SYSTEM_DEACTIVATED_STORAGE_DOMAIN);
        return;
    }
    struct vr_txn *txn = vr_txn_new(engine);
    for (unsigned i = 0; i < complaining->len; i++)
        vr_hosts_set_unfit(txn, complaining->pdata[i], VR_UNFIT_STORAGE, domain->name);
    vr_txn_commit(txn, NULL, NULL);
    if (spm) /* the others go on without it (facts/manager-behaviour.md 5.2, moves) */
        spm_give_back(engine, center, spm);
}

static bool is_up(struct vr_engine *engine, const char *host_id) VR_REQUIRES(vr_role_engine);
static bool is_up(struct vr_engine *engine, const char *host_id)
{
    const struct vr_host *host = VR_PEEK(vr_engine_head(engine), HOST, host, host_id);
    return host && VR_GET(host, status, VR_HOST_STATUS_UNASSIGNED) == VR_HOST_STATUS_UP;
}

static void is_fine(struct watch *watch, const struct vr_storage_domain *domain, const char *host_id)
    VR_REQUIRES(vr_role_engine);
static void is_fine(struct watch *watch, const struct vr_storage_domain *domain, const char *host_id)
{
    const struct trouble *trouble = g_hash_table_lookup(watch->trouble, domain->id);
    if (trouble && g_hash_table_remove(trouble->hosts, host_id) &&
        g_hash_table_size(trouble->hosts) == 0)
        g_hash_table_remove(watch->trouble, domain->id);
    if (VR_GET(domain, pool_status, VR_STORAGE_DOMAIN_STATUS_UNKNOWN) ==
            VR_STORAGE_DOMAIN_STATUS_INACTIVE &&
        !VR_LINK_ID(domain, job))
        set_pool_status(watch->engine, domain->id, VR_STORAGE_DOMAIN_STATUS_ACTIVE,
                        VR_EVENT_USER_ACTIVATED_STORAGE_DOMAIN);
}

/* Hosts that are not up any more, or were away, are not in trouble: nobody hears what became of it.
 * Without them the time of whoever complains next begins anew. */
static void forget_absent(struct watch *watch, struct trouble *trouble, int64_t now)
    VR_REQUIRES(vr_role_engine);
static void forget_absent(struct watch *watch, struct trouble *trouble, int64_t now)
{
    GHashTableIter iter;
    void *id, *last;
    g_hash_table_iter_init(&iter, trouble->hosts);
    while (g_hash_table_iter_next(&iter, &id, &last)) {
        if (!is_up(watch->engine, id) ||
            now - *(const int64_t *)last > AWAY_MS)
            g_hash_table_iter_remove(&iter);
    }
    if (g_hash_table_size(trouble->hosts) == 0)
        trouble->since = now;
}

static void has_trouble(struct watch *watch, const struct vr_storage_domain *domain,
                        const char *host_id) VR_REQUIRES(vr_role_engine);
static void has_trouble(struct watch *watch, const struct vr_storage_domain *domain,
                        const char *host_id)
{
    if (VR_GET(domain, pool_status, VR_STORAGE_DOMAIN_STATUS_UNKNOWN) !=
        VR_STORAGE_DOMAIN_STATUS_ACTIVE) {
        g_hash_table_remove(watch->trouble, domain->id);
        return;
    }
    struct vr_engine *engine = watch->engine;
    int64_t now = vr_engine_monotonic_ms(engine);
    struct trouble *trouble = g_hash_table_lookup(watch->trouble, domain->id);
    if (!trouble) {
        trouble = g_new(struct trouble, 1);
        trouble->since = now;
        trouble->hosts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        g_hash_table_insert(watch->trouble, g_strdup(domain->id), trouble);
        vr_log_warning("Storage domain %s is in trouble on host %s.", domain->name, host_id);
    }
    forget_absent(watch, trouble, now);
    g_hash_table_replace(trouble->hosts, g_strdup(host_id), g_memdup2(&now, sizeof(now)));
    if (now - trouble->since <=
        (int64_t)vr_engine_config(engine)->StorageDomainFailureTimeoutInMinutes * 60 * 1000)
        return;
    blame(watch, domain, trouble);
    g_hash_table_remove(watch->trouble, domain->id);
}

/* --- hosts that lost a domain --- */

static void joined_again(struct vr_engine *engine, const char *host_id, const char *unreachable,
                         void *arg)
{
    if (unreachable)
        vr_log_warning("Host %s still does not reach every domain: %s", host_id, unreachable);
}

/* The host knows nothing of an active domain: it was not told, or lost a mount. */
static bool misses(const struct vr_storage_domain *domain, const struct vr_rpc_host_stats *stats)
{
    if (VR_LINK_ID(domain, job) ||
        VR_GET(domain, pool_status, VR_STORAGE_DOMAIN_STATUS_UNKNOWN) != VR_STORAGE_DOMAIN_STATUS_ACTIVE)
        return false;
    const struct vr_rpc_storage_domain_vitals *vitals = vr_map_get(&stats->storage_domains, domain->id);
    return !vitals || VR_GET(vitals, code, 0) == CODE_DOMAIN_MISSING ||
           VR_GET(vitals, code, 0) == CODE_NO_ACCESS;
}

/* Connects such a host again, at most once in HostStorageConnectionAndPoolRefreshTimeInSeconds
 * (facts/manager-behaviour.md 5.3). */
static void join_again(struct watch *watch, const char *host_id) VR_REQUIRES(vr_role_engine);
static void join_again(struct watch *watch, const char *host_id)
{
    struct vr_engine *engine = watch->engine;
    int64_t now = vr_engine_monotonic_ms(engine);
    int64_t pause =
        vr_engine_config(engine)->HostStorageConnectionAndPoolRefreshTimeInSeconds * 1000;
    const int64_t *last = g_hash_table_lookup(watch->joined, host_id);
    if (last && now - *last < pause)
        return;
    g_hash_table_replace(watch->joined, g_strdup(host_id), g_memdup2(&now, sizeof(now)));
    vr_storage_connect_host(engine, host_id, joined_again, NULL);
}

void vr_storage_host_report(struct vr_engine *engine, const char *host_id,
                            const struct vr_rpc_host_stats *stats)
{
    struct watch *watch = vr_engine_module(engine, &vr_storage_module);
    struct vr_inventory *head = vr_engine_head(engine);
    const struct vr_host *host = VR_PEEK(head, HOST, host, host_id);
    const struct vr_data_center *dc = host ? vr_hosts_data_center(engine, host) : NULL;
    if (!dc || !VR_GET(dc, pool_created, false))
        return;
    g_autofree char *dc_id = g_strdup(dc->id);
    bool spm = g_strcmp0(VR_LINK_ID(dc, spm_host), host_id) == 0;
    vr_auto_objects struct vr_objects domains = { 0 };
    vr_inventory_list_by(head, VR_KIND_STORAGE_DOMAIN, "data_center", dc_id, &domains);
    bool missing = false;
    for (unsigned i = 0; i < domains.count && is_up(engine, host_id); i++) {
        const struct vr_storage_domain *domain = domains.items[i];
        const struct vr_rpc_storage_domain_vitals *vitals =
            vr_map_get(&stats->storage_domains, domain->id);
        if (!is_actual(vitals))
            continue;
        missing |= misses(domain, stats);
        if (is_well(engine, vitals))
            is_fine(watch, domain, host_id);
        else
            has_trouble(watch, domain, host_id);
    }
    if (missing && is_up(engine, host_id))
        join_again(watch, host_id);
    if (spm)
        storage_ask_sizes(engine, dc_id, host_id);
    else
        spm_elect(engine, dc_id);
}

/* --- what a domain shows --- */

void vr_storage_domain_view(struct vr_reading *reading, void *copy)
{
    struct vr_storage_domain *domain = copy;
    vr_auto struct vr_storage_domain *sizes =
        vr_statistics_get(reading->statistics, VR_KIND_STORAGE_DOMAIN, domain->id);
    if (sizes) {
        VR_SET(domain, available, sizes->available);
        VR_SET(domain, used, sizes->used);
    }
    int64_t committed = 0;
    vr_auto_objects struct vr_objects disks = { 0 };
    vr_inventory_list_by(reading->inventory, VR_KIND_DISK, "storage_domain", domain->id, &disks);
    VR_OBJECTS (struct vr_disk, disk, &disks)
        committed += VR_GET(disk, provisioned_size, 0);
    VR_SET(domain, committed, committed);
    /* The status belongs to the domain's place in a data centre (facts/rest-api.md 7.2). */
    bool below_data_center = reading->operation && reading->operation->name &&
                             g_str_has_prefix(reading->operation->name, "attached_");
    if (below_data_center && VR_HAS(domain, pool_status))
        VR_SET(domain, status, domain->pool_status);
    else if (VR_LINK_ID(domain, data_center) &&
             VR_GET(domain, status, VR_STORAGE_DOMAIN_STATUS_UNKNOWN) !=
                 VR_STORAGE_DOMAIN_STATUS_LOCKED)
        VR_CLEAR(domain, status);
    if (VR_LINK_ID(domain, data_center) && !VR_HAS(domain, data_centers))
        VR_APPEND(domain, data_centers, VR_STUB(data_center, VR_LINK_ID(domain, data_center)));
}

static void *start(struct vr_engine *engine)
{
    struct watch *watch = g_new0(struct watch, 1);
    watch->engine = engine;
    watch->trouble = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, trouble_free);
    watch->joined = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    watch->free = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    return watch;
}

static void stop(void *state)
{
    struct watch *watch = state;
    g_hash_table_destroy(watch->trouble);
    g_hash_table_destroy(watch->free);
    g_hash_table_destroy(watch->joined);
    g_free(watch);
}

const struct vr_module vr_storage_module = { .name = "storage", .start = start, .stop = stop };
