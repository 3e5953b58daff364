# SPDX-License-Identifier: Apache-2.0
"""Machines with disks on a storage domain: prepared by the agent, saved to it, restored from it."""

import uuid

import pytest

import machines
from host import wait_until
from storage import Domain


@pytest.fixture
def domain(host, tmp_path_factory):
    client = host.client()
    made = Domain(client, host.path("domain-" + uuid.uuid4().hex[:8]))
    made.make()
    yield made


def new_volume(domain, size, content=b""):
    image, volume = str(uuid.uuid4()), str(uuid.uuid4())
    return image, volume, domain.volume(image, volume, size, content)


def test_a_machine_boots_from_a_volume_is_saved_and_restored(host, domain):
    client = domain.client
    image, volume, path = new_volume(domain, 1 << 20, machines.boot_sector())
    metadata = domain.metadata("sda", image, volume)
    # The Manager does not know this host's paths; what it writes is replaced.
    disk = machines.disk("/rhev/data-center/none", target="sda")
    vm, xml = machines.domain("saved", devices=disk, metadata=metadata)
    machines.create(client, vm, xml)
    client.wait_status(vm, "Up")
    assert path in client.call("Host.dumpxmls", vmList=[vm])[vm]
    wait_until(lambda: b"BOOT" in host.serial(vm), 60, "the guest says nothing")
    wait_until(lambda: client.call("VM.getStats", vmID=vm)[0]["disks"].get("sda", {}).get("imageID")
               == image, 30, "the disk is not in the statistics")

    handle = [domain.sd, domain.pool]
    for size in (256 << 20, 1 << 20):
        handle += new_volume(domain, size)[:2]
    client.call("VM.hibernate", vmID=vm, hibernationVolHandle=",".join(handle))
    down = client.wait_status(vm, "Down")
    assert (down["exitCode"], down["exitReason"]) == (0, 5)
    client.call("VM.destroy", vmID=vm)

    said = host.serial(vm)
    machines.create(client, vm, xml, memoryDumpVolume={
        "device": "disk", "poolID": domain.pool, "domainID": domain.sd, "imageID": handle[2],
        "volumeID": handle[3]})
    client.wait_status(vm, "Up")
    wait_until(lambda: len(host.serial(vm)) > len(said), 60, "the guest does not go on")
    # It went on where it was: it did not boot again.
    assert host.serial(vm).count(b"BOOT") == 1
    client.call("VM.destroy", vmID=vm)


def test_the_host_reports_its_domains(host, domain):
    client = domain.client
    wait_until(lambda: client.call("Host.getStats")["storageDomains"].get(domain.sd, {}).get("actual"),
               30, "the domain is not monitored")
    vitals = client.call("Host.getStats")["storageDomains"][domain.sd]
    assert (vitals["code"], vitals["valid"], vitals["version"]) == (0, True, 5)


def test_a_missing_volume_is_why_a_start_fails(host, domain):
    client = domain.client
    vm, xml = machines.domain("missing", devices=machines.disk("", target="sda"),
                              metadata=domain.metadata("sda", str(uuid.uuid4()), str(uuid.uuid4())))
    machines.create(client, vm, xml)
    down = client.wait_status(vm, "Down")
    assert (down["exitCode"], down["exitReason"]) == (1, 3)
    client.call("VM.destroy", vmID=vm)
