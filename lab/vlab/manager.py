# SPDX-License-Identifier: Apache-2.0
"""manager: the Manager of this tree's build, outside of the hosts, inside the lab's network."""

import os

from vireolab.site import Site

from vlab import ROOT

ADDRESS = "10.99.0.1"
PORT = 8443
BUILD = os.environ.get("VIREO_BUILD") or os.path.join(ROOT, "build")


class Manager:
    """Site's Manager half.  Every call that speaks to it is made inside the network namespace."""

    def __init__(self, lab):
        self.lab = lab
        self.site = Site(lab.path("manager"), BUILD, PORT)
        self.site.address = ADDRESS

    @property
    def url(self):
        return self.site.url

    @property
    def ca(self):
        return self.site.path("pki", "ca.pem")

    @property
    def password_file(self):
        return self.site.path("admin-password")

    def start(self):
        """Starts it if it does not run; returns when it answers."""
        # The database server runs as another user: it must reach its files.
        os.makedirs(self.site.state, exist_ok=True)
        with self.lab.network.inside():
            self.site.prepare()
            if not self.site.processes.find("manager"):
                self.site.start_manager()

    def kill(self):
        """kill -9, as a crash would."""
        process = self.site.processes.find("manager")
        if process:
            process.end(patience=0)

    def api(self):
        """A small client; use it inside the namespace."""
        return self.site.api()

    def end(self, keep):
        if os.path.isdir(self.site.state):
            self.site.end() if keep else self.site.remove()
