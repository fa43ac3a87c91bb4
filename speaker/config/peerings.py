"""Who peers with whom: the half of every peering that stands on one node.

Three passes over the BGPPeers as Calico makes them: global ones, those of named or selected
nodes, and the reverse halves that the other ends of a BGPPeer get by themselves; then the mesh.
Peerings with local workloads are among the first two: Felix has decided which workload a BGPPeer
means. What is taken stays taken: explicit beats reverse, global beats node-specific, explicit
beats mesh. Where Calico's winner is random, here the first by name wins and the loser becomes a
condition. The result is a list of `Peering`, which still points to its BGPPeer;
`speaker.config.peers` makes plans of it.

Both ends of a session compute their halves from the same resources and do not talk about it. So
whatever decides here must come out alike, or mirrored, on the other end: above all which end is
passive.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from fsm.family import Afi
from speaker.config.agreement import Agreement, Half
from speaker.config.cluster import BGP_PORT, Cluster, Member
from speaker.config.conditions import Conditions
from speaker.config.peerplan import PeerKind
from speaker.config.resources import BGPPeer, ReversePeering
from speaker.config.workloads import Workload
from speaker.config.zones import accepts_range, is_link_local, peer_address

_IN_NAMES = str.maketrans(".:%-", "____")


@dataclass(frozen=True, slots=True)
class Peering:
    """One end of a peering.

    Attributes:
        address: of the other end, a link-local one with its zone.
        peer: the BGPPeer; None for the mesh.
        port: None where nobody said one.
        remote: the node at the other end, where a selector or the reverse pass tells.
        by_address: the BGPPeer names the address itself.
        passive: never connects.
        standing: no session is opened for it, but one that stands goes on.
        reverse: this node got it by itself, by a BGPPeer of the other end.
        dynamic: the address stands for all of a range.
    """

    kind: PeerKind
    address: str
    asn: int
    port: int | None = None
    peer: BGPPeer | None = None
    remote: Member | None = None
    by_address: bool = False
    passive: bool = False
    standing: bool = False
    reverse: bool = False
    dynamic: bool = False

    @property
    def half(self) -> Half:
        """Give what the other end has to agree with, of one that a BGPPeer asks for."""
        assert self.peer is not None
        return Half(
            self.peer,
            self.blame,
            self.address,
            self.asn,
            by_address=self.by_address,
            passive=self.passive,
            reverse=self.reverse,
        )

    @property
    def afi(self) -> Afi:
        """Tell its family."""
        return Afi.IPV6 if ":" in self.address else Afi.IPV4

    @property
    def key(self) -> tuple[str, int | None]:
        """Give what Calico takes for the identity of a peering."""
        return self.address, self.port

    @property
    def name(self) -> str:
        """Give the session's name; a mesh name never carries the port."""
        if self.dynamic and self.peer is not None:
            return f"Dynamic_{self.peer.name.translate(_IN_NAMES)}"
        word = {
            PeerKind.MESH: "Mesh",
            PeerKind.GLOBAL: "Global",
            PeerKind.NODE: "Node",
            PeerKind.LOCAL_WORKLOAD: "Local_Workload",
        }[self.kind]
        name = f"{word}_{self.address.translate(_IN_NAMES)}"
        if self.port is not None and self.kind is not PeerKind.MESH:
            name += f"_port_{self.port}"
        return name

    @property
    def blame(self) -> str:
        """Name the resource for people."""
        return f"BGPPeer/{self.peer.name}" if self.peer else "BGPConfiguration/default"


def peerings_of(
    cluster: Cluster,
    peers: list[BGPPeer],
    me: Member,
    conditions: Conditions,
    workloads: Sequence[Workload] = (),
) -> list[Peering]:
    """Compute all halves that stand on a node, sorted by name.

    Args:
        cluster: all nodes and settings.
        peers: all BGPPeers, sorted by name.
        me: the node.
        conditions: takes what is wrong.
        workloads: of the node, as Felix tells.
    """
    return _Computation(cluster, peers, me, conditions, workloads).run()


class _Computation:
    """The passes for one node."""

    def __init__(
        self,
        cluster: Cluster,
        peers: list[BGPPeer],
        me: Member,
        conditions: Conditions,
        workloads: Sequence[Workload],
    ) -> None:
        self._cluster = cluster
        self._peers = peers
        self._me = me
        self._conditions = conditions
        self._workloads = sorted(workloads)
        self._global: dict[tuple[str, int | None], Peering] = {}
        self._own: dict[tuple[str, int | None], Peering] = {}
        self._agreement = Agreement(cluster, peers, me, conditions)

    def run(self) -> list[Peering]:
        self._find_shared_addresses()
        for peer in self._peers:
            self._find_nobody(peer)
        for peer in self._peers:
            if _is_global(peer):
                self._take(self._global, self._forward(peer))
        for peer in self._peers:
            if not _is_global(peer) and self._cluster.concerns(peer, self._me):
                self._take(self._own, self._forward(peer))
        # The other end prefers its global BGPPeers, so their halves come first here too.
        for peer in sorted(self._peers, key=_is_global, reverse=True):
            for peering in self._reverse(peer):
                self._own.setdefault(peering.key, peering)
                self._compare(peering)
        explicit = self._one_for_each_address(self._explicit())
        return sorted([*explicit.values(), *self._mesh(explicit)], key=lambda item: item.name)

    def _find_nobody(self, peer: BGPPeer) -> None:
        """Find a BGPPeer that is for no node, or that would peer with none."""
        spec, blame = peer.spec, f"BGPPeer/{peer.name}"
        if spec.node is not None and self._cluster.member(spec.node) is None:
            self._conditions.warn(blame, "NoSuchNode", f"there is no Node {spec.node}")
        for field, selector in (
            ("nodeSelector", spec.node_selector),
            ("peerSelector", spec.peer_selector),
        ):
            if selector is not None and not self._cluster.census.chosen(selector):
                message = f"{field} {selector} matches no node"
                self._conditions.warn(blame, "NothingSelected", message)

    def _find_shared_addresses(self) -> None:
        """Find addresses that several nodes say are theirs: no session can tell them apart."""
        for address, (first, *others) in self._cluster.holders.items():
            for member in others:
                self._conditions.error(
                    f"Node/{member.name}",
                    "SameAddress",
                    f"{address} is also the address of node {first.name}; in the mesh only the "
                    "first by name is a peer",
                )

    def _take(self, taken: dict[tuple[str, int | None], Peering], found: Iterator[Peering]) -> None:
        for peering in found:
            holder = taken.setdefault(peering.key, peering)
            if holder is not peering and holder.peer is not peering.peer:
                self._conditions.warn(
                    peering.blame,
                    "DuplicatePeer",
                    f"{peering.address} is already the peer of {holder.blame}, which is first by "
                    "name and is used",
                )

    def _compare(self, peering: Peering) -> None:
        """See whether a peering that is not used says anything else than the one that is."""
        used = self._global.get(peering.key) or self._own[peering.key]
        own = self._me.address(peering.afi)
        if used.peer is not peering.peer and own is not None:
            self._agreement.between(used.half, peering.half, own)

    def _forward(self, peer: BGPPeer) -> Iterator[Peering]:
        """Give the peerings with the remote ends that a BGPPeer names."""
        spec = peer.spec
        kind = PeerKind.GLOBAL if _is_global(peer) else PeerKind.NODE
        if spec.local_workload_selector is not None:
            yield from self._with_workloads(peer)
        elif spec.peer_selector is not None:
            for remote in self._cluster.selected(spec.peer_selector):
                yield from self._with_node(kind, peer, remote)
        elif spec.peer_ip is not None:
            yield from self._with_address(kind, peer)
        elif not accepts_range(peer):
            self._conditions.error(
                f"BGPPeer/{peer.name}", "NoTarget", "it names nobody to peer with and is skipped"
            )

    def _with_workloads(self, peer: BGPPeer) -> Iterator[Peering]:
        """Give the peerings with this node's workloads that Felix says a BGPPeer has chosen."""
        if not peer.spec.as_number:
            self._conditions.error(
                f"BGPPeer/{peer.name}", "NoAS", "it has no asNumber for its workloads; skipped"
            )
            return
        for workload in self._workloads:
            for address in workload.addresses if workload.peer == peer.name else ():
                yield Peering(
                    PeerKind.LOCAL_WORKLOAD,
                    address,
                    peer.spec.as_number,
                    peer=peer,
                    passive=True,
                )

    def _with_node(self, kind: PeerKind, peer: BGPPeer, remote: Member) -> Iterator[Peering]:
        for _, address in remote.addresses():
            yield Peering(
                kind,
                address,
                self._cluster.asn_of(remote),
                remote.listen_port,
                peer,
                remote,
            )

    def _with_address(self, kind: PeerKind, peer: BGPPeer) -> Iterator[Peering]:
        endpoint = peer.spec.peer_ip
        assert endpoint is not None
        if not peer.spec.as_number:
            self._conditions.error(
                f"BGPPeer/{peer.name}", "NoAS", "it has a peerIP and no asNumber and is skipped"
            )
            return
        owners = self._cluster.owners(endpoint.address)
        own = self._me.address(Afi.IPV6 if ":" in endpoint.address else Afi.IPV4)
        port = endpoint.port if endpoint.port is not None else self._port_towards(peer)
        yield Peering(
            kind,
            peer_address(peer),
            peer.spec.as_number,
            port,
            peer,
            by_address=True,
            # Both ends compare the same two texts, so exactly one of them waits.
            passive=kind is PeerKind.GLOBAL
            and bool(owners)
            and own is not None
            and endpoint.address > own,
        )

    def _port_towards(self, peer: BGPPeer) -> int | None:
        """Give the listening port of the node that a peerIP without port belongs to."""
        for owner in self._owners(peer):
            return owner.listen_port
        return None

    def _owners(self, peer: BGPPeer) -> list[Member]:
        """Give the nodes that a peerIP and its AS mean.

        Calico takes AS 0 for the cluster's default here, while it cannot run the forward half of
        such a peering. Ours has neither half.
        """
        endpoint = peer.spec.peer_ip
        if endpoint is None:
            return []
        return [
            member
            for member in self._cluster.owners(endpoint.address)
            if self._cluster.asn_of(member) == peer.spec.as_number
        ]

    def _reverse(self, peer: BGPPeer) -> Iterator[Peering]:
        """Give the halves that this node gets because a BGPPeer of others means it."""
        spec = peer.spec
        if (
            spec.reverse_peering is ReversePeering.MANUAL
            or spec.local_workload_selector is not None
        ):
            return
        afis = self._meant_families(peer)
        if not afis:
            return
        for other in self._cluster.concerned(peer):
            if other.name == self._me.name:
                continue
            for peering in self._with_node(PeerKind.NODE, peer, other):
                if peering.afi in afis:
                    yield replace(peering, reverse=True)

    def _meant_families(self, peer: BGPPeer) -> tuple[Afi, ...]:
        """Tell in which families this node is a remote end of a BGPPeer."""
        spec = peer.spec
        if spec.peer_selector is not None:
            chosen = self._cluster.chooses(spec.peer_selector, self._me)
            return (Afi.IPV4, Afi.IPV6) if chosen else ()
        if spec.peer_ip is None or self._me not in self._owners(peer):
            return ()
        # Calico also drops a node whose own port equals the peerIP's when the default's differs;
        # the intended rule is to compare with the port the node listens on.
        listening = self._me.listen_port or BGP_PORT
        if spec.peer_ip.port is not None and spec.peer_ip.port != listening:
            return ()
        return (Afi.IPV6 if ":" in spec.peer_ip.address else Afi.IPV4,)

    def _explicit(self) -> Iterator[Peering]:
        """Give what the passes found and this node can have: own families, no other self."""
        for peering in self._global.values():
            if self._is_possible(peering):
                yield peering
        for key, peering in self._own.items():
            if key in self._global:
                self._compare(peering)
            elif self._is_possible(peering):
                yield peering

    def _is_possible(self, peering: Peering) -> bool:
        own = self._me.address(peering.afi)
        if is_link_local(peering.address):
            return True
        if own is None:
            if peering.by_address:
                self._conditions.warn(
                    peering.blame,
                    "NoAddress",
                    f"node {self._me.name} has no address of the family of {peering.address}; "
                    "no session",
                )
            return False
        if peering.address == own:
            if peering.by_address:
                self._conditions.warn(
                    peering.blame,
                    "OwnAddress",
                    f"{own} is the address of node {self._me.name} itself; no session",
                )
            return False
        if peering.by_address:
            self._agreement.with_owners(peering.half, own)
        return True

    def _one_for_each_address(self, peerings: Iterator[Peering]) -> dict[str, Peering]:
        """Keep one peering for each address; a connection that comes in tells no more than that."""
        kept: dict[str, Peering] = {}
        for peering in peerings:
            holder = kept.setdefault(peering.address, peering)
            if holder is not peering:
                self._conditions.error(
                    peering.blame,
                    "SameAddress",
                    f"{peering.name} and {holder.name} are peers with one address; "
                    f"{holder.name} is used",
                )
        return kept

    def _mesh(self, explicit: dict[str, Peering]) -> list[Peering]:
        """Give the mesh: every other node that is no reflector, unless this one is.

        A node that becomes a reflector would be cut off until BGPPeers take the place of its mesh
        sessions. So those that stand may go on until then, or until the mesh is off.
        """
        if not self._cluster.mesh:
            return []
        if self._me.cluster_id is None:
            self._agreement.of_mesh(
                other
                for other in self._cluster.members
                if other.name != self._me.name and other.cluster_id is None
            )
        found: dict[str, Peering] = {}
        for other in self._cluster.members:
            if other.name == self._me.name:
                continue
            for afi, address in other.addresses():
                own = self._me.address(afi)
                if own is not None and address != own:
                    self._add_to_mesh(found, explicit, other, address, own)
        return list(found.values())

    def _add_to_mesh(
        self,
        found: dict[str, Peering],
        explicit: dict[str, Peering],
        other: Member,
        address: str,
        own: str,
    ) -> None:
        standing = self._me.cluster_id is not None or other.cluster_id is not None
        if standing and (address in explicit or address in found):
            return
        if address in explicit:
            self._conditions.warn(
                explicit[address].blame,
                "MeshOverridden",
                f"{explicit[address].name} takes the place of the mesh session with {other.name}",
            )
        elif address not in found or found[address].standing:
            # Calico gives a node without own AS the AS of whoever looks, not the cluster's.
            asn = other.asn or self._cluster.asn_of(self._me)
            found[address] = Peering(
                PeerKind.MESH,
                address,
                asn,
                other.listen_port,
                remote=other,
                passive=address > own,
                standing=standing,
            )


def _is_global(peer: BGPPeer) -> bool:
    return peer.spec.node is None and peer.spec.node_selector is None
