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

/* The common name of the peer's certificate, or NULL.  Owned. */
char *vr_tls_session_peer_name(const struct vr_tls_session *session);
