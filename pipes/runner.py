"""One running pipe: two flows over the connections of its two servers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from pipes.connections import ServerConnection
from pipes.core.choices import Direction, PipeState
from pipes.core.echo import EchoGuard
from pipes.core.json_values import value_text
from pipes.core.rates import Rate
from pipes.core.reasons import Reason
from pipes.core.reconcile import PipeChange
from pipes.core.wanted import Item, Pipe
from pipes.flow import Flow
from pipes.incidents import WriteEvents
from redundancy.core.events import EventKind, Severity
from redundancy.gate import WriteGate
from redundancy.signals import emit

#: Items that are taken in between two signs of life.
ITEMS_A_STEP: Final = 1_000


class PipeRunner:
    """Runs a pipe from construction to `close`; `change` alters its items in place.

    To take in thousands of items needs longer than a loop may stand still; ``alive`` is called
    again and again meanwhile.
    """

    def __init__(
        self,
        pipe: Pipe,
        source: ServerConnection,
        target: ServerConnection,
        gate: WriteGate,
        alive: Callable[[], None],
    ) -> None:
        self.pipe = pipe
        self._alive = alive
        self.source = source
        self.target = target
        self._guards: dict[int, EchoGuard] = {}
        self.forward = Flow(
            pipe, source, target, gate.target(target.name), self._guards, self._offer_again,
            is_reverse=False,
        )  # fmt: skip
        self.reverse = Flow(
            pipe, target, source, gate.target(source.name), self._guards, self._offer_again,
            is_reverse=True,
        )  # fmt: skip
        self.rate = Rate(asyncio.get_running_loop().time())
        self._was_running = False
        self._failing = False
        self._write_events = WriteEvents()
        self._add(pipe.items.values())
        for flow in self.flows:
            flow.start()

    @property
    def flows(self) -> tuple[Flow, Flow]:
        return self.forward, self.reverse

    def change(self, pipe: Pipe, change: PipeChange) -> None:
        """Alter items in place; the others do not notice."""
        self.pipe = pipe
        for flow in self.flows:
            flow.remove(change.removed)
        for item_id in change.removed:
            self._guards.pop(item_id, None)
        self._add(change.added)

    async def drain(self) -> None:
        """Take no more values; returns when no write is on its way."""
        await asyncio.gather(*(flow.drain() for flow in self.flows))

    async def unsubscribe(self) -> None:
        """Delete this pipe's subscriptions: other pipes may go on using the sessions."""
        await asyncio.gather(*(flow.unsubscribe() for flow in self.flows))

    def give_up_writes(self) -> None:
        """End the sessions where a write is still unanswered: it must not land after newer ones."""
        for flow in self.flows:
            if flow.writer.window.in_flight:
                flow.writing.give_up_session(f"pipe {self.pipe.name} ended with a write unanswered")

    def close(self) -> None:
        for flow in self.flows:
            flow.close()
        self._report_losses(asyncio.get_running_loop().time())

    def tick(self, now: float) -> None:
        for flow in self.flows:
            if flow.items:
                flow.tick(now)
        self.rate.count(now, self.writes)
        self._report_edges()
        self._report_losses(now)
        self._write_events.report(self.pipe, self.flows, now)
        self._report_stops(now)

    @property
    def writes(self) -> int:
        return self.forward.writer.writes + self.reverse.writer.writes

    @property
    def state(self) -> tuple[PipeState, str]:
        """The contract's state of the pipe, and why it is not running."""
        for connection in (self.source, self.target):
            if connection.session is None:
                why = connection.reason or "connecting"
                return PipeState.WAITING, f"{connection.name}: {why}"
        shut = self.forward.gate.reason()
        if shut is not None:
            return PipeState.STANDBY, shut.value
        return PipeState.RUNNING, ""

    def _add(self, items: Iterable[Item]) -> None:
        enabled = [item for item in items if item.enabled]
        for start in range(0, len(enabled), ITEMS_A_STEP):
            self._add_some(enabled[start : start + ITEMS_A_STEP])
            self._alive()

    def _add_some(self, enabled: Sequence[Item]) -> None:
        for item in enabled:
            if item.direction is Direction.BOTH:
                self._guards[item.id] = EchoGuard()
        self.forward.add(item for item in enabled if item.direction is not Direction.REVERSE)
        self.reverse.add(item for item in enabled if item.direction is not Direction.FORWARD)

    def _offer_again(self, direction: Direction, handle: int) -> None:
        flow = self.reverse if direction is Direction.REVERSE else self.forward
        flow.offer_one(handle)

    def _report_edges(self) -> None:
        """Say once that the pipe runs or waits, and once that items fail or are well again."""
        state, why = self.state
        running = state is PipeState.RUNNING
        if running != self._was_running:
            self._was_running = running
            if running:
                self._emit(Reason.PIPE_RUNNING, Severity.INFO)
            else:
                self._emit(Reason.PIPE_WAITING, Severity.LOW, what=why)
        faults = [failure for flow in self.flows for failure in flow.failing()]
        if bool(faults) != self._failing:
            self._failing = bool(faults)
            if faults:
                item, why = faults[0]
                self._emit(
                    Reason.ITEMS_FAILING,
                    Severity.HIGH,
                    count=len(faults),
                    item=item,
                    why=why,
                )
            else:
                self._emit(Reason.ITEMS_RECOVERED, Severity.INFO)

    def _report_losses(self, now: float) -> None:
        """Name each event whose outcome is unknown; say when samples begin to be lost, and end."""
        for flow in self.flows:
            for item, value in flow.unknown_events():
                blanks = {"item": item, "server": flow.writing.name, "value": value_text(value)}
                sentence = Reason.EVENT_UNKNOWN.sentence(pipe=self.pipe.name, **blanks)
                source, code = str(item), Reason.EVENT_UNKNOWN.name
                emit(EventKind.ITEM, code, Severity.HIGH, source, sentence, pipe=self.pipe.name)
            for report in flow.losses.reports(now):
                self._emit(
                    Reason.SAMPLES_LOST_OVER if report.is_over else Reason.SAMPLES_LOST,
                    Severity.INFO if report.is_over else Severity.HIGH,
                    count=report.count,
                    items=report.items,
                    item=report.handle,
                    value="sample" if report.value is None else value_text(report.value),
                    why=report.cause.value,
                )

    def _report_stops(self, now: float) -> None:
        """Say which items are stopped, by their quality contract or a loop, and which go on."""
        for flow in self.flows:
            for news, stopped, going_on in (
                (flow.stops, Reason.ITEMS_STOPPED, Reason.ITEMS_GO_ON),
                (flow.oscillations.news, Reason.ITEMS_OSCILLATE, Reason.ITEMS_CALM),
            ):
                for report in news.reports(now):
                    if flow.gate.may_write():
                        self._emit(
                            stopped if report.is_stop else going_on,
                            Severity.HIGH if report.is_stop else Severity.INFO,
                            count=report.count,
                            which=", ".join(map(str, report.items)),
                            server=flow.reading.name,
                        )

    def _emit(self, reason: Reason, severity: Severity, **blanks: object) -> None:
        sentence = reason.sentence(pipe=self.pipe.name, **blanks)
        emit(EventKind.PIPE, reason.name, severity, self.pipe.name, sentence)
