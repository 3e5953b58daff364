/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* tls_session: what stream.c needs of tls.c, and nobody else. */

#include <gnutls/gnutls.h>

#include "net/tls.h"

/* What a peer must be besides trusted; all may be NULL.  Borrowed for the handshake. */
struct vr_tls_expect {
    const uint8_t *pin; /* 32 bytes: SHA-256 of the peer's certificate (DER) */
    const char *name;   /* its SAN, or its CN */
};

/* One session and its hold on the credentials it was made with. */
struct vr_tls_session {
    gnutls_session_t session;
    struct vr_tls_credentials *credentials;
    struct vr_tls_expect expect;
    char *refusal; /* why the peer was refused; owned */
};

/* @session is all zero.  It must not move until vr_tls_session_done(). */
void vr_tls_session_init(struct vr_tls_session *session, struct vr_tls *tls, bool server, int fd,
                         const struct vr_tls_expect *expect);
void vr_tls_session_done(struct vr_tls_session *session);

/* Who is at the other end; NULL before the handshake is over.  Owned. */
struct vr_tls_peer *vr_tls_session_peer(const struct vr_tls_session *session);
