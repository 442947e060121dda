"""``manage.py config``: the configuration as a file, planned and applied, or recovered."""

from __future__ import annotations

import argparse
import getpass
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from pipes import backups, drafting, imports, linting, services
from pipes.core.findings import Finding, Severity
from pipes.core.plan import Plan
from pipes.core.problems import FieldError
from pipes.refusals import Invalid, RefusedError

SUFFIXES: Final[Mapping[str, str]] = {".json": "json", ".csv": "csv", ".xlsx": "xlsx"}
#: How many wrong cells are told one by one.
TOLD_ERRORS: Final = 20
TOLD_FINDINGS: Final = 20


class Command(BaseCommand):
    help = "Export, plan, apply or recover the configuration."

    def add_arguments(self, parser: CommandParser) -> None:
        _add_station(parser)
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        export = _add(actions, "export", "write the configuration to a file or to stdout")
        export.add_argument("--out", metavar="F", help="the file; without it, stdout")
        export.add_argument("--format", choices=imports.FORMATS, help="default: by the file's name")
        for action, help_text in (
            ("plan", "show what a file would change"),
            ("apply", "make a file's content the configuration, all or nothing"),
        ):
            each = _add(actions, action, help_text)
            each.add_argument("file", metavar="F")
            each.add_argument("--format", choices=imports.FORMATS)
            each.add_argument(
                "--mode", choices=drafting.MODES, help="default: json replaces, tables merge"
            )
            each.add_argument("--rows", type=int, default=1000, help="rows of the plan (1000)")
            if action == "apply":
                each.add_argument("--reason", default="", metavar="TEXT")
        lint = _add(actions, "lint", "show what is wrong, or looks wrong, with the configuration")
        lint.add_argument(
            "--without-servers", action="store_true", help="ask no server about its nodes"
        )
        lint.add_argument(
            "--pipe", metavar="NAME", help="only this pipe, as if it were switched on"
        )
        _add(actions, "recover", "make a lost or damaged database anew from the last-good file")

    def handle(self, *_: Any, **options: Any) -> None:
        try:
            getattr(self, f"_{options['action']}")(options)
        except Invalid as error:
            if error.plan is not None:
                self._say_plan(error.plan, as_json=options["json"])
            raise CommandError(_told(error.errors)) from error
        except RefusedError as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            raise CommandError(f"{error.filename}: {error.strerror}") from error

    def _export(self, options: Mapping[str, Any]) -> None:
        out = options["out"]
        _migrate()
        content = imports.export_configuration(options["format"] or _format(out or "", "json"))
        if out:
            Path(out).write_bytes(content)
            if options["json"]:
                self._say({"file": out, "bytes": len(content)})
            return
        stream = getattr(self.stdout, "buffer", None)
        if stream is None:
            self.stdout.write(content.decode(), ending="")
        else:
            stream.write(content)
            stream.flush()

    def _plan(self, options: Mapping[str, Any]) -> None:
        plan = self._committed(options, dry_run=True)
        self._say_plan(plan, as_json=options["json"])
        if plan.wrong:
            raise CommandError(_told(plan.errors))

    def _apply(self, options: Mapping[str, Any]) -> None:
        plan = self._committed(options, dry_run=False)
        self._say_plan(plan, as_json=options["json"])

    def _committed(self, options: Mapping[str, Any], *, dry_run: bool) -> Plan:
        form = options["format"] or _format(options["file"], "")
        if not form:
            raise CommandError(f"{options['file']}: say --format csv, xlsx or json")
        with Path(options["file"]).open("rb") as file:
            fill, _ = imports.configuration_filler(file, form, options["mode"])
        _migrate()
        return services.commit(
            fill,
            user=getpass.getuser(),
            reason=options.get("reason") or "",
            dry_run=dry_run,
            rows=options["rows"],
        )

    def _lint(self, options: Mapping[str, Any]) -> None:
        _migrate()
        findings = linting.lint_present(
            with_facts=not options["without_servers"], pipe=options["pipe"]
        )
        if options["json"]:
            self._say([finding.body() for finding in findings])
        else:
            self.stdout.write("\n".join(map(_told_finding, findings)) or "nothing found")
        errors = sum(finding.severity is Severity.ERROR for finding in findings)
        if errors:
            raise CommandError(f"{errors} errors in the configuration")

    def _recover(self, options: Mapping[str, Any]) -> None:
        done = backups.ensure_database()
        if options["json"]:
            self._say({"recovered": done is not None, "detail": done or ""})
        else:
            self.stdout.write(done or "The database is sound; there is nothing to recover.")

    def _say_plan(self, plan: Plan, *, as_json: bool) -> None:
        body = plan.body()
        if as_json:
            self._say(body)
            return
        for row in _rows(body):
            self.stdout.write(row)
        for finding in plan.findings[:TOLD_FINDINGS]:
            self.stdout.write(_told_finding(finding))
        if len(plan.findings) > TOLD_FINDINGS:
            self.stdout.write(f"and {len(plan.findings) - TOLD_FINDINGS} findings more")
        counts = ", ".join(f"{count} {name}" for name, count in plan.counts.items() if count)
        left = f" ({body['rows_left_out']} rows are not shown)" if body["rows_left_out"] else ""
        self.stdout.write(f"{counts or 'nothing to change'}{left}")
        if not plan.dry_run and plan.revision:
            self.stdout.write(f"revision {plan.revision}")

    def _say(self, body: Any) -> None:
        self.stdout.write(json.dumps(body, ensure_ascii=False))


def _add(actions: Any, name: str, help_text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=help_text)
    _add_station(parser)
    parser.add_argument("--json", action="store_true", help="one JSON document as the last line")
    return parser


def _add_station(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", help="the station (read before the command begins)")
    parser.add_argument("--data-dir", help="its data folder (read before the command begins)")


def _migrate() -> None:
    """Every command makes the data folder's database if it is new."""
    call_command("migrate", verbosity=0, interactive=False)


def _format(name: str, otherwise: str) -> str:
    return SUFFIXES.get(Path(name).suffix.lower(), otherwise)


def _told(errors: list[FieldError]) -> str:
    lines = []
    for error in errors[:TOLD_ERRORS]:
        row = "" if error.row is None else f"row {error.row}: "
        is_shown = error.message.startswith("must ") and error.value not in (None, "")
        value = f" (not {error.value!r})" if is_shown else ""
        lines.append(f"{row}{error.column or error.field} {error.message}{value}")
    if len(errors) > TOLD_ERRORS:
        lines.append(f"and {len(errors) - TOLD_ERRORS} more")
    return "\n".join(lines)


def _told_finding(finding: Finding) -> str:
    return f"{finding.severity} {finding.rule}: {finding.message}"


def _rows(body: Mapping[str, Any]) -> list[str]:
    shown = []
    for row in body["rows"]:
        if row["action"] == "error":
            continue  # told on stderr
        fields = "; ".join(
            f"{name}: {_shown(each['old'])} → {_shown(each['new'])}"
            for name, each in row["fields"].items()
        )
        shown.append(f"{row['action']} {row['kind']} {row['key']}  {fields}")
    return shown


def _shown(value: Any) -> str:
    return "–" if value is None else json.dumps(value, ensure_ascii=False)
