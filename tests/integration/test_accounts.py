"""Accounts, tokens and the first start, against a real database."""

from __future__ import annotations

import io
import json
import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.utils import timezone

from mirrorsite.accounts import services, setup
from mirrorsite.accounts.models import Token, User
from mirrorsite.accounts.roles import Role
from redundancy.signals import event_emitted
from tests.integration.rest_client import Rest, person, rest_as, rest_of_nobody

pytestmark = pytest.mark.django_db

PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def _fast_hashing(settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(autouse=True)
def _fresh_throttles() -> None:
    cache.clear()


@pytest.fixture
def data_dir(settings: Any, tmp_path: Path) -> Path:
    settings.STATION = replace(settings.STATION, data_dir=tmp_path)
    return tmp_path


@pytest.fixture
def events() -> Iterator[list[Any]]:
    seen: list[Any] = []

    def keep(event: Any, **_: Any) -> None:
        seen.append(event)

    event_emitted.connect(keep)
    yield seen
    event_emitted.disconnect(keep)


class TestRoles:
    @pytest.mark.parametrize("role", list(Role))
    def test_each_role_includes_those_before_it(self, role: Role) -> None:
        place = list(Role).index(role)

        assert [role.includes(other) for other in Role] == [
            each <= place for each in range(len(Role))
        ]

    def test_an_account_has_the_highest_role_of_its_groups(self) -> None:
        user = services.set_user("anna", "engineer", PASSWORD)

        assert user.role is Role.ENGINEER

    def test_an_account_without_a_group_has_no_role(self) -> None:
        assert User.objects.create(username="nobody").role is None


class TestSetUser:
    def test_the_same_name_again_sets_password_and_role(self) -> None:
        services.set_user("boss", "admin", PASSWORD)
        services.set_user("anna", "viewer", PASSWORD)

        user = services.set_user("Anna", "operator", "another long secret")

        assert User.objects.filter(is_service=False).count() == 2
        assert user.role is Role.OPERATOR
        assert user.check_password("another long secret")

    @pytest.mark.parametrize(
        ("name", "role", "password", "field"),
        [
            ("", "viewer", PASSWORD, "name"),
            ("a b", "viewer", PASSWORD, "name"),
            ("a/b", "viewer", PASSWORD, "name"),
            ("x" * 65, "viewer", PASSWORD, "name"),
            ("me", "viewer", PASSWORD, "name"),
            ("anna", "boss", PASSWORD, "role"),
            ("anna", "viewer", "short", "password"),
            ("anna", "viewer", "password1234", "password"),
            ("annabella.berger", "viewer", "annabella.berger", "password"),
        ],
    )
    def test_a_wrong_value_is_refused_by_its_name(
        self, name: str, role: str, password: str, field: str
    ) -> None:
        with pytest.raises(services.AccountError) as refused:
            services.set_user(name, role, password)

        assert refused.value.field == field
        assert not User.objects.exists()

    def test_the_last_admin_keeps_the_role(self) -> None:
        services.set_user("anna", "admin", PASSWORD)

        with pytest.raises(services.AccountConflict, match="last admin"):
            services.set_user("anna", "viewer", PASSWORD)

    def test_a_second_admin_frees_the_first(self) -> None:
        services.set_user("anna", "admin", PASSWORD)
        services.set_user("berta", "admin", PASSWORD)

        assert services.set_user("anna", "viewer", PASSWORD).role is Role.VIEWER

    def test_an_inactive_admin_does_not_count_as_another(self) -> None:
        anna = services.set_user("anna", "admin", PASSWORD)
        services.change_user(services.set_user("berta", "admin", PASSWORD), is_active=False)

        with pytest.raises(services.AccountConflict, match="last admin"):
            services.remove_user(anna)

    def test_changes_are_events_without_the_password(self, events: list[Any]) -> None:
        services.set_user("anna", "admin", PASSWORD, by="boss")

        assert [event.code for event in events] == ["USER_CREATED"]
        assert events[0].user == "boss"
        assert PASSWORD not in repr(events[0])


class TestTokens:
    def test_only_a_digest_of_the_token_is_kept(self) -> None:
        text = services.create_token("script", "viewer")

        assert text.startswith("mir_")
        stored = Token.objects.get()
        assert stored.digest != text
        assert text[15:] not in stored.digest + stored.token_key
        assert not stored.user.has_usable_password()
        assert stored.user.is_service

    def test_the_same_name_gets_a_further_token(self) -> None:
        services.create_token("script", "viewer")
        services.create_token("script", "viewer")

        assert Token.objects.filter(user__username="script").count() == 2

    def test_another_role_is_an_error(self) -> None:
        services.create_token("script", "viewer")

        with pytest.raises(services.AccountConflict, match="role viewer"):
            services.create_token("script", "admin")

    @pytest.mark.parametrize("days", [0, -1, 3651])
    def test_days_out_of_range_are_refused(self, days: int) -> None:
        with pytest.raises(services.AccountError, match="1 to 3650"):
            services.create_token("script", "viewer", days)

    def test_a_service_account_goes_with_its_last_token(self) -> None:
        services.create_token("script", "viewer")
        services.create_token("script", "viewer")

        for token in Token.objects.all():
            services.remove_token(token)

        assert not User.objects.exists()

    def test_an_expired_token_is_not_known(self) -> None:
        rest = rest_as("viewer")
        Token.objects.update(expiry=timezone.now() - timedelta(seconds=1))

        answer = rest.get("/users/me")

        assert answer.status_code == 401
        assert "expired" in answer.json()["detail"]

    def test_use_is_noted_to_the_minute(self) -> None:
        rest = rest_as("viewer")

        rest.get("/users/me")
        first = Token.objects.get().last_used_at
        rest.get("/users/me")

        assert first is not None
        assert Token.objects.get().last_used_at == first

    @pytest.mark.parametrize(
        "header",
        ["Bearer", "Bearer a b", "Bearer mir_0000", "Bearer m\u00e4r", "Basic YTpi", "Token x"],
    )
    def test_a_malformed_header_is_a_401_that_names_the_scheme(self, header: str) -> None:
        rest = rest_of_nobody()
        rest.client.credentials(HTTP_AUTHORIZATION=header)

        answer = rest.get("/users/me")

        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert answer.headers["Content-Type"] == "application/problem+json"

    def test_a_token_of_an_inactive_account_is_not_known(self) -> None:
        rest = rest_as("viewer")
        User.objects.update(is_active=False)

        assert rest.get("/users/me").status_code == 401


class TestSetUp:
    def test_the_line_names_address_and_code(self, data_dir: Path, settings: Any) -> None:
        line = setup.setup_line()

        code = (data_dir / "setup-code").read_text().strip()
        assert line == f"SETUP {settings.STATION.public_url}/setup/ code {code}"
        assert stat.S_IMODE((data_dir / "setup-code").stat().st_mode) == 0o600
        assert len(code.replace("-", "")) == 16

    def test_a_restart_keeps_the_code(self, data_dir: Path) -> None:
        assert setup.setup_line() == setup.setup_line()

    def test_an_expired_code_is_refused_and_the_next_start_makes_another(
        self, data_dir: Path
    ) -> None:
        first = setup.setup_line()
        file = data_dir / "setup-code"
        yesterday = file.stat().st_mtime - setup.VALID_SECONDS
        os.utime(file, (yesterday, yesterday))

        with pytest.raises(services.AccountError, match="expired"):
            setup.redeem(file.read_text(), "anna", PASSWORD)

        assert setup.setup_line() != first

    def test_no_code_is_made_once_an_account_exists(self, data_dir: Path) -> None:
        setup.setup_line()
        services.create_token("script", "viewer")

        assert setup.setup_line() is None
        assert not (data_dir / "setup-code").exists()

    def test_rest_makes_the_first_admin_once(self, data_dir: Path) -> None:
        setup.setup_line()
        code = (data_dir / "setup-code").read_text().strip().lower().replace("-", "")
        body = {"code": code, "username": "anna", "password": PASSWORD}
        nobody = rest_of_nobody()

        made = nobody.post("/setup", body)
        again = nobody.post("/setup", body)

        assert made.status_code == 201
        assert made.json() == {
            "name": "anna",
            "role": "admin",
            "is_active": True,
            "last_login_at": None,
            "local": False,
        }
        assert again.status_code == 404
        assert not (data_dir / "setup-code").exists()

    def test_a_wrong_code_or_password_keeps_the_code_valid(self, data_dir: Path) -> None:
        setup.setup_line()
        code = (data_dir / "setup-code").read_text().strip()
        nobody = rest_of_nobody()

        wrong = nobody.post("/setup", {"code": "AAAA", "username": "a", "password": PASSWORD})
        weak = nobody.post("/setup", {"code": code, "username": "a", "password": "short"})

        assert [wrong.status_code, weak.status_code] == [400, 400]
        assert wrong.json()["errors"][0]["field"] == "code"
        assert weak.json()["errors"][0]["field"] == "password"
        assert not User.objects.exists()
        assert (data_dir / "setup-code").read_text().strip() == code

    def test_guessing_is_throttled(self, data_dir: Path) -> None:
        setup.setup_line()
        nobody = rest_of_nobody()
        body = {"code": "AAAA", "username": "a", "password": PASSWORD}

        answers = [nobody.post("/setup", body) for _ in range(11)]

        assert [answer.status_code for answer in answers] == [400] * 10 + [429]
        assert int(answers[-1].headers["Retry-After"]) > 0

    def test_rest_is_shut_without_any_account(self) -> None:
        assert rest_of_nobody().get("/users/me").status_code == 401


class TestUsersRest:
    @pytest.fixture
    def admin(self) -> Rest:
        return rest_as("admin")

    def test_a_user_is_made_changed_listed_and_removed(self, admin: Rest) -> None:
        person("boss", "admin")

        made = admin.post("/users", {"name": "anna", "role": "operator", "password": PASSWORD})
        changed = admin.patch("/users/anna", {"role": "engineer", "name": "anne"})
        listed = admin.get("/users?role=engineer").json()
        removed = admin.delete("/users/ANNE")

        assert made.status_code == 201
        assert "password" not in made.json()
        assert changed.json()["role"] == "engineer"
        assert [user["name"] for user in listed["results"]] == ["anne"]
        assert removed.status_code == 204
        assert admin.get("/users/anne").status_code == 404

    def test_a_name_in_use_is_a_conflict(self, admin: Rest) -> None:
        person("anna")

        answer = admin.post("/users", {"name": "ANNA", "role": "viewer", "password": PASSWORD})

        assert answer.status_code == 409

    def test_the_last_admin_cannot_be_removed(self, admin: Rest) -> None:
        person("anna", "admin")

        answers = [
            admin.delete("/users/anna"),
            admin.patch("/users/anna", {"role": "viewer"}),
            admin.patch("/users/anna", {"is_active": False}),
        ]

        assert [answer.status_code for answer in answers] == [409, 409, 409]
        assert User.objects.get(username="anna").role is Role.ADMIN

    def test_unknown_fields_are_errors_and_read_only_ones_are_ignored(self, admin: Rest) -> None:
        person("boss", "admin")
        person("anna", "viewer")

        unknown = admin.patch("/users/anna", {"color": "red"})
        echoed = admin.patch("/users/anna", {"last_login_at": "x", "local": True})

        assert unknown.status_code == 400
        assert unknown.json()["errors"][0]["field"] == "color"
        assert echoed.status_code == 200
        assert echoed.json()["local"] is False

    def test_service_accounts_are_no_people(self, admin: Rest) -> None:
        assert admin.get("/users").json()["count"] == 0
        assert admin.get("/users/test-admin").status_code == 404

    def test_me_is_whoever_asks(self) -> None:
        assert rest_as("viewer").get("/users/me").json()["role"] == "viewer"


class TestTokensRest:
    def test_the_token_is_answered_once(self) -> None:
        admin = rest_as("admin")

        made = admin.post("/tokens", {"name": "script", "role": "viewer", "days": 30})
        listed = admin.get("/tokens?name=script").json()["results"]

        assert made.status_code == 201
        assert made.json()["token"].startswith("mir_")
        assert made.json()["expires_at"].endswith("Z")
        assert [token["id"] for token in listed] == [made.json()["id"]]
        assert "token" not in listed[0]

    def test_a_removed_token_is_not_known_any_more(self) -> None:
        admin, viewer = rest_as("admin"), rest_as("viewer")
        number = admin.get("/tokens?name=test-viewer").json()["results"][0]["id"]

        assert admin.delete(f"/tokens/{number}").status_code == 204

        assert viewer.get("/users/me").status_code == 401
        assert admin.get(f"/tokens/{number}").status_code == 404


class TestCommands:
    def test_create_token_prints_the_token_alone(self) -> None:
        out = io.StringIO()

        call_command("create_token", "script", "--role", "engineer", stdout=out)

        lines = out.getvalue().splitlines()
        assert len(lines) == 1
        rest = rest_of_nobody()
        rest.client.credentials(HTTP_AUTHORIZATION=f"Bearer {lines[0]}")
        assert rest.get("/users/me").json()["role"] == "engineer"

    def test_create_token_answers_json(self) -> None:
        out = io.StringIO()

        call_command("create_token", "script", "--role=viewer", "--days=2", "--json", stdout=out)

        answer = json.loads(out.getvalue())
        assert sorted(answer) == ["expires_at", "name", "role", "token"]
        assert answer["expires_at"].endswith("Z")

    def test_create_token_refuses_another_role(self) -> None:
        call_command("create_token", "script", "--role", "viewer", stdout=io.StringIO())

        with pytest.raises(CommandError, match="role viewer"):
            call_command("create_token", "script", "--role", "admin", stdout=io.StringIO())

    def test_create_user_reads_the_password_from_stdin(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sys.stdin", io.StringIO(f"{PASSWORD}\n"))
        out = io.StringIO()

        call_command("create_user", "anna", "--role=admin", "--password-stdin", stdout=out)

        assert out.getvalue() == "anna has the role admin\n"
        assert User.objects.get().check_password(PASSWORD)

    def test_create_user_says_why_a_password_is_refused(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sys.stdin", io.StringIO("short\n"))

        with pytest.raises(CommandError, match="at least 12 characters"):
            call_command("create_user", "anna", "--role=admin", "--password-stdin")
