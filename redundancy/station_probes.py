"""How a supervisor sees that what surrounds it works: database, Redis, web, jobs. All block.

Each raises what a person can read. The jobs worker is asked end to end: a task that only leaves a
mark in Redis, since a worker that lives but has stopped taking tasks looks well from outside.
"""

from __future__ import annotations

import http.client
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import redis
from celery import current_app
from django.db import connection, transaction
from redis.backoff import NoBackoff
from redis.retry import Retry

from redundancy.surroundings import Probe, Timer

CANARY_SECONDS: Final = 5.0
CANARY_LATE_SECONDS: Final = 20.0
ANSWER_SECONDS: Final = 2.0
MOST_EXPIRY: Final = 600.0
_ANYWHERE: Final[Mapping[str, str]] = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared


class NotWorking(RuntimeError):  # noqa: N818 - the finding of a probe
    """The part answers, and says that it does not work."""


def client(url: str) -> redis.Redis:
    """A Redis client that answers or fails within two seconds and never tries again by itself."""
    return redis.Redis.from_url(
        url,
        socket_timeout=ANSWER_SECONDS,
        socket_connect_timeout=ANSWER_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )


def canary_key(station: str) -> str:
    return f"mirrorsite:{station}:jobs-alive"


def ping(url: str) -> Callable[[], object]:
    """Redis answers."""
    return client(url).ping


def jobs_alive(url: str, station: str) -> Callable[[], object]:
    """The jobs worker has run the canary lately; sends the next one."""
    store = client(url)

    def check() -> None:
        store.ping()
        current_app.send_task(
            "redundancy.canary",
            queue="jobs",
            expires=CANARY_SECONDS,
            retry=False,
            ignore_result=True,
        )
        waited_until = time.monotonic() + CANARY_SECONDS / 2
        while not store.exists(canary_key(station)):
            if time.monotonic() > waited_until:
                raise NotWorking(f"no task was run in the last {CANARY_LATE_SECONDS:g} s")
            time.sleep(0.05)

    return check


def database_answers() -> None:
    """The database can be read and would take a write now."""
    name = str(connection.settings_dict["NAME"])
    if connection.vendor == "sqlite" and name.startswith("/") and not Path(name).is_file():
        raise NotWorking("its file is gone")  # to connect would make an empty one
    try:
        with transaction.atomic(), connection.cursor() as cursor:  # begins as a writer
            cursor.execute("SELECT 1 FROM django_migrations")
    finally:
        connection.close()


def healthz(host: str, port: int, *, tls: bool) -> Callable[[], object]:
    """``/healthz`` of the web process answers 200."""
    address = _ANYWHERE.get(host, host)

    def check() -> None:
        client: http.client.HTTPConnection
        if tls:  # our own process: its certificate is made for the addresses that people use
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            client = http.client.HTTPSConnection(
                address, port, timeout=ANSWER_SECONDS, context=context
            )
        else:
            client = http.client.HTTPConnection(address, port, timeout=ANSWER_SECONDS)
        try:
            client.request("GET", "/healthz", headers={"Host": "localhost"})
            status = client.getresponse().status
        finally:
            client.close()
        if status != http.client.OK:
            raise NotWorking(f"/healthz answers {status}")

    return check


def station_probes(station: Any, redis_url: str) -> Sequence[Probe]:
    """The probes of a station; ``station`` is its ``StationSettings``."""
    web = healthz(station.http_host, station.http_port, tls=bool(station.tls_cert))
    return (
        Probe("database", database_answers, seconds=5.0, timeout=7.0),
        Probe("redis", ping(redis_url)),
        Probe("web", web, seconds=5.0),
        Probe("jobs", jobs_alive(redis_url, station.name), seconds=CANARY_SECONDS, timeout=10.0),
    )


def task_timer(name: str, seconds: float, task: str, queue: str, redis_url: str) -> Timer:
    """A timer that sends a task; it expires before the next one, so none pile up.

    Redis is asked first, without trying again: publishing into a dead one blocks for seconds.
    """
    store = client(redis_url)
    expires = min(max(seconds, 1.0), MOST_EXPIRY)

    def send() -> None:
        store.ping()
        current_app.send_task(task, queue=queue, expires=expires, retry=False, ignore_result=True)

    return Timer(name, seconds, send, timeout=10.0)


def mark_alive(url: str, station: str) -> None:
    """What the canary does in the jobs worker."""
    client(url).set(canary_key(station), int(time.time()), ex=int(CANARY_LATE_SECONDS))
