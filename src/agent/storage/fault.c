/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/storage/fault.h"

#define DEFINE(n, code, sentence)                                                                  \
    const struct vr_fault vr_storage_fault_##n = {                                                 \
        .name = "storage_" #n, .http = 500, .rpc = code, .exit = 1, .text = sentence               \
    };
VR_STORAGE_FAULTS(DEFINE)

#define ROW(n, code, sentence) &vr_storage_fault_##n,
static const struct vr_fault *const faults[] = { VR_STORAGE_FAULTS(ROW) };

const struct vr_fault *vr_storage_fault_by_code(int code)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(faults); i++)
        if (faults[i]->rpc == code)
            return faults[i];
    return &vr_storage_fault_general;
}
