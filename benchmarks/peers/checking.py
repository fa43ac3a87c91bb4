"""Checking what a receiver holds against what was sent.

A daemon between two external peers must pass a route on with its origin and its communities, its
own AS before the path, and itself as next hop (RFC 4271 §5.1, RFC 1997). `differences` counts,
by what is wrong, the prefixes of which that is not so.
"""

from __future__ import annotations

from collections import Counter as Numbers
from collections.abc import Mapping
from typing import NamedTuple

from benchmarks.table.messages import attributes_of

_ORIGIN, _AS_PATH, _NEXT_HOP, _COMMUNITIES, _LARGE = 1, 2, 3, 8, 32


class _Told(NamedTuple):
    """What must be the same on both sides."""

    origin: bytes
    as_path: bytes
    communities: frozenset[bytes]
    large_communities: frozenset[bytes]


def differences(
    sent: Mapping[bytes, bytes], held: Mapping[bytes, bytes], asn: int, next_hop: bytes = b""
) -> dict[str, int]:
    """Count what is wrong.

    Args:
        sent: attributes by prefix, as they left the sender.
        held: the same as they reached the receiver.
        asn: of the daemon.
        next_hop: that IPv4 routes must have; empty where it is not looked at.
    """
    wrong: Numbers[str] = Numbers()
    expected: dict[bytes, _Told] = {}
    found: dict[bytes, tuple[_Told, bytes]] = {}
    for prefix, octets in sent.items():
        got = held.get(prefix)
        if got is None:
            wrong["missing"] += 1
            continue
        if octets not in expected:
            expected[octets] = _grown(_read(octets)[0], asn)
        if got not in found:
            found[got] = _read(got)
        told, hop = found[got]
        if told != expected[octets]:
            wrong.update(_names(expected[octets], told))
        if next_hop and hop != next_hop:
            wrong["next_hop"] += 1
    unasked = sum(prefix not in sent for prefix in held)
    if unasked:
        wrong["never sent"] = unasked
    return dict(wrong)


def _read(octets: bytes) -> tuple[_Told, bytes]:
    parts = dict(attributes_of(octets))
    told = _Told(
        parts.get(_ORIGIN, b""),
        parts.get(_AS_PATH, b""),
        _each(parts.get(_COMMUNITIES, b""), 4),
        _each(parts.get(_LARGE, b""), 12),
    )
    return told, parts.get(_NEXT_HOP, b"")


def _each(octets: bytes, size: int) -> frozenset[bytes]:
    return frozenset(octets[at : at + size] for at in range(0, len(octets), size))


def _grown(told: _Told, asn: int) -> _Told:
    path = told.as_path
    return told._replace(as_path=bytes((2, path[1] + 1)) + asn.to_bytes(4, "big") + path[2:])


def _names(expected: _Told, told: _Told) -> list[str]:
    return [
        name for name, one, other in zip(_Told._fields, expected, told, strict=True) if one != other
    ]
