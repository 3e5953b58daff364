/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* wait: polls an object until a member has the value that ends some work. */

#include "cli/client.h"

struct vr_cli_goal {
    const char *path;             /* of the object, "/vms/ID" */
    const char *member;           /* "status" */
    const char *const *good;      /* values that end the wait, NULL at the end */
    const char *const *bad;       /* what it falls back to when it fails, or NULL */
    bool gone;                    /* the object's absence ends it as well as a good value */
    unsigned seconds;             /* limit */
};

/* @ret_object (may be NULL) gets the last state, owned; NULL when the object is gone. */
bool vr_cli_wait_for(struct vr_client *client, const struct vr_cli_goal *goal,
                     json_object **ret_object, struct vr_error **error);
/* --timeout, or 600. */
bool vr_cli_wait_limit(const struct vr_cli *cli, unsigned *ret, struct vr_error **error);
