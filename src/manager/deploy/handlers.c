/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/deploy/internal.h"

#include "gen/faults.h"
#include "gen/routes.h"
#include "manager/hosts/hosts.h"

/* The actions that install hosts (facts/manager-behaviour.md 1.4). */

static enum vr_host_status status_of(const struct vr_host *host)
{
    return VR_GET(host, status, VR_HOST_STATUS_UNASSIGNED);
}

/* The host of the call, when its status is one of @allowed (ended by VR_HOST_STATUS_COUNT). */
static const struct vr_host *target(struct vr_call *call, const char *what,
                                    const enum vr_host_status *allowed, unsigned count,
                                    struct vr_error **error) VR_REQUIRES(vr_role_engine);
static const struct vr_host *target(struct vr_call *call, const char *what,
                                    const enum vr_host_status *allowed, unsigned count,
                                    struct vr_error **error)
{
    const struct vr_host *host = vr_call_target(call, VR_KIND_HOST, error);
    if (!host)
        return NULL;
    for (unsigned i = 0; i < count; i++)
        if (status_of(host) == allowed[i])
            return vr_deploy_is_free(call->engine, host->id, error) ? host : NULL;
    vr_error_set(error, &vr_fault_host_wrong_state, "Cannot %s Host. The host is in status %s.",
                 what, vr_enum_word(&vr_enum_host_status, (int)status_of(host)));
    return NULL;
}

/* Where the body of an action says it: beside `host`, or in it. */
static bool read_login(const struct vr_action *action, struct vr_deploy_login *ret,
                       struct vr_error **error)
{
    const struct vr_host *host = action->host;
    const struct vr_ssh *ssh = action->ssh ? action->ssh : host ? host->ssh : NULL;
    const char *password = action->root_password ? action->root_password
                           : host               ? host->root_password
                                                : NULL;
    return vr_deploy_read_login(ssh, password, ret, error);
}

static void forget(struct vr_action *action)
{
    vr_deploy_forget(action->ssh, action->root_password);
    if (action->host)
        vr_deploy_forget(action->host->ssh, action->host->root_password);
    VR_CLEAR(action, ssh);
    VR_CLEAR(action, root_password);
    VR_CLEAR(action, host);
}

/* What an action does to the host besides beginning a job. */
struct wish {
    const struct vr_host *host;
    const struct vr_cluster *cluster; /* NULL: its own */
    int64_t host_id;                  /* with the cluster */
    int event;                        /* that tells who wanted it; 0: nobody has to know */
};

static struct vr_host *edit_host(struct vr_txn *txn, const struct wish *wish)
    VR_REQUIRES(vr_role_engine);
static struct vr_host *edit_host(struct vr_txn *txn, const struct wish *wish)
{
    struct vr_host *edit = VR_EDIT(txn, HOST, host, wish->host->id);
    if (wish->cluster) {
        VR_SET_LINK(edit, cluster, cluster, wish->cluster->id);
        VR_SET(edit, host_id, wish->host_id);
    }
    return edit;
}

static void tell_user(struct vr_call *call, struct vr_txn *txn, const struct wish *wish,
                      const struct vr_host *host) VR_REQUIRES(vr_role_engine);
static void tell_user(struct vr_call *call, struct vr_txn *txn, const struct wish *wish,
                      const struct vr_host *host)
{
    if (wish->event)
        vr_event_add(txn, (enum vr_event_code)wish->event,
                     &(struct vr_event_about){ .user = vr_call_user(call),
                                               .host = host,
                                               .correlation_id = call->correlation_id },
                     NULL);
}

static void begin(struct vr_call *call, const struct wish *wish,
                  const struct vr_deploy_order *order) VR_REQUIRES(vr_role_engine);
static void begin(struct vr_call *call, const struct wish *wish,
                  const struct vr_deploy_order *order)
{
    struct vr_action *action = call->body;
    struct vr_engine *engine = call->engine;
    struct vr_txn *txn = vr_txn_new(engine);
    struct vr_host *edit = edit_host(txn, wish);
    if (action->host && action->host->ssh)
        vr_deploy_merge_ssh(edit, action->host->ssh);
    if (action->ssh)
        vr_deploy_merge_ssh(edit, action->ssh);
    if (action->host && VR_HAS(action->host, override_iptables))
        VR_SET(edit, override_iptables, action->host->override_iptables);
    vr_hosts_unwatch(engine, edit->id);
    tell_user(call, txn, wish, edit);
    const char *job_id = vr_deploy_start(txn, edit, order);
    forget(action);
    vr_call_commit_action(call, txn, job_id);
}

void vr_host_install(struct vr_call *call)
{
    static const enum vr_host_status allowed[] = { VR_HOST_STATUS_MAINTENANCE,
                                                   VR_HOST_STATUS_INSTALL_FAILED };
    const struct vr_action *action = call->body;
    vr_auto_error struct vr_error *error = NULL;
    struct vr_deploy_login login;
    const struct vr_host *host =
        target(call, "install", allowed, G_N_ELEMENTS(allowed), &error);
    if (!host || !read_login(action, &login, &error)) {
        vr_call_fail(call, &error);
        return;
    }
    const struct vr_deploy_order order = {
        .login = &login,
        .activate = VR_GET(action, activate, vr_call_flag(call, "activate", true)),
        .user = vr_call_user(call),
        .correlation_id = call->correlation_id,
    };
    begin(call, &(struct wish){ .host = host }, &order);
}

void vr_host_enroll_certificate(struct vr_call *call)
{
    static const enum vr_host_status allowed[] = { VR_HOST_STATUS_MAINTENANCE,
                                                   VR_HOST_STATUS_INSTALL_FAILED };
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_deploy_login by_key = { .asked = true };
    const struct vr_host *host =
        target(call, "enroll the certificate of", allowed, G_N_ELEMENTS(allowed), &error);
    if (!host) {
        vr_call_fail(call, &error);
        return;
    }
    const struct vr_deploy_order order = {
        .login = &by_key,
        .enroll = true,
        .user = vr_call_user(call),
        .correlation_id = call->correlation_id,
    };
    begin(call, &(struct wish){ .host = host }, &order);
}

/* AutoInstallCertificateOnApprove: otherwise its agent is believed to be enrolled by other means. */
static void approve_without_installing(struct vr_call *call, const struct wish *wish)
    VR_REQUIRES(vr_role_engine);
static void approve_without_installing(struct vr_call *call, const struct wish *wish)
{
    struct vr_engine *engine = call->engine;
    g_autofree char *id = g_strdup(wish->host->id);
    struct vr_txn *txn = vr_txn_new(engine);
    tell_user(call, txn, wish, edit_host(txn, wish));
    vr_hosts_set_status(txn, id, VR_HOST_STATUS_UNASSIGNED);
    forget(call->body);
    vr_call_commit_action(call, txn, NULL);
    vr_hosts_watch(engine, id);
}

/* The cluster that the body names, or the host's own; NULL and @error. */
static const struct vr_cluster *choose_cluster(struct vr_call *call, const struct vr_host *host,
                                               struct vr_error **error)
    VR_REQUIRES(vr_role_engine);
static const struct vr_cluster *choose_cluster(struct vr_call *call, const struct vr_host *host,
                                               struct vr_error **error)
{
    const struct vr_action *action = call->body;
    const struct vr_cluster *link = action->cluster                          ? action->cluster
                                    : action->host && action->host->cluster ? action->host->cluster
                                                                             : host->cluster;
    return VR_RESOLVE(call->engine, CLUSTER, cluster, link, "Cluster", error);
}

void vr_host_approve(struct vr_call *call)
{
    static const enum vr_host_status allowed[] = { VR_HOST_STATUS_PENDING_APPROVAL,
                                                   VR_HOST_STATUS_INSTALL_FAILED,
                                                   VR_HOST_STATUS_INSTALLING_OS };
    const struct vr_action *action = call->body;
    vr_auto_error struct vr_error *error = NULL;
    struct vr_deploy_login login;
    const struct vr_host *host =
        target(call, "approve", allowed, G_N_ELEMENTS(allowed), &error);
    const struct vr_cluster *cluster = host ? choose_cluster(call, host, &error) : NULL;
    int64_t host_id = cluster ? vr_hosts_id_in(call->engine, host, cluster, &error) : 0;
    if (host_id == 0 || !read_login(action, &login, &error)) {
        vr_call_fail(call, &error);
        return;
    }
    const struct vr_deploy_order order = {
        .login = &login,
        .activate = VR_GET(action, activate, vr_call_flag(call, "activate", true)),
        .user = vr_call_user(call),
        .correlation_id = call->correlation_id,
    };
    const struct wish wish = { host, cluster, host_id, VR_EVENT_VDS_APPROVE };
    if (vr_engine_config(call->engine)->AutoInstallCertificateOnApprove)
        begin(call, &wish, &order);
    else
        approve_without_installing(call, &wish);
}
