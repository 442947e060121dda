"""``manage.py test``: the whole test suite, as continuous integration runs it.

Browser tests run in a pytest of their own before the rest: their library leaves an event loop
running in the main thread, which Django's ORM and pytest-asyncio do not bear.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandParser

from mirrorsite.env import ROOT

BROWSER: Final = "tests/browser"
#: The whole suite runs side by side, file by file: most scenarios wait most of their time.
IN_PARALLEL: Final = ("-n", "3", "--dist", "loadfile")
NOTHING_FOUND: Final = 5  # pytest's exit status when no test was selected


class Command(BaseCommand):
    help = "Run the test suite; further arguments go to pytest."
    requires_system_checks = ()

    def run_from_argv(self, argv: list[str]) -> None:
        if argv[2:] in (["--help"], ["-h"]):  # pytest has its own
            self.print_help(argv[0], argv[1])
            return
        sys.exit(run(argv[2:]))

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("arguments", nargs="*", help="paths and options of pytest")

    def handle(self, *_args: Any, **options: Any) -> None:
        sys.exit(run(options["arguments"]))


def run(arguments: Sequence[str]) -> int:
    """Run pytest for the browser tests and for the rest; the exit status of the whole."""
    statuses = [
        _pytest(words, is_browser=is_browser)
        for words, is_browser in runs(arguments, has_browser_tests=_has_browser_tests())
    ]
    return verdict(statuses)


def runs(arguments: Sequence[str], *, has_browser_tests: bool) -> list[tuple[list[str], bool]]:
    """What to give to pytest, and whether it is the run of browser tests."""
    paths = [word for word in arguments if not word.startswith("-") and _is_path(word)]
    options = [word for word in arguments if word not in paths]
    in_browser = [path for path in paths if path.startswith(BROWSER)]
    elsewhere = [path for path in paths if path not in in_browser]
    if not paths:
        whole = [([*options, BROWSER], True)] if has_browser_tests else []
        return [*whole, ([*IN_PARALLEL, *options, "tests", f"--ignore={BROWSER}"], False)]
    chosen = [([*options, *in_browser], True)] if in_browser else []
    if elsewhere:
        chosen.append(([*options, *elsewhere, f"--ignore={BROWSER}"], False))
    return chosen


def verdict(statuses: Sequence[int]) -> int:
    """0 if something was run and nothing failed."""
    failed = [status for status in statuses if status not in {0, NOTHING_FOUND}]
    if failed:
        return failed[0]
    return 0 if 0 in statuses else NOTHING_FOUND


def _is_path(word: str) -> bool:
    return (ROOT / word.partition("::")[0]).exists()


def _has_browser_tests() -> bool:
    return any((ROOT / BROWSER).glob("test_*.py"))


def _pytest(words: Sequence[str], *, is_browser: bool) -> int:
    environ = dict(os.environ)
    if is_browser:
        environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    command = [sys.executable, "-m", "pytest", *words]
    return subprocess.run(command, cwd=ROOT, env=environ, check=False).returncode
