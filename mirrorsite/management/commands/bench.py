"""``manage.py bench NAME... | all``: measure, and compare with what is demanded."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from benchmarks.report import Options, Report, load_benches


class Command(BaseCommand):
    help = "Run benches; exit status 1 if a demand is not met."
    requires_system_checks = ()
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("names", nargs="+", metavar="NAME", help="a bench, or all")
        parser.add_argument("--json", action="store_true", help="the last line is one document")
        parser.add_argument("--seconds", type=float, default=5.0, help="length of a measurement")
        parser.add_argument("--rounds", type=int, default=3, help="rounds; their median counts")
        parser.add_argument("--seed", type=int, default=0, help="first seed of random load")
        parser.add_argument("--name", help="this station's name (not used)")
        parser.add_argument("--data-dir", help="the folder of the station (not used)")

    def handle(self, *_args: Any, **options: Any) -> None:
        benches = load_benches()
        names = list(benches) if "all" in options["names"] else options["names"]
        unknown = [name for name in names if name not in benches]
        if unknown:
            known = ", ".join(benches)
            raise CommandError(f"No bench is called {unknown[0]}; there are {known}.", returncode=2)
        wanted = Options(options["seconds"], options["rounds"], options["seed"])
        reports = []
        for name in names:
            reports.append(benches[name](wanted))
            self.stdout.write(reports[-1].as_table() + "\n")
        if options["json"]:
            self.stdout.write(json.dumps(_document(reports)))
        failed = [report.bench for report in reports if not report.ok]
        if failed:
            raise CommandError(f"Demands are not met: {', '.join(failed)}.")


def _document(reports: list[Report]) -> dict[str, Any]:
    """The report itself if there is one, else all of them."""
    if len(reports) == 1:
        return reports[0].as_json()
    return {
        "benches": [report.as_json() for report in reports],
        "ok": all(report.ok for report in reports),
    }
