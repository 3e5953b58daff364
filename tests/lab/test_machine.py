# SPDX-License-Identifier: Apache-2.0
"""A machine on a lab host, its disk on NFS, while agent, network and Manager fail; and power by IPMI.

The guest counts on its disk and its serial port (lab/guest/boot.S): it says START once as long as it
never stops."""

import os
import re
import subprocess
import threading
import time

import pytest

from labkit import ROOT
from vireolab import scenario
from vireolab.api import ApiError

TOPOLOGY = "two-hosts-nfs"
PACKAGES = True
MIB = 1 << 20
RUNNING = ("powering_up", "up")
SERIAL = "/var/log/libvirt/serial"
OPTIONS = {"FenceQuietTimeBetweenOperationsInSec": 0}  # no waiting between two power commands
# A host that is silent for 8 s is lost, and 8 s (and half a one for its machine) later given up: so that
# a cut of 20 s shows all of it.
HASTY = {"vdsHeartbeatInSeconds": 8, "TimeoutToResetVdsInSeconds": 8}


class Watch:
    """Every status that something had, in order, from the start of the block to its end."""

    def __init__(self, lab, path):
        self.api, self.path, self.seen = lab.api(), path, []
        self.stop, self.thread = threading.Event(), threading.Thread(target=self._follow)

    def _follow(self):
        while True:
            last = self.stop.is_set()
            try:
                status = self.api.get(self.path).get("status")
                if status and self.seen[-1:] != [status]:
                    self.seen.append(status)
            except ApiError as error:
                if error.status == 401:
                    self.api.token = None  # of a Manager that was killed
            except OSError:
                pass  # no Manager at the moment
            if last:
                return
            self.stop.wait(0.1)

    def wait(self, *wanted, limit=300):
        """Until it had these statuses in this order, after each other."""
        end = time.monotonic() + limit
        while not in_order(self.seen, *wanted):
            assert time.monotonic() < end, "%s instead of %s" % (self.seen, wanted)
            self.stop.wait(0.05)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *error):
        self.stop.set()
        self.thread.join()


def in_order(seen, *wanted):
    """Whether @wanted are in @seen, in that order."""
    rest = iter(seen)
    return all(status in rest for status in wanted)


class Counter:
    """The guest that counts, on the host where it was started."""

    def __init__(self, lab, vm):
        self.lab, self.id, self.path = lab, vm["id"], "vms/" + vm["id"]
        api = lab.api()
        self.place = next(name for name in ("host1", "host2")
                          if api.find("hosts", "host", name)["id"] == vm["host"]["id"])
        self.host = lab.host(self.place)
        self.host_path = "hosts/" + vm["host"]["id"]
        self.log = "%s/*.log" % SERIAL
        self.process = self.identity()

    def identity(self):
        """Process and start time of its QEMU."""
        return self.host.agent("set -- $(pgrep -f '^[^ ]*qemu-system.*%s'); echo $# $1 "
                               "$(cut -d' ' -f22 /proc/$1/stat)" % self.id).out

    def count(self):
        numbers = re.findall(r"BOOT (\d+)", self.host.agent("tail -n 3 %s" % self.log).out)
        return int(numbers[-1]) if numbers else 0

    def counts_on(self, more=3, limit=90):
        """Waits until it has counted @more on."""
        wanted, end = self.count() + more, time.monotonic() + limit
        while self.count() < wanted:
            assert time.monotonic() < end, "it does not count on"

    def never_stopped(self):
        text = self.host.agent("cat %s" % self.log).out
        assert text.count("START") == 1 and "FAIL" not in text
        numbers = [int(number) for number in re.findall(r"BOOT (\d+)", text)]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert self.identity() == self.process and self.process.startswith("1 ")


def configure(lab, options):
    """The Manager again, with these options."""
    lab.manager.site.options = dict(options)
    lab.manager.kill()
    lab.manager.start()


@pytest.fixture
def hasty(lab, joined, counter):
    """A Manager that gives up hosts soon, for this test."""
    configure(lab, {**OPTIONS, **HASTY})
    lab.wait_host(counter.place, "up")
    yield
    configure(lab, OPTIONS)
    lab.wait_host(counter.place, "up")


@pytest.fixture(scope="module")
def joined(lab):
    configure(lab, OPTIONS)
    for name in ("host1", "host2"):
        lab.add_host(name, wait=None)
    found = {name: lab.wait_host(name, "up") for name in ("host1", "host2")}
    for name in found:
        lab.host(name).run("mkdir -p %s && sed -i 's,^\\[libvirt\\],&\\nserial-log-dir=%s,' "
                           "/etc/vireo/agent.conf && systemctl restart vireo-agent" % (SERIAL, SERIAL))
    return {name: lab.wait_host(name, "up") for name in found}


@pytest.fixture(scope="module")
def counter(lab, joined):
    api = lab.api()
    domain = scenario.add_data_domain(api, joined["host1"], "data", storage={
        "type": "nfs", "address": lab.host("store").address, "path": "/export/data"})
    built = subprocess.run([os.path.join(ROOT, "tools", "boot-guest")], stdout=subprocess.PIPE,
                           text=True, check=True)
    disk = scenario.upload_disk(api, domain, "counter", os.path.join(built.stdout.strip(), "boot.qcow2"),
                                MIB)
    vm = scenario.add_vm(api, "counter", disk, 16 * MIB)
    counter = Counter(lab, start(api, vm))
    counter.counts_on()
    return counter


def start(api, vm, run_once=None):
    """Starts it; no guest agent will ever say that it is up, so nobody waits for that (a minute)."""
    path = "vms/" + vm["id"]
    api.action(path + "/start", run_once)
    return api.wait_status(path, RUNNING, 120)


def test_a_machine_runs_on_the_shared_domain(lab, counter):
    counter.never_stopped()
    assert lab.api().get(counter.path)["status"] in RUNNING
    # Its network card is on the bridge that the deployment made.
    tap = counter.host.run("virsh -q domiflist %s" % counter.id).out.split()
    assert tap[1:4] == ["bridge", "ovirtmgmt", "virtio"]


def test_the_agent_is_killed(lab, counter):
    with Watch(lab, counter.host_path) as host, Watch(lab, counter.path) as machine:
        before = counter.host.run("systemctl show -P MainPID vireo-agent").out
        counter.host.run("systemctl kill -s KILL vireo-agent")
        counter.host.wait("systemctl is-active vireo-agent && [ $(systemctl show -P MainPID vireo-agent) != %s ]"
                          % before.strip())
        host.wait("up", "connecting", "up")
        counter.counts_on()
    assert set(host.seen) <= {"up", "connecting", "initializing"}, host.seen
    assert set(machine.seen) <= set(RUNNING), machine.seen
    counter.never_stopped()


def test_the_network_is_cut_for_twenty_seconds(lab, counter, hasty):
    with Watch(lab, counter.host_path) as host, Watch(lab, counter.path) as machine:
        end = time.monotonic() + 20
        counter.host.cut()
        host.wait("up", "connecting", "non_responsive")
        while time.monotonic() < end:  # its disk is out of reach; it waits, and is there
            assert counter.identity() == counter.process
        counter.host.heal()
        host.wait("up", "connecting", "non_responsive", "up")
        counter.counts_on()
        lab.api().wait_status(counter.path, RUNNING, 60)
    assert set(host.seen) <= {"up", "connecting", "non_responsive", "unassigned", "initializing"}, host.seen
    assert "unknown" in machine.seen and set(machine.seen) <= {"unknown", *RUNNING}, machine.seen
    counter.never_stopped()


def test_manager_and_agent_are_killed(lab, counter):
    lab.manager.kill()
    counter.host.run("systemctl kill -s KILL vireo-agent")
    lab.manager.start()
    lab.wait_host(counter.place, "up")
    counter.counts_on()
    assert lab.api().wait_status(counter.path, RUNNING, 60)["id"] == counter.id
    counter.never_stopped()


# --- power: the neighbour, by its BMC, through the host that runs the machine ---

@pytest.fixture(scope="module")
def neighbour(lab, joined, counter):
    """The other host, with power management, in maintenance."""
    name = next(name for name in joined if name != counter.place)
    host, api = lab.host(name), lab.api()
    path = "hosts/" + joined[name]["id"]
    api.add(path + "/fenceagents", {
        "address": host.bmc.address, "type": "ipmilan", "order": "1", "username": host.bmc.user,
        "password": host.bmc.password,
        "options": {"option": [{"name": "lanplus", "value": "1"}, {"name": "cipher", "value": "3"}]}})
    api.call("PUT", path, {"power_management": {"enabled": "true"}})
    api.action(path + "/deactivate")
    lab.wait_host(name, "maintenance")
    return host


def fence(lab, host, what):
    path = "hosts/" + lab.api().find("hosts", "host", host.name)["id"]
    return lab.api().action(path + "/fence", {"fence_type": what})


def wait_power(host, wanted, limit=60):
    """Asks the BMC itself: the Manager has the host locked until it is done."""
    end = time.monotonic() + limit
    while host.is_on() != wanted:
        assert time.monotonic() < end, "its power does not become %s" % wanted


def wait_free(lab, host, limit=60):
    """Until no job has the host any more."""
    end = time.monotonic() + limit
    while any(job["status"] == "started" and host.name in job["description"]
              for job in lab.api().get("jobs").get("job", [])):
        assert time.monotonic() < end, "a job does not end"


def test_power_goes_off_and_on_and_the_statuses_follow(lab, neighbour):
    path = "hosts/" + lab.api().find("hosts", "host", neighbour.name)["id"]
    assert fence(lab, neighbour, "status")["power_management"]["status"] == "on"
    before = neighbour.boot_id()
    with Watch(lab, path) as host:
        fence(lab, neighbour, "stop")
        host.wait("maintenance", "down")  # from the order on (facts/manager-behaviour.md 4.3)
        wait_power(neighbour, False)
        wait_free(lab, neighbour)
        assert fence(lab, neighbour, "status")["power_management"]["status"] == "off"
        fence(lab, neighbour, "start")
        host.wait("maintenance", "down", "reboot")
        wait_power(neighbour, True)
        host.wait("maintenance", "down", "reboot", "up")
    assert set(host.seen) <= {"maintenance", "down", "reboot", "unassigned", "initializing", "up"}, host.seen
    neighbour.wait_ready()
    assert neighbour.boot_id() != before


def test_a_restart_is_a_boot(lab, neighbour):
    path = "hosts/" + lab.api().find("hosts", "host", neighbour.name)["id"]
    lab.wait_host(neighbour.name, "up")
    before = neighbour.boot_id()
    with Watch(lab, path) as host:
        fence(lab, neighbour, "restart")
        host.wait("up", "reboot", "up")
    neighbour.wait_ready()
    assert neighbour.boot_id() != before


def test_nobody_turns_off_the_host_that_the_machine_is_on(lab, counter):
    with pytest.raises(ApiError) as refused:
        fence(lab, counter.host, "stop")
    assert refused.value.status == 409
    assert counter.host.is_on()
    counter.counts_on()
    counter.never_stopped()


def test_the_machine_is_stopped_and_starts_on_the_other_host(lab, counter, neighbour):
    """What it wrote is there, over there."""
    api, count = lab.api(), counter.count()
    api.action(counter.path + "/stop")
    api.wait_status(counter.path, "down", 60)
    other = api.find("hosts", "host", neighbour.name)
    start(api, {"id": counter.id}, {"vm": {"placement_policy": {"hosts": {"host": [
        {"id": other["id"]}]}}}})
    text = neighbour.wait("cat %s/*.log | grep -m 1 START" % SERIAL, 60).out
    assert int(text.split()[1]) >= count
    scenario.stop_vms(api, 60)
