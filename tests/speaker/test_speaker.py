"""Routers together: iBGP, reflection, chains of ASes, strangers, and life under load."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping, Sequence
from dataclasses import replace
from time import process_time
from typing import Any

import pytest

from fsm.family import IPV4_UNICAST
from policy.prefix import show
from speaker import turn
from speaker.errors import TransportError
from speaker.notices import Notice, RoutesChanged, SessionDown, SessionEstablished
from speaker.peer import Peer
from speaker.rib.loc_rib import Delta
from speaker.speaker import Speaker
from tests.support import resources
from tests.support.routers import (
    AS,
    Town,
    as_path,
    best,
    home,
    is_up,
    on_both_loops,
    on_uvloop,
    peer_at,
    table_of,
    until,
    uptimes,
)
from tests.support.routes import nlri
from tests.support.scripted_peer import (
    KEEPALIVE,
    ScriptedPeer,
    packed,
    path_attributes,
    update,
)

Links = Sequence[tuple[int, int]]


async def build(
    town: Town,
    links: Links,
    *,
    ases: Mapping[int, int] | None = None,
    clusters: Mapping[int, str] | None = None,
    networks: Mapping[int, str] | None = None,
) -> dict[int, Speaker]:
    """Run a router at each address that a link names.

    Args:
        links: which of them peer, by number.
        ases: of each; the common one by default.
        clusters: cluster ids of the reflectors.
        networks: what each originates; 10.<number>.0.0/16 by default.
    """
    numbers = sorted({number for link in links for number in link})
    ases, clusters = ases or {}, clusters or {}
    nodes = [town.node(f"r{n}", n, asn=ases.get(n), cluster_id=clusters.get(n)) for n in numbers]
    routers = {}
    for me in numbers:
        others = [b if a == me else a for a, b in links if me in (a, b)]
        peers = [
            town.peer(f"to-{n}", n, ases.get(n, AS), node=f"r{me}", **_client(me, n, clusters))
            for n in others
        ]
        network = (networks or {}).get(me, f"10.{me}.0.0/16")
        settings = town.settings(networks=network)
        routers[me] = await town.run(town.plan(f"r{me}", settings, *nodes, *peers))
    await until(lambda: all(is_up(router) for router in routers.values()))
    return routers


def _client(me: int, other: int, clusters: Mapping[int, str]) -> dict[str, Any]:
    """Everybody who is not of a reflector's cluster is its client, as in Calico."""
    if me not in clusters:
        return {}
    alike = clusters.get(other) == clusters[me]
    return {"keys": {"routeReflectorClient": "off" if alike else "on"}}


def prefixes(router: Speaker) -> set[str]:
    return set(best(router))


async def until_all_have(routers: Mapping[int, Speaker], expected: set[str]) -> None:
    await until(lambda: all(prefixes(router) == expected for router in routers.values()))


# Topologies.


@on_both_loops
async def test_in_a_full_ibgp_mesh_everybody_has_everything_once() -> None:
    async with Town() as town:
        routers = await build(town, [(1, 2), (1, 3), (2, 3)])
        await until_all_have(routers, {"10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16"})
        assert best(routers[1])["10.2.0.0/16"] == peer_at(routers[1], 2).name
        assert as_path(routers[1], "10.2.0.0/16") == ()


@on_both_loops
async def test_ibgp_routes_are_not_passed_on_between_ibgp_peers() -> None:
    """RFC 4271 §9.2: the middle of a line is no reflector."""
    async with Town() as town:
        routers = await build(town, [(1, 2), (2, 3)])
        await until(lambda: len(best(routers[2])) == 3)
        routers[2].originate("192.0.2.0/24")
        await until(lambda: "192.0.2.0/24" in best(routers[1]))
        await until(lambda: "192.0.2.0/24" in best(routers[3]))
        assert prefixes(routers[1]) == {"10.1.0.0/16", "10.2.0.0/16", "192.0.2.0/24"}
        assert prefixes(routers[3]) == {"10.2.0.0/16", "10.3.0.0/16", "192.0.2.0/24"}


@on_both_loops
async def test_a_reflector_names_the_originator_and_its_cluster() -> None:
    """RFC 4456 §8."""
    async with Town() as town:
        routers = await build(town, [(1, 2), (2, 3)], clusters={2: "244.0.0.1"})
        await until_all_have(routers, {"10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16"})
        [path] = [
            path
            for prefix, path in routers[3].loc_ribs[IPV4_UNICAST].best.items()
            if show(IPV4_UNICAST.afi, prefix) == "10.1.0.0/16"
        ]
        assert path.attributes.originator_id == int.from_bytes(socket.inet_aton(home(1)), "big")
        assert path.attributes.cluster_list == (int.from_bytes(b"\xf4\0\0\1", "big"),)
        assert path.attributes.next_hop == socket.inet_aton(home(1))
        routers[1].withdraw("10.1.0.0/16")
        await routers[1].apply(replace(routers[1].plan, originated=()))
        await until_all_have(routers, {"10.2.0.0/16", "10.3.0.0/16"})


@on_both_loops
async def test_two_reflectors_of_one_cluster_keep_no_ghosts_alive() -> None:
    """RFC 4456 §8: what one reflects to the other is reflected to clients alone."""
    async with Town() as town:
        links = [(1, 2), (1, 3), (4, 2), (4, 3), (2, 3)]
        clusters = {2: "244.0.0.1", 3: "244.0.0.1"}
        routers = await build(town, links, clusters=clusters)
        everything = {f"10.{n}.0.0/16" for n in range(1, 5)}
        await until_all_have(routers, everything)
        await routers[1].stop()
        await until_all_have({n: routers[n] for n in (2, 3, 4)}, everything - {"10.1.0.0/16"})


@on_both_loops
async def test_a_reflector_names_its_cluster_to_other_reflectors_too() -> None:
    """RFC 4456 §8: the list names clusters, also towards a peer that is no client."""
    async with Town() as town:
        clusters = {2: "244.0.0.1", 3: "244.0.0.1"}
        routers = await build(town, [(1, 2), (2, 3)], clusters=clusters)
        await until(lambda: "10.1.0.0/16" in best(routers[3]))
        [path] = [
            path
            for prefix, path in routers[3].loc_ribs[IPV4_UNICAST].best.items()
            if show(IPV4_UNICAST.afi, prefix) == "10.1.0.0/16"
        ]
        assert path.attributes.cluster_list == (0xF4000001,)


@on_both_loops
async def test_reflectors_of_two_clusters_pass_routes_through_both() -> None:
    async with Town() as town:
        clusters = {2: "244.0.0.1", 3: "244.0.0.2"}
        routers = await build(town, [(1, 2), (2, 3), (3, 4)], clusters=clusters)
        await until_all_have(routers, {f"10.{n}.0.0/16" for n in range(1, 5)})
        [path] = [
            path
            for prefix, path in routers[4].loc_ribs[IPV4_UNICAST].best.items()
            if show(IPV4_UNICAST.afi, prefix) == "10.1.0.0/16"
        ]
        assert path.attributes.cluster_list == (0xF4000002, 0xF4000001)
        assert path.attributes.originator_id == int.from_bytes(socket.inet_aton(home(1)), "big")


@on_both_loops
async def test_along_a_chain_of_ases_the_path_grows_and_the_next_hop_changes() -> None:
    """RFC 4271 §5.1.2, §5.1.3."""
    async with Town() as town:
        ases = {1: 65001, 2: 65002, 3: 4200000003, 4: 65004}
        routers = await build(town, [(1, 2), (2, 3), (3, 4)], ases=ases)
        await until_all_have(routers, {f"10.{n}.0.0/16" for n in range(1, 5)})
        assert as_path(routers[4], "10.1.0.0/16") == (4200000003, 65002, 65001)
        hops = {
            show(IPV4_UNICAST.afi, prefix): socket.inet_ntoa(path.attributes.next_hop)
            for prefix, path in routers[4].loc_ribs[IPV4_UNICAST].best.items()
            if path.source.is_bgp
        }
        assert set(hops.values()) == {home(3)}


@on_both_loops
async def test_in_a_ring_of_ases_routes_take_the_other_way_round() -> None:
    async with Town() as town:
        ases = {n: 65000 + n for n in range(1, 5)}
        routers = await build(town, [(1, 2), (2, 3), (3, 4), (4, 1)], ases=ases)
        await until_all_have(routers, {f"10.{n}.0.0/16" for n in range(1, 5)})
        await until(lambda: as_path_or_none(routers[1], "10.2.0.0/16") == (65002,))
        plan = routers[1].plan
        gone = peer_at(routers[1], 2).name
        kept = {name: peer for name, peer in plan.peers.items() if name != gone}
        await routers[1].apply(replace(plan, peers=kept))
        await until(lambda: as_path_or_none(routers[1], "10.2.0.0/16") == (65004, 65003, 65002))


def as_path_or_none(router: Speaker, prefix: str) -> tuple[int, ...] | None:
    return as_path(router, prefix) if prefix in best(router) else None


# The start.


@on_both_loops
async def test_a_busy_port_stops_the_start_with_a_hint() -> None:
    async with Town() as town:
        with socket.create_server((home(1), town.port)):
            with pytest.raises(TransportError, match="in use"):
                await town.run_for_strangers()
            assert not town.routers[0].peers
        await town.run_for_strangers()


@on_both_loops
async def test_a_router_is_a_context_and_tells_what_happens() -> None:
    async with Town() as town:
        router = Speaker(town.plan_for_strangers())
        town.routers.append(router)  # and so is stopped a second time, which does no harm
        seen: list[Notice] = []

        async def follow() -> None:
            async for notice in router.listen_to_notices():
                seen.append(notice)  # noqa: PERF401 - it is looked at meanwhile

        following = asyncio.create_task(follow())
        async with router:
            peer = await town.join()
            peer.announce("10.1.0.0/16")
            await until(lambda: any(isinstance(notice, RoutesChanged) for notice in seen))
            peer.close()
            await until(lambda: any(isinstance(notice, SessionDown) for notice in seen))
        await following
        kinds = [type(notice) for notice in seen]
        assert kinds[:2] == [SessionEstablished, RoutesChanged]
        up = seen[0]
        assert isinstance(up, SessionEstablished)
        assert (up.address, up.negotiated.peer_asn) == (home(11), 65011)


@on_both_loops
async def test_what_is_originated_by_hand_stays_through_edits() -> None:
    async with Town() as town:
        router = await town.run_for_strangers()
        peer = await town.join()
        router.originate("192.0.2.0/24")
        await peer.until(lambda: peer.table)
        await router.apply(town.plan_for_strangers(settings={"networks": "10.9.0.0/16"}))
        await peer.until(lambda: set(peer.table) == {"192.0.2.0/24", "10.9.0.0/16"})
        router.withdraw("192.0.2.0/24")
        await peer.until(lambda: set(peer.table) == {"10.9.0.0/16"})


class Notebook:
    """A sink that keeps what it was told."""

    def __init__(self) -> None:
        self.table: dict[bytes, str] = {}

    def apply(self, delta: Delta) -> None:
        for gone in delta.changed.get(None, ()):
            self.table.pop(gone, None)
        for path, nlris in delta.changed.items():
            if path is not None:
                self.table.update(dict.fromkeys(nlris, path.source.name))


@on_both_loops
async def test_a_sink_of_somebody_else_follows_the_best_paths_and_not_the_end() -> None:
    async with Town() as town:
        notebook = Notebook()
        router = await town.run(town.plan_for_strangers(), sink=notebook)
        peer = await town.join()
        peer.announce(*table_of(100))
        await until(lambda: len(notebook.table) == 100)
        peer.withdraw(*table_of(40))
        await until(lambda: len(notebook.table) == 60)
        await router.stop()
        await peer.until_closed()
        assert len(notebook.table) == 60


# Under load.


class Patient(ScriptedPeer):
    """Hears UPDATEs without a look at them, so that what is slow is the router.

    Between two KEEPALIVEs it counts the time of the processor and not the clock's: while a busy
    machine has others at work nothing is kept waiting by the router.
    """

    waited = 0.0
    _told: float | None = None

    def look(self) -> float:
        """Give the longest time that there was no KEEPALIVE, until now."""
        if self._told is not None:
            self.waited = max(self.waited, process_time() - self._told)
        return self.waited

    def _take(self, kind: int, body: bytes) -> None:
        if kind == KEEPALIVE:
            self.look()
            self._told = process_time()
        super()._take(kind, body)

    def _take_update(self, body: bytes) -> None:
        return


@on_both_loops
async def test_keepalives_go_out_while_a_long_backlog_is_worked_on() -> None:
    """Hold time 3: a KEEPALIVE is due each second, however much is to be done."""
    # Made before the sessions are up: meanwhile nobody in this process has a turn.
    blocks = list(packed(table_of(30_000), 3900))
    attributes = [path_attributes((65012, n), next_hop=home(12)) for n in (1, 2)]
    octets = [[update(b"", each, block) for block in blocks] for each in attributes]
    async with Town() as town:
        router = await town.run_for_strangers(2, keys={"holdTime": "3"})
        watcher = await Patient.up(home(1), town.port, source=home(11), asn=65011)
        teller = await town.join(12)
        await until(lambda: is_up(router))
        before = uptimes(router)
        rounds, start = 0, process_time()
        while process_time() < start + 4.5:
            teller.send(*octets[rounds % 2])
            rounds += 1
            end = (65012, 1 + (rounds - 1) % 2)
            await until(lambda end=end: ends_by(router, 30_000, end), 60)  # type: ignore[misc]
        # An interval of two seconds would be a missed one.
        assert watcher.look() < 2
        assert uptimes(router) == before
        watcher.close()


def last_of(count: int) -> str:
    return f"10.{(count - 1) >> 8}.{(count - 1) & 255}.0/24"


def ends_by(router: Speaker, count: int, path: tuple[int, ...]) -> bool:
    """Tell whether everything is decided and the last prefix is there by this path."""
    last = router.loc_ribs[IPV4_UNICAST].best.get(nlri(last_of(count)))
    return last is not None and last.attributes.as_sequence == path and not router.backlog


@on_uvloop
async def test_peers_are_told_everything_in_turn_however_short_a_turn_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(turn, "BUDGET", 0.0)
    async with Town() as town:
        router = await town.run_for_strangers(4)
        teller = await town.join(11)
        prefixes = table_of(300)
        teller.announce(*prefixes)
        await until(lambda: len(best(router)) == len(prefixes))
        listeners = [await town.join(number) for number in (12, 13, 14)]
        for listener in listeners:
            await listener.until_ended()
            assert listener.table.keys() == set(prefixes)


@on_uvloop
async def test_octets_that_lie_unread_are_no_silence() -> None:
    """A router that is far behind does not read; its own slowness ends no session."""
    async with Town() as town:
        router = await town.run_for_strangers(1, keys={"holdTime": "3"})
        peer = await town.join()
        shell: Peer = peer_at(router, 11)
        await until(lambda: shell.is_established)
        shell.connections.hold()
        peer.announce("10.1.0.0/16")
        start = router.clock.now()
        await until(lambda: best(router), 8)
        assert router.clock.now() - start > 2.5
        assert is_up(router)


@on_both_loops
async def test_a_fault_in_a_turn_is_told_and_the_router_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Town() as town:
        town.faulty = True
        router = await town.run_for_strangers(2)
        one, two = await town.join(11), await town.join(12)
        struck = router.exports.apply
        strikes = [ZeroDivisionError()]

        def strike(delta: Delta) -> None:
            if strikes:
                raise strikes.pop()
            struck(delta)

        monkeypatch.setattr(router.exports, "apply", strike)
        one.announce("10.1.0.0/16")
        await until(lambda: town.said.of("turn_failed"))
        one.announce("10.2.0.0/16")
        await two.until(lambda: "10.2.0.0/16" in two.table)


@on_uvloop
async def test_a_peer_whose_output_fails_is_reset_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Town() as town:
        town.faulty = True
        router = await town.run_for_strangers(3)
        one, two, three = [await town.join(n) for n in (11, 12, 13)]
        exchange = peer_at(router, 12).exchange
        assert exchange is not None

        def fail() -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(exchange, "flush", fail)
        one.announce("10.1.0.0/16")
        await three.until(lambda: three.table)
        await two.until_closed()
        assert two.notification == (6, 8, b"")
        again = await town.join(12)
        await again.until(lambda: again.table)
        assert one.is_open


def test_a_plan_without_sessions_is_a_router_too() -> None:
    plan = resources.plan("r1", resources.node("r1", "192.0.2.1/24"), resources.settings())
    assert Speaker(plan).router_id == 0xC0000201
