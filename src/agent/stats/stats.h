/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * stats: how busy the host is (facts/host-rpc.md 8).
 *
 * A sampler reads /proc and /sys every few seconds on a thread of its own;
 * reports are made of the last two readings.  What is not the host's own (its
 * machines, storage, networks' configuration) the caller adds.
 */

#include "model/host.h"

struct vr_stats;

/* @run_dir: the agent's own directory, whose free space is reported. */
struct vr_stats *vr_stats_start(const char *run_dir);
void vr_stats_stop(struct vr_stats *stats); /* takes NULL */

/* A reference for the caller.  Any thread. */
struct vr_rpc_host_stats *vr_stats_report(struct vr_stats *stats);
struct vr_rpc_host_network_statistics *vr_stats_network(struct vr_stats *stats);
