/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/http.h"

#include <curl/curl.h>

#include "cli/cli.h"

struct vr_http {
    CURL *curl;
    char *ca;
};

/* One perform's worth of callbacks. */
struct exchange {
    const struct vr_http_request *request;
    struct vr_http_answer *answer;
    bool too_large;
};

struct vr_http *vr_http_new(const char *ca, struct vr_error **error)
{
    CURL *curl = curl_easy_init();
    if (!curl) {
        vr_error_set(error, &vr_cli_failed, "libcurl has no memory.");
        return NULL;
    }
    struct vr_http *http = g_new0(struct vr_http, 1);
    http->curl = curl;
    http->ca = g_strdup(ca);
    return http;
}

void vr_http_free(struct vr_http *http)
{
    if (!http)
        return;
    curl_easy_cleanup(http->curl);
    g_free(http->ca);
    g_free(http);
}

void vr_http_answer_done(struct vr_http_answer *answer)
{
    g_clear_pointer(&answer->type, g_free);
    if (answer->body)
        g_string_free(answer->body, TRUE);
    answer->body = NULL;
}

static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
    struct exchange *exchange = arg;
    size_t length = size * count;
    if (length > exchange->request->cap - exchange->answer->body->len) {
        exchange->too_large = true;
        return 0;
    }
    g_string_append_len(exchange->answer->body, data, (gssize)length);
    return length;
}

static int on_progress(void *arg, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                       curl_off_t up)
{
    struct exchange *exchange = arg;
    (void)down_total, (void)down, (void)up_total;
    if (exchange->request->progress && up >= 0)
        exchange->request->progress(exchange->request->progress_arg, (uint64_t)up);
    return vr_cli_interrupted();
}

static struct curl_slist *header_list(const struct vr_http_request *request)
{
    /* An empty Expect: no round trip before each body. */
    struct curl_slist *list = curl_slist_append(NULL, "Expect:");
    if (request->token) {
        g_autofree char *bearer = g_strdup_printf("Authorization: Bearer %s", request->token);
        list = curl_slist_append(list, bearer);
    }
    for (unsigned i = 0; request->headers && request->headers[i]; i++)
        list = curl_slist_append(list, request->headers[i]);
    return list;
}

static void set_trust(CURL *curl, const struct vr_http *http, bool untrusted)
{
    if (untrusted) {
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
        return;
    }
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L);
    if (http->ca) {
        struct curl_blob blob = { .data = http->ca, .len = strlen(http->ca),
                                  .flags = CURL_BLOB_COPY };
        curl_easy_setopt(curl, CURLOPT_CAINFO_BLOB, &blob);
        curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
    }
}

static void set_request(CURL *curl, const struct vr_http_request *request,
                        struct curl_slist *headers)
{
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_URL, request->url);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "vireo/" VR_VERSION);
    curl_easy_setopt(curl, CURLOPT_ACCEPT_ENCODING, "");
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, 15L);
    /* A connection that moves nothing is dead; one that moves may take as long as it likes. */
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)request->seconds);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
    if (request->body) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->size);
    } else if (strcmp(request->method, "GET") == 0) {
        curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L);
    }
}

static void fail(CURLcode code, const char *text, const struct exchange *exchange,
                 struct vr_error **error)
{
    const char *url = exchange->request->url;
    switch (code) {
    case CURLE_ABORTED_BY_CALLBACK:
        vr_error_set(error, &vr_cli_stopped, NULL);
        return;
    case CURLE_WRITE_ERROR:
        if (exchange->too_large)
            vr_error_set(error, &vr_cli_failed,
                         "The answer is larger than %zu bytes; narrow it with --search or --max.",
                         exchange->request->cap);
        else
            vr_error_set(error, &vr_cli_failed, "%s.", text);
        return;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
        exchange->answer->distrust = true;
        vr_error_set(error, &vr_cli_connect,
                     "The certificate of %s is not trusted: %s. Give the authority with --ca-file, "
                     "or run 'vireo login' again.", url, text);
        return;
    case CURLE_NOT_BUILT_IN:
    case CURLE_UNKNOWN_OPTION:
        vr_error_set(error, &vr_cli_failed, "This libcurl lacks what is needed: %s.", text);
        return;
    default:
        vr_error_set(error, &vr_cli_connect,
                     "%s: %s. Check the address, and that the Manager runs.", url, text);
    }
}

bool vr_http_perform(struct vr_http *http, const struct vr_http_request *request,
                     struct vr_http_answer *ret, struct vr_error **error)
{
    CURL *curl = http->curl;
    struct exchange exchange = { .request = request, .answer = ret };
    char text[CURL_ERROR_SIZE] = "";

    *ret = (struct vr_http_answer){ .type = g_strdup(""), .body = g_string_new(NULL) };
    curl_easy_reset(curl); /* keeps the connection */
    struct curl_slist *headers = header_list(request);
    set_trust(curl, http, request->untrusted);
    set_request(curl, request, headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &exchange);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &exchange);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, text);
    CURLcode code = curl_easy_perform(curl);
    if (code == CURLE_OK) {
        const char *type = NULL;
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &ret->status);
        curl_easy_getinfo(curl, CURLINFO_CONTENT_TYPE, &type);
        if (type) {
            g_free(ret->type);
            ret->type = g_ascii_strdown(type, (gssize)strcspn(type, "; \t"));
        }
    } else {
        fail(code, text[0] ? text : curl_easy_strerror(code), &exchange, error);
    }
    /* The error buffer and the callbacks' data end here. */
    curl_easy_reset(curl);
    curl_slist_free_all(headers);
    return code == CURLE_OK;
}

static bool known_path(const char *path)
{
    static const char *const known[] = { "", "/", "/ovirt-engine", "/ovirt-engine/",
                                         "/ovirt-engine/api", "/ovirt-engine/api/", NULL };
    return !path || g_strv_contains(known, path);
}

/* A name or an address; what else a URI may hold there, no Manager has. */
static bool is_host(const char *host)
{
    for (const char *c = host; *c; c++)
        if (!g_ascii_isalnum(*c) && !strchr(".-_:", *c))
            return false;
    return host[0] != '\0';
}

char *vr_http_origin(const char *text, struct vr_error **error)
{
    g_autofree char *full = g_strconcat(strstr(text, "://") ? "" : "https://", text, NULL);
    g_autoptr(GUri) uri = g_uri_parse(full, G_URI_FLAGS_NONE, NULL);
    const char *host = uri ? g_uri_get_host(uri) : NULL;
    if (!host || !is_host(host) || g_uri_get_query(uri) || g_uri_get_fragment(uri) ||
        !known_path(g_uri_get_path(uri))) {
        vr_error_set(error, &vr_cli_usage, "'%.200s' is no address; write it as in "
                     "https://manager.example.com.", text);
        return NULL;
    }
    if (g_uri_get_userinfo(uri)) {
        vr_error_set(error, &vr_cli_usage,
                     "User and password do not belong in the address; use --user and "
                     "--password-file.");
        return NULL;
    }
    if (g_ascii_strcasecmp(g_uri_get_scheme(uri), "https") != 0) {
        vr_error_set(error, &vr_cli_usage, "The address must start with https://.");
        return NULL;
    }
    bool six = strchr(host, ':') != NULL;
    int port = g_uri_get_port(uri);
    GString *origin = g_string_new("https://");
    g_string_append_printf(origin, six ? "[%s]" : "%s", host);
    if (port > 0 && port != 443)
        g_string_append_printf(origin, ":%d", port);
    return g_string_free(origin, FALSE);
}
