"""REST clients of the four roles for the tests, against Django's own request handling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rest_framework.test import APIClient

from mirrorsite.accounts.models import User
from mirrorsite.accounts.services import create_token

BASE = "/api/v1"


@dataclass(frozen=True)
class Rest:
    """One caller; paths are relative to /api/v1, bodies are JSON."""

    client: APIClient

    def get(self, path: str, **headers: Any) -> Any:
        return self.client.get(BASE + path, **headers)

    def post(self, path: str, body: Any = None, **headers: Any) -> Any:
        return self.client.post(BASE + path, body, format="json", **headers)

    def put(self, path: str, body: Any = None, **headers: Any) -> Any:
        return self.client.put(BASE + path, body, format="json", **headers)

    def patch(self, path: str, body: Any = None, **headers: Any) -> Any:
        return self.client.patch(BASE + path, body, format="json", **headers)

    def delete(self, path: str, **headers: Any) -> Any:
        return self.client.delete(BASE + path, **headers)


def rest_as(role: str) -> Rest:
    """A caller with a token of ``role``."""
    client = APIClient(raise_request_exception=False)
    token = create_token(f"test-{role}", role)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    return Rest(client)


def rest_of_nobody() -> Rest:
    return Rest(APIClient(raise_request_exception=False))


def person(name: str = "anna", role: str = "admin") -> User:
    """A person's account without the cost of hashing a password."""
    from django.contrib.auth.models import Group

    user = User.objects.create(username=name)
    user.groups.add(Group.objects.get_or_create(name=role)[0])
    return user
