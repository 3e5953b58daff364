/* SPDX-License-Identifier: Apache-2.0 */
#include "setup/pki.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gnutls/x509.h>

#include "setup/file.h"

/* What is proved here does not depend on the size of the keys. */
#define BITS 2048

struct place {
    char folder[64];
    char ca[128], certificate[128], key[128];
};

static const char *const names[] = { "vm.example.com", "192.0.2.7", "2001:db8::7", NULL };

static void place_init(struct place *place)
{
    g_strlcpy(place->folder, "/tmp/vireo-pki-XXXXXX", sizeof(place->folder));
    g_assert_nonnull(mkdtemp(place->folder));
    g_snprintf(place->ca, sizeof(place->ca), "%s/ca.pem", place->folder);
    g_snprintf(place->certificate, sizeof(place->certificate), "%s/leaf.pem", place->folder);
    g_snprintf(place->key, sizeof(place->key), "%s/leaf.key", place->folder);
}

static void place_done(struct place *place)
{
    static const char *const files[] = { "ca.pem", "ca.key", "leaf.pem", "leaf.key" };
    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *path = g_build_filename(place->folder, files[i], NULL);
        unlink(path);
    }
    g_assert_cmpint(rmdir(place->folder), ==, 0); /* nothing else is left behind */
}

static struct vr_pki_request request_for(const struct place *place)
{
    return (struct vr_pki_request){
        .ca_folder = place->folder,
        .certificate = place->certificate,
        .key = place->key,
        .common_name = "vm.example.com",
        .names = names,
        .use = VR_PKI_SERVER,
        .days = VR_PKI_HTTPS_DAYS,
        .key_bits = BITS,
    };
}

static void must(bool good, struct vr_error *error)
{
    if (!good) {
        g_autofree char *text = vr_error_text(error);
        g_error("%s", text);
    }
    g_assert_null(error);
}

static gnutls_x509_crt_t load(const char *path)
{
    gnutls_x509_crt_t certificate;
    char *text;
    gsize size;
    g_assert_true(g_file_get_contents(path, &text, &size, NULL));
    gnutls_datum_t data = { (unsigned char *)text, (unsigned)size };
    gnutls_x509_crt_init(&certificate);
    g_assert_cmpint(gnutls_x509_crt_import(certificate, &data, GNUTLS_X509_FMT_PEM), ==, 0);
    g_free(text);
    return certificate;
}

static bool made(const struct vr_pki_request *request)
{
    vr_auto_error struct vr_error *error = NULL;
    bool yes = false;
    must(vr_pki_ensure_certificate(request, &yes, &error), error);
    return yes;
}

static void make_ca(const struct place *place)
{
    vr_auto_error struct vr_error *error = NULL;
    must(vr_pki_ensure_ca(place->folder, "Example", BITS, &error), error);
}

static unsigned mode_of(const char *path)
{
    struct stat st;
    g_assert_cmpint(stat(path, &st), ==, 0);
    return st.st_mode & 07777;
}

static void test_chain(void)
{
    struct place place;
    place_init(&place);
    make_ca(&place);
    struct vr_pki_request request = request_for(&place);
    g_assert_true(made(&request));

    gnutls_x509_crt_t ca = load(place.ca), leaf = load(place.certificate);
    unsigned verdict = 1, usage = 0, critical = 0;
    g_assert_cmpint(gnutls_x509_crt_verify(leaf, &ca, 1, 0, &verdict), ==, 0);
    g_assert_cmpuint(verdict, ==, 0);
    g_assert_cmpint(gnutls_x509_crt_get_version(leaf), ==, 3);
    g_assert_cmpint(gnutls_x509_crt_get_pk_algorithm(leaf, NULL), ==, GNUTLS_PK_RSA);

    g_assert_cmpint(gnutls_x509_crt_get_key_usage(ca, &usage, &critical), ==, 0);
    g_assert_cmpuint(usage, ==, GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN);
    g_assert_cmpint(gnutls_x509_crt_get_ca_status(ca, &critical), ==, 1);
    g_assert_cmpint(gnutls_x509_crt_get_ca_status(leaf, &critical), ==, 0);
    g_assert_cmpint(gnutls_x509_crt_get_key_usage(leaf, &usage, &critical), ==, 0);
    g_assert_cmpuint(usage, ==, GNUTLS_KEY_DIGITAL_SIGNATURE | GNUTLS_KEY_KEY_ENCIPHERMENT);

    static const char *const good[] = { "vm.example.com", "192.0.2.7", "2001:db8::7" };
    static const char *const bad[] = { "other.example.com", "192.0.2.8" };
    for (size_t i = 0; i < G_N_ELEMENTS(good); i++)
        g_assert_true(gnutls_x509_crt_check_hostname(leaf, good[i]));
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
        g_assert_false(gnutls_x509_crt_check_hostname(leaf, bad[i]));

    time_t begin = gnutls_x509_crt_get_activation_time(leaf);
    time_t end = gnutls_x509_crt_get_expiration_time(leaf);
    g_assert_cmpint(begin, <, time(NULL));
    g_assert_cmpint(end - begin, >=, (time_t)VR_PKI_HTTPS_DAYS * 86400);
    g_assert_cmpint(end - begin, <, (time_t)(VR_PKI_HTTPS_DAYS + 1) * 86400);
    g_assert_cmpint(gnutls_x509_crt_get_expiration_time(ca), >, end);
    gnutls_x509_crt_deinit(ca);
    gnutls_x509_crt_deinit(leaf);

    g_autofree char *ca_key = g_build_filename(place.folder, "ca.key", NULL);
    g_assert_cmpuint(mode_of(ca_key), ==, 0600);
    g_assert_cmpuint(mode_of(place.key), ==, 0600);
    g_assert_cmpuint(mode_of(place.certificate), ==, 0644);
    place_done(&place);
}

static const char *const more_names[] = { "vm.example.com", "new.example.com", NULL };

/* Rows in order, on one certificate: what is asked next, and whether that needs a new signature. */
static void test_renewal(void)
{
    struct place place;
    place_init(&place);
    make_ca(&place);
    struct vr_pki_request request = request_for(&place);
    static const struct {
        const char *what;
        const char *const *names;
        unsigned use, days;
        const char *remove;
        bool want;
    } rows[] = {
        { "the first", names, VR_PKI_SERVER, 398, NULL, true },
        { "the same again", names, VR_PKI_SERVER, 398, NULL, false },
        { "a lost certificate", names, VR_PKI_SERVER, 398, "leaf.pem", true },
        { "a lost key", names, VR_PKI_SERVER, 398, "leaf.key", true },
        { "another use", names, VR_PKI_SERVER | VR_PKI_CLIENT, 398, NULL, true },
        { "the Manager's mark", names, VR_PKI_SERVER | VR_PKI_CLIENT | VR_PKI_MANAGER, 398, NULL,
          true },
        { "a mark that is there", names, VR_PKI_CLIENT | VR_PKI_MANAGER, 398, NULL, false },
        { "fewer uses than it has", names, VR_PKI_CLIENT, 398, NULL, false },
        { "another name", more_names, VR_PKI_SERVER, VR_PKI_RENEW_DAYS - 1, NULL, true },
        { "too little time left", more_names, VR_PKI_SERVER, 398, NULL, true },
        { "fresh", more_names, VR_PKI_SERVER, 398, NULL, false },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_test_message("%s", rows[i].what);
        if (rows[i].remove) {
            g_autofree char *path = g_build_filename(place.folder, rows[i].remove, NULL);
            g_assert_cmpint(unlink(path), ==, 0);
        }
        request.names = rows[i].names;
        request.use = rows[i].use;
        request.days = rows[i].days;
        g_assert_cmpint(made(&request), ==, rows[i].want);
    }
    place_done(&place);
}

static void test_key_survives_renewal(void)
{
    struct place place;
    place_init(&place);
    make_ca(&place);
    struct vr_pki_request request = request_for(&place);
    g_assert_true(made(&request));
    g_autofree char *before = NULL;
    g_autofree char *after = NULL;
    g_assert_true(g_file_get_contents(place.key, &before, NULL, NULL));
    request.names = more_names;
    g_assert_true(made(&request));
    g_assert_true(g_file_get_contents(place.key, &after, NULL, NULL));
    g_assert_cmpstr(before, ==, after);
    place_done(&place);
}

static void test_authority_is_kept(void)
{
    struct place place;
    place_init(&place);
    make_ca(&place);
    g_autofree char *before = NULL;
    g_autofree char *after = NULL;
    g_assert_true(g_file_get_contents(place.ca, &before, NULL, NULL));
    make_ca(&place);
    g_assert_true(g_file_get_contents(place.ca, &after, NULL, NULL));
    g_assert_cmpstr(before, ==, after);

    /* A crash between key and certificate: the key is used. */
    g_autofree char *ca_key = g_build_filename(place.folder, "ca.key", NULL);
    g_autofree char *key_before = NULL;
    g_autofree char *key_after = NULL;
    g_assert_true(g_file_get_contents(ca_key, &key_before, NULL, NULL));
    g_assert_cmpint(unlink(place.ca), ==, 0);
    make_ca(&place);
    g_assert_true(g_file_get_contents(ca_key, &key_after, NULL, NULL));
    g_assert_cmpstr(key_before, ==, key_after);

    /* A certificate without its key is for a person to solve. */
    vr_auto_error struct vr_error *error = NULL;
    g_assert_cmpint(unlink(ca_key), ==, 0);
    g_assert_false(vr_pki_ensure_ca(place.folder, "Example", BITS, &error));
    g_assert_nonnull(error);
    g_assert_nonnull(strstr(error->detail, "backup"));
    place_done(&place);
}

static void test_foreign_certificate_is_replaced(void)
{
    struct place place, other;
    place_init(&place);
    place_init(&other);
    make_ca(&place);
    make_ca(&other);
    struct vr_pki_request request = request_for(&place);
    g_assert_true(made(&request));
    request.ca_folder = other.folder;
    g_assert_true(made(&request));
    g_assert_false(made(&request));
    place_done(&place);
    place_done(&other);
}

static void test_garbage_is_an_error(void)
{
    struct place place;
    place_init(&place);
    make_ca(&place);
    vr_auto_error struct vr_error *error = NULL;
    g_assert_true(g_file_set_contents(place.certificate, "-----BEGIN", -1, NULL));
    struct vr_pki_request request = request_for(&place);
    g_assert_false(vr_pki_ensure_certificate(&request, NULL, &error));
    g_assert_nonnull(error);
    place_done(&place);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pki/a leaf verifies, has names, uses, validity and permissions", test_chain);
    g_test_add_func("/pki/a certificate is signed anew only when needed", test_renewal);
    g_test_add_func("/pki/a key survives the renewal of its certificate",
                    test_key_survives_renewal);
    g_test_add_func("/pki/an authority is kept, completed, never replaced",
                    test_authority_is_kept);
    g_test_add_func("/pki/a certificate of another authority is replaced",
                    test_foreign_certificate_is_replaced);
    g_test_add_func("/pki/a file that cannot be parsed is an error", test_garbage_is_an_error);
    return g_test_run();
}
