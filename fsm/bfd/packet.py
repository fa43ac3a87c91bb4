"""The BFD control packet, as a value and as octets.

`decode` makes the checks of RFC 5880 §6.8.6 that need no session; what fails one is dropped without
a word to anybody, and the reason, a `Discard`, is counted by whoever asked. `encode` leaves the
authentication section to `fsm.bfd.authentication`, which works on octets.

Intervals are microseconds, as on the wire.

Standards: RFC 5880 §4.1, §6.8.6.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from struct import Struct

VERSION = 1

LENGTH = 24
"""Octets of a packet without authentication."""

_LAYOUT = Struct("!BBBBIIIII")

POLL, FINAL, INDEPENDENT, AUTHENTICATED, DEMAND, MULTIPOINT = 0x20, 0x10, 0x08, 0x04, 0x02, 0x01
"""Bits of the second octet, beside the state in its two highest."""


class BfdState(IntEnum):
    """How a session stands. RFC 5880 §4.1."""

    ADMIN_DOWN = 0
    DOWN = 1
    INIT = 2
    UP = 3

    def __str__(self) -> str:
        return ("AdminDown", "Down", "Init", "Up")[self]


class Diagnostic(IntEnum):
    """Why a session left Up last. RFC 5880 §4.1."""

    NONE = 0
    DETECTION_TIME_EXPIRED = 1
    ECHO_FAILED = 2
    NEIGHBOR_SIGNALED_DOWN = 3
    FORWARDING_PLANE_RESET = 4
    PATH_DOWN = 5
    CONCATENATED_PATH_DOWN = 6
    ADMINISTRATIVELY_DOWN = 7
    REVERSE_CONCATENATED_PATH_DOWN = 8

    def __str__(self) -> str:
        return _WORDS[self]


_WORDS = (
    "No Diagnostic",
    "Control Detection Time Expired",
    "Echo Function Failed",
    "Neighbor Signaled Session Down",
    "Forwarding Plane Reset",
    "Path Down",
    "Concatenated Path Down",
    "Administratively Down",
    "Reverse Concatenated Path Down",
)


class Discard(StrEnum):
    """Why a packet was dropped. RFC 5880 §6.8.6; the last four: RFC 5881 §5, the shell's."""

    VERSION = "version"
    LENGTH = "length"
    DETECT_MULT = "detect multiplier of zero"
    MULTIPOINT = "multipoint"
    MY_DISCRIMINATOR = "discriminator of zero"
    NO_SESSION = "no such session"
    STATE = "state without a discriminator"
    UNEXPECTED_AUTH = "authentication not in use"
    MISSING_AUTH = "no authentication"
    BAD_AUTH = "wrong authentication"
    ADMIN_DOWN = "session is AdminDown"
    TTL = "TTL"
    SOURCE = "another source"
    INTERFACE = "another interface"
    ECHO = "echo not agreed"
    ANOTHER = "another discriminator"


@dataclass(frozen=True, slots=True)
class ControlPacket:
    """A control packet, without the octets of its authentication. RFC 5880 §4.1.

    Args:
        diagnostic: a number, known or not.
        detect_mult: 1 to 255.
        authenticated: whether an authentication section follows.
    """

    state: BfdState
    my_discriminator: int
    your_discriminator: int = 0
    diagnostic: int = Diagnostic.NONE
    detect_mult: int = 3
    desired_min_tx_us: int = 1_000_000
    required_min_rx_us: int = 1_000_000
    required_min_echo_rx_us: int = 0
    poll: bool = False
    final: bool = False
    independent: bool = False
    authenticated: bool = False
    demand: bool = False


def encode(packet: ControlPacket, length: int = LENGTH) -> bytes:
    """Write a packet's 24 octets.

    Args:
        packet: what to write.
        length: of the whole, with the authentication section that is to follow.
    """
    return _LAYOUT.pack(
        VERSION << 5 | packet.diagnostic,
        packet.state << 6
        | packet.poll * POLL
        | packet.final * FINAL
        | packet.independent * INDEPENDENT
        | packet.authenticated * AUTHENTICATED
        | packet.demand * DEMAND,
        packet.detect_mult,
        length,
        packet.my_discriminator,
        packet.your_discriminator,
        packet.desired_min_tx_us,
        packet.required_min_rx_us,
        packet.required_min_echo_rx_us,
    )


def decode(octets: bytes) -> ControlPacket | Discard:
    """Read a packet, or tell why it is to be dropped. RFC 5880 §6.8.6.

    The state a packet without a discriminator of ours may be in is checked here, too; whether there
    is a session for it is not.
    """
    if len(octets) < LENGTH:
        return Discard.LENGTH
    first, flags, mult, length, mine, yours, tx, rx, echo = _LAYOUT.unpack_from(octets)
    wrong = _refuse(first >> 5, flags, length, len(octets), mult)
    if wrong is not None:
        return wrong
    if not mine:
        return Discard.MY_DISCRIMINATOR
    state = BfdState(flags >> 6)
    if not yours and state > BfdState.DOWN:
        return Discard.STATE
    return ControlPacket(
        state,
        mine,
        yours,
        first & 0x1F,
        mult,
        tx,
        rx,
        echo,
        bool(flags & POLL),
        bool(flags & FINAL),
        bool(flags & INDEPENDENT),
        bool(flags & AUTHENTICATED),
        bool(flags & DEMAND),
    )


def _refuse(version: int, flags: int, length: int, received: int, mult: int) -> Discard | None:
    """Make the first checks, in the order of RFC 5880 §6.8.6."""
    if version != VERSION:
        return Discard.VERSION
    if length < (LENGTH + 2 if flags & AUTHENTICATED else LENGTH) or length > received:
        return Discard.LENGTH
    if not mult:
        return Discard.DETECT_MULT
    return Discard.MULTIPOINT if flags & MULTIPOINT else None
