# ruff: noqa: ASYNC109 - the time-out is that of each step
"""What a server offers, and whether this station can use it: for engineers, not for pipes."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from pipes.core.wanted import Server
from pipes.opcua.connecting import fetch_endpoints, sessionless
from pipes.opcua.errors import ConnectFailed
from pipes.opcua.security import describe_endpoint
from pipes.opcua.session import Session
from pipes.pki import Pki

STEP_SECONDS: Final = 3.0


async def discover(url: str, timeout: float = STEP_SECONDS) -> list[dict[str, Any]]:
    """The endpoints that the server at ``url`` lists, as the contract's body; none is followed.

    Raises:
        ConnectFailed: it cannot be asked.
    """
    async with sessionless(url, url, timeout) as connection:
        endpoints = await fetch_endpoints(connection)
    return [describe_endpoint(endpoint) for endpoint in endpoints]


async def test_connection(server: Server, pki: Pki, application_uri: str) -> dict[str, Any]:
    """Connect now, log in, read the server's status and leave; the contract's body.

    A refusal is an answer, not an exception: ``ok`` false and the reason in ``error``.
    """
    answer: dict[str, Any] = {
        "ok": False,
        "endpoint": server.endpoint,
        "latency_ms": None,
        "security": {
            "policy": server.security_policy.value,
            "mode": server.security_mode.value,
            "auth": server.auth.value,
        },
        "server": None,
        "capabilities": None,
        "error": None,
    }
    try:
        session = await Session.open(
            server, pki, application_uri=application_uri, on_lost=_ignore, timeout=STEP_SECONDS
        )
    except ConnectFailed as failure:
        answer["error"] = failure.message
        return answer
    try:
        began = asyncio.get_running_loop().time()
        await session.read_status()
        answer["latency_ms"] = round((asyncio.get_running_loop().time() - began) * 1000, 2)
    except (ConnectionError, TimeoutError) as error:
        answer["error"] = f"{server.name} did not answer after the login: {error}"
        return answer
    finally:
        await session.close()
    answer["ok"] = True
    answer["server"] = {"product": session.product, "version": session.version}
    answer["capabilities"] = {
        "limits": {
            "read": session.limits.read,
            "write": session.limits.write,
            "monitored_items": session.limits.monitored_items,
            "browse": session.limits.browse,
        },
        "namespaces": list(session.namespaces),
        "session_ms": session.session_timeout_ms,
    }
    return answer


def _ignore(reason: str) -> None:
    del reason
