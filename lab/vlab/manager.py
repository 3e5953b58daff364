# SPDX-License-Identifier: Apache-2.0
"""manager: the Manager of this tree's build, outside of the hosts, inside the lab's network."""

import os
import signal
import subprocess

from vireolab.processes import Processes
from vireolab.site import Site

from vlab import ROOT, StepFailed

ADDRESS = "10.99.0.1"
PORT = 8443
BUILD = os.environ.get("VIREO_BUILD") or os.path.join(ROOT, "build")


class Manager:
    """Site's Manager half.  Every call that speaks to it is made inside the network namespace."""

    def __init__(self, lab):
        self.lab = lab
        self.site = Site(lab.path("manager"), BUILD, PORT)
        self.site.address = ADDRESS
        if os.path.isdir(self.site.path("run")):
            self.site.processes = Processes(self.site.path("run"), self.site.path("log"))

    @property
    def url(self):
        return self.site.url

    @property
    def ca(self):
        return self.site.path("pki", "ca.pem")

    @property
    def password_file(self):
        return self.site.path("admin-password")

    def prepare(self):
        """Its state folder: authority, password, database."""
        with self.lab.network.inside():
            self.site.prepare()

    def enrol(self, name, address, folder):
        """A key and a certificate for a host, in @folder, as its authority signs them."""
        done = subprocess.run([self.site.program("vireo-setup"), "enrol-host", "--state",
                               self.site.state, "--name", address, "--address", name,
                               "--out", folder], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True)
        if done.returncode:
            raise StepFailed("vireo-setup enrol-host: %s" % done.stdout.strip())

    def start(self):
        """Starts it if it does not run; returns when it answers."""
        self.prepare()
        with self.lab.network.inside():
            if not self.site.processes.find("manager"):
                self.site.start_manager()

    def kill(self):
        """kill -9, as a crash would."""
        process = self.site.processes.find("manager")
        if process:
            process.send(signal.SIGKILL)
            process.ended(10)

    def api(self):
        """A small client; use it inside the namespace."""
        return self.site.api()

    def end(self, keep):
        if os.path.isdir(self.site.state):
            self.site.end() if keep else self.site.remove()
