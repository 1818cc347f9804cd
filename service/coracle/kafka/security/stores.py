"""Trust stores and key stores: PEM in a file or in the property itself, PKCS12, and JKS.

What may stand together follows Kafka's ``DefaultSslEngineFactory`` (KIP-651): PEM has a key
password and no store password; the other types have a store password. As in Java since 9
(``keystore.type.compat``), a file of type JKS may hold PKCS12 and the other way round: the file's
first bytes decide.

OpenSSL reads a private key only from a file. A key that is not in a PEM file of its own already is
handed over in one that lives in memory (``memfd_create(2)``), so it touches no disk and needs no
writable one; where the system has none, in a temporary file that only we may read and that is
deleted before this module returns.
"""

from __future__ import annotations

import contextlib
import os
import ssl
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from glob import glob
from pathlib import Path
from typing import TypeVar

from coracle.api import ConfigError, Password
from coracle.api.config import invalid, missing
from coracle.kafka.security import jks
from coracle.kafka.security.setting import setting

T = TypeVar("T")

_TYPES = ("JKS", "PKCS12", "PEM")


@dataclass(frozen=True)
class Shown:
    """What we show to the broker.

    Attributes:
        pem: private key and certificate chain.
        password: of the private key, or ``None`` when it is not encrypted.
        where: the property they come from.
    """

    pem: bytes = field(repr=False)
    password: Password | None
    where: str


def trust_store(props: Mapping[str, str]) -> str | bytes | None:
    """The certificates to trust, as PEM text or DER bytes; ``None`` when no store is named.

    Raises:
        ConfigError: when the store cannot be read or holds no certificate.
    """
    kind = _type(props, "ssl.truststore.type")
    location = setting(props, "ssl.truststore.location")
    inline = setting(props, "ssl.truststore.certificates")
    password = setting(props, "ssl.truststore.password")
    if inline:
        _needs_pem(kind, "ssl.truststore.certificates", "ssl.truststore.type")
        _not_both(props, "ssl.truststore.certificates", "ssl.truststore.location")
        _not_both(props, "ssl.truststore.certificates", "ssl.truststore.password")
        return _checked(inline, "ssl.truststore.certificates")
    if not location:
        if password:
            raise missing("ssl.truststore.location")
        return None
    if kind == "PEM":
        if password:
            raise _no_store_password("ssl.truststore.password")
        text = b"\n".join(
            _read(file, "ssl.truststore.location") for file in _pem_files(location)
        ).decode("ascii", "replace")
        return _checked(text, "ssl.truststore.location", location)
    content = _read(location, "ssl.truststore.location")
    read = jks.certificates if jks.is_jks(content) else _pkcs12_certificates
    certificates = _opened(lambda: read(content, password), "ssl.truststore.location", location)
    if not certificates:
        raise ConfigError(
            f"ssl.truststore.location {location} holds no trusted certificate.",
            field="ssl.truststore.location",
        )
    return b"".join(certificates)


def key_store(props: Mapping[str, str]) -> Shown | None:
    """Our private key and certificates; ``None`` when no store is named.

    Raises:
        ConfigError: when the store cannot be read, or settings contradict each other.
    """
    kind = _type(props, "ssl.keystore.type")
    location = setting(props, "ssl.keystore.location")
    password = setting(props, "ssl.keystore.password")
    key, chain = (
        setting(props, "ssl.keystore.key"),
        setting(props, "ssl.keystore.certificate.chain"),
    )
    key_password = setting(props, "ssl.key.password")
    secret = None if key_password is None else Password(key_password)
    if key or chain:
        if not key:
            raise missing("ssl.keystore.key")
        if not chain:
            raise missing("ssl.keystore.certificate.chain")
        _needs_pem(kind, "ssl.keystore.key", "ssl.keystore.type")
        _not_both(props, "ssl.keystore.key", "ssl.keystore.location")
        _not_both(props, "ssl.keystore.key", "ssl.keystore.password")
        pem = f"{_lines(key)}\n{_lines(chain)}\n".encode()
        return Shown(pem, secret, "ssl.keystore.key and ssl.keystore.certificate.chain")
    if not location:
        if password:
            raise missing("ssl.keystore.location")
        return None
    content = _read(location, "ssl.keystore.location")
    where = f"ssl.keystore.location {location}"
    if kind == "PEM":
        if password:
            raise _no_store_password("ssl.keystore.password")
        return Shown(content, secret, where)
    if not password:
        raise missing("ssl.keystore.password")

    def read() -> bytes:
        if jks.is_jks(content):
            return jks.private_key(content, password, key_password or password)
        return _pkcs12_key(content, password)

    return Shown(_opened(read, "ssl.keystore.location", location), None, where)


def show_certificate(context: ssl.SSLContext, shown: Shown) -> None:
    """Make a context show a certificate.

    Raises:
        ConfigError: when key and certificates do not belong together or the password is wrong.
    """
    # Without a password OpenSSL would ask for one on the terminal, and wait.
    password = shown.password.reveal if shown.password is not None else ""
    try:
        with _as_file(shown.pem) as path:
            context.load_cert_chain(path, password=lambda: password)
    except (ssl.SSLError, OSError, ValueError) as error:
        # OpenSSL's own words say little here, and Python's may be those of the empty password.
        raise ConfigError(
            f"{shown.where}: the private key and its certificates cannot be used "
            f"({getattr(error, 'reason', None) or type(error).__name__}).",
            field="ssl.keystore.location",
            fix="The key comes first, then its own certificate, then those that signed it; an "
            "encrypted key needs the right ssl.key.password.",
        ) from None


@contextlib.contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """A path that holds the content for as long as the context lasts; only we may read it."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("pem", os.MFD_CLOEXEC)
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            yield f"/proc/self/fd/{descriptor}"
        return
    with tempfile.NamedTemporaryFile() as file:  # made with mode 0600
        file.write(content)
        file.flush()
        yield file.name


def _type(props: Mapping[str, str], key: str) -> str:
    kind = setting(props, key) or "JKS"
    if kind.upper() not in _TYPES:
        raise invalid(key, kind, "one of " + ", ".join(_TYPES))
    return kind.upper()


def _pem_files(location: str) -> list[str]:
    """The files that a location names: Coracle's operator writes several, and patterns (``*``).

    In Kafka a location is one file; a file of that very name is therefore what is meant.
    """
    if Path(location).exists() or not ("*" in location or "," in location):
        return [location]
    files: list[str] = []
    for each in location.split(","):
        found = sorted(glob(each)) if "*" in each else [each]
        if not found:
            raise ConfigError(
                f"ssl.truststore.location {each} matches no file.",
                field="ssl.truststore.location",
                fix="The Secret must exist and have such a key; it is read as soon as it does.",
            )
        files += found
    return files


def _read(location: str, key: str) -> bytes:
    try:
        return Path(location).read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{key} {location} cannot be read: {error.strerror}.",
            field=key,
            fix="The file must exist where this process runs.",
        ) from None


def _lines(pem: str) -> str:
    """PEM with its line breaks: in a property they are often blanks, which Java takes too."""
    label, end = pem.find("-----BEGIN"), "-----"
    if "\n" in pem or label < 0:
        return pem
    parts = pem.replace(f"{end} ", f"{end}\n").replace(f" {end}", f"\n{end}").split("\n")
    return "\n".join(part if end in part else part.replace(" ", "\n") for part in parts)


def _checked(pem: str, key: str, location: str = "") -> str:
    pem = _lines(pem)
    try:
        probe = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        probe.load_verify_locations(cadata=pem)
        found = bool(probe.get_ca_certs()) or "-----BEGIN CERTIFICATE-----" in pem
    except (ssl.SSLError, ValueError):
        found = False
    if not found:
        raise ConfigError(
            f"{key}{location and f' {location}'} holds no certificate in PEM.",
            field=key,
            fix="It starts with -----BEGIN CERTIFICATE-----.",
        )
    return pem


def _needs_pem(kind: str, key: str, type_key: str) -> None:
    if kind != "PEM":
        raise ConfigError(
            f"{key} is PEM, but {type_key} is {kind}.", field=type_key, fix=f"Set {type_key}=PEM."
        )


def _not_both(props: Mapping[str, str], key: str, other: str) -> None:
    if setting(props, other):
        raise ConfigError(f"{key} and {other} are both set.", field=other, fix=f"Remove {other}.")


def _no_store_password(key: str) -> ConfigError:
    return ConfigError(
        f"{key} is set, but a PEM store has no password.",
        field=key,
        fix=f"Remove {key}; an encrypted private key has its own, ssl.key.password.",
    )


def _opened(read: Callable[[], T], key: str, location: str) -> T:
    """What a reader of stores returns, its errors in words that name the property."""
    try:
        return read()
    except ValueError as error:
        raise ConfigError(
            f"{key} {location} cannot be opened: {error}.",
            field=key,
            fix=f"Check {key.replace('location', 'password')}, and with keytool -list what the "
            "file is; the stores that can be read are PEM, PKCS12 and JKS.",
        ) from None


def _pkcs12_certificates(content: bytes, password: str | None) -> list[bytes]:
    # Imported when needed: the library takes 9 MB of memory.
    from cryptography.hazmat.primitives.serialization import Encoding, pkcs12

    store = pkcs12.load_pkcs12(content, _encoded(password))
    found = [*([store.cert] if store.cert else []), *store.additional_certs]
    return [one.certificate.public_bytes(Encoding.DER) for one in found]


def _pkcs12_key(content: bytes, password: str) -> bytes:
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        pkcs12,
    )

    store = pkcs12.load_pkcs12(content, _encoded(password))
    if store.key is None or store.cert is None:
        raise ValueError("it holds no private key with a certificate")
    key = store.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    chain = [store.cert, *store.additional_certs]
    return key + b"".join(one.certificate.public_bytes(Encoding.PEM) for one in chain)


def _encoded(password: str | None) -> bytes | None:
    return None if password is None else password.encode()
