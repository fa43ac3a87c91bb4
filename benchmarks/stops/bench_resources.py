"""From files to the plan of a node, in a cluster of a thousand nodes and a thousand BGPPeers.

Half of the BGPPeers join selected nodes with selected nodes, half selected nodes with an address.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.stops.conftest import Measure
from speaker.config.changes import changes
from speaker.config.plan import Plan, resolve
from speaker.config.store import Resources
from speaker.datastore.directory import Directory, load_directory

NODES = 1000
PEERS = 1000
RACKS = 50
ME = "n0000"


def _document(kind: str, name: str, spec: dict[str, Any], **labels: str) -> dict[str, Any]:
    return {
        "apiVersion": "projectcalico.org/v3",
        "kind": kind,
        "metadata": {"name": name, "labels": labels},
        "spec": spec,
    }


def _documents() -> Iterator[dict[str, Any]]:
    for number in range(NODES):
        bgp = {"ipv4Address": f"10.{number >> 8}.{number & 255}.1/16"}
        role = "worker" if number % 10 else "storage"
        labels = {"rack": str(number % RACKS), "role": role}
        yield _document("Node", f"n{number:04}", {"bgp": bgp}, **labels)
    for number in range(PEERS):
        here, there = str(number % RACKS), str((number + 1) % RACKS)
        spec: dict[str, Any] = {"nodeSelector": f"rack == '{here}' && role != 'spare'"}
        if number % 2:
            spec["peerSelector"] = f"rack in {{'{here}', '{there}'}} && has(role)"
        else:
            spec["peerIP"] = f"192.168.{number >> 8}.{number & 255}"
            spec["asNumber"] = 65000
        yield _document("BGPPeer", f"p{number:04}", spec)
    yield _document("BGPConfiguration", "default", {"nodeToNodeMeshEnabled": False})


@cache
def _texts() -> dict[str, str]:
    """Give a file for each resource, as tools write them."""
    return {
        f"{item['kind']}-{item['metadata']['name']}.yaml": json.dumps(item, indent=1)
        for item in _documents()
    }


class Store:
    """A directory of all resources, loaded, and the plan of a node."""

    def __init__(self, path: Path) -> None:
        self.path = path
        for file, text in _texts().items():
            (path / file).write_text(text)
        self.directory = Directory(path)
        self.plan = resolve(self.directory.load().resources, ME)

    def edit(self) -> None:
        """Give one BGPPeer another AS."""
        file = self.path / "BGPPeer-p0000.yaml"
        file.write_text(file.read_text().replace("65000", "65001"))


def bench_read_resources(measure: Measure, tmp_path: Path) -> None:
    """The first look into a directory."""
    store = Store(tmp_path)
    measure(len(_texts()), "resource", lambda _: load_directory(store.path), lambda: None)


def bench_resolve(measure: Measure, tmp_path: Path) -> None:
    """The plan of one node."""
    resources = Store(tmp_path).directory.load().resources

    def work(loaded: Resources) -> Plan:
        return resolve(loaded, ME)

    measure(1, "plan", work, lambda: resources)


def bench_edit(measure: Measure, tmp_path: Path) -> None:
    """Everything between the edit of one BGPPeer and knowing what is to be done about it."""

    def setup() -> Store:
        store = Store(tmp_path)
        store.edit()
        return store

    def work(store: Store) -> None:
        plan = resolve(store.directory.load().resources, ME)
        assert changes(store.plan, plan)

    measure(1, "edit", work, setup)
