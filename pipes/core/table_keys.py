"""How a value is spelled in the table of a lookup, and which value a key stands for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, cast

from pipes.core.elements import DECIMAL, INTEGER, float_text
from pipes.core.values import Scalar, Variant, VariantType, shortest_float

#: A Boolean is found by its number, too.
NUMBER_OF_BOOLEAN: Final = {"true": "1", "false": "0"}


def key_of(value: Scalar) -> str:
    """How a value is written on the left of a table: 1 for 1.0, true and false for Boolean."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else float_text(value)
    return str(value)


def value_key(key: str) -> str:
    """The key that a number or Boolean has which is written so: 1 for 1.0, true for True."""
    text = key.strip()
    if INTEGER.fullmatch(text):
        return str(int(text))
    if DECIMAL.fullmatch(text):
        return key_of(float(text))
    return text.lower() if text.lower() in NUMBER_OF_BOOLEAN else key


def variants_of(keys: Iterable[str]) -> dict[str, Variant]:
    """The keys as the values that the inverse gives, all of one type.

    A text converts to every type that it is a value of, but 1.0 is none of Int32: where all keys
    are such, they are numbers. To a text they become what they were.
    """
    keys = tuple(keys)
    if all(map(_is_whole_double, keys)):
        return {key: Variant(VariantType.DOUBLE, float(key)) for key in keys}
    return {key: Variant(VariantType.STRING, key) for key in keys}


def _is_whole_double(key: str) -> bool:
    if INTEGER.fullmatch(key) or not DECIMAL.fullmatch(key):
        return False
    number = float(key)
    return number.is_integer() and float_text(number) == key


def with_shortest_floats(variant: Variant) -> Variant:
    """A Float with the digits of its own text: 0.1 and not 0.10000000149011612."""
    value = variant.value
    if variant.type is not VariantType.FLOAT or value is None:
        return variant
    if isinstance(value, tuple):
        floats = cast("tuple[float, ...]", value)
        return Variant(variant.type, tuple(map(shortest_float, floats)), variant.dimensions)
    return Variant(variant.type, shortest_float(cast("float", value)))
