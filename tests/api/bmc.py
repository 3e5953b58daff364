# SPDX-License-Identifier: Apache-2.0
"""A management controller whose chassis is a file."""

import os
import shlex
import subprocess
import time

from vireolab.ipmi import Controller

CHASSIS = """\
#!/bin/sh
state=%s
echo "$1 $2 $3" >>"$state.log"
case "$1 $2" in
    "get power") echo "power:$(cat "$state")" ;;
    "set power") [ -e "$state.stuck" ] || echo "$3" >"$state" ;;
    "set reset") ;;
    *) exit 1 ;;
esac
"""


class Bmc(Controller):
    """Starts one on 127.0.0.1, @port of UDP, its power on."""

    def __init__(self, folder, port):
        super().__init__(folder, "127.0.0.1", port, "secret")
        self.state = os.path.join(folder, "power")
        self.write("host", "a123456789abcdefa123456789abcdef", CHASSIS % shlex.quote(self.state))
        with open(self.state, "w", encoding="utf-8") as file:
            file.write("1\n")
        with open(os.path.join(folder, "sim.log"), "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(self.command, cwd=folder, stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=subprocess.STDOUT)
        end = time.monotonic() + 60
        while self.fence("status")[0] == 1:
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError("ipmi_sim does not answer; see %s" % folder)

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
