"""Floats as ``Double.toString`` and ``Float.toString`` write them.

Texts have the fewest digits that mean the number, as in Java since version 19 (JDK-4511638);
earlier versions write more digits than needed for a few numbers. Values of FLOAT32 are Python
floats, that is doubles, and have to be narrowed before they are written.

Source: https://docs.oracle.com/en/java/javase/21/docs/api/java.base/java/lang/Double.html
"""

from __future__ import annotations

import struct
from decimal import Decimal
from math import isfinite, isnan

_SMALLEST_NORMAL_FLOAT32 = 2.0**-126


def java_float(value: float) -> str:
    """The text of ``Double.toString``: plain from 0.001 up to 10,000,000, else ``1.0E10``."""
    if not isfinite(value):
        return not_finite(value)
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return repr(value)
    # Java writes at least two digits, and takes the nearest two: 4.9E-324, where Python has 5e-324.
    short = f"{value:.1e}"
    sign, digits, exponent = (
        Decimal(short if float(short) == value else repr(value)).normalize().as_tuple()
    )
    assert isinstance(exponent, int)  # finite
    fraction = "".join(map(str, digits[1:])) or "0"
    return f"{'-' if sign else ''}{digits[0]}.{fraction}E{exponent + len(digits) - 1}"


def java_float32(value: float) -> str:
    """The text of ``Float.toString``, for a value of FLOAT32."""
    return java_float(shortest_float32(value, least=2))


def shortest_float32(value: float, *, least: int = 1) -> float:
    """The double with the fewest digits among those that round to the same 32-bit float.

    0.1 as a 32-bit float is 0.10000000149011612; Java writes 0.1, and so do we. What no 32-bit
    float holds stays as it is.

    Args:
        least: the number of digits below which none are saved.
    """
    if not isfinite(value):
        return value
    try:
        stored = struct.pack("<f", value)
    except OverflowError:
        return value
    exact = struct.unpack("<f", stored)[0]
    # Six digits always survive, but the smallest numbers of all do not have as many.
    for digits in range(6 if abs(exact) >= _SMALLEST_NORMAL_FLOAT32 else least, 9):
        short = float(f"{exact:.{digits}g}")
        try:
            if struct.pack("<f", short) == stored:
                return short
        except OverflowError:  # rounding up left the range; more digits will not
            continue
    return float(f"{exact:.9g}")


def not_finite(value: float) -> str:
    """Java's name of a float that is no finite number."""
    return "NaN" if isnan(value) else "Infinity" if value > 0 else "-Infinity"
