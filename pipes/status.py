"""What a pipe host answers when it is asked: the contract's ``status`` bodies.

Everything here is made when somebody asks, from what the flows keep anyway: nothing on the way of
a value is done for a page that nobody looks at.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from pipes.connections import ServerConnection
from pipes.core.binary import DecodeError, decode_data_value, source_timestamp, status_of
from pipes.core.choices import Direction, ItemState
from pipes.core.json_values import data_value_to_json
from pipes.core.latency import Latency
from pipes.core.losses import Cause
from pipes.core.outages import STALE
from pipes.core.status_codes import name_of
from pipes.core.transfer import has_value
from pipes.core.values import is_bad, is_good, unix_to_ticks
from pipes.core.wanted import Item
from pipes.flow import Flow
from pipes.runner import PipeRunner

Body = dict[str, Any]


def server_status(connection: ServerConnection) -> Body:
    session = connection.session
    return {
        "state": connection.state.value,
        "reason": connection.explain(),
        "since": _iso(connection.since),
        "session_ms": None if session is None else session.session_timeout_ms,
        "service_level": _service_level(connection),
        "limits": None
        if session is None
        else {
            "read": session.limits.read,
            "write": session.limits.write,
            "monitored_items": session.limits.monitored_items,
        },
        "writes_status": connection.writes_status,
        "writes_timestamps": connection.writes_timestamps,
        "single_point_of_failure": False,
        "last_error": connection.last_error,
        "connects": connection.connects,
        "clock_offset_ms": connection.clock_offset_ticks / 10_000,
        "product": "" if session is None else session.product,
        "version": "" if session is None else session.version,
        "members": [asdict(each) for each in connection.members],
    }


def _service_level(connection: ServerConnection) -> int | None:
    """Of a redundant server that of the member in use, which is asked every second."""
    used = [member.service_level for member in connection.members if member.in_use]
    return used[0] if used else connection.service_level


def pipe_status(runner: PipeRunner) -> Body:
    state, reason = runner.state
    latency = Latency()
    for flow in runner.flows:
        latency.merge(flow.writer.latency)
    states = [item_state(runner, item)[0] for item in runner.pipe.items.values()]
    return {
        "state": state.value,
        "reason": reason,
        "items": len(states),
        "good": states.count(ItemState.GOOD),
        "rate": round(runner.rate.per_second(asyncio.get_running_loop().time(), runner.writes), 1),
        "writes": runner.writes,
        "would_write": sum(flow.writer.would_write for flow in runner.flows),
        "errors": sum(flow.faults.total for flow in runner.flows),
        "latency_ms": {"p50": latency.percentile_ms(0.5), "p99": latency.percentile_ms(0.99)},
        "conflated": sum(flow.writer.pending.conflated for flow in runner.flows),
        "queued": sum(len(flow.writer.pending) for flow in runner.flows),
        "lost": sum(flow.losses.total for flow in runner.flows),
        "lost_at_source": sum(flow.losses.counts[Cause.SOURCE] for flow in runner.flows),
        "received": sum(flow.received for flow in runner.flows),
        "unknown": sum(flow.writer.unknown for flow in runner.flows),
        **_ledger(runner),
        "healed_subscriptions": sum(flow.healed_subscriptions for flow in runner.flows),
        "healed_items": sum(flow.staleness.healed for flow in runner.flows),
    }


def _ledger(runner: PipeRunner) -> Body:
    """What the write ledgers of both directions hold, and what reading back came to."""
    ledgers = [flow.writer.ledger for flow in runner.flows]
    checks = [flow.read_back.checks for flow in runner.flows]
    since = max(each.complete_since_ns for each in ledgers)
    return {
        "rejected": sum(each.rejected for each in ledgers),
        "verified": sum(each.verified for each in checks),
        "mismatched": sum(each.mismatched for each in checks),
        "unverified": sum(each.unverified for each in checks),
        "ledger_values": sum(each.values for each in ledgers),
        "ledger_dropped": sum(each.dropped for each in ledgers),
        "ledger_since": _iso(datetime.fromtimestamp(since / 1e9, UTC)),
    }


def item_state(runner: PipeRunner, item: Item) -> tuple[ItemState, str]:
    """The state of an item, the worse of its two directions, and why."""
    if not item.enabled:
        return ItemState.DISABLED, "the item is disabled"
    for flow in _flows(runner, item):
        fault = flow.faults.current.get(item.id)
        if fault is not None:
            return ItemState.ERROR, fault.message
        mismatch = flow.read_back.mismatches.get(item.id)
        if mismatch is not None:
            return ItemState.ERROR, mismatch
    flow = _leading(runner, item)
    value = flow.last.get(item.id)
    if value is None:
        return ItemState.WAITING, f"no value from {flow.reading.name} yet"
    held_back = flow.held_back.get(item.id, "")
    silence = _silence(flow, item.id)
    if silence:
        return ItemState.STALE, f"{silence}; {held_back}" if held_back else silence
    note = flow.notes.get(item.id, "")
    return _state_of(value, held_back or note or _not_read_back(flow, item.id))


def _silence(flow: Flow, handle: int) -> str:
    """Why the newest value need not be the present one; empty if it is."""
    server = flow.reading.name
    if flow.reading.session is None:
        return f"{server} is not connected"
    outage = flow.outages.current.get(handle)
    if outage is None:
        return ""
    if outage.status == STALE:
        return f"{server} has another value and does not report it; it is asked anew"
    return f"{server} is connected and has not reported since"


def _not_read_back(flow: Flow, handle: int) -> str:
    """Why the writes of an item that asks for it are not verified."""
    status = flow.read_back.checks.unreadable.get(handle)
    if status is None:
        return ""
    return f"written, but {flow.writing.name} does not let it be read back: {name_of(status)}"


def _state_of(value: bytes, more: str) -> tuple[ItemState, str]:
    """What the source says of its value, and then ``more``: what became of it."""
    try:
        status = status_of(value)
    except DecodeError as error:
        return ItemState.ERROR, f"the value cannot be decoded: {error}"
    said = f"the source says {name_of(status)}" if status else ""
    if is_bad(status):
        state = ItemState.BAD
    elif not has_value(value):
        state, said = ItemState.BAD, "the source has no value"
    elif is_good(status):
        state, said = ItemState.GOOD, said if more else ""
    else:
        state = ItemState.UNCERTAIN
    return state, "; ".join(part for part in (said, more) if part)


def item_status(runner: PipeRunner, item: Item) -> Body:
    state, reason = item_state(runner, item)
    flow = _leading(runner, item)
    newest = flow.last.get(item.id)
    writes = sum(one.writer.written.counts[item.id] for one in _flows(runner, item))
    is_dry = runner.pipe.dry_run
    return {
        "state": state.value,
        "reason": reason,
        "source": _value(newest),
        "written": _written(runner, item),
        "verified": _verified(runner, item),
        "last_error": _last_error(runner, item),
        "writes": 0 if is_dry else writes,
        "would_write": writes if is_dry else 0,
        "queued": sum(one.queued(item.id) for one in _flows(runner, item)),
        "errors": sum(one.faults.counts[item.id] for one in _flows(runner, item)),
        "age_ms": _age_ms(newest, flow.reading.clock_offset_ticks),
    }


def _flows(runner: PipeRunner, item: Item) -> list[Flow]:
    if item.direction is Direction.BOTH:
        return list(runner.flows)
    return [_leading(runner, item)]


def _leading(runner: PipeRunner, item: Item) -> Flow:
    return runner.reverse if item.direction is Direction.REVERSE else runner.forward


def _value(value: bytes | None) -> Body | None:
    if value is None:
        return None
    try:
        return data_value_to_json(decode_data_value(value))
    except DecodeError:
        return {"value": None, "status": "BadDecodingError", "source_timestamp": None}


def _written(runner: PipeRunner, item: Item) -> Body | None:
    """What was written last, or would have been; of an item of both directions, in either."""
    writers = [flow.writer for flow in _flows(runner, item) if item.id in flow.writer.written.at]
    if not writers:
        return None
    newest = max((writer.written for writer in writers), key=lambda done: done.at[item.id])
    body = _value(newest.held.get(item.id)) or {"value": None, "status": None}
    at = datetime.fromtimestamp(newest.at[item.id] / 1e9, UTC)
    return {
        "value": body["value"],
        "status": body["status"],
        "at": _iso(at),
        "dry_run": runner.pipe.dry_run,
    }


def _verified(runner: PipeRunner, item: Item) -> bool | None:
    """What reading back the last judged write came to; false as soon as it is in a direction."""
    known = [flow.read_back.checks.results.get(item.id) for flow in _flows(runner, item)]
    results = [result for result in known if result is not None]
    return all(results) if results else None


def _last_error(runner: PipeRunner, item: Item) -> Body | None:
    faults = [
        fault
        for flow in _flows(runner, item)
        if (fault := flow.faults.last.get(item.id)) is not None
    ]
    if not faults:
        return None
    newest = max(faults, key=lambda fault: fault.at_ns)
    return {
        "message": newest.message,
        "status": name_of(newest.status) if newest.status else None,
        "at": _iso(datetime.fromtimestamp(newest.at_ns / 1e9, UTC)),
        "count": newest.count,
    }


def _age_ms(value: bytes | None, clock_offset_ticks: int) -> int | None:
    """Since the source stamped the value, by the source's own clock."""
    if value is None:
        return None
    try:
        stamp = source_timestamp(value)
    except DecodeError:
        return None
    if stamp is None:
        return None
    now = unix_to_ticks(time.time()) + clock_offset_ticks
    return max(0, (now - stamp) // 10_000)


def _iso(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
