"""Who may hear a path, before any policy of the operator is asked.

Four rules of the protocol: well-known communities keep a route from some or all peers, and so does
the attribute Only to Customer where the session has a role (RFC 9234 §5); a route learned from an
internal peer is not told to another internal peer (RFC 4271 §9.2), and route reflection lifts that
where one of the two is a client (RFC 4456 §6). NOPEER is honoured where the role says that the
other end is a peer in the sense of that community, one that pays nobody (RFC 3765 §2). That a peer
does not hear its own routes is not decided here: an export group excludes the source of each batch.
`why_not` gives the reason, for people; `may_advertise` is its boolean.

Standards: RFC 1997; RFC 3765 §2; RFC 4271 §9.2; RFC 4456 §6; RFC 9234 §5.
"""

from __future__ import annotations

from enum import StrEnum

from policy.attributes import WellKnown
from policy.path import Path, PeerType
from policy.roles import Role, may_send


class Withheld(StrEnum):
    """Why a path is not advertised to a peer."""

    NO_ADVERTISE = "community NO_ADVERTISE"
    NO_EXPORT = "community NO_EXPORT, and the peer is external"
    NO_EXPORT_SUBCONFED = "community NO_EXPORT_SUBCONFED, and the peer is external"
    NOPEER = "community NOPEER, and the other end is a peer without payment"
    ONLY_TO_CUSTOMER = "for customers only, and the other end is none"
    SPLIT_HORIZON = "learned over iBGP, and neither side is a route reflector client"


_TO_EXTERNAL = (
    (WellKnown.NO_EXPORT, Withheld.NO_EXPORT),
    (WellKnown.NO_EXPORT_SUBCONFED, Withheld.NO_EXPORT_SUBCONFED),
)


# hot: per attribute set
def why_not(
    path: Path, peer_type: PeerType, is_client: bool = False, role: Role | None = None
) -> Withheld | None:
    """Say why a path may not be advertised, or None when it may.

    Args:
        path: what would be advertised.
        peer_type: of the session on which it would be.
        is_client: the peer is our route reflector client.
        role: ours on that session, where one is configured.
    """
    # All four communities begin so; almost no path has them, and a search is cheaper than a walk.
    if b"\xff\xff\xff" in path.attributes.raw:
        reason = _kept_by_community(path.attributes.communities, peer_type, role)
        if reason is not None:
            return reason
    if role is not None and not may_send(path.attributes, role):
        return Withheld.ONLY_TO_CUSTOMER
    source = path.source
    if (
        peer_type is PeerType.INTERNAL
        and source.peer_type is PeerType.INTERNAL
        and not is_client
        and not source.is_client
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
