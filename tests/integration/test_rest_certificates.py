"""Trust by REST: what a server showed, who proposes, who decides."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pipes.pki import Pki
from redundancy.signals import event_emitted
from tests.integration.rest_client import Rest, rest_as

pytestmark = pytest.mark.django_db(transaction=True)


def certificate(name: str = "PLC1") -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    uri = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"urn:{name}")])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=100))
        .add_extension(uri, critical=False)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.DER)
    )


@pytest.fixture
def pki(settings: Any, tmp_path: Path) -> Pki:
    settings.STATION = replace(settings.STATION, data_dir=tmp_path, run_dir=tmp_path)
    return Pki(tmp_path / "pki")


@pytest.fixture
def admin(pki: Pki) -> Rest:
    admin = rest_as("admin")
    made = admin.post("/servers", {"name": "PLC1", "endpoint": "opc.tcp://10.0.0.5:4840"})
    assert made.status_code == 201
    return admin


@pytest.fixture
def engineer() -> Rest:
    return rest_as("engineer")


@pytest.fixture
def events() -> Iterator[list[Any]]:
    seen: list[Any] = []

    def keep(event: Any, **_: Any) -> None:
        seen.append(event)

    event_emitted.connect(keep)
    yield seen
    event_emitted.disconnect(keep)


def test_a_server_that_was_never_met_has_no_certificate(admin: Rest) -> None:
    answer = admin.get("/servers/PLC1/certificate")

    assert answer.status_code == 404
    assert "PLC1" in answer.json()["detail"]


def test_c18_an_engineer_proposes_and_an_admin_trusts(
    admin: Rest, engineer: Rest, pki: Pki, events: list[Any]
) -> None:
    thumbprint = pki.reject(certificate(), "PLC1", "not in the trust list").thumbprint
    path = "/servers/plc1/certificate"

    met = engineer.get(path).json()
    proposed = engineer.post(path, {"action": "propose", "thumbprint": thumbprint})
    refused = engineer.post(path, {"action": "trust", "thumbprint": thumbprint})
    trusted = admin.post(path, {"action": "trust", "thumbprint": thumbprint.lower()})
    shown = admin.get(path).json()

    assert met["thumbprint"] == thumbprint
    assert met["trusted"] is False
    assert met["reason"] == "not in the trust list"
    assert met["application_uri"] == "urn:PLC1"
    assert proposed.json()["proposed_by"] == "test-engineer"
    assert refused.status_code == 403
    assert trusted.json()["trusted"] is True
    assert shown["thumbprint"] == thumbprint
    assert shown["trusted"] is True
    assert pki.is_trusted(pki.certificate(thumbprint))
    codes = [event.code for event in events if event.code.startswith("CERTIFICATE")]
    assert codes == ["CERTIFICATE_PROPOSED", "CERTIFICATE_TRUSTED"]
    assert events[-1].user == "test-admin"


def test_trust_can_be_taken_back(admin: Rest, pki: Pki) -> None:
    thumbprint = pki.reject(certificate(), "PLC1", "not in the trust list").thumbprint
    path = "/servers/PLC1/certificate"
    admin.post(path, {"action": "trust", "thumbprint": thumbprint})

    answer = admin.post(path, {"action": "reject", "thumbprint": thumbprint})

    assert answer.json()["trusted"] is False
    assert not pki.is_trusted(pki.certificate(thumbprint))
    assert admin.get("/certificates").json()["trusted"] == []


def test_a_new_certificate_of_a_trusted_server_is_shown_first(admin: Rest, pki: Pki) -> None:
    old = pki.reject(certificate(), "PLC1", "not in the trust list").thumbprint
    admin.post("/servers/PLC1/certificate", {"action": "trust", "thumbprint": old})
    new = pki.reject(certificate(), "PLC1", "not in the trust list").thumbprint

    assert admin.get("/servers/PLC1/certificate").json()["thumbprint"] == new


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"action": "bless", "thumbprint": "A" * 40}, "action"),
        ({"action": "trust"}, "thumbprint"),
        ({"action": "trust", "thumbprint": "../../../etc/passwd"}, "thumbprint"),
        ({"action": "trust", "thumbprint": "A" * 40}, "thumbprint"),
        ({"action": "propose", "thumbprint": "A" * 40}, "thumbprint"),
        ({"action": "reject", "thumbprint": "A" * 40}, "thumbprint"),
        ({"action": "trust", "thumbprint": "A" * 40, "force": True}, "force"),
    ],
)
def test_a_wrong_decision_is_refused_by_field(
    admin: Rest, body: dict[str, Any], field: str
) -> None:
    answer = admin.post("/servers/PLC1/certificate", body)

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == field


def test_the_own_certificate_can_be_downloaded_and_renewed(admin: Rest, settings: Any) -> None:
    before = admin.get("/certificates").json()["own"]
    der = admin.get("/certificates/own")

    renewed = admin.post("/certificates/own/renew").json()["own"]

    assert before["application_uri"] == f"urn:mirrorsite:{settings.STATION.name}"
    assert before["pem"].startswith("-----BEGIN CERTIFICATE-----")
    assert x509.load_der_x509_certificate(der.content).subject.rfc4514_string() == before["subject"]
    assert renewed["thumbprint"] != before["thumbprint"]
    assert renewed["days_left"] > 365


def test_no_private_key_is_answered(admin: Rest) -> None:
    everything = admin.get("/certificates").content + admin.get("/certificates/own").content

    assert b"PRIVATE" not in everything
