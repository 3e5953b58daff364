# SPDX-License-Identifier: Apache-2.0
"""Four NICs a host: two on the network, two on cables to the other host."""

TOPOLOGY = "bonds"
MANAGER = False
# nic2 and nic3 of each host are the ends of the cables.
BOND = """set -e
modprobe -a bonding 8021q
ip link add bond0 type bond mode 802.3ad miimon 100 lacp_rate fast
for nic in nic2 nic3; do ip link set $nic down; ip link set $nic master bond0; done
ip link set bond0 up
ip link add link bond0 name bond0.100 type vlan id 100
ip addr add 10.77.0.%d/24 dev bond0.100
ip link set bond0.100 up
"""


def test_an_lacp_bond_of_two_cables_carries_a_vlan(lab):
    for number, name in ((1, "host1"), (2, "host2")):
        lab.host(name).run(BOND % number)
    one, two = lab.host("host1"), lab.host("host2")
    one.wait("[ $(cat /sys/class/net/bond0/bonding/ad_num_ports) = 2 ]")
    partner = one.run("cat /sys/class/net/bond0/bonding/ad_partner_mac").out
    assert partner == two.run("cat /sys/class/net/bond0/address").out
    one.wait("[ $(cat /sys/class/net/bond0/speed) = 2000 ]")
    one.wait("ping -c 1 -W 1 10.77.0.2")


def test_a_bond_lives_on_one_cable(lab):
    one, two = lab.host("host1"), lab.host("host2")
    for host in (one, two):
        host.cut("nic2")
    one.wait("[ $(cat /sys/class/net/bond0/bonding/ad_num_ports) = 1 ]")
    one.wait("ping -c 1 -W 1 10.77.0.2")
    for host in (one, two):
        host.heal("nic2")
    one.wait("[ $(cat /sys/class/net/bond0/bonding/ad_num_ports) = 2 ]")


def test_both_network_cards_reach_the_neighbour(lab):
    one, two = lab.host("host1"), lab.host("host2")
    for number, host in ((1, one), (2, two)):
        host.run("modprobe -a 8021q; ip link set nic1 up; ip link add link nic1 name nic1.7 type vlan id 7; "
                 "ip addr add 10.78.0.%d/24 dev nic1.7; ip link set nic1.7 up" % number)
    one.wait("ping -c 1 -W 1 10.78.0.2")
