# SPDX-License-Identifier: Apache-2.0
"""The cable of the host's NIC is pulled: what the Manager makes of it."""

import subprocess

import pytest
from ovirtsdk4 import types

from helpers import status_of, wait_for
from vireolab.site import BRIDGE


def link(*arguments):
    subprocess.run(["ip", "link", "set"] + list(arguments), check=True)


@pytest.fixture
def carrier(system, host):
    """The host's service; its management network goes through nic0, as on a host of its own."""
    service = system.hosts_service().host_service(host["id"])

    def carried(wanted):
        service.refresh()
        wait_for(lambda: bool(nic(service).network), wanted)
    link("nic0", "master", BRIDGE)
    carried(True)
    yield service
    link("switch0", "up")
    link("nic0", "nomaster")
    carried(False)


def nic(service):
    return [entry for entry in service.nics_service().list() if entry.name == "nic0"][0]


def test_a_required_network_that_loses_its_link_takes_the_host_out_of_service(system, carrier):
    events = system.events_service()

    def told(since):
        return [entry.code for entry in events.list(from_=since)
                if entry.code in (13, 603, 609, 610)][::-1]

    def status():
        return nic(carrier).status

    wait_for(status, types.NicStatus.UP)
    newest = int(events.list(max=1)[0].id)
    link("switch0", "down")
    wait_for(status, types.NicStatus.DOWN)
    wait_for(status_of(carrier), types.HostStatus.NON_OPERATIONAL)
    assert carrier.get().status_detail == "network_interface_is_down"
    assert told(newest) == [610, 603]
    assert "nic0 (ovirtmgmt)" in events.list(from_=newest, search="type=603")[0].description

    link("switch0", "up")
    wait_for(status, types.NicStatus.UP)
    carrier.activate()
    wait_for(status_of(carrier), types.HostStatus.UP)
    assert told(newest) == [610, 603, 609, 13]
