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
    /* Host id → VM id → int64_t *: the host's clock of the newest report (10.4).  Every boot and every
     * host has a clock of its own; nothing of an older connection comes after a new one. */
    GHashTable *clocks;
    GHashTable *garbage; /* ids of memory disks to be removed */
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
    EXIT_DESTROYED_STARTING = 10,
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

/* The VM is saved: no host runs it, and all that its next start needs is kept. */
void vm_set_suspended(struct vr_txn *txn, struct vr_vm *vm) VR_REQUIRES(vr_role_engine);

/* --- handlers_run.c --- */

/* The machine of the path in one of the statuses of @allowed (a bit each), on a host. */
#define VM_IN(status) (1U << (status))
const struct vr_vm *vm_target(struct vr_call *call, const char *verb, unsigned allowed,
                              struct vr_error **error) VR_REQUIRES(vr_role_engine);

/* --- memory.c: where the memory of suspended machines lies --- */

struct vm_memory {
    const char *domain_id, *pool_id;
    const struct vr_disk *dump, *metadata;
};
/* Chooses a storage domain for @vm's memory, adds its disks and the jobs that make them to @txn (the
 * jobs' ids to @context), and names them in @vm.  @ret_domain_id is owned. */
bool memory_make(struct vr_txn *txn, const struct vr_call *call, struct vr_vm *vm,
                 struct vr_suspend_vm_context *context, char **ret_domain_id,
                 struct vr_error **error) VR_REQUIRES(vr_role_engine);
/* Where it is, when it can be used now.  Borrowed from the head. */
bool memory_find(struct vr_engine *engine, const struct vr_vm *vm, struct vm_memory *ret,
                 struct vr_error **error) VR_REQUIRES(vr_role_engine);
/* As VM.create and VM.hibernate take it (the text is owned). */
void memory_describe(const struct vm_memory *memory, struct vr_rpc_vm_parameters *parameters);
char *memory_handle(const struct vm_memory *memory);
/* Inside @txn: @vm needs it no more.  Its disks go, now or when their storage can be reached. */
void memory_drop(struct vr_txn *txn, struct vr_vm *vm) VR_REQUIRES(vr_role_engine);
void memory_begin(struct vr_engine *engine) VR_REQUIRES(vr_role_engine);

/* --- suspend.c, start_job.c --- */

extern const struct vr_job_type vr_job_suspend_vm, vr_job_run_vm;

/* --- start.c, run.c --- */

/* Validates and starts: places @vm and adds the job to @txn.  @run_once may be NULL.  Returns the
 * job's id (borrowed), or NULL and an error. */
const char *vm_start(struct vr_txn *txn, const struct vr_vm *vm, const struct vr_vm *run_once,
                     bool paused, const struct vr_user *user, const char *correlation_id,
                     struct vr_error **error) VR_REQUIRES(vr_role_engine);
/* The document of VM.create; with @paused this run begins so, whatever is configured.  Owned. */
char *vm_domain_xml(struct vr_engine *engine, const struct vr_vm *vm, bool paused,
                    struct vr_error **error) VR_REQUIRES(vr_role_engine);

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
