from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pipes.core import checks
from pipes.core.problems import FieldError, WrongError, shortened


def refusal(check: Callable[[Any], Any], value: Any) -> FieldError:
    with pytest.raises(WrongError) as caught:
        check(value)
    (error,) = caught.value.errors
    return error


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("nsu=urn:plant:a;s=T1", "nsu=urn:plant:a;s=T1"),
        ("ns=2;s=X", "ns=2;s=X"),
        ("ns=0;i=85", "i=85"),
        ("i=0085", "i=85"),
        ("ns=007;i=1", "ns=7;i=1"),
        (" ns=2;s=X ", "ns=2;s=X"),
        ("ns=2;s=X ", "ns=2;s=X"),
        ("nsu=http://opcfoundation.org/UA/;i=2258", "i=2258"),
        ("nsu=http://plant/;s=a;b=c", "nsu=http://plant/;s=a;b=c"),
        (
            "ns=3;g=09087E75-8E5E-499B-954F-F2A9603DB28A",
            "ns=3;g=09087e75-8e5e-499b-954f-f2a9603db28a",
        ),
        ("ns=4;b=M/RbKBsRVkePCePcx24oRA==", "ns=4;b=M/RbKBsRVkePCePcx24oRA=="),
        ("s=Ärger im Werk", "s=Ärger im Werk"),
    ],
)
def test_a_node_id_is_brought_to_its_one_spelling(given: str, kept: str) -> None:
    assert checks.node_id(given) == kept


@pytest.mark.parametrize(
    "text",
    [
        "",
        "T1",
        "x=1",
        "ns=2",
        "ns=-1;i=1",
        "ns=99999;i=1",
        "ns=2;i=4294967296",
        "ns=2;i=99999999999999999999",
        "i=١",
        "i=",
        "ns=2;g=12",
        "ns=2;g=09087e758e5e499b954ff2a9603db28a",
        "ns=2;b=*",
        "ns=2;b=ä",
        "ns=2;s=",
        "ns=2;s=a\x00b",
        "ns=2;s=\ud800",
        "ns=2;s=" + "x" * 5000,
        "ns=2;s=" + "x" * 4097,
        "i=0",
        5,
    ],
)
def test_what_is_no_node_id_is_refused(text: Any) -> None:
    error = refusal(checks.node_id, text)
    assert error.message.startswith(("must be", "is too long", "is the null NodeId"))


@pytest.mark.parametrize("name", ["P1", "Süd 7", "x" * 64, "a.b", "'=1", "日本"])
def test_a_name_may_be_any_short_line(name: str) -> None:
    assert checks.name(name) == name


@pytest.mark.parametrize("name", ["", "x" * 65, "a/b", ".", "..", " a", "a ", "a\nb", "a\ud800", 7])
def test_a_name_that_would_not_fit_into_an_address_is_refused(name: Any) -> None:
    assert "must" in refusal(checks.name, name).message


def test_a_choice_names_what_is_allowed() -> None:
    check = checks.choice(("forward", "reverse", "both"))
    assert check("both") == "both"
    error = refusal(check, "sideways")
    assert error.message == "must be forward, reverse or both"
    assert error.allowed == ("forward", "reverse", "both")
    assert refusal(check, 1).value == 1
    assert refusal(checks.choice(("only",)), "x").message == "must be only"


def test_a_whole_number_is_neither_truth_nor_text_nor_a_fraction() -> None:
    check = checks.integer(1, 10)
    assert check(5) == 5
    assert check(5.0) == 5
    for wrong in (True, "5", 5.5, None):
        assert refusal(check, wrong).message == "must be a whole number, 1 to 10"
    assert refusal(check, 11).message == "must be 1 to 10"


def test_a_number_that_is_whole_becomes_an_int() -> None:
    assert type(checks.number()(2.0)) is int
    assert checks.number()(2.5) == 2.5
    assert type(checks.number()(1e300)) is float


@pytest.mark.parametrize(
    "wrong", [float("nan"), float("inf"), float("-inf"), True, "1", None, 2**60]
)
def test_a_number_is_finite_and_exact(wrong: Any) -> None:
    assert "must be" in refusal(checks.number(), wrong).message


def test_a_number_has_limits() -> None:
    assert refusal(checks.number(0), -1).message == "must be at least 0"
    assert refusal(checks.number(0, 100), 101).message == "must be 0 to 100"


def test_text_has_a_length_and_no_control_characters() -> None:
    check = checks.text(5)
    assert check("abc") == "abc"
    assert refusal(check, "abcdef").message == "is 6 characters long; at most 5 are allowed"
    assert refusal(check, "a\x07").value == "a\\x07"
    assert refusal(check, "a\nb").message.startswith("contains control characters")
    assert refusal(check, 1).message == "must be text"


def test_text_with_lines_keeps_one_kind_of_line_break() -> None:
    assert checks.text(20, lines=True)("a\r\nb\rc\n\td") == "a\nb\nc\n\td"
    assert "control" in refusal(checks.text(20, lines=True), "a\x0b").message


def test_truth_is_true_or_false() -> None:
    assert checks.boolean(value=True) is True
    assert refusal(checks.boolean, 1).allowed == ("true", "false")


def test_an_optional_value_may_be_missing() -> None:
    check = checks.optional(checks.boolean)
    assert check(None) is None
    assert check(False) is False


def test_a_list_is_checked_entry_by_entry_and_has_a_length() -> None:
    check = checks.list_of(checks.boolean, 2)
    assert check([True, False]) == [True, False]
    assert refusal(check, [1]).message == "must be true or false"
    assert refusal(check, "x").message == "must be a list"
    assert refusal(check, [True] * 3).message == "has 3 entries; at most 2 are allowed"


@pytest.mark.parametrize("text", ["", "3", "0:9", "0:1,2", "0:1,2:5"])
def test_an_index_range_is_taken(text: str) -> None:
    assert checks.index_range(text) == text


@pytest.mark.parametrize("text", [5, "a", "1:", "9:1", "2:2", "1,,2", "-1"])
def test_a_wrong_index_range_is_refused(text: Any) -> None:
    assert refusal(checks.index_range, text).message.startswith("must")


def test_an_error_shows_a_long_value_cut() -> None:
    assert shortened("x" * 500) == "x" * 200 + "…"
    assert str(shortened(["x" * 500])).endswith("…")
    assert shortened([1]) == [1]
    assert shortened("short") == "short"


def test_an_error_has_the_form_of_the_contract() -> None:
    error = FieldError("direction", "must be …", "sideways", ("forward",)).at_row(19)
    assert error.body() == {
        "field": "direction",
        "row": 19,
        "column": "direction",
        "value": "sideways",
        "message": "must be …",
        "allowed": ["forward"],
    }
    assert FieldError("a", "m", column="b").body() == {
        "field": "a",
        "column": "b",
        "value": None,
        "message": "m",
    }
    assert error.below("x").field == "x.direction"
