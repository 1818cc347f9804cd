"""The command line: ``coracle-operator run``, ``webhook``, ``crds``."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import traceback
from pathlib import Path

import typer

from coracle.api import ConnectError

app = typer.Typer(
    help="Coracle's Kubernetes operator. The Helm chart runs it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_FORMAT = "[%(asctime)s] %(levelname)s %(message)s (%(name)s:%(lineno)d)"


def _log() -> None:
    level = os.environ.get("CORACLE_LOG_LEVEL", "INFO").upper()
    known = level in logging.getLevelNamesMapping()
    logging.basicConfig(level=level if known else logging.INFO, format=_FORMAT)
    logging.captureWarnings(True)
    for chatty in ("httpx2", "httpcore2", "aiohttp.access"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    if not known:
        logging.warning("CORACLE_LOG_LEVEL %s is no level; INFO is used", level)


@app.command()
def run() -> None:
    """Run connectors: make the objects of KafkaConnect and KafkaConnector resources.

    Settings come from the environment, as the Helm chart writes it: CORACLE_IMAGE (image of pods),
    CORACLE_NAMESPACES (with commas between; empty is all), CORACLE_STRIMZI (true: Strimzi's
    resources too), CORACLE_LOG_LEVEL.
    """
    _log()
    from coracle_operator.main import run as operate

    operate()


@app.command()
def webhook() -> None:
    """Answer the API server's admission reviews on port 8443.

    From the environment: CORACLE_WEBHOOK_CERTIFICATES (directory of tls.crt and tls.key),
    CORACLE_WEBHOOK_FAIL_CLOSED (true: what cannot be checked is denied), CORACLE_LOG_LEVEL.
    """
    _log()
    from lightkube import AsyncClient

    from coracle_operator.webhook import run as answer

    certificates = Path(os.environ.get("CORACLE_WEBHOOK_CERTIFICATES", "."))
    fail_closed = os.environ.get("CORACLE_WEBHOOK_FAIL_CLOSED", "").lower() == "true"

    async def until_stopped() -> None:
        await answer(AsyncClient(), certificates, fail_closed=fail_closed)

    asyncio.run(until_stopped())


@app.command()
def crds() -> None:
    """Print the CustomResourceDefinitions, for kubectl apply --server-side -f -."""
    import yaml

    from coracle.kube.crds import definitions

    yaml.safe_dump_all(definitions().values(), sys.stdout, sort_keys=False, width=120)


def main() -> None:
    """Entry point of ``coracle-operator``; ends with 3 when it cannot start or fails."""
    try:
        app(prog_name="coracle-operator")
    except ConnectError as error:
        logging.getLogger(__name__).critical("%s", error)
        sys.exit(3)
    except Exception:
        traceback.print_exc()
        sys.exit(3)
