"""The inside of a flow specification: whether its components are in order.

Nothing here is used to filter packets. A malformed specification that is passed on may cost another
speaker its session, so it is treated as withdrawn where it comes in (RFC 8955 §10).

Standards: RFC 8955 §4.2, §8, §10; RFC 8956 §3.
"""

from __future__ import annotations

from fsm.family import Afi
from policy.prefix import WIDTH

_END, _LENGTH = 0x80, 0x30
"""In an operator: the last of its component, and how many octets its value has (as a power)."""

_DESTINATION, _SOURCE = 1, 2
_HIGHEST = {Afi.IPV4: 12, Afi.IPV6: 13}
"""The last component that is defined."""

_WIDEST_VALUE = {3: 1, 4: 2, 5: 2, 6: 2, 7: 1, 8: 1, 9: 2, 10: 2, 11: 1, 12: 2, 13: 4}
"""How many octets the values of a component need; more may be there if they are zero."""


def flaw(afi: Afi, components: bytes) -> str:
    """Say what is wrong with the components of a flow specification; empty if nothing is.

    Args:
        afi: of the packets it is about.
        components: what stands behind the length, and behind the Route Distinguisher of a VPN.
    """
    if not components:
        return "no component"
    at, last = 0, 0
    while at < len(components):
        kind = components[at]
        if not last < kind <= _HIGHEST[afi]:
            return f"component {kind} behind {last}" if kind <= last else f"component {kind}"
        after = (
            _prefix(afi, components, at + 1)
            if kind in (_DESTINATION, _SOURCE)
            else _operations(components, at + 1, _WIDEST_VALUE[kind])
        )
        if not at < after <= len(components):
            return f"component {kind} is cut off, or out of its range"
        at, last = after, kind
    return ""


def _prefix(afi: Afi, octets: bytes, at: int) -> int:
    """Find the end of a prefix, 0 where it is none; IPv6 has an offset too (RFC 8956 §3.1)."""
    length = octets[at] if at < len(octets) else 0xFF
    if afi is Afi.IPV4:
        return at + 1 + (length + 7 >> 3) if length <= WIDTH[afi] else 0
    offset = octets[at + 1] if at + 1 < len(octets) else 0xFF
    if not offset < length <= WIDTH[afi] and length + offset:
        return 0
    return at + 2 + (length - offset + 7 >> 3)


def _operations(octets: bytes, at: int, widest: int) -> int:
    """Find the end of a list of operators and values (RFC 8955 §4.2.1), 0 where it has none."""
    while at < len(octets):
        operator = octets[at]
        after = at + 1 + (1 << ((operator & _LENGTH) >> 4))
        if any(octets[at + 1 : after - widest]):
            return 0
        at = after
        if operator & _END:
            return at
    return 0
