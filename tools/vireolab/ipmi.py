# SPDX-License-Identifier: Apache-2.0
"""ipmi: a board management controller: ipmi_sim of OpenIPMI, and fence_ipmilan, which talks to it over
RMCP+ as it would to a server's.  Its chassis is a program of the caller's: it is run with
`get power`, `set power 0|1` or `set reset 1`, and answers `power:0|1` (chassis_control, ipmi_lan(5)).
"""

import os
import subprocess

LAN = """\
name "%(name)s"
set_working_mc 0x20
  startlan 1
    addr %(address)s %(port)d
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
# One board without sensors.
BOARD = """\
mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr
sel_enable 0x20 1000 0x0a
mc_enable 0x20
"""


class Controller:
    """One at @address and @port of UDP.  What it needs is in @folder, where its command is to be run."""

    command = ["ipmi_sim", "-n", "-c", "lan.conf", "-f", "sim.emu", "-s", "state"]

    def __init__(self, folder, address, port, password, user="admin"):
        self.folder, self.address, self.port = folder, address, port
        self.user, self.password = user, password

    def write(self, name, guid, chassis):
        """@guid: 32 digits; @chassis: the text of the program."""
        os.makedirs(os.path.join(self.folder, "state"), exist_ok=True)
        lan = LAN % {"name": name, "address": self.address, "port": self.port, "guid": guid,
                     "user": self.user, "password": self.password}
        for file, text in (("lan.conf", lan), ("sim.emu", BOARD), ("chassis", chassis)):
            path = os.path.join(self.folder, file)
            with open(path, "w", encoding="utf-8") as stream:
                stream.write(text)
            os.chmod(path, 0o700 if file == "chassis" else 0o600)

    def fence(self, action, wrapper=(), **options):
        """Runs fence_ipmilan against it, by @wrapper; (exit status: 0 done or on, 2 off, 1 no answer; what
        it said)."""
        options = {"ip": self.address, "ipport": self.port, "username": self.user,
                   "password": self.password, "lanplus": "1", "cipher": "3", "power_wait": "1",
                   "action": action, **options}
        text = "".join("%s=%s\n" % pair for pair in options.items())
        done = subprocess.run([*wrapper, "fence_ipmilan"], input=text, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=120)
        return done.returncode, done.stdout
