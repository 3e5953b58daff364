# SPDX-License-Identifier: Apache-2.0
"""lab: one lab, that is one state folder: its topology, and what of it runs.

What was started is found by the records in STATE/run (vireolab/processes.py), by whatever process
looks; there is no server.  `up` starts what does not run yet, so it goes on where a killed one ended.
"""

import fcntl
import json
import os
import secrets
import shutil
import signal
import subprocess
import time
import uuid
from contextlib import contextmanager

from vireolab.processes import Process, Processes, start_time

from vlab import ROOT, StepFailed, artifacts, seed
from vlab.bmc import Bmc
from vlab.manager import ADDRESS, PORT, Manager
from vlab.network import Network
from vlab.topology import parse
from vlab.space import Space
from vlab.vm import START_LIMIT, VirtualMachine

MARK = "VIREO_LAB_STATE"
QEMU_OVERHEAD = 300  # MiB a machine: translated code and QEMU itself
SSH_CONFIG = """\
Host *
    User root
    IdentityFile "%(state)s/ssh/key"
    IdentitiesOnly yes
    UserKnownHostsFile "%(state)s/ssh/known_hosts"
    StrictHostKeyChecking yes
    ControlMaster auto
    ControlPath ./machines/%%n/ssh
    ControlPersist 600
    ServerAliveInterval 10
    ServerAliveCountMax 3
    ConnectTimeout 15
    LogLevel ERROR
"""


def default_state():
    return os.environ.get("LAB_STATE") or os.path.join(ROOT, ".lab")


class Lab:
    def __init__(self, state=None, say=None):
        self.state = os.path.abspath(state or default_state())
        self.say = say or (lambda text: None)
        self.processes = self.network = self.topology = self.config = None
        self.machines, self.bmcs, self.manager = {}, {}, None
        if os.path.isdir(self.path("run")):
            self._open()

    def path(self, *parts):
        return os.path.join(self.state, *parts)

    def environment(self):
        """Every process of the lab carries the mark: even one that was started and not recorded
        is found by it."""
        return {**os.environ, MARK: self.state}

    # --- state --------------------------------------------------------------------------------

    def _open(self):
        self.processes = Processes(self.path("run"), self.path("log"))
        self.network = Network(self.processes, self.state)
        self.manager = Manager(self)
        try:
            with open(self.path("lab.json"), encoding="utf-8") as file:
                self.config = json.load(file)
        except (OSError, ValueError):
            return
        self.topology = parse(self.config["topology"], self.config["file"], self.config["text"])
        for machine in self.topology.machines.values():
            kind = {"vm": VirtualMachine, "space": Space}[machine.kind]
            self.machines[machine.name] = kind(self, machine)
            if machine.bmc:
                self.bmcs[machine.name] = Bmc(self, machine)

    def _create(self, topology):
        for name in ("log", "run", "ssh", "luns", "machines"):
            os.makedirs(self.path(name), exist_ok=True)
        config = {"topology": topology.name, "file": topology.path, "text": topology.text,
                  "password": secrets.token_hex(8), "bmc_password": secrets.token_hex(8),
                  "identities": {name: {"uuid": str(uuid.uuid4()), "machine_id": uuid.uuid4().hex}
                                 for name in topology.machines}}
        # Open to the database server's user, which must pass it; what is secret is in files of 600.
        os.chmod(self.state, 0o755)
        with open(self.path("lab.json.new"), "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), 0o600)
            json.dump(config, file, indent=1)
        os.rename(self.path("lab.json.new"), self.path("lab.json"))
        self._open()

    @contextmanager
    def lock(self):
        """One `up` or `down` at a time."""
        os.makedirs(self.state, exist_ok=True)
        with open(self.path("lock"), "a", encoding="ascii") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise StepFailed("another `lab up` or `lab down` works on %s" % self.state,
                                 "wait for it, or set LAB_STATE to another folder") from None
            yield

    def require(self):
        """The lab exists: otherwise a clear word."""
        if not self.topology:
            raise StepFailed("there is no lab in %s" % self.state, "run lab/lab up")

    def machine(self, name):
        self.require()
        if name not in self.machines:
            raise StepFailed("there is no machine %s, only %s" % (name, ", ".join(self.machines)))
        return self.machines[name]

    def identity(self, machine):
        return self.config["identities"][machine.name]

    def seed(self, machine):
        """The archive that makes @machine itself."""
        key = self.path("ssh", machine.name)
        public = artifacts.ssh_key(key, "root@" + machine.name)
        with open(key, encoding="ascii") as file:
            private = file.read()
        identity = {**self.identity(machine), "password": self.config["password"],
                    "authorized_key": artifacts.ssh_key(self.path("ssh", "key"), "lab"),
                    "host_key": private, "host_key_public": public}
        return seed.Seed(self.topology, machine, identity).content()

    def hosts_file(self):
        return seed.hosts_file(self.topology)

    def _write_ssh(self):
        config, known = SSH_CONFIG % {"state": self.state}, ""
        for name, machine in self.topology.machines.items():
            config += "Host %s\n    HostName %s\n" % (name, machine.address(0))
            key = artifacts.ssh_key(self.path("ssh", name), "root@" + name)
            known += "%s %s\n" % (machine.address(0), " ".join(key.split()[:2]))
        for name, text in (("config", config), ("known_hosts", known)):
            with open(self.path("ssh", name), "w", encoding="ascii") as file:
                file.write(text)

    def ssh(self, name, *command):
        """The command line of ssh to @name; to be run with the state folder as directory.  A space
        is simply entered."""
        machine = self.machine(name)
        if machine.machine.kind == "space":
            return machine.inside(["sh", "-c", " ".join(command)] if command else ["bash"])
        return self.network.command(["ssh", "-F", self.path("ssh", "config"), name, *command])

    # --- up -----------------------------------------------------------------------------------

    def up(self, topology, manager=True, guard=None, limit=START_LIMIT):
        """Everything of @topology runs and is ready when this returns; a lab that is up already
        only gets what is missing.  With the number @guard of a process, the lab ends when it does."""
        if os.geteuid() != 0:
            raise StepFailed("namespaces and taps need root", "run sudo lab/lab up")
        with self.lock():
            if self.topology and self.topology.text != topology.text:
                if self.processes.find("network"):
                    raise StepFailed("%s holds a lab of topology %s" % (self.state,
                                                                        self.topology.name),
                                     "run lab/lab down, or set LAB_STATE to another folder")
                self._end(keep=False)
            elif self.topology and not self.network.exists():
                self._end(keep=True)  # leftovers in a network that nobody can reach any more
            self._check(topology)
            begin = time.monotonic()
            if not self.topology:
                self._forget_logs()
                self._create(topology)
            if guard:
                self._start_guard(guard)
            self._start(manager)
            for name, machine in self.machines.items():
                machine.wait_ready(limit)
                self.say("%-40s %6.1f s" % (name + " is ready", time.monotonic() - begin))

    def _check(self, topology):
        seed.refuse_vireo()
        memory, cores = topology.resources()
        count = len([machine for machine in topology.machines.values() if machine.kind == "vm"])
        need = memory + QEMU_OVERHEAD * count
        with open("/proc/meminfo", encoding="ascii") as file:
            free = int([line for line in file if line.startswith("MemAvailable")][0].split()[1]) >> 10
        self.say("%s: %d machines with %d MiB and %d cores in all; %d MiB of %d free are needed" % (
            topology.name, len(topology.machines), memory, cores, need, free))
        if need > free and not self.machines_on():
            raise StepFailed("%d MiB of memory are needed, %d are free" % (need, free),
                             "take a smaller topology, or end what uses the memory")

    def _start(self, manager):
        self.network.start(self.topology)
        self._write_ssh()
        for name, size in self.topology.luns.items():
            if not os.path.exists(self.path("luns", name + ".img")):
                artifacts.blank_image(self.path("luns", name + ".img"), size)
        if any(machine.kind == "space" for machine in self.topology.machines.values()):
            self.manager.prepare()  # who signs their certificates
        for machine in self.machines.values():
            machine.power_on()
        for bmc in self.bmcs.values():
            bmc.start()
        if manager:
            begin = time.monotonic()
            os.environ[MARK] = self.state
            self.manager.start()
            self._start_relay()
            self.say("%-40s %6.1f s" % ("the Manager answers", time.monotonic() - begin))

    def _start_relay(self):
        """A port of the outer loopback: the one it had before, 8443, or the next free one."""
        if self.processes.find("relay"):
            return
        before = self.relay_port() or PORT
        if os.path.exists(self.path("relay.port")):
            os.unlink(self.path("relay.port"))
        self.processes.start("relay", self._self("relay", str(before)),
                             environment=self.environment())
        self.processes.wait_until("relay", self.relay_port, 20, "listening")

    def _start_guard(self, pid):
        self.processes.end("guard")
        self.processes.start("guard", self._self("guard", str(pid), str(start_time(pid))),
                             environment=self.environment())

    def _self(self, *arguments):
        return [os.path.join(ROOT, "lab", "lab"), "--state", self.state, *arguments]

    def _forget_logs(self):
        shutil.rmtree(self.path("log"), ignore_errors=True)

    def relay_port(self):
        """The port on the outer loopback that leads to the Manager, or None."""
        try:
            with open(self.path("relay.port"), encoding="ascii") as file:
                return int(file.read())
        except (OSError, ValueError):
            return None

    # --- looking ------------------------------------------------------------------------------

    def machines_on(self):
        return [machine for machine in self.machines.values() if machine.is_on()]

    def status(self):
        """A row a machine, for people."""
        self.require()
        rows = [("MACHINE", "KIND", "ROLE", "ADDRESS", "POWER", "PID", "LINKS", "BMC", "UUID")]
        for name, machine in self.machines.items():
            power = "off" if not machine.is_on() else "frozen" if machine.is_frozen() else "on"
            cut = machine.cut_links()
            rows.append((name, machine.machine.kind, machine.machine.role, machine.address, power,
                         str(machine.pid() or "-"),
                         "cut: " + ",".join(sorted(cut)) if cut else "up",
                         self.bmcs[name].address if name in self.bmcs else "-",
                         self.identity(machine.machine)["uuid"]))
        return rows

    # --- down ---------------------------------------------------------------------------------

    def down(self, keep=False):
        """Ends everything; deletes all but the logs unless @keep.  Works on what a killed run left."""
        if not os.path.isdir(self.path("run")):
            return
        with self.lock():
            self._end(keep)

    def _end(self, keep):
        # The guard may be who calls; those who could turn a machine on again come before it.
        for name in self._recorded():
            if name.startswith("bmc-"):
                self.processes.end(name, patience=2)
        for machine in self.machines.values():
            machine.power_off()
        self.manager.end(keep=True)
        for name in self._recorded():
            if name == "guard" and self.processes.find(name) and \
                    self.processes.find(name).pid == os.getpid():
                os.unlink(self.path("run", "guard.json"))
            elif name != "network":
                process = self.processes.find(name)
                if process:
                    process.send(signal.SIGCONT)
                self.processes.end(name, patience=5)
        self._sweep()
        self.processes.end("network", patience=0)
        if not keep:
            self._keep_logs()
            self.manager.end(keep=False)
            for name in ("machines", "luns", "ssh", "shared", "run"):
                shutil.rmtree(self.path(name), ignore_errors=True)
            for name in ("lab.json", "relay.port"):
                if os.path.exists(self.path(name)):
                    os.unlink(self.path(name))
            self.topology = self.config = self.processes = None
            self.machines, self.bmcs = {}, {}

    def _recorded(self):
        return sorted(name[:-5] for name in os.listdir(self.path("run")) if name.endswith(".json"))

    def _keep_logs(self):
        source = self.path("manager", "log")
        if os.path.isdir(source):
            shutil.copytree(source, self.path("log", "manager"), dirs_exist_ok=True)

    def _sweep(self):
        """Whatever carries this lab's mark and has no record: started by a run that was killed
        before it wrote one, or a child of something that was ended."""
        mark = ("%s=%s" % (MARK, self.state)).encode()
        spared = ancestors()
        for entry in filter(str.isdigit, os.listdir("/proc")):
            pid = int(entry)
            if pid in spared or not carries(pid, mark):
                continue
            try:
                process = Process("leftover", pid, "")
            except OSError:
                continue
            if carries(pid, mark):  # still the same one, now that it is pinned
                process.send(signal.SIGKILL)
                process.ended(10)
            os.close(process.pidfd)


def carries(pid, mark):
    try:
        with open("/proc/%d/environ" % pid, "rb") as file:
            return mark in file.read().split(b"\0")
    except OSError:
        return False


def ancestors():
    """This process and those above it."""
    found, pid = set(), os.getpid()
    while pid > 0 and pid not in found:
        found.add(pid)
        try:
            with open("/proc/%d/stat" % pid, encoding="utf-8", errors="replace") as file:
                pid = int(file.read().rpartition(")")[2].split()[1])
        except OSError:
            break
    return found


def guard(lab, pid, start):
    """Waits for the end of process @pid, which began at @start, and ends the lab then."""
    if start_time(pid) == start:
        try:
            owner = Process("owner", pid, "")
            while start_time(pid) == start and not owner.ended(3600):
                pass
        except OSError:
            pass
    lab.down()


def relay(lab, port):
    """Runs the relay on @port or the next free one, and says which in relay.port."""
    from vlab.relay import listen, run
    listener = listen(port)
    with open(lab.path("relay.port.new"), "w", encoding="ascii") as file:
        file.write("%d\n" % listener.getsockname()[1])
    os.replace(lab.path("relay.port.new"), lab.path("relay.port"))
    run(listener, lab.network.path(), ADDRESS, PORT)
