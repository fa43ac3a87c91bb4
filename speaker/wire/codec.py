"""The rare messages: OPEN, NOTIFICATION, ROUTE-REFRESH and KEEPALIVE, octets to values of
`fsm.messages` and back.

This is the one door to ExaBGP. Its decoder takes an OPEN apart and its encoder puts one together,
once per session; what it returns is copied into values of ours at once, since its objects are
shared between messages. Its logger must be silenced before the first decode and its process-wide
caches switched off; `exabgp` does both, once. A capability that has no value of ours keeps number
and octets as they came, and ours are handed to it as octets.

Whatever it raises becomes an `OpenMessageError`: nothing that a peer sends may escape as another
exception.

Standards: RFC 4271 §4.2, §4.4, §4.5, §6.2; RFC 5492; RFC 9072; RFC 2918; RFC 7313.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from types import SimpleNamespace
from typing import Any

from fsm.errors import OpenMessageError, RouteRefreshError
from fsm.family import Afi, Family, Safi
from fsm.messages import (
    AS_TRANS,
    AddPath,
    Capability,
    EnhancedRouteRefresh,
    ExtendedMessage,
    ExtendedNextHop,
    FourOctetAs,
    GracefulRestart,
    Keepalive,
    Message,
    Multiprotocol,
    Open,
    RouteRefresh,
    RouteRefreshCapability,
    UnknownCapability,
)
from fsm.notifications import Notification, OpenSubcode, RefreshSubcode
from speaker.wire import framing

_RESTART_STATE, _RESTART_NOTIFICATION = 0x8, 0x4
_FORWARDING = 0x80
_SIMPLE: dict[int, Capability] = {
    RouteRefreshCapability.code: RouteRefreshCapability(),
    EnhancedRouteRefresh.code: EnhancedRouteRefresh(),
    ExtendedMessage.code: ExtendedMessage(),
}
"""Capabilities without a value."""


@cache
def exabgp() -> Any:
    """Prepare ExaBGP and give the parts of it that are used here (its types are not annotated)."""
    from exabgp.environment import getenv
    from exabgp.logger import log

    log.disable()
    getenv().cache.attributes = False
    from exabgp.bgp.message.notification import Notify
    from exabgp.bgp.message.open import Open as ExaOpen
    from exabgp.bgp.message.open.asn import ASN
    from exabgp.bgp.message.open.capability import Capabilities
    from exabgp.bgp.message.open.capability.capability import Capability as ExaCapability
    from exabgp.bgp.message.open.holdtime import HoldTime
    from exabgp.bgp.message.open.routerid import RouterID
    from exabgp.bgp.message.open.version import Version
    from exabgp.bgp.message.update.attribute import Attribute

    return SimpleNamespace(
        ASN=ASN,
        Attribute=Attribute,
        Capabilities=Capabilities,
        Capability=ExaCapability,
        HoldTime=HoldTime,
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
            return framing.message(
                framing.NOTIFICATION, bytes((message.code, message.subcode)) + message.data
            )
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
        capabilities[_Code(capability.code, index)] = _Octets(capability_octets(capability))
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


def capability_octets(capability: Capability) -> bytes:
    """Give the value field of a capability (RFC 5492 §4)."""
    match capability:
        case Multiprotocol(family):
            return _family_octets(family, b"\0")
        case FourOctetAs(asn):
            return asn.to_bytes(4, "big")
        case GracefulRestart():
            return _graceful_restart_octets(capability)
        case AddPath(families):
            return b"".join(_family_octets(family) + bytes((mode,)) for family, mode in families)
        case ExtendedNextHop(families):
            return b"".join(
                f.afi.to_bytes(2, "big") + f.safi.to_bytes(2, "big") + afi.to_bytes(2, "big")
                for f, afi in families
            )
        case UnknownCapability(_, data):
            return data
        case RouteRefreshCapability() | EnhancedRouteRefresh() | ExtendedMessage():
            return b""


def _family_octets(family: Family, between: bytes = b"") -> bytes:
    return family.afi.to_bytes(2, "big") + between + bytes((family.safi,))


def _graceful_restart_octets(capability: GracefulRestart) -> bytes:
    flags = (_RESTART_STATE if capability.restart_state else 0) | (
        _RESTART_NOTIFICATION if capability.notification else 0
    )
    head = (flags << 12 | capability.restart_time & 0xFFF).to_bytes(2, "big")
    return head + b"".join(
        _family_octets(family) + bytes((_FORWARDING if kept else 0,))
        for family, kept in capability.families
    )


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
    exa = exabgp()
    extended = len(body) > 10 and body[9] != 0 and body[10] == 255
    if extended:
        # RFC 9072 §2: the old length is disregarded then; ExaBGP wants to see it as 255.
        body = body[:9] + b"\xff" + body[10:]
    _check_parameters_length(body, extended=extended)
    try:
        decoded = exa.Open.unpack_message(body)
        octets = dict(_capability_tlvs(body, extended=extended))
        capabilities = tuple(
            value
            for code, capability in decoded.capabilities.items()
            for value in _values(int(code), capability, octets)
        )
    except exa.Notify as error:
        code, subcode = int(error.code), int(error.subcode)
        raise OpenMessageError(subcode if code == 2 else 0, b"", str(error)) from None
    except Exception as error:
        # ExaBGP's capability decoders index into what the peer sent; that may fail in any way.
        raise OpenMessageError(0, b"", f"its capabilities are malformed ({error})") from None
    asn = int(decoded.asn)
    for capability in capabilities:
        if isinstance(capability, FourOctetAs):
            asn = capability.asn
    return Open(asn, int(decoded.hold_time), int.from_bytes(body[5:9], "big"), capabilities)


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


def _capability_tlvs(body: bytes, *, extended: bool) -> Iterator[tuple[int, bytes]]:
    """Walk the capabilities of an OPEN that is known to be well-formed: (code, octets)."""
    at, head = (13, 3) if extended else (10, 2)
    while at < len(body):
        end = at + head + int.from_bytes(body[at + 1 : at + head], "big")
        at += head
        while at < end:
            after = at + 2 + body[at + 1]
            yield body[at], body[at + 2 : after]
            at = after


def _known_family(afi: int, safi: int) -> Family | None:
    try:
        return Family(Afi(afi), Safi(safi))
    except ValueError:
        return None


def _values(code: int, capability: Any, octets: Mapping[int, bytes]) -> list[Capability]:
    """Turn a capability of ExaBGP's into values of ours; others keep the octets that came."""
    if code == Multiprotocol.code:
        return [Multiprotocol(family) for family in _families(capability)]
    if code == FourOctetAs.code:
        return [FourOctetAs(int(capability))]
    if code == GracefulRestart.code:
        flags = int(capability.restart_flag)
        return [
            GracefulRestart(
                bool(flags & _RESTART_STATE),
                bool(flags & _RESTART_NOTIFICATION),
                int(capability.restart_time),
                tuple(
                    (family, bool(flag & _FORWARDING))
                    for (afi, safi), flag in capability.items()
                    if (family := _known_family(int(afi), int(safi)))
                ),
            )
        ]
    if code == AddPath.code:
        return [
            AddPath(
                tuple(
                    (family, int(mode))
                    for (afi, safi), mode in capability.items()
                    if (family := _known_family(int(afi), int(safi)))
                )
            )
        ]
    if code == ExtendedNextHop.code:
        return [
            ExtendedNextHop(
                tuple(
                    (family, Afi(int(via)))
                    for afi, safi, via in capability
                    if (family := _known_family(int(afi), int(safi))) and int(via) in (1, 2)
                )
            )
        ]
    return [_SIMPLE[code] if code in _SIMPLE else UnknownCapability(code, octets[code])]


def _families(pairs: Iterable[tuple[int, int]]) -> list[Family]:
    known = (_known_family(int(afi), int(safi)) for afi, safi in pairs)
    return [family for family in known if family is not None]


def decode_notification(body: bytes) -> Notification:
    """Decode the body of a NOTIFICATION; the framer saw to it that code and subcode are there."""
    return Notification(body[0], body[1], body[2:])


def decode_route_refresh(body: bytes) -> RouteRefresh | None:
    """Decode the body of a ROUTE-REFRESH; None for a family or subtype we do not know.

    Raises:
        RouteRefreshError: a known subtype with a wrong length (RFC 7313 §5).
    """
    subtype = body[2]
    if len(body) != 4 and subtype <= 2:
        raise RouteRefreshError(RefreshSubcode.INVALID_MESSAGE_LENGTH, body, f"{len(body)} octets")
    family = _known_family(body[0] << 8 | body[1], body[3])
    if family is None or subtype > 2:
        return None
    return RouteRefresh(family, subtype)


__all__ = [
    "AS_TRANS",
    "capability_octets",
    "decode_notification",
    "decode_open",
    "decode_route_refresh",
    "encode",
    "exabgp",
]
