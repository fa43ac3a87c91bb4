"""Edits of a cluster's resources while it runs: what each of them costs, and whom.

Three Wren nodes on one segment share a directory of resources, and a switch that runs BIRD is there
besides. What an edit is not about must not flap: the moments since when sessions are up say so.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lab import Lab, RunningNode
from lab.faults import frozen
from speaker.control.client import ask
from tests.support.birds import QUICK
from tests.support.datastores import log_of, put, remove
from tests.support.edited import Edited
from tests.support.labs import lab_of
from tests.support.pairs import becomes
from tests.support.resources import node, peer, settings

pytestmark = [pytest.mark.netns, pytest.mark.interop]

TOR = "172.31.0.9"
NAMES = ("n1", "n2", "n3")


def at(name: str) -> str:
    return f"172.31.0.{name[1:]}"


def member(name: str, **more: Any) -> dict[str, Any]:
    labels = more.pop("labels", {})
    made = node(name, f"{at(name)}/24", **more)
    return {**made, "metadata": {"name": name, "labels": labels}}


def cluster(**spec: Any) -> dict[str, Any]:
    return settings(**{"asNumber": 65001, **spec})


def tor(**spec: Any) -> dict[str, Any]:
    given = {"nodeSelector": "has(rack)", "peerIP": TOR, "asNumber": 65009}
    return peer("tor", **{**given, "extensions": QUICK, **spec})


DOCUMENTS = (*(member(name) for name in NAMES), cluster(), tor())


def topology(directory: Path) -> str:
    wren = {"kind": "wren", "datastore": str(directory)}
    peers = [{"address": at(n), "asn": 65001, "families": ["ipv4"], "hold_time": 9} for n in NAMES]
    nodes = dict.fromkeys(NAMES, wren) | {"tor": {"kind": "bird", "asn": 65009, "peers": peers}}
    lan = {name: [f"{at(name)}/24"] for name in NAMES} | {"tor": [f"{TOR}/24"]}
    return json.dumps({"nodes": nodes, "segments": {"lan": lan}})


Since = dict[str, dict[str, float]]


class Cluster:
    """The three nodes, and their sessions.

    Args:
        lab: that is up.
        directory: the nodes' resources.
    """

    def __init__(self, lab: Lab, directory: Path) -> None:
        self.directory = directory
        self.nodes = {name: lab.node(name) for name in NAMES}
        self._edited = {name: Edited(self.nodes[name], directory) for name in NAMES}

    def edit(
        self, *documents: Mapping[str, Any], without: Iterable[Mapping[str, Any]] = ()
    ) -> None:
        """Make an edit, and have all nodes read it."""
        put(self.directory, *documents)
        remove(self.directory, *without)
        for running in self.nodes.values():
            ask(running.home, "reload")

    def has(self, sessions: Mapping[str, Iterable[str]]) -> Since:
        """Wait until each node has sessions with these addresses and no others; since when."""
        return {name: self._edited[name].peers_up(far) for name, far in sessions.items()}

    def status(self, name: str) -> dict[str, Any]:
        return self._edited[name].status()


def mesh(*more: tuple[str, str]) -> dict[str, list[str]]:
    """Give the addresses that each node has sessions with: the others', and some more."""
    found = {name: [at(other) for other in NAMES if other != name] for name in NAMES}
    for name, address in more:
        found[name].append(address)
    return found


def kept(before: Since, after: Since) -> list[tuple[str, str]]:
    """Give the sessions, node and address, that are the same as they were."""
    return [
        (name, address)
        for name, sessions in before.items()
        for address, since in sessions.items()
        if after[name].get(address) == since
    ]


def pairs(sessions: Mapping[str, Iterable[str]]) -> list[tuple[str, str]]:
    return [(name, address) for name, far in sessions.items() for address in sorted(far)]


@contextmanager
def running(tmp_path: Path, *documents: Mapping[str, Any]) -> Iterator[Cluster]:
    directory = tmp_path / "datastore"
    put(directory, *DOCUMENTS, *documents)
    with lab_of(topology(directory)) as lab:
        yield Cluster(lab, directory)


def ports(node_: RunningNode, what: str) -> list[str]:
    """Give local and remote end of TCP sockets that are ``listening`` or ``established``."""
    state = {"listening": "-l", "established": "-o"}[what]
    lines = node_.execute(["ss", "-Hnt4", state]).splitlines()
    return [f"{words[3]} {words[4]}" for words in map(str.split, lines)]


def test_labels_give_and_take_sessions_of_the_labelled_node_alone(tmp_path: Path) -> None:
    with running(tmp_path) as up:
        before = up.has(mesh())
        up.edit(member("n1", labels={"rack": ""}))
        after = up.has(mesh(("n1", TOR)))
        assert kept(before, after) == pairs(mesh())
        # A label of another node, and another value, are no news to it.
        up.edit(member("n1", labels={"rack": "7"}), member("n2", labels={"row": "1"}))
        assert up.has(mesh(("n1", TOR))) == after
        up.edit(tor(nodeSelector="has(row)"))
        moved = up.has(mesh(("n2", TOR)))
        assert kept(before, moved) == pairs(mesh())
        up.edit(member("n2"))
        assert up.has(mesh()) == before


def test_nodes_come_go_and_change_their_as_and_others_do_not_notice(tmp_path: Path) -> None:
    # Calico gives a node without an AS of its own that of whoever looks at it.
    with running(tmp_path, *(member(name, asn=65001) for name in NAMES)) as up:
        before = up.has(mesh())
        without_n3 = {"n1": [at("n2")], "n2": [at("n1")]}
        remove(up.directory, member("n3"))
        assert up.has(without_n3) == {
            name: {a: before[name][a] for a in far} for name, far in without_n3.items()
        }
        up.edit(member("n3", asn=65001))
        again = up.has(mesh())
        assert kept(before, again) == [("n1", at("n2")), ("n2", at("n1"))]
        up.edit(member("n3", asn=65003))
        external = up.has(mesh())
        assert kept(again, external) == [("n1", at("n2")), ("n2", at("n1"))]
        assert {p["address"]: p["remoteAS"] for p in up.status("n1")["peers"]} == {
            at("n2"): 65001,
            at("n3"): 65003,
        }


def test_without_default_the_defaults_are_back_and_what_stands_alone_stays(tmp_path: Path) -> None:
    own = tor(localASNumber=65001)
    changed = cluster(
        nodeToNodeMeshEnabled=False, listenPort=1790, bindMode="NodeIP", logSeverityScreen="Error"
    )
    with running(tmp_path, changed, member("n1", labels={"rack": ""}), own) as up:
        only_tor = {"n1": [TOR], "n2": [], "n3": []}
        before = up.has(only_tor)
        n1 = up.nodes["n1"]
        assert ports(n1, "listening") == [f"{at('n1')}:1790 0.0.0.0:*"]
        up.edit(without=[changed])
        after = up.has(mesh(("n1", TOR)))
        assert kept(before, after) == [("n1", TOR)]
        assert ports(n1, "listening") == ["0.0.0.0:179 0.0.0.0:*"]
        status = up.status("n1")
        assert status["asn"] == 64512
        assert {p["address"]: p["localAS"] for p in status["peers"]} == {
            at("n2"): 64512,
            at("n3"): 64512,
            TOR: 65001,
        }
        up.edit(changed)
        assert kept(before, up.has(only_tor)) == [("n1", TOR)]


def test_a_nodes_port_is_where_it_listens_and_where_others_connect(tmp_path: Path) -> None:
    """Of two nodes of the mesh the one with the higher address connects."""
    with running(tmp_path) as up:
        before = up.has(mesh())
        for port in (1790, 1791):
            up.edit(settings("node.n1", listenPort=port))
            after = up.has(mesh())
            assert kept(before, after) == [("n2", at("n3")), ("n3", at("n2"))]
            assert ports(up.nodes["n1"], "listening") == [f"0.0.0.0:{port} 0.0.0.0:*"]
            here = {line.split()[0] for line in ports(up.nodes["n1"], "established")}
            assert here == {f"{at('n1')}:{port}"}
            assert ports(up.nodes["n2"], "listening") == ["0.0.0.0:179 0.0.0.0:*"]


def test_edits_of_one_moment_are_one_change(tmp_path: Path) -> None:
    with running(tmp_path, member("n1", labels={"rack": ""})) as up:
        n1 = up.nodes["n1"]
        before = up.has(mesh(("n1", TOR)))

        def hold_time(seconds: int) -> Callable[[], None]:
            keys = {**QUICK, "wren.bgp/holdTime": str(seconds)}
            return lambda: put(up.directory, tor(extensions=keys))

        def falls() -> int:
            return log_of(n1).count("session down")

        assert falls() == 0
        with frozen(n1):
            for seconds in range(20, 29):
                hold_time(seconds)()
            hold_time(9)()
        ask(n1.home, "reload")
        assert (up.has(mesh(("n1", TOR))), falls()) == (before, 0)
        with frozen(n1):
            for seconds in range(20, 30):
                hold_time(seconds)()
        becomes("the session is another", falls, 1)
        after = up.has(mesh(("n1", TOR)))
        assert kept(before, after) == pairs(mesh())
        assert falls() == 1
