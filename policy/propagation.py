"""Who may hear a path, before any policy of the operator is asked.

Four rules of the protocol: well-known communities keep a route from some or all peers, and so does
the attribute Only to Customer where the session has a role (RFC 9234 §5); a route learned from an
internal peer is not told to another internal peer (RFC 4271 §9.2), and route reflection lifts that
where one of the two is a client (RFC 4456 §6). NOPEER is honoured where the role says that the
other end is a peer in the sense of that community, one that pays nobody (RFC 3765 §2). A long-lived
stale route is told to nobody who would take it for a fresh one (RFC 9494 §4.3), unless the peer is
given it as a last choice (§4.6), which is for `policy.outbound` to do. That a peer does not hear
its own routes is not decided here: an export group excludes the source of each batch.
`why_not` gives the reason, for people; `may_advertise` is its boolean.

Standards: RFC 1997; RFC 3765 §2; RFC 4271 §9.2; RFC 4456 §6; RFC 9234 §5;
RFC 9494 §4.3, §4.6.
"""

from __future__ import annotations

from enum import StrEnum

from policy.attributes import WellKnown
from policy.path import Path, PeerType
from policy.ranking import is_stale
from policy.roles import Role, may_send


class Withheld(StrEnum):
    """Why a path is not advertised to a peer."""

    NO_ADVERTISE = "community NO_ADVERTISE"
    NO_EXPORT = "community NO_EXPORT, and the peer is external"
    NO_EXPORT_SUBCONFED = "community NO_EXPORT_SUBCONFED, and the peer is external"
    NOPEER = "community NOPEER, and the other end is a peer without payment"
    ONLY_TO_CUSTOMER = "for customers only, and the other end is none"
    LLGR_STALE = "community LLGR_STALE, and the peer does not know what that means"
    LEAVING = "this node is being taken out of service"
    NO_NEXT_HOP = "there is no address of ours that the peer could take for the next hop"
    SPLIT_HORIZON = "learned over iBGP, and neither side is a route reflector client"


_TO_EXTERNAL = (
    (WellKnown.NO_EXPORT, Withheld.NO_EXPORT),
    (WellKnown.NO_EXPORT_SUBCONFED, Withheld.NO_EXPORT_SUBCONFED),
)


# hot: per attribute set
def why_not(
    path: Path,
    peer_type: PeerType,
    is_client: bool = False,
    role: Role | None = None,
    takes_stale: bool = True,
) -> Withheld | None:
    """Say why a path may not be advertised, or None when it may.

    Args:
        path: what would be advertised.
        peer_type: of the session on which it would be.
        is_client: the peer is our route reflector client.
        role: ours on that session, where one is configured.
        takes_stale: the peer speaks RFC 9494, or is given stale routes as a last choice.
    """
    if not takes_stale and is_stale(path.attributes):
        return Withheld.LLGR_STALE
    # All four communities begin so; almost no path has them, and a search is cheaper than a walk.
    if b"\xff\xff\xff" in path.attributes.raw:
        reason = _kept_by_community(path.attributes.communities, peer_type, role)
        if reason is not None:
            return reason
    if role is not None and not may_send(path.attributes, role):
        return Withheld.ONLY_TO_CUSTOMER
    source = path.source
    # Asked in this order since a member of an enumeration takes long to look up.
    if (
        source.is_internal
        and not source.is_client
        and not is_client
        and peer_type is PeerType.INTERNAL
    ):
        return Withheld.SPLIT_HORIZON
    return None


def _kept_by_community(
    communities: frozenset[int], peer_type: PeerType, role: Role | None
) -> Withheld | None:
    if WellKnown.NO_ADVERTISE in communities:
        return Withheld.NO_ADVERTISE
    if role is Role.PEER and WellKnown.NOPEER in communities:
        return Withheld.NOPEER
    if peer_type is PeerType.EXTERNAL:
        for community, reason in _TO_EXTERNAL:
            if community in communities:
                return reason
    return None


def may_advertise(path: Path, peer_type: PeerType, is_client: bool = False) -> bool:
    """Tell whether the protocol lets a peer hear a path; see `why_not`."""
    return why_not(path, peer_type, is_client) is None
