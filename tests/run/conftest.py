# SPDX-License-Identifier: Apache-2.0
"""`make run` in a network of its own: its ports are free, and no bridge of another site is there."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools"))

from vireolab.network import own_network  # noqa: E402


def pytest_sessionstart():
    if os.geteuid() == 0:
        own_network()
