"""The station's status as Prometheus metrics, made anew for each scrape.

No counters live in this process: a scrape asks the station, so one ``/metrics`` has the numbers of
all its processes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from diagnostics.core.tree import Document
from diagnostics.receivers import current_spool, spool_folder
from diagnostics.spool_files import spool_files
from pipes.core.choices import PipeState, ServerState

Body = Mapping[str, Any]

_STATION_STATES: Final = ("starting", "standby", "active", "failed", "maintenance")
_STATES: Final = ("good", "maintenance", "out_of_spec", "check", "failed")


def exposition(document: Document) -> bytes:
    """``document`` in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(StationCollector(document))
    return generate_latest(registry)


class StationCollector(Collector):
    """Turns one status document into metric families."""

    def __init__(self, document: Document) -> None:
        self._document = document

    def describe(self) -> Iterable[Metric]:
        """Nothing: names are known when the document is."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The families of the station, its pipes, its servers and its chronicle."""
        yield from _station(self._document.station)
        yield from _pipes(self._document.pipes)
        yield from _servers(self._document.servers)
        yield from _chronicle()


def _station(station: Body) -> Iterator[Metric]:
    info = InfoMetricFamily("mirrorsite_station", "The station and its version.")
    info.add_metric([], {"station": str(station["name"]), "version": str(station["version"])})
    yield info
    yield _one_of(
        "mirrorsite_station_state", "The station's state; the present one is 1.",
        _STATION_STATES, [((), str(station["state"]))], (),
    )  # fmt: skip
    yield _gauge("mirrorsite_term", "The term of the station's lease.", station["term"])
    lease = (station["lease_ms"] or 0) / 1000
    yield _gauge("mirrorsite_lease_seconds", "How long writing is still allowed.", lease)
    yield _gauge("mirrorsite_service_level", "OPC UA ServiceLevel.", station["service_level"])
    revision = station["revision"]
    yield _gauge("mirrorsite_revision_saved", "The newest configuration.", revision["saved"])
    yield _gauge("mirrorsite_revision_applied", "The one that is run.", revision["applied"])
    rows = [((str(row["component"]),), str(row["state"])) for row in station["health"]]
    yield _one_of(
        "mirrorsite_component_state", "How each part of the station is.",
        _STATES, rows, ("component",),
    )  # fmt: skip


def _pipes(pipes: Sequence[Body]) -> Iterator[Metric]:
    states = [((str(pipe["name"]),), str(pipe["status"]["state"])) for pipe in pipes]
    yield _one_of("mirrorsite_pipe_state", "How each pipe is.", tuple(PipeState), states, ("pipe",))
    for field, name, text in (
        ("items", "mirrorsite_pipe_items", "Items of the pipe."),
        ("good", "mirrorsite_pipe_items_good", "Items whose last value was good and written."),
        ("rate", "mirrorsite_pipe_values_per_second", "Values that the pipe moves."),
        ("queued", "mirrorsite_pipe_queued", "Changes that wait."),
    ):
        gauge = GaugeMetricFamily(name, text, labels=["pipe"])
        _add_each(gauge, pipes, field)
        yield gauge
    for field, name, text in (
        ("writes", "mirrorsite_pipe_writes", "Values written since the pipe started."),
        ("errors", "mirrorsite_pipe_errors", "Values that the target refused."),
        ("unknown", "mirrorsite_pipe_unknown_writes", "Writes without an answer."),
        ("verified", "mirrorsite_pipe_verified_writes", "Writes read back as written."),
        ("mismatched", "mirrorsite_pipe_mismatched_writes", "Writes read back as another value."),
        ("unverified", "mirrorsite_pipe_unverified_writes", "Writes that were not read back."),
        ("conflated", "mirrorsite_pipe_conflated", "Changes overtaken by newer ones."),
    ):
        counter = CounterMetricFamily(name, text, labels=["pipe"])
        _add_each(counter, pipes, field)
        yield counter
    latency = GaugeMetricFamily(
        "mirrorsite_pipe_latency_seconds", "Source to target.", labels=["pipe", "quantile"]
    )
    for pipe in pipes:
        for quantile, field in (("0.5", "p50"), ("0.99", "p99")):
            value = (pipe["status"].get("latency_ms") or {}).get(field)
            if value is not None:
                latency.add_metric([str(pipe["name"]), quantile], value / 1000)
    yield latency


def _servers(servers: Sequence[Body]) -> Iterator[Metric]:
    states = [((str(server["name"]),), str(server["status"]["state"])) for server in servers]
    yield _one_of(
        "mirrorsite_server_state", "How each OPC UA server is.",
        tuple(ServerState), states, ("server",),
    )  # fmt: skip


def _chronicle() -> Iterator[Metric]:
    waiting = 0
    for path in spool_files(spool_folder()):
        waiting += path.stat().st_size if path.exists() else 0
    yield _gauge("mirrorsite_spool_bytes", "Size of the spool files of all processes.", waiting)
    dropped = CounterMetricFamily(
        "mirrorsite_web_events_dropped", "Events that the web process could not keep."
    )
    dropped.add_metric([], current_spool().status().dropped)
    yield dropped


def _gauge(name: str, text: str, value: float | None) -> Metric:
    family = GaugeMetricFamily(name, text)
    if value is not None:
        family.add_metric([], value)
    return family


def _add_each(
    family: GaugeMetricFamily | CounterMetricFamily, pipes: Iterable[Body], field: str
) -> None:
    for pipe in pipes:
        family.add_metric([str(pipe["name"])], pipe["status"].get(field) or 0)


def _one_of(
    name: str,
    text: str,
    states: Sequence[str],
    rows: Iterable[tuple[tuple[str, ...], str]],
    labels: tuple[str, ...],
) -> Metric:
    """A state set: one sample for each state, 1 for the present one."""
    family = GaugeMetricFamily(name, text, labels=[*labels, "state"])
    for values, present in rows:
        for state in states:
            family.add_metric([*values, str(state)], float(state == present))
    return family
