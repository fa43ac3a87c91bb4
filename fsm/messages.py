"""Messages as values, without their bytes.

What the machines say and hear: `Open`, `Keepalive`, `RouteRefresh` (and `Notification`, which has a
module of its own, as have the capabilities that stand in an OPEN). UPDATE is missing on purpose:
the machines only need to know that one came, and the tables read its body themselves. Encoding and
decoding are the codec's work, one floor up; here a value is a value, hashable and comparable, and
`str` of it is a line of a transcript.

Standards: RFC 4271 §4.1-4.4; RFC 2918 §2; RFC 7313 §3; RFC 6793 §9.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

from fsm.capabilities import (
    AddPath,
    Capability,
    EnhancedRouteRefresh,
    ExtendedMessage,
    ExtendedNextHop,
    FourOctetAs,
    GracefulRestart,
    Multiprotocol,
    RouteRefreshCapability,
    SendReceive,
    UnknownCapability,
)
from fsm.family import Family
from fsm.notifications import Notification

__all__ = [
    "AS_TRANS",
    "AddPath",
    "Capability",
    "EnhancedRouteRefresh",
    "ExtendedMessage",
    "ExtendedNextHop",
    "FourOctetAs",
    "GracefulRestart",
    "Keepalive",
    "Message",
    "MessageType",
    "Multiprotocol",
    "Open",
    "RefreshSubtype",
    "RouteRefresh",
    "RouteRefreshCapability",
    "SendReceive",
    "UnknownCapability",
]

AS_TRANS = 23456
"""Stands in a two-octet field for an AS number that needs four. RFC 6793 §9."""


class MessageType(IntEnum):
    """The type octet of the message header. RFC 4271 §4.1, RFC 2918 §3."""

    OPEN = 1
    UPDATE = 2
    NOTIFICATION = 3
    KEEPALIVE = 4
    ROUTE_REFRESH = 5


@dataclass(frozen=True, slots=True)
class Open:
    """An OPEN message. RFC 4271 §4.2.

    Args:
        asn: the sender's true AS number. The codec derives the two-octet field (AS_TRANS if it
            does not fit) when encoding, and reads the four-octet capability when decoding.
        hold_time: seconds, as offered.
        router_id: the BGP Identifier as a number.
        capabilities: in the order on the wire.
    """

    asn: int
    hold_time: int
    router_id: int
    capabilities: tuple[Capability, ...] = ()

    def __str__(self) -> str:
        return f"OPEN as={self.asn} hold={self.hold_time}"


@dataclass(frozen=True, slots=True)
class Keepalive:
    """A KEEPALIVE message. RFC 4271 §4.4."""

    def __str__(self) -> str:
        return "KEEPALIVE"


class RefreshSubtype(IntEnum):
    """What a ROUTE-REFRESH says. RFC 7313 §3.2."""

    REQUEST = 0
    BEGIN = 1
    END = 2


@dataclass(frozen=True, slots=True)
class RouteRefresh:
    """A ROUTE-REFRESH message. RFC 2918 §3, RFC 7313 §3.2."""

    family: Family
    subtype: int = RefreshSubtype.REQUEST

    def __str__(self) -> str:
        return f"ROUTE-REFRESH {self.family} subtype={int(self.subtype)}"


Message: TypeAlias = Open | Keepalive | RouteRefresh | Notification
"""What a machine may ask its shell to send."""
