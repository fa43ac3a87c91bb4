"""How a next hop was resolved, in words: one sentence for each thing that can be found."""

from __future__ import annotations

import pytest

from policy.path import NextHop
from policy.prefix import parse_prefix
from speaker.rib.next_hops import NextHopTable
from speaker.rib.resolving import Resolving
from speaker.rib.underlay import KernelRoute, Link, RouteKind
from tests.speaker.rib.test_next_hops import addr, direct, route, table

CONNECTED = route("10.1.0.0/24", (1, ""))


def underlay() -> NextHopTable:
    made = table(
        CONNECTED,
        route("10.2.0.0/16", (1, "10.1.0.254")),
        route("10.3.0.0/16", (0, "10.2.0.9")),
        route("10.4.0.0/16", (2, "")),
        route("10.6.0.0/16", (0, "10.6.0.1")),
        KernelRoute(parse_prefix("10.5.0.0/16")[1], RouteKind.BLACKHOLE),
    )
    made.update(links=[Link(2, "eth1", is_up=False)])
    return made


def sentences(next_hops: NextHopTable, next_hop: NextHop) -> list[str]:
    return [str(step) for step in next_hops.explain(next_hop)]


BEHIND = "10.2.0.9 is behind 10.1.0.254 on eth0, by the route 10.2.0.0/16"

CASES: dict[str, tuple[list[str], Resolving]] = {
    "10.1.0.9": (["10.1.0.9 is on the link eth0"], Resolving.ON_LINK),
    "10.2.0.9": ([BEHIND], Resolving.BY_GATEWAY),
    "10.3.0.9": (
        ["10.3.0.9 is behind 10.2.0.9, by the route 10.3.0.0/16", BEHIND],
        Resolving.RECURSIVE,
    ),
    "10.4.0.9": (["10.4.0.9 would leave by eth1, which is down"], Resolving.LINK_DOWN),
    "10.5.0.9": (["10.5.0.9 is behind 10.5.0.0/16, which is blackhole"], Resolving.DEAD_END),
    "10.1.0.1": (["10.1.0.1 is an address of this node"], Resolving.OWN),
    "192.0.2.1": (["the kernel has no route to 192.0.2.1"], Resolving.NO_ROUTE),
    "0.0.0.0": (["there is no address"], Resolving.NONE),
    "fe80::9": (
        ["fe80::9 is a link-local address, and its link is not known"],
        Resolving.NO_LINK,
    ),
}


@pytest.mark.parametrize("address", CASES)
def test_what_is_found_at_an_address(address: str) -> None:
    next_hops = underlay()
    next_hop = next_hops.intern(addr(address))
    words, found = CASES[address]
    assert sentences(next_hops, next_hop) == words
    assert found in {step.found for step in next_hops.explain(next_hop)}


def test_a_loop_of_gateways_ends_somewhere() -> None:
    next_hops = underlay()
    found = next_hops.explain(next_hops.intern(addr("10.6.0.9")))
    assert found[-1].found is Resolving.TOO_DEEP
    assert str(found[-1]) == "10.6.0.1 is behind too many gateways, or behind itself"


def test_a_peer_stands_in_for_next_hops_that_are_on_no_link() -> None:
    next_hops = underlay()
    assert sentences(next_hops, direct(next_hops, "192.0.2.1")) == [
        "192.0.2.1 is behind the peer 10.1.0.9 on eth0, as its gatewayMode says"
    ]
    assert sentences(next_hops, direct(next_hops, "10.1.0.7")) == ["10.1.0.7 is on the link eth0"]
    assert sentences(next_hops, direct(next_hops, "10.1.0.1")) == [
        "10.1.0.1 is an address of this node"
    ]


def test_the_link_local_address_beside_a_global_one() -> None:
    next_hops = underlay()
    beside = next_hops.intern(addr("2001:db8::9"), 1, addr("fe80::9"))
    assert sentences(next_hops, beside) == [
        "the kernel has no route to 2001:db8::9",
        "the link-local address beside it is taken",
        "fe80::9 is on the link eth0",
    ]
    down = next_hops.intern(addr("fe80::9"), 2)
    assert sentences(next_hops, down) == ["fe80::9 would leave by eth1, which is down"]


def test_without_a_kernel_there_is_nothing_to_look_up() -> None:
    trusting = NextHopTable(trusting=True)
    [step] = trusting.explain(trusting.intern(addr("10.1.0.9")))
    assert str(step) == "10.1.0.9 counts as reachable: there is no kernel to ask"
    assert trusting.explain(NextHop(b"")) == []


ELSEWHERE = {Resolving.TOO_DEEP, Resolving.PEER, Resolving.BESIDE, Resolving.TRUSTED}
"""What the tests above look for besides."""


def test_everything_that_can_be_found_has_its_test() -> None:
    assert {found for _, found in CASES.values()} | ELSEWHERE == set(Resolving)
