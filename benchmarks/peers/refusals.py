"""Which prefixes a filter refuses so that about so much of a table changes its verdict.

Blocks of addresses are taken, evenly over the table, until they hold as many prefixes as wanted; a
rule names each. What the daemon is to do with them is its kind's affair
(`benchmarks.peers.daemons.Daemon.refuse`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

BITS = {4: 11, 6: 26}
"""By family, the length of a block: about a thousandth of a full table lies in one."""


@dataclass(frozen=True, slots=True)
class Refusals:
    """Blocks of addresses.

    Attributes:
        blocks: as people write them.
        prefixes: how many of the table lie in them.
    """

    blocks: tuple[str, ...]
    prefixes: int


def choose(prefixes: Iterable[bytes], share: float, family: int) -> Refusals:
    """Choose blocks that hold about such a share of a table, and one prefix at least.

    Args:
        prefixes: packed: a length, and the octets that it needs.
        share: of 1.
        family: 4 or 6.
    """
    bits = BITS[family]
    held: Counter[int] = Counter()
    total = 0
    for prefix in prefixes:
        total += 1
        if prefix[0] >= bits:
            held[int.from_bytes(prefix[1:5].ljust(4, b"\0"), "big") >> 32 - bits] += 1
    wanted = max(1, round(total * share))
    every = sorted(held)
    stride = max(1, int(1 / share))
    order = [block for start in range(stride) for block in every[start::stride]]
    chosen: list[int] = []
    count = 0
    for block in order:
        if count >= wanted:
            break
        chosen.append(block)
        count += held[block]
    return Refusals(tuple(_words(block, bits, family) for block in sorted(chosen)), count)


def _words(block: int, bits: int, family: int) -> str:
    if family == 4:
        return str(IPv4Network((block << 32 - bits, bits)))
    return str(IPv6Network((block << 128 - bits, bits)))
