"""Several paths to a prefix, as a peer on the wire and a person at the keyboard see them."""

from __future__ import annotations

from fsm.family import IPV4_UNICAST
from policy.prefix import parse_prefix
from speaker.rib.adj_rib_in_paths import MAX_PATHS
from speaker.route_views import RouteViews
from speaker.speaker import Speaker
from speaker.status import Status
from tests.support.routers import Town, best, is_up, on_both_loops, on_uvloop, peer_at, until
from tests.support.scripted_peer import (
    IPV4,
    ScriptedPeer,
    capability,
    path_attributes,
    prefix,
    route_refresh,
    update,
)

SENDS = 2
SEVERAL = {"addPath": "both"}
ONE, TWO = "10.1.0.0/16", "10.2.0.0/16"


def add_path(direction: int, *families: int) -> bytes:
    """Write the capability (RFC 7911 §4)."""
    return capability(
        69, b"".join(afi.to_bytes(2, "big") + bytes((1, direction)) for afi in families)
    )


def told(number: int, text: str) -> bytes:
    return number.to_bytes(4, "big") + prefix(text)


def announce(peer: ScriptedPeer, number: int, *prefixes: str, path: tuple[int, ...] = ()) -> None:
    octets = path_attributes((peer.asn, *path), next_hop=peer.address)
    peer.send(update(b"", octets, b"".join(told(number, text) for text in prefixes)))


def withdraw(peer: ScriptedPeer, number: int, *prefixes: str) -> None:
    peer.send(update(b"".join(told(number, text) for text in prefixes)))


def paths_to(router: Speaker, text: str = ONE) -> list[tuple[list[int], str, bool]]:
    """Give identifiers, AS_PATH and whether it is the best, of each path, best first."""
    routes = [
        route for chunk in RouteViews(router).routes({"prefix": text}) for route in chunk["routes"]
    ]
    return [(route["pathIDs"], route["asPath"], route["best"]) for route in routes]


@on_both_loops
async def test_two_paths_of_one_peer_are_kept_and_the_other_one_takes_over() -> None:
    """RFC 7911 §2."""
    async with Town() as town:
        router = await town.run_for_strangers(keys=SEVERAL)
        peer = await town.join(more=add_path(SENDS, IPV4))
        announce(peer, 1, ONE, TWO)
        announce(peer, 0xFFFFFFFF, ONE, path=(7,))
        await until(lambda: len(paths_to(router)) == 2)
        own = str(peer.asn)
        assert paths_to(router) == [([1], own, True), ([0xFFFFFFFF], f"{own} 7", False)]
        view = Status(router, 0).peer(peer_at(router, 11))
        assert view["negotiated"] is not None
        assert view["negotiated"]["addPath"] == {"ipv4 unicast": "receive"}
        assert view["families"]["ipv4 unicast"]["received"] == 3
        withdraw(peer, 1, ONE)
        await until(lambda: paths_to(router) == [([0xFFFFFFFF], f"{own} 7", True)])
        withdraw(peer, 5, ONE, TWO)
        withdraw(peer, 0xFFFFFFFF, ONE)
        await until(lambda: set(best(router)) == {TWO})


@on_uvloop
async def test_all_paths_go_with_the_session() -> None:
    async with Town() as town:
        router = await town.run_for_strangers(2, keys=SEVERAL)
        peer, other = await town.join(more=add_path(SENDS, IPV4)), await town.join(12)
        other.announce(ONE, path=(other.asn, 7, 8, 9))
        announce(peer, 1, ONE)
        announce(peer, 2, ONE, path=(7,))
        await until(lambda: len(paths_to(router)) == 3)
        peer.close()
        await until(lambda: len(paths_to(router)) == 1)
        nlri = parse_prefix(ONE)[1]
        (left,) = router.loc_ribs[IPV4_UNICAST].candidates(nlri)
        assert router.path_ids(IPV4_UNICAST, nlri, left) == []


@on_uvloop
async def test_a_peer_that_offers_nothing_tells_prefixes_without_identifiers() -> None:
    async with Town() as town:
        router = await town.run_for_strangers(keys=SEVERAL)
        peer = await town.join()
        assert (69, bytes((0, 1, 1, 3))) in (peer.open.capabilities if peer.open else [])
        peer.announce(ONE)
        await until(lambda: ONE in best(router))
        view = Status(router, 0).peer(peer_at(router, 11))
        assert (view["negotiated"] or {}).get("addPath") == {}


@on_uvloop
async def test_too_many_paths_are_too_many_prefixes() -> None:
    async with Town() as town:
        keys = {"addPath": "receive", "maxPrefixes": "2"}
        await town.run_for_strangers(keys=keys)
        peer = await town.join(more=add_path(SENDS, IPV4))
        for number in range(3):
            announce(peer, number, ONE, path=(number + 1,))
        await peer.until_closed()
        assert peer.notification is not None
        assert peer.notification[0] == 6


@on_uvloop
async def test_a_changed_key_resets_the_session() -> None:
    async with Town() as town:
        router = await town.run_for_strangers(keys=SEVERAL)
        peer = await town.join(more=add_path(SENDS, IPV4))
        (change,) = await router.apply(town.plan_for_strangers(keys={"addPath": "off"}))
        assert change.describe().endswith(": add path both → off")
        await peer.until_closed()


@on_uvloop
async def test_a_peer_that_tells_too_many_paths_to_one_prefix_is_named() -> None:
    async with Town() as town:
        router = await town.run_for_strangers(keys=SEVERAL)
        peer = await town.join(more=add_path(SENDS, IPV4))
        for number in range(MAX_PATHS + 1):
            announce(peer, number, ONE, path=(number + 1,))
        await until(lambda: Status(router, 0).status()["conditions"])
        (condition,) = Status(router, 0).status()["conditions"]
        assert (condition["reason"], len(paths_to(router))) == ("PathsDropped", MAX_PATHS)


@on_uvloop
async def test_paths_that_a_refresh_leaves_out_go() -> None:
    """RFC 7313 §4: each path by itself."""
    async with Town() as town:
        router = await town.run_for_strangers(keys=SEVERAL)
        peer = await town.join(more=add_path(SENDS, IPV4) + capability(70))
        announce(peer, 1, ONE, TWO)
        announce(peer, 2, ONE, path=(7,))
        await until(lambda: len(paths_to(router)) == 2)
        peer.send(route_refresh(IPV4, 1))
        announce(peer, 2, ONE, path=(7,))
        peer.send(route_refresh(IPV4, 2))
        await until(lambda: [ids for ids, _, _ in paths_to(router)] == [[2]])
        assert set(best(router)) == {ONE}


@on_both_loops
async def test_two_wrens_tell_each_other_every_path() -> None:
    async with Town() as town:
        nodes = [town.node("r1", 1), town.node("r2", 2)]
        to_r2 = town.peer("to-r2", 2, node="r1", keys=SEVERAL)
        first = await town.run_for_strangers(2, more=[nodes[1], to_r2])
        to_r1 = town.peer("to-r1", 1, node="r2", keys=SEVERAL)
        second = await town.run(town.plan("r2", town.settings(), *nodes, to_r1))
        one, two = await town.join(11), await town.join(12)
        one.announce(ONE)
        two.announce(ONE, path=(two.asn, 7))
        await until(lambda: len(paths_to(second)) == 2)
        told = paths_to(second)
        assert [path for _, path, _ in told] == [str(one.asn), f"{two.asn} 7"]
        assert len({number for ids, _, _ in told for number in ids}) == 2
        two.announce(ONE)
        await until(lambda: {path for _, path, _ in paths_to(second)} == {"65011", "65012"})
        one.withdraw(ONE)
        await until(lambda: [path for _, path, _ in paths_to(second)] == ["65012"])
        two.close()
        await until(lambda: paths_to(second) == [])
        assert paths_to(first) == []


@on_uvloop
async def test_in_calicos_mode_the_mesh_has_several_paths_both_ways() -> None:
    async with Town() as town:
        settings = town.settings(policy="calico", nodeToNodeMeshEnabled=True)
        nodes = [town.node("r1", 1), town.node("r2", 2)]
        routers = [await town.run(town.plan(f"r{n}", settings, *nodes)) for n in (1, 2)]
        await until(lambda: all(is_up(router) for router in routers))
        for router, other in zip(routers, (2, 1), strict=True):
            view = Status(router, 0).peer(peer_at(router, other))
            assert (view["negotiated"] or {}).get("addPath") == {"ipv4 unicast": "both"}
