from __future__ import annotations

from struct import pack

import pytest

from pipes.core.skip import (
    MAX_DEPTH,
    MAX_ELEMENTS,
    ScanError,
    ServiceFaultError,
    Walker,
    reading,
)

NULL = b"\xff\xff\xff\xff"


def string(text: bytes) -> bytes:
    return pack("<i", len(text)) + text


def end_of(method: str, data: bytes, *arguments: int) -> int:
    with reading():
        return getattr(Walker(data + b"behind it"), method)(0, *arguments)


ENCODED = {
    "null variant": ("variant", b"\x00"),
    "double": ("variant", b"\x0b" + bytes(8)),
    "guid": ("variant", b"\x0e" + bytes(16)),
    "null string": ("variant", b"\x0c" + NULL),
    "string": ("variant", b"\x0c" + string(b"text")),
    "reserved type read as a byte string": ("variant", b"\x1a" + string(b"new")),
    "two-byte node id": ("node_id", b"\x00\x07"),
    "four-byte node id": ("node_id", b"\x01\x00\x07\x00"),
    "numeric node id": ("node_id", b"\x02" + bytes(6)),
    "string node id": ("node_id", b"\x03\x02\x00" + string(b"Tank.Level")),
    "guid node id": ("node_id", b"\x04\x02\x00" + bytes(16)),
    "opaque node id": ("node_id", b"\x05\x02\x00" + string(b"\x01\x02")),
    "expanded node id with uri and server": (
        "variant",
        b"\x12" + b"\xc0\x07" + string(b"urn:a") + bytes(4),
    ),
    "qualified name": ("variant", b"\x14\x02\x00" + string(b"Level")),
    "localized text without parts": ("variant", b"\x15\x00"),
    "localized text": ("variant", b"\x15\x03" + string(b"en") + string(b"Level")),
    "localized text without locale": ("variant", b"\x15\x02" + string(b"Level")),
    "structure": ("variant", b"\x16\x01\x00\x07\x00\x01" + string(b"body")),
    "structure without body": ("variant", b"\x16\x00\x00\x00"),
    "structure with a null body": ("variant", b"\x16\x00\x00\x01" + NULL),
    "structure in XML": ("variant", b"\x16\x00\x07\x02" + string(b"<a/>")),
    "data value in a variant": ("variant", b"\x17\x0f\x01\x01" + bytes(4 + 8 + 8)),
    "data value without value": ("variant", b"\x17\x34" + bytes(8 + 2 + 2)),
    "variant in a variant": ("variant", b"\x18\x01\x01"),
    "diagnostics": ("variant", b"\x19\x3f" + bytes(16) + string(b"why") + bytes(4)),
    "inner diagnostics": ("variant", b"\x19\x40\x01" + bytes(4)),
    "null array": ("variant", b"\x8b" + NULL),
    "array without a type or elements": ("variant", b"\x80" + NULL),
    "array of doubles": ("variant", b"\x8b" + pack("<i", 2) + bytes(16)),
    "array of strings": ("variant", b"\x8c" + pack("<i", 3) + NULL + string(b"a") + string(b"")),
    "array of variants": ("variant", b"\x98" + pack("<i", 2) + b"\x01\x01" + b"\x00"),
    "matrix": ("variant", b"\xc1" + pack("<i", 6) + bytes(6) + pack("<iii", 2, 2, 3)),
    "empty matrix": ("variant", b"\xc1" + pack("<i", 0) + pack("<iii", 2, 0, 3)),
    "string table": ("strings", pack("<i", 2) + string(b"a") + string(b"b")),
    "list of diagnostics": ("diagnostic_infos", pack("<i", 2) + b"\x01" + bytes(4) + b"\x00"),
    "status codes": ("fixed_array", pack("<i", 2) + bytes(8), 4),
}

DAMAGED = {
    "an array longer than the message": ("variant", b"\x8b" + pack("<i", 2**31 - 1)),
    "a negative length": ("variant", b"\x8b" + pack("<i", -2)),
    "a string of negative length": ("variant", b"\x0c" + pack("<i", -2)),
    "a string of negative length in an array": (
        "variant",
        b"\x8c" + pack("<i", 1) + pack("<i", -5),
    ),
    "a string longer than the message": ("variant", b"\x0c" + pack("<i", 100)),
    "an array without a type": ("variant", b"\x80" + pack("<i", 3)),
    "an unknown type": ("variant", b"\x20"),
    "dimensions without an array": ("variant", b"\x4b" + bytes(8)),
    "too many dimensions": ("variant", b"\xc1" + pack("<iB", 1, 1) + pack("<34i", 33, *[1] * 33)),
    "no dimensions": ("variant", b"\xc1" + pack("<iBi", 1, 1, 0)),
    "dimensions of another product": ("variant", b"\xc1" + pack("<iBii", 1, 1, 1, 2)),
    "negative dimensions": ("variant", b"\xc1" + pack("<iBiii", 1, 1, 2, -1, -1)),
    "an unknown node id": ("node_id", b"\x06" + bytes(20)),
    "an unknown localized text": ("variant", b"\x15\x04"),
    "an unknown structure body": ("variant", b"\x16\x00\x00\x03" + string(b"")),
    "a structure body of a negative length": ("variant", b"\x16\x00\x00\x01\xfe\xff\xff\xff"),
    "an unknown data value": ("variant", b"\x17\x40"),
    "unknown diagnostics": ("variant", b"\x19\x80"),
    "diagnostics nested too deep": ("variant", b"\x19" + b"\x40" * (MAX_DEPTH + 1) + b"\x00"),
    "variants nested too deep": ("variant", b"\x18" * (MAX_DEPTH + 1) + b"\x00"),
    "data values nested too deep": ("variant", b"\x17\x01" * (MAX_DEPTH + 1) + b"\x00"),
}


@pytest.mark.parametrize(
    ("method", "data", "arguments"),
    [
        pytest.param(method, data, arguments, id=name)
        for name, (method, data, *arguments) in ENCODED.items()
    ],
)
def test_the_end_of_each_encoding_is_found(method: str, data: bytes, arguments: list[int]) -> None:
    assert end_of(method, data, *arguments) == len(data)


@pytest.mark.parametrize(("method", "data"), DAMAGED.values(), ids=DAMAGED)
def test_damage_is_refused(method: str, data: bytes) -> None:
    with pytest.raises(ScanError):
        end_of(method, data)


def test_variants_may_be_nested_to_the_limit() -> None:
    data = b"\x18" * MAX_DEPTH + b"\x00"

    assert end_of("variant", data) == len(data)


def test_a_message_that_ends_within_a_field_is_damaged() -> None:
    with pytest.raises(ScanError, match="ends within a field"), reading():
        Walker(b"\x0c\x01").variant(0)
    with pytest.raises(ScanError, match="ends within a field"), reading():
        Walker(b"").variant(0)


def test_elements_that_must_be_visited_are_limited() -> None:
    texts = b"\x95" + pack("<i", MAX_ELEMENTS + 1) + bytes(MAX_ELEMENTS + 1)

    with pytest.raises(ScanError, match="elements to visit"):
        Walker(texts).variant(0)


def test_nested_elements_count_too() -> None:
    walker = Walker(b"\x98" + pack("<i", 1) + b"\x18\x18\x00")

    walker.variant(0)

    assert walker.elements_left == MAX_ELEMENTS - 4


def header(type_id: bytes, status: int = 0, end: bytes = b"\x00" + NULL + b"\x00\x00\x00") -> bytes:
    return type_id + pack("<qII", 1, 7, status) + end


FOUR_BYTE = b"\x01\x00" + pack("<H", 829)
NUMERIC = b"\x02" + pack("<HI", 0, 829)
FULL_END = b"\x01" + bytes(4) + pack("<i", 1) + string(b"text") + b"\x00\x07\x01" + string(b"add")


@pytest.mark.parametrize("type_id", [FOUR_BYTE, NUMERIC], ids=["four bytes", "numeric"])
@pytest.mark.parametrize(
    "end", [b"\x00" + NULL + bytes(3), bytes(8), FULL_END], ids=["null", "empty", "full"]
)
def test_a_response_header_is_read(type_id: bytes, end: bytes) -> None:
    body = header(type_id, 0x00A20000, end)

    assert Walker(body + b"parameters").response_header(829) == (7, 0x00A20000, len(body))


def test_a_bad_result_has_no_parameters() -> None:
    assert Walker(header(FOUR_BYTE, 0x80250000)).response_header(829) == (7, 0x80250000, 0)


def test_a_service_fault_is_read_instead_of_any_response() -> None:
    fault = header(b"\x01\x00" + pack("<H", 397), 0x80250000)

    assert Walker(fault).response_header(829) == (7, 0x80250000, 0)


@pytest.mark.parametrize(
    "body",
    [
        header(b"\x01\x00" + pack("<H", 397), 0),
        header(b"\x01\x00" + pack("<H", 830)),
        header(b"\x01\x01" + pack("<H", 829)),
        header(b"\x02" + pack("<HI", 2, 829)),
        header(b"\x03\x00\x00" + string(b"829")),
        header(FOUR_BYTE, 0, b"\x3f" + NULL + bytes(3)),
        header(FOUR_BYTE, 0, b"\x00" + NULL + b"\xc0\x00" + string(b"a")),
    ],
    ids=[
        "fault that is not bad",
        "other response",
        "other namespace",
        "other namespace, numeric",
        "string id",
        "header that ends early",
        "additional header that ends early",
    ],
)
def test_another_message_or_a_broken_header_is_refused(body: bytes) -> None:
    with pytest.raises(ScanError), reading():
        Walker(body).response_header(829)


def test_a_header_whose_last_field_is_cut_is_refused() -> None:
    cut = header(FOUR_BYTE, 0, b"\x20" + bytes(4) + NULL + bytes(2))

    with pytest.raises(ScanError), reading():
        Walker(cut).response_header(829)


def test_a_service_fault_error_names_its_status() -> None:
    error = ServiceFaultError(0x80250000)

    assert error.status == 0x80250000
    assert "0x80250000" in str(error)
