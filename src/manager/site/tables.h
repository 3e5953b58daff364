/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What is shipped as rows: policies, units, operating systems, filters, sizes. */

#include "manager/site/site.h"

void shipped_policies(struct vr_txn *txn) VR_REQUIRES(vr_role_engine);
void shipped_systems(struct vr_txn *txn) VR_REQUIRES(vr_role_engine);

/* Whether @kind has @id already, in this transaction. */
static inline bool shipped_already(struct vr_txn *txn, int kind, const char *id)
    VR_REQUIRES(vr_role_engine)
{
    return vr_txn_peek(txn, kind, id) != NULL;
}
