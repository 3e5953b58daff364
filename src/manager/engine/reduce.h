/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * reduce: what is kept of a host's report once it was looked at.  Most of a
 * report is either in the entity by then (addresses, applications, displays)
 * or the same for ever; of 100,000 virtual machines it would be 200 MiB.
 */

#include "base/base.h"

/* A copy of @report (struct vr_rpc_vm_stats or vr_rpc_host_stats) without what nobody reads later;
 * of any other type a reference. */
void *vr_reduce_report(const void *report);
