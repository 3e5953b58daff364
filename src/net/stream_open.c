/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "gen/faults.h"
#include "net/stream_private.h"

/* A half-open peer is found by the system: unacknowledged data, or silence. */
#define KEEPALIVE_IDLE_S 60
#define KEEPALIVE_INTERVAL_S 15
#define USER_TIMEOUT_MS 60000
/* Who takes longer to connect than this shall not keep others waiting for their turn. */
#define TURN_MS 100

void vr_stream_shake_hands(struct vr_stream *stream)
{
    gnutls_session_t session = stream->session->session;
    int r;
    do
        r = gnutls_handshake(session);
    while (r < 0 && r != GNUTLS_E_AGAIN && !gnutls_error_is_fatal(r));
    if (r == GNUTLS_E_AGAIN) {
        vr_stream_watch(stream, gnutls_record_get_direction(session) ? EPOLLOUT : EPOLLIN);
    } else if (r >= 0) {
        vr_stream_become_open(stream);
    } else if (r == GNUTLS_E_PREMATURE_TERMINATION || r == GNUTLS_E_PULL_ERROR ||
               r == GNUTLS_E_PUSH_ERROR) {
        vr_stream_fail(stream, &vr_fault_peer_unreachable,
                       "The peer closed the connection during the TLS handshake.");
    } else if (r == GNUTLS_E_FATAL_ALERT_RECEIVED) {
        vr_stream_fail(stream, &vr_fault_peer_not_trusted, "The peer refused TLS: %s.",
                       gnutls_alert_get_name(gnutls_alert_get(session)));
    } else {
        const char *refusal = stream->session->refusal;
        vr_stream_fail(stream, &vr_fault_peer_not_trusted, "%s",
                       refusal ? refusal : gnutls_strerror(r));
        gnutls_alert_send_appropriate(session, r);
    }
}

/* A sockaddr as text; @ret_host is without the prefix that IPv4 has on a dual-stack socket. */
static bool name_end(const struct sockaddr_storage *address, socklen_t len,
                     char ret_host[static INET6_ADDRSTRLEN], char *port, size_t port_size)
{
    char host[NI_MAXHOST] = "";
    if (getnameinfo((const struct sockaddr *)address, len, host, sizeof(host), port,
                    (socklen_t)port_size, NI_NUMERICHOST | NI_NUMERICSERV))
        return false;
    g_strlcpy(ret_host, g_str_has_prefix(host, "::ffff:") ? host + strlen("::ffff:") : host,
              INET6_ADDRSTRLEN);
    return true;
}

char *vr_stream_local_address(const struct vr_stream *stream)
{
    struct sockaddr_storage address = { 0 };
    socklen_t len = sizeof(address);
    char host[INET6_ADDRSTRLEN], port[8];
    if (getsockname(stream->fd, (struct sockaddr *)&address, &len) < 0 ||
        !name_end(&address, len, host, port, sizeof(port)))
        return NULL;
    host[strcspn(host, "%")] = '\0'; /* the scope of a link-local one */
    return g_strdup(host);
}

static void name_peer(struct vr_stream *stream)
{
    struct sockaddr_storage address = { 0 };
    socklen_t len = sizeof(address);
    char mapped[INET6_ADDRSTRLEN] = "", port[8] = "";
    if (getpeername(stream->fd, (struct sockaddr *)&address, &len) < 0 ||
        !name_end(&address, len, mapped, port, sizeof(port)))
        return;
    g_free(stream->peer);
    stream->peer = g_strdup_printf(strchr(mapped, ':') ? "[%s]:%s" : "%s:%s", mapped, port);
}

void vr_stream_connected(struct vr_stream *stream)
{
    name_peer(stream);
    if (!stream->tls) {
        vr_stream_become_open(stream);
        return;
    }
    const struct vr_tls_expect expect = { .pin = stream->pin, .name = stream->peer_name };
    stream->state = HANDSHAKING;
    vr_stream_set_limit(stream, stream->handshake_ms);
    stream->session = g_new0(struct vr_tls_session, 1);
    vr_tls_session_init(stream->session, stream->tls, stream->server, stream->fd, &expect);
    vr_stream_shake_hands(stream);
}

void vr_stream_tune(int fd)
{
    /* Failure (of a socket that is not TCP) does no harm. */
    const struct {
        int level, name, value;
    } rows[] = {
        { IPPROTO_TCP, TCP_NODELAY, 1 },
        { SOL_SOCKET, SO_KEEPALIVE, 1 },
        { IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S },
        { IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S },
        { IPPROTO_TCP, TCP_USER_TIMEOUT, USER_TIMEOUT_MS },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        setsockopt(fd, rows[i].level, rows[i].name, &rows[i].value, sizeof(rows[i].value));
}

/* A fair share of what is left for each address that is left: a dead one must not use it up. */
static uint64_t address_share(struct vr_stream *stream)
{
    uint64_t now = vr_loop_now_ms(stream->loop);
    unsigned left = 1;
    for (const struct addrinfo *a = stream->next_address; a; a = a->ai_next)
        left++;
    return stream->deadline > now ? (stream->deadline - now) / left : 0;
}

/* The first limit is that of the turn, if it is held; the attempt goes on without it. */
static void limit_attempt(struct vr_stream *stream)
{
    uint64_t share = address_share(stream);
    bool turn = stream->turn.state == VR_TURN_HELD;
    vr_stream_set_limit(stream, turn ? MIN(share, TURN_MS) : share);
}

void vr_stream_connect_late(struct vr_stream *stream)
{
    bool turn = stream->turn.state == VR_TURN_HELD;
    vr_turn_end(stream->loop, &stream->turn);
    if (turn && address_share(stream) > 0)
        limit_attempt(stream);
    else if (stream->state == CONNECTING)
        vr_stream_connect_next(stream, ETIMEDOUT);
    else
        vr_stream_fail(stream, &vr_fault_peer_unreachable,
                       "The host's name was not resolved in time.");
}

void vr_stream_connect_next(struct vr_stream *stream, int last_error)
{
    vr_stream_drop_socket(stream);
    while (stream->next_address) {
        const struct addrinfo *address = stream->next_address;
        stream->next_address = address->ai_next;
        stream->fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (stream->fd < 0) {
            last_error = errno;
            continue;
        }
        vr_stream_tune(stream->fd);
        if (connect(stream->fd, address->ai_addr, address->ai_addrlen) == 0 ||
            errno == EINPROGRESS) {
            stream->state = CONNECTING;
            limit_attempt(stream);
            vr_stream_watch(stream, EPOLLOUT);
            return;
        }
        last_error = errno;
        vr_stream_drop_socket(stream);
    }
    vr_stream_fail(stream, &vr_fault_peer_unreachable, "Cannot connect: %s.",
                   g_strerror(last_error));
}

static void resolved(struct addrinfo *addresses, const struct vr_error *error, void *arg)
{
    struct vr_stream *stream = arg;
    stream->resolve = NULL;
    if (error) {
        vr_stream_fail(stream, error->fault, "%s", error->detail);
        return;
    }
    stream->addresses = stream->next_address = addresses;
    if (!stream->failure)
        vr_stream_connect_next(stream, EHOSTUNREACH);
}

void vr_stream_begin(struct vr_turn *turn)
{
    struct vr_stream *stream =
        (struct vr_stream *)((char *)turn - offsetof(struct vr_stream, turn));
    stream->state = RESOLVING;
    stream->deadline = vr_loop_now_ms(stream->loop) + stream->connect_ms;
    limit_attempt(stream);
    stream->resolve = vr_resolve_start(stream->loop, stream->host, stream->port, resolved, stream);
    g_clear_pointer(&stream->host, g_free);
}
