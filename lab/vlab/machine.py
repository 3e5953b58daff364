# SPDX-License-Identifier: Apache-2.0
"""machine: what virtual machines (vm.py) and spaces (space.py) have in common.

A machine's process is recorded like every daemon; whatever happened to the run that started it, the next
one finds it.
"""

import fcntl
import os
import select
import time
from contextlib import contextmanager

from vlab import StepFailed

STOP_LIMIT = 20


class Machine:
    def __init__(self, lab, machine):
        self.lab, self.machine, self.name = lab, machine, machine.name
        self.processes, self.network = lab.processes, lab.network
        self.folder = lab.path("machines", self.name)
        self.address = machine.address(0)
        self.serial_log = lab.path("log", self.name + ".serial.log")

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    @contextmanager
    def lock(self):
        """One change of power at a time: commands, tests and the BMC come from several processes."""
        os.makedirs(self.folder, exist_ok=True)
        with open(self.path("power.lock"), "a", encoding="ascii") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def is_on(self):
        return self.processes.find(self.name) is not None

    def pid(self):
        process = self.processes.find(self.name)
        return process.pid if process else None

    @staticmethod
    def stopped(pid):
        """Whether every thread of it is stopped or gone."""
        try:
            for thread in os.listdir("/proc/%d/task" % pid):
                with open("/proc/%d/task/%s/stat" % (pid, thread), encoding="utf-8",
                          errors="replace") as file:
                    if file.read().rpartition(")")[2].split()[0] not in "TtXZ":
                        return False
        except OSError:
            return True
        return True

    def wait_stopped(self, pids):
        """A signal is a wish; this returns when it was followed."""
        end, pause = time.monotonic() + STOP_LIMIT, 0.001
        while not all(self.stopped(pid) for pid in pids):
            if time.monotonic() > end:
                raise StepFailed("%s does not stop within %d s" % (self.name, STOP_LIMIT))
            select.select([], [], [], pause)
            pause = min(pause * 1.5, 0.2)

    def serial_end(self, lines=25):
        try:
            with open(self.serial_log, encoding="utf-8", errors="replace") as file:
                return "".join("    " + line for line in file.readlines()[-lines:])
        except OSError:
            return ""

    # --- links --------------------------------------------------------------------------------

    def nic(self, name):
        for nic in self.machine.nics:
            if nic.name == name:
                return nic
        raise StepFailed("%s has no %s, only %s" % (
            self.name, name, ", ".join(nic.name for nic in self.machine.nics)))

    def cut_links(self):
        """Names of its NICs that are without a link."""
        try:
            with open(self.path("cut"), encoding="ascii") as file:
                return set(file.read().split())
        except FileNotFoundError:
            return set()

    def set_links(self, names, up):
        """Plugs in or pulls out the cables of the NICs @names; kept over power off and on."""
        for name in names:
            self.nic(name)
        cut = self.cut_links()
        cut = cut - set(names) if up else cut | set(names)
        with open(self.path("cut.new"), "w", encoding="ascii") as file:
            file.write(" ".join(sorted(cut)))
        os.replace(self.path("cut.new"), self.path("cut"))
        if self.is_on():
            self.change_links(names, up)
