"""Address families: what kind of route a message is about.

An address family is a pair of an AFI (which addresses) and a SAFI (which use of them). Everything
in the router that exists once per kind of route, such as a table, an End-of-RIB or a refresh, is
keyed by a `Family`. This is a leaf: it imports nothing of ours, so that both `fsm` and `policy` may
name families without knowing each other.

`NAMES` has the families that can be negotiated, by the one name that each has in keys and commands;
`parse_family` also takes what other daemons call them. Routes of all but the two unicast families
are relayed and never installed.

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
    BGP_LS_VPN = 72
    SR_POLICY = 73
    MUP = 85
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

NAMES: dict[str, Family] = {
    "ipv4": IPV4_UNICAST,
    "ipv6": IPV6_UNICAST,
    "ipv4-multicast": Family(Afi.IPV4, Safi.MULTICAST),
    "ipv6-multicast": Family(Afi.IPV6, Safi.MULTICAST),
    "ipv4-labelled": Family(Afi.IPV4, Safi.MPLS_LABEL),
    "ipv6-labelled": Family(Afi.IPV6, Safi.MPLS_LABEL),
    "ipv4-vpn": Family(Afi.IPV4, Safi.MPLS_VPN),
    "ipv6-vpn": Family(Afi.IPV6, Safi.MPLS_VPN),
    "ipv4-mcast-vpn": Family(Afi.IPV4, Safi.MCAST_VPN),
    "ipv6-mcast-vpn": Family(Afi.IPV6, Safi.MCAST_VPN),
    "ipv4-flow": Family(Afi.IPV4, Safi.FLOW),
    "ipv6-flow": Family(Afi.IPV6, Safi.FLOW),
    "ipv4-flow-vpn": Family(Afi.IPV4, Safi.FLOW_VPN),
    "ipv6-flow-vpn": Family(Afi.IPV6, Safi.FLOW_VPN),
    "ipv4-mup": Family(Afi.IPV4, Safi.MUP),
    "ipv6-mup": Family(Afi.IPV6, Safi.MUP),
    "ipv4-rtc": Family(Afi.IPV4, Safi.ROUTE_TARGET),
    "l2vpn-evpn": Family(Afi.L2VPN, Safi.EVPN),
    "l2vpn-vpls": Family(Afi.L2VPN, Safi.VPLS),
    "bgp-ls": Family(Afi.BGP_LS, Safi.BGP_LS),
    "bgp-ls-vpn": Family(Afi.BGP_LS, Safi.BGP_LS_VPN),
}
"""The families that can be negotiated, by name."""

RELAYED: frozenset[Family] = frozenset(NAMES.values()) - {IPV4_UNICAST, IPV6_UNICAST}
"""Those whose routes are passed on and not used."""

WITH_EITHER_NEXT_HOP: frozenset[Family] = frozenset(
    Family(Afi.IPV4, safi) for safi in (Safi.MULTICAST, Safi.MPLS_LABEL, Safi.MPLS_VPN)
)
"""Relayed families whose IPv4 routes have IPv6 next hops only where both ends agree on it (RFC 8950
§4); in the others of IPv4, the length of the next hop says enough.
"""

SYNONYMS: dict[str, str] = {
    "ipv4-unicast": "ipv4",
    "ipv6-unicast": "ipv6",
    "ipv4-labeled-unicast": "ipv4-labelled",
    "ipv6-labeled-unicast": "ipv6-labelled",
    "ipv4-labelled-unicast": "ipv4-labelled",
    "ipv6-labelled-unicast": "ipv6-labelled",
    "ipv4-nlri-mpls": "ipv4-labelled",
    "ipv6-nlri-mpls": "ipv6-labelled",
    "ipv4-mpls": "ipv4-labelled",
    "ipv6-mpls": "ipv6-labelled",
    "ipv4-mpls-label": "ipv4-labelled",
    "ipv6-mpls-label": "ipv6-labelled",
    "ipv4-mpls-vpn": "ipv4-vpn",
    "ipv6-mpls-vpn": "ipv6-vpn",
    "l3vpn-ipv4-unicast": "ipv4-vpn",
    "l3vpn-ipv6-unicast": "ipv6-vpn",
    "vpnv4": "ipv4-vpn",
    "vpnv6": "ipv6-vpn",
    "vpn4": "ipv4-vpn",
    "vpn6": "ipv6-vpn",
    "ipv4-mvpn": "ipv4-mcast-vpn",
    "ipv6-mvpn": "ipv6-mcast-vpn",
    "ipv4-flowspec": "ipv4-flow",
    "ipv6-flowspec": "ipv6-flow",
    "flow4": "ipv4-flow",
    "flow6": "ipv6-flow",
    "l3vpn-ipv4-flowspec": "ipv4-flow-vpn",
    "l3vpn-ipv6-flowspec": "ipv6-flow-vpn",
    "rtc": "ipv4-rtc",
    "ipv4-route-target": "ipv4-rtc",
    "evpn": "l2vpn-evpn",
    "vpls": "l2vpn-vpls",
    "bgp-ls-bgp-ls": "bgp-ls",
    "bgp-ls-bgp-ls-vpn": "bgp-ls-vpn",
    "ls": "bgp-ls",
    "link-state": "bgp-ls",
}
"""What other daemons call them."""


def parse_family(text: str) -> Family:
    """Find a family by its name or a synonym; blanks, ``_`` and ``/`` count as hyphens.

    Raises:
        ValueError: no family that can be negotiated is called so.
    """
    word = "-".join(text.lower().replace("_", " ").replace("/", " ").replace("-", " ").split())
    family = NAMES.get(SYNONYMS.get(word, word))
    if family is None:
        raise ValueError(f"{text!r} is no address family; there are {', '.join(NAMES)}")
    return family


def name_of(family: Family) -> str:
    """Give the name of a family, or its numbers in words where it cannot be negotiated."""
    return next((name for name, found in NAMES.items() if found == family), str(family))
