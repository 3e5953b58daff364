/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/stats/proc.h"

static const char stat_text[] = "cpu  100 20 30 400 50 6 4 2 0 0\n"
                                "cpu0 60 10 20 200 25 3 2 1 0 0\n"
                                "cpu7 40 10 10 200 25 3 2 1 0 0\n"
                                "intr 1234\nctxt 99\nbtime 1700000000\n";

static void test_cpu(void)
{
    g_autoptr(GArray) cpus = vr_proc_cpu(stat_text);
    g_assert_cmpuint(cpus->len, ==, 3);
    const struct vr_cpu_time *all = &g_array_index(cpus, struct vr_cpu_time, 0);
    const struct vr_cpu_time *last = &g_array_index(cpus, struct vr_cpu_time, 2);
    g_assert_cmpint(all->id, ==, -1);
    g_assert_cmpuint(all->user, ==, 120);
    g_assert_cmpuint(all->system, ==, 42);
    g_assert_cmpuint(all->idle, ==, 450);
    g_assert_cmpint(last->id, ==, 7);
    g_assert_cmpint(vr_proc_boot_time(stat_text), ==, 1700000000);
}

static void test_cpu_share(void)
{
    static const struct {
        const char *what;
        struct vr_cpu_time before, now;
        double user, system, idle;
    } rows[] = {
        { "a quarter each", { 0, 0, 0, 0 }, { 0, 25, 25, 50 }, 25, 25, 50 },
        { "no time passed", { 0, 5, 5, 5 }, { 0, 5, 5, 5 }, 0, 0, 0 },
        { "idle steps back", { 0, 0, 0, 10 }, { 0, 10, 0, 9 }, 100, 0, 0 },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct vr_cpu_share share = vr_proc_cpu_share(&rows[i].before, &rows[i].now);
        g_test_message("%s", rows[i].what);
        g_assert_cmpfloat(share.user, ==, rows[i].user);
        g_assert_cmpfloat(share.system, ==, rows[i].system);
        g_assert_cmpfloat(share.idle, ==, rows[i].idle);
    }
}

static void test_meminfo(void)
{
    static const char host[] =
        "MemTotal:       16000 kB\nMemFree:         4000 kB\nSwapCached: 9 kB\n"
        "Cached:          3000 kB\n";
    static const char node[] = "Node 0 MemTotal:       16000 kB\nNode 0 MemFree:         4000 kB\n";
    g_assert_cmpuint(vr_proc_meminfo(host, "MemFree"), ==, 4000);
    g_assert_cmpuint(vr_proc_meminfo(host, "Cached"), ==, 3000);
    g_assert_cmpuint(vr_proc_meminfo(host, "Absent"), ==, 0);
    g_assert_cmpuint(vr_proc_meminfo(node, "MemFree"), ==, 4000);
    g_assert_cmpuint(vr_proc_meminfo(NULL, "MemFree"), ==, 0);
}

static void test_net(void)
{
    static const char text[] =
        "Inter-|   Receive                                                |  Transmit\n"
        " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs\n"
        "    lo:     100       1    0    0    0     0          0         0      100       1    0   "
        " 0"
        "    0     0       0          0\n"
        "  eth0: 1234567      10    1    2    0     0          0         0  7654321      20    3   "
        " 4"
        "    0     0       0          0\n";
    g_autoptr(GArray) nets = vr_proc_net(text);
    g_assert_cmpuint(nets->len, ==, 2);
    const struct vr_net_count *net = &g_array_index(nets, struct vr_net_count, 1);
    g_assert_cmpstr(net->name, ==, "eth0");
    g_assert_cmpuint(net->rx, ==, 1234567);
    g_assert_cmpuint(net->rx_errors, ==, 1);
    g_assert_cmpuint(net->rx_dropped, ==, 2);
    g_assert_cmpuint(net->tx, ==, 7654321);
    g_assert_cmpuint(net->tx_errors, ==, 3);
    g_assert_cmpuint(net->tx_dropped, ==, 4);
}

static void test_list(void)
{
    static const struct {
        const char *text;
        unsigned count, last;
    } rows[] = { { "0-3,8", 5, 8 },
                 { "5", 1, 5 },
                 { "", 0, 0 },
                 { "x,2", 1, 2 },
                 { "0-99999999999", 4096, 4095 } };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GArray) list = vr_proc_list(rows[i].text);
        g_assert_cmpuint(list->len, ==, rows[i].count);
        if (list->len)
            g_assert_cmpuint(g_array_index(list, unsigned, list->len - 1), ==, rows[i].last);
    }
}

static void test_load(void)
{
    g_assert_cmpfloat(vr_proc_load5("0.50 1.25 2.00 1/234 5678"), ==, 1.25);
    g_assert_cmpfloat(vr_proc_load5(NULL), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/proc/processor times are read, the sum first", test_cpu);
    g_test_add_func("/proc/shares are percent of the time between two readings", test_cpu_share);
    g_test_add_func("/proc/memory is found by its whole name", test_meminfo);
    g_test_add_func("/proc/interfaces are counted", test_net);
    g_test_add_func("/proc/lists of numbers are capped", test_list);
    g_test_add_func("/proc/the load is that of five minutes", test_load);
    return g_test_run();
}
