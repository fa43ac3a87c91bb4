"""The usual attribute set, recognised at one look.

Nearly every UPDATE of a full table has the same shape: known attributes in ascending order, each
with its proper flags and length, an AS_PATH of one AS_SEQUENCE. Such octets are their own normal
form, so nothing has to be taken apart and put together again. `usual_next_hop` says whether a set
is of that shape; everything else is left to `speaker.wire.attributes.scan`, which is the referee:
what is usual here, `scan` gives back unchanged and without a fault (a property test).

Standards: RFC 4271 §4.3, §5; RFC 7606 §7.
"""

from __future__ import annotations

from policy.attributes import FLAGS, Attribute
from speaker.wire.attributes import ScanContext

# By type: proper flags, least length, and what the length is a multiple of. An attribute that is
# not here makes a set unusual. ORIGINATOR_ID and CLUSTER_LIST come from internal peers only.
_SHAPES: dict[int, tuple[int, int, int]] = {
    Attribute.ORIGIN: (FLAGS[Attribute.ORIGIN], 1, 0),
    Attribute.AS_PATH: (FLAGS[Attribute.AS_PATH], 0, 1),
    Attribute.NEXT_HOP: (FLAGS[Attribute.NEXT_HOP], 4, 0),
    Attribute.MULTI_EXIT_DISC: (FLAGS[Attribute.MULTI_EXIT_DISC], 4, 0),
    Attribute.ATOMIC_AGGREGATE: (FLAGS[Attribute.ATOMIC_AGGREGATE], 0, 0),
    Attribute.AGGREGATOR: (FLAGS[Attribute.AGGREGATOR], 8, 0),
    Attribute.COMMUNITIES: (FLAGS[Attribute.COMMUNITIES], 4, 4),
    Attribute.EXTENDED_COMMUNITIES: (FLAGS[Attribute.EXTENDED_COMMUNITIES], 8, 8),
    Attribute.LARGE_COMMUNITIES: (FLAGS[Attribute.LARGE_COMMUNITIES], 12, 12),
}
_INTERNAL_SHAPES = _SHAPES | {
    Attribute.LOCAL_PREF: (FLAGS[Attribute.LOCAL_PREF], 4, 0),
    Attribute.ORIGINATOR_ID: (FLAGS[Attribute.ORIGINATOR_ID], 4, 0),
    Attribute.CLUSTER_LIST: (FLAGS[Attribute.CLUSTER_LIST], 4, 4),
}
_NOBODY = b"\0\0\0\0"

# What must be there, a bit for each type: RFC 7606 §3 d, RFC 4271 §5.1.5.
_EXTERNAL = 1 << Attribute.ORIGIN | 1 << Attribute.AS_PATH | 1 << Attribute.NEXT_HOP
_NEEDED = {False: int(_EXTERNAL), True: int(_EXTERNAL | 1 << Attribute.LOCAL_PREF)}
_NEXT_HOP = int(Attribute.NEXT_HOP)
_AS_PATH = int(Attribute.AS_PATH)


# hot: per attribute set
def usual_next_hop(data: bytes, context: ScanContext) -> bytes | None:
    """Give the NEXT_HOP of a usual, complete set; None for a set that has to be scanned."""
    if not context.four_octet_as:
        return None
    shapes = _INTERNAL_SHAPES if context.internal else _SHAPES
    at, end, before, missing = 0, len(data), 0, _NEEDED[context.internal]
    next_hop = b""
    while at < end:
        if end - at < 3:
            return None
        code = data[at + 1]
        shape = shapes.get(code)
        if shape is None or code <= before or data[at] != shape[0]:
            return None
        start = at + 3
        at = start + data[at + 2]
        if at > end or _is_odd(data, code, start, at, shape):
            return None
        if code == _NEXT_HOP:
            next_hop = data[start:at]
        missing &= ~(1 << code)
        before = code
    return None if missing else next_hop


def _is_odd(data: bytes, code: int, start: int, end: int, shape: tuple[int, int, int]) -> bool:
    """Tell whether a value is not of the usual shape."""
    length = end - start
    if code == _AS_PATH:
        # One sequence, and no four zero octets anywhere: they might be AS 0, or fall between two.
        return length != 0 and (
            data[start] != 2
            or length < 6
            or length != 2 + 4 * data[start + 1]
            or data.find(_NOBODY, start + 2, end) >= 0
        )
    _, least, unit = shape
    if length != least and (not unit or length < least or length % unit):
        return True
    if code == Attribute.ORIGIN:
        return data[start] > 2
    return code == Attribute.AGGREGATOR and data.startswith(_NOBODY, start)
