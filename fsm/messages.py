"""Messages and capabilities as values, without their bytes.

What the machines say and hear: `Open`, `Keepalive`, `RouteRefresh` (and `Notification`, which has a
module of its own). UPDATE is missing on purpose: the machines only need to know that one came, and
the tables read its body themselves. Encoding and decoding are the codec's work, one floor up; here
a value is a value, hashable and comparable, and `str` of it is a line of a transcript.

A capability of which we know the meaning has a class with its number in `code`; any other is kept
as `UnknownCapability`, number and octets, since RFC 5492 §3 has us ignore it, not refuse it.

Standards: RFC 4271 §4.1-4.4; RFC 5492 §4; RFC 4760 §8; RFC 2918 §2; RFC 7313 §3; RFC 6793 §3;
RFC 8654 §3; RFC 4724 §3; RFC 8538 §2; RFC 7911 §4; RFC 8950 §4.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import ClassVar, TypeAlias

from fsm.family import Afi, Family
from fsm.notifications import Notification

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
class Multiprotocol:
    """We can exchange routes of this family. RFC 4760 §8."""

    code: ClassVar[int] = 1
    family: Family


@dataclass(frozen=True, slots=True)
class RouteRefreshCapability:
    """We answer a ROUTE-REFRESH. RFC 2918 §2."""

    code: ClassVar[int] = 2


@dataclass(frozen=True, slots=True)
class ExtendedNextHop:
    """We take routes of these families with a next hop of another AFI. RFC 8950 §4."""

    code: ClassVar[int] = 5
    families: tuple[tuple[Family, Afi], ...]


@dataclass(frozen=True, slots=True)
class ExtendedMessage:
    """We take messages of up to 65535 octets. RFC 8654 §3."""

    code: ClassVar[int] = 6


@dataclass(frozen=True, slots=True)
class GracefulRestart:
    """We keep forwarding over a restart. RFC 4724 §3, RFC 8538 §2.

    Args:
        restart_state: the sender has restarted and waits for End-of-RIB.
        notification: the sender restarts gracefully on a NOTIFICATION too.
        restart_time: seconds in which the sender expects to be back, 0 to 4095.
        families: each family, and whether its forwarding state was preserved.
    """

    code: ClassVar[int] = 64
    restart_state: bool
    notification: bool
    restart_time: int
    families: tuple[tuple[Family, bool], ...]


@dataclass(frozen=True, slots=True)
class FourOctetAs:
    """Our AS number, in four octets. RFC 6793 §3."""

    code: ClassVar[int] = 65
    asn: int


class SendReceive(IntFlag):
    """What of ADD-PATH the sender of the capability can do. RFC 7911 §4."""

    RECEIVE = 1
    SEND = 2
    BOTH = 3


@dataclass(frozen=True, slots=True)
class AddPath:
    """We handle several paths to one prefix; per family a `SendReceive` number. RFC 7911 §4."""

    code: ClassVar[int] = 69
    families: tuple[tuple[Family, int], ...]


@dataclass(frozen=True, slots=True)
class EnhancedRouteRefresh:
    """We mark the beginning and the end of a refresh. RFC 7313 §3.1."""

    code: ClassVar[int] = 70


@dataclass(frozen=True, slots=True)
class UnknownCapability:
    """A capability we do not interpret. RFC 5492 §4."""

    code: int
    data: bytes = b""


Capability: TypeAlias = (
    Multiprotocol
    | RouteRefreshCapability
    | ExtendedNextHop
    | ExtendedMessage
    | GracefulRestart
    | FourOctetAs
    | AddPath
    | EnhancedRouteRefresh
    | UnknownCapability
)


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
