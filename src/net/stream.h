/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * stream: a non-blocking connection of bytes, with TLS or without.
 *
 *     connect: resolve --> connect --> handshake --+
 *     accept:                          handshake --+--> ready --> data ... --> closed
 *
 * All of a stream happens on the thread of its loop.  Callbacks may call
 * everything here, vr_stream_free() included.  An idle stream owns no buffers.
 */

#include "net/loop.h"
#include "net/tls.h"

struct vr_stream;

struct vr_stream_ops {
    /* Connected, and the peer is trusted.  Called once; may be NULL. */
    void (*ready)(struct vr_stream *stream, void *arg);
    /* Bytes came; returns how many were taken.  The others are shown again, before more: after
     * more came, after vr_stream_set_ops(), or when reading goes on. */
    size_t (*data)(struct vr_stream *stream, const uint8_t *data, size_t len, void *arg);
    /* Everything written has been handed to the system; may be NULL. */
    void (*drained)(struct vr_stream *stream, void *arg);
    /* The connection is over: the last call there is.  The owner still has to free the stream.
     * @reason (borrowed) is never NULL; vr_fault_peer_not_trusted when the peer, or we, were not
     * accepted. */
    void (*closed)(struct vr_stream *stream, const struct vr_error *reason, void *arg);
};

/* All zero means the defaults, without TLS. */
struct vr_stream_options {
    struct vr_tls *tls;    /* NULL: plain.  The stream takes a reference. */
    const uint8_t *pin;    /* 32 bytes, SHA-256 of the peer's certificate, or NULL; copied */
    const char *peer_name; /* SAN or CN that the peer must have, or NULL; copied */
    unsigned connect_ms;   /* resolving and connecting; 20 s (facts/host-rpc.md 3.1) */
    unsigned handshake_ms; /* 10 s (facts/host-rpc.md 1) */
    unsigned stall_ms;     /* a peer that takes nothing of what waits for it; 60 s */
    size_t max_queued;     /* bytes waiting to be sent; 80 MiB: a whole largest frame and more */
};

/* Starts to connect; failure is reported by `closed`.  The caller owns the stream. */
struct vr_stream *vr_stream_connect(struct vr_loop *loop, const char *host, uint16_t port,
                                    const struct vr_stream_options *options,
                                    const struct vr_stream_ops *ops, void *arg)
    VR_REQUIRES(vr_role_io);
/* The server's side of a socket that was accepted; owns @fd. */
struct vr_stream *vr_stream_accept(struct vr_loop *loop, int fd,
                                   const struct vr_stream_options *options,
                                   const struct vr_stream_ops *ops, void *arg)
    VR_REQUIRES(vr_role_io);

/* Closes at once, without a callback, and frees.  Takes NULL. */
void vr_stream_free(struct vr_stream *stream) VR_REQUIRES(vr_role_io);
/* Frees for the caller; what was written is still sent (for `stall_ms` at most), then the
 * connection ends in order.  No more callbacks. */
void vr_stream_finish(struct vr_stream *stream) VR_REQUIRES(vr_role_io);

/* Queues @len bytes; many writes of one callback leave together.  Returns false when the stream is
 * closed or closing; a queue that grows over its limit closes the stream, later, by `closed`. */
bool vr_stream_write(struct vr_stream *stream, const void *data, size_t len)
    VR_REQUIRES(vr_role_io);
/* Whether bytes lie in the socket that nobody has read yet. */
bool vr_stream_has_input(const struct vr_stream *stream) VR_REQUIRES(vr_role_io);
/* Bytes that wait to be sent. */
size_t vr_stream_queued(const struct vr_stream *stream) VR_REQUIRES(vr_role_io);

/* The connection changes hands; what was not taken yet goes to the new one. */
void vr_stream_set_ops(struct vr_stream *stream, const struct vr_stream_ops *ops, void *arg)
    VR_REQUIRES(vr_role_io);
/* false: takes nothing from the network until it is set again. */
void vr_stream_set_reading(struct vr_stream *stream, bool reading) VR_REQUIRES(vr_role_io);

struct vr_loop *vr_stream_loop(const struct vr_stream *stream);
/* "[::1]:54321", for logs; "" before there is one.  Borrowed. */
const char *vr_stream_peer(const struct vr_stream *stream);
/* The numeric address of our end, "192.0.2.11"; NULL when there is none.  Owned. */
char *vr_stream_local_address(const struct vr_stream *stream);
/* Who the peer is; NULL without TLS, and before the stream is ready.  Owned. */
struct vr_tls_peer *vr_stream_tls_peer(const struct vr_stream *stream) VR_REQUIRES(vr_role_io);

/* A listening socket.  vr_listener_new() binds [::] (dual stack), else 0.0.0.0, unless @address
 * (numeric) says otherwise; port 0 lets the system choose. */
struct vr_listener;
typedef void vr_listener_fn(int fd, void *arg); /* owns @fd */
struct vr_listener *vr_listener_new(struct vr_loop *loop, const char *address, uint16_t port,
                                    vr_listener_fn *fn, void *arg, struct vr_error **error);
uint16_t vr_listener_port(const struct vr_listener *listener);
void vr_listener_free(struct vr_listener *listener); /* takes NULL */
