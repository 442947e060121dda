#!/usr/bin/env python3
"""Mirrorsite's command line; `python3 manage.py help` lists the commands."""
# ruff: noqa: I002 - the check below must also run on Pythons that do not know that import

import os
import sys

if __name__ == "__main__":
    if sys.version_info < (3, 11):  # noqa: UP036 - an older Python must get this far to be told
        found = sys.version.split()[0]
        sys.exit("Mirrorsite needs Python 3.11 or newer; this is " + found)

    # The checkout comes first on the path, whatever the environment says: `pipes` is also the
    # name of a standard-library module until Python 3.12 (docs/adr/0003).
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120 - as above
    os.environ.pop("PYTHONSAFEPATH", None)
    from mirrorsite.bootstrap import ensure

    ensure(sys.argv)
    from mirrorsite.env import SettingError, prepare

    try:
        prepare(sys.argv[1:], os.environ)
    except SettingError as error:
        sys.exit("error: " + str(error))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mirrorsite.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
