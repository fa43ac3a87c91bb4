"""IP pools that share addresses, which Calico's controller does not let happen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from speaker.config.resources import IPPool


def overlapping(pools: Iterable[IPPool]) -> Iterator[tuple[IPPool, IPPool]]:
    """Give each pool that shares addresses with one before it in the order of addresses.

    Returns:
        Pairs of the pool and the one that has its addresses already.
    """
    widest: IPPool | None = None
    for pool in sorted(pools, key=_order):
        if widest is not None and pool.name != widest.name and _overlap(widest, pool):
            yield pool, widest
        else:
            widest = pool


def _order(pool: IPPool) -> tuple[int, int, int, str]:
    cidr = pool.spec.cidr
    return cidr.version, int(cidr.network_address), cidr.prefixlen, pool.name


def _overlap(first: IPPool, second: IPPool) -> bool:
    one, other = first.spec.cidr, second.spec.cidr
    # Sorted, the second can only lie in the first.
    starts_inside = int(one.broadcast_address) >= int(other.network_address)
    return one.version == other.version and starts_inside
