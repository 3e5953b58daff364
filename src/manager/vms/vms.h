/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * vms: virtual machines: made, edited, placed, started, watched, stopped
 * (facts/manager-behaviour.md 2 and 3).
 */

#include "manager/engine/engine.h"

extern const struct vr_module vr_vms_module;

/* What a host says of all its machines (Host.getAllVmStats): the whole truth of that host at the
 * moment @asked (monotonic ms) when it was asked. */
void vr_vms_host_report(struct vr_engine *engine, const char *host_id,
                        const struct vr_list *vm_stats, int64_t asked) VR_REQUIRES(vr_role_engine);
/* |virt|VM_status|<id> and its sisters. */
void vr_vms_host_event(struct vr_engine *engine, const char *host_id, const char *method,
                       const char *params) VR_REQUIRES(vr_role_engine);
/* Inside @txn: the host is non-responsive, its machines become unknown. */
void vr_vms_host_lost(struct vr_txn *txn, const char *host_id) VR_REQUIRES(vr_role_engine);
/* Inside @txn: the host was restarted or confirmed dead: its machines are down. */
void vr_vms_host_restarted(struct vr_txn *txn, const char *host_id) VR_REQUIRES(vr_role_engine);
/* Machines that are not down, by their `host` link. */
unsigned vr_vms_count_on(struct vr_engine *engine, const char *host_id)
    VR_REQUIRES(vr_role_engine);

/* A running machine with the image @file in its CD drive, or NULL. */
const struct vr_vm *vr_vms_with_disc(struct vr_engine *engine, const char *file)
    VR_REQUIRES(vr_role_engine);
/* Whether a process runs it, or may. */
bool vr_vm_runs(const struct vr_vm *vm);
/* The machine as its next start has it; owned. */
struct vr_vm *vr_vm_next_run(const struct vr_vm *vm);
/* Keeps what is set in @later for the next start of a machine that runs. */
void vr_vm_keep_for_next_run(struct vr_vm *edit, const struct vr_vm *later);

/* The scheduler's picture of a host changed (entity, statistics): its row is made anew when next
 * wanted. */
void vr_vms_host_changed(struct vr_engine *engine, const char *host_id)
    VR_REQUIRES(vr_role_engine);

/* Inside @txn: removes a machine's entity and what hangs on it alone, not disks or NICs. */
void vr_vm_forget(struct vr_txn *txn, const char *vm_id) VR_REQUIRES(vr_role_engine);
