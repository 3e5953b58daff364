/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * config: what `vireo login` keeps, in $VIREO_CONFIG or vireo/config of the user's configuration
 * folder: address, user, token and the certificate authority.  Mode 0600; a file that others can
 * read is refused.
 */

#include "base/base.h"

struct vr_cli_config {
    char *url, *user, *token, *ca; /* owned; NULL: unknown */
};

/* No file is no error: all members are then NULL.  Frees what was in *@config. */
bool vr_cli_config_load(struct vr_cli_config *config, struct vr_error **error);
/* Whole or not at all, also when the machine dies. */
bool vr_cli_config_save(const struct vr_cli_config *config, struct vr_error **error);
void vr_cli_config_done(struct vr_cli_config *config);
char *vr_cli_config_path(void);
