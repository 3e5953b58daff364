/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files of `vms` share. */

#include "manager/engine/call.h"
#include "manager/job/job.h"
#include "manager/sched/sched.h"
#include "manager/vms/launch.h"
#include "manager/vms/vms.h"

struct placement;

struct vms {
    struct vr_engine *engine;
    struct placement *placement;
    GHashTable *clocks; /* VM id → int64_t *: the host's clock of the newest report (10.4) */
};

struct vms *vms_state(struct vr_engine *engine) VR_REQUIRES(vr_role_engine);

/* --- placement.c: the scheduler's rows --- */

struct placement *placement_new(struct vr_engine *engine);
void placement_free(struct placement *placement);
void placement_host_changed(struct placement *placement, const char *host_id);
/* The id of the best host for @vm, or NULL and a fault that says for each host why not.  @barred are
 * hosts that were tried already (list of ids).  Owned. */
char *placement_choose(struct placement *placement, const struct vr_vm *vm,
                       const struct vr_list *barred, struct vr_error **error)
    VR_REQUIRES(vr_role_engine);

/* --- state.c: statuses --- */

/* facts/host-rpc.md 10.3. */
enum exit_reason {
    EXIT_GENERIC_ERROR = 1,
    EXIT_START_FAILED = 3,
    EXIT_SAVED = 5,
    EXIT_ADMIN = 6,
    EXIT_GUEST = 7,
    EXIT_MISSING = 9,
};
#define STOPPED_BY_ADMIN "Admin shut down from the engine"

bool vm_is_running(enum vr_vm_status status); /* a QEMU process exists, or may */
/* The type of the job that has the machine in hand, or NULL.  What hosts say of its end is then
 * noted (vm_note_exit()), and the job decides what becomes of it. */
const struct vr_job_type *vm_job(struct vr_engine *engine, const struct vr_vm *vm)
    VR_REQUIRES(vr_role_engine);
void vm_note_exit(struct vr_vm *vm, int64_t exit_code, int64_t exit_reason, const char *message);
enum vr_vm_status vm_status(const struct vr_vm *vm);
void vm_clear_exit(struct vr_vm *vm);
/* Sets status and what belongs to it (start and stop time, host). */
void vm_set_status(struct vr_txn *txn, struct vr_vm *vm, enum vr_vm_status status)
    VR_REQUIRES(vr_role_engine);
/* The VM is down: where it ran is forgotten, a run once ends, the next run's settings apply. */
void vm_set_down(struct vr_txn *txn, struct vr_vm *vm, int64_t exit_code, int64_t exit_reason,
                 const char *message) VR_REQUIRES(vr_role_engine);

/* --- run.c --- */

extern const struct vr_job_type vr_job_run_vm;
/* Validates and starts: places @vm and adds the job to @txn.  @run_once may be NULL.  Returns the
 * job's id (borrowed), or NULL and an error. */
const char *vm_start(struct vr_txn *txn, const struct vr_vm *vm, const struct vr_vm *run_once,
                     bool paused, const struct vr_user *user, const char *correlation_id,
                     struct vr_error **error) VR_REQUIRES(vr_role_engine);
/* The document of VM.create; owned. */
char *vm_domain_xml(struct vr_engine *engine, const struct vr_vm *vm, struct vr_error **error)
    VR_REQUIRES(vr_role_engine);

/* Whether it runs, or would start, on the chip set that has SATA and PCI Express. */
bool vm_is_q35(struct vr_engine *engine, const struct vr_vm *vm) VR_REQUIRES(vr_role_engine);

/* --- disc.c --- */

extern const struct vr_job_type vr_job_change_disc;
/* Where the image with the id @file is, for @vm; an empty medium for NULL or "".  False and an error
 * when there is none or it cannot be used now. */
bool vm_medium_find(struct vr_engine *engine, const struct vr_vm *vm, const char *file,
                    struct vr_launch_medium *ret_medium, struct vr_error **error)
    VR_REQUIRES(vr_role_engine);
/* The id of what a start puts into the drive; borrowed; NULL or "": nothing. */
const char *vm_boot_disc(const struct vr_vm *vm, const struct vr_vm *run_once);

/* --- guest.c --- */

/* What the guest agent says, as far as this message of the host tells of it. */
void vm_apply_guest(struct vr_vm *vm, const struct vr_rpc_vm_stats *stats);

/* --- defaults.c --- */

/* Members that the caller left out, from the template and the cluster. */
void vm_fill_defaults(struct vr_engine *engine, struct vr_vm *vm, const struct vr_template *template_,
                      const struct vr_cluster *cluster) VR_REQUIRES(vr_role_engine);
bool vm_check(struct vr_engine *engine, const struct vr_vm *vm, struct vr_error **error)
    VR_REQUIRES(vr_role_engine);
