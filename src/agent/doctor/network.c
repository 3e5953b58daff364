/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/doctor/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/netconf/netconf.h"

/* --- networks --- */

static bool mend_network(struct vr_doctor *doctor, const char *name, struct vr_error **error)
{
    return vr_netconf_mend(doctor->config, name, error);
}

struct count {
    struct vr_doctor *doctor;
    unsigned networks;
};

static void found(const char *network, const char *fault, void *arg)
{
    struct count *count = arg;
    count->networks++;
    if (fault)
        vr_doctor_wrong(count->doctor, mend_network, network, "make it again as it was set up",
                        "Network %s: %s", network, fault);
    else
        vr_doctor_ok(count->doctor, "network %s is as it was set up", network);
}

void vr_doctor_networks(struct vr_doctor *doctor)
{
    struct count count = { .doctor = doctor };
    vr_netconf_look(doctor->config, found, &count);
    if (count.networks == 0)
        vr_doctor_note(doctor, "No Manager has set up a network here.");
}

/* --- ports --- */

/* The inode of whatever listens on @port, 0 when nothing does. */
static uint64_t listener(const char *table, unsigned port)
{
    g_autofree char *text = NULL;
    if (!g_file_get_contents(table, &text, NULL, NULL))
        return 0;
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++) {
        unsigned local = 0, state = 0;
        uint64_t inode = 0;
        /* proc(5): sl local:port remote:port st queues timer retransmits uid timeout inode */
        if (sscanf(*line, " %*u: %*32[0-9A-Fa-f]:%x %*32[0-9A-Fa-f]:%*x %x %*s %*s %*s %*u %*u %" SCNu64,
                   &local, &state, &inode) == 3 &&
            local == port && state == 0x0A)
            return inode;
    }
    return 0;
}

/* Whether the process has that socket open. */
static bool holds(const char *pid, uint64_t inode)
{
    g_autofree char *folder = g_strdup_printf("/proc/%s/fd", pid);
    g_autofree char *wanted = g_strdup_printf("socket:[%" PRIu64 "]", inode);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    const char *name;
    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *link = g_build_filename(folder, name, NULL);
        g_autofree char *target = g_file_read_link(link, NULL);
        if (!g_strcmp0(target, wanted))
            return true;
    }
    return false;
}

/* The program's name, owned; NULL when it is not to be found. */
static char *holder(uint64_t inode)
{
    g_autoptr(GDir) dir = g_dir_open("/proc", 0, NULL);
    const char *name;
    while (dir && (name = g_dir_read_name(dir))) {
        if (!g_ascii_isdigit(*name) || !holds(name, inode))
            continue;
        g_autofree char *link = g_strdup_printf("/proc/%s/exe", name);
        g_autofree char *target = g_file_read_link(link, NULL);
        if (target && g_str_has_suffix(target, " (deleted)"))
            target[strlen(target) - strlen(" (deleted)")] = '\0';
        return target ? g_path_get_basename(target) : NULL;
    }
    return NULL;
}

static void check_port(struct vr_doctor *doctor, unsigned port, const char *ours, const char *key)
{
    if (!port)
        return;
    uint64_t inode = listener("/proc/net/tcp6", port);
    if (!inode)
        inode = listener("/proc/net/tcp", port);
    g_autofree char *program = inode ? holder(inode) : NULL;
    g_autofree char *remedy =
        g_strdup_printf("end that program, or set %s in agent.conf and the port of this host in "
                        "the Manager",
                        key);
    if (!inode)
        vr_doctor_ok(doctor, "port %u is free for %s", port, ours);
    else if (!g_strcmp0(program, ours))
        vr_doctor_ok(doctor, "port %u is served by %s", port, ours);
    else
        vr_doctor_wrong(doctor, NULL, NULL, remedy, "Port %u is held by %s.", port,
                        program ? program : "another program");
}

void vr_doctor_ports(struct vr_doctor *doctor)
{
    check_port(doctor, doctor->config->port, "vireo-agentd", "port");
    check_port(doctor, doctor->config->image_port, "vireo-imaged", "image-port");
}
