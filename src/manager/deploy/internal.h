/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files of `deploy` share. */

#include "manager/deploy/deploy.h"
#include "manager/job/job.h"

extern const char deploy_sh_common[], deploy_sh_login[], deploy_sh_check[], deploy_sh_install[],
    deploy_sh_request[], deploy_sh_accept[], deploy_sh_start[];

/* @body behind its variables, pairs of name and value ended by NULL, and what is common.  Owned. */
char *deploy_script(const char *body, const char *const *pairs);

/*
 * Reads what a script left.  True when it succeeded; otherwise @error (host_install_failed) with
 * the reason that it gave, or the best that can be said.  Notes are joined in *@ret_notes (owned,
 * NULL when there are none; may be NULL).
 */
bool deploy_script_verdict(const struct vr_ssh_answer *answer, const char *what, char **ret_notes,
                           struct vr_error **error);
/* Text of a host, fit for an event: valid, printable, at most 500 bytes.  Owned. */
char *deploy_clean(const char *text, size_t length);

/* The password that @job_id logs in with; NULL: there is none.  Borrowed. */
const char *deploy_password(struct vr_engine *engine, const char *job_id)
    VR_REQUIRES(vr_role_engine);
void deploy_keep_password(struct vr_engine *engine, const char *job_id, const char *password)
    VR_REQUIRES(vr_role_engine);
void deploy_drop_password(struct vr_engine *engine, const char *job_id)
    VR_REQUIRES(vr_role_engine);

/* Looks at the ends of certificates from now on. */
void deploy_watch_expiry(struct vr_engine *engine) VR_REQUIRES(vr_role_engine);

/* --- job.c --- */

/* The host; NULL after the run has been failed because it is gone. */
const struct vr_host *deploy_host(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
/* An event about the installation, told at once and not when the step ends: some take minutes. */
void deploy_tell(struct vr_job_run *run, const struct vr_host *host, const char *format, ...)
    VR_PRINTF(3, 4) VR_REQUIRES(vr_role_engine);
/* Asks the agent of @host over a connection that goes by the id @as, the host's own or another one
 * beside it; it is opened unless it is up or under way. */
void deploy_ask(struct vr_job_run *run, const struct vr_host *host, const char *as,
                const struct vr_verb *verb, const void *params, unsigned timeout_ms,
                vr_job_answer *done) VR_REQUIRES(vr_role_engine);

/* --- network.c: the step --- */

void deploy_set_up_network(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
/* Closes the connection that only asks whether new ones get through. */
void deploy_end_check(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);

/* --- plan.c --- */

enum deploy_network_outcome {
    DEPLOY_NETWORK_THERE,   /* nothing to do */
    DEPLOY_NETWORK_NONE,    /* it stays without; @reason, when people have to know */
    DEPLOY_NETWORK_REFUSED, /* cannot be; @reason */
    DEPLOY_NETWORK_WANTED,  /* @wanted over @device */
};
struct deploy_network {
    enum deploy_network_outcome outcome;
    char *name; /* of the management network on hosts */
    char *device;
    char *reason;
    struct vr_rpc_setup_network_net_attributes *wanted;
};
/* What the management network of @host needs, by its report.  @ret is zeroed before; ended with
 * deploy_network_done(). */
void deploy_network_plan(struct vr_job_run *run, const struct vr_host *host,
                         const struct vr_rpc_vdsm_capabilities *caps, struct deploy_network *ret)
    VR_REQUIRES(vr_role_engine);
void deploy_network_done(struct deploy_network *network);
