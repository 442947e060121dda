"""What a transform would write, asked over REST."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.cache import cache

from pipes import services
from pipes.models import Item, Server
from pipes.previewing import server_of
from tests.integration.plants import A, make_plant
from tests.integration.rest_client import Rest, rest_as

pytestmark = pytest.mark.django_db(transaction=True)
PATH = "/items/preview"


@pytest.fixture
def engineer() -> Rest:
    cache.clear()
    return rest_as("engineer")


def written(rest: Rest, transform: dict[str, Any], *values: Any, **more: Any) -> list[Any]:
    answer = rest.post(PATH, {"transform": transform, "values": list(values), **more})
    assert answer.status_code == 200, answer.content
    return [(row["written"], row["data_type"]) for row in answer.json()]


def test_what_would_be_written_is_shown_for_each_value(engineer):
    linear = {"kind": "linear", "gain": 0.5, "offset": 1}
    assert written(engineer, linear, 4, 2.5, [2, 4]) == [
        (3.0, "Double"),
        (2.25, "Double"),
        ([2.0, 3.0], "Double"),
    ]
    states = {"kind": "lookup", "table": {"0": "Off", "1": "On"}}
    assert written(engineer, states, True) == [("On", "String")]
    assert written(engineer, states, "On", direction="reverse") == [("1", "String")]
    assert written(engineer, {"kind": "none"}, 2**63) == [(str(2**63), "UInt64")]


def test_why_nothing_would_be_written_is_said_for_each_value(engineer):
    answer = engineer.post(
        PATH, {"transform": {"kind": "parse", "pattern": "{:d} rpm"}, "values": ["x", [1, [2]]]}
    )
    one, other = answer.json()
    assert "no whole number" in one["error"] or "not of the form" in one["error"]
    assert one["written"] is None
    assert "matrix" in other["error"]


@pytest.mark.parametrize(
    ("body", "field", "told"),
    [
        ({"transform": {"kind": "square"}, "values": []}, "transform.kind", "linear"),
        (
            {"transform": {"kind": "bits", "first": 1}, "direction": "reverse", "values": []},
            "transform",
            "use pack",
        ),
        ({"transform": {}, "direction": "up", "values": []}, "direction", "forward"),
        ({"transform": {}}, "values", "either"),
        ({"transform": {}, "values": [1], "source_node": "i=1"}, "values", "either"),
        ({"transform": {}, "values": 5}, "values", "list"),
        ({"transform": {}, "source_node": "i=1"}, "server", "no server yet"),
        ({"transform": {}, "source_node": 1}, "source_node", "NodeId"),
        ({"transform": {}, "source_node": "i=1", "server": 1}, "server", "name of a server"),
        ({"transform": {}, "source_node": "i=1", "pipe": ["P"]}, "pipe", "name of a pipe"),
        (
            {"transform": {}, "source_node": "i=1", "server": "A", "pipe": "P"},
            "server",
            "not both",
        ),
        ({"transform": {}, "source_node": "T1"}, "source_node", "write it as"),
    ],
)
def test_a_wrong_request_is_refused_by_field(engineer, body, field, told):
    answer = engineer.post(PATH, body)
    assert answer.status_code == 400
    (error,) = answer.json()["errors"]
    assert error["field"] == field
    assert told in error["message"]


def test_a_server_that_is_not_configured_is_not_found(engineer):
    body = {"transform": {}, "source_node": "i=2258", "server": "NOBODY"}
    assert engineer.post(PATH, body).status_code == 404


def test_a_pipe_that_is_not_configured_is_not_found(engineer):
    body = {"transform": {}, "source_node": "i=2258", "pipe": "NOBODY"}
    assert engineer.post(PATH, body).status_code == 404


class TestWhoseNodeIsMeant:
    def test_the_only_server(self):
        services.create_server(A, user="u")
        assert server_of({"source_node": "i=2258"}) == "A"

    @pytest.mark.parametrize(
        ("named", "server"),
        [
            ({"server": "b"}, "B"),
            ({"pipe": "p"}, "A"),
            ({"pipe": "P", "direction": "both"}, "A"),
            ({"pipe": "P", "direction": "reverse"}, "B"),
        ],
    )
    def test_what_is_named(self, named, server):
        make_plant(1)
        assert server_of({"source_node": "i=2258", **named}) == server

    def test_the_only_one_of_which_an_item_reads_the_node(self):
        make_plant(1)
        item = Item.objects.get()
        assert server_of({"source_node": item.source_node}) == "A"
        assert server_of({"source_node": item.target_node, "direction": "reverse"}) == "B"

    def test_the_only_one_that_has_the_namespace(self):
        make_plant(1)
        Server.objects.filter(name="B").update(namespaces=["", "urn:b", "urn:plant:b"])
        assert server_of({"source_node": "nsu=urn:plant:b;s=other"}) == "B"

    def test_otherwise_the_request_is_refused_and_names_them(self, engineer):
        make_plant(1)
        answer = engineer.post(PATH, {"transform": {}, "source_node": "i=2258"})
        (error,) = answer.json()["errors"]
        assert (error["field"], error["allowed"]) == ("server", ["A", "B"])
        assert "server or pipe is missing: source_node may be of A and B" in error["message"]
