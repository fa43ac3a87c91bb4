"""Capabilities: what an OPEN offers, as values.

A capability of which we know the meaning has a class with its number in `code`; any other is kept
as `UnknownCapability`, number and octets, since RFC 5492 §3 has us ignore it, not refuse it. A
value is hashable and comparable, and stands in an `Open` in the order of the wire.

Reading octets is the codec's work, one floor up. Writing them is here, since a machine must be able
to quote the capabilities that it missed in a peer's OPEN: `value_octets` gives the value field,
`tlv` the whole.

Standards: RFC 5492 §4-5; RFC 4760 §8; RFC 2918 §2; RFC 4724 §3; RFC 6793 §3; RFC 7313 §3.1;
RFC 7911 §4; RFC 8538 §2; RFC 8654 §3; RFC 8950 §4; RFC 9234 §4.1; RFC 9494 §3.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import ClassVar, TypeAlias

from fsm.family import Afi, Family
from fsm.notifications import printable

_RESTART_STATE, _RESTART_NOTIFICATION = 0x8, 0x4
_FORWARDING = 0x80


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


class Role(IntEnum):
    """What the sender is to the other end, between two ASes. RFC 9234 §4.1."""

    PROVIDER = 0
    ROUTE_SERVER = 1
    ROUTE_SERVER_CLIENT = 2
    CUSTOMER = 3
    PEER = 4

    def __str__(self) -> str:
        return self.name.lower().replace("_", " ")

    @property
    def counterpart(self) -> Role:
        """What the other end must be. RFC 9234 §4.2."""
        return _COUNTERPARTS[self]


_COUNTERPARTS = {
    Role.PROVIDER: Role.CUSTOMER,
    Role.CUSTOMER: Role.PROVIDER,
    Role.ROUTE_SERVER: Role.ROUTE_SERVER_CLIENT,
    Role.ROUTE_SERVER_CLIENT: Role.ROUTE_SERVER,
    Role.PEER: Role.PEER,
}


@dataclass(frozen=True, slots=True)
class RoleCapability:
    """Our role, as a `Role` number; a peer's may be one that we do not know. RFC 9234 §4.1."""

    code: ClassVar[int] = 9
    role: int


@dataclass(frozen=True, slots=True)
class LongLivedGracefulRestart:
    """We keep stale routes for long. RFC 9494 §3.1.

    Args:
        families: each family, whether its forwarding state was preserved, and the seconds for
            which its stale routes may be kept, 0 to 16777215.
    """

    code: ClassVar[int] = 71
    families: tuple[tuple[Family, bool, int], ...]


@dataclass(frozen=True, slots=True)
class Fqdn:
    """Our name and domain, for people. draft-walton-bgp-hostname-capability."""

    code: ClassVar[int] = 73
    hostname: str
    domain: str = ""

    def __str__(self) -> str:
        return printable(f"{self.hostname}.{self.domain}" if self.domain else self.hostname)


@dataclass(frozen=True, slots=True)
class BfdStrict:
    """Our session waits for BFD. draft-ietf-idr-bgp-bfd-strict-mode."""

    code: ClassVar[int] = 74


@dataclass(frozen=True, slots=True)
class SoftwareVersion:
    """What we run, for people. draft-abraitis-bgp-version-capability."""

    code: ClassVar[int] = 75
    version: str

    def __str__(self) -> str:
        return printable(self.version)


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
    | RoleCapability
    | GracefulRestart
    | FourOctetAs
    | AddPath
    | EnhancedRouteRefresh
    | LongLivedGracefulRestart
    | Fqdn
    | BfdStrict
    | SoftwareVersion
    | UnknownCapability
)


def tlv(capability: Capability) -> bytes:
    """Return a capability as it stands in an OPEN: code, length, value. RFC 5492 §4."""
    value = value_octets(capability)
    return bytes((capability.code, len(value))) + value


def value_octets(capability: Capability) -> bytes:
    """Return the value field of a capability. RFC 5492 §4."""
    match capability:
        case Multiprotocol(family):
            return _family(family, b"\0")
        case FourOctetAs(asn):
            return asn.to_bytes(4, "big")
        case RoleCapability(role):
            return bytes((role,))
        case Fqdn(hostname, domain):
            return _text(hostname) + _text(domain)
        case SoftwareVersion(version):
            return _text(version)
        case UnknownCapability(_, data):
            return data
        case RouteRefreshCapability() | EnhancedRouteRefresh() | ExtendedMessage() | BfdStrict():
            return b""
        case _:
            return _octets_by_family(capability)


def _octets_by_family(
    capability: ExtendedNextHop | GracefulRestart | AddPath | LongLivedGracefulRestart,
) -> bytes:
    """Return the value field of a capability that lists families."""
    match capability:
        case AddPath(families):
            return b"".join(_family(family) + bytes((mode,)) for family, mode in families)
        case ExtendedNextHop(families):
            return b"".join(
                family.afi.to_bytes(2, "big")
                + family.safi.to_bytes(2, "big")
                + afi.to_bytes(2, "big")
                for family, afi in families
            )
        case LongLivedGracefulRestart(families):
            return b"".join(
                _family(family) + bytes((_FORWARDING * kept,)) + seconds.to_bytes(3, "big")
                for family, kept, seconds in families
            )
        case GracefulRestart():
            flags = _RESTART_STATE * capability.restart_state
            flags |= _RESTART_NOTIFICATION * capability.notification
            head = (flags << 12 | capability.restart_time & 0xFFF).to_bytes(2, "big")
            return head + b"".join(
                _family(family) + bytes((_FORWARDING * kept,))
                for family, kept in capability.families
            )


def _family(family: Family, between: bytes = b"") -> bytes:
    return family.afi.to_bytes(2, "big") + between + bytes((family.safi,))


def _text(text: str) -> bytes:
    """Return UTF-8 with its length in front; what does not fit is refused by the configuration."""
    octets = text.encode("utf-8")
    return bytes((len(octets),)) + octets
