/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "hosts"
#include "manager/hosts/internal.h"

#include "manager/storage/storage.h"
#include "manager/vms/vms.h"

/* A host that falls silent: connecting while there is hope, then non-responsive. */

/* facts/manager-behaviour.md 4.1: T = 60 s + 0.5 s a VM + 20 s for the SPM, and two attempts. */
static int64_t grace_ms(struct monitor *monitor, const struct vr_host *host)
    VR_REQUIRES(vr_role_engine);
static int64_t grace_ms(struct monitor *monitor, const struct vr_host *host)
{
    const struct vr_config *config = vr_engine_config(monitor->engine);
    bool spm = host->spm && VR_GET(host->spm, status, VR_SPM_STATUS_NONE) != VR_SPM_STATUS_NONE;
    double seconds = (double)config->TimeoutToResetVdsInSeconds +
                     config->DelayResetPerVmInSeconds *
                         vr_vms_count_on(monitor->engine, monitor->host_id) +
                     (spm ? (double)config->DelayResetForSpmInSeconds : 0);
    return (int64_t)seconds * 1000;
}

static bool in_grace(struct monitor *monitor, const struct vr_host *host)
    VR_REQUIRES(vr_role_engine);
static bool in_grace(struct monitor *monitor, const struct vr_host *host)
{
    return monitor->failures < vr_engine_config(monitor->engine)->VDSAttemptsToResetCount ||
           vr_engine_monotonic_ms(monitor->engine) <
               monitor->last_success + grace_ms(monitor, host);
}

void monitor_lost(struct monitor *monitor, const struct vr_host *host)
{
    vr_engine_host_expect(monitor->engine, monitor->host_id, false);
    struct vr_txn *txn = vr_txn_new(monitor->engine);
    vr_hosts_set_status(txn, monitor->host_id, VR_HOST_STATUS_NON_RESPONSIVE);
    vr_vms_host_lost(txn, monitor->host_id);
    vr_event_add(txn, VR_EVENT_VDS_FAILURE, &(struct vr_event_about){ .host = host }, NULL);
    vr_txn_commit(txn, NULL, NULL);
    vr_storage_host_gone(monitor->engine, monitor->host_id);
}

void monitor_network_error(struct monitor *monitor, const char *reason)
{
    const struct vr_host *host = monitor_host(monitor);
    if (!host)
        return;
    if (monitor->failures++ == 0)
        vr_log_info("Host %s cannot be reached: %s", host->name, reason ? reason : "no reason given");
    enum vr_host_status status = VR_GET(host, status, VR_HOST_STATUS_UNASSIGNED);
    if (status == VR_HOST_STATUS_DOWN || status == VR_HOST_STATUS_REBOOT ||
        status == VR_HOST_STATUS_MAINTENANCE || status == VR_HOST_STATUS_NON_RESPONSIVE) {
        vr_engine_host_expect(monitor->engine, monitor->host_id, false); /* it is away for long */
        return;
    }
    if (!in_grace(monitor, host)) {
        monitor_lost(monitor, host);
        return;
    }
    if (status == VR_HOST_STATUS_CONNECTING || status == VR_HOST_STATUS_INSTALLING ||
        status == VR_HOST_STATUS_PREPARING_FOR_MAINTENANCE)
        return;
    struct vr_txn *txn = vr_txn_new(monitor->engine);
    vr_hosts_set_status(txn, monitor->host_id, VR_HOST_STATUS_CONNECTING);
    /* Where its power can be cut, a person may want to know how long there is to prevent it. */
    bool fenced = host->power_management && VR_GET(host->power_management, enabled, false);
    g_autofree char *seconds = g_strdup_printf("%d", (int)(grace_ms(monitor, host) / 1000));
    vr_event_add(txn,
                 fenced ? VR_EVENT_VDS_HOST_NOT_RESPONDING_CONNECTING
                        : VR_EVENT_VDS_HOST_NOT_RESPONDING,
                 &(struct vr_event_about){ .host = host }, "Reason", reason ? reason : "", "Seconds",
                 seconds, NULL);
    vr_txn_commit(txn, NULL, NULL);
}

void monitor_success(struct monitor *monitor)
{
    monitor->failures = 0;
    monitor->last_success = vr_engine_monotonic_ms(monitor->engine);
}
