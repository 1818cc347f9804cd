"""A server that is not installed fails what needs it, with the command that installs it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.conftest import started
from tests.servers import install, jvm, mariadb, missing, postgres
from tests.servers.kafka import Kafka
from tests.servers.process import Server


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No program is found."""
    for module in (jvm, mariadb, postgres):
        monkeypatch.setattr(module, "find_program", lambda *_: None)
    monkeypatch.setattr(jvm, "DEBIAN_HOMES", tmp_path)
    jvm.java.cache_clear()


@pytest.mark.usefixtures("nothing_installed")
@pytest.mark.parametrize(
    ("server", "package"),
    [
        (postgres.Postgres, "postgresql-15"),
        (mariadb.MariaDB, "mariadb-server"),
        (Kafka, "openjdk-17-jre-headless"),
    ],
)
def test_a_fixture_fails_with_the_command(server: Callable[[], Server], package: str) -> None:
    with pytest.raises(pytest.fail.Exception, match=rf"apt-get install {package}`"):
        next(started(server))


@pytest.mark.usefixtures("nothing_installed")
def test_every_missing_package_is_named() -> None:
    assert install.missing() == [
        "postgresql-15",
        "mariadb-server",
        "openjdk-17-jre-headless",
        "maven",
    ]


def test_who_is_not_root_is_told_to_become_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(missing.os, "geteuid", lambda: 1000)
    assert "`sudo make servers`" in str(missing.MissingServerError("MariaDB", "mariadb-server"))


@pytest.mark.usefixtures("nothing_installed")
def test_install_does_not_try_without_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(install, "install", lambda _: pytest.fail("tried to install"))
    with pytest.raises(SystemExit, match="sudo apt-get install postgresql-15 mariadb-server"):
        install.main()
