"""What is written for a value that came: `decide_transfer`, and the few facts it needs.

Most values never come here: a flow lets them through as bytes once `passes_untouched` has said
that nothing has to be done to them. What comes here is decided in this order: quality contract,
deadband of our own, transform, conversion to the type of the written node.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from typing import Final, cast

from pipes.core.binary import (
    DecodeError,
    decode_data_value,
    encode_data_value,
    peek_type,
    replace_status,
    status_of,
)
from pipes.core.choices import DeadbandType, Direction, Quality, Trigger
from pipes.core.conversion import SCALAR_RANK, Rejected, TargetType, convert
from pipes.core.filtering import passes
from pipes.core.quality import (
    Ability,
    HoldReason,
    Reading,
    Rules,
    WriteLastWithStatus,
    WriteValueOnly,
    decide_quality,
)
from pipes.core.quality import Hold as QualityHold
from pipes.core.transform import Transform, compile_transform
from pipes.core.values import NULL, DataValue, Variant, VariantType, is_good
from pipes.core.wanted import NO_TRANSFORM, Item, Pipe

HAS_VALUE: Final = 0x01
HAS_STATUS: Final = 0x02

#: Values that mean something else on a server with other namespaces (Part 6, 5.2.2).
_BOUND_TO_NAMESPACES: Final = frozenset(
    {
        VariantType.NODE_ID,
        VariantType.EXPANDED_NODE_ID,
        VariantType.QUALIFIED_NAME,
        VariantType.EXTENSION_OBJECT,
        VariantType.DATA_VALUE,
        VariantType.VARIANT,
        VariantType.DIAGNOSTIC_INFO,
    }
)


@dataclass(frozen=True, slots=True)
class Rule:
    """What an item asks for in one direction, compiled. ``deadband`` is ours; 0 is none."""

    transform: Transform
    quality: Rules
    trigger: Trigger
    deadband: float = 0.0
    watches_type: bool = False

    @property
    def needs_look(self) -> bool:
        """Whether every value has to be decided about, and not only doubtful ones."""
        return self.deadband > 0 or self.watches_type or not self.transform.is_identity

    def with_own_deadband(self, deadband: float) -> Rule:
        """The reader's server filters nothing: it is done here."""
        return replace(self, deadband=deadband)

    def watching_type(self) -> Rule:
        """The source changes its type while it runs: each value's type is looked at."""
        return replace(self, watches_type=True)


UNPROBED: Final = Ability()


@dataclass(frozen=True, slots=True)
class Target:
    """What the written node takes."""

    type: TargetType
    value_rank: int
    ability: Ability = UNPROBED
    same_namespaces: bool = False


@dataclass(slots=True)
class History:
    """What a flow remembers of an item for the next decision."""

    passed: bytes | None = None
    """The source's bytes that were last let through; what our deadband compares with."""
    last_good: bytes | None = None
    """The last Good value as it was written."""
    not_good_since: float | None = None
    is_reported: bool = False


class SkipReason(StrEnum):
    DEADBAND = "within the deadband, or not a change that counts"


@dataclass(frozen=True, slots=True)
class Write:
    value: bytes


@dataclass(frozen=True, slots=True)
class Skip:
    reason: SkipReason


@dataclass(frozen=True, slots=True)
class Hold:
    """The target keeps what it has; decide again after ``again_seconds`` (None: at a change)."""

    reason: HoldReason
    again_seconds: float | None


@dataclass(frozen=True, slots=True)
class Reject:
    """The value cannot be written; the sentence says why and what would help."""

    sentence: str


Decision = Write | Skip | Hold | Reject


def rule_for(item: Item, pipe: Pipe, *, is_reverse: bool) -> Rule:
    """Compile one direction of an item.

    Raises:
        InvalidTransformError: the transform cannot be carried out in this direction.

    """
    quality = Rules(item.quality or pipe.quality, pipe.hold_seconds)
    if item.transform == NO_TRANSFORM:
        return _plain_rule(quality, item.trigger)
    direction = Direction.REVERSE if is_reverse else Direction.FORWARD
    plan = compile_transform(item.transform, direction)
    transform = plan.reverse if is_reverse else plan.forward
    return Rule(
        transform=cast("Transform", transform),  # the direction that was asked for is there
        quality=quality,
        trigger=item.trigger,
    )


@lru_cache(maxsize=256)
def _plain_rule(quality: Rules, trigger: Trigger) -> Rule:
    """That of most items: thousands share one."""
    plan = compile_transform(NO_TRANSFORM, Direction.FORWARD)
    return Rule(transform=cast("Transform", plan.forward), quality=quality, trigger=trigger)


def absolute_deadband(item: Item) -> float | None:
    """The deadband that the reader's server is asked to apply, in units of the value."""
    if item.deadband.type is DeadbandType.ABSOLUTE and item.deadband.value > 0:
        return item.deadband.value
    return None


def watches_status(item: Item, pipe: Pipe) -> bool:
    """Whether values that are not Good need a decision even on a server that takes any status."""
    return (item.quality or pipe.quality) is not Quality.PROPAGATE


def has_value(value: bytes) -> bool:
    """Whether an encoded DataValue has a Variant, and not one of type Null."""
    return bool(value[0] & HAS_VALUE) and value[1] != VariantType.NULL


def passes_untouched(value: bytes, rule: Rule, target: Target) -> bool:
    """Whether values like this one may go through as bytes from now on."""
    return not rule.needs_look and _fits(value, target)


def decide_transfer(
    value: bytes, rule: Rule, target: Target, history: History, now: float
) -> Decision:
    """Decide about the newest ``value`` of an item and note it in ``history``."""
    try:
        return _decide(value, rule, target, history, now)
    except DecodeError as error:
        return Reject(f"the value cannot be decoded: {error}")


def _decide(value: bytes, rule: Rule, target: Target, history: History, now: float) -> Decision:
    status = status_of(value)
    is_there = has_value(value)
    _note_status(history, is_good(status) and is_there, now)
    since = now if history.not_good_since is None else history.not_good_since
    verdict = decide_quality(
        rule.quality,
        Reading(
            status=status,
            has_value=is_there,
            not_good_seconds=now - since,
            has_last_good=history.last_good is not None,
            is_reported=history.is_reported,
        ),
        target.ability,
    )
    if isinstance(verdict, QualityHold):
        return Hold(verdict.reason, verdict.again_seconds)
    if isinstance(verdict, WriteLastWithStatus):
        history.is_reported = True
        history.passed = None  # the target has it as not Good: its return is a change
        return Write(replace_status(history.last_good or value, verdict.status))
    if rule.deadband > 0 and not _is_change(value, rule, history):
        return Skip(SkipReason.DEADBAND)
    kept = replace_status(value, 0) if isinstance(verdict, WriteValueOnly) else value
    decision = Write(kept) if passes_untouched(kept, rule, target) else _convert(kept, rule, target)
    if isinstance(decision, Write):
        history.passed = value
        if history.not_good_since is None:
            history.last_good = decision.value
    return decision


def _note_status(history: History, good: bool, now: float) -> None:  # noqa: FBT001 - a fact
    if good:
        history.not_good_since = None
        history.is_reported = False
    elif history.not_good_since is None:
        history.not_good_since = now


def _is_change(value: bytes, rule: Rule, history: History) -> bool:
    previous = None if history.passed is None else decode_data_value(history.passed)
    return passes(previous, decode_data_value(value), rule.trigger, rule.deadband)


def _fits(value: bytes, target: Target) -> bool:
    """Whether the bytes are of the target's type and rank already, as far as bytes tell."""
    peeked = peek_type(value)
    if peeked is None:
        return False
    variant_type, is_array = peeked
    if variant_type in _BOUND_TO_NAMESPACES and not target.same_namespaces:
        return False
    if target.type not in (VariantType.VARIANT, variant_type):
        return False
    if is_array:
        return target.value_rank in _ONE_DIMENSION or target.value_rank > 1
    return target.value_rank in _SCALAR


_SCALAR: Final = frozenset({SCALAR_RANK, -2, -3})
_ONE_DIMENSION: Final = frozenset({1, 0, -2, -3})


def _convert(value: bytes, rule: Rule, target: Target) -> Decision:
    data_value = decode_data_value(value)
    variant = data_value.variant or NULL
    if variant.type in _BOUND_TO_NAMESPACES and not target.same_namespaces:
        return Reject(
            "values of this type refer to the source's namespaces, and the target has others; "
            "this version passes them on between servers with equal namespaces only"
        )
    transformed = rule.transform.apply(variant)
    if isinstance(transformed, Rejected):
        return Reject(transformed.sentence)
    converted = convert(transformed, target.type, target.value_rank, rule.transform.on_overflow)
    if isinstance(converted, Rejected):
        return Reject(converted.sentence)
    return Write(_encode(data_value, converted.variant))


def _encode(data_value: DataValue, variant: Variant) -> bytes:
    return encode_data_value(DataValue(variant, data_value.status, data_value.source_timestamp))
