# SPDX-License-Identifier: Apache-2.0
"""Machines that are suspended and go on: by the counter of a guest of 512 bytes, which tells whether
it went on where it was (tools/boot-guest)."""

import glob
import os
import re
import signal
import subprocess

import ovirtsdk4 as sdk
import pytest
from ovirtsdk4 import types

from conftest import ROOT
from halting import Halt, in_background
from helpers import (add_disk, connect, gone, open_transfer, put, serial_log, start, status_of,
                     wait_for)

MEMORY = 64 << 20
# A file system of 64 KiB in place of a folder.
FULL = ('cp -a "$1" "$1.away"; mount -t tmpfs -o size=64k tmpfs "$1";'
        ' cp -a --sparse=always "$1.away"/* "$1"; rm -r "$1.away"')
SUSPENDED, UP, DOWN = types.VmStatus.SUSPENDED, types.VmStatus.UP, types.VmStatus.DOWN


@pytest.fixture(scope="module")
def counter(site, domain):
    """The id of a machine that counts; up before every test."""
    folder = subprocess.run([os.path.join(ROOT, "tools", "boot-guest")], stdout=subprocess.PIPE,
                            text=True, check=True).stdout.strip()
    connection = connect(site)
    system = connection.system_service()
    disk = add_disk(system, domain, "counter", types.DiskFormat.RAW, 1 << 20)
    transfer = open_transfer(system, disk.get().id, types.ImageTransferDirection.UPLOAD,
                             types.DiskFormat.RAW)
    assert put(site, transfer.get().transfer_url, os.path.join(folder, "boot.raw")) == 200
    transfer.finalize()
    wait_for(status_of(disk), types.DiskStatus.OK)
    made = system.vms_service().add(types.Vm(
        name="counter", cluster=types.Cluster(name="Default"), memory=MEMORY,
        template=types.Template(name="Blank"), memory_policy=types.MemoryPolicy(guaranteed=MEMORY),
        os=types.OperatingSystem(boot=types.Boot(devices=[types.BootDevice.HD]))))
    service = system.vms_service().vm_service(made.id)
    service.disk_attachments_service().add(types.DiskAttachment(
        disk=types.Disk(id=disk.get().id), interface=types.DiskInterface.VIRTIO, bootable=True,
        active=True))
    connection.close()
    yield made.id
    connection = connect(site) # the Manager may be another one
    service = connection.system_service().vms_service().vm_service(made.id)
    if service.get().status != DOWN:
        service.stop()
    wait_for(status_of(service), DOWN)
    service.remove()
    wait_for(gone(service), True)
    connection.close()


@pytest.fixture
def service(site, system, counter):
    service = system.vms_service().vm_service(counter)
    if service.get().status in (DOWN, SUSPENDED):
        start(service)
    wait_for(status_of(service), UP)
    before = said(site, counter)
    wait_for(lambda: len(said(site, counter)) > len(before), True)
    return service


def said(site, counter):
    """What it counted, boot by boot: a list of the numbers of each."""
    log = serial_log(site, counter).replace(b"\r", b"")
    assert b"FAIL" not in log
    whole = log[:log.rfind(b"\n") + 1]
    return [int(number) for number in re.findall(rb"BOOT (\d+)\n", whole)]


def boots(site, counter):
    return serial_log(site, counter).count(b"START ")


def goes_on(site, counter, boots_before, said_before):
    """It counts on by one each time, in the run that it was in."""
    wait_for(lambda: len(said(site, counter)) > len(said_before), True)
    numbers = said(site, counter)
    assert numbers[:len(said_before)] == said_before
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert boots(site, counter) == boots_before


def memory_disks(system):
    kinds = (types.DiskContentType.MEMORY_DUMP_VOLUME, types.DiskContentType.MEMORY_METADATA_VOLUME)
    return [disk for disk in system.disks_service().list() if disk.content_type in kinds]


def images(site):
    return sorted(glob.glob(site.path("storage", "data", "*", "images", "*")))


def codes(system, vm_id):
    return [event.code for event in system.events_service().list(max=100)
            if event.vm and event.vm.id == vm_id]


def refused(call, *arguments, **named):
    with pytest.raises(sdk.Error) as failure:
        call(*arguments, **named)
    assert failure.value.code == 409, failure.value
    return str(failure.value)


def suspend(service):
    service.suspend()
    wait_for(status_of(service), SUSPENDED)


def test_a_resumed_machine_counts_on_where_it_was(site, system, service, counter):
    before = images(site)
    suspend(service)
    seen = service.get()
    assert seen.host is None and seen.stop_time
    numbers, starts = said(site, counter), boots(site, counter)
    assert not os.path.exists(site.path("libvirt", "run", "qemu", "counter.pid"))
    disks = memory_disks(system)
    assert sorted(disk.provisioned_size for disk in disks)[-1] >= MEMORY + (200 << 20)
    assert len(images(site)) == len(before) + 2
    assert {501, 503} <= set(codes(system, counter))

    start(service)
    wait_for(status_of(service), UP)
    goes_on(site, counter, starts, numbers)
    assert service.get().host
    wait_for(lambda: memory_disks(system), [])
    wait_for(lambda: images(site) == before, True)


def test_it_can_be_started_paused(site, system, service, counter):
    suspend(service)
    numbers, starts = said(site, counter), boots(site, counter)
    start(service, pause=True)
    wait_for(status_of(service), types.VmStatus.PAUSED)
    wait_for(lambda: memory_disks(system), [])
    # What it had said was on its way to the log (virtlogd) when the log was read first: one line.
    paused = said(site, counter)
    assert paused[:len(numbers)] == numbers and len(paused) <= len(numbers) + 1
    assert service.get().status == types.VmStatus.PAUSED and said(site, counter) == paused
    start(service)
    wait_for(status_of(service), UP)
    goes_on(site, counter, starts, paused)
    # It was for that run alone.
    assert not service.get().start_paused and not service.get().next_run_configuration_exists


# --- faults in the middle ---


def settled(system, counter):
    """The machine's status once no job has it in hand any more."""
    def probe():
        if any(job.status == types.JobStatus.STARTED for job in system.jobs_service().list()):
            return None
        return system.vms_service().vm_service(counter).get().status
    return wait_for(probe, (SUSPENDED, UP, DOWN, types.VmStatus.UNKNOWN))


def as_if_nothing_had_been(site, counter, starts, numbers, before):
    """Whatever was killed: it runs as before, or is suspended whole; and nothing is left behind."""
    connection = connect(site)
    system = connection.system_service()
    service = system.vms_service().vm_service(counter)
    status = settled(system, counter)
    assert status in (UP, SUSPENDED)
    if status == SUSPENDED:
        assert len(memory_disks(system)) == 2
        wait_for(lambda: service.get().host, None)
        start(service)
        wait_for(status_of(service), UP)
    goes_on(site, counter, starts, numbers)
    wait_for(lambda: memory_disks(system), [])
    wait_for(lambda: images(site) == before, True)
    assert settled(system, counter) == UP
    connection.close(logout=False)
    return status


def sweep(site, api, counter, job_type, prepare, act, reached):
    """Kills the Manager at each change of the job: of each one, the record arrives or is lost.
    @reached: the machine's status when all of the job's changes are past."""
    halts = []
    for number in range(1, 20):
        for arrives in (True, False):
            connection = connect(site)
            service = connection.system_service().vms_service().vm_service(counter)
            before, starts = images(site), boots(site, counter)
            prepare(service)
            numbers = said(site, counter)
            with Halt(site, job_type, [number]) as halt:
                request = in_background(site, counter, act)
                if wait_for(lambda: halt.waiting() or service.get().status, (True, reached)) != True:
                    request.join()
                    assert as_if_nothing_had_been(site, counter, starts, numbers, before) == reached
                    return halts
                halt.kill_manager(arrives)
            request.join()
            connection.close(logout=False) # the Manager that knew it is gone
            site.start_manager()
            api.token = None
            halts.append((number, arrives))
            print("killed at change %d of %s, which %s" %
                  (number, job_type, "arrived" if arrives else "was lost"))
            as_if_nothing_had_been(site, counter, starts, numbers, before)
    raise AssertionError("a job of 20 changes")


def test_the_manager_is_killed_in_every_step_of_a_suspension(site, api, service, counter):
    halts = sweep(site, api, counter, "SuspendVm", lambda service: None,
                  lambda service: service.suspend(), SUSPENDED)
    assert len(halts) == 2 * 5  # begun, volumes made, about to ask, saved, released


def test_the_manager_is_killed_in_every_step_of_a_resumption(site, api, service, counter):
    halts = sweep(site, api, counter, "RunVm", suspend, lambda service: service.start(), UP)
    assert len(halts) == 2 * 3  # begun, about to ask, up


def hung(site):
    """QEMU of the machine, stopped: what it was asked to do is not done."""
    with open(site.path("libvirt", "run", "qemu", "counter.pid"), encoding="ascii") as file:
        pid = int(file.read())
    os.kill(pid, signal.SIGSTOP)
    return pid


def saves_begun(site):
    with open(site.path("log", "agent.log"), encoding="utf-8") as file:
        return file.read().count("to Saving State")


def test_the_agent_is_killed_while_memory_is_saved(site, service, counter):
    before, starts, numbers = images(site), boots(site, counter), said(site, counter)
    begun = saves_begun(site)
    pid = hung(site)
    try:
        service.suspend()
        # Its host was asked, and the save cannot end before QEMU goes on.
        wait_for(lambda: saves_begun(site) > begun, True)
        agent = site.processes.find("agent")
        agent.send(signal.SIGKILL)
        assert agent.ended(20)
        site.start_agent()
    finally:
        os.kill(pid, signal.SIGCONT)
    as_if_nothing_had_been(site, counter, starts, numbers, before)


def test_storage_that_is_full_leaves_it_running(site, system, service, counter):
    before, starts, numbers = images(site), boots(site, counter), said(site, counter)
    # Three changes of the job come before the host is asked; the fourth is the failure.
    with Halt(site, "SuspendVm", [3, 4]) as halt:
        service.suspend()
        wait_for(halt.waiting, True)
        folders = [os.path.dirname(path) for path in
                   glob.glob(site.path("storage", "data", "*", "images", "*", "*.meta"))
                   if os.path.dirname(path) not in before]
        for folder in folders:
            subprocess.run(site.inside(["sh", "-ec", FULL, "sh", folder]), check=True)
        halt.release_until_next()
        wait_for(halt.waiting, True)
        for folder in folders:
            subprocess.run(site.inside(["umount", folder]), check=True)
    assert as_if_nothing_had_been(site, counter, starts, numbers, before) == UP
    failed = [event for event in system.events_service().list(max=50)
              if event.code == 502 and event.vm and event.vm.id == counter]
    assert failed and "full" in failed[0].description



def test_a_stop_discards_what_was_saved(site, system, service, counter):
    before = images(site)
    suspend(service)
    starts = boots(site, counter)
    service.stop()
    assert service.get().status == DOWN
    wait_for(lambda: memory_disks(system), [])
    wait_for(lambda: images(site) == before, True)
    start(service)
    wait_for(status_of(service), UP)
    wait_for(lambda: boots(site, counter), starts + 1)


def test_what_a_suspended_machine_refuses(system, service, counter):
    suspend(service)
    refused(service.suspend)
    refused(service.reboot)
    refused(service.reset)
    refused(service.shutdown)
    refused(service.remove)
    assert "run once" in refused(service.start, vm=types.Vm(stateless=False))
    profile = [entry for entry in system.vnic_profiles_service().list()
               if entry.name == "ovirtmgmt"][0]
    refused(service.nics_service().add,
            types.Nic(name="late", vnic_profile=types.VnicProfile(id=profile.id)))
    refused(service.cdroms_service().cdrom_service(
        service.cdroms_service().list()[0].id).update, types.Cdrom(file=types.File(id="")))
    for disk in memory_disks(system):
        assert "counter" in refused(system.disks_service().disk_service(disk.id).remove)
        refused(service.disk_attachments_service().add, types.DiskAttachment(
            disk=types.Disk(id=disk.id), interface=types.DiskInterface.VIRTIO))
    assert service.get().status == SUSPENDED and len(memory_disks(system)) == 2


def test_only_a_machine_that_is_up_is_suspended(system, service):
    service.stop()
    wait_for(status_of(service), DOWN)
    assert "not running" in refused(service.suspend)
    assert service.get().status == DOWN and not memory_disks(system)


def test_without_space_it_runs_on_and_says_why(site, system, service, counter, domain):
    storage = system.storage_domains_service().storage_domain_service(domain["id"])
    numbers, starts = said(site, counter), boots(site, counter)
    limit = storage.get().critical_space_action_blocker
    storage.update(types.StorageDomain(critical_space_action_blocker=1 << 20))
    try:
        why = refused(service.suspend)
        assert "data" in why and "MiB" in why
    finally:
        storage.update(types.StorageDomain(critical_space_action_blocker=limit))
    assert service.get().status == UP and not memory_disks(system)
    goes_on(site, counter, starts, numbers)
