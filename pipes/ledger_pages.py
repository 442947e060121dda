"""Pages of the write ledger, put together from the pipe hosts' own ledgers.

First every host says when it has matching writes, then each gives its part of the page. A host
that is away is named in ``notes``, and so is the instant from which on the ledger is complete.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.conf import settings

from pipes.core.ledger import Share, share_out
from pipes.live import NOBODY, ask_each

Body = dict[str, Any]


class HostsAway(Exception):  # noqa: N818 - a state of the station, not a fault
    """No pipe worker answers, and nobody else knows what was written."""


@dataclass(frozen=True, slots=True)
class LedgerPage:
    """``count`` writes match, ``rows`` are the page of them, newest first."""

    count: int
    rows: list[Body] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_ledger(query: Mapping[str, Any], offset: int, limit: int) -> LedgerPage:
    """The writes that match ``query`` (pipe, items, outcome, verified), newest first.

    Raises:
        HostsAway: nobody answers.
    """
    everybody = range(1, settings.STATION.pipe_workers + 1)
    first = {**query, "skip": offset + limit, "limit": 0}
    answers = ask_each("ledger", dict.fromkeys(everybody, first))
    present = {index: answer for index, answer in answers.items() if answer is not None}
    if not present:
        raise HostsAway(NOBODY)
    shares = share_out([_runs(answer) for answer in present.values()], offset, limit)
    rows, silent = _rows(query, dict(zip(present, shares, strict=True)), present)
    away = sorted({*everybody} - present.keys() | silent)
    count = sum(answer["count"] for answer in present.values())
    return LedgerPage(count, rows, [*map(_away, away), *_completeness(present)])


def _runs(answer: Mapping[str, Any]) -> list[tuple[int, int]]:
    return [(at_ns, count) for at_ns, count in answer["at"]]


def _rows(
    query: Mapping[str, Any], shares: Mapping[int, Share], answers: Mapping[int, Body]
) -> tuple[list[Body], set[int]]:
    """The rows of the page, and the hosts that did not give theirs."""
    questions = {
        index: {
            **query,
            "skip": share.skip,
            "limit": share.take,
            "until_ns": answers[index]["at"][0][0],  # what came since must not shift the page
        }
        for index, share in shares.items()
        if share.take
    }
    parts = ask_each("ledger", questions)
    rows = [row for part in parts.values() if part is not None for row in part["results"]]
    rows.sort(key=lambda row: row["at_ns"], reverse=True)
    shown = [{name: value for name, value in row.items() if name != "at_ns"} for row in rows]
    return shown, {index for index, part in parts.items() if part is None}


def _away(index: int) -> str:
    return f"pipe worker {index} does not answer; what its pipes wrote is not in this list"


def _completeness(answers: Mapping[int, Body]) -> list[str]:
    known = [answer["complete_since_ns"] for answer in answers.values()]
    since = max((at_ns for at_ns in known if at_ns is not None), default=None)
    if since is None:
        return []
    at = datetime.fromtimestamp(since / 1e9, UTC).isoformat(timespec="milliseconds")
    said = f"complete since {at.replace('+00:00', 'Z')}"
    dropped = sum(answer["dropped"] for answer in answers.values())
    if dropped:
        return [f"{said}; {dropped} older writes were dropped to bound the memory"]
    return [f"{said}, when the last of these pipes began to run"]
