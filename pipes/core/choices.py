"""The closed lists of the configuration. Stored values never change."""

from __future__ import annotations

from enum import StrEnum


class SecurityPolicy(StrEnum):
    NONE = "None"
    BASIC256SHA256 = "Basic256Sha256"
    AES128_SHA256_RSAOAEP = "Aes128Sha256RsaOaep"
    AES256_SHA256_RSAPSS = "Aes256Sha256RsaPss"


class SecurityMode(StrEnum):
    NONE = "None"
    SIGN = "Sign"
    SIGN_AND_ENCRYPT = "SignAndEncrypt"


class Auth(StrEnum):
    ANONYMOUS = "anonymous"
    USERNAME = "username"
    CERTIFICATE = "certificate"


class Direction(StrEnum):
    FORWARD = "forward"
    REVERSE = "reverse"
    BOTH = "both"


class Overflow(StrEnum):
    LATEST = "latest"
    QUEUE = "queue"


class Quality(StrEnum):
    PROPAGATE = "propagate"
    HOLD = "hold"
    SUBSTITUTE = "substitute"
    STOP = "stop"


class Timestamps(StrEnum):
    SOURCE = "source"
    NONE = "none"
    AUTO = "auto"


class InitialWrite(StrEnum):
    ALWAYS = "always"
    IF_DIFFERENT = "if_different"
    NEVER = "never"


class CodecName(StrEnum):
    SPLICE = "splice"
    DECODE = "decode"


class ItemKind(StrEnum):
    STATE = "state"
    QUEUE = "queue"
    EVENT = "event"


def kind_on_pipe(own: ItemKind | None, direction: Direction, overflow: Overflow) -> ItemKind:
    """The kind of an item on its pipe: its own, or else what the pipe gives.

    A pipe with queues gives one to each item, unless either side of the item may change.
    """
    if own is not None:
        return own
    if overflow is Overflow.QUEUE and direction is not Direction.BOTH:
        return ItemKind.QUEUE
    return ItemKind.STATE


class Trigger(StrEnum):
    """OPC UA DataChangeTrigger (Part 4, 7.22.2)."""

    STATUS = "status"
    STATUS_VALUE = "status_value"
    STATUS_VALUE_TIMESTAMP = "status_value_timestamp"


class DeadbandType(StrEnum):
    NONE = "none"
    ABSOLUTE = "absolute"
    PERCENT = "percent"


class ServerSetMode(StrEnum):
    NONE = "none"
    AUTO = "auto"
    MANUAL = "manual"


class Failover(StrEnum):
    WARM = "warm"
    HOT = "hot"


class ServerState(StrEnum):
    DISABLED = "disabled"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    REJECTED = "rejected"
    DISCONNECTED = "disconnected"
    QUARANTINED = "quarantined"


class PipeState(StrEnum):
    DISABLED = "disabled"
    WAITING = "waiting"
    RUNNING = "running"
    STANDBY = "standby"
    FAULTED = "faulted"


class ItemState(StrEnum):
    DISABLED = "disabled"
    WAITING = "waiting"
    GOOD = "good"
    UNCERTAIN = "uncertain"
    BAD = "bad"
    STALE = "stale"
    ERROR = "error"
