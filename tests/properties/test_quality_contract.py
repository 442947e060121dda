"""Whatever readings come, and in whatever order: each policy keeps its promise to the target."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pipes.core.binary import decode_data_value, encode_data_value
from pipes.core.choices import Quality
from pipes.core.quality import SUBSTITUTED, Ability, Rules, policy_for
from pipes.core.quality_table import NO_TABLE, table_of
from pipes.core.status_codes import code_of
from pipes.core.transfer import History, Rule, Target, Write, decide_transfer, rule_for
from pipes.core.values import DataValue, Variant, VariantType, is_bad, is_good
from pipes.core.wanted import Item, Pipe

DOUBLE = Target(VariantType.DOUBLE, -1)
STATUSES = [0, *map(code_of, ("GoodLocalOverride", "UncertainSubNormal", "BadSensorFailure"))]
SUBSTITUTE = -99.0

readings = st.builds(
    lambda number, status, has_value, gap: (
        DataValue(Variant(VariantType.DOUBLE, number) if has_value else None, status, 5),
        gap,
    ),
    st.integers(0, 9).map(float),
    st.sampled_from(STATUSES),
    st.booleans(),
    st.sampled_from((0.0, 1.0, 4.0)),
)
tables = st.dictionaries(
    st.sampled_from(["Bad", "Uncertain", "BadSensorFailure", "GoodLocalOverride", "BadNoData"]),
    st.sampled_from([*map(str, Quality), "Good", "UncertainInitialValue", "BadDataLost"]),
).map(table_of)
rules = st.builds(
    Rules,
    st.sampled_from([*Quality]),
    st.sampled_from((None, 0.0, 3.0)),
    st.one_of(st.just(NO_TABLE), tables),
    st.sampled_from((None, Variant(VariantType.DOUBLE, SUBSTITUTE))),
)
scripts = st.lists(readings, min_size=1, max_size=20)


def rule_of(quality: Rules) -> Rule:
    item = Item(1, "ns=2;s=a", "ns=2;s=b")
    plain = rule_for(item, Pipe("P", "A", "B", {}), is_reverse=False)
    return Rule(plain.transform, quality, plain.trigger)


def run(
    script: list[tuple[DataValue, float]], quality: Rules, *, takes_status: bool | None
) -> list[tuple[DataValue, DataValue | None]]:
    """Each reading, and what was written for it."""
    target = Target(DOUBLE.type, DOUBLE.value_rank, Ability(writes_status=takes_status))
    rule, history, now, done = rule_of(quality), History(), 0.0, []
    for reading, gap in script:
        now += gap
        decision = decide_transfer(encode_data_value(reading), rule, target, history, now)
        wrote = decode_data_value(decision.value) if isinstance(decision, Write) else None
        done.append((reading, wrote))
    return done


def is_fine(reading: DataValue) -> bool:
    return is_good(reading.status) and reading.variant is not None


@given(scripts, rules, st.sampled_from((True, None, False)))
def test_a_plain_good_value_always_arrives_and_no_dishonest_one_does(
    script: Any, quality: Rules, takes_status: bool | None
) -> None:
    says_good = quality.table.codes | quality.table.classes
    for reading, wrote in run(script, quality, takes_status=takes_status):
        if is_fine(reading) and not reading.status:
            assert wrote == reading
        if wrote is None:
            continue
        assert wrote.variant is not None, "no target gets a DataValue without a value"
        if takes_status is False:
            assert not wrote.status
        is_substitute = wrote.variant.value == SUBSTITUTE
        if is_bad(reading.status) and not wrote.status and not is_substitute:
            assert 0 in says_good.values() or takes_status is False


@given(scripts, st.sampled_from((True, False)))
def test_stop_and_endless_hold_write_nothing_that_is_not_good(script: Any, takes: bool) -> None:
    for policy in (Quality.STOP, Quality.HOLD):
        for reading, wrote in run(script, Rules(policy), takes_status=takes):
            assert (wrote is not None) is is_fine(reading)


@given(scripts, rules, st.sampled_from((True, None, False)))
def test_once_stopped_nothing_is_written_until_good(
    script: Any, quality: Rules, takes: bool | None
) -> None:
    stopped = False
    for reading, wrote in run(script, quality, takes_status=takes):
        has_value = reading.variant is not None
        policy, _ = policy_for(quality, reading.status, has_value=has_value)
        stopped = policy is not None and (stopped or policy is Quality.STOP)
        assert not (stopped and wrote is not None)


@given(scripts, st.sampled_from((True, False)))
def test_substitute_is_what_the_target_has_while_the_source_is_not_good(
    script: Any, takes: bool
) -> None:
    quality = Rules(Quality.SUBSTITUTE, substitute=Variant(VariantType.DOUBLE, SUBSTITUTE))
    at_target: DataValue | None = None
    for reading, wrote in run(script, quality, takes_status=takes):
        at_target = at_target if wrote is None else wrote
        assert at_target is not None
        if not is_fine(reading):
            assert at_target.variant == quality.substitute
            assert at_target.status == (SUBSTITUTED if takes else 0)
