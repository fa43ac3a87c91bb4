"""From full mesh to three route reflectors, as Calico's document walks, under running speakers.

Five nodes on one segment share one directory of resources. Each edit changes a file of it, as
``calicoctl apply`` would change the datastore. From the first edit to the last no route may go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import pytest

from lab import Family, Lab, RunningNode
from lab.faults import killed
from speaker.control.client import ask
from tests.support.datastores import log_of, put, wren_in
from tests.support.labs import lab_of
from tests.support.pairs import becomes, gateways
from tests.support.resources import block, document, node, peer, settings
from tests.support.watching import watched

pytestmark = pytest.mark.netns

NUMBERS = (1, 2, 3, 4, 5)
REFLECTORS = (1, 2, 3)
LABEL = "calico-route-reflector"

Edit = Callable[[Path], None]


def address(number: int) -> str:
    return f"172.31.40.{number}"


def prefix(number: int) -> str:
    return f"10.244.{number}.0/26"


def write_cluster(directory: Path, numbers: Iterable[int] = NUMBERS) -> None:
    """Write the cluster as it is before: full mesh, a block for each node."""
    put(directory, document("IPPool", "pool", {"cidr": "10.244.0.0/16", "ipipMode": "Never"}))
    for number in numbers:
        put(directory, node(f"n{number}", f"{address(number)}/24"))
        put(directory, block(prefix(number), f"n{number}"))


def label(number: int) -> Edit:
    reflector = node(f"n{number}", f"{address(number)}/24", cluster_id="224.0.0.1")
    reflector["metadata"]["labels"] = {LABEL: ""}
    return lambda directory: put(directory, reflector)


def peer_to_reflectors(directory: Path) -> None:
    selectors = {"nodeSelector": f"!has({LABEL})", "peerSelector": f"has({LABEL})"}
    put(directory, peer("peer-to-rrs", **selectors))


def reflectors_to_reflectors(directory: Path) -> None:
    selectors = {"nodeSelector": f"has({LABEL})", "peerSelector": f"has({LABEL})"}
    put(directory, peer("rrs-to-rrs", **selectors))


def mesh_off(directory: Path) -> None:
    put(directory, settings(nodeToNodeMeshEnabled=False, asNumber=64512))


def mesh_on(directory: Path) -> None:
    put(directory, settings(nodeToNodeMeshEnabled=True, asNumber=64512))


def all_at_once(*edits: Edit) -> Edit:
    def edit(directory: Path) -> None:
        for one in edits:
            one(directory)

    return edit


LABELS = tuple(label(number) for number in REFLECTORS)
PEERS = (peer_to_reflectors, reflectors_to_reflectors)

ORDERS = {
    "as-the-document-says": (*LABELS, *PEERS, mesh_off),
    "peers-before-labels": (*PEERS, *LABELS, mesh_off),
    "all-at-once": (all_at_once(*LABELS, *PEERS, mesh_off),),
}


def topology(directory: Path, numbers: Iterable[int] = NUMBERS) -> str:
    nodes = "".join(
        f"  n{n}: {{kind: wren, datastore: {directory}, addresses: [10.244.{n}.1/32]}}\n"
        for n in numbers
    )
    ends = ", ".join(f"n{n}: [{address(n)}/24]" for n in numbers)
    return f"nodes:\n{nodes}segments:\n  lan: {{{ends}}}\n"


def peers_up(running: RunningNode) -> list[str]:
    return sorted(at for at, up in running.sessions().items() if up)


def addresses(numbers: Iterable[int], *, but: int) -> list[str]:
    return [address(number) for number in numbers if number != but]


def has_all_routes(lab: Lab, number: int) -> bool:
    found = gateways(lab.node(f"n{number}"), Family.IPV4)
    return all(
        found.get(prefix(other)) == (address(other),) for other in NUMBERS if other != number
    )


@pytest.mark.parametrize("order", ORDERS)
def test_no_route_is_missing_on_the_way_to_reflectors(order: str, tmp_path: Path) -> None:
    directory = tmp_path / "datastore"
    write_cluster(directory)
    with lab_of(topology(directory)) as lab:
        for number in NUMBERS:
            up, there = partial(peers_up, lab.node(f"n{number}")), partial(has_all_routes, lab)
            becomes(f"n{number} is in the mesh", up, addresses(NUMBERS, but=number))
            becomes(f"n{number} has all routes", partial(there, number), wanted=True)
        with watched(*lab.nodes.values()) as watches:
            for edit in ORDERS[order]:
                edit(directory)
                for running in lab.nodes.values():
                    ask(running.home, "reload")
                assert [number for number in NUMBERS if not has_all_routes(lab, number)] == []
            for number in NUMBERS:
                up = partial(peers_up, lab.node(f"n{number}"))
                kept = NUMBERS if number in REFLECTORS else REFLECTORS
                becomes(f"n{number} has its sessions", up, addresses(kept, but=number))
            assert [number for number in NUMBERS if not has_all_routes(lab, number)] == []
        assert {name: watch.removed for name, watch in watches.items() if watch.removed} == {}
        rows = status_rows(wren_in(lab.node("n4"), "node", "status"))
        assert [(row[0], row[1], row[2], row[4]) for row in rows] == [
            (address(number), "node specific", "up", "Established") for number in REFLECTORS
        ]
        assert not [line for running in lab.nodes.values() for line in falls(running)]


def status_rows(table: str) -> list[list[str]]:
    rows = [line.strip("|").split("|") for line in table.splitlines() if line.startswith("| 172")]
    return [[cell.strip() for cell in row] for row in rows]


def falls(running: RunningNode) -> list[str]:
    """Give the log's lines of sessions that fell: all but the one that the mesh alone had."""
    last = {"n4": address(5), "n5": address(4)}.get(running.name, "nobody")
    lines = log_of(running).splitlines()
    return [line for line in lines if "session down" in line and last not in line]


def test_a_kept_session_that_falls_is_not_opened_again(tmp_path: Path) -> None:
    directory = tmp_path / "datastore"
    write_cluster(directory, (1, 4))
    with lab_of(topology(directory, (1, 4))) as lab:
        n1, n4 = lab.node("n1"), lab.node("n4")
        becomes("the mesh is up", partial(peers_up, n1), [address(4)])
        label(1)(directory)
        for running in (n1, n4):
            ask(running.home, "reload")
        assert (peers_up(n1), peers_up(n4)) == ([address(4)], [address(1)])
        with killed(n4):
            becomes("the session has fallen and is forgotten", n1.sessions, {})
        assert (n1.sessions(), n4.sessions()) == ({}, {})
        assert "172.31.40.4" not in wren_in(n1, "node", "status")


def test_a_mesh_that_comes_back_at_once_has_lost_no_session(tmp_path: Path) -> None:
    directory = tmp_path / "datastore"
    write_cluster(directory, (1, 4, 5))
    with lab_of(topology(directory, (1, 4, 5))) as lab:
        n4 = lab.node("n4")
        becomes("the mesh is up", partial(peers_up, n4), [address(1), address(5)])
        for edit in (label(1), peer_to_reflectors, mesh_off, mesh_on):
            edit(directory)
            for running in lab.nodes.values():
                ask(running.home, "reload")
        assert peers_up(n4) == [address(1), address(5)]
        mesh_off(directory)
        becomes("the mesh ends", partial(peers_up, n4), [address(1)])
        assert falls(n4) == []
        assert log_of(n4).count("session down") == 1
