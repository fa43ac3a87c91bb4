"""Peers of external networks: what they tell stands in the network's own table of the kernel.

Two BIRDs are of the network blue, and announce the same; a third is of none, and announces it too.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lab import Family, Lab, RunningNode
from lab.faults import killed
from lab.probes import kernel_routes
from speaker.control.client import stream
from tests.support.birds import QUICK, WREN, Bird, around, at
from tests.support.datastores import put
from tests.support.edited import Edited
from tests.support.labs import lab_of
from tests.support.pairs import becomes
from tests.support.resources import node, peer, settings

pytestmark = [pytest.mark.netns, pytest.mark.interop]

SAME, OWN = "10.7.0.0/24", "10.1.0.0/24"
ALL = [at(2), at(3), at(4)]


def tor(number: int, **spec: Any) -> dict[str, Any]:
    given = {"node": "w", "peerIP": at(number), "asNumber": 65000 + number}
    return peer(f"b{number}", **{**given, "extensions": QUICK, **spec})


def cluster(networks: str) -> dict[str, Any]:
    keys = {"wren.bgp/policy": "plain", "wren.bgp/networks": OWN}
    keys |= {"wren.bgp/externalNetworks": networks} if networks else {}
    return settings(nodeToNodeMeshEnabled=False, asNumber=65001, annotations=keys)


BLUE = [tor(2, externalNetwork="blue"), tor(3, externalNetwork="blue"), tor(4)]


@contextmanager
def networks(
    tmp_path: Path, *documents: Mapping[str, Any], args: Iterable[str] = ()
) -> Iterator[tuple[Edited, Lab]]:
    directory = tmp_path / "datastore"
    put(directory, node("w", f"{WREN}/24"), *documents)
    birds = {n: Bird(65000 + n, more={"networks": [SAME, f"10.{n}.9.0/24"]}) for n in (2, 3, 4)}
    with lab_of(around(directory, birds, args=list(args))) as lab:
        yield Edited(lab.node("w"), directory), lab


def table(running: RunningNode, number: int) -> dict[str, list[str]]:
    """Give the gateways of each route of a kernel table."""
    # A table without routes is not there for `ip`.
    said = running.execute(["ip", "-j", "-d", "route", "show", "table", "all"])
    return {
        route["dst"]: sorted(hop["gateway"] for hop in route.get("nexthops", [route]))
        for route in json.loads(said or "[]")
        if route.get("table") == str(number)
    }


def main_table(running: RunningNode) -> dict[str, tuple[str, ...]]:
    found = kernel_routes(running, Family.IPV4)
    return {p: r.gateways for p, r in found.items() if r.protocol == "bird"}


BOTH = {SAME: [at(2), at(3)], "10.2.9.0/24": [at(2)], "10.3.9.0/24": [at(3)]}
ONE = {SAME: [at(3)], "10.3.9.0/24": [at(3)]}
MAIN = {SAME: (at(4),), "10.4.9.0/24": (at(4),)}


@pytest.mark.parametrize("args", [[], ["--no-nexthop-objects"]], ids=["objects", "plain"])
def test_what_its_peers_tell_is_in_the_networks_table_and_nowhere_else(
    args: list[str], tmp_path: Path
) -> None:
    with networks(tmp_path, cluster("blue=500"), *BLUE, args=args) as (edited, lab):
        w, b4 = edited.running, lab.node("b4")
        before = edited.peers_up(ALL)
        becomes("table 500 has it", partial(table, w, 500), BOTH)
        becomes("the main table has the others", partial(main_table, w), MAIN)
        # b2 and b3 are told what every peer is, b4 hears of nothing that they say.
        heard = sorted(set(b4.routes(Family.IPV4)) - {"172.31.0.0/24"})
        assert heard == sorted([SAME, OWN, "10.4.9.0/24"])
        chunks = stream(w.home, "routes", prefix=SAME)
        shown = [(r["peer"], r.get("table"), r["kernel"]) for c in chunks for r in c["routes"]]
        assert sorted(shown, key=str) == [
            ("Node_172_31_0_2", 500, "installed"),
            ("Node_172_31_0_3", 500, ""),
            ("Node_172_31_0_4", None, "installed"),
        ]
        with killed(lab.node("b2")):
            becomes("one carries on", partial(table, w, 500), ONE)
        becomes("both again", partial(table, w, 500), BOTH)
        assert edited.since()[at(4)] == before[at(4)]


def test_peers_come_to_a_network_leave_it_and_it_changes_its_table(tmp_path: Path) -> None:
    with networks(tmp_path, cluster("blue=500"), tor(2), tor(3), tor(4)) as (edited, _):
        w = edited.running
        before = edited.peers_up(ALL)
        becomes("all is in the main table", lambda: len(main_table(w)), 4)
        put(edited.directory, *BLUE)
        becomes("table 500 has it", partial(table, w, 500), BOTH)
        becomes("the main table has the others", partial(main_table, w), MAIN)
        edited.peers_up(ALL)
        put(edited.directory, cluster("blue=501,red=502"))
        becomes("table 501 has it", partial(table, w, 501), BOTH)
        becomes("table 500 is empty", partial(table, w, 500), {})
        put(edited.directory, cluster(""))
        becomes("table 501 is empty", partial(table, w, 501), {})
        assert edited.peers_up([at(4)])[at(4)] == before[at(4)]
        assert sorted(edited.conditions()) == [
            ("BGPPeer/b2", "UnknownNetwork"),
            ("BGPPeer/b3", "UnknownNetwork"),
        ]
        put(edited.directory, tor(2), tor(3))
        edited.peers_up(ALL)
        becomes("all is in the main table", lambda: len(main_table(w)), 4)


def test_routes_of_a_network_stay_over_a_restart_until_its_peers_have_told_all(
    tmp_path: Path,
) -> None:
    with networks(tmp_path, cluster("blue=500"), *BLUE) as (edited, _):
        w = edited.running
        edited.peers_up(ALL)
        becomes("table 500 has it", partial(table, w, 500), BOTH)
        with killed(w):
            stale = f"ip route add 10.99.0.0/24 via {at(2)} table 500 proto bird"
            w.execute(stale.split())
            assert len(table(w, 500)) == len(BOTH) + 1
        edited.peers_up(ALL)
        becomes("what nobody tells goes", partial(table, w, 500), BOTH)
