/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/enroll/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define CERTIFICATES_MAX 8

static const struct vr_fault fault_identity = {
    .name = "identity", .http = 500, .exit = 1, .text = "The host's certificate is not in order."
};

static bool fail(struct vr_error **error, const char *what, int code)
{
    vr_error_set(error, &fault_identity, "%s: %s.", what, gnutls_strerror(code));
    return false;
}

/* --- files --- */

static bool replace(const char *path, const void *data, size_t size, int mode,
                    struct vr_error **error)
{
    g_autoptr(GError) failure = NULL;
    g_autofree char *folder = g_path_get_dirname(path);
    if (g_mkdir_with_parents(folder, 0755) == 0 &&
        g_file_set_contents_full(path, data, (gssize)size,
                                 G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, mode,
                                 &failure))
        return true;
    vr_error_set(error, &fault_identity, "Cannot write %s: %s", path,
                 failure ? failure->message : g_strerror(errno));
    return false;
}

/* NULL without an error when it is missing. */
static char *read_pem(const char *path, struct vr_error **error)
{
    g_autoptr(GError) failure = NULL;
    char *text = NULL;
    gsize size = 0;
    if (g_file_get_contents(path, &text, &size, &failure)) {
        if (size <= VR_IDENTITY_INPUT_MAX && !memchr(text, '\0', size))
            return text;
        g_free(text);
        vr_error_set(error, &fault_identity, "%s is no PEM file.", path);
    } else if (!g_error_matches(failure, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
        vr_error_set(error, &fault_identity, "%s", failure->message);
    }
    return NULL;
}

static bool has_paths(const struct vr_agent_config *config, struct vr_error **error)
{
    if (config->ca && config->certificate && config->key)
        return true;
    vr_error_set(error, &fault_identity,
                 "agent.conf names no files for ca, certificate and key; TLS is off on this host.");
    return false;
}

/* --- keys --- */

static void key_done(gnutls_x509_privkey_t *key)
{
    if (*key)
        gnutls_x509_privkey_deinit(*key);
}
#define auto_key __attribute__((cleanup(key_done))) gnutls_x509_privkey_t

/* *@ret_key stays NULL when there is no such file. */
static bool load_key(const char *path, gnutls_x509_privkey_t *ret_key, struct vr_error **error)
{
    g_autofree char *pem = read_pem(path, error);
    if (*error || !pem)
        return !*error;
    auto_key key = NULL;
    gnutls_datum_t data = { (unsigned char *)pem, (unsigned)strlen(pem) };
    gnutls_x509_privkey_init(&key);
    int rc = gnutls_x509_privkey_import(key, &data, GNUTLS_X509_FMT_PEM);
    gnutls_memset(data.data, 0, data.size);
    if (rc < 0)
        return fail(error, path, rc);
    *ret_key = g_steal_pointer(&key);
    return true;
}

static bool make_key(const char *path, gnutls_x509_privkey_t *ret_key, struct vr_error **error)
{
    auto_key key = NULL;
    gnutls_datum_t pem = { 0 };
    gnutls_x509_privkey_init(&key);
    int rc = gnutls_x509_privkey_generate(key, GNUTLS_PK_RSA, VR_IDENTITY_KEY_BITS, 0);
    if (rc >= 0)
        rc = gnutls_x509_privkey_export2_pkcs8(key, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN,
                                               &pem);
    if (rc < 0)
        return fail(error, "Cannot make a key", rc);
    bool good = replace(path, pem.data, pem.size, 0600, error);
    gnutls_memset(pem.data, 0, pem.size);
    gnutls_free(pem.data);
    *ret_key = good ? g_steal_pointer(&key) : NULL;
    return good;
}

static char *request_of(gnutls_x509_privkey_t key, struct vr_error **error)
{
    gnutls_x509_crq_t crq;
    gnutls_datum_t pem = { 0 };
    char *text = NULL;
    gnutls_x509_crq_init(&crq);
    int rc = gnutls_x509_crq_set_version(crq, 1);
    if (rc >= 0) /* for the form's sake: the Manager decides about the name */
        rc = gnutls_x509_crq_set_dn(crq, "CN=host", NULL);
    if (rc >= 0)
        rc = gnutls_x509_crq_set_key(crq, key);
    if (rc >= 0)
        rc = gnutls_x509_crq_sign2(crq, key, GNUTLS_DIG_SHA256, 0);
    if (rc >= 0)
        rc = gnutls_x509_crq_export2(crq, GNUTLS_X509_FMT_PEM, &pem);
    if (rc >= 0)
        text = g_strndup((char *)pem.data, pem.size);
    else
        fail(error, "Cannot make a certificate request", rc);
    gnutls_free(pem.data);
    gnutls_x509_crq_deinit(crq);
    return text;
}

char *vr_identity_request(const struct vr_agent_config *config, bool new_key,
                          struct vr_error **error)
{
    auto_key key = NULL;
    if (!has_paths(config, error))
        return NULL;
    if (!new_key && !load_key(config->key, &key, error)) {
        /* A key that cannot be read is of no use to anybody. */
        g_clear_pointer(error, vr_error_free);
    }
    if (!key) {
        g_autofree char *waiting = g_strconcat(config->key, ".new", NULL);
        if (!make_key(waiting, &key, error))
            return NULL;
    }
    return request_of(key, error);
}

/* --- certificates --- */

struct bundle {
    gnutls_x509_crt_t certificates[CERTIFICATES_MAX];
    unsigned count;
};

static void bundle_done(struct bundle *bundle)
{
    for (unsigned i = 0; i < bundle->count; i++)
        gnutls_x509_crt_deinit(bundle->certificates[i]);
}
#define auto_bundle __attribute__((cleanup(bundle_done))) struct bundle

static bool parse(const char *pem, const char *what, struct bundle *ret, struct vr_error **error)
{
    gnutls_datum_t data = { (unsigned char *)(uintptr_t)pem, (unsigned)strlen(pem) };
    unsigned count = CERTIFICATES_MAX;
    if (data.size > VR_IDENTITY_INPUT_MAX)
        return fail(error, what, GNUTLS_E_SHORT_MEMORY_BUFFER);
    int rc = gnutls_x509_crt_list_import(ret->certificates, &count, &data, GNUTLS_X509_FMT_PEM,
                                         GNUTLS_X509_CRT_LIST_IMPORT_FAIL_IF_EXCEED);
    if (rc <= 0)
        return fail(error, what, rc < 0 ? rc : GNUTLS_E_NO_CERTIFICATE_FOUND);
    ret->count = count;
    return true;
}

static bool load_bundle(const char *path, struct bundle *ret, struct vr_error **error)
{
    g_autofree char *pem = read_pem(path, error);
    if (pem)
        return parse(pem, path, ret, error);
    if (!*error)
        vr_error_set(error, &fault_identity, "%s is missing.", path);
    return false;
}

static bool belongs(gnutls_x509_crt_t certificate, gnutls_x509_privkey_t key)
{
    unsigned char a[64], b[64];
    size_t a_size = sizeof(a), b_size = sizeof(b);
    return key &&
           gnutls_x509_crt_get_key_id(certificate, GNUTLS_KEYID_USE_SHA256, a, &a_size) == 0 &&
           gnutls_x509_privkey_get_key_id(key, GNUTLS_KEYID_USE_SHA256, b, &b_size) == 0 &&
           a_size == b_size && memcmp(a, b, a_size) == 0;
}

/* Expired or not: whether it is valid today is for whoever connects to say. */
static bool is_signed_by(gnutls_x509_crt_t certificate, const gnutls_x509_crt_t *authorities,
                         unsigned count)
{
    unsigned verdict = 0;
    return count > 0 &&
           gnutls_x509_crt_verify(certificate, authorities, count,
                                  GNUTLS_VERIFY_DISABLE_TIME_CHECKS, &verdict) >= 0 &&
           verdict == 0;
}

static bool write_certificates(const char *path, const gnutls_x509_crt_t *certificates,
                               unsigned count, struct vr_error **error)
{
    g_autoptr(GString) text = g_string_new(NULL);
    for (unsigned i = 0; i < count; i++) {
        gnutls_datum_t pem = { 0 };
        int rc = gnutls_x509_crt_export2(certificates[i], GNUTLS_X509_FMT_PEM, &pem);
        if (rc < 0)
            return fail(error, path, rc);
        g_string_append_len(text, (char *)pem.data, pem.size);
        gnutls_free(pem.data);
    }
    return replace(path, text->str, text->len, 0644, error);
}

bool vr_identity_trust(const struct vr_agent_config *config, const char *pem,
                       struct vr_error **error)
{
    auto_bundle authorities = { 0 };
    return has_paths(config, error) && parse(pem, "The Manager's authority", &authorities, error) &&
           write_certificates(config->ca, authorities.certificates, authorities.count, error);
}

/* A new key takes its place before its certificate does: until then the old one is of no use, and
 * the same certificate can be put in place again. */
static bool install_key(const struct vr_agent_config *config, gnutls_x509_crt_t leaf,
                        struct vr_error **error)
{
    auto_key key = NULL;
    auto_key fresh = NULL;
    g_autofree char *waiting = g_strconcat(config->key, ".new", NULL);
    if (!load_key(config->key, &key, error))
        g_clear_pointer(error, vr_error_free);
    if (belongs(leaf, key))
        return true;
    if (!load_key(waiting, &fresh, error))
        return false;
    if (!belongs(leaf, fresh)) {
        vr_error_set(error, &fault_identity, "The certificate is for another key than this host's.");
        return false;
    }
    if (g_rename(waiting, config->key) == 0)
        return true;
    vr_error_set(error, &fault_identity, "Cannot rename %s: %s.", waiting, g_strerror(errno));
    return false;
}

bool vr_identity_accept(const struct vr_agent_config *config, const char *pem,
                        struct vr_error **error)
{
    auto_bundle given = { 0 };
    auto_bundle trusted = { 0 };
    if (!has_paths(config, error) || !parse(pem, "The certificate", &given, error))
        return false;
    const gnutls_x509_crt_t *authorities = given.certificates + 1;
    unsigned count = given.count - 1;
    if (count == 0) {
        if (!load_bundle(config->ca, &trusted, error))
            return false;
        authorities = trusted.certificates;
        count = trusted.count;
    }
    if (!is_signed_by(given.certificates[0], authorities, count)) {
        vr_error_set(error, &fault_identity,
                     "The certificate is not signed by the Manager's authority.");
        return false;
    }
    return install_key(config, given.certificates[0], error) &&
           (trusted.count || write_certificates(config->ca, authorities, count, error)) &&
           write_certificates(config->certificate, given.certificates, 1, error);
}

bool vr_identity_is_due(const struct vr_agent_config *config, bool *ret_due,
                        struct vr_error **error)
{
    auto_bundle own = { 0 };
    if (!has_paths(config, error) || !load_bundle(config->certificate, &own, error))
        return false;
    time_t begins = gnutls_x509_crt_get_activation_time(own.certificates[0]);
    time_t ends = gnutls_x509_crt_get_expiration_time(own.certificates[0]);
    *ret_due = ends - time(NULL) < (ends - begins) / 3;
    return true;
}

bool vr_identity_expires(const struct vr_agent_config *config, int64_t *ret_expires,
                         struct vr_error **error)
{
    auto_bundle own = { 0 };
    if (!has_paths(config, error) || !load_bundle(config->certificate, &own, error))
        return false;
    *ret_expires = gnutls_x509_crt_get_expiration_time(own.certificates[0]);
    return true;
}

static char *take_text(struct vr_error **error)
{
    char *text = vr_error_text(*error);
    g_clear_pointer(error, vr_error_free);
    return text;
}

static bool has_use(gnutls_x509_crt_t certificate, const char *wanted)
{
    char oid[128];
    for (unsigned i = 0;; i++) {
        size_t size = sizeof(oid);
        int rc = gnutls_x509_crt_get_key_purpose_oid(certificate, i, oid, &size, NULL);
        if (rc == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
            return i == 0; /* none is named: all are allowed */
        if (rc < 0 || strcmp(oid, wanted) == 0)
            return rc >= 0;
    }
}

static void look_at_certificate(const struct vr_agent_config *config, gnutls_x509_crt_t own,
                                const struct bundle *authorities, struct vr_identity_facts *ret)
{
    vr_auto_error struct vr_error *ignored = NULL;
    auto_key key = NULL;
    auto_key fresh = NULL;
    g_autofree char *waiting = g_strconcat(config->key, ".new", NULL);
    char name[256];
    size_t size = sizeof(name);
    if (!load_key(config->key, &key, &ignored))
        g_clear_pointer(&ignored, vr_error_free);
    (void)load_key(waiting, &fresh, &ignored);
    ret->belongs = belongs(own, key);
    ret->belongs_waiting = belongs(own, fresh);
    ret->is_signed = is_signed_by(own, authorities->certificates, authorities->count);
    ret->has_uses =
        has_use(own, GNUTLS_KP_TLS_WWW_SERVER) && has_use(own, GNUTLS_KP_TLS_WWW_CLIENT);
    ret->begins = gnutls_x509_crt_get_activation_time(own);
    ret->ends = gnutls_x509_crt_get_expiration_time(own);
    if (gnutls_x509_crt_get_dn_by_oid(own, GNUTLS_OID_X520_COMMON_NAME, 0, 0, name, &size) == 0)
        ret->name = g_strdup(name);
}

void vr_identity_look(const struct vr_agent_config *config, struct vr_identity_facts *ret)
{
    auto_bundle own = { 0 };
    auto_bundle authorities = { 0 };
    auto_key key = NULL;
    vr_auto_error struct vr_error *error = NULL;
    *ret = (struct vr_identity_facts){ 0 };
    if (!has_paths(config, &error)) {
        ret->key_fault = vr_error_text(error);
        ret->certificate_fault = g_strdup(ret->key_fault);
        ret->authority_fault = g_strdup(ret->key_fault);
        return;
    }
    if (!load_key(config->key, &key, &error))
        ret->key_fault = take_text(&error);
    else if (!key)
        ret->key_fault = g_strdup_printf("%s is missing.", config->key);
    if (load_bundle(config->ca, &authorities, &error))
        ret->authority_ends = gnutls_x509_crt_get_expiration_time(authorities.certificates[0]);
    else
        ret->authority_fault = take_text(&error);
    if (load_bundle(config->certificate, &own, &error))
        look_at_certificate(config, own.certificates[0], &authorities, ret);
    else
        ret->certificate_fault = take_text(&error);
}

void vr_identity_facts_done(struct vr_identity_facts *facts)
{
    g_free(facts->key_fault);
    g_free(facts->certificate_fault);
    g_free(facts->authority_fault);
    g_free(facts->name);
}

bool vr_identity_finish(const struct vr_agent_config *config, struct vr_error **error)
{
    auto_bundle own = { 0 };
    return has_paths(config, error) && load_bundle(config->certificate, &own, error) &&
           install_key(config, own.certificates[0], error);
}

/* --- the Manager --- */

static char *manager_path(const struct vr_agent_config *config)
{
    return g_build_filename(config->state, "manager.conf", NULL);
}

/* Empty when there is none, or nothing that makes sense.  Owned. */
static GKeyFile *read_manager(const struct vr_agent_config *config)
{
    GKeyFile *file = g_key_file_new();
    g_autofree char *path = manager_path(config);
    (void)g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, NULL);
    return file;
}

static bool write_manager(const struct vr_agent_config *config, GKeyFile *file,
                          const char *const *known_by, struct vr_error **error)
{
    gsize size = 0;
    g_autofree char *path = manager_path(config);
    if (!vr_agent_known_by_fits(known_by)) {
        vr_error_set(error, &fault_identity,
                     "What the Manager is known by must be OU=unit or CN=name.");
        return false;
    }
    if (*known_by)
        g_key_file_set_string_list(file, "manager", "known-by", known_by,
                                   g_strv_length((char **)(uintptr_t)known_by));
    g_autofree char *text = g_key_file_to_data(file, &size, NULL);
    return replace(path, text, size, 0644, error);
}

char *vr_identity_manager(const struct vr_agent_config *config)
{
    g_autoptr(GKeyFile) file = read_manager(config);
    return g_key_file_get_string(file, "manager", "url", NULL);
}

char **vr_identity_known_by(const struct vr_agent_config *config)
{
    g_autoptr(GKeyFile) file = read_manager(config);
    if (*config->manager)
        return g_strdupv(config->manager);
    char **known_by = g_key_file_get_string_list(file, "manager", "known-by", NULL, NULL);
    return known_by ? known_by : g_new0(char *, 1);
}

bool vr_identity_set_manager(const struct vr_agent_config *config, const char *url,
                             const char *const *known_by, struct vr_error **error)
{
    static const char *const nothing[] = { NULL };
    g_autoptr(GKeyFile) file = g_key_file_new();
    if (!g_str_has_prefix(url, "https://") || strlen(url) > 300 || strpbrk(url, " \t\r\n\"'\\")) {
        vr_error_set(error, &fault_identity, "The Manager's address must begin with https://.");
        return false;
    }
    g_key_file_set_string(file, "manager", "url", url);
    return write_manager(config, file, known_by ? known_by : nothing, error);
}

bool vr_identity_set_known_by(const struct vr_agent_config *config, const char *const *known_by,
                              struct vr_error **error)
{
    g_autoptr(GKeyFile) file = read_manager(config);
    return write_manager(config, file, known_by, error);
}

/* --- fingerprints --- */

char *vr_identity_fingerprint(const char *pem)
{
    auto_bundle bundle = { 0 };
    vr_auto_error struct vr_error *error = NULL;
    unsigned char digest[32];
    size_t size = sizeof(digest);
    if (!parse(pem, "", &bundle, &error) ||
        gnutls_x509_crt_get_fingerprint(bundle.certificates[0], GNUTLS_DIG_SHA256, digest, &size) <
            0)
        return NULL;
    GString *text = g_string_new(NULL);
    for (size_t i = 0; i < size; i++)
        g_string_append_printf(text, "%02x", digest[i]);
    return g_string_free(text, FALSE);
}

bool vr_identity_fingerprint_is(const char *fingerprint, const char *text)
{
    if (g_ascii_strncasecmp(text, "SHA256:", 7) != 0)
        return false;
    text += 7;
    GString *hex = g_string_new(NULL);
    for (const char *c = text; *c; c++)
        if (*c != ':')
            g_string_append_c(hex, g_ascii_tolower(*c));
    if (hex->len != 64) {
        gsize size = 0;
        g_autofree char *padded = g_strconcat(text, strlen(text) == 43 ? "=" : "", NULL);
        g_autofree guchar *bytes = g_base64_decode(padded, &size);
        g_string_truncate(hex, 0);
        for (gsize i = 0; size == 32 && i < size; i++)
            g_string_append_printf(hex, "%02x", bytes[i]);
    }
    bool same = strlen(fingerprint) == 64 && strcmp(hex->str, fingerprint) == 0;
    g_string_free(hex, TRUE);
    return same;
}
