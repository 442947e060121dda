"""What the pipe hosts say right now about servers, pipes and items, asked over their sockets.

Each host knows the pipes that it has claimed; the answers are put together here. A host that does
not answer in time is left out: configuration is answered without it, with a reason in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

from django.conf import settings

from pipes.core.choices import ItemState, PipeState, ServerState
from redundancy.command import CommandError, CommandUnavailable, call

HOST_SECONDS: Final = 0.5
NOBODY: Final = "no pipe worker answers"
NOT_TAKEN: Final = "no pipe worker has taken it over yet"
UNUSED: Final = "no pipe that runs uses this server"

#: A server can be used by several hosts, each with a connection of its own; the state that needs a
#: person most is shown.
_SERVER_ORDER: Final = (
    ServerState.REJECTED,
    ServerState.QUARANTINED,
    ServerState.DISCONNECTED,
    ServerState.CONNECTING,
    ServerState.CONNECTED,
    ServerState.DISABLED,
)
#: What belongs to the state that is shown.
_OF_THE_STATE: Final = frozenset({"state", "reason", "since"})
Status = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Live:
    """The hosts' answers, put together; ``hosts`` is how many of them answered."""

    hosts: int = 0
    servers: Mapping[str, Status] = field(default_factory=dict)
    pipes: Mapping[str, Status] = field(default_factory=dict)

    def server(self, name: str, *, enabled: bool) -> Status:
        """The contract's ``status`` of a server."""
        found = self.servers.get(name)
        if found is not None:
            return found
        if not enabled:
            return _server_status(ServerState.DISABLED, "")
        return _server_status(ServerState.DISCONNECTED, UNUSED if self.hosts else NOBODY)

    def pipe(self, name: str, *, enabled: bool, items: int) -> Status:
        """The contract's ``status`` of a pipe that has ``items`` items."""
        found = self.pipes.get(name)
        if found is not None:
            return found
        if not enabled:
            return _pipe_status(PipeState.DISABLED, "", items)
        return _pipe_status(PipeState.WAITING, NOT_TAKEN if self.hosts else NOBODY, items)


@dataclass(frozen=True, slots=True)
class LiveItems:
    """The hosts' answers about some items."""

    hosts: int = 0
    items: Mapping[str, Status] = field(default_factory=dict)

    def item(self, number: int, *, enabled: bool) -> Status:
        """The contract's ``status`` of an item; ``enabled`` is its own and its pipe's."""
        found = self.items.get(str(number))
        if found is not None:
            return found
        if not enabled:
            return _item_status(ItemState.DISABLED, "")
        return _item_status(ItemState.WAITING, NOT_TAKEN if self.hosts else NOBODY)


def ask_about_pipes() -> Live:
    """Servers and pipes of every host that answers within half a second."""
    answers = _ask_all("status", {})
    servers: dict[str, Status] = {}
    pipes: dict[str, Status] = {}
    for answer in answers:
        pipes.update(answer.get("pipes", {}))
        for name, status in answer.get("servers", {}).items():
            servers[name] = _merged(servers.get(name), status)
    return Live(len(answers), servers, pipes)


def ask_about_items(numbers: Sequence[int]) -> LiveItems:
    """Some items; only those that are asked for travel."""
    if not numbers:
        return LiveItems()
    answers = _ask_all("items", {"ids": list(numbers)})
    items: dict[str, Status] = {}
    for answer in answers:
        items.update(answer)
    return LiveItems(len(answers), items)


def hosts_answer() -> bool:
    """Whether at least one pipe worker of this station is there."""
    return bool(_ask_all("items", {"ids": []}))


def poke(revision: int) -> bool:
    """Ask the supervisor to make every host look again; False if it does not answer."""
    try:
        call(
            settings.STATION.supervisor_socket,
            "configuration_changed",
            {"revision": revision},
            timeout=HOST_SECONDS,
        )
    except (CommandUnavailable, CommandError):
        return False
    return True


def _ask_all(method: str, params: Mapping[str, Any]) -> list[dict[str, Any]]:
    everybody = range(1, settings.STATION.pipe_workers + 1)
    answers = ask_each(method, dict.fromkeys(everybody, params))
    return [answer for answer in answers.values() if answer is not None]


def ask_each(
    method: str, questions: Mapping[int, Mapping[str, Any]]
) -> dict[int, dict[str, Any] | None]:
    """Ask pipe workers by their number, each its own; None for one that does not answer."""
    station = settings.STATION

    def ask(index: int) -> dict[str, Any] | None:
        path = station.host_socket(index)
        try:
            answer = call(path, method, questions[index], timeout=HOST_SECONDS)
        except (CommandUnavailable, CommandError):
            return None
        return answer if isinstance(answer, dict) else None

    present = [index for index in questions if station.host_socket(index).exists()]
    answers = dict(zip(present, _in_parallel(ask, present), strict=True))
    return {index: answers.get(index) for index in questions}


def _in_parallel(ask: Callable[[Any], Any], paths: Sequence[Any]) -> list[Any]:
    if len(paths) < 2:
        return [ask(path) for path in paths]
    with ThreadPoolExecutor(len(paths), thread_name_prefix="ask-host") as pool:
        return list(pool.map(ask, paths))


def _merged(one: Status | None, other: Status) -> Status:
    """Two hosts' words about one server: the worse state, and what either of them knows."""
    if one is None:
        return other
    shown, hidden = sorted((one, other), key=_urgency)
    return {name: _field(name, shown.get(name), hidden.get(name)) for name in {**shown, **hidden}}


def _urgency(status: Status) -> int:
    return _SERVER_ORDER.index(ServerState(status["state"]))


def _field(name: str, shown: Any, hidden: Any) -> Any:
    if name in _OF_THE_STATE:
        return shown
    if shown is None or hidden is None or "" in (shown, hidden):
        return hidden if shown in (None, "") else shown
    merge = _MERGES.get(name)
    return shown if merge is None else merge(shown, hidden)


#: How two values become one; of any other field the value beside the state stands. What one host
#: saw refused is refused; ``connects`` counts the sessions of both.
_MERGES: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "writes_status": lambda one, other: one and other,
    "writes_timestamps": lambda one, other: one and other,
    "single_point_of_failure": lambda one, other: one or other,
    "connects": lambda one, other: one + other,
    "clock_offset_ms": lambda one, other: max(one, other, key=abs),
}


def _server_status(state: ServerState, reason: str) -> Status:
    return {
        "state": str(state),
        "reason": reason,
        "since": None,
        "session_ms": None,
        "service_level": None,
        "limits": None,
        "writes_status": None,
        "writes_timestamps": None,
        "single_point_of_failure": False,
        "last_error": None,
    }


def _pipe_status(state: PipeState, reason: str, items: int) -> Status:
    return {
        "state": str(state),
        "reason": reason,
        "items": items,
        "good": 0,
        "rate": 0.0,
        "writes": 0,
        "errors": 0,
        "latency_ms": {"p50": None, "p99": None},
        "conflated": 0,
        "queued": 0,
    }


def _item_status(state: ItemState, reason: str) -> Status:
    return {
        "state": str(state),
        "reason": reason,
        "source": None,
        "written": None,
        "verified": None,
        "last_error": None,
        "writes": 0,
        "errors": 0,
        "age_ms": None,
    }
