"""IPv4 routes over IPv6 next hops (RFC 8950) beside BIRD, FRR and GoBGP, into both kernels.

The link between the two has IPv6 addresses alone. Each end announces a network of IPv4 and has an
address of it on ``lo``; where both have a hand in their kernels, a ping crosses.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from ipaddress import ip_network

import pytest

from lab import Family, Lab, RunningNode
from lab.kinds import Route
from lab.kinds.wren import Wren
from lab.probes import kernel_routes, ping
from tests.support.labs import lab_of
from tests.support.pairs import becomes

pytestmark = [pytest.mark.interop, pytest.mark.netns]

WREN, OTHER = "fd31::1", "fd31::2"
ONE_MORE = ip_network("10.77.0.0/16")

SPEAKS = {
    "bird": "ipv4 extended next hop on;",
    "frr": "capability extended-nexthop",
    # It is offered on every IPv6 session that carries IPv4.
    "gobgp": "",
}
SILENT = {"bird": "", "frr": "no capability extended-nexthop"}


def topology(kind: str, asn: int, theirs: str, ours: str = "on") -> str:
    return f"""
nodes:
  wren:
    kind: wren
    asn: 65001
    networks: [10.1.0.0/24, "fd00:1::/64"]
    addresses: [10.1.0.1/32, "fd00:1::1/128"]
    peers:
      - address: "{OTHER}"
        asn: {asn}
        families: [ipv4, ipv6]
        hold_time: 9
        extra: "wren.bgp/extendedNextHop: {ours}"
  other:
    kind: {kind}
    asn: {asn}
    networks: [10.2.0.0/24, "fd00:2::/64"]
    addresses: [10.2.0.1/32, "fd00:2::1/128"]
    peers:
      - address: "{WREN}"
        asn: 65001
        families: [ipv4, ipv6]
        hold_time: 9
        extra: "{theirs}"
links:
  - wren: ["{WREN}/64"]
    other: ["{OTHER}/64"]
"""


@contextmanager
def beside(text: str) -> Iterator[tuple[Lab, RunningNode, RunningNode]]:
    with lab_of(text) as lab:
        lab.wait_established(seconds=20)
        yield lab, lab.node("wren"), lab.node("other")


def over_ipv6(node: RunningNode, prefix: str) -> bool:
    """Tell whether a node's kernel has an IPv4 route over IPv6 gateways."""
    return "via inet6 f" in node.execute(["ip", "-4", "route", "show", prefix])


def on_link(node: RunningNode) -> set[str]:
    """Give the addresses of a node on the link."""
    said = node.execute(["ip", "-j", "-6", "address", "show", "dev", "eth0"])
    [link] = (each for each in json.loads(said) if each)
    return {address["local"] for address in link["addr_info"]}


def learned(node: RunningNode, teller: RunningNode, prefix: str) -> None:
    """A prefix comes into a node's table, and into its kernel over the teller's IPv6 address."""
    becomes(
        f"{node.name} learns {prefix}",
        lambda: node.routes(Family.IPV4).get(prefix, Route("")).next_hop in on_link(teller),
        wanted=True,
    )
    if node.speaks.programs_kernel:
        becomes(f"{node.name} has it in its kernel", partial(over_ipv6, node, prefix), wanted=True)
        assert set(kernel_routes(node, Family.IPV4)[prefix].gateways) <= on_link(teller)


def gone(node: RunningNode, prefix: str) -> None:
    becomes("it leaves the table", lambda: prefix in node.routes(Family.IPV4), wanted=False)
    if node.speaks.programs_kernel:
        becomes("and the kernel", partial(over_ipv6, node, prefix), wanted=False)


def agree(wren: RunningNode, other: RunningNode) -> None:
    """Both have the other's network, and a packet goes to and fro."""
    learned(wren, other, "10.2.0.0/24")
    learned(other, wren, "10.1.0.0/24")
    if other.speaks.programs_kernel:
        arrives = partial(ping, wren, "10.2.0.1", source="10.1.0.1")
        becomes("a ping is answered", arrives, wanted=True)


def come_and_go(wren: RunningNode, other: RunningNode) -> None:
    """Each announces one prefix more, and withdraws it."""
    for teller, hearer in ((wren, other), (other, wren)):
        teller.announce(ONE_MORE)
        learned(hearer, teller, str(ONE_MORE))
        teller.withdraw(ONE_MORE)
        gone(hearer, str(ONE_MORE))


@pytest.mark.parametrize("asn", [65001, 65002], ids=["iBGP", "eBGP"])
@pytest.mark.parametrize("kind", list(SPEAKS))
def test_ipv4_goes_over_ipv6_next_hops_both_ways(kind: str, asn: int) -> None:
    with beside(topology(kind, asn, SPEAKS[kind])) as (_, wren, other):
        agree(wren, other)
        assert isinstance(wren.speaks, Wren)
        status = wren.speaks.status()
        assert status is not None
        assert status["peers"][0]["negotiated"]["extendedNextHop"] == ["ipv4 unicast"]
        come_and_go(wren, other)


@pytest.mark.parametrize(("ours", "silent"), [("off", ""), ("on", "silent")])
@pytest.mark.parametrize("kind", list(SILENT))
def test_where_one_end_does_not_agree_no_ipv4_route_has_an_ipv6_next_hop(
    kind: str, ours: str, silent: str
) -> None:
    theirs = SILENT[kind] if silent else SPEAKS[kind]
    with beside(topology(kind, 65002, theirs, ours)) as (_, wren, other):
        becomes(
            "the other hears of IPv6",
            lambda: "fd00:1::/64" in other.routes(Family.IPV6),
            wanted=True,
        )
        becomes("and we do", lambda: "fd00:2::/64" in wren.routes(Family.IPV6), wanted=True)
        for node in (wren, other):
            assert "inet6" not in node.execute(["ip", "-4", "route"])
            assert not {r.next_hop for r in node.routes(Family.IPV4).values()} & {WREN, OTHER}
