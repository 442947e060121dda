from __future__ import annotations

import string

import pytest

from redundancy.core.codes import Code
from redundancy.core.events import EventKind, Severity


@pytest.mark.parametrize("code", Code)
def test_every_code_has_kind_severity_and_a_sentence(code: Code) -> None:
    blanks = {name: "X" for _, name, _, _ in string.Formatter().parse(code.value[2]) if name}

    sentence = code.sentence(**blanks)

    assert isinstance(code.kind, EventKind)
    assert isinstance(code.severity, Severity)
    assert sentence[0].isupper() or sentence[0] == "X"
    assert "{" not in sentence
