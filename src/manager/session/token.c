/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/session/token.h"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

#define SHA256_SIZE 32

struct vr_tokens {
    GMutex mutex;
    GHashTable *table; /* SHA-256 of a token → session */
    int64_t swept_ms;
};

struct vr_credential *vr_credential_ref(struct vr_credential *session)
{
    g_atomic_int_inc(&session->refs);
    return session;
}

void vr_credential_unref(struct vr_credential *session)
{
    if (!session || !g_atomic_int_dec_and_test(&session->refs))
        return;
    g_free(session->user_id);
    g_free(session->user_name);
    g_free(session->scope);
    g_free(session);
}

static guint key_hash(gconstpointer key)
{
    guint hash;
    memcpy(&hash, key, sizeof(hash));
    return hash;
}

static gboolean key_equal(gconstpointer a, gconstpointer b)
{
    return memcmp(a, b, SHA256_SIZE) == 0;
}

struct vr_tokens *vr_tokens_new(void)
{
    struct vr_tokens *tokens = g_new0(struct vr_tokens, 1);
    g_mutex_init(&tokens->mutex);
    tokens->table = g_hash_table_new_full(key_hash, key_equal, g_free,
                                          (GDestroyNotify)vr_credential_unref);
    return tokens;
}

void vr_tokens_free(struct vr_tokens *tokens)
{
    g_hash_table_unref(tokens->table);
    g_mutex_clear(&tokens->mutex);
    g_free(tokens);
}

static void digest(const char *text, uint8_t key[SHA256_SIZE])
{
    g_assert(gnutls_hash_fast(GNUTLS_DIG_SHA256, text, strlen(text), key) == 0);
}

static bool is_over(const struct vr_credential *session, int64_t now_ms)
{
    return now_ms - (int64_t)__atomic_load_n(&session->last_use_ms, __ATOMIC_RELAXED) >
               session->idle_ms ||
           (session->hard_ms && now_ms - session->created_ms > session->hard_ms);
}

static gboolean sweep_one(gpointer key, gpointer session, gpointer now_ms)
{
    return is_over(session, *(int64_t *)now_ms);
}

bool vr_tokens_add(struct vr_tokens *tokens, struct vr_credential *session, char out[VR_TOKEN_SIZE],
                   int64_t now_ms)
{
    uint8_t bytes[64];
    g_assert(gnutls_rnd(GNUTLS_RND_KEY, bytes, sizeof(bytes)) == 0);
    g_autofree char *text = g_base64_encode(bytes, sizeof(bytes));
    for (char *c = text; *c; c++)
        *c = *c == '+' ? '-' : *c == '/' ? '_' : *c == '=' ? '\0' : *c;
    g_strlcpy(out, text, VR_TOKEN_SIZE);
    memset(text, 0, strlen(text));
    g_autofree uint8_t *key = g_malloc(SHA256_SIZE);
    digest(out, key);

    g_mutex_lock(&tokens->mutex);
    bool full = g_hash_table_size(tokens->table) >= VR_TOKENS_MAX;
    if (full || now_ms - tokens->swept_ms > 60 * 1000) {
        g_hash_table_foreach_remove(tokens->table, sweep_one, &now_ms);
        tokens->swept_ms = now_ms;
        full = g_hash_table_size(tokens->table) >= VR_TOKENS_MAX;
    }
    if (!full)
        g_hash_table_insert(tokens->table, g_steal_pointer(&key), vr_credential_ref(session));
    g_mutex_unlock(&tokens->mutex);
    return !full;
}

struct vr_credential *vr_tokens_use(struct vr_tokens *tokens, const char *text, int64_t now_ms)
{
    uint8_t key[SHA256_SIZE];
    digest(text, key);
    g_mutex_lock(&tokens->mutex);
    struct vr_credential *session = g_hash_table_lookup(tokens->table, key);
    if (session && is_over(session, now_ms)) {
        g_hash_table_remove(tokens->table, key);
        session = NULL;
    }
    if (session) {
        vr_credential_ref(session);
        __atomic_store_n(&session->last_use_ms, now_ms, __ATOMIC_RELAXED);
    }
    g_mutex_unlock(&tokens->mutex);
    return session;
}

struct vr_credential *vr_tokens_remove(struct vr_tokens *tokens, const char *text)
{
    uint8_t key[SHA256_SIZE];
    digest(text, key);
    g_mutex_lock(&tokens->mutex);
    struct vr_credential *session = g_hash_table_lookup(tokens->table, key);
    if (session)
        vr_credential_ref(session);
    g_hash_table_remove(tokens->table, key);
    g_mutex_unlock(&tokens->mutex);
    return session;
}

unsigned vr_tokens_count(struct vr_tokens *tokens)
{
    g_mutex_lock(&tokens->mutex);
    unsigned count = g_hash_table_size(tokens->table);
    g_mutex_unlock(&tokens->mutex);
    return count;
}
