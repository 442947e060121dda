from __future__ import annotations

import pytest

from pipes.core.renaming import LONGEST_PATTERN, RuleError, rename_all


@pytest.mark.parametrize(
    ("pattern", "replace", "text", "renamed"),
    [
        ("T", "Tag", "s=T1", "s=Tag1"),
        (r"T(\d+)", r"Q\1", "s=T001", "s=Q001"),
        (r"(?P<n>\d+)", r"<\g<n>>", "a1b22", "a<1>b<22>"),
        ("^Area", "Unit", "Area/Area", "Unit/Area"),
        ("Area$", "", "Area/Area", "Area/"),
        ("x", "", "s=T1", None),
        ("T", "T", "s=T1", "s=T1"),
        ("(a)|b", r"[\1]", "ab", "[a][]"),
        ("(?x) T  # a comment", r"\\", "T1", r"\1"),
    ],
)
def test_every_place_of_the_pattern_is_replaced(pattern, replace, text, renamed):
    assert rename_all(pattern, replace, [text]) == [renamed]


@pytest.mark.parametrize(
    ("pattern", "replace", "field"),
    [
        ("(", "", "pattern"),
        ("[z-a]", "", "pattern"),
        ("a{3,1}", "", "pattern"),
        ("T", r"\1", "replace"),
        ("T", r"\g<name>", "replace"),
        ("T", r"\q", "replace"),
        ("x" * (LONGEST_PATTERN + 1), "", "pattern"),
        ("T", "x" * (LONGEST_PATTERN + 1), "replace"),
        ("T", "x" * 50, "replace"),
    ],
)
def test_what_cannot_be_used_is_named(pattern, replace, field):
    with pytest.raises(RuleError, match=field) as caught:
        rename_all(pattern, replace, ["T" * 100])
    assert caught.value.field == field


def test_a_wrong_replacement_is_refused_even_if_nothing_matches():
    with pytest.raises(RuleError, match="replace"):
        rename_all("nothing", r"\7", ["T1"])
