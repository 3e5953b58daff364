/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/session/login.h"

int64_t vr_login_now_ms(void)
{
    return g_get_monotonic_time() / 1000;
}

static void login_free(void *data)
{
    struct vr_login *login = data;
    if (login->attempting)
        vr_attempts_dropped(login->sessions->attempts, login->name, login->address);
    if (login->password)
        explicit_bzero(login->password, strlen(login->password));
    g_free(login->password);
    g_free(login->name);
    g_free(login->user_id);
    g_free(login->user_name);
    g_free(login->hash);
    g_free(login->scope);
    g_free(login);
}

bool vr_login_basic(const char *header, char **ret_name, char **ret_password)
{
    if (g_ascii_strncasecmp(header, "Basic ", 6) != 0)
        return false;
    gsize length = 0;
    g_autofree char *text = (char *)g_base64_decode(header + 6, &length);
    char *colon = text ? memchr(text, ':', length) : NULL;
    if (!colon || memchr(text, '\0', length) || !g_utf8_validate(text, (gssize)length, NULL))
        return false;
    *ret_name = g_strndup(text, (gsize)(colon - text));
    *ret_password = g_strndup(colon + 1, length - (gsize)(colon + 1 - text));
    explicit_bzero(text, length);
    return true;
}

void vr_login_tell(const struct vr_sessions *sessions, const struct vr_request *request,
                   enum vr_session_fact fact, const char *user_id, const char *user_name,
                   const char *address)
{
    struct vr_session_news news = {
        .fact = fact,
        .user_id = user_id,
        .user_name = user_name,
        .address = address,
        .correlation_id = request->correlation[0] ? request->correlation : NULL,
        .locked_until_ms = fact == VR_SESSION_LOCKED
                               ? g_get_real_time() / 1000 + sessions->options.lock_ms
                               : 0,
    };
    if (sessions->options.tell)
        sessions->options.tell(&news, sessions->options.tell_arg);
}

struct vr_credential *vr_login_credential(const struct vr_login *login, const char *scope, bool cookie,
                                    int64_t idle_ms, int64_t hard_ms)
{
    struct vr_credential *session = g_new0(struct vr_credential, 1);
    session->refs = 1;
    session->user_id = g_strdup(login->user_id);
    session->user_name = g_strdup(login->user_name);
    session->scope = g_strdup(scope);
    session->cookie = cookie;
    session->created_ms = session->last_use_ms = vr_login_now_ms();
    session->idle_ms = idle_ms;
    session->hard_ms = hard_ms;
    return session;
}

/*
 * The user behind user@profile, split at the last `@`.  The internal directory is the only one:
 * its profile is `internal`, its users' names end in `@internal-authz`.
 */
static bool find_user(struct vr_login *login)
{
    const char *at = strrchr(login->name, '@');
    if (!at || (strcmp(at, "@internal") != 0 && strcmp(at, "@internal-authz") != 0)) {
        login->verdict = VR_LOGIN_PROFILE;
        return false;
    }
    g_autofree char *principal = g_strndup(login->name, (gsize)(at - login->name));
    g_autofree char *user_name = g_strconcat(principal, "@internal-authz", NULL);
    vr_auto_objects struct vr_objects users = { 0 };
    vr_inventory_list(login->sessions->options.inventory, VR_KIND_USER, &users);
    VR_OBJECTS(struct vr_user, user, &users)
    {
        if (!user->user_name || g_ascii_strcasecmp(user->user_name, user_name) != 0)
            continue;
        login->user_id = g_strdup(user->id);
        login->user_name = g_strdup(user->user_name);
        login->hash = g_strdup(user->password_hash);
        if (VR_GET(user, locked_until, 0) > g_get_real_time() / 1000)
            login->verdict = VR_LOGIN_LOCKED;
        break;
    }
    return true;
}

static void finish(struct vr_request *request)
{
    struct vr_login *login = g_steal_pointer(&request->state);
    request->state_free = NULL;
    login->done(request, login);
    login_free(login);
}

/* After the check: what it found is in request->data. */
static void checked(struct vr_request *request)
{
    struct vr_login *login = request->state;
    struct vr_sessions *sessions = login->sessions;
    bool right = request->data != NULL;
    request->data = NULL;
    login->attempting = false;
    login->fresh = true;
    login->verdict = right ? VR_LOGIN_RIGHT : VR_LOGIN_WRONG;
    if (right) {
        vr_attempts_succeeded(sessions->attempts, login->name, login->address);
        finish(request);
        return;
    }
    bool locks = vr_attempts_failed(sessions->attempts, login->name, login->address,
                                    vr_login_now_ms());
    vr_login_tell(sessions, request, VR_SESSION_FAILED, login->user_id, login->name,
                  login->address);
    if (locks)
        vr_login_tell(sessions, request, VR_SESSION_LOCKED, login->user_id, login->name,
                      login->address);
    finish(request);
}

static void deliver(bool right, void *arg)
{
    vr_waiter_wake(arg, right ? GINT_TO_POINTER(1) : NULL, NULL);
}

/* The delay is over. */
static void check(struct vr_request *request)
{
    struct vr_login *login = request->state;
    if (vr_passwords_known(login->sessions->passwords, login->hash, login->password)) {
        login->verdict = VR_LOGIN_RIGHT;
        finish(request);
        return;
    }
    struct vr_waiter *waiter = vr_request_suspend(request, 0, checked);
    if (vr_passwords_check(login->sessions->passwords, login->hash, login->password, deliver,
                           waiter))
        return;
    login->verdict = VR_LOGIN_BUSY;
    request->next = finish;
    vr_waiter_wake(waiter, NULL, NULL);
}

void vr_login_start(struct vr_sessions *sessions, struct vr_request *request, const char *name,
                    const char *password, struct vr_login *login)
{
    login->sessions = sessions;
    login->name = g_strndup(name, 512);
    login->password = g_strdup(password);
    login->verdict = VR_LOGIN_WRONG;
    vr_request_peer(request, login->address);
    if (request->state && request->state_free)
        request->state_free(request->state);
    request->state = login;
    request->state_free = login_free;
    if (!find_user(login) || login->verdict == VR_LOGIN_LOCKED) {
        finish(request);
        return;
    }
    int64_t now_ms = vr_login_now_ms();
    if (vr_passwords_known(sessions->passwords, login->hash, login->password)) {
        login->verdict = VR_LOGIN_RIGHT;
        finish(request);
        return;
    }
    if (vr_attempts_locked(sessions->attempts, login->name, now_ms)) {
        login->verdict = VR_LOGIN_LOCKED;
        finish(request);
        return;
    }
    int64_t wait_ms = vr_attempts_begin(sessions->attempts, login->name, login->address, now_ms);
    login->attempting = true;
    if (wait_ms > 0)
        vr_request_delay(request, wait_ms, check);
    else
        check(request);
}
