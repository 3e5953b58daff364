/* SPDX-License-Identifier: Apache-2.0 */
#include "net/test_pki.h"

#include <arpa/inet.h>
#include <time.h>
#include <unistd.h>

#include <glib/gstdio.h>
#include <gnutls/x509.h>

#define DAY (24 * 60 * 60)

static void must(int r)
{
    if (r < 0)
        g_error("GnuTLS: %s", gnutls_strerror(r));
}

static gnutls_x509_privkey_t make_key(void)
{
    gnutls_x509_privkey_t key;
    must(gnutls_x509_privkey_init(&key));
    must(gnutls_x509_privkey_generate(key, GNUTLS_PK_RSA, 2048, 0));
    return key;
}

static void set_validity(gnutls_x509_crt_t crt, time_t from, time_t to)
{
    must(gnutls_x509_crt_set_activation_time(crt, from));
    must(gnutls_x509_crt_set_expiration_time(crt, to));
}

static gnutls_x509_crt_t make_crt(gnutls_x509_privkey_t key, const char *cn, uint8_t serial)
{
    gnutls_x509_crt_t crt;
    must(gnutls_x509_crt_init(&crt));
    must(gnutls_x509_crt_set_version(crt, 3));
    must(gnutls_x509_crt_set_serial(crt, &serial, 1));
    must(gnutls_x509_crt_set_key(crt, key));
    must(gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, cn,
                                       (unsigned)strlen(cn)));
    set_validity(crt, time(NULL) - 2 * DAY, time(NULL) + DAY);
    return crt;
}

static gnutls_x509_crt_t make_ca(gnutls_x509_privkey_t key, const char *cn)
{
    gnutls_x509_crt_t crt = make_crt(key, cn, 1);
    must(gnutls_x509_crt_set_ca_status(crt, 1));
    must(gnutls_x509_crt_set_key_usage(crt, GNUTLS_KEY_KEY_CERT_SIGN));
    must(gnutls_x509_crt_sign2(crt, crt, key, GNUTLS_DIG_SHA256, 0));
    return crt;
}

static void add_addresses(gnutls_x509_crt_t crt)
{
    struct in_addr four;
    struct in6_addr six;
    inet_pton(AF_INET, "127.0.0.1", &four);
    inet_pton(AF_INET6, "::1", &six);
    must(gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_IPADDRESS, &four, sizeof(four),
                                              GNUTLS_FSAN_APPEND));
    must(gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_IPADDRESS, &six, sizeof(six),
                                              GNUTLS_FSAN_APPEND));
    must(gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME, "localhost", 9,
                                              GNUTLS_FSAN_APPEND));
}

static char *save(const struct test_pki *pki, const char *name, gnutls_datum_t *pem)
{
    char *path = g_build_filename(pki->folder, name, NULL);
    g_autoptr(GError) error = NULL;
    g_file_set_contents(path, (const char *)pem->data, pem->size, &error);
    g_assert_no_error(error);
    gnutls_free(pem->data);
    return path;
}

static char *save_crt(const struct test_pki *pki, const char *name, gnutls_x509_crt_t crt)
{
    gnutls_datum_t pem;
    must(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &pem));
    return save(pki, name, &pem);
}

static char *save_key(const struct test_pki *pki, const char *name, gnutls_x509_privkey_t key)
{
    gnutls_datum_t pem;
    must(gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, &pem));
    return save(pki, name, &pem);
}

static void issue(struct test_pki *pki, int which, const char *cn, gnutls_x509_privkey_t key,
                  gnutls_x509_crt_t ca, gnutls_x509_privkey_t ca_key)
{
    gnutls_x509_crt_t crt = make_crt(key, cn, (uint8_t)(which + 2));
    if (which == PKI_SERVER)
        add_addresses(crt);
    if (which == PKI_OLD)
        set_validity(crt, time(NULL) - 2 * DAY, time(NULL) - DAY);
    must(gnutls_x509_crt_sign2(crt, ca, ca_key, GNUTLS_DIG_SHA256, 0));

    size_t size = sizeof(pki->pin[which]);
    must(gnutls_x509_crt_get_fingerprint(crt, GNUTLS_DIG_SHA256, pki->pin[which], &size));
    g_autofree char *crt_name = g_strdup_printf("%d.crt", which);
    g_autofree char *key_name = g_strdup_printf("%d.key", which);
    pki->cert[which] = save_crt(pki, crt_name, crt);
    pki->key[which] = save_key(pki, key_name, key);
    gnutls_x509_crt_deinit(crt);
}

struct test_pki *test_pki_new(void)
{
    struct test_pki *pki = g_new0(struct test_pki, 1);
    pki->folder = g_dir_make_tmp("vireo-pki-XXXXXX", NULL);
    g_assert_nonnull(pki->folder);

    gnutls_x509_privkey_t key = make_key(), stranger = make_key();
    gnutls_x509_crt_t ca = make_ca(key, "ca.test"), other = make_ca(stranger, "other.test");
    pki->ca = save_crt(pki, "ca.crt", ca);
    pki->other_ca = save_crt(pki, "other.crt", other);
    issue(pki, PKI_SERVER, "server.test", key, ca, key);
    issue(pki, PKI_CLIENT, "client.test", key, ca, key);
    issue(pki, PKI_OLD, "old.test", key, ca, key);
    issue(pki, PKI_STRANGER, "stranger.test", stranger, other, stranger);
    gnutls_x509_crt_deinit(ca);
    gnutls_x509_crt_deinit(other);
    gnutls_x509_privkey_deinit(key);
    gnutls_x509_privkey_deinit(stranger);
    return pki;
}

static void drop_file(char *path)
{
    g_unlink(path);
    g_free(path);
}

void test_pki_free(struct test_pki *pki)
{
    drop_file(pki->ca);
    drop_file(pki->other_ca);
    for (int i = 0; i < PKI_COUNT; i++) {
        drop_file(pki->cert[i]);
        drop_file(pki->key[i]);
    }
    g_rmdir(pki->folder);
    g_free(pki->folder);
    g_free(pki);
}
