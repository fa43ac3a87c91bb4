"""Relayed families between scripted peers on loopback, and by the embedder's door."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fsm.family import NAMES, Family
from speaker.config.keys import PolicyMode
from speaker.edits import judge_anew
from speaker.errors import ConfigError
from speaker.peer import Peer
from speaker.route_views import RouteViews
from speaker.speaker import Speaker
from speaker.status import Status
from tests.support.relayed import (
    LABEL,
    OTHER_LABEL,
    OVER_TCP,
    RD,
    TO_NET,
    TO_WEB,
    WITHDRAWN,
    RelayPeer,
    flow,
    mac_ip,
    multiprotocol,
    reach,
    vpn,
)
from tests.support.routers import AS, Town, home, on_uvloop, peer_at, until
from tests.support.scripted_peer import attribute, capability, path_attributes, update

VPN4, EVPN, FLOW4, LS = (NAMES[n] for n in ("ipv4-vpn", "l2vpn-evpn", "ipv4-flow", "bgp-ls"))
FAMILIES = (VPN4, EVPN, FLOW4, LS)
NET, OTHER_NET = b"\x18\x0a\1\2", b"\x18\x0a\1\3"
FROM = bytes(8) + b"\x0a\0\0\x09"
TWO = vpn(NET) + vpn(OTHER_NET)
TARGET = attribute(0xC0, 16, b"\0\2\xfd\xe8\0\0\0\1")


class Reflector:
    """A route reflector, and clients that are scripted peers.

    Args:
        town: where all live.
    """

    def __init__(self, town: Town) -> None:
        self.town = town
        self.router: Speaker

    async def start(
        self,
        *asns: int,
        families: str = "ipv4,vpnv4,evpn,ipv4-flow,bgp-ls",
        clients: bool = True,
        policy: str = "plain",
        **keys: str,
    ) -> None:
        """Start it, with a client or an external peer for each AS."""
        client = {"routeReflectorClient": "on"} if clients else {}
        own = {"passive": "on", "families": families, **keys}
        peers = [
            self.town.peer(
                f"p{number}",
                number,
                asn,
                node="r1",
                keys={**own, **(client if asn == AS else {})},
            )
            for number, asn in enumerate(asns, 11)
        ]
        me = self.town.node("r1", 1)
        settings = self.town.settings(policy=policy)
        self.router = await self.town.run(self.town.plan("r1", settings, me, *peers))

    async def join(
        self, number: int, asn: int = AS, families: tuple[Family, ...] = FAMILIES, more: bytes = b""
    ) -> RelayPeer:
        """Connect a peer that speaks relayed families and IPv4."""
        peer = await RelayPeer.connect(home(1), self.town.port, source=home(number), asn=asn)
        self.town._peers.append(peer)
        await peer.establish(more=multiprotocol(*families) + more)
        await until(lambda: peer_at(self.router, number).is_established)
        return peer


async def two_clients(town: Town, **keys: Any) -> tuple[Reflector, RelayPeer, RelayPeer]:
    reflector = Reflector(town)
    await reflector.start(AS, AS, **keys)
    return reflector, await reflector.join(11), await reflector.join(12)


def counts(router: Speaker, number: int, family: Family) -> tuple[int, int]:
    """Give how many routes a peer has told, and has been told."""
    peer: Peer = peer_at(router, number)
    view = Status(router, 1).peer(peer)["families"][str(family)]
    return view["received"], view["advertised"]


@on_uvloop
async def test_routes_are_reflected_as_they_came() -> None:
    async with Town() as town:
        _, teller, hearer = await two_clients(town)
        told = {
            VPN4: (vpn(NET), FROM),
            EVPN: (mac_ip(), b"\x0a\0\0\x09"),
            FLOW4: (flow(TO_NET, OVER_TCP), b""),
        }
        tunnel, unknown = attribute(0xC0, 22, b"\0\6\0\6\x41\x0a\0\0\x09"), b"\xc0\x63\1\7"
        for family, (nlri, next_hop) in told.items():
            teller.tell(family, nlri, next_hop=next_hop, more=TARGET + tunnel + unknown)
        for family, (nlri, next_hop) in told.items():
            await hearer.until(lambda: (family, nlri) in hearer.routes)  # noqa: B023 - awaited here
            heard = hearer.routes[family, nlri]
            assert heard.next_hop == next_hop
            assert heard.attributes == {
                1: (0x40, b"\0"),
                2: (0x40, b""),
                5: (0x40, b"\0\0\0\x64"),
                9: (0x80, bytes((127, 0, 0, 11))),
                10: (0x80, bytes((127, 0, 0, 1))),
                16: (0xC0, TARGET[3:]),
                22: (0xC0, tunnel[3:]),
                99: (0xE0, b"\7"),
            }
        assert teller.routes == {}


@on_uvloop
async def test_a_withdrawal_may_have_another_label() -> None:
    async with Town() as town:
        reflector, teller, hearer = await two_clients(town)
        teller.tell(VPN4, vpn(NET) + vpn(OTHER_NET), next_hop=FROM)
        await hearer.until(lambda: len(hearer.routes) == 2)
        teller.untell(VPN4, vpn(NET, OTHER_LABEL))
        await hearer.until(lambda: hearer.lost == [(VPN4, vpn(NET, WITHDRAWN))])
        assert len(reflector.router.loc_ribs[VPN4]) == 1


@on_uvloop
async def test_a_new_label_takes_the_place_of_the_old_one() -> None:
    async with Town() as town:
        reflector, teller, hearer = await two_clients(town)
        teller.tell(VPN4, vpn(NET), next_hop=FROM)
        await hearer.until(lambda: (VPN4, vpn(NET)) in hearer.routes)
        teller.tell(VPN4, vpn(NET, OTHER_LABEL), next_hop=FROM)
        await hearer.until(lambda: (VPN4, vpn(NET, OTHER_LABEL)) in hearer.routes)
        assert hearer.lost == []
        assert counts(reflector.router, 11, VPN4) == (1, 0)
        assert counts(reflector.router, 12, VPN4) == (0, 1)


@on_uvloop
async def test_routes_that_differ_in_their_labels_share_what_is_kept_of_their_attributes() -> None:
    async with Town() as town:
        reflector, teller, hearer = await two_clients(town)
        labels = [(n << 4 | 1).to_bytes(3, "big") for n in range(100, 200)]
        block = b"".join(vpn(b"\x18\x0a\1" + bytes((n,)), label) for n, label in enumerate(labels))
        teller.tell(VPN4, block, next_hop=FROM, more=TARGET)
        await hearer.until(lambda: len(hearer.routes) == 100)
        assert {nlri[1:4] for _, nlri in hearer.routes} == set(labels)
        paths = set(reflector.router.loc_ribs[VPN4].best.values())
        assert len(paths) == 100
        assert len({path.attributes for path in paths}) == 1
        exchange = peer_at(reflector.router, 12).exchange
        assert exchange is not None
        outs = exchange.shares[VPN4].group.table.values()
        assert len({id(out.attributes) for out in outs}) == 1


@on_uvloop
async def test_a_refresh_tells_everything_again_between_markers() -> None:
    async with Town() as town:
        reflector = Reflector(town)
        await reflector.start(AS, AS)
        teller, hearer = await reflector.join(11), await reflector.join(12, more=b"\x46\0")
        teller.tell(EVPN, mac_ip(), next_hop=b"\x0a\0\0\x09")
        await hearer.until(lambda: (EVPN, mac_ip()) in hearer.routes and EVPN in hearer.over)
        hearer.routes.clear()
        hearer.refresh(EVPN)
        await hearer.until(lambda: hearer.story[-2:] == ["refresh 1", "refresh 2"])
        assert list(hearer.routes) == [(EVPN, mac_ip())]


@on_uvloop
async def test_what_a_refresh_of_the_peer_leaves_out_goes() -> None:
    async with Town() as town:
        reflector = Reflector(town)
        await reflector.start(AS, AS)
        teller, hearer = await reflector.join(11, more=b"\x46\0"), await reflector.join(12)
        teller.tell(VPN4, vpn(NET) + vpn(OTHER_NET), next_hop=FROM)
        await hearer.until(lambda: len(hearer.routes) == 2)
        teller.refresh(VPN4, 1)
        teller.tell(VPN4, vpn(NET, OTHER_LABEL), next_hop=FROM)
        teller.refresh(VPN4, 2)
        await hearer.until(lambda: hearer.lost == [(VPN4, vpn(OTHER_NET, WITHDRAWN))])
        assert len(reflector.router.loc_ribs[VPN4]) == 1


@on_uvloop
async def test_the_routes_of_a_peer_that_dies_are_withdrawn() -> None:
    async with Town() as town:
        reflector, teller, hearer = await two_clients(town)
        teller.tell(VPN4, b"".join(vpn(b"\x18\x0a" + n.to_bytes(2, "big")) for n in range(200)),
                    next_hop=FROM)  # fmt: skip
        teller.tell(FLOW4, flow(TO_NET), next_hop=b"")
        await hearer.until(lambda: {f for f, _ in hearer.routes} == {VPN4, FLOW4})
        teller.reset()
        await hearer.until(lambda: {f for f, _ in hearer.lost} == {VPN4, FLOW4})
        await until(lambda: not any(map(len, reflector.router.loc_ribs.values())))


@on_uvloop
async def test_the_end_of_what_there_is_is_told_for_each_family() -> None:
    async with Town() as town:
        reflector, _, hearer = await two_clients(town)
        await hearer.until(lambda: hearer.over == set(FAMILIES))
        assert (
            str(EVPN) in Status(reflector.router, 1).peer(peer_at(reflector.router, 11))["families"]
        )


@on_uvloop
async def test_only_what_both_ends_want_is_negotiated() -> None:
    async with Town() as town:
        reflector = Reflector(town)
        await reflector.start(AS, AS, families="vpnv4,l2vpn-evpn")
        teller = await reflector.join(11, families=(VPN4, FLOW4))
        exchange = peer_at(reflector.router, 11).exchange
        assert exchange is not None
        assert set(exchange.inbound.ribs) == {VPN4}
        teller.tell(FLOW4, flow(TO_NET), next_hop=b"")
        teller.tell(VPN4, vpn(NET), next_hop=FROM)
        await until(lambda: len(reflector.router.loc_ribs[VPN4]))
        assert FLOW4 not in reflector.router.loc_ribs


@on_uvloop
async def test_routes_cross_the_border_of_an_as_with_their_next_hop() -> None:
    async with Town() as town:
        reflector = Reflector(town)
        await reflector.start(AS, 65012)
        teller, hearer = await reflector.join(11), await reflector.join(12, 65012)
        inside = attribute(0xC0, 16, TARGET[3:] + b"\x40\2\xfd\xe8\0\0\0\1")
        teller.tell(VPN4, vpn(NET), next_hop=FROM, more=inside)
        await hearer.until(lambda: (VPN4, vpn(NET)) in hearer.routes)
        heard = hearer.routes[VPN4, vpn(NET)]
        assert heard.next_hop == FROM
        assert heard.attributes == {
            1: (0x40, b"\0"),
            2: (0x40, b"\2\1" + AS.to_bytes(4, "big")),
            16: (0xC0, TARGET[3:]),
        }


@on_uvloop
async def test_peers_of_our_as_that_are_no_clients_hear_only_of_others() -> None:
    async with Town() as town:
        reflector = Reflector(town)
        await reflector.start(AS, AS, 65013, clients=False)
        inner, other = await reflector.join(11), await reflector.join(12)
        outer = await reflector.join(13, 65013)
        inner.tell(VPN4, vpn(NET), next_hop=FROM)
        await outer.until(lambda: (VPN4, vpn(NET)) in outer.routes)
        path = path_attributes((65013,))
        outer.send(update(b"", reach(VPN4, vpn(OTHER_NET), FROM) + path))
        await other.until(lambda: (VPN4, vpn(OTHER_NET)) in other.routes)
        assert (VPN4, vpn(NET)) not in other.routes


@on_uvloop
async def test_the_policy_of_calico_says_nothing_of_relayed_routes() -> None:
    async with Town() as town:
        reflector = Reflector(town)
        await reflector.start(AS, AS, policy="calico")
        assert reflector.router.plan.mode is PolicyMode.CALICO
        teller, hearer = await reflector.join(11), await reflector.join(12)
        teller.tell(VPN4, vpn(NET), next_hop=FROM)
        await hearer.until(lambda: (VPN4, vpn(NET)) in hearer.routes)
        judge_anew(reflector.router, VPN4)
        assert len(reflector.router.loc_ribs[VPN4]) == 1


@on_uvloop
async def test_a_loop_is_seen() -> None:
    async with Town() as town:
        _, teller, hearer = await two_clients(town)
        ours = attribute(0x80, 10, bytes((127, 0, 0, 1)))
        teller.tell(VPN4, vpn(NET), next_hop=FROM, more=ours)
        teller.tell(VPN4, vpn(OTHER_NET), next_hop=FROM)
        await hearer.until(lambda: (VPN4, vpn(OTHER_NET)) in hearer.routes)
        assert (VPN4, vpn(NET)) not in hearer.routes


@on_uvloop
async def test_the_link_state_attribute_is_passed_on_though_it_is_not_transitive() -> None:
    async with Town() as town:
        _, teller, hearer = await two_clients(town)
        nlri, state = b"\xff\xfe\0\2xy", attribute(0x80, 29, b"\4\2\0\1x")
        other = attribute(0x80, 98, b"x")
        teller.tell(LS, nlri, next_hop=b"\x0a\0\0\x09", more=state + other)
        await hearer.until(lambda: (LS, nlri) in hearer.routes)
        heard = hearer.routes[LS, nlri].attributes
        assert heard[29] == (0x80, state[3:])
        assert 98 not in heard


@on_uvloop
async def test_a_limit_holds_for_a_family() -> None:
    async with Town() as town:
        reflector, teller, _ = await two_clients(town, maxPrefixes="vpnv4 1")
        teller.tell(EVPN, mac_ip() + mac_ip(mac=b"\2\0\0\0\0\2"), next_hop=b"\x0a\0\0\x09")
        await until(lambda: len(reflector.router.loc_ribs[EVPN]) == 2)
        teller.tell(VPN4, vpn(NET) + vpn(OTHER_NET), next_hop=FROM)
        await teller.until_closed()
        assert teller.notification is not None
        assert teller.notification[:2] == (6, 1)


@on_uvloop
async def test_a_malformed_route_withdraws_its_update_and_nothing_else() -> None:
    async with Town() as town:
        reflector, teller, hearer = await two_clients(town)
        good, wrong = flow(TO_NET, OVER_TCP), flow(OVER_TCP, TO_NET)
        other = flow(TO_NET, TO_WEB)
        teller.tell(FLOW4, good, next_hop=b"")
        teller.tell(FLOW4, other, next_hop=b"")
        await hearer.until(lambda: (FLOW4, other) in hearer.routes)
        teller.tell(FLOW4, good + wrong, next_hop=b"")
        await hearer.until(lambda: hearer.lost == [(FLOW4, good)])
        assert list(reflector.router.loc_ribs[FLOW4].best) == [other]
        assert teller.is_open


@on_uvloop
async def test_nlri_of_any_length_fill_messages() -> None:
    async with Town() as town:
        reflector, teller, hearer = await two_clients(town)
        ports = b"\x05" + b"".join(b"\x11" + n.to_bytes(2, "big") for n in range(1, 150))
        for number in range(60):
            component = ports + b"\x91" + (1000 + number).to_bytes(2, "big")
            nlri = (0xF000 | len(component)).to_bytes(2, "big") + component
            teller.tell(FLOW4, nlri, next_hop=b"")
        await hearer.until(lambda: sum(len(nlri) for _, nlri in hearer.routes) == 60 * 453)
        assert hearer.longest <= 4096
        hearer.routes.clear()
        hearer.refresh(FLOW4)
        await hearer.until(lambda: sum(len(nlri) for _, nlri in hearer.routes) == 60 * 453)
        assert hearer.longest <= 4096
        assert len(reflector.router.loc_ribs[FLOW4]) == 60


@on_uvloop
async def test_ipv4_routes_with_ipv6_next_hops_go_to_those_who_read_them() -> None:
    async with Town() as town:
        reflector = Reflector(town)
        await reflector.start(AS, AS, AS)
        six = capability(5, b"\0\1\0\x80\0\2")
        teller, reader = await reflector.join(11, more=six), await reflector.join(12, more=six)
        other = await reflector.join(13)
        teller.tell(VPN4, vpn(NET), next_hop=bytes(8) + bytes(15) + b"\1")
        teller.tell(VPN4, vpn(OTHER_NET), next_hop=FROM)
        teller.tell(EVPN, mac_ip(), next_hop=bytes(15) + b"\1")
        await reader.until(lambda: len(reader.routes) == 3)
        await other.until(lambda: len(other.routes) == 2)
        assert set(other.routes) == {(VPN4, vpn(OTHER_NET)), (EVPN, mac_ip())}


@on_uvloop
async def test_a_route_that_fits_no_message_is_not_told() -> None:
    async with Town() as town:
        reflector = Reflector(town)
        await reflector.start(AS, AS, extendedMessages="on")
        long = capability(6)
        teller, hearer = await reflector.join(11, more=long), await reflector.join(12)
        ports = b"\x05" + b"\x11\0\1" * 1363 + b"\x91\0\1"
        nlri = (0xF000 | len(ports)).to_bytes(2, "big") + ports
        teller.tell(FLOW4, nlri, next_hop=b"")
        teller.tell(FLOW4, flow(TO_NET), next_hop=b"")
        await hearer.until(lambda: (FLOW4, flow(TO_NET)) in hearer.routes)
        assert len(hearer.routes) == 1
        teller.untell(FLOW4, nlri)
        teller.untell(FLOW4, flow(TO_NET))
        await hearer.until(lambda: hearer.lost == [(FLOW4, flow(TO_NET))])
        assert len(reflector.router.loc_ribs[FLOW4]) == 0


@on_uvloop
async def test_a_peer_is_told_no_more_than_it_may() -> None:
    async with Town() as town:
        reflector, teller, hearer = await two_clients(town, maxPrefixesOut="vpnv4 1 drop")
        teller.tell(VPN4, vpn(NET), next_hop=FROM)
        await hearer.until(lambda: (VPN4, vpn(NET)) in hearer.routes)
        teller.tell(VPN4, vpn(OTHER_NET), next_hop=FROM)
        teller.tell(EVPN, mac_ip(), next_hop=b"\x0a\0\0\x09")
        await hearer.until(lambda: (EVPN, mac_ip()) in hearer.routes)
        assert (VPN4, vpn(OTHER_NET)) not in hearer.routes
        teller.untell(VPN4, vpn(NET))
        await hearer.until(lambda: (VPN4, vpn(OTHER_NET)) in hearer.routes)
        assert hearer.lost == [(VPN4, vpn(NET, WITHDRAWN))]
        assert counts(reflector.router, 12, VPN4) == (0, 1)


# The embedder's door.


@on_uvloop
async def test_an_embedder_announces_and_withdraws() -> None:
    async with Town() as town:
        reflector, hearer, _ = await two_clients(town)
        relays = reflector.router.relays
        relays.announce("vpnv4", vpn(NET), next_hop="10.0.0.9", attributes=TARGET)
        await hearer.until(lambda: (VPN4, vpn(NET)) in hearer.routes)
        heard = hearer.routes[VPN4, vpn(NET)]
        assert heard.next_hop == FROM
        assert heard.attributes == {
            1: (0x40, b"\0"),
            2: (0x40, b""),
            5: (0x40, b"\0\0\0\x64"),
            16: (0xC0, TARGET[3:]),
        }
        [route] = relays.routes(VPN4)
        assert (route.nlri, route.path.source.name) == (vpn(NET), "static1")
        assert str(route) == "10.1.2.0/24 label 100 rd 65000:1 via 10.0.0.9"
        relays.announce(VPN4, vpn(NET, OTHER_LABEL), next_hop=FROM)
        await hearer.until(lambda: (VPN4, vpn(NET, OTHER_LABEL)) in hearer.routes)
        relays.withdraw(VPN4, vpn(NET, LABEL))
        await hearer.until(lambda: hearer.lost == [(VPN4, vpn(NET, WITHDRAWN))])
        assert list(relays.routes(VPN4)) == []


@on_uvloop
async def test_a_flow_specification_of_our_own_needs_no_next_hop() -> None:
    async with Town() as town:
        reflector, hearer, _ = await two_clients(town)
        drop = attribute(0xC0, 16, b"\x80\6\0\0\0\0\0\0")
        reflector.router.relays.announce("ipv4-flow", flow(TO_NET), attributes=drop)
        await hearer.until(lambda: (FLOW4, flow(TO_NET)) in hearer.routes)
        assert hearer.routes[FLOW4, flow(TO_NET)].next_hop == b""


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda relays: relays.announce("ipv4", NET), "routes of ipv4 are not relayed"),
        (lambda relays: relays.announce("ipv4-sr-policy", b""), "is no address family; there are"),
        (lambda relays: relays.announce("vpnv4", NET, next_hop=FROM), "180a0102 is no NLRI of ipv"),
        (lambda relays: relays.announce("vpnv4", b"", next_hop=FROM), "it holds 0 routes"),
        (lambda relays: relays.announce("vpnv4", TWO, next_hop=FROM), "it holds 2 routes"),
        (lambda relays: relays.announce("vpnv4", vpn(NET)), "ipv4-vpn has no next hops of 0"),
        (lambda relays: relays.announce("evpn", b"\x0c\0", next_hop="::1"), "type 0c"),
        (lambda relays: relays.announce("flow4", flow(TO_NET), next_hop="x"), "'x' does not"),
        (
            lambda relays: relays.announce("flow4", flow(TO_NET), attributes=b"\xc0\x10\1\0"),
            "EXTENDED_COMMUNITIES: length 1",
        ),
        (
            lambda relays: relays.announce("flow4", flow(TO_NET), attributes=b"\x40\x63\0"),
            "attribute 99 claims to be well-known",
        ),
        (lambda relays: relays.withdraw("flow4", b"\0"), "a flow specification with no component"),
        (lambda relays: list(relays.routes("ipv6")), "routes of ipv6 are not relayed"),
    ],
)
@on_uvloop
async def test_what_an_embedder_cannot_announce(act: Callable[[Any], object], words: str) -> None:
    async with Town() as town:
        reflector = Reflector(town)
        await reflector.start(AS)
        with pytest.raises(ConfigError, match=words):
            act(reflector.router.relays)


@on_uvloop
async def test_relayed_routes_are_shown_decoded() -> None:
    async with Town() as town:
        reflector, teller, hearer = await two_clients(town)
        teller.tell(VPN4, vpn(NET), next_hop=FROM, more=TARGET)
        await hearer.until(lambda: (VPN4, vpn(NET)) in hearer.routes)
        views = RouteViews(reflector.router)
        [chunk] = views.routes({"family": "ipv4-vpn", "all": True})
        [route] = chunk["routes"]
        assert (route["prefix"], route["family"], route["nextHop"]) == (
            "10.1.2.0/24 label 100 rd 65000:1",
            "ipv4-vpn",
            "10.0.0.9",
        )
        assert (route["best"], route["kernel"]) == (True, "")
        assert route["peer"] == peer_at(reflector.router, 11).name
        assert route["nlri"] == vpn(NET).hex()
        assert route["decoded"] == {"nlri": "10.1.2.0/24", "label": [[100]], "rd": "65000:1"}
        assert route["attributes"]["NEXT_HOP"] == "10.0.0.9"
        assert route["attributes"]["EXTENDED_COMMUNITIES"] == "target:65000:1"
        for request in ({}, {"family": "ipv6-vpn"}, {"prefix": "10.1.2.0/24"}):
            assert list(views.routes(request)) == [{"routes": []}]


@on_uvloop
async def test_another_family_changes_nothing_for_unicast() -> None:
    async with Town() as town:
        reflector, teller, hearer = await two_clients(town)
        teller.tell(FLOW4, flow(TO_NET), next_hop=b"")
        teller.announce("198.51.100.0/24", path=(), local_pref=100)
        await hearer.until(lambda: "198.51.100.0/24" in hearer.table or hearer.routes)
        await until(lambda: counts(reflector.router, 12, NAMES["ipv4"]) == (0, 1))
        assert RD not in b"".join(reflector.router.loc_ribs[NAMES["ipv4"]].best)
