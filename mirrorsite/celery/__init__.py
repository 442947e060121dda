"""The Celery app: commands travel by it, pipes and supervisor live in worker steps beside it.

``celery -A mirrorsite worker --role pipes|supervisor|jobs --index N`` starts one process of a
station. The role chooses the worker step that owns an asyncio loop; tasks are commands of less
than three seconds that always expire (docs/adr/0006).
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, Final

import click
from celery import Celery
from celery.bin.base import CeleryOption
from celery.exceptions import CPendingDeprecationWarning, SecurityWarning
from celery.signals import celeryd_after_setup, celeryd_init, setup_logging

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mirrorsite.settings")

app = Celery("mirrorsite")
app.set_default()  # for every thread: web sends commands from the threads of its requests
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.update(
    accept_content=["json"],
    task_serializer="json",
    result_serializer="json",
    result_expires=600,
    task_acks_late=False,
    task_ignore_result=False,
    task_default_queue="jobs",
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
    worker_redirect_stdouts=False,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    worker_enable_remote_control=True,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_channel_error_retry=True,
    broker_transport_options={
        "ack_emulation": False,  # a command to a plant is at most once
        "socket_timeout": 5,
        "socket_connect_timeout": 3,
        "socket_keepalive": True,
        "health_check_interval": 10,
    },
    result_backend_transport_options={"retry_policy": {"timeout": 2.0, "max_retries": 0}},
    redis_socket_timeout=5,
    redis_socket_connect_timeout=3,
)
#: What runs beside the tasks, by role. Named, not imported: only a pipes worker loads asyncua.
ROLE_STEPS: Final[Mapping[str, str]] = {
    "supervisor": "redundancy.steps:SupervisorStep",
    "pipes": "pipes.steps:PipeHostStep",
    "jobs": "mirrorsite.jobs:PulseStep",
}

#: The modules whose tasks a role runs.
ROLE_TASKS: Final[Mapping[str, Sequence[str]]] = {
    "supervisor": (),
    "pipes": ("pipes.tasks",),
    "jobs": ("redundancy.tasks", "pipes.housekeeping", "diagnostics.tasks"),
}

app.user_options["worker"].add(
    CeleryOption(
        ("--role",),
        type=click.Choice(sorted(ROLE_STEPS)),
        required=True,
        help="What this worker is: it chooses the step that runs beside the tasks.",
    )
)
app.user_options["worker"].add(
    CeleryOption(
        ("--index",),
        type=int,
        default=1,
        help="The number of this worker among those of its role, from 1.",
    )
)


# A station may run as root in a container; tasks are JSON, so that is no way in.
warnings.filterwarnings("ignore", category=SecurityWarning)


@celeryd_init.connect
def _take_role(options: Mapping[str, Any], **_: object) -> None:
    """Add the role's step and tasks, after the command line is read, before steps are built."""
    role = options["role"]
    app.steps["worker"].add(ROLE_STEPS[role])
    for module in ROLE_TASKS[role]:
        import_module(module)


@setup_logging.connect
def _keep_our_logging(**_: object) -> None:
    """Keep Celery from installing its own handlers: `mirrorsite.apps` has set up logging."""


@celeryd_after_setup.connect
def _silence_one_warning(**_: object) -> None:
    """Celery speaks of a setting at each loss of the broker, although the setting is made.

    Later than Celery's own filter, which lets every such warning through.
    """
    warnings.filterwarnings(
        "ignore",
        message=r"\s*In Celery 5\.1 we introduced an optional breaking change",
        category=CPendingDeprecationWarning,
    )
