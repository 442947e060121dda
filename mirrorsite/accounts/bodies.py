"""The REST bodies of accounts: what is read, what is answered, and what OpenAPI says of both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

from mirrorsite.accounts.models import Token, User
from mirrorsite.accounts.roles import Role

ROLES = [str(role) for role in Role]


class Body(serializers.Serializer[Any]):
    """A body whose unknown fields are errors; read-only ones that come back are ignored."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            unknown = sorted(set(data) - set(self.fields))
            known = ", ".join(self.fields)
            if unknown:
                text = "{} is not a field here; there are {}"
                raise serializers.ValidationError(
                    {name: text.format(name, known) for name in unknown}
                )
        return super().to_internal_value(data)


class UserBody(Body):
    name = serializers.CharField(max_length=64)
    role = serializers.ChoiceField(choices=ROLES)
    password = serializers.CharField(write_only=True, trim_whitespace=False, max_length=1000)
    is_active = serializers.BooleanField(default=True)
    last_login_at = serializers.DateTimeField(read_only=True, allow_null=True)
    local = serializers.BooleanField(read_only=True)


class UserChangeBody(Body):
    name = serializers.CharField(max_length=64, required=False)
    role = serializers.ChoiceField(choices=ROLES, required=False)
    password = serializers.CharField(
        write_only=True, trim_whitespace=False, max_length=1000, required=False
    )
    is_active = serializers.BooleanField(required=False, allow_null=True)
    last_login_at = serializers.DateTimeField(read_only=True)
    local = serializers.BooleanField(read_only=True)


class TokenBody(Body):
    id = serializers.IntegerField(read_only=True)
    name = serializers.CharField(max_length=64)
    role = serializers.ChoiceField(choices=ROLES)
    days = serializers.IntegerField(write_only=True, required=False, allow_null=True)
    created_at = serializers.DateTimeField(read_only=True)
    expires_at = serializers.DateTimeField(read_only=True, allow_null=True)
    last_used_at = serializers.DateTimeField(read_only=True, allow_null=True)
    local = serializers.BooleanField(read_only=True)


class NewTokenBody(TokenBody):
    token = serializers.CharField(read_only=True, help_text="Answered once, when it is made")


class SetupBody(Body):
    code = serializers.CharField(max_length=100)
    username = serializers.CharField(max_length=64)
    password = serializers.CharField(write_only=True, trim_whitespace=False, max_length=1000)


class MeBody(Body):
    name = serializers.CharField(read_only=True)
    role = serializers.ChoiceField(choices=ROLES, read_only=True)
    is_active = serializers.BooleanField(read_only=True)
    last_login_at = serializers.DateTimeField(read_only=True, allow_null=True)
    local = serializers.BooleanField(read_only=True)


class UserPage(Body):
    count = serializers.IntegerField()
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = UserBody(many=True)


class TokenPage(Body):
    count = serializers.IntegerField()
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = TokenBody(many=True)


def user_answer(user: User) -> dict[str, Any]:
    return {
        "name": user.username,
        "role": user.role,
        "is_active": user.is_active,
        "last_login_at": user.last_login,
        "local": user.local,
    }


def token_answer(token: Token) -> dict[str, Any]:
    return {
        "id": token.pk,
        "name": token.user.username,
        "role": token.user.role,
        "created_at": token.created,
        "expires_at": token.expiry,
        "last_used_at": token.last_used_at,
        "local": token.local,
    }
