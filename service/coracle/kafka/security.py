"""TLS and SASL to the broker, from Java client properties.

Names and meanings: https://kafka.apache.org/documentation/#security.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from typing import Any

from coracle.api import ConfigError

SECURITY_PREFIXES = ("security.", "sasl.", "ssl.")

_JAAS_OPTION = re.compile(
    r'([\w.\-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|\'((?:[^\'\\]|\\.)*)\'|([^\s;"\']+))'
)


def security_arguments(props: Mapping[str, str]) -> dict[str, Any]:
    """The security arguments shared by all aiokafka clients.

    Raises:
        ConfigError: when a protocol, mechanism or store is not supported, or a credential is
            missing.
    """
    protocol = str(props.get("security.protocol", "PLAINTEXT")).upper()
    if protocol not in ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"):
        raise ConfigError(
            f"Invalid value {protocol} for configuration security.protocol: must be one of "
            "PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL.",
            field="security.protocol",
        )
    arguments: dict[str, Any] = {"security_protocol": protocol}
    if protocol.endswith("SSL"):
        arguments["ssl_context"] = _ssl_context(props)
    if protocol.startswith("SASL"):
        arguments |= _sasl_arguments(props)
    return arguments


def _ssl_context(props: Mapping[str, str]) -> ssl.SSLContext:
    context = ssl.create_default_context()
    location = props.get("ssl.truststore.location")
    certificates = props.get("ssl.truststore.certificates")
    if certificates:
        context = ssl.create_default_context(cadata=str(certificates))
    elif location:
        context = ssl.create_default_context(cafile=location)
    if props.get("ssl.endpoint.identification.algorithm", "https") == "":
        context.check_hostname = False
    keystore = props.get("ssl.keystore.location")
    if keystore:
        context.load_cert_chain(keystore, password=props.get("ssl.key.password"))
    return context


def _sasl_arguments(props: Mapping[str, str]) -> dict[str, Any]:
    mechanism = str(props.get("sasl.mechanism", "GSSAPI")).upper()
    options = jaas_options(str(props.get("sasl.jaas.config", "")))
    arguments: dict[str, Any] = {"sasl_mechanism": mechanism}
    if mechanism in ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"):
        if "username" not in options or "password" not in options:
            raise ConfigError(
                "sasl.jaas.config needs username and password.",
                field="sasl.jaas.config",
                code="missing",
            )
        arguments["sasl_plain_username"] = options["username"]
        arguments["sasl_plain_password"] = options["password"]
    return arguments


def jaas_options(text: str) -> dict[str, str]:
    """The options of a JAAS line: ``module required name="value" …;``."""
    found: dict[str, str] = {}
    for name, double, single, bare in _JAAS_OPTION.findall(text):
        value = double or single or bare
        found[name] = re.sub(r"\\(.)", r"\1", value)
    return found
