/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tls.h"

#include <gnutls/x509.h>

#include "gen/faults.h"
#include "net/tls_session.h"

/* Tickets are of no use between two parties that keep their connection open. */
#define SESSION_FLAGS (GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL | GNUTLS_NO_TICKETS)
#define PRIORITY "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

struct vr_tls_credentials {
    gint refs; /* atomic */
    gnutls_certificate_credentials_t certificate;
};

struct vr_tls {
    gint refs; /* atomic */
    char *ca_file, *cert_file, *key_file;
    struct vr_mutex lock;               /* a leaf */
    struct vr_tls_credentials *current; /* guarded by lock */
};

static void credentials_unref(struct vr_tls_credentials *credentials)
{
    if (!credentials || !g_atomic_int_dec_and_test(&credentials->refs))
        return;
    gnutls_certificate_free_credentials(credentials->certificate);
    g_free(credentials);
}

static bool failed(int r, const char *what, const char *file, struct vr_error **error)
{
    if (r >= 0)
        return false;
    vr_error_set(error, &vr_fault_peer_not_trusted, "%s %s: %s.", what, file, gnutls_strerror(r));
    return true;
}

static struct vr_tls_credentials *read_credentials(const struct vr_tls *tls,
                                                   struct vr_error **error)
{
    gnutls_certificate_credentials_t certificate;
    int r = gnutls_certificate_allocate_credentials(&certificate);
    g_assert(r >= 0);

    r = gnutls_certificate_set_x509_trust_file(certificate, tls->ca_file, GNUTLS_X509_FMT_PEM);
    if (r == 0)
        r = GNUTLS_E_NO_CERTIFICATE_FOUND;
    if (failed(r, "Cannot read the CA", tls->ca_file, error))
        goto fail;
    r = gnutls_certificate_set_x509_key_file(certificate, tls->cert_file, tls->key_file,
                                             GNUTLS_X509_FMT_PEM);
    if (failed(r, "Cannot use the certificate and key", tls->cert_file, error))
        goto fail;

    struct vr_tls_credentials *credentials = g_new0(struct vr_tls_credentials, 1);
    credentials->refs = 1;
    credentials->certificate = certificate;
    return credentials;
fail:
    gnutls_certificate_free_credentials(certificate);
    return NULL;
}

struct vr_tls *vr_tls_new(const char *ca_file, const char *cert_file, const char *key_file,
                          struct vr_error **error)
{
    struct vr_tls *tls = g_new0(struct vr_tls, 1);
    tls->refs = 1;
    tls->ca_file = g_strdup(ca_file);
    tls->cert_file = g_strdup(cert_file);
    tls->key_file = g_strdup(key_file);
    vr_mutex_init(&tls->lock);
    if (!vr_tls_reload(tls, error)) {
        vr_tls_unref(tls);
        return NULL;
    }
    return tls;
}

struct vr_tls *vr_tls_ref(struct vr_tls *tls)
{
    g_atomic_int_inc(&tls->refs);
    return tls;
}

void vr_tls_unref(struct vr_tls *tls)
{
    if (!tls || !g_atomic_int_dec_and_test(&tls->refs))
        return;
    credentials_unref(tls->current);
    vr_mutex_done(&tls->lock);
    g_free(tls->ca_file);
    g_free(tls->cert_file);
    g_free(tls->key_file);
    g_free(tls);
}

bool vr_tls_reload(struct vr_tls *tls, struct vr_error **error)
{
    struct vr_tls_credentials *fresh = read_credentials(tls, error);
    if (!fresh)
        return false;
    vr_mutex_lock(&tls->lock);
    struct vr_tls_credentials *old = tls->current;
    tls->current = fresh;
    vr_mutex_unlock(&tls->lock);
    credentials_unref(old);
    return true;
}

static struct vr_tls_credentials *current_credentials(struct vr_tls *tls)
{
    vr_mutex_lock(&tls->lock);
    struct vr_tls_credentials *credentials = tls->current;
    g_atomic_int_inc(&credentials->refs);
    vr_mutex_unlock(&tls->lock);
    return credentials;
}

/* Parsed once a process: a priority string costs more than a handshake's other set-up. */
static gnutls_priority_t priorities(void)
{
    static gsize once;
    static gnutls_priority_t cache;
    if (g_once_init_enter(&once)) {
        int r = gnutls_priority_init(&cache, PRIORITY, NULL);
        if (r < 0)
            g_error("TLS priorities: %s", gnutls_strerror(r));
        g_once_init_leave(&once, 1);
    }
    return cache;
}

static char *part_of_name(gnutls_x509_crt_t crt, const char *oid)
{
    char text[256];
    size_t size = sizeof(text);
    int r = gnutls_x509_crt_get_dn_by_oid(crt, oid, 0, 0, text, &size);
    return r < 0 ? NULL : g_strdup(text);
}

/* The first certificate that the peer showed; the caller frees it. */
static gnutls_x509_crt_t peer_certificate(gnutls_session_t session)
{
    unsigned count = 0;
    const gnutls_datum_t *list = gnutls_certificate_get_peers(session, &count);
    gnutls_x509_crt_t crt;
    if (!count || gnutls_x509_crt_init(&crt) < 0)
        return NULL;
    if (gnutls_x509_crt_import(crt, &list[0], GNUTLS_X509_FMT_DER) < 0) {
        gnutls_x509_crt_deinit(crt);
        return NULL;
    }
    return crt;
}

static bool name_fits(gnutls_session_t session, const char *name)
{
    gnutls_x509_crt_t crt = peer_certificate(session);
    if (!crt)
        return false;
    /* An address is looked for among the SANs only; hosts of old carry it as CN. */
    g_autofree char *cn = part_of_name(crt, GNUTLS_OID_X520_COMMON_NAME);
    bool fits = gnutls_x509_crt_check_hostname(crt, name) ||
                (cn && g_ascii_strcasecmp(cn, name) == 0);
    gnutls_x509_crt_deinit(crt);
    return fits;
}

static bool pin_fits(gnutls_session_t session, const uint8_t *pin)
{
    unsigned count = 0;
    const gnutls_datum_t *list = gnutls_certificate_get_peers(session, &count);
    uint8_t digest[32];
    size_t size = sizeof(digest);
    return count && gnutls_fingerprint(GNUTLS_DIG_SHA256, &list[0], digest, &size) >= 0 &&
           size == sizeof(digest) && memcmp(digest, pin, size) == 0;
}

/* Called within the handshake; a refusal becomes a TLS alert. */
static int verify_peer(gnutls_session_t gnutls)
{
    struct vr_tls_session *session = gnutls_session_get_ptr(gnutls);
    unsigned status = 0;
    int r = gnutls_certificate_verify_peers2(gnutls, &status);
    if (r < 0) {
        session->refusal = g_strdup(gnutls_strerror(r));
        return r;
    }
    if (status) {
        gnutls_datum_t text = { 0 };
        gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, &text, 0);
        session->refusal = g_strstrip(g_strndup((const char *)text.data, text.size));
        gnutls_free(text.data);
        return GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR;
    }
    if (session->expect.pin && !pin_fits(gnutls, session->expect.pin)) {
        session->refusal = g_strdup("Its certificate is not the one that was pinned.");
        return GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR;
    }
    if (session->expect.name && !name_fits(gnutls, session->expect.name)) {
        session->refusal =
            g_strdup_printf("Its certificate is not for '%s'.", session->expect.name);
        return GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR;
    }
    return 0;
}

void vr_tls_session_init(struct vr_tls_session *session, struct vr_tls *tls, bool server, int fd,
                         const struct vr_tls_expect *expect)
{
    session->credentials = current_credentials(tls);
    session->expect = *expect;
    int r =
        gnutls_init(&session->session, (server ? GNUTLS_SERVER : GNUTLS_CLIENT) | SESSION_FLAGS);
    if (r >= 0)
        r = gnutls_priority_set(session->session, priorities());
    if (r >= 0)
        r = gnutls_credentials_set(session->session, GNUTLS_CRD_CERTIFICATE,
                                   session->credentials->certificate);
    g_assert(r >= 0);
    gnutls_session_set_ptr(session->session, session);
    gnutls_session_set_verify_function(session->session, verify_peer);
    if (server)
        gnutls_certificate_server_set_request(session->session, GNUTLS_CERT_REQUIRE);
    gnutls_handshake_set_timeout(session->session, 0); /* the stream's timer sets the limit */
    gnutls_transport_set_int(session->session, fd);
}

void vr_tls_session_done(struct vr_tls_session *session)
{
    if (session->session)
        gnutls_deinit(session->session);
    credentials_unref(session->credentials);
    g_free(session->refusal);
    *session = (struct vr_tls_session){ 0 };
}

/* Whether @crt is for the key that we showed a certificate for. */
static bool is_for_our_key(gnutls_session_t session, gnutls_x509_crt_t crt)
{
    const gnutls_datum_t *shown = gnutls_certificate_get_ours(session);
    unsigned char ours[32], its[32];
    size_t our_size = sizeof(ours), its_size = sizeof(its);
    gnutls_x509_crt_t own;
    if (!shown || gnutls_x509_crt_init(&own) < 0)
        return false;
    bool same =
        gnutls_x509_crt_import(own, shown, GNUTLS_X509_FMT_DER) >= 0 &&
        gnutls_x509_crt_get_key_id(own, GNUTLS_KEYID_USE_SHA256, ours, &our_size) >= 0 &&
        gnutls_x509_crt_get_key_id(crt, GNUTLS_KEYID_USE_SHA256, its, &its_size) >= 0 &&
        our_size == sizeof(ours) && its_size == our_size && memcmp(ours, its, our_size) == 0;
    gnutls_x509_crt_deinit(own);
    return same;
}

struct vr_tls_peer *vr_tls_session_peer(const struct vr_tls_session *session)
{
    gnutls_x509_crt_t crt = session->session ? peer_certificate(session->session) : NULL;
    if (!crt)
        return NULL;
    struct vr_tls_peer *peer = g_new0(struct vr_tls_peer, 1);
    peer->name = part_of_name(crt, GNUTLS_OID_X520_COMMON_NAME);
    peer->unit = part_of_name(crt, GNUTLS_OID_X520_ORGANIZATIONAL_UNIT_NAME);
    peer->has_our_key = is_for_our_key(session->session, crt);
    gnutls_x509_crt_deinit(crt);
    return peer;
}

void vr_tls_peer_free(struct vr_tls_peer *peer)
{
    if (!peer)
        return;
    g_free(peer->name);
    g_free(peer->unit);
    g_free(peer);
}
