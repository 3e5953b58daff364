/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * lease: who may write what, among hosts.
 *
 * A host holds its host id on every domain of its pool, and the SPM holds the
 * SDM lease of the master (facts/storage-format.md 8).  Storage asks through
 * this table only, on worker threads; calls may block.
 *
 * vr_lease_single is for one host alone: everything is granted at once.
 */

#include "base/base.h"

struct vr_lease_spm {
    bool held;       /* by this host */
    int owner;       /* host id, -1: free */
    int64_t version; /* lver: grows with each acquisition, -1: never held */
};

struct vr_lease_driver {
    const char *name;
    bool (*acquire_host_id)(const char *sd, const char *domain_dir, int host_id,
                            struct vr_error **error);
    void (*release_host_id)(const char *sd);
    bool (*holds_host_id)(const char *sd);
    bool (*acquire_spm)(const char *sd, const char *domain_dir, int host_id,
                        struct vr_error **error);
    void (*release_spm)(const char *sd);
    bool (*inquire_spm)(const char *sd, const char *domain_dir, struct vr_lease_spm *spm,
                        struct vr_error **error);
};

extern const struct vr_lease_driver vr_lease_single;

/* Whether the sanlock daemon takes connections. */
bool vr_lease_daemon_answers(struct vr_error **error);
