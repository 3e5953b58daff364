/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "deploy"
#include "manager/deploy/internal.h"

#include "gen/faults.h"
#include "model/config.h"

#include <string.h>

/*
 * The management network of a host that was installed: a bridge of its name over the device that
 * has the host's address (facts/manager-behaviour.md 1.5).
 *
 *   look --there--> done
 *    | ^ \--there, not kept yet--> confirm, keep --> look
 *    v |
 *   ask the host to change it, meanwhile confirm over fresh connections --> done
 *
 * Every turn begins with a look, so that whoever was killed in between, the Manager or the agent
 * (which undoes what it had begun), the step goes on from what there is.
 */
#define LOOK_MS 30000
#define AGAIN_MS 1000
#define CONFIRM_MS 10000
/* Until a fresh connection is asked whether it is there. */
#define CONNECT_MS 300
/* What the host may need besides the time that it waits for our sign. */
#define MARGIN_MS 60000
/* Codes of the host (facts/host-rpc.md 5): the connection was lost and all rolled back; networks
 * are being changed already. */
#define RPC_LOST_CONNECTION 10
#define RPC_UNAVAILABLE 40

static int64_t check_seconds(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
static int64_t check_seconds(struct vr_job_run *run)
{
    return MAX(vr_engine_config(run->engine)->NetworkConnectivityCheckTimeoutInSeconds, 1);
}

static int64_t limit_ms(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
static int64_t limit_ms(struct vr_job_run *run)
{
    return 2 * (check_seconds(run) * 1000 + MARGIN_MS);
}

static void fail(struct vr_job_run *run, const char *format, ...) VR_PRINTF(2, 3)
    VR_REQUIRES(vr_role_engine);
static void fail(struct vr_job_run *run, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *reason = g_strdup_vprintf(format, args);
    va_end(args);
    vr_auto_error struct vr_error *error = NULL;
    vr_error_set(&error, &vr_fault_host_install_failed, "%s", reason);
    deploy_end_check(run);
    vr_job_fail(run, &error);
}

static void done(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
static void done(struct vr_job_run *run)
{
    deploy_end_check(run);
    vr_job_done(run);
}

static void look(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);

/* Once more, as long as there is time. */
static void again(struct vr_job_run *run, const char *why) VR_REQUIRES(vr_role_engine);
static void again(struct vr_job_run *run, const char *why)
{
    const struct vr_deploy_context *context = run->context;
    /* A clock that was set back must not make this wait for ever. */
    int64_t left = VR_GET(context, network_until, 0) - vr_engine_wall_ms(run->engine);
    if (left > 0 && left <= limit_ms(run))
        vr_job_after(run, AGAIN_MS, look);
    else
        fail(run, "The host does not answer since its address was to move to the bridge of its "
             "management network (%s). An agent that runs gives it back by itself; look at the host's "
             "console, and at journalctl -u vireo-agent there, and install again.",
             why ? why : "no connection");
}

/* --- a sign of life over a fresh connection: what is open already may pass a firewall that a new
 * one does not --- */

static char *check_id(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
static char *check_id(struct vr_job_run *run)
{
    const struct vr_deploy_context *context = run->context;
    return g_strconcat(context->host_id, "/check", NULL);
}

void deploy_end_check(struct vr_job_run *run)
{
    struct vr_world *world = vr_engine_world(run->engine);
    g_autofree char *id = check_id(run);
    world->ops->host_disconnect(world, id);
}

static void confirm(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
static void confirm_on_it(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);

static void confirmed(struct vr_job_run *run, const void *result, int code, const char *message)
    VR_REQUIRES(vr_role_engine);
static void confirmed(struct vr_job_run *run, const void *result, int code, const char *message)
{
    const struct vr_deploy_context *context = run->context;
    if (!VR_GET(context, network_asked, false))
        return;
    if (code != 0) {
        vr_job_after(run, CONNECT_MS, confirm_on_it);
        return;
    }
    deploy_end_check(run);
    vr_job_after(run, vr_engine_config(run->engine)->SetupNetworksPollingTimeout * 1000, confirm);
}

static void confirm_on_it(struct vr_job_run *run)
{
    const struct vr_deploy_context *context = run->context;
    const struct vr_host *host = deploy_host(run);
    if (!VR_GET(context, network_asked, false) || !host)
        return;
    g_autofree char *id = check_id(run);
    vr_auto struct vr_rpc_host_confirm_connectivity_params *none =
        VR_NEW(rpc_host_confirm_connectivity_params);
    deploy_ask(run, host, id, &vr_verb_host_confirm_connectivity, none, CONFIRM_MS, confirmed);
}

static void confirm(struct vr_job_run *run)
{
    deploy_end_check(run);
    confirm_on_it(run);
}

/* --- made, and not kept yet --- */

static void kept(struct vr_job_run *run, const void *result, int code, const char *message)
    VR_REQUIRES(vr_role_engine);
static void kept(struct vr_job_run *run, const void *result, int code, const char *message)
{
    if (code == 0 || code == RPC_UNAVAILABLE || code == VR_RPC_NETWORK_ERROR ||
        code == VR_RPC_RECOVERING)
        again(run, message);
    else
        fail(run, "The host cannot keep its networks: %s", message ? message : "no reason");
}

static void keep(struct vr_job_run *run, const void *result, int code, const char *message)
    VR_REQUIRES(vr_role_engine);
static void keep(struct vr_job_run *run, const void *result, int code, const char *message)
{
    const struct vr_host *host = deploy_host(run);
    vr_auto struct vr_rpc_host_set_safe_network_config_params *none =
        VR_NEW(rpc_host_set_safe_network_config_params);
    if (host && code == 0)
        vr_job_call(run, host->id, &vr_verb_host_set_safe_network_config, none, LOOK_MS, kept);
    else if (host)
        again(run, message);
}

static void confirm_and_keep(struct vr_job_run *run, const struct vr_host *host)
    VR_REQUIRES(vr_role_engine);
static void confirm_and_keep(struct vr_job_run *run, const struct vr_host *host)
{
    vr_auto struct vr_rpc_host_confirm_connectivity_params *none =
        VR_NEW(rpc_host_confirm_connectivity_params);
    vr_job_call(run, host->id, &vr_verb_host_confirm_connectivity, none, CONFIRM_MS, keep);
}

/* --- the change --- */

static void changed(struct vr_job_run *run, const void *result, int code, const char *message)
    VR_REQUIRES(vr_role_engine);
static void changed(struct vr_job_run *run, const void *result, int code, const char *message)
{
    struct vr_deploy_context *context = run->context;
    const struct vr_host *host = deploy_host(run);
    if (!host)
        return;
    VR_SET(context, network_asked, false);
    deploy_end_check(run);
    switch (code) {
    case 0:
        deploy_tell(run, host, "its management network is set up");
        done(run);
        break;
    case RPC_UNAVAILABLE:
    case VR_RPC_NETWORK_ERROR:
    case VR_RPC_RECOVERING:
        again(run, message);
        break;
    case RPC_LOST_CONNECTION:
        fail(run, "The Manager did not reach the host at %s for %" G_GINT64_FORMAT " s after its address "
             "had moved to the bridge of its management network, and the host took that back. Look for "
             "rules of a firewall on the host that name the network card, for a switch that lets one MAC "
             "address through only, and for a cable that is loose; then install again.",
             host->address, check_seconds(run));
        break;
    default:
        fail(run, "The host cannot set up its management network and is as it was: %s (code %d)",
             message ? message : "no reason", code);
    }
}

static void ask(struct vr_job_run *run, const struct vr_host *host,
                const struct deploy_network *network) VR_REQUIRES(vr_role_engine);
static void ask(struct vr_job_run *run, const struct vr_host *host,
                const struct deploy_network *network)
{
    struct vr_deploy_context *context = run->context;
    vr_auto struct vr_rpc_host_setup_networks_params *params =
        VR_NEW(rpc_host_setup_networks_params);
    struct vr_rpc_setup_network_options *options =
        VR_SUB(params, options, rpc_setup_network_options);
    params->has.networks = params->has.bondings = true;
    vr_map_set(&params->networks, network->name, vr_ref(network->wanted));
    VR_SET(options, connectivity_check, true);
    VR_SET(options, connectivity_timeout, check_seconds(run));
    VR_SET(options, commit_on_success, true);
    deploy_tell(run, host, "moving its address from %s to the bridge %s", network->device,
                network->name);
    VR_SET(context, network_asked, true);
    vr_job_call(run, host->id, &vr_verb_host_setup_networks, params,
                (unsigned)(check_seconds(run) * 1000 + MARGIN_MS), changed);
    vr_job_after(run, CONNECT_MS, confirm);
}

static void looked(struct vr_job_run *run, const void *result, int code, const char *message)
    VR_REQUIRES(vr_role_engine);
static void looked(struct vr_job_run *run, const void *result, int code, const char *message)
{
    const struct vr_rpc_vdsm_capabilities *caps = result;
    const struct vr_host *host = deploy_host(run);
    if (!host)
        return;
    if (code == VR_RPC_NETWORK_ERROR || code == VR_RPC_RECOVERING) {
        again(run, message);
        return;
    }
    if (code != 0) {
        fail(run, "The host does not say what networks it has: %s (code %d)",
             message ? message : "no reason", code);
        return;
    }
    struct deploy_network network = { .outcome = DEPLOY_NETWORK_NONE };
    deploy_network_plan(run, host, caps, &network);
    switch (network.outcome) {
    case DEPLOY_NETWORK_THERE:
        if (caps->net_config_dirty && !g_ascii_strcasecmp(caps->net_config_dirty, "true"))
            confirm_and_keep(run, host);
        else
            done(run);
        break;
    case DEPLOY_NETWORK_NONE:
        if (network.reason)
            deploy_tell(run, host, "%s", network.reason);
        done(run);
        break;
    case DEPLOY_NETWORK_REFUSED:
        fail(run, "%s", network.reason);
        break;
    case DEPLOY_NETWORK_WANTED:
        ask(run, host, &network);
        break;
    }
    deploy_network_done(&network);
}

static void look(struct vr_job_run *run)
{
    const struct vr_host *host = deploy_host(run);
    if (!host)
        return;
    vr_auto struct vr_rpc_host_get_capabilities_params *none =
        VR_NEW(rpc_host_get_capabilities_params);
    deploy_ask(run, host, host->id, &vr_verb_host_get_capabilities, none, LOOK_MS, looked);
}

void deploy_set_up_network(struct vr_job_run *run)
{
    struct vr_deploy_context *context = run->context;
    VR_SET(context, network_asked, false);
    VR_SET(context, network_until, vr_engine_wall_ms(run->engine) + limit_ms(run));
    look(run);
}
