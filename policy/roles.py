"""BGP roles: who may hear a route again, once a customer or a peer has heard it.

A `Role` is ours on one session, with the numbers of the capability; the other end has the opposite
one. `received` is asked about each attribute set that comes in: it finds a route leak, or marks the
set with the attribute Only to Customer where the peer did not. `may_send` and `mark` are its
counterparts on the way out. Sessions without a role ask none of them, and routes of families other
than unicast have no such attribute.

Standards: RFC 9234 §4.1, §5.
"""

from __future__ import annotations

from enum import IntEnum

from policy.attributes import Attribute, AttributeEditor, PathAttributes


class Role(IntEnum):
    """Our side of a session (RFC 9234 §4.1)."""

    PROVIDER = 0
    ROUTE_SERVER = 1
    ROUTE_SERVER_CLIENT = 2
    CUSTOMER = 3
    PEER = 4


_TO_CUSTOMERS = (Role.PROVIDER, Role.ROUTE_SERVER)
_FROM_ABOVE = (Role.CUSTOMER, Role.ROUTE_SERVER_CLIENT, Role.PEER)
_MARKING = (Role.PROVIDER, Role.ROUTE_SERVER, Role.PEER)


def received(attributes: PathAttributes, role: Role, peer_asn: int) -> PathAttributes | None:
    """Give a set as it is used, marked where it has to be; None for a route leak.

    RFC 9234 §5: a customer never passes on what is for customers only, and a peer marks with its
    own AS number.

    Args:
        attributes: as they came.
        role: ours on the session.
        peer_asn: of the peer.
    """
    value = attributes.value(Attribute.ONLY_TO_CUSTOMER)
    if value is None:
        return _marked(attributes, peer_asn) if role in _FROM_ABOVE else attributes
    if role in _TO_CUSTOMERS:
        return None
    if role is Role.PEER and int.from_bytes(value, "big") != peer_asn:
        return None
    return attributes


def _marked(attributes: PathAttributes, asn: int) -> PathAttributes:
    editor = AttributeEditor(attributes.raw)
    editor.set(Attribute.ONLY_TO_CUSTOMER, asn.to_bytes(4, "big"))
    return PathAttributes(editor.encode(), attributes.next_hop, attributes.link_local)


def may_send(attributes: PathAttributes, role: Role) -> bool:
    """Tell whether a peer may hear a route: what is for customers goes to customers alone."""
    return role not in _FROM_ABOVE or attributes.value(Attribute.ONLY_TO_CUSTOMER) is None


def mark(editor: AttributeEditor, role: Role, local_asn: int) -> None:
    """Mark what a customer, a client of our route server or a peer is told, unless it is marked."""
    if role in _MARKING and editor.get(Attribute.ONLY_TO_CUSTOMER) is None:
        editor.set(Attribute.ONLY_TO_CUSTOMER, local_asn.to_bytes(4, "big"))
