"""Policies, certificates and logins: what is not exactly right is refused, and says why."""

from __future__ import annotations

import datetime as dt
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from pipes.core.choices import Auth, CodecName, SecurityMode, SecurityPolicy
from pipes.core.wanted import Server
from pipes.opcua.discovery import discover
from pipes.opcua.discovery import test_connection as check_connection
from pipes.opcua.security import check_server_certificate
from pipes.opcua.session import ConnectFailed, FailureKind, Session
from pipes.pki import Pki, thumbprint_of
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
from tests.servers.harness import ServerProcess, running, until

KINDS = [pytest.param("plant"), pytest.param("foreign", marks=pytest.mark.node)]
POLICIES = [
    (policy, mode)
    for policy in (
        SecurityPolicy.BASIC256SHA256,
        SecurityPolicy.AES128_SHA256_RSAOAEP,
        SecurityPolicy.AES256_SHA256_RSAPSS,
    )
    for mode in (SecurityMode.SIGN, SecurityMode.SIGN_AND_ENCRYPT)
]
ALL_POLICIES = ",".join(
    ["NoSecurity", *(f"{policy.value}_{mode.value}" for policy, mode in POLICIES)]
)
SERVER_URI = {"plant": "urn:test:plant:server", "foreign": "urn:test:foreign:server"}


class Identity(NamedTuple):
    certificate: Path
    key: Path
    der: bytes


def make_identity(
    folder: Path,
    application_uri: str,
    *,
    days: int = 30,
    starts: int = -1,
    key_size: int = 2048,
) -> Identity:
    folder.mkdir(parents=True, exist_ok=True)
    key = rsa.generate_private_key(public_exponent=65537, key_size=key_size)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test server")])
    now = dt.datetime.now(dt.UTC)
    usage = x509.KeyUsage(True, True, True, True, False, True, False, False, False)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + dt.timedelta(days=min(starts, days - 1)))
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(
            x509.SubjectAlternativeName(
                [
                    x509.UniformResourceIdentifier(application_uri),
                    x509.DNSName(socket.gethostname()),
                ]
            ),
            critical=False,
        )
        .add_extension(usage, critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    der = certificate.public_bytes(serialization.Encoding.DER)
    (folder / "cert.der").write_bytes(der)
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    (folder / "cert.pem").write_bytes(pem)
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return Identity(folder / "cert.pem", folder / "key.pem", der)


def arguments(kind: str, identity: Identity, *more: str) -> list[str]:
    common = [
        "--items",
        "5",
        "--certificate",
        str(identity.certificate),
        "--key",
        str(identity.key),
    ]
    if kind == "plant":
        return [*common, "--policies", ALL_POLICIES, *more]
    return [*common, "--secure", *more]


def secured(process: ServerProcess, **changes: object) -> Server:
    policy = {
        "security_policy": SecurityPolicy.BASIC256SHA256,
        "security_mode": SecurityMode.SIGN_AND_ENCRYPT,
    }
    return server_of(process, **{**policy, **changes})


async def refused(server: Server, folder: Path) -> ConnectFailed:
    with pytest.raises(ConnectFailed) as caught:
        async with session_on(server, folder):
            pass
    return caught.value


@pytest.fixture(scope="module", params=KINDS)
def both(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[ServerProcess, Identity]]:
    """A server of either kind with all policies and anonymous login."""
    kind = request.param
    identity = make_identity(tmp_path_factory.mktemp("server"), SERVER_URI[kind])
    with running(kind, *arguments(kind, identity)) as process:
        yield process, identity


@pytest.fixture(scope="module", params=KINDS)
def guarded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[ServerProcess, Identity]]:
    """The same with a user: operator / secret-42."""
    kind = request.param
    identity = make_identity(tmp_path_factory.mktemp("server"), SERVER_URI[kind])
    more = ("--user", "operator", "--password", "secret-42")
    with running(kind, *arguments(kind, identity, *more)) as process:
        yield process, identity


# --- policies ---


@pytest.mark.parametrize(("policy", "mode"), POLICIES)
@pytest.mark.parametrize("codec", list(CodecName))
async def test_every_policy_and_mode_moves_values(
    both: tuple[ServerProcess, Identity],
    policy: SecurityPolicy,
    mode: SecurityMode,
    codec: CodecName,
    tmp_path: Path,
) -> None:
    process, identity = both
    Pki(tmp_path).add_trusted(identity.der)
    server = secured(process, security_policy=policy, security_mode=mode)
    async with session_on(server, tmp_path) as session:
        sink = RecordingSink()
        subscription = await subscribe(session, codec, sink)
        await subscription.add(specs(session, ["T000001", "T000002"]))
        await until(lambda: len(sink.latest) == 2, "both values are here")
        base = sink.plain(0)
        outcome = await write(
            session, codec, prefixes(session, ["T000001"]), {0: double(base + 0.5, 10**17 + 20)}
        )
        await until(lambda: sink.plain(0) == base + 0.5, "what was written comes back")

    assert outcome.results is None
    assert outcome.failure == ""


@pytest.mark.parametrize(("policy", "mode"), POLICIES[:1])
async def test_a_refused_write_leaves_a_secured_channel_in_step(
    both: tuple[ServerProcess, Identity],
    policy: SecurityPolicy,
    mode: SecurityMode,
    tmp_path: Path,
) -> None:
    process, identity = both
    Pki(tmp_path).add_trusted(identity.der)
    async with session_on(
        secured(process, security_policy=policy, security_mode=mode), tmp_path
    ) as session:
        known = prefixes(session, ["T000003"])
        lane = session.lane(CodecName.SPLICE)
        for _ in range(3):
            assert not lane.write(known, {0: double(1.0)}, lambda: False, lambda _outcome: None)
        outcome = await write(session, CodecName.SPLICE, known, {0: double(2.0, 10**17)})

    assert outcome.failure == ""


async def test_a_renewed_channel_goes_on(
    both: tuple[ServerProcess, Identity], tmp_path: Path
) -> None:
    process, identity = both
    Pki(tmp_path).add_trusted(identity.der)
    async with session_on(secured(process), tmp_path) as session:
        sink = RecordingSink()
        subscription = await subscribe(session, CodecName.SPLICE, sink, keep_alive_seconds=0.1)
        await subscription.add(specs(session, ["T000004"]))
        await until(lambda: sink.latest, "the first value is here")
        for round_number in range(3):
            # node-opcua answers with the token of the request: let no request outlive two tokens
            enough = sink.keep_alives + 4
            await until(lambda enough=enough: sink.keep_alives >= enough, "older answers came")
            await session.renew_channel()
            await session.read_status()
            process.set("T000004", 500.0 + round_number)
            await until(
                lambda value=500.0 + round_number: sink.plain(0) == value, "values after renewal"
            )

    assert sink.gaps == []
    assert sink.lost_reasons == []


async def test_a_policy_that_is_not_offered_is_refused_with_what_is(tmp_path: Path) -> None:
    with running("plant", "--items", "1") as process:
        failure = await refused(secured(process), tmp_path)

    assert failure.kind is FailureKind.SECURITY
    assert "does not offer Basic256Sha256/SignAndEncrypt" in failure.message
    assert "it offers None" in failure.message


async def test_a_server_without_none_is_not_talked_down(tmp_path: Path) -> None:
    identity = make_identity(tmp_path / "server", SERVER_URI["plant"])
    only = ["--policies", "Basic256Sha256_SignAndEncrypt"]
    more = ["--certificate", str(identity.certificate), "--key", str(identity.key)]
    with running("plant", "--items", "1", *only, *more) as process:
        failure = await refused(server_of(process), tmp_path / "pki")

    assert failure.kind is FailureKind.SECURITY
    assert "Basic256Sha256/SignAndEncrypt" in failure.message


# --- certificates ---


async def test_an_unknown_certificate_is_refused_kept_and_trusted_by_hand(
    both: tuple[ServerProcess, Identity], tmp_path: Path
) -> None:
    process, identity = both
    pki = Pki(tmp_path)
    thumbprint = thumbprint_of(identity.der)

    failure = await refused(secured(process), tmp_path)
    [entry] = pki.rejected()

    assert failure.kind is FailureKind.REJECTED_CERTIFICATE
    assert thumbprint in failure.message
    assert "trust" in failure.message
    assert (entry.server, entry.certificate.thumbprint) == ("A", thumbprint)
    assert "trust list" in entry.reason

    pki.trust(thumbprint)
    async with session_on(secured(process), tmp_path) as session:
        assert session.namespaces


async def test_a_new_certificate_of_a_known_server_is_refused(tmp_path: Path) -> None:
    before = make_identity(tmp_path / "before", SERVER_URI["plant"])
    after = make_identity(tmp_path / "after", SERVER_URI["plant"])
    pki = Pki(tmp_path / "pki")
    pki.add_trusted(before.der)
    with running("plant", *arguments("plant", after)) as process:
        failure = await refused(secured(process), tmp_path / "pki")

    assert failure.kind is FailureKind.REJECTED_CERTIFICATE
    assert thumbprint_of(after.der) in failure.message


@pytest.mark.parametrize(
    ("changes", "uri", "reason"),
    [
        ({"days": -1}, SERVER_URI["plant"], "expired"),
        ({"days": 30, "starts": 2}, SERVER_URI["plant"], "not valid before"),
        ({}, "urn:somebody:else", "of the application urn:somebody:else"),
        ({"key_size": 1024}, SERVER_URI["plant"], "1024 bits"),
    ],
    ids=["expired", "not yet valid", "another application", "weak key"],
)
async def test_c18_a_trusted_certificate_that_is_not_right_is_refused_with_its_reason(
    changes: dict[str, int], uri: str, reason: str, tmp_path: Path
) -> None:
    identity = make_identity(tmp_path / "server", uri, **changes)
    pki = Pki(tmp_path / "pki")
    pki.add_trusted(identity.der)
    server = Server("PLC1", "opc.tcp://127.0.0.1:1")

    with pytest.raises(ConnectFailed, match=reason) as caught:
        check_server_certificate(identity.der, server, pki, SERVER_URI["plant"])

    assert caught.value.kind is FailureKind.REJECTED_CERTIFICATE
    assert thumbprint_of(identity.der) in caught.value.message


async def test_an_expired_certificate_of_a_real_server_is_refused(tmp_path: Path) -> None:
    identity = make_identity(tmp_path / "server", SERVER_URI["plant"], days=-1)
    Pki(tmp_path / "pki").add_trusted(identity.der)
    with running("plant", *arguments("plant", identity)) as process:
        failure = await refused(secured(process), tmp_path / "pki")

    assert failure.kind is FailureKind.REJECTED_CERTIFICATE
    assert "expired" in failure.message


# --- logins ---


@pytest.mark.parametrize("mode", [SecurityMode.SIGN, SecurityMode.SIGN_AND_ENCRYPT])
async def test_user_and_password_log_in(
    guarded: tuple[ServerProcess, Identity], mode: SecurityMode, tmp_path: Path
) -> None:
    process, identity = guarded
    Pki(tmp_path).add_trusted(identity.der)
    server = secured(
        process,
        security_mode=mode,
        auth=Auth.USERNAME,
        username="operator",
        password="secret-42",
    )
    async with session_on(server, tmp_path) as session:
        assert (await session.read_status()).state == 0


async def test_a_wrong_password_is_a_rejected_login(
    guarded: tuple[ServerProcess, Identity], tmp_path: Path
) -> None:
    process, identity = guarded
    Pki(tmp_path).add_trusted(identity.der)
    server = secured(process, auth=Auth.USERNAME, username="operator", password="wrong-password")

    failure = await refused(server, tmp_path)

    assert failure.kind is FailureKind.REJECTED_LOGIN
    assert failure.status
    assert "wrong-password" not in failure.message


async def test_a_login_that_the_server_does_not_take_says_what_it_takes(
    guarded: tuple[ServerProcess, Identity], tmp_path: Path
) -> None:
    process, identity = guarded
    Pki(tmp_path).add_trusted(identity.der)

    failure = await refused(secured(process), tmp_path)

    assert failure.kind is FailureKind.REJECTED_LOGIN
    assert "username" in failure.message


async def test_a_password_is_not_sent_in_clear(tmp_path: Path) -> None:
    """Policy None and a token without encryption: refused before ActivateSession."""
    with running("plant", "--items", "1", "--user", "operator", "--password", "x") as process:
        server = server_of(process, auth=Auth.USERNAME, username="operator", password="x")
        failure = await refused(server, tmp_path)

    assert failure.kind is FailureKind.SECURITY
    assert "not sent" in failure.message


@pytest.mark.node
async def test_an_encrypted_password_on_policy_none_needs_a_trusted_certificate(
    tmp_path: Path,
) -> None:
    identity = make_identity(tmp_path / "server", SERVER_URI["foreign"])
    more = ("--user", "operator", "--password", "secret-42")
    with running("foreign", *arguments("foreign", identity, *more)) as process:
        server = server_of(process, auth=Auth.USERNAME, username="operator", password="secret-42")
        failure = await refused(server, tmp_path / "pki")
        assert failure.kind is FailureKind.REJECTED_CERTIFICATE

        Pki(tmp_path / "pki").add_trusted(identity.der)
        async with session_on(server, tmp_path / "pki") as session:
            assert (await session.read_status()).state == 0


async def test_a_certificate_logs_in(both: tuple[ServerProcess, Identity], tmp_path: Path) -> None:
    process, identity = both
    Pki(tmp_path).add_trusted(identity.der)
    async with session_on(secured(process, auth=Auth.CERTIFICATE), tmp_path) as session:
        assert (await session.read_status()).state == 0


# --- discovery and test ---


async def test_discovery_lists_what_is_offered(
    both: tuple[ServerProcess, Identity],
) -> None:
    process, identity = both
    endpoints = await discover(process.url)

    offered = {(one["security_policy"], one["security_mode"]) for one in endpoints}
    assert ("None", "None") in offered
    assert {(policy.value, mode.value) for policy, mode in POLICIES} <= offered
    secure = next(one for one in endpoints if one["security_mode"] == "SignAndEncrypt")
    assert secure["thumbprint"] == thumbprint_of(identity.der)
    assert "anonymous" in secure["auth"]


async def test_a_connection_test_answers_yes_with_what_the_server_is(
    both: tuple[ServerProcess, Identity], tmp_path: Path
) -> None:
    process, identity = both
    pki = Pki(tmp_path)
    pki.add_trusted(identity.der)

    answer = await check_connection(secured(process), pki, APPLICATION_URI)

    assert answer["ok"] is True
    assert answer["error"] is None
    assert answer["latency_ms"] > 0
    assert answer["server"]["product"]
    assert "urn:test:plant" in answer["capabilities"]["namespaces"]


async def test_a_connection_test_answers_no_with_the_reason(
    both: tuple[ServerProcess, Identity], tmp_path: Path
) -> None:
    process, _ = both
    answer = await check_connection(secured(process), Pki(tmp_path), APPLICATION_URI)

    assert answer["ok"] is False
    assert "trust list" in answer["error"]
    assert answer["server"] is None


async def test_nobody_there_is_unreachable(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        failure = await refused(
            Server("A", f"opc.tcp://127.0.0.1:{port}", SecurityPolicy.NONE, SecurityMode.NONE),
            tmp_path,
        )

    assert failure.kind is FailureKind.UNREACHABLE
    assert str(port) in failure.message


@pytest.mark.parametrize("host", ["169.254.169.254", "0.0.0.0"])
async def test_a_forbidden_address_is_not_connected_to(host: str, tmp_path: Path) -> None:
    server = Server("A", f"opc.tcp://{host}:4840", SecurityPolicy.NONE, SecurityMode.NONE)

    failure = await refused(server, tmp_path)

    assert failure.kind is FailureKind.SECURITY
    assert "not" in failure.message


async def test_fifty_sessions_one_after_the_other_leak_none(
    both: tuple[ServerProcess, Identity], tmp_path: Path
) -> None:
    process, _ = both
    plain = server_of(process)
    for _ in range(50):
        session = await Session.open(
            plain, Pki(tmp_path), application_uri=APPLICATION_URI, on_lost=lambda _reason: None
        )
        await session.close()

    key = "sessions" if process.kind == "foreign" else "connections"
    await until(lambda: process.counts()[key] == 0, "no session is left")


def test_a_password_does_not_show_in_the_server_s_text() -> None:
    server = replace(Server("A", "opc.tcp://x:1"), password="secret-42")

    assert "secret-42" not in repr(server)
