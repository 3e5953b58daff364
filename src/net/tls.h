/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * tls: who we are and whom we trust, on GnuTLS.
 *
 * One vr_tls serves any number of streams on any thread.  Both sides always
 * show a certificate that the one CA issued; versions below TLS 1.2 are not
 * spoken.  Reading the files again changes streams made later; those that are
 * open keep what they began with.
 */

#include "base/base.h"

struct vr_tls;

/* Reads the PEM files: certificates to trust, our certificate (followed by its chain, if any) and
 * its key.  The paths are copied, for vr_tls_reload().  NULL and @error (vr_fault_peer_not_trusted)
 * when a file cannot be read or key and certificate do not fit.  One reference. */
struct vr_tls *vr_tls_new(const char *ca_file, const char *cert_file, const char *key_file,
                          struct vr_error **error);
struct vr_tls *vr_tls_ref(struct vr_tls *tls);
void vr_tls_unref(struct vr_tls *tls); /* takes NULL */

/* Who the peer of a connection is by its certificate, which the authority has vouched for. */
struct vr_tls_peer {
    char *name;       /* common name, or NULL */
    char *unit;       /* organizational unit, the first of several; or NULL */
    bool has_our_key; /* its public key is that of our own certificate */
};
void vr_tls_peer_free(struct vr_tls_peer *peer); /* takes NULL */

/* Reads the files again.  On failure what was read before stays in use.  Any thread. */
bool vr_tls_reload(struct vr_tls *tls, struct vr_error **error);
