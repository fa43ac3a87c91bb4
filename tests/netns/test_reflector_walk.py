"""From full mesh to three route reflectors, as Calico's document walks, under running speakers.

Five nodes on one segment share one directory of resources. Each edit changes a file of it, as
``calicoctl apply`` would change the datastore. From the first edit to the last no route may go.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lab import Family, Lab, RunningNode
from tests.support.labs import lab_of
from tests.support.pairs import becomes, gateways
from tests.support.watching import watched

pytestmark = pytest.mark.netns

NUMBERS = (1, 2, 3, 4, 5)
REFLECTORS = (1, 2, 3)
LABEL = "calico-route-reflector"

Edit = Callable[[Path], None]


def address(number: int) -> str:
    return f"172.31.40.{number}"


def block(number: int) -> str:
    return f"10.244.{number}.0/26"


def write(directory: Path, kind: str, name: str, spec: dict[str, Any], **metadata: Any) -> None:
    """Write one resource into a file of its own, in one step."""
    document = {
        "apiVersion": "projectcalico.org/v3",
        "kind": kind,
        "metadata": {"name": name, **metadata},
        "spec": spec,
    }
    fresh = directory / f".{kind}-{name}"
    fresh.write_text(json.dumps(document))
    fresh.rename(directory / f"{kind}-{name}.json")


def write_cluster(directory: Path) -> None:
    """Write the cluster as it is before: full mesh, a block for each node."""
    directory.mkdir()
    write(directory, "IPPool", "pool", {"cidr": "10.244.0.0/16", "ipipMode": "Never"})
    for number in NUMBERS:
        write(directory, "Node", f"n{number}", {"bgp": {"ipv4Address": f"{address(number)}/24"}})
        spec = {"node": f"n{number}", "cidr": block(number), "state": "confirmed"}
        write(directory, "BlockAffinity", f"n{number}-block", spec)


def label(number: int) -> Edit:
    def edit(directory: Path) -> None:
        bgp = {"ipv4Address": f"{address(number)}/24", "routeReflectorClusterID": "224.0.0.1"}
        write(directory, "Node", f"n{number}", {"bgp": bgp}, labels={LABEL: ""})

    return edit


def peer_to_reflectors(directory: Path) -> None:
    spec = {"nodeSelector": f"!has({LABEL})", "peerSelector": f"has({LABEL})"}
    write(directory, "BGPPeer", "peer-to-rrs", spec)


def reflectors_to_reflectors(directory: Path) -> None:
    spec = {"nodeSelector": f"has({LABEL})", "peerSelector": f"has({LABEL})"}
    write(directory, "BGPPeer", "rrs-to-rrs", spec)


def mesh_off(directory: Path) -> None:
    spec = {"nodeToNodeMeshEnabled": False, "asNumber": 64512}
    write(directory, "BGPConfiguration", "default", spec)


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


def topology(directory: Path) -> str:
    nodes = "".join(
        f"  n{n}: {{kind: wren, datastore: {directory}, addresses: [10.244.{n}.1/32]}}\n"
        for n in NUMBERS
    )
    ends = ", ".join(f"n{n}: [{address(n)}/24]" for n in NUMBERS)
    return f"nodes:\n{nodes}segments:\n  lan: {{{ends}}}\n"


def peers_up(node: RunningNode) -> list[str]:
    return sorted(peer for peer, up in node.sessions().items() if up)


def addresses(numbers: Iterable[int], *, but: int) -> list[str]:
    return [address(number) for number in numbers if number != but]


def has_all_routes(lab: Lab, number: int) -> bool:
    found = gateways(lab.node(f"n{number}"), Family.IPV4)
    return all(found.get(block(other)) == (address(other),) for other in NUMBERS if other != number)


def wren(node: RunningNode, *words: str) -> str:
    argv = [sys.executable, "-m", "speaker", *words, "--run-dir", str(node.home)]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


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
                for node in lab.nodes.values():
                    wren(node, "reload")
                assert [number for number in NUMBERS if not has_all_routes(lab, number)] == []
            for number in NUMBERS:
                up = partial(peers_up, lab.node(f"n{number}"))
                kept = NUMBERS if number in REFLECTORS else REFLECTORS
                becomes(f"n{number} has its sessions", up, addresses(kept, but=number))
            assert [number for number in NUMBERS if not has_all_routes(lab, number)] == []
        assert {name: watch.removed for name, watch in watches.items() if watch.removed} == {}
        rows = status_rows(wren(lab.node("n4"), "node", "status"))
        assert [(row[0], row[1], row[2], row[4]) for row in rows] == [
            (address(number), "node specific", "up", "Established") for number in REFLECTORS
        ]
        assert not [line for node in lab.nodes.values() for line in falls(node)]


def status_rows(table: str) -> list[list[str]]:
    rows = [line.strip("|").split("|") for line in table.splitlines() if line.startswith("| 172")]
    return [[cell.strip() for cell in row] for row in rows]


def falls(node: RunningNode) -> list[str]:
    """Give the log's lines of sessions that fell: all but the one that the mesh alone had."""
    last = {"n4": address(5), "n5": address(4)}.get(node.name, "nobody")
    lines = (node.home / f"{node.name}.log").read_text().splitlines()
    return [line for line in lines if "session down" in line and last not in line]
