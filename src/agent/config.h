/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * config: what agent.conf says, with every default filled in.
 *
 *     [agent]
 *     address=::                 where to listen; falls back to 0.0.0.0 without IPv6
 *     port=54321                 0 lets the kernel choose; the bound one is in STATE/agent.port
 *     image-port=54322           image transfer; the bound one is in STATE/image.port
 *     state=/var/lib/vireo-agent
 *     run-root=/rhev/data-center storage paths are built below it
 *     ca= certificate= key=      PEM files; TLS is off when all three are empty
 *     manager=                   what the Manager's certificate is known by, separated by `;`:
 *                                "OU=unit", "CN=name"; empty: what enrolment recorded in STATE
 *                                (enroll/identity.h)
 *     link-root= nbd-root=       links to prepared images and sockets of NBD servers; default:
 *                                /run/vdsm/storage and /run/vdsm/nbd, or below STATE when run-root
 *                                is not the default one
 *     iod= imaged= enroll=       the programs vireo-iod, vireo-imaged and vireo-enroll; default: beside
 *                                this one, else in the libexec folder that the build was told
 *     ticket-socket=             control socket of the image daemon; default: below STATE, or
 *                                /run/ovirt-imageio/sock with the default run-root
 *     uid=0 gid=0                whom storage belongs to
 *     uuid=                      the host's identity; default: DMI, else one kept in STATE/uuid
 *     log=info                   error, warning, info or debug
 *
 *     [libvirt]
 *     uri=qemu:///system
 *     accel=auto                 auto, kvm or tcg
 *     log-dir=/var/log/libvirt/qemu      where libvirt keeps QEMU's logs; "" to not look there
 *     serial-log-dir=            when set, VM <id>'s first serial port is logged to <id>.log in it
 *     console-dir=               when set, serial console sockets are made in it
 *     qemu-conf=/etc/libvirt/qemu.conf   where libvirt is told to encrypt consoles
 *
 *     [network]
 *     bridges=                   bridges to report as networks, separated by `;`; empty: all
 *     connectivity-timeout=4     seconds; what setupNetworks waits for when it is not told
 */

#include "base/base.h"

enum vr_accel { VR_ACCEL_AUTO, VR_ACCEL_KVM, VR_ACCEL_TCG };

struct vr_agent_config {
    char *address;
    unsigned port, image_port;
    char *state;
    char *run_root;
    char *link_root, *nbd_root;
    char *iod, *imaged, *enroll;
    char *ticket_socket;
    unsigned uid, gid;
    char *ca, *certificate, *key; /* NULL when empty */
    char **manager;               /* NULL ended, may be empty */
    char *uuid;                   /* NULL when empty */
    enum vr_log_level log;
    char *libvirt_uri;
    enum vr_accel accel; /* never auto once read: the processor decided */
    char *qemu_log_dir, *serial_log_dir, *console_dir, *qemu_conf; /* NULL when empty */
    char **bridges;                                    /* NULL ended, may be empty */
    unsigned connectivity_timeout;
};

/* Reads @path; NULL reads nothing and gives the defaults.  Unknown keys are an error, for a
 * misspelt one would silently do nothing. */
struct vr_agent_config *vr_agent_config_read(const char *path, struct vr_error **error);
void vr_agent_config_free(struct vr_agent_config *config); /* takes NULL */

/* Whether each of @known_by (NULL ended) is "OU=unit" or "CN=name". */
bool vr_agent_known_by_fits(const char *const *known_by);

/* A program of ours: in @folder below this one in the build, in the libexec folder when installed;
 * one beside this one goes before both.  Owned. */
char *vr_agent_program(const char *folder, const char *name);

/* Whether /proc/cpuinfo's text shows a processor that can run KVM.  /dev/kvm alone proves
 * nothing: it exists, unusable, on some machines without the flag. */
bool vr_cpuinfo_has_virtualization(const char *cpuinfo);
