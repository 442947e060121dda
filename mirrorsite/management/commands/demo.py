"""``manage.py demo``: sample plants and a station between them, ready to look at."""

from __future__ import annotations

import asyncio
import shutil
from argparse import ArgumentTypeError
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from mirrorsite.admission import FolderLock, StartRefused
from mirrorsite.console import Console
from mirrorsite.demo.scene import Choices, Scene, choose_ports
from mirrorsite.env import make_folders


class Command(BaseCommand):
    help = "Start two sample plants and a station that mirrors them; Ctrl-C stops everything."
    requires_system_checks = ()
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--minutes", type=_positive, help="end by itself after this time")
        parser.add_argument("--reset", action="store_true", help="start with new data")
        parser.add_argument("--base-port", type=_port, help="first port (default 8000)")
        parser.add_argument("--items", type=_items, default=200, help="mirrored items (200)")
        parser.add_argument(
            "--rate", type=_positive, default=2.0, help="changes per second of each tag (2)"
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        choices = Choices(
            options["items"], options["rate"], options["minutes"], options["base_port"]
        )
        folder = settings.STATION.data_dir.parent
        lock = FolderLock(folder.parent / "demo.lock", "the demo")
        console = Console()
        try:
            lock.take()
            if options["reset"]:
                shutil.rmtree(folder)
                make_folders(settings.STATION)
            ports = choose_ports(choices.base_port, console.say)
            asyncio.run(run(folder, choices, ports, console))
        except StartRefused as refusal:
            raise CommandError(str(refusal)) from None
        finally:
            console.close()


async def run(folder: Any, choices: Choices, ports: dict[str, int], console: Console) -> None:
    await Scene(folder, choices, ports, console).run()


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < 1e6:
        raise ArgumentTypeError("takes a number above 0")
    return number


def _port(text: str) -> int:
    number = int(text)
    if not 1024 <= number <= 65_400:
        raise ArgumentTypeError("takes a port from 1024 to 65400")
    return number


def _items(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 100_000:
        raise ArgumentTypeError("takes 1 to 100000")
    return number
