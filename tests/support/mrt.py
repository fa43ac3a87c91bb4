"""Writes MRT table dumps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import ip_address

from policy.prefix import Nlri

Entry = tuple[int, bytes]
"""Number of the peer, and attributes."""


def record(subtype: int, body: bytes, kind: int = 13) -> bytes:
    """Make a record (RFC 6396 §2)."""
    head = (0).to_bytes(4, "big") + kind.to_bytes(2, "big") + subtype.to_bytes(2, "big")
    return head + len(body).to_bytes(4, "big") + body


def peer_table(peers: Sequence[tuple[str, int]], *, wide: bool = True) -> bytes:
    """Make a PEER_INDEX_TABLE (RFC 6396 §4.3.1); ``wide`` AS numbers have four octets."""
    body = bytes(4) + (4).to_bytes(2, "big") + b"view" + len(peers).to_bytes(2, "big")
    for address, asn in peers:
        packed = ip_address(address).packed
        kind = (len(packed) == 16) | 2 * wide
        body += bytes((kind,)) + bytes(4) + packed + asn.to_bytes(4 if wide else 2, "big")
    return record(1, body)


def rib(
    number: int, nlri: Nlri, entries: Iterable[Entry], *, ipv6: bool = False, ids: bool = False
) -> bytes:
    """Make a record of one prefix (RFC 6396 §4.3.2; RFC 8050 §4 with path identifiers)."""
    found = list(entries)
    body = number.to_bytes(4, "big") + nlri + len(found).to_bytes(2, "big")
    for peer, attributes in found:
        body += peer.to_bytes(2, "big") + bytes(4) + (bytes((0, 0, 0, 9)) if ids else b"")
        body += len(attributes).to_bytes(2, "big") + attributes
    return record(
        {(False, False): 2, (True, False): 4, (False, True): 8}.get((ipv6, ids), 10), body
    )
