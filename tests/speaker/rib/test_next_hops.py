"""Which next hops can be reached, and how: RFC 4271 §5.1.3, §9.1.2.1."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from fsm.family import Afi
from policy.path import Hop, NextHop
from policy.prefix import Nlri, pack, parse_prefix
from speaker.rib.next_hops import MAX_DEPTH, NextHopTable
from speaker.rib.underlay import Address, KernelRoute, Link, RouteKind

ETH0, ETH1, ETH2 = Link(1, "eth0"), Link(2, "eth1"), Link(3, "eth2")


def addr(text: str) -> bytes:
    return ip_address(text).packed


def route(
    prefix: str, *ways: tuple[int, str] | tuple[int, str, int], metric: int = 0, **more: Any
) -> KernelRoute:
    """A route; a way is (interface, gateway or nothing, weight)."""
    hops = tuple(Hop(w[0], addr(w[1]) if w[1] else b"", "", *w[2:]) for w in ways)
    return KernelRoute(parse_prefix(prefix)[1], hops=hops, metric=metric, **more)


def changes(*routes: KernelRoute) -> dict[Afi, list[tuple[Nlri, list[KernelRoute]]]]:
    found: dict[Afi, dict[Nlri, list[KernelRoute]]] = {Afi.IPV4: {}, Afi.IPV6: {}}
    for one in routes:
        wide = one.nlri[0] > 32 or any(len(hop.gateway) == 16 for hop in one.hops)
        found[Afi.IPV6 if wide else Afi.IPV4].setdefault(one.nlri, []).append(one)
    return {afi: list(by_prefix.items()) for afi, by_prefix in found.items()}


def gone(prefix: str) -> dict[Afi, list[tuple[Nlri, list[KernelRoute]]]]:
    afi, nlri = parse_prefix(prefix)
    return {afi: [(nlri, [])]}


def table(*routes: KernelRoute, own: str = "10.1.0.1") -> NextHopTable:
    made = NextHopTable()
    made.update(
        links=[ETH0, ETH1, ETH2],
        addresses=[Address(addr(own), 24, 1)],
        routes=changes(*routes),
    )
    return made


def way(next_hop: NextHop) -> list[tuple[str, str]]:
    return [(hop.interface_name, str(ip_address(hop.gateway))) for hop in next_hop.hops]


def test_an_address_on_a_connected_subnet_is_its_own_gateway() -> None:
    next_hop = table(route("10.1.0.0/24", (1, ""))).intern(addr("10.1.0.9"))
    assert next_hop.reachable
    assert way(next_hop) == [("eth0", "10.1.0.9")]


def test_an_address_behind_a_router_leads_to_the_router_at_the_routes_metric() -> None:
    underlay = table(
        route("10.1.0.0/24", (1, "")), route("172.16.0.0/12", (1, "10.1.0.254"), metric=20)
    )
    next_hop = underlay.intern(addr("172.16.5.5"))
    assert (next_hop.reachable, next_hop.cost) == (True, 20)
    assert way(next_hop) == [("eth0", "10.1.0.254")]


def test_neighbours_are_equally_near_whatever_their_family() -> None:
    """The kernel's metric of a connected subnet is 0 in IPv4 and 256 in IPv6."""
    underlay = table(
        route("10.1.0.0/24", (1, ""), metric=100, protocol=2),
        route("2001:db8::/64", (2, ""), metric=256, protocol=2),
        route("10.2.0.0/24", (1, ""), metric=7, protocol=4),
    )
    near = [underlay.intern(addr("10.1.0.9")), underlay.intern(addr("2001:db8::5"))]
    near += [underlay.intern(addr("fe80::5"), 2)]
    assert [next_hop.cost for next_hop in near] == [0, 0, 0]
    assert underlay.intern(addr("10.2.0.9")).cost == 7


def test_the_longest_prefix_and_then_the_lowest_metric_resolve() -> None:
    underlay = table(
        route("0.0.0.0/0", (1, "10.1.0.254")),
        route("10.2.0.0/16", (2, "10.3.0.1"), metric=50),
        route("10.2.0.0/16", (3, "10.4.0.1"), metric=10),
    )
    assert way(underlay.intern(addr("10.2.3.4"))) == [("eth2", "10.4.0.1")]
    assert way(underlay.intern(addr("10.9.9.9"))) == [("eth0", "10.1.0.254")]


def test_a_route_of_several_hops_gives_several_with_their_weights() -> None:
    underlay = table(route("10.2.0.0/16", (1, "10.1.0.2", 3), (2, "10.3.0.2", 1)))
    next_hop = underlay.intern(addr("10.2.3.4"))
    assert way(next_hop) == [("eth0", "10.1.0.2"), ("eth1", "10.3.0.2")]
    assert [hop.weight for hop in next_hop.hops] == [3, 1]


def test_a_gateway_without_interface_is_resolved_again() -> None:
    underlay = table(
        route("10.1.0.0/24", (1, "")),
        route("10.2.0.0/16", (0, "10.3.0.1"), metric=7),
        route("10.3.0.0/16", (0, "10.1.0.9"), metric=9),
    )
    next_hop = underlay.intern(addr("10.2.3.4"))
    assert way(next_hop) == [("eth0", "10.1.0.9")]
    assert next_hop.cost == 7


def test_a_loop_of_gateways_is_unreachable() -> None:
    underlay = table(route("10.2.0.0/16", (0, "10.3.0.1")), route("10.3.0.0/16", (0, "10.2.0.1")))
    assert not underlay.intern(addr("10.2.3.4")).reachable


def test_a_chain_of_gateways_is_followed_to_a_bounded_depth() -> None:
    def chain(length: int) -> list[KernelRoute]:
        return [
            route("10.1.0.0/24", (1, "")),
            *(route(f"11.{n}.0.0/16", (0, f"11.{n + 1}.0.1")) for n in range(length)),
            route(f"11.{length}.0.0/16", (0, "10.1.0.9")),
        ]

    assert table(*chain(MAX_DEPTH - 1)).intern(addr("11.0.0.1")).reachable
    assert not table(*chain(MAX_DEPTH)).intern(addr("11.0.0.1")).reachable


def test_our_own_address_is_no_next_hop() -> None:
    """RFC 4271 §5.1.3: a route whose NEXT_HOP is the receiver itself is not to be used."""
    underlay = table(route("10.1.0.0/24", (1, "")))
    assert not underlay.intern(addr("10.1.0.1")).reachable
    assert not underlay.intern(addr("0.0.0.0")).reachable


def test_a_blackhole_is_not_gone_around() -> None:
    underlay = table(
        route("0.0.0.0/0", (1, "10.1.0.254")),
        KernelRoute(parse_prefix("10.2.0.0/16")[1], RouteKind.BLACKHOLE),
        KernelRoute(parse_prefix("10.3.0.0/16")[1], RouteKind.UNREACHABLE),
    )
    assert not underlay.intern(addr("10.2.0.1")).reachable
    assert not underlay.intern(addr("10.3.0.1")).reachable
    assert underlay.intern(addr("10.4.0.1")).reachable


def test_no_route_is_unreachable() -> None:
    assert not table().intern(addr("10.2.0.1")).reachable


def test_a_link_that_falls_takes_its_next_hops_and_only_these() -> None:
    underlay = table(route("10.1.0.0/24", (1, "")), route("10.2.0.0/24", (2, "")))
    one, two = underlay.intern(addr("10.1.0.9")), underlay.intern(addr("10.2.0.9"))
    assert underlay.update(links=[Link(1, "eth0", has_carrier=False)]) == [one]
    assert (one.reachable, one.hops, two.reachable) == (False, (), True)
    assert underlay.update(links=[ETH0]) == [one]
    assert way(one) == [("eth0", "10.1.0.9")]
    assert underlay.update(links_gone=[2]) == [two]


def test_one_of_several_links_that_falls_leaves_the_others() -> None:
    underlay = table(route("10.9.0.0/16", (1, "10.1.0.2"), (2, "10.3.0.2")))
    next_hop = underlay.intern(addr("10.9.0.1"))
    assert underlay.update(links=[Link(2, "eth1", is_up=False)]) == [next_hop]
    assert way(next_hop) == [("eth0", "10.1.0.2")]


def test_a_route_that_appears_or_goes_changes_what_it_covers() -> None:
    underlay = table(route("0.0.0.0/0", (1, "10.1.0.254")))
    near, far = underlay.intern(addr("10.2.0.9")), underlay.intern(addr("10.8.0.9"))
    specific = changes(route("10.2.0.0/24", (2, ""), metric=3))
    assert underlay.update(routes=specific) == [near]
    assert (way(near), near.cost) == ([("eth1", "10.2.0.9")], 3)
    assert underlay.update(routes=specific) == []
    assert underlay.update(routes=gone("10.2.0.0/24")) == [near]
    assert underlay.update(routes=gone("0.0.0.0/0")) == [near, far]


def test_a_change_of_cost_alone_is_a_change() -> None:
    underlay = table(route("10.2.0.0/24", (2, ""), metric=3))
    next_hop = underlay.intern(addr("10.2.0.9"))
    assert underlay.update(routes=changes(route("10.2.0.0/24", (2, ""), metric=4))) == [next_hop]


def test_a_change_far_down_the_chain_is_noticed() -> None:
    underlay = table(route("10.2.0.0/16", (0, "10.3.0.1")), route("10.3.0.0/24", (2, "")))
    next_hop = underlay.intern(addr("10.2.0.9"))
    assert underlay.update(routes=gone("10.3.0.0/24")) == [next_hop]


def test_an_address_that_becomes_ours_is_no_longer_a_next_hop() -> None:
    underlay = table(route("10.2.0.0/24", (2, "")))
    next_hop = underlay.intern(addr("10.2.0.9"))
    ours = Address(addr("10.2.0.9"), 24, 2)
    assert underlay.update(addresses=[ours]) == [next_hop]
    assert not next_hop.reachable
    assert underlay.is_own(addr("10.2.0.9"))
    assert underlay.update(addresses_gone=[ours]) == [next_hop]
    assert next_hop.reachable


def test_an_address_on_two_interfaces_stays_ours_until_both_have_gone() -> None:
    underlay = table()
    one, two = Address(addr("10.2.0.9"), 24, 2), Address(addr("10.2.0.9"), 32, 3)
    underlay.update(addresses=[one, two])
    underlay.update(addresses_gone=[one])
    assert underlay.is_own(addr("10.2.0.9"))
    underlay.update(addresses_gone=[two])
    assert not underlay.is_own(addr("10.2.0.9"))


def test_a_link_local_address_needs_its_link() -> None:
    """RFC 4007 §6: the same address on two links is two neighbours."""
    underlay = table()
    one, two = underlay.intern(addr("fe80::1"), 1), underlay.intern(addr("fe80::1"), 2)
    assert (way(one), way(two)) == ([("eth0", "fe80::1")], [("eth1", "fe80::1")])
    assert not underlay.intern(addr("fe80::1")).reachable
    assert underlay.update(links_gone=[2]) == [two]


def test_an_ipv6_next_hop_is_resolved_over_ipv6_routes() -> None:
    underlay = table(route("2001:db8::/64", (2, "")), route("32.0.0.0/8", (1, "")))
    assert way(underlay.intern(addr("2001:db8::5"))) == [("eth1", "2001:db8::5")]


NEAR = addr("2001:db8::5")
LINK = addr("fe80::5")


def test_a_neighbour_s_global_address_is_its_gateway_as_with_bird() -> None:
    """RFC 2545 §3."""
    underlay = table(route("2001:db8::/64", (2, ""), metric=256), own="2001:db8::1")
    next_hop = underlay.intern(NEAR, 2, LINK)
    assert (way(next_hop), next_hop.cost) == ([("eth1", "2001:db8::5")], 256)
    assert next_hop.address == NEAR


def test_a_global_address_that_is_no_neighbour_s_gives_way_to_the_link_local_one() -> None:
    underlay = table(route("::/0", (1, "fe80::9")), own="2001:db8:9::1")
    alone, far = underlay.intern(NEAR, 2, LINK), underlay.intern(NEAR, 0, LINK)
    assert (way(alone), way(far)) == ([("eth1", "fe80::5")], [("eth0", "fe80::9")])
    assert underlay.update(routes=gone("::/0")) == [far]
    assert (alone.reachable, far.reachable) == (True, False)
    assert underlay.update(routes=changes(route("2001:db8::/64", (1, "")))) == [alone, far]
    assert way(alone) == way(far) == [("eth0", "2001:db8::5")]


def test_a_link_local_address_beside_a_global_one_needs_its_link_too() -> None:
    underlay = table(own="2001:db8:9::1")
    alone = underlay.intern(NEAR, 2, LINK)
    assert underlay.update(links=[replace(ETH1, has_carrier=False)]) == [alone]
    assert not alone.reachable


def test_a_link_local_address_of_ours_is_no_next_hop_on_its_link() -> None:
    """RFC 4007: on another link it is somebody else's."""
    underlay = table()
    one, two = (underlay.intern(LINK, number) for number in (1, 2))
    beside = underlay.intern(NEAR, 2, LINK)
    assert underlay.update(addresses=[Address(LINK, 64, 2)]) == [two, beside]
    assert [each.reachable for each in (one, two, beside)] == [True, False, False]
    assert [underlay.is_own(LINK, number) for number in (0, 1, 2)] == [True, False, True]


def test_our_link_local_address_on_a_link_is_found() -> None:
    underlay = table()
    mine = [Address(addr(text), 64, 2) for text in ("2001:db8::1", "fe80::2", "fe80::1")]
    underlay.update(addresses=mine)
    assert underlay.link_local_on(2) == addr("fe80::1")
    assert underlay.link_local_on(1) == b""


def test_an_address_has_one_object() -> None:
    underlay = table()
    assert underlay.intern(addr("10.1.0.9")) is underlay.intern(addr("10.1.0.9"))


def test_unused_next_hops_are_forgotten() -> None:
    underlay = table()
    kept = underlay.intern(addr("10.1.0.8"))
    underlay.intern(addr("10.1.0.9"))
    assert underlay.retain([kept]) == 1
    assert len(underlay) == 1
    assert underlay.intern(addr("10.1.0.8")) is kept


def test_who_trusts_takes_every_next_hop_as_reachable() -> None:
    underlay = NextHopTable(trusting=True)
    next_hop = underlay.intern(addr("10.1.0.9"))
    assert (next_hop.reachable, next_hop.cost, next_hop.hops) == (True, 0, ())
    assert underlay.update(links=[ETH0], routes=changes(route("10.0.0.0/8", (1, "")))) == []
    assert next_hop.reachable


def test_the_interface_of_an_address_is_known() -> None:
    underlay = table(
        route("10.1.0.0/24", (1, "")), route("0.0.0.0/0", (2, "10.3.0.1")), own="10.1.0.1"
    )
    assert underlay.interface_of(addr("10.1.0.1")) == ETH0
    assert underlay.interface_of(addr("10.1.0.9")) == ETH0
    assert underlay.interface_of(addr("8.8.8.8")) == ETH1
    assert table().interface_of(addr("8.8.8.8")) is None


def test_only_neighbours_are_on_link() -> None:
    underlay = table(route("10.1.0.0/24", (1, "")), route("0.0.0.0/0", (2, "10.3.0.1")))
    assert underlay.on_link(addr("10.1.0.9")) == Hop(1, addr("10.1.0.9"), "eth0")
    assert underlay.on_link(addr("8.8.8.8")) is None
    assert underlay.on_link(addr("10.1.0.1")) is None


# A peer as gateway.


def direct(underlay: NextHopTable, address: str, peer: str = "10.1.0.9", scope: int = 0) -> NextHop:
    return underlay.intern(addr(address), scope, b"", addr(peer))


def test_a_neighbour_stands_in_for_next_hops_that_are_on_no_link() -> None:
    underlay = table(
        route("10.1.0.0/24", (1, "")), route("203.0.113.0/24", (2, "10.3.0.1"), metric=5)
    )
    assert way(direct(underlay, "10.1.0.7")) == [("eth0", "10.1.0.7")]
    far = [direct(underlay, address) for address in ("203.0.113.5", "192.0.2.1")]
    assert [way(next_hop) for next_hop in far] == [[("eth0", "10.1.0.9")]] * 2
    assert [next_hop.cost for next_hop in far] == [0, 0]
    assert not direct(underlay, "10.1.0.1").reachable
    assert way(underlay.intern(addr("203.0.113.5"))) == [("eth1", "10.3.0.1")]


def test_a_peer_that_is_no_neighbour_has_its_next_hops_resolved_as_ever() -> None:
    underlay = table(route("10.1.0.0/24", (1, "")), route("10.2.0.0/16", (1, "10.1.0.254")))
    assert way(direct(underlay, "10.2.0.5", peer="10.2.0.1")) == [("eth0", "10.1.0.254")]
    assert not direct(underlay, "192.0.2.1", peer="10.2.0.1").reachable


def test_a_gateway_follows_its_peer_off_the_link_and_on_again() -> None:
    underlay = table(route("10.1.0.0/24", (1, "")))
    next_hop = direct(underlay, "192.0.2.1")
    assert underlay.update(routes=gone("10.1.0.0/24")) == [next_hop]
    assert not next_hop.reachable
    assert underlay.update(routes=changes(route("10.1.0.0/24", (2, "")))) == [next_hop]
    assert way(next_hop) == [("eth1", "10.1.0.9")]
    assert underlay.update(links=[replace(ETH1, has_carrier=False)]) == [next_hop]
    assert not next_hop.reachable


def test_a_link_local_peer_is_a_gateway_on_the_link_of_its_session() -> None:
    underlay = table(route("fe80::/64", (1, "")), route("fe80::/64", (2, "")))
    next_hop = direct(underlay, "2001:db8::5", peer="fe80::9", scope=2)
    assert way(next_hop) == [("eth1", "fe80::9")]


# Static routes of our own.


def test_what_a_peer_behind_a_static_route_tells_leads_through_its_gateway() -> None:
    underlay = table(route("10.1.0.0/24", (1, "")), route("0.0.0.0/0", (2, "10.3.0.1")))
    next_hop, other = underlay.intern(addr("192.0.2.1")), underlay.intern(addr("192.0.2.2"))
    host = parse_prefix("192.0.2.1/32")[1]
    assert underlay.set_static_routes({Afi.IPV4: {host: addr("10.1.0.254")}}) == [next_hop]
    assert way(next_hop) == [("eth0", "10.1.0.254")]
    assert underlay.set_static_routes({Afi.IPV4: {host: addr("10.1.0.254")}}) == []
    assert underlay.on_link(addr("192.0.2.1")) is None
    # A foreign route to the same address does not make ours forgotten when it goes again.
    underlay.update(routes=changes(route("192.0.2.1/32", (3, "10.4.0.1"))))
    underlay.update(routes=gone("192.0.2.1/32"))
    assert way(next_hop) == [("eth0", "10.1.0.254")]
    assert underlay.set_static_routes({}) == [next_hop]
    assert way(next_hop) == way(other) == [("eth1", "10.3.0.1")]


small = st.integers(0, 3)
addresses = st.builds(lambda a, b: bytes((10, a, b, 1)), small, small)
prefixes = st.builds(
    lambda address, length: pack(Afi.IPV4, address, length),
    addresses,
    st.sampled_from([0, 8, 16, 24, 32]),
)
hops = st.builds(Hop, st.integers(0, 3), st.just(b"") | addresses)
steps = st.one_of(
    st.tuples(
        st.just("route"),
        prefixes,
        st.lists(st.tuples(st.lists(hops, max_size=2), st.integers(0, 2)), max_size=2),
    ),
    st.tuples(st.just("link"), st.integers(1, 3), st.sampled_from(["up", "down", "gone"])),
    st.tuples(st.just("address"), addresses, st.booleans()),
)


def apply(step: tuple[Any, ...], *tables: NextHopTable) -> list[list[NextHop]]:
    match step:
        case "route", nlri, found:
            now = [KernelRoute(nlri, hops=tuple(ways), metric=m) for ways, m in found]
            return [t.update(routes={Afi.IPV4: [(nlri, now)]}) for t in tables]
        case "link", index, "gone":
            return [t.update(links_gone=[index]) for t in tables]
        case "link", index, state:
            link = Link(index, f"eth{index}", is_up=state == "up")
            return [t.update(links=[link]) for t in tables]
        case _, address, True:
            return [t.update(addresses=[Address(address, 32, 1)]) for t in tables]
        case _:
            address = step[1]
            return [t.update(addresses_gone=[Address(address, 32, 1)]) for t in tables]


def state(next_hop: NextHop) -> tuple[bool, int, tuple[Hop, ...]]:
    return (next_hop.reachable, next_hop.cost, next_hop.hops)


@settings(max_examples=300, deadline=None)
@given(st.lists(steps, max_size=25))
def test_changes_taken_in_one_by_one_are_what_a_fresh_resolution_gives(
    script: list[tuple[Any, ...]],
) -> None:
    """And `update` returns exactly those that differ."""
    everything = [bytes((10, a, b, 1)) for a in range(4) for b in range(4)]
    kept, fresh = NextHopTable(), NextHopTable()
    next_hops = [kept.intern(address) for address in everything]
    for step in script:
        before = {id(n): state(n) for n in next_hops}
        changed, _ = apply(step, kept, fresh)
        assert {id(n) for n in changed} == {id(n) for n in next_hops if before[id(n)] != state(n)}
    expected = [state(fresh.intern(address)) for address in everything]
    assert expected == [state(next_hop) for next_hop in next_hops]
