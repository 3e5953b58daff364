/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the sources of `launch` write XML with, and share.  Private to them. */

#include "codec/codec.h"
#include "manager/vms/launch.h"

/* A small XML writer: names are ours, values are escaped. */
struct xml {
    GString *out;
    unsigned depth;
};

static inline void indent(struct xml *x)
{
    for (unsigned i = 0; i < x->depth; i++)
        g_string_append(x->out, "  ");
}

/* Attributes come as pairs ended by NULL; a pair whose value is NULL is left out. */
static inline void attributes(struct xml *x, va_list args)
{
    for (const char *name; (name = va_arg(args, const char *));) {
        const char *value = va_arg(args, const char *);
        if (!value)
            continue;
        g_string_append_printf(x->out, " %s=\"", name);
        vr_xml_escape(x->out, value);
        g_string_append_c(x->out, '"');
    }
}

G_GNUC_NULL_TERMINATED
static inline void open_tag(struct xml *x, const char *tag, ...)
{
    va_list args;
    va_start(args, tag);
    indent(x);
    g_string_append_printf(x->out, "<%s", tag);
    attributes(x, args);
    g_string_append(x->out, ">\n");
    x->depth++;
    va_end(args);
}

static inline void close_tag(struct xml *x, const char *tag)
{
    x->depth--;
    indent(x);
    g_string_append_printf(x->out, "</%s>\n", tag);
}

G_GNUC_NULL_TERMINATED
static inline void empty_tag(struct xml *x, const char *tag, ...)
{
    va_list args;
    va_start(args, tag);
    indent(x);
    g_string_append_printf(x->out, "<%s", tag);
    attributes(x, args);
    g_string_append(x->out, "/>\n");
    va_end(args);
}

G_GNUC_NULL_TERMINATED
static inline void text_tag(struct xml *x, const char *tag, const char *text, ...)
{
    va_list args;
    va_start(args, text);
    indent(x);
    g_string_append_printf(x->out, "<%s", tag);
    attributes(x, args);
    g_string_append_c(x->out, '>');
    vr_xml_escape(x->out, text ? text : "");
    g_string_append_printf(x->out, "</%s>\n", tag);
    va_end(args);
}

static inline const char *number(char buffer[32], uint64_t value)
{
    g_snprintf(buffer, 32, "%" G_GUINT64_FORMAT, value);
    return buffer;
}

static inline bool is_q35(const struct vr_launch *launch)
{
    return launch->machine && strstr(launch->machine, "q35");
}

/* --- launch_devices.c --- */

/* <ovirt-vm:device> of an image, for the agent. */
void launch_write_image(struct xml *x, const char *target, const char *pool, const char *domain,
                        const char *image, const char *volume, bool shared);
/* The same of disk @index of the launch, whose name is @target. */
void launch_write_disk_metadata(struct xml *x, const struct vr_launch *launch, unsigned index,
                                const char *target);
void launch_write_nic_metadata(struct xml *x, const struct vr_launch *launch, unsigned index);
const char *launch_cdrom_target(const struct vr_launch *launch);

/* @boot_nth counts the bootable disks; NULL: a disk that is plugged later has no place in the order. */
void launch_write_disk(struct xml *x, const struct vr_launch *launch, unsigned index,
                       const char *target, unsigned *boot_nth);
void launch_write_cdrom(struct xml *x, const struct vr_launch *launch);
/* @boots: with its place in the boot order. */
void launch_write_nic(struct xml *x, const struct vr_launch *launch, unsigned index, bool boots);
