/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * pgcluster: the Manager's own PostgreSQL, made when missing, started,
 * watched, restarted and stopped by the Manager itself.
 *
 *   DIRECTORY/data              the database cluster (PGDATA)
 *   DIRECTORY/run               the unix socket; nothing listens on the network
 *   DIRECTORY/supervisor.lock   held while a vr_pgcluster lives
 *   DIRECTORY/location          where data and run are instead, see below
 *
 * PostgreSQL refuses to run as root, so for root it runs as `postgres` (or
 * `nobody` where that user is missing).  Where that user cannot reach
 * DIRECTORY (a checkout below a private home folder), data and run live in
 * /var/lib/vireo-db/db-XXXXXX and `location` names that folder.
 *
 * The server is in its own session and outlives a killed Manager; the next
 * vr_pgcluster on the directory adopts it.  One thread of its own does
 * everything that waits; no function but wait_ready and stop blocks.
 */

#include <sys/types.h>

#include "base/base.h"

struct vr_pgcluster;

struct vr_pgcluster_options {
    const char *directory; /* absolute; made when missing, its parent must exist */
    const char *log;       /* the server's messages are appended here; NULL: DIRECTORY/log */
    bool fast;             /* no fsync: only for tests, a power cut loses the cluster */
};

/*
 * Starts supervising.  Fails when another process supervises @options->directory or no PostgreSQL
 * is installed; what goes wrong later is logged, tried again, and told by wait_ready.
 */
struct vr_pgcluster *vr_pgcluster_start(const struct vr_pgcluster_options *options,
                                        struct vr_error **error);

/*
 * Waits until the server has become ready more than @starts times and is ready now, at most
 * @timeout milliseconds; 0 starts is "ready at all".  The error tells the last failure.
 */
bool vr_pgcluster_wait_ready(struct vr_pgcluster *cluster, unsigned starts, unsigned timeout,
                             struct vr_error **error);

/* How many times the server became ready: 1 after the first, adopted or started. */
unsigned vr_pgcluster_starts(struct vr_pgcluster *cluster);

/* The running postmaster, 0 when none is. */
pid_t vr_pgcluster_pid(struct vr_pgcluster *cluster);

/*
 * How libpq reaches the database `vireo` (which exists once ready).  Owned by the caller, because
 * an adopted server may have its socket elsewhere.
 */
char *vr_pgcluster_conninfo(struct vr_pgcluster *cluster);

/* Stops the server (fast shutdown, at most about 30 s) and frees @cluster; takes NULL. */
void vr_pgcluster_stop(struct vr_pgcluster *cluster);

/* Makes the database cluster if there is none, and starts nothing.  Blocks for about a second. */
bool vr_pgcluster_prepare(const struct vr_pgcluster_options *options, struct vr_error **error);
