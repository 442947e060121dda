"""What a pipe host answers about its ledgers: a page of writes, decoded only now.

An answer says in ``at`` how many matching writes there are at each instant, newest first, as far
as the page reaches: from that the web process works out what of several hosts makes one page.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from pipes.core.binary import DecodeError, decode_data_value
from pipes.core.json_values import data_value_to_json
from pipes.core.ledger import Entry, Outcome, Query, find
from pipes.core.retries import advise
from pipes.core.status_codes import name_of
from pipes.flow import Flow
from pipes.runner import PipeRunner
from redundancy.command import CommandError

Body = dict[str, Any]

MOST_AT_ONCE: Final = 1_000


def answer(runners: Iterable[PipeRunner], params: Mapping[str, Any]) -> Body:
    """Answer ``{pipe, items, outcome, verified, until_ns, skip, limit}``; each may be left out.

    Raises:
        CommandError: a parameter is not what it should be.
    """
    query, skip, limit = _asked(params)
    wanted = params.get("pipe")
    chosen = [
        runner
        for runner in runners
        if wanted is None or runner.pipe.name.casefold() == str(wanted).casefold()
    ]
    flows = [flow for runner in chosen for flow in runner.flows]
    found = find([flow.writer.ledger for flow in flows], query, skip, min(limit, MOST_AT_ONCE))
    meant = [flow.writer.ledger for runner in _meant(chosen, query) for flow in runner.flows]
    return {
        "count": found.count,
        "at": found.at,
        "results": [_row(flows[place], entry) for place, entry in found.page],
        "complete_since_ns": max((each.complete_since_ns for each in meant), default=None),
        "dropped": sum(each.dropped for each in meant),
    }


def _meant(runners: Sequence[PipeRunner], query: Query) -> Sequence[PipeRunner]:
    """The pipes that have the items that are asked for; of items that are gone, all."""
    handles = query.handles
    if handles is None:
        return runners
    having = [runner for runner in runners if not handles.isdisjoint(runner.pipe.items)]
    return having or runners


def _asked(params: Mapping[str, Any]) -> tuple[Query, int, int]:
    try:
        items = params.get("items")
        outcome = params.get("outcome")
        query = Query(
            handles=None if items is None else frozenset(map(int, items)),
            outcome=None if outcome is None else Outcome(outcome),
            verified=params.get("verified"),
            until_ns=params.get("until_ns"),
        )
        return query, max(0, int(params.get("skip", 0))), max(0, int(params.get("limit", 100)))
    except (TypeError, ValueError) as error:
        raise CommandError("invalid", f"not a question about the ledger: {error}") from error


def _row(flow: Flow, entry: Entry) -> Body:
    at = datetime.fromtimestamp(entry.at_ns / 1e9, UTC)
    return {
        "at": at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "at_ns": entry.at_ns,
        "item": entry.handle,
        "pipe": flow.pipe.name,
        "direction": flow.direction.value,
        "requested": _shown(entry.requested),
        "sent": _shown(entry.sent),
        "outcome": entry.outcome.value,
        "status": None if entry.status is None else name_of(entry.status),
        "verified": entry.verified,
        "reason": _reason(entry),
    }


def _reason(entry: Entry) -> str:
    if entry.why or not entry.status:
        return entry.why
    return advise(entry.status).sentence


def _shown(value: bytes) -> Body:
    try:
        shown = data_value_to_json(decode_data_value(value))
    except DecodeError:
        return {"value": None, "status": "BadDecodingError", "source_timestamp": None}
    return {name: shown[name] for name in ("value", "status", "source_timestamp")}
