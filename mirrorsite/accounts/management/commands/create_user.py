"""``create_user NAME --role ROLE``: an account, or a new password and role for one."""

from __future__ import annotations

import getpass
import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from mirrorsite.accounts.roles import Role
from mirrorsite.accounts.services import AccountConflict, AccountError, set_user
from mirrorsite.database import ensure_migrated


class Command(BaseCommand):
    help = "Make an account; the same name again sets its password and role."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("account", metavar="NAME", help="the account's name")
        parser.add_argument("--role", required=True, choices=[str(role) for role in Role])
        parser.add_argument(
            "--password-stdin", action="store_true", help="read the password from one line of stdin"
        )
        parser.add_argument("--json", action="store_true", help="print the account as JSON")
        parser.add_argument("--name", metavar="STATION", help="the station's name")
        parser.add_argument("--data-dir", metavar="DIR", help="the station's data folder")

    def handle(self, **options: Any) -> None:
        password = _from_stdin() if options["password_stdin"] else _asked()
        ensure_migrated()
        try:
            user = set_user(options["account"], options["role"], password)
        except (AccountError, AccountConflict) as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            answer = {"name": user.username, "role": user.role, "local": user.local}
            self.stdout.write(json.dumps(answer))
        else:
            self.stdout.write(f"{user.username} has the role {user.role}")


def _from_stdin() -> str:
    return sys.stdin.readline().rstrip("\r\n")


def _asked() -> str:
    password = getpass.getpass("Password: ")
    if password != getpass.getpass("Password again: "):
        raise CommandError("The two passwords differ; nothing was changed")
    return password
