/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files of `networks` share. */

#include "manager/networks/networks.h"

/* Members of a new vNIC profile that its maker left out (facts/rest-api.md 8.3). */
void vnic_profile_fill(struct vr_vnic_profile *profile);
/* A free address of the cluster's MAC pool, or NULL and an error.  Owned.  @txn: addresses that this
 * transaction has given out count as taken. */
char *mac_take(struct vr_txn *txn, const struct vr_cluster *cluster, struct vr_error **error)
    VR_REQUIRES(vr_role_engine);
/* Whether another NIC has the address, in a pool that allows no duplicates. */
bool mac_is_taken(struct vr_txn *txn, const char *address, const char *own_nic)
    VR_REQUIRES(vr_role_engine);
