"""TLS and SASL to the broker, from Java client properties.

Names and meanings are those of https://kafka.apache.org/documentation/#security, so the
``producer.override.``, ``consumer.override.`` and ``admin.override.`` settings of a Kafka Connect
configuration work as they are.

setting.py     one property as plain text, secret or not
tls.py         an ``SSLContext`` from ``ssl.*``
stores.py      trust and key stores: PEM, PKCS12
jks.py         key stores in Java's own old format
jaas.py        ``sasl.jaas.config``
sasl.py        aiokafka's arguments from ``sasl.*``
oauth.py       where OAUTHBEARER tokens come from
token.py       a token that is fetched, kept and renewed
connection.py  connections that say why they were refused, and keep secrets out of logs
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from coracle.api import ConfigError
from coracle.api.config import invalid
from coracle.kafka.security.sasl import sasl_arguments
from coracle.kafka.security.setting import setting
from coracle.kafka.security.tls import tls_context

SECURITY_PREFIXES = ("security.", "sasl.", "ssl.")

logger = logging.getLogger(__name__)

_PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")

# What only a JVM can load. These change who is trusted or who we are, so they are not passed over.
_JAVA_ONLY = {
    "ssl.engine.factory.class": "Name the stores in ssl.truststore.* and ssl.keystore.* instead.",
    "ssl.provider": "Remove it: TLS is OpenSSL's here.",
    "security.providers": "Remove it: there are no Java security providers here.",
    "sasl.login.class": "Remove it, or use a mechanism that needs no class of your own.",
}

_HEEDED = frozenset(
    {
        "sasl.client.callback.handler.class",
        "sasl.jaas.config",
        "sasl.kerberos.service.name",
        "sasl.login.callback.handler.class",
        "sasl.login.read.timeout.ms",
        "sasl.login.refresh.window.factor",
        "sasl.login.retry.backoff.max.ms",
        "sasl.login.retry.backoff.ms",
        "sasl.mechanism",
        "sasl.oauthbearer.client.credentials.client.id",
        "sasl.oauthbearer.client.credentials.client.secret",
        "sasl.oauthbearer.header.urlencode",
        "sasl.oauthbearer.jwt.retriever.class",
        "sasl.oauthbearer.scope",
        "sasl.oauthbearer.token.endpoint.url",
        "security.protocol",
        "ssl.cipher.suites",
        "ssl.enabled.protocols",
        "ssl.endpoint.identification.algorithm",
        "ssl.key.password",
        "ssl.keystore.certificate.chain",
        "ssl.keystore.key",
        "ssl.keystore.location",
        "ssl.keystore.password",
        "ssl.keystore.type",
        "ssl.protocol",
        "ssl.truststore.certificates",
        "ssl.truststore.location",
        "ssl.truststore.password",
        "ssl.truststore.type",
    }
).union(_JAVA_ONLY)


def security_arguments(props: Mapping[str, str]) -> dict[str, Any]:
    """The security arguments shared by all aiokafka clients.

    Files named in the properties are read here, once.

    Args:
        props: Java client properties; those that do not concern security are passed over.

    Raises:
        ConfigError: when a protocol, mechanism or store is not supported, or a credential is
            missing. It never shows a secret.
    """
    protocol = (setting(props, "security.protocol") or "PLAINTEXT").upper()
    if protocol not in _PROTOCOLS:
        raise invalid("security.protocol", protocol, "one of " + ", ".join(_PROTOCOLS))
    for key in props:
        if key.startswith(SECURITY_PREFIXES) and key not in _HEEDED:
            logger.warning("the setting %s has no effect here", key)
    if protocol != "PLAINTEXT":
        for key, fix in _JAVA_ONLY.items():
            if setting(props, key):
                raise ConfigError(
                    f"{key} names a Java class or provider, which cannot be loaded here.",
                    field=key,
                    fix=fix,
                )
    arguments: dict[str, Any] = {"security_protocol": protocol}
    if protocol.endswith("SSL"):
        arguments["ssl_context"] = tls_context(props)
    if protocol.startswith("SASL"):
        arguments |= sasl_arguments(props)
    return arguments
