/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* vm: what the sources of this module share about the machines.  Private. */

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include "agent/domain/domain.h"
#include "agent/domain/reason.h"
#include "agent/domain/xml.h"
#include "agent/fault.h"

#define VR_GUEST_WAIT_MS (60 * 1000)     /* facts/host-rpc.md 10.3 */
#define VR_POWERING_DOWN_MS (300 * 1000) /* facts/host-rpc.md 10.2 */
#define VR_SAMPLE_MS 3000                /* the Manager's poll */
#define VR_CREATE_AT_ONCE 4              /* facts/host-rpc.md 10.1 */

struct vr_nic_sample {
    char name[16];
    uint64_t rx, tx, rx_errors, tx_errors, rx_dropped, tx_dropped;
};

struct vr_disk_sample {
    char name[16];
    uint64_t rd_bytes, wr_bytes, rd_ops, wr_ops, rd_ns, wr_ns, fl_ops, fl_ns;
    uint64_t allocation, capacity, physical;
};

/* One reading of the statistics of one machine. */
struct vr_sample {
    int64_t at;                                     /* monotonic microseconds */
    int64_t epoch;                                  /* microseconds */
    uint64_t cpu, user, system;                     /* nanoseconds */
    uint64_t balloon_cur, balloon_max;              /* KiB */
    uint64_t mem_available, mem_unused, mem_caches; /* KiB */
    uint64_t swap_in, swap_out, majflt, minflt;
    bool has_memory;
    unsigned vcpus;
    GArray *nics;  /* of vr_nic_sample */
    GArray *disks; /* of vr_disk_sample */
};

/* What a domain's XML says that statistics need. */
struct vr_vm_nic {
    char *target, *mac, *model;
    bool link_up;
};
struct vr_vm_drive {
    char *target, *image, *guid;
};
struct vr_vm_display {
    char *type, *address;
    int port, tls_port;
};

/* What the host does when the last viewer of the consoles leaves. */
enum vr_leave_action {
    VR_LEAVE_NONE,
    VR_LEAVE_LOCK_SCREEN,
    VR_LEAVE_LOGOUT,
    VR_LEAVE_SHUTDOWN,
    VR_LEAVE_REBOOT,
};

/* What the guest agent told.  Immutable once published; replaced as a whole. */
struct vr_guest;

struct vr_vm {
    gint refs;
    char id[37];
    GMutex op; /* held by the one operation that changes the machine; before the domains' lock */

    /* All below under the domains' lock. */
    char *name;
    enum vr_vm_state state;
    uint64_t changed;       /* vr_domain_clock() of the last change */
    int64_t started;        /* epoch seconds */
    int64_t guest_deadline; /* monotonic us: Powering up becomes Up */
    int64_t down_deadline;  /* monotonic us: Powering down becomes Up again */
    bool creating;          /* a creator works on it */
    bool destroy_asked, shutdown_asked, reboot_ends, rebooted_away, lost_guest_channel;
    bool has_agent_channel, agent_connected, agent_answered;
    int exit_code;
    enum vr_exit_reason exit_reason;
    char *exit_message;
    char *pause_code, *time_offset, *client_ip;
    char *ioerror_alias, *ioerror_name, *ioerror_path;
    char *xml_record; /* the XML it was started with, until it runs */
    int64_t log_start; /* bytes of QEMU's log that are of earlier runs */
    char *hash;
    bool balloon, acpi, kvm;
    uint64_t min_memory; /* KiB */
    uint64_t balloon_target;
    GPtrArray *nics, *drives, *displays;
    /* consoles: who is let in ("address port", owned), and what to do when nobody is left */
    GPtrArray *viewers;
    enum vr_leave_action leave;
    unsigned leave_delay; /* minutes */
    int64_t leave_at;     /* monotonic us: the last one left for good; 0: nothing to do */
    struct vr_sample *last, *before;
    struct vr_guest *guest;
    int64_t guest_next; /* monotonic us of the next question to the guest */
    bool guest_busy;
    unsigned guest_round;
    /* shutdown in stages: agent, ACPI, force */
    unsigned shutdown_stage;
    int64_t shutdown_next; /* monotonic us, 0: none */
    struct vr_domain_shutdown shutdown_how;
};

struct vr_domains {
    const struct vr_agent_config *config;
    const struct vr_domains_hooks *hooks;
    char *record_dir, *payload_dir;
    struct vr_mutex records; /* the files in record_dir; taken before `lock` */

    struct vr_mutex lock; /* the members from here on */
    GCond changed; /* with lock */
    virConnectPtr conn;
    bool lost; /* the connection closed */
    bool stopping;
    bool ready;
    GHashTable *vms; /* id -> struct vr_vm *, owning */
    struct vr_domain_capabilities *capabilities;

    GThread *events, *supervisor, *sampler;
    GThreadPool *creators, *askers, *chores;
    int wake_timer; /* libvirt timer that makes the event thread look at `ending` */
    gint ending;
};

/* ---- table (vm.c) */
struct vr_vm *vr_vm_new(const char *id);
struct vr_vm *vr_vm_ref(struct vr_vm *vm);
void vr_vm_unref(struct vr_vm *vm); /* takes NULL */
static inline void vr_vm_unrefp(struct vr_vm **vm)
{
    vr_vm_unref(*vm);
}
#define vr_auto_vm __attribute__((cleanup(vr_vm_unrefp)))
/* A reference, or NULL and fault no_vm. */
struct vr_vm *vr_vm_find(struct vr_domains *domains, const char *id, struct vr_error **error)
    VR_EXCLUDES(domains->lock);
/* References to all of them. */
GPtrArray *vr_vm_all(struct vr_domains *domains) VR_EXCLUDES(domains->lock);
/* Sets the state and its time; true when it was another. */
bool vr_vm_set_state(struct vr_domains *domains, struct vr_vm *vm, enum vr_vm_state state)
    VR_REQUIRES(domains->lock);
/* Marks it Down, writes the record.  The first reason stays. */
void vr_vm_set_down(struct vr_domains *domains, struct vr_vm *vm, enum vr_exit_reason reason,
                    const char *message) VR_EXCLUDES(domains->lock);
/* Sends VM_status with all that is known. */
void vr_vm_announce(struct vr_domains *domains, struct vr_vm *vm) VR_EXCLUDES(domains->lock);
/* Reads what the sources of this module need from live XML. */
void vr_vm_learn(struct vr_domains *domains, struct vr_vm *vm, const char *xml)
    VR_EXCLUDES(domains->lock);
/* Asks libvirt for the XML and learns from it. */
void vr_vm_refresh(struct vr_domains *domains, struct vr_vm *vm, virDomainPtr dom)
    VR_EXCLUDES(domains->lock);
/* Tears down the images of a machine that ended. */
void vr_vm_release_images(struct vr_domains *domains, const char *xml);

/* ---- records (record.c) */
/* Writes what is known of a machine that is in the table.  May wait for the disk. */
void vr_record_write(struct vr_domains *domains, struct vr_vm *vm) VR_EXCLUDES(domains->lock);
/* Takes the machine out of the table, and its record away. */
void vr_record_forget(struct vr_domains *domains, struct vr_vm *vm) VR_EXCLUDES(domains->lock);
/* Fills the table with every record; machines are Down or, by their record, were running. */
void vr_record_load(struct vr_domains *domains) VR_EXCLUDES(domains->lock);

/* ---- connection (connection.c) */
/* A reference, or NULL and an error. */
virConnectPtr vr_connection_get(struct vr_domains *domains, struct vr_error **error)
    VR_EXCLUDES(domains->lock);
/* The domain of a machine; fault vm_not_running when libvirt has none.  virDomainFree() it. */
virDomainPtr vr_connection_domain(struct vr_domains *domains, const char *id,
                                  struct vr_error **error) VR_EXCLUDES(domains->lock);
/* @fault with libvirt's last message as its detail. */
void vr_connection_error(struct vr_error **error, const struct vr_fault *fault);
bool vr_connection_start(struct vr_domains *domains, struct vr_error **error);
void vr_connection_stop(struct vr_domains *domains);

static inline void vr_domain_freep(virDomainPtr *dom)
{
    if (*dom)
        virDomainFree(*dom);
}
#define vr_auto_dom __attribute__((cleanup(vr_domain_freep)))
static inline void vr_connect_closep(virConnectPtr *conn)
{
    if (*conn)
        virConnectClose(*conn);
}
#define vr_auto_conn __attribute__((cleanup(vr_connect_closep)))

/* ---- events (event.c) */
bool vr_event_register(struct vr_domains *domains, virConnectPtr conn);
/* A machine ended, as libvirt or its absence tells. */
void vr_event_ended(struct vr_domains *domains, struct vr_vm *vm, enum vr_ending ending)
    VR_EXCLUDES(domains->lock);
void vr_event_set_paused(struct vr_domains *domains, struct vr_vm *vm, const char *code)
    VR_EXCLUDES(domains->lock);

/* libvirt saves it, though this agent did not ask for that. */
void vr_event_set_saving(struct vr_domains *domains, struct vr_vm *vm) VR_EXCLUDES(domains->lock);

/* ---- recovery (recover.c) */
/* How long QEMU's log of a machine of this name is, in bytes; 0: there is none. */
int64_t vr_log_size(struct vr_domains *domains, const char *name);
/* Makes the table agree with what runs. */
bool vr_recover(struct vr_domains *domains, virConnectPtr conn);

/* ---- statistics (sample.c, report.c) */
void vr_sample_free(struct vr_sample *sample);
void vr_sample_all(struct vr_domains *domains, virConnectPtr conn) VR_EXCLUDES(domains->lock);
/* The report of one machine; a reference for the caller. */
struct vr_rpc_vm_stats *vr_report(struct vr_domains *domains, struct vr_vm *vm)
    VR_REQUIRES(domains->lock);

/* ---- guest agent (guest.c) */
void vr_guest_free(struct vr_guest *guest);
void vr_guest_report(const struct vr_guest *guest, struct vr_rpc_vm_stats *stats);
/* Starts questions that are due; never blocks. */
void vr_guest_tick(struct vr_domains *domains) VR_EXCLUDES(domains->lock);
void vr_guest_ask(gpointer vm, gpointer domains); /* an asker's function */

/* ---- consoles (console.c) */
const char *vr_leave_word(enum vr_leave_action action);
enum vr_leave_action vr_leave_parse(const char *word); /* NULL and unknown words: none */
/* A viewer was let in, a connection ended.  True when `client_ip` is another now. */
bool vr_viewer_came(struct vr_vm *vm, const char *node, const char *service);
bool vr_viewer_left(struct vr_vm *vm, const char *node, const char *service);
/* Asks QEMU who looks at a machine that is adopted. */
void vr_console_recover(struct vr_domains *domains, struct vr_vm *vm, virDomainPtr dom)
    VR_EXCLUDES(domains->lock);
void vr_console_tick(struct vr_domains *domains, struct vr_vm *vm, int64_t now)
    VR_REQUIRES(domains->lock);

/* ---- stopping (stop.c) */
void vr_stop_tick(struct vr_domains *domains) VR_EXCLUDES(domains->lock);

/* A piece of work for the chores pool. */
struct vr_chore {
    void (*run)(struct vr_domains *domains, struct vr_vm *vm, void *arg);
    struct vr_vm *vm; /* owned */
    void *arg;        /* owned by run */
};
void vr_chore_push(struct vr_domains *domains, struct vr_vm *vm,
                   void (*run)(struct vr_domains *, struct vr_vm *, void *), void *arg);

/* ---- one change of a running machine (device.c) */
struct vr_change {
    struct vr_vm *vm; /* its `op` is held */
    virDomainPtr dom;
    xmlDoc *doc; /* the live XML */
    xmlNode *root, *devices;
};
/* Locks the machine and reads its live XML, with libvirt's @flags.  vr_auto_change ends it, also
 * after a failure. */
bool vr_change_begin(struct vr_domains *domains, const char *id, unsigned flags,
                     struct vr_change *change, struct vr_error **error);
void vr_change_done(struct vr_change *change);
#define vr_auto_change __attribute__((cleanup(vr_change_done)))
/* Gives libvirt a device of the document, changed. */
bool vr_change_device(struct vr_change *change, xmlNode *node, const struct vr_fault *fault,
                      struct vr_error **error);
/* Puts the <device> elements of @from into the domain's metadata in place of those of the same
 * name, or takes them out; and what stores the document's metadata. */
bool vr_change_metadata(struct vr_change *change, xmlNode *from, bool add);
bool vr_change_store_metadata(struct vr_change *change);

/* ---- payload.c */
/* Makes an ISO or floppy image of a <payload>; owned path. */
char *vr_payload_make(const char *dir, const char *vm_id, const struct vr_domain_disk *disk,
                      bool floppy, struct vr_error **error);
void vr_payload_remove(const char *dir, const char *vm_id);

/* What this host puts into domain XML; strings are borrowed from the returned block. */
struct vr_domain_host *vr_host_view_new(struct vr_domains *domains);
void vr_host_view_free(struct vr_domain_host *view);
/* A creator's function: @data is a struct vr_creation. */
void vr_create_run(gpointer data, gpointer domains);
