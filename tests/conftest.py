# SPDX-License-Identifier: Apache-2.0
"""For every folder of tests under pytest."""

import signal

# A run that is told to end (CI's limits) tears its fixtures down: no daemon of it is left.
signal.signal(signal.SIGTERM, signal.default_int_handler)
