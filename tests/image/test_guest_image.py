# SPDX-License-Identifier: Apache-2.0
"""The boot image under QEMU alone: it boots by BIOS from a virtio disk, talks, and goes."""

import json
import os
import select
import shutil
import socket
import subprocess
import time

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BOOT_LIMIT = 120  # seconds; 8 on an idle machine, but CI machines are rarely idle


class Guest:
    """QEMU with the disk image, or the disc alone; every wait is for an event and has an end."""

    def __init__(self, folder, image, disc=False):
        self.disk = os.path.join(folder, "disk.qcow2")
        if disc:
            drive = ["-cdrom", os.path.join(os.path.dirname(image), "guest.iso")]
        else:
            shutil.copy(image, self.disk)
            drive = ["-drive", "file=%s,if=virtio,format=qcow2" % self.disk]
        self.agent_path = os.path.join(folder, "agent")
        self.monitor_path = os.path.join(folder, "monitor")
        self.text = b""
        self.qemu = subprocess.Popen(
            ["qemu-system-x86_64", "-M", "q35", "-accel", "tcg", "-cpu", "max", "-m", "256",
             "-nodefaults", "-display", "none", "-no-user-config", *drive,
             "-device", "virtio-serial-pci",
             "-chardev", "socket,id=agent,path=%s,server=on,wait=off" % self.agent_path,
             "-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0",
             "-chardev", "socket,id=qmp,path=%s,server=on,wait=off" % self.monitor_path,
             "-mon", "chardev=qmp,mode=control",
             "-netdev", "user,id=net,restrict=on", "-device", "virtio-net-pci,netdev=net",
             "-serial", "stdio"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def wait_for(self, what, limit=BOOT_LIMIT):
        """Reads the serial console until @what appears; returns what came before and with it."""
        end = time.monotonic() + limit
        while what not in self.text:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.qemu.stdout], [], [], left)[0]:
                raise AssertionError("no %r within %d s; the console says: %r" % (
                    what, limit, self.text[-2000:]))
            piece = os.read(self.qemu.stdout.fileno(), 65536)
            if not piece:
                raise AssertionError("QEMU ended; the console says: %r" % self.text[-2000:])
            self.text += piece
        at = self.text.index(what) + len(what)
        before, self.text = self.text[:at], self.text[at:]
        return before

    def agent(self, command, limit=BOOT_LIMIT, **arguments):
        """One question to the guest agent; None when it does not answer that one (a shutdown)."""
        request = {"execute": command}
        if arguments:
            request["arguments"] = arguments
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(limit)
            connection.connect(self.agent_path)
            connection.sendall(json.dumps(request).encode() + b"\n")
            if command == "guest-shutdown":
                return None
            answer = b""
            while not answer.endswith(b"\n"):
                answer += connection.recv(65536)
        return json.loads(answer)["return"]

    def monitor(self, command):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(20)
            connection.connect(self.monitor_path)
            lines = connection.makefile("rwb")
            lines.readline()
            for name in ("qmp_capabilities", command):
                lines.write(json.dumps({"execute": name}).encode() + b"\n")
                lines.flush()
                lines.readline()

    def end(self):
        if self.qemu.poll() is None:
            self.qemu.kill()
        self.qemu.wait()
        self.qemu.stdout.close()


@pytest.fixture(scope="session")
def image():
    done = subprocess.run([os.path.join(ROOT, "tools", "guest-image")], stdout=subprocess.PIPE,
                          text=True, check=True)
    return os.path.join(done.stdout.strip(), "guest.qcow2")


@pytest.fixture
def guest(image, tmp_path):
    guest = Guest(str(tmp_path), image)
    yield guest
    guest.end()


def test_the_guest_boots_answers_and_shuts_down_when_its_agent_is_asked(guest):
    guest.wait_for(b"GUEST READY ")
    guest.wait_for(b"tick 1\r\n")
    assert guest.agent("guest-ping") == {}
    assert guest.agent("guest-get-osinfo")["id"] == "vireo-guest"
    names = [nic["name"] for nic in guest.agent("guest-network-get-interfaces")]
    assert "lo" in names and len(names) == 2
    assert any(entry["mountpoint"] == "/data" for entry in guest.agent("guest-get-fsinfo"))
    assert guest.agent("guest-fsfreeze-freeze") == 1
    assert guest.agent("guest-fsfreeze-thaw") == 1
    guest.agent("guest-shutdown", mode="powerdown")
    guest.wait_for(b"GUEST poweroff")
    assert guest.qemu.wait(timeout=BOOT_LIMIT) == 0


def test_the_guest_comes_back_after_a_reboot_and_obeys_the_power_button(guest):
    guest.wait_for(b"tick 1\r\n")
    guest.agent("guest-ping")
    guest.agent("guest-shutdown", mode="reboot")
    guest.wait_for(b"GUEST reboot")
    guest.wait_for(b"GUEST READY ")
    guest.wait_for(b"tick 1\r\n")
    guest.monitor("system_powerdown")
    guest.wait_for(b"GUEST poweroff")
    assert guest.qemu.wait(timeout=BOOT_LIMIT) == 0


def test_the_disc_boots_and_the_guest_says_what_it_has(image, tmp_path):
    guest = Guest(str(tmp_path), image, disc=True)
    try:
        text = guest.wait_for(b"GUEST READY ")
    finally:
        guest.end()
    assert b"CD VGUEST\r\n" in text
    assert b"NICS eth0=52:54:00:" in text and b"DISKS\r\n" in text
    assert b"GUEST BOOT cd\r\n" in text
