"""The topology of a laboratory as frozen values: nodes, links, peerings and what they imply.

`Topology` holds `Node`s, `Link`s (two ends make a veth pair; a named link or one with more ends is
a segment, that is a bridge) and `Peering`s (two nodes that speak BGP over a link they share).
From these three it derives what the other rooms need: the interfaces of a node, its router id,
and its `Peer`s, which are one end's view of each BGP session.

Values come from `lab.topology_file` (YAML) or from Python. A topology that contradicts itself
cannot be made: `Topology` checks itself and raises `TopologyError` with the place of the mistake.
Nothing here touches the machine.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)
from pathlib import Path

from lab.errors import Place, TopologyError

Address = IPv4Address | IPv6Address
InterfaceAddress = IPv4Interface | IPv6Interface
Network = IPv4Network | IPv6Network

# Names become parts of namespace names, of directories and of Unix socket paths (108 bytes).
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,23}")
_LAST_AS = 2**32 - 1


class Kind(StrEnum):
    """What runs in a node."""

    WREN = "wren"
    BIRD = "bird"
    FRR = "frr"
    GOBGP = "gobgp"
    OPENBGPD = "openbgpd"
    EXABGP = "exabgp"
    HOST = "host"


class Family(StrEnum):
    """The address families a lab knows: IPv4 and IPv6 unicast."""

    IPV4 = "ipv4"
    IPV6 = "ipv6"

    @property
    def version(self) -> int:
        return 4 if self is Family.IPV4 else 6

    @classmethod
    def of(cls, value: Address | InterfaceAddress | Network) -> Family:
        """Name the family of an address, an interface address or a prefix."""
        return cls.IPV4 if value.version == 4 else cls.IPV6


BOTH_FAMILIES = (Family.IPV4, Family.IPV6)


@dataclass(frozen=True, slots=True)
class Peer:
    """One BGP session as one end sees it.

    Args:
        address: the peer's address.
        asn: the peer's AS.
        local: our address of the session; None lets the kernel choose.
        families: what the session carries.
        passive: never connect, only accept.
        client: the peer is a route-reflector client of this node.
        next_hop_self: rewrite NEXT_HOP to ourselves also towards an iBGP peer.
        hold_time: seconds to offer; None leaves the daemon's default.
        extra: lines of the session besides, in the words of the daemon.
        node: name of the peer's node if it is one of this lab.
    """

    address: Address
    asn: int
    local: Address | None = None
    families: tuple[Family, ...] = ()
    passive: bool = False
    client: bool = False
    next_hop_self: bool = False
    hold_time: int | None = None
    extra: str = ""
    node: str | None = None

    def __post_init__(self) -> None:
        if not self.families:
            object.__setattr__(self, "families", (Family.of(self.address),))


@dataclass(frozen=True, slots=True)
class Node:
    """One namespace and what runs in it.

    Args:
        addresses: workload and loopback addresses, put on ``lo``.
        networks: prefixes the node announces.
        gateways: next hops of its default routes, at most one a family.
        peers: sessions with speakers that no peering derives, such as a script in a test.
        datastore: directory of Calico resources of a wren node; without one the lab writes it.
        nodename: name of the wren node in its datastore, if it is not the node's name here.
        args: further arguments of the daemon: of ``wren run``, of FRR's bgpd, of the others'
            only program.
        extra: text appended to a foreign daemon's generated configuration.
    """

    name: str
    kind: Kind
    asn: int | None = None
    router_id: IPv4Address | None = None
    addresses: tuple[InterfaceAddress, ...] = ()
    networks: tuple[Network, ...] = ()
    gateways: tuple[Address, ...] = ()
    peers: tuple[Peer, ...] = ()
    datastore: Path | None = None
    nodename: str | None = None
    args: tuple[str, ...] = ()
    extra: str = ""


@dataclass(frozen=True, slots=True)
class End:
    """One node's end of a link."""

    node: str
    addresses: tuple[InterfaceAddress, ...] = ()


@dataclass(frozen=True, slots=True)
class Link:
    """A cable between two nodes, or, with a name, a segment that any number of nodes share."""

    ends: tuple[End, ...]
    name: str = ""

    @property
    def is_segment(self) -> bool:
        return bool(self.name)

    def end_of(self, node: str) -> End | None:
        return next((end for end in self.ends if end.node == node), None)


@dataclass(frozen=True, slots=True)
class Peering:
    """Two nodes that hold a BGP session in each family of a link they share.

    Args:
        between: names of the two nodes.
        families: which of the common families to use.
        passive: name of the end that never connects.
        client: name of the end that is a route-reflector client of the other.
        next_hop_self: names of the ends that rewrite NEXT_HOP to themselves.
        hold_time: seconds both offer; None leaves the daemons' defaults.
        extra: lines of its sessions besides, by the name of the end that has them.
    """

    between: tuple[str, str]
    families: tuple[Family, ...] = BOTH_FAMILIES
    passive: str | None = None
    client: str | None = None
    next_hop_self: tuple[str, ...] = ()
    hold_time: int | None = None
    extra: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Interface:
    """A node's interface: ``eth0``, ``eth1``… in the order of the links that name the node."""

    name: str
    link: int
    addresses: tuple[InterfaceAddress, ...]


@dataclass(frozen=True, slots=True)
class Topology:
    """A whole laboratory. Raises `TopologyError` if it contradicts itself."""

    name: str
    nodes: tuple[Node, ...]
    links: tuple[Link, ...] = ()
    peerings: tuple[Peering, ...] = ()

    def __post_init__(self) -> None:
        for check in _CHECKS:
            check(self)

    def node(self, name: str) -> Node:
        """Find a node. Raises `TopologyError` with the names there are."""
        for node in self.nodes:
            if node.name == name:
                return node
        known = ", ".join(node.name for node in self.nodes)
        raise TopologyError(f"lab {self.name} has no node {name!r}; it has {known}")

    def interfaces(self, name: str) -> tuple[Interface, ...]:
        """List a node's interfaces towards its links."""
        found = [
            (index, end) for index, link in enumerate(self.links) if (end := link.end_of(name))
        ]
        return tuple(
            Interface(f"eth{number}", index, end.addresses)
            for number, (index, end) in enumerate(found)
        )

    def router_id(self, name: str) -> IPv4Address:
        """Say a node's BGP identifier: as given, else its first IPv4 address, else by position."""
        node = self.node(name)
        if node.router_id is not None:
            return node.router_id
        on_links = [address for port in self.interfaces(name) for address in port.addresses]
        for address in (*node.addresses, *on_links):
            if isinstance(address, IPv4Interface):
                return address.ip
        return IPv4Address("10.255.0.0") + self.nodes.index(node) + 1

    def peers(self, name: str) -> tuple[Peer, ...]:
        """List the sessions of a node: those its peerings derive, then those written out."""
        derived = [
            peer
            for peering in self.peerings
            if name in peering.between
            for peer in self._ends_of(peering, name)
        ]
        return (*derived, *self.node(name).peers)

    def _ends_of(self, peering: Peering, name: str) -> Iterator[Peer]:
        other = next(end for end in peering.between if end != name)
        remote = self.node(other)
        assert remote.asn is not None, "checked when the topology was made"
        for family in peering.families:
            pair = self.common_addresses(name, other, family)
            if pair is None:
                continue
            yield Peer(
                address=pair[1],
                asn=remote.asn,
                local=pair[0],
                passive=peering.passive == name,
                client=peering.client == other,
                next_hop_self=name in peering.next_hop_self,
                hold_time=peering.hold_time,
                extra=dict(peering.extra).get(name, ""),
                node=other,
            )

    def common_addresses(
        self, left: str, right: str, family: Family
    ) -> tuple[Address, Address] | None:
        """Find the addresses two nodes have on one network of one link, or None."""
        for link in self.links:
            here, there = link.end_of(left), link.end_of(right)
            if here is None or there is None:
                continue
            for ours in here.addresses:
                for theirs in there.addresses:
                    if ours.version == family.version and ours.network == theirs.network:
                        return ours.ip, theirs.ip
        return None


def _check_names(topology: Topology) -> None:
    if not _NAME.fullmatch(topology.name):
        raise TopologyError(_bad_name(topology.name), ("name",))
    seen: set[str] = set()
    segments = [link.name for link in topology.links if link.is_segment]
    for name in (*(node.name for node in topology.nodes), *segments):
        place = ("segments" if name in segments else "nodes", name)
        if not _NAME.fullmatch(name):
            raise TopologyError(_bad_name(name), place)
        if name in seen:
            raise TopologyError(f"the name {name!r} is taken twice by nodes or segments", place)
        seen.add(name)
    if not topology.nodes:
        raise TopologyError("a lab needs at least one node", ("nodes",))


def _bad_name(name: str) -> str:
    return f"{name!r} is not a name: up to 24 letters, digits, '-' and '_'"


def _check_nodes(topology: Topology) -> None:
    for node in topology.nodes:
        place: Place = ("nodes", node.name)
        if node.asn is not None and not 1 <= node.asn <= _LAST_AS:
            raise TopologyError(f"AS {node.asn} is not within 1–{_LAST_AS}", (*place, "asn"))
        if node.asn is None and _needs_asn(node):
            raise TopologyError(f"a {node.kind} node needs an asn", place)
        if node.kind is not Kind.WREN and (node.datastore or node.nodename):
            raise TopologyError("datastore and nodename belong to kind wren only", (*place, "kind"))
        if node.kind is Kind.HOST and node.args:
            raise TopologyError("a host has no daemon that args could be for", (*place, "args"))
        if node.kind in (Kind.WREN, Kind.HOST) and node.extra:
            raise TopologyError("extra belongs to the foreign daemons only", (*place, "extra"))
        if node.datastore is not None and (node.networks or node.peers):
            raise TopologyError("networks and peers stand in the datastore, not here", place)
        if node.kind is Kind.HOST and (node.networks or node.peers):
            raise TopologyError("a host speaks no BGP: no networks, no peers", place)


def _needs_asn(node: Node) -> bool:
    return node.kind is not Kind.HOST and node.datastore is None


def _check_links(topology: Topology) -> None:
    known = {node.name for node in topology.nodes}
    taken: dict[Address, str] = {}
    for index, link in enumerate(topology.links):
        place: Place = ("segments", link.name) if link.is_segment else ("links", index)
        if not link.is_segment and len(link.ends) != 2:
            raise TopologyError("a link has two ends; write more ends as a segment", place)
        for end in link.ends:
            here = (*place, end.node)
            if end.node not in known:
                raise TopologyError(f"there is no node {end.node!r}", here)
            if sum(other.node == end.node for other in link.ends) > 1:
                raise TopologyError(f"{end.node} has two ends of one link", here)
            for address in end.addresses:
                owner = taken.setdefault(address.ip, end.node)
                if owner != end.node and not address.ip.is_link_local:
                    raise TopologyError(f"{address.ip} belongs to {owner} already", here)


def _check_peerings(topology: Topology) -> None:
    for index, peering in enumerate(topology.peerings):
        place: Place = ("bgp", index)
        if peering.between[0] == peering.between[1]:
            raise TopologyError("a node cannot peer with itself", place)
        for name in peering.between:
            _check_peering_end(topology, name, place)
        for name, _ in peering.extra:
            if name in peering.between and topology.node(name).datastore is not None:
                raise TopologyError(f"what {name} has besides stands in its datastore", place)
        given = (name for name, _ in peering.extra)
        for named in (peering.passive, peering.client, *peering.next_hop_self, *given):
            if named is not None and named not in peering.between:
                raise TopologyError(f"{named!r} is not an end of this peering", place)
        if not any(
            topology.common_addresses(*peering.between, family) for family in peering.families
        ):
            families = " or ".join(peering.families)
            raise TopologyError(
                f"{peering.between[0]} and {peering.between[1]} share no link with {families}"
                " addresses in one network",
                place,
            )


def _check_peering_end(topology: Topology, name: str, place: Place) -> None:
    known = {node.name: node for node in topology.nodes}
    if name not in known:
        raise TopologyError(f"there is no node {name!r}", place)
    if known[name].kind is Kind.HOST:
        raise TopologyError(f"{name} is a host and speaks no BGP", place)
    if known[name].asn is None:
        raise TopologyError(f"{name} needs an asn, so that its peer can be configured", place)


_CHECKS: tuple[Callable[[Topology], None], ...] = (
    _check_names,
    _check_nodes,
    _check_links,
    _check_peerings,
)
