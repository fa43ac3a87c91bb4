"""What an accepting rule does to a route: add a community, prepend AS numbers, set the priority.

Operations are small frozen values, so that a verdict that carries them can be shared, and routes
that suffer the same operations can be told apart from others by comparing tuples. They are applied
in the order in which the rule lists them: on import once per attribute set (`apply`, the caller
interns the result), on export in the course of `policy.outbound.rewrite` (`edit`, on attributes
that are already being taken apart).

Priority is Calico's word for the kernel's metric: lower is better. Over BGP it travels as
LOCAL_PREF, higher is better, and the two add up to `PRIORITY_SUM`. Arithmetic is that of BIRD's
filters, unsigned 32 bits: a LOCAL_PREF above the sum wraps to a very bad metric instead of becoming
negative.

Standards: RFC 1997, RFC 8092 (communities), RFC 4271 §5.1.2 (prepending), §5.1.5 (LOCAL_PREF);
Calico BGPFilter operations and route priorities.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from policy.attributes import Attribute, AttributeEditor, LargeCommunity, PathAttributes

PRIORITY_SUM = 2147483647
"""What LOCAL_PREF and priority of one route add up to."""

NORMAL_PRIORITY = 1024
"""The metric of routes to which nobody gave another (Calico's default)."""


@dataclass(frozen=True, slots=True)
class AddCommunity:
    """Add one community, standard (a number) or large (three numbers); one that is there stays."""

    community: int | LargeCommunity


@dataclass(frozen=True, slots=True)
class PrependAsPath:
    """Prepend, so that the AS_PATH begins with these numbers in this order."""

    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SetPriority:
    """Set LOCAL_PREF so that it carries this priority."""

    priority: int


Operation: TypeAlias = AddCommunity | PrependAsPath | SetPriority


def local_pref_of(priority: int) -> int:
    """Give the LOCAL_PREF that carries a priority."""
    return PRIORITY_SUM - priority & 0xFFFFFFFF


def priority_of(local_pref: int) -> int:
    """Give the priority, and so the kernel metric, that a LOCAL_PREF carries."""
    return PRIORITY_SUM - local_pref & 0xFFFFFFFF


def edit(editor: AttributeEditor, operations: Iterable[Operation]) -> None:
    """Apply operations, in order, to attributes that are taken apart."""
    for operation in operations:
        match operation:
            case AddCommunity(community):
                editor.add_communities((community,))
            case PrependAsPath(numbers):
                editor.prepend(numbers)
            case SetPriority(priority):
                editor.set(Attribute.LOCAL_PREF, local_pref_of(priority).to_bytes(4, "big"))


def apply(attributes: PathAttributes, operations: Iterable[Operation]) -> PathAttributes:
    """Give the attributes as they are after the operations.

    Returns:
        a new set that nobody has interned yet, or ``attributes`` itself when there is nothing to
        do.
    """
    wanted = tuple(operations)
    if not wanted:
        return attributes
    editor = AttributeEditor(attributes.raw)
    edit(editor, wanted)
    return PathAttributes(editor.encode(), attributes.next_hop, attributes.link_local)
