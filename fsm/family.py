"""Address families: what kind of route a message is about.

An address family is a pair of an AFI (which addresses) and a SAFI (which use of them). Everything
in the router that exists once per kind of route, such as a table, an End-of-RIB or a refresh, is
keyed by a `Family`. This is a leaf: it imports nothing of ours, so that both `fsm` and `policy` may
name families without knowing each other.

The numbers are IANA's; a number that is not listed here cannot be a `Family`, and whoever decodes
it treats the route kind as one we do not speak.

Standards: RFC 4760 §3, §6.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class Afi(IntEnum):
    """Address Family Identifiers that BGP uses."""

    IPV4 = 1
    IPV6 = 2
    L2VPN = 25
    BGP_LS = 16388


class Safi(IntEnum):
    """Subsequent Address Family Identifiers that BGP uses."""

    UNICAST = 1
    MULTICAST = 2
    MPLS_LABEL = 4
    MCAST_VPN = 5
    ENCAPSULATION = 7
    VPLS = 65
    EVPN = 70
    BGP_LS = 71
    SR_POLICY = 73
    MPLS_VPN = 128
    MULTICAST_VPN = 129
    ROUTE_TARGET = 132
    FLOW = 133
    FLOW_VPN = 134


class Family(NamedTuple):
    """One kind of route, printed as people write it: `ipv4 unicast`."""

    afi: Afi
    safi: Safi

    def __str__(self) -> str:
        afi, safi = (part.name.lower().replace("_", "-") for part in self)
        return f"{afi} {safi}"


IPV4_UNICAST = Family(Afi.IPV4, Safi.UNICAST)
IPV6_UNICAST = Family(Afi.IPV6, Safi.UNICAST)
