"""Attribute sets of a full table, each different, with sizes and path lengths as a peer sends them.

Calibrated by the one peer with a full table in RouteViews JINX of 2014-05-30 (test data of
CAIDA/libbgpstream). Every path begins with `TEMPLATE_ASN`, and every IPv4 set has `TEMPLATE_NH4`
as next hop; `benchmarks.table.blob.retarget` puts another peer's in their place.
"""

from __future__ import annotations

import random
import struct
from ipaddress import ip_address
from typing import Final

from benchmarks.table.weighted import Weighted

TEMPLATE_ASN: Final = 4200000001
TEMPLATE_NH4: Final = "10.1.1.1"
TEMPLATE_NH6: Final = "fd00:1::1:1"

ASN_OCTETS: Final = TEMPLATE_ASN.to_bytes(4, "big")
NEXT_HOP_4: Final = b"\x40\x03\x04" + ip_address(TEMPLATE_NH4).packed
"""NEXT_HOP as it stands in each IPv4 set."""
NEXT_HOP_6: Final = b"\x00\x02\x01\x10" + ip_address(TEMPLATE_NH6).packed
"""Family and next hop as they stand in each MP_REACH_NLRI."""

# AS_PATH lengths with the peer's own AS, and with what is prepended.
_PATH_LENGTHS = {
    2: 25, 3: 225, 4: 430, 5: 180, 6: 65, 7: 33, 8: 18, 9: 10, 10: 6, 12: 4, 15: 2, 20: 1, 30: 0.2,
}  # fmt: skip

_TRANSITS = 400


class AttributeSets:
    """Draws attribute sets, MP_REACH_NLRI left out.

    Args:
        generator: decides everything but who there is in the Internet, which is always the same.
        family: 4 (with NEXT_HOP) or 6.
    """

    def __init__(self, generator: random.Random, family: int) -> None:
        self._generator = generator
        self._next_hop = NEXT_HOP_4 if family == 4 else b""
        self._drawn: set[bytes] = set()
        internet = random.Random(0xA5)
        two_octets = internet.sample(range(1000, 64000), 45000)
        four_octets = internet.sample(range(131072, 400000), 35000)
        self._origins = two_octets + four_octets
        self._transits = [internet.choice(two_octets) for _ in range(_TRANSITS)]
        self._by_size = Weighted({rank: 1 / (rank + 1) for rank in range(_TRANSITS)})
        self._lengths = Weighted(_PATH_LENGTHS)

    def draw(self) -> bytes:
        """Draw a set that was not drawn before."""
        while (octets := self._one()) in self._drawn:
            pass
        self._drawn.add(octets)
        return octets

    def _one(self) -> bytes:
        chance = self._generator.random
        path = self._path()
        origin_as, neighbor = path[-1], path[1] & 0xFFFF
        lot = chance()
        origin = 0 if lot < 0.93 else 2 if lot < 0.998 else 1
        parts = [b"\x40\x01\x01" + bytes((origin,)), _as_path(path), self._next_hop]
        if chance() < 0.30:
            parts.append(b"\x80\x04\x04" + struct.pack("!I", int(chance() ** 3 * 3000)))
        if chance() < 0.13:
            parts.append(self._aggregate(origin_as))
        if chance() < 0.36:
            parts.append(self._communities(neighbor))
        if chance() < 0.02:
            value = struct.pack("!HI", neighbor, self._generator.getrandbits(16))
            parts.append(b"\xc0\x10\x08\x00\x02" + value)
        if chance() < 0.08:
            parts.append(self._large_communities(origin_as))
        return b"".join(parts)

    def _path(self) -> list[int]:
        chance = self._generator.random
        length = self._lengths.pick(self._generator)
        origin_as = self._origins[int(chance() ** 1.5 * len(self._origins))]
        between = [self._transits[self._by_size.pick(self._generator)] for _ in range(length - 2)]
        path = [TEMPLATE_ASN, *between, origin_as]
        if length > 5 or chance() < 0.04:
            # Prepending is what makes paths long.
            last = length - 1
            for place in range(last, max(1, last - int(chance() * (length - 2))), -1):
                path[place] = origin_as
        return path

    def _aggregate(self, asn: int) -> bytes:
        atomic = b"\x40\x06\x00" if self._generator.random() < 0.6 else b""
        return atomic + b"\xc0\x07\x08" + struct.pack("!II", asn, self._generator.getrandbits(32))

    def _communities(self, asn: int) -> bytes:
        wanted = 2 + int(self._generator.random() ** 2 * 9)
        values = {asn << 16 | self._generator.getrandbits(12) for _ in range(wanted)}
        octets = struct.pack(f"!{len(values)}I", *sorted(values))
        return b"\xc0\x08" + bytes((len(octets),)) + octets

    def _large_communities(self, asn: int) -> bytes:
        wanted = 1 + int(self._generator.random() * 4)
        bits = self._generator.getrandbits
        octets = b"".join(
            sorted({struct.pack("!III", asn, bits(8), bits(14)) for _ in range(wanted)})
        )
        return b"\xc0\x20" + bytes((len(octets),)) + octets


def _as_path(path: list[int]) -> bytes:
    count = len(path)
    value = struct.pack(f"!BB{count}I", 2, count, *path)
    if len(value) < 256:
        return b"\x40\x02" + bytes((len(value),)) + value
    return b"\x50\x02" + struct.pack("!H", len(value)) + value
