/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files of `disks` share. */

#include "manager/disks/disks.h"
#include "manager/hosts/hosts.h"
#include "manager/job/job.h"

#define VR_RPC_FORMAT_COW 4 /* facts/host-rpc.md 15.5 */
#define VR_RPC_FORMAT_RAW 5
#define VR_RPC_PREALLOCATED 1
#define VR_RPC_SPARSE 2

/* Capacities are whole blocks of these bytes (facts/storage-format.md 6.2). */
#define DISK_BLOCK 4096

/* --- jobs.c --- */

extern const struct vr_job_type vr_job_add_disk, vr_job_extend_disk, vr_job_remove_disk;

/* --- make.c --- */

/* Checks a new disk and adds it, locked, with the job that makes its volume, to @txn.  Takes @disk.
 * @vm (may be NULL) is the machine it is made for.  Returns the job's id, owned, or NULL and an
 * error, with @disk gone. */
char *disk_make(struct vr_txn *txn, const struct vr_call *call, struct vr_disk *disk,
                const struct vr_vm *vm, struct vr_error **error) VR_REQUIRES(vr_role_engine);
/* Locks a disk and starts the job that removes it.  @more: further disks, or NULL. */
char *disk_remove(struct vr_txn *txn, const struct vr_call *call, const struct vr_disk *disk,
                  const struct vr_list *more, struct vr_error **error) VR_REQUIRES(vr_role_engine);
/* Locks it and starts the job that grows it. */
char *disk_extend(struct vr_txn *txn, const struct vr_call *call, const struct vr_disk *disk,
                  int64_t size, struct vr_error **error) VR_REQUIRES(vr_role_engine);

/* The active storage domain of a disk and an up host for work on it. */
struct disk_place {
    const struct vr_storage_domain *domain;
    const struct vr_host *host;
};
bool disk_place(struct vr_engine *engine, const struct vr_disk *disk, struct disk_place *ret_place,
                struct vr_error **error) VR_REQUIRES(vr_role_engine);
/* A machine that runs with the disk plugged, or NULL. */
const struct vr_vm *disk_user(struct vr_engine *engine, const char *disk_id, bool running_only)
    VR_REQUIRES(vr_role_engine);
/* No transfer and no job works on it. */
bool disk_is_free(struct vr_engine *engine, const struct vr_disk *disk, const char *verb,
                  struct vr_error **error) VR_REQUIRES(vr_role_engine);

/* --- measure.c --- */

typedef void disk_measured(struct vr_engine *engine, void *arg);
/* Asks the host how much of its storage the disk takes, and keeps the answer; then calls @done (may
 * be NULL), also when there is no answer.  Not for what must be known: after a crash nobody asks again. */
void disk_measure(struct vr_engine *engine, const char *host_id, const struct vr_disk *disk,
                  disk_measured *done, void *arg) VR_REQUIRES(vr_role_engine);

/* --- transfer.c --- */

void transfers_begin(struct vr_engine *engine) VR_REQUIRES(vr_role_engine);
