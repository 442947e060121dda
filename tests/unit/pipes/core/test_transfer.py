"""What is written for a value that came, and why not."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import pytest

from pipes.core.binary import decode_data_value, encode_data_value
from pipes.core.choices import DeadbandType, Direction, Quality, Trigger
from pipes.core.index_range import parse as parse_index_range
from pipes.core.quality import SUBSTITUTED, Ability, HoldReason
from pipes.core.status_codes import code_of
from pipes.core.transfer import (
    History,
    Hold,
    Reject,
    Skip,
    SkipReason,
    Target,
    Write,
    absolute_deadband,
    decide_transfer,
    passes_untouched,
    percent_deadband,
    rule_for,
    substitute_variant,
)
from pipes.core.transform import InvalidTransformError
from pipes.core.values import DataValue, NodeId, Variant, VariantType
from pipes.core.wanted import Deadband, Item, Pipe

BAD = 0x8005_0000
UNCERTAIN = 0x4000_0000
PIPE = Pipe("P1", source="PLC", target="DCS", items={})
ITEM = Item(id=1, source_node="ns=2;s=T", target_node="ns=2;s=T")
DOUBLE = Target(VariantType.DOUBLE, -1)
INT16 = Target(VariantType.INT16, -1)


def value(number: object, kind: VariantType = VariantType.DOUBLE, **more: object) -> bytes:
    return encode_data_value(DataValue(Variant(kind, number), source_timestamp=77, **more))


def null_array() -> bytes:
    return encode_data_value(DataValue(Variant(VariantType.DOUBLE, None, ())))


def matrix(*dimensions: int) -> bytes:
    elements = tuple(float(number) for number in range(prod(dimensions)))
    return encode_data_value(
        DataValue(Variant(VariantType.DOUBLE, elements, dimensions), source_timestamp=77)
    )


def rule(*, pipe: Pipe = PIPE, reverse: bool = False, **fields: object):
    return rule_for(replace(ITEM, **fields), pipe, is_reverse=reverse)


def decide(raw: bytes, the_rule=None, target=DOUBLE, history=None, now=0.0):
    return decide_transfer(raw, the_rule or rule(), target, history or History(), now)


def written(decision) -> DataValue:
    assert isinstance(decision, Write)
    return decode_data_value(decision.value)


class TestPassingUntouched:
    def test_a_value_of_the_targets_type_passes_as_it_came(self):
        assert passes_untouched(value(1.5), rule(), DOUBLE)
        assert decide(value(1.5)) == Write(value(1.5))

    @pytest.mark.parametrize(
        ("raw", "target"),
        [
            (value(1, VariantType.INT32), DOUBLE),
            (value((1.0,)), DOUBLE),
            (value(1.0), Target(VariantType.DOUBLE, 1)),
            (encode_data_value(DataValue(None, BAD)), DOUBLE),
            (value((1.0,)), Target(VariantType.DOUBLE, 2)),
            (matrix(2, 3), Target(VariantType.DOUBLE, 1)),
            (value((1.0, 2.0)), Target(VariantType.DOUBLE, 1, dimensions=(1,))),
        ],
        ids=[
            "other type",
            "array for scalar",
            "scalar for array",
            "no value",
            "array for matrix",
            "matrix for array",
            "too long",
        ],
    )
    def test_other_values_are_looked_at(self, raw, target):
        assert not passes_untouched(raw, rule(), target)

    @pytest.mark.parametrize("rank", [1, 0, -2, -3])
    def test_an_array_passes_to_a_target_of_an_array_rank(self, rank):
        assert passes_untouched(value((1.0, 2.0)), rule(), Target(VariantType.DOUBLE, rank))

    @pytest.mark.parametrize(
        ("raw", "target"),
        [
            (matrix(2, 3), Target(VariantType.DOUBLE, 2)),
            (value((1.0, 2.0)), Target(VariantType.DOUBLE, 1, dimensions=(4,))),
            (value(NodeId(2, "X"), VariantType.NODE_ID), Target(VariantType.NODE_ID, -1)),
        ],
        ids=["matrix", "array with a limit", "NodeId"],
    )
    def test_what_the_type_byte_does_not_tell_is_looked_at_each_time(self, raw, target):
        assert not passes_untouched(raw, rule(), target)
        assert decide(raw, target=target) == Write(raw)

    def test_any_type_passes_to_a_target_of_any_type(self):
        assert passes_untouched(
            value(True, VariantType.BOOLEAN), rule(), Target(VariantType.VARIANT, -2)
        )

    def test_a_rule_that_changes_values_lets_none_pass(self):
        assert not passes_untouched(
            value(1.0), rule(transform={"kind": "linear", "gain": 2}), DOUBLE
        )
        assert not passes_untouched(value(1.0), rule().watching_type(), DOUBLE)
        assert not passes_untouched(value(1.0), rule().with_own_deadband(1), DOUBLE)


class TestConverting:
    def test_a_value_becomes_the_targets_type_and_keeps_its_timestamp(self):
        result = written(decide(value(21.5), target=INT16))
        assert result == DataValue(Variant(VariantType.INT16, 22), source_timestamp=77)

    def test_a_value_out_of_range_is_rejected_with_its_reason(self):
        decision = decide(value(70_000.0), target=INT16)
        assert isinstance(decision, Reject)
        assert "does not fit Int16" in decision.sentence

    def test_a_linear_transform_is_applied_and_inverted_for_the_other_direction(self):
        scaling = {"kind": "linear", "gain": 0.5, "offset": 10}
        both = {"transform": scaling, "direction": Direction.BOTH}
        assert written(decide(value(4.0), rule(**both))).variant.value == 12.0
        assert written(decide(value(12.0), rule(reverse=True, **both))).variant.value == 4.0

    def test_a_transform_that_does_not_fit_the_value_is_a_rejection(self):
        decision = decide(
            value("hot", VariantType.STRING), rule(transform={"kind": "linear", "gain": 2})
        )
        assert isinstance(decision, Reject)
        assert "hot" in decision.sentence

    def test_bytes_that_cannot_be_decoded_are_a_rejection(self):
        assert isinstance(decide(b"\x03\x0b\0"), Reject)

    def test_a_transform_without_inverse_is_refused_when_it_is_compiled(self):
        with pytest.raises(InvalidTransformError, match="inverse"):
            rule(reverse=True, transform={"kind": "linear", "gain": 0})


class TestRanks:
    @pytest.mark.parametrize(
        ("raw", "target", "why"),
        [
            (matrix(2, 3), Target(VariantType.DOUBLE, 1), "rank 2 does not fit"),
            (matrix(2, 3, 1), Target(VariantType.DOUBLE, 2), "rank 3 does not fit"),
            (value((1.0,)), Target(VariantType.DOUBLE, 2), "rank 1 does not fit"),
            (
                matrix(2, 3),
                Target(VariantType.DOUBLE, 2, dimensions=(2, 2)),
                "an array of 2 by 3 elements does not fit a target of at most 2 by 2",
            ),
        ],
    )
    def test_an_array_of_another_shape_is_refused_with_both_shapes(self, raw, target, why):
        decision = decide(raw, target=target)
        assert isinstance(decision, Reject)
        assert why in decision.sentence

    def test_a_matrix_keeps_its_dimensions_through_a_conversion(self):
        result = written(decide(matrix(2, 3), target=Target(VariantType.INT16, 2)))
        assert result.variant == Variant(VariantType.INT16, (0, 1, 2, 3, 4, 5), (2, 3))

    def test_dimensions_of_zero_are_no_limit(self):
        raw = matrix(2, 3)
        assert decide(raw, target=Target(VariantType.DOUBLE, 2, dimensions=(0, 3))) == Write(raw)


class TestPartsOfArrays:
    def test_one_element_becomes_a_scalar_for_a_scalar_target(self):
        result = written(decide(value((5.5,)), rule(index_range="3")))
        assert result == DataValue(Variant(VariantType.DOUBLE, 5.5), source_timestamp=77)

    def test_one_element_stays_an_array_for_an_array(self):
        target = Target(VariantType.DOUBLE, 1)
        raw = value((5.5,))
        assert decide(raw, rule(index_range="3"), target=target) == Write(raw)

    def test_several_elements_do_not_fit_a_scalar(self):
        decision = decide(value((5.5, 6.5)), rule(index_range="3:4"))
        assert isinstance(decision, Reject)

    def test_a_range_that_gives_more_than_its_one_element_is_not_picked_from(self):
        assert isinstance(decide(value((5.5, 6.5)), rule(index_range="3")), Reject)

    def test_a_scalar_is_written_into_one_element(self):
        into = rule(index_range="3", reverse=True)
        result = written(decide(value(5, VariantType.INT32), into, Target(VariantType.DOUBLE, 1)))
        assert result.variant == Variant(VariantType.DOUBLE, (5.0,))

    def test_a_scalar_is_written_into_one_element_of_a_matrix(self):
        into = rule(index_range="3,1", reverse=True)
        result = written(decide(value(5.0), into, Target(VariantType.DOUBLE, 2)))
        assert result.variant == Variant(VariantType.DOUBLE, (5.0,), (1, 1))

    def test_a_part_takes_exactly_its_elements(self):
        into = rule(index_range="0:2", reverse=True)
        target = Target(VariantType.DOUBLE, 1)
        assert written(decide(value((1.0, 2.0, 3.0)), into, target)).variant.value == (1, 2, 3)
        decision = decide(value((1.0, 2.0)), into, target)
        assert isinstance(decision, Reject)
        assert "an array of 2 does not fill the index range 0:2, which takes 3" in decision.sentence
        scalar = decide(value(1.0), into, target)
        assert isinstance(scalar, Reject)
        assert scalar.sentence.startswith("a scalar does not fill")

    def test_a_piece_of_a_text_is_written_as_the_text_it_is(self):
        into = rule(index_range="0:2", reverse=True)
        raw = value("abc", VariantType.STRING)
        assert decide(raw, into, Target(VariantType.STRING, -1)) == Write(raw)

    def test_a_part_that_does_not_convert_is_refused(self):
        into = rule(index_range="0", reverse=True)
        decision = decide(value(1e9), into, Target(VariantType.INT16, 1))
        assert isinstance(decision, Reject)
        assert "Int16" in decision.sentence


class TestNull:
    """A null text is a value, a null Variant is none."""

    def test_null_texts_and_arrays_are_written_as_what_they_are(self):
        for raw, target in (
            (value(None, VariantType.STRING), Target(VariantType.STRING, -1)),
            (value("", VariantType.STRING), Target(VariantType.STRING, -1)),
            (value(None, VariantType.BYTE_STRING), Target(VariantType.BYTE_STRING, -1)),
            (value(b"", VariantType.BYTE_STRING), Target(VariantType.BYTE_STRING, -1)),
            (null_array(), Target(VariantType.DOUBLE, 1)),
            (value(()), Target(VariantType.DOUBLE, 1)),
        ):
            assert decide(raw, target=target) == Write(raw)

    @pytest.mark.parametrize(
        "nothing", [DataValue(Variant(VariantType.NULL)), DataValue()], ids=["Null", "no value"]
    )
    def test_no_value_leaves_the_target_as_it_is(self, nothing):
        raw = encode_data_value(nothing)
        assert decide(raw) == Hold(HoldReason.NO_VALUE, None)

    def test_a_null_array_stays_one_through_a_conversion(self):
        result = written(decide(null_array(), target=Target(VariantType.INT16, 1)))
        assert result.variant == Variant(VariantType.INT16, None, ())


class TestQuality:
    def test_propagate_passes_the_status_on(self):
        assert written(decide(value(1.0, status=UNCERTAIN))).status == UNCERTAIN

    def test_propagate_without_a_value_puts_the_status_on_the_last_good_one(self):
        history = History()
        decide(value(1.0), history=history)
        nothing = encode_data_value(DataValue(None, BAD))

        first = decide(nothing, history=history, now=1.0)
        second = decide(nothing, history=history, now=2.0)

        assert written(first) == DataValue(Variant(VariantType.DOUBLE, 1.0), BAD, 77)
        assert second == Hold(HoldReason.REPORTED, None)

    def test_a_null_value_counts_as_none(self):
        null = encode_data_value(DataValue(Variant(VariantType.NULL), BAD))
        assert decide(null) == Hold(HoldReason.NO_VALUE, None)

    def test_hold_keeps_the_last_good_value_until_the_time_is_over(self):
        holding = rule(pipe=replace(PIPE, quality=Quality.HOLD, hold_seconds=10.0))
        history = History()
        decide(value(1.0), holding, history=history)

        held = decide(value(9.0, status=BAD), holding, history=history, now=100.0)
        over = decide(value(9.0, status=BAD), holding, history=history, now=110.0)
        again = decide(value(2.0), holding, history=history, now=111.0)

        assert held == Hold(HoldReason.POLICY, 10.0)
        assert written(over) == DataValue(Variant(VariantType.DOUBLE, 1.0), BAD, 77)
        assert written(again).variant.value == 2.0
        assert history == History(passed=value(2.0), last_good=value(2.0))

    def test_hold_over_without_a_good_value_ever_tells_what_there_is(self):
        holding = rule(pipe=replace(PIPE, quality=Quality.HOLD, hold_seconds=0.0))
        assert written(decide(value(9.0, status=BAD), holding)).status == BAD

    def test_a_target_that_takes_no_status_gets_an_uncertain_value_without_it(self):
        target = replace(DOUBLE, ability=Ability(writes_status=False))
        result = written(decide(value(1.0, status=UNCERTAIN), target=target))
        assert result == DataValue(Variant(VariantType.DOUBLE, 1.0), source_timestamp=77)

    def test_an_items_quality_comes_before_the_pipes_and_its_table(self):
        pipe = replace(PIPE, quality=Quality.STOP, quality_table={"Bad": "propagate"})
        of_the_pipe, of_its_own = rule(pipe=pipe), rule(pipe=pipe, quality=Quality.HOLD)
        bad = value(1.0, status=BAD)
        assert written(decide(bad, of_the_pipe)).status == BAD
        assert decide(bad, of_its_own) == Hold(HoldReason.POLICY, None)
        assert rule().quality.is_plain

    def test_a_status_of_the_table_goes_with_the_value(self):
        pipe = replace(PIPE, quality_table={"Bad": "UncertainSubNormal"})
        result = written(decide(value(1.0, status=BAD), rule(pipe=pipe)))
        assert (result.variant.value, result.status) == (1.0, code_of("UncertainSubNormal"))

    def test_stop_lasts_until_the_source_is_good_again(self):
        pipe = replace(PIPE, quality_table={"BadOutOfService": "stop"})
        stopping, history = rule(pipe=pipe), History()
        off = value(2.0, status=code_of("BadOutOfService"))
        decide(value(1.0), stopping, history=history)

        assert decide(off, stopping, history=history) == Hold(HoldReason.STOPPED, None)
        better = decide(value(3.0, status=UNCERTAIN), stopping, history=history)
        assert better == Hold(HoldReason.STOPPED, None)
        assert written(decide(value(4.0), stopping, history=history)).variant.value == 4.0
        assert written(decide(value(5.0, status=UNCERTAIN), stopping, history=history)).status

    @pytest.mark.parametrize(
        ("substitute", "target", "expected"),
        [
            (7, DOUBLE, Variant(VariantType.DOUBLE, 7.0)),
            (2.5, INT16, Variant(VariantType.INT16, 2)),
            (True, DOUBLE, Variant(VariantType.DOUBLE, 1.0)),
            ("12", INT16, Variant(VariantType.INT16, 12)),
            (7, Target(VariantType.VARIANT, -2), Variant(VariantType.FLOAT, 7.0)),
        ],
    )
    def test_the_substitute_is_written_in_the_type_of_the_target(
        self, substitute, target, expected
    ):
        replacing = rule(quality=Quality.SUBSTITUTE, substitute=substitute)
        history = History(last_good=value(1.0, VariantType.FLOAT))
        result = decide(value(1.0, status=BAD), replacing, target, history)
        assert written(result) == DataValue(expected, SUBSTITUTED, 77)
        again = decide(value(3.0, status=UNCERTAIN), replacing, target, history)
        assert again == Hold(HoldReason.SUBSTITUTED, None)
        history.not_written()
        assert written(decide(value(1.0, status=BAD), replacing, target, history)) == (
            DataValue(expected, SUBSTITUTED, 77)
        )

    def test_a_target_of_any_type_takes_a_substitute_without_a_good_value_as_it_is(self):
        replacing = rule(quality=Quality.SUBSTITUTE, substitute="off")
        nothing = encode_data_value(DataValue(None, BAD))
        result = decide(nothing, replacing, Target(VariantType.VARIANT, -2))
        assert written(result) == DataValue(Variant(VariantType.STRING, "off"), SUBSTITUTED)

    def test_a_substitute_that_does_not_fit_is_a_rejection(self):
        replacing = rule(quality=Quality.SUBSTITUTE, substitute="hot")
        decision = decide(value(1.0, status=BAD), replacing, INT16)
        assert isinstance(decision, Reject)
        assert "the substitute value cannot be written" in decision.sentence

    @pytest.mark.parametrize(("rank", "written_value"), [(1, (7.0,)), (-1, 7.0)])
    def test_a_substitute_fills_the_part_that_is_written(self, rank, written_value):
        replacing = rule(reverse=True, index_range="2", quality=Quality.SUBSTITUTE, substitute=7)
        result = decide(value(1.0, status=BAD), replacing, Target(VariantType.DOUBLE, rank))
        assert written(result).variant.value == written_value
        wide = replace(replacing, writes=parse_index_range("2:3"))
        decision = decide(value(1.0, status=BAD), wide, Target(VariantType.DOUBLE, 1))
        assert isinstance(decision, Reject)

    def test_no_substitute_is_none(self):
        assert substitute_variant(None) is None


class TestDeadband:
    def test_our_own_deadband_skips_small_changes_from_the_last_value_that_passed(self):
        filtering = rule().with_own_deadband(1.0)
        history = History()

        first, small, large = (
            decide(value(n), filtering, history=history) for n in (10.0, 10.9, 11.5)
        )

        assert first == Write(value(10.0))
        assert small == Skip(SkipReason.DEADBAND)
        assert large == Write(value(11.5))

    def test_trigger_status_is_kept_to_whatever_the_server_sends(self):
        statuses, history = rule(trigger=Trigger.STATUS), History()
        assert isinstance(decide(value(1.0), statuses, history=history), Write)
        assert isinstance(decide(value(2.0), statuses, history=history), Skip)
        assert isinstance(decide(value(3.0, status=UNCERTAIN), statuses, history=history), Write)
        assert not passes_untouched(value(1.0), statuses, DOUBLE)

    @pytest.mark.parametrize(
        ("deadband", "expected"),
        [
            (Deadband(), None),
            (Deadband(DeadbandType.ABSOLUTE, 0.5), 0.5),
            (Deadband(DeadbandType.ABSOLUTE, 0.0), None),
        ],
        ids=str,
    )
    def test_the_server_is_asked_for_an_absolute_deadband(self, deadband, expected):
        assert absolute_deadband(replace(ITEM, deadband=deadband)) == expected

    @pytest.mark.parametrize(
        ("deadband", "expected"),
        [
            (Deadband(DeadbandType.PERCENT, 2.5), 2.5),
            (Deadband(DeadbandType.PERCENT, 0.0), None),
            (Deadband(DeadbandType.ABSOLUTE, 2.5), None),
            (Deadband(), None),
        ],
    )
    def test_the_server_is_asked_for_a_percent_deadband(self, deadband, expected):
        assert percent_deadband(replace(ITEM, deadband=deadband)) == expected


def test_a_damaged_history_does_not_stop_a_good_value():
    history = History(last_good=None)
    assert decide(encode_data_value(DataValue(None, BAD)), history=history) == Hold(
        HoldReason.NO_VALUE, None
    )


def test_a_good_value_within_the_deadband_ends_a_bad_status_that_was_written():
    history = History()
    strict = rule(pipe=replace(PIPE, quality=Quality.HOLD, hold_seconds=1.0)).with_own_deadband(9.0)
    assert isinstance(decide(value(50.0), strict, history=history), Write)
    assert isinstance(decide(value(50.0, status=BAD), strict, history=history, now=1.0), Hold)
    assert written(decide(value(50.0, status=BAD), strict, history=history, now=3.0)).status == BAD

    assert written(decide(value(51.0), strict, history=history, now=4.0)).status == 0
