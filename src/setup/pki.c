/* SPDX-License-Identifier: Apache-2.0 */
#include "setup/pki_private.h"

#include <arpa/inet.h>
#include <time.h>

#include <gnutls/crypto.h>

#include "base/mark.h"
#include "setup/file.h"

/* A certificate or key of ours takes a few KiB. */
#define FILE_LIMIT (64 * 1024)

const struct vr_fault fault_pki = {
    .name = "pki", .http = 500, .exit = 1, .text = "The certificates cannot be set up."
};

void pair_done(struct pair *pair)
{
    if (pair->certificate)
        gnutls_x509_crt_deinit(pair->certificate);
    if (pair->key)
        gnutls_x509_privkey_deinit(pair->key);
}

bool tls_fail(struct vr_error **error, const char *what, int code)
{
    vr_error_set(error, &fault_pki, "%s: %s.", what, gnutls_strerror(code));
    return false;
}

bool pair_load(struct pair *pair, const char *certificate, const char *key,
                      struct vr_error **error)
{
    size_t size = 0;
    g_autofree char *pem = vr_file_read(certificate, FILE_LIMIT, &size, error);
    if (*error)
        return false;
    if (pem) {
        gnutls_datum_t data = { (unsigned char *)pem, (unsigned)size };
        gnutls_x509_crt_init(&pair->certificate);
        int rc = gnutls_x509_crt_import(pair->certificate, &data, GNUTLS_X509_FMT_PEM);
        if (rc < 0)
            return tls_fail(error, certificate, rc);
    }
    g_autofree char *secret = vr_file_read(key, FILE_LIMIT, &size, error);
    if (*error)
        return false;
    if (secret) {
        gnutls_datum_t data = { (unsigned char *)secret, (unsigned)size };
        gnutls_x509_privkey_init(&pair->key);
        int rc = gnutls_x509_privkey_import(pair->key, &data, GNUTLS_X509_FMT_PEM);
        gnutls_memset(secret, 0, size);
        if (rc < 0)
            return tls_fail(error, key, rc);
    }
    return true;
}

static bool pair_matches(const struct pair *pair)
{
    unsigned char of_certificate[64], of_key[64];
    size_t a = sizeof(of_certificate), b = sizeof(of_key);
    return gnutls_x509_crt_get_key_id(pair->certificate, 0, of_certificate, &a) == 0 &&
           gnutls_x509_privkey_get_key_id(pair->key, 0, of_key, &b) == 0 && a == b &&
           memcmp(of_certificate, of_key, a) == 0;
}

static bool save_key(gnutls_x509_privkey_t key, const char *path, struct vr_error **error)
{
    gnutls_datum_t pem = { NULL, 0 };
    int rc = gnutls_x509_privkey_export2_pkcs8(key, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN,
                                               &pem);
    if (rc < 0)
        return tls_fail(error, path, rc);
    bool good = vr_file_replace(path, pem.data, pem.size, 0600, error);
    gnutls_memset(pem.data, 0, pem.size);
    gnutls_free(pem.data);
    return good;
}

static bool save_certificate(gnutls_x509_crt_t certificate, const char *path,
                             struct vr_error **error)
{
    gnutls_datum_t pem = { NULL, 0 };
    int rc = gnutls_x509_crt_export2(certificate, GNUTLS_X509_FMT_PEM, &pem);
    if (rc < 0)
        return tls_fail(error, path, rc);
    bool good = vr_file_replace(path, pem.data, pem.size, 0644, error);
    gnutls_free(pem.data);
    return good;
}

/* The key is on the disk before anything is signed for it. */
static bool ensure_key(struct pair *pair, const char *path, unsigned bits, struct vr_error **error)
{
    if (pair->key)
        return true;
    gnutls_x509_privkey_init(&pair->key);
    int rc = gnutls_x509_privkey_generate(pair->key, GNUTLS_PK_RSA,
                                          bits ? bits : VR_PKI_KEY_BITS, 0);
    if (rc < 0)
        return tls_fail(error, "Cannot make a key", rc);
    return save_key(pair->key, path, error);
}

/* What authority and leaf have in common: version, serial number, validity, key identifier; the
 * key is set already. */
static int fill_common(gnutls_x509_crt_t certificate, unsigned days)
{
    unsigned char serial[16], id[20];
    size_t id_size = sizeof(id);
    int rc = gnutls_rnd(GNUTLS_RND_NONCE, serial, sizeof(serial));
    serial[0] = (serial[0] & 0x7f) | 0x40; /* positive and of full length */
    /* Hosts with clocks a little behind must accept it at once. */
    time_t now = time(NULL);
    if (rc == 0)
        rc = gnutls_x509_crt_set_version(certificate, 3);
    if (rc == 0)
        rc = gnutls_x509_crt_set_serial(certificate, serial, sizeof(serial));
    if (rc == 0)
        rc = gnutls_x509_crt_set_activation_time(certificate, now - 60 * 60);
    if (rc == 0)
        rc = gnutls_x509_crt_set_expiration_time(certificate, now + (time_t)days * DAY);
    if (rc == 0)
        rc = gnutls_x509_crt_get_key_id(certificate, 0, id, &id_size);
    if (rc == 0)
        rc = gnutls_x509_crt_set_subject_key_id(certificate, id, id_size);
    return rc;
}

static int set_name(gnutls_x509_crt_t certificate, const char *oid, const char *value)
{
    return gnutls_x509_crt_set_dn_by_oid(certificate, oid, 0, value, (unsigned)strlen(value));
}

bool vr_pki_ensure_ca(const char *folder, const char *organization, unsigned key_bits,
                      struct vr_error **error)
{
    g_autofree char *certificate = g_build_filename(folder, "ca.pem", NULL);
    g_autofree char *key = g_build_filename(folder, "ca.key", NULL);
    auto_pair pair = { 0 };
    if (!pair_load(&pair, certificate, key, error))
        return false;
    if (pair.certificate) {
        if (pair.key && pair_matches(&pair))
            return true;
        vr_error_set(error, &fault_pki,
                     pair.key ? "%s does not belong to %s; bring both back from the backup."
                              : "%s is there without %s; bring the key back from the backup.",
                     certificate, key);
        return false;
    }
    if (!ensure_key(&pair, key, key_bits, error))
        return false;

    gnutls_x509_crt_init(&pair.certificate);
    unsigned char id[20];
    size_t id_size = sizeof(id);
    /* The number keeps two authorities of one organization apart in a browser's store. */
    g_autofree char *name = g_strdup_printf("%.40s CA %05u", organization,
                                            g_random_int_range(0, 100000));
    int rc = gnutls_x509_crt_set_key(pair.certificate, pair.key);
    if (rc == 0)
        rc = fill_common(pair.certificate, VR_PKI_CA_DAYS);
    if (rc == 0)
        rc = set_name(pair.certificate, GNUTLS_OID_X520_ORGANIZATION_NAME, organization);
    if (rc == 0)
        rc = set_name(pair.certificate, GNUTLS_OID_X520_COMMON_NAME, name);
    if (rc == 0)
        rc = gnutls_x509_crt_set_basic_constraints(pair.certificate, 1, 0);
    if (rc == 0)
        rc = gnutls_x509_crt_set_key_usage(pair.certificate,
                                           GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN);
    if (rc == 0)
        rc = gnutls_x509_crt_get_subject_key_id(pair.certificate, id, &id_size, NULL);
    if (rc == 0)
        rc = gnutls_x509_crt_set_authority_key_id(pair.certificate, id, id_size);
    if (rc == 0)
        rc = gnutls_x509_crt_sign2(pair.certificate, pair.certificate, pair.key,
                                   GNUTLS_DIG_SHA256, 0);
    if (rc < 0)
        return tls_fail(error, "Cannot make the certificate authority", rc);
    return save_certificate(pair.certificate, certificate, error);
}

/* An IP address in text becomes 4 or 16 bytes; returns 0 when @name is none. */
static unsigned address_bytes(const char *name, unsigned char bytes[16])
{
    if (inet_pton(AF_INET, name, bytes) == 1)
        return 4;
    return inet_pton(AF_INET6, name, bytes) == 1 ? 16 : 0;
}

static bool has_name(gnutls_x509_crt_t certificate, const char *name)
{
    unsigned char wanted[16], found[256];
    unsigned size = address_bytes(name, wanted);
    for (unsigned i = 0;; i++) {
        size_t found_size = sizeof(found);
        int kind = gnutls_x509_crt_get_subject_alt_name(certificate, i, found, &found_size, NULL);
        if (kind == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
            return false;
        if (kind == GNUTLS_SAN_IPADDRESS && size && found_size == size &&
            memcmp(found, wanted, size) == 0)
            return true;
        if (kind == GNUTLS_SAN_DNSNAME && !size && found_size == strlen(name) &&
            g_ascii_strncasecmp((char *)found, name, found_size) == 0)
            return true;
    }
}

static bool has_use(gnutls_x509_crt_t certificate, const char *oid)
{
    char found[64];
    for (unsigned i = 0;; i++) {
        size_t size = sizeof(found);
        if (gnutls_x509_crt_get_key_purpose_oid(certificate, i, found, &size, NULL) < 0)
            return false;
        if (strcmp(found, oid) == 0)
            return true;
    }
}

static bool has_mark(gnutls_x509_crt_t certificate)
{
    char unit[64];
    size_t size = sizeof(unit);
    return gnutls_x509_crt_get_dn_by_oid(certificate, GNUTLS_OID_X520_ORGANIZATIONAL_UNIT_NAME, 0,
                                         0, unit, &size) == 0 &&
           strcmp(unit, VR_MANAGER_UNIT) == 0;
}

/* Whether the certificate can stay as it is. */
static bool still_good(const struct pair *pair, gnutls_x509_crt_t authority,
                       const struct vr_pki_request *request)
{
    unsigned verdict = 0;
    if (!pair->certificate || !pair->key || !pair_matches(pair))
        return false;
    if (gnutls_x509_crt_verify(pair->certificate, &authority, 1, 0, &verdict) < 0 || verdict)
        return false;
    if (gnutls_x509_crt_get_expiration_time(pair->certificate) <
        time(NULL) + VR_PKI_RENEW_DAYS * DAY)
        return false;
    if ((request->use & VR_PKI_SERVER) && !has_use(pair->certificate, GNUTLS_KP_TLS_WWW_SERVER))
        return false;
    if ((request->use & VR_PKI_CLIENT) && !has_use(pair->certificate, GNUTLS_KP_TLS_WWW_CLIENT))
        return false;
    /* One of a Manager that was installed before there was a mark is signed anew. */
    if ((request->use & VR_PKI_MANAGER) && !has_mark(pair->certificate))
        return false;
    for (const char *const *name = request->names; name && *name; name++)
        if (!has_name(pair->certificate, *name))
            return false;
    return true;
}

static int add_names(gnutls_x509_crt_t certificate, const char *const *names)
{
    for (const char *const *name = names; name && *name; name++) {
        unsigned char bytes[16];
        unsigned size = address_bytes(*name, bytes);
        int rc = size ? gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_IPADDRESS,
                                                             bytes, size, GNUTLS_FSAN_APPEND)
                      : gnutls_x509_crt_set_subject_alt_name(
                            certificate, GNUTLS_SAN_DNSNAME, *name, (unsigned)strlen(*name),
                            GNUTLS_FSAN_APPEND);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int sign_leaf(gnutls_x509_crt_t leaf, const struct pair *ca, const struct vr_pki_request *request)
{
    unsigned char id[64];
    size_t id_size = sizeof(id);
    char organization[128];
    size_t organization_size = sizeof(organization);

    int rc = fill_common(leaf, request->days);
    if (rc == 0 &&
        gnutls_x509_crt_get_dn_by_oid(ca->certificate, GNUTLS_OID_X520_ORGANIZATION_NAME, 0, 0,
                                      organization, &organization_size) == 0)
        rc = set_name(leaf, GNUTLS_OID_X520_ORGANIZATION_NAME, organization);
    if (rc == 0 && (request->use & VR_PKI_MANAGER))
        rc = set_name(leaf, GNUTLS_OID_X520_ORGANIZATIONAL_UNIT_NAME, VR_MANAGER_UNIT);
    if (rc == 0)
        rc = set_name(leaf, GNUTLS_OID_X520_COMMON_NAME, request->common_name);
    if (rc == 0)
        rc = gnutls_x509_crt_set_basic_constraints(leaf, 0, -1);
    if (rc == 0)
        rc = gnutls_x509_crt_set_key_usage(leaf, GNUTLS_KEY_DIGITAL_SIGNATURE |
                                                     GNUTLS_KEY_KEY_ENCIPHERMENT);
    if (rc == 0 && (request->use & VR_PKI_SERVER))
        rc = gnutls_x509_crt_set_key_purpose_oid(leaf, GNUTLS_KP_TLS_WWW_SERVER, 0);
    if (rc == 0 && (request->use & VR_PKI_CLIENT))
        rc = gnutls_x509_crt_set_key_purpose_oid(leaf, GNUTLS_KP_TLS_WWW_CLIENT, 0);
    if (rc == 0)
        rc = add_names(leaf, request->names);
    if (rc == 0)
        rc = gnutls_x509_crt_get_subject_key_id(ca->certificate, id, &id_size, NULL);
    if (rc == 0)
        rc = gnutls_x509_crt_set_authority_key_id(leaf, id, id_size);
    if (rc == 0)
        rc = gnutls_x509_crt_sign2(leaf, ca->certificate, ca->key, GNUTLS_DIG_SHA256, 0);
    return rc;
}

bool vr_pki_ensure_certificate(const struct vr_pki_request *request, bool *ret_made,
                               struct vr_error **error)
{
    g_autofree char *ca_certificate = g_build_filename(request->ca_folder, "ca.pem", NULL);
    g_autofree char *ca_key = g_build_filename(request->ca_folder, "ca.key", NULL);
    auto_pair ca = { 0 };
    auto_pair pair = { 0 };
    if (!pair_load(&ca, ca_certificate, ca_key, error) ||
        !pair_load(&pair, request->certificate, request->key, error))
        return false;
    if (!ca.certificate || !ca.key) {
        vr_error_set(error, &fault_pki, "There is no certificate authority in %s.",
                     request->ca_folder);
        return false;
    }
    if (strlen(request->common_name) > 64) {
        vr_error_set(error, &fault_pki, "The name %s is longer than 64 bytes.",
                     request->common_name);
        return false;
    }
    if (still_good(&pair, ca.certificate, request)) {
        if (ret_made)
            *ret_made = false;
        return true;
    }
    if (!ensure_key(&pair, request->key, request->key_bits, error))
        return false;
    if (pair.certificate)
        gnutls_x509_crt_deinit(pair.certificate);
    gnutls_x509_crt_init(&pair.certificate);
    int rc = gnutls_x509_crt_set_key(pair.certificate, pair.key);
    if (rc == 0)
        rc = sign_leaf(pair.certificate, &ca, request);
    if (rc < 0)
        return tls_fail(error, request->certificate, rc);
    if (!save_certificate(pair.certificate, request->certificate, error))
        return false;
    if (ret_made)
        *ret_made = true;
    return true;
}
