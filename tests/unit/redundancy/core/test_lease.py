from __future__ import annotations

from dataclasses import replace

import pytest

from redundancy.core.lease import (
    MILLISECOND,
    PROFILES,
    Measured,
    Profile,
    TimingRule,
    broken_rules,
    deadline,
    grant,
    is_late,
    next_term,
)

STANDARD = PROFILES[Profile.STANDARD]
MS = MILLISECOND


@pytest.mark.parametrize("profile", Profile)
def test_every_profile_keeps_the_rules(profile: Profile) -> None:
    assert broken_rules(PROFILES[profile]) == ()


def test_the_profiles_are_those_of_the_protocol() -> None:
    in_ms = {
        profile: tuple(
            value // MS for value in (t.heartbeat, t.silence, t.lease, t.write_timeout, t.horizon)
        )
        for profile, t in PROFILES.items()
    }

    assert in_ms == {
        Profile.WIDE: (200, 700, 1000, 1000, 1600),
        Profile.STANDARD: (100, 500, 600, 500, 800),
        Profile.FAST: (100, 400, 400, 300, 600),
        Profile.QUICK: (50, 400, 300, 200, 400),
    }


@pytest.mark.parametrize(
    ("changes", "measured", "rule"),
    [
        ({"silence": 200 * MS}, {}, TimingRule.HEARTBEAT_IN_SILENCE),
        ({"lease": 299 * MS}, {}, TimingRule.HEARTBEAT_IN_LEASE),
        ({}, {"link_round_trip": 201 * MS}, TimingRule.ROUND_TRIP_IN_LEASE),
        ({}, {"witness_timeout": 241 * MS}, TimingRule.WITNESS_TIMEOUT_IN_LEASE),
        ({}, {"witness_p99": 61 * MS}, TimingRule.WITNESS_ANSWER_IN_LEASE),
        ({}, {"server_slack": 200 * MS, "path_delay": 101 * MS}, TimingRule.WRITE_IN_HORIZON),
        ({}, {"write_answer_p999": 126 * MS}, TimingRule.WRITE_TIMEOUT_ANSWERS),
        ({"write_timeout": 199 * MS}, {}, TimingRule.WRITE_TIMEOUT_LEAST),
    ],
    ids=lambda value: value.name if isinstance(value, TimingRule) else "",
)
def test_a_broken_rule_is_named_alone(
    changes: dict[str, int], measured: dict[str, int], rule: TimingRule
) -> None:
    assert broken_rules(replace(STANDARD, **changes), Measured(**measured)) == (rule,)


@pytest.mark.parametrize(
    "measured",
    [
        Measured(link_round_trip=200 * MS),
        Measured(witness_timeout=240 * MS, witness_p99=60 * MS),
        Measured(server_slack=200 * MS, path_delay=100 * MS),
        Measured(write_answer_p999=125 * MS),
    ],
)
def test_a_rule_that_is_just_kept_is_not_named(measured: Measured) -> None:
    assert broken_rules(STANDARD, measured) == ()


def test_a_vote_is_worth_a_lease_from_when_it_was_asked_for() -> None:
    assert deadline(5_000, STANDARD) == 5_000 + 600 * MS


def test_grant_outlives_the_lease_of_a_slow_clock_and_every_write_in_it() -> None:
    assert grant(STANDARD) == 612 * MS + 800 * MS


def test_a_turn_is_late_past_half_a_lease() -> None:
    assert not is_late(300 * MS, STANDARD)
    assert is_late(300 * MS + 1, STANDARD)


@pytest.mark.parametrize(("seen", "term"), [((), 1), ((0,), 1), ((4, 7, 2), 8)])
def test_the_next_term_is_above_all_seen(seen: tuple[int, ...], term: int) -> None:
    assert next_term(*seen) == term
