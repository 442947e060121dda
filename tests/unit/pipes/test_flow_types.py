"""A flow with values that are more than a number: references, structures, parts, large values."""

from __future__ import annotations

import asyncio
import struct

import pytest

from pipes import translation
from pipes.core.binary import decode_data_value, encode_data_value, encode_scalar
from pipes.core.choices import Direction, ItemKind, Trigger
from pipes.core.echo import EchoGuard
from pipes.core.losses import Cause
from pipes.core.sizes import ValueLimits
from pipes.core.status_codes import code_of
from pipes.core.structures import FieldLayout, Layout, StructureKind
from pipes.core.values import DataValue, ExtensionObject, NodeId, Variant, VariantType
from pipes.opcua.written import TargetInfo
from pipes.request_sizes import LARGEST_REQUEST, SUSPICIOUS_SIZE
from tests.unit.pipes.flows import PlayedFlow, double, item, play_targets, settle

UA = "http://opcfoundation.org/UA/"
THERE = (UA, "urn:source", "urn:plant", "urn:b", "urn:only:there")
HERE = (UA, "urn:target", "urn:plant", "urn:x", "urn:b")
ENCODING, TYPE = NodeId(3, 5004), NodeId(3, 3004)
T = VariantType


@pytest.fixture(autouse=True)
def _played(monkeypatch):
    play_targets(monkeypatch)


def value(kind: VariantType, content: object, *, stamp: int = 1) -> bytes:
    return encode_data_value(DataValue(Variant(kind, content), 0, stamp))  # type: ignore[arg-type]


async def connected(kind: VariantType, *items, rank: int = -1, **more):
    played = PlayedFlow(*items, **more)
    reader = await played.connect_reader()
    reader.namespaces = THERE
    info = TargetInfo(0, kind, rank)

    async def read(session, nodes, *, values):
        return [info] * len(nodes)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipes.targets.read_targets", read)
        writer = await played.connect_writer()
    writer.namespaces = HERE
    return played, reader, writer


def contents(batch: dict[int, bytes]) -> dict[int, object]:
    return {handle: decode_data_value(raw).variant.value for handle, raw in batch.items()}


class TestReferences:
    async def test_a_node_id_arrives_in_the_numbers_of_the_target(self):
        played, _, writer = await connected(T.NODE_ID, item(1))
        played.come(i1=value(T.NODE_ID, NodeId(3, "A")))
        writer.answer()
        played.come(i1=value(T.NODE_ID, NodeId(3, "B")))
        assert [contents(batch) for batch in writer.written] == [
            {1: NodeId(4, "A")},
            {1: NodeId(4, "B")},
        ]

    async def test_a_namespace_that_the_target_lacks_is_named_until_another_value_comes(self):
        played, _, writer = await connected(T.NODE_ID, item(1))
        played.come(i1=value(T.NODE_ID, NodeId(4, "A")))
        assert "'urn:only:there'" in played.fault(1)
        assert writer.written == []

        played.come(i1=value(T.NODE_ID, NodeId(3, "B")))
        await played.tick(1.1)
        assert contents(writer.written[0]) == {1: NodeId(4, "B")}
        writer.answer()
        assert played.fault(1) == ""

    async def test_tables_are_those_of_the_present_sessions(self):
        played, _, writer = await connected(T.NODE_ID, item(1))
        played.come(i1=value(T.NODE_ID, NodeId(3, "A")))
        writer.answer()
        writer.namespaces = (UA, "urn:target", "urn:b")
        played.come(i1=value(T.NODE_ID, NodeId(3, "B")))
        assert contents(writer.written[-1]) == {1: NodeId(2, "B")}

    async def test_between_equal_tables_a_reference_passes_as_it_is(self):
        played, _, writer = await connected(T.NODE_ID, item(1))
        writer.namespaces = (UA, "urn:other", *THERE[2:])
        raw = value(T.NODE_ID, NodeId(4, "A"))
        played.come(i1=raw)
        assert writer.written == [{1: raw}]

    async def test_a_newer_reference_is_decided_about_while_the_source_is_away(self):
        played, _, writer = await connected(T.NODE_ID, item(1))
        played.come(i1=value(T.NODE_ID, NodeId(3, "A")))
        played.reader.session = None
        played.flow.offer_one(1)
        writer.answer()
        assert contents(writer.written[-1]) == {1: NodeId(4, "A")}


class Teacher:
    """Stands for the questions about a type, which the test answers."""

    def __init__(self) -> None:
        self.asked: list[NodeId] = []
        self.error: Exception | None = None
        self.may_answer = asyncio.Event()

    async def learn(self, session, type_id: NodeId) -> None:
        self.asked.append(type_id)
        await self.may_answer.wait()
        if self.error is not None:
            raise self.error
        session.structures.types[type_id] = TYPE
        field = FieldLayout("node", T.NODE_ID)
        session.structures.layouts[TYPE] = Layout(StructureKind.STRUCTURE, (field,))


@pytest.fixture
def teacher(monkeypatch):
    teacher = Teacher()
    monkeypatch.setattr(translation, "learn_structure", teacher.learn)
    return teacher


def structure(index: int, identifier: str) -> ExtensionObject:
    body = encode_scalar(T.NODE_ID, NodeId(index, identifier))
    return ExtensionObject(NodeId(index, 5004), body, 1)


class TestStructures:
    async def test_the_newest_value_follows_when_its_type_is_known(self, teacher):
        played, _, writer = await connected(T.EXTENSION_OBJECT, item(1), item(2))
        played.come(i1=value(T.EXTENSION_OBJECT, structure(3, "old")))
        played.come(
            i1=value(T.EXTENSION_OBJECT, structure(3, "new")),
            i2=value(T.EXTENSION_OBJECT, structure(3, "second")),
        )
        await settle()
        assert "definition" in played.flow.held_back[1]
        assert writer.written == []
        teacher.may_answer.set()
        await settle()
        assert teacher.asked == [ENCODING], "once for all"
        assert [contents(batch) for batch in writer.written] == [
            {1: structure(4, "new"), 2: structure(4, "second")}
        ]
        writer.answer()
        played.come(i1=value(T.EXTENSION_OBJECT, structure(3, "again")))
        assert contents(writer.written[-1]) == {1: structure(4, "again")}
        assert played.flow.held_back == {}

    async def test_a_question_without_answer_is_asked_again_with_the_next_value(self, teacher):
        played, _, writer = await connected(T.EXTENSION_OBJECT, item(1))
        teacher.error = TimeoutError("no answer")
        teacher.may_answer.set()
        played.come(i1=value(T.EXTENSION_OBJECT, structure(3, "a")))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        teacher.error = None
        await settle()
        assert len(teacher.asked) >= 2
        assert contents(writer.written[-1]) == {1: structure(4, "a")}

    async def test_a_fault_of_ours_is_the_items_and_told(self, teacher):
        played, _, writer = await connected(T.EXTENSION_OBJECT, item(1))
        teacher.error = ZeroDivisionError("a bug")
        teacher.may_answer.set()
        played.come(i1=value(T.EXTENSION_OBJECT, structure(3, "a")))
        await settle()
        assert "a bug" in played.fault(1)
        assert writer.written == []

    async def test_an_item_that_was_removed_meanwhile_is_passed_over(self, teacher):
        played, _, writer = await connected(T.EXTENSION_OBJECT, item(1), item(2))
        played.come(i1=value(T.EXTENSION_OBJECT, structure(3, "a")))
        await settle()
        played.flow.remove((1,))
        teacher.may_answer.set()
        await settle()
        assert writer.written == []

    async def test_what_a_lost_session_was_asked_is_asked_in_the_next(self, teacher):
        played, _, writer = await connected(T.EXTENSION_OBJECT, item(1))
        played.come(i1=value(T.EXTENSION_OBJECT, structure(3, "a")))
        await settle()
        played.reader.session = None
        played.flow.disconnected(played.reader)
        await settle()
        reader = await played.connect_reader()
        reader.namespaces = THERE
        teacher.may_answer.set()
        played.come(i1=value(T.EXTENSION_OBJECT, structure(3, "b")))
        await settle()
        assert contents(writer.written[-1]) == {1: structure(4, "b")}


class TestParts:
    async def test_a_server_that_gives_whole_arrays_gets_them_cut(self):
        played, reader, writer = await connected(T.INT32, item(1, index_range="2"))
        reader.ignores_index_range = True
        played.come(i1=value(T.INT32, (1, 2, 3, 4)))
        assert contents(writer.written[0]) == {1: 3}
        writer.answer()

        played.come(i1=value(T.INT32, (9, 9, 3, 9), stamp=2))
        assert len(writer.written) == 1, "what changed elsewhere is no change of the part"
        played.come(i1=value(T.INT32, (9, 9, 7, 9), stamp=3))
        assert contents(writer.written[-1]) == {1: 7}

    async def test_with_every_timestamp_wanted_the_same_part_is_written_again(self):
        wanted = item(1, index_range="2", trigger=Trigger.STATUS_VALUE_TIMESTAMP)
        played, reader, writer = await connected(T.INT32, wanted)
        reader.ignores_index_range = True
        played.come(i1=value(T.INT32, (1, 2, 3, 4)))
        writer.answer()
        played.come(i1=value(T.INT32, (9, 2, 3, 4), stamp=2))
        assert len(writer.written) == 2

    async def test_a_part_after_something_unreadable_is_a_change(self):
        played, reader, writer = await connected(T.INT32, item(1, index_range="2"))
        reader.ignores_index_range = True
        played.come(i1=b"\x01\x86\xff")
        assert "decoded" in played.fault(1)
        played.come(i1=value(T.INT32, (1, 2, 3, 4)))
        await played.tick(1.1)
        assert contents(writer.written[0]) == {1: 3}

    async def test_other_items_are_not_cut(self):
        played, reader, writer = await connected(
            T.INT32, item(1, index_range="0:1"), item(2), rank=-3
        )
        reader.ignores_index_range = True
        played.come(i1=value(T.INT32, (1, 2, 3)), i2=value(T.INT32, (1, 2, 3)))
        assert contents(writer.written[0]) == {1: (1, 2), 2: (1, 2, 3)}

    async def test_a_server_that_takes_the_part_is_believed(self):
        played, _, writer = await connected(T.INT32, item(1, index_range="2:4"), rank=1)
        played.come(i1=value(T.INT32, (3, 4)))
        assert contents(writer.written[0]) == {1: (3, 4)}


class TestSizes:
    async def test_a_value_too_large_for_the_server_is_refused_and_the_others_go(self):
        played, _, writer = await connected(T.BYTE_STRING, item(1), item(2), item(3))
        played.flow.writer.sizes.limits = ValueLimits(byte_string=100)
        played.come(
            i1=value(T.BYTE_STRING, bytes(101)),
            i2=value(T.BYTE_STRING, bytes(100)),
            i3=value(T.BYTE_STRING, b""),
        )
        assert list(writer.written[0]) == [2, 3]
        assert "a ByteString of 101 bytes; the server takes 100" in played.fault(1)
        assert played.flow.writer.pending.in_flight == 2
        writer.answer()

        played.come(i1=value(T.BYTE_STRING, bytes(100)))
        await played.tick(1.1)
        writer.answer()
        assert played.fault(1) == ""

    async def test_a_value_that_passes_unseen_is_measured_too(self):
        played, _, writer = await connected(T.STRING, item(1))
        played.flow.writer.sizes.limits = ValueLimits(string=10)
        played.come(i1=value(T.STRING, "short"))
        writer.answer()
        assert 1 in played.flow.passing.unseen
        played.come(i1=value(T.STRING, "x" * 11))
        assert "a String of 11 bytes" in played.fault(1)
        assert len(writer.written) == 1

    async def test_large_values_are_spread_over_requests(self):
        played, _, writer = await connected(T.BYTE_STRING, *map(item, range(1, 6)))
        size = LARGEST_REQUEST // 2 + 1
        played.come(**{f"i{handle}": value(T.BYTE_STRING, bytes(size)) for handle in range(1, 6)})
        while writer.sent:
            writer.answer()
        assert [len(batch) for batch in writer.written] == [1, 1, 1, 1, 1]
        assert sorted(h for batch in writer.written for h in batch) == [1, 2, 3, 4, 5]
        assert played.flow.writer.writes == 5

    async def test_a_value_that_fills_a_request_goes_alone(self):
        played, _, writer = await connected(T.BYTE_STRING, *map(item, range(1, 4)))
        played.come(
            i1=value(T.BYTE_STRING, b"a"),
            i2=value(T.BYTE_STRING, bytes(LARGEST_REQUEST)),
            i3=value(T.BYTE_STRING, b"c"),
        )
        while writer.sent:
            writer.answer()
        assert [2] in [list(batch) for batch in writer.written]
        assert sorted(h for batch in writer.written for h in batch) == [1, 2, 3]

    async def test_what_has_to_wait_for_the_next_request_may_still_change_for_an_echo(self):
        both = [item(handle, direction=Direction.BOTH) for handle in (1, 2)]
        played, _, writer = await connected(T.BYTE_STRING, *both)
        large = [value(T.BYTE_STRING, bytes([n]) * LARGEST_REQUEST) for n in range(3)]
        for guarded in (1, 2):
            played.flow.echoes._guards[guarded] = EchoGuard(1.0)
        played.flow.values({1: large[0], 2: large[1]}, frozenset())
        assert [list(batch) for batch in writer.written] == [[1], [2]]
        writer.answer()
        writer.answer()
        played.flow.values({2: large[2]}, frozenset())
        assert writer.written[-1] == {2: large[2]}

    async def test_a_large_value_over_which_the_connection_ends_twice_is_not_tried_again(self):
        played, _, writer = await connected(T.BYTE_STRING, item(1))
        raw = value(T.BYTE_STRING, bytes(SUSPICIOUS_SIZE))
        played.come(i1=raw)
        for _ in range(2):
            played.lose_writer()
            writer.answer(failure="the server closed it")
            writer = await self.back(played)
        assert writer.written == []
        assert f"ended 2 times while a value of {len(raw)} bytes" in played.fault(1)

        played.come(i1=value(T.BYTE_STRING, b"small"))
        await played.tick(1.1)
        writer.answer()
        assert played.fault(1) == ""
        played.come(i1=raw)
        assert len(writer.written) == 2, "it is tried anew after another was taken"

    async def test_a_loss_with_an_answer_missing_counts_alike(self):
        played, _, writer = await connected(T.BYTE_STRING, item(1))
        raw = value(T.BYTE_STRING, bytes(SUSPICIOUS_SIZE))
        played.come(i1=raw)
        for _ in range(2):
            writer.answer(failure="no answer in time")
            played.lose_writer()
            writer = await self.back(played)
        assert writer.written == []

    async def test_losses_with_several_or_small_values_are_nobodys_fault(self):
        played, _, writer = await connected(T.BYTE_STRING, item(1), item(2))
        played.come(i1=value(T.BYTE_STRING, b"a"), i2=value(T.BYTE_STRING, b"b"))
        for _ in range(3):
            writer.answer(failure="no answer in time")
            played.lose_writer()
            writer = await self.back(played)
        assert len(writer.written) == 1

    async def back(self, played):
        info = TargetInfo(0, T.BYTE_STRING, -1)

        async def read(session, nodes, *, values):
            return [info] * len(nodes)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("pipes.targets.read_targets", read)
            return await played.connect_writer()

    async def test_a_server_that_calls_one_value_too_large_is_quoted_with_its_size(self):
        played, _, writer = await connected(T.BYTE_STRING, item(1))
        raw = value(T.BYTE_STRING, bytes(1000))
        played.come(i1=raw)
        writer.answer(code_of("BadEncodingLimitsExceeded"))
        assert f"(a value of {len(raw)} bytes)" in played.fault(1)


async def test_a_double_is_never_measured():
    played, _, writer = await connected(T.DOUBLE, item(1))
    played.come(i1=double(1.0))
    assert played.flow.writer.sizes.bulky == set()
    assert len(writer.written) == 1
    assert struct.unpack_from("<d", writer.written[0][1], 2) == (1.0,)


class TestSamples:
    """What waits in a queue is said in the target's terms as well."""

    async def test_parts_are_cut_out_of_every_sample(self):
        wanted = item(1, index_range="2", kind=ItemKind.QUEUE)
        played, reader, writer = await connected(T.INT32, wanted)
        reader.ignores_index_range = True
        wholes = [(1, 2, 3), (9, 9, 3), (1, 2, 4), (1, 2, 5)]
        played.flow.earlier([(1, value(T.INT32, whole)) for whole in wholes[:-1]])
        played.come(i1=value(T.INT32, wholes[-1]))
        while writer.sent:
            writer.answer()

        assert [contents(batch)[1] for batch in writer.written] == [3, 4, 5]

    async def test_samples_wait_in_order_until_their_type_is_known(self, teacher):
        wanted = item(1, kind=ItemKind.QUEUE)
        played, _, writer = await connected(T.EXTENSION_OBJECT, wanted)
        for name in ("a", "b", "c"):
            played.come(i1=value(T.EXTENSION_OBJECT, structure(3, name)))
        await played.tick(0.2)
        assert writer.written == []
        assert played.flow.queued(1) == 3
        teacher.may_answer.set()
        await settle()
        while writer.sent:
            writer.answer()

        assert [contents(batch)[1] for batch in writer.written] == [
            structure(4, name) for name in ("a", "b", "c")
        ]

    async def test_a_sample_too_large_for_the_server_is_lost_and_the_next_one_goes(self):
        wanted = item(1, kind=ItemKind.QUEUE)
        played, _, writer = await connected(T.BYTE_STRING, wanted)
        played.flow.writer.sizes.limits = ValueLimits(byte_string=100)
        played.come(i1=value(T.BYTE_STRING, bytes(101)))
        played.come(i1=value(T.BYTE_STRING, b"small"))
        await played.tick(1.1)

        assert [contents(batch)[1] for batch in writer.written] == [b"small"]
        assert played.flow.losses.counts[Cause.REFUSED] == 1
