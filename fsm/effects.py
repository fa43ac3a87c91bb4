"""Effects: what a machine asks its shell to do.

`Session.handle` returns a list of these, and the shell performs them in order; order matters, since
a NOTIFICATION must be sent before its connection is closed. An effect is a wish, not a report: the
shell answers with an event when there is something to say (`Dial` is answered by `TcpCrAcked` or
`TcpConnectionFails`; `Close` and `CancelDial` by nothing).

- `Dial`, `CancelDial`: open our own connection, or give that up.
- `Send`, `Close`: on one connection. `Close` means flush what was sent, then close; from then on
  the shell drops whatever that connection still has to say.
- `SessionUp`, `SessionDown`: the session is Established, or no longer. Between the two, and only
  there, UPDATEs may be exchanged.
- `AttemptFailed`: a connection or dial ended before it became Established; for logs and `show`.
- `StateChanged`: the session as a whole moved; always last in the list.

A `DownReason` says in words why, so that a user can be told without knowing the machine.

Standards: RFC 4271 §8.2.2, RFC 8538 §3, RFC 9003 §2.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from fsm.events import Side
from fsm.messages import Message
from fsm.negotiation import Negotiated
from fsm.notifications import Cease, Code, Notification
from fsm.state import State


class DownKind(StrEnum):
    """Who ended a connection, and how."""

    SENT = "we sent"
    RECEIVED = "the peer sent"
    TCP = "the connection failed"
    DROPPED = "we dropped the connection"


@dataclass(frozen=True, slots=True)
class DownReason:
    """Why a session or an attempt ended; `str` is a sentence for people.

    Args:
        kind: who ended it, and how.
        notification: what was sent or received, if anything was.
        text: more than the notification says: a timer, an OPEN's fault, the system's error.
    """

    kind: DownKind
    notification: Notification | None = None
    text: str = ""

    @property
    def communication(self) -> str | None:
        """What the operator of the end that said so wrote; safe to print. RFC 9003 §2."""
        return self.notification.communication if self.notification else None

    @property
    def is_collision(self) -> bool:
        """The connection ended only because another was kept. RFC 4271 §6.8."""
        said = self.notification
        return said is not None and (said.code, said.subcode) == (
            Code.CEASE,
            Cease.CONNECTION_COLLISION_RESOLUTION,
        )

    @property
    def is_hard_reset(self) -> bool:
        """Neither end may restart gracefully after this. RFC 8538 §3."""
        return self.notification is not None and self.notification.is_hard_reset

    def __str__(self) -> str:
        said = f"{self.kind} NOTIFICATION {self.notification}" if self.notification else self.kind
        return f"{said}: {self.text}" if self.text else str(said)


@dataclass(frozen=True, slots=True)
class Dial:
    """Open a TCP connection to the peer; only the side OUTGOING is ever dialled."""


@dataclass(frozen=True, slots=True)
class CancelDial:
    """Give up the dial that is in flight; its outcome is of no interest any more."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send a message on a connection."""

    side: Side
    message: Message


@dataclass(frozen=True, slots=True)
class Close:
    """Flush and close a connection, and drop what it still has to say."""

    side: Side


@dataclass(frozen=True, slots=True)
class SessionUp:
    """The session is Established on this connection."""

    side: Side
    negotiated: Negotiated


@dataclass(frozen=True, slots=True)
class SessionDown:
    """The session is no longer Established."""

    side: Side
    reason: DownReason


@dataclass(frozen=True, slots=True)
class AttemptFailed:
    """A dial or a connection ended before it became Established."""

    side: Side
    reason: DownReason


@dataclass(frozen=True, slots=True)
class StateChanged:
    """The session moved from one state to another."""

    old: State
    new: State


Effect: TypeAlias = (
    Dial | CancelDial | Send | Close | SessionUp | SessionDown | AttemptFailed | StateChanged
)
