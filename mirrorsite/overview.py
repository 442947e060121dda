"""The content of the overview page, in the words and symbols of the design.

The first answer is rendered here; from then on ``static/js/overview.js`` asks REST for the same and
shows it in the same form.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from django.conf import settings

from pipes import selectors
from pipes.core.choices import ItemState, PipeState
from pipes.models import Item
from redundancy.command import CommandError, CommandUnavailable, call

ITEM_LIMIT: Final = 50
PIPE_LIMIT: Final = 50
_LONGEST: Final = 40
#: Symbol of the sprite and its word, by state. Good has none; a hollow symbol is a consequence.
Symbol = tuple[str, str]
_NONE: Final[Symbol] = ("", "")
PIPE_SYMBOLS: Final[Mapping[PipeState, Symbol]] = {
    PipeState.RUNNING: _NONE,
    PipeState.STANDBY: _NONE,
    PipeState.DISABLED: ("s-check", "Function check"),
    PipeState.WAITING: ("s-fail-below", "Failed below"),
    PipeState.FAULTED: ("s-fail", "Failed"),
}
ITEM_SYMBOLS: Final[Mapping[ItemState, Symbol]] = {
    ItemState.GOOD: _NONE,
    ItemState.DISABLED: ("s-check", "Function check"),
    ItemState.WAITING: ("s-fail-below", "Failed below"),
    ItemState.UNCERTAIN: ("s-spec", "Out of specification"),
    ItemState.BAD: ("s-fail", "Failed"),
    ItemState.STALE: ("s-fail", "Failed"),
    ItemState.ERROR: ("s-fail", "Failed"),
}


def content() -> dict[str, Any]:
    """What the template shows."""
    pipes = selectors.pipes()
    items = selectors.items(Item.objects.order_by("pk")[:ITEM_LIMIT])
    return {
        "station_state": _station_state(),
        "pipe_count": len(pipes),
        "item_count": Item.objects.count(),
        "pipe_rows": [_pipe_row(body) for body in pipes[:PIPE_LIMIT]],
        "item_rows": [_item_row(body) for body in items],
        "item_limit": ITEM_LIMIT,
        "pipe_states": json.dumps(PIPE_SYMBOLS),
        "item_states": json.dumps(ITEM_SYMBOLS),
    }


def value_text(value: Any) -> str:
    """A value as a cell shows it: six significant figures, a real minus sign, no long texts."""
    if value is None:
        return "–"
    if isinstance(value, int | float) and not isinstance(value, bool):
        text = str(value) if isinstance(value, int) else f"{value:.6g}"
        return text.replace("-", "−")
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    return f"{text[: _LONGEST - 1]}…" if len(text) > _LONGEST else text


def age_text(milliseconds: float | None) -> str:
    """An age in words of one or two parts; a source whose clock runs ahead is said so."""
    if milliseconds is None:
        return "never"
    seconds = abs(milliseconds) / 1000
    if seconds < 10:
        text = f"{seconds:.1f} s"
    elif seconds < 60:
        text = f"{int(seconds)} s"
    elif seconds < 3600:
        text = f"{int(seconds // 60)} min"
    elif seconds < 86400:
        text = f"{int(seconds // 3600)} h {int(seconds % 3600 // 60)} min"
    else:
        text = f"{int(seconds // 86400)} days"
    return f"{text} ahead" if milliseconds < 0 else text


def _station_state() -> str:
    """The station's state as its supervisor says it; nothing if that does not answer."""
    try:
        answer = call(settings.STATION.supervisor_socket, "status", timeout=0.5)
    except (CommandUnavailable, CommandError):
        return "not known"
    return str(answer.get("state", "not known"))


def _pipe_row(body: Mapping[str, Any]) -> dict[str, Any]:
    status = body["status"]
    symbol, word = PIPE_SYMBOLS[PipeState(status["state"])]
    reason = f": {status['reason']}" if status["reason"] else ""
    latency = (status.get("latency_ms") or {}).get("p99")
    counts = [f"{status[name]:,.0f}" for name in ("items", "good", "rate", "writes", "errors")]
    return {
        "name": body["name"],
        "symbol": symbol,
        "word": word,
        "state": f"{status['state']}{reason}",
        "texts": [body["source"], body["target"]],
        "figures": [*counts, value_text(latency)],
    }


def _item_row(body: Mapping[str, Any]) -> dict[str, Any]:
    status = body["status"]
    symbol, word = ITEM_SYMBOLS[ItemState(status["state"])]
    return {
        "id": body["id"],
        "symbol": symbol,
        "word": word,
        "source": body["source_node"],
        "texts": [body["direction"], body["target_node"], body["pipe"]],
        "figures": [
            value_text((status["source"] or {}).get("value")),
            value_text((status["written"] or {}).get("value")),
            age_text(status["age_ms"]),
            f"{status['writes']:,}",
            f"{status['errors']:,}",
        ],
    }
