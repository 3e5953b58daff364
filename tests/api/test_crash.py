# SPDX-License-Identifier: Apache-2.0
"""kill -9 of every daemon while a machine runs; then the machine's ordinary end."""

import os
import signal

import ovirtsdk4 as sdk
import pytest
from ovirtsdk4 import types

from helpers import LIMIT, gone, serial_log, status_of, wait_for


def qemu_pids(site):
    """Every QEMU process of the site with its start: a machine that was touched would have another."""
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            if not os.path.basename(os.readlink("/proc/%s/exe" % entry)).startswith("qemu-system"):
                continue
            with open("/proc/%s/cmdline" % entry, "rb") as file:
                ours = site.state.encode() in file.read()
            if ours:
                with open("/proc/%s/stat" % entry, encoding="utf-8") as file:
                    found[int(entry)] = file.read().rpartition(")")[2].split()[19]
        except OSError:
            pass
    return found


def spm_starts(api):
    """How often a host was found or made the storage pool manager (IRS_HOSTED_ON_VDS)."""
    return sum(event["code"] == "204" for event in api.get("events")["event"])


def kill(site, name):
    process = site.processes.find(name)
    process.send(signal.SIGKILL)
    assert process.ended(20)


def test_the_machine_survives_the_death_of_the_agent(site, api, vm):
    before = qemu_pids(site)
    ticks = serial_log(site, vm).count(b"tick ")
    kill(site, "agent")
    site.start_agent()
    wait_for(lambda: serial_log(site, vm).count(b"tick ") > ticks, True)
    assert before.items() <= qemu_pids(site).items()
    hosts = api.get("hosts")["host"]
    api.wait_status("hosts/" + hosts[0]["id"], "up", LIMIT)
    api.wait_status("vms/" + vm, "up", LIMIT)


def test_the_machine_survives_the_death_of_the_manager(site, api, vm):
    before = qemu_pids(site)
    known = api.get("vms/" + vm)
    kill(site, "manager")
    site.start_manager()
    api.token = None
    after = api.wait_status("vms/" + vm, "up", LIMIT)
    assert after["id"] == known["id"] and after["name"] == known["name"]
    assert before.items() <= qemu_pids(site).items()
    host = api.get("hosts")["host"][0]
    api.wait_status("hosts/" + host["id"], "up", LIMIT)


def test_the_machine_survives_the_death_of_both(site, api, vm):
    before = qemu_pids(site)
    boots = serial_log(site, vm).count(b"GUEST READY")
    starts = spm_starts(api)
    kill(site, "manager")
    kill(site, "agent")
    site.start_agent()
    site.start_manager()
    api.token = None
    api.wait_status("vms/" + vm, "up", LIMIT)
    assert before.items() <= qemu_pids(site).items()
    assert serial_log(site, vm).count(b"GUEST READY") == boots
    # Neither remembers that the host managed the storage pool: it is made sure of.
    wait_for(lambda: spm_starts(api) > starts, True)


def test_what_was_answered_before_a_kill_is_there_after_it(site, api):
    names = ["kept%d" % number for number in range(10)]
    for name in names:
        api.add("vms", {"name": name, "cluster": {"name": "Default"},
                        "template": {"name": "Blank"}})
    kill(site, "manager")
    site.start_manager()
    api.token = None
    found = {vm["name"]: vm["id"] for vm in api.get("vms?search=name%3Dkept*")["vm"]}
    assert sorted(found) == sorted(names)
    for identifier in found.values():
        api.call("DELETE", "vms/" + identifier)


def test_the_manager_outlives_its_database_server(site, api):
    with open(site.path("db", "data", "postmaster.pid"), encoding="utf-8") as file:
        os.kill(int(file.readline()), signal.SIGKILL)
    vm = api.add("vms", {"name": "patient", "cluster": {"name": "Default"},
                         "template": {"name": "Blank"}})
    assert api.get("vms/" + vm["id"])["name"] == "patient"
    api.call("DELETE", "vms/" + vm["id"])


def test_a_shutdown_asks_the_guest_and_the_machine_goes(site, system, vm, disk):
    service = system.vms_service().vm_service(vm)
    service.shutdown()
    wait_for(status_of(service), types.VmStatus.DOWN)
    assert b"GUEST poweroff" in serial_log(site, vm)
    service.start()
    wait_for(status_of(service), (types.VmStatus.UP, types.VmStatus.POWERING_UP))
    service.stop()
    wait_for(status_of(service), types.VmStatus.DOWN)
    service.remove()
    wait_for(gone(service), True)
    wait_for(gone(system.disks_service().disk_service(disk)), True)
    with pytest.raises(sdk.NotFoundError):
        service.get()
