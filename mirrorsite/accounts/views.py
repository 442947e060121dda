"""REST of accounts: set-up, users, tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import AnonRateThrottle
from rest_framework.views import APIView

from mirrorsite.accounts import bodies, services
from mirrorsite.accounts.models import Token, User
from mirrorsite.accounts.permissions import ANYONE
from mirrorsite.accounts.setup import SetupClosed, redeem
from pipes.listing import Filter, Listing, boolean, bounds, one_of, page, select
from pipes.rest import Problem, not_found
from pipes.schemas import list_parameters

AnyBody = TypeVar("AnyBody", bound=bodies.Body)

_USERS = Listing(
    search=["username"],
    ordering={"name": "username", "last_login_at": "last_login"},
    filters={
        "name": Filter("username__iexact"),
        "role": Filter("groups__name", one_of(bodies.ROLES), ", ".join(bodies.ROLES)),
        "is_active": Filter("is_active", boolean, "true or false"),
        "local": Filter("local", boolean, "true or false"),
    },
    default_order=["username"],
)
_TOKENS = Listing(
    search=["user__username"],
    ordering={
        "id": "pk",
        "name": "user__username",
        "created_at": "created",
        "expires_at": "expiry",
        "last_used_at": "last_used_at",
    },
    filters={
        "name": Filter("user__username__iexact"),
        "role": Filter("user__groups__name", one_of(bodies.ROLES), ", ".join(bodies.ROLES)),
        "local": Filter("local", boolean, "true or false"),
    },
)


class SetupThrottle(AnonRateThrottle):
    """Nobody guesses the set-up code: ten tries a minute from one address."""

    rate = "10/min"
    scope = "setup"


class LoginThrottle(AnonRateThrottle):
    """Many names tried from one address, each below its own limit: sixty tries a minute."""

    rate = "60/min"
    scope = "login"


class SetupView(APIView):
    """The first admin of a station without any account."""

    required_roles: ClassVar[Mapping[str, str]] = {"POST": ANYONE}
    authentication_classes = ()
    throttle_classes = (SetupThrottle,)

    @extend_schema(request=bodies.SetupBody, responses={201: bodies.MeBody}, auth=[])
    def post(self, request: Request) -> Response:
        given = _valid(bodies.SetupBody, request.data)
        try:
            user = redeem(given["code"], given["username"], given["password"])
        except SetupClosed as closed:
            text = "This station is set up; its admins make further accounts"
            raise Problem(404, "not_found", "Not found", text) from closed
        return Response(bodies.user_answer(user), 201)


class UsersView(APIView):
    """The accounts of people."""

    required_roles: ClassVar[Mapping[str, str]] = {"GET": "admin", "POST": "admin"}

    @extend_schema(parameters=list_parameters(_USERS.filters), responses=bodies.UserPage)
    def get(self, request: Request) -> Response:
        part = bounds(request)
        rows = select(request, services.people(), _USERS)
        found = [bodies.user_answer(user) for user in rows[part.offset : part.offset + part.limit]]
        return Response(page(request, part, rows.count(), found))

    @extend_schema(request=bodies.UserBody, responses={201: bodies.UserBody})
    def post(self, request: Request) -> Response:
        given = _valid(bodies.UserBody, request.data)
        by = str(request.user)
        user = services.create_user(given["name"], given["role"], given["password"], by=by)
        if not given["is_active"]:
            user = services.change_user(user, is_active=False, by=by)
        return Response(bodies.user_answer(user), 201)


class UserView(APIView):
    """One person's account; another role or password ends its sessions."""

    required_roles: ClassVar[Mapping[str, str]] = {
        "GET": "admin",
        "PATCH": "admin",
        "DELETE": "admin",
    }

    @extend_schema(responses=bodies.UserBody)
    def get(self, _: Request, name: str) -> Response:
        return Response(bodies.user_answer(_person(name)))

    @extend_schema(request=bodies.UserChangeBody, responses=bodies.UserBody)
    def patch(self, request: Request, name: str) -> Response:
        user = _person(name)
        given = _valid(bodies.UserChangeBody, request.data)
        if "is_active" in given and given["is_active"] is None:
            given["is_active"] = True
        changed = services.change_user(user, **given, by=str(request.user))
        return Response(bodies.user_answer(changed))

    @extend_schema(responses={204: None})
    def delete(self, request: Request, name: str) -> Response:
        services.remove_user(_person(name), by=str(request.user))
        return Response(status=204)


class MeView(APIView):
    """Whoever asks."""

    required_roles: ClassVar[Mapping[str, str]] = {"GET": "viewer"}

    @extend_schema(responses=bodies.MeBody)
    def get(self, request: Request) -> Response:
        assert isinstance(request.user, User)  # noqa: S101 - the permission saw to it
        return Response(bodies.user_answer(request.user))


class TokensView(APIView):
    """API tokens; the text of one is answered once, when it is made."""

    required_roles: ClassVar[Mapping[str, str]] = {"GET": "admin", "POST": "admin"}

    @extend_schema(parameters=list_parameters(_TOKENS.filters), responses=bodies.TokenPage)
    def get(self, request: Request) -> Response:
        part = bounds(request)
        everything = Token.objects.select_related("user").prefetch_related("user__groups")
        rows = select(request, everything, _TOKENS)
        found = [
            bodies.token_answer(token) for token in rows[part.offset : part.offset + part.limit]
        ]
        return Response(page(request, part, rows.count(), found))

    @extend_schema(request=bodies.TokenBody, responses={201: bodies.NewTokenBody})
    def post(self, request: Request) -> Response:
        given = _valid(bodies.TokenBody, request.data)
        token, text = services.issue_token(
            given["name"], given["role"], given.get("days"), by=str(request.user)
        )
        return Response({**bodies.token_answer(token), "token": text}, 201)


class TokenView(APIView):
    """One API token; removing it ends what it allowed."""

    required_roles: ClassVar[Mapping[str, str]] = {"GET": "admin", "DELETE": "admin"}

    @extend_schema(responses=bodies.TokenBody)
    def get(self, _: Request, number: int) -> Response:
        return Response(bodies.token_answer(_token(number)))

    @extend_schema(responses={204: None})
    def delete(self, request: Request, number: int) -> Response:
        services.remove_token(_token(number), by=str(request.user))
        return Response(status=204)


def _valid(kind: type[bodies.Body], data: Any) -> dict[str, Any]:
    body = kind(data=data)
    body.is_valid(raise_exception=True)
    return dict(body.validated_data)


def _person(name: str) -> User:
    user = services.people().filter(username__iexact=name).first()
    if user is None:
        raise not_found("user", name)
    return user


def _token(number: int) -> Token:
    everything = Token.objects.select_related("user").prefetch_related("user__groups")
    token: Token | None = everything.filter(pk=number).first()
    if token is None:
        raise not_found("token", number)
    return token
