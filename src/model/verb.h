/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The run-time description of one verb of the host protocol (facts/host-rpc.md). */

#include "model/model.h"

enum vr_verb_result {
    VR_RESULT_VOID,    /* the wire says `true`; there is no result object */
    VR_RESULT_STRUCT,  /* the result object is the wire's value */
    VR_RESULT_WRAPPED, /* the wire's value is the member `value` of the result object */
};

struct vr_verb {
    const char *name;             /* "VM.create" */
    const struct vr_type *params; /* never NULL; may have no fields */
    const struct vr_type *result; /* NULL when VR_RESULT_VOID */
    enum vr_verb_result shape;
    uint16_t index;               /* in vr_verbs[] */
};

/* Every verb of model/host/, sorted by name; the count is vr_verb_count.  Generated. */
extern const struct vr_verb *const vr_verbs[];
extern const unsigned vr_verb_count;
const struct vr_verb *vr_verb_find(const char *name);
