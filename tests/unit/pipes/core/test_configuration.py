from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from pipes.core.configuration import (
    Configuration,
    check_form,
    configuration_text,
    digest,
    digest_of_text,
    document,
    encode,
    key_of,
)
from pipes.core.fields import Kind

A = {"name": "a", "endpoint": "opc.tcp://h:1"}
B = {"name": "B", "endpoint": "opc.tcp://h:2", "note": "Süd"}
PIPE = {"name": "P", "source": "a", "target": "B"}
ITEMS = {
    2: {"id": 2, "pipe": "P", "source_node": "i=1", "target_node": "i=2"},
    10: {"id": 10, "pipe": "P", "source_node": "i=3", "target_node": "i=4", "enabled": False},
}
WHOLE = Configuration({"B": B, "a": A}, {"P": PIPE}, dict(reversed(ITEMS.items())), 3, 11)


def test_the_document_is_sorted_by_name_without_case_and_by_id() -> None:
    whole = document(WHOLE)
    assert whole["servers"] == [A, B]
    assert whole["items"] == [ITEMS[2], ITEMS[10]]
    assert (whole["format"], whole["version"]) == ("mirrorsite", 1)
    assert (whole["points"], whole["modules"], whole["redundancy"]) == ([], [], {})


def test_the_text_made_of_pieces_is_the_compact_text_of_the_document() -> None:
    assert configuration_text(WHOLE) == encode(document(WHOLE))
    assert configuration_text(Configuration()) == encode(document(Configuration()))


def test_the_digest_is_that_of_the_compact_json_with_sorted_keys() -> None:
    text = json.dumps(
        document(WHOLE), sort_keys=True, separators=(",", ":"), ensure_ascii=False
    ).encode()
    assert digest(document(WHOLE)) == "sha256:" + hashlib.sha256(text).hexdigest()
    assert digest_of_text(configuration_text(WHOLE)) == digest(document(WHOLE))


def test_a_key_is_a_name_or_an_id() -> None:
    assert key_of(Kind.SERVER, A) == "a"
    assert key_of(Kind.ITEM, ITEMS[2]) == 2
    with pytest.raises(TypeError, match="has the key None"):
        key_of(Kind.SERVER, {"name": None})


def test_parts_are_found_by_kind() -> None:
    assert WHOLE.of(Kind.SERVER) is WHOLE.servers
    assert WHOLE.of(Kind.PIPE) is WHOLE.pipes
    assert WHOLE.of(Kind.ITEM) is WHOLE.items


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"format": "other"}, "format"),
        ({"version": 2}, "version"),
        ({"version": True}, "version"),
        ({"colour": []}, "colour"),
        ({"items": {}}, "items"),
        ({"servers": ["A"]}, "servers"),
        ({"points": [{"name": "x"}]}, "points"),
        ({"modules": [{}]}, "modules"),
        ({"redundancy": {"a": 1}}, "redundancy"),
    ],
)
def test_a_wrong_document_is_refused_by_the_name_of_the_part(
    change: dict[str, Any], field: str
) -> None:
    whole = document(WHOLE) | change
    assert [error.field for error in check_form(whole)] == [field]


def test_a_document_may_leave_parts_out() -> None:
    assert check_form({"format": "mirrorsite", "version": 1}) == []
