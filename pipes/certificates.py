"""Trust between this station and its servers, as REST deals with it.

The trust list itself are files (`pipes.pki`). Here stands what goes with a decision: who may, what
is reported, and that the pipe hosts try again at once. Beside a trusted certificate a note keeps
which server showed it and who trusted it; no security rests on the note.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.serialization import Encoding
from django.conf import settings

from pipes import live, store
from pipes.core.problems import FieldError
from pipes.pki import CertificateInfo, OwnCertificate, Pki, PkiError, Rejected, describe
from pipes.refusals import Invalid, NotFound
from redundancy.core.events import EventKind, Severity
from redundancy.signals import emit

DISTRUSTED: Final = "an administrator took the trust back"


class TrustCode(StrEnum):
    """Reasons of the events about certificates."""

    CERTIFICATE_PROPOSED = "CERTIFICATE_PROPOSED"
    CERTIFICATE_TRUSTED = "CERTIFICATE_TRUSTED"
    CERTIFICATE_REJECTED = "CERTIFICATE_REJECTED"
    CERTIFICATE_RENEWED = "CERTIFICATE_RENEWED"


def pki() -> Pki:
    return Pki(settings.STATION.data_dir / "pki")


def application_uri() -> str:
    return f"urn:mirrorsite:{settings.STATION.name}"


def own() -> OwnCertificate:
    """The station's own certificate, made if there is none yet."""
    return pki().own(application_uri(), _own_hosts())


def renew_own(*, by: str) -> OwnCertificate:
    """A new certificate and key; every server that checks certificates must trust it anew."""
    fresh = pki().renew(application_uri(), _own_hosts())
    text = "The station's own certificate was renewed; servers must trust it anew"
    _report(TrustCode.CERTIFICATE_RENEWED, text, describe(fresh.der).thumbprint, by=by)
    live.poke(store.newest_number())
    return fresh


def overview() -> dict[str, Any]:
    """Own, trusted and rejected certificates with their expiry."""
    mine = own()
    certificate = mine.certificate
    return {
        "own": _info(describe(mine.der))
        | {"pem": certificate.public_bytes(Encoding.PEM).decode("ascii")},
        "trusted": [_trusted(info) for info in pki().trusted()],
        "rejected": [_rejected(entry) for entry in pki().rejected()],
    }


def of_server(server: str) -> dict[str, Any]:
    """The certificate that ``server`` showed last: a refused one first, since it needs somebody.

    Raises:
        NotFound: none was met yet.
    """
    for entry in pki().rejected():
        if entry.server.casefold() == server.casefold():
            return _rejected(entry)
    for info in pki().trusted():
        if _note(info.thumbprint).get("server", "").casefold() == server.casefold():
            return _trusted(info)
    raise NotFound("certificate", f"of {server} yet: the station has not met one")


def propose(server: str, thumbprint: str, *, by: str) -> dict[str, Any]:
    """Ask the admins to trust what ``server`` showed.

    Raises:
        Invalid: it is not a certificate that was refused.
    """
    try:
        pki().propose(thumbprint, by)
    except PkiError as error:
        raise _wrong(thumbprint, error) from error
    text = f"{by} proposes to trust the certificate of {server}"
    _report(TrustCode.CERTIFICATE_PROPOSED, text, thumbprint, by=by, server=server)
    return of_thumbprint(thumbprint)


def trust(server: str, thumbprint: str, *, by: str) -> dict[str, Any]:
    """Trust what ``server`` showed, and let the hosts connect now.

    Raises:
        Invalid: no such certificate was met.
    """
    try:
        info = pki().trust(thumbprint)
    except PkiError as error:
        raise _wrong(thumbprint, error) from error
    _keep_note(info.thumbprint, server, by)
    text = f"The certificate of {server} is trusted now"
    _report(TrustCode.CERTIFICATE_TRUSTED, text, info.thumbprint, by=by, server=server)
    live.poke(store.newest_number())
    return _trusted(info)


def reject(server: str, thumbprint: str, *, by: str) -> dict[str, Any]:
    """Take a certificate from the trust list; the hosts look again and end its sessions.

    Raises:
        Invalid: no such certificate was met.
    """
    try:
        info = pki().distrust(thumbprint, server, DISTRUSTED)
    except PkiError as error:
        raise _wrong(thumbprint, error) from error
    _note_file(info.thumbprint).unlink(missing_ok=True)
    text = f"The certificate of {server} is not trusted any more"
    _report(TrustCode.CERTIFICATE_REJECTED, text, info.thumbprint, by=by, server=server)
    live.poke(store.newest_number())
    return of_thumbprint(info.thumbprint)


def of_thumbprint(thumbprint: str) -> dict[str, Any]:
    """
    Raises:
        NotFound: no such certificate was met.
    """
    wanted = thumbprint.replace(":", "").replace(" ", "").upper()
    for entry in pki().rejected():
        if entry.certificate.thumbprint == wanted:
            return _rejected(entry)
    for info in pki().trusted():
        if info.thumbprint == wanted:
            return _trusted(info)
    raise NotFound("certificate", thumbprint)


def _info(info: CertificateInfo) -> dict[str, Any]:
    return {
        "thumbprint": info.thumbprint,
        "subject": info.subject,
        "application_uri": info.application_uri,
        "not_before": info.not_before,
        "not_after": info.not_after,
        "days_left": (info.not_after - datetime.now(UTC)).days,
    }


def _trusted(info: CertificateInfo) -> dict[str, Any]:
    note = _note(info.thumbprint)
    return _info(info) | {
        "trusted": True,
        "server": note.get("server", ""),
        "proposed_by": note.get("proposed_by", ""),
        "reason": "",
    }


def _rejected(entry: Rejected) -> dict[str, Any]:
    return _info(entry.certificate) | {
        "trusted": False,
        "server": entry.server,
        "proposed_by": entry.proposed_by,
        "reason": entry.reason,
    }


def _note_file(thumbprint: str) -> Path:
    return pki().folder / "trusted" / f"{thumbprint}.json"


def _note(thumbprint: str) -> dict[str, str]:
    try:
        note = json.loads(_note_file(thumbprint).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def _keep_note(thumbprint: str, server: str, by: str) -> None:
    file = _note_file(thumbprint)
    draft = file.with_suffix(".json.new")
    draft.write_text(json.dumps({"server": server, "trusted_by": by}), encoding="utf-8")
    draft.replace(file)


def _own_hosts() -> list[str]:
    return [settings.STATION.http_host]


def _wrong(thumbprint: str, error: PkiError) -> Invalid:
    return Invalid([FieldError("thumbprint", f"cannot be used: {error}", thumbprint[:100])])


def _report(code: TrustCode, message: str, thumbprint: str, *, by: str, server: str = "") -> None:
    emit(
        EventKind.SECURITY,
        code,
        Severity.LOW,
        server or "certificates",
        message,
        user=by,
        thumbprint=thumbprint,
    )
