/* SPDX-License-Identifier: Apache-2.0 */
/* The single sign-on endpoints (facts/rest-api.md 1.2 to 1.4). */
#include "manager/session/login.h"

#include "codec/codec.h"

#define JSON "application/json"
#define FOREVER "9223372036854775807"
/* What a token for the interface may do besides, in the order that clients know. */
#define API_SCOPES                                                                               \
    "ovirt-app-api ovirt-ext=token-info:authz-search "                                           \
    "ovirt-ext=token-info:public-authz-search ovirt-ext=token-info:validate "                    \
    "ovirt-ext=token:password-access"

static bool has_scope(const char *scope, const char *word)
{
    g_auto(GStrv) words = g_strsplit_set(scope ? scope : "", " ", 32);
    return g_strv_contains((const char *const *)words, word);
}

/* Clients of the interface expect the older of the two shapes. */
static void refuse(struct vr_request *request, int status, const char *scope, const char *code,
                   const char *text)
{
    bool legacy = !scope || has_scope(scope, "ovirt-app-api");
    GString *out = g_string_new(legacy ? "{\"error_code\":" : "{\"error\":");
    vr_json_quote(out, code);
    g_string_append(out, legacy ? ",\"error\":" : ",\"error_description\":");
    vr_json_quote(out, text);
    g_string_append_c(out, '}');
    vr_reply(request, status, JSON, out);
    vr_reply_header(request, "Cache-Control", g_strdup("no-store"));
    if (status == 401) {
        vr_reply_header(request, "WWW-Authenticate", g_strdup("Negotiate"));
        vr_reply_header(request, "WWW-Authenticate", g_strdup("Basic realm=\"RESTAPI\""));
    }
}

static void issue(struct vr_request *request, struct vr_login *login)
{
    struct vr_sessions *sessions = login->sessions;
    const char *scope = has_scope(login->scope, "ovirt-app-api") ? API_SCOPES : login->scope;
    char token[VR_TOKEN_SIZE];
    struct vr_credential *session =
        vr_login_credential(login, scope, false, sessions->options.token_idle_ms, 0);
    bool added = vr_tokens_add(sessions->tokens, session, token, vr_login_now_ms());
    vr_credential_unref(session);
    if (!added) {
        refuse(request, 503, login->scope, "server_error", "There are too many sessions.");
        return;
    }
    GString *out = g_string_new("{\"access_token\":");
    vr_json_quote(out, token);
    g_string_append(out, ",\"scope\":");
    vr_json_quote(out, scope);
    g_string_append(out, ",\"exp\":\"" FOREVER "\",\"token_type\":\"bearer\"}");
    explicit_bzero(token, sizeof(token));
    vr_reply(request, 200, JSON, out);
    vr_reply_header(request, "Cache-Control", g_strdup("no-store"));
    vr_login_tell(sessions, request, VR_SESSION_LOGIN, login->user_id, login->user_name,
                  login->address);
}

static void finish_login(struct vr_request *request, struct vr_login *login, int status)
{
    g_autofree char *text = NULL;
    switch (login->verdict) {
    case VR_LOGIN_RIGHT:
        issue(request, login);
        return;
    case VR_LOGIN_PROFILE:
        refuse(request, status, login->scope, "access_denied",
               "No valid profile found in credentials.");
        return;
    case VR_LOGIN_BUSY:
        refuse(request, 503, login->scope, "server_error", "There are too many logins at once.");
        return;
    case VR_LOGIN_LOCKED:
        text = g_strdup_printf(
            "Cannot authenticate user '%s': The user account is disabled or locked. "
            "(user account is disabled or locked)",
            login->name);
        break;
    case VR_LOGIN_WRONG:
        text = g_strdup_printf(
            "Cannot authenticate user '%s': The user name or password is incorrect..",
            login->name);
        break;
    }
    refuse(request, status, login->scope,
           !login->scope || has_scope(login->scope, "ovirt-app-api") ? "access_denied"
                                                                     : "invalid_grant",
           text);
}

static void token_done(struct vr_request *request, struct vr_login *login)
{
    finish_login(request, login, 400);
}

static void http_auth_done(struct vr_request *request, struct vr_login *login)
{
    finish_login(request, login, 401);
}

static bool accepts_json(const struct vr_request *request)
{
    const char *accept = vr_request_header(request, "Accept");
    unsigned detail = 0;
    return accept && (strstr(accept, "*/*") || vr_media_accept(accept, &detail) == VR_MEDIA_JSON);
}

static void serve_token(struct vr_sessions *sessions, struct vr_request *request)
{
    const char *grant = vr_url_param(&request->url, "grant_type");
    const char *scope = vr_url_param(&request->url, "scope");
    const char *name = vr_url_param(&request->url, "username");
    const char *password = vr_url_param(&request->url, "password");
    if (!accepts_json(request)) {
        refuse(request, 400, scope, "invalid_request", "Missing parameter: 'Accept Header'");
        return;
    }
    const char *missing = !grant ? "grant_type" : !name ? "username" : !password ? "password" : NULL;
    if (grant && strcmp(grant, "password") != 0) {
        refuse(request, 400, scope, "unsupported_grant_type",
               "The grant type is not supported: only password is.");
        return;
    }
    if (missing) {
        g_autofree char *text = g_strdup_printf("Missing parameter: '%s'", missing);
        refuse(request, 400, scope, "invalid_request", text);
        return;
    }
    struct vr_login *login = g_new0(struct vr_login, 1);
    login->done = token_done;
    login->scope = g_strdup(scope ? scope : "ovirt-app-api");
    vr_login_start(sessions, request, name, password, login);
}

static void serve_http_auth(struct vr_sessions *sessions, struct vr_request *request)
{
    const char *scope = vr_url_param(&request->url, "scope");
    const char *header = vr_request_header(request, "Authorization");
    g_autofree char *name = NULL;
    g_autofree char *password = NULL;
    if (!header || !vr_login_basic(header, &name, &password)) {
        refuse(request, 401, scope, "not_authenticated", "Authentication required.");
        return;
    }
    struct vr_login *login = g_new0(struct vr_login, 1);
    login->done = http_auth_done;
    login->scope = g_strdup(scope ? scope : "ovirt-app-api");
    vr_login_start(sessions, request, name, password, login);
    explicit_bzero(password, strlen(password));
}

/* What a component of ours learns about a token. */
static void serve_token_info(struct vr_sessions *sessions, struct vr_request *request)
{
    const char *scope = vr_url_param(&request->url, "scope");
    const char *token = vr_url_param(&request->url, "token");
    struct vr_credential *session =
        token ? vr_tokens_use(sessions->tokens, token, vr_login_now_ms()) : NULL;
    if (!session) {
        refuse(request, 400, scope, token ? "invalid_token" : "invalid_request",
               token ? "The token is unknown or has expired." : "Missing parameter: 'token'");
        return;
    }
    GString *out = g_string_new("{");
    if (!scope || !has_scope(scope, "ovirt-ext=token-info:validate")) {
        g_string_append(out, "\"active\":true,\"token_type\":\"bearer\",\"client_id\":"
                             "\"ovirt-engine-core\",\"user_id\":");
        vr_json_quote(out, session->user_name);
        g_string_append(out, ",\"user_authz\":\"internal-authz\",\"scope\":");
        vr_json_quote(out, session->scope);
        g_string_append(out, ",\"exp\":\"" FOREVER "\",\"ovirt\":{\"version\":\"0\","
                             "\"principal_id\":");
        vr_json_quote(out, session->user_id);
        g_string_append(out, ",\"namespace\":\"*\",\"group_ids\":[],"
                             "\"capability_credentials_change\":false}");
    }
    g_string_append_c(out, '}');
    vr_credential_unref(session);
    vr_reply(request, 200, JSON, out);
}

/* Ending what is not there is no mistake: clients send empty tokens. */
static void serve_revoke(struct vr_sessions *sessions, struct vr_request *request)
{
    const char *token = vr_url_param(&request->url, "token");
    const char *header = vr_request_header(request, "Authorization");
    if ((!token || !*token) && header && g_ascii_strncasecmp(header, "Bearer ", 7) == 0)
        token = header + 7;
    struct vr_credential *session =
        token && *token ? vr_tokens_remove(sessions->tokens, token) : NULL;
    if (session) {
        char address[64];
        vr_request_peer(request, address);
        vr_login_tell(sessions, request, VR_SESSION_LOGOUT, session->user_id, session->user_name,
                      address);
    }
    vr_credential_unref(session);
    vr_reply_text(request, 200, JSON, "{}");
}

static void serve_status(struct vr_sessions *sessions, struct vr_request *request)
{
    vr_reply_text(request, 200, JSON,
                  "{\"status\":\"active\",\"status_description\":\"SSO Webapp Deployed\","
                  "\"version\":\"0\"}");
}

bool vr_sessions_serve(struct vr_sessions *sessions, struct vr_request *request, const char *path)
{
    static const struct {
        const char *path;
        void (*serve)(struct vr_sessions *sessions, struct vr_request *request);
    } endpoints[] = {
        { "sso/oauth/token", serve_token },
        { "sso/oauth/token-http-auth", serve_http_auth },
        { "sso/oauth/token-info", serve_token_info },
        { "sso/oauth/revoke", serve_revoke },
        { "services/sso-logout", serve_revoke },
        { "sso/status", serve_status },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(endpoints); i++) {
        if (strcmp(path, endpoints[i].path) != 0)
            continue;
        if (request->body && request->body->len &&
            !vr_url_add_form(&request->url, &request->form, request->body->str,
                             request->body->len))
            refuse(request, 400, NULL, "invalid_request", "The form is malformed.");
        else
            endpoints[i].serve(sessions, request);
        return true;
    }
    return false;
}
