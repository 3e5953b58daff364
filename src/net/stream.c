/* SPDX-License-Identifier: Apache-2.0 */
#include "net/stream.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gen/faults.h"
#include "net/stream_private.h"

#define CONNECT_MS 20000
#define HANDSHAKE_MS 10000
#define STALL_MS 60000
#define MAX_QUEUED ((size_t)MiB(80))
/* After the last byte was sent: how long the peer has to close before we do. */
#define LINGER_MS 2000
/* A limit is put off while the loop is late itself: this much, at most so often. */
#define EXCUSE_MS 100
#define EXCUSES 100
#define MAX_UNREAD ((size_t)MiB(1))
/* One stream's share of a round of the loop. */
#define READS_A_ROUND 16
#define SEND_A_ROUND ((size_t)MiB(1))
#define TLS_RECORD 16384

static const struct vr_stream_ops nobody = { 0 };

static void on_timer(void *arg);
static void on_event(uint32_t events, void *arg);

/* --- life --- */

static void release(struct vr_stream *stream)
{
    if (--stream->refs)
        return;
    g_assert(stream->state == CLOSED);
    vr_error_free(stream->failure);
    vr_tls_unref(stream->tls);
    g_free(stream->host);
    g_free(stream->pin);
    g_free(stream->peer_name);
    g_free(stream->peer);
    g_free(stream);
}

static void soon(struct vr_stream *stream)
{
    if (!stream->deferred.queued)
        stream->refs++;
    vr_loop_defer(stream->loop, &stream->deferred);
}

void vr_stream_set_limit(struct vr_stream *stream, uint64_t ms)
{
    if (!stream->timer)
        stream->timer = vr_timer_new(stream->loop, on_timer, stream);
    vr_timer_arm(stream->timer, ms, MIN(ms / 20, 500));
    stream->excuses = 0;
}

/* Whether what the limit waits for is there, and only the loop was too busy to see it: with
 * thousands of peers at once a round is long.  A peer cannot draw this out for ever. */
static bool is_our_delay(struct vr_stream *stream)
{
    struct pollfd fd = { .fd = stream->fd,
                         .events = stream->state == HANDSHAKING ? POLLIN : POLLOUT };
    if (stream->state != CONNECTING && stream->state != HANDSHAKING)
        return false;
    if (stream->fd < 0 || stream->excuses == EXCUSES || poll(&fd, 1, 0) <= 0)
        return false;
    stream->excuses++;
    vr_timer_arm(stream->timer, EXCUSE_MS, 0);
    return true;
}

void vr_stream_clear_limit(struct vr_stream *stream)
{
    vr_timer_free(g_steal_pointer(&stream->timer));
}

void vr_stream_watch(struct vr_stream *stream, uint32_t events)
{
    if (stream->watch)
        vr_watch_set_events(stream->watch, events);
    else
        stream->watch = vr_watch_new(stream->loop, stream->fd, events, on_event, stream);
}

static void watch_open(struct vr_stream *stream)
{
    vr_stream_watch(stream, (stream->reading ? EPOLLIN : 0) | (stream->blocked ? EPOLLOUT : 0));
}

void vr_stream_drop_socket(struct vr_stream *stream)
{
    vr_watch_free(g_steal_pointer(&stream->watch));
    if (stream->fd >= 0)
        close(stream->fd);
    stream->fd = -1;
}

static void drop_session(struct vr_stream *stream)
{
    if (!stream->session)
        return;
    vr_tls_session_done(stream->session);
    g_free(g_steal_pointer(&stream->session));
}

void vr_stream_drop_addresses(struct vr_stream *stream)
{
    if (stream->addresses)
        freeaddrinfo(g_steal_pointer(&stream->addresses));
    stream->next_address = NULL;
}

static void shut(struct vr_stream *stream)
{
    stream->state = CLOSED;
    vr_turn_end(stream->loop, &stream->turn);
    vr_loop_forget_end(&stream->end);
    vr_stream_clear_limit(stream);
    if (stream->resolve)
        vr_resolve_cancel(g_steal_pointer(&stream->resolve));
    vr_stream_drop_addresses(stream);
    drop_session(stream);
    vr_stream_drop_socket(stream);
    vr_buffer_done(&stream->out);
    vr_buffer_done(&stream->unread);
}

/* Nothing more happens with the stream but the report, which the deferral makes. */
void vr_stream_fail(struct vr_stream *stream, const struct vr_fault *fault, const char *format, ...)
{
    if (stream->failure || stream->state == CLOSED)
        return;
    va_list args;
    va_start(args, format);
    g_autofree char *detail = g_strdup_vprintf(format, args);
    va_end(args);
    vr_error_set(&stream->failure, fault, "%s", detail);
    vr_stream_clear_limit(stream);
    if (stream->watch)
        vr_watch_set_events(stream->watch, 0);
    soon(stream);
}

static void report_failure(struct vr_stream *stream)
{
    bool owned = stream->state != FINISHING && stream->state != LINGERING;
    shut(stream);
    if (owned && stream->ops->closed)
        stream->ops->closed(stream, stream->failure, stream->arg);
    else if (!owned)
        release(stream);
}

/* --- sending --- */

/* Bytes sent, or a negative errno. */
static ssize_t send_some(struct vr_stream *stream)
{
    const uint8_t *data = vr_buffer_data(&stream->out);
    size_t len = vr_buffer_len(&stream->out);
    ssize_t r;
    if (!stream->session) {
        r = send(stream->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        return r >= 0 ? r : errno == EINTR ? -EAGAIN : -errno;
    }
    gnutls_session_t session = stream->session->session;
    r = stream->sending_record ? gnutls_record_send(session, NULL, 0)
                               : gnutls_record_send(session, data, MIN(len, TLS_RECORD));
    stream->sending_record = r == GNUTLS_E_AGAIN || r == GNUTLS_E_INTERRUPTED;
    if (stream->sending_record)
        return -EAGAIN;
    return r >= 0 ? r : -EPIPE;
}

/* Everything was sent: end the connection in order, but hear the peer out, for closing with unread
 * data would take back what it has not read. */
static void linger(struct vr_stream *stream)
{
    if (stream->session)
        gnutls_bye(stream->session->session, GNUTLS_SHUT_WR);
    drop_session(stream);
    shutdown(stream->fd, SHUT_WR);
    stream->state = LINGERING;
    vr_stream_set_limit(stream, LINGER_MS);
    vr_stream_watch(stream, EPOLLIN);
}

static void flush(struct vr_stream *stream)
{
    size_t sent = 0;
    bool blocked = false;
    while (vr_buffer_len(&stream->out) && sent < SEND_A_ROUND && !blocked) {
        ssize_t r = send_some(stream);
        if (r == -EAGAIN) {
            blocked = true;
        } else if (r < 0) {
            vr_stream_fail(stream, &vr_fault_peer_unreachable, "Cannot send: %s.",
                           g_strerror((int)-r));
            return;
        } else {
            vr_buffer_consume(&stream->out, (size_t)r);
            sent += (size_t)r;
        }
    }

    bool was_blocked = stream->blocked;
    stream->blocked = vr_buffer_len(&stream->out) > 0;
    if (stream->blocked) {
        if (sent || !was_blocked)
            vr_stream_set_limit(stream, stream->stall_ms);
        if (stream->state == FINISHING)
            vr_stream_watch(stream, EPOLLOUT);
        else
            watch_open(stream);
        return;
    }
    if (was_blocked)
        vr_stream_clear_limit(stream);
    if (stream->state == FINISHING) {
        linger(stream);
        return;
    }
    if (was_blocked)
        watch_open(stream);
    if (stream->wrote) {
        stream->wrote = false;
        if (stream->ops->drained)
            stream->ops->drained(stream, stream->arg);
    }
}

/* --- receiving --- */

/* Shows bytes to the owner, again when it handed the stream on; returns how many were taken. */
static size_t offer(struct vr_stream *stream, const uint8_t *data, size_t len)
{
    size_t taken = 0;
    unsigned serial;
    do {
        serial = stream->ops_serial;
        if (!stream->ops->data)
            break;
        size_t n = stream->ops->data(stream, data + taken, len - taken, stream->arg);
        g_assert(n <= len - taken);
        taken += n;
    } while (taken < len && serial != stream->ops_serial && vr_stream_alive(stream) &&
             stream->reading);
    return taken;
}

static void keep_unread(struct vr_stream *stream, const uint8_t *data, size_t len)
{
    if (!vr_stream_alive(stream))
        return;
    if (len > MAX_UNREAD)
        vr_stream_fail(stream, &vr_fault_rpc_protocol, "The peer sent more than was wanted.");
    else
        vr_buffer_append(&stream->unread, data, len);
}

static void offer_unread(struct vr_stream *stream)
{
    /* Taken out, because the callback may free the stream and still look at the bytes. */
    struct vr_buffer unread = stream->unread;
    stream->unread = (struct vr_buffer){ 0 };
    size_t len = vr_buffer_len(&unread);
    size_t taken = offer(stream, vr_buffer_data(&unread), len);
    if (taken < len)
        keep_unread(stream, vr_buffer_data(&unread) + taken, len - taken);
    vr_buffer_done(&unread);
}

static void show(struct vr_stream *stream, const uint8_t *data, size_t len)
{
    if (vr_buffer_len(&stream->unread)) {
        vr_buffer_append(&stream->unread, data, len);
        offer_unread(stream);
        return;
    }
    size_t taken = offer(stream, data, len);
    if (taken < len)
        keep_unread(stream, data + taken, len - taken);
}

/* Bytes received; -EAGAIN; 0 when it failed, which has been told. */
static ssize_t receive_some(struct vr_stream *stream, uint8_t *into, size_t size)
{
    if (!stream->session) {
        ssize_t r = recv(stream->fd, into, size, MSG_DONTWAIT);
        if (r < 0 && (errno == EAGAIN || errno == EINTR))
            return -EAGAIN;
        if (r < 0)
            vr_stream_fail(stream, &vr_fault_peer_unreachable, "The connection broke: %s.",
                           g_strerror(errno));
        if (r == 0)
            vr_stream_fail(stream, &vr_fault_peer_unreachable, "The peer closed the connection.");
        return MAX(r, 0);
    }

    gnutls_session_t session = stream->session->session;
    ssize_t r = gnutls_record_recv(session, into, size);
    if (r == GNUTLS_E_AGAIN || r == GNUTLS_E_INTERRUPTED || r == GNUTLS_E_WARNING_ALERT_RECEIVED)
        return -EAGAIN;
    if (r == GNUTLS_E_FATAL_ALERT_RECEIVED)
        /* With TLS 1.3 a client hears only now that its certificate was refused. */
        vr_stream_fail(stream, &vr_fault_peer_not_trusted, "The peer ended TLS: %s.",
                       gnutls_alert_get_name(gnutls_alert_get(session)));
    else if (r < 0 && r != GNUTLS_E_PREMATURE_TERMINATION)
        vr_stream_fail(stream, &vr_fault_peer_unreachable, "The connection broke: %s.",
                       gnutls_strerror((int)r));
    else if (r <= 0)
        vr_stream_fail(stream, &vr_fault_peer_unreachable, "The peer closed the connection.");
    return MAX(r, 0);
}

static void receive(struct vr_stream *stream)
{
    /* The scratch holds a whole TLS record, so GnuTLS never keeps bytes that epoll cannot see. */
    uint8_t *scratch = vr_loop_scratch(stream->loop);
    for (int i = 0; i < READS_A_ROUND && vr_stream_alive(stream) && stream->reading; i++) {
        ssize_t n = receive_some(stream, scratch, VR_LOOP_SCRATCH_SIZE);
        if (n <= 0)
            return;
        show(stream, scratch, (size_t)n);
    }
}

static void receive_nothing(struct vr_stream *stream)
{
    uint8_t *scratch = vr_loop_scratch(stream->loop);
    ssize_t r = recv(stream->fd, scratch, VR_LOOP_SCRATCH_SIZE, MSG_DONTWAIT);
    if (r == 0 || (r < 0 && errno != EAGAIN && errno != EINTR))
        vr_stream_fail(stream, &vr_fault_peer_unreachable, "The connection ended.");
}

/* --- events --- */

void vr_stream_become_open(struct vr_stream *stream)
{
    stream->state = OPEN;
    vr_turn_end(stream->loop, &stream->turn);
    vr_stream_drop_addresses(stream);
    vr_stream_clear_limit(stream);
    watch_open(stream);
    if (stream->ops->ready)
        stream->ops->ready(stream, stream->arg);
    if (vr_stream_alive(stream) && vr_buffer_len(&stream->out))
        flush(stream);
}

static void on_event(uint32_t events, void *arg)
{
    struct vr_stream *stream = arg;
    int error = 0;
    socklen_t len = sizeof(error);
    stream->refs++;
    switch (stream->state) {
    case CONNECTING:
        getsockopt(stream->fd, SOL_SOCKET, SO_ERROR, &error, &len);
        if (error)
            vr_stream_connect_next(stream, error);
        else
            vr_stream_connected(stream);
        break;
    case HANDSHAKING:
        vr_stream_shake_hands(stream);
        break;
    case OPEN:
        if (events & EPOLLOUT)
            flush(stream);
        if (events & ~(uint32_t)EPOLLOUT)
            receive(stream);
        break;
    case FINISHING:
        flush(stream);
        break;
    case LINGERING:
        receive_nothing(stream);
        break;
    case ACCEPTED:
    case WAITING:
    case RESOLVING:
    case CLOSED:
        break;
    }
    release(stream);
}

static void on_timer(void *arg)
{
    struct vr_stream *stream = arg;
    if (is_our_delay(stream))
        return;
    switch (stream->state) {
    case RESOLVING:
    case CONNECTING:
        vr_stream_connect_late(stream);
        break;
    case HANDSHAKING:
        vr_stream_fail(stream, &vr_fault_peer_unreachable, "The TLS handshake took too long.");
        break;
    case LINGERING:
        vr_stream_fail(stream, &vr_fault_peer_unreachable, "The connection ended.");
        break;
    case ACCEPTED:
    case WAITING:
    case OPEN:
    case FINISHING:
    case CLOSED:
        vr_stream_fail(stream, &vr_fault_peer_unreachable, "The peer takes no data.");
        break;
    }
}

/* What was put off to the end of a callback: a failure's report, a start, a flush. */
static void on_deferred(struct vr_deferred *self)
{
    struct vr_stream *stream =
        (struct vr_stream *)((char *)self - offsetof(struct vr_stream, deferred));
    if (stream->state == CLOSED) {
        /* freed meanwhile */
    } else if (stream->failure) {
        report_failure(stream);
    } else if (stream->state == ACCEPTED) {
        vr_stream_connected(stream);
    } else if (stream->state == OPEN || stream->state == FINISHING) {
        if (stream->reading && vr_buffer_len(&stream->unread) && stream->state == OPEN)
            offer_unread(stream);
        if (!stream->blocked && (vr_stream_alive(stream) || stream->state == FINISHING))
            flush(stream);
    }
    release(stream);
}

/* The loop ended before the stream did. */
static void on_end(struct vr_loop_end *self)
{
    struct vr_stream *stream = (struct vr_stream *)((char *)self - offsetof(struct vr_stream, end));
    shut(stream);
    release(stream);
}

/* --- public --- */

static struct vr_stream *stream_new(struct vr_loop *loop, const struct vr_stream_options *options,
                                    const struct vr_stream_ops *ops, void *arg)
{
    struct vr_stream *stream = g_new0(struct vr_stream, 1);
    stream->loop = loop;
    stream->refs = 1;
    stream->ops = ops;
    stream->arg = arg;
    stream->fd = -1;
    stream->reading = true;
    stream->deferred.fn = on_deferred;
    stream->end.fn = on_end;
    stream->tls = options->tls ? vr_tls_ref(options->tls) : NULL;
    stream->pin = options->pin ? g_memdup2(options->pin, 32) : NULL;
    stream->peer_name = g_strdup(options->peer_name);
    stream->connect_ms = options->connect_ms ? options->connect_ms : CONNECT_MS;
    stream->handshake_ms = options->handshake_ms ? options->handshake_ms : HANDSHAKE_MS;
    stream->stall_ms = options->stall_ms ? options->stall_ms : STALL_MS;
    stream->max_queued = options->max_queued ? options->max_queued : MAX_QUEUED;
    return stream;
}

struct vr_stream *vr_stream_connect(struct vr_loop *loop, const char *host, uint16_t port,
                                    const struct vr_stream_options *options,
                                    const struct vr_stream_ops *ops, void *arg)
{
    struct vr_stream *stream = stream_new(loop, options, ops, arg);
    stream->state = WAITING;
    stream->host = g_strdup(host);
    stream->port = port;
    stream->turn.fn = vr_stream_begin;
    vr_turn_take(loop, &stream->turn);
    return stream;
}

struct vr_stream *vr_stream_accept(struct vr_loop *loop, int fd,
                                   const struct vr_stream_options *options,
                                   const struct vr_stream_ops *ops, void *arg)
{
    struct vr_stream *stream = stream_new(loop, options, ops, arg);
    stream->state = ACCEPTED;
    stream->server = true;
    stream->fd = fd;
    vr_stream_tune(fd);
    soon(stream);
    return stream;
}

void vr_stream_free(struct vr_stream *stream)
{
    if (!stream)
        return;
    if (vr_stream_alive(stream) && stream->session && !stream->blocked)
        gnutls_bye(stream->session->session, GNUTLS_SHUT_WR);
    stream->ops = &nobody;
    if (stream->state != CLOSED)
        shut(stream);
    release(stream);
}

void vr_stream_finish(struct vr_stream *stream)
{
    if (!vr_stream_alive(stream)) {
        vr_stream_free(stream);
        return;
    }
    stream->ops = &nobody;
    stream->ops_serial++;
    stream->state = FINISHING;
    vr_loop_at_end(stream->loop, &stream->end);
    vr_buffer_done(&stream->unread);
    vr_stream_watch(stream, stream->blocked ? EPOLLOUT : 0);
    soon(stream);
}

bool vr_stream_write(struct vr_stream *stream, const void *data, size_t len)
{
    if (stream->failure || stream->state >= FINISHING)
        return false;
    if (len > stream->max_queued || vr_buffer_len(&stream->out) > stream->max_queued - len) {
        vr_stream_fail(stream, &vr_fault_peer_unreachable,
                       "The peer does not take its data: %zu bytes wait.",
                       vr_buffer_len(&stream->out));
        return false;
    }
    vr_buffer_append(&stream->out, data, len);
    stream->wrote = true;
    if (stream->state == OPEN && !stream->blocked)
        soon(stream);
    return true;
}

bool vr_stream_has_input(const struct vr_stream *stream)
{
    int bytes = 0;
    return stream->fd >= 0 && ioctl(stream->fd, FIONREAD, &bytes) == 0 && bytes > 0;
}

size_t vr_stream_queued(const struct vr_stream *stream)
{
    return vr_buffer_len(&stream->out);
}

void vr_stream_set_ops(struct vr_stream *stream, const struct vr_stream_ops *ops, void *arg)
{
    stream->ops = ops;
    stream->arg = arg;
    stream->ops_serial++;
    if (vr_stream_alive(stream) && vr_buffer_len(&stream->unread))
        soon(stream);
}

void vr_stream_set_reading(struct vr_stream *stream, bool reading)
{
    if (stream->reading == reading)
        return;
    stream->reading = reading;
    if (!vr_stream_alive(stream))
        return;
    watch_open(stream);
    if (reading && vr_buffer_len(&stream->unread))
        soon(stream);
}

struct vr_loop *vr_stream_loop(const struct vr_stream *stream)
{
    return stream->loop;
}

const char *vr_stream_peer(const struct vr_stream *stream)
{
    return stream->peer ? stream->peer : "";
}

struct vr_tls_peer *vr_stream_tls_peer(const struct vr_stream *stream)
{
    return stream->session ? vr_tls_session_peer(stream->session) : NULL;
}
