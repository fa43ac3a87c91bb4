"""Well-known communities that a peer's routes ask us to act on, before any filter of the operator.

`CommunityRules` says which of them are honoured on a session, and `honour` is asked once per
attribute set. What a community forbids to send stands in `policy.propagation`; here is what it asks
for when a route comes in:

* GRACEFUL_SHUTDOWN, from external peers: the route becomes the last choice (LOCAL_PREF 0), here and
  in the whole AS, so that traffic moves away before the link does.
* BLACKHOLE, where the operator agreed to it: packets are dropped, and the wish does not leave the
  AS.
* NO_LLGR, when the peer is gone: the route must not become a last resort (`last_resort`).

Standards: RFC 8326 §4; RFC 7999 §3; RFC 9494 §4.2-4.3.
"""

from __future__ import annotations

from dataclasses import dataclass

from policy.attributes import Attribute, AttributeEditor, PathAttributes, WellKnown
from policy.path import PeerType


@dataclass(frozen=True, slots=True)
class CommunityRules:
    """What is honoured.

    Attributes:
        graceful_shutdown: of external peers.
        blackhole: of any peer; to be agreed on with each (RFC 7999 §3.3).
    """

    graceful_shutdown: bool = False
    blackhole: bool = False


NOTHING_HONOURED = CommunityRules()


# hot: per attribute set
def honour(
    attributes: PathAttributes, peer_type: PeerType | None, rules: CommunityRules
) -> tuple[PathAttributes, bool]:
    """Give the attributes as they are used, and whether packets are to be dropped."""
    # Both communities begin so; almost no path has them, and a search is cheaper than a walk.
    if rules is NOTHING_HONOURED or b"\xff\xff" not in attributes.raw:
        return attributes, False
    communities = attributes.communities
    if (
        rules.graceful_shutdown
        and peer_type is PeerType.EXTERNAL
        and WellKnown.GRACEFUL_SHUTDOWN in communities
    ):
        attributes = _last_choice(attributes)
    if not rules.blackhole or WellKnown.BLACKHOLE not in communities:
        return attributes, False
    if WellKnown.NO_ADVERTISE not in communities:
        attributes = _kept_inside(attributes)
    return attributes, True


def last_resort(attributes: PathAttributes) -> PathAttributes | None:
    """Give a route as it is used when it outlives the peer that told it; None: not at all.

    Returns:
        the same with LLGR_STALE, or ``attributes`` itself where the community is there already.
    """
    communities = attributes.communities
    if WellKnown.NO_LLGR in communities:
        return None
    if WellKnown.LLGR_STALE in communities:
        return attributes
    editor = AttributeEditor(attributes.raw)
    editor.add_communities((int(WellKnown.LLGR_STALE),))
    return PathAttributes(editor.encode(), attributes.next_hop, attributes.link_local)


def _last_choice(attributes: PathAttributes) -> PathAttributes:
    editor = AttributeEditor(attributes.raw)
    editor.set(Attribute.LOCAL_PREF, bytes(4))
    return PathAttributes(editor.encode(), attributes.next_hop, attributes.link_local)


def _kept_inside(attributes: PathAttributes) -> PathAttributes:
    editor = AttributeEditor(attributes.raw)
    editor.add_communities((int(WellKnown.NO_EXPORT),))
    return PathAttributes(editor.encode(), attributes.next_hop, attributes.link_local)
