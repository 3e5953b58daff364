/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/netconf/private.h"

#include <glib/gstdio.h>

/* Every row is a line of ip(8) and what of it is given back to ip; NULL: it does not move. */
static const struct {
    const char *what, *line, *want;
} address_rows[] = {
    { "a fixed address",
      "2: nic0    inet 192.0.2.11/24 brd 192.0.2.255 scope global nic0\\       valid_lft forever "
      "preferred_lft forever",
      "192.0.2.11/24 brd 192.0.2.255" },
    { "a leased address keeps its end",
      "2: eth0    inet 192.0.2.7/24 brd 192.0.2.255 scope global dynamic eth0\\       valid_lft "
      "3599sec preferred_lft 1800sec",
      "192.0.2.7/24 brd 192.0.2.255 valid_lft 3599 preferred_lft 1800" },
    { "the other end of a point-to-point link",
      "3: ppp0    inet 192.0.2.1 peer 192.0.2.2/32 scope global ppp0\\       valid_lft forever "
      "preferred_lft forever",
      "192.0.2.1 peer 192.0.2.2/32" },
    { "IPv6 is in use at once",
      "2: nic0    inet6 2001:db8::1/64 scope global noprefixroute \\       valid_lft forever "
      "preferred_lft forever",
      "2001:db8::1/64 noprefixroute nodad" },
    { "a temporary address is the kernel's", "2: nic0    inet6 2001:db8::9/64 scope global temporary "
      "dynamic \\       valid_lft 9sec preferred_lft 9sec", NULL },
    { "something else", "2: nic0: <BROADCAST> mtu 1500", NULL },
    { "half a line", "2: nic0    inet", NULL },
};

static const struct {
    const char *what;
    bool six;
    const char *line, *want;
} route_rows[] = {
    { "the way out", false, "default via 192.0.2.1 proto static metric 100 ",
      "0.0.0.0/0 via 192.0.2.1 proto static metric 100" },
    { "the way out of IPv6", true, "default via fe80::1 proto ra metric 1024 expires 1799sec pref medium",
      "::/0 via fe80::1 proto ra metric 1024 expires 1799 pref medium" },
    { "of another table, on a cable that is out", false,
      "203.0.113.0/24 via 192.0.2.1 table 7 src 192.0.2.11 linkdown dead",
      "203.0.113.0/24 via 192.0.2.1 table 7 src 192.0.2.11" },
    { "what an address brings along", false, "192.0.2.0/24 proto kernel scope link src 192.0.2.11", NULL },
    { "the address itself", false, "local 192.0.2.11 table local proto kernel scope host", NULL },
    { "what every interface has", true, "fe80::/64 metric 256 pref medium", NULL },
    { "nothing", false, "  ", NULL },
};

static void test_addresses(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(address_rows); i++) {
        g_autofree char *text = vr_carried_address(address_rows[i].line);
        g_test_message("%s", address_rows[i].what);
        g_assert_cmpstr(text, ==, address_rows[i].want);
    }
}

static void test_routes(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(route_rows); i++) {
        g_autofree char *text = vr_carried_route(route_rows[i].line, route_rows[i].six);
        g_test_message("%s", route_rows[i].what);
        g_assert_cmpstr(text, ==, route_rows[i].want);
    }
}

static void test_what_lasts(void)
{
    g_assert_true(vr_carried_is_lasting("192.0.2.11/24 brd 192.0.2.255"));
    g_assert_false(vr_carried_is_lasting("192.0.2.11/24 valid_lft 10 preferred_lft 10"));
    g_assert_false(vr_carried_is_lasting("::/0 via fe80::1 proto ra metric 1024"));
    g_assert_false(vr_carried_is_lasting("0.0.0.0/0 via 192.0.2.1 proto dhcp"));
}

static struct vr_network *network(const char *address)
{
    struct vr_network *made = g_new0(struct vr_network, 1);
    made->name = g_strdup("net1");
    made->nic = g_strdup("nic0");
    made->address = g_strdup(address);
    made->own_bridge = true;
    made->addresses = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(made->addresses, g_strdup(address));
    g_ptr_array_add(made->addresses, g_strdup("192.0.2.99/24 valid_lft 5 preferred_lft 5"));
    return made;
}

/* A journal is there whole or not at all, and says both sides; what is saved for a boot is without
 * what was leased. */
static void test_journal(void)
{
    g_autofree char *state = g_dir_make_tmp("netconf-XXXXXX", NULL);
    g_autofree char *half = g_build_filename(state, "networks.change.new", NULL);
    vr_auto_error struct vr_error *error = NULL;
    g_assert_null(vr_net_journal_read(state));
    g_mkdir(half, 0700);
    g_assert_null(vr_net_journal_read(state));

    g_autoptr(GPtrArray) changes = g_ptr_array_new_with_free_func(vr_net_change_free);
    struct vr_net_change *change = g_new0(struct vr_net_change, 1);
    g_ptr_array_add(changes, change);
    change->before = network("192.0.2.1/24");
    change->after = network("192.0.2.2/24");
    g_assert_true(vr_net_journal_write(state, changes, &error));
    g_autoptr(GPtrArray) read = vr_net_journal_read(state);
    g_assert_cmpuint(read->len, ==, 1);
    const struct vr_net_change *found = read->pdata[0];
    g_assert_cmpstr(found->before->address, ==, "192.0.2.1/24");
    g_assert_cmpstr(found->after->address, ==, "192.0.2.2/24");
    g_assert_true(found->after->own_bridge);
    g_assert_cmpuint(found->after->addresses->len, ==, 2);
    vr_net_journal_clear(state);
    g_assert_null(vr_net_journal_read(state));

    g_assert_true(vr_network_write(state, change->after, true, &error));
    struct vr_network *saved = vr_network_read(state, "net1");
    g_assert_cmpuint(saved->addresses->len, ==, 1);
    vr_network_free(saved);
    /* What is no network is passed over. */
    g_autofree char *path = g_build_filename(state, "net1", NULL);
    g_autofree char *other = g_build_filename(state, "net2", NULL);
    g_assert_true(g_file_set_contents(other, "no key file", -1, NULL));
    g_autoptr(GPtrArray) all = vr_networks_read(state);
    g_assert_cmpuint(all->len, ==, 1);
    g_assert_cmpstr(((struct vr_network *)all->pdata[0])->name, ==, "net1");
    g_autoptr(GPtrArray) none = vr_networks_read(path);
    g_assert_cmpuint(none->len, ==, 0);
    g_unlink(other);
    g_unlink(path);
    g_rmdir(state);
}

/* Every row is a change of a network's lower device, which was ours or not; which one is ours after.
 * No VLAN of lo exists. */
static const struct {
    const char *what;
    unsigned before, after; /* VLANs */
    bool owned, want;
} vlan_rows[] = {
    { "none stays none", 0, 0, false, false },
    { "one that is made is ours", 0, 20, false, true },
    { "one that goes was ours", 10, 0, true, false },
    { "another one is made", 10, 20, true, true },
    { "another one instead of one that was there", 10, 20, false, true },
    { "the same one stays ours", 10, 10, true, true },
    { "and somebody else's", 10, 10, false, false },
};

static void test_whose_vlan(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(vlan_rows); i++) {
        g_test_message("%s", vlan_rows[i].what);
        vr_auto_error struct vr_error *error = NULL;
        g_autoptr(GPtrArray) changes = g_ptr_array_new_with_free_func(vr_net_change_free);
        struct vr_net_change *change = g_new0(struct vr_net_change, 1);
        g_ptr_array_add(changes, change);
        for (unsigned side = 0; side < 2; side++) {
            struct vr_network *made = network("192.0.2.1/24");
            g_free(made->nic);
            made->nic = g_strdup("lo");
            made->vlan = side ? vlan_rows[i].after : vlan_rows[i].before;
            made->own_vlan = side ? false : vlan_rows[i].owned;
            g_clear_pointer(&made->addresses, g_ptr_array_unref);
            *(side ? &change->after : &change->before) = made;
        }
        g_assert_true(vr_net_changes_prepare(changes, &error));
        g_assert_cmpint(change->after->own_vlan, ==, vlan_rows[i].want);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/netconf/addresses", test_addresses);
    g_test_add_func("/netconf/routes", test_routes);
    g_test_add_func("/netconf/what-lasts", test_what_lasts);
    g_test_add_func("/netconf/journal", test_journal);
    g_test_add_func("/netconf/whose-vlan", test_whose_vlan);
    return g_test_run();
}
