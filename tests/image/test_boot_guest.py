# SPDX-License-Identifier: Apache-2.0
"""The guest of 512 bytes under QEMU alone: what it says is on its disk, also after its end."""

import os
import re
import select
import shutil
import struct
import subprocess
import time

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LIMIT = 60


class Guest:
    def __init__(self, disk, options="", device="virtio-blk-pci,drive=disk"):
        self.said = b""
        self.qemu = subprocess.Popen(
            ["qemu-system-x86_64", "-M", "pc", "-accel", "tcg", "-m", "16", "-nodefaults",
             "-no-user-config", "-display", "none", "-serial", "stdio",
             "-device", "virtio-scsi-pci,id=scsi", "-device", device,
             "-drive", "file=%s,format=raw,if=none,id=disk%s" % (disk, options)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def line(self, pattern):
        """The number in the first line that is @pattern and was not looked at before."""
        end = time.monotonic() + LIMIT
        while True:
            match = re.search(pattern, self.said)
            if match:
                self.said = self.said[match.end():]
                return int(match.group(1))
            left = end - time.monotonic()
            assert left > 0 and select.select([self.qemu.stdout], [], [], left)[0], self.said
            piece = os.read(self.qemu.stdout.fileno(), 4096)
            assert piece, "QEMU ended: %r" % self.said
            self.said += piece

    def kill(self):
        self.qemu.kill()
        self.qemu.stdout.close()
        self.qemu.wait()


@pytest.fixture(scope="module")
def image():
    done = subprocess.run([os.path.join(ROOT, "tools", "boot-guest")], stdout=subprocess.PIPE,
                          text=True, check=True)
    return os.path.join(done.stdout.strip(), "boot.raw")


@pytest.fixture
def start(image, tmp_path):
    """Starts guests on one copy of the disk, one after the other."""
    disk = str(tmp_path / "disk.raw")
    shutil.copy(image, disk)
    guests = []

    def start(**options):
        guests.append(Guest(disk, **options))
        return guests[-1]
    start.disk = disk
    yield start
    for guest in guests:
        guest.kill()


def counter(disk):
    with open(disk, "rb") as file:
        file.seek(512)
        magic, count = struct.unpack("<4sI", file.read(8))
    return count if magic == b"VBSG" else None


def test_it_is_one_sector(image):
    with open(image, "rb") as file:
        content = file.read()
    assert content[510:512] == b"\x55\xaa" and not any(content[512:])


@pytest.mark.parametrize("device", ["virtio-blk-pci,drive=disk", "ide-hd,drive=disk",
                                    "scsi-hd,drive=disk,bus=scsi.0"])
def test_what_it_says_is_on_the_disk(start, device):
    guest = start(device=device)
    assert counter(start.disk) in (None, 0, 1)
    assert guest.line(rb"START (\d+)\r\n") == 0
    for expected in (1, 2, 3):
        assert guest.line(rb"BOOT (\d+)\r\n") == expected
        assert counter(start.disk) >= expected


def test_it_counts_on_after_its_end(start):
    guest = start()
    assert guest.line(rb"START (\d+)\r\n") == 0
    while guest.line(rb"BOOT (\d+)\r\n") < 2:
        pass
    guest.kill()
    before = counter(start.disk)
    assert before >= 2
    guest = start()
    assert guest.line(rb"START (\d+)\r\n") == before
    assert guest.line(rb"BOOT (\d+)\r\n") == before + 1


def test_it_says_that_it_cannot_write(start):
    guest = start(options=",readonly=on")
    assert guest.line(rb"START (\d+)\r\n") == 0
    assert guest.line(rb"FAIL (\d+)\r\n") == 1
    assert guest.line(rb"FAIL (\d+)\r\n") == 2
    assert counter(start.disk) is None
