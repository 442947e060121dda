"""The commands that README and the demo tell people to type are commands that work."""

from __future__ import annotations

import io
import re
import shlex
from pathlib import Path

import pytest
from django.core.management import call_command, get_commands, load_command_class

from mirrorsite.demo.scene import what_to_try

ROOT = Path(__file__).resolve().parents[2]


def commands() -> list[list[str]]:
    """The words after ``manage.py`` of every command; a line goes on after a backslash."""
    demo = "\n".join(what_to_try("http://127.0.0.1:8000", "var/demo/REDOPC"))
    text = re.sub(r"\\\n\s*", "", (ROOT / "README.md").read_text(encoding="utf-8") + demo)
    return [shlex.split(found) for found in re.findall(r"manage\.py ([^`#\n]+)", text)]


COMMANDS = commands()


def test_both_tell_of_commands() -> None:
    told = [words[0] for words in COMMANDS]

    assert {"demo", "test", "station", "config"} <= set(told)
    assert told.count("create_token") == 3


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_command_is_taken_as_it_stands_there(words: list[str]) -> None:
    name, *arguments = words
    command = load_command_class(get_commands()[name], name)

    assert command.create_parser("manage.py", name).parse_args(arguments) is not None


@pytest.mark.django_db
@pytest.mark.parametrize(
    "words", [words for words in COMMANDS if words[0] == "create_token"], ids=" ".join
)
def test_the_accounts_of_the_examples_can_be_made(words: list[str]) -> None:
    out = io.StringIO()

    call_command(*words, stdout=out)

    assert len(out.getvalue().strip()) > 20
