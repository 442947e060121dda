"""Servers, pipes, items and revisions over REST, against a real database."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext

from pipes import services
from pipes.models import Item, Revision
from tests.integration.rest_client import Rest, rest_as

pytestmark = pytest.mark.django_db(transaction=True)

PLC = {
    "name": "PLC1",
    "endpoint": "opc.tcp://10.0.0.5:4840",
    "security_policy": "None",
    "security_mode": "None",
}
DCS = {**PLC, "name": "DCS", "endpoint": "opc.tcp://10.0.0.6:4840"}
PIPE = {"name": "P1", "source": "PLC1", "target": "DCS"}


def mapping(number: int, **more: Any) -> dict[str, Any]:
    return {
        "pipe": "P1",
        "source_node": f"nsu=urn:plant:a;s=T{number}",
        "target_node": f"nsu=urn:plant:b;s=T{number}",
        **more,
    }


@pytest.fixture(autouse=True)
def _fresh_throttles() -> None:
    cache.clear()


@pytest.fixture
def engineer() -> Rest:
    return rest_as("engineer")


@pytest.fixture
def viewer() -> Rest:
    return rest_as("viewer")


@pytest.fixture
def operator() -> Rest:
    return rest_as("operator")


@pytest.fixture
def plant() -> None:
    """Two servers, a pipe and three items: revision 1."""
    services.apply_document(
        {
            "format": "mirrorsite",
            "version": 1,
            "servers": [PLC, DCS],
            "pipes": [PIPE],
            "items": [mapping(number) for number in (1, 2, 3)],
        },
        user="test",
        reason="plant",
    )


class TestServers:
    def test_a_server_is_made_read_changed_and_deleted(self, engineer: Rest) -> None:
        made = engineer.post("/servers?reason=new%20plant", PLC)
        read = engineer.get("/servers/plc1")
        changed = engineer.patch("/servers/PLC1", {"name": "PLC2", "note": "x"})
        deleted = engineer.delete("/servers/PLC2")

        assert made.status_code == 201
        assert made.headers["ETag"] == '"1"'
        assert read.json() == made.json()
        assert read.json()["status"]["state"] == "disconnected"
        assert read.json()["status"]["reason"] == "no pipe worker answers"
        assert changed.json()["name"] == "PLC2"
        assert deleted.status_code == 204
        assert engineer.get("/servers/PLC2").status_code == 404
        revision = engineer.get("/configuration/revisions/1").json()
        assert revision["reason"] == "new plant"
        assert revision["user"] == "test-engineer"

    def test_a_password_is_never_answered(self, engineer: Rest) -> None:
        body = {
            **PLC,
            "security_policy": "Basic256Sha256",
            "security_mode": "SignAndEncrypt",
            "auth": "username",
            "username": "mirror",
            "password": "very secret",
        }

        made = engineer.post("/servers", body)

        assert made.json()["password"] is None
        assert made.json()["has_password"] is True
        everything = [
            engineer.get(path).content
            for path in ("/servers", "/configuration", "/configuration/revisions/1")
        ]
        assert b"very secret" not in b"".join(everything)

    def test_each_wrong_field_is_an_error_by_name(self, engineer: Rest) -> None:
        answer = engineer.post("/servers", {**PLC, "auth": "magic", "color": "red"})

        assert answer.status_code == 400
        assert answer.headers["Content-Type"] == "application/problem+json"
        problem = answer.json()
        assert problem["code"] == "invalid"
        assert problem["instance"] == "/api/v1/servers"
        by_field = {error["field"]: error for error in problem["errors"]}
        assert set(by_field) == {"auth", "color"}
        assert by_field["auth"]["allowed"] == ["anonymous", "username", "certificate"]

    def test_a_name_in_use_is_a_conflict(self, engineer: Rest) -> None:
        engineer.post("/servers", PLC)

        answer = engineer.post("/servers", {**DCS, "name": "plc1"})

        assert answer.status_code == 409
        assert answer.json()["code"] == "name_in_use"

    def test_a_server_that_pipes_use_is_not_deleted(self, engineer: Rest, plant: None) -> None:
        answer = engineer.delete("/servers/PLC1")

        assert answer.status_code == 409
        assert answer.json()["referenced_by"] == ["P1"]

    def test_a_stale_writer_gets_the_current_object(self, engineer: Rest, plant: None) -> None:
        tag = engineer.get("/servers/PLC1").headers["ETag"]
        engineer.patch("/servers/PLC1", {"note": "first"}, HTTP_IF_MATCH=tag)

        answer = engineer.patch("/servers/PLC1", {"note": "second"}, HTTP_IF_MATCH=tag)

        assert answer.status_code == 412
        assert answer.headers["ETag"] == '"2"'
        assert answer.json()["current"]["note"] == "first"

    def test_a_change_of_one_object_leaves_the_tag_of_another(
        self, engineer: Rest, plant: None
    ) -> None:
        tag = engineer.get("/servers/PLC1").headers["ETag"]
        engineer.patch("/servers/DCS", {"note": "other"})

        answer = engineer.patch("/servers/PLC1", {"note": "mine"}, HTTP_IF_MATCH=tag)

        assert answer.status_code == 200

    def test_a_new_object_on_a_stale_revision_is_refused(self, engineer: Rest, plant: None) -> None:
        engineer.patch("/servers/DCS", {"note": "x"})

        answers = [
            engineer.post("/servers", {**PLC, "name": "N"}, HTTP_IF_MATCH='"1"'),
            engineer.post("/pipes", {**PIPE, "name": "N"}, HTTP_IF_MATCH='"1"'),
            engineer.post("/items", mapping(9), HTTP_IF_MATCH='"1"'),
        ]

        assert [answer.status_code for answer in answers] == [412, 412, 412]

    def test_if_match_that_is_no_revision_is_stale(self, engineer: Rest, plant: None) -> None:
        answer = engineer.patch("/servers/PLC1", {"note": "x"}, HTTP_IF_MATCH='"abc"')

        assert answer.status_code == 412

    def test_null_is_back_to_the_default(self, engineer: Rest, plant: None) -> None:
        engineer.patch("/servers/PLC1", {"is_monitored": False})

        answer = engineer.patch("/servers/PLC1", {"is_monitored": None})

        assert answer.json()["is_monitored"] is True

    def test_what_is_answered_can_be_sent_back(self, engineer: Rest, plant: None) -> None:
        body = engineer.get("/servers/PLC1").json()

        answer = engineer.patch("/servers/PLC1", body)

        assert answer.status_code == 200
        assert Revision.objects.count() == 1

    def test_lists_are_filtered_searched_and_sorted(self, engineer: Rest, plant: None) -> None:
        engineer.patch("/servers/DCS", {"enabled": False})

        def names(query: str) -> list[str]:
            results = engineer.get(f"/servers?{query}").json()["results"]
            return [server["name"] for server in results]

        assert names("") == ["DCS", "PLC1"]
        assert names("ordering=-name") == ["PLC1", "DCS"]
        assert names("enabled=false") == ["DCS"]
        assert names("state=disabled") == ["DCS"]
        assert names("search=10.0.0.5") == ["PLC1"]
        assert names("name=plc1") == ["PLC1"]
        assert names("limit=1&offset=1") == ["PLC1"]

    @pytest.mark.parametrize(
        "query",
        [
            "limit=0",
            "limit=x",
            "offset=-1",
            "ordering=color",
            "enabled=maybe",
            "colour=red",
            f"search={'x' * 201}",
            "offset=99999999999999999999999",
            "auth=magic",
        ],
    )
    def test_a_wrong_query_parameter_is_named(self, viewer: Rest, query: str) -> None:
        answer = viewer.get(f"/servers?{query}")

        assert answer.status_code == 400
        assert answer.json()["errors"][0]["field"] == query.partition("=")[0]

    def test_dry_run_of_a_single_object_is_refused(self, engineer: Rest) -> None:
        answer = engineer.post("/servers?dry_run=true", PLC)

        assert answer.status_code == 400
        assert not Revision.objects.exists()


class TestPipes:
    def test_a_pipe_is_made_renamed_and_deleted(self, engineer: Rest, plant: None) -> None:
        made = engineer.post("/pipes", {**PIPE, "name": "P2"})
        renamed = engineer.patch("/pipes/P1", {"name": "Drum"})
        refused = engineer.delete("/pipes/Drum")
        deleted = engineer.delete("/pipes/Drum?with_items=true")

        assert made.status_code == 201
        assert made.json()["status"]["items"] == 0
        assert renamed.json()["status"] == {
            "state": "waiting",
            "reason": "no pipe worker answers",
            "items": 3,
            "good": 0,
            "rate": 0.0,
            "writes": 0,
            "errors": 0,
            "latency_ms": {"p50": None, "p99": None},
            "conflated": 0,
            "queued": 0,
        }
        assert refused.status_code == 409
        assert deleted.status_code == 204
        assert engineer.get("/items").json()["count"] == 0

    def test_operators_switch_pipes_and_change_nothing_else(
        self, operator: Rest, plant: None
    ) -> None:
        whole = operator.get("/pipes/P1").json()

        switched = operator.patch("/pipes/P1", {**whole, "enabled": False})
        noted = operator.patch("/pipes/P1", {"enabled": True, "note": "x"})

        assert switched.status_code == 200
        assert switched.json()["status"]["state"] == "disabled"
        assert noted.status_code == 403
        assert operator.get("/pipes/P1").json()["enabled"] is False


class TestItems:
    def test_one_item_is_made_read_changed_and_deleted(self, engineer: Rest, plant: None) -> None:
        made = engineer.post("/items", mapping(4, transform={"kind": "linear", "gain": 0.1}))
        number = made.json()["id"]
        changed = engineer.patch(f"/items/{number}", {"enabled": False, "transform": None})
        deleted = engineer.delete(f"/items/{number}")

        assert made.status_code == 201
        assert made.headers["ETag"] == '"2"'
        assert made.json()["status"]["state"] == "waiting"
        assert changed.json()["transform"] == {"kind": "none"}
        assert changed.json()["status"]["state"] == "disabled"
        assert deleted.status_code == 204
        assert engineer.get(f"/items/{number}").status_code == 404

    def test_an_id_is_never_given_again(self, engineer: Rest, plant: None) -> None:
        first = engineer.post("/items", mapping(4)).json()["id"]
        engineer.delete(f"/items/{first}")

        assert engineer.post("/items", mapping(4)).json()["id"] == first + 1

    def test_a_list_is_one_revision_with_the_new_ids(self, engineer: Rest, plant: None) -> None:
        answer = engineer.post("/items", [mapping(number) for number in range(10, 20)])

        plan = answer.json()
        assert answer.status_code == 200
        assert plan["counts"]["add"] == 10
        assert plan["revision"] == 2
        assert len(plan["ids"]) == 10
        assert engineer.get(f"/items/{plan['ids'][3]}").json()["source_node"].endswith("s=T13")

    def test_one_wrong_entry_refuses_the_list_and_names_the_row(
        self, engineer: Rest, plant: None
    ) -> None:
        bodies = [mapping(10), mapping(11, direction="sideways")]

        dry = engineer.post("/items?dry_run=true", bodies)
        real = engineer.post("/items", bodies)

        assert dry.status_code == 200
        assert dry.json()["counts"]["error"] == 1
        assert dry.json()["rows"][0]["action"] == "error"
        assert real.status_code == 400
        error = real.json()["errors"][0]
        assert (error["row"], error["field"]) == (2, "direction")
        assert error["allowed"] == ["forward", "reverse", "both"]
        assert Item.objects.count() == 3

    def test_an_entry_that_is_no_object_is_named_by_its_row(
        self, engineer: Rest, plant: None
    ) -> None:
        answer = engineer.post("/items", [mapping(10), 5])

        assert answer.status_code == 400
        assert answer.json()["errors"][0]["row"] == 2

    def test_many_items_are_changed_and_deleted_at_once(self, engineer: Rest, plant: None) -> None:
        numbers = list(Item.objects.values_list("pk", flat=True))

        changed = engineer.patch("/items", [{"id": n, "enabled": False} for n in numbers])
        deleted = engineer.post("/items/delete", {"ids": numbers[:2]})
        gone = engineer.post("/items/delete", {"ids": numbers[:1]})

        assert changed.json()["counts"]["change"] == 3
        assert deleted.json()["counts"]["delete"] == 2
        assert gone.status_code == 400
        assert Item.objects.count() == 1

    def test_a_bulk_write_compares_with_the_newest_revision(
        self, engineer: Rest, plant: None
    ) -> None:
        engineer.patch("/servers/PLC1", {"note": "x"})

        answer = engineer.post("/items", [mapping(10)], HTTP_IF_MATCH='"1"')

        assert answer.status_code == 412
        assert answer.headers["ETag"] == '"2"'

    def test_a_dry_run_changes_nothing(self, engineer: Rest, plant: None) -> None:
        number = Item.objects.values_list("pk", flat=True)[0]

        plans = [
            engineer.post("/items?dry_run=1", mapping(10)),
            engineer.patch(f"/items/{number}?dry_run=1", {"enabled": False}),
            engineer.delete(f"/items/{number}?dry_run=1"),
            engineer.post("/items/delete?dry_run=1", {"ids": [number]}),
        ]

        assert [plan.status_code for plan in plans] == [200] * 4
        assert [plan.json()["dry_run"] for plan in plans] == [True] * 4
        assert Revision.objects.count() == 1

    def test_operators_switch_items_and_change_nothing_else(
        self, operator: Rest, plant: None
    ) -> None:
        number = Item.objects.values_list("pk", flat=True)[0]

        answers = [
            operator.patch(f"/items/{number}", {"enabled": False}),
            operator.patch("/items", [{"id": number, "enabled": True}]),
            operator.patch(f"/items/{number}", {"direction": "both"}),
            operator.patch("/items", [{"id": number, "note": "x"}]),
        ]

        assert [answer.status_code for answer in answers] == [200, 200, 403, 403]

    def test_lists_are_filtered_by_every_plain_field(self, engineer: Rest, plant: None) -> None:
        engineer.post(
            "/items", mapping(9, direction="both", quality="hold", sampling_interval_ms=250)
        )

        def count(query: str) -> int:
            answer = engineer.get(f"/items?{query}")
            assert answer.status_code == 200, answer.json()
            return int(answer.json()["count"])

        assert count("pipe=p1") == 4
        assert count("pipe=other") == 0
        assert count("direction=both") == 1
        assert count("verify=true") == 0
        assert count("verify=false") == 4
        assert count("sampling_interval_ms=250") == 1
        assert count("minimum_interval_ms=0") == 4
        assert count("trigger=status_value") == 4
        assert count("quality=hold") == 1
        assert count("source_node=nsu%3Durn:plant:a;s%3DT9") == 1
        assert count("search=s%3DT9") == 1
        assert count("search=p1") == 4
        assert count("id=1") == 1

    def test_items_are_found_by_the_kind_that_they_have_on_their_pipe(
        self, engineer: Rest, plant: None
    ) -> None:
        engineer.post("/items", mapping(9, direction="both"))
        engineer.patch("/pipes/P1", {"overflow": "queue"})
        first, second, _ = Item.objects.order_by("pk").values_list("pk", flat=True)[:3]
        engineer.patch(f"/items/{first}", {"kind": "state"})
        engineer.patch(f"/items/{second}", {"kind": "event"})

        counts = {
            kind: engineer.get(f"/items?kind={kind}").json()["count"]
            for kind in ("state", "queue", "event")
        }

        assert counts == {"state": 2, "queue": 1, "event": 1}
        listed = engineer.get("/items?kind=state").json()["results"]
        assert [each["kind"] for each in listed] == ["state", "state"]

    def test_pages_link_to_each_other(self, viewer: Rest, plant: None) -> None:
        first = viewer.get("/items?limit=2&ordering=-id").json()
        second = viewer.client.get(first["next"]).json()

        assert first["count"] == 3
        assert first["previous"] is None
        assert [item["id"] for item in first["results"] + second["results"]] == [3, 2, 1]
        assert second["next"] is None
        assert "offset=0" in second["previous"]

    def test_more_than_a_thousand_rows_are_never_answered_at_once(
        self, viewer: Rest, plant: None
    ) -> None:
        answer = viewer.get("/items?limit=1001")

        assert answer.status_code == 400
        assert answer.json()["detail"] == "limit takes a whole number, 1 to 1000"
        assert viewer.get("/items?limit=1000").status_code == 200

    def test_a_page_costs_the_same_queries_whatever_its_length(
        self, viewer: Rest, engineer: Rest, plant: None
    ) -> None:
        def queries() -> int:
            viewer.get("/items?limit=1000")
            with CaptureQueriesContext(connection) as seen:
                assert viewer.get("/items?limit=1000").status_code == 200
            return len(seen)

        few = queries()
        engineer.post("/items", [mapping(number) for number in range(100, 600)])

        assert queries() == few


class TestConfiguration:
    def test_the_document_goes_out_and_comes_back_unchanged(
        self, engineer: Rest, plant: None
    ) -> None:
        whole = engineer.get("/configuration")

        answer = engineer.put("/configuration", whole.json())

        assert whole.headers["ETag"] == '"1"'
        assert whole.json()["format"] == "mirrorsite"
        assert answer.status_code == 200
        assert answer.json()["revision"] is None
        assert answer.json()["counts"] == {
            "add": 0,
            "change": 0,
            "delete": 0,
            "same": 6,
            "error": 0,
        }

    def test_a_plan_changes_nothing_and_the_real_write_is_one_revision(
        self, engineer: Rest, plant: None
    ) -> None:
        whole = engineer.get("/configuration").json()
        whole["items"] = whole["items"][:1]

        dry = engineer.put("/configuration?dry_run=true", whole)
        real = engineer.put("/configuration?reason=less", whole)

        assert dry.json()["counts"]["delete"] == 2
        assert dry.json()["revision"] is None
        assert real.json()["revision"] == 2
        assert real.headers["ETag"] == '"2"'

    def test_a_document_may_be_larger_than_other_bodies(self, engineer: Rest) -> None:
        answer = engineer.put("/configuration", {"format": "x" * (11 * 1024 * 1024)})

        assert answer.status_code == 400
        assert answer.json()["errors"][0]["field"] == "format"
        assert len(answer.content) < 10_000

    def test_a_part_that_is_forgotten_is_not_deleted(self, engineer: Rest, plant: None) -> None:
        answer = engineer.put("/configuration", {"format": "mirrorsite", "version": 1})

        assert answer.status_code == 400
        assert [error["field"] for error in answer.json()["errors"]] == [
            "servers",
            "pipes",
            "items",
        ]
        assert "?mode=merge" in answer.json()["detail"]
        assert Item.objects.count() == 3

    def test_refusals_read_as_sentences(self, engineer: Rest, plant: None) -> None:
        unknown = engineer.post("/items", {**mapping(9), "pipe": "NOPE"})
        bogus = engineer.patch("/items/1", {"bogus": 1})
        gone = engineer.post("/items/delete", {"ids": [99999]})

        assert unknown.json()["detail"] == "pipe names NOPE, but there is no such pipe"
        assert bogus.json()["detail"].startswith("bogus is not a field of an item; the fields are")
        assert gone.json()["detail"] == "row 1: ids names 99999, but there is no such item"

    def test_merge_leaves_what_the_document_does_not_name(
        self, engineer: Rest, plant: None
    ) -> None:
        part = {"format": "mirrorsite", "version": 1, "servers": [{**PLC, "note": "merged"}]}

        answer = engineer.put("/configuration?mode=merge", part)

        assert answer.json()["counts"]["change"] == 1
        assert Item.objects.count() == 3

    def test_a_stale_document_is_refused(self, engineer: Rest, plant: None) -> None:
        whole = engineer.get("/configuration")
        engineer.patch("/servers/PLC1", {"note": "x"})

        answers = [
            engineer.put(f"/configuration{query}", whole.json(), HTTP_IF_MATCH=whole["ETag"])
            for query in ("", "?dry_run=true")
        ]

        assert [answer.status_code for answer in answers] == [412, 412]

    def test_revisions_come_newest_first_and_can_be_restored(
        self, engineer: Rest, plant: None
    ) -> None:
        engineer.patch("/pipes/P1", {"note": "second"})

        listed = engineer.get("/configuration/revisions").json()
        dry = engineer.post("/configuration/revisions/1/restore?dry_run=true")
        restored = engineer.post("/configuration/revisions/1/restore?reason=undo")
        diff = engineer.get("/configuration/revisions/2").json()

        assert [each["revision"] for each in listed["results"]] == [2, 1]
        assert listed["results"][1]["counts"]["add"] == 6
        assert dry.json()["counts"]["change"] == 1
        assert restored.json()["revision"] == 3
        assert diff["rows"][0]["fields"]["note"] == {"old": "", "new": "second"}
        assert engineer.get("/pipes/P1").json()["note"] == ""

    def test_rows_limits_what_a_plan_shows(self, engineer: Rest, plant: None) -> None:
        whole = engineer.get("/configuration").json()
        whole["items"] = []

        plan = engineer.put("/configuration?dry_run=true&rows=1", whole).json()

        assert len(plan["rows"]) == 1
        assert plan["rows_left_out"] == 2

    def test_a_revision_that_was_never_made_is_not_found(self, viewer: Rest) -> None:
        assert viewer.get("/configuration/revisions/99").status_code == 404
        assert viewer.get("/configuration/revisions/99999999999999999999").status_code == 404
