"""ExaBGP: announces what its configuration says, and writes down what it hears."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from typing import Any

from lab.errors import LabError
from lab.kinds.base import Daemon, Route
from lab.topology import Family, Network, Peer

# ExaBGP gives its helper a descriptor that does not block, so reading has to wait by itself.
_WORDS = "words.json"
_KEEPER = f"""\
import os, pathlib, select
with open(pathlib.Path(__file__).with_name("{_WORDS}"), "ab", buffering=0) as words:
    while True:
        select.select([0], [], [])
        chunk = os.read(0, 65536)
        if not chunk:
            break
        words.write(chunk)
"""


class Exabgp(Daemon):
    """Debian's ExaBGP with a helper that keeps its JSON words in a file."""

    program = "exabgp"
    package = "exabgp"

    def configure(self) -> None:
        """Write the configuration and the helper.

        Raises:
            LabError: it shall be a route reflector.
        """
        if any(peer.client for peer in self.place.peers):
            raise LabError(f"{self.place.node.name}: exabgp passes no routes on, so has no clients")
        self.write("keep", f"#!{sys.executable}\n{_KEEPER}", 0o755)
        self.write("exabgp.conf", "\n".join(self._lines()) + "\n")

    def _lines(self) -> Iterator[str]:
        yield f"process keep {{ run {self.home}/keep; encoder json; }}"
        for peer in self.place.peers:
            yield from self._session(peer)
        yield self.place.node.extra

    def _session(self, peer: Peer) -> Iterator[str]:
        yield f"neighbor {peer.address} {{"
        yield f"  router-id {self.place.router_id}; local-as {self.place.asn}; peer-as {peer.asn};"
        if peer.local:
            yield f"  local-address {peer.local};"
        if peer.passive:
            yield "  passive true;"
        if peer.hold_time is not None:
            yield f"  hold-time {peer.hold_time};"
        yield from (f"  {line}" for line in peer.extra.splitlines())
        families = " ".join(f"{family} unicast;" for family in peer.families)
        yield f"  family {{ {families} }}"
        yield "  api { processes [ keep ]; neighbor-changes; receive { parsed; update; } }"
        for family in peer.families:
            routes = " ".join(
                f"unicast {network} next-hop self;" for network in self.networks_of(family)
            )
            yield f"  announce {{ {family} {{ {routes} }} }}"
        yield "}"

    def commands(self) -> list[list[str]]:
        """ExaBGP in the foreground; what an earlier one heard counts no more."""
        (self.home / _WORDS).unlink(missing_ok=True)
        return [[self.locate(), *self.place.node.args, str(self.home / "exabgp.conf")]]

    def environment(self) -> dict[str, str]:
        """Let it listen, stay root, and open no API of its own.

        ExaBGP knows its settings with dots too, but a shell drops such names on their way.
        """
        local = [str(peer.local) for peer in self.place.peers if peer.local and peer.passive]
        settings = {
            "exabgp_daemon_user": "root",
            "exabgp_daemon_drop": "false",
            "exabgp_api_cli": "false",
            "exabgp_api_ack": "false",
            "exabgp_log_level": "WARNING",
        }
        if local:
            settings["exabgp_tcp_bind"] = " ".join(local)
        return settings

    def _words(self) -> Iterator[dict[str, Any]]:
        try:
            lines = (self.home / _WORDS).read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return
        for line in lines:
            try:
                yield json.loads(line)
            except json.JSONDecodeError:
                continue

    def answers(self) -> bool:
        """Say whether the helper is there to hear."""
        return (self.home / _WORDS).exists()

    def sessions(self) -> dict[str, bool]:
        """Follow its words about states."""
        found = {str(peer.address): False for peer in self.place.peers}
        for word in self._words():
            if word.get("type") == "state":
                neighbor = word["neighbor"]
                found[neighbor["address"]["peer"]] = neighbor.get("state") == "up"
        return found

    def routes(self, family: Family) -> dict[str, Route]:
        """Follow its words about UPDATEs; a session that falls takes its routes along."""
        name = f"{family} unicast"
        tables: dict[str, dict[str, Route]] = {}
        for word in self._words():
            neighbor = word.get("neighbor", {})
            table = tables.setdefault(neighbor.get("address", {}).get("peer", ""), {})
            if word.get("type") == "state" and neighbor.get("state") == "down":
                table.clear()
            update = neighbor.get("message", {}).get("update", {})
            for gone in update.get("withdraw", {}).get(name, []):
                table.pop(gone["nlri"], None)
            path = update.get("attribute", {}).get("as-path", [])
            for hop, nlris in update.get("announce", {}).get(name, {}).items():
                for found in nlris:
                    if isinstance(found, dict) and "nlri" in found:
                        table[found["nlri"]] = Route(hop, tuple(path))
        return {prefix: route for table in tables.values() for prefix, route in table.items()}

    def follow(self, prefix: Network) -> None:
        """Have it read its configuration again."""
        self.place.signal(signal.SIGUSR1)
