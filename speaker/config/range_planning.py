"""From BGPPeers with a ``wren.bgp/listenRange`` to the ranges of one node.

Whoever is accepted is peered with as the BGPPeer says, by the same planning as everybody else: for
each family of addresses, and for peers in our AS and in others, a plan is made of a peer that
stands for all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from fsm.family import Afi
from speaker.config.annotations import PeerOptions, peer_options
from speaker.config.as_ranges import AsRanges, representatives, settled
from speaker.config.cluster import Cluster, Member
from speaker.config.conditions import Conditions
from speaker.config.listen_ranges import Network
from speaker.config.peerings import Peering
from speaker.config.peerplan import PeerKind, PeerPlan
from speaker.config.ranges import IN_NAMES, MAX_PEERS, PeerRange
from speaker.config.resources import BGPPeer
from speaker.config.zones import is_link_local

Planner = Callable[[Peering], PeerPlan | None]
"""Makes the plan of a peering; None where there can be none, which it says itself."""


def ranges_of(
    cluster: Cluster,
    peers: Iterable[BGPPeer],
    me: Member,
    conditions: Conditions,
    plan: Planner,
) -> dict[str, PeerRange]:
    """Give the ranges of a node, by name.

    Args:
        cluster: all nodes and settings.
        peers: all BGPPeers, sorted by name.
        me: the node.
        conditions: takes what is wrong.
        plan: makes plans.
    """
    holders: dict[Network, str] = {}
    found: dict[str, PeerRange] = {}
    for peer in peers:
        options = peer_options(peer.metadata.annotations, peer.spec.extensions)
        if not options.listen_range or not cluster.concerns(peer, me):
            continue
        local_asn = peer.spec.local_as_number or cluster.asn_of(me)
        asns = _as_numbers(peer, options, local_asn)
        networks: list[Network] = []
        templates: list[PeerPlan] = []
        for possible in _by_family(peer, options.listen_range, me, conditions):
            free = list(_free(peer, possible, holders, conditions))
            made = list(_templates(peer, free, asns, local_asn, plan)) if free else []
            if made:
                networks += free
                templates += made
        if templates:
            name = f"Dynamic_{peer.name.translate(IN_NAMES)}"
            while name in found:
                # That of another BGPPeer differs only in what no name of a session has.
                name += "_"
            found[name] = PeerRange(
                name,
                peer.name,
                tuple(networks),
                asns,
                options.max_dynamic_peers or MAX_PEERS,
                tuple(templates),
                options.interface or "",
            )
    return found


def _as_numbers(peer: BGPPeer, options: PeerOptions, local_asn: int) -> AsRanges:
    asn = peer.spec.as_number or 0
    return ((asn, asn),) if options.as_range is None else settled(options.as_range, local_asn)


def _by_family(
    peer: BGPPeer, networks: Iterable[Network], me: Member, conditions: Conditions
) -> Iterator[list[Network]]:
    """Give the ranges of each family in which this node can have sessions."""
    networks = list(networks)
    for afi, version in ((Afi.IPV4, 4), (Afi.IPV6, 6)):
        found = [network for network in networks if network.version == version]
        possible = [
            each
            for each in found
            if me.address(afi) is not None or is_link_local(str(each.network_address))
        ]
        if len(possible) < len(found):
            conditions.warn(
                f"BGPPeer/{peer.name}",
                "NoAddress",
                f"node {me.name} has no address of the family of"
                f" {', '.join(str(each) for each in found if each not in possible)}; nobody is"
                " accepted from there",
            )
        yield possible


def _free(
    peer: BGPPeer,
    networks: Iterable[Network],
    holders: dict[Network, str],
    conditions: Conditions,
) -> Iterator[Network]:
    """Leave out ranges that are another BGPPeer's to the bit."""
    for network in networks:
        holder = holders.setdefault(network, peer.name)
        if holder == peer.name:
            yield network
        else:
            conditions.error(
                f"BGPPeer/{peer.name}",
                "DuplicatePeer",
                f"{network} is already the range of BGPPeer/{holder}, which is first by name and "
                "is used",
            )


def _templates(
    peer: BGPPeer, networks: list[Network], asns: AsRanges, local_asn: int, plan: Planner
) -> Iterator[PeerPlan]:
    """Make the plans of a peer in another AS and of one in ours, as far as there may be such."""
    is_global = peer.spec.node is None and peer.spec.node_selector is None
    for asn in representatives(asns, local_asn):
        made = plan(
            Peering(
                PeerKind.GLOBAL if is_global else PeerKind.NODE,
                str(networks[0].network_address),
                asn,
                peer=peer,
                by_address=True,
                passive=True,
                dynamic=True,
            )
        )
        if made is not None:
            yield replace(made, range=str(networks[0]))
