"""Whether the other end of a peering will agree with ours.

Both ends compute their halves from the same resources and do not talk about it. Nearly always the
halves fit. Where they do not, in Calico neither, and the session never comes up or comes up
otherwise than meant, nobody would find out why; so the node that sees it says it in a condition:
a peerIP that is a node's with another AS or port than the node has, a local AS that the other end
cannot know, two BGPPeers that join the same nodes with different passwords.

Nothing is decided here; which half a node has is `speaker.config.peerings`' business.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from speaker.config.annotations import peer_options
from speaker.config.cluster import BGP_PORT, Cluster, Member
from speaker.config.conditions import Conditions
from speaker.config.resources import BGPPeer, ReversePeering, SecretKeyRef


@dataclass(frozen=True, slots=True)
class Half:
    """What the other end has to agree with.

    Attributes:
        address: of the other end.
        by_address: whether the BGPPeer names the address itself, at this end.
        passive: by Calico's rule, before the key ``wren.bgp/passive``.
        reverse: whether it is the half that this node got by itself.
    """

    peer: BGPPeer
    blame: str
    address: str
    asn: int
    by_address: bool
    passive: bool
    reverse: bool


class Agreement:
    """Looks at the halves of one node.

    Args:
        cluster: all nodes and settings.
        peers: all BGPPeers.
        me: the node.
        conditions: takes what will not fit.
    """

    def __init__(
        self, cluster: Cluster, peers: Sequence[BGPPeer], me: Member, conditions: Conditions
    ) -> None:
        self._cluster = cluster
        self._peers = peers
        self._me = me
        self._conditions = conditions

    def with_owners(self, half: Half, own: str) -> None:
        """Check a peering with an address that is a node's.

        Args:
            half: ours, by address.
            own: our address of its family.
        """
        owners = self._cluster.owners(half.address)
        if not owners or half.address == own:
            return
        local = half.peer.spec.local_as_number or self._cluster.asn_of(self._me)
        meant = [owner for owner in owners if self._cluster.asn_of(owner) == half.asn]
        owner = (meant or owners)[0]
        if not self._listens(half, owner):
            self._conditions.warn(
                half.blame,
                "PeerPortDiffers",
                f"{half.address} is node {owner.name}, which listens on port "
                f"{owner.listen_port or BGP_PORT}; the node gets no half of this peering",
            )
        elif any(self._answers(owner, own, local, half.asn) for owner in owners):
            return
        elif not meant:
            self._conditions.warn(
                half.blame,
                "PeerASDiffers",
                f"{half.address} is node {owner.name}, whose AS is "
                f"{self._cluster.asn_of(owner)} and not {half.asn}; the node gets no half of this "
                "peering",
            )
        elif local != self._cluster.asn_of(self._me) and not _is_manual(half.peer):
            self._conditions.warn(
                half.blame,
                "LocalASUnknown",
                f"node {owner.name} gets its half of this peering by itself and expects AS "
                f"{self._cluster.asn_of(self._me)}, not the localASNumber {local}; give it a "
                "BGPPeer of its own",
            )

    def _listens(self, half: Half, owner: Member) -> bool:
        endpoint = half.peer.spec.peer_ip
        return endpoint is None or endpoint.port in (None, owner.listen_port or BGP_PORT)

    def _answers(self, owner: Member, own: str, local: int, remote: int) -> bool:
        """Tell whether a node has a BGPPeer towards us that fits by itself."""
        return any(
            peer.spec.peer_ip is not None
            and peer.spec.peer_ip.address == own
            and peer.spec.as_number == local
            and (peer.spec.local_as_number or self._cluster.asn_of(owner)) == remote
            and self._cluster.concerns(peer, owner)
            for peer in self._peers
        )

    def between(self, used: Half, left: Half, own: str) -> None:
        """Check two halves of one peering; the other end may use the one that is left here.

        Args:
            used: the one that counts here.
            left: the one that does not, of another BGPPeer.
            own: our address of their family.
        """
        differs = []
        if _password(used.peer) != _password(left.peer):
            differs.append("have different passwords")
        if _signed_by_keys(used.peer) != _signed_by_keys(left.peer):
            differs.append("are not both signed by TCP-AO")
        if self._as_numbers_differ(used, left):
            differs.append("have different AS numbers")
        if _waits(used) and left.reverse and _waits_there(left, own):
            differs.append("let both ends wait for each other")
        if differs:
            self._conditions.warn(
                used.blame,
                "PeersDisagree",
                f"it and {left.blame} both lead to {used.address} and {' and '.join(differs)}; "
                "this node uses the former, the other end perhaps the latter",
            )

    def _as_numbers_differ(self, used: Half, left: Half) -> bool:
        """Compare what both say; that a half by itself knows no localASNumber is said elsewhere."""
        if any(half.reverse and half.peer.spec.local_as_number for half in (used, left)):
            return False
        return (self._local(used), used.asn) != (self._local(left), left.asn)

    def _local(self, half: Half) -> int:
        own = half.peer.spec.local_as_number if half.by_address else None
        return own or self._cluster.asn_of(self._me)

    def of_mesh(self, others: Iterable[Member]) -> None:
        """Check the nodes that Calico takes for our AS because they have none of their own."""
        mine = self._cluster.asn_of(self._me)
        names = [other.name for other in others if other.asn is None]
        if mine == self._cluster.default_asn or not names:
            return
        shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        self._conditions.warn(
            f"Node/{self._me.name}",
            "MeshASDiffers",
            f"in the mesh nodes without asNumber are taken for AS {mine}, as this node is, while "
            f"they are AS {self._cluster.default_asn}: {shown}",
        )


def _is_manual(peer: BGPPeer) -> bool:
    return peer.spec.reverse_peering is ReversePeering.MANUAL


def _password(peer: BGPPeer) -> SecretKeyRef | None:
    return peer.spec.password.secret_key_ref if peer.spec.password else None


def _signed_by_keys(peer: BGPPeer) -> bool:
    return peer_options(peer.metadata.annotations, peer.spec.extensions).tcp_ao is not None


def _key(peer: BGPPeer) -> bool | None:
    return peer_options(peer.metadata.annotations, peer.spec.extensions).passive


def _waits(half: Half) -> bool:
    key = _key(half.peer) if half.by_address else None
    return half.passive if key is None else key


def _waits_there(half: Half, own: str) -> bool:
    """Tell whether the end that has the BGPPeer of our reverse half only waits."""
    spec = half.peer.spec
    if spec.peer_ip is None:
        return False
    key = _key(half.peer)
    is_global = spec.node is None and spec.node_selector is None
    return (is_global and own > half.address) if key is None else key
