# SPDX-License-Identifier: Apache-2.0
"""What people read of all that the other tests of this folder did: runs last (conftest.py)."""


def test_no_event_has_a_hole(system, host):
    holes = sorted({event.description for event in system.events_service().list(max=10000)
                    if "<UNKNOWN>" in event.description})
    assert not holes, "\n".join(holes)
