# SPDX-License-Identifier: Apache-2.0
"""site: a state folder and everything that runs on it.

libvirtd, virtlogd, sanlock and the agent run in a mount namespace of their own, in which the
folders that are compiled into them (/etc/libvirt, /var/lib/libvirt, /run/libvirt, /run/sanlock, ...)
are folders of the state: the machine's own libvirt is neither used nor disturbed.
"""

import configparser
import glob
import os
import shutil
import signal
import socket
import ssl
import subprocess
import time

from vireolab import StepFailed
from vireolab.api import Api
from vireolab.network import links
from vireolab.processes import Process, Processes

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BRIDGE = "ovirtmgmt"

LIBVIRTD_CONF = """\
auth_unix_rw = "none"
unix_sock_group = "root"
host_uuid = "%s"
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
spice_tls = 1
spice_tls_x509_cert_dir = "%s"
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def free_port_pair():
    """A free port whose next one is free too: the image daemon listens one above the agent."""
    while True:
        port = free_port()
        with socket.socket() as probe:
            try:
                probe.bind(("", port + 1))
            except (OSError, OverflowError):
                continue
        return port


def main_address():
    """The address that a client elsewhere would use, or the loopback one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing; asks for the route
            return probe.getsockname()[0]
        except OSError:
            return "127.0.0.1"


def write_if_changed(path, text):
    try:
        with open(path, encoding="utf-8") as file:
            if file.read() == text:
                return
    except FileNotFoundError:
        pass
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(path + ".new", path)


def console_certificates(folder, pki):
    """The host's certificate of @pki under the names by which QEMU looks for it in @folder, which is made;
    the folder."""
    os.makedirs(folder, mode=0o700, exist_ok=True)
    for name, source in (("ca-cert.pem", "cacert.pem"), ("server-cert.pem", "vdsmcert.pem"),
                         ("server-key.pem", "vdsmkey.pem")):
        with open(os.path.join(pki, source), encoding="ascii") as file:
            write_if_changed(os.path.join(folder, name), file.read())
    return folder


class Site:
    def __init__(self, state, build, port=8443, agent_port=54321, image_port=54322, say=None):
        self.state, self.build = os.path.abspath(state), os.path.abspath(build)
        self.port, self.agent_port, self.image_port = port, agent_port, image_port
        self.say = say or (lambda text: None)
        self.processes = None
        self.address = main_address()
        self.options = {}  # of the Manager: name -> value
        self.settings = {}  # of manager.conf: section.key -> value

    def path(self, *parts):
        return os.path.join(self.state, *parts)

    def program(self, name):
        """A program of the build folder, wherever its module puts it."""
        for folder, _, files in os.walk(self.build):
            if name in files and os.access(os.path.join(folder, name), os.X_OK):
                return os.path.join(folder, name)
        raise StepFailed("the build has no program %s" % name, "run make build and read its errors")

    # --- state folder -------------------------------------------------------------------------

    def prepare(self):
        """Certificates, password, configuration and database; all idempotent."""
        os.makedirs(self.state, exist_ok=True)
        names = []
        for name in (socket.gethostname(), self.address):
            if name and name not in names:
                names.append(name)
        command = [self.program("vireo-setup"), "init", "--state", self.state]
        for name in names:
            command += ["--host-name", name]
        # By its address hosts find the Manager in every network; its name they may not know.
        command += ["--manager", "https.port=%d" % self.port,
                    "--manager", "https.name=%s" % self.address,
                    "--manager", "packages.dir=%s" % os.path.join(self.build, "packages"),
                    "--agent", "agent.port=%d" % self.agent_port,
                    "--agent", "agent.image-port=%d" % self.image_port,
                    "--agent", "libvirt.uri=qemu:///system",
                    "--agent", "libvirt.serial-log-dir=%s" % self.path("log", "serial")]
        for name, value in self.options.items():
            command += ["--manager", "options.%s=%s" % (name, value)]
        for name, value in self.settings.items():
            command += ["--manager", "%s=%s" % (name, value)]
        os.makedirs(self.path("log", "serial"), exist_ok=True)
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            raise StepFailed("vireo-setup: %s" % done.stdout.strip(),
                             "mend what it names, or start over with another VIREO_STATE")
        self.processes = Processes(self.path("run"), self.path("log"))

    def password(self):
        with open(self.path("admin-password"), encoding="utf-8") as file:
            return file.read().strip()

    @property
    def url(self):
        return "https://%s:%d" % (self.address, self.port)

    def api(self):
        return Api(self.url, self.path("pki", "ca.pem"), "admin@internal", self.password())

    # --- the host's side ----------------------------------------------------------------------

    def start_namespace(self):
        """The process that keeps the mount namespace open; everything of the host enters it."""
        if self.processes.find("namespace"):
            return
        binds = []
        for target, name in (("/etc/libvirt", "etc"), ("/var/lib/libvirt", "lib"),
                             ("/var/cache/libvirt", "cache"), ("/var/log/libvirt", "log"),
                             ("/run/libvirt", "run"), ("/run/sanlock", "sanlock")):
            source = self.path("libvirt", name)
            os.makedirs(source, exist_ok=True)
            os.makedirs(target, exist_ok=True)
            binds += [source, target]
        # libvirt makes up another host UUID at every start where DMI has none.
        config = configparser.ConfigParser(strict=False)
        config.read(self.path("agent.conf"))
        write_if_changed(self.path("libvirt", "etc", "libvirtd.conf"),
                         LIBVIRTD_CONF % config["agent"]["uuid"])
        write_if_changed(self.path("libvirt", "etc", "qemu.conf"),
                         QEMU_CONF % console_certificates(self.path("libvirt", "console-pki"),
                                                       self.path("agent", "pki")))
        ready = self.path("run", "namespace.ready")
        if os.path.exists(ready):
            os.unlink(ready)
        # A sysfs made here shows the network that the site is in (network.py); "already mounted" means
        # that the one which is there shows it.
        script = ('set -e; ready=$1; shift; while [ $# -gt 0 ]; do mount --bind "$1" "$2"; shift 2;'
                  ' done; if ! said=$(LC_ALL=C mount -t sysfs sysfs /sys 2>&1); then case $said in'
                  ' *"already mounted on /sys"*) ;; *) echo "$said" >&2; exit 1 ;; esac; fi;'
                  ' : >"$ready"; exec sleep infinity')
        self.processes.start("namespace", ["unshare", "--mount", "--propagation", "slave", "sh", "-c",
                                           script, "namespace", ready] + binds)
        self.processes.wait_until("namespace", lambda: os.path.exists(ready), 20, "made")

    def inside(self, command):
        """@command, to run in the host's mount namespace."""
        pid = self.processes.find("namespace").pid
        return ["nsenter", "--mount=/proc/%d/ns/mnt" % pid, "--"] + command

    def start_libvirt(self):
        self.start_namespace()
        sockets = self.path("libvirt", "run")
        for name, program, path in (("virtlogd", "/usr/sbin/virtlogd", "virtlogd-sock"),
                                    ("libvirtd", "/usr/sbin/libvirtd", "libvirt-sock")):
            if self.processes.find(name):
                continue
            for old in glob.glob(os.path.join(sockets, path)):
                os.unlink(old)
            self.processes.start(name, self.inside([program, "-p", self.path("run", name + ".pid")]))
            self.processes.wait_until(name, lambda: self._connects(os.path.join(sockets, path)), 60,
                                      "listening")

    @staticmethod
    def _connects(path):
        # By a short relative name: a socket's path holds 107 bytes, a state folder may be deep.
        try:
            folder = os.open(os.path.dirname(path), os.O_PATH)
        except OSError:
            return False
        try:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect("/proc/self/fd/%d/%s" % (folder, os.path.basename(path)))
            return True
        except OSError:
            return False
        finally:
            os.close(folder)

    def start_sanlock(self):
        """Lease daemon without a watchdog.  Nothing uses leases yet, so a refusal is only told."""
        if self.processes.find("sanlock"):
            return None
        self.start_namespace()
        process = self.processes.start("sanlock", self.inside(
            ["/usr/sbin/sanlock", "daemon", "-D", "-w", "0", "-U", "root", "-G", "root", "-h", "0",
             "-l", "0", "-e", socket.gethostname()[:40]]))
        try:
            self.processes.wait_until(
                "sanlock", lambda: self._connects(self.path("libvirt", "sanlock", "sanlock.sock")),
                10, "listening")
        except StepFailed:
            reason = process.log_end(1).strip()
            self.processes.end("sanlock")
            return reason or "no reason in %s" % process.log
        return None

    def make_bridge(self):
        """The bridge of the management network, unless the machine has one."""
        if links("type", "bridge", "dev", BRIDGE):
            return
        for command in (["ip", "link", "add", BRIDGE, "type", "bridge", "stp_state", "0",
                         "forward_delay", "0"],
                        ["ip", "link", "set", BRIDGE, "up"]):
            done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
            if done.returncode:
                raise StepFailed("%s: %s" % (" ".join(command), done.stderr.strip()),
                                 "make a bridge called %s by hand" % BRIDGE)
        with open(self.path("run", "bridge-made"), "w", encoding="utf-8"):
            pass

    def remove_bridge(self):
        mark = self.path("run", "bridge-made")
        if os.path.exists(mark):
            if not links("master", BRIDGE):
                subprocess.run(["ip", "link", "del", BRIDGE], stderr=subprocess.DEVNULL)
            os.unlink(mark)

    def start_agent(self):
        """A fresh agent; one of an earlier run is replaced, its machines do not notice."""
        self.processes.end("agent")
        self.processes.start("agent", self.inside(
            [self.program("vireo-agentd"), "--config", self.path("agent.conf")]))
        self.processes.wait_until("agent", lambda: self._speaks_tls(self.agent_port), 60,
                                  "listening on port %d" % self.agent_port)

    def _speaks_tls(self, port):
        context = ssl.create_default_context(cafile=self.path("pki", "ca.pem"))
        context.load_cert_chain(self.path("pki", "manager.pem"), self.path("pki", "manager.key"))
        try:
            with socket.create_connection(("127.0.0.1", port), 5) as plain:
                with context.wrap_socket(plain, server_hostname="127.0.0.1"):
                    return True
        except (OSError, ssl.SSLError):
            return False

    # --- the Manager's side -------------------------------------------------------------------

    def start_manager(self):
        self.processes.end("manager", patience=40)
        self.processes.start("manager", [self.program("vireo-managerd"), "--config",
                                         self.path("manager.conf")])
        api = self.api()
        self.processes.wait_until("manager", api.healthy, 90, "answering on port %d" % self.port)
        return api

    # --- the end ------------------------------------------------------------------------------

    def end_database(self):
        """The database server of a Manager that was killed; a Manager that ended took it along."""
        home = self.path("db")
        try:
            with open(os.path.join(home, "location"), encoding="utf-8") as file:
                home = file.read().strip()
        except OSError:
            pass
        try:
            with open(os.path.join(home, "data", "postmaster.pid"), encoding="utf-8") as file:
                pid = int(file.readline())
            if os.path.realpath("/proc/%d/cwd" % pid) == os.path.realpath(
                    os.path.join(home, "data")):
                Process("postgres", pid, "").end(20, signal.SIGINT)
        except (OSError, ValueError):
            pass

    def end_guests(self):
        """QEMU processes of our libvirtd, by the pid files it keeps."""
        for record in glob.glob(self.path("libvirt", "run", "qemu", "*.pid")):
            try:
                with open(record, encoding="ascii") as file:
                    pid = int(file.read())
                program = os.path.basename(os.readlink("/proc/%d/exe" % pid))
                if program.startswith("qemu-system"):
                    Process("qemu", pid, "").end(10)
            except (OSError, ValueError):
                pass

    def end_daemons(self):
        """Manager and agent of an earlier run; what they look after runs on."""
        if not self.processes:
            self.processes = Processes(self.path("run"), self.path("log"))
        for name in ("manager", "agent"):
            self.processes.end(name, patience=40)

    def end(self):
        """Everything that this state folder has running, in the order that loses nothing."""
        if not self.processes:
            self.processes = Processes(self.path("run"), self.path("log"))
        self.processes.end("manager", patience=40)
        self.end_database()
        self.processes.end("agent")
        self.end_guests()
        for name in ("libvirtd", "virtlogd", "sanlock", "namespace"):
            self.processes.end(name)
        self.remove_bridge()

    def remove(self):
        """Ends everything and deletes the state folder (tests)."""
        self.end()
        try:
            with open(self.path("db", "location"), encoding="utf-8") as file:
                shutil.rmtree(file.read().strip(), ignore_errors=True)
        except OSError:
            pass
        shutil.rmtree(self.state, ignore_errors=True)

    def logs(self, lines=40):
        """The end of Manager's and agent's log, and whether they live, for a failed test."""
        text = ""
        for name in ("manager", "agent"):
            process = self.processes.running.get(name)
            if process and process.ended() and process.child:
                text += "--- %s ended with %s\n" % (name, process.child.returncode)
            try:
                with open(self.path("log", name + ".log"), encoding="utf-8",
                          errors="replace") as file:
                    text += "--- %s.log\n%s" % (name, "".join(file.readlines()[-lines:]))
            except OSError:
                pass
        return text

    def wait_for_end(self, names, timeout):
        """The first of the daemons @names that ends within @timeout seconds, or None."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            for name in names:
                process = self.processes.running.get(name)
                if process and process.ended(0.5 / len(names)):
                    return process
        return None
