/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * domain: the virtual machines of this host.  The only place that knows
 * libvirt.
 *
 *   verbs ----> vr_domain_*() ---+--> libvirt <-- event thread
 *                                |       ^
 *   supervisor: connects, adopts, times  |
 *   sampler: statistics of all in one call
 *   creators (4), guest agent askers (4), chores (4)
 *
 * What must outlive the agent is in libvirt's own metadata of the domain; a
 * record of each machine in STATE/vms tells, after the agent was killed, which
 * machines went down meanwhile, and keeps a Down machine until it is destroyed.
 *
 * Every function may be called from any worker thread and may block, except
 * where it says otherwise.
 */

#include "agent/config.h"
#include "model/host.h"

struct vr_domains;

/* What this module asks of others.  Called on any thread, never with a lock held. */
struct vr_domains_hooks {
    /* The path of a volume, made usable on this host; owned. */
    char *(*prepare)(const char *pool, const char *domain, const char *image, const char *volume,
                     bool *block, void *arg, struct vr_error **error);
    /* The opposite, when nothing here uses the image any more. */
    void (*teardown)(const char *pool, const char *domain, const char *image, const char *volume,
                     void *arg);
    /* The address of a display network, owned; NULL: listen everywhere. */
    char *(*display_address)(const char *network, void *arg);
    /* Makes sure that a bridge which a machine names exists, as far as it is the agent's own
     * (";vdsmdummy;": interfaces without a network).  May be NULL. */
    bool (*bridge)(const char *name, void *arg, struct vr_error **error);
    /* A virtual machine changed; @stats is borrowed.  @notify_time: facts/host-rpc.md 6. */
    void (*status)(const char *vm_id, const struct vr_rpc_vm_stats *stats, uint64_t notify_time,
                   void *arg);
    void *arg;
};

/* Starts the threads and returns at once; machines are adopted in the background.  @config and
 * @hooks are borrowed and must outlive it.  NULL when libvirt's library cannot be used. */
struct vr_domains *vr_domains_start(const struct vr_agent_config *config,
                                    const struct vr_domains_hooks *hooks, struct vr_error **error);
/* Ends the threads; the machines run on.  Takes NULL. */
void vr_domains_stop(struct vr_domains *domains);

/* Whether the machines that ran before this agent started are known (verbs answer 99 before). */
bool vr_domains_ready(struct vr_domains *domains);
/* Blocks until then or for @ms; what ready would say. */
bool vr_domains_wait_ready(struct vr_domains *domains, unsigned ms);

struct vr_domains_count {
    int all, active, migrating;
};
void vr_domains_count(struct vr_domains *domains, struct vr_domains_count *ret);

/* What QEMU and libvirt can do here; unset members are not known (no connection). */
struct vr_domain_capabilities {
    char **machines;   /* NULL ended */
    char **cpu_models; /* usable ones */
    char *cpu_model;   /* the host's */
    char *libvirt_version, *qemu_version;
    bool spice, qxl;
    bool vnc_tls, spice_tls; /* libvirt's qemu.conf turns encryption on */
};
/* Owned; never NULL. */
struct vr_domain_capabilities *vr_domains_capabilities(struct vr_domains *domains);
void vr_domain_capabilities_free(struct vr_domain_capabilities *capabilities);

/*
 * Without an agent, for who looks for faults: connects, and asks whether machines can run as @config
 * wants them to.  *@ret_text says what is there; owned.
 */
bool vr_domains_probe(const struct vr_agent_config *config, char **ret_text,
                      struct vr_error **error);

/* The clock of notify_time and statusTime. */
uint64_t vr_domain_clock(void);

/*
 * The verbs.  @id is the virtual machine's; results are owned by the caller.
 * A machine that does not exist is fault no_vm (1).
 */
bool vr_domain_create(struct vr_domains *domains, const char *id,
                      const struct vr_rpc_vm_parameters *parameters,
                      struct vr_rpc_vm_definition **ret, struct vr_error **error);
bool vr_domain_destroy(struct vr_domains *domains, const char *id, struct vr_error **error);

struct vr_domain_shutdown {
    bool reboot, force;
    int64_t delay, timeout; /* seconds */
};
bool vr_domain_shutdown(struct vr_domains *domains, const char *id,
                        const struct vr_domain_shutdown *how, struct vr_error **error);
bool vr_domain_pause(struct vr_domains *domains, const char *id, struct vr_error **error);
bool vr_domain_cont(struct vr_domains *domains, const char *id, struct vr_error **error);
bool vr_domain_reset(struct vr_domains *domains, const char *id, struct vr_error **error);
bool vr_domain_set_destroy_on_reboot(struct vr_domains *domains, const char *id,
                                     struct vr_error **error);
/* @handle: "sd,pool,image1,volume1,image2,volume2": memory, then configuration.  Returns once
 * saving began. */
bool vr_domain_hibernate(struct vr_domains *domains, const char *id, const char *handle,
                         struct vr_error **error);
bool vr_domain_freeze(struct vr_domains *domains, const char *id, bool freeze,
                      struct vr_error **error);

struct vr_domain_ticket {
    const char *type; /* "spice", "vnc", or NULL for the first graphics device */
    const char *password;
    int64_t ttl;           /* seconds; <= 0: does not expire */
    const char *connected; /* keep, disconnect, fail; NULL: libvirt's default */
    /* LOCK_SCREEN, LOGOUT, SHUTDOWN, REBOOT or NONE when the last viewer leaves; NULL: as before.
     * Shutdown and reboot follow @leave_delay minutes later. */
    const char *leave;
    int64_t leave_delay;
};
bool vr_domain_set_ticket(struct vr_domains *domains, const char *id,
                          const struct vr_domain_ticket *ticket, struct vr_error **error);
bool vr_domain_update_nic(struct vr_domains *domains, const char *id,
                          const struct vr_rpc_vm_device_update *update, struct vr_error **error);
bool vr_domain_update_xml(struct vr_domains *domains, const char *id, const char *xml,
                          struct vr_error **error);
bool vr_domain_change_cd(struct vr_domains *domains, const char *id,
                         const struct vr_rpc_drive_spec *spec, struct vr_error **error);
/* @xml: <hotplug><devices>…</devices><metadata>…</metadata></hotplug> */
bool vr_domain_plug(struct vr_domains *domains, const char *id, const char *xml,
                    const struct vr_fault *fault, struct vr_rpc_vm_definition **ret,
                    struct vr_error **error);
/* Waits for the guest to let go, up to 30 s. */
bool vr_domain_unplug(struct vr_domains *domains, const char *id, const char *xml,
                      const struct vr_fault *fault, struct vr_rpc_vm_definition **ret,
                      struct vr_error **error);
bool vr_domain_set_cpus(struct vr_domains *domains, const char *id, unsigned count,
                        struct vr_error **error);
bool vr_domain_set_balloon(struct vr_domains *domains, const char *id, uint64_t kib,
                           struct vr_error **error);
/* The disk that holds @spec's volume; @size in bytes.  Owned: the new size as text. */
char *vr_domain_extend_disk(struct vr_domains *domains, const char *id,
                            const struct vr_rpc_drive_spec *spec, uint64_t size,
                            struct vr_error **error);
struct vr_rpc_screenshot_response *vr_domain_screenshot(struct vr_domains *domains, const char *id,
                                                        struct vr_error **error);

/* Reports.  Lists of objects with one reference each for the caller. */
struct vr_rpc_vm_stats *vr_domain_stats(struct vr_domains *domains, const char *id,
                                        struct vr_error **error);
GPtrArray *vr_domain_all_stats(struct vr_domains *domains);
/* @ids NULL or empty: all. */
GPtrArray *vr_domain_list(struct vr_domains *domains, const struct vr_list *ids);
GPtrArray *vr_domain_full_list(struct vr_domains *domains, const struct vr_list *ids);
/* The XML of a machine as it is now; owned. */
char *vr_domain_xml(struct vr_domains *domains, const char *id, struct vr_error **error);
GPtrArray *vr_domain_ids(struct vr_domains *domains); /* of owned strings */
