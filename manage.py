#!/usr/bin/env python3
"""Mirrorsite's command line; `python3 manage.py help` lists the commands."""

from __future__ import annotations

import os
import sys


def main() -> None:
    from mirrorsite.env import apply_options

    apply_options(sys.argv[2:], os.environ)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mirrorsite.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
