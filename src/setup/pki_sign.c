/* SPDX-License-Identifier: Apache-2.0 */
#include "setup/pki_private.h"

#include <gnutls/abstract.h>
#include <string.h>

static void crq_done(gnutls_x509_crq_t *crq)
{
    if (*crq)
        gnutls_x509_crq_deinit(*crq);
}
#define auto_crq __attribute__((cleanup(crq_done))) gnutls_x509_crq_t

static void pubkey_done(gnutls_pubkey_t *key)
{
    if (*key)
        gnutls_pubkey_deinit(*key);
}
#define auto_pubkey __attribute__((cleanup(pubkey_done))) gnutls_pubkey_t

static char *hex_of(const unsigned char *bytes, size_t size)
{
    GString *text = g_string_sized_new(2 * size + 1);
    for (size_t i = 0; i < size; i++)
        g_string_append_printf(text, "%02x", bytes[i]);
    return g_string_free(text, FALSE);
}

static char *id_of(gnutls_pubkey_t key)
{
    unsigned char id[32];
    size_t size = sizeof(id);
    if (gnutls_pubkey_get_key_id(key, GNUTLS_KEYID_USE_SHA256, id, &size) < 0)
        return NULL;
    return hex_of(id, size);
}

static bool unwanted(struct vr_error **error, const char *why)
{
    vr_error_set(error, &vr_fault_bad_request, "The certificate request is refused: %s.", why);
    return false;
}

/* The key that signed @request, once everything about it has been checked. */
static bool read_request(const char *request, gnutls_pubkey_t *ret_key, struct vr_error **error)
{
    auto_crq crq = NULL;
    auto_pubkey key = NULL;
    unsigned bits = 0;
    size_t size = strlen(request);
    if (size > VR_PKI_REQUEST_MAX)
        return unwanted(error, "it is too long");
    gnutls_datum_t data = { (unsigned char *)(uintptr_t)request, (unsigned)size };
    gnutls_x509_crq_init(&crq);
    gnutls_pubkey_init(&key);
    int rc = gnutls_x509_crq_import(crq, &data, GNUTLS_X509_FMT_PEM);
    if (rc >= 0)
        rc = gnutls_x509_crq_verify(crq, 0);
    if (rc >= 0)
        rc = gnutls_pubkey_import_x509_crq(key, crq, 0);
    if (rc < 0)
        return unwanted(error, gnutls_strerror(rc));
    if (gnutls_pubkey_get_pk_algorithm(key, &bits) != GNUTLS_PK_RSA)
        return unwanted(error, "its key is no RSA key"); /* libvirt and QEMU want RSA (pki.h) */
    if (bits < VR_PKI_REQUEST_BITS_MIN || bits > VR_PKI_REQUEST_BITS_MAX)
        return unwanted(error, "its key has an unwanted length");
    *ret_key = g_steal_pointer(&key);
    return true;
}

bool vr_pki_request_key(const char *request, char **ret_key_id, struct vr_error **error)
{
    auto_pubkey key = NULL;
    if (!read_request(request, &key, error))
        return false;
    *ret_key_id = id_of(key);
    return *ret_key_id || unwanted(error, "its key has no digest");
}

void vr_pki_certificate_clear(struct vr_pki_certificate *certificate)
{
    g_free(certificate->pem);
    g_free(certificate->subject);
    g_free(certificate->organization);
    g_free(certificate->unit);
    g_free(certificate->common_name);
    g_free(certificate->fingerprint);
    g_free(certificate->key_id);
    *certificate = (struct vr_pki_certificate){ 0 };
}

static char *part_of_name(gnutls_x509_crt_t certificate, const char *oid)
{
    char text[256];
    size_t size = sizeof(text);
    int rc = gnutls_x509_crt_get_dn_by_oid(certificate, oid, 0, 0, text, &size);
    return rc < 0 ? NULL : g_strdup(text);
}

static bool describe(gnutls_x509_crt_t certificate, struct vr_pki_certificate *ret,
                     struct vr_error **error)
{
    gnutls_datum_t subject = { 0 }, pem = { 0 };
    unsigned char digest[32];
    size_t size = sizeof(digest);
    auto_pubkey key = NULL;
    gnutls_pubkey_init(&key);
    int rc = gnutls_x509_crt_get_dn3(certificate, &subject, 0);
    if (rc >= 0)
        rc = gnutls_x509_crt_export2(certificate, GNUTLS_X509_FMT_PEM, &pem);
    if (rc >= 0)
        rc = gnutls_x509_crt_get_fingerprint(certificate, GNUTLS_DIG_SHA256, digest, &size);
    if (rc >= 0)
        rc = gnutls_pubkey_import_x509(key, certificate, 0);
    if (rc >= 0) {
        *ret = (struct vr_pki_certificate){
            .pem = g_strndup((char *)pem.data, pem.size),
            .subject = g_strndup((char *)subject.data, subject.size),
            .organization = part_of_name(certificate, GNUTLS_OID_X520_ORGANIZATION_NAME),
            .unit = part_of_name(certificate, GNUTLS_OID_X520_ORGANIZATIONAL_UNIT_NAME),
            .common_name = part_of_name(certificate, GNUTLS_OID_X520_COMMON_NAME),
            .fingerprint = hex_of(digest, size),
            .key_id = id_of(key),
            .expires = gnutls_x509_crt_get_expiration_time(certificate),
        };
    }
    gnutls_free(subject.data);
    gnutls_free(pem.data);
    return rc >= 0 || tls_fail(error, "The certificate makes no sense", rc);
}

bool vr_pki_describe(const char *pem, struct vr_pki_certificate *ret, struct vr_error **error)
{
    gnutls_datum_t data = { (unsigned char *)(uintptr_t)pem, (unsigned)strlen(pem) };
    auto_pair pair = { 0 };
    gnutls_x509_crt_init(&pair.certificate);
    int rc = gnutls_x509_crt_import(pair.certificate, &data, GNUTLS_X509_FMT_PEM);
    if (rc < 0)
        return tls_fail(error, "The certificate cannot be read", rc);
    return describe(pair.certificate, ret, error);
}

bool vr_pki_sign(const char *request, const struct vr_pki_request *wanted,
                 struct vr_pki_certificate *ret, struct vr_error **error)
{
    g_autofree char *ca_certificate = g_build_filename(wanted->ca_folder, "ca.pem", NULL);
    g_autofree char *ca_key = g_build_filename(wanted->ca_folder, "ca.key", NULL);
    auto_pair ca = { 0 };
    auto_pair leaf = { 0 };
    auto_pubkey key = NULL;
    if (!read_request(request, &key, error) || !pair_load(&ca, ca_certificate, ca_key, error))
        return false;
    if (!ca.certificate || !ca.key) {
        vr_error_set(error, &fault_pki, "There is no certificate authority in %s.",
                     wanted->ca_folder);
        return false;
    }
    if (strlen(wanted->common_name) > 64)
        return unwanted(error, "the host's name or address is longer than 64 bytes");
    struct vr_pki_request fitting = *wanted;
    fitting.use &= ~(unsigned)VR_PKI_MANAGER;
    time_t left = gnutls_x509_crt_get_expiration_time(ca.certificate) - time(NULL);
    if (left < DAY)
        return unwanted(error, "the certificate authority has expired");
    fitting.days = (unsigned)MIN((time_t)fitting.days, left / DAY);
    gnutls_x509_crt_init(&leaf.certificate);
    int rc = gnutls_x509_crt_set_pubkey(leaf.certificate, key);
    if (rc >= 0)
        rc = sign_leaf(leaf.certificate, &ca, &fitting);
    if (rc < 0)
        return tls_fail(error, "The certificate cannot be signed", rc);
    return describe(leaf.certificate, ret, error);
}

static void append_part(GByteArray *blob, const gnutls_datum_t *part, bool number)
{
    /* A number with its highest bit set would be negative. */
    bool pad = number && part->size && part->data[0] & 0x80;
    uint32_t size = GUINT32_TO_BE(part->size + pad);
    g_byte_array_append(blob, (const uint8_t *)&size, 4);
    if (pad)
        g_byte_array_append(blob, (const uint8_t *)"", 1);
    g_byte_array_append(blob, part->data, part->size);
}

char *vr_pki_openssh_key(const char *pem)
{
    gnutls_datum_t text = { (unsigned char *)(uintptr_t)pem, (unsigned)strlen(pem) };
    gnutls_datum_t m = { 0 }, e = { 0 };
    const gnutls_datum_t name = { (unsigned char *)(uintptr_t) "ssh-rsa", 7 };
    auto_pair pair = { 0 };
    char *key = NULL;
    gnutls_x509_crt_init(&pair.certificate);
    if (gnutls_x509_crt_import(pair.certificate, &text, GNUTLS_X509_FMT_PEM) == 0 &&
        gnutls_x509_crt_get_pk_rsa_raw(pair.certificate, &m, &e) == 0) {
        GByteArray *blob = g_byte_array_new();
        append_part(blob, &name, false);
        append_part(blob, &e, true);
        append_part(blob, &m, true);
        g_autofree char *base64 = g_base64_encode(blob->data, blob->len);
        key = g_strdup_printf("ssh-rsa %s vireo-manager\n", base64);
        g_byte_array_unref(blob);
    }
    gnutls_free(m.data);
    gnutls_free(e.data);
    return key;
}
