"""The usual attribute set, recognised and taken apart at one look.

Nearly every UPDATE has the same shape: known attributes in ascending order, each with its proper
flags and length, an AS_PATH of one AS_SEQUENCE or of nothing. Such a set is told by one regular
expression, which also finds the few parts that decisions and the way out ask for; whatever it does
not take goes the long way, attribute by attribute, and comes to the same result (property tests
hold `speaker.wire.usual` to `scan`, and `policy.outbound` to its `rewrite_fully`).

The expression writes every length out as an alternative of its own, since a regular expression
cannot read one; the usual lengths stand first.

Standards: RFC 4271 §4.3, §5; RFC 1997, 4360, 4456, 8092, 9234.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Protocol, TypeAlias, cast

from policy.attributes import FLAGS, Attribute

_LONGEST_PATH = 63
"""AS numbers that fit an AS_PATH whose length is one octet."""

_USUAL_PATHS = (4, 5, 3, 6, 2, 7, 8, 1)


UsualParts: TypeAlias = tuple[
    bytes, bytes | None, bytes | None, bytes | None, bytes, bytes, bytes, bytes
]
"""Parts of a usual set:

- the AS_PATH's length octet and value;
- the values of NEXT_HOP, MULTI_EXIT_DISC and LOCAL_PREF, None where they are not there;
- ATOMIC_AGGREGATE, AGGREGATOR and COMMUNITIES, whole;
- ORIGINATOR_ID and CLUSTER_LIST, whole;
- extended communities of both kinds, whole;
- large communities and what follows them, whole.
"""


def _octets(*numbers: int) -> bytes:
    return b"".join(b"\\x%02x" % number for number in numbers)


def _head(code: int, *length: int) -> bytes:
    return _octets(FLAGS[code], code, *length)


def _as_path() -> bytes:
    """Match an AS_PATH's length octet and value: nothing, or one sequence."""
    counts = [*_USUAL_PATHS, *(n for n in range(9, _LONGEST_PATH + 1))]
    branches = [_octets(2 + 4 * n, 2, n) + b".{%d}" % (4 * n) for n in counts]
    return b"(" + b"|".join((*branches, _octets(0))) + b")"


def _whole(code: int, unit: int) -> bytes:
    """Match an attribute of one or more units, or nothing."""
    lengths: Iterable[int] = range(unit, 256, unit)
    branches = (_octets(length) + b".{%d}" % length for length in lengths)
    return b"(?:" + _head(code) + b"(?:" + b"|".join(branches) + b"))?"


def _value(code: int) -> bytes:
    """Match an attribute of four octets and keep its value, or nothing."""
    return b"(?:" + _head(code, 4) + b"(.{4}))?"


# FRR sets Extended Length on AS_PATH whatever the size.
_EXTENDED_PATH = _octets(FLAGS[Attribute.AS_PATH] | 0x10, Attribute.AS_PATH, 0)

_EXPRESSION = re.compile(
    b"(?s:"
    + _head(Attribute.ORIGIN, 1)
    + b"[\\x00-\\x02](?:"
    + _head(Attribute.AS_PATH)
    + b"|"
    + _EXTENDED_PATH
    + b")"
    + _as_path()
    + _value(Attribute.NEXT_HOP)
    + _value(Attribute.MULTI_EXIT_DISC)
    + _value(Attribute.LOCAL_PREF)
    + b"((?:"
    + _head(Attribute.ATOMIC_AGGREGATE, 0)
    + b")?(?:"
    + _head(Attribute.AGGREGATOR, 8)
    # RFC 7607 §2: AS 0 aggregates nothing.
    + b"(?!\\x00{4}).{8})?"
    + _whole(Attribute.COMMUNITIES, 4)
    + b")((?:"
    + _head(Attribute.ORIGINATOR_ID, 4)
    + b".{4})?"
    + _whole(Attribute.CLUSTER_LIST, 4)
    + b")("
    + _whole(Attribute.EXTENDED_COMMUNITIES, 8)
    + _whole(Attribute.IPV6_EXTENDED_COMMUNITIES, 20)
    + b")("
    + _whole(Attribute.LARGE_COMMUNITIES, 12)
    + b"(?:"
    + _head(Attribute.ONLY_TO_CUSTOMER, 4)
    + b".{4})?))"
)


class _Match(Protocol):
    """What the expression gives."""

    def groups(self) -> UsualParts:
        """Give the parts."""


match_usual = cast("Callable[[bytes], _Match | None]", _EXPRESSION.fullmatch)
"""Match a usual set, of which `groups` are the parts; None for a set of any other shape."""


# hot: per attribute set
def usual(raw: bytes) -> UsualParts | None:
    """Take a usual set apart; None for a set of any other shape."""
    match = match_usual(raw)
    return None if match is None else match.groups()
