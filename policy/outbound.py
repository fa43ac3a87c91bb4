"""Routes as they leave: who gets which prefixes, and with which attributes.

A `GroupKey` says everything about a peer that decides what it hears. Peers with equal keys form an
export group and hear the same octets. Two functions do the work, both asked once per path and batch
of prefixes: `export_partition` runs propagation rules, export filter and built-in policy, in this
order, and groups the prefixes by verdict; `rewrite` makes the attribute octets and the next hop for
a path, a key and the operations of a verdict.

`rewrite` has two ways to one result. The short way takes attributes that stand in the usual form
and order, keeps the tail as it is and makes only the head anew. Everything else (operations,
unknown attributes, two-octet AS numbers, …) goes the long way through an `AttributeEditor`, which a
property test uses as the referee of the short one.

The octets are without MP_REACH_NLRI: for IPv4 unicast they have NEXT_HOP, for other families the
encoder puts the next hop beside the prefixes. A peer must not be given a route whose next hop is
the peer's own address; as that differs from member to member, the group looks at it, not we.

Standards: RFC 4271 §5.1, §9.1.3; RFC 4360 §6; RFC 4456 §8; RFC 6793 §4.2.2; RFC 2545 §3; RFC 7311
§3.1, §3.4; RFC 9234 §5.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from struct import Struct
from typing import NamedTuple

from fsm.family import Afi, Family
from policy.aigp import accumulate
from policy.attributes import (
    TRANSITIVE,
    Attribute,
    AttributeEditor,
    SegmentType,
    prepend,
    segments,
    tlv,
)
from policy.calico import BuiltinPolicy, export_local_pref, export_verdicts
from policy.decision import DEFAULT_LOCAL_PREF
from policy.filters import ACCEPTED, NO_MATCH, Direction, Filter, Partition, Scope, Verdict
from policy.operations import Operation, SetPriority, edit
from policy.path import Path, PeerType
from policy.prefix import Nlri
from policy.propagation import Withheld, why_not
from policy.roles import Role, mark

AS_TRANS = 23456
"""Stands for an AS number that two octets cannot say (RFC 6793 §9)."""

_U32 = Struct("!I")
_ORIGIN_HEAD = b"\x40\x01\x01"
_NEXT_HOP_HEAD = b"\x40\x03\x04"
_LOCAL_PREF_HEAD = b"\x40\x05\x04"
_MED_HEAD = b"\x80\x04\x04"
_ORIGINATOR_HEAD = b"\x80\x09\x04"
_CLUSTER_HEAD = b"\x80\x0a\x04"

_WITHHELD = {reason: Verdict(accepted=False, reason=reason) for reason in Withheld}


class NextHopMode(StrEnum):
    """What becomes of the next hop on the way out (BGPPeer ``nextHopMode``)."""

    AUTO = "Auto"
    SELF = "Self"
    KEEP = "Keep"


@dataclass(frozen=True, slots=True)
class GroupKey:
    """What decides what a peer hears; peers with equal keys share everything.

    Attributes:
        family: the kind of route.
        peer_type: by the session's effective local AS.
        local_asn: that AS.
        local_address: the session's own address of this family, 4 or 16 octets.
        router_id: our BGP Identifier.
        local_link_address: our link-local address beside an IPv6 one (RFC 2545 §3), or empty.
        is_client: the peer is our route reflector client.
        cluster_id: of our cluster; 0 stands for the router id (RFC 4456 §7).
        four_octet_as: both sides speak RFC 6793.
        add_path: we may send several paths (RFC 7911).
        max_message: octets of a message at most.
        builtin: Calico's policy and priorities; None for plain BGP.
        export_filter: rules of the operator; equal by content.
        keeps_cleared_med: towards external peers, a MED that was there is sent as zero.
        role: ours on the session, where one is configured (RFC 9234).
        aigp: AIGP is sent; None: to internal peers (RFC 7311 §3.1).
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
    add_path: bool = False
    max_message: int = 4096
    builtin: BuiltinPolicy | None = None
    export_filter: Filter | None = None
    keeps_cleared_med: bool = False
    role: Role | None = None
    aigp: bool | None = None

    @property
    def sends_aigp(self) -> bool:
        """Whether the peer reads AIGP."""
        return self.peer_type is PeerType.INTERNAL if self.aigp is None else self.aigp

    @property
    def scope(self) -> Scope:
        """How the export filter is asked."""
        normal = None if self.builtin is None else self.builtin.normal_priority
        return Scope(self.peer_type, Direction.EXPORT, normal)


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


def export_partition(nlris: list[Nlri], path: Path, key: GroupKey) -> Partition:
    """Decide which prefixes of a path a group hears.

    The protocol comes first, then the operator's filter, then for what no rule decided the built-in
    policy; plain BGP accepts it.

    Returns:
        (verdict, prefixes); a verdict's operations are for `rewrite`.
    """
    reason = why_not(path, key.peer_type, key.is_client, key.role)
    if reason is not None:
        return [(_WITHHELD[reason], nlris)]
    if key.export_filter is None:
        return _by_builtin(nlris, path, key)
    decided: Partition = []
    for verdict, some in key.export_filter.partition(nlris, path, key.scope):
        if verdict is NO_MATCH:
            decided += _by_builtin(some, path, key)
        else:
            decided.append((verdict, some))
    return decided


def _by_builtin(nlris: list[Nlri], path: Path, key: GroupKey) -> Partition:
    if key.builtin is None:
        return [(ACCEPTED, nlris)]
    return export_verdicts(key.builtin, nlris, path, key.peer_type is PeerType.INTERNAL)


# hot: per attribute set
def rewrite(path: Path, key: GroupKey, operations: tuple[Operation, ...] = ()) -> Outbound:
    """Make the attributes with which a path leaves to a group.

    Args:
        path: which the group may hear (`export_partition`).
        key: the group.
        operations: of the verdict.
    """
    if not operations and key.four_octet_as and key.role is None:
        short = rewrite_shortly(path, key)
        if short is not None:
            return short
    return rewrite_fully(path, key, operations)


def rewrite_shortly(path: Path, key: GroupKey) -> Outbound | None:
    """Rewrite without taking attributes apart; None where they are not in the usual form.

    Usual are ORIGIN, AS_PATH, NEXT_HOP, MULTI_EXIT_DISC and LOCAL_PREF in this order, the first two
    present, then known attributes that pass unchanged.
    """
    raw = path.attributes.raw
    start, end = _as_path_at(raw)
    at = _behind_head(raw, end)
    external = key.peer_type is PeerType.EXTERNAL
    cut = _plain_tail(raw, at, external) if start else -1
    if cut < 0:
        return None
    next_hop, link_local = next_hop_for(path, key)
    as_path = raw[start:end]
    if external:
        as_path = prepend(as_path, (key.local_asn,))
    parts = [raw[:4], tlv(TRANSITIVE, Attribute.AS_PATH, as_path)]
    if key.family.afi is Afi.IPV4:
        parts.append(_NEXT_HOP_HEAD + next_hop)
    med = med_for(path, key)
    if med is not None:
        parts.append(_MED_HEAD + _U32.pack(med))
    if key.peer_type is PeerType.INTERNAL:
        parts.append(_LOCAL_PREF_HEAD + _U32.pack(local_pref_for(path, key)))
    if reflects(path, key):
        parts += raw[at:cut], _ORIGINATOR_HEAD + _U32.pack(path.source.router_id)
        parts += _CLUSTER_HEAD + _U32.pack(key.cluster_id or key.router_id), raw[cut:]
    else:
        parts.append(raw[at:])
    return Outbound(b"".join(parts), next_hop, link_local)


def _as_path_at(raw: bytes) -> tuple[int, int]:
    """Find the value of an AS_PATH that stands second, behind ORIGIN; (0, 0) when it does not."""
    if raw[:3] == _ORIGIN_HEAD:
        if raw[4:6] == b"\x40\x02":
            return 7, 7 + raw[6]
        # FRR sets Extended Length whatever the size.
        if raw[4:6] == b"\x50\x02":
            return 8, 8 + (raw[6] << 8 | raw[7])
    return 0, 0


def _behind_head(raw: bytes, at: int) -> int:
    """Pass over the attributes behind AS_PATH that are made anew."""
    for head in (_NEXT_HOP_HEAD, _MED_HEAD, _LOCAL_PREF_HEAD):
        if raw[at : at + 3] == head:
            at += 7
    return at


_PASSING: dict[int, int] = {
    Attribute.ATOMIC_AGGREGATE: 0x40,
    Attribute.AGGREGATOR: 0xC0,
    Attribute.COMMUNITIES: 0xC0,
    Attribute.EXTENDED_COMMUNITIES: 0xC0,
    Attribute.IPV6_EXTENDED_COMMUNITIES: 0xC0,
    Attribute.LARGE_COMMUNITIES: 0xC0,
    Attribute.ONLY_TO_CUSTOMER: 0xC0,
}
_EXTENDED: dict[int, int] = {
    Attribute.EXTENDED_COMMUNITIES: 8,
    Attribute.IPV6_EXTENDED_COMMUNITIES: 20,
}
"""Attributes of extended communities, and the octets that one community takes."""

_NON_TRANSITIVE = 0x40
"""In the first octet of an extended community: it stays within the AS (RFC 4360 §3, §6)."""


def _plain_tail(raw: bytes, at: int, external: bool) -> int:
    """Check that what follows passes unchanged, in ascending order.

    Returns:
        where attributes of reflection would stand, or -1.
    """
    end, last, cut = len(raw), 5, -1
    while at < end:
        code = raw[at + 1]
        if code <= last or _PASSING.get(code) != raw[at]:
            return -1
        if code > 10 and cut < 0:
            cut = at
        last = code
        after = at + 3 + raw[at + 2]
        size = _EXTENDED.get(code)
        if external and size and any(raw[i] & _NON_TRANSITIVE for i in range(at + 3, after, size)):
            return -1
        at = after
    return at if cut < 0 else cut


def rewrite_fully(path: Path, key: GroupKey, operations: tuple[Operation, ...] = ()) -> Outbound:
    """Rewrite attributes of any form, through an `AttributeEditor`."""
    editor = AttributeEditor(path.attributes.raw)
    editor.drop(
        Attribute.MP_REACH_NLRI,
        Attribute.MP_UNREACH_NLRI,
        Attribute.AS4_PATH,
        Attribute.AS4_AGGREGATOR,
    )
    editor.drop_unknown_non_transitive()
    editor.mark_unknown_partial()
    if editor.get(Attribute.AS_PATH) is None:
        editor.set(Attribute.AS_PATH, b"")
    edit(editor, operations)
    next_hop, link_local = next_hop_for(path, key)
    if key.family.afi is Afi.IPV4:
        editor.set(Attribute.NEXT_HOP, next_hop)
    else:
        editor.drop(Attribute.NEXT_HOP)
    _set_preferences(editor, path, key, operations)
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


def next_hop_for(path: Path, key: GroupKey) -> tuple[bytes, bytes]:
    """Choose the next hop that a group is told (RFC 4271 §5.1.3).

    Internal peers: a next hop learned over BGP stays, also when reflecting; a route made here has
    its gateway, if there is one. External peers, and everything else: our own address.

    *RFC:* towards an external peer on a shared subnet a third party's address may stay. *Ours:* it
    never does, since every session counts as multihop, as in Calico.

    Returns:
        the next hop, and the link-local one or empty.
    """
    mode, kept = key.next_hop_mode, b""
    if path.source.is_bgp:
        if mode is NextHopMode.KEEP or (
            mode is NextHopMode.AUTO and key.peer_type is PeerType.INTERNAL
        ):
            kept = path.attributes.next_hop
    elif mode is not NextHopMode.SELF and key.peer_type is PeerType.INTERNAL:
        kept = path.next_hop.address
    # Link-local addresses mean nothing elsewhere, and a family's next hops have its own size here.
    if len(kept) != len(key.local_address) or (kept[0] == 0xFE and kept[1] & 0xC0 == 0x80):
        return key.local_address, key.local_link_address
    return kept, b""


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
    """Set MULTI_EXIT_DISC and LOCAL_PREF; an operation that set the latter stands."""
    med = med_for(path, key)
    if med is None:
        editor.drop(Attribute.MULTI_EXIT_DISC)
    else:
        editor.set(Attribute.MULTI_EXIT_DISC, _U32.pack(med))
    if key.peer_type is PeerType.EXTERNAL:
        editor.drop(Attribute.LOCAL_PREF)
    elif not any(isinstance(operation, SetPriority) for operation in operations):
        editor.set(Attribute.LOCAL_PREF, _U32.pack(local_pref_for(path, key)))


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
    """Pass the accumulated metric on where the peer reads it (RFC 7311 §3.1, §3.4)."""
    value = editor.get(Attribute.AIGP)
    if value is None:
        return
    if not key.sends_aigp:
        editor.drop(Attribute.AIGP)
    elif next_hop != path.attributes.next_hop:
        editor.set(Attribute.AIGP, accumulate(value, path.next_hop.cost))


def _keep_inside(editor: AttributeEditor) -> None:
    """Remove extended communities that do not cross the border of an AS (RFC 4360 §6)."""
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
