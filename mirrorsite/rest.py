"""The common form of REST answers: every error as an RFC 9457 problem.

`problem_handler` is the only place that knows how an exception looks from outside. What it does not
know becomes a 500 without details; the log has the traceback.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import DatabaseError, IntegrityError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from rest_framework.exceptions import (
    APIException,
    AuthenticationFailed,
    NotAuthenticated,
    ValidationError,
)
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mirrorsite.accounts.services import AccountConflict, AccountError
from pipes.refusals import (
    Busy,
    Conflict,
    Invalid,
    NotFound,
    Referenced,
    Stale,
    TooLarge,
    Unavailable,
)
from pipes.rest import Problem

log = logging.getLogger(__name__)

PROBLEM: Final = "application/problem+json"
_CODES: Final = {
    400: "invalid",
    401: "not_authenticated",
    403: "not_allowed",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    413: "too_large",
    415: "unsupported_media_type",
    429: "throttled",
}


def problem_handler(error: Exception, context: Mapping[str, Any]) -> Response:
    """DRF's exception handler: every error of an API view becomes a problem body."""
    request: Request | None = context.get("request")
    problem = as_problem(error)
    if problem.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR and problem.problem_code == "fault":
        log.error("request failed", exc_info=error)
    headers = dict(problem.headers)
    if problem.status_code == HTTPStatus.UNAUTHORIZED:
        headers.setdefault("WWW-Authenticate", "Bearer")
    path = request.path if request is not None else ""
    return Response(
        problem_body(problem, path), problem.status_code, headers=headers, content_type=PROBLEM
    )


def as_problem(error: Exception) -> Problem:
    """How an exception looks from outside."""
    if isinstance(error, Problem):
        return error
    for kind, translate in _TRANSLATIONS:
        if isinstance(error, kind):
            problem: Problem = translate(error)
            return problem
    return _fault()


def problem_body(problem: Problem, path: str) -> dict[str, Any]:
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": problem.title,
        "status": problem.status_code,
        "code": problem.problem_code,
        "detail": problem.text,
        "instance": path,
    }
    if problem.errors:
        body["errors"] = problem.errors
    return {**body, **problem.extra}


def problem_response(problem: Problem, path: str) -> HttpResponse:
    """The same outside of DRF's views."""
    return JsonResponse(
        problem_body(problem, path),
        status=problem.status_code,
        headers=problem.headers,
        content_type=PROBLEM,
    )


def current_problem() -> Problem:
    """The problem of the exception that is being handled, for Django's ``handler500``."""
    error = sys.exc_info()[1]
    return as_problem(error if isinstance(error, Exception) else RuntimeError("unknown"))


class UnknownPath(APIView):
    """Every path below /api/v1 that nothing else serves."""

    required_roles: Final = dict.fromkeys(("GET", "POST", "PUT", "PATCH", "DELETE"), "viewer")
    schema = None

    def _refuse(self, request: Request, **_: object) -> Response:
        raise Problem(404, "not_found", "Not found", f"There is no path {request.path}")

    get = post = put = patch = delete = _refuse


def is_api(request: HttpRequest) -> bool:
    return request.path.startswith("/api/")


def _fault() -> Problem:
    return Problem(
        500, "fault", "Fault of the station", "The request failed; the station's log has the cause"
    )


def _from_drf(error: APIException) -> Problem:
    status = error.status_code
    text = _first_text(error.detail)
    headers = {}
    if getattr(error, "wait", None) is not None:
        headers["Retry-After"] = str(int(error.wait))  # type: ignore[attr-defined] # Throttled has it
    title = HTTPStatus(status).phrase
    code = _CODES.get(status, "refused")
    return Problem(status, code, title, text, headers=headers)


def _from_validation(error: ValidationError) -> Problem:
    detail = error.detail if isinstance(error.detail, dict) else {"": error.detail}
    errors = [
        {"field": str(field), "message": _first_text(messages)}
        for field, messages in detail.items()
    ]
    return Problem(400, "invalid", "Invalid request", errors[0]["message"], errors=errors)


def _first_text(detail: Any) -> str:
    while isinstance(detail, dict | list):
        if not detail:
            return ""
        detail = next(iter(detail.values())) if isinstance(detail, dict) else detail[0]
    return str(detail)


def _not_known(error: Exception) -> Problem:
    text = _first_text(getattr(error, "detail", "")) or "Sign in, or send a token"
    return Problem(
        401, "not_authenticated", "Not known", text, headers={"WWW-Authenticate": "Bearer"}
    )


def _account_error(error: AccountError) -> Problem:
    entry: dict[str, Any] = {"field": error.field, "message": str(error)}
    if error.allowed is not None:
        entry["allowed"] = error.allowed
    return Problem(400, "invalid", "Invalid account", str(error), errors=[entry])


def _account_conflict(error: Exception) -> Problem:
    return Problem(409, "conflict", "Not possible now", str(error))


def _database(error: Exception) -> Problem:
    text = str(error).lower()
    if "locked" in text or "busy" in text:
        detail = "Another process is writing to the database; nothing was changed"
        return _retry("database_locked", detail, 2)
    log.error("the database refused: %s", error)
    if "full" in text:
        return _retry("disk_full", "The disk is full; nothing was changed. Free some space", 30)
    return _retry("database_away", "The database cannot be used now; nothing was changed", 5)


def _retry(code: str, detail: str, seconds: int) -> Problem:
    headers = {"Retry-After": str(seconds)}
    return Problem(503, code, "Not available now", detail, headers=headers)


def _invalid_content(error: Invalid) -> Problem:
    errors = [each.body() for each in error.errors]
    return Problem(400, "invalid", "Invalid content", str(error), errors=errors)


def _stale(error: Stale) -> Problem:
    current = None if error.current is None else dict(error.current)
    return Problem(
        412,
        "stale",
        "Changed meanwhile",
        str(error),
        headers={"ETag": f'"{error.revision}"'},
        extra={"revision": error.revision, "current": current},
    )


def _conflict(error: Conflict) -> Problem:
    extra = {"referenced_by": error.by} if isinstance(error, Referenced) else {}
    return Problem(409, error.code, "Not possible now", str(error), extra=extra)


def _simple(status: int, title: str, detail: str) -> Any:
    return lambda _: Problem(status, _CODES[status], title, detail)


#: The first kind that fits; subclasses stand before their bases.
_TRANSLATIONS: Final[list[tuple[type[Exception], Any]]] = [
    (Invalid, _invalid_content),
    (Stale, _stale),
    (Conflict, _conflict),
    (NotFound, lambda error: Problem(404, "not_found", "Not found", str(error))),
    (TooLarge, lambda error: Problem(413, "too_large", "Too large", str(error))),
    (Busy, lambda error: _retry("database_locked", str(error), 2)),
    (Unavailable, lambda error: _retry("database_away", str(error), 5)),
    (AccountError, _account_error),
    (AccountConflict, _account_conflict),
    (NotAuthenticated, _not_known),
    (AuthenticationFailed, _not_known),
    (ValidationError, _from_validation),
    (APIException, _from_drf),
    (Http404, _simple(404, "Not found", "There is nothing at this address")),
    (PermissionDenied, _simple(403, "Not allowed", "Your role may not do this")),
    (RequestDataTooBig, _simple(413, "Too large", "The body of this request is too large")),
    (SuspiciousOperation, _simple(400, "Invalid request", "The request is malformed")),
    (IntegrityError, lambda _: _fault()),
    (OperationalError, _database),
    (DatabaseError, _database),
]
