from __future__ import annotations

from typing import Any

import pytest

from pipes.core.fields import (
    FIELDS,
    READ_ONLY,
    Kind,
    apply_patch,
    check_on_pipe,
    check_whole,
    complete,
    complete_item,
    flatten,
    follows_pipe,
    read_patch,
)
from pipes.core.nested import TRANSFORMS, VALUE_TYPES
from pipes.core.plan import Change
from pipes.core.problems import FieldError, WrongError
from pipes.core.transform import compile_transform

#: The contract's defaults (section 7).
ITEM = {
    "id": 17,
    "pipe": "P1",
    "source_node": "ns=2;s=a",
    "target_node": "ns=2;s=b",
    "direction": "forward",
    "enabled": True,
    "kind": "state",
    "sampling_interval_ms": None,
    "minimum_interval_ms": 0,
    "trigger": "status_value",
    "deadband": {"type": "none", "value": 0},
    "transform": {"kind": "none"},
    "condition": None,
    "quality": None,
    "substitute": None,
    "refresh_seconds": 0,
    "verify": False,
    "index_range": "",
    "note": "",
}


def read(kind: Kind, /, **raw: Any) -> dict[str, Any]:
    patch, errors = read_patch(kind, raw)
    assert errors == []
    return patch


def wrong(kind: Kind, /, **raw: Any) -> list[FieldError]:
    _, errors = read_patch(kind, raw)
    assert errors
    return errors


def test_a_complete_item_has_the_defaults_of_the_contract() -> None:
    trimmed = {"id": 17, "pipe": "P1", "source_node": "ns=2;s=a", "target_node": "ns=2;s=b"}
    assert complete(Kind.ITEM, trimmed) == ITEM


def test_what_is_at_its_default_is_left_out() -> None:
    patch = read(Kind.ITEM, **ITEM)
    assert follows_pipe(apply_patch({}, patch), {}) == {
        "pipe": "P1",
        "source_node": "ns=2;s=a",
        "target_node": "ns=2;s=b",
    }


def test_a_complete_server_and_pipe_read_back_as_themselves() -> None:
    server = {"name": "A", "endpoint": "opc.tcp://h:1"}
    pipe = {"name": "P", "source": "A", "target": "B"}
    assert apply_patch({}, read(Kind.SERVER, **complete(Kind.SERVER, server))) == server
    assert apply_patch({}, read(Kind.PIPE, **complete(Kind.PIPE, pipe))) == pipe
    assert complete(Kind.PIPE, pipe)["queue_age_seconds"] == 60


def test_an_unknown_field_is_an_error_and_a_read_only_one_is_ignored() -> None:
    (error,) = wrong(Kind.ITEM, colour="red")
    assert (error.field, error.value) == ("colour", "red")
    assert "transform" in error.allowed
    for kind in Kind:
        assert read(kind, **dict.fromkeys(READ_ONLY[kind], 1)) == {}


def test_null_means_the_default() -> None:
    assert apply_patch({"name": "P", "dry_run": True}, read(Kind.PIPE, dry_run=None)) == {
        "name": "P"
    }


def test_errors_name_the_child() -> None:
    errors = wrong(Kind.ITEM, transform={"kind": "linear", "gain": "x", "offset": "y"})
    assert [error.field for error in errors] == ["transform.gain", "transform.offset"]
    (error,) = wrong(Kind.ITEM, transform={"kind": "liner"})
    assert error.field == "transform.kind"
    assert "linear" in error.allowed
    (error,) = wrong(Kind.ITEM, transform={"kind": "none", "gain": 2})
    assert error.message == "does not belong to a transform of kind none"
    (error,) = wrong(Kind.ITEM, transform={"speed": 2})
    assert (error.field, error.message) == ("transform.speed", "is no known field")
    (error,) = wrong(Kind.ITEM, transform="linear")
    assert error.field == "transform"


def test_a_transform_is_brought_to_its_one_form() -> None:
    patch = read(Kind.ITEM, transform={"kind": "linear", "gain": 2.0, "to_type": None})
    assert patch["transform"] == {"kind": "linear", "gain": 2, "offset": 0}
    patch = read(Kind.ITEM, transform={"kind": "none", "gain": None})
    assert patch["transform"] is None
    patch = read(
        Kind.ITEM, transform={"kind": "convert", "to_type": "Int16", "on_overflow": "saturate"}
    )
    assert patch["transform"] == {"kind": "convert", "to_type": "Int16", "on_overflow": "saturate"}


def test_a_deadband_of_no_type_has_no_width() -> None:
    assert read(Kind.ITEM, deadband={"type": "none", "value": 5})["deadband"] is None
    patch = read(Kind.ITEM, deadband={"type": "absolute", "value": 0.5})
    assert patch["deadband"] == {"type": "absolute", "value": 0.5}
    (error,) = wrong(Kind.ITEM, deadband={"type": "absolute", "value": -1})
    assert error.field == "deadband.value"


@pytest.mark.parametrize(
    ("body", "field", "word"),
    [
        pytest.param({"kind": "event", "refresh_seconds": 5}, "refresh_seconds", "never repeated",
                     id="an event is not refreshed"),
        pytest.param({"kind": "event", "direction": "both"}, "direction", "forward or reverse",
                     id="an event has one direction"),
        pytest.param({"kind": "queue", "direction": "both"}, "direction", "forward or reverse",
                     id="samples in order have one direction"),
    ],
)  # fmt: skip
def test_what_an_item_of_this_kind_cannot_have_is_refused(
    body: dict[str, Any], field: str, word: str
) -> None:
    required = {"pipe": "P", "source_node": "i=1", "target_node": "i=2"}

    (error,) = check_whole(Kind.ITEM, {**required, **body})

    assert error.field == field
    assert word in error.message


@pytest.mark.parametrize("kind", ["state", "queue", "event"])
def test_every_kind_of_item_may_be_saved(kind: str) -> None:
    body = {"pipe": "P", "source_node": "i=1", "target_node": "i=2", "direction": "reverse"}

    assert check_whole(Kind.ITEM, {**body, "kind": kind}) == []


@pytest.mark.parametrize(
    ("transform", "direction", "field", "told"),
    [
        ({"kind": "unit", "from": "bar", "to": "°C"}, "forward", "transform.to", "temperature"),
        ({"kind": "bits", "first": 3, "count": 1}, "both", "transform", "use pack"),
        ({"kind": "format", "pattern": "bar"}, "forward", "transform.pattern", "no place"),
    ],
)
def test_a_transform_that_cannot_be_carried_out_is_refused_when_saved(
    transform: dict[str, Any], direction: str, field: str, told: str
) -> None:
    body = {"pipe": "P", "source_node": "i=1", "target_node": "i=2", "direction": direction}
    (error,) = check_whole(Kind.ITEM, {**body, "transform": transform})
    assert error.field == field
    assert told in error.message


def test_wrong_conditions_sets_and_tables_are_refused() -> None:
    errors = wrong(Kind.ITEM, condition={"node": "x"})
    assert [error.field for error in errors] == ["condition.node", "condition.equals"]
    (error,) = wrong(Kind.SERVER, server_set={"endpoints": ["opc.tcp://h:1"]})
    assert error.field == "server_set.endpoints"
    (error,) = wrong(Kind.PIPE, quality_table=[])
    assert error.field == "quality_table"


class TestLaterSettings:
    """The contract's checks hold for what later versions run, too."""

    @pytest.mark.parametrize("kind", [kind for kind in TRANSFORMS if kind != "none"])
    def test_every_transform_reads_back_as_itself(self, kind: str) -> None:
        samples: dict[str, Any] = {
            "in_low": 0,
            "in_high": 10,
            "out_low": 0,
            "out_high": 100,
            "table": {"0": "Off", "1": 1.5},
            "default": True,
            "pattern": "%d",
            "from": "degC",
            "to": "K",
        }
        own = {
            child.name: samples[child.name] for child in TRANSFORMS[kind] if child.name in samples
        }
        checked = read(Kind.ITEM, transform={"kind": kind, **own})["transform"]
        assert read(Kind.ITEM, transform=checked)["transform"] == checked
        assert set(checked) == {"kind", *(child.name for child in TRANSFORMS[kind])}

    def test_a_range_needs_a_width_and_all_its_ends(self) -> None:
        errors = wrong(Kind.ITEM, transform={"kind": "range", "in_low": 1, "in_high": 1})
        assert {error.field for error in errors} == {"transform.out_low", "transform.out_high"}
        ends = {"in_low": 1, "in_high": 1, "out_low": 0, "out_high": 1}
        (error,) = wrong(Kind.ITEM, transform={"kind": "range", **ends})
        assert error.field == "transform.in_high"

    def test_a_lookup_needs_a_table(self) -> None:
        (error,) = wrong(Kind.ITEM, transform={"kind": "lookup", "table": {}})
        assert error.field == "transform.table"

    def test_percent_ends_at_100(self) -> None:
        (error,) = wrong(Kind.ITEM, deadband={"type": "percent", "value": 101})
        assert error.field == "deadband.value"
        assert read(Kind.ITEM, deadband={"type": "percent", "value": 100})["deadband"]

    def test_a_manual_server_set_has_endpoints(self) -> None:
        (error,) = wrong(Kind.SERVER, server_set={"mode": "manual"})
        assert error.field == "server_set.endpoints"
        servers = {"mode": "manual", "endpoints": ["opc.tcp://h:1"], "failover": "hot"}
        assert read(Kind.SERVER, server_set=servers)["server_set"] == servers

    @pytest.mark.parametrize(
        ("server_set", "field", "told"),
        [
            ({"endpoints": ["opc.tcp://h:1"]}, "endpoints", "must be empty, because mode is none"),
            ({"failover": "hot"}, "failover", "must be warm, because mode is none"),
            ({"mode": "manual", "failover": "hot"}, "endpoints", "must name at least one"),
            (
                {"mode": "auto", "endpoints": ["opc.tcp://h:1", "opc.tcp://H:1/"]},
                "endpoints",
                "must name opc.tcp://H:1/ once only",
            ),
            ({"mode": "manual", "endpoints": ["http://h:1"]}, "endpoints", "must begin with opc"),
            (
                {"mode": "manual", "endpoints": [f"opc.tcp://h:{n}" for n in range(1, 18)]},
                "endpoints",
                "16",
            ),
            ({"mode": "some"}, "mode", "none, auto or manual"),
            ({"member": []}, "member", "is no known field"),
        ],
    )
    def test_nonsense_of_a_server_set_is_named(self, server_set, field: str, told: str) -> None:
        (error,) = wrong(Kind.SERVER, server_set=server_set)
        assert error.field.startswith(f"server_set.{field}")
        assert told in error.message

    def test_no_member_is_listed_that_is_the_endpoint_itself(self) -> None:
        body = {
            "name": "A",
            "endpoint": "opc.tcp://plc1:4840",
            "server_set": {
                "mode": "manual",
                "endpoints": ["opc.tcp://plc2:4840", "opc.tcp://PLC1:4840"],
                "failover": "warm",
            },
        }
        (error,) = check_whole(Kind.SERVER, body)
        assert error.field == "server_set.endpoints"
        assert "opc.tcp://PLC1:4840, which is the server's endpoint" in error.message
        assert not check_whole(Kind.SERVER, {**body, "endpoint": "opc.tcp://plc3:4840"})
        assert not check_whole(Kind.SERVER, {**body, "standby_endpoint": "opc.tcp://plc2:4840"})

    def test_conditions_are_taken(self) -> None:
        assert read(Kind.ITEM, condition={"node": "i=85", "equals": False})["condition"]


def test_the_quality_contract_is_taken_in_its_one_spelling() -> None:
    assert read(Kind.ITEM, quality="substitute", substitute="x")["substitute"] == "x"
    patch = read(Kind.PIPE, quality="stop", quality_table={"bad": "hold"})
    assert patch == {"quality": "stop", "quality_table": {"Bad": "hold"}}
    (error,) = wrong(Kind.PIPE, quality_table={"Bad": 1})
    assert error.field == "quality_table.Bad"


def test_a_minimum_interval_and_every_sample_do_not_go_together() -> None:
    needed = {"pipe": "P", "source_node": "ns=2;s=a", "target_node": "ns=2;s=b"}
    paced = {**needed, "minimum_interval_ms": 500}
    assert not check_whole(Kind.ITEM, paced)
    (error,) = check_whole(Kind.ITEM, {**paced, "kind": "queue"})
    assert error.field == "minimum_interval_ms"


def test_quality_substitute_asks_for_its_value() -> None:
    needed = {"pipe": "P", "source_node": "ns=2;s=a", "target_node": "ns=2;s=b"}
    (error,) = check_whole(Kind.ITEM, {**needed, "quality": "substitute"})
    assert error.field == "substitute"
    assert not check_whole(Kind.ITEM, {**needed, "quality": "substitute", "substitute": 0})


def test_required_fields_are_asked_for_together() -> None:
    assert [error.field for error in check_whole(Kind.PIPE, {})] == ["name", "source", "target"]


@pytest.mark.parametrize(
    ("server", "field"),
    [
        ({"security_policy": "None"}, "security_mode"),
        ({"security_mode": "None"}, "security_mode"),
        ({"auth": "username"}, "username"),
        ({"auth": "username", "username": "anna"}, None),
        ({"security_policy": "None", "security_mode": "None"}, None),
        ({"security_mode": "Sign"}, None),
    ],
)
def test_security_settings_must_fit_together(server: dict[str, Any], field: str | None) -> None:
    errors = check_whole(Kind.SERVER, {"name": "A", "endpoint": "opc.tcp://h:1", **server})
    assert [error.field for error in errors] == ([field] if field else [])


@pytest.mark.parametrize(
    ("item", "field"),
    [
        (
            {"direction": "both", "transform": {"kind": "linear", "gain": 0, "offset": 0}},
            "transform",
        ),
        ({"direction": "both", "transform": {"kind": "linear", "gain": 2, "offset": 0}}, None),
        ({"direction": "forward", "transform": {"kind": "linear", "gain": 0, "offset": 0}}, None),
        ({"direction": "both"}, None),
    ],
)
def test_what_moves_in_reverse_needs_an_inverse(item: dict[str, Any], field: str | None) -> None:
    whole = {"pipe": "P", "source_node": "i=1", "target_node": "i=2", **item}
    assert [error.field for error in check_whole(Kind.ITEM, whole)] == ([field] if field else [])


@pytest.mark.parametrize("to_type", VALUE_TYPES)
def test_every_type_that_may_be_chosen_can_be_made(to_type: str) -> None:
    compile_transform({"kind": "convert", "to_type": to_type})


def test_flattening_names_children_by_their_columns() -> None:
    body = {"id": 1, "transform": {"kind": "linear", "gain": 2}, "quality_table": {"a": 1}}
    assert flatten(Kind.ITEM, body) == {
        "id": 1,
        "transform.kind": "linear",
        "transform.gain": 2,
        "quality_table": {"a": 1},
    }


def test_a_field_that_is_read_alone_raises_its_errors() -> None:
    with pytest.raises(WrongError, match="must be forward, reverse or both"):
        FIELDS[Kind.ITEM]["direction"].read("up")
    assert FIELDS[Kind.ITEM]["direction"].read(None) is None


@pytest.mark.parametrize(
    ("body", "pipe", "kind"),
    [
        pytest.param({}, {}, "state", id="a state by default"),
        pytest.param({}, {"overflow": "queue"}, "queue", id="a queue on a pipe with queues"),
        pytest.param({"direction": "both"}, {"overflow": "queue"}, "state", id="not of both sides"),
        pytest.param({"kind": "event"}, {"overflow": "queue"}, "event", id="an event stays one"),
        pytest.param({"kind": "queue"}, {}, "queue", id="a queue of its own"),
        pytest.param({"kind": "state"}, {"overflow": "queue"}, "state", id="a state of its own"),
    ],
)
def test_an_item_shows_the_kind_that_it_has_on_its_pipe(
    body: dict[str, Any], pipe: dict[str, Any], kind: str
) -> None:
    item = {"id": 1, "pipe": "P", "source_node": "i=1", "target_node": "i=2", **body}

    assert complete_item(item, pipe)["kind"] == kind


class TestAKindOfItsOwn:
    """``state`` said of an item is another thing than nothing said, on a pipe with queues."""

    def test_is_kept_although_it_is_the_default(self) -> None:
        assert read(Kind.ITEM, kind="state", direction="forward") == {
            "kind": "state",
            "direction": None,
        }

    def test_is_shown_in_a_plan(self) -> None:
        item = {"id": 1, "pipe": "P"}

        change = Change(Kind.ITEM, 1, item, {**item, "kind": "state"})

        assert change.fields() == {"kind": {"old": None, "new": "state"}}

    @pytest.mark.parametrize(
        ("kind", "overflow", "is_kept"),
        [
            ("state", "latest", False),
            ("state", "queue", True),
            ("queue", "latest", True),
            ("queue", "queue", False),
            ("event", "queue", True),
        ],
    )
    def test_is_none_where_the_pipe_gives_it_anyway(
        self, kind: str, overflow: str, is_kept: bool
    ) -> None:
        body = {"pipe": "P", "kind": kind}

        followed = follows_pipe(body, {"overflow": overflow})

        assert followed == (body if is_kept else {"pipe": "P"})

    @pytest.mark.parametrize(
        ("body", "overflow", "is_wrong"),
        [
            ({"minimum_interval_ms": 100}, "queue", True),
            ({"minimum_interval_ms": 100, "kind": "state"}, "queue", False),
            ({"minimum_interval_ms": 100, "direction": "both"}, "queue", False),
            ({"minimum_interval_ms": 100}, "latest", False),
            ({}, "queue", False),
        ],
    )
    def test_lets_an_item_of_a_pipe_with_queues_have_a_minimum_interval(
        self, body: dict[str, Any], overflow: str, is_wrong: bool
    ) -> None:
        errors = check_on_pipe(body, {"overflow": overflow})

        assert [error.field for error in errors] == ["minimum_interval_ms"] * is_wrong
