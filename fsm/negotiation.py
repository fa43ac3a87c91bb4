"""Negotiation: two OPENs become what both ends agreed, or the error to send.

`negotiate` compares the OPEN we sent with the one we received. It either returns a `Negotiated`,
which is all that the rest of the router needs to know about the session, or raises the
`OpenMessageError` that says to the peer what is wrong. It sees values only: an OPEN with broken
bytes was refused earlier, by the codec.

Checks follow the order of RFC 4271 §6.2: AS number, BGP Identifier, hold time, capabilities. What
only one end offers is not in force; a capability that we do not know is ignored.

Standards: RFC 4271 §4.2, §6.2; RFC 5492 §3-5; RFC 4760 §8; RFC 6286 §2.1-2.2; RFC 6793 §4.1;
RFC 7607 §2; RFC 7911 §4; RFC 8538 §2; RFC 8950 §4; RFC 4724 §3; RFC 9234 §4.2; RFC 9494 §3.1;
RFC 9687 §6.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from fsm.capabilities import (
    AddPath,
    Capability,
    EnhancedRouteRefresh,
    ExtendedMessage,
    ExtendedNextHop,
    FourOctetAs,
    Fqdn,
    GracefulRestart,
    LongLivedGracefulRestart,
    Multiprotocol,
    Role,
    RoleCapability,
    RouteRefreshCapability,
    SendReceive,
    SoftwareVersion,
    tlv,
)
from fsm.config import SessionConfig
from fsm.errors import OpenMessageError
from fsm.family import IPV4_UNICAST, Afi, Family
from fsm.messages import Open
from fsm.notifications import OpenSubcode

_KEEPALIVES_PER_HOLD_TIME = 3
_SHORTEST_SEND_HOLD_TIME = 480.0
_C = TypeVar("_C", bound=Capability)


@dataclass(frozen=True, slots=True)
class Negotiated:
    """What both ends of a session agreed.

    Args:
        local_asn: our AS number.
        peer_asn: the peer's true AS number.
        peer_router_id: the peer's BGP Identifier.
        families: what both offered.
        hold_time: seconds, 0 if neither end times the other.
        keepalive_time: seconds between our KEEPALIVEs before jitter, 0 if none are sent.
        four_octet_as: AS numbers in UPDATEs have four octets.
        route_refresh: both answer ROUTE-REFRESH.
        enhanced_route_refresh: both mark the begin and end of a refresh.
        extended_message: messages up to 65535 octets may be sent.
        add_path_receive: families in which the peer sends path identifiers.
        add_path_send: families in which we send path identifiers.
        extended_next_hop: families and next-hop AFIs that both take.
        graceful_restart: the peer's own capability, None if it has none.
        restarts_gracefully: each end keeps the other's routes while it restarts.
        restarts_on_notification: both restart gracefully on a NOTIFICATION too, but not on a Hard
            Reset.
        long_lived: the peer's own capability, None if it has none.
        is_long_lived: each end keeps the other's routes as a last resort for longer.
        role: what we are to the peer, None if nobody said so.
        peer_role: what the peer said that it is, None if it said nothing.
        send_hold_time: seconds for which the peer may take nothing, 0 for ever.
        peer_hostname: the peer's name in its own words, "" if it did not tell.
        peer_software: what the peer runs in its own words, "" if it did not tell.
        peer_capabilities: all that the peer offered, in its order.
    """

    local_asn: int
    peer_asn: int
    peer_router_id: int
    families: frozenset[Family]
    hold_time: int
    keepalive_time: float
    four_octet_as: bool = False
    route_refresh: bool = False
    enhanced_route_refresh: bool = False
    extended_message: bool = False
    add_path_receive: frozenset[Family] = frozenset()
    add_path_send: frozenset[Family] = frozenset()
    extended_next_hop: frozenset[tuple[Family, Afi]] = frozenset()
    graceful_restart: GracefulRestart | None = None
    restarts_gracefully: bool = False
    restarts_on_notification: bool = False
    long_lived: LongLivedGracefulRestart | None = None
    is_long_lived: bool = False
    role: Role | None = None
    peer_role: Role | None = None
    send_hold_time: float = 0.0
    peer_hostname: str = ""
    peer_software: str = ""
    peer_capabilities: tuple[Capability, ...] = ()

    @property
    def marked_families(self) -> frozenset[Family]:
        """The families of which the peer says when it has told all it has.

        Who speaks graceful restart does, also of families that it cannot preserve itself. RFC 4724
        §3.
        """
        return self.families if self.restarts_gracefully else frozenset()

    @property
    def has_restarted(self) -> bool:
        """The peer has just restarted, and waits for our End-of-RIB. RFC 4724 §3."""
        return self.graceful_restart is not None and self.graceful_restart.restart_state

    @property
    def is_internal(self) -> bool:
        """Both ends are in one AS."""
        return self.local_asn == self.peer_asn


def negotiate(sent: Open, received: Open, config: SessionConfig) -> Negotiated:
    """Compare two OPENs.

    Args:
        sent: our OPEN on this connection, which may offer less than the configuration would.
        received: the peer's.
        config: whom we expect, and how often we want to send KEEPALIVEs.

    Raises:
        OpenMessageError: if we cannot agree; it carries the NOTIFICATION. RFC 4271 §6.2.
    """
    _check_asn(received, config)
    _check_router_id(received, config)
    _check_hold_time(received)
    families = _common_families(sent, received)
    _check_required(sent, received, config)
    peer_role = _peer_role(received, config)
    hold_time = min(sent.hold_time, received.hold_time)
    receive, send = _add_path(sent, received, families)
    return Negotiated(
        local_asn=config.local_asn,
        peer_asn=received.asn,
        peer_router_id=received.router_id,
        families=families,
        hold_time=hold_time,
        keepalive_time=_keepalive_time(hold_time, config),
        four_octet_as=_both(sent, received, FourOctetAs),
        route_refresh=_both(sent, received, RouteRefreshCapability),
        enhanced_route_refresh=_both(sent, received, EnhancedRouteRefresh),
        extended_message=_both(sent, received, ExtendedMessage),
        add_path_receive=receive,
        add_path_send=send,
        extended_next_hop=frozenset(
            entry for entry in _next_hops(sent) & _next_hops(received) if entry[0] in families
        ),
        graceful_restart=_first(received, GracefulRestart),
        restarts_gracefully=_both(sent, received, GracefulRestart),
        restarts_on_notification=all(
            (graceful := _first(message, GracefulRestart)) and graceful.notification
            for message in (sent, received)
        ),
        long_lived=_first(received, LongLivedGracefulRestart),
        # RFC 9494 §4.1: without the capability of RFC 4724 this one is ignored.
        is_long_lived=_both(sent, received, GracefulRestart)
        and _both(sent, received, LongLivedGracefulRestart),
        role=config.role,
        peer_role=peer_role,
        send_hold_time=_send_hold_time(hold_time, config),
        peer_hostname=str(_first(received, Fqdn) or ""),
        peer_software=str(_first(received, SoftwareVersion) or ""),
        peer_capabilities=received.capabilities,
    )


def _check_asn(received: Open, config: SessionConfig) -> None:
    """RFC 4271 §6.2, RFC 7607 §2: AS 0 is nobody's, so it is never the expected one."""
    if received.asn != config.peer_asn or received.asn == 0:
        text = f"the peer says it is AS {received.asn}, expected AS {config.peer_asn}"
        raise OpenMessageError(OpenSubcode.BAD_PEER_AS, text=text)


def _check_router_id(received: Open, config: SessionConfig) -> None:
    """RFC 6286 §2.2: the identifier is not zero, and within one AS it is not ours."""
    if received.router_id == 0:
        text = "the peer's BGP Identifier is 0.0.0.0"
    elif config.is_internal and received.router_id == config.router_id:
        text = "the peer has our own BGP Identifier"
    else:
        return
    raise OpenMessageError(OpenSubcode.BAD_BGP_IDENTIFIER, text=text)


def _check_hold_time(received: Open) -> None:
    """RFC 4271 §4.2: "Hold Time MUST be either zero or at least three seconds"."""
    if received.hold_time in (1, 2):
        text = f"the peer offers a hold time of {received.hold_time} s"
        raise OpenMessageError(OpenSubcode.UNACCEPTABLE_HOLD_TIME, text=text)


def _common_families(sent: Open, received: Open) -> frozenset[Family]:
    """RFC 5492 §3, §5: the error lists the capabilities whose lack leaves nothing to talk about."""
    ours, theirs = _families(sent), _families(received)
    if common := frozenset(ours) & frozenset(theirs):
        return common
    said = ", ".join(str(family) for family in theirs) or "no family that we know"
    raise OpenMessageError(
        OpenSubcode.UNSUPPORTED_CAPABILITY,
        b"".join(tlv(Multiprotocol(family)) for family in ours),
        f"no family in common: the peer offers {said}",
    )


def _families(message: Open) -> tuple[Family, ...]:
    """RFC 4760 §8: without the capability a speaker exchanges IPv4 unicast, as RFC 4271 has it.

    Families that we cannot even name reach us as unknown capabilities with the same code. A peer
    that lists only such does list, and thereby does not speak IPv4 unicast.
    """
    if any(capability.code == Multiprotocol.code for capability in message.capabilities):
        return tuple(capability.family for capability in _each(message, Multiprotocol))
    return (IPV4_UNICAST,)


def _check_required(sent: Open, received: Open, config: SessionConfig) -> None:
    """RFC 5492 §5: the error lists what we cannot do without."""
    codes = {capability.code for capability in received.capabilities}
    missing = [
        capability
        for capability in sent.capabilities
        if capability.code in config.required
        and (
            capability.code not in codes
            or (isinstance(capability, Multiprotocol) and capability not in received.capabilities)
        )
    ]
    if missing:
        names = ", ".join(dict.fromkeys(type(capability).__name__ for capability in missing))
        raise OpenMessageError(
            OpenSubcode.UNSUPPORTED_CAPABILITY,
            b"".join(map(tlv, missing)),
            f"the peer lacks what is required: {names}",
        )


def _peer_role(received: Open, config: SessionConfig) -> Role | None:
    """Check the roles against each other. RFC 9234 §4.2.

    A role that is malformed reaches us as an unknown capability; it is none that we could accept.
    """
    told = {c for c in received.capabilities if c.code == RoleCapability.code}
    if config.role is None:
        return _known_role(told)
    if not told and not config.strict_role:
        return None
    if told == {RoleCapability(config.role.counterpart)}:
        return config.role.counterpart
    said = " and ".join(sorted(map(_role_words, told))) or "nothing of it"
    raise OpenMessageError(
        OpenSubcode.ROLE_MISMATCH,
        text=f"our role is {config.role}, and the peer says {said} about its own",
    )


def _known_role(told: set[Capability]) -> Role | None:
    roles = [role for role in Role if told == {RoleCapability(role)}]
    return roles[0] if roles else None


def _role_words(capability: Capability) -> str:
    if isinstance(capability, RoleCapability):
        known = [role for role in Role if role == capability.role]
        return str(known[0]) if known else f"role {capability.role}"
    return "something malformed"


def _keepalive_time(hold_time: int, config: SessionConfig) -> float:
    """RFC 4271 §4.4: a third of the hold time is a reasonable maximum, so we never send slower.

    A configured interval longer than that would let the session flap for ever with a peer that
    negotiated a short hold time.
    """
    longest = hold_time / _KEEPALIVES_PER_HOLD_TIME
    return longest if config.keepalive_time is None else min(longest, float(config.keepalive_time))


def _send_hold_time(hold_time: int, config: SessionConfig) -> float:
    """RFC 9687 §6: by default the greater of 8 minutes and twice the hold time.

    *Ours:* with a hold time of 0 nobody times anybody, unless the configuration says so.
    """
    if config.send_hold_time is not None:
        return config.send_hold_time
    return max(_SHORTEST_SEND_HOLD_TIME, 2.0 * hold_time) if hold_time else 0.0


def _add_path(
    sent: Open, received: Open, families: frozenset[Family]
) -> tuple[frozenset[Family], frozenset[Family]]:
    """Return the families in which we receive, and in which we send, path identifiers.

    RFC 7911 §4: one end must be able to send and the other to receive.
    """
    ours, theirs = _directions(sent), _directions(received)
    common = [family for family in families if family in ours and family in theirs]

    def agreed(ours_can: SendReceive, theirs_can: SendReceive) -> frozenset[Family]:
        return frozenset(f for f in common if ours[f] & ours_can and theirs[f] & theirs_can)

    return (
        agreed(SendReceive.RECEIVE, SendReceive.SEND),
        agreed(SendReceive.SEND, SendReceive.RECEIVE),
    )


def _directions(message: Open) -> dict[Family, int]:
    """RFC 7911 §4: a number other than 1, 2, 3 is ignored; the last of two for a family counts."""
    return {
        family: direction
        for capability in _each(message, AddPath)
        for family, direction in capability.families
        if direction in (SendReceive.RECEIVE, SendReceive.SEND, SendReceive.BOTH)
    }


def _next_hops(message: Open) -> frozenset[tuple[Family, Afi]]:
    return frozenset(
        entry for capability in _each(message, ExtendedNextHop) for entry in capability.families
    )


def _each(message: Open, kind: type[_C]) -> Iterable[_C]:
    return (capability for capability in message.capabilities if isinstance(capability, kind))


def _first(message: Open, kind: type[_C]) -> _C | None:
    return next(iter(_each(message, kind)), None)


def _both(sent: Open, received: Open, kind: type[_C]) -> bool:
    return any(_each(sent, kind)) and any(_each(received, kind))
