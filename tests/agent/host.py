# SPDX-License-Identifier: Apache-2.0
"""host: a private libvirtd and an agent on it, in one temporary folder.

libvirtd runs in a mount and a network namespace of its own, in which the folders that are compiled
into it are folders of ours (facts/test-lab.md 3).  The agent runs there as well.
"""

import contextlib
import os
import select
import signal
import socket
import subprocess
import time

import stomp

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
START_LIMIT = 60

LIBVIRTD_CONF = """\
auth_unix_rw = "none"
unix_sock_group = "root"
host_uuid = "6c9f2f0e-2a58-4b6a-9d2f-0d3f4e5a6b7c"
"""
QEMU_CONF = """\
user = "root"
group = "root"
security_driver = "none"
security_default_confined = 0
namespaces = []
cgroup_controllers = []
dynamic_ownership = 0
remember_owner = 0
stdio_handler = "file"
"""
# Process 1 of the namespaces: it holds the mounts, and its wait takes orphans (QEMU) as well,
# without which libvirtd would wait for them for ever.
INSIDE = """\
set -e
mount --make-rprivate /
for pair in /etc/libvirt:etc /var/lib/libvirt:lib /var/cache/libvirt:cache /var/log/libvirt:log \
    /run/libvirt:run; do
    mkdir -p "${pair%%:*}"
    mount --bind "$1/${pair#*:}" "${pair%%:*}"
done
mount -t sysfs sysfs /sys  # whose class/net is that of our network namespace
ip link set lo up
echo ready
sleep infinity &
wait $!
"""


def wait_until(ready, limit, what):
    end, pause = time.monotonic() + limit, 0.02
    while not ready():
        if time.monotonic() > end:
            raise TimeoutError(what)
        select.select([], [], [], pause)
        pause = min(pause * 1.5, 0.5)


class Host:
    """Start with start(), end with end(); everything it made dies with its process 1."""

    def __init__(self, folder, build, qemu_conf=""):
        """@qemu_conf: more lines of libvirt's qemu.conf."""
        self.folder, self.build, self.qemu_conf = str(folder), build, QEMU_CONF + qemu_conf
        self.namespace = self.libvirtd = self.agent = None
        self.logs = []

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def start(self):
        for name in ("etc/qemu", "lib", "cache", "log/qemu", "run", "agent"):
            os.makedirs(self.path(name))
        if os.path.isdir("/etc/libvirt/nwfilter"):
            subprocess.run(["cp", "-a", "/etc/libvirt/nwfilter", self.path("etc")], check=True)
        for name, text in (("libvirtd.conf", LIBVIRTD_CONF), ("qemu.conf", self.qemu_conf)):
            with open(self.path("etc", name), "w", encoding="ascii") as file:
                file.write(text)
        with open(self.path("agent.conf"), "w", encoding="ascii") as file:
            file.write("[agent]\naddress=127.0.0.1\nport=0\nimage-port=0\nstate=%s\nrun-root=%s\nlog=debug\n"
                       "[libvirt]\nuri=qemu:///system\nserial-log-dir=%s\nlog-dir=%s\n"
                       % (self.path("agent"), self.path("storage"), self.path("serial"),
                          self.path("log", "qemu")))
        self.namespace = subprocess.Popen(
            ["unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc", "--kill-child", "--",
             "sh", "-c", INSIDE, "sh", self.folder],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        line = self.namespace.stdout.readline()
        assert line == "ready\n", "the namespaces did not come up"
        self.start_libvirtd()

    def inside(self, command):
        """Command to run within the namespaces.  The child of unshare is their process 1."""
        with open("/proc/%d/task/%d/children" % (self.namespace.pid, self.namespace.pid),
                  encoding="ascii") as file:
            first = file.read().split()[0]
        return ["nsenter", "-t", first, "-m", "-n", "-p", "--"] + command

    def spawn(self, name, command):
        log = open(self.path(name + ".log"), "ab")
        self.logs.append(log)
        return subprocess.Popen(self.inside(command), stdin=subprocess.DEVNULL, stdout=log,
                                stderr=log, start_new_session=True)

    def start_libvirtd(self):
        self.libvirtd = self.spawn("libvirtd", ["libvirtd", "--pid-file", self.path("libvirtd.pid")])

        def answers():
            assert self.libvirtd.poll() is None, "libvirtd ended: " + self.log("libvirtd")
            with socket.socket(socket.AF_UNIX) as probe:
                return probe.connect_ex(self.path("run", "libvirt-sock")) == 0
        wait_until(answers, START_LIMIT, "libvirtd does not answer")

    def start_agent(self):
        port = self.path("agent", "agent.port")
        if os.path.exists(port):
            os.unlink(port)
        program = os.path.join(self.build, "src", "agent", "vireo-agentd")
        self.agent = self.spawn("agent", [program, "--config", self.path("agent.conf")])

        def listens():
            assert self.agent.poll() is None, "the agent ended: " + self.log("agent")
            return os.path.exists(port)
        wait_until(listens, START_LIMIT, "the agent does not listen")

    @contextlib.contextmanager
    def within_network(self):
        """Sockets that are made meanwhile belong to the network namespace."""
        with open("/proc/%d/task/%d/children" % (self.namespace.pid, self.namespace.pid),
                  encoding="ascii") as file:
            first = file.read().split()[0]
        mine = os.open("/proc/self/ns/net", os.O_RDONLY)
        theirs = os.open("/proc/%s/ns/net" % first, os.O_RDONLY)
        try:
            enter_network(theirs)
            yield
        finally:
            enter_network(mine)
            os.close(mine)
            os.close(theirs)

    def client(self, **options):
        with open(self.path("agent", "agent.port"), encoding="ascii") as file:
            port = int(file.read())
        with self.within_network():
            return stomp.Client(port, **options)

    def connect(self, address, timeout):
        """As socket.create_connection()."""
        with self.within_network():
            return socket.create_connection(address, timeout)

    @staticmethod
    def kill(process):
        """kill -9 of what nsenter became; it executes the program in its own place, after a fork
        for the process namespace, so the program is its child."""
        with open("/proc/%d/task/%d/children" % (process.pid, process.pid), encoding="ascii") as file:
            for child in file.read().split():
                os.kill(int(child), signal.SIGKILL)
        process.wait()

    def kill_agent(self):
        self.kill(self.agent)
        self.agent = None

    def kill_libvirtd(self):
        self.kill(self.libvirtd)
        self.libvirtd = None

    def agent_pid(self):
        with open("/proc/%d/task/%d/children" % (self.agent.pid, self.agent.pid),
                  encoding="ascii") as file:
            return int(file.read().split()[0])

    def virsh(self, *arguments):
        return subprocess.run(self.inside(["virsh", "-q", "-c", "qemu:///system"] + list(arguments)),
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False).stdout

    def serial(self, vm):
        try:
            with open(self.path("serial", vm + ".log"), "rb") as file:
                return file.read()
        except FileNotFoundError:
            return b""

    def log(self, name, lines=30):
        with open(self.path(name + ".log"), encoding="utf-8", errors="replace") as file:
            return "".join(file.readlines()[-lines:])

    def end(self):
        if self.namespace:
            self.namespace.kill()  # --kill-child takes process 1 and so everything inside along
            self.namespace.wait()
            self.namespace.stdout.close()
        for process in (self.agent, self.libvirtd):
            if process:
                process.kill()
                process.wait()
        for log in self.logs:
            log.close()


def enter_network(descriptor):
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, 0x40000000) != 0:  # CLONE_NEWNET
        raise OSError(ctypes.get_errno(), "setns")
