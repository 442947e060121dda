"""Findings about settings: what has no effect, is unsafe, or is unusually much."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from pipes.core.choices import DeadbandType, ItemKind, Overflow, Quality, Trigger
from pipes.core.configuration import Configuration
from pipes.core.fields import Body, kind_on
from pipes.core.findings import Finding, Severity, listed

NO_SECURITY: Final = "no_security"
SERVER_DISABLED: Final = "server_disabled"
CONTRADICTION: Final = "contradiction"
MANY: Final = "many"

#: A queue of this length has no room for a second sample.
SHORTEST_QUEUE: Final = 1
#: What one station is made and measured for; more is warned of, never refused.
MOST_SERVERS: Final = 50
MOST_ITEMS: Final = 30_000

#: Fields of which an item has at least one, if its settings can contradict each other.
_SPECIAL: Final = frozenset(
    {"kind", "trigger", "deadband", "substitute", "quality", "minimum_interval_ms"}
)


def settings_findings(configuration: Configuration) -> Iterator[Finding]:
    yield from _many(configuration)
    yield from _without_security(configuration)
    yield from _disabled_servers(configuration)
    yield from _short_queues(configuration)
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


def _short_queues(configuration: Configuration) -> Iterator[Finding]:
    names = [
        name
        for name, pipe in sorted(configuration.pipes.items())
        if pipe.get("overflow") == Overflow.QUEUE and pipe.get("queue_limit") == SHORTEST_QUEUE
    ]
    if names:
        message = (
            f"overflow of {listed(names)} is queue, but with queue_limit 1 the newest sample takes"
            " the place of one that waits, as with overflow latest"
        )
        yield _warning(CONTRADICTION, message)


@dataclass(frozen=True, slots=True)
class _Setting:
    """An item with what it has of its pipe; ``policies`` are those that may come to apply."""

    body: Body
    kind: str
    policies: frozenset[str]
    queue_limit: object

    @property
    def deadband(self) -> str:
        deadband = self.body.get("deadband")
        return str(deadband.get("type")) if isinstance(deadband, dict) else DeadbandType.NONE


def _contradictions(configuration: Configuration) -> Iterator[Finding]:
    """One finding for each contradiction, with all the items that have it."""
    found: dict[str, list[int]] = {}
    pipes = configuration.pipes
    policies = {name: _policies(pipe) for name, pipe in pipes.items()}
    substituting = {name for name, each in policies.items() if Quality.SUBSTITUTE in each}
    for number, body in configuration.items.items():
        name = body["pipe"]  # of a draft it may be one that is refused
        if _SPECIAL.isdisjoint(body) and name not in substituting:
            continue
        pipe = pipes.get(str(name), {})
        if body.get("enabled", True) is False:
            continue
        own = body.get("quality")
        setting = _Setting(
            body,
            kind_on(body, pipe),
            frozenset((str(own),)) if own else policies.get(str(name), _NO_POLICY),
            pipe.get("queue_limit"),
        )
        for sentence, holds in _CONTRADICTIONS.items():
            if holds(setting):
                found.setdefault(sentence, []).append(number)
    for sentence, items in found.items():
        yield _warning(CONTRADICTION, sentence, tuple(items))


_NO_POLICY: Final[frozenset[str]] = frozenset()


def _policies(pipe: Body) -> frozenset[str]:
    """The policy of a pipe, and what its table says for single statuses."""
    table = pipe.get("quality_table")
    rows = table.values() if isinstance(table, dict) else ()
    return frozenset((str(pipe.get("quality", Quality.PROPAGATE)), *map(str, rows)))


_Holds = Callable[[_Setting], bool]
_CONTRADICTIONS: Final[Mapping[str, _Holds]] = {
    "kind queue carries every sample, but the deadband leaves some out": (
        lambda item: item.kind == ItemKind.QUEUE and item.deadband != DeadbandType.NONE
    ),
    "kind event carries every occurrence, but the deadband leaves some out": (
        lambda item: item.kind == ItemKind.EVENT and item.deadband != DeadbandType.NONE
    ),
    "minimum_interval_ms has no effect: samples of a queue and events are all written": (
        lambda item: item.kind != ItemKind.STATE and bool(item.body.get("minimum_interval_ms"))
    ),
    "kind queue with queue_limit 1 of the pipe: the newest sample takes the place of one that"
    " waits, as with kind state": (
        lambda item: item.body.get("kind") == ItemKind.QUEUE and item.queue_limit == SHORTEST_QUEUE
    ),
    "trigger status reports no change of the value, so that the deadband has no effect": (
        lambda item: (
            item.body.get("trigger") == Trigger.STATUS and item.deadband != DeadbandType.NONE
        )
    ),
    "trigger status reports a change of the status only: values that change are not carried": (
        lambda item: item.body.get("trigger") == Trigger.STATUS and item.kind != ItemKind.STATE
    ),
    "substitute has no effect: neither the item nor its pipe has the quality substitute": (
        lambda item: "substitute" in item.body and Quality.SUBSTITUTE not in item.policies
    ),
    "quality substitute has no value to write: the item has no substitute, and its target keeps"
    " the last value": (
        lambda item: (
            "substitute" not in item.body
            and Quality.SUBSTITUTE in item.policies
            and item.kind != ItemKind.EVENT
        )
    ),
}
