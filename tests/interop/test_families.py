"""Families that Wren relays, between daemons that know them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from speaker.control.client import stream
from tests.support.labs import lab_of
from tests.support.pairs import becomes
from tests.support.star import WREN_AS, Star, star

pytestmark = [pytest.mark.interop, pytest.mark.netns]

IN_GOBGP = {
    "ipv4-vpn": "l3vpn-ipv4-unicast",
    "ipv6-vpn": "l3vpn-ipv6-unicast",
    "ipv4-labelled": "ipv4-labelled-unicast",
    "l2vpn-evpn": "l2vpn-evpn",
    "ipv4-flow": "ipv4-flowspec",
    "ipv6-flow": "ipv6-flowspec",
    "ipv4-flow-vpn": "l3vpn-ipv4-flowspec",
    "ipv4-mup": "ipv4-mup",
}
"""GoBGP's names of families in its configuration."""

ROUTES = {
    "vpnv4": ("10.11.0.0/24 label 100 rd 65000:1 rt 65000:1",),
    "vpnv6": ("2001:db8:1::/48 label 101 rd 65000:1 rt 65000:1 nexthop 2001:db8::9",),
    "ipv4-mpls": ("10.12.0.0/24 102",),
    "evpn": (
        "macadv 02:00:00:00:00:01 10.0.0.1 etag 0 label 103 rd 65000:1 rt 65000:1 encap vxlan",
        "prefix 10.13.0.0/24 etag 0 label 104 rd 65000:1 rt 65000:1 encap vxlan",
        "multicast 10.0.0.1 etag 0 rd 65000:1 rt 65000:1 pmsi ingress-repl 100 10.0.0.1",
        "a-d esi single-homed etag 0 label 105 rd 65000:1 rt 65000:1",
    ),
    "ipv4-flowspec": (
        "match destination 10.14.0.0/24 protocol tcp destination-port ==80 then discard",
    ),
    "ipv6-flowspec": ("match destination 2001:db8:2::/48 then rate-limit 10000",),
    "ipv4-l3vpn-flowspec": ("rd 65000:1 match destination 10.15.0.0/24 then discard rt 65000:1",),
    "ipv4-mup": (
        "t1st 10.16.0.1/32 rd 65000:1 rt 65000:1 teid 7 qfi 9 endpoint 10.0.0.1 nexthop ::9",
    ),
}
"""Routes as GoBGP is told them, by the names of families in its client."""

_ON_THE_WAY = frozenset({2, 3, 5, 9, 10, 14})
"""Attributes that are another at both ends: a teller shows its own next hop as zero, and no empty
AS_PATH.
"""


def names_of(families: str, **more: str) -> str:
    """Write Wren's keys of a session with a client."""
    keys = {"families": f"ipv4,{families}", "routeReflectorClient": "on", **more}
    return "\n".join(f"wren.bgp/{key}: {value}" for key, value in keys.items())


def gobgp_families(*families: str) -> str:
    """Write GoBGP's families of a session beside IPv4."""
    lines = []
    for family in families:
        lines += ["[[neighbors.afi-safis]]", "  [neighbors.afi-safis.config]"]
        lines.append(f'    afi-safi-name = "{IN_GOBGP[family]}"')
    return "\n".join(f"ipv4 {line}" for line in lines)


def originate(around: Star, name: str, verb: str = "add") -> None:
    """Have GoBGP announce all its routes, or none."""
    for family, routes in ROUTES.items():
        for route in routes:
            around.gobgp(name, "global", "rib", verb, "-a", family, *route.split())


def table(around: Star, name: str, family: str) -> dict[str, Any]:
    """Give what a GoBGP has of a family: NLRI and the attributes that travel unchanged."""
    said = around.gobgp(name, "-j", "global", "rib", "-a", family)
    found: dict[str, Any] = {}
    for key, paths in (json.loads(said) if said.startswith("{") else {}).items():
        attributes = [a for a in paths[0]["attrs"] if a["type"] not in _ON_THE_WAY]
        found[key] = (paths[0]["nlri"], sorted(attributes, key=lambda a: int(a["type"])))
    return found


def shown(around: Star, family: str) -> set[str]:
    """Give what Wren shows of a family."""
    chunks = stream(around.wren.home, "routes", family=family)
    return {route["prefix"] for chunk in chunks for route in chunk["routes"]}


def holds(around: Star, what: str, words: str, *asked: str) -> None:
    """Wait until FRR or BIRD has some words to say."""
    name = asked[0]
    ask = around.vtysh if name == "frr" else around.birdc
    becomes(f"{name} has {what}", lambda: words in ask(*asked), True)


def lacks(around: Star, what: str, words: str, *asked: str) -> None:
    """Wait until it has them no more."""
    name = asked[0]
    ask = around.vtysh if name == "frr" else around.birdc
    becomes(f"{name} has {what} no more", lambda: words in ask(*asked), False)


def test_two_gobgps_have_the_same_of_each_family() -> None:
    names = ["gobgp-a", "gobgp-b"]
    topology = star(
        names,
        asns=dict.fromkeys(names, WREN_AS),
        families=["ipv4"],
        extra=dict.fromkeys(names, gobgp_families(*IN_GOBGP)),
        keys=dict.fromkeys(names, names_of(",".join(IN_GOBGP))),
    )
    with lab_of(topology) as lab:
        around = Star(lab)
        for name in names:
            around.session_is(name, up=True)
        originate(around, "gobgp-a")
        for family, routes in ROUTES.items():
            wanted = table(around, "gobgp-a", family)
            assert len(wanted) == len(routes)
            becomes(
                f"gobgp-b has {family} as gobgp-a",
                lambda: table(around, "gobgp-b", family),  # noqa: B023 - awaited here
                wanted,
            )
        assert shown(around, "ipv4-vpn") == {"10.11.0.0/24 label 100 rd 65000:1"}
        assert len(shown(around, "l2vpn-evpn")) == 4
        # The same route with another label, then none.
        vpn = ROUTES["vpnv4"][0].replace("label 100", "label 900").split()
        around.gobgp("gobgp-a", "global", "rib", "add", "-a", "vpnv4", *vpn)
        becomes("the new label", lambda: shown(around, "ipv4-vpn"),
                {"10.11.0.0/24 label 900 rd 65000:1"})  # fmt: skip
        wanted = table(around, "gobgp-a", "vpnv4")
        becomes("it goes on", lambda: table(around, "gobgp-b", "vpnv4"), wanted)
        originate(around, "gobgp-a", "del")
        for family in ROUTES:
            becomes(f"{family} is gone", lambda: table(around, "gobgp-b", family), {})  # noqa: B023 - awaited here


FRR = """
router bgp 65001
 address-family ipv4 vpn
  neighbor 172.31.2.1 activate
  network 10.21.0.0/24 rd 65000:2 label 200
 exit-address-family
 address-family ipv6 vpn
  neighbor 172.31.2.1 activate
 exit-address-family
 address-family l2vpn evpn
  neighbor 172.31.2.1 activate
 exit-address-family
 address-family ipv4 flowspec
  neighbor 172.31.2.1 activate
 exit-address-family
 address-family ipv4 multicast
  neighbor 172.31.2.1 activate
  network 10.23.0.0/24
 exit-address-family
exit
"""

BIRD_TABLES = """
vpn4 table v4; vpn6 table v6; flow4 table f4; flow6 table f6; ipv4 table m4; ipv4 table l4;
protocol static sv4 {
  vpn4 { table v4; };
  route 65000:3 10.31.0.0/24 via 172.31.3.2 mpls 300;
}
protocol static sf4 { flow4 { table f4; }; route flow4 { dst 10.32.0.0/24; proto = 6; }; }
protocol static sf6 { flow6 { table f6; }; route flow6 { dst 2001:db8:3::/48; }; }
"""

BIRD_CHANNELS = "".join(
    f"{channel} {{ table {name}; import all; export all; }};\n"
    for channel, name in {
        "vpn4 mpls": "v4",
        "vpn6 mpls": "v6",
        "flow4": "f4",
        "flow6": "f6",
        "ipv4 multicast": "m4",
        "ipv4 mpls": "l4",
    }.items()
)


@pytest.fixture(scope="module")
def around() -> Iterator[Star]:
    """GoBGP, FRR and BIRD as clients of Wren, with their routes told."""
    told = IN_GOBGP.keys() - {"ipv4-flow-vpn", "ipv4-mup"}
    topology = star(
        ["gobgp", "frr", "bird"],
        asns=dict.fromkeys(["gobgp", "frr", "bird"], WREN_AS),
        families=["ipv4"],
        extra={"gobgp": gobgp_families(*sorted(told))},
        node={"frr": FRR},
        keys={
            "gobgp": names_of(",".join(told)),
            "frr": names_of("vpnv4, vpnv6, evpn, ipv4 flowspec, ipv4 multicast"),
            "bird": names_of("vpn4, vpn6, flow4, flow6, ipv4-multicast, ipv4-mpls"),
        },
    )
    with lab_of(topology) as lab:
        around = Star(lab)
        around.bird_configures(
            "bird",
            ("log stderr all;", "log stderr all;" + BIRD_TABLES),
            ("  hold time 9;", "  hold time 9;\n" + BIRD_CHANNELS),
        )
        for name in ("gobgp", "frr", "bird"):
            around.session_is(name, up=True)
        for family in ("vpnv4", "vpnv6", "ipv4-mpls", "evpn", "ipv4-flowspec", "ipv6-flowspec"):
            for route in ROUTES[family]:
                around.gobgp("gobgp", "global", "rib", "add", "-a", family, *route.split())
        yield around


def test_frr_hears_vpn_routes_of_gobgp_and_bird(around: Star) -> None:
    holds(around, "GoBGP's route", "10.11.0.0/24", "frr", "show bgp ipv4 vpn")
    holds(around, "BIRD's route", "10.31.0.0/24", "frr", "show bgp ipv4 vpn")
    holds(around, "the IPv6 route", "2001:db8:1::/48", "frr", "show bgp ipv6 vpn")
    said = around.vtysh("frr", "show bgp ipv4 vpn")
    assert "EC{65000:1} label=100" in said
    assert "UN=172.31.3.2 label=300" in said


def test_bird_hears_vpn_and_labelled_routes(around: Star) -> None:
    holds(around, "GoBGP's route", "65000:1 10.11.0.0/24", "bird", "show", "route", "table", "v4")
    holds(around, "FRR's route", "65000:2 10.21.0.0/24", "bird", "show", "route", "table", "v4")
    holds(around, "IPv6", "65000:1 2001:db8:1::/48", "bird", "show", "route", "table", "v6")
    holds(around, "the labelled one", "10.12.0.0/24", "bird", "show", "route", "table", "l4")
    said = around.birdc("bird", "show", "route", "all", "table", "v4")
    assert "BGP.ext_community: (rt, 65000, 1)" in said
    assert "BGP.mpls_label_stack: 200" in said


def test_gobgp_hears_vpn_routes_of_frr_and_bird(around: Star) -> None:
    becomes(
        "GoBGP has all VPN routes",
        lambda: set(table(around, "gobgp", "vpnv4")),
        {"65000:1:10.11.0.0/24", "65000:2:10.21.0.0/24", "65000:3:10.31.0.0/24"},
    )
    found = table(around, "gobgp", "vpnv4")
    assert found["65000:2:10.21.0.0/24"][0]["labels"] == [200]
    assert found["65000:3:10.31.0.0/24"][0]["labels"] == [300]


def test_frr_hears_ethernet_routes(around: Star) -> None:
    evpn = "show bgp l2vpn evpn"
    for route in (
        "[2]:[0]:[48]:[02:00:00:00:00:01]:[32]:[10.0.0.1]",
        "[3]:[0]:[32]:[10.0.0.1]",
        "[5]:[0]:[24]:[10.13.0.0]",
    ):
        holds(around, route, route, "frr", evpn)
    assert "RT:65000:1 ET:8" in around.vtysh("frr", evpn)


def test_flow_specifications_travel_between_all(around: Star) -> None:
    show = "show bgp ipv4 flowspec"
    holds(around, "GoBGP's", "to 10.14.0.0/24 proto = 6  dstp = 80", "frr", show)
    holds(around, "BIRD's", "to 10.32.0.0/24 proto = 6", "frr", show)
    wanted = "flow4 { dst 10.14.0.0/24; proto 6; dport 80; }"
    holds(around, "GoBGP's", wanted, "bird", "show", "route", "table", "f4")
    wanted = "flow6 { dst 2001:db8:2::/48; }"
    holds(around, "GoBGP's", wanted, "bird", "show", "route", "table", "f6")
    becomes("GoBGP has them", lambda: len(table(around, "gobgp", "ipv4-flowspec")), 2)
    becomes("GoBGP has them", lambda: len(table(around, "gobgp", "ipv6-flowspec")), 2)
    assert shown(around, "ipv4-flow") == {
        "flow destination-ipv4 10.14.0.0/24 protocol =tcp destination-port =80",
        "flow destination-ipv4 10.32.0.0/24 protocol =tcp",
    }


def test_multicast_routes_are_apart_from_unicast(around: Star) -> None:
    holds(around, "FRR's", "10.23.0.0/24", "bird", "show", "route", "table", "m4")
    assert shown(around, "ipv4-multicast") == {"10.23.0.0/24"}
    assert "10.23.0.0/24" not in shown(around, "ipv4")


def test_a_route_that_goes_and_a_refresh(around: Star) -> None:
    vpn = "show bgp ipv4 vpn"
    holds(around, "BIRD's route", "10.31.0.0/24", "frr", vpn)
    around.birdc("bird", "disable", "sv4")
    lacks(around, "BIRD's route", "10.31.0.0/24", "frr", vpn)
    around.birdc("bird", "enable", "sv4")
    holds(around, "BIRD's route", "10.31.0.0/24", "frr", vpn)
    before = around.peer("bird")["uptime"]
    around.birdc("bird", "reload", "in", "peer0")
    around.vtysh("frr", "clear bgp ipv4 vpn * soft in")
    around.vtysh("frr", "clear bgp ipv4 vpn * soft out")
    holds(around, "GoBGP's route", "10.11.0.0/24", "frr", vpn)
    holds(around, "FRR's route", "10.21.0.0/24", "bird", "show", "route", "table", "v4")
    assert around.peer("bird")["uptime"] > before
