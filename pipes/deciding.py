"""What is written for one value of a direction, with all that is known when its turn comes.

`core.transfer` decides; here is what surrounds the decision: whether the value is wanted, may go
now and can be understood by the other server, and what is remembered of the answer.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Final

from pipes.core.binary import DecodeError
from pipes.core.conversion import Rejected, TargetType
from pipes.core.quality import Ability, HoldReason
from pipes.core.sizes import has_fixed_size
from pipes.core.stops import Stops
from pipes.core.transfer import Hold, Reject, Rule, Skip, Target, Write, decide_transfer
from pipes.echoes import Echoes
from pipes.faults import Faults
from pipes.initial import InitialWrites
from pipes.known import Known
from pipes.passing import Passing
from pipes.ranges import Ranges
from pipes.targets import Targets
from pipes.translation import Translator
from pipes.waiting import PutInError, Waiting
from pipes.writer import Writer

log = logging.getLogger(__name__)

TYPE_ASKED_FOR: Final = "the server is being asked for the definition of the structure"


@lru_cache(maxsize=256)
def _target(
    kind: TargetType, value_rank: int, ability: Ability, dimensions: tuple[int, ...]
) -> Target:
    """Thousands of items have a handful of different targets."""
    return Target(kind, value_rank, ability, dimensions)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a decision asks and tells; all of it goes on changing."""

    known: Known
    targets: Targets
    ability: Callable[[], Ability]
    translator: Translator
    echoes: Echoes
    waiting: Waiting
    passing: Passing
    ranges: Ranges
    initial: InitialWrites
    writer: Writer
    faults: Faults
    put_in_error: PutInError
    stops: Stops
    now: Callable[[], float]


class Deciding:
    def __init__(self, name: str, around: Surroundings) -> None:
        self._name = name
        self._known = around.known
        self._around = around
        self._now = around.now

    # -- occasions ------------------------------------------------------------------------------

    def arrived(self, handle: int, value: bytes) -> bytes | None:
        """Decide about a value that came; None writes nothing."""
        return self._considered(handle, value, self._around.echoes.wants)

    def again(self, handle: int, value: bytes, *, is_retry: bool) -> bytes | None:
        """Decide about a value that came before; the target's side waits to be changed."""
        wants = partial(self._around.echoes.wants_again, is_retry=is_retry)
        return self._considered(handle, value, wants)

    def sample(self, handle: int, value: bytes, *, is_first: bool) -> bytes | None:
        """Decide about a sample whose turn has come; ``first`` may be about one to come."""
        first = self._known.first
        is_next_first = handle in first
        (first.add if is_first else first.discard)(handle)
        decided = self.arrived(handle, value)
        (first.add if is_next_first else first.discard)(handle)
        return decided

    def is_asking(self, handle: int) -> bool:
        """Whether the value cannot be decided about before the server has told its type."""
        return self._known.held_back.get(handle) is TYPE_ASKED_FOR

    def not_taken(self, handle: int) -> None:
        """What was decided last has not arrived, or may not have: it is decided about again."""
        history = self._known.histories.get(handle)
        if history is not None:
            history.not_written()

    def _considered(
        self, handle: int, value: bytes, wants: Callable[[int, bytes], bool]
    ) -> bytes | None:
        """One value that cannot be dealt with is the fault of its item alone."""
        put_in_error = self._around.put_in_error
        try:
            if wants(handle, value):
                return self.decide(handle, value)
            self._known.first.discard(handle)
        except DecodeError as error:
            put_in_error(handle, 0, f"the value cannot be decoded: {error}", retries=False)
        except Exception as error:
            log.exception("%s: item %s: the value could not be dealt with", self._name, handle)
            put_in_error(handle, 0, f"an internal error: {error!r}", retries=False)
        return None

    # -- the decision ---------------------------------------------------------------------------

    def decide(self, handle: int, value: bytes) -> bytes | None:
        """What to write now for a value that is wanted.

        Raises:
            DecodeError: the value is damaged.
        """
        around, known = self._around, self._known
        info = around.targets.infos.get(handle)
        if info is None or handle not in around.targets.prefixes or handle not in known.items:
            return None  # decided when the target is ready
        if around.waiting.has_to_wait(handle):
            return None
        rule, history = known.rules[handle], known.histories[handle]
        translated = around.translator.translated(handle, value)
        if not isinstance(translated, bytes):
            self._leave_untranslated(handle, translated)
            return None
        came, value = value, translated
        target = _target(info.type, info.value_rank, around.ability(), info.dimensions)
        decision = decide_transfer(value, rule, target, history, self._now())
        around.waiting.hold_over(handle)
        around.stops.note(handle, is_stopped=history.is_stopped)
        if history.not_good_since is not None:
            around.passing.distrust(handle)  # until it is Good, each of its values is decided about
        if isinstance(decision, Write):
            self._note_held_back(handle, decision.instead)
            around.writer.originates(handle, came, decision.value)
            written = self._unless_held(handle, value, decision.value, rule, target)
            if written is not None:
                around.waiting.throttle.went(handle)
            return written
        self._leave(handle, decision)
        return None

    def _note_held_back(self, handle: int, reason: HoldReason | None) -> None:
        if reason is None:
            self._known.held_back.pop(handle, None)
        else:
            self._known.held_back[handle] = reason.value

    def _leave_untranslated(self, handle: int, refusal: Rejected | None) -> None:
        if refusal is not None:
            self._leave(handle, Reject(refusal.sentence))
            return
        self._known.held_back[handle] = TYPE_ASKED_FOR
        self._around.echoes.not_written(handle)

    def _leave(self, handle: int, decision: Hold | Reject | Skip) -> None:
        """The target keeps what it has."""
        around = self._around
        match decision:
            case Hold(reason, again_seconds):
                self._forget_rejection(handle)
                self._known.held_back[handle] = reason.value
                if again_seconds is not None:
                    around.waiting.hold(handle, self._now() + again_seconds)
            case Reject(sentence):
                around.put_in_error(handle, 0, sentence, retries=False)
            case Skip():
                self._forget_rejection(handle)
                self._known.held_back.pop(handle, None)
        around.echoes.not_written(handle)

    def _forget_rejection(self, handle: int) -> None:
        """The item was in error for a value that could not be written; this one need not be."""
        fault = self._around.faults.current.get(handle)
        if fault is not None and not fault.retries and not fault.status:
            self._around.faults.clear((handle,))

    # -- what is to be written ------------------------------------------------------------------

    def _unless_held(
        self, handle: int, value: bytes, written: bytes, rule: Rule, target: Target
    ) -> bytes | None:
        """The first value of a subscription may be what the target has already."""
        around = self._around
        is_first = handle in self._known.first
        self._known.first.discard(handle)
        if not has_fixed_size(written):
            around.writer.sizes.bulky.add(handle)
        watched = handle in around.echoes.handles
        if not watched and self._may_pass(handle):
            around.passing.spare(handle, value, rule, target)
        if is_first and not watched and around.initial.is_held(handle, written):
            around.faults.clear((handle,))
            return None
        return written

    def _may_pass(self, handle: int) -> bool:
        """Whether nothing but its rule says that the values that follow need a look."""
        around = self._around
        return (
            handle not in around.faults.current
            and self._known.histories[handle].not_good_since is None
            and around.waiting.may_pass(handle)
            and handle not in around.ranges.unknown
        )
