# ruff: noqa: N818 - a failure to connect is an expected outcome, and is named as one
"""Why a connection was not made, in the words that a server's status shows."""

from __future__ import annotations

from enum import StrEnum


class FailureKind(StrEnum):
    UNREACHABLE = "unreachable"
    REJECTED_CERTIFICATE = "rejected_certificate"
    REJECTED_LOGIN = "rejected_login"
    SECURITY = "security"
    QUARANTINE = "quarantine"
    PROTOCOL = "protocol"


class ConnectFailed(Exception):
    """A session could not be opened. ``message`` names the server's part in it and the remedy.

    ``status`` is the OPC UA StatusCode that the server gave, 0 when it gave none.
    """

    def __init__(self, kind: FailureKind, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.status = status


class HostileServer(Exception):
    """The peer broke a limit or the protocol in a way that no honest server does."""


class RequestFailed(Exception):
    """A service answered with a Bad ServiceResult, or its answer cannot be read."""

    def __init__(self, service: str, status: int, message: str = "") -> None:
        super().__init__(message or f"{service} failed with status 0x{status:08X}")
        self.service = service
        self.status = status


class RequestTooLarge(Exception):
    """The request is larger than the server, or this station, takes in one message."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"a request of {size} bytes; the server takes {limit}")
        self.size = size
        self.limit = limit
