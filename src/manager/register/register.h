/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * register: hosts that come by themselves, to be taken (VDSM-REG) or to have
 * their certificate renewed.  Neither has a login, so everything is capped,
 * rare, and changes nothing that is in use.
 */

#include "manager/engine/engine.h"

/* What a host says of itself; every member is text from outside or NULL. */
struct vr_registration {
    char *unique_id, *name, *address;
    char *ssh_user, *ssh_fingerprint, *ssh_public_key;
    unsigned ssh_port, port; /* 0: the usual one */
};
void vr_registration_free(struct vr_registration *registration); /* takes NULL */

/* @error NULL: done, and durable.  @text is what to answer, borrowed. */
typedef void vr_register_answer(const struct vr_error *error, const char *text, void *arg);

/*
 * Takes the host up in status pending_approval, or has it installed at once
 * when AutoApprovePatterns fit.  The same host again changes nothing while it
 * is pending and is an error later; so are names, addresses and ids of other
 * hosts.  @done runs exactly once.
 */
void vr_register_host(struct vr_engine *engine, const struct vr_registration *registration,
                      vr_register_answer *done, void *arg) VR_REQUIRES(vr_role_engine);

/*
 * Renews the certificate of the host with the key @key_id, which signed
 * @request.  The text of the answer is the certificate.  @done runs exactly
 * once.
 */
void vr_register_renew(struct vr_engine *engine, const char *key_id, const char *request,
                       vr_register_answer *done, void *arg) VR_REQUIRES(vr_role_engine);
