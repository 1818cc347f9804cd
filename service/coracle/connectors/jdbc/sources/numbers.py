"""What NUMERIC becomes under ``numeric.mapping``.

The rules are the JDBC source connector's, whose reference describes them under ``numeric.mapping``:
https://docs.confluent.io/kafka-connectors/jdbc/current/source-connector/source_config_options.html
"""

from __future__ import annotations

from coracle.api import Schema
from coracle.api.schema import FLOAT64, INT8, INT16, INT32, INT64, decimal
from coracle.connectors.jdbc.sources.layout import Reading, each

MAPPINGS = ("none", "precision_only", "best_fit", "best_fit_eager_double")
UNKNOWN_SCALE = 127
_MOST_DIGITS = 18  # what 64 bits hold whatever the digits


def numeric(precision: int | None, scale: int | None, mapping: str) -> Reading:
    """The reading of a NUMERIC column.

    Args:
        precision: its digits, or ``None`` when it has no limit.
        scale: the digits after the point; ``None`` when any number may follow it.
        mapping: ``numeric.mapping``.
    """
    if precision is None or scale is None:
        if mapping == "best_fit_eager_double":
            return Reading(FLOAT64, each(float))
        return Reading(decimal(UNKNOWN_SCALE))
    digits = precision - min(scale, 0)
    whole = scale == 0 or (scale < 0 and mapping != "precision_only")
    if mapping != "none" and whole and digits <= _MOST_DIGITS:
        return Reading(integer(digits), each(int))
    fits = precision <= _MOST_DIGITS or mapping == "best_fit_eager_double"
    if mapping.startswith("best_fit") and scale > 0 and fits:
        return Reading(FLOAT64, each(float))
    return Reading(decimal(scale, precision=precision))


def integer(digits: int) -> Schema:
    """The smallest integer type for that many digits, by the connector's thresholds."""
    if digits > 9:
        return INT64
    if digits > 4:
        return INT32
    return INT16 if digits > 2 else INT8
