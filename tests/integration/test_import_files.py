"""Items and whole configurations from and to files."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from typing import Any

import openpyxl
import pytest
from django.conf import settings

from pipes import imports, item_templates, services, tables, workbook, workbook_writer
from pipes.core.cells import COLUMNS
from pipes.core.fields import Kind
from pipes.models import Item
from tests.integration.plants import P, document_of, make_plant, nodes

TEMPLATES = {
    "csv": item_templates.csv,
    "xlsx": item_templates.workbook,
    "json": item_templates.json,
}
pytestmark = pytest.mark.django_db

HEADING = "pipe,source_node,target_node"
SAME = {"add": 0, "change": 0, "delete": 0, "same": 2, "error": 0}


def csv_of(*lines: str, heading: str = HEADING) -> bytes:
    return "\r\n".join([heading, *lines, ""]).encode()


def problems(plan: services.Plan) -> list[tuple[int | None, str, Any]]:
    return [(error.row, error.field, error.value) for error in plan.errors]


def book_of(*rows: list[Any], sheet: str = "items") -> bytes:
    """A workbook as a foreign program writes it."""
    book = openpyxl.Workbook()
    book.active.title = sheet
    for row in rows:
        book.active.append(row)
    target = io.BytesIO()
    book.save(target)
    return target.getvalue()


class TestCsv:
    def test_rows_become_items_and_the_heading_may_have_any_order(self) -> None:
        make_plant()
        content = csv_of(
            "T1,P,ns=2;s=A,both,0.5", "T2,p,ns=2;s=B,,",
            heading="note,pipe,source_node,direction,transform.gain",
        ).replace(b"direction,", b"direction,target_node,transform.kind,")  # fmt: skip
        content = content.replace(b"both,", b"both,ns=2;s=X,linear,").replace(
            b"B,,", b"B,,ns=2;s=Y,,"
        )
        plan = imports.apply_import(content, "csv", user="anna", reason="first")
        assert (plan.counts["add"], plan.revision) == (2, 2)
        first, second = Item.objects.all()
        assert first.complete()["transform"] == {"kind": "linear", "gain": 0.5, "offset": 0}
        assert (first.note, first.direction, second.direction) == ("T1", "both", "forward")
        assert second.complete()["pipe"] == "P"

    @pytest.mark.parametrize("separator", [",", ";", "\t"])
    @pytest.mark.parametrize("bom", ["", "\ufeff"])
    def test_separators_and_bom_are_recognised(self, separator: str, bom: str) -> None:
        make_plant()
        comma = separator == ";"
        line = separator.join(["P", "i=1", "i=2", "linear", "0,5" if comma else "0.5"])
        heading = separator.join([*HEADING.split(","), "transform.kind", "transform.gain"])
        plan = imports.apply_import(
            (bom + heading + "\n" + line).encode(), "csv", user="u", reason=""
        )
        assert plan.counts["add"] == 1
        assert Item.objects.get().complete()["transform"]["gain"] == 0.5

    def test_a_decimal_comma_beside_commas_is_no_number(self) -> None:
        make_plant()
        content = csv_of(
            'P,i=1,i=2,linear,"0,5"', heading=HEADING + ",transform.kind,transform.gain"
        )
        plan = imports.plan_import(content, "csv")
        assert problems(plan) == [(2, "transform.gain", "0,5")]

    def test_a_missing_column_leaves_the_field_and_an_empty_cell_is_the_default(self) -> None:
        services.apply_document(
            document_of(nodes(1, note="x", direction="both")), user="u", reason=""
        )
        content = csv_of(
            "P,nsu=urn:a;s=T1,nsu=urn:b;s=T1,", heading="pipe,source_node,target_node,note"
        )
        (change,) = imports.plan_import(content, "csv").changes
        assert change.fields() == {"note": {"old": "x", "new": ""}}

    def test_a_row_with_an_id_is_that_item_whatever_its_nodes(self) -> None:
        make_plant(2)
        content = csv_of(
            "2,P,i=1,i=2", ",P,nsu=urn:a;s=T1,nsu=urn:b;s=T1", "9,P,i=3,i=4",
            heading="id," + HEADING,
        )  # fmt: skip
        plan = imports.plan_import(content, "csv")
        assert [(str(each.action), each.key) for each in plan.changes] == [
            ("change", 2),
            ("add", 9),
        ]
        assert plan.counts["same"] == 1

    def test_ids_alone_place_rows_of_items_that_are_there(self) -> None:
        make_plant(2)
        plan = imports.plan_import(csv_of("2,no", "7,no", "x,no", heading="id,enabled"), "csv")
        assert plan.counts["change"] == 1
        assert problems(plan)[0][:2] == (3, "pipe")
        assert (4, "id", "x") in problems(plan)

    def test_part_of_a_transform_keeps_the_rest_of_it(self) -> None:
        linear = {"kind": "linear", "gain": 2, "offset": 3}
        services.apply_document(document_of(nodes(1, transform=linear)), user="u", reason="")
        plan = imports.plan_import(csv_of("1,5", heading="id,transform.gain"), "csv")
        (change,) = plan.changes
        assert change.fields() == {"transform.gain": {"old": 2, "new": 5}}
        plan = imports.plan_import(csv_of("1,convert", heading="id,transform.kind"), "csv")
        assert plan.counts["change"] == 1
        assert not plan.wrong
        plan = imports.plan_import(csv_of("1,x", heading="id,transform.gain"), "csv")
        assert problems(plan) == [(2, "transform.gain", "x")]

    def test_replacing_deletes_in_the_named_pipes_only(self) -> None:
        make_plant(2)
        services.create_pipe({**P, "name": "Q"}, user="u")
        services.create_item(nodes(5, pipe="Q"), user="u")
        content = csv_of("p,nsu=urn:a;s=T1,nsu=urn:b;s=T1")
        plan = imports.plan_import(content, "csv", mode="replace")
        assert [(str(each.action), each.key) for each in plan.changes] == [("delete", 2)]

    def test_every_wrong_cell_is_told_by_row_and_column(self) -> None:
        make_plant()
        content = csv_of(
            "P,ns=2;x=A,i=1,sideways,yes", "X,i=1,i=2,,", "P,,i=2,,perhaps", "",
            "P,i=1,i=2,,,extra", heading=HEADING + ",direction,enabled",
        )  # fmt: skip
        plan = imports.plan_import(content, "csv")
        assert sorted(problems(plan), key=str) == [
            (2, "direction", "sideways"),
            (2, "source_node", "ns=2;x=A"),
            (3, "pipe", "X"),
            (4, "enabled", "perhaps"),
            (4, "source_node", None),
            (6, "row", None),
        ]
        with pytest.raises(services.Invalid):
            imports.apply_import(content, "csv", user="u", reason="")
        assert Item.objects.count() == 0

    def test_one_wrong_cell_among_30_001_rows_changes_nothing(self) -> None:
        make_plant()
        lines = [f"P,i={number},i={number},forward" for number in range(2, 30_003)]
        lines[20_000] = "P,i=20002,i=20002,sideways"
        content = csv_of(*lines, heading=HEADING + ",direction")
        with pytest.raises(services.Invalid) as caught:
            imports.apply_import(content, "csv", user="u", reason="")
        assert [(error.row, error.value) for error in caught.value.errors] == [(20_002, "sideways")]
        assert (Item.objects.count(), services.current_revision()) == (0, 1)

    def test_a_wrong_heading_is_an_error_of_row_1(self) -> None:
        make_plant()
        plan = imports.plan_import(csv_of(heading="pipe,source_node,colour,pipe,"), "csv")
        assert [(row, field) for row, field, _ in problems(plan)] == [
            (1, "colour"),
            (1, "column 5"),
            (1, "pipe"),
            (1, "target_node"),
        ]
        assert plan.errors[0].allowed == tuple(COLUMNS[Kind.ITEM])

    @pytest.mark.parametrize(
        ("content", "message", "row"),
        [
            (csv_of("P,i=1,\xe4").decode().encode("latin-1"), "save the file as CSV UTF-8", 2),
            (csv_of("P,i=1," + "x" * 200_000), "more than 131072 characters", 2),
            (csv_of('P,i=1,"x'), "is no CSV table", 2),
            (csv_of("," * 1_100_000), "a line of more than", 2),
        ],
    )
    def test_what_is_no_table_is_refused_with_its_row(
        self, content: bytes, message: str, row: int
    ) -> None:
        with pytest.raises(services.Invalid, match=message) as caught:
            imports.plan_import(content, "csv")
        assert caught.value.errors[0].row == row

    def test_an_empty_file_lacks_its_columns(self) -> None:
        assert {field for _, field, _ in problems(imports.plan_import(b"", "csv"))} == {
            "pipe",
            "source_node",
            "target_node",
        }

    def test_too_many_rows_are_refused(self, monkeypatch: Any) -> None:
        monkeypatch.setattr(tables, "MOST_ROWS", 2)
        monkeypatch.setattr(workbook, "MOST_ROWS", 2)
        content = csv_of(*["P,i=1,i=2"] * 3)
        with pytest.raises(services.Invalid, match="more than 2 rows"):
            imports.plan_import(content, "csv")
        with pytest.raises(services.Invalid, match="more than 2 rows"):
            imports.plan_import(book_of(*[["a"]] * 3), "xlsx")

    def test_a_large_upload_is_refused_by_its_size(self, monkeypatch: Any) -> None:
        monkeypatch.setattr(tables, "MOST_BYTES", 100)
        for content in (b"x" * 101, io.BytesIO(b"x" * 1000)):
            with pytest.raises(services.TooLarge, match="split it"):
                imports.plan_import(content, "csv")  # type: ignore[arg-type]

    def test_an_unknown_format_or_mode_is_refused(self) -> None:
        with pytest.raises(services.Invalid, match="format must be csv, xlsx or json"):
            imports.plan_import(b"", "xls")
        with pytest.raises(services.Invalid, match="mode must be"):
            imports.plan_import(b"", "csv", mode="mix")


class TestExport:
    def test_csv_is_what_excel_opens(self) -> None:
        services.apply_document(
            document_of(
                nodes(1, note="=1+1", transform={"kind": "linear", "gain": -0.5}),
                nodes(2, note='a "b", c\nd'),
            ),
            user="u",
            reason="",
        )
        content = imports.export_items("csv")
        assert content.startswith(b"\xef\xbb\xbfid,pipe,source_node,")
        assert content.count(b"\r\n") == 3
        rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))
        assert (rows[0]["note"], rows[0]["transform.gain"]) == ("'=1+1", "-0.5")
        assert rows[1]["note"] == 'a "b", c\nd'
        semicolons = imports.export_items("csv", separator=";").decode("utf-8-sig")
        assert ";linear;-0,5;0;" in semicolons
        for form, text in (("csv", content), ("csv", semicolons.encode())):
            assert imports.plan_import(text, form).counts == SAME

    @pytest.mark.parametrize("form", ["csv", "xlsx", "json"])
    def test_one_pipe_can_be_exported_alone(self, form: str) -> None:
        make_plant(2)
        services.create_pipe({**P, "name": "Q"}, user="u")
        services.create_item(nodes(5, pipe="Q"), user="u")
        assert imports.plan_import(imports.export_items(form, pipe="p"), form).counts == SAME

    @pytest.mark.parametrize("form", ["csv", "xlsx", "json"])
    def test_a_state_on_a_pipe_with_queues_goes_out_and_comes_back(self, form: str) -> None:
        make_plant(2)
        services.change_pipe("P", {"overflow": "queue"}, user="u")
        services.change_item(1, {"kind": "state"}, user="u")
        content = imports.export_items(form)
        assert imports.plan_import(content, form).counts == SAME
        services.change_item(1, {"kind": None}, user="u")

        plan = imports.plan_import(content, form)

        assert [(change.key, change.fields()) for change in plan.changes] == [
            (1, {"kind": {"old": None, "new": "state"}})
        ]

    def test_what_cannot_be_exported_is_said(self) -> None:
        with pytest.raises(services.NotFound, match="there is no pipe X"):
            imports.export_items("csv", pipe="X")
        with pytest.raises(services.Invalid, match="separator must be"):
            imports.export_items("csv", separator="|")

    @pytest.mark.parametrize("form", ["csv", "xlsx", "json"])
    def test_the_template_imports_as_nothing(self, form: str) -> None:
        plan = imports.plan_import(TEMPLATES[form](), form)
        assert sum(plan.counts.values()) == 0

    def test_the_template_of_a_workbook_explains_the_columns(self) -> None:
        book = openpyxl.load_workbook(io.BytesIO(item_templates.workbook()))
        assert [cell.value for cell in book["items"][1]] == list(COLUMNS[Kind.ITEM])
        explained = {row[0]: row[1:] for row in book["help"].iter_rows(values_only=True)}
        assert explained["direction"][1:] == ("forward", "forward, reverse, both")
        assert explained["pipe"][1] == "(required)"
        assert all(row[0] for row in explained.values()), "every column has its meaning"

    @pytest.mark.parametrize("form", ["csv", "xlsx", "json"])
    def test_the_examples_of_a_template_import_once_they_are_no_comments(self, form: str) -> None:
        services.apply_document(
            document_of(pipes=[{**P, "name": "P1"}]), user="u", reason="", mode="replace"
        )
        if form == "json":
            content = json.dumps(json.loads(item_templates.json())["examples"]).encode()
        elif form == "csv":
            content = item_templates.csv().replace(item_templates.COMMENT.encode(), b"")
        else:
            book = openpyxl.load_workbook(io.BytesIO(item_templates.workbook()))
            for row in book["items"].iter_rows(min_row=3):
                assert row[0].value == item_templates.COMMENT
                row[0].value = None
            target = io.BytesIO()
            book.save(target)
            content = target.getvalue()
        plan = imports.plan_import(content, form)
        assert not plan.wrong, plan.errors
        assert plan.counts["add"] == len(item_templates.EXAMPLES)

    def test_a_comment_is_a_row_whose_id_begins_with_a_hash(self) -> None:
        make_plant(2)
        content = csv_of(
            "# off,P,i=1,i=2", "#,nonsense,,", "1,P,nsu=urn:a;s=T1,nsu=urn:b;s=T1",
            heading="id,pipe,source_node,target_node",
        )  # fmt: skip
        assert imports.plan_import(content, "csv").counts["same"] == 1
        replaced = imports.plan_import(content, "csv", mode="replace")
        assert [(str(each.action), each.key) for each in replaced.changes] == [("delete", 2)]

    def test_without_ids_a_hash_is_a_name_like_any_other(self) -> None:
        make_plant()
        services.create_pipe({**P, "name": "#1"}, user="u")
        assert imports.plan_import(csv_of("#1,i=1,i=2"), "csv").counts["add"] == 1


class TestJson:
    def test_a_list_or_an_object_with_items_is_taken(self) -> None:
        make_plant(2)
        listed = json.loads(imports.export_items("json"))
        assert listed[0]["transform"] == {"kind": "none"}
        for whole in (listed, {"items": listed}, services.document()):
            assert imports.plan_import(json.dumps(whole).encode(), "json").counts == SAME

    @pytest.mark.parametrize(
        "text", ["", "{", "5", '{"items": 5}', "[5]", "[" * 100_000, '["\\ud800"]']
    )
    def test_other_json_is_refused(self, text: str) -> None:
        with pytest.raises(services.Invalid, match="file"):
            imports.plan_import(text.encode(), "json")

    def test_rows_are_counted_from_one(self) -> None:
        make_plant()
        body = json.dumps([nodes(1), {"pipe": "P", "id": -1}]).encode()
        plan = imports.plan_import(b"\xef\xbb\xbf" + body, "json", mode="replace")
        assert {row for row, _, _ in problems(plan)} == {2}


class TestXlsx:
    def test_what_a_foreign_program_wrote_is_read(self) -> None:
        make_plant()
        content = book_of(
            [*HEADING.split(","), "enabled", "transform.kind", "transform.gain", "note"],
            ["P", "i=1", "i=2", True, "linear", 0.1, 5],
            [],
            ["P", "i=3", "i=4", False, None, None, "a_x000D_ <&> _x"],
        )  # fmt: skip
        plan = imports.apply_import(content, "xlsx", user="u", reason="")
        assert plan.counts["add"] == 2
        first, second = Item.objects.all()
        assert first.complete()["transform"] == {"kind": "linear", "gain": 0.1, "offset": 0}
        assert (first.note, second.enabled) == ("5", False)
        assert second.note == "a_x000D_ <&> _x".replace("_x000D_", "\n")

    def test_rows_are_named_as_the_program_shows_them(self) -> None:
        make_plant()
        content = book_of(
            ["pipe", "source_node", "target_node"], [], ["P", "x", "i=2"], ["P", "i=1", "y"]
        )
        assert problems(imports.plan_import(content, "xlsx")) == [
            (3, "source_node", "x"),
            (4, "target_node", "y"),
        ]

    def test_the_first_sheet_counts_if_none_is_called_items(self) -> None:
        make_plant()
        content = book_of(HEADING.split(","), ["P", "i=1", "i=2"], sheet="Tabelle1")
        assert imports.plan_import(content, "xlsx").counts["add"] == 1

    def test_what_is_written_is_what_a_foreign_program_reads(self) -> None:
        services.apply_document(
            document_of(nodes(1, note="=1 & <2>", sampling_interval_ms=250, enabled=False)),
            user="u",
            reason="",
        )
        book = openpyxl.load_workbook(io.BytesIO(imports.export_items("xlsx")))
        heading, row = book["items"].iter_rows(values_only=True)
        cells = dict(zip(heading, row, strict=True))
        assert cells["note"] == "'=1 & <2>"
        assert (cells["id"], cells["sampling_interval_ms"], cells["enabled"]) == (1, 250, "false")
        assert book["items"].freeze_panes == "A2"

    def test_the_whole_configuration_goes_into_one_workbook(self) -> None:
        services.apply_document(
            document_of(nodes(1), nodes(2, note="x"), pipes=[{**P, "hold_seconds": 2.5}]),
            user="u",
            reason="",
        )
        whole = services.document()
        content = imports.export_configuration("xlsx")
        empty = document_of(servers=[], pipes=[])
        services.apply_document(empty, user="u", reason="empty")
        fill, mode = imports.configuration_filler(content, "xlsx")
        assert mode == "merge"
        services.commit(fill, user="u", reason="back")
        assert services.document() == whole
        fill, _ = imports.configuration_filler(content, "xlsx", "replace")
        assert services.commit(fill, user="u", reason="").counts["same"] == 5

    def test_a_workbook_replaces_the_kinds_that_it_has(self) -> None:
        make_plant(2)
        content = book_of(["name"], sheet="pipes")
        fill, _ = imports.configuration_filler(content, "xlsx", "replace")
        plan = services.commit(fill, user="u", reason="", dry_run=True)
        assert [each.key for each in plan.changes] == ["P"]
        content = book_of(HEADING.split(","), ["P", "i=1", "i=2"], sheet="mine")
        fill, _ = imports.configuration_filler(content, "xlsx")
        assert services.commit(fill, user="u", reason="", dry_run=True).counts["add"] == 1

    def test_points_are_not_supported_yet(self) -> None:
        book = {"items": (["id"], []), "points": (["name"], [["x"]])}
        with pytest.raises(services.Invalid, match="points is not supported"):
            imports.configuration_filler(workbook_writer.write(book), "xlsx")

    def test_what_is_no_document_is_no_configuration(self) -> None:
        with pytest.raises(services.Invalid, match="must be a configuration document"):
            imports.configuration_filler(b"[]", "json")


def damaged(change: dict[str, bytes | None], content: bytes) -> bytes:
    """A workbook with parts replaced, or taken out (None)."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            part = change.get(name, old.read(name))
            if part is not None:
                new.writestr(name, part)
    return target.getvalue()


SHEET = "xl/worksheets/sheet1.xml"
DOCTYPE = (
    b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa">]><worksheet><sheetData/></worksheet>'
)
ROWS = b'<x:worksheet xmlns:x="urn:x"><x:sheetData>%s</x:sheetData></x:worksheet>'


class TestHostileWorkbooks:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({SHEET: DOCTYPE}, "declares a document type"),
            ({"xl/workbook.xml": DOCTYPE}, "is damaged"),
            ({"xl/workbook.xml": b"<a>" + b" " * 2**20}, "unlikely large"),
            ({"xl/workbook.xml": None}, "is damaged"),
            ({"_rels/.rels": None}, "is damaged"),
            ({SHEET: None}, "is damaged"),
            ({SHEET: b"<worksheet><sheetData>"}, "is damaged"),
            ({SHEET: ROWS % b'<x:row><x:c r="XFD1"><x:v>1</x:v></x:c></x:row>'}, "64 columns"),
            ({SHEET: ROWS % b'<x:row><x:c r="?1"><x:v>1</x:v></x:c></x:row>'}, "is damaged"),
            ({SHEET: ROWS % b'<x:row r="x"></x:row>'}, "is damaged"),
            ({SHEET: ROWS % b'<x:row><x:c t="s"><x:v>7</x:v></x:c></x:row>'}, "is damaged"),
            ({SHEET: ROWS % b"<x:row><x:c><x:v>1e</x:v></x:c></x:row>"}, "is damaged"),
        ],
    )
    def test_it_is_refused_in_words(self, change: dict[str, bytes | None], message: str) -> None:
        content = damaged(change, workbook_writer.write({"items": (["pipe"], [["P"]])}))
        with pytest.raises(services.Invalid, match=message):
            imports.plan_import(content, "xlsx")

    def test_a_zip_bomb_is_refused_before_it_is_unpacked(self) -> None:
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(SHEET, b" " * 3_000_000)
        with pytest.raises(services.TooLarge, match="packed more than 100 times"):
            imports.plan_import(target.getvalue(), "xlsx")

    def test_too_much_content_is_refused_by_its_declared_size(self, monkeypatch: Any) -> None:
        monkeypatch.setattr(workbook, "MOST_UNPACKED_BYTES", 100)
        with pytest.raises(services.TooLarge, match="unpacks to more than"):
            imports.plan_import(item_templates.workbook(), "xlsx")

    @pytest.mark.parametrize(
        "content", [b"", b"PK", csv_of("P,i=1,i=2"), b"\xd0\xcf\x11\xe0" * 200]
    )
    def test_what_is_no_workbook_is_said(self, content: bytes) -> None:
        with pytest.raises(services.Invalid, match="save it as an Excel workbook"):
            imports.plan_import(content, "xlsx")

    def test_a_workbook_without_sheets_is_refused(self) -> None:
        with pytest.raises(services.Invalid, match="has no sheet"):
            imports.plan_import(workbook_writer.write({}), "xlsx")

    def test_a_sheet_without_a_heading_lacks_its_columns(self) -> None:
        plan = imports.plan_import(workbook_writer.write({"items": ([], [])}), "xlsx")
        assert plan.counts["error"] == 1

    def test_prefixed_names_and_cells_without_places_are_read(self) -> None:
        rows = (
            b'<x:row><x:c t="str"><x:v>a</x:v></x:c><x:c t="b"><x:v>1</x:v></x:c>'
            b'<x:c t="e"><x:v>#N/A</x:v></x:c><x:c/><x:c><x:v>2.50</x:v></x:c></x:row>'
            b'<x:row r="5"><x:c><x:v>3</x:v></x:c></x:row>'
        )
        content = damaged({SHEET: ROWS % rows}, workbook_writer.write({"s": ([], [])}))
        assert workbook.read(content) == {"s": [(1, ["a", "true", "#N/A", None, 2.5]), (5, [3])]}


def test_columns_have_letters() -> None:
    letters = [workbook_writer.column_letters(place) for place in (0, 25, 26, 51, 52, 701, 702)]
    assert letters == ["A", "Z", "AA", "AZ", "BA", "ZZ", "AAA"]


def test_shared_strings_may_be_rich_and_have_hints() -> None:
    strings = "<sst><si><r><t>a</t></r><r><t>b</t></r><rPh><t>hint</t></rPh></si></sst>"
    relation = '<Relationship Id="s" Type="x/sharedStrings" Target="shared.xml"/></Relationships>'
    rows = ROWS % b'<x:row><x:c r="B1" t="s"><x:v>0</x:v></x:c></x:row>'
    content = damaged({SHEET: rows}, workbook_writer.write({"s": ([], [])}))
    rels = "xl/_rels/workbook.xml.rels"
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        related = archive.read(rels).decode().replace("</Relationships>", relation)
    target = io.BytesIO(damaged({rels: related.encode()}, content))
    with zipfile.ZipFile(target, "a") as archive:
        archive.writestr("xl/shared.xml", strings)
    assert workbook.read(target.getvalue()) == {"s": [(1, [None, "ab"])]}


def test_the_limit_of_an_upload_is_that_of_the_contract() -> None:
    assert tables.MOST_BYTES == 64 * 2**20
    assert settings.DATA_UPLOAD_MAX_MEMORY_SIZE < tables.MOST_BYTES
