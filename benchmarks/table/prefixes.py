"""Prefixes of a full table, as a tier-1 network has them in 2025: lengths, clusters, no bogons.

`draw` gives groups of packed prefixes; a group is what one attribute set announces, and lies close
together in address space. Half of the groups have one prefix, the rest follow a Pareto
distribution (about five on average). Lengths are weighted as in
github.com/gaissmai/iprbench, testdata/prefixes.txt.gz.
"""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Callable

from benchmarks.table.weighted import Weighted

# Longer than /24 and than /48 is left out.
_LENGTHS_4 = {
    8: 16, 9: 13, 10: 38, 11: 103, 12: 299, 13: 581, 14: 1203, 15: 2100, 16: 13490,
    17: 8235, 18: 13798, 19: 24870, 20: 42611, 21: 50750, 22: 108623, 23: 96510, 24: 537698,
}  # fmt: skip
_LENGTHS_6 = {
    48: 75488, 32: 22548, 44: 14365, 40: 13418, 36: 5996, 29: 4371, 47: 3153, 46: 3039,
    33: 2926, 34: 2603, 42: 2301, 38: 1617, 45: 1553, 39: 1377, 35: 1043, 43: 1001,
    41: 903, 37: 880, 30: 650, 31: 284,
}  # fmt: skip

_NOT_ROUTED = [
    (int(network.network_address), int(network.broadcast_address))
    for network in map(
        ipaddress.IPv4Network,
        (
            "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
            "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16",
            "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",
        ),
    )
]  # fmt: skip

_LARGEST = 3000
_PATIENCE = 50
"""Tries after which a group that found no new prefix looks elsewhere."""


def draw(count: int, family: int, generator: random.Random) -> list[list[bytes]]:
    """Draw so many different prefixes, in groups.

    Args:
        count: of prefixes in all.
        family: 4 or 6.
        generator: decides everything.
    """
    walk = _Walk(family, generator)
    groups: list[list[bytes]] = []
    left = count
    while left:
        size = min(_size(generator), left)
        groups.append(walk.group(size))
        left -= size
    return groups


def _size(generator: random.Random) -> int:
    if generator.random() < 0.5:
        return 1
    return min(_LARGEST, int(2 * (1 - generator.random()) ** (-1 / 1.2)))


def is_routed(network: int, width: int) -> bool:
    """Tell whether an IPv4 block of so many addresses may stand in the global table."""
    last = network + width - 1
    return not any(first <= last and network <= end for first, end in _NOT_ROUTED)


class _Walk:
    """Steps from prefix to prefix, mostly to a neighbour."""

    def __init__(self, family: int, generator: random.Random) -> None:
        self._generator = generator
        self._is_ipv4 = family == 4
        self._bits = 32 if family == 4 else 128
        self._lengths = Weighted(_LENGTHS_4 if family == 4 else _LENGTHS_6)
        self._elsewhere: Callable[[], int] = self._ipv4 if family == 4 else self._ipv6
        self._seen: set[tuple[int, int]] = set()

    def _ipv4(self) -> int:
        return self._generator.getrandbits(32)

    def _ipv6(self) -> int:
        # 2000::/4, in sparse /24s as registries give out.
        bits = self._generator.getrandbits
        return (0x2 << 124 | bits(20) << 104) | bits(24) << 80

    def group(self, size: int) -> list[bytes]:
        at = self._elsewhere()
        group: list[bytes] = []
        tries = 0
        while len(group) < size:
            length = self._lengths.pick(self._generator)
            shift = self._bits - length
            network = at >> shift << shift
            at = self._next(network, 1 << shift)
            tries += 1
            if self._is_ipv4 and not is_routed(network, 1 << shift):
                at = self._elsewhere()
            elif (network, length) not in self._seen:
                self._seen.add((network, length))
                octets = network.to_bytes(self._bits // 8, "big")
                group.append(bytes((length,)) + octets[: length + 7 >> 3])
            elif tries > _PATIENCE:
                at, tries = self._elsewhere(), 0
        return group

    def _next(self, network: int, step: int) -> int:
        """Go on: networks of one origin lie close together, now and then in another block."""
        generator = self._generator
        gap = generator.getrandbits(3) if generator.random() < 0.5 else 0
        at = network + step * (1 + gap)
        if generator.random() < 0.08 or at >> self._bits:
            return self._elsewhere()
        return at
