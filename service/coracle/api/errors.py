"""The exceptions that plugins raise and the runtime acts on.

The tree is small because each branch asks for a different reaction:

    ConnectError                  something failed; the task stops and says so
    ├── ConfigError               a setting is wrong: which one, why, and the fix
    │   └── ConfigErrors          several settings are wrong, reported together
    ├── RetriableError            may work later: the same call is made again
    ├── DataError                 this record is bad: it may be skipped if tolerated
    ├── BatchError                these records of the batch are bad, the others are fine
    └── FatalError                never worth retrying, never worth tolerating

Kafka Connect's counterparts are ``ConnectException``, ``ConfigException``,
``RetriableException`` and ``DataException`` in ``org.apache.kafka.connect.errors``; each class
names its counterpart in ``java_class`` because a task's ``trace`` is matched by people's alerts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class ConnectError(Exception):
    """Anything Coracle can name as the reason a connector or task does not work.

    Args:
        message: what happened, in words a person can act on.
        fix: what to do about it; shown after the message, omitted when empty.
    """

    java_class = "org.apache.kafka.connect.errors.ConnectException"

    def __init__(self, message: str, *, fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.message} {self.fix}" if self.fix else self.message


class ConfigError(ConnectError):
    """One setting is missing or wrong.

    Args:
        message: what is wrong with it.
        field: the configuration key, for example ``tasks.max``; empty when no single key is at
            fault.
        code: a stable word for programs: ``missing``, ``invalid``, ``unknown_class``, ``conflict``.
        fix: what would be right.
    """

    java_class = "org.apache.kafka.common.config.ConfigException"

    def __init__(
        self, message: str, *, field: str = "", code: str = "invalid", fix: str = ""
    ) -> None:
        super().__init__(message, fix=fix)
        self.field = field
        self.code = code


class ConfigErrors(ConfigError):  # noqa: N818
    """Every wrong setting found in one pass, so that a person fixes them in one pass.

    Args:
        errors: at least one error.
    """

    def __init__(self, errors: Sequence[ConfigError]) -> None:
        self.errors = tuple(errors)
        super().__init__("\n".join(str(error) for error in self.errors), field=errors[0].field)


class RetriableError(ConnectError):
    """The other side is away or busy; the same call may work later.

    Args:
        after: seconds to wait before the next attempt; ``None`` leaves it to the runtime.
    """

    java_class = "org.apache.kafka.connect.errors.RetriableException"

    def __init__(self, message: str, *, after: float | None = None, fix: str = "") -> None:
        super().__init__(message, fix=fix)
        self.after = after


class DataError(ConnectError):
    """One record cannot be processed. Retrying does not help; skipping it may be allowed."""

    java_class = "org.apache.kafka.connect.errors.DataException"


class BatchError(ConnectError):
    """Some records of a batch failed and all the others could be processed.

    Raised by converters, transforms and ``SinkTask.put``. Indexes count from 0 within the batch
    that was handed over (for ``put``: within the concatenation of all its batches). When records
    are tolerated the runtime drops exactly these and hands over the rest again.

    Args:
        failures: the error of each failed record by index; never empty.
        plugin: the class that failed, as the configuration names it; empty when the caller knows.
    """

    java_class = "org.apache.kafka.connect.errors.DataException"

    def __init__(self, failures: Mapping[int, Exception], *, plugin: str = "") -> None:
        self.failures = dict(sorted(failures.items()))
        self.plugin = plugin
        index, first = next(iter(self.failures.items()))
        more = f" ({len(self.failures) - 1} more failed)" if len(self.failures) > 1 else ""
        super().__init__(f"record {index} of the batch: {first}{more}")
        self.first = first


class FatalError(ConnectError):
    """The task cannot go on, whatever is retried or tolerated."""
