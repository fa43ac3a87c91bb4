"""Wren beside every other speaker: the same story with each, eBGP and iBGP, IPv4 and IPv6.

A speaker that is not installed fails its tests: that the sessions work cannot be said without it.
"""

from __future__ import annotations

import pytest

from lab import Family
from lab.faults import killed
from tests.support.labs import lab_of, two_nodes
from tests.support.pairs import OWN, THEIRS, Pair, becomes

pytestmark = [pytest.mark.interop, pytest.mark.netns]

KINDS = ("bird", "frr", "gobgp", "openbgpd", "exabgp", "wren")

KEEP_OURS = ("bird", "frr", "openbgpd", "wren")
"""Those that keep the routes of a peer that restarts gracefully (RFC 4724 §4.2), as they come."""

BIG_AS, BIGGER_AS = 4200000001, 4200000002


@pytest.mark.parametrize("asn", [pytest.param(65002, id="ebgp"), pytest.param(65001, id="ibgp")])
@pytest.mark.parametrize("kind", KINDS)
def test_routes_come_and_go_with_each_kind(kind: str, asn: int) -> None:
    with lab_of(two_nodes(kind, asn)) as lab:
        pair = Pair(lab)
        pair.agree()
        pair.come_and_go()
        # Of the others none says that its routes may be kept while it restarts.
        stays_here = pair.wren_keeps if kind == "wren" else pair.wren_forgets
        with killed(pair.other):
            for family in Family:
                stays_here(THEIRS[family][0], family)
        pair.agree()
        stays_there = pair.other_keeps if kind in KEEP_OURS else pair.other_forgets
        with killed(pair.wren):
            for family in Family:
                stays_there(OWN[family][0], family)
        pair.agree()


@pytest.mark.parametrize("kind", KINDS)
def test_either_end_may_be_passive_and_as_numbers_may_be_long(kind: str) -> None:
    peerings = """
  - {between: [wren, other], families: [ipv4], passive: wren, hold_time: 9}
  - {between: [wren, other], families: [ipv6], passive: other, hold_time: 9}
"""
    topology = two_nodes(kind, BIGGER_AS).replace("65001", str(BIG_AS))
    head, _, _ = topology.partition("\nbgp:")
    with lab_of(f"{head}\nbgp:{peerings}") as lab:
        pair = Pair(lab)
        pair.agree()
        assert connections_from(pair) == {"ipv4": {"172.31.0.2"}, "ipv6": {"fd31::1"}}


@pytest.mark.parametrize("kind", ["wren", "bird"])
def test_two_ends_that_both_connect_keep_one_connection(kind: str) -> None:
    with lab_of(two_nodes(kind, 65002)) as lab:
        pair = Pair(lab)
        pair.agree()
        for _ in range(3):
            for node in (pair.wren, pair.other):
                node.kill()
            for node in (pair.wren, pair.other):
                node.launch()
            for node in (pair.wren, pair.other):
                node.wait_for_answer()
            pair.agree()
            becomes(
                "one connection a session",
                lambda: {f: len(ends) for f, ends in connections_from(pair).items()},
                {"ipv4": 1, "ipv6": 1},
            )


def connections_from(pair: Pair) -> dict[str, set[str]]:
    """Tell which ends opened the connections between the two: theirs is not port 179."""
    found: dict[str, set[str]] = {"ipv4": set(), "ipv6": set()}
    listing = pair.wren.execute(["ss", "-Htn", "state", "established"])
    for line in listing.splitlines():
        for end in line.split()[-2:]:
            address, _, port = end.rpartition(":")
            if port != "179":
                address = address.strip("[]")
                found["ipv6" if ":" in address else "ipv4"].add(address)
    return found
