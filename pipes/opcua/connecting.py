# ruff: noqa: ASYNC109 - the time-out is that of each step
"""From an endpoint URL to an activated session, in steps that each can be refused."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from asyncua import ua
from asyncua.client.client import Client
from asyncua.ua.uaerrors import UaStatusCodeError

from pipes.core.choices import Auth, SecurityPolicy
from pipes.core.endpoints import forbidden_address
from pipes.core.status_codes import name_of
from pipes.core.wanted import Server
from pipes.opcua import security
from pipes.opcua.errors import ConnectFailed, FailureKind
from pipes.opcua.guard import MAX_CHUNKS, MAX_MESSAGE, GuardedClient, install_decode_guard
from pipes.pki import OwnCertificate, Pki, PkiError

SESSION_TIMEOUT_MS: Final = 30_000
CHANNEL_LIFETIME_MS: Final = 3_600_000
PRODUCT_URI: Final = "urn:mirrorsite"

_Result = TypeVar("_Result")


class Connection:
    """An asyncua client on a guarded transport; made new for every attempt."""

    def __init__(self, name: str, url: str, timeout: float, on_lost: Callable[[str], None]) -> None:
        install_decode_guard()
        self.name = name
        self.url = url
        self._timeout = timeout
        self.client = Client(url, timeout)
        self.transport = GuardedClient(timeout, self._lost)
        self.client.uaclient = self.transport
        self.client.max_messagesize = MAX_MESSAGE
        self.client.max_chunkcount = MAX_CHUNKS
        self.client.secure_channel_timeout = CHANNEL_LIFETIME_MS
        self.client.session_timeout = SESSION_TIMEOUT_MS
        self._on_lost = on_lost
        self.use_policy(security.no_security())

    def use_policy(self, policy: Any) -> None:
        self.client.security_policy = policy
        self.transport.set_security(policy)

    def _lost(self) -> None:
        self._on_lost(self.lost_reason or "the connection was lost")

    @property
    def lost_reason(self) -> str:
        return getattr(self.transport.protocol, "lost_reason", "")

    @property
    def is_hostile(self) -> bool:
        return bool(getattr(self.transport.protocol, "hostile", False))

    async def open(self) -> None:
        """Socket, Hello, SecureChannel.

        Raises:
            ConnectFailed: which of them failed, and why.
        """
        await self._open_socket()
        await self.step("answer the Hello", self.client.send_hello())
        await self.step("open a secure channel", self.client.open_secure_channel())

    async def _open_socket(self) -> None:
        addresses = await _resolve(self.name, self.url, self._timeout)
        port = urlsplit(self.url).port or 4840
        failure: OSError | None = None
        for address in addresses:
            try:
                await self.transport.connect_socket(address, port)
            except OSError as error:  # TimeoutError is one too
                failure = error
            else:
                return
        what = "no answer" if isinstance(failure, TimeoutError) else str(failure)
        raise ConnectFailed(
            FailureKind.UNREACHABLE,
            f"{self.name} cannot be reached at {self.url}: {what}. Is the server running, and is"
            " the address right?",
        ) from failure

    async def step(self, what: str, doing: Coroutine[Any, Any, _Result]) -> _Result:
        """Await one step; whatever goes wrong becomes a ConnectFailed that names it."""
        try:
            return await doing
        except ConnectFailed:
            raise
        except UaStatusCodeError as error:
            raise self._refused(what, int(error.code)) from error
        except (OSError, TimeoutError) as error:
            raise self._broken(what, error) from error
        except Exception as error:
            raise ConnectFailed(
                FailureKind.PROTOCOL, f"{self.name} did not {what} as it should: {error!r}"
            ) from error

    def _refused(self, what: str, status: int) -> ConnectFailed:
        text = f"{self.name} refused to {what}: {name_of(status)}"
        if status in security.LOGIN_REFUSED:
            return ConnectFailed(
                FailureKind.REJECTED_LOGIN,
                f"{text}. Check the login of the server's settings, and its rights there",
                status,
            )
        if status in security.SECURITY_REFUSED:
            return ConnectFailed(
                FailureKind.SECURITY,
                f"{text}. Does the server trust the certificate of this station?",
                status,
            )
        return ConnectFailed(FailureKind.PROTOCOL, text, status)

    def _broken(self, what: str, error: Exception) -> ConnectFailed:
        if self.is_hostile:
            return ConnectFailed(
                FailureKind.QUARANTINE, f"{self.name} breaks the protocol: {self.lost_reason}"
            )
        if isinstance(error, TimeoutError):
            return ConnectFailed(
                FailureKind.UNREACHABLE, f"{self.name} did not {what} in time; is it overloaded?"
            )
        reason = self.lost_reason or str(error) or "connection lost"
        return ConnectFailed(FailureKind.UNREACHABLE, f"{self.name} did not {what}: {reason}")

    def abort(self) -> None:
        self.transport.abort()

    def forget_session(self) -> None:
        """End asyncua's publish loop, which would go on without a connection for ever."""
        closing = asyncio.ensure_future(self.transport.close_session(delete_subscriptions=True))
        _closing.add(closing)
        closing.add_done_callback(_closed)


_closing: set[asyncio.Future[None]] = set()


def _closed(closing: asyncio.Future[None]) -> None:
    _closing.discard(closing)
    if not closing.cancelled():
        closing.exception()  # the connection is gone, so it failed; nobody needs to know


async def _resolve(name: str, url: str, timeout: float) -> list[str]:
    """The addresses of the URL's host, each checked; the name is not looked up again."""
    parts = urlsplit(url)
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout):
            found = await loop.getaddrinfo(
                parts.hostname or "", parts.port or 4840, type=socket.SOCK_STREAM
            )
    except (OSError, UnicodeError) as error:
        raise ConnectFailed(
            FailureKind.UNREACHABLE, f"{name}: the name {parts.hostname} is not known: {error}"
        ) from error
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    for address in addresses:
        reason = forbidden_address(ipaddress.ip_address(address.split("%")[0]))
        if reason:
            raise ConnectFailed(
                FailureKind.SECURITY, f"{name}: {parts.hostname} ({address}) {reason}"
            )
    return addresses


def _ignore(reason: str) -> None:
    del reason


@asynccontextmanager
async def sessionless(name: str, url: str, timeout: float) -> AsyncIterator[Connection]:
    """A connection of policy None for discovery; it ends with the block."""
    connection = Connection(name, url, timeout, _ignore)
    try:
        await connection.open()
        yield connection
    finally:
        connection.abort()


async def fetch_endpoints(connection: Connection) -> list[ua.EndpointDescription]:
    endpoints = await connection.step("list its endpoints", connection.client.get_endpoints())
    return list(endpoints or [])


async def connect(
    server: Server,
    pki: Pki,
    application_uri: str,
    on_lost: Callable[[str], None],
    timeout: float,
) -> Connection:
    """Open and activate a session on ``server``.

    Raises:
        ConnectFailed: nothing is left open.
    """
    async with sessionless(server.name, server.endpoint, timeout) as discovery:
        endpoints = await fetch_endpoints(discovery)
    chosen = security.select_endpoint(endpoints, server)
    der = security.leading_certificate(chosen.ServerCertificate)
    own = await _own_certificate(pki, application_uri)
    if server.security_policy is not SecurityPolicy.NONE:
        _check(der, server, pki, chosen)
    connection = Connection(server.name, server.endpoint, timeout, on_lost)
    connection.use_policy(security.make_policy(server, own, der))
    try:
        await connection.open()
        await _create_session(connection, server, pki, chosen, application_uri)
        await _activate(connection, server, own)
    except BaseException:
        connection.abort()
        raise
    return connection


def _check(der: bytes, server: Server, pki: Pki, chosen: ua.EndpointDescription) -> None:
    says = (chosen.Server.ApplicationUri or "") if chosen.Server else ""
    security.check_server_certificate(der, server, pki, says)


async def _own_certificate(pki: Pki, application_uri: str) -> OwnCertificate:
    try:
        return await asyncio.to_thread(pki.own, application_uri)
    except (PkiError, OSError) as error:
        raise ConnectFailed(
            FailureKind.SECURITY, f"the station's own certificate cannot be used: {error}"
        ) from error


async def _create_session(
    connection: Connection,
    server: Server,
    pki: Pki,
    chosen: ua.EndpointDescription,
    application_uri: str,
) -> None:
    client = connection.client
    client.application_uri = application_uri
    client.product_uri = PRODUCT_URI
    client.name = client.description = "Mirrorsite"
    created = await connection.step("create a session", client.create_session())
    shown = security.leading_certificate(created.ServerCertificate)
    expected = security.leading_certificate(chosen.ServerCertificate)
    if shown != expected and (shown or server.security_policy is not SecurityPolicy.NONE):
        raise ConnectFailed(
            FailureKind.SECURITY,
            f"{server.name} shows another certificate in its session than in its endpoints",
        )
    if server.auth is not Auth.ANONYMOUS:
        _check_login(client, server, pki, chosen)


def _check_login(client: Client, server: Server, pki: Pki, chosen: ua.EndpointDescription) -> None:
    kind = (
        ua.UserTokenType.UserName if server.auth is Auth.USERNAME else ua.UserTokenType.Certificate
    )
    token = client.server_policy(kind)
    security.check_login(server, token.SecurityPolicyUri, client.security_policy.URI)
    if server.security_policy is SecurityPolicy.NONE:
        # The password is encrypted for the key of this certificate: it must be the right one.
        _check(security.leading_certificate(chosen.ServerCertificate), server, pki, chosen)


async def _activate(connection: Connection, server: Server, own: OwnCertificate) -> None:
    client = connection.client
    if server.auth is Auth.CERTIFICATE:
        client.user_private_key = own.key
        doing = client.activate_session(certificate=own.certificate)
    elif server.auth is Auth.USERNAME:
        doing = client.activate_session(username=server.username, password=server.password)
    else:
        doing = client.activate_session()
    await connection.step("let this station log in", doing)
