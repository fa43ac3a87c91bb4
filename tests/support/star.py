"""A Wren node in the middle and other speakers around it, each on a link of its own.

`star` writes the topology, `Star` knows the addresses in it and can ask each speaker. Everything
that a daemon is asked at run time stands here, by daemon, so that a test reads the same for all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from lab import Family, Lab, RunningNode
from lab.kinds import Route
from speaker.control.client import ask, stream
from tests.support.pairs import becomes
from tests.support.wiretap import Tap

IPV4, IPV6 = Family.IPV4, Family.IPV6
DAEMONS = ("bird", "frr", "gobgp", "openbgpd")
WREN_AS = 65001


def ends(number: int, family: Family) -> tuple[str, str]:
    """Give Wren's address on the link to a speaker, and the speaker's own."""
    if family is IPV4:
        return f"172.31.{number}.1", f"172.31.{number}.2"
    return f"fd31:{number}::1", f"fd31:{number}::2"


def networks(number: int) -> dict[Family, str]:
    """Give what a speaker announces; Wren is number 0."""
    return {IPV4: f"10.{number}.0.0/24", IPV6: f"fd00:10{number}::/64"}


def star(
    kinds: Sequence[str],
    *,
    asns: Mapping[str, int] | None = None,
    wren_asn: int = WREN_AS,
    extra: Mapping[str, str] | None = None,
    keys: Mapping[str, str] | None = None,
    node: Mapping[str, str] | None = None,
    families: Sequence[str] = ("ipv4", "ipv6"),
    hold_time: int = 9,
    one_session: bool = False,
) -> str:
    """Write the topology of a star.

    Args:
        kinds: of the speakers; they are also their names. What follows a hyphen tells several of
            a kind apart. On a ``host`` stands a puppet, with an IPv4 session.
        asns: of the speakers, if not 65101, 65102 …
        wren_asn: Wren's.
        extra: lines of a speaker's sessions.
        keys: lines of Wren's sessions with a speaker.
        node: lines of a speaker's node.
        families: of the sessions, one session each.
        hold_time: of all sessions.
        one_session: all families on a session over IPv4.
    """
    nodes: dict[str, Any] = {"wren": {"kind": "wren", "asn": wren_asn, "peers": []}}
    _dwells(nodes["wren"], 0)
    links, peerings = [], []
    for number, name in enumerate(kinds, 1):
        kind, asn = name.partition("-")[0], (asns or {}).get(name, 65100 + number)
        nodes[name] = {"kind": kind}
        here, there = zip(*(ends(number, family) for family in Family), strict=True)
        links.append({"wren": _on_link(here), name: _on_link(there)})
        lines = {"wren": (keys or {}).get(name, ""), name: (extra or {}).get(name, "")}
        if kind == "host":
            peer = {"address": there[0], "asn": asn, "passive": True, "extra": lines["wren"]}
            nodes["wren"]["peers"].append({**peer, "families": list(families), "hold_time": 0})
            continue
        nodes[name] |= {"asn": asn, "extra": (node or {}).get(name, "")}
        _dwells(nodes[name], number)
        said = {end: text for end, text in lines.items() if text}
        if one_session:
            for end, near, far, of in (("wren", here, there, asn), (name, there, here, wren_asn)):
                peer = {"address": far[0], "local": near[0], "asn": of, "extra": lines[end]}
                # OpenBGPD takes a hold time of 0 from others, and offers none itself.
                peer |= {"families": list(families)}
                peer |= {"hold_time": hold_time} if hold_time or end == "wren" else {}
                nodes[end].setdefault("peers", []).append(peer)
            continue
        peering = {"between": ["wren", name], "families": list(families), "hold_time": hold_time}
        peerings.append({**peering, "extra": said})
    return json.dumps({"nodes": nodes, "links": links, "bgp": peerings})


def _dwells(node: dict[str, Any], number: int) -> None:
    """Give a node networks, and an address in each."""
    node["networks"] = list(networks(number).values())
    node["addresses"] = [f"10.{number}.0.1/32", f"fd00:10{number}::1/128"]


def _on_link(addresses: Sequence[str]) -> list[str]:
    return [f"{address}/{64 if ':' in address else 24}" for address in addresses]


class Star:
    """A star that is up.

    Args:
        lab: with the topology of `star`.
    """

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.wren = lab.node("wren")
        self._names = [node.name for node in lab.topology.nodes if node.name != "wren"]

    def node(self, name: str) -> RunningNode:
        """Give a node."""
        return self.lab.node(name)

    def number(self, name: str) -> int:
        """Tell which link is a speaker's; 0 is Wren itself."""
        return 0 if name == "wren" else self._names.index(name) + 1

    def here(self, name: str, family: Family = IPV4) -> str:
        """Give Wren's address on the link to a speaker."""
        return ends(self.number(name), family)[0]

    def there(self, name: str, family: Family = IPV4) -> str:
        """Give a speaker's address."""
        return ends(self.number(name), family)[1]

    def network(self, name: str, family: Family = IPV4) -> str:
        """Give what a node announces."""
        return networks(self.number(name))[family]

    def tap(self) -> Tap:
        """Listen to all that Wren sends and receives."""
        return Tap(self.wren)

    def agree(self, *names: str) -> None:
        """Each of these, or of all, has Wren's networks, and Wren has theirs."""
        for name in names or self._names:
            self.session_is(name, up=True)
            for family in self.families(name):
                self.hears("wren", self.network(name, family))
                self.hears(name, self.network("wren", family))

    def families(self, name: str) -> list[Family]:
        """Tell in which families a speaker has a session with Wren."""
        addresses = {str(peer.address) for peer in self.wren.speaks.place.peers}
        return [family for family in Family if self.there(name, family) in addresses]

    def session_is(self, name: str, *, up: bool) -> None:
        """Wait until the sessions with a speaker are up at both ends, or down at Wren's."""
        there = [self.there(name, family) for family in self.families(name)]
        becomes(
            f"Wren's sessions with {name} are {'up' if up else 'down'}",
            lambda: [self.wren.sessions().get(address) for address in there],
            [up] * len(there),
        )
        if up and self.node(name).daemon is not None:
            here = [self.here(name, family) for family in self.families(name)]
            becomes(
                f"{name}'s sessions are up",
                lambda: [self.node(name).sessions().get(address) for address in here],
                [True] * len(here),
            )

    def hears(self, name: str, prefix: str) -> Route:
        """Wait until a node has a prefix, and give its route."""
        family = IPV6 if ":" in prefix else IPV4
        found: dict[str, Route] = {}

        def heard() -> bool:
            # A second look may find it gone: a session that came up may be replaced by another.
            found.update(self.node(name).routes(family))
            return prefix in found

        becomes(f"{name} hears {prefix}", heard, wanted=True)
        return found[prefix]

    def forgets(self, name: str, prefix: str) -> None:
        """Wait until a node has a prefix no more."""
        family = IPV6 if ":" in prefix else IPV4
        becomes(f"{name} forgets {prefix}", lambda: prefix in self.node(name).routes(family), False)

    def peer(self, name: str, family: Family = IPV4) -> dict[str, Any]:
        """Ask Wren about its session with a speaker."""
        detail = ask(self.wren.home, "peer", name=self.there(name, family))
        peer: dict[str, Any] = detail["peer"]
        return peer

    def history(self, name: str, family: Family = IPV4) -> list[str]:
        """Ask Wren what happened to its session with a speaker."""
        lines: list[str] = ask(self.wren.home, "peer", name=self.there(name, family))["history"]
        return lines

    def told(self, name: str, prefix: str) -> dict[str, Any] | None:
        """Ask Wren for its route to a prefix by a speaker, with all attributes."""
        peers = [self.peer(name, family)["name"] for family in self.families(name)]
        chunks = stream(self.wren.home, "routes", prefix=prefix, all=True)
        found = [r for chunk in chunks for r in chunk["routes"] if r["peer"] in peers]
        return found[0] if found else None

    def set_keys(self, name: str, keys: Mapping[str, str | None]) -> None:
        """Give Wren's sessions with a speaker further keys of its own; None takes one away."""
        addresses = {self.there(name, family) for family in Family}
        path = self.wren.home / "datastore" / "resources.json"
        resources = json.loads(path.read_text(encoding="utf-8"))
        for item in resources["items"]:
            if item["kind"] == "BGPPeer" and item["spec"]["peerIP"] in addresses:
                there = item["spec"]["extensions"]
                there.update({f"wren.bgp/{key}": value for key, value in keys.items()})
                item["spec"]["extensions"] = {k: v for k, v in there.items() if v is not None}
        fresh = path.with_name(".edited.json")
        fresh.write_text(json.dumps(resources), encoding="utf-8")
        fresh.rename(path)

    # What is asked of the daemons.

    def birdc(self, name: str, *words: str) -> str:
        """Ask BIRD."""
        node = self.node(name)
        return node.execute(["birdc", "-s", str(node.home / "bird.ctl"), *words])

    def bird_protocol(self, name: str, family: Family = IPV4) -> str:
        """Name BIRD's session with Wren."""
        return f"peer{self.families(name).index(family)}"

    def bird_configures(self, name: str, *edits: tuple[str, str], soft: bool = False) -> None:
        """Have BIRD read its configuration with some words replaced; softly: filters alone."""
        path = self.node(name).home / "bird.conf"
        text = path.read_text(encoding="utf-8")
        for old, new in edits:
            assert old in text
            text = text.replace(old, new)
        path.write_text(text, encoding="utf-8")
        said = self.birdc(name, "configure", *(["soft"] if soft else []))
        assert "Reconfigur" in said, said

    def vtysh(self, name: str, *commands: str) -> str:
        """Ask FRR."""
        node = self.node(name)
        words = [word for command in commands for word in ("-c", command)]
        return node.execute(["vtysh", "--vty_socket", str(node.home), *words])

    def vtysh_configures(self, name: str, *lines: str) -> None:
        """Give FRR lines of its configuration."""
        asn = self.node(name).node.asn
        said = self.vtysh(name, "configure terminal", f"router bgp {asn}", *lines)
        assert "%" not in said, said

    def frr_neighbor(self, name: str, family: Family = IPV4) -> dict[str, Any]:
        """Ask FRR about its session with Wren."""
        address = self.here(name, family)
        told = json.loads(self.vtysh(name, f"show bgp neighbors {address} json"))
        found: dict[str, Any] = told[address]
        return found

    def gobgp(self, name: str, *words: str) -> str:
        """Ask GoBGP."""
        return self.node(name).execute(["gobgp", "-u", "127.0.0.1", *words])

    def bgpctl(self, name: str, *words: str) -> str:
        """Ask OpenBGPD."""
        node = self.node(name)
        return node.execute(["bgpctl", "-s", str(node.home / "bgpd.sock"), *words])
