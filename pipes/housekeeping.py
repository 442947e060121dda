"""Housekeeping of the configuration, in the jobs worker: idempotent, never on a value's way."""

from __future__ import annotations

import logging
import sqlite3

from celery import shared_task

from pipes import backups
from pipes.namespaces import learn_and_replace
from pipes.refusals import RefusedError

log = logging.getLogger(__name__)


@shared_task(name="pipes.settle_namespaces", ignore_result=True, expires=10)
def settle_namespaces(**_: object) -> None:
    """Replace namespace indices by URIs where they are known by now."""
    try:
        learn_and_replace()
    except RefusedError:
        return  # the configuration is being changed or locked; the next turn does it


@shared_task(name="pipes.back_up", ignore_result=True, expires=600)
def back_up(**_: object) -> None:
    """Keep a copy of the database, from which a lost one is made anew."""
    try:
        backups.back_up_if_due()
    except (OSError, sqlite3.Error) as error:
        log.warning("the database could not be copied to %s: %s", backups.folder(), error)
