# SPDX-License-Identifier: Apache-2.0
"""The whole way with the official SDK: image in, machine up, console open, machine gone; each with
the refusals that belong to it."""

import glob
import http.client
import os
import ssl
import urllib.request

import ovirtsdk4 as sdk
import pytest
from ovirtsdk4 import types

from helpers import MEMORY, add_disk, gone, open_transfer, put, serial_log, start, status_of, wait_for


def test_the_host_is_up_and_says_what_it_has(system, host):
    found = system.hosts_service().list(search="name=host1")[0]
    assert found.id == host["id"]
    assert found.status == types.HostStatus.UP
    assert found.memory > 1 << 30
    assert found.cpu.topology.cores >= 1
    statistics = system.hosts_service().host_service(found.id).statistics_service()
    wait_for(lambda: {"memory.total", "cpu.load.avg.5m"} <=
             {entry.name for entry in statistics.list()}, True)


def test_the_data_centre_is_up_with_its_domain(system, domain):
    wait_for(lambda: system.data_centers_service().list(search="name=Default")[0].status,
             types.DataCenterStatus.UP)
    found = system.storage_domains_service().list(search="name=data")[0]
    assert found.type == types.StorageDomainType.DATA
    wait_for(lambda: (system.storage_domains_service().storage_domain_service(found.id).get()
                      .available or 0) > 0, True)
    # Where scripts look for it (facts/rest-api.md 7.2).
    center = system.data_centers_service().list(search="name=Default")[0]
    assert [entry.id for entry in found.data_centers] == [center.id]


def test_an_uploaded_image_comes_down_again_byte_for_byte(system, site, domain, scratch):
    path = os.path.join(scratch, "image")
    content = os.urandom(1 << 20) + bytes(3 << 20)
    with open(path, "wb") as file:
        file.write(content)
    service = add_disk(system, domain, "roundtrip", types.DiskFormat.RAW, len(content))
    identifier = service.get().id
    up = open_transfer(system, identifier, types.ImageTransferDirection.UPLOAD, types.DiskFormat.RAW)
    assert put(site, up.get().transfer_url, path) == 200
    up.finalize()
    wait_for(lambda: up.get().phase, types.ImageTransferPhase.FINISHED_SUCCESS)
    wait_for(status_of(service), types.DiskStatus.OK)
    disk = service.get()
    assert [entry.id for entry in disk.storage_domains] == [domain["id"]]
    volume, = glob.glob(site.path("storage", "data", "*", "images", identifier, disk.image_id))
    assert disk.actual_size == os.stat(volume).st_blocks * 512 >= 1 << 20
    assert disk.total_size == disk.actual_size
    down = open_transfer(system, identifier, types.ImageTransferDirection.DOWNLOAD,
                         types.DiskFormat.RAW)
    tls = ssl.create_default_context(cafile=site.path("pki", "ca.pem"))
    with urllib.request.urlopen(down.get().transfer_url, context=tls) as answer:
        assert answer.read() == content
    down.finalize()
    wait_for(lambda: down.get().phase, types.ImageTransferPhase.FINISHED_SUCCESS)
    wait_for(status_of(service), types.DiskStatus.OK)
    service.remove()
    wait_for(gone(service), True)


def test_an_image_longer_than_the_disk_is_refused(system, site, domain, scratch):
    path = os.path.join(scratch, "long")
    with open(path, "wb") as file:
        file.truncate((4 << 20) + 4096)
    service = add_disk(system, domain, "long", types.DiskFormat.RAW, 4 << 20)
    transfer = open_transfer(system, service.get().id, types.ImageTransferDirection.UPLOAD,
                             types.DiskFormat.RAW)
    assert put(site, transfer.get().transfer_url, path) == 416
    transfer.cancel()
    wait_for(status_of(service), types.DiskStatus.ILLEGAL)
    service.remove()
    wait_for(gone(service), True)


def test_an_image_shorter_than_the_disk_is_refused_and_marks_it(system, site, domain, scratch):
    path = os.path.join(scratch, "short")
    with open(path, "wb") as file:
        file.write(b"\xaa" * (1 << 20))
    service = add_disk(system, domain, "short", types.DiskFormat.RAW, 4 << 20)
    transfer = open_transfer(system, service.get().id, types.ImageTransferDirection.UPLOAD,
                             types.DiskFormat.RAW)
    assert put(site, transfer.get().transfer_url, path) == 200
    with pytest.raises(sdk.Error, match="shorter than the disk"):
        transfer.finalize()
    wait_for(lambda: transfer.get().phase, types.ImageTransferPhase.FINISHED_FAILURE)
    wait_for(status_of(service), types.DiskStatus.ILLEGAL)
    service.remove()
    wait_for(gone(service), True)


def test_a_truncated_qcow2_image_fails_its_transfer(system, site, domain, guest_image, scratch):
    path = os.path.join(scratch, "cut")
    with open(os.path.join(guest_image, "guest.qcow2"), "rb") as whole, open(path, "wb") as cut:
        cut.write(whole.read(1 << 20)[4:])  # the magic number is gone
    service = add_disk(system, domain, "cut", initial=4 << 20)
    transfer = open_transfer(system, service.get().id, types.ImageTransferDirection.UPLOAD,
                             types.DiskFormat.COW)
    assert put(site, transfer.get().transfer_url, path) == 200
    transfer.finalize()

    def ended():
        try:
            return transfer.get().phase
        except sdk.NotFoundError:
            return None
    assert wait_for(ended, (types.ImageTransferPhase.FINISHED_FAILURE,
                            types.ImageTransferPhase.FINISHED_CLEANUP, None)) is not \
        types.ImageTransferPhase.FINISHED_SUCCESS


def test_a_ticket_opens_its_own_image_only(site):
    tls = ssl.create_default_context(cafile=site.path("pki", "ca.pem"))
    connection = http.client.HTTPSConnection("127.0.0.1", site.image_port, context=tls, timeout=60)
    connection.request("GET", "/images/12345678-1234-1234-1234-123456789abc")
    assert connection.getresponse().status == 403
    connection.close()


def test_the_machine_really_boots(site, system, vm):
    wait_for(lambda: b"GUEST READY" in serial_log(site, vm), True)
    service = system.vms_service().vm_service(vm)
    assert service.get().status == types.VmStatus.UP
    place = system.hosts_service().host_service(service.get().host.id).get()
    assert (place.summary.active, place.summary.migrating) == (1, 0) and place.summary.total >= 1
    assert place.max_scheduling_memory <= place.memory - service.get().memory


def test_the_guest_agent_reports_addresses(system, vm):
    service = system.vms_service().vm_service(vm)

    def addresses():
        return any(device.ips for device in service.reported_devices_service().list()
                   if device.name != "lo")
    wait_for(addresses, True)


def test_the_machine_has_statistics(system, vm):
    service = system.vms_service().vm_service(vm)

    def installed():
        for entry in service.statistics_service().list():
            if entry.name == "memory.installed":
                return int(entry.values[0].datum)
        return None
    wait_for(installed, MEMORY)


def test_starting_a_running_machine_is_a_conflict(system, vm):
    with pytest.raises(sdk.Error, match="(?i)running") as failure:
        system.vms_service().vm_service(vm).start()
    assert failure.value.code == 409


def test_removing_a_running_machine_is_a_conflict(system, vm):
    with pytest.raises(sdk.Error) as failure:
        system.vms_service().vm_service(vm).remove()
    assert failure.value.code == 409
    assert system.vms_service().vm_service(vm).get().status == types.VmStatus.UP


def test_a_disk_in_use_is_not_removed(system, vm, disk):
    with pytest.raises(sdk.Error) as failure:
        system.disks_service().disk_service(disk).remove()
    assert failure.value.code == 409
    assert system.disks_service().disk_service(disk).get().id == disk


def test_a_host_with_machines_is_not_removed(system, vm, host):
    with pytest.raises(sdk.Error) as failure:
        system.hosts_service().host_service(host["id"]).remove()
    assert failure.value.code == 409


def test_events_and_jobs_tell_what_happened(system, vm):
    codes = [event.code for event in system.events_service().list(max=200)]
    assert 32 in codes or 153 in codes  # USER_RUN_VM, USER_STARTED_VM
    assert 34 in codes or 35 in codes  # USER_ADD_VM
    assert system.jobs_service().list() is not None


def test_a_reboot_keeps_the_machine(site, system, vm):
    service = system.vms_service().vm_service(vm)
    boots = serial_log(site, vm).count(b"GUEST READY")
    service.reboot()
    wait_for(lambda: serial_log(site, vm).count(b"GUEST READY") > boots, True)
    wait_for(status_of(service), types.VmStatus.UP)


def test_suspend_and_resume_go_on_where_it_was(site, system, vm):
    service = system.vms_service().vm_service(vm)
    boots = serial_log(site, vm).count(b"GUEST READY")
    service.suspend()
    wait_for(status_of(service), types.VmStatus.SUSPENDED)
    ticks = serial_log(site, vm).count(b"tick ")
    start(service)
    wait_for(status_of(service), types.VmStatus.UP)
    wait_for(lambda: serial_log(site, vm).count(b"tick ") > ticks, True)
    assert serial_log(site, vm).count(b"GUEST READY") == boots
