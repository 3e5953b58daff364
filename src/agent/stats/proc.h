/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* proc: readers of the texts under /proc and /sys.  Pure functions over text. */

#include "base/base.h"

/* Jiffies of one processor, or of all. */
struct vr_cpu_time {
    int id; /* -1: the sum of all */
    uint64_t user, system, idle;
};
/* /proc/stat: an array of struct vr_cpu_time, the sum first; empty for nonsense.  Owned. */
GArray *vr_proc_cpu(const char *stat);
/* Percent of the time between two readings; 0 when there was none. */
struct vr_cpu_share {
    double user, system, idle;
};
struct vr_cpu_share vr_proc_cpu_share(const struct vr_cpu_time *before,
                                      const struct vr_cpu_time *now);
/* btime of /proc/stat, epoch seconds, or 0. */
int64_t vr_proc_boot_time(const char *stat);

/* /proc/meminfo, or a node's meminfo: the value of "MemFree" in KiB, or 0. */
uint64_t vr_proc_meminfo(const char *meminfo, const char *name);
/* The five minutes average of /proc/loadavg. */
double vr_proc_load5(const char *loadavg);

struct vr_net_count {
    char name[16];
    uint64_t rx, rx_errors, rx_dropped, tx, tx_errors, tx_dropped;
};
/* /proc/net/dev: an array of struct vr_net_count.  Owned. */
GArray *vr_proc_net(const char *dev);

/* "0-3,8" as a list of numbers; malformed parts are left out.  An array of unsigned.  Owned. */
GArray *vr_proc_list(const char *text);

/* A whole small file, trailing white space cut; owned, NULL when it cannot be read. */
char *vr_proc_read(const char *format, ...) VR_PRINTF(1, 2);
/* A file that holds one number. */
int64_t vr_proc_number(int64_t otherwise, const char *format, ...) VR_PRINTF(2, 3);
