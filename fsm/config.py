"""What one configured peer's session is made from.

`SessionConfig` is a frozen value: changing it means a new `Session`. It says who we are, whom we
expect, what we offer and how patient we are; how to reach the peer (addresses, ports, passwords) is
the shell's business and does not appear.

A configuration that no session could be run with is refused at once by `LocalError`; the texts of
a user's configuration are checked upstairs, where the user can be told file and line.

Standards: RFC 4271 §4.2, §8.1, §10; RFC 5492 §4; RFC 6286 §2; RFC 7607 §2.
"""

from __future__ import annotations

from dataclasses import dataclass

from fsm.errors import LocalError
from fsm.family import IPV4_UNICAST, Family
from fsm.messages import (
    Capability,
    EnhancedRouteRefresh,
    FourOctetAs,
    Multiprotocol,
    Open,
    RouteRefreshCapability,
)

_SHORTEST_HOLD_TIME = 3
_LARGEST_TWO_OCTETS = 0xFFFF
_LARGEST_FOUR_OCTETS = 0xFFFF_FFFF


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
        connect_retry_time: seconds between attempts to dial.
        delay_open_time: seconds to wait for the peer's OPEN before sending ours; 0 sends at once.
        idle_hold: the first and the longest wait after a failure, in seconds.
        passive: never dial; wait for the peer.
        route_refresh: offer ROUTE-REFRESH.
        enhanced_route_refresh: offer to mark the begin and end of a refresh.
        four_octet_as: offer four-octet AS numbers.
        extra_capabilities: whatever else to offer, as values.

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
    delay_open_time: float = 0.0
    idle_hold: tuple[float, float] = (5.0, 60.0)
    passive: bool = False
    route_refresh: bool = True
    enhanced_route_refresh: bool = False
    four_octet_as: bool = True
    extra_capabilities: tuple[Capability, ...] = ()

    def __post_init__(self) -> None:
        shortest, longest = self.idle_hold
        demands = {
            "AS numbers lie in 1..4294967295": all(
                0 < asn <= _LARGEST_FOUR_OCTETS for asn in (self.local_asn, self.peer_asn)
            ),
            "the router id lies in 1..4294967295": 0 < self.router_id <= _LARGEST_FOUR_OCTETS,
            "at least one family": bool(self.families),
            "the hold time is 0 or lies in 3..65535": self.hold_time == 0
            or _SHORTEST_HOLD_TIME <= self.hold_time <= _LARGEST_TWO_OCTETS,
            "the keepalive time is above 0": self.keepalive_time is None or self.keepalive_time > 0,
            "the connect retry time is above 0": self.connect_retry_time > 0,
            "the delay of the OPEN is not below 0": self.delay_open_time >= 0,
            "idle hold is (shortest, longest), above 0": 0 < shortest <= longest,
        }
        for demand, is_met in demands.items():
            if not is_met:
                raise LocalError(f"impossible session: {demand}")

    @property
    def is_internal(self) -> bool:
        """Both ends are in one AS."""
        return self.local_asn == self.peer_asn

    def capabilities(self) -> tuple[Capability, ...]:
        """Return what we offer, ascending by capability code, families in configured order.

        One order for all keeps an OPEN comparable byte by byte with those of other speakers that
        sort alike.
        """
        offered: list[Capability] = [Multiprotocol(family) for family in self.families]
        if self.route_refresh:
            offered.append(RouteRefreshCapability())
        if self.four_octet_as:
            offered.append(FourOctetAs(self.local_asn))
        if self.enhanced_route_refresh:
            offered.append(EnhancedRouteRefresh())
        offered.extend(self.extra_capabilities)
        return tuple(sorted(offered, key=lambda capability: capability.code))

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
        return IPV4_UNICAST in self.families and self.local_asn <= _LARGEST_TWO_OCTETS
