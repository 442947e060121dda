"""``manage.py station``: run every process of one station in the foreground."""

from __future__ import annotations

import asyncio
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from mirrorsite import checks, database
from mirrorsite.accounts.setup import setup_line
from mirrorsite.admission import FolderLock, StartRefused, check_port, claim_redis
from mirrorsite.console import Console
from mirrorsite.env import FLAGS, OPTIONS
from mirrorsite.launcher import Launcher

_HELP = {
    "--name": "this station's name",
    "--data-dir": "the folder of all that the station writes",
    "--run-dir": "the folder of sockets and the board",
    "--http": "host:port of web, REST and WebSocket",
    "--public-url": "the address that people and the peer use",
    "--opcua": "host:port of the station's own OPC UA server",
    "--link": "where the redundancy link listens",
    "--peer": "the peer's link addresses; none for a simplex station",
    "--initial-role": "active, standby or simplex, at the first start",
    "--pipe-workers": "how many pipe worker processes",
    "--allow-chaos": "open the fault-injection command (test stations only)",
}


class Command(BaseCommand):
    help = "Run every process of one station in the foreground."
    requires_system_checks = (checks.TAG,)
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        # `mirrorsite.env` has read them before Django did; here they are explained and checked.
        for option, variable in OPTIONS.items():
            parser.add_argument(option, help=f"{_HELP[option]} ({variable})")
        for option, variable in FLAGS.items():
            parser.add_argument(option, action="store_true", help=f"{_HELP[option]} ({variable})")

    def handle(self, *_args: Any, **_options: Any) -> None:
        station = settings.STATION
        lock = FolderLock(station.data_dir / "station.lock")
        console = Console()
        try:
            lock.take()
            check_port(station.http_host, station.http_port, "--http")
            claim_redis(station)
            asyncio.run(run(console))
        except StartRefused as refusal:
            raise CommandError(str(refusal)) from None
        finally:
            console.close()


async def run(console: Console) -> None:
    await Launcher(settings.STATION, console, database, setup_line).run()
