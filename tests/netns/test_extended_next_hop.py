"""IPv4 between two Wrens whose links have IPv6 alone (RFC 8950), down to the packets.

Each has an IPv4 address on ``lo`` and a network of IPv4 behind; there are two links, and a session
over each, so that every route has two equal paths.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from lab import Family, Lab, RunningNode
from lab.faults import killed, link_down
from lab.kinds.wren import Wren
from lab.probes import kernel_routes, ping
from speaker.control.client import stream
from tests.support.commands import wren
from tests.support.labs import lab_of
from tests.support.pairs import becomes
from tests.support.watching import watched

pytestmark = pytest.mark.netns

BOTH = ("fd31:a::2", "fd31:b::2")
NETWORK = "10.2.0.0/24"


def topology(*, a: str = "on", b: str = "on") -> str:
    def node(number: int, other: int, keys: str) -> str:
        peers = "".join(
            f"""
      - address: "fd31:{link}::{other}"
        asn: {65000 + other}
        families: [ipv4, ipv6]
        hold_time: 9
        extra: "wren.bgp/extendedNextHop: {keys}"
"""
            for link in "ab"
        )
        return f"""
    kind: wren
    asn: {65000 + number}
    networks: [10.{number}.0.0/24, "fd00:{number}::/64"]
    addresses: [10.{number}.0.1/32, "fd00:{number}::1/128"]
    peers: {peers}"""

    return f"""
nodes:
  a: {node(1, 2, a)}
  b: {node(2, 1, b)}
links:
  - {{a: ["fd31:a::1/64"], b: ["fd31:a::2/64"]}}
  - {{a: ["fd31:b::1/64"], b: ["fd31:b::2/64"]}}
"""


@contextmanager
def two_wrens(**keys: str) -> Iterator[tuple[Lab, RunningNode, RunningNode]]:
    with lab_of(topology(**keys)) as lab:
        lab.wait_established(seconds=20)
        yield lab, lab.node("a"), lab.node("b")


def gateways(node: RunningNode) -> dict[str, tuple[str, ...]]:
    """Give the gateways of the IPv4 routes that are Wren's."""
    found = kernel_routes(node, Family.IPV4)
    return {p: route.gateways for p, route in found.items() if route.protocol == "bird"}


def test_packets_of_ipv4_cross_links_of_ipv6() -> None:
    with two_wrens() as (_, a, b):
        becomes("a has both ways", partial(gateways, a), {NETWORK: BOTH})
        back = ("fd31:a::1", "fd31:b::1")
        becomes("b has both ways", partial(gateways, b), {"10.1.0.0/24": back})
        shown = a.execute(["ip", "route", "show", NETWORK])
        assert shown.count("nexthop via inet6 fd31:") == 2
        arrives = partial(ping, a, "10.2.0.1", source="10.1.0.1")
        becomes("a ping is answered", arrives, wanted=True)
        with link_down(a, "eth0"):
            becomes("one way is left", partial(gateways, a), {NETWORK: BOTH[1:]})
            becomes("a ping is answered", arrives, wanted=True)
        becomes("both ways are back", partial(gateways, a), {NETWORK: BOTH})


def test_a_restart_adopts_routes_over_ipv6_gateways() -> None:
    with two_wrens() as (lab, a, _):
        becomes("a has both ways", partial(gateways, a), {NETWORK: BOTH})
        with watched(a) as watches:
            with killed(a):
                assert gateways(a) == {NETWORK: BOTH}
            lab.wait_established(seconds=20)
            becomes("a has both ways", partial(gateways, a), {NETWORK: BOTH})
        assert [line for line in watches["a"].removed if NETWORK in line] == []


MIXED = """
nodes:
  a:
    kind: wren
    asn: 65001
    networks: [10.1.0.0/24]
    addresses: [10.1.0.1/32]
    peers:
      - {address: 172.31.0.2, asn: 65002, hold_time: 9}
      - {address: "fd31::2", asn: 65002, families: [ipv4], hold_time: 9, extra: "ON"}
  b:
    kind: wren
    asn: 65002
    networks: [10.2.0.0/24]
    addresses: [10.2.0.1/32]
    peers:
      - {address: 172.31.0.1, asn: 65001, hold_time: 9}
      - {address: "fd31::1", asn: 65001, families: [ipv4], hold_time: 9, extra: "ON"}
links:
  - {a: [172.31.0.1/24], b: [172.31.0.2/24]}
  - {a: ["fd31::1/64"], b: ["fd31::2/64"]}
""".replace("ON", "wren.bgp/extendedNextHop: on")


def test_equal_paths_over_ipv4_and_ipv6_share_the_traffic() -> None:
    with lab_of(MIXED) as lab:
        lab.wait_established(seconds=20)
        a = lab.node("a")
        mixed = {NETWORK: ("172.31.0.2", "fd31::2")}
        becomes("a has both ways", partial(gateways, a), mixed)
        with watched(a) as watches:
            with killed(a):
                assert gateways(a) == mixed
            lab.wait_established(seconds=20)
            becomes("a has both ways", partial(gateways, a), mixed)
        assert [line for line in watches["a"].removed if NETWORK in line] == []
        arrives = partial(ping, a, "10.2.0.1", source="10.1.0.1")
        for dead, left in (("eth0", "fd31::2"), ("eth1", "172.31.0.2")):
            with link_down(a, dead):
                becomes("one way is left", partial(gateways, a), {NETWORK: (left,)})
                becomes("a ping is answered", arrives, wanted=True)
            becomes("both ways are back", partial(gateways, a), mixed)


def as_wren(node: RunningNode) -> Wren:
    assert isinstance(node.speaks, Wren)
    return node.speaks


def test_the_commands_show_what_was_agreed_and_where_packets_go() -> None:
    with two_wrens() as (_, a, _):
        becomes("a has both ways", partial(gateways, a), {NETWORK: BOTH})
        run_dir = ["--run-dir", str(as_wren(a).home)]
        [agreed] = (
            line.split(maxsplit=1)[1].strip()
            for line in wren("peer", *run_dir, BOTH[0]).stdout.splitlines()
            if line.strip().startswith("extendedNextHop")
        )
        assert agreed == "ipv4 unicast"
        shown = wren("routes", *run_dir, "--all", NETWORK).stdout
        for number, gateway in enumerate(BOTH):
            assert f"via: inet6 {gateway} dev eth{number}" in shown


def test_whoever_did_not_agree_gets_our_ipv4_address_for_the_next_hop() -> None:
    """No way leads to that address, as the links have no IPv4; but b can read it."""
    with two_wrens(b="off") as (_, a, b):
        told = partial(next_hops_told, as_wren(b))
        becomes("b has heard", told, {"10.1.0.0/24": {"10.1.0.1"}})
        assert gateways(a) == gateways(b) == {}


def next_hops_told(speaks: Wren) -> dict[str, set[str]]:
    """Give the next hops of all IPv4 paths that peers have told, by prefix."""
    found: dict[str, set[str]] = {}
    for chunk in stream(speaks.home, "routes", family="ipv4"):
        for route in chunk["routes"]:
            if route["peer"].startswith("Node_"):
                found.setdefault(route["prefix"], set()).add(route["nextHop"])
    return found
