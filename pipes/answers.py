"""What the written server answers, to writes and about its nodes, and what follows for the items.

`pipes.writer` knows what became of a request, `pipes.targets` what was read of a node; here an item
is put in error, tried another way or forgiven, and what the server takes at all (source timestamps,
statuses) is learned.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final, Protocol

from pipes.connections import ServerConnection
from pipes.core.choices import ItemKind, Timestamps
from pipes.core.echo import WriteResult
from pipes.core.incidents import Incident, Incidents, Trouble
from pipes.core.json_values import value_text
from pipes.core.learning import Lesson, lesson_of
from pipes.core.losses import Cause, Losses
from pipes.core.outages import Outages
from pipes.core.quality import Ability, writes_source_timestamp
from pipes.core.retries import Retry, advise
from pipes.core.skip import HAS_SOURCE_TIME, HAS_STATUS
from pipes.core.status_codes import code_of, name_of
from pipes.core.transfer import has_value
from pipes.core.wanted import Pipe, kind_of
from pipes.echoes import Echoes
from pipes.faults import Faults
from pipes.known import Known
from pipes.newest import Newest
from pipes.passing import Passing
from pipes.targets import Targets
from pipes.verify import ReadBack
from pipes.writer import Writer

#: Refusals of one item that may be over at the next try, with nothing changed.
PASSING: Final = frozenset({Retry.RETRY_LATER, Retry.SPLIT_BATCH, Retry.RECONNECT})
#: What becomes of a value that the target does not hold: nothing, until it changes.
NEXT_CHANGE: Final = "the next change is written again"
NEWEST_AGAIN: Final = "the newest value is written again"
NODE_UNKNOWN: Final = code_of("BadNodeIdUnknown")


class Owner(Protocol):
    """The flow, with the parts of it that this needs."""

    newest: Newest
    passing: Passing
    read_back: ReadBack
    targets: Targets
    writer: Writer

    def put_in_error(self, handle: int, status: int, message: str, *, retries: bool) -> None: ...


class Answers:
    """As `writer.Owner`, `verify.Owner` and `targets.Owner`."""

    def __init__(
        self,
        pipe: Pipe,
        known: Known,
        writing: ServerConnection,
        faults: Faults,
        echoes: Echoes,
        outages: Outages,
        losses: Losses,
        owner: Owner,
        now: Callable[[], float],
    ) -> None:
        self.incidents = Incidents()
        self._pipe = pipe
        self._known = known
        self._writing = writing
        self._faults = faults
        self._echoes = echoes
        self._outages = outages
        self._losses = losses
        self._owner = owner
        self._now = now

    # -- written --------------------------------------------------------------------------------

    def may_send(self, handle: int, value: bytes) -> bool:
        return self._echoes.may_send(handle, value)

    def settled(self, handle: int, result: WriteResult) -> None:
        self._echoes.settled(handle, result)

    def recovered(self, handles: Iterable[int]) -> None:
        well = set(handles)
        self._faults.clear(well - self._outages.refused(well))

    def contradicted(self, handle: int, sent: bytes, found: bytes) -> str:
        server = self._writing.name
        why = (
            f"wrote {value_text(sent)}, but {server} holds {value_text(found)}: "
            f"another client writes the node or the server alters values; {NEXT_CHANGE}"
        )
        if handle not in self._owner.read_back.mismatches:
            incident = Incident(Trouble.MISMATCH, handle, sent, NEXT_CHANGE, found=found)
            self.incidents.add(incident)
        self._faults.note(handle, why)
        return why

    # -- not written ----------------------------------------------------------------------------

    def unanswered(self, values: Mapping[int, bytes], why: str) -> None:
        if self._known.queued:  # an event is told of by name, however many there are
            values = {handle: v for handle, v in values.items() if not self._is_event(handle)}
        self.incidents.unknown(values, f"{why}; {NEWEST_AGAIN}")

    def _is_event(self, handle: int) -> bool:
        item = self._known.items.get(handle)
        return item is not None and kind_of(item, self._pipe) is ItemKind.EVENT

    def too_large(self, handle: int, why: str) -> None:
        """The value was not sent: the server would fail over the whole request."""
        self._known.histories[handle].not_written()
        if handle in self._known.queued:
            self._losses.record(Cause.REFUSED, handle, None, self._now())
        why = f"at {self._writing.name}: {why}; not written"
        self._owner.put_in_error(handle, 0, why, retries=False)

    def write_refused(self, handle: int, value: bytes, status: int) -> None:
        """Do what the table advises for this status."""
        if handle not in self._known.items:
            return  # taken out of the configuration meanwhile
        rules = self._known.rules
        retry = advise(status).retry
        self._known.histories[handle].not_written()
        if retry is Retry.RETRY_NOW_WITHOUT and self._learn_refusal(handle, value):
            self._owner.newest.offer((handle,))
        elif retry is Retry.CONVERT_AGAIN and not rules[handle].watches_type:
            rules[handle] = rules[handle].watching_type()
            self._read_target_again(handle)
        else:
            self._give_up(handle, value, status)

    def _give_up(self, handle: int, value: bytes, status: int) -> None:
        """The item is in error; what passes by itself is tried again."""
        self._tell_refused(handle, value, status)
        advice = advise(status)
        why = f"at {self._writing.name}: {name_of(status)}: {advice.sentence}"
        if advice.retry is Retry.SPLIT_BATCH:  # and it was alone in its request
            why += f" (a value of {len(value)} bytes)"
        is_passing = advice.retry in PASSING
        self._owner.put_in_error(handle, status, why, retries=is_passing)
        if self._owner.writer.pending.withdraw(handle, for_good=not is_passing):
            self._faults.owe(handle)  # newer values have to wait as well
        if status == NODE_UNKNOWN:
            self._read_target_again(handle)

    def _tell_refused(self, handle: int, value: bytes, status: int) -> None:
        """The first refusal of an item, and one for another reason, is an event."""
        before = self._faults.current.get(handle)
        if before is None or before.status != status:
            why = f"{name_of(status)}: {advise(status).sentence}"
            self.incidents.add(Incident(Trouble.REFUSED, handle, value, why, status))

    # -- its nodes ------------------------------------------------------------------------------

    def targets_ready(self, handles: Collection[int]) -> None:
        owner = self._owner
        self.apply_ability()
        for handle in handles:
            history = self._known.histories[handle]
            history.not_written()
            present = owner.targets.infos[handle].value
            if present is not None:
                owner.writer.written.held[handle] = present
                is_whole = self._known.rules[handle].writes is None
                if history.last_good is None and is_whole and has_value(present):
                    history.last_good = present
        self._faults.clear(handles)
        owner.newest.offer(handles, is_first=True)

    def target_unusable(self, handle: int, status: int, message: str) -> None:
        why = message or f"{name_of(status)}: {advise(status).sentence}"
        self._owner.put_in_error(handle, status, f"at {self._writing.name}: {why}", retries=False)

    def _read_target_again(self, handle: int) -> None:
        """The node is not what it was, or is away: the newest value follows when it is known."""
        owner = self._owner
        owner.passing.distrust(handle)
        owner.writer.pending.postpone(handle)
        owner.targets.again(handle)

    # -- what the server takes ------------------------------------------------------------------

    def ability(self) -> Ability:
        return Ability(self._writing.writes_status, self._writing.writes_timestamps)

    def apply_ability(self) -> None:
        """Let the writer send what the server takes, as far as that is known."""
        self._owner.writer.keep_timestamps = writes_source_timestamp(
            self._pipe.timestamps, self.ability()
        )

    def learn_from_success(self) -> None:
        sample = self._owner.writer.sample
        if not sample:
            return
        if self._writing.writes_timestamps is None and sample[0] & HAS_SOURCE_TIME:
            self._writing.learn(writes_timestamps=True)
        if self._writing.writes_status is None and sample[0] & HAS_STATUS:
            self._writing.learn(writes_status=True)

    def _learn_refusal(self, handle: int, value: bytes) -> bool:
        """Find out what the server did not take; False if there is nothing left to leave out."""
        lesson = lesson_of(
            self.ability(),
            has_timestamp=bool(value[0] & HAS_SOURCE_TIME),
            has_status=bool(value[0] & HAS_STATUS),
            insists_on_timestamp=self._pipe.timestamps is not Timestamps.AUTO,
        )
        bare = self._owner.writer.bare
        match lesson:
            case Lesson.NO_TIMESTAMPS:
                self._writing.learn(writes_timestamps=False)
            case Lesson.NO_STATUS:
                self._writing.learn(writes_status=False)
                bare.discard(handle)  # it was not its timestamp
            case Lesson.BARE_NODE:
                bare.add(handle)
            case Lesson.AGAIN | Lesson.NOTHING:
                pass
        self.apply_ability()
        return lesson is not Lesson.NOTHING
