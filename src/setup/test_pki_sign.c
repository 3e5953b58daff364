/* SPDX-License-Identifier: Apache-2.0 */
#include "setup/pki.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#include <gnutls/x509.h>

#include "base/mark.h"

static char *folder; /* with an authority */

static void must(bool good, struct vr_error *error)
{
    if (!good) {
        g_autofree char *text = vr_error_text(error);
        g_error("%s", text);
    }
}

/* A request that asks for everything that a host must not get. */
static char *greedy_request(unsigned bits, gnutls_pk_algorithm_t algorithm)
{
    gnutls_x509_privkey_t key;
    gnutls_x509_crq_t crq;
    gnutls_datum_t pem = { 0 };
    gnutls_x509_privkey_init(&key);
    gnutls_x509_crq_init(&crq);
    g_assert_cmpint(gnutls_x509_privkey_generate(key, algorithm, bits, 0), ==, 0);
    g_assert_cmpint(gnutls_x509_crq_set_dn(crq, "CN=manager.example.com,OU=" VR_MANAGER_UNIT ",O=Evil", NULL), ==, 0);
    g_assert_cmpint(gnutls_x509_crq_set_version(crq, 1), ==, 0);
    g_assert_cmpint(gnutls_x509_crq_set_subject_alt_name(crq, GNUTLS_SAN_DNSNAME,
                                                         "manager.example.com", 19, 0), ==, 0);
    g_assert_cmpint(gnutls_x509_crq_set_basic_constraints(crq, 1, -1), ==, 0);
    g_assert_cmpint(gnutls_x509_crq_set_key(crq, key), ==, 0);
    g_assert_cmpint(gnutls_x509_crq_sign2(crq, key, GNUTLS_DIG_SHA256, 0), ==, 0);
    g_assert_cmpint(gnutls_x509_crq_export2(crq, GNUTLS_X509_FMT_PEM, &pem), ==, 0);
    char *text = g_strndup((char *)pem.data, pem.size);
    gnutls_free(pem.data);
    gnutls_x509_crq_deinit(crq);
    gnutls_x509_privkey_deinit(key);
    return text;
}

static const char *const names[] = { "192.0.2.7", "host7.example.com", NULL };
static struct vr_pki_request wanted(void)
{
    return (struct vr_pki_request){
        .ca_folder = folder,
        .common_name = "192.0.2.7",
        .names = names,
        .use = VR_PKI_SERVER | VR_PKI_CLIENT,
        .days = 100,
    };
}

static void test_only_the_key_is_taken(void)
{
    vr_auto_error struct vr_error *error = NULL;
    g_autofree char *request = greedy_request(2048, GNUTLS_PK_RSA);
    g_autofree char *key_id = NULL;
    struct vr_pki_request want = wanted();
    struct vr_pki_certificate made = { 0 }, read = { 0 };
    want.use |= VR_PKI_MANAGER; /* nor from a mistake of ours */
    must(vr_pki_request_key(request, &key_id, &error), error);
    must(vr_pki_sign(request, &want, &made, &error), error);
    g_assert_cmpstr(made.key_id, ==, key_id);
    g_assert_cmpstr(made.subject, ==, "CN=192.0.2.7,O=Example");
    g_assert_cmpstr(made.organization, ==, "Example");
    g_assert_null(made.unit);
    int64_t left = made.expires - time(NULL);
    g_assert_cmpint(left / 86400, >=, 99);
    g_assert_cmpint(left / 86400, <=, 100);

    gnutls_x509_crt_t crt;
    gnutls_datum_t pem = { (unsigned char *)made.pem, (unsigned)strlen(made.pem) };
    unsigned ca = 1;
    gnutls_x509_crt_init(&crt);
    g_assert_cmpint(gnutls_x509_crt_import(crt, &pem, GNUTLS_X509_FMT_PEM), ==, 0);
    g_assert_true(gnutls_x509_crt_check_hostname(crt, "192.0.2.7"));
    g_assert_true(gnutls_x509_crt_check_hostname(crt, "host7.example.com"));
    g_assert_false(gnutls_x509_crt_check_hostname(crt, "manager.example.com"));
    g_assert_cmpint(gnutls_x509_crt_get_ca_status(crt, NULL), ==, 0);
    g_assert_cmpint(gnutls_x509_crt_get_basic_constraints(crt, NULL, &ca, NULL), >=, 0);
    g_assert_cmpuint(ca, ==, 0);
    gnutls_x509_crt_deinit(crt);

    must(vr_pki_describe(made.pem, &read, &error), error);
    g_assert_cmpstr(read.fingerprint, ==, made.fingerprint);
    g_assert_cmpint(read.expires, ==, made.expires);
    vr_pki_certificate_clear(&made);
    vr_pki_certificate_clear(&read);
}

/* A certificate that outlives its authority is worth nothing. */
static void test_no_longer_than_the_authority(void)
{
    vr_auto_error struct vr_error *error = NULL;
    g_autofree char *request = greedy_request(2048, GNUTLS_PK_RSA);
    struct vr_pki_request want = wanted();
    struct vr_pki_certificate made = { 0 };
    want.days = 3 * VR_PKI_CA_DAYS;
    must(vr_pki_sign(request, &want, &made, &error), error);
    g_assert_cmpint(made.expires, <=, time(NULL) + (int64_t)VR_PKI_CA_DAYS * 86400);
    vr_pki_certificate_clear(&made);
}

static void refused(const char *what, const char *request)
{
    vr_auto_error struct vr_error *error = NULL;
    g_autofree char *key_id = NULL;
    const struct vr_pki_request want = wanted();
    struct vr_pki_certificate made = { 0 };
    g_test_message("%s", what);
    g_assert_false(vr_pki_request_key(request, &key_id, &error));
    g_assert_cmpint(error->fault->http, ==, 400);
    g_clear_pointer(&error, vr_error_free);
    g_assert_false(vr_pki_sign(request, &want, &made, &error));
}

static void test_refused(void)
{
    g_autofree char *small = greedy_request(1024, GNUTLS_PK_RSA);
    g_autofree char *curve =
        greedy_request(GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), GNUTLS_PK_ECDSA);
    g_autofree char *bent = greedy_request(2048, GNUTLS_PK_RSA);
    g_autofree char *long_one = g_strnfill(VR_PKI_REQUEST_MAX + 1, 'A');
    /* The signature is at the end: one letter of it is another one. */
    char *end = strstr(bent, "\n-----END") - 20;
    *end = *end == 'A' ? 'B' : 'A';
    refused("a short key", small);
    refused("another kind of key", curve);
    refused("not signed by its own key", bent);
    refused("too long", long_one);
    refused("nothing", "");
    refused("no request", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n"
                          "-----END CERTIFICATE REQUEST-----\n");
}

int main(int argc, char **argv)
{
    vr_auto_error struct vr_error *error = NULL;
    g_test_init(&argc, &argv, NULL);
    folder = g_dir_make_tmp("vireo-sign-XXXXXX", NULL);
    must(vr_pki_ensure_ca(folder, "Example", 2048, &error), error);
    g_test_add_func("/pki sign/only the key of a request is taken", test_only_the_key_is_taken);
    g_test_add_func("/pki sign/not beyond the authority", test_no_longer_than_the_authority);
    g_test_add_func("/pki sign/bad requests are refused", test_refused);
    int failed = g_test_run();
    static const char *const files[] = { "ca.pem", "ca.key" };
    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *path = g_build_filename(folder, files[i], NULL);
        unlink(path);
    }
    rmdir(folder);
    return failed;
}
