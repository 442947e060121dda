"""Conditional transfer: an item goes only while a node of the source has a certain value.

Items with the same node share one monitored item, whatever value each of them asks for. A condition
is met, not met, or not known: before its first value, while that is not Good, and while the node
cannot be watched. Only when it is met anything is written. A lost session changes nothing, because
what the source said last is all there is to go by; the first look of a new session does.

When is a value equal? Numbers and Boolean by their number (true is 1), a Float by its own precision
and NaN never; a text by its characters, and against a number or a Boolean by what it reads as;
other types by the text they convert from, a StatusCode by its name. An array is equal if it has an
element and each one is. A null text is an empty one.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from pipes.core.binary import DecodeError, decode_data_value
from pipes.core.conversion import Converted, convert
from pipes.core.json_values import value_text
from pipes.core.status_codes import UnknownStatusNameError, code_of, name_of
from pipes.core.values import (
    NULL,
    LocalizedText,
    Scalar,
    Variant,
    VariantType,
    as_float,
    is_good,
)
from pipes.core.wanted import Item, Json

#: Handles of condition nodes begin here; those of items are smaller.
FIRST_HANDLE: Final = 1 << 30

_TEXTS: Final = frozenset({VariantType.STRING, VariantType.XML_ELEMENT, VariantType.LOCALIZED_TEXT})


def is_equal(variant: Variant, wanted: Json) -> bool:
    """Whether a value of a node is the configured one."""
    if not variant.is_array:
        return _same(variant.type, variant.value, wanted)  # type: ignore[arg-type]  # no array
    value = variant.value
    if not isinstance(value, tuple) or not value:
        return False
    return all(_same(variant.type, element, wanted) for element in value)


def _same(kind: VariantType, value: Scalar, wanted: Json) -> bool:
    if kind in _TEXTS:
        text = value.text if isinstance(value, LocalizedText) else value
        return _text_is("" if text is None else str(text), wanted)
    if isinstance(wanted, str):
        return _reads_as(kind, value, wanted)
    if not isinstance(value, int | float) or not isinstance(wanted, int | float):
        return False
    return value == wanted or (kind is VariantType.FLOAT and value == _single(wanted))


def _single(number: float) -> float | None:
    try:
        return as_float(number)
    except OverflowError:
        return None


def _text_is(text: str, wanted: Json) -> bool:
    if isinstance(wanted, str):
        return text == wanted
    kind = VariantType.BOOLEAN if isinstance(wanted, bool) else VariantType.DOUBLE
    read = convert(Variant(VariantType.STRING, text), kind)
    return isinstance(read, Converted) and read.variant.value == wanted


def _reads_as(kind: VariantType, value: Scalar, wanted: str) -> bool:
    if kind is VariantType.STATUS_CODE:
        try:
            return value == code_of(wanted)
        except UnknownStatusNameError:
            return False
    read = convert(Variant(VariantType.STRING, wanted), kind)
    return isinstance(read, Converted) and read.variant.value == value


def why_not_met(node: str, value: bytes, wanted: Json) -> str:
    """Why the encoded value of ``node`` does not let an item go; empty if it does."""
    try:
        found = decode_data_value(value)
    except DecodeError as error:
        return f"the condition is not known: {node} has a value that cannot be decoded: {error}"
    if not is_good(found.status):
        return f"the condition is not known: {node} is {name_of(found.status)}"
    if is_equal(found.variant or NULL, wanted):
        return ""
    shown = json.dumps(wanted, ensure_ascii=False)
    return f"the condition is not met: {node} is {value_text(value)}, not {shown}"


@dataclass(slots=True)
class _Group:
    """The items that ask for the same value of the same node, and why they do not go."""

    node: str
    wanted: Json
    why: str
    items: set[int]


@dataclass(frozen=True, slots=True)
class Edges:
    """What a change of conditions does to items."""

    opened: frozenset[int] = frozenset()
    closed: frozenset[int] = frozenset()


NO_EDGES: Final = Edges()


class ConditionTable:
    """The conditions of one direction of a pipe. Every node has one handle."""

    def __init__(self) -> None:
        self._handles: dict[str, int] = {}
        self._groups: dict[int, list[_Group]] = {}
        self._group_of: dict[int, _Group] = {}
        self._values: dict[int, bytes] = {}
        self._next_handle = FIRST_HANDLE

    @property
    def handles(self) -> Collection[int]:
        """Those of the nodes."""
        return self._groups.keys()

    def add(self, item: Item) -> tuple[int, str] | None:
        """Take in an item that has a condition; returns handle and node if the node is new."""
        condition = item.condition or {}
        node, wanted = str(condition["node"]), condition["equals"]
        handle = self._handles.get(node)
        new = None
        if handle is None:
            handle = self._handles[node] = self._next_handle
            self._next_handle += 1
            self._groups[handle] = []
            new = handle, node
        group = self._group(handle, node, wanted)
        group.items.add(item.id)
        self._group_of[item.id] = group
        return new

    def _group(self, handle: int, node: str, wanted: Json) -> _Group:
        for group in self._groups[handle]:
            if (type(group.wanted), group.wanted) == (type(wanted), wanted):
                return group
        value = self._values.get(handle)
        why = _no_value(node) if value is None else why_not_met(node, value, wanted)
        group = _Group(node, wanted, why, set())
        self._groups[handle].append(group)
        return group

    def remove(self, items: Iterable[int]) -> list[int]:
        """Take items out; returns the handles of the nodes that nobody asks for any more."""
        for item in items:
            group = self._group_of.pop(item, None)
            if group is not None:
                group.items.discard(item)
        over: list[int] = []
        for handle, groups in list(self._groups.items()):
            groups[:] = [group for group in groups if group.items]
            if not groups:
                over.append(handle)
                del self._groups[handle]
                self._values.pop(handle, None)
        self._handles = {node: h for node, h in self._handles.items() if h in self._groups}
        return over

    def why_closed(self, item: int) -> str:
        """Why an item must not go; empty if it may, or has no condition."""
        group = self._group_of.get(item)
        return "" if group is None else group.why

    def values(self, values: Mapping[int, bytes]) -> Edges:
        """The nodes of these handles have these values."""
        opened: set[int] = set()
        closed: set[int] = set()
        for handle, value in values.items():
            self._values[handle] = value
            for group in self._groups.get(handle, ()):
                _change(group, why_not_met(group.node, value, group.wanted), opened, closed)
        return Edges(frozenset(opened), frozenset(closed))

    def unknown(self, handle: int, why: str = "") -> Edges:
        """Nothing is known of a node until its next value; ``why`` if it cannot be watched."""
        self._values.pop(handle, None)
        opened: set[int] = set()
        closed: set[int] = set()
        for group in self._groups.get(handle, ()):
            reason = f"the condition is not known: {why}" if why else _no_value(group.node)
            _change(group, reason, opened, closed)
        return Edges(closed=frozenset(closed))


def _change(group: _Group, why: str, opened: set[int], closed: set[int]) -> None:
    was_open, group.why = not group.why, why
    if was_open and why:
        closed |= group.items
    elif not was_open and not why:
        opened |= group.items


def _no_value(node: str) -> str:
    return f"the condition is not known: {node} has not reported a value yet"
