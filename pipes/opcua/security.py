"""Which endpoint, whose certificate, which login: decided before anything secret is sent.

Rules, all fail-closed: exactly the configured policy and mode or nothing; a server certificate is
used only if the trust list has exactly it; no password leaves on a token that is not encrypted;
policies that are deprecated have no name here, so they cannot be chosen.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

from asyncua import ua
from asyncua.crypto import security_policies
from cryptography import x509

from pipes.core.choices import Auth, SecurityMode, SecurityPolicy
from pipes.core.status_codes import code_of
from pipes.core.wanted import Server
from pipes.opcua.errors import ConnectFailed, FailureKind
from pipes.pki import CertificateInfo, OwnCertificate, Pki, PkiError, describe

LEAST_KEY_BITS: Final = 2048

_POLICIES: Final[dict[SecurityPolicy, type[security_policies.SecurityPolicy]]] = {
    SecurityPolicy.NONE: security_policies.SecurityPolicyNone,
    SecurityPolicy.BASIC256SHA256: security_policies.SecurityPolicyBasic256Sha256,
    SecurityPolicy.AES128_SHA256_RSAOAEP: security_policies.SecurityPolicyAes128Sha256RsaOaep,
    SecurityPolicy.AES256_SHA256_RSAPSS: security_policies.SecurityPolicyAes256Sha256RsaPss,
}
_MODES: Final = {
    SecurityMode.NONE: ua.MessageSecurityMode.None_,
    SecurityMode.SIGN: ua.MessageSecurityMode.Sign,
    SecurityMode.SIGN_AND_ENCRYPT: ua.MessageSecurityMode.SignAndEncrypt,
}
_MODE_NAMES: Final = {mode: name for name, mode in _MODES.items()}
_TOKENS: Final = {
    Auth.ANONYMOUS: ua.UserTokenType.Anonymous,
    Auth.USERNAME: ua.UserTokenType.UserName,
    Auth.CERTIFICATE: ua.UserTokenType.Certificate,
}
_TOKEN_NAMES: Final = {token: auth.value for auth, token in _TOKENS.items()}

LOGIN_REFUSED: Final = frozenset(
    code_of(name)
    for name in (
        "BadIdentityTokenRejected",
        "BadIdentityTokenInvalid",
        "BadUserAccessDenied",
        "BadUserSignatureInvalid",
    )
)
SECURITY_REFUSED: Final = frozenset(
    code_of(name)
    for name in (
        "BadSecurityChecksFailed",
        "BadSecurityPolicyRejected",
        "BadSecurityModeRejected",
        "BadSecurityModeInsufficient",
        "BadApplicationSignatureInvalid",
        "BadNonceInvalid",
        "BadCertificateInvalid",
        "BadCertificateUntrusted",
        "BadCertificateTimeInvalid",
        "BadCertificateIssuerTimeInvalid",
        "BadCertificateUriInvalid",
        "BadCertificateHostNameInvalid",
        "BadCertificateUseNotAllowed",
        "BadCertificateRevoked",
        "BadCertificateChainIncomplete",
        "BadCertificatePolicyCheckFailed",
    )
)


def policy_uri(policy: SecurityPolicy) -> str:
    return _POLICIES[policy].URI


def policy_name(uri: str | None) -> str:
    """The product's name of a policy; for those that it does not use the end of the URI."""
    for policy, implementation in _POLICIES.items():
        if uri == implementation.URI:
            return policy.value
    return (uri or "").rpartition("#")[2] or "None"


def mode_of(mode: SecurityMode) -> ua.MessageSecurityMode:
    return _MODES[mode]


def leading_certificate(der: bytes | None) -> bytes:
    """The first certificate of a chain (Part 6, 6.2.6); the bytes as they are if in doubt."""
    if not der or len(der) < 4 or der[0] != 0x30:
        return der or b""
    size = der[1]
    if size < 0x80:
        return der[: 2 + size]
    digits = size & 0x7F
    return der[: 2 + digits + int.from_bytes(der[2 : 2 + digits])]


def describe_endpoint(endpoint: ua.EndpointDescription) -> dict[str, Any]:
    """An endpoint as the contract's discovery answer has it."""
    der = leading_certificate(endpoint.ServerCertificate)
    try:
        thumbprint = describe(der).thumbprint if der else None
    except PkiError:
        thumbprint = None
    mode = _MODE_NAMES.get(endpoint.SecurityMode)
    tokens = [
        _TOKEN_NAMES[token.TokenType]
        for token in endpoint.UserIdentityTokens or []
        if token.TokenType in _TOKEN_NAMES
    ]
    return {
        "endpoint": endpoint.EndpointUrl or "",
        "security_policy": policy_name(endpoint.SecurityPolicyUri),
        "security_mode": mode.value if mode else "Invalid",
        "auth": list(dict.fromkeys(tokens)),
        "thumbprint": thumbprint,
    }


def _offers(endpoints: Iterable[ua.EndpointDescription]) -> str:
    texts = []
    for endpoint in endpoints:
        shown = describe_endpoint(endpoint)
        text = f"{shown['security_policy']}/{shown['security_mode']}"
        texts.append("None" if text == "None/None" else text)
    return ", ".join(sorted(set(texts))) or "nothing"


def select_endpoint(
    endpoints: Iterable[ua.EndpointDescription], server: Server
) -> ua.EndpointDescription:
    """The endpoint of exactly the configured policy and mode; its URL is never followed.

    Raises:
        ConnectFailed: the server has none, or none that takes the configured login.
    """
    found = [endpoint for endpoint in endpoints if _is_binary(endpoint)]
    matching = [
        endpoint
        for endpoint in found
        if endpoint.SecurityPolicyUri == policy_uri(server.security_policy)
        and endpoint.SecurityMode == _MODES[server.security_mode]
    ]
    if not matching:
        wanted = f"{server.security_policy.value}/{server.security_mode.value}"
        raise ConnectFailed(
            FailureKind.SECURITY,
            f"{server.name} does not offer {wanted}; it offers {_offers(found)}."
            " Change security_policy and security_mode of the server, or its own settings",
        )
    token = _TOKENS[server.auth]
    for endpoint in matching:
        if any(policy.TokenType == token for policy in endpoint.UserIdentityTokens or []):
            return endpoint
    offered = describe_endpoint(matching[0])["auth"]
    raise ConnectFailed(
        FailureKind.REJECTED_LOGIN,
        f"{server.name} does not take a login of kind {server.auth.value} on this endpoint;"
        f" it takes {', '.join(offered) or 'none'}",
    )


def _is_binary(endpoint: ua.EndpointDescription) -> bool:
    return (endpoint.EndpointUrl or "").startswith("opc.tcp://")


# --- certificates ---


def check_server_certificate(
    der: bytes, server: Server, pki: Pki, application_uri: str, now: datetime | None = None
) -> CertificateInfo:
    """Check a server's certificate before its key is used for anything.

    ``application_uri`` is what the endpoint says of itself; the certificate must say the same.

    Raises:
        ConnectFailed: unknown (then it is kept among the rejected ones), expired, not yet valid,
            of another application, or too weak.
    """
    try:
        info = describe(der)
    except PkiError as error:
        raise ConnectFailed(FailureKind.REJECTED_CERTIFICATE, f"{server.name}: {error}") from error
    problems = _problems(info, application_uri, now or datetime.now(UTC))
    if not pki.is_trusted(der):
        reason = "; ".join(["it is not in the trust list", *problems])
        kept = _keep(pki, der, server, reason)
        raise ConnectFailed(
            FailureKind.REJECTED_CERTIFICATE,
            f"the certificate of {server.name} is refused: {reason}. Thumbprint"
            f" {info.thumbprint}: {kept}",
        )
    if problems:
        raise ConnectFailed(
            FailureKind.REJECTED_CERTIFICATE,
            f"the certificate of {server.name}, thumbprint {info.thumbprint}, is trusted but"
            f" refused: {'; '.join(problems)}. Give the server a new certificate",
        )
    return info


def _keep(pki: Pki, der: bytes, server: Server, reason: str) -> str:
    """Keep the certificate for an administrator; what to do then, or why it was not kept."""
    try:
        pki.reject(der, server.name, reason)
    except OSError as error:
        return f"it could not be kept for an administrator to trust: {error}"
    return "compare it with the server's own and let an administrator trust it"


def _problems(info: CertificateInfo, application_uri: str, now: datetime) -> list[str]:
    problems = []
    if now > info.not_after:
        problems.append(f"it expired at {info.not_after:%Y-%m-%d %H:%M} UTC")
    if now < info.not_before:
        problems.append(
            f"it is not valid before {info.not_before:%Y-%m-%d %H:%M} UTC (is a clock wrong?)"
        )
    if application_uri and info.application_uri != application_uri:
        problems.append(
            f"it is of the application {info.application_uri or '(none)'}, the server says it is"
            f" {application_uri}"
        )
    if info.key_bits < LEAST_KEY_BITS:
        problems.append(f"its key has {info.key_bits} bits of RSA, {LEAST_KEY_BITS} are the least")
    return problems


def no_security() -> Any:
    make: Any = security_policies.SecurityPolicyNone
    return make()


def make_policy(server: Server, own: OwnCertificate, server_der: bytes) -> Any:
    """The object of asyncua for the configured policy, bound to this server's certificate."""
    if server.security_policy is SecurityPolicy.NONE:
        return no_security()
    make: Any = _POLICIES[server.security_policy]
    peer = x509.load_der_x509_certificate(server_der)
    return make(peer, own.certificate, own.key, _MODES[server.security_mode])


# --- login ---


def check_login(server: Server, token_policy_uri: str | None, endpoint_policy_uri: str) -> None:
    """Refuse to send a password in clear, or under a deprecated policy (S28).

    A token's own policy counts; without one that of the channel does (Part 4, 7.41).

    Raises:
        ConnectFailed: the password would not be encrypted well enough; it was not sent.
    """
    if server.auth is Auth.ANONYMOUS:
        return
    effective = policy_name(token_policy_uri or endpoint_policy_uri)
    allowed = {policy.value for policy in SecurityPolicy}
    if effective not in allowed:
        raise ConnectFailed(
            FailureKind.SECURITY,
            f"{server.name} wants the login under the deprecated policy {effective};"
            " choose another endpoint or change the server",
        )
    if effective != SecurityPolicy.NONE:
        return
    if server.auth is Auth.USERNAME and server.security_mode is SecurityMode.SIGN_AND_ENCRYPT:
        return  # the channel encrypts what the token does not
    raise ConnectFailed(
        FailureKind.SECURITY,
        f"{server.name} would get the login unencrypted, so it was not sent;"
        " choose a security policy other than None",
    )
