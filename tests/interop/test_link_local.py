"""Sessions between link-local addresses beside BIRD, FRR and GoBGP, with IPv4 over them.

The link has the addresses fe80::1 and fe80::2 and no other. IPv4 routes (RFC 8950) and IPv6 ones
have those for next hops, in both kernels.
"""

from __future__ import annotations

import json
from functools import partial

import pytest

from lab import Family, RunningNode
from lab.probes import kernel_routes, ping, wait_until
from speaker.control.client import ask
from tests.support.labs import lab_of
from tests.support.link_local import advertise_router, begin_again
from tests.support.pairs import becomes

pytestmark = [pytest.mark.interop, pytest.mark.netns]

SPEAKS = {
    # Within an AS it would look for us behind routers.
    "bird": r"direct;\nipv4 extended next hop on;",
    "frr": "capability extended-nexthop",
    # It is offered on every IPv6 session that carries IPv4.
    "gobgp": "",
}
OWN = {Family.IPV4: "10.1.0.0/24", Family.IPV6: "fd00:1::/64"}
THEIRS = {Family.IPV4: "10.2.0.0/24", Family.IPV6: "fd00:2::/64"}

UNNUMBERED = """extra: |
      router bgp 65002
       neighbor eth0 interface remote-as external
       neighbor eth0 timers 3 9
       neighbor eth0 timers connect 1
       address-family ipv4 unicast
        neighbor eth0 activate
       exit-address-family
       address-family ipv6 unicast
        neighbor eth0 activate
       exit-address-family
"""


def topology(kind: str, asn: int, session: str) -> str:
    return f"""
nodes:
  wren:
    kind: wren
    asn: 65001
    networks: [{OWN[Family.IPV4]}, "{OWN[Family.IPV6]}"]
    addresses: [10.1.0.1/32, "fd00:1::1/128"]
    peers:
      - address: "fe80::2%eth0"
        asn: {asn}
        families: [ipv4, ipv6]
        hold_time: 9
        extra: "wren.bgp/extendedNextHop: on"
  other:
    kind: {kind}
    asn: {asn}
    networks: [{THEIRS[Family.IPV4]}, "{THEIRS[Family.IPV6]}"]
    addresses: [10.2.0.1/32, "fd00:2::1/128"]
    {session}
links:
  - wren: ["fe80::1/64"]
    other: ["fe80::2/64"]
"""


def with_words(words: str) -> str:
    """Write the other's session."""
    return f"""peers:
      - address: "fe80::1%eth0"
        asn: 65001
        families: [ipv4, ipv6]
        hold_time: 9
        extra: "{words}"
"""


def agree(wren: RunningNode, other: RunningNode) -> None:
    """Both have all routes over the link-local addresses, and packets go to and fro."""
    for node, networks, hop in ((wren, THEIRS, "fe80::2"), (other, OWN, "fe80::1")):
        for family, network in networks.items():
            what = f"{node.name} learns {network}"
            becomes(what, partial(knows, node, family, network), wanted=True)
            if node.speaks.programs_kernel:
                becomes(what, partial(gateways, node, family, network), (hop,))
    if other.speaks.programs_kernel:
        for target, source in (("10.2.0.1", "10.1.0.1"), ("fd00:2::1", "fd00:1::1")):
            arrives = partial(ping, wren, target, source=source)
            becomes(f"a ping to {target} is answered", arrives, wanted=True)


def knows(node: RunningNode, family: Family, network: str) -> bool:
    return network in node.routes(family)


def gateways(node: RunningNode, family: Family, network: str) -> tuple[str, ...]:
    found = kernel_routes(node, family).get(network)
    return () if found is None else found.gateways


@pytest.mark.parametrize("asn", [65001, 65002], ids=["iBGP", "eBGP"])
@pytest.mark.parametrize("kind", list(SPEAKS))
def test_both_families_go_over_a_session_between_link_local_addresses(kind: str, asn: int) -> None:
    with lab_of(topology(kind, asn, with_words(SPEAKS[kind]))) as lab:
        wren, other = lab.node("wren"), lab.node("other")
        begin_again([wren, other])
        lab.wait_established(seconds=20)
        agree(wren, other)
        assert wren.routes(Family.IPV4)[THEIRS[Family.IPV4]].next_hop == "fe80::2"


def test_frr_finds_us_by_a_router_advertisement_as_an_unnumbered_peer() -> None:
    """FRR learns the address of its neighbour on an interface; Wren is told that of FRR."""
    with lab_of(topology("frr", 65002, UNNUMBERED)) as lab:
        wren, other = lab.node("wren"), lab.node("other")
        begin_again([wren, other])

        def is_up() -> bool:
            advertise_router(wren)
            return wren.is_up_with()

        wait_until(is_up, "the session is up", seconds=20, nodes=[wren, other])
        assert other.speaks.sessions() == {"eth0": True}
        agree(wren, other)


def test_an_unnumbered_peer_may_be_one_that_nobody_names() -> None:
    """Neither end is told anything of the other but the link."""
    with lab_of(topology("frr", 65002, UNNUMBERED)) as lab:
        wren, other = lab.node("wren"), lab.node("other")
        accept_whoever_is_on_the_link(wren)
        begin_again([wren, other])

        def sessions() -> dict[str, bool]:
            advertise_router(wren)
            return wren.sessions()

        becomes("the session is up", sessions, {"fe80::2%eth0": True})
        agree(wren, other)
        [told] = ask(wren.home, "status")["peers"]
        assert told["name"] == "Dynamic_peer0_fe80__2_eth0"


def accept_whoever_is_on_the_link(wren: RunningNode) -> None:
    """Write a range where the lab has written a peer."""
    path = wren.home / "datastore" / "resources.json"
    resources = json.loads(path.read_text(encoding="utf-8"))
    for item in resources["items"]:
        if item["kind"] == "BGPPeer":
            del item["spec"]["peerIP"], item["spec"]["asNumber"]
            del item["spec"]["extensions"]["wren.bgp/connectRetry"]
            item["spec"]["extensions"] |= {
                "wren.bgp/listenRange": "fe80::/10",
                "wren.bgp/asRange": "external",
                "wren.bgp/passive": "on",
            }
    fresh = path.with_name(".edited.json")
    fresh.write_text(json.dumps(resources), encoding="utf-8")
    fresh.rename(path)
