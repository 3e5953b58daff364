# SPDX-License-Identifier: Apache-2.0
"""topology: which hosts, storage servers, networks, cables and LUNs a lab has.

A topology is an INI file of lab/topologies/, or any file given by its path:

    [lab]
    about = what it is for
    networks = lan san        bridges in the lab's namespace, 10.99.0.0/24, 10.99.1.0/24, ...; the
                              first is the management network and the default of every NIC
    cables = left right       from one host to one other, nothing between

    [lun lun0]                a disk that every host which names it shares
    size = 8G

    [host1]                   a host, or with `role` a storage server
    kind = vm                 vm, or space: namespaces instead of a virtual machine, quick, already
                              enrolled, with libvirtd and agent only (vlab/space.py); hosts can be
    role = host               host, nfs, iscsi
    memory = 1024             MiB
    cores = 1
    disk = 4G                 what / and /var of the host may grow to; `none`: in memory, gone with it
    nics = lan lan left       nic0, nic1, ...: a network or a cable each
    luns = lun0
    bmc = yes                 an IPMI controller
    exports = data            nfs: directories below /export
    size = 8G                 nfs: the file system they lie on
    disks = 8G 8G             iscsi: LUNs of the target
"""

import configparser
import glob
import os
import re

from vlab import ROOT, StepFailed

FOLDER = os.path.join(ROOT, "lab", "topologies")
NAME = re.compile(r"^[a-z][a-z0-9]{0,9}$")
SIZE = re.compile(r"^([1-9][0-9]{0,5})([MGT])$")
KINDS = ("vm", "space")
ROLES = ("host", "nfs", "iscsi")
KEYS = {"kind", "role", "memory", "cores", "disk", "nics", "luns", "bmc", "exports", "size", "disks"}
LAB_KEYS = {"about", "networks", "cables"}
MAX_VMS = 16
MAX_DISKS = 16


class Nic:
    """NIC @index of a machine; on the network or cable @link."""

    def __init__(self, index, link, cable, mac):
        self.index, self.link, self.cable, self.mac = index, link, cable, mac
        self.name = "nic%d" % index


class Machine:
    """One virtual machine of the topology.  @number is 1, 2, ... among all of them."""

    def __init__(self, name, number):
        self.name, self.number = name, number
        self.kind, self.role, self.memory, self.cores = "vm", "host", 1024, 1
        self.disk = 4 << 30
        self.nics, self.luns = [], []
        self.bmc = True
        self.exports, self.size, self.disks = [], 8 << 30, []

    def address(self, network):
        """Its address on network number @network; the last byte is the same on all of them."""
        return "10.99.%d.%d" % (network, 10 + self.number)

    def addressed(self, topology):
        """(network number, NIC): the first NIC on each network has the address there."""
        seen = set()
        for nic in self.nics:
            if not nic.cable and nic.link not in seen:
                seen.add(nic.link)
                yield topology.networks.index(nic.link), nic

    @property
    def bmc_address(self):
        return "10.99.0.%d" % (110 + self.number)


class Topology:
    def __init__(self, name, path, text):
        self.name, self.path, self.text = name, path, text
        self.about = ""
        self.networks, self.cables = ["lan"], []
        self.luns = {}  # name: bytes
        self.machines = {}

    @property
    def hosts(self):
        return [machine for machine in self.machines.values() if machine.role == "host"]

    def resources(self):
        """(MiB of memory, cores) that all machines together are given."""
        machines = [machine for machine in self.machines.values() if machine.kind == "vm"]
        return sum(m.memory for m in machines), sum(m.cores for m in machines)


def names():
    """The shipped topologies."""
    return sorted(os.path.splitext(os.path.basename(path))[0]
                  for path in glob.glob(os.path.join(FOLDER, "*.ini")))


def load(name):
    """The topology @name: one of names(), or the path of a file."""
    path = name if os.sep in name or name.endswith(".ini") else os.path.join(FOLDER, name + ".ini")
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(65536)
    except OSError as error:
        raise StepFailed("topology %s: %s" % (name, error.strerror),
                         "take one of %s, or the path of a file" % ", ".join(names())) from None
    return parse(os.path.splitext(os.path.basename(path))[0], path, text)


def parse(name, path, text):
    parser = configparser.ConfigParser(interpolation=None, default_section=None)
    try:
        parser.read_string(text, path)
    except configparser.Error as error:
        raise StepFailed("topology %s: %s" % (name, str(error).replace("\n", " "))) from None
    topology = Topology(name, path, text)
    try:
        fill(topology, parser)
    except ValueError as error:
        raise StepFailed("topology %s: %s" % (name, error),
                         "correct %s; lab/vlab/topology.py says what may stand there" % path) from None
    return topology


def fill(topology, parser):
    head = parser["lab"] if parser.has_section("lab") else {}
    refuse_unknown("lab", head, LAB_KEYS)
    topology.about = head.get("about", "")
    topology.networks = words(head.get("networks", "lan"))
    topology.cables = words(head.get("cables", ""))
    if not topology.networks:
        raise ValueError("[lab] networks: there must be one, the management network")
    links = topology.networks + topology.cables
    for link in links:
        if not NAME.match(link) or links.count(link) > 1:
            raise ValueError("[lab]: %s: a network or cable is named once, [a-z][a-z0-9]*, up to 10"
                             " characters" % link)
    for section in parser.sections():
        if section.startswith("lun "):
            refuse_unknown(section, parser[section], {"size"})
            topology.luns[plain(section[4:].strip())] = size_of(section, parser[section].get("size", ""))
    for section in parser.sections():
        if section != "lab" and not section.startswith("lun "):
            machine = Machine(plain(section), len(topology.machines) + 1)
            fill_machine(topology, machine, parser[section])
            topology.machines[machine.name] = machine
    if not topology.hosts or len(topology.machines) > MAX_VMS:
        raise ValueError("there must be a host, and no more than %d machines" % MAX_VMS)
    for cable in topology.cables:
        ends = [nic for machine in topology.machines.values() for nic in machine.nics
                if nic.link == cable]
        if len(ends) != 2:
            raise ValueError("cable %s has %d ends instead of 2" % (cable, len(ends)))


def fill_machine(topology, machine, section):
    name = machine.name
    refuse_unknown(name, section, KEYS)
    machine.role = section.get("role", "host")
    if machine.role not in ROLES:
        raise ValueError("[%s] role: %s is none of %s" % (name, machine.role, ", ".join(ROLES)))
    machine.kind = section.get("kind", "vm")
    if machine.kind not in KINDS:
        raise ValueError("[%s] kind: %s is none of %s" % (name, machine.kind, ", ".join(KINDS)))
    machine.memory = number(name, section, "memory", 1024, 256, 65536)
    machine.cores = number(name, section, "cores", 1, 1, 16)
    disk = section.get("disk", "4G" if machine.role == "host" else "none")
    machine.disk = 0 if disk == "none" else size_of(name, disk)
    for index, link in enumerate(words(section.get("nics", topology.networks[0]))):
        if link not in topology.networks + topology.cables:
            raise ValueError("[%s] nics: there is no network or cable %s" % (name, link))
        mac = "52:54:00:99:%02x:%02x" % (machine.number, index)
        machine.nics.append(Nic(index, link, link in topology.cables, mac))
    if not machine.nics or machine.nics[0].link != topology.networks[0]:
        raise ValueError("[%s] nics: nic0 must be on %s" % (name, topology.networks[0]))
    machine.luns = words(section.get("luns", ""))
    for lun in machine.luns:
        if lun not in topology.luns:
            raise ValueError("[%s] luns: there is no [lun %s]" % (name, lun))
    if machine.kind == "space" and (machine.role != "host" or machine.luns or
                                    any(nic.cable for nic in machine.nics)):
        raise ValueError("[%s]: a space is a host without luns and cables" % name)
    machine.bmc = section.get("bmc", "yes" if machine.role == "host" else "no") == "yes"
    machine.exports = [plain(word) for word in words(section.get("exports", "data"))]
    machine.size = size_of(name, section.get("size", "8G"))
    machine.disks = [size_of(name, word) for word in words(section.get("disks", "8G"))]
    if not 1 <= len(machine.disks) <= MAX_DISKS:
        raise ValueError("[%s] disks: 1 to %d" % (name, MAX_DISKS))


def words(text):
    return text.replace(",", " ").split()


def plain(name):
    if not NAME.match(name):
        raise ValueError("%r: a name is [a-z][a-z0-9]*, up to 10 characters" % name)
    return name


def size_of(section, text):
    match = SIZE.match(text)
    if not match:
        raise ValueError("[%s]: %r is no size such as 512M or 8G" % (section, text))
    return int(match.group(1)) << {"M": 20, "G": 30, "T": 40}[match.group(2)]


def number(section, values, key, default, low, high):
    try:
        value = int(values.get(key, default))
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        raise ValueError("[%s] %s: must be %d to %d" % (section, key, low, high))
    return value


def refuse_unknown(section, values, known):
    for key in values:
        if key not in known:
            raise ValueError("[%s]: there is no setting %s, only %s" % (
                section, key, ", ".join(sorted(known))))
