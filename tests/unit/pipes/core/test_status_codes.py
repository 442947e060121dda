from __future__ import annotations

import pytest
from asyncua.ua.status_codes import StatusCodes

from pipes.core import status_codes
from pipes.core.status_code_table import NAMES
from pipes.core.status_codes import UnknownStatusNameError
from pipes.core.values import severity


def test_codes_and_names_are_those_that_asyncua_knows() -> None:
    theirs = {name: code for name, code in vars(StatusCodes).items() if isinstance(code, int)}
    assert dict(status_codes.CODES) == theirs


def test_a_name_begins_with_its_severity() -> None:
    for code, name in NAMES.items():
        assert name.startswith(severity(code))


def test_names_ignore_the_info_bits() -> None:
    assert status_codes.name_of(0) == "Good"
    assert status_codes.name_of(0x80340480) == "BadNodeIdUnknown"
    assert status_codes.name_of(0x8ABC0001) == "0x8ABC0000"


def test_codes_are_found_by_name_and_by_number() -> None:
    assert status_codes.code_of("BadNodeIdUnknown") == 0x80340000
    assert status_codes.code_of("0x8abc0000") == 0x8ABC0000


@pytest.mark.parametrize("name", ["", "badNodeIdUnknown", "0x", "0x123456789", "12"])
def test_an_unknown_name_is_refused_with_an_example(name: str) -> None:
    with pytest.raises(UnknownStatusNameError, match="BadNodeIdUnknown"):
        status_codes.code_of(name)


def test_frequent_codes_say_what_to_do() -> None:
    assert "AccessLevel" in status_codes.explain(0x803B0000).meaning
    assert status_codes.explain(0x8ABC0000).meaning == "the server reports a fault"
    assert status_codes.explain(0x40000000).remedy == "look at the source of the value"
    assert status_codes.explain(0).remedy == "nothing"


def test_every_explained_name_is_a_standard_name() -> None:
    assert status_codes._EXPLANATIONS.keys() <= status_codes.CODES.keys()
