# SPDX-License-Identifier: Apache-2.0
"""vm: one virtual machine of the lab, from power on to the end of its process.

Power off is SIGKILL: what the host had not written is lost, as when a plug is pulled.
"""

import os
import signal
import socket
import time

from vlab import StepFailed, artifacts, monitor
from vlab.machine import Machine
from vlab.network import tap

TB_SIZE = 256  # MiB of translated code
START_LIMIT = 240


class VirtualMachine(Machine):
    # --- power --------------------------------------------------------------------------------

    def is_frozen(self):
        pid = self.pid()
        return pid is not None and self.stopped(pid)

    def power_on(self):
        """Starts it unless it runs; ready it is when wait_ready() returns."""
        with self.lock():
            if self.is_on():
                return
            self.prepare()
            for name in ("qmp", "events", "agent", "console", "ssh"):
                if os.path.exists(self.path(name)):
                    os.unlink(self.path(name))
            self.processes.start(self.name, self.network.command(self.command()),
                                 environment=self.lab.environment(), directory=self.folder)
            self.processes.wait_until(self.name, lambda: os.path.exists(self.path("console")), 20,
                                      "starting")
        self.restore_links()

    def power_off(self):
        """Pulls the plug; returns when the process is gone."""
        with self.lock():
            process = self.processes.find(self.name)
            if process:
                process.send(signal.SIGKILL)
                if not process.ended(20):
                    raise StepFailed("process %d of %s does not end" % (process.pid, self.name))
            self.processes.end(self.name)

    def reset(self):
        with self.qmp() as qmp:
            qmp.call("system_reset")

    def freeze(self):
        """Stops the processor of the host dead, with its network and disks in mid-air."""
        self.signal(signal.SIGSTOP)
        self.wait_stopped([self.pid()])

    def thaw(self):
        self.signal(signal.SIGCONT)

    def signal(self, number):
        process = self.processes.find(self.name)
        if not process:
            raise StepFailed("%s is off" % self.name, "lab/lab power %s on" % self.name)
        process.send(number)

    # --- what it is made of -------------------------------------------------------------------

    def prepare(self):
        """Initial RAM disk and disks; existing disks stay."""
        base = artifacts.base()
        with open(os.path.join(base, "base.img"), "rb") as file:
            content = file.read()
        with open(self.path("initrd.new"), "wb") as file:
            file.write(content + self.lab.seed(self.machine))
        os.replace(self.path("initrd.new"), self.path("initrd"))
        for name, _, size, label in self.own_disks():
            if not os.path.exists(self.path(name)):
                if label:
                    artifacts.disk_image(self.path(name), size, label)
                else:
                    artifacts.blank_image(self.path(name), size)

    def own_disks(self):
        """(file, serial number, size, label of its file system or None)"""
        machine = self.machine
        if machine.disk:
            yield "upper.img", "labupper", machine.disk, "labupper"
        if machine.role == "nfs":
            yield "data.img", "labdata", machine.size, "labdata"
        if machine.role == "iscsi":
            for number, size in enumerate(machine.disks):
                yield "disk%d.img" % number, "labdisk%d" % number, size, None

    def command(self):
        """Sockets and images have relative names: an address of a socket is short, a folder may
        be deep."""
        machine, base = self.machine, artifacts.base()
        command = [
            "qemu-system-x86_64", "-name", self.name, "-machine", "q35",
            "-accel", "tcg,thread=multi,tb-size=%d" % TB_SIZE, "-cpu", "max",
            "-smp", str(machine.cores), "-m", str(machine.memory),
            "-nodefaults", "-no-user-config", "-display", "none",
            "-uuid", self.lab.identity(machine)["uuid"],
            "-smbios", "type=1,manufacturer=Vireo,product=lab,serial=LAB-%s" % self.name,
            "-kernel", os.path.join(base, "vmlinux"), "-initrd", "initrd",
            "-append", "console=ttyS0 quiet loglevel=4 panic=1 mitigations=off nokaslr",
            "-fsdev", "local,id=outer,path=/,security_model=none,readonly=on,multidevs=remap",
            "-device", "virtio-9p-pci,fsdev=outer,mount_tag=outer",
            "-device", "virtio-rng-pci", "-device", "virtio-serial-pci",
            "-chardev", "socket,id=agent,path=agent,server=on,wait=off",
            "-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0",
            "-chardev", "socket,id=console,path=console,server=on,wait=off,logfile=%s,logappend=on" %
            comma(self.serial_log), "-serial", "chardev:console",
            "-qmp", "unix:qmp,server=on,wait=off", "-qmp", "unix:events,server=on,wait=off"]
        for nic in machine.nics:
            command += ["-netdev", self.netdev(nic),
                        "-device", "virtio-net-pci,id=%s,netdev=net%d,mac=%s,speed=1000,duplex=full" % (
                            nic.name, nic.index, nic.mac)]
        # What a host wrote has left it, whatever happens to its process: no need to wait for the
        # outer disk as well.
        for number, (name, serial, _, _) in enumerate(self.own_disks()):
            command += ["-drive", "file=%s,format=raw,if=none,id=disk%d,cache=unsafe,discard=unmap" % (
                name, number),
                        "-device", "virtio-blk-pci,drive=disk%d,serial=%s" % (number, serial)]
        if machine.luns:
            command += ["-device", "virtio-scsi-pci,id=fabric"]
        for lun in machine.luns:
            number = list(self.lab.topology.luns).index(lun)
            command += ["-drive", "file=%s,format=raw,if=none,id=%s,file.locking=off,cache=unsafe,"
                        "discard=unmap" % (comma(self.lab.path("luns", lun + ".img")), lun),
                        "-device", "scsi-hd,drive=%s,bus=fabric.0,share-rw=on,serial=%s,wwn=0x%x,"
                        "vendor=LAB,product=FCLUN" % (lun, lun.upper(), 0x5000C50000000001 + number)]
        return command

    def netdev(self, nic):
        if not nic.cable:
            return "tap,id=net%d,ifname=%s,script=no,downscript=no" % (nic.index,
                                                                       tap(self.machine, nic))
        # A cable is two datagram sockets; the other end's name is known, it need not be there yet.
        other = [(machine, end) for machine in self.lab.topology.machines.values()
                 for end in machine.nics if end.link == nic.link and end is not nic][0]
        return "dgram,id=net%d,local.type=unix,local.path=%s,remote.type=unix,remote.path=%s" % (
            nic.index, nic.name + ".cable",
            "../%s/%s.cable" % (other[0].name, other[1].name))

    # --- channels -----------------------------------------------------------------------------

    def qmp(self):
        return monitor.Qmp(self.channel("qmp"))

    def events(self):
        """Everything QEMU tells from now on: RESET, SHUTDOWN, WATCHDOG, ..."""
        return monitor.Qmp(self.channel("events"))

    def channel(self, name):
        if not self.is_on():
            raise StepFailed("%s is off" % self.name, "lab/lab power %s on" % self.name)
        return self.path(name)

    def agent(self, seconds=30):
        return monitor.Agent(self.channel("agent"), seconds)

    def run_by_agent(self, script, seconds=60):
        """(exit status, output, errors) of a shell script in the host; needs no network of it."""
        with self.agent() as agent:
            return agent.run(script, seconds)

    def boot_id(self):
        return self.run_by_agent("cat /proc/sys/kernel/random/boot_id")[1].strip()

    def wait_ready(self, seconds=START_LIMIT):
        """Until its agent answers, which it does when everything of the host was started, and ssh
        can be connected to."""
        end = time.monotonic() + seconds
        try:
            self.agent(seconds).close()
        except (EOFError, OSError, StepFailed) as error:
            raise StepFailed("%s is not ready after %d s: %s; the end of its serial log:\n%s" % (
                self.name, seconds, error, self.serial_end())) from None
        with self.network.inside():
            while True:
                try:
                    socket.create_connection((self.address, 22), 5).close()
                    return
                except OSError as error:
                    if time.monotonic() > end:
                        raise StepFailed("%s: ssh does not listen: %s" % (self.name, error)) from None
                    self.processes.running[self.name].ended(0.2)

    # --- links --------------------------------------------------------------------------------

    def change_links(self, names, up):
        with self.qmp() as qmp:
            for name in names:
                qmp.call("set_link", name=name, up=up)

    def restore_links(self):
        cut = self.cut_links()
        if cut:
            self.change_links(cut, False)


def comma(path):
    """A path as a value in a QEMU option."""
    return path.replace(",", ",,")
