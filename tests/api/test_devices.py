# SPDX-License-Identifier: Apache-2.0
"""What guests report and the devices of running machines: discs, plugs, statistics, watchdogs."""

import ovirtsdk4 as sdk
import pytest
from ovirtsdk4 import types

from helpers import wait_for

NOWHERE = "12345678-1234-1234-1234-123456789abc"


@pytest.fixture
def service(system, vm):
    return system.vms_service().vm_service(vm)


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
