"""Which types a transform takes and which it makes: what a mapping can be told before it runs.

A row of `RULES` for each kind of transform has its two ways; a way looks at the transform and at
the type that is read, and says what comes out of it, or why nothing ever does. Types are names, ""
is one that is not known; what is open is taken for right.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final, cast

from pipes.core.conversion import OnOverflow, Rejected, convert
from pipes.core.matching import is_type_fit, target_type
from pipes.core.narrowing import holds, is_narrowing
from pipes.core.text_pattern import PatternError, compile_pattern
from pipes.core.transform_kinds import Spec
from pipes.core.units import UnitError, conversion
from pipes.core.values import FLOAT_TYPES, INTEGER_RANGES, Variant, VariantType, type_named

_KEEPING: Final = frozenset({"none", "convert"})
_NUMBERS: Final = frozenset(INTEGER_RANGES) | FLOAT_TYPES | {VariantType.BOOLEAN}
_FLOATS: Final = frozenset({"Float", "Double"})


class Fault(StrEnum):
    MISMATCH = "mismatch"
    """No value comes through."""
    PARTLY = "partly"
    """Some values never do."""
    NARROWING = "narrowing"
    """Some values are rounded or do not fit."""


@dataclass(frozen=True, slots=True)
class Makes:
    """What comes out of one way of a transform."""

    type: str
    span: tuple[int, int] | None = None
    """Whole numbers from here to there, whatever the type."""
    base: str | None = None
    """Numbers with fractions, as exact as those of this type."""
    samples: tuple[Variant, ...] = ()
    """All values that there are, or some that are like all others."""


Way = Callable[[Spec, str], "Makes | str"]


@dataclass(frozen=True, slots=True)
class Rule:
    forward: Way
    inverse: Way


# --- numbers ----------------------------------------------------------------------------------


def _needs(read: str, type_name: str, what: str) -> str | None:
    if is_type_fit(read, type_name):
        return None
    return f"the transform takes {what}, and {read} does not convert to {type_name}"


def _scaled(read: str, gain: float, offset: float, *, is_whole: bool) -> Makes | str:
    if gain == 1 and offset == 0:
        return Makes(read)
    kind = type_named(read)
    if is_whole and kind in INTEGER_RANGES:
        low, high = sorted(int(end * gain + offset) for end in INTEGER_RANGES[kind])
        return Makes("Int64", span=(low, high))
    return _needs(read, "Double", "numbers") or Makes("Double", base=read)


def _linear(spec: Spec, read: str) -> Makes | str:
    gain, offset = _line(spec)
    return _scaled(read, gain, offset, is_whole=isinstance(gain, int) and isinstance(offset, int))


def _linear_back(spec: Spec, read: str) -> Makes | str:
    gain, offset = _line(spec)
    is_whole = gain in {1, -1} and isinstance(gain, int) and isinstance(offset, int)
    return _scaled(read, gain, -offset * gain if is_whole else offset, is_whole=is_whole)


def _line(spec: Spec) -> tuple[float, float]:
    return cast("float", spec.get("gain", 1)), cast("float", spec.get("offset", 0))


def _unit(spec: Spec, read: str) -> Makes | str:
    return _scaled(read, *conversion(str(spec["from"]), str(spec["to"])), is_whole=False)


def _range(_spec: Spec, read: str) -> Makes | str:
    return _needs(read, "Double", "numbers") or Makes("Double", base=read)


def _invert(_spec: Spec, read: str) -> Makes | str:
    return _needs(read, "Boolean", "true or false") or Makes("Boolean")


def _bits(spec: Spec, read: str) -> Makes | str:
    return _needs(read, "Int64", "whole numbers") or Makes("UInt64", span=(0, _mask(spec)))


def _pack(spec: Spec, read: str) -> Makes | str:
    most = _mask(spec) << cast("int", spec.get("first", 0))
    return _needs(read, "Int64", "whole numbers") or Makes("UInt64", span=(0, most))


def _mask(spec: Spec) -> int:
    return (1 << cast("int", spec.get("count", 1))) - 1


# --- tables and text --------------------------------------------------------------------------


def _lookup(spec: Spec, _read: str) -> Makes | str:
    values = [*_table(spec).values(), spec.get("default")]
    return Makes("", samples=tuple(_variant(value) for value in values if value is not None))


def _lookup_back(spec: Spec, _read: str) -> Makes | str:
    return Makes("", samples=tuple(_variant(key) for key in _table(spec)))


def _table(spec: Spec) -> Mapping[str, object]:
    return cast("Mapping[str, object]", spec["table"])


def _variant(value: object) -> Variant:
    if isinstance(value, bool):
        return Variant(VariantType.BOOLEAN, value)
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return Variant(VariantType.INT64, value)
    if isinstance(value, int | float):
        return Variant(VariantType.DOUBLE, float(value))
    return Variant(VariantType.STRING, str(value))


def _format(spec: Spec, read: str) -> Makes | str:
    why = _needs(read, "String", "what can be text")
    if why is not None:
        return why
    pattern, kind = compile_pattern(str(spec["pattern"])), type_named(read)
    is_text = kind not in {None, VariantType.VARIANT, *_NUMBERS}
    examples: tuple[int | str, ...] = ("1", "12") if is_text else (1, 12)
    try:
        texts = [pattern.write(example) for example in examples]
    except ValueError:
        return f"the pattern {spec['pattern']} does not write values of {read}"
    if texts[0] == "1":  # nothing around it: what the values themselves say
        return Makes("String")
    return Makes("String", samples=tuple(Variant(VariantType.STRING, text) for text in texts))


def _parse(spec: Spec, read: str) -> Makes | str:
    pattern = compile_pattern(str(spec["pattern"]))
    example = pattern.read(pattern.write(1))
    types = {int: "Int64", float: "Double"}
    return _needs(read, "String", "text") or Makes(types.get(type(example), "String"))


def _same(_spec: Spec, read: str) -> Makes | str:
    return Makes(read)


RULES: Final[Mapping[str, Rule]] = {
    "none": Rule(_same, _same),
    "linear": Rule(_linear, _linear_back),
    "range": Rule(_range, _range),
    "invert": Rule(_invert, _invert),
    "lookup": Rule(_lookup, _lookup_back),
    "bits": Rule(_bits, _bits),  # there is no way back
    "pack": Rule(_pack, _bits),
    "format": Rule(_format, _parse),
    "parse": Rule(_parse, _format),
    "unit": Rule(_unit, lambda spec, read: _unit({"from": spec["to"], "to": spec["from"]}, read)),
    "convert": Rule(_same, _same),
}


# --- the whole way ----------------------------------------------------------------------------


def faults(
    spec: Spec, read: str, written: str, *, is_forward: bool
) -> tuple[tuple[Fault, str], ...]:
    """What is wrong with the way of values from one type through a transform to another."""
    return _faults(json.dumps(spec, sort_keys=True), read, written, is_forward)


@lru_cache(maxsize=1024)  # some thousand items have a handful of transforms and types
def _faults(
    text: str,
    read: str,
    written: str,
    is_forward: bool,  # noqa: FBT001 - a key of the cache
) -> tuple[tuple[Fault, str], ...]:
    spec: Spec = json.loads(text)
    rule = RULES[str(spec.get("kind", "none"))]
    try:
        made = (rule.forward if is_forward else rule.inverse)(spec, read)
    except (PatternError, UnitError):  # of a version that took it
        return ()
    if isinstance(made, str):
        return ((Fault.MISMATCH, made),)
    return tuple(_on_the_way(spec, made, written, is_forward=is_forward))


def _on_the_way(
    spec: Spec, made: Makes, written: str, *, is_forward: bool
) -> Iterator[tuple[Fault, str]]:
    """``to_type`` is on the way from the source alone."""
    to_type = str(spec.get("to_type") or "")
    first = to_type if to_type and is_forward else written
    refused = [each for each in made.samples if not _fits(spec, each, first)]
    if refused and len(refused) == len(made.samples):
        yield Fault.MISMATCH, _told(spec, refused, first)
    elif refused and spec["kind"] == "lookup":
        yield Fault.PARTLY, _told(spec, refused, first)
    elif not made.samples and not is_type_fit(made.type, first):
        yield Fault.MISMATCH, _no_way(spec, made, first)
    elif not is_type_fit(first, written):
        yield Fault.MISMATCH, f"{first} does not convert to {written}"
    elif not to_type and not spec.get("on_overflow") and _is_narrowing(made, written):
        yield Fault.NARROWING, _narrow(spec, made, written)


def _fits(spec: Spec, sample: Variant, type_name: str) -> bool:
    target = target_type(type_name)
    on_overflow = OnOverflow(str(spec.get("on_overflow") or OnOverflow.REJECT))
    if target is None:
        return True
    return not isinstance(convert(sample, target, on_overflow=on_overflow), Rejected)


def _told(spec: Spec, refused: list[Variant], first: str) -> str:
    example = f"{refused[0].value!r}"[:60]
    of = "of the table" if spec["kind"] == "lookup" else "as the pattern writes it"
    return f"{example} {of} does not convert to {first}"


def _no_way(spec: Spec, made: Makes, first: str) -> str:
    by = "" if spec.get("kind", "none") in _KEEPING else f", which {spec['kind']} makes,"
    return f"{made.type}{by} does not convert to {first}"


def _narrow(spec: Spec, made: Makes, written: str) -> str:
    if spec.get("kind", "none") in _KEEPING:
        return f"{written} does not hold every value of {made.type}"
    return f"{written} does not hold every value that {spec['kind']} makes"


def _is_narrowing(made: Makes, written: str) -> bool:
    if made.samples:
        return False
    if made.span is not None:
        return not holds(*made.span, written)
    if made.base is None or written in _FLOATS:
        return is_narrowing(made.type if made.base is None else made.base, written)
    return bool(made.base) and is_narrowing("Double", written)
