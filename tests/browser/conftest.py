"""A real browser against a real web process's application, with a database file of its own.

Playwright's synchronous API keeps an event loop running in the main thread, where Django's ORM then
refuses to work; hence the variable below, and hence these tests are a pytest run of their own.
"""

from __future__ import annotations

import os
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from django.core.cache import cache

os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
]


@pytest.fixture(scope="session")
def base_url() -> None:
    """Tests name the station's address; the plugin's own fixture warns under pytest 9.2."""


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, Any]:
    """Debian's chromium; without it the tests are skipped, except where CI asks for them."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        reason = "no chromium on PATH; apt-get install chromium"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return {"executable_path": chromium, "args": FLAGS}


@pytest.fixture(scope="session")
def django_db_modify_db_settings(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A file in WAL mode: threads of the web process share an in-memory database badly."""
    from django.db import connections

    name = str(tmp_path_factory.mktemp("database") / "test.sqlite3")
    connections["default"].settings_dict["TEST"]["NAME"] = name


@pytest.fixture
def station(transactional_db: None, settings: Any, tmp_path: Path) -> Iterator[str]:
    """The address of a web process that serves the test database."""
    from dataclasses import replace

    from mirrorsite.asgi import application

    settings.STATION = replace(settings.STATION, data_dir=tmp_path, run_dir=tmp_path)
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    cache.clear()
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()  # from here on a browser waits instead of being refused
    server = uvicorn.Server(
        uvicorn.Config(
            application,
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=1,
        )
    )
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(timeout=10)
    listener.close()


class Complaints:
    """What a page did wrong: errors on the console, dialogs, requests to other hosts."""

    def __init__(self, page: Any, station: str) -> None:
        self.seen: list[str] = []
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.seen.append(f"error: {error}"))
        page.on("dialog", self._dialog)
        page.on("request", lambda request: self._request(request.url, station))

    def _console(self, message: Any) -> None:
        if message.type in {"error", "warning"}:
            self.seen.append(f"console: {message.text}")

    def _dialog(self, dialog: Any) -> None:
        self.seen.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _request(self, url: str, station: str) -> None:
        if not url.startswith((station, "data:", "blob:")):
            self.seen.append(f"request: {url}")


@pytest.fixture
def complaints(page: Any, station: str) -> Complaints:
    return Complaints(page, station)
