"""ExaBGP as the referee: it decodes what we encode, and what others send us."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NamedTuple

from policy.prefix import Nlri
from speaker.wire.codec import exabgp


class Heard(NamedTuple):
    """What ExaBGP says an UPDATE says.

    Attributes:
        announced: packed prefixes with their next hops (RFC 2545 §3 has two) in octets; where the
            session has path identifiers, behind these.
        withdrawn: packed prefixes.
        attributes: ExaBGP's own, by type code.
    """

    announced: dict[Nlri, list[bytes]]
    withdrawn: set[Nlri]
    attributes: dict[int, Any]


def exabgp_update(
    body: bytes, *, four_octet_as: bool = True, path_ids: bool = False, extended: bool = False
) -> Heard:
    """Decode the body of an UPDATE with ExaBGP; IPv4 may have IPv6 next hops where extended."""
    exabgp()
    from exabgp.bgp.message import Action
    from exabgp.bgp.message.direction import Direction
    from exabgp.bgp.message.update import Update

    update = Update.unpack_message(
        body, Direction.IN, _negotiated(four_octet_as, path_ids, extended)
    )
    announced: dict[Nlri, list[bytes]] = {}
    withdrawn: set[Nlri] = set()
    for prefix in update.nlris:
        packed = _path_id(prefix, path_ids) + bytes(prefix.pack(None))
        if prefix.action == Action.WITHDRAW:
            withdrawn.add(packed)
        else:
            octets = bytes(prefix.nexthop.pack(None)[-_size(prefix.nexthop) :])
            announced.setdefault(packed, []).append(octets)
    return Heard(announced, withdrawn, dict(getattr(update, "attributes", {})))


def _size(next_hop: Any) -> int:
    return 16 if next_hop.ipv6() else 4


def _path_id(prefix: Any, path_ids: bool) -> bytes:
    return bytes(prefix.path_info.pack()) if path_ids else b""


def _negotiated(four_octet_as: bool, path_ids: bool, extended: bool) -> Any:
    from exabgp.protocol.family import AFI, SAFI

    def nothing(*_: object) -> bool:
        return False

    def identified(*_: object) -> bool:
        return path_ids

    return SimpleNamespace(
        asn4=four_octet_as,
        aigp=False,
        addpath=SimpleNamespace(receive=identified, send=nothing),
        families=[(AFI.ipv4, SAFI.unicast), (AFI.ipv6, SAFI.unicast)],
        nexthop=[(AFI.ipv4, SAFI.unicast, AFI.ipv6)] if extended else [],
        cached_attributes=None,
        cached_wire=b"",
        neighbor=None,
    )


def exabgp_facts(found: dict[int, Any]) -> dict[str, object]:
    """Put what ExaBGP decoded into plain values, named as in `policy.attributes`."""
    facts: dict[str, object] = {
        "origin": found[1].origin,
        # An empty AS_PATH is no attribute to ExaBGP.
        "as_path": tuple(
            (segment.ID, tuple(map(int, segment)))
            for segment in (found[2].aspath if 2 in found else ())
        ),
        "next_hop": bytes(found[3]._packed) if 3 in found else b"",
        "med": found[4].med if 4 in found else None,
        "local_pref": found[5].localpref if 5 in found else None,
        "originator_id": int.from_bytes(found[9]._packed, "big") if 9 in found else None,
        "cluster_list": _numbers(b"".join(bytes(each.ton()) for each in found[10].clusters))
        if 10 in found
        else (),
        "communities": frozenset(),
        "large_communities": frozenset(),
    }
    if 8 in found:
        octets = b"".join(bytes(each.pack(None)) for each in found[8].communities)
        facts["communities"] = frozenset(_numbers(octets))
    if 32 in found:
        facts["large_communities"] = frozenset(
            _numbers(bytes(each.pack(None))) for each in found[32].communities
        )
    return facts


def _numbers(octets: bytes) -> tuple[int, ...]:
    return tuple(int.from_bytes(octets[i : i + 4], "big") for i in range(0, len(octets), 4))
