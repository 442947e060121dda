"""What a supervisor reports to the chronicle: one row per code."""

from __future__ import annotations

from enum import Enum

from redundancy.core.events import EventKind, Severity


class Code(Enum):
    """The name is the chronicle's ``code``; the value its kind, severity and sentence."""

    STATION_STARTED = (EventKind.STATION, Severity.INFO, "Station {station} started.")
    STATION_STOPPED = (EventKind.STATION, Severity.INFO, "Station {station} stopped: {reason}")
    STATION_FAILED = (EventKind.ROLE, Severity.CRITICAL, "Station {station} failed: {reason}")
    FAILURE_CLEARED = (EventKind.OPERATOR, Severity.LOW, "The failure of {station} was cleared.")
    ROLE_ACTIVE = (EventKind.ROLE, Severity.INFO, "{station} is active in term {term}: {reason}")
    ROLE_GIVEN_UP = (EventKind.ROLE, Severity.INFO, "{station} gave up term {term}: {reason}")
    RECORD_HEALED = (
        EventKind.STATION,
        Severity.LOW,
        "One of the two copies of the term record was damaged and was written again.",
    )
    RECORD_UNWRITABLE = (
        EventKind.STATION,
        Severity.CRITICAL,
        "The term record cannot be written, so the station cannot become active: {why}",
    )
    HOST_CRASH = (EventKind.STATION, Severity.HIGH, "Pipe host {index} (pid {pid}) ended.")
    HOST_HUNG = (
        EventKind.STATION,
        Severity.HIGH,
        "Pipe host {index} (pid {pid}) made no progress for {ticks} ticks and was killed.",
    )
    SUPERVISOR_STALLED = (
        EventKind.STATION,
        Severity.LOW,
        "The supervisor's loop was {late_ms} ms late; the lease was not renewed in that turn.",
    )
    BOARD_REPLACED = (
        EventKind.STATION,
        Severity.HIGH,
        "The board's file was gone from the run folder and was laid again.",
    )
    CLOCK_STEP = (
        EventKind.STATION,
        Severity.LOW,
        "The wall clock was moved by {seconds} s; roles do not depend on it.",
    )
    DISK_FULL = (
        EventKind.STATION,
        Severity.CRITICAL,
        "Only {free_mib} MiB are free below {folder}; make room. Transfer goes on.",
    )
    DISK_OK = (EventKind.STATION, Severity.INFO, "{free_mib} MiB are free below {folder} again.")
    COMPONENT_FAILED = (EventKind.STATION, Severity.HIGH, "{component} does not work: {why}")
    COMPONENT_RECOVERED = (EventKind.STATION, Severity.INFO, "{component} works again.")

    @property
    def kind(self) -> EventKind:
        return self.value[0]

    @property
    def severity(self) -> Severity:
        return self.value[1]

    def sentence(self, **blanks: object) -> str:
        """The sentence with its blanks filled in."""
        return self.value[2].format(**blanks)
