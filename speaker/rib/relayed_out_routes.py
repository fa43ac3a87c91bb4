"""What paths of relayed families become on their way out: what is sent is key and rest together.

The table of a group has the keys (`speaker.wire.relay`); the rest of a route stands in its path.
What withdraws is made of the key alone, and since NLRI may have any length, each is counted.

Standards: RFC 4271 §9.1.3; RFC 4760 §3, §4; RFC 8654 §4; RFC 8950 §4.
"""

from __future__ import annotations

from fsm.family import WITH_EITHER_NEXT_HOP
from policy.attributes import OPTIONAL, Attribute, PathAttributes, tlv
from policy.operations import Operation
from policy.outbound import GroupKey, Outbound
from policy.path import Path, RelayedPath
from policy.prefix import Nlri
from speaker.rib.out_routes import OutRoute, OutRoutes
from speaker.wire.framing import HEADER_LENGTH, UPDATE, message
from speaker.wire.relay import RULES, slices

_FIELDS = 4
"""Octets of the two lengths of an UPDATE."""

_HEAD = 4
"""Octets in front of the value of an attribute whose length takes two."""


class RelayedOutRoutes(OutRoutes):
    """The OutRoutes of one group, for a family that is relayed."""

    __slots__ = ("_last",)

    def __init__(self, key: GroupKey) -> None:
        super().__init__(key)
        self._last: tuple[PathAttributes, Outbound] | None = None

    def _make(self, path: Path, operations: tuple[Operation, ...]) -> OutRoute | None:
        outbound = self._rewritten(path, operations)
        address = _address(outbound.next_hop)
        if not self._reads(address) or self._room(outbound.raw, outbound.next_hop) <= 0:
            return None
        return self._keep_in_mind(OutRoute(path, outbound.raw, outbound.next_hop, address))

    def _rewritten(self, path: Path, operations: tuple[Operation, ...]) -> Outbound:
        """Make the attributes; paths that differ in their rest alone follow each other, and share.

        No rule of an operator changes any, so that the path's own attributes decide.
        """
        if self._last is None or self._last[0] is not path.attributes:
            outbound = self._rewrite(path, operations)
            self._octets += len(outbound.raw)
            self._last = (path.attributes, outbound)
        return self._last[1]

    def says_the_same(self, one: OutRoute, other: OutRoute) -> bool:
        """Tell whether a peer that has heard the one need not be told the other."""
        assert isinstance(one.path, RelayedPath)
        assert isinstance(other.path, RelayedPath)
        return one.path.rest == other.path.rest and super().says_the_same(one, other)

    def _reads(self, address: bytes) -> bool:
        """Tell whether the members know what to do with a next hop (RFC 8950 §4)."""
        asks = len(address) == 16 and self.key.family in WITH_EITHER_NEXT_HOP
        return self.key.extended_next_hop or not asks

    def _room(self, attributes: bytes, next_hop: bytes) -> int:
        """Tell how many octets of NLRI fit beside an attribute set."""
        beside = HEADER_LENGTH + _FIELDS + len(attributes) + _HEAD + 5 + len(next_hop)
        return self.key.max_message - beside

    def pack(self, out: OutRoute, nlris: list[Nlri]) -> list[bytes]:
        """Make the messages that tell routes, given by their keys."""
        assert isinstance(out.path, RelayedPath)
        rule, rest = RULES[self.key.family], out.path.rest
        room = self._room(out.attributes, out.next_hop)
        sent: list[bytes] = []
        too_long: list[Nlri] = []
        for key in nlris:
            whole = rule.join(key, rest)
            if len(whole) <= room:
                sent.append(whole)
            else:
                too_long.append(key)
        family = self.key.family.afi.to_bytes(2, "big") + bytes((self.key.family.safi,))
        front = family + bytes((len(out.next_hop),)) + out.next_hop + b"\0"
        # RFC 8654 §4: what does not fit the peer's messages is withdrawn.
        return self.withdrawals(too_long) + [
            _update(Attribute.MP_REACH_NLRI, front + block, out.attributes)
            for block in slices(sent, room)
        ]

    def withdrawals(self, nlris: list[Nlri]) -> list[bytes]:
        """Make the messages that withdraw what stands in the table under these keys."""
        rule = RULES[self.key.family]
        family = self.key.family.afi.to_bytes(2, "big") + bytes((self.key.family.safi,))
        room = self.key.max_message - HEADER_LENGTH - _FIELDS - _HEAD - len(family)
        # One that is longer was never told.
        sent = [whole for key in nlris if len(whole := rule.withdrawal(key)) <= room]
        return [_update(Attribute.MP_UNREACH_NLRI, family + block) for block in slices(sent, room)]


def _update(code: Attribute, value: bytes, attributes: bytes = b"") -> bytes:
    whole = tlv(OPTIONAL, code, value) + attributes
    return message(UPDATE, b"\0\0" + len(whole).to_bytes(2, "big") + whole)


def _address(next_hop: bytes) -> bytes:
    """Find the address in a next hop: the first, without a Route Distinguisher."""
    if len(next_hop) in (12, 24, 48):
        return next_hop[8 : 12 if len(next_hop) == 12 else 24]
    return next_hop[:16]
