# SPDX-License-Identifier: Apache-2.0
"""bare: a machine that becomes a host: this machine's root under a layer that is thrown away.

A mount and process namespace whose root is an overlay on /, so that what an installation writes is
real and gone afterwards.  Its sshd listens on a loopback port of its own.  systemd is played by two
small programs (SYSTEMCTL, JOURNALCTL), which start the installed agent and a libvirtd for it; the
lab has the real one.  All of it dies with process 1 of the namespace.
"""

import os
import shutil
import signal
import socket
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))

INSIDE = """\
set -e
folder=$1 size=$2
mount --make-rprivate /
mount -t tmpfs -o "size=$size,mode=755" layer "$folder/layer"
mkdir "$folder/layer/upper" "$folder/layer/work"
mount -t overlay -o "lowerdir=/,upperdir=$folder/layer/upper,workdir=$folder/layer/work" root "$folder/root"
cd "$folder/root"
mount --rbind /dev dev
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup sys/fs/cgroup || true
for where in run tmp var/lib/libvirt var/cache/libvirt var/log/libvirt root home; do
    mkdir -p "$where" && mount -t tmpfs -o mode=755 tmpfs "$where"
done
chmod 1777 tmp
echo ready
# Its wait takes orphans (QEMU) as well, without which libvirtd would wait for them for ever.
sleep infinity &
wait $!
"""

SYSTEMCTL = """\
#!/bin/sh
# Plays systemd for one service.
unit=/lib/systemd/system/vireo-agent.service
pid=/run/vireo-agent.pid
alive() { [ -s $pid ] && kill -0 "$(cat $pid)" 2>/dev/null; }
case "$1" in
daemon-reload) ;;
show) echo no ;;
is-enabled) [ -e /run/vireo-agent.enabled ] ;;
enable) [ -e $unit ] && : >/run/vireo-agent.enabled ;;
is-active) alive ;;
restart)
    [ -e $unit ] || exit 5
    if alive; then
        old=$(cat $pid)
        kill "$old"
        while kill -0 "$old" 2>/dev/null; do sleep 0.1; done
    fi
    if [ ! -S /run/libvirt/libvirt-sock ]; then
        virtlogd -d && libvirtd -d || exit 1
    fi
    setsid $(sed -n 's/^ExecStart=//p' $unit) >>/run/agent.log 2>&1 </dev/null &
    echo $! >$pid
    for turn in $(seq 300); do
        if ! alive; then exit 1; fi
        if grep -q 'listens on port' /run/agent.log; then break; fi
        sleep 0.1
    done
    ;;
*) exit 1 ;;
esac
"""

JOURNALCTL = """\
#!/bin/sh
tail -n 3 /run/agent.log
"""

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
"""
SSHD_CONFIG = """\
ListenAddress %s
Port %d
HostKey /etc/ssh/test_host_key
PidFile /run/sshd.pid
UsePAM no
PermitRootLogin yes
PasswordAuthentication yes
LogLevel VERBOSE
"""


def wait_until(ready, limit, what):
    end = time.monotonic() + limit
    while not ready():
        assert time.monotonic() < end, what
        time.sleep(0.05)


class Bare:
    def __init__(self, folder, port, password, uuid, size="1g", address="127.0.0.1"):
        """@address: one of this machine's, 127.0.0.0/8; or of its own, in a network of its own with one
        card, eth0."""
        self.address, self.own_network = address, not address.startswith("127.")
        self.cable = "vb%x" % (os.getpid() % 0x10000) if self.own_network else None
        self.folder, self.port, self.password, self.uuid = str(folder), port, password, uuid
        self.size = size
        self.first = self.init = self.sshd = None

    def path(self, *parts):
        """Of a file in the machine, as long as nothing is mounted over it."""
        return os.path.join("/proc", str(self.init), "root", self.folder.lstrip("/"), "root", *parts)

    def start(self):
        for name in ("layer", "root"):
            os.makedirs(os.path.join(self.folder, name), exist_ok=True)
        self.first = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--uts", "--fork", "--kill-child"]
            + (["--net"] if self.own_network else [])
            + ["--", "sh", "-c", INSIDE, "sh", self.folder, self.size],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        assert self.first.stdout.readline() == "ready\n", "the machine does not start"
        with open("/proc/%d/task/%d/children" % (self.first.pid, self.first.pid),
                  encoding="ascii") as file:
            self.init = int(file.read().split()[0])
        if self.own_network:
            self.plug()
        self.run("sh", "-c", "hostname bare; mkdir -p /run/sshd /run/systemd/system "
                 "/run/libvirt ~root/.ssh; : >/etc/apt/sources.list; rm -rf /etc/apt/sources.list.d/*; "
                 "rm -rf /etc/pki/vdsm /etc/vireo /var/lib/vireo-agent")
        self.put("/usr/bin/systemctl", SYSTEMCTL, 0o755)
        self.put("/usr/bin/journalctl", JOURNALCTL, 0o755)
        self.put("/etc/libvirt/libvirtd.conf", LIBVIRTD_CONF % self.uuid)
        self.put("/etc/libvirt/qemu.conf", QEMU_CONF)
        self.put("/etc/ssh/test_sshd_config", SSHD_CONFIG % (self.address, self.port))
        hashed = subprocess.run(["openssl", "passwd", "-6", self.password], stdout=subprocess.PIPE,
                                text=True, check=True).stdout.strip()
        self.run("usermod", "-p", hashed, "root")
        self.new_host_key()

    def plug(self):
        """A cable to the machine's eth0; the address is given as a distribution gives it."""
        for command in (["link", "add", self.cable, "type", "veth", "peer", "name", "eth0", "netns",
                         str(self.init)], ["addr", "add", self.address.rsplit(".", 1)[0] + ".1/24",
                                           "dev", self.cable], ["link", "set", self.cable, "up"]):
            subprocess.run(["ip"] + command, check=True)
        self.run("sh", "-c", "ip link set lo up; ip link set eth0 up; ip addr add %s/24 dev eth0; "
                             "ip route add default via %s.1 dev eth0"
                 % (self.address, self.address.rsplit(".", 1)[0]))

    def new_host_key(self):
        self.run("sh", "-c", "rm -f /etc/ssh/test_host_key*; "
                 "ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/test_host_key")
        self.start_sshd()

    def fingerprint(self):
        return self.run("ssh-keygen", "-l", "-f", "/etc/ssh/test_host_key.pub").split()[1]

    def start_sshd(self):
        self.stop_sshd()
        self.run("sh", "-c", "/usr/sbin/sshd -f /etc/ssh/test_sshd_config -E /run/sshd.log")

        def listens():
            with socket.socket() as probe:
                return probe.connect_ex((self.address, self.port)) == 0
        wait_until(listens, 20, "sshd does not listen")

    def stop_sshd(self):
        self.run("sh", "-c", "if [ -s /run/sshd.pid ]; then kill $(cat /run/sshd.pid); "
                 "while [ -e /run/sshd.pid ]; do sleep 0.1; done; fi")

    def signal_sshd(self, number):
        self.run("sh", "-c", "kill -%d $(cat /run/sshd.pid)" % number)

    def run(self, *command, check=True):
        done = subprocess.run(
            ["nsenter", "-t", str(self.init), "-m", "-p", "-u"]
            + (["-n"] if self.own_network else []) + ["--root=" + self.path(),
             "--wd=" + self.path(), "--"] + list(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, check=False)
        assert not check or done.returncode == 0, "%s: %s" % (" ".join(command), done.stdout)
        return done.stdout

    def put(self, where, text, mode=0o644):
        self.put_bytes(where, text.encode(), mode)

    def put_bytes(self, where, data, mode=0o644):
        path = self.path(where.lstrip("/"))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path + ".new", "wb") as file:
            file.write(data)
        os.chmod(path + ".new", mode)
        os.replace(path + ".new", path)

    def let_in(self, key):
        """Root's authorized_keys."""
        self.run("sh", "-c", "umask 077; printf '%s\n' \"$0\" >~root/.ssh/authorized_keys", key)

    def read(self, where):
        return self.run("sh", "-c", "cat '%s' 2>/dev/null || true" % where)

    def resize(self, size):
        """Of what can be written."""
        subprocess.run(["nsenter", "-t", str(self.init), "-m", "--", "mount", "-o",
                        "remount,size=" + size, os.path.join(self.folder, "layer")], check=True)

    def end(self):
        if self.cable:  # its network would take it along, but not at once
            subprocess.run(["ip", "link", "del", self.cable], stderr=subprocess.DEVNULL, check=False)
        if self.first:
            self.first.send_signal(signal.SIGKILL)  # takes process 1 of the namespace along
            self.first.wait()
            self.first.stdout.close()


AGENT_CONF = """\
[agent]
state=/var/lib/vireo-agent
image-port=0
ca=/etc/pki/vdsm/certs/cacert.pem
certificate=/etc/pki/vdsm/certs/vdsmcert.pem
key=/etc/pki/vdsm/keys/vdsmkey.pem
log=debug
"""
UNIT = """\
[Service]
ExecStart=/usr/sbin/vireo-agentd --config /etc/vireo/agent.conf
"""


def build_package(build, folder, scratch, version="1.0", postinst=None, preinst=None, ballast=0):
    """A package of the agent as it was built, without dependencies: what it needs is here.
    @ballast: MiB that it takes up besides."""
    root = os.path.join(str(scratch), "package")
    shutil.rmtree(root, ignore_errors=True)
    libexec = os.path.join(root, "usr/libexec/vireo")
    for name in ("DEBIAN", "usr/sbin", "usr/libexec/vireo", "etc/vireo", "lib/systemd/system"):
        os.makedirs(os.path.join(root, name))
    for name in ("vireo-agentd", "storage/vireo-iod", "image/vireo-imaged", "enroll/vireo-enroll"):
        shutil.copy(os.path.join(build, "src", "agent", name), libexec)
    os.symlink("../libexec/vireo/vireo-agentd", os.path.join(root, "usr/sbin/vireo-agentd"))
    texts = {"etc/vireo/agent.conf": AGENT_CONF, "lib/systemd/system/vireo-agent.service": UNIT,
             "DEBIAN/conffiles": "/etc/vireo/agent.conf\n",
             "DEBIAN/control": "Package: vireo-agent\nVersion: %s\nArchitecture: amd64\n"
                               "Maintainer: Test <test@example.com>\nDescription: test\n" % version}
    for name, text in (("postinst", postinst), ("preinst", preinst)):
        if text:
            texts["DEBIAN/" + name] = "#!/bin/sh\n" + text
    for name, text in texts.items():
        path = os.path.join(root, name)
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        os.chmod(path, 0o755 if text.startswith("#!") else 0o644)
    if ballast:
        with open(os.path.join(root, "usr/libexec/vireo/ballast"), "wb") as file:
            for _ in range(ballast):
                file.write(bytes(1 << 20))
    os.makedirs(folder, exist_ok=True)
    for name in os.listdir(folder):
        os.unlink(os.path.join(folder, name))
    path = os.path.join(folder, "vireo-agent_%s_amd64.deb" % version)
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build", root, path],
                   stdout=subprocess.DEVNULL, check=True)
    return path
