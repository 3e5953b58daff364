/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "image"
#include <errno.h>
#include <json-c/json.h>

#include "agent/image/checksum.h"
#include "agent/image/http.h"

/* The protocol of facts/rest-api.md 9.3, seen by clients. */

#define BUFFER_SIZE MiB(1)
#define PIECE_SIZE KiB(256) /* of an answer */
#define ZERO_STEP MiB(1024) /* between two looks at whether the ticket was cancelled */
#define READERS_MAX 8
#define SILENCE_MAX_S 86400U

enum verb { IMAGE_OPTIONS, IMAGE_GET, IMAGE_PUT, IMAGE_PATCH, EXTENTS, CHECKSUM, ALGORITHMS };

static const char *query(struct MHD_Connection *connection, const char *key)
{
    return MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, key);
}

static const char *header(struct MHD_Connection *connection, const char *key)
{
    return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, key);
}

static enum MHD_Result plain(struct MHD_Connection *connection, unsigned status, const char *text)
{
    return vr_http_answer(connection, status, "text/plain; charset=UTF-8", text, true);
}

static enum MHD_Result not_in_range(struct MHD_Connection *connection, uint64_t size)
{
    static const char text[] = "The requested range is not in the image.\n";
    g_autofree char *range = g_strdup_printf("bytes */%" G_GUINT64_FORMAT, size);
    struct MHD_Response *response = MHD_create_response_from_buffer(
        strlen(text), (void *)(uintptr_t)text, MHD_RESPMEM_PERSISTENT);
    MHD_add_response_header(response, "Content-Range", range);
    MHD_add_response_header(response, "Content-Type", "text/plain; charset=UTF-8");
    MHD_add_response_header(response, "Access-Control-Allow-Origin", "*");
    MHD_add_response_header(response, "Connection", "close");
    enum MHD_Result rc = MHD_queue_response(connection, 416, response);
    MHD_destroy_response(response);
    return rc;
}

/* "12" to a number; *@end is set behind it.  False when there is none or it is too large. */
static bool number(const char *text, char **end, uint64_t *value)
{
    if (!g_ascii_isdigit(*text))
        return false;
    errno = 0;
    *value = g_ascii_strtoull(text, end, 10);
    return errno == 0 && *value <= (uint64_t)INT64_MAX;
}

/* "bytes=a-b" or "bytes=a-"; suffix and multiple ranges are not served. */
static bool parse_range(const char *text, uint64_t size, uint64_t *start, uint64_t *end)
{
    char *rest;
    if (!g_str_has_prefix(text, "bytes=") || !number(text + strlen("bytes="), &rest, start) ||
        *rest != '-' || *start >= size)
        return false;
    if (!rest[1]) {
        *end = size;
        return true;
    }
    uint64_t last;
    if (!number(rest + 1, &rest, &last) || *rest || last < *start)
        return false;
    *end = MIN(last + 1, size);
    return true;
}

/* ---- OPTIONS ---- */

static enum MHD_Result serve_options(struct MHD_Connection *connection, bool any, bool write)
{
    const char *allow = write ? "OPTIONS,GET,PUT,PATCH" : "OPTIONS,GET";
    g_autofree char *limits =
        any ? g_strdup("")
            : g_strdup_printf(",\"max_readers\":%d,\"max_writers\":%d", READERS_MAX, READERS_MAX);
    g_autofree char *body = g_strdup_printf("{\"features\":[\"checksum\",\"extents\"%s]%s}",
                                            write ? ",\"flush\",\"zero\"" : "", limits);
    struct MHD_Response *response =
        MHD_create_response_from_buffer(strlen(body), body, MHD_RESPMEM_MUST_COPY);
    MHD_add_response_header(response, "Allow", allow);
    MHD_add_response_header(response, "Content-Type", "application/json");
    MHD_add_response_header(response, "Access-Control-Allow-Origin", "*");
    MHD_add_response_header(response, "Access-Control-Allow-Methods", "OPTIONS,GET,PUT");
    MHD_add_response_header(response, "Access-Control-Allow-Headers", "*");
    MHD_add_response_header(response, "Access-Control-Max-Age", "86400");
    enum MHD_Result rc = MHD_queue_response(connection, 200, response);
    MHD_destroy_response(response);
    return rc;
}

/* ---- GET ---- */

struct reading {
    struct vr_ticket_use *use;
    uint64_t start, length;
};

static ssize_t read_piece(void *arg, uint64_t position, char *buffer, size_t room)
{
    struct reading *r = arg;
    vr_auto_error struct vr_error *error = NULL;
    if (position >= r->length)
        return MHD_CONTENT_READER_END_OF_STREAM;
    size_t n = (size_t)MIN((uint64_t)room, r->length - position);
    uint64_t at = r->start + position;
    struct vr_backend *b = r->use->backend;
    if (!vr_ticket_go_on(r->use, &error) || !b->driver->read(b, buffer, n, at, &error)) {
        g_autofree char *text = vr_error_text(error);
        vr_log_warning("A download ends early: %s", text);
        /* The promised length cannot be kept; only a closed connection tells that. */
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    vr_ticket_count(r->use, at, at + n);
    return (ssize_t)n;
}

static enum MHD_Result serve_get(struct MHD_Connection *connection, struct vr_http_request *request)
{
    vr_auto_error struct vr_error *error = NULL;
    uint64_t size = vr_ticket_size(request->use), start = 0, end = size;
    const char *range = header(connection, "Range");
    if (range && !parse_range(range, size, &start, &end))
        return not_in_range(connection, size);
    if (!vr_ticket_backend(request->use, &error))
        return vr_http_error(connection, error);
    struct reading *r = g_new(struct reading, 1);
    *r = (struct reading){ request->use, start, end - start };
    struct MHD_Response *response =
        MHD_create_response_from_callback(end - start, PIECE_SIZE, read_piece, r, g_free);
    const char *filename = vr_ticket_filename(request->use);
    MHD_add_response_header(response, "Content-Type", "application/octet-stream");
    MHD_add_response_header(response, "Accept-Ranges", "bytes");
    MHD_add_response_header(response, "Access-Control-Allow-Origin", "*");
    if (filename) {
        g_autofree char *value = g_strdup_printf("attachment; filename=%s", filename);
        MHD_add_response_header(response, "Content-Disposition", value);
    }
    if (range) {
        g_autofree char *value =
            g_strdup_printf("bytes %" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT "/%" G_GUINT64_FORMAT,
                            start, end - 1, size);
        MHD_add_response_header(response, "Content-Range", value);
    }
    enum MHD_Result rc = MHD_queue_response(connection, range ? 206 : 200, response);
    MHD_destroy_response(response);
    return rc;
}

/* ---- PUT ---- */

/* "bytes a-b/x": only a matters. */
static bool parse_content_range(const char *text, uint64_t *start)
{
    char *rest;
    return g_str_has_prefix(text, "bytes ") && number(text + strlen("bytes "), &rest, start) &&
           *rest == '-';
}

/* Looks at a PUT's headers.  MHD_NO: go on and take the body; otherwise it is answered. */
static enum MHD_Result refuse_put(struct MHD_Connection *connection,
                                  struct vr_http_request *request)
{
    vr_auto_error struct vr_error *error = NULL;
    const char *length = header(connection, "Content-Length");
    const char *range = header(connection, "Content-Range");
    const char *flush = query(connection, "flush");
    char *rest;
    uint64_t size = vr_ticket_size(request->use);
    if (!length || !number(length, &rest, &request->left) || *rest)
        return plain(connection, 400, "Content-Length is missing or bad.\n");
    if (range && !parse_content_range(range, &request->offset))
        return plain(connection, 400, "Content-Range is bad.\n");
    if (flush && strcmp(flush, "y") != 0 && strcmp(flush, "n") != 0)
        return plain(connection, 400, "flush is y or n.\n");
    if (request->offset > size || request->left > size - request->offset)
        return not_in_range(connection, size);
    if (!vr_ticket_backend(request->use, &error))
        return vr_http_error(connection, error);
    request->flush = !flush || *flush == 'y';
    request->buffer = g_malloc(BUFFER_SIZE);
    return MHD_NO;
}

static void remember_error(struct vr_http_request *request, const struct vr_error *error)
{
    g_autofree char *text = vr_error_text(error);
    vr_log_warning("An upload failed: %s", text);
    request->status = (unsigned)error->fault->http;
    request->text = g_strconcat(text, "\n", NULL);
}

static void write_out(struct vr_http_request *request)
{
    vr_auto_error struct vr_error *error = NULL;
    struct vr_backend *b = request->use->backend;
    if (request->status || !request->filled)
        return;
    if (!vr_ticket_go_on(request->use, &error) ||
        !b->driver->write(b, request->buffer, request->filled, request->offset, &error)) {
        remember_error(request, error);
        return;
    }
    vr_ticket_count(request->use, request->offset, request->offset + request->filled);
    request->offset += request->filled;
    request->filled = 0;
}

/* A failed upload's remaining bytes are taken and dropped, so that the client gets to read why. */
static void take_upload(struct vr_http_request *request, const char *data, size_t length)
{
    while (length && !request->status) {
        size_t n = MIN(length, (size_t)BUFFER_SIZE - request->filled);
        memcpy(request->buffer + request->filled, data, n);
        request->filled += n;
        data += n;
        length -= n;
        if (request->filled == BUFFER_SIZE)
            write_out(request);
    }
}

static enum MHD_Result finish_put(struct MHD_Connection *connection,
                                  struct vr_http_request *request)
{
    vr_auto_error struct vr_error *error = NULL;
    write_out(request);
    struct vr_backend *b = request->use->backend;
    if (!request->status && request->flush && !b->driver->flush(b, &error))
        remember_error(request, error);
    if (request->status)
        return plain(connection, request->status, request->text);
    return vr_http_answer(connection, 200, NULL, "", false);
}

/* ---- PATCH ---- */

static bool json_number(json_object *o, const char *key, uint64_t otherwise, uint64_t *value)
{
    json_object *member = NULL;
    *value = otherwise;
    if (!json_object_object_get_ex(o, key, &member))
        return otherwise != UINT64_MAX;
    if (!json_object_is_type(member, json_type_int) || json_object_get_int64(member) < 0)
        return false;
    *value = (uint64_t)json_object_get_int64(member);
    return true;
}

static bool zero(struct vr_http_request *request, uint64_t offset, uint64_t length,
                 struct vr_error **error)
{
    struct vr_backend *b = request->use->backend;
    while (length) {
        uint64_t n = MIN(length, ZERO_STEP);
        if (!vr_ticket_go_on(request->use, error) || !b->driver->zero(b, n, offset, error))
            return false;
        vr_ticket_count(request->use, offset, offset + n);
        offset += n;
        length -= n;
    }
    return true;
}

static enum MHD_Result serve_zero(struct MHD_Connection *connection,
                                  struct vr_http_request *request, json_object *o)
{
    vr_auto_error struct vr_error *error = NULL;
    uint64_t offset, length, size = vr_ticket_size(request->use);
    json_object *flush = NULL;
    json_object_object_get_ex(o, "flush", &flush);
    if (!json_number(o, "offset", 0, &offset) || !json_number(o, "size", UINT64_MAX, &length) ||
        (flush && !json_object_is_type(flush, json_type_boolean)))
        return plain(connection, 400, "offset, size or flush is missing or bad.\n");
    if (offset > size || length > size - offset)
        return not_in_range(connection, size);
    struct vr_backend *b = vr_ticket_backend(request->use, &error);
    if (!b || !zero(request, offset, length, &error) ||
        (json_object_get_boolean(flush) && !b->driver->flush(b, &error)))
        return vr_http_error(connection, error);
    return vr_http_answer(connection, 200, NULL, "", false);
}

/* MHD_NO: go on and take the body; otherwise it is answered. */
static enum MHD_Result refuse_patch(struct MHD_Connection *connection,
                                    struct vr_http_request *request)
{
    const char *length = header(connection, "Content-Length");
    char *rest;
    uint64_t size;
    if (length && (!number(length, &rest, &size) || *rest || size > VR_HTTP_BODY_MAX))
        return plain(connection, 413, "The request is too large.\n");
    request->body = g_string_new(NULL);
    return MHD_NO;
}

static enum MHD_Result serve_patch(struct MHD_Connection *connection,
                                   struct vr_http_request *request)
{
    vr_auto_error struct vr_error *error = NULL;
    const char *type = header(connection, "Content-Type");
    if (!type || !g_str_has_prefix(type, "application/json"))
        return plain(connection, 400, "Content-Type must be application/json.\n");
    struct json_tokener *tokener = json_tokener_new_ex(4);
    json_object *o = json_tokener_parse_ex(tokener, request->body->str, (int)request->body->len),
                *op = NULL;
    json_tokener_free(tokener);
    const char *name = json_object_object_get_ex(o, "op", &op) ? json_object_get_string(op) : NULL;
    enum MHD_Result rc;
    if (g_strcmp0(name, "zero") == 0) {
        rc = serve_zero(connection, request, o);
    } else if (g_strcmp0(name, "flush") == 0) {
        struct vr_backend *b = vr_ticket_backend(request->use, &error);
        rc = b && b->driver->flush(b, &error) ? vr_http_answer(connection, 200, NULL, "", false)
                                              : vr_http_error(connection, error);
    } else {
        rc = plain(connection, 400, "The operation is missing or not known.\n");
    }
    json_object_put(o);
    return rc;
}

/* ---- extents and checksum ---- */

/* A list that is written while the client reads it. */
struct listing {
    struct vr_ticket_use *use;
    uint64_t at; /* how far the image is looked through */
    GString *text;
    size_t sent; /* of @text */
    /* The extent that the next one may go on. */
    uint64_t start, length;
    bool zero, hole;
    bool any, ended; /* one is written; the list is */
};

static void listing_free(void *data)
{
    struct listing *l = data;
    g_string_free(l->text, TRUE);
    g_free(l);
}

static void put_extent(struct listing *l)
{
    if (l->length)
        g_string_append_printf(l->text,
                               "%s{\"start\":%" G_GUINT64_FORMAT ",\"length\":%" G_GUINT64_FORMAT
                               ",\"zero\":%s,\"hole\":%s}",
                               l->any ? ", " : "", l->start, l->length, l->zero ? "true" : "false",
                               l->hole ? "true" : "false");
    l->any = l->any || l->length;
}

/* Joins neighbours that are alike. */
static void list_extent(uint64_t start, uint64_t length, bool is_zero, bool hole, void *arg)
{
    struct listing *l = arg;
    if (l->length && l->zero == is_zero && l->hole == hole) {
        l->length += length;
        return;
    }
    put_extent(l);
    l->start = start;
    l->length = length;
    l->zero = is_zero;
    l->hole = hole;
}

/* Goes on until a piece of text is there or the list ends. */
static bool go_on_listing(struct listing *l, struct vr_error **error)
{
    uint64_t size = vr_ticket_size(l->use);
    struct vr_backend *b = l->use->backend;
    g_string_erase(l->text, 0, (gssize)l->sent);
    l->sent = 0;
    while (l->at < size && l->text->len < PIECE_SIZE)
        if (!vr_ticket_go_on(l->use, error) ||
            !b->driver->extents(b, &l->at, size, list_extent, l, error))
            return false;
    if (l->at >= size && !l->ended) {
        put_extent(l);
        g_string_append_c(l->text, ']');
        l->ended = true;
    }
    return true;
}

static ssize_t list_piece(void *arg, uint64_t position VR_UNUSED, char *buffer, size_t room)
{
    struct listing *l = arg;
    vr_auto_error struct vr_error *error = NULL;
    if (l->sent == l->text->len && !l->ended && !go_on_listing(l, &error)) {
        g_autofree char *text = vr_error_text(error);
        vr_log_warning("A list of extents ends early: %s", text);
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    size_t n = MIN(room, l->text->len - l->sent);
    memcpy(buffer, l->text->str + l->sent, n);
    l->sent += n;
    return n ? (ssize_t)n : MHD_CONTENT_READER_END_OF_STREAM;
}

/* A list that is short has a length, as ovirt-imageio's; a longer one comes in chunks, which HTTP
 * clients take alike, and what goes wrong by then leaves it without its end. */
static enum MHD_Result serve_extents(struct MHD_Connection *connection,
                                     struct vr_http_request *request)
{
    vr_auto_error struct vr_error *error = NULL;
    const char *context = query(connection, "context");
    if (context && strcmp(context, "dirty") == 0)
        return plain(connection, 404, "The ticket does not support dirty extents.\n");
    if (context && strcmp(context, "zero") != 0)
        return plain(connection, 400, "The context is not known.\n");
    if (!vr_ticket_backend(request->use, &error))
        return vr_http_error(connection, error);
    struct listing *l = g_new0(struct listing, 1);
    l->use = request->use;
    l->text = g_string_new("[");
    if (!go_on_listing(l, &error)) {
        listing_free(l);
        return vr_http_error(connection, error);
    }
    uint64_t length = l->ended ? l->text->len : MHD_SIZE_UNKNOWN;
    struct MHD_Response *response =
        MHD_create_response_from_callback(length, PIECE_SIZE, list_piece, l, listing_free);
    MHD_add_response_header(response, "Content-Type", "application/json");
    MHD_add_response_header(response, "Access-Control-Allow-Origin", "*");
    enum MHD_Result rc = MHD_queue_response(connection, 200, response);
    MHD_destroy_response(response);
    return rc;
}

static enum MHD_Result serve_checksum(struct MHD_Connection *connection,
                                      struct vr_http_request *request)
{
    vr_auto_error struct vr_error *error = NULL;
    const char *algorithm = query(connection, "algorithm"),
               *block = query(connection, "block_size");
    uint64_t block_size = VR_CHECKSUM_BLOCK_SIZE;
    char *rest;
    if (block && (!number(block, &rest, &block_size) || *rest))
        return plain(connection, 400, "block_size is bad.\n");
    if (!algorithm)
        algorithm = vr_checksum_algorithms[0];
    g_autofree char *sum = vr_checksum(request->use, algorithm, (size_t)block_size, &error);
    if (!sum)
        return vr_http_error(connection, error);
    g_autofree char *body = g_strdup_printf(
        "{\"checksum\":\"%s\",\"algorithm\":\"%s\",\"block_size\":%" G_GUINT64_FORMAT "}", sum,
        algorithm, block_size);
    return vr_http_answer(connection, 200, "application/json", body, false);
}

static enum MHD_Result serve_algorithms(struct MHD_Connection *connection)
{
    g_autofree char *list = g_strjoinv("\",\"", (char **)(uintptr_t)vr_checksum_algorithms);
    g_autofree char *body = g_strdup_printf("{\"algorithms\":[\"%s\"]}", list);
    return vr_http_answer(connection, 200, "application/json", body, false);
}

/* ---- routing ---- */

/* The verb of a path below /images/ID; -1: no such path, -2: method not allowed. */
static int find_verb(char **path, unsigned parts, const char *method)
{
    static const struct {
        unsigned parts;
        const char *word, *second, *method;
        int verb;
    } rows[] = {
        { 2, NULL, NULL, "OPTIONS", IMAGE_OPTIONS },
        { 2, NULL, NULL, "GET", IMAGE_GET },
        { 2, NULL, NULL, "PUT", IMAGE_PUT },
        { 2, NULL, NULL, "PATCH", IMAGE_PATCH },
        { 3, "extents", NULL, "GET", EXTENTS },
        { 3, "checksum", NULL, "GET", CHECKSUM },
        { 4, "checksum", "algorithms", "GET", ALGORITHMS },
    };
    int found = -1;
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (rows[i].parts != parts || (rows[i].word && strcmp(path[2], rows[i].word) != 0) ||
            (rows[i].second && strcmp(path[3], rows[i].second) != 0))
            continue;
        if (strcmp(rows[i].method, method) == 0)
            return rows[i].verb;
        found = -2;
    }
    return found;
}

static void set_timeout(struct MHD_Connection *connection, const struct vr_ticket_use *use)
{
    /* Pulls the connection down when its client falls silent; also that of a ticket which says
     * never, at the longest time that the Manager takes for others. */
    unsigned silence = vr_ticket_inactivity(use);
    MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT,
                              silence && silence < SILENCE_MAX_S ? silence : SILENCE_MAX_S);
}

/* The first look at a request: answers it, or returns MHD_NO when its body is awaited. */
static enum MHD_Result begin(struct vr_image_server *server, struct MHD_Connection *connection,
                             const char *url, const char *method, struct vr_http_request *request)
{
    vr_auto_error struct vr_error *error = NULL;
    g_auto(GStrv) path = vr_http_path(url);
    unsigned parts = g_strv_length(path);
    if (parts == 1 && strcmp(path[0], "info") == 0)
        return vr_http_answer(connection, 200, "application/json", "{\"version\":\"2.5.0\"}",
                              false);
    if (parts < 2 || strcmp(path[0], "images") != 0)
        return plain(connection, 404, "Not found\n");
    request->verb = find_verb(path, parts, method);
    if (request->verb < 0)
        return request->verb == -1 ? plain(connection, 404, "Not found\n")
                                   : plain(connection, 405, "Method not allowed\n");
    if (request->verb == IMAGE_OPTIONS && strcmp(path[1], "*") == 0)
        return serve_options(connection, true, true);
    struct vr_guest *guest = vr_http_guest(connection);
    guest->use = vr_ticket_begin(server->tickets, guest->use, path[1],
                                 request->verb == IMAGE_PUT || request->verb == IMAGE_PATCH, &error);
    if (!guest->use)
        return vr_http_error(connection, error);
    vr_peers_know(server->peers, guest);
    request->use = guest->use;
    request->close = g_strcmp0(query(connection, "close"), "y") == 0;
    set_timeout(connection, request->use);
    switch (request->verb) {
    case IMAGE_OPTIONS:
        return serve_options(connection, false, vr_ticket_writable(request->use));
    case IMAGE_PUT:
        return refuse_put(connection, request);
    case IMAGE_PATCH:
        return refuse_patch(connection, request);
    case IMAGE_GET:
        return serve_get(connection, request);
    case EXTENTS:
        return serve_extents(connection, request);
    case CHECKSUM:
        return serve_checksum(connection, request);
    default:
        return serve_algorithms(connection);
    }
}

enum MHD_Result vr_http_data(void *arg, struct MHD_Connection *connection, const char *url,
                             const char *method, const char *version VR_UNUSED, const char *upload,
                             size_t *upload_size, void **state)
{
    struct vr_http_request *request = *state;
    if (!request) {
        *state = request = g_new0(struct vr_http_request, 1);
        /* A GET is answered at the second call, as libmicrohttpd keeps connections then. */
        if (strcmp(method, "PUT") != 0 && strcmp(method, "PATCH") != 0)
            return MHD_YES;
    }
    if (!request->started) {
        request->started = true;
        (void)begin(arg, connection, url, method, request);
        return MHD_YES;
    }
    if (*upload_size) {
        if (request->body && request->body->len + *upload_size > VR_HTTP_BODY_MAX)
            return MHD_NO;
        if (request->body)
            g_string_append_len(request->body, upload, (gssize)*upload_size);
        else if (request->buffer)
            take_upload(request, upload, *upload_size);
        *upload_size = 0;
        return MHD_YES;
    }
    return request->verb == IMAGE_PUT     ? finish_put(connection, request)
           : request->verb == IMAGE_PATCH ? serve_patch(connection, request)
                                          : MHD_NO;
}
