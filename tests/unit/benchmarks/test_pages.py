from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks.machine import UNKNOWN, Machine, commit, cpu_model
from benchmarks.pages import END, PAGE, as_plot, with_section, write_down
from benchmarks.report import Demand, Options, Report

UNIT = "CPU us/value"
REPORT = Report(
    "race",
    UNIT,
    {"mirrorsite": {UNIT: 1.5}, "a<b": {UNIT: 36.0, "RSS MB": 12345.6}, "c": {UNIT: 6.0}},
    {"a<b": 24.0, "c": 4.0},
    (Demand.at_least("times", 20, 24.0), Demand.at_most("p99", 10, 11.0)),
    ("o6",),
)


def test_a_section_is_put_in_before_the_end_and_replaced_the_next_time() -> None:
    once = with_section(f"# Page\n\n{END}\n", "race", "old\n")
    twice = with_section(once, "race", "new\n")

    assert once == f"# Page\n\n<!-- race begin -->\nold\n<!-- race end -->\n\n{END}\n"
    assert twice == once.replace("old", "new")


def test_a_page_without_a_place_for_figures_is_not_touched() -> None:
    with pytest.raises(ValueError, match="no marker"):
        with_section("# Page\n", "race", "new\n")


def test_a_report_becomes_tables_and_a_plot(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# Page\n{END}\n")

    write_down(REPORT, Options(3.0, 2), page, tmp_path / "plots")

    text = page.read_text()
    assert "`python3 manage.py bench race --seconds 3 --rounds 2`" in text
    assert "| CPU us/value | 1.5 | 36 | 6 |" in text
    assert "| RSS MB |  | 12346 |  |" in text
    assert "| times ours |  | 24 | 4 |" in text
    assert "| times | >= 20 | 24 | met |\n| p99 | <= 10 | 11 | **missed** |" in text
    assert "not installed: o6" in text
    assert str(Machine.here()) in text
    assert "](plots/race.svg)" in text
    assert (tmp_path / "plots" / "race.svg").exists()


def test_the_bars_of_a_plot_are_as_long_as_their_figures() -> None:
    bars = [
        float(bar.attrib["width"])
        for bar in ElementTree.fromstring(as_plot(REPORT)).iter("{http://www.w3.org/2000/svg}rect")
    ][1:]

    assert bars[1] / bars[0] == pytest.approx(24, rel=0.01)
    assert bars[1] / bars[2] == pytest.approx(6, rel=0.01)


def test_the_page_of_this_project_has_a_place_for_figures() -> None:
    assert END in PAGE.read_text(encoding="utf-8")


def test_figures_say_what_they_were_measured_on() -> None:
    machine = Machine("2026-01-31", "0a1b2c3d4e", "Abacus 3", 2, "3.11.7")

    assert str(machine) == "2026-01-31, commit 0a1b2c3d4e, Abacus 3, 2 cores, Python 3.11.7"


def test_where_neither_git_nor_the_kernel_tells_nothing_is_made_up(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: Abacus 3\n")

    assert cpu_model(tmp_path / "cpuinfo") == "Abacus 3"
    assert cpu_model(tmp_path / "none")
    assert commit(tmp_path / "none") == UNKNOWN


def test_a_plot_has_colours_for_light_and_dark() -> None:
    plot = as_plot(REPORT)

    assert "prefers-color-scheme:dark" in plot
    assert plot.count('class="ours"') == 1
    assert plot.count('class="other"') == 2
