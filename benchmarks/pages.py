"""Writes what was measured into ``docs/benchmarks.md``, and a plot of it beside it.

A bench's figures stand between two markers of its name; nothing else of the page is touched.
The plot has one bar for each program of the benches that compare programs.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Final

from benchmarks.machine import Machine
from benchmarks.report import Options, Report
from benchmarks.rig import ROOT

PAGE: Final = ROOT / "docs" / "benchmarks.md"
PLOTS: Final = ROOT / "docs" / "benchmarks"
END: Final = "<!-- figures end -->"
WIDTH: Final = 720
NAMES: Final = 140
ROW: Final = 30
TOP: Final = 40
FIGURES: Final = 110
#: A page of its own behind the bars: readable whatever surrounds it, dark for who wants it dark.
COLOURS: Final = (
    ".page{fill:#fff}text{fill:#1b1f24}.ours{fill:#0b6e4f}.other{fill:#8795a1}"
    "@media (prefers-color-scheme:dark){.page{fill:#161b22}text{fill:#e6edf3}"
    ".ours{fill:#3fb68b}.other{fill:#76818c}}"
)


def write_down(report: Report, options: Options, page: Path = PAGE, plots: Path = PLOTS) -> None:
    """Replace the bench's section of the page, or add it, and draw its plot if it has ratios."""
    section = as_section(report, options)
    if report.ratios and len(report.results) > 2:
        plots.mkdir(exist_ok=True)
        (plots / f"{report.bench}.svg").write_text(as_plot(report), encoding="utf-8")
        name = f"{plots.name}/{report.bench}.svg"
        section += f"\n![{report.unit} of {report.bench}]({name})\n"
    text = page.read_text(encoding="utf-8")
    page.write_text(with_section(text, report.bench, section), encoding="utf-8")


def with_section(text: str, name: str, section: str) -> str:
    """``text`` with the section of this name replaced, or put in before the end marker.

    Raises:
        ValueError: the page has neither the section nor an end marker.
    """
    begin, end = f"<!-- {name} begin -->\n", f"<!-- {name} end -->\n"
    made = f"{begin}{section}{end}"
    if begin in text and end in text:
        before, _, rest = text.partition(begin)
        return before + made + rest.partition(end)[2]
    if END not in text:
        raise ValueError(f"the page has no marker {END!r}")
    return text.replace(END, f"{made}\n{END}")


def as_section(report: Report, options: Options) -> str:
    command = f"python3 manage.py bench {report.bench}"
    length = f"--seconds {options.seconds:g} --rounds {options.rounds}"
    about = report.unit
    if report.skipped:
        about += f"; not installed: {', '.join(report.skipped)}"
    names = list(dict.fromkeys(name for row in report.results.values() for name in row))
    rows = [["", *report.results]]
    for name in names:
        figures = [row.get(name) for row in report.results.values()]
        rows.append([name, *("" if got is None else _short(got) for got in figures)])
    if report.ratios:
        found = [report.ratios.get(name) for name in report.results]
        rows.append(["times ours", *("" if got is None else _short(got) for got in found)])
    demands = [["demand", "wanted", "got", ""]]
    demands += [
        [each.name, each.wanted, _short(each.got), "met" if each.ok else "**missed**"]
        for each in report.demands
    ]
    return (
        f"### {report.bench}\n\n`{command} {length}` ({about})  \n{Machine.here()}\n\n"
        f"{_table(rows)}\n\n{_table(demands)}\n"
    )


def _short(figure: float) -> str:
    """At most four digits, and no exponent."""
    if abs(figure) >= 1000:
        return f"{figure:.0f}"
    return f"{figure:.3g}"


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *body = rows
    rule = ["---", *("---:" for _ in head[1:])]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *body))


def as_plot(report: Report) -> str:
    """Horizontal bars of the report's unit, the cheapest as long as its share of the dearest."""
    figures = {name: row[report.unit] for name, row in report.results.items() if report.unit in row}
    longest = max(figures.values())
    room = WIDTH - NAMES - FIGURES
    height = TOP + ROW * len(figures) + 10
    title = escape(f"{report.bench}: {report.unit}, less is better")
    size = f'viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="14"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" {size}>',
        f"<title>{title}</title>",
        f"<style>{COLOURS}</style>",
        f'<rect class="page" width="{WIDTH}" height="{height}"/>',
        f'<text x="10" y="24" font-weight="bold">{title}</text>',
    ]
    first = next(iter(figures))
    for row, (name, figure) in enumerate(figures.items()):
        y = TOP + ROW * row
        length = max(1.0, room * figure / longest)
        kind = "ours" if name == first else "other"
        parts += [
            f'<text x="{NAMES - 8}" y="{y + 17}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="{NAMES}" y="{y + 3}" width="{length:.1f}" height="20" class="{kind}"/>',
            f'<text x="{NAMES + length + 6:.1f}" y="{y + 17}">{_short(figure)}</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])
