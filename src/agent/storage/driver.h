/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * driver: one constant table a kind of storage, all in one array.
 *
 * A driver says how a connection becomes a directory; what lies inside is the
 * same for every file storage.  attach and detach run inside vireo-iod, since
 * a mount may hang.
 */

#include "base/base.h"

/* One item of connectStorageServer; members may be NULL or 0 when not given. */
struct vr_connection {
    const char *connection;       /* "server:/export", a directory, a device */
    const char *vfs_type;         /* POSIX */
    const char *mnt_options;      /* further options */
    const char *protocol_version; /* NFS: "3", "4", "4.1", "auto" */
    int timeout, retrans;         /* NFS, tenths of a second and tries */
};

struct vr_mount_plan {
    char *source, *fstype, *options; /* fstype NULL: not a mount but a link */
    char *name;                      /* T(connection): the directory's name below mnt */
};
void vr_mount_plan_clear(struct vr_mount_plan *plan);
#define vr_auto_plan __attribute__((cleanup(vr_mount_plan_clear)))

/* What mounts: libmount, or a test's recorder. */
struct vr_mounter {
    bool (*mount)(const char *source, const char *target, const char *fstype, const char *options,
                  struct vr_error **error);
    bool (*unmount)(const char *target, struct vr_error **error);
    /* Whether something is mounted on @target. */
    bool (*mounted)(const char *target);
};
extern const struct vr_mounter vr_mounter_real;

struct vr_storage_driver {
    const char *name;
    int type;              /* domainType on the wire (facts/storage-format.md 1) */
    const char *type_word; /* TYPE in domain metadata */
    bool shared;           /* several hosts: leases count */
    bool any_block_size;   /* 4096 and 0 = detect are accepted besides 512 */
    /* Pure: what to do for a connection. */
    bool (*plan)(const struct vr_connection *connection, struct vr_mount_plan *plan,
                 struct vr_error **error);
    /* Makes @target (an absolute path) show the storage.  No-op when it does already. */
    bool (*attach)(const struct vr_mount_plan *plan, const char *target,
                   const struct vr_mounter *mounter, struct vr_error **error);
    bool (*detach)(const char *target, const struct vr_mounter *mounter, struct vr_error **error);
};

/* NULL ended. */
extern const struct vr_storage_driver *const vr_storage_drivers[];
const struct vr_storage_driver *vr_storage_driver_by_type(int type); /* NULL: unknown */
const struct vr_storage_driver *vr_storage_driver_by_word(const char *type_word);
const struct vr_storage_driver *vr_storage_driver_by_name(const char *name);
