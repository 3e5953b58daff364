# SPDX-License-Identifier: Apache-2.0
"""vireolab: a whole site on this machine, for `make run` and for the API tests.

processes.py   daemons: started, recorded, found again, ended by what was recorded
site.py        the state folder and what runs on it: libvirtd, sanlock, agent, Manager
api.py         a small REST client
ipmi.py        a board management controller, and who asks it
network.py     a network of its own for a site
scenario.py    from an empty Manager to a running virtual machine, each step idempotent
"""


class StepFailed(Exception):
    """A step that did not work: what happened, and what a person can do about it."""

    def __init__(self, what, remedy=""):
        super().__init__(what)
        self.remedy = remedy
