/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/image/http.h"

#include <json-c/json.h>

static enum MHD_Result put_ticket(struct vr_image_server *server, struct MHD_Connection *connection,
                                  const char *id, const GString *body)
{
    vr_auto_error struct vr_error *error = NULL;
    if (!vr_tickets_put(server->tickets, id, body->str, body->len, &error))
        return vr_http_error(connection, error);
    return vr_http_answer(connection, 200, NULL, "", false);
}

static enum MHD_Result get_ticket(struct vr_image_server *server, struct MHD_Connection *connection,
                                  const char *id)
{
    g_autofree char *text = vr_tickets_show(server->tickets, id);
    if (!text)
        return vr_http_answer(connection, 404, "text/plain", "No such ticket\n", false);
    return vr_http_answer(connection, 200, "application/json", text, false);
}

static enum MHD_Result patch_ticket(struct vr_image_server *server,
                                    struct MHD_Connection *connection, const char *id,
                                    const GString *body)
{
    json_object *o = json_tokener_parse(body->str), *timeout = NULL;
    json_object_object_get_ex(o, "timeout", &timeout);
    bool good = json_object_is_type(timeout, json_type_int);
    int64_t seconds = good ? json_object_get_int64(timeout) : -1;
    json_object_put(o);
    if (seconds < 0 || seconds > G_MAXINT32)
        return vr_http_answer(connection, 400, "text/plain", "timeout is missing or bad\n", false);
    if (!vr_tickets_extend(server->tickets, id, seconds))
        return vr_http_answer(connection, 404, "text/plain", "No such ticket\n", false);
    return vr_http_answer(connection, 200, NULL, "", false);
}

static enum MHD_Result route(struct vr_image_server *server, struct MHD_Connection *connection,
                             const char *url, const char *method, const GString *body)
{
    g_auto(GStrv) path = vr_http_path(url);
    unsigned parts = g_strv_length(path);
    if (parts == 1 && strcmp(path[0], "info") == 0)
        return vr_http_answer(connection, 200, "application/json", "{\"version\":\"2.5.0\"}",
                              false);
    if (parts != 2 || strcmp(path[0], "tickets") != 0 || !*path[1])
        return vr_http_answer(connection, 404, "text/plain", "Not found\n", false);
    if (strcmp(method, "PUT") == 0)
        return put_ticket(server, connection, path[1], body);
    if (strcmp(method, "GET") == 0)
        return get_ticket(server, connection, path[1]);
    if (strcmp(method, "PATCH") == 0)
        return patch_ticket(server, connection, path[1], body);
    if (strcmp(method, "DELETE") != 0)
        return vr_http_answer(connection, 405, "text/plain", "Method not allowed\n", false);
    if (!vr_tickets_delete(server->tickets, path[1], server->delete_wait_s))
        return vr_http_answer(connection, 409, "text/plain", "The ticket is in use\n", false);
    return vr_http_answer(connection, 204, NULL, "", false);
}

enum MHD_Result vr_http_control(void *arg, struct MHD_Connection *connection, const char *url,
                                const char *method, const char *version VR_UNUSED,
                                const char *upload, size_t *upload_size, void **state)
{
    struct vr_http_request *request = *state;
    if (!request) {
        *state = request = g_new0(struct vr_http_request, 1);
        request->body = g_string_new(NULL);
        return MHD_YES;
    }
    if (*upload_size) {
        if (request->body->len + *upload_size > VR_HTTP_BODY_MAX)
            return MHD_NO;
        g_string_append_len(request->body, upload, (gssize)*upload_size);
        *upload_size = 0;
        return MHD_YES;
    }
    return route(arg, connection, url, method, request->body);
}
