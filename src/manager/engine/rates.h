/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * rates: what happens in a second, from two reports that count since ever:
 * bytes of network interfaces, operations of disks (facts/host-rpc.md 8 and
 * 10.4).  Kept beside the latest report instead of the report before it,
 * which would double the memory of all statistics.
 */

#include "base/base.h"

struct vr_device_rate {
    char *device; /* vnet0, eth0, vda */
    double in, out; /* received and sent bytes, or reads and writes, a second */
};

/* The rates between two reports (struct vr_rpc_vm_stats or vr_rpc_host_stats, both of one type;
 * @before may be NULL), or NULL when there are none.  @known, which it takes, are those that were
 * found last: they stand for devices that were not sampled again.  g_array_unref() it. */
GArray *vr_rates_between(const void *before, const void *after, GArray *known);
/* False, and zero, when the device has none. */
bool vr_rates_find(const GArray *rates, const char *device, double *ret_in, double *ret_out);
