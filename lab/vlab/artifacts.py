# SPDX-License-Identifier: Apache-2.0
"""artifacts: what every host boots with, made from the machine's own Debian kernel and busybox.

Kept in build-tools/lab by a hash of what went in; made under another name and renamed, so that a
killed run leaves nothing half.
"""

import glob
import gzip
import hashlib
import lzma
import os
import re
import shutil
import stat
import subprocess
import tempfile

from vlab import ROOT, StepFailed

FOLDER = os.path.join(ROOT, "build-tools", "lab")
MODULES = ("virtio_pci", "9pnet_virtio", "9p", "overlay", "virtio_net", "virtio_blk",
           "virtio_console", "virtio_rng", "ext4")
# What the hosts need later on, from /lib/modules; its absence is told now rather than by a host.
LATER_MODULES = ("softdog", "kvm_amd", "virtio_scsi", "bonding", "8021q", "dm-multipath", "nfsd",
                 "iscsi_target_mod", "iscsi_tcp")
PACKAGES_HINT = "run tools/install-packages --lab"


class Cpio:
    """A newc archive, as the kernel unpacks it (Documentation/driver-api/early-userspace/
    buffer-format.rst); folders above an entry are made by themselves."""

    def __init__(self):
        self.pieces, self.made, self.inode = [], set(), 0

    def _entry(self, name, mode, content, owner=(0, 0)):
        self.inode += 1
        name = name.encode() + b"\0"
        head = b"070701" + b"".join(b"%08x" % field for field in (
            self.inode, mode, *owner, 2 if stat.S_ISDIR(mode) else 1, 0, len(content), 0, 0, 0, 0,
            len(name), 0))
        for piece in (head + name, content):
            self.pieces.append(piece + b"\0" * (-len(piece) % 4))

    def folder(self, path, mode=0o755, owner=(0, 0)):
        path = path.strip("/")
        if path and path not in self.made:
            self.folder(os.path.dirname(path))
            self.made.add(path)
            self._entry(path, stat.S_IFDIR | mode, b"", owner)

    def file(self, path, content, mode=0o644, owner=(0, 0)):
        self.folder(os.path.dirname(path))
        content = content.encode() if isinstance(content, str) else content
        self._entry(path.strip("/"), stat.S_IFREG | mode, content, owner)

    def link(self, path, target):
        self.folder(os.path.dirname(path))
        self._entry(path.strip("/"), stat.S_IFLNK | 0o777, target.encode())

    def content(self):
        self._entry("TRAILER!!!", 0, b"")
        return b"".join(self.pieces)


def kernel_version():
    """The newest installed kernel that has the modules of a host."""
    def rank(version):
        return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", version)]
    found = []
    for image in glob.glob("/boot/vmlinuz-*"):
        version = image[len("/boot/vmlinuz-"):]
        if os.access(image, os.R_OK) and not modules_missing(version):
            found.append(version)
    if not found:
        raise StepFailed("no kernel in /boot has the modules %s" % ", ".join(MODULES + LATER_MODULES),
                         PACKAGES_HINT)
    return max(found, key=rank)


def insmods(version, module):
    """The files to insert for @module, in order; none if it is built in."""
    done = subprocess.run(["modprobe", "-S", version, "-D", module], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True, env=tool_environment())
    if done.returncode:
        return None
    return [line.split()[1] for line in done.stdout.splitlines() if line.startswith("insmod")]


def modules_missing(version):
    return [name for name in MODULES + LATER_MODULES if insmods(version, name) is None]


def tool_environment():
    return dict(os.environ, PATH=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def busybox():
    path = shutil.which("busybox")
    if not path:
        raise StepFailed("busybox is missing", PACKAGES_HINT)
    return path


def vmlinux(image):
    """The ELF kernel inside a bzImage: booted by PVH it need not unpack itself, which emulation
    makes slow."""
    with open(image, "rb") as file:
        content = file.read()
    at = content.find(b"\xfd7zXZ\0")
    while at >= 0:
        try:
            kernel = lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(content[at:])
        except lzma.LZMAError:
            kernel = b""
        if kernel.startswith(b"\x7fELF"):
            return kernel
        at = content.find(b"\xfd7zXZ\0", at + 1)
    raise StepFailed("%s holds no kernel packed with xz" % image, "use Debian's linux-image-amd64")


def base_archive(version):
    archive = Cpio()
    with open(busybox(), "rb") as file:
        archive.file("bin/busybox", file.read(), 0o755)
    with open(os.path.join(ROOT, "lab", "boot", "init"), "rb") as file:
        archive.file("init", file.read(), 0o755)
    files = []
    for module in MODULES:
        files += [name for name in insmods(version, module) if name not in files]
    for number, name in enumerate(files):
        with open(name, "rb") as file:
            archive.file("mods/%03d-%s" % (number, os.path.basename(name)), file.read())
    return archive.content()


def base():
    """The folder with `vmlinux` and `base.img`; made now unless it is there."""
    version = kernel_version()
    image = "/boot/vmlinuz-" + version
    digest = hashlib.sha256(repr(MODULES).encode())
    for path in (image, busybox(), os.path.join(ROOT, "lab", "boot", "init"), __file__):
        with open(path, "rb") as file:
            digest.update(hashlib.sha256(file.read()).digest())
    folder = os.path.join(FOLDER, digest.hexdigest()[:24])
    if os.path.isdir(folder):
        return folder
    os.makedirs(FOLDER, exist_ok=True)
    work = tempfile.mkdtemp(prefix=".work-", dir=FOLDER)
    try:
        with open(os.path.join(work, "vmlinux"), "wb") as file:
            file.write(vmlinux(image))
        packed = gzip.compress(base_archive(version), 1, mtime=0)
        with open(os.path.join(work, "base.img"), "wb") as file:
            file.write(packed + b"\0" * (-len(packed) % 4))
        os.chmod(work, 0o755)
        try:
            os.rename(work, folder)
        except OSError:
            if not os.path.isdir(folder):  # another run was quicker
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return folder


def ssh_key(path, comment):
    """An ed25519 key pair at @path and @path.pub, made unless it is there; the public half."""
    if not os.path.exists(path + ".pub"):
        if os.path.exists(path):
            os.unlink(path)
        done = subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", path],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            raise StepFailed("ssh-keygen: %s" % done.stdout.strip(), PACKAGES_HINT)
    with open(path + ".pub", encoding="ascii") as file:
        return file.read()


def disk_image(path, size, label):
    """A sparse image of @size bytes with an ext4 file system."""
    with open(path + ".new", "wb") as file:
        file.truncate(size)
    done = subprocess.run(["mkfs.ext4", "-q", "-F", "-L", label, "-E", "lazy_itable_init=1",
                           path + ".new"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, env=tool_environment())
    if done.returncode:
        raise StepFailed("mkfs.ext4: %s" % done.stdout.strip(), "is there space on the disk?")
    os.rename(path + ".new", path)


def blank_image(path, size):
    with open(path + ".new", "wb") as file:
        file.truncate(size)
    os.rename(path + ".new", path)
