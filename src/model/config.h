/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * config: the options of model/config*.idl.  gen/config.h has struct
 * vr_config, whose members are named as the options:
 *
 *     config->VdsRefreshRate
 *
 * A configuration that is shared between threads is not changed any more; a
 * change makes a new one.
 */

#include "base/base.h"

struct vr_config;

enum vr_config_type {
    VR_OPTION_BOOLEAN, /* bool */
    VR_OPTION_INTEGER, /* int64_t */
    VR_OPTION_DOUBLE,  /* double */
    VR_OPTION_STRING,  /* char *, owned, never NULL */
};

struct vr_config_option {
    const char *name;
    enum vr_config_type type;
    const char *otherwise; /* the default, as vr_config_set() takes it */
    const char *text;      /* unit and meaning */
    uint16_t offset;       /* of the member in struct vr_config */
};

/* Sorted by name (strcmp).  Generated. */
extern const struct vr_config_option vr_config_options[];
extern const unsigned vr_config_option_count;
extern const size_t vr_config_size; /* of struct vr_config */

/* All defaults.  Owned by the caller. */
struct vr_config *vr_config_new(void);
struct vr_config *vr_config_copy(const struct vr_config *config);
void vr_config_free(struct vr_config *config); /* takes NULL */

/* NULL when there is no such option.  The names tell upper from lower case. */
const struct vr_config_option *vr_config_find(const char *name);
/* The fault is bad_request: an unknown name, or a value that does not fit its type. */
bool vr_config_set(struct vr_config *config, const char *name, const char *value,
                   struct vr_error **error);
/* The value as vr_config_set() takes it.  Owned by the caller. */
char *vr_config_get(const struct vr_config *config, const struct vr_config_option *option);
