"""System checks of the whole product: configuration fails at the start, by name, with a remedy."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

import pipes
from mirrorsite.env import ROOT, StationSettings

TAG = "mirrorsite"
_LOOPBACK = ("127.", "localhost", "::1")


@register(TAG)
def pipes_is_ours(**_: Any) -> list[CheckMessage]:
    """``pipes`` is also a standard-library module until Python 3.12 (docs/adr/0003)."""
    found = Path(getattr(pipes, "__file__", None) or "")
    if found.parent == ROOT / "pipes":
        return []
    return [
        Error(
            f"`import pipes` finds {found}, not the app of this checkout.",
            hint="Run from the checkout: python3 manage.py …, or python -m … with PYTHONPATH=.",
            id="mirrorsite.E001",
        )
    ]


@register(TAG)
def plain_http_stays_private(**_: Any) -> list[CheckMessage]:
    station: StationSettings = settings.STATION
    is_loopback = station.http_host.startswith(_LOOPBACK)
    behind_proxy = station.public_url.startswith("https://")
    if station.tls_cert or is_loopback or behind_proxy or station.insecure_http:
        return []
    return [
        Error(
            f"MIRRORSITE_HTTP is {station.http_host}:{station.http_port}: plain HTTP would send "
            "passwords readable over the network.",
            hint="Set MIRRORSITE_TLS_CERT and MIRRORSITE_TLS_KEY, or MIRRORSITE_PUBLIC_URL to the "
            "https address of a proxy before it, or MIRRORSITE_INSECURE_HTTP=1 to do it anyway.",
            id="mirrorsite.E002",
        )
    ]


@register(TAG)
def tls_files_fit(**_: Any) -> list[CheckMessage]:
    station: StationSettings = settings.STATION
    if bool(station.tls_cert) != bool(station.tls_key):
        missing = "MIRRORSITE_TLS_KEY" if station.tls_cert else "MIRRORSITE_TLS_CERT"
        return [Error(f"{missing} is empty; HTTPS needs both files.", id="mirrorsite.E003")]
    if not station.tls_cert:
        return []
    for variable, path in _tls_files(station).items():
        if not os.access(path, os.R_OK):
            return [Error(f"{variable} is {path!r}, which cannot be read.", id="mirrorsite.E004")]
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
            station.tls_cert, station.tls_key, password=""
        )
    except (ssl.SSLError, OSError, ValueError) as error:
        return [
            Error(
                f"MIRRORSITE_TLS_CERT and MIRRORSITE_TLS_KEY cannot be used: {error}",
                hint="Both are PEM files; the key fits the certificate and has no passphrase.",
                id="mirrorsite.E005",
            )
        ]
    return []


def _tls_files(station: StationSettings) -> dict[str, str]:
    return {"MIRRORSITE_TLS_CERT": station.tls_cert, "MIRRORSITE_TLS_KEY": station.tls_key}
