/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * storage: the storage verbs of the host protocol (facts/host-rpc.md 15).
 *
 * Calls return at once; the work is done on worker threads, through one
 * vireo-iod process a mount, and the answer comes on the agent's loop thread,
 * exactly once.  Everything here may be called from any thread.
 *
 *     verb layer --- vr_storage_call() ---> worker lane ---> vireo-iod of the domain
 *          ^                                    |
 *          +------- vr_loop_post(done) ---------+
 */

#include "agent/lease/lease.h"
#include "model/host.h"

struct vr_storage;
struct vr_loop;

/* @result is borrowed until the callback returns (vr_ref() keeps it); NULL for a verb that answers
 * `true`, and on failure.  @code is 0, or the protocol's error code with its @message. */
typedef void vr_storage_done(void *result, int code, const char *message, void *arg);

struct vr_storage_options {
    struct vr_loop *loop;      /* where callbacks run; borrowed, outlives the storage */
    const char *run_root;      /* "/rhev/data-center" when NULL */
    const char *link_root;     /* "/run/vdsm/storage" when NULL */
    const char *nbd_root;      /* sockets of NBD servers; "/run/vdsm/nbd" when NULL */
    const char *iod_program;   /* absolute path of vireo-iod */
    const char *ticket_socket; /* the image daemon's control socket; NULL: there is none */
    const struct vr_lease_driver *lease; /* NULL: vr_lease_single */
    uid_t uid;                           /* whom the storage belongs to; 0: nobody but root */
    gid_t gid;
    unsigned monitor_ms;  /* between two checks of a domain; 0: 10000 */
    unsigned deadline_ms; /* of one short request to storage; 0: 60000 */
    /* A domain became reachable, or ceased to be.  On the loop; may be NULL. */
    void (*domain_changed)(const char *sd, bool valid, void *arg);
    /* A storage job moved on: the params of the |jobs|status|<id> event.  On the loop; may be NULL.
     */
    void (*job_changed)(const char *job_id, const char *json, void *arg);
    void *arg;
};

/* Finds again what an earlier agent had connected.  NULL when the run root cannot be made. */
struct vr_storage *vr_storage_new(const struct vr_storage_options *options,
                                  struct vr_error **error);
/* Ends what runs and waits for it; mounts and links stay.  Callbacks that are under way are
 * posted before it returns.  Takes NULL. */
void vr_storage_free(struct vr_storage *storage);

/* Stops the NBD servers of image transfers, which outlive the agent otherwise: for an agent that
 * ends for good.  A new storage stops those that it finds, since their tickets are gone. */
void vr_storage_stop_servers(struct vr_storage *storage);

/* Whether the verb is one of storage. */
bool vr_storage_handles(const struct vr_verb *verb);
/* Starts a verb.  @params is of the verb's type; a reference is taken, so it must not change
 * any more.  A verb that storage does not have is answered by 44. */
void vr_storage_call(struct vr_storage *storage, const struct vr_verb *verb, const void *params,
                     vr_storage_done *done, void *arg);

/* The verbs, as one typed function each: vr_storage_volume_create(storage, params, done, arg). */
#define VR_STORAGE_VERBS(V)                                                                        \
    V(storage_pool_connect_storage_server)                                                         \
    V(storage_pool_disconnect_storage_server)                                                      \
    V(storage_pool_create)                                                                         \
    V(storage_pool_connect)                                                                        \
    V(storage_pool_disconnect)                                                                     \
    V(storage_pool_destroy)                                                                        \
    V(storage_pool_refresh)                                                                        \
    V(storage_pool_reconstruct_master)                                                             \
    V(storage_pool_get_info)                                                                       \
    V(storage_pool_get_spm_status)                                                                 \
    V(storage_pool_set_description)                                                                \
    V(storage_pool_spm_start)                                                                      \
    V(storage_pool_spm_stop)                                                                       \
    V(storage_pool_prepare_merge)                                                                  \
    V(storage_pool_finalize_merge)                                                                 \
    V(storage_pool_reduce_volume)                                                                  \
    V(storage_pool_get_domains_containing_image)                                                   \
    V(storage_domain_create)                                                                       \
    V(storage_domain_get_info)                                                                     \
    V(storage_domain_get_stats)                                                                    \
    V(storage_domain_attach)                                                                       \
    V(storage_domain_activate)                                                                     \
    V(storage_domain_deactivate)                                                                   \
    V(storage_domain_detach)                                                                       \
    V(storage_domain_format)                                                                       \
    V(storage_domain_set_description)                                                              \
    V(storage_domain_validate)                                                                     \
    V(storage_domain_get_file_stats)                                                               \
    V(storage_domain_get_images)                                                                   \
    V(storage_domain_get_volumes)                                                                  \
    V(volume_create)                                                                               \
    V(volume_delete)                                                                               \
    V(volume_extend_size)                                                                          \
    V(volume_get_info)                                                                             \
    V(volume_get_qemu_image_info)                                                                  \
    V(volume_get_size)                                                                             \
    V(volume_measure)                                                                              \
    V(volume_refresh)                                                                              \
    V(volume_set_description)                                                                      \
    V(volume_set_legality)                                                                         \
    V(volume_verify_untrusted)                                                                     \
    V(volume_teardown)                                                                             \
    V(image_prepare)                                                                               \
    V(image_teardown)                                                                              \
    V(image_delete)                                                                                \
    V(image_delete_volumes)                                                                        \
    V(image_get_volumes)                                                                           \
    V(image_reconcile_volume_chain)                                                                \
    V(task_get_status)                                                                             \
    V(task_get_info)                                                                               \
    V(task_stop)                                                                                   \
    V(task_revert)                                                                                 \
    V(task_clear)                                                                                  \
    V(sdm_copy_data)                                                                               \
    V(sdm_merge)                                                                                   \
    V(sdm_update_volume)                                                                           \
    V(host_get_all_tasks)                                                                          \
    V(host_get_all_tasks_info)                                                                     \
    V(host_get_all_tasks_statuses)                                                                 \
    V(host_get_connected_storage_pools)                                                            \
    V(host_get_jobs)                                                                               \
    V(host_get_storage_domains)                                                                    \
    V(host_get_storage_repo_stats)                                                                 \
    V(host_add_image_ticket)                                                                       \
    V(host_get_image_ticket)                                                                       \
    V(host_extend_image_ticket)                                                                    \
    V(host_remove_image_ticket)                                                                    \
    V(nbd_start_server)                                                                            \
    V(nbd_stop_server)

#define VR_STORAGE_DECLARE(verb)                                                                   \
    static inline void vr_storage_##verb(struct vr_storage *storage,                               \
                                         const struct vr_rpc_##verb##_params *params,              \
                                         vr_storage_done *done, void *arg)                         \
    {                                                                                              \
        vr_storage_call(storage, &vr_verb_##verb, params, done, arg);                              \
    }
VR_STORAGE_VERBS(VR_STORAGE_DECLARE)
#undef VR_STORAGE_DECLARE

/* Puts the state of every monitored domain (struct vr_rpc_storage_domain_vitals, owned by the map)
 * into @map, as Host.getStats reports it.  Never blocks. */
void vr_storage_vitals(struct vr_storage *storage, struct vr_map *map);
