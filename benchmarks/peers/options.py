"""The command line that every peer takes, and how those on asyncua connect."""

from __future__ import annotations

import argparse
from typing import Final

from asyncua.client.client import Client

#: asyncua's 4 s end a client of a server that is busy creating monitored items.
PATIENCE_SECONDS: Final = 60.0


def peer_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", required=True, help="endpoint that is read")
    parser.add_argument("--target", required=True, help="endpoint that is written")
    parser.add_argument("--items", type=int, required=True)
    return parser.parse_args()


def connect(url: str) -> Client:
    return Client(url, timeout=PATIENCE_SECONDS, watchdog_intervall=PATIENCE_SECONDS)
