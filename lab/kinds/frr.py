"""FRR: zebra for the kernel, bgpd for the sessions."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator

from lab.kinds.base import Daemon, Route
from lab.topology import BOTH_FAMILIES, Family, Network

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
            yield f" neighbor {peer.address} remote-as {peer.asn}"
            yield f" neighbor {peer.address} timers connect 1"
            yield f" neighbor {peer.address} advertisement-interval 0"
            if peer.local:
                yield f" neighbor {peer.address} update-source {peer.local}"
            if peer.passive:
                yield f" neighbor {peer.address} passive"
            if peer.hold_time is not None:
                yield f" neighbor {peer.address} timers {peer.hold_time // 3} {peer.hold_time}"
        for family in BOTH_FAMILIES:
            yield f" address-family {family} unicast"
            yield from (f"  network {network}" for network in self.networks_of(family))
            for peer in self.place.peers:
                if family in peer.families:
                    yield f"  neighbor {peer.address} activate"
                    if peer.client:
                        yield f"  neighbor {peer.address} route-reflector-client"
                    if peer.next_hop_self:
                        yield f"  neighbor {peer.address} next-hop-self"
            yield " exit-address-family"
        yield "exit"
        yield self.place.node.extra

    def commands(self) -> list[list[str]]:
        """Zebra first; bgpd asks it about next hops, and tries again only after 10 s."""
        self.locate()
        zebra = self.home / "zserv.api"
        zebra.unlink(missing_ok=True)
        common = ["-z", str(zebra), "--vty_socket", str(self.home), "-P", "0", "--log", "stdout"]
        wait = 'until [ -S "$0" ]; do sleep 0.05; done; exec "$@"'
        first, second = (
            [f"{_DIRECTORY}/{name}", *_files(str(self.home), name), *common]
            for name in ("zebra", "bgpd")
        )
        return [first, ["sh", "-c", wait, str(zebra), *second]]

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
        return states

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


def _files(home: str, name: str) -> list[str]:
    return ["-f", f"{home}/{name}.conf", "-i", f"{home}/{name}.pid"]
