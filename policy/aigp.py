"""The accumulated IGP metric: a distance that grows hop by hop within one administration.

The attribute is a list of TLVs; the first of type 1 counts, all others travel along. Values here
are well-formed: `speaker.wire.attributes` sees to that. Whoever makes himself the next hop adds his
own distance to the old one (`accumulate`); whoever leaves the next hop alone leaves the metric
alone.

Standards: RFC 7311 §3, §3.4.
"""

from __future__ import annotations

_METRIC, _HEADER, _LENGTH = 1, 3, 11
_INFINITE = (1 << 64) - 1


def _metric_at(value: bytes) -> int:
    at = 0
    while value[at] != _METRIC:
        at += int.from_bytes(value[at + 1 : at + 3], "big")
    return at + _HEADER


def metric(value: bytes) -> int:
    """Read the metric of an AIGP attribute."""
    at = _metric_at(value)
    return int.from_bytes(value[at : at + 8], "big")


def accumulate(value: bytes, distance: int) -> bytes:
    """Add our distance to the next hop; a sum that has no room stays at the greatest value."""
    at = _metric_at(value)
    total = min(metric(value) + distance, _INFINITE)
    return value[:at] + total.to_bytes(8, "big") + value[at + 8 :]


def aigp_value(total: int) -> bytes:
    """Make an AIGP attribute of one TLV."""
    return bytes((_METRIC, 0, _LENGTH)) + total.to_bytes(8, "big")
