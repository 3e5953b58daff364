/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/deploy/internal.h"

#include "gen/faults.h"
#include "manager/hosts/hosts.h"

extern const struct vr_job_type vr_job_deploy_host, vr_job_enroll_host;

#define USER_MAX 32

/* --- what requests say --- */

static bool bad(struct vr_error **error, const char *why)
{
    vr_error_set(error, &vr_fault_invalid_value, "%s", why);
    return false;
}

static bool check_user(const char *name, struct vr_error **error)
{
    if (!*name || strlen(name) > USER_MAX || *name == '-')
        return bad(error, "ssh.user.user_name is no name of a user.");
    for (const char *c = name; *c; c++)
        if (!g_ascii_isalnum(*c) && !strchr("._-", *c))
            return bad(error, "ssh.user.user_name is no name of a user.");
    return true;
}

static bool check_key(const struct vr_ssh *ssh, struct vr_error **error)
{
    if (ssh->fingerprint && *ssh->fingerprint && !vr_ssh_is_fingerprint(ssh->fingerprint))
        return bad(error, "ssh.fingerprint is not of the form SHA256:… that ssh-keygen -l prints.");
    if (!ssh->public_key || !*ssh->public_key)
        return true;
    g_autofree char *fingerprint = vr_ssh_fingerprint(ssh->public_key);
    if (!fingerprint)
        return bad(error, "ssh.public_key is not of the form \"TYPE BASE64\" of an OpenSSH key.");
    if (ssh->fingerprint && *ssh->fingerprint &&
        !vr_ssh_same_fingerprint(ssh->fingerprint, fingerprint))
        return bad(error, "ssh.fingerprint is not that of ssh.public_key.");
    return true;
}

bool vr_deploy_read_login(const struct vr_ssh *body, const char *root_password,
                          struct vr_deploy_login *ret, struct vr_error **error)
{
    const struct vr_user *user = body ? body->user : NULL;
    const char *password = user && user->password && *user->password ? user->password : NULL;
    if (root_password && *root_password)
        password = root_password;
    *ret = (struct vr_deploy_login){ .password = password, .asked = password != NULL };
    if (!body)
        return true;
    if (VR_HAS(body, port) && (body->port < 1 || body->port > 65535))
        return bad(error, "ssh.port must be from 1 to 65535.");
    if ((user && user->user_name && !check_user(user->user_name, error)) ||
        !check_key(body, error))
        return false;
    if (!VR_HAS(body, authentication_method))
        return true;
    ret->asked = true;
    if (body->authentication_method == VR_SSH_AUTHENTICATION_METHOD_PUBLICKEY)
        ret->password = NULL;
    else if (!password)
        return bad(error, "The password is missing: ssh.user.password or root_password.");
    return true;
}

void vr_deploy_merge_ssh(struct vr_host *host, const struct vr_ssh *body)
{
    struct vr_ssh *ssh = VR_SUB(host, ssh, ssh);
    if (VR_HAS(body, port))
        VR_SET(ssh, port, body->port);
    if (VR_HAS(body, authentication_method))
        VR_SET(ssh, authentication_method, body->authentication_method);
    if (body->user && body->user->user_name)
        VR_SET_STRING(VR_SUB(ssh, user, user), user_name, body->user->user_name);
    bool key = body->public_key && *body->public_key;
    if (!key && !(body->fingerprint && *body->fingerprint))
        return;
    g_autofree char *fingerprint =
        key ? vr_ssh_fingerprint(body->public_key) : g_strdup(body->fingerprint);
    if (!vr_ssh_same_fingerprint(fingerprint, ssh->fingerprint))
        VR_CLEAR(ssh, public_key); /* of the key that was known before */
    VR_SET_STRING(ssh, fingerprint, fingerprint);
    if (key)
        VR_SET_STRING(ssh, public_key, body->public_key);
}

static void overwrite(char *password)
{
    if (password)
        explicit_bzero(password, strlen(password));
}

void vr_deploy_forget(struct vr_ssh *body, char *root_password)
{
    overwrite(root_password);
    if (body && body->user)
        overwrite(body->user->password);
}

/* --- the job --- */

static struct vr_lock lock_of(const char *host_id)
{
    return (struct vr_lock){ VR_KIND_HOST, host_id, true };
}

bool vr_deploy_is_free(struct vr_engine *engine, const char *host_id, struct vr_error **error)
{
    const struct vr_lock lock = lock_of(host_id);
    return vr_locks_free(engine, &lock, 1, error);
}

bool vr_deploy_is_running(struct vr_engine *engine, const struct vr_host *host)
{
    return VR_LINK_ID(host, install_job) &&
           vr_job_running(engine, VR_LINK_ID(host, install_job)) != NULL;
}

const char *vr_deploy_start(struct vr_txn *txn, struct vr_host *host,
                            const struct vr_deploy_order *order)
{
    struct vr_engine *engine = vr_txn_engine(txn);
    struct vr_deploy_context *context = VR_NEW(deploy_context);
    const struct vr_lock lock = lock_of(host->id);
    VR_SET_STRING(context, host_id, host->id);
    VR_SET(context, enroll, order->enroll);
    VR_SET(context, activate, order->activate);
    VR_SET(context, by_password, order->login->password != NULL);
    VR_SET(context, firewall, VR_GET(host, override_iptables, false));
    if (order->user)
        VR_SET_STRING(context, user_id, order->user->id);
    if (host->ssh && host->ssh->fingerprint)
        VR_SET_STRING(context, fingerprint, host->ssh->fingerprint);
    g_autofree char *description =
        g_strdup_printf(order->enroll ? "Enrolling certificate of Host %s" : "Installing Host %s",
                        host->name);
    const struct vr_job_start start = {
        .type = order->enroll ? &vr_job_enroll_host : &vr_job_deploy_host,
        .context = context,
        .description = description,
        .locks = &lock,
        .lock_count = 1,
        .user_id = order->user ? order->user->id : NULL,
        .correlation_id = order->correlation_id,
    };
    const char *job_id = vr_job_start(txn, &start);
    if (order->login->password)
        deploy_keep_password(engine, job_id, order->login->password);
    VR_SET_LINK(host, install_job, job, job_id);
    vr_hosts_set_status(txn, host->id, VR_HOST_STATUS_INSTALLING);
    return job_id;
}

/* --- certificates --- */

struct vr_errand *vr_deploy_signing(const struct vr_config *config, const struct vr_host *host,
                                    const char *request)
{
    const char *const names[] = { host->address, NULL };
    struct vr_errand *errand = vr_errand_new(VR_ERRAND_SIGN);
    errand->sign.request = g_strdup(request);
    /* The subject is for people; a long name does not fit (RFC 5280, ub-common-name). */
    errand->sign.common_name = g_strdup(strlen(host->address) <= 64 ? host->address : host->id);
    errand->sign.names = g_strdupv((char **)(uintptr_t)names);
    errand->sign.days = (unsigned)(config->VdsCertificateValidityInYears * 36525 / 100);
    return errand;
}

void vr_deploy_certified(struct vr_host *host, const struct vr_errand_sign *sign)
{
    struct vr_certificate *certificate = VR_SUB(host, certificate, certificate);
    VR_SET_STRING(certificate, subject, sign->subject);
    if (sign->organization)
        VR_SET_STRING(certificate, organization, sign->organization);
    VR_SET_STRING(host, certificate_pem, sign->certificate);
    VR_SET_STRING(host, certificate_fingerprint, sign->fingerprint);
    VR_SET_STRING(host, certificate_key, sign->key_id);
    VR_SET(host, certificate_expires, sign->expires);
}
