"""Whether the first value of a new subscription or a new target is written.

The first value may be no news: the target has it already, or had it before. The policies:

* ``always`` writes it;
* ``if_different`` writes it unless the target holds just that;
* ``never`` leaves the target alone until the source changes. What changed while a server was away
  is a change; the value of a start, or the one that was written before, is none.
"""

from __future__ import annotations

from collections.abc import Iterable

from pipes.core.binary import comparable
from pipes.core.choices import InitialWrite
from pipes.writer import Writer


class InitialWrites:
    def __init__(self, policy: InitialWrite, writer: Writer) -> None:
        self._policy = policy
        self._writer = writer
        # What the target has got or need not get: the value, and how often it had been written.
        self._settled: dict[int, tuple[bytes, int]] = {}

    def target_lost(self) -> None:
        """What was written stays known: the next session begins with what the target has then."""
        if self._policy is not InitialWrite.NEVER:
            return
        held, counts = self._writer.written.held, self._writer.written.counts
        for handle, count in counts.items():
            if count and handle in held and self._settled.get(handle, (b"", 0))[1] != count:
                self._settled[handle] = held[handle], count

    def forget(self, handles: Iterable[int]) -> None:
        for handle in handles:
            self._settled.pop(handle, None)

    def is_held(self, handle: int, written: bytes) -> bool:
        """Whether a first value, as it would be ``written``, is not to be written.

        What the target holds counts only while nothing else is on its way there, such as the
        status of an outage that is just over: that would be the last word.
        """
        if self._policy is InitialWrite.ALWAYS or self._writer.latest.is_due(handle):
            return False
        if self._policy is InitialWrite.NEVER:
            return self._is_no_change(handle, written)
        held = self._writer.written.held.get(handle)
        if held is None:
            return False
        if self._writer.keep_timestamps and handle not in self._writer.bare:
            return held == written
        return comparable(held) == comparable(written)

    def _is_no_change(self, handle: int, written: bytes) -> bool:
        count = self._writer.written.counts[handle]
        before, at_count = self._settled.get(handle, (None, 0))
        if before is None or at_count != count:
            before = self._writer.written.held.get(handle) if count else written
        if before is None or comparable(before) != comparable(written):
            return False
        self._settled[handle] = before, count
        return True
