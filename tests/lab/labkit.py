# SPDX-License-Identifier: Apache-2.0
"""labkit: a lab in the hands of a test (README.md).  Hosts, the Manager, and what can be done to them.

The test's own thread lives in the lab's network while the fixture `lab` is there, so URLs of the Manager
and of hosts work as they are.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
for folder in ("lab", "tools"):
    if os.path.join(ROOT, folder) not in sys.path:
        sys.path.insert(0, os.path.join(ROOT, folder))

import ovirtsdk4 as sdk  # noqa: E402

from vireolab import StepFailed  # noqa: E402
from vlab.lab import Lab as Vlab  # noqa: E402

PROGRAM = os.path.join(ROOT, "lab", "lab")
STATES = os.path.join(ROOT, "build-tools", "lab", "tests")
LOGS = os.path.join(ROOT, "build-tools", "lab-logs")
UP_LIMIT = 600
MAX_RUNS = 8
# Statuses in which a host that is being added stays, unless somebody acts.
HOST_DEAD_ENDS = ("install_failed", "non_operational", "error", "installing_os", "kdumping")


class Failed(AssertionError):
    """A command in a host that did not do what the test needs."""


class Result:
    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err

    def __repr__(self):
        return "status %d\n%s%s" % (self.status, self.out, self.err)


class Host:
    """One machine of the lab, host or storage server."""

    def __init__(self, lab, machine):
        self.lab, self.vm, self.name = lab, machine, machine.name
        self.address = machine.address
        self.bmc = lab.vlab.bmcs.get(machine.name)

    # --- commands -----------------------------------------------------------------------------

    def run(self, script, check=True, limit=120, stdin=None):
        """Runs a shell script as root over ssh.  With @check a status other than 0 fails the test.
        The first call to a host that just booted takes about 1 s, later ones 0.2 s."""
        try:
            done = subprocess.run(self.lab.vlab.ssh(self.name, script), cwd=self.lab.vlab.state,
                                  input=stdin if stdin is not None else b"", stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, timeout=limit)
        except subprocess.TimeoutExpired:
            raise Failed("%s: not ended within %d s: %s" % (self.name, limit, script)) from None
        return self._checked(script, check, done.returncode, done.stdout.decode("utf-8", "replace"),
                             done.stderr.decode("utf-8", "replace"))

    def agent(self, script, check=True, limit=120):
        """The same by the guest agent: works while the host has no network."""
        return self._checked(script, check, *self.vm.run_by_agent(script, limit))

    def _checked(self, script, check, *result):
        result = Result(*result)
        if check and result.status:
            raise Failed("%s: %s\n%s" % (self.name, script, result))
        return result

    def push(self, content, path, mode="644"):
        """A file of @content (bytes) at @path of the host."""
        self.run("umask 77; mkdir -p \"$(dirname '%s')\" && cat >'%s' && chmod %s '%s'" %
                 (path, path, mode, path), stdin=content)

    def push_file(self, source, path=None):
        """A file of this machine, at the same name below the host's /tmp or at @path; its path."""
        path = path or "/tmp/" + os.path.basename(source)
        with open(source, "rb") as file:
            self.push(file.read(), path)
        return path

    def wait(self, script, limit=60, by_agent=False):
        """Runs @script again and again, in the host, until it says 0; its result."""
        end = time.monotonic() + limit
        run = self.agent if by_agent else self.run
        while True:
            result = run(script, check=False)
            if result.status == 0:
                return result
            if time.monotonic() > end:
                raise Failed("%s: not true within %d s: %s\n%s" % (self.name, limit, script, result))

    # --- power, processor, cables -------------------------------------------------------------

    def power_on(self, wait=True):
        self.vm.power_on()
        if wait:
            self.vm.wait_ready()

    def power_off(self):
        """Pulls the plug."""
        self.vm.power_off()

    def is_on(self):
        return self.vm.is_on()

    def reset(self):
        """The reset button; returns at once."""
        self.vm.reset()

    def wait_ready(self, limit=240):
        self.vm.wait_ready(limit)

    def boot_id(self):
        """Changes with every boot."""
        return self.vm.boot_id()

    def events(self):
        """What QEMU tells from now on: `.wait_event(("RESET",), seconds)`; close it."""
        return self.vm.events()

    def fence(self, action, **options):
        """fence_ipmilan against its BMC: (exit status, text); status: 0 on, 2 off, 1 no answer."""
        return self.bmc.fence(action, **options)

    def freeze(self):
        self.vm.freeze()

    def thaw(self):
        self.vm.thaw()

    def cut(self, *nics):
        """Pulls the cables of the NICs named, or of all."""
        self.vm.set_links(nics or [nic.name for nic in self.vm.machine.nics], False)

    def heal(self, *nics):
        self.vm.set_links(nics or [nic.name for nic in self.vm.machine.nics], True)


class Lab:
    """What the fixture `lab` gives."""

    def __init__(self, vlab, manager):
        self.vlab = vlab
        self.hosts = {name: Host(self, machine) for name, machine in vlab.machines.items()}
        self.manager = vlab.manager if manager else None
        self.root_password = (vlab.config or {}).get("password")

    def host(self, name):
        return self.hosts[name]

    # --- the Manager --------------------------------------------------------------------------

    @property
    def url(self):
        return self.manager.url

    @property
    def ca(self):
        return self.manager.ca

    def password(self):
        return self.manager.site.password()

    def connection(self, **changes):
        """A connection of the official SDK; close it."""
        options = {"url": self.url + "/ovirt-engine/api", "username": "admin@internal",
                   "password": self.password(), "ca_file": self.ca, "timeout": 120}
        options.update(changes)
        return sdk.Connection(**options)

    def api(self):
        """The small JSON client of the tools (vireolab/api.py)."""
        return self.manager.api()

    def add_host(self, name, wait="up", limit=300, **changes):
        """Adds a host of the lab to the Manager as an administrator does, by its root password; the
        host as the Manager shows it when it has status @wait (None: at once).  A space is enrolled
        already and has no sshd: nothing is said about SSH, so nothing is deployed over it."""
        host = self.hosts[name]
        api = self.api()
        body = {"name": name, "address": host.address, "cluster": {"name": "Default"}}
        if host.vm.machine.kind != "space":
            body["ssh"] = {"authentication_method": "password"}
            body["root_password"] = self.root_password
        made = api.add("hosts?activate=true", {**body, **changes})
        if wait is None:
            return made
        return self.wait_host(name, wait, limit)

    def wait_host(self, name, wanted, limit=300, bad=HOST_DEAD_ENDS):
        """The host @name when it has one of the statuses @wanted."""
        api = self.api()
        found = api.find("hosts", "host", name)
        assert found, "the Manager has no host %s" % name
        wanted = (wanted,) if isinstance(wanted, str) else wanted
        return api.wait_status("hosts/" + found["id"], wanted, limit,
                               bad=[status for status in bad if status not in wanted])

    # --- when a test failed -------------------------------------------------------------------

    def collect(self, folder):
        """Logs of everything, into @folder: serial logs, QEMU, BMCs, Manager, journals."""
        os.makedirs(folder, exist_ok=True)
        for source, name in ((self.vlab.path("log"), "lab"), (self.vlab.path("manager", "log"), "manager")):
            if os.path.isdir(source):
                shutil.copytree(source, os.path.join(folder, name), dirs_exist_ok=True)
        with open(os.path.join(folder, "status"), "w", encoding="utf-8") as file:
            for row in self.vlab.status():
                file.write("  ".join(row) + "\n")
        for name, host in self.hosts.items():
            if host.vm.machine.kind == "space":
                for part in ("var-log", "serial"):
                    shutil.copytree(host.vm.path(part), os.path.join(folder, name, part),
                                    dirs_exist_ok=True)
                continue
            if not host.is_on() or host.vm.is_frozen():
                continue
            try:
                text = host.agent("journalctl --no-pager -o short-precise | tail -c 2000000; "
                                  "systemctl --failed --no-pager", check=False, limit=60).out
            except (StepFailed, OSError, EOFError) as error:
                text = "no journal: %s\n" % error
            with open(os.path.join(folder, name + ".journal"), "w", encoding="utf-8") as file:
                file.write(text)

    def story(self, lines=25):
        """The ends of the Manager's and the serial logs, for the report of a failed test."""
        text = self.manager.site.logs(lines) if self.manager else ""
        for name, host in self.hosts.items():
            text += "--- %s, serial log\n%s" % (name, host.vm.serial_end(lines))
        return text


# --- states: one folder a test run, whoever else runs tests in this tree ----------------------------

class Keeper:
    """Owns a state folder for the length of a test run and ends what earlier runs left."""

    def __init__(self):
        os.makedirs(STATES, exist_ok=True)
        self.lock, self.state = None, None
        for number in range(MAX_RUNS):
            lock = open(os.path.join(STATES, "%d.lock" % number), "a", encoding="ascii")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                lock.close()
                continue
            state = os.path.join(STATES, str(number))
            if os.path.exists(state):  # of a run that ended without its guard
                Vlab(state).down()
                shutil.rmtree(state)
            if self.lock is None:
                self.lock, self.state = lock, state
            else:
                lock.close()
        if self.lock is None:
            raise RuntimeError("%d test runs use this tree already" % MAX_RUNS)

    def up(self, topology, manager, logs):
        """A lab of @topology, fresh; it ends with this process, however that ends.  Of one that does
        not come up, everything is kept in the folder @logs."""
        command = [PROGRAM, "--state", self.state, "up", topology, "--guard", str(os.getpid())]
        done = subprocess.run(command + ([] if manager else ["--no-manager"]), timeout=UP_LIMIT,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            raise RuntimeError("lab up %s:\n%s%s" % (topology, done.stdout, self.collect(manager, logs)))
        return Lab(Vlab(self.state), manager)

    def collect(self, manager, logs):
        """What there is of a lab that is not whole; the sentence that says where."""
        try:
            Lab(Vlab(self.state), manager).collect(logs)
        except Exception as error:  # as much as there was; what failed before matters more
            return "not all logs are in %s: %r" % (logs, error)
        return "everything is in %s" % logs

    def down(self):
        Vlab(self.state).down()
        shutil.rmtree(self.state, ignore_errors=True)

    def close(self):
        self.lock.close()
