/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files of `storage` share. */

#include "manager/engine/call.h"
#include "manager/hosts/hosts.h"
#include "manager/job/job.h"
#include "manager/storage/storage.h"

#define DOMAIN_CLASS_DATA 1
#define MAX_HOST_ID 250

/* --- links.c: parameters of the host protocol --- */

/* Type of the host protocol (facts/host-rpc.md 15.1), or 0 for one that this version cannot use. */
int storage_type_code(enum vr_storage_type type);
/* Parameters of StoragePool.connectStorageServer and its reverse.  Owned. */
struct vr_rpc_storage_pool_connect_storage_server_params *connect_params(
    const char *pool_id, const struct vr_storage_domain *domain);
struct vr_rpc_storage_pool_disconnect_storage_server_params *disconnect_params(
    const char *pool_id, const struct vr_storage_domain *domain);
/* Parameters of StoragePool.disconnect.  Owned. */
struct vr_rpc_storage_pool_disconnect_params *pool_disconnect_params(const char *pool_id,
                                                                     const struct vr_host *host);
/* What tells one connection from another, as typeArgs and `connection`: "server:/path", "/path".
 * Owned. */
char *connection_text(const struct vr_host_storage *storage);
/* Parameters of StoragePool.connect for @host.  Owned; NULL when the pool has no master yet. */
struct vr_rpc_storage_pool_connect_params *pool_params(struct vr_txn *txn, struct vr_engine *engine,
                                                       const struct vr_data_center *dc,
                                                       const struct vr_host *host)
    VR_REQUIRES(vr_role_engine);
/* The storage error of the only connection in an answer, 0 when it is well. */
int connect_status(const void *result);

/* --- spm.c --- */

/* Makes @host_id the SPM of its data centre, whatever it takes, then says how it went. */
typedef void spm_done(struct vr_engine *engine, bool ok, const char *why, void *arg);
void spm_start(struct vr_engine *engine, const char *data_center_id, const char *host_id,
               spm_done *done, void *arg) VR_REQUIRES(vr_role_engine);
/* The same for a job: a host that is expected is waited for (vr_engine_host_expect()). */
void spm_start_when_there(struct vr_engine *engine, const char *data_center_id, const char *host_id,
                          spm_done *done, void *arg) VR_REQUIRES(vr_role_engine);
/* Chooses an SPM for a data centre that has none; does nothing when it has, or no host is up. */
void spm_elect(struct vr_engine *engine, const char *data_center_id) VR_REQUIRES(vr_role_engine);
/* Asks the SPM to give the role back; when it has, another is elected.  One that does not answer keeps
 * it. */
void spm_give_back(struct vr_engine *engine, const char *data_center_id, const char *host_id)
    VR_REQUIRES(vr_role_engine);

/* --- jobs_domain.c and jobs_pool.c: their contexts are struct vr_storage_job_context --- */

struct vr_storage_domain *storage_job_edit(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
const struct vr_storage_domain *storage_job_peek(struct vr_job_run *run)
    VR_REQUIRES(vr_role_engine);
/* The data center that the job is about, or NULL.  Borrowed. */
const struct vr_data_center *storage_job_center(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
/* Fails the run with what the host said. */
void storage_job_fail(struct vr_job_run *run, const char *what, int code, const char *message)
    VR_REQUIRES(vr_role_engine);
/* A step: connects the context's host to the server of its domain. */
void storage_connect_server(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);

extern const struct vr_job_type vr_job_add_storage_domain, vr_job_remove_storage_domain,
    vr_job_attach_storage_domain, vr_job_activate_storage_domain,
    vr_job_deactivate_storage_domain, vr_job_detach_storage_domain;

/* The active master of a data centre, or NULL.  Borrowed. */
const struct vr_storage_domain *master_of(struct vr_engine *engine, const char *data_center_id)
    VR_REQUIRES(vr_role_engine);

/* --- leave.c --- */

/* Makes all up hosts of its data centre let go of a domain that is active no more; its last active
 * one with @last, after the SPM gave its role up.  @done runs when all have, or could not; never
 * from inside. */
void storage_leave(struct vr_engine *engine, const char *domain_id, const char *spm_host_id,
                   bool last, vr_timer_fn *done, void *arg) VR_REQUIRES(vr_role_engine);

/* --- monitor.c --- */

/* Asks the SPM for the sizes of the pool's domains, now. */
void storage_ask_sizes(struct vr_engine *engine, const char *data_center_id, const char *host_id)
    VR_REQUIRES(vr_role_engine);
