/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* stream_private: what stream.c (an open stream) and stream_open.c (becoming one) share. */

#include <netdb.h>

#include "net/buffer.h"
#include "net/resolve.h"
#include "net/stream.h"
#include "net/tls_session.h"

enum vr_stream_state {
    ACCEPTED,
    WAITING, /* for its turn to connect */
    RESOLVING,
    CONNECTING,
    HANDSHAKING,
    OPEN,
    FINISHING,
    LINGERING,
    CLOSED
};

struct vr_stream {
    struct vr_loop *loop;
    const struct vr_stream_ops *ops;
    void *arg;
    unsigned refs;       /* the owner, a queued deferral, a callback that is running */
    unsigned ops_serial; /* counts changes of ops, so that data is shown to the new ones */
    enum vr_stream_state state;
    bool server, reading, blocked, sending_record, wrote;
    int fd;
    struct vr_watch *watch;
    struct vr_timer *timer; /* limit of the current state, or of a stall; NULL when idle */
    unsigned excuses;       /* how often the limit has been put off */
    struct vr_deferred deferred;
    struct vr_loop_end end;   /* while it finishes, and nobody owns it */
    struct vr_error *failure; /* reported by the deferral */
    struct vr_tls_session *session;
    struct vr_buffer out, unread;
    char *peer;
    /* Options, and what only connecting needs. */
    struct vr_tls *tls;
    uint8_t *pin;
    char *peer_name;
    unsigned connect_ms, handshake_ms, stall_ms;
    size_t max_queued;
    char *host;
    uint16_t port;
    struct vr_turn turn; /* held while it connects quickly, and while it shakes hands */
    struct vr_resolve *resolve;
    struct addrinfo *addresses, *next_address;
    uint64_t deadline;
};

static inline bool vr_stream_alive(const struct vr_stream *stream)
{
    return stream->state == OPEN && !stream->failure;
}

/* stream.c */

/* Nothing more happens with the stream but the report, which is made after the callback. */
void vr_stream_fail(struct vr_stream *stream, const struct vr_fault *fault, const char *format, ...)
    VR_PRINTF(3, 4);
/* The one timer: the limit of the current state, or of a stall. */
void vr_stream_set_limit(struct vr_stream *stream, uint64_t ms);
void vr_stream_clear_limit(struct vr_stream *stream);
void vr_stream_watch(struct vr_stream *stream, uint32_t events);
void vr_stream_drop_socket(struct vr_stream *stream);
void vr_stream_drop_addresses(struct vr_stream *stream);
/* The peer is connected and trusted. */
void vr_stream_become_open(struct vr_stream *stream);

/* stream_open.c */

void vr_stream_tune(int fd);
/* Its turn came: resolves the host's name. */
void vr_stream_begin(struct vr_turn *turn);
/* The limit of an attempt to connect is reached. */
void vr_stream_connect_late(struct vr_stream *stream);
/* Tries the next address; @last_error (an errno) is told when there is none. */
void vr_stream_connect_next(struct vr_stream *stream, int last_error);
/* TCP is connected: the TLS handshake, or open at once. */
void vr_stream_connected(struct vr_stream *stream);
void vr_stream_shake_hands(struct vr_stream *stream);
