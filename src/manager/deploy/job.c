/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "deploy"
#include "manager/deploy/internal.h"

#include "gen/faults.h"
#include "manager/hosts/hosts.h"

/* What dpkg and a half-installed QEMU need at the least. */
#define FREE_MIB "200"
/* From the start of the service until it answers: libvirt may have to start first. */
#define AGENT_WAIT_MS (2 * 60 * 1000)
#define AGENT_POLL_MS 1000
#define AGENT_CALL_MS 10000
#define ROOT "root"

static struct deploy_target {
    const char *address, *user, *fingerprint;
    unsigned ssh_port, port;
} target_of(struct vr_job_run *run, const struct vr_host *host) VR_REQUIRES(vr_role_engine);

const struct vr_host *deploy_host(struct vr_job_run *run)
{
    const struct vr_deploy_context *context = run->context;
    const struct vr_host *host = vr_txn_peek(run->txn, VR_KIND_HOST, context->host_id);
    if (!host) {
        vr_auto_error struct vr_error *error = NULL;
        vr_error_set(&error, &vr_fault_host_install_failed, "The host was removed.");
        vr_job_fail(run, &error);
    }
    return host;
}

static struct deploy_target target_of(struct vr_job_run *run, const struct vr_host *host)
{
    const struct vr_deploy_context *context = run->context;
    const struct vr_ssh *ssh = host->ssh;
    return (struct deploy_target){
        .address = host->address,
        .user = ssh && ssh->user && ssh->user->user_name ? ssh->user->user_name : ROOT,
        .fingerprint = context->fingerprint,
        .ssh_port = ssh ? (unsigned)VR_GET(ssh, port, 22) : 22,
        .port = (unsigned)VR_GET(host, port, 54321),
    };
}

void deploy_tell(struct vr_job_run *run, const struct vr_host *host, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *message = g_strdup_vprintf(format, args);
    va_end(args);
    struct vr_txn *txn = vr_txn_new(run->engine);
    vr_event_add(txn, VR_EVENT_VDS_INSTALL_IN_PROGRESS,
                 &(struct vr_event_about){ .host = host, .correlation_id = run->correlation_id },
                 "Message", message, NULL);
    vr_txn_commit(txn, NULL, NULL);
}

void deploy_ask(struct vr_job_run *run, const struct vr_host *host, const char *as,
                const struct vr_verb *verb, const void *params, unsigned timeout_ms,
                vr_job_answer *done)
{
    struct vr_world *world = vr_engine_world(run->engine);
    const struct vr_host_target target = { .host_id = as,
                                           .address = host->address,
                                           .port = target_of(run, host).port };
    world->ops->host_connect(world, &target);
    vr_job_call(run, as, verb, params, timeout_ms, done);
}

/* Runs a script on the host; @password may be NULL. */
static void run_script(struct vr_job_run *run, const struct vr_host *host, const char *password,
                       const char *body, const char *const *pairs, vr_job_errand_done *done)
    VR_REQUIRES(vr_role_engine);
static void run_script(struct vr_job_run *run, const struct vr_host *host, const char *password,
                       const char *body, const char *const *pairs, vr_job_errand_done *done)
{
    const struct deploy_target target = target_of(run, host);
    struct vr_errand *errand = vr_errand_new(VR_ERRAND_SSH);
    errand->ssh.address = g_strdup(target.address);
    errand->ssh.port = target.ssh_port;
    errand->ssh.user = g_strdup(target.user);
    errand->ssh.password = g_strdup(password);
    errand->ssh.fingerprint = g_strdup(target.fingerprint);
    errand->ssh.script = deploy_script(body, pairs);
    vr_job_errand(run, errand, done);
}

/* Ends the run when the script failed; its notes become an event. */
static bool went_well(struct vr_job_run *run, const struct vr_errand *errand, const char *what)
    VR_REQUIRES(vr_role_engine);
static bool went_well(struct vr_job_run *run, const struct vr_errand *errand, const char *what)
{
    const struct vr_deploy_context *context = run->context;
    vr_auto_error struct vr_error *error = NULL;
    g_autofree char *notes = NULL;
    if (!deploy_script_verdict(&errand->ssh.answer, what, &notes, &error)) {
        vr_job_fail(run, &error);
        return false;
    }
    const struct vr_host *host = vr_txn_peek(run->txn, VR_KIND_HOST, context->host_id);
    if (notes && host)
        deploy_tell(run, host, "%s", notes);
    return true;
}

static void script_ended(struct vr_job_run *run, struct vr_errand *errand)
    VR_REQUIRES(vr_role_engine);
static void script_ended(struct vr_job_run *run, struct vr_errand *errand)
{
    if (went_well(run, errand, "A command"))
        vr_job_done(run);
}

static void fail_as(struct vr_job_run *run, struct vr_error **error) VR_REQUIRES(vr_role_engine);
static void fail_as(struct vr_job_run *run, struct vr_error **error)
{
    vr_auto_error struct vr_error *taken = g_steal_pointer(error);
    vr_job_fail(run, &taken);
}

/* --- log in --- */

/* The key that was seen first is the one that has to be seen from now on. */
static void pin_key(struct vr_job_run *run, const struct vr_ssh_answer *answer)
    VR_REQUIRES(vr_role_engine);
static void pin_key(struct vr_job_run *run, const struct vr_ssh_answer *answer)
{
    struct vr_deploy_context *context = run->context;
    struct vr_host *host = VR_EDIT(run->txn, HOST, host, context->host_id);
    if (!host || !answer->fingerprint)
        return;
    if (!context->fingerprint)
        deploy_tell(run, host, "its SSH key has the fingerprint %s, which is trusted from now on",
             answer->fingerprint);
    VR_SET_STRING(context, fingerprint, answer->fingerprint);
    struct vr_ssh *ssh = VR_SUB(host, ssh, ssh);
    VR_SET_STRING(ssh, fingerprint, answer->fingerprint);
    if (answer->public_key)
        VR_SET_STRING(ssh, public_key, answer->public_key);
}

static void logged_in(struct vr_job_run *run, struct vr_errand *errand)
    VR_REQUIRES(vr_role_engine);
static void logged_in(struct vr_job_run *run, struct vr_errand *errand)
{
    struct vr_deploy_context *context = run->context;
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_ssh_answer *answer = &errand->ssh.answer;
    bool forgotten = context->by_password && !deploy_password(run->engine, run->job_id) &&
                     answer->outcome == VR_SSH_LOGIN_REFUSED;
    if (forgotten) {
        vr_error_set(&error, &vr_fault_host_install_failed,
                     "The Manager was restarted before it had logged in, and keeps no passwords: "
                     "give the password again with the action install.");
        fail_as(run, &error);
        return;
    }
    if (!deploy_script_verdict(answer, "The login", NULL, &error)) {
        fail_as(run, &error);
        return;
    }
    pin_key(run, answer);
    deploy_drop_password(run->engine, run->job_id); /* the Manager's key is let in */
    vr_job_done(run);
}

static void log_in_with(struct vr_job_run *run, struct vr_errand *errand)
    VR_REQUIRES(vr_role_engine);
static void log_in_with(struct vr_job_run *run, struct vr_errand *errand)
{
    const struct vr_host *host = deploy_host(run);
    if (!host)
        return;
    if (errand->offer.error) {
        fail_as(run, &errand->offer.error);
        return;
    }
    const char *pairs[] = { "manager_key", errand->offer.ssh_key, NULL };
    run_script(run, host, deploy_password(run->engine, run->job_id), deploy_sh_login, pairs,
               logged_in);
}

static void get_offer(struct vr_job_run *run, bool package, vr_job_errand_done *done)
    VR_REQUIRES(vr_role_engine);
static void get_offer(struct vr_job_run *run, bool package, vr_job_errand_done *done)
{
    struct vr_errand *errand = vr_errand_new(VR_ERRAND_OFFER);
    errand->offer.package = package;
    vr_job_errand(run, errand, done);
}

static void log_in(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
static void log_in(struct vr_job_run *run)
{
    const struct vr_deploy_context *context = run->context;
    const struct vr_host *host = deploy_host(run);
    if (!host)
        return;
    deploy_tell(run, host, "connecting to %s", host->address);
    /* Without a package there is no use in going there. */
    get_offer(run, !VR_GET(context, enroll, false), log_in_with);
}

/* --- check, install --- */

static void check_machine(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
static void check_machine(struct vr_job_run *run)
{
    const struct vr_host *host = deploy_host(run);
    if (!host)
        return;
    g_autofree char *now =
        g_strdup_printf("%" G_GINT64_FORMAT, vr_engine_wall_ms(run->engine) / 1000);
    const char *pairs[] = { "free_mib", FREE_MIB, "now", now, NULL };
    deploy_tell(run, host, "checking the machine");
    run_script(run, host, NULL, deploy_sh_check, pairs, script_ended);
}

static void install_from(struct vr_job_run *run, struct vr_errand *errand)
    VR_REQUIRES(vr_role_engine);
static void install_from(struct vr_job_run *run, struct vr_errand *errand)
{
    const struct vr_errand_offer *offer = &errand->offer;
    const struct vr_host *host = deploy_host(run);
    if (!host)
        return;
    if (offer->error) {
        fail_as(run, &errand->offer.error);
        return;
    }
    g_autoptr(GUri) uri = g_uri_parse(offer->manager_url, G_URI_FLAGS_NONE, NULL);
    const char *pairs[] = { "url",          offer->url,
                            "manager_host", uri ? g_uri_get_host(uri) : "",
                            "sha256",       offer->sha256,
                            "authority",    offer->authority,
                            NULL };
    deploy_tell(run, host, "installing version %s of the agent", offer->version);
    run_script(run, host, NULL, deploy_sh_install, pairs, script_ended);
}

static void install_agent(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
static void install_agent(struct vr_job_run *run)
{
    get_offer(run, true, install_from);
}

/* --- enrol --- */

static void requested(struct vr_job_run *run, struct vr_errand *errand)
    VR_REQUIRES(vr_role_engine);
static void requested(struct vr_job_run *run, struct vr_errand *errand)
{
    static const char begin[] = "-----BEGIN NEW CERTIFICATE REQUEST-----",
                      other[] = "-----BEGIN CERTIFICATE REQUEST-----";
    struct vr_deploy_context *context = run->context;
    if (!went_well(run, errand, "Making the host's key"))
        return;
    const char *output = errand->ssh.answer.output->str;
    const char *request = strstr(output, begin) ? strstr(output, begin) : strstr(output, other);
    if (!request) {
        vr_auto_error struct vr_error *error = NULL;
        vr_error_set(&error, &vr_fault_host_install_failed,
                     "The host answers with something else than a certificate request.");
        fail_as(run, &error);
        return;
    }
    VR_SET_STRING(context, request, request);
    vr_job_done(run);
}

static void request_certificate(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
static void request_certificate(struct vr_job_run *run)
{
    const struct vr_deploy_context *context = run->context;
    const struct vr_host *host = deploy_host(run);
    if (!host)
        return;
    /* Who wants a new certificate wants a new key; a reinstallation keeps the one that is there. */
    const char *pairs[] = { "new_key", VR_GET(context, enroll, false) ? "--new-key" : "", NULL };
    deploy_tell(run, host, "enrolling its certificate");
    run_script(run, host, NULL, deploy_sh_request, pairs, requested);
}

/* A machine that was copied with its key would be the other one to everybody. */
static const struct vr_host *same_key(struct vr_engine *engine, const char *host_id,
                                      const char *key_id) VR_REQUIRES(vr_role_engine);
static const struct vr_host *same_key(struct vr_engine *engine, const char *host_id,
                                      const char *key_id)
{
    const struct vr_host *found = NULL;
    vr_auto_objects struct vr_objects hosts = { 0 };
    vr_inventory_list(vr_engine_head(engine), VR_KIND_HOST, &hosts);
    VR_OBJECTS (struct vr_host, host, &hosts)
        if (g_strcmp0(host->id, host_id) != 0 && g_strcmp0(host->certificate_key, key_id) == 0)
            found = VR_PEEK(vr_engine_head(engine), HOST, host, host->id);
    return found;
}

static void signed_by_us(struct vr_job_run *run, struct vr_errand *errand)
    VR_REQUIRES(vr_role_engine);
static void signed_by_us(struct vr_job_run *run, struct vr_errand *errand)
{
    struct vr_deploy_context *context = run->context;
    struct vr_errand_sign *sign = &errand->sign;
    if (sign->error) {
        fail_as(run, &sign->error);
        return;
    }
    const struct vr_host *other = same_key(run->engine, context->host_id, sign->key_id);
    if (other) {
        vr_auto_error struct vr_error *error = NULL;
        vr_error_set(&error, &vr_fault_host_install_failed,
                     "The host has the same key as host %s: it was copied from it. Remove the files "
                     "in /etc/pki/vdsm on the host and install again.", other->name);
        fail_as(run, &error);
        return;
    }
    VR_SET_STRING(context, certificate, sign->certificate);
    VR_SET_STRING(context, authority, sign->authority ? sign->authority : "");
    struct vr_host *host = VR_EDIT(run->txn, HOST, host, context->host_id);
    if (host)
        vr_deploy_certified(host, sign);
    vr_job_done(run);
}

static void sign_certificate(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
static void sign_certificate(struct vr_job_run *run)
{
    const struct vr_deploy_context *context = run->context;
    const struct vr_host *host = deploy_host(run);
    if (host)
        vr_job_errand(run,
                      vr_deploy_signing(vr_engine_config(run->engine), host, context->request),
                      signed_by_us);
}

static void accept_with(struct vr_job_run *run, struct vr_errand *errand)
    VR_REQUIRES(vr_role_engine);
static void accept_with(struct vr_job_run *run, struct vr_errand *errand)
{
    const struct vr_deploy_context *context = run->context;
    const struct vr_host *host = deploy_host(run);
    if (!host)
        return;
    if (errand->offer.error) {
        fail_as(run, &errand->offer.error);
        return;
    }
    g_autofree char *both = g_strconcat(context->certificate, context->authority, NULL);
    g_autofree char *port = g_strdup_printf("%u", target_of(run, host).port);
    const char *pairs[] = { "certificate", both, "manager_url", errand->offer.manager_url,
                            "known_by", errand->offer.known_by, "port", port, NULL };
    run_script(run, host, NULL, deploy_sh_accept, pairs, script_ended);
}

static void install_certificate(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
static void install_certificate(struct vr_job_run *run)
{
    get_offer(run, false, accept_with);
}

/* --- start, wait --- */

static void started(struct vr_job_run *run, struct vr_errand *errand) VR_REQUIRES(vr_role_engine);
static void started(struct vr_job_run *run, struct vr_errand *errand)
{
    struct vr_deploy_context *context = run->context;
    if (!went_well(run, errand, "Starting the agent"))
        return;
    VR_SET(context, wait_until, vr_engine_wall_ms(run->engine) + AGENT_WAIT_MS);
    vr_job_done(run);
}

static void start_agent(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
static void start_agent(struct vr_job_run *run)
{
    const struct vr_deploy_context *context = run->context;
    const struct vr_host *host = deploy_host(run);
    if (!host)
        return;
    g_autofree char *port = g_strdup_printf("%u", target_of(run, host).port);
    const char *pairs[] = { "firewall", VR_GET(context, firewall, false) ? "yes" : "", "port", port,
                            NULL };
    deploy_tell(run, host, "starting the agent");
    run_script(run, host, NULL, deploy_sh_start, pairs, started);
}

static void wait_agent(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);

static void pinged(struct vr_job_run *run, const void *result, int code, const char *message)
    VR_REQUIRES(vr_role_engine);
static void pinged(struct vr_job_run *run, const void *result, int code, const char *message)
{
    const struct vr_deploy_context *context = run->context;
    const struct vr_host *host = deploy_host(run);
    if (!host)
        return;
    if (code == 0 || code == VR_RPC_RECOVERING) { /* the monitor sees to the rest */
        vr_job_done(run);
        return;
    }
    /* A clock that was set back must not make this wait for ever. */
    int64_t left = VR_GET(context, wait_until, 0) - vr_engine_wall_ms(run->engine);
    if (left > 0 && left <= AGENT_WAIT_MS) {
        vr_job_after(run, AGENT_POLL_MS, wait_agent);
        return;
    }
    vr_auto_error struct vr_error *error = NULL;
    vr_error_set(&error, &vr_fault_host_install_failed,
                 "The agent runs on the host but does not answer on port %u (%s): look at the "
                 "firewall between the Manager and the host, and at journalctl -u vireo-agent there.",
                 target_of(run, host).port, message ? message : "no connection");
    fail_as(run, &error);
}

/* Over the connection that the monitor will use. */
static void wait_agent(struct vr_job_run *run)
{
    const struct vr_host *host = deploy_host(run);
    if (!host)
        return;
    vr_auto struct vr_rpc_host_ping2_params *none = VR_NEW(rpc_host_ping2_params);
    deploy_ask(run, host, host->id, &vr_verb_host_ping2, none, AGENT_CALL_MS, pinged);
}

/* --- the end --- */

static void failed(struct vr_job_run *run, struct vr_host *host, const struct vr_error *error)
    VR_REQUIRES(vr_role_engine);
static void failed(struct vr_job_run *run, struct vr_host *host, const struct vr_error *error)
{
    g_autofree char *reason = g_strdup(error->detail ? error->detail : error->fault->text);
    size_t length = strlen(reason);
    if (length && reason[length - 1] == '.')
        reason[length - 1] = '\0'; /* the event's text has its own */
    struct vr_world *world = vr_engine_world(run->engine);
    world->ops->host_disconnect(world, host->id);
    vr_hosts_set_status(run->txn, host->id, VR_HOST_STATUS_INSTALL_FAILED);
    vr_event_add(run->txn, VR_EVENT_VDS_INSTALL_FAILED,
                 &(struct vr_event_about){ .host = host, .correlation_id = run->correlation_id },
                 "FailedInstallMessage", reason, NULL);
}

static void watch(struct vr_engine *engine, void *arg) VR_REQUIRES(vr_role_engine)
{
    const struct vr_host *host = VR_PEEK(vr_engine_head(engine), HOST, host, arg);
    if (host && VR_GET(host, status, VR_HOST_STATUS_MAINTENANCE) != VR_HOST_STATUS_MAINTENANCE)
        vr_hosts_watch(engine, arg);
}

static void ended(struct vr_job_run *run, bool has_failed, const struct vr_error *error)
    VR_REQUIRES(vr_role_engine);
static void ended(struct vr_job_run *run, bool has_failed, const struct vr_error *error)
{
    const struct vr_deploy_context *context = run->context;
    struct vr_host *host = VR_EDIT(run->txn, HOST, host, context->host_id);
    deploy_drop_password(run->engine, run->job_id);
    deploy_end_check(run);
    if (!host)
        return;
    VR_CLEAR(host, install_job);
    if (has_failed) {
        failed(run, host, error);
        return;
    }
    bool activate = VR_GET(context, activate, true);
    if (!activate) {
        struct vr_world *world = vr_engine_world(run->engine);
        world->ops->host_disconnect(world, host->id);
    }
    VR_SET(host, reinstallation_required, false);
    vr_hosts_set_status(run->txn, host->id, activate ? VR_HOST_STATUS_INITIALIZING
                                                     : VR_HOST_STATUS_MAINTENANCE);
    vr_event_add(run->txn, VR_EVENT_VDS_INSTALL,
                 &(struct vr_event_about){ .host = host, .correlation_id = run->correlation_id },
                 NULL);
    if (activate) /* once this is committed; after a crash the monitor finds it by itself */
        vr_engine_after_with(run->engine, 0, watch, g_strdup(host->id), g_free);
}

static const struct vr_job_step deploy_steps[] = {
    { "log in", log_in, NULL },
    { "check machine", check_machine, NULL },
    { "install agent", install_agent, NULL },
    { "request certificate", request_certificate, NULL },
    { "sign certificate", sign_certificate, NULL },
    { "install certificate", install_certificate, NULL },
    { "start agent", start_agent, NULL },
    { "wait for agent", wait_agent, NULL },
    { "set up management network", deploy_set_up_network, NULL },
};
const struct vr_job_type vr_job_deploy_host = { .name = "InstallHost",
                                                .context = &vr_type_deploy_context,
                                                .steps = deploy_steps,
                                                .step_count = G_N_ELEMENTS(deploy_steps),
                                                .ended = ended };

static const struct vr_job_step enroll_steps[] = {
    { "log in", log_in, NULL },
    { "request certificate", request_certificate, NULL },
    { "sign certificate", sign_certificate, NULL },
    { "install certificate", install_certificate, NULL },
    { "start agent", start_agent, NULL },
    { "wait for agent", wait_agent, NULL },
};
const struct vr_job_type vr_job_enroll_host = { .name = "EnrollHostCertificate",
                                                .context = &vr_type_deploy_context,
                                                .steps = enroll_steps,
                                                .step_count = G_N_ELEMENTS(enroll_steps),
                                                .ended = ended };
