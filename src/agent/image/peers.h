/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * peers: whose connections the data door holds, so that no client takes the
 * room of the others.
 *
 * A peer is an IPv4 address, or the first 64 bits of an IPv6 address, since
 * whoever has one of those has all of the same network; link-local ones are
 * each a peer.  A connection is a guest, unknown until it shows a ticket.
 * One peer has a part of the room only; when all of it is taken, the oldest
 * unknown guest has to go for a new one, so that connections from many
 * addresses that never ask for anything keep nobody out who has a ticket.
 *
 * Safe from any thread.
 */

#include "base/base.h"

#include <sys/socket.h>

struct vr_peers;
struct vr_ticket_use;

struct vr_peers_limits {
    unsigned total, peer;
};

/* What a connection keeps between its requests. */
struct vr_guest {
    struct vr_ticket_use *use; /* the connection's own; NULL before the first */
    int fd;
    bool leaving; /* sent away */
    uint8_t peer[16];
    GList link; /* among the unknown guests; not linked: data is NULL */
};

struct vr_peers *vr_peers_new(const struct vr_peers_limits *limits);
void vr_peers_free(struct vr_peers *peers); /* no guest may be left; takes NULL */
/* Whether one more connection from @address may come in; may send an unknown guest away for it.
 * No other call for a new connection may come between this and vr_peers_enter(). */
bool vr_peers_admit(struct vr_peers *peers, const struct sockaddr *address);
/* Counts the connection @fd, which the caller keeps open until vr_peers_leave().  Owned. */
struct vr_guest *vr_peers_enter(struct vr_peers *peers, const struct sockaddr *address, int fd);
/* It showed a ticket. */
void vr_peers_know(struct vr_peers *peers, struct vr_guest *guest);
/* Ends it and frees @guest. */
void vr_peers_leave(struct vr_peers *peers, struct vr_guest *guest);
