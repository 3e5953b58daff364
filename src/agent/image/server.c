/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "image"
#include "agent/image/server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <unistd.h>

#include "agent/image/http.h"
#include "net/linger.h"

/*
 * ovirt-imageio names 8 readers or writers a ticket (daemon.max_connections; facts/rest-api.md 9.3),
 * of which its client takes 4: a peer has room for 8 transfers at their full width, or 16 as clients
 * are.  Four such peers are what a host serves at once: a connection is a thread, an open image, and
 * up to 1.5 MiB of buffers, 256 of them 400 MiB and, with those that linger, 768 descriptors.
 */
#define CONNECTIONS_MAX 256
#define PEER_CONNECTIONS_MAX 64
/* libmicrohttpd's own limit is beyond what peers.h admits, with those that it sent away. */
#define MHD_CONNECTIONS_MAX (CONNECTIONS_MAX + 128)
/* ovirt-imageio: http.py, Connection.timeout, before a ticket says otherwise. */
#define IDLE_S 60
/* A large read buffer takes an upload in large pieces. */
#define MEMORY_LIMIT KiB(512)

char **vr_http_path(const char *url)
{
    while (*url == '/')
        url++;
    g_autofree char *copy = g_strdup(url);
    size_t length = strlen(copy);
    while (length && copy[length - 1] == '/')
        copy[--length] = '\0';
    return g_strsplit(copy, "/", 5);
}

enum MHD_Result vr_http_answer(struct MHD_Connection *connection, unsigned status, const char *type,
                               const char *body, bool close_it)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(
        strlen(body), (void *)(uintptr_t)body, MHD_RESPMEM_MUST_COPY);
    if (type)
        MHD_add_response_header(response, "Content-Type", type);
    MHD_add_response_header(response, "Access-Control-Allow-Origin", "*");
    if (close_it)
        MHD_add_response_header(response, "Connection", "close");
    enum MHD_Result rc = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return rc;
}

enum MHD_Result vr_http_error(struct MHD_Connection *connection, const struct vr_error *error)
{
    g_autofree char *text = vr_error_text(error);
    g_autofree char *line = g_strconcat(text, "\n", NULL);
    return vr_http_answer(connection, (unsigned)error->fault->http, "text/plain; charset=UTF-8",
                          line, true);
}

void vr_http_request_free(struct vr_http_request *request)
{
    if (!request)
        return;
    if (request->body)
        g_string_free(request->body, TRUE);
    g_free(request->buffer);
    g_free(request->text);
    g_free(request);
}

struct vr_guest *vr_http_guest(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info->socket_context;
}

static int fd_of(struct MHD_Connection *connection)
{
    return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
}

/* On the thread that takes connections, right before on_connection(). */
static enum MHD_Result on_accept(void *arg, const struct sockaddr *address,
                                 socklen_t length VR_UNUSED)
{
    struct vr_image_server *server = arg;
    return vr_peers_admit(server->peers, address) ? MHD_YES : MHD_NO;
}

static void on_connection(void *arg, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct vr_image_server *server = arg;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const struct sockaddr *address =
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr;
        *context = vr_peers_enter(server->peers, address, fd_of(connection));
    } else if (*context) {
        struct vr_guest *guest = *context;
        vr_ticket_leave(guest->use);
        /* A client that still sends an image nobody wants gets to read why. */
        vr_linger_take(server->linger, guest->fd);
        vr_peers_leave(server->peers, guest);
        *context = NULL;
    }
}

static void on_completed(void *arg VR_UNUSED, struct MHD_Connection *connection VR_UNUSED,
                         void **state, enum MHD_RequestTerminationCode code VR_UNUSED)
{
    struct vr_http_request *request = *state;
    if (request && request->use)
        vr_ticket_end(request->use, request->close);
    vr_http_request_free(request);
    *state = NULL;
}

static void on_log(void *arg VR_UNUSED, const char *format, va_list args)
{
    char text[512];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    g_vsnprintf(text, sizeof(text), format, args);
#pragma GCC diagnostic pop
    vr_log_debug("%s", g_strchomp(text));
}

/* An address to bind, or NULL for all of both families. */
static bool bind_address(const char *text, unsigned port, struct sockaddr_storage *address)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)address;
    memset(address, 0, sizeof(*address));
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        return true;
    }
    if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)port);
        return true;
    }
    return false;
}

static struct MHD_Daemon *start_data(struct vr_image_server *server,
                                     const struct vr_image_server_options *o, bool dual)
{
    struct sockaddr_storage address;
    bool any = !o->address || strcmp(o->address, "::") == 0;
    if (!any && !bind_address(o->address, o->port, &address))
        return NULL;
    bool v6 = any ? dual : address.ss_family == AF_INET6;
    unsigned flags = MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL_INTERNAL_THREAD |
                     MHD_USE_ERROR_LOG | (o->certificate ? MHD_USE_TLS : 0) |
                     (any && dual ? MHD_USE_DUAL_STACK : 0) | (v6 ? MHD_USE_IPv6 : 0);
    struct MHD_OptionItem items[16];
    unsigned n = 0;
#define ITEM(name, value, pointer)                                                                 \
    items[n++] = (struct MHD_OptionItem){ name, (intptr_t)(value), (void *)(uintptr_t)(pointer) }
    ITEM(MHD_OPTION_NOTIFY_CONNECTION, on_connection, server);
    ITEM(MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL);
    ITEM(MHD_OPTION_CONNECTION_LIMIT, MHD_CONNECTIONS_MAX, NULL);
    ITEM(MHD_OPTION_CONNECTION_TIMEOUT, o->idle_s ? o->idle_s : IDLE_S, NULL);
    ITEM(MHD_OPTION_CONNECTION_MEMORY_LIMIT, MEMORY_LIMIT, NULL);
    ITEM(MHD_OPTION_CONNECTION_MEMORY_INCREMENT, KiB(64), NULL);
    if (!any)
        ITEM(MHD_OPTION_SOCK_ADDR, 0, &address);
    if (o->certificate) {
        ITEM(MHD_OPTION_HTTPS_MEM_CERT, 0, o->certificate);
        ITEM(MHD_OPTION_HTTPS_MEM_KEY, 0, o->key);
        ITEM(MHD_OPTION_HTTPS_PRIORITIES, 0, "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2");
    }
    ITEM(MHD_OPTION_END, 0, NULL);
    return MHD_start_daemon(flags, (uint16_t)o->port, on_accept, server, vr_http_data, server,
                            MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL, MHD_OPTION_ARRAY, items,
                            MHD_OPTION_END);
}

struct vr_image_server *vr_image_server_start(const struct vr_image_server_options *o,
                                              struct vr_error **error)
{
    struct vr_image_server *server = g_new0(struct vr_image_server, 1);
    server->tickets = vr_tickets_new();
    server->peers =
        vr_peers_new(&(struct vr_peers_limits){ CONNECTIONS_MAX, PEER_CONNECTIONS_MAX });
    server->linger = vr_linger_new("linger");
    server->delete_wait_s = o->delete_wait_s ? o->delete_wait_s : 60;
    server->data = start_data(server, o, true);
    /* A machine without IPv6. */
    if (!server->data && (!o->address || strcmp(o->address, "::") == 0))
        server->data = start_data(server, o, false);
    if (!server->data) {
        vr_error_set(error, &vr_fault_system, "Port %u cannot be served.", o->port);
    } else {
        server->control = MHD_start_daemon(
            MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL_INTERNAL_THREAD | MHD_USE_ERROR_LOG, 0,
            NULL, NULL, vr_http_control, server, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
            MHD_OPTION_LISTEN_SOCKET, o->control_fd, MHD_OPTION_NOTIFY_COMPLETED, on_completed,
            NULL, MHD_OPTION_END);
        if (!server->control)
            vr_error_set(error, &vr_fault_system, "The control socket cannot be served.");
    }
    if (!*error)
        return server;
    vr_image_server_stop(server);
    return NULL;
}

unsigned vr_image_server_port(const struct vr_image_server *server)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(server->data, MHD_DAEMON_INFO_BIND_PORT);
    return info ? info->port : 0;
}

void vr_image_server_stop(struct vr_image_server *server)
{
    if (!server)
        return;
    if (server->control)
        MHD_stop_daemon(server->control);
    if (server->data)
        MHD_stop_daemon(server->data);
    vr_linger_free(server->linger);
    vr_peers_free(server->peers);
    vr_tickets_free(server->tickets);
    g_free(server);
}
