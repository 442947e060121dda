"""``python -m mirrorsite.celery worker --role … --index …``: start one worker of a station.

The same as ``celery -q -A mirrorsite worker …`` without the rest of Celery's command line, whose
interactive parts cost each worker a quarter of a second at its start. For all other commands use
``python -m celery -A mirrorsite``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from celery.bin.base import CLIContext
from celery.bin.worker import worker

from mirrorsite.celery import app


def main(arguments: Sequence[str]) -> None:
    if arguments[:1] != ["worker"]:
        sys.exit("usage: python -m mirrorsite.celery worker --role pipes|supervisor|jobs …")
    worker.params.extend(app.user_options["worker"])
    context = CLIContext(app=app, no_color=True, workdir=None, quiet=True)
    worker.main(args=list(arguments[1:]), prog_name="mirrorsite.celery worker", obj=context)


if __name__ == "__main__":
    main(sys.argv[1:])
