"""What REST views of every app share: problems, query parameters, revisions as ETags.

Views read the request with these and call a service or a selector; `mirrorsite.rest` turns what is
raised into RFC 9457 bodies.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response

_ETAG: Final = re.compile(r'(?:W/)?"([^"]*)"')


class Problem(APIException):
    """An answer that is an RFC 9457 body; ``extra`` are further members of it."""

    def __init__(
        self,
        status: int,
        code: str,
        title: str,
        detail: str,
        *,
        errors: Sequence[Mapping[str, Any]] = (),
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail, code)
        self.status_code = status
        self.problem_code = code
        self.title = title
        self.text = detail
        self.errors = [dict(error) for error in errors]
        self.headers = dict(headers or {})
        self.extra = dict(extra or {})


def invalid(
    field: str, value: object, message: str, allowed: Iterable[str] | None = None
) -> Problem:
    """A 400 about one field of the body or one query parameter."""
    error: dict[str, Any] = {"field": field, "value": value, "message": message}
    if allowed is not None:
        error["allowed"] = list(allowed)
    return Problem(400, "invalid", "Invalid request", message, errors=[error])


def not_found(what: str, name: object) -> Problem:
    return Problem(404, "not_found", "Not found", f"There is no {what} {name}")


def unavailable(code: str, detail: str, retry_seconds: int = 5) -> Problem:
    """A 503: a part of the station is away for now."""
    headers = {"Retry-After": str(retry_seconds)}
    return Problem(503, code, "Not available now", detail, headers=headers)


def flag(request: Request, name: str) -> bool:
    """A query parameter that is true or false (also 1/0); absent is false."""
    text = request.query_params.get(name, "").lower()
    if text not in {"", "0", "1", "true", "false"}:
        raise invalid(name, text, f"{name} takes true or false", ["true", "false"])
    return text in {"1", "true"}


def number(request: Request, name: str, default: int, least: int, most: int) -> int:
    """A query parameter that is a whole number of ``least`` to ``most``."""
    text = request.query_params.get(name, "")
    if text == "":
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 20 and least <= int(text) <= most):
        raise invalid(name, text, f"{name} takes a whole number, {least} to {most}")
    return int(text)


def choice(request: Request, name: str, allowed: Sequence[str], default: str) -> str:
    """A query parameter that is one of a closed list."""
    text = request.query_params.get(name, "") or default
    if text not in allowed:
        raise invalid(name, text, f"{name} takes {', '.join(allowed)}", allowed)
    return text


def reason(request: Request) -> str:
    """The why of a revision, ``?reason=``, at most 500 characters."""
    text = request.query_params.get("reason", "").strip()
    if len(text) > 500:
        raise invalid("reason", text[:40], "reason takes at most 500 characters")
    return text


def body_object(request: Request) -> dict[str, Any]:
    """The body, which must be one JSON object; no body at all counts as an empty one."""
    data: Any = request.data
    if not isinstance(data, dict) and not data:
        return {}
    if not isinstance(data, dict):
        raise Problem(400, "invalid", "Invalid request", "The body must be one JSON object")
    return {str(key): value for key, value in data.items()}


def only_fields(body: Mapping[str, Any], known: Iterable[str]) -> None:
    """Refuse fields that the request does not have."""
    allowed = sorted(known)
    unknown = sorted(set(body) - set(allowed))
    if unknown:
        errors = [
            {
                "field": name,
                "value": body[name],
                "message": f"{name} is not a field here; there are {', '.join(allowed)}",
                "allowed": allowed,
            }
            for name in unknown
        ]
        raise Problem(400, "invalid", "Invalid request", str(errors[0]["message"]), errors=errors)


def if_match(request: Request) -> int | None:
    """The revision in ``If-Match``; None without the header or with ``*``.

    Raises:
        Problem: 412 for a text that cannot be a revision of this station.
    """
    text = request.headers.get("If-Match", "").strip()
    if text in {"", "*"}:
        return None
    matched = _ETAG.fullmatch(text)
    inner = matched.group(1) if matched else text
    if not (inner.isascii() and inner.isdigit() and len(inner) < 19):
        raise Problem(
            412, "stale", "Changed meanwhile", f'If-Match {text} is not a revision such as "12"'
        )
    return int(inner)


def with_revision(response: Response, revision: int) -> Response:
    """``response`` with its ``ETag``."""
    response.headers["ETag"] = f'"{revision}"'
    return response
