"""A Wren and a BIRD on one segment that are told the same, and how what they do is compared.

Both stand at addresses of their own beside a chorus of peers; each peer has one session with either
of them. Both read one `World` and the same chains, in their own languages. `Stage.heard` gives what
each of the two sessions of a peer has heard, attribute by attribute, and `Stage.settled` in what
their kernels differ.
"""

from __future__ import annotations

import json
import os
import struct
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address, ip_network
from pathlib import Path
from typing import Any

from lab import Lab, RunningNode
from tests.support.calico_world import AS, CLUSTER_ID, INTERFACES, Rule, World
from tests.support.chorus import Chorus, Table, Voice, attributes_of
from tests.support.datastores import put
from tests.support.labs import lab_of
from tests.support.resources import document, node, peer, settings

TUNNEL = "the IPIP tunnel"

SEED = int(os.environ.get("WREN_SEED", "1"))
"""Of everything that is drawn."""

DAEMONS = {"wren": 1, "bird": 2}
"""Who stands at which last number of the segment."""

KEYS = {
    "wren.bgp/passive": "on",
    "wren.bgp/connectRetry": "1",
    "wren.bgp/idleHold": "1,2",
    "wren.bgp/holdTime": "0",
}


def translated(cidr: str, version: int) -> str:
    """Give a network, or what stands for it in IPv6: its bits follow ``fd00::/16``."""
    if version == 4:
        return cidr
    network = ip_network(cidr)
    length = 128 if network.prefixlen == 32 else network.prefixlen + 16
    return f"{ip_address((0xFD00 << 112) | int(network.network_address) << 80)}/{length}"


def on_segment(number: int, version: int) -> str:
    """Give an address of the segment."""
    return f"172.31.{number >> 8}.{number & 255}" if version == 4 else f"fd31::{number:x}"


def beyond(number: int, version: int) -> str:
    """Give a next hop beyond a device: 0 is the segment, the others are `INTERFACES`."""
    if number == 0:
        return on_segment(0x0A09, version)
    return f"172.30.{number}.9" if version == 4 else f"fd30:{number}::9"


@dataclass(frozen=True)
class Player:
    """A peer of both daemons.

    Attributes:
        number: from 256 on, for its address.
        asn: its AS.
        imports: its chain on import.
        exports: its chain on export.
        router_id: its BGP Identifier; empty for one made of its number.
    """

    number: int
    asn: int
    imports: tuple[Rule, ...] = ()
    exports: tuple[Rule, ...] = ()
    router_id: str = ""

    @property
    def name(self) -> str:
        return f"p{self.number}"

    @property
    def internal(self) -> bool:
        return self.asn == AS

    def voices(self, version: int) -> Iterator[Voice]:
        """Give its sessions, named after peer and daemon."""
        for daemon, number in DAEMONS.items():
            yield Voice(
                name=f"{self.name}-{daemon}",
                source=on_segment(self.number, version),
                target=on_segment(number, version),
                asn=self.asn,
                router_id=self.router_id or f"10.255.{self.number >> 8}.{self.number & 255}",
                afi=1 if version == 4 else 2,
            )


REJECT_ALL: tuple[Rule, ...] = ({"action": "Reject"},)
ACCEPT_ALL: tuple[Rule, ...] = ({"action": "Accept"},)


class Stage:
    """The two daemons, the chorus, and what all of them are told.

    Args:
        lab: in which they run.
        directory: Wren's resources.
        chorus: the peers.
        world: what the resources say.
        players: the peers.
        more: lines of each of BIRD's sessions besides.
    """

    def __init__(
        self,
        lab: Lab,
        directory: Path,
        chorus: Chorus,
        world: World,
        players: Sequence[Player],
        more: str = "",
    ) -> None:
        self.lab = lab
        self.directory = directory
        self.chorus = chorus
        self.world = world
        self.players = {player.name: player for player in players}
        self._more = more

    def conduct(self) -> None:
        """Write the BIRD's configuration, and have it read."""
        bird = self.lab.node("bird")
        (bird.home / "bird.conf").write_text("\n".join(self.bird_lines()) + "\n")
        bird.execute(["bird", "-p", "-c", str(bird.home / "bird.conf")])
        said = bird.execute(["birdc", "-s", str(bird.home / "bird.ctl"), "configure"])
        assert "Reconfigured" in said or "in progress" in said, said

    def edit(self, players: Iterable[Player]) -> None:
        """Give peers other chains; sessions stay as they are."""
        changed = {player.name: player for player in players}
        self.players |= changed
        put(self.directory, *(filters_of(each, self.world.version) for each in changed.values()))
        self.conduct()

    def bird_lines(self) -> Iterator[str]:
        """Write the BIRD's configuration."""
        world, version = self.world, self.world.version
        channel = f"ipv{version}"
        yield "router id 10.255.0.2;"
        yield "log stderr all;"
        yield "protocol device { scan time 2; }"
        yield f'protocol direct {{ {channel}; interface -"cali*", -"kube-ipvs*", "*"; }}'
        routes = " ".join(f"route {cidr} blackhole;" for cidr in world.blackholes)
        yield f"protocol static {{ {channel}; {routes} }}"
        yield from world.functions()
        yield from world.kernel_filter()
        yield f"protocol kernel {{ learn; persist; scan time 2; metric 0; merge paths on; {channel}"
        yield "  { import all; export filter to_kernel; }; }"
        for player in self.players.values():
            internal = player.internal
            yield from world.import_filter(player.name, player.imports, internal=internal)
            yield from world.export_filter(player.name, player.exports, internal=internal)
            yield f"protocol bgp {player.name} {{"
            yield f"  local {on_segment(2, version)} as {AS};"
            yield f"  neighbor {on_segment(player.number, version)} as {player.asn};"
            yield "  multihop; passive; hold time 0; error wait time 1, 2;"
            if internal and world.reflects:
                yield f"  rr client; rr cluster id {CLUSTER_ID};"
            yield f"  {self._more}"
            yield f"  {channel} {{ import filter in_{player.name}; export filter"
            yield f"    out_{player.name}; gateway recursive; }};"
            yield "}"

    def heard(self, names: Iterable[str]) -> dict[str, dict[str, dict[bytes, Heard]]]:
        """Give what peers hold of each daemon, by NLRI."""
        wanted = [f"{name}-{daemon}" for name in names for daemon in DAEMONS]
        found: dict[str, dict[str, dict[bytes, Heard]]] = {}
        for key, table in self.chorus.tables(wanted).items():
            name, _, daemon = key.partition("-")
            own = on_segment(DAEMONS[daemon], self.world.version)
            found.setdefault(name, {})[daemon] = read(table, own)
        return found

    def settled(self, seconds: float = 20.0) -> dict[str, tuple[Installed | None, ...]]:
        """Wait until both kernels hold the same; give what does not, by prefix."""
        end = time.monotonic() + seconds
        while True:
            wren, bird = (self.installed(daemon) for daemon in DAEMONS)
            odd = {p: (wren.get(p), bird.get(p)) for p in wren.keys() | bird.keys()}
            odd = {
                prefix: two
                for prefix, two in odd.items()
                if two[0] != two[1] and not self._is_chosen(prefix, two)
            }
            if not odd or time.monotonic() > end:
                return dict(sorted(odd.items()))
            time.sleep(0.2)

    def _is_chosen(self, prefix: str, two: tuple[Installed | None, ...]) -> bool:
        """Tell whether it is the blackhole of a block whose pool somebody else programs."""
        wren, bird = two
        if bird is not None or wren is None or wren.kind != "blackhole":
            return False
        network = ip_network(prefix)
        return prefix in self.world.blackholes and any(
            network.subnet_of(ip_network(pool.cidr))  # type: ignore[arg-type]  # one version
            for pool in self.world.pools
        )

    def installed(self, daemon: str) -> dict[str, Installed]:
        """Give what a daemon has put into its kernel."""
        words = ["ip", "-j", f"-{self.world.version}", "route", "show", "proto", "bird"]
        return {route["dst"]: _installed(route) for route in json.loads(self._on(daemon, words))}

    def _on(self, daemon: str, words: list[str]) -> str:
        return self.lab.node(daemon).execute(words)


@dataclass(frozen=True)
class Installed:
    """A route in the kernel.

    Attributes:
        kind: its type.
        metric: its priority.
        ways: gateway and device of each next hop; through the IPIP device, `TUNNEL`.
    """

    kind: str
    metric: int
    ways: frozenset[tuple[str, str]]


def _installed(route: Mapping[str, Any]) -> Installed:
    kind = route.get("type", "unicast")
    hops = route.get("nexthops", [route]) if kind == "unicast" else []
    ways = frozenset((hop.get("gateway", ""), hop.get("dev", "")) for hop in hops)
    if "flow" in route or any(
        device == "tunl0" and "onlink" in route["flags"] for _, device in ways
    ):
        ways = frozenset((gateway, TUNNEL) for gateway, _ in ways)
    return Installed(kind, route.get("metric", 0), ways)


Heard = dict[str, str]
"""The attributes of a route, by name."""


def read(table: Table, own: str) -> dict[bytes, Heard]:
    """Give a table with its attributes taken apart."""
    known: dict[tuple[bytes, bytes], Heard] = {}
    found = {}
    for nlri, held in table.items():
        if held not in known:
            known[held] = _attributes(*held, own)
        found[nlri] = known[held]
    return found


def text(nlri: bytes, version: int) -> str:
    """Give a prefix as people write it."""
    return f"{ip_address(nlri[1:].ljust(4 if version == 4 else 16, bytes(1)))}/{nlri[0]}"


def _attributes(octets: bytes, next_hop: bytes, own: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if next_hop:
        found["NEXT_HOP"] = _address(next_hop[:16], own)
    for code, _, value in attributes_of(octets):
        match code:
            case 1:
                found["ORIGIN"] = value[0]
            case 2:
                found["AS_PATH"] = _segments(value)
            case 3:
                found["NEXT_HOP"] = _address(value, own)
            case 4:
                found["MED"] = int.from_bytes(value, "big")
            case 5:
                found["LOCAL_PREF"] = int.from_bytes(value, "big")
            case 8:
                found["COMMUNITIES"] = sorted(
                    f"{a}:{b}" for a, b in struct.iter_unpack("!HH", value)
                )
            case 9:
                found["ORIGINATOR_ID"] = str(IPv4Address(value))
            case 10:
                parts = struct.iter_unpack("!4s", value)
                found["CLUSTER_LIST"] = [str(IPv4Address(part)) for (part,) in parts]
            case 32:
                parts = struct.iter_unpack("!III", value)
                found["LARGE_COMMUNITIES"] = sorted(":".join(map(str, each)) for each in parts)
            case _:
                found[f"attribute {code}"] = value.hex()
    return {name: str(value) for name, value in found.items()}


def _address(octets: bytes, own: str) -> str:
    text = str(ip_address(octets))
    return "self" if text == own else text


def _segments(octets: bytes) -> str:
    words = []
    at = 0
    while at < len(octets):
        count = octets[at + 1]
        numbers = struct.unpack_from(f"!{count}I", octets, at + 2)
        joined = " ".join(map(str, numbers))
        words.append(f"{{{joined}}}" if octets[at] == 1 else joined)
        at += 2 + 4 * count
    return " ".join(words)


# The lab.


def topology(directory: Path, players: Iterable[Player], version: int) -> str:
    """Write the topology."""
    width = 16 if version == 4 else 64
    addresses = [f"{on_segment(player.number, version)}/{width}" for player in players]
    lan = {name: [f"{on_segment(number, version)}/{width}"] for name, number in DAEMONS.items()}
    nodes = {
        "wren": {"kind": "wren", "datastore": str(directory), "nodename": "wren"},
        "bird": {"kind": "bird", "asn": AS},
        "peers": {"kind": "host"},
    }
    return json.dumps({"nodes": nodes, "segments": {"lan": {**lan, "peers": addresses}}})


def documents(world: World, players: Iterable[Player], more: Mapping[str, str]) -> Iterator[Rule]:
    """Write Wren's resources."""
    version = world.version
    width = 16 if version == 4 else 64
    address = f"{on_segment(1, version)}/{width}"
    four, six = (address, None) if version == 4 else (None, address)
    yield node("wren", four, six, cluster_id=CLUSTER_ID if world.reflects else None)
    yield settings(**world.settings(), annotations=dict(more))
    yield from world.documents("wren")
    for player in players:
        yield filters_of(player, version)
        yield peer(
            player.name,
            node="wren",
            peerIP=on_segment(player.number, version),
            asNumber=player.asn,
            filters=[player.name],
            extensions=KEYS,
        )


def filters_of(player: Player, version: int) -> Rule:
    """Write the BGPFilter of a peer."""
    chains = {"import": player.imports, "export": player.exports}
    rules = {f"{way}V{version}": list(chain) for way, chain in chains.items() if chain}
    return document("BGPFilter", player.name, rules)


def devices(running: RunningNode, version: int) -> None:
    """Make the devices that next hops lie beyond."""
    lines = []
    for number, name in enumerate(INTERFACES[1:], 1):
        hop = beyond(number, version)
        own = f"{hop[:-1]}1/{24 if version == 4 else 64}"
        lines += [
            f"link add {name} type veth peer name far{number}",
            f"link set {name} up",
            f"link set far{number} up",
            f"addr add {own} dev {name}" + (" nodad" if version == 6 else ""),
        ]
    batch = running.home / "devices"
    batch.write_text("\n".join(lines) + "\n")
    running.execute(["ip", "-batch", str(batch)])


@contextmanager
def stage(
    base: Path,
    world: World,
    players: Sequence[Player],
    *,
    annotations: Mapping[str, str] | None = None,
    bird: str = "",
) -> Iterator[Stage]:
    """Bring everything up for the time of a ``with`` block."""
    directory = base / "resources"
    put(directory, *documents(world, players, annotations or {}))
    with ExitStack() as stack:
        lab = stack.enter_context(lab_of(topology(directory, players, world.version)))
        for name in DAEMONS:
            devices(lab.node(name), world.version)
        chorus = stack.enter_context(Chorus(lab.node("peers")))
        found = Stage(lab, directory, chorus, world, players, bird)
        found.conduct()
        yield found
