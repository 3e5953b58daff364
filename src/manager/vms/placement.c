/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/vms/internal.h"

#include "manager/hosts/hosts.h"

/*
 * One array of rows a cluster.  A row is made from the inventory and the
 * latest statistics when its host has changed since, so a placement costs the
 * changed rows and one pass over the array.
 */

struct rows {
    struct vr_sched_host *hosts;
    char **ids;
    uint8_t *stale;
    unsigned count, allocated;
};

struct placement {
    struct vr_engine *engine;
    GHashTable *clusters; /* cluster id → struct rows */
    GHashTable *spots;    /* host id → struct spot */
};

/* Where a host's row is. */
struct spot {
    char *cluster_id;
    unsigned row;
};

static void spot_free(void *data)
{
    struct spot *spot = data;
    g_free(spot->cluster_id);
    g_free(spot);
}

static void rows_free(void *data)
{
    struct rows *rows = data;
    for (unsigned i = 0; i < rows->count; i++)
        g_free(rows->ids[i]);
    g_free(rows->ids);
    g_free(rows->hosts);
    g_free(rows->stale);
    g_free(rows);
}

struct placement *placement_new(struct vr_engine *engine)
{
    struct placement *placement = g_new0(struct placement, 1);
    placement->engine = engine;
    placement->clusters = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, rows_free);
    placement->spots = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, spot_free);
    return placement;
}

void placement_free(struct placement *placement)
{
    g_hash_table_destroy(placement->clusters);
    g_hash_table_destroy(placement->spots);
    g_free(placement);
}

static struct rows *rows_of(struct placement *placement, const char *cluster_id)
{
    struct rows *rows = g_hash_table_lookup(placement->clusters, cluster_id);
    if (!rows) {
        rows = g_new0(struct rows, 1);
        g_hash_table_insert(placement->clusters, g_strdup(cluster_id), rows);
    }
    return rows;
}

/* The row of @host_id in @cluster_id's array, or -1. */
static int row_find(struct placement *placement, const char *cluster_id, const char *host_id)
{
    const struct spot *spot = g_hash_table_lookup(placement->spots, host_id);
    return spot && strcmp(spot->cluster_id, cluster_id) == 0 ? (int)spot->row : -1;
}

static void row_remove(struct placement *placement, struct rows *rows, const char *cluster_id,
                       unsigned i)
{
    unsigned last = --rows->count;
    if (row_find(placement, cluster_id, rows->ids[i]) == (int)i)
        g_hash_table_remove(placement->spots, rows->ids[i]);
    g_free(rows->ids[i]);
    if (i == last)
        return;
    rows->ids[i] = rows->ids[last];
    rows->stale[i] = 1;
    struct spot *moved = g_hash_table_lookup(placement->spots, rows->ids[i]);
    if (moved && strcmp(moved->cluster_id, cluster_id) == 0)
        moved->row = i;
}

static void row_add(struct placement *placement, struct rows *rows, const char *cluster_id,
                    const char *host_id)
{
    if (rows->count == rows->allocated) {
        rows->allocated = MAX(16, rows->allocated * 2);
        rows->hosts = g_renew(struct vr_sched_host, rows->hosts, rows->allocated);
        rows->ids = g_renew(char *, rows->ids, rows->allocated);
        rows->stale = g_renew(uint8_t, rows->stale, rows->allocated);
    }
    struct spot *spot = g_new0(struct spot, 1);
    spot->cluster_id = g_strdup(cluster_id);
    spot->row = rows->count;
    g_hash_table_replace(placement->spots, g_strdup(host_id), spot);
    rows->ids[rows->count] = g_strdup(host_id);
    rows->stale[rows->count] = 1;
    rows->count++;
}

void placement_host_changed(struct placement *placement, const char *host_id)
{
    const struct spot *spot = g_hash_table_lookup(placement->spots, host_id);
    struct rows *rows = spot ? g_hash_table_lookup(placement->clusters, spot->cluster_id) : NULL;
    if (rows)
        rows->stale[spot->row] = 1;
}

/* --- a row from what is known --- */

/* Networks are numbered by a hash of their id: two that share a number only make the filter lenient
 * about one of them, and the host's own refusal still stands behind it. */
static unsigned network_number(const char *network_id)
{
    return g_str_hash(network_id) % VR_SCHED_NETWORKS;
}

static void fill_networks(struct vr_inventory *head, struct vr_sched_host *row,
                          const struct vr_host *host) VR_REQUIRES(vr_role_engine);
static void fill_networks(struct vr_inventory *head, struct vr_sched_host *row,
                          const struct vr_host *host)
{
    vr_auto_objects struct vr_objects attached = { 0 };
    vr_inventory_list_by(head, VR_KIND_CLUSTER_NETWORK, "cluster", VR_LINK_ID(host, cluster),
                         &attached);
    VR_OBJECTS (struct vr_cluster_network, link, &attached) {
        const struct vr_network *network = VR_PEEK(head, NETWORK, network, VR_LINK_ID(link, network));
        if (!network)
            continue;
        const char *name = network->host_name ? network->host_name : network->name;
        for (unsigned i = 0; i < host->network_names.len; i++)
            if (strcmp(host->network_names.items[i], name) == 0)
                vr_sched_networks_add(&row->networks, network_number(network->id));
    }
}

static void fill_load(struct placement *placement, struct vr_sched_host *row, const char *host_id)
    VR_REQUIRES(vr_role_engine);
static void fill_load(struct placement *placement, struct vr_sched_host *row, const char *host_id)
{
    const struct vr_rpc_host_stats *stats = vr_hosts_stats(placement->engine, host_id);
    if (!stats)
        return;
    row->memory_free = (uint32_t)CLAMP(stats->mem_free, 0, UINT32_MAX);
    row->memory_available = row->memory_free;
    row->swap_total = (uint32_t)CLAMP(stats->swap_total, 0, UINT32_MAX);
    row->swap_free = (uint32_t)CLAMP(stats->swap_free, 0, UINT32_MAX);
    if (stats->cpu_idle)
        row->cpu_usage = (int16_t)CLAMP(100 - g_ascii_strtod(stats->cpu_idle, NULL), 0, 100);
    row->overload_since = vr_hosts_overload_since(placement->engine, host_id);
}

static void fill_vms(struct vr_inventory *head, struct vr_sched_host *row,
                     const struct vr_host *host) VR_REQUIRES(vr_role_engine);
static void fill_vms(struct vr_inventory *head, struct vr_sched_host *row,
                     const struct vr_host *host)
{
    uint32_t overhead = (uint32_t)VR_GET(host, guest_overhead, 65);
    vr_auto_objects struct vr_objects here = { 0 };
    vr_inventory_list_by(head, VR_KIND_VM, "host", host->id, &here);
    row->committed = overhead;
    VR_OBJECTS (struct vr_vm, vm, &here) {
        uint32_t memory = (uint32_t)(VR_GET(vm, memory, 0) >> 20);
        if (vm_status(vm) == VR_VM_STATUS_WAIT_FOR_LAUNCH ||
            vm_status(vm) == VR_VM_STATUS_RESTORING_STATE) {
            const struct vr_cpu_topology *topology = vm->cpu ? vm->cpu->topology : NULL;
            row->pending_memory += memory + overhead;
            row->pending_real += memory;
            row->pending_vms++;
            row->pending_vcpus += topology ? (uint32_t)(VR_GET(topology, sockets, 1) *
                                                        VR_GET(topology, cores, 1))
                                           : 1;
        } else {
            row->committed += memory + overhead;
            row->active_vms++;
        }
    }
}

static bool make_row(struct placement *placement, struct vr_sched_host *row, const char *host_id,
                     const struct vr_cluster *cluster) VR_REQUIRES(vr_role_engine);
static bool make_row(struct placement *placement, struct vr_sched_host *row, const char *host_id,
                     const struct vr_cluster *cluster)
{
    struct vr_inventory *head = vr_engine_head(placement->engine);
    const struct vr_host *host = VR_PEEK(head, HOST, host, host_id);
    memset(row, 0, sizeof(*row));
    row->cpu_usage = row->cpu_level = -1;
    if (!host || g_strcmp0(VR_LINK_ID(host, cluster), cluster->id) != 0)
        return false;
    const struct vr_cpu_topology *topology = host->cpu ? host->cpu->topology : NULL;
    uint32_t cores = topology ? (uint32_t)(VR_GET(topology, sockets, 1) * VR_GET(topology, cores, 1))
                              : 1;
    if (topology && VR_GET(cluster, threads_as_cores, false))
        cores *= (uint32_t)VR_GET(topology, threads, 1);
    row->id = host->id;
    row->name = host->name;
    row->cores = cores;
    row->up = VR_GET(host, status, VR_HOST_STATUS_UNASSIGNED) == VR_HOST_STATUS_UP;
    row->spm = host->spm && VR_GET(host->spm, status, VR_SPM_STATUS_NONE) != VR_SPM_STATUS_NONE;
    row->memory = (uint32_t)(VR_GET(host, memory, 0) >> 20);
    row->reserved = (uint32_t)VR_GET(host, reserved_memory, 0);
    row->overcommit = 100;
    if (cluster->memory_policy && cluster->memory_policy->over_commit)
        row->overcommit = (uint32_t)VR_GET(cluster->memory_policy->over_commit, percent, 100);
    fill_networks(head, row, host);
    fill_load(placement, row, host_id);
    fill_vms(head, row, host);
    return true;
}

/* Rows of hosts that changed are made anew, those of hosts that left go, new hosts get one. */
static struct rows *refresh(struct placement *placement, const struct vr_cluster *cluster)
    VR_REQUIRES(vr_role_engine);
static struct rows *refresh(struct placement *placement, const struct vr_cluster *cluster)
{
    struct vr_inventory *head = vr_engine_head(placement->engine);
    struct rows *rows = rows_of(placement, cluster->id);
    for (unsigned i = 0; i < rows->count;) {
        if (!rows->stale[i]) {
            i++;
        } else if (make_row(placement, &rows->hosts[i], rows->ids[i], cluster)) {
            rows->stale[i++] = 0;
        } else {
            row_remove(placement, rows, cluster->id, i);
        }
    }
    if (rows->count == vr_inventory_count_by(head, VR_KIND_HOST, "cluster", cluster->id))
        return rows;
    vr_auto_objects struct vr_objects hosts = { 0 };
    vr_inventory_list_by(head, VR_KIND_HOST, "cluster", cluster->id, &hosts);
    VR_OBJECTS (struct vr_host, host, &hosts) {
        if (row_find(placement, cluster->id, host->id) >= 0)
            continue;
        row_add(placement, rows, cluster->id, host->id);
        make_row(placement, &rows->hosts[rows->count - 1], host->id, cluster);
        rows->stale[rows->count - 1] = 0;
    }
    return rows;
}

/* --- choosing --- */

static void want_networks(struct vr_inventory *head, struct vr_sched_vm *want,
                          const struct vr_vm *vm) VR_REQUIRES(vr_role_engine);
static void want_networks(struct vr_inventory *head, struct vr_sched_vm *want,
                          const struct vr_vm *vm)
{
    vr_auto_objects struct vr_objects nics = { 0 };
    vr_inventory_list_by(head, VR_KIND_NIC, "vm", vm->id, &nics);
    VR_OBJECTS (struct vr_nic, nic, &nics) {
        const struct vr_vnic_profile *profile =
            VR_PEEK(head, VNIC_PROFILE, vnic_profile, VR_LINK_ID(nic, vnic_profile));
        if (profile && VR_GET(nic, plugged, true) && VR_LINK_ID(profile, network))
            vr_sched_networks_add(&want->networks, network_number(VR_LINK_ID(profile, network)));
    }
}

static const char **host_ids(struct vr_inventory *head, const struct vr_vm *vm)
    VR_REQUIRES(vr_role_engine);
static const char **host_ids(struct vr_inventory *head, const struct vr_vm *vm)
{
    const struct vr_vm_placement_policy *policy = vm->placement_policy;
    unsigned count = policy ? policy->hosts.len : 0;
    const char **ids = g_new0(const char *, count + 1);
    for (unsigned i = 0; i < count; i++)
        ids[i] = vr_id(policy->hosts.items[i]) ? vr_id(policy->hosts.items[i]) : "";
    return ids;
}

struct refusals {
    GString *text;
    unsigned count;
};

/* Enough of them for a person; ten thousand lines help nobody. */
#define REFUSALS_SHOWN 20

static void note_refusal(const struct vr_sched_host *host, const struct vr_sched_unit *filter,
                         const char *why, void *arg)
{
    struct refusals *refusals = arg;
    if (refusals->count++ < REFUSALS_SHOWN)
        g_string_append_printf(refusals->text, "%sHost %s was refused by filter %s: %s.",
                               refusals->text->len ? " " : "", host->name, filter->name, why);
}

char *placement_choose(struct placement *placement, const struct vr_vm *vm,
                       const struct vr_list *barred, struct vr_error **error)
{
    struct vr_engine *engine = placement->engine;
    struct vr_inventory *head = vr_engine_head(engine);
    const struct vr_cluster *cluster = VR_PEEK(head, CLUSTER, cluster, VR_LINK_ID(vm, cluster));
    if (!cluster) {
        vr_error_set(error, &vr_fault_no_host_available, "The virtual machine has no cluster.");
        return NULL;
    }
    struct rows *rows = refresh(placement, cluster);
    const struct vr_cpu_topology *topology = vm->cpu ? vm->cpu->topology : NULL;
    const struct vr_vm_placement_policy *policy = vm->placement_policy;
    g_autofree const char **ids = host_ids(head, vm);
    struct vr_sched_vm want = {
        .sockets = topology ? (uint32_t)VR_GET(topology, sockets, 1) : 1,
        .cores = topology ? (uint32_t)VR_GET(topology, cores, 1) : 1,
        .threads = topology ? (uint32_t)VR_GET(topology, threads, 1) : 1,
        .memory = (uint32_t)(VR_GET(vm, memory, 0) >> 20),
        .overhead = 65,
        .cpu_level = -1,
        .pinned_only = policy && VR_GET(policy, affinity, VR_VM_AFFINITY_MIGRATABLE) ==
                                     VR_VM_AFFINITY_PINNED,
        .highly_available = vm->high_availability && VR_GET(vm->high_availability, enabled, false),
        .pinned = ids,
        .preferred = ids,
    };
    want_networks(head, &want, vm);

    g_autofree uint8_t *out = g_new0(uint8_t, rows->count + 1);
    for (unsigned i = 0; barred && i < barred->len; i++) {
        int row = row_find(placement, cluster->id, barred->items[i]);
        if (row >= 0)
            out[row] = 1;
    }
    struct vr_sched_policy sched;
    vr_sched_policy_init(&sched, VR_LINK_ID(cluster, scheduling_policy));
    sched.properties.now = vr_engine_monotonic_ms(engine);
    sched.properties.overcommit_duration_ms =
        (unsigned)CLAMP(vr_engine_config(engine)->CpuOverCommitDurationMinutes, 0, 60 * 24) * 60000;
    int best = vr_sched_place(&sched, rows->hosts, rows->count, &want, out, NULL, NULL);
    if (best >= 0)
        return g_strdup(rows->ids[best]);

    g_autoptr(GString) text = g_string_new(NULL);
    struct refusals refusals = { text, 0 };
    vr_sched_place(&sched, rows->hosts, rows->count, &want, out, note_refusal, &refusals);
    if (refusals.count > REFUSALS_SHOWN)
        g_string_append_printf(text, " And %u more hosts.", refusals.count - REFUSALS_SHOWN);
    vr_error_set(error, &vr_fault_no_host_available, "%s",
                 text->len ? text->str : "No host of the cluster is up.");
    return NULL;
}
