"""The accumulated IGP metric: a distance that grows hop by hop within one administration.

The attribute is a list of TLVs; the first of type 1 counts, all others travel along. Whoever makes
himself the next hop adds his own distance to the old one (`accumulate`); whoever leaves the next
hop alone leaves the metric alone.

Standards: RFC 7311 §3, §3.4.3.
"""

from __future__ import annotations

_METRIC, _HEADER, _LENGTH = 1, 3, 11
INFINITE = (1 << 64) - 1
"""A metric that cannot grow; a route that has it is none of use (RFC 7311 §3.2)."""


def _metric_at(value: bytes) -> int:
    """Find the octets of the metric; 0 where there are none."""
    at = 0
    while at + _LENGTH <= len(value):
        length = int.from_bytes(value[at + 1 : at + _HEADER], "big")
        if value[at] == _METRIC:
            return at + _HEADER if length == _LENGTH else 0
        at += max(length, _HEADER)
    return 0


def metric(value: bytes) -> int | None:
    """Read the metric of an AIGP attribute; None where it has none."""
    at = _metric_at(value)
    return int.from_bytes(value[at : at + 8], "big") if at else None


def accumulate(value: bytes, distance: int) -> bytes:
    """Add our distance to the next hop, and never nothing (RFC 7311 §3.4.3).

    A sum that has no room stays at the greatest value.
    """
    at, old = _metric_at(value), metric(value)
    if old is None:
        return value
    return value[:at] + min(old + max(distance, 1), INFINITE).to_bytes(8, "big") + value[at + 8 :]


def aigp_value(total: int) -> bytes:
    """Make an AIGP attribute of one TLV."""
    return bytes((_METRIC, 0, _LENGTH)) + total.to_bytes(8, "big")
