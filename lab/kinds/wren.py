"""Wren itself, on resources of its own or on those that the lab writes for it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from lab.errors import LabError
from lab.kinds.base import Daemon, Route
from lab.topology import BOTH_FAMILIES, Family, Network, Peer
from speaker.control.client import NotRunning, ask, stream
from speaker.errors import SpeakerError

Resource = dict[str, Any]

_OWN = "wren.bgp/"
_NETWORKS = f"{_OWN}networks"


class Wren(Daemon):
    """``wren run`` on a directory of resources."""

    program = sys.executable
    package = "python3"
    programs_kernel = True

    def locate(self) -> str:
        """The interpreter that runs the lab runs the router too."""
        return sys.executable

    @property
    def datastore(self) -> Path:
        """The directory of its resources."""
        return self.place.node.datastore or self.home / "datastore"

    @property
    def name(self) -> str:
        """Its name in the resources."""
        return self.place.node.nodename or self.place.node.name

    def configure(self) -> None:
        """Write resources in plain mode, unless the topology names a datastore.

        Of those that stand there already the networks alone are written anew: somebody may have
        edited the rest.
        """
        if self.place.node.datastore is not None:
            return
        self.datastore.mkdir(exist_ok=True)
        items = self._present() or list(self._resources())
        text = json.dumps({"kind": "List", "items": items}, indent=1)
        # Renamed into place: the running daemon must never see half of it.
        fresh = self.datastore / ".resources.json"
        fresh.write_text(text, encoding="utf-8")
        fresh.rename(self.datastore / "resources.json")

    def _present(self) -> list[Resource]:
        """Read what stands there, with the networks as they are now."""
        path = self.datastore / "resources.json"
        if not path.exists():
            return []
        items: list[Resource] = json.loads(path.read_text(encoding="utf-8"))["items"]
        for item in items:
            if item["kind"] == "BGPConfiguration":
                annotations = item["metadata"].setdefault("annotations", {})
                annotations.pop(_NETWORKS, None)
                annotations.update(self._networks())
        return items

    def _networks(self) -> dict[str, str]:
        return {_NETWORKS: ",".join(map(str, self.networks))} if self.networks else {}

    def _resources(self) -> Iterator[Resource]:
        annotations = {"wren.bgp/policy": "plain", **self._networks()}
        spec: dict[str, Any] = {"nodeToNodeMeshEnabled": False, "asNumber": self.place.asn}
        yield _resource("BGPConfiguration", "default", spec, annotations)
        bgp: dict[str, Any] = {}
        for family in BOTH_FAMILIES:
            address = self._address(family)
            if address:
                bgp[f"{family}Address"] = address
        if any(peer.client for peer in self.place.peers):
            bgp["routeReflectorClusterID"] = self.place.router_id
        yield _resource("Node", self.name, {"bgp": bgp})
        for number, peer in enumerate(self.place.peers):
            yield self._peer(number, peer)

    def _address(self, family: Family) -> str:
        ports = self.place.topology.interfaces(self.place.node.name)
        found = [a for port in ports for a in port.addresses if a.version == family.version]
        found += [a for a in self.place.node.addresses if a.version == family.version]
        return str(found[0]) if found else ""

    def _peer(self, number: int, peer: Peer) -> Resource:
        keys = {
            "wren.bgp/passive": "on" if peer.passive else "off",
            "wren.bgp/families": ",".join(peer.families),
            "wren.bgp/routeReflectorClient": "on" if peer.client else "off",
            "wren.bgp/connectRetry": "1",
            "wren.bgp/idleHold": "1,2",
        }
        if peer.hold_time is not None:
            keys["wren.bgp/holdTime"] = str(peer.hold_time)
        address, _, zone = str(peer.address).partition("%")
        if zone:
            keys["wren.bgp/interface"] = zone
        spec: dict[str, Any] = {
            "node": self.name,
            "peerIP": address,
            "asNumber": peer.asn,
            "sourceAddress": "None",
            "extensions": keys,
        }
        if peer.next_hop_self:
            spec["nextHopMode"] = "Self"
        keys.update(_written(peer.extra, yaml.BaseLoader, own=True))  # there `on` is a word
        spec.update(_written(peer.extra, yaml.SafeLoader, own=False))
        return _resource("BGPPeer", f"peer{number}", spec)

    def commands(self) -> list[list[str]]:
        """The daemon in the foreground."""
        argv = [self.locate(), "-m", "speaker", "run", "--datastore", str(self.datastore)]
        argv += ["--node", self.name, "--run-dir", str(self.home), *self.place.node.args]
        return [argv]

    def environment(self) -> dict[str, str]:
        """An IPv6-only node has its router id from here, as Calico's has."""
        return {} if self.place.node.datastore else {"CALICO_ROUTER_ID": self.place.router_id}

    def status(self) -> dict[str, Any] | None:
        """Ask for the whole status; None while it cannot answer."""
        try:
            answer = ask(self.home, "status")
        except (NotRunning, SpeakerError, OSError):
            return None
        return answer if isinstance(answer, dict) else None

    def answers(self) -> bool:
        """Say whether its control socket answers."""
        return self.status() is not None

    def sessions(self) -> dict[str, bool]:
        """Read the status."""
        status = self.status()
        return {} if status is None else {p["address"]: p["state"] == "up" for p in status["peers"]}

    def routes(self, family: Family) -> dict[str, Route]:
        """Read the best routes."""
        found = {}
        try:
            for chunk in stream(self.home, "routes", family=str(family)):
                for route in chunk["routes"]:
                    if route["best"]:
                        numbers = tuple(int(n) for n in route["asPath"].split() if n.isdigit())
                        found[route["prefix"]] = Route(route["nextHop"], numbers)
        except (NotRunning, SpeakerError, OSError):
            return {}
        return found

    def follow(self, prefix: Network) -> None:
        """Nothing: the daemon watches the resources, which are written already."""

    def announce(self, prefix: Network) -> None:
        """Announce a prefix besides. Raises `LabError` if the resources are not the lab's own."""
        self._own_resources()
        super().announce(prefix)

    def withdraw(self, prefix: Network) -> None:
        """Announce it no more. Raises `LabError` if the resources are not the lab's own."""
        self._own_resources()
        super().withdraw(prefix)

    def _own_resources(self) -> None:
        if self.place.node.datastore is not None:
            raise LabError(
                f"{self.place.node.name} announces what its datastore says: edit {self.datastore}"
            )


def _written(extra: str, loader: type[Any], *, own: bool) -> dict[str, Any]:
    """Read the extra lines of a session: Wren's own keys, or fields of the BGPPeer."""
    try:
        found = yaml.load(extra, loader) or {}
    except yaml.YAMLError:
        found = None
    if not isinstance(found, dict):
        raise LabError(f"the extra lines of a wren node are `key: value`, not {extra.strip()!r}")
    return {key: value for key, value in found.items() if key.startswith(_OWN) is own}


def _resource(
    kind: str, name: str, spec: dict[str, Any], annotations: dict[str, str] | None = None
) -> Resource:
    metadata: dict[str, Any] = {"name": name}
    if annotations:
        metadata["annotations"] = annotations
    return {
        "apiVersion": "projectcalico.org/v3",
        "kind": kind,
        "metadata": metadata,
        "spec": spec,
    }
