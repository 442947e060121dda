"""The first value after a start, a reconnect of either server and a change of the configuration."""

from __future__ import annotations

import pytest

from pipes.core.choices import InitialWrite, ItemKind
from pipes.core.values import VariantType
from pipes.opcua.written import TargetInfo
from tests.unit.pipes.flows import (
    PlayedFlow,
    PlayedSession,
    double,
    item,
    number_in,
    play_targets,
    settle,
)

KINDS = pytest.mark.parametrize("kind", [ItemKind.STATE, ItemKind.QUEUE])


@pytest.fixture(autouse=True)
def _played(monkeypatch):
    play_targets(monkeypatch)


class Play:
    """A flow with item 1, whose target keeps what it is given."""

    def __init__(self, policy: str, kind: ItemKind) -> None:
        self.item = item(1, kind=kind)
        self.played = PlayedFlow(self.item, pipe={"initial_write": InitialWrite(policy)})
        self.held = double(0.0)
        self.server: PlayedSession | None = None

    async def connect_target(self, held: float | None = None) -> None:
        if held is not None:
            self.held = double(held)
        self.server = server = PlayedSession()
        node = server.encode_node(self.item.target_node)
        server.infos[node] = TargetInfo(0, VariantType.DOUBLE, -1, value=self.held)
        self.played.writer.session = server  # type: ignore[assignment]
        self.played.flow.connected(self.played.writer)
        await settle()

    async def connect_source(self, number: float) -> list[float]:
        self.played.flow.disconnected(self.played.reader)
        await self.played.connect_reader()
        return self.come(number)

    def come(self, number: float) -> list[float]:
        self.played.come(i1=double(number))
        return self.written()

    def written(self) -> list[float]:
        """What was written since the last call."""
        assert self.server is not None
        numbers = []
        while self.server.sent:
            self.held = self.server.sent[0][0][1]
            numbers.append(number_in(self.held))
            self.server.answer()
        return numbers

    async def start(self, source: float, target: float) -> list[float]:
        await self.connect_target(target)
        return await self.connect_source(source)


@KINDS
@pytest.mark.parametrize(
    ("policy", "same", "other"),
    [("always", [5.0], [5.0]), ("if_different", [], [5.0]), ("never", [], [])],
)
async def test_the_first_value_of_a_start(kind, policy, same, other):
    assert await Play(policy, kind).start(5.0, 5.0) == same
    play = Play(policy, kind)
    assert await play.start(5.0, 1.0) == other
    assert play.come(6.0) == [6.0], "a change is always written"


@KINDS
@pytest.mark.parametrize(
    ("policy", "same", "other"),
    [("always", [5.0], [7.0]), ("if_different", [], [7.0]), ("never", [], [7.0])],
)
async def test_the_first_value_after_the_source_was_away(kind, policy, same, other):
    play = Play(policy, kind)
    await play.start(1.0, 1.0)
    play.come(5.0)

    assert await play.connect_source(5.0) == same
    assert await play.connect_source(7.0) == other


@KINDS
@pytest.mark.parametrize(
    ("policy", "kept", "reset"),
    [("always", [5.0], [5.0]), ("if_different", [], [5.0]), ("never", [], [])],
)
async def test_the_first_value_for_a_target_that_was_away(kind, policy, kept, reset):
    play = Play(policy, kind)
    await play.start(1.0, 1.0)
    play.come(5.0)

    play.played.lose_writer()
    await play.connect_target()
    assert play.written() == kept
    play.played.lose_writer()
    await play.connect_target(0.0)
    assert play.written() == reset
    assert play.come(6.0) == [6.0]


@KINDS
@pytest.mark.parametrize("policy", InitialWrite)
async def test_a_change_while_the_target_was_away_is_written(kind, policy):
    play = Play(policy, kind)
    await play.start(1.0, 1.0)
    play.played.lose_writer()
    play.played.come(i1=double(5.0))

    await play.connect_target(1.0)

    assert play.written() == [5.0]


@KINDS
async def test_never_goes_by_what_was_there_before_and_not_by_the_target(kind):
    play = Play("never", kind)
    await play.start(1.0, 9.0)
    assert await play.connect_source(1.0) == [], "still the value of the start"
    assert await play.connect_source(2.0) == [2.0], "it changed while the source was away"
    play.played.lose_writer()
    await play.connect_target(9.0)
    assert play.written() == []
    assert await play.connect_source(2.0) == [], "still what was written before"
    assert await play.connect_source(3.0) == [3.0]
    assert await play.connect_source(3.0) == []


@KINDS
async def test_a_write_that_nobody_knows_of_is_repeated_whatever_the_policy(kind):
    play = Play("never", kind)
    await play.start(1.0, 1.0)
    play.played.come(i1=double(5.0))
    play.played.lose_writer()
    assert play.server is not None
    play.server.answer(failure="connection lost")

    await play.connect_target(1.0)

    assert play.written() == [5.0]


@KINDS
@pytest.mark.parametrize(
    ("policy", "written"), [("always", [5.0]), ("if_different", []), ("never", [])]
)
async def test_the_first_value_of_an_item_that_was_changed(kind, policy, written):
    play = Play(policy, kind)
    await play.start(5.0, 1.0)
    play.come(5.0)
    flow = play.played.flow
    node = play.server.encode_node(play.item.target_node)
    play.server.infos[node] = TargetInfo(0, VariantType.DOUBLE, -1, value=double(5.0))

    flow.remove([1])
    flow.add([play.item])
    flow.subscribing([1])
    await play.played.tick()

    assert play.come(5.0) == written


@KINDS
@pytest.mark.parametrize("policy", InitialWrite)
async def test_a_first_value_is_no_repetition_of_what_is_being_overwritten(kind, policy):
    """The target holds 5 until the 6 lands that was on its way when the source came back."""
    play = Play(policy, kind)
    await play.start(1.0, 1.0)
    play.come(5.0)
    play.played.come(i1=double(6.0))

    play.played.lose_reader()
    await play.played.connect_reader()
    play.played.come(i1=double(5.0))

    assert play.written() == [6.0, 5.0]
