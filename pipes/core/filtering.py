"""Which changes count: DataChangeTrigger and deadband by our own hand (Part 4, 7.22.2).

Used where the server cannot do it, and alike on both lanes, so that a value is passed on for the
same reason whichever server it comes from.
"""

from __future__ import annotations

from math import isnan

from pipes.core.choices import Trigger
from pipes.core.values import FLOAT_TYPES, INTEGER_RANGES, DataValue, Variant

_DEADBAND_TYPES = frozenset(INTEGER_RANGES) | FLOAT_TYPES


def passes(
    previous: DataValue | None, current: DataValue, trigger: Trigger, deadband: float = 0.0
) -> bool:
    """Whether ``current`` is to be passed on after ``previous``, the last one that was.

    ``deadband`` is absolute, in the units of the value; 0 is none. It holds for numbers, in an
    array for each element: one element beyond it passes the whole array. With a deadband the
    trigger ``status_value_timestamp`` acts as ``status_value``, as Part 4 says. A change of the
    StatusCode and the first value always pass.
    """
    if previous is None or previous.status != current.status:
        return True
    if trigger is Trigger.STATUS:
        return False
    if _is_changed(previous.variant, current.variant, deadband):
        return True
    return (
        trigger is Trigger.STATUS_VALUE_TIMESTAMP
        and deadband <= 0
        and previous.source_timestamp != current.source_timestamp
    )


def _is_changed(previous: Variant | None, current: Variant | None, deadband: float) -> bool:
    if previous is None or current is None:
        return previous is not current
    if previous.type is not current.type or previous.dimensions != current.dimensions:
        return True
    old, new = previous.value, current.value
    if not isinstance(old, tuple) or not isinstance(new, tuple):
        return _element_changed(old, new, deadband if previous.type in _DEADBAND_TYPES else 0)
    if len(old) != len(new):
        return True
    width = deadband if previous.type in _DEADBAND_TYPES else 0
    return any(_element_changed(a, b, width) for a, b in zip(old, new, strict=True))


def _element_changed(old: object, new: object, deadband: float) -> bool:
    """NaN equals NaN, and any number is a change from or to NaN or an infinity."""
    if old == new:
        return False
    if not isinstance(old, int | float) or not isinstance(new, int | float):
        return True
    old_is_nan, new_is_nan = isnan(old), isnan(new)
    if old_is_nan or new_is_nan:
        return old_is_nan != new_is_nan
    return abs(new - old) > deadband
