/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * launch: the libvirt domain XML of a virtual machine, as the agent's
 * VM.create takes it (facts/host-rpc.md 10.1).
 *
 * A pure function of what is in struct vr_launch, with golden tests; the
 * agent replaces placeholders and disk paths and adapts the accelerator.
 */

#include "model/api.h"

struct vr_launch_disk {
    const struct vr_disk_attachment *attachment;
    const struct vr_disk *disk;
    const char *pool_id, *domain_id; /* data centre and storage domain; the image is the disk's id */
    const char *volume_id;           /* active volume */
};

struct vr_launch_nic {
    const struct vr_nic *nic;
    const struct vr_vnic_profile *profile; /* NULL: an empty profile */
    const char *bridge;                    /* the host's bridge; NULL with an empty profile */
    const char *filter;                    /* nwfilter name, or NULL */
};

/* What is in the CD drive: a disk of content type iso; image_id NULL: nothing. */
struct vr_launch_medium {
    const char *pool_id, *domain_id, *image_id, *volume_id;
};

/* The drive is the third of its bus: sdc on SATA, hdc on IDE, whatever else there is. */
#define VR_LAUNCH_CDROM_INDEX 2

/* The bridge of an interface that is in no network. */
#define VR_LAUNCH_NO_BRIDGE ";vdsmdummy;"
/* The longest name of a disk, and its NUL. */
#define VR_LAUNCH_TARGET 16

struct vr_launch {
    const struct vr_vm *vm; /* with the overrides of a run once applied */
    const struct vr_cluster *cluster;
    const char *machine;   /* emulated machine */
    const char *cpu_model; /* "host-passthrough", "host-model" or a named model */
    const char *manager_name, *manager_version; /* SMBIOS */
    const struct vr_launch_disk *disks;
    unsigned disk_count;
    const struct vr_launch_nic *nics;
    unsigned nic_count;
    struct vr_launch_medium cdrom;
    bool vnc, spice;
    const char *display_network; /* name; libvirt network vdsm-<name> is not needed when NULL */
    bool run_once, paused;
    const struct vr_payload *payload; /* file payload (cloud-init), or NULL */
    uint64_t guest_time_offset;       /* seconds */
    const char *watchdog_model, *watchdog_action;
};

/* The document; owned by the caller. */
char *vr_launch_xml(const struct vr_launch *launch);

/* What disk i is called (vda, sdb): as its attachment's `target` says, or the lowest name of its bus
 * that is free. */
void vr_launch_targets(const struct vr_launch *launch, char (*names)[VR_LAUNCH_TARGET]);
/* The documents that plug a disk or a NIC of @launch into its running machine; owned. */
char *vr_launch_plug_disk(const struct vr_launch *launch, unsigned index, const char *target);
char *vr_launch_plug_nic(const struct vr_launch *launch, unsigned index);
/* What a NIC is called in the domain; owned.  Whether its cable is in. */
char *vr_launch_nic_alias(const char *nic_id);
bool vr_launch_nic_linked(const struct vr_launch_nic *nic);
