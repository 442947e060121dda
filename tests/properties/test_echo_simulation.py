"""Echo suppression against two simulated servers that do what they like."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from pipes.core.choices import Direction
from pipes.core.echo import EchoGuard, WriteResult, opposite

FORWARD, REVERSE = Direction.FORWARD, Direction.REVERSE
SOURCE_TERMS, TARGET_TERMS = b"s", b"t"


class SimulatedServer:
    """A node: each change is queued as a notification, in order, and may be conflated."""

    def __init__(self, value: bytes) -> None:
        self.value = value
        self.reports: deque[bytes] = deque([value])
        self.last_reported: bytes | None = None

    def change(self, value: bytes) -> None:
        if value != self.value:
            self.value = value
            self.reports.append(value)

    def deliver(self, skip: int, *, quiet_if_same: bool) -> bytes | None:
        """The next report; ``skip`` older ones are replaced by it (queue size 1)."""
        if not self.reports:
            return None
        for _ in range(min(skip, len(self.reports) - 1)):
            self.reports.popleft()
        value = self.reports.popleft()
        if quiet_if_same and value == self.last_reported:
            return None  # a sampling server saw no change at all
        self.last_reported = value
        return value


class Flight:
    def __init__(self, direction: Direction, written: bytes) -> None:
        self.direction = direction
        self.written = written
        self.is_executed = False
        self.result = WriteResult.WRITTEN


class Simulation:
    def __init__(self, *, punctual: bool) -> None:
        self.guard = EchoGuard(settle_seconds=1.0)
        # The side that reports values of a direction.
        self.reporters = {
            FORWARD: SimulatedServer(SOURCE_TERMS + b"start"),
            REVERSE: SimulatedServer(TARGET_TERMS + b"other"),
        }
        self.punctual = punctual
        self.pending: dict[Direction, bytes] = {}
        self.newest: dict[Direction, bytes] = {}
        self.retry: set[Direction] = set()
        self.flight: Flight | None = None
        self.read: tuple[Direction, bytes | None] | None = None
        self.now = 0.0
        self.writes: list[tuple[Direction, bytes]] = []

    def written_side(self, direction: Direction) -> SimulatedServer:
        return self.reporters[opposite(direction)]

    def put(self, direction: Direction | None) -> None:
        if direction is not None:
            self.pending[direction] = self.newest[direction]

    def deliver(self, direction: Direction, skip: int = 0, *, quiet_if_same: bool = False) -> None:
        value = self.reporters[direction].deliver(skip, quiet_if_same=quiet_if_same)
        if value is None:
            return
        self.newest[direction] = value
        arrived = self.guard.forward_arrived if direction is FORWARD else self.guard.reverse_arrived
        if arrived(value):
            self.put(direction)

    def start(self, direction: Direction) -> None:
        if self.flight is not None or direction not in self.pending:
            return
        terms = TARGET_TERMS if direction is FORWARD else SOURCE_TERMS
        written = terms + self.pending.pop(direction)[1:]
        if self.guard.write_started(direction, written):
            self.writes.append((direction, written))
            self.flight = Flight(direction, written)

    def execute(self, result: WriteResult = WriteResult.WRITTEN, *, happens: bool = True) -> None:
        flight = self.flight
        if flight is None or flight.is_executed:
            return
        flight.is_executed = True
        flight.result = result
        if happens:
            self.written_side(flight.direction).change(flight.written)

    def acknowledge(self) -> None:
        flight = self.flight
        if flight is None or not flight.is_executed:
            return
        self.flight = None
        wanted = self.guard.write_done(flight.direction, flight.result, self.now)
        if flight.result is WriteResult.REFUSED and wanted is None:
            self.retry.add(flight.direction)
        self.put(wanted)

    def settle(self) -> None:
        direction = self.guard.unsettled
        if self.read is not None or direction is None:
            return
        if self.punctual and self.written_side(direction).reports:
            return  # reports take less time than settle_seconds
        self.now += 2.0
        if self.guard.settle(self.now) is not None:
            self.read = (direction, self.written_side(direction).value)

    def answer_read(self, *, fails: bool = False) -> None:
        if self.read is None:
            return
        direction, value = self.read
        self.read = None
        if not fails and value is not None:
            self.newest[opposite(direction)] = value
        self.put(self.guard.checked(None if fails else value, self.now))

    def try_again(self) -> None:
        for direction in tuple(self.retry):
            self.retry.discard(direction)
            if self.guard.again(direction):
                self.put(direction)

    def quiesce(self) -> None:
        """No more changes and faults: everything that is on its way arrives."""
        before = len(self.writes)
        for _ in range(60):
            self.execute()
            self.acknowledge()
            for direction in (REVERSE, FORWARD):
                while self.reporters[direction].reports:
                    self.deliver(direction)
            self.try_again()
            for direction in (FORWARD, REVERSE):
                self.start(direction)
            self.answer_read()
            self.settle()
        assert self.is_quiet
        assert len(self.writes) - before <= 12, "the sides play ping-pong"

    @property
    def is_quiet(self) -> bool:
        reports = any(reporter.reports for reporter in self.reporters.values())
        waiting = reports or self.pending or self.flight or self.read or self.retry
        return not waiting and self.guard.unsettled is None

    def assert_equal(self) -> None:
        source, target = self.reporters[FORWARD].value, self.reporters[REVERSE].value
        assert source[1:] == target[1:]


STEPS = (
    "source",
    "target",
    "deliver",
    "deliver",
    "deliver_back",
    "deliver_back",
    "start",
    "start_back",
    "execute",
    "acknowledge",
    "settle",
    "answer",
    "again",
)


def random_steps(seed: int, length: int) -> list[tuple[str, int]]:
    """Long runs by seed find more than drawn lists, which stay short."""
    chance = Random(seed)
    return [(chance.choice(STEPS), chance.randrange(4)) for _ in range(length)]


SOME_STEPS = st.builds(random_steps, st.integers(0, 2**32), st.integers(5, 90))


@dataclass
class Run:
    simulation: Simulation
    values: list[bytes] | None = None
    faults: bool = False
    quiet_if_same: bool = False

    def carry_out(self, steps: list[tuple[str, int]]) -> dict[bytes, Direction]:
        """Returns the side where each local value came from."""
        origins: dict[bytes, Direction] = {b"start": FORWARD, b"other": REVERSE}
        for number, (step, choice) in enumerate(steps):
            if step in ("source", "target"):
                value = b"%d" % number if self.values is None else self.values[choice % 2]
                origins[value] = FORWARD if step == "source" else REVERSE
                self.change(origins[value], value)
            else:
                self.move(step, choice)
        return origins

    def change(self, side: Direction, value: bytes) -> None:
        terms = SOURCE_TERMS if side is FORWARD else TARGET_TERMS
        self.simulation.reporters[side].change(terms + value)

    def move(self, step: str, choice: int) -> None:
        simulation = self.simulation
        moves: dict[str, Callable[[], None]] = {
            "deliver": lambda: simulation.deliver(
                FORWARD, choice, quiet_if_same=self.quiet_if_same
            ),
            "deliver_back": lambda: simulation.deliver(
                REVERSE, choice, quiet_if_same=self.quiet_if_same
            ),
            "start": lambda: simulation.start(FORWARD),
            "start_back": lambda: simulation.start(REVERSE),
            "execute": lambda: self.execute(choice),
            "acknowledge": simulation.acknowledge,
            "settle": simulation.settle,
            "answer": lambda: simulation.answer_read(fails=self.faults and choice == 0),
            "again": simulation.try_again,
        }
        moves[step]()

    def execute(self, choice: int) -> None:
        if self.faults and choice == 1:
            self.simulation.execute(WriteResult.REFUSED, happens=False)
        elif self.faults and choice > 1:
            self.simulation.execute(WriteResult.UNKNOWN, happens=choice == 2)
        else:
            self.simulation.execute()


CALM = settings(max_examples=300, deadline=None, database=None)


@CALM
@given(SOME_STEPS)
def test_no_write_carries_a_value_back_to_where_it_came_from(
    steps: list[tuple[str, int]],
) -> None:
    simulation = Simulation(punctual=True)
    origins = Run(simulation).carry_out(steps)
    simulation.quiesce()
    simulation.assert_equal()
    for direction, written in simulation.writes:
        assert origins[written[1:]] is direction


@CALM
@given(SOME_STEPS, st.booleans(), st.booleans(), st.sampled_from((None, [b"0", b"1"])))
def test_both_sides_become_equal_whatever_happens(
    steps: list[tuple[str, int]], punctual: bool, faults: bool, values: list[bytes] | None
) -> None:
    """Late reports, refused and lost writes, values that repeat."""
    simulation = Simulation(punctual=punctual)
    # A server that reports no change when a value has come back must report within the time.
    Run(simulation, values, faults=faults, quiet_if_same=punctual).carry_out(steps)
    simulation.quiesce()
    simulation.assert_equal()


@CALM
@given(SOME_STEPS, st.sampled_from((FORWARD, REVERSE)))
def test_a_change_of_a_quiet_pair_reaches_the_other_side_by_one_write(
    steps: list[tuple[str, int]], changed: Direction
) -> None:
    simulation = Simulation(punctual=True)
    scene = Run(simulation, faults=True)
    scene.carry_out(steps)
    simulation.quiesce()
    writes = len(simulation.writes)
    scene.change(changed, b"new")
    simulation.quiesce()
    simulation.assert_equal()
    assert simulation.reporters[FORWARD].value == SOURCE_TERMS + b"new"
    assert [direction for direction, _ in simulation.writes[writes:]] == [changed]
