"""Items as files over REST: import, export, template."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any

import openpyxl
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from pipes import services
from pipes.models import Item, Revision
from tests.integration.rest_client import BASE, Rest, rest_as

pytestmark = pytest.mark.django_db(transaction=True)

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
CSV = (
    "pipe,source_node,target_node,direction\r\n"
    "P1,ns=2;s=A,ns=2;s=A,forward\r\n"
    "P1,ns=2;s=B,ns=2;s=B,both\r\n"
)


@pytest.fixture(autouse=True)
def _plant(db: None) -> None:
    server = {"security_policy": "None", "security_mode": "None"}
    services.apply_document(
        {
            "format": "mirrorsite",
            "version": 1,
            "servers": [
                {**server, "name": "A", "endpoint": "opc.tcp://10.0.0.5:4840"},
                {**server, "name": "B", "endpoint": "opc.tcp://10.0.0.6:4840"},
            ],
            "pipes": [{"name": "P1", "source": "A", "target": "B"}],
            "items": [],
        },
        user="test",
        reason="",
    )


@pytest.fixture
def engineer() -> Rest:
    return rest_as("engineer")


def send(rest: Rest, query: str, body: bytes | str, media_type: str = "text/csv") -> Any:
    return rest.client.generic(
        "POST",
        f"{BASE}/items/import{query}",
        body if isinstance(body, bytes) else body.encode(),
        content_type=media_type,
    )


class TestImport:
    def test_the_body_itself_is_planned_and_then_applied(self, engineer: Rest) -> None:
        plan = send(engineer, "?format=csv&dry_run=true", CSV)
        before = Item.objects.count()
        done = send(engineer, "?format=csv&reason=first", CSV)

        assert plan.status_code == 200
        assert plan.json()["counts"]["add"] == 2
        assert before == 0
        assert done.json()["revision"] == 2
        assert Item.objects.filter(direction="both").count() == 1

    def test_a_form_with_a_file_is_taken_by_the_files_name(self, engineer: Rest) -> None:
        upload = SimpleUploadedFile("plant.CSV", CSV.encode(), "application/octet-stream")

        answer = engineer.client.post(f"{BASE}/items/import", {"file": upload}, format="multipart")

        assert answer.status_code == 200, answer.json()
        assert answer.json()["counts"]["add"] == 2

    def test_a_form_without_a_file_names_what_is_missing(self, engineer: Rest) -> None:
        answer = engineer.client.post(
            f"{BASE}/items/import?format=csv", {"data": "x"}, format="multipart"
        )

        assert answer.status_code == 400
        assert answer.json()["errors"][0]["field"] == "file"

    def test_a_wrong_cell_is_named_by_row_and_column(self, engineer: Rest) -> None:
        wrong = CSV.replace("both", "sideways")

        plan = send(engineer, "?format=csv&dry_run=true", wrong)
        done = send(engineer, "?format=csv", wrong)

        assert plan.status_code == 200
        assert plan.json()["counts"]["error"] == 1
        assert done.status_code == 400
        error = done.json()["errors"][0]
        assert (error["row"], error["column"], error["value"]) == (3, "direction", "sideways")
        assert error["allowed"] == ["forward", "reverse", "both"]
        assert not Item.objects.exists()

    def test_without_format_and_known_type_it_is_unsupported(self, engineer: Rest) -> None:
        answer = send(engineer, "", CSV, "application/x-tar")

        assert answer.status_code == 415
        assert "format" in answer.json()["detail"]

    @pytest.mark.parametrize(
        ("media_type", "status"),
        [
            ("image/png", 415),
            ("application/x-www-form-urlencoded", 415),
            ("multipart/mixed", 415),
            ("application/octet-stream", 200),
            ("text/csv; charset=utf-8", 200),
        ],
    )
    def test_only_tables_and_plain_bytes_are_imported(
        self, engineer: Rest, media_type: str, status: int
    ) -> None:
        answer = send(engineer, "?format=csv&dry_run=true", CSV, media_type)

        assert answer.status_code == status, answer.content
        assert status == 200 or "text/csv" in answer.json()["detail"]

    @pytest.mark.parametrize("query", ["?format=yaml", "?format=csv&mode=append"])
    def test_an_unknown_format_or_mode_is_named(self, engineer: Rest, query: str) -> None:
        answer = send(engineer, query, CSV)

        assert answer.status_code == 400
        assert answer.json()["errors"][0]["allowed"]

    @pytest.mark.parametrize(
        ("form", "body"),
        [
            ("csv", b"\xff\xfe\x00"),
            ("csv", b""),
            ("csv", b"colour\r\nred\r\n"),
            ("xlsx", b"PK\x03\x04 no spreadsheet"),
            ("xlsx", CSV.encode()),
            ("json", b"[" * 100_000),
            ("json", b"{}"),
            ("json", b"[1]"),
        ],
    )
    def test_a_file_that_cannot_be_read_is_refused(
        self, engineer: Rest, form: str, body: bytes
    ) -> None:
        answer = send(engineer, f"?format={form}", body, "application/octet-stream")

        assert answer.status_code == 400, answer.content
        assert answer.json()["errors"]
        assert Revision.objects.count() == 1

    def test_a_stale_import_is_refused(self, engineer: Rest) -> None:
        engineer.patch("/pipes/P1", {"note": "x"})

        answers = [
            engineer.client.generic(
                "POST",
                f"{BASE}/items/import?format=csv{dry}",
                CSV.encode(),
                content_type="text/csv",
                HTTP_IF_MATCH='"1"',
            )
            for dry in ("", "&dry_run=true")
        ]

        assert [answer.status_code for answer in answers] == [412, 412]


class TestModes:
    """``merge`` deletes nothing; ``replace`` deletes, in the named pipes, what is not named."""

    @pytest.fixture(autouse=True)
    def _two_pipes(self, engineer: Rest) -> None:
        engineer.post("/pipes", {"name": "P2", "source": "A", "target": "B"})
        send(engineer, "?format=csv", CSV + "P2,ns=2;s=C,ns=2;s=C,forward\r\n")

    @staticmethod
    def part(rest: Rest, form: str) -> tuple[bytes, str]:
        """The first item of P1 in another direction, as a file with the id column."""
        first = Item.objects.order_by("pk")[0].pk
        rest.patch(f"/items/{first}", {"direction": "reverse"})
        out = rest.get(f"/items/export?format={form}&pipe=P1")
        rest.patch(f"/items/{first}", {"direction": "forward"})
        second = Item.objects.order_by("pk")[1].pk
        if form == "json":
            listed = [each for each in json.loads(out.content) if each["id"] == first]
            return json.dumps(listed).encode(), out["Content-Type"]
        if form == "csv":
            lines = [line for line in out.content.split(b"\r\n") if line]
            return b"\r\n".join(lines[:2]), out["Content-Type"]
        book = openpyxl.load_workbook(BytesIO(out.content))
        assert book["items"].cell(3, 1).value == second
        book["items"].delete_rows(3)
        target = BytesIO()
        book.save(target)
        return target.getvalue(), out["Content-Type"]

    @pytest.mark.parametrize("form", ["csv", "xlsx", "json"])
    def test_merge_changes_what_is_named_and_keeps_the_rest(
        self, engineer: Rest, form: str
    ) -> None:
        content, media_type = self.part(engineer, form)

        done = send(engineer, f"?format={form}&mode=merge", content, media_type)

        assert done.json()["counts"] == {
            "add": 0,
            "change": 1,
            "delete": 0,
            "same": 0,
            "error": 0,
        }
        assert Item.objects.count() == 3

    @pytest.mark.parametrize("form", ["csv", "xlsx", "json"])
    def test_replace_deletes_the_others_of_the_named_pipe(self, engineer: Rest, form: str) -> None:
        content, media_type = self.part(engineer, form)

        plan = send(engineer, f"?format={form}&mode=replace&dry_run=true", content, media_type)
        before = Item.objects.count()
        done = send(engineer, f"?format={form}&mode=replace", content, media_type)

        assert plan.json()["counts"]["delete"] == 1
        assert before == 3
        assert done.json()["counts"]["change"] == 1
        assert sorted(Item.objects.values_list("pipe__name", "direction")) == [
            ("P1", "reverse"),
            ("P2", "forward"),
        ]

    @pytest.mark.parametrize("form", ["csv", "xlsx", "json"])
    def test_replace_with_an_empty_table_deletes_nothing(self, engineer: Rest, form: str) -> None:
        out = engineer.get(f"/items/template?format={form}")

        done = send(engineer, f"?format={form}&mode=replace", out.content, out["Content-Type"])

        assert done.json()["counts"]["delete"] == 0
        assert Item.objects.count() == 3

    def test_one_wrong_row_keeps_a_replacement_from_deleting(self, engineer: Rest) -> None:
        wrong = "pipe,source_node,target_node\r\nP1,ns=2;s=A,nonsense\r\n"

        answer = send(engineer, "?format=csv&mode=replace", wrong)

        assert answer.status_code == 400
        assert Item.objects.count() == 3


class TestExport:
    @pytest.mark.parametrize("form", ["csv", "xlsx", "json"])
    def test_what_goes_out_comes_back_the_same(self, engineer: Rest, form: str) -> None:
        send(engineer, "?format=csv", CSV)

        out = engineer.get(f"/items/export?format={form}&pipe=p1")
        back = send(engineer, f"?format={form}", out.content, out["Content-Type"])

        assert out.status_code == 200
        assert f"items.{form}" in out["Content-Disposition"]
        assert back.json()["counts"] == {
            "add": 0,
            "change": 0,
            "delete": 0,
            "same": 2,
            "error": 0,
        }

    def test_the_export_of_an_unknown_pipe_is_not_found(self, engineer: Rest) -> None:
        assert engineer.get("/items/export?pipe=nothing").status_code == 404

    def test_json_holds_the_contracts_bodies(self, engineer: Rest) -> None:
        send(engineer, "?format=csv", CSV)

        items = json.loads(engineer.get("/items/export?format=json").content)

        assert [item["direction"] for item in items] == ["forward", "both"]

    @pytest.mark.parametrize("form", ["csv", "xlsx", "json"])
    def test_the_template_can_be_imported(self, engineer: Rest, form: str) -> None:
        out = engineer.get(f"/items/template?format={form}")

        assert out.status_code == 200
        answer = send(engineer, f"?format={form}&dry_run=true", out.content, out["Content-Type"])
        assert answer.status_code == 200, answer.json()
