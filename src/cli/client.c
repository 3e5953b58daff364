/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/client.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "cli/config.h"
#include "cli/output.h"

/* Largest answer taken: a list of 100,000 machines is about 400 MB, so people narrow it first. */
#define ANSWER_MAX MiB(256)
#define TOKEN_MAX KiB(64)
#define PARSE_DEPTH 64
#define PASSWORD_MAX 4096
#define CA_MAX 262144
/* The Manager may wait for PostgreSQL or a host before it answers. */
#define ANSWER_SECONDS 300

struct vr_client {
    struct vr_http *http;
    char *url, *token;
    bool temporary; /* the token is this command's own */
};

void vr_client_wipe(char *secret)
{
    if (secret)
        explicit_bzero(secret, strlen(secret));
    g_free(secret);
}

struct vr_http *vr_client_http(struct vr_client *client)
{
    return client->http;
}

const char *vr_client_setting(const struct vr_cli *cli, enum vr_cli_option_id id)
{
    const char *value = vr_cli_value(cli, id);
    if (value)
        return value;
    switch (id) {
    case VR_CLI_URL:
        value = g_getenv("VIREO_URL");
        break;
    case VR_CLI_USER:
        value = g_getenv("VIREO_USER");
        break;
    case VR_CLI_PASSWORD_FILE:
        value = g_getenv("VIREO_PASSWORD_FILE");
        break;
    case VR_CLI_CA_FILE:
        value = g_getenv("VIREO_CA_FILE");
        break;
    default:
        break;
    }
    return value && value[0] ? value : NULL;
}

static char *read_capped(const char *path, size_t cap, struct vr_error **error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *text = g_malloc0(cap + 1);
    size_t used = 0;
    ssize_t got = fd < 0 ? -1 : 1;
    while (got > 0 && used < cap) {
        got = read(fd, text + used, cap - used);
        if (got > 0)
            used += (size_t)got;
    }
    if (got < 0 || used == cap) {
        vr_error_set(error, &vr_cli_usage, "Cannot read %s: %s.", path,
                     got < 0 ? g_strerror(errno) : "it is too large");
        explicit_bzero(text, used);
        g_clear_pointer(&text, g_free);
    }
    if (fd >= 0)
        close(fd);
    return text;
}

char *vr_client_read_password(const char *path, struct vr_error **error)
{
    char *text = read_capped(path, PASSWORD_MAX, error);
    if (!text)
        return NULL;
    size_t length = strcspn(text, "\r\n");
    explicit_bzero(text + length, strlen(text) - length);
    if (length)
        return text;
    g_free(text);
    vr_error_set(error, &vr_cli_usage, "The first line of %s is empty; it must be the password.",
                 path);
    return NULL;
}

char *vr_client_read_ca(const char *path, struct vr_error **error)
{
    char *text = read_capped(path, CA_MAX, error);
    if (!text || strstr(text, "-----BEGIN CERTIFICATE-----"))
        return text;
    g_free(text);
    vr_error_set(error, &vr_cli_usage, "%s holds no certificate in PEM form.", path);
    return NULL;
}

json_object *vr_client_parse(const char *text, size_t size, struct vr_error **error)
{
    json_tokener *parser = json_tokener_new_ex(PARSE_DEPTH);
    json_object *object = NULL;
    if (size <= G_MAXINT32)
        object = json_tokener_parse_ex(parser, text, (int)size);
    enum json_tokener_error state = json_tokener_get_error(parser);
    json_tokener_free(parser);
    if (object && state == json_tokener_success)
        return object;
    vr_json_freep(&object);
    vr_error_set(error, &vr_cli_failed,
                 "The Manager's answer is no JSON (%s). Check that the address is a Manager's.",
                 json_tokener_error_desc(state));
    return NULL;
}

/* ---- faults ---- */

/* "[A. B.]" of the wire as "A. B."; owned. */
static char *fault_text(json_object *answer)
{
    json_object *fault = vr_cli_member(answer, "fault");
    const char *detail = vr_cli_text(fault ? fault : answer, "detail");
    const char *reason = vr_cli_text(fault ? fault : answer, "reason");
    const char *text = detail && detail[0] && strcmp(detail, "[]") != 0 ? detail : reason;
    if (!text)
        return NULL;
    char *clean = vr_cli_clean(text);
    size_t length = strlen(clean);
    if (length > 2 && clean[0] == '[' && clean[length - 1] == ']') {
        memmove(clean, clean + 1, length - 2);
        clean[length - 2] = '\0';
    }
    return clean;
}

static void set_fault(const struct vr_http_answer *answer, const char *method, const char *path,
                      struct vr_error **error)
{
    vr_auto_error struct vr_error *ignored = NULL;
    vr_auto_json json_object *body =
        answer->body->len && strstr(answer->type, "json")
            ? vr_client_parse(answer->body->str, answer->body->len, &ignored)
            : NULL;
    g_autofree char *text = fault_text(body);
    const char *words = text ? text : "";
    switch (answer->status) {
    case 401:
        vr_error_set(error, &vr_cli_login, "The session has ended; run 'vireo login'.");
        break;
    case 403:
        vr_error_set(error, &vr_cli_failed, "%s Ask an administrator for the permission.",
                     text ? text : "You may not do this.");
        break;
    case 404:
        vr_error_set(error, &vr_cli_not_found, "%s", text ? text : path);
        break;
    case 409:
        vr_error_set(error, &vr_cli_conflict, "%s", words);
        break;
    case 501:
        vr_error_set(error, &vr_cli_failed, "This Manager does not serve %s %s. %s", method, path,
                     words);
        break;
    case 503:
        vr_error_set(error, &vr_cli_failed, "%s The Manager is busy or lost its database; try "
                     "again in a minute.", words);
        break;
    default:
        if (answer->status >= 300 && answer->status < 400)
            vr_error_set(error, &vr_cli_failed,
                         "The server sends to another address (%ld), which is not followed; give "
                         "the Manager's own address as --url.", answer->status);
        else
            vr_error_set(error, &vr_cli_failed, "%s (%s %s answered %ld)",
                         text ? text : "The Manager says no more.", method, path, answer->status);
    }
}

/* ---- tokens ---- */

static char *escape(const char *text)
{
    return g_uri_escape_string(text, NULL, FALSE);
}

static bool post_form(struct vr_http *http, const char *url, const char *path, const char *form,
                      struct vr_http_answer *answer, struct vr_error **error)
{
    static const char *const headers[] = { "Accept: application/json",
                                           "Content-Type: application/x-www-form-urlencoded",
                                           NULL };
    g_autofree char *full = g_strconcat(url, path, NULL);
    const struct vr_http_request request = { .method = "POST", .url = full, .headers = headers,
                                             .body = form, .size = strlen(form),
                                             .cap = TOKEN_MAX, .seconds = 60 };
    return vr_http_perform(http, &request, answer, error);
}

char *vr_client_get_token(struct vr_http *http, const char *url, const char *user,
                          const char *password, struct vr_error **error)
{
    g_autofree char *name = escape(user);
    char *secret = escape(password);
    char *form = g_strdup_printf("grant_type=password&scope=ovirt-app-api&username=%s&password=%s",
                                 name, secret);
    struct vr_http_answer answer = { 0 };
    char *token = NULL;
    bool sent = post_form(http, url, "/ovirt-engine/sso/oauth/token", form, &answer, error);
    vr_client_wipe(form);
    vr_client_wipe(secret);
    vr_auto_json json_object *body =
        sent && answer.body->len && (answer.status == 200 || strstr(answer.type, "json"))
            ? vr_client_parse(answer.body->str, answer.body->len, error)
            : NULL;
    const char *value = vr_cli_text(body, "access_token");
    const char *refusal = vr_cli_text(body, "error_description");
    refusal = refusal ? refusal : vr_cli_text(body, "error");
    if (answer.status == 200 && value && value[0] && !strpbrk(value, "\r\n")) {
        token = g_strdup(value);
    } else if (!*error && (answer.status == 400 || answer.status == 401)) {
        vr_error_set(error, &vr_cli_login, "%s", refusal ? refusal : "The Manager refused.");
    } else if (!*error) {
        vr_error_set(error, &vr_cli_failed,
                     "%s answered %ld to the log-in; check that it is a Manager.", url,
                     answer.status);
    }
    if (answer.body)
        explicit_bzero(answer.body->str, answer.body->len);
    vr_http_answer_done(&answer);
    return token;
}

bool vr_client_end_token(struct vr_http *http, const char *url, const char *token,
                         struct vr_error **error)
{
    g_autofree char *value = escape(token);
    g_autofree char *form = g_strdup_printf("token=%s&scope=", value);
    struct vr_http_answer answer = { 0 };
    bool done = post_form(http, url, "/ovirt-engine/services/sso-logout", form, &answer, error);
    if (done && answer.status != 200) {
        vr_error_set(error, &vr_cli_failed, "The Manager answered %ld to the log-out.",
                     answer.status);
        done = false;
    }
    vr_http_answer_done(&answer);
    return done;
}

/* ---- opening ---- */

static bool log_in_for_once(struct vr_client *client, const char *user, const char *file,
                            struct vr_error **error)
{
    if (!user) {
        vr_error_set(error, &vr_cli_usage, "A password file needs a user: give --user too.");
        return false;
    }
    char *password = vr_client_read_password(file, error);
    if (!password)
        return false;
    client->token = vr_client_get_token(client->http, client->url, user, password, error);
    client->temporary = true;
    vr_client_wipe(password);
    return client->token != NULL;
}

static bool open_with(struct vr_client *client, const struct vr_cli *cli,
                      struct vr_cli_config *config, struct vr_error **error)
{
    const char *url = vr_client_setting(cli, VR_CLI_URL);
    const char *user = vr_client_setting(cli, VR_CLI_USER);
    const char *password_file = vr_client_setting(cli, VR_CLI_PASSWORD_FILE);
    const char *ca_file = vr_client_setting(cli, VR_CLI_CA_FILE);
    g_autofree char *ca = NULL;

    if (!url && !config->url) {
        vr_error_set(error, &vr_cli_login, "Run 'vireo login https://ADDRESS' first.");
        return false;
    }
    client->url = url ? vr_http_origin(url, error) : g_strdup(config->url);
    if (!client->url)
        return false;
    /* What was kept for one Manager is never used with another. */
    if (g_strcmp0(client->url, config->url) != 0)
        vr_cli_config_done(config);
    ca = ca_file ? vr_client_read_ca(ca_file, error) : g_strdup(config->ca);
    if (*error)
        return false;
    client->http = vr_http_new(ca, error);
    if (!client->http)
        return false;
    if (password_file)
        return log_in_for_once(client, user ? user : config->user, password_file, error);
    if (!config->token || (user && g_strcmp0(user, config->user) != 0)) {
        vr_error_set(error, &vr_cli_login,
                     "Run 'vireo login %s' first, or give --user and --password-file.",
                     client->url);
        return false;
    }
    client->token = g_strdup(config->token);
    return true;
}

struct vr_client *vr_client_open(const struct vr_cli *cli, struct vr_error **error)
{
    struct vr_cli_config config = { 0 };
    struct vr_client *client = g_new0(struct vr_client, 1);
    if (!vr_cli_config_load(&config, error) || !open_with(client, cli, &config, error)) {
        vr_client_close(client);
        client = NULL;
    }
    vr_cli_config_done(&config);
    return client;
}

void vr_client_close(struct vr_client *client)
{
    if (!client)
        return;
    vr_auto_error struct vr_error *ignored = NULL;
    vr_cli_clear_interrupt(); /* a stopped command leaves no session behind */
    if (client->temporary && client->token)
        vr_client_end_token(client->http, client->url, client->token, &ignored);
    vr_http_free(client->http);
    vr_client_wipe(client->token);
    g_free(client->url);
    g_free(client);
}

/* ---- calls ---- */

bool vr_client_send(struct vr_client *client, const char *method, const char *path,
                    const char *type, const void *body, size_t size, struct vr_http_answer *ret,
                    struct vr_error **error)
{
    g_autofree char *content = g_strdup_printf("Content-Type: %s", type);
    const char *const headers[] = { "Accept: application/json", "Version: 4",
                                    body ? content : NULL, NULL };
    g_autofree char *url = g_strconcat(client->url, VR_CLIENT_API, path, NULL);
    const struct vr_http_request request = { .method = method, .url = url, .headers = headers,
                                             .token = client->token, .body = body, .size = size,
                                             .cap = ANSWER_MAX, .seconds = ANSWER_SECONDS };
    if (!vr_http_perform(client->http, &request, ret, error))
        return false;
    if (ret->status >= 200 && ret->status < 300)
        return true;
    set_fault(ret, method, path, error);
    return false;
}

bool vr_client_call(struct vr_client *client, const char *method, const char *path,
                    json_object *body, json_object **ret_answer, struct vr_error **error)
{
    const char *text = body ? json_object_to_json_string_ext(body, JSON_C_TO_STRING_PLAIN) : NULL;
    struct vr_http_answer answer = { 0 };
    json_object *parsed = NULL;
    bool done = vr_client_send(client, method, path, "application/json", text,
                               text ? strlen(text) : 0, &answer, error);
    if (done && ret_answer && answer.body->len) {
        parsed = vr_client_parse(answer.body->str, answer.body->len, error);
        done = parsed != NULL;
    }
    vr_http_answer_done(&answer);
    if (done && ret_answer)
        *ret_answer = parsed;
    return done;
}

/* A collection is an object with one array, whose key is the singular; an empty one has none. */
static json_object *items_of(json_object *answer)
{
    if (json_object_is_type(answer, json_type_object)) {
        json_object_object_foreach(answer, key, value)
        {
            (void)key;
            if (json_object_is_type(value, json_type_array))
                return json_object_get(value);
        }
    }
    return json_object_new_array();
}

json_object *vr_client_list(struct vr_client *client, const char *collection, const char *query,
                            struct vr_error **error)
{
    g_autofree char *path = g_strdup_printf("/%s%s%s", collection, query ? "?" : "",
                                            query ? query : "");
    vr_auto_json json_object *answer = NULL;
    if (!vr_client_call(client, "GET", path, NULL, &answer, error))
        return NULL;
    return items_of(answer);
}

json_object *vr_client_list_asked(struct vr_client *client, const struct vr_cli *cli,
                                  const char *collection, struct vr_error **error)
{
    const char *search = vr_cli_value(cli, VR_CLI_SEARCH);
    uint64_t max = 0;
    if (!vr_cli_number(cli, VR_CLI_MAX, 1, G_MAXINT32, 0, &max, error))
        return NULL;
    g_autoptr(GString) query = g_string_new(NULL);
    if (search) {
        g_autofree char *value = escape(search);
        g_string_append_printf(query, "search=%s", value);
    }
    if (max)
        g_string_append_printf(query, "%smax=%" G_GUINT64_FORMAT, query->len ? "&" : "", max);
    return vr_client_list(client, collection, query->len ? query->str : NULL, error);
}

/* ---- names ---- */

/* What a search value between quotes cannot hold, or would not mean itself in. */
static bool searchable(const char *name)
{
    return !strpbrk(name, "\"';*\\");
}

static json_object *find_by_id(struct vr_client *client, const char *collection, const char *id,
                               struct vr_error **error)
{
    g_autofree char *path = g_strdup_printf("/%s/%s", collection, id);
    json_object *answer = NULL;
    vr_auto_error struct vr_error *failure = NULL;
    if (vr_client_call(client, "GET", path, NULL, &answer, &failure)) {
        if (!answer)
            vr_error_set(error, &vr_cli_failed, "The Manager's answer is empty.");
        return answer;
    }
    if (failure->fault != &vr_cli_not_found)
        vr_error_move(error, &failure);
    return NULL;
}

json_object *vr_client_find(struct vr_client *client, const char *collection, const char *name,
                            struct vr_error **error)
{
    if (g_uuid_string_is_valid(name)) {
        json_object *found = find_by_id(client, collection, name, error);
        if (found || *error)
            return found;
    }
    g_autofree char *quoted = g_strdup_printf("name=\"%s\"", name);
    g_autofree char *value = escape(quoted);
    g_autofree char *query = g_strdup_printf("search=%s", value);
    vr_auto_json json_object *items =
        vr_client_list(client, collection, searchable(name) ? query : NULL, error);
    if (!items)
        return NULL;
    json_object *found = NULL;
    for (size_t i = 0; i < json_object_array_length(items); i++) {
        json_object *item = json_object_array_get_idx(items, i);
        if (strcmp(vr_cli_name_of(item), name) != 0)
            continue;
        if (found) {
            vr_error_set(error, &vr_cli_usage,
                         "More than one of the %s is called '%.100s'; give the id.", collection,
                         name);
            return NULL;
        }
        found = item;
    }
    if (!found)
        vr_error_set(error, &vr_cli_not_found, "None of the %s is called '%.100s'.", collection,
                     name);
    return json_object_get(found);
}
