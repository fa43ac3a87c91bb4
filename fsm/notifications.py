"""NOTIFICATION: the last word on a session, as a value.

`Code` lists the error codes, one enum per code lists its subcodes, and `Notification` is the
message itself without its bytes on the wire. Reading one aloud (`str`) gives the registry's words,
so that the same value serves the peer, the log and `show`.

Two kinds of data are interpreted here. The Shutdown Communication is the short text an operator may
send along with an administrative Cease; `shutdown_communication` makes it and
`Notification.communication` reads it back. A Hard Reset holds another NOTIFICATION, the true
reason; `hard_reset` wraps it and `Notification.inner` unwraps it. Text from a peer is never
trusted: what is not UTF-8 or not printable comes out escaped.

Standards: RFC 4271 §4.5, §6; RFC 4486 §3; RFC 5492 §5; RFC 6608 §3; RFC 7313 §5; RFC 8538 §3;
RFC 9003 §2; RFC 9234 §4.2; RFC 9384 §3; RFC 9687 §5.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Code(IntEnum):
    """Error codes."""

    MESSAGE_HEADER_ERROR = 1
    OPEN_MESSAGE_ERROR = 2
    UPDATE_MESSAGE_ERROR = 3
    HOLD_TIMER_EXPIRED = 4
    FINITE_STATE_MACHINE_ERROR = 5
    CEASE = 6
    ROUTE_REFRESH_MESSAGE_ERROR = 7
    SEND_HOLD_TIMER_EXPIRED = 8


class HeaderSubcode(IntEnum):
    """Subcodes of a Message Header Error. RFC 4271 §6.1."""

    CONNECTION_NOT_SYNCHRONIZED = 1
    BAD_MESSAGE_LENGTH = 2
    BAD_MESSAGE_TYPE = 3


class OpenSubcode(IntEnum):
    """Subcodes of an OPEN Message Error. RFC 4271 §6.2, RFC 5492 §5, RFC 9234 §4.2."""

    UNSUPPORTED_VERSION_NUMBER = 1
    BAD_PEER_AS = 2
    BAD_BGP_IDENTIFIER = 3
    UNSUPPORTED_OPTIONAL_PARAMETER = 4
    UNACCEPTABLE_HOLD_TIME = 6
    UNSUPPORTED_CAPABILITY = 7
    ROLE_MISMATCH = 11


class UpdateSubcode(IntEnum):
    """Subcodes of an UPDATE Message Error. RFC 4271 §6.3."""

    MALFORMED_ATTRIBUTE_LIST = 1
    UNRECOGNIZED_WELL_KNOWN_ATTRIBUTE = 2
    MISSING_WELL_KNOWN_ATTRIBUTE = 3
    ATTRIBUTE_FLAGS_ERROR = 4
    ATTRIBUTE_LENGTH_ERROR = 5
    INVALID_ORIGIN_ATTRIBUTE = 6
    INVALID_NEXT_HOP_ATTRIBUTE = 8
    OPTIONAL_ATTRIBUTE_ERROR = 9
    INVALID_NETWORK_FIELD = 10
    MALFORMED_AS_PATH = 11


class FsmSubcode(IntEnum):
    """Subcodes of a Finite State Machine Error. RFC 6608 §3."""

    UNEXPECTED_MESSAGE_IN_OPEN_SENT = 1
    UNEXPECTED_MESSAGE_IN_OPEN_CONFIRM = 2
    UNEXPECTED_MESSAGE_IN_ESTABLISHED = 3


class Cease(IntEnum):
    """Subcodes of a Cease. RFC 4486 §3, RFC 8538 §3, RFC 9384 §3."""

    MAXIMUM_NUMBER_OF_PREFIXES_REACHED = 1
    ADMINISTRATIVE_SHUTDOWN = 2
    PEER_DECONFIGURED = 3
    ADMINISTRATIVE_RESET = 4
    CONNECTION_REJECTED = 5
    OTHER_CONFIGURATION_CHANGE = 6
    CONNECTION_COLLISION_RESOLUTION = 7
    OUT_OF_RESOURCES = 8
    HARD_RESET = 9
    BFD_DOWN = 10


class RefreshSubcode(IntEnum):
    """Subcodes of a ROUTE-REFRESH Message Error. RFC 7313 §5."""

    INVALID_MESSAGE_LENGTH = 1


_SUBCODES: dict[int, type[IntEnum]] = {
    Code.MESSAGE_HEADER_ERROR: HeaderSubcode,
    Code.OPEN_MESSAGE_ERROR: OpenSubcode,
    Code.UPDATE_MESSAGE_ERROR: UpdateSubcode,
    Code.FINITE_STATE_MACHINE_ERROR: FsmSubcode,
    Code.CEASE: Cease,
    Code.ROUTE_REFRESH_MESSAGE_ERROR: RefreshSubcode,
}
_ACRONYMS = {"OPEN", "UPDATE", "AS", "BGP", "BFD"}
_COMMUNICATING = (Cease.ADMINISTRATIVE_SHUTDOWN, Cease.ADMINISTRATIVE_RESET)
_LONGEST_COMMUNICATION = 255
_SHOWN = 64


@dataclass(frozen=True, slots=True)
class Notification:
    """One NOTIFICATION message.

    Args:
        code: error code; any octet, since a peer may use a code we do not know.
        subcode: error subcode, 0 for *unspecific*.
        data: the data field, as on the wire.
    """

    code: int
    subcode: int = 0
    data: bytes = b""

    def __str__(self) -> str:
        words = _words(Code, self.code, "Error")
        if self.subcode:
            subcodes = _SUBCODES.get(self.code)
            words += "/" + _words(subcodes, self.subcode, "subcode")
        if (inner := self.inner) is not None:
            return f"{words} ({inner})"
        if (text := self.communication) is not None:
            return f'{words} "{text}"' if text else words
        return f"{words} [{_shown(self.data)}]" if self.data else words

    @property
    def is_hard_reset(self) -> bool:
        """The session ends for good, even for a peer that restarts gracefully. RFC 8538 §3."""
        return (self.code, self.subcode) == (Code.CEASE, Cease.HARD_RESET)

    @property
    def inner(self) -> Notification | None:
        """The NOTIFICATION inside a Hard Reset; None if there is none. RFC 8538 §3.

        A Hard Reset within another makes no sense, and stays octets.
        """
        if not self.is_hard_reset or len(self.data) < 2:
            return None
        inner = Notification(self.data[0], self.data[1], self.data[2:])
        return None if inner.is_hard_reset else inner

    @property
    def communication(self) -> str | None:
        """The operator's text in an administrative Cease; None if there is none. RFC 9003 §2."""
        if (inner := self.inner) is not None:
            return inner.communication
        if self.code != Code.CEASE or self.subcode not in _COMMUNICATING or not self.data:
            return None
        length = self.data[0]
        # A length beyond the data is a malformed text, not a reason to hide what did arrive.
        return printable(self.data[1 : 1 + length].decode("utf-8", errors="backslashreplace"))


def hard_reset(reason: Notification) -> Notification:
    """Wrap a NOTIFICATION so that a peer that restarts gracefully does not. RFC 8538 §3."""
    data = bytes((reason.code, reason.subcode)) + reason.data
    return Notification(Code.CEASE, Cease.HARD_RESET, data)


def printable(text: str) -> str:
    """Escape what could harm a terminal or a log; for any text that a peer sent."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def shutdown_communication(text: str) -> bytes:
    """Encode an operator's text as the data of an administrative Cease. RFC 9003 §2.

    Args:
        text: any text; what exceeds 255 octets of UTF-8 is cut at a character's end.
    """
    if not text:
        return b""
    encoded = text.encode("utf-8", errors="replace")[:_LONGEST_COMMUNICATION]
    whole = encoded.decode("utf-8", errors="ignore").encode("utf-8")
    return bytes([len(whole)]) + whole


def _shown(data: bytes) -> str:
    """Write octets down; a message may have 65 thousand of them, which help nobody."""
    return data[:_SHOWN].hex(" ") + (" …" if len(data) > _SHOWN else "")


def _words(enum: type[IntEnum] | None, value: int, fallback: str) -> str:
    """Return the registry's words for a number, or the number itself."""
    if enum is None or value not in (known.value for known in enum):
        return f"{fallback} {value}"
    words = enum(value).name.split("_")
    return " ".join(word if word in _ACRONYMS else word.capitalize() for word in words)
