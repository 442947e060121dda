"""The pages of this issue: sign in, sign out, set up, and one that shows pipes and items moving.

Pages are reached with and without the last slash. Without any account every page leads to
``/setup/``; without a session to ``/login/``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Any, Concatenate, Final, ParamSpec
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth import authenticate, login, logout
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect, ensure_csrf_cookie
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from mirrorsite import overview
from mirrorsite.accounts.models import User
from mirrorsite.accounts.permissions import has_role
from mirrorsite.accounts.services import AccountConflict, AccountError
from mirrorsite.accounts.setup import SetupClosed, redeem, setup_needed
from mirrorsite.accounts.views import LoginThrottle, SetupThrottle
from mirrorsite.rest import current_problem, is_api, problem_response
from pipes.rest import Problem

Arguments = ParamSpec("Arguments")
Page = Callable[Concatenate[HttpRequest, Arguments], HttpResponse]

_WRONG_LOGIN: Final = "Name or password is wrong. After five tries in a row this waits five minutes"


def for_role(role: str) -> Callable[[Page[Arguments]], Page[Arguments]]:
    """The page is for whoever has ``role``; others are led to set-up or login."""

    def decorate(view: Page[Arguments]) -> Page[Arguments]:
        @wraps(view)
        def guarded(
            request: HttpRequest, /, *args: Arguments.args, **kwargs: Arguments.kwargs
        ) -> HttpResponse:
            if not request.user.is_authenticated:
                return _to_the_door(request)
            if not has_role(request.user, role):
                text = f"This page is for the role {role} and those above it."
                return _message(request, HTTPStatus.FORBIDDEN, "Not allowed", text)
            return view(request, *args, **kwargs)

        return guarded

    return decorate


@never_cache
@csrf_protect
@ensure_csrf_cookie
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    if setup_needed():
        return HttpResponseRedirect("/setup/")
    wanted = _local_path(request, request.POST.get("next") or request.GET.get("next") or "/")
    if request.method != "POST":
        return _login_form(request, wanted)
    if not LoginThrottle().allow_request(request, None):  # type: ignore[arg-type] # reads META only
        return _wait(request, 60, "Too many tries from this address. Try again in a minute")
    name = request.POST.get("username", "")
    user = authenticate(request, username=name, password=request.POST.get("password", ""))
    if not isinstance(user, User):
        return _login_form(request, wanted, _WRONG_LOGIN, name)
    _begin(request, user)
    return HttpResponseRedirect(wanted)


@require_POST
@csrf_protect
def sign_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return HttpResponseRedirect("/login/")


@never_cache
@csrf_protect
@ensure_csrf_cookie
@require_http_methods(["GET", "HEAD", "POST"])
def set_up(request: HttpRequest) -> HttpResponse:
    if not setup_needed():
        text = "This station is set up. Its admins make further accounts."
        return _message(request, HTTPStatus.NOT_FOUND, "Nothing to set up", text)
    if request.method != "POST":
        return render(request, "setup.html", _frame())
    if not SetupThrottle().allow_request(request, None):  # type: ignore[arg-type] # reads META only
        return _set_up_again(request, "Too many tries. Wait a minute", HTTPStatus.TOO_MANY_REQUESTS)
    given = {name: request.POST.get(name, "") for name in ("code", "username", "password")}
    try:
        user = redeem(**given)
    except (AccountError, AccountConflict) as error:
        return _set_up_again(request, str(error), HTTPStatus.BAD_REQUEST)
    except SetupClosed:
        return HttpResponseRedirect("/login/")
    _begin(request, user)
    return HttpResponseRedirect("/")


@never_cache
@require_safe
@for_role("viewer")
def show_overview(request: HttpRequest) -> HttpResponse:
    return render(request, "overview.html", {**_frame(), **overview.content()})


def locked_out(request: HttpRequest, *_: Any) -> HttpResponse:
    """What django-axes answers while an account is locked for an address."""
    seconds = int(settings.AXES_COOLOFF_TIME.total_seconds())
    text = f"Too many wrong passwords. Try again in {seconds // 60} minutes"
    return _wait(request, seconds, text)


def _wait(request: HttpRequest, seconds: int, text: str) -> HttpResponse:
    answer = _login_form(request, "/", text)
    answer.status_code = HTTPStatus.TOO_MANY_REQUESTS
    answer.headers["Retry-After"] = str(seconds)
    return answer


def csrf_failed(request: HttpRequest, reason: str = "") -> HttpResponse:
    """A form or a command that did not come from a page of this station."""
    if is_api(request):
        return problem_response(Problem(403, "csrf", "Not allowed", reason), request.path)
    text = "This form is too old or came from another site. Load the page again."
    return _message(request, HTTPStatus.FORBIDDEN, "Not accepted", text)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's ``handler404``; an unknown page leads to set-up or login as every page does."""
    del exception
    if is_api(request):
        detail = f"There is no path {request.path}"
        return problem_response(Problem(404, "not_found", "Not found", detail), request.path)
    if not request.user.is_authenticated:
        return _to_the_door(request)
    return _message(request, HTTPStatus.NOT_FOUND, "Not found", "There is no such page.")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's ``handler400``."""
    del exception
    text = "The request is malformed, or is for another host than this station's address"
    return problem_response(Problem(400, "invalid", "Invalid request", text), request.path)


def fault(request: HttpRequest) -> HttpResponse:
    """Django's ``handler500``: what happened before a view had a say, such as a locked database."""
    problem = current_problem()
    if is_api(request):
        return problem_response(problem, request.path)
    return HttpResponse(
        f"{problem.title}. {problem.text}.",
        status=problem.status_code,
        content_type="text/plain; charset=utf-8",
        headers=problem.headers,
    )


def _begin(request: HttpRequest, user: User) -> None:
    login(request, user, backend="django.contrib.auth.backends.ModelBackend")


def _to_the_door(request: HttpRequest) -> HttpResponse:
    if setup_needed():
        return HttpResponseRedirect("/setup/")
    query = urlencode({"next": request.get_full_path()})
    return HttpResponseRedirect("/login/" if request.path == "/" else f"/login/?{query}")


def _local_path(request: HttpRequest, path: str) -> str:
    """``path`` if it leads to this station, else the overview."""
    is_safe = url_has_allowed_host_and_scheme(path, {request.get_host()}, request.is_secure())
    return path if is_safe else "/"


def _login_form(
    request: HttpRequest, wanted: str, problem: str = "", username: str = ""
) -> HttpResponse:
    context = {**_frame(), "next": wanted, "problem": problem, "username": username[:64]}
    return render(request, "login.html", context)


def _set_up_again(request: HttpRequest, problem: str, status: int) -> HttpResponse:
    username = request.POST.get("username", "")[:64]
    context = {**_frame(), "problem": problem, "username": username}
    return render(request, "setup.html", context, status=status)


def _message(request: HttpRequest, status: int, heading: str, text: str) -> HttpResponse:
    context = {**_frame(), "heading": heading, "text": text}
    return render(request, "message.html", context, status=status)


def _frame() -> dict[str, Any]:
    """What every page shows around its content."""
    station = settings.STATION
    return {
        "station_name": station.name,
        "version": settings.VERSION,
        "plain_http": station.insecure_http and not settings.SESSION_COOKIE_SECURE,
    }
