# ruff: noqa: SLF001 - asyncua's connection has no public names for what is needed here
"""A message in one chunk, framed and read with as few steps as it takes (Part 6, 6.7.2).

asyncua builds half a dozen objects for every chunk, which is most of what a small publish costs.
Here the ordinary case alone is done: one whole message, the present token, the number that is due.
Everything else, and everything that is wrong, is left to asyncua, which judges it as ever. The
cryptography is that of asyncua's security policy in both cases.
"""

from __future__ import annotations

from struct import Struct
from typing import Any, Final

from asyncua.crypto import uacrypto
from asyncua.crypto.security_policies import CryptographyNone

#: What headers, padding and signature take of a chunk, at most.
OVERHEAD: Final = 1024
_HEADER: Final = Struct("<4sIII")
_NUMBERS: Final = Struct("<II")
_WHOLE_HEADER: Final = Struct("<4sIIIII")
_MESSAGE: Final = b"MSGF"
#: asyncua's own, which is not that of `cryptography`.
_InvalidSignature: Final = uacrypto.InvalidSignature  # type: ignore[attr-defined]
_LARGEST_NUMBER: Final = 0xFFFF_FFFF


def frame(connection: Any, body: bytes, request_id: int) -> bytes:
    """The message as the bytes to send; its sequence number counts as used."""
    number = connection._sequence_number + 1
    if len(body) > connection._limits.max_send_buffer - OVERHEAD or number > _LARGEST_NUMBER:
        message: bytes = connection.message_to_binary(body, request_id=request_id)
        return message
    connection._sequence_number = number
    crypto, token = connection.security_policy.symmetric_cryptography, connection.security_token
    if type(crypto) is CryptographyNone:
        size = _WHOLE_HEADER.size + len(body)
        head = _WHOLE_HEADER.pack(
            _MESSAGE, size, token.ChannelId, token.TokenId, number, request_id
        )
        return head + body
    plain = _NUMBERS.pack(number, request_id) + body
    plain += crypto.padding(len(plain))
    blocks = (len(plain) + crypto.signature_size()) // crypto.plain_block_size()
    size = _HEADER.size + blocks * crypto.encrypted_block_size()
    header = _HEADER.pack(_MESSAGE, size, token.ChannelId, token.TokenId)
    encrypted: bytes = crypto.encrypt(plain + crypto.signature(header + plain))
    return header + encrypted


def unframe(connection: Any, chunk: bytes) -> tuple[int, bytes] | None:
    """Request id and body of a message in one chunk; None if it is anything out of the ordinary.

    Then nothing has changed, and asyncua has to read the chunk.
    """
    kind, _, channel_id, token_id = _HEADER.unpack_from(chunk)
    token = connection.security_token
    if (
        kind != _MESSAGE
        or token_id != token.TokenId
        or channel_id != token.ChannelId
        or connection._incoming_parts
        or connection._peer_sequence_number is None
    ):
        return None
    crypto = connection.security_policy.symmetric_cryptography
    if type(crypto) is CryptographyNone:
        plain, start = chunk, _HEADER.size
    else:
        decrypted, start = _decrypted(crypto, chunk), 0
        if decrypted is None:
            return None
        plain = decrypted
    if len(plain) < start + _NUMBERS.size:
        return None
    number, request_id = _NUMBERS.unpack_from(plain, start)
    if number != connection._peer_sequence_number + 1:
        return None
    connection._peer_sequence_number = number
    return request_id, plain[start + _NUMBERS.size :]


def _decrypted(crypto: Any, chunk: bytes) -> bytes | None:
    """What stands behind the header, verified; None if it was signed with another key."""
    crypto.use_prev_key = False
    plain: bytes = crypto.decrypt(chunk[_HEADER.size :])
    size = crypto.vsignature_size()
    if size:
        plain, signature = plain[:-size], plain[-size:]
        try:
            crypto.verify(chunk[: _HEADER.size] + plain, signature)
        except _InvalidSignature:
            return None
    unpadded: bytes = crypto.remove_padding(plain)
    return unpadded
