"""GoBGP. It keeps routes to itself: nothing reaches the kernel."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from lab.kinds.base import Daemon, Route
from lab.topology import Family, Network, Peer

_ESTABLISHED = 6


class Gobgp(Daemon):
    """The daemon gobgpd, asked by the client gobgp."""

    program = "gobgpd"
    package = "gobgpd"

    def configure(self) -> None:
        """Write ``gobgpd.toml``."""
        self.write("gobgpd.toml", "\n".join(self._lines()) + "\n")

    def _lines(self) -> Iterator[str]:
        yield "[global.config]"
        yield f"  as = {self.place.asn}"
        yield f'  router-id = "{self.place.router_id}"'
        yield "  port = 179"
        for peer in self.place.peers:
            yield from self._session(peer)
        yield from self._own_next_hop()
        yield self.place.node.extra

    def _session(self, peer: Peer) -> Iterator[str]:
        yield "[[neighbors]]"
        yield "  [neighbors.config]"
        yield f'    neighbor-address = "{peer.address}"'
        yield f"    peer-as = {peer.asn}"
        yield from (f"    {line}" for line in self.lines_of(peer))
        yield "  [neighbors.timers.config]"
        yield "    connect-retry = 1"
        yield "    idle-hold-time-after-reset = 1"
        if peer.hold_time is not None:
            yield f"    hold-time = {peer.hold_time}"
            yield f"    keepalive-interval = {peer.hold_time // 3}"
        yield "  [neighbors.transport.config]"
        if peer.local:
            yield f'    local-address = "{peer.local}"'
        if peer.passive:
            yield "    passive-mode = true"
        if peer.client:
            yield "  [neighbors.route-reflector.config]"
            yield "    route-reflector-client = true"
            yield f'    route-reflector-cluster-id = "{self.place.router_id}"'
        for family in peer.families:
            yield "  [[neighbors.afi-safis]]"
            yield "    [neighbors.afi-safis.config]"
            yield f'      afi-safi-name = "{family}-unicast"'
            yield from (f"    {line}" for line in self.lines_of(peer, family))

    def _own_next_hop(self) -> Iterator[str]:
        """It has no switch of a session for that, but a policy can do it."""
        peers = [str(peer.address) for peer in self.place.peers if peer.next_hop_self]
        if not peers:
            return
        yield "[[defined-sets.neighbor-sets]]"
        yield '  neighbor-set-name = "own-next-hop"'
        yield f"  neighbor-info-list = {json.dumps(peers)}"
        yield "[[policy-definitions]]"
        yield '  name = "own-next-hop"'
        yield "  [[policy-definitions.statements]]"
        yield "    [policy-definitions.statements.conditions.match-neighbor-set]"
        yield '      neighbor-set = "own-next-hop"'
        yield "    [policy-definitions.statements.actions.bgp-actions]"
        yield '      set-next-hop = "self"'
        yield "[global.apply-policy.config]"
        yield '  export-policy-list = ["own-next-hop"]'
        yield '  default-export-policy = "accept-route"'

    def commands(self) -> list[list[str]]:
        """The daemon; its API listens inside the namespace only."""
        configuration = str(self.home / "gobgpd.toml")
        argv = [self.locate(), "-f", configuration, "-t", "toml", "--pprof-disable"]
        return [[*argv, "--api-hosts", "127.0.0.1:50051", "-l", "warn", *self.place.node.args]]

    def _json(self, *words: str) -> Any:
        said = self.ask(["gobgp", "-u", "127.0.0.1", "-j", *words])
        try:
            return json.loads(said)
        except json.JSONDecodeError:
            return None

    def started(self) -> None:
        """GoBGP has networks by its API alone."""
        for network in self.networks:
            self._rib("add", network)

    def answers(self) -> bool:
        """Say whether its API listens."""
        return bool(self._json("global"))

    def sessions(self) -> dict[str, bool]:
        """Read the neighbors."""
        found = {}
        for neighbor in self._json("neighbor") or []:
            state = neighbor.get("state", {})
            address = neighbor.get("conf", {}).get("neighbor_address", "")
            found[address] = state.get("session_state") == _ESTABLISHED
        return found

    def routes(self, family: Family) -> dict[str, Route]:
        """Read the global table."""
        found = {}
        for prefix, paths in (self._json("global", "rib", "-a", family) or {}).items():
            hop, numbers = "", ()
            for attribute in paths[0].get("attrs", []):
                hop = attribute.get("nexthop", hop)
                if attribute.get("type") == 2:
                    numbers = tuple(n for s in attribute.get("as_paths", []) for n in s["asns"])
            found[prefix] = Route(hop, numbers)
        return found

    def follow(self, prefix: Network) -> None:
        """Add a path to the global table, or remove it."""
        self._rib("add" if prefix in self.networks else "del", prefix)

    def _rib(self, verb: str, prefix: Network) -> None:
        family = Family.of(prefix)
        argv = ["gobgp", "-u", "127.0.0.1", "global", "rib", verb, str(prefix), "-a", family]
        self.place.execute(argv)
