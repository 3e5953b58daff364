# SPDX-License-Identifier: Apache-2.0
"""Machines on a real libvirt and QEMU: they start, survive their agent, and end with a reason."""

import select
import subprocess

import pytest

import machines
from host import wait_until
from stomp import RpcError


def sector_disk(host, name):
    path = host.path(name)
    with open(path, "wb") as file:
        file.write(machines.boot_sector() + bytes(1 << 20))
    return machines.disk(path)


@pytest.fixture
def sector(host):
    return sector_disk(host, "sector.img")


def start(host, client, name, **options):
    vm, xml = machines.domain(name, **options)
    answer = machines.create(client, vm, xml)
    assert answer["status"] == "WaitForLaunch"
    return vm, client.wait_status(vm, "Up")


def stats(client, vm):
    (only,) = client.call("VM.getStats", vmID=vm)
    return only


def test_a_machine_boots_and_its_serial_port_is_logged(host, sector):
    client = host.client()
    vm, up = start(host, client, "boots", devices=sector)
    assert up["displayInfo"][0]["type"] == "vnc"
    assert up["hash"] not in ("", "0")
    wait_until(lambda: b"BOOT" in host.serial(vm), 60, "the guest says nothing")
    assert client.call("Host.getVMList") == [
        {"vmId": vm, "status": "Up", "statusTime": client.call("Host.getVMList")[0]["statusTime"]}]
    client.call("VM.destroy", vmID=vm)
    assert client.call("Host.getVMList") == []
    assert "boots" not in host.virsh("list", "--name")


# A start takes about a third of a second here; it is met at every moment of it, and twice.
MOMENTS = [0.015 * moment for moment in range(24)] * 2


def test_a_machine_that_is_destroyed_while_it_starts_is_gone(host):
    client = host.client()
    for moment in MOMENTS:
        vm, xml = machines.domain("early", graphics="")
        machines.create(client, vm, xml)
        select.select([], [], [], moment)
        client.call("VM.destroy", vmID=vm)
        assert client.call("Host.getVMList") == [], moment


def test_a_machine_that_ends_while_it_starts_is_down(host):
    client = host.client()

    def is_down():
        return client.call("Host.getVMList")[0]["status"] == "Down"
    for moment in MOMENTS:
        vm, xml = machines.domain("early", graphics="")
        machines.create(client, vm, xml)
        select.select([], [], [], moment)
        wait_until(lambda: "failed to get domain" not in host.virsh("destroy", vm) or is_down(), 60,
                   "it does not start")
        wait_until(is_down, 20, "it is not down, %s" % moment)
        client.call("VM.destroy", vmID=vm)


def test_a_machine_survives_kill_9_of_the_agent(host, sector):
    client = host.client()
    vm, _ = start(host, client, "survives", devices=sector)
    before = host.virsh("metadata", "survives", "http://ovirt.org/vm/1.0")
    elapsed = int(stats(client, vm)["elapsedTime"])
    pid = host.virsh("qemu-monitor-command", "survives", "--hmp", "info status")
    said = len(host.serial(vm))

    host.kill_agent()
    host.start_agent()
    again = host.client()
    (listed,) = again.call_ready("Host.getVMList")
    assert (listed["vmId"], listed["status"]) == (vm, "Up")
    assert int(stats(again, vm)["elapsedTime"]) >= elapsed
    assert host.virsh("metadata", "survives", "http://ovirt.org/vm/1.0") == before
    assert "startTime" in before
    assert "running" in pid
    wait_until(lambda: len(host.serial(vm)) > said, 60, "the guest stopped")
    again.call("VM.destroy", vmID=vm)


def test_a_machine_that_died_while_the_agent_was_away_is_down_with_a_reason(host, sector):
    client = host.client()
    vm, _ = start(host, client, "dies", devices=sector)
    host.kill_agent()
    host.virsh("destroy", "dies")
    host.start_agent()
    client = host.client()
    (listed,) = client.call_ready("Host.getVMList")
    assert listed["status"] == "Down"
    down = stats(client, vm)
    assert (down["exitCode"], down["exitReason"]) == (0, 6)
    # And it stays so until it is destroyed, over any number of restarts.
    host.kill_agent()
    host.start_agent()
    client = host.client()
    assert client.call_ready("VM.getStats", vmID=vm)[0]["exitReason"] == 6
    client.call("VM.destroy", vmID=vm)
    assert client.call("Host.getVMList") == []


def test_a_crash_of_qemu_is_an_error(host, sector):
    client = host.client()
    vm, _ = start(host, client, "crashes", devices=sector)
    with open(host.path("run", "qemu", "crashes.pid"), encoding="ascii") as file:
        pid = file.read().strip()
    subprocess.run(host.inside(["kill", "-9", pid]), check=True)
    down = client.wait_status(vm, "Down")
    assert (down["exitCode"], down["exitReason"]) == (1, 2)
    assert {"vmId", "timeOffset", "exitMessage"} <= set(down)
    client.call("VM.destroy", vmID=vm)


def test_pause_and_continue(host, sector):
    client = host.client()
    vm, _ = start(host, client, "pauses", devices=sector)
    client.call("VM.pause", vmID=vm)
    assert client.wait_status(vm, "Paused")["pauseCode"] == "NOERR"
    client.call("VM.cont", vmID=vm)
    client.wait_status(vm, "Up")
    client.call("VM.destroy", vmID=vm)


def test_a_shutdown_that_the_guest_ignores_ends_by_force(host, sector):
    client = host.client()
    vm, _ = start(host, client, "stubborn", devices=sector)
    client.call("VM.shutdown", vmID=vm, delay="0", message="bye", timeout="1", force="true")
    client.wait_status(vm, "Powering down")
    down = client.wait_status(vm, "Down")
    assert (down["exitCode"], down["exitReason"]) == (0, 6)
    client.call("VM.destroy", vmID=vm)


def test_libvirtd_may_be_killed_and_come_back(host, sector):
    client = host.client()
    vm, _ = start(host, client, "stays", devices=sector)
    host.kill_libvirtd()
    assert client.call("Host.ping2") is True
    assert client.call("Host.getVMList")[0]["status"] == "Up"
    host.start_libvirtd()

    def answers():
        try:
            return "stays" in client.call("Host.dumpxmls", vmList=[vm])[vm]
        except RpcError:
            return False
    wait_until(answers, 60, "the agent does not find libvirtd again")
    client.call("VM.pause", vmID=vm)
    client.wait_status(vm, "Paused")
    client.call("VM.destroy", vmID=vm)


def test_errors_have_their_codes(host, sector):
    client = host.client()
    vm, _ = start(host, client, "errors", devices=sector)
    _, again = machines.domain("errors", vm=vm, devices=sector)
    unknown = "00000000-0000-4000-8000-000000000001"
    for code, verb, parameters in (
            (4, "VM.create", {"vmID": vm, "vmParams": {"vmId": vm, "xml": again}}),
            (1, "VM.destroy", {"vmID": unknown}),
            (1, "VM.getStats", {"vmID": unknown}),
            (9, "VM.create", {"vmID": unknown, "vmParams": {"vmId": unknown, "xml": again}}),
            (91, "VM.create", {"vmID": unknown, "vmParams": {"vmId": unknown, "xml": "<x"}}),
            (44, "VM.migrate", {"vmID": vm, "params": {"dst": "x", "vmId": vm}}),
            (-32601, "VM.dance", {})):
        with pytest.raises(RpcError) as failure:
            client.call(verb, **parameters)
        assert failure.value.code == code, verb
    client.call("VM.destroy", vmID=vm)


def test_a_start_that_fails_tells_why(host):
    client = host.client()
    vm, xml = machines.domain("fails", devices=machines.disk("/nonexistent/disk"))
    machines.create(client, vm, xml)
    down = client.wait_status(vm, "Down")
    assert (down["exitCode"], down["exitReason"]) == (1, 3)
    assert "/nonexistent/disk" in down["exitMessage"]
    client.call("VM.destroy", vmID=vm)


def test_payload_becomes_a_disc_and_the_disc_can_be_changed(host, sector):
    client = host.client()
    vm, _ = start(host, client, "payload", devices=sector + machines.cdrom("sdc", "PAYLOAD:"),
                  metadata=machines.payload("sdc", {"openstack/latest/user_data": b"hello"}))
    with open(host.path("agent", "payload", vm + ".cdrom.img"), "rb") as file:
        image = file.read()
    assert image[32808:32816] == b"config-2"
    assert b"hello" in image
    before = stats(client, vm)["hash"]
    client.call("VM.changeCD", vmID=vm, driveSpec={"iface": "sata", "index": 2, "path": ""})
    assert "cdrom.img" not in client.call("Host.dumpxmls", vmList=[vm])[vm]
    assert stats(client, vm)["hash"] != before
    client.call("VM.destroy", vmID=vm)


def test_the_picture_of_the_screen(host, sector):
    client = host.client()
    vm, _ = start(host, client, "screen", devices=sector)
    shot = client.call("VM.screenshot", vmID=vm)
    assert shot["encoding"] == "base64" and shot["mime_type"].startswith("image/")
    client.call("VM.destroy", vmID=vm)


def test_disks_and_interfaces_come_and_go(host, sector):
    client = host.client()
    subprocess.run(host.inside(["ip", "link", "add", "br0", "type", "bridge"]), check=False)
    vm, _ = start(host, client, "plugs", devices=sector, extra="")
    mac = "56:6f:00:00:00:01"
    nic = ('<hotplug><devices><interface type="bridge"><mac address="%s"/><source bridge="br0"/>'
           '<model type="e1000"/><alias name="ua-11111111-1111-4111-8111-111111111111"/></interface>'
           '</devices></hotplug>' % mac)
    try:
        answer = client.call("VM.hotplugNic", vmID=vm, params={"vmId": vm, "xml": nic})
        assert mac in [device.get("macAddr") for device in answer["devices"]]
    except RpcError as error:
        # A q35 machine without a free hot-plug port refuses, and says so with the verb's code.
        assert error.code == 49
    client.call("VM.destroy", vmID=vm)


def test_four_machines_start_at_once(host):
    client = host.client()
    ids = []
    for number in range(4):
        vm, xml = machines.domain("many%d" % number, devices=sector_disk(host, "many%d.img" % number))
        machines.create(client, vm, xml)
        ids.append(vm)
    for vm in ids:
        client.wait_status(vm, "Up")
    assert {one["vmId"] for one in client.call("Host.getAllVmStats")} == set(ids)
    for vm in ids:
        client.call("VM.destroy", vmID=vm)
