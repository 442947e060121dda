"""Rules about the code itself, which no type checker or linter knows."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import call_command

import pipes
from mirrorsite.bootstrap import LOCKS
from mirrorsite.env import BOOTSTRAP_VARIABLES, ROOT, SETTINGS

PACKAGES = ("mirrorsite", "diagnostics", "pipes", "redundancy")


def sources() -> list[Path]:
    found = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    return [path for path in found if "migrations" not in path.parts]


def python(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": ".", **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


class TestSettings:
    @staticmethod
    def headings() -> set[str]:
        text = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
        return set(re.findall(r"^## (MIRRORSITE_\w+)$", text, re.MULTILINE))

    def test_every_setting_has_its_heading(self) -> None:
        assert self.headings() >= SETTINGS | BOOTSTRAP_VARIABLES

    def test_every_variable_that_the_code_names_is_described(self) -> None:
        named = {
            name
            for path in sources()
            for name in re.findall(r"MIRRORSITE_[A-Z_]*[A-Z]", path.read_text(encoding="utf-8"))
        }

        assert named <= self.headings()

    def test_no_heading_describes_what_does_not_exist(self) -> None:
        for_processes = {"MIRRORSITE_PROCESS", "MIRRORSITE_LOG_FORMAT"}

        assert self.headings() == SETTINGS | BOOTSTRAP_VARIABLES | for_processes


class TestImports:
    def test_the_contracts_hold(self) -> None:
        done = python(
            "from importlinter.cli import lint_imports; import sys; sys.exit(lint_imports())"
        )

        assert done.returncode == 0, done.stdout[-3000:]

    def test_pipes_is_ours_and_not_the_standard_library_s(self) -> None:
        assert Path(pipes.__file__ or "").parent == ROOT / "pipes"

    def test_the_web_process_does_not_load_the_opc_ua_library(self) -> None:
        done = python(
            "import sys, mirrorsite.web, mirrorsite.urls\n"
            "from django.urls import get_resolver\n"
            "get_resolver().url_patterns\n"
            "print([name for name in sys.modules if name.split('.')[0] == 'asyncua'])"
        )

        assert done.stdout == "[]\n", done.stderr[-2000:]

    def test_set_up_needs_nothing_but_the_standard_library(self) -> None:
        code = "import sys; sys.path.insert(0, '.'); import mirrorsite.bootstrap"
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", code],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )

        assert done.returncode == 0, done.stderr


class TestLocks:
    @staticmethod
    def names(file: str) -> set[str]:
        text = (ROOT / file).read_text(encoding="utf-8")
        found = re.findall(r"^([A-Za-z0-9][A-Za-z0-9._-]*)", text, re.MULTILINE)
        return {re.sub(r"[-_.]+", "-", name).lower() for name in found}

    @pytest.mark.parametrize("lock", LOCKS["dev"])
    def test_every_required_package_is_locked(self, lock: str) -> None:
        assert self.names(lock.replace(".txt", ".in")) <= self.names(lock)

    @pytest.mark.parametrize("lock", LOCKS["dev"])
    def test_every_locked_package_has_a_version_and_a_hash(self, lock: str) -> None:
        text = (ROOT / lock).read_text(encoding="utf-8")
        entries = re.split(r"\n(?=[A-Za-z0-9])", text)

        loose = [
            entry.splitlines()[0]
            for entry in entries
            if entry[0] != "#" and not ("==" in entry and "--hash=sha256:" in entry)
        ]

        assert loose == []

    @pytest.mark.parametrize("lock", LOCKS["dev"])
    def test_no_lock_names_a_place_to_download_from(self, lock: str) -> None:
        text = (ROOT / lock).read_text(encoding="utf-8")

        assert not re.search(r"https?://|--index|--find-links|^-i ", text, re.MULTILINE)


@pytest.mark.django_db
def test_no_migration_is_missing() -> None:
    call_command("makemigrations", check_changes=True, dry_run=True, verbosity=0)


def test_no_module_is_called_after_nothing_in_particular() -> None:
    vague = {"utils.py", "helpers.py", "manager.py", "misc.py", "common_utils.py"}

    assert [path for path in sources() if path.name in vague] == []


def test_every_decision_record_is_complete_and_in_order() -> None:
    records = sorted((ROOT / "docs" / "adr").glob("*.md"))

    for number, record in enumerate(records, 1):
        text = record.read_text(encoding="utf-8")
        assert record.name.startswith(f"{number:04d}-")
        assert text.startswith(f"# {number}. ")
        for part in ("Status: ", "## Context", "## Decision", "## Consequences"):
            assert part in text, f"{record.name} has no {part}"
    assert len(records) >= 8


class TestComplaints:
    """docs/complaints.md promises a test for each of its rows."""

    ROW = re.compile(r"^\| ([CF]\d+) \|.*$", re.MULTILINE)
    NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
    WANTED = frozenset(
        [*(f"C{number}" for number in range(1, 14)), "C18", "F46", "F47", "F52", "F53", "F67"]
    )

    def rows(self) -> dict[str, list[tuple[str, str]]]:
        text = (ROOT / "docs" / "complaints.md").read_text(encoding="utf-8")
        return {found[1]: self.NAMED.findall(found[0]) for found in self.ROW.finditer(text)}

    def test_every_complaint_and_fault_has_a_row_that_names_tests(self) -> None:
        rows = self.rows()

        assert rows.keys() == self.WANTED
        assert all(rows.values())

    def test_every_row_has_a_test_that_bears_its_number(self) -> None:
        """``test_c01_…`` for complaint C1; ``test_f46_…`` or ``test_c13_f38_…`` for a fault."""
        without = []
        for row, named in self.rows().items():
            number = f"{row[0].lower()}{int(row[1:]):02}"
            if not any(re.match(rf"test_(c\d\d_)?{number}_", name) for _, name in named):
                without.append(row)

        assert without == []

    def test_every_named_test_exists(self) -> None:
        named = {one for tests in self.rows().values() for one in tests}
        existing = {
            (path, node.name)
            for path in {path for path, _ in named}
            for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8")))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }

        assert named <= existing, named - existing
