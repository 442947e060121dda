"""The station's own certificate and its trust list, as files (`docs/security.md`).

``own/{cert.der,key.pem}`` is made at first need. ``trusted/<thumbprint>.der`` is a server's
certificate that an administrator approved; ``rejected/<thumbprint>.der`` one that was met and
refused, with ``<thumbprint>.json`` beside it: which server showed it, why it was refused, when,
and who proposed to trust it. The thumbprint is the SHA-1 of the DER in upper-case hex.

Files need neither database nor web, so a pipe host can check a server when both are gone. Several
processes use them at once: every file appears complete, by a rename.
"""

from __future__ import annotations

import fcntl
import hashlib
import ipaddress
import json
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

THUMBPRINT: Final = re.compile(r"[0-9A-F]{40}")
VALID_FOR: Final = timedelta(days=5 * 365)
#: A server that shows a new certificate at every attempt must not fill the disk.
MAX_REJECTED: Final = 100


class PkiError(ValueError):
    """A certificate or a thumbprint that cannot be used; the text says which and why."""


@dataclass(frozen=True, slots=True)
class CertificateInfo:
    thumbprint: str
    subject: str
    application_uri: str
    host_names: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    key_bits: int


@dataclass(frozen=True, slots=True)
class Rejected:
    certificate: CertificateInfo
    server: str
    reason: str
    at: str
    proposed_by: str


@dataclass(frozen=True, slots=True)
class OwnCertificate:
    """The station's application certificate (Part 6, 6.2.2) and its private key."""

    der: bytes
    key: rsa.RSAPrivateKey
    application_uri: str

    @property
    def certificate(self) -> x509.Certificate:
        return x509.load_der_x509_certificate(self.der)


def thumbprint_of(der: bytes) -> str:
    """SHA-1 of the DER, as OPC UA names certificates (Part 4, 7.11); no security rests on it."""
    return hashlib.sha1(der, usedforsecurity=False).hexdigest().upper()


def describe(der: bytes) -> CertificateInfo:
    """
    Raises:
        PkiError: these bytes are no X.509 certificate.
    """
    try:
        certificate = x509.load_der_x509_certificate(der)
        names = _alternative_names(certificate)
        key = certificate.public_key()
        return CertificateInfo(
            thumbprint=thumbprint_of(der),
            subject=certificate.subject.rfc4514_string(),
            application_uri=next(iter(names[0]), ""),
            host_names=tuple(names[1]),
            not_before=certificate.not_valid_before_utc,
            not_after=certificate.not_valid_after_utc,
            key_bits=key.key_size if isinstance(key, rsa.RSAPublicKey) else 0,
        )
    except (ValueError, TypeError, x509.DuplicateExtension) as error:
        raise PkiError(f"the certificate cannot be read: {error}") from error


def _alternative_names(certificate: x509.Certificate) -> tuple[list[str], list[str]]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return [], []
    names = extension.value
    addresses = [str(address) for address in names.get_values_for_type(x509.IPAddress)]
    return (
        names.get_values_for_type(x509.UniformResourceIdentifier),
        names.get_values_for_type(x509.DNSName) + addresses,
    )


class Pki:
    """The folder ``<data dir>/pki``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    # --- own certificate ---

    def own(self, application_uri: str, hosts: Sequence[str] = ()) -> OwnCertificate:
        """The station's own certificate; made now if there is none or its URI differs.

        ``hosts`` are the names and addresses that go into a new one besides this machine's name.

        Raises:
            PkiError: the files are there but cannot be used; remove them to get new ones.
            OSError: the folder cannot be read or written.
        """
        found = self._load_own()
        if found is not None and found.application_uri == application_uri:
            return found
        with self._locked():
            found = self._load_own()
            if found is None or found.application_uri != application_uri:
                found = _make_own(application_uri, hosts)
                self._store_own(found)
        return found

    def renew(self, application_uri: str, hosts: Sequence[str] = ()) -> OwnCertificate:
        """Replace the own certificate and key by new ones; servers must trust it anew."""
        with self._locked():
            fresh = _make_own(application_uri, hosts)
            self._store_own(fresh)
        return fresh

    def _load_own(self) -> OwnCertificate | None:
        folder = self.folder / "own"
        try:
            der = (folder / "cert.der").read_bytes()
            pem = (folder / "key.pem").read_bytes()
        except FileNotFoundError:
            return None
        try:
            key = serialization.load_pem_private_key(pem, None)
        except (ValueError, TypeError) as error:
            raise PkiError(f"{folder / 'key.pem'} is no private key: {error}") from error
        info = describe(der)
        public = x509.load_der_x509_certificate(der).public_key()
        if not isinstance(key, rsa.RSAPrivateKey) or key.public_key() != public:
            raise PkiError(
                f"{folder / 'key.pem'} does not belong to cert.der beside it;"
                " remove both to get a new pair"
            )
        return OwnCertificate(der, key, info.application_uri)

    def _store_own(self, own: OwnCertificate) -> None:
        folder = self.folder / "own"
        pem = own.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        (folder / "cert.der").unlink(missing_ok=True)  # a key without certificate counts as none
        _write(folder / "key.pem", pem)
        _write(folder / "cert.der", own.der)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._make_folders()
        with (self.folder / ".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    # --- trust list ---

    def is_trusted(self, der: bytes) -> bool:
        """Whether exactly this certificate is in the trust list; a file of another content that
        has its name does not count.
        """
        try:
            return self._file("trusted", thumbprint_of(der)).read_bytes() == der
        except OSError:
            return False

    def trust(self, thumbprint: str) -> CertificateInfo:
        """Move a rejected certificate to the trust list.

        Raises:
            PkiError: no such certificate was ever met.
        """
        thumbprint = _checked(thumbprint)
        trusted, rejected = self._file("trusted", thumbprint), self._file("rejected", thumbprint)
        if not trusted.is_file():
            der = self._read(rejected, thumbprint)
            describe(der)
            self._make_folders()
            _write(trusted, der)
        rejected.unlink(missing_ok=True)
        rejected.with_suffix(".json").unlink(missing_ok=True)
        return describe(self._read(trusted, thumbprint))

    def add_trusted(self, der: bytes) -> CertificateInfo:
        """Trust a certificate that came another way than by meeting its server."""
        info = describe(der)
        self._make_folders()
        _write(self._file("trusted", info.thumbprint), der)
        return info

    def distrust(self, thumbprint: str, server: str, reason: str) -> CertificateInfo:
        """Take a certificate from the trust list; it is kept as rejected.

        Raises:
            PkiError: it is neither trusted nor rejected.
        """
        thumbprint = _checked(thumbprint)
        trusted = self._file("trusted", thumbprint)
        source = trusted if trusted.is_file() else self._file("rejected", thumbprint)
        info = self.reject(self._read(source, thumbprint), server, reason)
        trusted.unlink(missing_ok=True)
        return info

    def reject(self, der: bytes, server: str, reason: str) -> CertificateInfo:
        """Keep a refused certificate for an administrator to look at; who proposed it stays.

        Raises:
            PkiError: these bytes are no certificate; nothing was kept.
        """
        info = describe(der)
        self._make_folders()
        known = self._note(info.thumbprint)
        if (known.get("server"), known.get("reason")) == (server, reason):
            return info
        proposed_by = known.get("proposed_by", "")
        self._drop_oldest()
        _write(self._file("rejected", info.thumbprint), der)
        self._write_note(info.thumbprint, server, reason, proposed_by)
        return info

    def propose(self, thumbprint: str, by: str) -> None:
        """Note that ``by`` asks an administrator to trust this rejected certificate.

        Raises:
            PkiError: it is not among the rejected ones.
        """
        thumbprint = _checked(thumbprint)
        self._read(self._file("rejected", thumbprint), thumbprint)
        known = self._note(thumbprint)
        self._write_note(thumbprint, known.get("server", ""), known.get("reason", ""), by)

    def trusted(self) -> list[CertificateInfo]:
        return [info for info, _ in self._all("trusted")]

    def rejected(self) -> list[Rejected]:
        """What was refused, newest first."""
        entries = []
        for info, _ in self._all("rejected"):
            note = self._note(info.thumbprint)
            entries.append(
                Rejected(
                    info,
                    note.get("server", ""),
                    note.get("reason", ""),
                    note.get("at", ""),
                    note.get("proposed_by", ""),
                )
            )
        return sorted(entries, key=lambda entry: entry.at, reverse=True)

    def certificate(self, thumbprint: str) -> bytes:
        """The DER of a trusted or rejected certificate.

        Raises:
            PkiError: there is none of this thumbprint.
        """
        thumbprint = _checked(thumbprint)
        trusted = self._file("trusted", thumbprint)
        return self._read(
            trusted if trusted.is_file() else self._file("rejected", thumbprint), thumbprint
        )

    # --- files ---

    def _file(self, folder: str, thumbprint: str) -> Path:
        return self.folder / folder / f"{thumbprint}.der"

    def _read(self, path: Path, thumbprint: str) -> bytes:
        try:
            return path.read_bytes()
        except FileNotFoundError as error:
            raise PkiError(f"no certificate with thumbprint {thumbprint} was met") from error

    def _note(self, thumbprint: str) -> Mapping[str, str]:
        path = self._file("rejected", thumbprint).with_suffix(".json")
        try:
            note = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return note if isinstance(note, dict) else {}

    def _write_note(self, thumbprint: str, server: str, reason: str, proposed_by: str) -> None:
        note = {
            "server": server,
            "reason": reason,
            "at": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "proposed_by": proposed_by,
        }
        path = self._file("rejected", thumbprint).with_suffix(".json")
        _write(path, json.dumps(note).encode())

    def _all(self, folder: str) -> Iterator[tuple[CertificateInfo, Path]]:
        for path in sorted((self.folder / folder).glob("*.der")):
            try:
                yield describe(path.read_bytes()), path
            except (PkiError, OSError):
                continue  # a file that is no certificate trusts nobody

    def _drop_oldest(self) -> None:
        """Keep room for one more; what somebody proposed to trust is never dropped."""
        entries = [entry for entry in self.rejected() if not entry.proposed_by]
        for entry in entries[MAX_REJECTED - 1 :]:
            path = self._file("rejected", entry.certificate.thumbprint)
            path.unlink(missing_ok=True)
            path.with_suffix(".json").unlink(missing_ok=True)

    def _make_folders(self) -> None:
        for name in ("own", "trusted", "rejected"):
            (self.folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)


def _checked(thumbprint: str) -> str:
    text = thumbprint.replace(":", "").replace(" ", "").upper()
    if not THUMBPRINT.fullmatch(text):
        raise PkiError(f"{thumbprint!r} is no thumbprint; it takes 40 hexadecimal digits")
    return text


def _write(path: Path, content: bytes) -> None:
    """Private from its first byte, and never half there for another process."""
    fresh = path.with_name(f".{path.name}.{_writer_id()}")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600, exist_ok=False)
    fresh.write_bytes(content)
    fresh.replace(path)


def _writer_id() -> str:
    return x509.random_serial_number().to_bytes(20, "big").hex()[:16]


def _make_own(application_uri: str, hosts: Sequence[str]) -> OwnCertificate:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    names = list(dict.fromkeys([socket.gethostname(), *hosts]))
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, application_uri[:64]),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Mirrorsite"),
        ]
    )
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + VALID_FOR)
    )
    alternatives: list[x509.GeneralName] = [x509.UniformResourceIdentifier(application_uri)]
    alternatives += [_general_name(name) for name in names if name]
    key_usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=True,
        key_encipherment=True,
        data_encipherment=True,
        key_agreement=False,
        key_cert_sign=True,  # self-signed: Part 6, table 36
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    extended = x509.ExtendedKeyUsage(
        [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    )
    key_id = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(key_usage, critical=True)
        .add_extension(extended, critical=False)
        .add_extension(key_id, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(key_id), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    der = certificate.public_bytes(serialization.Encoding.DER)
    return OwnCertificate(der, key, application_uri)


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
