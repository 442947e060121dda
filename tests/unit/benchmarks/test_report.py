from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from benchmarks import report
from benchmarks.codec import asyncua_careful, double_run, mixed, splice
from benchmarks.report import Demand, Options, Report, load_benches
from benchmarks.rig import BenchFailed


def make_report(got: float) -> Report:
    return Report(
        "rowing",
        "us",
        {"mirrorsite": {"plain": 0.5}, "asyncua": {"plain": 20.0, "tuned": 9.0}},
        {"asyncua": 40.0},
        (Demand.at_least("times cheaper", 30, got), Demand.at_most("differences", 0, 0)),
        ("node_opcua",),
    )


def test_a_report_has_the_form_of_the_contract() -> None:
    document = make_report(40).as_json()

    assert document == {
        "bench": "rowing",
        "unit": "us",
        "results": {"mirrorsite": {"plain": 0.5}, "asyncua": {"plain": 20.0, "tuned": 9.0}},
        "ratios": {"asyncua": 40.0},
        "demands": [
            {"name": "times cheaper", "wanted": ">= 30", "got": 40, "ok": True},
            {"name": "differences", "wanted": "<= 0", "got": 0, "ok": True},
        ],
        "skipped": ["node_opcua"],
        "broken": "",
        "ok": True,
    }


def test_a_table_names_what_failed_and_what_is_not_installed() -> None:
    table = make_report(12).as_table()

    assert "FAILED" in table
    assert "not installed: node_opcua" in table
    assert "FAILED" not in make_report(40).as_table()


def test_benches_register_themselves() -> None:
    assert {"codec", "fuzz"} <= load_benches().keys()


@pytest.mark.parametrize("body", [double_run(), double_run(15), mixed()], ids=["5", "15", "mixed"])
def test_canned_messages_become_the_bytes_of_a_careful_script(body: bytes) -> None:
    assert splice(body) == asyncua_careful(body)


def breaks_off(_options: Options) -> Report:
    raise BenchFailed("the worker has ended")


class TestCommand:
    @pytest.fixture(autouse=True)
    def _rowing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        load_benches()
        benches = {
            "rowing": lambda options: make_report(40),
            "running": lambda options: make_report(options.seconds),
        }
        monkeypatch.setattr(report, "_benches", benches)
        self.written: list[str] = []
        monkeypatch.setattr(
            "mirrorsite.management.commands.bench.write_down",
            lambda report, _options: self.written.append(report.bench),
        )

    def run(self, *arguments: str) -> str:
        out = StringIO()
        call_command("bench", *arguments, stdout=out)
        return out.getvalue()

    def test_the_last_line_is_the_report(self) -> None:
        lines = self.run("rowing", "--json").splitlines()

        assert lines[0] == "rowing (us)"
        assert json.loads(lines[-1]) == make_report(40).as_json()

    def test_several_benches_make_one_document(self) -> None:
        document = json.loads(self.run("all", "--json", "--seconds", "31").splitlines()[-1])

        assert [one["ok"] for one in document["benches"]] == [True, True]
        assert document["ok"] is True

    def test_all_puts_its_figures_into_the_page_and_a_single_bench_if_asked_to(self) -> None:
        self.run("all", "--no-write", "--seconds", "31")
        self.run("rowing")
        assert self.written == []

        self.run("all", "--seconds", "31")
        self.run("rowing", "--write")
        assert self.written == ["rowing"] * 3  # what both benches are called in their reports

    def test_a_bench_that_breaks_off_leaves_the_others_alone(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(report._benches, "drowning", breaks_off)

        with pytest.raises(CommandError, match="not met: drowning"):
            self.run("drowning", "rowing", "--write")
        assert self.written == ["rowing"]

    @pytest.mark.parametrize("names", [("drowning", "rowing"), ("rowing", "drowning"), ("all",)])
    def test_a_bench_that_breaks_off_stands_in_the_document_with_its_reason(
        self, names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(report._benches, "drowning", breaks_off)
        out = StringIO()

        with pytest.raises(CommandError, match="drowning"):
            call_command("bench", *names, "--no-write", "--json", seconds=31.0, stdout=out)

        document = json.loads(out.getvalue().splitlines()[-1])
        assert document["ok"] is False
        (broken,) = [one for one in document["benches"] if not one["ok"]]
        assert (broken["bench"], broken["broken"]) == ("drowning", "the worker has ended")
        assert [one["ok"] for one in document["benches"]].count(True) == len(
            report._benches if names == ("all",) else names
        ) - 1

    def test_a_single_bench_that_breaks_off_is_the_document(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(report._benches, "drowning", breaks_off)
        out = StringIO()

        with pytest.raises(CommandError):
            call_command("bench", "drowning", "--json", stdout=out)

        document = json.loads(out.getvalue().splitlines()[-1])
        assert document.keys() == make_report(40).as_json().keys()
        assert (document["broken"], document["ok"]) == ("the worker has ended", False)

    def test_the_person_who_waits_is_told_what_is_left(self) -> None:
        told = StringIO()

        call_command("bench", "all", "--no-write", seconds=31.0, stdout=StringIO(), stderr=told)

        first, second = told.getvalue().splitlines()
        assert first == "0 of 2 benches done after 0 min 0 s; left: rowing, running"
        assert second.endswith("left: running")

    def test_all_takes_fewer_rounds_of_a_bench_that_compares_nothing(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rounds: list[int] = []

        def counting(options: Options) -> Report:
            rounds.append(options.rounds)
            return make_report(40)

        monkeypatch.setattr(report, "_fewer_rounds", {"counting": 2})
        monkeypatch.setattr(report, "_benches", {"counting": counting})
        self.run("all", "--no-write", "--rounds", "5")
        self.run("all", "--no-write", "--rounds", "1")
        self.run("counting", "--rounds", "5")

        assert rounds == [2, 1, 5]

    def test_a_demand_that_is_not_met_fails_the_command(self) -> None:
        with pytest.raises(CommandError, match="not met: rowing"):
            self.run("running", "--seconds", "3")

    def test_an_unknown_bench_is_wrong_usage(self) -> None:
        with pytest.raises(CommandError, match="there are rowing, running") as caught:
            self.run("swimming")

        assert caught.value.returncode == 2


def test_options_have_moderate_defaults() -> None:
    assert Options().rounds >= 3
