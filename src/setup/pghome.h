/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * pghome: where a private PostgreSQL lives, as whom it runs, and how it is
 * made.  Used by pgcluster only.
 */

#include <sys/types.h>

#include "base/base.h"

extern const struct vr_fault vr_fault_pgcluster;

struct vr_pghome {
    char *directory; /* what the user asked for; holds the lock and `location` */
    char *home;      /* where data and run are; most often the same */
    char *data;
    char *socket_folder;
    char *bin;    /* folder of initdb and postgres */
    bool drop;    /* we are root, so the programs run as uid:gid */
    uid_t uid;
    gid_t gid;
    int lock; /* file descriptor; -1 */
    bool fast;
};

/* Finds user, programs and folders and takes the lock.  Pair with vr_pghome_done. */
bool vr_pghome_init(struct vr_pghome *home, const char *directory, bool fast,
                    struct vr_error **error);
void vr_pghome_done(struct vr_pghome *home);

/* Runs initdb unless the cluster exists; a crash halfway leaves nothing that counts. */
bool vr_pghome_ensure_cluster(struct vr_pghome *home, struct vr_error **error);

/*
 * The child side of a spawn: own session, private files, not root.  Async-signal-safe, a
 * GSpawnChildSetupFunc with the vr_pghome as @arg.
 */
void vr_pghome_become(void *arg);

/* The environment of its programs; NULL-ended, static. */
char **vr_pghome_environment(void);
