/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/engine/rates.h"

#include "model/host.h"

static void clear(void *item)
{
    g_free(((struct vr_device_rate *)item)->device);
}

bool vr_rates_find(const GArray *rates, const char *device, double *ret_in, double *ret_out)
{
    *ret_in = *ret_out = 0;
    for (unsigned i = 0; rates && device && i < rates->len; i++) {
        const struct vr_device_rate *rate = &g_array_index(rates, struct vr_device_rate, i);
        if (strcmp(rate->device, device) != 0)
            continue;
        *ret_in = rate->in;
        *ret_out = rate->out;
        return true;
    }
    return false;
}

struct finding {
    GArray *rates, *known;
};

/* A counter that went back began anew: its device was taken out and put in again. */
static double per_second(const char *before, const char *after, double seconds)
{
    double from = before ? g_ascii_strtod(before, NULL) : 0;
    double to = after ? g_ascii_strtod(after, NULL) : 0;
    double rate = (to - from) / seconds;
    return rate > 0 && rate < (double)G_MAXINT64 ? rate : 0; /* not a number fails both */
}

struct counters {
    const char *in, *out;
};

static void add(struct finding *finding, const char *device, struct counters before,
                struct counters after, double seconds)
{
    struct vr_device_rate rate = { 0 };
    if (seconds > 0) {
        rate.in = per_second(before.in, after.in, seconds);
        rate.out = per_second(before.out, after.out, seconds);
    } else if (!vr_rates_find(finding->known, device, &rate.in, &rate.out)) {
        return;
    }
    if (!finding->rates) {
        finding->rates = g_array_new(FALSE, FALSE, sizeof(struct vr_device_rate));
        g_array_set_clear_func(finding->rates, clear);
    }
    rate.device = g_strdup(device);
    g_array_append_val(finding->rates, rate);
}

#define NETWORK(stats_type)                                                                        \
    static void network_##stats_type(struct finding *finding, const struct vr_map *before,         \
                                     const struct vr_map *after)                                   \
    {                                                                                              \
        for (unsigned i = 0; i < after->len; i++) {                                                \
            const struct vr_rpc_##stats_type *now = after->values[i];                              \
            const struct vr_rpc_##stats_type *then = vr_map_get(before, after->keys[i]);           \
            if (then && now)                                                                       \
                add(finding, after->keys[i], (struct counters){ then->rx, then->tx },              \
                    (struct counters){ now->rx, now->tx }, now->sample_time - then->sample_time);  \
        }                                                                                          \
    }
NETWORK(network_interface_stats)
NETWORK(host_network_interface_stats)
#undef NETWORK

static double clock_of(const struct vr_rpc_vm_stats *stats)
{
    return stats->status_time ? g_ascii_strtod(stats->status_time, NULL) / 1000 : 0;
}

static void machine(struct finding *finding, const struct vr_rpc_vm_stats *before,
                    const struct vr_rpc_vm_stats *after)
{
    network_network_interface_stats(finding, &before->network, &after->network);
    for (unsigned i = 0; i < after->disks.len; i++) {
        const struct vr_rpc_vm_disk_stats *now = after->disks.values[i];
        const struct vr_rpc_vm_disk_stats *then = vr_map_get(&before->disks, after->disks.keys[i]);
        if (then && now)
            add(finding, after->disks.keys[i], (struct counters){ then->read_ops, then->write_ops },
                (struct counters){ now->read_ops, now->write_ops },
                clock_of(after) - clock_of(before));
    }
}

GArray *vr_rates_between(const void *before, const void *after, GArray *known)
{
    struct finding finding = { .known = known };
    const struct vr_type *type = after ? ((const struct vr_object *)after)->type : NULL;
    if (type && before && type == ((const struct vr_object *)before)->type) {
        if (type == &vr_type_rpc_vm_stats)
            machine(&finding, before, after);
        else if (type == &vr_type_rpc_host_stats)
            network_host_network_interface_stats(
                &finding, &((const struct vr_rpc_host_stats *)before)->network,
                &((const struct vr_rpc_host_stats *)after)->network);
    }
    if (known)
        g_array_unref(known);
    return finding.rates;
}
