"""Who may do what: every path and method of REST with every role, and with nobody."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView

from mirrorsite.accounts.permissions import ANYONE
from mirrorsite.accounts.roles import Role
from mirrorsite.accounts.services import create_token
from tests.integration.rest_client import Rest, rest_as, rest_of_nobody

ROLES = [str(role) for role in Role]
#: Roles by path and method, written down once more so that a slip in a view is seen.
MATRIX: dict[str, dict[str, str]] = {
    "/setup": {"POST": ANYONE},
    "/users": {"GET": "admin", "POST": "admin"},
    "/users/me": {"GET": "viewer"},
    "/users/x": {"GET": "admin", "PATCH": "admin", "DELETE": "admin"},
    "/tokens": {"GET": "admin", "POST": "admin"},
    "/tokens/1": {"GET": "admin", "DELETE": "admin"},
    "/servers": {"GET": "viewer", "POST": "engineer"},
    "/servers/x": {"GET": "viewer", "PATCH": "engineer", "DELETE": "engineer"},
    "/servers/x/test": {"POST": "engineer"},
    "/servers/x/browse": {"GET": "viewer"},
    "/servers/x/browse/cache": {"GET": "viewer", "POST": "engineer", "DELETE": "engineer"},
    "/servers/x/read": {"POST": "viewer"},
    "/servers/x/certificate": {"GET": "viewer", "POST": "engineer"},
    "/discovery": {"POST": "engineer"},
    "/pipes": {"GET": "viewer", "POST": "engineer"},
    "/pipes/x": {"GET": "viewer", "PATCH": "operator", "DELETE": "engineer"},
    "/ledger": {"GET": "viewer"},
    "/items": {"GET": "viewer", "POST": "engineer", "PATCH": "operator"},
    "/items/1": {"GET": "viewer", "PATCH": "operator", "DELETE": "engineer"},
    "/items/delete": {"POST": "engineer"},
    "/items/generate": {"POST": "engineer"},
    "/items/preview": {"POST": "engineer"},
    "/items/import": {"POST": "engineer"},
    "/items/export": {"GET": "viewer"},
    "/items/template": {"GET": "viewer"},
    "/configuration": {"GET": "viewer", "PUT": "engineer"},
    "/configuration/lint": {"GET": "viewer"},
    "/configuration/revisions": {"GET": "viewer"},
    "/configuration/revisions/1": {"GET": "viewer"},
    "/configuration/revisions/1/restore": {"POST": "engineer"},
    "/certificates": {"GET": "viewer"},
    "/certificates/own": {"GET": "viewer"},
    "/certificates/own/renew": {"POST": "admin"},
    "/redundancy/settings": {"GET": "viewer", "PATCH": "admin"},
    "/redundancy/switchover": {"POST": "operator"},
    "/redundancy/rejoin": {"POST": "admin"},
    "/redundancy/maintenance": {"POST": "admin"},
    "/redundancy/force": {"POST": "admin"},
    "/redundancy/enable": {"POST": "admin"},
    "/redundancy/disable": {"POST": "admin"},
    "/station": {"GET": "viewer"},
    "/pair": {"GET": "viewer"},
    "/diagnostics": {"GET": "viewer"},
    "/diagnostics/x": {"GET": "viewer"},
    "/chronicle": {"GET": "viewer"},
    "/chronicle/1/acknowledge": {"POST": "operator"},
    "/switchovers": {"GET": "viewer"},
    "/switchovers/1": {"GET": "viewer"},
    "/switchovers/1/evidence": {"GET": "viewer"},
    "/logs": {"GET": "admin"},
}
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def views() -> Iterator[tuple[str, type[APIView]]]:
    """Every REST view of the product with its path."""

    def walk(entries: Any, before: str) -> Iterator[tuple[str, type[APIView]]]:
        for entry in entries:
            path = before + str(entry.pattern)
            if isinstance(entry, URLResolver):
                yield from walk(entry.url_patterns, path)
            elif isinstance(entry, URLPattern):
                kind = getattr(entry.callback, "cls", None)
                if kind is not None:
                    yield path, kind

    yield from walk(get_resolver().url_patterns, "/")


def example(path: str) -> str:
    return re.sub(r"<(?P<kind>\w+):\w+>", lambda m: "1" if m["kind"] == "int" else "x", path)


def test_every_view_says_for_each_of_its_methods_who_may() -> None:
    for path, kind in views():
        methods = {name.upper() for name in kind.http_method_names if hasattr(kind, name)}
        wanted = methods - {"OPTIONS", "HEAD", "TRACE"}
        roles = getattr(kind, "required_roles", None)
        assert roles is not None, f"{path}: {kind.__name__} has no required_roles"
        assert set(roles) == wanted, f"{path}: {kind.__name__}"
        assert set(roles.values()) <= {*ROLES, ANYONE}


def test_the_matrix_is_complete_and_says_what_the_views_say() -> None:
    found = {
        example(path).removeprefix("/api/v1"): dict(kind.required_roles)  # type: ignore[attr-defined]
        for path, kind in views()
        if path.startswith("/api/v1/")
    }

    assert found == MATRIX


def test_only_set_up_is_open_to_anyone() -> None:
    open_paths = [path for path, roles in MATRIX.items() if ANYONE in roles.values()]

    assert open_paths == ["/setup"]


@pytest.mark.django_db(transaction=True)
class TestMatrix:
    @pytest.fixture(autouse=True)
    def _fresh_throttles(self) -> None:
        cache.clear()

    def call(self, rest: Rest, path: str, method: str) -> int:
        cache.clear()
        answer = rest.client.generic(
            method, f"/api/v1{path}", b"{}", content_type="application/json"
        )
        assert answer.status_code < 500 or answer.status_code in (503, 504), answer.content
        return int(answer.status_code)

    @pytest.mark.parametrize("path", [path for path in MATRIX if path != "/setup"])
    def test_nobody_gets_in(self, path: str) -> None:
        statuses = {self.call(rest_of_nobody(), path, method) for method in METHODS}

        assert statuses == {401}

    @pytest.mark.parametrize("role", ROLES)
    def test_each_role_gets_exactly_what_it_may(self, role: str) -> None:
        wrong: list[str] = []
        for path, roles in MATRIX.items():
            if path == "/setup":
                continue
            for method in METHODS:
                rest = rest_as(role)
                status = self.call(rest, path, method)
                wanted = roles.get(method)
                if wanted is None:
                    is_right = status == 405
                elif Role(role).includes(Role(wanted)):
                    is_right = status not in (401, 403, 405)
                else:
                    is_right = status == 403
                if not is_right:
                    wrong.append(f"{method} {path} as {role}: {status}, wanted {wanted}")

        assert wrong == []

    @pytest.mark.parametrize("path", ["/metrics", "/api/schema", "/api/docs"])
    def test_descriptions_and_metrics_need_a_viewer(self, path: str) -> None:
        viewer = rest_as("viewer")

        assert rest_of_nobody().client.get(path).status_code == 401
        assert viewer.client.get(path, HTTP_ACCEPT="*/*").status_code == 200

    def test_a_browser_is_led_from_the_documentation_to_the_login(self) -> None:
        client = rest_of_nobody().client
        browser = client.get("/api/docs", HTTP_ACCEPT="text/html,application/xhtml+xml,*/*;q=0.8")
        program = client.get("/api/docs", HTTP_ACCEPT="*/*")

        assert browser.status_code == 302
        assert browser.headers["Location"] == "/login/?next=/api/docs"
        assert program.status_code == 401
        assert program.headers["Content-Type"] == "application/problem+json"
        assert program.headers["WWW-Authenticate"] == "Bearer"

    @pytest.mark.parametrize("path", ["/nothing", "/servers/", "/items/x/y", ""])
    def test_an_unknown_path_is_a_problem_and_hides_behind_the_login(self, path: str) -> None:
        unknown = rest_as("viewer").get(path)

        assert rest_of_nobody().get(path).status_code == 401
        assert unknown.status_code == 404
        assert unknown.headers["Content-Type"] == "application/problem+json"
        assert unknown.json()["instance"] == f"/api/v1{path}"

    def test_head_is_allowed_where_get_is(self) -> None:
        assert rest_as("viewer").client.head("/api/v1/items").status_code == 200
        assert rest_as("viewer").client.head("/api/v1/users").status_code == 403

    def test_options_tells_nothing(self) -> None:
        assert rest_of_nobody().client.options("/api/v1/items").status_code == 401
        assert rest_as("admin").client.options("/api/v1/items").status_code == 405

    @pytest.mark.parametrize("action", ["trust", "reject"])
    def test_engineers_propose_but_do_not_trust(self, action: str) -> None:
        engineer = rest_as("engineer")
        engineer.post("/servers", {"name": "x", "endpoint": "opc.tcp://10.0.0.5:4840"})

        answer = engineer.post("/servers/x/certificate", {"action": action, "thumbprint": "A" * 40})

        assert answer.status_code == 403

    def test_a_view_without_roles_is_shut_even_to_admins(self) -> None:
        class Forgotten(APIView):
            def get(self, request: Any) -> Response:
                return Response({})

        header = f"Bearer {create_token('script', 'admin')}"
        request = APIRequestFactory().get("/forgotten", HTTP_AUTHORIZATION=header)

        assert Forgotten.as_view()(request).status_code == 403
