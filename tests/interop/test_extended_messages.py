"""Messages of up to 65535 octets (RFC 8654) with each speaker that has them, seen on the wire."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from speaker.control.client import ask
from tests.support.labs import lab_of
from tests.support.pairs import becomes, soon
from tests.support.puppet import Puppet
from tests.support.scripted_peer import (
    attribute,
    capability,
    keepalive,
    open_message,
    path_attributes,
    prefix,
    update,
)
from tests.support.star import IPV4, Star, star
from tests.support.wiretap import Tap

pytestmark = [pytest.mark.interop, pytest.mark.netns]

PLAIN, LONGEST = 4096, 65535
KEY = "wren.bgp/extendedMessages: on"
BIG = [f"40.0.{n >> 8}.{n & 255}/32" for n in range(1200)]
FULL = 1097
"""So many of them, with 60 kB of attributes, fill a message."""


def static() -> str:
    """Give BIRD a few routes with 60 kB of communities."""
    routes = " ".join(f"route 20.0.{n}.0/24 blackhole;" for n in range(20))
    words = " ".join(f"bgp_large_community.add((65101, {n}, 7));" for n in range(5000))
    imports = f"import filter {{ {words} accept; }};"
    return f"protocol static many {{ ipv4 {{ {imports} }}; {routes} }}"


Wire = tuple[Star, Tap, Puppet]


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    topology = star(
        ("bird", "frr", "gobgp", "host"),
        families=["ipv4"],
        extra={"bird": "enable extended messages on;"},
        keys={"bird": KEY, "frr": KEY, "gobgp": KEY, "host": KEY},
        node={"bird": static()},
    )
    with lab_of(topology) as lab:
        ring = Star(lab)
        puppet = Puppet(ring.node("host"), ring.there("host"), ring.here("host"))
        with ring.tap() as tap, puppet:
            ring.agree("bird", "frr", "gobgp")
            yield ring, tap, puppet


def test_both_ends_say_that_long_messages_are_taken(wire: Wire) -> None:
    ring, _, _ = wire
    assert ring.birdc("bird", "show", "protocols", "all", "peer0").count("Extended message") == 2
    said = ring.frr_neighbor("frr")["neighborCapabilities"]["extendedMessage"]
    assert said == "advertisedAndReceived"


def test_a_long_message_of_bird_is_learnt_and_told_to_those_who_take_such(wire: Wire) -> None:
    ring, tap, _ = wire
    ring.birdc("bird", "reload", "out", ring.bird_protocol("bird"))
    ring.hears("frr", "20.0.19.0/24")
    ring.vtysh("frr", "clear bgp * soft in")
    becomes(
        "both travel",
        lambda: [
            tap.longest(ring.there("bird"), ring.here("bird")) > 60_000,
            tap.longest(ring.here("frr"), ring.there("frr")) > 60_000,
        ],
        [True, True],
    )
    assert "20.0.19.0/24" not in ring.node("gobgp").routes(IPV4)


def test_a_full_message_of_frr_is_learnt_whole() -> None:
    networks = [f"network 30.{n >> 8}.{n & 255}.0/24" for n in range(16_400)]
    lines = "\n".join(["router bgp 65101", "address-family ipv4 unicast", *networks])
    topology = star(("frr",), families=["ipv4"], keys={"frr": KEY}, node={"frr": lines})
    with lab_of(topology) as lab:
        ring = Star(lab)
        with ring.tap() as tap:
            ring.session_is("frr", up=True)
            becomes(
                "Wren has learnt all", lambda: ring.peer("frr")["families"], {"ipv4 unicast": ALL}
            )
            assert tap.longest(ring.there("frr")) == LONGEST


ALL = {"received": 16_401, "accepted": 16_401, "advertised": 1, "endOfRib": True}


def big(octets: int) -> bytes:
    """Write attributes of about so many octets, most of them large communities."""
    communities = b"".join((65104 << 64 | n).to_bytes(12, "big") for n in range(octets // 12))
    head = path_attributes((65104,), next_hop="172.31.4.2")
    return head + attribute(0xC0, 32, communities)


def announced(attributes: bytes, prefixes: list[str]) -> bytes:
    return update(attributes=attributes, nlri=b"".join(map(prefix, prefixes)))


def small() -> list[bytes]:
    return [announced(big(100), BIG[n : n + 900]) for n in range(0, len(BIG), 900)]


def test_attributes_that_fill_a_message_reach_those_alone_who_take_such(wire: Wire) -> None:
    """RFC 8654 §4: what is told to a plain peer first is withdrawn when it grows too long."""
    ring, tap, puppet = wire
    puppet.meet(open_message(65104, router_id="10.4.0.1", hold_time=0, more=capability(6)))
    puppet.say(keepalive(), *small())
    for name in ("bird", "frr", "gobgp"):
        ring.hears(name, BIG[0])
    full = announced(big(60_000), BIG[:FULL])
    assert LONGEST - len(full) < 5
    puppet.say(full)
    ring.forgets("gobgp", BIG[0])
    for name in ("bird", "frr"):
        ring.hears(name, BIG[0])

        def is_told_by_full_messages(name: str = name) -> bool:
            """A busy machine tells in slices, of which one may end in the midst of a message."""
            ask(ring.wren.home, "refresh", name=ring.there(name), out=True)
            return soon(lambda: LONGEST - tap.longest(ring.here(name), ring.there(name)) < 5)

        becomes("messages lack less than a prefix", is_told_by_full_messages, True)
    ring.hears("gobgp", BIG[FULL])
    assert tap.longest(ring.here("gobgp"), ring.there("gobgp")) <= PLAIN
    for name in ("bird", "frr", "gobgp"):
        ring.session_is(name, up=True)
    told = ring.birdc("bird", "show", "route", "all", BIG[0])
    assert told.count("(65104, ") == 5000
    puppet.say(*small())
    ring.hears("gobgp", BIG[0])
    puppet.hang_up()
    ring.forgets("bird", BIG[0])
