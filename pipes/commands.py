"""Commands to the pipe workers by Celery: browse, test a connection, read, discover.

Web knows tasks by name only, so it never loads the OPC UA library. Every way to wait is bounded:
a Redis that is away is found by a ping, workers that are away by their sockets, and a server that
does not answer ends the task itself.
"""

from __future__ import annotations

import logging
from typing import Any, Final

import redis
from celery import current_app
from celery.exceptions import CeleryError, TaskRevokedError
from celery.exceptions import TimeoutError as NoResultError
from django.conf import settings
from kombu.exceptions import OperationalError as BrokerError

from pipes.live import hosts_answer
from pipes.rest import Problem, unavailable

log = logging.getLogger(__name__)

QUEUE: Final = "pipes"
#: A command that no worker took within this time is not carried out any more.
EXPIRES_SECONDS: Final = 10
RESULT_SECONDS: Final = 12.0
_PING_SECONDS: Final = 1.0
_TITLES: Final = {
    400: "Invalid request",
    404: "Not found",
    409: "Not possible now",
    504: "No answer",
}


def run(task: str, *, patience: float = RESULT_SECONDS, **arguments: Any) -> Any:
    """Carry out ``task`` on a pipe worker and answer what it answers within ``patience`` seconds.

    Raises:
        Problem: 503 when Redis or the pipe workers are away, 504 when the OPC UA server did not
            answer, or the error that the task reports.
    """
    _ping()
    if not hosts_answer():
        raise unavailable("worker_away", "No pipe worker answers; nothing was sent to the server")
    try:
        result = current_app.send_task(
            task, kwargs=arguments, queue=QUEUE, expires=EXPIRES_SECONDS, retry=False
        )
        answer = result.get(timeout=min(patience, RESULT_SECONDS), propagate=False)
        result.forget()
    except NoResultError as error:
        text = f"The OPC UA server did not answer within {min(patience, 10.0):.0f} s"
        raise Problem(504, "no_answer", "No answer", text) from error
    except (BrokerError, redis.RedisError, CeleryError, OSError) as error:
        raise _redis_away() from error
    if isinstance(answer, TaskRevokedError):
        raise unavailable("worker_busy", "The pipe workers are busy; try again")
    if isinstance(answer, BaseException):
        log.error("%s failed on the pipe worker: %s", task, answer)
        raise unavailable("worker_fault", "The pipe worker failed; its log has the cause")
    if isinstance(answer, dict) and isinstance(answer.get("error"), dict):
        raise _refused(answer["error"])
    return answer


def _refused(error: dict[str, Any]) -> Problem:
    status = _status_of(error)
    title = _TITLES.get(status, "Not available now")
    code, message = str(error.get("code", "no_answer")), str(error.get("message", ""))
    headers = {"Retry-After": "5"} if status == 503 else None
    return Problem(status, code, title, message, headers=headers)


def _status_of(error: dict[str, Any]) -> int:
    """A server that refuses is no fault of the station: the node is not there, or not now."""
    status = int(error.get("status", 504))
    if status != 502:
        return status
    message = str(error.get("message", ""))
    return 404 if "BadNodeIdUnknown" in message or "BadNodeIdInvalid" in message else 409


def _ping() -> None:
    client = redis.Redis.from_url(
        settings.REDIS_URL,
        socket_connect_timeout=_PING_SECONDS,
        socket_timeout=_PING_SECONDS,
        retry=None,
    )
    try:
        client.ping()
    except redis.RedisError as error:
        raise _redis_away() from error
    finally:
        client.close()


def _redis_away() -> Problem:
    text = "Redis does not answer, so commands cannot be sent; pipes run on without it"
    return unavailable("redis_away", text)
