/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * devices: what the host is made of: Host.getCapabilities, getHardwareInfo and
 * hostdevListByCaps (facts/host-rpc.md 7), from /proc, /sys and DMI.
 */

#include "agent/config.h"
#include "model/host.h"

/* What other modules know about the host; strings are borrowed, NULL when unknown. */
struct vr_devices_virt {
    const char *const *machines;   /* NULL ended, or NULL */
    const char *const *cpu_models; /* NULL ended, or NULL */
    const char *cpu_model;
    const char *libvirt_version, *qemu_version;
    bool vnc_tls; /* VNC consoles are encrypted */
};

/* The host's identity: configured, DMI's, or one made once and kept in STATE/uuid.  Owned. */
char *vr_devices_uuid(const struct vr_agent_config *config);

/* Everything but the networks, which the caller adds.  A reference for the caller. */
struct vr_rpc_vdsm_capabilities *vr_devices_capabilities(const struct vr_agent_config *config,
                                                         const struct vr_devices_virt *virt);
struct vr_rpc_hardware_information *vr_devices_hardware(const struct vr_agent_config *config);
/* Adds the devices with one of the capabilities (NULL or empty: all) to @into. */
void vr_devices_list(const struct vr_list *capabilities, struct vr_map *into);
