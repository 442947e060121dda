"""``manage.py bench NAME... | all``: measure, and compare with what is demanded."""

from __future__ import annotations

import json
import subprocess
import time
from argparse import BooleanOptionalAction
from collections.abc import Sequence
from typing import Any, Final

import psutil
from django.core.management.base import BaseCommand, CommandError, CommandParser

from benchmarks.pages import write_down
from benchmarks.report import Bench, Options, Report, load_benches, names_of_all, options_in_all
from benchmarks.rig import BenchFailed

ALL: Final = "all"
#: What ends one bench and none of the others: a process of it died or did not answer.
BREAKS_OFF: Final = (BenchFailed, OSError, subprocess.SubprocessError, psutil.Error)


class Command(BaseCommand):
    help = "Run benches; exit status 1 if a demand is not met."
    requires_system_checks = ()
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("names", nargs="+", metavar="NAME", help="a bench, or all")
        parser.add_argument("--json", action="store_true", help="the last line is one document")
        parser.add_argument("--seconds", type=float, default=5.0, help="length of a measurement")
        parser.add_argument("--rounds", type=int, default=3, help="rounds; their median counts")
        parser.add_argument(
            "--write",
            action=BooleanOptionalAction,
            default=None,
            help="put the figures into docs/benchmarks.md; all does so unless told not to",
        )
        parser.add_argument("--minutes", type=float, default=10.0, help="length of soak")
        parser.add_argument("--seed", type=int, default=0, help="first seed of random load")
        parser.add_argument("--name", help="this station's name (not used)")
        parser.add_argument("--data-dir", help="the folder of the station (not used)")

    def handle(self, *_args: Any, **options: Any) -> None:
        benches = load_benches()
        is_all = ALL in options["names"]
        names = names_of_all() if is_all else options["names"]
        unknown = [name for name in names if name not in benches]
        if unknown:
            known = ", ".join(benches)
            raise CommandError(f"No bench is called {unknown[0]}; there are {known}.", returncode=2)
        is_written = is_all if options["write"] is None else options["write"]
        wanted = Options(options["seconds"], options["rounds"], options["seed"], options["minutes"])
        began, reports = time.monotonic(), []
        for done, name in enumerate(names):
            self._tell_left(names, done, time.monotonic() - began)
            asked = options_in_all(name, wanted) if is_all else wanted
            report = run(benches[name], name, asked)
            reports.append(report)
            self.stdout.write(report.as_table() + "\n")
            if is_written and not report.broken:
                write_down(report, asked)
        if options["json"]:
            self.stdout.write(json.dumps(as_document(reports)))
        failed = [report.bench for report in reports if not report.ok]
        if failed:
            raise CommandError(f"Demands are not met: {', '.join(failed)}.")

    def _tell_left(self, names: Sequence[str], done: int, seconds: float) -> None:
        """On stderr, for the person who waits; nothing if there is but one bench."""
        if len(names) > 1:
            left = ", ".join(names[done:])
            passed = f"{seconds // 60:.0f} min {seconds % 60:.0f} s"
            self.stderr.write(f"{done} of {len(names)} benches done after {passed}; left: {left}")


def run(bench: Bench, name: str, options: Options) -> Report:
    """The report of a bench, also if it broke off."""
    try:
        return bench(options)
    except BREAKS_OFF as failure:
        return Report(name, "", {}, broken=str(failure) or type(failure).__name__)


def as_document(reports: Sequence[Report]) -> dict[str, Any]:
    """The report itself if one bench was asked for, else all of them, broken ones too."""
    if len(reports) == 1:
        return reports[0].as_json()
    return {
        "benches": [report.as_json() for report in reports],
        "ok": all(report.ok for report in reports),
    }
