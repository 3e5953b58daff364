# SPDX-License-Identifier: Apache-2.0
"""bmc: one IPMI controller a host: ipmi_sim on an address of its own, port 623, in the lab's network.

Its chassis program is `lab/lab chassis HOST`, the same code as `lab/lab power`: fence_ipmilan and
every other IPMI client really turns the machine off and on.
"""

import os
import shlex
import shutil
import subprocess
import sys

from vlab import ROOT, StepFailed
from vlab.artifacts import PACKAGES_HINT

USER = "admin"
LAN_CONF = """\
name "%(name)s"
set_working_mc 0x20
  startlan 1
    addr %(address)s 623
    priv_limit admin
    allowed_auths_callback none md2 md5 straight
    allowed_auths_user none md2 md5 straight
    allowed_auths_operator none md2 md5 straight
    allowed_auths_admin none md2 md5 straight
    guid %(guid)s
  endlan
  chassis_control "./chassis"
  user 1 true "" "" user 10 none md2 md5 straight
  user 2 true "%(user)s" "%(password)s" admin 10 none md2 md5 straight
"""
# The simulated controller: one board without sensors.
SIM_EMU = """\
mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr
sel_enable 0x20 1000 0x0a
mc_enable 0x20
"""
CHASSIS = """\
#!/bin/sh
exec %s %s --state %s chassis %s "$@"
"""


class Bmc:
    def __init__(self, lab, machine):
        self.lab, self.machine = lab, machine
        self.name = "bmc-" + machine.name
        self.address, self.user = machine.bmc_address, USER
        self.password = lab.config["bmc_password"]

    def start(self):
        if self.lab.processes.find(self.name):
            return
        program = shutil.which("ipmi_sim")
        if not program:
            raise StepFailed("ipmi_sim is missing", PACKAGES_HINT)
        folder = self.lab.path("machines", self.machine.name, "bmc")
        os.makedirs(os.path.join(folder, "state"), exist_ok=True)
        files = {
            "lan.conf": LAN_CONF % {
                "name": self.machine.name, "address": self.address, "user": self.user,
                "password": self.password,
                "guid": self.lab.identity(self.machine)["uuid"].replace("-", "")},
            "sim.emu": SIM_EMU,
            "chassis": CHASSIS % tuple(shlex.quote(word) for word in (
                sys.executable, os.path.join(ROOT, "lab", "lab"), self.lab.state,
                self.machine.name))}
        for name, text in files.items():
            path = os.path.join(folder, name)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            os.chmod(path, 0o700 if name == "chassis" else 0o600)
        self.lab.processes.start(self.name, self.lab.network.command(
            [program, "-n", "-c", "lan.conf", "-f", "sim.emu", "-s", "state"]),
            environment=self.lab.environment(), directory=folder)

    def fence(self, action, **options):
        """Runs fence_ipmilan against it; (exit status, what it said)."""
        options = {"ip": self.address, "username": self.user, "password": self.password,
                   "lanplus": "1", "cipher": "3", "power_wait": "1", "action": action, **options}
        text = "".join("%s=%s\n" % pair for pair in options.items())
        done = subprocess.run(self.lab.network.command(["fence_ipmilan"]), input=text,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=120)
        return done.returncode, done.stdout


def chassis(machine, arguments):
    """What ipmi_sim asks for: `get power`, `set power 0|1`, `set reset 1`; the answer's text.

    The protocol is that of OpenIPMI's ipmi_sim, chassis_control in ipmi_lan(5).
    """
    if arguments[:1] == ["get"]:
        values = {"power": int(machine.is_on())}
        return "".join("%s:%d\n" % (name, values.get(name, 0)) for name in arguments[1:])
    if arguments[:1] != ["set"] or len(arguments) % 2 == 0:
        raise StepFailed("a chassis is asked `get NAME...` or `set NAME VALUE...`")
    for name, value in zip(arguments[1::2], arguments[2::2]):
        if name == "power" and int(value):
            machine.power_on()
        elif name == "power":
            machine.power_off()
        elif name == "reset" and machine.is_on():
            machine.reset()
    return ""
