"""NLRI of the families that are relayed: where each ends, and what makes it the same route.

A relayed route is passed on as it came, and so its NLRI is never taken apart further than two
questions ask. *Where does it end?* A `Rule` for each family knows. *Which route is it?* Its key is
what stays the same when the route is announced anew: the labels of a VPN route, or the Ethernet
segment of a MAC address, may change. What is not in the key is the *rest*; a path carries it
(`policy.path.RelayedPath`), so that routes which share attributes and rest share one path, as
unicast routes share attributes. `Rule.join` puts both together again, and `Rule.withdrawal` makes
of a key alone what a withdrawal says.

    block ── cut ── {rest: [key, key, …], …} ── tables by key ── join ── block

Malformed NLRI are of three kinds. Where the end cannot be found, nothing behind it can be either,
and the session is reset. Where the inside of an NLRI contradicts its definition, the routes of the
UPDATE are treated as withdrawn. An NLRI of a type that is not defined is left out, alone.

Standards: RFC 4364 §4.3.4, RFC 4659 §3.2 (VPN); RFC 4684 §4; RFC 4760 §5 (multicast); RFC 4761
§3.2.2, RFC 6074 §7.1 (VPLS); RFC 6514 §4; RFC 7432 §7, RFC 9136 §3.1, RFC 9251 §9, RFC 9572 §3
(EVPN); RFC 7606 §5.3, §5.4; RFC 8277 §2; RFC 8955 §4, §8, RFC 8956 §3 (flow specifications); RFC
9552 §5.2 (BGP-LS); draft-ietf-bess-mup-safi.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from fsm.family import NAMES, Afi, Family
from policy.attributes import OPTIONAL, Attribute, tlv
from policy.prefix import WIDTH, Nlri, PrefixError, PrefixLengthError, canonical
from speaker.wire import flow
from speaker.wire.verdicts import Error, Fault, fault, reset

RD = 8
"""Octets of a Route Distinguisher (RFC 4364 §4.2)."""

LABEL = 3
"""Octets of a label in NLRI (RFC 8277 §2.2)."""

_BOTTOM = 0x01
_WITHDRAWN_LABEL = b"\x80\0\0"
"""RFC 8277 §2.4: stands in the place of a label when a route is withdrawn."""


_FAULTS_TOLD = 16
"""So many faults of one block are told at the most: the first that is malformed, and types."""


class MalformedNlriError(ValueError):
    """The inside of an NLRI contradicts its definition; its end is known."""


class UnknownTypeError(ValueError):
    """An NLRI is of a type for which nobody has said what its key is."""


class Rule:
    """How the NLRI of one family are read.

    Args:
        next_hops: lengths that a next hop may have.
    """

    def __init__(self, *next_hops: int) -> None:
        self.next_hops = next_hops

    def end(self, block: bytes, at: int) -> int:
        """Find the end of the NLRI that begins at ``at``; it may lie beyond the block's.

        Raises:
            PrefixError: it cannot be found.
        """
        raise NotImplementedError

    def divide(self, nlri: bytes) -> tuple[Nlri, bytes]:
        """Divide one NLRI into key and rest.

        Raises:
            PrefixError: its length contradicts the family.
            MalformedNlriError: its inside does.
            UnknownTypeError: it is of a type that is not defined.
        """
        return nlri, b""

    def join(self, key: Nlri, rest: bytes) -> bytes:
        """Put key and rest together again."""
        return key

    def withdrawal(self, key: Nlri) -> bytes:
        """Make the NLRI that withdraws a key."""
        return self.join(key, b"")


class _Bits(Rule):
    """A length in bits in front, as in a prefix."""

    def __init__(self, widest: int, *next_hops: int, least: int = 0) -> None:
        super().__init__(*next_hops)
        self._widest = widest
        self._least = least

    def end(self, block: bytes, at: int) -> int:
        return at + 1 + (block[at] + 7 >> 3)

    def divide(self, nlri: bytes) -> tuple[Nlri, bytes]:
        if nlri[0] > self._widest or 0 < nlri[0] < self._least:
            raise PrefixLengthError(f"a length of {nlri[0]} bits")
        return canonical(nlri), b""


class _Labelled(_Bits):
    """Labels, for a VPN a Route Distinguisher, and a prefix, behind the bits of all of them."""

    def __init__(self, afi: Afi, *next_hops: int, rd: int = 0) -> None:
        super().__init__(WIDTH[afi], *next_hops)
        self._rd = 8 * rd

    def divide(self, nlri: bytes) -> tuple[Nlri, bytes]:
        labels = self._labels(nlri)
        bits = nlri[0] - 8 * labels
        if bits - self._rd > self._widest:
            raise PrefixLengthError(f"a length of {nlri[0]} bits")
        return canonical(bytes((bits,)) + nlri[1 + labels :]), nlri[1 : 1 + labels]

    def _labels(self, nlri: bytes) -> int:
        """Count the octets of labels.

        RFC 8277 §2.2: there is one, and its S bit is not looked at. Stacks of several are sent all
        the same, as RFC 3107 allowed it: where what stands behind the first label cannot be a
        prefix, the S bit says which label is the last.
        """
        bits, at = nlri[0] - self._rd, LABEL
        if bits < 8 * LABEL:
            raise PrefixLengthError(f"{nlri[0]} bits, and a label has {8 * LABEL}")
        if bits - 8 * at > self._widest:
            while not nlri[at] & _BOTTOM and bits >= 8 * (at + LABEL):
                at += LABEL
        return at

    def join(self, key: Nlri, rest: bytes) -> bytes:
        return bytes((key[0] + 8 * len(rest),)) + rest + key[1:]

    def withdrawal(self, key: Nlri) -> bytes:
        return self.join(key, _WITHDRAWN_LABEL)


class _Typed(Rule):
    """A type, a length in octets, and a value.

    The key of a type whose NLRI is not all key is the type and the fields that are, in their order,
    without the length; `_Layout` says where the others stand.

    Args:
        types: that are defined; None where those that are not have to be passed on too.
    """

    def __init__(
        self,
        head: int,
        length: int,
        *next_hops: int,
        types: frozenset[bytes] | None = None,
        least: int = 0,
    ) -> None:
        super().__init__(*next_hops)
        self._head = head
        self._length = length
        self._types = types
        self._least = least

    def end(self, block: bytes, at: int) -> int:
        value = at + self._head + self._length
        if value > len(block):
            raise PrefixError("the head of an NLRI is cut off")
        return value + int.from_bytes(block[at + self._head : value], "big")

    def divide(self, nlri: bytes) -> tuple[Nlri, bytes]:
        kind, value = nlri[: self._head], nlri[self._head + self._length :]
        if self._types is not None and kind not in self._types:
            raise UnknownTypeError(f"type {kind.hex()}")
        if len(value) < self._least:
            raise MalformedNlriError(f"an NLRI of {len(value)} octets")
        return nlri, b""

    def _whole(self, kind: bytes, value: bytes) -> bytes:
        return kind + len(value).to_bytes(self._length, "big") + value


class _Layout(NamedTuple):
    """Which fields of an EVPN route are not its key: some behind the Route Distinguisher, and some
    at the end.
    """

    inner: int
    last: int


_ESI = 10
_EVPN_REST = {
    1: _Layout(0, LABEL),  # RFC 7432 §7.1
    2: _Layout(_ESI, LABEL),  # §7.2; a second label may follow
    5: _Layout(_ESI, LABEL),  # RFC 9136 §3.1; the gateway stands before the label
    6: _Layout(0, 1),  # RFC 9251 §9.1
    7: _Layout(0, 1),  # §9.2
    8: _Layout(0, 6),  # §9.3
}
_EVPN_LENGTHS = {1: (25,), 2: (33, 36, 37, 40, 49, 52), 5: (34, 58)}
_MAC_IP = {0: 0, 32: 4, 128: 16}


class _Evpn(_Typed):
    """RFC 7432 §7."""

    def divide(self, nlri: bytes) -> tuple[Nlri, bytes]:
        super().divide(nlri)
        kind, value = nlri[0], nlri[2:]
        layout = _EVPN_REST.get(kind)
        if layout is None:
            return nlri, b""
        if len(value) not in _EVPN_LENGTHS.get(kind, (len(value),)):
            raise MalformedNlriError(f"a route of type {kind} with {len(value)} octets")
        inner = RD + layout.inner
        last = self._last(kind, value, layout)
        return nlri[:1] + value[:RD] + value[inner:last], value[RD:inner] + value[last:]

    def _last(self, kind: int, value: bytes, layout: _Layout) -> int:
        """Find where the key ends."""
        if kind == 2:
            size = _MAC_IP.get(value[29], -1)
            if value[22] != 48 or size < 0 or len(value) - 30 - size not in (3, 6):
                raise MalformedNlriError("a MAC or IP address of no legal length")
            return 30 + size
        if kind == 5:
            size = 4 if len(value) == 34 else 16
            if value[22] > 8 * size:
                raise MalformedNlriError(f"an IP prefix length of {value[22]}")
            return 23 + size
        if len(value) < RD + layout.inner + layout.last:
            raise MalformedNlriError(f"a route of type {kind} with {len(value)} octets")
        return len(value) - layout.last

    def join(self, key: Nlri, rest: bytes) -> bytes:
        layout = _EVPN_REST.get(key[0])
        if layout is None:
            return key
        inner, last = rest[: layout.inner], rest[layout.inner :]
        return self._whole(key[:1], key[1 : 1 + RD] + inner + key[1 + RD :] + last)

    def withdrawal(self, key: Nlri) -> bytes:
        layout = _EVPN_REST.get(key[0], _Layout(0, 0))
        gateway = len(key) - 1 - RD - 5 if key[0] == 5 else 0
        return self.join(key, bytes(layout.inner + gateway + layout.last))


_T1ST = b"\x01\0\x03"
_T1ST_LEAST = 4 + 1 + 1 + 4


class _Mup(_Typed):
    """Of a Type 1 session transformed route, the key is Route Distinguisher and prefix."""

    def divide(self, nlri: bytes) -> tuple[Nlri, bytes]:
        super().divide(nlri)
        if nlri[:3] != _T1ST:
            return nlri, b""
        value = nlri[4:]
        last = RD + 1 + (value[RD] + 7 >> 3)
        if value[RD] > 128 or len(value) < last + _T1ST_LEAST:
            raise MalformedNlriError("a session transformed route that is cut off")
        return nlri[:3] + value[:last], value[last:]

    def join(self, key: Nlri, rest: bytes) -> bytes:
        if key[:3] != _T1ST:
            return key
        return self._whole(key[:3], key[3:] + rest)

    def withdrawal(self, key: Nlri) -> bytes:
        # TEID, which some refuse to be zero, QFI, and an endpoint as long as an IPv4 address.
        return self.join(key, b"\0\0\0\1\0\x20\0\0\0\0")


class _Flow(Rule):
    """A length of one octet or two (RFC 8955 §4.1), and components; the shorter form is the key."""

    def __init__(self, afi: Afi, *next_hops: int, rd: int = 0) -> None:
        super().__init__(*next_hops)
        self._afi = afi
        self._rd = rd

    def end(self, block: bytes, at: int) -> int:
        if block[at] < 0xF0:
            return at + 1 + block[at]
        if at + 2 > len(block):
            raise PrefixError("the length of a flow specification is cut off")
        return at + 2 + ((block[at] & 0x0F) << 8 | block[at + 1])

    def divide(self, nlri: bytes) -> tuple[Nlri, bytes]:
        value = nlri[1 if nlri[0] < 0xF0 else 2 :]
        if len(value) < self._rd:
            raise MalformedNlriError("a Route Distinguisher that is cut off")
        wrong = flow.flaw(self._afi, value[self._rd :])
        if wrong:
            raise MalformedNlriError(f"a flow specification with {wrong}")
        size = len(value)
        head = bytes((size,)) if size < 0xF0 else (0xF000 | size).to_bytes(2, "big")
        return head + value, b""


_V4, _V6, _VPN4, _VPN6 = 4, 16, RD + 4, RD + 16
_ADDRESSES = (_V4, _V6, 2 * _V6)


def _types(width: int, *numbers: int, front: bytes = b"") -> frozenset[bytes]:
    return frozenset(front + number.to_bytes(width, "big") for number in numbers)


def _rules_of(afi: Afi) -> dict[str, Rule]:
    """Make the rules of families that IPv4 and IPv6 have alike."""
    addresses = _ADDRESSES if afi is Afi.IPV4 else _ADDRESSES[1:]
    vpn = (_VPN4, _VPN6, 2 * _VPN6) if afi is Afi.IPV4 else (_VPN6, 2 * _VPN6)
    mup = _types(2, 1, 2, 3, 4, front=b"\x01")
    rules: dict[str, Rule] = {
        "multicast": _Bits(WIDTH[afi], *addresses),
        "labelled": _Labelled(afi, *addresses),
        "vpn": _Labelled(afi, *vpn, rd=RD),
        "mcast-vpn": _Typed(1, 1, *_ADDRESSES, types=_types(1, *range(1, 8)), least=RD),
        "flow": _Flow(afi, 0, *_ADDRESSES),
        "flow-vpn": _Flow(afi, 0, *_ADDRESSES, _VPN4, _VPN6, rd=RD),
        "mup": _Mup(3, 1, *_ADDRESSES, types=mup, least=RD + 1),
    }
    return {f"{afi.name.lower()}-{name}": rule for name, rule in rules.items()}


_BY_NAME: dict[str, Rule] = {
    **_rules_of(Afi.IPV4),
    **_rules_of(Afi.IPV6),
    "ipv4-rtc": _Bits(96, *_ADDRESSES, least=32),
    "l2vpn-evpn": _Evpn(1, 1, *_ADDRESSES, types=_types(1, *range(1, 12)), least=RD),
    "l2vpn-vpls": _Typed(0, 2, *_ADDRESSES, least=12),
    "bgp-ls": _Typed(2, 2, *_ADDRESSES),
    "bgp-ls-vpn": _Typed(2, 2, _VPN4, _VPN6, least=RD),
}

RULES: dict[Family, Rule] = {NAMES[name]: rule for name, rule in _BY_NAME.items()}
"""How the NLRI of every relayed family are read."""


class Cut(NamedTuple):
    """What a block of NLRI holds.

    Attributes:
        routes: keys by rest, in the order in which they came.
        faults: what is wrong with NLRI that are not among them, the graver first.
    """

    routes: dict[bytes, list[Nlri]]
    faults: tuple[Fault, ...]


def nlris(family: Family, block: bytes) -> Iterator[bytes]:
    """Cut a block into NLRI.

    Raises:
        PrefixError: the end of one cannot be found, or lies behind the block's.
    """
    rule, at = RULES[family], 0
    while at < len(block):
        end = rule.end(block, at)
        if end > len(block):
            raise PrefixError("an NLRI is cut off")
        yield block[at:end]
        at = end


def cut(family: Family, part: int, block: bytes, value: bytes) -> Cut:
    """Cut a block, and divide each NLRI into key and rest.

    Args:
        family: one that is relayed.
        part: the attribute that holds the block.
        block: of NLRI.
        value: of that attribute, for the error.

    Raises:
        UpdateMessageError: an end cannot be found (RFC 7606 §5.3).
    """
    divide = RULES[family].divide
    routes: dict[bytes, list[Nlri]] = {}
    malformed = ""
    unknown: dict[str, None] = {}
    try:
        # What a peer repeats is looked at once.
        for nlri in dict.fromkeys(nlris(family, block)):
            try:
                key, rest = divide(nlri)
            except MalformedNlriError as error:
                malformed = malformed or str(error)
            except UnknownTypeError as error:
                unknown[str(error)] = None
            else:
                routes.setdefault(rest, []).append(key)
    except PrefixError as error:
        kind = Error.PREFIX_LENGTH if isinstance(error, PrefixLengthError) else Error.PREFIX_CUT
        raise reset(part, kind, tlv(OPTIONAL, part, value), str(error)) from None
    faults = [fault(part, Error.NLRI_MALFORMED, malformed)] if malformed else []
    faults += [fault(part, Error.NLRI_TYPE, words) for words in unknown]
    return Cut(routes, tuple(faults[:_FAULTS_TOLD]))


def next_hop_of(family: Family, value: bytes) -> bytes:
    """Give the next hop of a well-formed MP_REACH_NLRI, octet by octet as it came.

    Raises:
        UpdateMessageError: its length is none that the family has (RFC 7606 §7.11).
    """
    length = value[3]
    if length not in RULES[family].next_hops:
        code = Attribute.MP_REACH_NLRI
        words = f"a next hop of {length} octets"
        raise reset(code, Error.NEXT_HOP_LENGTH, tlv(OPTIONAL, code, value), words)
    return value[4 : 4 + length]


def slices(whole: Sequence[bytes], room: int) -> Iterator[bytes]:
    """Join NLRI into blocks of at most ``room`` octets, none of which is empty."""
    block: list[bytes] = []
    size = 0
    for nlri in whole:
        if block and size + len(nlri) > room:
            yield b"".join(block)
            block, size = [], 0
        block.append(nlri)
        size += len(nlri)
    if block:
        yield b"".join(block)
