/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/hosts/internal.h"

#include "manager/engine/call.h"

#include "gen/routes.h"
#include "manager/deploy/deploy.h"
#include "manager/fence/fence.h"
#include "manager/vms/vms.h"

/* The `write` handlers of hosts (facts/manager-behaviour.md 1.4, facts/rest-api.md 8.1). */

#define AGENT_PORT 54321
#define MAX_HOST_NAME 255
#define MAX_HOST_ID 250 /* MaxNumberOfHostsInStoragePool */

static bool check_name_and_address(struct vr_call *call, const struct vr_host *wanted,
                                   const char *own_id, struct vr_error **error)
    VR_REQUIRES(vr_role_engine);
static bool check_name_and_address(struct vr_call *call, const struct vr_host *wanted,
                                   const char *own_id, struct vr_error **error)
{
    if (wanted->name && !vr_check_name("Host", wanted->name, VR_NAME_HOST, MAX_HOST_NAME, error))
        return false;
    if (wanted->address && (!wanted->address[0] || strlen(wanted->address) > 255 ||
                            strpbrk(wanted->address, " \t\r\n/"))) {
        vr_error_set(error, &vr_fault_invalid_value, "The host's address is not a name or address.");
        return false;
    }
    if (VR_HAS(wanted, port) && (wanted->port < 1 || wanted->port > 65535)) {
        vr_error_set(error, &vr_fault_invalid_value, "The host's port must be from 1 to 65535.");
        return false;
    }
    vr_auto_objects struct vr_objects hosts = { 0 };
    vr_inventory_list(vr_engine_head(call->engine), VR_KIND_HOST, &hosts);
    VR_OBJECTS (struct vr_host, other, &hosts) {
        if (g_strcmp0(other->id, own_id) == 0)
            continue;
        if (wanted->name && g_strcmp0(other->name, wanted->name) == 0) {
            vr_error_set(error, &vr_fault_name_in_use,
                         "A host with the name %s exists; choose another name.", wanted->name);
            return false;
        }
        if (wanted->address && g_strcmp0(other->address, wanted->address) == 0 &&
            VR_GET(other, port, AGENT_PORT) == VR_GET(wanted, port, AGENT_PORT)) {
            vr_error_set(error, &vr_fault_already_exists, "Host %s has the address %s already.",
                         other->name, wanted->address);
            return false;
        }
    }
    return true;
}

static const struct vr_cluster *cluster_of(struct vr_call *call, const struct vr_host *wanted,
                                           struct vr_error **error) VR_REQUIRES(vr_role_engine);
static const struct vr_cluster *cluster_of(struct vr_call *call, const struct vr_host *wanted,
                                           struct vr_error **error)
{
    if (wanted->cluster)
        return VR_RESOLVE(call->engine, CLUSTER, cluster, wanted->cluster, "Cluster", error);
    vr_auto struct vr_cluster *by_name = VR_NEW(cluster);
    VR_SET_STRING(by_name, name, "Default");
    return VR_RESOLVE(call->engine, CLUSTER, cluster, by_name, "Cluster", error);
}

int64_t vr_hosts_id_in(struct vr_engine *engine, const struct vr_host *own,
                       const struct vr_cluster *cluster, struct vr_error **error)
{
    bool taken[MAX_HOST_ID + 1] = { false };
    vr_auto_objects struct vr_objects hosts = { 0 };
    vr_inventory_list(vr_engine_head(engine), VR_KIND_HOST, &hosts);
    VR_OBJECTS (struct vr_host, host, &hosts) {
        const struct vr_data_center *dc = vr_hosts_data_center(engine, host);
        if (!dc || g_strcmp0(dc->id, VR_LINK_ID(cluster, data_center)) != 0 ||
            !VR_HAS(host, host_id) || host->host_id < 1 || host->host_id > MAX_HOST_ID)
            continue;
        if (own && g_strcmp0(host->id, own->id) == 0)
            return host->host_id;
        taken[host->host_id] = true;
    }
    for (int64_t id = 1; id <= MAX_HOST_ID; id++)
        if (!taken[id])
            return id;
    vr_error_set(error, &vr_fault_conflict, "The data center has %d hosts already.", MAX_HOST_ID);
    return 0;
}

void vr_hosts_set_defaults(struct vr_host *host, const struct vr_cluster *cluster, int64_t host_id)
{
    VR_SET_LINK(host, cluster, cluster, cluster->id);
    if (host_id)
        VR_SET(host, host_id, host_id);
    VR_SET(host, port, VR_GET(host, port, AGENT_PORT));
    VR_SET(host, type, VR_HOST_TYPE_RHEL);
    VR_SET(host, protocol, VR_HOST_PROTOCOL_STOMP);
    VR_SET(host, external_status, VR_EXTERNAL_STATUS_OK);
    VR_SET(host, update_available, false);
    VR_SET(host, reinstallation_required, false);
    struct vr_spm *spm = VR_SUB(host, spm, spm);
    VR_SET(spm, priority, VR_GET(spm, priority, 5));
    VR_SET(spm, status, VR_SPM_STATUS_NONE);
    struct vr_power_management *power = VR_SUB(host, power_management, power_management);
    VR_SET(power, enabled, VR_GET(power, enabled, false));
    VR_SET(power, automatic_pm_enabled, VR_GET(power, automatic_pm_enabled, true));
    VR_SET(power, kdump_detection, VR_GET(power, kdump_detection, true));
    struct vr_ssh *ssh = VR_SUB(host, ssh, ssh);
    VR_SET(ssh, port, VR_GET(ssh, port, 22));
}

/* What may be wrong with a new host besides its name and address; 0: @error is set. */
static int64_t check_new(struct vr_call *call, const struct vr_cluster *cluster,
                         struct vr_deploy_login *ret_login, struct vr_error **error)
    VR_REQUIRES(vr_role_engine);
static int64_t check_new(struct vr_call *call, const struct vr_cluster *cluster,
                         struct vr_deploy_login *ret_login, struct vr_error **error)
{
    const struct vr_host *wanted = call->body;
    if (wanted->power_management && VR_GET(wanted->power_management, enabled, false)) {
        vr_error_set(error, &vr_fault_host_no_fence_agent,
                     "Power management needs a fence agent; add one before it is enabled.");
        return 0;
    }
    if (!vr_deploy_read_login(wanted->ssh, wanted->root_password, ret_login, error))
        return 0;
    return vr_hosts_id_in(call->engine, NULL, cluster, error);
}

/* What the body says about SSH, but for the password. */
static void take_ssh(struct vr_host *host)
{
    vr_auto struct vr_ssh *said = g_steal_pointer(&host->ssh);
    host->has.ssh = false;
    if (said)
        vr_deploy_merge_ssh(host, said);
}

/*
 * The agent is installed over SSH when the request says how to log in; a
 * client of this interface always does.  Without that, an agent is expected
 * to run there already with a certificate of our CA, and it is connected to at
 * once: so is a development host, or one that other means have set up.
 */
void vr_hosts_add(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    struct vr_host *wanted = call->body;
    struct vr_engine *engine = call->engine;
    struct vr_deploy_login login;

    const struct vr_cluster *cluster = cluster_of(call, wanted, &error);
    int64_t host_id = cluster && check_name_and_address(call, wanted, NULL, &error)
                          ? check_new(call, cluster, &login, &error)
                          : 0;
    if (host_id == 0) {
        vr_call_fail(call, &error);
        return;
    }
    bool activate = vr_call_flag(call, "activate", true);
    bool deploys = login.asked && vr_engine_config(engine)->InstallVds;
    struct vr_host *host = vr_call_take_body(call);
    vr_auto struct vr_ssh *ssh = vr_ref(host->ssh); /* holds the password until the job has it */
    struct vr_txn *txn = vr_txn_new(engine);
    VR_CLEAR(host, id);
    vr_txn_add(txn, VR_KIND_HOST, host);
    take_ssh(host);
    vr_hosts_set_defaults(host, cluster, host_id);
    VR_SET(host, status, activate ? VR_HOST_STATUS_INSTALLING : VR_HOST_STATUS_MAINTENANCE);
    vr_event_add(txn, VR_EVENT_USER_ADD_VDS,
                 &(struct vr_event_about){ .user = vr_call_user(call),
                                           .host = host,
                                           .cluster = cluster,
                                           .correlation_id = call->correlation_id },
                 NULL);
    if (deploys)
        vr_deploy_start(txn, host,
                        &(struct vr_deploy_order){ .login = &login,
                                                   .activate = activate,
                                                   .user = vr_call_user(call),
                                                   .correlation_id = call->correlation_id });
    vr_deploy_forget(ssh, host->root_password);
    VR_CLEAR(host, root_password);
    g_autofree char *id = g_strdup(host->id);
    vr_call_commit(call, txn, VR_KIND_HOST, id);
    if (activate && !deploys)
        vr_hosts_watch(engine, id);
}

/* A job that deploys the host or switches its power has it in hand. */
static bool is_free(struct vr_call *call, const struct vr_host *host, struct vr_error **error)
    VR_REQUIRES(vr_role_engine);
static bool is_free(struct vr_call *call, const struct vr_host *host, struct vr_error **error)
{
    const struct vr_lock lock = { VR_KIND_HOST, host->id, true };
    return vr_locks_free(call->engine, &lock, 1, error);
}

void vr_host_update(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    g_autofree char *id = NULL;
    struct vr_host *wanted = call->body;
    int64_t host_id = 0;
    struct vr_deploy_login login;
    const struct vr_host *host = vr_call_target(call, VR_KIND_HOST, &error);
    if (!host || !check_name_and_address(call, wanted, host->id, &error) ||
        !vr_deploy_read_login(wanted->ssh, NULL, &login, &error))
        goto fail;
    enum vr_host_status status = VR_GET(host, status, VR_HOST_STATUS_UNASSIGNED);
    bool moves = wanted->cluster != NULL, readdresses = wanted->address || VR_HAS(wanted, port);
    const struct vr_cluster *cluster = NULL;
    if (moves) {
        cluster = VR_RESOLVE(call->engine, CLUSTER, cluster, wanted->cluster, "Cluster", &error);
        if (!cluster)
            goto fail;
        moves = g_strcmp0(cluster->id, VR_LINK_ID(host, cluster)) != 0;
        host_id = vr_hosts_id_in(call->engine, host, cluster, &error);
        if (host_id == 0)
            goto fail;
    }
    if (status == VR_HOST_STATUS_PENDING_APPROVAL) {
        vr_error_set(&error, &vr_fault_host_wrong_state,
                     "Cannot edit Host. The host waits for its approval.");
        goto fail;
    }
    readdresses = readdresses && (g_strcmp0(wanted->address, host->address) != 0 ||
                                  VR_GET(wanted, port, AGENT_PORT) != VR_GET(host, port, AGENT_PORT));
    if ((moves || readdresses) && status != VR_HOST_STATUS_MAINTENANCE &&
        status != VR_HOST_STATUS_INSTALL_FAILED) {
        vr_error_set(&error, &vr_fault_host_not_in_maintenance,
                     "Cluster, address and port of a host change only in maintenance.");
        goto fail;
    }
    if ((moves || readdresses || wanted->ssh || wanted->power_management) &&
        !is_free(call, host, &error))
        goto fail;
    if (wanted->power_management && VR_GET(wanted->power_management, enabled, false) &&
        !vr_fence_has_agent(call->engine, host->id, NULL)) {
        vr_error_set(&error, &vr_fault_host_no_fence_agent,
                     "Add a fence agent to the host before its power management is enabled.");
        goto fail;
    }

    struct vr_txn *txn = vr_txn_new(call->engine);
    struct vr_host *edit = VR_EDIT(txn, HOST, host, host->id);
    if (wanted->name)
        VR_SET_STRING(edit, name, wanted->name);
    if (wanted->description)
        VR_SET_STRING(edit, description, wanted->description);
    if (wanted->comment)
        VR_SET_STRING(edit, comment, wanted->comment);
    if (wanted->address)
        VR_SET_STRING(edit, address, wanted->address);
    if (VR_HAS(wanted, port))
        VR_SET(edit, port, wanted->port);
    if (moves) {
        VR_SET_LINK(edit, cluster, cluster, cluster->id);
        VR_SET(edit, host_id, host_id);
    }
    if (wanted->display) /* where consoles are reached; running ones show it with the next report */
        vr_merge(VR_SUB(edit, display, display), wanted->display);
    if (wanted->ssh) {
        vr_deploy_merge_ssh(edit, wanted->ssh);
        vr_deploy_forget(wanted->ssh, wanted->root_password);
    }
    if (wanted->spm && VR_HAS(wanted->spm, priority))
        VR_SET(VR_SUB(edit, spm, spm), priority, CLAMP(wanted->spm->priority, -1, 10));
    if (wanted->power_management)
        vr_merge(VR_SUB(edit, power_management, power_management), wanted->power_management);
    vr_event_add(txn, VR_EVENT_USER_UPDATE_VDS,
                 &(struct vr_event_about){ .user = vr_call_user(call),
                                           .host = edit,
                                           .correlation_id = call->correlation_id },
                 NULL);
    id = g_strdup(host->id);
    vr_call_commit(call, txn, VR_KIND_HOST, id);
    return;
fail:
    vr_call_fail(call, &error);
}

void vr_host_remove(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    g_autofree char *id = NULL;
    const struct vr_host *host = vr_call_target(call, VR_KIND_HOST, &error);
    if (!host)
        goto fail;
    switch (VR_GET(host, status, VR_HOST_STATUS_UNASSIGNED)) {
    case VR_HOST_STATUS_MAINTENANCE:
    case VR_HOST_STATUS_INSTALL_FAILED:
    case VR_HOST_STATUS_PENDING_APPROVAL:
    case VR_HOST_STATUS_INSTALLING_OS:
    case VR_HOST_STATUS_DOWN:
        break;
    default:
        vr_error_set(&error, &vr_fault_host_not_in_maintenance,
                     "Cannot remove Host. Host is not in maintenance.");
        goto fail;
    }
    if (vr_vms_count_on(call->engine, host->id) > 0) {
        vr_error_set(&error, &vr_fault_host_has_running_vms, NULL);
        goto fail;
    }
    if (!is_free(call, host, &error))
        goto fail;
    id = g_strdup(host->id);
    vr_hosts_unwatch(call->engine, id);
    struct vr_txn *txn = vr_txn_new(call->engine);
    nics_remove_all(txn, id);
    vr_fence_forget(txn, id);
    vr_event_add(txn, VR_EVENT_USER_REMOVE_VDS,
                 &(struct vr_event_about){ .user = vr_call_user(call),
                                           .host = host,
                                           .correlation_id = call->correlation_id },
                 NULL);
    vr_txn_remove(txn, VR_KIND_HOST, id);
    vr_vms_host_changed(call->engine, id);
    vr_call_commit_remove(call, txn, NULL);
    return;
fail:
    vr_call_fail(call, &error);
}

void vr_host_activate(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    g_autofree char *id = NULL;
    const struct vr_host *host = vr_call_target(call, VR_KIND_HOST, &error);
    if (!host)
        goto fail;
    enum vr_host_status status = VR_GET(host, status, VR_HOST_STATUS_UNASSIGNED);
    switch (status) {
    case VR_HOST_STATUS_MAINTENANCE:
    case VR_HOST_STATUS_NON_OPERATIONAL:
    case VR_HOST_STATUS_INSTALL_FAILED:
    case VR_HOST_STATUS_ERROR:
    case VR_HOST_STATUS_PREPARING_FOR_MAINTENANCE:
        break;
    default:
        vr_error_set(&error, &vr_fault_host_wrong_state,
                     "Cannot activate Host. The host is in status %s.",
                     vr_enum_word(&vr_enum_host_status, (int)status));
        goto fail;
    }
    if (!is_free(call, host, &error))
        goto fail;
    id = g_strdup(host->id);
    struct vr_engine *engine = call->engine;
    struct vr_txn *txn = vr_txn_new(engine);
    vr_hosts_set_status(txn, id, VR_HOST_STATUS_UNASSIGNED);
    vr_event_add(txn, VR_EVENT_VDS_ACTIVATE,
                 &(struct vr_event_about){ .user = vr_call_user(call),
                                           .host = host,
                                           .correlation_id = call->correlation_id },
                 NULL);
    vr_call_commit_action(call, txn, NULL);
    vr_hosts_watch(engine, id);
    return;
fail:
    vr_call_fail(call, &error);
}

/* The names of the machines on a host, of the pinned ones alone with @pinned; NULL: there are none.
 * Owned. */
static char *names_on(struct vr_engine *engine, const char *host_id, bool pinned)
    VR_REQUIRES(vr_role_engine);
static char *names_on(struct vr_engine *engine, const char *host_id, bool pinned)
{
    vr_auto_objects struct vr_objects vms = { 0 };
    g_autoptr(GString) names = g_string_new(NULL);
    vr_inventory_list_by(vr_engine_head(engine), VR_KIND_VM, "host", host_id, &vms);
    VR_OBJECTS (struct vr_vm, vm, &vms) {
        const struct vr_vm_placement_policy *policy = vm->placement_policy;
        bool is_pinned = policy && VR_GET(policy, affinity, VR_VM_AFFINITY_MIGRATABLE) ==
                                       VR_VM_AFFINITY_PINNED;
        if (!pinned || is_pinned)
            g_string_append_printf(names, "%s%s", names->len ? ", " : "", vm->name);
    }
    return names->len ? g_strdup(names->str) : NULL;
}

void vr_host_deactivate(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    g_autofree char *id = NULL, *pinned = NULL, *staying = NULL;
    const struct vr_action *action = call->body;
    const struct vr_host *host = vr_call_target(call, VR_KIND_HOST, &error);
    if (!host)
        goto fail;
    enum vr_host_status status = VR_GET(host, status, VR_HOST_STATUS_UNASSIGNED);
    unsigned vms = vr_vms_count_on(call->engine, host->id);
    bool at_once = false;
    switch (status) {
    case VR_HOST_STATUS_UP:
    case VR_HOST_STATUS_ERROR:
    case VR_HOST_STATUS_NON_OPERATIONAL:
    case VR_HOST_STATUS_PREPARING_FOR_MAINTENANCE:
        break;
    case VR_HOST_STATUS_NON_RESPONSIVE:
    case VR_HOST_STATUS_CONNECTING:
        if (vms > 0) {
            vr_error_set(&error, &vr_fault_host_has_running_vms,
                         "The host does not respond and may still run %u virtual machines.", vms);
            goto fail;
        }
        at_once = true;
        break;
    case VR_HOST_STATUS_DOWN:
    case VR_HOST_STATUS_INSTALL_FAILED:
        at_once = true;
        break;
    default:
        vr_error_set(&error, &vr_fault_host_wrong_state,
                     "Cannot switch Host to Maintenance mode. The host is in status %s.",
                     vr_enum_word(&vr_enum_host_status, (int)status));
        goto fail;
    }
    if (!is_free(call, host, &error))
        goto fail;
    pinned = vms > 0 ? names_on(call->engine, host->id, true) : NULL;
    if (pinned) {
        vr_error_set(&error, &vr_fault_host_has_running_vms,
                     "These virtual machines are pinned to the host and run: %s. Shut them down "
                     "first.", pinned);
        goto fail;
    }
    id = g_strdup(host->id);
    struct vr_engine *engine = call->engine;
    struct vr_txn *txn = vr_txn_new(engine);
    vr_hosts_set_status(txn, id, at_once ? VR_HOST_STATUS_MAINTENANCE
                                         : VR_HOST_STATUS_PREPARING_FOR_MAINTENANCE);
    if (action->reason)
        VR_SET_STRING(VR_EDIT(txn, HOST, host, id), maintenance_reason, action->reason);
    vr_event_add(txn, VR_EVENT_USER_VDS_MAINTENANCE,
                 &(struct vr_event_about){ .user = vr_call_user(call),
                                           .host = host,
                                           .correlation_id = call->correlation_id },
                 "Reason", action->reason ? action->reason : "", NULL);
    /* Machines are not migrated by this version: the host takes no more of them, and is in
     * maintenance once the last one has ended. */
    staying = vms > 0 ? names_on(engine, id, false) : NULL;
    if (staying)
        vr_event_add(txn, VR_EVENT_USER_VDS_MAINTENANCE_MIGRATION_FAILED,
                     &(struct vr_event_about){ .user = vr_call_user(call),
                                               .host = host,
                                               .correlation_id = call->correlation_id },
                     "failedVms", staying, NULL);
    vr_call_commit_action(call, txn, NULL);
    if (at_once)
        vr_hosts_unwatch(engine, id);
    return;
fail:
    vr_call_fail(call, &error);
}

/* Capabilities are read again at the next tick of a connected host; the status shows what came. */
void vr_host_refresh(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_host *host = vr_call_target(call, VR_KIND_HOST, &error);
    if (host && !monitor_find(call->engine, host->id))
        vr_error_set(&error, &vr_fault_host_wrong_state, "The host is not being watched.");
    if (error) {
        vr_call_fail(call, &error);
        return;
    }
    monitor_refresh(monitor_find(call->engine, host->id));
    vr_call_commit_action(call, NULL, NULL);
}
