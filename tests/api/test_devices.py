# SPDX-License-Identifier: Apache-2.0
"""What guests report and the devices of running machines: discs, plugs, statistics, watchdogs."""

import os

import ovirtsdk4 as sdk
import pytest
from ovirtsdk4 import types

from helpers import MEMORY, connect, gone, open_transfer, put, serial_log, status_of, wait_for

NOWHERE = "12345678-1234-1234-1234-123456789abc"
DRIVE = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
def service(system, vm):
    return system.vms_service().vm_service(vm)


@pytest.fixture
def idle(system, host):
    """A machine that never runs."""
    made = system.vms_service().add(types.Vm(
        name="idle", cluster=types.Cluster(name="Default"), template=types.Template(name="Blank"),
        memory=MEMORY, memory_policy=types.MemoryPolicy(guaranteed=MEMORY)))
    service = system.vms_service().vm_service(made.id)
    yield service
    service.remove()
    wait_for(gone(service), True)


def events(system, code):
    return [event for event in system.events_service().list(max=200) if event.code == code]


def said(site, vm_id, line):
    return serial_log(site, vm_id).count(line.encode())


def refused(status, call, *arguments, **named):
    with pytest.raises(sdk.Error) as failure:
        call(*arguments, **named)
    assert failure.value.code == status
    return str(failure.value)


def first_nic(service):
    return service.nics_service().list()[0]


# --- what the guest reports ------------------------------------------------------------------------


def test_the_guest_reports_the_addresses_of_its_interface(service):
    mac = first_nic(service).mac.address

    def reported():
        return [device for device in service.reported_devices_service().list()
                if device.mac and device.mac.address == mac and device.ips]
    wait_for(lambda: len(reported()), 1)
    device = reported()[0]
    assert device.type == types.ReportedDeviceType.NETWORK
    assert device.name == "eth0"
    for ip in device.ips:
        assert (ip.version == types.IpVersion.V6) == (":" in ip.address)
        assert "/" not in ip.address
    again = service.reported_devices_service().reported_device_service(device.id).get()
    assert again.mac.address == mac and again.name == device.name


def test_a_nic_shows_only_what_the_guest_says_of_it(service):
    nic = first_nic(service)
    devices = service.nics_service().nic_service(nic.id).reported_devices_service()
    wait_for(lambda: [device.mac.address for device in devices.list()], [nic.mac.address])
    devices.reported_device_service(devices.list()[0].id).get()
    everything = service.reported_devices_service().list()
    loopback = [device for device in everything if device.name == "lo"]
    assert loopback  # the whole machine's list has it, the NIC's has not


def test_reported_devices_can_be_followed(service):
    wait_for(lambda: bool(service.reported_devices_service().list()), True)
    seen = service.get(follow="reported_devices,applications")
    assert {device.name for device in seen.reported_devices} >= {"lo", "eth0"}
    assert seen.applications


def test_an_unknown_reported_device_is_missing(service):
    with pytest.raises(sdk.NotFoundError):
        service.reported_devices_service().reported_device_service(NOWHERE).get()
    with pytest.raises(sdk.NotFoundError):
        service.applications_service().application_service(NOWHERE).get()


def test_the_guest_agent_is_the_application_that_is_known(service):
    wait_for(lambda: [application.name.rpartition("-")[0]
                      for application in service.applications_service().list()],
             ["qemu-guest-agent"])
    application = service.applications_service().list()[0]
    found = service.applications_service().application_service(application.id).get()
    assert found.name == application.name


def test_the_guest_says_what_it_is(service):
    wait_for(lambda: service.get().fqdn, "vireo-guest")
    seen = service.get()
    system = seen.guest_operating_system
    assert system.family == "Linux"
    assert system.distribution == "Vireo guest"
    assert system.architecture == "x86_64"
    assert system.version.full_version == "1" and system.version.major == 1
    assert system.kernel.version.major >= 5
    assert seen.guest_time_zone.name == "UTC"
    assert seen.guest_time_zone.utc_offset == "+00:00"


# --- discs -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def iso(site, domain, guest_image):
    """The guest's bootable disc, uploaded as a disk of content type iso."""
    connection = connect(site)
    system = connection.system_service()
    path = os.path.join(guest_image, "guest.iso")
    made = system.disks_service().add(types.Disk(
        name="guest.iso", content_type=types.DiskContentType.ISO, format=types.DiskFormat.RAW,
        sparse=False, provisioned_size=os.path.getsize(path),
        storage_domains=[types.StorageDomain(id=domain["id"])]))
    service = system.disks_service().disk_service(made.id)
    wait_for(status_of(service), types.DiskStatus.OK)
    transfer = open_transfer(system, made.id, types.ImageTransferDirection.UPLOAD,
                             types.DiskFormat.RAW)
    assert put(site, transfer.get().transfer_url, path) == 200
    transfer.finalize()
    wait_for(status_of(service), types.DiskStatus.OK)
    assert service.get().content_type == types.DiskContentType.ISO
    yield made.id
    service.remove()
    wait_for(gone(service), True)
    connection.close()


def drive(service):
    return service.cdroms_service().cdrom_service(DRIVE)


def disc(file):
    return types.Cdrom(file=types.File(id=file))


def test_a_machine_has_one_drive_which_is_empty_at_first(idle):
    drives = idle.cdroms_service().list()
    assert [entry.id for entry in drives] == [DRIVE]
    assert drives[0].file is None
    assert drive(idle).get().vm.id == idle.get().id
    with pytest.raises(sdk.NotFoundError):
        idle.cdroms_service().cdrom_service(NOWHERE).get()
    with pytest.raises(sdk.NotFoundError):
        idle.cdroms_service().cdrom_service(NOWHERE).update(disc(""))


def test_the_disc_of_the_next_start_is_kept(idle, iso):
    assert drive(idle).update(disc(iso)).file.id == iso
    assert drive(idle).get().file.id == iso
    assert drive(idle).get(current=True).file is None
    drive(idle).update(disc(""))
    assert drive(idle).get().file is None
    assert idle.cdroms_service().add(disc(iso)).file.id == iso
    assert drive(idle).get().file.id == iso
    assert idle.get(follow="cdroms").cdroms[0].file.id == iso


def test_a_disc_that_does_not_exist_is_refused(idle, disk):
    assert "no ISO image" in refused(409, drive(idle).update, disc("no.iso"))
    refused(409, drive(idle).update, disc(NOWHERE))
    refused(409, drive(idle).update, disc(disk))  # a disk, but of data
    assert drive(idle).get().file is None


def test_the_drive_of_a_machine_that_is_down_has_no_current_disc(idle, iso):
    assert "not running" in refused(409, drive(idle).update, disc(iso), current=True)
    assert drive(idle).get().file is None


def test_a_running_machine_gets_another_disc_and_gives_it_back(site, system, service, vm, iso):
    changes, ejections = len(events(system, 38)), len(events(system, 521))
    seen = said(site, vm, "CD VGUEST")
    answer = drive(service).update(disc(iso), current=True)
    assert answer.file.id == iso
    assert drive(service).get(current=True).file.id == iso
    assert drive(service).get().file is None  # nothing for the next start
    wait_for(lambda: said(site, vm, "CD VGUEST") > seen, True)
    empty = said(site, vm, "CD -")
    drive(service).update(disc(""), current=True)
    assert drive(service).get(current=True).file is None
    wait_for(lambda: said(site, vm, "CD -") > empty, True)
    assert len(events(system, 38)) == changes + 1
    assert len(events(system, 521)) == ejections + 1


def test_an_image_in_a_drive_is_not_removed(system, service, iso):
    drive(service).update(disc(iso), current=True)
    refused(409, system.disks_service().disk_service(iso).remove)
    drive(service).update(disc(""), current=True)
    assert system.disks_service().disk_service(iso).get().id == iso


def test_run_once_boots_from_the_disc_and_the_next_start_from_the_disk(site, system, service, vm,
                                                                       iso):
    service.stop()
    wait_for(status_of(service), types.VmStatus.DOWN)
    from_disc, from_disk = said(site, vm, "GUEST BOOT cd"), said(site, vm, "GUEST BOOT disk")
    service.start(vm=types.Vm(
        cdroms=[disc(iso)],
        os=types.OperatingSystem(boot=types.Boot(devices=[types.BootDevice.CDROM]))))
    wait_for(lambda: said(site, vm, "GUEST BOOT cd"), from_disc + 1)
    assert service.get().run_once
    assert drive(service).get(current=True).file.id == iso
    assert drive(service).get().file is None
    service.stop()
    wait_for(status_of(service), types.VmStatus.DOWN)
    assert drive(service).get(current=True).file is None
    service.start()
    wait_for(lambda: said(site, vm, "GUEST BOOT disk"), from_disk + 1)
    assert said(site, vm, "GUEST BOOT cd") == from_disc + 1
    wait_for(status_of(service), types.VmStatus.UP)
    assert not service.get().run_once


def test_a_start_with_a_disc_that_is_gone_is_refused(idle):
    message = refused(409, idle.start, vm=types.Vm(
        cdroms=[disc("gone.iso")],
        os=types.OperatingSystem(boot=types.Boot(devices=[types.BootDevice.CDROM]))))
    assert "gone.iso" in message
    assert idle.get().status == types.VmStatus.DOWN


# --- statistics ------------------------------------------------------------------------------------


def statistics(service):
    return {entry.name: entry for entry in service.statistics_service().list()}


def datum(service, name):
    return statistics(service)[name].values[0].datum


NIC_STATISTICS = {
    "data.current.rx": types.StatisticUnit.BYTES_PER_SECOND,
    "data.current.tx": types.StatisticUnit.BYTES_PER_SECOND,
    "data.current.rx.bps": types.StatisticUnit.BITS_PER_SECOND,
    "data.current.tx.bps": types.StatisticUnit.BITS_PER_SECOND,
    "data.total.rx": types.StatisticUnit.BYTES,
    "data.total.tx": types.StatisticUnit.BYTES,
    "errors.total.rx": types.StatisticUnit.NONE,
    "errors.total.tx": types.StatisticUnit.NONE,
}
DISK_STATISTICS = {
    "data.current.read": types.StatisticUnit.BYTES_PER_SECOND,
    "data.current.write": types.StatisticUnit.BYTES_PER_SECOND,
    "data.current.read.ops": types.StatisticUnit.COUNT_PER_SECOND,
    "data.current.write.ops": types.StatisticUnit.COUNT_PER_SECOND,
    "disk.read.latency": types.StatisticUnit.SECONDS,
    "disk.write.latency": types.StatisticUnit.SECONDS,
    "disk.flush.latency": types.StatisticUnit.SECONDS,
}


def test_a_nic_has_statistics(service):
    nic = service.nics_service().nic_service(first_nic(service).id)
    found = statistics(nic)
    assert {name: entry.unit for name, entry in found.items()} == NIC_STATISTICS
    assert found["data.total.tx"].kind == types.StatisticKind.COUNTER
    wait_for(lambda: datum(nic, "data.total.tx") > 0, True)  # its requests for an address
    one = nic.statistics_service().statistic_service(found["data.total.tx"].id).get()
    assert one.name == "data.total.tx" and one.nic.id == nic.get().id
    with pytest.raises(sdk.NotFoundError):
        nic.statistics_service().statistic_service(NOWHERE).get()


def test_a_disk_has_statistics(system, service, disk):
    found = statistics(system.disks_service().disk_service(disk))
    assert {name: entry.unit for name, entry in found.items()} == DISK_STATISTICS
    assert found["disk.read.latency"].disk.id == disk
    seen = system.disks_service().disk_service(disk).get(follow="statistics")
    assert len(seen.statistics) == len(DISK_STATISTICS)


def test_a_nic_of_the_host_has_statistics(system, host):
    nics = system.hosts_service().host_service(host["id"]).nics_service()
    names = {nic.name: nic.id for nic in nics.list()}
    nic = nics.nic_service(names.get("lo") or list(names.values())[0])
    found = statistics(nic)
    assert {name: entry.unit for name, entry in found.items()} == NIC_STATISTICS
    assert found["data.total.rx"].host_nic.id == nic.get().id


def test_a_machine_tells_of_memory_network_and_file_systems(service):
    wait_for(lambda: datum(service, "memory.unused") > 0, True)
    found = statistics(service)
    assert found["network.current.total"].unit == types.StatisticUnit.PERCENT
    wait_for(lambda: "/data" in statistics(service)["disks.usage"].values[0].detail, True)
