"""What an edit would do to routes: what is foretold is what happens, and nothing happens before."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from fsm.family import IPV4_UNICAST
from policy.prefix import show
from speaker import foresight
from speaker.cli.forecast import _joined
from speaker.config.plan import Plan
from speaker.control.protocol import ControlError
from speaker.control.views import ForecastView
from speaker.foresight import Foresight
from speaker.speaker import Speaker
from tests.support.commands import wren, write_documents
from tests.support.houses import House
from tests.support.resources import block, document
from tests.support.routers import Town, is_up, on_both_loops, on_uvloop, peer_at, until

Seen = tuple[Mapping[str, object], Mapping[str, object], Mapping[str, object]]


def seen(router: Speaker) -> Seen:
    """Give where each prefix leads, what is taken from each peer, and what each is told."""
    best: dict[str, object] = {
        show(IPV4_UNICAST.afi, nlri): (path.source.name, path.next_hop.address, path.blackhole)
        for nlri, path in router.loc_ribs[IPV4_UNICAST].best.items()
    }
    taken: dict[str, dict[str, object]] = {}
    told: dict[str, dict[str, object]] = {}
    for name, peer in router.peers.items():
        if peer.exchange is None:
            continue
        rib, share = peer.exchange.inbound.ribs[IPV4_UNICAST], peer.exchange.shares[IPV4_UNICAST]
        taken[name] = {
            show(IPV4_UNICAST.afi, nlri): {(p.attributes.raw, p.blackhole) for p in rib.used(nlri)}
            for nlri in rib.paths
        }
        told[name] = {
            prefix: outs
            for nlri in router.loc_ribs[IPV4_UNICAST].best
            if (prefix := show(IPV4_UNICAST.afi, nlri))
            and (outs := {(o.attributes, o.next_hop) for o in share.group.told(share.member, nlri)})
        }
    return best, taken, told


def difference(now: Mapping[str, object], then: Mapping[str, object]) -> dict[str, list[str]]:
    both = now.keys() & then.keys()
    return {
        "appear": sorted(then.keys() - now.keys()),
        "vanish": sorted(now.keys() - then.keys()),
        "change": sorted(prefix for prefix in both if now[prefix] != then[prefix]),
    }


def ordered(view: Any) -> dict[str, list[str]]:
    return {key: sorted(view.get(key, ())) for key in ("appear", "vanish", "change")}


async def foretold_and_done(router: Speaker, plan: Plan) -> ForecastView:
    """Foretell an edit, make it, and see that it was told right."""
    before = seen(router)
    told = _joined(Foresight(router, plan).chunks())
    assert seen(router) == before
    await router.apply(plan)
    await until(lambda: router.is_idle)
    after = seen(router)
    best = difference(before[0], after[0])
    assert sorted(told["used"]["appear"]) == best["appear"]
    assert sorted(told["used"]["vanish"]) == best["vanish"]
    assert sorted(move["prefix"] for move in told["used"]["move"]) == best["change"]
    for way, index in (("accepted", 1), ("advertised", 2)):
        foretold = {view["peer"]: ordered(dict(view)[way]) for view in told["peers"]}
        for name in before[index].keys() | after[index].keys():
            happened = difference(_of(before[index], name), _of(after[index], name))
            assert foretold.get(name, ordered({})) == happened, (name, way)
    return told


def _of(peers: Mapping[str, object], name: str) -> Mapping[str, object]:
    found = peers.get(name, {})
    assert isinstance(found, Mapping)
    return found


def rejecting(name: str, way: str, cidr: str) -> Mapping[str, Any]:
    rule = {"action": "Reject", "matchOperator": "In", "cidr": cidr}
    return document("BGPFilter", name, {f"{way}V4": [rule]})


def adding(name: str, way: str, cidr: str) -> Mapping[str, Any]:
    add = {"addCommunity": {"value": "65000:7"}}
    rule = {"action": "Accept", "matchOperator": "In", "cidr": cidr, "operations": [add]}
    return document("BGPFilter", name, {f"{way}V4": [rule]})


def policy(name: str, way: str, *operations: dict[str, Any], **more: Any) -> Mapping[str, Any]:
    rule = {"action": "Accept", "operations": list(operations), **more}
    return document("RoutePolicy", name, {f"{way}V4": [rule]})


NEXT_HOP = {"setNextHop": {"value": "10.255.0.1"}}
SOME = {"cidr": "10.2.0.0/15", "matchOperator": "In"}


class Row:
    """Three strangers: 11 and 12 tell routes, some of them both; 13 listens."""

    def __init__(self, town: Town) -> None:
        self.town = town

    def plan(self, *numbers: int, filters: Any = (), settings: Any = None, **spec: Any) -> Plan:
        """Make a plan with peers; ``p11=…`` is more of the spec of one."""
        town = self.town
        peers = [
            town.peer(
                f"p{n}",
                n,
                65000 + n,
                node="r1",
                **{"keys": {"passive": "on"}, **spec.get(f"p{n}", {})},
            )
            for n in numbers
        ]
        settled = town.settings(**{"networks": "10.9.0.0/16", **(settings or {})})
        return town.plan("r1", settled, town.node("r1", 1), *peers, *filters)

    async def start(self, hears: int = 5, **options: Any) -> Speaker:
        town = self.town
        router = await town.run(self.plan(11, 12, 13, **options))
        first, second, third = [await town.join(n) for n in (11, 12, 13)]
        first.announce("10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16", path=[65011, 1])
        second.announce("10.2.0.0/16", "10.4.0.0/16", path=[65012, 1, 2])
        await third.until(lambda: len(third.table) == hears)
        await until(lambda: router.is_idle)
        return router


EDITS: dict[str, Callable[[Row], Plan]] = {
    "a peer goes": lambda row: row.plan(12, 13),
    "the last two go": lambda row: row.plan(11),
    "an import filter refuses some": lambda row: row.plan(
        11, 12, 13, filters=[rejecting("f", "import", "10.2.0.0/15")], p11={"filters": ["f"]}
    ),
    "an import filter changes some": lambda row: row.plan(
        11, 12, 13, filters=[adding("f", "import", "10.1.0.0/16")], p11={"filters": ["f"]}
    ),
    "an export filter refuses some": lambda row: row.plan(
        11, 12, 13, filters=[rejecting("f", "export", "10.4.0.0/16")], p13={"filters": ["f"]}
    ),
    "an export filter changes some": lambda row: row.plan(
        11, 12, 13, filters=[adding("f", "export", "10.0.0.0/8")], p13={"filters": ["f"]}
    ),
    "the next hop is kept": lambda row: row.plan(11, 12, 13, p13={"nextHopMode": "Keep"}),
    "own networks come and go": lambda row: row.plan(
        11, 12, 13, settings={"networks": "10.4.0.0/16,10.8.0.0/16"}
    ),
    "everything at once": lambda row: row.plan(
        12,
        13,
        filters=[rejecting("f", "import", "10.4.0.0/16"), adding("g", "export", "10.0.0.0/8")],
        settings={"networks": "10.4.0.0/16"},
        p12={"filters": ["f"]},
        p13={"filters": ["g"]},
    ),
    "a policy sets next hops": lambda row: row.plan(
        11, 12, 13, filters=[policy("f", "import", NEXT_HOP, **SOME)], p11={"filters": ["f"]}
    ),
    "a policy drops packets": lambda row: row.plan(
        11,
        12,
        13,
        filters=[policy("f", "import", {"blackhole": {}}, **SOME)],
        p11={"filters": ["f"]},
    ),
    "a policy prefers the other way": lambda row: row.plan(
        11,
        12,
        13,
        filters=[policy("f", "import", {"setLocalPreference": {"value": 200}}, asPathRegex="_2$")],
        p12={"filters": ["f"]},
    ),
    "a policy changes paths that are told": lambda row: row.plan(
        11,
        12,
        13,
        filters=[policy("f", "export", {"removePrivateAS": {}}, {"setMED": {"value": 5}})],
        p13={"filters": ["f"]},
    ),
    "nothing": lambda row: row.plan(11, 12, 13),
}


@on_uvloop
@pytest.mark.parametrize("edit", EDITS)
async def test_what_is_foretold_is_what_happens(edit: str) -> None:
    async with Town() as town:
        row = Row(town)
        router = await row.start()
        told = await foretold_and_done(router, EDITS[edit](row))
        if edit == "nothing":
            assert told["peers"] == []
        else:
            assert told["peers"] or any(told["used"].values())


@on_uvloop
@pytest.mark.parametrize("cidr", ["10.1.0.0/16", "10.3.0.0/16", "10.0.0.0/8"])
async def test_pools_and_blocks_of_calicos_policy(cidr: str) -> None:
    async with Town() as town:
        row = Row(town)
        calico = {"policy": "calico", "networks": ""}
        pool = document("IPPool", "p", {"cidr": "10.1.0.0/16"})
        router = await row.start(1, settings=calico, filters=[pool])
        other = document("IPPool", "p", {"cidr": cidr})
        more = [other, block("10.4.0.0/26", "r1")]
        told = await foretold_and_done(router, row.plan(11, 12, 13, settings=calico, filters=more))
        assert told["used"]["appear"] == ["10.4.0.0/26"]


@on_uvloop
async def test_refused_routes_come_back_when_a_filter_goes() -> None:
    async with Town() as town:
        row = Row(town)
        refusing: dict[str, Any] = {
            "filters": [rejecting("f", "import", "10.3.0.0/16")],
            "p12": {"filters": ["f"]},
        }
        router = await row.start(**refusing)
        [second] = [p for p in town._peers if p.asn == 65012]
        second.announce("10.3.0.0/16", path=[65012])
        rib = next(p for p in router.peers.values() if p.plan.peer_asn == 65012)
        assert rib.exchange is not None
        received = rib.exchange.inbound.ribs[IPV4_UNICAST]
        await until(lambda: len(received.received) == 3)
        told = await foretold_and_done(router, row.plan(11, 12, 13))
        [move] = told["used"]["move"]
        assert move["prefix"] == "10.3.0.0/16"
        assert (move["was"], move["becomes"]) == (
            f"Node_127_0_0_11_port_{town.port} via 127.0.0.11",
            f"Node_127_0_0_12_port_{town.port} via 127.0.0.12",
        )


@on_uvloop
async def test_several_paths_to_a_prefix_both_ways() -> None:
    async with Town() as town:

        def plans(words: str, *refused: Any) -> tuple[Plan, Plan]:
            there = town.peer("second", 2, node="r1", keys={"addPath": words})
            filters: dict[str, Any] = {"filters": ["f"]} if refused else {}
            back = town.peer("first", 1, node="r2", keys={"addPath": "both"}, **filters)
            own = [town.settings(), town.node("r2", 2), back, *refused]
            return town.plan_for_strangers(3, more=[there]), town.plan("r2", *own)

        first, second = [await town.run(plan) for plan in plans("send")]
        await until(lambda: is_up(second) and peer_at(first, 2).is_established)
        for number in (11, 12, 13):
            (await town.join(number)).announce("10.1.0.0/16", f"10.{number}.0.0/16")
        exchange = peer_at(second, 1).exchange
        assert exchange is not None
        rib = exchange.inbound.ribs[IPV4_UNICAST]
        await until(lambda: rib.accepted == 6 and first.is_idle and second.is_idle)
        # Of three paths two are told.
        told = await foretold_and_done(first, plans("send 2")[0])
        assert [view["advertised"]["change"] for view in told["peers"]] == [["10.1.0.0/16"]]
        await until(lambda: rib.accepted == 5 and second.is_idle)
        refused = rejecting("f", "import", "10.1.0.0/16")
        told = await foretold_and_done(second, plans("send 2", refused)[1])
        assert told["used"]["vanish"] == ["10.1.0.0/16"]
        told = await foretold_and_done(second, plans("send 2")[1])
        assert told["used"]["appear"] == ["10.1.0.0/16"]


@on_uvloop
async def test_it_works_in_slices_and_says_what_it_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Town() as town:
        row = Row(town)
        router = await row.start()
        monkeypatch.setattr(foresight, "SLICE", 4)
        chunks = list(Foresight(router, row.plan(12, 13)).chunks())
        assert len([chunk for chunk in chunks if chunk["peers"]]) > 2
        monkeypatch.setattr(foresight, "QUESTIONS", 4)
        assert _joined(Foresight(router, row.plan(12, 13)).chunks())["left"] > 0


@on_uvloop
async def test_what_tables_cannot_know_is_said() -> None:
    async with Town() as town:
        row = Row(town)
        router = await row.start()
        plan = row.plan(11, 12, 13, 14, p12={"keys": {"passive": "on", "enforceFirstAS": "off"}})
        told = _joined(Foresight(router, plan).chunks())
        [known] = [view for view in told["peers"] if "_14_" in view["peer"]]
        assert len(known["advertised"]["appear"]) == 5
        assert any("_14_" in line and "will tell" in line for line in told["unforeseen"])
        assert any("_12_" in line and "enforce first as" in line for line in told["unforeseen"])


@on_both_loops
async def test_the_commands_ask_the_running_daemon(tmp_path: Path) -> None:
    async with Town() as town:
        house = House(town, tmp_path)
        house.furnish(11, 12, networks="10.9.0.0/16")
        async with house.lived_in() as daemon:
            first, second = await town.join(11), await town.join(12)
            first.announce("10.1.0.0/16", "10.2.0.0/16")
            await second.until(lambda: len(second.table) == 3)
            env = {"WREN_RUN_DIR": str(house.run_dir)}
            new = write_documents(
                tmp_path / "new",
                [town.node("r1", 1), town.settings(), *house.peers(12)],
            )
            done = await asyncio.to_thread(wren, "plan", new, env=env)
            assert done.exit_code == 0, done.output
            lines = done.stdout.splitlines()
            one, two = (f"Node_127_0_0_{n}_port_{town.port}" for n in (11, 12))
            assert f"  removes {one}" in lines
            assert "  routes: 3 vanish (10.1.0.0/16, 10.2.0.0/16, 10.9.0.0/16)" in lines
            assert f"  taken from {one}: 2 vanish (10.1.0.0/16, 10.2.0.0/16)" in lines
            assert any(line.startswith(f"  told to {two}: 3 vanish (") for line in lines)
            words = ("delete", "bgppeer", "p11", "--dry-run", "-o", "json")
            done = await asyncio.to_thread(wren, *words, env=env)
            [node] = json.loads(done.stdout)["plan"]["nodes"]
            assert sorted(node["routes"]["used"]["vanish"]) == ["10.1.0.0/16", "10.2.0.0/16"]
            nonsense: list[dict[str, Any]] = [
                {"delete": [["Nobody", "x"]]},
                {"delete": [1]},
                {"put": [{}]},
            ]
            for wrong in nonsense:
                with pytest.raises(ControlError):
                    await house.ask("forecast", **wrong)
            router = daemon._router
            assert router is not None
            assert len(router.peers) == 2
            assert len(router.loc_ribs[IPV4_UNICAST].best) == 3
