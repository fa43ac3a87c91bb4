"""What stands in OPENs: names, hold time 0, several families, long lists, no list at all."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

import pytest

from lab import Family
from tests.support.labs import lab_of
from tests.support.pairs import becomes
from tests.support.puppet import Puppet
from tests.support.scripted_peer import (
    OPEN,
    capability,
    keepalive,
    message,
    notification,
    path_attributes,
    prefix,
    update,
)
from tests.support.star import DAEMONS, IPV4, IPV6, Star, star
from tests.support.wiretap import capabilities

pytestmark = [pytest.mark.interop, pytest.mark.netns]

NAMES = "wren.bgp/fqdn: w1.example\nwren.bgp/softwareVersion: on\n"
KEYS = dict.fromkeys(DAEMONS, NAMES)
# GoBGP ends every session with a hold time of 0 at its first message.
KEYS["gobgp"] += 'wren.bgp/holdTime: "9"'
EXTRA = {"bird": "advertise hostname on;"}


def shown(ring: Star, name: str, family: Family) -> str:
    """Give a node's network without its length, which FRR leaves out where it can."""
    return ring.network(name, family).partition("/")[0]


TABLES: dict[str, Callable[[Star, Family], str]] = {
    "bird": lambda ring, f: ring.birdc("bird", "show", "route", "table", f"master{f.version}"),
    "frr": lambda ring, f: ring.vtysh("frr", f"show bgp {f} unicast"),
    "gobgp": lambda ring, f: ring.gobgp("gobgp", "global", "rib", "-a", f),
    "openbgpd": lambda ring, f: ring.bgpctl("openbgpd", "show", "rib", "in"),
}


@pytest.fixture(scope="module")
def ring() -> Iterator[Star]:
    topology = star((*DAEMONS, "host"), extra=EXTRA, keys=KEYS, hold_time=0, one_session=True)
    with lab_of(topology) as lab:
        yield Star(lab)


@pytest.mark.parametrize("kind", DAEMONS)
def test_both_families_travel_on_one_session(ring: Star, kind: str) -> None:
    ring.session_is(kind, up=True)
    assert ring.peer(kind)["negotiated"]["families"] == ["ipv4 unicast", "ipv6 unicast"]
    becomes(
        f"Wren is told both by {kind}",
        lambda: [ring.told(kind, ring.network(kind, f)) is not None for f in (IPV4, IPV6)],
        [True, True],
    )
    becomes(
        f"{kind} is told both",
        lambda: [
            ring.network("wren", f).partition("/")[0] in TABLES[kind](ring, f) for f in Family
        ],
        [True, True],
    )


def test_routes_of_the_other_family_are_of_use_where_next_hops_are_on_the_link(ring: Star) -> None:
    """BIRD names its address of the link; GoBGP an IPv4 one, OpenBGPD any of its own."""
    for name, teller in (("wren", "bird"), ("bird", "wren")):
        ring.hears(name, ring.network(teller, IPV6))


@pytest.mark.parametrize("kind", ["bird", "frr", "openbgpd"])
def test_a_hold_time_of_0_sends_no_keepalive_and_ends_never(ring: Star, kind: str) -> None:
    ring.session_is(kind, up=True)
    negotiated = ring.peer(kind)["negotiated"]
    assert (negotiated["holdTime"], negotiated["keepaliveTime"]) == (0, 0)


def test_names_are_told_and_shown(ring: Star) -> None:
    for kind in ("bird", "frr", "gobgp"):
        ring.session_is(kind, up=True)
        assert ring.peer(kind)["negotiated"]["peerName"]
    ring.session_is("frr", up=True)
    assert ring.peer("frr")["negotiated"]["peerName"] == "frr"
    told = ring.frr_neighbor("frr")["neighborCapabilities"]["hostName"]
    assert (told["rcvHostName"], told["rcvDomainName"]) == ("w1", "example")
    assert "Hostname: w1" in ring.birdc("bird", "show", "protocols", "all", "peer0")


def as_open(asn: int, parameters: bytes, router_id: bytes = b"\x0a\x05\0\1") -> bytes:
    return message(OPEN, struct.pack("!BHH", 4, asn, 0) + router_id + parameters)


def test_a_puppet_with_a_long_list_of_parameters_is_understood(ring: Star) -> None:
    """RFC 9072 §2: 300 octets of capabilities, of which two mean something here."""
    known = struct.pack("!BBHBB", 1, 4, 1, 0, 1) + struct.pack("!BBI", 65, 4, 65105)
    value = capability(250, bytes(200)) + known + capability(251, bytes(100))
    long = struct.pack("!BBHBH", 255, 255, len(value) + 3, 2, len(value)) + value
    with ring.tap() as tap, puppet_of(ring) as puppet:
        puppet.meet(as_open(65105, long))
        becomes("the list travels", lambda: len(tap.opens(ring.there("host"))), 1)
        [heard] = tap.opens(ring.there("host"))
        assert [code for code, _ in heard.capabilities] == [250, 1, 65, 251]
        puppet.say(keepalive())
        ring.session_is("host", up=True)
        assert ring.peer("host")["negotiated"]["fourOctetAS"] is True
        puppet.hang_up()
    ring.session_is("host", up=False)


def test_a_puppet_that_refuses_capabilities_is_met_without(ring: Star) -> None:
    """RFC 5492 §3: Unsupported Optional Parameter has the OPEN repeated without them."""
    with puppet_of(ring) as puppet:
        assert capabilities(puppet.meet()) != []
        puppet.say(notification(2, 4))
        puppet.hang_up()
        becomes("Wren offers none", lambda: capabilities(puppet.meet(as_open(65105, b"\0"))), [])
        attributes = path_attributes((), next_hop=ring.there("host"))
        path = attributes.replace(b"\x40\x02\x00", b"\x40\x02\x04\x02\x01\xfe\x51")
        puppet.say(keepalive(), update(attributes=path, nlri=prefix("40.0.0.0/16")))
        ring.hears("bird", "40.0.0.0/16")
        puppet.hang_up()


def test_an_identifier_of_0_is_refused(ring: Star) -> None:
    with ring.tap() as tap, puppet_of(ring) as puppet:
        puppet.meet(as_open(65105, b"\0", bytes(4)))
        becomes(
            "Bad BGP Identifier",
            lambda: [said[:2] for said in tap.notifications(ring.here("host"))][-1:],
            [(2, 3)],
        )


def puppet_of(ring: Star) -> Puppet:
    return Puppet(ring.node("host"), ring.there("host"), ring.here("host"))


KINDS = ("mpls-vpn", "flow", "multicast")
MANY = ("ipv4", "ipv6", *(f"{family} {kind}" for family in Family for kind in KINDS))
LONG = f"""\
wren.bgp/fqdn: {"w" * 60}.{"e" * 60}
wren.bgp/families: {", ".join((*MANY, "l2vpn evpn", "ipv4 mpls-label", "ipv6 mpls-label"))}
wren.bgp/softwareVersion: on
wren.bgp/role: peer
wren.bgp/addPath: both
wren.bgp/extendedNextHop: on
"""


def test_a_list_of_more_than_255_octets_is_understood() -> None:
    """RFC 9072 §2. One FRR is told to write its own so, and reads no other then."""
    kinds = ("bird", "frr", "frr-plain", "openbgpd")
    lines = {"frr": "extended-optional-parameters"}
    topology = star(kinds, families=["ipv4"], extra=lines, keys=dict.fromkeys(kinds, LONG))
    with lab_of(topology) as lab:
        ring = Star(lab)
        with ring.tap() as tap:
            ring.wren.restart()
            for kind in kinds:
                ring.session_is(kind, up=True)
                ours = tap.opens(ring.here(kind))[-1]
                assert ours.parameters[:2] == b"\xff\xff"
                assert len(ours.parameters) > 255
                assert len(ours.capabilities) > 12
            assert tap.opens(ring.there("frr"))[-1].parameters[:2] == b"\xff\xff"
            assert ring.peer("frr")["negotiated"]["peerName"] == "frr"
            ring.agree()
