"""Events: everything that can happen to a session.

One frozen class per event of RFC 4271 §8.1, with the RFC's name and its `number` there, and number
29 of RFC 9687. Those without a number in a standard carry 0: `Tick` (look at the timers),
`RouteRefreshMsg` (a message younger than the machine), `BfdUp` and `BfdDown` (of a draft), what the
shell tells of its sending (`SendBlocked`, `SendProgress`, `MessageSent`), and the abstract bases.

An event that concerns one of the two connections a peer may have says which by its `side`:
`OUTGOING` is the one we dialled, `INCOMING` the one we accepted. The others concern the session as
a whole. The shell makes events 1-8, 14-19, 21, 22, 25-28 and those without a number; the machines
make the timers' events and `OpenCollisionDump` for themselves, and treat 20 and 24 as what they
are: 19 and 25 in a special circumstance that they notice alone.

How a shell tells of its sending. RFC 9687 restarts the SendHoldTimer whenever a message was handed
to TCP. What counts is that the peer takes octets, and only the shell sees its buffer, so it says:

- `SendBlocked(side)` when, after a write, octets wait that the socket did not take. It may be said
  as often as one likes; the first one starts the timer.
- `SendProgress(side, is_drained=...)` when the socket took octets again: as soon as the shell
  knows, and at the latest before a `Tick` at which `Timer.SEND_HOLD` is due.
- `MessageSent(side)` after a write of UPDATEs or ROUTE-REFRESHes of its own, once a run: the next
  KEEPALIVE has time from then on. It may be left out.

Standards: RFC 4271 §8.1.2-8.1.5, §8.2.2; RFC 8538 §3; RFC 9687 §4.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from fsm.errors import BgpError
from fsm.messages import Open, RouteRefresh
from fsm.notifications import Cease, Notification


class Side(StrEnum):
    """Which of a peer's two connections."""

    OUTGOING = "outgoing"
    INCOMING = "incoming"

    @property
    def other(self) -> Side:
        """The side that the other of two connections has."""
        return Side.INCOMING if self is Side.OUTGOING else Side.OUTGOING


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened; `number` is the event's number in RFC 4271 §8.1, else 0."""

    number: ClassVar[int] = 0


@dataclass(frozen=True, slots=True)
class StartEvent(Event):
    """Any of the events that ask for the session to come up."""


@dataclass(frozen=True, slots=True)
class ConnectionEvent(Event):
    """Any of the events that concern one connection."""

    side: Side


@dataclass(frozen=True, slots=True)
class Tick(Event):
    """Time has passed: let every timer that is due expire."""


@dataclass(frozen=True, slots=True)
class ManualStart(StartEvent):
    """The operator wants the session."""

    number = 1


@dataclass(frozen=True, slots=True)
class ManualStop(Event):
    """The operator wants no session, until the next start.

    Args:
        subcode: the subcode of the Cease that tells the peer.
        message: the operator's words to the peer's operator. RFC 9003 §2.
        hard: a peer that restarts gracefully must not. RFC 8538 §3.
    """

    number = 2
    subcode: int = Cease.ADMINISTRATIVE_SHUTDOWN
    message: str = ""
    hard: bool = False


@dataclass(frozen=True, slots=True)
class AutomaticStart(StartEvent):
    """The router itself wants the session."""

    number = 3


@dataclass(frozen=True, slots=True)
class ManualStartWithPassiveTcpEstablishment(StartEvent):
    """As ManualStart, but listen before dialling."""

    number = 4


@dataclass(frozen=True, slots=True)
class AutomaticStartWithPassiveTcpEstablishment(StartEvent):
    """As AutomaticStart, but listen before dialling."""

    number = 5


@dataclass(frozen=True, slots=True)
class AutomaticStartWithDampPeerOscillations(StartEvent):
    """As AutomaticStart, for a session that is damped."""

    number = 6


@dataclass(frozen=True, slots=True)
class AutomaticStartWithDampPeerOscillationsAndPassiveTcpEstablishment(StartEvent):
    """As AutomaticStart, for a session that is damped and listens before dialling."""

    number = 7


AUTOMATIC_STARTS = (
    AutomaticStart
    | AutomaticStartWithPassiveTcpEstablishment
    | AutomaticStartWithDampPeerOscillations
    | AutomaticStartWithDampPeerOscillationsAndPassiveTcpEstablishment
)
DAMPED_STARTS = (
    AutomaticStartWithDampPeerOscillations
    | AutomaticStartWithDampPeerOscillationsAndPassiveTcpEstablishment
)
PASSIVE_STARTS = (
    ManualStartWithPassiveTcpEstablishment
    | AutomaticStartWithPassiveTcpEstablishment
    | AutomaticStartWithDampPeerOscillationsAndPassiveTcpEstablishment
)


@dataclass(frozen=True, slots=True)
class AutomaticStop(Event):
    """The router itself ends the session, and may start it again after the IdleHoldTimer.

    Args:
        subcode: the subcode of the Cease that tells the peer, such as the prefix limit.
        data: the data of that Cease.
        hard: a peer that restarts gracefully must not. RFC 8538 §3.
        restart_after: seconds until the session is started again, in place of the back-off;
            infinity leaves it down until somebody starts it.
        text: why, for our own people.
    """

    number = 8
    subcode: int = Cease.OUT_OF_RESOURCES
    data: bytes = b""
    hard: bool = False
    restart_after: float | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class BfdUp(Event):
    """BFD says that packets pass both ways; a strict session may come up.

    Args:
        lasted: seconds for which it has been so: BFD may have gone on while we restarted.
    """

    lasted: float = 0.0


@dataclass(frozen=True, slots=True)
class BfdDown(Event):
    """BFD does not say so any more, for whatever reason; a strict session may not come up."""


@dataclass(frozen=True, slots=True)
class ConnectRetryTimerExpires(ConnectionEvent):
    """Time to dial again."""

    number = 9


@dataclass(frozen=True, slots=True)
class HoldTimerExpires(ConnectionEvent):
    """The peer was silent for too long."""

    number = 10


@dataclass(frozen=True, slots=True)
class KeepaliveTimerExpires(ConnectionEvent):
    """Time to be heard."""

    number = 11


@dataclass(frozen=True, slots=True)
class DelayOpenTimerExpires(ConnectionEvent):
    """Time to send the OPEN that we held back."""

    number = 12


@dataclass(frozen=True, slots=True)
class IdleHoldTimerExpires(Event):
    """The back-off after a failure is over; this concerns the session, hence no side."""

    number = 13


@dataclass(frozen=True, slots=True)
class TcpConnectionValid(ConnectionEvent):
    """A connection request came from the right address and port."""

    number = 14


@dataclass(frozen=True, slots=True)
class TcpCrInvalid(ConnectionEvent):
    """A connection request came from a wrong address or port."""

    number = 15


@dataclass(frozen=True, slots=True)
class TcpCrAcked(ConnectionEvent):
    """Our dial succeeded."""

    number = 16


@dataclass(frozen=True, slots=True)
class TcpConnectionConfirmed(ConnectionEvent):
    """We accepted the peer's connection."""

    number = 17


@dataclass(frozen=True, slots=True)
class TcpConnectionFails(ConnectionEvent):
    """Our dial failed, or a connection was closed or broke.

    Args:
        side: which one.
        text: what the operating system said, for people.
    """

    number = 18
    text: str = ""


@dataclass(frozen=True, slots=True)
class BgpOpen(ConnectionEvent):
    """A well-formed OPEN arrived; whether we can agree to it is for the machine to say."""

    number = 19
    message: Open


@dataclass(frozen=True, slots=True)
class BgpOpenWithDelayOpenTimerRunning(ConnectionEvent):
    """A well-formed OPEN arrived before we sent ours."""

    number = 20
    message: Open


@dataclass(frozen=True, slots=True)
class BgpHeaderErr(ConnectionEvent):
    """A message with an impossible header arrived."""

    number = 21
    error: BgpError


@dataclass(frozen=True, slots=True)
class BgpOpenMsgErr(ConnectionEvent):
    """An OPEN arrived that is malformed or that we cannot agree to."""

    number = 22
    error: BgpError


@dataclass(frozen=True, slots=True)
class OpenCollisionDump(ConnectionEvent):
    """This connection is the one to close, since another is kept. RFC 4271 §6.8."""

    number = 23


@dataclass(frozen=True, slots=True)
class NotifMsgVerErr(ConnectionEvent):
    """A NOTIFICATION arrived that says our version is not spoken there."""

    number = 24
    message: Notification


@dataclass(frozen=True, slots=True)
class NotifMsg(ConnectionEvent):
    """A NOTIFICATION arrived."""

    number = 25
    message: Notification


@dataclass(frozen=True, slots=True)
class KeepAliveMsg(ConnectionEvent):
    """A KEEPALIVE arrived."""

    number = 26


@dataclass(frozen=True, slots=True)
class UpdateMsg(ConnectionEvent):
    """One or more UPDATEs arrived; one event stands for a whole run of them."""

    number = 27


@dataclass(frozen=True, slots=True)
class UpdateMsgErr(ConnectionEvent):
    """An UPDATE, or a ROUTE-REFRESH, arrived that is too wrong to go on."""

    number = 28
    error: BgpError


@dataclass(frozen=True, slots=True)
class SendHoldTimerExpires(ConnectionEvent):
    """The peer read nothing from us for too long. RFC 9687 §4."""

    number = 29


@dataclass(frozen=True, slots=True)
class SendEvent(ConnectionEvent):
    """Any of the events that tell of what we send on a connection."""


@dataclass(frozen=True, slots=True)
class SendBlocked(SendEvent):
    """Octets wait to be sent that the peer has not taken."""


@dataclass(frozen=True, slots=True)
class SendProgress(SendEvent):
    """The peer took octets that had waited.

    Args:
        side: on which connection.
        is_drained: nothing waits any more.
    """

    is_drained: bool = True


@dataclass(frozen=True, slots=True)
class MessageSent(SendEvent):
    """The shell sent UPDATEs, or other messages that no machine had asked for."""


@dataclass(frozen=True, slots=True)
class RouteRefreshMsg(ConnectionEvent):
    """A ROUTE-REFRESH arrived; RFC 2918 gave it no number.

    Args:
        message: None where nobody here knows its family or its subtype.
    """

    message: RouteRefresh | None
