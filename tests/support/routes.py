"""Builders of prefixes, attributes and paths, for tests that say only what matters to them."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any

from hypothesis import strategies as st

from fsm.family import Afi
from policy.attributes import (
    FLAGS,
    Attribute,
    LargeCommunity,
    PathAttributes,
    SegmentType,
    tlv,
)
from policy.path import Hop, NextHop, Path, PeerType, Source, SourceKind
from policy.prefix import WIDTH, Nlri, is_routable, pack, parse_prefix
from policy.ranking import DEFAULT_OPTIONS, DecisionOptions, rank


def nlri(text: str) -> Nlri:
    """Pack a prefix written as text."""
    return parse_prefix(text)[1]


def address(text: str) -> bytes:
    """Pack an address written as text; empty for no text."""
    return ip_address(text).packed if text else b""


def u32(*numbers: int) -> bytes:
    """Write numbers as four octets each."""
    return b"".join(number.to_bytes(4, "big") for number in numbers)


def attribute(code: int, value: bytes) -> bytes:
    """Encode an attribute with its usual flags."""
    return tlv(FLAGS[code], code, value)


def as_path(*segments: Sequence[int] | set[int]) -> bytes:
    """Write an AS_PATH: lists are sequences, sets are sets."""
    octets = b""
    for segment in segments:
        kind = SegmentType.AS_SET if isinstance(segment, set) else SegmentType.AS_SEQUENCE
        octets += bytes((kind, len(segment))) + u32(*segment)
    return octets


def attributes(
    path: Sequence[int] | bytes = (65001,),
    *,
    origin: int = 0,
    next_hop: str = "192.0.2.1",
    link_local: str = "",
    med: int | None = None,
    local_pref: int | None = None,
    communities: Sequence[int] = (),
    originator_id: int | None = None,
    clusters: Sequence[int] = (),
    large: Sequence[LargeCommunity] = (),
    more: bytes = b"",
) -> PathAttributes:
    """Make an attribute set in the usual order; ``more`` is put behind it."""
    value = path if isinstance(path, bytes) else as_path(path) if path else b""
    hop = address(next_hop)
    raw = attribute(Attribute.ORIGIN, bytes((origin,))) + attribute(Attribute.AS_PATH, value)
    if len(hop) == 4:
        raw += attribute(Attribute.NEXT_HOP, hop)
    if med is not None:
        raw += attribute(Attribute.MULTI_EXIT_DISC, u32(med))
    if local_pref is not None:
        raw += attribute(Attribute.LOCAL_PREF, u32(local_pref))
    if communities:
        raw += attribute(Attribute.COMMUNITIES, u32(*communities))
    if originator_id is not None:
        raw += attribute(Attribute.ORIGINATOR_ID, u32(originator_id))
    if clusters:
        raw += attribute(Attribute.CLUSTER_LIST, u32(*clusters))
    if large:
        raw += attribute(Attribute.LARGE_COMMUNITIES, b"".join(u32(*each) for each in large))
    return PathAttributes(raw + more, hop, address(link_local))


def peer(
    peer_type: PeerType = PeerType.EXTERNAL,
    *,
    name: str = "peer",
    at: str = "192.0.2.1",
    router_id: int = 0x0A000001,
    asn: int = 65001,
    is_client: bool = False,
    weight: int = 1,
) -> Source:
    """Make the source of a session."""
    return Source(
        name,
        SourceKind.BGP,
        peer_type=peer_type,
        address=address(at),
        router_id=router_id,
        asn=asn,
        is_client=is_client,
        weight=weight,
    )


EXTERNAL_PEER = peer()
INTERNAL_PEER = peer(PeerType.INTERNAL, name="internal", asn=65000)


def local(kind: SourceKind = SourceKind.STATIC) -> Source:
    """Make a source of this node."""
    return Source(kind.value, kind, router_id=0x0A0000FE, asn=65000)


def next_hop(
    at: str = "192.0.2.1", *, interface: str = "", cost: int = 0, reachable: bool = True
) -> NextHop:
    """Make a next hop, with a way out when the interface is named."""
    hops = (Hop(2, b"", interface),) if interface else ()
    return NextHop(address(at), cost=cost, reachable=reachable, hops=hops)


def route(
    source: Source = EXTERNAL_PEER,
    made: PathAttributes | None = None,
    *,
    via: NextHop | None = None,
    metric: int | None = None,
    preference: int | None = None,
    options: DecisionOptions = DEFAULT_OPTIONS,
    **facts: Any,
) -> Path:
    """Make a ranked path; facts go to `attributes`."""
    path = Path(
        made or attributes(**facts),
        source,
        via or next_hop(),
        metric=metric,
        preference=preference,
    )
    path.rank = rank(path, options)
    return path


@st.composite
def nlris(draw: st.DrawFn, afi: Afi = Afi.IPV4, within: int | None = None) -> Nlri:
    """Draw canonical prefixes that lead somewhere.

    Args:
        draw: of hypothesis.
        afi: their family.
        within: bounds the variety of addresses, so that some overlap.
    """
    width = WIDTH[afi]
    length = draw(st.integers(0, width))
    if within is None:
        octets = draw(st.binary(min_size=width // 8, max_size=width // 8))
    else:
        octets = bytes(draw(st.integers(0, within)) for _ in range(4)).ljust(width // 8, b"\0")
    found = pack(afi, octets, length)
    return found if is_routable(afi, found) else pack(afi, b"\x20" + octets[1:], length)
