"""Routes as they leave: who gets which prefixes, and with which attributes.

A `GroupKey` says everything about a peer that decides what it hears. Peers with equal keys form an
export group and hear the same octets. Two functions do the work, both asked once per path and batch
of prefixes: `export_partition` runs propagation rules, export filter and built-in policy, in this
order, and groups the prefixes by verdict; `rewrite_fully` makes the attribute octets and the next
hop for a path, a key and the operations of a verdict (`policy.rewriter` does the same, and faster).

The octets are without MP_REACH_NLRI: with an IPv4 next hop they have NEXT_HOP, an IPv6 one the
encoder puts beside the prefixes. Which of the two an IPv4 route has, `next_hop_for` decides; an
IPv6 one only where RFC 8950 was negotiated. A peer must not be given a route whose next hop is
the peer's own address; as that differs from member to member, the group looks at it, not we.

Standards: RFC 4271 §5.1, §9.1.3; RFC 4360 §6; RFC 4456 §8; RFC 5065 §4.1; RFC 6793 §4.2.2; RFC
2545 §3; RFC 7311 §3.3, §3.4.3; RFC 8326 §4; RFC 8950 §4; RFC 9234 §5; RFC 9494 §4.3, §4.6.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from struct import Struct
from typing import NamedTuple

from fsm.family import Afi, Family, Safi
from policy.aigp import accumulate, aigp_value
from policy.attributes import (
    RELAYED_ATTRIBUTES,
    Attribute,
    AttributeEditor,
    SegmentType,
    WellKnown,
    segments,
)
from policy.calico import BuiltinPolicy, export_local_pref, export_verdicts
from policy.filters import Filter
from policy.operations import (
    NO_ENDS,
    Ends,
    NextHopWord,
    Operation,
    SetLocalPref,
    SetMed,
    SetPriority,
    edit,
    next_hop_set,
)
from policy.path import Path, PeerType
from policy.prefix import Nlri
from policy.propagation import Withheld, why_not
from policy.ranking import DEFAULT_LOCAL_PREF, is_stale
from policy.roles import Role, mark
from policy.rules import ACCEPTED, NO_MATCH, Direction, Partition, Scope, Verdict
from policy.vrps import Origins, Vrps

AS_TRANS = 23456
"""Stands for an AS number that two octets cannot say (RFC 6793 §9)."""

ALL_PATHS = 0xFFFFFFFF
"""For `GroupKey.add_path`: as many as identifiers can tell apart."""

_U32 = Struct("!I")
_WITHHELD = {reason: Verdict(accepted=False, reason=reason) for reason in Withheld}


class NextHopMode(StrEnum):
    """What becomes of the next hop on the way out (BGPPeer ``nextHopMode``)."""

    AUTO = "Auto"
    SELF = "Self"
    KEEP = "Keep"


class Leaving(StrEnum):
    """Whether this node is being taken out of service (RFC 8326 §4)."""

    NO = "no"
    AS_LAST_CHOICE = "as a last choice"
    """Routes are told, for nobody to take who has others."""
    SILENTLY = "silently"
    """No route is told any more."""


# A member of an enumeration costs more to look up than all else that is done with it.
_SILENTLY = Leaving.SILENTLY


class Quota(NamedTuple):
    """How many prefixes a peer is told; such a peer shares nothing with others.

    Attributes:
        owner: the peer's address.
        maximum: what exceeds it is not told; None where the prefixes are only counted.
    """

    owner: bytes
    maximum: int | None = None


@dataclass(frozen=True, slots=True)
class GroupKey:
    """What decides what a peer hears; peers with equal keys share everything.

    Attributes:
        family: the kind of route.
        peer_type: by the session's effective local AS.
        local_asn: that AS.
        local_address: what we say where we are the next hop, 4 or 16 octets: our own end of the
            session if the peer takes it in this family, else the node's address. Empty where there
            is none; then only next hops of others can be told.
        router_id: our BGP Identifier.
        local_link_address: our link-local address beside an IPv6 one (RFC 2545 §3), or empty.
        is_client: the peer is our route reflector client.
        cluster_id: of our cluster; 0 stands for the router id (RFC 4456 §7).
        extended_next_hop: IPv4 routes may have IPv6 next hops (RFC 8950 §4).
        four_octet_as: both sides speak RFC 6793.
        add_path: so many of the best paths are sent at the most, each behind an identifier (RFC
            7911); 0: the best alone and without.
        max_message: octets of a message at most.
        builtin: Calico's policy and priorities; None for plain BGP.
        export_filter: rules of the operator; equal by content.
        keeps_cleared_med: towards external peers, a MED that was there is sent as zero.
        role: ours on the session, where one is configured (RFC 9234).
        takes_stale: long-lived stale routes may be told (RFC 9494 §4.3).
        demotes_stale: they are told with NO_EXPORT and LOCAL_PREF 0, since the peer, an internal
            one, does not know that they are a last resort (RFC 9494 §4.6).
        aigp: AIGP is sent; None: to internal peers (RFC 7311 §3.3).
        originates_aigp: routes made here get one where we are the next hop (RFC 7311 §3.4.1).
        quota: of the prefixes that the peer is told, where there is one.
        leaving: whether this node is being taken out of service.
        peer_asn: the peer's AS, where a rule asks for it (`Filter.asks_for_peers_as`); 0 else, so
            that it parts no peers.
        vrps: of the family, where the export filter asks for validity.
    """

    family: Family
    peer_type: PeerType
    local_asn: int
    local_address: bytes
    router_id: int = 0
    local_link_address: bytes = b""
    is_client: bool = False
    cluster_id: int = 0
    next_hop_mode: NextHopMode = NextHopMode.AUTO
    four_octet_as: bool = True
    add_path: int = 0
    max_message: int = 4096
    builtin: BuiltinPolicy | None = None
    export_filter: Filter | None = None
    keeps_cleared_med: bool = False
    role: Role | None = None
    takes_stale: bool = True
    demotes_stale: bool = False
    aigp: bool | None = None
    originates_aigp: bool = False
    extended_next_hop: bool = False
    quota: Quota | None = None
    leaving: Leaving = Leaving.NO
    peer_asn: int = 0
    vrps: Vrps | None = None
    scope: Scope = field(init=False, repr=False, compare=False)
    """How the export filter is asked."""

    def __post_init__(self) -> None:
        normal = None if self.builtin is None else self.builtin.normal_priority
        # RFC 8893 §3: by the origin that the peer will see.
        origins = None if self.vrps is None else Origins(self.vrps, self.local_asn)
        ends = NO_ENDS if self.vrps is None else Ends(self.local_asn, self.peer_asn)
        scope = Scope(self.peer_type, Direction.EXPORT, normal, origins, ends)
        # The only way to set a field of a frozen value while it is being made.
        object.__setattr__(self, "scope", scope)

    @property
    def relays(self) -> bool:
        """Whether routes are passed on without being used here: their next hop stays."""
        return self.family.safi is not Safi.UNICAST

    @property
    def sends_aigp(self) -> bool:
        """Whether the peer reads AIGP."""
        return self.peer_type is PeerType.INTERNAL if self.aigp is None else self.aigp

    @property
    def judges_paths_alone(self) -> bool:
        """Whether no prefix makes a difference to what is told of a path."""
        return self.builtin is None and (
            self.export_filter is None or self.export_filter.asks_paths_alone
        )


class Outbound(NamedTuple):
    """Attributes on their way out.

    Attributes:
        raw: attribute octets as they are sent, without MP_REACH_NLRI.
        next_hop: 4 or 16 octets.
        link_local: the second next hop of RFC 2545 §3, or empty.
    """

    raw: bytes
    next_hop: bytes
    link_local: bytes = b""


def withheld(path: Path, key: GroupKey) -> Withheld | None:
    """Say why a group may not hear a path whatever its prefixes, or None when it may."""
    if key.leaving is _SILENTLY:
        return Withheld.LEAVING
    if (
        key.role is None
        and key.local_address
        and not path.source.is_internal
        and b"\xff\xff" not in path.attributes.raw
    ):
        # Nothing of what `why_not` asks for is there.
        return None
    reason = why_not(path, key.peer_type, key.is_client, key.role, key.takes_stale)
    if reason is None and not key.local_address and _has_nothing_to_tell(path, key):
        return Withheld.NO_NEXT_HOP
    return reason


def _has_nothing_to_tell(path: Path, key: GroupKey) -> bool:
    """Tell whether a path has no next hop that the group could be told, and needs one."""
    return not key.relays and not next_hop_for(path, key)[0]


def export_partition(nlris: list[Nlri], path: Path, key: GroupKey) -> Partition:
    """Decide which prefixes of a path a group hears.

    The protocol comes first, then the operator's filter, then for what no rule decided the built-in
    policy; plain BGP accepts it.

    Returns:
        (verdict, prefixes); a verdict's operations are for `rewrite`.
    """
    reason = withheld(path, key)
    if key.export_filter is None:
        return _by_builtin(nlris, path, key) if reason is None else [(_WITHHELD[reason], nlris)]
    lacks_next_hop = reason is Withheld.NO_NEXT_HOP
    if reason is not None and not lacks_next_hop:
        return [(_WITHHELD[reason], nlris)]
    parts = key.export_filter.partition(nlris, path, key.scope)
    if reason is None and len(parts) == 1 and parts[0][0] is NO_MATCH:
        return _by_builtin(nlris, path, key)
    decided: Partition = []
    for verdict, some in parts:
        if lacks_next_hop and not next_hop_for(path, key, next_hop_set(verdict.operations))[0]:
            decided.append((_WITHHELD[Withheld.NO_NEXT_HOP], some))
        elif verdict is NO_MATCH:
            decided += _by_builtin(some, path, key)
        else:
            decided.append((verdict, some))
    return decided


def _by_builtin(nlris: list[Nlri], path: Path, key: GroupKey) -> Partition:
    if key.builtin is None:
        return [(ACCEPTED, nlris)]
    return export_verdicts(key.builtin, nlris, path, key.peer_type is PeerType.INTERNAL)


_EXTENDED: dict[int, int] = {
    Attribute.EXTENDED_COMMUNITIES: 8,
    Attribute.IPV6_EXTENDED_COMMUNITIES: 20,
}
"""Attributes of extended communities, and the octets that one community takes."""

_NON_TRANSITIVE = 0x40
"""In the first octet of an extended community: it stays within the AS (RFC 4360 §3, §6)."""


def rewrite_fully(path: Path, key: GroupKey, operations: tuple[Operation, ...] = ()) -> Outbound:
    """Rewrite attributes of any form, through an `AttributeEditor`."""
    editor = AttributeEditor(path.attributes.raw)
    editor.drop(
        Attribute.MP_REACH_NLRI,
        Attribute.MP_UNREACH_NLRI,
        Attribute.AS4_PATH,
        Attribute.AS4_AGGREGATOR,
    )
    known = RELAYED_ATTRIBUTES if key.relays else frozenset()
    editor.drop_unknown_non_transitive(known)
    editor.mark_unknown_partial(known)
    if editor.get(Attribute.AS_PATH) is None:
        editor.set(Attribute.AS_PATH, b"")
    edit(editor, operations, Ends(key.local_asn, key.peer_asn))
    next_hop, link_local = next_hop_for(path, key, next_hop_set(operations))
    if len(next_hop) == 4 and not key.relays:
        editor.set(Attribute.NEXT_HOP, next_hop)
    else:
        editor.drop(Attribute.NEXT_HOP)
    _set_preferences(editor, path, key, operations)
    if key.leaving is not Leaving.NO:
        _leave(editor, key)
    if is_demoted(path, key):
        _demote(editor)
    _set_reflection(editor, path, key)
    _set_metric(editor, path, key, next_hop)
    if key.role is not None:
        mark(editor, key.role, key.local_asn)
    if key.peer_type is PeerType.EXTERNAL:
        _keep_inside(editor)
        editor.prepend((key.local_asn,))
    if not key.four_octet_as:
        _narrow(editor)
    return Outbound(editor.encode(), next_hop, link_local)


def next_hop_for(
    path: Path, key: GroupKey, told: bytes | NextHopWord | None = None
) -> tuple[bytes, bytes]:
    """Choose the next hop that a group is told (RFC 4271 §5.1.3).

    Internal peers: a next hop learned over BGP stays, also when reflecting; a route made here has
    its gateway, if there is one. External peers, and everything else: our own address.

    *RFC:* towards an external peer on a shared subnet a third party's address may stay. *Ours:* it
    never does, since every session counts as multihop, as in Calico.

    A next hop that is kept keeps its family: the IPv4 one of an IPv4 route stays in NEXT_HOP also
    where IPv6 ones are negotiated, as BIRD has it. One that the peer could not read, or that means
    something on one link only, gives way to our own. That of a relayed route stays in any case,
    octet by octet: it says who knows the label, or what else the route means, and that is not us.

    Args:
        path: whose next hop it is.
        key: of the group.
        told: what a rule of the operator says instead (`policy.operations.next_hop_set`).

    Returns:
        the next hop, and the link-local one or empty; both empty where there is none to tell.
    """
    if key.relays:
        return path.attributes.next_hop, b""
    mode, kept = key.next_hop_mode, b""
    if isinstance(told, bytes):
        return told, b""
    if told is not None:
        mode = NextHopMode.KEEP if told is NextHopWord.UNCHANGED else NextHopMode.SELF
    if path.source.is_bgp:
        if mode is NextHopMode.KEEP or (
            mode is NextHopMode.AUTO and key.peer_type is PeerType.INTERNAL
        ):
            kept = path.attributes.next_hop
    elif mode is not NextHopMode.SELF and (
        key.peer_type is PeerType.INTERNAL or told is NextHopWord.UNCHANGED
    ):
        kept = path.next_hop.address
    if not _is_told(kept, key):
        return key.local_address, key.local_link_address
    return kept, b""


def _is_told(next_hop: bytes, key: GroupKey) -> bool:
    """Tell whether a next hop of others can be told: readable for the peer, and not of a link."""
    if len(next_hop) == 4:
        return key.family.afi is Afi.IPV4
    if len(next_hop) != 16 or not (key.family.afi is Afi.IPV6 or key.extended_next_hop):
        return False
    return any(next_hop) and not (next_hop[0] == 0xFE and next_hop[1] & 0xC0 == 0x80)


def med_for(path: Path, key: GroupKey) -> int | None:
    """Choose the MULTI_EXIT_DISC (RFC 4271 §5.1.4): one from a peer stays within the AS."""
    med = path.attributes.med
    if med is None or key.peer_type is PeerType.INTERNAL or not path.source.is_bgp:
        return med
    return 0 if key.keeps_cleared_med else None


def local_pref_for(path: Path, key: GroupKey) -> int:
    """Choose the LOCAL_PREF for internal peers (RFC 4271 §5.1.5)."""
    if key.builtin is not None:
        return export_local_pref(path, key.builtin.normal_priority)
    local_pref = path.attributes.local_pref
    return DEFAULT_LOCAL_PREF if local_pref is None else local_pref


def reflects(path: Path, key: GroupKey) -> bool:
    """Tell whether sending is reflecting: from an internal peer to an internal peer."""
    return key.peer_type is PeerType.INTERNAL and path.source.peer_type is PeerType.INTERNAL


def _set_preferences(
    editor: AttributeEditor, path: Path, key: GroupKey, operations: tuple[Operation, ...]
) -> None:
    """Set MULTI_EXIT_DISC and LOCAL_PREF; an operation that set one of them stands."""
    if not any(isinstance(operation, SetMed) for operation in operations):
        med = med_for(path, key)
        if med is None:
            editor.drop(Attribute.MULTI_EXIT_DISC)
        else:
            editor.set(Attribute.MULTI_EXIT_DISC, _U32.pack(med))
    if key.peer_type is PeerType.EXTERNAL:
        editor.drop(Attribute.LOCAL_PREF)
    elif not any(isinstance(operation, SetPriority | SetLocalPref) for operation in operations):
        editor.set(Attribute.LOCAL_PREF, _U32.pack(local_pref_for(path, key)))


def _leave(editor: AttributeEditor, key: GroupKey) -> None:
    """Make a route a last choice for everybody who hears it (RFC 8326 §4)."""
    editor.add_communities((int(WellKnown.GRACEFUL_SHUTDOWN),))
    if key.peer_type is PeerType.INTERNAL:
        # Within the AS nobody lowers the preference by the community.
        editor.set(Attribute.LOCAL_PREF, bytes(4))


def is_demoted(path: Path, key: GroupKey) -> bool:
    """Tell whether a path leaves as a last choice since it is long-lived stale (RFC 9494 §4.6)."""
    return key.demotes_stale and is_stale(path.attributes)


def _demote(editor: AttributeEditor) -> None:
    """Make a route a last choice that stays within the AS, whatever a rule has set."""
    editor.add_communities((int(WellKnown.NO_EXPORT),))
    editor.set(Attribute.LOCAL_PREF, bytes(4))


def _set_reflection(editor: AttributeEditor, path: Path, key: GroupKey) -> None:
    """Set ORIGINATOR_ID and CLUSTER_LIST when reflecting, else remove them (RFC 4456 §8)."""
    if not reflects(path, key):
        editor.drop(Attribute.ORIGINATOR_ID, Attribute.CLUSTER_LIST)
        return
    if editor.get(Attribute.ORIGINATOR_ID) is None:
        editor.set(Attribute.ORIGINATOR_ID, _U32.pack(path.source.router_id))
    clusters = editor.get(Attribute.CLUSTER_LIST) or b""
    editor.set(Attribute.CLUSTER_LIST, _U32.pack(key.cluster_id or key.router_id) + clusters)


def _set_metric(editor: AttributeEditor, path: Path, key: GroupKey, next_hop: bytes) -> None:
    """Pass the accumulated metric on where the peer reads it (RFC 7311 §3.3, §3.4)."""
    value = editor.get(Attribute.AIGP)
    if value is None:
        if key.originates_aigp and not path.source.is_bgp and next_hop == key.local_address:
            editor.set(Attribute.AIGP, aigp_value(path.metric or 0))
    elif not key.sends_aigp:
        editor.drop(Attribute.AIGP)
    elif next_hop != path.attributes.next_hop:
        editor.set(Attribute.AIGP, accumulate(value, path.next_hop.cost))


def _keep_inside(editor: AttributeEditor) -> None:
    """Remove what does not cross the border of an AS: extended communities (RFC 4360 §6), and the
    segments of a confederation, which an external peer has to refuse (RFC 5065 §4.1, §5).
    """
    as_path = editor.get(Attribute.AS_PATH) or b""
    editor.set(Attribute.AS_PATH, b"".join(_without_confederations(as_path)))
    for code, size in _EXTENDED.items():
        value = editor.get(code)
        if value is None:
            continue
        every = [value[i : i + size] for i in range(0, len(value), size)]
        kept = [each for each in every if not each[0] & _NON_TRANSITIVE]
        if not kept:
            editor.drop(code)
        elif len(kept) < len(every):
            editor.set(code, b"".join(kept))


def _narrow(editor: AttributeEditor) -> None:
    """Say AS numbers in two octets, and what that loses in AS4_PATH and AS4_AGGREGATOR.

    RFC 6793 §4.2.2: the second pair is sent only where an AS number does not fit.
    """
    as_path = editor.get(Attribute.AS_PATH) or b""
    if _is_wide(as_path):
        editor.set(Attribute.AS4_PATH, b"".join(_without_confederations(as_path)))
    editor.set(Attribute.AS_PATH, _narrow_path(as_path))
    aggregator = editor.get(Attribute.AGGREGATOR)
    if aggregator is not None:
        (number,) = _U32.unpack(aggregator[:4])
        if number > 0xFFFF:
            editor.set(Attribute.AS4_AGGREGATOR, aggregator)
        editor.set(Attribute.AGGREGATOR, _two_octets(number) + aggregator[4:])


def _is_wide(as_path: bytes) -> bool:
    return any(number > 0xFFFF for _, numbers in segments(as_path) for number in numbers)


def _without_confederations(as_path: bytes) -> Iterator[bytes]:
    for kind, numbers in segments(as_path):
        if kind in (SegmentType.AS_SET, SegmentType.AS_SEQUENCE):
            yield bytes((kind, len(numbers))) + b"".join(map(_U32.pack, numbers))


def _narrow_path(as_path: bytes) -> bytes:
    return b"".join(
        bytes((kind, len(numbers))) + b"".join(map(_two_octets, numbers))
        for kind, numbers in segments(as_path)
    )


def _two_octets(number: int) -> bytes:
    return (AS_TRANS if number > 0xFFFF else number).to_bytes(2, "big")
