"""Failed writes of a pipe's items as events of the chronicle, each item by name, never a flood."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Protocol

from pipes.core.incidents import Budget, Incident, Incidents, Trouble, in_words
from pipes.core.json_values import value_text
from pipes.core.reasons import Reason
from pipes.core.splice import tail_status
from pipes.core.status_codes import name_of
from pipes.core.wanted import Item, Pipe
from redundancy.core.events import EventKind, Severity
from redundancy.signals import emit

_REASONS: Final = {
    Trouble.REFUSED: Reason.WRITE_REFUSED,
    Trouble.UNKNOWN: Reason.WRITE_UNKNOWN,
    Trouble.MISMATCH: Reason.WRITE_MISMATCH,
}


class Source(Protocol):
    """A flow, as far as its incidents need it."""

    @property
    def incidents(self) -> Incidents: ...

    @property
    def items(self) -> Mapping[int, Item]: ...

    @property
    def target_name(self) -> str: ...

    def written_node(self, item: Item) -> str: ...


class WriteEvents:
    """The events of one pipe; both of its flows share the budget."""

    def __init__(self) -> None:
        self._budget = Budget()

    def report(self, pipe: Pipe, flows: Iterable[Source], now: float) -> None:
        """Tell what has failed since the last call."""
        for flow in flows:
            incidents, others = flow.incidents.take()
            for incident in incidents:
                if self._budget.allows(now):
                    _tell(pipe, flow, incident)
                else:
                    self._budget.leave_out({incident.trouble: 1}, now)
            self._budget.leave_out(others, now)
        summary = self._budget.summary(now)
        if summary:
            reason = Reason.WRITES_FAILED
            blanks = {"count": summary.total(), "what": in_words(summary)}
            sentence = reason.sentence(pipe=pipe.name, **blanks)
            emit(EventKind.PIPE, reason.name, Severity.HIGH, pipe.name, sentence)


def _tell(pipe: Pipe, flow: Source, incident: Incident) -> None:
    item = flow.items.get(incident.handle)
    blanks = {
        "item": incident.handle,
        "node": "a node that is not mapped any more" if item is None else flow.written_node(item),
        "server": flow.target_name,
        "value": value_text(incident.value),
        "why": incident.why,
    }
    if incident.found:
        blanks["found"] = value_text(incident.found)
    reason = _REASONS[incident.trouble]
    emit(
        EventKind.ITEM,
        reason.name,
        Severity.HIGH,
        str(incident.handle),
        reason.sentence(pipe=pipe.name, **blanks),
        pipe=pipe.name,
        status=name_of(incident.status) if incident.status else None,
        value_status=name_of(tail_status(incident.value)),
    )
