"""Servers that do one thing wrong: each is noticed, bounded in time and memory, and named."""

from __future__ import annotations

import asyncio
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from pipes.core.choices import Auth, CodecName
from pipes.core.values import is_bad
from pipes.opcua.browse import browse
from pipes.opcua.discovery import discover
from pipes.opcua.errors import RequestFailed
from pipes.opcua.session import ConnectFailed, FailureKind, Session
from pipes.pki import Pki
from tests.servers.clients import (
    APPLICATION_URI,
    RecordingSink,
    double,
    prefixes,
    server_of,
    session_on,
    specs,
    subscribe,
    write,
)
from tests.servers.harness import running, until

MEGABYTE = 1024 * 1024
TRACED = 5  # what a coverage run costs
LANES = list(CodecName)


@contextmanager
def bounded(cpu_seconds: float, megabytes: int) -> Iterator[None]:
    """CPU time of this process, and how much its peak memory grows."""
    began = time.process_time()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    yield
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
    used = (time.process_time() - began) / (TRACED if sys.gettrace() else 1)
    assert used <= cpu_seconds, f"{used:.3f} s of CPU"
    assert grown <= megabytes * MEGABYTE, f"{grown / MEGABYTE:.1f} MB more"


async def failure_of(how: str, folder: Path, timeout: float = 1.0) -> ConnectFailed:
    with running("hostile", "--how", how) as process:
        began = time.monotonic()
        with pytest.raises(ConnectFailed) as caught:
            async with session_on(server_of(process), folder, timeout=timeout):
                pass
        assert time.monotonic() - began < 8 * timeout + 2
    return caught.value


async def test_an_honest_tiny_server_is_served(tmp_path: Path) -> None:
    with running("hostile") as process:
        async with session_on(server_of(process), tmp_path) as session:
            assert session.product == "hostile"
            sink = RecordingSink()
            subscription = await subscribe(session, CodecName.SPLICE, sink)
            await subscription.add(specs(session, ["X"]))
            await until(lambda: sink.latest, "a value is here")


@pytest.mark.parametrize(
    ("how", "kind", "word"),
    [
        ("silent", FailureKind.UNREACHABLE, "in time"),
        ("garbage", FailureKind.QUARANTINE, "chunk"),
        ("huge_chunk", FailureKind.QUARANTINE, "2147483647"),
        ("tiny_buffers", FailureKind.QUARANTINE, "buffers"),
        ("too_many_sessions", FailureKind.PROTOCOL, "BadTooManySessions"),
        ("refuses_login", FailureKind.REJECTED_LOGIN, "BadIdentityTokenRejected"),
        ("other_certificate", FailureKind.SECURITY, "another certificate"),
        ("mute_after_login", FailureKind.PROTOCOL, "after the login"),
    ],
)
async def test_a_server_that_cannot_be_used_fails_with_kind_and_reason(
    how: str, kind: FailureKind, word: str, tmp_path: Path
) -> None:
    with bounded(cpu_seconds=1.0, megabytes=32):
        failure = await failure_of(how, tmp_path)

    assert failure.kind is kind, failure.message
    assert word in failure.message
    assert "A " in failure.message


@pytest.mark.parametrize("how", ["bomb", "huge_array", "negative", "nested", "null_variants"])
async def test_a_bomb_in_a_value_ends_the_session_at_little_cost(how: str, tmp_path: Path) -> None:
    """F48."""
    reasons: list[str] = []
    with running("hostile", "--how", how) as process:
        session = await Session.open(
            server_of(process),
            Pki(tmp_path),
            application_uri=APPLICATION_URI,
            on_lost=reasons.append,
        )
        node = session.encode_node("ns=2;s=X")
        with bounded(cpu_seconds=1.0, megabytes=50), pytest.raises(ConnectionError):
            await session.read([(node, 13)])
        await until(lambda: reasons, "the loss is told")
        session.abort()

    assert "damaged" in reasons[0]


async def test_chunks_without_an_end_stop_at_the_limit(tmp_path: Path) -> None:
    """F49."""
    reasons: list[str] = []
    with running("hostile", "--how", "endless_chunks") as process:
        session = await Session.open(
            server_of(process),
            Pki(tmp_path),
            application_uri=APPLICATION_URI,
            on_lost=reasons.append,
        )
        node = session.encode_node("ns=2;s=X")
        with bounded(cpu_seconds=2.0, megabytes=64), pytest.raises((ConnectionError, TimeoutError)):
            await session.read([(node, 13)])
        await until(lambda: reasons, "the loss is told")
        session.abort()


@pytest.mark.parametrize(
    ("how", "word"), [("repeating_point", "repeats"), ("endless_pages", "pages")]
)
async def test_browsing_without_an_end_is_given_up(how: str, word: str, tmp_path: Path) -> None:
    """F49."""
    with running("hostile", "--how", how) as process:
        async with session_on(server_of(process), tmp_path) as session:
            with (
                bounded(cpu_seconds=4.0, megabytes=64),
                pytest.raises(RequestFailed, match=word),
            ):
                await browse(session, limit=1000, search="nothing has this name")
            assert (await session.read_status()).state == 0


async def test_a_page_of_an_endless_node_is_shown_without_asking_for_all(tmp_path: Path) -> None:
    with running("hostile", "--how", "endless_pages") as process:
        async with session_on(server_of(process), tmp_path) as session:
            page = await browse(session, limit=10)
            next_page = await browse(session, limit=10, continuation=page["continuation"])

    names = [row["browse_name"] for row in page["results"]]
    assert names == [f"2:N{number}" for number in range(10)]
    assert len(next_page["results"]) == 10


@pytest.mark.parametrize("how", ["cut_publish", "publish_bomb"])
async def test_a_damaged_notification_delivers_nothing_and_ends_the_session(
    how: str, tmp_path: Path
) -> None:
    reasons: list[str] = []
    with running("hostile", "--how", how) as process:
        session = await Session.open(
            server_of(process),
            Pki(tmp_path),
            application_uri=APPLICATION_URI,
            on_lost=reasons.append,
        )
        sink = RecordingSink()
        with bounded(cpu_seconds=1.0, megabytes=50):
            subscription = await subscribe(session, CodecName.SPLICE, sink)
            with suppress(ConnectionError):  # the session may end before the answer is read
                await subscription.add(specs(session, ["X"]))
            await until(lambda: reasons, "the loss is told")
        session.abort()

    assert sink.latest == {}
    assert "PublishResponse is damaged" in reasons[0]


async def test_a_subscription_that_the_server_forgot_is_lost_once(tmp_path: Path) -> None:
    """F41."""
    with running("hostile", "--how", "drops_subscription") as process:
        async with session_on(server_of(process), tmp_path) as session:
            sink = RecordingSink()
            subscription = await subscribe(session, CodecName.SPLICE, sink)
            await subscription.add(specs(session, ["X"]))
            await until(lambda: sink.lost_reasons, "the loss is told")
            assert (await session.read_status()).state == 0

    assert sink.lost_reasons == ["the server does not know it any more"]


@pytest.mark.parametrize("codec", LANES)
async def test_skipped_sequence_numbers_are_counted(codec: CodecName, tmp_path: Path) -> None:
    with running("hostile", "--how", "gap") as process:
        async with session_on(server_of(process), tmp_path) as session:
            sink = RecordingSink()
            subscription = await subscribe(session, codec, sink)
            await subscription.add(specs(session, ["X"]))
            await until(lambda: sink.latest, "a value is here")
            await subscription.add(specs(session, ["Y"]))
            await until(lambda: sink.gaps, "the gap is told")

    assert sink.gaps == [3]


async def test_a_server_that_takes_one_publish_gets_one(tmp_path: Path) -> None:
    with running("hostile", "--how", "one_publish") as process:
        async with session_on(server_of(process), tmp_path) as session:
            sink = RecordingSink()
            subscription = await subscribe(session, CodecName.SPLICE, sink)
            for name in ("X", "Y", "Z"):
                before = len(sink.history.get(0, []))
                await subscription.add(specs(session, [name]))
                await until(
                    lambda before=before: len(sink.history.get(0, [])) > before, "a value more"
                )

    assert sink.lost_reasons == []


async def test_a_write_that_is_answered_late_is_unknown_and_stays_harmless(
    tmp_path: Path,
) -> None:
    with running("hostile", "--how", "late_write") as process:
        async with session_on(server_of(process), tmp_path) as session:
            began = asyncio.get_running_loop().time()
            outcome = await write(
                session, CodecName.SPLICE, prefixes(session, ["X"]), {0: double(1.0)}
            )
            waited = asyncio.get_running_loop().time() - began
            # The answer comes 7 s after the write: the session must survive it.
            heard = session.last_heard
            await until(lambda: session.last_heard > heard, "the late answer is here")
            assert (await session.read_status()).state == 0

    assert outcome.failure == "no answer in time"
    assert outcome.results is None
    assert 4.9 < waited < 6.5


async def test_a_named_other_host_is_never_followed(tmp_path: Path) -> None:
    with running("hostile", "--how", "redirect") as process:
        endpoints = await discover(process.url)
        async with session_on(server_of(process), tmp_path) as session:
            assert session.product == "hostile"

    assert endpoints[0]["endpoint"].startswith("opc.tcp://198.51.100.7")


async def test_a_password_is_not_shown_to_a_server_without_encryption(tmp_path: Path) -> None:
    with running("hostile") as process:
        server = server_of(process, auth=Auth.USERNAME, username="u", password="secret-42")
        with pytest.raises(ConnectFailed) as caught:
            async with session_on(server, tmp_path):
                pass

    assert caught.value.kind is FailureKind.SECURITY
    assert "secret-42" not in caught.value.message


async def test_an_unknown_node_of_a_tiny_server_has_its_status(tmp_path: Path) -> None:
    with running("hostile") as process:
        async with session_on(server_of(process), tmp_path) as session:
            [value] = await session.read([(session.encode_node("ns=2;s=X"), 13)])

    assert is_bad(value.status)
