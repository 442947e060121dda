"""What is written for a value that came: `decide_transfer`, and the few facts it needs.

Most values never come here: a flow lets them through as bytes once `passes_untouched` has said
that nothing has to be done to them. What comes here is decided in this order: quality contract,
deadband of our own, transform, conversion to the type of the written node.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from typing import Final, cast

from pipes.core.binary import (
    DecodeError,
    array_shape,
    decode_data_value,
    encode_data_value,
    peek_type,
    replace_status,
    source_timestamp,
    status_of,
)
from pipes.core.bulk import Scaling, scaling_for
from pipes.core.choices import DeadbandType, Direction, Quality, Trigger
from pipes.core.conversion import SCALAR_RANK, Rejected, TargetType, accepts_rank, convert
from pipes.core.filtering import passes
from pipes.core.index_range import IndexRange
from pipes.core.index_range import parse as parse_index_range
from pipes.core.quality import (
    Ability,
    HoldReason,
    Reading,
    Rules,
    WriteLastWithStatus,
    WriteSubstitute,
    WriteWithStatus,
    decide_quality,
    policy_for,
)
from pipes.core.quality import Hold as QualityHold
from pipes.core.quality_table import NO_TABLE, table_of
from pipes.core.structures import BOUND_TO_NAMESPACES
from pipes.core.transform import Transform, compile_transform
from pipes.core.values import NULL, DataValue, Variant, VariantType, shape_of
from pipes.core.wanted import NO_TRANSFORM, Item, Json, Pipe

HAS_VALUE: Final = 0x01
HAS_STATUS: Final = 0x02


@dataclass(frozen=True, slots=True)
class Rule:
    """What an item asks for in one direction, compiled. ``deadband`` is ours; 0 is none."""

    transform: Transform
    quality: Rules
    trigger: Trigger
    deadband: float = 0.0
    watches_type: bool = False
    reads: IndexRange | None = None
    """The part of the read node; values are that part already."""
    writes: IndexRange | None = None
    """The part of the written node."""

    @property
    def filters(self) -> bool:
        """Whether it is for us to say which changes count."""
        return self.deadband > 0 or self.trigger is Trigger.STATUS

    @property
    def needs_look(self) -> bool:
        """Whether every value has to be decided about, and not only doubtful ones."""
        return not self.transform.is_identity or self.has_more_than_transform

    @property
    def has_more_than_transform(self) -> bool:
        return (
            self.filters or self.watches_type or self.reads is not None or self.writes is not None
        )

    def with_own_deadband(self, deadband: float) -> Rule:
        """The reader's server filters nothing: it is done here."""
        return replace(self, deadband=deadband)

    def watching_type(self) -> Rule:
        """The source changes its type while it runs: each value's type is looked at."""
        return replace(self, watches_type=True)


UNPROBED: Final = Ability()


@dataclass(frozen=True, slots=True)
class Target:
    """What the written node takes; ``dimensions`` are the most elements of each, 0 is any."""

    type: TargetType
    value_rank: int
    ability: Ability = UNPROBED
    dimensions: tuple[int, ...] = ()


@dataclass(slots=True)
class History:
    """What a flow remembers of an item for the next decision."""

    passed: bytes | None = None
    """The source's bytes that were last let through; what our deadband compares with."""
    last_good: bytes | None = None
    """The last Good value as it was written."""
    not_good_since: float | None = None
    reported: int | None = None
    """The status that the target was given for this outage, on a value that is not its own."""
    is_stopped: bool = False

    def not_written(self) -> None:
        """The target has not got, or has lost, what was decided last."""
        self.passed = None
        self.reported = None


class SkipReason(StrEnum):
    DEADBAND = "within the deadband, or not a change that counts"


@dataclass(frozen=True, slots=True)
class Write:
    value: bytes
    instead: HoldReason | None = None
    """Why it is not the value that came; None if it is."""


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
    rule = _rule_without_range(item, pipe, is_reverse=is_reverse)
    if not item.index_range:
        return rule
    part = parse_index_range(item.index_range)  # of the source, which reverse writes
    return replace(rule, writes=part) if is_reverse else replace(rule, reads=part)


def _rule_without_range(item: Item, pipe: Pipe, *, is_reverse: bool) -> Rule:
    quality = quality_rules(item, pipe)
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


def quality_rules(item: Item, pipe: Pipe) -> Rules:
    """The quality contract of an item: its own ``quality`` alone, or the pipe's and its table."""
    return Rules(
        item.quality or pipe.quality,
        pipe.hold_seconds,
        NO_TABLE if item.quality is not None else table_of(pipe.quality_table),
        substitute_variant(item.substitute),
    )


def substitute_variant(value: Json) -> Variant | None:
    """A configured value as one of a node; it is converted to the type of the target later."""
    if isinstance(value, bool):
        return Variant(VariantType.BOOLEAN, value)
    if isinstance(value, int):
        return Variant(VariantType.INT64, value)
    if isinstance(value, float):
        return Variant(VariantType.DOUBLE, value)
    return Variant(VariantType.STRING, value) if isinstance(value, str) else None


def absolute_deadband(item: Item) -> float | None:
    """The deadband that the reader's server is asked to apply, in units of the value."""
    if item.deadband.type is DeadbandType.ABSOLUTE and item.deadband.value > 0:
        return item.deadband.value
    return None


def percent_deadband(item: Item) -> float | None:
    """The deadband in percent of the EURange of the read node."""
    if item.deadband.type is DeadbandType.PERCENT and item.deadband.value > 0:
        return item.deadband.value
    return None


def has_value(value: bytes) -> bool:
    """Whether an encoded DataValue has a Variant, and not one of type Null."""
    return bool(value[0] & HAS_VALUE) and value[1] != VariantType.NULL


def passes_untouched(value: bytes, rule: Rule, target: Target) -> bool:
    """Whether values like this one, of its type byte, may go through as bytes from now on."""
    if rule.needs_look or not _fits(value, target):
        return False
    encoding = value[1]
    if encoding & 0x3F in BOUND_TO_NAMESPACES:
        return False  # the next one may refer to another namespace
    # The byte says neither how many elements an array has nor how many dimensions.
    return not (encoding & 0x80 and (encoding & 0x40 or target.dimensions))


def bulk_scaling(value: bytes, rule: Rule, target: Target) -> Scaling | None:
    """How values like this one may be scaled by `bulk.scaled` from now on."""
    if rule.has_more_than_transform or target.value_rank not in _SCALAR:
        return None
    if not isinstance(target.type, VariantType):
        return None  # the type may differ from value to value
    between = rule.transform.to_type
    to = (target.type,) if between is None else (between, target.type)
    return scaling_for(value, rule.transform.number, to)


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
    policy, _ = policy_for(rule.quality, status, has_value=is_there)
    _note_policy(history, policy, now)
    since = now if history.not_good_since is None else history.not_good_since
    verdict = decide_quality(
        rule.quality,
        Reading(
            status=status,
            has_value=is_there,
            not_good_seconds=now - since,
            has_last_good=history.last_good is not None,
            reported=history.reported,
            is_stopped=history.is_stopped,
        ),
        target.ability,
    )
    match verdict:
        case QualityHold(reason, again_seconds):
            return Hold(reason, again_seconds)
        case WriteLastWithStatus(code):
            told = replace_status(history.last_good or value, code)
            return _reported(history, code, told, HoldReason.REPORTED)
        case WriteSubstitute(code):
            return _substituted(value, rule, target, history, code)
        case WriteWithStatus(code):
            kept = replace_status(value, code)
        case _:
            kept = value
    return _passed_on(value, kept, rule, target, history)


def _note_policy(history: History, policy: Quality | None, now: float) -> None:
    """A reading that counts as Good ends the outage; ``stop`` holds until then."""
    if policy is None:
        history.not_good_since = history.reported = None
        history.is_stopped = False
        return
    if history.not_good_since is None:
        history.not_good_since = now
    history.is_stopped |= policy is Quality.STOP


def _reported(history: History, status: int, value: bytes, reason: HoldReason) -> Write:
    """The target gets a value that is not the reading's own: the return of that is a change."""
    history.reported = status
    history.passed = None
    return Write(value, reason)


def _substituted(
    value: bytes, rule: Rule, target: Target, history: History, status: int
) -> Decision:
    """The substitute in the type of the target; where that takes any, in the type it had."""
    substitute = rule.quality.substitute or NULL
    whole = DataValue(substitute, status, source_timestamp(value))
    if rule.writes is not None:
        decision = _convert_part(whole, substitute, rule, rule.writes, target)
    else:
        decision = _typed(whole, target, history)
    if isinstance(decision, Reject):
        return Reject(f"the substitute value cannot be written: {decision.sentence}")
    return _reported(history, status, decision.value, HoldReason.SUBSTITUTED)


def _typed(whole: DataValue, target: Target, history: History) -> Write | Reject:
    kind = target.type
    had = None if history.last_good is None else peek_type(history.last_good)
    if kind is VariantType.VARIANT and had is not None:
        kind = had[0]
    converted = convert(whole.variant or NULL, kind, target.value_rank)
    if isinstance(converted, Rejected):
        return Reject(converted.sentence)
    return Write(_encode(whole, converted.variant))


def _passed_on(value: bytes, kept: bytes, rule: Rule, target: Target, history: History) -> Decision:
    """``kept`` is the value with the status that it may have at the target."""
    if rule.filters and not _is_change(value, rule, history):
        return Skip(SkipReason.DEADBAND)
    is_done = not rule.needs_look and _fits(kept, target)
    decision = Write(kept) if is_done else _convert(kept, rule, target)
    if isinstance(decision, Write):
        history.passed = value
        if history.not_good_since is None:
            history.last_good = decision.value
    return decision


def _is_change(value: bytes, rule: Rule, history: History) -> bool:
    previous = None if history.passed is None else decode_data_value(history.passed)
    return passes(previous, decode_data_value(value), rule.trigger, rule.deadband)


def _fits(value: bytes, target: Target) -> bool:
    """Whether the bytes are of the target's type, rank and size already."""
    peeked = peek_type(value)
    if peeked is None:
        return False
    variant_type, is_array = peeked
    if target.type not in (VariantType.VARIANT, variant_type):
        return False
    if not is_array:
        return target.value_rank in _SCALAR
    shape = array_shape(value)
    return accepts_rank(len(shape), target.value_rank) and _is_within(shape, target.dimensions)


_SCALAR: Final = frozenset({SCALAR_RANK, -2, -3})


def _is_within(shape: Sequence[int], most: Sequence[int]) -> bool:
    """Whether no dimension is longer than the target allows."""
    return all(size <= limit or not limit for size, limit in zip(shape, most, strict=False))


def _convert(value: bytes, rule: Rule, target: Target) -> Decision:
    data_value = decode_data_value(value)
    transformed = rule.transform.apply(data_value.variant or NULL)
    if isinstance(transformed, Rejected):
        return Reject(transformed.sentence)
    if rule.writes is not None:
        return _convert_part(data_value, transformed, rule, rule.writes, target)
    if rule.reads is not None and rule.reads.is_single and target.value_rank in _SCALAR:
        transformed = _only_element(transformed)
    converted = convert(transformed, target.type, target.value_rank, rule.transform.on_overflow)
    if isinstance(converted, Rejected):
        return Reject(converted.sentence)
    shape = shape_of(converted.variant)
    if not _is_within(shape, target.dimensions):
        return Reject(
            f"an array of {_by(shape)} elements does not fit a target of at most "
            f"{_by(target.dimensions)} (its ArrayDimensions)"
        )
    return Write(_encode(data_value, converted.variant))


def _convert_part(
    data_value: DataValue, variant: Variant, rule: Rule, part: IndexRange, target: Target
) -> Write | Reject:
    """A write into a part takes exactly the elements of it (Part 4, 5.11.4)."""
    converted = convert(variant, target.type, on_overflow=rule.transform.on_overflow)
    if isinstance(converted, Rejected):
        return Reject(converted.sentence)
    filled = converted.variant
    if target.value_rank != SCALAR_RANK:  # a piece of a text or of bytes is a scalar
        fitting = part.filled(filled)
        if fitting is None:
            shape = shape_of(filled)
            return Reject(
                f"{f'an array of {_by(shape)}' if shape else 'a scalar'} does not fill the index "
                f"range {part.text}, which takes {_by(part.sizes)} elements"
            )
        filled = fitting
    return Write(_encode(data_value, filled))


def _only_element(variant: Variant) -> Variant:
    """The element of an array of one, for a target that is a scalar."""
    if isinstance(variant.value, tuple) and len(variant.value) == 1:
        return Variant(variant.type, variant.value[0])
    return variant


def _by(shape: Sequence[int]) -> str:
    return " by ".join(map(str, shape))


def _encode(data_value: DataValue, variant: Variant) -> bytes:
    return encode_data_value(DataValue(variant, data_value.status, data_value.source_timestamp))
