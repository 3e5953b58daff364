/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/doctor/internal.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "agent/enroll/identity.h"
#include "base/mark.h"

/* By whom the Manager knows this host, and this host its Manager. */

#define RENEWAL_S 200
#define ENROLL                                                                                     \
    "vireo-agentd register --manager ADDRESS --fingerprint SHA256:..., or install the host again " \
    "from the Manager"

static char *when(int64_t seconds)
{
    g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(seconds);
    return time ? g_date_time_format(time, "%F") : g_strdup("?");
}

static bool protect_key(struct vr_doctor *doctor, const char *path, struct vr_error **error)
{
    if (chmod(path, 0600) == 0)
        return true;
    vr_error_set(error, &vr_fault_system, "%s: %s", path, g_strerror(errno));
    return false;
}

static bool finish(struct vr_doctor *doctor, const char *what, struct vr_error **error)
{
    return vr_identity_finish(doctor->config, error);
}

static bool renew(struct vr_doctor *doctor, const char *what, struct vr_error **error)
{
    const char *const argv[] = { doctor->config->enroll, "renew", doctor->path ? "--config" : NULL,
                                 doctor->path, NULL };
    return vr_doctor_run(argv, RENEWAL_S, error);
}

/* Group vdsm may read it, as on other makers' hosts; nobody else. */
static void check_key_file(struct vr_doctor *doctor, const struct vr_identity_facts *facts)
{
    const char *path = doctor->config->key;
    struct stat st;
    if (facts->key_fault)
        vr_doctor_wrong(doctor, NULL, NULL, ENROLL, "%s", facts->key_fault);
    else if (stat(path, &st) == 0 && (st.st_mode & 027))
        vr_doctor_wrong(doctor, protect_key, path, "only root may read it",
                        "The private key %s is open to others (mode %03o).", path,
                        st.st_mode & 0777);
    else
        vr_doctor_ok(doctor, "the private key is private");
}

static void check_time(struct vr_doctor *doctor, const struct vr_identity_facts *facts)
{
    int64_t now = time(NULL), left = facts->ends - now;
    g_autofree char *begins = when(facts->begins);
    g_autofree char *ends = when(facts->ends);
    if (facts->begins > now)
        vr_doctor_wrong(doctor, NULL, NULL, "set this host's clock, or the Manager's",
                        "The certificate is valid from %s on, which is in the future.", begins);
    else if (left <= 0)
        vr_doctor_wrong(doctor, renew, NULL, "have the Manager renew it: vireo-agentd enroll renew",
                        "The certificate ended on %s.", ends);
    else if (left < (facts->ends - facts->begins) / 3)
        vr_doctor_wrong(doctor, renew, NULL, "have the Manager renew it: vireo-agentd enroll renew",
                        "The certificate ends on %s and was not renewed.", ends);
    else
        vr_doctor_ok(doctor, "the certificate of %s is valid until %s",
                     facts->name ? facts->name : "this host", ends);
}

static void check_certificate(struct vr_doctor *doctor, const struct vr_identity_facts *facts)
{
    if (facts->certificate_fault) {
        vr_doctor_wrong(doctor, NULL, NULL, ENROLL, "%s", facts->certificate_fault);
        return;
    }
    if (!facts->belongs && facts->belongs_waiting)
        vr_doctor_wrong(doctor, finish, NULL, "put the key that waits in its place",
                        "The certificate is in place and its key is not yet.");
    else if (!facts->belongs && !facts->key_fault)
        vr_doctor_wrong(doctor, NULL, NULL, ENROLL, "The certificate is for another key.");
    if (!facts->authority_fault && !facts->is_signed)
        vr_doctor_wrong(doctor, NULL, NULL, ENROLL,
                        "The certificate is not signed by the authority in %s.",
                        doctor->config->ca);
    if (!facts->has_uses)
        vr_doctor_wrong(doctor, NULL, NULL, ENROLL,
                        "The certificate is not for a TLS server and client.");
    check_time(doctor, facts);
}

static void check_authority(struct vr_doctor *doctor, const struct vr_identity_facts *facts)
{
    g_autofree char *ends = when(facts->authority_ends);
    if (facts->authority_fault)
        vr_doctor_wrong(doctor, NULL, NULL, ENROLL, "%s", facts->authority_fault);
    else if (facts->authority_ends <= time(NULL))
        vr_doctor_wrong(doctor, NULL, NULL,
                        "the Manager needs a new authority, and every host a new certificate",
                        "The Manager's authority ended on %s.", ends);
    else
        vr_doctor_ok(doctor, "the Manager's authority is valid until %s", ends);
}

static void check_manager(struct vr_doctor *doctor)
{
    g_autofree char *manager = vr_identity_manager(doctor->config);
    g_auto(GStrv) known_by = vr_identity_known_by(doctor->config);
    g_autofree char *all = g_strjoinv(", ", known_by);
    if (manager)
        vr_doctor_ok(doctor, "the Manager is %s", manager);
    else
        vr_doctor_note(doctor, "The Manager's address is not known; nobody renews the certificate.");
    if (*known_by)
        vr_doctor_ok(doctor, "the Manager is known by %s; other hosts cannot command this one", all);
    else
        vr_doctor_wrong(doctor, NULL, NULL,
                        "have a Manager with OU=" VR_MANAGER_UNIT " in its certificate connect once, "
                        "or set manager=CN=... in [agent]: the name in the Manager's certificate",
                        "Nothing is recorded about the Manager's certificate: every host of its "
                        "authority may command this one.");
}

void vr_doctor_certificate(struct vr_doctor *doctor)
{
    if (!doctor->config->certificate)
        return; /* the configuration's finding */
    struct vr_identity_facts facts;
    vr_identity_look(doctor->config, &facts);
    check_authority(doctor, &facts);
    check_key_file(doctor, &facts);
    check_certificate(doctor, &facts);
    vr_identity_facts_done(&facts);
    check_manager(doctor);
}
