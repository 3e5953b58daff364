/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/engine/fake_site.h"
#include "manager/deploy/deploy.h"
#include "manager/hosts/internal.h"
#include "manager/storage/storage.h"
#include "manager/vms/vms.h"

/* One host, watched from its first report on: what becomes of links that go down, and of loads. */

const struct vr_module *const vr_modules[] = { &vr_hosts_module, NULL };
const struct vr_job_type *const vr_job_types[] = { NULL };

/* --- what it touches of other modules --- */

void vr_vms_host_report(struct vr_engine *engine, const char *host_id, const struct vr_list *vm_stats,
                        int64_t asked)
{
}
void vr_vms_host_event(struct vr_engine *engine, const char *host_id, const char *method,
                       const char *params)
{
}
void vr_vms_host_lost(struct vr_txn *txn, const char *host_id)
{
}
unsigned vr_vms_count_on(struct vr_engine *engine, const char *host_id)
{
    return 0;
}
void vr_vms_host_changed(struct vr_engine *engine, const char *host_id)
{
}
bool vr_deploy_is_running(struct vr_engine *engine, const struct vr_host *host)
{
    return false;
}
void vr_storage_connect_host(struct vr_engine *engine, const char *host_id, vr_storage_ready *done,
                             void *arg)
{
    done(engine, host_id, NULL, arg);
}
void vr_storage_disconnect_host(struct vr_engine *engine, const char *host_id)
{
}
void vr_storage_host_report(struct vr_engine *engine, const char *host_id,
                            const struct vr_rpc_host_stats *stats)
{
}
void vr_storage_host_gone(struct vr_engine *engine, const char *host_id)
{
}

/* --- the site --- */

/*
 *   red   opt   blue    green     late (required, not in operation)
 *    |     |     |     bond0.10    |
 *    |     |     |       |         |
 *   eth0  eth1  eth2   bond0      eth5    eth6 (free)
 *                      |   |
 *                    eth3 eth4
 */
static const struct network {
    const char *name, *device;
    bool required, operational;
} networks[] = {
    { "red", "eth0", true, true },       { "opt", "eth1", false, true },
    { "blue", "eth2", true, true },      { "green", "bond0.10", true, true },
    { "late", "eth5", true, false },
};
static const char *const nics[] = { "eth0", "eth1", "eth2", "eth3", "eth4", "eth5", "eth6" };
static const char *const devices[] = { "eth0", "eth1", "eth2",  "eth3",     "eth4",
                                       "eth5", "eth6", "bond0", "bond0.10" };

#define SAMPLE_MS (15 * 1000) /* VdsRefreshRate times NumberVmRefreshesBeforeSave */

/* What the host says of its load at every sample; 0 of a member: nothing to tell of. */
struct load {
    int64_t mem_free, swap_total, swap_free; /* MiB */
    const char *mem_used, *cpu_idle;         /* percent */
    int64_t tmp, log;                        /* MiB that are free there */
    int64_t eth0, eth2;                      /* Mbit/s of 1000 */
};

struct host {
    struct fake *fake;
    const char *script; /* "eth0 uddu, bond0 ud": a letter a sample, the last one stays */
    struct load load;
};

static struct fake *site(void) VR_REQUIRES(vr_role_engine)
{
    GArray *changes = site_new();
    struct vr_cluster *cluster = VR_NEW(cluster);
    VR_SET_STRING(cluster, id, "cluster");
    site_add(changes, VR_KIND_CLUSTER, cluster);
    struct vr_host *host = VR_NEW(host);
    VR_SET_STRING(host, id, "host");
    VR_SET_STRING(host, name, "host");
    VR_SET_LINK(host, cluster, cluster, "cluster");
    VR_SET(host, status, VR_HOST_STATUS_UNASSIGNED);
    site_add(changes, VR_KIND_HOST, host);
    for (unsigned i = 0; i < G_N_ELEMENTS(networks); i++) {
        struct vr_network *network = VR_NEW(network);
        VR_SET_STRING(network, id, networks[i].name);
        VR_SET_STRING(network, name, networks[i].name);
        site_add(changes, VR_KIND_NETWORK, network);
        struct vr_cluster_network *attached = VR_NEW(cluster_network);
        VR_SET_STRING(attached, id, networks[i].name);
        VR_SET_LINK(attached, cluster, cluster, "cluster");
        VR_SET_LINK(attached, network, network, networks[i].name);
        VR_SET(attached, required, networks[i].required);
        VR_SET(attached, status,
               networks[i].operational ? VR_NETWORK_STATUS_OPERATIONAL
                                       : VR_NETWORK_STATUS_NON_OPERATIONAL);
        site_add(changes, VR_KIND_CLUSTER_NETWORK, attached);
    }
    return site_start(changes);
}

/* --- what the host answers --- */

static struct vr_rpc_vdsm_capabilities *capabilities(void)
{
    struct vr_rpc_vdsm_capabilities *caps = VR_NEW(rpc_vdsm_capabilities);
    caps->has.nics = caps->has.bondings = caps->has.vlans = caps->has.networks = true;
    VR_SET_STRING(caps, mem_size, "65536");
    for (unsigned i = 0; i < G_N_ELEMENTS(nics); i++)
        vr_map_set(&caps->nics, nics[i], VR_NEW(rpc_net_info_nic));
    struct vr_rpc_net_info_bond *bond = VR_NEW(rpc_net_info_bond);
    VR_APPEND(bond, slaves, g_strdup("eth3"));
    VR_APPEND(bond, slaves, g_strdup("eth4"));
    vr_map_set(&caps->bondings, "bond0", bond);
    struct vr_rpc_net_info_vlan *vlan = VR_NEW(rpc_net_info_vlan);
    VR_SET_STRING(vlan, iface, "bond0");
    VR_SET(vlan, vlanid, 10);
    vr_map_set(&caps->vlans, "bond0.10", vlan);
    for (unsigned i = 0; i < G_N_ELEMENTS(networks); i++) {
        struct vr_rpc_net_info_network *network = VR_NEW(rpc_net_info_network);
        VR_APPEND(network, ports, g_strdup(networks[i].device));
        vr_map_set(&caps->networks, networks[i].name, network);
    }
    return caps;
}

/* u, d, or - for a device that is not reported. */
static char letter(const struct host *host, const char *device)
{
    g_auto(GStrv) words = g_strsplit_set(host->script, " ,", 0);
    size_t at = (size_t)(host->fake->now / SAMPLE_MS);
    for (unsigned i = 0; words[i] && words[i + 1]; i++)
        if (strcmp(words[i], device) == 0)
            return words[i + 1][MIN(at, strlen(words[i + 1]) - 1)];
    return 'u';
}

static void report_disk(struct vr_rpc_host_stats *stats, const char *path, int64_t free)
{
    struct vr_rpc_path_stats *disk = VR_NEW(rpc_path_stats);
    VR_TAKE_STRING(disk, free, g_strdup_printf("%d", free ? (int)free : 9000));
    vr_map_set(&stats->disk_stats, path, disk);
}

static struct vr_rpc_host_stats *statistics(const struct host *host)
{
    const struct load *load = &host->load;
    struct vr_rpc_host_stats *stats = VR_NEW(rpc_host_stats);
    stats->has.network = stats->has.disk_stats = true;
    for (unsigned i = 0; i < G_N_ELEMENTS(devices); i++) {
        if (letter(host, devices[i]) == '-')
            continue;
        int64_t mbit = strcmp(devices[i], "eth0") == 0   ? load->eth0
                       : strcmp(devices[i], "eth2") == 0 ? load->eth2
                                                         : 0;
        struct vr_rpc_host_network_interface_stats *link = VR_NEW(rpc_host_network_interface_stats);
        VR_SET(link, state,
               letter(host, devices[i]) == 'u' ? VR_RPC_NETWORK_INTERFACE_STATE_UP
                                               : VR_RPC_NETWORK_INTERFACE_STATE_DOWN);
        VR_SET_STRING(link, speed, "1000");
        VR_SET_STRING(link, rx, "0");
        VR_TAKE_STRING(link, tx, g_strdup_printf("%" G_GINT64_FORMAT, mbit * 125 * host->fake->now));
        VR_SET(link, sample_time, (double)host->fake->now / 1000);
        vr_map_set(&stats->network, devices[i], link);
    }
    VR_SET(stats, mem_free, load->mem_free ? load->mem_free : 60000);
    VR_SET(stats, swap_total, load->swap_total);
    VR_SET(stats, swap_free, load->swap_free);
    VR_SET_STRING(stats, mem_used, load->mem_used ? load->mem_used : "8.00");
    VR_SET_STRING(stats, cpu_idle, load->cpu_idle ? load->cpu_idle : "97.00");
    report_disk(stats, "/tmp", load->tmp);
    report_disk(stats, "/var/log", load->log);
    return stats;
}

static void answer_all(const struct host *host) VR_REQUIRES(vr_role_engine)
{
    struct fake *fake = host->fake;
    fake_settle(fake);
    while (!g_queue_is_empty(&fake->calls)) {
        const struct vr_verb *verb = ((struct fake_call *)g_queue_peek_head(&fake->calls))->verb;
        void *result = verb == &vr_verb_host_get_capabilities ? (void *)capabilities()
                       : verb == &vr_verb_host_get_stats      ? (void *)statistics(host)
                       : verb == &vr_verb_host_get_hardware_info
                           ? (void *)VR_NEW(rpc_hardware_information)
                           : (void *)VR_NEW(rpc_host_get_all_vm_stats_result);
        fake_answer(fake, result, 0, NULL);
        vr_unref(result);
        fake_settle(fake);
    }
}

static void pass(const struct host *host, int64_t ms) VR_REQUIRES(vr_role_engine)
{
    for (int64_t end = host->fake->now + ms; host->fake->now < end;) {
        fake_advance(host->fake, 1000);
        answer_all(host);
    }
}

static void join(const struct host *host) VR_REQUIRES(vr_role_engine)
{
    fake_advance(host->fake, 0);
    vr_engine_host_state(host->fake->engine, "host", true, NULL);
    answer_all(host);
    const struct vr_host *entity = VR_PEEK(vr_engine_head(host->fake->engine), HOST, host, "host");
    g_assert_cmpint(entity->status, ==, VR_HOST_STATUS_UP);
}

static gint compare_events(gconstpointer a, gconstpointer b)
{
    const struct vr_event *const *left = a, *const *right = b;
    return left[0]->index < right[0]->index ? -1 : 1;
}

/* The codes of what was told since the host first came up; *@ret_text is the last one's.  Owned. */
static char *told(struct fake *fake, char **ret_text) VR_REQUIRES(vr_role_engine)
{
    GString *codes = g_string_new(NULL);
    vr_auto_objects struct vr_objects events = { 0 };
    vr_inventory_list(vr_engine_head(fake->engine), VR_KIND_EVENT, &events);
    qsort(events.items, events.count, sizeof(void *), compare_events);
    for (unsigned i = 1; i < events.count; i++)
        g_string_append_printf(codes, "%s%d", i > 1 ? " " : "",
                               (int)((const struct vr_event *)events.items[i])->code);
    *ret_text = g_strdup(((const struct vr_event *)events.items[events.count - 1])->description);
    return g_string_free(codes, FALSE);
}

/* --- links --- */

static const struct row {
    const char *what, *script;
    unsigned samples;
    enum vr_host_status want;
    const char *told, *text; /* text: part of the last one's */
} rows[] = {
    { "all is well", "", 8, VR_HOST_STATUS_UP, "", NULL },
    { "a required network's NIC stays down", "eth0 ud", 6, VR_HOST_STATUS_NON_OPERATIONAL, "610 603",
      "interfaces eth0 (red) are down" },
    { "the last second of its grace", "eth0 ud", 5, VR_HOST_STATUS_UP, "610", "eth0" },
    { "a flap", "eth0 uddddu", 9, VR_HOST_STATUS_UP, "610 609", "Interface eth0 of host host is up." },
    { "two flaps make no minute", "eth0 udddduddddu", 14, VR_HOST_STATUS_UP, "610 609 610 609", NULL },
    { "down from the start", "eth0 d", 6, VR_HOST_STATUS_NON_OPERATIONAL, "603", "eth0 (red)" },
    { "a network that nobody requires", "eth1 ud", 12, VR_HOST_STATUS_UP, "610", "eth1" },
    { "a network that is not in operation", "eth5 ud", 12, VR_HOST_STATUS_UP, "610", "eth5" },
    { "a NIC without a network", "eth6 ud", 12, VR_HOST_STATUS_UP, "", NULL },
    { "a VLAN over a bond", "bond0 ud, bond0.10 ud", 6, VR_HOST_STATUS_NON_OPERATIONAL, "610 603",
      "bond0 (green)" },
    { "the VLAN is judged by the bond", "bond0.10 ud", 12, VR_HOST_STATUS_UP, "", NULL },
    { "a bond with one slave down", "eth3 ud", 12, VR_HOST_STATUS_UP, "612",
      "Interface eth3 of bond bond0 of host host is down." },
    { "a slave comes back", "eth3 udu", 12, VR_HOST_STATUS_UP, "612 611",
      "Interface eth3 of bond bond0 of host host is up." },
    { "both slaves, and so the bond", "eth3 ud, eth4 udd, bond0 ud", 6,
      VR_HOST_STATUS_NON_OPERATIONAL, "612 612 610 603", "bond0 (green)" },
    { "two NICs", "eth0 ud, eth2 ud", 6, VR_HOST_STATUS_NON_OPERATIONAL, "610 610 603",
      "eth0 (red), eth2 (blue)" },
    { "one network or another is missing all the time", "eth0 uddduuuuu, eth2 uuuuddddd", 6,
      VR_HOST_STATUS_NON_OPERATIONAL, "610 609 610 603", "interfaces eth2 (blue) are down" },
    { "a device that is not reported stays as it was", "eth0 u-", 12, VR_HOST_STATUS_UP, "", NULL },
    { "it stays unfit while the NIC is down", "eth0 ud", 60, VR_HOST_STATUS_NON_OPERATIONAL,
      "610 603", NULL },
    { "and recovers with the NIC", "eth0 udddddddu", 14, VR_HOST_STATUS_UP, "610 603 609 13", NULL },
    { "not while another is down", "eth0 ud, eth2 ud", 60, VR_HOST_STATUS_NON_OPERATIONAL,
      "610 610 603", NULL },
};

static void test_links(void) VR_NO_THREAD_SAFETY
{
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_test_message("%s", rows[i].what);
        struct host host = { .fake = site(), .script = rows[i].script };
        join(&host);
        pass(&host, (int64_t)rows[i].samples * SAMPLE_MS - 1000);
        struct vr_inventory *head = vr_engine_head(host.fake->engine);
        const struct vr_host *entity = VR_PEEK(head, HOST, host, "host");
        g_assert_cmpint(entity->status, ==, rows[i].want);
        if (rows[i].want == VR_HOST_STATUS_NON_OPERATIONAL)
            g_assert_cmpstr(entity->status_detail, ==, "network_interface_is_down");
        g_autofree char *text = NULL;
        g_autofree char *codes = told(host.fake, &text);
        g_assert_cmpstr(codes, ==, rows[i].told);
        if (rows[i].text)
            g_assert_nonnull(strstr(text, rows[i].text));
        for (unsigned n = 0; n < G_N_ELEMENTS(devices); n++) {
            g_autofree char *id = nic_id("host", devices[n]);
            const struct vr_host_nic *nic = VR_PEEK(head, HOST_NIC, host_nic, id);
            g_assert_cmpint(nic->status, ==, letter(&host, devices[n]) == 'd' ? VR_NIC_STATUS_DOWN
                                                                            : VR_NIC_STATUS_UP);
        }
        fake_free(host.fake);
    }
}

/* Who activates a host whose NIC is down gets it, for the grace. */
static void test_activation(void) VR_NO_THREAD_SAFETY
{
    struct host host = { .fake = site(), .script = "eth0 d" };
    struct vr_inventory *head = vr_engine_head(host.fake->engine);
    join(&host);
    pass(&host, 6 * SAMPLE_MS);
    g_assert_cmpint(VR_PEEK(head, HOST, host, "host")->status, ==, VR_HOST_STATUS_NON_OPERATIONAL);
    struct vr_txn *txn = vr_txn_new(host.fake->engine);
    vr_hosts_set_status(txn, "host", VR_HOST_STATUS_UNASSIGNED);
    vr_txn_commit(txn, NULL, NULL);
    pass(&host, 2 * SAMPLE_MS);
    g_assert_cmpint(VR_PEEK(head, HOST, host, "host")->status, ==, VR_HOST_STATUS_UP);
    pass(&host, 4 * SAMPLE_MS);
    g_assert_cmpint(VR_PEEK(head, HOST, host, "host")->status, ==, VR_HOST_STATUS_NON_OPERATIONAL);
    fake_free(host.fake);
}

/* --- loads --- */

static const struct {
    const char *what;
    struct load load;
    unsigned samples;
    const char *told, *text;
} loads[] = {
    { "nothing to tell", { .mem_free = 1024, .mem_used = "95.00", .cpu_idle = "5.00" }, 8, "", NULL },
    { "little memory", { .mem_free = 1023 }, 8, "531", "1023 MB memory left, less than 1024 MB" },
    { "much memory in use", { .mem_used = "95.60" }, 8, "532", "96 percent of its memory" },
    { "busy processors", { .cpu_idle = "1.00" }, 8, "534", "99 percent of its CPUs" },
    { "little swap", { .swap_total = 4000, .swap_free = 1003 }, 8, "536", "1003 MB swap left" },
    { "a little less swap is well", { .swap_total = 4000, .swap_free = 1004 }, 8, "", NULL },
    { "no swap at all", { .swap_total = 0, .swap_free = 0 }, 8, "", NULL },
    { "full disks", { .tmp = 500, .log = 3 }, 8, "24", "only 3 MB left on its local disk /tmp, /var/log" },
    { "a disk is full enough", { .tmp = 501 }, 8, "", NULL },
    { "a busy NIC", { .eth0 = 970 }, 8, "608", "eth0 of host host uses 97 percent" },
    { "two busy NICs", { .eth0 = 970, .eth2 = 1000 }, 8, "608 608", NULL },
    { "a NIC is busy, but not very", { .eth0 = 950 }, 8, "", NULL },
    { "it goes on: once in half an hour", { .mem_free = 1 }, 4 * 60 + 4, "531 531 531", NULL },
    { "disks every 15 minutes", { .log = 1 }, 4 * 16, "24 24", NULL },
    { "a nonsense report", { .mem_used = "nan", .cpu_idle = "nan" }, 8, "", NULL },
};

static void test_loads(void) VR_NO_THREAD_SAFETY
{
    for (unsigned i = 0; i < G_N_ELEMENTS(loads); i++) {
        g_test_message("%s", loads[i].what);
        struct host host = { .fake = site(), .script = "" };
        join(&host);
        host.load = loads[i].load;
        pass(&host, (int64_t)loads[i].samples * SAMPLE_MS);
        g_autofree char *text = NULL;
        g_autofree char *codes = told(host.fake, &text);
        g_assert_cmpstr(codes, ==, loads[i].told);
        if (loads[i].text)
            g_assert_nonnull(strstr(text, loads[i].text));
        fake_free(host.fake);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/hosts/links", test_links);
    g_test_add_func("/hosts/links/activation", test_activation);
    g_test_add_func("/hosts/loads", test_loads);
    return g_test_run();
}
