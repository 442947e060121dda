"""What the linter calls an error is saved by no route; what it warns of is shown (fault F52)."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command

from pipes import namespaces, services, workbook_writer
from pipes.browse_writer import CacheWriter, Described, Found
from pipes.core.fields import Kind
from pipes.models import Item, Server
from tests.integration.plants import OPEN, document_of, make_plant, nodes
from tests.integration.rest_client import Rest, rest_as

pytestmark = pytest.mark.django_db(transaction=True)

BACK = {"name": "Back", "source": "B", "target": "A"}
A = {"name": "A", "endpoint": "opc.tcp://127.0.0.1:4840", **OPEN}
B = {"name": "B", "endpoint": "opc.tcp://127.0.0.1:4841"}


@pytest.fixture(autouse=True)
def _fresh_throttles_and_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cache.clear()
    station = replace(settings.STATION, data_dir=tmp_path, run_dir=tmp_path / "run")
    monkeypatch.setattr(settings, "STATION", station)


@pytest.fixture
def engineer() -> Rest:
    return rest_as("engineer")


def back(number: int, **more: Any) -> dict[str, Any]:
    """An item of pipe Back that leads to where item ``number`` of pipe P came from."""
    there = nodes(number)
    return {
        "pipe": "Back",
        "source_node": there["target_node"],
        "target_node": there["source_node"],
        **more,
    }


@pytest.fixture
def plant() -> None:
    """Pipe P with three items, and a pipe Back that has none yet: revision 1."""
    listed = [nodes(number) for number in (1, 2, 3)]
    whole = document_of(*listed, pipes=[{"name": "P", "source": "A", "target": "B"}, BACK])
    services.apply_document(whole, user="anna", reason="plant")


def whole_with(*items: dict[str, Any]) -> dict[str, Any]:
    return {**services.document(), "items": [*services.document()["items"], *items]}  # type: ignore[misc]


COLUMNS = ("pipe", "source_node", "target_node", "substitute")
KEPT = [nodes(number) for number in (1, 2, 3, 4)]
"""What stands before the item in a file: without these, ``replace`` would delete the plant."""


def cells_of(item: dict[str, Any]) -> list[Any]:
    return [item.get(column, "") for column in COLUMNS]


def csv_with(*items: dict[str, Any]) -> bytes:
    return "\r\n".join(",".join(map(str, row)) for row in (COLUMNS, *map(cells_of, items))).encode()


def json_with(*items: dict[str, Any]) -> bytes:
    return json.dumps(items).encode()


def xlsx_with(*items: dict[str, Any]) -> bytes:
    return workbook_writer.write({"items": (COLUMNS, map(cells_of, items))})


FILES = {"csv": csv_with, "json": json_with, "xlsx": xlsx_with}


def post_one(rest: Rest, item: dict[str, Any]) -> Any:
    return rest.post("/items", item)


def plan_one(rest: Rest, item: dict[str, Any]) -> Any:
    return rest.post("/items?dry_run=true", item)


def plan_change(rest: Rest, item: dict[str, Any]) -> Any:
    made = rest.post("/items", {**item, "enabled": False})
    return rest.patch(f"/items/{made.json()['id']}?dry_run=true", {"enabled": True})


def post_many(rest: Rest, item: dict[str, Any]) -> Any:
    return rest.post("/items", [nodes(4), item])


def import_as(form: str, mode: str) -> Callable[[Rest, dict[str, Any]], Any]:
    def send(rest: Rest, item: dict[str, Any]) -> Any:
        upload = SimpleUploadedFile(f"items.{form}", FILES[form](*KEPT, item))
        path = f"/api/v1/items/import?mode={mode}"
        return rest.client.post(path, {"file": upload}, format="multipart")

    return send


def put_whole(rest: Rest, item: dict[str, Any]) -> Any:
    return rest.put("/configuration", whole_with(item))


def merge_whole(rest: Rest, item: dict[str, Any]) -> Any:
    part = {**whole_with(), "servers": [], "pipes": [], "items": [nodes(4), item]}
    return rest.put("/configuration?mode=merge", part)


def patch_one(rest: Rest, item: dict[str, Any]) -> Any:
    made = rest.post("/items", {**item, "enabled": False})
    assert made.status_code == 201, made.content
    return rest.patch(f"/items/{made.json()['id']}", {"enabled": True})


def patch_many(rest: Rest, item: dict[str, Any]) -> Any:
    made = rest.post("/items", {**item, "enabled": False})
    return rest.patch("/items", [{"id": made.json()["id"], "enabled": True}])


def generate(rest: Rest, item: dict[str, Any]) -> Any:
    """By a rule that finds just this item."""
    body = services.find(Kind.PIPE, item["pipe"]).trimmed
    for end in ("source", "target"):
        browsed(str(body[end]), item[f"{end}_node"])
    fields = {name: value for name, value in item.items() if name not in COLUMNS[:3]}
    return rest.post("/items/generate", {"pipe": item["pipe"], "item": fields})


def browsed(server: str, node: str) -> None:
    """A browse cache of ``server`` with one variable, X."""
    writer = CacheWriter(settings.STATION.data_dir / "browse", server)
    writer.begin(Found("i=85", 0, "", "", 1, is_property=False))
    writer.add(1, [Found(node, 2, "X", "X", 2, is_property=False)])
    writer.describe([Described(2, "Double", "Double", -1, 3)])
    about = {"node": "i=85", "start_time": "1", "browsed_at": "2026-01-02T03:04:05Z"}
    namespaces = f"\n\nurn:{server.lower()}"
    endpoint = {"A": A, "B": B}[server]["endpoint"]
    writer.finish(
        {**about, "seconds": "1", "server": server, "endpoint": endpoint, "namespaces": namespaces}
    )


Send = Callable[[Rest, dict[str, Any]], Any]
#: Every route by which an item is saved: how, and the row and field that are blamed.
ROUTES: dict[str, tuple[Send, int | None, str]] = {
    "one item": (post_one, None, "target_node"),
    "bulk": (post_many, 2, "target_node"),
    "document": (put_whole, 4, "target_node"),
    "document to merge": (merge_whole, 2, "target_node"),
    "change of an item": (patch_one, None, "enabled"),
    "bulk change": (patch_many, 1, "enabled"),
    "rule": (generate, 1, "target_node"),
    **{
        f"import of {form} to {mode}": (import_as(form, mode), row, "target_node")
        for form, row in (("csv", 6), ("xlsx", 6), ("json", 5))
        for mode in ("merge", "replace")
    },
}
#: A single object is answered as it is, and its plan is asked for with a dry run.
WITHOUT_PLAN = {"one item": plan_one, "change of an item": plan_change}
WRONG = {
    "loop": back(2),
    "two_writers": nodes(9, target_node=nodes(2)["target_node"]),
    "same_node": {"pipe": "Same", "source_node": "nsu=urn:a;s=S", "target_node": "nsu=urn:a;s=S"},
}


@pytest.mark.usefixtures("plant")
@pytest.mark.parametrize("rule", WRONG)
@pytest.mark.parametrize("route", ROUTES)
def test_no_route_saves_what_is_an_error(engineer: Rest, route: str, rule: str) -> None:
    services.create_pipe({"name": "Same", "source": "A", "target": "A"}, user="anna")
    send, row, field = ROUTES[route]

    answer = send(engineer, WRONG[rule])

    assert answer.status_code == 400, answer.content
    (error,) = answer.json()["errors"]
    assert (error["field"], error.get("row")) == (field, row)
    assert error["message"].startswith(f"is refused ({rule}): ")
    assert not Item.objects.filter(enabled=True, pk__gt=3).exists()


@pytest.mark.usefixtures("plant")
def test_a_dry_run_shows_the_rows_that_would_be_refused(engineer: Rest) -> None:
    answer = engineer.post("/items?dry_run=true", [nodes(4), back(4), back(2)])
    plan = answer.json()
    assert answer.status_code == 200
    assert [row["row"] for row in plan["rows"] if row["action"] == "error"] == [1, 2, 3]
    assert {f["rule"] for f in plan["findings"] if f["severity"] == "error"} == {"loop"}


@pytest.mark.usefixtures("plant")
def test_a_pipe_that_would_close_loops_is_refused_when_it_is_switched_on(engineer: Rest) -> None:
    assert engineer.patch("/pipes/Back", {"enabled": False}).status_code == 200
    assert engineer.post("/items", [back(1), back(2)]).status_code == 200
    answer = rest_as("operator").patch("/pipes/Back", {"enabled": True})
    assert answer.status_code == 400
    errors = answer.json()["errors"]
    assert {error["field"] for error in errors} == {"enabled"}
    assert len(errors) == 2


@pytest.mark.usefixtures("plant")
def test_a_server_that_would_be_another_one_is_refused(engineer: Rest) -> None:
    services.create_server({**A, "name": "C", "endpoint": "opc.tcp://c:4840"}, user="anna")
    services.create_pipe({"name": "BC", "source": "B", "target": "C"}, user="anna")
    assert engineer.post("/items", back(1, pipe="BC")).status_code == 201
    answer = engineer.patch("/servers/C", {"endpoint": "opc.tcp://localhost:4840/"})
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == ["endpoint"]


@pytest.mark.usefixtures("plant")
@pytest.mark.parametrize("route", ROUTES)
def test_warnings_are_saved_and_shown_in_the_plan(engineer: Rest, route: str) -> None:
    send = WITHOUT_PLAN.get(route, ROUTES[route][0])

    answer = send(engineer, nodes(5, substitute=5))

    assert answer.status_code == 200, answer.content
    plan = answer.json()
    shown = {finding["rule"]: finding for finding in plan["findings"]}
    assert shown["no_security"]["severity"] == "warning"
    assert len(shown["contradiction"]["items"]) == 1
    if not plan["dry_run"]:
        assert shown["contradiction"]["items"] == [
            Item.objects.get(source_node="nsu=urn:a;s=T5").pk
        ]


@pytest.mark.usefixtures("plant")
def test_a_server_that_would_close_a_loop_is_refused_when_it_is_switched_on(
    engineer: Rest,
) -> None:
    services.create_server({**A, "name": "C", "enabled": False}, user="anna")
    services.create_pipe({"name": "BC", "source": "B", "target": "C"}, user="anna")
    assert engineer.post("/items", back(1, pipe="BC")).status_code == 201
    answer = engineer.patch("/servers/C", {"enabled": True})
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == ["enabled"]


@pytest.mark.usefixtures("plant")
@pytest.mark.parametrize(
    ("before", "change", "field"),
    [
        ({"dry_run": True}, {"dry_run": False}, "dry_run"),
        ({"source": "A", "target": "B"}, {"source": "B", "target": "A"}, "target"),
    ],
)
def test_a_pipe_that_would_write_in_a_loop_is_refused(
    engineer: Rest, before: dict[str, Any], change: dict[str, Any], field: str
) -> None:
    assert engineer.post("/pipes", {**BACK, **before, "name": "Later"}).status_code == 201
    assert engineer.post("/items", back(1, pipe="Later")).status_code == 201
    answer = engineer.patch("/pipes/Later", change)
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == [field]


@pytest.mark.usefixtures("plant")
def test_the_findings_of_the_present_configuration_are_asked_for(engineer: Rest) -> None:
    engineer.post("/items", nodes(4, substitute=5))
    answer = rest_as("viewer").get("/configuration/lint?facts=false")
    assert answer.status_code == 200
    assert answer.headers["ETag"] == '"2"'
    assert [(f["severity"], f["rule"]) for f in answer.json()] == [
        ("warning", "no_security"),
        ("warning", "contradiction"),
    ]


class TestWhatIsThereAlready:
    """A loop that an older version saved: it is told, and hinders nobody from ending it."""

    @pytest.fixture
    def looping(self, plant: None, monkeypatch: pytest.MonkeyPatch) -> None:
        from pipes.core.draft import Draft

        def let_in(draft: Draft) -> None:
            from pipes import drafting

            draft.refuses_findings = False
            drafting.put_items(draft, [(1, back(1)), (2, back(2))], fresh=False)

        services.commit(let_in, user="old", reason="an older version")

    @pytest.mark.usefixtures("looping")
    def test_other_changes_are_saved(self, engineer: Rest) -> None:
        assert engineer.patch("/items/1", {"note": "in a loop"}).status_code == 200
        assert engineer.post("/items", nodes(8)).status_code == 201
        assert engineer.put("/configuration", services.document()).status_code == 200
        found = engineer.get("/configuration/lint?facts=false").json()
        assert [f["items"] for f in found if f["rule"] == "loop"] == [[1, 4], [2, 5]]

    @pytest.mark.usefixtures("looping")
    def test_it_can_be_ended_step_by_step(self, engineer: Rest) -> None:
        assert engineer.patch("/items/4", {"enabled": False}).status_code == 200
        assert engineer.delete("/items/5").status_code == 204
        found = engineer.get("/configuration/lint?facts=false").json()
        assert "loop" not in {f["rule"] for f in found}

    @pytest.mark.usefixtures("looping")
    def test_a_revision_that_had_it_is_restored(self, engineer: Rest) -> None:
        engineer.delete("/items/4")
        answer = engineer.post("/configuration/revisions/2/restore")
        assert answer.status_code == 200
        assert "loop" in {f["rule"] for f in answer.json()["findings"]}


@pytest.mark.usefixtures("plant")
def test_a_loop_that_namespaces_bring_to_light_is_told_and_not_refused(engineer: Rest) -> None:
    """What was typed with an index is replaced by the station itself: that must not fail."""
    short = back(1, target_node="ns=2;s=T1")
    assert engineer.post("/items", short).status_code == 201
    Server.objects.filter(name="A").update(namespaces=["", "urn:own", "urn:a"])
    assert namespaces.learn_and_replace() == 1
    found = engineer.get("/configuration/lint?facts=false").json()
    assert [f["items"] for f in found if f["rule"] == "loop"] == [[1, 4]]


class TestCommand:
    def run(self, *arguments: str) -> str:
        out = StringIO()
        call_command("config", *arguments, stdout=out)
        return out.getvalue()

    @pytest.mark.usefixtures("plant")
    @pytest.mark.parametrize("mode", ["merge", "replace"])
    @pytest.mark.parametrize(("form", "row"), [("csv", 6), ("xlsx", 6), ("json", 5)])
    def test_apply_refuses_errors_and_tells_the_row(
        self, tmp_path: Path, form: str, row: int, mode: str
    ) -> None:
        file = tmp_path / f"items.{form}"
        if form == "json":
            whole = {**services.document(), "items": [*KEPT, back(2)]}
            file.write_text(json.dumps(whole), encoding="utf-8")
        else:
            file.write_bytes(FILES[form](*KEPT, back(2)))
        with pytest.raises(CommandError, match=rf"row {row}: target_node is refused \(loop\)"):
            self.run("apply", str(file), "--mode", mode)
        assert Item.objects.count() == 3

    @pytest.mark.usefixtures("plant")
    def test_lint_of_a_pipe_looks_at_it_as_if_it_were_on(self) -> None:
        services.change_pipe("Back", {"enabled": False}, user="anna")
        services.create_item(back(1), user="anna")
        assert "loop" not in self.run("lint", "--without-servers")
        with pytest.raises(CommandError, match="1 errors"):
            self.run("lint", "--without-servers", "--pipe", "Back")
        with pytest.raises(CommandError, match="no pipe"):
            self.run("lint", "--without-servers", "--pipe", "Q")

    def test_apply_tells_warnings(self, tmp_path: Path) -> None:
        file = tmp_path / "all.json"
        file.write_text(json.dumps(document_of(nodes(1))), encoding="utf-8")
        assert "warning no_security: values of A go over" in self.run("apply", str(file))

    def test_lint_tells_findings_and_ends_with_1_on_errors(self) -> None:
        make_plant(2)
        assert "warning no_security" in self.run("lint", "--without-servers")
        shown = json.loads(self.run("lint", "--without-servers", "--json").splitlines()[-1])
        assert [finding["rule"] for finding in shown] == ["no_security"]

        from pipes import drafting

        def let_in(draft: Any) -> None:
            draft.refuses_findings = False
            drafting.put_items(draft, [(1, nodes(7, target_node="nsu=urn:b;s=T1"))], fresh=False)

        services.commit(let_in, user="old", reason="an older version")
        with pytest.raises(CommandError, match="1 errors in the configuration"):
            self.run("lint", "--without-servers")

    def test_lint_finds_nothing_where_nothing_is(self) -> None:
        assert self.run("lint", "--without-servers") == "nothing found\n"
