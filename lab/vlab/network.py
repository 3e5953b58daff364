# SPDX-License-Identifier: Apache-2.0
"""network: the lab's network namespace.

One process holds it; bridges and taps are in it, and nothing connects it with the outside: no veth,
no route.  Whoever needs to speak to a host (Manager, tests, ssh) enters the namespace.
"""

import ctypes
import os
import subprocess
from contextlib import contextmanager

from vlab import StepFailed

CLONE_NEWNET = 0x40000000
HOLDER = "network"
HOLD = ('set -e; export PATH="$PATH:/usr/sbin:/sbin"; ip link set lo up; : >"$1"; '
        'exec sleep infinity')


def enter(descriptor):
    """The calling thread, and what it starts, lives in that namespace from now on."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, CLONE_NEWNET) != 0:
        error = ctypes.get_errno()
        raise StepFailed("the lab's network namespace: %s" % os.strerror(error), "run it as root")


class Network:
    def __init__(self, processes, state):
        self.processes, self.state = processes, state

    def exists(self):
        return self.processes.find(HOLDER) is not None

    def path(self):
        process = self.processes.find(HOLDER)
        if process is None:
            raise StepFailed("this lab is not up", "run lab/lab up")
        return "/proc/%d/ns/net" % process.pid

    def start(self, topology):
        """Namespace and bridges; what is there already stays."""
        if not self.exists():
            ready = os.path.join(self.state, "run", "network.ready")
            if os.path.exists(ready):
                os.unlink(ready)
            self.processes.start(HOLDER, ["unshare", "--net", "--", "sh", "-c", HOLD, "network", ready])
            self.processes.wait_until(HOLDER, lambda: os.path.exists(ready), 20, "made")
        with self.inside():
            for number, name in enumerate(topology.networks):
                if not has_link(bridge(name)):
                    ip("link", "add", bridge(name), "type", "bridge", "stp_state", "0",
                       "forward_delay", "0", "mcast_snooping", "0")
                    ip("addr", "add", "10.99.%d.1/24" % number, "dev", bridge(name))
                    ip("link", "set", bridge(name), "up")
            for machine in topology.machines.values():
                if machine.bmc:
                    ip("addr", "replace", machine.bmc_address + "/24", "dev",
                       bridge(topology.networks[0]))
                for nic in machine.nics if machine.kind == "vm" else ():
                    if not nic.cable and not has_link(tap(machine, nic)):
                        ip("tuntap", "add", tap(machine, nic), "mode", "tap")
                        ip("link", "set", tap(machine, nic), "master", bridge(nic.link), "up")

    @contextmanager
    def inside(self):
        """The calling thread is in the namespace for the length of the block."""
        mine = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            theirs = os.open(self.path(), os.O_RDONLY | os.O_CLOEXEC)
            try:
                enter(theirs)
            finally:
                os.close(theirs)
            try:
                yield
            finally:
                enter(mine)
        finally:
            os.close(mine)

    def command(self, argv):
        """@argv, to be run in the namespace from outside."""
        return ["nsenter", "--net=" + self.path(), "--"] + argv


def bridge(network):
    return "br-" + network


def tap(machine, nic):
    return "%s.%d" % (machine.name, nic.index)


def has_link(name):
    done = subprocess.run(["ip", "link", "show", "dev", name], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL)
    return done.returncode == 0


def ip(*arguments):
    done = subprocess.run(["ip"] + list(arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True)
    if done.returncode:
        raise StepFailed("ip %s: %s" % (" ".join(arguments), done.stdout.strip()),
                         "is the tun driver there, and is this root?")
