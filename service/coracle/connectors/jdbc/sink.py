"""The JDBC sink: topics to tables, one transaction per put.

The configuration and what it means to a record are those of Confluent's connector and of Aiven's
fork; see ``sinks`` for how a record becomes a row. Delivery is at least once: a put is committed
before its offsets are, so with ``insert.mode=upsert`` repeated records leave no trace.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import ClassVar

from coracle.api import (
    Config,
    ConnectError,
    RecordBatch,
    RetriableError,
    SinkConnector,
    SinkTask,
    SinkTaskContext,
)
from coracle.connectors.jdbc.connection import connect
from coracle.connectors.jdbc.dialects import Dialect, ErrorClass, dialect_for
from coracle.connectors.jdbc.sinks.config import SINK_SPEC, SinkSettings
from coracle.connectors.jdbc.sinks.gathering import Gatherer
from coracle.connectors.jdbc.sinks.routing import Router
from coracle.connectors.jdbc.sinks.session import Session

logger = logging.getLogger(__name__)


class JdbcSinkTask(SinkTask):
    """Writes records into tables.

    An attempt that the database may accept later is reported as ``RetriableError``, at most
    ``max.retries`` times in a row and ``retry.backoff.ms`` apart; the next one uses a new
    connection.
    """

    _dialect: Dialect
    _settings: SinkSettings
    _gatherer: Gatherer
    _session: Session | None = None
    _retries: int = 0

    async def start(self, context: SinkTaskContext, config: Config) -> None:
        """Connect.

        Raises:
            ConnectError: when the database cannot be reached or refuses the login.
        """
        self._dialect = dialect_for(config)
        self._settings = SinkSettings.of(config)
        router = Router(self._settings, self._dialect)
        self._gatherer = Gatherer(self._settings, router, context.connector)
        conn = await connect(self._dialect)
        self._session = Session(self._dialect, conn, self._settings)
        await self._session.open()

    async def put(self, batches: Sequence[RecordBatch]) -> None:
        """Write all records in one transaction.

        Raises:
            RetriableError: the database was away or busy.
            BatchError: with every record that cannot be written.
            ConnectError: it fails for another reason, or failed more than ``max.retries`` times.
        """
        groups = self._gatherer.gather(batches)
        if not groups:
            return
        try:
            session = self._session or await self._reconnect()
            await session.put(groups)
        except ConnectError:
            raise
        except Exception as error:
            transient = self._is_transient(error)
            await self.stop()
            raise self._failed(error, transient) from error
        except BaseException:  # cancelled half-way: the transaction is gone with the connection
            await self.stop()
            raise
        self._retries = 0

    async def stop(self) -> None:
        """Disconnect."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _reconnect(self) -> Session:
        session = Session(self._dialect, await self._dialect.connect(), self._settings)
        self._session = session
        await session.open()
        return session

    def _is_transient(self, error: Exception) -> bool:
        if self._session is not None:
            return self._session.is_transient(error)
        return self._dialect.classify(error) in (ErrorClass.CONNECTION, ErrorClass.RETRIABLE)

    def _failed(self, error: Exception, transient: bool) -> ConnectError:
        place = self._dialect.settings.place
        reason = f"Writing to {place} failed: {self._dialect.describe(error)}"
        if not transient:
            return ConnectError(reason)
        if self._retries >= self._settings.max_retries:
            return ConnectError(
                f"{reason}. Gave up after {self._retries} retries.",
                fix="Check that the database is up and reachable, then restart the task.",
            )
        self._retries += 1
        logger.warning(
            "%s. Retry %d of %d in %.1f s.",
            reason,
            self._retries,
            self._settings.max_retries,
            self._settings.retry_backoff,
        )
        return RetriableError(reason, after=self._settings.retry_backoff)


class JdbcSinkConnector(SinkConnector):
    """``io.confluent.connect.jdbc.JdbcSinkConnector`` and Aiven's
    ``io.aiven.connect.jdbc.JdbcSinkConnector``.
    """

    spec = SINK_SPEC
    task_class: ClassVar[type[SinkTask]] = JdbcSinkTask
