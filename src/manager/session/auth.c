/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/session/login.h"

#include "manager/rest/fault.h"

#define EXPIRED "invalid_grant: The provided authorization grant for the auth code has expired."

struct vr_sessions *vr_sessions_new(const struct vr_sessions_options *options)
{
    struct vr_sessions *sessions = g_new0(struct vr_sessions, 1);
    struct vr_sessions_options *o = &sessions->options;
    *o = *options;
    o->token_idle_ms = o->token_idle_ms ? o->token_idle_ms : INT64_C(360000) * 1000;
    o->session_idle_ms = o->session_idle_ms ? o->session_idle_ms : INT64_C(30) * 60 * 1000;
    o->session_hard_ms = o->session_hard_ms ? o->session_hard_ms : INT64_C(600) * 60 * 1000;
    o->lock_failures = o->lock_failures ? o->lock_failures : 5;
    o->lock_ms = o->lock_ms ? o->lock_ms : INT64_C(60) * 60 * 1000;
    sessions->tokens = vr_tokens_new();
    sessions->passwords = vr_passwords_new(2, 64);
    sessions->attempts = vr_attempts_new(o->lock_failures, o->lock_ms);
    return sessions;
}

void vr_sessions_free(struct vr_sessions *sessions)
{
    vr_passwords_free(sessions->passwords);
    vr_attempts_free(sessions->attempts);
    vr_tokens_free(sessions->tokens);
    g_free(sessions);
}

static void refuse(struct vr_request *request, const char *detail)
{
    vr_fault_reply(request, 401, "Unauthorized", detail);
    vr_reply_header(request, "WWW-Authenticate", g_strdup("Basic realm=\"RESTAPI\""));
    vr_reply_header(request, "WWW-Authenticate", g_strdup("Bearer realm=\"RESTAPI\""));
}

/* A user that is gone has no session any more. */
static bool user_exists(const struct vr_sessions *sessions, const struct vr_credential *session)
{
    vr_auto struct vr_user *user =
        vr_inventory_get(sessions->options.inventory, VR_KIND_USER, session->user_id);
    return user != NULL;
}

static const char *bearer_of(const struct vr_request *request)
{
    const char *header = vr_request_header(request, "Authorization");
    if (!header || g_ascii_strncasecmp(header, "Bearer ", 7) != 0)
        return NULL;
    header += 7;
    while (*header == ' ')
        header++;
    return header;
}

static bool may_use_api(const struct vr_credential *session)
{
    g_auto(GStrv) words = g_strsplit(session->scope, " ", 32);
    return g_strv_contains((const char *const *)words, "ovirt-app-api");
}

/* The session of a bearer token, or NULL and a 401. */
static struct vr_credential *use_bearer(struct vr_sessions *sessions, struct vr_request *request,
                                     const char *bearer)
{
    struct vr_credential *session = vr_tokens_use(sessions->tokens, bearer, vr_login_now_ms());
    if (session && user_exists(sessions, session) && may_use_api(session))
        return session;
    vr_credential_unref(session);
    refuse(request, EXPIRED);
    return NULL;
}

bool vr_sessions_refuse_early(struct vr_sessions *sessions, struct vr_request *request)
{
    const char *bearer = bearer_of(request);
    if (bearer) {
        request->session = use_bearer(sessions, request, bearer);
        return request->session == NULL;
    }
    const char *header = vr_request_header(request, "Authorization");
    const char *cookie = vr_request_header(request, "Cookie");
    if (header || cookie)
        return false;
    refuse(request, "Authentication required.");
    return true;
}

/* A session that the client's cookie will find. */
static bool open_session(struct vr_request *request, struct vr_login *login)
{
    struct vr_sessions *sessions = login->sessions;
    int64_t minutes = vr_number(vr_request_header(request, "Session-TTL"), 0);
    int64_t idle_ms = minutes >= 1 && minutes <= 7 * 24 * 60 ? minutes * 60 * 1000
                                                              : sessions->options.session_idle_ms;
    char token[VR_TOKEN_SIZE];
    request->session = vr_login_credential(login, "ovirt-app-api", true, idle_ms,
                                        sessions->options.session_hard_ms);
    if (!vr_tokens_add(sessions->tokens, request->session, token, vr_login_now_ms()))
        return false;
    /* Strict: no page of another site acts with it.  Clients that are no browsers do not care. */
    vr_reply_header(request, "Set-Cookie",
                    g_strdup_printf("JSESSIONID=%s; Path=/ovirt-engine/api; Secure; HttpOnly; "
                                    "SameSite=Strict", token));
    explicit_bzero(token, sizeof(token));
    return true;
}

/* Basic authentication has its verdict. */
static void basic_done(struct vr_request *request, struct vr_login *login)
{
    struct vr_sessions *sessions = login->sessions;
    switch (login->verdict) {
    case VR_LOGIN_RIGHT:
        break;
    case VR_LOGIN_LOCKED:
        refuse(request, "The user account is disabled or locked.");
        return;
    case VR_LOGIN_BUSY:
        vr_fault_reply(request, 503, "Operation Failed", "[There are too many logins at once.]");
        vr_reply_header(request, "Retry-After", g_strdup("2"));
        return;
    case VR_LOGIN_PROFILE:
        refuse(request, "No valid profile found in credentials.");
        return;
    default:
        refuse(request, "The user name or password is incorrect.");
        return;
    }
    if (!vr_request_prefers(request, "persistent-auth")) {
        request->session = vr_login_credential(login, "ovirt-app-api", true, 60 * 1000, 0);
    } else if (!open_session(request, login)) {
        vr_fault_reply(request, 503, "Operation Failed", "[There are too many sessions.]");
        return;
    }
    if (login->fresh)
        vr_login_tell(sessions, request, VR_SESSION_LOGIN, login->user_id, login->user_name,
                      login->address);
    login->next(request);
}

static bool authenticate_cookie(struct vr_sessions *sessions, struct vr_request *request)
{
    const char *header = vr_request_header(request, "Cookie");
    if (!header || strlen(header) > 8192 || vr_request_prefers(request, "new-auth"))
        return false;
    g_auto(GStrv) cookies = g_strsplit(header, ";", 64);
    for (unsigned i = 0; cookies[i] && !request->session; i++) {
        const char *cookie = g_strstrip(cookies[i]);
        if (!g_str_has_prefix(cookie, "JSESSIONID="))
            continue;
        struct vr_credential *session = vr_tokens_use(
            sessions->tokens, cookie + strlen("JSESSIONID="), vr_login_now_ms());
        if (session && session->cookie && user_exists(sessions, session))
            request->session = g_steal_pointer(&session);
        vr_credential_unref(session);
    }
    return request->session != NULL;
}

void vr_sessions_authenticate(struct vr_sessions *sessions, struct vr_request *request,
                              vr_request_step *next)
{
    const char *bearer = bearer_of(request);
    if (bearer && !request->session)
        request->session = use_bearer(sessions, request, bearer);
    if (bearer) {
        if (request->session)
            next(request);
        return;
    }
    if (authenticate_cookie(sessions, request)) {
        next(request);
        return;
    }
    const char *header = vr_request_header(request, "Authorization");
    g_autofree char *name = NULL;
    g_autofree char *password = NULL;
    if (!header || !vr_login_basic(header, &name, &password)) {
        refuse(request, "Authentication required.");
        return;
    }
    struct vr_login *login = g_new0(struct vr_login, 1);
    login->done = basic_done;
    login->next = next;
    vr_login_start(sessions, request, name, password, login);
    explicit_bzero(password, strlen(password));
}
