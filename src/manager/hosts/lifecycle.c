/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/hosts/internal.h"

#include "manager/vms/vms.h"

void vr_hosts_set_status(struct vr_txn *txn, const char *host_id, enum vr_host_status status)
{
    struct vr_host *host = VR_EDIT(txn, HOST, host, host_id);
    if (!host || (VR_HAS(host, status) && host->status == status))
        return;
    if (VR_HAS(host, status))
        VR_SET(host, previous_status, host->status);
    VR_SET(host, status, status);
    if (status != VR_HOST_STATUS_NON_OPERATIONAL) {
        VR_CLEAR(host, status_detail);
        VR_CLEAR(host, non_operational_reason);
    }
    /* Who is not up holds the SPM role no more. */
    if (status != VR_HOST_STATUS_UP && status != VR_HOST_STATUS_CONNECTING && host->spm)
        VR_SET(host->spm, status, VR_SPM_STATUS_NONE);
    vr_vms_host_changed(vr_txn_engine(txn), host_id);
}

static const struct {
    enum vr_unfit reason;
    const char *detail; /* status_detail on the API */
    enum vr_event_code event;
} unfit_rows[] = {
    { VR_UNFIT_CPU_TYPE, "cpu_type_incompatible_with_cluster", VR_EVENT_VDS_CPU_LOWER_THAN_CLUSTER },
    { VR_UNFIT_STORAGE, "storage_domain_unreachable", VR_EVENT_VDS_SET_NONOPERATIONAL_DOMAIN },
    { VR_UNFIT_NETWORK, "network_unreachable", VR_EVENT_VDS_SET_NONOPERATIONAL_NETWORK },
    { VR_UNFIT_VERSION, "version_incompatible_with_cluster",
      VR_EVENT_VDS_VERSION_NOT_SUPPORTED_FOR_CLUSTER },
    { VR_UNFIT_KVM, "kvm_not_running", VR_EVENT_VDS_SET_NONOPERATIONAL },
    { VR_UNFIT_RECOVERY_TIMEOUT, "timeout_recovering_from_crash",
      VR_EVENT_VDS_SET_NONOPERATIONAL },
    { VR_UNFIT_MACHINE, "emulated_machines_incompatible_with_cluster",
      VR_EVENT_EMULATED_MACHINES_INCOMPATIBLE_WITH_CLUSTER },
    { VR_UNFIT_ARCHITECTURE, "architecture_incompatible_with_cluster",
      VR_EVENT_VDS_SET_NONOPERATIONAL },
    { VR_UNFIT_NIC_DOWN, "network_interface_is_down", VR_EVENT_VDS_SET_NONOPERATIONAL_IFACE_DOWN },
    { VR_UNFIT_RANDOM, "rng_sources_incompatible_with_cluster",
      VR_EVENT_RNG_SOURCES_INCOMPATIBLE_WITH_CLUSTER },
    { VR_UNFIT_CLUSTER_LEVEL, "cluster_version_incompatible_with_cluster",
      VR_EVENT_VDS_CLUSTER_VERSION_NOT_SUPPORTED },
};

static const char *unfit_word(enum vr_unfit reason)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(unfit_rows); i++)
        if (unfit_rows[i].reason == reason)
            return unfit_rows[i].detail;
    return "general";
}

void vr_hosts_set_unfit(struct vr_txn *txn, const char *host_id, enum vr_unfit reason,
                        const char *detail)
{
    struct vr_host *host = VR_EDIT(txn, HOST, host, host_id);
    if (!host || (VR_GET(host, status, VR_HOST_STATUS_UNASSIGNED) ==
                      VR_HOST_STATUS_NON_OPERATIONAL &&
                  g_strcmp0(host->non_operational_reason, unfit_word(reason)) == 0))
        return;
    const char *word = unfit_word(reason);
    enum vr_event_code event = VR_EVENT_VDS_SET_NONOPERATIONAL;
    for (unsigned i = 0; i < G_N_ELEMENTS(unfit_rows); i++)
        if (unfit_rows[i].reason == reason)
            event = unfit_rows[i].event;
    vr_hosts_set_status(txn, host_id, VR_HOST_STATUS_NON_OPERATIONAL);
    VR_SET_STRING(host, status_detail, word);
    VR_SET_STRING(host, non_operational_reason, word);
    const struct vr_cluster *cluster =
        VR_LINK_ID(host, cluster) ? vr_txn_peek(txn, VR_KIND_CLUSTER, VR_LINK_ID(host, cluster))
                                  : NULL;
    const char *what = detail ? detail : "";
    vr_event_add(txn, event,
                 &(struct vr_event_about){
                     .host = host,
                     .cluster = cluster,
                     .data_center = vr_hosts_data_center(vr_txn_engine(txn), host) },
                 "Reason", detail ? detail : word, "StorageDomainNames", what, "Networks", what,
                 "CpuFlags", what, "clusterEmulatedMachines", what, "NicsWithNetworks", what, NULL);
}

void vr_hosts_failed_to_run(struct vr_txn *txn, const char *host_id)
{
    struct vr_engine *engine = vr_txn_engine(txn);
    struct vr_host *host = VR_EDIT(txn, HOST, host, host_id);
    if (!host || VR_GET(host, status, VR_HOST_STATUS_UNASSIGNED) != VR_HOST_STATUS_UP)
        return;
    VR_SET(host, failed_runs, VR_GET(host, failed_runs, 0) + 1);
    if (host->failed_runs < vr_engine_config(engine)->NumberOfFailedRunsOnVds)
        return;
    vr_hosts_set_status(txn, host_id, VR_HOST_STATUS_ERROR);
    VR_SET(host, error_since, vr_engine_wall_ms(engine));
    g_autofree char *minutes = g_strdup_printf(
        "%d", (int)vr_engine_config(engine)->TimeToReduceFailedRunOnVdsInMinutes);
    vr_event_add(txn, VR_EVENT_VDS_FAILED_TO_RUN_VMS, &(struct vr_event_about){ .host = host },
                 "Time", minutes, NULL);
}

void vr_hosts_ran(struct vr_txn *txn, const char *host_id)
{
    struct vr_host *host = VR_EDIT(txn, HOST, host, host_id);
    if (host && VR_GET(host, failed_runs, 0) != 0)
        VR_SET(host, failed_runs, 0);
}

const struct vr_data_center *vr_hosts_data_center(struct vr_engine *engine,
                                                  const struct vr_host *host)
{
    struct vr_inventory *head = vr_engine_head(engine);
    const struct vr_cluster *cluster = VR_PEEK(head, CLUSTER, cluster, VR_LINK_ID(host, cluster));
    return cluster ? VR_PEEK(head, DATA_CENTER, data_center, VR_LINK_ID(cluster, data_center))
                   : NULL;
}

const struct vr_host *vr_hosts_pick(struct vr_engine *engine, const char *data_center_id)
{
    struct vr_inventory *head = vr_engine_head(engine);
    const char *best = NULL;
    vr_auto_objects struct vr_objects clusters = { 0 };
    vr_inventory_list_by(head, VR_KIND_CLUSTER, "data_center", data_center_id, &clusters);
    VR_OBJECTS (struct vr_cluster, cluster, &clusters) {
        vr_auto_objects struct vr_objects hosts = { 0 };
        vr_inventory_list_by(head, VR_KIND_HOST, "cluster", cluster->id, &hosts);
        VR_OBJECTS (struct vr_host, host, &hosts) {
            if (VR_GET(host, status, VR_HOST_STATUS_UNASSIGNED) != VR_HOST_STATUS_UP)
                continue;
            if (host->spm && VR_GET(host->spm, status, VR_SPM_STATUS_NONE) == VR_SPM_STATUS_SPM)
                return VR_PEEK(head, HOST, host, host->id);
            if (!best || strcmp(host->id, best) < 0)
                best = VR_PEEK(head, HOST, host, host->id)->id;
        }
    }
    return best ? VR_PEEK(head, HOST, host, best) : NULL;
}
