"""A batch that is too large for one message of its server: written in parts, answered as one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Final

from pipes.core.status_codes import code_of
from pipes.opcua.lane import WriteOutcome

TOO_LARGE: Final = code_of("BadEncodingLimitsExceeded")

Done = Callable[[WriteOutcome], None]
Write = Callable[[Mapping[int, bytes], Mapping[int, bytes], Callable[[], bool], Done], bool]


def write_in_parts(
    write: Write,
    prefixes: Mapping[int, bytes],
    batch: Mapping[int, bytes],
    may_write: Callable[[], bool],
    done: Done,
) -> bool:
    """Halve ``batch`` and ``write`` both halves; a single item that is too large is refused.

    The answer is that of `lane.Lane.write`. When the gate closes or the connection ends between
    the halves, the outcome of the whole is unknown.
    """
    if len(batch) == 1:
        if not may_write():
            return False
        asyncio.get_running_loop().call_soon(done, WriteOutcome(0, [TOO_LARGE]))
        return True
    half = len(batch) // 2
    first = dict(islice(batch.items(), half))
    second = dict(islice(batch.items(), half, None))
    joined = JoinedOutcome((len(first), len(second)), done)
    if not write(prefixes, first, may_write, joined.part(0)):
        return False
    try:
        failure = (
            ""
            if write(prefixes, second, may_write, joined.part(1))
            else "the gate closed between two parts of a write"
        )
    except ConnectionError as error:
        failure = str(error) or "connection lost"
    if failure:
        joined.part(1)(WriteOutcome(failure=failure))
    return True


class JoinedOutcome:
    """The outcomes of the parts of a batch as one: a failure of a part is one of the whole."""

    def __init__(self, sizes: Sequence[int], done: Done) -> None:
        self._sizes = sizes
        self._outcomes: dict[int, WriteOutcome] = {}
        self._done = done

    def part(self, index: int) -> Done:
        def part_done(outcome: WriteOutcome) -> None:
            self._outcomes[index] = outcome
            if len(self._outcomes) == len(self._sizes):
                self._done(self._joined())

        return part_done

    def _joined(self) -> WriteOutcome:
        outcomes = [self._outcomes[index] for index in range(len(self._sizes))]
        failure = next((one.failure for one in outcomes if one.failure), "")
        if failure:
            return WriteOutcome(failure=failure)
        if all(one.results is None and not one.service_result >> 31 for one in outcomes):
            return WriteOutcome()
        results: list[int] = []
        for outcome, size in zip(outcomes, self._sizes, strict=True):
            refusal = outcome.service_result if outcome.service_result >> 31 else 0
            results += outcome.results if outcome.results is not None else [refusal] * size
        return WriteOutcome(0, results)
