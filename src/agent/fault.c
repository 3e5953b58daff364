/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/fault.h"

#define VR_AGENT_FAULT_DEFINE(fault_name, code, sentence)                                          \
    const struct vr_fault vr_agent_fault_##fault_name = {                                          \
        .name = #fault_name, .http = 500, .rpc = code, .exit = 1, .text = sentence                 \
    };
VR_AGENT_FAULTS(VR_AGENT_FAULT_DEFINE)
