/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * disks: disks, their attachments to virtual machines, their volumes on
 * storage, and the transfer of images (facts/rest-api.md 8.2 and 9).
 */

#include "manager/engine/call.h"

extern const struct vr_module vr_disks_module;

/* Attaches the disks that a new machine's body names by id (disk_attachments). */
bool vr_disks_attach_existing(struct vr_txn *txn, const struct vr_vm *vm,
                              const struct vr_vm *wanted, struct vr_error **error)
    VR_REQUIRES(vr_role_engine);
/* A machine that is down goes: its attachments are removed, and with @remove its own disks (those
 * that no other machine uses and that are not shareable) as well, by a job whose id comes back in
 * @ret_job_id (owned; NULL when none was needed). */
bool vr_disks_leave_vm(struct vr_txn *txn, const struct vr_vm *vm, bool remove,
                       const struct vr_call *call, char **ret_job_id, struct vr_error **error)
    VR_REQUIRES(vr_role_engine);

/* Adds a disk (taken; its size, names, content type and owner are set) for what no machine attaches,
 * with the job that makes its volume on @domain.  Returns the job's id, owned. */
char *vr_disks_make_memory(struct vr_txn *txn, const struct vr_call *call, struct vr_disk *disk,
                           const struct vr_storage_domain *domain, struct vr_error **error)
    VR_REQUIRES(vr_role_engine);
/* What a host says of the disks (VmDiskStats by device) of a machine that it runs: how much of their
 * storage they take.  Small changes wait for others. */
void vr_disks_report(struct vr_txn *txn, const struct vr_vm *vm, const struct vr_map *reported)
    VR_REQUIRES(vr_role_engine);

/* Starts the job that removes such a disk; false and why, when that cannot be done now. */
bool vr_disks_drop(struct vr_txn *txn, const char *disk_id, struct vr_error **error)
    VR_REQUIRES(vr_role_engine);
