"""Thousands of items by one rule over REST, from the browse caches of two servers."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipes.browse_writer import CacheWriter, Described, Found
from pipes.models import Item, Revision
from tests.integration.plants import make_plant
from tests.integration.rest_client import Rest, rest_as

pytestmark = pytest.mark.django_db(transaction=True)

META = {
    "node": "i=85",
    "start_time": "1",
    "browsed_at": "2026-01-02T03:04:05Z",
    "seconds": "1.5",
}
ENDPOINTS = {"A": "opc.tcp://127.0.0.1:4840", "B": "opc.tcp://127.0.0.1:4841"}


@pytest.fixture(autouse=True)
def folder(settings: Any, tmp_path: Path) -> Path:
    settings.STATION = replace(settings.STATION, data_dir=tmp_path, run_dir=tmp_path / "run")
    return tmp_path / "browse"


@pytest.fixture
def engineer() -> Rest:
    make_plant()
    return rest_as("engineer")


def browsed(folder: Path, server: str, areas: Mapping[str, Mapping[str, str]]) -> None:
    """A cache of ``areas``: folders below Objects, with variables and their types."""
    writer = CacheWriter(folder, server)
    uri = f"urn:{server.lower()}"
    writer.begin(Found("i=85", 0, "", "", 1, is_property=False))
    writer.add(
        1, [Found(f"nsu={uri};s={area}", 2, area, area, 1, is_property=False) for area in areas]
    )
    key = 1 + len(areas)
    for number, (area, variables) in enumerate(areas.items(), 2):
        writer.add(
            number,
            [
                Found(f"nsu={uri};s={area}.{name}", 2, name, name, 2, is_property=False)
                for name in variables
            ],
        )
        types = enumerate(variables.values(), key + 1)
        writer.describe([Described(each, kind, kind, -1, 3) for each, kind in types])
        key += len(variables)
    namespaces = f"http://opcfoundation.org/UA/\nurn:server\n{uri}"
    meta = {"server": server, "endpoint": ENDPOINTS[server], "namespaces": namespaces}
    writer.finish({**META, **meta})


def doubles(*names: str) -> dict[str, str]:
    return dict.fromkeys(names, "Double")


def generate(rest: Rest, query: str = "", **body: Any) -> Any:
    return rest.post(f"/items/generate{query}", {"pipe": "P", **body})


def test_equal_browse_paths_are_previewed_and_then_applied(engineer: Rest, folder: Path) -> None:
    browsed(folder, "A", {"Area": doubles("T1", "T2", "OnlyA")})
    browsed(folder, "B", {"Area": doubles("T2", "T1", "OnlyB")})

    plan = generate(engineer, "?dry_run=true").json()
    before = Item.objects.count()
    done = generate(engineer, "?reason=rule")

    assert before == 0
    assert plan["dry_run"] is True
    assert plan["counts"] == {"add": 2, "change": 0, "delete": 0, "same": 0, "error": 0}
    assert plan["unmatched_counts"] == {"matched": 2, "source": 1, "target": 1}
    assert [(each["side"], each["path"], each["reason"]) for each in plan["unmatched"]] == [
        ("source", "Area/OnlyA", "no_target"),
        ("target", "Area/OnlyB", "no_source"),
    ]
    assert plan["browsed"]["source"]["leaves"] == 3
    assert plan["browsed"]["source"]["age_seconds"] > 0
    assert done.status_code == 200, done.json()
    assert done.json()["revision"] == 2
    assert done["ETag"] == '"2"'
    assert Revision.objects.get(number=2).reason == "rule"
    assert set(Item.objects.values_list("source_node", "target_node")) == {
        ("nsu=urn:a;s=Area.T1", "nsu=urn:b;s=Area.T1"),
        ("nsu=urn:a;s=Area.T2", "nsu=urn:b;s=Area.T2"),
    }


def test_the_same_rule_again_changes_nothing_and_with_other_fields_changes_them(
    engineer: Rest, folder: Path
) -> None:
    browsed(folder, "A", {"Area": doubles("T1", "T2")})
    browsed(folder, "B", {"Area": doubles("T1", "T2")})
    generate(engineer)

    again = generate(engineer).json()
    changed = generate(engineer, item={"sampling_interval_ms": 250, "note": "by rule"}).json()

    assert (again["revision"], again["counts"]["same"]) == (None, 2)
    assert changed["counts"]["change"] == 2
    assert set(Item.objects.values_list("note", flat=True)) == {"by rule"}


def test_what_a_server_tells_of_itself_is_mapped_only_if_it_is_the_root(
    engineer: Rest, folder: Path
) -> None:
    for server in "AB":
        writer = CacheWriter(folder, server)
        uri = f"urn:{server.lower()}"
        writer.begin(Found("i=85", 0, "", "", 1, is_property=False))
        writer.add(1, [Found("i=2253", 0, "Server", "Server", 1, is_property=False)])
        writer.add(2, [Found("i=2267", 0, "ServiceLevel", "", 2, is_property=False)])
        meta = {"server": server, "endpoint": ENDPOINTS[server], "namespaces": f"\n\n{uri}"}
        writer.finish({**META, **meta})

    usual = generate(engineer, "?dry_run=true").json()
    wanted = generate(engineer, "?dry_run=true", source_root="i=2253", target_root="i=2253").json()

    assert (usual["counts"]["add"], usual["unmatched"]) == (0, [])
    assert wanted["counts"]["add"] == 1


def test_a_folder_is_mapped_to_another_with_a_rename(engineer: Rest, folder: Path) -> None:
    browsed(folder, "A", {"Area1": doubles("T1"), "Area2": doubles("T1")})
    browsed(folder, "B", {"Unit": doubles("Tag1")})

    plan = generate(
        engineer,
        source_root="ns=2;s=Area2",
        target_root="nsu=urn:b;s=Unit",
        pattern=r"^T(\d+)$",
        replace=r"Tag\1",
    ).json()

    assert plan["counts"]["add"] == 1
    assert plan["unmatched"] == []
    item = Item.objects.get()
    assert (item.source_node, item.target_node) == (
        "nsu=urn:a;s=Area2.T1",
        "nsu=urn:b;s=Unit.Tag1",
    )


def test_node_ids_are_mapped_by_pattern(engineer: Rest, folder: Path) -> None:
    browsed(folder, "A", {"Area": doubles("T1", "T2", "Other")})
    browsed(folder, "B", {"DB": doubles("Q1", "Q3")})

    plan = generate(
        engineer,
        match="pattern",
        pattern=r"Area\.T(\d)",
        replace=r"DB.Q\1",
        target_root="nsu=urn:b;s=DB",
    ).json()

    assert plan["counts"]["add"] == 1
    assert [(each["path"], each["reason"]) for each in plan["unmatched"]] == [
        ("Area/T2", "no_target"),
        ("Area/Other", "pattern"),
        ("Q3", "no_source"),
    ]


def test_types_that_do_not_convert_are_findings(engineer: Rest, folder: Path) -> None:
    browsed(folder, "A", {"Area": {"T1": "ByteString", "T2": "Double"}})
    browsed(folder, "B", {"Area": {"T1": "Double", "T2": "Int16"}})

    found = generate(engineer, "?dry_run=true").json()["findings"]

    (finding,) = [each for each in found if each["rule"] != "no_security"]
    assert finding["rule"] == "type_mismatch"
    assert finding["rows"] == [1]
    assert "ByteString does not convert to Double" in finding["message"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"pipe": "Q"}, "pipe"),
        ({"pipe": ""}, "pipe"),
        ({"pipe": 5}, "pipe"),
        ({"match": "guess"}, "match"),
        ({"match": "pattern"}, "pattern"),
        ({"replace": "x"}, "replace"),
        ({"pattern": "("}, "pattern"),
        ({"pattern": "T", "replace": r"\1"}, "replace"),
        ({"pattern": "x" * 501}, "pattern"),
        ({"source_root": "ns=2;s=Nowhere"}, "source_root"),
        ({"source_root": "nonsense"}, "source_root"),
        ({"target_root": "nsu=urn:not:here;s=X"}, "target_root"),
        ({"item": 5}, "item"),
        ({"item": {"direction": "sideways"}}, "item.direction"),
        ({"item": {"source_node": "i=5"}}, "item.source_node"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_wrong_field_is_named(
    engineer: Rest, folder: Path, body: dict[str, Any], field: str
) -> None:
    browsed(folder, "A", {"Area": doubles("T1")})
    browsed(folder, "B", {"Area": doubles("T1")})

    answer = generate(engineer, **body)

    assert answer.status_code == 400, answer.content
    assert answer.json()["errors"][0]["field"] == field
    assert not Item.objects.exists()


def test_a_pattern_that_needs_for_ever_is_stopped(
    engineer: Rest, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipes.patterns.SECONDS", 1)
    name = "a" * 60
    browsed(folder, "A", {"Area": doubles(name)})
    browsed(folder, "B", {"Area": doubles("T1")})
    began = time.monotonic()

    answer = generate(engineer, pattern="(a+)+b", replace="c")

    assert answer.status_code == 400
    assert "takes more than 1 s" in answer.json()["errors"][0]["message"]
    assert time.monotonic() - began < 10


def test_without_a_browse_the_way_to_one_is_told(engineer: Rest, folder: Path) -> None:
    browsed(folder, "A", {"Area": doubles("T1")})

    answer = generate(engineer)

    assert answer.status_code == 409
    assert answer.json()["code"] == "no_browse_cache"
    assert "/servers/B/browse/cache" in answer.json()["detail"]


def test_a_stale_rule_is_refused(engineer: Rest, folder: Path) -> None:
    browsed(folder, "A", {"Area": doubles("T1")})
    browsed(folder, "B", {"Area": doubles("T1")})
    engineer.patch("/pipes/P", {"note": "x"})

    for query in ("", "?dry_run=true"):
        answer = engineer.post(f"/items/generate{query}", {"pipe": "P"}, HTTP_IF_MATCH='"1"')
        assert answer.status_code == 412


def test_ten_thousand_items_by_one_rule_take_seconds(engineer: Rest, folder: Path) -> None:
    areas = {f"Area{number}": doubles(*(f"T{tag}" for tag in range(500))) for number in range(20)}
    browsed(folder, "A", areas)
    browsed(folder, "B", areas)
    began = time.process_time()
    plan = generate(engineer, "?dry_run=true&rows=100", pattern="Area", replace="Area")
    planned = time.process_time() - began
    done = generate(engineer, "?rows=0", pattern="Area", replace="Area")
    taken = time.process_time() - began

    print(f"10,000 items: preview {planned:.2f} s, with apply {taken:.2f} s of CPU")  # noqa: T201
    assert plan.json()["counts"]["add"] == 10_000
    assert done.json()["counts"]["add"] == 10_000
    assert Item.objects.count() == 10_000
    assert taken < 10


class TestCachedBrowse:
    def test_the_cache_is_browsed_and_searched_in_pages(self, engineer: Rest, folder: Path) -> None:
        browsed(folder, "A", {"Area": doubles("T1", "T2", "T3"), "Unit": doubles("T1")})

        top = engineer.get("/servers/A/browse?cached=true").json()
        first = engineer.get("/servers/A/browse?cached=true&depth=5&search=t&limit=2").json()
        query = f"cached=true&depth=5&search=t&limit=9&continuation={first['continuation']}"
        rest = engineer.get(f"/servers/A/browse?{query}").json()

        assert [row["display_name"] for row in top["results"]] == ["Area", "Unit"]
        assert top["results"][0]["has_children"] is True
        assert top["cache"]["nodes"] == 7
        names = [row["node_id"] for row in first["results"] + rest["results"]]
        assert [name.rpartition("=")[2] for name in names] == [
            "Unit",
            "Area.T1",
            "Area.T2",
            "Area.T3",
            "Unit.T1",
        ]
        assert rest["continuation"] is None
        variable = rest["results"][-1]
        assert (variable["data_type"], variable["value_rank"], variable["access"]) == (
            "Double",
            -1,
            "rw",
        )
        assert variable["browse_name"] == "2:T1"

    @pytest.mark.parametrize(
        ("query", "status"),
        [
            ("cached=maybe", 400),
            ("cached=true&node=ns=2;s=Nowhere", 400),
            ("cached=true&continuation=x", 400),
            ("cached=true&depth=65", 400),
            ("cached=true&node=ns=2;s=Area&depth=64", 200),
        ],
    )
    def test_wrong_queries_are_named(
        self, engineer: Rest, folder: Path, query: str, status: int
    ) -> None:
        browsed(folder, "A", {"Area": doubles("T1")})

        assert engineer.get(f"/servers/A/browse?{query}").status_code == status

    def test_the_state_without_workers_tells_of_the_cache(
        self, engineer: Rest, folder: Path
    ) -> None:
        none = engineer.get("/servers/A/browse/cache").json()
        browsed(folder, "A", {"Area": doubles("T1")})
        there = engineer.get("/servers/A/browse/cache").json()

        assert (none["state"], none["cache"]) == ("none", None)
        assert there["cache"]["variables"] == 1
        assert there["cache"]["server_restarted"] is None

    @pytest.mark.parametrize("body", [{"max_nodes": 0}, {"node": "x"}, {"max_nodes": True}])
    def test_a_wrong_start_is_named(self, engineer: Rest, body: dict[str, Any]) -> None:
        answer = engineer.post("/servers/A/browse/cache", body)

        assert answer.status_code == 400
        assert answer.json()["errors"][0]["field"] in body

    def test_without_pipe_workers_nothing_is_browsed(self, engineer: Rest) -> None:
        answer = engineer.post("/servers/A/browse/cache", {})

        assert answer.status_code == 503
        assert engineer.delete("/servers/A/browse/cache").json()["state"] == "none"
