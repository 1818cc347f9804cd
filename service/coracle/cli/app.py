"""The commands, their options and their help. What they do is in the modules of their names."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coracle import __version__
from coracle.cli.exits import Exit
from coracle.cli.logs import LogLevel

if TYPE_CHECKING:
    from coracle.config.worker import WorkerConfig

_EXIT_CODES = """[bold]Exit codes[/bold]
 0  fine, or stopped because it was asked to
 1  a configuration is invalid; nothing was started
 2  the command line is wrong
 3  the worker could not start, or a connector failed under --exit-on-failure
"""

_EPILOG = (
    """[bold]Examples[/bold]
 coracle run orders.json -b broker:9092    [dim]# REST API on port 8083[/dim]
 coracle run -w worker.properties *.json   [dim]# like connect-standalone[/dim]
 coracle validate connectors/*.yaml        [dim]# before anything runs[/dim]
 coracle plugins JdbcSinkConnector         [dim]# every setting, explained[/dim]

"""
    + _EXIT_CODES
)

_RUN_EPILOG = (
    """[bold]Examples[/bold]
 coracle run orders.json -b broker:9092
 coracle run -w worker.properties --set offset.flush.interval.ms=10000 *.json
 coracle run --port 0                      [dim]# POST connectors to /connectors[/dim]

"""
    + _EXIT_CODES
)

app = typer.Typer(
    help="Run Kafka Connect connectors as one small process, with the configurations you have.",
    epilog=_EPILOG,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class PluginType(StrEnum):
    """What ``plugins --type`` takes."""

    SOURCE = "source"
    SINK = "sink"
    TRANSFORMATION = "transformation"
    PREDICATE = "predicate"
    CONVERTER = "converter"
    HEADER_CONVERTER = "header_converter"
    CONFIG_PROVIDER = "config_provider"


_FILE_FORMATS = (
    "Connector files: JSON as POSTed to /connectors, JSON or .properties with the settings alone, "
    "or YAML manifests."
)

Worker = Annotated[
    Path | None,
    typer.Option(
        "--worker",
        "-w",
        metavar="FILE",
        exists=True,
        dir_okay=False,
        help="Worker settings: your connect-standalone or connect-distributed.properties.",
    ),
]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"coracle {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Nothing of its own: ``--version`` answers while it is parsed."""


@app.command(epilog=_RUN_EPILOG)
def run(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FILE", exists=True, dir_okay=False, help=_FILE_FORMATS),
    ] = None,
    bootstrap_servers: Annotated[
        str | None,
        typer.Option("--bootstrap-servers", "-b", metavar="HOST:PORT,...", help="Kafka brokers."),
    ] = None,
    worker: Worker = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="A worker setting; wins over the file. Repeatable."
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            "--port",
            "-p",
            min=0,
            max=65535,
            help="Port of the REST API on all addresses, 0 for a free one; by default 8083.",
        ),
    ] = None,
    listeners: Annotated[
        str | None,
        typer.Option(
            "--listeners", metavar="URL,...", help="Where the REST API listens, in place of --port."
        ),
    ] = None,
    exit_on_failure: Annotated[
        bool,
        typer.Option("--exit-on-failure", help="End with code 3 once a connector or task fails."),
    ] = False,
    shared: Annotated[
        bool,
        typer.Option(
            "--shared",
            help="Share the tasks with every other process that runs the same connectors with this "
            "flag: each runs a part of them, and those of one that ends move to the others.",
        ),
    ] = False,
    log_level: Annotated[
        LogLevel, typer.Option("--log-level", help="How much to log, on standard error.")
    ] = LogLevel.INFO,
) -> None:
    """Run connectors until Ctrl-C or SIGTERM.

    All files are checked first; if one is wrong, nothing is started. Progress is kept in Kafka, so
    that the next run goes on where this one stopped. Kafka Connect's REST API shows and changes the
    connectors while they run. Ctrl-C stops them in order, a second one at once.
    """
    if port is not None and listeners is not None:
        raise typer.BadParameter("--port and --listeners say the same thing: use one of them.")
    overrides = _pairs(settings or [])
    if bootstrap_servers is not None:
        overrides["bootstrap.servers"] = bootstrap_servers
    if port is not None:
        overrides["listeners"] = f"http://:{port}"
    if listeners is not None:
        overrides["listeners"] = listeners
    config = _load_worker(worker, overrides)

    from coracle.cli.logs import setup_logging
    from coracle.cli.run import run_files

    setup_logging(log_level)
    raise typer.Exit(run_files(files or [], config, exit_on_failure=exit_on_failure, shared=shared))


@app.command(hidden=True)
def task(
    port: Annotated[
        int, typer.Option("--port", min=1, max=65535, help="Port of probes and status.")
    ] = 8083,
    log_level: Annotated[
        LogLevel, typer.Option("--log-level", help="How much to log, on standard error.")
    ] = LogLevel.INFO,
) -> None:
    """Run one pod of a connector on Kubernetes. The operator starts it and says in its environment
    for which.
    """
    from coracle.cli.logs import Redacted, setup_logging
    from coracle.cli.task import run_task
    from coracle.config.mounted import hide_secrets

    setup_logging(log_level, Redacted(hide_secrets))
    raise typer.Exit(run_task(port))


@app.command(hidden=True)
def api(
    namespace: Annotated[str, typer.Option(envvar="CORACLE_NAMESPACE", help="The KafkaConnect's.")],
    connect: Annotated[str, typer.Option(envvar="CORACLE_CONNECT", help="The KafkaConnect.")],
    worker: Annotated[
        Path, typer.Option("--worker", "-w", metavar="FILE", help="Worker settings, as JSON.")
    ] = Path("/etc/coracle/worker.json"),
    rest: Annotated[
        bool, typer.Option(envvar="CORACLE_REST", help="Serve the Kafka Connect REST API.")
    ] = False,
    log_level: Annotated[
        LogLevel, typer.Option("--log-level", help="How much to log, on standard error.")
    ] = LogLevel.INFO,
) -> None:
    """Run the api of a KafkaConnect on Kubernetes: checks, plugins, and REST over its connectors.

    The operator starts it.
    """
    from coracle.cli.api import ApiSettings, run_api
    from coracle.cli.logs import setup_logging

    setup_logging(log_level)
    raise typer.Exit(run_api(ApiSettings(worker, namespace, connect, rest)))


offsets = typer.Typer(help="How far connectors have come.", no_args_is_help=True)
app.add_typer(offsets, name="offsets", hidden=True)


@offsets.callback()
def _offsets() -> None:
    """Makes ``reset`` a command of its own although there is no other yet."""


@offsets.command("reset")
def offsets_reset() -> None:
    """Forget how far a stopped connector on Kubernetes has come. The operator runs it, as a Job."""
    from coracle.cli.logs import setup_logging
    from coracle.cli.offsets import run_reset

    setup_logging(LogLevel.INFO)
    raise typer.Exit(run_reset())


@app.command()
def validate(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE", exists=True, dir_okay=False, help=_FILE_FORMATS),
    ],
    worker: Worker = None,
) -> None:
    """Say everything that is wrong with connector files, without connecting anywhere.

    Errors end with code 1. Warnings, such as a key nobody knows, do not.
    """
    config = _load_worker(worker, {})

    from coracle.cli.validate import validate_files

    raise typer.Exit(validate_files(files, config))


@app.command()
def plugins(
    name: Annotated[
        str | None,
        typer.Argument(metavar="CLASS", help="A plugin, by its class name or the short form."),
    ] = None,
    type_: Annotated[
        PluginType | None, typer.Option("--type", "-t", help="Only plugins of this type.")
    ] = None,
) -> None:
    """List the installed plugins, or every setting of one."""
    from coracle.cli.plugins import describe_plugin, list_plugins

    raise typer.Exit(describe_plugin(name, type_) if name else list_plugins(type_))


def _pairs(settings: list[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not key.strip() or not equals:
            raise typer.BadParameter(f"--set takes KEY=VALUE, not {setting!r}.")
        pairs[key.strip()] = value
    return pairs


def _load_worker(path: Path | None, overrides: dict[str, str]) -> WorkerConfig:
    """The worker's settings; when they are wrong the process ends here, having said so."""
    from coracle.api import ConfigError
    from coracle.cli.screen import show_error
    from coracle.config.worker import load_worker

    try:
        return load_worker(path, overrides)
    except ConfigError as error:
        show_error("The worker's configuration is invalid", error)
        raise typer.Exit(Exit.INVALID) from None
