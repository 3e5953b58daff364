/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * event: the audit events of model/events*.idl.  gen/events.h has their codes:
 * VR_EVENT_USER_ADD_VM is 34, which clients search for.
 */

#include "gen/model_api.h"

struct vr_event_info {
    int code;         /* enum vr_event_code */
    const char *name; /* "USER_ADD_VM" */
    enum vr_log_severity severity;
    unsigned flood;   /* seconds within which an equal event is dropped; 0: never */
    const char *text; /* one sentence with ${Variables} */
};

/* Sorted by code.  Generated. */
extern const struct vr_event_info vr_events[];
extern const unsigned vr_event_count;

/* NULL when there is no such event. */
const struct vr_event_info *vr_event_info(int code);
