"""The ASGI entry point of the web process."""

from __future__ import annotations

import os
import warnings
from typing import cast

from django.core.asgi import get_asgi_application

# WhiteNoise answers static files by synchronous iterators; they are small and read at once.
warnings.filterwarnings("ignore", message="StreamingHttpResponse must consume synchronous")
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mirrorsite.settings")
django_application = get_asgi_application()

import mirrorsite.celery  # noqa: E402, F401 - commands are sent by this app; it needs the settings
from mirrorsite.body_limit import App, BodyLimit  # noqa: E402 - as above

application = BodyLimit(cast("App", django_application))
