"""The trust list: files that appear complete, and nothing that is trusted by accident."""

from __future__ import annotations

import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from pipes import pki as pki_module
from pipes.pki import Pki, PkiError, describe, thumbprint_of

URI = "urn:mirrorsite:TEST"


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return Pki(tmp_path / "pki")


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return Pki(tmp_path_factory.mktemp("foreign")).own("urn:foreign", ["10.0.0.5"]).der


def test_own_certificate_is_made_once_and_says_who_it_is(pki: Pki) -> None:
    own = pki.own(URI, ["plant.example", "10.0.0.9"])
    info = describe(own.der)

    assert pki.own(URI).der == own.der
    assert info.application_uri == URI
    assert {"plant.example", "10.0.0.9"} <= set(info.host_names)
    assert info.key_bits == 2048
    assert timedelta(days=1820) < info.not_after - datetime.now(UTC) < timedelta(days=1830)
    assert own.certificate.signature_hash_algorithm is not None
    assert own.certificate.signature_hash_algorithm.name == "sha256"


def test_own_key_is_for_this_user_alone(pki: Pki) -> None:
    pki.own(URI)

    assert stat.S_IMODE((pki.folder / "own" / "key.pem").stat().st_mode) == 0o600
    assert stat.S_IMODE((pki.folder / "own").stat().st_mode) == 0o700


def test_another_application_uri_makes_another_certificate(pki: Pki) -> None:
    assert pki.own(URI).der != pki.own("urn:mirrorsite:OTHER").der


def test_renewal_replaces_certificate_and_key(pki: Pki) -> None:
    before = pki.own(URI)
    after = pki.renew(URI)

    assert before.der != after.der
    assert pki.own(URI).der == after.der


def test_many_hosts_at_once_agree_on_one_certificate(pki: Pki) -> None:
    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(pki.own(URI).der)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 4
    assert len(set(found)) == 1


def test_a_key_of_another_certificate_is_named_with_the_remedy(pki: Pki, tmp_path: Path) -> None:
    pki.own(URI)
    other = Pki(tmp_path / "other")
    other.own(URI)
    (pki.folder / "own" / "key.pem").write_bytes((other.folder / "own" / "key.pem").read_bytes())

    with pytest.raises(PkiError, match="remove both"):
        pki.own(URI)


def test_a_damaged_key_is_named(pki: Pki) -> None:
    pki.own(URI)
    (pki.folder / "own" / "key.pem").write_text("nonsense")

    with pytest.raises(PkiError, match=r"key\.pem"):
        pki.own(URI)


def test_an_unknown_certificate_is_kept_and_not_trusted(pki: Pki, foreign: bytes) -> None:
    info = pki.reject(foreign, "PLC1", "it is not in the trust list")
    [entry] = pki.rejected()

    assert not pki.is_trusted(foreign)
    assert (entry.server, entry.reason, entry.proposed_by) == (
        "PLC1",
        "it is not in the trust list",
        "",
    )
    assert entry.at.endswith("Z")
    assert entry.certificate.thumbprint == info.thumbprint == thumbprint_of(foreign)
    assert pki.certificate(info.thumbprint) == foreign


def test_trusting_takes_it_from_the_rejected_ones(pki: Pki, foreign: bytes) -> None:
    thumbprint = pki.reject(foreign, "PLC1", "new").thumbprint
    colons = ":".join(thumbprint[at : at + 2] for at in range(0, 40, 2)).lower()

    assert pki.trust(colons).thumbprint == thumbprint
    assert pki.trust(thumbprint).thumbprint == thumbprint
    assert pki.is_trusted(foreign)
    assert pki.rejected() == []
    assert [info.thumbprint for info in pki.trusted()] == [thumbprint]


def test_distrust_keeps_the_certificate_as_rejected(pki: Pki, foreign: bytes) -> None:
    thumbprint = pki.add_trusted(foreign).thumbprint
    pki.distrust(thumbprint, "PLC1", "the key was lost")

    assert not pki.is_trusted(foreign)
    assert [entry.reason for entry in pki.rejected()] == ["the key was lost"]
    with pytest.raises(PkiError):
        pki.distrust("0" * 40, "PLC1", "never met")


def test_a_proposal_survives_further_refusals(pki: Pki, foreign: bytes) -> None:
    thumbprint = pki.reject(foreign, "PLC1", "new").thumbprint
    pki.propose(thumbprint, "erika")
    pki.reject(foreign, "PLC1", "expired")

    [entry] = pki.rejected()
    assert (entry.proposed_by, entry.reason) == ("erika", "expired")


def test_a_repeated_refusal_writes_nothing(pki: Pki, foreign: bytes) -> None:
    thumbprint = pki.reject(foreign, "PLC1", "new").thumbprint
    note = pki.folder / "rejected" / f"{thumbprint}.json"
    before = note.stat().st_mtime_ns, note.stat().st_ino
    pki.reject(foreign, "PLC1", "new")

    assert (note.stat().st_mtime_ns, note.stat().st_ino) == before


@pytest.mark.parametrize("text", ["", "xyz", "../../etc/passwd", "0" * 39, "0" * 41])
def test_what_is_no_thumbprint_is_refused(pki: Pki, text: str) -> None:
    for action in (pki.trust, pki.certificate, lambda given: pki.propose(given, "x")):
        with pytest.raises(PkiError, match="thumbprint"):
            action(text)


def test_an_unmet_thumbprint_cannot_be_trusted(pki: Pki) -> None:
    with pytest.raises(PkiError, match="no certificate with thumbprint"):
        pki.trust("AB" * 20)


def test_a_file_with_the_right_name_and_other_bytes_trusts_nobody(pki: Pki, foreign: bytes) -> None:
    thumbprint = pki.add_trusted(foreign).thumbprint
    (pki.folder / "trusted" / f"{thumbprint}.der").write_bytes(b"something else")

    assert not pki.is_trusted(foreign)
    assert pki.trusted() == []


def test_bytes_that_are_no_certificate_are_refused(pki: Pki) -> None:
    with pytest.raises(PkiError, match="cannot be read"):
        pki.reject(b"\x30\x03abc", "PLC1", "new")
    with pytest.raises(PkiError):
        pki.add_trusted(b"")
    assert not pki.is_trusted(b"\x30\x03abc")


def test_rejected_certificates_are_bounded(
    pki: Pki, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(pki_module, "MAX_REJECTED", 3)
    ders = [Pki(tmp_path / f"p{number}").own(f"urn:s{number}").der for number in range(5)]
    proposed = pki.reject(ders[0], "S0", "new").thumbprint
    pki.propose(proposed, "erika")
    for number, der in enumerate(ders[1:], 1):
        pki.reject(der, f"S{number}", "new")

    kept = {entry.server for entry in pki.rejected()}
    assert "S0" in kept
    assert "S4" in kept
    assert len(kept) == 4


def test_a_damaged_note_does_not_hide_the_certificate(pki: Pki, foreign: bytes) -> None:
    thumbprint = pki.reject(foreign, "PLC1", "new").thumbprint
    (pki.folder / "rejected" / f"{thumbprint}.json").write_text("{")

    [entry] = pki.rejected()
    assert entry.server == ""


def test_own_certificate_can_be_read_by_anybody_who_knows_x509(pki: Pki) -> None:
    certificate = x509.load_der_x509_certificate(pki.own(URI).der)
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value

    assert usage.digital_signature
    assert usage.content_commitment
    assert usage.key_encipherment
    assert usage.data_encipherment
