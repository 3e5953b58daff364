/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/session/attempt.h"
#include "manager/session/password.h"
#include "manager/session/token.h"

static struct vr_credential *make_credential(int64_t idle_ms, int64_t hard_ms)
{
    struct vr_credential *credential = g_new0(struct vr_credential, 1);
    credential->refs = 1;
    credential->user_id = g_strdup("u");
    credential->user_name = g_strdup("admin@internal-authz");
    credential->scope = g_strdup("ovirt-app-api");
    credential->idle_ms = idle_ms;
    credential->hard_ms = hard_ms;
    return credential;
}

static bool is_alive(struct vr_tokens *tokens, const char *token, int64_t now_ms)
{
    struct vr_credential *found = vr_tokens_use(tokens, token, now_ms);
    vr_credential_unref(found);
    return found != NULL;
}

static void test_token_life(void)
{
    struct vr_tokens *tokens = vr_tokens_new();
    struct vr_credential *credential = make_credential(1000, 0);
    char token[VR_TOKEN_SIZE], other[VR_TOKEN_SIZE];
    g_assert_true(vr_tokens_add(tokens, credential, token, 0));
    g_assert_true(vr_tokens_add(tokens, credential, other, 0));
    g_assert_cmpuint(strlen(token), ==, 86);
    g_assert_cmpstr(token, !=, other);
    g_assert_false(is_alive(tokens, "", 0));
    g_assert_false(is_alive(tokens, "guess", 0));
    g_assert_true(is_alive(tokens, token, 1000));
    g_assert_true(is_alive(tokens, token, 2000)); /* a use begins the idle time anew */
    g_assert_false(is_alive(tokens, token, 3001));
    g_assert_false(is_alive(tokens, token, 3001));
    vr_credential_unref(credential);
    vr_tokens_free(tokens);
}

static void test_hard_limit(void)
{
    struct vr_tokens *tokens = vr_tokens_new();
    struct vr_credential *credential = make_credential(1000, 1500);
    char token[VR_TOKEN_SIZE];
    g_assert_true(vr_tokens_add(tokens, credential, token, 0));
    g_assert_true(is_alive(tokens, token, 900));
    g_assert_true(is_alive(tokens, token, 1500));
    g_assert_false(is_alive(tokens, token, 1501));
    vr_credential_unref(credential);
    vr_tokens_free(tokens);
}

static void test_revoke(void)
{
    struct vr_tokens *tokens = vr_tokens_new();
    struct vr_credential *credential = make_credential(1000, 0);
    char token[VR_TOKEN_SIZE];
    g_assert_true(vr_tokens_add(tokens, credential, token, 0));
    struct vr_credential *removed = vr_tokens_remove(tokens, token);
    g_assert_true(removed == credential);
    vr_credential_unref(removed);
    g_assert_null(vr_tokens_remove(tokens, token));
    g_assert_false(is_alive(tokens, token, 1));
    g_assert_cmpuint(vr_tokens_count(tokens), ==, 0);
    vr_credential_unref(credential);
    vr_tokens_free(tokens);
}

static void test_delays(void)
{
    static const int64_t want[] = { 0, 0, 0, 1000, 2000, 4000, 8000, 16000, 32000, 32000 };
    struct vr_attempts *attempts = vr_attempts_new(100, 1000);
    for (unsigned i = 0; i < G_N_ELEMENTS(want); i++) {
        g_assert_cmpint(vr_attempts_begin(attempts, "bob@internal", "192.0.2.1", 0), ==, want[i]);
        vr_attempts_failed(attempts, "BOB@internal", "192.0.2.1", 0);
    }
    g_assert_cmpint(vr_attempts_begin(attempts, "bob@internal", "192.0.2.2", 0), ==, 0);
    g_assert_cmpint(vr_attempts_begin(attempts, "eve@internal", "192.0.2.1", 0), ==, 0);
    vr_attempts_succeeded(attempts, "bob@internal", "192.0.2.1");
    g_assert_cmpint(vr_attempts_begin(attempts, "bob@internal", "192.0.2.1", 0), ==, 0);
    vr_attempts_free(attempts);
}

static void test_many_at_once(void)
{
    struct vr_attempts *attempts = vr_attempts_new(100, 1000);
    for (unsigned i = 0; i < 3; i++)
        g_assert_cmpint(vr_attempts_begin(attempts, "a", "x", 0), ==, 0);
    /* Nobody has failed yet: they only queue up. */
    for (unsigned i = 0; i < 20; i++)
        g_assert_cmpint(vr_attempts_begin(attempts, "a", "x", 0), ==, 1000);
    vr_attempts_failed(attempts, "a", "x", 0);
    g_assert_cmpint(vr_attempts_begin(attempts, "a", "x", 0), ==, 32000);
    vr_attempts_free(attempts);
}

static void test_lock(void)
{
    struct vr_attempts *attempts = vr_attempts_new(5, 60000);
    for (unsigned i = 0; i < 4; i++)
        g_assert_false(vr_attempts_failed(attempts, "a", i % 2 ? "x" : "y", 0));
    g_assert_false(vr_attempts_locked(attempts, "a", 0));
    g_assert_true(vr_attempts_failed(attempts, "a", "x", 0));
    g_assert_true(vr_attempts_locked(attempts, "A", 59999));
    g_assert_false(vr_attempts_locked(attempts, "b", 0));
    g_assert_false(vr_attempts_locked(attempts, "a", 60000));
    g_assert_false(vr_attempts_failed(attempts, "a", "x", 60000)); /* counts from one again */
    vr_attempts_free(attempts);
}

struct verdict {
    GMutex mutex;
    GCond cond;
    int right; /* -1: not yet */
};

static void note(bool right, void *arg)
{
    struct verdict *verdict = arg;
    g_mutex_lock(&verdict->mutex);
    verdict->right = right;
    g_cond_signal(&verdict->cond);
    g_mutex_unlock(&verdict->mutex);
}

static bool check(struct vr_passwords *passwords, const char *hash, const char *password)
{
    struct verdict verdict = { .right = -1 };
    g_mutex_init(&verdict.mutex);
    g_cond_init(&verdict.cond);
    g_assert_true(vr_passwords_check(passwords, hash, password, note, &verdict));
    g_mutex_lock(&verdict.mutex);
    while (verdict.right < 0)
        g_cond_wait(&verdict.cond, &verdict.mutex);
    g_mutex_unlock(&verdict.mutex);
    return verdict.right;
}

static void test_passwords(void)
{
    struct vr_passwords *passwords = vr_passwords_new(1, 8);
    g_autofree char *hash = vr_password_hash("secret");
    g_autofree char *again = vr_password_hash("secret");
    g_autofree char *long_one = g_strnfill(VR_PASSWORD_MAX + 1, 'x');
    g_assert_true(g_str_has_prefix(hash, "$y$"));
    g_assert_cmpstr(hash, !=, again);
    g_assert_null(vr_password_hash(long_one));
    g_assert_false(vr_passwords_known(passwords, hash, "secret"));
    g_assert_false(check(passwords, hash, "Secret"));
    g_assert_false(check(passwords, hash, long_one));
    g_assert_false(check(passwords, NULL, "secret"));
    g_assert_false(vr_passwords_known(passwords, hash, "Secret"));
    g_assert_true(check(passwords, hash, "secret"));
    g_assert_true(vr_passwords_known(passwords, hash, "secret"));
    g_assert_false(vr_passwords_known(passwords, again, "secret")); /* a new hash, a new check */
    vr_passwords_free(passwords);
}

static void test_full_queue(void)
{
    struct vr_passwords *passwords = vr_passwords_new(1, 0);
    struct verdict verdict = { .right = -1 };
    g_assert_false(vr_passwords_check(passwords, NULL, "x", note, &verdict));
    g_assert_cmpint(verdict.right, ==, -1);
    vr_passwords_free(passwords);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/session/token/it lives while it is used", test_token_life);
    g_test_add_func("/session/token/a hard limit ends it all the same", test_hard_limit);
    g_test_add_func("/session/token/a revoked one is gone", test_revoke);
    g_test_add_func("/session/attempt/failures slow down user and address", test_delays);
    g_test_add_func("/session/attempt/many at once gain nothing", test_many_at_once);
    g_test_add_func("/session/attempt/failures in a row lock the user", test_lock);
    g_test_add_func("/session/password/right, wrong and remembered", test_passwords);
    g_test_add_func("/session/password/a full queue refuses", test_full_queue);
    return g_test_run();
}
