"""Key stores in JKS, the format that was Java's own before PKCS12.

It is read here because no maintained library does: pyjks needs ``twofish``, which does not build on
current Pythons (https://github.com/kurtbrose/pyjks/issues/74). The layout is that of
``sun.security.provider.JavaKeyStore`` and ``KeyProtector`` in OpenJDK: entries behind a magic
number, the whole closed by a SHA-1 digest keyed with the store's password; a private key is XORed
with a chain of SHA-1 digests of its password. That is what the format is, not what anyone would
choose: ``keytool -importkeystore -deststoretype PKCS12`` converts a store.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ssl
import struct
from collections.abc import Iterator
from dataclasses import dataclass

_MAGIC = b"\xfe\xed\xfe\xed"
_KEY, _CERTIFICATE = 1, 2
_DIGEST = hashlib.sha1(usedforsecurity=False).digest_size
# KeyProtector's algorithm, 1.3.6.1.4.1.42.2.17.1.1, in DER.
_PROTECTION = bytes.fromhex("060a2b060104012a02110101")


@dataclass(frozen=True)
class _Entry:
    """One alias: a certificate, or a protected key with its chain."""

    protected: bytes | None
    chain: list[bytes]


def is_jks(content: bytes) -> bool:
    """Whether a file starts as a JKS store does."""
    return content.startswith(_MAGIC)


def certificates(content: bytes, password: str | None) -> list[bytes]:
    """Every certificate that Java would trust, in DER: those of trust entries, and our own.

    Raises:
        ValueError: when the password is wrong or the file is damaged. Without a password the file
            is not checked, as in Java.
    """
    return [entry.chain[0] for entry in _entries(content, password) if entry.chain]


def private_key(content: bytes, password: str, key_password: str) -> bytes:
    """The first private key and its certificates, in PEM.

    Raises:
        ValueError: when a password is wrong, the file is damaged or holds no private key.
    """
    for entry in _entries(content, password):
        if entry.protected is not None:
            key = base64.encodebytes(_unprotected(entry.protected, key_password)).decode()
            pem = f"-----BEGIN PRIVATE KEY-----\n{key}-----END PRIVATE KEY-----\n"
            return (pem + "".join(map(ssl.DER_cert_to_PEM_cert, entry.chain))).encode()
    raise ValueError("it holds no private key")


def _entries(content: bytes, password: str | None) -> list[_Entry]:
    body, digest = content[:-_DIGEST], content[-_DIGEST:]
    if password:
        whitened = _wide(password) + b"Mighty Aphrodite" + body
        if not hmac.compare_digest(hashlib.sha1(whitened, usedforsecurity=False).digest(), digest):
            raise ValueError("the password is wrong or the file is damaged")
    try:
        return list(_parsed(body))
    except struct.error:
        raise ValueError("the file is damaged") from None


def _parsed(body: bytes) -> Iterator[_Entry]:
    position = len(_MAGIC)

    def number(layout: str) -> int:
        nonlocal position
        (value,) = struct.unpack_from(layout, body, position)
        position += struct.calcsize(layout)
        return value

    def data(length: int) -> bytes:
        nonlocal position
        position += length
        if position > len(body):
            raise ValueError("the file is damaged")
        return body[position - length : position]

    version, count = number(">I"), number(">I")

    def certificate() -> bytes:
        if version == 2:
            data(number(">H"))  # its type, X.509
        return data(number(">I"))

    for _ in range(count):
        tag = number(">I")
        data(number(">H"))  # alias
        number(">Q")  # when it was made
        if tag == _KEY:
            protected = data(number(">I"))
            yield _Entry(protected, [certificate() for _ in range(number(">I"))])
        elif tag == _CERTIFICATE:
            yield _Entry(None, [certificate()])
        else:
            raise ValueError("the file is damaged")


def _unprotected(protected: bytes, password: str) -> bytes:
    """The key, from an EncryptedPrivateKeyInfo: algorithm, then salt, key and check in one."""
    if _PROTECTION not in protected[:32]:
        raise ValueError("the private key is protected in an unknown way")
    _, rest = _der(_der(protected)[0])
    secret = _der(rest)[0]
    salt, masked, check = secret[:_DIGEST], secret[_DIGEST:-_DIGEST], secret[-_DIGEST:]
    wide, block, stream = _wide(password), salt, b""
    while len(stream) < len(masked):
        block = hashlib.sha1(wide + block, usedforsecurity=False).digest()
        stream += block
    plain = bytes(a ^ b for a, b in zip(masked, stream, strict=False))
    expected = hashlib.sha1(wide + plain, usedforsecurity=False).digest()
    if not hmac.compare_digest(expected, check):
        raise ValueError("ssl.key.password is not the password of the private key")
    return plain


def _der(content: bytes) -> tuple[bytes, bytes]:
    """Content of the first DER element, and what follows it."""
    length, start = content[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(content[2:start], "big")
    return content[start : start + length], content[start + length :]


def _wide(password: str) -> bytes:
    return password.encode("utf-16-be")
