/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * broker: the server's side of STOMP, with the habits of the hosts that
 * Managers know (facts/host-rpc.md 3).
 *
 *     SEND to a request destination ----> ops.request ----> (rpc_server.c)
 *     SEND elsewhere, vr_broker_publish() ----> MESSAGE to every subscriber
 *
 * Destinations are global: a subscriber on any connection gets what is sent
 * to the name.  Everything happens on the loop's thread.
 *
 * A visitor is a client that may ask and be answered, and nothing else: it gets
 * names of its own for its answers, hears nothing of what goes to the names
 * that everybody knows (all those of `jms`), and sends to nobody but us.
 */

#include "net/stomp.h"
#include "net/stream.h"

#define VR_BROKER_EVENTS "jms.queue.events"
#define VR_BROKER_REQUESTS "jms.topic.vdsm_requests"
#define VR_BROKER_IRS_REQUESTS "jms.topic.vdsm_irs_requests"
#define VR_BROKER_RESPONSES "jms.topic.vdsm_responses"

struct vr_broker;

/* A SEND to one of the request destinations, or to a name below one.  All is borrowed; @reply_to
 * and @correlation_id may be NULL. */
struct vr_broker_request {
    const char *reply_to, *correlation_id, *peer;
    const struct vr_stream *stream; /* it came over */
    const struct vr_tls_peer *who;  /* NULL without TLS, and when there are no visitors */
    bool of_visitor;
    const char *body; /* a NUL follows */
    size_t body_len;
};
typedef void vr_broker_request_fn(const struct vr_broker_request *request, void *arg);

/* Whether a client is a visitor.  Asked at every frame, for that may change; @peer is NULL without
 * TLS. */
typedef bool vr_broker_visitor_fn(const struct vr_tls_peer *peer, void *arg);

/* All zero means the defaults. */
struct vr_broker_options {
    vr_broker_visitor_fn *is_visitor; /* NULL: nobody is; its argument is that of requests */
    size_t max_body;           /* of a received frame; 64 MiB */
    unsigned min_heartbeat_ms; /* 1000 (facts/host-rpc.md 3); tests set it lower */
};

struct vr_broker *vr_broker_new(struct vr_loop *loop, const struct vr_broker_options *options,
                                vr_broker_request_fn *request, void *arg);
/* Closes the connections.  Not from within a request. */
void vr_broker_free(struct vr_broker *broker) VR_REQUIRES(vr_role_io); /* takes NULL */

/* Takes over an open stream, and what it has received and nobody took. */
void vr_broker_add(struct vr_broker *broker, struct vr_stream *stream) VR_REQUIRES(vr_role_io);
unsigned vr_broker_connections(const struct vr_broker *broker) VR_REQUIRES(vr_role_io);

/* Sends JSON to everyone who subscribed to exactly @destination and may hear it; returns how many
 * those are. */
unsigned vr_broker_publish(struct vr_broker *broker, const char *destination, const char *body,
                           size_t body_len) VR_REQUIRES(vr_role_io);
