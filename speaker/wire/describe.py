"""Path attributes in words, for people: the peer's page, ``explain`` and the log.

`describe` gives every attribute of a set by its name, in the order of the types: ``{"ORIGIN":
"IGP", "AS_PATH": "65001 {65002 65003}", "COMMUNITIES": "65000:1 no-export"}``. What decisions read
is put into words here; the rest (extended communities, aggregators, and whatever else it knows) by
ExaBGP, behind the one door `speaker.wire.codec.exabgp`; what neither knows stands in hexadecimal.

It is slow, works on one set at a time and must never be called while routes are being learned.

Standards: RFC 4271 §4.3; RFC 1997, RFC 8092 §5 (how communities are written); RFC 5065 §3; RFC
5396 §2 (AS numbers as plain numbers).
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

from policy.attributes import (
    EXTENDED_LENGTH,
    PARTIAL,
    Attribute,
    Origin,
    PathAttributes,
    SegmentType,
    WellKnown,
    segments,
    tlvs,
)
from policy.prefix import show_address
from speaker.wire.codec import exabgp

_BRACKETS = {
    SegmentType.AS_SET: ("{", "}"),
    SegmentType.AS_SEQUENCE: ("", ""),
    SegmentType.AS_CONFED_SEQUENCE: ("(", ")"),
    SegmentType.AS_CONFED_SET: ("[", "]"),
}
_WELL_KNOWN = {int(each): each.name.lower().replace("_", "-") for each in WellKnown}
_BY_EXABGP = frozenset(
    {
        Attribute.AGGREGATOR,
        Attribute.EXTENDED_COMMUNITIES,
        Attribute.AS4_AGGREGATOR,
        Attribute.AIGP,
    }
)
_OF_RELAYED = {22: "PMSI_TUNNEL", 23: "TUNNEL_ENCAPSULATION", 29: "BGP_LS", 40: "PREFIX_SID"}
"""Attributes that pass with relayed routes (`policy.attributes.RELAYED_ATTRIBUTES`)."""

_NOT_ASKED = PARTIAL | EXTENDED_LENGTH
_NORMAL_FORM = SimpleNamespace(asn4=True, aigp=True)
"""What ExaBGP asks of a session: attributes in normal form have AS numbers of four octets."""


def as_path_text(attributes: PathAttributes) -> str:
    """Print the AS_PATH: sets in braces, confederations in parentheses, their sets in brackets."""
    return _as_path(attributes.value(Attribute.AS_PATH) or b"")


def describe(attributes: PathAttributes) -> dict[str, str]:
    """Put every attribute into words, by name and in ascending order of type.

    The next hop is that of the path, wherever in the UPDATE it stood.
    """
    words = {
        code: _words(flags, code, value)
        for flags, code, value in tlvs(attributes.raw)
        if code != Attribute.NEXT_HOP
    }
    if attributes.next_hop:
        words[Attribute.NEXT_HOP] = _next_hop(attributes)
    return {_name(code): words[code] for code in sorted(words)}


def _name(code: int) -> str:
    try:
        return Attribute(code).name
    except ValueError:
        return _OF_RELAYED.get(code, f"attribute {code}")


def _next_hop(attributes: PathAttributes) -> str:
    both = (attributes.next_hop, attributes.link_local)
    return " ".join(
        show_address(address) if len(address) in (4, 16) else address.hex()
        for address in both
        if address
    )


def _words(flags: int, code: int, value: bytes) -> str:
    if code in _OURS:
        return _OURS[code](value)
    if code in _BY_EXABGP or code in _OF_RELAYED:
        return _by_exabgp(flags, code, value)
    return value.hex(" ")


def _by_exabgp(flags: int, code: int, value: bytes) -> str:
    """Let ExaBGP say it; what it cannot decode stands in hexadecimal."""
    try:
        # ExaBGP finds its decoder by the flags, too, and knows neither of these two.
        decoded = exabgp().Attribute.unpack(code, flags & ~_NOT_ASKED, value, None, _NORMAL_FORM)
        text = str(decoded)
        if "not implemented" in text:
            return value.hex(" ")
    except Exception:
        # Its decoders fail in any way they like; an explanation must not fail with them.
        return value.hex(" ")
    return text.strip("[] ")


def _numbers(value: bytes) -> list[int]:
    return [int.from_bytes(value[i : i + 4], "big") for i in range(0, len(value), 4)]


def _origin(value: bytes) -> str:
    return Origin(value[0]).name


def _as_path(value: bytes) -> str:
    words = []
    for kind, numbers in segments(value):
        before, after = _BRACKETS[SegmentType(kind)]
        words.append(before + " ".join(map(str, numbers)) + after)
    return " ".join(words)


def _decimal(value: bytes) -> str:
    return str(int.from_bytes(value, "big"))


def _yes(_: bytes) -> str:
    return "yes"


def _communities(value: bytes) -> str:
    return " ".join(
        _WELL_KNOWN.get(number, f"{number >> 16}:{number & 0xFFFF}") for number in _numbers(value)
    )


def _addresses(value: bytes) -> str:
    return " ".join(show_address(value[i : i + 4]) for i in range(0, len(value), 4))


def _large_communities(value: bytes) -> str:
    numbers = _numbers(value)
    return " ".join(":".join(map(str, numbers[i : i + 3])) for i in range(0, len(numbers), 3))


_OURS: dict[int, Callable[[bytes], str]] = {
    Attribute.ORIGIN: _origin,
    Attribute.AS_PATH: _as_path,
    Attribute.MULTI_EXIT_DISC: _decimal,
    Attribute.LOCAL_PREF: _decimal,
    Attribute.ATOMIC_AGGREGATE: _yes,
    Attribute.COMMUNITIES: _communities,
    Attribute.ORIGINATOR_ID: _addresses,
    Attribute.CLUSTER_LIST: _addresses,
    Attribute.LARGE_COMMUNITIES: _large_communities,
    Attribute.ONLY_TO_CUSTOMER: _decimal,
}
