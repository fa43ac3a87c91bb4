"""The PDUs of the RPKI-to-Router protocol, versions 0 and 1, as values and as octets.

What travels to a cache is made by `query` and `error_report`; what comes from one (`encode` makes
the same octets) is cut by a `Reader`, which is fed chunks and gives PDUs. It also holds the cache
to the version of the connection: the first answer may be of the older version, and then that is
spoken (RFC 8210 §7). A broken PDU ends the stream: those before it are still given, `Reader.error`
says what is wrong and with which code to answer, and nothing that comes later is looked at.

Prefixes come by the hundred thousand, and are plain tuples. Router keys are for BGPsec and are
checked for their form alone.

Standards: RFC 8210 §5, §7, §12; RFC 6810 §5.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass
from enum import IntEnum
from struct import Struct
from typing import NamedTuple, TypeAlias

from fsm.family import Afi
from policy.prefix import WIDTH, Nlri, address_of, canonical
from policy.vrps import is_vrp
from speaker.rpki.intervals import Intervals

VERSIONS = (0, 1)
"""Of RFC 6810 and of RFC 8210."""

HEADER = 8
"""Octets before the body of every PDU."""

MAX_LENGTH = 4096
"""Octets of the longest PDU that is read; none that means anything here is near it."""

COPIED = 64
"""Octets of a wrong PDU that are sent back at the most."""

_HEAD = Struct("!BBHI")
_INTERVALS = Struct("!IIII")


class PduType(IntEnum):
    """What a PDU is (RFC 8210 §5)."""

    SERIAL_NOTIFY = 0
    SERIAL_QUERY = 1
    RESET_QUERY = 2
    CACHE_RESPONSE = 3
    IPV4_PREFIX = 4
    IPV6_PREFIX = 6
    END_OF_DATA = 7
    CACHE_RESET = 8
    ROUTER_KEY = 9
    ERROR_REPORT = 10


class ErrorCode(IntEnum):
    """Why a session ends (RFC 8210 §12)."""

    CORRUPT_DATA = 0
    INTERNAL_ERROR = 1
    NO_DATA_AVAILABLE = 2
    INVALID_REQUEST = 3
    UNSUPPORTED_PROTOCOL_VERSION = 4
    UNSUPPORTED_PDU_TYPE = 5
    WITHDRAWAL_OF_UNKNOWN_RECORD = 6
    DUPLICATE_ANNOUNCEMENT_RECEIVED = 7
    UNEXPECTED_PROTOCOL_VERSION = 8

    def __str__(self) -> str:
        return self.name.replace("_", " ").title().replace(" Of ", " of ").replace("Pdu", "PDU")


@dataclass(frozen=True, slots=True)
class SerialNotify:
    """The cache has something new (RFC 8210 §5.2)."""

    session: int
    serial: int


@dataclass(frozen=True, slots=True)
class CacheResponse:
    """The answer to a query begins (RFC 8210 §5.5)."""

    session: int


class PrefixPdu(NamedTuple):
    """A VRP comes or goes (RFC 8210 §5.6, §5.7).

    Attributes:
        nlri: canonical; host bits are cleared.
    """

    announces: bool
    afi: Afi
    nlri: Nlri
    max_length: int
    asn: int


@dataclass(frozen=True, slots=True)
class EndOfData:
    """The answer is complete (RFC 8210 §5.8); version 0 has no intervals."""

    session: int
    serial: int
    intervals: Intervals | None


@dataclass(frozen=True, slots=True)
class CacheReset:
    """The cache cannot say what is new since a serial number (RFC 8210 §5.9)."""


@dataclass(frozen=True, slots=True)
class RouterKey:
    """A key of a BGPsec router (RFC 8210 §5.10); not used here."""


@dataclass(frozen=True, slots=True)
class ErrorReport:
    """The cache gives up (RFC 8210 §5.11).

    Attributes:
        code: a number, known or not.
        text: for people, fit to print.
    """

    code: int
    text: str

    def __str__(self) -> str:
        known = self.code in ErrorCode.__members__.values()
        word = str(ErrorCode(self.code)) if known else f"error {self.code}"
        return f"{word}: {self.text}" if self.text else word


Pdu: TypeAlias = (
    SerialNotify | CacheResponse | PrefixPdu | EndOfData | CacheReset | RouterKey | ErrorReport
)


@dataclass(frozen=True, slots=True)
class Flaw:
    """What is wrong with what a cache sent.

    Attributes:
        code: with which it is answered.
        pdu: its octets, as far as they are sent back.
        what: in words.
    """

    code: ErrorCode
    pdu: bytes
    what: str


def encode(pdu: Pdu, version: int) -> bytes:
    """Give the octets of what a cache sends; a router key and what is not said are zeros."""
    match pdu:
        case PrefixPdu(announces, afi, nlri, max_length, asn):
            kind = PduType.IPV4_PREFIX if afi is Afi.IPV4 else PduType.IPV6_PREFIX
            address = address_of(afi, nlri)
            said = bytes((announces, nlri[0], max_length, 0)) + address + asn.to_bytes(4, "big")
            return _with_head(version, kind, 0, said)
        case SerialNotify(session, serial):
            return _with_head(version, PduType.SERIAL_NOTIFY, session, serial.to_bytes(4, "big"))
        case CacheResponse(session):
            return _with_head(version, PduType.CACHE_RESPONSE, session)
        case EndOfData(session, serial, intervals):
            said = serial.to_bytes(4, "big")
            if intervals is not None:
                said += b"".join(n.to_bytes(4, "big") for n in astuple(intervals))
            return _with_head(version, PduType.END_OF_DATA, session, said)
        case CacheReset():
            return _with_head(version, PduType.CACHE_RESET)
        case RouterKey():
            return _with_head(version, PduType.ROUTER_KEY, 0, bytes(24))
        case ErrorReport(code, text):
            return _report(version, code, b"", text)


def _with_head(version: int, kind: PduType, number: int = 0, said: bytes = b"") -> bytes:
    return _HEAD.pack(version, kind, number, HEADER + len(said)) + said


def _report(version: int, code: int, pdu: bytes, what: str) -> bytes:
    text = what.encode()
    said = len(pdu).to_bytes(4, "big") + pdu + len(text).to_bytes(4, "big") + text
    return _with_head(version, PduType.ERROR_REPORT, code, said)


def query(version: int, since: tuple[int, int] | None) -> bytes:
    """Ask for what is new since (session, serial), or for everything (RFC 8210 §5.3, §5.4)."""
    if since is None:
        return _with_head(version, PduType.RESET_QUERY)
    session, serial = since
    return _with_head(version, PduType.SERIAL_QUERY, session, serial.to_bytes(4, "big"))


def error_report(version: int, flaw: Flaw) -> bytes:
    """Say what was wrong (RFC 8210 §5.11)."""
    return _report(version, flaw.code, flaw.pdu, flaw.what)


class Reader:
    """Cuts what a cache sends on one connection into PDUs.

    Args:
        version: that we ask with.

    Attributes:
        version: that is spoken; the older one once the cache has answered with it.
        is_agreed: the cache has answered.
        error: what broke the stream; once set, `feed` gives nothing more.
    """

    __slots__ = ("_rest", "error", "is_agreed", "version")

    def __init__(self, version: int) -> None:
        self.version = version
        self.is_agreed = False
        self.error: Flaw | None = None
        self._rest = b""

    # hot: per VRP
    def feed(self, chunk: bytes) -> list[Pdu]:
        """Take a chunk, give the PDUs that it completes."""
        if self.error is not None:
            return []
        data = self._rest + chunk if self._rest else chunk
        pdus: list[Pdu] = []
        at, end = 0, len(data)
        while end - at >= HEADER:
            version, kind, number, length = _HEAD.unpack_from(data, at)
            flaw = self._check(data, at, version, kind, length)
            if flaw is None:
                if at + length > end:
                    break
                found = _DECODERS[kind](data[at : at + length], number)
                if isinstance(found, Flaw):
                    flaw = found
                elif self.is_agreed or kind != PduType.SERIAL_NOTIFY:
                    # RFC 8210 §7: before the first answer a Serial Notify is ignored.
                    self._agree(version, kind, number)
                    pdus.append(found)
            if flaw is not None:
                self.error, self._rest = flaw, b""
                return pdus
            at += length
        self._rest = data[at:] if at else data
        return pdus

    def _agree(self, version: int, kind: int, number: int) -> None:
        """The cache has answered; one that has no data yet, in the version that it speaks."""
        is_answer = kind != PduType.ERROR_REPORT or number == ErrorCode.NO_DATA_AVAILABLE
        if is_answer and version <= self.version:
            self.version, self.is_agreed = version, True

    def _check(self, data: bytes, at: int, version: int, kind: int, length: int) -> Flaw | None:
        """Look at a header: version, type, length, in this order."""
        if version != self.version and kind != PduType.ERROR_REPORT:
            # RFC 8210 §7: an older cache may answer in its own version.
            is_older = not self.is_agreed and version in VERSIONS and version < self.version
            if not is_older and (self.is_agreed or kind != PduType.SERIAL_NOTIFY):
                return self._wrong_version(data, at, version)
        if kind not in _SIZES or (kind == PduType.ROUTER_KEY and version == 0):
            code, what = ErrorCode.UNSUPPORTED_PDU_TYPE, f"there is no PDU type {kind}"
            if kind in (PduType.SERIAL_QUERY, PduType.RESET_QUERY):
                code, what = ErrorCode.INVALID_REQUEST, "a router answers no queries"
            return _flaw(code, data, at, length, what)
        least, most = _SIZES[kind]
        if kind == PduType.END_OF_DATA:
            least = most = 12 if version == 0 else 24
        if not least <= length <= most:
            what = f"a PDU of type {kind} cannot be {length} octets long"
            return _flaw(ErrorCode.CORRUPT_DATA, data, at, length, what)
        return None

    def _wrong_version(self, data: bytes, at: int, version: int) -> Flaw:
        code, what = ErrorCode.UNSUPPORTED_PROTOCOL_VERSION, f"version {version} is not spoken here"
        if self.is_agreed:
            code = ErrorCode.UNEXPECTED_PROTOCOL_VERSION
            what = f"version {version} after version {self.version}"
        return _flaw(code, data, at, HEADER, what)


def _flaw(code: ErrorCode, data: bytes, at: int, length: int, what: str) -> Flaw:
    return Flaw(code, data[at : at + max(HEADER, min(length, COPIED))], what)


def _prefix_decoder(afi: Afi) -> Callable[[bytes, int], Pdu | Flaw]:
    octets = WIDTH[afi] >> 3

    # hot: per VRP
    def decode(pdu: bytes, number: int) -> Pdu | Flaw:
        length, longest = pdu[9], pdu[10]
        if not is_vrp(afi, pdu[9:10], longest):
            what = f"a prefix of length {length} cannot be originated up to length {longest}"
            return _flaw(ErrorCode.CORRUPT_DATA, pdu, 0, len(pdu), what)
        nlri = canonical(pdu[9:10] + pdu[12 : 12 + (length + 7 >> 3)])
        asn = int.from_bytes(pdu[12 + octets :], "big")
        return PrefixPdu(pdu[8] & 1 == 1, afi, nlri, longest, asn)

    return decode


def _serial_notify(pdu: bytes, number: int) -> Pdu:
    return SerialNotify(number, int.from_bytes(pdu[8:], "big"))


def _end_of_data(pdu: bytes, number: int) -> Pdu:
    if pdu[0] == 0:
        return EndOfData(number, int.from_bytes(pdu[8:], "big"), None)
    serial, *intervals = _INTERVALS.unpack_from(pdu, HEADER)
    return EndOfData(number, serial, Intervals(*intervals))


def _error_report(pdu: bytes, number: int) -> Pdu:
    """Read what can be read: nobody answers an error with an error (RFC 8210 §5.11)."""
    at = 12 + int.from_bytes(pdu[8:12], "big")
    size = int.from_bytes(pdu[at : at + 4], "big")
    text = pdu[at + 4 : at + 4 + size].decode(errors="replace")
    return ErrorReport(number, "".join(filter(str.isprintable, text))[:200].strip())


_DECODERS: dict[int, Callable[[bytes, int], Pdu | Flaw]] = {
    PduType.SERIAL_NOTIFY: _serial_notify,
    PduType.CACHE_RESPONSE: lambda _, number: CacheResponse(number),
    PduType.IPV4_PREFIX: _prefix_decoder(Afi.IPV4),
    PduType.IPV6_PREFIX: _prefix_decoder(Afi.IPV6),
    PduType.END_OF_DATA: _end_of_data,
    PduType.CACHE_RESET: lambda _pdu, _number: CacheReset(),
    PduType.ROUTER_KEY: lambda _pdu, _number: RouterKey(),
    PduType.ERROR_REPORT: _error_report,
}

_SIZES: dict[int, tuple[int, int]] = {
    PduType.SERIAL_NOTIFY: (12, 12),
    PduType.CACHE_RESPONSE: (HEADER, HEADER),
    PduType.IPV4_PREFIX: (20, 20),
    PduType.IPV6_PREFIX: (32, 32),
    PduType.END_OF_DATA: (12, 24),
    PduType.CACHE_RESET: (HEADER, HEADER),
    PduType.ROUTER_KEY: (32, MAX_LENGTH),
    PduType.ERROR_REPORT: (HEADER, MAX_LENGTH),
}
"""Least and greatest length of what a cache may send."""
