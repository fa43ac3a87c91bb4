"""Peers that know AS numbers of two octets only (RFC 6793), among others that know four.

BIRD, OpenBGPD and FRR are made such; GoBGP and a second FRR behind Wren have long AS numbers.
Everybody must see the true path, whether Wren's own number is short or long. Where it is long, only
a puppet can be such a peer: none of the three takes anybody for AS 23456.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from speaker.control.client import ask
from tests.support.labs import lab_of
from tests.support.pairs import becomes
from tests.support.puppet import Puppet
from tests.support.scripted_peer import (
    OPEN,
    attribute,
    keepalive,
    message,
    prefix,
    update,
)
from tests.support.star import IPV4, Star, star
from tests.support.wiretap import Tap

pytestmark = [pytest.mark.interop, pytest.mark.netns]

AS_TRANS = 23456
OLD = {"bird": 65101, "openbgpd": 65102, "frr": 65103}
NEW = {"gobgp": 4200000001, "frr-new": 4200000002}
BEHIND = {"bird": (70000, 4200000099), "frr": (70001, 4200000098), "openbgpd": ()}
"""What each old speaker puts before its own number, as if it had heard it from others."""

AGGREGATE = "10.50.0.0/16"
PUPPET = "40.0.0.0/16"

BIRD = """\
enable as4 off;
ipv4 export filter { if source = RTS_STATIC then { bgp_path.prepend(4200000099); \
bgp_path.prepend(70000); accept; } if source = RTS_BGP then accept; reject; };
"""
FRR = "route-map long permit 10\n set as-path prepend 70001 4200000098\nexit"
FRR_NEW = f"""\
router bgp {NEW["frr-new"]}
 address-family ipv4 unicast
  network 10.50.1.0/24
  aggregate-address {AGGREGATE} summary-only
"""
EXTRA = {
    "bird": BIRD,
    "openbgpd": "announce as-4byte no\nenforce neighbor-as no",
    "frr": "dont-capability-negotiate\nipv4 route-map long out",
}

LABS = {"short": (65001, ("bird", "openbgpd")), "frr": (65001, ("frr",)), "long": (4200000010, ())}
"""Wren's AS, and the old ones around. FRR is by itself: see below."""


@dataclass(frozen=True)
class Wire:
    """A star, what travels there, Wren's AS and the names of the old ones."""

    ring: Star
    tap: Tap
    own: int
    old: tuple[str, ...]


@pytest.fixture(scope="module", params=LABS)
def wire(request: pytest.FixtureRequest) -> Iterator[Wire]:
    own, old = LABS[request.param]
    topology = star(
        (*old, *NEW, "host"),
        asns={**OLD, **NEW, "host": 65106},
        wren_asn=own,
        families=["ipv4"],
        extra=EXTRA,
        # Where FRR offers no capability it still heeds ours, expects eight octets of AGGREGATOR and
        # ends the session at six; AS4_PATH it leaves alone.
        node={"frr": FRR} if "frr" in old else {"frr-new": FRR_NEW},
    )
    with lab_of(topology) as lab:
        ring = Star(lab)
        with ring.tap() as tap:
            ring.agree(*NEW)
            if "frr" in old:
                # It met the name of the filter before the filter.
                ring.session_is("frr", up=True)
                ring.vtysh("frr", "clear bgp * soft out")
            for name in old:
                ring.agree(name)
            yield Wire(ring, tap, own, old)


@pytest.mark.parametrize("wire", ["short", "frr"], indirect=True)
def test_old_peers_are_known_for_such_and_the_new_see_true_paths_behind_them(wire: Wire) -> None:
    ring = wire.ring
    for name in wire.old:
        assert ring.peer(name)["negotiated"]["fourOctetAS"] is False
        path = (OLD[name], *BEHIND[name])
        assert ring.wren.routes(IPV4)[ring.network(name)].as_path == path
        for new in NEW:
            assert ring.peer(new)["negotiated"]["fourOctetAS"] is True
            assert ring.hears(new, ring.network(name)).as_path == (wire.own, *path)


@pytest.mark.parametrize("wire", ["short"], indirect=True)
def test_the_old_see_true_paths_of_the_new_by_as4_path(wire: Wire) -> None:
    for name in wire.old:
        for new, asn in NEW.items():
            assert wire.ring.hears(name, wire.ring.network(new)).as_path == (wire.own, asn)


@pytest.mark.parametrize("wire", ["short", "frr"], indirect=True)
def test_what_travels_to_an_old_peer_has_short_numbers_and_the_true_ones_beside(wire: Wire) -> None:
    ring, tap = wire.ring, wire.tap
    network = prefix(ring.network("gobgp"))
    trues = (wire.own, NEW["gobgp"])

    def told(name: str) -> list[tuple[bytes, bytes | None]]:
        found = [m.attributes for m in tap.heard(2, ring.here(name)) if m.body[-4:] == network]
        return [(each[2], each.get(17)) for each in found][-1:]

    for name in wire.old:
        ask(ring.wren.home, "refresh", name=ring.there(name), out=True)
    becomes(
        "the path is told twice",
        lambda: [told(name) for name in wire.old],
        [[(segment(2, (wire.own, AS_TRANS)), segment(4, trues))] for _ in wire.old],
    )


def segment(size: int, path: tuple[int, ...]) -> bytes:
    """Write an AS_SEQUENCE with numbers of so many octets."""
    return bytes((2, len(path))) + b"".join(asn.to_bytes(size, "big") for asn in path)


@pytest.mark.parametrize("wire", ["short"], indirect=True)
def test_an_aggregator_with_a_long_number_is_known_to_the_old(wire: Wire) -> None:
    ring = wire.ring
    for name in wire.old:
        ring.hears(name, AGGREGATE)
    long = NEW["frr-new"]
    assert f"AS{long}" in ring.birdc("bird", "show", "route", "all", AGGREGATE)
    assert f"{long}" in ring.bgpctl("openbgpd", "show", "rib", "detail", AGGREGATE)


def test_an_old_puppet_tells_of_long_numbers_in_attributes_beside(wire: Wire) -> None:
    """AS_PATH and AGGREGATOR with AS_TRANS, AS4_PATH and AS4_AGGREGATOR, no capabilities at all."""
    ring, own = wire.ring, wire.own
    router_id = bytes((10, 6, 0, 1))
    with Puppet(ring.node("host"), ring.there("host"), ring.here("host")) as puppet:
        puppet.meet(
            message(OPEN, bytes((4, *(65106).to_bytes(2, "big"), 0, 0)) + router_id + b"\0")
        )
        path = attribute(0x40, 2, segment(2, (65106, AS_TRANS, AS_TRANS)))
        true_path = attribute(0xC0, 17, segment(4, (70006, 4200000097)))
        maker = attribute(0xC0, 7, AS_TRANS.to_bytes(2, "big") + router_id)
        true_maker = attribute(0xC0, 18, (4200000096).to_bytes(4, "big") + router_id)
        hop = attribute(0x40, 3, bytes((172, 31, ring.number("host"), 2)))
        origin = attribute(0x40, 1, b"\0")
        whole = origin + path + hop + true_path
        if "frr" not in wire.old:
            whole = origin + path + hop + maker + true_path + true_maker
        puppet.say(keepalive(), update(attributes=whole, nlri=prefix(PUPPET)))
        for name in NEW if "frr" in wire.old else (*wire.old, *NEW):
            assert ring.hears(name, PUPPET).as_path == (own, 65106, 70006, 4200000097)
        if "frr" not in wire.old:
            shown = ring.vtysh("frr-new", f"show bgp ipv4 unicast {PUPPET}")
            assert "aggregated by 4200000096 10.6.0.1" in shown
        puppet.hang_up()
