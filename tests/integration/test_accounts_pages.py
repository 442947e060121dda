"""Sign in, sign out and set up by the pages, against a real database."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from axes.models import AccessAttempt
from django.core.cache import cache
from django.test import AsyncClient, Client

from mirrorsite.accounts import services, setup
from mirrorsite.accounts.models import User
from mirrorsite.accounts.sessions import ABSOLUTE_SECONDS, IDLE_SECONDS
from tests.integration.rest_client import person

pytestmark = pytest.mark.django_db

PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def _fast_hashing(settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    cache.clear()


@pytest.fixture
def data_dir(settings: Any, tmp_path: Path) -> Path:
    settings.STATION = replace(settings.STATION, data_dir=tmp_path)
    return tmp_path


@pytest.fixture
def visitor() -> Client:
    return Client(raise_request_exception=False)


def sign_in(visitor: Client, name: str = "anna", password: str = PASSWORD) -> Any:
    return visitor.post("/login/", {"username": name, "password": password})


class TestDoors:
    @pytest.mark.parametrize("path", ["/", "/login", "/login/", "/items/", "/nothing"])
    def test_without_any_account_every_page_leads_to_set_up(
        self, visitor: Client, path: str
    ) -> None:
        answer = visitor.get(path)

        assert (answer.status_code, answer["Location"]) == (302, "/setup/")

    @pytest.mark.parametrize(
        ("path", "door"),
        [
            ("/", "/login/"),
            ("/items/?pipe=P1", "/login/?next=%2Fitems%2F%3Fpipe%3DP1"),
        ],
    )
    def test_without_a_session_every_page_leads_to_login(
        self, visitor: Client, path: str, door: str
    ) -> None:
        person()

        assert visitor.get(path)["Location"] == door

    def test_an_unknown_page_is_a_404_for_whoever_is_signed_in(self, visitor: Client) -> None:
        visitor.force_login(person())

        assert visitor.get("/nothing").status_code == 404

    def test_every_page_has_a_strict_policy(self, visitor: Client) -> None:
        person()

        answer = visitor.get("/login/")

        policy = answer["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy
        assert answer["X-Frame-Options"] == "DENY"
        assert answer["X-Content-Type-Options"] == "nosniff"


class TestSignIn:
    @pytest.fixture(autouse=True)
    def _anna(self) -> User:
        return services.set_user("anna", "viewer", PASSWORD)

    def test_the_right_password_leads_to_the_wanted_page(self, visitor: Client) -> None:
        answer = visitor.post(
            "/login/", {"username": "anna", "password": PASSWORD, "next": "/items/"}
        )

        assert (answer.status_code, answer["Location"]) == (302, "/items/")
        assert visitor.get("/api/v1/users/me").json()["name"] == "anna"

    @pytest.mark.parametrize("wanted", ["https://evil.example/", "//evil.example", "javascript:x"])
    def test_login_never_leads_to_another_site(self, visitor: Client, wanted: str) -> None:
        answer = visitor.post("/login/", {"username": "anna", "password": PASSWORD, "next": wanted})

        assert answer["Location"] == "/"

    def test_a_wrong_password_and_an_unknown_name_get_the_same_answer(
        self, visitor: Client
    ) -> None:
        wrong = sign_in(visitor, password="x")
        unknown = sign_in(visitor, name="nobody")

        assert wrong.status_code == unknown.status_code == 200
        assert "Name or password is wrong" in wrong.content.decode()
        assert "Name or password is wrong" in unknown.content.decode()

    def test_five_wrong_passwords_shut_out_even_the_right_one(self, visitor: Client) -> None:
        tries = [sign_in(visitor, password="x").status_code for _ in range(5)]

        answer = sign_in(visitor)

        assert tries == [200, 200, 200, 200, 429]
        assert answer.status_code == 429
        assert int(answer["Retry-After"]) == 300
        assert visitor.get("/api/v1/users/me").status_code == 401

    def test_many_names_from_one_address_have_a_limit_too(self, visitor: Client) -> None:
        statuses = [sign_in(visitor, name=f"user{n}").status_code for n in range(61)]

        assert statuses == [200] * 60 + [429]

    def test_a_shut_out_account_is_opened_by_the_command(self, visitor: Client) -> None:
        for _ in range(5):
            sign_in(visitor, password="x")

        services.set_user("anna", "viewer", PASSWORD)

        assert not AccessAttempt.objects.exists()
        assert sign_in(visitor).status_code == 302

    def test_the_session_is_another_one_after_login(self, visitor: Client) -> None:
        visitor.get("/login/")
        session = visitor.session
        session["seen"] = True
        session.save()
        before = session.session_key
        visitor.cookies[_session_cookie()] = before or ""

        sign_in(visitor)

        assert visitor.cookies[_session_cookie()].value != before

    @pytest.mark.parametrize(
        "change", [{"password": "another long secret"}, {"role": "operator"}, {"is_active": False}]
    )
    def test_sessions_end_with_another_password_or_role(
        self, visitor: Client, change: dict[str, Any]
    ) -> None:
        sign_in(visitor)

        services.change_user(User.objects.get(), **change)

        assert visitor.get("/api/v1/users/me").status_code == 401

    def test_signing_out_ends_the_session(self, visitor: Client) -> None:
        sign_in(visitor)

        answer = visitor.post("/logout/")

        assert answer["Location"] == "/login/"
        assert visitor.get("/api/v1/users/me").status_code == 401

    def test_signing_out_needs_a_post(self, visitor: Client) -> None:
        assert visitor.get("/logout/").status_code == 405

    def test_a_form_without_its_token_is_refused(self) -> None:
        strict = Client(enforce_csrf_checks=True)

        answer = strict.post("/login/", {"username": "anna", "password": PASSWORD})

        assert answer.status_code == 403

    def test_a_hostile_name_is_shown_as_text(self, visitor: Client) -> None:
        answer = sign_in(visitor, name='"><img src=x onerror=alert(1)>')

        assert "<img" not in answer.content.decode()


@pytest.mark.django_db(transaction=True)
async def test_the_lock_holds_in_the_web_process_too() -> None:
    """ASGI takes another way through the middleware."""
    await sync_to_async(services.set_user)("anna", "viewer", PASSWORD)
    visitor = AsyncClient()
    form = {"username": "anna", "password": "x"}

    tries = [(await visitor.post("/login/", form)).status_code for _ in range(5)]
    answer = await visitor.post("/login/", {**form, "password": PASSWORD})

    assert tries == [200, 200, 200, 200, 429]
    assert answer.status_code == 429
    assert answer["Retry-After"] == "300"


class TestSessionCommands:
    @pytest.fixture
    def admin(self) -> Client:
        services.set_user("anna", "admin", PASSWORD)
        visitor = Client(enforce_csrf_checks=True, raise_request_exception=False)
        visitor.get("/login/")
        token = visitor.cookies[_csrf_cookie()].value
        answer = visitor.post(
            "/login/", {"username": "anna", "password": PASSWORD, "csrfmiddlewaretoken": token}
        )
        assert answer.status_code == 302
        return visitor

    def command(self, visitor: Client, *, with_token: bool = True) -> Any:
        token = visitor.cookies[_csrf_cookie()].value if with_token else ""
        return visitor.post(
            "/api/v1/tokens",
            {"name": "script", "role": "viewer"},
            content_type="application/json",
            headers={"X-CSRFToken": token},
        )

    def test_a_session_commands_with_its_csrf_token(self, admin: Client) -> None:
        assert self.command(admin).status_code == 201

    def test_without_the_csrf_token_a_command_is_forbidden(self, admin: Client) -> None:
        answer = self.command(admin, with_token=False)

        assert answer.status_code == 403
        assert answer["Content-Type"] == "application/problem+json"

    @pytest.mark.parametrize(
        ("key", "age"), [("signed_in_at", ABSOLUTE_SECONDS), ("commanded_at", IDLE_SECONDS)]
    )
    def test_an_old_session_looks_but_does_not_command(
        self, admin: Client, key: str, age: int
    ) -> None:
        session = admin.session
        session[key] = int(time.time()) - age - 5
        session.save()

        assert admin.get("/api/v1/users/me").status_code == 200
        answer = self.command(admin)
        assert answer.status_code == 403
        assert answer.json()["code"] == "sign_in_again"

    def test_commanding_keeps_the_session_fresh(self, admin: Client) -> None:
        session = admin.session
        session["commanded_at"] = int(time.time()) - 120
        session.save()

        self.command(admin)

        assert admin.session["commanded_at"] >= int(time.time()) - 5


class TestSetUpPage:
    def test_the_page_makes_the_first_admin_and_signs_in(
        self, visitor: Client, data_dir: Path
    ) -> None:
        setup.setup_line()
        code = (data_dir / "setup-code").read_text().strip()

        answer = visitor.post("/setup/", {"code": code, "username": "anna", "password": PASSWORD})

        assert answer["Location"] == "/"
        assert visitor.get("/api/v1/users/me").json()["role"] == "admin"
        assert visitor.get("/setup/").status_code == 404

    def test_a_wrong_code_is_said_on_the_page(self, visitor: Client, data_dir: Path) -> None:
        setup.setup_line()

        answer = visitor.post("/setup/", {"code": "x", "username": "anna", "password": PASSWORD})

        assert answer.status_code == 400
        assert "This is not the set-up code" in answer.content.decode()
        assert not User.objects.exists()

    def test_guessing_on_the_page_is_throttled(self, visitor: Client, data_dir: Path) -> None:
        setup.setup_line()
        form = {"code": "x", "username": "anna", "password": PASSWORD}

        answers = [visitor.post("/setup/", form).status_code for _ in range(11)]

        assert answers == [400] * 10 + [429]


def _session_cookie() -> str:
    from django.conf import settings

    return str(settings.SESSION_COOKIE_NAME)


def _csrf_cookie() -> str:
    from django.conf import settings

    return str(settings.CSRF_COOKIE_NAME)
