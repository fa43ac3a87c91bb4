"""Every way in which an Established session ends, and what that does to the peer's routes.

Each `End` is a cause in words and the event that it is for the state machine. What follows is not
written here: `consequence` lets the event happen to a session of each kind and asks
`fsm.graceful.keeps_routes`, so the table that the manual has of it is the code's own answer.

Standards: RFC 4271 §6, §8.2.2; RFC 4486 §4; RFC 4724 §4.2; RFC 8538 §3-4; RFC 9384 §3; RFC 9687.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from fsm.capabilities import GracefulRestart
from fsm.config import SessionConfig
from fsm.effects import SessionDown, SessionUp
from fsm.errors import MessageHeaderError, UpdateMessageError
from fsm.events import (
    AutomaticStop,
    BgpHeaderErr,
    BgpOpen,
    Event,
    HoldTimerExpires,
    KeepAliveMsg,
    ManualStart,
    ManualStop,
    NotifMsg,
    SendHoldTimerExpires,
    Side,
    TcpConnectionFails,
    TcpCrAcked,
    UpdateMsgErr,
)
from fsm.family import IPV4_UNICAST
from fsm.graceful import keeps_routes
from fsm.notifications import (
    Cease,
    Code,
    HeaderSubcode,
    Notification,
    UpdateSubcode,
    hard_reset,
)
from fsm.session import Session

_SIDE = Side.OUTGOING


class Agreement(StrEnum):
    """What both ends have agreed of restarts."""

    NOTHING = "without graceful restart"
    GRACEFUL = "with graceful restart (RFC 4724)"
    NOTIFICATION = "and with NOTIFICATION support (RFC 8538)"


class Consequence(StrEnum):
    """What becomes of the routes that the peer has told."""

    GO = "go at once"
    STAY = "stay until they are told again, or the restart time is over"


@dataclass(frozen=True, slots=True)
class End:
    """One way in which a session ends.

    Args:
        cause: in words, for people.
        event: what it is for the state machine.
    """

    cause: str
    event: Event


def _heard(code: int, subcode: int = 0) -> NotifMsg:
    return NotifMsg(_SIDE, Notification(code, subcode))


def _ends() -> Iterator[End]:
    yield End("the connection is lost: peer killed, link cut", TcpConnectionFails(_SIDE))
    yield End("the peer is silent: Hold Timer expires", HoldTimerExpires(_SIDE))
    yield End("the peer does not read: Send Hold Timer expires", SendHoldTimerExpires(_SIDE))
    yield End(
        "the peer sends what is no BGP message",
        BgpHeaderErr(_SIDE, MessageHeaderError(HeaderSubcode.BAD_MESSAGE_LENGTH)),
    )
    yield End(
        "the peer sends an UPDATE that nothing can be made of",
        UpdateMsgErr(_SIDE, UpdateMessageError(UpdateSubcode.MALFORMED_ATTRIBUTE_LIST)),
    )
    yield End(
        "we end it for too many prefixes",
        AutomaticStop(Cease.MAXIMUM_NUMBER_OF_PREFIXES_REACHED, hard=True),
    )
    yield End("BFD says that the peer is gone", AutomaticStop(Cease.BFD_DOWN, hard=True))
    yield End(
        "an operator disables or drains",
        ManualStop(Cease.ADMINISTRATIVE_SHUTDOWN, hard=True),
    )
    yield End(
        "the peer is taken out of the resources", ManualStop(Cease.PEER_DECONFIGURED, hard=True)
    )
    yield End("an edit needs another session", ManualStop(Cease.OTHER_CONFIGURATION_CHANGE))
    yield End("the peer says: Hold Timer Expired", _heard(Code.HOLD_TIMER_EXPIRED))
    yield End("the peer says: UPDATE Message Error", _heard(Code.UPDATE_MESSAGE_ERROR, 1))
    for cease in Cease:
        if cease is Cease.HARD_RESET:
            inner = Notification(Code.CEASE, Cease.ADMINISTRATIVE_SHUTDOWN)
            yield End("the peer says: Cease/Hard Reset", NotifMsg(_SIDE, hard_reset(inner)))
        else:
            words = str(Notification(Code.CEASE, cease))
            yield End(f"the peer says: {words}", _heard(Code.CEASE, cease))


def consequence(end: End, agreement: Agreement) -> Consequence:
    """Let a session end, and see what becomes of the peer's routes."""
    session = _established(agreement)
    negotiated = session.negotiated
    assert negotiated is not None
    for effect in session.handle(end.event, 1000.0):
        if isinstance(effect, SessionDown):
            keeps = negotiated.restarts_gracefully and keeps_routes(effect.reason, negotiated)
            return Consequence.STAY if keeps else Consequence.GO
    raise AssertionError(f"the session goes on: {end.cause}")


def _established(agreement: Agreement) -> Session:
    restart = None
    if agreement is not Agreement.NOTHING:
        notified = agreement is Agreement.NOTIFICATION
        restart = GracefulRestart(False, notified, 120, ((IPV4_UNICAST, True),))
    ours = SessionConfig(64512, 64513, 1, graceful_restart=restart)
    theirs = SessionConfig(64513, 64512, 2, graceful_restart=restart).open_message()
    session = Session(ours)
    steps = (ManualStart(), TcpCrAcked(_SIDE), BgpOpen(_SIDE, theirs), KeepAliveMsg(_SIDE))
    effects = [effect for event in steps for effect in session.handle(event, 0.0)]
    assert any(isinstance(effect, SessionUp) for effect in effects)
    return session


ENDS = tuple(_ends())
"""All of them."""
