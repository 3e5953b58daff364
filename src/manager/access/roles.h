/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The roles that every Manager has. */

#include "manager/access/access.h"

struct vr_access_role {
    const char *name; /* NULL ends */
    const char *id;
    bool administrative;
    bool allows_viewing_children;
    const uint16_t *permits; /* 0 ends; NULL: all but create_instance and edit_profile */
};
extern const struct vr_access_role vr_access_roles[];
