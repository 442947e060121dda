"""Housekeeping of the configuration, in the jobs worker: idempotent, never on a value's way."""

from __future__ import annotations

from celery import shared_task

from pipes.namespaces import learn_and_replace
from pipes.refusals import RefusedError


@shared_task(name="pipes.settle_namespaces", ignore_result=True, expires=10)
def settle_namespaces(**_: object) -> None:
    """Replace namespace indices by URIs where they are known by now."""
    try:
        learn_and_replace()
    except RefusedError:
        return  # the configuration is being changed or locked; the next turn does it
