"""Where keys of ranges have to be, so that the longest prefix has the say, and no key too."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network, ip_address, ip_network

from hypothesis import given
from hypothesis import strategies as st

from speaker.config.plan import Plan
from speaker.config.ranges import PeerRange
from speaker.config.secrets import Secret
from speaker.config.tcp_ao import Algorithm, MasterKey
from speaker.net.places import Demands, network_of, pieces, place_of
from tests.support.resources import node, peer, plan, settings

MASTER = MasterKey(1, 1, Algorithm.HMAC_SHA_1_96, Secret(b"master"))
KEY, OWN = Secret(b"range"), Secret(b"own")
WHOLE = ip_network("10.0.0.0/24")


def inside(prefix: tuple[int, int]) -> IPv4Network:
    length, host = prefix
    return IPv4Network((int(WHOLE.network_address) | host, length), strict=False)


PREFIXES = st.tuples(st.integers(24, 32), st.integers(0, 255)).map(inside)


@given(st.lists(PREFIXES, max_size=6))
def test_pieces_are_all_of_a_range_but_its_unsigned_parts(holes: list[IPv4Network]) -> None:
    found = pieces(WHOLE, holes)
    for address in WHOLE:
        is_signed = not any(address in hole for hole in holes if hole != WHOLE)
        assert sum(address in piece for piece in found) == is_signed


def test_what_is_elsewhere_or_of_the_other_family_makes_no_hole() -> None:
    assert pieces(WHOLE, map(ip_network, ("10.0.1.0/24", "10.0.0.0/8", "::/0"))) == [WHOLE]


def test_a_place_is_an_address_or_a_range() -> None:
    for place in ("10.0.0.1", "fd00::1", "10.0.0.0/24", "fd00::/64"):
        assert place_of(network_of(place)) == place
    assert place_of(network_of("fe80::1%eth0")) == "fe80::1"


def planned(
    named: dict[str, Secret | None], ranges: dict[str, Secret | None], hops: int = 0
) -> Plan:
    documents = [
        peer(f"p{number}", peerIP=address, asNumber=65001) for number, address in enumerate(named)
    ]
    found = plan("a", node("a", "10.9.0.1/8", "fd09::1/64"), settings(), *documents)
    model = next(iter(found.peers.values()))
    peers = {
        name: replace(each, password=named[each.address]) for name, each in found.peers.items()
    }
    made = {
        text: PeerRange.like(
            replace(model, name=text, password=password, ttl_security=hops), text, "external"
        )
        for text, password in ranges.items()
    }
    return replace(found, peers=peers, ranges=made)


def keys(found: Plan) -> dict[str, Secret | None]:
    return {place: terms.password for place, terms in Demands.of(found).terms.items()}


def key_for(address: str, held: dict[str, Secret | None]) -> Secret | None:
    """Find the key by the kernel's rule: the longest prefix that has one."""
    places = [(network_of(place), key) for place, key in held.items() if key is not None]
    fitting = [(place.prefixlen, key) for place, key in places if ip_address(address) in place]
    return max(fitting, key=lambda each: each[0])[1] if fitting else None


def test_the_own_key_of_a_peer_in_a_range_has_the_say_and_so_has_none() -> None:
    named = {"10.0.0.5": OWN, "10.0.0.6": None, "10.0.1.1": None}
    found = planned(named, {"10.0.0.0/24": KEY})
    held = keys(found)
    for address, key in {"10.0.0.5": OWN, "10.0.0.6": None, "10.0.0.7": KEY}.items():
        assert key_for(address, held) == key
    assert key_for("10.0.1.1", held) is None
    # Eight prefixes are around the peer without a key, and one is for the peer with its own.
    assert Demands.of(found).passwords == 9
    assert len(Demands.of(found).places["10.0.0.0/24"]) == 8


def test_a_range_in_a_range_has_its_own_key_or_none() -> None:
    named: dict[str, Secret | None] = {"10.9.9.9": None}
    ranges = {"10.0.0.0/24": KEY, "10.0.0.128/25": None, "10.0.0.192/26": OWN}
    held = keys(planned(named, ranges))
    for address, key in {"10.0.0.1": KEY, "10.0.0.130": None, "10.0.0.200": OWN}.items():
        assert key_for(address, held) == key


def test_a_range_of_a_single_address_gives_way_to_the_peer_there() -> None:
    held = keys(planned({"10.0.0.5": None}, {"10.0.0.5/32": KEY}))
    assert held == {"10.0.0.5": None}
    assert keys(planned({"10.0.0.6": None}, {"10.0.0.5/32": KEY}))["10.0.0.5"] == KEY


def test_keys_of_ranges_have_no_address_in_common_with_any_others() -> None:
    """All of them would count, and their identifiers could not be the same."""
    named: dict[str, Secret | None] = {"10.0.0.5": None, "10.0.0.6": OWN, "10.0.0.7": None}
    found = planned(named, {"10.0.0.0/24": None, "10.0.0.128/25": None, "0.0.0.0/0": None})
    ranges = {name: keyed(each) for name, each in found.ranges.items()}
    seventh = next(name for name, each in found.peers.items() if each.address == "10.0.0.7")
    peers = {**found.peers, seventh: replace(found.peers[seventh], tcp_ao=(MASTER,))}
    demands = Demands.of(replace(found, ranges=ranges, peers=peers))
    held = [network_of(place) for place, each in demands.terms.items() if each.keys]
    assert not any(one.overlaps(other) for one in held for other in held if one is not other)
    for text, is_keyed in {
        "10.0.0.5": False,
        "10.0.0.6": False,
        "10.0.0.7": True,
        "10.0.0.8": True,
        "10.0.0.200": True,
        "192.0.2.1": True,
        "0.0.0.1": True,
    }.items():
        assert any(ip_address(text) in place for place in held) == is_keyed, text
    # What begins with the unspecified address is for Linux a mistake.
    assert not any(place.network_address == ip_address("0.0.0.0") for place in held)
    assert demands.keys == len(held)
    assert set(demands.places) == {"10.0.0.0/24", "10.0.0.128/25", "0.0.0.0/0"}


def test_keys_for_all_addresses_are_one_key_if_there_is_nobody_else() -> None:
    found = planned({"fd00::5": None}, {"0.0.0.0/0": None})
    demands = Demands.of(replace(found, ranges={n: keyed(e) for n, e in found.ranges.items()}))
    assert [place for place, each in demands.terms.items() if each.keys] == ["0.0.0.0/0"]


def keyed(found: PeerRange) -> PeerRange:
    return replace(found, templates=tuple(replace(t, tcp_ao=(MASTER,)) for t in found.templates))


def test_the_distance_of_a_range_holds_for_all_of_it() -> None:
    demands = Demands.of(planned({"10.0.0.5": None}, {"10.0.0.0/24": KEY, "fd00::/64": None}, 1))
    hops = {place: terms.hops for place, terms in demands.terms.items()}
    assert hops.pop("10.0.0.5") == 0
    assert set(hops.values()) == {1}
    assert "fd00::/64" in hops
