from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import trustme
from django.conf import settings
from pytest_django.fixtures import Settings

from mirrorsite import checks


def ids(settings: Settings, **changes: object) -> list[str | None]:
    settings.STATION = dataclasses.replace(settings.STATION, **changes)
    found = [*checks.plain_http_stays_private(), *checks.tls_files_fit()]
    return [message.id for message in found]


def test_pipes_is_the_app_of_this_checkout() -> None:
    assert checks.pipes_is_ours() == []


def test_another_pipes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks.pipes, "__file__", "/usr/lib/python3.11/pipes.py")

    (error,) = checks.pipes_is_ours()

    assert error.id == "mirrorsite.E001"
    assert "/usr/lib/python3.11/pipes.py" in error.msg


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({}, [], id="loopback"),
        pytest.param({"http_host": "::1"}, [], id="loopback of IPv6"),
        pytest.param({"http_host": "10.0.0.1"}, ["mirrorsite.E002"], id="reachable"),
        pytest.param({"http_host": "0.0.0.0"}, ["mirrorsite.E002"], id="all addresses"),
        pytest.param({"http_host": "10.0.0.1", "insecure_http": True}, [], id="on purpose"),
        pytest.param(
            {"http_host": "10.0.0.1", "public_url": "https://m.example"}, [], id="behind a proxy"
        ),
        pytest.param({"tls_cert": "/c.pem"}, ["mirrorsite.E003"], id="no key"),
        pytest.param(
            {"tls_cert": "/none.pem", "tls_key": "/none.key"}, ["mirrorsite.E004"], id="no file"
        ),
    ],
)
def test_passwords_do_not_cross_the_network_in_clear(
    settings: Settings, changes: dict[str, object], expected: list[str]
) -> None:
    assert ids(settings, **changes) == expected


def test_a_certificate_must_fit_its_key(settings: Settings, tmp_path: Path) -> None:
    authority = trustme.CA()
    first, second = (authority.issue_cert("localhost") for _ in range(2))
    for name, blob in (
        ("cert.pem", first.cert_chain_pems[0]),
        ("key.pem", first.private_key_pem),
        ("other.pem", second.private_key_pem),
    ):
        blob.write_to_path(str(tmp_path / name))
    files = {"tls_cert": str(tmp_path / "cert.pem")}

    assert ids(settings, **files, tls_key=str(tmp_path / "key.pem")) == []
    assert ids(settings, **files, tls_key=str(tmp_path / "other.pem")) == ["mirrorsite.E005"]


def test_the_station_of_the_tests_is_on_loopback() -> None:
    assert settings.STATION.http_host == "127.0.0.1"
