/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/stats/proc.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define CPUS_MAX 4096

GArray *vr_proc_cpu(const char *stat)
{
    GArray *cpus = g_array_new(FALSE, TRUE, sizeof(struct vr_cpu_time));
    for (const char *line = stat; line && g_str_has_prefix(line, "cpu");) {
        unsigned long long user, nice, system, idle, wait = 0, irq = 0, soft = 0, steal = 0;
        char name[16];
        int got = sscanf(line, "%15s %llu %llu %llu %llu %llu %llu %llu %llu", name, &user, &nice,
                         &system, &idle, &wait, &irq, &soft, &steal);
        if (got < 5 || cpus->len > CPUS_MAX)
            break;
        const struct vr_cpu_time cpu = {
            .id = name[3] ? atoi(name + 3) : -1,
            .user = user + nice,
            .system = system + irq + soft + steal,
            .idle = idle + wait,
        };
        g_array_append_val(cpus, cpu);
        line = strchr(line, '\n');
        line = line ? line + 1 : NULL;
    }
    return cpus;
}

struct vr_cpu_share vr_proc_cpu_share(const struct vr_cpu_time *before,
                                      const struct vr_cpu_time *now)
{
    struct vr_cpu_share share = { 0 };
    /* idle may step back by a jiffy (proc(5)) */
    double user = (double)(int64_t)(now->user - before->user);
    double system = (double)(int64_t)(now->system - before->system);
    double idle = (double)(int64_t)(now->idle - before->idle);
    user = MAX(user, 0);
    system = MAX(system, 0);
    idle = MAX(idle, 0);
    double all = user + system + idle;
    if (all <= 0)
        return share;
    share.user = 100 * user / all;
    share.system = 100 * system / all;
    share.idle = 100 * idle / all;
    return share;
}

int64_t vr_proc_boot_time(const char *stat)
{
    const char *at = stat ? strstr(stat, "\nbtime ") : NULL;
    return at ? g_ascii_strtoll(at + strlen("\nbtime "), NULL, 10) : 0;
}

uint64_t vr_proc_meminfo(const char *meminfo, const char *name)
{
    size_t length = strlen(name);
    for (const char *line = meminfo; line && *line;) {
        const char *at = line;
        /* "Node 0 MemFree:" in the file of a node */
        if (g_str_has_prefix(at, "Node ")) {
            at += strlen("Node ");
            at += strspn(at, "0123456789");
            at += strspn(at, " ");
        }
        if (!strncmp(at, name, length) && at[length] == ':')
            return g_ascii_strtoull(at + length + 1, NULL, 10);
        line = strchr(line, '\n');
        line = line ? line + 1 : NULL;
    }
    return 0;
}

double vr_proc_load5(const char *loadavg)
{
    char *end;
    if (!loadavg)
        return 0;
    g_ascii_strtod(loadavg, &end);
    return g_ascii_strtod(end, NULL);
}

GArray *vr_proc_net(const char *dev)
{
    GArray *nets = g_array_new(FALSE, TRUE, sizeof(struct vr_net_count));
    g_auto(GStrv) lines = g_strsplit(dev ? dev : "", "\n", -1);
    for (char **line = lines; *line; line++) {
        char *colon = strchr(*line, ':');
        if (!colon)
            continue;
        *colon = '\0';
        struct vr_net_count net = { 0 };
        g_strlcpy(net.name, g_strstrip(*line), sizeof(net.name));
        unsigned long long rx, rxe, rxd, tx, txe, txd;
        if (sscanf(colon + 1, "%llu %*u %llu %llu %*u %*u %*u %*u %llu %*u %llu %llu", &rx, &rxe,
                   &rxd, &tx, &txe, &txd) != 6)
            continue;
        net.rx = rx;
        net.rx_errors = rxe;
        net.rx_dropped = rxd;
        net.tx = tx;
        net.tx_errors = txe;
        net.tx_dropped = txd;
        g_array_append_val(nets, net);
    }
    return nets;
}

GArray *vr_proc_list(const char *text)
{
    GArray *list = g_array_new(FALSE, FALSE, sizeof(unsigned));
    g_auto(GStrv) parts = g_strsplit(text ? text : "", ",", -1);
    for (char **part = parts; *part; part++) {
        char *end;
        unsigned long first = strtoul(*part, &end, 10);
        if (end == *part)
            continue;
        unsigned long last = *end == '-' ? strtoul(end + 1, NULL, 10) : first;
        for (unsigned long i = first; i <= last && i < CPUS_MAX; i++) {
            unsigned value = (unsigned)i;
            g_array_append_val(list, value);
        }
    }
    return list;
}

char *vr_proc_read(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *path = g_strdup_vprintf(format, args);
    va_end(args);
    char *text = NULL;
    if (!g_file_get_contents(path, &text, NULL, NULL))
        return NULL;
    return g_strchomp(text);
}

int64_t vr_proc_number(int64_t otherwise, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *path = g_strdup_vprintf(format, args);
    va_end(args);
    g_autofree char *text = NULL;
    if (!g_file_get_contents(path, &text, NULL, NULL))
        return otherwise;
    char *end;
    int64_t value = g_ascii_strtoll(text, &end, 10);
    return end == text ? otherwise : value;
}
