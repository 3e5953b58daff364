# SPDX-License-Identifier: Apache-2.0
"""vlab: the lab's own modules (lab/README.md); standard library only, plus tools/vireolab.

topology.py   the small files that say which hosts, networks, cables and LUNs there are
artifacts.py  kernel, initial RAM disk, keys: made once, kept by a hash of what went in
seed.py       what makes a host itself: name, ids, keys, units, the configuration of its role
network.py    the network namespace with its bridges, and entering it
monitor.py    the two channels into a virtual machine: QMP and the guest agent
machine.py    what machines have in common; vm.py: a virtual machine; space.py: namespaces
bmc.py        its IPMI controller
site.py       the Manager inside the namespace
lab.py        all of it together: up, down, status
cli.py        the commands
"""

import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
if os.path.join(ROOT, "tools") not in sys.path:
    sys.path.insert(0, os.path.join(ROOT, "tools"))

from vireolab import StepFailed  # noqa: E402,F401
