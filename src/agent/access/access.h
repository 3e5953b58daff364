/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * access: what a peer of the agent's TLS port may do (docs/decisions/012).
 *
 *   the Manager   has the mark (base/mark.h), or is recorded     everything
 *   this host     its public key is our own: a local root        everything
 *   another host  any other certificate of the authority         VR_VISIT_MAY and no more
 *   anybody       no TLS, or nothing recorded                    everything
 */

#include "agent/config.h"
#include "model/host.h"
#include "net/tls.h"

/* --- rule.c: nothing but decisions --- */

enum vr_peer_role { VR_PEER_MANAGER, VR_PEER_SELF, VR_PEER_HOST, VR_PEER_ANYBODY };

/* @peer is NULL without TLS; @known_by is what is recorded about the Manager's certificate: "OU=unit"
 * or "CN=name", NULL-ended, empty for nothing. */
enum vr_peer_role vr_access_role(const char *const *known_by, const struct vr_tls_peer *peer);

/* What another host may have of a verb.  VDSM's source of a migration asks its destination for
 * Host.ping, VM.migrationCreate, VM.destroy, and, to extend a disk meanwhile, Host.getCapabilities
 * and VM.refresh_disk (its lib/vdsm/virt/migration.py; facts/host-rpc.md 11). */
enum vr_visit {
    VR_VISIT_NEVER,
    VR_VISIT_MAY,
    VR_VISIT_INCOMING, /* only about a machine that it is migrating here; there is never one yet */
};
enum vr_visit vr_access_visit(const struct vr_verb *verb);
/* Why another host may not have @verb; NULL: it may. */
const char *vr_access_refusal(const struct vr_verb *verb);

/* --- access.c: what is recorded, and the log; the loop's thread --- */

struct vr_access;

/* @config is borrowed.  Says in the log when every host may command this one. */
struct vr_access *vr_access_new(const struct vr_agent_config *config);
void vr_access_free(struct vr_access *access); /* takes NULL */
/* Reads again what is recorded. */
void vr_access_reload(struct vr_access *access);

/* Whether the peer is another host.  The first one with the mark, while nothing is recorded, is:
 * from then on other hosts are visitors. */
bool vr_access_is_visitor(struct vr_access *access, const struct vr_tls_peer *peer);
/* A line in the log that another host was refused @verb, one a host and minute: false when there was
 * one just now.  @now is in microseconds of a clock that never goes back. */
bool vr_access_tell(struct vr_access *access, const struct vr_verb *verb,
                    const struct vr_tls_peer *peer, const char *address, int64_t now);
