"""What an accepting rule does to a route: to its communities, its AS_PATH, preferences, next hop.

Operations are small frozen values, so that a verdict that carries them can be shared, and routes
that suffer the same operations can be told apart from others by comparing tuples. They are applied
in the order in which the rule lists them: on import once per attribute set (`apply`, the caller
interns the result), on export in the course of `policy.outbound.rewrite` (`edit`, on attributes
that are already being taken apart). Two of them are no change of octets alone: the next hop of an
import has to be resolved, and that a route drops packets is said by its path; who makes the path
asks `next_hop_set` and `drops_packets`.

Priority is Calico's word for the kernel's metric: lower is better. Over BGP it travels as
LOCAL_PREF, higher is better, and the two add up to `PRIORITY_SUM`. Arithmetic is that of BIRD's
filters, unsigned 32 bits: a LOCAL_PREF above the sum wraps to a very bad metric instead of becoming
negative.

Standards: RFC 1997, RFC 8092 (communities), RFC 4271 §5.1.2 (prepending), §5.1.3 (NEXT_HOP), §5.1.4
(MED), §5.1.5 (LOCAL_PREF); RFC 4364 §7; RFC 6996; Calico BGPFilter operations and route priorities.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import NamedTuple, TypeAlias

from policy.as_paths import overridden, without_private
from policy.attributes import Attribute, AttributeEditor, Community, PathAttributes
from policy.communities import Wanted, is_meant

PRIORITY_SUM = 2147483647
"""What LOCAL_PREF and priority of one route add up to."""

NORMAL_PRIORITY = 1024
"""The metric of routes to which nobody gave another (Calico's default)."""


@dataclass(frozen=True, slots=True)
class AddCommunity:
    """Add one community, standard (a number) or large (three numbers); one that is there stays."""

    community: Community


@dataclass(frozen=True, slots=True)
class PrependAsPath:
    """Prepend, so that the AS_PATH begins with these numbers in this order."""

    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SetPriority:
    """Set LOCAL_PREF so that it carries this priority."""

    priority: int


@dataclass(frozen=True, slots=True)
class RemoveCommunities:
    """Remove communities, standard or large: those named, and those that fit a pattern."""

    wanted: tuple[Wanted, ...]


@dataclass(frozen=True, slots=True)
class SetLocalPref:
    """Set LOCAL_PREF."""

    value: int


@dataclass(frozen=True, slots=True)
class SetMed:
    """Set MULTI_EXIT_DISC."""

    value: int


class NextHopWord(StrEnum):
    """A next hop that depends on the session.

    ``Self``: ours on it. ``PeerAddress``: the peer's. ``Unchanged``: the route's own.
    """

    SELF = "Self"
    PEER_ADDRESS = "PeerAddress"
    UNCHANGED = "Unchanged"


@dataclass(frozen=True, slots=True)
class SetNextHop:
    """Set the next hop: an address, 4 or 16 octets, or a word."""

    next_hop: bytes | NextHopWord


@dataclass(frozen=True, slots=True)
class Blackhole:
    """Drop packets to the prefixes, on import."""


@dataclass(frozen=True, slots=True)
class AsOverride:
    """Put our AS in the place of the peer's, on export."""


@dataclass(frozen=True, slots=True)
class RemovePrivateAs:
    """Leave out private AS numbers towards external peers, on export.

    Attributes:
        everywhere: not only those before the first public one.
        replace: put our AS in their place.
    """

    everywhere: bool = False
    replace: bool = False


Operation: TypeAlias = (
    AddCommunity
    | PrependAsPath
    | SetPriority
    | RemoveCommunities
    | SetLocalPref
    | SetMed
    | SetNextHop
    | Blackhole
    | AsOverride
    | RemovePrivateAs
)


class Ends(NamedTuple):
    """The AS numbers of a session's ends, for operations on export that ask for them."""

    local_asn: int = 0
    peer_asn: int = 0


NO_ENDS = Ends()


def asks_for_peers_as(operation: Operation) -> bool:
    """Tell whether what an operation does depends on the peer's AS."""
    return isinstance(operation, AsOverride | RemovePrivateAs)


def changes_as_path(operation: Operation) -> bool:
    """Tell whether an operation may change the AS_PATH."""
    return isinstance(operation, AsOverride | RemovePrivateAs | PrependAsPath)


def next_hop_set(operations: Iterable[Operation]) -> bytes | NextHopWord | None:
    """Give the next hop that operations set, the last one's; None where they leave it alone."""
    found = None
    for operation in operations:
        if isinstance(operation, SetNextHop):
            found = operation.next_hop
    return found


def drops_packets(operations: Iterable[Operation]) -> bool:
    """Tell whether operations make a blackhole of a route."""
    return any(isinstance(operation, Blackhole) for operation in operations)


def local_pref_of(priority: int) -> int:
    """Give the LOCAL_PREF that carries a priority."""
    return PRIORITY_SUM - priority & 0xFFFFFFFF


def priority_of(local_pref: int) -> int:
    """Give the priority, and so the kernel metric, that a LOCAL_PREF carries."""
    return PRIORITY_SUM - local_pref & 0xFFFFFFFF


def edit(editor: AttributeEditor, operations: Iterable[Operation], ends: Ends = NO_ENDS) -> None:
    """Apply operations, in order, to attributes that are taken apart; the next hop stays."""
    for operation in operations:
        match operation:
            case AddCommunity(community):
                editor.add_communities((community,))
            case PrependAsPath(numbers):
                editor.prepend(numbers)
            case SetPriority(priority):
                editor.set(Attribute.LOCAL_PREF, local_pref_of(priority).to_bytes(4, "big"))
            case SetLocalPref(value):
                editor.set(Attribute.LOCAL_PREF, value.to_bytes(4, "big"))
            case SetMed(value):
                editor.set(Attribute.MULTI_EXIT_DISC, value.to_bytes(4, "big"))
            case RemoveCommunities(wanted):
                editor.remove_communities(partial(_is_one_of, wanted))
            case AsOverride() | RemovePrivateAs():
                _edit_as_path(editor, operation, ends)
            case SetNextHop() | Blackhole():
                # No change of these attributes; see `next_hop_set` and `drops_packets`.
                pass


def _is_one_of(wanted: tuple[Wanted, ...], community: Community) -> bool:
    return any(is_meant(each, community) for each in wanted)


def _edit_as_path(
    editor: AttributeEditor, operation: AsOverride | RemovePrivateAs, ends: Ends
) -> None:
    if ends.local_asn == ends.peer_asn:
        # Within the AS its own number is not told, and private ones are known.
        return
    value = editor.get(Attribute.AS_PATH) or b""
    if isinstance(operation, AsOverride):
        changed = overridden(value, ends.peer_asn, ends.local_asn)
    else:
        # The peer must find its own AS, to see a loop.
        changed = without_private(
            value,
            everywhere=operation.everywhere,
            spared=ends.peer_asn,
            replacement=ends.local_asn if operation.replace else None,
        )
    if changed != value:
        editor.set(Attribute.AS_PATH, changed)


def as_path_edited(
    attributes: PathAttributes, operations: Iterable[Operation], ends: Ends
) -> PathAttributes:
    """Give attributes with the AS_PATH that operations leave on export, before ours is added."""
    wanted = tuple(filter(changes_as_path, operations))
    if not wanted:
        return attributes
    editor = AttributeEditor(attributes.raw)
    edit(editor, wanted, ends)
    return PathAttributes(editor.encode(), attributes.next_hop, attributes.link_local)


def apply(
    attributes: PathAttributes, operations: Iterable[Operation], peer_address: bytes = b""
) -> PathAttributes:
    """Give the attributes of a route that came in as they are after the operations.

    Args:
        attributes: as they came.
        operations: of the rule that accepted the route.
        peer_address: of who told it, 4 or 16 octets.

    Returns:
        a new set that nobody has interned yet, or ``attributes`` itself where nothing changed.
    """
    wanted = tuple(operations)
    if not wanted:
        return attributes
    editor = AttributeEditor(attributes.raw)
    edit(editor, wanted)
    next_hop, link_local = attributes.next_hop, attributes.link_local
    told = next_hop_set(wanted)
    if told is not None and told is not NextHopWord.UNCHANGED:
        next_hop, link_local = peer_address if isinstance(told, NextHopWord) else told, b""
        if len(next_hop) == 4:
            editor.set(Attribute.NEXT_HOP, next_hop)
        else:
            editor.drop(Attribute.NEXT_HOP)
    raw = editor.encode()
    if (raw, next_hop, link_local) == (attributes.raw, attributes.next_hop, attributes.link_local):
        return attributes
    return PathAttributes(raw, next_hop, link_local)
