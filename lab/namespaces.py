"""Network namespaces, veth pairs and bridges of a laboratory: made, and removed without a rest.

`plan` turns a topology into the lines that iproute2's batch mode reads; `Namespaces` carries them
out and undoes them. Each node and each segment has a namespace ``wl-<lab>.<name>``. Interfaces are
born inside the namespaces, never on the host, so that removing the namespaces removes everything.

Batches of ``ip`` are used rather than netlink sockets of our own because one batch makes any number
of links in one process without a thread or a helper in each namespace.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lab import processes
from lab.ground import Ground, run
from lab.state import Entry, StateDirectory
from lab.topology import Interface, Link, Node, Topology

PREFIX = "wl-"

# Forward like a router; let an address be used at once; accept what arrives by another way.
_SETTINGS = {
    "net/ipv4/ip_forward": 1,
    "net/ipv4/conf/all/rp_filter": 0,
    "net/ipv4/conf/default/rp_filter": 0,
    "net/ipv6/conf/all/forwarding": 1,
    "net/ipv6/conf/default/forwarding": 1,
    "net/ipv6/conf/all/accept_dad": 0,
    "net/ipv6/conf/default/accept_dad": 0,
    "net/ipv6/conf/all/keep_addr_on_down": 1,
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What to make, in order.

    Args:
        namespaces: their names.
        links: batch lines that make interfaces, each with the name the journal gets.
        settings: batch lines to run in each namespace.
    """

    namespaces: tuple[str, ...]
    links: tuple[tuple[str, str], ...]
    settings: tuple[tuple[str, tuple[str, ...]], ...]


def namespace_of(lab: str, name: str) -> str:
    """Name the namespace of a node or a segment. A dot is in no name, so no two labs collide."""
    return f"{PREFIX}{lab}.{name}"


def plan(topology: Topology) -> Plan:
    """Lay out the namespaces and links of a topology."""
    segments = [link for link in topology.links if link.is_segment]
    names = [node.name for node in topology.nodes] + [link.name for link in segments]
    settings = [(node.name, tuple(_node_lines(topology, node))) for node in topology.nodes]
    settings += [(link.name, tuple(_bridge_lines(link))) for link in segments]
    return Plan(
        namespaces=tuple(namespace_of(topology.name, name) for name in names),
        links=tuple(_link_lines(topology)),
        settings=tuple((namespace_of(topology.name, name), lines) for name, lines in settings),
    )


def _link_lines(topology: Topology) -> Iterator[tuple[str, str]]:
    lab = topology.name
    for index, link in enumerate(topology.links):
        ends = [
            (namespace_of(lab, end.node), _interface(topology, end.node, index).name)
            for end in link.ends
        ]
        if link.is_segment:
            home = namespace_of(lab, link.name)
            yield f"{home}/br0", f"link add br0 netns {home} type bridge forward_delay 0"
            cables = [(end, (home, f"p{number}")) for number, end in enumerate(ends)]
        else:
            cables = [(ends[0], ends[1])]
        for (left, port), (right, other) in cables:
            yield (
                f"{left}/{port}",
                f"link add {port} netns {left} type veth peer name {other} netns {right}",
            )


def _interface(topology: Topology, node: str, link: int) -> Interface:
    return next(port for port in topology.interfaces(node) if port.link == link)


def _node_lines(topology: Topology, node: Node) -> Iterator[str]:
    yield "link set lo up"
    for address in node.addresses:
        yield f"addr add {address} dev lo" + _no_detection(address.version)
    for port in topology.interfaces(node.name):
        for address in port.addresses:
            yield f"addr add {address} dev {port.name}" + _no_detection(address.version)
        yield f"link set {port.name} up"
    for gateway in node.gateways:
        yield f"route add default via {gateway}"


def _no_detection(version: int) -> str:
    return " nodad" if version == 6 else ""


def _bridge_lines(link: Link) -> Iterator[str]:
    yield "link set lo up"
    yield "link set br0 up"
    for number in range(len(link.ends)):
        yield f"link set p{number} master br0 up"


class Namespaces:
    """The namespaces of one lab on its ground."""

    def __init__(self, topology: Topology, ground: Ground, state: StateDirectory) -> None:
        self._plan = plan(topology)
        self._ground = ground
        self._state = state

    def make(self) -> None:
        """Make everything, each thing recorded before. Raises `LabError` if `ip` refuses."""
        for name in self._plan.namespaces:
            self._state.record(Entry("namespace", name))
            self._batch([], [f"netns add {name}"])
        self._settle()
        for name, line in self._plan.links:
            self._state.record(Entry("interface", name))
            self._batch([], [line])
        for name, lines in self._plan.settings:
            self._batch(["-n", name], lines)

    def _settle(self) -> None:
        writes = "; ".join(
            f"if [ -e /proc/sys/{key} ]; then echo {value} > /proc/sys/{key}; fi"
            for key, value in _SETTINGS.items()
        )
        for name in self._plan.namespaces:
            run(self._ground.inside(name, ["sh", "-ec", writes]), keep=self._state.inherited)

    def _batch(self, options: list[str], lines: list[str] | tuple[str, ...]) -> None:
        self._ground.run(
            ["ip", *options, "-batch", "-"],
            text="\n".join(lines) + "\n",
            keep=self._state.inherited,
        )


def remove(ground: Ground, state: StateDirectory) -> None:
    """Remove every namespace the journal names. Its processes must have ended before."""
    there = set(existing(ground))
    for entry in state.entries():
        if entry.what == "namespace" and entry.name in there:
            there.discard(entry.name)
            ground.run(["ip", "netns", "del", entry.name], keep=state.inherited)


def existing(ground: Ground) -> list[str]:
    """Name the namespaces of labs that exist on this ground."""
    if ground.holder is not None and not processes.is_alive(ground.holder):
        return []
    lines = ground.run(["ip", "netns", "list"]).splitlines()
    return [name for line in lines if (name := line.split(" ")[0]).startswith(PREFIX)]
