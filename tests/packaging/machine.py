# SPDX-License-Identifier: Apache-2.0
"""machine: this machine's root file system below a writable layer, with systemd as first process.

Everything is in namespaces and a control group of its own, on a layer in memory: packages really are
installed, services really run, and nothing of it is left or noticed outside.  Devices, kernel
settings and the network of the outer machine are out of reach.
"""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time

# Arguments: an empty folder; the control group's folder.
BOOT = r"""
set -e
base=$1
mount -t tmpfs -o mode=0755 machine "$base"
mkdir "$base/upper" "$base/work" "$base/root"
root=$base/root
mount -t overlay -o "lowerdir=/,upperdir=$base/upper,workdir=$base/work" machine "$root"
mount -t proc proc "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,ro,bind "$root/proc/sys"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t tmpfs tmpfs "$root/sys/fs/cgroup"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=0755 dev "$root/dev"
for node in null zero full random urandom tty; do
    touch "$root/dev/$node"
    mount --bind "/dev/$node" "$root/dev/$node"
done
mkdir "$root/dev/shm" "$root/dev/pts"
mount -t tmpfs -o mode=1777 shm "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
for number in 0 1 2; do ln -s "/proc/self/fd/$number" "$root/dev/std$(echo in out err | cut -d' ' -f$((number + 1)))"; done
mount -t tmpfs -o mode=0755 run "$root/run"
mount -t tmpfs -o mode=1777 tmp "$root/tmp"
mkdir "$root/run/upper"
mount --bind "$base/upper" "$root/run/upper"

# Nothing of the outer machine's own services: they are for its devices, disks and users.
units=$root/etc/systemd/system
rm -rf "$units"/*.wants "$units"/default.target
: >"$root/etc/fstab"
for unit in "$root"/lib/systemd/system/sysinit.target.wants/* "$root"/lib/systemd/system/local-fs.target.wants/* \
        "$root"/lib/systemd/system/systemd-udev* timers.target systemd-logind.service; do
    name=${unit##*/}
    case $name in
        systemd-journal*|systemd-tmpfiles-setup.service) ;;
        *) ln -sf /dev/null "$units/$name" ;;
    esac
done
cat >"$units/machine.target" <<UNIT
[Unit]
Requires=basic.target dbus.socket
After=basic.target
UNIT
rm -f "$root/usr/sbin/policy-rc.d" "$root/var/lib/man-db/auto-update"
: >"$root/etc/machine-id"

cd "$root"
mkdir .outer
pivot_root . .outer
umount -l .outer
rmdir .outer
exec env -i container=vireo PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --system --unit=machine.target --show-status=false --log-target=journal
"""


def missing():
    """What keeps a machine from being made here, or None."""
    if os.geteuid() != 0:
        return "root"
    with open("/proc/filesystems", encoding="ascii") as file:
        if "overlay" not in file.read():
            return "the file system overlay"
    if cgroup_root() is None:
        return "a control group hierarchy of version 2"
    for program in ("unshare", "nsenter", "setpriv", "/lib/systemd/systemd"):
        if not shutil.which(program):
            return program
    return None


def cgroup_root():
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        for line in file:
            fields = line.split()
            if fields[fields.index("-") + 1] == "cgroup2":
                return fields[4]
    return None


class Machine:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="vireo-machine-")
        self.group = os.path.join(cgroup_root(), os.path.basename(self.folder))
        self.child = self.pid = None

    def start(self):
        os.mkdir(self.group)
        # In the group before unshare: its control group is then the root of what is seen inside.
        script = 'echo $$ >"$1/cgroup.procs"; shift; exec "$@"'
        self.child = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "sh", "-c", script, "sh", self.group,
             "unshare", "--mount", "--pid", "--ipc", "--uts", "--net", "--cgroup", "--fork",
             "--kill-child", "--propagation", "private", "bash", "-c", BOOT, "boot", self.folder],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.wait("systemd", self._booted, 60)
        return self

    def _booted(self):
        if self.child.poll() is not None:
            raise AssertionError("no machine: " + self.child.stdout.read())
        if self.pid is None:
            with open("/proc/%d/task/%d/children" % (self.child.pid, self.child.pid),
                      encoding="ascii") as file:
                children = file.read().split()
            if not children:
                return False
            self.pid = int(children[0])
        done = self.run("systemctl", "is-active", "machine.target", check=False)
        return done.stdout.strip() == "active"

    def run(self, *command, check=True, stdin=None, timeout=300):
        """@command inside; its output, both streams in one, is .stdout."""
        done = subprocess.run(
            ["nsenter", "--target", str(self.pid), "--mount", "--pid", "--ipc", "--uts", "--net",
             "--cgroup", "--root", "--wd", "--"] + list(command), input=stdin, timeout=timeout,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8",
                 "DEBIAN_FRONTEND": "noninteractive"})
        if check and done.returncode:
            raise AssertionError("%s: %d\n%s" % (" ".join(command), done.returncode, done.stdout))
        return done

    def out(self, *command):
        return self.run(*command).stdout.strip()

    def path(self, inside):
        """Where a file of the machine is seen from outside."""
        return "/proc/%d/root/%s" % (self.pid, inside.lstrip("/"))

    def exists(self, inside):
        return os.path.lexists(self.path(inside))

    def read(self, inside):
        with open(self.path(inside), encoding="utf-8") as file:
            return file.read()

    def write(self, inside, text):
        os.makedirs(os.path.dirname(self.path(inside)), exist_ok=True)
        with open(self.path(inside), "w", encoding="utf-8") as file:
            file.write(text)

    def owner(self, inside):
        """(user, group, mode) by name."""
        user, group, mode = self.out("stat", "-c", "%U %G %a", inside).split()
        return user, group, mode

    def unit(self, name, *properties):
        """Properties of a unit, in the order asked for; a single one as plain text."""
        lines = dict(line.partition("=")[::2] for line in self.out(
            "systemctl", "show", name, "--property", ",".join(properties)).splitlines())
        values = [lines.get(name, "") for name in properties]
        return values if len(values) > 1 else values[0]

    def log(self, unit, lines=60):
        return self.run("journalctl", "--no-pager", "-o", "cat", "-n", str(lines), "-u", unit,
                        check=False).stdout

    def added(self):
        """
        Paths that are in this machine and not outside, but for logs, caches, what the package
        manager and others keep, and copies of the user database.
        """
        skip = ("/var/log/", "/var/cache/", "/var/lib/dpkg/", "/var/lib/systemd/", "/var/tmp/",
                "/var/lib/libvirt/", "/etc/libvirt/", "/.outer")
        upper = "/run/upper"
        # Character devices 0:0 say what was deleted.
        listing = self.out("find", upper, "!", "-type", "c", "-printf", "/%P\n").splitlines()
        return {path for path in listing
                if not path.startswith(skip) and not os.path.lexists(path) and
                path not in ("/etc/passwd-", "/etc/group-", "/etc/shadow-", "/etc/gshadow-")}

    @staticmethod
    def wait(what, ready, limit=60):
        """Until @ready() is true, and says so; looks ever more rarely."""
        end, pause = time.monotonic() + limit, 0.02
        while True:
            result = ready()
            if result:
                return result
            if time.monotonic() > end:
                raise AssertionError("%s: not within %d s" % (what, limit))
            time.sleep(pause)
            pause = min(pause * 1.5, 0.5)

    # --- packages ---

    def install(self, *files, check=True, options=()):
        """dpkg -i of packages that lie outside."""
        names = []
        for file in files:
            name = "/tmp/" + os.path.basename(file)
            shutil.copyfile(file, self.path(name))
            names.append(name)
        return self.run("dpkg", *options, "-i", *names, check=check)

    def status(self, package):
        done = self.run("dpkg-query", "-W", "-f", "${db:Status-Status}", package, check=False)
        return done.stdout if done.returncode == 0 else "unknown"

    # --- the end ---

    def stop(self):
        if self.child:
            self.child.kill()
            self.child.wait()
            self.child.stdout.close()
        if self.pid:
            # The first process of a pid namespace takes all others with it.
            try:
                os.kill(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if os.path.isdir(self.group):
            self.wait("the end of the machine's processes", self._empty, 30)
            for folder, _, _ in os.walk(self.group, topdown=False):
                os.rmdir(folder)
        os.rmdir(self.folder)

    def _empty(self):
        with open(os.path.join(self.group, "cgroup.events"), encoding="ascii") as file:
            return "populated 0" in file.read()


def report(machine, units):
    """The journals of @units, for a test that failed."""
    text = json.dumps({unit: machine.unit(unit, "ActiveState", "Result") for unit in units})
    return text + "".join("\n--- %s\n%s" % (unit, machine.log(unit)) for unit in units)
