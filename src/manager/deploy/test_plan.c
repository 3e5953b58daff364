/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/codec.h"
#include "manager/engine/fake_site.h"
#include "manager/deploy/internal.h"

/* What is made of a host's report of its networks; a host says what it likes. */

const struct vr_module *const vr_modules[] = { NULL };
const struct vr_job_type *const vr_job_types[] = { NULL };

/* A cluster whose management network is "mgmt". */
static struct fake *site(void) VR_REQUIRES(vr_role_engine)
{
    GArray *changes = site_new();
    struct vr_network *network = VR_NEW(network);
    VR_SET_STRING(network, id, "n");
    VR_SET_STRING(network, name, "mgmt");
    site_add(changes, VR_KIND_NETWORK, network);
    struct vr_cluster_network *link = VR_NEW(cluster_network);
    VR_SET_STRING(link, id, "cn");
    VR_SET_LINK(link, cluster, cluster, "c");
    VR_SET_LINK(link, network, network, "n");
    VR_SET(link, management, true);
    site_add(changes, VR_KIND_CLUSTER_NETWORK, link);
    struct vr_host *host = VR_NEW(host);
    VR_SET_STRING(host, id, "h");
    VR_SET_STRING(host, address, "192.0.2.11");
    VR_SET_LINK(host, cluster, cluster, "c");
    site_add(changes, VR_KIND_HOST, host);
    return site_start(changes);
}

#define WITH_ADDRESS "'addr':'192.0.2.11','netmask':'255.255.255.0','ipv4addrs':['192.0.2.11/24']"

static const struct row {
    const char *what, *report; /* ' for " */
    enum deploy_network_outcome outcome;
    const char *nic, *bond, *vlan; /* of what is wanted */
} rows[] = {
    { "a card", "{'nics':{'eth0':{" WITH_ADDRESS "}}}", DEPLOY_NETWORK_WANTED, "eth0", NULL, NULL },
    { "a bond", "{'bondings':{'bond0':{" WITH_ADDRESS "}}}", DEPLOY_NETWORK_WANTED, NULL, "bond0",
      NULL },
    { "the bridge is there", "{'networks':{'mgmt':{}}}", DEPLOY_NETWORK_THERE, NULL, NULL, NULL },
    { "a VLAN that the network is not in",
      "{'vlans':{'eth0.7':{'iface':'eth0','vlanid':7," WITH_ADDRESS "}}}", DEPLOY_NETWORK_REFUSED,
      NULL, NULL, NULL },
    { "a lease", "{'nics':{'eth0':{'dhcpv4':true," WITH_ADDRESS "}}}", DEPLOY_NETWORK_NONE, NULL, NULL,
      NULL },
    { "loopback", "{'lastClientIface':'lo'}", DEPLOY_NETWORK_NONE, NULL, NULL, NULL },
    { "another bridge", "{'lastClientIface':'br0','bridges':{'br0':{}}}", DEPLOY_NETWORK_REFUSED, NULL,
      NULL, NULL },
    { "nothing at all", "{}", DEPLOY_NETWORK_REFUSED, NULL, NULL, NULL },
    { "a VLAN over nothing, beside a bond", "{'vlans':{'v':{'vlanid':7}},'bondings':{'bond0':{}}}",
      DEPLOY_NETWORK_REFUSED, NULL, NULL, NULL },
    { "and it has the address", "{'vlans':{'v':{" WITH_ADDRESS "}},'bondings':{'bond0':{}}}",
      DEPLOY_NETWORK_REFUSED, NULL, NULL, NULL },
};

static void test_plans(void) VR_NO_THREAD_SAFETY
{
    struct fake *fake = site();
    const struct vr_host *host = VR_PEEK(vr_engine_head(fake->engine), HOST, host, "h");
    struct vr_job_run run = { .engine = fake->engine };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        vr_auto_error struct vr_error *error = NULL;
        g_autofree char *text = g_strdelimit(g_strdup(rows[i].report), "'", '"');
        g_test_message("%s", rows[i].what);
        vr_auto struct vr_rpc_vdsm_capabilities *caps =
            vr_json_read(&vr_type_rpc_vdsm_capabilities, text, strlen(text), VR_JSON_HOST,
                         &vr_codec_caps_host, &error);
        g_assert_nonnull(caps);
        struct deploy_network network = { .outcome = DEPLOY_NETWORK_NONE };
        deploy_network_plan(&run, host, caps, &network);
        g_assert_cmpint(network.outcome, ==, rows[i].outcome);
        g_assert_cmpint(network.wanted != NULL, ==, rows[i].outcome == DEPLOY_NETWORK_WANTED);
        if (network.wanted) {
            g_assert_cmpstr(network.wanted->nic, ==, rows[i].nic);
            g_assert_cmpstr(network.wanted->bonding, ==, rows[i].bond);
            g_assert_cmpstr(network.wanted->vlan, ==, rows[i].vlan);
            g_assert_cmpstr(network.wanted->ipaddr, ==, "192.0.2.11");
        }
        deploy_network_done(&network);
    }
    fake_free(fake);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/deploy/plan", test_plans);
    return g_test_run();
}
