"""Names of StatusCodes, and in plain words what the frequent ones ask of a person."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pipes.core.status_code_table import NAMES
from pipes.core.values import StatusSeverity, severity, without_info_bits

CODES: Final[Mapping[str, int]] = {name: code for code, name in NAMES.items()}

_NUMBER: Final = re.compile(r"0x[0-9a-fA-F]{1,8}")


class UnknownStatusNameError(ValueError):
    """Neither the name of a standard StatusCode nor ``0x`` and up to eight hex digits."""


def name_of(code: int) -> str:
    """``Good``, ``BadNodeIdUnknown``; ``0x8ABC0000`` if unnamed. Info bits are ignored."""
    code = without_info_bits(code)
    return NAMES.get(code) or f"0x{code:08X}"


def code_of(name: str) -> int:
    """The code of a name that `name_of` gives.

    Raises:
        UnknownStatusNameError: no such name.
    """
    code = CODES.get(name)
    if code is not None:
        return code
    if _NUMBER.fullmatch(name):
        return int(name, 16)
    raise UnknownStatusNameError(
        f"{name!r} is no StatusCode: write a name such as BadNodeIdUnknown or a number such as "
        "0x80340000"
    )


@dataclass(frozen=True, slots=True)
class Explanation:
    """For a person: what a StatusCode means, and what to do about it."""

    meaning: str
    remedy: str


_EXPLANATIONS: Final[Mapping[str, Explanation]] = {
    "BadNodeIdUnknown": Explanation(
        "the server has no node of this NodeId",
        "check the NodeId in the browser; a server that is still loading gets it later by itself",
    ),
    "BadNodeIdInvalid": Explanation(
        "the server does not accept the form of this NodeId", "choose the node in the browser"
    ),
    "BadAttributeIdInvalid": Explanation(
        "the node has no Value attribute", "map a Variable, not an Object, Folder or Method"
    ),
    "BadNotWritable": Explanation(
        "the node's AccessLevel does not allow writing", "make the node writable on its server"
    ),
    "BadNotReadable": Explanation(
        "the node's AccessLevel does not allow reading", "make the node readable on its server"
    ),
    "BadUserAccessDenied": Explanation(
        "the user of this connection may not do this",
        "give the user the right on the server, or log in as another user",
    ),
    "BadTypeMismatch": Explanation(
        "the value is not of the node's data type",
        "set transform.to_type, or correct the data type of the node",
    ),
    "BadOutOfRange": Explanation(
        "the server refuses this value as too high or too low",
        "check the limits of the node, or scale the value with a transform",
    ),
    "BadWriteNotSupported": Explanation(
        "the server does not let status or timestamps be written",
        "nothing: the value alone is written from now on",
    ),
    "BadIndexRangeInvalid": Explanation(
        "the index range is not written correctly or does not fit the array",
        "write index_range as 0:9 or 2, one part for each dimension",
    ),
    "BadIndexRangeNoData": Explanation(
        "the array has no elements in this index range", "check index_range and the array length"
    ),
    "BadWaitingForInitialData": Explanation(
        "the server has no value of this node yet", "nothing: it comes when the device answers"
    ),
    "BadCommunicationError": Explanation(
        "the server lost a device or another server behind it",
        "check the connection from the server to its device",
    ),
    "BadNoCommunication": Explanation(
        "the server has no connection to the device of this node",
        "check the connection from the server to its device",
    ),
    "BadDeviceFailure": Explanation("the device has failed", "check the device"),
    "BadSensorFailure": Explanation("the sensor has failed", "check the sensor"),
    "BadOutOfService": Explanation(
        "the source of the value is switched off", "put the device into service"
    ),
    "BadConfigurationError": Explanation(
        "the server's configuration of this node is wrong", "correct it on the server"
    ),
    "BadTooManyOperations": Explanation(
        "the request had more items than the server takes", "nothing: smaller requests are sent"
    ),
    "BadTooManyMonitoredItems": Explanation(
        "the server watches no more items", "raise the server's limit or map fewer items"
    ),
    "BadTooManySubscriptions": Explanation(
        "the server has no more subscriptions to give",
        "raise the server's limit or close other clients",
    ),
    "BadTooManySessions": Explanation(
        "the server has no more sessions to give", "raise the server's limit or close other clients"
    ),
    "BadTimeout": Explanation(
        "the answer did not come in time", "check load and network of the server"
    ),
    "BadServerNotConnected": Explanation(
        "there is no connection to the server", "check that the server runs and can be reached"
    ),
    "BadConnectionClosed": Explanation(
        "the connection to the server was closed", "check that the server runs and can be reached"
    ),
    "BadConnectionRejected": Explanation(
        "nothing listens at the address of the server",
        "check the endpoint, the firewall and that the server runs",
    ),
    "BadCertificateUntrusted": Explanation(
        "the other side does not trust the certificate",
        "trust this station's certificate on the server",
    ),
    "BadSecurityChecksFailed": Explanation(
        "the server refused the secure connection without saying why",
        "trust this station's certificate on the server, compare policy and mode, check its log",
    ),
    "BadSecurityPolicyRejected": Explanation(
        "the server does not offer this security policy",
        "choose a policy that discovery shows for the server",
    ),
    "BadIdentityTokenRejected": Explanation(
        "the server refuses this user or password", "correct username and password of the server"
    ),
    "BadIdentityTokenInvalid": Explanation(
        "the server does not offer this kind of login", "choose another auth for the server"
    ),
    "BadLicenseLimitsExceeded": Explanation(
        "the server's licence allows no more of this", "extend the licence of the server"
    ),
    "BadServerTooBusy": Explanation(
        "the server is overloaded", "nothing: it is tried again; lower the rates if it stays"
    ),
}

_BY_SEVERITY: Final[Mapping[StatusSeverity, Explanation]] = {
    StatusSeverity.GOOD: Explanation("the value can be used", "nothing"),
    StatusSeverity.UNCERTAIN: Explanation(
        "the value is less certain than usual", "look at the source of the value"
    ),
    StatusSeverity.BAD: Explanation(
        "the server reports a fault", "look this code up in the documentation of the server"
    ),
}


def explain(code: int) -> Explanation:
    """What the code means and what to do, in words for an engineer; total."""
    return _EXPLANATIONS.get(name_of(code)) or _BY_SEVERITY[severity(code)]
