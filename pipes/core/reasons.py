"""Why a server, a pipe or an item is as it is: codes for programs, sentences for people."""

from __future__ import annotations

from enum import Enum


class Reason(Enum):
    """A member's name is the chronicle's ``code``; its value the sentence, with its blanks."""

    SERVER_CONNECTED = "connected to {server}"
    SERVER_LOST = "connection to {server} lost: {why}"
    SERVER_MOVED = "{server} is used at {endpoint} now instead of {former}: {why}"
    SERVER_MEMBER = "{server}: {what}"
    SERVER_REFUSED = "{server} refused the connection: {why}"
    SERVER_UNREACHABLE = "{server} cannot be reached: {why}"
    SERVER_QUARANTINED = "{server} is left alone for {seconds} s: {why}"
    CERTIFICATE_REJECTED = "certificate of {server} is not trusted: {why}"
    SUBSCRIPTION_HEALED = "subscription of {pipe} at {server} was made anew: {why}"
    SERVER_CLOCK_STUCK = "the clock of {server} stands still"
    CAPABILITY_LEARNED = "{server} does not take {what}; writing without"
    PIPE_RUNNING = "pipe {pipe} is running"
    PIPE_WAITING = "pipe {pipe} waits for {what}"
    PIPE_FAULTED = "pipe {pipe} stopped: {why}; it is started again"
    ITEM_ERROR = "item {item} of {pipe}: {why}"
    ITEMS_FAILING = "{count} items of {pipe} fail, first item {item}: {why}"
    ITEMS_RECOVERED = "all items of {pipe} are good again"
    ITEMS_STOPPED = (
        "{count} items of {pipe} are stopped, because {server} does not say that they are Good: "
        "{which}; they go on when it does"
    )
    ITEMS_GO_ON = "{count} items of {pipe} go on, {server} says that they are Good: {which}"
    ITEMS_OSCILLATE = (
        "{count} items of {pipe} are suspended, because they oscillate: what they write comes back "
        "to {server} by a way that is not ours: {which}"
    )
    ITEMS_CALM = "{count} items of {pipe} do not oscillate any more and go on: {which}"
    SAMPLES_LOST = (
        "{pipe} loses samples, so far {count} of {items} items, first {value} of item {item}: {why}"
    )
    SAMPLES_LOST_OVER = "{pipe} loses no more samples; it lost {count} of {items} items: {why}"
    EVENT_UNKNOWN = (
        "item {item} of {pipe}: nobody knows whether {server} took the event {value}; "
        "it is not repeated"
    )
    WRITE_REFUSED = "item {item} of {pipe}: {server} refuses {value} for {node}: {why}"
    WRITE_UNKNOWN = (
        "item {item} of {pipe}: nobody knows whether {server} took {value} for {node}: {why}"
    )
    WRITE_MISMATCH = (
        "item {item} of {pipe}: wrote {value} to {node}, but {server} holds {found}: another "
        "client writes the node or the server alters values; {why}"
    )
    WRITES_FAILED = "{count} more writes of {pipe} failed: {what}; the ledger names them"
    REVISION_REFUSED = "revision {revision} cannot be run: {why}"

    def sentence(self, **blanks: object) -> str:
        """The sentence with its blanks filled in."""
        return self.value.format(**blanks)
