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
