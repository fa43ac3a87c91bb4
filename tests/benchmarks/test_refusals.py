"""Blocks that a filter refuses: few, and with about the share of a table that is asked for."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from benchmarks.peers.refusals import choose
from benchmarks.table.blob import draw

pytestmark = pytest.mark.heavy


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize(("count", "share"), [(200, 0.01), (20_000, 0.01), (20_000, 0.5)])
def test_blocks_hold_about_what_is_asked_for(family: int, count: int, share: float) -> None:
    table = draw(count, family).prefixes
    refusals = choose(table, share, family)
    blocks = [ip_network(block) for block in refusals.blocks]
    width = 4 if family == 4 else 16
    inside = 0
    for prefix in table:
        address = int.from_bytes(prefix[1:].ljust(width, b"\0"), "big")
        inside += any(
            block.prefixlen <= prefix[0]
            and address >> 8 * width - block.prefixlen
            == int(block.network_address) >> 8 * width - block.prefixlen
            for block in blocks
        )
    assert inside == refusals.prefixes
    assert share * count <= inside <= 2 * share * count + 100
