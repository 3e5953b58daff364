/* SPDX-License-Identifier: Apache-2.0 */
#include "net/faults.h"

const struct vr_fault vr_fault_network = { .name = "network",
                                           .http = 503,
                                           .rpc = 5022,
                                           .exit = 69,
                                           .text = "The network peer is not available." };
const struct vr_fault vr_fault_network_protocol = { .name = "network_protocol",
                                                    .http = 502,
                                                    .rpc = 5022,
                                                    .exit = 76,
                                                    .text =
                                                        "The network peer broke the protocol." };
const struct vr_fault vr_fault_network_trust = { .name = "network_trust",
                                                 .http = 502,
                                                 .rpc = 5022,
                                                 .exit = 77,
                                                 .text = "The network peer is not trusted." };
