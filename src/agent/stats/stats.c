/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "stats"
#include "agent/stats/stats.h"

#include <sys/resource.h>
#include <sys/statvfs.h>
#include <time.h>

#include "agent/stats/proc.h"

#define SAMPLE_MS 3000 /* the Manager's poll */

struct reading {
    int64_t at; /* monotonic us */
    double epoch;
    GArray *cpus;
    struct timeval self_user, self_system;
};

struct vr_stats {
    char *run_dir;
    int64_t started; /* epoch seconds */
    GThread *thread;
    struct vr_mutex lock; /* the members from here on */
    GCond wake;
    bool stopping;
    struct reading last, before;
};

static void reading_clear(struct reading *reading)
{
    if (reading->cpus)
        g_array_unref(reading->cpus);
    memset(reading, 0, sizeof(*reading));
}

static struct reading reading_take(void)
{
    struct reading reading = { .at = g_get_monotonic_time(),
                               .epoch = (double)g_get_real_time() / 1e6 };
    g_autofree char *stat = vr_proc_read("/proc/stat");
    reading.cpus = vr_proc_cpu(stat ? stat : "");
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    reading.self_user = usage.ru_utime;
    reading.self_system = usage.ru_stime;
    return reading;
}

static gpointer sample(gpointer data)
{
    struct vr_stats *stats = data;
    vr_role_enter(&vr_role_worker);
    vr_mutex_lock(&stats->lock);
    while (!stats->stopping) {
        vr_mutex_unlock(&stats->lock);
        struct reading now = reading_take();
        vr_mutex_lock(&stats->lock);
        reading_clear(&stats->before);
        stats->before = stats->last;
        stats->last = now;
        gint64 until = g_get_monotonic_time() + SAMPLE_MS * 1000;
        while (!stats->stopping && g_cond_wait_until(&stats->wake, &stats->lock.mutex, until)) {
        }
    }
    vr_mutex_unlock(&stats->lock);
    vr_role_leave(&vr_role_worker);
    return NULL;
}

struct vr_stats *vr_stats_start(const char *run_dir)
{
    struct vr_stats *stats = g_new0(struct vr_stats, 1);
    stats->run_dir = g_strdup(run_dir);
    stats->started = g_get_real_time() / G_USEC_PER_SEC;
    vr_mutex_init(&stats->lock);
    g_cond_init(&stats->wake);
    stats->thread = g_thread_new("host-sampler", sample, stats);
    return stats;
}

void vr_stats_stop(struct vr_stats *stats)
{
    if (!stats)
        return;
    vr_mutex_lock(&stats->lock);
    stats->stopping = true;
    g_cond_signal(&stats->wake);
    vr_mutex_unlock(&stats->lock);
    g_thread_join(stats->thread);
    reading_clear(&stats->last);
    reading_clear(&stats->before);
    vr_mutex_done(&stats->lock);
    g_cond_clear(&stats->wake);
    g_free(stats->run_dir);
    g_free(stats);
}

#define PERCENT(object, member, value)                                                             \
    VR_TAKE_STRING(object, member, g_strdup_printf("%.2f", (double)(value)))
#define NUMBER(object, member, value)                                                              \
    VR_TAKE_STRING(object, member, g_strdup_printf("%" G_GINT64_FORMAT, (gint64)(value)))

static double seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static unsigned node_of_cpu(int cpu)
{
    for (unsigned node = 0; node < 64; node++) {
        g_autofree char *path = g_strdup_printf("/sys/devices/system/cpu/cpu%d/node%u", cpu, node);
        if (g_file_test(path, G_FILE_TEST_EXISTS))
            return node;
    }
    return 0;
}

static void report_cpu(struct vr_stats *stats, struct vr_rpc_host_stats *out)
{
    struct vr_cpu_share all = { .idle = 100 };
    double self_user = 0, self_system = 0;
    out->has.cpu_statistics = true;
    vr_mutex_lock(&stats->lock);
    const struct reading *now = &stats->last, *before = &stats->before;
    unsigned count = now->cpus && before->cpus ? MIN(now->cpus->len, before->cpus->len) : 0;
    for (unsigned i = 0; i < count; i++) {
        const struct vr_cpu_time *cpu = &g_array_index(now->cpus, struct vr_cpu_time, i);
        struct vr_cpu_share share =
            vr_proc_cpu_share(&g_array_index(before->cpus, struct vr_cpu_time, i), cpu);
        if (cpu->id < 0) {
            all = share;
            continue;
        }
        struct vr_rpc_cpu_core_stats *core = VR_NEW(rpc_cpu_core_stats);
        PERCENT(core, cpu_user, share.user);
        PERCENT(core, cpu_sys, share.system);
        PERCENT(core, cpu_idle, share.idle);
        VR_SET(core, node_index, node_of_cpu(cpu->id));
        g_autofree char *key = g_strdup_printf("%d", cpu->id);
        vr_map_set(&out->cpu_statistics, key, core);
    }
    if (before->at && now->at > before->at) {
        double span = (double)(now->at - before->at) / 1e6;
        self_user = 100 * (seconds(now->self_user) - seconds(before->self_user)) / span;
        self_system = 100 * (seconds(now->self_system) - seconds(before->self_system)) / span;
    }
    vr_mutex_unlock(&stats->lock);
    PERCENT(out, cpu_user, all.user);
    PERCENT(out, cpu_sys, all.system);
    PERCENT(out, cpu_idle, all.idle);
    PERCENT(out, cpu_user_vdsmd, self_user);
    PERCENT(out, cpu_sys_vdsmd, self_system);
    g_autofree char *load = vr_proc_read("/proc/loadavg");
    PERCENT(out, cpu_load, vr_proc_load5(load));
}

static uint64_t free_of(const char *meminfo)
{
    static const char *const parts[] = { "MemFree", "Cached", "Buffers", "SReclaimable" };
    uint64_t sum = 0;
    for (unsigned i = 0; i < G_N_ELEMENTS(parts); i++)
        sum += vr_proc_meminfo(meminfo, parts[i]);
    return sum;
}

static void report_nodes(struct vr_rpc_host_stats *out)
{
    out->has.numa_node_mem_free = true;
    g_autofree char *online = vr_proc_read("/sys/devices/system/node/online");
    g_autoptr(GArray) nodes = vr_proc_list(online ? online : "");
    for (unsigned i = 0; i < nodes->len; i++) {
        unsigned node = g_array_index(nodes, unsigned, i);
        g_autofree char *meminfo = vr_proc_read("/sys/devices/system/node/node%u/meminfo", node);
        uint64_t total = vr_proc_meminfo(meminfo, "MemTotal");
        uint64_t left = vr_proc_meminfo(meminfo, "MemFree");
        struct vr_rpc_numa_node_memory_stats *memory = VR_NEW(rpc_numa_node_memory_stats);
        NUMBER(memory, mem_free, left / 1024);
        VR_SET(memory, mem_percent, total ? 100 - (int64_t)(100 * left / total) : 0);
        memory->has.hugepages = true;
        g_autofree char *key = g_strdup_printf("%u", node);
        vr_map_set(&out->numa_node_mem_free, key, memory);
    }
}

static char *hugepages_json(void)
{
    GString *json = g_string_new("{");
    g_autoptr(GDir) dir = g_dir_open("/sys/kernel/mm/hugepages", 0, NULL);
    const char *name;
    while (dir && (name = g_dir_read_name(dir))) {
        if (!g_str_has_prefix(name, "hugepages-"))
            continue;
        uint64_t kib = g_ascii_strtoull(name + strlen("hugepages-"), NULL, 10);
        int64_t all = vr_proc_number(0, "/sys/kernel/mm/hugepages/%s/nr_hugepages", name);
        int64_t unused = vr_proc_number(0, "/sys/kernel/mm/hugepages/%s/free_hugepages", name);
        g_string_append_printf(json,
                               "%s\"%" G_GUINT64_FORMAT "\":{\"nr_hugepages\":%" G_GINT64_FORMAT
                               ",\"free_hugepages\":%" G_GINT64_FORMAT
                               ",\"vm.free_hugepages\":%" G_GINT64_FORMAT "}",
                               json->len > 1 ? "," : "", kib, all, unused, unused);
    }
    g_string_append_c(json, '}');
    return g_string_free(json, FALSE);
}

static void report_memory(struct vr_rpc_host_stats *out)
{
    g_autofree char *meminfo = vr_proc_read("/proc/meminfo");
    uint64_t total = vr_proc_meminfo(meminfo, "MemTotal");
    uint64_t left = free_of(meminfo);
    VR_SET(out, mem_free, (int64_t)(left / 1024));
    VR_SET(out, swap_total, (int64_t)(vr_proc_meminfo(meminfo, "SwapTotal") / 1024));
    VR_SET(out, swap_free, (int64_t)(vr_proc_meminfo(meminfo, "SwapFree") / 1024));
    NUMBER(out, anon_huge_pages, vr_proc_meminfo(meminfo, "AnonHugePages") / 1024);
    PERCENT(out, mem_used, total ? 100.0 - 100.0 * (double)MIN(left, total) / (double)total : 0);
    int64_t page = 4;
    VR_SET(out, ksm_pages, vr_proc_number(0, "/sys/kernel/mm/ksm/pages_to_scan"));
    VR_SET(out, ksm_state, vr_proc_number(0, "/sys/kernel/mm/ksm/run") == 1);
    VR_SET(out, ksm_cpu, 0);
    VR_SET(out, ksm_merge_across_nodes,
           vr_proc_number(1, "/sys/kernel/mm/ksm/merge_across_nodes") == 1);
    VR_SET(out, mem_shared, vr_proc_number(0, "/sys/kernel/mm/ksm/pages_sharing") * page / 1024);
    g_autofree char *thp = vr_proc_read("/sys/kernel/mm/transparent_hugepage/enabled");
    char *open = thp ? strchr(thp, '[') : NULL;
    char *close = open ? strchr(open, ']') : NULL;
    if (close)
        *close = '\0';
    VR_SET_STRING(out, thp_state, close ? open + 1 : "never");
    VR_TAKE_STRING(out, hugepages, hugepages_json());
    report_nodes(out);
}

static struct vr_rpc_host_network_interface_stats *report_nic(const struct vr_net_count *net)
{
    struct vr_rpc_host_network_interface_stats *out = VR_NEW(rpc_host_network_interface_stats);
    int64_t speed = vr_proc_number(0, "/sys/class/net/%s/speed", net->name);
    g_autofree char *state = vr_proc_read("/sys/class/net/%s/operstate", net->name);
    g_autofree char *duplex = vr_proc_read("/sys/class/net/%s/duplex", net->name);
    VR_SET_STRING(out, name, net->name);
    NUMBER(out, rx, net->rx);
    NUMBER(out, tx, net->tx);
    NUMBER(out, rx_errors, net->rx_errors);
    NUMBER(out, tx_errors, net->tx_errors);
    NUMBER(out, rx_dropped, net->rx_dropped);
    NUMBER(out, tx_dropped, net->tx_dropped);
    NUMBER(out, speed, speed > 0 ? speed : 1000);
    VR_SET_STRING(out, duplex, duplex && *duplex ? duplex : "unknown");
    /* What the kernel calls running (IFF_RUNNING): "unknown" is a driver that cannot tell, as of a
     * dummy; dormant, testing, notpresent and the rest carry nothing. */
    bool up = !g_strcmp0(state, "up") || !g_strcmp0(state, "unknown");
    VR_SET(out, state,
           up ? VR_RPC_NETWORK_INTERFACE_STATE_UP : VR_RPC_NETWORK_INTERFACE_STATE_DOWN);
    VR_SET(out, sample_time, (double)g_get_real_time() / 1e6);
    return out;
}

struct vr_rpc_host_network_statistics *vr_stats_network(struct vr_stats *stats)
{
    struct vr_rpc_host_network_statistics *out = VR_NEW(rpc_host_network_statistics);
    g_autofree char *dev = vr_proc_read("/proc/net/dev");
    g_autoptr(GArray) nets = vr_proc_net(dev);
    uint64_t rx_dropped = 0, tx_dropped = 0;
    out->has.network = true;
    for (unsigned i = 0; i < nets->len; i++) {
        const struct vr_net_count *net = &g_array_index(nets, struct vr_net_count, i);
        rx_dropped += net->rx_dropped;
        tx_dropped += net->tx_dropped;
        /* The machines' own interfaces are in their statistics. */
        if (!g_str_has_prefix(net->name, "vnet"))
            vr_map_set(&out->network, net->name, report_nic(net));
    }
    NUMBER(out, rx_dropped, rx_dropped);
    NUMBER(out, tx_dropped, tx_dropped);
    return out;
}

static void report_disks(struct vr_stats *stats, struct vr_rpc_host_stats *out)
{
    const char *paths[] = { "/tmp", "/var/log", stats->run_dir };
    out->has.disk_stats = true;
    for (unsigned i = 0; i < G_N_ELEMENTS(paths); i++) {
        struct statvfs st;
        if (statvfs(paths[i], &st) < 0)
            continue;
        struct vr_rpc_path_stats *path = VR_NEW(rpc_path_stats);
        NUMBER(path, free, (uint64_t)st.f_bavail * st.f_frsize / MiB(1));
        vr_map_set(&out->disk_stats, paths[i], path);
    }
}

struct vr_rpc_host_stats *vr_stats_report(struct vr_stats *stats)
{
    struct vr_rpc_host_stats *out = VR_NEW(rpc_host_stats);
    report_cpu(stats, out);
    report_memory(out);
    report_disks(stats, out);
    vr_auto struct vr_rpc_host_network_statistics *network = vr_stats_network(stats);
    out->network = network->network;
    memset(&network->network, 0, sizeof(network->network));
    network->has.network = false;
    out->has.network = true;
    VR_SET_STRING(out, rx_dropped, network->rx_dropped);
    VR_SET_STRING(out, tx_dropped, network->tx_dropped);

    g_autofree char *stat = vr_proc_read("/proc/stat");
    NUMBER(out, boot_time, vr_proc_boot_time(stat));
    NUMBER(out, elapsed_time, g_get_real_time() / G_USEC_PER_SEC - stats->started);
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();
    VR_TAKE_STRING(out, date_time, g_date_time_format(now, "%Y-%m-%dT%H:%M:%S GMT"));
    VR_SET_STRING(out, mom_status, "active");
    VR_SET(out, ha_score, 0);
    struct vr_rpc_hosted_engine_status *ha = VR_NEW(rpc_hosted_engine_status);
    VR_SET(ha, configured, false);
    VR_SET(ha, active, false);
    VR_SET(ha, score, 0);
    VR_SET(ha, global_maintenance, false);
    VR_SET(ha, local_maintenance, false);
    VR_TAKE(out, ha_stats, ha);
    VR_SET_STRING(out, v2v_jobs, "{}");
    out->has.multipath_health = true;
    VR_SET(out, incoming_vm_migrations, 0);
    VR_SET(out, outgoing_vm_migrations, 0);
    return out;
}
