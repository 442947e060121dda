"""Which refused writes and monitored items are worth another try, and how.

One row a StatusCode (Part 4, 7.39.2; service and operation level), its meaning for us and a
sentence for the status of the item. What has no row goes by its severity.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pipes.core.status_codes import CODES, name_of
from pipes.core.values import is_bad, without_info_bits

LEAST_RETRY_SECONDS: Final = 1.0
"""RETRY_LATER: never more often than this for one item; longer by back-off."""


class Retry(StrEnum):
    DONE = "done"
    """Accepted; nothing to repeat."""
    RETRY_LATER = "retry_later"
    """The same again after a back-off of at least `LEAST_RETRY_SECONDS`."""
    RETRY_NOW_WITHOUT = "retry_now_without"
    """At once without source timestamp, then without status; remember what the target takes."""
    CONVERT_AGAIN = "convert_again"
    """Read DataType and ValueRank of the target again, convert, write once; then give up."""
    GIVE_UP_UNTIL_CHANGE = "give_up_until_change"
    """Nothing until a new value comes, the configuration changes or the session is new."""
    SPLIT_BATCH = "split_batch"
    """The request was too large: halve it and send the halves."""
    RECONNECT = "reconnect"
    """The session or the channel is gone: make a new one; the newest values are sent there."""


@dataclass(frozen=True, slots=True)
class Advice:
    retry: Retry
    sentence: str


_LATER: Final = {
    "BadNodeIdUnknown": "the node does not exist (yet); a server that is loading gets it later",
    "BadCommunicationError": "the server has lost its device; tried again until it is back",
    "BadNoCommunication": "the server has no connection to its device; tried again",
    "BadWaitingForInitialData": "the server has no value of the node yet; tried again",
    "BadNotConnected": "the device behind the server is not connected; tried again",
    "BadServerNotConnected": "the server behind the server is not connected; tried again",
    "BadDeviceFailure": "the device has failed; tried again until it is repaired",
    "BadSensorFailure": "the sensor has failed; tried again until it is repaired",
    "BadOutOfService": "the device is out of service; tried again until it is back",
    "BadResourceUnavailable": "the server lacks something for now; tried again",
    "BadOutOfMemory": "the server is out of memory; tried again",
    "BadTimeout": "the server did not reach its device in time; tried again",
    "BadRequestTimeout": "the request took too long; tried again",
    "BadServerTooBusy": "the server is overloaded; tried again more slowly",
    "BadTcpServerTooBusy": "the server is overloaded; tried again more slowly",
    "BadTcpNotEnoughResources": "the server is short of resources; tried again more slowly",
    "BadInternalError": "the server reports an internal error; tried again",
    "BadUnexpectedError": "the server reports an unexpected error; tried again",
    "BadWouldBlock": "the device is busy; tried again",
    "BadRequestInterrupted": "the request was interrupted; tried again",
    "BadRequestCancelledByRequest": "the request was cancelled; tried again",
    "BadRequestNotComplete": "the server did not finish the request; tried again",
    "BadOperationAbandoned": "the server gave the request up; tried again",
    "BadInvalidState": "the device does not take this in its present state; tried again",
    "BadLocked": "another client has locked the node; tried again",
    "BadRequiresLock": "the node must be locked by its user first; tried again",
    "BadTransactionPending": "a transaction of another client is open; tried again",
    "BadStateNotActive": "the device is not active; tried again",
    "BadObjectDeleted": "the node was deleted; tried again until it is back",
    "BadTooManyMonitoredItems": "the server watches no more items; tried again",
    "BadServerHalted": "the server has been halted; tried again",
}
_WITHOUT: Final = {
    "BadWriteNotSupported": "the target takes no status or no timestamp; the value alone is sent",
    "BadTimestampNotSupported": "the target takes no timestamp; the value is sent without",
    "BadInvalidTimestampArgument": "the target refuses the timestamp; the value is sent without",
    "BadInvalidTimestamp": "the target refuses the timestamp; the value is sent without",
}
_CONVERT: Final = {
    "BadTypeMismatch": "the value has not the data type of the node; its type is read again",
    "BadDataTypeIdUnknown": "the server does not know the data type; the node's is read again",
}
_GIVE_UP: Final = {
    "BadNotWritable": "the node is read only; make it writable on its server",
    "BadNotReadable": "the node cannot be read; make it readable on its server",
    "BadUserAccessDenied": "the user of the connection may not do this; give it the right",
    "BadOutOfRange": "the server refuses the value as out of range; the next value is tried",
    "BadNumericOverflow": "the value is too large for the server; the next value is tried",
    "BadInvalidArgument": "the server refuses the value; the next value is tried",
    "BadNodeIdInvalid": "the server does not accept this NodeId; correct the item",
    "BadAttributeIdInvalid": "the node has no value; map a variable",
    "BadNodeClassInvalid": "the node is no variable; map a variable",
    "BadIndexRangeInvalid": "the index range is not valid; correct the item",
    "BadIndexRangeNoData": "the array has nothing in this index range; correct the item",
    "BadIndexRangeDataMismatch": "the value does not fill the index range; correct the item",
    "BadDataEncodingInvalid": "the server refuses the encoding of the value",
    "BadDataEncodingUnsupported": "the server does not support the encoding of the value",
    "BadNotSupported": "the server does not support this for the node",
    "BadNotImplemented": "the server does not implement this for the node",
    "BadConfigurationError": "the node is configured wrongly on its server; correct it there",
    "BadMonitoredItemFilterInvalid": "the server refuses the filter; change trigger or deadband",
    "BadMonitoredItemFilterUnsupported": "the server has no such filter; remove the deadband",
    "BadFilterNotAllowed": "the server allows no filter on this node; remove the deadband",
    "BadDeadbandFilterInvalid": "the server refuses the deadband; change or remove it",
    "BadMonitoringModeInvalid": "the server refuses the monitoring mode",
    "BadLicenseExpired": "the licence of the server has expired; renew it",
    "BadLicenseLimitsExceeded": "the licence of the server allows no more; extend it",
    "BadLicenseNotAvailable": "the server has no licence for this; obtain it",
    "BadSecurityModeInsufficient": "the node asks for encryption; raise the security mode",
    "BadRequestNotAllowed": "the server does not allow this now by its own rules",
    "BadNothingToDo": "the server got an empty request",
    "BadServiceUnsupported": "the server does not offer this service",
}
_SPLIT: Final = {
    "BadTooManyOperations": "the request had too many items; it is sent in halves",
    "BadEncodingLimitsExceeded": "the request was too large to encode; it is sent in halves",
    "BadRequestTooLarge": "the request was too large; it is sent in halves",
    "BadResponseTooLarge": "the answer would be too large; the request is sent in halves",
    "BadTcpMessageTooLarge": "the message was too large; it is sent in halves",
    "BadDecodingError": "the server could not decode the request; it is sent in halves",
}
_RECONNECT: Final = {
    "BadSessionIdInvalid": "the server does not know the session any more; it is made anew",
    "BadSessionClosed": "the session was closed; it is made anew",
    "BadSessionNotActivated": "the session is not activated; it is made anew",
    "BadIdentityChangeNotSupported": "the session cannot go on; it is made anew",
    "BadSecureChannelIdInvalid": "the secure channel is gone; the connection is made anew",
    "BadSecureChannelClosed": "the secure channel was closed; the connection is made anew",
    "BadSecureChannelTokenUnknown": "the channel token is unknown; the connection is made anew",
    "BadTcpSecureChannelUnknown": "the secure channel is unknown; the connection is made anew",
    "BadSequenceNumberInvalid": "messages came out of order; the connection is made anew",
    "BadConnectionClosed": "the connection was closed; it is made anew",
    "BadDisconnect": "the server disconnected; the connection is made anew",
    "BadShutdown": "the server shuts down; the connection is made anew",
    "BadNonceInvalid": "the security of the session is broken; the connection is made anew",
    "BadSecurityChecksFailed": "the security of the channel is broken; it is made anew",
    "BadApplicationSignatureInvalid": "a signature was refused; the connection is made anew",
    "BadSubscriptionIdInvalid": "the subscription is gone on the server; it is made anew",
    "BadNoSubscription": "the server has no subscription of ours; it is made anew",
}

ADVICE: Final[Mapping[int, Advice]] = {
    CODES[name]: Advice(retry, sentence)
    for retry, rows in (
        (Retry.RETRY_LATER, _LATER),
        (Retry.RETRY_NOW_WITHOUT, _WITHOUT),
        (Retry.CONVERT_AGAIN, _CONVERT),
        (Retry.GIVE_UP_UNTIL_CHANGE, _GIVE_UP),
        (Retry.SPLIT_BATCH, _SPLIT),
        (Retry.RECONNECT, _RECONNECT),
    )
    for name, sentence in rows.items()
}

_DONE: Final = Advice(Retry.DONE, "accepted")


def advise(status: int) -> Advice:
    """What to do about a result of a Write or CreateMonitoredItems, for a call or one item.

    Total: Good and Uncertain are accepted; a Bad code without a row is tried again later,
    because a wrong "later" costs one request a back-off and a wrong "never" costs the value.
    """
    if not is_bad(status):
        return _DONE
    known = ADVICE.get(without_info_bits(status))
    if known is not None:
        return known
    return Advice(Retry.RETRY_LATER, f"the server answered {name_of(status)}; tried again")
