"""AS numbers of two octets: what a peer that knows no others has told, widened.

Such a peer writes AS_TRANS where a number does not fit, and hands on the true ones in AS4_PATH and
AS4_AGGREGATOR. `to_four_octets` puts both together, once per attribute set, so that nobody behind
the scan knows that there are numbers of two octets. The values have been looked at before.

Standards: RFC 6793 §4.2.3; RFC 5065 §5.3.
"""

from __future__ import annotations

from policy.attributes import MAX_SEGMENT, Attribute, SegmentType

AS_TRANS = (23456).to_bytes(2, "big")


def to_four_octets(parts: dict[int, tuple[int, bytes]]) -> None:
    """Widen the numbers, and merge what AS4_PATH and AS4_AGGREGATOR kept (RFC 6793 §4.2.3).

    Args:
        parts: flags and value of each attribute, by its type; changed in place.
    """
    as4_path = parts.pop(Attribute.AS4_PATH, None)
    as4_aggregator = parts.pop(Attribute.AS4_AGGREGATOR, None)
    aggregator = parts.get(Attribute.AGGREGATOR)
    merge = True
    if aggregator is not None:
        flags, value = aggregator
        wide = b"\0\0" + value
        if as4_aggregator is not None:
            if value[:2] == AS_TRANS:
                wide = as4_aggregator[1]
            else:
                merge = False
        parts[Attribute.AGGREGATOR] = (flags, wide)
    if Attribute.AS_PATH in parts:
        flags, value = parts[Attribute.AS_PATH]
        path = widen(value)
        if as4_path is not None and merge:
            path = merge_as4_path(path, as4_path[1])
        parts[Attribute.AS_PATH] = (flags, path)


def widen(value: bytes) -> bytes:
    """Turn an AS_PATH of two-octet numbers into one of four-octet numbers."""
    out, at = [], 0
    while at < len(value):
        count = value[at + 1]
        out.append(value[at : at + 2])
        out += [b"\0\0" + value[i : i + 2] for i in range(at + 2, at + 2 + 2 * count, 2)]
        at += 2 + 2 * count
    return b"".join(out)


def _units(value: bytes) -> list[bytes]:
    """Cut a four-octet AS_PATH into segments of one countable AS each (a set counts as one)."""
    units, at = [], 0
    while at < len(value):
        kind, count = value[at], value[at + 1]
        after = at + 2 + 4 * count
        if kind == SegmentType.AS_SEQUENCE:
            units += [b"\x02\x01" + value[i : i + 4] for i in range(at + 2, after, 4)]
        else:
            units.append(value[at:after])
        at = after
    return units


def _counts(unit: bytes) -> bool:
    """RFC 5065 §5.3: confederation segments add nothing to the length of a path."""
    return unit[0] in (SegmentType.AS_SEQUENCE, SegmentType.AS_SET)


def merge_as4_path(path: bytes, as4_path: bytes) -> bytes:
    """Put the leading numbers of AS_PATH in front of AS4_PATH (RFC 6793 §4.2.3)."""
    old = _units(path)
    new = [unit for unit in _units(as4_path) if _counts(unit)]
    lead = sum(map(_counts, old)) - len(new)
    if lead < 0:
        return path
    return _joined(_leading(old, lead) + new)


def _leading(units: list[bytes], count: int) -> list[bytes]:
    """Take ``count`` countable units from the front, and confederations up to the next one."""
    for index, unit in enumerate(units):
        if _counts(unit):
            if not count:
                return units[:index]
            count -= 1
    return units


def _joined(units: list[bytes]) -> bytes:
    """Put units together, neighbouring sequences into one segment while it has room."""
    joined = bytearray()
    last = -1
    for unit in units:
        if unit[0] == 2 and last >= 0 and joined[last] == 2 and joined[last + 1] < MAX_SEGMENT:
            joined[last + 1] += 1
            joined += unit[2:]
        else:
            last = len(joined)
            joined += unit
    return bytes(joined)
