"""Words for values that occur all over an answer: sources, routes of the kernel, attributes."""

from __future__ import annotations

from collections.abc import Iterable

from fsm.family import Afi
from policy.attributes import PathAttributes
from policy.path import Hop, Source, SourceKind
from speaker.kernel.routes import Forwarding
from speaker.rib.underlay import KernelRoute, RouteKind
from speaker.route_views import way_text
from speaker.wire.describe import describe

_PROTOCOLS = {
    2: "kernel",
    3: "boot",
    4: "static",
    11: "zebra",
    12: "bird",
    16: "dhcp",
    80: "felix",
    186: "bgp",
    188: "ospf",
}
"""Names of the protocols that are often met (RTPROT, and what Felix uses)."""

_OWN = {
    SourceKind.STATIC: "our own",
    SourceKind.DIRECT: "a connected subnet",
    SourceKind.KERNEL: "a route of the kernel",
}


def source_text(source: Source) -> str:
    """Say what kind of source it is: ``eBGP AS 65002``, or which of our own."""
    if source.peer_type is not None:
        return f"{source.peer_type.value} AS {source.asn}"
    return _OWN.get(source.kind, source.kind.value)


def attribute_words(attributes: PathAttributes) -> tuple[tuple[str, str], ...]:
    """Give the attributes by name."""
    return tuple((name, value or "empty") for name, value in describe(attributes).items())


def hop_text(afi: Afi, hop: Hop, weight: int) -> str:
    """Say where packets go as ``ip route`` does."""
    words = way_text(afi, hop, weight)
    return f"via {words}" if hop.gateway else words


def foreign_text(afi: Afi, route: KernelRoute) -> str:
    """Say what a foreign route is, in the words of ``ip route``."""
    words = [_ways(afi, route.kind, route.hops)]
    words.append(f"proto {_PROTOCOLS.get(route.protocol, str(route.protocol))}")
    if route.metric:
        words.append(f"metric {route.metric}")
    return " ".join(words)


def forwarding_text(afi: Afi, forwarding: Forwarding) -> str:
    """Say how a route of ours is installed, in the words of ``ip route``."""
    # Of an object of an earlier run it is not known yet where it leads.
    by_object = f"nhid {forwarding.nexthop}" if forwarding.nexthop else ""
    words = [by_object or _ways(afi, forwarding.kind, forwarding.hops)]
    if forwarding.onlink:
        words.append("onlink")
    if forwarding.metric:
        words.append(f"metric {forwarding.metric}")
    return " ".join(words)


def _ways(afi: Afi, kind: RouteKind, hops: Iterable[Hop]) -> str:
    if kind is not RouteKind.UNICAST:
        return kind.name.lower()
    # Their order in the kernel means nothing and may change; for people it stays the same.
    ordered = sorted(hops, key=lambda hop: (hop.interface_name, hop.gateway))
    return ", ".join(hop_text(afi, hop, hop.weight) for hop in ordered) or "nowhere"
