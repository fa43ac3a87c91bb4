"""The rare messages: OPEN, NOTIFICATION, ROUTE-REFRESH and KEEPALIVE, octets to values of
`fsm.messages` and back.

This is the one door to ExaBGP. Its encoder puts an OPEN together, its decoders take capabilities
apart, once per session; what they return is copied into values of ours at once, since its objects
are shared between messages. Its logger must be silenced before the first decode and its
process-wide caches switched off; `exabgp` does both, once. The list of capabilities is walked here,
so that each keeps its place, also one that stands there twice; what has no value of ours keeps
number and octets as they came.

Whatever goes wrong becomes an `OpenMessageError`: nothing that a peer sends may escape as another
exception.

Standards: RFC 4271 §4.2, §4.4, §4.5, §6.2; RFC 5492 §3-4; RFC 9072 §2; RFC 2918; RFC 7313;
RFC 8654 §4; RFC 9234 §4.1; RFC 9494 §3.1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from types import SimpleNamespace
from typing import Any, TypeVar

from fsm.capabilities import (
    AddPath,
    BfdStrict,
    Capability,
    EnhancedRouteRefresh,
    ExtendedMessage,
    ExtendedNextHop,
    FourOctetAs,
    Fqdn,
    GracefulRestart,
    LongLivedGracefulRestart,
    Multiprotocol,
    RoleCapability,
    RouteRefreshCapability,
    SoftwareVersion,
    UnknownCapability,
    value_octets,
)
from fsm.errors import OpenMessageError, RouteRefreshError
from fsm.family import Afi, Family, Safi
from fsm.messages import AS_TRANS, Keepalive, Message, Open, RouteRefresh
from fsm.notifications import Notification, OpenSubcode, RefreshSubcode
from speaker.wire import framing

_T = TypeVar("_T")
_CAPABILITIES = 2
"""The one optional parameter that there is (RFC 5492 §4)."""

_LONGEST_BODY = framing.MAX_LENGTH - framing.HEADER_LENGTH

_RESTART_STATE, _RESTART_NOTIFICATION = 0x8, 0x4
_FORWARDING = 0x80
_SIMPLE: dict[int, Capability] = {
    RouteRefreshCapability.code: RouteRefreshCapability(),
    EnhancedRouteRefresh.code: EnhancedRouteRefresh(),
    ExtendedMessage.code: ExtendedMessage(),
    BfdStrict.code: BfdStrict(),
}
"""Capabilities without a value."""


@cache
def exabgp() -> Any:
    """Prepare ExaBGP and give the parts of it that are used here (its types are not annotated)."""
    from exabgp.environment import getenv
    from exabgp.logger import log

    log.disable()
    getenv().cache.attributes = False
    from exabgp.bgp.message import Action
    from exabgp.bgp.message.notification import Notify
    from exabgp.bgp.message.open import Open as ExaOpen
    from exabgp.bgp.message.open.asn import ASN
    from exabgp.bgp.message.open.capability import Capabilities
    from exabgp.bgp.message.open.capability.capability import Capability as ExaCapability
    from exabgp.bgp.message.open.holdtime import HoldTime
    from exabgp.bgp.message.open.routerid import RouterID
    from exabgp.bgp.message.open.version import Version
    from exabgp.bgp.message.update.attribute import Attribute
    from exabgp.bgp.message.update.nlri import NLRI

    return SimpleNamespace(
        ASN=ASN,
        Action=Action,
        Attribute=Attribute,
        Capabilities=Capabilities,
        Capability=ExaCapability,
        HoldTime=HoldTime,
        NLRI=NLRI,
        Notify=Notify,
        Open=ExaOpen,
        RouterID=RouterID,
        Version=Version,
    )


def encode(message: Message) -> bytes:
    """Encode a message, header included."""
    match message:
        case Keepalive():
            return framing.KEEPALIVE_MESSAGE
        case Notification():
            # RFC 8654 §4: nothing longer goes to a peer that may not have offered to take it, and
            # data that quotes a whole message would be longer than any.
            body = bytes((message.code, message.subcode)) + message.data
            return framing.message(framing.NOTIFICATION, body[:_LONGEST_BODY])
        case RouteRefresh():
            afi, safi = message.family
            return framing.message(
                framing.ROUTE_REFRESH, afi.to_bytes(2, "big") + bytes((message.subtype, safi))
            )
        case Open():
            return _encode_open(message)


def _encode_open(message: Open) -> bytes:
    exa = exabgp()
    capabilities = exa.Capabilities()
    for index, capability in enumerate(message.capabilities):
        # The dict keeps our order, also where one code stands several times (multiprotocol).
        capabilities[_Code(capability.code, index)] = _Octets(value_octets(capability))
    encoded: bytes = exa.Open(
        exa.Version(4),
        exa.ASN(message.asn),
        exa.HoldTime(message.hold_time),
        exa.RouterID(".".join(map(str, message.router_id.to_bytes(4, "big")))),
        capabilities,
    ).message()
    return encoded


class _Code(int):
    """A capability code as a dictionary key of its own, whatever equal codes there are."""

    _index: int

    def __new__(cls, code: int, index: int) -> _Code:
        self = super().__new__(cls, code)
        self._index = index
        return self

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return self._index


class _Octets:
    """A capability whose octets are ready, in the shape ExaBGP's encoder asks for."""

    __slots__ = ("_octets",)

    def __init__(self, octets: bytes) -> None:
        self._octets = octets

    def extract(self) -> list[bytes]:
        return [self._octets]


def decode_open(body: bytes) -> Open:
    """Decode the body of an OPEN.

    Raises:
        OpenMessageError: the version is not 4, or the optional parameters are malformed (RFC 4271
            §6.2).
    """
    if body[0] != 4:
        # The data is the largest version we speak below the one that was offered: ours.
        raise OpenMessageError(
            OpenSubcode.UNSUPPORTED_VERSION_NUMBER, b"\x00\x04", f"version {body[0]}"
        )
    extended = len(body) > 10 and body[9] != 0 and body[10] == 255
    _check_parameters_length(body, extended=extended)
    capabilities = tuple(
        value
        for code, octets in _capability_tlvs(body, 2 if extended else 1)
        if (value := _value(code, octets)) is not None
    )
    asn = int.from_bytes(body[1:3], "big")
    for capability in capabilities:
        if isinstance(capability, FourOctetAs):
            asn = capability.asn
    hold_time, router_id = int.from_bytes(body[3:5], "big"), int.from_bytes(body[5:9], "big")
    return Open(asn, hold_time, router_id, capabilities)


def _check_parameters_length(body: bytes, *, extended: bool) -> None:
    """The optional parameters must fill the message exactly (RFC 4271 §4.2, RFC 9072 §2)."""
    length = body[9]
    given = len(body) - 10
    if extended:
        if len(body) < 13:
            raise OpenMessageError(0, b"", "the extended optional parameters are cut off")
        length, given = int.from_bytes(body[11:13], "big"), len(body) - 13
    if length != given:
        raise OpenMessageError(
            0, b"", f"optional parameters of {length} octets in a field of {given}"
        )


def _capability_tlvs(body: bytes, width: int) -> Iterator[tuple[int, bytes]]:
    """Walk the capabilities of an OPEN in their order: (code, value field).

    Args:
        body: of the OPEN.
        width: octets of a parameter's length, 2 in the extended form (RFC 9072 §2).
    """
    for kind, parameter in _tlvs(body[13 if width == 2 else 10 :], width, "parameter"):
        if kind != _CAPABILITIES:
            # Parameter 1 (authentication) too: RFC 4271 §4.2 has dropped it.
            raise OpenMessageError(
                OpenSubcode.UNSUPPORTED_OPTIONAL_PARAMETER, b"", f"optional parameter {kind}"
            )
        yield from _tlvs(parameter, 1, "capability")


def _tlvs(data: bytes, width: int, what: str) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        start = at + 1 + width
        end = start + int.from_bytes(data[at + 1 : start], "big")
        if start > len(data) or end > len(data):
            raise OpenMessageError(0, b"", f"a {what} is cut off")
        yield data[at], data[start:end]
        at = end


def _known_family(afi: int, safi: int) -> Family | None:
    try:
        return Family(Afi(afi), Safi(safi))
    except ValueError:
        return None


def _value(code: int, octets: bytes) -> Capability:
    """Turn a capability into a value; one that we do not interpret keeps its octets.

    So does one of ours that is only for people, if it is malformed: RFC 5492 §3 has us ignore
    what we cannot use, and a session is worth more than a name.

    Raises:
        OpenMessageError: a capability that the session depends on is malformed (RFC 4271 §6.2).
    """
    if code in _SIMPLE and not octets:
        return _SIMPLE[code]
    read = _OURS.get(code)
    if read is not None:
        return read(octets) or UnknownCapability(code, octets)
    convert = _EXABGPS.get(code)
    if convert is None:
        return UnknownCapability(code, octets)
    exa = exabgp()
    try:
        return convert(exa.Capability.unpack(code, {}, octets)) or UnknownCapability(code, octets)
    except exa.Notify as error:
        text = str(error)
    except Exception as error:
        # ExaBGP's capability decoders index into what the peer sent; that may fail in any way.
        text = str(error)
    raise OpenMessageError(0, b"", f"capability {code} is malformed ({text})")


# What ExaBGP decodes, from its objects.


def _multiprotocol(capability: Any) -> Capability | None:
    ((afi, safi),) = capability
    family = _known_family(int(afi), int(safi))
    return None if family is None else Multiprotocol(family)


def _four_octet_as(capability: Any) -> Capability:
    return FourOctetAs(int(capability))


def _graceful_restart(capability: Any) -> Capability:
    flags = int(capability.restart_flag)
    kept = tuple((family, bool(flag & _FORWARDING)) for family, flag in _known(capability.items()))
    return GracefulRestart(
        bool(flags & _RESTART_STATE),
        bool(flags & _RESTART_NOTIFICATION),
        int(capability.restart_time),
        kept,
    )


def _add_path(capability: Any) -> Capability:
    return AddPath(tuple((family, int(mode)) for family, mode in _known(capability.items())))


def _extended_next_hop(capability: Any) -> Capability:
    pairs = (((afi, safi), int(via)) for afi, safi, via in capability)
    return ExtendedNextHop(
        tuple((family, Afi(via)) for family, via in _known(pairs) if via in (1, 2))
    )


_EXABGPS: dict[int, Callable[[Any], Capability | None]] = {
    Multiprotocol.code: _multiprotocol,
    FourOctetAs.code: _four_octet_as,
    GracefulRestart.code: _graceful_restart,
    AddPath.code: _add_path,
    ExtendedNextHop.code: _extended_next_hop,
}


# What it does not know, or judges more strictly than we want, from octets.


def _role(octets: bytes) -> Capability | None:
    return RoleCapability(octets[0]) if len(octets) == 1 else None


def _long_lived(octets: bytes) -> Capability | None:
    """RFC 9494 §3.1: AFI, SAFI, flags and a stale time of three octets each."""
    if len(octets) % 7:
        return None
    entries = [octets[at : at + 7] for at in range(0, len(octets), 7)]
    pairs = (((int.from_bytes(e[:2], "big"), e[2]), e) for e in entries)
    return LongLivedGracefulRestart(
        tuple(
            (family, bool(entry[3] & _FORWARDING), int.from_bytes(entry[4:], "big"))
            for family, entry in _known(pairs)
        )
    )


def _fqdn(octets: bytes) -> Capability | None:
    hostname, rest = _text(octets)
    domain, rest = _text(rest)
    if hostname is None or domain is None or rest:
        return None
    return Fqdn(hostname, domain)


def _software_version(octets: bytes) -> Capability | None:
    version, rest = _text(octets)
    return None if version is None or rest else SoftwareVersion(version)


def _text(octets: bytes) -> tuple[str | None, bytes]:
    """Cut off a text with its length in front; None if it is cut short or no UTF-8."""
    end = 1 + octets[0] if octets else 0
    if not 0 < end <= len(octets):
        return None, b""
    try:
        return octets[1:end].decode("utf-8"), octets[end:]
    except UnicodeDecodeError:
        return None, b""


_OURS: dict[int, Callable[[bytes], Capability | None]] = {
    RoleCapability.code: _role,
    LongLivedGracefulRestart.code: _long_lived,
    Fqdn.code: _fqdn,
    SoftwareVersion.code: _software_version,
}


def _known(pairs: Iterable[tuple[tuple[int, int], _T]]) -> Iterator[tuple[Family, _T]]:
    """Leave out the families that we cannot name."""
    for (afi, safi), value in pairs:
        family = _known_family(int(afi), int(safi))
        if family is not None:
            yield family, value


def decode_notification(body: bytes) -> Notification:
    """Decode the body of a NOTIFICATION; the framer saw to it that code and subcode are there."""
    return Notification(body[0], body[1], body[2:])


def decode_route_refresh(body: bytes) -> RouteRefresh | None:
    """Decode the body of a ROUTE-REFRESH; None for a family or subtype we do not know.

    Raises:
        RouteRefreshError: a known subtype with a wrong length; it has the whole message as data
            (RFC 7313 §5).
    """
    subtype = body[2]
    if len(body) != 4 and subtype <= 2:
        whole = framing.message(framing.ROUTE_REFRESH, body)
        raise RouteRefreshError(RefreshSubcode.INVALID_MESSAGE_LENGTH, whole, f"{len(body)} octets")
    family = _known_family(body[0] << 8 | body[1], body[3])
    if family is None or subtype > 2:
        return None
    return RouteRefresh(family, subtype)


__all__ = [
    "AS_TRANS",
    "decode_notification",
    "decode_open",
    "decode_route_refresh",
    "encode",
    "exabgp",
]
