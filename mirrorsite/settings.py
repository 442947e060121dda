"""Django settings of one station, in the order of Django's own reference.

Nothing here reads the environment directly: `mirrorsite.env` does, and names what it refuses.
"""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from mirrorsite import __version__
from mirrorsite.env import ROOT, SettingError, make_folders, read_station
from mirrorsite.redis import celery_url, embedded_url
from mirrorsite.secrets import station_secret

try:
    STATION = read_station(os.environ)
    make_folders(STATION)
except SettingError as error:
    raise ImproperlyConfigured(str(error)) from error

VERSION = __version__
BASE_DIR = ROOT

# Core
DEBUG = False
SECRET_KEY = station_secret(STATION.data_dir / "pki" / "django-secret")
_public = urlsplit(STATION.public_url)
ALLOWED_HOSTS = sorted({"localhost", "127.0.0.1", "[::1]", _public.hostname or ""} - {""})
CSRF_TRUSTED_ORIGINS = [STATION.public_url]
ROOT_URLCONF = "mirrorsite.urls"
ASGI_APPLICATION = "mirrorsite.asgi.application"
APPEND_SLASH = False
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
USE_I18N = False
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATA_UPLOAD_MAX_MEMORY_SIZE = 10 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2_000
FILE_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "rest_framework",
    "knox",
    "axes",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "channels",
    "redundancy",
    "pipes",
    "diagnostics",
    "mirrorsite.accounts",
    "mirrorsite",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
            ]
        },
    }
]

# Database: SQLite in WAL mode. BEGIN IMMEDIATE, since a deferred transaction that turns into a
# write fails at once instead of waiting for the lock.
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": STATION.data_dir / "db.sqlite3",
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 5,
            "init_command": "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;",
        },
        "TEST": {"NAME": None},
    }
}

# Accounts
AUTH_USER_MODEL = "accounts.User"
KNOX_TOKEN_MODEL = "accounts.Token"  # noqa: S105 - the name of a model
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
]
LOGIN_URL = "/login/"
LOGIN_REDIRECT_URL = "/"
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=5)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_LOCKOUT_CALLABLE = "mirrorsite.pages.locked_out"
AXES_HTTP_RESPONSE_CODE = 429
AXES_RESET_ON_SUCCESS = True
AXES_DISABLE_ACCESS_LOG = True  # the chronicle keeps logins; a table without an end is not needed
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False

# Sessions and web security. Cookies are shared by all ports of a host: each station has its own.
# A session looks for 30 days; commands ask for the password earlier (accounts.authentication).
_https = _public.scheme == "https"
SESSION_COOKIE_NAME = f"session_{STATION.name}"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = _https
SESSION_COOKIE_AGE = 30 * 24 * 3600
CSRF_COOKIE_NAME = f"csrf_{STATION.name}"
CSRF_COOKIE_SECURE = _https
CSRF_FAILURE_VIEW = "mirrorsite.pages.csrf_failed"
SECURE_HSTS_SECONDS = 31_536_000 if _https else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = _https
SECURE_HSTS_PRELOAD = _https
SECURE_SSL_REDIRECT = _https
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^role$"]  # asked on loopback by machines
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "object-src": ["'none'"],
        "frame-ancestors": ["'none'"],
        "base-uri": ["'self'"],
        "form-action": ["'self'"],
    }
}

# Static files: served from where they are; there is no step that collects them.
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False

# REST
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "mirrorsite.accounts.authentication.BearerAuthentication",
        "mirrorsite.accounts.authentication.CommandingSession",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["mirrorsite.accounts.permissions.RolePermission"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["mirrorsite.parsers.JsonParser"],
    "DEFAULT_METADATA_CLASS": None,
    "DEFAULT_SCHEMA_CLASS": "mirrorsite.openapi.StationSchema",
    "EXCEPTION_HANDLER": "mirrorsite.rest.problem_handler",
    "URL_FORMAT_OVERRIDE": None,  # ?format= belongs to import and export
    "NUM_PROXIES": 0,
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Mirrorsite",
    "VERSION": VERSION,
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "POSTPROCESSING_HOOKS": ["mirrorsite.docs.add_components"],
    "SERVE_PERMISSIONS": ["mirrorsite.accounts.permissions.RolePermission"],
}
REST_KNOX = {
    "TOKEN_TTL": None,
    "TOKEN_PREFIX": "mir_",
    "AUTH_HEADER_PREFIX": "Bearer",
    "SECURE_HASH_ALGORITHM": "hashlib.sha512",
    "AUTO_REFRESH": False,
}

# Redis, Celery, Channels. Redis carries commands and live views; transfer needs none of it.
REDIS_URL = STATION.redis_url or embedded_url(STATION.run_dir)
CELERY_BROKER_URL = celery_url(REDIS_URL)
CELERY_RESULT_BACKEND = celery_url(REDIS_URL)
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [REDIS_URL]},
    }
}

# What the supervisor looks up and sends off; it knows no other app by import.
SUPERVISOR_NEWEST_REVISION = "pipes.last_good.newest_revision"
SUPERVISOR_TIMERS = (  # name, seconds, task, queue
    ("drain_spool", 1.0, "diagnostics.drain_spool", "jobs"),
    ("retain", 3600.0, "diagnostics.retain", "jobs"),
    ("settle_namespaces", 5.0, "pipes.settle_namespaces", "jobs"),
    ("back_up", 3600.0, "pipes.back_up", "jobs"),
)

LOGGING_CONFIG = None  # mirrorsite.logs sets up structlog for every process


def data_path(*parts: str) -> Path:
    """A path below the station's data folder."""
    return STATION.data_dir.joinpath(*parts)
