"""An ``SSLContext`` that trusts, shows and allows what ``ssl.*`` says.

Two of Python's habits differ from Java's and are set aside. Python 3.13 checks certificates more
strictly than Java does (``VERIFY_X509_STRICT``), which refuses many a home-made authority. And Java
trusts whatever stands in a trust store, be it an intermediate or the broker's own certificate,
where OpenSSL looks for a root (``VERIFY_X509_PARTIAL_CHAIN``).
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping

from coracle.api import ConfigError
from coracle.api.config import invalid
from coracle.kafka.security.setting import setting
from coracle.kafka.security.stores import key_store, show_certificate, trust_store

_VERSIONS = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}
# Current JVMs know these names and refuse to speak them: jdk.tls.disabledAlgorithms.
_RETIRED = ("TLSv1", "TLSv1.1")
_TLS13_SUITE = re.compile(r"TLS_(AES|CHACHA20)_")


def tls_context(props: Mapping[str, str], *, trust_system_too: bool = False) -> ssl.SSLContext:
    """The context for connections to brokers.

    Args:
        props: Java client properties.
        trust_system_too: trust the system's authorities besides those of the trust store. They are
            trusted in any case when there is no trust store.

    Raises:
        ConfigError: when a store cannot be read or a value is not supported.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    trusted = trust_store(props)
    if trusted is not None:
        try:
            context.load_verify_locations(cadata=trusted)
        except ssl.SSLError as error:
            raise ConfigError(
                f"The trust store holds something that is no certificate ({error.reason}).",
                field="ssl.truststore.location",
            ) from None
    if trusted is None or trust_system_too:
        context.load_default_certs()
    _set_host_check(context, props)
    _set_versions(context, props)
    _set_suites(context, props)
    shown = key_store(props)
    if shown is not None:
        show_certificate(context, shown)
    return context


def _set_host_check(context: ssl.SSLContext, props: Mapping[str, str]) -> None:
    key = "ssl.endpoint.identification.algorithm"
    algorithm = setting(props, key)
    if algorithm is not None and algorithm.lower() not in ("", "https"):
        raise invalid(key, algorithm, "https, or empty to accept any host name")
    context.check_hostname = algorithm != ""


def _set_versions(context: ssl.SSLContext, props: Mapping[str, str]) -> None:
    enabled = _listed(setting(props, "ssl.enabled.protocols")) or list(_VERSIONS)
    for name in enabled:
        if name not in _VERSIONS and name not in _RETIRED:
            raise invalid("ssl.enabled.protocols", name, "TLSv1.2 or TLSv1.3")
    highest = setting(props, "ssl.protocol") or "TLSv1.3"
    if highest not in ("TLS", *_VERSIONS):
        raise invalid("ssl.protocol", highest, "TLSv1.2 or TLSv1.3")
    usable = [v for name, v in _VERSIONS.items() if name in enabled]
    if highest in _VERSIONS:
        usable = [version for version in usable if version <= _VERSIONS[highest]]
    if not usable:
        raise ConfigError(
            f"ssl.protocol={highest} and ssl.enabled.protocols={','.join(enabled)} leave no "
            "version of TLS to speak.",
            field="ssl.enabled.protocols",
            fix="Allow TLSv1.2 or TLSv1.3.",
        )
    context.minimum_version, context.maximum_version = min(usable), max(usable)


def _set_suites(context: ssl.SSLContext, props: Mapping[str, str]) -> None:
    """Allow these suites only. Python cannot choose among those of TLS 1.3: all or none."""
    key = "ssl.cipher.suites"
    suites = _listed(setting(props, key))
    if not suites:
        return
    modern = {suite for suite in suites if _TLS13_SUITE.match(suite)}
    older = [suite for suite in suites if suite not in modern]
    offered = {c["name"] for c in context.get_ciphers() if c["protocol"] == "TLSv1.3"}
    if modern - offered:
        raise invalid(key, ",".join(sorted(modern - offered)), "suites that OpenSSL has")
    if modern and modern != offered and context.maximum_version != ssl.TLSVersion.TLSv1_2:
        raise ConfigError(
            f"{key} names some suites of TLS 1.3, and Python's ssl module can only allow all of "
            f"them ({', '.join(sorted(offered))}) or none.",
            field=key,
            fix="Name all of them, or none and ssl.enabled.protocols=TLSv1.2.",
        )
    for suite in older:
        try:
            context.set_ciphers(_openssl_name(suite))
        except ssl.SSLError:
            raise invalid(key, suite, "a suite that OpenSSL has") from None
    if older:
        context.set_ciphers(":".join(map(_openssl_name, older)))
    try:
        _limit_to(context, modern=bool(modern), older=bool(older))
    except ValueError:
        raise ConfigError(
            f"{key} has no suite for the versions that ssl.enabled.protocols allows.", field=key
        ) from None


def _limit_to(context: ssl.SSLContext, *, modern: bool, older: bool) -> None:
    """Leave out the version of TLS that has no suite.

    Raises:
        ValueError: when none is left.
    """
    if not older:
        context.minimum_version = ssl.TLSVersion.TLSv1_3
    if not modern:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    if context.minimum_version > context.maximum_version:
        raise ValueError


def _openssl_name(suite: str) -> str:
    """OpenSSL's name of a suite up to TLS 1.2: ``openssl-ciphers(1)`` lists both side by side."""
    exchange, _, cipher = suite.removeprefix("TLS_").partition("_WITH_")
    if not cipher:
        return suite
    cipher = re.sub(r"^(AES|CAMELLIA|ARIA)_(\d+)_", r"\1\2_", cipher)
    cipher = cipher.replace("_CBC_", "_").removesuffix("_SHA256" if "POLY1305" in cipher else "\0")
    name = cipher if exchange == "RSA" else f"{exchange}_{cipher}"
    return name.replace("_", "-")


def _listed(text: str | None) -> list[str]:
    return [item.strip() for item in (text or "").split(",") if item.strip()]
