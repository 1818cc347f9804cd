"""The worker settings of a KafkaConnect: the file that Kafka Connect's workers would be started
with.

TLS and login become settings of Kafka's clients whose secret parts are references, so that nothing
secret stands in a ConfigMap; certificates are PEM text (KIP-651).
"""

from __future__ import annotations

from dataclasses import dataclass

from coracle.api import ConfigError
from coracle.kube.model import Authentication, KafkaConnect, Tls
from coracle.kube.model.connector import strings
from coracle.kube.references import MOUNTS, Kind
from coracle.kube.reserved import TLS_OPTIONS, is_reserved

# A worker's own settings are not its tasks' clients': each kind of client has a prefix.
_CLIENTS = ("", "producer.", "consumer.", "admin.")

_MODULES = {
    "plain": ("PLAIN", "org.apache.kafka.common.security.plain.PlainLoginModule"),
    "scram-sha-256": ("SCRAM-SHA-256", "org.apache.kafka.common.security.scram.ScramLoginModule"),
    "scram-sha-512": ("SCRAM-SHA-512", "org.apache.kafka.common.security.scram.ScramLoginModule"),
}


@dataclass(frozen=True)
class Worker:
    """What a KafkaConnect says to its pods.

    Attributes:
        properties: worker settings, references unresolved.
        whole_secrets: Secrets of which every key is mounted, because a pattern chooses.
        warnings: what was asked for and has no effect.
    """

    properties: dict[str, str]
    whole_secrets: tuple[str, ...]
    warnings: tuple[str, ...]


def worker(connect: KafkaConnect) -> Worker:
    """The worker settings of a KafkaConnect.

    Raises:
        ConfigErrors: with each setting that is no text, number or boolean.
    """
    spec = connect.spec
    properties: dict[str, str] = {}
    warnings: list[str] = []
    for key, text in strings(spec.config).items():
        if is_reserved(key):
            warnings.append(f"spec.config {key} is ignored: a field of spec says it.")
        else:
            properties[key] = text
    properties["bootstrap.servers"] = spec.bootstrap_servers
    properties["group.id"] = spec.group_id or "coracle"
    properties["offset.storage.topic"] = spec.offset_storage_topic or "connect-offsets"
    security, whole = _security(spec.tls, spec.authentication, warnings)
    tls = {key: text for key, text in properties.items() if key in TLS_OPTIONS}
    for prefix in _CLIENTS:
        properties |= {prefix + key: text for key, text in (tls | security).items()}
    return Worker(properties, whole, tuple(warnings))


def _security(
    tls: Tls | None, login: Authentication | None, warnings: list[str]
) -> tuple[dict[str, str], tuple[str, ...]]:
    settings, whole = _trust(tls) if tls else ({}, ())
    sasl = False
    match login and login.type:
        case None:
            pass
        case "tls":
            assert login
            shown = login.certificate_and_key
            if shown is None:
                raise ConfigError(
                    "spec.authentication of type tls has no certificateAndKey.",
                    field="spec.authentication.certificateAndKey",
                    code="missing",
                )
            settings["ssl.keystore.type"] = "PEM"
            settings["ssl.keystore.certificate.chain"] = _secret(
                shown.secret_name, shown.certificate
            )
            settings["ssl.keystore.key"] = _secret(shown.secret_name, shown.key)
            if tls is None:
                warnings.append("spec.authentication of type tls has no effect without spec.tls.")
        case "custom":
            assert login
            sasl = bool(login.sasl)
            for key, text in strings(login.config or {}).items():
                if key.startswith(("sasl.", "ssl.keystore.")):
                    settings[key] = text
                else:
                    warnings.append(
                        f"spec.authentication.config {key} is ignored: only sasl. and "
                        "ssl.keystore. settings belong there."
                    )
        case kind:
            assert login
            sasl = True
            settings |= _password_login(kind, login)
    if sasl or tls:
        settings["security.protocol"] = ("SASL_" if sasl else "") + ("SSL" if tls else "PLAINTEXT")
    return settings, whole


def _password_login(kind: str, login: Authentication) -> dict[str, str]:
    if not login.username or not login.password_secret:
        raise ConfigError(
            f"spec.authentication of type {kind} needs username and passwordSecret.",
            field="spec.authentication",
            code="missing",
        )
    mechanism, module = _MODULES[kind]
    username = login.username.replace("\\", "\\\\").replace('"', '\\"')
    password = _secret(login.password_secret.secret_name, login.password_secret.password)
    return {
        "sasl.mechanism": mechanism,
        "sasl.jaas.config": f'{module} required username="{username}" password="{password}";',
    }


def _trust(tls: Tls) -> tuple[dict[str, str], tuple[str, ...]]:
    """Whom to trust: references to PEM text, or paths when a pattern chooses among files."""
    sources = tls.trusted_certificates
    if not sources:
        return {}, ()
    settings = {"ssl.truststore.type": "PEM"}
    whole = tuple(sorted({source.secret_name for source in sources}))
    if any(source.pattern for source in sources):
        settings["ssl.truststore.location"] = ",".join(
            str(
                MOUNTS
                / Kind.SECRET
                / source.secret_name
                / (source.certificate or source.pattern or "")
            )
            for source in sources
        )
        return settings, whole
    settings["ssl.truststore.certificates"] = "\n".join(
        _secret(source.secret_name, source.certificate or "") for source in sources
    )
    return settings, ()


def _secret(name: str, key: str) -> str:
    return f"${{secrets:{name}:{key}}}"
