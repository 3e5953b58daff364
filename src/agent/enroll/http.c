/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/enroll/http.h"

#include <curl/curl.h>
#include <string.h>

#define CONNECT_S 20L
#define WHOLE_S 60L

static const struct vr_fault fault_manager = {
    .name = "manager", .http = 502, .exit = 5, .text = "The Manager cannot be asked."
};

static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
    GString *text = arg;
    if (size * count > VR_ENROLL_ANSWER_MAX - text->len)
        return 0;
    g_string_append_len(text, data, (gssize)(size * count));
    return size * count;
}

static void set_trust(CURL *curl, const char *authority)
{
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, authority ? 1L : 0L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, authority ? 2L : 0L);
    if (authority) {
        struct curl_blob blob = { .data = (void *)(uintptr_t)authority,
                                  .len = strlen(authority),
                                  .flags = CURL_BLOB_COPY };
        curl_easy_setopt(curl, CURLOPT_CAINFO_BLOB, &blob);
        curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
    }
}

/* The first line of what the Manager answered, for a message. */
static void refused(long status, GString *text, struct vr_error **error)
{
    text->str[strcspn(text->str, "\r\n")] = '\0';
    for (char *c = text->str; *c; c++)
        if (g_ascii_iscntrl(*c))
            *c = ' ';
    if (text->str[0] && g_utf8_validate(text->str, -1, NULL))
        vr_error_set(error, &fault_manager, "It answers %ld: %.300s", status, text->str);
    else
        vr_error_set(error, &fault_manager, "It answers %ld.", status);
}

char *vr_enroll_http(const struct vr_enroll_http *request, struct vr_error **error)
{
    CURL *curl = curl_easy_init();
    g_autoptr(GString) text = g_string_new(NULL);
    char reason[CURL_ERROR_SIZE] = "";
    long status = 0;
    if (!curl)
        g_error("libcurl has no memory");
    struct curl_slist *headers = curl_slist_append(NULL, "Expect:");
    headers = curl_slist_append(headers, "Content-Type: application/x-pem-file");
    set_trust(curl, request->authority);
    curl_easy_setopt(curl, CURLOPT_URL, request->url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_PROXY, ""); /* the Manager is in the data centre */
    curl_easy_setopt(curl, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_S);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, WHOLE_S);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, reason);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, text);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    if (request->body) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)strlen(request->body));
    }
    CURLcode code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    if (code != CURLE_OK)
        vr_error_set(error, &fault_manager, "%s: %s.", request->url,
                     reason[0] ? reason : curl_easy_strerror(code));
    else if (status != 200)
        refused(status, text, error);
    return *error ? NULL : g_strdup(text->str);
}

char *vr_enroll_escape(const char *text)
{
    return g_uri_escape_string(text, NULL, FALSE);
}
