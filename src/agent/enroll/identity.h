/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * identity: the host's key and certificate, and who its Manager is.
 *
 *   agent.conf: key          RSA, made here, 0600; never leaves the host
 *               key + ".new" one that waits for its certificate
 *               certificate  signed by the Manager's authority
 *               ca           that authority
 *   STATE/manager.conf       [manager] url=       where certificates are renewed
 *                                      known-by=  "OU=unit" and "CN=name" of its certificate
 *
 * Every file is whole or absent; a run that was killed is completed by the
 * next one.
 */

#include "agent/config.h"

/* Certificates that come from outside, in all. */
#define VR_IDENTITY_INPUT_MAX (64 * 1024)
/* As the Manager's own keys (setup/pki.h). */
#define VR_IDENTITY_KEY_BITS 3072

/* A certificate request of the key that is there; of a new one, which is used from
 * vr_identity_accept() on, when there is none or @new_key.  PEM, owned. */
char *vr_identity_request(const struct vr_agent_config *config, bool new_key,
                          struct vr_error **error);

/*
 * Puts the first certificate of @pem in place, once it is clear that it is for
 * our key and signed by the authority: the others in @pem, which then become
 * the ones that this host trusts, or the ones that it trusts already.
 */
bool vr_identity_accept(const struct vr_agent_config *config, const char *pem,
                        struct vr_error **error);

/* Trusts the authorities in @pem. */
bool vr_identity_trust(const struct vr_agent_config *config, const char *pem,
                       struct vr_error **error);

/* What is in place, for who looks for faults. */
struct vr_identity_facts {
    char *key_fault, *certificate_fault, *authority_fault; /* NULL: the file can be used */
    bool belongs;         /* the certificate, to the key */
    bool belongs_waiting; /* it belongs to the key that waits: putting both in place was cut short */
    bool is_signed;       /* by the authority */
    bool has_uses;        /* of a TLS server and of a client */
    int64_t begins, ends, authority_ends; /* epoch, seconds */
    char *name;                           /* common name of the certificate, or NULL */
};
void vr_identity_look(const struct vr_agent_config *config, struct vr_identity_facts *ret);
void vr_identity_facts_done(struct vr_identity_facts *facts);
/* Ends what was cut short: vr_identity_facts.belongs_waiting. */
bool vr_identity_finish(const struct vr_agent_config *config, struct vr_error **error);

/* Whether less than a third of the certificate's life is left, or nothing at all. */
bool vr_identity_is_due(const struct vr_agent_config *config, bool *ret_due,
                        struct vr_error **error);

/* When the certificate in place ends: epoch, seconds. */
bool vr_identity_expires(const struct vr_agent_config *config, int64_t *ret_expires,
                         struct vr_error **error);

/* The Manager's address, "https://NAME:PORT"; NULL when it is not known.  Owned. */
char *vr_identity_manager(const struct vr_agent_config *config);
/* What its certificate is known by (agent/config.h): of agent.conf, else what was recorded.  NULL
 * ended and empty when nothing is; owned. */
char **vr_identity_known_by(const struct vr_agent_config *config);
/* Records both, of another Manager than before perhaps; @known_by is NULL when that is not known. */
bool vr_identity_set_manager(const struct vr_agent_config *config, const char *url,
                             const char *const *known_by, struct vr_error **error);
/* Records what it is known by, and keeps its address. */
bool vr_identity_set_known_by(const struct vr_agent_config *config, const char *const *known_by,
                              struct vr_error **error);

/* SHA-256 of the first certificate in @pem, hex; NULL when there is none.  Owned. */
char *vr_identity_fingerprint(const char *pem);
/* @text is "SHA256:" and 64 hex digits (colons between them do not count) or 43 of base64. */
bool vr_identity_fingerprint_is(const char *fingerprint, const char *text);
