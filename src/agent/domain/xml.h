/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * xml: the domain XML that the Manager sends, made fit for this host
 * (facts/host-rpc.md 10.1), and the ovirt-vm metadata in it.
 *
 * Pure functions over text; what they must ask of storage or the network goes
 * through struct vr_domain_host.
 */

#include "agent/domain/tree.h"

#define VR_METADATA_URI "http://ovirt.org/vm/1.0"

/* One disk that metadata knows.  Either PDIV, a GUID or a payload. */
struct vr_domain_disk {
    char *name; /* target: sda */
    char *pool, *domain, *image, *volume;
    char *guid;
    xmlNode *payload; /* borrowed from the document, or NULL */
};
void vr_domain_disk_free(struct vr_domain_disk *disk);

/* What this host puts into a domain. */
struct vr_domain_host {
    bool tcg;
    bool spice, spice_tls, qxl;  /* QEMU has it, libvirt is set up for TLS with it, has the video */
    const char *const *machines; /* NULL ended machine types; NULL: not known */
    const char *os_name, *os_version, *serial; /* NULL keeps the placeholder's place empty */
    const char *serial_log_dir, *console_dir;  /* NULL: leave alone */

    /* The path of a PDIV disk on this host; owned.  *@block: it is a block device. */
    char *(*prepare)(const struct vr_domain_disk *disk, bool *block, void *arg,
                     struct vr_error **error);
    /* The path of an image made of the disk's payload; owned. */
    char *(*payload)(const char *vm_id, const struct vr_domain_disk *disk, bool floppy, void *arg,
                     struct vr_error **error);
    /* The address to listen on for a display network ("ovirtmgmt"); owned; NULL: any. */
    char *(*display_address)(const char *network, void *arg);
    /* Asks for a bridge to exist; may be NULL. */
    bool (*bridge)(const char *name, void *arg, struct vr_error **error);
    void *arg;
};

/* The disks of ovirt-vm metadata under @metadata (the element that holds ovirt-vm:vm). */
GPtrArray *vr_domain_disks(xmlNode *root);
/* The same of a domain's XML text; empty when it cannot be parsed. */
GPtrArray *vr_domain_disks_of_text(const char *xml);

/* Rewrites the document in place. */
bool vr_domain_xml_prepare(xmlDoc *doc, const struct vr_domain_host *host, struct vr_error **error);
/* Rewrites one <disk> whose metadata is @disk. */
bool vr_domain_xml_prepare_disk(xmlNode *node, const struct vr_domain_disk *disk, const char *vm_id,
                                const struct vr_domain_host *host, struct vr_error **error);
/* Rewrites what a device that is plugged later has in common with a domain's. */
bool vr_domain_xml_prepare_device(xmlNode *node, const struct vr_domain_host *host,
                                  struct vr_error **error);

/* The ovirt-vm:vm element, or NULL. */
xmlNode *vr_domain_metadata(xmlNode *root);
/* The element as a document of its own, which libvirt's setter wants: with its name space declared,
 * though the domain declares it further up.  Owned. */
char *vr_domain_metadata_text(xmlNode *root);
/* A scalar of it, or NULL.  Owned. */
char *vr_domain_metadata_get(xmlNode *root, const char *name);
/* Sets (NULL removes) a scalar, making the metadata when it is missing. */
void vr_domain_metadata_set(xmlNode *root, const char *name, const char *type, const char *value);

/* Whether a flag of libvirt's qemu.conf, whose text this is, is on. */
bool vr_qemu_conf_flag(const char *text, const char *key);

/* What the Manager compares to see that devices changed: over <devices>, as decimal text. */
char *vr_domain_devices_hash(const char *xml);
