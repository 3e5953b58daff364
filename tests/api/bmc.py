# SPDX-License-Identifier: Apache-2.0
"""A board management controller: ipmi_sim of OpenIPMI, whose chassis is a file.  fence_ipmilan talks
to it over RMCP+ as it would to a server's."""

import os
import subprocess
import time

CHASSIS = """\
#!/bin/sh
# chassis STATE get power | set power 0 | set power 1 | set reset 1
state=$1
echo "$2 $3 $4" >>"$state.log"
case "$2 $3" in
    "get power") echo "power:$(cat "$state")" ;;
    "set power") [ -e "$state.stuck" ] || echo "$4" >"$state" ;;
    "set reset") ;;
    *) exit 1 ;;
esac
"""
LAN = """\
name "host"
set_working_mc 0x20
  startlan 1
    addr 127.0.0.1 %(port)d
    priv_limit admin
    allowed_auths_callback none md2 md5 straight
    allowed_auths_user none md2 md5 straight
    allowed_auths_operator none md2 md5 straight
    allowed_auths_admin none md2 md5 straight
    guid a123456789abcdefa123456789abcdef
  endlan
  chassis_control "%(program)s %(state)s"
  user 1 true  ""      "test"   user  10 none md2 md5 straight
  user 2 true  "admin" "secret" admin 10 none md2 md5 straight
"""
EMU = """\
mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr
sel_enable 0x20 1000 0x0a
mc_enable 0x20
"""


class Bmc:
    """Starts one on 127.0.0.1, @port of UDP, its power on."""

    def __init__(self, folder, port):
        self.state, self.port = os.path.join(folder, "power"), port
        program = os.path.join(folder, "chassis")
        for name, text in (("chassis", CHASSIS), ("sim.emu", EMU), ("power", "1\n"), ("lan.conf", LAN % {
                "port": port, "program": program, "state": self.state})):
            with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                file.write(text)
        os.chmod(program, 0o755)
        os.mkdir(os.path.join(folder, "persist"))
        with open(os.path.join(folder, "sim.log"), "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                ["ipmi_sim", "-n", "-c", os.path.join(folder, "lan.conf"), "-f",
                 os.path.join(folder, "sim.emu"), "-s", os.path.join(folder, "persist")],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        end = time.monotonic() + 60
        while self.ask("status") == 1:
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError("ipmi_sim does not answer; see %s" % folder)

    def ask(self, action):
        """What fence_ipmilan ends with: 0 on, 2 off, 1 no answer."""
        told = "action=%s\nip=127.0.0.1\nipport=%d\nusername=admin\npassword=secret\nlanplus=1\n" \
               "cipher=3\n" % (action, self.port)
        return subprocess.run(["fence_ipmilan"], input=told, text=True, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL).returncode

    @property
    def on(self):
        with open(self.state, encoding="utf-8") as file:
            return file.read().strip() == "1"

    def stuck(self, yes):
        """A stuck supply takes orders and does nothing."""
        mark = self.state + ".stuck"
        if yes:
            with open(mark, "w", encoding="utf-8"):
                pass
        elif os.path.exists(mark):
            os.unlink(mark)

    def orders(self):
        with open(self.state + ".log", encoding="utf-8") as file:
            return [line.strip() for line in file if line.startswith("set ")]

    def end(self):
        self.process.kill()
        self.process.wait()
