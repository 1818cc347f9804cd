"""aiokafka's arguments for SASL, from ``sasl.*``."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Mapping
from typing import Any

from coracle.api import ConfigError
from coracle.api.config import invalid, missing
from coracle.kafka.security.jaas import LoginModule, login_module
from coracle.kafka.security.oauth import token_provider
from coracle.kafka.security.setting import setting

logger = logging.getLogger(__name__)

_MODULES = {
    "PLAIN": "PlainLoginModule",
    "SCRAM-SHA-256": "ScramLoginModule",
    "SCRAM-SHA-512": "ScramLoginModule",
    "OAUTHBEARER": "OAuthBearerLoginModule",
    "GSSAPI": "Krb5LoginModule",
}


def sasl_arguments(props: Mapping[str, str]) -> dict[str, Any]:
    """The SASL arguments shared by all aiokafka clients.

    Raises:
        ConfigError: when a mechanism is not supported or its credentials are missing.
    """
    mechanism = setting(props, "sasl.mechanism") or "GSSAPI"
    if mechanism not in _MODULES:
        raise invalid("sasl.mechanism", mechanism, "one of " + ", ".join(_MODULES))
    text = setting(props, "sasl.jaas.config")
    if not text:
        raise missing("sasl.jaas.config")
    module = login_module(text)
    if module.simple_name != _MODULES[mechanism]:
        raise ConfigError(
            f"sasl.mechanism is {mechanism}, but sasl.jaas.config names {module.name}.",
            field="sasl.jaas.config",
            fix=f"The module of {mechanism} is {_MODULES[mechanism]}.",
        )
    arguments: dict[str, Any] = {"sasl_mechanism": mechanism}
    if mechanism == "OAUTHBEARER":
        return arguments | {"sasl_oauth_token_provider": token_provider(props, module)}
    if mechanism == "GSSAPI":
        return arguments | _kerberos(props, module)
    return arguments | _user(props, module)


def _user(props: Mapping[str, str], module: LoginModule) -> dict[str, Any]:
    _no_handler(props, "sasl.client.callback.handler.class")
    _no_handler(props, "sasl.login.callback.handler.class")
    for option in ("username", "password"):
        if option not in module.options:
            raise ConfigError(
                f"sasl.jaas.config has no {option}.",
                field="sasl.jaas.config",
                code="missing",
                fix=f'Add {option}="…" before the semicolon.',
            )
    if module.options.get("tokenauth", "").lower() == "true":
        raise ConfigError(
            "sasl.jaas.config asks for delegation tokens (tokenauth): they are not supported.",
            field="sasl.jaas.config",
            fix="Use the user's own name and password.",
        )
    return {
        "sasl_plain_username": module.options["username"],
        "sasl_plain_password": module.options["password"],
    }


def _kerberos(props: Mapping[str, str], module: LoginModule) -> dict[str, Any]:
    service = setting(props, "sasl.kerberos.service.name") or module.options.get("serviceName")
    if not service:
        raise missing("sasl.kerberos.service.name")
    if importlib.util.find_spec("gssapi") is None:
        raise ConfigError(
            "sasl.mechanism=GSSAPI needs the Python package gssapi, which is not installed.",
            field="sasl.mechanism",
            fix="Add gssapi to the image (it needs the Kerberos libraries of the system).",
        )
    if module.options.get("keyTab"):
        logger.warning(
            "keyTab and principal of sasl.jaas.config are not read: set KRB5_CLIENT_KTNAME"
        )
    return {"sasl_kerberos_service_name": service}


def _no_handler(props: Mapping[str, str], key: str) -> None:
    name = setting(props, key)
    if name:
        raise ConfigError(
            f"{key} names {name}, a Java class that cannot be loaded here.",
            field=key,
            fix="Remove it, and write username and password in sasl.jaas.config.",
        )
