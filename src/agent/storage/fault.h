/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * fault: the storage family of the host protocol's error codes.
 *
 * The Manager reads the number only, and most numbers make it move the SPM
 * role, so the number is chosen for the reaction (facts/host-rpc.md 5).
 */

#include "base/base.h"

/* name, code, what is wrong */
#define VR_STORAGE_FAULTS(F)                                                                       \
    F(general, 200, "Storage error")                                                               \
    F(volume_missing, 201, "Volume does not exist")                                                \
    F(volume_format, 202, "Volume format is not supported")                                        \
    F(volume_busy, 203, "Volume is in use")                                                        \
    F(volume_children, 204, "Volume has children")                                                 \
    F(volume_create, 205, "Cannot create the volume")                                              \
    F(volume_extend, 206, "Cannot extend the volume")                                              \
    F(volume_meta_read, 207, "Cannot read the volume's metadata")                                  \
    F(volume_meta_write, 208, "Cannot write the volume's metadata")                                \
    F(volume_exists, 212, "Volume already exists")                                                 \
    F(volume_shared, 219, "A shared volume cannot be written")                                     \
    F(volume_internal, 220, "An internal volume cannot be written")                                \
    F(volume_delete, 223, "Cannot delete the volume")                                              \
    F(volume_copy, 225, "Cannot copy the volume")                                                  \
    F(volume_illegal, 227, "The image has an illegal volume")                                      \
    F(volume_allocation, 231, "Preallocation type is not supported")                               \
    F(volume_size, 232, "Volume size is not acceptable")                                           \
    F(image_merge, 252, "Cannot merge the volumes")                                                \
    F(image_path, 254, "Image path does not exist or cannot be accessed")                          \
    F(image_delete, 256, "Cannot delete the image")                                                \
    F(image_copy, 261, "Low level image copy failed")                                              \
    F(image_missing, 268, "Image does not exist in the domain")                                    \
    F(pool_connect, 302, "Cannot connect to the pool")                                             \
    F(master_not_found, 304, "Cannot find the master domain")                                      \
    F(pool_unknown, 309, "Unknown pool")                                                           \
    F(pool_not_connected, 313, "The pool is not connected")                                        \
    F(pool_wrong_master, 324, "Wrong master domain or version")                                    \
    F(pool_connected, 325, "Another pool is connected")                                            \
    F(domain_no_discard, 349, "The domain does not support discard")                               \
    F(pool_too_many, 328, "Too many domains in the pool")                                          \
    F(domain_file_stats, 330, "Cannot read the domain's file list")                                \
    F(domain_illegal, 347, "The domain's state does not allow this")                               \
    F(domain_block_size, 348, "The domain's block size does not fit its storage")                  \
    F(domain_create, 351, "Cannot create the domain")                                              \
    F(domain_format, 352, "Cannot format the domain")                                              \
    F(domain_not_in_pool, 353, "The domain is not attached to the pool")                           \
    F(domain_attach, 354, "Cannot attach the domain")                                              \
    F(domain_detach, 356, "Cannot detach the domain")                                              \
    F(domain_missing, 358, "Storage domain does not exist")                                        \
    F(domain_not_mounted, 360, "The domain's file system is not mounted")                          \
    F(domain_not_empty, 361, "The file system already holds a storage domain")                     \
    F(domain_exists, 365, "Storage domain already exists")                                         \
    F(domain_not_active, 369, "Storage domain is not active")                                      \
    F(domain_access, 379, "Storage domain cannot be accessed")                                     \
    F(domain_attached, 380, "The domain is attached to another pool")                              \
    F(domain_active, 382, "Storage domain is active")                                              \
    F(domain_detach_master, 383, "The master domain cannot be detached")                           \
    F(domain_stale, 384, "Stale file handle")                                                      \
    F(domain_format_attached, 391, "An attached domain cannot be formatted")                       \
    F(domain_version, 394, "Domain version is not supported")                                      \
    F(domain_no_space, 397, "No space left in the domain")                                         \
    F(task_invalid, 400, "The task is not valid")                                                  \
    F(task_unknown, 401, "Unknown task id")                                                        \
    F(task_running, 403, "The task is not finished")                                               \
    F(task_aborted, 411, "The task was aborted")                                                   \
    F(connection, 451, "Storage connection error")                                                 \
    F(connection_invalid, 453, "Storage connection parameters are not valid")                      \
    F(connection_permission, 469, "The storage must be accessible to 36:36")                       \
    F(mount, 477, "Mount failed")                                                                  \
    F(image_ticket, 482, "The image daemon refused the ticket")                                    \
    F(image_daemon, 483, "The image daemon is not running")                                        \
    F(spm_start, 650, "Cannot start the SPM role")                                                 \
    F(spm_stop, 653, "The SPM has unfinished tasks")                                               \
    F(is_spm, 656, "This host is the SPM")                                                         \
    F(not_spm, 654, "This host is not the SPM")                                                    \
    F(meta_value, 749, "Invalid metadata value")                                                   \
    F(meta_key, 751, "A metadata key is missing")                                                  \
    F(meta_checksum, 752, "Metadata checksum is broken")                                           \
    F(meta_too_big, 756, "Metadata is too big")                                                    \
    F(meta_cleared, 757, "Metadata was cleared")                                                   \
    F(lease_acquire, 661, "Cannot acquire the host id")                                            \
    F(resource_timeout, 851, "The resource was not free in time")                                  \
    F(generation, 911, "The volume's generation is another")                                       \
    F(chain_member, 920, "Volume is not in the chain")                                             \
    F(invalid_parameter, 1000, "Invalid parameter")                                                \
    F(io, 2000, "Storage input/output failed")                                                     \
    F(read_failed, 2001, "Reading from storage failed")                                            \
    F(no_job, 66, "No such job")                                                                   \
    F(job_exists, 69, "A job of this id exists")                                                   \
    F(unsupported, 44, "This is not supported")                                                    \
    F(nbd, 200, "The NBD server failed")

#define VR_STORAGE_FAULT_DECLARE(name, code, text)                                                 \
    extern const struct vr_fault vr_storage_fault_##name;
VR_STORAGE_FAULTS(VR_STORAGE_FAULT_DECLARE)
#undef VR_STORAGE_FAULT_DECLARE

/* vr_storage_error(error, domain_missing, "%s", id) */
#define vr_storage_error(error, name, ...)                                                         \
    vr_error_set((error), &vr_storage_fault_##name, __VA_ARGS__)

/* The fault of a code that came over the wire from a helper; general for an unknown one. */
const struct vr_fault *vr_storage_fault_by_code(int code);
