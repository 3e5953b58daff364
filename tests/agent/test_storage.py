# SPDX-License-Identifier: Apache-2.0
"""Machines with disks on a storage domain: prepared by the agent, saved to it, restored from it."""

import os
import subprocess
import uuid

import pytest

import machines
from host import wait_until
from storage import Domain


@pytest.fixture
def domain(host):
    client = host.client()
    made = Domain(client, host.path("domain"))
    made.make()
    yield made


def new_volume(domain, size, content=b""):
    image, volume = str(uuid.uuid4()), str(uuid.uuid4())
    return image, volume, domain.volume(image, volume, size, content)


def start(host, domain, name):
    """A running machine on a volume of its own: id, XML, and a handle of two volumes to save it to."""
    client = domain.client
    image, volume, path = new_volume(domain, 1 << 20, machines.boot_sector())
    metadata = domain.metadata("sda", image, volume)
    # The Manager does not know this host's paths; what it writes is replaced.
    disk = machines.disk("/rhev/data-center/none", target="sda")
    vm, xml = machines.domain(name, devices=disk, metadata=metadata)
    machines.create(client, vm, xml)
    client.wait_status(vm, "Up")
    assert path in client.call("Host.dumpxmls", vmList=[vm])[vm]
    wait_until(lambda: b"BOOT" in host.serial(vm), 60, "the guest says nothing")
    wait_until(lambda: client.call("VM.getStats", vmID=vm)[0]["disks"].get("sda", {}).get("imageID")
               == image, 30, "the disk is not in the statistics")
    handle = [domain.sd, domain.pool]
    for size in (256 << 20, 1 << 20):
        handle += new_volume(domain, size)[:2]
    return vm, xml, handle


def memory(handle):
    return {"device": "disk", "poolID": handle[1], "domainID": handle[0], "imageID": handle[2],
            "volumeID": handle[3]}


def memory_path(domain, handle):
    names = dict(storagepoolID=handle[1], storagedomainID=handle[0], imageID=handle[2],
                 volumeID=handle[3])
    path = domain.client.call("Image.prepare", **names)["path"]
    domain.client.call("Image.teardown", **names)
    return os.path.realpath(path)


def restore_and_check(host, client, vm, xml, handle):
    """It goes on where it was: it does not boot again."""
    client.call("VM.destroy", vmID=vm)
    said = host.serial(vm)
    machines.create(client, vm, xml, memoryDumpVolume=memory(handle))
    client.wait_status(vm, "Up")
    wait_until(lambda: len(host.serial(vm)) > len(said), 60, "the guest does not go on")
    assert host.serial(vm).count(b"BOOT") == 1
    client.call("VM.destroy", vmID=vm)


def signal_qemu(host, name, signal):
    with open(host.path("run", "qemu", name + ".pid"), encoding="ascii") as file:
        subprocess.run(host.inside(["kill", "-" + signal, file.read().strip()]), check=True)


def restart_agent(host, domain):
    """kill -9 and a new one, which knows its storage again as a Manager would tell it."""
    host.kill_agent()
    host.start_agent()
    domain.client = host.client()
    domain.connect()
    return domain.client


def test_a_machine_boots_from_a_volume_is_saved_and_restored(host, domain):
    client = domain.client
    vm, xml, handle = start(host, domain, "saved")
    client.call("VM.hibernate", vmID=vm, hibernationVolHandle=",".join(handle))
    down = client.wait_status(vm, "Down")
    assert (down["exitCode"], down["exitReason"]) == (0, 5)
    restore_and_check(host, client, vm, xml, handle)


def test_a_save_goes_on_without_the_agent_that_began_it(host, domain):
    client = domain.client
    vm, xml, handle = start(host, domain, "orphan")
    signal_qemu(host, "orphan", "STOP")  # so that it takes until the next agent is there
    client.call("VM.hibernate", vmID=vm, hibernationVolHandle=",".join(handle))
    client.wait_status(vm, "Saving State")
    wait_until(lambda: "Save" in host.virsh("domjobinfo", "orphan"), 60, "libvirt saves nothing")
    client = restart_agent(host, domain)
    assert client.call_ready("VM.getStats", vmID=vm)[0]["status"] == "Saving State"
    signal_qemu(host, "orphan", "CONT")
    down = client.wait_status(vm, "Down")
    assert (down["exitCode"], down["exitReason"]) == (0, 5)
    restore_and_check(host, client, vm, xml, handle)


def test_a_save_that_ended_while_no_agent_was_there_is_known(host, domain):
    client = domain.client
    vm, xml, handle = start(host, domain, "alone")
    signal_qemu(host, "alone", "STOP")
    client.call("VM.hibernate", vmID=vm, hibernationVolHandle=",".join(handle))
    wait_until(lambda: "Save" in host.virsh("domjobinfo", "alone"), 60, "libvirt saves nothing")
    host.kill_agent()
    signal_qemu(host, "alone", "CONT")
    wait_until(lambda: "alone" not in host.virsh("list", "--name"), 60, "it is not saved")
    host.start_agent()
    client = domain.client = host.client()
    domain.connect()
    down = client.call_ready("VM.getStats", vmID=vm)[0]
    assert (down["status"], down["exitCode"], down["exitReason"]) == ("Down", 0, 5)
    restore_and_check(host, client, vm, xml, handle)


def test_a_machine_that_cannot_be_saved_goes_on(host, domain):
    client = domain.client
    vm, _, handle = start(host, domain, "kept")
    folder = os.path.dirname(memory_path(domain, handle))
    full = 'cp -a "$1" "$1.away"; mount -t tmpfs -o size=64k tmpfs "$1"; cp -a --sparse=always "$1.away"/* "$1"'
    subprocess.run(host.inside(["sh", "-ec", full, "sh", folder]), check=True)
    try:
        said = len(host.serial(vm))
        client.call("VM.hibernate", vmID=vm, hibernationVolHandle=",".join(handle))
        client.wait_status(vm, "Saving State")
        client.wait_status(vm, "Up")
        wait_until(lambda: len(host.serial(vm)) > said, 60, "the guest does not go on")
        assert client.call("VM.getStats", vmID=vm)[0]["status"] == "Up"
        client.call("VM.destroy", vmID=vm)
    finally:
        subprocess.run(host.inside(["umount", folder]), check=True)


def test_memory_that_cannot_be_restored_is_a_start_that_failed(host, domain):
    client = domain.client
    vm, xml, handle = start(host, domain, "broken")
    client.call("VM.hibernate", vmID=vm, hibernationVolHandle=",".join(handle))
    client.wait_status(vm, "Down")
    client.call("VM.destroy", vmID=vm)
    path = memory_path(domain, handle)
    with open(path, "r+b") as file:
        file.write(b"no memory")
    machines.create(client, vm, xml, memoryDumpVolume=memory(handle))
    down = client.wait_status(vm, "Down")
    assert (down["exitCode"], down["exitReason"]) == (1, 3)  # the guest never ran
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
