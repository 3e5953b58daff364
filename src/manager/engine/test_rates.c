/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/engine/rates.h"
#include "manager/engine/reduce.h"

#include "model/host.h"

static struct vr_rpc_vm_stats *report(const char *clock, double sampled, const char *rx,
                                      const char *tx, const char *reads)
{
    struct vr_rpc_vm_stats *stats = VR_NEW(rpc_vm_stats);
    struct vr_rpc_network_interface_stats *nic = VR_NEW(rpc_network_interface_stats);
    struct vr_rpc_vm_disk_stats *disk = VR_NEW(rpc_vm_disk_stats);
    VR_SET_STRING(stats, status_time, clock);
    VR_SET_STRING(nic, rx, rx);
    VR_SET_STRING(nic, tx, tx);
    VR_SET(nic, sample_time, sampled);
    VR_SET_STRING(disk, read_ops, reads);
    VR_SET_STRING(disk, write_ops, "7");
    stats->has.network = stats->has.disks = true;
    vr_map_set(&stats->network, "vnet0", nic);
    vr_map_set(&stats->disks, "vda", disk);
    stats->has.network = stats->has.disks = true;
    return stats;
}

/* Every row is a second report after one of 1,000 received, 100 sent bytes and 10 reads at time 10,
 * where 5 and 5 a second were known of vnet0. */
static const struct {
    const char *what;
    const char *clock, *rx, *tx, *reads;
    double sampled;
    double in, out, disk_in;
} rows[] = {
    { "four seconds later", "14000", "1400", "500", "30", 14, 100, 100, 5 },
    { "nothing happened", "14000", "1000", "100", "10", 14, 0, 0, 0 },
    { "the counters began anew", "14000", "3", "1", "1", 14, 0, 0, 0 },
    { "not sampled again", "10000", "1000", "100", "10", 10, 5, 5, 0 },
    { "no numbers", "14000", "nan", "-inf", "x", 14, 0, 0, 0 },
    { "beyond all networks", "14000", "1e300", "inf", "1e400", 14, 0, 0, 0 },
};

static void test_rows(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        vr_auto struct vr_rpc_vm_stats *first = report("10000", 10, "1000", "100", "10");
        vr_auto struct vr_rpc_vm_stats *middle = report("10000", 9, "995", "95", "10");
        vr_auto struct vr_rpc_vm_stats *second =
            report(rows[i].clock, rows[i].sampled, rows[i].rx, rows[i].tx, rows[i].reads);
        double in, out;
        g_test_message("%s", rows[i].what);
        GArray *rates = vr_rates_between(middle, first, NULL);
        rates = vr_rates_between(first, second, rates);
        vr_rates_find(rates, "vnet0", &in, &out);
        g_assert_cmpfloat(in, ==, rows[i].in);
        g_assert_cmpfloat(out, ==, rows[i].out);
        vr_rates_find(rates, "vda", &in, &out);
        g_assert_cmpfloat(in, ==, rows[i].disk_in);
        g_assert_cmpfloat(out, ==, 0);
        g_assert_false(vr_rates_find(rates, "vdb", &in, &out));
        g_clear_pointer(&rates, g_array_unref);
    }
}

static void test_first_report_has_none(void)
{
    vr_auto struct vr_rpc_vm_stats *first = report("10000", 10, "1000", "100", "10");
    vr_auto struct vr_rpc_host_stats *other = VR_NEW(rpc_host_stats);
    g_assert_null(vr_rates_between(NULL, first, NULL));
    g_assert_null(vr_rates_between(other, first, NULL));
    g_assert_null(vr_rates_between(first, NULL, NULL));
}

/* Of a whole report everything stays that the interface shows of a machine, and a name that is
 * misspelt in the table of what goes would end the program. */
static void test_what_is_kept_of_a_report(void)
{
    vr_auto struct vr_rpc_vm_stats *full = report("10000", 10, "1000", "100", "10");
    VR_SET_STRING(full, cpu_user, "12.5");
    VR_SET_STRING(full, username, "root");
    VR_SET_STRING(full, vm_name, "web");
    VR_APPEND(full, apps_list, g_strdup("kernel"));
    vr_auto struct vr_rpc_vm_stats *kept = vr_reduce_report(full);
    g_assert_cmpstr(kept->cpu_user, ==, "12.5");
    g_assert_cmpstr(kept->username, ==, "root");
    g_assert_false(VR_HAS(kept, vm_name) || VR_HAS(kept, apps_list));
    GArray *rates = vr_rates_between(full, kept, NULL);
    g_assert_null(rates); /* nothing happened in between */
    g_assert_cmpuint(kept->network.len + kept->disks.len, ==, 2);
    vr_auto struct vr_rpc_host_stats *host = VR_NEW(rpc_host_stats);
    VR_SET_STRING(host, cpu_idle, "97.5");
    host->has.cpu_statistics = true;
    vr_auto struct vr_rpc_host_stats *kept_of_host = vr_reduce_report(host);
    g_assert_cmpstr(kept_of_host->cpu_idle, ==, "97.5");
    g_assert_false(VR_HAS(kept_of_host, cpu_statistics));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/rates/rows", test_rows);
    g_test_add_func("/rates/first report has none", test_first_report_has_none);
    g_test_add_func("/rates/what is kept of a report", test_what_is_kept_of_a_report);
    return g_test_run();
}
