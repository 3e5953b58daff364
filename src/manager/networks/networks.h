/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * networks: logical networks, vNIC profiles, MAC pools, and the NICs of
 * virtual machines (facts/rest-api.md 8.3).
 */

#include "manager/engine/call.h"

extern const struct vr_module vr_networks_module;

/* The NICs that a new machine's body brings (`nics`), each with a MAC address from the cluster's pool
 * unless given. */
bool vr_networks_add_blank_nics(struct vr_txn *txn, const struct vr_vm *vm,
                                const struct vr_vm *wanted, struct vr_error **error)
    VR_REQUIRES(vr_role_engine);
/* Removes a machine's NICs; their addresses are free again. */
void vr_networks_remove_nics(struct vr_txn *txn, const char *vm_id) VR_REQUIRES(vr_role_engine);
