# SPDX-License-Identifier: Apache-2.0
"""seed: what makes a machine of the lab itself, laid over the outer root at its first start.

A host is to look like a Debian that was just installed: its own name, machine id, keys and
addresses, the packages of the outer machine, and none of its services, accounts' files or data.
"""

import grp
import os
import pwd
import subprocess

from vlab import StepFailed
from vlab.artifacts import Cpio

# Of the outer machine's root only these are shown; /usr, /etc and /var less what HIDDEN says.
SHOWN = {"bin", "boot", "etc", "lib", "lib32", "lib64", "libx32", "opt", "sbin", "usr", "var"}
# What belongs to a running system is there, empty, in any case.
EMPTY = {"dev": "755", "proc": "555", "sys": "555", "run": "755", "tmp": "1777", "root": "700",
         "home": "755", "mnt": "755", "media": "755", "srv": "755"}
HIDDEN = [
    # Services that the outer machine enabled; those of a host are enabled by the seed or by packages.
    "755 /etc/systemd/system", "755 /etc/systemd/network", "755 /etc/systemd/user",
    *("755 /etc/rc%s.d" % level for level in "0123456S"),
    "- /etc/network/interfaces", "755 /etc/network/interfaces.d", "755 /etc/cron.d",
    "- /etc/environment", "- /etc/fstab", "- /etc/resolv.conf", "- /etc/exports",
    "- /etc/multipath.conf", "- /etc/multipath", "- /etc/wdmd.d", "755 /etc/lvm/devices",
    "755 /etc/ssh/sshd_config.d",
    *("- /etc/ssh/ssh_host_%s_key%s" % (kind, end) for kind in ("rsa", "ecdsa", "ed25519", "dsa")
      for end in ("", ".pub")),
    "- /usr/sbin/policy-rc.d",
    "1777 /var/tmp", "755 /var/log", "755 /var/backups", "755 /var/crash",
    "755 /var/lib/libvirt", "755 /var/cache/libvirt", "755 /var/lib/systemd", "755 /var/lib/nfs",
    "755 /var/lib/iscsi", "755 /etc/iscsi/nodes", "755 /etc/iscsi/send_targets",
    "755 /var/lib/postgresql", "755 /var/lib/docker", "755 /var/lib/containerd",
    "755 /etc/rtslib-fb-target", "755 /var/target",
    # A host without Vireo, whatever the outer machine has.
    "- /etc/vireo", "- /var/lib/vireo", "- /var/log/vireo", "- /usr/local/sbin/lab-network",
]
# What makes installing a package take minutes under emulation: apt reckons with all of Debian's lists
# (what a host needs is there already), an image of the outer machine that throws apt's caches away,
# mandb reads every manual page (debconf's man-db/auto-update is this file).
HIDDEN += [
    "755 /var/lib/apt/lists", "755 /var/cache/apt", "- /var/lib/man-db/auto-update",
    *("- /etc/apt/apt.conf.d/%s" % name for name in (
        "docker-clean", "20packagekit", "50appstream", "70debconf", "99artifact-registry"))]
# Started at every boot by Debian, of no use here and seconds under emulation; D-Bus and automounts
# still start what is asked for.
HIDDEN += ["- /usr/lib/systemd/system/%s" % name for name in (
    "multi-user.target.wants/systemd-logind.service", "multi-user.target.wants/dbus.service",
    "sysinit.target.wants/sys-fs-fuse-connections.mount",
    "sysinit.target.wants/sys-kernel-debug.mount", "sysinit.target.wants/sys-kernel-tracing.mount",
    "sysinit.target.wants/systemd-repart.service", "sysinit.target.wants/cryptsetup.target",
    "sysinit.target.wants/integritysetup.target", "sysinit.target.wants/veritysetup.target")]
# Never started: they walk the whole root through 9p, want the world outside, or a screen.
HOME = "/root"
MASKED = ("systemd-tmpfiles-clean.timer", "getty.target", "systemd-timesyncd.service",
          "systemd-hwdb-update.service", "systemd-sysusers.service", "ldconfig.service",
          "systemd-firstboot.service", "systemd-machine-id-commit.service",
          "systemd-pcrphase.service", "systemd-pcrphase-sysinit.service",
          "systemd-update-utmp.service", "systemd-update-utmp-runlevel.service",
          "systemd-binfmt.service", "proc-sys-fs-binfmt_misc.automount",
          "var-lib-machines.mount", "packagekit-offline-update.service")

# Run at every daemon-reload, 0.1 s each; nothing here has what they look for.
GENERATORS = ("postgresql-generator", "systemd-cryptsetup-generator", "systemd-debug-generator",
              "systemd-getty-generator", "systemd-gpt-auto-generator",
              "systemd-hibernate-resume-generator", "systemd-integritysetup-generator",
              "systemd-rc-local-generator", "systemd-run-generator",
              "systemd-system-update-generator", "systemd-veritysetup-generator")

NETWORK_UNIT = """\
[Unit]
Description=Addresses of the lab
DefaultDependencies=no
After=%(devices)s
Wants=%(devices)s network.target
Before=network.target network-online.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/sbin/lab-network

[Install]
WantedBy=multi-user.target
"""
CONSOLE_UNIT = """\
[Unit]
Description=A shell on the serial console, for the console command of the lab
After=dev-ttyS0.device

[Service]
ExecStart=/bin/sh -c 'read -r line; exec /bin/bash -i'
StandardInput=tty
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
TTYReset=yes
WorkingDirectory=/
Environment=TERM=vt220 HOME=/root
Restart=always
RestartSec=0

[Install]
WantedBy=multi-user.target
"""
# The agent answers only when the host is ready to be used: the lab waits for it.
AGENT_DROP_IN = """\
[Unit]
After=ssh.service lab-network.service %s

[Service]
LogLevelMax=notice
"""
SSHD = """\
PermitRootLogin yes
PasswordAuthentication yes
PubkeyAuthentication yes
HostKey /etc/ssh/ssh_host_ed25519_key
UsePAM no
UseDNS no
MaxStartups 50:30:200
"""
# Coming up, only devices of these kinds are announced; all of PCI and every terminal cost seconds.
UDEV_DROP_IN = """\
[Service]
ExecStart=
ExecStart=/bin/udevadm trigger --action=add --subsystem-match=block --subsystem-match=net \
    --subsystem-match=virtio-ports --subsystem-match=scsi --subsystem-match=scsi_generic \
    --subsystem-match=misc
"""
JOURNALD = """\
[Journal]
Storage=persistent
SystemMaxUse=64M
ForwardToConsole=yes
TTYPath=/dev/ttyS0
MaxLevelConsole=info
RateLimitBurst=0
"""
NFS_CONF = """\
[exports]
rootdir=/srv
[nfsd]
threads=4
grace-time=10
lease-time=10
"""
NFS_DROP_IN = """\
[Unit]
RequiresMountsFor=/srv
[Service]
ExecStartPre=
ExecStartPre=-/bin/mount -t nfsd nfsd /proc/fs/nfsd
ExecStartPre=/bin/mkdir -p %(folders)s
ExecStartPre=/bin/chown 36:36 %(folders)s
ExecStartPre=/usr/sbin/exportfs -r
"""
TARGET_UNIT = """\
[Unit]
Description=iSCSI target of the lab
After=lab-network.service
Requires=lab-network.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStartPre=/sbin/modprobe -a configfs target_core_mod target_core_iblock iscsi_target_mod
ExecStart=/usr/bin/python3 /usr/local/sbin/lab-target

[Install]
WantedBy=multi-user.target
"""
# Names and serial numbers are fixed: a restart of the server changes no LUN's id.
TARGET = """\
from rtslib_fb import BlockStorageObject, FabricModule, LUN, NetworkPortal, Target, TPG

target = Target(FabricModule("iscsi"), %(iqn)r)
group = TPG(target, 1)
group.enable = True
for name, value in (("authentication", "0"), ("demo_mode_write_protect", "0"),
                    ("generate_node_acls", "1"), ("cache_dynamic_acls", "1")):
    group.set_attribute(name, value)
for address in %(addresses)r:
    NetworkPortal(group, address, 3260)
for number, serial in enumerate(%(serials)r):
    disk = BlockStorageObject("lun%%d" %% number, "/dev/disk/by-id/virtio-labdisk%%d" %% number, wwn=serial)
    disk.set_attribute("emulate_tpu", "1")
    LUN(group, number, disk)
"""
IQN = "iqn.2026-01.test.lab:store"


def password_hash(password):
    done = subprocess.run(["openssl", "passwd", "-6", "-stdin"], input=password + "\n",
                          stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip()


def shadow(password):
    """/etc/shadow of the outer machine, where root has another password and nobody else one."""
    lines = []
    with open("/etc/shadow", encoding="utf-8") as file:
        for line in file.read().splitlines():
            fields = line.split(":")
            fields[1] = password_hash(password) if fields[0] == "root" else "*"
            lines.append(":".join(fields))
    return "\n".join(lines) + "\n"


def hide_list():
    """Lines for /hide of lab/boot/init."""
    lines = []
    for name in sorted(os.listdir("/")):
        if name not in SHOWN and name not in EMPTY:
            lines.append("- /" + name)
    lines += ["%s /%s" % (mode, name) for name, mode in EMPTY.items()]
    return "\n".join(lines + HIDDEN) + "\n"


def hosts_file(topology):
    """/etc/hosts: there is no name server."""
    lines = ["127.0.0.1 localhost", "10.99.0.1 manager.lab.test manager"]
    lines += ["%s %s.lab.test %s" % (machine.address(0), machine.name, machine.name)
              for machine in topology.machines.values()]
    return "\n".join(lines) + "\n"


def network_script(topology, machine):
    lines = ["#!/bin/sh", "set -e"]
    for number, nic in machine.addressed(topology):
        lines.append("ip addr replace %s/24 dev %s" % (machine.address(number), nic.name))
        lines.append("ip link set %s up" % nic.name)
    return "\n".join(lines) + "\n"


class Seed:
    """The archive of one machine."""

    def __init__(self, topology, machine, identity):
        self.topology, self.machine, self.identity = topology, machine, identity
        self.archive = Cpio()

    def file(self, path, content, mode=0o644, owner=(0, 0)):
        self.archive.file("seed" + path, content, mode, owner)

    def unit(self, name, content):
        self.file("/etc/systemd/system/" + name, content)
        self.enable("/etc/systemd/system/" + name)

    def enable(self, unit):
        name = os.path.basename(unit)
        self.archive.link("seed/etc/systemd/system/multi-user.target.wants/" + name, unit)

    def names(self):
        machine, identity = self.machine, self.identity
        self.file("/etc/hostname", machine.name + "\n")
        self.file("/etc/hosts", hosts_file(self.topology))
        self.file("/etc/machine-id", identity["machine_id"] + "\n", 0o444)
        self.file("/etc/resolv.conf", "")
        self.file("/etc/iscsi/initiatorname.iscsi",
                  "InitiatorName=iqn.2026-01.test.lab:%s\n" % machine.name, 0o600)
        self.file("/etc/shadow", shadow(identity["password"]), 0o640,
                  (0, grp.getgrnam("shadow").gr_gid))
        self.archive.folder("seed/root", 0o700)
        self.archive.folder("seed/root/.ssh", 0o700)
        self.file(HOME + "/.ssh/authorized_keys", identity["authorized_key"], 0o600)

    def network(self):
        for nic in self.machine.nics:
            self.file("/etc/systemd/network/10-%s.link" % nic.name,
                      "[Match]\nMACAddress=%s\nType=ether\n[Link]\nName=%s\n" % (nic.mac, nic.name))
        devices = " ".join("sys-subsystem-net-devices-%s.device" % nic.name
                           for nic in self.machine.nics)
        self.file("/usr/local/sbin/lab-network", network_script(self.topology, self.machine), 0o755)
        self.unit("lab-network.service", NETWORK_UNIT % {"devices": devices})

    def services(self):
        identity, role = self.identity, self.machine.role
        self.file("/etc/ssh/sshd_config.d/lab.conf", SSHD)
        self.file("/etc/ssh/ssh_host_ed25519_key", identity["host_key"], 0o600)
        self.file("/etc/ssh/ssh_host_ed25519_key.pub", identity["host_key_public"])
        self.enable("/lib/systemd/system/ssh.service")
        self.archive.link("seed/etc/systemd/system/sshd.service", "/lib/systemd/system/ssh.service")
        self.unit("lab-console.service", CONSOLE_UNIT)
        storage = {"nfs": "nfs-server.service", "iscsi": "lab-target.service"}.get(role, "")
        self.file("/etc/systemd/system/qemu-guest-agent.service.d/lab.conf", AGENT_DROP_IN % storage)
        self.file("/etc/systemd/system/systemd-udev-trigger.service.d/lab.conf", UDEV_DROP_IN)
        self.file("/etc/systemd/journald.conf.d/lab.conf", JOURNALD)
        self.archive.folder("seed/var/log/journal", 0o755)
        statd = pwd.getpwnam("statd")
        for name in ("", "/sm", "/sm.bak"):
            self.archive.folder("seed/var/lib/nfs" + name, 0o700 if name else 0o755,
                                (statd.pw_uid, statd.pw_gid))
        for name in ("nfsdcld", "v4recovery"):
            self.archive.folder("seed/var/lib/nfs/" + name)
        for unit in MASKED:
            self.archive.link("seed/etc/systemd/system/" + unit, "/dev/null")
        for name in GENERATORS:
            self.archive.link("seed/etc/systemd/system-generators/" + name, "/dev/null")
        modules = ["kvm_amd", "softdog"] if role == "host" else []
        if self.machine.luns:
            modules += ["virtio_scsi", "sd_mod", "sg"]
        self.file("/etc/modules-load.d/lab.conf", "\n".join(modules) + "\n")

    def nfs(self):
        folders = " ".join("/srv/export/" + name for name in self.machine.exports)
        self.file("/etc/fstab", "LABEL=labdata /srv ext4 defaults 0 0\n")
        self.file("/etc/nfs.conf", NFS_CONF)
        self.file("/etc/exports", "".join(
            "/export/%s 10.99.0.0/16(rw,sync,no_subtree_check,anonuid=36,anongid=36,no_root_squash,"
            "insecure)\n" % name for name in self.machine.exports))
        self.file("/etc/systemd/system/nfs-server.service.d/lab.conf",
                  NFS_DROP_IN % {"folders": folders})
        self.enable("/lib/systemd/system/nfs-server.service")

    def iscsi(self):
        addresses = [self.machine.address(number)
                     for number, _ in self.machine.addressed(self.topology)]
        # The disk's NAA name holds the first 25 digits of the serial number: the LUN is among them.
        serials = ["%s%x-0000-4000-8000-000000000000" % (self.identity["machine_id"][:7], number)
                   for number in range(len(self.machine.disks))]
        self.file("/usr/local/sbin/lab-target", TARGET % {
            "iqn": IQN, "addresses": addresses, "serials": serials}, 0o755)
        self.unit("lab-target.service", TARGET_UNIT)

    def content(self):
        self.archive.file("hide", hide_list())
        self.names()
        if self.machine.role != "nfs":
            self.file("/etc/fstab", "")
        self.network()
        self.services()
        if self.machine.role in ("nfs", "iscsi"):
            getattr(self, self.machine.role)()
        return self.archive.content()


def refuse_vireo():
    """A host is to be without Vireo; what the outer machine has installed it would have too."""
    done = subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", "vireo-*"],
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    installed = [line.split()[0] for line in done.stdout.splitlines() if line.endswith(" installed")]
    if installed:
        raise StepFailed("this machine has %s installed, and the hosts of a lab show its packages" %
                         " ".join(installed), "apt-get purge %s" % " ".join(installed))
