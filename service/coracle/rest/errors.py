"""How exceptions become answers.

Every error answers ``{"error_code": <status>, "message": <text>}``, as Kafka Connect's
``ConnectExceptionMapper`` does. Texts are Kafka Connect's wherever a client could match on them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus

import orjson
from fastapi import Response

from coracle.api import ConfigError, ConfigErrors, ConnectError
from coracle.store import AlreadyExistsError, ConflictError, NotFoundError

logger = logging.getLogger(__name__)

_VALIDATE_HINT = (
    "You can also find the above list of errors at the endpoint "
    "`/connector-plugins/{connectorType}/config/validate`"
)


class RestError(Exception):
    """An answer other than success, decided by an endpoint itself.

    Args:
        status: the HTTP status.
        message: the text of the answer.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@contextmanager
def missing(message: str) -> Iterator[None]:
    """Give an unknown connector the 404 text of this endpoint: Kafka Connect has several."""
    try:
        yield
    except NotFoundError:
        raise RestError(404, message) from None


def error_response(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """The JSON answer for an error."""
    body = orjson.dumps({"error_code": status, "message": message})
    return Response(body, status, headers, media_type="application/json")


def http_text(status: int) -> str:
    """Kafka Connect's text for errors of HTTP itself: ``HTTP 404 Not Found``."""
    return f"HTTP {status} {HTTPStatus(status).phrase}"


def answer_error(error: Exception) -> Response:
    """The answer for whatever an endpoint raised; the unexpected is logged with its stack."""
    match error:
        case RestError():
            return error_response(error.status, error.message)
        case NotFoundError():
            return error_response(404, str(error))
        case AlreadyExistsError() | ConflictError():
            return error_response(409, str(error))
        case ConfigErrors():
            return error_response(400, _config_text(error))
        case ConfigError():
            return error_response(400, str(error))
        case TimeoutError():
            return error_response(
                500, "Request timed out. The worker did not finish in time; look at its log."
            )
        case ConnectError():
            return error_response(500, str(error))
        case _:
            logger.error("A request failed unexpectedly", exc_info=error)
            return error_response(500, f"{type(error).__name__}: {error}")


def _config_text(errors: ConfigErrors) -> str:
    found = errors.errors
    if len(found) == 1 and found[0].field == "connector.class":
        # Without a class there is nothing to validate against: Kafka Connect names the cause alone.
        return str(found[0])
    return "\n".join(
        (
            f"Connector configuration is invalid and contains the following {len(found)} error(s):",
            *map(str, found),
            _VALIDATE_HINT,
        )
    )
