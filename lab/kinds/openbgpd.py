"""OpenBGPD. Debian's is built without kernel routing: nothing reaches the kernel."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from lab.kinds.base import Daemon, Route
from lab.topology import Family, Network, Peer

_DIRECTORY = "/usr/sbin"


class Openbgpd(Daemon):
    """The daemon bgpd, asked by bgpctl; FRR has a program of the same name elsewhere."""

    program = "bgpctl"
    package = "openbgpd"
    changes_user = True

    def configure(self) -> None:
        """Write ``bgpd.conf``; bgpd wants it unreadable for others."""
        self.write("bgpd.conf", "\n".join(self._lines()) + "\n", 0o600)

    def _lines(self) -> Iterator[str]:
        yield f"AS {self.place.asn}"
        yield f"router-id {self.place.router_id}"
        yield "fib-update no"
        yield "connect-retry 1"
        yield f'socket "{self.home}/bgpd.sock"'
        yield from (f"network {network}" for network in self.networks)
        for peer in self.place.peers:
            yield from self._session(peer)
        yield "allow from any"
        yield "allow to any"
        yield self.place.node.extra

    def _session(self, peer: Peer) -> Iterator[str]:
        yield f"neighbor {peer.address} {{"
        yield f"  remote-as {peer.asn}"
        for family in Family:
            label = "IPv4" if family is Family.IPV4 else "IPv6"
            yield f"  announce {label} {'unicast' if family in peer.families else 'none'}"
        if peer.local:
            yield f"  local-address {peer.local}"
        if peer.passive:
            yield "  passive"
        if peer.client:
            yield "  route-reflector"
        if peer.hold_time is not None:
            yield f"  holdtime {peer.hold_time}"
        if peer.next_hop_self:
            yield "  set nexthop self"
        yield from (f"  {line}" for line in peer.extra.splitlines())
        yield "}"

    def commands(self) -> list[list[str]]:
        """Bgpd in the foreground, in the directory that its service unit would make for it."""
        self.locate()
        configuration = str(self.home / "bgpd.conf")
        script = 'mkdir -p /run/openbgpd && chmod 755 /run/openbgpd && exec "$@"'
        argv = [f"{_DIRECTORY}/bgpd", "-d", "-f", configuration, *self.place.node.args]
        return [["sh", "-c", script, "sh", *argv]]

    def _ctl(self, *words: str) -> str:
        return self.ask(["bgpctl", "-s", str(self.home / "bgpd.sock"), *words])

    def _json(self, *words: str) -> dict[str, Any]:
        try:
            data = json.loads(self._ctl("-j", *words))
        except json.JSONDecodeError:
            return {}
        return data if isinstance(data, dict) else {}

    def answers(self) -> bool:
        """Say whether its control socket answers."""
        return self._ctl("show").startswith("Neighbor")

    def sessions(self) -> dict[str, bool]:
        """Read the summary."""
        neighbors = self._json("show").get("neighbors", [])
        return {n["remote_addr"]: n["state"] == "Established" for n in neighbors}

    def routes(self, family: Family) -> dict[str, Route]:
        """Read the table of best routes."""
        found = {}
        for route in self._json("show", "rib", "selected").get("rib", []):
            if (":" in route["prefix"]) == (family is Family.IPV6):
                numbers = tuple(int(n) for n in route.get("aspath", "").split() if n.isdigit())
                found[route["prefix"]] = Route(route.get("exit_nexthop", ""), numbers)
        return found

    def follow(self, prefix: Network) -> None:
        """Add a network, or delete it, also one of the configuration."""
        verb = "add" if prefix in self.networks else "delete"
        self._ctl("network", verb, str(prefix))
