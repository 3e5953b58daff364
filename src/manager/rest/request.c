/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/rest/request.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>

const char *vr_request_header(const struct vr_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

const char *vr_request_param(const struct vr_request *request, const char *name)
{
    static const struct {
        const char *param, *header;
    } headers[] = {
        { "filter", "Filter" },
        { "all_content", "All-Content" },
        { "correlation_id", "Correlation-Id" },
        { "job_id", "JobId" },
        { "step_id", "StepId" },
    };
    const char *value = vr_url_param(&request->url, name);
    for (unsigned i = 0; !value && i < G_N_ELEMENTS(headers); i++)
        if (strcmp(name, headers[i].param) == 0)
            value = vr_request_header(request, headers[i].header);
    return value;
}

char *vr_request_origin(const struct vr_request *request)
{
    const char *host = vr_request_header(request, "Host");
    for (const char *c = host; c && *c; c++)
        if (!g_ascii_isalnum(*c) && !strchr(".-_:[]", *c))
            host = NULL;
    return g_strconcat("https://", host && *host ? host : "localhost", NULL);
}

void vr_request_peer(const struct vr_request *request, char out[64])
{
    out[0] = '\0';
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    if (!info || !info->client_addr)
        return;
    const struct sockaddr *address = info->client_addr;
    if (address->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, address, sizeof(in));
        inet_ntop(AF_INET, &in.sin_addr, out, 64);
    } else if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, address, sizeof(in6));
        if (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr))
            inet_ntop(AF_INET, in6.sin6_addr.s6_addr + 12, out, 64);
        else
            inet_ntop(AF_INET6, &in6.sin6_addr, out, 64);
    }
}

struct preference {
    const char *word;
    bool found;
};

static enum MHD_Result look_for_preference(void *arg, enum MHD_ValueKind kind, const char *key,
                                           const char *value)
{
    struct preference *want = arg;
    if (!value || g_ascii_strcasecmp(key, "Prefer") != 0)
        return MHD_YES;
    g_auto(GStrv) words = g_strsplit(value, ",", 16);
    for (unsigned i = 0; words[i]; i++)
        want->found = want->found || g_ascii_strcasecmp(g_strstrip(words[i]), want->word) == 0;
    return MHD_YES;
}

bool vr_request_prefers(const struct vr_request *request, const char *word)
{
    struct preference want = { word, false };
    MHD_get_connection_values(request->connection, MHD_HEADER_KIND, look_for_preference, &want);
    return want.found;
}

void vr_reply(struct vr_request *request, int status, const char *content_type, GString *body)
{
    struct vr_reply *reply = &request->reply;
    if (reply->body)
        g_string_free(reply->body, TRUE);
    g_clear_pointer(&reply->texts, vr_texts_free);
    reply->status = status;
    reply->content_type = content_type;
    reply->body = body;
}

void vr_reply_texts(struct vr_request *request, int status, const char *content_type,
                    struct vr_texts *texts)
{
    vr_reply(request, status, content_type, NULL);
    request->reply.texts = texts;
}

void vr_reply_text(struct vr_request *request, int status, const char *content_type,
                   const char *text)
{
    vr_reply(request, status, content_type, g_string_new(text));
}

void vr_reply_file(struct vr_request *request, const char *content_type, int fd, uint64_t size)
{
    vr_reply(request, 200, content_type, NULL);
    request->reply.fd = fd;
    request->reply.fd_size = size;
}

void vr_reply_header(struct vr_request *request, const char *name, char *value)
{
    struct vr_reply *reply = &request->reply;
    for (char *c = value; *c; c++)
        if (g_ascii_iscntrl(*c))
            *c = '\0';
    if (reply->header_count == VR_REPLY_HEADERS) {
        g_free(value);
        return;
    }
    reply->headers[reply->header_count].name = name;
    reply->headers[reply->header_count++].value = value;
}
