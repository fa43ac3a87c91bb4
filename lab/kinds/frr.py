"""FRR: zebra for the kernel, bgpd for the sessions."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

from lab.kinds.base import Daemon, Route
from lab.topology import BOTH_FAMILIES, Family, Network, Peer

_DIRECTORY = "/usr/lib/frr"
_USER = "frr"


class Frr(Daemon):
    """FRR's zebra and bgpd."""

    program = "vtysh"
    package = "frr"
    changes_user = True
    programs_kernel = True
    covers = ("/run", "/var/tmp")  # it leaves a directory of each process there

    def configure(self) -> None:
        """Write the configurations of both daemons."""
        shutil.chown(self.home, _USER)
        self.write("zebra.conf", f"hostname {self.place.node.name}\n")
        self.write("bgpd.conf", "\n".join(self._lines()) + "\n")

    def _lines(self) -> Iterator[str]:
        yield "frr defaults traditional"
        yield f"hostname {self.place.node.name}"
        yield f"router bgp {self.place.asn}"
        yield f" bgp router-id {self.place.router_id}"
        yield " no bgp ebgp-requires-policy"
        yield " no bgp network import-check"
        yield " no bgp default ipv4-unicast"
        for peer in self.place.peers:
            name, zone = _called(peer)
            yield f" neighbor {name} remote-as {peer.asn}"
            if zone:
                yield f" neighbor {name} interface {zone}"
            yield f" neighbor {name} timers connect 1"
            yield f" neighbor {name} advertisement-interval 0"
            if peer.local:
                yield f" neighbor {name} update-source {peer.local}"
            if peer.passive:
                yield f" neighbor {name} passive"
            if peer.hold_time is not None:
                yield f" neighbor {name} timers {peer.hold_time // 3} {peer.hold_time}"
            yield from (f" neighbor {name} {line}" for line in self.lines_of(peer))
        for family in BOTH_FAMILIES:
            yield from self._family(family)
        yield "exit"
        yield self.place.node.extra

    def _family(self, family: Family) -> Iterator[str]:
        yield f" address-family {family} unicast"
        yield from (f"  network {network}" for network in self.networks_of(family))
        for peer in self.place.peers:
            if family not in peer.families:
                continue
            yield f"  neighbor {_called(peer)[0]} activate"
            if peer.client:
                yield f"  neighbor {_called(peer)[0]} route-reflector-client"
            if peer.next_hop_self:
                yield f"  neighbor {_called(peer)[0]} next-hop-self"
            for line in self.lines_of(peer, family):
                yield f"  neighbor {_called(peer)[0]} {line}"
        yield " exit-address-family"

    def commands(self) -> list[list[str]]:
        """Zebra first; bgpd asks it about next hops, and tries again only after 10 s."""
        self.locate()
        zebra = self.home / "zserv.api"
        if not _listens(zebra):
            zebra.unlink(missing_ok=True)
        common = ["-z", str(zebra), "--vty_socket", str(self.home), "-P", "0", "--log", "stdout"]
        wait = 'until [ -S "$0" ]; do sleep 0.05; done; exec "$@"'
        first, second = (
            [f"{_DIRECTORY}/{name}", *_files(str(self.home), name), *common]
            for name in ("zebra", "bgpd")
        )
        return [first, ["sh", "-c", wait, str(zebra), *second, *self.place.node.args]]

    def _vtysh(self, *commands: str) -> str:
        words = [word for command in commands for word in ("-c", command)]
        return self.ask(["vtysh", "--vty_socket", str(self.home), *words])

    def _json(self, command: str) -> dict[str, dict[str, object]]:
        said = self._vtysh(command)
        start = said.find("{")
        try:
            data = json.loads(said[start:]) if start >= 0 else {}
        except json.JSONDecodeError:
            data = {}
        return data if isinstance(data, dict) else {}

    def answers(self) -> bool:
        """Say whether bgpd has read its configuration."""
        return "default" in self._json("show bgp vrfs json").get("vrfs", {})

    def sessions(self) -> dict[str, bool]:
        """Read the summary."""
        states: dict[str, bool] = {}
        for part in self._json("show bgp summary json").values():
            peers = part.get("peers", {}) if isinstance(part, dict) else {}
            assert isinstance(peers, dict)
            for address, peer in peers.items():
                states[address] = peer.get("state") == "Established"
        names = {_called(peer)[0]: str(peer.address) for peer in self.place.peers}
        return {names.get(name, name): state for name, state in states.items()}

    def routes(self, family: Family) -> dict[str, Route]:
        """Read the BGP table."""
        table = self._json(f"show bgp {family} unicast json").get("routes", {})
        found: dict[str, Route] = {}
        for prefix, paths in table.items():
            assert isinstance(paths, list)
            for path in paths:
                if path.get("bestpath"):
                    hops = [hop["ip"] for hop in path.get("nexthops", []) if hop.get("used")]
                    numbers = tuple(int(n) for n in path.get("path", "").split() if n.isdigit())
                    found[prefix] = Route(hops[0] if hops else "", numbers)
        return found

    def follow(self, prefix: Network) -> None:
        """Add a network to the running configuration, or take it out."""
        words = "network" if prefix in self.networks else "no network"
        self._vtysh(
            "configure terminal",
            f"router bgp {self.place.asn}",
            f"address-family {Family.of(prefix)} unicast",
            f"{words} {prefix}",
        )


def _called(peer: Peer) -> tuple[str, str]:
    """Give what FRR calls a peer, and the zone of a link-local one, which stands elsewhere."""
    name, _, zone = str(peer.address).partition("%")
    return name, zone


def _listens(path: Path) -> bool:
    """Tell whether somebody listens at a socket: who was killed leaves it behind."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def _files(home: str, name: str) -> list[str]:
    return ["-f", f"{home}/{name}.conf", "-i", f"{home}/{name}.pid"]
