/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "register"
#include "manager/register/register.h"

#include "gen/faults.h"
#include "manager/deploy/deploy.h"
#include "manager/engine/call.h"
#include "manager/hosts/hosts.h"

#define ID_MAX 64
#define NAME_MAX_LENGTH 255
#define NUMBERED_NAMES 100
/* Hosts that wait for their approval: more than a person looks through, less than harm. */
#define PENDING_MAX 64
#define PATTERN_STEPS 100000

void vr_registration_free(struct vr_registration *registration)
{
    if (!registration)
        return;
    g_free(registration->unique_id);
    g_free(registration->name);
    g_free(registration->address);
    g_free(registration->ssh_user);
    g_free(registration->ssh_fingerprint);
    g_free(registration->ssh_public_key);
    g_free(registration);
}

static bool refuse(struct vr_error **error, const char *format, ...) VR_PRINTF(2, 3);
static bool refuse(struct vr_error **error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    vr_error_set(error, &vr_fault_bad_request, "%s", text);
    return false;
}

/* --- what the host says --- */

/* The id without what is no letter, digit, `-`, `_`, `.` or `:`; NULL when nothing is left. */
static char *safe_id(const char *text)
{
    GString *id = g_string_new(NULL);
    for (const char *c = text ? text : ""; *c && id->len < ID_MAX; c++)
        if (g_ascii_isalnum(*c) || strchr("-_.:", *c))
            g_string_append_c(id, *c);
    return g_string_free(id, id->len == 0);
}

static bool is_address(const char *text)
{
    size_t length = text ? strlen(text) : 0;
    if (length == 0 || length > 255)
        return false;
    for (const char *c = text; *c; c++)
        if (!g_ascii_isalnum(*c) && !strchr("-_.:", *c))
            return false;
    return text[0] != '-';
}

static bool check_said(const struct vr_registration *said, struct vr_error **error)
{
    g_autofree char *id = safe_id(said->unique_id);
    struct vr_deploy_login login;
    if (!id)
        return refuse(error, "Unique id was not provided.");
    if (!is_address(said->address))
        return refuse(error, "The address is neither a name nor an address.");
    if (said->ssh_port > 65535 || said->port > 65535)
        return refuse(error, "A port is a number from 1 to 65535.");
    vr_auto struct vr_ssh *ssh = VR_NEW(ssh);
    if (said->ssh_user)
        VR_SET_STRING(VR_SUB(ssh, user, user), user_name, said->ssh_user);
    if (said->ssh_public_key)
        VR_SET_STRING(ssh, public_key, said->ssh_public_key);
    if (!vr_deploy_read_login(ssh, NULL, &login, error))
        return false;
    const char *name = said->name && *said->name ? said->name : said->address;
    return vr_check_name("Host", name, VR_NAME_HOST, NAME_MAX_LENGTH, error);
}

/* --- who is there --- */

struct others {
    const struct vr_host *same_id, *same_address;
    unsigned pending;
};

static bool has_id(const struct vr_host *host, const char *id)
{
    const struct vr_hardware_information *hardware = host->hardware_information;
    return (host->unique_id && g_ascii_strcasecmp(host->unique_id, id) == 0) ||
           (hardware && hardware->uuid && g_ascii_strcasecmp(hardware->uuid, id) == 0);
}

static struct others look_around(struct vr_engine *engine, const char *id, const char *address)
    VR_REQUIRES(vr_role_engine);
static struct others look_around(struct vr_engine *engine, const char *id, const char *address)
{
    struct others others = { 0 };
    struct vr_inventory *head = vr_engine_head(engine);
    vr_auto_objects struct vr_objects hosts = { 0 };
    vr_inventory_list(head, VR_KIND_HOST, &hosts);
    VR_OBJECTS (struct vr_host, host, &hosts) {
        const struct vr_host *kept = VR_PEEK(head, HOST, host, host->id);
        if (has_id(host, id))
            others.same_id = kept;
        if (g_strcmp0(host->address, address) == 0)
            others.same_address = kept;
        if (VR_GET(host, status, VR_HOST_STATUS_UNASSIGNED) == VR_HOST_STATUS_PENDING_APPROVAL)
            others.pending++;
    }
    return others;
}

static bool name_is_taken(struct vr_engine *engine, const char *name) VR_REQUIRES(vr_role_engine);
static bool name_is_taken(struct vr_engine *engine, const char *name)
{
    vr_auto_objects struct vr_objects hosts = { 0 };
    vr_inventory_list(vr_engine_head(engine), VR_KIND_HOST, &hosts);
    VR_OBJECTS (struct vr_host, host, &hosts)
        if (g_strcmp0(host->name, name) == 0)
            return true;
    return false;
}

/* @wanted, or the first of @wanted-1, @wanted-2 … that is free, or when too many are not, one that
 * nobody guesses: who asks has no login, and every look goes over all hosts.  Owned. */
static char *free_name(struct vr_engine *engine, const char *wanted) VR_REQUIRES(vr_role_engine);
static char *free_name(struct vr_engine *engine, const char *wanted)
{
    char *name = g_strdup(wanted);
    for (unsigned i = 1; i <= NUMBERED_NAMES && name_is_taken(engine, name); i++) {
        g_free(name);
        name = g_strdup_printf("%.240s-%u", wanted, i);
    }
    if (name_is_taken(engine, name)) {
        g_autofree char *uuid = g_uuid_string_random();
        g_free(name);
        name = g_strdup_printf("%.210s-%s", wanted, uuid);
    }
    return name;
}

static const struct vr_cluster *default_cluster(struct vr_engine *engine)
    VR_REQUIRES(vr_role_engine);
static const struct vr_cluster *default_cluster(struct vr_engine *engine)
{
    struct vr_inventory *head = vr_engine_head(engine);
    g_autofree char *id =
        g_ascii_strdown(vr_engine_config(engine)->AutoRegistrationDefaultClusterID, -1);
    const struct vr_cluster *cluster = VR_PEEK(head, CLUSTER, cluster, id);
    if (cluster)
        return cluster;
    vr_auto_error struct vr_error *error = NULL;
    vr_auto struct vr_cluster *by_name = VR_NEW(cluster);
    VR_SET_STRING(by_name, name, "Default");
    return VR_RESOLVE(engine, CLUSTER, cluster, by_name, "Cluster", &error);
}

/* --- patterns of hosts that are approved at once --- */

static bool fits(const char *pattern, const char *text, struct vr_error **error)
{
    g_autoptr(GError) wrong = NULL;
    if (g_str_has_prefix(text, pattern))
        return true;
    g_autofree char *limited = g_strdup_printf("(*LIMIT_MATCH=%u)%s", PATTERN_STEPS, pattern);
    g_autoptr(GRegex) regex = g_regex_new(limited, G_REGEX_ANCHORED, 0, &wrong);
    if (!regex) {
        refuse(error, "The option AutoApprovePatterns holds a bad pattern; no host can register.");
        vr_log_warning("AutoApprovePatterns: %s: %s", pattern, wrong->message);
        return false;
    }
    g_autoptr(GMatchInfo) match = NULL;
    int end = 0;
    return g_regex_match(regex, text, 0, &match) && g_match_info_fetch_pos(match, 0, NULL, &end) &&
           text[end] == '\0';
}

/* facts/manager-behaviour.md 1.5: as a prefix and as an expression, in lower case. */
static bool is_approved(struct vr_engine *engine, const char *id, const char *address,
                        struct vr_error **error) VR_REQUIRES(vr_role_engine);
static bool is_approved(struct vr_engine *engine, const char *id, const char *address,
                        struct vr_error **error)
{
    g_autofree char *list = g_ascii_strdown(vr_engine_config(engine)->AutoApprovePatterns, -1);
    g_autofree char *low_id = g_ascii_strdown(id, -1);
    g_autofree char *low_address = g_ascii_strdown(address, -1);
    g_auto(GStrv) patterns = g_strsplit(list, ",", 256);
    bool found = false;
    g_strdelimit(low_id, ":", '-');
    for (char **pattern = patterns; *pattern && !*error; pattern++) {
        if (!*g_strstrip(*pattern))
            continue;
        bool by_address = fits(*pattern, low_address, error);
        found = found || by_address || (!*error && fits(*pattern, low_id, error));
    }
    return found && !*error;
}

/* --- taking it up --- */

struct waiting {
    vr_register_answer *done;
    void *arg;
    char *text;
};

static void durable(struct vr_engine *engine, void *arg)
{
    struct waiting *waiting = arg;
    waiting->done(NULL, waiting->text, waiting->arg);
    g_free(waiting->text);
    g_free(waiting);
}

static void commit(struct vr_txn *txn, const char *text, vr_register_answer *done, void *arg)
    VR_REQUIRES(vr_role_engine);
static void commit(struct vr_txn *txn, const char *text, vr_register_answer *done, void *arg)
{
    struct waiting *waiting = g_new(struct waiting, 1);
    *waiting = (struct waiting){ done, arg, g_strdup(text) };
    vr_txn_commit(txn, durable, waiting);
}

static struct vr_host *make_host(struct vr_engine *engine, const struct vr_registration *said,
                                 const struct vr_cluster *cluster) VR_REQUIRES(vr_role_engine);
static struct vr_host *make_host(struct vr_engine *engine, const struct vr_registration *said,
                                 const struct vr_cluster *cluster)
{
    struct vr_host *host = VR_NEW(host);
    vr_auto struct vr_ssh *ssh = VR_NEW(ssh);
    VR_TAKE_STRING(host, unique_id, safe_id(said->unique_id));
    VR_TAKE_STRING(host, name,
                   free_name(engine, said->name && *said->name ? said->name : said->address));
    VR_SET_STRING(host, address, said->address);
    if (said->port)
        VR_SET(host, port, said->port);
    VR_SET(ssh, authentication_method, VR_SSH_AUTHENTICATION_METHOD_PUBLICKEY);
    if (said->ssh_port)
        VR_SET(ssh, port, said->ssh_port);
    if (said->ssh_user)
        VR_SET_STRING(VR_SUB(ssh, user, user), user_name, said->ssh_user);
    /* Fingerprints of other forms, as hosts of old send them, cannot be compared. */
    if (said->ssh_fingerprint && vr_ssh_is_fingerprint(said->ssh_fingerprint))
        VR_SET_STRING(ssh, fingerprint, said->ssh_fingerprint);
    if (said->ssh_public_key)
        VR_SET_STRING(ssh, public_key, said->ssh_public_key);
    vr_deploy_merge_ssh(host, ssh);
    vr_hosts_set_defaults(host, cluster, 0);
    VR_SET(host, registered, vr_engine_wall_ms(engine));
    VR_SET(host, status, VR_HOST_STATUS_PENDING_APPROVAL);
    return host;
}

/* Nothing of a host that is in use changes because of somebody without a login: only records that
 * wait for their approval, or for their system, step aside. */
static bool step_aside(struct vr_txn *txn, const struct vr_host *old, struct vr_error **error)
    VR_REQUIRES(vr_role_engine);
static bool step_aside(struct vr_txn *txn, const struct vr_host *old, struct vr_error **error)
{
    switch (VR_GET(old, status, VR_HOST_STATUS_UNASSIGNED)) {
    case VR_HOST_STATUS_INSTALLING_OS:
        vr_txn_remove(txn, VR_KIND_HOST, old->id);
        return true;
    case VR_HOST_STATUS_PENDING_APPROVAL: {
        struct vr_host *edit = VR_EDIT(txn, HOST, host, old->id);
        VR_TAKE_STRING(edit, address, g_strdup_printf("hostname-was-%.200s-%.8s", old->address,
                                                      old->id));
        return true;
    }
    default:
        return refuse(error, "A host has the address %s already; an administrator removes it first.",
                      old->address);
    }
}

static bool take_up(struct vr_txn *txn, const struct vr_registration *said, const char *id,
                    const struct others *others, struct vr_error **error)
    VR_REQUIRES(vr_role_engine);
static bool take_up(struct vr_txn *txn, const struct vr_registration *said, const char *id,
                    const struct others *others, struct vr_error **error)
{
    struct vr_engine *engine = vr_txn_engine(txn);
    const struct vr_cluster *cluster = default_cluster(engine);
    bool approved = is_approved(engine, id, said->address, error);
    if (*error)
        return false;
    if (others->pending >= PENDING_MAX)
        return refuse(error, "Too many hosts wait for their approval.");
    if (others->same_address && !step_aside(txn, others->same_address, error))
        return false;
    int64_t host_id =
        approved && cluster ? vr_hosts_id_in(engine, NULL, cluster, error) : 0;
    if (*error)
        return false;
    if (!cluster)
        return refuse(error, "There is no cluster for hosts that register themselves.");
    struct vr_host *host = make_host(engine, said, cluster);
    vr_txn_add(txn, VR_KIND_HOST, host);
    vr_event_add(txn, VR_EVENT_VDS_REGISTER_SUCCEEDED,
                 &(struct vr_event_about){ .host = host, .cluster = cluster }, NULL);
    if (approved) {
        const struct vr_deploy_login by_key = { .asked = true };
        VR_SET(host, host_id, host_id);
        vr_deploy_start(txn, host, &(struct vr_deploy_order){ .login = &by_key, .activate = true });
    }
    return true;
}

static void tell_no_cluster(struct vr_engine *engine, const struct vr_registration *said)
    VR_REQUIRES(vr_role_engine);
static void tell_no_cluster(struct vr_engine *engine, const struct vr_registration *said)
{
    if (default_cluster(engine))
        return;
    struct vr_txn *txn = vr_txn_new(engine);
    vr_event_add(txn, VR_EVENT_HOST_REGISTRATION_FAILED_INVALID_CLUSTER, NULL, "VdsName",
                 said->name ? said->name : said->address, NULL);
    vr_txn_commit(txn, NULL, NULL);
}

void vr_register_host(struct vr_engine *engine, const struct vr_registration *said,
                      vr_register_answer *done, void *arg)
{
    vr_auto_error struct vr_error *error = NULL;
    struct vr_txn *txn = vr_txn_new(engine);
    g_autofree char *id = safe_id(said->unique_id);
    if (check_said(said, &error)) {
        const struct others others = look_around(engine, id, said->address);
        const struct vr_host *same = others.same_id;
        if (!same)
            take_up(txn, said, id, &others, &error);
        else if (VR_GET(same, status, VR_HOST_STATUS_UNASSIGNED) != VR_HOST_STATUS_PENDING_APPROVAL)
            refuse(&error, "This machine is a host already, in status %s.",
                   vr_enum_word(&vr_enum_host_status,
                                (int)VR_GET(same, status, VR_HOST_STATUS_UNASSIGNED)));
    }
    if (!error) {
        commit(txn, "OK\n", done, arg);
        return;
    }
    vr_txn_abandon(txn);
    tell_no_cluster(engine, said);
    done(error, NULL, arg);
}

/* --- renewing --- */

struct renewal {
    char *host_id;
    vr_register_answer *done;
    void *arg;
};

static const struct vr_host *find_by_key(struct vr_engine *engine, const char *key_id)
    VR_REQUIRES(vr_role_engine);
static const struct vr_host *find_by_key(struct vr_engine *engine, const char *key_id)
{
    struct vr_inventory *head = vr_engine_head(engine);
    vr_auto_objects struct vr_objects hosts = { 0 };
    vr_inventory_list(head, VR_KIND_HOST, &hosts);
    VR_OBJECTS (struct vr_host, host, &hosts)
        if (g_strcmp0(host->certificate_key, key_id) == 0)
            return VR_PEEK(head, HOST, host, host->id);
    return NULL;
}

/* One that was signed not long ago serves as well: asking often gains nothing. */
static bool is_fresh(struct vr_engine *engine, const struct vr_host *host)
    VR_REQUIRES(vr_role_engine);
static bool is_fresh(struct vr_engine *engine, const struct vr_host *host)
{
    int64_t year = (int64_t)36525 * 24 * 36 * 1000;
    int64_t whole = vr_engine_config(engine)->VdsCertificateValidityInYears * year;
    g_autofree char *subject = g_strdup_printf("CN=%s,", host->address);
    return host->certificate_pem && host->certificate && host->certificate->subject &&
           g_str_has_prefix(host->certificate->subject, subject) &&
           VR_GET(host, certificate_expires, 0) - vr_engine_wall_ms(engine) > whole / 2;
}

static void renewed(struct vr_engine *engine, struct vr_errand *errand, void *arg)
    VR_REQUIRES(vr_role_engine);
static void renewed(struct vr_engine *engine, struct vr_errand *errand, void *arg)
{
    struct renewal *renewal = arg;
    vr_auto_error struct vr_error *error = NULL;
    struct vr_txn *txn = vr_txn_new(engine);
    struct vr_host *host = VR_EDIT(txn, HOST, host, renewal->host_id);
    if (errand->sign.error) {
        error = g_steal_pointer(&errand->sign.error);
    } else if (!host || g_strcmp0(host->certificate_key, errand->sign.key_id) != 0) {
        refuse(&error, "The host was removed or has another key by now.");
    }
    if (error) {
        vr_txn_abandon(txn);
        renewal->done(error, NULL, renewal->arg);
    } else {
        vr_deploy_certified(host, &errand->sign);
        vr_event_add(txn, VR_EVENT_HOST_CERTIFICATION_RENEWED,
                     &(struct vr_event_about){ .host = host }, NULL);
        commit(txn, errand->sign.certificate, renewal->done, renewal->arg);
    }
    g_free(renewal->host_id);
    g_free(renewal);
}

void vr_register_renew(struct vr_engine *engine, const char *key_id, const char *request,
                       vr_register_answer *done, void *arg)
{
    const struct vr_host *host = find_by_key(engine, key_id);
    if (!host) {
        vr_auto_error struct vr_error *error = NULL;
        vr_error_set(&error, &vr_fault_not_authorized,
                     "No host has this key; its certificate is enrolled with the action install.");
        done(error, NULL, arg);
    } else if (is_fresh(engine, host)) {
        done(NULL, host->certificate_pem, arg);
    } else {
        struct renewal *renewal = g_new(struct renewal, 1);
        *renewal = (struct renewal){ g_strdup(host->id), done, arg };
        vr_engine_errand(engine, vr_deploy_signing(vr_engine_config(engine), host, request),
                         renewed, renewal);
    }
}
