"""Converting values one at a time while noting which ones fail."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from coracle.api.errors import BatchError, DataError

T = TypeVar("T")
R = TypeVar("R")


def one_by_one(convert: Callable[[T], R], items: Iterable[T | None]) -> list[R | None]:
    """``convert`` of each item; ``None`` stays ``None``.

    Raises:
        BatchError: with every ``DataError`` that ``convert`` raised.
    """
    results: list[R | None] = []
    failures: dict[int, Exception] = {}
    for index, item in enumerate(items):
        try:
            results.append(None if item is None else convert(item))
        except DataError as error:
            failures[index] = error
    if failures:
        raise BatchError(failures)
    return results
