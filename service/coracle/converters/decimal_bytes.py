"""Connect's ``Decimal`` as bytes: the unscaled integer, big-endian two's complement, shortest form.

The scale (digits after the point) is in the schema, not in the bytes. Source:
``Decimal.fromLogical``,
https://kafka.apache.org/43/javadoc/org/apache/kafka/connect/data/Decimal.html
"""

from __future__ import annotations

from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal

# The default context would round to 28 digits.
_EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)


def from_bytes(data: bytes, scale: int) -> Decimal:
    """The decimal whose unscaled two's complement is ``data``.

    Raises:
        ValueError: when there are no bytes at all.
    """
    if not data:
        raise ValueError("no bytes")
    return _EXACT.scaleb(Decimal(int.from_bytes(data, "big", signed=True)), -scale)


def to_bytes(value: Decimal, scale: int) -> bytes:
    """The unscaled two's complement of ``value``, as ``java.math.BigInteger.toByteArray`` has it.

    A value with another number of digits after the point is accepted when no digit is lost.

    Raises:
        ValueError: when ``value`` has more digits after the point, or is no finite number.
    """
    if not value.is_finite():
        raise ValueError(f"{value} is no finite number")
    scaled = _EXACT.scaleb(value, scale)
    unscaled = int(scaled)
    if unscaled != scaled:
        raise ValueError(f"the schema has scale {scale}, the value has more digits after the point")
    bits = (unscaled if unscaled >= 0 else ~unscaled).bit_length()
    return unscaled.to_bytes(bits // 8 + 1, "big", signed=True)
