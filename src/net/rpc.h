/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * rpc: both ends of the host protocol (facts/host-rpc.md 1 to 6).
 *
 *     Manager, or the source of a migration            agent
 *     vr_rpc_client  <== TLS, STOMP, JSON-RPC ==>  vr_rpc_server
 *       call ------------- request --------------->  handler
 *       reply <----------- answer -----------------  vr_rpc_request_reply(), any thread
 *       event <----------- event ------------------  vr_rpc_server_event(), any thread
 *
 * A client or server lives on the thread of its loop; what may be used from
 * other threads says so.
 */

#include "net/jsonrpc.h"
#include "net/loop.h"
#include "net/stream.h"

/* --- the client --- */

struct vr_rpc_client;

enum vr_rpc_state {
    VR_RPC_DOWN,       /* not connected, and not trying */
    VR_RPC_CONNECTING, /* until the host's CONNECTED frame */
    VR_RPC_UP,
};

struct vr_rpc_client_ops {
    /* Became VR_RPC_UP (@reason NULL), or VR_RPC_DOWN because it could not connect, or was lost;
     * all calls have failed by then.  @reason is borrowed: vr_fault_host_unreachable,
     * vr_fault_peer_not_trusted or vr_fault_rpc_protocol.  May connect again, or free the client.
     * Not called for what vr_rpc_client_disconnect() does. */
    void (*state)(struct vr_rpc_client *client, enum vr_rpc_state state,
                  const struct vr_error *reason, void *arg);
    /* "|virt|VM_status|<id>" and its raw JSON (may be NULL); borrowed.  May be NULL. */
    void (*event)(struct vr_rpc_client *client, const char *method, const char *params, void *arg);
};

/* All zero but the address means the defaults; everything is copied. */
struct vr_rpc_client_options {
    const char *host; /* name or numeric address */
    uint16_t port;
    struct vr_tls *tls;    /* NULL: bare TCP, for development */
    const uint8_t *pin;    /* SHA-256 of the host's certificate, or NULL */
    const char *peer_name; /* name in the host's certificate, or NULL */
    const char *reply_to;  /* where answers go; NULL: a random name that is ours alone */
    bool no_events;        /* does not subscribe to events (storage connections) */
    unsigned connect_ms;   /* of TCP, then again of the session; 20 s */
    unsigned heartbeat_ms; /* what we ask of the host; 15 s: half of vdsHeartbeatInSeconds */
    unsigned silence_ms;   /* without a byte: lost; 22.5 s */
    size_t max_body;       /* of a received frame; 64 MiB */
};

/* Not connected yet; any thread before the loop runs, then the loop's. */
struct vr_rpc_client *vr_rpc_client_new(struct vr_loop *loop,
                                        const struct vr_rpc_client_options *options,
                                        const struct vr_rpc_client_ops *ops, void *arg);
/* Fails what is outstanding (the callbacks run before this returns), closes and frees.  NULL ok. */
void vr_rpc_client_free(struct vr_rpc_client *client) VR_REQUIRES(vr_role_io);

/* Starts to connect; only while VR_RPC_DOWN.  The outcome is told by `state`. */
void vr_rpc_client_connect(struct vr_rpc_client *client) VR_REQUIRES(vr_role_io);
/* Closes, and fails what is outstanding (the callbacks run before this returns). */
void vr_rpc_client_disconnect(struct vr_rpc_client *client) VR_REQUIRES(vr_role_io);
enum vr_rpc_state vr_rpc_client_state(const struct vr_rpc_client *client);

/*
 * The outcome of a call.  On success @code is 0, @error NULL, and @result the
 * verb's result object, NULL for a verb without one.  Else @code is what the
 * host answered, with vr_fault_host_rpc (vr_fault_host_recovering for 99,
 * vr_fault_host_busy for 1100), or VR_RPC_CODE_NETWORK when there was no
 * answer (vr_fault_host_unreachable), or VR_RPC_CODE_INTERNAL when the answer
 * makes no sense.  All is borrowed; vr_ref() keeps the result.
 */
typedef void vr_rpc_reply_fn(void *result, int code, const struct vr_error *error, void *arg);

/* Calls a verb.  @params is borrowed for this call, NULL for none; @timeout_ms 0 means 180 s
 * (vdsTimeout); @correlation_id may be NULL.  @reply runs exactly once, never from in here. */
void vr_rpc_client_call(struct vr_rpc_client *client, const struct vr_verb *verb,
                        const void *params, unsigned timeout_ms, const char *correlation_id,
                        vr_rpc_reply_fn *reply, void *arg) VR_REQUIRES(vr_role_io);
/* Calls that have not been answered. */
unsigned vr_rpc_client_outstanding(const struct vr_rpc_client *client);

/* --- the server --- */

struct vr_rpc_server;
struct vr_rpc_request;

struct vr_rpc_server_ops {
    /* A request came; @params (borrowed) lives as long as the request.  It is owned by the handler,
     * which answers it exactly once with one of the functions below, now or later. */
    void (*handle)(struct vr_rpc_request *request, const struct vr_verb *verb, void *params,
                   void *arg);
    /* A client that speaks HTTP (`GET /`, `PUT /`; facts/host-rpc.md 2.1); owns the stream
     * and sets its ops at once.  NULL: such clients are turned away. */
    void (*http)(struct vr_stream *stream, void *arg);
    /* Whether a client is a visitor (net/broker.h); NULL: nobody is.  @peer is NULL without TLS. */
    bool (*is_visitor)(const struct vr_tls_peer *peer, void *arg);
    /* Why the visitor @peer may not have @verb, which is then answered vr_fault_rpc_not_permitted;
     * NULL: it may.  @address is for logs.  Never NULL where is_visitor is not. */
    const char *(*refuse)(const struct vr_verb *verb, const struct vr_tls_peer *peer,
                          const char *address, void *arg);
};

/* All zero means the defaults, without TLS. */
struct vr_rpc_server_options {
    const char *address; /* numeric; NULL: [::], or 0.0.0.0 on a system without IPv6 */
    uint16_t port;       /* 0: any */
    struct vr_tls *tls;  /* NULL: bare TCP, for development */
    const struct vr_verb *(*find_verb)(const char *name); /* vr_verb_find */
    unsigned max_outstanding;                             /* requests; 80 (facts/host-rpc.md 4) */
    unsigned max_connections;                             /* that speak STOMP; 256 */
    unsigned max_newcomers;    /* not known yet; the oldest goes when another one comes; 64 */
    unsigned detect_ms;        /* until the first 11 bytes came; 10 s */
    unsigned handshake_ms;     /* of TLS; 10 s */
    unsigned min_heartbeat_ms; /* 1 s */
    unsigned stall_ms;         /* a peer that takes nothing; 60 s */
    size_t max_body;           /* of a received frame; 64 MiB */
    bool recovering;           /* begins so */
};

/* Listens at once.  The loop must outlive it.  NULL and @error when it cannot listen. */
struct vr_rpc_server *vr_rpc_server_new(struct vr_loop *loop,
                                        const struct vr_rpc_server_options *options,
                                        const struct vr_rpc_server_ops *ops, void *arg,
                                        struct vr_error **error);
/* Closes everything; not from within `handle`.  Requests that are not answered yet still must be,
 * to nobody.  NULL ok. */
void vr_rpc_server_free(struct vr_rpc_server *server) VR_REQUIRES(vr_role_io);
uint16_t vr_rpc_server_port(const struct vr_rpc_server *server);

/* While on, every verb answers 99 and events are dropped.  Any thread. */
void vr_rpc_server_set_recovering(struct vr_rpc_server *server, bool recovering);

/* Publishes a notification; @params is JSON text, an object with `notify_time` in it.  Any thread.
 */
void vr_rpc_server_event(struct vr_rpc_server *server, const char *method, const char *params);

/* Answers, and frees the request; @result is borrowed, NULL for a verb without one.  Any thread. */
void vr_rpc_request_reply(struct vr_rpc_request *request, const void *result);
/* Answers with a code (not 0) and a message that people read. */
void vr_rpc_request_fail(struct vr_rpc_request *request, int code, const char *message);
/* The same from an error: the code of its fault (VR_RPC_CODE_GENERAL when it has none), its text.
 */
void vr_rpc_request_fail_error(struct vr_rpc_request *request, const struct vr_error *error);

const struct vr_verb *vr_rpc_request_verb(const struct vr_rpc_request *request);
void *vr_rpc_request_params(const struct vr_rpc_request *request);               /* borrowed */
const char *vr_rpc_request_correlation_id(const struct vr_rpc_request *request); /* "" if none */
const char *vr_rpc_request_peer(const struct vr_rpc_request *request);           /* for logs */
bool vr_rpc_request_is_of_visitor(const struct vr_rpc_request *request);
/* Our numeric address that the client uses; NULL when it is not known.  Borrowed. */
const char *vr_rpc_request_local(const struct vr_rpc_request *request);
