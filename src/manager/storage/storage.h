/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * storage: data centres' storage domains: made, attached, watched, and the
 * hosts' connections to them (facts/manager-behaviour.md 5).
 */

#include "manager/engine/engine.h"

extern const struct vr_module vr_storage_module;

/* @unreachable names the domains that the host cannot reach, NULL when all is well. */
typedef void vr_storage_ready(struct vr_engine *engine, const char *host_id,
                              const char *unreachable, void *arg);
/* Connects a host that is about to come up to the storage of its data centre: every server of its
 * domains, then the pool; elects it SPM where there is none.  Always answers, later. */
void vr_storage_connect_host(struct vr_engine *engine, const char *host_id, vr_storage_ready *done,
                             void *arg) VR_REQUIRES(vr_role_engine);
/* The reverse, for a host that went into maintenance.  Needs no answer. */
void vr_storage_disconnect_host(struct vr_engine *engine, const char *host_id)
    VR_REQUIRES(vr_role_engine);
/* What an up host reports of its domains, every few seconds. */
void vr_storage_host_report(struct vr_engine *engine, const char *host_id,
                            const struct vr_rpc_host_stats *stats) VR_REQUIRES(vr_role_engine);
/* A host that is no longer up: it is SPM no more. */
void vr_storage_host_gone(struct vr_engine *engine, const char *host_id)
    VR_REQUIRES(vr_role_engine);
/* Inside @txn: a host that surely does not run any more: where it was SPM, another may be elected. */
void vr_storage_host_dead(struct vr_txn *txn, const char *host_id) VR_REQUIRES(vr_role_engine);
/* Bytes that are free on a domain, as the SPM last said; INT64_MAX when it has not said yet: the host
 * that writes there knows better. */
int64_t vr_storage_available(struct vr_engine *engine, const char *domain_id)
    VR_REQUIRES(vr_role_engine);
