/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/base.h"

/* The peer cannot be reached, does not answer or went away; RPC code 5022 (facts/host-rpc.md 3.1).
 */
extern const struct vr_fault vr_fault_network;
/* The peer said something that its protocol does not allow. */
extern const struct vr_fault vr_fault_network_protocol;
/* TLS: the peer's certificate, or ours, was not accepted. */
extern const struct vr_fault vr_fault_network_trust;
