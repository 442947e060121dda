"""Which difference between a read value and the last notification makes an item stale."""

from __future__ import annotations

import pytest

from pipes.core.status_codes import code_of
from pipes.staleness import _differ
from tests.unit.pipes.flows import double

BAD = code_of("BadCommunicationError")


@pytest.mark.parametrize(
    ("read", "notified", "deadband", "differ"),
    [
        (double(1.0), double(1.0), 0.0, False),
        (double(1.0, stamp=9), double(1.0), 0.0, False),
        (double(2.0), double(1.0), 0.0, True),
        (double(1.0, status=BAD), double(1.0), 0.0, True),
        # The server was asked to keep small changes to itself.
        (double(5.0), double(1.0), 10.0, False),
        (double(12.0), double(1.0), 10.0, True),
        (double(1.0, status=BAD), double(1.0), 10.0, True),
        # A damaged value says nothing, and stops nothing.
        (double(1.0), b"\x01\x0b\x00", 10.0, False),
    ],
)
def test_what_should_have_been_notified(read, notified, deadband, differ):
    assert _differ(read, notified, deadband) is differ
