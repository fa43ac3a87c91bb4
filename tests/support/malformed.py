"""A malformed message for each row of the conformance table, and what its sender must be told.

A `Case` is one message, and who sends it: an external peer, an internal one, or an external one of
two-octet AS numbers. It speaks of the prefix `Sender.affected`; nothing else that the sender has
announced may suffer from it unless the session is reset. Attributes that are not the point of a
case are those of `base`, whose AS_PATH ends with `MARK` so that the second version of a route can
be told from the first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from ipaddress import ip_address, ip_network

from policy.attributes import FLAGS, Attribute, tlv
from policy.path import Source
from policy.roles import Role
from speaker.rib.attribute_table import Intake
from speaker.wire.verdicts import ROWS, Error, Part, Row
from tests.support.builders import body, reach, unreach
from tests.support.routes import attribute, u32

FIRST, MARK = 7, 8
"""What stands last in the AS_PATH of a route that is in order, and of a route in a case."""

HEADER_LENGTH, UPDATE = 19, 2
_MARKER = b"\xff" * 16
_NEXT_HOP_6 = ip_address("2001:db8::11").packed
A, E = Attribute, Error


@dataclass(frozen=True)
class Sender:
    """A peer that breaks rules, and the prefixes it announces.

    Attributes:
        number: of its loopback address, and of its AS unless it is ours.
        internal: it is in our AS.
        as_octets: of its AS numbers.
    """

    number: int
    internal: bool = False
    as_octets: int = 4

    @property
    def affected(self) -> str:
        return f"198.51.{self.number}.0/24"

    @property
    def unrelated(self) -> str:
        return f"203.0.{self.number}.0/24"

    @property
    def affected6(self) -> str:
        return f"2001:db8:a:{self.number}::/64"

    @property
    def unrelated6(self) -> str:
        return f"2001:db8:b:{self.number}::/64"

    @property
    def address(self) -> bytes:
        return bytes((127, 0, 0, self.number))

    def path(self, last: int = MARK) -> bytes:
        """Give the AS_PATH of its routes; an external peer's begins with its AS."""
        numbers = [last] if self.internal else [65000 + self.number, last]
        return sequence(*numbers, size=self.as_octets)

    def base(self, *without: int, last: int = MARK, classic: bool = True) -> bytes:
        """Give the attributes that a route must have, but some."""
        values = {A.ORIGIN: b"\0", A.AS_PATH: self.path(last)}
        if classic:
            values[A.NEXT_HOP] = self.address
        if self.internal:
            values[A.LOCAL_PREF] = u32(100)
        return b"".join(
            attribute(code, value) for code, value in values.items() if code not in without
        )


EXTERNAL, INTERNAL, OLD = Sender(11), Sender(12, internal=True), Sender(13, as_octets=2)
SENDERS = (EXTERNAL, INTERNAL, OLD)


@dataclass(frozen=True)
class Case:
    """One malformed message.

    Attributes:
        sender: who sends it.
        message: with its header.
        data: of the NOTIFICATION that answers it, where one does.
        six: it speaks of `Sender.affected6`.
        setting: how the session must be set for the row to be in force.
        extended: the session has extended messages.
    """

    sender: Sender
    message: bytes
    data: bytes = b""
    six: bool = False
    setting: Callable[[Intake], Intake] | None = field(default=None, compare=False)
    extended: bool = False


def sequence(*numbers: int, size: int = 4, kind: int = 2) -> bytes:
    """Write one segment of an AS_PATH."""
    return bytes((kind, len(numbers))) + b"".join(n.to_bytes(size, "big") for n in numbers)


def packed(prefix: str) -> bytes:
    """Write a prefix as NLRI."""
    network = ip_network(prefix)
    return bytes((network.prefixlen,)) + network.network_address.packed[: network.prefixlen // 8]


def framed(octets: bytes, kind: int = UPDATE, marker: bytes = _MARKER) -> bytes:
    return marker + (HEADER_LENGTH + len(octets)).to_bytes(2, "big") + bytes((kind,)) + octets


def classic(sender: Sender, attributes: bytes) -> bytes:
    """Announce the affected prefix in the NLRI field."""
    return framed(body(b"", attributes, packed(sender.affected)))


_METRIC = b"\1\0\x0b" + bytes(8)
GOOD: dict[int, bytes] = {
    A.ORIGIN: b"\0",
    A.NEXT_HOP: EXTERNAL.address,
    A.MULTI_EXIT_DISC: u32(5),
    A.LOCAL_PREF: u32(100),
    A.ATOMIC_AGGREGATE: b"",
    A.AGGREGATOR: u32(65001, 0xC0000201),
    A.COMMUNITIES: u32(1, 2),
    A.ORIGINATOR_ID: u32(0xC0000201),
    A.CLUSTER_LIST: u32(1, 2),
    A.EXTENDED_COMMUNITIES: bytes(16),
    A.AS4_PATH: sequence(MARK),
    A.AS4_AGGREGATOR: u32(70000, 0xC0000201),
    A.IPV6_EXTENDED_COMMUNITIES: bytes(40),
    A.AIGP: _METRIC,
    A.LARGE_COMMUNITIES: bytes(24),
    A.ONLY_TO_CUSTOMER: u32(65001),
}
_ITEM = {
    A.COMMUNITIES: 4,
    A.CLUSTER_LIST: 4,
    A.EXTENDED_COMMUNITIES: 8,
    A.IPV6_EXTENDED_COMMUNITIES: 20,
    A.LARGE_COMMUNITIES: 12,
}
_INSIDE = (A.LOCAL_PREF, A.ORIGINATOR_ID, A.CLUSTER_LIST, A.AIGP)
_FOR_OLD = (A.AS4_PATH, A.AS4_AGGREGATOR)
_MULTIPROTOCOL = (A.MP_REACH_NLRI, A.MP_UNREACH_NLRI)


def sender_of(row: Row) -> Sender:
    """Choose who can make an error: what belongs inside is an error there only."""
    if row.part in _INSIDE and row.error is not E.FOREIGN:
        return INTERNAL
    if row.part in _FOR_OLD and row.error is not E.FOREIGN:
        return OLD
    return EXTERNAL


def good(sender: Sender, code: int) -> bytes:
    """Give a value that is in order."""
    return sender.path() if code == A.AS_PATH else GOOD[code]


def _wrong_length(code: int, error: Error, value: bytes) -> bytes:
    unit = _ITEM.get(Attribute(code))
    match error:
        case E.EMPTY:
            return b""
        case E.SHORT:
            return value[: unit - 1] if unit else value[:-1]
        case E.MULTIPLE:
            return value[:-1]
        case _:
            return value + b"\0"


def _general(row: Row) -> bytes | None:
    """Write the attributes of an error that any attribute can have."""
    sender, code = sender_of(row), row.part
    base, value = sender.base(code), good(sender, code)
    whole = attribute(code, value)
    match row.error:
        case E.OPTIONAL_BIT:
            return base + tlv(FLAGS[code] ^ 0x80, code, value)
        case E.TRANSITIVE_BIT:
            return base + tlv(FLAGS[code] ^ 0x40, code, value)
        case E.TWICE:
            return base + whole * 2
        case E.OVERRUN:
            return base + bytes((FLAGS[code], code, 250)) + value
        case E.MISSING:
            return base
        case E.FOREIGN:
            return base + whole
        case E.EMPTY | E.SHORT | E.MULTIPLE | E.LONG:
            return base + attribute(code, _wrong_length(code, row.error, value))
    return None


def _segments(sender: Sender, size: int) -> dict[Error, bytes]:
    path = sender.path() if size == sender.as_octets else sequence(MARK, size=size)
    return {
        E.SEGMENT_TYPE: path + sequence(9, size=size, kind=5),
        E.SEGMENT_CUT: path + b"\2",
        E.SEGMENT_EMPTY: path + b"\2\0",
        E.SEGMENT_OVERRUN: path + b"\2\3" + sequence(9, size=size)[2:],
        E.AS_ZERO: path + sequence(0, size=size),
        E.CONFEDERATION: sequence(65101, size=size, kind=3) + path,
        E.AS_SET: path + sequence(9, size=size, kind=1),
        E.FIRST_AS: sequence(9, size=size),
        E.LOOP: path + sequence(64512, size=size),
    }


_NEXT_HOPS = {
    E.UNSPECIFIED: "0.0.0.0 ::",
    E.THIS_NETWORK: "0.1.2.3 ::",
    E.LOOPBACK: "127.0.0.99 ::1",
    E.MULTICAST: "224.0.0.5 ff02::1",
    E.OWN: "127.0.0.1 2001:db8::1",
}
_VALUES: dict[tuple[int, Error], bytes] = {
    (A.ORIGIN, E.VALUE): b"\3",
    (A.AGGREGATOR, E.AS_ZERO): u32(0, 0xC0000201),
    (A.AS4_AGGREGATOR, E.AS_ZERO): u32(0, 0xC0000201),
    (A.ORIGINATOR_ID, E.LOOP): u32(0x7F000001),
    (A.CLUSTER_LIST, E.LOOP): u32(1, 42),
    (A.AIGP, E.TLV_CUT): _METRIC + b"\2\0",
    (A.AIGP, E.TLV_LENGTH): b"\1\0\7" + bytes(4),
    (A.AIGP, E.LARGEST): b"\1\0\x0b" + b"\xff" * 8,
    (A.ONLY_TO_CUSTOMER, E.LEAK): u32(9),
}


def _value(row: Row) -> bytes | None:
    """Give a value that is wrong in a way of its own."""
    sender = sender_of(row)
    if row.part == A.AS_PATH:
        return _segments(sender, sender.as_octets).get(row.error)
    if row.part == A.AS4_PATH:
        return _segments(sender, 4).get(row.error)
    if row.part == A.NEXT_HOP and row.error in _NEXT_HOPS:
        return ip_address(_NEXT_HOPS[row.error].split()[0]).packed
    return _VALUES.get((row.part, row.error))


def _elsewhere(intake: Intake) -> Intake:
    """Have the session not run over loopback, so that loopback is no place for a next hop."""
    source = intake.source
    return replace(
        intake,
        source=Source(source.name, source.kind, peer_type=source.peer_type, address=b"\xc0\0\2\1"),
    )


def _refusing_sets(intake: Intake) -> Intake:
    return replace(intake, context=replace(intake.context, accepts_as_sets=False))


_OURS = frozenset(ip_address(text).packed for text in _NEXT_HOPS[E.OWN].split())

_SETTINGS: dict[Error, Callable[[Intake], Intake]] = {
    E.AS_SET: _refusing_sets,
    E.FIRST_AS: lambda intake: replace(intake, enforces_first_as=True),
    E.LEAK: lambda intake: replace(intake, role=Role.PROVIDER),
    E.LOOPBACK: _elsewhere,
    E.OWN: lambda intake: replace(intake, own_addresses=_OURS),
}


def _setting(row: Row) -> Callable[[Intake], Intake] | None:
    if row.part == A.CLUSTER_LIST and row.error is E.LOOP:
        return lambda intake: replace(intake, cluster_id=42)
    return _SETTINGS.get(row.error)


def _reach_value(sender: Sender, next_hop: bytes = _NEXT_HOP_6) -> bytes:
    return reach(packed(sender.affected6), next_hop)[3:]


def _multiprotocol(row: Row) -> Case:
    """Write a case of MP_REACH_NLRI or MP_UNREACH_NLRI; the others stand behind it."""
    sender, code = EXTERNAL, row.part
    nlri = packed(sender.affected6)
    arrives = code == A.MP_REACH_NLRI
    whole = reach(nlri, _NEXT_HOP_6) if arrives else unreach(nlri)
    rest = sender.base(classic=False) if arrives else b""

    def case(attributes: bytes, data: bytes = b"") -> Case:
        update = framed(body(b"", attributes))
        return Case(sender, update, data, six=True, setting=_setting(row))

    def wrong(value: bytes) -> Case:
        incorrect = attribute(code, value)
        return case(incorrect + rest, incorrect)

    head = whole[3:6]
    front = head + b"\x10" + _NEXT_HOP_6 + b"\0" if arrives else head
    match row.error:
        case E.OPTIONAL_BIT:
            return case(b"\x00" + whole[1:] + rest, b"\x00" + whole[1:])
        case E.TRANSITIVE_BIT:
            return case(b"\xc0" + whole[1:] + rest, b"\xc0" + whole[1:])
        case E.TWICE:
            return case(whole + rest + whole)
        case E.OVERRUN:
            cut = bytes((0x80, code, 250)) + whole[3:]
            return case(rest + cut, cut)
        case E.EMPTY:
            return wrong(b"")
        case E.SHORT:
            return wrong(head[:2])
        case E.NEXT_HOP_CUT:
            return wrong(head + b"\x10" + _NEXT_HOP_6[:9])
        case E.NEXT_HOP_LENGTH:
            return wrong(head + b"\x11" + _NEXT_HOP_6 + b"\0\0" + nlri)
        case E.PREFIX_LENGTH:
            return wrong(front + b"\x81" + bytes(17))
        case E.PREFIX_CUT:
            return wrong(front + nlri[:-1])
    next_hop = ip_address(_NEXT_HOPS[row.error].split()[1]).packed
    return case(reach(nlri, next_hop) + rest)


def _of_list(sender: Sender) -> Iterator[tuple[tuple[int, Error], Case]]:
    """Write the cases of the list of attributes, and of types that nobody knows."""
    base = sender.base()
    unknown = b"\x40\x63\x01\x07"
    parts = {
        (Part.ATTRIBUTE_LIST, E.HEADER_CUT): (base + b"\xc0\x08", b""),
        (Part.UNKNOWN, E.WELL_KNOWN): (base + unknown, unknown),
        (Part.UNKNOWN, E.TWICE): (base + b"\xc0\x63\x01\x07" * 2, b""),
        (Part.UNKNOWN, E.OVERRUN): (base + b"\xc0\x63\xfa\x07", b""),
    }
    for key, (attributes, data) in parts.items():
        yield key, Case(sender, classic(sender, attributes), data)
    long = classic(sender, base + tlv(0xC0, 0x63, bytes(0xF000)))
    yield (Part.ATTRIBUTE_LIST, E.LONG), Case(sender, long, extended=True)


def _of_message(sender: Sender) -> Iterator[tuple[tuple[int, Error], Case]]:
    """Write the cases of the header, of the fields' lengths, and of prefixes."""
    nlri, base = packed(sender.affected), sender.base()
    origin = attribute(A.ORIGIN, b"\3")
    too_long, cut = b"\x21" + bytes(5), nlri[:-1]
    long = body(b"", base + tlv(0xC0, 99, bytes(4080)), nlri)
    messages = {
        (Part.HEADER, E.MARKER): (framed(body(), marker=b"\xff" * 15 + b"\xfe"), b""),
        (Part.HEADER, E.TYPE): (framed(b"", kind=9), b"\x09"),
        (Part.HEADER, E.LENGTH): (framed(b"\0", kind=4), b"\0\x14"),
        (Part.HEADER, E.EXTENDED): (framed(long), (19 + len(long)).to_bytes(2, "big")),
        (Part.FIELDS, E.WITHDRAWN_LENGTH): (framed(b"\0\x09" + nlri), b""),
        (Part.FIELDS, E.ATTRIBUTES_LENGTH): (framed(b"\0\0\x01\0" + base + nlri), b""),
        (Part.FIELDS, E.HIDDEN_NLRI): (framed(body(b"", origin + base[4:])), b""),
        (Part.WITHDRAWN_ROUTES, E.PREFIX_LENGTH): (framed(body(too_long)), b""),
        (Part.WITHDRAWN_ROUTES, E.PREFIX_CUT): (framed(body(cut)), b""),
        (Part.NLRI, E.PREFIX_LENGTH): (framed(body(b"", base, too_long)), b""),
        (Part.NLRI, E.PREFIX_CUT): (framed(body(b"", base, cut)), b""),
    }
    for key, (message, data) in messages.items():
        yield key, Case(sender, message, data)


def _of_relayed(sender: Sender) -> Iterator[tuple[tuple[int, Error], Case]]:
    """Write the cases of NLRI that can be cut, beside the affected prefix."""
    nlri = {E.NLRI_MALFORMED: b"\2\x09" + bytes(9), E.NLRI_TYPE: b"\xf0\1x"}
    evpn = b"\0\x19\x46"
    for error, octets in nlri.items():
        told = attribute(A.MP_REACH_NLRI, evpn + b"\4" + sender.address + b"\0" + octets)
        lost = attribute(A.MP_UNREACH_NLRI, evpn + octets)
        for code, whole in ((A.MP_REACH_NLRI, told), (A.MP_UNREACH_NLRI, lost)):
            yield (code, error), Case(sender, classic(sender, whole + sender.base()))


def _of_nowhere(sender: Sender) -> Iterator[tuple[tuple[int, Error], Case]]:
    """Write the cases of prefixes that lead nowhere, on both sides of the affected one."""
    nowhere = packed("224.0.0.0/8"), packed("127.0.0.0/8")
    four = packed(sender.affected).join(nowhere)
    yield (
        (Part.NLRI, E.UNROUTABLE),
        Case(sender, framed(body(b"", sender.base(), four))),
    )
    six = packed(sender.affected6).join((packed("ff00::/8"), packed("fe80::/64")))
    told = reach(six, _NEXT_HOP_6) + sender.base(classic=False)
    yield (A.MP_REACH_NLRI, E.UNROUTABLE), Case(sender, framed(body(b"", told)), six=True)


_SPECIAL = dict(
    [
        *_of_list(EXTERNAL),
        *_of_message(EXTERNAL),
        *_of_relayed(EXTERNAL),
        *_of_nowhere(EXTERNAL),
    ]
)


def case_of(row: Row) -> Case:
    """Write the case of a row.

    Raises:
        LookupError: nobody has thought of one.
    """
    special = _SPECIAL.get((row.part, row.error))
    if special is not None:
        return special
    if row.part in _MULTIPROTOCOL:
        return _multiprotocol(row)
    sender, value = sender_of(row), _value(row)
    attributes = (
        _general(row) if value is None else sender.base(row.part) + attribute(row.part, value)
    )
    if attributes is None:
        raise LookupError(row)
    return Case(sender, classic(sender, attributes), setting=_setting(row))


CASES: dict[tuple[int, Error], Case] = {(row.part, row.error): case_of(row) for row in ROWS}
