# SPDX-License-Identifier: Apache-2.0
"""space: a host without a kernel of its own: network, mount, process, host-name and IPC namespaces, with
libvirtd and the agent of this tree's build in them.  Up within seconds.

It has the face of a virtual machine (vm.py).  Its power is the life of its process 1, with which all of it
dies.  It is enrolled already: it has no sshd, systemd, watchdog, storage of the kernel's, nor a disk to lose.
"""

import os
import select
import shutil
import signal
import socket
import subprocess
import time

from vireolab.processes import Process
from vireolab.site import QEMU_CONF, console_certificates, write_if_changed

from vlab import StepFailed
from vlab.machine import Machine
from vlab.network import bridge, has_link, ip, tap

AGENT_PORT = 54321
LIBVIRTD_CONF = """\
auth_unix_rw = "none"
unix_sock_group = "root"
host_uuid = "%s"
"""
# Without virtlogd: a file of its own is enough for each guest.
QEMU_ADDITION = 'stdio_handler = "file"\n'
AGENT_CONF = """\
[agent]
port=%(port)d
state=%(folder)s/agent
run-root=%(folder)s/data-center
ca=%(folder)s/pki/cacert.pem
certificate=%(folder)s/pki/vdsmcert.pem
key=%(folder)s/pki/vdsmkey.pem
manager=OU=Vireo Manager
uuid=%(uuid)s
log=info

[libvirt]
uri=qemu:///system
accel=auto
serial-log-dir=%(folder)s/serial
log-dir=%(folder)s/var-log/qemu
"""
# Process 1: it makes the mounts, says so, and reaps what is orphaned.
INSIDE = """\
set -e
PATH="$PATH:/usr/sbin:/sbin"
folder=$1 name=$2 shared=$3
mount --make-rprivate /
hostname "$name"
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock /run/libvirt /run/sanlock
mount -t tmpfs -o mode=755 tmpfs /srv
mkdir /srv/shared
mount --bind "$shared" /srv/shared
for pair in /etc/libvirt:etc /var/lib/libvirt:var-lib /var/cache/libvirt:var-cache /var/log/libvirt:var-log; do
    mkdir -p "${pair%%:*}"
    mount --bind "$folder/${pair#*:}" "${pair%%:*}"
done
for file in machine-id hostname hosts; do mount --bind "$folder/$file" "/etc/$file"; done
mount -t sysfs sysfs /sys
ip link set lo up
: >"$folder/inside"
sleep infinity &
wait $!
"""
TOLD_ONCE = 20


class Space(Machine):
    def __init__(self, lab, machine):
        super().__init__(lab, machine)
        self.serial_log = lab.path("log", self.name + "-agent.log")

    # --- power --------------------------------------------------------------------------------

    def first(self):
        """The process number, seen from outside, of its process 1."""
        pid = self.pid()
        try:
            with open("/proc/%d/task/%d/children" % (pid, pid), encoding="ascii") as file:
                return int(file.read().split()[0])
        except (OSError, TypeError, IndexError):
            raise StepFailed("%s is off" % self.name, "lab/lab power %s on" % self.name) from None

    def power_on(self):
        with self.lock():
            if not self.is_on():
                self.prepare()
                self._make()
        self.start_services()

    def _make(self):
        if os.path.exists(self.path("inside")):
            os.unlink(self.path("inside"))
        self.processes.start(self.name, self.network.command(
            ["unshare", "--mount", "--net", "--uts", "--pid", "--ipc", "--fork", "--mount-proc",
             "--kill-child", "--", "sh", "-c", INSIDE, self.name, self.folder, self.name,
             self.lab.path("shared")]), environment=self.lab.environment(), directory=self.folder)
        self.processes.wait_until(self.name, lambda: os.path.exists(self.path("inside")), 20,
                                  "made")
        # The cables go with the namespace: they are new at every start.
        with self.network.inside():
            for nic in self.machine.nics:
                outer = tap(self.machine, nic)
                if has_link(outer):  # the kernel takes its time with an old namespace
                    ip("link", "del", outer)
                ip("link", "add", outer, "type", "veth", "peer", "name", nic.name, "address", nic.mac,
                   "netns", str(self.first()))
                ip("link", "set", outer, "master", bridge(nic.link))
                if nic.name not in self.cut_links():
                    ip("link", "set", outer, "up")
        # As a host is when it was deployed: its address is on the bridge of the management network.
        lines = ["set -e", "ip link add ovirtmgmt type bridge stp_state 0 forward_delay 0",
                 "ip link set nic0 master ovirtmgmt up", "ip link set ovirtmgmt up"]
        for network, nic in self.machine.addressed(self.lab.topology):
            holder = "ovirtmgmt" if nic.index == 0 else nic.name
            lines.append("ip addr replace %s/24 dev %s" % (self.machine.address(network), holder))
            lines.append("ip link set %s up" % holder)
        status, out, err = self.run_by_agent("; ".join(lines))
        if status:
            raise StepFailed("%s: its network: %s%s" % (self.name, out, err))

    def power_off(self):
        with self.lock():
            try:
                first = Process(self.name, self.first(), "")
            except (StepFailed, OSError):
                first = None  # it had none any more
            # Those outside that wait for its daemons first: process 1 ends when all are reaped.
            for name in self.services():
                self.processes.end(name, patience=0)
            if first:
                first.send(signal.SIGKILL)
                if not first.ended(20):
                    raise StepFailed("process 1 of %s does not end" % self.name)
            self.processes.end(self.name, patience=0)

    def services(self):
        """Names of the records of its daemons; the process recorded is an nsenter that waits."""
        return [self.name + "-agent", self.name + "-libvirtd"]

    def reset(self):
        self.power_off()
        self.power_on()

    def members(self):
        """Every process inside, as a set of process numbers seen from outside."""
        space = os.readlink("/proc/%d/ns/pid" % self.first())
        found = set()
        for entry in filter(str.isdigit, os.listdir("/proc")):
            try:
                if os.readlink("/proc/%s/ns/pid" % entry) == space:
                    found.add(int(entry))
            except OSError:
                pass
        return found

    def _tell(self, number):
        told = set()
        for _ in range(TOLD_ONCE):
            new = self.members() - told
            if not new:
                break
            for pid in new:
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    pass
            told |= new
        return told

    def freeze(self):
        self.wait_stopped(self._tell(signal.SIGSTOP))

    def thaw(self):
        self._tell(signal.SIGCONT)
        # nsenter stops with what it waits for, and would not reap it later.
        for name in self.services():
            process = self.processes.find(name)
            if process:
                process.send(signal.SIGCONT)

    def is_frozen(self):
        try:
            return self.is_on() and self.stopped(self.first())
        except StepFailed:
            return False

    # --- what it is made of -------------------------------------------------------------------

    def prepare(self):
        identity = self.lab.identity(self.machine)
        for name in ("etc/qemu", "var-lib", "var-cache", "var-log/qemu", "agent", "data-center",
                     "serial"):
            os.makedirs(self.path(name), exist_ok=True)
        os.makedirs(self.lab.path("shared"), exist_ok=True)
        os.chown(self.lab.path("shared"), 36, 36)  # vdsm:kvm of every host, facts/storage-format.md
        if not os.path.exists(self.path("pki", "vdsmcert.pem")):
            self.lab.manager.enrol(self.name, self.address, self.path("pki"))
        certificates = console_certificates(self.path("console-pki"), self.path("pki"))
        filters = "/etc/libvirt/nwfilter"
        if os.path.isdir(filters):
            shutil.copytree(filters, self.path("etc", "nwfilter"), dirs_exist_ok=True)
        for name, text in (
                ("etc/libvirtd.conf", LIBVIRTD_CONF % identity["uuid"]),
                ("etc/qemu.conf", QEMU_CONF % certificates + QEMU_ADDITION),
                ("agent.conf", AGENT_CONF % {"port": AGENT_PORT, "folder": self.folder,
                                             "uuid": identity["uuid"]}),
                ("machine-id", identity["machine_id"] + "\n"), ("hostname", self.name + "\n"),
                ("hosts", self.lab.hosts_file())):
            write_if_changed(self.path(name), text)

    def inside(self, command):
        """@command, to be run in it from outside."""
        return ["nsenter", "-t", str(self.first()), "-m", "-n", "-u", "-i", "-p", "--"] + command

    def start_services(self):
        for name, command in (
                ("libvirtd", ["/usr/sbin/libvirtd", "-p", "/run/libvirtd.pid"]),
                ("agent", [self.lab.manager.site.program("vireo-agentd"), "--config",
                           self.path("agent.conf")])):
            self.start_service(name, command)

    def start_service(self, name, command):
        record = "%s-%s" % (self.name, name)
        if not self.processes.find(record):
            self.processes.start(record, self.inside(command), environment=self.lab.environment(),
                                 directory=self.folder)
        ready = {"libvirtd": self._libvirt_answers, "agent": self._agent_listens}[name]
        self.processes.wait_until(record, ready, 60, "listening")

    def _libvirt_answers(self):
        # Its /run is not ours: process 1 has it.
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex("/proc/%d/root/run/libvirt/libvirt-sock" % self.first()) == 0

    def _agent_listens(self):
        with self.network.inside():
            try:
                socket.create_connection((self.address, AGENT_PORT), 2).close()
                return True
            except OSError:
                return bool(self.cut_links())  # cannot be seen from here

    def wait_ready(self, seconds=60):
        self.start_services()

    # --- channels -----------------------------------------------------------------------------

    def run_by_agent(self, script, seconds=60):
        """(exit status, output, errors) of a shell script inside; needs no network of it."""
        try:
            done = subprocess.run(self.inside(["sh", "-c", script]), stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=seconds)
        except subprocess.TimeoutExpired:
            raise StepFailed("in %s, not ended within %d s: %s" % (self.name, seconds,
                                                                  script[:200])) from None
        return (done.returncode, done.stdout.decode("utf-8", "replace"),
                done.stderr.decode("utf-8", "replace"))

    def boot_id(self):
        return str(self.first())

    def channel(self, name):
        raise StepFailed("%s is no virtual machine: it has no %s" % (self.name, name))

    def kill_service(self, name):
        """kill -9 of `agent` or `libvirtd`; nsenter's child is the program."""
        process = self.processes.find("%s-%s" % (self.name, name))
        if process:
            with open("/proc/%d/task/%d/children" % (process.pid, process.pid),
                      encoding="ascii") as file:
                for child in file.read().split():
                    os.kill(int(child), signal.SIGKILL)
            process.ended(20)

    # --- links --------------------------------------------------------------------------------

    def change_links(self, names, up):
        with self.network.inside():
            for name in names:
                ip("link", "set", tap(self.machine, self.nic(name)), "up" if up else "down")
