/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * verbs: from a request of the Manager to the function that does it.
 *
 *   vr_rpc_server --handle--> lane of the verb's row --> function --> answer
 *
 * Storage has lanes of its own and answers by itself (agent/storage).
 * A verb of the schema without a row answers 44.
 */

#include "agent/access/access.h"
#include "agent/config.h"
#include "agent/devices/devices.h"
#include "agent/domain/domain.h"
#include "agent/fault.h"
#include "agent/netconf/netconf.h"
#include "agent/stats/stats.h"
#include "agent/storage/storage.h"
#include "agent/verbs/lane.h"
#include "net/rpc.h"

/* Everything that verbs work on.  Set up by main.c before the first request; all borrowed. */
struct vr_agent {
    const struct vr_agent_config *config;
    struct vr_domains *domains;
    struct vr_stats *stats;
    struct vr_netconf *netconf;
    struct vr_access *access;
    struct vr_storage *storage; /* NULL: storage verbs answer 44 */
    struct vr_rpc_server *server;
    GHashTable *table; /* const struct vr_verb * -> const struct vr_verb_row * */
    struct vr_lane *lanes[4];
};

enum vr_lane_kind {
    VR_LANE_HOST,    /* reports; quick */
    VR_LANE_VIRT,    /* virtual machines */
    VR_LANE_NETWORK, /* networks */
    VR_LANE_FENCE,   /* the power of other hosts: waits for slow devices */
};

/*
 * Does a verb, on a worker thread.  @params is of the verb's parameter type.
 * *@result: an owned object of the verb's result type, left NULL by a verb
 * without a result.  False and @error otherwise.
 */
typedef bool vr_verb_run(struct vr_agent *agent, const void *params, void **result,
                         struct vr_error **error);

struct vr_verb_row {
    const struct vr_verb *verb;
    enum vr_lane_kind lane;
    vr_verb_run *run;
};

/* verb == NULL ends. */
extern const struct vr_verb_row vr_verbs_host[], vr_verbs_vm[];

/* Starts the lanes and reads the tables. */
void vr_agent_init(struct vr_agent *agent);
/* Ends the lanes: every request that was taken has been answered. */
void vr_agent_done(struct vr_agent *agent);
/* Adds the rows of one more table. */
void vr_agent_add(struct vr_agent *agent, const struct vr_verb_row *rows);
/* What the RPC server asks about its clients (struct vr_rpc_server_ops); @arg is the agent. */
bool vr_agent_is_visitor(const struct vr_tls_peer *peer, void *arg);
const char *vr_agent_refuse(const struct vr_verb *verb, const struct vr_tls_peer *peer,
                            const char *address, void *arg);
/* The handler of the RPC server; @arg is the struct vr_agent. */
void vr_agent_handle(struct vr_rpc_request *request, const struct vr_verb *verb, void *params,
                     void *arg);
/* The hook of struct vr_storage_options: publishes |jobs|status|<id>; @arg is the agent. */
void vr_agent_job_changed(const char *job_id, const char *json, void *arg);
/* The hook of struct vr_domains_hooks: publishes |virt|VM_status|<id>; @arg is the agent. */
void vr_agent_vm_status(const char *vm_id, const struct vr_rpc_vm_stats *stats,
                        uint64_t notify_time, void *arg);
