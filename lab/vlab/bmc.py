# SPDX-License-Identifier: Apache-2.0
"""bmc: one IPMI controller a host: ipmi_sim on an address of its own, port 623, in the lab's network.

Its chassis program is `lab/lab chassis HOST`, the same code as `lab/lab power`: fence_ipmilan and
every other IPMI client really turns the machine off and on.
"""

import os
import shlex
import shutil
import sys

from vireolab.ipmi import Controller

from vlab import ROOT, StepFailed
from vlab.artifacts import PACKAGES_HINT

PORT = 623
CHASSIS = """\
#!/bin/sh
exec %s %s --state %s chassis %s "$@"
"""


class Bmc(Controller):
    def __init__(self, lab, machine):
        super().__init__(lab.path("machines", machine.name, "bmc"), machine.bmc_address, PORT,
                         lab.config["bmc_password"])
        self.lab, self.machine = lab, machine
        self.name = "bmc-" + machine.name

    def start(self):
        if self.lab.processes.find(self.name):
            return
        if not shutil.which("ipmi_sim"):
            raise StepFailed("ipmi_sim is missing", PACKAGES_HINT)
        self.write(self.machine.name, self.lab.identity(self.machine)["uuid"].replace("-", ""),
                   CHASSIS % tuple(shlex.quote(word) for word in (
                       sys.executable, os.path.join(ROOT, "lab", "lab"), self.lab.state,
                       self.machine.name)))
        self.lab.processes.start(self.name, self.lab.network.command(self.command),
                                 environment=self.lab.environment(), directory=self.folder)

    def fence(self, action, **options):
        """From inside the lab's network."""
        return super().fence(action, self.lab.network.command([]), **options)


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
