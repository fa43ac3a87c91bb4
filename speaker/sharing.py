"""Who shares the traffic to a prefix, and how: the next hops of equal paths, with their weights.

`Members` is what makes a *way*: paths that lead through the same next hops, with the same weights,
lead one way, and the kernel keeps one object for it. A peer's weight (`Source.weight`) says how
much its next hops take beside others; only what the weights are to each other matters, so they are
kept in their lowest terms. A next hop that is resolved over several hops brings the weights that
these have among themselves.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from math import gcd
from typing import NamedTuple

from fsm.family import Afi
from policy.path import Hop, NextHop
from speaker.kernel.nexthops import MAX_WEIGHT


class Members(NamedTuple):
    """What makes a way.

    Attributes:
        tunnel: packets go through Calico's tunnel device.
        next_hops: that share the traffic.
        weights: those above 1, where they are in their lowest terms.
    """

    afi: Afi
    tunnel: bool
    next_hops: frozenset[NextHop]
    weights: frozenset[tuple[NextHop, int]] = frozenset()

    @classmethod
    def of(cls, afi: Afi, tunnel: bool, shares: Mapping[NextHop, int]) -> Members:
        """Make the one that stands for these weights."""
        unit = gcd(*shares.values())
        weights = ((next_hop, weight // unit) for next_hop, weight in shares.items())
        heavy = frozenset((next_hop, weight) for next_hop, weight in weights if weight > 1)
        return cls(afi, tunnel, frozenset(shares), heavy)

    @property
    def shares(self) -> dict[NextHop, int]:
        """Give the weight of each next hop."""
        return {**dict.fromkeys(self.next_hops, 1), **dict(self.weights)}

    def without(self, dead: Collection[NextHop]) -> Members:
        """Leave out those that are dead or unreachable, unless all are."""
        if len(self.next_hops) == 1:
            return self
        left = {one for one in self.next_hops if one.reachable and one not in dead}
        if not left or left == self.next_hops:
            return self
        shares = {one: weight for one, weight in self.shares.items() if one in left}
        return Members.of(self.afi, self.tunnel, shares)

    def hops(self) -> tuple[Hop, ...]:
        """Give the ways out, with weights that the kernel can take."""
        if not self.weights:
            return tuple(dict.fromkeys(hop for one in self.next_hops for hop in one.hops))
        return _fitting(
            (hop, weight * hop.weight)
            for next_hop, weight in self.shares.items()
            for hop in next_hop.hops
        )

    def far_ends(self, interface: int, name: str) -> tuple[Hop, ...]:
        """Give the ways through a tunnel, where the next hops themselves are the gateways.

        These are IPv4 ones: with an IPv6 gateway (RFC 8950) the device would take the packet's own
        destination for it.
        """
        return _fitting(
            (Hop(interface, next_hop.address, name), weight)
            for next_hop, weight in self.shares.items()
            if len(next_hop.address) == 4
        )


def _fitting(weighted: Iterable[tuple[Hop, int]]) -> tuple[Hop, ...]:
    """Sum the weights of each way out, and scale them down to what fits."""
    sums: dict[tuple[int, bytes, str], int] = {}
    for hop, weight in weighted:
        key = (hop.interface, hop.gateway, hop.interface_name)
        sums[key] = sums.get(key, 0) + weight
    scale = max(1.0, max(sums.values(), default=0) / MAX_WEIGHT)
    return tuple(Hop(*key, max(1, round(weight / scale))) for key, weight in sums.items())
