/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/session/password.h"

#include <crypt.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

#define KEY_SIZE 32
#define KNOWN_MAX 10000
/* A removed right lasts this much longer for a client with basic authentication. */
#define KNOWN_US (5 * G_TIME_SPAN_MINUTE)
/* What a missing hash is checked against, so that it takes as long: a hash of nothing anybody has. */
#define NOBODY "$y$j9T$wQJ3z0aNQ6DXm5L4vC7yU1$"

struct vr_passwords {
    GThreadPool *pool;
    unsigned queue;
    uint8_t secret[KEY_SIZE];
    GMutex mutex;
    GHashTable *known; /* HMAC of hash and password → when it was right (int64_t, monotonic us) */
};

struct check {
    char *hash, *password;
    vr_password_checked *done;
    void *arg;
};

static void wipe(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    g_free(text);
}

char *vr_password_hash(const char *password)
{
    if (strlen(password) > VR_PASSWORD_MAX)
        return NULL;
    char salt[CRYPT_GENSALT_OUTPUT_SIZE];
    g_assert(crypt_gensalt_rn("$y$", 0, NULL, 0, salt, sizeof(salt)));
    g_autofree struct crypt_data *data = g_new0(struct crypt_data, 1);
    const char *hash = crypt_rn(password, salt, data, sizeof(*data));
    return g_strdup(hash);
}

static bool same(const char *a, const char *b)
{
    size_t length = strlen(a);
    return length == strlen(b) && gnutls_memcmp(a, b, length) == 0;
}

bool vr_password_matches(const char *hash, const char *password)
{
    if (strlen(password) > VR_PASSWORD_MAX)
        return false;
    g_autofree struct crypt_data *data = g_new0(struct crypt_data, 1);
    const char *again = crypt_rn(password, hash ? hash : NOBODY, data, sizeof(*data));
    bool right = hash && again && same(again, hash);
    explicit_bzero(data, sizeof(*data));
    return right;
}

static guint key_hash(gconstpointer key)
{
    guint hash;
    memcpy(&hash, key, sizeof(hash));
    return hash;
}

static gboolean key_equal(gconstpointer a, gconstpointer b)
{
    return memcmp(a, b, KEY_SIZE) == 0;
}

static void make_key(const struct vr_passwords *passwords, const char *hash, const char *password,
                     uint8_t key[KEY_SIZE])
{
    gnutls_hmac_hd_t hmac;
    g_assert(gnutls_hmac_init(&hmac, GNUTLS_MAC_SHA256, passwords->secret, KEY_SIZE) == 0);
    gnutls_hmac(hmac, hash, strlen(hash) + 1);
    gnutls_hmac(hmac, password, strlen(password));
    gnutls_hmac_deinit(hmac, key);
}

static gboolean too_old(gpointer key, gpointer when, gpointer now)
{
    return *(int64_t *)now - *(int64_t *)when > KNOWN_US;
}

static void remember(struct vr_passwords *passwords, const char *hash, const char *password)
{
    g_autofree uint8_t *key = g_malloc(KEY_SIZE);
    make_key(passwords, hash, password, key);
    int64_t *now = g_new(int64_t, 1);
    *now = g_get_monotonic_time();
    g_mutex_lock(&passwords->mutex);
    if (g_hash_table_size(passwords->known) >= KNOWN_MAX)
        g_hash_table_foreach_remove(passwords->known, too_old, now);
    if (g_hash_table_size(passwords->known) >= KNOWN_MAX)
        g_hash_table_remove_all(passwords->known);
    g_hash_table_replace(passwords->known, g_steal_pointer(&key), now);
    g_mutex_unlock(&passwords->mutex);
}

bool vr_passwords_known(struct vr_passwords *passwords, const char *hash, const char *password)
{
    uint8_t key[KEY_SIZE];
    if (!hash || strlen(password) > VR_PASSWORD_MAX)
        return false;
    make_key(passwords, hash, password, key);
    int64_t now = g_get_monotonic_time();
    g_mutex_lock(&passwords->mutex);
    const int64_t *when = g_hash_table_lookup(passwords->known, key);
    bool known = when && now - *when <= KNOWN_US;
    g_mutex_unlock(&passwords->mutex);
    return known;
}

static void run(gpointer data, gpointer arg)
{
    struct check *check = data;
    bool right = vr_password_matches(check->hash, check->password);
    if (right)
        remember(arg, check->hash, check->password);
    check->done(right, check->arg);
    g_free(check->hash);
    wipe(check->password);
    g_free(check);
}

struct vr_passwords *vr_passwords_new(unsigned threads, unsigned queue)
{
    struct vr_passwords *passwords = g_new0(struct vr_passwords, 1);
    g_assert(gnutls_rnd(GNUTLS_RND_KEY, passwords->secret, KEY_SIZE) == 0);
    g_mutex_init(&passwords->mutex);
    passwords->known = g_hash_table_new_full(key_hash, key_equal, g_free, g_free);
    passwords->queue = queue;
    passwords->pool = g_thread_pool_new(run, passwords, (int)threads, TRUE, NULL);
    return passwords;
}

void vr_passwords_free(struct vr_passwords *passwords)
{
    g_thread_pool_free(passwords->pool, FALSE, TRUE);
    g_hash_table_unref(passwords->known);
    g_mutex_clear(&passwords->mutex);
    explicit_bzero(passwords->secret, KEY_SIZE);
    g_free(passwords);
}

bool vr_passwords_check(struct vr_passwords *passwords, const char *hash, const char *password,
                        vr_password_checked *done, void *arg)
{
    if (g_thread_pool_unprocessed(passwords->pool) >= passwords->queue)
        return false;
    struct check *check = g_new0(struct check, 1);
    check->hash = g_strdup(hash);
    check->password = g_strndup(password, VR_PASSWORD_MAX + 1);
    check->done = done;
    check->arg = arg;
    g_thread_pool_push(passwords->pool, check, NULL);
    return true;
}
