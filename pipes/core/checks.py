"""Checks of single values. Each takes what came from outside, and returns it in its one form.

A check never guesses: ``True`` is no number, ``"5"`` is no number, NaN and infinity are no
configuration. A number that is whole becomes an ``int``, so that a digest does not depend on the
way (JSON, CSV, a spreadsheet) by which it came.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from pipes.core import node_ids
from pipes.core.problems import wrong
from pipes.core.wanted import Json

Check = Callable[[Json], Json]

LONGEST_NAME: Final = 64
#: Beyond this a double (and JavaScript) cannot tell neighbouring whole numbers apart.
LARGEST_INTEGER: Final = 2**53 - 1
LONGEST_NODE_ID: Final = 5000  # an identifier has at most 4096 (Part 3, 8.2.4)
OPC_UA_NAMESPACE: Final = "http://opcfoundation.org/UA/"
NULL_NODE_ID: Final = node_ids.NodeIdText(0, 0)

#: The usual spelling, which needs no second look: a mapping has tens of thousands of these.
_PLAIN_NODE_ID: Final = re.compile(
    r"(?:nsu=urn:[!-$&-:<-~]{1,500};|ns=[1-9][0-9]{0,3};)s=[ -~]{0,500}[!-~]"
)
#: What XML cannot carry (a spreadsheet is XML) and what no terminal should get.
_CONTROL: Final = re.compile("[\x00-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_CONTROL_BUT_LINES: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_INDEX_RANGE: Final = re.compile(r"[0-9]{1,10}(:[0-9]{1,10})?(,[0-9]{1,10}(:[0-9]{1,10})?)*")


def boolean(value: Json) -> Json:
    if not isinstance(value, bool):
        raise wrong("must be true or false", value, ("true", "false"))
    return value


def text(longest: int, *, lines: bool = False) -> Check:
    """Text of at most ``longest`` characters; with ``lines`` it may have line breaks and tabs."""
    forbidden = _CONTROL_BUT_LINES if lines else _CONTROL

    def check(value: Json) -> Json:
        if not isinstance(value, str):
            raise wrong("must be text", value)
        if len(value) > longest:
            raise wrong(f"is {len(value)} characters long; at most {longest} are allowed", value)
        if lines:
            value = value.replace("\r\n", "\n").replace("\r", "\n")
        if forbidden.search(value):
            raise wrong("contains control characters; remove them", _printable(value))
        return value

    return check


def name(value: Json) -> Json:
    """A name of a server or pipe: it stands in addresses, hence no ``/``."""
    if not isinstance(value, str):
        raise wrong("must be text", value)
    if not 1 <= len(value) <= LONGEST_NAME:
        raise wrong(f"must be 1 to {LONGEST_NAME} characters long", value)
    if "/" in value or value in {".", ".."}:
        raise wrong('must not contain "/" and must not be "." or ".."', value)
    if value != value.strip() or _CONTROL.search(value):
        raise wrong(
            "must not begin or end with a space or contain control characters", _printable(value)
        )
    return value


def choice(allowed: Sequence[str]) -> Check:
    closed = frozenset(allowed)
    listed = ", ".join(allowed[:-1]) + (" or " if len(allowed) > 1 else "") + allowed[-1]

    def check(value: Json) -> Json:
        if not isinstance(value, str) or value not in closed:
            raise wrong(f"must be {listed}", value, allowed)
        return str(value)

    return check


def integer(least: int, most: int = LARGEST_INTEGER) -> Check:
    def check(value: Json) -> Json:
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise wrong(f"must be a whole number, {least} to {most}", value)
        if not least <= value <= most:
            raise wrong(f"must be {least} to {most}", value)
        return value

    return check


def number(least: float = -math.inf, most: float = math.inf) -> Check:
    """A finite number within the limits; a whole one becomes an ``int``."""

    def check(value: Json) -> Json:
        value = finite(value)
        if not least <= value <= most:
            raise wrong(_limits(least, most), value)
        return value

    return check


def finite(value: Json) -> int | float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise wrong("must be a number", value)
    if isinstance(value, int):
        if abs(value) > LARGEST_INTEGER:
            raise wrong(f"must be between -{LARGEST_INTEGER} and {LARGEST_INTEGER}", str(value))
        return value
    if not math.isfinite(value):
        raise wrong("must be a finite number", str(value))
    if value.is_integer() and abs(value) <= LARGEST_INTEGER:
        return int(value)
    return value


def _limits(least: float, most: float) -> str:
    if most == math.inf:
        return f"must be at least {least:g}"
    return f"must be {least:g} to {most:g}"


def optional(check: Check) -> Check:
    return lambda value: None if value is None else check(value)


def list_of(check: Check, most: int) -> Check:
    """A list of at most ``most`` values of one kind."""

    def check_all(value: Json) -> Json:
        if not isinstance(value, list):
            raise wrong("must be a list", value)
        if len(value) > most:
            raise wrong(f"has {len(value)} entries; at most {most} are allowed", None)
        return [check(entry) for entry in value]

    return check_all


def index_range(value: Json) -> Json:
    """A NumericRange (Part 4, 7.27): ``1``, ``0:9`` or, by dimension, ``0:1,2``."""
    if not isinstance(value, str) or (value and not _INDEX_RANGE.fullmatch(value)):
        raise wrong("must be an index range such as 3, 0:9 or 0:1,2:3", value)
    for bounds in value.split(","):
        low, colon, high = bounds.partition(":")
        if colon and int(low) >= int(high):
            raise wrong("must have its lower bound before its higher one, such as 0:9", value)
    return value


def node_id(value: Json) -> Json:
    """A NodeId in text form, brought to its one spelling; see `pipes.core.node_ids`."""
    if not isinstance(value, str):
        raise wrong("must be text", value)
    if _PLAIN_NODE_ID.fullmatch(value):
        return value
    if len(value) > LONGEST_NODE_ID or _CONTROL.search(value):
        raise wrong("is too long or contains control characters", _printable(value))
    try:
        parsed = node_ids.parse(value)
    except node_ids.NodeIdError as error:
        raise wrong(f"must be a NodeId: {error}", value) from None
    if parsed.namespace == OPC_UA_NAMESPACE:
        parsed = replace(parsed, namespace=0)
    if parsed == NULL_NODE_ID:
        raise wrong("is the null NodeId, which names no node", value)
    return node_ids.format_parsed(parsed)


def _printable(value: str) -> str:
    return value.encode("unicode_escape", "replace").decode("ascii")
