# SPDX-License-Identifier: Apache-2.0
"""A Linux guest with its agent: what it says, and how it is shut down."""

import os
import shutil
import subprocess

import pytest

import machines
from host import ROOT, wait_until


@pytest.fixture
def image(host):
    done = subprocess.run([os.path.join(ROOT, "tools", "guest-image")], stdout=subprocess.PIPE,
                          text=True, check=True)
    path = host.path("guest.raw")
    shutil.copy(os.path.join(done.stdout.split()[-1], "guest.raw"), path)
    return path


NIC = ('<interface type="bridge"><mac address="56:6f:00:00:00:02"/>'
       '<source bridge=";vdsmdummy;"/><model type="virtio"/></interface>')


def test_the_guest_agent_answers_and_shuts_the_guest_down(host, image):
    client = host.client()
    vm, xml = machines.domain("guest", devices=machines.disk(image, "vda", "virtio") + NIC, memory=256,
                              agent=True)
    machines.create(client, vm, xml)
    assert client.wait_status(vm, "Powering up")["guestCPUCount"] == -1
    client.wait_status(vm, "Up", timeout=120)
    wait_until(lambda: b"GUEST READY" in host.serial(vm), 120, "the guest does not come up")

    def told():
        (stats,) = client.call("VM.getStats", vmID=vm)
        return stats.get("guestName") and stats.get("netIfaces") and stats.get("guestCPUCount") == 1
    wait_until(told, 120, "the guest's agent says nothing")
    (stats,) = client.call("VM.getStats", vmID=vm)
    assert stats["guestOsInfo"]["kernel"]
    assert "56:6f:00:00:00:02" in [nic["hw"] for nic in stats["netIfaces"]]
    (network,) = [nic for nic in stats["network"].values()]
    assert network["macAddr"] == "56:6f:00:00:00:02"

    # An agent that was killed asks again, without the guest noticing.
    host.kill_agent()
    host.start_agent()
    client = host.client()
    client.call_ready("Host.ping2")
    wait_until(told, 120, "the guest's agent is not asked again")

    client.call("VM.shutdown", vmID=vm, delay="0", message="bye", timeout=60)
    client.wait_status(vm, "Powering down")
    down = client.wait_status(vm, "Down", timeout=120)
    assert (down["exitCode"], down["exitReason"]) == (0, 6)
    client.call("VM.destroy", vmID=vm)
