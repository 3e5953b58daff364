/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * deploy: a host gets its agent and a certificate, over SSH, as a job: log in,
 * check the machine, install the package, enrol, start, wait until the agent
 * answers.  A failure ends in status install_failed with the reason; the job
 * can be started again from whatever it left.
 *
 * A password lives in the memory of the engine until the Manager's own key is
 * let in on the host, and nowhere else (docs/decisions/009).
 */

#include "manager/engine/call.h"
#include "manager/engine/engine.h"

extern const struct vr_module vr_deploy_module;

/* How a request says the Manager is to log in on a host. */
struct vr_deploy_login {
    const char *password; /* borrowed from the request; NULL: the Manager's key */
    bool asked;           /* the request says anything about it */
};

/*
 * Reads and checks what @body (with the deprecated @root_password) says about
 * SSH.  Either may be NULL.  Wrong ports, users, fingerprints and keys are
 * errors.
 */
bool vr_deploy_read_login(const struct vr_ssh *body, const char *root_password,
                          struct vr_deploy_login *ret, struct vr_error **error);
/* Puts what @body says about address, user and key of SSH into @host: all but the password. */
void vr_deploy_merge_ssh(struct vr_host *host, const struct vr_ssh *body);
/* Overwrites the passwords in @body. */
void vr_deploy_forget(struct vr_ssh *body, char *root_password);

struct vr_deploy_order {
    const struct vr_deploy_login *login;
    bool enroll;   /* only a new certificate */
    bool activate; /* afterwards; else it goes to maintenance */
    const struct vr_user *user; /* for events; may be NULL */
    const char *correlation_id;
};
/* Whether @host's entity can be locked; a 409 fault otherwise. */
bool vr_deploy_is_free(struct vr_engine *engine, const char *host_id, struct vr_error **error)
    VR_REQUIRES(vr_role_engine);
/* Adds the job to @txn and sets the host's status to installing.  Returns the job's id, borrowed. */
const char *vr_deploy_start(struct vr_txn *txn, struct vr_host *host,
                            const struct vr_deploy_order *order) VR_REQUIRES(vr_role_engine);
/* Whether a job of ours works on the host. */
bool vr_deploy_is_running(struct vr_engine *engine, const struct vr_host *host)
    VR_REQUIRES(vr_role_engine);

/* Puts a signed certificate into the host's entity. */
void vr_deploy_certified(struct vr_host *host, const struct vr_errand_sign *sign);
/* An errand that signs @request for @host: the name is its address, whatever the request says. */
struct vr_errand *vr_deploy_signing(const struct vr_config *config, const struct vr_host *host,
                                    const char *request);
