"""``create_token NAME --role ROLE``: one API token, printed once, alone on its line."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from mirrorsite.accounts.roles import Role
from mirrorsite.accounts.services import AccountConflict, AccountError, issue_token
from mirrorsite.database import ensure_migrated


class Command(BaseCommand):
    help = "Make an API token of the service account NAME and print it; it is not shown again."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("account", metavar="NAME", help="the service account's name")
        parser.add_argument("--role", required=True, choices=[str(role) for role in Role])
        parser.add_argument("--days", type=int, help="days until it expires; default never")
        parser.add_argument("--json", action="store_true", help="print the token as JSON")
        parser.add_argument("--name", metavar="STATION", help="the station's name")
        parser.add_argument("--data-dir", metavar="DIR", help="the station's data folder")

    def handle(self, **options: Any) -> None:
        ensure_migrated()
        try:
            token, text = issue_token(options["account"], options["role"], options["days"])
        except (AccountError, AccountConflict) as error:
            raise CommandError(str(error)) from error
        if not options["json"]:
            self.stdout.write(text)
            return
        expires_at = None if token.expiry is None else f"{token.expiry:%Y-%m-%dT%H:%M:%SZ}"
        answer = {"token": text, "name": token.user.username, "role": options["role"]}
        self.stdout.write(json.dumps({**answer, "expires_at": expires_at}))
