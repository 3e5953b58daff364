# SPDX-License-Identifier: Apache-2.0
"""Topology files: the shipped ones are right, wrong ones are refused with what to correct."""

import pytest

import labkit  # noqa: F401
from vireolab import StepFailed
from vlab import topology

GOOD = "[lab]\nnetworks = lan san\ncables = a\n[lun l0]\nsize = 1G\n[one]\nnics = lan a\nluns = l0\n[two]\nnics = lan a\n"


def test_the_shipped_topologies_are_those_promised():
    assert topology.names() == ["bonds", "one-host", "three-hosts", "two-hosts-fc", "two-hosts-iscsi",
                                "two-hosts-nfs", "two-spaces"]
    for name in topology.names():
        entry = topology.load(name)
        assert entry.about and entry.hosts
        # Three hosts fit in 8 GiB, with what QEMU itself needs.
        assert entry.resources()[0] + 300 * len(entry.machines) <= 8192


def test_addresses_and_cards_are_unlike_within_a_lab():
    entry = topology.load("two-hosts-iscsi")
    assert len({machine.address(0) for machine in entry.machines.values()}) == 3
    assert entry.machines["host1"].address(1) == "10.99.1.11"
    macs = [nic.mac for machine in entry.machines.values() for nic in machine.nics]
    assert len(set(macs)) == len(macs) == 6


@pytest.mark.parametrize("old, new, said", [
    ("nics = lan a\nluns", "nics = lan b\nluns", "there is no network or cable b"),
    ("luns = l0", "luns = l9", "there is no [lun l9]"),
    ("[two]\nnics = lan a", "[two]\nnics = lan", "cable a has 1 ends instead of 2"),
    ("[two]\nnics = lan a", "[two]\nnics = a lan", "nic0 must be on lan"),
    ("[two]", "[two]\nmemory = 64", "memory: must be 256 to 65536"),
    ("[two]", "[two]\nrole = cook", "role: cook is none of host, nfs, iscsi"),
    ("[two]", "[two]\ncolour = red", "there is no setting colour"),
    ("size = 1G", "size = 1", "'1' is no size"),
    ("[two]", "[Two Hosts]", "a name is [a-z]"),
    ("networks = lan san", "networks = lan lan", "named once"),
    ("[two]", "[one]", "already exists"),
])
def test_a_wrong_topology_is_refused(old, new, said):
    assert GOOD.count(old) == 1
    topology.parse("good", "good.ini", GOOD)
    with pytest.raises(StepFailed) as caught:
        topology.parse("bad", "bad.ini", GOOD.replace(old, new))
    assert said in str(caught.value)


def test_a_topology_that_is_not_there_names_those_that_are():
    with pytest.raises(StepFailed) as caught:
        topology.load("nine-hosts")
    assert "three-hosts" in caught.value.remedy
