"""What one configured peer's session is made from.

`SessionConfig` is a frozen value: changing it means a new `Session`. It says who we are, whom we
expect, what we offer and how patient we are; how to reach the peer (addresses, ports, passwords) is
the shell's business and does not appear.

A configuration that no session could be run with is refused at once by `LocalError`; the texts of
a user's configuration are checked upstairs, where the user can be told file and line.

Standards: RFC 4271 §4.2, §8.1, §8.1.1, §10; RFC 5492 §4-5; RFC 6286 §2; RFC 7607 §2; RFC 7911 §4;
RFC 8950 §4; RFC 9234 §4; RFC 9687 §4.
"""

from __future__ import annotations

from dataclasses import dataclass

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
    Role,
    RoleCapability,
    RouteRefreshCapability,
    SendReceive,
    SoftwareVersion,
)
from fsm.errors import LocalError
from fsm.family import IPV4_UNICAST, Afi, Family
from fsm.messages import Open

LARGE_HOLD_TIME = 240.0
"""Seconds to wait for the peer's OPEN: "a large value" of 4 minutes. RFC 4271 §8.2.2."""

ACCEPTED_HOLD_TIME = 30.0
"""Seconds that somebody who connected to us has for his OPEN."""

_SHORTEST_HOLD_TIME = 3
_LARGEST_TWO_OCTETS = 0xFFFF
_LARGEST_FOUR_OCTETS = 0xFFFF_FFFF
_LONGEST_TEXT = 64


@dataclass(frozen=True, slots=True)
class SessionConfig:
    """The configuration of one peer's session.

    Args:
        local_asn: our AS number towards this peer.
        peer_asn: the only AS number the peer may have.
        router_id: our BGP Identifier as a number, never 0.
        families: what we offer to exchange; at least one.
        hold_time: seconds we offer, 0 for a session without KEEPALIVEs, else at least 3.
        keepalive_time: seconds between our KEEPALIVEs; a third of the negotiated hold time if None
            or if greater than that.
        connect_retry_time: seconds between attempts to dial; a dial without an answer takes no
            longer either.
        open_hold_time: seconds that a connection may take to become Established: so long we wait
            for the peer's OPEN, and where the hold time is 0 for its KEEPALIVE.
        accepted_open_hold_time: the same for a connection that we accepted, if less: whoever
            connects has his OPEN ready, and one who says nothing must not keep the place of the
            peer for long.
        send_hold_time: seconds for which the peer may take nothing of what waits to be sent, 0 for
            ever; the greater of 8 minutes and twice the negotiated hold time if None.
        delay_open_time: seconds to wait for the peer's OPEN before sending ours; 0 sends at once.
        idle_hold: the first and the longest wait after a failure, in seconds.
        damp_peer_oscillations: let the wait double from failure to failure.
        allow_automatic_start: start again after a failure, and heed the automatic start events.
        allow_automatic_stop: heed AutomaticStop.
        notify_without_open: answer a broken message by a NOTIFICATION although our OPEN is held
            back still.
        passive: never dial; wait for the peer.
        route_refresh: offer ROUTE-REFRESH.
        enhanced_route_refresh: offer to mark the begin and end of a refresh, if it is offered.
        four_octet_as: offer four-octet AS numbers.
        extended_message: offer messages of up to 65535 octets.
        add_path: families with what we offer to do with several paths.
        extended_next_hop: families with the AFI that their next hops may have besides.
        role: what we are to the peer, between two ASes only.
        strict_role: refuse a peer that does not tell its role.
        graceful_restart: the capability to offer.
        long_lived: the capability to offer beside it.
        hostname: our name, shown at the peer; none if empty.
        domain: the domain of that name.
        software_version: what we run, shown at the peer; none if empty.
        bfd_strict: try no session before BFD is up.
        bfd_hold_down: seconds for which BFD has to be up then.
        extra_capabilities: whatever else to offer, as values.
        required: codes of capabilities, of those we offer, that the peer must have; code 1 means
            every family of ours.

    Raises:
        LocalError: if no session could be run with these values.
    """

    local_asn: int
    peer_asn: int
    router_id: int
    families: tuple[Family, ...] = (IPV4_UNICAST,)
    hold_time: int = 90
    keepalive_time: int | None = None
    connect_retry_time: float = 120.0
    open_hold_time: float = LARGE_HOLD_TIME
    accepted_open_hold_time: float = ACCEPTED_HOLD_TIME
    send_hold_time: float | None = None
    delay_open_time: float = 0.0
    idle_hold: tuple[float, float] = (5.0, 60.0)
    damp_peer_oscillations: bool = True
    allow_automatic_start: bool = True
    allow_automatic_stop: bool = True
    notify_without_open: bool = False
    passive: bool = False
    route_refresh: bool = True
    enhanced_route_refresh: bool = True
    four_octet_as: bool = True
    extended_message: bool = False
    add_path: tuple[tuple[Family, SendReceive], ...] = ()
    extended_next_hop: tuple[tuple[Family, Afi], ...] = ()
    role: Role | None = None
    strict_role: bool = False
    graceful_restart: GracefulRestart | None = None
    long_lived: LongLivedGracefulRestart | None = None
    hostname: str = ""
    domain: str = ""
    software_version: str = ""
    bfd_strict: bool = False
    bfd_hold_down: float = 0.0
    extra_capabilities: tuple[Capability, ...] = ()
    required: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        for demand, is_met in (self._demands() | self._demands_of_offers()).items():
            if not is_met:
                raise LocalError(f"impossible session: {demand}")

    def _demands(self) -> dict[str, bool]:
        shortest, longest = self.idle_hold
        return {
            "AS numbers lie in 1..4294967295": all(
                0 < asn <= _LARGEST_FOUR_OCTETS for asn in (self.local_asn, self.peer_asn)
            ),
            "the router id lies in 1..4294967295": 0 < self.router_id <= _LARGEST_FOUR_OCTETS,
            "at least one family": bool(self.families),
            "the hold time is 0 or lies in 3..65535": self.hold_time == 0
            or _SHORTEST_HOLD_TIME <= self.hold_time <= _LARGEST_TWO_OCTETS,
            "the keepalive time is above 0": self.keepalive_time is None or self.keepalive_time > 0,
            "the connect retry time is above 0": self.connect_retry_time > 0,
            "the wait for an OPEN is above 0": min(
                self.open_hold_time, self.accepted_open_hold_time
            )
            > 0,
            "the send hold time is not below 0": (self.send_hold_time or 0) >= 0,
            "the delay of the OPEN is not below 0": self.delay_open_time >= 0,
            "the hold-down of BFD is not below 0": self.bfd_hold_down >= 0,
            "idle hold is (shortest, longest), above 0": 0 < shortest <= longest,
        }

    def _demands_of_offers(self) -> dict[str, bool]:
        told = {family for family, _ in (*self.add_path, *self.extended_next_hop)}
        return {
            "several paths and next hops are about families of the session": told
            <= set(self.families),
            "a role is for two ASes": self.role is None or not self.is_internal,
            "a strict role is a role": self.role is not None or not self.strict_role,
            "names and the software version have at most 64 octets": all(
                len(text.encode()) <= _LONGEST_TEXT
                for text in (self.hostname, self.domain, self.software_version)
            ),
            "what is required is offered": self.required
            <= {capability.code for capability in self.capabilities()},
        }

    @property
    def is_internal(self) -> bool:
        """Both ends are in one AS."""
        return self.local_asn == self.peer_asn

    def capabilities(self) -> tuple[Capability, ...]:
        """Return what we offer, ascending by capability code, families in configured order.

        One order for all keeps an OPEN comparable byte by byte with those of other speakers that
        sort alike.
        """
        marks_refresh = self.route_refresh and self.enhanced_route_refresh
        offered: list[Capability | None] = [
            *(Multiprotocol(family) for family in self.families),
            RouteRefreshCapability() if self.route_refresh else None,
            ExtendedNextHop(self.extended_next_hop) if self.extended_next_hop else None,
            ExtendedMessage() if self.extended_message else None,
            RoleCapability(self.role) if self.role is not None else None,
            self.graceful_restart,
            FourOctetAs(self.local_asn) if self.four_octet_as else None,
            AddPath(self.add_path) if self.add_path else None,
            EnhancedRouteRefresh() if marks_refresh else None,
            self.long_lived,
            Fqdn(self.hostname, self.domain) if self.hostname else None,
            BfdStrict() if self.bfd_strict else None,
            SoftwareVersion(self.software_version) if self.software_version else None,
            *self.extra_capabilities,
        ]
        present = (capability for capability in offered if capability is not None)
        return tuple(sorted(present, key=lambda capability: capability.code))

    def open_message(self, *, with_capabilities: bool = True) -> Open:
        """Return the OPEN we send.

        Args:
            with_capabilities: False for a peer that refuses the optional parameter. RFC 5492 §3.
        """
        capabilities = self.capabilities() if with_capabilities else ()
        return Open(self.local_asn, self.hold_time, self.router_id, capabilities)

    @property
    def works_without_capabilities(self) -> bool:
        """An OPEN without capabilities could still lead to a session of use.

        Without them there is IPv4 unicast alone, and an AS number that does not fit two octets
        would be told as AS_TRANS, which the peer does not expect from us.
        """
        return (
            IPV4_UNICAST in self.families
            and self.local_asn <= _LARGEST_TWO_OCTETS
            and not self.required
            and not self.strict_role
        )
