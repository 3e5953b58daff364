/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "rest"
#include "manager/rest/server.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "manager/rest/fault.h"
#include "manager/rest/waiter.h"
#include "manager/session/token.h"
#include "net/linger.h"

/* Request line and headers of one request; longer ones get 431 or 414. */
#define HEADER_BYTES (32 * 1024)
/* Bodies being received, in all. */
#define BODIES_BYTES (256 * 1024 * 1024)

struct vr_server {
    struct MHD_Daemon *daemon;
    struct vr_waiters *waiters;
    struct vr_linger *linger;
    vr_server_handler *handler;
    void *arg;
    size_t body_max;
    unsigned port;
    gpointer bodies; /* atomic number: bytes of bodies in memory */
};

static void count_body(struct vr_server *server, gssize bytes)
{
    g_atomic_pointer_add(&server->bodies, bytes);
}

static void request_free(struct vr_request *request)
{
    vr_waiter_collect(request);
    if (request->data && request->data_free)
        request->data_free(request->data);
    if (request->state && request->state_free)
        request->state_free(request->state);
    if (request->body) {
        count_body(request->server, -(gssize)request->body->len);
        g_string_free(request->body, TRUE);
    }
    if (request->reply.body)
        g_string_free(request->reply.body, TRUE);
    vr_texts_free(request->reply.texts);
    if (request->reply.fd >= 0)
        close(request->reply.fd);
    for (unsigned i = 0; i < request->reply.header_count; i++)
        g_free(request->reply.headers[i].value);
    vr_credential_unref(request->session);
    vr_url_done(&request->url);
    g_free(request->form);
    g_free(request->raw);
    g_free(request);
}

struct vr_waiter *vr_request_suspend(struct vr_request *request, int64_t timeout_ms,
                                     vr_request_step *next)
{
    request->next = next;
    request->suspended = true;
    return vr_waiter_new(request->server->waiters, request, timeout_ms);
}

void vr_request_delay(struct vr_request *request, int64_t ms, vr_request_step *next)
{
    vr_waiter_forget(vr_request_suspend(request, MAX(ms, 1), next));
}

/* The target as the client sent it, before anything has looked at it. */
static void *begin(void *arg, const char *uri, struct MHD_Connection *connection)
{
    struct vr_request *request = g_new0(struct vr_request, 1);
    request->server = arg;
    request->connection = connection;
    request->reply.fd = -1;
    request->raw = g_strdup(uri);
    return request;
}

static void end(void *arg, struct MHD_Connection *connection, void **state,
                enum MHD_RequestTerminationCode why)
{
    if (*state)
        request_free(*state);
    *state = NULL;
}

/* A client that still sends a body which was refused gets to read why. */
static void on_connection(void *arg, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct vr_server *server = arg;
    if (code == MHD_CONNECTION_NOTIFY_CLOSED)
        vr_linger_take(server->linger,
                       MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)
                           ->connect_fd);
}

static size_t leave_escapes(void *arg, struct MHD_Connection *connection, char *text)
{
    return strlen(text);
}

static void free_body(void *body)
{
    g_string_free(body, TRUE);
}

/* Pieces of a long body are copied a TLS record at a time. */
#define BLOCK_BYTES 16384

static ssize_t read_texts(void *texts, uint64_t at, char *out, size_t size)
{
    size_t got = vr_texts_read(texts, at, out, size);
    return got ? (ssize_t)got : MHD_CONTENT_READER_END_OF_STREAM;
}

static void free_texts(void *texts)
{
    vr_texts_free(texts);
}

static struct MHD_Response *response_of(struct vr_reply *reply)
{
    GString *body = g_steal_pointer(&reply->body);
    struct vr_texts *texts = g_steal_pointer(&reply->texts);
    if (body)
        return MHD_create_response_from_buffer_with_free_callback_cls(body->len, body->str,
                                                                      free_body, body);
    if (texts)
        return MHD_create_response_from_callback(vr_texts_length(texts), BLOCK_BYTES, read_texts,
                                                 texts, free_texts);
    if (reply->fd < 0)
        return MHD_create_response_from_buffer(0, (void *)"", MHD_RESPMEM_PERSISTENT);
    int fd = reply->fd;
    reply->fd = -1; /* the response closes it */
    return MHD_create_response_from_fd64(reply->fd_size, fd);
}

static enum MHD_Result send_reply(struct vr_request *request)
{
    struct vr_reply *reply = &request->reply;
    struct MHD_Response *response = response_of(reply);
    if (!response)
        return MHD_NO;
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
                            reply->content_type ? reply->content_type
                                                : vr_media_type(VR_MEDIA_XML));
    if (request->correlation[0])
        MHD_add_response_header(response, "Correlation-Id", request->correlation);
    for (unsigned i = 0; i < reply->header_count; i++)
        MHD_add_response_header(response, reply->headers[i].name, reply->headers[i].value);
    if (reply->close)
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    enum MHD_Result result =
        MHD_queue_response(request->connection, (unsigned)reply->status, response);
    MHD_destroy_response(response);
    return result;
}

static void too_large(struct vr_request *request)
{
    vr_fault_reply(request, 413, "Request body too large", "The body exceeds the limit.");
    request->reply.close = true;
}

/* After the headers: false when the reply is there already. */
static bool accept_headers(struct vr_request *request, const char *method)
{
    struct vr_server *server = request->server;
    request->begun = true;
    request->method = method;
    if (!vr_url_parse(&request->url, request->raw)) {
        vr_fault_reply(request, 400, "Request syntactically incorrect.",
                       "The request target is malformed.");
        return false;
    }
    const char *length = vr_request_header(request, MHD_HTTP_HEADER_CONTENT_LENGTH);
    if (length && (size_t)vr_number(length, INT64_MAX) > server->body_max) {
        too_large(request);
        return false;
    }
    server->handler(request, false, server->arg);
    return request->reply.status == 0;
}

/* A piece of the body.  What exceeds the cap is dropped, and the connection with it when the client
 * goes on regardless: only a body without a Content-Length comes this far. */
static enum MHD_Result take_body(struct vr_request *request, const char *data, size_t *size)
{
    struct vr_server *server = request->server;
    size_t length = *size;
    *size = 0;
    request->received += length;
    if (request->reply.status != 0)
        return request->received > 4 * server->body_max ? MHD_NO : MHD_YES;
    if (!request->body)
        request->body = g_string_sized_new(MIN(length, 65536));
    if (request->received > server->body_max) {
        too_large(request);
    } else if ((gsize)g_atomic_pointer_get(&server->bodies) + length > BODIES_BYTES) {
        vr_fault_reply(request, 503, "Operation Failed", "Too many requests are being received.");
        request->reply.close = true;
    } else {
        count_body(server, (gssize)length);
        g_string_append_len(request->body, data, (gssize)length);
    }
    return MHD_YES;
}

static enum MHD_Result handle(void *arg, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *data,
                              size_t *size, void **state)
{
    struct vr_request *request = *state;
    if (!request->begun)
        return accept_headers(request, method) ? MHD_YES : send_reply(request);
    if (*size > 0)
        return take_body(request, data, size);
    if (request->reply.status != 0)
        return send_reply(request);
    request->suspended = false;
    vr_waiter_collect(request);
    if (request->next) {
        vr_request_step *next = g_steal_pointer(&request->next);
        next(request);
    } else {
        request->server->handler(request, true, request->server->arg);
    }
    if (request->suspended)
        return MHD_YES;
    if (request->reply.status == 0)
        vr_fault_reply(request, 500, "Operation Failed", "The request was left without an answer.");
    return send_reply(request);
}

static void VR_PRINTF(2, 0) log_line(void *arg, const char *format, va_list args)
{
    g_autofree char *line = g_strdup_vprintf(format, args);
    vr_log_debug("%s", g_strchomp(line));
}

/* A bound and listening socket, or -1 and @error. */
static int listen_on(const char *address, unsigned port, unsigned *ret_port,
                     struct vr_error **error)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
    struct addrinfo *found = NULL;
    char service[16];
    g_snprintf(service, sizeof(service), "%u", port);
    if (!address || !*address) {
        address = NULL;
        hints.ai_family = AF_INET6;
    }
    int result = getaddrinfo(address, service, &hints, &found);
    if (result != 0) {
        vr_error_set(error, &vr_fault_system, "Cannot listen on %s: %s.",
                     address ? address : "every address", gai_strerror(result));
        return -1;
    }
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 && !address) { /* a kernel without IPv6 */
        freeaddrinfo(found);
        return listen_on("0.0.0.0", port, ret_port, error);
    }
    const int on = 1, off = 0;
    struct sockaddr_storage bound;
    socklen_t size = sizeof(bound);
    if (fd >= 0 && found->ai_family == AF_INET6 && !address)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (fd < 0 || bind(fd, found->ai_addr, found->ai_addrlen) < 0 || listen(fd, 1024) < 0 ||
        getsockname(fd, (struct sockaddr *)&bound, &size) < 0) {
        int saved = errno;
        if (fd >= 0)
            close(fd);
        freeaddrinfo(found);
        vr_error_set(error, &vr_fault_system, "Cannot listen on %s port %u: %s.",
                     address ? address : "every address", port, g_strerror(saved));
        return -1;
    }
    freeaddrinfo(found);
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    memcpy(&in, &bound, sizeof(in));
    memcpy(&in6, &bound, sizeof(in6));
    *ret_port = ntohs(bound.ss_family == AF_INET6 ? in6.sin6_port : in.sin_port);
    return fd;
}

struct vr_server *vr_server_start(const struct vr_server_options *options,
                                  vr_server_handler *handler, void *arg, struct vr_error **error)
{
    unsigned port = 0;
    int fd = listen_on(options->address, options->port, &port, error);
    if (fd < 0)
        return NULL;
    struct vr_server *server = g_new0(struct vr_server, 1);
    server->handler = handler;
    server->arg = arg;
    server->body_max = options->body_max ? options->body_max : MiB(8);
    server->port = port;
    server->waiters = vr_waiters_new();
    server->linger = vr_linger_new("linger");
    unsigned threads = options->threads ? options->threads : MAX(2, g_get_num_processors());
    server->daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_TLS | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG,
        0, NULL, NULL, handle, server, /* the rest are options */
        MHD_OPTION_EXTERNAL_LOGGER, log_line, NULL, /* first, so that it sees the others */
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_THREAD_POOL_SIZE, threads,
        MHD_OPTION_HTTPS_MEM_CERT, options->certificate, MHD_OPTION_HTTPS_MEM_KEY, options->key,
        MHD_OPTION_HTTPS_PRIORITIES, "NORMAL:-VERS-TLS1.0:-VERS-TLS1.1",
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEADER_BYTES, MHD_OPTION_CONNECTION_LIMIT,
        options->connections ? options->connections : 4096U, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
        options->connections_per_address ? options->connections_per_address : 1024U,
        MHD_OPTION_CONNECTION_TIMEOUT, options->idle_s ? options->idle_s : 60U,
        MHD_OPTION_URI_LOG_CALLBACK, begin, server, MHD_OPTION_UNESCAPE_CALLBACK, leave_escapes,
        NULL, MHD_OPTION_NOTIFY_COMPLETED, end, NULL, MHD_OPTION_NOTIFY_CONNECTION, on_connection,
        server, MHD_OPTION_END);
    if (!server->daemon) {
        close(fd);
        vr_waiters_free(server->waiters);
        vr_linger_free(server->linger);
        g_free(server);
        vr_error_set(error, &vr_fault_system,
                     "Cannot start the HTTPS server: the certificate and its key do not fit.");
        return NULL;
    }
    return server;
}

unsigned vr_server_port(const struct vr_server *server)
{
    return server->port;
}

void vr_server_stop(struct vr_server *server)
{
    if (!server)
        return;
    MHD_stop_daemon(server->daemon);
    vr_waiters_free(server->waiters);
    vr_linger_free(server->linger);
    g_free(server);
}

void *vr_server_arg(const struct vr_server *server)
{
    return server->arg;
}
