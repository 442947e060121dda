"""Findings about settings: what has no effect, is unsafe, or is unusually much."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from pipes.core.choices import DeadbandType, ItemKind, Overflow, Quality, Trigger
from pipes.core.configuration import Configuration
from pipes.core.fields import Body
from pipes.core.findings import Finding, Severity, listed

NO_SECURITY: Final = "no_security"
SERVER_DISABLED: Final = "server_disabled"
CONTRADICTION: Final = "contradiction"
MANY: Final = "many"

#: What one station is made and measured for; more is warned of, never refused.
MOST_SERVERS: Final = 50
MOST_ITEMS: Final = 30_000

#: Fields that an item has only if it asks for something beside the plain copy.
_SPECIAL: Final = frozenset(
    {"kind", "trigger", "deadband", "substitute", "quality", "minimum_interval_ms"}
)


def settings_findings(configuration: Configuration) -> Iterator[Finding]:
    yield from _many(configuration)
    yield from _without_security(configuration)
    yield from _disabled_servers(configuration)
    yield from _contradictions(configuration)


def _warning(rule: str, message: str, items: tuple[int, ...] = ()) -> Finding:
    return Finding(Severity.WARNING, rule, message, items)


def _many(configuration: Configuration) -> Iterator[Finding]:
    for what, count, most in (
        ("servers", len(configuration.servers), MOST_SERVERS),
        ("items", len(configuration.items), MOST_ITEMS),
    ):
        if count > most:
            yield _warning(MANY, f"there are {count} {what}; a station is measured with {most}")


def _without_security(configuration: Configuration) -> Iterator[Finding]:
    names = [
        name
        for name, body in sorted(configuration.servers.items())
        if body.get("security_policy") == "None"
    ]
    if names:
        message = (
            f"values of {listed(names)} go over the network readable and open to change:"
            " security_policy is None"
        )
        yield _warning(NO_SECURITY, message)


def _disabled_servers(configuration: Configuration) -> Iterator[Finding]:
    for name, pipe in sorted(configuration.pipes.items()):
        if pipe.get("enabled", True) is False:
            continue
        disabled = [
            str(pipe[end])
            for end in ("source", "target")
            if not configuration.servers.get(str(pipe[end]), {}).get("enabled", True)
        ]
        if disabled:
            off = " and ".join(f"{server} is disabled" for server in sorted(set(disabled)))
            yield _warning(SERVER_DISABLED, f"pipe {name} moves nothing: {off}")


def _contradictions(configuration: Configuration) -> Iterator[Finding]:
    """One finding for each contradiction, with all the items that have it."""
    found: dict[str, list[int]] = {}
    kinds = {name: _usual_kind(pipe) for name, pipe in configuration.pipes.items()}
    qualities = {
        name: pipe.get("quality", Quality.PROPAGATE) for name, pipe in configuration.pipes.items()
    }
    for number, body in configuration.items.items():
        if _SPECIAL.isdisjoint(body) or body.get("enabled", True) is False:
            continue
        pipe = str(body["pipe"])  # of a draft it may be one that is refused
        kind = str(body.get("kind", kinds.get(pipe, ItemKind.STATE)))
        quality = str(body.get("quality", qualities.get(pipe, Quality.PROPAGATE)))
        for sentence, holds in _CONTRADICTIONS.items():
            if holds(body, kind, quality):
                found.setdefault(sentence, []).append(number)
    for sentence, items in found.items():
        yield _warning(CONTRADICTION, sentence, tuple(items))


def _usual_kind(pipe: Body) -> str:
    return ItemKind.QUEUE if pipe.get("overflow") == Overflow.QUEUE else ItemKind.STATE


def _deadband(body: Body) -> str:
    deadband = body.get("deadband")
    return str(deadband.get("type")) if isinstance(deadband, dict) else DeadbandType.NONE


def _is_filtered(body: Body) -> bool:
    return _deadband(body) != DeadbandType.NONE or bool(body.get("minimum_interval_ms"))


_Holds = Callable[[Body, str, str], bool]
_CONTRADICTIONS: Final[Mapping[str, _Holds]] = {
    "kind queue carries every sample, but deadband or minimum_interval_ms leaves some out": (
        lambda body, kind, _: kind == ItemKind.QUEUE and _is_filtered(body)
    ),
    "kind event carries every occurrence, but deadband or minimum_interval_ms leaves some out": (
        lambda body, kind, _: kind == ItemKind.EVENT and _is_filtered(body)
    ),
    "kind event is written at most once, but direction both writes it back and forth": (
        lambda body, kind, _: kind == ItemKind.EVENT and body.get("direction") == "both"
    ),
    "trigger status reports no change of the value, so that the deadband has no effect": (
        lambda body, _, __: (
            body.get("trigger") == Trigger.STATUS and _deadband(body) != DeadbandType.NONE
        )
    ),
    "trigger status reports a change of the status only: values that change are not carried": (
        lambda body, kind, _: body.get("trigger") == Trigger.STATUS and kind != ItemKind.STATE
    ),
    "substitute has no effect: the quality of the item is not substitute": (
        lambda body, _, quality: "substitute" in body and quality != Quality.SUBSTITUTE
    ),
}
